/* coords.c -- coordinators of the world: what coord/shell does around the core, and the log between them. */
#include "tests/golden/world.h"

#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/mem.h"

enum { W_RESEND_MS = 1000 };

static void wake(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->a];
	if (c->core == NULL || c->life != t->b || c->wake_at != t->at)
		return;
	c->wake_at = 0;
	struct dr_core_event ev = { .kind = DR_EV_TICK };
	w_coord_event(w, t->a, &ev);
}

static bool agent_there(const struct world *w, uint32_t c, uint32_t m)
{
	return w->m[m].alive && w_reaches(w, w->c[c].site, w->m[m].site) &&
	       w_reaches(w, w->m[m].site, w->c[c].site);
}

static void order_arrives(struct world *w, struct w_timer *t)
{
	struct dr_agent_event ev = { .kind = DR_AG_ORDER, .order = t->data };
	if (w->m[t->a].alive && w->m[t->a].life == t->b)
		w_agent_event(w, t->a, &ev);
}

static void cancel_arrives(struct world *w, struct w_timer *t)
{
	struct dr_agent_event ev = { .kind = DR_AG_CANCEL, .number = t->u };
	if (w->m[t->a].alive && w->m[t->a].life == t->b)
		w_agent_event(w, t->a, &ev);
}

static void send_order(struct world *w, uint32_t c, const struct dr_order_wanted *want)
{
	const struct dr_service *s = &w->c[c].core->repl.service[want->service];
	struct dr_order *o = dr_xcalloc(sizeof(*o));
	o->core = want->core;
	o->service = s->spec.name;
	o->member = s->spec.member[want->member].name;
	if (want->core.target < DR_MEMBERS_MAX) {
		o->target = s->spec.member[want->core.target].name;
		o->target_at = s->spec.member[want->core.target].address;
	}
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (dr_set_has(want->core.sync, m))
			o->sync_member[o->sync_members++] = s->spec.member[m].name;
	}
	struct w_timer *t = w_send(w, w->c[c].site, w->m[want->member].site, order_arrives);
	t->a = want->member;
	t->b = w->m[want->member].life;
	t->data = o;
}

/* As coord/shell/agents.c: send what is missing, cancel what serves nothing any more. */
static void carry_orders(struct world *w, uint32_t ci, const struct dr_decision *d)
{
	struct w_coordinator *c = &w->c[ci];
	for (uint32_t i = 0; i < d->orders; i++) {
		const struct dr_order_wanted *want = &d->order[i];
		uint32_t m = want->member;
		if (want->service != 0 || m >= w->members || !agent_there(w, ci, m)) {
			if (m < w->members)
				c->sent[m].number = 0;
			continue;
		}
		if (c->sent[m].life != w->m[m].life)
			c->sent[m].number = 0;
		c->sent[m].life = w->m[m].life;
		bool sent = c->sent[m].number == want->core.number;
		if (want->core.number != 0 && (!sent || w->now >= c->sent[m].at_ms + W_RESEND_MS)) {
			send_order(w, ci, want);
			c->sent[m].number = want->core.number;
			c->sent[m].at_ms = w->now;
		} else if (want->core.number == 0 && c->sent[m].number != 0 && c->core->view.leading) {
			if (c->core->repl.service[0].member[m].result.number != c->sent[m].number) {
				struct w_timer *t = w_send(w, c->site, w->m[m].site, cancel_arrives);
				t->a = m;
				t->b = w->m[m].life;
				t->u = c->sent[m].number;
			}
			c->sent[m].number = 0;
		}
	}
}

static void grant_arrives(struct world *w, struct w_timer *t)
{
	const struct dr_grant *g = t->data;
	struct dr_agent_event ev = {
		.kind = DR_AG_GRANT, .id = g->renewal, .epoch = g->epoch, .ttl_ms = g->ttl_ms
	};
	if (w->m[t->a].alive && w->m[t->a].life == t->b)
		w_agent_event(w, t->a, &ev);
}

static void carry_grants(struct world *w, uint32_t ci, const struct dr_decision *d)
{
	for (uint32_t i = 0; i < d->grants; i++) {
		const struct dr_grant *g = &d->grant[i];
		struct w_coordinator *c = &w->c[ci];
		if (c->granted_epoch[g->member] != g->epoch)
			w_say(w, "%s grants %s epoch=%llu ttl=%u", c->name, w_member_name(w, g->member),
			      (unsigned long long)g->epoch, g->ttl_ms);
		c->granted_epoch[g->member] = g->epoch;
		struct w_timer *t = w_send(w, c->site, w->m[g->member].site, grant_arrives);
		t->a = g->member;
		t->b = w->m[g->member].life;
		t->data = dr_xcalloc(sizeof(*g));
		memcpy(t->data, g, sizeof(*g));
	}
}

