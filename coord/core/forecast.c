/* forecast.c -- see forecast.h: the planner on a copy of one service, and a world around it in which all who are
 * alive do what they are told.
 *
 * Each round moves the time on to the next thing that is due (a result, a route, a report, what the core asked to be woken
 * for), puts into the copy's view what would have been seen by then, and gives the core a tick. */
#include "coord/core/forecast.h"

#include <string.h>

#include "coord/core/think.h"

enum {
	TIME_MAX_MS = 15 * 60 * 1000, /* virtual */
	ROUNDS_MAX = 4000,
	UPKEEP_MS = 20, /* an order outside the plan */
	REQUEST_ID = 1
};

/* What a member was told last, and when it has done it. */
struct doing {
	uint64_t number, due_ms; /* number 0: nothing */
};

struct world {
	const struct dr_core *live;
	struct dr_forecast_room *room;
	const struct dr_forecast_ask *q;
	const struct dr_past *past;
	struct dr_forecast *out;
	uint64_t began_ms, now_ms, wake_ms, next_report_ms;
	uint64_t told;                        /* newest event taken in */
	uint64_t plan;                        /* the plan that is followed; 0: none yet */
	uint32_t requests;
	bool ordered, over;
	bool gone[DR_MEMBERS_MAX];            /* neither agent nor server is heard any more */
	bool blind[DR_COORDINATORS_MAX];      /* that coordinator is not heard any more */
	struct doing doing[DR_MEMBERS_MAX];
	uint64_t route_ms[DR_ROUTES_MAX];     /* when it shows the holder; 0: not wanted */
	struct dr_route_wanted route[DR_ROUTES_MAX];
	uint32_t commands;
};

static struct dr_service *service(const struct world *w)
{
	return &w->room->core.repl.service[0];
}

static struct dr_service_view *view(const struct world *w)
{
	return &w->room->core.view.service[0];
}

static bool named(const struct world *w, dr_member_ix m)
{
	return m < DR_MEMBERS_MAX && service(w)->spec.member[m].name.s[0] != '\0';
}

/* ---- the core's door ---- */

static uint64_t since(const struct world *w)
{
	return w->now_ms - w->began_ms;
}

static void want_soon(struct world *w, uint64_t at_ms)
{
	if (at_ms != 0 && at_ms < w->wake_ms)
		w->wake_ms = at_ms;
}

static void note_orders(struct world *w);

static void feed(struct world *w, struct dr_core_event ev)
{
	struct dr_decision *d = &w->room->decision;
	ev.now_ms = w->now_ms;
	ev.wall_ms = w->live->view.wall_ms + since(w);
	dr_core_step(&w->room->core, &ev, d);
	for (uint32_t i = 0; i < d->proposals && w->commands < DR_FORECAST_COMMANDS; i++)
		w->room->command[w->commands++] = d->propose[i];
	want_soon(w, d->wake_at_ms);
	note_orders(w);
}

/* All that was proposed is in the log, in its order. */
static void commit_all(struct world *w)
{
	for (uint32_t done = 0; w->commands > 0 && done < ROUNDS_MAX; done++) {
		struct dr_proposal p = w->room->command[0];
		w->commands--;
		memmove(&w->room->command[0], &w->room->command[1], w->commands * sizeof(p));
		uint64_t index = w->room->core.repl.applied + 1;
		feed(w, (struct dr_core_event){ .kind = DR_EV_COMMITTED, .index = index, .term = w->live->view.term,
						.cmd = &p.cmd });
		feed(w, (struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = p.tag, .outcome = DR_OK, .index = index });
	}
}

/* ---- how long things take ---- */

/* A fence that an agent carries out takes what it took in switches: in failovers it was mostly waited for. */
static const struct dr_past_step *past_of(const struct world *w, enum dr_step step)
{
	bool planned = service(w)->plan.kind == DR_PLAN_SWITCHOVER || step == DR_STEP_FENCE_OLD;
	const struct dr_past_step *own = planned ? &w->past->switchover[step] : &w->past->failover[step];
	const struct dr_past_step *other = planned ? &w->past->failover[step] : &w->past->switchover[step];
	bool alike = step == DR_STEP_PROMOTE || step == DR_STEP_REPOINT || step == DR_STEP_ROUTE || step == DR_STEP_VERIFY;
	return own->samples == 0 && alike ? other : own;
}

