/* test_raft_entry.c -- how commands stand in a log entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "raft/entry.h"

static void test_entry(void **state)
{
	uint8_t cmd[40], out[64];
	const uint8_t *back;
	struct dr_entry e;
	size_t len;

	(void)state;
	memset(cmd, 0xc3, sizeof cmd);
	for (size_t n = 1; n <= sizeof cmd; n++) {
		struct dr_entry_cmd one = { cmd, n };
		size_t size = dr_entry_size(&one, 1);

		assert_int_equal(size % 8, 0);
		dr_entry_wrap(out, 99, &one, 1);
		assert_true(dr_entry_open(&e, out, size));
		assert_int_equal(e.term, 99);
		assert_true(dr_entry_next(&e, &back, &len));
		assert_int_equal(len, n);
		assert_memory_equal(back, cmd, n);
		assert_true(dr_entry_durable(back, len));
		assert_false(dr_entry_next(&e, &back, &len));
		assert_false(dr_entry_open(&e, out, size - 8));
	}
	assert_false(dr_entry_durable((const uint8_t *)"\x7f", 1));
	assert_false(dr_entry_durable(cmd, 0));
}

/* Commands of all lengths in one entry come out one by one; one whose lengths don't add up is none. */
static void test_entry_of_several(void **state)
{
	enum { N = 30 };
	struct dr_entry_cmd cmd[N];
	uint8_t bytes[N], out[1024];
	const uint8_t *back;
	struct dr_entry e;
	size_t len, size;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		bytes[i] = (uint8_t)i;
		cmd[i] = (struct dr_entry_cmd){ bytes, i };
	}
	size = dr_entry_size(cmd, N);
	assert_true(size % 8 == 0 && size <= sizeof out);
	dr_entry_wrap(out, UINT64_MAX - 1, cmd, N);
	assert_true(dr_entry_open(&e, out, size));
	assert_true(e.term == UINT64_MAX - 1);
	for (size_t i = 0; i < N; i++) {
		assert_true(dr_entry_next(&e, &back, &len));
		assert_int_equal(len, i);
		assert_memory_equal(back, bytes, i);
	}
	assert_false(dr_entry_next(&e, &back, &len));
	out[DR_ENTRY_HEADER + 3] = 1; /* the first, which is empty */
	assert_false(dr_entry_open(&e, out, size));
	out[DR_ENTRY_HEADER] = 0xff;
	assert_false(dr_entry_open(&e, out, size));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_entry), cmocka_unit_test(test_entry_of_several) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
