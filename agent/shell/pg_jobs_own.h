/* pg_jobs_own.h -- jobs on a PostgreSQL: shared by the pg_*.c of this folder only.  All of it runs in the job's thread. */
#ifndef DR_AGENT_SHELL_PG_JOBS_OWN_H
#define DR_AGENT_SHELL_PG_JOBS_OWN_H

#include "agent/shell/jobs_own.h"
#include "agent/shell/pg_wal.h"

/* pg_source.c: what the source says over its replication protocol. */
struct pg_source_seen {
	uint64_t system_id;
	uint32_t timeline;
	uint64_t lsn;
	struct pg_history history;
};
DR_MUST_USE enum dr_err pg_source_see(struct dr_job *job, struct pg_source_seen *out, struct dr_error *e);
/* Whether the source can still send what follows a position of a timeline, as a standby would ask for it; false only when
 * it says that it has removed that. */
DR_MUST_USE enum dr_err pg_source_has_wal(struct dr_job *job, uint32_t timeline, uint64_t lsn, bool *has,
					  struct dr_error *e);
/* "host=... port=... user=..." for a tool or libpq, without the password. */
DR_MUST_USE enum dr_err pg_source_conninfo(const struct dr_job *job, const char *user,
					   const char *database, char *dst, size_t cap, struct dr_error *e);
/* pg_control.c: pg_controldata's words. */
struct pg_control {
	uint64_t system_id;
	char state[40];
	uint64_t checkpoint, redo, min_recovery;
	uint32_t timeline, min_recovery_timeline, segment_bytes;
	bool checksums, hints, full_page_writes;
};
DR_MUST_USE enum dr_err pg_control_read(struct dr_job *job, struct pg_control *out, struct dr_error *e);
bool pg_control_is_clean(const struct pg_control *c);
/* Take in one line of pg_controldata's; ctx: struct pg_control. */
void pg_control_line(void *ctx, const char *line);

/* One file per kind. */
DR_MUST_USE enum dr_err pg_job_compare(struct dr_job *job, struct dr_error *e);
DR_MUST_USE enum dr_err pg_job_salvage(struct dr_job *job, struct dr_error *e);
DR_MUST_USE enum dr_err pg_job_rewind(struct dr_job *job, struct dr_error *e);
DR_MUST_USE enum dr_err pg_job_clone(struct dr_job *job, struct dr_error *e);
DR_MUST_USE enum dr_err pg_job_follow(struct dr_job *job, struct dr_error *e);
DR_MUST_USE enum dr_err pg_job_discard(struct dr_job *job, struct dr_error *e);

/* pg_follow.c: the settings of a standby into any data folder, with our own listen settings or not. */
DR_MUST_USE enum dr_err pg_follow_write(struct dr_job *job, const char *data_dir, bool with_listen,
					struct dr_error *e);
/* The configuration files of `from` into the folder `to`, durable; those that `from` lacks are left alone. */
DR_MUST_USE enum dr_err pg_conf_copy(struct dr_job *job, const char *from, const char *to,
				     struct dr_error *e);

#endif