static uint64_t step_ms(const struct world *w, enum dr_step step)
{
	const struct dr_past_step *p = past_of(w, step);
	return p->samples > 0 ? p->median_ms : dr_forecast_assumed_ms(&w->live->repl.timing, service(w)->plan.kind, step);
}

static enum dr_step present_step(const struct world *w)
{
	const struct dr_plan *p = &service(w)->plan;
	return p->id != 0 && p->at < p->steps ? p->step[p->at] : DR_STEP_NONE;
}

/* When the present step began, as the leader counts it. */
static uint64_t step_began_ms(const struct world *w)
{
	const struct dr_service_view *v = view(w);
	const struct dr_plan *p = &service(w)->plan;
	return v->step_plan == p->id && v->step_at == p->at ? v->step_since_ms : w->now_ms;
}

/* ---- members ---- */

static uint64_t order_ms(const struct world *w, const struct dr_order_core *o)
{
	const struct dr_plan *p = &service(w)->plan;
	if (p->id == 0 || o->plan != p->id)
		return w->now_ms + UPKEEP_MS;
	if (o->kind == DR_ORDER_FOLLOWING) /* from the promotion on, whatever the present step is */
		return w->now_ms + step_ms(w, DR_STEP_REPOINT);
	uint64_t due = step_began_ms(w) + step_ms(w, (enum dr_step)o->step);
	return due > w->now_ms ? due : w->now_ms + 1;
}

static void note_orders(struct world *w)
{
	const struct dr_decision *d = &w->room->decision;
	for (uint32_t i = 0; i < d->orders; i++) {
		const struct dr_order_wanted *o = &d->order[i];
		struct doing *at = &w->doing[o->member];
		if (o->core.number == at->number)
			continue;
		*at = (struct doing){ .number = o->core.number };
		if (o->core.number != 0 && !w->gone[o->member])
			at->due_ms = order_ms(w, &o->core);
	}
	for (uint32_t i = 0; i < d->routes; i++) {
		const struct dr_route_wanted *r = &d->route[i];
		if (!r->wanted || (w->route[r->route].epoch == r->epoch && w->route[r->route].hold == r->hold))
			continue;
		w->route[r->route] = *r;
		w->route_ms[r->route] = w->now_ms + step_ms(w, DR_STEP_ROUTE);
	}
}

/* What the stopped primary wrote last reaches whoever streams from it. */
static uint64_t last_position(struct world *w, dr_member_ix of)
{
	struct dr_service_view *v = view(w);
	uint64_t last = v->member[of].report.received;
	last = last > v->primary_position ? last : v->primary_position;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		struct dr_report *r = &v->member[m].report;
		if (named(w, m) && m != of && !w->gone[m] && r->receiving && r->received < last)
			r->received = last;
	}
	return last;
}

/* The order is carried out: what its agent answers, and what its reports say from now on. */
static struct dr_order_result carry_out(struct world *w, dr_member_ix m, const struct dr_order_core *o)
{
	struct dr_service_view *v = view(w);
	struct dr_report *r = &v->member[m].report;
	struct dr_order_result done = { .number = o->number, .epoch = o->epoch, .outcome = DR_OUTCOME_DONE };
	const struct dr_report *target = o->target < DR_MEMBERS_MAX ? &v->member[o->target].report : r;
	switch (o->kind) {
	case DR_ORDER_FENCED:
		done.position = o->clean ? last_position(w, m) : 0;
		r->server = DR_SERVER_STOPPED;
		r->role = DR_ROLE_FENCED;
		r->lease_left_ms = 0;
		r->crashed = false;
		break;
	case DR_ORDER_FROZEN:
		r->server = DR_SERVER_STANDBY;
		r->receiving = false;
		done.position = r->received;
		break;
	case DR_ORDER_CAUGHT_UP:
		r->received = o->position > r->received ? o->position : r->received;
		r->timeline = target->timeline > r->timeline ? target->timeline : r->timeline;
		done.position = r->received;
		break;
	case DR_ORDER_WRITABLE:
		r->server = DR_SERVER_PRIMARY;
		r->role = DR_ROLE_PRIMARY;
		r->timeline++;
		done.position = r->received;
		break;
	case DR_ORDER_FOLLOWING:
		r->server = DR_SERVER_STANDBY;
		r->role = DR_ROLE_STANDBY;
		r->receiving = true;
		r->timeline = target->timeline;
		if (o->target < DR_MEMBERS_MAX)
			r->upstream_at = service(w)->spec.member[o->target].address;
		break;
	case DR_ORDER_COMPARED:
		done.divergence = DR_DIVERGENCE_NONE;
		break;
	default:
		break;
	}
	done.timeline = r->timeline;
	r->managed = o->kind != DR_ORDER_RELEASED;
	r->epoch = o->epoch;
	r->order_seen = o->number;
	r->last = done;
	return done;
}

