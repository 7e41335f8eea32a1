/* codec.c -- see codec.h. */
#include "adapters/dns_rfc2136/codec.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"

enum { HEADER_LEN = 12, LABEL_MAX = 63 };

enum dr_err dr_dns_name_from_text(struct dr_dns_name *out, const char *text, struct dr_error *e)
{
	size_t at = 0;
	out->len = 0;
	if (text[0] == '\0')
		return dr_fail(e, DR_E_INVALID, "a DNS name is empty");
	if (strcmp(text, ".") == 0)
		text++;
	for (const char *p = text; *p != '\0';) {
		size_t n = strcspn(p, ".");
		if (n == 0)
			return dr_fail(e, DR_E_INVALID, "DNS name \"%s\": an empty label", text);
		if (n > LABEL_MAX)
			return dr_fail(e, DR_E_RANGE, "DNS name \"%s\": a label of over 63 bytes", text);
		if (at + 1 + n + 1 > DR_DNS_WIRE_NAME_MAX)
			return dr_fail(e, DR_E_RANGE, "DNS name \"%s\": over 255 bytes", text);
		out->wire[at++] = (uint8_t)n;
		for (size_t i = 0; i < n; i++) {
			unsigned char c = (unsigned char)p[i];
			if (!isalnum(c) && c != '-' && c != '_')
				return dr_fail(e, DR_E_INVALID, "DNS name \"%s\": '%c' cannot stand in it",
					       text, isprint(c) ? c : '?');
			out->wire[at++] = (uint8_t)tolower(c);
		}
		p += n;
		if (*p == '.')
			p++;
	}
	out->wire[at++] = 0;
	out->len = (uint8_t)at;
	return DR_OK;
}

void dr_dns_name_to_text(const struct dr_dns_name *n, char out[DR_DNS_NAME_TEXT_MAX])
{
	size_t at = 0;
	for (size_t i = 0; i < n->len && n->wire[i] != 0;) {
		size_t label = n->wire[i++];
		for (size_t k = 0; k < label && i < n->len; k++, i++) {
			unsigned char c = n->wire[i];
			if (c > ' ' && c < 0x7f && c != '.' && c != '\\')
				out[at++] = (char)c;
			else
				at += (size_t)snprintf(out + at, DR_DNS_NAME_TEXT_MAX - at, "\\%03u", c);
		}
		out[at++] = '.';
	}
	if (at == 0)
		out[at++] = '.';
	out[at] = '\0';
}

bool dr_dns_name_eq(const struct dr_dns_name *a, const struct dr_dns_name *b)
{
	return a->len == b->len && memcmp(a->wire, b->wire, a->len) == 0;
}

bool dr_dns_name_within(const struct dr_dns_name *n, const struct dr_dns_name *zone)
{
	for (size_t i = 0; i < n->len; i += (size_t)n->wire[i] + 1) {
		if ((size_t)n->len - i == zone->len)
			return memcmp(n->wire + i, zone->wire, zone->len) == 0;
		if (n->wire[i] == 0)
			break;
	}
	return false;
}

enum dr_err dr_dns_name_prefix(struct dr_dns_name *out, const char *label, const struct dr_dns_name *n,
			       struct dr_error *e)
{
	size_t add = strlen(label);
	dr_assert(add > 0 && add <= LABEL_MAX);
	if (add + 1 + n->len > DR_DNS_WIRE_NAME_MAX)
		return dr_fail(e, DR_E_RANGE, "\"%s\" in front of a DNS name of %u bytes makes it too long",
			       label, n->len);
	struct dr_dns_name made = { .len = (uint8_t)(add + 1 + n->len) };
	made.wire[0] = (uint8_t)add;
	memcpy(made.wire + 1, label, add);
	memcpy(made.wire + 1 + add, n->wire, n->len);
	*out = made;
	return DR_OK;
}

