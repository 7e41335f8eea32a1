/* clients.c -- what people ask: roles checked, refusals worded with rule, values and the verb that overrides,
 * changes answered when their entry was applied. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"
#include "coord/shell/coord.h"
#include "coord/shell/ready.h"
#include "proto/frames.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	SHORT_MAX = 65536,          /* bytes of a request without a spec */
	STATUS_SHARE = 5,           /* a fifth */
	STATUS_OLD_NS = 1000000000  /* what is told is never older */
};

enum verb {
	VERB_NONE,
#define ASK_FOR(id, word, least, leader, reason) VERB_##id,
#include "proto/verbs.def"
#undef ASK_FOR
	VERB_COUNT
};

static const struct verb_row {
	const char *word;
	enum dr_peer_kind least;
	bool leader, reason;
} verbs[VERB_COUNT] = {
#define ASK_FOR(id, word, least, leader, reason) [VERB_##id] = { word, DR_PEER_##least, (leader) != 0, (reason) != 0 },
#include "proto/verbs.def"
#undef ASK_FOR
};

static const char too_long[] = "the answer is longer than one frame (1 MiB, compressed); ask for less";

static void respond(struct dr_in *in, const struct dr_client_response *r)
{
	struct dr_buf b;
	dr_buf_init(&b, DR_FRAME_MAX);
	dr_client_response_encode(&b, r);
	if (dr_buf_ok(&b))
		dr_best_effort(dr_conn_send(&in->conn, DR_FRAME_RESPONSE, b.data, b.len));
	else if (r->json != NULL)
		dr_clients_error(in, r->id, DR_E_RANGE, too_long);
	dr_buf_close(&b);
}

/* An answer that many get: all of it but the id. */
void dr_clients_make(struct dr_made *m, json_t *json)
{
	struct dr_client_response r = { .code = DR_OK };
	r.json = json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(json);
	if (r.json == NULL)
		r.code = DR_E_INTERNAL;
	dr_buf_close(&m->answer);
	dr_buf_init(&m->answer, DR_FRAME_MAX);
	dr_client_response_encode(&m->answer, &r);
	free(r.json);
	m->valid = true;
}

void dr_clients_made(struct dr_in *in, uint64_t id, const struct dr_made *m)
{
	struct dr_buf b;
	dr_buf_init(&b, DR_FRAME_MAX);
	dr_client_response_address(&b, id, &m->answer);
	if (dr_buf_ok(&m->answer) && dr_buf_ok(&b))
		dr_best_effort(dr_conn_send(&in->conn, DR_FRAME_RESPONSE, b.data, b.len));
	else
		dr_clients_error(in, id, DR_E_RANGE, too_long);
	dr_buf_close(&b);
}

void dr_clients_error(struct dr_in *in, uint64_t id, enum dr_err code, const char *message)
{
	struct dr_client_response r = { .id = id, .code = code };
	(void)dr_copy_text(r.message, sizeof(r.message), message);
	respond(in, &r);
}

void dr_clients_refuse(struct dr_in *in, enum dr_err code, const char *why)
{
	if (in->conn.peer.kind != DR_PEER_COORDINATOR)
		dr_clients_error(in, 0, code, why);
}

/* Streams stay for days: neither one certificate nor all viewers together may keep out whoever has to act. */
enum dr_err dr_clients_admit(const struct dr_in *in, struct dr_error *e)
{
	const struct dr_identity *who = &in->conn.peer;
	uint32_t above = who->kind < DR_PEER_ADMIN ? (uint32_t)(DR_PEER_ADMIN - who->kind) : 0;
	uint32_t most = DR_CLIENTS_MAX - above * DR_CLIENTS_RESERVED;
	uint32_t same = 0;
	for (const struct dr_in *at = in->coord->in; at != NULL; at = at->next) {
		if (at->role == DR_SESSION_CLIENT && at->conn.peer.kind == who->kind &&
		    dr_name_eq(&at->conn.peer.name, &who->name))
			same++;
	}
	if (same >= DR_CLIENTS_EACH_MAX)
		return dr_fail(e, DR_E_FULL, "%s %s has %u connections to %s already, the most for one certificate: "
			       "end some of them (`watch`?)", dr_peer_kind_name(who->kind), who->name.s, same,
			       in->coord->conf.name.s);
	if (in->coord->clients >= most)
		return dr_fail(e, DR_E_FULL, "%u clients are connected to %s; the places left are kept for %s",
			       in->coord->clients, in->coord->conf.name.s,
			       above > 0 ? "higher roles" : "nobody: end some of them");
	return DR_OK;
}

