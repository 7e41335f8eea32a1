/* mem.h -- allocation that never returns NULL: out of memory ends the process, the others carry on.
 *
 * Not for the two core/ folders, which allocate nothing. */
#ifndef DR_BASE_MEM_H
#define DR_BASE_MEM_H

#include <stddef.h>

/* Zeroed memory of n bytes (n may be 0).  Free with dr_free(). */
void *dr_xcalloc(size_t n);
void *dr_xrealloc(void *p, size_t n);
char *dr_xstrdup(const char *s);
void dr_free(void *p);

#endif
