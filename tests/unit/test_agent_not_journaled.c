/* test_agent_not_journaled.c -- an agent whose journal cannot be written: nothing is taken or promised, and what was
 * seen meanwhile counts all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/agent_core.h"

static struct dr_agent_core core;
static struct dr_agent_decision did;
static uint64_t now;

static void step(struct dr_agent_event ev)
{
	ev.now_ms = now;
	dr_agent_core_step(&core, &ev, &did);
}

/* The journal is to be written, and cannot be. */
static void step_in_vain(struct dr_agent_event ev)
{
	core.journal.promise_ms = 1600; /* over, and to be taken out */
	core.journal_again_ms = 0;
	struct dr_agent_core before = core;
	ev.now_ms = now;
	dr_agent_core_step(&core, &ev, &did);
	assert_true(did.journal);
	dr_agent_not_journaled(&core, &before, &ev, &did);
	assert_false(did.journal);
	/* What may be on disk no more is not counted on. */
	assert_true(core.journal.promise_ms <= before.journal.promise_ms);
	before.journal.promise_ms = core.journal.promise_ms;
	assert_memory_equal(&core.journal, &before.journal, sizeof(core.journal));
}

static struct dr_order made(enum dr_order_kind kind, uint64_t number, uint64_t epoch)
{
	struct dr_order o = { .core = { .kind = kind, .number = number, .epoch = epoch, .target = DR_MEMBER_NONE } };
	assert_true(dr_name_set(&o.target, "pg-b"));
	return o;
}

/* A standby at epoch 3; a promise that it once gave is over, and each event would write that down. */
static int standby(void **state)
{
	struct dr_agent_journal j = { .managed = true, .role = DR_ROLE_STANDBY, .epoch = 3, .order_seen = 10 };
	struct dr_name self;
	(void)state;
	now = 100000;
	j.promise_ms = 1600;
	assert_true(dr_name_set(&self, "pg-a"));
	dr_agent_core_init(&core, &self, &j, dr_timing_profile("metro"), 7000, 0, 0, now);
	step((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = true });
	step((struct dr_agent_event){ .kind = DR_AG_SERVER, .server = DR_SERVER_STANDBY });
	now += 2000;
	return 0;
}

static void test_order_is_not_taken(void **state)
{
	struct dr_order o = made(DR_ORDER_FROZEN, 11, 4);
	(void)state;
	step_in_vain((struct dr_agent_event){ .kind = DR_AG_ORDER, .order = &o });
	assert_false(did.start_op);
	assert_false(did.answer);
	assert_true(did.wake_at_ms > now && did.wake_at_ms <= now + DR_JOURNAL_RETRY_MS);
	step((struct dr_agent_event){ .kind = DR_AG_ORDER, .order = &o });
	assert_true(did.journal);
	assert_true(did.start_op);
}

/* The file without the old promise may be there all the same: a new one is not given on its word. */
static void test_promise_is_written_anew(void **state)
{
	struct dr_ask ask = { .epoch = 3, .id = 5, .hold_ms = 1000 };
	(void)state;
	step_in_vain((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = true });
	step((struct dr_agent_event){ .kind = DR_AG_ASKED, .ask = &ask });
	assert_true(did.promise);
	assert_int_equal(did.promised.code, DR_OK);
	assert_true(did.journal);
	assert_true(core.journal.promise_ms >= 1000);
}

static void test_nothing_is_promised(void **state)
{
	struct dr_ask ask = { .epoch = 3, .id = 5, .hold_ms = 5000 };
	(void)state;
	step_in_vain((struct dr_agent_event){ .kind = DR_AG_ASKED, .ask = &ask });
	assert_false(did.promise);
	assert_int_equal(dr_agent_promise_left_ms(&core), 0);
}

/* Told once: a leader is known, the guard is there or not. */
static void test_what_was_told_once_counts(void **state)
{
	struct dr_order o = made(DR_ORDER_WRITABLE, 11, 4);
	(void)state;
	step_in_vain((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = false });
	step_in_vain((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = true });
	step((struct dr_agent_event){ .kind = DR_AG_ORDER, .order = &o });
	assert_false(did.renew); /* nothing without a guard */
	step((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = true });
	assert_true(did.renew);
}

