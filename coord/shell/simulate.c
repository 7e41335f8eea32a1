/* simulate.c -- what a failover, a switchover or a failback would do now, told before anybody orders it. */
#include <stdio.h>
#include <string.h>

#include "coord/shell/coord.h"
#include "coord/shell/json.h"
#include "coord/shell/ready.h"

static void put_member(json_t *o, const char *key, const struct dr_service *s, dr_member_ix m)
{
	put_text_or_null(o, key, m < DR_MEMBERS_MAX ? s->spec.member[m].name.s : "");
}

/* Who would take over, and for each other one why not. */
static json_t *members_json(const struct dr_coord *c, uint32_t ix, const struct dr_forecast *f)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	uint64_t primary = c->core->view.service[ix].primary_position;
	json_t *a = json_array();
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		const struct dr_member_view *v = &c->core->view.service[ix].member[m];
		if (s->spec.member[m].name.s[0] == '\0')
			continue;
		json_t *o = json_object();
		put_text(o, "member", s->spec.member[m].name.s);
		put_text(o, "site", s->spec.member[m].site.s);
		put_bool(o, "chosen", m == f->candidate);
		put_u64(o, "priority", s->spec.member[m].priority);
		put_bool(o, "in_sync_set", dr_set_has(s->sync.set, m) && m != s->holder);
		if (v->report_ms != 0) {
			put_u64(o, "position", v->report.received);
			put_u64(o, "lag", primary > v->report.received ? primary - v->report.received : 0);
		}
		if (m != f->candidate) {
			put_reason(o, f->why[m], f->why_a[m], 0);
			if (f->why[m] == DR_REASON_NONE && f->candidate < DR_MEMBERS_MAX)
				put_text(o, "why", "it could; the one that is chosen has more, or is preferred");
		}
		(void)json_array_append_new(a, o);
	}
	return a;
}

static json_t *steps_json(const struct dr_forecast *f)
{
	json_t *a = json_array();
	for (uint32_t i = 0; i < f->steps; i++) {
		const struct dr_forecast_step *s = &f->step[i];
		const struct dr_step_row *row = dr_step_row(s->step);
		json_t *o = json_object();
		put_text(o, "step", dr_step_name(s->step));
		put_u64(o, "from_ms", s->from_ms);
		put_u64(o, "to_ms", s->to_ms);
		bool done = i + 1 < f->steps || f->end == DR_FORECAST_DONE;
		put_text(o, "outcome", s->skipped ? "skipped" : done ? "done" : dr_forecast_end_name(f->end));
		bool by_lease = s->step == DR_STEP_FENCE_OLD && f->by_lease;
		put_text(o, "time_from", by_lease ? "the lease's end" : s->samples > 0 ? "past steps" : "the timing profile");
		put_u64(o, "samples", by_lease ? 0 : s->samples);
		put_reason(o, s->reason, 0, 0);
		put_text(o, "help", row != NULL ? row->help : "");
		(void)json_array_append_new(a, o);
	}
	return a;
}

/* How many steps' times rest on the past, of those that take any. */
static uint32_t with_past(const struct dr_forecast *f)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < f->steps; i++)
		n += f->step[i].samples > 0 && f->step[i].to_ms > f->step[i].from_ms ? 1u : 0u;
	return n;
}

static json_t *rto_json(const struct dr_forecast *f)
{
	json_t *o = json_object();
	bool planned = f->plan == DR_PLAN_SWITCHOVER;
	if (f->writable_ms == 0)
		return json_null();
	put_u64(o, "opened_ms", f->opened_ms);
	put_u64(o, "writable_ms", f->writable_ms);
	if (planned)
		put_u64(o, "gap_ms", f->writable_ms - f->stopped_ms);
	if (f->routed_ms != 0)
		put_u64(o, "routed_ms", f->routed_ms);
	put_u64(o, "ended_ms", f->ended_ms);
	put_text(o, "rests_on", with_past(f) > 0 ? "past steps of this cluster" : "the timing profile: there is no past");
	return o;
}

