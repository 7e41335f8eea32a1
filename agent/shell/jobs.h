/* jobs.h -- long local work on a server's files: compare, salvage, rewind, clone, follow settings.
 *
 * Each job runs in a thread of its own with child processes (the server's own tools, as os_user, in a session and
 * cgroup of their own), a deadline and cancel; `done` comes once, on the loop thread.  Every job may be run
 * again after any failure, cancel or crash.  Nothing is destroyed before what it held is saved: rewind asks
 * for the salvage to be there, clone builds beside and swaps at the end.
 *
 * Ownership: the caller's struct stays in place until done; results are read from it there. */
#ifndef DR_AGENT_SHELL_PG_JOBS_H
#define DR_AGENT_SHELL_PG_JOBS_H

#include <stdatomic.h>
#include <uv.h>

#include "adapters/adapter.h"
#include "model/ids.h"
#include "sys/cgroup.h"

/* What a job needs to know of the local server; copied at start. */
struct dr_job_local {
	struct dr_name service, member;
	char program[DR_NAME_MAX];   /* of the server's processes */
	char data_dir[DR_PATH_MAX];
	char bin_dir[DR_PATH_MAX];
	char os_user[DR_NAME_MAX];   /* "": as we are */
	char superuser[DR_NAME_MAX]; /* on the source, for pg_rewind */
	char superuser_password_file[DR_PATH_MAX];
	char replication_user[DR_NAME_MAX]; /* on the source */
	char replication_password_file[DR_PATH_MAX];
	char database[DR_NAME_MAX]; /* "" is postgres */
	char salvage_dir[DR_PATH_MAX];
	uint64_t salvage_max; /* bytes of everything in salvage_dir */
	/* For a member that is built from nothing, else its own files say it; "" leaves them out. */
	char listen_host[DR_HOST_MAX];
	uint16_t listen_port;
	char socket_dir[DR_PATH_MAX]; /* MySQL, MariaDB: the socket itself */
	char config_file[DR_PATH_MAX]; /* MySQL, MariaDB */
};

/* Whom to compare with, rewind to, clone from or follow. */
struct dr_job_source {
	struct dr_name member;
	char host[DR_HOST_MAX];
	uint16_t port;
};

enum dr_pg_verdict {
	DR_PG_UNKNOWN = 0,
	DR_PG_FOLLOWS, /* nothing of ours is missing at the source: start as a standby */
	DR_PG_REWIND,  /* we have `extra` bytes that the source never had, and pg_rewind can take them back */
	DR_PG_CLONE,   /* only a new copy helps: see why */
	DR_PG_STRANGER, /* another system identifier: nobody's copy of this service */
	DR_PG_NOTHING   /* there is no data here: clone, nothing to salvage */
};
const char *dr_pg_verdict_text(enum dr_pg_verdict v);

struct dr_pg_compare {
	enum dr_pg_verdict verdict;
	uint64_t system_id, source_system_id;
	uint32_t timeline, source_timeline;
	uint32_t fork_timeline; /* the last timeline that both share */
	uint64_t fork_lsn;      /* until where they agree */
	uint64_t end_lsn;       /* end of our WAL (start of the last record, plus its length) */
	uint64_t extra;         /* end_lsn - fork_lsn when diverged: bytes to salvage */
	uint64_t source_lsn;
	uint32_t wal_segment_bytes;
	bool end_known;        /* end_lsn was read from the WAL; else salvage takes every segment there is */
	bool clean;            /* was shut down cleanly */
	bool checksums, hints; /* what pg_rewind needs: either */
	char state[40];        /* as pg_controldata words it */
	char why[DR_REASON_MAX];
};

struct dr_job_salvage {
	char path[DR_PATH_MAX]; /* of the salvage folder; "" when there was nothing to save */
	uint32_t files;
	uint64_t bytes;
	bool existed; /* an earlier run had saved just this */
};

