/* runbook.c -- whoever carries out the steps of site plans (coord/shell/runbook.c, adapters/steps.c): a coordinator, or an
 * agent for steps whose name begins with "agent-".  How one goes follows from the rest of its name: "bad..." fails, "slow..."
 * takes its time, "mute..." runs until the end that it was given, and nobody ever says anything of it.
 *
 * What runs is a process of its own: it outlives the coordinator that began it, and one that is killed takes a moment to end.
 * Where it runs is remembered, so that nobody begins what was cancelled. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"
#include "tests/world/runbook.h"

enum { STEP_MS = 20, SLOW_MS = 600, KILL_MS = 20, AGENT = W_COORDS_MAX, NOBODY_ASKS = UINT32_MAX };

static bool begins(const struct dr_name *name, const char *with)
{
	return strncmp(name->s, with, strlen(with)) == 0;
}

static bool is_agents(const struct dr_name *name)
{
	return begins(name, "agent-");
}

/* How the name goes on after whose step it is. */
static bool goes(const struct dr_name *name, const char *how)
{
	const char *rest = name->s + (is_agents(name) ? strlen("agent-") : 0);
	return strncmp(rest, how, strlen(how)) == 0;
}

static uint64_t key_of(const struct dr_site_step_wanted *now)
{
	return (now->plan * DR_RUNBOOK_MAX + now->step) * 2 + (now->undo ? 1 : 0) + 1;
}

static struct w_job *find(struct world *w, uint32_t place, uint64_t key)
{
	for (uint32_t i = 0; i < W_JOBS_MAX; i++) {
		if (w->job[i].key == key && w->job[i].place == place && !w->job[i].dropped)
			return &w->job[i];
	}
	return NULL;
}

/* The place of one that is over, the oldest first. */
static struct w_job *new_job(struct world *w, uint32_t place, uint64_t key)
{
	struct w_job *best = NULL;
	for (uint32_t i = 0; i < W_JOBS_MAX; i++) {
		struct w_job *j = &w->job[i];
		if (!j->running && (best == NULL || j->nth < best->nth))
			best = j;
	}
	dr_assert(best != NULL);
	*best = (struct w_job){ .place = place, .key = key, .nth = ++w->jobs, .canceller = NOBODY_ASKS };
	return best;
}

static uint32_t site_of(const struct world *w, uint32_t place)
{
	return place == AGENT ? w->m[1].site : w->c[place].site;
}

/* ---- what became of one, on its way to a coordinator */

static void hear(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->a];
	const struct w_job *j = t->data;
	if (c->core == NULL)
		return;
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		struct dr_site_step_wanted now;
		if (!dr_core_site_step(c->core, i, &now) || key_of(&now) != j->key || now.end != j->cancelled)
			continue;
		if (now.end)
			c->site_step_silent[i] &= ~(1u << j->place);
		if (now.end && c->site_step_silent[i] != 0)
			return;
		struct dr_core_event ev = { .kind = DR_EV_SITE_STEP, .site_plan = now.plan, .step = now.step, .undo = now.undo,
					    .nobody = now.end, .done = !j->bad, .text = j->bad ? "exit code 1" : "" };
		w_coord_event(w, t->a, &ev);
		return;
	}
}

static void tell(struct world *w, const struct w_job *j, uint32_t ci)
{
	struct w_timer *t = w_send(w, site_of(w, j->place), w->c[ci].site, w_proc(W_COORD, ci), hear);
	struct w_job *copy = dr_xcalloc(sizeof(*copy));
	*copy = *j;
	t->data = copy;
	t->size = sizeof(*copy);
	t->a = ci;
}

static void tell_all(struct world *w, const struct w_job *j)
{
	for (uint32_t ci = 0; ci < w->coords && !j->mute; ci++)
		tell(w, j, ci);
}

/* ---- one runs */

static void over(struct world *w, struct w_timer *t)
{
	struct w_job *j = &w->job[t->a];
	if (!j->running || j->nth != t->u)
		return;
	j->running = false;
	if (j->canceller != NOBODY_ASKS)
		tell(w, j, j->canceller);
	if (!j->cancelled && !j->dropped)
		tell_all(w, j);
}

