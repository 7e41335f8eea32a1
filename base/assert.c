/* assert.c -- see assert.h. */
#include "base/assert.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static void (*the_hook)(const char *cond, const char *file, int line);

void dr_assert_hook_set(void (*hook)(const char *cond, const char *file, int line))
{
	the_hook = hook;
}

__attribute__((noreturn)) static void end(const char *head, const char *why, const char *file, int line)
{
	void (*hook)(const char *, const char *, int) = the_hook;
	the_hook = NULL; /* what fails in it ends at once */
	(void)fprintf(stderr, "drcoord: %s%s at %s:%d\n", head, why, file, line);
	if (hook != NULL)
		hook(why, file, line);
	abort();
}

void dr_assert_failed(const char *cond, const char *file, int line)
{
	end("assertion failed: ", cond, file, line);
}

void dr_die(const char *why, const char *file, int line)
{
	end("", why, file, line);
}