void dr_clients_json(struct dr_in *in, uint64_t id, json_t *json)
{
	struct dr_client_response r = { .id = id, .code = DR_OK };
	r.json = json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(json);
	if (r.json == NULL)
		r.code = DR_E_INTERNAL;
	respond(in, &r);
	free(r.json);
}

/* "SERVICE" or "SERVICE, member MEMBER": where a spec does not fit. */
static void put_place(const struct dr_repl *r, enum dr_reason why, uint64_t a, char *out, size_t cap)
{
	uint32_t service = 0;
	dr_member_ix m = DR_MEMBER_NONE;
	if (!dr_spec_place(why, a, &service, &m) || !r->service[service].used)
		return;
	const struct dr_service *s = &r->service[service];
	const char *member = m != DR_MEMBER_NONE ? s->spec.member[m].name.s : "";
	(void)snprintf(out, cap, "%s%s%s", s->spec.name.s, member[0] != '\0' ? ", member " : "", member);
}

/* about: the one service of a site for which it is refused; empty: not for a single one. */
static void respond_refused_about(struct dr_in *in, uint64_t id, enum dr_reason why, uint64_t a, uint64_t b, const char *about)
{
	char text[DR_REASON_TEXT_MAX];
	struct dr_client_response r = { .id = id, .code = DR_E_REFUSED };
	if (why == DR_REASON_NO_SUCH_SERVICE || why == DR_REASON_NO_SUCH_MEMBER || why == DR_REASON_NO_SUCH_PLAN ||
	    why == DR_REASON_NO_SUCH_SITE)
		r.code = DR_E_NOT_FOUND;
	if (why == DR_REASON_VERSION_CHANGED)
		r.code = DR_E_CONFLICT;
	(void)dr_copy_text(r.word, sizeof(r.word), dr_reason_name(why));
	char place[2 * DR_NAME_MAX + 16] = "";
	if (about[0] == '\0')
		put_place(&in->coord->core->repl, why, a, place, sizeof(place));
	const char *where = about[0] != '\0' ? about : place;
	dr_reason_format(text, sizeof(text), dr_reason_text(why), a, b);
	(void)snprintf(r.message, sizeof(r.message), "%s%s%s", where, where[0] != '\0' ? ": " : "", text);
	dr_reason_format(r.override, sizeof(r.override), dr_reason_override(why), a, b);
	respond(in, &r);
}

static void respond_refused(struct dr_in *in, uint64_t id, enum dr_reason why, uint64_t a, uint64_t b)
{
	respond_refused_about(in, id, why, a, b, "");
}

void dr_clients_refused(struct dr_in *in, uint64_t id, enum dr_reason why)
{
	respond_refused(in, id, why, 0, 0);
}

void dr_clients_not_leader(struct dr_in *in, uint64_t id)
{
	struct dr_client_response r = { .id = id, .code = DR_E_NOT_LEADER };
	if (dr_coord_leader(in->coord, &r.leader, &r.leader_at) && !dr_coord_leads(in->coord))
		(void)snprintf(r.message, sizeof(r.message), "%s leads", r.leader.s);
	else if (dr_coord_leads(in->coord))
		(void)snprintf(r.message, sizeof(r.message), "%s leads, but the lead is being handed over or was just lost: "
			       "try again in a moment", in->coord->conf.name.s);
	else
		(void)dr_copy_text(r.message, sizeof(r.message), "no leader is known; is a majority of the "
				   "coordinators up and connected?");
	respond(in, &r);
}

void dr_clients_event(struct dr_in *in, char *json)
{
	struct dr_client_response r = { .id = in->watch_id, .code = DR_OK, .json = json, .more = true };
	struct dr_buf b;
	dr_buf_init(&b, DR_FRAME_MAX);
	dr_client_response_encode(&b, &r);
	if (dr_buf_ok(&b))
		dr_best_effort(dr_conn_send(&in->conn, DR_FRAME_RESPONSE, b.data, b.len));
	dr_buf_close(&b);
}

/* ---- requests that go through the core */

static struct dr_waiter *free_waiter(struct dr_coord *c)
{
	uint32_t i = 0;
	while (i < c->waiters && c->waiter[i].used)
		i++;
	if (i == DR_CLIENTS_MAX)
		return NULL;
	if (i == c->waiters)
		c->waiters++;
	return &c->waiter[i];
}

