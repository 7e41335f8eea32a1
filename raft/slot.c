/* slot.c -- when libraft must be woken next: pure, so that the simulator uses the same.
 *
 * libraft asks for a tick every heartbeat, whatever its role.  Only a leader (heartbeats) needs that.  The ticks of
 * a follower and of a candidate look at one thing, whether the election timeout is over, and the time of that is
 * known: they are woken then, and twice an election timeout for whatever else libraft may do.  So an idle
 * follower sleeps from beat to beat.
 *
 * Two that wake within a message's way of each other split the vote, and the cluster waits for another whole
 * timeout (Ongaro, "Consensus: Bridging Theory and Practice", 3.4 and 9.3).  libraft draws from [E, 2E): with
 * two followers of E = 300 ms that is some 2 % of the elections.  They all count from the same heartbeat, so
 * each may wake only in slots of its own: see dr_tick_slot and docs/decisions/0004-election-slots.md. */
#include "raft/slot.h"

enum { SLOTS_PER_ELECTION = 16 /* 19 ms of 300 */ };

uint64_t dr_tick_slot(uint64_t waited_ms, unsigned election_ms, unsigned rank, unsigned voters)
{
	uint64_t slot = election_ms / SLOTS_PER_ELECTION + 1, lap = slot * voters, own = slot * rank;

	return (waited_ms + lap - own - 1) / lap * lap + own;
}

uint64_t dr_tick_election_due(const struct raft *r, unsigned election_ms)
{
	const struct raft_configuration *c = &r->configuration;
	uint64_t drawn = raft_timeout(r), start = r->election_timer_start;
	unsigned voters = 0, rank = 0;

	for (unsigned i = 0; i < c->n; i++) {
		if (c->servers[i].role != RAFT_VOTER)
			continue;
		voters++;
		rank += c->servers[i].id < r->id;
	}
	if (rank >= voters || drawn <= start)
		return drawn; /* no voter: it holds no elections */
	/* After a pre-vote that failed each counts from its own start, which is in a slot of its own already. */
	if (r->state == RAFT_CANDIDATE && r->candidate_state.in_pre_vote)
		rank = 0;
	return start + dr_tick_slot(drawn - start, election_ms, rank, voters);
}

uint64_t dr_tick_wait(const struct raft *r, uint64_t now, unsigned heartbeat_ms, unsigned election_ms)
{
	if (r->state != RAFT_FOLLOWER && r->state != RAFT_CANDIDATE)
		return heartbeat_ms;

	uint64_t due = dr_tick_election_due(r, election_ms);

	if (due <= now + election_ms) /* no tick between the draw and the slot */
		return due > now ? due - now : 1;
	return election_ms / 2;
}
