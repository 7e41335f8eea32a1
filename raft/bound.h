/* bound.h -- how long the log grows between snapshots, in bytes.
 *
 * libraft keeps the log in memory and counts entries, of which one may bear 1 command or 128: bytes count, too.  A snapshot
 * costs what it is long, on the loop, so one is due after as many bytes of log; and a follower that was away for a moment is
 * cheaper served with what came since the last one than with all of the state, so that much stays behind a snapshot. */
#ifndef DR_RAFT_BOUND_H
#define DR_RAFT_BOUND_H

#include <stdbool.h>
#include <stddef.h>

enum { DR_BOUND_BYTES_MIN = 4 << 20, DR_BOUND_BYTES_MAX = 64 << 20 };

struct dr_bound {
	unsigned entries; /* applied since the last snapshot, or the start */
	size_t bytes;     /* of these */
	size_t snapshot;  /* the last snapshot's; 0: there was none */
	unsigned entries_before; /* as they were before that one was taken */
	size_t snapshot_before;
};

void dr_bound_applied(struct dr_bound *b, size_t bytes);
/* One of so many bytes was made, to be stored now, or came from the leader. */
void dr_bound_taken(struct dr_bound *b, size_t bytes);
/* It could not be stored: what came before it may stay behind the next one, too, which is tried after as many bytes more. */
void dr_bound_lost(struct dr_bound *b);
/* Whether a snapshot is due for the bytes alone. */
bool dr_bound_is_due(const struct dr_bound *b);
/* How many entries may stay behind it, at most so many. */
unsigned dr_bound_trailing(const struct dr_bound *b, unsigned most);

#endif
