/* test_site_turns.c -- the leader and a lost site: when it is lost, what is proposed in which order, and how soon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "coord/core/core.h"
#include "proto/codec.h"

enum { SERVICES = 3, MEMBERS = 3, COORDINATORS = 3, COMMIT_MS = 2, PENDING_MAX = 1024 };

static struct dr_core *core;
static struct dr_decision *out;
static uint64_t now, log_index;
static struct dr_proposal pending[PENDING_MAX];
static uint32_t pendings;
static bool dead[COORDINATORS]; /* a site's coordinator and hosts */
static struct dr_report says[MEMBERS]; /* what the agents say of each service's member: received, receiving, errant, system_id */
static uint64_t heard_ms[COORDINATORS][SERVICES][MEMBERS];

static void *zeroed(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static struct dr_name named(const char *prefix, uint32_t i)
{
	struct dr_name n;
	char text[16];
	(void)snprintf(text, sizeof(text), "%s%c", prefix, (char)('a' + i));
	assert_true(dr_name_set(&n, text));
	return n;
}

static void step(struct dr_core_event ev)
{
	ev.now_ms = now;
	ev.wall_ms = 1000000 + now;
	dr_core_step(core, &ev, out);
	for (uint32_t i = 0; i < out->proposals; i++) {
		assert_true(pendings < PENDING_MAX);
		pending[pendings++] = out->propose[i];
	}
}

/* What stands in the log from here on, in its order; the number of the first one of a kind for a service. */
static struct dr_cmd seen[PENDING_MAX];
static uint32_t seens;

static void commit_pending(void)
{
	for (uint32_t i = 0; i < pendings; i++) {
		struct dr_proposal p = pending[i];
		if (p.cmd.kind != DR_CMD_TICK && seens < PENDING_MAX)
			seen[seens++] = p.cmd;
		step((struct dr_core_event){ .kind = DR_EV_COMMITTED, .index = ++log_index, .term = 2, .cmd = &p.cmd });
		step((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = p.tag, .index = log_index });
	}
	pendings = 0;
}

static const struct dr_cmd *found(enum dr_cmd_kind kind, uint32_t service)
{
	for (uint32_t i = 0; i < seens; i++) {
		if (seen[i].kind == kind && seen[i].service == service)
			return &seen[i];
	}
	return NULL;
}

static void commit(struct dr_cmd cmd)
{
	step((struct dr_core_event){ .kind = DR_EV_COMMITTED, .index = ++log_index, .term = 2, .cmd = &cmd });
}

static void apply_spec(const uint32_t group[SERVICES])
{
	struct dr_spec *s = dr_spec_new(SERVICES);
	s->cluster = named("demo-", 0);
	s->timing = *dr_timing_profile("metro");
	s->sites = COORDINATORS;
	for (uint32_t i = 0; i < COORDINATORS; i++)
		s->site[i].name = named("az-", i);
	for (uint32_t i = 0; i < SERVICES; i++) {
		struct dr_spec_service *v = &s->service[s->services++];
		*v = (struct dr_spec_service){ .name = named("s-", i), .kind = DR_KIND_POSTGRES, .auto_failover = true,
					       .durability = DR_DURABILITY_SYNC, .group = group[i] };
		for (uint32_t m = 0; m < MEMBERS; m++)
			v->member[m] = (struct dr_spec_member){ .name = named("pg-", m), .site = named("az-", m),
								.agent = named("agent-", m), .priority = 1 };
	}
	commit((struct dr_cmd){ .kind = DR_CMD_SPEC, .service = DR_SERVICE_NONE, .spec = s });
	dr_spec_free(s);
}

/* One beat of 10 ms: the living agents report here once a probe interval, the living coordinators say what they saw. */
static void beat(void)
{
	uint32_t probe_ms = core->repl.timing.probe_ms;
	now += 10;
	for (uint32_t m = 0; m < MEMBERS; m++) {
		for (uint32_t i = 0; !dead[m] && i < SERVICES; i++) {
			const struct dr_service *s = &core->repl.service[i];
			struct dr_report r = { .service = s->spec.name, .member = s->spec.member[m].name, .managed = true,
					       .guard_alive = true, .receiving = m != s->holder && says[m].receiving,
					       .received = says[m].received, .errant = says[m].errant,
					       .system_id = says[m].system_id, .epoch = s->epoch,
					       .server = m == s->holder ? DR_SERVER_PRIMARY : DR_SERVER_STANDBY,
					       .role = m == s->holder ? DR_ROLE_PRIMARY : DR_ROLE_STANDBY };
			for (uint32_t c = 0; c < COORDINATORS; c++)
				heard_ms[c][i][m] = now;
			if ((now / 10 + i) % (probe_ms / 10) == 0)
				step((struct dr_core_event){ .kind = DR_EV_REPORT, .report = &r });
		}
	}
	for (uint32_t c = 0; c < COORDINATORS; c++) {
		struct dr_observation o[SERVICES * MEMBERS];
		uint32_t n = 0;
		for (uint32_t i = 0; i < SERVICES; i++) {
			for (uint32_t m = 0; m < MEMBERS; m++) {
				uint32_t age = (uint32_t)(now - heard_ms[c][i][m]);
				o[n++] = (struct dr_observation){ .service = i, .member = (dr_member_ix)m, .agent_age_ms = age,
								  .server_age_ms = age, .write_age_ms = UINT32_MAX };
			}
		}
		if (!dead[c] && (now / 10 + c) % (probe_ms / 10) == 0)
			step((struct dr_core_event){ .kind = DR_EV_OBSERVED, .observer = named("c-", c), .observations = n,
						     .observation = o });
	}
	step((struct dr_core_event){ .kind = DR_EV_TICK });
	commit_pending();
}

static void run(uint64_t ms)
{
	for (uint64_t until = now + ms; now < until;)
		beat();
}

static void start(const uint32_t group[SERVICES])
{
	struct dr_name self = named("c-", 1);
	now = 1000;
	log_index = pendings = seens = 0;
	memset(dead, 0, sizeof(dead));
	for (uint32_t m = 0; m < MEMBERS; m++)
		says[m] = (struct dr_report){ .receiving = true };
	memset(heard_ms, 0, sizeof(heard_ms));
	core = zeroed(sizeof(*core));
	out = zeroed(sizeof(*out));
	dr_core_init(core, &self, now);
	for (uint32_t i = 0; i < COORDINATORS; i++)
		commit((struct dr_cmd){ .kind = DR_CMD_COORDINATOR, .service = DR_SERVICE_NONE, .name = named("c-", i),
					.site = named("az-", i), .id = i + 1 });
	apply_spec(group);
	for (uint32_t i = 0; i < SERVICES; i++) {
		struct dr_service *s = &core->repl.service[i];
		s->managed = s->was_primary = true;
		s->holder = s->last_holder = 0;
		s->epoch = s->primary_epoch = 1;
		s->sync = s->next = (struct dr_sync){ .set = dr_set_of(1), .k = 1 };
		for (dr_member_ix m = 0; m < MEMBERS; m++)
			s->member[m].joined_epoch = s->member[m].lineage = 1;
		s->member[0].unproved_epoch = 1;
	}
	step((struct dr_core_event){ .kind = DR_EV_ROLE, .leading = true, .term = 2 });
	run(3000);
	seens = 0;
}

static void end(void)
{
	(void)munmap(core, sizeof(*core));
	(void)munmap(out, sizeof(*out));
}

/* How long after their death the service's plan stood in the log. */
static uint64_t opened_after(uint32_t service, uint64_t limit)
{
	uint64_t began = now;
	while (core->repl.service[service].plan.id == 0 && now < began + limit)
		beat();
	return now - began;
}

static const uint32_t same[SERVICES] = { 1, 1, 1 };
static const uint32_t apart[SERVICES] = { 2, 1, 1 };

/* All of the site dies: one site plan, opened by the first plan's own entry; nobody waits for it. */
static void test_site(void **state)
{
	(void)state;
	start(same);
	dead[0] = true;
	uint64_t after = opened_after(0, 5000);
	run(50);
	const struct dr_cmd *open = NULL;
	for (uint32_t i = 0; i < seens && open == NULL; i++)
		open = seen[i].kind == DR_CMD_PLAN_OPEN ? &seen[i] : NULL;
	assert_non_null(open);
	assert_string_equal(open->site.s, "az-a");
	assert_null(found(DR_CMD_SITE_OPEN, DR_SERVICE_NONE));
	for (uint32_t i = 0; i < SERVICES; i++) {
		assert_int_equal(core->repl.service[i].plan.kind, DR_PLAN_FAILOVER);
		assert_int_equal(core->repl.service[i].plan.site_plan, core->repl.site_plan[0].id);
	}
	assert_int_equal(core->repl.site_plan[0].services, SERVICES);
	assert_in_range(after, 700, 1100); /* detect_after and two looks, as without a site plan */
	end();
}

/* Its hosts alone: its coordinator is heard, so each service is an incident of its own. */
static void test_hosts_only(void **state)
{
	(void)state;
	start(same);
	for (uint64_t until = now + 2000; now < until; now += 0) {
		/* As dead, but its coordinator speaks. */
		struct dr_observation none = { .service = 0, .member = 1, .write_age_ms = UINT32_MAX };
		dead[0] = true;
		beat();
		step((struct dr_core_event){ .kind = DR_EV_OBSERVED, .observer = named("c-", 0), .observations = 1,
					     .observation = &none });
		commit_pending();
	}
	for (uint32_t i = 0; i < SERVICES; i++)
		assert_int_not_equal(core->repl.service[i].plan.id, 0);
	assert_int_equal(core->repl.site_plan[0].id, 0);
	end();
}

/* Of a later group: it waits for those before it, also where its own loss is seen first. */
static void test_groups(void **state)
{
	(void)state;
	start(apart);
	dead[0] = true;
	uint64_t after = opened_after(1, 5000);
	assert_in_range(after, 700, 1100);
	run(500);
	assert_int_not_equal(core->repl.service[2].plan.id, 0);
	assert_int_equal(core->repl.service[0].plan.id, 0);
	assert_int_equal(core->repl.service[0].part.state, DR_PART_WAITING);
	for (uint32_t i = 1; i < SERVICES; i++)
		commit((struct dr_cmd){ .kind = DR_CMD_ASK, .service = i, .plan = core->repl.service[i].plan.id,
					.step = core->repl.service[i].plan.at, .reason = DR_REASON_NO_STANDBY_LEFT });
	run(20);
	assert_int_not_equal(core->repl.service[0].plan.id, 0); /* its turn: at once */
	end();
}

/* A catch-up that nobody carries out here: it may take two minutes. */
static void catch_up(struct dr_service *s)
{
	struct dr_plan *p = &s->plan;
	while (p->step[p->at] != DR_STEP_CATCH_UP)
		p->at++;
	s->holder = p->candidate = 1;
	p->source = 2;
	p->position = 5;
	for (dr_member_ix m = 1; m < MEMBERS; m++)
		s->member[m].frozen_epoch = s->epoch;
	s->member[2].frozen_position = 5;
	s->member[0].unproved_epoch = 0;
}

/* A group that goes on and on keeps the next one waiting for a minute under one leader, and no longer. */
static void test_limit(void **state)
{
	(void)state;
	start(apart);
	dead[0] = true;
	(void)opened_after(1, 5000);
	run(500);
	for (uint32_t i = 1; i < SERVICES; i++)
		catch_up(&core->repl.service[i]);
	run(20000);
	step((struct dr_core_event){ .kind = DR_EV_ROLE, .leading = false, .term = 3 });
	step((struct dr_core_event){ .kind = DR_EV_ROLE, .leading = true, .term = 4 });
	run(50000);
	assert_int_equal(core->repl.service[0].part.state, DR_PART_WAITING);
	run(15000);
	assert_int_equal(core->repl.service[1].part.left, DR_REASON_STILL_MOVING);
	assert_int_equal(core->repl.service[1].plan.state, DR_PLAN_RUNNING);
	assert_int_not_equal(core->repl.service[0].part.state, DR_PART_WAITING);
	assert_int_not_equal(core->repl.service[0].part.own, 0);
	end();
}

/* Paused services are left at once, by name. */
static void test_paused(void **state)
{
	(void)state;
	start(same);
	core->repl.service[2].paused = true;
	dead[0] = true;
	(void)opened_after(0, 5000);
	run(50);
	assert_int_equal(core->repl.service[2].part.state, DR_PART_LEFT);
	assert_int_equal(core->repl.service[2].part.left, DR_REASON_PAUSED);
	assert_int_equal(core->repl.service[2].plan.id, 0);
	end();
}

static enum dr_reason ask_until(enum dr_request_kind kind, const char *site, bool force, uint64_t until_wall_ms,
				struct dr_name *about)
{
	static uint64_t id = 1000;
	struct dr_request q = { .kind = kind, .id = ++id, .force = force, .until_wall_ms = until_wall_ms,
				.actor = named("anna-", 0) };
	assert_true(dr_name_set(&q.site, site));
	step((struct dr_core_event){ .kind = DR_EV_REQUEST, .request = &q });
	struct dr_answer a = out->answer;
	if (about != NULL)
		*about = a.about;
	commit_pending();
	return a.now ? a.refused : DR_REASON_NONE;
}

static enum dr_reason ask(enum dr_request_kind kind, const char *site, bool force, struct dr_name *about)
{
	return ask_until(kind, site, force, 0, about);
}

static unsigned open_plans(void)
{
	unsigned n = 0;
	for (uint32_t i = 0; i < SERVICES; i++)
		n += core->repl.service[i].plan.id != 0 ? 1u : 0u;
	return n;
}

/* Planned, the shards of one Redis Cluster go one after the other, unless they need no vote. */
static void test_shards(void **state)
{
	(void)state;
	for (unsigned takeover = 0; takeover < 2; takeover++) {
		start(same);
		for (uint32_t i = 0; i < SERVICES; i++) {
			core->repl.service[i].spec.cluster = named("keys-", 0);
			core->repl.service[i].spec.takeover = takeover == 1;
		}
		assert_int_equal(ask(DR_REQ_SWITCHOVER, "az-a", false, NULL), DR_REASON_NONE);
		run(500);
		assert_int_equal(open_plans(), takeover == 1 ? SERVICES : 1);
		assert_int_not_equal(core->repl.service[0].plan.id, 0);
		for (uint32_t i = 0; takeover == 0 && i + 1 < SERVICES; i++) {
			const struct dr_service *s = &core->repl.service[i];
			commit((struct dr_cmd){ .kind = DR_CMD_PLAN_CLOSE, .service = i, .plan = s->plan.id, .epoch = s->epoch,
						.reason = DR_REASON_OPERATOR });
			run(500);
			assert_int_equal(open_plans(), 1);
			assert_int_not_equal(core->repl.service[i + 1].plan.id, 0);
		}
		end();
	}
	/* One that asks a person is not waited for: the next is left, by name. */
	start(same);
	for (uint32_t i = 0; i < SERVICES; i++)
		core->repl.service[i].spec.cluster = named("keys-", 0);
	assert_int_equal(ask(DR_REQ_SWITCHOVER, "az-a", false, NULL), DR_REASON_NONE);
	run(100);
	core->repl.service[0].plan.state = DR_PLAN_ASKING;
	run(500);
	assert_int_equal(core->repl.service[1].part.state, DR_PART_LEFT);
	assert_int_equal(core->repl.service[1].part.left, DR_REASON_PLAN_IS_OPEN);
	end();
}

/* Site plans moved all to site b. */
static void moved_to_b(void)
{
	for (uint32_t i = 0; i < SERVICES; i++) {
		struct dr_service *s = &core->repl.service[i];
		s->home = 0;
		s->holder = s->last_holder = 1;
		s->member[0].unproved_epoch = 0;
		s->member[1].unproved_epoch = 1;
	}
}

/* A member that is not there yet: refused, unless one is to wait for it; then as long as that, and no longer. */
static void test_failback_waits(void **state)
{
	(void)state;
	start(same);
	moved_to_b();
	dead[0] = true;
	run(2000);
	assert_int_equal(ask(DR_REQ_FAILBACK, "az-a", false, NULL), DR_REASON_NOT_REACHABLE);
	uint64_t until = 1000000 + now + 20000;
	assert_int_equal(ask_until(DR_REQ_FAILBACK, "az-a", false, until, NULL), DR_REASON_NONE);
	run(19000);
	for (uint32_t i = 0; i < SERVICES; i++)
		assert_int_equal(core->repl.service[i].part.state, DR_PART_WAITING);
	run(1500);
	assert_false(core->repl.site_plan[0].open);
	assert_int_equal(core->repl.service[0].part.left, DR_REASON_NOT_REACHABLE);
	/* Back in time. */
	until = 1000000 + now + 20000;
	assert_int_equal(ask_until(DR_REQ_FAILBACK, "az-a", false, until, NULL), DR_REASON_NONE);
	run(5000);
	assert_int_equal(core->repl.service[0].plan.id, 0);
	dead[0] = false;
	run(1000);
	for (uint32_t i = 0; i < SERVICES; i++) {
		assert_int_equal(core->repl.service[i].part.state, DR_PART_MOVING);
		assert_int_equal(core->repl.service[i].plan.wanted, 0);
	}
	end();
}

static void lags(struct dr_report *standby)
{
	standby->received = 1;
}

static void follows_nobody(struct dr_report *standby)
{
	standby->receiving = false;
}

static void has_its_own(struct dr_report *standby)
{
	standby->errant = 3;
}

static void has_others_data(struct dr_report *standby)
{
	standby->system_id = 78;
}

static const struct loss {
	void (*is)(struct dr_report *standby);
	enum dr_reason why;
	bool passes;     /* by itself, perhaps: a failback waits for it */
	uint64_t for_ms; /* ... here; longer, and who does not follow would have to rejoin */
} losses[] = {
	{ lags, DR_REASON_LAGS, true, 5000 },
	{ follows_nobody, DR_REASON_NOT_FOLLOWING, true, 300 },
	{ has_its_own, DR_REASON_ERRANT, false, 5000 },
	{ has_others_data, DR_REASON_OTHER_DATA, false, 5000 },
};

static void all_have_the_same(void)
{
	says[0].received = says[1].received = says[2].received = 1u << 30;
	says[0].system_id = says[1].system_id = says[2].system_id = 77;
}

/* Whoever could take over would bring a loss, or what is not the service's: an evacuation names which and whose, one that is
 * forced leaves them where they are, and nothing is ever opened. */
static void test_evacuation_loses_nothing(void **state)
{
	struct dr_name about;
	(void)state;
	for (size_t k = 0; k < sizeof(losses) / sizeof(losses[0]); k++) {
		start(same);
		all_have_the_same();
		run(500);
		losses[k].is(&says[1]);
		losses[k].is(&says[2]);
		run(500);
		assert_int_equal(ask(DR_REQ_SWITCHOVER, "az-a", false, &about), losses[k].why);
		assert_string_equal(about.s, "s-a");
		assert_int_equal(core->repl.site_plan[0].id, 0);
		assert_int_equal(ask(DR_REQ_SWITCHOVER, "az-a", true, NULL), DR_REASON_NONE_CAN_MOVE);
		end();
	}
	start(same);
	for (uint32_t i = 0; i < SERVICES; i++)
		core->repl.service[i].member[1].joined_epoch = core->repl.service[i].member[2].joined_epoch = 0;
	assert_int_equal(ask(DR_REQ_SWITCHOVER, "az-a", false, NULL), DR_REASON_NOT_JOINED);
	end();
}

/* The way back: what may be over in a while is waited for, and no switch begins before it is; else it is refused, by name. */
static void test_failback_loses_nothing(void **state)
{
	struct dr_name about;
	(void)state;
	for (size_t k = 0; k < sizeof(losses) / sizeof(losses[0]); k++) {
		start(same);
		all_have_the_same();
		moved_to_b();
		run(500);
		struct dr_report whole = says[0];
		losses[k].is(&says[0]);
		run(300);
		assert_int_equal(ask(DR_REQ_FAILBACK, "az-a", false, &about), losses[k].passes ? DR_REASON_NONE : losses[k].why);
		if (!losses[k].passes)
			assert_string_equal(about.s, "s-a");
		run(losses[k].for_ms);
		assert_int_equal(open_plans(), 0);
		says[0] = whole;
		run(1000);
		assert_int_equal(open_plans(), losses[k].passes ? SERVICES : 0);
		end();
	}
}

/* What is asked for is judged for all of the site; the answer names the service that it is refused for. */
static void test_asked(void **state)
{
	struct dr_name about;
	(void)state;
	start(same);
	assert_int_equal(ask(DR_REQ_SWITCHOVER, "az-x", false, NULL), DR_REASON_NO_SUCH_SITE);
	assert_int_equal(ask(DR_REQ_SWITCHOVER, "az-b", false, NULL), DR_REASON_NOTHING_IN_SITE);
	assert_int_equal(ask(DR_REQ_FAILBACK, "az-a", false, NULL), DR_REASON_NOTHING_TO_BRING_BACK);
	assert_int_equal(ask(DR_REQ_FAILOVER, "az-a", false, NULL), DR_REASON_SITE_HEALTHY);
	core->repl.service[1].paused = true;
	assert_int_equal(ask(DR_REQ_SWITCHOVER, "az-a", false, &about), DR_REASON_PAUSED);
	assert_string_equal(about.s, "s-b");
	assert_int_equal(core->repl.site_plan[0].id, 0);
	assert_int_equal(ask(DR_REQ_FAILOVER, "az-a", true, NULL), DR_REASON_NONE);
	assert_int_equal(ask(DR_REQ_FAILOVER, "az-a", true, NULL), DR_REASON_SITE_PLAN_IS_OPEN);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_site),   cmocka_unit_test(test_hosts_only),
					    cmocka_unit_test(test_groups), cmocka_unit_test(test_limit),
					    cmocka_unit_test(test_paused), cmocka_unit_test(test_shards),
					    cmocka_unit_test(test_asked), cmocka_unit_test(test_failback_waits),
					    cmocka_unit_test(test_evacuation_loses_nothing),
					    cmocka_unit_test(test_failback_loses_nothing) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
