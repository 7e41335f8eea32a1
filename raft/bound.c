/* bound.c -- see bound.h. */
#include "raft/bound.h"

void dr_bound_applied(struct dr_bound *b, size_t bytes)
{
	b->entries++;
	b->bytes += bytes;
}

void dr_bound_taken(struct dr_bound *b, size_t bytes)
{
	*b = (struct dr_bound){ .snapshot = bytes, .entries_before = b->entries, .snapshot_before = b->snapshot };
}

void dr_bound_lost(struct dr_bound *b)
{
	b->entries += b->entries_before;
	b->entries_before = 0;
	b->snapshot = b->snapshot_before;
}

bool dr_bound_is_due(const struct dr_bound *b)
{
	size_t most = b->snapshot < DR_BOUND_BYTES_MAX ? b->snapshot : DR_BOUND_BYTES_MAX;

	return b->bytes >= (most > DR_BOUND_BYTES_MIN ? most : DR_BOUND_BYTES_MIN);
}

unsigned dr_bound_trailing(const struct dr_bound *b, unsigned most)
{
	unsigned n = b->entries < most ? b->entries : most;

	return n > 0 ? n : 1; /* none would mean: replace the log */
}
