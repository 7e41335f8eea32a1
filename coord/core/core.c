/* core.c -- the door: one event in, one decision out (core.h). */
#include "coord/core/core.h"

#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "coord/core/think.h"

enum {
	PROPOSAL_LOST_MS = 5000, /* a proposal whose end never came back is forgotten after this */
	AGAIN_MS = 50,           /* one that failed is made again after this */
	ROUTE_AGAIN_MS = 10000   /* a route that may hold clients is looked at again after this */
};

void dr_core_init(struct dr_core *c, const struct dr_name *self, uint64_t now_ms)
{
	c->self = *self;
	dr_repl_init(&c->repl);
	c->view.now_ms = now_ms;
	/* What this log held before the start may have been received just now (design.md 4.3). */
	c->view.tick_received_ms = DR_MUTANT(RESTART_FORGETS) ? 0 : now_ms;
}

void dr_wake_at(struct dr_decision *out, uint64_t at_ms)
{
	/* What is due was just looked at; being woken for it again would only spin. */
	if (at_ms > out->now_ms && (out->wake_at_ms == 0 || at_ms < out->wake_at_ms))
		out->wake_at_ms = at_ms;
}

struct dr_cmd dr_cmd_for(const struct dr_think *t, enum dr_cmd_kind kind)
{
	return (struct dr_cmd){ .kind = kind, .service = t->ix, .epoch = t->s->epoch, .member = DR_MEMBER_NONE,
				.target = DR_MEMBER_NONE, .wall_ms = t->c->view.wall_ms };
}

static bool takes_epoch(enum dr_cmd_kind k)
{
	return k == DR_CMD_DECLARE || k == DR_CMD_CLAIM || k == DR_CMD_CHOOSE || k == DR_CMD_RECOVER;
}

bool dr_propose(struct dr_think *t, const struct dr_cmd *cmd)
{
	if (t->proposed || t->v->proposing != 0 || t->out->proposals >= DR_PROPOSE_MAX)
		return false;
	struct dr_proposal *p = &t->out->propose[t->out->proposals++];
	p->tag = ++t->c->view.tag_last;
	p->cmd = *cmd;
	t->v->proposing = p->tag;
	t->c->view.asked[p->tag % DR_TAGS_KEPT].tag = p->tag;
	t->c->view.asked[p->tag % DR_TAGS_KEPT].service = t->ix;
	t->v->declaring = takes_epoch(cmd->kind);
	t->v->proposing_since_ms = t->c->view.now_ms;
	t->proposed = true;
	return true;
}

/* After a crash it was restarted in place not long ago: once more would only repeat that. */
static bool crashes_again(const struct dr_think *t, uint64_t *ago_ms)
{
	uint64_t last = t->s->last_restart_wall_ms, now = t->c->view.wall_ms;
	/* A stamp from a clock that was ahead says nothing. */
	if (last == 0 || last > now || now - last >= t->s->spec.cooldown_ms)
		return false;
	*ago_ms = now - last;
	return true;
}

/* Whether what is wrong may be mended now.  During the cooldown, and while the limits allow no move, nothing moves, but
 * what an own plan stopped is brought back, and a server that is down on a host that is well is restarted where it is,
 * once.  So is, whenever and however often, one that was stopped only because nobody granted (*ungranted): that was our
 * failure, and moving it would be another outage. */
static enum dr_reason automatic_plan(const struct dr_think *t, enum dr_reason why, bool ungranted, bool *in_place)
{
	uint64_t a = 0;
	enum dr_reason blocked = dr_core_blocked(t->c, t->ix, &a);
	bool restart = why == DR_REASON_SERVER_FAILED && t->s->spec.restart_within_ms > 0;
	bool stays = dr_reason_stays(blocked);
	bool whole = t->s->spec.durability != DR_DURABILITY_SYNC && dr_kind_keeps_place(t->s->spec.kind);
	*in_place = restart && (whole || stays || ungranted);
	if (blocked == DR_REASON_MOVES_LIMITED && !dr_reason_moves(why))
		return DR_REASON_NONE;
	if (stays && (why == DR_REASON_NO_PRIMARY || (restart && (ungranted || !crashes_again(t, &a)))))
		return DR_REASON_NONE;
	return blocked;
}

