/* test_base.c -- base/: errors and their records, buffers and views, CRC, strict parsing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/parse.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- error ---- */

static void every_code_has_a_distinct_lower_case_name_and_a_text(void **state)
{
	(void)state;
	for (int a = 0; a < DR_ERR_COUNT; a++) {
		const char *name = dr_err_name((enum dr_err)a);
		assert_true(name[0] != '\0');
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		assert_true(dr_err_text((enum dr_err)a)[0] != '\0');
		for (int b = 0; b < a; b++)
			assert_string_not_equal(name, dr_err_name((enum dr_err)b));
	}
	assert_string_equal(dr_err_name(DR_E_NOT_LEADER), "not_leader");
	assert_int_equal(dr_err_class(DR_OK), DR_CLASS_NONE);
	assert_int_equal(dr_err_class(DR_E_STALE), DR_CLASS_FENCED);
	assert_int_equal(dr_err_class(DR_E_CORRUPT), DR_CLASS_FATAL);
}

static void a_code_from_elsewhere_is_fatal_and_still_has_words(void **state)
{
	(void)state;
	assert_string_equal(dr_err_name((enum dr_err)DR_ERR_COUNT), "unknown_code");
	assert_string_equal(dr_err_text((enum dr_err)-1), "unknown error code");
	assert_int_equal(dr_err_class((enum dr_err)9999), DR_CLASS_FATAL);
}

static void fail_sets_code_and_message_and_returns_the_code(void **state)
{
	(void)state;
	struct dr_error e = { 0 };
	assert_int_equal(dr_fail(&e, DR_E_RANGE, "%s is %d", "k", 7), DR_E_RANGE);
	assert_int_equal(e.code, DR_E_RANGE);
	assert_string_equal(e.msg, "k is 7");
	assert_int_equal(dr_fail(NULL, DR_E_IO, "nobody listens"), DR_E_IO);
	dr_error_clear(&e);
	assert_int_equal(e.code, DR_OK);
	assert_string_equal(e.msg, "");
}

static void a_message_is_one_line_and_is_cut_not_overrun(void **state)
{
	(void)state;
	struct dr_error e = { 0 };
	(void)dr_fail(&e, DR_E_INVALID, "a\nb\r\nc");
	assert_string_equal(e.msg, "a b  c");

	char big[3 * DR_ERROR_MSG_MAX];
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	(void)dr_fail(&e, DR_E_INVALID, "%s", big);
	assert_int_equal(strlen(e.msg), DR_ERROR_MSG_MAX - 1);
	(void)dr_wrap(&e, "%s", big);
	assert_int_equal(strlen(e.msg), DR_ERROR_MSG_MAX - 1);
	assert_non_null(strstr(e.msg, ": xxx"));
}

static void a_message_may_be_made_of_itself(void **state)
{
	(void)state;
	struct dr_error e = { 0 };
	(void)dr_fail(&e, DR_E_IO, "inner");
	(void)dr_fail(&e, DR_E_FAILED, "outer (%s)", e.msg);
	assert_string_equal(e.msg, "outer (inner)");
}

static void wrap_puts_context_in_front_and_keeps_the_code(void **state)
{
	(void)state;
	struct dr_error e = { 0 };
	(void)dr_fail(&e, DR_E_TIMEOUT, "no answer");
	assert_int_equal(dr_wrap(&e, "member %s", "pg-a"), DR_E_TIMEOUT);
	assert_string_equal(e.msg, "member pg-a: no answer");
	assert_int_equal(dr_wrap(&e, "probe"), DR_E_TIMEOUT);
	assert_string_equal(e.msg, "probe: member pg-a: no answer");

	struct dr_error bare = { .code = DR_E_TIMEOUT };
	(void)dr_wrap(&bare, "probe");
	assert_string_equal(bare.msg, "probe: deadline passed");
}

