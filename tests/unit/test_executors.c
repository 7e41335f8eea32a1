/* test_executors.c -- nothing is ordered that nobody carries out: plans order what exists, every order has its
 * stages in the agent, every stage its operation in an adapter, and every operation an adapter that offers it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <glob.h>

#include "adapters/adapter.h"
#include "agent/shell/stages.h"
#include "model/plan.h"

static const enum dr_order_kind orders[] = {
#define ORDER(id, name, word, lease, secs, help) DR_ORDER_##name,
#include "model/orders.def"
#undef ORDER
};
static const enum dr_op_kind ops[] = {
#define ADAPTER_OP(id, name, writes, help) DR_OP_##name,
#include "adapters/ops.def"
#undef ADAPTER_OP
};
static const struct dr_adapter *const adapters[] = {
#define ADAPTER(word, folder, variable) &variable,
#include "adapters/adapters.def"
#undef ADAPTER
};
static const enum dr_plan_kind plans[] = {
#define PLAN(id, name, word, steps) DR_PLAN_##name,
#include "model/plans.def"
#undef PLAN
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* How many stages the order has; it fails when they do not end, or are none that exist. */
static size_t stages_of(enum dr_kind kind, enum dr_order_kind order)
{
	const uint8_t *stage = dr_order_stages(kind, order);
	size_t n = 0;
	while (n < DR_OP_STAGES_MAX && stage[n] != DR_STAGE_END) {
		assert_in_range(stage[n], DR_STAGE_END + 1, DR_STAGE_COUNT - 1);
		n++;
	}
	if (n == DR_OP_STAGES_MAX)
		fail_msg("the stages of order %s do not end", dr_order_name(order));
	for (size_t rest = n; rest < DR_OP_STAGES_MAX; rest++)
		assert_int_equal(stage[rest], DR_STAGE_END);
	return n;
}

static void check_orders(enum dr_kind kind, bool used[DR_STAGE_COUNT])
{
	for (size_t i = 0; i < COUNT(orders); i++) {
		size_t n = stages_of(kind, orders[i]);
		bool given = orders[i] != DR_ORDER_ACKING || dr_kind_asks_to_ack(kind);
		if ((n == 0) == given)
			fail_msg("order %s has %zu stages for %s", dr_order_name(orders[i]), n, dr_kind_name(kind));
		for (size_t at = 0; at < n; at++)
			used[dr_order_stages(kind, orders[i])[at]] = true;
	}
	assert_int_equal(stages_of(kind, DR_ORDER_NONE), 0);
	assert_int_equal(dr_order_stages(kind, (enum dr_order_kind)1000)[0], DR_STAGE_END);
}

static void test_every_order_has_stages(void **state)
{
	bool used[DR_STAGE_COUNT] = { false };
	(void)state;
	for (int kind = DR_KIND_NONE + 1; kind < DR_KIND_COUNT; kind++)
		check_orders((enum dr_kind)kind, used);
	for (size_t s = DR_STAGE_END + 1; s < DR_STAGE_COUNT; s++) {
		if (!used[s])
			fail_msg("stage %zu is in no order", s);
	}
}

static unsigned count_ops(const struct dr_adapter *a, enum dr_kind kind, enum dr_order_kind order)
{
	unsigned found = 0;
	for (size_t at = 0; at < stages_of(kind, order); at++) {
		enum dr_op_kind op = dr_stage_op((enum dr_stage)dr_order_stages(kind, order)[at]);
		if (op == 0)
			continue;
		found++;
		if (!a->can[op])
			fail_msg("order %s needs %s, which %s lacks", dr_order_name(order), dr_op_name(op), a->name);
	}
	return found;
}

/* Whatever kind of server it is: its adapter has the operations that the orders' stages need. */
static void test_every_stage_has_its_op(void **state)
{
	(void)state;
	for (int kind = DR_KIND_NONE + 1; kind < DR_KIND_COUNT; kind++) {
		const struct dr_adapter *a = dr_adapter_find(dr_kind_adapter((enum dr_kind)kind));
		unsigned found = 0;
		assert_non_null(a);
		for (size_t i = 0; i < COUNT(orders); i++)
			found += count_ops(a, (enum dr_kind)kind, orders[i]);
		assert_true(found > 0);
	}
}

