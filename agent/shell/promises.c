/* promises.c -- see promises.h. */
#include "agent/shell/promises.h"

#include <string.h>

#include "agent/shell/agent.h"
#include "agent/shell/copies.h"
#include "proto/frames.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { CONNECT_MS = 1000, RETRY_FIRST_MS = 100, RETRY_MOST_MS = 2000, GREET_MS = 3000, HANDSHAKE_MS = 2000, PENDING_MAX = 32 };
enum { HEARD_BEATS = 2, KEEP_BEATS = 10, SAY_AGAIN_MS = 10000, LISTEN_AGAIN_MS = 5000 };

static void send_frame(struct dr_conn *c, uint16_t type, const struct dr_buf *b)
{
	if (dr_buf_ok(b))
		dr_best_effort(dr_conn_send(c, type, b->data, b->len));
}

/* A long outage is a round of questions a second: one line for its beginning, and one now and then. */
static bool is_news(uint64_t *said_ms)
{
	uint64_t now = dr_clock_boot_ms();
	if (*said_ms != 0 && now < *said_ms + SAY_AGAIN_MS)
		return false;
	*said_ms = now;
	return true;
}

/* ---- questions of others */

/* A leader says so once a probe interval (coord/shell/loop.c). */
static bool hears_leader(struct dr_agent *a)
{
	uint64_t lately = (uint64_t)HEARD_BEATS * a->timing.probe_ms;
	return dr_agent_leader(a) != NULL && a->heard_ms != 0 &&
	       dr_clock_boot_ms() <= a->heard_ms + lately;
}

/* Only the agent that the newest order names may ask for a member. */
static bool may_ask_for(const struct dr_member *m, const struct dr_name *member, const struct dr_name *agent)
{
	for (uint32_t i = 0; i < m->peers; i++) {
		if (dr_name_eq(&m->peer[i].member, member))
			return dr_name_eq(&m->peer[i].agent, agent);
	}
	return m->peers == 0; /* no order yet: nothing is known */
}

bool dr_promises_named(const struct dr_member *m, const struct dr_name *member, const struct dr_name *agent)
{
	return m->peers > 0 && may_ask_for(m, member, agent);
}

static void send_promise(struct dr_asker *k, const struct dr_promise *p)
{
	struct dr_buf b;
	dr_buf_init(&b, 4096);
	dr_promise_encode(&b, p);
	send_frame(&k->conn, DR_FRAME_PROMISE, &b);
	dr_buf_close(&b);
}

static void refuse(struct dr_asker *k, const struct dr_ask *ask)
{
	struct dr_promise p = { .service = ask->service, .member = ask->of, .epoch = ask->epoch, .id = ask->id,
				.code = DR_E_REFUSED };
	send_promise(k, &p);
}

static void take_ask(struct dr_asker *k, const uint8_t *bytes, size_t n)
{
	struct dr_agent *a = k->agent;
	struct dr_ask ask;
	struct dr_error e;
	if (dr_ask_decode(&ask, bytes, n, &e) != DR_OK) {
		dr_log(DR_LOG_WARN, "ask.garbled", "agent=%s why=\"%s\"", k->conn.peer.name.s, e.msg);
		dr_conn_close(&k->conn, 0);
		return;
	}
	struct dr_member *m = dr_agent_member_find(a, &ask.service, &ask.of);
	if (m == NULL || m->journal_damaged || !may_ask_for(m, &ask.member, &k->conn.peer.name)) {
		refuse(k, &ask);
		return;
	}
	struct dr_agent_event ev = { .kind = DR_AG_ASKED, .ask = &ask, .known = hears_leader(a) };
	a->promises.answering = k;
	dr_member_event(m, &ev);
	a->promises.answering = NULL;
}

void dr_promises_answer(struct dr_member *m, const struct dr_promise *p)
{
	struct dr_asker *k = m->agent->promises.answering;
	if (k == NULL)
		return;
	if (is_news(&m->promise_said_ms))
		dr_log(p->code == DR_OK ? DR_LOG_WARN : DR_LOG_INFO, "promise.given", "member=%s to=%s epoch=%llu answer=%s",
		       m->conf->member.s, k->conn.peer.name.s, (unsigned long long)p->epoch,
		       p->code == DR_OK ? "yes" : dr_err_name(p->code));
	send_promise(k, p);
}

static void greet(struct dr_asker *k, uint16_t type, const uint8_t *p, size_t n)
{
	struct dr_greet g;
	struct dr_error e;
	const char *wrong = NULL;
	if (type != DR_FRAME_GREET || dr_greet_decode(&g, p, n, &e) != DR_OK)
		wrong = "the first frame is no greeting";
	else if (k->conn.peer.kind != DR_PEER_AGENT || !dr_name_eq(&g.name, &k->conn.peer.name))
		wrong = "only agents ask agents";
	else if (!dr_name_eq(&g.cluster, &k->agent->conf.cluster))
		wrong = "it belongs to another cluster";
	if (wrong != NULL) {
		dr_log(DR_LOG_WARN, "asker.refused", "peer=%s/%s from=%s why=\"%s\"",
		       dr_peer_kind_name(k->conn.peer.kind), k->conn.peer.name.s, k->conn.remote.host, wrong);
		dr_conn_close(&k->conn, 0);
		return;
	}
	k->greeted = true;
	dr_conn_idle_set(&k->conn, 4 * KEEP_BEATS * k->agent->timing.probe_ms + 10000);
}

