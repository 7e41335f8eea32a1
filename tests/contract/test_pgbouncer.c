/* test_pgbouncer.c -- deeper than the contract: whose clients are held, and from when on they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "contract.h"

#define USER "nobody"

enum { BUSY_MS = 1500 };

static struct rig rig;
static struct rig_dir dir;
static uint16_t port, server_port;
static pid_t bouncer, server, client;
static struct dr_target target;

static pid_t python(const char *a, const char *b, const char *c, const char *d)
{
	static char script[] = BUSY_SERVER;
	char args[4][32];
	(void)snprintf(args[0], sizeof(args[0]), "%s", a);
	(void)snprintf(args[1], sizeof(args[1]), "%s", b);
	(void)snprintf(args[2], sizeof(args[2]), "%s", c);
	(void)snprintf(args[3], sizeof(args[3]), "%s", d);
	char *const argv[] = { "/usr/bin/python3", script, args[0], args[1], args[2], args[3], NULL };
	return rig_spawn(&dir, "busy.log", NULL, argv);
}

static void fill_target(void)
{
	struct dr_spec_route *r = &target.route;
	memset(&target, 0, sizeof(target));
	r->kind = DR_ROUTE_PGBOUNCER;
	r->servers = 1;
	r->server[0].port = port;
	(void)dr_copy_text(r->server[0].host, DR_HOST_MAX, "127.0.0.1");
	assert_true(dr_name_set(&r->name, "pool") && dr_name_set(&target.service, "orders"));
	(void)dr_copy_text(r->pool, sizeof(r->pool), "orders");
	(void)dr_copy_text(r->pool_user, sizeof(r->pool_user), "drcoord");
}

static int set_up(void **state)
{
	char path[128], conf[128], number[16];
	(void)state;
	rig_init(&rig);
	rig_dir_make(&dir, USER);
	bouncer = server = client = 0;
	if (!rig_find("pgbouncer", path, sizeof(path)))
		fail_msg("no pgbouncer here: tools/install-packages run");
	port = rig_free_port();
	server_port = rig_free_port();
	rig_file(&dir, "users", "\"drcoord\" \"\"\n\"app\" \"\"\n");
	rig_file(&dir, "conf",
		 "[databases]\norders = host=127.0.0.1 port=%u\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %u\n"
		 "unix_socket_dir =\nauth_type = trust\nauth_file = %s/users\nadmin_users = drcoord\npool_mode = transaction\n",
		 server_port, port, dir.path);
	(void)snprintf(conf, sizeof(conf), "%s/conf", dir.path);
	(void)snprintf(number, sizeof(number), "%u", server_port);
	server = python(number, "1.5", "", "");
	char *const argv[] = { path, conf, NULL };
	bouncer = rig_spawn(&dir, "log", USER, argv);
	rig_wait_port(server_port);
	rig_wait_port(port);
	fill_target();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (client != 0)
		rig_stop(&client, SIGKILL);
	if (bouncer != 0)
		rig_stop(&bouncer, SIGKILL);
	if (server != 0)
		rig_stop(&server, SIGKILL);
	rig_dir_remove(&dir);
	rig_close(&rig);
	return 0;
}

static struct rig_op last;

static enum dr_err do_op(enum dr_op_kind kind, uint16_t primary, uint32_t deadline_ms)
{
	struct dr_session s;
	struct dr_op_args args = { .epoch = 2, .primary_at = { .host = "127.0.0.1", .port = primary } };
	rig_session_open(&rig, &s, &dr_pgbouncer_adapter, &target);
	enum dr_err rv = rig_op_run(&rig, &last, &s, kind, &args, deadline_ms);
	rig_session_close(&rig, &s, NULL);
	return rv;
}

static bool is_paused(void)
{
	assert_int_equal(do_op(DR_OP_OBSERVED, server_port, 3000), DR_OK);
	return strstr(last.op.evidence.text, "paused") != NULL;
}

/* The clients of some other server: that its primary is switched is none of their business. */
static void test_other_server_is_not_paused(void **state)
{
	(void)state;
	assert_int_equal(do_op(DR_OP_HELD, (uint16_t)(server_port + 1), 3000), DR_E_CONFLICT);
	assert_non_null(strstr(last.e.msg, "not to the primary"));
	assert_false(is_paused());
	assert_int_equal(do_op(DR_OP_HELD, server_port, 3000), DR_OK);
	assert_true(is_paused());
	assert_int_equal(do_op(DR_OP_ROUTED, server_port, 3000), DR_OK);
	assert_false(is_paused());
}

