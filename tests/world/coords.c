/* coords.c -- coordinators of the world: what coord/shell does around the core, and the log between them. */
#include "tests/world/runbook.h"

#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/mem.h"

enum { W_RESEND_MS = 1000 };

static void wake(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->a];
	if (c->core == NULL || c->life != t->b || c->wake_at != t->u)
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
	w_wire_order(w, t->data);
	if (w->m[t->a].alive && w->m[t->a].life == t->b)
		w_agent_event(w, t->a, &ev);
}

static void cancel_arrives(struct world *w, struct w_timer *t)
{
	struct dr_agent_event ev = { .kind = DR_AG_CANCEL, .number = t->u };
	if (w->m[t->a].alive && w->m[t->a].life == t->b)
		w_agent_event(w, t->a, &ev);
}

static void look_arrives(struct world *w, struct w_timer *t)
{
	if (w->m[t->a].alive && w->m[t->a].life == t->b)
		w_agent_probe(w, t->a);
}

static void send_look(struct world *w, uint32_t ci, uint32_t m)
{
	struct w_timer *t = w_send(w, w->c[ci].site, w->m[m].site, w_proc(W_AGENT, m), look_arrives);
	t->a = m;
	t->b = w->m[m].life;
	w_say(w, "%s asks %s for a report", w->c[ci].name, w_member_name(w, m));
}

static void send_order(struct world *w, uint32_t c, uint32_t to, const struct dr_order_wanted *want)
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
		if (m != want->member && s->spec.member[m].name.s[0] != '\0')
			o->peer[o->peers++] = (struct dr_order_peer){ .member = s->spec.member[m].name,
								      .agent = s->spec.member[m].agent,
								      .listed = dr_set_has(want->core.listed, m) };
	}
	struct w_timer *t = w_send(w, w->c[c].site, w->m[to].site, w_proc(W_AGENT, to), order_arrives);
	t->a = to;
	t->b = w->m[to].life;
	t->data = o;
	t->size = sizeof(*o);
}

