/* main.c -- drcoordd: arguments, node file, first start, loop, signals. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "coord/shell/args.h"
#include "coord/shell/coord.h"
#include "coord/shell/runbook.h"
#include "coord/shell/meter.h"
#include "coord/shell/ready.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"

enum { EXIT_USAGE = 64, EXIT_CONFIG = 78, LEAVE_MS = 2000 };

static int usage(FILE *to, int code)
{
	(void)fputs("usage: drcoordd --config FILE [--bootstrap | --join | --recover]\n"
		    "       drcoordd --help | --version\n"
		    "  --bootstrap  first start of a new cluster: every coordinator under `peers` starts so once\n"
		    "  --join       first start of one that joins, or has lost its data: prints its id for\n"
		    "               `drcoordctl node add`\n"
		    "  --recover    a majority is gone for good: this one goes on alone (docs/recover.md); says what\n"
		    "               it costs, and does it only with --yes-a-majority-is-gone; with --offline it\n"
		    "               then leaves, and the next start goes on with it\n"
		    "  SIGHUP reads the certificates again; SIGTERM leaves.\n",
		    to);
	return code;
}

static void *map_zeroed(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) {
		(void)fprintf(stderr, "drcoordd: cannot map %zu bytes\n", n);
		exit(1);
	}
	return p;
}

/* Nothing may run after Raft is gone, not even what the loop has at hand already: the process ends here.  What
 * else is open (sessions, probes) needs no goodbye. */
static void on_closed(void *ctx)
{
	(void)ctx;
	(void)fflush(stdout);
	dr_log_flush();
	_exit(0);
}

static void on_leave_late(uv_timer_t *t)
{
	(void)t;
	dr_log(DR_LOG_WARN, "coordinator.leaving", "why=\"the disk did not answer within %d ms; nothing that was "
	       "acknowledged is lost\"", LEAVE_MS);
	dr_log_flush();
	_exit(0);
}

void dr_coord_leave(struct dr_coord *c)
{
	static uv_timer_t late;
	if (c->stopping)
		return;
	c->stopping = true;
	(void)uv_timer_stop(&c->beat);
	(void)uv_timer_stop(&c->slice_timer);
	(void)uv_timer_stop(&c->wake);
	(void)uv_timer_init(c->loop, &late);
	(void)uv_timer_start(&late, on_leave_late, LEAVE_MS, 0);
	dr_raft_close(c->raft, on_closed, c);
}

static enum dr_err check_identity(const struct dr_coord *c, const struct dr_tls *tls, struct dr_error *e)
{
	const struct dr_identity *self = dr_tls_self(tls);
	if (self->kind == DR_PEER_COORDINATOR && dr_name_eq(&self->name, &c->conf.name))
		return DR_OK;
	return dr_fail(e, DR_E_CERT, "%s is the certificate of %s/%s, this file is of coordinator/%s; issue one by "
		       "`drcoordctl pki issue --kind coordinator --name %s`", c->conf.tls.cert,
		       dr_peer_kind_name(self->kind), self->name.s, c->conf.name.s, c->conf.name.s);
}

/* Certificates that would not do at a start do not replace those that do. */
static enum dr_err reload(struct dr_coord *c, struct dr_error *e)
{
	struct dr_tls_files files = { c->conf.tls.ca, c->conf.tls.cert, c->conf.tls.key };
	struct dr_tls *fresh = NULL;
	enum dr_err rv = dr_tls_open(&fresh, &files, e);
	if (rv != DR_OK)
		return rv;
	rv = check_identity(c, fresh, e);
	dr_tls_close(fresh);
	return rv == DR_OK ? dr_tls_reload(c->tls, e) : rv;
}

static void on_signal(uv_signal_t *s, int signum)
{
	struct dr_coord *c = s->data;
	struct dr_error e;
	if (signum == SIGHUP) {
		if (reload(c, &e) != DR_OK) {
			dr_log(DR_LOG_ERROR, "tls.reload", "why=\"%s\" kept=old", e.msg);
			return;
		}
		dr_log(DR_LOG_INFO, "tls.reload", "expires=%lld", (long long)dr_tls_expires(c->tls));
		dr_meter_reload(c);
		return;
	}
	if (c->stopping) {
		dr_log_flush();
		_exit(0);
	}
	dr_log(DR_LOG_INFO, "coordinator.leaving", "signal=%d", signum);
	dr_coord_leave(c);
}

static enum dr_err start_signals(struct dr_coord *c, struct dr_error *e)
{
	const struct {
		uv_signal_t *handle;
		int signum;
	} want[] = { { &c->on_term, SIGTERM }, { &c->on_int, SIGINT }, { &c->on_hup, SIGHUP } };
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		want[i].handle->data = c;
		if (uv_signal_init(c->loop, want[i].handle) != 0 ||
		    uv_signal_start(want[i].handle, on_signal, want[i].signum) != 0)
			return dr_fail(e, DR_E_INTERNAL, "cannot watch signal %d", want[i].signum);
	}
	return DR_OK;
}

