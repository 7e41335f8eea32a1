/* test_forecast.c -- what would happen, told by the planner on a copy: who takes over and when, what stops it, and that
 * what it was made of is as before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "forecast_rig.h"

static const struct dr_forecast_step *step(const struct dr_forecast *f, enum dr_step which)
{
	for (uint32_t i = 0; i < f->steps; i++) {
		if (f->step[i].step == which)
			return &f->step[i];
	}
	fail_msg("no step %s", dr_step_name(which));
	return NULL;
}

/* The host is lost: seen after detect_after, the lease waited out, then all steps in the plan's order. */
static void test_host_lost(void **state)
{
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	struct dr_forecast f = forecast(ask(true, DR_REQ_FAILOVER));
	assert_int_equal(f.end, DR_FORECAST_DONE);
	assert_int_equal(f.not_by_itself, DR_REASON_NONE);
	assert_int_equal(f.opened, DR_REASON_MEMBER_LOST);
	assert_int_equal(f.plan, DR_PLAN_FAILOVER);
	assert_int_equal(f.candidate, 1);
	assert_true(f.by_lease);
	assert_in_range(f.opened_ms, 750, 1200);
	uint64_t hold = dr_lease_hold_ms(1500, live->repl.timing.drift_ppm);
	assert_in_range(f.writable_ms, hold - 100, hold + 600);
	assert_true(f.routed_ms >= f.writable_ms);
	const struct dr_plan_row *row = dr_plan_row(DR_PLAN_FAILOVER);
	assert_int_equal(f.steps, row->steps);
	for (uint32_t i = 0; i < f.steps; i++) {
		assert_int_equal(f.step[i].step, row->step[i]);
		assert_false(f.step[i].skipped);
		assert_int_equal(f.step[i].samples, 0);
	}
	assert_int_equal(f.why[0], DR_REASON_IS_PRIMARY);
	assert_int_equal(f.why[2], DR_REASON_NONE);
	/* ... and where nobody could be chosen, the reason that there is. */
	seen(2)->report.system_id = 7;
	service()->system_id = 8;
	f = forecast(ask(true, DR_REQ_FAILOVER));
	assert_int_equal(f.why[1], DR_REASON_NONE);
	assert_int_equal(f.why[2], DR_REASON_OTHER_DATA);
}

/* Nothing of it reaches what it was made of. */
static void test_only_a_copy(void **state)
{
	static struct dr_service s;
	static struct dr_service_view v;
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	s = *service();
	v = live->view.service[1];
	uint64_t tag = live->view.tag_last, events = live->repl.event_last, applied = live->repl.applied;
	(void)forecast(ask(true, DR_REQ_FAILOVER));
	(void)forecast(ask(false, DR_REQ_SWITCHOVER));
	assert_memory_equal(&s, service(), sizeof(s));
	assert_memory_equal(&v, &live->view.service[1], sizeof(v));
	assert_int_equal(live->view.tag_last, tag);
	assert_int_equal(live->repl.event_last, events);
	assert_int_equal(live->repl.applied, applied);
	assert_int_equal(live->view.now_ms, NOW);
}

/* The same question twice, whatever was asked in between. */
static void test_again(void **state)
{
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	struct dr_forecast one = forecast(ask(true, DR_REQ_FAILOVER));
	(void)forecast(ask(false, DR_REQ_SWITCHOVER));
	struct dr_forecast two = forecast(ask(true, DR_REQ_FAILOVER));
	assert_memory_equal(&one, &two, sizeof(one));
}

/* A switch waits for no lease, and its gap is the stop and the promotion. */
static void test_switchover(void **state)
{
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	struct dr_forecast_ask q = ask(false, DR_REQ_SWITCHOVER);
	q.to = 2;
	struct dr_forecast f = forecast(q);
	assert_int_equal(f.end, DR_FORECAST_DONE);
	assert_int_equal(f.plan, DR_PLAN_SWITCHOVER);
	assert_int_equal(f.candidate, 2);
	assert_false(f.by_lease);
	assert_true(f.writable_ms > f.stopped_ms);
	assert_in_range(f.writable_ms - f.stopped_ms, 200, 500);
	assert_int_equal(f.steps, dr_plan_row(DR_PLAN_SWITCHOVER)->steps - 1); /* nobody holds clients: no drain */
}

/* Times of the past go before those that are taken for granted. */
static void test_past(void **state)
{
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	struct dr_forecast before = forecast(ask(true, DR_REQ_FAILOVER));
	past.failover[DR_STEP_PROMOTE] = (struct dr_past_step){ .samples = 3, .median_ms = 5000 };
	struct dr_forecast after = forecast(ask(true, DR_REQ_FAILOVER));
	const struct dr_forecast_step *s = step(&after, DR_STEP_PROMOTE);
	assert_int_equal(s->samples, 3);
	assert_in_range(s->to_ms - s->from_ms, 5000, 5010);
	assert_true(after.writable_ms > before.writable_ms + 4000);
}

