/* pg_clone.c -- a new copy of the source, built beside and swapped in when it is finished (pg_jobs_own.h).
 *
 *   DATA.clone/data       the copy while it is made
 *   DATA.clone/finished   it is whole; from here on `data` may be the old data, swapped: never removed unseen
 *   DATA.old-TIME         the old data, until the member follows (DISCARD) */
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

struct places {
	char clone[PG_PATH], data[PG_PATH + 8], finished[PG_PATH + 16], keep[PG_PATH], broken[PG_PATH];
};

static void find_places(const struct dr_pg_job *job, struct places *p)
{
	pg_beside(job, "clone", p->clone);
	pg_beside(job, "keep", p->keep);
	pg_beside(job, "rewinding", p->broken);
	(void)snprintf(p->data, sizeof(p->data), "%s/data", p->clone);
	(void)snprintf(p->finished, sizeof(p->finished), "%s/finished", p->clone);
}

/* DATA.old-TIME, a name that is free. */
static enum dr_err put_aside(struct dr_pg_job *job, const char *path, struct dr_error *e)
{
	char old[PG_PATH], suffix[40], stamp[20];
	pg_stamp(stamp);
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(suffix, sizeof(suffix), i == 0 ? "old-%s" : "old-%s-%u", stamp, i);
		pg_beside(job, suffix, old);
		if (pg_exists(old))
			continue;
		if (rename(path, old) != 0)
			return dr_fail_errno(e, errno, "cannot rename %s to %s", path, old);
		return pg_sync_parent(old, e);
	}
	return dr_fail(e, DR_E_EXISTS, "too many old copies beside %s", job->local.data_dir);
}

static enum dr_err clean_up(struct dr_pg_job *job, const struct places *p, struct dr_error *e)
{
	enum dr_err rv = DR_OK;
	if (pg_exists(p->finished) && pg_exists(p->data))
		rv = put_aside(job, p->data, e);
	return rv == DR_OK ? pg_tree_remove(job, p->clone, e) : rv;
}

static enum dr_err base_backup(struct dr_pg_job *job, const struct places *p, struct dr_error *e)
{
	char program[PG_PATH], source[1024], secret[256];
	struct pg_child c = { .password = secret };
	enum dr_err rv = pg_secret(job->local.replication_password_file, secret, e);
	if (rv == DR_OK)
		rv = pg_source_conninfo(job, job->local.replication_user, NULL, source, sizeof(source), e);
	if (rv == DR_OK) {
		pg_program(job, "pg_basebackup", program, sizeof(program));
		const char *args[] = { program,        "-D", p->data,  "-d",
				       source,         "-X", "stream", "--checkpoint=fast",
				       "--no-password" };
		for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
			pg_child_arg(&c, args[i]);
		rv = pg_child_run(job, &c, e);
	}
	explicit_bzero(secret, sizeof(secret));
	return rv;
}

/* Our own configuration goes into the copy; without one, what the node file says about listening. */
static enum dr_err dress(struct dr_pg_job *job, const struct places *p, struct dr_error *e)
{
	char conf[PG_PATH + 24];
	const char *from = pg_exists(p->keep) ? p->keep : job->local.data_dir;
	(void)snprintf(conf, sizeof(conf), "%s/postgresql.conf", from);
	bool ours = pg_exists(conf);
	enum dr_err rv = ours ? pg_conf_copy(job, from, p->data, e) : DR_OK;
	return rv == DR_OK ? pg_follow_write(job, p->data, !ours, e) : rv;
}

static enum dr_err swap_in(struct dr_pg_job *job, const struct places *p, struct dr_error *e)
{
	const char *data = job->local.data_dir;
	enum dr_err rv = dr_file_replace(p->finished, "", 0, 0600, e);
	if (rv != DR_OK)
		return rv;
	if (!pg_exists(data)) {
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
		rv = pg_sync_parent(data, e);
	return rv;
}

enum dr_err pg_job_clone(struct dr_pg_job *job, struct dr_error *e)
{
	struct places p;
	find_places(job, &p);
	enum dr_err rv = clean_up(job, &p, e);
	if (rv != DR_OK)
		return rv;
	/* pg_basebackup runs as os_user and makes its folder inside. */
	if (mkdir(p.clone, 0700) != 0)
		return dr_fail_errno(e, errno, "cannot make %s", p.clone);
	rv = pg_give_to_owner(job, p.clone, e);
	if (rv == DR_OK)
		rv = base_backup(job, &p, e);
	if (rv == DR_OK)
		rv = dress(job, &p, e);
	if (rv == DR_OK)
		rv = swap_in(job, &p, e);
	if (rv != DR_OK)
		return rv;
	if (unlink(p.broken) != 0 && errno != ENOENT)
		return dr_fail_errno(e, errno, "cannot remove %s", p.broken);
	rv = clean_up(job, &p, e);
	return rv == DR_OK ? pg_tree_remove(job, p.keep, e) : rv;
}

/* Everything beside the data folder that is called DATA.old-*, and what broken tries left. */
enum dr_err pg_job_discard(struct dr_pg_job *job, struct dr_error *e)
{
	char parent[PG_PATH], prefix[PG_PATH];
	struct places p;
	find_places(job, &p);
	if (pg_exists(p.broken))
		return dr_fail(e, DR_E_REFUSED, "a rewind of %s isn't finished", job->local.data_dir);
	enum dr_err rv = clean_up(job, &p, e);
	if (rv != DR_OK)
		return rv;
	pg_beside(job, "old-", prefix);
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
		char path[PG_PATH + 260];
		if (strncmp(it->d_name, name, strlen(name)) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", parent, it->d_name);
		rv = pg_tree_remove(job, path, e);
	}
	(void)closedir(d);
	return rv;
}
