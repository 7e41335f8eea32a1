/* fixture_haproxy.c -- the adapter of HAProxy under contract: one HAProxy, one backend with one server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>

#include "base/parse.h"
#include "contract.h"

static struct rig_dir dir;
static struct dr_address at = { .host = "127.0.0.1" };
static pid_t pid;

static bool start(struct contract_step *steps, unsigned *n)
{
	char path[128], conf[128];
	if (!rig_find("haproxy", path, sizeof(path))) {
		printf("HAProxy is not installed (package haproxy)\n");
		return false;
	}
	rig_dir_make(&dir, NULL);
	at.port = rig_free_port();
	rig_file(&dir, "conf",
		 "global\n  stats socket ipv4@127.0.0.1:%u level admin\n  nbthread 1\ndefaults\n  mode tcp\n"
		 "  timeout connect 1s\n  timeout client 1m\n  timeout server 1m\nfrontend f\n  bind 127.0.0.1:%u\n"
		 "  default_backend orders\nbackend orders\n  server primary 127.0.0.1:1\n",
		 at.port, rig_free_port());
	(void)snprintf(conf, sizeof(conf), "%s/conf", dir.path);
	char *const argv[] = { path, "-db", "-f", conf, NULL };
	pid = rig_spawn(&dir, "log", NULL, argv);
	rig_wait_port(at.port);
	*n = 2;
	for (unsigned i = 0; i < *n; i++) {
		struct dr_spec_route *r = &steps[i].target.route;
		r->kind = DR_ROUTE_HAPROXY;
		r->servers = 1;
		r->server[0] = at;
		assert_true(dr_name_set(&r->name, "proxy") && dr_name_set(&steps[i].target.service, "orders"));
		(void)dr_copy_text(r->backend, sizeof(r->backend), "orders");
		(void)dr_copy_text(r->backend_server, sizeof(r->backend_server), "primary");
		steps[i].at = at;
		steps[i].pid = pid;
		steps[i].deadline_ms = 5000;
		steps[i].kind = i == 0 ? DR_OP_ROUTED : DR_OP_OBSERVED;
		steps[i].args.epoch = 3;
		steps[i].args.primary_at.port = 5432;
		(void)dr_copy_text(steps[i].args.primary_at.host, DR_HOST_MAX, "127.0.0.2");
	}
	return true;
}

static void stop(void)
{
	rig_stop(&pid, SIGTERM);
	rig_dir_remove(&dir);
}

static void aim(struct dr_target *t, const struct dr_address *to)
{
	t->route.server[0] = *to;
}

const struct contract_fixture contract_haproxy = { .start = start, .stop = stop, .aim = aim, .whole_requests = true };