static void test_server_that_was_seen_counts(void **state)
{
	(void)state;
	step_in_vain((struct dr_agent_event){ .kind = DR_AG_SERVER, .server = DR_SERVER_STOPPED });
	assert_int_equal(core.server, DR_SERVER_STOPPED);
	step_in_vain((struct dr_agent_event){ .kind = DR_AG_SERVER, .server = DR_SERVER_PRIMARY });
	assert_int_equal(did.fence, DR_FENCE_KILL);
	assert_int_equal(core.server, DR_SERVER_PRIMARY);
}

/* One event of an agent whose journal cannot be written at all; whether it tried to. */
static bool step_on_full_disk(struct dr_agent_event ev)
{
	struct dr_agent_core before = core;
	step(ev);
	bool tried = did.journal;
	ev.now_ms = now;
	if (tried)
		dr_agent_not_journaled(&core, &before, &ev, &did);
	assert_false(did.journal);
	return tried;
}

static void accepted(const struct dr_order *o)
{
	step((struct dr_agent_event){ .kind = DR_AG_ORDER, .order = o });
	assert_int_equal(did.answer_result.outcome, DR_OUTCOME_ACCEPTED);
}

/* Its end could not be written down: it is not carried out once more, which may be a whole copy, but told when it can be; and
 * it is tried ever more rarely. */
static void test_op_that_ended_is_not_done_again(void **state)
{
	struct dr_order o = made(DR_ORDER_REWOUND, 11, 4);
	struct dr_order_result r = { .number = 11, .epoch = 4, .outcome = DR_OUTCOME_DONE, .position = 5 };
	unsigned tries = 0;
	(void)state;
	step((struct dr_agent_event){ .kind = DR_AG_SERVER, .server = DR_SERVER_STOPPED });
	accepted(&o);
	assert_true(did.start_op);
	assert_true(step_on_full_disk((struct dr_agent_event){ .kind = DR_AG_OP_ENDED, .result = &r }));
	for (uint64_t end = now + 60000; now < end; now += 10) {
		bool asked = now % 1000 == 0; /* the leader repeats its order */
		tries += step_on_full_disk((struct dr_agent_event){ .kind = asked ? DR_AG_ORDER : DR_AG_TICK, .order = &o });
		assert_false(did.start_op);
		assert_true(!did.answer || did.answer_result.outcome == DR_OUTCOME_ACCEPTED);
		assert_true(did.wake_at_ms > now);
	}
	assert_in_range(tries, 12, 30);
	now += DR_JOURNAL_RETRY_MOST_MS;
	step((struct dr_agent_event){ .kind = DR_AG_TICK });
	assert_true(did.journal && did.answer);
	assert_int_equal(did.answer_result.outcome, DR_OUTCOME_DONE);
	assert_int_equal(did.answer_result.position, 5);
	assert_int_equal(core.journal.done.number, 11);
	now += DR_JOURNAL_RETRY_MOST_MS;
	step((struct dr_agent_event){ .kind = DR_AG_TICK });
	assert_false(did.journal || did.answer || did.start_op);
}

/* Whoever comes after it: what ended before is nobody's business any more. */
static void test_newer_order_ends_the_wait(void **state)
{
	struct dr_order o = made(DR_ORDER_FROZEN, 11, 4);
	struct dr_order newer = made(DR_ORDER_FROZEN, 12, 5);
	struct dr_order_result r = { .number = 11, .epoch = 4, .outcome = DR_OUTCOME_DONE };
	(void)state;
	accepted(&o);
	assert_true(step_on_full_disk((struct dr_agent_event){ .kind = DR_AG_OP_ENDED, .result = &r }));
	accepted(&newer);
	assert_true(did.start_op);
	now += DR_JOURNAL_RETRY_MOST_MS;
	step((struct dr_agent_event){ .kind = DR_AG_TICK });
	assert_false(did.answer);
	assert_int_equal(core.journal.done.number, 0);
}

