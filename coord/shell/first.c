/* first.c -- the first start of a coordinator: the founding of a cluster, or joining one.
 *
 * The ids of a founding are made from names, so one that has lost its data would come back as who it was, having
 * forgotten for whom it voted and what it acknowledged.  Whether this one was ever there only the others know: they
 * are asked before anything is written.  A bounded time: where none of them can be reached nobody can say, and a
 * founding goes on, for that is how the first of all starts. */
#include <stdio.h>
#include <string.h>

#include "coord/shell/coord.h"
#include "proto/frames.h"
#include "sys/log.h"

enum { ASK_MS = 2000 };
enum { EXISTS = 1u, WAS_THERE = 2u }; /* flags of the answer */

/* ---- the answer ---- */

static bool noted(const struct dr_repl *r, const struct dr_name *name, uint64_t id)
{
	for (uint32_t i = 0; i < r->coordinators; i++) {
		if (r->coordinator[i].id == id && dr_name_eq(&r->coordinator[i].name, name))
			return r->coordinator[i].stored;
	}
	return false;
}

void dr_first_answer(struct dr_in *in)
{
	const struct dr_coord *c = in->coord;
	struct dr_raft_status st;
	uint64_t id = 0;
	uint64_t match = 0;
	dr_raft_status(c->raft, &st);
	for (uint32_t i = 0; i < st.members; i++) {
		if (!dr_name_eq(&st.member[i].name, &in->conn.peer.name))
			continue;
		id = st.member[i].id;
		match = st.match[i]; /* the leader's; others know it from the log */
	}
	uint32_t flags = st.members > 0 ? EXISTS : 0;
	flags |= match > 0 || noted(&c->core->repl, &in->conn.peer.name, id) ? WAS_THERE : 0;
	struct dr_buf b;
	dr_buf_init(&b, 64);
	dr_buf_put_u32be(&b, flags);
	dr_buf_put_u64be(&b, id);
	dr_best_effort(dr_conn_send(&in->conn, DR_FRAME_CLUSTER, b.data, b.len));
	dr_buf_close(&b);
}

/* ---- the question ---- */

struct asked {
	struct dr_coord *coord;
	struct dr_conn conn;
	const struct dr_name *name;
	bool open, answered;
	uint32_t flags;
	uint64_t id;
};

static void on_open(struct dr_conn *conn)
{
	const struct asked *a = conn->ctx;
	struct dr_greet g = { .kind = DR_GREET_PEER,
			      .cluster = a->coord->conf.cluster,
			      .name = a->coord->conf.name,
			      .version = DR_PROTOCOL_VERSION };
	struct dr_buf b;
	dr_buf_init(&b, 4096);
	dr_greet_encode(&b, &g);
	dr_best_effort(dr_conn_send(conn, DR_FRAME_GREET, b.data, b.len));
	dr_buf_close(&b);
	dr_conn_idle_set(conn, ASK_MS);
}

static void on_frame(struct dr_conn *conn, uint16_t type, const uint8_t *payload, size_t len)
{
	struct asked *a = conn->ctx;
	if (type != DR_FRAME_CLUSTER || a->answered)
		return;
	struct dr_view v = dr_view_of(payload, len);
	a->flags = dr_view_u32be(&v);
	a->id = dr_view_u64be(&v);
	a->answered = !v.bad;
	dr_conn_close(conn, 0);
}

static void on_closed(struct dr_conn *conn, const struct dr_error *why)
{
	struct asked *a = conn->ctx;
	a->open = false;
	if (!a->answered)
		dr_log(DR_LOG_INFO, "bootstrap.unheard", "coordinator=%s why=\"%s\"", a->name->s, why->msg);
}

static void on_late(uv_timer_t *t)
{
	struct asked *all = t->data;
	for (uint32_t i = 0; i < DR_COORDINATORS_MAX; i++) {
		if (all[i].open)
			dr_conn_close(&all[i].conn, 0);
	}
}

static void ask(struct dr_coord *c, struct asked all[DR_COORDINATORS_MAX])
{
	static const struct dr_conn_cbs cbs = { on_open, on_frame, on_closed };
	struct dr_error ignored;
	for (uint32_t i = 0; i < c->conf.peers; i++) {
		struct asked *a = &all[i];
		struct dr_identity want = { .kind = DR_PEER_COORDINATOR, .name = c->conf.peer[i].name };
		if (dr_name_eq(&want.name, &c->conf.name))
			continue;
		a->coord = c;
		a->name = &c->conf.peer[i].name;
		a->conn.ctx = a;
		a->open = dr_conn_connect(&a->conn, c->loop, c->tls, &c->conf.peer[i].address, &want, ASK_MS, &cbs,
					  &ignored) == DR_OK;
	}
}

