/* tick.c -- libraft's clock: it asks for a tick every heartbeat, whatever its role.
 *
 * Only a leader (heartbeats) and a candidate need that.  A follower's ticks look at one thing, whether the
 * leader has been silent for the election timeout, and the time of that is known: it is woken then, and twice
 * an election timeout for whatever else libraft may do.  So an idle follower sleeps from beat to beat. */
#include "raft/internal.h"

enum { UNUSED_TICK_MS = 24 * 3600 * 1000 }; /* of libraft's own timer */

static void on_due(uv_timer_t *t);

static void arm(struct dr_raft *r)
{
	uint64_t wait = r->config.heartbeat_ms, now = r->storage.io.time(&r->storage.io);

	r->ticked_as = (int)raft_state(&r->raft);
	r->tick_due = now + wait;
	if (r->ticked_as == RAFT_FOLLOWER) {
		uint64_t due = raft_timeout(&r->raft);

		wait = r->config.election_ms / 2;
		if (due < now + wait)
			wait = due > now ? due - now : 1;
		r->tick_due = now + wait;
	}
	(void)uv_timer_start(&r->tick, on_due, wait, 0);
}

static void on_due(uv_timer_t *t)
{
	struct dr_raft *r = t->data;

	if (!r->closing && r->config.before_tick != NULL)
		r->config.before_tick(r->config.ctx);
	if (r->closing)
		return;
	r->on_tick(&r->storage.io);
	arm(r);
}

void dr_tick_review(struct dr_raft *r)
{
	if (r->closing || r->on_tick == NULL)
		return;
	if ((int)raft_state(&r->raft) != r->ticked_as ||
	    (r->ticked_as == RAFT_FOLLOWER && raft_timeout(&r->raft) < r->tick_due))
		arm(r);
}

static int hook_start(struct raft_io *io, unsigned ms, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
	struct dr_raft *r = (struct dr_raft *)(void *)io;
	int rv;

	(void)ms; /* the heartbeat's */
	rv = r->started(io, UNUSED_TICK_MS, tick, recv);
	if (rv == 0) {
		r->on_tick = tick;
		arm(r);
	}
	return rv;
}

void dr_tick_install(struct dr_raft *r)
{
	r->started = r->storage.io.start;
	r->storage.io.start = hook_start;
}
