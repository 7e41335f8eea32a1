/* rig.c -- see rig.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parse.h"
#include "sys/clock.h"
#include "temp.h"

uint64_t rig_now_ms(void)
{
	return dr_clock_boot_ms();
}

/* Set *uid and *gid to the user's; false when there is nothing to change. */
static bool other_user(const char *user, uid_t *uid, gid_t *gid)
{
	if (user == NULL || geteuid() != 0)
		return false;
	const struct passwd *pw = getpwnam(user);
	if (pw == NULL)
		return false;
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	return true;
}

void rig_dir_make(struct rig_dir *d, const char *user)
{
	uid_t uid;
	gid_t gid;
	temp_ipc();
	temp_template(d->path, sizeof(d->path), "drcoord-contract");
	assert_non_null(mkdtemp(d->path));
	if (other_user(user, &uid, &gid))
		assert_int_equal(chown(d->path, uid, gid), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void rig_dir_remove(struct rig_dir *d)
{
	if (d->path[0] != '\0')
		(void)nftw(d->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	d->path[0] = '\0';
}

void rig_file(const struct rig_dir *d, const char *name, const char *fmt, ...)
{
	char path[256];
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/%s", d->path, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	va_list ap;
	va_start(ap, fmt);
	(void)vfprintf(f, fmt, ap);
	va_end(ap);
	assert_int_equal(stat(d->path, &st), 0);
	if (geteuid() == 0)
		assert_int_equal(fchown(fileno(f), st.st_uid, st.st_gid), 0);
	assert_int_equal(fclose(f), 0);
}

uint16_t rig_free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	(void)close(fd);
	return ntohs(a.sin_port);
}

bool rig_find(const char *program, char *out, size_t cap)
{
	static const char *const places[] = { "/usr/lib/postgresql/17/bin",
					      "/usr/lib/postgresql/15/bin",
					      "/usr/sbin",
					      "/usr/bin",
					      "/usr/local/bin",
					      "/bin" };
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		(void)snprintf(out, cap, "%s/%s", places[i], program);
		if (access(out, X_OK) == 0)
			return true;
	}
	return false;
}

/* The death signal is set after the change of user, which clears it. */
pid_t rig_spawn(const struct rig_dir *d, const char *log, const char *user, char *const argv[])
{
	char path[256];
	uid_t uid = 0;
	gid_t gid = 0;
	bool change = other_user(user, &uid, &gid);
	pid_t parent = getpid();
	(void)snprintf(path, sizeof(path), "%s/%s", d->path, log);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	if (change && (setgroups(1, &gid) != 0 || setgid(gid) != 0 || setuid(uid) != 0))
		_exit(126);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
	int in = open("/dev/null", O_RDONLY);
	int out = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (in < 0 || out < 0 || chdir(d->path) != 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 ||
	    dup2(out, 2) < 0)
		_exit(124);
	/* A MariaDB that starts takes away the temporary tables of all that share its folder for them. */
	(void)setenv("TMPDIR", d->path, 1);
	execv(argv[0], argv);
	_exit(127);
}

int rig_command(const struct rig_dir *d, const char *log, const char *user, char *const argv[])
{
	int status = 0;
	pid_t pid = rig_spawn(d, log, user, argv);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void rig_stop(pid_t *pid, int sig)
{
	if (*pid <= 0)
		return;
	(void)kill(*pid, sig);
	(void)kill(*pid, SIGCONT);
	for (uint64_t end = rig_now_ms() + 5000; waitpid(*pid, NULL, WNOHANG) == 0; usleep(5000)) {
		if (rig_now_ms() < end)
			continue;
		(void)kill(*pid, SIGKILL);
		(void)waitpid(*pid, NULL, 0);
		break;
	}
	*pid = 0;
}

void rig_wait_port(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint64_t end = rig_now_ms() + 10000;
	for (;;) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		assert_true(fd >= 0);
		int rc = connect(fd, (struct sockaddr *)&a, sizeof(a));
		(void)close(fd);
		if (rc == 0)
			return;
		if (rig_now_ms() > end)
			fail_msg("nothing listens on port %u after 10 s", port);
		usleep(5000);
	}
}

static void on_tick(uv_timer_t *t)
{
	struct rig *r = t->data;
	uint64_t now = rig_now_ms();
	if (now - r->last_tick_ms > r->gap_ms)
		r->gap_ms = now - r->last_tick_ms;
	r->last_tick_ms = now;
}

void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(uv_loop_init(&r->loop), 0);
	assert_int_equal(uv_timer_init(&r->loop, &r->tick), 0);
	r->tick.data = r;
	r->last_tick_ms = rig_now_ms();
	assert_int_equal(uv_timer_start(&r->tick, on_tick, 5, 5), 0);
}

