/* test_proto_promise.c -- what agents say to one another is what arrives, and nothing hostile is taken for it; and what they are
 * asked to run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "proto_samples.h"

static struct dr_buf bytes;
static struct dr_error err;

static struct dr_ask sample_ask(void)
{
	struct dr_ask a;
	memset(&a, 0, sizeof(a));
	a.service = sample_name("orders");
	a.member = sample_name("pg-a");
	a.of = sample_name("pg-b");
	a.epoch = sample_u64();
	a.id = sample_u64();
	a.hold_ms = sample_u32();
	return a;
}

static struct dr_promise sample_promise(enum dr_err code)
{
	struct dr_promise p;
	memset(&p, 0, sizeof(p));
	p.service = sample_name("orders");
	p.member = sample_name("pg-b");
	p.epoch = sample_u64();
	p.id = sample_u64();
	p.code = code;
	p.seen_epoch = sample_u64();
	return p;
}

static void test_there_and_back(void **state)
{
	(void)state;
	struct dr_ask a = sample_ask(), x;
	struct dr_promise p = sample_promise(DR_E_STALE), y;
	dr_ask_encode(&bytes, &a);
	assert_int_equal(dr_ask_decode(&x, bytes.data, bytes.len, &err), DR_OK);
	assert_memory_equal(&a, &x, offsetof(struct dr_ask, hold_ms) + sizeof(a.hold_ms));
	dr_buf_clear(&bytes);
	dr_promise_encode(&bytes, &p);
	assert_int_equal(dr_promise_decode(&y, bytes.data, bytes.len, &err), DR_OK);
	assert_memory_equal(&p, &y, sizeof(p));
}

/* A newer agent's word is no promise. */
static void test_unknown_code(void **state)
{
	(void)state;
	struct dr_promise p = sample_promise((enum dr_err)(DR_ERR_COUNT + 1)), y;
	dr_buf_clear(&bytes);
	dr_promise_encode(&bytes, &p);
	assert_int_equal(dr_promise_decode(&y, bytes.data, bytes.len, &err), DR_OK);
	assert_int_equal(y.code, DR_E_FAILED);
}

/* Cut anywhere and every bit flipped: an error or another message, never more than that. */
static void test_hostile(void **state)
{
	(void)state;
	struct dr_ask a = sample_ask(), x;
	struct dr_promise y;
	dr_buf_clear(&bytes);
	dr_ask_encode(&bytes, &a);
	for (size_t n = 0; n < bytes.len; n++) {
		(void)!dr_ask_decode(&x, bytes.data, n, &err);
		(void)!dr_promise_decode(&y, bytes.data, n, &err);
	}
	for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
		bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (dr_ask_decode(&x, bytes.data, bytes.len, &err) == DR_OK)
			assert_non_null(memchr(x.member.s, 0, sizeof(x.member.s)));
		(void)!dr_promise_decode(&y, bytes.data, bytes.len, &err);
		bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(dr_ask_decode(&x, (const uint8_t *)"\xff\xff\xff", 3, &err), DR_E_PROTOCOL);
	assert_int_equal(dr_promise_decode(&y, (const uint8_t *)"\xff\xff\xff", 3, &err), DR_E_PROTOCOL);
}

static void test_step(void **state)
{
	struct dr_step_ask ask = { .plan = sample_u64(), .kind = DR_PLAN_FAILBACK, .undo = true }, got;
	struct dr_step_answer answer = { .code = DR_E_FAILED }, said;
	struct dr_error e;
	struct dr_buf b;
	(void)state;
	sample_text(ask.key, sizeof(ask.key), "demo/site-plan/7/freeze/undo");
	ask.cluster = sample_name("demo");
	ask.site = sample_name("az-a");
	sample_step(&ask.step, "freeze");
	dr_buf_init(&b, 8192);
	dr_step_ask_encode(&b, &ask);
	assert_int_equal(dr_step_ask_decode(&got, b.data, b.len, &e), DR_OK);
	assert_memory_equal(&got, &ask, sizeof(ask));
	dr_buf_clear(&b);
	sample_text(answer.key, sizeof(answer.key), ask.key);
	sample_text(answer.text, sizeof(answer.text), "exit code 4");
	dr_step_answer_encode(&b, &answer);
	assert_int_equal(dr_step_answer_decode(&said, b.data, b.len, &e), DR_OK);
	assert_memory_equal(&said, &answer, sizeof(answer));
	dr_buf_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_unknown_code),
					    cmocka_unit_test(test_hostile), cmocka_unit_test(test_step) };
	dr_buf_init(&bytes, 1 << 16);
	int rv = cmocka_run_group_tests(tests, NULL, NULL);
	dr_buf_close(&bytes);
	return rv;
}
