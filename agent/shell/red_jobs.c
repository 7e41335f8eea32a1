/* red_jobs.c -- before a Redis server fetches everything anew, what it has is moved aside whole (jobs_own.h).
 *
 * The folder gets another name, which costs nothing however much is in it, and an empty one takes its place: whoever wants what
 * was lost starts a server on the old one.  Each step may be found done by a run before. */
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shell/jobs_own.h"
#include "agent/shell/red_local.h"
#include "base/parse.h"
#include "sys/file.h"

/* A '/' at the end would be part of no name. */
static void without_slash(char dst[DR_PATH_MAX], const char *path)
{
	(void)dr_copy_text(dst, DR_PATH_MAX, path);
	for (size_t n = strlen(dst); n > 1 && dst[n - 1] == '/'; n--)
		dst[n - 1] = '\0';
}

static enum dr_err bytes_below(struct dr_job *job, const char *path, uint64_t *bytes, struct dr_error *e)
{
	char copy[DR_PATH_MAX];
	char *const roots[] = { copy, NULL };
	enum dr_err rv = DR_OK;
	(void)dr_copy_text(copy, sizeof(copy), path);
	errno = 0;
	FTS *f = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (f == NULL)
		return dr_fail_errno(e, errno, "cannot read %s", path);
	for (const FTSENT *it = fts_read(f); it != NULL && rv == DR_OK; it = fts_read(f)) {
		*bytes += it->fts_info == FTS_F ? (uint64_t)it->fts_statp->st_size : 0;
		rv = job_check(job, e);
	}
	(void)fts_close(f);
	return rv;
}

static enum dr_err make_salvage(struct dr_job *job, struct dr_error *e)
{
	const struct dr_job_local *s = &job->local;
	uint64_t bytes = 0;
	enum dr_err rv = dr_dir_make(s->salvage_dir, e);
	if (rv == DR_OK)
		rv = bytes_below(job, s->salvage_dir, &bytes, e);
	if (rv == DR_OK)
		rv = bytes_below(job, s->data_dir, &bytes, e);
	if (rv == DR_OK && bytes > s->salvage_max)
		rv = dr_fail(e, DR_E_NO_SPACE, "%s would hold %llu bytes, salvage_max is %llu: remove what is not needed any more",
			     s->salvage_dir, (unsigned long long)bytes, (unsigned long long)s->salvage_max);
	return rv;
}

/* As it was: its owner is the server's. */
static enum dr_err make_again(const char *path, const struct stat *like, struct dr_error *e)
{
	if (mkdir(path, like->st_mode & 07777) != 0 && errno != EEXIST)
		return dr_fail_errno(e, errno, "cannot make %s", path);
	if (chown(path, like->st_uid, like->st_gid) != 0)
		return dr_fail_errno(e, errno, "cannot give %s to its owner", path);
	return job_sync_parent(path, e);
}

/* A run before moved it and ended there: whose it is the server's account says. */
static enum dr_err make_missing(const struct dr_job *job, const char *path, struct dr_error *e)
{
	struct stat like = { .st_mode = 0750, .st_uid = geteuid(), .st_gid = getegid() };
	if (job->has_user) {
		like.st_uid = job->user.uid;
		like.st_gid = job->user.gid;
	}
	return make_again(path, &like, e);
}

static enum dr_err move(struct dr_job *job, const char *path, const struct stat *like, struct dr_error *e)
{
	const struct dr_job_local *s = &job->local;
	char *where = job->salvage.path, stamp[20];
	enum dr_err rv = make_salvage(job, e);
	if (rv != DR_OK)
		return rv;
	job_stamp(stamp);
	int n = snprintf(where, DR_PATH_MAX, "%s/%s-%s-%s", s->salvage_dir, s->service.s, s->member.s, stamp);
	if (n < 0 || n >= DR_PATH_MAX)
		rv = dr_fail(e, DR_E_RANGE, "the path of salvage_dir %s is too long", s->salvage_dir);
	else if (rename(path, where) != 0)
		rv = dr_fail_errno(e, errno, "cannot move %s to %s (one file system, and no mount point?)", path, where);
	if (rv != DR_OK) {
		where[0] = '\0';
		return rv;
	}
	rv = job_sync_parent(where, e);
	return rv == DR_OK ? make_again(path, like, e) : rv;
}

static enum dr_err move_whole(struct dr_job *job, struct dr_error *e)
{
	char path[DR_PATH_MAX];
	struct stat st;

	job->salvage.path[0] = '\0';
	without_slash(path, job->local.data_dir);
	if (dr_dir_is_empty(path))
		return make_missing(job, path, e);
	if (stat(path, &st) != 0)
		return dr_fail_errno(e, errno, "cannot look at %s", path);
	return move(job, path, &st, e);
}

static enum dr_err move_data(struct dr_job *job, bool cluster, struct dr_error *e)
{
	struct dr_local_server s = { .listen_port = 0 };
	(void)dr_copy_text(s.data_dir, sizeof(s.data_dir), job->local.data_dir);
	(void)dr_copy_text(s.config_file, sizeof(s.config_file), job->local.config_file);
	enum dr_err rv = dr_red_keep(&s, cluster, e);
	if (rv == DR_OK)
		rv = move_whole(job, e);
	return rv == DR_OK ? dr_red_put_back(s.data_dir, e) : rv;
}

enum dr_err red_job_aside(struct dr_job *job, struct dr_error *e)
{
	return move_data(job, false, e);
}

enum dr_err redc_job_aside(struct dr_job *job, struct dr_error *e)
{
	return move_data(job, true, e);
}