/* With nobody to choose from a plan would only take the epoch away from a primary that may go on by promises.  And
 * whoever heard nobody, and now the first of them, may hear the primary in a moment. */
static bool nobody_to_choose(const struct dr_think *t)
{
	unsigned heard = 0;
	if (dr_others(t, &heard) == 0)
		return false;
	uint64_t from = t->v->others_ms + t->c->repl.timing.detect_after_ms;
	if (heard > 0 && t->c->view.now_ms >= from)
		return false;
	dr_wake_at(t->out, from);
	return true;
}

static bool can_be_asked(const struct dr_think *t, dr_member_ix m)
{
	return dr_heard_age(t->c, t->ix, m) <= t->c->repl.timing.detect_after_ms;
}

/* Under sync nobody is chosen before so many of the set have said how far they are, or the primary itself, which is the
 * furthest: else a person would have to be asked whether to lose what is missing. */
static bool positions_to_come(const struct dr_think *t)
{
	const struct dr_sync *sync = &t->s->sync;
	uint32_t heard = 0;
	if (t->s->spec.durability != DR_DURABILITY_SYNC || sync->set == 0 || can_be_asked(t, t->s->holder))
		return true;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++)
		heard += dr_set_has(sync->set, m) && can_be_asked(t, m) ? 1u : 0u;
	return heard >= dr_sync_positions_needed(sync);
}

/* A primary that fails and yet runs may still serve readers: it is not stopped for nobody, nor for a question. */
static bool has_successor(const struct dr_think *t)
{
	uint64_t a = 0;
	if (!positions_to_come(t))
		return false;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (m != t->s->holder && dr_core_candidate(t->c, t->ix, m, &a) == DR_REASON_NONE)
			return true;
	}
	return false;
}

bool dr_incident_plan(struct dr_think *t, struct dr_cmd *cmd)
{
	uint64_t a = 0;
	bool in_place = false;
	enum dr_reason why = dr_incident(t, &a);
	bool may_restart = why == DR_REASON_SERVER_FAILED && t->s->spec.restart_within_ms > 0;
	enum dr_fenced_itself fenced = may_restart ? dr_fenced_itself(t) : DR_FENCED_NOT;
	bool ungranted = fenced == DR_FENCED_ITSELF;
	if (why == DR_REASON_NONE || automatic_plan(t, why, ungranted, &in_place) != DR_REASON_NONE)
		return false;
	/* What it is called decides what its next crash is called, too: a moment's patience, also where it is restarted. */
	if (fenced == DR_FENCED_UNCLEAR)
		return false;
	bool fails = dr_failure_of(why) != DR_FAILURE_NONE;
	bool crash = why == DR_REASON_SERVER_FAILED && !ungranted;
	if ((why == DR_REASON_MEMBER_LOST || fails) && nobody_to_choose(t))
		return false;
	if (fails && !has_successor(t))
		return false;
	*cmd = dr_cmd_for(t, DR_CMD_PLAN_OPEN);
	cmd->plan_kind = DR_PLAN_FAILOVER;
	cmd->reason = why;
	cmd->a = a;
	if (why == DR_REASON_NO_PRIMARY) {
		cmd->reason = DR_REASON_UNDO;
		cmd->member = t->s->last_holder;
	} else if (crash && has_successor(t) && crashes_again(t, &cmd->a)) {
		cmd->reason = DR_REASON_CRASH_LOOP; /* under sync, too, where it would be moved in any case */
	} else if (in_place) {
		cmd->reason = ungranted ? DR_REASON_UNGRANTED : DR_REASON_RESTART;
		cmd->member = t->s->holder;
	}
	return true;
}

/* No plan is open: is something wrong with the holder that only a plan can mend? */
static void incident_think(struct dr_think *t)
{
	struct dr_cmd cmd;
	if (t->s->managed && !t->proposed && dr_incident_plan(t, &cmd) && dr_site_incident(t, &cmd))
		(void)dr_propose(t, &cmd);
}

/* Members of a service that is only observed are left alone. */
static void release_think(struct dr_think *t)
{
	if (t->s->managed || t->s->plan.id != 0)
		return;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX && !t->proposed; m++) {
		if (t->s->spec.member[m].name.s[0] == '\0' || !dr_heard(t, m) || !t->v->member[m].report.managed)
			continue;
		struct dr_order_core o = { .kind = DR_ORDER_RELEASED, .target = DR_MEMBER_NONE };
		(void)dr_order_want(t, NULL, m, o);
	}
}

