/* snapshot.c -- see snapshot.h.  Each part of the state is one message; places are kept. */
#include "coord/shell/snapshot.h"

#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "proto/pb.h"

/* One service as messages: one allocation, pointing into the state that it is made from. */
struct member_tree {
	Drcoord__Pb__MemberState m;
	Drcoord__Pb__OrderCore order, done;
	Drcoord__Pb__OrderResult result;
	Drcoord__Pb__Plan rejoin;
	uint32_t rejoin_step[DR_STEPS_MAX];
};

struct service_tree {
	Drcoord__Pb__ServiceState m;
	struct dr_pb_service spec;
	Drcoord__Pb__Sync sync, next, since;
	Drcoord__Pb__Plan plan;
	uint32_t plan_step[DR_STEPS_MAX];
	Drcoord__Pb__Part part;
	uint64_t route_epoch[DR_ROUTES_MAX];
	uint32_t route_servers[DR_ROUTES_MAX], route_held[DR_ROUTES_MAX];
	struct member_tree member[DR_MEMBERS_MAX];
	Drcoord__Pb__MemberState *member_ptr[DR_MEMBERS_MAX];
};

static void put_plan(Drcoord__Pb__Plan *m, uint32_t step[DR_STEPS_MAX], const struct dr_plan *p)
{
	drcoord__pb__plan__init(m);
	m->id = p->id;
	m->kind = (uint32_t)p->kind;
	m->state = (uint32_t)p->state;
	m->at = p->at;
	m->bar = p->bar;
	m->n_step = p->steps;
	m->step = step;
	for (uint32_t i = 0; i < p->steps && i < DR_STEPS_MAX; i++)
		step[i] = (uint32_t)p->step[i];
	m->wanted = dr_pb_place(p->wanted);
	m->member = dr_pb_place(p->member);
	m->old = dr_pb_place(p->old);
	m->candidate = dr_pb_place(p->candidate);
	m->source = dr_pb_place(p->source);
	m->position = p->position;
	m->epoch_opened = p->epoch_opened;
	m->opened_wall_ms = p->opened_wall_ms;
	m->tries = p->tries;
	m->force = p->force;
	m->accept_loss = p->accept_loss;
	m->assert_fenced = p->assert_fenced;
	m->reason = (uint32_t)p->reason;
	m->ask = (uint32_t)p->ask;
	m->ask_a = p->ask_a;
	m->ask_b = p->ask_b;
	m->actor = dr_pb_str(p->actor.s);
	m->site_plan = p->site_plan;
	m->avoid = p->avoid;
}

static enum dr_err take_plan(struct dr_plan *p, const Drcoord__Pb__Plan *m, struct dr_error *e)
{
	memset(p, 0, sizeof(*p));
	if (m == NULL || m->id == 0)
		return DR_OK;
	if (m->n_step > DR_STEPS_MAX || m->at >= m->n_step)
		return dr_fail(e, DR_E_CORRUPT, "a plan with %zu steps at %u", m->n_step, m->at);
	*p = (struct dr_plan){ .id = m->id, .kind = (enum dr_plan_kind)m->kind, .state = (enum dr_plan_state)m->state,
			       .steps = (uint32_t)m->n_step, .at = m->at, .bar = m->bar,
			       .wanted = dr_pb_member(m->wanted), .member = dr_pb_member(m->member),
			       .old = dr_pb_member(m->old), .candidate = dr_pb_member(m->candidate),
			       .source = dr_pb_member(m->source), .position = m->position,
			       .epoch_opened = m->epoch_opened, .opened_wall_ms = m->opened_wall_ms, .tries = m->tries,
			       .force = m->force, .accept_loss = m->accept_loss, .assert_fenced = m->assert_fenced,
			       .reason = (enum dr_reason)m->reason, .ask = (enum dr_reason)m->ask, .ask_a = m->ask_a,
			       .ask_b = m->ask_b, .site_plan = m->site_plan,
			       .avoid = (dr_member_set)(m->avoid & 0xffu) };
	for (size_t i = 0; i < m->n_step; i++)
		p->step[i] = (enum dr_step)m->step[i];
	return dr_pb_name(&p->actor, m->actor, "plan.actor", e);
}

