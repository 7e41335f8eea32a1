/* peers.c -- a connection to every other coordinator, for what each tells the others.
 *
 * All are told, not only the leader: a new leader then knows at once what everybody saw.
 *
 * Raft's heartbeats go this way too, and their answers back over the same connection: from when the other side
 * has said that it takes them, under which raft id, and that it knows ours. */
#include <stdlib.h>
#include <string.h>

#include "coord/shell/coord.h"
#include "coord/shell/routes.h"
#include "coord/shell/runbook.h"
#include "proto/frames.h"
#include "sys/log.h"

enum { CONNECT_MS = 1000, RETRY_FIRST_MS = 100, RETRY_MOST_MS = 2000 };

static void connect_now(struct dr_out *o);

static void on_retry(uv_timer_t *t)
{
	connect_now(t->data);
}

static void retry_later(struct dr_out *o)
{
	uint64_t ms = RETRY_FIRST_MS;
	for (uint32_t i = 0; i < o->fails && ms < RETRY_MOST_MS; i++)
		ms *= 2;
	o->fails += o->fails < 32 ? 1u : 0u;
	ms = ms / 2 + (uint64_t)random() % ms;
	(void)uv_timer_start(&o->retry, on_retry, ms, 0);
}

static void on_open(struct dr_conn *conn)
{
	struct dr_out *o = conn->ctx;
	struct dr_buf b;
	struct dr_greet g = { .kind = DR_GREET_PEER, .cluster = o->coord->conf.cluster, .name = o->coord->conf.name,
			      .version = DR_PROTOCOL_VERSION };
	o->open = true;
	o->connecting = false;
	o->fails = 0;
	dr_buf_init(&b, 4096);
	dr_greet_encode(&b, &g);
	dr_best_effort(dr_conn_send(conn, DR_FRAME_GREET, b.data, b.len));
	dr_buf_close(&b);
}

static void take_promise(struct dr_out *o, const uint8_t *p, size_t n)
{
	struct dr_view v = dr_view_of(p, n);
	uint64_t id = dr_view_u64be(&v), ours = dr_view_u64be(&v);
	struct dr_raft_status st;
	dr_raft_status(o->coord->raft, &st);
	o->takes_beats = !v.bad && ours == st.id ? id : 0;
	if (o->takes_beats != 0)
		dr_conn_lazy_set(&o->conn); /* all that comes this way has time until the next tick */
}

static void on_frame(struct dr_conn *conn, uint16_t type, const uint8_t *payload, size_t len)
{
	struct dr_out *o = conn->ctx;
	if (o->stale)
		return;
	if (type == DR_FRAME_MEMBER_ID)
		dr_nodes_told(o->coord, &o->name, payload, len);
	else if (type == DR_FRAME_BEATS)
		take_promise(o, payload, len);
	else if (type == DR_FRAME_BEAT)
		dr_raft_carried(o->coord->raft, &o->name, payload, len);
}

static void on_closed(struct dr_conn *conn, const struct dr_error *why)
{
	struct dr_out *o = conn->ctx;
	if (o->open && !o->stale)
		dr_log(DR_LOG_WARN, "coordinator.lost", "coordinator=%s why=\"%s\"", o->name.s, why->msg);
	o->open = o->connecting = false;
	o->takes_beats = 0;
	if (o->stale)
		memset(&o->name, 0, sizeof(o->name));
	else if (!o->coord->stopping)
		retry_later(o);
}

static const struct dr_conn_cbs cbs = { .on_open = on_open, .on_frame = on_frame, .on_closed = on_closed };

static void connect_now(struct dr_out *o)
{
	struct dr_error e;
	struct dr_identity want = { .kind = DR_PEER_COORDINATOR, .name = o->name };
	if (o->connecting || o->open || o->name.s[0] == '\0' || o->coord->stopping)
		return;
	memset(&o->conn, 0, sizeof(o->conn));
	o->conn.ctx = o;
	o->connecting = true;
	if (dr_conn_connect(&o->conn, o->coord->loop, o->coord->tls, &o->address, &want, CONNECT_MS, &cbs, &e) != DR_OK) {
		o->connecting = false;
		retry_later(o);
	}
}

/* The others: as the log names them, and while it names nobody as the node file does. */
static uint32_t others(const struct dr_coord *c, struct dr_coordinator out[DR_COORDINATORS_MAX])
{
	const struct dr_repl *r = &c->core->repl;
	uint32_t n = 0;
	for (uint32_t i = 0; i < r->coordinators; i++)
		out[n++] = r->coordinator[i];
	for (uint32_t i = 0; r->coordinators == 0 && i < c->conf.peers; i++)
		out[n++] = (struct dr_coordinator){ .name = c->conf.peer[i].name, .address = c->conf.peer[i].address };
	for (uint32_t i = 0; i < n; i++) {
		if (dr_name_eq(&out[i].name, &c->conf.name))
			memset(&out[i], 0, sizeof(out[i]));
	}
	return n;
}

