/* fixture_dns_rfc2136.c -- the DNS adapter under contract: one route on named and knotd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/parse.h"
#include "contract.h"
#include "dns_servers.h"

static struct dns_server named, knotd;
static struct rig_dir secrets;

static bool start(struct contract_step *steps, unsigned *n)
{
	rig_dir_make(&secrets, NULL);
	dns_write_secrets(&secrets);
	if (!dns_named_start(&named) || !dns_knotd_start(&knotd))
		return false;
	struct dr_address both[2] = { named.at, knotd.at };
	*n = 2;
	for (unsigned i = 0; i < *n; i++) {
		dns_target(&steps[i].target, &secrets, "orders." DNS_ZONE, both, 2);
		steps[i].deadline_ms = 5000;
		steps[i].at = named.at;
		steps[i].pid = named.pid;
	}
	steps[0].kind = DR_OP_ROUTED;
	steps[0].args.epoch = 3;
	steps[0].args.plan = 2;
	steps[0].args.step = 7;
	(void)dr_copy_text(steps[0].args.primary_at.host, DR_HOST_MAX, "10.1.0.20");
	steps[1].kind = DR_OP_OBSERVED;
	return true;
}

static void stop(void)
{
	dns_server_stop(&named);
	dns_server_stop(&knotd);
	rig_dir_remove(&secrets);
}

static void aim(struct dr_target *t, const struct dr_address *at)
{
	t->route.servers = 1;
	t->route.server[0] = *at;
}

const struct contract_fixture contract_dns_rfc2136 = { .start = start, .stop = stop, .aim = aim };