/* What clients may lose.  The rate comes from what this leader saw of the primary in the last minutes. */
static json_t *rpo_json(const struct dr_coord *c, uint32_t ix, const struct dr_forecast *f)
{
	const struct dr_spec_service *s = &c->core->repl.service[ix].spec;
	json_t *o = json_object();
	uint64_t rate = 0;
	if (f->candidate >= DR_MEMBERS_MAX) {
		json_decref(o);
		return json_null();
	}
	const char *unit = dr_kind_counts_bytes(s->kind) ? "bytes" : "transactions";
	put_text(o, "durability", dr_durability_name(s->durability));
	if (f->plan == DR_PLAN_SWITCHOVER || s->durability == DR_DURABILITY_SYNC) {
		put_u64(o, unit, 0);
		put_u64(o, "seconds", 0);
		put_text(o, "why", f->plan == DR_PLAN_SWITCHOVER
					   ? "the primary is stopped in order, and its last position is waited for"
					   : "every acknowledged write is with a member of the set");
		return o;
	}
	put_u64(o, "allowed", s->rpo_bytes);
	if (!f->loss_known) {
		put_text(o, "why", "this leader has not seen the primary's position");
		return o;
	}
	put_u64(o, unit, f->loss);
	if (f->loss == 0) {
		put_u64(o, "seconds", 0);
	} else if (dr_ready_rate(c, ix, &rate) && rate > 0) {
		uint64_t tenths = f->loss * 10 / rate;
		(void)json_object_set_new(o, "seconds", json_real((double)tenths / 10.0));
	}
	put_text(o, "why",
		 s->durability == DR_DURABILITY_BOUNDED
		     ? "bounded, not zero: what the candidate lacked of the primary when both were last heard, and what is written "
		       "until the loss, or until a primary that is cut off takes no more"
		     : "what the candidate lacked of the primary when both were last heard, and what is written until the loss");
	return o;
}

static void put_service(struct dr_coord *c, uint32_t ix, const struct dr_forecast_ask *q, json_t *o, struct dr_forecast *out)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	struct dr_forecast f;
	struct dr_forecast_ask first = *q;
	uint64_t a = 0, b = 0;
	put_text(o, "service", s->spec.name.s);
	put_member(o, "primary", s, s->holder);
	enum dr_reason refused = dr_forecast_answer(c->core, dr_ready_room(), &first, &a, &b);
	json_t *verb = json_object();
	put_bool(verb, "accepted", refused == DR_REASON_NONE);
	put_reason(verb, refused, a, b);
	(void)json_object_set_new(o, "verb_now", verb);
	dr_forecast(c->core, dr_ready_room(), q, dr_ready_past(c, s->spec.kind), &f);
	put_text(o, "outcome", dr_forecast_end_name(f.end));
	put_reason(o, f.reason, f.a, f.b);
	if (!q->ordered) {
		json_t *self = json_object();
		put_bool(self, "moves", f.not_by_itself == DR_REASON_NONE && f.plan != DR_PLAN_NONE);
		put_reason(self, f.not_by_itself, f.not_a, 0);
		(void)json_object_set_new(o, "by_itself", self);
	}
	put_member(o, "candidate", s, f.candidate);
	put_member(o, "fetches_from", s, f.source);
	(void)json_object_set_new(o, "rto", rto_json(&f));
	(void)json_object_set_new(o, "rpo", rpo_json(c, ix, &f));
	(void)json_object_set_new(o, "members", members_json(c, ix, &f));
	(void)json_object_set_new(o, "steps", steps_json(&f));
	*out = f;
}

/* A failover is thought of as what follows a loss, unless the primary has failed already or is to be moved by force. */
static bool thinks_of_loss(const struct dr_coord *c, uint32_t ix, const struct dr_forecast_ask *q)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	uint64_t silent = 0;
	if (q->request != DR_REQ_FAILOVER || q->force || s->holder >= DR_MEMBERS_MAX)
		return false;
	enum dr_verdict v = dr_core_verdict(c->core, ix, s->holder, &silent);
	return v != DR_VERDICT_LOST && v != DR_VERDICT_FAILED;
}

static json_t *one(struct dr_coord *c, uint32_t ix, struct dr_forecast_ask q, struct dr_forecast *f)
{
	json_t *o = json_object();
	const struct dr_service *s = &c->core->repl.service[ix];
	char text[DR_REASON_MAX];
	q.service = ix;
	if (q.site.s[0] == '\0')
		q.lost = thinks_of_loss(c, ix, &q);
	if (q.site.s[0] == '\0' && q.lost) {
		(void)snprintf(text, sizeof(text), "the host of %s is lost", s->spec.member[s->holder].name.s);
		put_text(o, "assumed", text);
	}
	put_service(c, ix, &q, o, f);
	return o;
}

/* How long the step took when it was last done; false: it never was, as far as events are kept. */
static bool took_before(const struct dr_repl *r, const struct dr_name *step, uint64_t *ms)
{
	uint64_t done = 0;
	uint64_t first = r->event_last > DR_EVENTS_KEPT ? r->event_last - DR_EVENTS_KEPT + 1 : 1;
	for (uint64_t i = r->event_last; i >= first && i > 0; i--) {
		const struct dr_event_record *e = dr_repl_event(r, i);
		if (e == NULL || strcmp(e->text, step->s) != 0)
			continue;
		if (e->kind == DR_EVENT_SITE_STEP_DONE && done == 0)
			done = e->wall_ms;
		else if (e->kind == DR_EVENT_SITE_STEP_STARTED && done != 0) {
			*ms = done > e->wall_ms ? done - e->wall_ms : 0;
			return true;
		}
	}
	return false;
}

