/* sites.c -- somebody orders a site plan (docs/sites.md) at a bad moment, and the leader is killed at one of its steps. */
#include "base/assert.h"
#include "tests/sim/sim.h"
#include "tests/world/runbook.h"

enum { WATCH_MS = 20000, STEPS_MOST = 16, LOSE_AFTER_MS = 20, LOSE_MORE_MS = 1000, LOSE_LEAST_MS = 1500,
       WAITS_MS = 30000 };

static const struct dr_repl *newest(const struct world *w)
{
	return w->leader >= 0 ? &w->c[w->leader].core->repl : NULL;
}

/* The primary's site, or the one that it was moved away from, or any. */
static uint32_t name_site(struct world *w, const struct dr_repl *r, const struct sim_fault *f, struct dr_request *q)
{
	const struct w_service *of = w_service_of(w, f->a);
	uint32_t site = w->m[f->a].site;
	uint32_t home = w_member_at(of, r->service[of->ix].home), holder = w_member_at(of, r->service[of->ix].holder);
	if (q->kind == DR_REQ_FAILBACK && home < w->members)
		site = w->m[home].site;
	else if (q->kind != DR_REQ_FAILBACK && holder < w->members && f->b % 4 != 0)
		site = w->m[holder].site;
	q->site = w->spec.site[site].name;
	return site;
}

/* What is refused leaves all as it was. */
static void check_refused(struct world *w, const struct dr_request *q)
{
	for (uint32_t i = 0; i < w->decision->proposals; i++) {
		if (w->decision->propose[i].cmd.request == q->id)
			w_violation(w, "a site plan was refused, and is proposed all the same");
	}
}

/* All that changes from one step to the next: of the site plans, of the services' parts, of their plans. */
static uint64_t step_of(const struct dr_repl *r)
{
	uint64_t all = 0;
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++)
		all += r->site_plan[i].open ? r->site_plan[i].id * 1000 + r->site_plan[i].group * 31 + r->site_plan[i].running : 0;
	for (uint32_t i = 0; i < r->services; i++) {
		const struct dr_service *v = &r->service[i];
		all = ((all * 31 + (uint64_t)v->part.state) * 31 + v->plan.id) * 31 + v->plan.at;
	}
	return all;
}

/* t->a: so many steps are left; t->u: how long the leader is away then; t->until: who watches gives up. */
static void watch(struct world *w, struct w_timer *t)
{
	const struct dr_repl *r = newest(w);
	uint32_t step = r != NULL ? (uint32_t)step_of(r) : t->b;
	uint32_t left = t->a;
	if (r != NULL && step != t->b && left-- == 0) {
		w_say(w, "the leader dies at this step");
		sim_kill_coord(sim_of(w), (uint32_t)w->leader, w->now + t->u);
		return;
	}
	if (w->now >= t->until)
		return;
	struct w_timer *next = w_after(w, 1, watch);
	next->a = left;
	next->b = step;
	next->u = t->u;
	next->until = t->until;
}

/* t->a: a site; t->u: how long.  Whoever could take over from its primaries is gone: their plans come to nothing, and are
 * tried again, without what a person had accepted. */
static void lose_candidates(struct world *w, struct w_timer *t)
{
	for (uint32_t i = 0; i < w->members; i++) {
		if (w->m[i].site != t->a)
			sim_kill_node(sim_of(w), i, w->now + t->u, false);
	}
}

static bool abort_open(struct world *w, const struct dr_repl *r)
{
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		struct dr_request q = { .kind = DR_REQ_ABORT, .plan = r->site_plan[i].id };
		if (!r->site_plan[i].open)
			continue;
		dr_assert(dr_name_set(&q.actor, "anna"));
		(void)w_request(w, &q);
		return true;
	}
	return false;
}

/* In some seeds site plans have steps of people's own; some of those fail. */
void sim_draw_runbook(struct sim *s)
{
	static const char *const names[] = { "first", "bad-first", "between", "bad-between", "last", "bad-last",
					     "slow-first", "mute-first", "agent-slow", "agent-mute" };
	struct sim_dice d = sim_dice(s->seed, 14);
	if (sim_roll(&d, 4) != 0)
		return;
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (sim_roll(&d, i < 6 ? 2 : 4) == 0)
			(void)w_runbook_add(s->w, names[i], i < 6 ? (enum dr_runbook_when)(i / 2) : DR_RUNBOOK_BEFORE, 0);
	}
}

void sim_order_site(struct sim *s, const struct sim_fault *f)
{
	static const enum dr_request_kind kinds[] = { DR_REQ_FAILOVER, DR_REQ_SWITCHOVER, DR_REQ_SWITCHOVER, DR_REQ_FAILBACK };
	struct world *w = s->w;
	const struct dr_repl *r = newest(w);
	struct dr_request q = { .kind = kinds[f->b / 4 % 4], .force = f->b / 16 % 2 == 0 };
	if (r == NULL || r->services == 0 || (f->b / 32 % 8 == 0 && abort_open(w, r)))
		return;
	uint32_t step = (uint32_t)step_of(r);
	dr_assert(dr_name_set(&q.actor, "anna"));
	uint32_t site = name_site(w, r, f, &q);
	q.accept_loss = q.kind == DR_REQ_FAILOVER && f->b / 64 % 2 == 0;
	if (q.kind == DR_REQ_FAILBACK && f->b / 64 % 2 == 0)
		q.until_wall_ms = w->wall0 + w->now + f->b % WAITS_MS; /* by a clock of somebody else, too */
	if (w_request(w, &q) != DR_REASON_NONE) {
		check_refused(w, &q);
		return;
	}
	if (q.accept_loss && f->b / 128 % 2 == 0) {
		struct w_timer *lost = w_after(w, LOSE_AFTER_MS + f->b / 512 % LOSE_MORE_MS, lose_candidates);
		lost->a = site;
		lost->u = LOSE_LEAST_MS + f->ms;
	}
	if (f->b / 256 % 4 == 0)
		return;
	struct w_timer *t = w_after(w, 0, watch);
	t->a = f->b / 1024 % (STEPS_MOST * w->services);
	t->b = step;
	t->u = f->ms;
	t->until = w->now + WATCH_MS;
}
