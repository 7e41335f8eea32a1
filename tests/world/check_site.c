/* check_site.c -- site plans (docs/sites.md), after each command: what counts as moved is where it was to go, and who was not
 * moved stands with a reason. */
#include "tests/world/runbook.h"

static bool in_site(const struct dr_service *s, dr_member_ix m, const struct dr_name *site)
{
	return m < DR_MEMBERS_MAX && dr_name_eq(&s->spec.member[m].site, site);
}

static void check_part(struct world *w, const struct dr_site_plan *p, const struct dr_service *s)
{
	const struct dr_part *t = &s->part;
	if (t->plan != p->id)
		return;
	if (t->state == DR_PART_DONE && w->seen.part != t->plan) {
		w->seen.part = t->plan;
		if (in_site(s, s->holder, &p->site) != (p->kind == DR_PLAN_FAILBACK))
			w_violation(w, "site plan %llu counts %s as moved, which it is not", (unsigned long long)p->id,
				    s->spec.name.s);
	}
	if (t->state == DR_PART_LEFT && t->left == DR_REASON_NONE)
		w_violation(w, "site plan %llu leaves %s without a reason", (unsigned long long)p->id, s->spec.name.s);
	if (!p->open && t->state != DR_PART_DONE && t->state != DR_PART_LEFT && t->state != DR_PART_MOVING)
		w_violation(w, "site plan %llu is closed, and %s still waits for its turn", (unsigned long long)p->id,
			    s->spec.name.s);
}

void w_check_site(struct world *w, const struct dr_repl *r)
{
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		const struct dr_site_plan *p = &r->site_plan[i];
		if (p->id == 0)
			continue;
		check_part(w, p, &r->service[0]);
		w_check_runbook(w, p);
		if (p->done + p->left > p->services)
			w_violation(w, "site plan %llu has %u moved and %u left of %u", (unsigned long long)p->id, p->done, p->left,
				    p->services);
	}
}
