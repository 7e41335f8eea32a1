/* agent.c -- one member's agent under load: what agent/shell/member.c does around the core, with a server that does
 * at once what it is told and a disk that takes no time.  What is measured is the coordinators' side. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agents.h"
#include "proto/codec.h"
#include "proto/frames.h"
#include "sys/clock.h"

enum { OP_MS = 2, SYSTEM = 7, POSITION = 16 << 20, PORT = 5999 };

void member_names(uint32_t service, uint32_t side, struct dr_name *of, struct dr_name *self)
{
	char text[DR_NAME_MAX];

	(void)snprintf(text, sizeof(text), "s%u", service);
	(void)dr_name_set(of, text);
	(void)dr_name_set(self, side == 0 ? "a" : "b");
}

/* Of the loopback network, each its own; nothing listens there. */
struct dr_address member_address(uint32_t service, uint32_t side)
{
	struct dr_address at = { .port = PORT };

	(void)snprintf(at.host, sizeof(at.host), "127.%u.%u.%u", 100 + side, service / 250, 1 + service % 250);
	return at;
}

bool member_leads(const struct bench_member *m)
{
	return m->core.lease_until_ms > dr_clock_boot_ms() && m->server == DR_SERVER_PRIMARY;
}

/* ---- what goes out ---- */

static void send_to(const struct bench_member *m, uint32_t coord, uint16_t frame, const struct dr_buf *b)
{
	struct line *l = m->line[coord];

	if (l->open && dr_buf_ok(b))
		dr_best_effort(dr_conn_send(&l->conn, frame, b->data, b->len));
}

static void send_member_msg(struct bench_member *m, uint16_t frame, const struct dr_agent_decision *d)
{
	struct dr_member_msg msg = { .epoch = d->renew_epoch, .id = d->renew_id, .result = d->answer_result };
	struct dr_buf b;

	member_names(m->service, m->side, &msg.service, &msg.member);
	dr_buf_init(&b, DR_FRAME_MAX);
	dr_member_msg_encode(&b, frame, &msg);
	send_to(m, 0, frame, &b);
	dr_buf_close(&b);
}

static void fill_peer(const struct bench_member *m, struct dr_report *r)
{
	const struct bench_member *other = &m->fleet->member[m->service * SIDES + 1 - m->side];
	struct dr_name service;

	if (m->server != DR_SERVER_PRIMARY || !other->receiving)
		return;
	member_names(m->service, other->side, &service, &r->peer[0].member);
	r->peer[0].streaming = true;
	r->peer[0].counts_for_sync = m->counts;
	r->peer[0].flushed = POSITION;
	r->peers = 1;
}

static void send_report(struct bench_member *m)
{
	static struct dr_report r;
	struct dr_buf b;

	r = (struct dr_report){ .incarnation = 1 + m->service, .guard_alive = true, .system_id = SYSTEM,
				.managed = m->core.journal.managed, .role = m->core.journal.role,
				.epoch = m->core.journal.epoch, .order_seen = m->core.journal.order_seen,
				.last = m->core.journal.done, .server = m->server, .timeline = m->timeline,
				.received = POSITION, .replayed = POSITION, .receiving = m->receiving,
				.sync_k = m->k };
	if (m->receiving)
		r.upstream_at = m->upstream;
	r.lease_left_ms = (uint32_t)dr_agent_lease_left_ms(&m->core);
	r.promise_left_ms = (uint32_t)dr_agent_promise_left_ms(&m->core);
	member_names(m->service, m->side, &r.service, &r.member);
	fill_peer(m, &r);
	dr_buf_init(&b, DR_FRAME_MAX);
	dr_report_encode(&b, &r);
	for (uint32_t i = 0; i < COORDS; i++)
		send_to(m, i, DR_FRAME_REPORT, &b);
	dr_buf_close(&b);
}

/* Agents are processes of their own: a long turn of this one's loop must not make their moments one. */
static void start_timer(struct bench_member *m, uv_timer_t *t, uv_timer_cb cb, uint64_t at_ms)
{
	uint64_t now = dr_clock_boot_ms();

	uv_update_time(&m->fleet->loop);
	(void)uv_timer_start(t, cb, at_ms > now ? at_ms - now : 0, 0);
}

