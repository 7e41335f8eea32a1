/* pg_jobs_own.h -- shared by the pg_*.c of this folder only.  All of it runs in the job's thread. */
#ifndef DR_AGENT_SHELL_PG_JOBS_OWN_H
#define DR_AGENT_SHELL_PG_JOBS_OWN_H

#include "agent/shell/pg_jobs.h"
#include "agent/shell/pg_wal.h"
#include "base/buf.h"

enum { PG_PATH = DR_PATH_MAX + 96 };

/* pg_child.c: one child process. */
struct pg_child {
	const char *argv[24];
	size_t argc;
	const char *password;                      /* as PGPASSWORD; NULL for none */
	void (*line)(void *ctx, const char *line); /* each line of its stdout; NULL: ignored */
	void *ctx;
};
void pg_child_arg(struct pg_child *c, const char *arg);
/* Run it to its end: FAILED with what it said last, TIMEOUT, CANCELLED.  Nothing of it runs afterwards. */
DR_MUST_USE enum dr_err pg_child_run(struct dr_pg_job *job, struct pg_child *c, struct dr_error *e);
/* CANCELLED or TIMEOUT when it is time to end, between the parts of a job. */
DR_MUST_USE enum dr_err pg_job_check(struct dr_pg_job *job, struct dr_error *e);
/* A program of the server's own, "BIN/NAME". */
void pg_program(const struct dr_pg_job *job, const char *name, char *dst, size_t cap);

/* pg_source.c: what the source says over its replication protocol. */
struct pg_source_seen {
	uint64_t system_id;
	uint32_t timeline;
	uint64_t lsn;
	struct pg_history history;
};
DR_MUST_USE enum dr_err pg_source_see(struct dr_pg_job *job, struct pg_source_seen *out, struct dr_error *e);
/* Whether the source can still send what follows a position of a timeline, as a standby would ask for it; false only when
 * it says that it has removed that. */
DR_MUST_USE enum dr_err pg_source_has_wal(struct dr_pg_job *job, uint32_t timeline, uint64_t lsn, bool *has,
					  struct dr_error *e);
/* "host=... port=... user=..." for a tool or libpq, without the password. */
DR_MUST_USE enum dr_err pg_source_conninfo(const struct dr_pg_job *job, const char *user,
					   const char *database, char *dst, size_t cap, struct dr_error *e);
/* The first line of the file, "" without a file. */
DR_MUST_USE enum dr_err pg_secret(const char *file, char dst[256], struct dr_error *e);

/* pg_control.c: pg_controldata's words. */
struct pg_control {
	uint64_t system_id;
	char state[40];
	uint64_t checkpoint, redo, min_recovery;
	uint32_t timeline, min_recovery_timeline, segment_bytes;
	bool checksums, hints, full_page_writes;
};
DR_MUST_USE enum dr_err pg_control_read(struct dr_pg_job *job, struct pg_control *out, struct dr_error *e);
bool pg_control_is_clean(const struct pg_control *c);
/* Take in one line of pg_controldata's; ctx: struct pg_control. */
void pg_control_line(void *ctx, const char *line);

/* pg_tree.c: files and folders. */
DR_MUST_USE enum dr_err pg_tree_remove(struct dr_pg_job *job, const char *path, struct dr_error *e);
DR_MUST_USE enum dr_err pg_file_copy(struct dr_pg_job *job, const char *from, const char *to,
				     char sha256_hex[65], struct dr_error *e);
bool pg_exists(const char *path);
/* Beside the data folder: "DATA.suffix". */
void pg_beside(const struct dr_pg_job *job, const char *suffix, char dst[PG_PATH]);
DR_MUST_USE enum dr_err pg_sync_parent(const char *path, struct dr_error *e);
/* "20261121T045600Z" */
void pg_stamp(char dst[20]);
DR_MUST_USE enum dr_err pg_give_to_owner(const struct dr_pg_job *job, const char *path, struct dr_error *e);

/* One file per kind. */
DR_MUST_USE enum dr_err pg_job_compare(struct dr_pg_job *job, struct dr_error *e);
DR_MUST_USE enum dr_err pg_job_salvage(struct dr_pg_job *job, struct dr_error *e);
DR_MUST_USE enum dr_err pg_job_rewind(struct dr_pg_job *job, struct dr_error *e);
DR_MUST_USE enum dr_err pg_job_clone(struct dr_pg_job *job, struct dr_error *e);
DR_MUST_USE enum dr_err pg_job_follow(struct dr_pg_job *job, struct dr_error *e);
DR_MUST_USE enum dr_err pg_job_discard(struct dr_pg_job *job, struct dr_error *e);

/* pg_follow.c: the settings of a standby into any data folder, with our own listen settings or not. */
DR_MUST_USE enum dr_err pg_follow_write(struct dr_pg_job *job, const char *data_dir, bool with_listen,
					struct dr_error *e);
/* The configuration files of `from` into the folder `to`, durable; those that `from` lacks are left alone. */
DR_MUST_USE enum dr_err pg_conf_copy(struct dr_pg_job *job, const char *from, const char *to,
				     struct dr_error *e);

#endif
