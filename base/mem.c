/* mem.c -- see mem.h. */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_die(void *p, size_t n)
{
	if (p == NULL) {
		(void)fprintf(stderr, "drcoord: out of memory (%zu bytes)\n", n);
		abort();
	}
	return p;
}

void *dr_xcalloc(size_t n)
{
	size_t some = n == 0 ? 1 : n;
	return or_die(calloc(1, some), some);
}

void *dr_xrealloc(void *p, size_t n)
{
	size_t some = n == 0 ? 1 : n;
	return or_die(realloc(p, some), some);
}

char *dr_xstrdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = dr_xcalloc(n);
	memcpy(p, s, n);
	return p;
}

void dr_free(void *p)
{
	free(p);
}
