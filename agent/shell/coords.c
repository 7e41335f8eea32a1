/* coords.c -- the agent's connections: one to each coordinator, always open or being opened again. */
#include <stdlib.h>
#include <string.h>

#include "agent/shell/agent.h"
#include "proto/frames.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { CONNECT_MS = 1000, RETRY_FIRST_MS = 50, RETRY_MOST_MS = 1000, RETRY_ON_PROMISES_MS = 150 };

static void connect_now(struct dr_coord_link *l);

struct dr_coord_link *dr_agent_leader(struct dr_agent *a)
{
	struct dr_coord_link *best = NULL;
	for (uint32_t i = 0; i < a->conf.coordinators; i++) {
		struct dr_coord_link *l = &a->coord[i];
		if (l->open && l->leading && (best == NULL || l->term > best->term))
			best = l;
	}
	return best;
}

void dr_agent_send_leader(struct dr_agent *a, uint16_t frame, const struct dr_buf *payload)
{
	struct dr_coord_link *l = dr_agent_leader(a);
	if (l != NULL && dr_buf_ok(payload))
		dr_best_effort(dr_conn_send(&l->conn, frame, payload->data, payload->len));
}

void dr_agent_send_all(struct dr_agent *a, uint16_t frame, const struct dr_buf *payload)
{
	for (uint32_t i = 0; i < a->conf.coordinators && dr_buf_ok(payload); i++) {
		if (a->coord[i].open)
			dr_best_effort(dr_conn_send(&a->coord[i].conn, frame, payload->data, payload->len));
	}
}

struct dr_member *dr_agent_member_find(struct dr_agent *a, const struct dr_name *service, const struct dr_name *member)
{
	for (uint32_t i = 0; i < a->conf.services; i++) {
		const struct dr_conf_agent_service *s = &a->conf.service[i];
		if (dr_name_eq(&s->service, service) && dr_name_eq(&s->member, member))
			return &a->member[i];
	}
	return NULL;
}

static void tell_members(struct dr_agent *a, bool known)
{
	for (uint32_t i = 0; i < a->conf.services; i++) {
		struct dr_agent_event ev = { .kind = DR_AG_LEADER, .known = known };
		dr_member_event(&a->member[i], &ev);
	}
}

static void take_timing(struct dr_agent *a, const struct dr_timing *t, uint32_t longest_ms)
{
	if (t->ttl_ms == 0)
		return;
	a->timing = *t;
	/* Each has a journal of its own: what one knew says nothing of another that was born today. */
	for (uint32_t i = 0; i < a->conf.services; i++) {
		struct dr_agent_event ev = { .kind = DR_AG_TIMING, .timing = t, .ttl_ms = longest_ms };
		if (memcmp(&a->member[i].core.journal.timing, t, sizeof(*t)) != 0)
			dr_member_event(&a->member[i], &ev);
	}
}

static void take_lead(struct dr_coord_link *l, const uint8_t *p, size_t n)
{
	struct dr_lead lead;
	struct dr_error e;
	if (dr_lead_decode(&lead, p, n, &e) != DR_OK) {
		dr_log(DR_LOG_WARN, "coordinator.garbled", "coordinator=%s why=\"%s\"", l->peer->name.s, e.msg);
		return;
	}
	struct dr_coord_link *before = dr_agent_leader(l->agent);
	bool began = lead.leading && (!l->leading || l->term != lead.term);
	l->leading = lead.leading;
	l->term = lead.term;
	dr_conn_idle_set(&l->conn, 4 * lead.timing.probe_ms + 2000);
	struct dr_coord_link *now = dr_agent_leader(l->agent);
	if (lead.leading && now == l)
		l->agent->heard_ms = dr_clock_boot_ms();
	if (lead.leading && now == l) /* others may be behind, or know no spec at all */
		take_timing(l->agent, &lead.timing, lead.ttl_longest_ms);
	if (now != before || (began && now == l)) {
		dr_log(DR_LOG_INFO, "leader.known", "leader=%s term=%llu", now != NULL ? now->peer->name.s : "none",
		       now != NULL ? (unsigned long long)now->term : 0ull);
		tell_members(l->agent, now != NULL);
	}
}

static void take_order(struct dr_coord_link *l, const uint8_t *p, size_t n)
{
	struct dr_order o;
	struct dr_error e;
	if (dr_order_decode(&o, p, n, &e) != DR_OK) {
		dr_log(DR_LOG_WARN, "order.garbled", "coordinator=%s why=\"%s\"", l->peer->name.s, e.msg);
		return;
	}
	struct dr_member *m = dr_agent_member_find(l->agent, &o.service, &o.member);
	if (m == NULL || m->journal_damaged)
		return;
	if (dr_agent_leader(l->agent) == l)
		l->agent->heard_ms = dr_clock_boot_ms();
	struct dr_agent_event ev = { .kind = DR_AG_ORDER, .order = &o };
	dr_member_event(m, &ev);
	if (m->core.journal.order_seen != o.core.number)
		return; /* refused: it says nothing about who the other members are */
	m->peers = o.peers < DR_MEMBERS_MAX ? o.peers : DR_MEMBERS_MAX;
	memcpy(m->peer, o.peer, sizeof(m->peer));
}