static void end_orders(struct world *w)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		struct doing *at = &w->doing[m];
		const struct dr_order_core *o = &service(w)->member[m].order;
		if (at->due_ms == 0 || at->due_ms > w->now_ms)
			continue;
		at->due_ms = 0;
		if (o->number != at->number)
			continue;
		struct dr_member_view *mv = &view(w)->member[m];
		mv->result = carry_out(w, m, o);
		mv->result_ms = mv->report_ms = w->now_ms;
	}
}

/* ---- what is seen ---- */

static uint32_t older(uint32_t age, uint64_t ms)
{
	return age == UINT32_MAX || age + ms >= UINT32_MAX ? UINT32_MAX : (uint32_t)(age + ms);
}

/* A write through the clients' address has succeeded after the step began. */
static bool writes_seen(const struct world *w, dr_member_ix m)
{
	return m == service(w)->holder && present_step(w) == DR_STEP_VERIFY &&
	       w->now_ms >= step_began_ms(w) + step_ms(w, DR_STEP_VERIFY);
}

static void observe(struct world *w, dr_member_ix m, uint32_t by)
{
	const struct dr_seen_by *was = &w->live->view.service[w->q->service].member[m].by[by];
	struct dr_seen_by *is = &view(w)->member[m].by[by];
	if (was->at_ms == 0 || w->blind[by])
		return;
	is->at_ms = w->now_ms;
	uint64_t passed = w->gone[m] ? w->now_ms - was->at_ms : 0;
	is->o.agent_age_ms = older(was->o.agent_age_ms, passed);
	is->o.server_age_ms = older(was->o.server_age_ms, passed);
	is->o.write_age_ms = writes_seen(w, m) ? 0 : older(was->o.write_age_ms, w->now_ms - was->at_ms);
	if (writes_seen(w, m))
		is->o.in_recovery = false;
	if (is->o.failure != DR_FAILURE_NONE)
		is->o.failing_ms = older(was->o.failing_ms, w->now_ms - was->at_ms);
}

static void look_around(struct world *w)
{
	w->room->core.view.now_ms = w->now_ms; /* else what is seen now would be of the future */
	for (uint32_t i = 0; i < w->live->repl.coordinators; i++) {
		if (!w->blind[i])
			w->room->core.view.heard_ms[i] = w->now_ms;
	}
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (!named(w, m))
			continue;
		if (!w->gone[m])
			view(w)->member[m].report_ms = w->now_ms;
		for (uint32_t i = 0; i < w->live->repl.coordinators; i++)
			observe(w, m, i);
	}
}

static void end_routes(struct world *w)
{
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		if (w->route_ms[i] == 0 || w->route_ms[i] > w->now_ms)
			continue;
		w->route_ms[i] = 0;
		uint32_t all = dr_route_all(&service(w)->spec.route[i]);
		feed(w, (struct dr_core_event){ .kind = DR_EV_ROUTE, .service = service(w)->spec.name, .route = i,
						.epoch = w->route[i].epoch, .hold = w->route[i].hold, .servers = all });
		commit_all(w);
	}
}

/* ---- what comes of it ---- */

static struct dr_forecast_step *last_step(struct world *w)
{
	return w->out->steps > 0 ? &w->out->step[w->out->steps - 1] : NULL;
}

