/* job_child.c -- running a server's tools (jobs_own.h). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/shell/jobs_own.h"
#include "base/assert.h"
#include "sys/clock.h"
#include "sys/file.h"

#define MS 1000000ull

enum { LINE_BYTES = 8192 };

struct running {
	struct dr_job *job;
	struct job_child *child;
	struct dr_proc_id id;
	int pidfd, out, err;
	char line[LINE_BYTES];
	size_t line_len;
	size_t tail_len;
};

void job_child_arg(struct job_child *c, const char *arg)
{
	dr_assert(c->argc + 1 < sizeof(c->argv) / sizeof(c->argv[0]));
	c->argv[c->argc++] = arg;
	c->argv[c->argc] = NULL;
}

enum dr_err job_secret(const char *file, char dst[256], struct dr_error *e)
{
	dst[0] = '\0';
	return file[0] != '\0' ? dr_file_read_line(file, dst, 256, e) : DR_OK;
}

void job_program(const struct dr_job *job, const char *name, char *dst, size_t cap)
{
	(void)snprintf(dst, cap, "%s/%s", job->local.bin_dir, name);
}

enum dr_err job_check(struct dr_job *job, struct dr_error *e)
{
	struct pollfd p = { .fd = job->cancel_fd, .events = POLLIN };
	if (poll(&p, 1, 0) > 0)
		return dr_fail(e, DR_E_CANCELLED, "cancelled");
	if (dr_clock_boot_ns() >= job->until_ns)
		return dr_fail(e, DR_E_TIMEOUT, "not done within %u ms", job->deadline_ms);
	return DR_OK;
}

/* Lines longer than the buffer are cut; what a tool prints is bounded nowhere else. */
static void take_out(struct running *r, const char *part, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (part[i] != '\n') {
			if (r->line_len < sizeof(r->line) - 1)
				r->line[r->line_len++] = part[i];
			continue;
		}
		r->line[r->line_len] = '\0';
		if (r->child->line != NULL)
			r->child->line(r->child->ctx, r->line);
		r->line_len = 0;
	}
}

static void take_err(struct running *r, const char *part, size_t n)
{
	size_t cap = sizeof(r->job->tail) - 1;
	if (r->tail_len + n > cap) {
		size_t drop = r->tail_len + n - cap;
		memmove(r->job->tail, r->job->tail + drop, r->tail_len - drop);
		r->tail_len -= drop;
	}
	memcpy(r->job->tail + r->tail_len, part, n);
	r->tail_len += n;
	r->job->tail[r->tail_len] = '\0';
}

/* False: that end is closed. */
static bool drain(struct running *r, int fd, bool is_err)
{
	char part[2048];
	ssize_t n = read(fd, part, sizeof(part));
	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
		return false;
	if (is_err)
		take_err(r, part, (size_t)n);
	else
		take_out(r, part, (size_t)n);
	return true;
}

static enum dr_err start(struct running *r, struct dr_error *e)
{
	struct dr_job *job = r->job;
	int out[2] = { -1, -1 }, err[2] = { -1, -1 }, join = -1;
	char path[JOB_PATH], home[JOB_PATH], secret[300];
	const char *env[8] = { path, home, "LC_ALL=C", "PGCONNECT_TIMEOUT=5", "PGAPPNAME=drcoord", NULL };
	(void)snprintf(path, sizeof(path), "PATH=%s:/usr/bin:/bin", job->local.bin_dir);
	(void)snprintf(home, sizeof(home), "HOME=%s", job->has_user ? job->user.home : "/");
	(void)snprintf(secret, sizeof(secret), "PGPASSWORD=%s",
		       r->child->password != NULL ? r->child->password : "");
	if (r->child->password != NULL && r->child->password[0] != '\0')
		env[5] = secret;
	enum dr_err rv = DR_OK;
	if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
		rv = dr_fail_errno(e, errno, "cannot make a pipe");
	if (rv == DR_OK)
		rv = dr_cgroup_join_fd(job->root, &job->group, &join, e);
	if (rv == DR_OK) {
		struct dr_spawn s = { .argv = r->child->argv,
				      .env = env,
				      .user = job->has_user ? &job->user : NULL,
				      .join_fd = join,
				      .in_fd = r->child->in,
				      .out_fd = r->child->out > 0 ? r->child->out : out[1],
				      .err_fd = err[1],
				      .keep_fd = { r->child->keep } };
		rv = dr_spawn(&s, &r->id, &r->pidfd, e);
	}
	explicit_bzero(secret, sizeof(secret));
	r->out = out[0];
	r->err = err[0];
	if (out[1] >= 0)
		(void)close(out[1]);
	if (err[1] >= 0)
		(void)close(err[1]);
	if (join >= 0)
		(void)close(join);
	return rv;
}

