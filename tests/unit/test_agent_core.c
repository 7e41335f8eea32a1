/* test_agent_core.c -- an agent's gate, lease and fencing, one rule a test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/agent_core.h"

enum { FIRST_RENEWAL = 500 };

static struct dr_agent_core core;
static struct dr_agent_decision did;
static struct dr_agent_journal journal;
static uint64_t now;

static void begin(uint64_t inherited_epoch, uint64_t inherited_until)
{
	struct dr_name self;
	assert_true(dr_name_set(&self, "pg-a"));
	dr_agent_core_init(&core, &self, &journal, dr_timing_profile("metro"), FIRST_RENEWAL, inherited_epoch,
			   inherited_until, now);
}

static void step(struct dr_agent_event ev)
{
	ev.now_ms = now;
	dr_agent_core_step(&core, &ev, &did);
}

static void tick(uint64_t ms)
{
	now += ms;
	step((struct dr_agent_event){ .kind = DR_AG_TICK });
}

static struct dr_order made(enum dr_order_kind kind, uint64_t number, uint64_t epoch)
{
	struct dr_order o = {
		.core = { .kind = kind, .number = number, .epoch = epoch, .target = DR_MEMBER_NONE }
	};
	(void)dr_name_set(&o.target, "pg-b");
	return o;
}

static void order(enum dr_order_kind kind, uint64_t number, uint64_t epoch)
{
	struct dr_order o = made(kind, number, epoch);
	step((struct dr_agent_event){ .kind = DR_AG_ORDER, .order = &o });
}

static void server(enum dr_server_state s)
{
	step((struct dr_agent_event){ .kind = DR_AG_SERVER, .server = s });
}

static void grant(uint64_t id, uint64_t epoch)
{
	step((struct dr_agent_event){ .kind = DR_AG_GRANT, .id = id, .epoch = epoch, .ttl_ms = 1500 });
}

static void ended(uint64_t number, enum dr_outcome outcome)
{
	struct dr_order_result r = { .number = number, .epoch = core.journal.epoch, .outcome = outcome };
	step((struct dr_agent_event){ .kind = DR_AG_OP_ENDED, .result = &r });
}

/* A member that is primary of epoch 3 under order 10, its lease granted at `now`. */
static int primary(void **state)
{
	(void)state;
	now = 100000;
	memset(&journal, 0, sizeof(journal));
	journal.managed = true;
	journal.role = DR_ROLE_PRIMARY;
	journal.epoch = 3;
	journal.order_seen = 10;
	journal.order = made(DR_ORDER_WRITABLE, 10, 3);
	journal.done =
	    (struct dr_order_result){ .number = 10, .epoch = 3, .outcome = DR_OUTCOME_DONE, .position = 77 };
	begin(3, now + 400);
	step((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = true });
	server(DR_SERVER_PRIMARY);
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = true });
	assert_true(did.renew);
	grant(did.renew_id, 3);
	assert_true(did.arm);
	return 0;
}

static int standby(void **state)
{
	(void)primary(state);
	memset(&journal, 0, sizeof(journal));
	journal.managed = true;
	journal.role = DR_ROLE_STANDBY;
	journal.epoch = 3;
	journal.order_seen = 10;
	begin(0, 0);
	step((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = true });
	server(DR_SERVER_STANDBY);
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = true });
	assert_false(did.renew);
	return 0;
}

static void refused(const char *why)
{
	assert_true(did.answer);
	assert_int_equal(did.answer_result.outcome, DR_OUTCOME_REFUSED);
	assert_int_equal(did.answer_result.code, DR_E_STALE);
	assert_string_equal(did.answer_result.text, why);
	assert_false(did.journal);
	assert_false(did.start_op);
	assert_int_equal(did.fence, DR_FENCE_NONE);
}

static void test_gate_refuses(void **state)
{
	(void)state;
	order(DR_ORDER_FENCED, 9, 9);
	refused("a newer order was accepted");
	order(DR_ORDER_FENCED, 11, 2);
	refused("a newer epoch was seen");
	assert_int_equal(core.journal.order_seen, 10);
	assert_int_equal(core.journal.epoch, 3);
}