/* As coord/shell/agents.c: send what is missing, cancel what serves nothing any more. */
static void carry_orders(struct world *w, uint32_t ci, const struct dr_decision *d)
{
	struct w_coordinator *c = &w->c[ci];
	for (uint32_t i = 0; i < d->orders; i++) {
		const struct dr_order_wanted *want = &d->order[i];
		uint32_t m = w_member_at(&w->s[want->service], want->member);
		if (m >= w->members || !agent_there(w, ci, m)) {
			if (m < w->members)
				c->sent[m].number = 0;
			continue;
		}
		if (c->sent[m].life != w->m[m].life)
			c->sent[m].number = 0;
		c->sent[m].life = w->m[m].life;
		if (want->look)
			send_look(w, ci, m);
		bool sent = c->sent[m].number == want->core.number;
		if (want->core.number != 0 && (!sent || w->now >= c->sent[m].at_ms + W_RESEND_MS)) {
			send_order(w, ci, m, want);
			c->sent[m].number = want->core.number;
			c->sent[m].at_ms = w->now;
		} else if (want->core.number == 0 && c->sent[m].number != 0 && c->core->view.leading) {
			if (c->core->repl.service[want->service].member[want->member].result.number != c->sent[m].number) {
				struct w_timer *t = w_send(w, c->site, w->m[m].site,
							   w_proc(W_AGENT, m), cancel_arrives);
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
	struct w_member *m = &w->m[t->a];
	if (!m->alive || m->life != t->b)
		return;
	uint64_t before = m->core.lease_until_ms;
	w_agent_event(w, t->a, &ev);
	/* u: what its clock showed when the grant was made.  Counted from a later renewal a lease is too long. */
	if (m->alive && m->core.lease_until_ms > before && m->core.lease_until_ms > t->u + g->ttl_ms)
		w_violation(w, "the lease of %s counts from a renewal that was sent after its grant was made",
			    w_member_name(w, t->a));
}

/* It answers a renewal that came after the last lease tick that it appended; one may come twice. */
static bool grants_too_early(const struct w_coordinator *c, uint32_t m, const struct dr_grant *g)
{
	bool late = false;
	for (uint32_t i = 0; i < W_RENEWALS_KEPT; i++) {
		if (c->renewal[m][i].id != g->renewal)
			continue;
		if (c->renewal[m][i].at <= c->ticked_at)
			return false;
		late = true;
	}
	return late;
}

static void carry_grants(struct world *w, uint32_t ci, const struct dr_decision *d)
{
	for (uint32_t i = 0; i < d->grants; i++) {
		const struct dr_grant *g = &d->grant[i];
		struct w_coordinator *c = &w->c[ci];
		uint32_t to = w_member_at(&w->s[g->service], g->member);
		struct w_member *m = &w->m[to];
		if (grants_too_early(c, to, g))
			w_violation(w, "%s answers a renewal of %s without a lease tick that it appended since", c->name,
				    m->name.s);
		if (c->granted_epoch[to] != g->epoch)
			w_say(w, "%s grants %s epoch=%llu ttl=%u", c->name, m->name.s, (unsigned long long)g->epoch,
			      g->ttl_ms);
		c->granted_epoch[to] = g->epoch;
		if (m->granted < g->epoch)
			m->granted = g->epoch;
		struct w_timer *t = w_send(w, c->site, m->site, w_proc(W_AGENT, to), grant_arrives);
		t->a = to;
		t->b = m->life;
		t->u = w_clock(w, &m->clock);
		t->data = dr_xcalloc(sizeof(*g));
		t->size = sizeof(*g);
		memcpy(t->data, g, sizeof(*g));
	}
}

static void route_done(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->a];
	struct w_route_job *j = t->data;
	if (c->core == NULL || c->life != t->b || w->routes_stuck || (j->hold && w->holds_stuck))
		return;
	if (dr_route_holds(&w->service[t->service].route[j->route]))
		w->s[t->service].held = j->hold;
	if (j->hold && w->s[t->service].hold_unanswered)
		return;
	struct dr_core_event ev = { .kind = DR_EV_ROUTE, .epoch = t->u, .route = j->route, .hold = j->hold,
				    .servers = dr_route_all(&w->service[t->service].route[j->route]),
				    .service = w->service[t->service].name };
	w_coord_event(w, t->a, &ev);
}

/* A route job of that kind is there already. */
static bool is_known(const struct w_coordinator *c, const struct dr_route_wanted *r)
{
	return c->route_epoch[r->service][r->route] == r->epoch && c->route_held[r->service][r->route] == r->hold;
}

static void carry_routes(struct world *w, uint32_t ci, const struct dr_decision *d)
{
	struct w_coordinator *c = &w->c[ci];
	for (uint32_t i = 0; i < d->routes; i++) {
		const struct dr_route_wanted *r = &d->route[i];
		const char *of = r->service > 0 ? " of " : "", *of_name = r->service > 0 ? w->service[r->service].name.s : "";
		if (!r->wanted || is_known(c, r))
			continue;
		if (r->hold)
			w_say(w, "%s wants route %u%s%s to hold its clients", c->name, r->route, of, of_name);
		else
			w_say(w, "%s wants route %u%s%s to %s epoch=%llu", c->name, r->route, of, of_name,
			      w_member_name(w, w_member_at(&w->s[r->service], r->holder)), (unsigned long long)r->epoch);
		c->route_epoch[r->service][r->route] = r->epoch;
		c->route_held[r->service][r->route] = r->hold;
		struct w_timer *t = w_after(w, 5, route_done);
		t->service = r->service;
		struct w_route_job *j = dr_xcalloc(sizeof(*j));
		*j = (struct w_route_job){ .route = r->route, .hold = r->hold };
		t->data = j;
		t->size = sizeof(*j);
		t->proc = w_proc(W_COORD, ci);
		t->a = ci;
		t->b = c->life;
		t->u = r->epoch;
	}
}

/* As coord/shell/loop.c: before anything is granted under it. */
static void tell_timing(struct world *w, uint32_t ci)
{
	struct w_coordinator *c = &w->c[ci];
	if (memcmp(&c->timing_told, &c->core->repl.timing, sizeof(c->timing_told)) == 0)
		return;
	c->timing_told = c->core->repl.timing;
	if (c->raft_leads)
		w_announce(w, ci);
}

void w_call_hook(struct world *w, uint32_t c, enum w_moment at, const struct dr_cmd *cmd)
{
	if (w->hook != NULL)
		w->hook(w, c, at, cmd);
}

/* In which order renewals and lease ticks reached it. */
static void note_event(struct world *w, struct w_coordinator *c, const struct dr_core_event *ev)
{
	uint32_t m = ev->kind == DR_EV_RENEW ? w_member_find(w, ev->member.s) : w->members;
	c->events++;
	if (ev->kind == DR_EV_APPENDED)
		c->ticked_at = c->events;
	if (m < w->members) {
		uint32_t at = c->renewals++ % W_RENEWALS_KEPT;
		c->renewal[m][at].id = ev->renewal;
		c->renewal[m][at].at = c->events;
	}
}


void w_coord_event(struct world *w, uint32_t ci, struct dr_core_event *ev)
{
	struct w_coordinator *c = &w->c[ci];
	struct dr_decision *d = w->decision;
	ev->now_ms = w_clock(w, &c->clock);
	ev->wall_ms = (uint64_t)((int64_t)(w->wall0 + w->now) + c->clock.wall_ms);
	if (ev->kind == DR_EV_COMMITTED)
		w_check_entry(w, ci, ev->index, ev->term, ev->cmd);
	note_event(w, c, ev);
	dr_core_step(c->core, ev, d);
	if (ev->kind == DR_EV_COMMITTED) {
		w_check_applied(w, ci, ev->cmd);
		w_print_events(w, ci);
		if (w->leader == (int)ci)
			w_call_hook(w, ci, W_APPLIED, ev->cmd);
		if (c->core == NULL)
			return;
	}
	w_print_wanted(w, ci, d);
	tell_timing(w, ci);
	carry_grants(w, ci, d);
	carry_orders(w, ci, d);
	carry_routes(w, ci, d);
	w_runbook_carry_out(w, ci);
	if (d->wake_at_ms != 0 && (c->wake_at == 0 || d->wake_at_ms < c->wake_at || c->wake_at <= ev->now_ms)) {
		struct w_timer *t = w_after(w, w_until(w, &c->clock, d->wake_at_ms, 1), wake);
		t->proc = w_proc(W_COORD, ci);
		t->a = ci;
		t->b = c->life;
		t->u = c->wake_at = d->wake_at_ms > ev->now_ms ? d->wake_at_ms : ev->now_ms + 1;
	}
	uint32_t n = d->proposals;
	static struct dr_proposal copy[DR_PROPOSE_MAX];
	memcpy(copy, d->propose, n * sizeof(copy[0]));
	for (uint32_t i = 0; i < n && c->core != NULL; i++) {
		w_print_proposal(w, ci, &copy[i].cmd);
		w_check_proposal(w, ci, &copy[i].cmd);
		w_propose(w, ci, &copy[i].cmd, copy[i].tag);
	}
	if (ev->kind == DR_EV_COMMITTED && c->core != NULL && w->leader == (int)ci)
		w_call_hook(w, ci, W_CARRIED_OUT, ev->cmd);
}

/* ---- leadership, as agents hear of it */

static void announce_arrives(struct world *w, struct w_timer *t)
{
	struct w_member *m = &w->m[t->a];
	struct w_coordinator *c = &w->c[t->b];
	if (!m->alive || c->core == NULL || !c->raft_leads || w->now < m->deaf_until ||
	    (m->leader >= 0 && w->c[m->leader].term > c->term))
		return;
	m->heard_at = w->now;
	struct dr_agent_event timing = { .kind = DR_AG_TIMING,
					 .timing = &c->core->repl.timing,
					 .ttl_ms = c->core->repl.ttl_longest_ms };
	if (c->core->repl.spec_version != 0)
		w_agent_event(w, t->a, &timing);
	if (m->leader == (int)t->b)
		return;
	m->leader = (int)t->b;
	struct dr_agent_event ev = { .kind = DR_AG_LEADER, .known = true };
	w_agent_event(w, t->a, &ev);
	w_agent_probe(w, t->a);
}

void w_announce(struct world *w, uint32_t c)
{
	for (uint32_t i = 0; i < w->members; i++) {
		if (!w->m[i].alive)
			continue;
		struct w_timer *t = w_send(w, w->c[c].site, w->m[i].site, w_proc(W_AGENT, i), announce_arrives);
		t->a = i;
		t->b = c;
	}
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
	memset(&c->timing_told, 0, sizeof(c->timing_told));
	memset(c->granted_epoch, 0, sizeof(c->granted_epoch));
	memset(c->route_epoch, 0, sizeof(c->route_epoch));
	memset(c->route_held, 0, sizeof(c->route_held));
	memset(c->site_step, 0, sizeof(c->site_step));
	memset(c->site_step_silent, 0, sizeof(c->site_step_silent));
	memset(c->agent_ms, 0, sizeof(c->agent_ms));
	memset(c->server_ms, 0, sizeof(c->server_ms));
	memset(c->write_ms, 0, sizeof(c->write_ms));
	memset(c->fail_since, 0, sizeof(c->fail_since));
	memset(c->errant_told, 0, sizeof(c->errant_told));
	c->events_seen = c->nth_of = c->nth = 0;
	dr_core_init(c->core, &self, w_clock(w, &c->clock));
	w_coord_beat(w, ci);
	w_log_started(w, ci);
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
	w_log_killed(w, ci);
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
	w_wire_observations(w, t->data, w->members);
	dr_assert(dr_name_set(&ev.observer, w->c[t->b].name));
	w_coord_event(w, t->a, &ev);
}

/* As coord/shell/probe.c: only whoever is the confirmed primary is written to. */
static void note_write(struct world *w, struct w_coordinator *c, uint32_t m)
{
	const struct dr_service *s = &c->core->repl.service[w->m[m].service];
	bool primary = s->managed && s->holder == w->m[m].ix && s->primary_epoch == s->epoch;
	if (!primary || c->write_ms[m] == w->now)
		c->fail_since[m] = 0;
	else if (c->fail_since[m] == 0)
		c->fail_since[m] = w->now;
}

static enum dr_failure failure_of(const struct w_server *s)
{
	if (s->state == DR_SERVER_STANDBY)
		return DR_FAILURE_READ_ONLY;
	if (s->too_few && !s->acks_blocked)
		return DR_FAILURE_TOO_FEW_STANDBYS;
	if (!s->acks_blocked && !s->probes_fail)
		return s->slow_ms != 0 ? DR_FAILURE_STORAGE_HUNG : DR_FAILURE_NOT_ACCEPTING;
	return s->failure != DR_FAILURE_NONE ? s->failure : DR_FAILURE_STORAGE_HUNG;
}

static void observe(struct world *w, uint32_t ci)
{
	struct w_coordinator *c = &w->c[ci];
	struct dr_observation *o = dr_xcalloc(W_MEMBERS_MAX * sizeof(*o));
	for (uint32_t i = 0; i < w->members; i++) {
		const struct w_server *s = &w->m[i].server;
		bool up = s->state == DR_SERVER_PRIMARY || s->state == DR_SERVER_STANDBY;
		up = (up && !w_paused(w, w_proc(W_SERVER, i))) != w->m[i].lies;
		if (up && w_reaches(w, c->site, w->m[i].site) && w_reaches(w, w->m[i].site, c->site)) {
			c->server_ms[i] = w->now;
			c->in_recovery[i] = s->state == DR_SERVER_STANDBY;
			bool soon = s->slow_ms <= w->spec.timing.probe_deadline_ms;
			bool writes = !s->acks_blocked && !s->probes_fail && !s->too_few && soon;
			if (s->state == DR_SERVER_PRIMARY && writes)
				c->write_ms[i] = w->now;
		}
		note_write(w, c, i);
		o[i] = (struct dr_observation){ .service = w->m[i].service,
						.member = w->m[i].ix,
						.agent_age_ms = age(w, c->agent_ms[i]),
						.server_age_ms = age(w, c->server_ms[i]),
						.write_age_ms = age(w, c->write_ms[i]),
						.failure = c->fail_since[i] != 0 ? failure_of(s) : DR_FAILURE_NONE,
						.failing_ms = c->fail_since[i] != 0 ? age(w, c->fail_since[i]) : 0,
						.in_recovery = c->in_recovery[i] };
	}
	int leader = w_leader_known(w, ci);
	if (leader < 0) {
		dr_free(o);
		return;
	}
	struct w_timer *t = w_send(w, c->site, w->c[leader].site, w_proc(W_COORD, (uint32_t)leader),
				   observations_arrive);
	t->a = (uint32_t)leader;
	t->b = ci;
	t->data = o;
	t->size = W_MEMBERS_MAX * sizeof(*o);
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
		w_announce(w, t->a);
	if (w->leader == (int)t->a)
		w_catch_up(w);
	struct dr_core_event ev = { .kind = DR_EV_TICK };
	w_coord_event(w, t->a, &ev);
}

void w_coord_beat(struct world *w, uint32_t c)
{
	struct w_timer *t = w_after(w, w->spec.timing.probe_ms + 3 * c, beat);
	t->proc = w_proc(W_COORD, c);
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

struct dr_service *w_repl(struct world *w, uint32_t service)
{
	struct w_coordinator *best = NULL;
	for (uint32_t i = 0; i < w->coords; i++) {
		if (w->c[i].core != NULL && (best == NULL || w->c[i].applied > best->applied))
			best = &w->c[i];
	}
	return best != NULL ? &best->core->repl.service[service] : NULL;
}
