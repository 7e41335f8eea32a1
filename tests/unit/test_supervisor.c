/* test_supervisor.c -- the supervisor over a real PostgreSQL: start, ladder, kill, adopt, foreign, leftovers. */
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

#include "agent/shell/pg_files.h"
#include "pg_world.h"
#include "base/parse.h"
#include "sys/log.h"

static struct pg_world world;

static int set_up(void **state)
{
	*state = &world;
	pg_world_open(&world);
	pg_world_init(&world, 0);
	pg_world_supervise(&world, 0);
	return 0;
}

static int set_up_proc(void **state)
{
	(void)setenv("DRCOORD_CGROUP", "proc", 1);
	return set_up(state);
}

static int tear_down(void **state)
{
	(void)state;
	pg_world_close(&world);
	(void)unsetenv("DRCOORD_CGROUP");
	return 0;
}

static void stop_and_wait(struct pg_world *w, uint32_t fast_ms, uint32_t immediate_ms)
{
	struct pg_server *s = &w->server[0];
	int before = s->stopped;
	uint64_t at = uv_hrtime();
	dr_supervisor_stop(&s->super, fast_ms, immediate_ms, pg_world_on_stopped);
	assert_int_equal(s->stopped, before);
	PG_WAIT(w, s->stopped == before + 1 && s->super.pidfd < 0);
	print_message("stop fast=%u immediate=%u took %llu ms\n", fast_ms, immediate_ms,
		      (unsigned long long)((uv_hrtime() - at) / 1000000));
	if (!s->proved)
		fail_msg("not proved: %s", s->stop_error.msg);
	assert_int_equal(s->super.seen.phase, DR_SUPER_STOPPED);
	assert_true(s->super.seen.group_empty);
}

static void test_ladder(void **state)
{
	struct pg_world *w = *state;
	struct pg_server *s = &w->server[0];
	char pid_file[DR_PATH_MAX + 20];
	pg_world_start(w, 0, false);
	assert_true(pg_world_says(w, 0, "select pg_is_in_recovery()", "f"));
	assert_int_equal(s->super.seen.phase, DR_SUPER_RUNNING);
	assert_int_equal(dr_supervisor_start(&s->super, false, NULL), DR_E_BUSY);
	stop_and_wait(w, 5000, 5000);
	assert_true(s->super.seen.has_status && WIFEXITED(s->super.seen.status));

	/* As a standby without a primary it only waits; the mark was there before it ran. */
	pg_world_start(w, 0, true);
	assert_true(dr_supervisor_is_marked(&s->super));
	assert_true(pg_world_says(w, 0, "select pg_is_in_recovery()", "t"));
	stop_and_wait(w, 0, 5000);

	/* A session that never ends holds up nothing; kill at once leaves a stale postmaster.pid, which is no
	 * obstacle for the next start. */
	pg_world_start(w, 0, true);
	stop_and_wait(w, 0, 0);
	assert_true(WIFSIGNALED(s->super.seen.status));
	(void)snprintf(pid_file, sizeof(pid_file), "%s/postmaster.pid", s->data);
	assert_int_equal(access(pid_file, F_OK), 0);
	pg_world_start(w, 0, true);
	assert_true(s->changes > 0);
}

/* A postmaster that is stopped (SIGSTOP) hears neither SIGINT nor SIGQUIT: the last rung ends it. */
static void test_deaf_postmaster(void **state)
{
	struct pg_world *w = *state;
	struct pg_server *s = &w->server[0];
	pg_world_start(w, 0, false);
	assert_int_equal(kill(s->super.seen.postmaster.pid, SIGSTOP), 0);
	stop_and_wait(w, 100, 100);
	/* A second stop while one runs: the older callback hears CANCELLED, the newer gets the proof. */
	pg_world_start(w, 0, false);
	assert_int_equal(kill(s->super.seen.postmaster.pid, SIGSTOP), 0);
	int before = s->stopped;
	dr_supervisor_stop(&s->super, 60000, 60000, pg_world_on_stopped);
	dr_supervisor_kill(&s->super, pg_world_on_stopped);
	assert_int_equal(s->stopped, before + 1);
	assert_int_equal(s->stop_error.code, DR_E_CANCELLED);
	PG_WAIT(w, s->stopped == before + 2);
	assert_true(s->proved);
}

