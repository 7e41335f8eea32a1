/* test_core_site.c -- site plans of several services: groups in turn, who is left and why, the way back; and that all
 * of it survives a snapshot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "coord/shell/snapshot.h"
#include "site_rig.h"

static void asks(uint32_t service, enum dr_reason why)
{
	struct dr_cmd cmd = command(DR_CMD_ASK, service);
	cmd.plan = repl->service[service].plan.id;
	cmd.reason = why;
	apply(cmd);
}

static enum dr_part_state part(uint32_t service)
{
	return repl->service[service].part.state;
}

static const struct dr_event_record *last_event(enum dr_event_kind kind)
{
	for (uint64_t i = repl->event_last; i > 0; i--) {
		if (dr_repl_event(repl, i)->kind == kind)
			return dr_repl_event(repl, i);
	}
	return NULL;
}

/* The site plan comes with the first service's own plan, in one entry; group 2 waits for all of group 1. */
static void test_lost(void **state)
{
	(void)state;
	assert_true(opens(1, "az-a", 0, DR_PLAN_FAILOVER));
	uint64_t id = open_now();
	assert_int_not_equal(id, 0);
	assert_int_equal(newest()->reason, DR_REASON_SITE_LOST);
	assert_int_equal(newest()->services, 4);
	assert_int_equal(newest()->pending, 3);
	assert_int_equal(repl->service[1].plan.site_plan, id);
	assert_false(opens(3, "az-a", 0, DR_PLAN_FAILOVER));
	assert_false(opens(3, NULL, id, DR_PLAN_FAILOVER));
	assert_true(opens(0, "az-a", 0, DR_PLAN_FAILOVER));
	assert_true(opens(2, NULL, id, DR_PLAN_FAILOVER));
	assert_int_equal(open_now(), id); /* no second one */
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(newest()->group, 1);
		moves_to(i, B);
	}
	assert_int_equal(newest()->group, 2);
	assert_false(opens(3, NULL, id + 1, DR_PLAN_FAILOVER)); /* another site plan's */
	assert_true(opens(3, NULL, id, DR_PLAN_FAILOVER));
	moves_to(3, B);
	assert_int_equal(open_now(), 0);
	assert_int_equal(newest()->done, 4);
	assert_int_equal(last_event(DR_EVENT_SITE_CLOSED)->outcome, DR_OUTCOME_DONE);
	assert_int_equal(part(4), DR_PART_NONE);
}

/* Also where the first to be seen is of a later group: it opens the site plan and waits. */
static void test_later_group_first(void **state)
{
	(void)state;
	assert_false(opens(3, "az-a", 0, DR_PLAN_FAILOVER));
	assert_int_not_equal(open_now(), 0);
	assert_int_equal(newest()->group, 1);
	assert_int_equal(part(3), DR_PART_WAITING);
}

/* Who cannot move holds nobody up, is named at the end, and counts after all when it moves later. */
static void test_left(void **state)
{
	(void)state;
	assert_true(opens(0, "az-a", 0, DR_PLAN_FAILOVER));
	uint64_t id = open_now();
	assert_true(opens(1, NULL, id, DR_PLAN_FAILOVER));
	asks(0, DR_REASON_NOT_ASKED);
	leave(2, DR_REASON_PAUSED);
	assert_int_equal(newest()->group, 1);
	moves_to(1, B);
	assert_int_equal(newest()->group, 2);
	leave(3, DR_REASON_NO_CANDIDATE);
	assert_int_equal(open_now(), 0);
	assert_int_equal(newest()->left, 3);
	const struct dr_event_record *e = last_event(DR_EVENT_SITE_CLOSED);
	assert_int_equal(e->outcome, DR_OUTCOME_FAILED);
	assert_string_equal(e->text, "left: s0 (not_asked), s2 (paused), s3 (no_candidate)");
	moves_to(0, B);
	assert_int_equal(newest()->left, 2);
	assert_int_equal(newest()->done, 2);
	assert_int_equal(repl->service[0].home, A);
	leave(3, DR_REASON_PAUSED); /* too late */
	assert_int_equal(repl->service[3].part.left, DR_REASON_NO_CANDIDATE);
}

