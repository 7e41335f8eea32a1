/* apply_runbook.c -- the steps of people's own in a site plan: which ones it has, whose turn it is, what became of each.
 *
 *   WAITING --its turn--> RUNNING --done----> DONE ----+--the plan is taken back--> ENDING --nobody runs it--> UNDOING
 *                            +------failed--> FAILED --+                              ^  |                        |
 *                            +------the plan is given up-----------------------------+  +-not undone: as it was  +-> UNDONE
 *                                                                                                     UNDO_FAILED <-+
 *
 * One has its turn at a time, and no service begins meanwhile.  What the steps do stands in the spec; the log says which
 * of them are due, before anybody acts, and how they ended.
 *
 * Nobody undoes what somebody may still be doing: a leader before may have had the step run, and so may one that does not
 * know yet that it is none.  ENDING ends when all who may have it say that they do not, or when its time has passed for
 * whoever was asked (runbook.c).  Its turn may outlive the plan.  UNDO_ENDING is the same for an undo that was given up. */
#include "coord/core/emit.h"

#include <string.h>

static bool planned(enum dr_plan_kind k)
{
	return k != DR_PLAN_FAILOVER;
}

static bool is_of(const struct dr_runbook_step *s, enum dr_plan_kind kind, const struct dr_name *site)
{
	if (s->name.s[0] == '\0' || (s->site.s[0] != '\0' && !dr_name_eq(&s->site, site)))
		return false;
	return s->plans == DR_RUNBOOK_ANY || (s->plans == DR_RUNBOOK_PLANNED) == planned(kind);
}

static uint32_t due(const struct dr_runbook_step *s)
{
	if (s->when == DR_RUNBOOK_AFTER_GROUP)
		return s->group + 1;
	return s->when == DR_RUNBOOK_AFTER ? UINT32_MAX : 0;
}

uint32_t dr_runbook_of(const struct dr_repl *r, enum dr_plan_kind kind, const struct dr_name *site,
		       struct dr_site_step out[DR_RUNBOOK_MAX])
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < DR_RUNBOOK_MAX; i++) {
		const struct dr_runbook_step *s = &r->runbook[i];
		uint32_t at = n;
		if (!is_of(s, kind, site))
			continue;
		for (; at > 0 && out[at - 1].due > due(s); at--)
			out[at] = out[at - 1];
		out[at] = (struct dr_site_step){ .name = s->name, .due = due(s) };
		n++;
	}
	return n;
}

const struct dr_runbook_step *dr_runbook_step(const struct dr_repl *r, const struct dr_name *name)
{
	for (uint32_t i = 0; i < DR_RUNBOOK_MAX; i++) {
		if (r->runbook[i].name.s[0] != '\0' && dr_name_eq(&r->runbook[i].name, name))
			return &r->runbook[i];
	}
	return NULL;
}

/* "NAME", "undo NAME", "NAME: why". */
static void emit(struct dr_repl *r, enum dr_event_kind kind, const struct dr_cmd *cmd, const struct dr_site_plan *p,
		 uint32_t step)
{
	struct dr_cmd plain = { .wall_ms = cmd->wall_ms, .reason = cmd->reason, .a = cmd->a, .b = cmd->b };
	struct dr_event_record *e = dr_emit(r, kind, &plain, NULL);
	const char *part[] = { p->undoing ? "undo " : "", p->step[step].name.s, cmd->text[0] != '\0' ? ": " : "", cmd->text };
	size_t at = 0;
	e->plan = p->id;
	e->plan_kind = (uint32_t)p->kind;
	e->site = p->site;
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		for (size_t k = 0; part[i][k] != '\0' && at + 1 < sizeof(e->text); k++)
			e->text[at++] = part[i][k];
	}
	e->text[at] = '\0';
}

bool dr_site_step_is_ending(const struct dr_site_step *s)
{
	return s->state == DR_SITE_STEP_ENDING || s->state == DR_SITE_STEP_UNDO_ENDING;
}

static void start(struct dr_repl *r, struct dr_site_plan *p, uint32_t step, uint64_t wall_ms)
{
	struct dr_cmd plain = { .wall_ms = wall_ms };
	p->running = step + 1;
	p->step[step].state = p->undoing ? DR_SITE_STEP_UNDOING : DR_SITE_STEP_RUNNING;
	emit(r, DR_EVENT_SITE_STEP_STARTED, &plain, p, step);
}

bool dr_runbook_turn(struct dr_repl *r, struct dr_site_plan *p, bool any, uint32_t group, uint64_t wall_ms)
{
	for (uint32_t i = 0; i < p->steps; i++) {
		if (p->step[i].state != DR_SITE_STEP_WAITING || (any && p->step[i].due > group))
			continue;
		start(r, p, i, wall_ms);
		return true;
	}
	return false;
}

