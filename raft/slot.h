/* slot.h -- when libraft must be woken next (see slot.c).  Pure; times are libraft's, in milliseconds. */
#ifndef DR_RAFT_SLOT_H
#define DR_RAFT_SLOT_H

#include <stdint.h>

#include <raft.h>

/* In how many ms a tick is due, at least 1. */
uint64_t dr_tick_wait(const struct raft *r, uint64_t now, unsigned heartbeat_ms, unsigned election_ms);

/* When the election timeout that a follower or candidate drew is over, put off to a slot of this member. */
uint64_t dr_tick_election_due(const struct raft *r, unsigned election_ms);

/* The first moment at or after `waited_ms` since the last heartbeat in which the voter number `rank` (from 0,
 * by id) of `voters` may start an election.  No two voters share one, and moments of two are at least a
 * sixteenth of `election_ms` apart; it is later than asked by less than voters/16 of election_ms, plus a
 * millisecond each. */
uint64_t dr_tick_slot(uint64_t waited_ms, unsigned election_ms, unsigned rank, unsigned voters);

#endif