static void event(enum dr_event_kind kind, uint64_t plan, enum dr_step which, uint64_t wall_ms)
{
	struct dr_event_record *e = &live->repl.event[++live->repl.event_last % DR_EVENTS_KEPT];
	*e = (struct dr_event_record){ .index = live->repl.event_last, .kind = kind, .plan = plan, .step = (uint32_t)which,
				       .plan_kind = DR_PLAN_FAILOVER, .wall_ms = wall_ms, .service = service()->spec.name };
}

/* Medians; what waited for a person, or for a clock that was set back, is no sample. */
static void test_past_read(void **state)
{
	static const uint64_t took[] = { 300, 100, 90000, 200, 150 };
	struct dr_past p;
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	for (unsigned i = 0; i < 5; i++) {
		event(DR_EVENT_STEP_STARTED, 10 + i, DR_STEP_PROMOTE, WALL);
		event(DR_EVENT_STEP_STARTED, 100 + i, DR_STEP_FREEZE, WALL);
		event(DR_EVENT_STEP_DONE, 10 + i, DR_STEP_PROMOTE, WALL + took[i]);
		event(DR_EVENT_PLAN_ASKS, 100 + i, DR_STEP_FREEZE, WALL + 10);
		event(DR_EVENT_STEP_DONE, 100 + i, DR_STEP_FREEZE, WALL + 60000);
	}
	event(DR_EVENT_STEP_STARTED, 20, DR_STEP_ROUTE, WALL);
	event(DR_EVENT_STEP_DONE, 20, DR_STEP_ROUTE, WALL - 1);
	dr_past_read(&live->repl, DR_KIND_POSTGRES, &p);
	assert_int_equal(p.failover[DR_STEP_PROMOTE].samples, 5);
	assert_int_equal(p.failover[DR_STEP_PROMOTE].median_ms, 200);
	assert_int_equal(p.failover[DR_STEP_FREEZE].samples, 0);
	assert_int_equal(p.failover[DR_STEP_ROUTE].samples, 0);
	dr_past_read(&live->repl, DR_KIND_MARIADB, &p);
	assert_int_equal(p.failover[DR_STEP_PROMOTE].samples, 0);
}

/* The site goes with its coordinator: two of three still see it. */
static void test_site_lost(void **state)
{
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	struct dr_forecast_ask q = ask(true, DR_REQ_FAILOVER);
	assert_true(dr_name_set(&q.site, "az-a"));
	struct dr_forecast f = forecast(q);
	assert_int_equal(f.end, DR_FORECAST_DONE);
	assert_int_equal(f.candidate, 1);
}

/* A step of the runbook that comes before takes its time, which is counted beside: here nobody carries it out. */
static void test_site_runbook(void **state)
{
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	struct dr_forecast_ask q = ask(true, DR_REQ_FAILOVER);
	assert_true(dr_name_set(&q.site, "az-a"));
	struct dr_forecast without = forecast(q);
	struct dr_runbook_step *s = &live->repl.runbook[0];
	*s = (struct dr_runbook_step){ .when = DR_RUNBOOK_BEFORE, .timeout_ms = 30000 };
	assert_true(dr_name_set(&s->name, "stop-jobs"));
	struct dr_forecast with = forecast(q);
	memset(s, 0, sizeof(*s));
	assert_int_equal(with.end, DR_FORECAST_DONE);
	assert_int_equal(with.writable_ms, without.writable_ms);
}

/* Whoever stands in the site that is left is not chosen, though he is preferred; nor is one who could not take over. */
static void test_site_left(void **state)
{
	(void)state;
	healthy(DR_DURABILITY_ASYNC);
	service()->spec.member[1].site = service()->spec.member[0].site;
	struct dr_forecast_ask q = ask(false, DR_REQ_SWITCHOVER);
	assert_int_equal(forecast(q).candidate, 1);
	assert_true(dr_name_set(&q.site, "az-a"));
	struct dr_forecast f = forecast(q);
	assert_int_equal(f.end, DR_FORECAST_DONE);
	assert_int_equal(f.plan, DR_PLAN_SWITCHOVER);
	assert_int_equal(f.candidate, 2);
	seen(2)->report_ms = NOW - 60000;
	uint64_t a = 0, b = 0;
	f = forecast(q);
	assert_int_equal(f.end, DR_FORECAST_REFUSED);
	assert_int_equal(f.reason, DR_REASON_NOT_REACHABLE);
	assert_int_equal(dr_forecast_answer(live, room, &q, &a, &b), DR_REASON_NOT_REACHABLE);
}