static const char *who_does(const struct dr_runbook_step *s, char *text, size_t cap)
{
	if (s->on_agent.s[0] != '\0')
		(void)snprintf(text, cap, "agent %s", s->on_agent.s);
	else if (s->on_site.s[0] != '\0')
		(void)snprintf(text, cap, "a coordinator of %s", s->on_site.s);
	else
		(void)snprintf(text, cap, "the leader");
	return text;
}

static json_t *step_json(const struct dr_repl *r, const struct dr_site_step *step)
{
	const struct dr_runbook_step *s = dr_runbook_step(r, &step->name);
	json_t *o = json_object();
	char text[DR_NAME_MAX + 32];
	uint64_t took = 0;
	put_text(o, "step", step->name.s);
	if (s == NULL)
		return o;
	put_text(o, "when", dr_runbook_when_name(s->when));
	if (s->when == DR_RUNBOOK_AFTER_GROUP)
		put_u64(o, "group", s->group);
	put_text(o, "by", who_does(s, text, sizeof(text)));
	put_text(o, "does", s->run[0] != '\0' ? s->run : s->url);
	put_u64(o, "at_most_ms", s->timeout_ms);
	if (took_before(r, &step->name, &took))
		put_u64(o, "took_ms", took);
	put_text(o, "on_failure", dr_runbook_failure_name(s->on_failure));
	put_bool(o, "undo", dr_runbook_has_undo(s));
	return o;
}

/* The steps of the runbook, by the planner's own list: what they take before a group's turn goes before its services. */
struct runbook {
	const struct dr_repl *repl;
	uint32_t steps, at;
	struct dr_site_step step[DR_RUNBOOK_MAX];
};

static json_t *runbook_json(const struct runbook *b)
{
	json_t *a = json_array();
	for (uint32_t i = 0; i < b->steps; i++)
		(void)json_array_append_new(a, step_json(b->repl, &b->step[i]));
	return a;
}

static uint64_t steps_before(struct runbook *b, uint32_t group)
{
	uint64_t all = 0, one = 0;
	for (; b->at < b->steps && b->step[b->at].due <= group; b->at++)
		all += took_before(b->repl, &b->step[b->at].name, &one) ? one : 0;
	return all;
}

/* The next group of a site's services waits for the one before, and for what steps come between (docs/sites.md). */
static json_t *groups_json(const struct dr_forecast_site *s, struct runbook *b, uint64_t *last_ms)
{
	json_t *a = json_array();
	uint64_t begun = 0;
	*last_ms = 0;
	for (uint32_t i = 0; i < s->parts;) {
		uint64_t writable = 0, ended = 0, services = 0, stay = 0;
		uint32_t group = s->part[i].group;
		begun += steps_before(b, group);
		for (; i < s->parts && s->part[i].group == group; i++, services++) {
			const struct dr_forecast_part *p = &s->part[i];
			stay += p->stays ? 1u : 0u;
			writable = p->writable_ms > writable ? p->writable_ms : writable;
			ended = p->ended_ms > ended ? p->ended_ms : ended;
		}
		json_t *o = json_object();
		put_u64(o, "group", group);
		put_u64(o, "services", services);
		put_u64(o, "stay", stay);
		if (stay < services)
			put_u64(o, "writable_ms", begun + writable);
		(void)json_array_append_new(a, o);
		*last_ms = stay < services ? begun + writable : *last_ms;
		begun += ended;
	}
	return a;
}

/* What the verb for the site would be answered now; planned, nothing of it would begin where that is a refusal. */
static void put_site_verb(struct dr_coord *c, const struct dr_forecast_ask *q, const struct dr_forecast_site *s, json_t *o)
{
	struct dr_answer a = dr_forecast_site_answer(c->core, dr_ready_room(), q, s);
	json_t *verb = json_object();
	put_bool(verb, "accepted", a.refused == DR_REASON_NONE);
	put_text_or_null(verb, "service", a.about.s);
	put_reason(verb, a.refused, a.a, a.b);
	(void)json_object_set_new(o, "verb_now", verb);
	if (q->ordered)
		put_reason(o, a.refused, a.a, a.b);
}

static void put_coordinators(struct dr_coord *c, const struct dr_forecast_ask *q, json_t *o)
{
	uint32_t elsewhere, all;
	dr_ready_coordinators(&c->core->repl, &q->site, &elsewhere, &all);
	put_u64(o, "coordinators_left", elsewhere);
	put_u64(o, "coordinators", all);
	if (q->lost && 2 * elsewhere <= all)
		put_reason(o, DR_REASON_FEW_COORDINATORS, elsewhere, all);
	/* Who leads next begins to lead meanwhile; the lease's end is waited for from the same moment on. */
	put_bool(o, "leader_is_there", q->lost && dr_name_eq(&q->site, &c->conf.site));
}

