/* test_event_json.c -- an event's JSON is what jansson would have written of it. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "coord/shell/event_json.h"
#include "model/plan.h"

enum { MOST = 16384 };

static struct dr_event_record plain(void)
{
	struct dr_event_record e = { .index = 7, .wall_ms = 1790000000123, .log_index = 12, .kind = DR_EVENT_PAUSED };
	(void)dr_name_set(&e.service, "orders");
	return e;
}

/* Reads it with jansson and has it written again: the same bytes.  The caller frees with json_decref. */
static json_t *read_back(const struct dr_event_record *e)
{
	struct dr_buf b;
	dr_buf_init(&b, MOST);
	dr_event_json(&b, e);
	assert_true(dr_buf_ok(&b));
	assert_int_equal(b.len, strlen((const char *)b.data));
	json_error_t why;
	json_t *j = json_loadb((const char *)b.data, b.len, JSON_REJECT_DUPLICATES, &why);
	if (j == NULL)
		fail_msg("%s: %s", why.text, (const char *)b.data);
	char *again = json_dumps(j, JSON_COMPACT | JSON_PRESERVE_ORDER);
	assert_string_equal((const char *)b.data, again);
	free(again);
	dr_buf_close(&b);
	return j;
}

static const char *text_in(const json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

static void a_plain_one_has_these_bytes(void **state)
{
	(void)state;
	struct dr_event_record e = plain();
	struct dr_buf b;
	dr_buf_init(&b, MOST);
	dr_event_json(&b, &e);
	assert_string_equal((const char *)b.data, "{\"index\":7,\"wall_ms\":1790000000123,\"event\":\"service.paused\","
						  "\"service\":\"orders\",\"log_index\":12}");
	dr_buf_close(&b);
}

static void every_kind_and_reason_reads_back(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DR_REASON_KIND_MAX; i++) {
		struct dr_event_record e = plain();
		e.kind = (enum dr_event_kind)(i % DR_EVENT_KIND_MAX);
		e.reason = (enum dr_reason)i;
		e.a = i;
		e.b = UINT64_MAX - i;
		e.epoch = 3;
		e.plan = 4;
		e.number = UINT64_MAX - 5;
		e.plan_kind = i % 4;
		e.step = i % 9;
		e.order = (enum dr_order_kind)(i % DR_ORDER_MAX);
		e.outcome = (enum dr_outcome)(i % 3);
		e.proof = (enum dr_proof)(i % 5);
		(void)dr_name_set(&e.site, "az-a");
		json_t *j = read_back(&e);
		assert_string_equal(text_in(j, "event"), dr_event_name(e.kind));
		assert_true(i == 0 || strcmp(text_in(j, "reason"), dr_reason_name(e.reason)) == 0);
		assert_string_equal(text_in(j, "site"), "az-a");
		assert_true((uint64_t)json_integer_value(json_object_get(j, "b")) == e.b);
		json_decref(j);
	}
}

/* The text as it comes back. */
static void says(const char *text, const char *back)
{
	struct dr_event_record e = plain();
	size_t n = strlen(text);
	assert_true(n < sizeof(e.text));
	memcpy(e.text, text, n + 1);
	json_t *j = read_back(&e);
	assert_string_equal(text_in(j, "text"), back);
	json_decref(j);
}

static void odd_characters_are_escaped(void **state)
{
	(void)state;
	static const char *const whole[] = { "a \"word\"", "\\", "\"", "tab\there", "\n\r\b\f", "\x01\x1f\x7f/", "ends in \\",
					     "gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac", "\xf0\x9f\x92\xa1", "\xf4\x8f\xbf\xbf",
					     "\xed\x9f\xbf\xee\x80\x80" };
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		says(whole[i], whole[i]);
}

static void what_is_no_utf8_is_no_text(void **state)
{
	(void)state;
	static const char *const wrong[] = { "\x80", "a\xc3", "\xc0\x80", "\xc1\xbf", "\xe2\x82", "\xe0\x9f\xbf",
					     "\xf0\x8f\xbf\xbf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
					     "\xf5\x80\x80\x80", "\xff", "\xf0\x9f\x92z" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		says(wrong[i], "?");
}

/* jansson knows which texts are none. */
static void any_bytes_are_what_jansson_makes_of_them(void **state)
{
	(void)state;
	static const unsigned char some[] = { 'a',  '"',  '\\', '\n', 0x01, 0x7f, 0x80, 0xbf, 0xc2,
					      0xe0, 0xa0, 0xed, 0x9f, 0xf0, 0x90, 0xf4, 0x8f };
	uint32_t seed = 1;
	for (unsigned round = 0; round < 20000; round++) {
		char text[8];
		unsigned n = 1 + round % 6;
		for (unsigned i = 0; i < n; i++) {
			seed = seed * 1664525 + 1013904223;
			text[i] = (char)some[(seed >> 16) % sizeof(some)];
		}
		text[n] = '\0';
		json_t *known = json_string(text);
		says(text, known != NULL ? text : "?");
		json_decref(known);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_one_has_these_bytes),
		cmocka_unit_test(every_kind_and_reason_reads_back),
		cmocka_unit_test(odd_characters_are_escaped),
		cmocka_unit_test(what_is_no_utf8_is_no_text),
		cmocka_unit_test(any_bytes_are_what_jansson_makes_of_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