static void errno_becomes_a_code_and_its_text_stands_behind(void **state)
{
	(void)state;
	static const struct {
		int err;
		enum dr_err code;
	} rows[] = {
		{ ENOSPC, DR_E_NO_SPACE }, { EDQUOT, DR_E_NO_SPACE }, { EACCES, DR_E_DENIED },
		{ EPERM, DR_E_DENIED }, { ENOENT, DR_E_NOT_FOUND }, { EEXIST, DR_E_EXISTS },
		{ ETIMEDOUT, DR_E_TIMEOUT }, { ECONNREFUSED, DR_E_UNREACHABLE },
		{ ENETUNREACH, DR_E_UNREACHABLE }, { EIO, DR_E_IO }, { EBADF, DR_E_IO },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct dr_error e = { 0 };
		assert_int_equal(dr_fail_errno(&e, rows[i].err, "open %s", "f"), rows[i].code);
		assert_int_equal(e.code, rows[i].code);
		assert_memory_equal(e.msg, "open f: ", 8);
		assert_string_equal(e.msg + 8, strerror(rows[i].err));
	}
}

static void hook_jumps_out(const char *cond, const char *file, int line)
{
	check_expected_ptr(cond);
	assert_non_null(strstr(file, "test_base.c"));
	assert_true(line > 0);
	jmp_buf *out = mock_ptr_type(jmp_buf *);
	longjmp(*out, 1);
}

static void a_failed_assertion_runs_the_hook_once_with_its_condition(void **state)
{
	(void)state;
	jmp_buf out;
	dr_assert(1 + 1 == 2);
	dr_assert_hook_set(hook_jumps_out);
	expect_string(hook_jumps_out, cond, "out_of == order");
	will_return(hook_jumps_out, &out);
	if (setjmp(out) == 0) {
		volatile int out_of = 1;
		volatile int order = 2;
		dr_assert(out_of == order);
		fail_msg("dr_assert let a false condition pass");
	}
	dr_assert_hook_set(NULL);
}

static void hook_hears_of_memory(const char *cond, const char *file, int line)
{
	assert_non_null(strstr(cond, "out of memory"));
	assert_non_null(strstr(file, "mem.c"));
	assert_true(line > 0);
	jmp_buf *out = mock_ptr_type(jmp_buf *);
	longjmp(*out, 1);
}

static void memory_that_is_not_there_runs_the_hook(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* its allocator ends the process itself */
#endif
	jmp_buf out;
	dr_assert_hook_set(hook_hears_of_memory);
	will_return(hook_hears_of_memory, &out);
	if (setjmp(out) == 0) {
		volatile size_t most = SIZE_MAX / 2;
		dr_free(dr_xcalloc(most));
		fail_msg("there was that much");
	}
	dr_assert_hook_set(NULL);
}

/* ---- buf ---- */

static void appended_bytes_stand_in_order_big_endian(void **state)
{
	(void)state;
	struct dr_buf b;
	dr_buf_init(&b, 64);
	dr_buf_put_u8(&b, 0x01);
	dr_buf_put_u16be(&b, 0x0203);
	dr_buf_put_u32be(&b, 0x04050607);
	dr_buf_put_u64be(&b, UINT64_C(0x08090a0b0c0d0e0f));
	dr_buf_put(&b, "\x10\x11", 2);
	assert_true(dr_buf_ok(&b));
	assert_int_equal(b.len, 17);
	for (size_t i = 0; i < b.len; i++)
		assert_int_equal(b.data[i], i + 1);
	dr_buf_close(&b);
}

static void a_view_reads_back_what_a_buffer_took(void **state)
{
	(void)state;
	struct dr_buf b;
	dr_buf_init(&b, 64);
	dr_buf_put_u64be(&b, UINT64_MAX - 1);
	dr_buf_put_u32be(&b, UINT32_MAX - 1);
	dr_buf_put_u16be(&b, 0xfffe);
	dr_buf_put_u8(&b, 0xfd);
	dr_buf_put(&b, "end", 3);
	struct dr_view v = dr_view_of(b.data, b.len);
	assert_true(dr_view_u64be(&v) == UINT64_MAX - 1);
	assert_true(dr_view_u32be(&v) == UINT32_MAX - 1);
	assert_int_equal(dr_view_u16be(&v), 0xfffe);
	assert_int_equal(dr_view_u8(&v), 0xfd);
	assert_int_equal(dr_view_left(&v), 3);
	assert_memory_equal(dr_view_bytes(&v, 3), "end", 3);
	assert_int_equal(dr_view_left(&v), 0);
	assert_false(v.bad);
	dr_buf_close(&b);
}

