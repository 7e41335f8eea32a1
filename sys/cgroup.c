/* cgroup.c -- see cgroup.h.  Finding the root is in cgroup_root.c. */
#include "sys/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/parse.h"

enum { ADOPT_ROUNDS = 64, FILE_MAX = 256 * 1024 };

enum dr_err dr_cgroup_init(struct dr_cgroup *g, const struct dr_cgroup_root *r, const char *name,
			   const char *data_dir, const char *program, struct dr_error *e)
{
	char real[4096];
	memset(g, 0, sizeof(*g));
	g->way = r->way;
	if (!dr_copy_text(g->data_dir, sizeof(g->data_dir), data_dir) ||
	    !dr_copy_text(g->program, sizeof(g->program), program))
		return dr_fail(e, DR_E_RANGE, "path too long: %s", data_dir);
	const char *hashed = realpath(data_dir, real) != NULL ? real : data_dir;
	int n = snprintf(g->path, sizeof(g->path), "%s%sdrcoord-%s-%08x", r->base,
			 r->base[0] != '\0' ? "/" : "", name, (unsigned)dr_crc32c(0, hashed, strlen(hashed)));
	if (n < 0 || (size_t)n >= sizeof(g->path))
		return dr_fail(e, DR_E_RANGE, "cgroup path too long for %s", name);
	return DR_OK;
}

/* A file of the group; -1 and errno when it can't be opened. */
static int open_file(const struct dr_cgroup_root *r, const struct dr_cgroup *g, const char *file, int flags)
{
	char path[DR_PATH_MAX + 32];
	(void)snprintf(path, sizeof(path), "%s/%s", g->path, file);
	return openat(r->fd, path, flags | O_CLOEXEC);
}

static enum dr_err write_file(const struct dr_cgroup_root *r, const struct dr_cgroup *g, const char *file,
			      const char *text, struct dr_error *e)
{
	int fd = open_file(r, g, file, O_WRONLY);
	if (fd < 0)
		return dr_fail_errno(e, errno, "cannot open %s of cgroup %s", file, g->path);
	ssize_t n = write(fd, text, strlen(text));
	int err = errno;
	(void)close(fd);
	return n == (ssize_t)strlen(text)
		   ? DR_OK
		   : dr_fail_errno(e, err, "cannot write %s of cgroup %s", file, g->path);
}

