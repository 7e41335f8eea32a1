/* test_core_runbook.c -- steps of people's own in a site plan: their turns, what a failure does, what is taken back; and that
 * all of it survives a snapshot. */
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

static void end_site(uint64_t id, uint64_t request)
{
	struct dr_cmd cmd = command(DR_CMD_SITE_CLOSE, DR_SERVICE_NONE);
	cmd.site_plan = id;
	cmd.reason = DR_REASON_OPERATOR;
	cmd.request = request;
	apply(cmd);
}

static void add_step(const char *text, enum dr_runbook_when when, uint32_t of, enum dr_runbook_plans plans, bool stops)
{
	uint32_t i = 0;
	while (repl->runbook[i].name.s[0] != '\0')
		i++;
	repl->runbook[i] = (struct dr_runbook_step){ .name = name(text), .when = when, .group = of, .plans = plans, .run = "do",
						     .undo = "undo", .timeout_ms = 1000,
						     .on_failure = stops ? DR_RUNBOOK_STOP : DR_RUNBOOK_GO_ON };
}

/* The step that has its turn; "" when services have theirs, or nothing is open. */
static const char *running(void)
{
	const struct dr_site_plan *p = newest();
	return p->open && p->running != 0 ? p->step[p->running - 1].name.s : "";
}

static void step_ends(bool done)
{
	struct dr_cmd cmd = command(DR_CMD_SITE_STEP, DR_SERVICE_NONE);
	cmd.site_plan = newest()->id;
	cmd.step = newest()->running - 1;
	cmd.flag = done;
	cmd.flag2 = newest()->undoing;
	cmd.reason = done ? DR_REASON_NONE : DR_REASON_STEP_FAILED;
	apply(cmd);
}

/* Who may run what was given up says that he does not, or its time is over. */
static void nobody_runs(void)
{
	struct dr_cmd cmd = command(DR_CMD_SITE_STEP, DR_SERVICE_NONE);
	cmd.site_plan = newest()->id;
	cmd.step = newest()->running - 1;
	cmd.force = true;
	cmd.flag2 = newest()->undoing;
	apply(cmd);
}

static enum dr_site_step_state state_of(const char *step)
{
	for (uint32_t i = 0; i < newest()->steps; i++) {
		if (dr_name_is(&newest()->step[i].name, step))
			return newest()->step[i].state;
	}
	return DR_SITE_STEP_STATES;
}

/* Lost: the first service's plan waits for the step, too; a step that fails stops nobody. */
static void test_steps(void **state)
{
	(void)state;
	add_step("last", DR_RUNBOOK_AFTER, 0, DR_RUNBOOK_ANY, false);
	add_step("between", DR_RUNBOOK_AFTER_GROUP, 1, DR_RUNBOOK_ANY, false);
	add_step("planned", DR_RUNBOOK_BEFORE, 0, DR_RUNBOOK_PLANNED, false);
	add_step("first", DR_RUNBOOK_BEFORE, 0, DR_RUNBOOK_FAILOVER, false);
	assert_false(opens(0, "az-a", 0, DR_PLAN_FAILOVER));
	assert_string_equal(running(), "first");
	assert_int_equal(newest()->steps, 3);
	assert_false(opens(1, NULL, open_now(), DR_PLAN_FAILOVER));
	step_ends(false);
	assert_string_equal(running(), "");
	for (uint32_t i = 0; i < 3; i++)
		assert_true(opens(i, NULL, open_now(), DR_PLAN_FAILOVER));
	for (uint32_t i = 0; i < 3; i++)
		moves_to(i, B);
	assert_string_equal(running(), "between");
	assert_false(opens(3, NULL, open_now(), DR_PLAN_FAILOVER));
	step_ends(true);
	step_ends(true); /* once more, too late */
	assert_true(opens(3, NULL, open_now(), DR_PLAN_FAILOVER));
	moves_to(3, B);
	assert_string_equal(running(), "last");
	step_ends(true);
	assert_int_equal(open_now(), 0);
	assert_int_equal(last_event(DR_EVENT_SITE_CLOSED)->outcome, DR_OUTCOME_FAILED);
	assert_string_equal(last_event(DR_EVENT_SITE_CLOSED)->text, "failed: first (step_failed)");
}