static void put_member(struct member_tree *t, const struct dr_service *s, dr_member_ix ix)
{
	const struct dr_member_repl *r = &s->member[ix];
	Drcoord__Pb__MemberState *m = &t->m;
	drcoord__pb__member_state__init(m);
	dr_pb_order_put(&t->order, &r->order);
	dr_pb_order_put(&t->done, &r->done);
	dr_pb_result_put(&t->result, &r->result);
	put_plan(&t->rejoin, t->rejoin_step, &s->rejoin[ix]);
	m->place = dr_pb_place(ix);
	m->order_last = r->order_last;
	m->order = &t->order;
	m->done = &t->done;
	m->result = &t->result;
	m->unproved_epoch = r->unproved_epoch;
	m->proof = (uint32_t)r->proof;
	m->proof_epoch = r->proof_epoch;
	m->frozen_epoch = r->frozen_epoch;
	m->frozen_position = r->frozen_position;
	m->frozen_timeline = r->frozen_timeline;
	m->frozen_system_id = r->frozen_system_id;
	m->joined_epoch = r->joined_epoch;
	m->lineage = r->lineage;
	m->sync_epoch = r->sync_epoch;
	m->sync_version = r->sync_version;
	m->divergence = (uint32_t)r->divergence;
	m->fails = r->fails;
	m->only_expired = r->only_expired;
	m->may_ack = r->may_ack;
	m->acks_epoch = r->acks_epoch;
	m->unsure = r->unsure;
	m->rejoin = s->rejoin[ix].id != 0 ? &t->rejoin : NULL;
}

static enum dr_err take_member(struct dr_service *s, const Drcoord__Pb__MemberState *m, struct dr_error *e)
{
	dr_member_ix ix = dr_pb_member(m->place);
	if (ix == DR_MEMBER_NONE)
		return dr_fail(e, DR_E_CORRUPT, "a member without a place");
	struct dr_member_repl *r = &s->member[ix];
	r->order_last = m->order_last;
	dr_pb_order_take(&r->order, m->order);
	dr_pb_order_take(&r->done, m->done);
	/* An empty order is all zero, as apply.c leaves it. */
	if (r->order.number == 0)
		memset(&r->order, 0, sizeof(r->order));
	if (r->done.number == 0)
		memset(&r->done, 0, sizeof(r->done));
	dr_pb_result_take(&r->result, m->result);
	r->unproved_epoch = m->unproved_epoch;
	r->proof = (enum dr_proof)m->proof;
	r->proof_epoch = m->proof_epoch;
	r->frozen_epoch = m->frozen_epoch;
	r->frozen_position = m->frozen_position;
	r->frozen_timeline = m->frozen_timeline;
	r->frozen_system_id = m->frozen_system_id;
	r->joined_epoch = m->joined_epoch;
	r->lineage = m->lineage;
	r->sync_epoch = m->sync_epoch;
	r->sync_version = m->sync_version;
	r->divergence = (enum dr_divergence)m->divergence;
	r->fails = m->fails;
	r->only_expired = m->only_expired;
	r->may_ack = m->may_ack;
	r->acks_epoch = m->acks_epoch;
	r->unsure = m->unsure;
	return take_plan(&s->rejoin[ix], m->rejoin, e);
}

static Drcoord__Pb__Sync *put_sync(Drcoord__Pb__Sync *m, const struct dr_sync *s)
{
	drcoord__pb__sync__init(m);
	m->set = s->set;
	m->k = s->k;
	return m;
}

/* What a server is told to wait for may name nobody and count all the same (`bounded`); what a promise rests on may not. */
static enum dr_err take_sync(struct dr_sync *s, const Drcoord__Pb__Sync *m, bool names, struct dr_error *e)
{
	memset(s, 0, sizeof(*s));
	if (m == NULL)
		return DR_OK;
	s->set = (dr_member_set)(m->set & 0xffu);
	s->k = m->k;
	uint32_t most = names || s->set != 0 ? dr_set_count(s->set) : DR_MEMBERS_MAX;
	return s->k <= most ? DR_OK : dr_fail(e, DR_E_CORRUPT, "a sync set with k above its size");
}

static void put_part(Drcoord__Pb__Part *m, const struct dr_part *p)
{
	drcoord__pb__part__init(m);
	m->plan = p->plan;
	m->state = (uint32_t)p->state;
	m->group = p->group;
	m->tries = p->tries;
	m->own = p->own;
	m->left = (uint32_t)p->left;
	m->a = p->a;
	m->b = p->b;
	m->was = dr_pb_place(p->was);
}