static void over_in(struct world *w, const struct w_job *j, uint64_t ms)
{
	struct w_timer *t = w_after(w, ms, over);
	t->a = (uint32_t)(j - w->job);
	t->u = j->nth;
}

static void check_beside(struct world *w, const struct dr_site_step_wanted *now)
{
	for (uint32_t i = 0; i < W_JOBS_MAX && now->undo; i++) {
		const struct w_job *j = &w->job[i];
		if (j->running && j->key + 1 == key_of(now))
			w_violation(w, "site plan %llu: step %s is undone while it still runs", (unsigned long long)now->plan,
				    now->does->name.s);
	}
}

static void begin(struct world *w, uint32_t place, const struct dr_site_step_wanted *now)
{
	const struct dr_name *name = &now->does->name;
	struct w_job *j = find(w, place, key_of(now));
	uint32_t ms = goes(name, "slow") && !now->undo ? SLOW_MS : STEP_MS;
	if (j != NULL && !j->running) /* it has ended for a leader before */
		tell_all(w, j);
	if (j != NULL)
		return;
	check_beside(w, now);
	j = new_job(w, place, key_of(now));
	j->running = true;
	j->bad = goes(name, "bad");
	j->mute = goes(name, "mute");
	over_in(w, j, j->mute || ms > now->left_ms ? now->left_ms : ms);
}

/* ---- one is not wanted any more */

static void drop(struct world *w, uint32_t ci, uint64_t key)
{
	struct w_job *j = find(w, ci, key);
	if (j == NULL || !j->running || j->cancelled)
		return;
	j->dropped = true;
	over_in(w, j, KILL_MS);
}

static void cancelled(struct world *w, struct w_timer *t)
{
	uint32_t place = t->a, by = t->b;
	if (place != AGENT && w->c[place].core == NULL)
		return;
	struct w_job *j = find(w, place, t->u);
	if (j == NULL)
		j = new_job(w, place, t->u);
	j->cancelled = true;
	j->canceller = by;
	if (j->running)
		over_in(w, j, KILL_MS);
	else
		tell(w, j, by);
}

static void cancel_all(struct world *w, uint32_t ci, uint32_t i, const struct dr_site_step_wanted *now)
{
	bool agents = is_agents(&now->does->name);
	for (uint32_t place = agents ? AGENT : 0; place < (agents ? AGENT + 1 : w->coords); place++) {
		uint32_t proc = place == AGENT ? W_NOBODY : w_proc(W_COORD, place);
		struct w_timer *t = w_send(w, w->c[ci].site, site_of(w, place), proc, cancelled);
		w->c[ci].site_step_silent[i] |= 1u << place;
		t->a = place;
		t->b = ci;
		t->u = key_of(now);
	}
}

static void have_done(struct world *w, uint32_t ci, uint32_t i, const struct dr_site_step_wanted *now)
{
	const char *how = now->end ? "to end " : now->undo ? "to undo " : "";
	w_say(w, "%s wants %sstep %s", w->c[ci].name, how, now->does->name.s);
	w->c[ci].site_step_silent[i] = 0;
	if (now->end)
		cancel_all(w, ci, i, now);
	else
		begin(w, is_agents(&now->does->name) ? AGENT : ci, now);
}

void w_runbook_carry_out(struct world *w, uint32_t ci)
{
	struct w_coordinator *c = &w->c[ci];
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		struct dr_site_step_wanted now;
		bool wanted = dr_core_site_step(c->core, i, &now);
		uint64_t was = c->site_step[i], which = wanted ? key_of(&now) * 2 + (now.end ? 1 : 0) : 0;
		c->site_step[i] = which;
		if (was != 0 && was / 2 != which / 2)
			drop(w, ci, was / 2);
		if (wanted && was != which)
			have_done(w, ci, i, &now);
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
	enum dr_site_step_state turn = p->running != 0 ? p->step[p->running - 1].state : DR_SITE_STEP_WAITING;
	bool ending = turn == DR_SITE_STEP_ENDING || turn == DR_SITE_STEP_UNDO_ENDING;
	if (p->running != 0 && (p->pending != 0 || (!p->open && !ending)))
		w_violation(w, "site plan %llu: services and a step have their turn at once", (unsigned long long)p->id);
}
