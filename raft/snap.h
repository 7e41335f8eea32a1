/* snap.h -- what we put around a snapshot, because libraft checks its bytes nowhere.
 *
 * Header, 64 bytes, big endian: magic "DRSNAP\0\1", u32 format, u32 zero, u64 length, SHA-256 of the data,
 * 8 zeros; then the data, padded with zeros to a multiple of 8. */
#ifndef DR_RAFT_SNAP_H
#define DR_RAFT_SNAP_H

#include <raft.h>
#include <stdint.h>

#include "base/error.h"

enum { DR_SNAP_HEADER = 64 };

/* Whether a snapshot may be taken now.
 *
 * libraft 0.22 names it after its commit index, which an AppendEntries that begins behind it and knows of a later
 * commit takes back (a follower whose answers are late gets such heartbeats): the state of index 135 under the name of
 * 128, to which 129 to 135 are applied once more after the next start.  An error from the callback is harmless, libraft
 * asks again after each event. */
bool dr_snap_may_take(const struct raft *r);

/* Fill the header for data of len bytes. */
void dr_snap_seal(uint8_t header[DR_SNAP_HEADER], const uint8_t *data, size_t len);
/* Check a whole snapshot; on success *data and *len are inside it. */
DR_MUST_USE enum dr_err dr_snap_open(const uint8_t *snap, size_t size, const uint8_t **data, size_t *len,
				     struct dr_error *e);
/* The hash's first 8 bytes, from a sealed header. */
uint64_t dr_snap_hash(const uint8_t *header);

#endif
