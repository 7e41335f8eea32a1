/* fixture_redis.c -- the adapter of Redis and Valkey under contract: two Redis servers on loopback, run as user nobody.  The order
 * of the steps is the order of a life: the standby is promoted, and closed at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "contract.h"

#define USER "nobody"

struct server {
	const char *member;
	struct dr_address at;
	pid_t pid;
};

static struct rig_dir dir;
static struct server primary = { .member = "rd-a" }, standby = { .member = "rd-b" };

static void launch(struct server *s, bool is_primary)
{
	char path[128], port[8], data[128], make[128];
	assert_true(rig_find("redis-server", path, sizeof(path)));
	assert_true(rig_find("mkdir", make, sizeof(make)));
	(void)dr_copy_text(s->at.host, sizeof(s->at.host), "127.0.0.1");
	s->at.port = rig_free_port();
	(void)snprintf(port, sizeof(port), "%u", s->at.port);
	(void)snprintf(data, sizeof(data), "%s/%s", dir.path, s->member);
	char *const folder[] = { make, data, NULL };
	assert_int_equal(rig_command(&dir, "log", USER, folder), 0);
	char *const argv[] = { path, "--port", port, "--bind", "127.0.0.1", "--dir", data, "--appendonly", "yes", "--save", "",
			       "--repl-diskless-sync-delay", "0", "--repl-timeout", "5", is_primary ? NULL : "--replicaof",
			       "127.0.0.1 0", NULL };
	s->pid = rig_spawn(&dir, "log", USER, argv);
	rig_wait_port(s->at.port);
}

static bool start(struct contract_step *steps, unsigned *n)
{
	static const struct {
		enum dr_op_kind kind;
		struct server *on;
	} life[] = {
		{ DR_OP_PROBE, &primary },     { DR_OP_PROBE_WRITE, &primary }, { DR_OP_POSITIONS, &primary },
		{ DR_OP_FIT, &primary },       { DR_OP_UNWATCHED, &primary },   { DR_OP_SIGNED, &primary },
		{ DR_OP_FOLLOWING, &standby }, { DR_OP_COMPARED, &standby },    { DR_OP_FROZEN, &standby },
		{ DR_OP_WRITABLE, &standby },  { DR_OP_SYNC_SET, &standby },    { DR_OP_CLOSED, &standby },
	};
	char path[128];
	if (!rig_find("redis-server", path, sizeof(path))) {
		printf("Redis is not installed (package redis-server)\n");
		return false;
	}
	rig_dir_make(&dir, USER);
	launch(&primary, true);
	launch(&standby, false);
	*n = sizeof(life) / sizeof(life[0]);
	for (unsigned i = 0; i < *n; i++) {
		struct contract_step *st = &steps[i];
		st->kind = life[i].kind;
		st->at = life[i].on->at;
		st->pid = life[i].on->pid;
		st->deadline_ms = 20000;
		st->target.address = st->at;
		assert_true(dr_name_set(&st->target.service, "sessions"));
		assert_true(dr_name_set(&st->target.member, life[i].on->member));
		assert_true(dr_name_set(&st->args.self, life[i].on->member));
		assert_true(dr_name_set(&st->args.primary, primary.member));
		st->args.primary_at = primary.at;
		st->args.epoch = life[i].on == &primary ? 3 : 4;
		st->args.local_commit = true;
	}
	return true;
}

static void stop(void)
{
	rig_stop(&standby.pid, SIGKILL);
	rig_stop(&primary.pid, SIGKILL);
	rig_dir_remove(&dir);
}

static void aim(struct dr_target *t, const struct dr_address *at)
{
	t->address = *at;
}

const struct contract_fixture contract_redis = { .start = start, .stop = stop, .aim = aim };
