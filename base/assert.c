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

void dr_assert_failed(const char *cond, const char *file, int line)
{
	void (*hook)(const char *, const char *, int) = the_hook;
	the_hook = NULL;
	(void)fprintf(stderr, "drcoord: assertion failed: %s at %s:%d\n", cond, file, line);
	if (hook != NULL)
		hook(cond, file, line);
	abort();
}
