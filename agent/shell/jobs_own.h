/* jobs_own.h -- shared by the jobs of all kinds in this folder.  All of it runs in the job's thread. */
#ifndef DR_AGENT_SHELL_JOBS_OWN_H
#define DR_AGENT_SHELL_JOBS_OWN_H

#include "agent/shell/jobs.h"
#include "base/buf.h"

enum { JOB_PATH = DR_PATH_MAX + 96 };

/* job_child.c: one child process. */
struct job_child {
	const char *argv[24];
	size_t argc;
	const char *password;                      /* as PGPASSWORD; NULL for none */
	int in, out;                               /* its stdin and, instead of lines, stdout; <= 0: none */
	int keep;                                  /* inherited under the same number; <= 0: none */
	void (*line)(void *ctx, const char *line); /* each line of its stdout; NULL: ignored */
	void *ctx;
};
void job_child_arg(struct job_child *c, const char *arg);
/* Run it to its end: FAILED with what it said last, TIMEOUT, CANCELLED.  Nothing of it runs afterwards. */
DR_MUST_USE enum dr_err job_child_run(struct dr_job *job, struct job_child *c, struct dr_error *e);
/* CANCELLED or TIMEOUT when it is time to end, between the parts of a job. */
DR_MUST_USE enum dr_err job_check(struct dr_job *job, struct dr_error *e);
/* A program of the server's own, "BIN/NAME". */
void job_program(const struct dr_job *job, const char *name, char *dst, size_t cap);

/* The first line of the file, "" without a file. */
DR_MUST_USE enum dr_err job_secret(const char *file, char dst[256], struct dr_error *e);

/* job_tree.c: files and folders. */
DR_MUST_USE enum dr_err job_tree_remove(struct dr_job *job, const char *path, struct dr_error *e);
DR_MUST_USE enum dr_err job_file_copy(struct dr_job *job, const char *from, const char *to,
				     char sha256_hex[65], struct dr_error *e);
bool job_exists(const char *path);
/* Beside the data folder: "DATA.suffix". */
void job_beside(const struct dr_job *job, const char *suffix, char dst[JOB_PATH]);
DR_MUST_USE enum dr_err job_sync_parent(const char *path, struct dr_error *e);
/* "20261121T045600Z" */
void job_stamp(char dst[20]);
/* Two digits a byte, and a 0. */
void job_hex(const unsigned char *in, unsigned n, char *out);
DR_MUST_USE enum dr_err job_give_to_owner(const struct dr_job *job, const char *path, struct dr_error *e);

/* job_salvage.c: files that only this server has, copied to a safe place with a manifest that says what they are. */
struct job_salvage {
	struct dr_job *job;
	char dir[JOB_PATH];                /* where the files are */
	char head[1024];                   /* what the manifest begins with: the same for the same files */
	bool (*wanted)(const struct job_salvage *s, const char *name);
	/* What else goes into the folder, before the manifest; NULL: nothing. */
	enum dr_err (*more)(struct job_salvage *s, const char *partial, struct dr_error *e);
	void *ctx;                         /* the caller's */
	/* private */
	struct dr_buf manifest;
	uint64_t need;
	uint32_t files;
};
/* Fills job->salvage.  A finished folder with the same head is found and left as it is. */
DR_MUST_USE enum dr_err job_salvage_run(struct job_salvage *s, struct dr_error *e);

/* job_copy.c: a copy made beside the data and swapped in when it is whole.
 *
 *   DATA.clone/data       the copy while it is made
 *   DATA.clone/finished   it is whole; from here on `data` may be the old data, swapped: never removed unseen
 *   DATA.old-TIME         the old data, until the member follows (job_copy_discard)
 * A folder that is to be removed has JOB_MARK in it; what has not is somebody else's, whatever it is called. */
#define JOB_MARK "drcoord-removes-this"
struct job_copy {
	char clone[JOB_PATH], data[JOB_PATH + 8], finished[JOB_PATH + 16];
};
void job_copy_places(const struct dr_job *job, struct job_copy *c);
/* Make the folder c->clone, the server's own, after what broken tries left was taken away. */
DR_MUST_USE enum dr_err job_copy_begin(struct dr_job *job, struct job_copy *c, struct dr_error *e);
/* c->data is whole: it and the data folder change places, durably. */
DR_MUST_USE enum dr_err job_copy_swap(struct dr_job *job, const struct job_copy *c, struct dr_error *e);
/* The old data gets a name of its own, what is left of the try goes. */
DR_MUST_USE enum dr_err job_copy_end(struct dr_job *job, const struct job_copy *c, struct dr_error *e);
/* After a failure: what was made so far gives its room back, as long as it was not swapped in; as well as that can be done.
 * Returns why. */
enum dr_err job_copy_failed(struct dr_job *job, const struct job_copy *c, enum dr_err why);
/* The old data beside the data folder, and what broken tries left. */
DR_MUST_USE enum dr_err job_copy_discard(struct dr_job *job, struct dr_error *e);

/* my_jobs.c, my_salvage.c */
DR_MUST_USE enum dr_err my_job_salvage(struct dr_job *job, struct dr_error *e);
DR_MUST_USE enum dr_err my_job_send(struct dr_job *job, struct dr_error *e);
DR_MUST_USE enum dr_err my_job_clone(struct dr_job *job, struct dr_error *e);
DR_MUST_USE enum dr_err my_job_beside(struct dr_job *job, struct dr_error *e);
DR_MUST_USE enum dr_err my_job_swap(struct dr_job *job, struct dr_error *e);

/* red_jobs.c */
DR_MUST_USE enum dr_err red_job_aside(struct dr_job *job, struct dr_error *e);
/* The same of a node of a Redis Cluster: the file by which the cluster knows it stays, too. */
DR_MUST_USE enum dr_err redc_job_aside(struct dr_job *job, struct dr_error *e);

#endif