static json_t *whole_site(struct dr_coord *c, const struct dr_forecast_ask *q)
{
	const struct dr_repl *r = &c->core->repl;
	json_t *o = json_object(), *services = json_array();
	struct dr_forecast_site site;
	uint64_t last_ms = 0;
	char text[DR_REASON_MAX];
	const char *what = q->lost ? "loss of" : q->request == DR_REQ_FAILBACK ? "return to" : "evacuation of";
	(void)snprintf(text, sizeof(text), "%s the site %s", what, q->site.s);
	put_text(o, "site", q->site.s);
	put_text(o, "assumed", text);
	put_coordinators(c, q, o);
	dr_forecast_site(c->core, q, &site);
	put_site_verb(c, q, &site, o);
	for (uint32_t i = 0; i < site.parts; i++) {
		struct dr_forecast f;
		struct dr_forecast_ask own = *q;
		own.moves = site.moves;
		(void)json_array_append_new(services, one(c, site.part[i].service, own, &f));
		dr_forecast_site_note(c->core, q, &site, i, &f);
	}
	struct runbook b = { .repl = r };
	b.steps = dr_runbook_of(r, dr_site_plan_kind(q->request), &q->site, b.step);
	(void)json_object_set_new(o, "runbook", runbook_json(&b));
	(void)json_object_set_new(o, "groups", groups_json(&site, &b, &last_ms));
	put_u64(o, "last_writable_ms", last_ms);
	if (site.left_out > 0)
		put_u64(o, "services_left_out", site.left_out);
	(void)json_object_set_new(o, "services", services);
	return o;
}

json_t *dr_simulate_json(struct dr_coord *c, uint32_t service, const struct dr_client_request *q, enum dr_request_kind kind)
{
	struct dr_forecast_ask ask = { .service = service, .request = kind, .to = DR_MEMBER_NONE, .force = q->force,
				       .site = q->site };
	if (service == DR_SERVICE_NONE) {
		ask.lost = kind == DR_REQ_FAILOVER;
		ask.ordered = !ask.lost;
		return whole_site(c, &ask);
	}
	if (q->member.s[0] != '\0')
		ask.to = dr_service_member_find(&c->core->repl.service[service], q->member.s);
	ask.ordered = kind == DR_REQ_SWITCHOVER || q->force || q->member.s[0] != '\0';
	memset(&ask.site, 0, sizeof(ask.site));
	struct dr_forecast ignored;
	return one(c, service, ask, &ignored);
}

/* ---- who asks ---- */

/* A service or a site, or neither, as they are named; false: there is none of that name, and that was answered. */
static bool find_asked(struct dr_in *in, const struct dr_client_request *q, uint32_t *ix)
{
	*ix = DR_SERVICE_NONE;
	if (q->site.s[0] != '\0' && !dr_ready_knows_site(in->coord, &q->site)) {
		dr_clients_refused(in, q->id, DR_REASON_NO_SUCH_SITE);
		return false;
	}
	if (q->service.s[0] == '\0')
		return true;
	*ix = dr_repl_service_find(&in->coord->core->repl, q->service.s);
	if (*ix == DR_SERVICE_NONE)
		dr_clients_refused(in, q->id, DR_REASON_NO_SUCH_SERVICE);
	return *ix != DR_SERVICE_NONE;
}

void dr_ready_asked(struct dr_in *in, const struct dr_client_request *q)
{
	uint32_t ix;
	if (find_asked(in, q, &ix))
		dr_clients_json(in, q->id, dr_ready_json(in->coord, ix, &q->site));
}

void dr_simulate_asked(struct dr_in *in, const struct dr_client_request *q, enum dr_request_kind kind)
{
	uint32_t ix;
	const struct dr_repl *r = &in->coord->core->repl;
	if (kind == DR_REQ_FAILBACK && q->site.s[0] == '\0')
		dr_clients_error(in, q->id, DR_E_INVALID, "name a site (--site)");
	else if ((q->service.s[0] == '\0') == (q->site.s[0] == '\0'))
		dr_clients_error(in, q->id, DR_E_INVALID, "name either a service or a site (--site)");
	else if (find_asked(in, q, &ix) && ix != DR_SERVICE_NONE && q->member.s[0] != '\0' &&
		 dr_service_member_find(&r->service[ix], q->member.s) == DR_MEMBER_NONE)
		dr_clients_refused(in, q->id, DR_REASON_NO_SUCH_MEMBER);
	else if (ix != DR_SERVICE_NONE || q->site.s[0] != '\0')
		dr_clients_json(in, q->id, dr_simulate_json(in->coord, ix, q, kind));
}