static void test_gate_repeats(void **state)
{
	(void)state;
	order(DR_ORDER_WRITABLE, 10, 3);
	assert_true(did.answer);
	assert_int_equal(did.answer_result.outcome, DR_OUTCOME_DONE);
	assert_int_equal(did.answer_result.position, 77);
	assert_false(did.start_op);
	assert_false(did.journal);
}

static void test_gate_accepts_once(void **state)
{
	(void)state;
	order(DR_ORDER_FROZEN, 11, 4);
	assert_true(did.journal);
	assert_true(did.start_op);
	assert_int_equal(did.answer_result.outcome, DR_OUTCOME_ACCEPTED);
	assert_int_equal(core.journal.order_seen, 11);
	assert_int_equal(core.journal.epoch, 4);
	order(DR_ORDER_FROZEN, 11, 4);
	assert_int_equal(did.answer_result.outcome, DR_OUTCOME_ACCEPTED);
	assert_false(did.start_op);
	assert_false(did.cancel_op);
	ended(11, DR_OUTCOME_DONE);
	assert_true(did.journal);
	assert_int_equal(did.answer_result.outcome, DR_OUTCOME_DONE);
	order(DR_ORDER_FROZEN, 11, 4);
	assert_int_equal(did.answer_result.outcome, DR_OUTCOME_DONE);
	assert_false(did.start_op);
}

static void test_newer_order_cancels(void **state)
{
	(void)state;
	order(DR_ORDER_FROZEN, 11, 4);
	order(DR_ORDER_FOLLOWING, 12, 4);
	assert_true(did.cancel_op);
	assert_true(did.start_op);
	ended(11, DR_OUTCOME_DONE); /* late, of the one that was dropped */
	assert_false(did.answer);
	assert_int_equal(core.journal.done.number, 0);
}

static void test_cancel(void **state)
{
	(void)state;
	order(DR_ORDER_FOLLOWING, 11, 4);
	step((struct dr_agent_event){ .kind = DR_AG_CANCEL, .number = 10 });
	assert_false(did.cancel_op);
	step((struct dr_agent_event){ .kind = DR_AG_CANCEL, .number = 11 });
	assert_true(did.cancel_op);
	assert_true(did.journal);
	assert_int_equal(core.journal.done.outcome, DR_OUTCOME_FAILED);
	order(DR_ORDER_FENCED, 12, 4);
	step((struct dr_agent_event){ .kind = DR_AG_CANCEL, .number = 12 });
	assert_false(did.cancel_op); /* never half a fence */
}

/* Rule 4: a lease asked for before the order came does not let it promote. */
static void test_promote_needs_a_lease_asked_for_after(void **state)
{
	(void)state;
	now += 10;
	order(DR_ORDER_WRITABLE, 11, 4);
	assert_false(did.start_op);
	assert_true(did.renew);
	assert_int_equal(did.renew_epoch, 4);
	assert_int_equal(core.journal.role, DR_ROLE_PRIMARY);
	uint64_t id = did.renew_id;
	grant(id - 1, 4);
	assert_false(did.start_op);
	grant(id, 3);
	assert_false(did.start_op); /* of another epoch, and now used up */
	grant(id, 4);
	assert_false(did.start_op);
	tick(250);
	assert_true(did.renew);
	grant(did.renew_id, 4);
	assert_true(did.start_op);
	assert_true(did.arm);
}

/* The same again with a lease of the same epoch that is older than the order. */
static void test_older_lease_does_not_count(void **state)
{
	(void)state;
	now += 10;
	order(DR_ORDER_WRITABLE, 11, 3);
	assert_false(did.start_op);
	assert_true(dr_agent_lease_left_ms(&core) > 0);
	assert_true(did.renew);
	grant(did.renew_id, 3);
	assert_true(did.start_op);
}