static void reading_past_the_end_is_bad_for_good_and_yields_zeros(void **state)
{
	(void)state;
	static const uint8_t three[] = { 1, 2, 3 };
	struct dr_view v = dr_view_of(three, sizeof(three));
	assert_int_equal(dr_view_u32be(&v), 0);
	assert_true(v.bad);
	assert_int_equal(dr_view_left(&v), 0);
	assert_int_equal(dr_view_u8(&v), 0); /* three bytes are there, but the view has failed */
	assert_null(dr_view_bytes(&v, 1));

	struct dr_view whole = dr_view_of(three, sizeof(three));
	assert_null(dr_view_bytes(&whole, SIZE_MAX));
	assert_true(whole.bad);

	struct dr_view none = dr_view_of(NULL, 0);
	assert_int_equal(dr_view_left(&none), 0);
	assert_int_equal(dr_view_u16be(&none), 0);
	assert_true(none.bad);
}

static void the_bound_holds_to_the_byte_and_the_error_sticks(void **state)
{
	(void)state;
	struct dr_buf b;
	dr_buf_init(&b, 4);
	dr_buf_put_u32be(&b, 1);
	assert_true(dr_buf_ok(&b));
	dr_buf_put_u8(&b, 1);
	assert_false(dr_buf_ok(&b));
	assert_int_equal(b.len, 4);

	dr_buf_clear(&b);
	assert_true(dr_buf_ok(&b));
	assert_null(dr_buf_reserve(&b, SIZE_MAX));
	dr_buf_put_u8(&b, 1); /* would fit, but the error sticks */
	assert_false(dr_buf_ok(&b));
	assert_int_equal(b.len, 0);
	dr_buf_close(&b);
}

static void a_buffer_grows_up_to_a_bound_that_is_no_power_of_two(void **state)
{
	(void)state;
	struct dr_buf b;
	dr_buf_init(&b, 1000);
	for (unsigned i = 0; i < 1000; i++)
		dr_buf_put_u8(&b, (uint8_t)i);
	assert_true(dr_buf_ok(&b));
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(b.data[i], (uint8_t)i);
	dr_buf_put_u8(&b, 0);
	assert_false(dr_buf_ok(&b));
	dr_buf_close(&b);
}

static void reserve_gives_room_and_grow_counts_what_was_used(void **state)
{
	(void)state;
	struct dr_buf b;
	dr_buf_init(&b, 16);
	assert_non_null(dr_buf_reserve(&b, 0)); /* an empty message: NULL would say that it does not fit */
	dr_buf_grow(&b, 0);
	assert_true(dr_buf_ok(&b));
	uint8_t *room = dr_buf_reserve(&b, 10);
	assert_non_null(room);
	assert_int_equal(b.len, 0);
	memcpy(room, "abc", 3);
	dr_buf_grow(&b, 3);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "abc", 3);
	dr_buf_close(&b);
}

static void drop_removes_from_the_front(void **state)
{
	(void)state;
	struct dr_buf b;
	dr_buf_init(&b, 16);
	dr_buf_drop(&b, 0); /* nothing of nothing */
	dr_buf_put(&b, "abcdef", 6);
	dr_buf_drop(&b, 4);
	assert_int_equal(b.len, 2);
	assert_memory_equal(b.data, "ef", 2);
	dr_buf_drop(&b, 2);
	assert_int_equal(b.len, 0);
	dr_buf_close(&b);
}

static void printf_appends_text_without_counting_its_nul(void **state)
{
	(void)state;
	struct dr_buf b;
	dr_buf_init(&b, 8);
	dr_buf_printf(&b, "%s-%d", "ab", 12);
	dr_buf_printf(&b, "%c", 'z');
	assert_int_equal(b.len, 6);
	assert_string_equal((char *)b.data, "ab-12z");
	dr_buf_printf(&b, "%s", "zz"); /* with its NUL one byte too many */
	assert_false(dr_buf_ok(&b));
	assert_int_equal(b.len, 6);
	dr_buf_close(&b);
	dr_buf_close(&b); /* twice is allowed */
}