static void route_done(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->a];
	if (c->core == NULL || c->life != t->b || w->routes_stuck)
		return;
	struct dr_core_event ev = {
		.kind = DR_EV_ROUTE, .epoch = t->u, .route = 0, .servers = 3, .service = w->service.name
	};
	w_coord_event(w, t->a, &ev);
}

static void carry_routes(struct world *w, uint32_t ci, const struct dr_decision *d)
{
	struct w_coordinator *c = &w->c[ci];
	for (uint32_t i = 0; i < d->routes; i++) {
		const struct dr_route_wanted *r = &d->route[i];
		if (!r->wanted || c->route_epoch[r->route] == r->epoch)
			continue;
		w_say(w, "%s wants route %u to %s epoch=%llu", c->name, r->route, w_member_name(w, r->holder),
		      (unsigned long long)r->epoch);
		c->route_epoch[r->route] = r->epoch;
		struct w_timer *t = w_after(w, 5, route_done);
		t->a = ci;
		t->b = c->life;
		t->u = r->epoch;
	}
}

static void call_hook(struct world *w, uint32_t c, enum w_moment at, const struct dr_cmd *cmd)
{
	if (w->hook != NULL)
		w->hook(w, c, at, cmd);
}

void w_coord_event(struct world *w, uint32_t ci, struct dr_core_event *ev)
{
	struct w_coordinator *c = &w->c[ci];
	struct dr_decision *d = w->decision;
	ev->now_ms = w->now;
	ev->wall_ms = w->wall0 + w->now;
	dr_core_step(c->core, ev, d);
	if (ev->kind == DR_EV_COMMITTED) {
		w_check_applied(w, ci, ev->cmd);
		w_print_events(w, ci);
		if (w->leader == (int)ci)
			call_hook(w, ci, W_APPLIED, ev->cmd);
		if (c->core == NULL)
			return;
	}
	w_print_wanted(w, ci, d);
	carry_grants(w, ci, d);
	carry_orders(w, ci, d);
	carry_routes(w, ci, d);
	if (d->wake_at_ms != 0 && (c->wake_at == 0 || d->wake_at_ms < c->wake_at || c->wake_at <= w->now)) {
		uint64_t in = d->wake_at_ms > w->now ? d->wake_at_ms - w->now : 1;
		struct w_timer *t = w_after(w, in, wake);
		t->a = ci;
		t->b = c->life;
		c->wake_at = t->at;
	}
	uint32_t n = d->proposals;
	static struct dr_proposal copy[DR_PROPOSE_MAX];
	memcpy(copy, d->propose, n * sizeof(copy[0]));
	for (uint32_t i = 0; i < n && c->core != NULL; i++) {
		w_print_proposal(w, ci, &copy[i].cmd);
		w_propose(w, ci, &copy[i].cmd, copy[i].tag);
	}
	if (ev->kind == DR_EV_COMMITTED && c->core != NULL && w->leader == (int)ci)
		call_hook(w, ci, W_CARRIED_OUT, ev->cmd);
}

/* ---- the log */

static bool has_majority(const struct world *w, uint32_t c)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < w->coords; i++) {
		bool there = w->c[i].core != NULL && w_reaches(w, w->c[c].site, w->c[i].site) &&
			     w_reaches(w, w->c[i].site, w->c[c].site);
		n += there ? 1u : 0u;
	}
	return 2 * n > w->coords;
}

static void apply_one(struct world *w, uint32_t ci)
{
	struct w_coordinator *c = &w->c[ci];
	struct w_entry *e = &w->log[c->applied++];
	if (e->cmd.kind == DR_CMD_TICK && (e->by != ci || e->life != c->life)) {
		struct dr_core_event tick = { .kind = DR_EV_APPENDED, .cmd = &e->cmd };
		w_coord_event(w, ci, &tick);
	}
	struct dr_core_event ev = {
		.kind = DR_EV_COMMITTED, .cmd = &e->cmd, .index = c->applied, .term = e->term
	};
	w_coord_event(w, ci, &ev);
	if (c->core == NULL || e->tag == 0 || e->by != ci || e->life != c->life)
		return;
	struct dr_core_event end = { .kind = DR_EV_PROPOSED, .tag = e->tag, .index = c->applied };
	w_coord_event(w, ci, &end);
}

