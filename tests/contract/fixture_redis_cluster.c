/* fixture_redis_cluster.c -- the adapter of Redis Cluster under contract: a cluster of one master with all slots and a replica, on
 * loopback, run as user nobody.  The order of the steps is the order of a life: the standby is promoted, and closed at the
 * end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "redis_server.h"

static struct rig_dir dir;
static struct redis_server primary = { .member = "rc-a" }, standby = { .member = "rc-b" };

#define NODE(replicas)                                                                                                   \
	"--min-replicas-to-write", replicas, "--masteruser", "drcoord-nobody", "--masterauth", "drcoord-nobody",          \
	"--repl-diskless-sync-delay", "0", "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1",              \
	"--cluster-node-timeout", "2000", "--repl-timeout", "5", NULL
static const char *const writes[] = { NODE("0") }, *const braked[] = { NODE("1000000") };

static bool start(struct contract_step *steps, unsigned *n)
{
	static const struct {
		enum dr_op_kind kind;
		struct redis_server *on;
	} life[] = {
		{ DR_OP_PROBE, &primary },     { DR_OP_PROBE_WRITE, &primary }, { DR_OP_POSITIONS, &primary },
		{ DR_OP_FIT, &primary },       { DR_OP_SIGNED, &primary },      { DR_OP_FOLLOWING, &standby },
		{ DR_OP_TENDED, &standby },
		{ DR_OP_COMPARED, &standby },  { DR_OP_FROZEN, &standby },      { DR_OP_WRITABLE, &standby },
		{ DR_OP_SYNC_SET, &standby },  { DR_OP_CLOSED, &standby },
	};
	char port[8], bus[8];
	if (!redis_is_here())
		return false;
	rig_dir_make(&dir, REDIS_USER);
	redis_server_start(&dir, &primary, writes);
	redis_server_start(&dir, &standby, braked);
	(void)snprintf(port, sizeof(port), "%u", primary.at.port);
	(void)snprintf(bus, sizeof(bus), "%u", primary.bus);
	redis_server_tell(&dir, &primary, "CLUSTER", "ADDSLOTSRANGE", "0", "16383", NULL);
	redis_server_tell(&dir, &standby, "CLUSTER", "MEET", "127.0.0.1", port, bus, NULL);
	*n = sizeof(life) / sizeof(life[0]);
	for (unsigned i = 0; i < *n; i++) {
		redis_step(&steps[i], life[i].kind, "shard-1", life[i].on, &primary);
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

static bool by_address(enum dr_op_kind kind)
{
	return kind == DR_OP_FIT;
}

const struct contract_fixture contract_redis_cluster = { .start = start, .stop = stop, .aim = aim, .by_address = by_address };