/* Left before it had a plan of its own, it counts as moved all the same when another one moves it, and has a way back. */
static void test_moves_late(void **state)
{
	(void)state;
	ask(DR_PLAN_FAILOVER, 1);
	for (uint32_t i = 0; i < 4; i++)
		leave(i, DR_REASON_NO_CANDIDATE);
	assert_int_equal(open_now(), 0);
	assert_int_equal(newest()->left, 4);
	assert_true(opens(0, NULL, 0, DR_PLAN_FAILOVER));
	close_plan(0, false, DR_REASON_NO_CANDIDATE);
	assert_int_equal(part(0), DR_PART_LEFT);
	assert_true(opens(0, NULL, 0, DR_PLAN_FAILOVER));
	moves_to(0, B);
	assert_int_equal(part(0), DR_PART_DONE);
	assert_int_equal(repl->service[0].home, A);
	assert_int_equal(newest()->left, 3);
	assert_int_equal(newest()->done, 1);
	ask(DR_PLAN_FAILBACK, 2);
	assert_int_equal(newest()->services, 1);
}

/* A failed failover is tried again, and not for ever; nobody overtakes the group meanwhile. */
static void test_tries(void **state)
{
	(void)state;
	assert_true(opens(0, "az-a", 0, DR_PLAN_FAILOVER));
	uint64_t id = open_now();
	leave(1, DR_REASON_PAUSED);
	leave(2, DR_REASON_PAUSED);
	for (unsigned i = 0; i < 2; i++) {
		close_plan(0, false, DR_REASON_NO_CANDIDATE);
		assert_int_equal(part(0), DR_PART_WAITING);
		assert_int_equal(newest()->group, 1);
		assert_true(opens(0, NULL, id, DR_PLAN_FAILOVER));
	}
	close_plan(0, false, DR_REASON_NO_CANDIDATE);
	assert_int_equal(part(0), DR_PART_LEFT);
	assert_int_equal(repl->service[0].part.left, DR_REASON_NO_CANDIDATE);
	assert_int_equal(newest()->group, 2);
	assert_true(opens(3, NULL, id, DR_PLAN_FAILOVER));
	close_plan(3, true, DR_REASON_NONE); /* with the primary where it was: another outage would bring no more */
	assert_int_equal(repl->service[3].part.left, DR_REASON_NOT_MOVED);
}

/* What was moved already and died elsewhere is no failure of the site; what a person gives up stays given up. */
static void test_not_again(void **state)
{
	struct dr_service *s = &repl->service[0];
	struct dr_cmd cmd;
	(void)state;
	assert_true(opens(0, "az-a", 0, DR_PLAN_FAILOVER));
	uint64_t id = open_now();
	leave(1, DR_REASON_PAUSED);
	leave(2, DR_REASON_PAUSED);
	s->holder = s->last_holder = B;
	s->epoch++;
	close_plan(0, false, DR_REASON_STEP_TIMED_OUT);
	assert_int_equal(part(0), DR_PART_LEFT);
	assert_true(opens(3, NULL, id, DR_PLAN_FAILOVER));
	cmd = command(DR_CMD_PLAN_CLOSE, 3);
	cmd.plan = repl->service[3].plan.id;
	cmd.request = 78;
	apply(cmd);
	assert_int_equal(repl->service[3].plan.id, 0);
	assert_int_equal(part(3), DR_PART_LEFT);
}

/* Until the end of a group that asks, fails or moves: a person's own plan may overtake. */
static void test_person_overtakes(void **state)
{
	struct dr_cmd cmd;
	(void)state;
	assert_true(opens(0, "az-a", 0, DR_PLAN_FAILOVER));
	cmd = command(DR_CMD_PLAN_OPEN, 3);
	cmd.plan_kind = DR_PLAN_FAILOVER;
	cmd.reason = DR_REASON_OPERATOR;
	cmd.request = 77;
	apply(cmd);
	assert_int_equal(part(3), DR_PART_MOVING);
	moves_to(3, B);
	assert_int_equal(part(3), DR_PART_DONE);
	assert_int_equal(newest()->group, 1);
	assert_int_equal(newest()->pending, 3);
}