/* Backends outlive a killed postmaster for as long as they don't look: they are not "stopped". */
static void test_leftovers(void **state)
{
	struct pg_world *w = *state;
	struct pg_server *s = &w->server[0];
	struct dr_proc_id ids[64];
	size_t n = 0;
	bool proved = true;
	pg_world_start(w, 0, false);
	assert_int_equal(dr_cgroup_list(&w->root, &s->super.group, ids, 64, &n, NULL), DR_OK);
	assert_true(n >= 5);
	struct dr_proc_id postmaster = s->super.seen.postmaster;
	/* One that can't notice: stopped. */
	struct dr_proc_id child = ids[0].pid == postmaster.pid ? ids[1] : ids[0];
	assert_int_equal(kill(child.pid, SIGSTOP), 0);
	assert_int_equal(kill(postmaster.pid, SIGKILL), 0);
	PG_WAIT(w, s->super.seen.phase == DR_SUPER_LEFTOVERS);
	assert_true(s->super.seen.ended && !s->super.seen.group_empty);
	assert_int_equal(dr_supervisor_proved(&s->super, &proved, NULL), DR_OK);
	assert_false(proved);
	assert_int_equal(dr_supervisor_start(&s->super, true, NULL), DR_E_BUSY);
	int before = s->stopped;
	dr_supervisor_kill(&s->super, pg_world_on_stopped);
	PG_WAIT(w, s->stopped == before + 1);
	assert_true(s->proved);
	assert_false(dr_proc_alive(&child));
}

static void manual_start(struct pg_world *w, int at)
{
	char program[DR_PATH_MAX + 16], log[DR_PATH_MAX];
	char ignored[4096];
	(void)snprintf(program, sizeof(program), "%s/pg_ctl", w->bin);
	(void)snprintf(log, sizeof(log), "%s/manual.log", w->folder);
	const char *argv[] = { program, "-D", w->server[at].data, "-l", log, "-w", "start", NULL };
	assert_int_equal(pg_world_run(w, argv, ignored, sizeof(ignored)), 0);
}

static void test_adopt(void **state)
{
	struct pg_world *w = *state;
	struct pg_server *s = &w->server[0];
	char began[64], now[64];
	bool empty = true;
	assert_int_equal(dr_supervisor_adopt(&s->super, NULL), DR_E_NOT_FOUND);
	PG_WAIT(w, s->super.seen.nobody);
	manual_start(w, 0);
	assert_int_equal(pg_world_sql(w, 0, "select pg_postmaster_start_time()", began, sizeof(began)), 0);
	PG_WAIT(w, s->super.seen.foreign.pid > 0);
	assert_false(s->super.seen.nobody);
	assert_int_equal(s->super.seen.phase, DR_SUPER_STOPPED);
	assert_int_equal(dr_supervisor_start(&s->super, false, NULL), DR_E_CONFLICT);
	assert_int_equal(dr_supervisor_adopt(&s->super, NULL), DR_OK);
	assert_true(s->super.seen.adopted);
	assert_int_equal(s->super.seen.foreign.pid, 0);
	assert_int_equal(dr_cgroup_is_empty(&w->root, &s->super.group, &empty, NULL), DR_OK);
	assert_false(empty);
	assert_int_equal(pg_world_sql(w, 0, "select pg_postmaster_start_time()", now, sizeof(now)), 0);
	assert_string_equal(began, now);

	/* The agent goes and comes back: the server never noticed. */
	pg_world_unsupervise(w, 0);
	pg_world_supervise(w, 0);
	assert_int_equal(dr_supervisor_adopt(&s->super, NULL), DR_OK);
	assert_int_equal(pg_world_sql(w, 0, "select pg_postmaster_start_time()", now, sizeof(now)), 0);
	assert_string_equal(began, now);
	stop_and_wait(w, 0, 0);
}

/* A backend's crash ends the server. */
static void crash_backend(struct pg_world *w)
{
	struct pg_server *s = &w->server[0];
	char pid[32], line[64];
	assert_int_equal(pg_world_sql(w, 0, "select pid from pg_stat_activity where backend_type = 'background writer'", pid,
				      sizeof(pid)), 0);
	(void)snprintf(line, sizeof(line), "kill -9 %s", pid);
	const char *argv[] = { "/bin/sh", "-c", line, NULL };
	assert_int_equal(pg_world_run(w, argv, NULL, 0), 0);
	PG_WAIT(w, s->super.seen.phase == DR_SUPER_STOPPED && s->super.pidfd < 0);
}

