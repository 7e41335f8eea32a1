/* test_dns_codec.c -- DNS messages: round trips, and bytes from an enemy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/dns_rfc2136/codec.h"

static struct dr_dns_name name_of(const char *text)
{
	struct dr_dns_name n;
	assert_int_equal(dr_dns_name_from_text(&n, text, NULL), DR_OK);
	return n;
}

static void names_go_to_wire_and_back(void **state)
{
	(void)state;
	char text[DR_DNS_NAME_TEXT_MAX];
	struct dr_dns_name n = name_of("Orders.DEMO.example.");
	assert_int_equal(n.len, 21);
	assert_memory_equal(n.wire, "\6orders\4demo\7example", 21);
	dr_dns_name_to_text(&n, text);
	assert_string_equal(text, "orders.demo.example.");
	n = name_of("orders.demo.example");
	dr_dns_name_to_text(&n, text);
	assert_string_equal(text, "orders.demo.example.");
	n = name_of(".");
	assert_int_equal(n.len, 1);
	dr_dns_name_to_text(&n, text);
	assert_string_equal(text, ".");
	struct dr_dns_name odd = { .len = 6, .wire = "\4a.\0b" };
	dr_dns_name_to_text(&odd, text);
	assert_string_equal(text, "a\\046\\000b.");
}

static void bad_names_are_refused(void **state)
{
	(void)state;
	struct dr_dns_name n;
	struct dr_error e;
	char label64[66] = "";
	memset(label64, 'a', 64);
	const char *const bad[] = { "", "..", "a..b.", ".a", "a b.", "a\\046b.", "a/b.", "\xc3\xa4." };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(dr_dns_name_from_text(&n, bad[i], &e), DR_E_INVALID);
		assert_true(e.msg[0] != '\0');
	}
	assert_int_equal(dr_dns_name_from_text(&n, label64, &e), DR_E_RANGE);
	char exact[256] = "";
	for (int i = 0; i < 127; i++)
		memcpy(exact + 2 * i, "a.", 2); /* 127 labels: 254 bytes and the root */
	assert_int_equal(dr_dns_name_from_text(&n, exact, &e), DR_OK);
	assert_int_equal(n.len, 255);
	struct dr_dns_name longer;
	assert_int_equal(dr_dns_name_prefix(&longer, "_drcoord", &n, &e), DR_E_RANGE);
	char over[260];
	(void)snprintf(over, sizeof(over), "a.%s", exact);
	assert_int_equal(dr_dns_name_from_text(&n, over, &e), DR_E_RANGE);
}

static void within_counts_whole_labels(void **state)
{
	(void)state;
	struct dr_dns_name zone = name_of("demo.example.");
	struct dr_dns_name root = name_of(".");
	struct dr_dns_name n = name_of("orders.demo.example.");
	assert_true(dr_dns_name_within(&n, &zone));
	assert_true(dr_dns_name_within(&zone, &zone));
	assert_true(dr_dns_name_within(&n, &root));
	n = name_of("ordersdemo.example.");
	assert_false(dr_dns_name_within(&n, &zone));
	assert_false(dr_dns_name_within(&root, &zone));
	struct dr_dns_name made;
	n = name_of("orders.demo.example.");
	assert_int_equal(dr_dns_name_prefix(&made, "_drcoord", &n, NULL), DR_OK);
	assert_true(dr_dns_name_within(&made, &n));
}

static void a_message_goes_out_and_in(void **state)
{
	(void)state;
	static struct dr_dns_out o;
	static struct dr_dns_msg m;
	struct dr_dns_name zone = name_of("demo.example.");
	struct dr_dns_name rec = name_of("orders.demo.example.");
	const uint8_t addr[4] = { 10, 1, 0, 20 };

	dr_dns_begin(&o, 0xbeef, DR_DNS_OP_UPDATE);
	dr_dns_put_question(&o, &zone, DR_DNS_SOA);
	dr_dns_put_rr(&o, DR_DNS_PREREQ, &rec, DR_DNS_AAAA, DR_DNS_NONE, 0, NULL, 0);
	dr_dns_put_rr(&o, DR_DNS_UPDATE, &rec, DR_DNS_A, DR_DNS_IN, 70000, addr, 4);
	assert_false(o.over);
	assert_int_equal(dr_dns_decode(o.data, o.len, &m, NULL), DR_OK);
	assert_int_equal(m.id, 0xbeef);
	assert_int_equal(m.flags, DR_DNS_OP_UPDATE);
	assert_true(dr_dns_name_eq(&m.qname, &zone));
	assert_int_equal(m.qtype, DR_DNS_SOA);
	assert_int_equal(m.rrs, 2);
	assert_int_equal(m.rr[0].section, DR_DNS_PREREQ);
	assert_int_equal(m.rr[0].class, DR_DNS_NONE);
	assert_int_equal(m.rr[0].rdlen, 0);
	assert_int_equal(m.rr[1].section, DR_DNS_UPDATE);
	assert_int_equal(m.rr[1].ttl, 70000);
	assert_int_equal(m.rr[1].rdlen, 4);
	assert_memory_equal(m.rr[1].rdata, addr, 4);
	assert_false(m.has_tsig);

	/* Every cut is an error, and so is a byte too many. */
	for (size_t n = 0; n < o.len; n++) {
		uint8_t *cut = malloc(n + 1); /* of its own, so that ASan sees a read past the end */
		memcpy(cut, o.data, n);
		assert_int_equal(dr_dns_decode(cut, n, &m, NULL), DR_E_PROTOCOL);
		free(cut);
	}
	o.data[o.len] = 0;
	assert_int_equal(dr_dns_decode(o.data, o.len + 1, &m, NULL), DR_E_PROTOCOL);
}