/* An order that no longer serves anything (its plan is gone) is not sent any more. */
bool dr_order_is_current(const struct dr_service *s, const struct dr_order_core *o)
{
	if (o->number == 0 || o->epoch != s->epoch)
		return false;
	if (o->plan == 0 || o->plan == s->plan.id)
		return true;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (s->rejoin[m].id == o->plan)
			return true;
	}
	return o->kind == DR_ORDER_FOLLOWING || o->kind == DR_ORDER_SYNC_SET;
}

static void want_orders(const struct dr_think *t)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX && t->out->orders < DR_ORDERS_MAX; m++) {
		if (t->s->spec.member[m].name.s[0] == '\0')
			continue;
		struct dr_order_wanted *w = &t->out->order[t->out->orders++];
		uint64_t look_ms = t->v->member[m].look_ms;
		*w = (struct dr_order_wanted){ .service = t->ix, .member = m,
					       .look = look_ms != 0 && look_ms == t->c->view.now_ms };
		if (t->c->view.leading && !t->c->view.recovering &&
		    dr_order_is_current(t->s, &t->s->member[m].order))
			w->core = t->s->member[m].order;
	}
}

/* Those of its places that this coordinator is to bring there. */
static uint32_t dr_route_mine(const struct dr_core *c, const struct dr_spec_route *r)
{
	uint32_t mine = 0;
	if (!dr_route_is_local(r))
		return c->view.leading ? dr_route_all(r) : 0;
	for (uint32_t i = 0; i < dr_route_places(r); i++)
		mine |= dr_name_eq(&r->on[i], &c->self) ? 1u << i : 0;
	return mine;
}

/* What holds clients is looked at now and then: a packet of a deposed leader may hold them after the newer one let go. */
static bool look_again(const struct dr_think *t, uint32_t route)
{
	uint64_t at = t->v->route_seen_ms[route];
	if (!t->c->view.leading)
		return false;
	if (at >= t->c->view.led_since_ms && t->c->view.now_ms < at + ROUTE_AGAIN_MS) {
		dr_wake_at(t->out, at + ROUTE_AGAIN_MS);
		return false;
	}
	return true;
}

static void want_routes(const struct dr_think *t)
{
	const struct dr_service *s = t->s;
	for (uint32_t i = 0; i < DR_ROUTES_MAX && t->out->routes < DR_ROUTES_WANTED_MAX; i++) {
		if (s->spec.route[i].kind == DR_ROUTE_NONE)
			continue;
		uint32_t left = dr_route_mine(t->c, &s->spec.route[i]);
		bool held = dr_route_holds(&s->spec.route[i]) && t->c->view.leading && dr_plan_holds_clients(&s->plan);
		if (s->route_epoch[i] == s->epoch)
			left &= ~s->route_servers[i];
		bool ready = !t->c->view.recovering && s->managed && s->holder != DR_MEMBER_NONE &&
			     s->primary_epoch == s->epoch;
		bool again = dr_route_holds(&s->spec.route[i]) && look_again(t, i) && !DR_MUTANT(HOLD_NOT_UNDONE);
		t->out->route[t->out->routes++] = (struct dr_route_wanted){
			.service = t->ix, .route = i, .wanted = held || (ready && (left != 0 || again)), .hold = held,
			.epoch = s->epoch, .holder = held ? s->plan.old : s->holder };
	}
}

static void think(struct dr_think *t)
{
	dr_member_orders_think(t);
	bool planned = !t->proposed && dr_plan_think(t);
	if (!t->proposed)
		dr_follow_think(t);
	bool held = !t->proposed && dr_site_think(t);
	if (!t->proposed && !planned && !held && t->s->plan.id == 0)
		incident_think(t);
	if (!t->proposed)
		dr_identity_think(t);
	if (!t->proposed)
		dr_sync_think(t);
	if (!t->proposed)
		dr_list_think(t);
	if (!t->proposed)
		dr_rejoin_think(t);
	if (!t->proposed)
		release_think(t);
	if (!t->proposed)
		dr_site_gather(t);
}

