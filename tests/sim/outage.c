/* outage.c -- all coordinators are gone for a while, and what else goes wrong around it: the moments in which promises
 * (design.md 4.8) are all that stands between two primaries. */
#include <string.h>

#include "base/assert.h"
#include "tests/sim/sim.h"

enum { JUST_EXTENDED_MS = 20, FORCE_EVERY_MS = 20, FORCE_MS = 3000 };
enum { REPLACE_MS = 3000, REPLACED_LIVES_MS = 1500, APPEND_EVERY_MS = 10 };
enum { /* bits of OUTAGE */
	OUTAGE_NO_CUT = 1,   /* with OUTAGE_WAITED too: the primary is not cut off when the second coordinator is back */
	OUTAGE_FORGETS = 2,  /* ... and the other agents are started again */
	OUTAGE_UNLISTED = 4, /* a standby got another agent just before, and no list is acknowledged */
	OUTAGE_LOSE = 8,     /* a standby's host is down for the first half */
	OUTAGE_STUTTER = 16, /* the agents are stopped for moments, now one, now another */
	OUTAGE_RELISTED = 32, /* with UNLISTED: the list is acknowledged after it; renewals are lost, the leader dies */
	OUTAGE_WAITED = 64,  /* the first coordinator back has waited for the lease before it leads */
	OUTAGE_FORCED = 128, /* somebody orders a failover as soon as anybody leads */
	OUTAGE_ALL = 256
};

/* An operator who does not wait for a verdict. */
static void force(struct world *w, struct w_timer *t)
{
	const struct dr_service *v = w_repl(w, t->service);
	struct dr_request q = { .kind = DR_REQ_FAILOVER, .force = true, .service = w->service[t->service].name };
	bool lost = v != NULL && v->plan.id == 0 && v->holder < DR_MEMBERS_MAX && v->epoch == t->u;
	if (w->now > t->b || v == NULL || v->epoch > t->u)
		return;
	dr_assert(dr_name_set(&q.actor, "anna"));
	if (lost && w->leader >= 0 && w_request(w, &q) == DR_REASON_NONE)
		return;
	struct w_timer *next = w_after(w, FORCE_EVERY_MS, force);
	next->service = t->service;
	next->b = t->b;
	next->u = t->u;
}

static uint32_t holder_of(struct world *w, uint32_t service)
{
	const struct dr_service *v = w_repl(w, service);
	return v != NULL ? w_member_at(&w->s[service], v->holder) : W_MEMBERS_MAX;
}

/* The cut that hurts most comes right after the lease was extended. */
static void cut_when_extended(struct world *w, struct w_timer *t)
{
	uint32_t holder = holder_of(w, t->service);
	if (holder >= w->members)
		return;
	const struct w_member *m = &w->m[holder];
	uint64_t now = w_clock(w, &m->clock);
	bool just = m->core.extended_until_ms + JUST_EXTENDED_MS > now + m->core.timing.ttl_ms;
	struct w_timer *next;
	if (!just && w->now < t->b) {
		next = w_after(w, 2, cut_when_extended);
		next->b = t->b;
	} else {
		next = w_after(w, 1, sim_isolate_now);
	}
	next->service = t->service;
	next->a = t->a;
	next->u = t->u;
}

static void outage_ends(struct world *w, struct w_timer *t)
{
	struct sim *s = sim_of(w);
	const struct w_service *of = &w->s[t->service];
	uint32_t holder = holder_of(w, t->service);
	if (holder >= w->members)
		return;
	for (uint32_t i = of->first; (t->a & OUTAGE_FORGETS) != 0 && i < of->first + of->members; i++) {
		if (i != holder && s->until.node[i] == 0)
			w_agent_kill(w, i);
	}
	bool relisted = (t->a & OUTAGE_UNLISTED) != 0 && (t->a & OUTAGE_RELISTED) != 0;
	if (relisted) {
		memset(w->m[holder].mute, 0, sizeof(w->m[holder].mute));
		w->m[holder].renewals_lost = true;
		sim_extend(&s->until.renewals[holder], w->now + 2000);
	}
	if ((t->a & OUTAGE_NO_CUT) != 0 && (t->a & OUTAGE_WAITED) != 0)
		return;
	if ((t->a & OUTAGE_FORCED) != 0)
		force(w, &(struct w_timer){ .service = of->ix, .b = (uint32_t)w->now + FORCE_MS, .u = w_repl(w, of->ix)->epoch });
	struct w_timer *cut = w_after(w, relisted ? 1 + t->b % 700 : 1, cut_when_extended);
	cut->service = of->ix;
	cut->a = relisted ? SIM_ISOLATE_LEADER : 0;
	cut->b = (uint32_t)w->now + 2 * w->spec.timing.ttl_ms;
	cut->u = t->u;
}

