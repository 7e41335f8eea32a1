/* tick.c -- libraft's clock: it asks for a tick every heartbeat, whatever its role.
 *
 * Only a leader (heartbeats) needs that.  The ticks of a follower and of a candidate look at one thing,
 * whether the election timeout is over, and the time of that is known: they are woken then, and twice an
 * election timeout for whatever else libraft may do.  So an idle follower sleeps from beat to beat.
 *
 * Two that wake within a message's way of each other split the vote, and the cluster waits for another whole
 * timeout (Ongaro, "Consensus: Bridging Theory and Practice", 3.4 and 9.3).  libraft draws from [E, 2E): with
 * two followers of E = 300 ms that is some 2 % of the elections.  They all count from the same heartbeat, so
 * each may wake only in slots of its own: see dr_tick_slot. */
#include "raft/internal.h"

enum {
	UNUSED_TICK_MS = 24 * 3600 * 1000, /* of libraft's own timer */
	SLOTS_PER_ELECTION = 16            /* 19 ms of 300 */
};

static void on_due(uv_timer_t *t);

uint64_t dr_tick_slot(uint64_t waited_ms, unsigned election_ms, unsigned rank, unsigned voters)
{
	uint64_t slot = election_ms / SLOTS_PER_ELECTION + 1, lap = slot * voters, own = slot * rank;

	return (waited_ms + lap - own - 1) / lap * lap + own;
}

/* When the election timeout that libraft drew is over, put off to a slot of this member. */
static uint64_t election_due(const struct dr_raft *r)
{
	const struct raft_configuration *c = &r->raft.configuration;
	uint64_t drawn = raft_timeout(&r->raft), start = r->raft.election_timer_start;
	unsigned voters = 0, rank = 0;

	for (unsigned i = 0; i < c->n; i++) {
		if (c->servers[i].role != RAFT_VOTER)
			continue;
		voters++;
		rank += c->servers[i].id < r->raft.id;
	}
	if (rank >= voters || drawn <= start)
		return drawn; /* no voter: it holds no elections */
	return start + dr_tick_slot(drawn - start, r->config.election_ms, rank, voters);
}

static void arm(struct dr_raft *r)
{
	uint64_t wait = r->config.heartbeat_ms, now = r->storage.io.time(&r->storage.io);

	r->ticked_as = (int)raft_state(&r->raft);
	if (r->ticked_as == RAFT_FOLLOWER || r->ticked_as == RAFT_CANDIDATE) {
		uint64_t due = election_due(r);

		wait = r->config.election_ms / 2;
		if (due <= now + r->config.election_ms) /* no tick between the draw and the slot */
			wait = due > now ? due - now : 1;
	}
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
	    (r->ticked_as != RAFT_LEADER && election_due(r) < r->tick_due))
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
