/* route.h -- a route as DNS shows it on one server, and the UPDATE that makes it what it should be.
 *
 * Pure: no clock, no socket, no allocation; any thread.
 *
 * Beside the record stands a marker, _drcoord.RECORD TXT "e=EPOCH;plan=ID;step=N".  Every update asks for the
 * old marker and puts the new one in the same message, so that a late packet of a deposed leader fails at
 * the DNS server itself: the server compares and swaps, we only ask it to (RFC 2136, 5.3 to 5.6). */
#ifndef DR_ADAPTERS_DNS_RFC2136_ROUTE_H
#define DR_ADAPTERS_DNS_RFC2136_ROUTE_H

#include "adapters/dns_rfc2136/codec.h"
#include "model/spec.h"

enum { DR_DNS_SET_BYTES = 1024, DR_DNS_SET_MAX = 32, DR_DNS_MARKER_TEXT_MAX = 80 };

/* The RDATA of one record set, sorted, so that memcmp compares two of them whatever order a server gave.
 * Each item has its length in two bytes in front.  `over`: more than fits; such a set is never updated. */
struct dr_dns_set {
	uint32_t ttl; /* of the first item */
	unsigned n;
	size_t used;
	bool over;
	uint8_t data[DR_DNS_SET_BYTES];
};
void dr_dns_set_add(struct dr_dns_set *s, uint32_t ttl, const uint8_t *rdata, uint16_t rdlen);
bool dr_dns_set_eq(const struct dr_dns_set *a, const struct dr_dns_set *b);
/* Whether the set is exactly this one item. */
bool dr_dns_set_is(const struct dr_dns_set *s, const uint8_t *rdata, size_t rdlen);

/* What the route is to be. */
struct dr_dns_route {
	struct dr_dns_name zone;
	struct dr_dns_name record;
	struct dr_dns_name marker;
	uint32_t ttl_s;
	uint16_t type; /* A or AAAA, as the address is */
	uint8_t address[16];
	size_t address_len;
	uint64_t epoch;
	uint8_t marker_rdata[1 + DR_DNS_MARKER_TEXT_MAX];
	size_t marker_rdlen;
};
/* The names, checked against each other: INVALID, RANGE. */
DR_MUST_USE enum dr_err dr_dns_route_names(struct dr_dns_route *r, const struct dr_spec_route *spec,
					   struct dr_error *e);
/* Where it is to point, and by whose decision: INVALID when host is no address literal or epoch is 0. */
DR_MUST_USE enum dr_err dr_dns_route_want(struct dr_dns_route *r, const char *host, uint64_t epoch,
					  uint64_t plan, uint32_t step, struct dr_error *e);

/* The four questions whose answers show a route. */
enum dr_dns_ask { DR_DNS_ASK_SOA, DR_DNS_ASK_A, DR_DNS_ASK_AAAA, DR_DNS_ASK_MARKER, DR_DNS_ASKS };

struct dr_dns_seen {
	struct {
		bool in;
		bool authoritative;
		uint8_t rcode;
	} answer[DR_DNS_ASKS];
	bool is_zone_top; /* the server has a SOA at the zone's name */
	bool cname;       /* a CNAME stands at the record */
	struct dr_dns_set a, aaaa, marker;
	uint64_t marker_epoch; /* the highest there; 0 without one */
};
void dr_dns_put_ask(struct dr_dns_out *o, uint16_t id, const struct dr_dns_route *r, enum dr_dns_ask ask);
/* Take in the answer to one ask.  PROTOCOL when it answers another question. */
DR_MUST_USE enum dr_err dr_dns_seen_take(struct dr_dns_seen *s, const struct dr_dns_route *r,
					 enum dr_dns_ask ask, const struct dr_dns_msg *m, struct dr_error *e);
bool dr_dns_seen_whole(const struct dr_dns_seen *s);
/* Whether what was seen can be relied on: NOT_FOUND (the server does not serve this zone), FAILED (it
 * cannot now), PROTOCOL, CONFLICT (a CNAME, or a record set too large, is in the way). */
DR_MUST_USE enum dr_err dr_dns_seen_check(const struct dr_dns_seen *s, const struct dr_dns_route *r,
					  struct dr_error *e);
/* The record and nothing else, and a marker of our epoch; TTLs only when asked for. */
bool dr_dns_seen_is_wanted(const struct dr_dns_seen *s, const struct dr_dns_route *r, bool ttl_too);
bool dr_dns_seen_eq(const struct dr_dns_seen *a, const struct dr_dns_seen *b);
/* "A 10.1.0.20 e=3", "no address, no marker", cut to cap. */
void dr_dns_seen_text(const struct dr_dns_seen *s, char *out, size_t cap);

/* The update from exactly what was seen to what is wanted; o->over when it does not fit. */
void dr_dns_put_update(struct dr_dns_out *o, uint16_t id, const struct dr_dns_route *r,
		       const struct dr_dns_seen *from);

#endif
