/* red_kept.c -- what stays of a Redis's data folder when all that is in it is moved aside (red_local.h): files that are no data,
 * but say how the server is run, and by which name its cluster knows it.
 *
 *   save      each is copied into DATA.drcoord-kept, under the same name; only files that are there
 *   (move)    the folder goes, an empty one takes its place
 *   put back  each that is missing; then the copies go
 * A run that ended anywhere is taken up by the next, or before the server's next start: the copies say what is missing. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shell/jobs_own.h"
#include "agent/shell/red_local.h"
#include "base/parse.h"
#include "sys/file.h"

enum { KEPT_BYTES_MAX = 4 << 20 };

static const char *const directives[] = { "aclfile",          "include",          "loadmodule",         "tls-cert-file",
					  "tls-key-file",     "tls-ca-cert-file", "tls-client-cert-file", "tls-client-key-file",
					  "tls-dh-params-file" };

struct places {
	char data[DR_PATH_MAX], kept[JOB_PATH];
};

static void find_places(const char *data_dir, struct places *p)
{
	(void)dr_copy_text(p->data, sizeof(p->data), data_dir);
	for (size_t n = strlen(p->data); n > 1 && p->data[n - 1] == '/'; n--)
		p->data[n - 1] = '\0';
	(void)snprintf(p->kept, sizeof(p->kept), "%s.drcoord-kept", p->data);
}

static enum dr_err join(char dst[JOB_PATH], const char *folder, const char *name, struct dr_error *e)
{
	int n = snprintf(dst, JOB_PATH, "%s/%s", folder, name);
	return n > 0 && n < JOB_PATH ? DR_OK : dr_fail(e, DR_E_RANGE, "the path %s/%s is too long", folder, name);
}

/* ---- copies */

static enum dr_err copy_link(const char *from, const char *to, struct dr_error *e)
{
	char target[JOB_PATH];
	ssize_t n = readlink(from, target, sizeof(target) - 1);
	if (n < 0)
		return dr_fail_errno(e, errno, "cannot read the link %s", from);
	target[n] = '\0';
	if (unlink(to) != 0 && errno != ENOENT)
		return dr_fail_errno(e, errno, "cannot replace %s", to);
	return symlink(target, to) == 0 ? DR_OK : dr_fail_errno(e, errno, "cannot make the link %s", to);
}

/* The folder is the server's user's, who may put a link to somebody else's file in its place meanwhile. */
static enum dr_err read_it(const char *from, const struct stat *st, struct dr_buf *b, struct dr_error *e)
{
	char same[64];
	struct stat now;
	int fd = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return dr_fail_errno(e, errno, "cannot open %s", from);
	enum dr_err rv = DR_OK;
	(void)snprintf(same, sizeof(same), "/proc/self/fd/%d", fd);
	if (fstat(fd, &now) != 0 || now.st_dev != st->st_dev || now.st_ino != st->st_ino)
		rv = dr_fail(e, DR_E_BUSY, "%s was replaced while it was looked at", from);
	else if (dr_file_read(same, b, e) != DR_OK)
		rv = dr_wrap(e, "cannot read %s", from);
	(void)close(fd);
	return rv;
}

/* Whole or not at all, and its owner's. */
static enum dr_err copy_file(const char *from, const char *to, const struct stat *st, struct dr_error *e)
{
	struct dr_buf b;
	if (S_ISLNK(st->st_mode))
		return copy_link(from, to, e);
	dr_buf_init(&b, KEPT_BYTES_MAX);
	enum dr_err rv = read_it(from, st, &b, e);
	if (rv == DR_OK)
		rv = dr_file_replace(to, b.data, b.len, st->st_mode & 07777, e);
	if (b.len > 0)
		explicit_bzero(b.data, b.len);
	dr_buf_close(&b);
	if (rv == DR_OK && lchown(to, st->st_uid, st->st_gid) != 0)
		rv = dr_fail_errno(e, errno, "cannot give %s to its owner", to);
	return rv;
}

/* The folders of a name, below one folder as they are below the other. */
static enum dr_err make_parents(const char *in, const char *like_in, const char *name, struct dr_error *e)
{
	char part[DR_PATH_MAX], path[JOB_PATH], like[JOB_PATH];
	enum dr_err rv = DR_OK;
	for (const char *slash = strchr(name, '/'); slash != NULL && rv == DR_OK; slash = strchr(slash + 1, '/')) {
		struct stat st;
		(void)snprintf(part, sizeof(part), "%.*s", (int)(slash - name), name);
		rv = join(path, in, part, e);
		if (rv == DR_OK)
			rv = join(like, like_in, part, e);
		if (rv == DR_OK && stat(like, &st) != 0)
			rv = dr_fail_errno(e, errno, "cannot look at %s", like);
		if (rv == DR_OK && mkdir(path, st.st_mode & 07777) == 0 && chown(path, st.st_uid, st.st_gid) != 0)
			rv = dr_fail_errno(e, errno, "cannot give %s to its owner", path);
	}
	return rv;
}