/* RFC 3720 appendix B.4, and the check value that every catalogue lists. */
static void crc32c_gives_the_published_values(void **state)
{
	(void)state;
	uint8_t bytes[32];
	assert_int_equal(dr_crc32c(0, "", 0), 0);
	assert_true(dr_crc32c(0, "123456789", 9) == 0xe3069283u);
	memset(bytes, 0, sizeof(bytes));
	assert_true(dr_crc32c(0, bytes, sizeof(bytes)) == 0x8a9136aau);
	memset(bytes, 0xff, sizeof(bytes));
	assert_true(dr_crc32c(0, bytes, sizeof(bytes)) == 0x62a8ab43u);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	assert_true(dr_crc32c(0, bytes, sizeof(bytes)) == 0x46dd794eu);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(31 - i);
	assert_true(dr_crc32c(0, bytes, sizeof(bytes)) == 0x113fdb5cu);
}

static void crc32c_in_pieces_is_the_crc_of_the_whole(void **state)
{
	(void)state;
	static const char text[] = "epoch, then holder, then effect";
	uint32_t whole = dr_crc32c(0, text, sizeof(text));
	for (size_t cut = 0; cut <= sizeof(text); cut++)
		assert_true(dr_crc32c(dr_crc32c(0, text, cut), text + cut, sizeof(text) - cut) == whole);
}

static void crc32c_is_the_same_with_and_without_the_instruction(void **state)
{
	(void)state;
	uint8_t bytes[300];
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 131 ^ i >> 3);
	for (size_t from = 0; from < 9; from++) {
		for (size_t n = 0; from + n <= sizeof(bytes); n++)
			assert_true(dr_crc32c((uint32_t)n, bytes + from, n) ==
				    dr_crc32c_by_table((uint32_t)n, bytes + from, n));
	}
}

/* ---- mem ---- */

static void memory_comes_zeroed_even_for_no_bytes(void **state)
{
	(void)state;
	static const uint8_t zeros[64];
	uint8_t *p = dr_xcalloc(64);
	assert_memory_equal(p, zeros, 64);
	p = dr_xrealloc(p, 128);
	assert_memory_equal(p, zeros, 64);
	dr_free(p);
	void *none = dr_xcalloc(0);
	assert_non_null(none);
	dr_free(none);
	char *copy = dr_xstrdup("agent");
	assert_string_equal(copy, "agent");
	dr_free(copy);
	dr_free(NULL);
}

/* ---- parse ---- */

static void numbers_are_whole_decimal_and_within_bounds(void **state)
{
	(void)state;
	uint64_t v = 0;
	assert_int_equal(dr_parse_u64("0", 0, UINT64_MAX, &v), DR_OK);
	assert_true(v == 0);
	assert_int_equal(dr_parse_u64("18446744073709551615", 0, UINT64_MAX, &v), DR_OK);
	assert_true(v == UINT64_MAX);
	assert_int_equal(dr_parse_u64("007", 0, 10, &v), DR_OK);
	assert_true(v == 7);

	static const char *const invalid[] = { "", " 1", "1 ", "+1", "-1", "0x10", "1s", "1.0", "one", "1\n" };
	for (size_t i = 0; i < COUNT(invalid); i++)
		assert_int_equal(dr_parse_u64(invalid[i], 0, UINT64_MAX, &v), DR_E_INVALID);
	assert_int_equal(dr_parse_u64("18446744073709551616", 0, UINT64_MAX, &v), DR_E_RANGE);
	assert_int_equal(dr_parse_u64("99999999999999999999999", 0, UINT64_MAX, &v), DR_E_RANGE);
	assert_int_equal(dr_parse_u64("4", 5, 10, &v), DR_E_RANGE);
	assert_int_equal(dr_parse_u64("11", 5, 10, &v), DR_E_RANGE);
	assert_true(v == 7); /* untouched by what failed */
}