static enum dr_err take_part(struct dr_part *p, const Drcoord__Pb__Part *m, struct dr_error *e)
{
	*p = (struct dr_part){ .was = DR_MEMBER_NONE };
	if (m == NULL)
		return DR_OK;
	*p = (struct dr_part){ .plan = m->plan, .state = (enum dr_part_state)m->state, .group = m->group, .tries = m->tries,
			       .own = m->own, .left = (enum dr_reason)m->left, .a = m->a, .b = m->b,
			       .was = dr_pb_member(m->was) };
	return m->state < DR_PART_STATES ? DR_OK : dr_fail(e, DR_E_CORRUPT, "a part in a site plan of state %u", m->state);
}

static void put_service(struct service_tree *t, const struct dr_service *s, uint32_t ix)
{
	Drcoord__Pb__ServiceState *m = &t->m;
	drcoord__pb__service_state__init(m);
	dr_pb_service_put(&t->spec, &s->spec);
	put_plan(&t->plan, t->plan_step, &s->plan);
	m->place = ix + 1;
	m->spec = &t->spec.m;
	m->managed = s->managed;
	m->held_fenced = s->held_fenced;
	m->was_primary = s->was_primary;
	m->epoch = s->epoch;
	m->holder = dr_pb_place(s->holder);
	m->last_holder = dr_pb_place(s->last_holder);
	m->primary_epoch = s->primary_epoch;
	m->system_id = s->system_id;
	m->sync = put_sync(&t->sync, &s->sync);
	m->next = put_sync(&t->next, &s->next);
	m->since = s->since.set != 0 ? put_sync(&t->since, &s->since) : NULL;
	m->chosen_position = s->chosen_position;
	m->chosen_timeline = s->chosen_timeline;
	m->sync_joint = s->sync_joint;
	m->next_version = s->next_version;
	m->plan = s->plan.id != 0 ? &t->plan : NULL;
	put_part(&t->part, &s->part);
	m->part = s->part.plan != 0 ? &t->part : NULL;
	m->home = dr_pb_place(s->home);
	m->paused = s->paused;
	m->pause_until_wall_ms = s->pause_until_wall_ms;
	m->pause_actor = dr_pb_str(s->pause_actor.s);
	m->pause_text = dr_pb_str(s->pause_text);
	m->last_failover_wall_ms = s->last_failover_wall_ms;
	m->last_restart_wall_ms = s->last_restart_wall_ms;
	m->listed = s->listed;
	m->list_version = s->list_version;
	m->list_epoch = s->list_epoch;
	m->list_taken = s->list_taken;
	m->n_route_epoch = m->n_route_servers = m->n_route_held = DR_ROUTES_MAX;
	m->route_epoch = t->route_epoch;
	m->route_servers = t->route_servers;
	m->route_held = t->route_held;
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		t->route_epoch[i] = s->route_epoch[i];
		t->route_servers[i] = s->route_servers[i];
		t->route_held[i] = s->route_held[i];
	}
	m->member = t->member_ptr;
	for (dr_member_ix i = 0; i < DR_MEMBERS_MAX; i++) {
		if (s->spec.member[i].name.s[0] == '\0' && s->member[i].order_last == 0)
			continue;
		put_member(&t->member[i], s, i);
		t->member_ptr[m->n_member++] = &t->member[i].m;
	}
}

