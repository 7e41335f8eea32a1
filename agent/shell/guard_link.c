/* guard_link.c -- see guard_link.h. */
#include "agent/shell/guard_link.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/parse.h"
#include "sys/clock.h"
#include "sys/log.h"

#define MS 1000000ull

enum {
	GIVE_UP_TICKS = 10, /* unchanged beats, as many ticks of ours: then the guard is replaced */
	RESPAWN_MS_MIN = 100,
	RESPAWN_MS_MAX = 2000,
	ENV_MAX = 512
};

static void watch_closed(uv_handle_t *h);

static void report(struct dr_guard_link *l)
{
	bool alive = dr_guard_link_alive(l);
	if (alive == l->was_alive || l->closing)
		return;
	l->was_alive = alive;
	dr_log(alive ? DR_LOG_INFO : DR_LOG_WARN, alive ? "guard.alive" : "guard.lost", "pid=%d",
	       l->guard.pid);
	if (l->on_change != NULL)
		l->on_change(l, alive);
}

static void handle_closed(uv_handle_t *h)
{
	struct dr_guard_link *l = h->data;
	dr_assert(l->handles_open > 0);
	if (--l->handles_open > 0 || !l->closing)
		return;
	dr_guard_mem_unmap(l->mem);
	if (l->memfd >= 0)
		(void)close(l->memfd);
	l->mem = NULL;
	l->memfd = -1;
	if (l->closed != NULL)
		l->closed(l);
}

/* The watch on a dead guard goes; another guard is started once its handle is closed. */
static void unwatch(struct dr_guard_link *l)
{
	if (!l->watching)
		return;
	l->watching = false;
	uv_close((uv_handle_t *)&l->watch, watch_closed);
}

static void on_guard_ended(uv_poll_t *h, int status, int events)
{
	struct dr_guard_link *l = h->data;
	(void)status;
	(void)events;
	(void)dr_proc_reap(l->guard.pid, NULL);
	dr_log(DR_LOG_WARN, "guard.ended", "pid=%d", l->guard.pid);
	l->guard = (struct dr_proc_id){ 0 };
	/* One that served is replaced at once; one that never did (a broken program) ever later. */
	if (l->respawns == 0)
		l->next_try_ns = 0;
	unwatch(l);
	report(l);
}

/* Takes pidfd over, also on failure. */
static enum dr_err watch_guard(struct dr_guard_link *l, const struct dr_proc_id *id, int pidfd,
			       struct dr_error *e)
{
	int rv = uv_poll_init(l->loop, &l->watch, pidfd);
	if (rv != 0) {
		(void)close(pidfd);
		return dr_fail(e, DR_E_INTERNAL, "cannot watch the guard: %s", uv_strerror(rv));
	}
	l->watch.data = l;
	l->handles_open++;
	l->watching = true;
	l->found = true;
	l->pidfd = pidfd;
	l->guard = *id;
	l->unchanged_ticks = 0;
	(void)uv_poll_start(&l->watch, UV_READABLE, on_guard_ended);
	return DR_OK;
}

static enum dr_err spawn_guard(struct dr_guard_link *l, struct dr_error *e)
{
	extern char **environ;
	const char *env[ENV_MAX];
	char extra[64], pid[16];
	size_t n = 0;
	struct dr_proc_id id;
	int pidfd = -1;
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	const char *argv[] = { l->guard_path, "--config", l->config_path, "--agent", l->agent_path, "--adopt",
			       pid,           NULL };
	for (char **v = environ; *v != NULL && n < ENV_MAX - 2; v++)
		env[n++] = *v;
	dr_guard_env_text(extra, sizeof(extra), l->memfd, 0);
	env[n++] = extra;
	env[n] = NULL;
	struct dr_spawn s = { .argv = argv,
			      .env = env,
			      .join_fd = -1,
			      .out_fd = STDERR_FILENO,
			      .err_fd = STDERR_FILENO,
			      .keep_fd = { l->memfd },
			      .no_wait = true };
	l->respawns++;
	enum dr_err rv = dr_spawn(&s, &id, &pidfd, e);
	if (rv == DR_OK)
		rv = watch_guard(l, &id, pidfd, e);
	return rv != DR_OK ? dr_wrap(e, "starting a guard") : DR_OK;
}

static void try_spawn(struct dr_guard_link *l, uint64_t now)
{
	struct dr_error e;
	if (now < l->next_try_ns)
		return;
	uint64_t wait = (uint64_t)RESPAWN_MS_MIN << (l->respawns < 5 ? l->respawns : 5);
	l->next_try_ns = now + (wait < RESPAWN_MS_MAX ? wait : RESPAWN_MS_MAX) * MS;
	if (spawn_guard(l, &e) != DR_OK)
		dr_log(DR_LOG_ERROR, "guard.start_failed", "error=\"%s\"", e.msg);
	else
		dr_log(DR_LOG_WARN, "guard.started_by_agent", "pid=%d", l->guard.pid);
}

static void watch_closed(uv_handle_t *h)
{
	struct dr_guard_link *l = h->data;
	(void)close(l->pidfd);
	l->pidfd = -1;
	l->found = false;
	if (!l->closing)
		try_spawn(l, dr_clock_boot_ns());
	handle_closed(h);
}

/* Our own stall adds no tick, so only a guard that was silent while we weren't is given up. */
static void judge_beat(struct dr_guard_link *l)
{
	uint64_t beat = atomic_load(&l->mem->guard_beat_ns);
	if (beat != l->seen_beat_ns) {
		l->seen_beat_ns = beat;
		l->unchanged_ticks = 0;
		l->respawns = 0;
		return;
	}
	if (++l->unchanged_ticks >= GIVE_UP_TICKS) {
		dr_log(DR_LOG_ERROR, "guard.hangs", "pid=%d", l->guard.pid);
		l->unchanged_ticks = 0;
		(void)!dr_proc_signal(&l->guard, SIGKILL, NULL);
	}
}

