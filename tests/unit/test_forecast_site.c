/* test_forecast_site.c -- a whole site's forecast: the order of turns, limits, shards, and the refusals of the verb itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "forecast_rig.h"

/* Four alike at the first places, the last of which no site plan takes: it is not managed. */
static void several(struct dr_forecast_ask *q, enum dr_durability durability)
{
	healthy(durability);
	for (uint32_t i = 0; i < 4; i++) {
		live->repl.service[i] = *service();
		live->view.service[i] = live->view.service[1];
		(void)snprintf(live->repl.service[i].spec.name.s, sizeof(live->repl.service[i].spec.name.s), "s-%u", i);
		live->view.service[i].of = live->repl.service[i].spec.name;
		live->repl.service[i].spec.group = 1;
	}
	live->repl.service[3].managed = false;
	live->repl.services = live->view.services = 4;
	dr_repl_index(&live->repl);
	*q = ask(q->lost, q->request);
	assert_true(dr_name_set(&q->site, "az-a"));
}

/* All of the site, as simulate asks: each knows of the automatic moves before it. */
static void forecast_site(const struct dr_forecast_ask *q, struct dr_forecast_site *s, struct dr_forecast f[4])
{
	dr_forecast_site(live, q, s);
	for (uint32_t i = 0; i < s->parts; i++) {
		struct dr_forecast_ask own = *q;
		own.service = s->part[i].service;
		own.moves = s->moves;
		f[i] = forecast(own);
		dr_forecast_site_note(live, q, s, i, &f[i]);
	}
}

/* In the order of their turns, and no more of them by themselves than the limits allow; nobody limits what is ordered. */
static void test_site_limits(void **state)
{
	struct dr_forecast_ask q = { .lost = true, .request = DR_REQ_FAILOVER };
	struct dr_forecast_site s;
	struct dr_forecast f[4];
	(void)state;
	several(&q, DR_DURABILITY_SYNC);
	live->repl.service[0].spec.group = 7;
	live->repl.limits = (struct dr_limits){ .automatic_moves = 2, .within_ms = 600000 };
	forecast_site(&q, &s, f);
	assert_int_equal(s.parts, 3);
	assert_int_equal(s.part[0].service, 1);
	assert_int_equal(s.part[1].service, 2);
	assert_int_equal(s.part[2].service, 0);
	assert_int_equal(s.moves, 2);
	assert_int_equal(f[1].not_by_itself, DR_REASON_NONE);
	assert_false(s.part[0].stays || s.part[1].stays);
	assert_int_equal(f[2].not_by_itself, DR_REASON_MOVES_LIMITED);
	assert_true(s.part[2].stays);
	assert_int_equal(live->repl.moves_next, 0);
	q = (struct dr_forecast_ask){ .request = DR_REQ_SWITCHOVER };
	several(&q, DR_DURABILITY_SYNC);
	live->repl.limits = (struct dr_limits){ .automatic_moves = 1, .within_ms = 600000 };
	forecast_site(&q, &s, f);
	assert_int_equal(s.moves, 0);
	assert_false(s.part[0].stays || s.part[1].stays || s.part[2].stays);
}

/* Readiness says the same of each, however often and in whatever order they are judged; the loss of one host is not the site's. */
static void test_ready_limits(void **state)
{
	struct dr_forecast_ask q = { .lost = true, .request = DR_REQ_FAILOVER };
	struct dr_forecast_site s;
	struct dr_forecast f[4];
	struct dr_readiness of[4] = { 0 };
	(void)state;
	several(&q, DR_DURABILITY_SYNC);
	live->repl.service[0].spec.group = 7;
	live->repl.service[1].paused = true; /* moves nothing, and counts for nothing */
	live->repl.limits = (struct dr_limits){ .automatic_moves = 1, .within_ms = 600000 };
	for (unsigned round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 4; i++)
			dr_ready_judge(live, room, i, &past, of);
	}
	forecast_site(&q, &s, f);
	for (uint32_t i = 0; i < s.parts; i++) {
		assert_int_equal(of[s.part[i].service].site == DR_READY_NO, s.part[i].stays);
		assert_int_equal(of[s.part[i].service].moves, f[i].moves);
	}
	assert_int_equal(of[0].host, DR_READY_YES);
	assert_int_equal(of[0].site, DR_READY_NO);
	assert_int_equal(of[0].note[0].reason, DR_REASON_MOVES_LIMITED);
	assert_int_equal(of[2].site, DR_READY_YES);
	live->repl.limits.automatic_moves = 0;
	dr_ready_judge(live, room, 0, &past, of);
	assert_int_equal(of[0].site, DR_READY_YES);
	assert_int_equal(of[3].site, DR_READY_UNKNOWN);
}

