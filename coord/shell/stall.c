/* stall.c -- see stall.h. */
#include "coord/shell/stall.h"

void dr_stall_alive(struct dr_stall *s, uint64_t now_ms, uint64_t next_ms, uint64_t least_ms)
{
	if (s->due_ms != 0 && now_ms >= s->due_ms + least_ms)
		s->total_ms += now_ms - s->due_ms;
	s->due_ms = next_ms;
}

uint64_t dr_stall_take(const struct dr_stall *s, uint64_t *counted)
{
	uint64_t more = s->total_ms - *counted;
	*counted = s->total_ms;
	return more;
}