static void catch_up_one(struct world *w, uint32_t c)
{
	while (w->c[c].core != NULL && w->c[c].applied < w->committed)
		apply_one(w, c);
}

static void follower_catches_up(struct world *w, struct w_timer *t)
{
	if (w->c[t->a].core != NULL && w->c[t->a].life == t->b)
		catch_up_one(w, t->a);
}

/* Everybody whom the leader reaches learns what is committed: the leader now, the others a hop later. */
void w_catch_up(struct world *w)
{
	if (w->leader < 0)
		return;
	uint32_t leader = (uint32_t)w->leader;
	for (uint32_t i = 0; i < w->coords; i++) {
		if (i == leader || w->c[i].core == NULL || w->c[i].applied >= w->committed)
			continue;
		struct w_timer *t = w_send(w, w->c[leader].site, w->c[i].site, follower_catches_up);
		t->a = i;
		t->b = w->c[i].life;
	}
	catch_up_one(w, leader);
}

static void commit(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->a];
	if (c->core == NULL || c->life != t->b || c->term != w->term || w->leader != (int)t->a)
		return;
	if (w->committed >= t->u)
		return;
	if (!has_majority(w, t->a)) {
		struct w_timer *again = w_after(w, 20, commit);
		again->a = t->a;
		again->b = t->b;
		again->u = t->u;
		return;
	}
	while (w->committed < t->u && w->leader == (int)t->a) {
		w->committed++;
		call_hook(w, t->a, W_COMMITTED, &w->log[w->committed - 1].cmd);
		w_catch_up(w);
	}
}

static void tick_appended(struct world *w, struct w_timer *t)
{
	if (w->c[t->a].core == NULL || w->c[t->a].life != t->b)
		return;
	struct dr_core_event ev = { .kind = DR_EV_APPENDED };
	w_coord_event(w, t->a, &ev);
}

static void refused(struct world *w, struct w_timer *t)
{
	if (w->c[t->a].core == NULL || w->c[t->a].life != t->b)
		return;
	struct dr_core_event ev = { .kind = DR_EV_PROPOSED, .tag = t->u, .outcome = DR_E_NOT_LEADER };
	w_coord_event(w, t->a, &ev);
}

void w_propose(struct world *w, uint32_t ci, const struct dr_cmd *cmd, uint64_t tag)
{
	struct w_coordinator *c = &w->c[ci];
	struct w_timer *t;
	if (cmd->kind == DR_CMD_TICK) {
		t = w_after(w, 0, tick_appended);
		t->a = ci;
		t->b = c->life;
	}
	if (!c->raft_leads || c->term != w->term) {
		/* Deposed: what it appends is cut off, and it learns so when it learns that it is deposed. */
		if (!c->raft_leads) {
			t = w_after(w, 0, refused);
			t->a = ci;
			t->b = c->life;
			t->u = tag;
		}
		return;
	}
	dr_assert(w->appended < W_LOG_MAX);
	w->log[w->appended++] =
	    (struct w_entry){ .cmd = *cmd, .term = w->term, .tag = tag, .by = ci, .life = c->life };
	t = w_after(w, W_COMMIT_MS, commit);
	t->a = ci;
	t->b = c->life;
	t->u = w->appended;
	call_hook(w, ci, W_PROPOSES, cmd);
}

/* ---- leadership */

static void announce_arrives(struct world *w, struct w_timer *t)
{
	struct w_member *m = &w->m[t->a];
	struct w_coordinator *c = &w->c[t->b];
	if (!m->alive || c->core == NULL || !c->raft_leads ||
	    (m->leader >= 0 && w->c[m->leader].term > c->term))
		return;
	struct dr_agent_event timing = { .kind = DR_AG_TIMING, .timing = &c->core->repl.timing };
	if (c->core->repl.spec_version != 0)
		w_agent_event(w, t->a, &timing);
	if (m->leader == (int)t->b)
		return;
	m->leader = (int)t->b;
	struct dr_agent_event ev = { .kind = DR_AG_LEADER, .known = true };
	w_agent_event(w, t->a, &ev);
	w_agent_probe(w, t->a);
}

