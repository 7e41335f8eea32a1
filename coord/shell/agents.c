/* agents.c -- agents' sessions: what they say goes to the core, what the core wants goes to them.
 *
 * An agent's certificate speaks for those members whose spec names that agent, and for no other. */
#include <string.h>

#include "coord/shell/coord.h"
#include "coord/shell/runbook.h"
#include "coord/shell/meter.h"
#include "proto/frames.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { RESEND_MS = 1000 }; /* an order without any sign of life from the agent is sent again */

static bool speaks_for(const struct dr_in *in, const struct dr_name *service, const struct dr_name *member,
		       uint32_t *ix, dr_member_ix *m)
{
	const struct dr_repl *r = &in->coord->core->repl;
	*ix = dr_repl_service_find(r, service->s);
	if (*ix == DR_SERVICE_NONE)
		return false;
	*m = dr_service_member_find(&r->service[*ix], member->s);
	return *m != DR_MEMBER_NONE && dr_name_eq(&r->service[*ix].spec.member[*m].agent, &in->conn.peer.name);
}

void dr_agents_silent(struct dr_watch *w)
{
	if (w->agent == NULL)
		return;
	struct dr_watch **at = &w->agent->speaks_for;
	while (*at != w)
		at = &(*at)->agent_next;
	*at = w->agent_next;
	w->agent = NULL;
	w->order_sent = 0;
}

/* Its agent is heard over this session, which may be a new one. */
static void speak_through(struct dr_watch *w, struct dr_in *in)
{
	if (w->agent == in)
		return;
	dr_agents_silent(w);
	w->agent = in;
	w->agent_next = in->speaks_for;
	in->speaks_for = w;
}

static void take_report(struct dr_in *in, const uint8_t *p, size_t n)
{
	static struct dr_report rep;
	struct dr_error e;
	uint32_t ix;
	dr_member_ix m;
	if (dr_report_decode(&rep, p, n, &e) != DR_OK) {
		dr_log(DR_LOG_WARN, "report.garbled", "agent=%s why=\"%s\"", in->conn.peer.name.s, e.msg);
		return;
	}
	if (!speaks_for(in, &rep.service, &rep.member, &ix, &m))
		return;
	struct dr_watch *w = dr_watch_of(in->coord, ix, m);
	w->agent_ms = dr_clock_boot_ms();
	speak_through(w, in);
	struct dr_core_event ev = { .kind = DR_EV_REPORT, .report = &rep };
	dr_coord_event(in->coord, &ev);
}

static void take_member_msg(struct dr_in *in, uint16_t type, const uint8_t *p, size_t n)
{
	struct dr_member_msg msg;
	struct dr_error e;
	uint32_t ix;
	dr_member_ix m;
	if (dr_member_msg_decode(&msg, type, p, n, &e) != DR_OK || !speaks_for(in, &msg.service, &msg.member, &ix, &m))
		return;
	struct dr_watch *w = dr_watch_of(in->coord, ix, m);
	w->agent_ms = dr_clock_boot_ms();
	speak_through(w, in);
	if (type == DR_FRAME_RENEW)
		dr_meter_renewal(in->coord, w, msg.id);
	struct dr_core_event ev = { .kind = type == DR_FRAME_RENEW ? DR_EV_RENEW : DR_EV_RESULT, .service = msg.service,
				    .member = msg.member, .epoch = msg.epoch, .renewal = msg.id,
				    .result = &msg.result };
	dr_coord_event(in->coord, &ev);
}

void dr_agents_frame(struct dr_in *in, uint16_t type, const uint8_t *p, size_t n)
{
	if (type == DR_FRAME_REPORT)
		take_report(in, p, n);
	else if (type == DR_FRAME_RENEW || type == DR_FRAME_RESULT)
		take_member_msg(in, type, p, n);
	else if (type == DR_FRAME_STEP_ANSWER)
		dr_runbook_agent(in, p, n);
}

/* ---- who was told what a leader says, in the order of the time */