static void give_back(struct dr_coord *c, struct dr_waiter *w)
{
	w->used = false;
	while (c->waiters > 0 && !c->waiter[c->waiters - 1].used)
		c->waiters--;
}

static void answer_done(struct dr_in *in, uint64_t id)
{
	const struct dr_request_done *done = dr_repl_request_find(&in->coord->core->repl, id);
	if (done == NULL) {
		dr_clients_error(in, id, DR_E_UNKNOWN, "the request may or may not have been carried out; ask again with "
			      "the same id, or look at `status`");
	} else if (done->refused != DR_REASON_NONE) {
		respond_refused(in, id, done->refused, done->a, 0);
	} else {
		char json[64];
		(void)snprintf(json, sizeof(json), "{\"accepted\":true,\"plan\":%llu}", (unsigned long long)done->a);
		respond(in, &(struct dr_client_response){ .id = id, .code = DR_OK, .json = json });
	}
}

void dr_clients_proposed(struct dr_coord *c, uint64_t tag, enum dr_err outcome)
{
	for (uint32_t i = 0; tag != 0 && i < c->waiters; i++) {
		struct dr_waiter *w = &c->waiter[i];
		if (!w->used || w->tag != tag)
			continue;
		give_back(c, w);
		if (w->client == NULL)
			continue;
		if (outcome == DR_OK || outcome == DR_E_UNKNOWN)
			answer_done(w->client, w->request);
		else if (outcome == DR_E_NOT_LEADER)
			dr_clients_not_leader(w->client, w->request);
		else
			dr_clients_error(w->client, w->request, outcome, outcome == DR_E_RANGE
				      ? "it does not fit into one entry of the log (512 KiB)" : dr_err_text(outcome));
	}
}

/* The same event may propose what is not the request's, and that may be refused at once: only its own proposal's end
 * is its answer. */
void dr_clients_answered(struct dr_coord *c, const struct dr_answer *answer)
{
	struct dr_waiter *w = c->asking;
	c->asking = NULL;
	w->tag = answer->tag;
	if (!answer->now)
		return;
	give_back(c, w);
	if (answer->refused != DR_REASON_NONE)
		respond_refused_about(w->client, w->request, answer->refused, answer->a, answer->b, answer->about.s);
	else
		answer_done(w->client, w->request);
}

static void ask_core(struct dr_in *in, const struct dr_client_request *q, enum dr_request_kind kind)
{
	struct dr_coord *c = in->coord;
	struct dr_waiter *w = free_waiter(c);
	if (w == NULL) {
		dr_clients_error(in, q->id, DR_E_BUSY, "too many requests wait; try again in a moment");
		return;
	}
	struct dr_request r = { .kind = kind, .id = q->id, .service = q->service, .member = q->member, .site = q->site,
				.actor = in->conn.peer.name, .plan = q->plan, .force = q->force,
				.accept_loss = q->accept_loss, .assert_fenced = q->assert_fenced,
				.until_wall_ms = q->until_wall_ms, .version = q->version, .spec = q->spec };
	(void)dr_copy_text(r.text, sizeof(r.text), q->reason);
	struct dr_core_event ev = { .kind = DR_EV_REQUEST, .request = &r };
	*w = (struct dr_waiter){ .used = true, .client = in, .request = q->id };
	c->asking = w;
	dr_coord_event(c, &ev);
	dr_assert(c->asking == NULL);
}

/* ---- nodes */

struct node_change {
	struct dr_coord *coord;
	uint64_t request;
	struct dr_in *client;  /* NULL: it left */
	struct dr_cmd cmd;     /* to record when it worked; kind NONE: nothing */
};

/* Only one membership change runs at a time, so one place is enough. */
static struct node_change node_change;
static bool node_change_used;

bool dr_clients_changing(void)
{
	return node_change_used;
}

void dr_clients_closed(struct dr_in *in)
{
	for (uint32_t i = 0; i < in->coord->waiters; i++) {
		if (in->coord->waiter[i].used && in->coord->waiter[i].client == in)
			in->coord->waiter[i].client = NULL;
	}
	if (node_change.client == in)
		node_change.client = NULL;
	dr_reads_closed(in);
}

