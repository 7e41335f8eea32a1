/* nearest.c -- see nearest.h. */
#include "base/nearest.h"

#include <stddef.h>
#include <string.h>

#include "base/parse.h"

struct dr_nearest dr_nearest_to(const char *word)
{
	return (struct dr_nearest){ .word = word };
}

void dr_nearest_try(struct dr_nearest *n, const char *candidate)
{
	unsigned d = dr_edit_distance(n->word, candidate);
	/* A beginning ("prio") is as good as one slip. */
	size_t len = strlen(n->word);
	if (len >= 3 && d > 1 && strncmp(n->word, candidate, len) == 0)
		d = 1;
	if (n->best == NULL || d < n->distance) {
		n->best = candidate;
		n->distance = d;
	}
}

const char *dr_nearest_found(const struct dr_nearest *n)
{
	/* A third of the letters may be wrong, one of a short word. */
	size_t len = strnlen(n->word, DR_NAME_MAX);
	unsigned most = len < 6 ? 1 : (unsigned)(len / 3);
	/* Two letters changed places ("snyc") is two single edits. */
	most = len >= 4 && most < 2 ? 2 : most;
	return n->best != NULL && n->distance <= most ? n->best : NULL;
}
