/* cgroup_root.c -- finding a cgroup2 to make groups in (cgroup.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/parse.h"
#include "sys/cgroup.h"
#include "sys/file.h"

const char *dr_cgroup_way_text(enum dr_cgroup_way way)
{
	switch (way) {
	case DR_CGROUP_V2:
		return "cgroup2";
	case DR_CGROUP_PROC:
		return "proc";
	case DR_CGROUP_NONE:
		break;
	}
	return "none";
}

static bool read_text(const char *path, struct dr_buf *b)
{
	if (dr_file_read(path, b, NULL) != DR_OK)
		return false;
	dr_buf_put_u8(b, 0);
	return dr_buf_ok(b);
}

/* The line "0::/path" of /proc/self/cgroup, without the '/' in front. */
static bool own_group(char *dst, size_t cap)
{
	struct dr_buf b;
	char *save = NULL;
	bool found = false;
	dr_buf_init(&b, 64 * 1024);
	if (read_text("/proc/self/cgroup", &b)) {
		for (char *l = strtok_r((char *)b.data, "\n", &save); l != NULL;
		     l = strtok_r(NULL, "\n", &save)) {
			if (strncmp(l, "0::/", 4) == 0)
				found = dr_copy_text(dst, cap, l + 4);
		}
	}
	dr_buf_close(&b);
	return found;
}

/* mountinfo writes blank, tab, newline and backslash as three octal digits. */
static void unescape(char *s)
{
	char *to = s;
	for (const char *p = s; *p != '\0'; p++) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' && p[3] >= '0' &&
		    p[3] <= '7') {
			*to++ = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
			p += 3;
		} else {
			*to++ = *p;
		}
	}
	*to = '\0';
}

/* One line of mountinfo: field 4 is the root inside the file system, 5 the mount point, after " - " the
 * type.  Only whole mounts (root "/") will do: others show a part that need not hold us. */
static bool is_cgroup2_mount(char *line, char *point, size_t cap)
{
	char *tail = strstr(line, " - ");
	char *save = NULL;
	if (tail == NULL || strncmp(tail + 3, "cgroup2 ", 8) != 0)
		return false;
	*tail = '\0';
	int field = 0;
	bool whole = false;
	for (char *w = strtok_r(line, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
		field++;
		if (field == 4)
			whole = strcmp(w, "/") == 0;
		if (field == 5) {
			unescape(w);
			return whole && dr_copy_text(point, cap, w);
		}
	}
	return false;
}

/* Whether processes can be moved into groups below base: cgroup2 asks for write access to the cgroup.procs
 * of the common ancestor, and mkdir needs the folder itself. */
static bool is_usable(int fd, const char *base)
{
	char path[DR_PATH_MAX + 16];
	(void)snprintf(path, sizeof(path), "%s%scgroup.procs", base, base[0] != '\0' ? "/" : "");
	return faccessat(fd, path, W_OK, AT_EACCESS) == 0 &&
	       faccessat(fd, base[0] != '\0' ? base : ".", W_OK, AT_EACCESS) == 0;
}

static bool try_mounted(struct dr_cgroup_root *r)
{
	struct dr_buf b;
	char *save = NULL;
	char point[DR_PATH_MAX];
	dr_buf_init(&b, 1024 * 1024);
	if (read_text("/proc/self/mountinfo", &b)) {
		for (char *l = strtok_r((char *)b.data, "\n", &save); l != NULL && r->fd < 0;
		     l = strtok_r(NULL, "\n", &save)) {
			if (!is_cgroup2_mount(l, point, sizeof(point)))
				continue;
			int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (fd >= 0 && is_usable(fd, r->base)) {
				r->fd = fd;
				(void)snprintf(r->why, sizeof(r->why), "cgroup2 at %.100s", point);
			} else if (fd >= 0) {
				(void)close(fd);
			}
		}
	}
	dr_buf_close(&b);
	return r->fd >= 0;
}

/* A mount that has no place in the tree of mounts and goes with its descriptor. */
static bool try_detached(struct dr_cgroup_root *r)
{
	int fs = fsopen("cgroup2", FSOPEN_CLOEXEC);
	int fd = -1;
	if (fs >= 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (fs >= 0)
		(void)close(fs);
	if (fd >= 0 && is_usable(fd, r->base)) {
		r->fd = fd;
		(void)snprintf(r->why, sizeof(r->why), "cgroup2, mounted privately");
		return true;
	}
	if (fd >= 0)
		(void)close(fd);
	return false;
}

void dr_cgroup_root_open(struct dr_cgroup_root *r, bool force_proc)
{
	memset(r, 0, sizeof(*r));
	r->fd = -1;
	r->way = DR_CGROUP_PROC;
	const char *forced = getenv("DRCOORD_CGROUP");
	if (force_proc || (forced != NULL && strcmp(forced, "proc") == 0)) {
		(void)snprintf(r->why, sizeof(r->why), "proc, as asked");
		return;
	}
	if (!own_group(r->base, sizeof(r->base))) {
		(void)snprintf(r->why, sizeof(r->why), "proc: this kernel has no cgroup2");
		return;
	}
	if (try_mounted(r) || try_detached(r)) {
		r->way = DR_CGROUP_V2;
		return;
	}
	r->base[0] = '\0';
	(void)snprintf(r->why, sizeof(r->why), "proc: no writable cgroup2");
}

void dr_cgroup_root_close(struct dr_cgroup_root *r)
{
	if (r->fd >= 0)
		(void)close(r->fd);
	r->fd = -1;
	r->way = DR_CGROUP_NONE;
}
