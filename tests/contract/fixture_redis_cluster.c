/* fixture_redis_cluster.c -- the adapter of Redis Cluster under contract: a cluster of one master with all slots and a replica, on
 * loopback, run as user nobody.  The order of the steps is the order of a life: the standby is promoted, and closed at the
 * end. */
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
	uint16_t bus;
	pid_t pid;
};

static struct rig_dir dir;
static struct server primary = { .member = "rc-a" }, standby = { .member = "rc-b" };

static void launch(struct server *s, const char *replicas_to_write)
{
	char path[128], port[8], bus[8], data[128], make[128];
	assert_true(rig_find("redis-server", path, sizeof(path)));
	assert_true(rig_find("mkdir", make, sizeof(make)));
	(void)dr_copy_text(s->at.host, sizeof(s->at.host), "127.0.0.1");
	s->at.port = rig_free_port();
	s->bus = rig_free_port();
	(void)snprintf(port, sizeof(port), "%u", s->at.port);
	(void)snprintf(bus, sizeof(bus), "%u", s->bus);
	(void)snprintf(data, sizeof(data), "%s/%s", dir.path, s->member);
	char *const folder[] = { make, data, NULL };
	assert_int_equal(rig_command(&dir, "log", USER, folder), 0);
	char *const argv[] = { path, "--port", port, "--bind", "127.0.0.1", "--dir", data, "--appendonly", "yes", "--save", "",
			       "--repl-timeout", "5", "--cluster-enabled", "yes", "--cluster-port", bus,
			       "--cluster-announce-ip", "127.0.0.1", "--cluster-node-timeout", "2000",
			       "--min-replicas-to-write", (char *)(uintptr_t)replicas_to_write, "--masteruser", "drcoord-nobody",
			       "--masterauth", "drcoord-nobody", "--repl-diskless-sync-delay", "0", NULL };
	s->pid = rig_spawn(&dir, "log", USER, argv);
	rig_wait_port(s->at.port);
}

/* CLUSTER, two more words, and up to two numbers. */
static void cluster(const struct server *s, const char *verb, const char *a, uint16_t b, uint16_t c)
{
	char path[128], port[8], b_text[8], c_text[8];
	assert_true(rig_find("redis-cli", path, sizeof(path)));
	(void)snprintf(port, sizeof(port), "%u", s->at.port);
	(void)snprintf(b_text, sizeof(b_text), "%u", b);
	(void)snprintf(c_text, sizeof(c_text), "%u", c);
	char *const argv[] = { path, "-h", "127.0.0.1", "-p", port, "-e", "CLUSTER", (char *)(uintptr_t)verb, (char *)(uintptr_t)a,
			       b_text, c != 0 ? c_text : NULL, NULL };
	assert_int_equal(rig_command(&dir, "log", USER, argv), 0);
}

static bool start(struct contract_step *steps, unsigned *n)
{
	static const struct {
		enum dr_op_kind kind;
		struct server *on;
	} life[] = {
		{ DR_OP_PROBE, &primary },     { DR_OP_PROBE_WRITE, &primary }, { DR_OP_POSITIONS, &primary },
		{ DR_OP_FIT, &primary },       { DR_OP_SIGNED, &primary },      { DR_OP_FOLLOWING, &standby },
		{ DR_OP_COMPARED, &standby },  { DR_OP_FROZEN, &standby },      { DR_OP_WRITABLE, &standby },
		{ DR_OP_SYNC_SET, &standby },  { DR_OP_CLOSED, &standby },
	};
	char path[128];
	if (!rig_find("redis-server", path, sizeof(path)) || !rig_find("redis-cli", path, sizeof(path))) {
		printf("Redis is not installed (package redis-server)\n");
		return false;
	}
	rig_dir_make(&dir, USER);
	launch(&primary, "0");
	launch(&standby, "1000000");
	cluster(&primary, "ADDSLOTSRANGE", "0", 16383, 0);
	cluster(&standby, "MEET", "127.0.0.1", primary.at.port, primary.bus);
	*n = sizeof(life) / sizeof(life[0]);
	for (unsigned i = 0; i < *n; i++) {
		struct contract_step *st = &steps[i];
		st->kind = life[i].kind;
		st->at = life[i].on->at;
		st->pid = life[i].on->pid;
		st->deadline_ms = 20000;
		st->target.address = st->at;
		assert_true(dr_name_set(&st->target.service, "shard-1"));
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

static bool by_address(enum dr_op_kind kind)
{
	return kind == DR_OP_FIT;
}

const struct contract_fixture contract_redis_cluster = { .start = start, .stop = stop, .aim = aim, .by_address = by_address };
