/* pg_wal.h -- positions, timelines and segment names of PostgreSQL's write-ahead log, as text.  Pure. */
#ifndef DR_AGENT_SHELL_PG_WAL_H
#define DR_AGENT_SHELL_PG_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { PG_HISTORY_MAX = 256, PG_SEGMENT_NAME = 24, PG_LSN_TEXT = 24 };

/* "1/A00028"; false when it isn't one.  The text may go on after it. */
bool pg_lsn_parse(const char *s, uint64_t *out);
const char *pg_lsn_text(uint64_t lsn, char buf[PG_LSN_TEXT]);

/* A server's way through the timelines: on each until `end` (UINT64_MAX: it is still there). */
struct pg_history {
	size_t n;
	struct {
		uint32_t timeline;
		uint64_t end;
	} at[PG_HISTORY_MAX];
};

/* From the text of a .history file (NULL or "": none) and the timeline that it is of. */
DR_MUST_USE enum dr_err pg_history_parse(const char *text, uint32_t timeline, struct pg_history *out,
					 struct dr_error *e);

/* Until where two servers were one: the last timeline both have, and the nearer of the two ends on it.
 * False: nothing in common.  lsn is UINT64_MAX when both are still on that timeline. */
bool pg_history_fork(const struct pg_history *a, const struct pg_history *b, uint32_t *timeline,
		     uint64_t *lsn);

/* "000000010000000000000003" (a ".partial" behind it is fine) to its parts; false when it isn't one. */
bool pg_segment_parse(const char *name, uint32_t segment_bytes, uint32_t *timeline, uint64_t *number);

#endif