/* Back to whom it was moved away from, and not before that one follows. */
static void test_failback(void **state)
{
	uint64_t a = 0, b = 0;
	(void)state;
	healthy(DR_DURABILITY_ASYNC);
	struct dr_forecast_ask q = ask(false, DR_REQ_FAILBACK);
	assert_true(dr_name_set(&q.site, "az-c"));
	service()->home = 2;
	struct dr_forecast f = forecast(q);
	assert_int_equal(f.end, DR_FORECAST_DONE);
	assert_int_equal(f.candidate, 2);
	assert_int_equal(dr_forecast_answer(live, room, &q, &a, &b), DR_REASON_NONE);
	seen(2)->report.receiving = false;
	f = forecast(q);
	assert_int_equal(f.end, DR_FORECAST_REFUSED);
	assert_int_equal(f.reason, DR_REASON_NOT_FOLLOWING);
	assert_int_equal(dr_forecast_answer(live, room, &q, &a, &b), DR_REASON_NONE); /* it would wait */
	service()->home = DR_MEMBER_NONE;
	assert_int_equal(dr_forecast_answer(live, room, &q, &a, &b), DR_REASON_NOTHING_TO_BRING_BACK);
	assert_int_equal(forecast(q).reason, DR_REASON_NOTHING_TO_BRING_BACK);
}

/* With the set's only member silent too, acknowledged rows may be lost: a person is asked. */
static void test_too_few_positions(void **state)
{
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	seen(1)->report_ms = NOW - 60000;
	struct dr_forecast f = forecast(ask(true, DR_REQ_FAILOVER));
	assert_int_equal(f.end, DR_FORECAST_ASKS);
	assert_int_equal(f.reason, DR_REASON_TOO_FEW_POSITIONS);
	assert_int_equal(f.writable_ms, 0);
	assert_int_equal(f.why[1], DR_REASON_NOT_REACHABLE);
}

/* Reports are of different moments: who is only a moment behind by his is preferred as he is by the spec. */
static void test_level(void **state)
{
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	seen(2)->report.received = POSITION + 5000;
	assert_int_equal(forecast(ask(true, DR_REQ_FAILOVER)).candidate, 1);
	seen(2)->report.received = POSITION + 5000000;
	assert_int_equal(forecast(ask(true, DR_REQ_FAILOVER)).candidate, 2);
}

/* Under async what is lost is told, and more than the spec allows asks. */
static void test_async_loss(void **state)
{
	(void)state;
	healthy(DR_DURABILITY_ASYNC);
	seen(1)->report.received = seen(2)->report.received = POSITION - 400;
	struct dr_forecast f = forecast(ask(true, DR_REQ_FAILOVER));
	assert_int_equal(f.end, DR_FORECAST_DONE);
	assert_true(f.loss_known);
	assert_int_equal(f.loss, 400);
	seen(1)->report.received = seen(2)->report.received = POSITION - 4000;
	f = forecast(ask(true, DR_REQ_FAILOVER));
	assert_int_equal(f.end, DR_FORECAST_ASKS);
	assert_int_equal(f.reason, DR_REASON_MAY_LOSE);
	assert_int_equal(f.a, 4000);
}

/* What the spec or a person put in the way is named, and what would come of an order in spite of it. */
static void test_not_by_itself(void **state)
{
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	service()->last_failover_wall_ms = WALL - 1000;
	struct dr_forecast f = forecast(ask(true, DR_REQ_FAILOVER));
	assert_int_equal(f.not_by_itself, DR_REASON_COOLDOWN);
	assert_int_equal(f.end, DR_FORECAST_DONE);
	healthy(DR_DURABILITY_SYNC);
	service()->spec.auto_failover = false;
	f = forecast(ask(true, DR_REQ_FAILOVER));
	assert_int_equal(f.not_by_itself, DR_REASON_NOT_ASKED);
	assert_int_equal(f.end, DR_FORECAST_DONE);
	healthy(DR_DURABILITY_SYNC);
	service()->paused = true;
	f = forecast(ask(true, DR_REQ_FAILOVER));
	assert_int_equal(f.not_by_itself, DR_REASON_PAUSED);
	assert_int_equal(f.end, DR_FORECAST_REFUSED);
	assert_int_equal(f.reason, DR_REASON_PAUSED);
	healthy(DR_DURABILITY_SYNC);
	service()->managed = false;
	f = forecast(ask(true, DR_REQ_FAILOVER));
	assert_int_equal(f.reason, DR_REASON_NOT_MANAGED);
}