static void test_every_op_is_offered(void **state)
{
	bool known[DR_OP_MAX] = { false };
	(void)state;
	for (size_t i = 0; i < COUNT(ops); i++) {
		bool offered = false;
		known[ops[i]] = true;
		for (size_t a = 0; a < COUNT(adapters); a++)
			offered = offered || adapters[a]->can[ops[i]];
		if (!offered)
			fail_msg("no adapter offers %s", dr_op_name(ops[i]));
	}
	for (size_t a = 0; a < COUNT(adapters); a++) {
		assert_ptr_equal(dr_adapter_find(adapters[a]->name), adapters[a]);
		for (size_t op = 0; op < DR_OP_MAX; op++)
			assert_true(known[op] || !adapters[a]->can[op]);
	}
}

/* What the transcripts of tests/golden show: the core itself, in every scenario. */
static struct {
	bool started[DR_PLAN_KIND_MAX][DR_STEPS_MAX];
	bool issued[DR_ORDER_MAX];
	unsigned orders;
} shown;

static void note_started(const char *line)
{
	const char *slash = strchr(line, '/');
	char plan[32] = "";
	char step[32] = "";
	const char *begin = slash;
	assert_non_null(slash);
	while (begin > line && begin[-1] != ' ')
		begin--;
	assert_int_equal(sscanf(begin, "%31[a-z_]/%31[a-z_]", plan, step), 2);
	for (size_t p = 0; p < COUNT(plans); p++) {
		const struct dr_plan_row *row = dr_plan_row(plans[p]);
		for (uint32_t i = 0; strcmp(row->name, plan) == 0 && i < row->steps; i++)
			shown.started[plans[p]][i] |= strcmp(dr_step_name(row->step[i]), step) == 0;
	}
}

static void note_issued(const char *path, const char *line)
{
	const char *number = strchr(line, '#');
	char word[32] = "";
	bool exists = false;
	assert_non_null(number);
	assert_int_equal(sscanf(number, "#%*u %31[a-z_]", word), 1);
	for (size_t i = 0; i < COUNT(orders); i++) {
		if (strcmp(dr_order_name(orders[i]), word) != 0)
			continue;
		exists = stages_of(DR_KIND_POSTGRES, orders[i]) > 0 || stages_of(DR_KIND_MARIADB, orders[i]) > 0;
		shown.issued[orders[i]] = true;
	}
	shown.orders++;
	if (!exists)
		fail_msg("%s: nobody carries this out: %s", path, line);
}

static void read_transcript(const char *path)
{
	char line[1024];
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		const char *at = strstr(line, "= plan.step.started ");
		if (at != NULL)
			note_started(at);
		at = strstr(line, "= order.issued ");
		if (at != NULL)
			note_issued(path, at);
	}
	(void)fclose(f);
}

static void test_every_step_orders_what_exists(void **state)
{
	glob_t found;
	(void)state;
	assert_int_equal(glob(GOLDEN "/*.txt", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		read_transcript(found.gl_pathv[i]);
	globfree(&found);
	for (size_t p = 0; p < COUNT(plans); p++) {
		const struct dr_plan_row *row = dr_plan_row(plans[p]);
		for (uint32_t i = 0; i < row->steps; i++) {
			if (!shown.started[plans[p]][i])
				fail_msg("no transcript shows %s/%s", row->name, dr_step_name(row->step[i]));
		}
	}
	for (size_t i = 0; i < COUNT(orders); i++) {
		if (!shown.issued[orders[i]])
			fail_msg("no transcript shows an order %s", dr_order_name(orders[i]));
	}
	assert_true(shown.orders > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_order_has_stages),
		cmocka_unit_test(test_every_stage_has_its_op),
		cmocka_unit_test(test_every_op_is_offered),
		cmocka_unit_test(test_every_step_orders_what_exists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