/* A managed server is marked, also while it is a primary: whoever starts it after it ended, it comes up as a standby.  So its
 * postmaster must not start it anew under its agent's eyes.  Given back, it is what it was. */
static void test_marked_primary(void **state)
{
	struct pg_world *w = *state;
	struct pg_server *s = &w->server[0];
	pg_world_start(w, 0, false);
	assert_int_equal(dr_supervisor_mark_standby(&s->super, NULL), DR_OK);
	assert_int_equal(dr_supervisor_unmark_standby(&s->super, NULL), DR_OK);
	crash_backend(w);
	pg_world_start(w, 0, false);
	assert_true(pg_world_says(w, 0, "select pg_is_in_recovery()", "f"));
	assert_int_equal(dr_supervisor_mark_standby(&s->super, NULL), DR_OK);
	assert_true(pg_world_says(w, 0, "select pg_is_in_recovery()", "f"));
	crash_backend(w);
	manual_start(w, 0);
	assert_true(pg_world_says(w, 0, "select pg_is_in_recovery()", "t"));
	stop_and_wait(w, 0, 0);
}

/* Killing takes a server along that was started behind our back, and leaves a shell in its folder alone. */
static void test_kill_foreign(void **state)
{
	struct pg_world *w = *state;
	struct pg_server *s = &w->server[0];
	struct dr_proc_id shell, postmaster;
	struct dr_error e;
	bool proved = true;
	const char *argv[] = { "/bin/sleep", "600", NULL };
	struct dr_spawn spawn = { .argv = argv, .cwd = s->data, .join_fd = -1, .out_fd = -1, .err_fd = -1 };
	assert_int_equal(dr_spawn(&spawn, &shell, NULL, &e), DR_OK);
	manual_start(w, 0);
	assert_int_equal(dr_pg_postmaster(s->data, &postmaster, NULL), DR_OK);
	assert_int_equal(dr_supervisor_proved(&s->super, &proved, NULL), DR_OK);
	assert_false(proved);
	stop_and_wait(w, 0, 0);
	assert_false(dr_proc_alive(&postmaster));
	assert_true(dr_proc_alive(&shell));
	assert_int_equal(dr_proc_signal(&shell, SIGKILL, NULL), DR_OK);
	assert_int_equal(waitpid(shell.pid, NULL, 0), shell.pid);
}

static void test_start_fails(void **state)
{
	struct pg_world *w = *state;
	struct pg_server *s = &w->server[0];
	struct dr_error e;
	const struct dr_pg_setting bad[] = { { "shared_buffers", "nonsense" } };
	const struct dr_pg_setting good[] = { { "shared_buffers", "16MB" } };
	assert_int_equal(dr_pg_auto_conf(s->data, bad, 1, NULL), DR_OK);
	assert_int_equal(dr_supervisor_start(&s->super, false, &e), DR_OK);
	PG_WAIT(w, s->super.seen.phase == DR_SUPER_STOPPED && s->super.seen.ended);
	assert_true(s->super.seen.has_status && WIFEXITED(s->super.seen.status) &&
		    WEXITSTATUS(s->super.seen.status) == 1);
	assert_int_equal(dr_pg_auto_conf(s->data, good, 1, NULL), DR_OK);
	(void)dr_copy_text(s->super.conf.bin_dir, sizeof(s->super.conf.bin_dir), "/nowhere");
	assert_int_equal(dr_supervisor_start(&s->super, false, &e), DR_E_NOT_FOUND);
	assert_non_null(strstr(e.msg, "/nowhere/postgres"));
	(void)dr_copy_text(s->super.conf.bin_dir, sizeof(s->super.conf.bin_dir), w->bin);
	PG_WAIT(w, s->super.pidfd < 0);
	pg_world_start(w, 0, false);
}

int main(void)
{
	dr_log_init("test_supervisor", DR_LOG_WARN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ladder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deaf_postmaster, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_leftovers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_adopt, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_marked_primary, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kill_foreign, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_start_fails, set_up, tear_down),
		{ "test_leftovers_proc", test_leftovers, set_up_proc, tear_down, NULL },
		{ "test_adopt_proc", test_adopt, set_up_proc, tear_down, NULL },
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
