/* pg_files.c -- see pg_files.h. */
#include "agent/shell/pg_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/parse.h"
#include "sys/file.h"

enum { PATH_BYTES = DR_PATH_MAX + 64, CONF_MAX = 1024 * 1024 };

static void path_in(char *dst, size_t cap, const char *dir, const char *name)
{
	(void)snprintf(dst, cap, "%s/%s", dir, name);
}

enum dr_err dr_pg_file_replace(const char *data_dir, const char *path, const void *bytes, size_t len,
			       struct dr_error *e)
{
	char fresh[PATH_BYTES];
	struct stat owner;
	enum dr_err rv = DR_OK;
	(void)snprintf(fresh, sizeof(fresh), "%s.drcoord", path);
	if (stat(data_dir, &owner) != 0)
		return dr_fail_errno(e, errno, "cannot look at %s", data_dir);
	(void)unlink(fresh);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return dr_fail_errno(e, errno, "cannot create %s", fresh);
	const uint8_t *p = bytes;
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, p + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rv = dr_fail_errno(e, errno, "cannot write %s", fresh);
			goto out;
		}
		done += (size_t)n;
	}
	if (geteuid() != owner.st_uid && fchown(fd, owner.st_uid, owner.st_gid) != 0)
		rv = dr_fail_errno(e, errno, "cannot give %s to the owner of %s", fresh, data_dir);
	else if (fsync(fd) != 0)
		rv = dr_fail_errno(e, errno, "cannot sync %s", fresh);
	else if (rename(fresh, path) != 0)
		rv = dr_fail_errno(e, errno, "cannot rename %s to %s", fresh, path);
out:
	(void)close(fd);
	if (rv != DR_OK) {
		(void)unlink(fresh);
		return rv;
	}
	return dr_dir_sync(data_dir, e);
}

bool dr_pg_is_marked(const char *data_dir)
{
	char path[PATH_BYTES];
	struct stat st;
	path_in(path, sizeof(path), data_dir, "standby.signal");
	return stat(path, &st) == 0;
}

enum dr_err dr_pg_mark_standby(const char *data_dir, struct dr_error *e)
{
	char path[PATH_BYTES];
	path_in(path, sizeof(path), data_dir, "standby.signal");
	/* One that is there may not be durable yet. */
	return dr_pg_is_marked(data_dir) ? dr_dir_sync(data_dir, e)
					 : dr_pg_file_replace(data_dir, path, "", 0, e);
}

enum dr_err dr_pg_unmark_standby(const char *data_dir, struct dr_error *e)
{
	char path[PATH_BYTES];
	path_in(path, sizeof(path), data_dir, "standby.signal");
	if (unlink(path) != 0 && errno != ENOENT)
		return dr_fail_errno(e, errno, "cannot remove %s", path);
	return dr_dir_sync(data_dir, e);
}

enum dr_err dr_pg_postmaster(const char *data_dir, struct dr_proc_id *out, struct dr_error *e)
{
	char path[PATH_BYTES], line[32], exe[4096];
	struct stat st;
	uint64_t pid = 0;
	memset(out, 0, sizeof(*out));
	path_in(path, sizeof(path), data_dir, "postmaster.pid");
	enum dr_err rv = dr_file_read_line(path, line, sizeof(line), e);
	if (rv != DR_OK)
		return rv;
	/* A single-user server writes its pid with a minus. */
	if (dr_parse_u64(line, 1, INT32_MAX, &pid) != DR_OK)
		return dr_fail(e, DR_E_NOT_FOUND, "%s names no postmaster", path);
	if (stat(data_dir, &st) != 0)
		return dr_fail_errno(e, errno, "cannot look at %s", data_dir);
	rv = dr_proc_identify((int32_t)pid, out, e);
	if (rv == DR_OK && dr_proc_cwd_is((int32_t)pid, st.st_dev, st.st_ino) &&
	    dr_proc_exe((int32_t)pid, exe, sizeof(exe), NULL) == DR_OK) {
		const char *slash = strrchr(exe, '/');
		if (slash != NULL && (strcmp(slash, "/postgres") == 0 || strcmp(slash, "/postmaster") == 0))
			return DR_OK;
	}
	memset(out, 0, sizeof(*out));
	return rv != DR_OK ? rv
			   : dr_fail(e, DR_E_NOT_FOUND, "%s is stale: %llu is another program", path,
				     (unsigned long long)pid);
}

/* Whether a line of the file sets one of the keys: "key = ..." or "key ...", in any case of letters. */
static bool sets_key(const char *line, size_t len, const struct dr_pg_setting *set, size_t n)
{
	size_t at = 0, end;
	while (at < len && (line[at] == ' ' || line[at] == '\t'))
		at++;
	for (end = at; end < len && line[end] != ' ' && line[end] != '\t' && line[end] != '='; end++)
		;
	for (size_t i = 0; i < n; i++) {
		if (strlen(set[i].key) == end - at && strncasecmp(line + at, set[i].key, end - at) == 0)
			return true;
	}
	return false;
}

/* Quotes and backslashes are doubled, as PostgreSQL's own writer does. */
static void put_setting(struct dr_buf *b, const struct dr_pg_setting *s)
{
	dr_buf_printf(b, "%s = '", s->key);
	for (const char *p = s->value; *p != '\0'; p++) {
		if (*p == '\'' || *p == '\\')
			dr_buf_put_u8(b, (uint8_t)*p);
		dr_buf_put_u8(b, (uint8_t)*p);
	}
	dr_buf_put(b, "'\n", 2);
}

enum dr_err dr_pg_auto_conf(const char *data_dir, const struct dr_pg_setting *set, size_t n,
			    struct dr_error *e)
{
	char path[PATH_BYTES];
	struct dr_buf old, fresh;
	path_in(path, sizeof(path), data_dir, "postgresql.auto.conf");
	dr_buf_init(&old, CONF_MAX);
	dr_buf_init(&fresh, 2 * CONF_MAX);
	enum dr_err rv = dr_file_read(path, &old, e);
	if (rv == DR_E_NOT_FOUND)
		rv = DR_OK;
	if (rv != DR_OK)
		goto out;
	for (size_t at = 0; at < old.len;) {
		const uint8_t *nl = memchr(old.data + at, '\n', old.len - at);
		size_t len = nl != NULL ? (size_t)(nl - (old.data + at)) : old.len - at;
		if (!sets_key((const char *)old.data + at, len, set, n)) {
			dr_buf_put(&fresh, old.data + at, len);
			dr_buf_put_u8(&fresh, '\n');
		}
		at += len + 1;
	}
	for (size_t i = 0; i < n; i++) {
		if (set[i].value != NULL && strchr(set[i].value, '\n') != NULL) {
			rv = dr_fail(e, DR_E_INVALID, "a value for %s has a line break", set[i].key);
			goto out;
		}
		if (set[i].value != NULL)
			put_setting(&fresh, &set[i]);
	}
	rv = dr_buf_ok(&fresh) ? dr_pg_file_replace(data_dir, path, fresh.data, fresh.len, e)
			       : dr_fail(e, DR_E_RANGE, "%s would be too large", path);
out:
	dr_buf_close(&old);
	dr_buf_close(&fresh);
	return rv;
}
