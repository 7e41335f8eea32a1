/* dns.c -- what DNS servers answer, and the files of the keys that sign. */
#include <string.h>

#include <openssl/evp.h>

#include "adapters/dns_rfc2136/route.h"
#include "adapters/dns_rfc2136/tsig.h"
#include "base/mem.h"
#include "fuzz.h"

enum { NOW_S = 1700000000 };

static const char key_text[] =
    "key \"drcoord.\" { algorithm hmac-sha256; secret \"c2VjcmV0LXNlY3JldC1zZWNyZXQ=\"; };";

static const struct dr_tsig_key *our_key(void)
{
	static struct dr_tsig_key k;
	if (k.secret_len == 0)
		FUZZ_CHECK(dr_tsig_key_parse(&k, "drcoord.", DR_TSIG_HMAC_SHA256, key_text, NULL) == DR_OK);
	return &k;
}

static const struct dr_dns_route *our_route(void)
{
	static struct dr_dns_route r;
	struct dr_spec_route spec = { .kind = DR_ROUTE_DNS_RFC2136,
				      .record = "orders.demo.example.",
				      .zone = "demo.example.",
				      .ttl_s = 5,
				      .tsig_key = "drcoord." };
	if (r.epoch == 0) {
		FUZZ_CHECK(dr_dns_route_names(&r, &spec, NULL) == DR_OK);
		FUZZ_CHECK(dr_dns_route_want(&r, "10.1.0.20", 7, 3, 60, NULL) == DR_OK);
	}
	return &r;
}

/* ---- one message ---- */

static void check_name(const struct dr_dns_name *n)
{
	char text[DR_DNS_NAME_TEXT_MAX];
	FUZZ_CHECK(n->len > 0);
	dr_dns_name_to_text(n, text);
	FUZZ_CHECK(strlen(text) < sizeof(text) && text[strlen(text) - 1] == '.');
	FUZZ_CHECK(dr_dns_name_within(n, n));
}

static bool same_rr(const struct dr_dns_rr *a, const struct dr_dns_rr *b)
{
	return a->section == b->section && dr_dns_name_eq(&a->name, &b->name) && a->type == b->type &&
	       a->class == b->class && a->ttl == b->ttl && a->rdlen == b->rdlen &&
	       (a->rdlen == 0 || memcmp(a->rdata, b->rdata, a->rdlen) == 0);
}

/* Written again, signed, and read: the same records, and a signature that holds. */
static void round_trip(const struct dr_dns_msg *m)
{
	static struct dr_dns_out o;
	static struct dr_dns_msg back;
	struct dr_tsig_mac mac;
	unsigned kept = m->has_tsig ? 1 : 0;
	kept += m->rrs;
	bool all = m->count[DR_DNS_QUESTION] <= 1 && (m->qname.len == 0 || m->qclass == DR_DNS_IN) &&
		   kept == (unsigned)m->count[DR_DNS_ANSWER] + m->count[DR_DNS_AUTHORITY] +
			       m->count[DR_DNS_ADDITIONAL];
	if (!all)
		return;
	dr_dns_begin(&o, m->id, m->flags);
	if (m->qname.len > 0)
		dr_dns_put_question(&o, &m->qname, m->qtype);
	for (unsigned i = 0; i < m->rrs; i++)
		dr_dns_put_rr(&o, m->rr[i].section, &m->rr[i].name, m->rr[i].type, m->rr[i].class,
			      m->rr[i].ttl, m->rr[i].rdata, m->rr[i].rdlen);
	dr_tsig_sign(&o, our_key(), NOW_S, NULL, &mac);
	if (o.over)
		return;
	FUZZ_CHECK(dr_dns_decode(o.data, o.len, &back, NULL) == DR_OK);
	FUZZ_CHECK(back.id == m->id && back.flags == m->flags && back.rrs == m->rrs && back.has_tsig);
	FUZZ_CHECK(back.qtype == m->qtype && dr_dns_name_eq(&back.qname, &m->qname));
	for (unsigned i = 0; i < m->rrs; i++)
		FUZZ_CHECK(same_rr(&m->rr[i], &back.rr[i]));
	FUZZ_CHECK(dr_tsig_verify(o.data, &back, our_key(), NULL, NOW_S, NULL) == DR_OK);
}

