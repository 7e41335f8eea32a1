/* nearest.h -- "did you mean": of several candidates the one that a mistyped word most resembles.  Pure. */
#ifndef DR_BASE_NEAREST_H
#define DR_BASE_NEAREST_H

struct dr_nearest {
	const char *word; /* borrowed, as the candidates are */
	const char *best;
	unsigned distance;
};

/* Feed every candidate, then ask. */
struct dr_nearest dr_nearest_to(const char *word);
void dr_nearest_try(struct dr_nearest *n, const char *candidate);
/* NULL when nothing is near enough to be what was meant. */
const char *dr_nearest_found(const struct dr_nearest *n);

#endif