/* What was open before is taken in; a plan of another kind is waited for. */
static void test_taken_in(void **state)
{
	(void)state;
	assert_true(opens(0, NULL, 0, DR_PLAN_FAILOVER));
	assert_true(opens(1, NULL, 0, DR_PLAN_FENCE));
	uint64_t own = repl->service[0].plan.id;
	assert_true(opens(2, "az-a", 0, DR_PLAN_FAILOVER));
	assert_int_equal(part(0), DR_PART_MOVING);
	assert_int_equal(repl->service[0].part.own, own);
	assert_int_equal(repl->service[0].plan.site_plan, open_now());
	assert_int_equal(part(1), DR_PART_WAITING);
	leave(1, DR_REASON_PLAN_IS_OPEN);
	moves_to(0, B);
	moves_to(2, B);
	assert_int_equal(newest()->group, 2);
}

static void test_refused(void **state)
{
	struct dr_service *s = &repl->service[0];
	(void)state;
	/* A member that a spec took out before its rejoin was logged: nothing is left at its place. */
	s->spec.member[B].name.s[0] = '\0';
	struct dr_cmd rejoin = command(DR_CMD_PLAN_OPEN, 0);
	rejoin.plan_kind = DR_PLAN_REJOIN;
	rejoin.member = B;
	apply(rejoin);
	assert_int_equal(s->rejoin[B].id, 0);
	ask(DR_PLAN_FAILBACK, 1);
	assert_int_equal(dr_repl_request_find(repl, 1)->refused, DR_REASON_NOTHING_TO_BRING_BACK);
	ask(DR_PLAN_REJOIN, 2);
	assert_int_equal(dr_repl_request_find(repl, 2)->refused, DR_REASON_NO_SUCH_PLAN);
	ask(DR_PLAN_SWITCHOVER, 3);
	assert_int_equal(dr_repl_request_find(repl, 3)->refused, DR_REASON_NONE);
	assert_int_equal(dr_repl_request_find(repl, 3)->a, open_now());
	ask(DR_PLAN_FAILOVER, 4);
	assert_int_equal(dr_repl_request_find(repl, 4)->refused, DR_REASON_SITE_PLAN_IS_OPEN);
	assert_int_equal(dr_repl_request_find(repl, 4)->a, open_now());
	assert_false(opens(0, NULL, 0, DR_PLAN_FAILBACK)); /* no plan of a service */
}

static void end_site(uint64_t id, uint64_t request)
{
	struct dr_cmd cmd = command(DR_CMD_SITE_CLOSE, DR_SERVICE_NONE);
	cmd.site_plan = id;
	cmd.reason = DR_REASON_OPERATOR;
	cmd.request = request;
	apply(cmd);
}

/* Given up: what moves goes on, what waits does not begin. */
static void test_given_up(void **state)
{
	(void)state;
	ask(DR_PLAN_SWITCHOVER, 1);
	uint64_t id = open_now();
	assert_true(opens(0, NULL, id, DR_PLAN_SWITCHOVER));
	assert_int_equal(repl->service[0].plan.avoid, 1u << A);
	end_site(id, 2);
	assert_int_equal(open_now(), 0);
	assert_int_equal(repl->service[1].part.left, DR_REASON_GIVEN_UP);
	assert_int_equal(newest()->left, 3);
	assert_false(opens(1, NULL, id, DR_PLAN_SWITCHOVER));
	moves_to(0, B);
	assert_int_equal(part(0), DR_PART_DONE);
	assert_int_equal(newest()->done, 1);
	end_site(id, 3);
	assert_int_equal(dr_repl_request_find(repl, 3)->refused, DR_REASON_NO_SUCH_PLAN);
	ask(DR_PLAN_SWITCHOVER, 4); /* the rest, another time */
	assert_int_equal(newest()->services, 3);
}

static void pause(uint32_t service, bool on)
{
	struct dr_cmd cmd = command(DR_CMD_PAUSE, service);
	cmd.flag = on;
	apply(cmd);
}

/* Given up by a person, a failover that has not begun does not begin by itself, with a new site plan either; until its
 * primary was heard again, or a person resumes.  A person's word takes it in. */