static void announce(struct world *w, uint32_t c)
{
	for (uint32_t i = 0; i < w->members; i++) {
		if (!w->m[i].alive)
			continue;
		struct w_timer *t = w_send(w, w->c[c].site, w->m[i].site, announce_arrives);
		t->a = i;
		t->b = c;
	}
}

static void lead(struct world *w, uint32_t ci)
{
	struct w_coordinator *c = &w->c[ci];
	w->appended = w->committed; /* what the last leader alone had is gone */
	catch_up_one(w, ci);
	w->leader = (int)ci;
	c->term = ++w->term;
	c->raft_leads = true;
	w_say(w, "%s leads, term %llu", c->name, (unsigned long long)c->term);
	struct dr_core_event ev = { .kind = DR_EV_ROLE, .leading = true, .term = c->term };
	w_coord_event(w, ci, &ev);
	if (c->core != NULL)
		announce(w, ci);
	w_catch_up(w);
}

static bool electable(const struct world *w, int c)
{
	return c >= 0 && w->c[c].core != NULL && has_majority(w, (uint32_t)c);
}

void w_elect(struct world *w)
{
	if (w->no_election || electable(w, w->leader))
		return;
	if (electable(w, w->prefer)) {
		lead(w, (uint32_t)w->prefer);
		return;
	}
	for (uint32_t i = 0; i < w->coords; i++) {
		if (electable(w, (int)i)) {
			lead(w, i);
			return;
		}
	}
	w->leader = -1;
}

static void election(struct world *w, struct w_timer *t)
{
	(void)t;
	w_elect(w);
}

static void step_down(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->a];
	if (c->core == NULL || c->life != t->b || !c->raft_leads || c->term != t->u)
		return;
	if (w->leader == (int)t->a) {
		if (has_majority(w, t->a))
			return;
		w->leader = -1;
	}
	c->raft_leads = false;
	w_say(w, "%s leads no more", c->name);
	struct dr_core_event ev = { .kind = DR_EV_ROLE, .leading = false, .term = c->term };
	w_coord_event(w, t->a, &ev);
}

/* The leader died or was cut off: it steps down and another is elected, each after its time. */
void w_leader_lost(struct world *w)
{
	w_after(w, w->elect_ms, election);
	for (uint32_t i = 0; i < w->coords; i++) {
		if (w->c[i].core == NULL || !w->c[i].raft_leads)
			continue;
		struct w_timer *t = w_after(w, w->step_down_ms, step_down);
		t->a = i;
		t->b = w->c[i].life;
		t->u = w->c[i].term;
	}
}

static void healed(struct world *w, struct w_timer *t)
{
	(void)t;
	w_elect(w);
	if (w->leader < 0)
		return;
	w_catch_up(w);
	for (uint32_t i = 0; i < w->coords; i++) {
		struct w_coordinator *c = &w->c[i];
		bool deposed = c->core != NULL && c->raft_leads && w->leader != (int)i;
		if (!deposed || !w_reaches(w, w->c[w->leader].site, c->site))
			continue;
		struct w_timer down = { .a = i, .b = c->life, .u = c->term };
		step_down(w, &down);
	}
	announce(w, (uint32_t)w->leader);
}

void w_healed(struct world *w)
{
	w_after(w, 20, healed);
}

