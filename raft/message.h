/* message.h -- libraft's messages as bytes, for the links between coordinators (transport.h) and for heartbeats that
 * others carry (beat.h).
 *
 * libraft has a form of its own, whose decoders believe every length and count.  Here nothing is believed: what
 * decodes is a message that libraft can take, whatever a coordinator that was taken over, or has a bug, wrote.
 *
 * All big endian: u8 type (libraft's), u8 version of it, u64 from, u64 to (raft ids), u64 term, then
 *   vote         u64 candidate (who it is from), u64 last index, u64 its term, u8 flags (1 disrupts a leader, 2 pre-vote)
 *   vote result  u8 flags (1 granted, 2 pre-vote), u16 features, u16 capacity
 *   append       u64 previous index, u64 its term, u64 commit index, u32 entries, each: u64 term, u8 type, u32 length, bytes
 *   its result   u64 rejected index, u64 last index, u16 features, u16 capacity
 *   install      u64 last index, u64 its term, u64 configuration's index, u16 servers, each: u64 id, u8 role, u16 length,
 *                address; then the snapshot
 *   timeout now  u64 last index, u64 its term
 *
 * Pure: no I/O.  Any thread. */
#ifndef DR_RAFT_MESSAGE_H
#define DR_RAFT_MESSAGE_H

#include <raft.h>

#include "base/buf.h"
#include "base/error.h"

enum {
	DR_MESSAGE_SNAPSHOT_MAX = 512 << 20,                       /* libraft keeps it in one buffer, and breaks past 2 GiB */
	DR_MESSAGE_MAX = DR_MESSAGE_SNAPSHOT_MAX + (1 << 20),      /* bytes of any */
	DR_MESSAGE_APPEND_MAX = 1 << 20                            /* of an append's entries; more are left for the next */
};

/* Where a snapshot ends. */
struct dr_snapshot_end {
	uint64_t index, term;
};

/* What libraft 0.22 leaves out of some messages that it is about to send, filled in from what it knows: call it on a copy of
 * every message before it is encoded.  read: the end of the snapshot that it was last given to send.
 * - The hint of a refused append is left unset, and what lay in memory must not decide anything.
 * - A pre-vote that is refused for its old term is answered with that term.  A candidate behind in terms would then never
 *   learn of the newer one, and one behind in its log cannot win: two that are left would not elect for ever (Ongaro,
 *   "Consensus", 9.6: every answer carries the term of whoever answers).
 * - A snapshot that was taken between the decision to send one and its reading goes with its own index and the term of the
 *   one before.  Whoever takes it stores that term, and the next entries contradict it: libraft ends the process, each time. */
void dr_message_complete(struct raft_message *m, struct raft *of, const struct dr_snapshot_end *read);

/* Append the bytes of m, which `from` sends to m->server_id.  Of an append as many entries as fit, one at least: libraft
 * goes back to those that are missing.  False: it is larger than out may become, or of no known type. */
DR_MUST_USE bool dr_message_encode(struct dr_buf *out, uint64_t from, const struct raft_message *m);

/* All of *m but server_address; server_id is who sent it.  Entries, membership and snapshot are libraft's own memory,
 * which its recv takes over, or dr_message_drop() frees.  PROTOCOL: garbled, and nothing needs to be freed. */
DR_MUST_USE enum dr_err dr_message_decode(struct raft_message *m, uint64_t *to, const uint8_t *bytes, size_t len,
					  struct dr_error *e);
void dr_message_drop(struct raft_message *m);

#endif