/* What the verb itself would be answered. */
static void test_answer(void **state)
{
	uint64_t a = 0, b = 0;
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	struct dr_forecast_ask q = ask(false, DR_REQ_FAILOVER);
	assert_int_equal(dr_forecast_answer(live, room, &q, &a, &b), DR_REASON_PRIMARY_HEALTHY);
	q.force = true;
	assert_int_equal(dr_forecast_answer(live, room, &q, &a, &b), DR_REASON_NONE);
	q = ask(false, DR_REQ_SWITCHOVER);
	q.to = 0;
	assert_int_equal(dr_forecast_answer(live, room, &q, &a, &b), DR_REASON_IS_PRIMARY);
}

/* A forced failover stops a living primary, by its agent. */
static void test_forced(void **state)
{
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	struct dr_forecast_ask q = ask(false, DR_REQ_FAILOVER);
	q.force = true;
	struct dr_forecast f = forecast(q);
	assert_int_equal(f.end, DR_FORECAST_DONE);
	assert_false(f.by_lease);
	assert_true(f.writable_ms < 1000);
}

static bool notes(const struct dr_readiness *r, enum dr_reason reason, bool blocks)
{
	for (uint32_t i = 0; i < r->notes; i++) {
		if (r->note[i].reason == reason && r->note[i].blocks == blocks)
			return true;
	}
	return false;
}

static void test_ready(void **state)
{
	struct dr_readiness of[2] = { 0 }, *r = &of[1];
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	dr_ready_judge(live, room, 1, &past, of);
	assert_int_equal(r->notes, 0);
	assert_int_equal(r->host, DR_READY_YES);
	assert_int_equal(r->site, DR_READY_YES);
	assert_true(r->host_ms > 0 && r->site_ms > 0);
	seen(2)->report_ms = NOW - 60000;
	service()->route_servers[0] = 1;
	dr_ready_judge(live, room, 1, &past, of);
	assert_int_equal(r->host, DR_READY_LIMITED);
	assert_true(notes(r, DR_REASON_NOT_REACHABLE, false));
	assert_true(notes(r, DR_REASON_ROUTE_BEHIND, false));
	seen(1)->report_ms = NOW - 60000;
	dr_ready_judge(live, room, 1, &past, of);
	assert_int_equal(r->host, DR_READY_NO);
	assert_int_equal(r->site, DR_READY_NO);
	service()->managed = false;
	dr_ready_judge(live, room, 1, &past, of);
	assert_int_equal(r->host, DR_READY_UNKNOWN);
}

/* Two of three coordinators in one site: should it be lost, nobody leads. */
static void test_ready_coordinators(void **state)
{
	struct dr_readiness of[2] = { 0 }, *r = &of[1];
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	assert_true(dr_name_set(&live->repl.coordinator[1].site, "az-a"));
	dr_ready_judge(live, room, 1, &past, of);
	assert_int_equal(r->host, DR_READY_YES);
	assert_int_equal(r->site, DR_READY_NO);
	assert_true(notes(r, DR_REASON_FEW_COORDINATORS, true));
}

/* A leader judges thousands of services a minute. */
static void test_takes_little(void **state)
{
	enum { TIMES = 500 };
	struct dr_readiness of[2] = { 0 };
	(void)state;
	healthy(DR_DURABILITY_SYNC);
	clock_t began = clock();
	for (unsigned i = 0; i < TIMES; i++)
		dr_ready_judge(live, room, 1, &past, of);
	uint64_t us = (uint64_t)(clock() - began) * 1000000u / CLOCKS_PER_SEC / TIMES;
	print_message("a service is judged in %llu us\n", (unsigned long long)us);
	assert_true(us < 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host_lost),  cmocka_unit_test(test_only_a_copy), cmocka_unit_test(test_again),
		cmocka_unit_test(test_switchover), cmocka_unit_test(test_past),	       cmocka_unit_test(test_past_read),
		cmocka_unit_test(test_site_lost),  cmocka_unit_test(test_too_few_positions),
		cmocka_unit_test(test_site_runbook), cmocka_unit_test(test_site_left), cmocka_unit_test(test_failback),
		cmocka_unit_test(test_level),	   cmocka_unit_test(test_async_loss),
		cmocka_unit_test(test_not_by_itself),
		cmocka_unit_test(test_answer),	   cmocka_unit_test(test_forced),      cmocka_unit_test(test_ready),
		cmocka_unit_test(test_ready_coordinators), cmocka_unit_test(test_takes_little),
	};
	return cmocka_run_group_tests(tests, rig_begin, NULL);
}
