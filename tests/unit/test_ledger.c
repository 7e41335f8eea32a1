/* test_ledger.c -- the heads of the ledger that coordinators compare: what is kept, what is told, what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "coord/shell/ledger.h"

/* A head that follows from index and history alone, as real ones do. */
static const uint8_t *head_at(uint64_t index, uint8_t history)
{
	static uint8_t head[DR_LEDGER_HEAD];
	for (unsigned i = 0; i < DR_LEDGER_HEAD; i++)
		head[i] = (uint8_t)((index >> (8 * (i % 8))) ^ ((uint64_t)history << (i % 3)));
	return head;
}

/* The events from..to. */
static void note(struct dr_ledger *l, uint64_t from, uint64_t to, uint8_t history)
{
	for (uint64_t i = from; i <= to; i++)
		dr_ledger_note(l, i, head_at(i, history));
}

/* What l tells, by way of its bytes. */
static struct dr_ledger_told told_by(const struct dr_ledger *l)
{
	struct dr_ledger_told t;
	struct dr_error e;
	struct dr_buf b;
	dr_buf_init(&b, DR_LEDGER_MESSAGE_MAX);
	assert_true(dr_ledger_encode(l, &b));
	assert_true(dr_buf_ok(&b));
	assert_int_equal(dr_ledger_decode(&t, b.data, b.len, &e), DR_OK);
	dr_buf_close(&b);
	return t;
}

static void expect_indexes(const struct dr_ledger *l, const uint64_t *want, uint32_t n)
{
	struct dr_ledger_told t = told_by(l);
	assert_int_equal(t.marks, n);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(t.mark[i].index, want[i]);
		assert_memory_equal(t.mark[i].head, head_at(want[i], 0), DR_LEDGER_HEAD);
	}
}

#define EXPECT_INDEXES(l, ...)                                                                     \
	expect_indexes(l, (const uint64_t[]){ __VA_ARGS__ }, sizeof((const uint64_t[]){ __VA_ARGS__ }) / 8)

static enum dr_ledger_verdict heard(const struct dr_ledger *by, const struct dr_ledger *from)
{
	struct dr_ledger_told t = told_by(from);
	return dr_ledger_compare(by, &t).verdict;
}

/* ---- what is kept and told ---- */

static void test_told(void **state)
{
	struct dr_ledger l = { 0 };
	struct dr_buf b;
	(void)state;
	dr_buf_init(&b, DR_LEDGER_MESSAGE_MAX);
	assert_false(dr_ledger_encode(&l, &b));
	assert_int_equal(b.len, 0);
	dr_buf_close(&b);
	note(&l, 1, 1, 0);
	EXPECT_INDEXES(&l, 1);
	note(&l, 2, 15, 0);
	EXPECT_INDEXES(&l, 15);
	note(&l, 16, 16, 0);
	EXPECT_INDEXES(&l, 16);
	note(&l, 17, 50, 0);
	EXPECT_INDEXES(&l, 50, 48, 32, 16);
	note(&l, 51, 200, 0);
	EXPECT_INDEXES(&l, 200, 192, 176, 160, 144, 128, 112, 96);
}

static void test_wrap(void **state)
{
	enum { ROUND = DR_LEDGER_EVERY * DR_LEDGER_KEPT };
	struct dr_ledger l = { 0 };
	struct dr_ledger_told t = { .marks = 1 };
	(void)state;
	note(&l, 1, 3 * ROUND + 5, 0);
	EXPECT_INDEXES(&l, 3 * ROUND + 5, 3 * ROUND, 3 * ROUND - 16, 3 * ROUND - 32, 3 * ROUND - 48, 3 * ROUND - 64,
		       3 * ROUND - 80, 3 * ROUND - 96);
	/* The oldest that is kept, and the one whose place it was. */
	for (unsigned oldest = 0; oldest < 2; oldest++) {
		t.mark[0].index = 2 * ROUND + oldest * DR_LEDGER_EVERY;
		memcpy(t.mark[0].head, head_at(t.mark[0].index, 0), DR_LEDGER_HEAD);
		assert_int_equal(dr_ledger_compare(&l, &t).verdict, oldest ? DR_LEDGER_SAME : DR_LEDGER_UNKNOWN);
	}
}

/* Events that were overwritten before they could be chained leave no marks; older ones of another round stay unseen. */
static void test_gaps(void **state)
{
	struct dr_ledger l = { 0 };
	(void)state;
	note(&l, 1, 40, 0);
	note(&l, 60, 70, 0);
	EXPECT_INDEXES(&l, 70, 64, 32, 16);
	note(&l, 5000, 5001, 0);
	EXPECT_INDEXES(&l, 5001);
}