static void durations_need_a_unit(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum dr_err rv;
		uint64_t ms;
	} rows[] = {
		{ "250ms", DR_OK, 250 }, { "5s", DR_OK, 5000 }, { "2m", DR_OK, 120000 },
		{ "1h", DR_OK, 3600000 }, { "0s", DR_OK, 0 }, { "5", DR_E_INVALID, 0 },
		{ "5 s", DR_E_INVALID, 0 }, { "s", DR_E_INVALID, 0 }, { "-5s", DR_E_INVALID, 0 },
		{ "1.5s", DR_E_INVALID, 0 }, { "5S", DR_E_INVALID, 0 }, { "5sec", DR_E_INVALID, 0 },
		{ "", DR_E_INVALID, 0 }, { "18446744073709551615h", DR_E_RANGE, 0 },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t ms = 0;
		assert_int_equal(dr_parse_duration_ms(rows[i].text, &ms), rows[i].rv);
		if (rows[i].rv == DR_OK)
			assert_true(ms == rows[i].ms);
	}
}

static void sizes_take_binary_units_only(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum dr_err rv;
		uint64_t bytes;
	} rows[] = {
		{ "512", DR_OK, 512 }, { "16KiB", DR_OK, 16384 }, { "64MiB", DR_OK, UINT64_C(64) << 20 },
		{ "1GiB", DR_OK, UINT64_C(1) << 30 }, { "0", DR_OK, 0 }, { "16KB", DR_E_INVALID, 0 },
		{ "16k", DR_E_INVALID, 0 }, { "16 KiB", DR_E_INVALID, 0 }, { "KiB", DR_E_INVALID, 0 },
		{ "17179869184GiB", DR_E_RANGE, 0 },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t bytes = 0;
		assert_int_equal(dr_parse_size(rows[i].text, &bytes), rows[i].rv);
		if (rows[i].rv == DR_OK)
			assert_true(bytes == rows[i].bytes);
	}
}

static void a_bool_is_true_or_false_and_nothing_else(void **state)
{
	(void)state;
	bool v = false;
	assert_int_equal(dr_parse_bool("true", &v), DR_OK);
	assert_true(v);
	assert_int_equal(dr_parse_bool("false", &v), DR_OK);
	assert_false(v);
	static const char *const invalid[] = { "", "yes", "no", "1", "True", "true ", "on" };
	for (size_t i = 0; i < COUNT(invalid); i++)
		assert_int_equal(dr_parse_bool(invalid[i], &v), DR_E_INVALID);
}

static void addresses_are_literals_with_a_port(void **state)
{
	(void)state;
	char host[DR_HOST_MAX];
	uint16_t port = 0;
	assert_int_equal(dr_parse_host_port("10.1.0.2:7400", host, &port), DR_OK);
	assert_string_equal(host, "10.1.0.2");
	assert_int_equal(port, 7400);
	assert_int_equal(dr_parse_host_port("[fd00::1]:65535", host, &port), DR_OK);
	assert_string_equal(host, "fd00::1");
	assert_int_equal(port, 65535);

	static const char *const invalid[] = {
		"", ":", ":7400", "10.1.0.2", "10.1.0.2:", "10.1.0:7400", "10.1.0.256:1", "db.example:5432",
		"fd00::1:7400", "[fd00::1]", "[fd00::1:7400", "[]:1", "[10.1.0.2]:1", "10.1.0.2:+1",
		"10.1.0.2:1x", " 10.1.0.2:1",
	};
	for (size_t i = 0; i < COUNT(invalid); i++)
		assert_int_equal(dr_parse_host_port(invalid[i], host, &port), DR_E_INVALID);
	assert_int_equal(dr_parse_host_port("10.1.0.2:0", host, &port), DR_E_RANGE);
	assert_int_equal(dr_parse_host_port("10.1.0.2:65536", host, &port), DR_E_RANGE);

	char over[3 * DR_HOST_MAX];
	memset(over, '1', sizeof(over));
	memcpy(over + sizeof(over) - 3, ":1", 3);
	assert_int_equal(dr_parse_host_port(over, host, &port), DR_E_INVALID);
	assert_string_equal(host, "fd00::1"); /* untouched by what failed */
}

