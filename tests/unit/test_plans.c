/* test_plans.c -- the tables of model/ proved: plans, steps, orders, reasons, events, commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/cmd.h"
#include "model/event.h"
#include "model/plan.h"

struct listed {
	unsigned id;
	const char *name, *word;
};

static const struct listed steps[] = {
#define STEP(id, name, word, secs, if_stuck, undo, help) { (id), #name, (word) },
#include "model/steps.def"
#undef STEP
};
static const struct listed orders[] = {
#define ORDER(id, name, word, lease, secs, help) { (id), #name, (word) },
#include "model/orders.def"
#undef ORDER
};
static const struct listed reasons[] = {
#define REASON(id, name, word, text, override) { (id), #name, (word) },
#include "model/reasons.def"
#undef REASON
};
static const struct listed events[] = {
#define EVENT(id, name, word, level, text) { (id), #name, (word) },
#include "model/events.def"
#undef EVENT
};
static const struct listed commands[] = {
#define COMMAND(id, name, durable, fields) { (id), #name, #name },
#include "model/commands.def"
#undef COMMAND
};

/* The plans as written, with a bar as its own word, so that nothing that plan.c does hides a mistake. */
static const char *const written[] = {
#define S(name) #name " "
#define BAR "| "
#define PLAN(id, name, word, steps) "" steps,
#include "model/plans.def"
#undef PLAN
#undef BAR
#undef S
};
static const struct listed plans[] = {
#define PLAN(id, name, word, steps) { (id), #name, (word) },
#include "model/plans.def"
#undef PLAN
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void unique(const struct listed *l, size_t n, unsigned max)
{
	for (size_t i = 0; i < n; i++) {
		assert_in_range(l[i].id, 1, max - 1);
		assert_true(l[i].word[0] != '\0');
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(l[i].id, l[j].id);
			assert_string_not_equal(l[i].name, l[j].name);
			assert_string_not_equal(l[i].word, l[j].word);
		}
	}
}

static void test_unique(void **state)
{
	(void)state;
	unique(steps, COUNT(steps), DR_STEP_ID_MAX);
	unique(orders, COUNT(orders), DR_ORDER_MAX);
	unique(reasons, COUNT(reasons), DR_REASON_KIND_MAX);
	unique(events, COUNT(events), DR_EVENT_KIND_MAX);
	unique(commands, COUNT(commands), DR_CMD_KIND_MAX);
	unique(plans, COUNT(plans), DR_PLAN_KIND_MAX);
}

/* A refusal is sent whole: rule with its values, and the verb that would go on with what it costs. */
static void test_reasons_fit(void **state)
{
	char text[512];
	(void)state;
	for (size_t i = 0; i < COUNT(reasons); i++) {
		enum dr_reason r = (enum dr_reason)reasons[i].id;
		const char *override = dr_reason_override(r);
		dr_reason_format(text, sizeof(text), dr_reason_text(r), UINT64_MAX, UINT64_MAX);
		assert_in_range(strlen(text), 1, DR_REASON_TEXT_MAX - 1);
		dr_reason_format(text, sizeof(text), override, UINT64_MAX, UINT64_MAX);
		assert_in_range(strlen(text), 0, DR_REASON_TEXT_MAX - 1);
		bool tells_cost = strpbrk(override, ":;") != NULL || strstr(override, " stops ") != NULL;
		if (strstr(override, "`drcoordctl ") != NULL && !tells_cost)
			fail_msg("%s: what does \"%s\" cost?", reasons[i].word, override);
	}
}

static void test_one_bar_or_none(void **state)
{
	(void)state;
	for (size_t p = 0; p < COUNT(plans); p++) {
		const char *bar = strchr(written[p], '|');
		const struct dr_plan_row *row = dr_plan_row((enum dr_plan_kind)plans[p].id);
		assert_non_null(row);
		assert_string_equal(row->name, plans[p].word);
		if (bar == NULL) {
			assert_int_equal(row->bar, row->steps);
			continue;
		}
		assert_null(strchr(bar + 1, '|'));
		uint32_t before = 0;
		for (const char *c = written[p]; c < bar; c++)
			before += *c == ' ' ? 1u : 0u;
		assert_int_equal(row->bar, before);
		assert_in_range(row->bar, 1, row->steps - 1);
	}
}

static void test_steps_known_and_once(void **state)
{
	(void)state;
	for (size_t p = 0; p < COUNT(plans); p++) {
		const struct dr_plan_row *row = dr_plan_row((enum dr_plan_kind)plans[p].id);
		assert_in_range(row->steps, plans[p].id == DR_PLAN_FAILBACK ? 0 : 1, DR_STEPS_MAX);
		if (row->steps == 0)
			continue;
		assert_int_equal(row->step[row->steps - 1], DR_STEP_CLOSE);
		for (uint32_t i = 0; i < row->steps; i++) {
			const struct dr_step_row *s = dr_step_row(row->step[i]);
			assert_non_null(s);
			assert_true(s->limit_ms > 0);
			assert_true(s->help[0] != '\0');
			for (uint32_t j = 0; j < i; j++)
				assert_int_not_equal(row->step[i], row->step[j]);
		}
	}
}