static void end(struct world *w, enum dr_forecast_end how, enum dr_reason reason, uint64_t a, uint64_t b)
{
	if (w->over)
		return;
	w->over = true;
	w->out->end = how;
	w->out->reason = reason;
	w->out->a = a;
	w->out->b = b;
	w->out->ended_ms = since(w);
	if (how != DR_FORECAST_DONE && last_step(w) != NULL)
		last_step(w)->to_ms = since(w);
}

static void request(struct world *w, struct dr_request r)
{
	r.id = REQUEST_ID + w->requests++;
	if (r.site.s[0] == '\0')
		r.service = service(w)->spec.name;
	(void)dr_name_set(&r.actor, "forecast");
	feed(w, (struct dr_core_event){ .kind = DR_EV_REQUEST, .request = &r });
}

/* A person orders it, whatever stands against drcoord's doing it by itself. */
static void order(struct world *w)
{
	struct dr_request r = dr_forecast_request(w->live, w->q);
	w->ordered = true;
	request(w, r);
	const struct dr_answer answer = w->room->decision.answer;
	if (answer.now && answer.refused != DR_REASON_NONE)
		end(w, DR_FORECAST_REFUSED, answer.refused, answer.a, answer.b);
	commit_all(w);
}

static void note_candidates(struct world *w)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		enum dr_reason why = dr_core_candidate(&w->room->core, 0, m, &w->out->why_a[m]);
		if (why == DR_REASON_NONE && w->gone[m]) /* its silence is not long enough yet */
			why = DR_REASON_NOT_REACHABLE;
		w->out->why[m] = why;
	}
}

static void step_started(struct world *w, const struct dr_event_record *e)
{
	struct dr_forecast *f = w->out;
	if (f->steps == DR_STEPS_MAX)
		return;
	struct dr_forecast_step *s = &f->step[f->steps++];
	*s = (struct dr_forecast_step){ .step = (enum dr_step)e->step, .from_ms = since(w), .to_ms = since(w) };
	s->samples = e->step < DR_STEP_ID_MAX ? past_of(w, s->step)->samples : 0;
	if (s->step == DR_STEP_FENCE_OLD)
		f->stopped_ms = since(w);
}

static void step_ended(struct world *w, const struct dr_event_record *e)
{
	struct dr_forecast_step *s = last_step(w);
	if (s == NULL || (uint32_t)s->step != e->step)
		return;
	s->to_ms = since(w);
	s->skipped = e->kind == DR_EVENT_STEP_SKIPPED;
	s->reason = s->skipped ? e->reason : DR_REASON_NONE;
	if (s->step == DR_STEP_ROUTE && !s->skipped)
		w->out->routed_ms = since(w);
}

/* What the candidate lacks of what the primary was last seen to have. */
static void note_choice(struct world *w)
{
	struct dr_forecast *f = w->out;
	const struct dr_plan *p = &service(w)->plan;
	f->candidate = p->candidate;
	f->source = p->source;
	if (p->kind != DR_PLAN_FAILOVER || p->candidate >= DR_MEMBERS_MAX)
		return;
	const struct dr_service_view *live = &w->live->view.service[w->q->service];
	const struct dr_member_repl *has = &service(w)->member[p->source < DR_MEMBERS_MAX ? p->source : p->candidate];
	f->loss_known = live->primary_position_ms != 0;
	f->loss = live->primary_position > has->frozen_position ? live->primary_position - has->frozen_position : 0;
}

static void plan_asks(struct world *w, const struct dr_event_record *e)
{
	if (e->reason != DR_REASON_NOT_ASKED) {
		end(w, DR_FORECAST_ASKS, e->reason, e->a, e->b);
		return;
	}
	/* Whoever is asked before anything is done says yes. */
	w->out->not_by_itself = e->reason;
	struct dr_request r = { .kind = DR_REQ_APPROVE, .plan = e->plan };
	request(w, r);
}

static void plan_opened(struct world *w, const struct dr_event_record *e)
{
	struct dr_forecast *f = w->out;
	if (w->plan != 0 || (e->plan_kind != DR_PLAN_FAILOVER && e->plan_kind != DR_PLAN_SWITCHOVER))
		return;
	w->plan = e->plan;
	f->plan = (enum dr_plan_kind)e->plan_kind;
	f->opened = e->reason;
	f->opened_ms = since(w);
	f->old = service(w)->plan.old;
}

