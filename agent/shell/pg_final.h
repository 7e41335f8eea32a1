/* pg_final.h -- where a stopped PostgreSQL ended, from the head of its control file: read in a planned switch, where
 * every client waits, so not by pg_controldata (jobs.h), which takes a process of its own. */
#ifndef DR_AGENT_SHELL_PG_FINAL_H
#define DR_AGENT_SHELL_PG_FINAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct dr_pg_final {
	uint64_t system_id;
	uint32_t timeline;
	uint64_t checkpoint;  /* where the newest checkpoint record begins */
	bool shut_down;       /* the server was stopped cleanly; that record is the last one */
};

/* Read DATA/global/pg_control (its head has kept its place from PostgreSQL 13 to 17; pg_final.c names the
 * fields).  UNSUPPORTED: of another version.  Blocking. */
DR_MUST_USE enum dr_err dr_pg_final_read(const char *data_dir, struct dr_pg_final *out, struct dr_error *e);

#endif
