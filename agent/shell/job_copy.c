/* job_copy.c -- a copy made beside the data and swapped in (jobs_own.h). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shell/jobs_own.h"
#include "base/parse.h"
#include "sys/file.h"

void dr_job_copy_folder(const char *data_dir, char *dst, size_t cap)
{
	struct dr_job job = { .kind = DR_JOB_MY_BESIDE };
	struct job_copy c;
	(void)dr_copy_text(job.local.data_dir, sizeof(job.local.data_dir), data_dir);
	job_copy_places(&job, &c);
	if (!dr_copy_text(dst, cap, c.data))
		dst[0] = '\0';
}

void job_copy_places(const struct dr_job *job, struct job_copy *c)
{
	job_beside(job, "clone", c->clone);
	(void)snprintf(c->data, sizeof(c->data), "%s/data", c->clone);
	(void)snprintf(c->finished, sizeof(c->finished), "%s/finished", c->clone);
}

/* DATA.old-TIME, a name that is free. */
static enum dr_err put_aside(struct dr_job *job, const char *path, struct dr_error *e)
{
	char old[JOB_PATH], suffix[40], stamp[20];
	job_stamp(stamp);
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(suffix, sizeof(suffix), i == 0 ? "old-%s" : "old-%s-%u", stamp, i);
		job_beside(job, suffix, old);
		if (job_exists(old))
			continue;
		if (rename(path, old) != 0)
			return dr_fail_errno(e, errno, "cannot rename %s to %s", path, old);
		return job_sync_parent(old, e);
	}
	return dr_fail(e, DR_E_EXISTS, "too many old copies beside %s", job->local.data_dir);
}

enum dr_err job_copy_end(struct dr_job *job, const struct job_copy *p, struct dr_error *e)
{
	enum dr_err rv = DR_OK;
	if (job_exists(p->finished) && job_exists(p->data))
		rv = put_aside(job, p->data, e);
	return rv == DR_OK ? job_tree_remove(job, p->clone, e) : rv;
}

enum dr_err job_copy_begin(struct dr_job *job, struct job_copy *c, struct dr_error *e)
{
	job_copy_places(job, c);
	enum dr_err rv = job_copy_end(job, c, e);
	if (rv == DR_OK && mkdir(c->clone, 0700) != 0)
		rv = dr_fail_errno(e, errno, "cannot make %s", c->clone);
	/* The server's tools run as its owner and make their folder inside. */
	return rv == DR_OK ? job_give_to_owner(job, c->clone, e) : rv;
}

enum dr_err job_copy_swap(struct dr_job *job, const struct job_copy *p, struct dr_error *e)
{
	const char *data = job->local.data_dir;
	enum dr_err rv = dr_file_replace(p->finished, "", 0, 0600, e);
	if (rv != DR_OK)
		return rv;
	if (!job_exists(data)) {
		if (rename(p->data, data) != 0)
			return dr_fail_errno(e, errno, "cannot rename %s to %s", p->data, data);
	} else if (renameat2(AT_FDCWD, p->data, AT_FDCWD, data, RENAME_EXCHANGE) != 0) {
		return dr_fail_errno(
		    e, errno,
		    "cannot swap %s and %s (a mount point can't be: put the data into a folder below)",
		    p->data, data);
	}
	rv = dr_dir_sync(p->clone, e);
	if (rv == DR_OK)
		rv = job_sync_parent(data, e);
	return rv;
}

enum dr_err job_copy_discard(struct dr_job *job, struct dr_error *e)
{
	char parent[JOB_PATH], prefix[JOB_PATH];
	struct job_copy c;
	job_copy_places(job, &c);
	enum dr_err rv = job_copy_end(job, &c, e);
	if (rv != DR_OK)
		return rv;
	job_beside(job, "old-", prefix);
	memcpy(parent, prefix, sizeof(parent));
	char *slash = strrchr(parent, '/');
	if (slash == NULL)
		return dr_fail(e, DR_E_INVALID, "%s is no absolute path", job->local.data_dir);
	*slash = '\0';
	const char *name = prefix + (slash - parent) + 1;
	DIR *d = opendir(parent[0] != '\0' ? parent : "/");
	if (d == NULL)
		return dr_fail_errno(e, errno, "cannot open %s", parent);
	for (struct dirent *it = readdir(d); it != NULL && rv == DR_OK; it = readdir(d)) {
		char path[JOB_PATH + 260];
		if (strncmp(it->d_name, name, strlen(name)) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", parent, it->d_name);
		rv = job_tree_remove(job, path, e);
	}
	(void)closedir(d);
	return rv;
}