static void unlink_told(struct dr_in *in)
{
	struct dr_coord *c = in->coord;
	if (in->told_prev == NULL && c->told_first != in)
		return;
	*(in->told_prev != NULL ? &in->told_prev->told_next : &c->told_first) = in->told_next;
	*(in->told_next != NULL ? &in->told_next->told_prev : &c->told_last) = in->told_prev;
	in->told_prev = in->told_next = NULL;
}

static void note_told(struct dr_in *in, uint64_t now)
{
	struct dr_coord *c = in->coord;
	in->told_ms = now;
	unlink_told(in);
	in->told_prev = c->told_last;
	*(c->told_last != NULL ? &c->told_last->told_next : &c->told_first) = in;
	c->told_last = in;
}

void dr_agents_closed(struct dr_in *in)
{
	while (in->speaks_for != NULL)
		dr_agents_silent(in->speaks_for);
	unlink_told(in);
}

/* Its agent has a session here; one of the agent that the spec named before is none. */
static bool is_heard(struct dr_coord *c, struct dr_watch *w)
{
	const struct dr_name *agent = &c->core->repl.service[w->service].spec.member[w->member].agent;
	if (w->agent != NULL && !dr_name_eq(&w->agent->conn.peer.name, agent))
		dr_agents_silent(w);
	return w->agent != NULL && w->agent->open;
}

static void fill_order(const struct dr_service *s, const struct dr_order_wanted *w, struct dr_order *o)
{
	memset(o, 0, sizeof(*o));
	o->core = w->core;
	o->service = s->spec.name;
	o->member = s->spec.member[w->member].name;
	if (w->core.target < DR_MEMBERS_MAX) {
		o->target = s->spec.member[w->core.target].name;
		o->target_at = s->spec.member[w->core.target].address;
	}
	o->takeover = s->spec.takeover;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (s->spec.member[m].name.s[0] == '\0')
			continue;
		if (dr_set_has(w->core.sync, m))
			o->sync_member[o->sync_members++] = s->spec.member[m].name;
		if (m != w->member)
			o->peer[o->peers++] = (struct dr_order_peer){ .member = s->spec.member[m].name,
								      .agent = s->spec.member[m].agent,
								      .agent_at = s->spec.member[m].agent_address,
								      .listed = dr_set_has(w->core.listed, m) };
	}
}

static void send_order(struct dr_coord *c, struct dr_watch *watch, const struct dr_order_wanted *w)
{
	struct dr_buf b;
	struct dr_order o;
	fill_order(&c->core->repl.service[w->service], w, &o);
	dr_buf_init(&b, 16384);
	dr_order_encode(&b, &o);
	if (dr_conn_send(&watch->agent->conn, DR_FRAME_ORDER, b.data, b.len) == DR_OK) {
		watch->order_sent = w->core.number;
		watch->order_sent_ms = dr_clock_boot_ms();
	}
	dr_buf_close(&b);
}

static void send_cancel(struct dr_coord *c, struct dr_watch *watch)
{
	const struct dr_service *s = &c->core->repl.service[watch->service];
	struct dr_buf b;
	struct dr_member_msg msg = { .service = s->spec.name, .member = s->spec.member[watch->member].name,
				     .id = watch->order_sent };
	dr_buf_init(&b, 4096);
	dr_member_msg_encode(&b, DR_FRAME_CANCEL, &msg);
	dr_best_effort(dr_conn_send(&watch->agent->conn, DR_FRAME_CANCEL, b.data, b.len));
	dr_buf_close(&b);
	watch->order_sent = 0;
}

static void send_look(struct dr_coord *c, struct dr_watch *watch)
{
	const struct dr_service *s = &c->core->repl.service[watch->service];
	struct dr_buf b;
	struct dr_member_msg msg = { .service = s->spec.name, .member = s->spec.member[watch->member].name };
	dr_buf_init(&b, 4096);
	dr_member_msg_encode(&b, DR_FRAME_LOOK, &msg);
	dr_best_effort(dr_conn_send(&watch->agent->conn, DR_FRAME_LOOK, b.data, b.len));
	dr_buf_close(&b);
}