static enum dr_err take_service(struct dr_repl *r, const Drcoord__Pb__ServiceState *m, struct dr_error *e)
{
	if (m->place == 0 || m->place > DR_SERVICES_MAX || m->spec == NULL)
		return dr_fail(e, DR_E_CORRUPT, "a service without a place");
	struct dr_service *s = &r->service[m->place - 1];
	if (r->services < m->place)
		r->services = m->place;
	s->used = true;
	s->managed = m->managed;
	s->held_fenced = m->held_fenced;
	s->was_primary = m->was_primary;
	s->epoch = m->epoch;
	s->holder = dr_pb_member(m->holder);
	s->last_holder = dr_pb_member(m->last_holder);
	s->primary_epoch = m->primary_epoch;
	s->system_id = m->system_id;
	s->home = dr_pb_member(m->home);
	s->sync_joint = m->sync_joint;
	s->chosen_position = m->chosen_position;
	s->chosen_timeline = m->chosen_timeline;
	s->next_version = m->next_version;
	s->paused = m->paused;
	s->pause_until_wall_ms = m->pause_until_wall_ms;
	s->last_failover_wall_ms = m->last_failover_wall_ms;
	s->last_restart_wall_ms = m->last_restart_wall_ms;
	s->listed = (dr_member_set)(m->listed & 0xffu);
	s->list_version = m->list_version;
	s->list_epoch = m->list_epoch;
	s->list_taken = m->list_taken;
	dr_pb_text(s->pause_text, sizeof(s->pause_text), m->pause_text);
	for (size_t i = 0; i < DR_ROUTES_MAX && i < m->n_route_epoch && i < m->n_route_servers; i++) {
		s->route_epoch[i] = m->route_epoch[i];
		s->route_servers[i] = m->route_servers[i];
		s->route_held[i] = i < m->n_route_held ? m->route_held[i] : 0;
	}
	enum dr_err rv = dr_pb_service_take(&s->spec, m->spec, e);
	if (rv == DR_OK)
		rv = dr_pb_name(&s->pause_actor, m->pause_actor, "pause.actor", e);
	rv = rv == DR_OK ? take_sync(&s->sync, m->sync, true, e) : rv;
	rv = rv == DR_OK ? take_sync(&s->next, m->next, false, e) : rv;
	rv = rv == DR_OK ? take_sync(&s->since, m->since, true, e) : rv;
	if (rv == DR_OK)
		rv = take_plan(&s->plan, m->plan, e);
	if (rv == DR_OK)
		rv = take_part(&s->part, m->part, e);
	for (size_t i = 0; rv == DR_OK && i < m->n_member; i++)
		rv = take_member(s, m->member[i], e);
	return rv;
}

struct whole {
	Drcoord__Pb__Snapshot m;
	Drcoord__Pb__Timing timing;
	Drcoord__Pb__Limits limits;
	uint64_t move[DR_MOVES_KEPT];
	Drcoord__Pb__Site site[DR_SITES_MAX], *site_ptr[DR_SITES_MAX];
	Drcoord__Pb__Coordinator coordinator[DR_COORDINATORS_MAX], *coordinator_ptr[DR_COORDINATORS_MAX];
	Drcoord__Pb__Address coordinator_at[DR_COORDINATORS_MAX];
	Drcoord__Pb__RequestDone request[DR_REQUESTS_KEPT], *request_ptr[DR_REQUESTS_KEPT];
	Drcoord__Pb__SitePlan site_plan[DR_SITE_PLANS_KEPT], *site_plan_ptr[DR_SITE_PLANS_KEPT];
	Drcoord__Pb__SiteStep step[DR_SITE_PLANS_KEPT][DR_RUNBOOK_MAX], *step_ptr[DR_SITE_PLANS_KEPT][DR_RUNBOOK_MAX];
	struct dr_pb_runbook runbook;
	Drcoord__Pb__Event *event, **event_ptr;
	struct service_tree *service;
	Drcoord__Pb__ServiceState **service_ptr;
};

static void put_cluster(struct whole *w, const struct dr_repl *r)
{
	for (uint32_t i = 0; i < r->sites && i < DR_SITES_MAX; i++) {
		drcoord__pb__site__init(&w->site[i]);
		w->site[i].name = dr_pb_str(r->site[i].name.s);
		w->site[i].region = dr_pb_str(r->site[i].region.s);
		w->site_ptr[w->m.n_site++] = &w->site[i];
	}
	for (uint32_t i = 0; i < r->coordinators && i < DR_COORDINATORS_MAX; i++) {
		const struct dr_coordinator *c = &r->coordinator[i];
		if (c->name.s[0] == '\0')
			continue;
		size_t n = w->m.n_coordinator++;
		drcoord__pb__coordinator__init(&w->coordinator[n]);
		dr_pb_address_put(&w->coordinator_at[n], &c->address);
		w->coordinator[n].name = dr_pb_str(c->name.s);
		w->coordinator[n].site = dr_pb_str(c->site.s);
		w->coordinator[n].address = &w->coordinator_at[n];
		w->coordinator[n].id = c->id;
		w->coordinator[n].place = i + 1;
		w->coordinator[n].stored = c->stored;
		w->coordinator_ptr[n] = &w->coordinator[n];
	}
	for (uint32_t i = 0; i < DR_REQUESTS_KEPT; i++) {
		drcoord__pb__request_done__init(&w->request[i]);
		w->request[i].request = r->request[i].request;
		w->request[i].refused = (uint32_t)r->request[i].refused;
		w->request[i].a = r->request[i].a;
		w->request_ptr[w->m.n_request++] = &w->request[i];
	}
}

