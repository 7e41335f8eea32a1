/* test_guard.c -- drcoord-guard as a program, over real processes: it kills in time what the agent can't,
 * brings the agent back, and is brought back by it.  The agent is guard_agent.c. */
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

#include "base/parse.h"
#include "sys/cgroup.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "temp.h"

#define MS 1000000ull

enum { WAIT_MS = 20000, VICTIMS = 4, TTL_MS = 600 };

struct status {
	int agent, guard, alive, inherited;
	unsigned long long kills, done;
	int way;
};

struct world {
	char folder[64];
	struct dr_proc_id guard; /* the first one, our child */
	struct dr_proc_id victim[VICTIMS];
	struct dr_cgroup_root root;
	struct dr_cgroup group;
};

static void nap(void)
{
	(void)poll(NULL, 0, 5);
}

static bool see_status(struct world *w, struct status *s)
{
	char path[128], line[256];
	(void)snprintf(path, sizeof(path), "%s/status", w->folder);
	return dr_file_read_line(path, line, sizeof(line), NULL) == DR_OK &&
	       sscanf(line, "%d %d %d %d %llu %llu %d", &s->agent, &s->guard, &s->alive, &s->inherited,
		      &s->kills, &s->done, &s->way) == 7;
}

#define WAIT_FOR(cond)                                                                                       \
	do {                                                                                                 \
		uint64_t give_up_at = dr_clock_boot_ns() + WAIT_MS * MS;                                     \
		while (!(cond)) {                                                                            \
			if (dr_clock_boot_ns() > give_up_at)                                                 \
				fail_msg("never: %s", #cond);                                                \
			nap();                                                                               \
		}                                                                                            \
	} while (0)

static bool serves(struct world *w, struct status *s)
{
	return see_status(w, s) && s->alive && kill(s->agent, 0) == 0;
}

static void put_file(struct world *w, const char *name, const char *text)
{
	char path[128];
	struct dr_error e;
	(void)snprintf(path, sizeof(path), "%s/%s", w->folder, name);
	assert_int_equal(dr_file_replace(path, text, strlen(text), 0600, &e), DR_OK);
}

static bool read_victims(struct world *w)
{
	char path[128], line[32];
	int n = 0;
	(void)snprintf(path, sizeof(path), "%s/victims", w->folder);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (n < VICTIMS && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		uint64_t pid = 0;
		if (dr_parse_u64(line, 1, INT32_MAX, &pid) == DR_OK &&
		    dr_proc_identify((int32_t)pid, &w->victim[n], NULL) == DR_OK)
			n++;
	}
	(void)fclose(f);
	return n == VICTIMS;
}

static int living(struct world *w)
{
	int n = 0;
	for (int i = 0; i < VICTIMS; i++)
		n += dr_proc_alive(&w->victim[i]);
	return n;
}

static void start_guard(struct world *w)
{
	struct dr_error e;
	const char *argv[] = { TEST_GUARD, "--config", w->folder, "--agent", TEST_AGENT, NULL };
	struct dr_spawn s = { .argv = argv, .join_fd = -1, .out_fd = -1, .err_fd = 2 };
	assert_int_equal(dr_spawn(&s, &w->guard, NULL, &e), DR_OK);
}

static int set_up(void **state)
{
	static struct world world;
	struct world *w = &world;
	char data[128];
	memset(w, 0, sizeof(*w));
	temp_template(w->folder, sizeof(w->folder), "guard-test");
	if (mkdtemp(w->folder) == NULL)
		return -1;
	(void)snprintf(data, sizeof(data), "%.63s/data", w->folder);
	if (mkdir(data, 0700) != 0)
		return -1;
	dr_cgroup_root_open(&w->root, false);
	put_file(w, "ttl", "600");
	*state = w;
	return dr_cgroup_init(&w->group, &w->root, "test-guard", data, "", NULL) == DR_OK ? 0 : -1;
}

/* Ends guard and agent whatever happened, the agent first stopped so that neither brings back the other. */
static int tear_down(void **state)
{
	struct world *w = *state;
	struct status s = { 0 };
	(void)see_status(w, &s);
	struct dr_proc_id agent = { 0 }, guard = { 0 };
	(void)!dr_proc_identify(s.agent, &agent, NULL);
	(void)!dr_proc_identify(s.guard, &guard, NULL);
	(void)!dr_proc_signal(&agent, SIGSTOP, NULL);
	(void)!dr_proc_signal(&w->guard, SIGKILL, NULL);
	(void)!dr_proc_signal(&guard, SIGKILL, NULL);
	(void)!dr_proc_signal(&agent, SIGKILL, NULL);
	(void)waitpid(w->guard.pid, NULL, 0);
	for (int i = 0; i < VICTIMS; i++)
		(void)!dr_proc_signal(&w->victim[i], SIGKILL, NULL);
	bool empty = false;
	while (dr_cgroup_kill(&w->root, &w->group, NULL) == DR_OK &&
	       dr_cgroup_is_empty(&w->root, &w->group, &empty, NULL) == DR_OK && !empty)
		nap();
	while (dr_cgroup_remove(&w->root, &w->group, NULL) == DR_E_BUSY)
		nap();
	dr_cgroup_root_close(&w->root);
	static const char *const files[] = { "status", "victims", "ttl", "refuse", "data/standby.signal",
					     "data",   "" };
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[128];
		(void)snprintf(path, sizeof(path), "%s/%s", w->folder, files[i]);
		(void)remove(path);
	}
	return 0;
}

static void begin(struct world *w, struct status *s)
{
	start_guard(w);
	WAIT_FOR(serves(w, s) && read_victims(w));
	assert_int_equal(living(w), VICTIMS);
}

