/* fixture_pgbouncer.c -- the adapter of pgbouncer under contract: one pgbouncer, one pool.  No PostgreSQL stands behind it:
 * its console answers all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>

#include "base/parse.h"
#include "contract.h"

#define USER "nobody"

static struct rig_dir dir;
static struct dr_address at = { .host = "127.0.0.1" };
static pid_t pid;

static bool start(struct contract_step *steps, unsigned *n)
{
	static const enum dr_op_kind life[] = { DR_OP_HELD, DR_OP_ROUTED, DR_OP_OBSERVED };
	char path[128], conf[128];
	if (!rig_find("pgbouncer", path, sizeof(path))) {
		printf("pgbouncer is not installed (package pgbouncer)\n");
		return false;
	}
	rig_dir_make(&dir, USER);
	at.port = rig_free_port();
	rig_file(&dir, "secret", "of the console\n");
	rig_file(&dir, "users", "\"drcoord\" \"of the console\"\n");
	rig_file(&dir, "conf",
		 "[databases]\norders = host=127.0.0.2 port=5432\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %u\n"
		 "unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = %s/users\nadmin_users = drcoord\n"
		 "pool_mode = transaction\n",
		 at.port, dir.path);
	(void)snprintf(conf, sizeof(conf), "%s/conf", dir.path);
	char *const argv[] = { path, conf, NULL };
	pid = rig_spawn(&dir, "log", USER, argv);
	rig_wait_port(at.port);
	*n = sizeof(life) / sizeof(life[0]);
	for (unsigned i = 0; i < *n; i++) {
		struct dr_spec_route *r = &steps[i].target.route;
		r->kind = DR_ROUTE_PGBOUNCER;
		r->servers = 1;
		r->server[0] = at;
		assert_true(dr_name_set(&r->name, "pool") && dr_name_set(&steps[i].target.service, "orders"));
		(void)dr_copy_text(r->pool, sizeof(r->pool), "orders");
		(void)dr_copy_text(r->pool_user, sizeof(r->pool_user), "drcoord");
		(void)snprintf(r->pool_password_file, sizeof(r->pool_password_file), "%s/secret", dir.path);
		steps[i].at = at;
		steps[i].pid = pid;
		steps[i].deadline_ms = 5000;
		steps[i].kind = life[i];
		steps[i].args.epoch = 3;
		steps[i].args.primary_at.port = 5432;
		(void)dr_copy_text(steps[i].args.primary_at.host, DR_HOST_MAX, "127.0.0.2");
	}
	return true;
}

static void stop(void)
{
	rig_stop(&pid, SIGKILL);
	rig_dir_remove(&dir);
}

static void aim(struct dr_target *t, const struct dr_address *to)
{
	t->route.server[0] = *to;
}

const struct contract_fixture contract_pgbouncer = { .start = start, .stop = stop, .aim = aim, .not_slow = true };
