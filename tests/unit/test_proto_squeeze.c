/* test_proto_squeeze.c -- large specs and answers travel compressed; what only looks compressed is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/parse.h"
#include "model/spec.h"
#include "proto/codec.h"
#include "proto/pb.h"
#include "proto/squeeze.h"

enum { SERVICES = 10000, MEMBERS = 3 };

static struct dr_spec *many_services(void)
{
	struct dr_spec *s = dr_spec_new(SERVICES);
	(void)dr_name_set(&s->cluster, "demo");
	s->timing = *dr_timing_profile("default");
	for (uint32_t i = 0; i < SERVICES; i++) {
		struct dr_spec_service *one = &s->service[s->services++];
		(void)snprintf(one->name.s, sizeof(one->name.s), "orders-%u", i);
		one->kind = DR_KIND_POSTGRES;
		for (unsigned m = 0; m < MEMBERS; m++) {
			struct dr_spec_member *at = &one->member[m];
			(void)snprintf(at->name.s, sizeof(at->name.s), "pg-%u-%c", i, 'a' + (int)m);
			(void)snprintf(at->agent.s, sizeof(at->agent.s), "host-%u-%c", i, 'a' + (int)m);
			(void)snprintf(at->address.host, sizeof(at->address.host), "10.%u.%u.%u", m, i / 250, i % 250);
			at->address.port = 5432;
		}
	}
	return s;
}

static void same_services(const struct dr_spec *a, const struct dr_spec *b)
{
	assert_int_equal(a->services, b->services);
	for (uint32_t i = 0; i < a->services; i++)
		assert_memory_equal(&a->service[i], &b->service[i], sizeof(a->service[i]));
}

/* Ten thousand services are one entry and one frame. */
static void test_spec(void **state)
{
	struct dr_spec *s = many_services();
	struct dr_cmd c = { .kind = DR_CMD_SPEC, .service = DR_SERVICE_NONE, .spec = s }, c2;
	struct dr_client_request q = { .id = 7, .spec = s }, q2;
	struct dr_buf b;
	struct dr_error e;

	(void)state;
	dr_buf_init(&b, DR_ENTRY_MAX);
	dr_cmd_encode(&b, &c);
	assert_true(dr_buf_ok(&b));
	if (dr_cmd_decode(&c2, b.data, b.len, &e) != DR_OK)
		fail_msg("%s", e.msg);
	same_services(s, c2.spec);
	dr_cmd_close(&c2);
	dr_buf_clear(&b);
	dr_client_request_encode(&b, &q);
	assert_true(dr_buf_ok(&b) && b.len < DR_FRAME_MAX);
	assert_int_equal(dr_client_request_decode(&q2, b.data, b.len, &e), DR_OK);
	same_services(s, q2.spec);
	dr_spec_free(q2.spec);
	/* The head is had without it, damaged as it may be. */
	b.data[b.len / 2] ^= 0x20;
	assert_int_equal(dr_client_request_decode_head(&q2, b.data, b.len, &e), DR_OK);
	assert_true(q2.id == 7 && q2.spec == NULL);
	b.data[b.len / 2] ^= 0x20;
	/* Every byte of it that is another one is noticed, or changes the spec, but harms nobody. */
	for (size_t i = 0; i < b.len; i += b.len / 64) {
		b.data[i] ^= 0x20;
		if (dr_client_request_decode(&q2, b.data, b.len, &e) == DR_OK)
			dr_spec_free(q2.spec);
		b.data[i] ^= 0x20;
	}
	dr_buf_close(&b);
	dr_spec_free(s);
}

