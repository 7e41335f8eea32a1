/* yield.c -- a leader that cannot store gives up the lead.
 *
 * Its entries count all the same, by the others' disks, so nothing is lost by it.  But of what all must store it is
 * one copy less, and libraft keeps in memory what waits for the disk: that has to end.  A disk that is only slow
 * advances, and keeps the lead. */
#include <inttypes.h>

#include "coord/shell/coord.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { STALLED_MS = 5000 }; /* and between two tries: the one who takes over may not be there yet */

static struct {
	uint64_t stored;
	uint64_t since_ms; /* something waits, and nothing was stored since; 0: nothing waits */
	bool under_way;
} stall;

static void on_ended(void *arg, const struct dr_error *e)
{
	(void)arg;
	stall.under_way = false;
	if (e->code != DR_OK)
		dr_log(DR_LOG_ERROR, "lead.kept", "why=\"%s\" next=\"tried again in %d s\"", e->msg, STALLED_MS / 1000);
}

static unsigned voters(const struct dr_raft_status *st)
{
	unsigned n = 0;
	for (uint32_t i = 0; i < st->members; i++)
		n += st->member[i].voter ? 1 : 0;
	return n;
}

static void yield_lead(struct dr_coord *c, const struct dr_raft_status *st)
{
	struct dr_error e;
	dr_log(DR_LOG_ERROR, "lead.yielded",
	       "why=\"nothing could be stored for %d s: is the disk full, or stuck?\" stored=%" PRIu64
	       " waiting=%" PRIu64,
	       STALLED_MS / 1000, st->stored, st->last - st->stored);
	stall.under_way = true;
	if (dr_raft_transfer(c->raft, 0, on_ended, NULL, &e) != DR_OK)
		on_ended(NULL, &e);
}

void dr_yield_beat(struct dr_coord *c)
{
	struct dr_raft_status st;
	uint64_t now = dr_clock_boot_ms();
	dr_raft_status(c->raft, &st);
	bool waits = !c->stopping && st.role == DR_RAFT_LEADER && st.stored < st.last;
	if (!waits || stall.stored != st.stored) {
		stall.stored = st.stored;
		stall.since_ms = waits ? now : 0;
		return;
	}
	if (stall.since_ms == 0)
		stall.since_ms = now;
	if (stall.under_way || now - stall.since_ms < STALLED_MS || voters(&st) < 2)
		return;
	stall.since_ms = now;
	yield_lead(c, &st);
}