static void take_event(struct world *w, const struct dr_event_record *e)
{
	if (e->kind == DR_EVENT_PLAN_OPENED)
		plan_opened(w, e);
	if (e->kind == DR_EVENT_SITE_LEFT && w->plan == 0 && w->q->ordered)
		end(w, DR_FORECAST_REFUSED, e->reason, e->a, e->b);
	if (w->plan == 0 || (e->plan != 0 && e->plan != w->plan))
		return;
	switch (e->kind) {
	case DR_EVENT_STEP_STARTED: step_started(w, e); break;
	case DR_EVENT_STEP_DONE:
	case DR_EVENT_STEP_SKIPPED: step_ended(w, e); break;
	case DR_EVENT_PLAN_ASKS: plan_asks(w, e); break;
	case DR_EVENT_PROVED: w->out->by_lease = w->out->by_lease || e->proof == DR_PROOF_LEASE; break;
	case DR_EVENT_PRIMARY: w->out->writable_ms = since(w); break;
	case DR_EVENT_PLAN_CLOSED:
		end(w, e->outcome == DR_OUTCOME_DONE ? DR_FORECAST_DONE : DR_FORECAST_FAILED, e->reason, e->a, e->b);
		break;
	default: break;
	}
}

static void take_events(struct world *w)
{
	const struct dr_repl *r = &w->room->core.repl;
	while (w->told < r->event_last) {
		const struct dr_event_record *e = dr_repl_event(r, ++w->told);
		if (e != NULL)
			take_event(w, e);
	}
	if (w->plan != 0 && service(w)->plan.id == w->plan && service(w)->plan.candidate < DR_MEMBERS_MAX &&
	    w->out->candidate == DR_MEMBER_NONE)
		note_choice(w);
	commit_all(w);
}

/* ---- the rounds ---- */

static bool loss_is_seen(const struct world *w)
{
	uint64_t silent = 0;
	const struct dr_service *s = service(w);
	if (s->holder >= DR_MEMBERS_MAX)
		return true;
	enum dr_verdict v = dr_core_verdict(&w->room->core, 0, s->holder, &silent);
	return v == DR_VERDICT_LOST || v == DR_VERDICT_FAILED;
}

/* A failback waits for a member that is on its way back; how long that takes is nobody's knowledge. */
static void end_waiting(struct world *w)
{
	dr_member_ix home = service(w)->home;
	uint64_t a = home < DR_MEMBERS_MAX ? w->out->why_a[home] : 0;
	enum dr_reason why = home < DR_MEMBERS_MAX ? w->out->why[home] : DR_REASON_NO_SUCH_MEMBER;
	if (since(w) < 2 * (uint64_t)w->live->repl.timing.detect_after_ms)
		return;
	end(w, DR_FORECAST_REFUSED, why != DR_REASON_NONE ? why : DR_REASON_NOT_FOLLOWING, a, 0);
}

/* A loss that drcoord does nothing about by itself: why, and then a person orders it. */
static void order_if_need_be(struct world *w)
{
	const struct dr_timing *t = &w->live->repl.timing;
	if (w->plan == 0 && w->ordered && w->q->request == DR_REQ_FAILBACK)
		end_waiting(w);
	if (w->plan != 0 || w->ordered || w->over)
		return;
	bool seen = !w->q->lost || loss_is_seen(w);
	/* One more look, so that what opens by itself has opened. */
	uint64_t patience = w->q->ordered ? 0 : 2 * (uint64_t)t->detect_after_ms + 3 * (uint64_t)t->probe_ms;
	if ((w->q->ordered && !seen && since(w) < 4 * (uint64_t)t->detect_after_ms) || since(w) < patience)
		return;
	if (!w->q->ordered) {
		w->out->not_by_itself = dr_core_blocked(&w->room->core, 0, &w->out->not_a);
		if (w->out->not_by_itself == DR_REASON_NONE)
			w->out->not_by_itself = seen ? DR_REASON_NO_CANDIDATE : DR_REASON_PRIMARY_IN_DOUBT;
	}
	note_candidates(w);
	order(w);
}