static void a_full_message_stops(void **state)
{
	(void)state;
	static struct dr_dns_out o;
	static uint8_t big[20000];
	struct dr_dns_name rec = name_of("a.");
	dr_dns_begin(&o, 1, 0);
	dr_dns_put_rr(&o, DR_DNS_ANSWER, &rec, 1, 1, 0, big, sizeof(big));
	assert_false(o.over);
	dr_dns_put_rr(&o, DR_DNS_ANSWER, &rec, 1, 1, 0, big, sizeof(big));
	assert_true(o.over);
	assert_true(o.len <= DR_DNS_OUT_MAX);
}

#define HEADER(qd, an, ar) "\0\1\x84\0\0" qd "\0" an "\0\0\0" ar
#define DECODE(bytes) dr_dns_decode((bytes), sizeof(bytes) - 1, &m, &e)

static void pointers_only_go_back(void **state)
{
	(void)state;
	static struct dr_dns_msg m;
	struct dr_error e;
	char text[DR_DNS_NAME_TEXT_MAX];

	/* a.example., then an answer whose owner is "www" in front of a pointer to example. */
	assert_int_equal(DECODE(HEADER("\1", "\1", "\0") "\1a\7example\0\0\1\0\1"
							 "\3www\xc0\x0e\0\1\0\1\0\0\0\5\0\4\1\2\3\4"),
			 DR_OK);
	dr_dns_name_to_text(&m.rr[0].name, text);
	assert_string_equal(text, "www.example.");
	/* to itself */
	assert_int_equal(DECODE(HEADER("\1", "\0", "\0") "\xc0\x0c\0\1\0\1"), DR_E_PROTOCOL);
	/* forward, and back to where the same run began */
	assert_int_equal(DECODE(HEADER("\1", "\0", "\0") "\xc0\x0e\0\1\0\1"), DR_E_PROTOCOL);
	assert_int_equal(DECODE(HEADER("\1", "\0", "\0") "\1a\xc0\x0c\0\1\0\1"), DR_E_PROTOCOL);
	/* two that point at each other */
	assert_int_equal(DECODE(HEADER("\2", "\0", "\0") "\xc0\x12\0\1\0\1\xc0\x0c\0\1\0\1"), DR_E_PROTOCOL);
	/* a pointer cut in half, label types of old */
	assert_int_equal(DECODE(HEADER("\1", "\0", "\0") "\xc0"), DR_E_PROTOCOL);
	assert_int_equal(DECODE(HEADER("\1", "\0", "\0") "\x41\1\0\0\1\0\1"), DR_E_PROTOCOL);
	/* into the header, where zeros read as the root: allowed, harmless */
	assert_int_equal(DECODE(HEADER("\1", "\0", "\0") "\xc0\x06\0\1\0\1"), DR_OK);
}

/* 63-byte labels chained by pointers until the name would be over 255 bytes. */
static void a_chain_cannot_grow_a_name(void **state)
{
	(void)state;
	static struct dr_dns_msg m;
	uint8_t b[600] = { 0, 1, 0x84, 0, 0, 5 };
	size_t at = 12;
	size_t before = 0;
	for (int i = 0; i < 5; i++) {
		size_t here = at;
		b[at++] = 63;
		memset(b + at, 'a' + i, 63);
		at += 63;
		if (i == 0) {
			b[at++] = 0;
		} else {
			b[at++] = (uint8_t)(0xc0 | before >> 8);
			b[at++] = (uint8_t)before;
		}
		before = here;
		memcpy(b + at, "\0\1\0\1", 4);
		at += 4;
		b[5] = (uint8_t)(i + 1);
		/* three labels are 193 bytes; four would be 257 */
		assert_int_equal(dr_dns_decode(b, at, &m, NULL), i < 3 ? DR_OK : DR_E_PROTOCOL);
		if (i == 3)
			break;
	}
}

