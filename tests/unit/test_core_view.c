/* test_core_view.c -- what was seen of a service or a member is not taken for its successor in the same place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "coord/core/core.h"

static struct dr_core *core;
static struct dr_decision did;
static uint64_t now, log_index;

static void step(struct dr_core_event ev)
{
	ev.now_ms = ev.wall_ms = now;
	dr_core_step(core, &ev, &did);
}

static void apply_spec(const char *const service[2], const char *second)
{
	static struct dr_spec_service services[2];
	struct dr_spec spec = { .service = services };
	struct dr_cmd cmd = { .kind = DR_CMD_SPEC, .service = DR_SERVICE_NONE, .a = core->repl.spec_version, .spec = &spec };

	memset(services, 0, sizeof(services));
	spec.timing = *dr_timing_profile("metro");
	for (; spec.services < 2 && service[spec.services] != NULL; spec.services++) {
		struct dr_spec_service *s = &services[spec.services];

		s->kind = DR_KIND_POSTGRES;
		assert_true(dr_name_set(&s->name, service[spec.services]));
		assert_true(dr_name_set(&s->member[0].name, "pg-a"));
		assert_true(dr_name_set(&s->member[1].name, second));
	}
	step((struct dr_core_event){ .kind = DR_EV_COMMITTED, .cmd = &cmd, .index = ++log_index, .term = 1 });
}

static void report(const char *service, const char *member, uint64_t last_order)
{
	struct dr_report r = { .server = DR_SERVER_PRIMARY, .received = 4711,
			       .last = { .number = last_order, .outcome = DR_OUTCOME_DONE } };

	assert_true(dr_name_set(&r.service, service));
	assert_true(dr_name_set(&r.member, member));
	step((struct dr_core_event){ .kind = DR_EV_REPORT, .report = &r });
}

static void result(const char *service, const char *member, uint64_t number)
{
	struct dr_order_result r = { .number = number, .outcome = DR_OUTCOME_DONE };
	struct dr_core_event ev = { .kind = DR_EV_RESULT, .result = &r };

	assert_true(dr_name_set(&ev.service, service));
	assert_true(dr_name_set(&ev.member, member));
	step(ev);
}

static void renew(const char *service, uint64_t id)
{
	struct dr_core_event ev = { .kind = DR_EV_RENEW, .epoch = 1, .renewal = id };

	assert_true(dr_name_set(&ev.service, service));
	assert_true(dr_name_set(&ev.member, "pg-a"));
	step(ev);
}

static struct dr_proposal tick(void)
{
	for (uint32_t i = 0; i < did.proposals; i++) {
		if (did.propose[i].cmd.kind == DR_CMD_TICK)
			return did.propose[i];
	}
	fail_msg("no lease tick was proposed");
	return (struct dr_proposal){ 0 };
}

static int begin(void **state)
{
	struct dr_name self;

	(void)state;
	core = mmap(NULL, sizeof(*core), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(core, MAP_FAILED);
	now = 1000000;
	log_index = 0;
	assert_true(dr_name_set(&self, "c-a"));
	dr_core_init(core, &self, now);
	apply_spec((const char *const[2]){ "orders", "stock" }, "pg-b");
	step((struct dr_core_event){ .kind = DR_EV_ROLE, .leading = true, .term = 1 });
	return 0;
}

static int end(void **state)
{
	(void)state;
	return munmap(core, sizeof(*core));
}

/* The successor's first order has number 1, which its predecessor's last one must not make an old one. */
static void test_successor(void **state)
{
	(void)state;
	report("orders", "pg-a", 40);
	assert_int_equal(core->view.service[0].member[0].result.number, 40);
	apply_spec((const char *const[2]){ "stock" }, "pg-b");
	apply_spec((const char *const[2]){ "bills", "stock" }, "pg-b");
	assert_int_equal(dr_repl_service_find(&core->repl, "bills"), 0);
	assert_int_equal(core->view.service[0].member[0].report_ms, 0);
	assert_int_equal(core->view.service[0].primary_position, 0);
	result("bills", "pg-a", 1);
	assert_int_equal(core->view.service[0].member[0].result.number, 1);
	report("bills", "pg-a", 1);
	assert_int_equal(core->view.service[0].member[0].result_ms, now);
}