static void put_events(struct whole *w, const struct dr_repl *r)
{
	uint64_t first = r->event_last > DR_EVENTS_KEPT ? r->event_last - DR_EVENTS_KEPT + 1 : 1;
	size_t room = r->event_last >= first ? (size_t)(r->event_last - first + 1) : 0;
	w->event = dr_xcalloc(room * sizeof(*w->event));
	w->event_ptr = dr_xcalloc(room * sizeof(Drcoord__Pb__Event *));
	w->m.event = w->event_ptr;
	for (size_t i = 0; i < room; i++) {
		const struct dr_event_record *e = dr_repl_event(r, first + i);
		if (e == NULL)
			continue;
		size_t n = w->m.n_event++;
		dr_pb_event_put(&w->event[n], e);
		w->event_ptr[n] = &w->event[n];
	}
}

static void put_services(struct whole *w, const struct dr_repl *r)
{
	w->service = dr_xcalloc((size_t)r->services * sizeof(*w->service));
	w->service_ptr = dr_xcalloc((size_t)r->services * sizeof(Drcoord__Pb__ServiceState *));
	w->m.service = w->service_ptr;
	for (uint32_t i = 0; i < r->services; i++) {
		if (!r->service[i].used)
			continue;
		put_service(&w->service[i], &r->service[i], i);
		w->service_ptr[w->m.n_service++] = &w->service[i].m;
	}
}

static void put_site_steps(struct whole *w, const struct dr_site_plan *p, uint32_t i)
{
	Drcoord__Pb__SitePlan *m = &w->site_plan[i];
	m->step = w->step_ptr[i];
	for (uint32_t k = 0; k < p->steps && k < DR_RUNBOOK_MAX; k++) {
		Drcoord__Pb__SiteStep *s = &w->step[i][k];
		drcoord__pb__site_step__init(s);
		s->name = dr_pb_str(p->step[k].name.s);
		s->due = p->step[k].due;
		s->state = (uint32_t)p->step[k].state;
		s->why = (uint32_t)p->step[k].why;
		w->step_ptr[i][m->n_step++] = s;
	}
	m->running = p->running;
	m->asks = p->asks;
	m->undoing = p->undoing;
}

static void put_site_plans(struct whole *w, const struct dr_repl *r)
{
	dr_pb_runbook_put(&w->runbook, r->runbook);
	w->m.runbook = w->runbook.ptr;
	w->m.n_runbook = w->runbook.n;
	w->m.site_plan = w->site_plan_ptr;
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		const struct dr_site_plan *p = &r->site_plan[i];
		Drcoord__Pb__SitePlan *m = &w->site_plan[i];
		if (p->id == 0)
			continue;
		drcoord__pb__site_plan__init(m);
		m->id = p->id;
		m->kind = (uint32_t)p->kind;
		m->open = p->open;
		m->site = dr_pb_str(p->site.s);
		m->group = p->group;
		m->pending = p->pending;
		m->services = p->services;
		m->done = p->done;
		m->left = p->left;
		m->force = p->force;
		m->accept_loss = p->accept_loss;
		m->assert_fenced = p->assert_fenced;
		m->reason = (uint32_t)p->reason;
		m->actor = dr_pb_str(p->actor.s);
		m->text = dr_pb_str(p->text);
		m->opened_wall_ms = p->opened_wall_ms;
		m->closed_wall_ms = p->closed_wall_ms;
		m->until_wall_ms = p->until_wall_ms;
		m->place = i + 1;
		put_site_steps(w, p, i);
		w->site_plan_ptr[w->m.n_site_plan++] = m;
	}
}