static bool is_wanted(const struct dr_coordinator *k, uint32_t n, const struct dr_out *o)
{
	for (uint32_t i = 0; i < n; i++) {
		if (dr_name_eq(&k[i].name, &o->name) && k[i].address.port == o->address.port &&
		    strcmp(k[i].address.host, o->address.host) == 0)
			return true;
	}
	return false;
}

static struct dr_out *place_for(struct dr_coord *c, const struct dr_name *name)
{
	struct dr_out *empty = NULL;
	for (uint32_t i = 0; i < DR_COORDINATORS_MAX; i++) {
		if (dr_name_eq(&c->out[i].name, name))
			return &c->out[i];
		if (empty == NULL && c->out[i].name.s[0] == '\0')
			empty = &c->out[i];
	}
	return empty;
}

static void add(struct dr_coord *c, const struct dr_coordinator *k)
{
	struct dr_out *o = place_for(c, &k->name);
	if (o == NULL || o->name.s[0] != '\0')
		return;
	if (o->coord == NULL) {
		o->coord = c;
		o->retry.data = o;
		(void)uv_timer_init(c->loop, &o->retry);
	}
	o->name = k->name;
	o->address = k->address;
	o->stale = false;
	o->fails = 0;
	o->ledger = DR_LEDGER_UNKNOWN;
	connect_now(o);
}

void dr_peers_sync(struct dr_coord *c)
{
	struct dr_coordinator k[DR_COORDINATORS_MAX];
	uint32_t n = others(c, k);
	for (uint32_t i = 0; i < DR_COORDINATORS_MAX; i++) {
		struct dr_out *o = &c->out[i];
		if (o->name.s[0] == '\0' || is_wanted(k, n, o))
			continue;
		o->stale = true;
		(void)uv_timer_stop(&o->retry);
		if (o->open || o->connecting)
			dr_conn_close(&o->conn, 0);
		else
			memset(&o->name, 0, sizeof(o->name));
	}
	for (uint32_t i = 0; i < n; i++) {
		if (k[i].name.s[0] != '\0')
			add(c, &k[i]);
	}
}

bool dr_peers_reachable(const struct dr_coord *c, const struct dr_name *name)
{
	for (uint32_t i = 0; i < DR_COORDINATORS_MAX; i++) {
		if (c->out[i].open && dr_name_eq(&c->out[i].name, name))
			return true;
	}
	return dr_name_eq(name, &c->conf.name);
}

void dr_peers_send_all(struct dr_coord *c, uint16_t frame, const struct dr_buf *b)
{
	for (uint32_t i = 0; i < DR_COORDINATORS_MAX; i++) {
		if (c->out[i].open)
			dr_best_effort(dr_conn_send(&c->out[i].conn, frame, b->data, b->len));
	}
}

void dr_peers_send_one(struct dr_coord *c, const struct dr_name *to, uint16_t frame, const struct dr_buf *b)
{
	for (uint32_t i = 0; i < DR_COORDINATORS_MAX; i++) {
		if (c->out[i].open && !c->out[i].stale && dr_name_eq(&c->out[i].name, to))
			dr_best_effort(dr_conn_send(&c->out[i].conn, frame, b->data, b->len));
	}
}

/* ---- the ledger ---- */

/* Its place in c->out; DR_COORDINATORS_MAX when there is none of that name. */
static uint32_t place_of(const struct dr_coord *c, const struct dr_name *name)
{
	uint32_t i = 0;
	while (i < DR_COORDINATORS_MAX && (c->out[i].stale || !dr_name_eq(&c->out[i].name, name)))
		i++;
	return i;
}

enum dr_ledger_verdict dr_peers_ledger(const struct dr_coord *c, const struct dr_name *name)
{
	uint32_t i = place_of(c, name);
	if (dr_name_eq(name, &c->conf.name))
		return DR_LEDGER_SAME;
	return i < DR_COORDINATORS_MAX ? c->out[i].ledger : DR_LEDGER_UNKNOWN;
}

void dr_peers_tell_ledger(struct dr_coord *c)
{
	struct dr_buf b;
	dr_buf_init(&b, DR_LEDGER_MESSAGE_MAX);
	if (dr_ledger_encode(&c->ledger, &b))
		dr_peers_send_all(c, DR_FRAME_LEDGER, &b);
	dr_buf_close(&b);
}

/* The first bytes, as many as are enough to find it in what `status` shows. */
static unsigned long long short_head(const struct dr_ledger_mark *m)
{
	struct dr_view v = dr_view_of(m->head, sizeof(m->head));
	return dr_view_u64be(&v);
}

