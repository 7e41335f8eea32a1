/* repair.h -- finish what a crash cut short in libraft's segments.
 *
 * Cutting the log is several steps in libraft: write a shorter copy of one segment, remove the segment and
 * all later ones.  A crash in between leaves files that its next start takes for corruption.  The same holds
 * for a snapshot that replaces the log: files of the old log may be left.  The guard remembers durably that
 * such a step had begun (nothing past its floor was ever reported); only then is anything repaired. */
#ifndef DR_RAFT_REPAIR_H
#define DR_RAFT_REPAIR_H

#include <stdint.h>

#include "base/error.h"

/* Offline; before libraft looks at the folder. */
DR_MUST_USE enum dr_err dr_repair_segments(const char *dir, uint64_t floor, struct dr_error *e);

#endif
