/* ackers.c -- standbys that acknowledge because they were told to (docs/decisions/0020): the moments in which somebody else still
 * does, or has forgotten what it did, and right then the others are behind and the primary dies. */
#include "base/assert.h"
#include "tests/sim/sim.h"

enum { FIRST_MS = 6000, THEN_MS = 600 };
enum how { UNHEARD, UNREACHED, STARTED_ANEW, LET_GO, HOW_MAX };

/* Of the set, and not the primary. */
static uint32_t somebody_of_set(const struct world *w, const struct w_service *of, const struct dr_service *v, uint32_t from)
{
	for (uint32_t i = 0; i < of->members; i++) {
		dr_member_ix m = (dr_member_ix)((from + i) % of->members);
		if (m != v->holder && dr_set_has(v->next.set, m))
			return of->first + m;
	}
	return w->members;
}

static void cut(struct sim *s, uint32_t from, uint32_t to, uint64_t until)
{
	s->w->cut[from][to] = true;
	sim_extend(&s->until.cut[from][to], until);
}

static void hold_back(struct sim *s, uint32_t m, uint64_t until)
{
	s->w->m[m].server.held = true;
	sim_extend(&s->until.hold[m], until);
}

static void crash(struct world *w, uint32_t m)
{
	if (w->m[m].server.state != DR_SERVER_STOPPED)
		w_server_set(w, m, DR_SERVER_STOPPED, true);
}

static void primary_dies(struct world *w, struct w_timer *t)
{
	const struct dr_service *v = w_repl(w, t->service);
	uint32_t holder = v != NULL ? w_member_at(&w->s[t->service], v->holder) : W_MEMBERS_MAX;
	if (t->a != w->members)
		crash(w, t->a);
	if (holder < w->members && holder != t->a)
		sim_kill_node(sim_of(w), holder, t->until, false);
}

/* All but t->a receive nothing any more; what is acknowledged from now on only that one has. */
static void others_stay_behind(struct world *w, struct w_timer *t)
{
	const struct w_service *of = &w->s[t->service];
	for (uint32_t i = of->first; i < of->first + of->members; i++) {
		if ((i != t->a) == (t->b != STARTED_ANEW))
			hold_back(sim_of(w), i, t->until);
	}
	struct w_timer *next = w_after(w, 1 + t->u % THEN_MS, primary_dies);
	next->service = t->service;
	next->a = t->b == LET_GO ? t->a : w->members;
	next->until = t->until;
}

static void begin(struct sim *s, enum how how, uint32_t m, uint64_t until)
{
	struct world *w = s->w;
	struct dr_spec_service *n = w_spec_of(w, m);
	uint32_t site = w->m[m].site, leader = w->c[w->leader].site;
	if (how == UNHEARD || how == UNREACHED) {
		cut(s, site, leader, until);
		if (how == UNREACHED)
			cut(s, leader, site, until);
		w_cut_changed(w);
	} else if (how == STARTED_ANEW) {
		crash(w, m);
		hold_back(s, m, until);
	} else if (w->specs + SIM_SPECS_LEFT < W_SPECS_MAX) {
		uint32_t was = n->sync_set_max;
		n->sync_set_max = was > n->sync_k ? n->sync_k : n->sync_k + 1;
		if (!sim_ask_apply(w))
			n->sync_set_max = was;
	}
}

void sim_ackers(struct sim *s, const struct sim_fault *f)
{
	struct world *w = s->w;
	const struct w_service *of = w_service_of(w, f->a);
	const struct dr_service *v = w_repl(w, of->ix);
	const struct dr_spec_service *spec = &w->service[of->ix];
	if (v == NULL || w->leader < 0 || !dr_kind_asks_to_ack(spec->kind) || spec->durability != DR_DURABILITY_SYNC)
		return;
	uint32_t m = somebody_of_set(w, of, v, f->b / 7);
	enum how how = (enum how)(f->b % HOW_MAX);
	if (m == w->members)
		return;
	begin(s, how, m, w->now + FIRST_MS + f->ms);
	struct w_timer *t = w_after(w, 1 + f->b / HOW_MAX % FIRST_MS, others_stay_behind);
	t->service = of->ix;
	t->a = m;
	t->b = how;
	t->u = f->b / 3;
	t->until = w->now + FIRST_MS + f->ms;
}
