/* choose.c -- which member becomes the primary, what it must fetch first, and whom its server waits for. */
#include "coord/core/think.h"

#include "base/assert.h"
#include "base/mutant.h"

/* So far behind a planned switch is not begun: bytes, or transactions where positions count those. */
enum { SWITCHOVER_LAG_MAX = 16 << 20, SWITCHOVER_TRANSACTIONS_MAX = 1000 };

static bool frozen(const struct dr_think *t, dr_member_ix m)
{
	return t->s->spec.member[m].name.s[0] != '\0' && t->s->member[m].frozen_epoch == t->s->epoch &&
	       t->s->member[m].unproved_epoch == 0 && !dr_has_other_data(t, m);
}

/* It stands still, and what it has is the last primary's history. */
static bool in_line(const struct dr_think *t, dr_member_ix m)
{
	return frozen(t, m) && (t->s->member[m].lineage >= t->s->primary_epoch || DR_MUTANT(FORK_CHOSEN));
}

bool dr_may_be_chosen(const struct dr_think *t, const struct dr_plan *p, dr_member_ix m)
{
	return p->accept_loss ? frozen(t, m) : in_line(t, m);
}

/* Later timeline first, then further position. */
static int by_position(const struct dr_think *t, dr_member_ix x, dr_member_ix y)
{
	const struct dr_member_repl *a = &t->s->member[x];
	const struct dr_member_repl *b = &t->s->member[y];
	if (a->frozen_timeline != b->frozen_timeline)
		return a->frozen_timeline > b->frozen_timeline ? 1 : -1;
	if (a->frozen_position != b->frozen_position)
		return a->frozen_position > b->frozen_position ? 1 : -1;
	return 0;
}

bool dr_is_kept_out(const struct dr_think *t, const struct dr_plan *p, dr_member_ix m)
{
	bool named = p->wanted == m && p->reason == DR_REASON_OPERATOR;
	return !named && dr_is_errant(t->s, &t->v->member[m]) && !DR_MUTANT(ERRANT_CHOSEN);
}

static bool better(const struct dr_think *t, dr_member_ix x, dr_member_ix than)
{
	if (DR_MUTANT(PRIORITY_FIRST))
		return t->s->spec.member[x].priority < t->s->spec.member[than].priority;
	int order = by_position(t, x, than);
	if (order != 0)
		return order > 0;
	return t->s->spec.member[x].priority < t->s->spec.member[than].priority;
}

/* A member of the set of which it is not known that its history is the primary's has more than all of which it is:
 * a fork that came back, or one that followed by itself and acknowledged.  Only a person can tell. */
static bool unknown_beyond(const struct dr_think *t, const struct dr_plan *p, dr_member_ix furthest)
{
	if (p->accept_loss || t->s->spec.durability != DR_DURABILITY_SYNC)
		return false;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (dr_set_has(t->s->sync.set, m) && frozen(t, m) && !in_line(t, m) &&
		    by_position(t, m, furthest) > 0)
			return true;
	}
	return false;
}

/* What it was chosen for: all that was acknowledged before. */
static bool has_chosen_position(const struct dr_service *s, dr_member_ix m)
{
	uint64_t position = DR_MUTANT(CHOSEN_LESS) ? 0 : s->chosen_position;
	return dr_is_as_far_as(&s->member[m], s->chosen_timeline, position);
}

bool dr_is_all_known(const struct dr_think *t, const struct dr_plan *p, dr_member_set sure)
{
	const struct dr_service *s = t->s;
	dr_member_ix furthest = DR_MEMBER_NONE;
	if (!dr_kind_asks_to_ack(s->spec.kind) || s->chosen_position == 0)
		return false;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (in_line(t, m) && (furthest == DR_MEMBER_NONE || by_position(t, m, furthest) > 0))
			furthest = m;
	}
	if (furthest == DR_MEMBER_NONE || !has_chosen_position(s, furthest) || unknown_beyond(t, p, furthest))
		return false;
	/* Its timeline says whether it was promoted without our knowledge: then it has all that it acknowledged.  Else nothing was
	 * acknowledged since. */
	dr_member_ix last = s->last_holder;
	bool only_chosen = last < DR_MEMBERS_MAX && s->member[last].lineage != s->primary_epoch;
	if (only_chosen && in_line(t, last) && s->member[last].frozen_timeline >= s->chosen_timeline)
		return true;
	uint32_t have = dr_set_count((dr_member_set)(sure & s->since.set));
	return s->since.set != 0 && (have >= dr_sync_positions_needed(&s->since) || DR_MUTANT(UNHEARD_FORGOTTEN));
}

static bool some_in_line(const struct dr_think *t)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (in_line(t, m) && t->s->spec.member[m].priority != 0 && dr_heard(t, m))
			return true;
	}
	return false;
}

/* Whether somebody will do that does not stand in the site which is being left. */
static bool some_elsewhere(const struct dr_think *t, const struct dr_plan *p)
{
	for (dr_member_ix m = 0; p->avoid != 0 && m < DR_MEMBERS_MAX; m++) {
		if (!dr_set_has(p->avoid, m) && in_line(t, m) && t->s->spec.member[m].priority != 0 && dr_heard(t, m) &&
		    dr_may_be_promoted(t, p, m) && !dr_is_kept_out(t, p, m))
			return true;
	}
	return false;
}

/* Whether somebody is named, or was the primary and is to be again, and may be had.  One that would have to fetch, and can't, loses
 * what the furthest has: a person may want that. */
