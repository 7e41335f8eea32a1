/* ready.c -- see ready.h. */
#include "coord/core/ready.h"

#include <string.h>

#include "coord/core/think.h"

const char *dr_ready_name(enum dr_ready r)
{
	static const char *const names[] = { "unknown", "yes", "limited", "no" };
	return (unsigned)r < sizeof(names) / sizeof(names[0]) ? names[r] : "unknown";
}

static enum dr_ready worse(enum dr_ready a, enum dr_ready b)
{
	return a > b ? a : b;
}

void dr_ready_note(struct dr_readiness *r, struct dr_ready_note note)
{
	for (uint32_t i = 0; i < r->notes; i++) {
		if (r->note[i].reason == note.reason && r->note[i].member == note.member) {
			r->note[i].blocks = r->note[i].blocks || note.blocks;
			return;
		}
	}
	if (r->notes < DR_READY_NOTES_MAX)
		r->note[r->notes++] = note;
	if (!note.blocks) {
		r->host = worse(r->host, DR_READY_LIMITED);
		r->site = worse(r->site, DR_READY_LIMITED);
	}
}

static void note(struct dr_readiness *r, enum dr_reason reason, uint64_t a, uint64_t b, dr_member_ix m)
{
	dr_ready_note(r, (struct dr_ready_note){ .reason = reason, .a = a, .b = b, .member = m });
}

static void blocks(struct dr_readiness *r, enum dr_reason reason, uint64_t a, uint64_t b)
{
	dr_ready_note(r, (struct dr_ready_note){ .reason = reason, .a = a, .b = b, .member = DR_MEMBER_NONE, .blocks = true });
}

/* Where a person is asked first by the spec's own wish the plan is as ready as that wish lets it be. */
static enum dr_ready take_forecast(struct dr_readiness *r, const struct dr_forecast *f)
{
	if (f->not_by_itself == DR_REASON_NOT_ASKED)
		note(r, f->not_by_itself, 0, 0, DR_MEMBER_NONE);
	else if (f->not_by_itself != DR_REASON_NONE)
		blocks(r, f->not_by_itself, f->not_a, 0);
	if (f->end == DR_FORECAST_DONE)
		return f->not_by_itself == DR_REASON_NONE || f->not_by_itself == DR_REASON_NOT_ASKED ? DR_READY_YES : DR_READY_NO;
	if (f->reason != f->not_by_itself)
		blocks(r, f->end == DR_FORECAST_NO_END ? DR_REASON_STEP_TIMED_OUT : f->reason, f->a, f->b);
	return DR_READY_NO;
}

/* Another member in the site of the primary: only then is the loss of the site another case than that of the host. */
static bool others_there(const struct dr_service *s)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (m != s->holder && s->spec.member[m].name.s[0] != '\0' &&
		    dr_name_eq(&s->spec.member[m].site, &s->spec.member[s->holder].site))
			return true;
	}
	return false;
}

static bool coordinator_there(const struct dr_repl *r, const struct dr_name *site)
{
	uint32_t elsewhere, all;
	dr_ready_coordinators(r, site, &elsewhere, &all);
	return elsewhere < all;
}

void dr_ready_coordinators(const struct dr_repl *r, const struct dr_name *site, uint32_t *elsewhere, uint32_t *all)
{
	*elsewhere = *all = 0;
	for (uint32_t i = 0; i < r->coordinators; i++) {
		if (r->coordinator[i].name.s[0] == '\0')
			continue;
		(*all)++;
		*elsewhere += dr_name_eq(&r->coordinator[i].site, site) ? 0u : 1u;
	}
}

/* Members that could not take over now, or whose host is not as it should be. */
static void note_members(const struct dr_core *c, uint32_t ix, struct dr_readiness *r)
{
	const struct dr_service *s = &c->repl.service[ix];
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		uint64_t a = 0;
		if (s->spec.member[m].name.s[0] == '\0')
			continue;
		enum dr_reason why = dr_core_candidate(c, ix, m, &a);
		bool heard = dr_heard_age(c, ix, m) <= c->repl.timing.detect_after_ms;
		if (!heard)
			note(r, DR_REASON_NOT_REACHABLE, dr_heard_age(c, ix, m) != UINT64_MAX ? dr_heard_age(c, ix, m) : 0, 0, m);
		else if (why != DR_REASON_NONE && why != DR_REASON_IS_PRIMARY && why != DR_REASON_NOT_PROMOTABLE)
			note(r, why, a, 0, m);
		if (heard && why != DR_REASON_OTHER_DATA && dr_core_has_other_data(c, ix, m))
			note(r, DR_REASON_OTHER_DATA, 0, 0, m);
		if (heard && c->view.service[ix].member[m].report.caution[0] != '\0')
			note(r, DR_REASON_CAUTION, 0, 0, m);
		if (heard && !c->view.service[ix].member[m].report.guard_alive)
			note(r, DR_REASON_GUARD_DEAD, 0, 0, m);
	}
}

