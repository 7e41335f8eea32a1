/* main.c -- drcoord-agent: arguments, configuration, loop, signals. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/guard/shm.h"
#include "agent/shell/agent.h"
#include "agent/shell/args.h"
#include "base/mem.h"
#include "base/parse.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"

enum { CLOCK_CHECK_MS = 100 };

static int usage(FILE *to, int code)
{
	(void)fputs("usage: drcoord-agent --config FILE | --help | --version\n"
		    "  Runs on a database host, started by drcoord-guard; keeps the lease, runs and fences the server.\n"
		    "  SIGTERM: leave (the server goes on for as long as its lease).  SIGHUP: read the certificates again.\n",
		    to);
	return code;
}

static void on_guard(struct dr_guard_link *l, bool alive)
{
	struct dr_agent *a = l->ctx;
	dr_log(alive ? DR_LOG_INFO : DR_LOG_ERROR, "guard.changed", "alive=%s", alive ? "true" : "false");
	for (uint32_t i = 0; i < a->conf.services; i++) {
		struct dr_agent_event ev = { .kind = DR_AG_GUARD, .alive = alive };
		dr_member_event(&a->member[i], &ev);
	}
}

static uint64_t wall_minus_boot(void)
{
	return dr_clock_wall_ms() - dr_clock_boot_ms();
}

/* Rule 9: wall time that ran ahead means that this machine slept, or that its clock was set. */
static void on_clock(uv_timer_t *t)
{
	struct dr_agent *a = t->data;
	uint64_t offset = wall_minus_boot();
	uint64_t ahead = offset - a->wall_offset_ms;
	a->wall_offset_ms = offset;
	if ((int64_t)ahead <= (int64_t)a->timing.fence_budget_ms)
		return;
	dr_log(DR_LOG_WARN, "clock.jumped", "ahead_ms=%llu", (unsigned long long)ahead);
	for (uint32_t i = 0; i < a->conf.services; i++) {
		struct dr_agent_event ev = { .kind = DR_AG_CLOCK_JUMPED };
		dr_member_event(&a->member[i], &ev);
	}
}

static void on_signal(uv_signal_t *s, int signum)
{
	struct dr_agent *a = s->data;
	struct dr_error e;
	if (signum == SIGHUP) {
		if (dr_tls_reload(a->tls, &e) != DR_OK)
			dr_log(DR_LOG_ERROR, "tls.reload", "why=\"%s\" kept=old", e.msg);
		else
			dr_log(DR_LOG_INFO, "tls.reload", "expires=%lld", (long long)dr_tls_expires(a->tls));
		return;
	}
	dr_log(DR_LOG_INFO, "agent.leaving", "signal=%d", signum);
	a->stopping = true;
	dr_agent_coords_close(a);
	dr_promises_close(a);
	uv_stop(a->loop);
}

static enum dr_err start_signals(struct dr_agent *a, struct dr_error *e)
{
	const struct {
		uv_signal_t *handle;
		int signum;
	} want[] = { { &a->on_term, SIGTERM }, { &a->on_int, SIGINT }, { &a->on_hup, SIGHUP } };
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		want[i].handle->data = a;
		if (uv_signal_init(a->loop, want[i].handle) != 0 ||
		    uv_signal_start(want[i].handle, on_signal, want[i].signum) != 0)
			return dr_fail(e, DR_E_INTERNAL, "cannot watch signal %d", want[i].signum);
	}
	return DR_OK;
}