/* Undo is NEVER exactly right of the bar, and what can not be undone is never aborted. */
static void test_undo(void **state)
{
	(void)state;
	for (size_t p = 0; p < COUNT(plans); p++) {
		const struct dr_plan_row *row = dr_plan_row((enum dr_plan_kind)plans[p].id);
		for (uint32_t i = 0; row->bar < row->steps && i < row->steps; i++) {
			const struct dr_step_row *s = dr_step_row(row->step[i]);
			assert_int_equal(s->undo == DR_UNDO_NEVER, i >= row->bar);
			if (i >= row->bar)
				assert_int_not_equal(s->if_stuck, DR_STUCK_ABORT);
			else
				assert_int_not_equal(s->if_stuck, DR_STUCK_SKIP);
		}
	}
}

static uint32_t place(const struct dr_plan_row *row, enum dr_step s)
{
	uint32_t i = 0;
	while (i < row->steps && row->step[i] != s)
		i++;
	return i;
}

/* Nothing is made writable before a new epoch was declared and every former holder was proved fenced. */
static void test_fenced_before_writable(void **state)
{
	(void)state;
	unsigned promoting = 0;
	for (size_t p = 0; p < COUNT(plans); p++) {
		const struct dr_plan_row *row = dr_plan_row((enum dr_plan_kind)plans[p].id);
		uint32_t promote = place(row, DR_STEP_PROMOTE);
		uint32_t fence = place(row, DR_STEP_FENCE_OLD);
		if (fence < row->steps)
			assert_true(place(row, DR_STEP_DECLARE) < fence);
		if (promote == row->steps)
			continue;
		promoting++;
		assert_true(fence < promote);
		assert_true(place(row, DR_STEP_CHOOSE) < promote);
		assert_int_equal(promote, row->bar);
		assert_true(place(row, DR_STEP_CATCH_UP) < promote);
	}
	assert_int_equal(promoting, 2);
}

/* Steps that no plan has would be dead; a plan that gives an epoch away has the steps that go with it. */
static void test_every_step_used(void **state)
{
	(void)state;
	for (size_t s = 0; s < COUNT(steps); s++) {
		bool used = false;
		for (size_t p = 0; p < COUNT(plans); p++) {
			const struct dr_plan_row *row = dr_plan_row((enum dr_plan_kind)plans[p].id);
			used = used || place(row, (enum dr_step)steps[s].id) < row->steps;
		}
		if (!used)
			fail_msg("step %s is in no plan", steps[s].name);
	}
}

/* The one order that makes a server writable is the one that needs a lease. */
static void test_lease_for_writable_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(orders); i++) {
		enum dr_order_kind k = (enum dr_order_kind)orders[i].id;
		assert_int_equal(dr_order_needs_lease(k), k == DR_ORDER_WRITABLE);
		assert_true(dr_order_limit_ms(k) >= 1000);
	}
}

/* Only the lease tick, which binds nobody, may be lost with the page cache. */
static void test_durable(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(commands); i++) {
		enum dr_cmd_kind k = (enum dr_cmd_kind)commands[i].id;
		assert_int_equal(dr_cmd_durable(k), k != DR_CMD_TICK);
		assert_string_equal(dr_cmd_name(k), commands[i].name);
	}
	assert_string_equal(dr_cmd_name(DR_CMD_NONE), "NONE");
}

/* Texts of reasons use {a} and {b} only, and formatting fills them and never overflows. */
static void test_reason_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(reasons); i++) {
		enum dr_reason r = (enum dr_reason)reasons[i].id;
		char full[1024];
		char cut[16];
		for (const char *b = dr_reason_text(r); (b = strchr(b, '{')) != NULL; b++)
			assert_true(strncmp(b, "{a}", 3) == 0 || strncmp(b, "{b}", 3) == 0);
		dr_reason_format(full, sizeof(full), dr_reason_text(r), UINT64_MAX, 7);
		assert_null(strchr(full, '{'));
		memset(cut, 'x', sizeof(cut));
		dr_reason_format(cut, sizeof(cut), dr_reason_text(r), UINT64_MAX, UINT64_MAX);
		assert_true(strlen(cut) < sizeof(cut));
		assert_true(strncmp(cut, full, 4) == 0);
	}
	char one[1] = { 'x' };
	dr_reason_format(one, sizeof(one), "long", 0, 0);
	assert_int_equal(one[0], '\0');
}

static void test_total(void **state)
{
	(void)state;
	assert_null(dr_plan_row((enum dr_plan_kind)99));
	assert_null(dr_plan_row(DR_PLAN_NONE));
	assert_null(dr_step_row((enum dr_step)99));
	assert_string_equal(dr_plan_name((enum dr_plan_kind)77), "none");
	assert_string_equal(dr_step_name((enum dr_step)99), "none");
	assert_string_equal(dr_order_name((enum dr_order_kind)1000), "none");
	assert_string_equal(dr_reason_name((enum dr_reason)1000), "none");
	assert_string_equal(dr_event_name((enum dr_event_kind)1000), "none");
	assert_string_equal(dr_outcome_name((enum dr_outcome)1000), "none");
	assert_string_equal(dr_proof_name((enum dr_proof)1000), "none");
	assert_string_equal(dr_part_state_name((enum dr_part_state)1000), "none");
	assert_string_equal(dr_part_state_name(DR_PART_LEFT), "left");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unique),
		cmocka_unit_test(test_reasons_fit),
		cmocka_unit_test(test_one_bar_or_none),
		cmocka_unit_test(test_steps_known_and_once),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_fenced_before_writable),
		cmocka_unit_test(test_every_step_used),
		cmocka_unit_test(test_lease_for_writable_alone),
		cmocka_unit_test(test_durable),
		cmocka_unit_test(test_reason_texts),
		cmocka_unit_test(test_total),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
