/* agent.c -- the guard's other duty: an agent runs, is started again when it ends, and stops when asked. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/guard/guard.h"
#include "base/mem.h"
#include "sys/clock.h"
#include "sys/log.h"

#define MS 1000000ull

enum {
	SOON_MS = 10000, /* an agent that lived longer is no failed start */
	BACKOFF_MS_MIN = 100,
	BACKOFF_MS_MAX = 5000,
	HANGS_TICKS = 600, /* of DR_GUARD_BEAT_MS each, counted by ourselves: a suspended machine adds none */
	LEAVE_MS = 30000,
	ENV_MAX = 512
};

static void took_agent(struct guard *g, const struct dr_proc_id *id, int fd, bool child)
{
	g->agent = *id;
	g->agent_fd = fd;
	g->agent_is_child = child;
	g->agent_has_status = false;
	g->agent_began_ns = dr_clock_boot_ns();
	g->agent_start_ns = 0;
	g->agent_beat_same = 0;
	atomic_store(&g->mem->agent_pid, id->pid);
}

enum dr_err guard_agent_adopt(struct guard *g, int32_t pid, struct dr_error *e)
{
	struct dr_proc_id id;
	int fd = -1;
	enum dr_err rv = dr_proc_identify(pid, &id, e);
	if (rv == DR_OK)
		rv = dr_proc_pidfd(&id, &fd, e);
	if (rv == DR_OK)
		took_agent(g, &id, fd, false);
	return rv;
}

/* Our own environment, and where the guard memory is. */
static void fill_env(const char **env, const char *extra)
{
	extern char **environ;
	size_t n = 0;
	size_t skip = strlen(DR_GUARD_ENV);
	for (char **v = environ; *v != NULL && n < ENV_MAX - 2; v++) {
		if (strncmp(*v, DR_GUARD_ENV, skip) != 0 || (*v)[skip] != '=')
			env[n++] = *v;
	}
	env[n++] = extra;
	env[n] = NULL;
}

/* At once after a long life and after the first short one; then ever later, with jitter. */
static void plan_start(struct guard *g, uint64_t now)
{
	uint64_t wait = 0;
	if (g->agent_failures > 1) {
		unsigned shift = g->agent_failures < 8 ? g->agent_failures - 2 : 6;
		uint32_t dice = 0;
		wait = (uint64_t)BACKOFF_MS_MIN << shift;
		wait = (wait < BACKOFF_MS_MAX ? wait : BACKOFF_MS_MAX) * MS;
		if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) == (ssize_t)sizeof(dice))
			wait = wait * (75 + dice % 51) / 100;
	}
	g->agent_start_ns = now + wait;
}

static void start_agent(struct guard *g, uint64_t now)
{
	const char *env[ENV_MAX];
	char extra[64];
	struct dr_error e;
	struct dr_proc_id id;
	int fd = -1;
	const char *argv[] = { g->agent_path, "--config", g->config_path, NULL };
	struct dr_spawn s = { .argv = argv,
			      .env = env,
			      .join_fd = -1,
			      .out_fd = g->stderr_fd,
			      .err_fd = g->stderr_fd,
			      .keep_fd = { g->memfd },
			      .no_wait = true };
	dr_guard_env_text(extra, sizeof(extra), g->memfd, (int32_t)getpid());
	fill_env(env, extra);
	if (dr_spawn(&s, &id, &fd, &e) != DR_OK) {
		g->agent_failures++;
		plan_start(g, now);
		dr_log(DR_LOG_ERROR, "guard.agent.start_failed", "error=\"%s\"", e.msg);
		return;
	}
	took_agent(g, &id, fd, true);
	(void)atomic_fetch_add(&g->mem->agent_starts, 1);
	dr_log(DR_LOG_INFO, "guard.agent.started", "pid=%d starts=%llu", id.pid,
	       (unsigned long long)atomic_load(&g->mem->agent_starts));
}

void guard_agent_reap(struct guard *g)
{
	for (;;) {
		int status = 0;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid <= 0 && !(pid < 0 && errno == EINTR))
			return;
		if (pid == g->agent.pid && g->agent_is_child) {
			g->agent_has_status = true;
			g->agent_status = status;
		}
	}
}

void guard_agent_ended(struct guard *g, uint64_t now)
{
	char text[32] = "unknown";
	guard_agent_reap(g);
	(void)close(g->agent_fd);
	g->agent_fd = -1;
	if (g->agent_has_status)
		(void)dr_proc_status_text(g->agent_status, text, sizeof(text));
	dr_log(g->leaving ? DR_LOG_INFO : DR_LOG_WARN, "guard.agent.ended", "pid=%d how=\"%s\"", g->agent.pid,
	       text);
	g->agent = (struct dr_proc_id){ 0 };
	atomic_store(&g->mem->agent_pid, 0);
	bool soon = now - g->agent_began_ns < SOON_MS * MS;
	g->agent_failures = soon ? g->agent_failures + 1 : 0;
	if (g->leaving)
		return;
	if (g->agent_has_status && WIFEXITED(g->agent_status) &&
	    WEXITSTATUS(g->agent_status) == DR_GUARD_EXIT_CONFIG) {
		g->leaving = true;
		g->leaving_ns = now;
		g->exit_code = DR_GUARD_EXIT_CONFIG;
		return;
	}
	plan_start(g, now);
}

void guard_agent_tick(struct guard *g, uint64_t now)
{
	if (g->agent.pid == 0) {
		if (!g->leaving && now >= g->agent_start_ns)
			start_agent(g, now);
		return;
	}
	uint64_t beat = atomic_load(&g->mem->agent_beat_ns);
	if (beat != g->agent_beat_seen || beat == 0) {
		g->agent_beat_seen = beat;
		g->agent_beat_same = 0;
	} else if (++g->agent_beat_same >= HANGS_TICKS) {
		/* Its server was killed long ago; a fresh one can bring it back as a standby. */
		dr_log(DR_LOG_ERROR, "guard.agent.hangs", "pid=%d", g->agent.pid);
		g->agent_beat_same = 0;
		(void)!dr_proc_signal(&g->agent, SIGKILL, NULL);
	}
	if (g->leaving && now - g->leaving_ns >= LEAVE_MS * MS)
		(void)!dr_proc_signal(&g->agent, SIGKILL, NULL);
}

void guard_agent_leave(struct guard *g, uint64_t now)
{
	if (g->leaving)
		return;
	g->leaving = true;
	g->leaving_ns = now;
	dr_log(DR_LOG_INFO, "guard.leaving", "agent=%d", g->agent.pid);
	if (g->agent.pid > 0)
		(void)!dr_proc_signal(&g->agent, SIGTERM, NULL);
}
