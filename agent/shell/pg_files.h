/* pg_files.h -- the few files of a PostgreSQL data folder that we read or write ourselves.
 *
 * What is written gets the owner of the data folder, is durable when the call returns, and appears whole or
 * not at all.  Blocking; any thread. */
#ifndef DR_AGENT_SHELL_PG_FILES_H
#define DR_AGENT_SHELL_PG_FILES_H

#include "sys/proc.h"

/* standby.signal: PostgreSQL comes up as a standby, whoever starts it. */
DR_MUST_USE enum dr_err dr_pg_mark_standby(const char *data_dir, struct dr_error *e);
DR_MUST_USE enum dr_err dr_pg_unmark_standby(const char *data_dir, struct dr_error *e);
bool dr_pg_is_marked(const char *data_dir);

/* The postmaster that runs on the data folder now, proved by /proc (its program and its working folder);
 * NOT_FOUND when postmaster.pid is absent, stale, or of a single-user server. */
DR_MUST_USE enum dr_err dr_pg_postmaster(const char *data_dir, struct dr_proc_id *out, struct dr_error *e);

/* Replace a file in the data folder (path is below it, or beside it with the same owner). */
DR_MUST_USE enum dr_err dr_pg_file_replace(const char *data_dir, const char *path, const void *bytes,
					   size_t len, struct dr_error *e);

struct dr_pg_setting {
	const char *key;
	const char *value; /* as is, quoted here; NULL: only take the key's lines out */
};
/* Set keys in postgresql.auto.conf of a stopped server: every line of a given key goes, one line each comes. */
DR_MUST_USE enum dr_err dr_pg_auto_conf(const char *data_dir, const struct dr_pg_setting *set, size_t n,
					struct dr_error *e);

#endif
