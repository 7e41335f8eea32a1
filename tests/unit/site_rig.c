/* site_rig.c -- see site_rig.h. */
#include "site_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

struct dr_repl *repl;
uint64_t log_index;
/* s0 to s2 are of group 1, s3 of group 2; s4 has its primary elsewhere. */
const uint32_t group[SERVICES] = { 1, 1, 1, 2, 1 };

struct dr_name name(const char *text)
{
	struct dr_name n;
	assert_true(dr_name_set(&n, text));
	return n;
}

void apply(struct dr_cmd cmd)
{
	cmd.wall_ms = 1000000 + log_index;
	dr_repl_apply(repl, ++log_index, &cmd);
}

struct dr_cmd command(enum dr_cmd_kind kind, uint32_t service)
{
	return (struct dr_cmd){ .kind = kind, .service = service, .member = DR_MEMBER_NONE, .target = DR_MEMBER_NONE,
				.epoch = service < SERVICES ? repl->service[service].epoch : 0 };
}

void apply_spec(uint32_t services)
{
	static struct dr_spec_service all[SERVICES];
	struct dr_spec spec = { .service = all, .services = services, .sites = 2,
				.site = { { .name = name("az-a") }, { .name = name("az-b") } } };
	struct dr_cmd cmd = command(DR_CMD_SPEC, DR_SERVICE_NONE);
	memset(all, 0, sizeof(all));
	spec.timing = *dr_timing_profile("metro");
	for (uint32_t i = 0; i < services; i++) {
		char text[8];
		(void)snprintf(text, sizeof(text), "s%u", i);
		all[i] = (struct dr_spec_service){ .name = name(text), .kind = DR_KIND_POSTGRES, .auto_failover = true,
						   .group = group[i] };
		all[i].member[A] = (struct dr_spec_member){ .name = name("pg-a"), .site = name("az-a"), .priority = 1 };
		all[i].member[B] = (struct dr_spec_member){ .name = name("pg-b"), .site = name("az-b"), .priority = 1 };
	}
	cmd.a = repl->spec_version;
	cmd.spec = &spec;
	apply(cmd);
}

int rig_begin(void **state)
{
	(void)state;
	repl = mmap(NULL, sizeof(*repl), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(repl, MAP_FAILED);
	log_index = 0;
	dr_repl_init(repl);
	apply_spec(SERVICES);
	for (uint32_t i = 0; i < SERVICES; i++) {
		struct dr_service *s = &repl->service[i];
		s->managed = true;
		s->holder = s->last_holder = i == 4 ? B : A;
		s->epoch = s->primary_epoch = 1;
	}
	return 0;
}

int rig_end(void **state)
{
	(void)state;
	return munmap(repl, sizeof(*repl));
}

const struct dr_site_plan *newest(void)
{
	const struct dr_site_plan *best = &repl->site_plan[0];
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++)
		best = repl->site_plan[i].id > best->id ? &repl->site_plan[i] : best;
	return best;
}

uint64_t open_now(void)
{
	return newest()->open ? newest()->id : 0;
}

void ask(enum dr_plan_kind kind, uint64_t request)
{
	struct dr_cmd cmd = command(DR_CMD_SITE_OPEN, DR_SERVICE_NONE);
	cmd.plan_kind = (uint32_t)kind;
	cmd.site = name("az-a");
	cmd.actor = name("anna");
	cmd.reason = DR_REASON_OPERATOR;
	cmd.request = request;
	apply(cmd);
}

bool opens(uint32_t service, const char *site, uint64_t site_plan, enum dr_plan_kind kind)
{
	struct dr_cmd cmd = command(DR_CMD_PLAN_OPEN, service);
	uint64_t before = repl->service[service].plan.id;
	cmd.plan_kind = (uint32_t)kind;
	cmd.reason = DR_REASON_MEMBER_LOST;
	cmd.site_plan = site_plan;
	if (site != NULL)
		cmd.site = name(site);
	apply(cmd);
	return repl->service[service].plan.id != before;
}

void close_plan(uint32_t service, bool success, enum dr_reason why)
{
	struct dr_service *s = &repl->service[service];
	struct dr_cmd cmd = command(DR_CMD_PLAN_CLOSE, service);
	cmd.plan = s->plan.id;
	cmd.flag = success;
	cmd.reason = why;
	assert_int_not_equal(cmd.plan, 0);
	apply(cmd);
}

void moves_to(uint32_t service, dr_member_ix to)
{
	struct dr_service *s = &repl->service[service];
	s->holder = s->last_holder = to;
	s->primary_epoch = ++s->epoch;
	close_plan(service, true, DR_REASON_NONE);
}

void leave(uint32_t service, enum dr_reason why)
{
	struct dr_cmd cmd = command(DR_CMD_SITE_LEFT, service);
	cmd.site_plan = repl->service[service].part.plan;
	cmd.reason = why;
	apply(cmd);
}
