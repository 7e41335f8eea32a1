/* fixture_postgres.c -- the PostgreSQL adapter under contract: a primary and a standby on loopback, run as
 * user postgres.  The order of the steps is the order of a life: the standby is promoted last. */
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

#define USER "postgres"

struct server {
	const char *member;
	struct dr_address at;
	pid_t pid;
};

static struct rig_dir dir;
static struct server primary = { .member = "pg-a" }, standby = { .member = "pg-b" };

static void run(const char *program, char *const args[], size_t n)
{
	char path[128];
	char *argv[16] = { path };
	assert_true(n < 15);
	assert_true(rig_find(program, path, sizeof(path)));
	memcpy(argv + 1, args, n * sizeof(*args));
	if (rig_command(&dir, "log", USER, argv) != 0)
		fail_msg("%s failed: see %s/log", program, dir.path);
}

/* The port accepts before recovery lets anybody in: pg_isready knows the difference. */
static void launch(struct server *s)
{
	char path[128], data[128], port[8], sockets[128];
	(void)snprintf(data, sizeof(data), "%s/%s", dir.path, s->member);
	(void)snprintf(port, sizeof(port), "%u", s->at.port);
	(void)snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s", dir.path);
	assert_true(rig_find("postgres", path, sizeof(path)));
	char *const argv[] = { path,
			       "-D",
			       data,
			       "-p",
			       port,
			       "-c",
			       "listen_addresses=127.0.0.1",
			       "-c",
			       sockets,
			       "-c",
			       "shared_buffers=16MB",
			       "-c",
			       "dynamic_shared_memory_type=mmap",
			       "-c",
			       "fsync=off",
			       NULL };
	s->pid = rig_spawn(&dir, "log", USER, argv);
	rig_wait_port(s->at.port);
	assert_true(rig_find("pg_isready", path, sizeof(path)));
	char *const ready[] = { path, "-q", "-h", "127.0.0.1", "-p", port, NULL };
	uint64_t end = rig_now_ms() + 20000;
	while (rig_command(&dir, "log", USER, ready) != 0) {
		if (rig_now_ms() > end)
			fail_msg("%s does not become ready: see %s/log", s->member, dir.path);
	}
}

static bool make_servers(void)
{
	char data[128], port[8], program[128];
	if (!rig_find("initdb", program, sizeof(program))) {
		printf("PostgreSQL is not installed (package postgresql)\n");
		return false;
	}
	rig_dir_make(&dir, USER);
	for (int i = 0; i < 2; i++) {
		struct server *s = i == 0 ? &primary : &standby;
		(void)dr_copy_text(s->at.host, sizeof(s->at.host), "127.0.0.1");
		s->at.port = rig_free_port();
	}
	(void)snprintf(data, sizeof(data), "%s/%s", dir.path, primary.member);
	char *const init[] = { "-A", "trust", "-N", "-U", USER, "-D", data };
	run("initdb", init, sizeof(init) / sizeof(init[0]));
	launch(&primary);
	(void)snprintf(data, sizeof(data), "%s/%s", dir.path, standby.member);
	(void)snprintf(port, sizeof(port), "%u", primary.at.port);
	char *const copy[] = { "-h", "127.0.0.1",         "-p", port, "-U", USER, "-D", data,
			       "-R", "--checkpoint=fast", "-N" };
	run("pg_basebackup", copy, sizeof(copy) / sizeof(copy[0]));
	launch(&standby);
	return true;
}

static bool start(struct contract_step *steps, unsigned *n)
{
	static const struct {
		enum dr_op_kind kind;
		struct server *on;
		bool peer; /* args.peer is the standby */
	} life[] = {
		{ DR_OP_PROBE, &primary, false },        { DR_OP_PROBE_WRITE, &primary, false },
		{ DR_OP_POSITIONS, &primary, false },    { DR_OP_SLOTS, &primary, true },
		{ DR_OP_CHECKPOINTED, &primary, false }, { DR_OP_FROZEN, &standby, false },
		{ DR_OP_FOLLOWING, &standby, false },    { DR_OP_SYNC_SET, &primary, true },
		{ DR_OP_WRITABLE, &standby, false },
	};
	if (!make_servers())
		return false;
	*n = sizeof(life) / sizeof(life[0]);
	assert_true(*n <= CONTRACT_STEPS_MAX);
	for (unsigned i = 0; i < *n; i++) {
		struct contract_step *st = &steps[i];
		st->kind = life[i].kind;
		st->at = life[i].on->at;
		st->pid = life[i].on->pid;
		st->deadline_ms = 20000;
		st->target.address = st->at;
		assert_true(dr_name_set(&st->target.service, "orders"));
		assert_true(dr_name_set(&st->target.member, life[i].on->member));
		(void)dr_copy_text(st->target.database, sizeof(st->target.database), "postgres");
		(void)dr_copy_text(st->target.user, sizeof(st->target.user), USER);
		(void)dr_copy_text(st->target.replication_user, sizeof(st->target.replication_user), USER);
		assert_true(dr_name_set(&st->args.self, life[i].on->member));
		assert_true(dr_name_set(&st->args.primary, primary.member));
		st->args.primary_at = primary.at;
		st->args.epoch = 1;
		st->args.local_commit = true;
		st->args.peers = st->args.k = life[i].peer ? 1 : 0;
		assert_true(dr_name_set(&st->args.peer[0], standby.member));
	}
	return true;
}

static void stop(void)
{
	rig_stop(&standby.pid, SIGQUIT);
	rig_stop(&primary.pid, SIGQUIT);
	rig_dir_remove(&dir);
}

static void aim(struct dr_target *t, const struct dr_address *at)
{
	t->address = *at;
}

const struct contract_fixture contract_postgres = { .start = start, .stop = stop, .aim = aim };
