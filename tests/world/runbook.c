/* runbook.c -- whoever carries out the steps of site plans (coord/shell/runbook.c): each takes a moment, and how it ends
 * follows from its name: "bad..." fails, of "mute..." nobody ever says anything. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"
#include "tests/world/runbook.h"

enum { STEP_MS = 20 };

/* One that is under way. */
struct job {
	uint64_t plan;
	uint32_t step;
	bool undo;
};

static bool begins(const struct dr_name *name, const char *with)
{
	return strncmp(name->s, with, strlen(with)) == 0;
}

static void ends(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->a];
	const struct job *j = t->data;
	if (c->core == NULL || c->life != t->b)
		return;
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		struct dr_site_step_wanted now;
		if (!dr_core_site_step(c->core, i, &now) || now.plan != j->plan || now.step != j->step || now.undo != j->undo)
			continue;
		bool bad = begins(&now.does->name, "bad");
		struct dr_core_event ev = { .kind = DR_EV_SITE_STEP, .site_plan = j->plan, .step = j->step, .undo = j->undo,
					    .done = !bad, .text = bad ? "exit code 1" : "" };
		w_coord_event(w, t->a, &ev);
		return;
	}
}

static void begin(struct world *w, uint32_t ci, const struct dr_site_step_wanted *now)
{
	if (begins(&now->does->name, "mute"))
		return;
	struct w_timer *t = w_after(w, STEP_MS, ends);
	struct job *j = dr_xcalloc(sizeof(*j));
	*j = (struct job){ .plan = now->plan, .step = now->step, .undo = now->undo };
	t->data = j;
	t->size = sizeof(*j);
	t->proc = w_proc(W_COORD, ci);
	t->a = ci;
	t->b = w->c[ci].life;
}

void w_runbook_carry_out(struct world *w, uint32_t ci)
{
	struct w_coordinator *c = &w->c[ci];
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		struct dr_site_step_wanted now;
		bool wanted = dr_core_site_step(c->core, i, &now);
		uint64_t which = wanted ? now.plan * 2 * DR_RUNBOOK_MAX + 2 * now.step + (now.undo ? 1 : 0) + 1 : 0;
		if (wanted && c->site_step[i] != which) {
			w_say(w, "%s wants %sstep %s", c->name, now.undo ? "to undo " : "", now.does->name.s);
			begin(w, ci, &now);
		}
		c->site_step[i] = which;
	}
}

struct dr_runbook_step *w_runbook_add(struct world *w, const char *name, enum dr_runbook_when when, uint32_t group)
{
	uint32_t i = 0;
	while (w->spec.runbook[i].name.s[0] != '\0')
		dr_assert(++i < DR_RUNBOOK_MAX);
	struct dr_runbook_step *s = &w->spec.runbook[i];
	*s = (struct dr_runbook_step){ .when = when, .group = group, .timeout_ms = 1000 };
	dr_assert(dr_name_set(&s->name, name) && dr_copy_text(s->run, sizeof(s->run), "do") &&
		  dr_copy_text(s->undo, sizeof(s->undo), "undo"));
	return s;
}

void w_runbook_words(struct world *w, const char *name, const char *when, const char *how)
{
	uint64_t group = 0;
	enum dr_runbook_when at = strcmp(when, "before") == 0 ? DR_RUNBOOK_BEFORE
				  : strcmp(when, "after") == 0 ? DR_RUNBOOK_AFTER
							       : DR_RUNBOOK_AFTER_GROUP;
	if (at == DR_RUNBOOK_AFTER_GROUP)
		dr_assert(dr_parse_u64(when, 0, DR_GROUP_MAX, &group) == DR_OK);
	struct dr_runbook_step *s = w_runbook_add(w, name, at, (uint32_t)group);
	s->on_failure = strcmp(how, "stop") == 0 ? DR_RUNBOOK_STOP : DR_RUNBOOK_GO_ON;
	s->plans = strcmp(how, "planned") == 0	  ? DR_RUNBOOK_PLANNED
		   : strcmp(how, "failover") == 0 ? DR_RUNBOOK_FAILOVER
						  : DR_RUNBOOK_ANY;
}

/* One thing at a time: while a step has its turn no service has, and what was closed has nothing under way. */
void w_check_runbook(struct world *w, const struct dr_site_plan *p)
{
	for (uint32_t i = 0; i < p->steps; i++) {
		bool runs = p->step[i].state == DR_SITE_STEP_RUNNING || p->step[i].state == DR_SITE_STEP_UNDOING;
		if (runs && p->running != i + 1 && p->open)
			w_violation(w, "site plan %llu: step %s is under way without its turn", (unsigned long long)p->id,
				    p->step[i].name.s);
		if (p->step[i].state == DR_SITE_STEP_RUNNING && p->undoing)
			w_violation(w, "site plan %llu does and undoes at once", (unsigned long long)p->id);
		if (p->step[i].state == DR_SITE_STEP_UNDONE && (!p->undoing || p->kind == DR_PLAN_FAILOVER))
			w_violation(w, "site plan %llu undid %s, and was not taken back", (unsigned long long)p->id,
				    p->step[i].name.s);
		for (uint32_t k = i + 1; k < p->steps && p->undoing && p->open; k++) {
			if (p->step[i].state == DR_SITE_STEP_UNDONE && p->step[k].state == DR_SITE_STEP_DONE)
				w_violation(w, "site plan %llu undoes %s before %s", (unsigned long long)p->id,
					    p->step[i].name.s, p->step[k].name.s);
		}
	}
	if (p->running != 0 && (p->pending != 0 || !p->open))
		w_violation(w, "site plan %llu: services and a step have their turn at once", (unsigned long long)p->id);
}
