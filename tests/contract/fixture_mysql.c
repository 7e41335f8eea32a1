/* fixture_mysql.c -- the adapter of MySQL and MariaDB under contract: two MariaDB servers on loopback (or two of MySQL), run
 * as user nobody, with the accounts of setup.sql.  The order of the steps is the order of a life: the standby is promoted last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "contract.h"
#include "my_servers.h"

static struct my_servers all;

/* MariaDB's copies are its agent's to make. */
static bool lacks(enum dr_op_kind kind)
{
	return kind == DR_OP_COPIED;
}

static bool start_servers(struct contract_step *steps, unsigned *n, const char *root)
{
	struct my_server *const primary = &all.server[0], *const standby = &all.server[1];
	const struct {
		enum dr_op_kind kind;
		struct my_server *on;
	} life[] = {
		{ DR_OP_PROBE, primary },     { DR_OP_PROBE_WRITE, primary }, { DR_OP_POSITIONS, primary },
		{ DR_OP_SIGNED, primary },    { DR_OP_TENDED, primary },      { DR_OP_FOLLOWING, standby },
		{ DR_OP_COMPARED, standby },  { DR_OP_ERRANT, standby },      { DR_OP_COPIED, standby },
		{ DR_OP_ACKING, standby },    { DR_OP_SYNC_SET, primary },    { DR_OP_PROBE_WRITE, primary },
		{ DR_OP_FROZEN, standby },    { DR_OP_WRITABLE, standby },    { DR_OP_SYNC_SET, standby },
		{ DR_OP_CLOSED, standby },
	};
	if (!my_servers_start(&all, root, 2))
		return false;
	*n = 0;
	for (unsigned i = 0; i < sizeof(life) / sizeof(life[0]); i++) {
		if (root == NULL && lacks(life[i].kind))
			continue;
		struct contract_step *st = &steps[(*n)++];
		bool probes = life[i].kind == DR_OP_PROBE || life[i].kind == DR_OP_PROBE_WRITE || life[i].kind == DR_OP_POSITIONS;
		st->kind = life[i].kind;
		st->at = life[i].on->at;
		st->pid = life[i].on->pid;
		st->deadline_ms = 20000;
		st->target.address = st->at;
		assert_true(dr_name_set(&st->target.service, "orders"));
		assert_true(dr_name_set(&st->target.member, life[i].on->member));
		(void)dr_copy_text(st->target.user, sizeof(st->target.user), probes ? "drcoord" : "drcoord_agent");
		(void)dr_copy_text(st->target.replication_user, sizeof(st->target.replication_user), "replicator");
		assert_true(dr_name_set(&st->args.self, life[i].on->member));
		assert_true(dr_name_set(&st->args.primary, primary->member));
		st->args.primary_at = primary->at;
		(void)snprintf(st->args.folder, sizeof(st->args.folder), "%s/copy", all.dir.path);
		st->args.epoch = life[i].kind == DR_OP_SIGNED ? 2 : 3;
		st->args.local_commit = true;
		/* The first primary waits for the standby, until that receives no more. */
		bool waits = life[i].kind == DR_OP_SYNC_SET && life[i].on == primary;
		st->args.k = waits || life[i].kind == DR_OP_ACKING ? 1 : 0;
	}
	return true;
}

static bool start(struct contract_step *steps, unsigned *n)
{
	return start_servers(steps, n, NULL);
}

static void stop(void)
{
	my_servers_stop(&all);
}

static void aim(struct dr_target *t, const struct dr_address *at)
{
	t->address = *at;
}

static bool start_mysql(struct contract_step *steps, unsigned *n)
{
	return start_servers(steps, n, getenv("DRCOORD_MYSQL_ROOT"));
}

const struct contract_fixture contract_mysql = { .start = start, .stop = stop, .aim = aim, .lacks = lacks };
const struct contract_fixture contract_real_mysql = { .start = start_mysql, .stop = stop, .aim = aim };
