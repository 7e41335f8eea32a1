/* supervisor.c -- see supervisor.h: start, adopt, watch.  Stopping is in supervisor_stop.c. */
#include "agent/shell/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shell/supervisor_own.h"
#include "base/assert.h"
#include "base/parse.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	LOOK_MS = 500, /* for a server that somebody else starts */
	LEFTOVERS_MS = 20,
	STOPPING_MS = 5,
	LOG_BYTES_MAX = 16 << 20
};

const char *dr_super_phase_text(enum dr_super_phase phase)
{
	switch (phase) {
	case DR_SUPER_STOPPED:
		return "stopped";
	case DR_SUPER_RUNNING:
		return "running";
	case DR_SUPER_STOPPING:
		return "stopping";
	case DR_SUPER_LEFTOVERS:
		return "leftovers";
	}
	return "unknown";
}

void super_phase(struct dr_supervisor *s, enum dr_super_phase phase)
{
	if (s->seen.phase != phase)
		dr_log(DR_LOG_INFO, "server.phase", "server=%s from=%s to=%s pid=%d", s->conf.name,
		       dr_super_phase_text(s->seen.phase), dr_super_phase_text(phase),
		       s->seen.postmaster.pid);
	s->seen.phase = phase;
	super_pace(s);
}

void super_report(struct dr_supervisor *s)
{
	if (!s->closing && s->on_change != NULL)
		s->on_change(s, &s->seen);
}

static void handle_closed(struct dr_supervisor *s)
{
	dr_assert(s->handles_open > 0);
	s->handles_open--;
	if (s->closing && s->handles_open == 0 && s->closed != NULL)
		s->closed(s);
}

static void on_tick_closed(uv_handle_t *h)
{
	handle_closed(h->data);
}

static void on_watch_closed(uv_handle_t *h)
{
	struct dr_supervisor *s = h->data;
	(void)close(s->pidfd);
	s->pidfd = -1;
	handle_closed(s);
}

/* Nobody left of a server whose postmaster has ended: STOPPED; else LEFTOVERS. */
static void judge_rest(struct dr_supervisor *s)
{
	bool proved = false;
	enum dr_super_phase before = s->seen.phase;
	if (dr_supervisor_proved(s, &proved, NULL) != DR_OK)
		proved = false;
	if (proved)
		s->group.root = (struct dr_proc_id){ 0 };
	super_phase(s, proved ? DR_SUPER_STOPPED : DR_SUPER_LEFTOVERS);
	if (before != s->seen.phase)
		super_report(s);
}

static void on_ended(uv_poll_t *h, int status, int events)
{
	struct dr_supervisor *s = h->data;
	char text[32] = "unknown";
	(void)status;
	(void)events;
	s->seen.ended = true;
	s->seen.ended_ns = dr_clock_boot_ns();
	s->seen.has_status = dr_proc_reap(s->seen.postmaster.pid, &s->seen.status);
	if (s->seen.has_status)
		(void)dr_proc_status_text(s->seen.status, text, sizeof(text));
	dr_log(DR_LOG_INFO, "server.ended", "server=%s pid=%d how=\"%s\"", s->conf.name,
	       s->seen.postmaster.pid, text);
	s->seen.postmaster = (struct dr_proc_id){ 0 };
	s->watching = false;
	uv_close((uv_handle_t *)&s->watch, on_watch_closed);
	if (s->seen.phase == DR_SUPER_STOPPING)
		super_stop_ended(s);
	else
		judge_rest(s);
}

/* Takes pidfd over, also on failure. */
static enum dr_err watch(struct dr_supervisor *s, const struct dr_proc_id *id, int pidfd, struct dr_error *e)
{
	int rv = uv_poll_init(s->loop, &s->watch, pidfd);
	if (rv != 0) {
		(void)close(pidfd);
		return dr_fail(e, DR_E_INTERNAL, "cannot watch process %d: %s", id->pid, uv_strerror(rv));
	}
	s->watch.data = s;
	s->pidfd = pidfd;
	s->watching = true;
	s->handles_open++;
	(void)uv_poll_start(&s->watch, UV_READABLE, on_ended);
	s->seen.postmaster = *id;
	s->seen.ended = s->seen.has_status = s->seen.group_empty = s->seen.nobody = false;
	s->seen.foreign = (struct dr_proc_id){ 0 };
	return DR_OK;
}

/* Looking for a foreign postmaster opens a file of the data folder, which may hang: not on the loop. */
static void look_work(uv_work_t *w)
{
	struct dr_supervisor *s = w->data;
	s->found = s->kind->find(s->conf.data_dir, &s->looked, NULL);
}