static void asker_open(struct dr_conn *c)
{
	if (c->peer.kind == DR_PEER_AGENT)
		dr_conn_idle_set(c, GREET_MS);
	else
		dr_conn_close(c, 0); /* people and coordinators have nothing to ask here */
}

static void asker_frame(struct dr_conn *c, uint16_t type, const uint8_t *p, size_t n)
{
	struct dr_asker *k = c->ctx;
	if (!k->greeted)
		greet(k, type, p, n);
	else if (type == DR_FRAME_ASK)
		take_ask(k, p, n);
	else if (type == DR_FRAME_COPY_ASK)
		dr_copy_asked(k, p, n);
	else if (type == DR_FRAME_COPY_TAKEN)
		dr_copy_taken(k, p, n);
	/* A greeting again only keeps the connection alive. */
}

static void asker_closed(struct dr_conn *c, const struct dr_error *why)
{
	struct dr_asker *k = c->ctx;
	(void)why;
	dr_copy_asker_closed(k);
	memset(k, 0, sizeof(*k));
}

static const struct dr_conn_cbs asker_cbs = { asker_open, asker_frame, asker_closed };

static struct dr_conn *on_accept(void *ctx, const struct dr_conn_cbs **cbs)
{
	struct dr_agent *a = ctx;
	for (uint32_t i = 0; i < DR_ASKERS_MAX; i++) {
		struct dr_asker *k = &a->promises.asker[i];
		if (k->used)
			continue;
		*k = (struct dr_asker){ .agent = a, .used = true };
		k->conn.ctx = k;
		*cbs = &asker_cbs;
		return &k->conn;
	}
	return NULL;
}

/* An address that is not up yet must not keep the agent from its real work: it is tried again. */
void dr_promises_listen(struct dr_agent *a)
{
	struct dr_listener_config lc = { .at = a->conf.listen, .tls = a->tls, .handshake_ms = HANDSHAKE_MS,
					 .pending_max = PENDING_MAX, .accept_cb = on_accept, .ctx = a };
	uint64_t now = dr_clock_boot_ms();
	struct dr_error e;
	if (a->conf.listen.port == 0 || a->promises.listener != NULL || a->stopping || now < a->promises.listen_ms)
		return;
	a->promises.listen_ms = now + LISTEN_AGAIN_MS;
	if (dr_listener_open(&a->promises.listener, a->loop, &lc, &e) != DR_OK) {
		a->promises.listener = NULL;
		dr_log(DR_LOG_ERROR, "promises.not_listening", "address=%s:%u why=\"%s\" next=\"tried again; until then no "
		       "primary that has to ask here goes on without coordinators\"", a->conf.listen.host,
		       (unsigned)a->conf.listen.port, e.msg);
	}
}

/* ---- questions of ours */

/* Who has to be asked by this link; NULL: nobody. */
static const struct dr_order_peer *wanted(const struct dr_member *m, uint32_t i)
{
	const struct dr_agent_journal *j = &m->core.journal;
	bool primary = j->managed && j->role == DR_ROLE_PRIMARY && dr_agent_has_list(&m->core);
	if (!primary || i >= j->list.members || j->list.member[i].agent_at.port == 0)
		return NULL;
	return &j->list.member[i];
}

static bool same(const struct dr_order_peer *x, const struct dr_order_peer *y)
{
	return dr_name_eq(&x->agent, &y->agent) && x->agent_at.port == y->agent_at.port &&
	       strcmp(x->agent_at.host, y->agent_at.host) == 0;
}

static void send_greet(struct dr_promise_link *l)
{
	const struct dr_agent *a = l->member->agent;
	struct dr_greet g = { .kind = DR_GREET_AGENT, .cluster = a->conf.cluster, .name = a->conf.name,
			      .version = DR_PROTOCOL_VERSION };
	struct dr_buf b;
	dr_buf_init(&b, 4096);
	dr_greet_encode(&b, &g);
	send_frame(&l->conn, DR_FRAME_GREET, &b);
	dr_buf_close(&b);
}

static void link_open(struct dr_conn *c)
{
	struct dr_promise_link *l = c->ctx;
	l->open = true;
	l->fails = 0;
	send_greet(l);
	if (l->member->core.round.id != 0)
		dr_promises_ask(l->member, NULL);
}

static void link_frame(struct dr_conn *c, uint16_t type, const uint8_t *bytes, size_t n)
{
	struct dr_promise_link *l = c->ctx;
	struct dr_promise p;
	struct dr_error e;
	if (type != DR_FRAME_PROMISE)
		return;
	if (dr_promise_decode(&p, bytes, n, &e) != DR_OK) {
		dr_log(DR_LOG_WARN, "promise.garbled", "agent=%s why=\"%s\"", c->peer.name.s, e.msg);
		dr_conn_close(c, 0);
		return;
	}
	/* It speaks for the member that it was asked about, and for no other. */
	if (!dr_name_eq(&p.member, &l->to.member) || !dr_name_eq(&p.service, &l->member->conf->service))
		return;
	struct dr_agent_event ev = { .kind = DR_AG_PROMISE, .promise = &p };
	dr_member_event(l->member, &ev);
}