void w_coord_start(struct world *w, uint32_t ci)
{
	struct w_coordinator *c = &w->c[ci];
	struct dr_name self;
	if (c->core != NULL)
		return;
	dr_assert(dr_name_set(&self, c->name));
	c->core = mmap(NULL, sizeof(*c->core), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	dr_assert(c->core != MAP_FAILED);
	c->life++;
	c->applied = 0;
	c->raft_leads = false;
	c->wake_at = 0;
	memset(c->sent, 0, sizeof(c->sent));
	memset(c->wanted, 0, sizeof(c->wanted));
	memset(c->granted_epoch, 0, sizeof(c->granted_epoch));
	memset(c->route_epoch, 0, sizeof(c->route_epoch));
	memset(c->agent_ms, 0, sizeof(c->agent_ms));
	memset(c->server_ms, 0, sizeof(c->server_ms));
	memset(c->write_ms, 0, sizeof(c->write_ms));
	dr_core_init(c->core, &self, w->now);
	w_coord_beat(w, ci);
	w_healed(w);
}

void w_coord_kill(struct world *w, uint32_t ci)
{
	struct w_coordinator *c = &w->c[ci];
	if (c->core == NULL)
		return;
	(void)munmap(c->core, sizeof(*c->core));
	c->core = NULL;
	c->raft_leads = false;
	c->life++;
	for (uint32_t m = 0; m < w->members; m++) {
		if (w->m[m].leader == (int)ci && w->m[m].alive) {
			w->m[m].leader = -1;
			struct dr_agent_event ev = { .kind = DR_AG_LEADER, .known = false };
			w_agent_event(w, m, &ev);
		}
	}
	if (w->leader == (int)ci) {
		w->leader = -1;
		w_leader_lost(w);
	}
}

/* ---- the pulse: probes, observations, a look at everything */

static uint32_t age(const struct world *w, uint64_t at)
{
	return at == 0 ? UINT32_MAX : (uint32_t)(w->now - at);
}

static void observations_arrive(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->a];
	if (c->core == NULL)
		return;
	struct dr_core_event ev = { .kind = DR_EV_OBSERVED,
				    .observations = w->members,
				    .observation = t->data };
	dr_assert(dr_name_set(&ev.observer, w->c[t->b].name));
	w_coord_event(w, t->a, &ev);
}

static void observe(struct world *w, uint32_t ci)
{
	struct w_coordinator *c = &w->c[ci];
	struct dr_observation *o = dr_xcalloc(W_MEMBERS_MAX * sizeof(*o));
	for (uint32_t i = 0; i < w->members; i++) {
		const struct w_server *s = &w->m[i].server;
		bool up = s->state == DR_SERVER_PRIMARY || s->state == DR_SERVER_STANDBY;
		if (up && w_reaches(w, c->site, w->m[i].site) && w_reaches(w, w->m[i].site, c->site)) {
			c->server_ms[i] = w->now;
			c->in_recovery[i] = s->state == DR_SERVER_STANDBY;
			if (s->state == DR_SERVER_PRIMARY && !s->acks_blocked)
				c->write_ms[i] = w->now;
		}
		o[i] = (struct dr_observation){ .member = (dr_member_ix)i,
						.agent_age_ms = age(w, c->agent_ms[i]),
						.server_age_ms = age(w, c->server_ms[i]),
						.write_age_ms = age(w, c->write_ms[i]),
						.in_recovery = c->in_recovery[i] };
	}
	if (w->leader < 0) {
		dr_free(o);
		return;
	}
	struct w_timer *t = w_send(w, c->site, w->c[w->leader].site, observations_arrive);
	t->a = (uint32_t)w->leader;
	t->b = ci;
	t->data = o;
}

static void beat(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->a];
	if (c->core == NULL || c->life != t->b)
		return;
	w_coord_beat(w, t->a);
	if (c->core->repl.services > 0)
		observe(w, t->a);
	if (c->raft_leads)
		announce(w, t->a);
	if (w->leader == (int)t->a)
		w_catch_up(w);
	struct dr_core_event ev = { .kind = DR_EV_TICK };
	w_coord_event(w, t->a, &ev);
}

void w_coord_beat(struct world *w, uint32_t c)
{
	struct w_timer *t = w_after(w, w->spec.timing.probe_ms + 3 * c, beat);
	t->a = c;
	t->b = w->c[c].life;
}

enum dr_reason w_request(struct world *w, struct dr_request *q)
{
	if (w->leader < 0)
		return DR_REASON_NO_PRIMARY;
	if (q->id == 0)
		q->id = ++w->request_last;
	struct dr_core_event ev = { .kind = DR_EV_REQUEST, .request = q };
	w_coord_event(w, (uint32_t)w->leader, &ev);
	struct dr_answer a = w->decision->answer;
	if (!a.now)
		return DR_REASON_NONE;
	w_say(w, "answer %s a=%llu b=%llu",
	      a.refused == DR_REASON_NONE ? "done before" : dr_reason_name(a.refused),
	      (unsigned long long)a.a, (unsigned long long)a.b);
	return a.refused;
}

struct dr_service *w_repl(struct world *w)
{
	struct w_coordinator *best = NULL;
	for (uint32_t i = 0; i < w->coords; i++) {
		if (w->c[i].core != NULL && (best == NULL || w->c[i].applied > best->applied))
			best = &w->c[i];
	}
	return best != NULL ? &best->core->repl.service[0] : NULL;
}