static void look_done(uv_work_t *w, int status)
{
	struct dr_supervisor *s = w->data;
	(void)status;
	s->looking = false;
	s->seen.nobody = s->seen.phase == DR_SUPER_STOPPED && s->found == DR_E_NOT_FOUND;
	if (!s->closing && s->seen.phase == DR_SUPER_STOPPED &&
	    dr_proc_alive(&s->looked) != (s->seen.foreign.pid > 0)) {
		s->seen.foreign = dr_proc_alive(&s->looked) ? s->looked : (struct dr_proc_id){ 0 };
		dr_log(DR_LOG_WARN, "server.foreign", "server=%s pid=%d", s->conf.name, s->seen.foreign.pid);
		super_report(s);
	}
	handle_closed(s);
}

static void look(struct dr_supervisor *s)
{
	if (s->looking)
		return;
	s->look.data = s;
	if (uv_queue_work(s->loop, &s->look, look_work, look_done) == 0) {
		s->looking = true;
		s->handles_open++;
	}
}

static void on_tick(uv_timer_t *t)
{
	struct dr_supervisor *s = t->data;
	switch (s->seen.phase) {
	case DR_SUPER_STOPPING:
		super_stop_tick(s);
		break;
	case DR_SUPER_LEFTOVERS:
		judge_rest(s);
		break;
	case DR_SUPER_STOPPED:
		look(s);
		break;
	case DR_SUPER_RUNNING:
		break;
	}
}

void super_pace(struct dr_supervisor *s)
{
	static const uint64_t period[] = { [DR_SUPER_STOPPED] = LOOK_MS,
					   [DR_SUPER_RUNNING] = 0,
					   [DR_SUPER_STOPPING] = STOPPING_MS,
					   [DR_SUPER_LEFTOVERS] = LEFTOVERS_MS };
	uint64_t ms = period[s->seen.phase];
	if (s->closing)
		return;
	if (ms == 0)
		(void)uv_timer_stop(&s->tick);
	else if (!uv_is_active((uv_handle_t *)&s->tick) || uv_timer_get_repeat(&s->tick) != ms)
		(void)uv_timer_start(&s->tick, on_tick, ms, ms);
}

enum dr_err dr_supervisor_init(struct dr_supervisor *s, uv_loop_t *loop, const struct dr_cgroup_root *root,
			       const struct dr_local_kind *kind, const struct dr_local_server *conf,
			       dr_super_cb *on_change, void *ctx, struct dr_error *e)
{
	memset(s, 0, sizeof(*s));
	s->loop = loop;
	s->root = root;
	s->conf = *conf;
	s->kind = kind;
	s->on_change = on_change;
	s->ctx = ctx;
	s->pidfd = -1;
	s->seen.group_empty = true;
	enum dr_err rv = dr_cgroup_init(&s->group, root, conf->name, conf->data_dir, kind->program, e);
	if (rv == DR_OK && conf->os_user[0] != '\0') {
		rv = dr_os_user_find(conf->os_user, &s->user, e);
		s->has_user = true;
	}
	if (rv == DR_OK)
		rv = dr_cgroup_make(root, &s->group, e);
	if (rv != DR_OK)
		return rv;
	int uv = uv_timer_init(loop, &s->tick);
	if (uv != 0)
		return dr_fail(e, DR_E_INTERNAL, "cannot make a timer: %s", uv_strerror(uv));
	s->tick.data = s;
	s->handles_open = 1;
	super_pace(s);
	return DR_OK;
}

void dr_supervisor_close(struct dr_supervisor *s, void (*closed)(struct dr_supervisor *s))
{
	dr_assert(!s->closing);
	s->closing = true;
	s->closed = closed;
	s->stopped = NULL;
	/* Stays when somebody is inside, for whoever comes next. */
	(void)!dr_cgroup_remove(s->root, &s->group, NULL);
	if (s->watching)
		uv_close((uv_handle_t *)&s->watch, on_watch_closed);
	uv_close((uv_handle_t *)&s->tick, on_tick_closed);
}