static void test_answer(void **state)
{
	enum { LONG = 3 << 20 };
	struct dr_client_response r = { .id = 9 }, r2;
	struct dr_buf b;
	struct dr_error e;

	(void)state;
	r.json = dr_xcalloc(LONG + 1);
	for (size_t i = 0; i < LONG; i++)
		r.json[i] = (char)('a' + i * i % 23);
	dr_buf_init(&b, DR_FRAME_MAX);
	dr_client_response_encode(&b, &r);
	assert_true(dr_buf_ok(&b));
	assert_int_equal(dr_client_response_decode(&r2, b.data, b.len, &e), DR_OK);
	assert_string_equal(r.json, r2.json);
	dr_free(r2.json);
	/* Made once, given to many. */
	struct dr_buf to;
	r.id = 0;
	dr_buf_clear(&b);
	dr_client_response_encode(&b, &r);
	dr_buf_init(&to, DR_FRAME_MAX);
	dr_client_response_address(&to, UINT64_MAX, &b);
	assert_int_equal(dr_client_response_decode(&r2, to.data, to.len, &e), DR_OK);
	assert_true(r2.id == UINT64_MAX && r2.code == DR_OK);
	assert_string_equal(r.json, r2.json);
	dr_free(r2.json);
	dr_free(r.json);
	dr_buf_close(&to);
	dr_buf_close(&b);
}

/* An answer's text is one: of nothing, or with a NUL in it, it would be another one than was sent. */
static void test_no_text(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} bad[] = { { "", 0 }, { "\0{}", 3 }, { "{}\0", 3 } };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		Drcoord__Pb__ClientResponse m = DRCOORD__PB__CLIENT_RESPONSE__INIT;
		struct dr_client_response r;
		struct dr_buf squeezed, b;
		struct dr_error e;
		dr_buf_init(&squeezed, 256);
		dr_buf_init(&b, 256);
		dr_squeeze(&squeezed, bad[i].text, bad[i].len);
		m.squeezed_json = (ProtobufCBinaryData){ .data = squeezed.data, .len = squeezed.len };
		dr_pb_pack(&b, &m.base);
		assert_int_equal(dr_client_response_decode(&r, b.data, b.len, &e), DR_E_PROTOCOL);
		assert_null(r.json);
		dr_buf_close(&b);
		dr_buf_close(&squeezed);
	}
}

/* A few bytes that say that they hold very many are refused before anything is made of them. */
static void test_bombs(void **state)
{
	struct dr_buf small, out, big;
	struct dr_error e;
	uint8_t *zeros = dr_xcalloc(DR_UNSQUEEZED_MAX + 1);

	(void)state;
	dr_buf_init(&small, DR_FRAME_MAX);
	dr_squeeze(&small, zeros, DR_UNSQUEEZED_MAX + 1);
	assert_true(small.len > 0 && small.len < 8192);
	dr_buf_init(&out, 2 * (size_t)DR_UNSQUEEZED_MAX);
	assert_int_equal(dr_unsqueeze(&out, small.data, small.len, &e), DR_E_PROTOCOL);
	assert_non_null(strstr(e.msg, "more than"));
	assert_int_equal(out.len, 0);
	dr_buf_clear(&small);
	dr_squeeze(&small, zeros, 100000);
	assert_int_equal(dr_unsqueeze(&out, small.data, small.len - 1, &e), DR_E_PROTOCOL);
	assert_int_equal(dr_unsqueeze(&out, small.data, 0, &e), DR_E_PROTOCOL);
	assert_int_equal(dr_unsqueeze(&out, (const uint8_t *)"no frame", 8, &e), DR_E_PROTOCOL);
	dr_buf_init(&big, 99999);
	assert_int_equal(dr_unsqueeze(&big, small.data, small.len, &e), DR_E_PROTOCOL);
	assert_int_equal(dr_unsqueeze(&out, small.data, small.len, &e), DR_OK);
	assert_int_equal(out.len, 100000);
	dr_buf_close(&small);
	dr_buf_close(&out);
	dr_buf_close(&big);
	dr_free(zeros);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_spec), cmocka_unit_test(test_answer),
					    cmocka_unit_test(test_bombs), cmocka_unit_test(test_no_text) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
