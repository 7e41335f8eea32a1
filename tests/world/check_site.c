/* check_site.c -- site plans (docs/sites.md), after each command: whose turn it is, what became of each service, and what is
 * said at the end.
 *
 * What counts as moved is where it was to go, who was not moved stands with a reason, no group goes on before the one in
 * front of it has ended, and what a person took upon himself is taken once. */
#include "tests/world/runbook.h"

#include <string.h>

static bool in_site(const struct dr_service *s, dr_member_ix m, const struct dr_name *site)
{
	return m < DR_MEMBERS_MAX && dr_name_eq(&s->spec.member[m].site, site);
}

static bool is_pending(const struct dr_part *t)
{
	return t->state == DR_PART_WAITING || t->state == DR_PART_MOVING;
}

static void check_part(struct world *w, struct w_service *of, const struct dr_site_plan *p, const struct dr_service *s)
{
	const struct dr_part *t = &s->part;
	unsigned long long id = p->id;
	if (t->plan != p->id)
		return;
	if (t->state == DR_PART_DONE && of->seen.part != t->plan) {
		of->seen.part = t->plan;
		if (in_site(s, s->holder, &p->site) != (p->kind == DR_PLAN_FAILBACK))
			w_violation(w, "site plan %llu counts %s as moved, which it is not", id, s->spec.name.s);
	}
	if (t->state == DR_PART_LEFT && t->left == DR_REASON_NONE)
		w_violation(w, "site plan %llu leaves %s without a reason", id, s->spec.name.s);
	if (!p->open && t->state != DR_PART_DONE && t->state != DR_PART_LEFT && t->state != DR_PART_MOVING)
		w_violation(w, "site plan %llu is closed, and %s still waits for its turn", id, s->spec.name.s);
	if (p->open && is_pending(t) && t->group < p->group)
		w_violation(w, "site plan %llu goes on to group %u, and %s of group %u is not through", id, p->group,
			    s->spec.name.s, t->group);
}

/* So many of the group whose turn it is are not through: when it thinks that nobody is, it is over. */
static void check_pending(struct world *w, const struct dr_site_plan *p, const struct dr_repl *r)
{
	uint32_t pending = 0;
	for (uint32_t i = 0; i < w->services; i++) {
		const struct dr_part *t = &r->service[i].part;
		pending += t->plan == p->id && is_pending(t) && t->group == p->group ? 1u : 0u;
	}
	bool steps_turn = p->pending == 0 && (p->running != 0 || p->asks || p->undoing);
	if (!steps_turn && (pending != p->pending || pending == 0))
		w_violation(w, "site plan %llu waits for %u of group %u, of which %u are not through", (unsigned long long)p->id,
			    p->pending, p->group, pending);
}

static const struct dr_event_record *closing_event(const struct dr_repl *r, uint64_t plan)
{
	for (uint64_t i = r->event_last; i > 0; i--) {
		const struct dr_event_record *e = dr_repl_event(r, i);
		if (e == NULL || (e->kind == DR_EVENT_SITE_CLOSED && e->plan == plan))
			return e;
	}
	return NULL;
}

static uint32_t steps_failed(const struct dr_site_plan *p)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->steps; i++) {
		enum dr_site_step_state s = p->step[i].state;
		bool ending = s == DR_SITE_STEP_ENDING || s == DR_SITE_STEP_UNDO_ENDING;
		bool failed = s == DR_SITE_STEP_FAILED || s == DR_SITE_STEP_UNDO_FAILED;
		n += failed || (ending && p->step[i].why == DR_REASON_STEP_GIVEN_UP) ? 1u : 0u;
	}
	return n;
}

/* Its last event names each that was left, and why, as far as there is room; one that was given up names none. */
static void check_closed(struct world *w, const struct dr_site_plan *p, const struct dr_repl *r)
{
	const struct dr_event_record *e = closing_event(r, p->id);
	unsigned long long id = p->id;
	if (e == NULL) {
		w_violation(w, "site plan %llu is closed, and no event says so", id);
		return;
	}
	if ((e->outcome == DR_OUTCOME_DONE) != (p->left == 0 && p->done == p->services && steps_failed(p) == 0))
		w_violation(w, "site plan %llu says %s, with %u moved and %u left of %u", id, dr_outcome_name(e->outcome), p->done,
			    p->left, p->services);
	for (uint32_t i = 0; i < w->services && e->actor.s[0] == '\0'; i++) {
		const struct dr_service *s = &r->service[i];
		bool named = strstr(e->text, s->spec.name.s) != NULL || strstr(e->text, " ...") != NULL;
		if (s->part.plan == p->id && s->part.state == DR_PART_LEFT && !named)
			w_violation(w, "site plan %llu leaves %s, and its end does not name it", id, s->spec.name.s);
	}
}

static void check_turns(struct world *w, const struct dr_site_plan *p, const struct dr_repl *r)
{
	struct w_seen_site_plan *was = &w->seen.site_plan[p->id % W_SITE_PLANS_SEEN];
	if (was->id > p->id)
		return;
	if (was->id == p->id && p->group < was->group)
		w_violation(w, "site plan %llu goes back to group %u", (unsigned long long)p->id, p->group);
	if (was->id == p->id && p->open && !was->open)
		w_violation(w, "site plan %llu is open again", (unsigned long long)p->id);
	if (p->open)
		check_pending(w, p, r);
	else if (was->id == p->id && was->open)
		check_closed(w, p, r);
	*was = (struct w_seen_site_plan){ .id = p->id, .group = p->group, .open = p->open };
}

void w_check_site(struct world *w, const struct dr_repl *r)
{
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		const struct dr_site_plan *p = &r->site_plan[i];
		if (p->id == 0)
			continue;
		for (uint32_t s = 0; s < w->services; s++)
			check_part(w, &w->s[s], p, &r->service[s]);
		check_turns(w, p, r);
		w_check_runbook(w, p);
		if (p->done + p->left > p->services)
			w_violation(w, "site plan %llu has %u moved and %u left of %u", (unsigned long long)p->id, p->done, p->left,
				    p->services);
	}
}

/* It opens plans for services of the group whose turn it is; and what a person has accepted or vouched for was said once, of
 * what stood there then. */
void w_check_turn(struct world *w, const struct w_service *of, const struct dr_repl *r, const struct dr_cmd *cmd)
{
	const struct dr_service *s = &r->service[of->ix];
	const struct dr_part *t = &s->part;
	const struct dr_site_plan *p = dr_repl_site_plan(r, t->plan);
	bool opened = cmd->kind == DR_CMD_PLAN_OPEN && s->plan.id > of->seen.plan.id;
	bool by_itself = cmd->request == 0 && (cmd->site_plan != 0 || (p != NULL && p->kind == DR_PLAN_FAILOVER));
	if (!opened || p == NULL || !p->open || t->own != s->plan.id)
		return;
	if (by_itself && t->group != p->group)
		w_violation(w, "site plan %llu moves %s of group %u in the turn of group %u", (unsigned long long)p->id,
			    s->spec.name.s, t->group, p->group);
	if (cmd->request == 0 && t->tries > 1 && (s->plan.accept_loss || s->plan.assert_fenced))
		w_violation(w, "site plan %llu tries %s again with what somebody said of the first time", (unsigned long long)p->id,
			    s->spec.name.s);
}