static void start_query(void)
{
	char number[16];
	(void)snprintf(number, sizeof(number), "%u", port);
	client = python(number, "query", "app", "orders");
	rig_for(&rig, BUSY_MS / 5);
}

/* A PAUSE that somebody else's console waits for shows at once, and holds nobody before the last transaction has ended. */
static void test_paused_is_not_yet_held(void **state)
{
	struct dr_session s;
	struct rig_op first;
	struct dr_op_args args = { .epoch = 2, .primary_at = { .host = "127.0.0.1", .port = server_port } };
	(void)state;
	uint64_t began = rig_now_ms();
	start_query();
	rig_session_open(&rig, &s, &dr_pgbouncer_adapter, &target);
	rig_op_start(&first, &s, DR_OP_HELD, &args, 5000);
	rig_for(&rig, BUSY_MS / 5);
	assert_true(is_paused());
	assert_int_equal(first.done, 0);
	assert_int_equal(do_op(DR_OP_HELD, server_port, 5000), DR_OK);
	assert_true(rig_now_ms() - began >= BUSY_MS);
	rig_until(&rig, &first.done);
	assert_int_equal(first.code, DR_OK);
	rig_session_close(&rig, &s, NULL);
}

/* ... and where it does not end in time, all go on. */
static void test_too_long_is_let_go(void **state)
{
	(void)state;
	start_query();
	assert_int_equal(do_op(DR_OP_HELD, server_port, BUSY_MS / 3), DR_E_TIMEOUT);
	assert_non_null(strstr(last.e.msg, "did not end in time"));
	assert_false(is_paused());
}

static void on_rewrite(uv_timer_t *t)
{
	(void)t;
	rig_file(&dir, "pools", "orders = host=127.0.0.2 port=%u\n", server_port);
}

/* Its file is written by another route, a moment later: it is told to read it again until it shows the primary, and lets nobody
 * go before. */
static void test_reads_its_file_again(void **state)
{
	struct dr_session s;
	struct rig_op o;
	struct dr_op_args args = { .epoch = 2, .primary_at = { .host = "127.0.0.2", .port = server_port } };
	uv_timer_t later;
	(void)state;
	rig_file(&dir, "pools", "orders = host=127.0.0.1 port=%u\n", server_port);
	rig_file(&dir, "conf",
		 "[databases]\n%%include %s/pools\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %u\n"
		 "unix_socket_dir =\nauth_type = trust\nauth_file = %s/users\nadmin_users = drcoord\npool_mode = transaction\n",
		 dir.path, port, dir.path);
	assert_int_equal(do_op(DR_OP_HELD, server_port, 3000), DR_OK);
	/* Not written: those who wait are not led to the old one. */
	assert_int_equal(uv_timer_init(&rig.loop, &later), 0);
	rig_session_open(&rig, &s, &dr_pgbouncer_adapter, &target);
	assert_int_equal(rig_op_run(&rig, &o, &s, DR_OP_ROUTED, &args, 300), DR_E_TIMEOUT);
	assert_true(is_paused());
	assert_int_equal(uv_timer_start(&later, on_rewrite, 300, 0), 0);
	uint64_t began = rig_now_ms();
	assert_int_equal(rig_op_run(&rig, &o, &s, DR_OP_ROUTED, &args, 5000), DR_OK);
	assert_true(rig_now_ms() - began >= 300);
	assert_false(is_paused());
	rig_session_close(&rig, &s, NULL);
	uv_close((uv_handle_t *)&later, NULL);
	rig_for(&rig, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_other_server_is_not_paused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_paused_is_not_yet_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_long_is_let_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reads_its_file_again, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
