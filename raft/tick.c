/* tick.c -- libraft's clock: it is woken when slot.c says that it must be. */
#include "raft/internal.h"
#include "raft/slot.h"

enum { UNUSED_TICK_MS = 24 * 3600 * 1000 /* of libraft's own timer */ };

static void on_due(uv_timer_t *t);

static void arm(struct dr_raft *r)
{
	uint64_t now = r->storage.io.time(&r->storage.io);
	uint64_t wait = dr_tick_wait(&r->raft, now, r->config.heartbeat_ms, r->config.election_ms);

	r->ticked_as = (int)raft_state(&r->raft);
	r->tick_due = now + wait;
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
	    (r->ticked_as != RAFT_LEADER && dr_tick_election_due(&r->raft, r->config.election_ms) < r->tick_due))
		arm(r);
}

static int hook_start(struct raft_io *io, unsigned ms, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
	struct dr_raft *r = (struct dr_raft *)(void *)io;
	int rv;

	(void)ms; /* the heartbeat's */
	rv = r->started(io, UNUSED_TICK_MS, tick, recv);
	if (rv == 0) {
		dr_transport_start(&r->transport);
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