static void on_report(uv_timer_t *t)
{
	struct bench_member *m = t->data;
	/* While others still connect just often enough not to be taken for gone. */
	uint64_t period = m->fleet->timing.probe_ms * (m->fleet->opened < m->fleet->lines ? 2 : 1);
	uint64_t now = dr_clock_boot_ms();

	if (!m->fleet->vanished || m->side != 0)
		send_report(m);
	m->report_ms += period;
	if (m->report_ms <= now) /* some were missed */
		m->report_ms += (1 + (now - m->report_ms) / period) * period;
	start_timer(m, t, on_report, m->report_ms);
}

/* ---- the server ---- */

static void set_server(struct bench_member *m, enum dr_server_state s)
{
	m->server = s;
	if (s != DR_SERVER_STANDBY)
		m->receiving = false;
}

/* The set that the server waits for, of which the other one may be. */
static void set_sync(struct bench_member *m, const struct dr_order *o)
{
	const char *other = m->side == 0 ? "b" : "a";

	m->k = o->core.k;
	m->counts = false;
	for (uint32_t i = 0; i < o->sync_members; i++)
		m->counts = m->counts || strcmp(o->sync_member[i].s, other) == 0;
}

static void obey(struct bench_member *m, const struct dr_order *o)
{
	switch (o->core.kind) {
	case DR_ORDER_FENCED: set_server(m, DR_SERVER_STOPPED); break;
	case DR_ORDER_FROZEN: m->receiving = false; break;
	case DR_ORDER_FOLLOWING:
		m->upstream = o->target_at;
		set_server(m, DR_SERVER_STANDBY);
		m->receiving = true;
		break;
	case DR_ORDER_WRITABLE:
		m->timeline++;
		set_server(m, DR_SERVER_PRIMARY);
		set_sync(m, o);
		break;
	case DR_ORDER_SYNC_SET: set_sync(m, o); break;
	default: break;
	}
}

static void on_op(uv_timer_t *t)
{
	struct bench_member *m = t->data;
	struct dr_order o = m->core.journal.order;
	struct dr_order_result r = { .number = o.core.number, .epoch = o.core.epoch, .outcome = DR_OUTCOME_DONE,
				     .position = POSITION, .divergence = DR_DIVERGENCE_NONE };

	obey(m, &o);
	r.timeline = m->timeline;
	struct dr_agent_event ev = { .kind = DR_AG_OP_ENDED, .result = &r };
	member_event(m, &ev);
	ev = (struct dr_agent_event){ .kind = DR_AG_SERVER, .server = m->server };
	member_event(m, &ev);
	send_report(m);
}

/* ---- the core ---- */

static void on_wake(uv_timer_t *t)
{
	struct dr_agent_event ev = { .kind = DR_AG_TICK };

	member_event(t->data, &ev);
}

static void renew(struct bench_member *m, const struct dr_agent_decision *d)
{
	m->sent_id[d->renew_id % DR_RENEWALS_KEPT] = d->renew_id;
	m->sent_ns[d->renew_id % DR_RENEWALS_KEPT] = bench_now_ns();
	send_member_msg(m, DR_FRAME_RENEW, d);
}

static void carry_out(struct bench_member *m, const struct dr_agent_decision *d)
{
	if (d->fence != DR_FENCE_NONE && m->server != DR_SERVER_STOPPED) {
		m->fleet->fences++;
		m->server = DR_SERVER_STOPPED;
	}
	if (d->cancel_op)
		(void)uv_timer_stop(&m->op);
	if (d->renew)
		renew(m, d);
	if (d->answer && d->answer_result.number != 0)
		send_member_msg(m, DR_FRAME_RESULT, d);
	if (d->start_standby)
		m->server = DR_SERVER_STANDBY;
	if (d->report)
		send_report(m);
	if (d->start_op)
		(void)uv_timer_start(&m->op, on_op, OP_MS, 0);
	if (d->wake_at_ms != 0)
		start_timer(m, &m->wake, on_wake, d->wake_at_ms);
}

void member_event(struct bench_member *m, struct dr_agent_event *ev)
{
	struct dr_agent_decision d;

	if (m->fleet->stopping || (m->fleet->vanished && m->side == 0))
		return;
	ev->now_ms = dr_clock_boot_ms();
	dr_agent_core_step(&m->core, ev, &d);
	carry_out(m, &d);
}