void rig_close(struct rig *r)
{
	uv_close((uv_handle_t *)&r->tick, NULL);
	for (int i = 0; i < 100 && uv_loop_alive(&r->loop); i++)
		(void)uv_run(&r->loop, UV_RUN_NOWAIT);
	assert_int_equal(uv_loop_close(&r->loop), 0);
}

static bool all_stopped(pid_t pid)
{
	char path[320], stat[512], state = '?';
	struct dirent *d;
	bool all = true;
	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *dir = opendir(path);
	assert_non_null(dir);
	while (all && (d = readdir(dir)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%.20s/stat", (int)pid, d->d_name);
		FILE *f = fopen(path, "re");
		size_t n = f != NULL ? fread(stat, 1, sizeof(stat) - 1, f) : 0;
		if (f != NULL)
			(void)fclose(f);
		stat[n] = '\0';
		char *after = strrchr(stat, ')'); /* behind the name, which may hold anything */
		state = after != NULL && after[1] == ' ' ? after[2] : 'T'; /* a thread that ended runs no more */
		all = state == 'T';
	}
	(void)closedir(dir);
	return all;
}

void rig_freeze(pid_t pid)
{
	assert_int_equal(kill(pid, SIGSTOP), 0);
	for (uint64_t end = rig_now_ms() + 5000; !all_stopped(pid);) {
		assert_true(rig_now_ms() < end);
		(void)usleep(1000);
	}
}

void rig_until(struct rig *r, const unsigned *flag)
{
	uint64_t end = rig_now_ms() + 30000;
	r->last_tick_ms = rig_now_ms(); /* time between two runs is not the loop's */
	uv_update_time(&r->loop);
	while (*flag == 0) {
		(void)uv_run(&r->loop, UV_RUN_ONCE);
		if (rig_now_ms() > end)
			fail_msg("still waiting after 30 s");
	}
}

void rig_for(struct rig *r, uint64_t ms)
{
	r->last_tick_ms = rig_now_ms();
	uv_update_time(&r->loop);
	for (uint64_t end = rig_now_ms() + ms; rig_now_ms() < end;)
		(void)uv_run(&r->loop, UV_RUN_ONCE);
}

static void on_done(struct dr_op *op, const struct dr_error *e)
{
	struct rig_op *o = op->ctx;
	assert_false(o->inside);
	o->done++;
	o->took_ms = rig_now_ms() - o->began_ms;
	o->code = e != NULL ? e->code : DR_OK;
	if (e != NULL)
		o->e = *e;
	assert_true(e == NULL || e->code != DR_OK);
}

void rig_op_start(struct rig_op *o, struct dr_session *s, enum dr_op_kind kind, const struct dr_op_args *args,
		  uint32_t deadline_ms)
{
	memset(o, 0, sizeof(*o));
	o->op.kind = kind;
	o->op.args = *args;
	o->op.deadline_ms = deadline_ms;
	o->op.done = on_done;
	o->op.ctx = o;
	o->began_ms = rig_now_ms();
	o->inside = true;
	enum dr_err rv = dr_session_start(s, &o->op, &o->e);
	o->inside = false;
	if (rv != DR_OK)
		fail_msg("%s could not be started: %s", dr_op_name(kind), o->e.msg);
}

enum dr_err rig_op_run(struct rig *r, struct rig_op *o, struct dr_session *s, enum dr_op_kind kind,
		       const struct dr_op_args *args, uint32_t deadline_ms)
{
	rig_op_start(o, s, kind, args, deadline_ms);
	rig_until(r, &o->done);
	return o->code;
}

void rig_session_open(struct rig *r, struct dr_session *s, const struct dr_adapter *a,
		      const struct dr_target *t)
{
	struct dr_error e;
	if (dr_session_open(s, &r->loop, a, t, &e) != DR_OK)
		fail_msg("%s: open: %s", a->name, e.msg);
}

static unsigned sessions_closed;

static void on_session_closed(struct dr_session *s)
{
	(void)s;
	sessions_closed++;
}

void rig_session_close(struct rig *r, struct dr_session *s, struct rig_op *o)
{
	sessions_closed = 0;
	if (o != NULL)
		o->inside = true;
	dr_session_close(s, on_session_closed);
	if (o != NULL)
		o->inside = false;
	assert_int_equal(sessions_closed, 0);
	rig_until(r, &sessions_closed);
	rig_for(r, 20);
	assert_int_equal(sessions_closed, 1);
}