static void take_member_msg(struct dr_coord_link *l, uint16_t type, const uint8_t *p, size_t n)
{
	struct dr_member_msg msg;
	struct dr_error e;
	if (dr_member_msg_decode(&msg, type, p, n, &e) != DR_OK)
		return;
	struct dr_member *m = dr_agent_member_find(l->agent, &msg.service, &msg.member);
	if (m == NULL)
		return;
	if (type == DR_FRAME_LOOK) {
		dr_member_probe_now(m);
		return;
	}
	if (type == DR_FRAME_GRANT && dr_agent_leader(l->agent) == l) /* which had a majority for it */
		l->agent->heard_ms = dr_clock_boot_ms();
	struct dr_agent_event ev = { .kind = type == DR_FRAME_GRANT ? DR_AG_GRANT : DR_AG_CANCEL,
				     .id = msg.id, .number = msg.id, .epoch = msg.epoch, .ttl_ms = msg.ttl_ms };
	dr_member_event(m, &ev);
}

static void on_frame(struct dr_conn *c, uint16_t type, const uint8_t *payload, size_t len)
{
	struct dr_coord_link *l = c->ctx;
	switch (type) {
	case DR_FRAME_LEAD: take_lead(l, payload, len); break;
	case DR_FRAME_ORDER: take_order(l, payload, len); break;
	case DR_FRAME_STEP_ASK: dr_agent_runbook_asked(l, payload, len); break;
	case DR_FRAME_STEP_CANCEL: dr_agent_runbook_cancelled(l, payload, len); break;
	case DR_FRAME_GRANT:
	case DR_FRAME_LOOK:
	case DR_FRAME_CANCEL: take_member_msg(l, type, payload, len); break;
	default: break; /* a newer coordinator may say more than we know */
	}
}

static void on_open(struct dr_conn *c)
{
	struct dr_coord_link *l = c->ctx;
	struct dr_buf b;
	struct dr_greet g = { .kind = DR_GREET_AGENT, .cluster = l->agent->conf.cluster, .name = l->agent->conf.name,
			      .version = DR_PROTOCOL_VERSION, .software = DR_VERSION };
	dr_buf_init(&b, 4096);
	dr_greet_encode(&b, &g);
	l->open = true;
	l->connecting = false;
	l->fails = 0;
	dr_best_effort(dr_conn_send(c, DR_FRAME_GREET, b.data, b.len));
	dr_buf_close(&b);
	dr_conn_gather_set(c); /* all members are looked at in one beat */
	dr_log(DR_LOG_INFO, "coordinator.connected", "coordinator=%s", l->peer->name.s);
	for (uint32_t i = 0; i < l->agent->conf.services; i++)
		dr_member_probe_now(&l->agent->member[i]);
}

static void on_retry(uv_timer_t *t)
{
	connect_now(t->data);
}

uint64_t dr_agent_backoff_ms(uint32_t fails, uint64_t first_ms, uint64_t most_ms)
{
	uint64_t ms = first_ms;
	for (uint32_t i = 0; i < fails && ms < most_ms; i++)
		ms *= 2;
	if (ms > most_ms)
		ms = most_ms;
	return ms / 2 + (uint64_t)random() % ms;
}

/* Standbys that hear the new leader promise no more: a primary has to hear it before its extension ends.  Coordinators that come
 * back elect nobody within their election timeout, 300 ms or more (docs/design.md 6): whoever tries more often is there in time. */
static bool on_promises(const struct dr_agent *a)
{
	for (uint32_t i = 0; i < a->conf.services; i++) {
		if (dr_agent_on_promises(&a->member[i].core))
			return true;
	}
	return false;
}

static void retry_later(struct dr_coord_link *l)
{
	uint64_t most = on_promises(l->agent) ? RETRY_ON_PROMISES_MS : RETRY_MOST_MS;
	uint64_t ms = dr_agent_backoff_ms(l->fails, RETRY_FIRST_MS, most);
	if (l->fails < 32)
		l->fails++;
	(void)uv_timer_start(&l->retry, on_retry, ms, 0);
}

static void on_closed(struct dr_conn *c, const struct dr_error *why)
{
	struct dr_coord_link *l = c->ctx;
	bool led = dr_agent_leader(l->agent) == l;
	if (l->open || l->fails == 1)
		dr_log(DR_LOG_WARN, "coordinator.lost", "coordinator=%s why=\"%s\"", l->peer->name.s, why->msg);
	l->open = l->connecting = l->leading = false;
	if (l->agent->stopping)
		return;
	if (led)
		tell_members(l->agent, dr_agent_leader(l->agent) != NULL);
	retry_later(l);
}

static const struct dr_conn_cbs cbs = { .on_open = on_open, .on_frame = on_frame, .on_closed = on_closed };

static void connect_now(struct dr_coord_link *l)
{
	struct dr_error e;
	struct dr_identity want = { .kind = DR_PEER_COORDINATOR, .name = l->peer->name };
	memset(&l->conn, 0, sizeof(l->conn));
	l->conn.ctx = l;
	l->connecting = true;
	if (dr_conn_connect(&l->conn, l->agent->loop, l->agent->tls, &l->peer->address, &want, CONNECT_MS, &cbs, &e) !=
	    DR_OK) {
		l->connecting = false;
		retry_later(l);
	}
}

enum dr_err dr_agent_coords_open(struct dr_agent *a, struct dr_error *e)
{
	for (uint32_t i = 0; i < a->conf.coordinators; i++) {
		struct dr_coord_link *l = &a->coord[i];
		l->agent = a;
		l->peer = &a->conf.coordinator[i];
		l->retry.data = l;
		if (uv_timer_init(a->loop, &l->retry) != 0)
			return dr_fail(e, DR_E_INTERNAL, "cannot set up a timer");
		connect_now(l);
	}
	return DR_OK;
}

void dr_agent_coords_close(struct dr_agent *a)
{
	for (uint32_t i = 0; i < a->conf.coordinators; i++) {
		struct dr_coord_link *l = &a->coord[i];
		(void)uv_timer_stop(&l->retry);
		if (l->open || l->connecting)
			dr_conn_close(&l->conn, 100);
	}
}