/* Shards of one cluster that need each other's vote go one after the other. */
static void test_site_shards(void **state)
{
	struct dr_forecast_ask q = { .request = DR_REQ_SWITCHOVER };
	struct dr_forecast_site s;
	struct dr_forecast f[4];
	(void)state;
	for (unsigned takeover = 0; takeover < 2; takeover++) {
		several(&q, DR_DURABILITY_ASYNC);
		for (uint32_t i = 0; i < 2; i++) {
			assert_true(dr_name_set(&live->repl.service[i].spec.cluster, "keys"));
			live->repl.service[i].spec.takeover = takeover == 1;
		}
		forecast_site(&q, &s, f);
		assert_int_equal(s.part[0].writable_ms, f[0].writable_ms);
		assert_int_equal(s.part[1].writable_ms, f[1].writable_ms + (takeover == 1 ? 0 : f[0].ended_ms));
		assert_int_equal(s.part[2].writable_ms, f[2].writable_ms);
	}
	q = (struct dr_forecast_ask){ .lost = true, .request = DR_REQ_FAILOVER };
	several(&q, DR_DURABILITY_ASYNC);
	for (uint32_t i = 0; i < 2; i++)
		assert_true(dr_name_set(&live->repl.service[i].spec.cluster, "keys"));
	forecast_site(&q, &s, f);
	assert_int_equal(s.part[1].writable_ms, f[1].writable_ms);
}

/* The refusals are those of the verb itself, and name the service. */
static void test_site_answer(void **state)
{
	struct dr_forecast_ask q = { .request = DR_REQ_SWITCHOVER };
	struct dr_forecast_site s;
	(void)state;
	several(&q, DR_DURABILITY_ASYNC);
	dr_forecast_site(live, &q, &s);
	assert_int_equal(dr_forecast_site_answer(live, room, &q, &s).refused, DR_REASON_NONE);
	live->repl.service[2].paused = true;
	struct dr_answer a = dr_forecast_site_answer(live, room, &q, &s);
	assert_int_equal(a.refused, DR_REASON_PAUSED);
	assert_string_equal(a.about.s, "s-2");
	q.request = DR_REQ_FAILOVER;
	assert_int_equal(dr_forecast_site_answer(live, room, &q, &s).refused, DR_REASON_SITE_HEALTHY);
	q.request = DR_REQ_SWITCHOVER;
	live->repl.service[0].paused = live->repl.service[1].paused = true;
	q.force = true;
	live->repl.service[0].spec.member[1].priority = live->repl.service[0].spec.member[2].priority = 0;
	assert_int_equal(dr_forecast_site_answer(live, room, &q, &s).refused, DR_REASON_NONE);
	for (uint32_t i = 1; i < 3; i++)
		live->repl.service[i].spec.member[1].priority = live->repl.service[i].spec.member[2].priority = 0;
	assert_int_equal(dr_forecast_site_answer(live, room, &q, &s).refused, DR_REASON_NONE_CAN_MOVE);
	live->repl.site_plan[0] = (struct dr_site_plan){ .id = 9, .open = true, .site = q.site };
	a = dr_forecast_site_answer(live, room, &q, &s);
	assert_int_equal(a.refused, DR_REASON_SITE_PLAN_IS_OPEN);
	assert_int_equal(a.a, 9);
	assert_true(dr_name_set(&q.site, "az-x"));
	dr_forecast_site(live, &q, &s);
	assert_int_equal(s.parts, 0);
	assert_int_equal(dr_forecast_site_answer(live, room, &q, &s).refused, DR_REASON_NO_SUCH_SITE);
}

/* More than fit: those are said, and nothing is written past the end. */
static void test_site_many(void **state)
{
	struct dr_forecast_ask q = { .request = DR_REQ_SWITCHOVER };
	struct dr_forecast_site s;
	(void)state;
	several(&q, DR_DURABILITY_ASYNC);
	for (uint32_t i = 4; i < DR_FORECAST_SITE_MAX + 5; i++) {
		live->repl.service[i] = live->repl.service[0];
		(void)snprintf(live->repl.service[i].spec.name.s, sizeof(live->repl.service[i].spec.name.s), "s-%u", i);
		live->repl.service[i].spec.group = 1000 - i;
		live->view.service[i] = live->view.service[0];
	}
	live->repl.services = live->view.services = DR_FORECAST_SITE_MAX + 5;
	dr_repl_index(&live->repl);
	dr_forecast_site(live, &q, &s);
	assert_int_equal(s.parts, DR_FORECAST_SITE_MAX);
	assert_int_equal(s.left_out, 4);
	for (uint32_t i = 1; i < s.parts; i++)
		assert_true(s.part[i - 1].group <= s.part[i].group);
	assert_int_equal(dr_forecast_site_answer(live, room, &q, &s).refused, DR_REASON_NONE);
	memset(live->repl.service, 0, live->repl.services * sizeof(live->repl.service[0]));
	live->repl.services = live->view.services = 0;
	dr_repl_index(&live->repl);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_site_limits), cmocka_unit_test(test_ready_limits), cmocka_unit_test(test_site_shards),
		cmocka_unit_test(test_site_answer), cmocka_unit_test(test_site_many),
	};
	return cmocka_run_group_tests(tests, rig_begin, NULL);
}