/* Send what is missing, cancel what serves nothing any more.  Sending twice is harmless: the number decides. */
void dr_agents_orders(struct dr_coord *c, const struct dr_decision *d)
{
	uint64_t now = dr_clock_boot_ms();
	for (uint32_t i = 0; i < d->orders; i++) {
		const struct dr_order_wanted *w = &d->order[i];
		struct dr_watch *watch = dr_watch_of(c, w->service, w->member);
		if (!is_heard(c, watch))
			continue;
		if (w->look)
			send_look(c, watch);
		bool wanted = w->core.number != 0;
		bool sent = watch->order_sent == w->core.number;
		bool stale = sent && now >= watch->order_sent_ms + RESEND_MS;
		if (wanted && (!sent || stale))
			send_order(c, watch, w);
		else if (!wanted && watch->order_sent != 0 && dr_coord_leads(c)) {
			const struct dr_member_repl *mr = &c->core->repl.service[w->service].member[w->member];
			/* An order that ended is no order to cancel. */
			if (mr->result.number == watch->order_sent)
				watch->order_sent = 0;
			else
				send_cancel(c, watch);
		}
	}
}

void dr_agents_grants(struct dr_coord *c, const struct dr_decision *d)
{
	uint64_t now = dr_clock_boot_ms();
	for (uint32_t i = 0; i < d->grants; i++) {
		const struct dr_grant *g = &d->grant[i];
		const struct dr_service *s = &c->core->repl.service[g->service];
		struct dr_watch *watch = dr_watch_of(c, g->service, g->member);
		if (!is_heard(c, watch))
			continue;
		struct dr_buf b;
		struct dr_member_msg msg = { .service = s->spec.name, .member = s->spec.member[g->member].name,
					     .epoch = g->epoch, .id = g->renewal, .ttl_ms = g->ttl_ms };
		dr_buf_init(&b, 4096);
		dr_member_msg_encode(&b, DR_FRAME_GRANT, &msg);
		dr_best_effort(dr_conn_send(&watch->agent->conn, DR_FRAME_GRANT, b.data, b.len));
		note_told(watch->agent, now);
		dr_meter_granted(c, watch, g->renewal);
		dr_buf_close(&b);
	}
}

static void encode_lead(struct dr_coord *c, struct dr_buf *b)
{
	struct dr_address at;
	struct dr_lead lead = { .leading = dr_coord_leads(c) && !c->recovering, .term = c->core->view.term,
				.timing = c->core->repl.timing, .ttl_longest_ms = c->core->repl.ttl_longest_ms };
	(void)dr_coord_leader(c, &lead.leader, &at);
	dr_buf_init(b, 4096);
	dr_lead_encode(b, &lead);
}

static void send_lead(struct dr_in *in, const struct dr_buf *b, uint64_t now)
{
	if (!in->open || in->role != DR_SESSION_AGENT)
		return;
	dr_best_effort(dr_conn_send(&in->conn, DR_FRAME_LEAD, b->data, b->len));
	note_told(in, now);
}

void dr_agents_lead(struct dr_coord *c, struct dr_in *only)
{
	struct dr_buf b;
	uint64_t now = dr_clock_boot_ms();
	encode_lead(c, &b);
	for (struct dr_in *in = only != NULL ? only : c->in; in != NULL; in = only != NULL ? NULL : in->next)
		send_lead(in, &b, now);
	dr_buf_close(&b);
}

void dr_agents_lead_again(struct dr_coord *c, uint64_t for_ms, uint32_t most)
{
	struct dr_buf b;
	uint64_t now = dr_clock_boot_ms();
	encode_lead(c, &b);
	for (struct dr_in *in = c->told_first; in != NULL && most > 0 && now - in->told_ms >= for_ms; in = c->told_first) {
		note_told(in, now); /* it is the last now, also when it is just being closed */
		send_lead(in, &b, now);
		most--;
	}
	dr_buf_close(&b);
}
