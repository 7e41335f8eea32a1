/* test_proc.c -- identities, spawning and groups of real processes. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/cgroup.h"

static struct dr_proc_id spawn(const char *script, struct dr_spawn *s)
{
	struct dr_error e;
	struct dr_proc_id id;
	const char *argv[] = { "/bin/sh", "-c", script, NULL };
	s->argv = argv;
	if (dr_spawn(s, &id, NULL, &e) != DR_OK)
		fail_msg("%s", e.msg);
	return id;
}

static void test_identity(void **state)
{
	(void)state;
	struct dr_proc_id self, other, dead;
	struct dr_error e;
	int fd = -1, status = 0;
	assert_int_equal(dr_proc_identify((int32_t)getpid(), &self, &e), DR_OK);
	assert_true(dr_proc_alive(&self));
	/* The same pid from another life is nobody: no signal reaches it. */
	other = self;
	other.start_ticks++;
	assert_false(dr_proc_alive(&other));
	assert_int_equal(dr_proc_signal(&other, SIGKILL, &e), DR_E_NOT_FOUND);
	assert_int_equal(dr_proc_pidfd(&other, &fd, &e), DR_E_NOT_FOUND);
	assert_int_equal(dr_proc_identify(0, &other, &e), DR_E_NOT_FOUND);

	struct dr_spawn s = { .join_fd = -1, .out_fd = -1, .err_fd = -1 };
	dead = spawn("exit 7", &s);
	assert_int_equal(dr_proc_pidfd(&dead, &fd, &e), DR_OK);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 10000), 1);
	/* A zombie still has its pid, and is dead. */
	assert_false(dr_proc_alive(&dead));
	assert_true(dr_proc_reap(dead.pid, &status));
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_false(dr_proc_reap(dead.pid, &status));
	(void)close(fd);
}

/* What a child sees: the output of a shell script run by dr_spawn. */
static void hear(const char *script, struct dr_spawn *s, char *out, size_t cap)
{
	int ends[2];
	size_t n = 0;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	s->out_fd = ends[1];
	struct dr_proc_id id = spawn(script, s);
	(void)close(ends[1]);
	for (;;) {
		ssize_t got = read(ends[0], out + n, cap - n - 1);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	out[n] = '\0';
	(void)close(ends[0]);
	assert_int_equal(waitpid(id.pid, NULL, 0), id.pid);
}

static void test_spawn(void **state)
{
	(void)state;
	struct dr_error e;
	struct dr_proc_id id;
	char out[256];
	/* Descriptors that are open here, also without close-on-exec, don't get there; one that is kept does. */
	int leaky = open("/dev/null", O_RDONLY);
	int kept = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char script[256];
	assert_true(leaky > 2 && kept > 2);
	(void)snprintf(script, sizeof(script),
		       "test -e /proc/self/fd/%d && echo leak; test -e /proc/self/fd/%d && echo kept", leaky,
		       kept);
	struct dr_spawn s = { .join_fd = -1, .err_fd = -1, .keep_fd = { kept } };
	hear(script, &s, out, sizeof(out));
	assert_string_equal(out, "kept\n");
	(void)close(leaky);
	(void)close(kept);
	/* A session of its own, default signals although we ignore one. */
	(void)signal(SIGPIPE, SIG_IGN);
	struct dr_spawn own = { .join_fd = -1, .err_fd = -1 };
	hear(
	    "pid=$$; set -- $(cat /proc/self/stat); test \"$6\" = $pid && echo leader; grep SigIgn /proc/self/status",
	    &own, out, sizeof(out));
	assert_string_equal(out, "leader\nSigIgn:\t0000000000000000\n");
	const char *missing[] = { "/nowhere/program", NULL };
	struct dr_spawn bad = { .argv = missing, .join_fd = -1, .out_fd = -1, .err_fd = -1 };
	assert_int_equal(dr_spawn(&bad, &id, NULL, &e), DR_E_NOT_FOUND);
	assert_non_null(strstr(e.msg, "/nowhere/program"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_user(void **state)
{
	(void)state;
	struct dr_os_user user;
	struct dr_error e;
	char out[256];
	assert_int_equal(dr_os_user_find("no-such-account", &user, &e), DR_E_NOT_FOUND);
	if (geteuid() != 0) {
		print_message("skipped: only root can start a program as another account\n");
		skip();
	}
	assert_int_equal(dr_os_user_find("nobody", &user, &e), DR_OK);
	struct dr_spawn s = { .user = &user, .join_fd = -1, .err_fd = -1 };
	hear("id -un; id -Gn; id -ru", &s, out, sizeof(out));
	char want[64];
	(void)snprintf(want, sizeof(want), "nobody\nnogroup\n%u\n", (unsigned)user.uid);
	assert_string_equal(out, want);
}

static void test_group(void **state)
{
	(void)state;
	struct dr_cgroup_root r;
	struct dr_cgroup g;
	struct dr_error e;
	struct dr_proc_id ids[16];
	size_t n = 0;
	bool empty = false;
	int join = -1;
	dr_cgroup_root_open(&r, false);
	if (r.way != DR_CGROUP_V2) {
		print_message("skipped: no cgroup v2 that this process may use: %s\n", r.why);
		dr_cgroup_root_close(&r);
		skip();
	}
	print_message("%s\n", r.why);
	assert_int_equal(dr_cgroup_init(&g, &r, "test-proc", "/nowhere/data", "", &e), DR_OK);
	assert_int_equal(dr_cgroup_is_empty(&r, &g, &empty, &e), DR_OK);
	assert_true(empty);
	assert_int_equal(dr_cgroup_make(&r, &g, &e), DR_OK);
	assert_int_equal(dr_cgroup_make(&r, &g, &e), DR_OK);
	assert_int_equal(dr_cgroup_join_fd(&r, &g, &join, &e), DR_OK);
	struct dr_spawn s = { .join_fd = join, .out_fd = -1, .err_fd = -1 };
	struct dr_proc_id inside = spawn("setsid sleep 600 & exec sleep 600", &s);
	struct dr_spawn apart = { .join_fd = -1, .out_fd = -1, .err_fd = -1 };
	struct dr_proc_id outside = spawn("exec sleep 600", &apart);
	while (dr_cgroup_list(&r, &g, ids, 16, &n, &e) == DR_OK && n < 2)
		(void)poll(NULL, 0, 2);
	assert_int_equal(dr_cgroup_remove(&r, &g, &e), DR_E_BUSY);
	/* Moved in, and killed although frozen. */
	assert_int_equal(dr_cgroup_put(&r, &g, outside.pid, &e), DR_OK);
	assert_int_equal(dr_cgroup_freeze(&r, &g, true, &e), DR_OK);
	assert_int_equal(dr_cgroup_kill(&r, &g, &e), DR_OK);
	assert_int_equal(waitpid(inside.pid, NULL, 0), inside.pid);
	assert_int_equal(waitpid(outside.pid, NULL, 0), outside.pid);
	while (dr_cgroup_is_empty(&r, &g, &empty, &e) == DR_OK && !empty)
		(void)poll(NULL, 0, 2);
	(void)close(join);
	assert_int_equal(dr_cgroup_remove(&r, &g, &e), DR_OK);
	assert_int_equal(dr_cgroup_remove(&r, &g, &e), DR_OK);
	assert_int_equal(dr_cgroup_kill(&r, &g, &e), DR_OK);
	dr_cgroup_root_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_spawn),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_group),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
