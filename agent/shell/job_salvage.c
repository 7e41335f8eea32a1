/* job_salvage.c -- before anything is destroyed: the files that only this server has go to a safe place (jobs_own.h),
 * with a manifest that says what they are. */
#include <dirent.h>
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/shell/jobs_own.h"
#include "base/parse.h"
#include "sys/file.h"

enum { FILES_MAX = 65536, MANIFEST_MAX = 16 << 20, SPARE_BYTES = 1 << 20 };

static enum dr_err each_file(struct job_salvage *s,
			     enum dr_err (*each)(struct job_salvage *s, const char *name, struct dr_error *e),
			     struct dr_error *e)
{
	enum dr_err rv = DR_OK;
	DIR *d = opendir(s->dir);
	if (d == NULL)
		return dr_fail_errno(e, errno, "cannot open %s", s->dir);
	for (struct dirent *it = readdir(d); it != NULL && rv == DR_OK; it = readdir(d)) {
		if (s->wanted(s, it->d_name))
			rv = each(s, it->d_name, e);
	}
	(void)closedir(d);
	return rv;
}

static enum dr_err count_file(struct job_salvage *s, const char *name, struct dr_error *e)
{
	char path[JOB_PATH * 2];
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	if (stat(path, &st) != 0)
		return dr_fail_errno(e, errno, "cannot look at %s", path);
	if (++s->files > FILES_MAX)
		return dr_fail(e, DR_E_FULL, "more than %d files to salvage", FILES_MAX);
	s->need += (uint64_t)st.st_size;
	return DR_OK;
}

static enum dr_err copy_file(struct job_salvage *s, const char *name, struct dr_error *e)
{
	char from[JOB_PATH * 2], to[JOB_PATH * 2], sum[65] = "";
	struct stat st;
	(void)snprintf(from, sizeof(from), "%s/%s", s->dir, name);
	(void)snprintf(to, sizeof(to), "%s.partial/%s", s->job->salvage.path, name);
	enum dr_err rv = job_file_copy(s->job, from, to, sum, e);
	if (rv != DR_OK)
		return rv;
	if (stat(to, &st) != 0)
		return dr_fail_errno(e, errno, "cannot look at %s", to);
	dr_buf_printf(&s->manifest, "file %s %llu %s\n", name, (unsigned long long)st.st_size, sum);
	s->job->salvage.files++;
	s->job->salvage.bytes += (uint64_t)st.st_size;
	return DR_OK;
}

static enum dr_err folder_bytes(struct job_salvage *s, uint64_t *out, struct dr_error *e)
{
	char copy[JOB_PATH];
	char *const roots[] = { copy, NULL };
	*out = 0;
	(void)dr_copy_text(copy, sizeof(copy), s->job->local.salvage_dir);
	FTS *f = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (f == NULL)
		return dr_fail_errno(e, errno, "cannot read %s", copy);
	for (FTSENT *it = fts_read(f); it != NULL; it = fts_read(f)) {
		if (it->fts_info == FTS_F)
			*out += (uint64_t)it->fts_statp->st_size;
	}
	(void)fts_close(f);
	return DR_OK;
}

static enum dr_err check_room(struct job_salvage *s, struct dr_error *e)
{
	const struct dr_job_local *l = &s->job->local;
	struct statvfs fs;
	uint64_t used = 0;
	enum dr_err rv = folder_bytes(s, &used, e);
	if (rv != DR_OK)
		return rv;
	if (used + s->need > l->salvage_max)
		return dr_fail(
		    e, DR_E_NO_SPACE,
		    "salvage needs %llu bytes; %s holds %llu of at most %llu (salvage_max): nothing was changed, "
		    "make room there",
		    (unsigned long long)s->need, l->salvage_dir, (unsigned long long)used,
		    (unsigned long long)l->salvage_max);
	if (statvfs(l->salvage_dir, &fs) != 0)
		return dr_fail_errno(e, errno, "cannot look at the file system of %s", l->salvage_dir);
	uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (room < s->need + SPARE_BYTES)
		return dr_fail(e, DR_E_NO_SPACE,
			       "salvage needs %llu bytes and the disk of %s has %llu: nothing was changed",
			       (unsigned long long)s->need, l->salvage_dir, (unsigned long long)room);
	return DR_OK;
}

