/* jobs.c -- see jobs.h: a thread per job, and its way back to the loop. */
#include "agent/shell/jobs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/shell/pg_files.h"
#include "agent/shell/pg_jobs_own.h"
#include "sys/clock.h"

#define MS 1000000ull

static enum dr_err run_kind(struct dr_job *job, struct dr_error *e)
{
	switch (job->kind) {
	case DR_JOB_COMPARE:
		return pg_job_compare(job, e);
	case DR_JOB_SALVAGE:
		return pg_job_salvage(job, e);
	case DR_JOB_REWIND:
		return pg_job_rewind(job, e);
	case DR_JOB_CLONE:
		return pg_job_clone(job, e);
	case DR_JOB_FOLLOW:
		return pg_job_follow(job, e);
	case DR_JOB_MARK:
		return dr_pg_mark_standby(job->local.data_dir, e);
	case DR_JOB_MY_SALVAGE:
		return my_job_salvage(job, e);
	case DR_JOB_MY_SEND:
		return my_job_send(job, e);
	case DR_JOB_MY_CLONE:
		return my_job_clone(job, e);
	case DR_JOB_MY_BESIDE:
		return my_job_beside(job, e);
	case DR_JOB_MY_SWAP:
		return my_job_swap(job, e);
	case DR_JOB_REDC_ASIDE:
		return redc_job_aside(job, e);
	case DR_JOB_RED_ASIDE:
		return red_job_aside(job, e);
	case DR_JOB_DISCARD:
		return pg_job_discard(job, e);
	}
	return dr_fail(e, DR_E_INVALID, "no such job");
}

/* Whoever works on the data now, single-user servers of a job that broke off included. */
static enum dr_err check_stopped(struct dr_job *job, struct dr_error *e)
{
	struct dr_proc_id one;
	size_t n = 0;
	if (job->kind == DR_JOB_COMPARE || job->kind == DR_JOB_MARK || job->kind == DR_JOB_MY_SEND ||
	    job->kind == DR_JOB_MY_BESIDE || job->kind == DR_JOB_DISCARD)
		return DR_OK;
	enum dr_err rv = dr_proc_tree(NULL, job->local.data_dir, job->local.program, &one, 1, &n, e);
	if (rv != DR_OK && rv != DR_E_FULL)
		return rv;
	return n == 0 ? DR_OK
		      : dr_fail(e, DR_E_CONFLICT, "a server works on %s (process %d)", job->local.data_dir,
				one.pid);
}

/* Whoever is at the other end of a pipe sees that this one is gone. */
static void close_ends(struct dr_job *job)
{
	if (job->pipe.in > 0)
		(void)close(job->pipe.in);
	if (job->pipe.out > 0)
		(void)close(job->pipe.out);
	job->pipe.in = job->pipe.out = 0;
}

static void run(void *arg)
{
	struct dr_job *job = arg;
	struct dr_error *e = &job->error;
	bool empty = true;
	dr_error_clear(e);
	/* What an agent before us left behind: its tools must not work beside ours. */
	enum dr_err rv = dr_cgroup_make(job->root, &job->group, e);
	for (int i = 0; rv == DR_OK && i < 500; i++) {
		rv = dr_cgroup_is_empty(job->root, &job->group, &empty, e);
		if (rv != DR_OK || empty)
			break;
		rv = dr_cgroup_kill(job->root, &job->group, e);
		(void)usleep(2000);
	}
	if (rv == DR_OK && job->local.os_user[0] != '\0') {
		rv = dr_os_user_find(job->local.os_user, &job->user, e);
		job->has_user = rv == DR_OK;
	}
	if (rv == DR_OK)
		rv = check_stopped(job, e);
	if (rv == DR_OK)
		rv = run_kind(job, e);
	job->error.code = rv;
	close_ends(job);
	(void)!dr_cgroup_remove(job->root, &job->group, NULL);
	(void)uv_async_send(&job->finished);
}

static void on_closed(uv_handle_t *h)
{
	struct dr_job *job = h->data;
	(void)close(job->cancel_fd);
	job->cancel_fd = -1;
	job->done(job, job->error.code != DR_OK ? &job->error : NULL);
}

static void on_finished(uv_async_t *a)
{
	struct dr_job *job = a->data;
	if (job->has_thread)
		(void)uv_thread_join(&job->thread);
	uv_close((uv_handle_t *)a, on_closed);
}

enum dr_err dr_job_start(struct dr_job *job, uv_loop_t *loop, const struct dr_cgroup_root *root,
			    struct dr_error *e)
{
	char name[2 * DR_NAME_MAX + 8];
	job->root = root;
	job->has_user = false;
	job->until_ns = dr_clock_boot_ns() + job->deadline_ms * MS;
	job->tail[0] = '\0';
	(void)snprintf(name, sizeof(name), "%s-%s-%s", job->local.service.s, job->local.member.s,
		       job->kind == DR_JOB_MY_SEND ? "send" : "job");
	enum dr_err rv = dr_cgroup_init(&job->group, root, name, job->local.data_dir, job->local.program, e);
	if (rv != DR_OK)
		return rv;
	/* In the proc way the group goes by its root alone: the data folder is the server's. */
	job->group.data_dir[0] = '\0';
	job->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (job->cancel_fd < 0)
		return dr_fail_errno(e, errno, "cannot start a job");
	int uv = uv_async_init(loop, &job->finished, on_finished);
	if (uv != 0) {
		(void)close(job->cancel_fd);
		return dr_fail(e, DR_E_INTERNAL, "cannot start a job: %s", uv_strerror(uv));
	}
	job->finished.data = job;
	/* Without a thread the job has ended; done says so, from the loop like any other end. */
	uv = uv_thread_create(&job->thread, run, job);
	job->has_thread = uv == 0;
	if (uv != 0) {
		(void)dr_fail(&job->error, DR_E_INTERNAL, "cannot start a thread: %s", uv_strerror(uv));
		close_ends(job);
		(void)uv_async_send(&job->finished);
	}
	return DR_OK;
}

void dr_job_cancel(struct dr_job *job)
{
	uint64_t one = 1;
	/* It can only fail by being full, and is readable then. */
	ssize_t n = job->cancel_fd >= 0 ? write(job->cancel_fd, &one, sizeof(one)) : 0;
	(void)n;
}