/* ---- the answers to one reading, and what follows ---- */

static void follow(const struct dr_dns_seen *seen)
{
	static struct dr_dns_out o;
	static struct dr_dns_msg update;
	char text[128];
	struct dr_error e = { 0 };
	enum dr_err rv = dr_dns_seen_check(seen, our_route(), &e);
	dr_dns_seen_text(seen, text, sizeof(text));
	FUZZ_CHECK(strlen(text) < sizeof(text));
	FUZZ_CHECK(dr_dns_seen_eq(seen, seen));
	if (rv != DR_OK) {
		fuzz_refused(rv, &e);
		return;
	}
	(void)dr_dns_seen_is_wanted(seen, our_route(), true);
	dr_dns_put_update(&o, 1, our_route(), seen);
	FUZZ_CHECK(o.over || dr_dns_decode(o.data, o.len, &update, NULL) == DR_OK);
}

static void take_answer(struct dr_dns_seen *seen, const uint8_t *p, size_t n)
{
	static struct dr_dns_msg m;
	struct dr_error e = { 0 };
	struct dr_tsig_mac request = { .len = 32 };
	enum dr_err rv = dr_dns_decode(p, n, &m, &e);
	if (rv != DR_OK) {
		fuzz_refused(rv, &e);
		return;
	}
	FUZZ_CHECK(m.rrs <= DR_DNS_RRS_MAX && dr_dns_rcode_name(dr_dns_rcode(&m)) != NULL);
	for (unsigned i = 0; i < m.rrs; i++) {
		check_name(&m.rr[i].name);
		FUZZ_CHECK(m.rr[i].rdata >= p && m.rr[i].rdata + m.rr[i].rdlen <= p + n);
	}
	rv = dr_tsig_verify(p, &m, our_key(), &request, NOW_S, &e);
	if (rv != DR_OK)
		fuzz_refused(rv, &e);
	round_trip(&m);
	for (unsigned ask = 0; ask < DR_DNS_ASKS; ask++) {
		struct dr_dns_seen before = *seen;
		if (dr_dns_seen_take(seen, our_route(), (enum dr_dns_ask)ask, &m, &e) != DR_OK)
			*seen = before;
	}
}

/* Messages as they come over TCP: each behind its length in two bytes. */
void fuzz_dns(const uint8_t *p, size_t n)
{
	struct dr_dns_seen seen = { 0 };
	struct dr_view v = dr_view_of(p, n);
	while (dr_view_left(&v) >= 2) {
		size_t len = dr_view_u16be(&v);
		len = len < dr_view_left(&v) ? len : dr_view_left(&v);
		/* A copy of its own, so that a byte read too many is not the next message's. */
		uint8_t *exact = dr_xcalloc(len);
		if (len > 0)
			memcpy(exact, dr_view_bytes(&v, len), len);
		take_answer(&seen, exact, len);
		dr_free(exact);
	}
	if (dr_dns_seen_whole(&seen))
		follow(&seen);
}

/* ---- key files ---- */

void fuzz_tsig(const uint8_t *p, size_t n)
{
	struct dr_tsig_key k, again;
	struct dr_error e = { 0 };
	char *text = fuzz_text(p, n);
	enum dr_err rv = dr_tsig_key_parse(&k, "drcoord.", DR_TSIG_HMAC_SHA256, text, &e);
	if (rv == DR_OK) {
		char base64[2 * DR_TSIG_SECRET_MAX];
		FUZZ_CHECK(k.secret_len > 0 && k.secret_len <= DR_TSIG_SECRET_MAX);
		(void)EVP_EncodeBlock((unsigned char *)base64, k.secret, (int)k.secret_len);
		FUZZ_CHECK(dr_tsig_key_parse(&again, "drcoord.", DR_TSIG_HMAC_SHA256, base64, &e) == DR_OK);
		FUZZ_CHECK(again.secret_len == k.secret_len &&
			   memcmp(again.secret, k.secret, k.secret_len) == 0);
		dr_tsig_key_close(&again);
		dr_tsig_key_close(&k);
	} else {
		fuzz_refused(rv, &e);
	}
	dr_free(text);
}