/* Whether this folder holds just what we are about to save. */
static bool is_same(struct job_salvage *s, const char *path)
{
	char manifest[JOB_PATH + 16];
	struct dr_buf b;
	size_t n = strlen(s->head);
	(void)snprintf(manifest, sizeof(manifest), "%s/manifest", path);
	dr_buf_init(&b, MANIFEST_MAX);
	bool same =
	    dr_file_read(manifest, &b, NULL) == DR_OK && b.len >= n && memcmp(b.data, s->head, n) == 0;
	dr_buf_close(&b);
	return same;
}

/* Takes away what broken tries left and finds a finished one of the same WAL. */
static enum dr_err look_around(struct job_salvage *s, const char *prefix, struct dr_error *e)
{
	const char *dir = s->job->local.salvage_dir;
	enum dr_err rv = DR_OK;
	DIR *d = opendir(dir);
	if (d == NULL)
		return dr_fail_errno(e, errno, "cannot open %s", dir);
	for (struct dirent *it = readdir(d); it != NULL && rv == DR_OK; it = readdir(d)) {
		char path[JOB_PATH];
		size_t n = strlen(it->d_name);
		if (strncmp(it->d_name, prefix, strlen(prefix)) != 0 ||
		    snprintf(path, sizeof(path), "%s/%s", dir, it->d_name) >= (int)sizeof(path))
			continue;
		if (n > 8 && strcmp(it->d_name + n - 8, ".partial") == 0)
			rv = job_tree_remove(s->job, path, e);
		else if (is_same(s, path)) {
			s->job->salvage.existed = true;
			(void)dr_copy_text(s->job->salvage.path, sizeof(s->job->salvage.path), path);
		}
	}
	(void)closedir(d);
	return rv;
}

static enum dr_err save(struct job_salvage *s, struct dr_error *e)
{
	char partial[JOB_PATH], manifest[JOB_PATH + 16];
	const char *path = s->job->salvage.path;
	(void)snprintf(partial, sizeof(partial), "%s.partial", path);
	if (mkdir(partial, 0700) != 0)
		return dr_fail_errno(e, errno, "cannot make %s", partial);
	dr_buf_put(&s->manifest, s->head, strlen(s->head));
	enum dr_err rv = each_file(s, copy_file, e);
	if (rv == DR_OK && s->more != NULL)
		rv = s->more(s, partial, e);
	(void)snprintf(manifest, sizeof(manifest), "%s/manifest", partial);
	if (rv == DR_OK && !dr_buf_ok(&s->manifest))
		rv = dr_fail(e, DR_E_FULL, "the manifest is too long");
	if (rv == DR_OK)
		rv = dr_file_replace(manifest, s->manifest.data, s->manifest.len, 0600, e);
	if (rv == DR_OK)
		rv = dr_dir_sync(partial, e);
	if (rv == DR_OK && rename(partial, path) != 0)
		rv = dr_fail_errno(e, errno, "cannot rename %s", partial);
	if (rv == DR_OK)
		rv = job_sync_parent(path, e);
	return rv;
}

static enum dr_err save_all(struct job_salvage *s, const char *prefix, struct dr_error *e)
{
	struct dr_job *job = s->job;
	char stamp[20];
	enum dr_err rv = look_around(s, prefix, e);
	if (rv != DR_OK || job->salvage.existed)
		return rv;
	job_stamp(stamp);
	if (snprintf(job->salvage.path, sizeof(job->salvage.path), "%s/%s%s", job->local.salvage_dir, prefix, stamp) >=
	    (int)sizeof(job->salvage.path))
		return dr_fail(e, DR_E_RANGE, "path too long below %s", job->local.salvage_dir);
	rv = each_file(s, count_file, e);
	if (rv == DR_OK)
		rv = check_room(s, e);
	if (rv == DR_OK)
		rv = save(s, e);
	return rv;
}

enum dr_err job_salvage_run(struct job_salvage *s, struct dr_error *e)
{
	struct dr_job *job = s->job;
	char prefix[2 * DR_NAME_MAX + 4];
	memset(&job->salvage, 0, sizeof(job->salvage));
	if (job->local.salvage_dir[0] == '\0')
		return dr_fail(e, DR_E_REFUSED, "no salvage_dir is configured, and there is something to save");
	enum dr_err rv = dr_dir_make(job->local.salvage_dir, e);
	if (rv != DR_OK)
		return rv;
	(void)snprintf(prefix, sizeof(prefix), "%s-%s-", job->local.service.s, job->local.member.s);
	dr_buf_init(&s->manifest, MANIFEST_MAX);
	rv = save_all(s, prefix, e);
	dr_buf_close(&s->manifest);
	if (rv != DR_OK)
		job->salvage = (struct dr_job_salvage){ .path = "" };
	return rv;
}
