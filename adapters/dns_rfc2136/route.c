/* route.c -- see route.h. */
#include "adapters/dns_rfc2136/route.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static size_t item_len(const struct dr_dns_set *s, size_t at)
{
	return (size_t)s->data[at] << 8 | s->data[at + 1];
}

void dr_dns_set_add(struct dr_dns_set *s, uint32_t ttl, const uint8_t *rdata, uint16_t rdlen)
{
	size_t at = 0;
	size_t need = 2 + (size_t)rdlen;
	if (s->n >= DR_DNS_SET_MAX || need > sizeof(s->data) - s->used) {
		s->over = true;
		return;
	}
	while (at < s->used) {
		size_t len = item_len(s, at);
		size_t less = len < rdlen ? len : rdlen;
		int c = less > 0 ? memcmp(s->data + at + 2, rdata, less) : 0;
		if (c == 0 && len == rdlen)
			return; /* a set has no item twice */
		if (c > 0 || (c == 0 && len > rdlen))
			break;
		at += 2 + len;
	}
	memmove(s->data + at + need, s->data + at, s->used - at);
	s->data[at] = (uint8_t)(rdlen >> 8);
	s->data[at + 1] = (uint8_t)rdlen;
	if (rdlen > 0)
		memcpy(s->data + at + 2, rdata, rdlen);
	s->used += need;
	if (s->n++ == 0)
		s->ttl = ttl;
}

bool dr_dns_set_eq(const struct dr_dns_set *a, const struct dr_dns_set *b)
{
	return a->n == b->n && a->used == b->used && memcmp(a->data, b->data, a->used) == 0;
}

bool dr_dns_set_is(const struct dr_dns_set *s, const uint8_t *rdata, size_t rdlen)
{
	return s->n == 1 && !s->over && item_len(s, 0) == rdlen && memcmp(s->data + 2, rdata, rdlen) == 0;
}

enum dr_err dr_dns_route_names(struct dr_dns_route *r, const struct dr_spec_route *spec, struct dr_error *e)
{
	enum dr_err rv;
	if ((rv = dr_dns_name_from_text(&r->zone, spec->zone, e)) != DR_OK ||
	    (rv = dr_dns_name_from_text(&r->record, spec->record, e)) != DR_OK ||
	    (rv = dr_dns_name_prefix(&r->marker, "_drcoord", &r->record, e)) != DR_OK)
		return rv;
	if (!dr_dns_name_within(&r->record, &r->zone))
		return dr_fail(e, DR_E_INVALID, "record %s does not lie in zone %s", spec->record,
			       spec->zone);
	r->ttl_s = spec->ttl_s;
	return DR_OK;
}

enum dr_err dr_dns_route_want(struct dr_dns_route *r, const char *host, uint64_t epoch, uint64_t plan,
			      uint32_t step, struct dr_error *e)
{
	char text[DR_DNS_MARKER_TEXT_MAX];
	if (inet_pton(AF_INET, host, r->address) == 1) {
		r->type = DR_DNS_A;
		r->address_len = 4;
	} else if (inet_pton(AF_INET6, host, r->address) == 1) {
		r->type = DR_DNS_AAAA;
		r->address_len = 16;
	} else {
		return dr_fail(e, DR_E_INVALID, "\"%s\" is no address literal", host);
	}
	if (epoch == 0)
		return dr_fail(e, DR_E_INVALID, "a route needs an epoch above 0");
	r->epoch = epoch;
	int n =
	    snprintf(text, sizeof(text), "e=%" PRIu64 ";plan=%" PRIu64 ";step=%" PRIu32, epoch, plan, step);
	dr_assert(n > 0 && (size_t)n < sizeof(text));
	r->marker_rdata[0] = (uint8_t)n;
	memcpy(r->marker_rdata + 1, text, (size_t)n);
	r->marker_rdlen = 1 + (size_t)n;
	return DR_OK;
}

/* The number behind "e=" at the beginning of a TXT record's first string; 0 when it is none of ours.  A
 * marker that somebody garbled counts as none: the swap still asks for exactly these bytes. */
static uint64_t marker_epoch(const uint8_t *rdata, size_t rdlen)
{
	uint64_t epoch = 0;
	if (rdlen < 1 || rdata[0] > rdlen - 1)
		return 0;
	const uint8_t *s = rdata + 1;
	size_t n = rdata[0];
	if (n < 3 || s[0] != 'e' || s[1] != '=')
		return 0;
	for (size_t i = 2; i < n && s[i] != ';'; i++) {
		if (s[i] < '0' || s[i] > '9' || epoch > (UINT64_MAX - 9) / 10)
			return 0;
		epoch = epoch * 10 + (uint64_t)(s[i] - '0');
	}
	return epoch;
}

static uint16_t ask_type(enum dr_dns_ask ask)
{
	static const uint16_t type[DR_DNS_ASKS] = { DR_DNS_SOA, DR_DNS_A, DR_DNS_AAAA, DR_DNS_TXT };
	return type[ask];
}

