/* codec_agent.c -- an agent's report and an order to it. */
#include <string.h>

#include "proto/codec.h"
#include "proto/pb.h"

void dr_report_encode(struct dr_buf *out, const struct dr_report *r)
{
	Drcoord__Pb__Report m = DRCOORD__PB__REPORT__INIT;
	Drcoord__Pb__Peer peer[DR_MEMBERS_MAX];
	Drcoord__Pb__Peer *ptr[DR_MEMBERS_MAX];
	Drcoord__Pb__Address at;
	Drcoord__Pb__OrderResult last;
	m.service = dr_pb_str(r->service.s);
	m.member = dr_pb_str(r->member.s);
	m.incarnation = r->incarnation;
	m.managed = r->managed;
	m.role = (uint32_t)r->role;
	m.epoch = r->epoch;
	m.order_seen = r->order_seen;
	m.server = (uint32_t)r->server;
	m.crashed = r->crashed;
	m.guard_alive = r->guard_alive;
	m.foreign = r->foreign;
	m.lease_left_ms = r->lease_left_ms;
	m.system_id = r->system_id;
	m.timeline = r->timeline;
	m.received = r->received;
	m.replayed = r->replayed;
	m.receiving = r->receiving;
	dr_pb_address_put(&at, &r->upstream_at);
	m.upstream_at = &at;
	m.sync_k = r->sync_k;
	m.acks = r->acks;
	m.n_peer = r->peers < DR_MEMBERS_MAX ? r->peers : DR_MEMBERS_MAX;
	m.peer = ptr;
	for (size_t i = 0; i < m.n_peer; i++) {
		drcoord__pb__peer__init(&peer[i]);
		peer[i].member = dr_pb_str(r->peer[i].member.s);
		peer[i].streaming = r->peer[i].streaming;
		peer[i].counts_for_sync = r->peer[i].counts_for_sync;
		peer[i].flushed = r->peer[i].flushed;
		ptr[i] = &peer[i];
	}
	dr_pb_result_put(&last, &r->last);
	m.last = &last;
	m.text = dr_pb_str(r->text);
	m.failsafe = (uint32_t)r->failsafe;
	m.promise_left_ms = r->promise_left_ms;
	m.errant = r->errant;
	m.errant_ids = dr_pb_str(r->errant_ids);
	m.caution = dr_pb_str(r->caution);
	dr_pb_pack(out, &m.base);
}

static enum dr_err take_peers(struct dr_report *r, const Drcoord__Pb__Report *m, struct dr_error *e)
{
	enum dr_err rv = DR_OK;
	for (size_t i = 0; rv == DR_OK && i < m->n_peer && r->peers < DR_MEMBERS_MAX; i++) {
		rv = dr_pb_name(&r->peer[r->peers].member, m->peer[i]->member, "peer", e);
		r->peer[r->peers].streaming = m->peer[i]->streaming;
		r->peer[r->peers].counts_for_sync = m->peer[i]->counts_for_sync;
		r->peer[r->peers].flushed = m->peer[i]->flushed;
		r->peers++;
	}
	return rv;
}

static enum dr_err take_report(struct dr_report *r, const Drcoord__Pb__Report *m, struct dr_error *e)
{
	r->incarnation = m->incarnation;
	r->managed = m->managed;
	r->role = (enum dr_member_role)(m->role <= DR_ROLE_FENCED ? m->role : DR_ROLE_NONE);
	r->epoch = m->epoch;
	r->order_seen = m->order_seen;
	r->server = (enum dr_server_state)(m->server <= DR_SERVER_PRIMARY ? m->server : DR_SERVER_UNKNOWN);
	r->crashed = m->crashed;
	r->guard_alive = m->guard_alive;
	r->foreign = m->foreign;
	r->lease_left_ms = m->lease_left_ms;
	r->system_id = m->system_id;
	r->timeline = m->timeline;
	r->received = m->received;
	r->replayed = m->replayed;
	r->receiving = m->receiving;
	dr_pb_address_take(&r->upstream_at, m->upstream_at);
	r->sync_k = m->sync_k;
	r->acks = m->acks;
	dr_pb_result_take(&r->last, m->last);
	dr_pb_text(r->text, sizeof(r->text), m->text);
	r->promise_left_ms = m->promise_left_ms;
	r->errant = m->errant;
	dr_pb_text(r->errant_ids, sizeof(r->errant_ids), m->errant_ids);
	dr_pb_text(r->caution, sizeof(r->caution), m->caution);
	r->failsafe = (enum dr_failsafe)(m->failsafe <= DR_FAILSAFE_RUNNING ? m->failsafe : DR_FAILSAFE_NONE);
	enum dr_err rv = dr_pb_name(&r->service, m->service, "report.service", e);
	if (rv == DR_OK)
		rv = dr_pb_name(&r->member, m->member, "report.member", e);
	return rv == DR_OK ? take_peers(r, m, e) : rv;
}