static void tsig_must_be_last_and_whole(void **state)
{
	(void)state;
	static struct dr_dns_msg m;
	struct dr_error e;
#define TSIG_HEAD "\1k\0\0\xfa\0\xff\0\0\0\0"
#define TSIG_BODY "\1h\0\0\0\0\0\0\1\1\x2c\0\2mm\0\1\0\0\0\0"
	assert_int_equal(DECODE(HEADER("\0", "\0", "\1") TSIG_HEAD "\0\x15" TSIG_BODY), DR_OK);
	assert_true(m.has_tsig);
	assert_int_equal(m.tsig.at, 12);
	assert_int_equal(m.tsig.time_s, 1);
	assert_int_equal(m.tsig.fudge_s, 300);
	assert_int_equal(m.tsig.mac_len, 2);
	assert_int_equal(m.rrs, 0);
	/* not last; in the answer section; twice */
	assert_int_equal(
	    DECODE(HEADER("\0", "\0", "\2") TSIG_HEAD "\0\x15" TSIG_BODY "\0\0\1\0\1\0\0\0\0\0\0"),
	    DR_E_PROTOCOL);
	assert_int_equal(DECODE(HEADER("\0", "\1", "\0") TSIG_HEAD "\0\x15" TSIG_BODY), DR_E_PROTOCOL);
	/* lengths that do not add up; another class; a TTL */
	assert_int_equal(DECODE(HEADER("\0", "\0", "\1") TSIG_HEAD "\0\x14" TSIG_BODY), DR_E_PROTOCOL);
	assert_int_equal(DECODE(HEADER("\0", "\0", "\1") TSIG_HEAD "\0\x16" TSIG_BODY "\0"), DR_E_PROTOCOL);
	assert_int_equal(DECODE(HEADER("\0", "\0", "\1") "\1k\0\0\xfa\0\1\0\0\0\0\0\x15" TSIG_BODY),
			 DR_E_PROTOCOL);
	assert_int_equal(DECODE(HEADER("\0", "\0", "\1") "\1k\0\0\xfa\0\xff\0\0\0\1\0\x15" TSIG_BODY),
			 DR_E_PROTOCOL);
	/* a MAC longer than the record */
	assert_int_equal(DECODE(HEADER("\0", "\0", "\1") TSIG_HEAD
				"\0\x15"
				"\1h\0\0\0\0\0\0\1\1\x2c\xff\2mm\0\1\0\0\0\0"),
			 DR_E_PROTOCOL);
}

/* More records than are kept: checked to the end all the same. */
static void many_records_are_walked(void **state)
{
	(void)state;
	static struct dr_dns_out o;
	static struct dr_dns_msg m;
	struct dr_dns_name rec = name_of("a.");
	dr_dns_begin(&o, 1, DR_DNS_QR);
	for (int i = 0; i < 500; i++)
		dr_dns_put_rr(&o, DR_DNS_ANSWER, &rec, 1, 1, 0, "abcd", 4);
	assert_int_equal(dr_dns_decode(o.data, o.len, &m, NULL), DR_OK);
	assert_int_equal(m.rrs, DR_DNS_RRS_MAX);
	assert_int_equal(m.count[DR_DNS_ANSWER], 500);
	assert_int_equal(dr_dns_decode(o.data, o.len - 1, &m, NULL), DR_E_PROTOCOL);
}

/* A cheap fuzzer with a fixed seed: whatever comes in, nothing outside the bytes is touched (ASan), and what is
 * taken is within its bounds. */
static void random_bytes_do_no_harm(void **state)
{
	(void)state;
	static struct dr_dns_out o;
	static struct dr_dns_msg m;
	uint32_t seed = 20260101;
	unsigned taken = 0;
	struct dr_dns_name zone = name_of("demo.example.");
	for (int round = 0; round < 20000; round++) {
		dr_dns_begin(&o, 1, DR_DNS_QR);
		dr_dns_put_question(&o, &zone, 1);
		dr_dns_put_rr(&o, DR_DNS_ANSWER, &zone, 5, 1, 3, "\xc0\x0c", 2);
		dr_dns_put_rr(&o, DR_DNS_ADDITIONAL, &zone, DR_DNS_TSIG, DR_DNS_ANY, 0, TSIG_BODY, 21);
		size_t n = o.len;
		uint8_t *b = malloc(n);
		memcpy(b, o.data, n);
		for (unsigned k = 0; k < 1 + (unsigned)round % 5; k++) {
			seed = seed * 1664525u + 1013904223u;
			b[(seed >> 8) % n] = (uint8_t)(seed >> 24);
		}
		if (dr_dns_decode(b, n, &m, NULL) == DR_OK) {
			taken++;
			assert_true(m.rrs <= DR_DNS_RRS_MAX);
			for (unsigned i = 0; i < m.rrs; i++)
				assert_true(m.rr[i].rdata >= b && m.rr[i].rdata + m.rr[i].rdlen <= b + n);
		}
		free(b);
	}
	assert_true(taken > 100); /* not everything was thrown out at the door */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_go_to_wire_and_back),  cmocka_unit_test(bad_names_are_refused),
		cmocka_unit_test(within_counts_whole_labels), cmocka_unit_test(a_message_goes_out_and_in),
		cmocka_unit_test(a_full_message_stops),       cmocka_unit_test(pointers_only_go_back),
		cmocka_unit_test(a_chain_cannot_grow_a_name), cmocka_unit_test(tsig_must_be_last_and_whole),
		cmocka_unit_test(many_records_are_walked),    cmocka_unit_test(random_bytes_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