static void look(struct dr_core *c, uint32_t ix, struct dr_decision *out)
{
	struct dr_think t = { .c = c, .ix = ix, .s = &c->repl.service[ix], .v = &c->view.service[ix], .out = out };
	if (!t.s->used)
		return;
	if (t.v->proposing != 0 && c->view.now_ms - t.v->proposing_since_ms > PROPOSAL_LOST_MS)
		t.v->proposing = 0;
	if (c->view.leading && !c->view.recovering && t.v->proposing == 0)
		think(&t);
	want_orders(&t);
	want_routes(&t);
}

static void role(struct dr_core *c, const struct dr_core_event *ev)
{
	struct dr_core_view *v = &c->view;
	v->leading = ev->leading;
	v->term = ev->term;
	v->led_since_ms = ev->now_ms;
	dr_lease_role(c, ev->leading);
	memset(v->site_step, 0, sizeof(v->site_step));
	for (uint32_t i = 0; i < c->repl.services; i++) {
		struct dr_service_view *s = &v->service[i];
		s->proposing = 0;
		s->declaring = false;
		/* Since when something holds, or a step goes on, is counted from now: nobody looked in between. */
		s->step_plan = s->part_plan = s->few_ms = 0;
		memset(s->rejoin_plan, 0, sizeof(s->rejoin_plan));
		for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++)
			s->member[m].sync_bad_ms = s->member[m].away_ms = s->member[m].order_since = 0;
	}
	dr_look_at_all(c);
}

/* A site plan has come to another group: its services are not those that the entry names. */
static bool has_turned(const struct dr_repl *r, uint64_t events)
{
	for (uint64_t i = events + 1; i <= r->event_last; i++) {
		const struct dr_event_record *e = dr_repl_event(r, i);
		if (e != NULL && (e->kind == DR_EVENT_SITE_GROUP || e->kind == DR_EVENT_SITE_CLOSED))
			return true;
	}
	return false;
}

static void committed(struct dr_core *c, const struct dr_core_event *ev)
{
	dr_assert(ev->cmd != NULL);
	uint32_t ix = ev->cmd->service < DR_SERVICES_MAX ? ev->cmd->service : 0;
	dr_member_ix before = c->repl.service[ix].holder;
	uint64_t events = c->repl.event_last;
	dr_repl_apply(&c->repl, ev->index, ev->cmd);
	if (ev->cmd->kind == DR_CMD_SPEC)
		dr_view_of_others(c);
	if (c->repl.service[ix].holder != before)
		c->view.service[ix].holder_ms = ev->now_ms;
	if (ev->cmd->kind == DR_CMD_SPEC || ev->cmd->kind == DR_CMD_COORDINATOR || has_turned(&c->repl, events))
		dr_look_at_all(c);
	else if (ev->cmd->service != DR_SERVICE_NONE)
		dr_look_at(c, ev->cmd->service);
}

static void later(struct dr_core *c, uint32_t service, uint64_t at_ms, struct dr_decision *out)
{
	dr_look_later(c, service, at_ms);
	dr_wake_at(out, at_ms);
}

/* The service that waits for the proposal to end; DR_SERVICE_NONE: none does. */
static uint32_t whose(const struct dr_core *c, uint64_t tag)
{
	const struct dr_core_view *v = &c->view;
	uint64_t newest = v->asked[tag % DR_TAGS_KEPT].tag;
	uint32_t service = v->asked[tag % DR_TAGS_KEPT].service;
	if (newest < tag)
		return DR_SERVICE_NONE;
	if (newest == tag)
		return v->service[service].proposing == tag ? service : DR_SERVICE_NONE;
	/* So many came since that its place was taken. */
	for (uint32_t i = 0; i < c->repl.services; i++) {
		if (v->service[i].proposing == tag)
			return i;
	}
	return DR_SERVICE_NONE;
}