enum dr_err dr_report_decode(struct dr_report *r, const uint8_t *p, size_t n, struct dr_error *e)
{
	struct dr_pb_budget b;
	Drcoord__Pb__Report *m = dr_pb_unpack(&drcoord__pb__report__descriptor, p, n, &b);
	memset(r, 0, sizeof(*r));
	if (m == NULL)
		return dr_fail(e, DR_E_PROTOCOL, "a report does not decode");
	enum dr_err rv = take_report(r, m, e);
	dr_pb_free(m, &b);
	return rv;
}

void dr_order_encode(struct dr_buf *out, const struct dr_order *o)
{
	Drcoord__Pb__Order m = DRCOORD__PB__ORDER__INIT;
	Drcoord__Pb__OrderCore core;
	Drcoord__Pb__Address at;
	char *sync[DR_MEMBERS_MAX];
	Drcoord__Pb__OrderPeer peer[DR_MEMBERS_MAX];
	Drcoord__Pb__OrderPeer *peer_ptr[DR_MEMBERS_MAX];
	Drcoord__Pb__Address peer_at[DR_MEMBERS_MAX];
	dr_pb_order_put(&core, &o->core);
	dr_pb_address_put(&at, &o->target_at);
	m.core = &core;
	m.service = dr_pb_str(o->service.s);
	m.member = dr_pb_str(o->member.s);
	m.target = dr_pb_str(o->target.s);
	m.target_at = &at;
	m.n_sync_member = o->sync_members;
	m.sync_member = sync;
	m.n_peer = o->peers;
	m.takeover = o->takeover;
	m.peer = peer_ptr;
	for (uint32_t i = 0; i < o->sync_members && i < DR_MEMBERS_MAX; i++)
		sync[i] = dr_pb_str(o->sync_member[i].s);
	for (uint32_t i = 0; i < o->peers && i < DR_MEMBERS_MAX; i++) {
		drcoord__pb__order_peer__init(&peer[i]);
		dr_pb_address_put(&peer_at[i], &o->peer[i].agent_at);
		peer[i].member = dr_pb_str(o->peer[i].member.s);
		peer[i].agent = dr_pb_str(o->peer[i].agent.s);
		peer[i].agent_at = &peer_at[i];
		peer[i].listed = o->peer[i].listed;
		peer_ptr[i] = &peer[i];
	}
	dr_pb_pack(out, &m.base);
}

static enum dr_err take_names(struct dr_name *to, uint32_t *count, char **from, size_t n, struct dr_error *e)
{
	enum dr_err rv = DR_OK;
	for (size_t i = 0; rv == DR_OK && i < n && *count < DR_MEMBERS_MAX; i++)
		rv = dr_pb_name(&to[(*count)++], from[i], "a member of an order", e);
	return rv;
}

static enum dr_err take_order_peers(struct dr_order *o, const Drcoord__Pb__Order *m, struct dr_error *e)
{
	enum dr_err rv = DR_OK;
	for (size_t i = 0; rv == DR_OK && i < m->n_peer && o->peers < DR_MEMBERS_MAX; i++) {
		struct dr_order_peer *p = &o->peer[o->peers++];
		rv = dr_pb_name(&p->member, m->peer[i]->member, "a member of an order", e);
		if (rv == DR_OK)
			rv = dr_pb_name(&p->agent, m->peer[i]->agent, "an agent of an order", e);
		dr_pb_address_take(&p->agent_at, m->peer[i]->agent_at);
		p->listed = m->peer[i]->listed;
	}
	return rv;
}