static void note_routes(const struct dr_service *s, struct dr_readiness *r)
{
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		const struct dr_spec_route *route = &s->spec.route[i];
		uint32_t all = dr_route_all(route);
		if (route->kind == DR_ROUTE_NONE)
			continue;
		uint32_t there = s->route_epoch[i] == s->epoch ? s->route_servers[i] & all : 0;
		if (there != all)
			note(r, DR_REASON_ROUTE_BEHIND, dr_set_count((dr_member_set)there), dr_route_places(route), DR_MEMBER_NONE);
	}
}

/* The primary fails, or is said to by those whose probes it refuses. */
static void note_failing(const struct dr_core *c, uint32_t ix, struct dr_readiness *r)
{
	dr_member_ix holder = c->repl.service[ix].holder;
	uint64_t ms = 0;
	enum dr_failure how = dr_core_failing(c, ix, holder, &ms);
	if (how != DR_FAILURE_NONE)
		note(r, dr_failure_reason(how), ms, 0, holder);
}

static void note_sync(const struct dr_core *c, uint32_t ix, struct dr_readiness *r)
{
	const struct dr_service *s = &c->repl.service[ix];
	if (c->view.service[ix].undone_ms != 0)
		note(r, DR_REASON_SYNC_UNDONE, c->view.service[ix].member[s->holder].report.sync_k, s->next.k, s->holder);
}

static void note_failsafe(const struct dr_core *c, uint32_t ix, struct dr_readiness *r)
{
	dr_member_ix holder = c->repl.service[ix].holder;
	if (dr_heard_age(c, ix, holder) > c->repl.timing.detect_after_ms)
		return;
	enum dr_failsafe f = c->view.service[ix].member[holder].report.failsafe;
	if (f == DR_FAILSAFE_NONE || f == DR_FAILSAFE_MISSING)
		note(r, DR_REASON_NO_FAILSAFE, 0, 0, DR_MEMBER_NONE);
}

/* Automatic moves that come before the service's own when its site is lost, as `simulate` counts them (forecast_site.c); of one
 * that was not judged yet it is taken that it moves. */
static uint32_t moves_before(const struct dr_core *c, uint32_t ix, const struct dr_name *site, const struct dr_readiness *of)
{
	const struct dr_repl *r = &c->repl;
	uint32_t own = r->service[ix].spec.group, n = 0;
	for (uint32_t i = 0; i < r->services && n < r->limits.automatic_moves; i++) {
		uint32_t group = r->service[i].spec.group;
		if (group > own || (group == own && i >= ix) || !dr_site_plan_takes(r, &r->service[i], DR_PLAN_FAILOVER, site))
			continue;
		n += of[i].site != DR_READY_UNKNOWN ? of[i].moves : 1;
	}
	return n;
}

static void judge_site(const struct dr_core *live, struct dr_forecast_room *room, struct dr_forecast_ask *q,
		       const struct dr_past *past, struct dr_readiness *of)
{
	const struct dr_service *s = &live->repl.service[q->service];
	struct dr_readiness *out = &of[q->service];
	uint32_t elsewhere, all;
	struct dr_forecast f;
	q->site = s->spec.member[s->holder].site;
	q->moves = moves_before(live, q->service, &q->site, of);
	dr_ready_coordinators(&live->repl, &q->site, &elsewhere, &all);
	if (2 * elsewhere <= all) {
		blocks(out, DR_REASON_FEW_COORDINATORS, elsewhere, all);
		out->site = DR_READY_NO;
		return;
	}
	out->site_ms = out->host_ms;
	if (!others_there(s) && !coordinator_there(&live->repl, &q->site) && q->moves == 0)
		return;
	dr_forecast(live, room, q, past, &f);
	out->site = worse(out->site, take_forecast(out, &f));
	out->site_ms = f.writable_ms;
	out->moves = f.moves;
}

void dr_ready_judge(const struct dr_core *live, struct dr_forecast_room *room, uint32_t service, const struct dr_past *past,
		    struct dr_readiness *of)
{
	const struct dr_service *s = &live->repl.service[service];
	struct dr_readiness *out = &of[service];
	struct dr_forecast f;
	memset(out, 0, sizeof(*out));
	if (!s->used || !s->managed)
		return;
	struct dr_forecast_ask q = { .service = service, .lost = true, .request = DR_REQ_FAILOVER, .to = DR_MEMBER_NONE };
	if (s->holder == DR_MEMBER_NONE || s->primary_epoch != s->epoch) {
		out->host = out->site = DR_READY_NO;
		blocks(out, s->plan.id != 0 ? DR_REASON_PLAN_IS_OPEN : DR_REASON_NO_PRIMARY, s->plan.id, 0);
		note_members(live, service, out);
		return;
	}
	dr_forecast(live, room, &q, past, &f);
	out->host = out->site = take_forecast(out, &f);
	out->host_ms = f.writable_ms;
	out->moves = f.moves;
	judge_site(live, room, &q, past, of);
	note_members(live, service, out);
	note_routes(s, out);
	note_sync(live, service, out);
	note_failsafe(live, service, out);
	note_failing(live, service, out);
}
