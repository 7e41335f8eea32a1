/* pg_rewind.c -- taking back what only this server has (pg_jobs_own.h).
 *
 * pg_rewind works on a cleanly shut down server, so a crashed one first recovers by itself, in single-user
 * mode. It also brings over the source's configuration files and takes our standby.signal away: both are put
 * right again.  From its first change on until all is in order DATA.rewinding stands beside: a rewind that
 * broke off leaves a mixture that only a new copy can follow. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shell/pg_files.h"
#include "agent/shell/pg_jobs_own.h"
#include "sys/file.h"

/* Our own configuration, kept beside until the rewind is in order.  One that is there is of a try that changed nothing, or had
 * ended: what stands in the data folder is the newer one.  It counts only beside DATA.rewinding. */
static enum dr_err keep_conf(struct dr_job *job, const char *keep, struct dr_error *e)
{
	enum dr_err rv = job_tree_remove(job, keep, e);
	if (rv == DR_OK && mkdir(keep, 0700) != 0)
		rv = dr_fail_errno(e, errno, "cannot make %s", keep);
	if (rv == DR_OK)
		rv = pg_conf_copy(job, job->local.data_dir, keep, e);
	return rv == DR_OK ? job_sync_parent(keep, e) : rv;
}

/* A single-user server refuses standby.signal, so it goes for just as long as that runs; archiving is held
 * back so that the checkpoint at its end removes no WAL that pg_rewind needs. */
static enum dr_err recover(struct dr_job *job, struct dr_error *e)
{
	char program[JOB_PATH];
	struct job_child c = { .argc = 0 };
	struct dr_error second;
	job_program(job, "postgres", program, sizeof(program));
	const char *args[] = { program,    "--single",
			       "-D",       job->local.data_dir,
			       "-c",       "archive_mode=on",
			       "-c",       "archive_command=false",
			       "-c",       "synchronous_standby_names=",
			       "template1" };
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		job_child_arg(&c, args[i]);
	enum dr_err rv = dr_pg_unmark_standby(job->local.data_dir, e);
	if (rv == DR_OK)
		rv = job_child_run(job, &c, e);
	enum dr_err marked = dr_pg_mark_standby(job->local.data_dir, &second);
	if (rv != DR_OK)
		return dr_wrap(e, "recovering before the rewind");
	return marked == DR_OK ? DR_OK : dr_fail(e, marked, "%s", second.msg);
}

static enum dr_err make_clean(struct dr_job *job, struct dr_error *e)
{
	struct pg_control ctl;
	enum dr_err rv = pg_control_read(job, &ctl, e);
	if (rv != DR_OK || pg_control_is_clean(&ctl))
		return rv;
	rv = recover(job, e);
	if (rv == DR_OK)
		rv = pg_control_read(job, &ctl, e);
	if (rv == DR_OK && !pg_control_is_clean(&ctl))
		rv = dr_fail(e, DR_E_FAILED, "after recovery %s is still \"%s\"", job->local.data_dir,
			     ctl.state);
	return rv;
}

/* A dry run connects, checks and reads everything, and changes nothing. */
static enum dr_err run_rewind(struct dr_job *job, bool dry, struct dr_error *e)
{
	char program[JOB_PATH], source[1024], arg[1100], secret[256];
	struct job_child c = { .password = secret };
	enum dr_err rv = job_secret(job->local.superuser_password_file, secret, e);
	if (rv == DR_OK)
		rv = pg_source_conninfo(job, job->local.superuser, job->local.database, source,
					sizeof(source), e);
	if (rv == DR_OK) {
		job_program(job, "pg_rewind", program, sizeof(program));
		(void)snprintf(arg, sizeof(arg), "--source-server=%s", source);
		job_child_arg(&c, program);
		job_child_arg(&c, "-D");
		job_child_arg(&c, job->local.data_dir);
		job_child_arg(&c, arg);
		if (dry)
			job_child_arg(&c, "--dry-run");
		rv = job_child_run(job, &c, e);
	}
	explicit_bzero(secret, sizeof(secret));
	return rv;
}

/* Whether pg_wal has a segment of that number, of a timeline above the given one. */
static bool has_segment(const struct dr_job *job, uint64_t wanted, uint32_t above, uint32_t segment_bytes)
{
	char path[JOB_PATH];
	bool found = false;
	(void)snprintf(path, sizeof(path), "%s/pg_wal", job->local.data_dir);
	DIR *d = opendir(path);
	for (struct dirent *it = d != NULL ? readdir(d) : NULL; it != NULL && !found; it = readdir(d)) {
		uint32_t timeline = 0;
		uint64_t number = 0;
		found = pg_segment_parse(it->d_name, segment_bytes, &timeline, &number) && number == wanted &&
			timeline > above;
	}
	if (d != NULL)
		(void)closedir(d);
	return found;
}

/* pg_rewind makes pg_wal the source's, and keeps of ours what recovery begins with, before the two parted.  What the
 * source wrote right after that must have come from it: one that was copied itself since then, or has thrown it away,
 * lacks it, and the server would wait for it for ever. */
static enum dr_err check_wal(struct dr_job *job, struct dr_error *e)
{
	const struct dr_pg_compare *c = &job->compare;
	char text[PG_LSN_TEXT];
	struct pg_control ctl;
	if (c->verdict != DR_PG_REWIND)
		return DR_OK;
	enum dr_err rv = pg_control_read(job, &ctl, e);
	if (rv == DR_OK && !has_segment(job, c->fork_lsn / ctl.segment_bytes, c->fork_timeline, ctl.segment_bytes))
		rv = dr_fail(e, DR_E_REFUSED, "the source has no WAL from %s on any more, where the two parted: only a "
			     "clone helps", pg_lsn_text(c->fork_lsn, text));
	return rv;
}

static enum dr_err touch(const char *path, struct dr_error *e)
{
	return dr_file_replace(path, "", 0, 0600, e);
}

enum dr_err pg_job_rewind(struct dr_job *job, struct dr_error *e)
{
	char broken[JOB_PATH], keep[JOB_PATH];
	job_beside(job, "rewinding", broken);
	job_beside(job, "keep", keep);
	if (job_exists(broken))
		return dr_fail(e, DR_E_REFUSED, "an earlier rewind of %s broke off: only a clone helps",
			       job->local.data_dir);
	enum dr_err rv = keep_conf(job, keep, e);
	if (rv == DR_OK)
		rv = make_clean(job, e);
	/* What can be refused is refused before the first change: a source that is away costs no clone. */
	if (rv == DR_OK)
		rv = run_rewind(job, true, e);
	if (rv == DR_OK)
		rv = touch(broken, e);
	if (rv == DR_OK)
		rv = run_rewind(job, false, e);
	if (rv == DR_OK)
		rv = check_wal(job, e);
	if (rv == DR_OK)
		rv = pg_conf_copy(job, keep, job->local.data_dir, e);
	if (rv == DR_OK)
		rv = pg_follow_write(job, job->local.data_dir, false, e);
	if (rv != DR_OK)
		return rv;
	if (unlink(broken) != 0 && errno != ENOENT)
		return dr_fail_errno(e, errno, "cannot remove %s", broken);
	rv = job_tree_remove(job, keep, e);
	return rv == DR_OK ? job_sync_parent(broken, e) : rv;
}