static const struct dr_dns_name *ask_name(const struct dr_dns_route *r, enum dr_dns_ask ask)
{
	return ask == DR_DNS_ASK_SOA ? &r->zone : ask == DR_DNS_ASK_MARKER ? &r->marker : &r->record;
}

void dr_dns_put_ask(struct dr_dns_out *o, uint16_t id, const struct dr_dns_route *r, enum dr_dns_ask ask)
{
	dr_dns_begin(o, id, DR_DNS_OP_QUERY);
	dr_dns_put_question(o, ask_name(r, ask), ask_type(ask));
}

enum dr_err dr_dns_seen_take(struct dr_dns_seen *s, const struct dr_dns_route *r, enum dr_dns_ask ask,
			     const struct dr_dns_msg *m, struct dr_error *e)
{
	const struct dr_dns_name *name = ask_name(r, ask);
	if (m->count[DR_DNS_QUESTION] > 0 &&
	    (!dr_dns_name_eq(&m->qname, name) || m->qtype != ask_type(ask) || m->qclass != DR_DNS_IN))
		return dr_fail(e, DR_E_PROTOCOL, "the answer is to another question");
	if ((m->flags & DR_DNS_TC) != 0)
		return dr_fail(e, DR_E_PROTOCOL, "the answer is cut although it came over TCP");
	struct dr_dns_set *set = ask == DR_DNS_ASK_A ? &s->a : ask == DR_DNS_ASK_AAAA ? &s->aaaa : &s->marker;
	bool counts = ask != DR_DNS_ASK_SOA; /* of the zone's top it only matters that there is one */
	for (unsigned i = 0; i < m->rrs; i++) {
		const struct dr_dns_rr *rr = &m->rr[i];
		if (rr->section != DR_DNS_ANSWER || rr->class != DR_DNS_IN ||
		    !dr_dns_name_eq(&rr->name, name))
			continue;
		if (rr->type == DR_DNS_CNAME && ask != DR_DNS_ASK_SOA)
			s->cname = true;
		if (rr->type != ask_type(ask))
			continue;
		if (!counts)
			s->is_zone_top = true;
		else
			dr_dns_set_add(set, rr->ttl, rr->rdata, rr->rdlen);
		if (ask == DR_DNS_ASK_MARKER) {
			uint64_t epoch = marker_epoch(rr->rdata, rr->rdlen);
			s->marker_epoch = epoch > s->marker_epoch ? epoch : s->marker_epoch;
		}
	}
	if (counts && m->count[DR_DNS_ANSWER] >= DR_DNS_RRS_MAX)
		set->over = true;
	s->answer[ask].in = true;
	s->answer[ask].authoritative = (m->flags & DR_DNS_AA) != 0;
	s->answer[ask].rcode = (uint8_t)dr_dns_rcode(m);
	return DR_OK;
}

bool dr_dns_seen_whole(const struct dr_dns_seen *s)
{
	for (unsigned i = 0; i < DR_DNS_ASKS; i++) {
		if (!s->answer[i].in)
			return false;
	}
	return true;
}

enum dr_err dr_dns_seen_check(const struct dr_dns_seen *s, const struct dr_dns_route *r, struct dr_error *e)
{
	char zone[DR_DNS_NAME_TEXT_MAX];
	char record[DR_DNS_NAME_TEXT_MAX];
	dr_dns_name_to_text(&r->zone, zone);
	dr_dns_name_to_text(&r->record, record);
	for (unsigned i = 0; i < DR_DNS_ASKS; i++) {
		unsigned rcode = s->answer[i].rcode;
		if (rcode == DR_DNS_SERVFAIL)
			return dr_fail(e, DR_E_FAILED, "answers SERVFAIL: is zone %s loaded there?", zone);
		if (rcode == DR_DNS_REFUSED || rcode == DR_DNS_NOTAUTH)
			return dr_fail(e, DR_E_NOT_FOUND,
				       "answers %s: it does not serve zone %s, or not to us",
				       dr_dns_rcode_name(rcode), zone);
		if (rcode != DR_DNS_NOERROR && rcode != DR_DNS_NXDOMAIN)
			return dr_fail(e, DR_E_PROTOCOL, "answers a query with %s (%u)",
				       dr_dns_rcode_name(rcode), rcode);
		if (!s->answer[i].authoritative)
			return dr_fail(e, DR_E_NOT_FOUND, "is not authoritative for %s",
				       i == 0 ? zone : record);
	}
	if (!s->is_zone_top)
		return dr_fail(e, DR_E_NOT_FOUND, "has no zone %s (there is no SOA at that name)", zone);
	if (s->cname)
		return dr_fail(e, DR_E_CONFLICT,
			       "a CNAME stands at %s or at its marker: remove it, the route needs "
			       "A, AAAA and TXT there",
			       record);
	if (s->a.over || s->aaaa.over || s->marker.over)
		return dr_fail(e, DR_E_CONFLICT, "more than %d records stand at %s: not a route of ours",
			       DR_DNS_SET_MAX, record);
	return DR_OK;
}

