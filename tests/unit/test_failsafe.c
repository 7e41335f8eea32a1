/* test_failsafe.c -- a lease that goes on without a leader, and the promises that it rests on (design.md 4.8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/agent_core.h"

enum { TTL = 1500, HOLD = 1508 /* metro, d = 0.2 %, and a clock that is read cut off */, RENEW = 250, BUDGET = 300 };

static struct dr_agent_core core;
static struct dr_agent_decision did;
static struct dr_agent_journal journal;
static uint64_t now;

static struct dr_name name(const char *s)
{
	struct dr_name n;
	assert_true(dr_name_set(&n, s));
	return n;
}

static void begin(const char *self, uint64_t inherited_until)
{
	struct dr_name n = name(self);
	dr_agent_core_init(&core, &n, &journal, dr_timing_profile("metro"), 500, inherited_until != 0 ? 3 : 0,
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

static void server(enum dr_server_state s)
{
	step((struct dr_agent_event){ .kind = DR_AG_SERVER, .server = s });
}

static struct dr_order listed(uint64_t number, uint64_t epoch, uint64_t version, const char *a, const char *b)
{
	struct dr_order o = { .core = { .kind = DR_ORDER_LISTED, .number = number, .epoch = epoch,
					.target = DR_MEMBER_NONE, .list_version = version } };
	const char *names[] = { a, b };
	for (int i = 0; i < 2; i++) {
		if (names[i] != NULL)
			o.peer[o.peers++] = (struct dr_order_peer){ .member = name(names[i]), .listed = true };
	}
	o.peer[o.peers++] = (struct dr_order_peer){ .member = name("pg-z") }; /* a peer, and not listed */
	return o;
}

static void order(const struct dr_order *o)
{
	step((struct dr_agent_event){ .kind = DR_AG_ORDER, .order = o });
}

static void op_done(uint64_t number)
{
	struct dr_order_result r = { .number = number, .epoch = core.journal.epoch, .outcome = DR_OUTCOME_DONE };
	step((struct dr_agent_event){ .kind = DR_AG_OP_ENDED, .result = &r });
}

static void list_is(uint64_t number, uint64_t version, const char *a, const char *b)
{
	struct dr_order o = listed(number, 3, version, a, b);
	order(&o);
	assert_true(did.start_op);
	op_done(number);
	assert_true(did.journal);
	assert_int_equal(core.journal.list.version, version);
}

static void promised_by(const char *who, uint64_t id, enum dr_err code, uint64_t seen)
{
	struct dr_promise p = { .member = name(who), .epoch = 3, .id = id, .code = code, .seen_epoch = seen };
	step((struct dr_agent_event){ .kind = DR_AG_PROMISE, .promise = &p });
}

/* The primary of epoch 3; its lease was granted at `now`, it has listed pg-b and pg-c. */
static int primary(void **state)
{
	(void)state;
	now = 100000;
	memset(&journal, 0, sizeof(journal));
	journal.managed = true;
	journal.role = DR_ROLE_PRIMARY;
	journal.epoch = 3;
	journal.order_seen = 10;
	journal.done = (struct dr_order_result){ .number = 10, .epoch = 3, .outcome = DR_OUTCOME_DONE };
	begin("pg-a", now + 400);
	step((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = true });
	server(DR_SERVER_PRIMARY);
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = true });
	step((struct dr_agent_event){ .kind = DR_AG_GRANT, .id = did.renew_id, .epoch = 3, .ttl_ms = TTL });
	assert_true(did.arm);
	now += 400; /* what it inherited is over: nobody knows whether that was an extension */
	list_is(11, 7, "pg-b", "pg-c");
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = false });
	now -= 400;
	core.now_ms = now;
	return 0;
}

static int standby(void **state)
{
	(void)state;
	now = 100000;
	memset(&journal, 0, sizeof(journal));
	journal.managed = true;
	journal.role = DR_ROLE_STANDBY;
	journal.epoch = 3;
	journal.order_seen = 10;
	begin("pg-b", 0);
	server(DR_SERVER_STANDBY);
	return 0;
}