enum dr_err dr_order_decode(struct dr_order *o, const uint8_t *p, size_t n, struct dr_error *e)
{
	struct dr_pb_budget b;
	Drcoord__Pb__Order *m = dr_pb_unpack(&drcoord__pb__order__descriptor, p, n, &b);
	memset(o, 0, sizeof(*o));
	if (m == NULL)
		return dr_fail(e, DR_E_PROTOCOL, "an order does not decode");
	dr_pb_order_take(&o->core, m->core);
	dr_pb_address_take(&o->target_at, m->target_at);
	o->takeover = m->takeover;
	enum dr_err rv = dr_pb_name(&o->service, m->service, "order.service", e);
	if (rv == DR_OK)
		rv = dr_pb_name(&o->member, m->member, "order.member", e);
	if (rv == DR_OK)
		rv = dr_pb_name(&o->target, m->target, "order.target", e);
	if (rv == DR_OK)
		rv = take_names(o->sync_member, &o->sync_members, m->sync_member, m->n_sync_member, e);
	if (rv == DR_OK)
		rv = take_order_peers(o, m, e);
	if (rv == DR_OK && (o->core.kind == DR_ORDER_NONE || o->core.number == 0))
		rv = dr_fail(e, DR_E_PROTOCOL, "an order of unknown kind");
	dr_pb_free(m, &b);
	return rv;
}

void dr_ask_encode(struct dr_buf *out, const struct dr_ask *a)
{
	Drcoord__Pb__Ask m = DRCOORD__PB__ASK__INIT;
	m.service = dr_pb_str(a->service.s);
	m.member = dr_pb_str(a->member.s);
	m.of = dr_pb_str(a->of.s);
	m.epoch = a->epoch;
	m.id = a->id;
	m.hold_ms = a->hold_ms;
	dr_pb_pack(out, &m.base);
}

enum dr_err dr_ask_decode(struct dr_ask *a, const uint8_t *p, size_t n, struct dr_error *e)
{
	struct dr_pb_budget b;
	Drcoord__Pb__Ask *m = dr_pb_unpack(&drcoord__pb__ask__descriptor, p, n, &b);
	memset(a, 0, sizeof(*a));
	if (m == NULL)
		return dr_fail(e, DR_E_PROTOCOL, "a question does not decode");
	a->epoch = m->epoch;
	a->id = m->id;
	a->hold_ms = m->hold_ms;
	enum dr_err rv = dr_pb_name(&a->service, m->service, "ask.service", e);
	if (rv == DR_OK)
		rv = dr_pb_name(&a->member, m->member, "ask.member", e);
	if (rv == DR_OK)
		rv = dr_pb_name(&a->of, m->of, "ask.of", e);
	dr_pb_free(m, &b);
	return rv;
}

void dr_promise_encode(struct dr_buf *out, const struct dr_promise *p)
{
	Drcoord__Pb__Promise m = DRCOORD__PB__PROMISE__INIT;
	m.service = dr_pb_str(p->service.s);
	m.member = dr_pb_str(p->member.s);
	m.epoch = p->epoch;
	m.id = p->id;
	m.code = (uint32_t)p->code;
	m.seen_epoch = p->seen_epoch;
	dr_pb_pack(out, &m.base);
}

enum dr_err dr_promise_decode(struct dr_promise *pr, const uint8_t *p, size_t n, struct dr_error *e)
{
	struct dr_pb_budget b;
	Drcoord__Pb__Promise *m = dr_pb_unpack(&drcoord__pb__promise__descriptor, p, n, &b);
	memset(pr, 0, sizeof(*pr));
	if (m == NULL)
		return dr_fail(e, DR_E_PROTOCOL, "a promise does not decode");
	pr->epoch = m->epoch;
	pr->id = m->id;
	pr->seen_epoch = m->seen_epoch;
	pr->code = (enum dr_err)(m->code < DR_ERR_COUNT ? m->code : DR_E_FAILED);
	enum dr_err rv = dr_pb_name(&pr->service, m->service, "promise.service", e);
	if (rv == DR_OK)
		rv = dr_pb_name(&pr->member, m->member, "promise.member", e);
	dr_pb_free(m, &b);
	return rv;
}
