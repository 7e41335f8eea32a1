/* test_late_promotion.c -- a server that was told to become a primary may become one at any moment until it has ended:
 * whoever waits for that no more, or takes it for a standby, leaves a primary that nobody watches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/agent_core.h"

static struct dr_agent_core core;
static struct dr_agent_decision did;
static uint64_t now;

static void begin(const struct dr_agent_journal *j, uint64_t inherited_epoch, uint64_t inherited_until)
{
	struct dr_name self;
	assert_true(dr_name_set(&self, "pg-a"));
	dr_agent_core_init(&core, &self, j, dr_timing_profile("metro"), 500, inherited_epoch, inherited_until, now);
}

static void step(struct dr_agent_event ev)
{
	ev.now_ms = now;
	dr_agent_core_step(&core, &ev, &did);
}

static void order(enum dr_order_kind kind, uint64_t number, uint64_t epoch, bool clean)
{
	struct dr_order o = { .core = { .kind = kind, .number = number, .epoch = epoch, .target = DR_MEMBER_NONE,
					.clean = clean } };
	step((struct dr_agent_event){ .kind = DR_AG_ORDER, .order = &o });
}

static void server(enum dr_server_state s)
{
	step((struct dr_agent_event){ .kind = DR_AG_SERVER, .server = s });
}

static void tick(uint64_t ms)
{
	now += ms;
	step((struct dr_agent_event){ .kind = DR_AG_TICK });
}

/* A standby whose promotion in epoch 4 was begun, under a lease that was just granted. */
static int turning(void **state)
{
	(void)state;
	struct dr_agent_journal j = { .managed = true, .role = DR_ROLE_STANDBY, .epoch = 3, .order_seen = 10 };
	now = 100000;
	begin(&j, 0, 0);
	step((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = true });
	server(DR_SERVER_STANDBY);
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = true });
	order(DR_ORDER_WRITABLE, 11, 4, false);
	assert_true(did.renew);
	assert_int_equal(did.fence, DR_FENCE_NONE); /* nothing was sent to it yet */
	step((struct dr_agent_event){ .kind = DR_AG_GRANT, .id = did.renew_id, .epoch = 4, .ttl_ms = 1500 });
	assert_true(did.arm && did.start_op);
	server(DR_SERVER_STANDBY);
	assert_int_equal(did.fence, DR_FENCE_NONE);
	return 0;
}

/* Whatever it is seen as: the guard is let go once it has ended. */
static void test_guard_stays_until_it_ends(void **state)
{
	(void)state;
	order(DR_ORDER_FENCED, 12, 5, true);
	assert_true(did.cancel_op && did.start_op);
	server(DR_SERVER_STANDBY);
	assert_false(did.disarm);
	server(DR_SERVER_STARTING);
	assert_false(did.disarm);
	server(DR_SERVER_STOPPED);
	assert_true(did.disarm);
	server(DR_SERVER_STANDBY); /* another one, which was told nothing */
	assert_true(did.disarm);
}

/* ... and it has as long as one that takes writes. */
static void test_fenced_in_time(void **state)
{
	(void)state;
	order(DR_ORDER_FENCED, 12, 5, true);
	tick(1199);
	assert_int_equal(did.fence, DR_FENCE_NONE);
	tick(1);
	assert_int_equal(did.fence, DR_FENCE_KILL);
}

/* Its position is not final, and what it follows it may leave: first it ends. */
static void test_is_no_standby(void **state)
{
	static const enum dr_order_kind kinds[] = { DR_ORDER_FROZEN, DR_ORDER_FOLLOWING, DR_ORDER_COMPARED };
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		(void)turning(state);
		order(kinds[i], 12, 5, false);
		assert_true(did.cancel_op);
		assert_false(did.start_op);
		assert_false(did.disarm);
		assert_int_equal(did.fence, DR_FENCE_KILL);
		server(DR_SERVER_STOPPED);
		assert_true(did.start_op);
		assert_true(did.disarm);
		server(DR_SERVER_STANDBY);
		assert_int_equal(did.fence, DR_FENCE_NONE);
	}
}