static void granted(uint32_t ttl_ms)
{
	uint64_t id = core.renewal_last;
	(void)step_on_full_disk((struct dr_agent_event){ .kind = DR_AG_GRANT, .id = id, .epoch = 4, .ttl_ms = ttl_ms });
	assert_int_equal(core.lease_until_ms, now + ttl_ms);
}

/* Promoted, and its end cannot be written down. */
static void promoted_in_vain(void)
{
	struct dr_order o = made(DR_ORDER_WRITABLE, 11, 4);
	struct dr_order_result r = { .number = 11, .epoch = 4, .outcome = DR_OUTCOME_DONE, .position = 5 };
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = true });
	accepted(&o);
	assert_true(did.renew);
	granted(1500);
	assert_true(did.start_op);
	step((struct dr_agent_event){ .kind = DR_AG_SERVER, .server = DR_SERVER_PRIMARY });
	assert_true(step_on_full_disk((struct dr_agent_event){ .kind = DR_AG_OP_ENDED, .result = &r }));
	assert_false(did.answer);
}

/* It goes on to ask for its lease, whatever its disk is like, and tells when it can. */
static void test_lease_needs_no_journal(void **state)
{
	unsigned renewals = 0;
	(void)state;
	promoted_in_vain();
	for (uint64_t end = now + 10000; now < end; now += 50) {
		(void)step_on_full_disk((struct dr_agent_event){ .kind = DR_AG_TICK });
		assert_int_equal(did.fence, DR_FENCE_NONE);
		assert_false(did.start_op || did.answer);
		renewals += did.renew ? 1 : 0;
		if (did.renew)
			granted(1500);
	}
	assert_in_range(renewals, 38, 41); /* one in 250 ms */
	for (uint64_t end = now + DR_JOURNAL_RETRY_MOST_MS; now < end && core.journal.done.number == 0; now += 50) {
		step((struct dr_agent_event){ .kind = DR_AG_TICK });
		if (did.renew)
			granted(1500);
	}
	assert_int_equal(core.journal.done.number, 11);
	assert_int_equal(did.answer_result.outcome, DR_OUTCOME_DONE);
}

/* That it was promoted is not told after a fence: it is promoted once more, under a lease. */
static void test_fence_takes_it_back(void **state)
{
	(void)state;
	promoted_in_vain();
	now += 1200; /* nobody granted */
	(void)step_on_full_disk((struct dr_agent_event){ .kind = DR_AG_TICK });
	assert_int_equal(did.fence, DR_FENCE_STOP);
	assert_false(did.answer);
	now += DR_JOURNAL_RETRY_MOST_MS; /* there is room again */
	step((struct dr_agent_event){ .kind = DR_AG_SERVER, .server = DR_SERVER_STOPPED });
	assert_false(did.journal || did.answer);
	assert_true(did.renew);
	granted(1500);
	assert_false(did.answer);
	assert_true(did.start_op);
}

/* Nor where the server died of itself, under a lease that goes on. */
static void test_death_takes_it_back(void **state)
{
	(void)state;
	promoted_in_vain();
	now += DR_JOURNAL_RETRY_MS;
	step((struct dr_agent_event){ .kind = DR_AG_SERVER, .server = DR_SERVER_STOPPED, .crashed = true });
	assert_false(did.journal || did.answer);
	assert_true(did.start_op);
}