static void approve(uint64_t id, uint64_t request)
{
	struct dr_cmd cmd = command(DR_CMD_SITE_APPROVE, DR_SERVICE_NONE);
	cmd.site_plan = id;
	cmd.request = request;
	apply(cmd);
}

/* One that must not fail: a person goes on without it, or gives the plan up, and then what was done is undone. */
static void test_step_stops(void **state)
{
	(void)state;
	add_step("first", DR_RUNBOOK_BEFORE, 0, DR_RUNBOOK_ANY, false);
	add_step("must", DR_RUNBOOK_BEFORE, 0, DR_RUNBOOK_ANY, true);
	ask(DR_PLAN_SWITCHOVER, 1);
	step_ends(true);
	approve(open_now(), 2);
	assert_int_equal(dr_repl_request_find(repl, 2)->refused, DR_REASON_NOTHING_TO_APPROVE);
	step_ends(false);
	assert_true(newest()->asks);
	assert_false(opens(0, NULL, open_now(), DR_PLAN_SWITCHOVER));
	approve(open_now(), 3);
	assert_false(newest()->asks);
	assert_true(opens(0, NULL, open_now(), DR_PLAN_SWITCHOVER));
	end_site(open_now(), 4);
	assert_string_equal(running(), "must");
	assert_int_equal(state_of("must"), DR_SITE_STEP_ENDING);
	step_ends(true); /* an end of it that came too late: somebody else may run it yet */
	assert_int_equal(state_of("must"), DR_SITE_STEP_ENDING);
	nobody_runs();
	assert_int_equal(state_of("must"), DR_SITE_STEP_UNDOING);
	nobody_runs(); /* once more */
	assert_int_equal(state_of("must"), DR_SITE_STEP_UNDOING);
	moves_to(0, B); /* what moves goes on, meanwhile */
	assert_int_equal(part(0), DR_PART_DONE);
	step_ends(true);
	assert_string_equal(running(), "first");
	nobody_runs();
	step_ends(false);
	assert_int_equal(open_now(), 0);
	assert_int_equal(state_of("must"), DR_SITE_STEP_UNDONE);
	assert_int_equal(state_of("first"), DR_SITE_STEP_UNDO_FAILED);
	/* Given up twice, it ends at once. */
	ask(DR_PLAN_SWITCHOVER, 5);
	step_ends(true);
	end_site(open_now(), 6);
	assert_int_equal(state_of("must"), DR_SITE_STEP_ENDING);
	end_site(open_now(), 7);
	assert_int_equal(open_now(), 0);
	/* What runs somewhere is ended all the same. */
	assert_int_equal(state_of("must"), DR_SITE_STEP_ENDING);
	nobody_runs();
	assert_int_equal(state_of("must"), DR_SITE_STEP_FAILED);
	assert_int_equal(newest()->running, 0);
	assert_int_equal(state_of("first"), DR_SITE_STEP_DONE);
}

/* An undo that is given up is ended, too; of a step that was done only whether it is undone is not known yet. */
static void test_undo_given_up(void **state)
{
	(void)state;
	add_step("first", DR_RUNBOOK_BEFORE, 0, DR_RUNBOOK_ANY, false);
	add_step("second", DR_RUNBOOK_BEFORE, 0, DR_RUNBOOK_ANY, false);
	ask(DR_PLAN_SWITCHOVER, 1);
	step_ends(true);
	step_ends(true);
	end_site(open_now(), 2);
	nobody_runs();
	assert_int_equal(state_of("second"), DR_SITE_STEP_UNDOING);
	end_site(open_now(), 3);
	assert_int_equal(open_now(), 0);
	assert_int_equal(state_of("second"), DR_SITE_STEP_UNDO_ENDING);
	nobody_runs();
	assert_int_equal(state_of("second"), DR_SITE_STEP_UNDO_FAILED);
	ask(DR_PLAN_SWITCHOVER, 4);
	step_ends(true);
	step_ends(true);
	end_site(open_now(), 5);
	assert_int_equal(state_of("second"), DR_SITE_STEP_ENDING);
	end_site(open_now(), 6);
	assert_int_equal(state_of("second"), DR_SITE_STEP_DONE);
	assert_int_equal(newest()->running, 0);
}

