/* guard_agent.c -- stands in for drcoord-agent in test_guard.c: it uses the real guard link and keeps a
 * "server" (a tree of sleeping processes) under a lease that it renews from its own loop.
 *
 * --config names a folder.  In it: `ttl` (ms), `refuse` (if there: exit as if the configuration were wrong);
 * written: `status` (one line of numbers, see write_status), `victims` by the server's script. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "agent/shell/guard_link.h"
#include "base/parse.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"

#define MS 1000000ull

static struct dr_guard_link guard_link;
static struct dr_cgroup_root root;
static struct dr_cgroup group;
static const char *folder;
static uint32_t slot;
static uint64_t ttl_ms = 600;

static void write_status(void)
{
	char path[DR_PATH_MAX], text[256];
	struct dr_guard_seen seen;
	struct dr_error e;
	dr_guard_see(&guard_link, slot, &seen);
	(void)snprintf(path, sizeof(path), "%s/status", folder);
	int n =
	    snprintf(text, sizeof(text), "%d %d %d %d %llu %llu %d\n", (int)getpid(), guard_link.guard.pid,
		     dr_guard_link_alive(&guard_link), dr_guard_link_inherited(&guard_link),
		     (unsigned long long)seen.kills, (unsigned long long)seen.kill_done_ns, (int)root.way);
	if (dr_file_replace(path, text, (size_t)n, 0600, &e) != DR_OK)
		(void)fprintf(stderr, "%s\n", e.msg);
}

static void on_tick(uv_timer_t *t)
{
	(void)t;
	struct dr_guard_seen seen;
	dr_guard_see(&guard_link, slot, &seen);
	/* Renews nothing without a living guard, and nothing for a server that was killed. */
	if (dr_guard_link_alive(&guard_link) && seen.kills == 0)
		dr_guard_arm(&guard_link, slot, 7, dr_clock_boot_ns() + ttl_ms * MS, 100 * MS);
	write_status();
}

static void on_term(uv_signal_t *h, int sig)
{
	(void)h;
	(void)sig;
	exit(0);
}

/* A shell with a child, a grandchild in a session of its own, and one that ignores signals. */
static void start_server(void)
{
	struct dr_error e;
	struct dr_proc_id id;
	int join = -1;
	char script[3 * DR_PATH_MAX];
	(void)snprintf(
	    script, sizeof(script),
	    "cd %s/data && echo $$ >>../victims && (setsid sh -c 'echo $$ >>../victims; trap \"\" TERM INT; "
	    "sleep 600 & echo $! >>../victims; wait' &) ; sleep 600 & echo $! >>../victims; wait",
	    folder);
	const char *argv[] = { "/bin/sh", "-c", script, NULL };
	if (dr_cgroup_make(&root, &group, &e) != DR_OK ||
	    dr_cgroup_join_fd(&root, &group, &join, &e) != DR_OK) {
		(void)fprintf(stderr, "%s\n", e.msg);
		exit(1);
	}
	struct dr_spawn s = { .argv = argv, .join_fd = join, .out_fd = -1, .err_fd = STDERR_FILENO };
	if (dr_spawn(&s, &id, NULL, &e) != DR_OK) {
		(void)fprintf(stderr, "%s\n", e.msg);
		exit(1);
	}
	dr_guard_slot_root(&guard_link, slot, &id);
}

int main(int argc, char **argv)
{
	char path[DR_PATH_MAX], mark[DR_PATH_MAX], line[32];
	struct dr_error e;
	uv_timer_t tick;
	uv_signal_t term;
	if (argc != 3)
		return 64;
	folder = argv[2];
	dr_log_init("guard_agent", DR_LOG_INFO);
	(void)snprintf(path, sizeof(path), "%s/refuse", folder);
	if (access(path, F_OK) == 0)
		return DR_GUARD_EXIT_CONFIG;
	(void)snprintf(path, sizeof(path), "%s/ttl", folder);
	if (dr_file_read_line(path, line, sizeof(line), &e) != DR_OK ||
	    dr_parse_u64(line, 1, 60000, &ttl_ms) != DR_OK)
		return 1;
	uv_loop_t *loop = uv_default_loop();
	dr_cgroup_root_open(&root, false);
	struct dr_guard_link_conf conf = { .config_path = folder, .guard_path = getenv("TEST_GUARD") };
	(void)snprintf(path, sizeof(path), "%s/data", folder);
	(void)snprintf(mark, sizeof(mark), "%s/data/standby.signal", folder);
	if (dr_cgroup_init(&group, &root, "test-guard", path, "", &e) != DR_OK ||
	    dr_guard_link_open(&guard_link, loop, &conf, NULL, NULL, &e) != DR_OK ||
	    dr_guard_slot_claim(&guard_link, "test/guard", &group, mark, &slot, &e) != DR_OK) {
		(void)fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	if (!dr_guard_link_inherited(&guard_link))
		start_server();
	(void)uv_timer_init(loop, &tick);
	(void)uv_signal_init(loop, &term);
	(void)uv_signal_start(&term, on_term, SIGTERM);
	(void)uv_timer_start(&tick, on_tick, 20, 20);
	return uv_run(loop, UV_RUN_DEFAULT);
}