/* A lease that ends while the promotion is under way: nobody knows when it would take writes. */
static void test_lease_ends(void **state)
{
	(void)state;
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = false });
	tick(1199);
	assert_false(did.cancel_op);
	tick(1);
	assert_true(did.cancel_op);
	assert_int_equal(did.fence, DR_FENCE_STOP);
	server(DR_SERVER_STOPPED);
	assert_false(core.crashed);
	/* With another lease it is tried once more, on a server of its own. */
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = true });
	step((struct dr_agent_event){ .kind = DR_AG_GRANT, .id = did.renew_id, .epoch = 4, .ttl_ms = 1500 });
	assert_true(did.start_op);
	server(DR_SERVER_STOPPED); /* a look from before its start says nothing about what is sent to it */
	server(DR_SERVER_STANDBY);
	order(DR_ORDER_FENCED, 12, 5, true);
	server(DR_SERVER_STANDBY);
	assert_false(did.disarm);
}

/* The next agent finds it in the journal. */
static void test_restart(void **state)
{
	(void)state;
	struct dr_agent_journal j = core.journal;
	begin(&j, 4, now + 1500);
	step((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = true });
	server(DR_SERVER_STANDBY);
	order(DR_ORDER_FROZEN, 12, 5, false);
	assert_int_equal(did.fence, DR_FENCE_KILL);
	j = core.journal;
	assert_int_equal(j.role, DR_ROLE_STANDBY);
	begin(&j, 0, 0);
	server(DR_SERVER_STANDBY);
	assert_false(did.disarm || did.start_op);
	assert_int_equal(did.fence, DR_FENCE_KILL);
	server(DR_SERVER_STOPPED);
	assert_true(did.start_op);
	struct dr_order_result r = { .number = 12, .epoch = 5, .outcome = DR_OUTCOME_DONE };
	server(DR_SERVER_STANDBY);
	step((struct dr_agent_event){ .kind = DR_AG_OP_ENDED, .result = &r });
	assert_true(did.journal);
	j = core.journal;
	begin(&j, 0, 0);
	server(DR_SERVER_STANDBY);
	assert_int_equal(did.fence, DR_FENCE_NONE);
}

static void promotion_fails(bool untouched)
{
	struct dr_order_result r = { .number = 11, .epoch = 4, .outcome = DR_OUTCOME_FAILED, .code = DR_E_BEHIND };
	step((struct dr_agent_event){ .kind = DR_AG_OP_ENDED, .result = &r, .untouched = untouched });
	assert_true(did.journal && did.answer);
}

/* Refused before anything was sent, it stays the standby that it was: nobody ends it, and the guard lets go. */
static void test_refused_is_a_standby(void **state)
{
	(void)state;
	promotion_fails(true);
	assert_false(core.journal.turning || core.turning);
	order(DR_ORDER_FROZEN, 12, 5, false);
	assert_int_equal(did.fence, DR_FENCE_NONE);
	assert_true(did.start_op);
	server(DR_SERVER_STANDBY);
	assert_true(did.disarm);
}

/* What was sent may still be carried out, also what an earlier try sent. */
static void test_failed_may_turn(void **state)
{
	promotion_fails(false);
	assert_true(core.journal.turning && core.turning);
	(void)turning(state);
	promotion_fails(false);
	order(DR_ORDER_WRITABLE, 12, 4, false); /* under the same lease, no older than it */
	assert_true(did.start_op);
	struct dr_order_result r = { .number = 12, .epoch = 4, .outcome = DR_OUTCOME_FAILED, .code = DR_E_FAILED };
	step((struct dr_agent_event){ .kind = DR_AG_OP_ENDED, .result = &r, .untouched = true });
	assert_true(core.journal.turning && core.turning);
}

/* Let go, it is nobody's business. */
static void test_released(void **state)
{
	(void)state;
	server(DR_SERVER_PRIMARY);
	order(DR_ORDER_RELEASED, 12, 5, false);
	struct dr_order_result r = { .number = 12, .epoch = 5, .outcome = DR_OUTCOME_DONE };
	step((struct dr_agent_event){ .kind = DR_AG_OP_ENDED, .result = &r });
	assert_true(did.disarm);
	assert_false(core.journal.turning || core.turning);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup(test, turning)
	const struct CMUnitTest tests[] = {
		T(test_guard_stays_until_it_ends), T(test_fenced_in_time), T(test_is_no_standby), T(test_lease_ends),
		T(test_restart), T(test_refused_is_a_standby), T(test_failed_may_turn), T(test_released),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