static enum dr_err take_site_steps(struct dr_site_plan *p, const Drcoord__Pb__SitePlan *m, struct dr_error *e)
{
	if (m->n_step > DR_RUNBOOK_MAX || m->running > m->n_step)
		return dr_fail(e, DR_E_CORRUPT, "a site plan with too many steps");
	for (size_t i = 0; i < m->n_step; i++) {
		struct dr_site_step *s = &p->step[p->steps++];
		if (m->step[i]->state >= DR_SITE_STEP_STATES)
			return dr_fail(e, DR_E_CORRUPT, "a site plan's step in no known state");
		*s = (struct dr_site_step){ .due = m->step[i]->due, .state = (enum dr_site_step_state)m->step[i]->state,
					    .why = (enum dr_reason)m->step[i]->why };
		enum dr_err rv = dr_pb_name(&s->name, m->step[i]->name, "site_plan.step", e);
		if (rv != DR_OK)
			return rv;
	}
	p->running = m->running;
	p->asks = m->asks;
	p->undoing = m->undoing;
	return DR_OK;
}

static enum dr_err take_site_plan(struct dr_repl *r, const Drcoord__Pb__SitePlan *m, struct dr_error *e)
{
	if (m->place == 0 || m->place > DR_SITE_PLANS_KEPT || m->id == 0)
		return dr_fail(e, DR_E_CORRUPT, "a site plan without a place or a number");
	struct dr_site_plan *p = &r->site_plan[m->place - 1];
	*p = (struct dr_site_plan){ .id = m->id, .kind = (enum dr_plan_kind)m->kind, .open = m->open, .group = m->group,
				    .pending = m->pending, .services = m->services, .done = m->done, .left = m->left,
				    .force = m->force, .accept_loss = m->accept_loss, .assert_fenced = m->assert_fenced,
				    .reason = (enum dr_reason)m->reason, .opened_wall_ms = m->opened_wall_ms,
				    .closed_wall_ms = m->closed_wall_ms, .until_wall_ms = m->until_wall_ms };
	dr_pb_text(p->text, sizeof(p->text), m->text);
	enum dr_err rv = dr_pb_name(&p->site, m->site, "site_plan.site", e);
	if (rv == DR_OK)
		rv = take_site_steps(p, m, e);
	return rv == DR_OK ? dr_pb_name(&p->actor, m->actor, "site_plan.actor", e) : rv;
}

static void put_moves(struct whole *w, const struct dr_repl *r)
{
	dr_pb_limits_put(&w->limits, &r->limits);
	w->m.limits = &w->limits;
	w->m.move_wall_ms = w->move;
	for (uint32_t i = 0; i < DR_MOVES_KEPT; i++) {
		uint64_t at = r->move_wall_ms[(r->moves_next + i) % DR_MOVES_KEPT];
		if (at != 0)
			w->move[w->m.n_move_wall_ms++] = at;
	}
}

static void take_moves(struct dr_repl *r, const Drcoord__Pb__Snapshot *m)
{
	dr_pb_limits_take(&r->limits, m->limits);
	for (size_t i = 0; i < m->n_move_wall_ms; i++)
		r->move_wall_ms[r->moves_next++ % DR_MOVES_KEPT] = m->move_wall_ms[i];
	r->moves_next %= DR_MOVES_KEPT;
}

void dr_snapshot_encode(struct dr_buf *out, const struct dr_repl *r, const uint8_t ledger_head[32])
{
	struct whole *w = dr_xcalloc(sizeof(*w));
	drcoord__pb__snapshot__init(&w->m);
	w->m.applied = r->applied;
	w->m.cluster = dr_pb_str(r->cluster.s);
	w->m.spec_version = r->spec_version;
	dr_pb_timing_put(&w->timing, &r->timing);
	w->m.timing = &w->timing;
	w->m.ttl_longest_ms = r->ttl_longest_ms;
	put_moves(w, r);
	w->m.site = w->site_ptr;
	w->m.coordinator = w->coordinator_ptr;
	w->m.plan_last = r->plan_last;
	w->m.event_last = r->event_last;
	w->m.requests_next = r->requests_next;
	w->m.request = w->request_ptr;
	w->m.ledger_head.data = (uint8_t *)(uintptr_t)ledger_head;
	w->m.ledger_head.len = 32;
	put_cluster(w, r);
	put_site_plans(w, r);
	put_events(w, r);
	put_services(w, r);
	dr_pb_pack(out, &w->m.base);
	dr_free(w->event);
	dr_free(w->event_ptr);
	dr_free(w->service);
	dr_free(w->service_ptr);
	dr_free(w);
}

