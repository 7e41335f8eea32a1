/* file.c -- see file.h. */
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"

enum { PATH_BYTES = 4096 };

enum dr_err dr_file_read(const char *path, struct dr_buf *out, struct dr_error *e)
{
	enum dr_err rv = DR_OK;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return dr_fail_errno(e, errno, "cannot open %s", path);
	for (;;) {
		uint8_t part[4096];
		ssize_t n = read(fd, part, sizeof(part));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rv = dr_fail_errno(e, errno, "cannot read %s", path);
			break;
		}
		if (n == 0)
			break;
		dr_buf_put(out, part, (size_t)n);
		if (!dr_buf_ok(out)) {
			rv = dr_fail(e, DR_E_RANGE, "%s is larger than %zu bytes", path, out->max);
			break;
		}
	}
	(void)close(fd);
	return rv;
}

enum dr_err dr_file_read_line(const char *path, char *dst, size_t cap, struct dr_error *e)
{
	struct dr_buf b;
	dst[0] = '\0';
	dr_buf_init(&b, 4096);
	enum dr_err rv = dr_file_read(path, &b, e);
	if (rv == DR_OK) {
		size_t n = 0;
		while (n < b.len && b.data[n] != '\n' && b.data[n] != '\0')
			n++;
		if (n >= cap)
			rv = dr_fail(e, DR_E_RANGE, "the first line of %s is longer than %zu bytes", path, cap - 1);
		else if (n > 0) {
			memcpy(dst, b.data, n);
			dst[n] = '\0';
		}
	}
	dr_buf_close(&b);
	return rv;
}

static enum dr_err write_all(int fd, const uint8_t *p, size_t len, const char *path, struct dr_error *e)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return dr_fail_errno(e, errno, "cannot write %s", path);
		p += n;
		len -= (size_t)n;
	}
	if (fsync(fd) != 0)
		return dr_fail_errno(e, errno, "cannot sync %s", path);
	return DR_OK;
}

static bool parent_of(const char *path, char parent[PATH_BYTES])
{
	if (!dr_copy_text(parent, PATH_BYTES, path))
		return false;
	char *slash = strrchr(parent, '/');
	if (slash == NULL)
		return dr_copy_text(parent, PATH_BYTES, ".");
	slash[slash == parent ? 1 : 0] = '\0';
	return true;
}

bool dr_dir_is_empty(const char *path)
{
	bool empty = true;
	DIR *d = opendir(path);
	if (d == NULL)
		return errno == ENOENT;
	errno = 0;
	for (const struct dirent *one = readdir(d); one != NULL; one = readdir(d)) {
		const char *name = one->d_name;
		empty = empty && (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lost+found") == 0);
	}
	empty = empty && errno == 0;
	(void)closedir(d);
	return empty;
}

enum dr_err dr_dir_sync(const char *path, struct dr_error *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return dr_fail_errno(e, errno, "cannot open folder %s", path);
	int rv = fsync(fd);
	int err = errno;
	(void)close(fd);
	return rv == 0 ? DR_OK : dr_fail_errno(e, err, "cannot sync folder %s", path);
}

enum dr_err dr_file_replace(const char *path, const void *data, size_t len, unsigned mode, struct dr_error *e)
{
	char fresh[PATH_BYTES];
	char parent[PATH_BYTES];
	int n = snprintf(fresh, sizeof(fresh), "%s.new", path);
	if (n < 0 || (size_t)n >= sizeof(fresh) || !parent_of(path, parent))
		return dr_fail(e, DR_E_RANGE, "path too long: %s", path);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)mode);
	if (fd < 0)
		return dr_fail_errno(e, errno, "cannot create %s", fresh);
	enum dr_err rv = write_all(fd, data, len, fresh, e);
	(void)close(fd);
	if (rv == DR_OK && rename(fresh, path) != 0)
		rv = dr_fail_errno(e, errno, "cannot rename %s to %s", fresh, path);
	if (rv != DR_OK) {
		(void)unlink(fresh);
		return rv;
	}
	return dr_dir_sync(parent, e);
}

enum dr_err dr_dir_make(const char *path, struct dr_error *e)
{
	char part[PATH_BYTES];
	if (!dr_copy_text(part, sizeof(part), path))
		return dr_fail(e, DR_E_RANGE, "path too long: %s", path);
	for (char *p = part + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char kept = *p;
		*p = '\0';
		if (mkdir(part, 0700) != 0 && errno != EEXIST)
			return dr_fail_errno(e, errno, "cannot create folder %s", part);
		if (kept == '\0')
			break;
		*p = kept;
	}
	struct stat st;
	if (stat(part, &st) == 0 && !S_ISDIR(st.st_mode))
		return dr_fail(e, DR_E_INVALID, "%s is there, and is no folder: name another, or move it away", part);
	return DR_OK;
}