static void node_changed(void *arg, const struct dr_error *e)
{
	struct node_change *n = arg;
	node_change_used = false;
	if (e->code == DR_OK && n->cmd.kind != DR_CMD_NONE)
		dr_coord_submit(n->coord, &n->cmd);
	else if (e->code != DR_OK)
		dr_nodes_name(n->coord); /* a name may be in the log of one that is no member */
	if (n->client == NULL)
		return;
	if (e->code != DR_OK)
		dr_clients_error(n->client, n->request, e->code, e->msg);
	else
		dr_clients_json(n->client, n->request, dr_nodes_json(n->coord));
}

static bool node_find(struct dr_coord *c, const struct dr_name *name, struct dr_raft_member *out)
{
	struct dr_raft_status st;
	dr_raft_status(c->raft, &st);
	for (uint32_t i = 0; i < st.members && i < DR_COORDINATORS_MAX; i++) {
		if (dr_name_eq(&st.member[i].name, name)) {
			*out = st.member[i];
			return true;
		}
	}
	return false;
}

static bool begin_change(struct dr_in *in, const struct dr_client_request *q, enum dr_cmd_kind kind)
{
	if (node_change_used) {
		dr_clients_error(in, q->id, DR_E_BUSY, "another change of the coordinators is under way");
		return false;
	}
	node_change_used = true;
	node_change = (struct node_change){ .coord = in->coord, .request = q->id, .client = in };
	node_change.cmd = (struct dr_cmd){ .kind = kind, .service = DR_SERVICE_NONE, .member = DR_MEMBER_NONE,
					   .target = DR_MEMBER_NONE, .wall_ms = dr_clock_wall_ms(), .name = q->name,
					   .actor = in->conn.peer.name };
	(void)dr_copy_text(node_change.cmd.text, sizeof(node_change.cmd.text), q->reason);
	return true;
}

static void end_change(struct dr_in *in, const struct dr_client_request *q, enum dr_err rv, const struct dr_error *e)
{
	if (rv == DR_OK)
		return;
	node_change_used = false;
	dr_clients_error(in, q->id, rv, e->msg);
}

static void node_add(struct dr_in *in, const struct dr_client_request *q)
{
	struct dr_error e;
	struct dr_raft_member m = { .id = q->raft_id, .name = q->name, .address = q->address, .voter = true };
	if (q->raft_id == 0 || q->name.s[0] == '\0' || q->address.port == 0) {
		dr_clients_error(in, q->id, DR_E_INVALID, "node add needs name, address, site and the id that "
			      "`drcoordd --join` printed");
		return;
	}
	struct dr_raft_member known;
	if (node_find(in->coord, &q->name, &known) && known.id != q->raft_id) {
		dr_clients_error(in, q->id, DR_E_EXISTS, "a coordinator of that name is a member under another id: "
			      "`drcoordctl node remove` it first");
		return;
	}
	if (!begin_change(in, q, DR_CMD_COORDINATOR))
		return;
	node_change.cmd.site = q->site;
	node_change.cmd.address = q->address;
	node_change.cmd.id = q->raft_id;
	/* Known before it votes, so that others accept its connection and count its site. */
	dr_coord_submit(in->coord, &node_change.cmd);
	node_change.cmd.kind = DR_CMD_NONE;
	end_change(in, q, dr_raft_add(in->coord->raft, &m, node_changed, &node_change, &e), &e);
}

/* Without a majority that answers the removal itself would never be settled, and nobody would lead. */
static bool majority_stays(struct dr_coord *c, uint64_t without, unsigned *up, unsigned *of)
{
	struct dr_raft_status st;
	dr_raft_status(c->raft, &st);
	*up = *of = 0;
	for (uint32_t i = 0; i < st.members && i < DR_COORDINATORS_MAX; i++) {
		if (!st.member[i].voter || st.member[i].id == without)
			continue;
		(*of)++;
		*up += dr_peers_reachable(c, &st.member[i].name) ? 1u : 0u;
	}
	return 2 * *up > *of;
}

static void node_remove(struct dr_in *in, const struct dr_client_request *q)
{
	struct dr_error e;
	struct dr_raft_member m;
	unsigned up = 0;
	unsigned of = 0;
	char why[DR_ERROR_MSG_MAX];
	if (!node_find(in->coord, &q->name, &m)) {
		dr_clients_error(in, q->id, DR_E_NOT_FOUND, "there is no such coordinator");
		return;
	}
	if (!majority_stays(in->coord, m.id, &up, &of)) {
		(void)snprintf(why, sizeof(why), "of the %u that would be left only %u answer, which is no majority: "
			       "start the others, or remove those that are gone first", of, up);
		dr_clients_error(in, q->id, DR_E_REFUSED, why);
		return;
	}
	if (!begin_change(in, q, DR_CMD_COORDINATOR))
		return;
	end_change(in, q, dr_raft_remove(in->coord->raft, m.id, node_changed, &node_change, &e), &e);
}

