/* proc.c -- see proc.h: identities and signals.  Spawning is in spawn.c. */
#include "sys/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/parse.h"

/* A file of /proc in one read; false when it is gone. */
static bool read_proc(int32_t pid, const char *name, char *buf, size_t cap)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, buf, cap - 1);
	(void)close(fd);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	return true;
}

/* The name in field 2 may hold blanks and brackets, so fields are counted from the last ')'. */
static bool parse_stat(char *text, int32_t pid, struct dr_proc_stat *out)
{
	char *p = strrchr(text, ')');
	if (p == NULL || p[1] != ' ' || p[2] == '\0')
		return false;
	out->id.pid = pid;
	out->state = p[2];
	char *save = NULL;
	unsigned field = 2;
	for (char *w = strtok_r(p + 1, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
		uint64_t v = 0;
		field++;
		if (field == 4) {
			if (dr_parse_u64(w, 0, INT32_MAX, &v) != DR_OK)
				return false;
			out->parent = (int32_t)v;
		}
		if (field == 22)
			return dr_parse_u64(w, 0, UINT64_MAX, &out->id.start_ticks) == DR_OK;
	}
	return false;
}

enum dr_err dr_proc_stat(int32_t pid, struct dr_proc_stat *out, struct dr_error *e)
{
	char text[1024];
	memset(out, 0, sizeof(*out));
	if (pid <= 0 || !read_proc(pid, "stat", text, sizeof(text)))
		return dr_fail(e, DR_E_NOT_FOUND, "no process %d", pid);
	if (!parse_stat(text, pid, out)) {
		memset(out, 0, sizeof(*out));
		return dr_fail(e, DR_E_PROTOCOL, "/proc/%d/stat cannot be read as expected", pid);
	}
	return DR_OK;
}

static bool is_dead(char state)
{
	return state == 'Z' || state == 'X' || state == 'x';
}

enum dr_err dr_proc_identify(int32_t pid, struct dr_proc_id *out, struct dr_error *e)
{
	struct dr_proc_stat st;
	memset(out, 0, sizeof(*out));
	enum dr_err rv = dr_proc_stat(pid, &st, e);
	if (rv != DR_OK)
		return rv;
	if (is_dead(st.state))
		return dr_fail(e, DR_E_NOT_FOUND, "process %d has ended", pid);
	*out = st.id;
	return DR_OK;
}

bool dr_proc_alive(const struct dr_proc_id *id)
{
	struct dr_proc_id now;
	return id->pid > 0 && dr_proc_identify(id->pid, &now, NULL) == DR_OK &&
	       now.start_ticks == id->start_ticks;
}

enum dr_err dr_proc_pidfd(const struct dr_proc_id *id, int *fd, struct dr_error *e)
{
	struct dr_proc_stat st;
	*fd = -1;
	if (id->pid <= 0)
		return dr_fail(e, DR_E_NOT_FOUND, "no process");
	int got = pidfd_open(id->pid, 0);
	if (got < 0)
		return errno == ESRCH ? dr_fail(e, DR_E_NOT_FOUND, "no process %d", id->pid)
				      : dr_fail_errno(e, errno, "cannot open a pidfd of %d", id->pid);
	/* The pidfd is fixed to whoever has the pid now; only then is its start time worth reading.  A zombie
	 * is fine: its pidfd is readable. */
	if (dr_proc_stat(id->pid, &st, NULL) != DR_OK || st.id.start_ticks != id->start_ticks) {
		(void)close(got);
		return dr_fail(e, DR_E_NOT_FOUND, "process %d is gone", id->pid);
	}
	*fd = got;
	return DR_OK;
}

enum dr_err dr_proc_signal(const struct dr_proc_id *id, int sig, struct dr_error *e)
{
	int fd = -1;
	enum dr_err rv = dr_proc_pidfd(id, &fd, e);
	if (rv != DR_OK)
		return rv;
	if (pidfd_send_signal(fd, sig, NULL, 0) != 0)
		rv = errno == ESRCH ? dr_fail(e, DR_E_NOT_FOUND, "process %d is gone", id->pid)
				    : dr_fail_errno(e, errno, "cannot signal process %d", id->pid);
	(void)close(fd);
	return rv;
}

bool dr_proc_reap(int32_t pid, int *status)
{
	int st = 0;
	pid_t got;
	if (pid <= 0)
		return false;
	do
		got = waitpid(pid, &st, WNOHANG);
	while (got < 0 && errno == EINTR);
	if (got != pid)
		return false;
	if (status != NULL)
		*status = st;
	return true;
}

const char *dr_proc_status_text(int status, char *buf, size_t cap)
{
	if (WIFSIGNALED(status))
		(void)snprintf(buf, cap, "signal %d", WTERMSIG(status));
	else
		(void)snprintf(buf, cap, "exit code %d", WEXITSTATUS(status));
	return buf;
}

bool dr_proc_cwd_is(int32_t pid, dev_t dev, ino_t ino)
{
	char path[64];
	struct stat st;
	(void)snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
	return stat(path, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

enum dr_err dr_proc_exe(int32_t pid, char *dst, size_t cap, struct dr_error *e)
{
	static const char gone[] = " (deleted)";
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	ssize_t n = readlink(path, dst, cap);
	if (n < 0)
		return dr_fail_errno(e, errno, "cannot read %s", path);
	if ((size_t)n >= cap)
		return dr_fail(e, DR_E_RANGE, "%s is too long", path);
	dst[n] = '\0';
	size_t tail = sizeof(gone) - 1;
	if ((size_t)n > tail && strcmp(dst + n - tail, gone) == 0)
		dst[(size_t)n - tail] = '\0';
	return DR_OK;
}

/* One look at all processes: who is who's child.  Kept small, since the guard locks its memory. */
struct seen_proc {
	struct dr_proc_id id;
	int32_t parent;
	bool chosen;
};

static size_t read_all(struct seen_proc *all, size_t cap, bool *full)
{
	size_t n = 0;
	DIR *d = opendir("/proc");
	if (d == NULL)
		return 0;
	for (struct dirent *it = readdir(d); it != NULL; it = readdir(d)) {
		uint64_t pid = 0;
		struct dr_proc_stat st;
		if (dr_parse_u64(it->d_name, 1, INT32_MAX, &pid) != DR_OK ||
		    dr_proc_stat((int32_t)pid, &st, NULL) != DR_OK || is_dead(st.state))
			continue;
		if (n == cap) {
			*full = true;
			break;
		}
		all[n++] = (struct seen_proc){ .id = st.id, .parent = st.parent };
	}
	(void)closedir(d);
	return n;
}

/* Spread the choice from parents to children until nothing changes; depth is small, so a few rounds. */
static void choose_children(struct seen_proc *all, size_t n)
{
	bool more = true;
	while (more) {
		more = false;
		for (size_t i = 0; i < n; i++) {
			if (all[i].chosen)
				continue;
			for (size_t k = 0; k < n; k++) {
				if (all[k].chosen && all[k].id.pid == all[i].parent) {
					all[i].chosen = true;
					more = true;
					break;
				}
			}
		}
	}
}

bool dr_proc_is_one_of(const char *path, const char *names)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	size_t n = strlen(name);
	for (const char *at = names; at != NULL; at = strchr(at, '|')) {
		at += *at == '|' ? 1 : 0;
		if (strncmp(at, name, n) == 0 && (at[n] == '\0' || at[n] == '|'))
			return true;
	}
	return false;
}

/* What can't be read counts as a match: rather one too many than a server missed. */
static bool runs_program(int32_t pid, const char *program)
{
	char exe[4096];
	if (program == NULL || program[0] == '\0' || dr_proc_exe(pid, exe, sizeof(exe), NULL) != DR_OK)
		return true;
	return dr_proc_is_one_of(exe, program);
}

enum dr_err dr_proc_tree(const struct dr_proc_id *root, const char *dir, const char *program,
			 struct dr_proc_id *out, size_t cap, size_t *n, struct dr_error *e)
{
	enum { ALL_MAX = 32768 };
	struct stat st;
	bool full = false;
	bool has_dir = dir != NULL && dir[0] != '\0' && stat(dir, &st) == 0;
	struct seen_proc *all = dr_xcalloc(ALL_MAX * sizeof(*all));
	size_t count = read_all(all, ALL_MAX, &full);
	*n = 0;
	for (size_t i = 0; i < count; i++) {
		struct seen_proc *p = &all[i];
		p->chosen = (root != NULL && root->pid > 0 && p->id.pid == root->pid &&
			     p->id.start_ticks == root->start_ticks) ||
			    (has_dir && dr_proc_cwd_is(p->id.pid, st.st_dev, st.st_ino) &&
			     runs_program(p->id.pid, program));
	}
	choose_children(all, count);
	for (size_t i = 0; i < count; i++) {
		if (!all[i].chosen)
			continue;
		if (*n == cap) {
			full = true;
			break;
		}
		out[(*n)++] = all[i].id;
	}
	dr_free(all);
	return full ? dr_fail(e, DR_E_FULL, "more processes than can be listed") : DR_OK;
}