static bool any_open(const struct asked all[DR_COORDINATORS_MAX])
{
	for (uint32_t i = 0; i < DR_COORDINATORS_MAX; i++) {
		if (all[i].open)
			return true;
	}
	return false;
}

static enum dr_err judge(const struct dr_coord *c, const struct asked *a, struct dr_error *e)
{
	const char *name = c->conf.name.s;
	if (!a->answered || (a->flags & EXISTS) == 0)
		return DR_OK;
	if ((a->flags & WAS_THERE) == 0 && a->id == dr_raft_first_id(c->conf.cluster.s, &c->conf.name))
		return DR_OK; /* founded together: the others were only quicker */
	if (a->id == 0)
		return dr_fail(e, DR_E_EXISTS, "not founded: %s says that the cluster %s exists, without %s. Start it with "
			       "--join, and let it in by the `drcoordctl node add` that it prints",
			       a->name->s, c->conf.cluster.s, name);
	return dr_fail(e, DR_E_EXISTS, "not founded: %s says that %s is a coordinator of the cluster %s already (id %llu), "
		       "but %s holds nothing of it. A coordinator that lost its data must not come back under its old id: "
		       "run `drcoordctl node remove %s`, then start it with --join",
		       a->name->s, name, c->conf.cluster.s, (unsigned long long)a->id, c->conf.data_dir, name);
}

static enum dr_err ask_others(struct dr_coord *c, struct dr_error *e)
{
	static struct asked all[DR_COORDINATORS_MAX]; /* connections stay in place */
	static uv_timer_t late;
	ask(c, all);
	(void)uv_timer_init(c->loop, &late);
	late.data = all;
	(void)uv_timer_start(&late, on_late, ASK_MS, 0);
	while (any_open(all))
		(void)uv_run(c->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&late, NULL);
	(void)uv_run(c->loop, UV_RUN_NOWAIT);
	enum dr_err rv = DR_OK;
	for (uint32_t i = 0; i < c->conf.peers && rv == DR_OK; i++)
		rv = judge(c, &all[i], e);
	return rv;
}

/* ---- the first start ---- */

static enum dr_err join(struct dr_coord *c, struct dr_error *e)
{
	uint64_t id = 0;
	enum dr_err rv = dr_raft_prepare_join(c->conf.data_dir, &c->conf.name, &id, e);
	struct dr_address at = dr_nodes_own_address(c);
	bool v6 = strchr(at.host, ':') != NULL;
	if (rv == DR_OK)
		(void)printf("drcoordd: this coordinator's id is %llu; let it in by\n"
			     "  drcoordctl node add %s %s%s%s:%u --site %s --id %llu --reason TEXT\n",
			     (unsigned long long)id, c->conf.name.s, v6 ? "[" : "", at.host, v6 ? "]" : "", at.port,
			     c->conf.site.s, (unsigned long long)id);
	(void)fflush(stdout);
	return rv;
}

static enum dr_err found(struct dr_coord *c, struct dr_error *e)
{
	struct dr_raft_member members[DR_COORDINATORS_MAX];
	enum dr_err rv = ask_others(c, e);
	if (rv != DR_OK)
		return rv;
	memset(members, 0, sizeof(members));
	for (uint32_t i = 0; i < c->conf.peers; i++) {
		members[i].id = dr_raft_first_id(c->conf.cluster.s, &c->conf.peer[i].name);
		members[i].name = c->conf.peer[i].name;
		members[i].address = c->conf.peer[i].address;
		members[i].voter = true;
	}
	return dr_raft_bootstrap(c->conf.data_dir, &c->conf.name, members, c->conf.peers, e);
}

enum dr_err dr_first_start(struct dr_coord *c, bool bootstrap, bool joins, struct dr_error *e)
{
	uint64_t id = 0;
	enum dr_err rv = dr_raft_id(c->conf.data_dir, &id, e);
	if (rv != DR_E_NOT_FOUND)
		return rv; /* OK: it has started before, so --bootstrap and --join have nothing left to do */
	if (joins)
		return join(c, e);
	if (bootstrap)
		return found(c, e);
	return dr_fail(e, DR_E_NOT_FOUND, "%s holds no coordinator: if the cluster exists (also where this one has lost its "
		       "data: after `drcoordctl node remove %s`) start it with --join; only when a new cluster is founded, "
		       "with --bootstrap", c->conf.data_dir, c->conf.name.s);
}