/* A file that is not there is none to copy. */
static enum dr_err copy(const char *from_in, const char *to_in, const char *name, struct dr_error *e)
{
	char from[JOB_PATH], to[JOB_PATH];
	struct stat st;
	enum dr_err rv = join(from, from_in, name, e);
	if (rv == DR_OK)
		rv = join(to, to_in, name, e);
	if (rv != DR_OK)
		return rv;
	if (lstat(from, &st) != 0)
		return errno == ENOENT || errno == ENOTDIR ? DR_OK : dr_fail_errno(e, errno, "cannot look at %s", from);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return DR_OK;
	if (mkdir(to_in, 0700) != 0 && errno != EEXIST)
		return dr_fail_errno(e, errno, "cannot make %s", to_in);
	rv = make_parents(to_in, from_in, name, e);
	return rv == DR_OK ? copy_file(from, to, &st, e) : rv;
}

/* ---- save */

/* Where a file lies in the data folder, which is where a server looks for what has no folder; NULL: not in it. */
static const char *name_in(const char *data, const char *path)
{
	size_t n = strlen(data);
	const char *name = path;
	if (path[0] == '/') {
		if (strncmp(path, data, n) != 0 || path[n] != '/')
			return NULL;
		name = path + n + strspn(path + n, "/");
	}
	while (strncmp(name, "./", 2) == 0)
		name += 2;
	return name[0] == '\0' || strstr(name, "..") != NULL ? NULL : name;
}

static enum dr_err save(const struct places *p, const char *path, struct dr_error *e)
{
	const char *name = name_in(p->data, path);
	return name != NULL ? copy(p->data, p->kept, name, e) : DR_OK;
}

/* "loadmodule FILE ARGUMENTS": a path with blanks is not looked for. */
static enum dr_err save_named(const struct places *p, const char *text, struct dr_error *e)
{
	char rest[DR_PATH_MAX];
	enum dr_err rv = DR_OK;
	for (const char *line = text; line != NULL && rv == DR_OK;) {
		for (size_t i = 0; i < sizeof(directives) / sizeof(directives[0]) && rv == DR_OK; i++) {
			if (!dr_red_directive(line, directives[i], rest, sizeof(rest)))
				continue;
			rest[strcspn(rest, " ")] = '\0';
			rv = save(p, rest, e);
		}
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	return rv;
}

enum dr_err dr_red_keep(const struct dr_local_server *s, bool cluster, struct dr_error *e)
{
	char nodes[DR_PATH_MAX] = "nodes.conf";
	struct dr_buf b;
	struct places p;
	enum dr_err rv = DR_OK;
	find_places(s->data_dir, &p);
	dr_buf_init(&b, 1);
	if (s->config_file[0] != '\0') {
		rv = dr_red_config(s, &b, e);
		if (rv == DR_E_NOT_FOUND) /* in the folder, moved by a run before: its copy is there */
			rv = DR_OK;
		else if (rv == DR_OK && !dr_red_says((const char *)b.data, "cluster-config-file", NULL, nodes, sizeof(nodes)))
			(void)dr_copy_text(nodes, sizeof(nodes), "nodes.conf");
	}
	if (rv == DR_OK && b.len > 0)
		rv = save_named(&p, (const char *)b.data, e);
	if (rv == DR_OK && s->config_file[0] == '/')
		rv = save(&p, s->config_file, e);
	if (rv == DR_OK && cluster)
		rv = save(&p, nodes, e);
	dr_buf_close(&b);
	return rv;
}

/* ---- put back */

static enum dr_err put_one(const struct places *p, const char *from, struct dr_error *e)
{
	const char *name = from + strlen(p->kept) + 1;
	char own[JOB_PATH];
	struct stat st;
	enum dr_err rv = join(own, p->data, name, e);
	if (rv == DR_OK && lstat(own, &st) != 0) {
		rv = make_parents(p->data, p->kept, name, e);
		if (rv == DR_OK)
			rv = copy(p->kept, p->data, name, e);
	}
	if (rv == DR_OK && unlink(from) != 0)
		rv = dr_fail_errno(e, errno, "cannot remove %s", from);
	return rv;
}

enum dr_err dr_red_put_back(const char *data_dir, struct dr_error *e)
{
	struct places p;
	struct stat st;
	enum dr_err rv = DR_OK;
	find_places(data_dir, &p);
	char *const roots[] = { p.kept, NULL };
	if (lstat(p.kept, &st) != 0 || !S_ISDIR(st.st_mode) || stat(p.data, &st) != 0)
		return DR_OK; /* nothing to put back, or nowhere: the run that makes the folder does it */
	FTS *f = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (f == NULL)
		return dr_fail_errno(e, errno, "cannot read %s", p.kept);
	for (const FTSENT *it = fts_read(f); it != NULL && rv == DR_OK; it = fts_read(f)) {
		if (it->fts_info == FTS_F || it->fts_info == FTS_SL || it->fts_info == FTS_SLNONE)
			rv = put_one(&p, it->fts_path, e);
		else if (it->fts_info == FTS_DP)
			(void)rmdir(it->fts_path);
	}
	(void)fts_close(f);
	return rv;
}