const char *dr_dns_rcode_name(unsigned rcode)
{
	switch (rcode) {
	case DR_DNS_NOERROR:
		return "NOERROR";
	case DR_DNS_FORMERR:
		return "FORMERR";
	case DR_DNS_SERVFAIL:
		return "SERVFAIL";
	case DR_DNS_NXDOMAIN:
		return "NXDOMAIN";
	case DR_DNS_NOTIMP:
		return "NOTIMP";
	case DR_DNS_REFUSED:
		return "REFUSED";
	case DR_DNS_YXDOMAIN:
		return "YXDOMAIN";
	case DR_DNS_YXRRSET:
		return "YXRRSET";
	case DR_DNS_NXRRSET:
		return "NXRRSET";
	case DR_DNS_NOTAUTH:
		return "NOTAUTH";
	case DR_DNS_NOTZONE:
		return "NOTZONE";
	case DR_DNS_BADSIG:
		return "BADSIG";
	case DR_DNS_BADKEY:
		return "BADKEY";
	case DR_DNS_BADTIME:
		return "BADTIME";
	case DR_DNS_BADTRUNC:
		return "BADTRUNC";
	default:
		return "RCODE";
	}
}

/* Read a name at v, following pointers.  A pointer must point before the place where the label run that
 * holds it began: so each jump goes strictly back and no chain of them can be endless. */
static bool take_name(struct dr_view *v, struct dr_dns_name *out)
{
	struct dr_view jumped = *v;
	struct dr_view *in = v;
	size_t run_at = v->at;
	size_t at = 0;

	out->len = 0;
	for (;;) {
		uint8_t n = dr_view_u8(in);
		if (in->bad)
			break;
		if ((n & 0xc0) == 0xc0) {
			size_t to = (size_t)(n & 0x3f) << 8 | dr_view_u8(in);
			if (in->bad || to >= run_at)
				break;
			jumped.at = to;
			run_at = to;
			in = &jumped;
			continue;
		}
		if (n > LABEL_MAX || at + 1 + n + (n != 0) > DR_DNS_WIRE_NAME_MAX)
			break;
		out->wire[at++] = n;
		if (n == 0) {
			out->len = (uint8_t)at;
			return true;
		}
		const uint8_t *label = dr_view_bytes(in, n);
		if (label == NULL)
			break;
		for (size_t i = 0; i < n; i++)
			out->wire[at++] =
			    (uint8_t)(label[i] >= 'A' && label[i] <= 'Z' ? label[i] + 32 : label[i]);
	}
	v->bad = true;
	return false;
}

static uint64_t take_u48(struct dr_view *v)
{
	uint64_t high = dr_view_u16be(v);
	return high << 32 | dr_view_u32be(v);
}

static bool take_tsig(struct dr_view *v, size_t rr_at, const struct dr_dns_rr *rr, struct dr_dns_tsig *t)
{
	size_t end = v->at + rr->rdlen;
	*t = (struct dr_dns_tsig){ .at = rr_at, .key = rr->name };
	if (rr->class != DR_DNS_ANY || rr->ttl != 0 || !take_name(v, &t->algorithm))
		return false;
	t->time_s = take_u48(v);
	t->fudge_s = dr_view_u16be(v);
	t->mac_len = dr_view_u16be(v);
	t->mac = dr_view_bytes(v, t->mac_len);
	t->original_id = dr_view_u16be(v);
	t->error = dr_view_u16be(v);
	t->other_len = dr_view_u16be(v);
	t->other = dr_view_bytes(v, t->other_len);
	return !v->bad && v->at == end;
}

static enum dr_err take_rr(struct dr_view *v, enum dr_dns_section section, bool last, struct dr_dns_msg *m,
			   struct dr_error *e)
{
	struct dr_dns_rr spare;
	struct dr_dns_rr *rr = m->rrs < DR_DNS_RRS_MAX ? &m->rr[m->rrs] : &spare;
	size_t rr_at = v->at;

	rr->section = section;
	(void)take_name(v, &rr->name);
	rr->type = dr_view_u16be(v);
	rr->class = dr_view_u16be(v);
	rr->ttl = dr_view_u32be(v);
	rr->rdlen = dr_view_u16be(v);
	if (v->bad || rr->rdlen > dr_view_left(v))
		return dr_fail(e, DR_E_PROTOCOL, "DNS message: a record at byte %zu is cut or malformed",
			       rr_at);
	if (rr->type == DR_DNS_TSIG) {
		if (!last || !take_tsig(v, rr_at, rr, &m->tsig))
			return dr_fail(e, DR_E_PROTOCOL,
				       "DNS message: TSIG malformed or not the last record");
		m->has_tsig = true;
		return DR_OK;
	}
	rr->rdata = dr_view_bytes(v, rr->rdlen);
	if (rr != &spare)
		m->rrs++;
	return DR_OK;
}

