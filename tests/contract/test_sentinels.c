/* test_sentinels.c -- Sentinels that watch a Redis server: those that are named are asked, told with their password, and missed
 * when they do not answer; whoever else says that he is one is told nothing.  Where none is named, one that hangs is missed too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "redis_server.h"

#define PASSWORD "sesame"
#define CHANNEL "__sentinel__:hello"

static struct rig_dir dir;
static struct redis_server server = { .member = "rd-a" };
static struct dr_address sentinel = { .host = "127.0.0.1" };
static pid_t sentinel_pid;
static struct rig rig;

static void start_sentinel(void)
{
	char path[128], conf[128];
	assert_true(rig_find("redis-server", path, sizeof(path)));
	sentinel.port = rig_free_port();
	rig_file(&dir, "sentinel.conf", "port %u\nbind 127.0.0.1\ndir %s\nrequirepass %s\nsentinel monitor shop 127.0.0.1 %u 1\n",
		 sentinel.port, dir.path, PASSWORD, server.at.port);
	(void)snprintf(conf, sizeof(conf), "%s/sentinel.conf", dir.path);
	char *const argv[] = { path, conf, (char *)(uintptr_t)"--sentinel", NULL };
	sentinel_pid = rig_spawn(&dir, "sentinel.log", REDIS_USER, argv);
	rig_wait_port(sentinel.port);
}

/* One who says, for so long as the test needs, that he is a Sentinel too, and listens as they do. */
static void pretend(const struct dr_address *at, pid_t pid[2])
{
	char path[128], port[8], hello[160];
	assert_true(rig_find("redis-cli", path, sizeof(path)));
	(void)snprintf(port, sizeof(port), "%u", server.at.port);
	(void)snprintf(hello, sizeof(hello), "%s,%u,0123,0,shop,127.0.0.1,%u,0", at->host, at->port, server.at.port);
	char *const listens[] = { path, (char *)(uintptr_t)"-p", port, (char *)(uintptr_t)"SUBSCRIBE",
				  (char *)(uintptr_t)CHANNEL, NULL };
	char *const says[] = { path, (char *)(uintptr_t)"-p", port, (char *)(uintptr_t)"-r", (char *)(uintptr_t)"200",
			       (char *)(uintptr_t)"-i", (char *)(uintptr_t)"0.1", (char *)(uintptr_t)"PUBLISH",
			       (char *)(uintptr_t)CHANNEL, hello, NULL };
	pid[0] = rig_spawn(&dir, "log", REDIS_USER, listens);
	pid[1] = rig_spawn(&dir, "log", REDIS_USER, says);
	rig_for(&rig, 300);
}

static void hunted(struct rig_op *o, bool adopt, bool named)
{
	struct contract_step st;
	struct dr_session s;
	redis_step(&st, DR_OP_UNWATCHED, "sessions", &server, &server);
	st.target.sentinels.adopt = adopt;
	st.target.sentinels.n = named ? 1 : 0;
	st.target.sentinels.at[0] = sentinel;
	(void)snprintf(st.target.sentinels.password_file, sizeof(st.target.sentinels.password_file), "%s/password", dir.path);
	rig_session_open(&rig, &s, &dr_redis_adapter, &st.target);
	(void)rig_op_run(&rig, o, &s, DR_OP_UNWATCHED, &st.args, st.deadline_ms);
	rig_session_close(&rig, &s, NULL);
}

static void ends_with(const struct rig_op *o, enum dr_err code, const char *text)
{
	if (o->code != code || strstr(code == DR_OK ? o->op.evidence.text : o->e.msg, text) == NULL)
		fail_msg("%s: %s %s", dr_err_name(o->code), o->e.msg, o->op.evidence.text);
}

static void a_mute_one_is_missed(void **state)
{
	struct rig_op o;
	(void)state;
	rig_freeze(sentinel_pid);
	hunted(&o, true, true);
	assert_int_equal(kill(sentinel_pid, SIGCONT), 0);
	ends_with(&o, DR_E_UNREACHABLE, "does not answer");
	assert_true(o.took_ms < 4000);
}

/* Nobody is named: it listens, and that is all that is known of it. */
static void a_silent_one_is_missed(void **state)
{
	struct rig_op o;
	(void)state;
	rig_for(&rig, 1500); /* it listens by now */
	rig_freeze(sentinel_pid);
	hunted(&o, true, false);
	assert_int_equal(kill(sentinel_pid, SIGCONT), 0);
	ends_with(&o, DR_E_CONFLICT, "CLIENT LIST TYPE pubsub");
}

static void a_mute_server_says_nothing_of_them(void **state)
{
	struct rig_op o;
	(void)state;
	rig_freeze(server.pid);
	hunted(&o, true, false);
	assert_int_equal(kill(server.pid, SIGCONT), 0);
	ends_with(&o, DR_E_UNREACHABLE, "the server does not answer");
}

static void refused_is_refused(void **state)
{
	struct rig_op o;
	(void)state;
	hunted(&o, false, true);
	ends_with(&o, DR_E_REFUSED, "sentinels: adopt");
}

static void a_named_one_is_told(void **state)
{
	struct rig_op o;
	(void)state;
	hunted(&o, true, true);
	ends_with(&o, DR_OK, "forgotten by Sentinel 127.0.0.1");
	hunted(&o, true, true);
	ends_with(&o, DR_OK, "");
}

static void another_is_told_nothing(void **state)
{
	struct rig_peer nobody;
	struct rig_op o;
	pid_t pid[2];
	(void)state;
	rig_mute_start(&rig, &nobody);
	pretend(&nobody.at, pid);
	hunted(&o, true, true);
	ends_with(&o, DR_E_REFUSED, "sentinels_at does not name it");
	assert_int_equal(nobody.accepted, 0);
	rig_stop(&pid[0], SIGKILL);
	rig_stop(&pid[1], SIGKILL);
	rig_peer_stop(&nobody);
}

static void one_that_is_gone_may_come_back(void **state)
{
	struct rig_op o;
	(void)state;
	rig_stop(&sentinel_pid, SIGKILL);
	hunted(&o, true, true);
	ends_with(&o, DR_E_UNREACHABLE, "take it out of sentinels_at");
}

static int set_up(void **state)
{
	static const char *const writes[] = { NULL };
	(void)state;
	if (!redis_is_here())
		return 1;
	rig_init(&rig);
	rig_dir_make(&dir, REDIS_USER);
	rig_file(&dir, "password", PASSWORD "\n");
	redis_server_start(&dir, &server, writes);
	start_sentinel();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (sentinel_pid > 0)
		rig_stop(&sentinel_pid, SIGKILL);
	redis_server_stop(&server);
	rig_dir_remove(&dir);
	rig_close(&rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mute_one_is_missed),    cmocka_unit_test(a_silent_one_is_missed),
		cmocka_unit_test(a_mute_server_says_nothing_of_them), cmocka_unit_test(refused_is_refused),
		cmocka_unit_test(a_named_one_is_told),     cmocka_unit_test(another_is_told_nothing),
		cmocka_unit_test(one_that_is_gone_may_come_back),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