static void names_are_short_lower_case_words(void **state)
{
	(void)state;
	char longest[DR_NAME_MAX + 1];
	memset(longest, 'a', sizeof(longest));
	longest[DR_NAME_MAX] = '\0';
	assert_false(dr_is_name(longest));
	longest[DR_NAME_MAX - 1] = '\0';
	assert_true(dr_is_name(longest));
	assert_true(dr_is_name("a"));
	assert_true(dr_is_name("0"));
	assert_true(dr_is_name("pg-a-2"));
	static const char *const not[] = { "", "-a", "a-", "A", "a_b", "a.b", "a b", "a/b", "..", "\xc3\xa4" };
	for (size_t i = 0; i < COUNT(not); i++)
		assert_false(dr_is_name(not[i]));
}

static void text_is_copied_whole_or_cut_and_said_so(void **state)
{
	(void)state;
	char dst[4];
	assert_true(dr_copy_text(dst, sizeof(dst), "abc"));
	assert_string_equal(dst, "abc");
	assert_false(dr_copy_text(dst, sizeof(dst), "abcd"));
	assert_string_equal(dst, "abc");
	assert_true(dr_copy_text(dst, sizeof(dst), ""));
	assert_string_equal(dst, "");
	assert_false(dr_copy_text(dst, 1, "x"));
	assert_string_equal(dst, "");
}

static void edit_distance_counts_single_edits(void **state)
{
	(void)state;
	assert_int_equal(dr_edit_distance("", ""), 0);
	assert_int_equal(dr_edit_distance("site", "site"), 0);
	assert_int_equal(dr_edit_distance("", "abc"), 3);
	assert_int_equal(dr_edit_distance("kitten", "sitting"), 3);
	assert_int_equal(dr_edit_distance("sitting", "kitten"), 3);
	assert_int_equal(dr_edit_distance("durabilty", "durability"), 1);
	char a[200];
	char b[200];
	memset(a, 'a', sizeof(a) - 1);
	memset(b, 'b', sizeof(b) - 1);
	a[sizeof(a) - 1] = b[sizeof(b) - 1] = '\0';
	assert_int_equal(dr_edit_distance(a, b), 64); /* cut there */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_a_distinct_lower_case_name_and_a_text),
		cmocka_unit_test(a_code_from_elsewhere_is_fatal_and_still_has_words),
		cmocka_unit_test(fail_sets_code_and_message_and_returns_the_code),
		cmocka_unit_test(a_message_is_one_line_and_is_cut_not_overrun),
		cmocka_unit_test(a_message_may_be_made_of_itself),
		cmocka_unit_test(wrap_puts_context_in_front_and_keeps_the_code),
		cmocka_unit_test(errno_becomes_a_code_and_its_text_stands_behind),
		cmocka_unit_test(a_failed_assertion_runs_the_hook_once_with_its_condition),
		cmocka_unit_test(memory_that_is_not_there_runs_the_hook),
		cmocka_unit_test(appended_bytes_stand_in_order_big_endian),
		cmocka_unit_test(a_view_reads_back_what_a_buffer_took),
		cmocka_unit_test(reading_past_the_end_is_bad_for_good_and_yields_zeros),
		cmocka_unit_test(the_bound_holds_to_the_byte_and_the_error_sticks),
		cmocka_unit_test(a_buffer_grows_up_to_a_bound_that_is_no_power_of_two),
		cmocka_unit_test(reserve_gives_room_and_grow_counts_what_was_used),
		cmocka_unit_test(drop_removes_from_the_front),
		cmocka_unit_test(printf_appends_text_without_counting_its_nul),
		cmocka_unit_test(crc32c_gives_the_published_values),
		cmocka_unit_test(crc32c_in_pieces_is_the_crc_of_the_whole),
		cmocka_unit_test(crc32c_is_the_same_with_and_without_the_instruction),
		cmocka_unit_test(memory_comes_zeroed_even_for_no_bytes),
		cmocka_unit_test(numbers_are_whole_decimal_and_within_bounds),
		cmocka_unit_test(durations_need_a_unit),
		cmocka_unit_test(sizes_take_binary_units_only),
		cmocka_unit_test(a_bool_is_true_or_false_and_nothing_else),
		cmocka_unit_test(addresses_are_literals_with_a_port),
		cmocka_unit_test(names_are_short_lower_case_words),
		cmocka_unit_test(text_is_copied_whole_or_cut_and_said_so),
		cmocka_unit_test(edit_distance_counts_single_edits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
