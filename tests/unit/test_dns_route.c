/* test_dns_route.c -- record sets, what a route shows, and the update that swaps it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/dns_rfc2136/route.h"

static struct dr_dns_route route_of(const char *host, uint64_t epoch)
{
	struct dr_spec_route spec = { .record = "orders.demo.example.", .zone = "demo.example.", .ttl_s = 5 };
	struct dr_dns_route r = { 0 };
	assert_int_equal(dr_dns_route_names(&r, &spec, NULL), DR_OK);
	if (host != NULL)
		assert_int_equal(dr_dns_route_want(&r, host, epoch, 7, 3, NULL), DR_OK);
	return r;
}

static void sets_have_no_order_and_nothing_twice(void **state)
{
	(void)state;
	struct dr_dns_set a = { 0 }, b = { 0 };
	dr_dns_set_add(&a, 5, (const uint8_t *)"\12\0\0\2", 4);
	dr_dns_set_add(&a, 5, (const uint8_t *)"\12\0\0\1", 4);
	dr_dns_set_add(&a, 5, (const uint8_t *)"\12\0\0\1\0", 5);
	dr_dns_set_add(&b, 9, (const uint8_t *)"\12\0\0\1\0", 5);
	assert_false(dr_dns_set_eq(&a, &b));
	dr_dns_set_add(&b, 9, (const uint8_t *)"\12\0\0\1", 4);
	dr_dns_set_add(&b, 9, (const uint8_t *)"\12\0\0\2", 4);
	dr_dns_set_add(&b, 9, (const uint8_t *)"\12\0\0\1", 4);
	assert_int_equal(b.n, 3);
	assert_true(dr_dns_set_eq(&a, &b));
	assert_false(dr_dns_set_is(&a, (const uint8_t *)"\12\0\0\2", 4));
	struct dr_dns_set one = { 0 };
	dr_dns_set_add(&one, 5, (const uint8_t *)"\12\0\0\2", 4);
	assert_true(dr_dns_set_is(&one, (const uint8_t *)"\12\0\0\2", 4));
	dr_dns_set_add(&one, 5, NULL, 0);
	assert_int_equal(one.n, 2);
}

static void sets_are_bounded(void **state)
{
	(void)state;
	struct dr_dns_set s = { 0 };
	for (unsigned i = 0; i < 40; i++) {
		uint8_t a[4] = { 10, 0, 0, (uint8_t)i };
		dr_dns_set_add(&s, 5, a, 4);
	}
	assert_int_equal(s.n, DR_DNS_SET_MAX);
	assert_true(s.over);
	uint8_t big[DR_DNS_SET_BYTES] = { 0 };
	struct dr_dns_set t = { 0 };
	dr_dns_set_add(&t, 5, big, sizeof(big) - 2);
	assert_false(t.over);
	dr_dns_set_add(&t, 5, big, 1);
	assert_true(t.over);
}

static void names_and_wishes_are_checked(void **state)
{
	(void)state;
	struct dr_error e;
	struct dr_dns_route r = { 0 };
	struct dr_spec_route spec = { .record = "orders.other.example.", .zone = "demo.example." };
	assert_int_equal(dr_dns_route_names(&r, &spec, &e), DR_E_INVALID);
	assert_non_null(strstr(e.msg, "does not lie in zone"));
	r = route_of(NULL, 0);
	assert_int_equal(dr_dns_route_want(&r, "db.example.", 1, 1, 1, &e), DR_E_INVALID);
	assert_int_equal(dr_dns_route_want(&r, "10.0.0.1", 0, 1, 1, &e), DR_E_INVALID);
	assert_int_equal(dr_dns_route_want(&r, "10.0.0.1", UINT64_MAX, UINT64_MAX, UINT32_MAX, &e), DR_OK);
	assert_int_equal(r.type, DR_DNS_A);
	assert_memory_equal(r.marker_rdata,
			    "\x40"
			    "e=18446744073709551615;plan=18446744073709551615;step=4294967295",
			    65);
	assert_int_equal(dr_dns_route_want(&r, "fd00::1", 3, 7, 3, &e), DR_OK);
	assert_int_equal(r.type, DR_DNS_AAAA);
	assert_int_equal(r.address_len, 16);
}

/* An answer to one ask with the given records. */
struct answer {
	uint16_t flags;
	uint16_t type;
	const void *rdata;
	size_t rdlen;
};

static enum dr_err show(struct dr_dns_seen *s, const struct dr_dns_route *r, enum dr_dns_ask ask,
			struct answer a)
{
	static struct dr_dns_out o;
	static struct dr_dns_msg m;
	dr_dns_put_ask(&o, 1, r, ask);
	assert_int_equal(dr_dns_decode(o.data, o.len, &m, NULL), DR_OK);
	struct dr_dns_name asked = m.qname;
	uint16_t type = m.qtype;
	dr_dns_begin(&o, 1, (uint16_t)(DR_DNS_QR | a.flags));
	dr_dns_put_question(&o, &asked, type);
	if (a.type != 0)
		dr_dns_put_rr(&o, DR_DNS_ANSWER, &asked, a.type, DR_DNS_IN, 5, a.rdata, a.rdlen);
	assert_int_equal(dr_dns_decode(o.data, o.len, &m, NULL), DR_OK);
	return dr_dns_seen_take(s, r, ask, &m, NULL);
}

