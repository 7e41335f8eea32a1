/* beat.h -- heartbeats and the answers of followers, past libraft's own streams.
 *
 * They are nearly all that an idle cluster says, ten times a second to each follower, and on libraft's streams
 * each goes through a socket pair on both sides.  So the send hook offers them to dr_raft_config.carry first:
 * the caller has a connection to that member anyway.  What is not carried takes libraft's stream as ever.
 *
 * A carried message may be lost, which Raft allows, or overtake one on the stream, which costs libraft a second
 * copy of that: so a heartbeat is carried only to a follower that nothing is on its way to.  Elections, entries, what
 * is said of those, refusals and snapshots are never carried.  Internal to raft/; the loop's thread.
 *
 * Bytes: u8 kind (libraft's type), u8 libraft's version of it, u64be from, u64be to, u64be term, then
 *   heartbeat: u64be previous index, u64be its term, u64be commit index
 *   answer:    u64be rejected index, u64be last index, u16be features, u16be capacity */
#ifndef DR_RAFT_BEAT_H
#define DR_RAFT_BEAT_H

#include <raft.h>

#include "base/buf.h"

enum { DR_BEAT_MAX = 64 };

/* Append the bytes of m, sent by `from`; false: it is none that is carried. */
DR_MUST_USE bool dr_beat_encode(struct dr_buf *out, uint64_t from, const struct raft_message *m);
/* All of *m but its server_address.  False: garbled. */
DR_MUST_USE bool dr_beat_decode(struct raft_message *m, uint64_t *to, const uint8_t *bytes, size_t len);

struct dr_raft;
/* After dr_storage_open. */
void dr_beat_install(struct dr_raft *r);

#endif
