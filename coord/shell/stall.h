/* stall.h -- how long this process stood still, by what its own timers should have done: a running total, so that whoever
 * counts somebody's silence can take off what of it is not in its count yet, whenever it is that it looks.
 *
 * Pure: no clock.  Zeroed is the beginning. */
#ifndef DR_COORD_SHELL_STALL_H
#define DR_COORD_SHELL_STALL_H

#include <stdint.h>

struct dr_stall {
	uint64_t total_ms;
	uint64_t due_ms; /* when the next timer ought to run; 0: none has run yet */
};

/* A timer runs now; the next one, of all that call this, ought to run at next_ms.  Late by least_ms it stood still. */
void dr_stall_alive(struct dr_stall *s, uint64_t now_ms, uint64_t next_ms, uint64_t least_ms);

/* What was added since *counted, which becomes the present total. */
uint64_t dr_stall_take(const struct dr_stall *s, uint64_t *counted);

#endif