enum dr_err dr_supervisor_adopt(struct dr_supervisor *s, struct dr_error *e)
{
	struct dr_proc_id id;
	int pidfd = -1;
	if (s->seen.phase == DR_SUPER_RUNNING || s->seen.phase == DR_SUPER_STOPPING || s->pidfd >= 0)
		return dr_fail(e, DR_E_BUSY, "the server of %s is supervised already", s->conf.data_dir);
	enum dr_err rv = dr_cgroup_make(s->root, &s->group, e);
	if (rv != DR_OK)
		return rv;
	enum dr_err found = s->kind->find(s->conf.data_dir, &id, e);
	s->group.root = found == DR_OK ? id : (struct dr_proc_id){ 0 };
	struct dr_error inner;
	rv = dr_cgroup_adopt(s->root, &s->group, &inner);
	if (rv != DR_OK)
		return dr_fail(e, rv, "%s", inner.msg);
	if (found == DR_OK)
		found = dr_proc_pidfd(&id, &pidfd, e);
	if (found != DR_OK) {
		judge_rest(s);
		return dr_fail(e, DR_E_NOT_FOUND, "no server runs on %s", s->conf.data_dir);
	}
	rv = watch(s, &id, pidfd, e);
	if (rv != DR_OK)
		return rv;
	s->seen.adopted = true;
	super_phase(s, DR_SUPER_RUNNING);
	super_report(s);
	return DR_OK;
}

static enum dr_err open_log(struct dr_supervisor *s, int *fd, struct dr_error *e)
{
	char older[DR_PATH_MAX + 4];
	struct stat st;
	if (stat(s->conf.log_path, &st) == 0 && st.st_size > LOG_BYTES_MAX) {
		(void)snprintf(older, sizeof(older), "%s.1", s->conf.log_path);
		(void)rename(s->conf.log_path, older);
	}
	*fd = open(s->conf.log_path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
	return *fd >= 0 ? DR_OK
			: dr_fail_errno(e, errno, "cannot open the server's log %s", s->conf.log_path);
}

static enum dr_err spawn_server(struct dr_supervisor *s, struct dr_proc_id *id, int *pidfd,
				struct dr_error *e)
{
	struct dr_local_command c = { .args = 0 };
	int log = -1, join = -1;
	s->kind->command(&s->conf, &c);
	dr_command_env(&c, "PATH=%s:/usr/local/bin:/usr/bin:/bin", s->conf.bin_dir);
	dr_command_env(&c, "HOME=%s", s->has_user ? s->user.home : "/");
	enum dr_err rv = open_log(s, &log, e);
	if (rv == DR_OK)
		rv = dr_cgroup_join_fd(s->root, &s->group, &join, e);
	if (rv == DR_OK) {
		struct dr_spawn spawn = { .argv = c.argv,
					  .env = c.env,
					  .user = s->has_user ? &s->user : NULL,
					  .join_fd = join,
					  .out_fd = log,
					  .err_fd = log };
		rv = dr_spawn(&spawn, id, pidfd, e);
	}
	if (log >= 0)
		(void)close(log);
	if (join >= 0)
		(void)close(join);
	return rv;
}

enum dr_err dr_supervisor_start(struct dr_supervisor *s, bool as_standby, struct dr_error *e)
{
	struct dr_proc_id id;
	bool proved = false;
	int pidfd = -1;
	if (s->seen.phase != DR_SUPER_STOPPED || s->pidfd >= 0)
		return dr_fail(e, DR_E_BUSY, "the server of %s %s%s", s->conf.data_dir,
			       s->seen.phase == DR_SUPER_STOPPED ? "has only just ended, and was " : "is ",
			       dr_super_phase_text(s->seen.phase));
	enum dr_err rv = dr_cgroup_make(s->root, &s->group, e);
	if (rv == DR_OK)
		rv = dr_supervisor_proved(s, &proved, e);
	if (rv == DR_OK && !proved)
		rv = dr_fail(e, DR_E_CONFLICT, "a server that we didn't start runs on %s", s->conf.data_dir);
	if (rv == DR_OK && s->kind->may_start != NULL)
		rv = s->kind->may_start(s->conf.data_dir, e);
	if (rv != DR_OK)
		return rv;
	s->kind->tidy(&s->conf);
	if (as_standby)
		rv = s->kind->mark_standby(s->conf.data_dir, e);
	if (rv == DR_OK)
		rv = spawn_server(s, &id, &pidfd, e);
	if (rv == DR_OK)
		rv = watch(s, &id, pidfd, e);
	if (rv != DR_OK)
		return rv;
	s->group.root = id;
	s->seen.adopted = false;
	super_phase(s, DR_SUPER_RUNNING);
	super_report(s);
	return DR_OK;
}

enum dr_err dr_supervisor_mark_standby(struct dr_supervisor *s, struct dr_error *e)
{
	return s->kind->mark_standby(s->conf.data_dir, e);
}

enum dr_err dr_supervisor_unmark_standby(struct dr_supervisor *s, struct dr_error *e)
{
	return s->kind->unmark_standby != NULL ? s->kind->unmark_standby(s->conf.data_dir, e) : DR_OK;
}

bool dr_supervisor_is_marked(const struct dr_supervisor *s)
{
	return s->kind->is_marked(s->conf.data_dir);
}
