/* test_dnsq.c -- the lab client's DNS codec: its own question, a real answer, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dnsq.h"

/* An answer as BIND sends it: the question back, then one A record whose name is a pointer. */
static size_t make_answer(uint8_t msg[DNSQ_MSG_MAX])
{
	static const uint8_t rr[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 2, 0, 20};
	size_t n = dnsq_build(7, "orders.demo.example.", msg);
	msg[2] |= 0x84;
	msg[7] = 1;
	memcpy(msg + n, rr, sizeof(rr));
	return n + sizeof(rr);
}

static void test_build(void **unused)
{
	(void)unused;
	uint8_t msg[DNSQ_MSG_MAX];
	assert_int_equal(dnsq_build(7, "orders.demo.example.", msg), 12 + 21 + 4);
	assert_memory_equal(msg + 12, "\6orders\4demo\7example\0\0\1\0\1", 25);
	assert_int_equal(dnsq_build(7, "", msg), 0);
	assert_int_equal(dnsq_build(7, "a..b", msg), 0);
}

static void test_answer(void **unused)
{
	(void)unused;
	uint8_t msg[DNSQ_MSG_MAX];
	uint32_t addr = 0;
	size_t len = make_answer(msg);
	assert_int_equal(dnsq_parse(7, msg, len, &addr), 1);
	assert_memory_equal(&addr, "\x0a\x02\x00\x14", 4);
	assert_int_equal(dnsq_parse(8, msg, len, &addr), -1);
	msg[3] |= 3;
	assert_int_equal(dnsq_parse(7, msg, len, &addr), 0);
}

/* Cut anywhere, and with any one byte changed, it must end without reading outside (ASan watches). */
static void test_damage(void **unused)
{
	(void)unused;
	uint8_t msg[DNSQ_MSG_MAX];
	uint32_t addr = 0;
	size_t len = make_answer(msg);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(dnsq_parse(7, msg, cut, &addr), -1);
	for (size_t at = 0; at < len; at++) {
		uint8_t kept = msg[at];
		msg[at] = 0xff;
		assert_in_range(dnsq_parse(7, msg, len, &addr) + 1, 0, 2);
		msg[at] = kept;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