/* Two processes on one log would destroy it.  Held until the process ends. */
static enum dr_err lock_data(const struct dr_coord *c, struct dr_error *e)
{
	char path[DR_PATH_MAX + 8];
	(void)snprintf(path, sizeof(path), "%s/lock", c->conf.data_dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return dr_fail_errno(e, errno, "cannot open %s", path);
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
		return DR_OK;
	int err = errno;
	(void)close(fd);
	if (err == EAGAIN || err == EACCES)
		return dr_fail(e, DR_E_BUSY, "another drcoordd runs on %s", c->conf.data_dir);
	return dr_fail_errno(e, err, "cannot lock %s", path);
}

/* What comes before Raft: certificate, data folder, a first start or a recovery. */
static enum dr_err prepare(struct dr_coord *c, const struct dr_coord_args *args, struct dr_error *e)
{
	struct dr_tls_files files = { c->conf.tls.ca, c->conf.tls.cert, c->conf.tls.key };
	enum dr_err rv = dr_dir_make(c->conf.data_dir, e);
	if (rv == DR_OK)
		rv = dr_tls_open(&c->tls, &files, e);
	if (rv == DR_OK)
		rv = check_identity(c, c->tls, e);
	if (rv == DR_OK)
		rv = lock_data(c, e);
	if (rv == DR_OK)
		rv = dr_recover_offline(c, args->recover, e);
	if (rv == DR_OK && !args->recover)
		rv = dr_first_start(c, args->bootstrap, args->join, e);
	return rv;
}

static enum dr_err open_all(struct dr_coord *c, struct dr_error *e)
{
	c->core = map_zeroed(sizeof(*c->core));
	c->decision = map_zeroed(sizeof(*c->decision));
	c->watch = map_zeroed(sizeof(*c->watch) * DR_SERVICES_MAX * DR_MEMBERS_MAX);
	c->route = map_zeroed(sizeof(*c->route) * DR_ROUTE_JOBS_MAX);
	dr_runbook_open(c);
	dr_ready_open(c);
	dr_core_init(c->core, &c->conf.name, dr_clock_boot_ms());
	enum dr_err rv = dr_recover_resume(c, e);
	if (rv != DR_OK)
		return rv;
	struct dr_raft_config rc = { .dir = c->conf.data_dir, .name = c->conf.name, .address = dr_nodes_own_address(c),
				     .election_ms = c->conf.raft.election_ms, .heartbeat_ms = c->conf.raft.heartbeat_ms,
				     .tls = c->tls, .cbs = &dr_coord_raft_cbs, .carry = dr_peers_carry,
				     .before_tick = dr_peers_read, .ctx = c };
	rv = dr_raft_open(&c->raft, c->loop, &rc, e);
	if (rv == DR_OK)
		rv = dr_coord_listen(c, e);
	if (rv == DR_OK)
		rv = dr_meter_open(c, e);
	if (rv == DR_E_EXISTS) /* who holds the port may be on its way out: to be started again */
		rv = DR_E_BUSY;
	if (rv == DR_OK)
		rv = start_signals(c, e);
	return rv;
}

static void on_before_waiting(uv_prepare_t *h)
{
	(void)h;
	dr_log_flush();
}

static void on_assert_failed(const char *cond, const char *file, int line)
{
	(void)cond, (void)file, (void)line;
	dr_log_flush();
}

/* Each committed event is a line, hundreds in a turn under load.  Called before anything else prepares: libuv asks the
 * one that started first last, so that what the others say is written, too. */
static void flush_before_waiting(uv_loop_t *loop)
{
	static uv_prepare_t before_waiting;
	(void)uv_prepare_init(loop, &before_waiting);
	(void)uv_prepare_start(&before_waiting, on_before_waiting);
	dr_assert_hook_set(on_assert_failed);
}

static int run(struct dr_coord *c, const struct dr_coord_args *args)
{
	struct dr_error e;
	c->loop = uv_default_loop();
	flush_before_waiting(c->loop);
	dr_stream_open(c);
	dr_turn_open(c);
	c->started_wall_ms = dr_clock_wall_ms();
	enum dr_err rv = prepare(c, args, &e);
	if (rv == DR_OK && args->offline)
		return 0;
	if (rv == DR_OK)
		rv = open_all(c, &e);
	if (rv != DR_OK) {
		dr_log(DR_LOG_ERROR, "coordinator.not_started", "why=\"%s\"", e.msg);
		(void)fprintf(stderr, "drcoordd: %s\n", e.msg);
		return dr_err_class(rv) == DR_CLASS_USER ? EXIT_CONFIG : 1;
	}
	dr_log_gather();
	dr_coord_beat_start(c);
	dr_log(DR_LOG_INFO, "coordinator.started", "name=%s site=%s listen=%s:%u", c->conf.name.s, c->conf.site.s,
	       c->conf.listen.host, c->conf.listen.port);
	(void)uv_run(c->loop, UV_RUN_DEFAULT);
	dr_log_flush();
	return 0;
}

int main(int argc, char **argv)
{
	struct dr_coord_args args;
	if (!dr_coord_args_read(&args, argc, argv))
		return usage(stderr, EXIT_USAGE);
	if (args.help)
		return usage(stdout, 0);
	if (args.version)
		return puts("drcoordd " DR_VERSION) < 0;
	(void)signal(SIGPIPE, SIG_IGN);
	/* Raft needs libuv's pool for its disk work; nothing of ours may starve it (stack.md 4). */
	(void)setenv("UV_THREADPOOL_SIZE", "8", 0);
	srandom((unsigned)dr_clock_boot_ns() ^ (unsigned)getpid());
	dr_log_init("drcoordd", DR_LOG_INFO);
	static struct dr_coord coordinator; /* as long as the process */
	struct dr_coord *c = &coordinator;
	struct dr_conf_problems *problems = dr_xcalloc(sizeof(*problems));
	enum dr_err rv = dr_conf_read_coordinator(args.config, &c->conf, problems);
	if (rv != DR_OK)
		dr_conf_problems_print(problems, stderr);
	dr_free(problems);
	if (rv != DR_OK)
		return EXIT_CONFIG;
	if (args.recover && !args.yes) {
		dr_recover_explain(c, stderr);
		(void)fputs("Not done: say --yes-a-majority-is-gone too.\n", stderr);
		return EXIT_USAGE;
	}
	return run(c, &args);
}