static void test_restart(void **state)
{
	struct dr_ledger l = { 0 }, other = { 0 };
	(void)state;
	note(&other, 1, 110, 0);
	note(&l, 1, 100, 7);
	assert_int_equal(heard(&l, &other), DR_LEDGER_DIFFERS);
	dr_ledger_restart(&l, 105, head_at(105, 0));
	EXPECT_INDEXES(&l, 105);
	assert_int_equal(heard(&l, &other), DR_LEDGER_UNKNOWN);
	note(&l, 106, 112, 0);
	EXPECT_INDEXES(&l, 112);
	note(&other, 111, 120, 0);
	assert_int_equal(heard(&l, &other), DR_LEDGER_SAME);
	assert_int_equal(heard(&other, &l), DR_LEDGER_SAME);
	/* Of a cluster in which nothing has happened yet. */
	dr_ledger_restart(&l, 0, head_at(0, 0));
	assert_int_equal(heard(&l, &other), DR_LEDGER_UNKNOWN);
	note(&l, 1, 3, 0);
	EXPECT_INDEXES(&l, 3);
	dr_ledger_restart(&l, 96, head_at(96, 0));
	EXPECT_INDEXES(&l, 96);
	assert_int_equal(heard(&l, &other), DR_LEDGER_SAME);
}

/* ---- the codec ---- */

static enum dr_err decode(const uint8_t *p, size_t n)
{
	/* On the heap, so that reading beyond its end is found. */
	uint8_t *exact = malloc(n + 1);
	struct dr_ledger_told t;
	struct dr_error e;
	assert_non_null(exact);
	memcpy(exact + 1, p, n);
	enum dr_err rv = dr_ledger_decode(&t, exact + 1, n, &e);
	assert_true(rv == DR_OK || (rv == DR_E_PROTOCOL && e.msg[0] != '\0'));
	assert_true(rv != DR_OK || (t.marks > 0 && t.marks <= DR_LEDGER_TOLD));
	free(exact);
	return rv;
}

static void test_codec(void **state)
{
	struct dr_ledger l = { 0 };
	struct dr_buf b;
	(void)state;
	note(&l, 1, 200, 0);
	dr_buf_init(&b, DR_LEDGER_MESSAGE_MAX + 1);
	assert_true(dr_ledger_encode(&l, &b));
	assert_int_equal(b.len, DR_LEDGER_MESSAGE_MAX);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(decode(b.data, n), DR_E_PROTOCOL);
	assert_int_equal(decode(b.data, b.len), DR_OK);
	dr_buf_put_u8(&b, 0);
	assert_int_equal(decode(b.data, b.len), DR_E_PROTOCOL);
	/* Each count but the true one, also where whole marks remain. */
	for (unsigned marks = 0; marks < 256; marks++) {
		b.data[0] = (uint8_t)marks;
		for (unsigned whole = 0; whole <= DR_LEDGER_TOLD; whole++)
			assert_int_equal(decode(b.data, 1 + whole * DR_LEDGER_MARK_BYTES),
					 marks == whole && whole > 0 ? DR_OK : DR_E_PROTOCOL);
	}
	dr_buf_close(&b);
}

static void put_indexes(struct dr_buf *b, uint64_t first, uint64_t second)
{
	dr_buf_clear(b);
	dr_buf_put_u8(b, 2);
	dr_buf_put_u64be(b, first);
	dr_buf_put(b, head_at(first, 0), DR_LEDGER_HEAD);
	dr_buf_put_u64be(b, second);
	dr_buf_put(b, head_at(second, 0), DR_LEDGER_HEAD);
}

