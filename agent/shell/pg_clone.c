/* pg_clone.c -- a new copy of the source by pg_basebackup (pg_jobs_own.h). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/shell/pg_files.h"
#include "agent/shell/pg_jobs_own.h"
#include "sys/file.h"

static enum dr_err base_backup(struct dr_job *job, const struct job_copy *p, struct dr_error *e)
{
	char program[JOB_PATH], source[1024], secret[256];
	struct job_child c = { .password = secret };
	enum dr_err rv = job_secret(job->local.replication_password_file, secret, e);
	if (rv == DR_OK)
		rv = pg_source_conninfo(job, job->local.replication_user, NULL, source, sizeof(source), e);
	if (rv == DR_OK) {
		job_program(job, "pg_basebackup", program, sizeof(program));
		const char *args[] = { program,        "-D", p->data,  "-d",
				       source,         "-X", "stream", "--checkpoint=fast",
				       "--no-password" };
		for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
			job_child_arg(&c, args[i]);
		rv = job_child_run(job, &c, e);
	}
	explicit_bzero(secret, sizeof(secret));
	return rv;
}

/* Our own configuration goes into the copy; without one, what the node file says about listening.  A rewind that broke off
 * may have put the source's in its place, and has kept ours. */
static enum dr_err dress(struct dr_job *job, const struct job_copy *p, const char *broken, const char *keep, struct dr_error *e)
{
	char conf[JOB_PATH + 24];
	const char *from = job_exists(broken) && job_exists(keep) ? keep : job->local.data_dir;
	(void)snprintf(conf, sizeof(conf), "%s/postgresql.conf", from);
	bool ours = job_exists(conf);
	enum dr_err rv = ours ? pg_conf_copy(job, from, p->data, e) : DR_OK;
	return rv == DR_OK ? pg_follow_write(job, p->data, !ours, e) : rv;
}

enum dr_err pg_job_clone(struct dr_job *job, struct dr_error *e)
{
	struct job_copy p;
	char keep[JOB_PATH], broken[JOB_PATH];
	job_beside(job, "keep", keep);
	job_beside(job, "rewinding", broken);
	enum dr_err rv = job_copy_begin(job, &p, e);
	if (rv == DR_OK)
		rv = base_backup(job, &p, e);
	if (rv == DR_OK)
		rv = dress(job, &p, broken, keep, e);
	if (rv == DR_OK)
		rv = job_copy_swap(job, &p, e);
	if (rv != DR_OK)
		return job_copy_failed(job, &p, rv);
	if (unlink(broken) != 0 && errno != ENOENT)
		return dr_fail_errno(e, errno, "cannot remove %s", broken);
	rv = job_copy_end(job, &p, e);
	return rv == DR_OK ? job_tree_remove(job, keep, e) : rv;
}

enum dr_err pg_job_discard(struct dr_job *job, struct dr_error *e)
{
	char broken[JOB_PATH];
	job_beside(job, "rewinding", broken);
	if (job_exists(broken))
		return dr_fail(e, DR_E_REFUSED, "a rewind of %s isn't finished", job->local.data_dir);
	return job_copy_discard(job, e);
}
