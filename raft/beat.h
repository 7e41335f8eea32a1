/* beat.h -- heartbeats and the answers of followers, past the links of raft.
 *
 * They are nearly all that an idle cluster says, ten times a second to each follower, and on a link of
 * its own each wakes both sides once more.  So the send hook offers them to dr_raft_config.carry first: the caller
 * has a connection to that member anyway.  What is not carried takes the link (transport.h).
 *
 * A carried message may be lost, which Raft allows, or overtake one on the link, which costs libraft a second
 * copy of that: so a heartbeat is carried only to a follower that nothing is on its way to.  Elections, entries, what
 * is said of those, refusals and snapshots are never carried.  Internal to raft/; the loop's thread.
 *
 * The bytes are message.h's. */
#ifndef DR_RAFT_BEAT_H
#define DR_RAFT_BEAT_H

enum { DR_BEAT_MAX = 64 };

struct dr_raft;
/* After dr_storage_open. */
void dr_beat_install(struct dr_raft *r);

#endif