static void test_held_back(void **state)
{
	struct dr_cmd heard = command(DR_CMD_SITE_LEFT, 1);
	(void)state;
	assert_true(opens(0, "az-a", 0, DR_PLAN_FAILOVER));
	heard.site_plan = open_now();
	end_site(open_now(), 7);
	assert_false(dr_service_is_held_back(&repl->service[0])); /* it goes on */
	for (uint32_t i = 1; i < 4; i++)
		assert_true(dr_service_is_held_back(&repl->service[i]));
	close_plan(0, false, DR_REASON_NO_CANDIDATE);
	assert_true(opens(0, "az-a", 0, DR_PLAN_FAILOVER));
	assert_int_equal(newest()->services, 1);
	end_site(open_now(), 8);
	apply(heard);
	assert_false(dr_service_is_held_back(&repl->service[1]));
	assert_int_equal(repl->service[1].part.left, DR_REASON_GIVEN_UP);
	pause(2, true);
	assert_true(dr_service_is_held_back(&repl->service[2]));
	pause(2, false);
	assert_false(dr_service_is_held_back(&repl->service[2]));
	ask(DR_PLAN_FAILOVER, 9);
	assert_int_equal(part(3), DR_PART_WAITING);
	assert_false(dr_service_is_held_back(&repl->service[3]));
}

/* A planned move gives way to what somebody else begins, or what goes wrong, and is not tried again. */
static void test_planned_gives_way(void **state)
{
	(void)state;
	ask(DR_PLAN_SWITCHOVER, 1);
	uint64_t id = open_now();
	assert_true(opens(0, NULL, 0, DR_PLAN_FAILOVER));
	assert_int_equal(repl->service[0].part.left, DR_REASON_SUPERSEDED);
	assert_int_equal(repl->service[0].plan.site_plan, 0);
	assert_true(opens(1, NULL, id, DR_PLAN_SWITCHOVER));
	close_plan(1, false, DR_REASON_OLD_VANISHED);
	assert_int_equal(repl->service[1].part.left, DR_REASON_OLD_VANISHED);
}

static void move_site(void)
{
	ask(DR_PLAN_SWITCHOVER, 1);
	uint64_t id = open_now();
	for (uint32_t i = 0; i < 4; i++) {
		assert_true(opens(i, NULL, id, DR_PLAN_SWITCHOVER));
		moves_to(i, B);
	}
	assert_int_equal(open_now(), 0);
}

/* Back to where each was; what is back is not brought back again. */
static void test_back(void **state)
{
	(void)state;
	move_site();
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(repl->service[i].home, A);
	assert_int_equal(repl->service[4].home, DR_MEMBER_NONE);
	repl->service[1].member[A].divergence = DR_DIVERGENCE_REWIND;
	ask(DR_PLAN_FAILBACK, 2);
	uint64_t id = open_now();
	assert_int_equal(newest()->services, 4);
	assert_true(opens(0, NULL, id, DR_PLAN_SWITCHOVER));
	assert_int_equal(last_event(DR_EVENT_SITE_COMPARED)->reason, DR_REASON_HISTORY_KEPT);
	assert_true(opens(1, NULL, id, DR_PLAN_SWITCHOVER));
	assert_int_equal(last_event(DR_EVENT_SITE_COMPARED)->reason, DR_REASON_HISTORY_LEFT);
	moves_to(0, A);
	moves_to(1, A);
	leave(2, DR_REASON_NOT_JOINED);
	leave(3, DR_REASON_NOT_JOINED);
	assert_int_equal(open_now(), 0);
	assert_int_equal(repl->service[0].home, DR_MEMBER_NONE);
	assert_int_equal(repl->service[2].home, A);
	ask(DR_PLAN_FAILBACK, 3);
	assert_int_equal(newest()->services, 2);
}

/* Moved on by a second site plan, a service goes back to where it was before the first; moved there, it is at home. */
static void test_first_home(void **state)
{
	struct dr_cmd cmd = command(DR_CMD_SITE_OPEN, DR_SERVICE_NONE);
	(void)state;
	move_site();
	for (uint32_t i = 0; i < SERVICES; i++) { /* a third member, in a third site */
		repl->service[i].spec.member[C] = repl->service[i].spec.member[B];
		repl->service[i].spec.member[C].name = name("pg-c");
		repl->service[i].spec.member[C].site = name("az-c");
	}
	cmd.plan_kind = DR_PLAN_SWITCHOVER;
	cmd.site = name("az-b");
	cmd.actor = name("anna");
	apply(cmd);
	uint64_t id = open_now();
	assert_true(opens(0, NULL, id, DR_PLAN_SWITCHOVER));
	assert_true(opens(1, NULL, id, DR_PLAN_SWITCHOVER));
	assert_true(opens(4, NULL, id, DR_PLAN_SWITCHOVER));
	moves_to(0, C);
	moves_to(1, A);
	moves_to(4, C);
	assert_int_equal(repl->service[0].home, A);
	assert_int_equal(repl->service[1].home, DR_MEMBER_NONE);
	assert_int_equal(repl->service[4].home, B);
}

