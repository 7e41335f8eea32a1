/* snapshot.h -- replicated state as bytes, for Raft's snapshots. */
#ifndef DR_COORD_SHELL_SNAPSHOT_H
#define DR_COORD_SHELL_SNAPSHOT_H

#include "base/buf.h"
#include "coord/core/repl.h"

/* Append the whole state and the ledger's head.  Equal states give equal bytes. */
void dr_snapshot_encode(struct dr_buf *out, const struct dr_repl *r, const uint8_t ledger_head[32]);

/* Into *r, which must be fresh (zeroed, dr_repl_init).  CORRUPT: it does not decode; *r is then of no use. */
DR_MUST_USE enum dr_err dr_snapshot_decode(struct dr_repl *r, uint8_t ledger_head[32], const uint8_t *p, size_t n,
					   struct dr_error *e);

#endif
