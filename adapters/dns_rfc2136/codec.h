/* codec.h -- DNS messages as bytes: just what a route needs of RFC 1035, 2136 and 8945.
 *
 * Pure: no clock, no socket, no allocation; any thread.  The decoder takes bytes from anywhere and never
 * reads outside them; every loop in it is bounded by their number. */
#ifndef DR_ADAPTERS_DNS_RFC2136_CODEC_H
#define DR_ADAPTERS_DNS_RFC2136_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
	DR_DNS_WIRE_NAME_MAX = 255,
	DR_DNS_NAME_TEXT_MAX = 4 * DR_DNS_WIRE_NAME_MAX + 1, /* every byte escaped, with the NUL */
	DR_DNS_MESSAGE_MAX = 65535,
	DR_DNS_OUT_MAX = 24 * 1024, /* bytes of one message of ours */
	DR_DNS_RRS_MAX = 64,        /* records that a decoded message keeps; the rest is only checked */
	DR_DNS_MAC_MAX = 64,
};

enum dr_dns_type {
	DR_DNS_A = 1,
	DR_DNS_CNAME = 5,
	DR_DNS_SOA = 6,
	DR_DNS_TXT = 16,
	DR_DNS_AAAA = 28,
	DR_DNS_TSIG = 250,
	DR_DNS_TYPE_ANY = 255,
};

enum dr_dns_class { DR_DNS_IN = 1, DR_DNS_NONE = 254, DR_DNS_ANY = 255 };

enum dr_dns_rcode {
	DR_DNS_NOERROR = 0,
	DR_DNS_FORMERR = 1,
	DR_DNS_SERVFAIL = 2,
	DR_DNS_NXDOMAIN = 3,
	DR_DNS_NOTIMP = 4,
	DR_DNS_REFUSED = 5,
	DR_DNS_YXDOMAIN = 6,
	DR_DNS_YXRRSET = 7,
	DR_DNS_NXRRSET = 8,
	DR_DNS_NOTAUTH = 9,
	DR_DNS_NOTZONE = 10,
	DR_DNS_BADSIG = 16,
	DR_DNS_BADKEY = 17,
	DR_DNS_BADTIME = 18,
	DR_DNS_BADTRUNC = 22,
};

/* Sections by their place; for an UPDATE they are zone, prerequisite, update, additional. */
enum dr_dns_section {
	DR_DNS_QUESTION,
	DR_DNS_ANSWER,
	DR_DNS_AUTHORITY,
	DR_DNS_ADDITIONAL,
	DR_DNS_SECTIONS,
	DR_DNS_PREREQ = DR_DNS_ANSWER,
	DR_DNS_UPDATE = DR_DNS_AUTHORITY,
};

enum {
	DR_DNS_QR = 0x8000,
	DR_DNS_AA = 0x0400,
	DR_DNS_TC = 0x0200,
	DR_DNS_OPCODE_MASK = 0x7800,
	DR_DNS_OP_QUERY = 0x0000,
	DR_DNS_OP_UPDATE = 0x2800,
	DR_DNS_RCODE_MASK = 0x000f,
};

/* A name in wire form without compression, letters lowered: memcmp compares it.  The root has len 1. */
struct dr_dns_name {
	uint8_t len;
	uint8_t wire[DR_DNS_WIRE_NAME_MAX];
};

/* From "a.b.c." (the final dot may be left out); letters, digits, '-' and '_' only.  INVALID, RANGE. */
DR_MUST_USE enum dr_err dr_dns_name_from_text(struct dr_dns_name *out, const char *text, struct dr_error *e);
/* With the final dot; what is not printable becomes \DDD. */
void dr_dns_name_to_text(const struct dr_dns_name *n, char out[DR_DNS_NAME_TEXT_MAX]);
bool dr_dns_name_eq(const struct dr_dns_name *a, const struct dr_dns_name *b);
/* Whether n is zone or lies below it. */
bool dr_dns_name_within(const struct dr_dns_name *n, const struct dr_dns_name *zone);
/* label.n; RANGE when that is too long. */
DR_MUST_USE enum dr_err dr_dns_name_prefix(struct dr_dns_name *out, const char *label,
					   const struct dr_dns_name *n, struct dr_error *e);

struct dr_dns_rr {
	enum dr_dns_section section;
	struct dr_dns_name name;
	uint16_t type;
	uint16_t class;
	uint32_t ttl;
	const uint8_t *rdata; /* borrowed from the decoded bytes */
	uint16_t rdlen;
};

/* A TSIG record taken apart (RFC 8945, 4.2). */
struct dr_dns_tsig {
	size_t at; /* where the record begins in the message */
	struct dr_dns_name key;
	struct dr_dns_name algorithm;
	uint64_t time_s;
	uint16_t fudge_s;
	const uint8_t *mac; /* borrowed, like other */
	uint16_t mac_len;
	uint16_t original_id;
	uint16_t error;
	const uint8_t *other;
	uint16_t other_len;
};

struct dr_dns_msg {
	uint16_t id;
	uint16_t flags;
	uint16_t count[DR_DNS_SECTIONS]; /* as the header says, and as the message was found to hold */
	struct dr_dns_name qname;        /* first question; empty (len 0) without one */
	uint16_t qtype;
	uint16_t qclass;
	unsigned rrs; /* kept in rr[] in their order, TSIG left out */
	struct dr_dns_rr rr[DR_DNS_RRS_MAX];
	bool has_tsig;
	struct dr_dns_tsig tsig;
};

/* PROTOCOL when the bytes are no whole DNS message: cut, with something behind the end, with a compression
 * pointer that does not go back, or with a TSIG record that is not the last one.  *m borrows from data. */
DR_MUST_USE enum dr_err dr_dns_decode(const void *data, size_t len, struct dr_dns_msg *m, struct dr_error *e);

static inline unsigned dr_dns_rcode(const struct dr_dns_msg *m)
{
	return m->flags & DR_DNS_RCODE_MASK;
}
/* "NXRRSET"; "RCODE" for a number without a name here. */
const char *dr_dns_rcode_name(unsigned rcode);

/* A message being written; past DR_DNS_OUT_MAX `over` is set and stays. */
struct dr_dns_out {
	size_t len;
	bool over;
	uint8_t data[DR_DNS_OUT_MAX];
};

void dr_dns_begin(struct dr_dns_out *o, uint16_t id, uint16_t flags);
void dr_dns_put_question(struct dr_dns_out *o, const struct dr_dns_name *name, uint16_t type);
void dr_dns_put_rr(struct dr_dns_out *o, enum dr_dns_section section, const struct dr_dns_name *name,
		   uint16_t type, uint16_t class, uint32_t ttl, const void *rdata, size_t rdlen);

#endif
