/* fixture_redis.c -- the adapter of Redis and Valkey under contract: two Redis servers on loopback, run as user nobody.  The order
 * of the steps is the order of a life: the standby is promoted, and closed at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis_server.h"

static struct rig_dir dir;
static struct redis_server primary = { .member = "rd-a" }, standby = { .member = "rd-b" };

#define OPTIONS "--repl-diskless-sync-delay", "0", "--repl-timeout", "5"
static const char *const writes[] = { OPTIONS, NULL }, *const nobodys[] = { OPTIONS, "--replicaof", "127.0.0.1 0", NULL };

static bool start(struct contract_step *steps, unsigned *n)
{
	static const struct {
		enum dr_op_kind kind;
		struct redis_server *on;
	} life[] = {
		{ DR_OP_PROBE, &primary },     { DR_OP_PROBE_WRITE, &primary }, { DR_OP_POSITIONS, &primary },
		{ DR_OP_FIT, &primary },       { DR_OP_UNWATCHED, &primary },   { DR_OP_SIGNED, &primary },
		{ DR_OP_TENDED, &primary },
		{ DR_OP_FOLLOWING, &standby }, { DR_OP_COMPARED, &standby },    { DR_OP_FROZEN, &standby },
		{ DR_OP_WRITABLE, &standby },  { DR_OP_SYNC_SET, &standby },    { DR_OP_CLOSED, &standby },
	};
	if (!redis_is_here())
		return false;
	rig_dir_make(&dir, REDIS_USER);
	redis_server_start(&dir, &primary, writes);
	redis_server_start(&dir, &standby, nobodys);
	*n = sizeof(life) / sizeof(life[0]);
	for (unsigned i = 0; i < *n; i++) {
		redis_step(&steps[i], life[i].kind, "sessions", life[i].on, &primary);
		steps[i].args.epoch = life[i].on == &primary ? 3 : 4;
	}
	return true;
}

static void stop(void)
{
	redis_server_stop(&standby);
	redis_server_stop(&primary);
	rig_dir_remove(&dir);
}

static void aim(struct dr_target *t, const struct dr_address *at)
{
	t->address = *at;
}

const struct contract_fixture contract_redis = { .start = start, .stop = stop, .aim = aim };