void member_open(struct fleet *f, uint32_t service, uint32_t side)
{
	static const struct dr_agent_journal fresh;
	struct bench_member *m = &f->member[service * SIDES + side];
	struct dr_name of, self;

	*m = (struct bench_member){ .fleet = f, .service = service, .side = side, .timeline = 1 };
	m->server = side == 0 ? DR_SERVER_PRIMARY : DR_SERVER_STANDBY;
	m->receiving = side != 0;
	m->upstream = member_address(service, 0);
	member_names(service, side, &of, &self);
	dr_agent_core_init(&m->core, &self, &fresh, &f->timing, 1 + (uint64_t)service * 1000003u, 0, 0,
			   dr_clock_boot_ms());
	m->core.guard_alive = true;
	m->wake.data = m->report.data = m->op.data = m;
	(void)uv_timer_init(&f->loop, &m->wake);
	(void)uv_timer_init(&f->loop, &m->report);
	(void)uv_timer_init(&f->loop, &m->op);
}

/* When the agent that has this service begins to report: its members do so together, as their timers start together in
 * agent/shell/member.c; each agent has a moment of its own. */
static uint64_t first_report_ms(const struct bench_member *m)
{
	uint32_t period = m->fleet->timing.probe_ms;
	uint32_t agent = m->side * 7919u + m->service / AGENT_SERVICES;

	return m->fleet->began_ms + (uint64_t)agent * 2654435761u % period;
}

/* Once its connections stand. */
void member_begin(struct bench_member *m)
{
	struct dr_agent_event ev = { .kind = DR_AG_SERVER, .server = m->server };

	member_event(m, &ev);
	ev = (struct dr_agent_event){ .kind = DR_AG_LEADER, .known = true };
	member_event(m, &ev);
	m->report_ms = first_report_ms(m);
	while (m->report_ms <= dr_clock_boot_ms())
		m->report_ms += m->fleet->timing.probe_ms;
	start_timer(m, &m->report, on_report, m->report_ms);
}

/* ---- what comes in ---- */

static struct bench_member *find(struct fleet *f, const struct dr_name *service, const struct dr_name *member)
{
	unsigned long n = strtoul(service->s + 1, NULL, 10);

	if (service->s[0] != 's' || n >= f->members / SIDES)
		bench_fail("a frame for service %s", service->s);
	return &f->member[n * SIDES + (member->s[0] == 'a' ? 0 : 1)];
}

static void granted(struct bench_member *m, const struct dr_member_msg *msg)
{
	struct dr_agent_event ev = { .kind = DR_AG_GRANT, .id = msg->id, .epoch = msg->epoch, .ttl_ms = msg->ttl_ms };

	m->fleet->leases++;
	if (m->fleet->counting && m->sent_id[msg->id % DR_RENEWALS_KEPT] == msg->id)
		bench_add(&m->fleet->renewals, (int64_t)(bench_now_ns() - m->sent_ns[msg->id % DR_RENEWALS_KEPT]));
	member_event(m, &ev);
}

static void ordered(struct fleet *f, const uint8_t *p, size_t n)
{
	static struct dr_order o;
	struct dr_error e;

	if (dr_order_decode(&o, p, n, &e) != DR_OK)
		bench_fail("an order does not decode: %s", e.msg);
	struct bench_member *m = find(f, &o.service, &o.member);
	struct dr_agent_event ev = { .kind = DR_AG_ORDER, .order = &o };

	f->orders++;
	f->last_order_ns = bench_now_ns();
	if (f->vanished && m->side == 1 && o.core.kind == DR_ORDER_WRITABLE && m->writable_ns == 0) {
		m->writable_ns = f->last_order_ns;
		f->writable++;
	}
	member_event(m, &ev);
}

void member_frame(struct fleet *f, uint16_t type, const uint8_t *p, size_t n)
{
	struct dr_member_msg msg;
	struct dr_error e;

	if (type == DR_FRAME_ORDER) {
		ordered(f, p, n);
		return;
	}
	if (type != DR_FRAME_GRANT && type != DR_FRAME_CANCEL && type != DR_FRAME_LOOK)
		return;
	if (dr_member_msg_decode(&msg, type, p, n, &e) != DR_OK)
		bench_fail("a frame does not decode: %s", e.msg);
	struct bench_member *m = find(f, &msg.service, &msg.member);
	struct dr_agent_event cancel = { .kind = DR_AG_CANCEL, .number = msg.id };

	if (type == DR_FRAME_GRANT)
		granted(m, &msg);
	else if (type == DR_FRAME_CANCEL)
		member_event(m, &cancel);
	else if (!f->vanished || m->side != 0)
		send_report(m);
}