static void show_all(struct dr_dns_seen *s, const struct dr_dns_route *r, const char *a, const char *marker)
{
	uint8_t txt[256];
	*s = (struct dr_dns_seen){ 0 };
	assert_int_equal(show(s, r, DR_DNS_ASK_SOA, (struct answer){ DR_DNS_AA, DR_DNS_SOA, "x", 1 }), DR_OK);
	assert_false(dr_dns_seen_whole(s));
	struct answer none = { DR_DNS_AA | DR_DNS_NXDOMAIN, 0, NULL, 0 };
	assert_int_equal(
	    show(s, r, DR_DNS_ASK_A, a != NULL ? (struct answer){ DR_DNS_AA, DR_DNS_A, a, 4 } : none), DR_OK);
	assert_int_equal(show(s, r, DR_DNS_ASK_AAAA, none), DR_OK);
	if (marker != NULL) {
		txt[0] = (uint8_t)strlen(marker);
		memcpy(txt + 1, marker, txt[0]);
		none = (struct answer){ DR_DNS_AA, DR_DNS_TXT, txt, (size_t)txt[0] + 1 };
	}
	assert_int_equal(show(s, r, DR_DNS_ASK_MARKER, none), DR_OK);
	assert_true(dr_dns_seen_whole(s));
}

static void what_is_seen_is_judged(void **state)
{
	(void)state;
	struct dr_dns_seen s;
	char text[100];
	struct dr_dns_route r = route_of("10.0.0.1", 4);
	show_all(&s, &r, "\12\0\0\1", "e=4;plan=7;step=3");
	assert_int_equal(dr_dns_seen_check(&s, &r, NULL), DR_OK);
	assert_true(dr_dns_seen_is_wanted(&s, &r, true));
	dr_dns_seen_text(&s, text, sizeof(text));
	assert_string_equal(text, "A 10.0.0.1 e=4");
	r.ttl_s = 6;
	assert_false(dr_dns_seen_is_wanted(&s, &r, true));
	assert_true(dr_dns_seen_is_wanted(&s, &r, false));
	show_all(&s, &r, "\12\0\0\1", "e=4;plan=9;step=1"); /* the same epoch is the same holder */
	assert_true(dr_dns_seen_is_wanted(&s, &r, false));
	show_all(&s, &r, "\12\0\0\1", "e=3;plan=7;step=3");
	assert_false(dr_dns_seen_is_wanted(&s, &r, false));
	show_all(&s, &r, "\12\0\0\2", "e=4;plan=7;step=3");
	assert_false(dr_dns_seen_is_wanted(&s, &r, false));
	show_all(&s, &r, NULL, NULL);
	assert_int_equal(s.marker_epoch, 0);
	dr_dns_seen_text(&s, text, sizeof(text));
	assert_string_equal(text, "no address no marker");
}

static void markers_are_read_strictly(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t epoch;
	} marker[] = { { "e=12", 12 },
		       { "e=12;x", 12 },
		       { "e=18446744073709551615;", 0 },
		       { "e=1844674407370955160", 1844674407370955160u },
		       { "e=", 0 },
		       { "e=1a", 0 },
		       { "e=-1", 0 },
		       { "E=1", 0 },
		       { "xe=1", 0 },
		       { "e=99999999999999999999999", 0 } };
	struct dr_dns_seen s;
	struct dr_dns_route r = route_of("10.0.0.1", 4);
	for (size_t i = 0; i < sizeof(marker) / sizeof(marker[0]); i++) {
		show_all(&s, &r, NULL, marker[i].text);
		assert_true(s.marker_epoch == marker[i].epoch);
	}
}

static void answers_that_cannot_be_relied_on(void **state)
{
	(void)state;
	struct dr_dns_seen good, s;
	struct dr_error e;
	struct dr_dns_route r = route_of("10.0.0.1", 4);
	show_all(&good, &r, "\12\0\0\1", "e=4;plan=7;step=3");
	s = good;
	s.answer[DR_DNS_ASK_A].authoritative = false;
	assert_int_equal(dr_dns_seen_check(&s, &r, &e), DR_E_NOT_FOUND);
	s = good;
	s.answer[DR_DNS_ASK_SOA].rcode = DR_DNS_REFUSED;
	assert_int_equal(dr_dns_seen_check(&s, &r, &e), DR_E_NOT_FOUND);
	assert_non_null(strstr(e.msg, "demo.example."));
	s = good;
	s.answer[DR_DNS_ASK_SOA].rcode = DR_DNS_SERVFAIL;
	assert_int_equal(dr_dns_seen_check(&s, &r, &e), DR_E_FAILED);
	s = good;
	s.is_zone_top = false;
	assert_int_equal(dr_dns_seen_check(&s, &r, &e), DR_E_NOT_FOUND);
	s = good;
	assert_int_equal(show(&s, &r, DR_DNS_ASK_A, (struct answer){ DR_DNS_AA, DR_DNS_CNAME, "\1x\0", 3 }),
			 DR_OK);
	assert_int_equal(dr_dns_seen_check(&s, &r, &e), DR_E_CONFLICT);
	s = good;
	assert_int_equal(show(&s, &r, DR_DNS_ASK_A, (struct answer){ DR_DNS_AA | DR_DNS_TC, 0, NULL, 0 }),
			 DR_E_PROTOCOL);
	struct dr_dns_route else_where = r;
	assert_int_equal(dr_dns_name_from_text(&else_where.record, "x.demo.example.", NULL), DR_OK);
	static struct dr_dns_out o;
	static struct dr_dns_msg m;
	dr_dns_put_ask(&o, 1, &else_where, DR_DNS_ASK_A);
	assert_int_equal(dr_dns_decode(o.data, o.len, &m, NULL), DR_OK);
	assert_int_equal(dr_dns_seen_take(&s, &r, DR_DNS_ASK_A, &m, NULL), DR_E_PROTOCOL);
}

