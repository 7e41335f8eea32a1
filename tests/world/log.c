/* log.c -- a perfect log between the coordinators of the world: what a leader that reaches a majority appends is
 * committed in order a moment later.  The simulator puts libraft in its place (tests/sim/raft.c). */
#include "tests/world/world.h"

#include "base/assert.h"

static bool has_majority(const struct world *w, uint32_t c)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < w->coords; i++) {
		bool there = w->c[i].core != NULL && w_reaches(w, w->c[c].site, w->c[i].site) &&
			     w_reaches(w, w->c[i].site, w->c[c].site);
		n += there ? 1u : 0u;
	}
	return 2 * n > w->coords;
}

static void apply_one(struct world *w, uint32_t ci)
{
	struct w_coordinator *c = &w->c[ci];
	struct w_entry *e = &w->log[c->applied++];
	if (e->cmd.kind == DR_CMD_TICK && (e->by != ci || e->life != c->life)) {
		struct dr_core_event tick = { .kind = DR_EV_APPENDED, .cmd = &e->cmd };
		w_coord_event(w, ci, &tick);
	}
	struct dr_core_event ev = {
		.kind = DR_EV_COMMITTED, .cmd = &e->cmd, .index = c->applied, .term = e->term
	};
	w_coord_event(w, ci, &ev);
	if (c->core == NULL || e->tag == 0 || e->by != ci || e->life != c->life)
		return;
	struct dr_core_event end = { .kind = DR_EV_PROPOSED, .tag = e->tag, .index = c->applied };
	w_coord_event(w, ci, &end);
}

static void catch_up_one(struct world *w, uint32_t c)
{
	while (w->c[c].core != NULL && w->c[c].applied < w->committed)
		apply_one(w, c);
}

static void follower_catches_up(struct world *w, struct w_timer *t)
{
	if (w->c[t->a].core != NULL && w->c[t->a].life == t->b)
		catch_up_one(w, t->a);
}

/* Everybody whom the leader reaches learns what is committed: the leader now, the others a hop later. */
void w_catch_up(struct world *w)
{
	if (w->leader < 0)
		return;
	uint32_t leader = (uint32_t)w->leader;
	for (uint32_t i = 0; i < w->coords; i++) {
		if (i == leader || w->c[i].core == NULL || w->c[i].applied >= w->committed)
			continue;
		struct w_timer *t = w_send(w, w->c[leader].site, w->c[i].site, w_proc(W_COORD, i),
					   follower_catches_up);
		t->a = i;
		t->b = w->c[i].life;
	}
	catch_up_one(w, leader);
}

static void commit(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->a];
	if (c->core == NULL || c->life != t->b || c->term != w->term || w->leader != (int)t->a)
		return;
	if (w->committed >= t->u)
		return;
	if (!has_majority(w, t->a)) {
		struct w_timer *again = w_after(w, 20, commit);
		again->a = t->a;
		again->b = t->b;
		again->u = t->u;
		return;
	}
	while (w->committed < t->u && w->leader == (int)t->a) {
		w->committed++;
		w_call_hook(w, t->a, W_COMMITTED, &w->log[w->committed - 1].cmd);
		w_catch_up(w);
	}
}

static void tick_appended(struct world *w, struct w_timer *t)
{
	if (w->c[t->a].core == NULL || w->c[t->a].life != t->b)
		return;
	struct dr_core_event ev = { .kind = DR_EV_APPENDED };
	w_coord_event(w, t->a, &ev);
}

static void refused(struct world *w, struct w_timer *t)
{
	if (w->c[t->a].core == NULL || w->c[t->a].life != t->b)
		return;
	struct dr_core_event ev = { .kind = DR_EV_PROPOSED, .tag = t->u, .outcome = DR_E_NOT_LEADER };
	w_coord_event(w, t->a, &ev);
}

