/* probe_kind.h -- what the write probes of a primary say, one after the other: how it fails, and since when.
 *
 * A streak counts per policy: one slow probe behind many for which nobody would be moved says nothing of how long those
 * for which one would have lasted.
 *
 * Pure: no clock, no log.  The caller owns the streak; zeroed it is one of no failure. */
#ifndef DR_PROBE_KIND_H
#define DR_PROBE_KIND_H

#include <stdbool.h>
#include <stdint.h>

#include "adapters/adapter.h"
#include "model/report.h"

/* Write probes that failed in a row; NONE: the newest did not. */
struct dr_probe_streak {
	enum dr_failure kind;
	uint64_t newest_ms;           /* the newest one's end */
	uint64_t newest_began_ms;
	uint32_t hung;                /* how many of them ended at their deadline ... */
	uint32_t writes_hung;         /* ... and of those, how many after the server had answered */
	struct {
		enum dr_failure kind; /* the newest of just this policy; NONE: none was */
		uint64_t since_ms;    /* the first one's begin; 0: the newest one's policy does less */
	} run[DR_FAILURE_MOVE + 1];   /* by policy: those in a row for which that much is done, or more */
};

/* What the end of one write probe says (model/failures.def); e: NULL when it ended well.  NONE also for an end of our own
 * making (no descriptor left here, cancelled): that says nothing of the server, and no streak goes on over it. */
enum dr_failure dr_probe_kind(const struct dr_evidence *seen, const struct dr_error *e);

/* From when a probe that began and ended then counts: none lasts longer than its deadline, so what it took beyond that was
 * a stall of this process, in which nobody looked. */
uint64_t dr_probe_counts_from(uint64_t began_ms, uint64_t ended_ms, uint32_t deadline_ms);

/* A write probe that began and ended then.  Returns whether a streak begins with it. */
bool dr_probe_streak_note(struct dr_probe_streak *s, enum dr_failure kind, uint64_t began_ms, uint64_t ended_ms);

/* How it fails: so that most is done, of what has lasted stall_ms, else as the newest says.  *ms: for how long, as far as was
 * looked. */
enum dr_failure dr_probe_streak_says(const struct dr_probe_streak *s, uint64_t stall_ms, uint64_t *ms);

/* All its moments, moved on by a stall of our own, but never beyond now. */
void dr_probe_streak_later(struct dr_probe_streak *s, uint64_t stalled_ms, uint64_t now_ms);

/* Whether the next probe may begin: each that hangs leaves a connection behind on the server until that goes on, so
 * those begin apart from one another, five to a stall_ms and at most one second. */
bool dr_probe_streak_may(const struct dr_probe_streak *s, uint64_t stall_ms, uint64_t now_ms);

/* How long the next probe may take.  After one that came to its deadline it may take as long as there is to the one
 * after it: a server that answers within a second, only not within deadline_ms, is slow and does not hang. */
uint32_t dr_probe_streak_deadline_ms(const struct dr_probe_streak *s, uint64_t stall_ms, uint32_t deadline_ms);

#endif