static void link_closed(struct dr_conn *c, const struct dr_error *why)
{
	struct dr_promise_link *l = c->ctx;
	if (l->open || l->fails == 1)
		dr_log(DR_LOG_WARN, "promiser.lost", "member=%s agent=%s why=\"%s\"", l->member->conf->member.s,
		       l->to.agent.s, why->msg);
	l->next_ms = dr_clock_boot_ms() + dr_agent_backoff_ms(l->fails, RETRY_FIRST_MS, RETRY_MOST_MS);
	l->fails += l->fails < 32 ? 1 : 0;
	l->busy = l->open = false;
}

static const struct dr_conn_cbs link_cbs = { link_open, link_frame, link_closed };

static void connect_now(struct dr_promise_link *l, const struct dr_order_peer *to)
{
	struct dr_agent *a = l->member->agent;
	struct dr_identity want = { .kind = DR_PEER_AGENT, .name = to->agent };
	struct dr_error e;
	memset(&l->conn, 0, sizeof(l->conn));
	l->conn.ctx = l;
	l->to = *to;
	l->busy = dr_conn_connect(&l->conn, a->loop, a->tls, &to->agent_at, &want, CONNECT_MS, &link_cbs, &e) == DR_OK;
	if (!l->busy)
		l->next_ms = dr_clock_boot_ms() + RETRY_MOST_MS;
}

void dr_promises_keep(struct dr_member *m)
{
	dr_promises_listen(m->agent);
	bool greet_now = ++m->promise_beats % KEEP_BEATS == 0;
	uint64_t now = dr_clock_boot_ms();
	for (uint32_t i = 0; i < DR_MEMBERS_MAX; i++) {
		struct dr_promise_link *l = &m->promise_link[i];
		const struct dr_order_peer *to = wanted(m, i);
		l->member = m;
		if (l->busy && (to == NULL || !same(&l->to, to))) {
			dr_conn_close(&l->conn, 0);
		} else if (l->busy) {
			l->to.member = to->member;
			if (l->open && greet_now)
				send_greet(l);
		} else if (to != NULL && now >= l->next_ms && !m->agent->stopping) {
			connect_now(l, to);
		}
	}
}

/* question NULL: the one that is open, to whoever has not answered it (a connection came late). */
void dr_promises_ask(struct dr_member *m, const struct dr_ask *question)
{
	struct dr_ask ask = m->asked;
	if (question != NULL) {
		ask = m->asked = *question;
		if (is_news(&m->asked_said_ms))
			dr_log(DR_LOG_WARN, "promise.asked", "member=%s of=%u epoch=%llu lease_left_ms=%llu", m->conf->member.s,
		       m->core.journal.list.members, (unsigned long long)ask.epoch,
		       (unsigned long long)dr_agent_lease_left_ms(&m->core));
	}
	ask.service = m->conf->service;
	for (uint32_t i = 0; i < m->core.journal.list.members; i++) {
		struct dr_promise_link *l = &m->promise_link[i];
		const struct dr_order_peer *to = wanted(m, i);
		if (to == NULL || !l->open || !same(&l->to, to) || (m->core.round.answered >> i & 1u) != 0)
			continue;
		struct dr_buf b;
		ask.of = to->member;
		dr_buf_init(&b, 4096);
		dr_ask_encode(&b, &ask);
		send_frame(&l->conn, DR_FRAME_ASK, &b);
		dr_buf_close(&b);
	}
}

enum dr_failsafe dr_promises_state(const struct dr_member *m)
{
	const struct dr_agent_list *list = &m->core.journal.list;
	if (m->core.journal.role != DR_ROLE_PRIMARY || !m->core.journal.managed || !dr_agent_has_list(&m->core))
		return DR_FAILSAFE_NONE;
	if (dr_agent_on_promises(&m->core))
		return DR_FAILSAFE_RUNNING;
	for (uint32_t i = 0; i < list->members; i++) {
		if (!m->promise_link[i].open || wanted(m, i) == NULL)
			return DR_FAILSAFE_MISSING;
	}
	return DR_FAILSAFE_READY;
}

void dr_promises_close(struct dr_agent *a)
{
	for (uint32_t i = 0; i < a->conf.services; i++) {
		for (uint32_t k = 0; k < DR_MEMBERS_MAX; k++) {
			if (a->member[i].promise_link[k].busy)
				dr_conn_close(&a->member[i].promise_link[k].conn, 0);
		}
	}
	for (uint32_t i = 0; i < DR_ASKERS_MAX; i++) {
		if (a->promises.asker[i].used)
			dr_conn_close(&a->promises.asker[i].conn, 0);
	}
	if (a->promises.listener != NULL)
		dr_listener_close(a->promises.listener, NULL, NULL);
	a->promises.listener = NULL;
}