/* In one spec: one goes, another comes, and a third stays as it was. */
static void test_at_once(void **state)
{
	(void)state;
	report("orders", "pg-a", 40);
	report("stock", "pg-a", 7);
	apply_spec((const char *const[2]){ "bills", "stock" }, "pg-b");
	assert_int_equal(core->view.service[0].member[0].result.number, 0);
	assert_int_equal(core->view.service[1].member[0].result.number, 7);
}

static void test_member(void **state)
{
	(void)state;
	report("orders", "pg-a", 3);
	report("orders", "pg-b", 40);
	apply_spec((const char *const[2]){ "orders", "stock" }, "pg-c");
	assert_int_equal(dr_service_member_find(&core->repl.service[0], "pg-c"), 1);
	assert_int_equal(core->view.service[0].member[1].report_ms, 0);
	assert_int_equal(core->view.service[0].member[0].result.number, 3);
}

/* Also when it comes with a snapshot. */
static void test_restored(void **state)
{
	(void)state;
	report("orders", "pg-a", 40);
	report("stock", "pg-a", 7);
	assert_true(dr_name_set(&core->repl.service[0].spec.name, "bills"));
	memset(&core->repl.service[1], 0, sizeof(core->repl.service[1]));
	core->repl.services = 1;
	dr_repl_index(&core->repl);
	step((struct dr_core_event){ .kind = DR_EV_RESTORED });
	result("bills", "pg-a", 1);
	assert_int_equal(core->view.service[0].member[0].result.number, 1);
	assert_int_equal(core->view.service[1].member[0].result.number, 0);
}

/* A renewal that waits, or that a tick is under way for, is not its successor's. */
static void test_renewal(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		struct dr_service *s = &core->repl.service[i];

		s->epoch = s->primary_epoch = 1;
		s->holder = 0;
	}
	renew("orders", 11);
	struct dr_proposal first = tick();
	renew("stock", 12);
	renew("orders", 13);
	apply_spec((const char *const[2]){ "bills", "stock" }, "pg-b");
	core->repl.service[0].epoch = 1;
	core->repl.service[0].holder = 0;
	now += 30;
	step((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = first.tag });
	assert_int_equal(did.grants, 0);
	struct dr_proposal second = tick();
	step((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = second.tag });
	assert_int_equal(did.grants, 1);
	assert_int_equal(did.grant[0].renewal, 12);
}

static enum dr_reason candidate(enum dr_server_state server, uint64_t system_id)
{
	struct dr_report r = { .managed = true, .server = server, .system_id = system_id };
	uint64_t a = 0;

	assert_true(dr_name_set(&r.service, "orders"));
	assert_true(dr_name_set(&r.member, "pg-b"));
	step((struct dr_core_event){ .kind = DR_EV_REPORT, .report = &r });
	return dr_core_candidate(core, 0, 1, &a);
}

/* Compared, its server is down and says nothing of its data: what was found then is shown, until it says something. */
static void test_other_data(void **state)
{
	struct dr_service *s = &core->repl.service[0];
	struct dr_cmd cmd = { .kind = DR_CMD_ORDER_END, .service = 0, .member = 1,
			      .result = { .number = 5, .epoch = 2, .outcome = DR_OUTCOME_FAILED, .code = DR_E_REFUSED,
					  .system_id = 8 } };

	(void)state;
	s->epoch = s->primary_epoch = 2;
	s->holder = 0;
	s->managed = true;
	s->system_id = 7;
	s->spec.member[1].priority = 1;
	s->member[1].order = (struct dr_order_core){ .kind = DR_ORDER_COMPARED, .number = 5, .epoch = 2 };
	assert_int_equal(candidate(DR_SERVER_STANDBY, 8), DR_REASON_OTHER_DATA);
	assert_int_equal(candidate(DR_SERVER_STOPPED, 0), DR_REASON_NOT_JOINED);
	step((struct dr_core_event){ .kind = DR_EV_COMMITTED, .cmd = &cmd, .index = ++log_index, .term = 1 });
	assert_int_equal(candidate(DR_SERVER_STOPPED, 0), DR_REASON_OTHER_DATA);
	assert_int_equal(candidate(DR_SERVER_STANDBY, 7), DR_REASON_NOT_JOINED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_successor, begin, end),
		cmocka_unit_test_setup_teardown(test_at_once, begin, end),
		cmocka_unit_test_setup_teardown(test_member, begin, end),
		cmocka_unit_test_setup_teardown(test_restored, begin, end),
		cmocka_unit_test_setup_teardown(test_renewal, begin, end),
		cmocka_unit_test_setup_teardown(test_other_data, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