static void round_of(struct world *w)
{
	end_orders(w);
	if (w->now_ms >= w->next_report_ms) {
		look_around(w);
		w->next_report_ms = w->now_ms + w->live->repl.timing.probe_ms / 2 + 1;
	}
	if (w->plan == 0)
		note_candidates(w);
	order_if_need_be(w);
	w->wake_ms = w->next_report_ms;
	feed(w, (struct dr_core_event){ .kind = DR_EV_TICK });
	commit_all(w);
	take_events(w);
	end_routes(w);
	take_events(w);
}

static void move_on(struct world *w)
{
	uint64_t next = w->wake_ms;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (w->doing[m].due_ms != 0 && w->doing[m].due_ms < next)
			next = w->doing[m].due_ms;
	}
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		if (w->route_ms[i] != 0 && w->route_ms[i] < next)
			next = w->route_ms[i];
	}
	w->now_ms = next > w->now_ms ? next : w->now_ms + 1;
}

/* Who is silent already stays so; who is lost is silent from now on. */
static void choose_lost(struct world *w)
{
	const struct dr_service *s = service(w);
	bool by_site = w->q->lost && w->q->site.s[0] != '\0';
	dr_member_set alive = 0;
	dr_member_ix primary = s->holder != DR_MEMBER_NONE ? s->holder : s->last_holder;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		uint64_t age = dr_heard_age(w->live, w->q->service, m);
		bool silent = age > w->live->repl.timing.detect_after_ms;
		bool lost = w->q->lost && (by_site ? dr_name_eq(&s->spec.member[m].site, &w->q->site) : m == primary);
		w->gone[m] = !named(w, m) || silent || lost;
		alive = w->gone[m] ? alive : dr_set_with(alive, m);
	}
	dr_forecast_level(&w->room->core, alive);
	for (uint32_t i = 0; i < w->live->repl.coordinators && i < DR_COORDINATORS_MAX; i++) {
		const struct dr_coordinator *k = &w->live->repl.coordinator[i];
		w->blind[i] = by_site && dr_name_eq(&k->site, &w->q->site);
		/* One that has told nothing lately tells nothing now. */
		uint64_t told = 0;
		for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
			uint64_t at = w->live->view.service[w->q->service].member[m].by[i].at_ms;
			told = at > told ? at : told;
		}
		w->blind[i] = w->blind[i] || told == 0 || w->live->view.now_ms - told > w->live->repl.timing.detect_after_ms;
	}
}

static bool cannot_begin(struct world *w)
{
	const struct dr_service *s = service(w);
	if (!s->managed)
		end(w, DR_FORECAST_REFUSED, DR_REASON_NOT_MANAGED, 0, 0);
	else if (s->plan.id != 0)
		end(w, DR_FORECAST_REFUSED, DR_REASON_PLAN_IS_OPEN, s->plan.id, 0);
	else if (w->live->view.recovering)
		end(w, DR_FORECAST_REFUSED, DR_REASON_RECOVERING, 0, 0);
	return w->over;
}

void dr_forecast(const struct dr_core *live, struct dr_forecast_room *room, const struct dr_forecast_ask *q,
		 const struct dr_past *past, struct dr_forecast *out)
{
	struct world w = { .live = live, .room = room, .q = q, .past = past, .out = out };
	memset(out, 0, sizeof(*out));
	out->old = out->candidate = out->source = DR_MEMBER_NONE;
	dr_forecast_copy(live, q->service, &room->core);
	struct dr_repl *copy = &room->core.repl;
	for (uint32_t i = 0; i < q->moves; i++)
		dr_repl_note_move(copy, live->view.wall_ms);
	uint32_t moves = copy->moves_next;
	w.began_ms = w.now_ms = w.next_report_ms = live->view.now_ms;
	note_candidates(&w);
	if (cannot_begin(&w))
		return;
	choose_lost(&w);
	for (unsigned i = 0; !w.over && i < ROUNDS_MAX && since(&w) < TIME_MAX_MS; i++) {
		round_of(&w);
		move_on(&w);
	}
	end(&w, DR_FORECAST_NO_END, DR_REASON_NONE, 0, 0);
	out->moves = (copy->moves_next + DR_MOVES_KEPT - moves) % DR_MOVES_KEPT;
}