static unsigned find(const struct dr_dns_msg *m, enum dr_dns_section section, uint16_t type, uint16_t class)
{
	unsigned n = 0;
	for (unsigned i = 0; i < m->rrs; i++)
		n += m->rr[i].section == section && m->rr[i].type == type && m->rr[i].class == class;
	return n;
}

static void an_update_asks_for_the_whole_old_state(void **state)
{
	(void)state;
	static struct dr_dns_out o;
	static struct dr_dns_msg m;
	struct dr_dns_seen s;
	struct dr_dns_route r = route_of("10.0.0.9", 5);

	show_all(&s, &r, "\12\0\0\1", "e=4;plan=7;step=3");
	dr_dns_set_add(&s.a, 5, (const uint8_t *)"\12\0\0\2", 4);
	dr_dns_put_update(&o, 77, &r, &s);
	assert_int_equal(dr_dns_decode(o.data, o.len, &m, NULL), DR_OK);
	assert_int_equal(m.flags, DR_DNS_OP_UPDATE);
	assert_true(dr_dns_name_eq(&m.qname, &r.zone));
	assert_int_equal(find(&m, DR_DNS_PREREQ, DR_DNS_A, DR_DNS_IN), 2);
	assert_int_equal(find(&m, DR_DNS_PREREQ, DR_DNS_AAAA, DR_DNS_NONE), 1);
	assert_int_equal(find(&m, DR_DNS_PREREQ, DR_DNS_TXT, DR_DNS_IN), 1);
	assert_int_equal(find(&m, DR_DNS_PREREQ, DR_DNS_CNAME, DR_DNS_NONE), 1);
	assert_int_equal(m.count[DR_DNS_PREREQ], 5);
	for (unsigned i = 0; i < m.rrs; i++)
		assert_true(m.rr[i].section != DR_DNS_PREREQ || m.rr[i].ttl == 0);
	assert_int_equal(find(&m, DR_DNS_UPDATE, DR_DNS_A, DR_DNS_ANY), 1);
	assert_int_equal(find(&m, DR_DNS_UPDATE, DR_DNS_A, DR_DNS_IN), 1);
	assert_int_equal(find(&m, DR_DNS_UPDATE, DR_DNS_TXT, DR_DNS_ANY), 1);
	assert_int_equal(find(&m, DR_DNS_UPDATE, DR_DNS_TXT, DR_DNS_IN), 1);
	assert_int_equal(m.count[DR_DNS_UPDATE], 4); /* no AAAA is touched where none stands */

	/* from nothing to an AAAA */
	r = route_of("fd00::9", 5);
	show_all(&s, &r, NULL, NULL);
	dr_dns_put_update(&o, 77, &r, &s);
	assert_int_equal(dr_dns_decode(o.data, o.len, &m, NULL), DR_OK);
	assert_int_equal(find(&m, DR_DNS_PREREQ, DR_DNS_A, DR_DNS_NONE), 1);
	assert_int_equal(find(&m, DR_DNS_PREREQ, DR_DNS_TXT, DR_DNS_NONE), 1);
	assert_int_equal(find(&m, DR_DNS_UPDATE, DR_DNS_AAAA, DR_DNS_IN), 1);
	assert_int_equal(m.count[DR_DNS_UPDATE], 2);

	/* the largest old state that is taken still fits into one message */
	for (unsigned i = 0; i < DR_DNS_SET_MAX; i++) {
		uint8_t b[16] = { (uint8_t)i };
		dr_dns_set_add(&s.a, 5, b, 4);
		dr_dns_set_add(&s.aaaa, 5, b, 16);
	}
	assert_false(s.a.over || s.aaaa.over);
	dr_dns_put_update(&o, 77, &r, &s);
	assert_false(o.over);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_have_no_order_and_nothing_twice),
		cmocka_unit_test(sets_are_bounded),
		cmocka_unit_test(names_and_wishes_are_checked),
		cmocka_unit_test(what_is_seen_is_judged),
		cmocka_unit_test(markers_are_read_strictly),
		cmocka_unit_test(answers_that_cannot_be_relied_on),
		cmocka_unit_test(an_update_asks_for_the_whole_old_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
