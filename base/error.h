/* error.h -- error codes, and the caller-owned record that carries one with its reason.
 *
 * A function that can fail returns enum dr_err and, where it has more to say than the code, fills the
 * caller's struct dr_error once, at the place that knows the cause.  Callers add context in front with
 * dr_wrap().  Nothing here allocates; every function may be called from any thread on its own record. */
#ifndef DR_BASE_ERROR_H
#define DR_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define DR_MUST_USE __attribute__((warn_unused_result))
#define DR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum dr_err {
#define ERR(name, class, text) DR_E_##name,
#include "base/errors.def"
#undef ERR
	DR_ERR_COUNT
};
#define DR_OK DR_E_OK

enum dr_err_class { DR_CLASS_NONE, DR_CLASS_RETRY, DR_CLASS_FENCED, DR_CLASS_USER, DR_CLASS_FATAL };

enum { DR_ERROR_MSG_MAX = 512 };

struct dr_error {
	enum dr_err code;
	char msg[DR_ERROR_MSG_MAX]; /* one line, NUL-terminated, cut when longer */
};

/* The stable lower-case word of a code ("not_leader"), its text, its class; total on any value. */
const char *dr_err_name(enum dr_err code);
const char *dr_err_text(enum dr_err code);
enum dr_err_class dr_err_class(enum dr_err code);

/* Set code and message of *e (e may be NULL) and return the code: `return dr_fail(e, DR_E_X, "...")`
 * or `rv = dr_fail(...); goto out;`, so that no label is reached with rv == 0. */
enum dr_err dr_fail(struct dr_error *e, enum dr_err code, const char *fmt, ...) DR_PRINTF(3, 4);

/* Put "context: " in front of e's message and return its code; without a message the code's text stands
 * behind the context.  e must hold an error. */
enum dr_err dr_wrap(struct dr_error *e, const char *fmt, ...) DR_PRINTF(2, 3);

/* The same from errno: appends ": strerror"; ENOSPC becomes NO_SPACE, EACCES/EPERM DENIED, ENOENT
 * NOT_FOUND, EEXIST EXISTS, all else IO. */
enum dr_err dr_fail_errno(struct dr_error *e, int err, const char *fmt, ...) DR_PRINTF(3, 4);

/* For a call whose failure changes nothing here: somebody else will notice and say it. */
static inline void dr_best_effort(enum dr_err code)
{
	(void)code;
}

/* Empty *e: code OK, no message. */
void dr_error_clear(struct dr_error *e);

#endif