/* Rule 1: the lease runs from when the renewal was sent, not from when its grant came. */
static void test_lease_from_sending(void **state)
{
	(void)state;
	tick(250);
	assert_true(did.renew);
	uint64_t sent = now;
	uint64_t id = did.renew_id;
	now += 200;
	grant(id, 3);
	assert_true(did.arm);
	assert_int_equal(core.lease_until_ms, sent + 1500);
	grant(id, 3); /* an id counts once */
	assert_false(did.arm);
}

static void test_late_and_foreign_grants(void **state)
{
	(void)state;
	tick(250);
	uint64_t id = did.renew_id;
	uint64_t until = core.lease_until_ms;
	grant(id + 1, 3);
	assert_false(did.arm);
	grant(0, 3);
	assert_false(did.arm);
	now += 2000;
	grant(id, 3); /* it would have ended already */
	assert_false(did.arm);
	assert_int_equal(core.lease_until_ms, until);
}

static void test_ids_are_never_reused(void **state)
{
	(void)state;
	uint64_t last = core.renewal_last;
	for (int i = 0; i < 40; i++) {
		tick(250);
		assert_true(did.renew);
		assert_true(did.renew_id > last);
		last = did.renew_id;
		grant(did.renew_id, 3);
	}
	core.renewal_last = UINT64_MAX;
	tick(250);
	assert_int_not_equal(did.renew_id, 0);
}

static void test_no_guard_no_renewal(void **state)
{
	(void)state;
	step((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = false });
	tick(250);
	assert_false(did.renew);
	step((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = true });
	assert_true(did.renew);
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = false });
	tick(250);
	assert_false(did.renew);
}

/* Rule 6: from TTL - F on the server is stopped; the wake-up is asked for exactly then. */
static void test_fences_in_time(void **state)
{
	(void)state;
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = false });
	assert_int_equal(did.wake_at_ms, now + 1200);
	tick(1199);
	assert_int_equal(did.fence, DR_FENCE_NONE);
	tick(1);
	assert_int_equal(did.fence, DR_FENCE_STOP);
	tick(1);
	assert_int_equal(did.fence, DR_FENCE_NONE); /* once */
	tick(400);
	server(DR_SERVER_STOPPED);
	assert_true(did.disarm);
	assert_false(did.start_standby); /* it is primary by role: the leader decides */
}

static void seen_stopped(bool crashed)
{
	step((struct dr_agent_event){ .kind = DR_AG_SERVER, .server = DR_SERVER_STOPPED, .crashed = crashed });
}

/* The shell takes every end that no order caused for a crash: one that the fence caused is none, also when seen twice. */
static void test_own_stop_is_no_crash(void **state)
{
	(void)state;
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = false });
	tick(1200);
	assert_int_equal(did.fence, DR_FENCE_STOP);
	seen_stopped(true);
	assert_false(core.crashed);
	seen_stopped(true);
	assert_false(core.crashed);
	/* A plan may wait for its next lease. */
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = true });
	assert_true(did.renew);
	grant(did.renew_id, 3);
	assert_true(did.report);
	assert_int_equal(dr_agent_lease_left_ms(&core), 1500);
}

static void test_crash_is_one(void **state)
{
	(void)state;
	seen_stopped(true);
	assert_true(core.crashed);
	assert_true(did.report);
	seen_stopped(true);
	assert_true(core.crashed);
	server(DR_SERVER_PRIMARY);
	assert_false(core.crashed);
}

static void test_unlicensed_primary_is_killed(void **state)
{
	(void)state;
	server(DR_SERVER_PRIMARY); /* a standby that came up out of recovery */
	assert_int_equal(did.fence, DR_FENCE_KILL);
}

static void test_fence_order(void **state)
{
	(void)state;
	order(DR_ORDER_FENCED, 11, 4);
	assert_true(did.journal);
	assert_true(did.start_op);
	assert_int_equal(core.journal.role, DR_ROLE_FENCED);
	assert_false(did.renew);
	assert_int_equal(dr_agent_lease_left_ms(&core), 0);
	tick(250);
	assert_false(did.renew);
}