enum dr_err dr_dns_decode(const void *data, size_t len, struct dr_dns_msg *m, struct dr_error *e)
{
	struct dr_view v = dr_view_of(data, len);
	m->id = dr_view_u16be(&v);
	m->flags = dr_view_u16be(&v);
	for (unsigned s = 0; s < DR_DNS_SECTIONS; s++)
		m->count[s] = dr_view_u16be(&v);
	m->qname.len = 0;
	m->qtype = m->qclass = 0;
	m->rrs = 0;
	m->has_tsig = false;
	if (v.bad || len > DR_DNS_MESSAGE_MAX)
		return dr_fail(e, DR_E_PROTOCOL, "DNS message: %zu bytes are none", len);

	for (unsigned i = 0; i < m->count[DR_DNS_QUESTION]; i++) {
		struct dr_dns_name name;
		(void)take_name(&v, &name);
		uint16_t type = dr_view_u16be(&v);
		uint16_t class = dr_view_u16be(&v);
		if (v.bad)
			return dr_fail(e, DR_E_PROTOCOL, "DNS message: a question is cut or malformed");
		if (i == 0) {
			m->qname = name;
			m->qtype = type;
			m->qclass = class;
		}
	}
	for (unsigned s = DR_DNS_ANSWER; s < DR_DNS_SECTIONS; s++) {
		for (unsigned i = 0; i < m->count[s]; i++) {
			bool last = s == DR_DNS_ADDITIONAL && i + 1 == m->count[s];
			enum dr_err rv = take_rr(&v, (enum dr_dns_section)s, last, m, e);
			if (rv != DR_OK)
				return rv;
		}
	}
	if (dr_view_left(&v) != 0)
		return dr_fail(e, DR_E_PROTOCOL, "DNS message: %zu bytes behind its end", dr_view_left(&v));
	return DR_OK;
}

static void put(struct dr_dns_out *o, const void *data, size_t n)
{
	if (o->over || n > sizeof(o->data) - o->len) {
		o->over = true;
		return;
	}
	if (n > 0)
		memcpy(o->data + o->len, data, n);
	o->len += n;
}

static void put_u16(struct dr_dns_out *o, uint16_t v)
{
	uint8_t b[2] = { (uint8_t)(v >> 8), (uint8_t)v };
	put(o, b, sizeof(b));
}

static void count_up(struct dr_dns_out *o, enum dr_dns_section s)
{
	uint8_t *at = o->data + 4 + 2 * (size_t)s;
	uint16_t n = (uint16_t)((at[0] << 8 | at[1]) + 1);
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
}

void dr_dns_begin(struct dr_dns_out *o, uint16_t id, uint16_t flags)
{
	o->len = 0;
	o->over = false;
	put_u16(o, id);
	put_u16(o, flags);
	for (unsigned s = 0; s < DR_DNS_SECTIONS; s++)
		put_u16(o, 0);
}

void dr_dns_put_question(struct dr_dns_out *o, const struct dr_dns_name *name, uint16_t type)
{
	dr_assert(o->len >= HEADER_LEN);
	put(o, name->wire, name->len);
	put_u16(o, type);
	put_u16(o, DR_DNS_IN);
	count_up(o, DR_DNS_QUESTION);
}

void dr_dns_put_rr(struct dr_dns_out *o, enum dr_dns_section section, const struct dr_dns_name *name,
		   uint16_t type, uint16_t class, uint32_t ttl, const void *rdata, size_t rdlen)
{
	dr_assert(o->len >= HEADER_LEN);
	dr_assert(rdlen <= UINT16_MAX);
	put(o, name->wire, name->len);
	put_u16(o, type);
	put_u16(o, class);
	put_u16(o, (uint16_t)(ttl >> 16));
	put_u16(o, (uint16_t)ttl);
	put_u16(o, (uint16_t)rdlen);
	put(o, rdata, rdlen);
	count_up(o, section);
}
