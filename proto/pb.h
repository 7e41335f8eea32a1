/* pb.h -- what the codecs share: packing into buffers, unpacking within a budget, checked texts.
 *
 * For the codecs only (proto/ and coord/shell/snapshot.c). */
#ifndef DR_PROTO_PB_H
#define DR_PROTO_PB_H

#include <drcoord.pb-c.h>

#include "base/buf.h"
#include "model/ids.h"
#include "model/cmd.h"

/* Append a message; over the buffer's bound the buffer says so. */
void dr_pb_pack(struct dr_buf *out, const ProtobufCMessage *m);

/* Unpack within a budget of memory: 64 KiB and 16 bytes for each byte of input.  NULL: it does not decode. */
struct dr_pb_budget {
	size_t left;
	ProtobufCAllocator allocator;
};
void *dr_pb_unpack(const ProtobufCMessageDescriptor *d, const uint8_t *p, size_t n, struct dr_pb_budget *b);
void dr_pb_free(void *m, struct dr_pb_budget *b);
/* Whether this build knows every field of a message, and of those in it: a later one's is skipped when it is unpacked.  Most
 * messages may have more; what is replicated, and what a person asks for, is not to be half understood. */
bool dr_pb_knows_all(const ProtobufCMessage *m);

/* Texts from outside.  A name is empty or valid; other text is cut and made printable. */
DR_MUST_USE enum dr_err dr_pb_name(struct dr_name *out, const char *s, const char *what, struct dr_error *e);
void dr_pb_text(char *dst, size_t cap, const char *s);
static inline char *dr_pb_str(const char *s)
{
	return (char *)(uintptr_t)s; /* packing only reads it */
}

/* A place on the wire is one more, 0 is none. */
static inline uint32_t dr_pb_place(dr_member_ix m)
{
	return m < DR_MEMBERS_MAX ? (uint32_t)m + 1u : 0u;
}
static inline dr_member_ix dr_pb_member(uint32_t place)
{
	return place >= 1 && place <= DR_MEMBERS_MAX ? (dr_member_ix)(place - 1u) : (dr_member_ix)DR_MEMBER_NONE;
}

/* Pieces that several messages carry.  The structs point into what they are made from. */
void dr_pb_address_put(Drcoord__Pb__Address *m, const struct dr_address *a);
void dr_pb_address_take(struct dr_address *a, const Drcoord__Pb__Address *m);
void dr_pb_timing_put(Drcoord__Pb__Timing *m, const struct dr_timing *t);
void dr_pb_limits_put(Drcoord__Pb__Limits *m, const struct dr_limits *l);
void dr_pb_limits_take(struct dr_limits *l, const Drcoord__Pb__Limits *m); /* absent: none */
void dr_pb_timing_take(struct dr_timing *t, const Drcoord__Pb__Timing *m);
void dr_pb_order_put(Drcoord__Pb__OrderCore *m, const struct dr_order_core *o);
void dr_pb_order_take(struct dr_order_core *o, const Drcoord__Pb__OrderCore *m);
void dr_pb_result_put(Drcoord__Pb__OrderResult *m, const struct dr_order_result *r);
void dr_pb_result_take(struct dr_order_result *r, const Drcoord__Pb__OrderResult *m);
void dr_pb_event_put(Drcoord__Pb__Event *m, const struct dr_event_record *e);
DR_MUST_USE enum dr_err dr_pb_event_take(struct dr_event_record *e, const Drcoord__Pb__Event *m, struct dr_error *err);

/* A spec or one service as a tree of messages in one allocation. */
struct dr_pb_service {
	Drcoord__Pb__Service m;
	Drcoord__Pb__Member member[DR_MEMBERS_MAX];
	Drcoord__Pb__Member *member_ptr[DR_MEMBERS_MAX];
	Drcoord__Pb__Address member_at[DR_MEMBERS_MAX], agent_at[DR_MEMBERS_MAX];
	Drcoord__Pb__Route route[DR_ROUTES_MAX];
	Drcoord__Pb__Route *route_ptr[DR_ROUTES_MAX];
	Drcoord__Pb__Address server[DR_ROUTES_MAX][DR_ROUTE_SERVERS_MAX];
	Drcoord__Pb__Address *server_ptr[DR_ROUTES_MAX][DR_ROUTE_SERVERS_MAX];
	char *route_on[DR_ROUTES_MAX][DR_ROUTE_SERVERS_MAX];
	char *route_text[DR_ROUTES_MAX][DR_ROUTE_TEXTS_MAX];
};
void dr_pb_service_put(struct dr_pb_service *t, const struct dr_spec_service *s);
DR_MUST_USE enum dr_err dr_pb_service_take(struct dr_spec_service *s, const Drcoord__Pb__Service *m,
					   struct dr_error *e);
/* The steps of a runbook; n: how many there are. */
struct dr_pb_runbook {
	size_t n;
	Drcoord__Pb__RunbookStep step[DR_RUNBOOK_MAX];
	Drcoord__Pb__RunbookStep *ptr[DR_RUNBOOK_MAX];
};
void dr_pb_step_put(Drcoord__Pb__RunbookStep *m, const struct dr_runbook_step *s);
DR_MUST_USE enum dr_err dr_pb_step_take(struct dr_runbook_step *s, const Drcoord__Pb__RunbookStep *m, struct dr_error *e);
void dr_pb_runbook_put(struct dr_pb_runbook *t, const struct dr_runbook_step all[DR_RUNBOOK_MAX]);
DR_MUST_USE enum dr_err dr_pb_runbook_take(struct dr_runbook_step all[DR_RUNBOOK_MAX], Drcoord__Pb__RunbookStep *const *m,
					   size_t n, struct dr_error *e);
struct dr_pb_spec {
	Drcoord__Pb__Spec m;
	struct dr_pb_runbook runbook;
	Drcoord__Pb__Timing timing;
	Drcoord__Pb__Limits limits;
	Drcoord__Pb__Site site[DR_SITES_MAX];
	Drcoord__Pb__Site *site_ptr[DR_SITES_MAX];
	struct dr_pb_service *service;
	Drcoord__Pb__Service **service_ptr;
};
struct dr_pb_spec *dr_pb_spec_put(const struct dr_spec *s); /* dr_pb_spec_free */
void dr_pb_spec_free(struct dr_pb_spec *t);
/* The spec's message as it is sent: itself, or where it is large NULL and *squeezed filled (dr_buf_close it). */
Drcoord__Pb__Spec *dr_pb_spec_send(struct dr_pb_spec *t, struct dr_buf *squeezed, ProtobufCBinaryData *m);
/* The other way; neither: *out stays NULL. */
DR_MUST_USE enum dr_err dr_pb_spec_receive(struct dr_spec **out, const Drcoord__Pb__Spec *m,
					   const ProtobufCBinaryData *squeezed, struct dr_error *e);
/* *out is allocated (dr_spec_free). */
DR_MUST_USE enum dr_err dr_pb_spec_take(struct dr_spec **out, const Drcoord__Pb__Spec *m, struct dr_error *e);

#endif
