/* pb.c -- see pb.h. */
#include "proto/pb.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

void dr_pb_pack(struct dr_buf *out, const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *to = dr_buf_reserve(out, n);
	if (to != NULL)
		dr_buf_grow(out, protobuf_c_message_pack(m, to));
}

static void *budget_alloc(void *ctx, size_t n)
{
	struct dr_pb_budget *b = ctx;
	size_t cost = n + 32;
	if (cost > b->left)
		return NULL;
	b->left -= cost;
	return malloc(n);
}

static void budget_free(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

void *dr_pb_unpack(const ProtobufCMessageDescriptor *d, const uint8_t *p, size_t n, struct dr_pb_budget *b)
{
	b->left = 65536 + 16 * n;
	b->allocator = (ProtobufCAllocator){ .alloc = budget_alloc, .free = budget_free, .allocator_data = b };
	return n > 0 && p == NULL ? NULL : protobuf_c_message_unpack(d, &b->allocator, n, p);
}

void dr_pb_free(void *m, struct dr_pb_budget *b)
{
	protobuf_c_message_free_unpacked(m, &b->allocator);
}

static bool knows_field(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const char *at = (const char *)m + f->offset;
	ProtobufCMessage *const *all = (ProtobufCMessage *const *)(const void *)at; /* one, which may be NULL */
	size_t n = 1;
	if (f->type != PROTOBUF_C_TYPE_MESSAGE)
		return true;
	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		memcpy(&n, (const char *)m + f->quantifier_offset, sizeof(n));
		memcpy(&all, at, sizeof(all));
	}
	for (size_t i = 0; i < n; i++) {
		if (all[i] != NULL && !dr_pb_knows_all(all[i]))
			return false;
	}
	return true;
}

bool dr_pb_knows_all(const ProtobufCMessage *m)
{
	if (m->n_unknown_fields > 0)
		return false;
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		if (!knows_field(m, &m->descriptor->fields[i]))
			return false;
	}
	return true;
}

enum dr_err dr_pb_name(struct dr_name *out, const char *s, const char *what, struct dr_error *e)
{
	memset(out, 0, sizeof(*out));
	if (s == NULL || s[0] == '\0' || dr_name_set(out, s))
		return DR_OK;
	return dr_fail(e, DR_E_PROTOCOL, "%s is no valid name", what);
}

void dr_pb_text(char *dst, size_t cap, const char *s)
{
	memset(dst, 0, cap);
	if (s == NULL)
		return;
	(void)dr_copy_text(dst, cap, s);
	for (; *dst != '\0'; dst++) {
		if ((unsigned char)*dst < 0x20 || *dst == 0x7f)
			*dst = ' ';
	}
}

void dr_pb_address_put(Drcoord__Pb__Address *m, const struct dr_address *a)
{
	drcoord__pb__address__init(m);
	m->host = dr_pb_str(a->host);
	m->port = a->port;
}

void dr_pb_address_take(struct dr_address *a, const Drcoord__Pb__Address *m)
{
	memset(a, 0, sizeof(*a));
	if (m == NULL)
		return;
	dr_pb_text(a->host, sizeof(a->host), m->host);
	a->port = (uint16_t)(m->port <= 65535 ? m->port : 0);
}

void dr_pb_timing_put(Drcoord__Pb__Timing *m, const struct dr_timing *t)
{
	drcoord__pb__timing__init(m);
	m->renew_ms = t->renew_ms;
	m->ttl_ms = t->ttl_ms;
	m->fence_budget_ms = t->fence_budget_ms;
	m->guard_margin_ms = t->guard_margin_ms;
	m->probe_ms = t->probe_ms;
	m->probe_deadline_ms = t->probe_deadline_ms;
	m->detect_after_ms = t->detect_after_ms;
	m->drift_ppm = t->drift_ppm;
}

void dr_pb_limits_put(Drcoord__Pb__Limits *m, const struct dr_limits *l)
{
	drcoord__pb__limits__init(m);
	m->automatic_moves = l->automatic_moves;
	m->within_ms = l->within_ms;
}

void dr_pb_limits_take(struct dr_limits *l, const Drcoord__Pb__Limits *m)
{
	if (m == NULL)
		return;
	uint32_t most = m->automatic_moves < DR_MOVES_KEPT ? m->automatic_moves : DR_MOVES_KEPT;
	*l = (struct dr_limits){ .automatic_moves = most, .within_ms = m->within_ms };
}

void dr_pb_timing_take(struct dr_timing *t, const Drcoord__Pb__Timing *m)
{
	memset(t, 0, sizeof(*t));
	if (m == NULL)
		return;
	*t = (struct dr_timing){ .renew_ms = m->renew_ms, .ttl_ms = m->ttl_ms, .fence_budget_ms = m->fence_budget_ms,
				 .guard_margin_ms = m->guard_margin_ms, .probe_ms = m->probe_ms,
				 .probe_deadline_ms = m->probe_deadline_ms, .detect_after_ms = m->detect_after_ms,
				 .drift_ppm = m->drift_ppm };
}