/* A clean stop is given the time that the old lease still has, and no more. */
static void test_clean_fence_order(void **state)
{
	(void)state;
	struct dr_order o = made(DR_ORDER_FENCED, 11, 4);
	o.core.clean = true;
	step((struct dr_agent_event){ .kind = DR_AG_ORDER, .order = &o });
	assert_true(did.start_op);
	assert_int_equal(did.fence, DR_FENCE_NONE);
	tick(1100);
	assert_int_equal(did.fence, DR_FENCE_NONE);
	tick(100);
	assert_int_equal(did.fence, DR_FENCE_KILL);
}

/* An order for a standby's state on a server that takes writes: first it must be down. */
static void test_freeze_waits_for_the_stop(void **state)
{
	(void)state;
	order(DR_ORDER_FROZEN, 11, 4);
	assert_false(did.start_op);
	assert_int_equal(did.fence, DR_FENCE_KILL);
	server(DR_SERVER_STOPPED);
	assert_true(did.start_op);
	assert_true(did.disarm);
}

/* The lease that it was fenced under is over with it: its deadline is not to kill a server that is started next. */
static void test_fenced_is_disarmed(void **state)
{
	(void)state;
	order(DR_ORDER_FENCED, 11, 4);
	assert_true(did.start_op);
	server(DR_SERVER_STOPPED);
	ended(11, DR_OUTCOME_DONE);
	assert_int_equal(core.journal.role, DR_ROLE_FENCED);
	assert_true(did.disarm);
}

static void test_restart_inherits(void **state)
{
	(void)state;
	begin(3, now + 800);
	server(DR_SERVER_PRIMARY);
	assert_int_equal(did.fence, DR_FENCE_NONE);
	assert_int_equal(dr_agent_lease_left_ms(&core), 800);
	assert_false(core.op_wanted);
	tick(499);
	assert_int_equal(did.fence, DR_FENCE_NONE);
	tick(1);
	assert_int_equal(did.fence, DR_FENCE_STOP);
}

static void test_restart_without_right(void **state)
{
	(void)state;
	begin(2, now + 800); /* the guard was armed for an older epoch */
	server(DR_SERVER_PRIMARY);
	assert_int_equal(did.fence, DR_FENCE_STOP);
	begin(3, now);
	server(DR_SERVER_PRIMARY);
	assert_int_equal(did.fence, DR_FENCE_STOP);
	journal.role = DR_ROLE_FENCED; /* an open fence order */
	journal.order = made(DR_ORDER_FENCED, 11, 3);
	journal.order_seen = 11;
	memset(&journal.done, 0, sizeof(journal.done));
	begin(3, now + 800);
	server(DR_SERVER_PRIMARY);
	assert_int_equal(did.fence, DR_FENCE_KILL);
	assert_true(did.start_op);
}

static void test_restart_carries_on(void **state)
{
	(void)state;
	journal.order = made(DR_ORDER_WRITABLE, 11, 4);
	journal.order_seen = 11;
	journal.epoch = 4;
	journal.role = DR_ROLE_PRIMARY;
	begin(0, 0);
	step((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = true });
	server(DR_SERVER_STANDBY);
	assert_false(did.start_op);
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = true });
	assert_true(did.renew);
	grant(did.renew_id, 4);
	assert_true(did.start_op);
}

/* Rule 9: cut to the fence budget, asked at once; what was asked before does not count. */
static void test_clock_jump(void **state)
{
	(void)state;
	tick(250);
	uint64_t before = did.renew_id;
	step((struct dr_agent_event){ .kind = DR_AG_CLOCK_JUMPED });
	assert_true(did.arm);
	assert_int_equal(core.lease_until_ms, now + 300);
	assert_true(did.renew);
	assert_int_equal(did.fence, DR_FENCE_NONE);
	uint64_t after = did.renew_id;
	grant(before, 3);
	assert_false(did.arm);
	assert_int_equal(core.lease_until_ms, now + 300);
	tick(149);
	assert_int_equal(did.fence, DR_FENCE_NONE);
	grant(after, 3);
	assert_true(did.arm);
	tick(1);
	assert_int_equal(did.fence, DR_FENCE_NONE);
	step((struct dr_agent_event){ .kind = DR_AG_CLOCK_JUMPED });
	tick(150);
	assert_int_equal(did.fence, DR_FENCE_STOP);
}