static void node_transfer(struct dr_in *in, const struct dr_client_request *q)
{
	struct dr_error e;
	struct dr_raft_member m = { .id = 0 };
	if (q->name.s[0] != '\0' && !node_find(in->coord, &q->name, &m)) {
		dr_clients_error(in, q->id, DR_E_NOT_FOUND, "there is no such coordinator");
		return;
	}
	if (m.id != 0 && dr_name_eq(&q->name, &in->coord->conf.name)) {
		dr_clients_json(in, q->id, dr_nodes_json(in->coord)); /* it leads already */
		return;
	}
	if (!begin_change(in, q, DR_CMD_TRANSFER))
		return;
	/* Recorded by the one who can still write: what was asked for; who leads next is told by its term. */
	dr_coord_submit(in->coord, &node_change.cmd);
	node_change.cmd.kind = DR_CMD_NONE;
	end_change(in, q, dr_raft_transfer(in->coord->raft, m.id, node_changed, &node_change, &e), &e);
}

/* ---- dispatch */

/* With thousands of services it is the dearest of what may be asked: as often as it is asked, it takes STATUS_SHARE
 * of the time at most.  Whoever changed something sees what came of it: that is an event. */
static void tell_status(struct dr_in *in, uint64_t id)
{
	struct dr_coord *c = in->coord;
	uint64_t now = uv_hrtime();
	if (!c->status_made.valid || c->status_made.version != c->core->repl.event_last || now >= c->status_until_ns) {
		dr_clients_make(&c->status_made, dr_status_json(c));
		c->status_made.version = c->core->repl.event_last;
		uint64_t made = uv_hrtime();
		uint64_t good_for = (made - now) * (STATUS_SHARE - 1);
		c->status_until_ns = made + (good_for < STATUS_OLD_NS ? good_for : STATUS_OLD_NS);
	}
	dr_clients_made(in, id, &c->status_made);
}

/* What compressed bytes and a spec cost is spent on those alone who may apply one. */
static void apply(struct dr_in *in, const struct dr_client_request *head, const uint8_t *p, size_t n)
{
	struct dr_client_request q;
	struct dr_error e;
	if (dr_client_request_decode(&q, p, n, &e) != DR_OK) {
		dr_clients_error(in, head->id, e.code, e.msg);
		return;
	}
	if (q.spec == NULL) {
		dr_clients_error(in, head->id, DR_E_INVALID, "`apply` without a spec");
		return;
	}
	ask_core(in, &q, DR_REQ_APPLY);
	dr_spec_free(q.spec);
}

static void explain(struct dr_in *in, const struct dr_client_request *q)
{
	uint32_t ix = dr_repl_service_find(&in->coord->core->repl, q->service.s);
	if (ix == DR_SERVICE_NONE)
		respond_refused(in, q->id, DR_REASON_NO_SUCH_SERVICE, 0, 0);
	else
		dr_clients_json(in, q->id, dr_explain_json(in->coord, ix));
}