/* Another agent speaks for the last member from now on, and what would list it again hangs. */
static void unlist(struct sim *s, const struct w_service *of)
{
	struct world *w = s->w;
	struct dr_spec_member *last = &w->service[of->ix].member[of->members - 1];
	if (w->specs + SIM_SPECS_LEFT >= W_SPECS_MAX || last->name.s[0] == '\0')
		return;
	struct dr_name was = last->agent;
	dr_assert(dr_name_set(&last->agent, dr_name_is(&was, "agent-x") ? "agent-y" : "agent-x"));
	if (!sim_ask_apply(w))
		last->agent = was;
	for (uint32_t i = of->first; i < of->first + of->members; i++) {
		w->m[i].mute[DR_ORDER_LISTED] = true;
		sim_extend(&s->until.mute[i], w->now + 20000);
	}
}

/* One agent at a time, for less than it takes to ask again, so that its answer is the last one. */
static void stutter(struct world *w, struct w_timer *t)
{
	if (w->now >= t->u)
		return;
	w_pause(w, w_proc(W_AGENT, t->b % w->members), 1 + t->b / 7 % (w->spec.timing.renew_ms / 2));
	struct w_timer *next = w_after(w, w->spec.timing.renew_ms / 2, stutter);
	next->u = t->u;
	next->b = t->b * 1103515245u + 12345u;
}

static void outage_begins(struct world *w, struct w_timer *t)
{
	struct sim *s = sim_of(w);
	uint64_t back = w->now + t->u;
	uint64_t ttl = w->spec.timing.ttl_ms;
	uint64_t apart = t->b % ttl + ((t->a & OUTAGE_WAITED) != 0 ? ttl : 0);
	w_say(w, "all coordinators are killed");
	for (uint32_t i = 0; i < w->coords; i++)
		sim_kill_coord(s, i, back + i * apart);
	if ((t->a & OUTAGE_LOSE) != 0)
		sim_kill_node(s, t->b % w->members, w->now + t->u / 2, false);
	if ((t->a & OUTAGE_STUTTER) != 0)
		stutter(w, &(struct w_timer){ .u = back + apart + 3000, .b = t->b });
	struct w_timer *end = w_after(w, t->u + apart + 1 + t->b % 400, outage_ends);
	end->service = t->service;
	end->a = t->a;
	end->b = t->b / 400;
	end->u = 3000 + t->b % 4000;
}

void sim_outage(struct sim *s, const struct sim_fault *f)
{
	uint32_t how = f->b % OUTAGE_ALL;
	if ((how & OUTAGE_UNLISTED) != 0)
		unlist(s, w_service_of(s->w, f->a));
	struct w_timer *t = w_after(s->w, (how & OUTAGE_UNLISTED) != 0 ? 400 : 1, outage_begins);
	t->service = s->w->m[f->a].service;
	t->a = how;
	t->b = f->b / OUTAGE_ALL;
	t->u = f->ms;
}

/* ---- a log that is replaced: a leader that is cut off appends what never commits, another one leads and replaces it,
 * and dies together with the way to the primary, so that the first one may lead again */

static void ask_pause(struct world *w, bool on)
{
	struct dr_request q = { .kind = on ? DR_REQ_PAUSE : DR_REQ_RESUME, .service = w->service[0].name };
	dr_assert(dr_name_set(&q.actor, "anna"));
	if (w->leader >= 0)
		(void)w_request(w, &q);
}

static void replacer_dies(struct world *w, struct w_timer *t)
{
	struct sim *s = sim_of(w);
	ask_pause(w, false);
	if (w->leader < 0)
		return;
	sim_kill_coord(s, (uint32_t)w->leader, w->now + t->u);
	sim_isolate_now(w, &(struct w_timer){ .u = t->u });
}

static void replacing(struct world *w, struct w_timer *t)
{
	struct sim *s = sim_of(w);
	bool replaced = w->leader >= 0 && w->leader != (int)t->a;
	struct w_timer *next;
	if (!replaced && w->now >= t->until) {
		ask_pause(w, false);
		return;
	}
	if (replaced) {
		uint32_t site = w->c[t->a].site;
		for (uint32_t i = 0; i < w->sites; i++)
			s->until.cut[site][i] = s->until.cut[i][site] = i != site ? w->now + 1 : 0;
		next = w_after(w, 1 + t->b % REPLACED_LIVES_MS, replacer_dies);
		next->u = t->u;
		return;
	}
	ask_pause(w, true);
	next = w_after(w, APPEND_EVERY_MS, replacing);
	next->a = t->a;
	next->b = t->b;
	next->u = t->u;
	next->until = t->until;
}

void sim_replace_log(struct sim *s, const struct sim_fault *f)
{
	struct world *w = s->w;
	if (w->leader < 0)
		return;
	sim_cut_site(s, w->c[w->leader].site, w->now + REPLACE_MS);
	w_cut_changed(w);
	replacing(w, &(struct w_timer){ .a = (uint32_t)w->leader, .b = f->b, .u = f->ms, .until = w->now + REPLACE_MS });
}
