/* test_proto_hostile.c -- bytes that no encoder of ours makes: they are refused, within a budget of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "proto_samples.h"

static struct dr_error err;

static struct dr_buf encoded(const struct dr_client_request *r)
{
	struct dr_buf b;
	dr_buf_init(&b, DR_FRAME_MAX);
	dr_client_request_encode(&b, r);
	assert_true(dr_buf_ok(&b));
	return b;
}

static void put_varint(struct dr_buf *b, uint64_t v)
{
	while (v >= 0x80) {
		dr_buf_put_u8(b, (uint8_t)(v | 0x80));
		v >>= 7;
	}
	dr_buf_put_u8(b, (uint8_t)v);
}

static void put_field(struct dr_buf *b, uint32_t field, const void *p, size_t n)
{
	put_varint(b, (uint64_t)field << 3 | 2);
	put_varint(b, n);
	dr_buf_put(b, p, n);
}

/* Two routes that claim the same place, each with all its servers. */
static void test_two_routes_in_one_place(void **state)
{
	(void)state;
	struct dr_spec *s = sample_spec();
	struct dr_client_request r;
	memset(&r, 0, sizeof(r));
	r.spec = s;
	struct dr_buf x = encoded(&r);
	/* Route.place is field 10: "0x50 place"; the second route of the first service claims the place of the first. */
	unsigned changed = 0;
	for (size_t i = 0; i + 1 < x.len; i++) {
		if (x.data[i] == 0x50 && x.data[i + 1] == 2) {
			x.data[i + 1] = 1;
			changed++;
		}
	}
	assert_true(changed > 0);
	struct dr_client_request b;
	assert_int_equal(dr_client_request_decode(&b, x.data, x.len, &err), DR_E_PROTOCOL);
	dr_spec_free(b.spec);
	dr_spec_free(r.spec);
	dr_buf_close(&x);
}

/* Messages of many tiny pieces unpack into far more memory than they take: the budget ends it. */
static void test_budget(void **state)
{
	(void)state;
	struct dr_buf spec;
	struct dr_buf b;
	struct dr_client_request r;
	dr_buf_init(&spec, DR_FRAME_MAX);
	dr_buf_init(&b, DR_FRAME_MAX);
	for (int i = 0; i < 100000; i++)
		put_field(&spec, 4, "", 0); /* Spec.service: an empty one is some 200 bytes in memory */
	put_field(&b, 13, spec.data, spec.len);
	assert_int_equal(dr_client_request_decode(&r, b.data, b.len, &err), DR_E_PROTOCOL);
	dr_buf_close(&b);
	/* The same in observations: refused or cut, never more than max. */
	struct dr_observation o[4];
	uint32_t count = 99;
	dr_buf_init(&b, DR_FRAME_MAX);
	for (int i = 0; i < 100000; i++)
		put_field(&b, 1, "", 0);
	assert_int_equal(dr_observations_decode(o, 4, &count, b.data, b.len, &err), DR_E_PROTOCOL);
	assert_int_equal(count, 0);
	dr_buf_close(&b);
	dr_buf_close(&spec);
}

static void test_text_is_made_printable(void **state)
{
	(void)state;
	struct dr_client_request r;
	struct dr_client_request b;
	memset(&r, 0, sizeof(r));
	sample_text(r.reason, sizeof(r.reason), "a\nb\033[31mc\x7f");
	struct dr_buf x = encoded(&r);
	assert_int_equal(dr_client_request_decode(&b, x.data, x.len, &err), DR_OK);
	assert_string_equal(b.reason, "a b [31mc ");
	dr_buf_close(&x);
}

static void test_names_are_checked(void **state)
{
	(void)state;
	struct dr_greet g;
	struct dr_greet b;
	memset(&g, 0, sizeof(g));
	sample_text(g.name.s, sizeof(g.name.s), "../etc");
	struct dr_buf x;
	dr_buf_init(&x, 4096);
	dr_greet_encode(&x, &g);
	assert_int_equal(dr_greet_decode(&b, x.data, x.len, &err), DR_E_PROTOCOL);
	assert_non_null(strstr(err.msg, "greet.name"));
	dr_buf_close(&x);
	char longer[DR_NAME_MAX + 1];
	memset(longer, 'a', sizeof(longer));
	dr_buf_init(&x, 4096);
	put_field(&x, 3, longer, sizeof(longer));
	assert_int_equal(dr_greet_decode(&b, x.data, x.len, &err), DR_E_PROTOCOL);
	dr_buf_close(&x);
}

static const uint8_t unknown[] = { 0xf8, 0x7f, 0x01 }; /* field 2047, a number: 1 */

/* A field of a later build, at the end of an entry or of a message in it: whoever skipped it would be no replica any more. */
static void test_command_of_later_build(void **state)
{
	struct dr_cmd c = { .kind = DR_CMD_ORDER, .order = { .kind = DR_ORDER_FROZEN, .number = 7, .epoch = 3 } }, b;
	struct dr_buf x;
	(void)state;
	dr_buf_init(&x, 4096);
	dr_cmd_encode(&x, &c);
	assert_int_equal(dr_cmd_decode(&b, x.data, x.len, &err), DR_OK);
	dr_cmd_close(&b);
	size_t whole = x.len;
	dr_buf_put(&x, unknown, sizeof(unknown));
	assert_int_equal(dr_cmd_decode(&b, x.data, x.len, &err), DR_E_CORRUPT);
	assert_non_null(strstr(err.msg, "this build does not know"));
	/* Command.order is field 16, the last one here: "0x82 0x01 length". */
	uint8_t *order = memmem(x.data, whole, "\x82\x01", 2);
	assert_non_null(order);
	assert_ptr_equal(order + 3 + order[2], x.data + whole);
	order[2] = (uint8_t)(order[2] + sizeof(unknown));
	assert_int_equal(dr_cmd_decode(&b, x.data, x.len, &err), DR_E_CORRUPT);
	assert_non_null(strstr(err.msg, "this build does not know"));
	dr_buf_close(&x);
}

/* A person's word is not taken for half of what it says. */
static void test_request_of_later_build(void **state)
{
	struct dr_client_request r, b;
	(void)state;
	memset(&r, 0, sizeof(r));
	r.id = 9;
	sample_text(r.verb, sizeof(r.verb), "failback");
	struct dr_buf x = encoded(&r);
	dr_buf_put(&x, unknown, sizeof(unknown));
	assert_int_equal(dr_client_request_decode_head(&b, x.data, x.len, &err), DR_E_UNSUPPORTED);
	assert_int_equal(b.id, 9);
	dr_buf_close(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_routes_in_one_place),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_text_is_made_printable),
		cmocka_unit_test(test_names_are_checked),
		cmocka_unit_test(test_command_of_later_build),
		cmocka_unit_test(test_request_of_later_build),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