static bool is_wanted(const struct dr_think *t, const struct dr_plan *p, bool any, dr_member_ix furthest)
{
	dr_member_ix m = p->wanted;
	if (m >= DR_MEMBERS_MAX || !(any ? dr_may_be_chosen(t, p, m) : in_line(t, m)))
		return false;
	bool loses = !dr_kind_keeps_place(t->s->spec.kind) && furthest != DR_MEMBER_NONE && by_position(t, furthest, m) > 0;
	if (loses && p->reason != DR_REASON_OPERATOR)
		return false;
	return dr_heard(t, m) && dr_may_be_promoted(t, p, m) && !dr_is_kept_out(t, p, m);
}

bool dr_is_stranger(const struct dr_think *t, dr_member_ix m)
{
	return !t->v->member[m].report.managed && t->s->member[m].lineage < t->s->primary_epoch;
}

bool dr_may_be_heard_yet(struct dr_think *t, const struct dr_plan *p)
{
	uint64_t from = t->c->view.led_since_ms + t->c->repl.timing.detect_after_ms;
	bool promised = t->s->spec.durability == DR_DURABILITY_SYNC && !p->accept_loss;
	bool named_one = p->wanted < DR_MEMBERS_MAX && p->reason == DR_REASON_OPERATOR;
	if (p->kind != DR_PLAN_FAILOVER || promised || named_one || t->c->view.now_ms >= from)
		return false;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (t->s->spec.member[m].name.s[0] == '\0' || m == p->old || t->s->member[m].unproved_epoch != 0 || dr_heard(t, m))
			continue;
		dr_wake_at(t->out, from);
		return true;
	}
	return false;
}

enum dr_reason dr_choose_failover(const struct dr_think *t, const struct dr_plan *p, struct dr_choice *out)
{
	dr_member_ix best = DR_MEMBER_NONE;
	dr_member_ix furthest = DR_MEMBER_NONE;
	bool elsewhere = some_elsewhere(t, p);
	bool any = !some_in_line(t); /* then only where the loss was accepted: what is left must do */
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (!dr_may_be_chosen(t, p, m) || (!any && !in_line(t, m)))
			continue;
		if (furthest == DR_MEMBER_NONE || by_position(t, m, furthest) > 0)
			furthest = m;
		bool may = t->s->spec.member[m].priority != 0 && dr_heard(t, m) && dr_may_be_promoted(t, p, m) &&
			   !dr_is_kept_out(t, p, m) && !(elsewhere && dr_set_has(p->avoid, m));
		if (may && (best == DR_MEMBER_NONE || better(t, m, best)))
			best = m;
	}
	bool fetches = dr_kind_keeps_place(t->s->spec.kind);
	if (is_wanted(t, p, any, furthest))
		best = p->wanted;
	if (best == DR_MEMBER_NONE || furthest == DR_MEMBER_NONE)
		return DR_REASON_NO_CANDIDATE;
	if (unknown_beyond(t, p, furthest))
		return DR_REASON_NO_STANDBY_LEFT;
	/* Nobody could fetch what that one has; a leader that has just begun may hear it in a moment. */
	uint64_t from = t->c->view.led_since_ms + t->c->repl.timing.detect_after_ms;
	bool named = best == p->wanted && p->reason == DR_REASON_OPERATOR;
	bool silent = by_position(t, furthest, best) > 0 && !dr_heard(t, furthest);
	if (!fetches && silent && !named && t->c->view.now_ms < from) {
		dr_wake_at(t->out, from);
		return DR_REASON_NO_CANDIDATE;
	}
	bool fetch = fetches && by_position(t, furthest, best) > 0 && !DR_MUTANT(PRIORITY_FIRST);
	if (DR_MUTANT(PRIORITY_FIRST) || !fetches)
		furthest = best;
	*out = (struct dr_choice){ .candidate = best,
				   .source = fetch ? furthest : DR_MEMBER_NONE,
				   .position = t->s->member[furthest].frozen_position,
				   .next = dr_sync_of_new(t, best) };
	return DR_REASON_NONE;
}

enum dr_reason dr_switchover_blocked(const struct dr_think *t, dr_member_ix m, uint64_t *a)
{
	enum dr_reason why = dr_core_candidate(t->c, t->ix, m, a);
	if (why != DR_REASON_NONE)
		return why;
	*a = 0;
	if (!dr_follows(t, m))
		return DR_REASON_NOT_FOLLOWING;
	uint64_t primary = t->v->primary_position;
	uint64_t received = t->v->member[m].report.received;
	uint64_t lag = dr_kind_counts_bytes(t->s->spec.kind) ? SWITCHOVER_LAG_MAX : SWITCHOVER_TRANSACTIONS_MAX;
	*a = primary > received ? primary - received : 0;
	return *a > lag ? DR_REASON_LAGS : DR_REASON_NONE;
}

enum dr_reason dr_choose_switchover(const struct dr_think *t, const struct dr_plan *p, struct dr_choice *out)
{
	dr_member_ix best = DR_MEMBER_NONE;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		uint64_t a = 0;
		if ((p->wanted < DR_MEMBERS_MAX && p->wanted != m) || dr_set_has(p->avoid, m) ||
		    dr_switchover_blocked(t, m, &a) != DR_REASON_NONE)
			continue;
		if (best == DR_MEMBER_NONE) {
			best = m;
			continue;
		}
		bool in = dr_set_has(t->s->sync.set, m);
		bool best_in = dr_set_has(t->s->sync.set, best);
		if (in != best_in ? in : t->s->spec.member[m].priority < t->s->spec.member[best].priority)
			best = m;
	}
	if (best == DR_MEMBER_NONE)
		return DR_REASON_NO_CANDIDATE;
	/* Its set is chosen when the old primary has stopped. */
	*out = (struct dr_choice){ .candidate = best, .source = DR_MEMBER_NONE };
	return DR_REASON_NONE;
}
