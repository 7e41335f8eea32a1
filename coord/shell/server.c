/* server.c -- one port for all: the first frame says whether it is raft, an agent, a coordinator or a client. */
#include <string.h>

#include "base/mem.h"
#include "coord/shell/coord.h"
#include "proto/frames.h"
#include "sys/clock.h"
#include "raft/hello.h"
#include "sys/log.h"

enum { HANDSHAKE_MS = 2000, PENDING_MAX = 256, GREET_MS = 3000, SAID_A_SECOND = 10 };

/* Whoever can reach the port could fill the disk with lines about himself: so many a second are written, and then how
 * many were not. */
static bool may_say(struct dr_coord *c)
{
	uint64_t now = dr_clock_boot_ms();
	if (now >= c->said_since_ms + 1000) {
		if (c->unsaid > 0)
			dr_log(DR_LOG_WARN, "session.failed", "from=many why=\"%u more since the last of these lines\"", c->unsaid);
		c->said_since_ms = now;
		c->said = c->unsaid = 0;
	}
	if (c->said == SAID_A_SECOND) {
		c->unsaid++;
		return false;
	}
	c->said++;
	return true;
}

static void unlink_in(struct dr_in *in)
{
	struct dr_coord *c = in->coord;
	if (in->prev != NULL)
		in->prev->next = in->next;
	else
		c->in = in->next;
	if (in->next != NULL)
		in->next->prev = in->prev;
	c->ins--;
}

static void on_open(struct dr_conn *conn)
{
	struct dr_in *in = conn->ctx;
	in->open = true;
	dr_conn_idle_set(conn, GREET_MS);
}

static void refuse_as(struct dr_in *in, enum dr_err code, const char *why)
{
	dr_clients_refuse(in, code, why);
	if (may_say(in->coord))
		dr_log(DR_LOG_WARN, "session.refused", "peer=%s/%s from=%s why=\"%s\"", dr_peer_kind_name(in->conn.peer.kind),
		       in->conn.peer.name.s, in->conn.remote.host, why);
	dr_conn_close(&in->conn, 100);
}

static void refuse(struct dr_in *in, const char *why)
{
	refuse_as(in, DR_E_DENIED, why);
}

static void greet_raft(struct dr_in *in, const uint8_t *p, size_t n)
{
	struct dr_raft_hello h;
	struct dr_error e;
	if (dr_raft_hello_decode(p, n, &h, &e) != DR_OK) {
		refuse(in, e.msg);
		return;
	}
	/* A leader knows every member: who is none was removed, or given up by a recovery, and must not be let vote. */
	if (dr_coord_leads(in->coord) && !dr_nodes_is_member(in->coord, h.from)) {
		refuse(in, "its raft id is no member's; it was removed, or has yet to be added");
		return;
	}
	in->role = DR_SESSION_RAFT;
	dr_conn_idle_set(&in->conn, 0);
	if (dr_raft_accept(in->coord->raft, &in->conn, &h, &in->raft, &e) != DR_OK)
		refuse(in, e.msg);
}

/* What somebody says to be must be what the certificate says. */
static const char *wrong_greeting(const struct dr_in *in, const struct dr_greet *g)
{
	enum dr_peer_kind kind = in->conn.peer.kind;
	/* People need not say which cluster they mean: their certificate is of its CA. */
	bool unsaid = g->kind == DR_GREET_CLIENT && g->cluster.s[0] == '\0';
	if (!unsaid && !dr_name_eq(&g->cluster, &in->coord->conf.cluster))
		return "it belongs to another cluster";
	if (g->kind == DR_GREET_AGENT && (kind != DR_PEER_AGENT || !dr_name_eq(&g->name, &in->conn.peer.name)))
		return "an agent needs the certificate of that agent";
	if (g->kind == DR_GREET_PEER && (kind != DR_PEER_COORDINATOR || !dr_name_eq(&g->name, &in->conn.peer.name)))
		return "a coordinator needs the certificate of that coordinator";
	if (g->kind == DR_GREET_CLIENT && kind < DR_PEER_VIEWER)
		return "a client needs a person's certificate (viewer, operator, approver or admin)";
	if (g->kind != DR_GREET_AGENT && g->kind != DR_GREET_PEER && g->kind != DR_GREET_CLIENT)
		return "it did not say what it is";
	return NULL;
}