static void proposed(struct dr_core *c, const struct dr_core_event *ev, struct dr_decision *out)
{
	if (ev->tag == 0) /* no proposal of the core's: it answers nothing, least of all a renewal */
		return;
	if (ev->tag == c->view.tick_tag) {
		dr_lease_tick_ended(c, ev->outcome, out);
		return;
	}
	uint32_t ix = whose(c, ev->tag);
	if (ix == DR_SERVICE_NONE)
		return;
	c->view.service[ix].proposing = 0;
	c->view.service[ix].declaring = false;
	/* Looked at now: the entry was applied, or it failed and may be proposed again. */
	if (ev->outcome == DR_OK)
		dr_look_at(c, ix);
	else
		later(c, ix, ev->now_ms + AGAIN_MS, out);
}

static void note_others(struct dr_core *c, uint32_t ix, dr_member_ix from)
{
	const struct dr_service *s = &c->repl.service[ix];
	struct dr_service_view *v = &c->view.service[ix];
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (m != s->holder && s->spec.member[m].name.s[0] != '\0' &&
		    dr_heard_age(c, ix, m) <= c->repl.timing.detect_after_ms)
			return;
	}
	if (from != s->holder)
		v->others_ms = c->view.now_ms;
}

static void take_report(struct dr_core *c, const struct dr_core_event *ev)
{
	const struct dr_report *rep = ev->report;
	uint32_t ix = dr_repl_service_find(&c->repl, rep->service.s);
	if (ix == DR_SERVICE_NONE)
		return;
	const struct dr_service *s = &c->repl.service[ix];
	dr_member_ix m = dr_service_member_find(s, rep->member.s);
	if (m == DR_MEMBER_NONE)
		return;
	struct dr_service_view *v = &c->view.service[ix];
	note_others(c, ix, m);
	bool behind = rep->epoch < s->epoch && v->member[m].report.epoch < s->epoch;
	v->member[m].behind_ms = behind ? v->member[m].report_ms : 0;
	v->member[m].report = *rep;
	v->member[m].report_ms = ev->now_ms;
	if (rep->last.number != 0 && rep->last.number >= v->member[m].result.number) {
		v->member[m].result = rep->last;
		v->member[m].result_ms = ev->now_ms;
	}
	if (m == s->holder && rep->server == DR_SERVER_PRIMARY && rep->epoch == s->epoch) {
		v->primary_position = rep->received;
		v->primary_position_ms = ev->now_ms;
	}
	dr_note_forgotten(c, ix, m);
	dr_note_fenced(c, ix, m);
	dr_look_at(c, ix);
}

static void take_result(struct dr_core *c, const struct dr_core_event *ev)
{
	uint32_t ix = dr_repl_service_find(&c->repl, ev->service.s);
	if (ix == DR_SERVICE_NONE)
		return;
	dr_member_ix m = dr_service_member_find(&c->repl.service[ix], ev->member.s);
	if (m == DR_MEMBER_NONE)
		return;
	struct dr_member_view *mv = &c->view.service[ix].member[m];
	if (ev->result->number < mv->result.number)
		return;
	mv->result = *ev->result;
	mv->result_ms = ev->now_ms;
	dr_look_at(c, ix);
}

/* Where services are many, a member that is as well as it was is looked at in its turn. */
static bool is_news(const struct dr_core *c, const struct dr_seen_by *was, const struct dr_observation *o)
{
	uint32_t late = 2 * c->repl.timing.probe_ms;
	uint32_t age = o->agent_age_ms < o->server_age_ms ? o->agent_age_ms : o->server_age_ms;
	uint32_t age_was = was->o.agent_age_ms < was->o.server_age_ms ? was->o.agent_age_ms : was->o.server_age_ms;
	return c->repl.services <= DR_LOOKS_MAX || was->at_ms == 0 || age > late || age_was > late ||
	       o->failure != was->o.failure || o->in_recovery != was->o.in_recovery;
}

static void observed(struct dr_core *c, const struct dr_core_event *ev)
{
	uint32_t by = DR_COORDINATORS_MAX;
	for (uint32_t i = 0; i < c->repl.coordinators; i++) {
		if (dr_name_eq(&c->repl.coordinator[i].name, &ev->observer))
			by = i;
	}
	if (by == DR_COORDINATORS_MAX || ev->observer.s[0] == '\0')
		return;
	c->view.heard_ms[by] = ev->now_ms;
	for (uint32_t i = 0; i < ev->observations; i++) {
		const struct dr_observation *o = &ev->observation[i];
		if (o->service >= c->repl.services || o->member >= DR_MEMBERS_MAX)
			continue;
		struct dr_seen_by *at = &c->view.service[o->service].member[o->member].by[by];
		if (is_news(c, at, o))
			dr_look_at(c, o->service);
		at->at_ms = ev->now_ms;
		at->o = *o;
	}
}