/* Until the moment at which it asks: one renewal's time before the fence budget begins. */
static uint64_t wait_for_question(void)
{
	uint64_t at = core.lease_until_ms - BUDGET - RENEW;
	tick(at - 1 - now);
	assert_false(did.ask);
	tick(1);
	assert_true(did.ask);
	assert_int_equal(did.question.epoch, 3);
	assert_int_equal(did.question.hold_ms, HOLD);
	return did.question.id;
}

static void test_extends_from_when_it_asked(void **state)
{
	(void)state;
	uint64_t id = wait_for_question(), asked = now, before = core.lease_until_ms;
	now += 40;
	promised_by("pg-b", id, DR_OK, 3);
	assert_int_equal(core.lease_until_ms, before);
	promised_by("pg-b", id, DR_OK, 3);
	promised_by("pg-z", id, DR_OK, 3);
	assert_int_equal(core.lease_until_ms, before);
	promised_by("pg-c", id, DR_OK, 3);
	assert_int_equal(core.lease_until_ms, asked + TTL);
	assert_true(did.arm);
	assert_true(dr_agent_on_promises(&core));
	assert_int_equal(did.fence, DR_FENCE_NONE);
	/* And so on, as long as they promise. */
	id = wait_for_question();
	promised_by("pg-c", id, DR_OK, 3);
	promised_by("pg-b", id, DR_OK, 3);
	assert_int_equal(core.lease_until_ms, now + TTL);
}

static void test_one_silent(void **state)
{
	(void)state;
	uint64_t id = wait_for_question(), until = core.lease_until_ms;
	promised_by("pg-b", id, DR_OK, 3);
	/* An answer to an older round says nothing of this one. */
	tick(RENEW / 2);
	assert_true(did.ask);
	assert_true(did.question.id != id);
	promised_by("pg-c", id, DR_OK, 3);
	promised_by("pg-b", did.question.id, DR_OK, 3);
	assert_int_equal(core.lease_until_ms, until);
	tick(until - BUDGET - now);
	assert_int_equal(did.fence, DR_FENCE_STOP);
	assert_false(did.ask);
	/* Too late: it is being stopped. */
	promised_by("pg-b", core.renewal_last, DR_OK, 3);
	promised_by("pg-c", core.renewal_last, DR_OK, 3);
	assert_int_equal(core.lease_until_ms, until);
}

static void test_newer_epoch_was_seen(void **state)
{
	(void)state;
	uint64_t id = wait_for_question(), until = core.lease_until_ms;
	promised_by("pg-b", id, DR_E_STALE, 4);
	promised_by("pg-c", id, DR_OK, 3);
	tick(RENEW / 2);
	assert_false(did.ask);
	tick(until - BUDGET - now);
	assert_int_equal(did.fence, DR_FENCE_STOP);
}

static void test_without_list_or_server(void **state)
{
	(void)state;
	core.journal.list.epoch = 2;
	tick(TTL - BUDGET - 10);
	assert_false(did.ask);
	core.journal.list.epoch = 3;
	server(DR_SERVER_STOPPED);
	assert_false(did.ask);
	server(DR_SERVER_PRIMARY);
	assert_true(did.ask);
}

/* Nobody may be promoted on the end of the lease: nobody has to be asked. */
static void test_empty_list(void **state)
{
	(void)state;
	core.journal.list.members = 0;
	tick(TTL - BUDGET - RENEW);
	assert_int_equal(core.lease_until_ms, now + TTL);
	assert_true(did.arm);
}

static void test_list_waits_for_extension(void **state)
{
	(void)state;
	uint64_t id = wait_for_question();
	promised_by("pg-b", id, DR_OK, 3);
	promised_by("pg-c", id, DR_OK, 3);
	uint64_t until = core.lease_until_ms;
	struct dr_order other = listed(12, 3, 8, "pg-b", "pg-d"), fewer = listed(13, 3, 9, "pg-b", NULL);
	step((struct dr_agent_event){ .kind = DR_AG_LEADER, .known = true });
	order(&other);
	assert_false(did.start_op);
	step((struct dr_agent_event){ .kind = DR_AG_GRANT, .id = core.renewal_last, .epoch = 3, .ttl_ms = TTL });
	tick(until - 1 - now);
	assert_false(did.start_op);
	order(&fewer); /* all of them promised */
	assert_true(did.start_op);
	op_done(13);
	assert_int_equal(core.journal.list.members, 1);
	tick(1);
	order(&other); /* lower than what was taken */
	assert_int_equal(did.answer_result.code, DR_E_STALE);
}