/* A server that is taken over keeps its lease while that cannot be written down; called off, it is let go. */
static void test_adopted_in_vain(void **state)
{
	struct dr_order o = made(DR_ORDER_ADOPTED, 11, 4);
	struct dr_order_result r = { .number = 11, .epoch = 4, .outcome = DR_OUTCOME_DONE };
	struct dr_agent_journal j = { 0 };
	unsigned renewals = 0;
	(void)state;
	o.target = core.self;
	dr_agent_core_init(&core, &o.target, &j, dr_timing_profile("metro"), 7000, 0, 0, now);
	step((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = true });
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = true });
	step((struct dr_agent_event){ .kind = DR_AG_SERVER, .server = DR_SERVER_PRIMARY });
	accepted(&o);
	assert_true(did.renew);
	granted(1500);
	assert_true(did.start_op);
	assert_true(step_on_full_disk((struct dr_agent_event){ .kind = DR_AG_OP_ENDED, .result = &r }));
	for (uint64_t end = now + 3000; now < end; now += 50) {
		(void)step_on_full_disk((struct dr_agent_event){ .kind = DR_AG_TICK });
		assert_false(core.journal.managed || did.start_op);
		renewals += did.renew ? 1 : 0;
		if (did.renew)
			granted(1500);
	}
	assert_true(renewals >= 11);
	assert_false(step_on_full_disk((struct dr_agent_event){ .kind = DR_AG_CANCEL, .number = 11 }));
	assert_true(did.disarm);
	now += DR_JOURNAL_RETRY_MOST_MS;
	step((struct dr_agent_event){ .kind = DR_AG_TICK });
	assert_false(core.journal.managed || did.renew);
	assert_int_equal(did.answer_result.code, DR_E_CANCELLED);
	assert_int_equal(did.fence, DR_FENCE_NONE);
}

/* The clock jumps while the end of a fence, or of an adoption that came to nothing, could not be written down yet: the guard is
 * not told of a lease that ends with it. */
static void test_ends_in_vain_and_jumps(void **state)
{
	struct dr_order fence = made(DR_ORDER_FENCED, 12, 5), adopt = made(DR_ORDER_ADOPTED, 11, 4);
	struct dr_order_result fenced = { .number = 12, .epoch = 5, .outcome = DR_OUTCOME_DONE };
	struct dr_order_result failed = { .number = 11, .epoch = 4, .outcome = DR_OUTCOME_FAILED, .code = DR_E_FAILED };
	struct dr_agent_journal j = { 0 };
	(void)state;
	promoted_in_vain();
	accepted(&fence);
	step((struct dr_agent_event){ .kind = DR_AG_SERVER, .server = DR_SERVER_STOPPED });
	assert_true(did.disarm);
	assert_true(step_on_full_disk((struct dr_agent_event){ .kind = DR_AG_OP_ENDED, .result = &fenced }));
	(void)step_on_full_disk((struct dr_agent_event){ .kind = DR_AG_CLOCK_JUMPED });
	assert_false(did.arm);
	now += DR_JOURNAL_RETRY_MS;
	step((struct dr_agent_event){ .kind = DR_AG_CLOCK_JUMPED });
	assert_true(did.answer && did.disarm && !did.arm);

	adopt.target = core.self;
	dr_agent_core_init(&core, &adopt.target, &j, dr_timing_profile("metro"), 7000, 0, 0, now);
	step((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = true });
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = true });
	step((struct dr_agent_event){ .kind = DR_AG_SERVER, .server = DR_SERVER_PRIMARY });
	accepted(&adopt);
	granted(1500);
	assert_true(step_on_full_disk((struct dr_agent_event){ .kind = DR_AG_OP_ENDED, .result = &failed }));
	now += DR_JOURNAL_RETRY_MS;
	step((struct dr_agent_event){ .kind = DR_AG_CLOCK_JUMPED });
	assert_true(did.answer && did.disarm && !did.arm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_order_is_not_taken, standby),
		cmocka_unit_test_setup(test_promise_is_written_anew, standby),
		cmocka_unit_test_setup(test_nothing_is_promised, standby),
		cmocka_unit_test_setup(test_what_was_told_once_counts, standby),
		cmocka_unit_test_setup(test_server_that_was_seen_counts, standby),
		cmocka_unit_test_setup(test_op_that_ended_is_not_done_again, standby),
		cmocka_unit_test_setup(test_newer_order_ends_the_wait, standby),
		cmocka_unit_test_setup(test_lease_needs_no_journal, standby),
		cmocka_unit_test_setup(test_fence_takes_it_back, standby),
		cmocka_unit_test_setup(test_death_takes_it_back, standby),
		cmocka_unit_test_setup(test_adopted_in_vain, standby),
		cmocka_unit_test_setup(test_ends_in_vain_and_jumps, standby),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