static enum dr_err take_cluster(struct dr_repl *r, const Drcoord__Pb__Snapshot *m, struct dr_error *e)
{
	enum dr_err rv = dr_pb_name(&r->cluster, m->cluster, "cluster", e);
	for (size_t i = 0; rv == DR_OK && i < m->n_site && i < DR_SITES_MAX; i++) {
		rv = dr_pb_name(&r->site[i].name, m->site[i]->name, "site.name", e);
		if (rv == DR_OK)
			rv = dr_pb_name(&r->site[i].region, m->site[i]->region, "site.region", e);
		r->sites++;
	}
	for (size_t i = 0; rv == DR_OK && i < m->n_coordinator; i++) {
		const Drcoord__Pb__Coordinator *x = m->coordinator[i];
		if (x->place == 0 || x->place > DR_COORDINATORS_MAX || x->name[0] == '\0')
			return dr_fail(e, DR_E_CORRUPT, "a coordinator without a place or a name");
		struct dr_coordinator *c = &r->coordinator[x->place - 1];
		if (r->coordinators < x->place)
			r->coordinators = x->place;
		c->id = x->id;
		c->stored = x->stored != 0;
		dr_pb_address_take(&c->address, x->address);
		rv = dr_pb_name(&c->name, x->name, "coordinator.name", e);
		if (rv == DR_OK)
			rv = dr_pb_name(&c->site, x->site, "coordinator.site", e);
	}
	for (size_t i = 0; i < m->n_request && i < DR_REQUESTS_KEPT; i++)
		r->request[i] = (struct dr_request_done){ .request = m->request[i]->request,
							  .refused = (enum dr_reason)m->request[i]->refused,
							  .a = m->request[i]->a };
	return rv;
}

static enum dr_err take_all(struct dr_repl *r, const Drcoord__Pb__Snapshot *m, struct dr_error *e)
{
	r->applied = m->applied;
	r->spec_version = m->spec_version;
	if (m->timing != NULL && m->timing->ttl_ms != 0)
		dr_pb_timing_take(&r->timing, m->timing);
	r->ttl_longest_ms = m->ttl_longest_ms;
	take_moves(r, m);
	r->plan_last = m->plan_last;
	r->event_last = m->event_last;
	r->requests_next = m->requests_next;
	enum dr_err rv = take_cluster(r, m, e);
	if (rv == DR_OK)
		rv = dr_pb_runbook_take(r->runbook, m->runbook, m->n_runbook, e);
	for (size_t i = 0; rv == DR_OK && i < m->n_site_plan; i++)
		rv = take_site_plan(r, m->site_plan[i], e);
	for (size_t i = 0; rv == DR_OK && i < m->n_event; i++)
		rv = dr_pb_event_take(&r->event[m->event[i]->index % DR_EVENTS_KEPT], m->event[i], e);
	for (size_t i = 0; rv == DR_OK && i < m->n_service; i++)
		rv = take_service(r, m->service[i], e);
	dr_repl_index(r);
	return rv;
}

enum dr_err dr_snapshot_decode(struct dr_repl *r, uint8_t ledger_head[32], const uint8_t *p, size_t n,
			       struct dr_error *e)
{
	struct dr_pb_budget b;
	Drcoord__Pb__Snapshot *m = dr_pb_unpack(&drcoord__pb__snapshot__descriptor, p, n, &b);
	if (m == NULL)
		return dr_fail(e, DR_E_CORRUPT, "the snapshot does not decode");
	enum dr_err rv = DR_OK;
	if (m->ledger_head.len == 32)
		memcpy(ledger_head, m->ledger_head.data, 32);
	else
		rv = dr_fail(e, DR_E_CORRUPT, "the snapshot has no ledger head");
	if (rv == DR_OK && !dr_pb_knows_all(&m->base))
		rv = dr_fail(e, DR_E_CORRUPT, "the snapshot has fields unknown to this build: run the version that wrote it");
	if (rv == DR_OK)
		rv = take_all(r, m, e);
	dr_pb_free(m, &b);
	return rv == DR_OK ? DR_OK : DR_E_CORRUPT;
}