/* A service that leaves the spec, or is only observed, holds nobody up. */
static void test_service_gone(void **state)
{
	(void)state;
	ask(DR_PLAN_FAILOVER, 1);
	leave(0, DR_REASON_PAUSED);
	leave(1, DR_REASON_PAUSED);
	leave(2, DR_REASON_PAUSED);
	repl->service[3].managed = repl->service[4].managed = false;
	apply_spec(3);
	assert_false(repl->service[3].used);
	assert_int_equal(open_now(), 0);
	assert_int_equal(newest()->left, 4);
}

/* More site plans than are kept: the oldest goes; with one open none is lost that is. */
static void test_kept(void **state)
{
	(void)state;
	ask(DR_PLAN_FAILOVER, 1);
	uint64_t first = open_now();
	for (uint64_t i = 0; i < 2 * DR_SITE_PLANS_KEPT; i++) {
		end_site(open_now(), 0);
		ask(DR_PLAN_FAILOVER, 100 + i);
		assert_int_not_equal(open_now(), 0);
	}
	assert_null(dr_repl_site_plan(repl, first));
	assert_int_equal(newest()->services, 4);
}

static void encode(struct dr_buf *b, const struct dr_repl *r)
{
	static const uint8_t head[32];
	dr_buf_init(b, 16 << 20);
	dr_snapshot_encode(b, r, head);
	assert_true(dr_buf_ok(b));
}

static void test_snapshot(void **state)
{
	uint8_t head[32];
	struct dr_error e = { 0 };
	struct dr_buf b, again;
	(void)state;
	move_site();
	ask(DR_PLAN_FAILBACK, 2);
	assert_true(opens(0, NULL, open_now(), DR_PLAN_SWITCHOVER));
	leave(1, DR_REASON_LAGS);
	repl->service[3].route_held[1] = 5;
	repl->service[3].next.k = 2; /* as under `bounded`: so many of nobody in particular */
	struct dr_repl *was = repl;
	struct dr_repl *now = mmap(NULL, sizeof(*repl), PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(now, MAP_FAILED);
	encode(&b, was);
	dr_repl_init(now);
	assert_int_equal(dr_snapshot_decode(now, head, b.data, b.len, &e), DR_OK);
	encode(&again, now);
	assert_int_equal(b.len, again.len);
	assert_memory_equal(b.data, again.data, b.len);
	assert_int_equal(now->service[0].plan.site_plan, was->service[0].plan.site_plan);
	assert_int_equal(now->service[1].part.left, DR_REASON_LAGS);
	assert_int_equal(now->service[2].home, A);
	assert_int_equal(now->service[4].home, DR_MEMBER_NONE);
	assert_int_equal(now->service[3].route_held[1], 5);
	assert_int_equal(now->service[3].next.k, 2);
	assert_memory_equal(now->site_plan, was->site_plan, sizeof(now->site_plan));
	dr_buf_close(&b);
	dr_buf_close(&again);
	repl = now; /* and it goes on from there */
	moves_to(0, A);
	leave(2, DR_REASON_LAGS);
	assert_int_equal(newest()->group, 2);
	repl = was;
	assert_int_equal(munmap(now, sizeof(*now)), 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, rig_begin, rig_end)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_lost), T(test_later_group_first), T(test_left), T(test_tries), T(test_not_again),
					    T(test_moves_late), T(test_held_back), T(test_first_home),
					    T(test_person_overtakes), T(test_taken_in), T(test_refused), T(test_given_up),
					    T(test_planned_gives_way), T(test_back), T(test_service_gone), T(test_kept),
					    T(test_snapshot) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