/* What was asked before another list was acknowledged was asked of others. */
static void test_list_voids_round(void **state)
{
	(void)state;
	uint64_t id = wait_for_question(), until = core.lease_until_ms;
	promised_by("pg-b", id, DR_OK, 3);
	struct dr_order o = listed(12, 3, 8, "pg-b", "pg-d");
	order(&o);
	op_done(12);
	promised_by("pg-b", id, DR_OK, 3);
	promised_by("pg-d", id, DR_OK, 3);
	assert_int_equal(core.lease_until_ms, until);
}

/* What was promised for a shorter lease carries no longer one. */
static void test_ttl_raised_meanwhile(void **state)
{
	(void)state;
	uint64_t id = wait_for_question(), asked = now;
	struct dr_timing longer = *dr_timing_profile("geo");
	longer.fence_budget_ms = BUDGET;
	step((struct dr_agent_event){ .kind = DR_AG_TIMING, .timing = &longer });
	promised_by("pg-b", id, DR_OK, 3);
	promised_by("pg-c", id, DR_OK, 3);
	assert_true(core.lease_until_ms <= asked + TTL);
}

/* Another agent speaks for it from now on: whoever promised was the old one. */
static void test_list_with_another_agent(void **state)
{
	(void)state;
	uint64_t id = wait_for_question();
	promised_by("pg-b", id, DR_OK, 3);
	promised_by("pg-c", id, DR_OK, 3);
	struct dr_order o = listed(12, 3, 8, "pg-b", "pg-c");
	o.peer[0].agent = name("agent-x");
	order(&o);
	assert_false(did.start_op);
}

/* Whose journal was lost can't say on whose promises its server runs. */
static void test_list_without_journal(void **state)
{
	(void)state;
	memset(&journal, 0, sizeof(journal));
	begin("pg-a", 0);
	server(DR_SERVER_PRIMARY);
	struct dr_order o = listed(12, 3, 8, "pg-b", NULL);
	order(&o);
	assert_false(did.start_op);
	assert_int_equal(did.answer_result.outcome, DR_OUTCOME_FAILED);
	assert_int_equal(core.journal.list.version, 0);
}

static void test_restart_knows_no_promisers(void **state)
{
	(void)state;
	struct dr_order o = listed(12, 3, 8, "pg-b", "pg-c");
	journal = core.journal;
	begin("pg-a", now + 1000);
	step((struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = true });
	server(DR_SERVER_PRIMARY);
	order(&o);
	assert_false(did.start_op);
	assert_int_equal(did.wake_at_ms, now + 1000 - BUDGET - RENEW);
	assert_true(dr_agent_has_list(&core));
}

/* ---- the other side */

static void asked(uint64_t epoch, uint64_t id, bool hears_leader)
{
	struct dr_ask a = { .service = name("orders"), .member = name("pg-a"), .of = name("pg-b"), .epoch = epoch,
			    .id = id, .hold_ms = 400 };
	step((struct dr_agent_event){ .kind = DR_AG_ASKED, .ask = &a, .known = hears_leader });
	assert_true(did.promise);
	assert_int_equal(did.promised.id, id);
	assert_int_equal(did.promised.epoch, epoch);
}

static void promote(uint64_t number, uint64_t epoch, uint64_t left)
{
	struct dr_order o = { .core = { .kind = DR_ORDER_WRITABLE, .number = number, .epoch = epoch } };
	order(&o);
	assert_int_equal(did.answer_result.outcome, left != 0 ? DR_OUTCOME_REFUSED : DR_OUTCOME_ACCEPTED);
	assert_int_equal(did.answer_result.code, left != 0 ? DR_E_PROMISED : DR_OK);
	assert_int_equal(did.answer_result.position, left);
}