static void say_ledger(const struct dr_out *o, const struct dr_ledger_compared *is)
{
	if (is->verdict == DR_LEDGER_SAME)
		dr_log(DR_LOG_INFO, "ledger.agrees", "coordinator=%s", o->name.s);
	else
		dr_log(DR_LOG_ERROR, "ledger.differs",
		       "coordinator=%s index=%llu ours=%016llx theirs=%016llx remedy=\"its state is not ours: compare what "
		       "`drcoordctl watch --from 1` says with each coordinator as the only endpoint; take the odd one "
		       "out (`drcoordctl node remove`), empty its data folder, and add it under a new id (`drcoordd "
		       "--join`, `drcoordctl node add`)\"",
		       o->name.s, (unsigned long long)is->ours.index, short_head(&is->ours), short_head(&is->theirs));
}

static void take_ledger(struct dr_coord *c, const struct dr_name *from, const uint8_t *p, size_t n)
{
	struct dr_ledger_told told;
	struct dr_error ignored;
	uint32_t i = place_of(c, from);
	if (i == DR_COORDINATORS_MAX || dr_ledger_decode(&told, p, n, &ignored) != DR_OK)
		return;
	struct dr_out *o = &c->out[i];
	struct dr_ledger_compared is = dr_ledger_compare(&c->ledger, &told);
	if (is.verdict == DR_LEDGER_UNKNOWN || is.verdict == o->ledger)
		return;
	if (is.verdict == DR_LEDGER_DIFFERS || o->ledger == DR_LEDGER_DIFFERS)
		say_ledger(o, &is);
	o->ledger = is.verdict;
}

void dr_peers_frame(struct dr_in *in, uint16_t type, const uint8_t *p, size_t n)
{
	if (type == DR_FRAME_BEAT)
		dr_raft_carried(in->coord->raft, &in->conn.peer.name, p, n);
	else if (type == DR_FRAME_ROUTED)
		dr_routes_told(in->coord, &in->conn.peer.name, p, n);
	else if (type == DR_FRAME_STEP_ASK)
		dr_runbook_asked(in->coord, &in->conn.peer.name, p, n);
	else if (type == DR_FRAME_STEP_ANSWER)
		dr_runbook_told_frame(in->coord, &in->conn.peer.name, p, n);
	else if (type == DR_FRAME_STEP_CANCEL)
		dr_runbook_cancelled(in->coord, p, n);
	else if (type == DR_FRAME_LEDGER)
		take_ledger(in->coord, &in->conn.peer.name, p, n);
}

/* ---- heartbeats ---- */

void dr_peers_take_beats(struct dr_coord *c)
{
	struct dr_raft_status st;
	dr_raft_status(c->raft, &st);
	for (struct dr_in *in = c->in; in != NULL; in = in->next) {
		if (in->role != DR_SESSION_PEER || !in->open)
			continue;
		uint64_t id = 0;
		for (uint32_t i = 0; i < st.members; i++) {
			if (dr_name_eq(&st.member[i].name, &in->conn.peer.name))
				id = st.member[i].id;
		}
		if (id == in->raft_id)
			continue;
		struct dr_buf b;
		in->raft_id = id;
		dr_buf_init(&b, 64);
		dr_buf_put_u64be(&b, st.id);
		dr_buf_put_u64be(&b, id);
		dr_best_effort(dr_conn_send(&in->conn, DR_FRAME_BEATS, b.data, b.len));
		dr_buf_close(&b);
	}
}

/* The newest connection of that member comes first. */
static struct dr_conn *way_back(struct dr_coord *c, uint64_t to)
{
	for (struct dr_in *in = c->in; in != NULL; in = in->next) {
		if (in->role == DR_SESSION_PEER && in->open && in->raft_id == to)
			return &in->conn;
	}
	return NULL;
}

bool dr_peers_carry(void *ctx, uint64_t to, bool answer, const uint8_t *bytes, size_t len)
{
	struct dr_coord *c = ctx;
	struct dr_conn *conn = answer ? way_back(c, to) : NULL;
	for (uint32_t i = 0; !answer && i < DR_COORDINATORS_MAX; i++) {
		struct dr_out *o = &c->out[i];
		if (o->open && !o->stale && o->takes_beats == to)
			conn = &o->conn;
	}
	return to != 0 && conn != NULL && dr_conn_send(conn, DR_FRAME_BEAT, bytes, len) == DR_OK;
}

void dr_peers_read(void *ctx)
{
	struct dr_coord *c = ctx;
	for (uint32_t i = 0; i < DR_COORDINATORS_MAX; i++) {
		if (c->out[i].open)
			dr_conn_read_now(&c->out[i].conn);
	}
}