/* Two agents on one folder would tear the journal and the lease apart; the kernel lets go when we end. */
static enum dr_err lock_data_dir(const char *dir, struct dr_error *e)
{
	char path[DR_PATH_MAX + 8];
	(void)snprintf(path, sizeof(path), "%s/lock", dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return dr_fail_errno(e, errno, "cannot open %s", path);
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	if (fcntl(fd, F_OFD_SETLK, &whole) != 0) {
		(void)close(fd);
		return dr_fail(e, DR_E_CONFLICT, "another agent runs with data_dir %s; each needs its own", dir);
	}
	return DR_OK;
}

static enum dr_err open_all(struct dr_agent *a, struct dr_error *e)
{
	struct dr_guard_link_conf gc = { .config_path = a->config_path };
	struct dr_tls_files files = { a->conf.tls.ca, a->conf.tls.cert, a->conf.tls.key };
	enum dr_err rv = dr_dir_make(a->conf.data_dir, e);
	if (rv == DR_OK)
		rv = lock_data_dir(a->conf.data_dir, e);
	if (rv == DR_OK)
		rv = dr_tls_open(&a->tls, &files, e);
	if (rv != DR_OK)
		return rv;
	const struct dr_identity *self = dr_tls_self(a->tls);
	if (self->kind != DR_PEER_AGENT || !dr_name_eq(&self->name, &a->conf.name))
		return dr_fail(e, DR_E_CERT, "%s is the certificate of %s/%s, this file is of agent/%s; issue one by "
			       "`drcoordctl pki issue --kind agent --name %s`", a->conf.tls.cert,
			       dr_peer_kind_name(self->kind), self->name.s, a->conf.name.s, a->conf.name.s);
	const char *way = getenv("DRCOORD_CGROUP");
	dr_cgroup_root_open(&a->cgroups, way != NULL && strcmp(way, "proc") == 0);
	rv = dr_guard_link_open(&a->guard, a->loop, &gc, on_guard, a, e);
	dr_agent_runbook_open(a);
	for (uint32_t i = 0; rv == DR_OK && i < a->conf.services; i++)
		rv = dr_member_open(&a->member[i], a, &a->conf.service[i], e);
	if (rv == DR_OK)
		rv = dr_agent_coords_open(a, e);
	if (rv == DR_OK)
		dr_promises_listen(a);
	return rv == DR_OK ? start_signals(a, e) : rv;
}

static int run(struct dr_agent *a)
{
	struct dr_error e;
	a->loop = uv_default_loop();
	a->timing = *dr_timing_profile("default");
	a->wall_offset_ms = wall_minus_boot();
	enum dr_err rv = open_all(a, &e);
	if (rv != DR_OK) {
		dr_log(DR_LOG_ERROR, "agent.not_started", "why=\"%s\"", e.msg);
		return rv == DR_E_CERT || dr_err_class(rv) == DR_CLASS_USER ? DR_GUARD_EXIT_CONFIG : 1;
	}
	a->clock.data = a;
	(void)uv_timer_init(a->loop, &a->clock);
	(void)uv_timer_start(&a->clock, on_clock, CLOCK_CHECK_MS, CLOCK_CHECK_MS);
	dr_log(DR_LOG_INFO, "agent.started", "name=%s services=%u cgroup=%s", a->conf.name.s, a->conf.services,
	       dr_cgroup_way_text(a->cgroups.way));
	(void)uv_run(a->loop, UV_RUN_DEFAULT);
	return 0;
}

int main(int argc, char **argv)
{
	struct dr_agent_args args;
	if (!dr_agent_args_read(&args, argc, argv))
		return usage(stderr, 64);
	if (args.help)
		return usage(stdout, 0);
	if (args.version)
		return puts("drcoord-agent " DR_VERSION) < 0;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)setenv("UV_THREADPOOL_SIZE", "8", 0);
	srandom((unsigned)dr_clock_boot_ns() ^ (unsigned)getpid());
	dr_log_init("drcoord-agent", DR_LOG_INFO);
	static struct dr_agent agent; /* as long as the process */
	struct dr_agent *a = &agent;
	char *full = realpath(args.config, NULL);
	bool fits = dr_copy_text(a->config_path, sizeof(a->config_path), full != NULL ? full : args.config);
	free(full);
	if (!fits) { /* a guard that we start would be told another file */
		(void)fprintf(stderr, "drcoord-agent: the path of %s has more than %d bytes\n", args.config, DR_PATH_MAX - 1);
		return DR_GUARD_EXIT_CONFIG;
	}
	struct dr_conf_problems *problems = dr_xcalloc(sizeof(*problems));
	enum dr_err rv = dr_conf_read_agent(args.config, &a->conf, problems);
	if (rv != DR_OK)
		dr_conf_problems_print(problems, stderr);
	dr_free(problems);
	return rv == DR_OK ? run(a) : DR_GUARD_EXIT_CONFIG;
}