static void greet(struct dr_in *in, const uint8_t *p, size_t n)
{
	struct dr_greet g;
	struct dr_error e;
	if (dr_greet_decode(&g, p, n, &e) != DR_OK) {
		refuse(in, e.msg);
		return;
	}
	const char *wrong = wrong_greeting(in, &g);
	if (wrong != NULL) {
		refuse(in, wrong);
		return;
	}
	if (g.kind == DR_GREET_CLIENT && dr_clients_admit(in, &e) != DR_OK) {
		refuse_as(in, e.code, e.msg);
		return;
	}
	if (g.kind == DR_GREET_AGENT) {
		in->role = DR_SESSION_AGENT;
		memcpy(in->software, g.software, sizeof(in->software));
		dr_conn_gather_set(&in->conn); /* a tick grants to all its members at once */
		dr_conn_idle_set(&in->conn, 10 * in->coord->core->repl.timing.probe_ms + 2000);
		dr_agents_lead(in->coord, in);
	} else if (g.kind == DR_GREET_PEER) {
		in->role = DR_SESSION_PEER;
		dr_first_answer(in);
		dr_conn_idle_set(&in->conn, 10 * in->coord->core->repl.timing.probe_ms + 2000);
	} else {
		in->role = DR_SESSION_CLIENT;
		in->coord->clients++;
		dr_conn_idle_set(&in->conn, 0);
	}
}

static void take_observations(struct dr_in *in, const uint8_t *p, size_t n)
{
	static struct dr_observation o[DR_OBSERVATIONS_MAX];
	uint32_t count = 0;
	struct dr_error e;
	if (dr_observations_decode(o, DR_OBSERVATIONS_MAX, &count, p, n, &e) != DR_OK)
		return;
	struct dr_core_event ev = { .kind = DR_EV_OBSERVED, .observer = in->conn.peer.name, .observations = count,
				    .observation = o };
	dr_coord_event(in->coord, &ev);
}

static void take_raft(struct dr_in *in, uint16_t type, const uint8_t *p, size_t n)
{
	struct dr_error e;
	if (in->raft == NULL || in->coord->stopping)
		return;
	if (dr_raft_take(in->coord->raft, in->raft, type, p, n, &e) != DR_OK)
		refuse(in, e.msg);
}

static void on_frame(struct dr_conn *conn, uint16_t type, const uint8_t *payload, size_t len)
{
	struct dr_in *in = conn->ctx;
	switch (in->role) {
	case DR_SESSION_NEW:
		if (type == DR_FRAME_HELLO && conn->peer.kind == DR_PEER_COORDINATOR)
			greet_raft(in, payload, len);
		else if (type == DR_FRAME_GREET)
			greet(in, payload, len);
		else
			refuse(in, "the first frame is no greeting");
		break;
	case DR_SESSION_AGENT: dr_agents_frame(in, type, payload, len); break;
	case DR_SESSION_PEER:
		if (type == DR_FRAME_OBSERVATIONS)
			take_observations(in, payload, len);
		else
			dr_peers_frame(in, type, payload, len);
		break;
	case DR_SESSION_CLIENT: dr_clients_frame(in, type, payload, len); break;
	case DR_SESSION_RAFT: take_raft(in, type, payload, len); break;
	}
}

static void on_closed(struct dr_conn *conn, const struct dr_error *why)
{
	struct dr_in *in = conn->ctx;
	if (in->role == DR_SESSION_NEW && why->code != DR_OK && may_say(in->coord))
		dr_log(DR_LOG_WARN, "session.failed", "from=%s why=\"%s\"", conn->remote.host, why->msg);
	if (in->role == DR_SESSION_AGENT) {
		dr_log(DR_LOG_INFO, "agent.gone", "agent=%s why=\"%s\"", conn->peer.name.s, why->msg);
		dr_agents_closed(in);
	} else if (in->role == DR_SESSION_CLIENT) {
		in->coord->clients--;
		dr_clients_closed(in);
	}
	dr_raft_inbox_close(in->raft);
	dr_stream_closed(in);
	dr_turn_closed(in);
	unlink_in(in);
	dr_free(in);
}

static const struct dr_conn_cbs cbs = { .on_open = on_open, .on_frame = on_frame, .on_closed = on_closed };

static struct dr_conn *on_accept(void *ctx, const struct dr_conn_cbs **out)
{
	struct dr_coord *c = ctx;
	if (c->ins >= DR_AGENTS_MAX + DR_CLIENTS_MAX)
		return NULL;
	struct dr_in *in = dr_xcalloc(sizeof(*in));
	in->coord = c;
	in->conn.ctx = in;
	in->next = c->in;
	if (c->in != NULL)
		c->in->prev = in;
	c->in = in;
	c->ins++;
	*out = &cbs;
	return &in->conn;
}

enum dr_err dr_coord_listen(struct dr_coord *c, struct dr_error *e)
{
	struct dr_listener_config lc = { .at = c->conf.listen, .tls = c->tls, .handshake_ms = HANDSHAKE_MS,
					 .pending_max = PENDING_MAX, .accept_cb = on_accept, .ctx = c };
	return dr_listener_open(&c->listener, c->loop, &lc, e);
}
