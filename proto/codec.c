/* codec.c -- the small messages: greeting, who leads, whom a message speaks of, observations. */
#include "proto/codec.h"

#include <string.h>

#include "base/mem.h"
#include "proto/frames.h"
#include "proto/pb.h"

static enum dr_err garbled(struct dr_error *e, const char *what)
{
	return dr_fail(e, DR_E_PROTOCOL, "%s does not decode", what);
}

void dr_greet_encode(struct dr_buf *out, const struct dr_greet *g)
{
	Drcoord__Pb__Greet m = DRCOORD__PB__GREET__INIT;
	m.kind = g->kind;
	m.cluster = dr_pb_str(g->cluster.s);
	m.name = dr_pb_str(g->name.s);
	m.version = g->version;
	m.software = dr_pb_str(g->software);
	dr_pb_pack(out, &m.base);
}

enum dr_err dr_greet_decode(struct dr_greet *g, const uint8_t *p, size_t n, struct dr_error *e)
{
	struct dr_pb_budget b;
	Drcoord__Pb__Greet *m = dr_pb_unpack(&drcoord__pb__greet__descriptor, p, n, &b);
	memset(g, 0, sizeof(*g));
	if (m == NULL)
		return garbled(e, "the greeting");
	g->kind = m->kind;
	g->version = m->version;
	dr_pb_text(g->software, sizeof(g->software), m->software);
	enum dr_err rv = dr_pb_name(&g->cluster, m->cluster, "greet.cluster", e);
	if (rv == DR_OK)
		rv = dr_pb_name(&g->name, m->name, "greet.name", e);
	dr_pb_free(m, &b);
	return rv;
}

void dr_lead_encode(struct dr_buf *out, const struct dr_lead *l)
{
	Drcoord__Pb__Lead m = DRCOORD__PB__LEAD__INIT;
	Drcoord__Pb__Timing t;
	dr_pb_timing_put(&t, &l->timing);
	m.leading = l->leading;
	m.term = l->term;
	m.leader = dr_pb_str(l->leader.s);
	m.timing = &t;
	m.ttl_longest_ms = l->ttl_longest_ms;
	dr_pb_pack(out, &m.base);
}

enum dr_err dr_lead_decode(struct dr_lead *l, const uint8_t *p, size_t n, struct dr_error *e)
{
	struct dr_pb_budget b;
	Drcoord__Pb__Lead *m = dr_pb_unpack(&drcoord__pb__lead__descriptor, p, n, &b);
	memset(l, 0, sizeof(*l));
	if (m == NULL)
		return garbled(e, "a word on who leads");
	l->leading = m->leading;
	l->term = m->term;
	dr_pb_timing_take(&l->timing, m->timing);
	l->ttl_longest_ms = m->ttl_longest_ms;
	enum dr_err rv = dr_pb_name(&l->leader, m->leader, "lead.leader", e);
	dr_pb_free(m, &b);
	return rv;
}

void dr_member_msg_encode(struct dr_buf *out, uint16_t frame, const struct dr_member_msg *msg)
{
	char *service = dr_pb_str(msg->service.s);
	char *member = dr_pb_str(msg->member.s);
	if (frame == DR_FRAME_RENEW) {
		Drcoord__Pb__Renew m = DRCOORD__PB__RENEW__INIT;
		m.service = service, m.member = member, m.epoch = msg->epoch, m.id = msg->id;
		dr_pb_pack(out, &m.base);
	} else if (frame == DR_FRAME_GRANT) {
		Drcoord__Pb__Grant m = DRCOORD__PB__GRANT__INIT;
		m.service = service, m.member = member, m.epoch = msg->epoch, m.id = msg->id, m.ttl_ms = msg->ttl_ms;
		dr_pb_pack(out, &m.base);
	} else if (frame == DR_FRAME_RESULT) {
		Drcoord__Pb__MemberResult m = DRCOORD__PB__MEMBER_RESULT__INIT;
		Drcoord__Pb__OrderResult r;
		dr_pb_result_put(&r, &msg->result);
		m.service = service, m.member = member, m.result = &r;
		dr_pb_pack(out, &m.base);
	} else if (frame == DR_FRAME_LOOK) {
		Drcoord__Pb__Look m = DRCOORD__PB__LOOK__INIT;
		m.service = service, m.member = member;
		dr_pb_pack(out, &m.base);
	} else {
		Drcoord__Pb__Cancel m = DRCOORD__PB__CANCEL__INIT;
		m.service = service, m.member = member, m.number = msg->id;
		dr_pb_pack(out, &m.base);
	}
}

static const ProtobufCMessageDescriptor *member_descriptor(uint16_t frame)
{
	switch (frame) {
	case DR_FRAME_RENEW: return &drcoord__pb__renew__descriptor;
	case DR_FRAME_GRANT: return &drcoord__pb__grant__descriptor;
	case DR_FRAME_RESULT: return &drcoord__pb__member_result__descriptor;
	case DR_FRAME_LOOK: return &drcoord__pb__look__descriptor;
	case DR_FRAME_CANCEL: return &drcoord__pb__cancel__descriptor;
	default: return NULL;
	}
}