bool dr_dns_seen_is_wanted(const struct dr_dns_seen *s, const struct dr_dns_route *r, bool ttl_too)
{
	const struct dr_dns_set *one = r->type == DR_DNS_A ? &s->a : &s->aaaa;
	const struct dr_dns_set *none = r->type == DR_DNS_A ? &s->aaaa : &s->a;
	return dr_dns_set_is(one, r->address, r->address_len) && none->n == 0 && s->marker.n == 1 &&
	       s->marker_epoch == r->epoch && (!ttl_too || one->ttl == r->ttl_s);
}

bool dr_dns_seen_eq(const struct dr_dns_seen *a, const struct dr_dns_seen *b)
{
	return dr_dns_set_eq(&a->a, &b->a) && dr_dns_set_eq(&a->aaaa, &b->aaaa) &&
	       dr_dns_set_eq(&a->marker, &b->marker);
}

static size_t add_addresses(char *out, size_t cap, size_t at, const struct dr_dns_set *s, int family)
{
	char text[INET6_ADDRSTRLEN];
	size_t need = family == AF_INET ? 4 : 16;
	const char *word = family == AF_INET ? "A" : "AAAA";
	for (size_t i = 0; i < s->used && at < cap; i += 2 + item_len(s, i)) {
		if (item_len(s, i) == need && inet_ntop(family, s->data + i + 2, text, sizeof(text)) != NULL)
			at += (size_t)snprintf(out + at, cap - at, "%s %s ", word, text);
	}
	return at;
}

void dr_dns_seen_text(const struct dr_dns_seen *s, char *out, size_t cap)
{
	size_t at = add_addresses(out, cap, 0, &s->a, AF_INET);
	at = add_addresses(out, cap, at, &s->aaaa, AF_INET6);
	if (at == 0)
		at = (size_t)snprintf(out, cap, s->cname ? "a CNAME " : "no address ");
	if (at >= cap)
		return;
	if (s->marker_epoch > 0)
		(void)snprintf(out + at, cap - at, "e=%" PRIu64, s->marker_epoch);
	else
		(void)snprintf(out + at, cap - at, s->marker.n > 0 ? "a foreign marker" : "no marker");
}

/* The set is exactly this one (RFC 2136, 2.4.2), or absent (2.4.3). */
static void put_prereq(struct dr_dns_out *o, const struct dr_dns_name *name, uint16_t type,
		       const struct dr_dns_set *s)
{
	if (s->n == 0)
		dr_dns_put_rr(o, DR_DNS_PREREQ, name, type, DR_DNS_NONE, 0, NULL, 0);
	for (size_t i = 0; i < s->used; i += 2 + item_len(s, i))
		dr_dns_put_rr(o, DR_DNS_PREREQ, name, type, DR_DNS_IN, 0, s->data + i + 2, item_len(s, i));
}

/* Delete the set (2.5.2).  Only where one stands: a key need not be allowed types that it never touches. */
static void put_delete(struct dr_dns_out *o, const struct dr_dns_name *name, uint16_t type,
		       const struct dr_dns_set *s)
{
	if (s->n > 0)
		dr_dns_put_rr(o, DR_DNS_UPDATE, name, type, DR_DNS_ANY, 0, NULL, 0);
}

void dr_dns_put_update(struct dr_dns_out *o, uint16_t id, const struct dr_dns_route *r,
		       const struct dr_dns_seen *from)
{
	dr_assert(r->epoch > 0);
	dr_dns_begin(o, id, DR_DNS_OP_UPDATE);
	dr_dns_put_question(o, &r->zone, DR_DNS_SOA);
	put_prereq(o, &r->record, DR_DNS_A, &from->a);
	put_prereq(o, &r->record, DR_DNS_AAAA, &from->aaaa);
	put_prereq(o, &r->marker, DR_DNS_TXT, &from->marker);
	/* A server ignores an address next to a CNAME without a word (3.4.2.2). */
	dr_dns_put_rr(o, DR_DNS_PREREQ, &r->record, DR_DNS_CNAME, DR_DNS_NONE, 0, NULL, 0);

	put_delete(o, &r->record, DR_DNS_A, &from->a);
	put_delete(o, &r->record, DR_DNS_AAAA, &from->aaaa);
	dr_dns_put_rr(o, DR_DNS_UPDATE, &r->record, r->type, DR_DNS_IN, r->ttl_s, r->address, r->address_len);
	put_delete(o, &r->marker, DR_DNS_TXT, &from->marker);
	dr_dns_put_rr(o, DR_DNS_UPDATE, &r->marker, DR_DNS_TXT, DR_DNS_IN, r->ttl_s, r->marker_rdata,
		      r->marker_rdlen);
}

_Static_assert((int)DR_DNS_RRS_MAX > (int)DR_DNS_SET_MAX,
	       "a set that fits must be kept whole by the decoder");
