/* mem.c -- see mem.h. */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static void *or_die(void *p, size_t n)
{
	if (p == NULL) {
		char why[64];
		(void)snprintf(why, sizeof(why), "out of memory (%zu bytes)", n);
		dr_die(why, __FILE__, __LINE__); /* the log's last lines first, which the hook writes */
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