static enum dr_err take_names(struct dr_member_msg *msg, const char *service, const char *member, struct dr_error *e)
{
	enum dr_err rv = dr_pb_name(&msg->service, service, "service", e);
	return rv == DR_OK ? dr_pb_name(&msg->member, member, "member", e) : rv;
}

static enum dr_err take_member_msg(struct dr_member_msg *msg, uint16_t frame, const void *any, struct dr_error *e)
{
	if (frame == DR_FRAME_RENEW) {
		const Drcoord__Pb__Renew *m = any;
		msg->epoch = m->epoch;
		msg->id = m->id;
		return take_names(msg, m->service, m->member, e);
	}
	if (frame == DR_FRAME_GRANT) {
		const Drcoord__Pb__Grant *m = any;
		msg->epoch = m->epoch;
		msg->id = m->id;
		msg->ttl_ms = m->ttl_ms;
		return take_names(msg, m->service, m->member, e);
	}
	if (frame == DR_FRAME_RESULT) {
		const Drcoord__Pb__MemberResult *m = any;
		dr_pb_result_take(&msg->result, m->result);
		return take_names(msg, m->service, m->member, e);
	}
	if (frame == DR_FRAME_LOOK) {
		const Drcoord__Pb__Look *m = any;
		return take_names(msg, m->service, m->member, e);
	}
	const Drcoord__Pb__Cancel *m = any;
	msg->id = m->number;
	return take_names(msg, m->service, m->member, e);
}

enum dr_err dr_member_msg_decode(struct dr_member_msg *msg, uint16_t frame, const uint8_t *p, size_t n,
				 struct dr_error *e)
{
	struct dr_pb_budget b;
	const ProtobufCMessageDescriptor *d = member_descriptor(frame);
	memset(msg, 0, sizeof(*msg));
	void *m = d != NULL ? dr_pb_unpack(d, p, n, &b) : NULL;
	if (m == NULL)
		return garbled(e, "a message about a member");
	enum dr_err rv = take_member_msg(msg, frame, m, e);
	dr_pb_free(m, &b);
	return rv;
}

void dr_observations_encode(struct dr_buf *out, const struct dr_observation *o, uint32_t n)
{
	Drcoord__Pb__Observations m = DRCOORD__PB__OBSERVATIONS__INIT;
	Drcoord__Pb__Observation *each = dr_xcalloc(n * sizeof(*each));
	Drcoord__Pb__Observation **ptr = dr_xcalloc(n * sizeof(Drcoord__Pb__Observation *));
	for (uint32_t i = 0; i < n; i++) {
		drcoord__pb__observation__init(&each[i]);
		each[i].service = o[i].service + 1;
		each[i].member = dr_pb_place(o[i].member);
		each[i].agent_age_ms = o[i].agent_age_ms;
		each[i].server_age_ms = o[i].server_age_ms;
		each[i].write_age_ms = o[i].write_age_ms;
		each[i].in_recovery = o[i].in_recovery;
		each[i].position = o[i].position;
		each[i].failure = (uint32_t)o[i].failure;
		each[i].failing_ms = o[i].failing_ms;
		ptr[i] = &each[i];
	}
	m.n_o = n;
	m.o = ptr;
	dr_pb_pack(out, &m.base);
	dr_free(ptr);
	dr_free(each);
}

enum dr_err dr_observations_decode(struct dr_observation *o, uint32_t max, uint32_t *count, const uint8_t *p, size_t n,
				   struct dr_error *e)
{
	struct dr_pb_budget b;
	Drcoord__Pb__Observations *m = dr_pb_unpack(&drcoord__pb__observations__descriptor, p, n, &b);
	*count = 0;
	if (m == NULL)
		return garbled(e, "observations");
	for (size_t i = 0; i < m->n_o && *count < max; i++) {
		const Drcoord__Pb__Observation *x = m->o[i];
		if (x->service == 0 || x->service > DR_SERVICES_MAX || dr_pb_member(x->member) == DR_MEMBER_NONE)
			continue;
		o[(*count)++] = (struct dr_observation){
			.service = x->service - 1, .member = dr_pb_member(x->member), .agent_age_ms = x->agent_age_ms,
			.server_age_ms = x->server_age_ms, .write_age_ms = x->write_age_ms,
			.in_recovery = x->in_recovery, .position = x->position, .failing_ms = x->failing_ms,
			.failure = (enum dr_failure)(x->failure < DR_FAILURE_MAX ? x->failure : DR_FAILURE_WRITES_FAIL) };
	}
	dr_pb_free(m, &b);
	return DR_OK;
}