static void dispatch(struct dr_in *in, enum verb v, const struct dr_client_request *q, const uint8_t *p, size_t n)
{
	switch (v) {
	case VERB_STATUS: tell_status(in, q->id); break;
	case VERB_WATCH: dr_stream_begin(in, q->id, q->from); break;
	case VERB_EXPLAIN: explain(in, q); break;
	case VERB_READY: dr_ready_asked(in, q); break;
	case VERB_SIMULATE_FAILOVER: dr_simulate_asked(in, q, DR_REQ_FAILOVER); break;
	case VERB_SIMULATE_SWITCHOVER: dr_simulate_asked(in, q, DR_REQ_SWITCHOVER); break;
	case VERB_SIMULATE_FAILBACK: dr_simulate_asked(in, q, DR_REQ_FAILBACK); break;
	case VERB_SPEC: dr_reads_ask(in, q->id); break;
	case VERB_FAILOVER: ask_core(in, q, DR_REQ_FAILOVER); break;
	case VERB_SWITCHOVER: ask_core(in, q, DR_REQ_SWITCHOVER); break;
	case VERB_FAILBACK: ask_core(in, q, DR_REQ_FAILBACK); break;
	case VERB_APPROVE: ask_core(in, q, DR_REQ_APPROVE); break;
	case VERB_ABORT: ask_core(in, q, DR_REQ_ABORT); break;
	case VERB_PAUSE: ask_core(in, q, DR_REQ_PAUSE); break;
	case VERB_RESUME: ask_core(in, q, DR_REQ_RESUME); break;
	case VERB_FENCE: ask_core(in, q, DR_REQ_FENCE); break;
	case VERB_UNFENCE: ask_core(in, q, DR_REQ_UNFENCE); break;
	case VERB_MEMBER_FENCED: ask_core(in, q, DR_REQ_MEMBER_FENCED); break;
	case VERB_ADOPT: ask_core(in, q, DR_REQ_ADOPT); break;
	case VERB_OBSERVE: ask_core(in, q, DR_REQ_OBSERVE); break;
	case VERB_NODE_LIST: dr_clients_json(in, q->id, dr_nodes_json(in->coord)); break;
	case VERB_NODE_ADD: node_add(in, q); break;
	case VERB_NODE_REMOVE: node_remove(in, q); break;
	case VERB_NODE_TRANSFER: node_transfer(in, q); break;
	case VERB_APPLY: apply(in, q, p, n); break;
	case VERB_NONE:
	case VERB_COUNT: break;
	}
}

static enum verb verb_find(const char *word)
{
	for (enum verb v = VERB_NONE + 1; v < VERB_COUNT; v++) {
		if (strcmp(verbs[v].word, word) == 0)
			return v;
	}
	return VERB_NONE;
}

/* Whoever takes it on themselves that rows are lost or a server is stopped is an approver, by whatever verb. */
static enum dr_peer_kind least_role(enum verb v, const struct dr_client_request *q)
{
	bool vouches = q->accept_loss || q->assert_fenced;
	return vouches && verbs[v].least < DR_PEER_APPROVER ? DR_PEER_APPROVER : verbs[v].least;
}

static void take_request(struct dr_in *in, const struct dr_client_request *q, const uint8_t *p, size_t n)
{
	enum verb v = verb_find(q->verb);
	enum dr_peer_kind least = least_role(v, q);
	char why[DR_ERROR_MSG_MAX];
	if (v == VERB_NONE) {
		dr_clients_error(in, q->id, DR_E_UNSUPPORTED, "this coordinator does not know that verb");
	} else if (in->conn.peer.kind < least) {
		(void)snprintf(why, sizeof(why), "%s is for the role %s; the certificate of %s says %s", q->verb,
			       dr_peer_kind_name(least), in->conn.peer.name.s,
			       dr_peer_kind_name(in->conn.peer.kind));
		dr_clients_error(in, q->id, DR_E_DENIED, why);
	} else if (verbs[v].leader && !dr_coord_leads(in->coord)) {
		dr_clients_not_leader(in, q->id);
	} else if (verbs[v].least > DR_PEER_VIEWER && in->coord->recovering) {
		dr_clients_error(in, q->id, DR_E_BUSY, "this coordinator was recovered and listens to the agents before "
			      "anything is done; `status` says when it is over");
	} else if (verbs[v].reason && q->reason[0] == '\0') {
		dr_clients_error(in, q->id, DR_E_INVALID, "a reason is recorded with each such step: --reason TEXT");
	} else {
		dispatch(in, v, q, p, n);
	}
}

void dr_clients_request(struct dr_in *in, const uint8_t *p, size_t n)
{
	struct dr_client_request q;
	struct dr_error e;
	if (dr_client_request_decode_head(&q, p, n, &e) != DR_OK)
		dr_clients_error(in, q.id, e.code, e.msg);
	else
		take_request(in, &q, p, n);
}

void dr_clients_frame(struct dr_in *in, uint16_t type, const uint8_t *p, size_t n)
{
	uint64_t began_ns = uv_hrtime();
	if (type == DR_FRAME_REQUEST && n > SHORT_MAX && in->conn.peer.kind < DR_PEER_ADMIN)
		dr_clients_error(in, 0, DR_E_DENIED, "a request of more than 64 KiB holds a spec, which is for the role admin");
	else if (type == DR_FRAME_REQUEST && dr_turn_may(in, p, n))
		dr_clients_request(in, p, n);
	dr_turn_took(in, uv_hrtime() - began_ns);
}