static void test_garbage(void **state)
{
	static const struct {
		uint64_t first, second;
		enum dr_err want;
	} rows[] = {
		{ 32, 16, DR_OK },          { 16, 16, DR_E_PROTOCOL }, { 16, 32, DR_E_PROTOCOL },
		{ 16, 0, DR_E_PROTOCOL },   { 0, 0, DR_E_PROTOCOL },   { UINT64_MAX, 1, DR_E_PROTOCOL },
		{ UINT64_MAX - 1, 1, DR_OK },
	};
	uint8_t noise[DR_LEDGER_MESSAGE_MAX];
	struct dr_buf b;
	(void)state;
	dr_buf_init(&b, DR_LEDGER_MESSAGE_MAX);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_indexes(&b, rows[i].first, rows[i].second);
		assert_int_equal(decode(b.data, b.len), rows[i].want);
	}
	dr_buf_close(&b);
	uint32_t seed = 1, taken = 0;
	for (unsigned round = 0; round < 20000; round++) {
		for (size_t i = 0; i < sizeof(noise); i++) {
			seed = seed * 1664525u + 1013904223u;
			noise[i] = (uint8_t)(seed >> 24);
		}
		unsigned marks = round % (DR_LEDGER_TOLD + 1);
		noise[0] = (uint8_t)marks;
		taken += decode(noise, 1 + marks * DR_LEDGER_MARK_BYTES) == DR_OK ? 1u : 0u;
	}
	assert_in_range(taken, 1, 20000 / 2);
}

/* ---- the comparison ---- */

static void test_same(void **state)
{
	struct dr_ledger a = { 0 }, b = { 0 };
	(void)state;
	note(&a, 1, 3, 0);
	note(&b, 1, 3, 0);
	assert_int_equal(heard(&a, &b), DR_LEDGER_SAME);
	note(&b, 4, 60, 0);
	assert_int_equal(heard(&a, &b), DR_LEDGER_UNKNOWN); /* too far behind: nothing in common */
	assert_int_equal(heard(&b, &a), DR_LEDGER_UNKNOWN);
	note(&a, 4, 20, 0);
	assert_int_equal(heard(&a, &b), DR_LEDGER_SAME);
	assert_int_equal(heard(&b, &a), DR_LEDGER_SAME);
	assert_string_equal(dr_ledger_verdict_name(DR_LEDGER_SAME), "same");
	assert_string_equal(dr_ledger_verdict_name(DR_LEDGER_DIFFERS), "differs");
	assert_string_equal(dr_ledger_verdict_name(DR_LEDGER_UNKNOWN), "unknown");
	assert_string_equal(dr_ledger_verdict_name((enum dr_ledger_verdict)77), "unknown");
}

/* The histories part after event 40: the first common mark of the other one is named. */
static void test_differs(void **state)
{
	struct dr_ledger a = { 0 }, b = { 0 };
	(void)state;
	note(&a, 1, 100, 0);
	note(&b, 1, 40, 0);
	note(&b, 41, 90, 9);
	struct dr_ledger_told t = told_by(&b);
	struct dr_ledger_compared c = dr_ledger_compare(&a, &t);
	assert_int_equal(c.verdict, DR_LEDGER_DIFFERS);
	assert_int_equal(c.ours.index, 48);
	assert_int_equal(c.theirs.index, 48);
	assert_memory_equal(c.ours.head, head_at(48, 0), DR_LEDGER_HEAD);
	assert_memory_equal(c.theirs.head, head_at(48, 9), DR_LEDGER_HEAD);
	/* One bit at the newest alone is enough. */
	t = told_by(&a);
	assert_int_equal(dr_ledger_compare(&a, &t).verdict, DR_LEDGER_SAME);
	t.mark[0].head[DR_LEDGER_HEAD - 1] ^= 1;
	c = dr_ledger_compare(&a, &t);
	assert_int_equal(c.verdict, DR_LEDGER_DIFFERS);
	assert_int_equal(c.ours.index, 100);
}

static void test_nothing_in_common(void **state)
{
	struct dr_ledger a = { 0 }, empty = { 0 };
	struct dr_ledger_told t = { .marks = 0 };
	(void)state;
	note(&a, 1, 100, 0);
	assert_int_equal(heard(&empty, &a), DR_LEDGER_UNKNOWN);
	assert_int_equal(dr_ledger_compare(&a, &t).verdict, DR_LEDGER_UNKNOWN);
	t = (struct dr_ledger_told){ .marks = 2, .mark = { { .index = 99 }, { .index = 17 } } };
	assert_int_equal(dr_ledger_compare(&a, &t).verdict, DR_LEDGER_UNKNOWN);
	t.mark[0].index = UINT64_MAX - 1;
	t.mark[1].index = 96 + (uint64_t)DR_LEDGER_EVERY * DR_LEDGER_KEPT;
	assert_int_equal(dr_ledger_compare(&a, &t).verdict, DR_LEDGER_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told),    cmocka_unit_test(test_wrap),    cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_restart), cmocka_unit_test(test_codec),   cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_same),    cmocka_unit_test(test_differs), cmocka_unit_test(test_nothing_in_common),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