static void test_promise_holds(void **state)
{
	(void)state;
	asked(3, 70, false);
	assert_int_equal(did.promised.code, DR_OK);
	assert_true(did.journal);
	assert_int_equal(core.journal.promise_ms, HOLD);
	tick(500);
	promote(11, 4, HOLD - 500);
	assert_true(did.journal);
	assert_int_equal(core.journal.epoch, 4);
	assert_int_equal(core.journal.order_seen, 10);
	/* That epoch was seen: nothing below it is promised any more. */
	asked(3, 71, false);
	assert_int_equal(did.promised.code, DR_E_STALE);
	assert_int_equal(did.promised.seen_epoch, 4);
	tick(HOLD - 501);
	promote(12, 4, 1);
	tick(1);
	assert_true(did.journal);
	assert_int_equal(core.journal.promise_ms, 0);
	promote(13, 4, 0);
}

static void test_promise_survives_restart(void **state)
{
	(void)state;
	asked(3, 70, false);
	journal = core.journal;
	tick(1000);
	begin("pg-b", 0);
	tick(HOLD - 1);
	promote(11, 4, 1);
}

/* A second one while the first runs needs no write: a restart counts the whole length anyway. */
static void test_promise_again(void **state)
{
	(void)state;
	asked(3, 70, false);
	tick(1000);
	asked(3, 71, false);
	assert_int_equal(did.promised.code, DR_OK);
	assert_false(did.journal);
	tick(HOLD - 1);
	promote(11, 4, 1);
}

static void test_no_promise(void **state)
{
	(void)state;
	asked(3, 70, true);
	assert_int_equal(did.promised.code, DR_E_CONFLICT);
	asked(2, 71, false);
	assert_int_equal(did.promised.code, DR_E_STALE);
	core.journal.role = DR_ROLE_PRIMARY;
	asked(3, 72, false);
	assert_int_equal(did.promised.code, DR_E_STALE);
	core.journal.managed = false;
	asked(9, 73, false);
	assert_int_equal(did.promised.code, DR_E_REFUSED);
	assert_false(did.journal);
	assert_int_equal(core.promise_until_ms, 0);
}

/* An empty journal may be a lost one. */
static void test_newborn(void **state)
{
	(void)state;
	memset(&journal, 0, sizeof(journal));
	begin("pg-b", 0);
	tick(HOLD - 1);
	promote(1, 1, 1);
	journal = core.journal; /* it was written, with the promise in it */
	begin("pg-b", 0);
	tick(HOLD - 1);
	promote(2, 1, 1);
	tick(1);
	promote(3, 1, 0);
}

static void test_promotion_brings_list(void **state)
{
	(void)state;
	struct dr_order o = listed(11, 4, 20, "pg-c", NULL);
	o.core.kind = DR_ORDER_WRITABLE;
	order(&o);
	assert_true(did.journal);
	assert_int_equal(core.journal.list.epoch, 4);
	assert_int_equal(core.journal.list.version, 20);
	assert_int_equal(core.journal.list.members, 1);
	assert_true(dr_agent_has_list(&core));
	/* Again, by an older list: it never goes back. */
	struct dr_order again = listed(12, 4, 19, NULL, NULL);
	again.core.kind = DR_ORDER_WRITABLE;
	order(&again);
	assert_int_equal(core.journal.list.members, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_extends_from_when_it_asked, primary),
		cmocka_unit_test_setup(test_one_silent, primary),
		cmocka_unit_test_setup(test_newer_epoch_was_seen, primary),
		cmocka_unit_test_setup(test_without_list_or_server, primary),
		cmocka_unit_test_setup(test_empty_list, primary),
		cmocka_unit_test_setup(test_list_waits_for_extension, primary),
		cmocka_unit_test_setup(test_list_voids_round, primary),
		cmocka_unit_test_setup(test_ttl_raised_meanwhile, primary),
		cmocka_unit_test_setup(test_list_with_another_agent, primary),
		cmocka_unit_test_setup(test_list_without_journal, primary),
		cmocka_unit_test_setup(test_restart_knows_no_promisers, primary),
		cmocka_unit_test_setup(test_promise_holds, standby),
		cmocka_unit_test_setup(test_promise_survives_restart, standby),
		cmocka_unit_test_setup(test_promise_again, standby),
		cmocka_unit_test_setup(test_no_promise, standby),
		cmocka_unit_test_setup(test_newborn, standby),
		cmocka_unit_test_setup(test_promotion_brings_list, standby),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
