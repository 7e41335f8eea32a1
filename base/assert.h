/* assert.h -- assertions that stay on in release builds.
 *
 * For what must hold if our own code is right; never for input from outside, which is an error.  One
 * condition each, no side effects.  On failure the hook (the flight recorder, set by a program at its
 * start) runs once and the process ends by abort(). */
#ifndef DR_BASE_ASSERT_H
#define DR_BASE_ASSERT_H

#define dr_assert(cond)                                                                            \
	do {                                                                                       \
		if (__builtin_expect(!(cond), 0))                                                  \
			dr_assert_failed(#cond, __FILE__, __LINE__);                               \
	} while (0)

__attribute__((noreturn)) void dr_assert_failed(const char *cond, const char *file, int line);

/* The end of a process that cannot go on: says why, runs the hook with that as its condition, and aborts. */
__attribute__((noreturn)) void dr_die(const char *why, const char *file, int line);

/* What to run before the abort; NULL for nothing.  It must not return into the failed code. */
void dr_assert_hook_set(void (*hook)(const char *cond, const char *file, int line));

#endif