static void routed(struct dr_core *c, const struct dr_core_event *ev, struct dr_decision *out)
{
	uint32_t ix = dr_repl_service_find(&c->repl, ev->service.s);
	if (ix == DR_SERVICE_NONE || ev->route >= DR_ROUTES_MAX || !c->view.leading ||
	    c->view.recovering)
		return;
	const struct dr_service *s = &c->repl.service[ix];
	const struct dr_spec_route *r = &s->spec.route[ev->route];
	bool held = dr_route_holds(r) && dr_plan_holds_clients(&s->plan);
	uint32_t known = s->route_epoch[ev->route] == ev->epoch ? s->route_servers[ev->route] : 0;
	uint32_t servers = dr_route_is_local(r) ? known | ev->servers : ev->servers;
	if (ev->epoch != s->epoch || ev->hold != held)
		return;
	c->view.service[ix].route_seen_ms[ev->route] = ev->now_ms;
	if (held) {
		c->view.service[ix].route_held[ev->route] = ev->servers;
		c->view.service[ix].route_held_plan[ev->route] = s->plan.id;
	}
	dr_look_at(c, ix);
	if (held || out->proposals >= DR_PROPOSE_MAX ||
	    (s->route_epoch[ev->route] == ev->epoch && s->route_servers[ev->route] == servers))
		return;
	struct dr_proposal *p = &out->propose[out->proposals++];
	*p = (struct dr_proposal){ .tag = ++c->view.tag_last };
	p->cmd = (struct dr_cmd){ .kind = DR_CMD_ROUTED, .service = ix, .epoch = ev->epoch, .route = ev->route,
				  .servers = servers, .wall_ms = ev->wall_ms, .member = DR_MEMBER_NONE,
				  .target = DR_MEMBER_NONE };
	for (size_t i = 0; ev->text != NULL && ev->text[i] != '\0' && i + 1 < sizeof(p->cmd.text); i++)
		p->cmd.text[i] = ev->text[i];
}

static void take_in(struct dr_core *c, const struct dr_core_event *ev, struct dr_decision *out)
{
	switch (ev->kind) {
	case DR_EV_TICK:
		dr_look_tick(c);
		dr_lease_tick_wanted(c, out);
		dr_lease_ttl_think(c, out);
		break;
	case DR_EV_COMMITTED: committed(c, ev); break;
	case DR_EV_APPENDED: dr_lease_appended(c); break;
	case DR_EV_ROLE: role(c, ev); break;
	case DR_EV_PROPOSED: proposed(c, ev, out); break;
	case DR_EV_REPORT: take_report(c, ev); break;
	case DR_EV_RESULT: take_result(c, ev); break;
	case DR_EV_RENEW: dr_lease_renew(c, ev, out); break;
	case DR_EV_OBSERVED: observed(c, ev); break;
	case DR_EV_ROUTE: routed(c, ev, out); break;
	case DR_EV_SITE_STEP: dr_runbook_told(c, ev, out); break;
	case DR_EV_REQUEST: dr_request_think(c, ev, out); break;
	case DR_EV_RESTORED:
		dr_lease_appended(c); /* the snapshot may stand for a tick received just now */
		dr_view_of_others(c);
		dr_look_at_all(c);
		break;
	}
}

void dr_core_step(struct dr_core *c, const struct dr_core_event *ev, struct dr_decision *out)
{
	dr_assert(ev->now_ms >= c->view.now_ms);
	c->view.now_ms = ev->now_ms;
	c->view.wall_ms = ev->wall_ms;
	out->proposals = out->orders = out->grants = out->routes = 0;
	out->answer = (struct dr_answer){ 0 };
	out->wake_at_ms = 0;
	out->now_ms = ev->now_ms;
	take_in(c, ev, out);
	dr_look_do(c, ev, out, look);
	dr_runbook_think(c, out);
	if (ev->kind == DR_EV_TICK)
		dr_look_wake(c, out);
}