/* The whole file into *b, with a NUL behind it that b->len doesn't count. */
static enum dr_err read_file(const struct dr_cgroup_root *r, const struct dr_cgroup *g, const char *file,
			     struct dr_buf *b, struct dr_error *e)
{
	int fd = open_file(r, g, file, O_RDONLY);
	if (fd < 0)
		return dr_fail_errno(e, errno, "cannot open %s of cgroup %s", file, g->path);
	ssize_t n;
	do {
		uint8_t *room = dr_buf_reserve(b, 4096);
		n = room != NULL ? read(fd, room, 4095) : 0;
		if (n > 0)
			dr_buf_grow(b, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
	int err = errno;
	(void)close(fd);
	if (n < 0)
		return dr_fail_errno(e, err, "cannot read %s of cgroup %s", file, g->path);
	uint8_t *end = dr_buf_reserve(b, 1);
	if (end == NULL)
		return dr_fail(e, DR_E_FULL, "%s of cgroup %s is too long", file, g->path);
	*end = '\0';
	return DR_OK;
}

enum dr_err dr_cgroup_make(const struct dr_cgroup_root *r, const struct dr_cgroup *g, struct dr_error *e)
{
	if (g->way != DR_CGROUP_V2 || mkdirat(r->fd, g->path, 0755) == 0 || errno == EEXIST)
		return DR_OK;
	return dr_fail_errno(e, errno, "cannot make cgroup %s", g->path);
}

enum dr_err dr_cgroup_remove(const struct dr_cgroup_root *r, const struct dr_cgroup *g, struct dr_error *e)
{
	if (g->way != DR_CGROUP_V2 || unlinkat(r->fd, g->path, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return DR_OK;
	if (errno == EBUSY)
		return dr_fail(e, DR_E_BUSY, "cgroup %s still has processes", g->path);
	return dr_fail_errno(e, errno, "cannot remove cgroup %s", g->path);
}

enum dr_err dr_cgroup_join_fd(const struct dr_cgroup_root *r, const struct dr_cgroup *g, int *fd,
			      struct dr_error *e)
{
	*fd = -1;
	if (g->way != DR_CGROUP_V2)
		return DR_OK;
	*fd = open_file(r, g, "cgroup.procs", O_WRONLY);
	return *fd >= 0 ? DR_OK : dr_fail_errno(e, errno, "cannot open cgroup.procs of cgroup %s", g->path);
}

enum dr_err dr_cgroup_put(const struct dr_cgroup_root *r, const struct dr_cgroup *g, int32_t pid,
			  struct dr_error *e)
{
	char text[16];
	if (g->way != DR_CGROUP_V2)
		return DR_OK;
	(void)snprintf(text, sizeof(text), "%d", pid);
	return write_file(r, g, "cgroup.procs", text, e);
}

static enum dr_err list_v2(const struct dr_cgroup_root *r, const struct dr_cgroup *g, struct dr_proc_id *out,
			   size_t cap, size_t *n, struct dr_error *e)
{
	struct dr_buf b;
	struct dr_error inner;
	char *save = NULL;
	dr_buf_init(&b, FILE_MAX);
	enum dr_err rv = read_file(r, g, "cgroup.procs", &b, &inner);
	if (rv == DR_E_NOT_FOUND) {
		rv = DR_OK;
		goto out;
	}
	if (rv != DR_OK) {
		rv = dr_fail(e, rv, "%s", inner.msg);
		goto out;
	}
	for (char *w = strtok_r((char *)b.data, "\n", &save); w != NULL; w = strtok_r(NULL, "\n", &save)) {
		uint64_t pid = 0;
		/* 0 is a process that our pid namespace can't name. */
		if (dr_parse_u64(w, 1, INT32_MAX, &pid) != DR_OK)
			continue;
		if (*n == cap) {
			rv = dr_fail(e, DR_E_FULL, "cgroup %s has more than %zu processes", g->path, cap);
			goto out;
		}
		if (dr_proc_identify((int32_t)pid, &out[*n], NULL) == DR_OK)
			(*n)++;
	}
out:
	dr_buf_close(&b);
	return rv;
}

enum dr_err dr_cgroup_list(const struct dr_cgroup_root *r, const struct dr_cgroup *g, struct dr_proc_id *out,
			   size_t cap, size_t *n, struct dr_error *e)
{
	*n = 0;
	if (g->way == DR_CGROUP_V2)
		return list_v2(r, g, out, cap, n, e);
	return dr_proc_tree(&g->root, g->data_dir, g->program, out, cap, n, e);
}

enum dr_err dr_cgroup_is_empty(const struct dr_cgroup_root *r, const struct dr_cgroup *g, bool *empty,
			       struct dr_error *e)
{
	*empty = false;
	if (g->way != DR_CGROUP_V2) {
		struct dr_proc_id one;
		size_t n = 0;
		enum dr_err rv = dr_proc_tree(&g->root, g->data_dir, g->program, &one, 1, &n, e);
		*empty = rv == DR_OK && n == 0;
		return rv == DR_E_FULL ? DR_OK : rv;
	}
	struct dr_buf b;
	struct dr_error inner;
	dr_buf_init(&b, 4096 * 4);
	enum dr_err rv = read_file(r, g, "cgroup.events", &b, &inner);
	if (rv == DR_OK) {
		/* "populated 0" counts the whole subtree and no zombies. */
		*empty = strstr((char *)b.data, "populated 0") != NULL;
	} else if (rv == DR_E_NOT_FOUND) {
		*empty = true;
		rv = DR_OK;
	} else {
		rv = dr_fail(e, rv, "%s", inner.msg);
	}
	dr_buf_close(&b);
	return rv;
}

/* One by one: the proc way, and cgroup2 before Linux 5.14.  Whoever forks meanwhile is met by the caller's
 * next round. */
static enum dr_err kill_each(const struct dr_cgroup_root *r, const struct dr_cgroup *g, struct dr_error *e)
{
	size_t n = 0;
	struct dr_proc_id *ids = dr_xcalloc(DR_PROC_LIST_MAX * sizeof(*ids));
	enum dr_err rv = dr_cgroup_list(r, g, ids, DR_PROC_LIST_MAX, &n, e);
	if (rv == DR_E_FULL)
		rv = DR_OK;
	for (size_t i = 0; i < n; i++) {
		struct dr_error one;
		enum dr_err k =
		    ids[i].pid != (int32_t)getpid() ? dr_proc_signal(&ids[i], SIGKILL, &one) : DR_OK;
		if (k != DR_OK && k != DR_E_NOT_FOUND)
			rv = dr_fail(e, k, "%s", one.msg);
	}
	dr_free(ids);
	return rv;
}

enum dr_err dr_cgroup_kill(const struct dr_cgroup_root *r, const struct dr_cgroup *g, struct dr_error *e)
{
	struct dr_error inner;
	if (g->way != DR_CGROUP_V2)
		return kill_each(r, g, e);
	enum dr_err rv = write_file(r, g, "cgroup.kill", "1", &inner);
	if (rv == DR_OK)
		return DR_OK;
	/* The group may be gone (then nobody is left) or the file unknown to this kernel. */
	return kill_each(r, g, e);
}

enum dr_err dr_cgroup_freeze(const struct dr_cgroup_root *r, const struct dr_cgroup *g, bool on,
			     struct dr_error *e)
{
	if (g->way != DR_CGROUP_V2)
		return dr_fail(e, DR_E_UNSUPPORTED, "freezing needs cgroup2");
	return write_file(r, g, "cgroup.freeze", on ? "1" : "0", e);
}

static bool is_in(const struct dr_proc_id *id, const struct dr_proc_id *set, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (set[i].pid == id->pid)
			return true;
	}
	return false;
}

enum dr_err dr_cgroup_adopt(const struct dr_cgroup_root *r, const struct dr_cgroup *g, struct dr_error *e)
{
	if (g->way != DR_CGROUP_V2)
		return DR_OK;
	struct dr_proc_id *want = dr_xcalloc(2 * DR_PROC_LIST_MAX * sizeof(*want));
	struct dr_proc_id *have = want + DR_PROC_LIST_MAX;
	enum dr_err rv = DR_OK;
	/* A process forked while we look belongs to its parent's group of that moment, so look until nobody
	 * is outside; each round catches at least a generation. */
	for (int round = 0; round < ADOPT_ROUNDS; round++) {
		size_t n_want = 0, n_have = 0, outside = 0;
		rv = dr_proc_tree(&g->root, g->data_dir, g->program, want, DR_PROC_LIST_MAX, &n_want, e);
		if (rv == DR_OK)
			rv = dr_cgroup_list(r, g, have, DR_PROC_LIST_MAX, &n_have, e);
		for (size_t i = 0; rv == DR_OK && i < n_want; i++) {
			if (is_in(&want[i], have, n_have))
				continue;
			outside++;
			struct dr_error one;
			if (dr_cgroup_put(r, g, want[i].pid, &one) != DR_OK && dr_proc_alive(&want[i]))
				rv = dr_fail(e, one.code, "%s", one.msg);
		}
		if (rv != DR_OK || outside == 0)
			goto out;
	}
	rv = dr_fail(e, DR_E_BUSY, "processes of %s fork faster than they can be moved", g->data_dir);
out:
	dr_free(want);
	return rv;
}