/* A service's own plan asks a person, who may still let it move: nothing is taken back under it. */
static void test_not_taken_back_while_one_asks(void **state)
{
	(void)state;
	add_step("first", DR_RUNBOOK_BEFORE, 0, DR_RUNBOOK_ANY, false);
	ask(DR_PLAN_SWITCHOVER, 1);
	step_ends(true);
	assert_true(opens(0, NULL, open_now(), DR_PLAN_SWITCHOVER));
	struct dr_cmd cmd = command(DR_CMD_ASK, 0);
	cmd.plan = repl->service[0].plan.id;
	cmd.reason = DR_REASON_NOT_ASKED;
	apply(cmd);
	assert_int_equal(part(0), DR_PART_LEFT);
	for (uint32_t i = 1; i < 4; i++)
		leave(i, DR_REASON_NO_CANDIDATE);
	assert_int_equal(open_now(), 0);
	assert_false(newest()->undoing);
	assert_int_equal(state_of("first"), DR_SITE_STEP_DONE);
}

/* Nothing moved: what was prepared is taken back by itself.  After a failover nothing is. */
static void test_steps_taken_back(void **state)
{
	(void)state;
	add_step("first", DR_RUNBOOK_BEFORE, 0, DR_RUNBOOK_ANY, false);
	add_step("last", DR_RUNBOOK_AFTER, 0, DR_RUNBOOK_ANY, false);
	ask(DR_PLAN_SWITCHOVER, 1);
	step_ends(true);
	for (uint32_t i = 0; i < 4; i++)
		leave(i, DR_REASON_NO_CANDIDATE);
	assert_true(newest()->undoing);
	assert_string_equal(running(), "first");
	nobody_runs();
	step_ends(true);
	assert_int_equal(open_now(), 0);
	assert_int_equal(state_of("last"), DR_SITE_STEP_WAITING);
	ask(DR_PLAN_FAILOVER, 2);
	step_ends(true);
	end_site(open_now(), 3);
	assert_int_equal(open_now(), 0);
	assert_int_equal(state_of("first"), DR_SITE_STEP_DONE);
}

static void encode(struct dr_buf *b, const struct dr_repl *r)
{
	static const uint8_t head[32];
	dr_buf_init(b, 16 << 20);
	dr_snapshot_encode(b, r, head);
	assert_true(dr_buf_ok(b));
}

static void test_steps_in_snapshot(void **state)
{
	uint8_t head[32];
	struct dr_error e = { 0 };
	struct dr_buf b;
	(void)state;
	add_step("first", DR_RUNBOOK_BEFORE, 0, DR_RUNBOOK_PLANNED, true);
	add_step("last", DR_RUNBOOK_AFTER, 0, DR_RUNBOOK_ANY, false);
	ask(DR_PLAN_SWITCHOVER, 1);
	step_ends(false);
	struct dr_repl *was = repl;
	struct dr_repl *now = mmap(NULL, sizeof(*repl), PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(now, MAP_FAILED);
	encode(&b, was);
	dr_repl_init(now);
	assert_int_equal(dr_snapshot_decode(now, head, b.data, b.len, &e), DR_OK);
	assert_memory_equal(now->runbook, was->runbook, sizeof(now->runbook));
	assert_memory_equal(now->site_plan, was->site_plan, sizeof(now->site_plan));
	dr_buf_put(&b, (const uint8_t[]){ 0xf8, 0x7f, 0x01 }, 3); /* a later build's field: half of it is no state to go on from */
	assert_int_equal(dr_snapshot_decode(repl, head, b.data, b.len, &e), DR_E_CORRUPT);
	assert_non_null(strstr(e.msg, "run the version that wrote it"));
	dr_buf_close(&b);
	repl = now; /* and it goes on from there */
	end_site(open_now(), 2);
	assert_string_equal(running(), "first");
	nobody_runs();
	step_ends(true);
	assert_int_equal(open_now(), 0);
	repl = was;
	assert_int_equal(munmap(now, sizeof(*now)), 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, rig_begin, rig_end)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_steps), T(test_step_stops), T(test_steps_taken_back),
					    T(test_undo_given_up), T(test_not_taken_back_while_one_asks),
					    T(test_steps_in_snapshot) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