/* Until it has ended, or it is time to end it. */
static enum dr_err attend(struct running *r, struct dr_error *e)
{
	for (;;) {
		enum dr_err rv = job_check(r->job, e);
		if (rv != DR_OK)
			return rv;
		struct pollfd p[] = { { .fd = r->out, .events = POLLIN },
				      { .fd = r->err, .events = POLLIN },
				      { .fd = r->pidfd, .events = POLLIN },
				      { .fd = r->job->cancel_fd, .events = POLLIN } };
		uint64_t left_ms = (r->job->until_ns - dr_clock_boot_ns()) / MS;
		if (poll(p, 4, left_ms < 1000 ? (int)left_ms + 1 : 1000) <= 0)
			continue;
		if (p[0].revents != 0 && !drain(r, r->out, false)) {
			(void)close(r->out);
			r->out = -1;
		}
		if (p[1].revents != 0 && !drain(r, r->err, true)) {
			(void)close(r->err);
			r->err = -1;
		}
		/* What it said last may still be in the pipes. */
		if (p[2].revents != 0 && (p[0].revents | p[1].revents) == 0)
			return DR_OK;
	}
}

/* A tool's own children (pg_rewind's single-user server) go with it. */
static void end_all(struct running *r)
{
	bool empty = false;
	for (int i = 0; i < 500 && !empty; i++) {
		(void)!dr_cgroup_kill(r->job->root, &r->job->group, NULL);
		if (dr_cgroup_is_empty(r->job->root, &r->job->group, &empty, NULL) != DR_OK)
			empty = false;
		if (!empty)
			(void)poll(NULL, 0, 2);
	}
}

static const char *last_line(char *tail)
{
	size_t n = strlen(tail);
	while (n > 0 && (tail[n - 1] == '\n' || tail[n - 1] == ' '))
		tail[--n] = '\0';
	/* A hint or detail stands behind the error: go back to the last line that says what failed. */
	const char *at = tail;
	for (const char *p = tail; p != NULL && *p != '\0';
	     p = strchr(p, '\n') != NULL ? strchr(p, '\n') + 1 : NULL) {
		if (strstr(p, "error:") != NULL || strstr(p, "FATAL:") != NULL)
			at = p;
	}
	return at;
}

enum dr_err job_child_run(struct dr_job *job, struct job_child *c, struct dr_error *e)
{
	struct running r = { .job = job, .child = c, .pidfd = -1, .out = -1, .err = -1 };
	int status = 0;
	char how[32];
	job->tail[0] = '\0';
	const char *name = strrchr(c->argv[0], '/');
	name = name != NULL ? name + 1 : c->argv[0];
	enum dr_err rv = start(&r, e);
	if (r.pidfd >= 0) {
		job->group.root = r.id;
		if (rv == DR_OK)
			rv = attend(&r, e);
		(void)!dr_proc_signal(&r.id, SIGKILL, NULL);
		end_all(&r);
		struct pollfd p = { .fd = r.pidfd, .events = POLLIN };
		(void)poll(&p, 1, 5000);
		bool reaped = dr_proc_reap(r.id.pid, &status);
		if (rv == DR_OK && (!reaped || status != 0))
			rv = dr_fail(e, DR_E_FAILED, "%s: %s: %s", name,
				     dr_proc_status_text(status, how, sizeof(how)), last_line(job->tail));
		job->group.root = (struct dr_proc_id){ 0 };
		(void)close(r.pidfd);
	}
	if (r.out >= 0)
		(void)close(r.out);
	if (r.err >= 0)
		(void)close(r.err);
	return rv;
}