/* One that failed may have done half of what it was to do. */
bool dr_runbook_undo(const struct dr_repl *r, struct dr_site_plan *p)
{
	for (uint32_t i = p->steps; i > 0 && p->running == 0; i--) {
		struct dr_site_step *s = &p->step[i - 1];
		const struct dr_runbook_step *does = dr_runbook_step(r, &s->name);
		bool begun = s->state == DR_SITE_STEP_DONE || s->state == DR_SITE_STEP_FAILED;
		if (!begun || does == NULL || !dr_runbook_has_undo(does))
			continue;
		s->state = DR_SITE_STEP_ENDING;
		p->running = i;
	}
	return p->running != 0;
}

/* As it was before somebody wanted to know that nobody runs it. */
static void settle(struct dr_site_step *s)
{
	if (s->state == DR_SITE_STEP_UNDO_ENDING)
		s->state = DR_SITE_STEP_UNDO_FAILED;
	else
		s->state = s->why == DR_REASON_NONE ? DR_SITE_STEP_DONE : DR_SITE_STEP_FAILED;
}

static void give_up(struct dr_repl *r, struct dr_site_plan *p, uint32_t step, uint64_t wall_ms)
{
	struct dr_cmd plain = { .wall_ms = wall_ms, .reason = DR_REASON_STEP_GIVEN_UP, .a = p->id };
	struct dr_site_step *s = &p->step[step];
	s->state = p->undoing ? DR_SITE_STEP_UNDO_ENDING : DR_SITE_STEP_ENDING;
	s->why = DR_REASON_STEP_GIVEN_UP;
	emit(r, DR_EVENT_SITE_STEP_FAILED, &plain, p, step);
}

void dr_runbook_drop(struct dr_repl *r, struct dr_site_plan *p, uint64_t wall_ms)
{
	struct dr_site_step *s = p->running != 0 ? &p->step[p->running - 1] : NULL;
	p->asks = false;
	if (s != NULL && (s->state == DR_SITE_STEP_RUNNING || s->state == DR_SITE_STEP_UNDOING)) {
		give_up(r, p, p->running - 1, wall_ms);
		return;
	}
	if (s != NULL && dr_site_step_is_ending(s) && s->why == DR_REASON_STEP_GIVEN_UP)
		return;
	if (s != NULL && dr_site_step_is_ending(s))
		settle(s);
	p->running = 0;
}

static bool stops(const struct dr_repl *r, const struct dr_site_plan *p, uint32_t step)
{
	const struct dr_runbook_step *s = dr_runbook_step(r, &p->step[step].name);
	return !p->undoing && s != NULL && s->on_failure == DR_RUNBOOK_STOP;
}

/* Nobody runs it: it is undone now, or all there was to do was to end it. */
static bool is_over(struct dr_repl *r, struct dr_site_plan *p, uint32_t step, uint64_t wall_ms)
{
	const struct dr_runbook_step *does = dr_runbook_step(r, &p->step[step].name);
	bool undo = p->open && p->undoing && does != NULL && dr_runbook_has_undo(does);
	if (undo && p->step[step].state == DR_SITE_STEP_ENDING) {
		start(r, p, step, wall_ms);
		return false;
	}
	settle(&p->step[step]);
	p->running = 0;
	return p->open;
}

bool dr_runbook_ended(struct dr_repl *r, struct dr_site_plan *p, const struct dr_cmd *cmd)
{
	uint32_t at = cmd->step;
	if (p->running == 0 || p->running != at + 1 || p->asks || cmd->force != dr_site_step_is_ending(&p->step[at]))
		return false;
	if (cmd->force)
		return is_over(r, p, at, cmd->wall_ms);
	if (!p->open || cmd->flag2 != p->undoing)
		return false;
	struct dr_site_step *s = &p->step[at];
	if (p->undoing)
		s->state = cmd->flag ? DR_SITE_STEP_UNDONE : DR_SITE_STEP_UNDO_FAILED;
	else
		s->state = cmd->flag ? DR_SITE_STEP_DONE : DR_SITE_STEP_FAILED;
	s->why = cmd->flag ? DR_REASON_NONE : cmd->reason;
	emit(r, cmd->flag ? DR_EVENT_SITE_STEP_DONE : DR_EVENT_SITE_STEP_FAILED, cmd, p, at);
	if (!cmd->flag && stops(r, p, at)) {
		p->asks = true;
		emit(r, DR_EVENT_SITE_ASKS, cmd, p, at);
		return false;
	}
	p->running = 0;
	return true;
}

bool dr_runbook_step_failed(const struct dr_site_step *s)
{
	return s->state == DR_SITE_STEP_FAILED || s->state == DR_SITE_STEP_UNDO_FAILED ||
	       (dr_site_step_is_ending(s) && s->why != DR_REASON_NONE);
}

uint32_t dr_runbook_failed(const struct dr_site_plan *p)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->steps; i++)
		n += dr_runbook_step_failed(&p->step[i]) ? 1u : 0u;
	return n;
}