static void test_standby_is_started(void **state)
{
	(void)state;
	server(DR_SERVER_STOPPED);
	assert_true(did.start_standby);
	tick(DR_STANDBY_RETRY_MS - 1);
	assert_false(did.start_standby);
	tick(1);
	assert_true(did.start_standby);
	order(DR_ORDER_FENCED, 11, 4);
	ended(11, DR_OUTCOME_DONE);
	tick(DR_STANDBY_RETRY_MS);
	assert_false(did.start_standby); /* fenced stays down */
}

static void test_adopt_and_release(void **state)
{
	(void)state;
	memset(&journal, 0, sizeof(journal));
	begin(0, 0);
	step((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = true });
	server(DR_SERVER_PRIMARY);
	assert_int_equal(did.fence, DR_FENCE_NONE); /* not ours */
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = true });
	assert_false(did.renew);
	struct dr_order o = made(DR_ORDER_ADOPTED, 1, 1);
	o.target = core.self;
	step((struct dr_agent_event){ .kind = DR_AG_ORDER, .order = &o });
	assert_true(did.renew);
	assert_false(did.start_op);
	assert_false(core.journal.managed);
	grant(did.renew_id, 1);
	assert_true(did.start_op);
	assert_int_equal(did.fence, DR_FENCE_NONE);
	ended(1, DR_OUTCOME_DONE);
	assert_true(core.journal.managed);
	assert_int_equal(core.journal.role, DR_ROLE_PRIMARY);
	assert_int_equal(did.fence, DR_FENCE_NONE);
	order(DR_ORDER_RELEASED, 2, 1);
	assert_true(did.start_op);
	assert_int_equal(did.fence, DR_FENCE_NONE); /* it is let go of, not stopped */
	ended(2, DR_OUTCOME_DONE);
	assert_true(did.disarm);
	assert_false(core.journal.managed);
	tick(10000);
	assert_int_equal(did.fence, DR_FENCE_NONE);
}

static void test_timing_is_journaled(void **state)
{
	(void)state;
	struct dr_timing t = *dr_timing_profile("default");
	step((struct dr_agent_event){ .kind = DR_AG_TIMING, .timing = &t });
	assert_true(did.journal);
	step((struct dr_agent_event){ .kind = DR_AG_TIMING, .timing = &t });
	assert_false(did.journal);
	journal = core.journal;
	begin(0, 0);
	assert_int_equal(core.timing.ttl_ms, 5000);
}

int main(void)
{
#define P(test) cmocka_unit_test_setup(test, primary)
#define S(test) cmocka_unit_test_setup(test, standby)
	const struct CMUnitTest tests[] = {
		P(test_gate_refuses),
		P(test_gate_repeats),
		S(test_gate_accepts_once),
		S(test_newer_order_cancels),
		S(test_cancel),
		S(test_promote_needs_a_lease_asked_for_after),
		P(test_older_lease_does_not_count),
		P(test_lease_from_sending),
		P(test_late_and_foreign_grants),
		P(test_ids_are_never_reused),
		P(test_no_guard_no_renewal),
		P(test_fences_in_time),
		P(test_own_stop_is_no_crash),
		P(test_crash_is_one),
		S(test_unlicensed_primary_is_killed),
		P(test_fence_order),
		P(test_clean_fence_order),
		P(test_freeze_waits_for_the_stop),
		P(test_fenced_is_disarmed),
		P(test_restart_inherits),
		P(test_restart_without_right),
		S(test_restart_carries_on),
		P(test_clock_jump),
		S(test_standby_is_started),
		S(test_adopt_and_release),
		P(test_timing_is_journaled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