void dr_pb_order_put(Drcoord__Pb__OrderCore *m, const struct dr_order_core *o)
{
	drcoord__pb__order_core__init(m);
	m->kind = (uint32_t)o->kind;
	m->number = o->number;
	m->epoch = o->epoch;
	m->plan = o->plan;
	m->step = o->step;
	m->target = dr_pb_place(o->target);
	m->sync = o->sync;
	m->k = o->k;
	m->position = o->position;
	m->timeline = o->timeline;
	m->system_id = o->system_id;
	m->clean = o->clean;
	m->listed = o->listed;
	m->list_version = o->list_version;
}

void dr_pb_order_take(struct dr_order_core *o, const Drcoord__Pb__OrderCore *m)
{
	memset(o, 0, sizeof(*o));
	o->target = DR_MEMBER_NONE;
	if (m == NULL || m->kind >= DR_ORDER_MAX)
		return;
	*o = (struct dr_order_core){ .kind = (enum dr_order_kind)m->kind, .number = m->number, .epoch = m->epoch,
				     .plan = m->plan, .step = m->step, .target = dr_pb_member(m->target),
				     .sync = (dr_member_set)(m->sync & 0xffu), .k = m->k, .position = m->position,
				     .timeline = m->timeline, .system_id = m->system_id, .clean = m->clean,
				     .listed = (dr_member_set)(m->listed & 0xffu), .list_version = m->list_version };
}

void dr_pb_result_put(Drcoord__Pb__OrderResult *m, const struct dr_order_result *r)
{
	drcoord__pb__order_result__init(m);
	m->number = r->number;
	m->epoch = r->epoch;
	m->outcome = (uint32_t)r->outcome;
	m->code = (uint32_t)r->code;
	m->position = r->position;
	m->timeline = r->timeline;
	m->system_id = r->system_id;
	m->divergence = (uint32_t)r->divergence;
	m->acked = r->acked;
	m->text = dr_pb_str(r->text);
}

void dr_pb_result_take(struct dr_order_result *r, const Drcoord__Pb__OrderResult *m)
{
	memset(r, 0, sizeof(*r));
	if (m == NULL)
		return;
	r->number = m->number;
	r->epoch = m->epoch;
	r->outcome = (enum dr_outcome)(m->outcome <= DR_OUTCOME_REFUSED ? m->outcome : DR_OUTCOME_NONE);
	r->code = (enum dr_err)(m->code < DR_ERR_COUNT ? m->code : DR_E_FAILED);
	r->position = m->position;
	r->timeline = m->timeline;
	r->system_id = m->system_id;
	r->divergence = (enum dr_divergence)(m->divergence <= DR_DIVERGENCE_CLONE ? m->divergence : 0);
	r->acked = m->acked;
	dr_pb_text(r->text, sizeof(r->text), m->text);
}

void dr_pb_event_put(Drcoord__Pb__Event *m, const struct dr_event_record *e)
{
	drcoord__pb__event__init(m);
	m->index = e->index;
	m->wall_ms = e->wall_ms;
	m->log_index = e->log_index;
	m->kind = (uint32_t)e->kind;
	m->reason = (uint32_t)e->reason;
	m->service = dr_pb_str(e->service.s);
	m->member = dr_pb_str(e->member.s);
	m->site = dr_pb_str(e->site.s);
	m->epoch = e->epoch;
	m->plan = e->plan;
	m->number = e->number;
	m->plan_kind = e->plan_kind;
	m->step = e->step;
	m->order = (uint32_t)e->order;
	m->outcome = (uint32_t)e->outcome;
	m->proof = (uint32_t)e->proof;
	m->a = e->a;
	m->b = e->b;
	m->actor = dr_pb_str(e->actor.s);
	m->text = dr_pb_str(e->text);
}

enum dr_err dr_pb_event_take(struct dr_event_record *e, const Drcoord__Pb__Event *m, struct dr_error *err)
{
	memset(e, 0, sizeof(*e));
	e->index = m->index;
	e->wall_ms = m->wall_ms;
	e->log_index = m->log_index;
	e->kind = (enum dr_event_kind)m->kind;
	e->reason = (enum dr_reason)m->reason;
	e->epoch = m->epoch;
	e->plan = m->plan;
	e->number = m->number;
	e->plan_kind = m->plan_kind;
	e->step = m->step;
	e->order = (enum dr_order_kind)m->order;
	e->outcome = (enum dr_outcome)m->outcome;
	e->proof = (enum dr_proof)m->proof;
	e->a = m->a;
	e->b = m->b;
	dr_pb_text(e->text, sizeof(e->text), m->text);
	enum dr_err rv = dr_pb_name(&e->service, m->service, "event.service", err);
	if (rv == DR_OK)
		rv = dr_pb_name(&e->member, m->member, "event.member", err);
	if (rv == DR_OK)
		rv = dr_pb_name(&e->site, m->site, "event.site", err);
	return rv == DR_OK ? dr_pb_name(&e->actor, m->actor, "event.actor", err) : rv;
}