enum dr_job_kind {
	DR_JOB_COMPARE, /* fills compare */
	DR_JOB_SALVAGE, /* from compare (run first, kept in the job): copies WAL from the fork on; fills salvage.
			      * NO_SPACE: the folder is full or too small; nothing was changed */
	DR_JOB_REWIND, /* pg_rewind; then standby.signal and the settings as FOLLOW */
	DR_JOB_CLONE,  /* pg_basebackup beside, swapped in; then as FOLLOW.  Old data: DATA.old-TIME */
	DR_JOB_FOLLOW, /* standby.signal, primary_conninfo, primary_slot_name, no synchronous_standby_names */
	DR_JOB_MARK,   /* standby.signal alone, of a server that may run: its disk may take long, and leases go on meanwhile */
	/* MySQL, MariaDB */
	DR_JOB_MY_SALVAGE, /* the binary logs with what the source has not, and a list of that; fills salvage */
	DR_JOB_MY_SEND,  /* MariaDB: the running server's copy, as a stream into `out` */
	DR_JOB_MY_CLONE, /* MariaDB: such a stream, which comes from `in`, unpacked beside, made ready, swapped in */
	DR_JOB_MY_BESIDE, /* MySQL: an empty folder beside, for op COPIED */
	DR_JOB_MY_SWAP,  /* MySQL: the copy that op COPIED made beside is swapped in */
	/* Redis, Valkey: all data goes into a folder of its own under salvage_dir, salvage.path ("": there was none), and the data
	 * folder is empty.  NO_SPACE: salvage_dir would hold more than salvage_max */
	DR_JOB_RED_ASIDE,
	DR_JOB_REDC_ASIDE, /* the same of a node of a Redis Cluster, whose own nodes.conf stays */
	DR_JOB_DISCARD /* remove DATA.old-* and what failed clones left: call it once the member follows */
};

/* MySQL, MariaDB: what the jobs go by. */
struct dr_job_my {
	bool nothing;                    /* there is no data here: nothing to salvage */
	char theirs[DR_HISTORY_MAX];     /* what the source has, as op COMPARED saw it */
	char log_index[DR_PATH_MAX];     /* the list of our own binary logs */
};
struct dr_job_pipe {
	int in, out;                     /* MY_CLONE, MY_SEND: a pipe's end, the job's from its start on; 0: none */
	/* MY_CLONE: whoever feeds `in` says how that ended before the other end is closed: an error's code, or OK. */
	atomic_int fed;                  /* FED_NOT_YET until then */
	struct dr_error fed_error;       /* written before fed */
};
enum { DR_JOB_FED_NOT_YET = -1 };

struct dr_job {
	/* set by the caller */
	enum dr_job_kind kind;
	struct dr_job_local local;
	struct dr_job_source source;
	uint32_t deadline_ms;
	struct dr_pg_compare compare; /* COMPARE fills it; SALVAGE reads it */
	struct dr_job_salvage salvage;
	struct dr_job_my my;      /* kept from order to order of one op: of the comparison */
	struct dr_job_pipe pipe;
	/* e == NULL: done, see compare and salvage; else why not, and what the tool said last in tail. */
	void (*done)(struct dr_job *job, const struct dr_error *e);
	void *ctx;
	char tail[4096]; /* the end of the last child's stderr */
	/* private */
	const struct dr_cgroup_root *root;
	struct dr_cgroup group;
	uv_thread_t thread;
	uv_async_t finished;
	int cancel_fd; /* readable once cancelled */
	uint64_t until_ns;
	struct dr_os_user user;
	bool has_user, has_thread;
	struct dr_error error;
};

/* Begin; an error means that done will not be called.  The server must be stopped (CONFLICT when a postmaster
 * lives), except for COMPARE, MARK, MY_SEND, MY_BESIDE and DISCARD. */
DR_MUST_USE enum dr_err dr_job_start(struct dr_job *job, uv_loop_t *loop,
					const struct dr_cgroup_root *root, struct dr_error *e);
/* "DATA.suffix": what jobs keep beside a data folder.  DATA.rewinding: a rewind has begun, and its files are a mixture. */
void dr_job_beside(const char *data_dir, const char *suffix, char *dst, size_t cap);
/* Where the copy of a server with this data folder is made. */
void dr_job_copy_folder(const char *data_dir, char *dst, size_t cap);
/* Kill its children and end it soon; done(CANCELLED) follows.  After done: nothing to do, don't call it. */
void dr_job_cancel(struct dr_job *job);

#endif
