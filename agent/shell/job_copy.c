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

/* Others may call folders of theirs as we do: only what has this file in it is ours to remove. */
static void mark_path(const char *folder, char dst[JOB_PATH + sizeof(JOB_MARK) + 1])
{
	(void)snprintf(dst, JOB_PATH + sizeof(JOB_MARK) + 1, "%s/%s", folder, JOB_MARK);
}

static bool is_ours(const char *folder)
{
	char mark[JOB_PATH + sizeof(JOB_MARK) + 1];
	mark_path(folder, mark);
	return job_exists(mark);
}

static enum dr_err mark_ours(const char *folder, struct dr_error *e)
{
	static const char text[] = "drcoord made this folder, and removes it once the server follows again.\n";
	char mark[JOB_PATH + sizeof(JOB_MARK) + 1];
	mark_path(folder, mark);
	return dr_file_replace(mark, text, sizeof(text) - 1, 0600, e);
}

/* DATA.old-TIME, a name that is free. */
static enum dr_err put_aside(struct dr_job *job, const char *path, struct dr_error *e)
{
	char old[JOB_PATH], suffix[40], stamp[20];
	enum dr_err rv = mark_ours(path, e);
	if (rv != DR_OK)
		return rv;
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
	if (!job_exists(p->clone))
		return DR_OK;
	if (!is_ours(p->clone)) {
		if (rmdir(p->clone) == 0) /* a try ended before it had its mark */
			return DR_OK;
		return dr_fail(e, DR_E_EXISTS, "%s is there, and drcoord did not make it: give it another name", p->clone);
	}
	if (job_exists(p->finished) && job_exists(p->data))
		rv = put_aside(job, p->data, e);
	return rv == DR_OK ? job_tree_remove(job, p->clone, e) : rv;
}

enum dr_err job_copy_failed(struct dr_job *job, const struct job_copy *p, enum dr_err why)
{
	if (why != DR_OK && !job_exists(p->finished) && is_ours(p->clone))
		dr_best_effort(job_tree_remove(job, p->clone, NULL));
	return why;
}

enum dr_err job_copy_begin(struct dr_job *job, struct job_copy *c, struct dr_error *e)
{
	job_copy_places(job, c);
	enum dr_err rv = job_copy_end(job, c, e);
	if (rv == DR_OK && mkdir(c->clone, 0700) != 0)
		rv = dr_fail_errno(e, errno, "cannot make %s", c->clone);
	if (rv == DR_OK)
		rv = mark_ours(c->clone, e);
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

/* TIME, or TIME-N, as put_aside() has it. */
static bool is_stamp(const char *s)
{
	size_t day = strspn(s, "0123456789");
	size_t second = day == 8 && s[8] == 'T' ? strspn(s + 9, "0123456789") : 0;
	if (second != 6 || s[15] != 'Z')
		return false;
	return s[16] == '\0' || (s[16] == '-' && s[17] != '\0' && s[17 + strspn(s + 17, "0123456789")] == '\0');
}

enum dr_err job_copy_discard(struct dr_job *job, struct dr_error *e)
{
	char parent[JOB_PATH], prefix[JOB_PATH];
	struct job_copy c;
	job_copy_places(job, &c);
	enum dr_err rv = is_ours(c.clone) ? job_copy_end(job, &c, e) : DR_OK;
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
		char path[JOB_PATH];
		if (strncmp(it->d_name, name, strlen(name)) != 0 || !is_stamp(it->d_name + strlen(name)))
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", parent, it->d_name) < (int)sizeof(path) && is_ours(path))
			rv = job_tree_remove(job, path, e);
	}
	(void)closedir(d);
	return rv;
}