void w_propose(struct world *w, uint32_t ci, const struct dr_cmd *cmd, uint64_t tag)
{
	struct w_coordinator *c = &w->c[ci];
	struct w_timer *t;
	if (cmd->kind == DR_CMD_TICK) {
		t = w_after(w, 0, tick_appended);
		t->a = ci;
		t->b = c->life;
	}
	if (!c->raft_leads || c->term != w->term) {
		/* Deposed: what it appends is cut off, and it learns so when it learns that it is deposed. */
		if (!c->raft_leads) {
			t = w_after(w, 0, refused);
			t->a = ci;
			t->b = c->life;
			t->u = tag;
		}
		return;
	}
	dr_assert(w->appended < W_LOG_MAX);
	w->log[w->appended++] =
	    (struct w_entry){ .cmd = *cmd, .term = w->term, .tag = tag, .by = ci, .life = c->life };
	t = w_after(w, w->commit_ms, commit);
	t->a = ci;
	t->b = c->life;
	t->u = w->appended;
	w_call_hook(w, ci, W_PROPOSES, cmd);
}

/* ---- leadership */

static void lead(struct world *w, uint32_t ci)
{
	struct w_coordinator *c = &w->c[ci];
	w->appended = w->committed; /* what the last leader alone had is gone */
	catch_up_one(w, ci);
	w->leader = (int)ci;
	c->term = ++w->term;
	c->raft_leads = true;
	w_say(w, "%s leads, term %llu", c->name, (unsigned long long)c->term);
	struct dr_core_event ev = { .kind = DR_EV_ROLE, .leading = true, .term = c->term };
	w_coord_event(w, ci, &ev);
	if (c->core != NULL)
		w_announce(w, ci);
	w_catch_up(w);
}

static bool electable(const struct world *w, int c)
{
	return c >= 0 && w->c[c].core != NULL && has_majority(w, (uint32_t)c);
}

void w_elect(struct world *w)
{
	if (w->no_election || electable(w, w->leader))
		return;
	if (electable(w, w->prefer)) {
		lead(w, (uint32_t)w->prefer);
		return;
	}
	for (uint32_t i = 0; i < w->coords; i++) {
		if (electable(w, (int)i)) {
			lead(w, i);
			return;
		}
	}
	w->leader = -1;
}

static void election(struct world *w, struct w_timer *t)
{
	(void)t;
	w_elect(w);
}

static void step_down(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->a];
	if (c->core == NULL || c->life != t->b || !c->raft_leads || c->term != t->u)
		return;
	if (w->leader == (int)t->a) {
		if (has_majority(w, t->a))
			return;
		w->leader = -1;
	}
	c->raft_leads = false;
	w_say(w, "%s leads no more", c->name);
	struct dr_core_event ev = { .kind = DR_EV_ROLE, .leading = false, .term = c->term };
	w_coord_event(w, t->a, &ev);
}

/* The leader died or was cut off: it steps down and another is elected, each after its time. */
void w_leader_lost(struct world *w)
{
	w_after(w, w->elect_ms, election);
	for (uint32_t i = 0; i < w->coords; i++) {
		if (w->c[i].core == NULL || !w->c[i].raft_leads)
			continue;
		struct w_timer *t = w_after(w, w->step_down_ms, step_down);
		t->a = i;
		t->b = w->c[i].life;
		t->u = w->c[i].term;
	}
}

static void healed(struct world *w, struct w_timer *t)
{
	(void)t;
	w_elect(w);
	if (w->leader < 0)
		return;
	w_catch_up(w);
	for (uint32_t i = 0; i < w->coords; i++) {
		struct w_coordinator *c = &w->c[i];
		bool deposed = c->core != NULL && c->raft_leads && w->leader != (int)i;
		if (!deposed || !w_reaches(w, w->c[w->leader].site, c->site))
			continue;
		struct w_timer down = { .a = i, .b = c->life, .u = c->term };
		step_down(w, &down);
	}
	w_announce(w, (uint32_t)w->leader);
}

void w_healed(struct world *w)
{
	w_after(w, 20, healed);
}


int w_leader_known(const struct world *w, uint32_t c)
{
	(void)c;
	return w->leader;
}

void w_log_started(struct world *w, uint32_t c)
{
	w->c[c].applied = 0;
	w_healed(w);
}

void w_log_killed(struct world *w, uint32_t c)
{
	if (w->leader != (int)c)
		return;
	w->leader = -1;
	w_leader_lost(w);
}