/* The agent is stopped, its lease runs out: everybody of the server is dead in time. */
static void kills_in_time(struct world *w)
{
	struct status s;
	char mark[128];
	begin(w, &s);
	/* Longer than the lease: it lives because it is renewed. */
	uint64_t until = dr_clock_boot_ns() + 2 * TTL_MS * MS;
	while (dr_clock_boot_ns() < until) {
		assert_int_equal(living(w), VICTIMS);
		nap();
	}
	assert_int_equal(kill(s.agent, SIGSTOP), 0);
	uint64_t stopped = dr_clock_boot_ns();
	WAIT_FOR(living(w) == 0);
	uint64_t took_ms = (dr_clock_boot_ns() - stopped) / MS;
	print_message("all dead %llu ms after the agent was stopped (lease %d, margin 100)\n",
		      (unsigned long long)took_ms, TTL_MS);
	assert_true(took_ms <= TTL_MS);
	assert_int_equal(kill(s.agent, SIGCONT), 0);
	WAIT_FOR(see_status(w, &s) && s.kills == 1 && s.done != 0);
	(void)snprintf(mark, sizeof(mark), "%s/data/standby.signal", w->folder);
	WAIT_FOR(access(mark, F_OK) == 0);
}

static void test_stopped_agent(void **state)
{
	struct world *w = *state;
	kills_in_time(w);
}

static void test_stopped_agent_proc(void **state)
{
	struct world *w = *state;
	struct status s;
	(void)setenv("DRCOORD_CGROUP", "proc", 1);
	kills_in_time(w);
	assert_true(see_status(w, &s));
	assert_int_equal(s.way, DR_CGROUP_PROC);
	(void)unsetenv("DRCOORD_CGROUP");
}

static void test_dead_agent(void **state)
{
	struct world *w = *state;
	struct status s, before;
	begin(w, &before);
	for (int round = 0; round < 2; round++) {
		uint64_t at = dr_clock_boot_ns();
		assert_int_equal(kill(before.agent, SIGKILL), 0);
		WAIT_FOR(serves(w, &s) && s.agent != before.agent);
		print_message("agent back %llu ms after kill -9\n",
			      (unsigned long long)((dr_clock_boot_ns() - at) / MS));
		assert_true(s.inherited);
		assert_int_equal(s.guard, before.guard);
		assert_int_equal(living(w), VICTIMS);
		before = s;
	}
}

static void test_dead_guard(void **state)
{
	struct world *w = *state;
	struct status s, before;
	begin(w, &before);
	assert_int_equal(kill(before.guard, SIGKILL), 0);
	WAIT_FOR(serves(w, &s) && s.guard != before.guard && s.guard > 0);
	assert_int_equal(s.agent, before.agent);
	assert_int_equal(living(w), VICTIMS);
	/* The new guard has the memory of the old one. */
	assert_int_equal(kill(s.agent, SIGSTOP), 0);
	WAIT_FOR(living(w) == 0);
	/* ... and brings an agent back that it did not start. */
	assert_int_equal(kill(s.agent, SIGKILL), 0);
	before = s;
	WAIT_FOR(serves(w, &s) && s.agent != before.agent);
	assert_int_equal(s.guard, before.guard);
	assert_true(s.inherited);
	assert_int_equal(s.kills, 1);
}

static void test_stopped_guard(void **state)
{
	struct world *w = *state;
	struct status s, before;
	begin(w, &before);
	uint64_t at = dr_clock_boot_ns();
	assert_int_equal(kill(before.guard, SIGSTOP), 0);
	WAIT_FOR(see_status(w, &s) && !s.alive);
	print_message("agent noticed a stopped guard after %llu ms\n",
		      (unsigned long long)((dr_clock_boot_ns() - at) / MS));
	WAIT_FOR(serves(w, &s) && s.guard != before.guard);
	assert_int_equal(s.agent, before.agent);
}

static void test_leave(void **state)
{
	struct world *w = *state;
	struct status s;
	int status = 0;
	begin(w, &s);
	assert_int_equal(kill(w->guard.pid, SIGTERM), 0);
	WAIT_FOR(kill(s.agent, 0) != 0);
	/* The server is guarded until its lease ends. */
	assert_true(dr_proc_alive(&w->guard));
	WAIT_FOR(waitpid(w->guard.pid, &status, WNOHANG) == w->guard.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(living(w), 0);
}

static void test_refusing_agent(void **state)
{
	struct world *w = *state;
	int status = 0;
	put_file(w, "refuse", "");
	start_guard(w);
	WAIT_FOR(waitpid(w->guard.pid, &status, WNOHANG) == w->guard.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 78);
}

/* Its agent works in another folder than the one that the path counts from. */
static void test_path_from_here(void **state)
{
	struct world *w = *state;
	const char *argv[] = { TEST_GUARD, "--config", ".", "--agent", TEST_AGENT, NULL };
	struct dr_spawn s = { .argv = argv, .cwd = w->folder, .join_fd = -1, .out_fd = -1, .err_fd = 2 };
	struct dr_error e;
	int status = 0;
	put_file(w, "refuse", "");
	assert_int_equal(dr_spawn(&s, &w->guard, NULL, &e), DR_OK);
	WAIT_FOR(waitpid(w->guard.pid, &status, WNOHANG) == w->guard.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 78);
}

int main(void)
{
	(void)setenv("TEST_GUARD", TEST_GUARD, 1);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stopped_agent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stopped_agent_proc, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dead_agent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dead_guard, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stopped_guard, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_leave, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusing_agent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_path_from_here, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