static void on_beat(uv_timer_t *t)
{
	struct dr_guard_link *l = t->data;
	uint64_t now = dr_clock_boot_ns();
	atomic_store(&l->mem->agent_beat_ns, now);
	if (l->watching)
		judge_beat(l);
	else if (!l->found)
		try_spawn(l, now);
	report(l);
}

/* The guard that started us, if it is still our parent; else none, and the first beat starts one. */
static void find_parent(struct dr_guard_link *l, int32_t pid)
{
	struct dr_proc_id id;
	int fd = -1;
	if (pid <= 0 || getppid() != pid || dr_proc_identify(pid, &id, NULL) != DR_OK ||
	    dr_proc_pidfd(&id, &fd, NULL) != DR_OK)
		return;
	(void)!watch_guard(l, &id, fd, NULL);
}

static enum dr_err open_paths(struct dr_guard_link *l, const struct dr_guard_link_conf *conf,
			      struct dr_error *e)
{
	enum dr_err rv = dr_proc_exe((int32_t)getpid(), l->agent_path, sizeof(l->agent_path), e);
	if (rv != DR_OK)
		return rv;
	bool fits = dr_copy_text(l->config_path, sizeof(l->config_path), conf->config_path);
	if (conf->guard_path != NULL) {
		fits = fits && dr_copy_text(l->guard_path, sizeof(l->guard_path), conf->guard_path);
	} else {
		memcpy(l->guard_path, l->agent_path, sizeof(l->guard_path));
		char *slash = strrchr(l->guard_path, '/');
		size_t at = slash != NULL ? (size_t)(slash - l->guard_path) + 1 : 0;
		fits = fits && dr_copy_text(l->guard_path + at, sizeof(l->guard_path) - at, "drcoord-guard");
	}
	return fits ? DR_OK : dr_fail(e, DR_E_RANGE, "path of the configuration or of the guard is too long");
}

enum dr_err dr_guard_link_open(struct dr_guard_link *l, uv_loop_t *loop,
			       const struct dr_guard_link_conf *conf,
			       void (*on_change)(struct dr_guard_link *l, bool alive), void *ctx,
			       struct dr_error *e)
{
	int32_t guard_pid = 0;
	memset(l, 0, sizeof(*l));
	l->loop = loop;
	l->on_change = on_change;
	l->ctx = ctx;
	l->memfd = l->pidfd = -1;
	enum dr_err rv = open_paths(l, conf, e);
	if (rv != DR_OK)
		return rv;
	rv = dr_guard_env_take(&l->memfd, &guard_pid, e);
	bool handed = rv == DR_OK;
	if (rv == DR_OK)
		rv = dr_guard_mem_map(l->memfd, &l->mem, e);
	else if (rv == DR_E_NOT_FOUND)
		rv = dr_guard_mem_make(&l->mem, &l->memfd, e);
	if (rv != DR_OK)
		return dr_wrap(e, "guard memory");
	int uv = uv_timer_init(loop, &l->beat);
	if (uv != 0) {
		dr_guard_mem_unmap(l->mem);
		(void)close(l->memfd);
		return dr_fail(e, DR_E_INTERNAL, "cannot make a timer: %s", uv_strerror(uv));
	}
	l->beat.data = l;
	l->handles_open = 1;
	atomic_store(&l->mem->agent_pid, (int32_t)getpid());
	l->inherited = atomic_fetch_add(&l->mem->agent_opens, 1) > 0;
	if (handed)
		find_parent(l, guard_pid);
	on_beat(&l->beat);
	(void)uv_timer_start(&l->beat, on_beat, DR_GUARD_BEAT_MS, DR_GUARD_BEAT_MS);
	return DR_OK;
}

void dr_guard_link_close(struct dr_guard_link *l, void (*closed)(struct dr_guard_link *l))
{
	dr_assert(!l->closing);
	l->closing = true;
	l->closed = closed;
	unwatch(l);
	uv_close((uv_handle_t *)&l->beat, handle_closed);
}

bool dr_guard_link_alive(const struct dr_guard_link *l)
{
	if (!l->watching || l->mem == NULL)
		return false;
	uint64_t beat = atomic_load(&l->mem->guard_beat_ns);
	uint64_t now = dr_clock_boot_ns();
	/* The beat may be of the guard before until the new one has said that it serves. */
	return atomic_load(&l->mem->guard_pid) == l->guard.pid && beat != 0 &&
	       (now <= beat || now - beat <= DR_GUARD_STALE_MS * MS);
}

bool dr_guard_link_inherited(const struct dr_guard_link *l)
{
	return l->inherited;
}

void dr_guard_link_text(const struct dr_guard_link *l, char *dst, size_t cap)
{
	if (!dr_guard_link_alive(l)) {
		(void)snprintf(dst, cap, "no living guard");
		return;
	}
	uint32_t f = atomic_load(&l->mem->guard_flags);
	(void)snprintf(dst, cap, "pid %d, %s, %s, %s", l->guard.pid,
		       (f & DR_GUARD_MEMORY_LOCKED) != 0 ? "memory locked" : "memory not locked",
		       (f & DR_GUARD_REALTIME) != 0 ? "real time" : "no real time",
		       (f & DR_GUARD_CGROUP2) != 0 ? "cgroup2" : "proc");
}
