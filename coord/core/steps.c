/* steps.c -- for each step: does the world show that it holds, and what to order if not.
 *
 * One function a step, found by its row.  A function looks at evidence (repl, view) and either says that the
 * step holds, wants an order, waits (naming what it waits for), or is stuck. */
#include "base/mutant.h"
#include "coord/core/think.h"

static const struct dr_step_outcome holds = { .verdict = DR_STEP_HOLDS };
static const struct dr_step_outcome waits = { .verdict = DR_STEP_WAITS };
static const struct dr_step_outcome proposed = { .verdict = DR_STEP_PROPOSED };
static const struct dr_order_core to_freeze = { .kind = DR_ORDER_FROZEN, .target = DR_MEMBER_NONE };

enum {
	STRAGGLER_MS = 1000, /* how long a freeze waits for more positions than it needs */
	LOOK_AGAIN_MS = 50   /* between two times of asking an agent for a report out of turn */
};

static bool named(const struct dr_think *t, dr_member_ix m)
{
	return m < DR_MEMBERS_MAX && t->s->spec.member[m].name.s[0] != '\0';
}

/* Ask its agent for a report out of turn. */
static void look(struct dr_think *t, dr_member_ix m)
{
	uint64_t *at = &t->v->member[m].look_ms;
	if (*at == 0 || t->c->view.now_ms >= *at + LOOK_AGAIN_MS)
		*at = t->c->view.now_ms;
	dr_wake_at(t->out, *at + LOOK_AGAIN_MS);
}

/* What the plan was opened for may be over: verdicts expire, and a person may have approved an old question. */
bool dr_is_well_again(const struct dr_think *t, const struct dr_plan *p)
{
	bool by_verdict = p->reason == DR_REASON_SERVER_FAILED || p->reason == DR_REASON_MEMBER_LOST ||
			  dr_reason_in_place(p->reason) || p->reason == DR_REASON_CRASH_LOOP ||
			  dr_failure_of(p->reason) != DR_FAILURE_NONE;
	uint64_t silent = 0;
	return by_verdict && t->s->holder != DR_MEMBER_NONE && t->s->primary_epoch == t->s->epoch &&
	       dr_core_verdict(t->c, t->ix, t->s->holder, &silent) == DR_VERDICT_OK;
}

/* Whether the member's newest done order was this one of this plan. */
static bool done_in(const struct dr_think *t, const struct dr_plan *p, dr_member_ix m, enum dr_order_kind kind)
{
	return t->s->member[m].done.kind == kind && t->s->member[m].done.plan == p->id;
}

/* A fence never waits for it: not where nothing that is sent arrives, not after a failed try, and not for long
 * (steps.def).  The holder takes writes meanwhile, under its lease. */
static struct dr_step_outcome step_PREPARE(struct dr_think *t, const struct dr_plan *p)
{
	dr_member_ix m = t->s->holder;
	if (m == DR_MEMBER_NONE || !dr_heard(t, m))
		return (struct dr_step_outcome){ DR_STEP_STUCK, DR_REASON_NOT_REACHABLE, 0, 0 };
	if (t->v->member[m].report.server != DR_SERVER_PRIMARY)
		return (struct dr_step_outcome){ DR_STEP_STUCK, DR_REASON_SERVER_FAILED, 0, 0 };
	if (done_in(t, p, m, DR_ORDER_PREPARED))
		return holds;
	if (t->s->member[m].fails > 0)
		return (struct dr_step_outcome){ DR_STEP_STUCK, DR_REASON_ORDER_FAILED, m, t->s->member[m].fails };
	return dr_order_want(t, p, m, (struct dr_order_core){ .kind = DR_ORDER_PREPARED, .target = DR_MEMBER_NONE });
}

/* Their clients have no statement under way, and the next ones wait: a switch costs them time, and no error. */
static struct dr_step_outcome step_DRAIN(struct dr_think *t, const struct dr_plan *p)
{
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		const struct dr_spec_route *r = &t->s->spec.route[i];
		bool tried = t->v->route_held_plan[i] == p->id;
		uint32_t held = tried ? t->v->route_held[i] : 0;
		if (r->kind == DR_ROUTE_NONE || !dr_route_holds(r) || (held & dr_route_all(r)) == dr_route_all(r))
			continue;
		/* Once more would hold the others once more. */
		return (struct dr_step_outcome){ tried ? DR_STEP_STUCK : DR_STEP_WAITS, DR_REASON_NOT_HELD, i, 0 };
	}
	return holds;
}

static struct dr_step_outcome step_DECLARE(struct dr_think *t, const struct dr_plan *p)
{
	if (p->kind == DR_PLAN_FAILOVER && dr_is_well_again(t, p))
		return (struct dr_step_outcome){ DR_STEP_STUCK, DR_REASON_PRIMARY_HEALTHY,
						 dr_heard_age(t->c, t->ix, t->s->holder), 0 };
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_DECLARE);
	cmd.plan = p->id;
	cmd.step = p->at;
	return dr_propose(t, &cmd) ? proposed : waits;
}

static struct dr_step_outcome prove(struct dr_think *t, const struct dr_plan *p, dr_member_ix m, enum dr_proof proof)
{
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_PROVE);
	cmd.plan = p->id;
	cmd.member = m;
	cmd.proof = proof;
	if (proof == DR_PROOF_OPERATOR)
		cmd.actor = p->actor;
	return dr_propose(t, &cmd) ? proposed : waits;
}

/* While an old lease runs out: whoever acknowledges stops to, which takes a second where its primary does not answer. */
static bool freeze_early(struct dr_think *t, const struct dr_plan *p)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		bool acks = named(t, m) && t->s->member[m].may_ack && t->s->member[m].unproved_epoch == 0;
		if (!acks || m == p->old || dr_is_frozen(t, m) || !dr_heard(t, m))
			continue;
		if (dr_order_want(t, p, m, to_freeze).verdict == DR_STEP_PROPOSED)
			return true;
	}
	return false;
}

/* Each former holder: told to stop, and proved by its answer, by its lease's end, or by a person's word.  A
 * planned switch takes only the answer: without it the last position is not known. */
static struct dr_step_outcome step_FENCE_OLD(struct dr_think *t, const struct dr_plan *p)
{
	struct dr_step_outcome all = { .verdict = DR_STEP_HOLDS };
	uint64_t open = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (t->s->member[m].unproved_epoch == 0)
			continue;
		open++;
		uint64_t left = dr_core_lease_left_ms(t->c, t->ix, m);
		/* A person's word counts where ours can't be had: whoever still reports is told to stop first. */
		if (p->assert_fenced && (!dr_heard(t, m) || t->s->member[m].fails > 0))
			return prove(t, p, m, DR_PROOF_OPERATOR);
		if (left == 0 && p->kind == DR_PLAN_SWITCHOVER && !dr_heard(t, m))
			return (struct dr_step_outcome){ DR_STEP_STUCK, DR_REASON_OLD_VANISHED, p->id, 0 };
		if ((left == 0 || DR_MUTANT(PROOF_AT_ONCE)) && p->kind != DR_PLAN_SWITCHOVER)
			return prove(t, p, m, DR_PROOF_LEASE);
		dr_wake_at(t->out, t->c->view.now_ms + left);
		bool clean = p->kind != DR_PLAN_FAILOVER; /* a forced one stops it hard */
		struct dr_order_core o = { .kind = DR_ORDER_FENCED, .target = DR_MEMBER_NONE, .clean = clean };
		struct dr_step_outcome one = dr_order_want(t, p, m, o);
		if (one.verdict == DR_STEP_PROPOSED)
			return one;
		all = waits;
	}
	if (open > 0 && p->kind == DR_PLAN_FAILOVER && dr_kind_asks_to_ack(t->s->spec.kind) && freeze_early(t, p))
		return proposed;
	all.reason = open > 0 ? DR_REASON_FENCE_UNPROVED : DR_REASON_NONE;
	all.a = open;
	if (open == 0 && p->kind == DR_PLAN_SWITCHOVER)
		look(t, p->candidate); /* what the next step asks; it comes while this one's end is being committed */
	return all;
}

static bool enough_positions(const struct dr_think *t, const struct dr_plan *p, uint64_t *have, uint64_t *need)
{
	const struct dr_service *s = t->s;
	dr_member_set frozen = 0, sure = 0;
	*have = *need = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (!named(t, m) || !dr_is_frozen(t, m))
			continue;
		frozen = dr_set_with(frozen, m);
		if ((!t->s->member[m].unsure || DR_MUTANT(UNSURE_COUNTED)) && !dr_has_other_data(t, m))
			sure = dr_set_with(sure, m);
	}
	if (frozen == 0)
		return false;
	/* An empty set: no holder ever was, so nothing was ever promised. */
	if (p->accept_loss || s->spec.durability != DR_DURABILITY_SYNC || s->sync.set == 0)
		return true;
	*need = dr_sync_positions_needed(&s->sync);
	*need -= DR_MUTANT(TOO_FEW_POSITIONS) && *need > 0 ? 1u : 0u;
	*have = dr_set_count((dr_member_set)(sure & s->sync.set));
	/* The holder itself has everything that it ever acknowledged; after `node recover` it may not be known. */
	bool has_it = s->last_holder != DR_MEMBER_NONE && dr_set_has(sure, s->last_holder);
	return has_it || *have >= *need || dr_is_all_known(t, p, sure);
}

static bool has_candidate(const struct dr_think *t, const struct dr_plan *p)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (named(t, m) && dr_may_be_chosen(t, p, m) && dr_may_be_promoted(t, p, m) && !dr_is_kept_out(t, p, m) &&
		    (t->s->spec.member[m].priority != 0 || m == p->wanted))
			return true;
	}
	return false;
}

/* Frozen ones that could be chosen, but for who may still be writing. */
static bool only_unlisted(const struct dr_think *t, const struct dr_plan *p)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (named(t, m) && dr_may_be_chosen(t, p, m) && t->s->spec.member[m].priority != 0)
			return true;
	}
	return false;
}

/* Frozen ones there are, but of an older primary's history; or none with the service's data. */
static enum dr_reason why_not_those(const struct dr_think *t)
{
	enum dr_reason why = DR_REASON_NO_CANDIDATE;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (!named(t, m) || !dr_is_frozen(t, m) || t->s->spec.member[m].priority == 0)
			continue;
		if (!dr_has_other_data(t, m))
			return DR_REASON_NO_STANDBY_LEFT;
		why = DR_REASON_OTHER_DATA;
	}
	return why;
}

/* Frozen ones that could be chosen, but for their priority. */
static unsigned forbidden(const struct dr_think *t, const struct dr_plan *p)
{
	unsigned n = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (named(t, m) && dr_may_be_chosen(t, p, m) && dr_may_be_promoted(t, p, m))
			n += t->s->spec.member[m].priority == 0 ? 1u : 0u;
	}
	return n;
}

/* Frozen ones that could be chosen, but for what they have and nobody else. */
static unsigned kept_out(const struct dr_think *t, const struct dr_plan *p)
{
	unsigned n = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (named(t, m) && dr_may_be_chosen(t, p, m) && dr_may_be_promoted(t, p, m) && t->s->spec.member[m].priority != 0)
			n += dr_is_kept_out(t, p, m) ? 1u : 0u;
	}
	return n;
}

/* Whether to freeze this member too.  The old primary, or a stranger, only when it is wanted, or nobody else will do. */
static bool to_be_frozen(const struct dr_think *t, const struct dr_plan *p, dr_member_ix m, bool others_do)
{
	if (!named(t, m) || t->s->member[m].unproved_epoch != 0 || !dr_heard(t, m))
		return false;
	return (m != p->old && !dr_is_stranger(t, m)) || m == p->wanted || !others_do;
}

static struct dr_step_outcome no_candidate(const struct dr_think *t)
{
	unsigned heard, others = dr_others(t, &heard);
	return (struct dr_step_outcome){ DR_STEP_WAITS, DR_REASON_NO_CANDIDATE, others, heard };
}

/* How long the step waits for whoever is to be frozen and is not: for one that is wanted back as long as it may take to come
 * back, and as nobody else may take over; for ever if a person wants it. */
static uint64_t patience_of(const struct dr_think *t, const struct dr_plan *p, bool wanted_missing)
{
	uint64_t patience = t->s->spec.restart_within_ms, cooldown_left = 0;
	if (!wanted_missing)
		return STRAGGLER_MS;
	if (p->reason == DR_REASON_OPERATOR || p->reason == DR_REASON_UNFENCE)
		return UINT64_MAX;
	bool nobody_else = dr_reason_in_place(p->reason) && dr_reason_stays(dr_core_blocked(t->c, t->ix, &cooldown_left));
	uint64_t until = dr_step_age(t) + cooldown_left;
	return nobody_else && patience < until ? until : patience;
}

/* What a choice lacks, where the positions that are known would do. */
static struct dr_step_outcome lacks_candidate(const struct dr_think *t, const struct dr_plan *p, uint64_t have, uint64_t need)
{
	if (kept_out(t, p) > 0)
		return (struct dr_step_outcome){ DR_STEP_WAITS, DR_REASON_ONLY_ERRANT, kept_out(t, p), 0 };
	if (only_unlisted(t, p))
		return (struct dr_step_outcome){ DR_STEP_WAITS, DR_REASON_NOT_LISTED, have, need };
	if (forbidden(t, p) > 0 && t->s->spec.durability == DR_DURABILITY_SYNC && !p->accept_loss)
		return (struct dr_step_outcome){ DR_STEP_WAITS, DR_REASON_ONLY_PRIORITY_0, forbidden(t, p), 0 };
	enum dr_reason why = why_not_those(t);
	return why == DR_REASON_NO_CANDIDATE ? no_candidate(t) : (struct dr_step_outcome){ DR_STEP_WAITS, why, have, need };
}

static struct dr_step_outcome step_FREEZE(struct dr_think *t, const struct dr_plan *p)
{
	uint64_t have, need;
	bool positions = enough_positions(t, p, &have, &need);
	bool enough = positions && has_candidate(t, p);
	bool others_do = enough || dr_step_age(t) < STRAGGLER_MS;
	bool wanted_missing = false;
	unsigned missing = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (!to_be_frozen(t, p, m, others_do) || dr_is_frozen(t, m))
			continue;
		struct dr_step_outcome one = dr_order_want(t, p, m, to_freeze);
		if (one.verdict == DR_STEP_PROPOSED)
			return one;
		missing++;
		wanted_missing = wanted_missing || m == p->wanted;
	}
	uint64_t patience = patience_of(t, p, wanted_missing);
	if (enough && (missing == 0 || dr_step_age(t) >= patience) && !dr_may_be_heard_yet(t, p))
		return holds;
	dr_wake_at(t->out, t->v->step_since_ms + STRAGGLER_MS);
	if (enough && patience != UINT64_MAX) {
		dr_wake_at(t->out, t->v->step_since_ms + patience);
		return (struct dr_step_outcome){ .verdict = DR_STEP_PATIENT };
	}
	if (!positions && need > have)
		return (struct dr_step_outcome){ DR_STEP_WAITS, DR_REASON_TOO_FEW_POSITIONS, have, need };
	return lacks_candidate(t, p, have, need);
}

/* Whether the old primary can have written little since this leader last saw how far it was: cut off, it may have
 * gone on by promises for longer than its lease. */
static bool position_is_known(const struct dr_think *t, const struct dr_plan *p)
{
	uint64_t seen = t->v->primary_position_ms;
	uint64_t hold = dr_lease_hold_ms(t->c->repl.ttl_longest_ms, t->c->repl.timing.drift_ppm);
	bool by_expiry = p->old < DR_MEMBERS_MAX && t->s->member[p->old].only_expired;
	return seen != 0 && (!by_expiry || t->c->view.now_ms <= seen + 2 * hold);
}

static struct dr_step_outcome step_CHOOSE(struct dr_think *t, const struct dr_plan *p)
{
	struct dr_choice choice;
	bool planned = p->kind == DR_PLAN_SWITCHOVER;
	enum dr_reason why = planned ? dr_choose_switchover(t, p, &choice) : dr_choose_failover(t, p, &choice);
	if (why == DR_REASON_NO_STANDBY_LEFT)
		return (struct dr_step_outcome){ DR_STEP_STUCK, why, 0, 0 };
	if (why != DR_REASON_NONE)
		return no_candidate(t);
	const struct dr_service *s = t->s;
	uint64_t left = 0;
	enum dr_reason blocked = dr_core_blocked(t->c, t->ix, &left);
	/* It was to stay where it is; as long as nothing may move by itself, only a person lets another one take over. */
	if (dr_reason_in_place(p->reason) && choice.candidate != p->wanted && p->tries == 0 && dr_reason_stays(blocked))
		return (struct dr_step_outcome){ DR_STEP_STUCK, blocked, left, 0 };
	uint64_t position = planned ? 0 : s->member[choice.candidate].frozen_position;
	uint64_t known = t->v->primary_position;
	uint64_t lost = known > position ? known - position : 0;
	/* Whoever was the last primary itself has all that it acknowledged; of a kind that may come back with less, but for what
	 * is seen to be missing. */
	bool was_last = choice.candidate == s->last_holder;
	bool may_lose = !planned && s->spec.durability != DR_DURABILITY_SYNC && p->reason != DR_REASON_OPERATOR &&
			!p->accept_loss && !(was_last && dr_kind_keeps_place(s->spec.kind));
	if (may_lose && s->was_primary && !was_last && !position_is_known(t, p))
		return (struct dr_step_outcome){ DR_STEP_STUCK, DR_REASON_LOSS_UNKNOWN, s->spec.rpo_bytes, 0 };
	if (may_lose && lost > s->spec.rpo_bytes)
		return (struct dr_step_outcome){ DR_STEP_STUCK, DR_REASON_MAY_LOSE, lost, s->spec.rpo_bytes };
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_CHOOSE);
	cmd.plan = p->id;
	cmd.step = p->at;
	cmd.member = choice.candidate;
	cmd.target = choice.source;
	cmd.position = choice.position;
	cmd.set = choice.next.set;
	cmd.k = choice.next.k;
	return dr_propose(t, &cmd) ? proposed : waits;
}

/* Planned: the old primary has just completed a checkpoint, so that its stop is short, and the candidate is
 * close behind it. */
static struct dr_step_outcome catch_up_planned(struct dr_think *t, const struct dr_plan *p)
{
	if (!done_in(t, p, p->old, DR_ORDER_PREPARED)) {
		struct dr_order_core o = { .kind = DR_ORDER_PREPARED, .target = DR_MEMBER_NONE };
		return dr_order_want(t, p, p->old, o);
	}
	uint64_t a = 0;
	if (dr_core_candidate(t->c, t->ix, p->candidate, &a) != DR_REASON_NONE || !dr_follows(t, p->candidate))
		return (struct dr_step_outcome){ DR_STEP_WAITS, DR_REASON_NOT_FOLLOWING, p->candidate, 0 };
	return holds;
}

/* Nothing can be fetched from a member that is gone, nor from one whose agent knows no more that it stands still: nobody
 * watches over its server.  *age: for how long it is not heard; 0: it is. */
static bool source_lost(const struct dr_think *t, dr_member_ix source, uint64_t *age)
{
	const struct dr_member_view *sv = &t->v->member[source];
	uint32_t patience_ms = t->c->repl.timing.detect_after_ms;
	*age = dr_heard_age(t->c, t->ix, source);
	if (*age > patience_ms)
		return dr_step_age(t) >= patience_ms;
	*age = 0;
	/* Twice in a row: one may have been on its way since before it was frozen. */
	return sv->behind_ms > t->v->step_since_ms;
}

static struct dr_step_outcome step_CATCH_UP(struct dr_think *t, const struct dr_plan *p)
{
	if (p->kind == DR_PLAN_SWITCHOVER)
		return catch_up_planned(t, p);
	if (p->source == DR_MEMBER_NONE || dr_has_all_of(&t->s->member[p->candidate], &t->s->member[p->source]))
		return holds;
	uint64_t age = 0;
	if (source_lost(t, p->source, &age))
		return (struct dr_step_outcome){ DR_STEP_STUCK, DR_REASON_SOURCE_LOST, age, 0 };
	dr_wake_at(t->out, t->v->step_since_ms + t->c->repl.timing.detect_after_ms);
	struct dr_order_core o = { .kind = DR_ORDER_CAUGHT_UP, .target = p->source, .position = p->position };
	return dr_order_want(t, p, p->candidate, o);
}

static struct dr_step_outcome step_FINAL_POSITION(struct dr_think *t, const struct dr_plan *p)
{
	const struct dr_member_repl *old = &t->s->member[p->old];
	const struct dr_member_view *cv = &t->v->member[p->candidate];
	if (old->frozen_epoch != t->s->epoch || old->frozen_position == 0)
		return (struct dr_step_outcome){ DR_STEP_STUCK, DR_REASON_OLD_VANISHED, p->id, 0 };
	/* A standby of that very history: a position says nothing of another one's. */
	const struct dr_report *r = &cv->report;
	bool of_it = r->server == DR_SERVER_STANDBY && r->timeline == old->frozen_timeline;
	/* Nobody writes meanwhile: rather the old primary again than a wait for one that may be gone. */
	if (!dr_heard(t, p->candidate))
		return (struct dr_step_outcome){ DR_STEP_STUCK, DR_REASON_NOT_REACHABLE,
						 dr_heard_age(t->c, t->ix, p->candidate), 0 };
	if (of_it && r->received >= old->frozen_position)
		return holds;
	look(t, p->candidate);
	uint64_t missing = old->frozen_position > r->received ? old->frozen_position - r->received : 0;
	return (struct dr_step_outcome){ DR_STEP_WAITS, DR_REASON_LAGS, missing, 0 };
}

/* What the holder stood still with when it was chosen, or is known to have of a primary that was stopped in order. */
static void chosen_for(const struct dr_service *s, const struct dr_plan *p, struct dr_order_core *o)
{
	dr_member_ix of = p->source < DR_MEMBERS_MAX ? p->source : p->candidate;
	o->position = p->position;
	o->system_id = s->system_id;
	if (p->kind == DR_PLAN_SWITCHOVER && p->old < DR_MEMBERS_MAX) {
		of = p->old;
		o->position = s->member[of].frozen_position;
	}
	if (of < DR_MEMBERS_MAX)
		o->timeline = s->member[of].frozen_timeline;
}

static struct dr_step_outcome step_PROMOTE(struct dr_think *t, const struct dr_plan *p)
{
	const struct dr_service *s = t->s;
	const struct dr_member_repl *h = &s->member[s->holder];
	if (h->joined_epoch == s->epoch)
		return holds;
	/* Trying again would find no more; whoever has more is found by the next plan. */
	if (h->result.code == DR_E_BEHIND && h->result.number == h->order_last && h->result.epoch == s->epoch)
		return (struct dr_step_outcome){ DR_STEP_STUCK, DR_REASON_FELL_BEHIND, p->position, h->result.position };
	struct dr_order_core o = { .kind = DR_ORDER_WRITABLE, .target = DR_MEMBER_NONE, .sync = s->next.set, .k = s->next.k };
	chosen_for(s, p, &o);
	return dr_order_want(t, p, s->holder, o);
}

static struct dr_step_outcome step_REPOINT(struct dr_think *t, const struct dr_plan *p)
{
	(void)p;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (named(t, m) && m != t->s->holder && dr_is_frozen(t, m) && m != t->s->plan.old && dr_heard(t, m))
			return waits;
	}
	return holds;
}

static struct dr_step_outcome step_ROUTE(struct dr_think *t, const struct dr_plan *p)
{
	(void)p;
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		const struct dr_spec_route *r = &t->s->spec.route[i];
		if (r->kind == DR_ROUTE_NONE)
			continue;
		uint32_t all = dr_route_all(r);
		if (t->s->route_epoch[i] != t->s->epoch || (t->s->route_servers[i] & all) != all)
			return waits;
	}
	return holds;
}

/* A coordinator's write over the address that clients use, after the promotion, by a fresh connection. */
static struct dr_step_outcome step_VERIFY(struct dr_think *t, const struct dr_plan *p)
{
	(void)p;
	const struct dr_member_view *hv = &t->v->member[t->s->holder];
	for (uint32_t i = 0; i < t->c->repl.coordinators; i++) {
		const struct dr_seen_by *by = &hv->by[i];
		bool newer = by->at_ms > t->v->step_since_ms &&
			     by->at_ms - t->v->step_since_ms > by->o.write_age_ms;
		if (newer && !by->o.in_recovery && by->o.write_age_ms != UINT32_MAX)
			return holds;
	}
	return waits;
}

static struct dr_step_outcome step_CLOSE(struct dr_think *t, const struct dr_plan *p)
{
	(void)t;
	(void)p;
	return holds;
}

/* The one member that takes writes; how many there are in *count. */
static dr_member_ix running_primary(const struct dr_think *t, unsigned *count)
{
	dr_member_ix found = DR_MEMBER_NONE;
	*count = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (named(t, m) && dr_heard(t, m) && t->v->member[m].report.server == DR_SERVER_PRIMARY) {
			found = m;
			(*count)++;
		}
	}
	return found;
}

static struct dr_step_outcome step_SURVEY(struct dr_think *t, const struct dr_plan *p)
{
	unsigned count = 0;
	dr_member_ix m = running_primary(t, &count);
	(void)p;
	if (count > 1)
		return (struct dr_step_outcome){ DR_STEP_STUCK, DR_REASON_MANY_PRIMARIES, count, 0 };
	if (count == 0)
		return (struct dr_step_outcome){ DR_STEP_WAITS, DR_REASON_NO_PRIMARY, 0, 0 };
	if (!t->v->member[m].report.guard_alive)
		return (struct dr_step_outcome){ DR_STEP_WAITS, DR_REASON_AGENT_MISSING, 1, 0 };
	return holds;
}

static struct dr_step_outcome step_CLAIM(struct dr_think *t, const struct dr_plan *p)
{
	unsigned count = 0;
	dr_member_ix m = running_primary(t, &count);
	if (count != 1)
		return (struct dr_step_outcome){ DR_STEP_WAITS, DR_REASON_MANY_PRIMARIES, count, 0 };
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_CLAIM);
	cmd.plan = p->id;
	cmd.step = p->at;
	cmd.member = m;
	for (dr_member_ix i = 0; i < DR_MEMBERS_MAX; i++) {
		const struct dr_report *r = &t->v->member[i].report;
		if (!named(t, i) || r->epoch > DR_COUNT_SANE || r->order_seen > DR_COUNT_SANE)
			continue;
		cmd.a = cmd.a > r->epoch ? cmd.a : r->epoch;
		cmd.b = cmd.b > r->order_seen ? cmd.b : r->order_seen;
	}
	return dr_propose(t, &cmd) ? proposed : waits;
}

static struct dr_step_outcome step_TAKE_OVER(struct dr_think *t, const struct dr_plan *p)
{
	bool all = true;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (!named(t, m) || !dr_heard(t, m))
			continue;
		bool ours = t->v->member[m].report.managed && t->v->member[m].report.epoch == t->s->epoch;
		if (m == t->s->holder)
			ours = ours && t->s->member[m].joined_epoch == t->s->epoch;
		/* A standby that is down is no reason to wait: it is let in when it follows again. */
		bool down = m != t->s->holder && t->v->member[m].report.server != DR_SERVER_STANDBY;
		if (ours || down)
			continue;
		struct dr_order_core o = { .kind = DR_ORDER_ADOPTED, .target = t->s->holder };
		struct dr_step_outcome one = dr_order_want(t, p, m, o);
		if (one.verdict == DR_STEP_PROPOSED || one.verdict == DR_STEP_STUCK)
			return one;
		all = false;
	}
	return all && t->s->member[t->s->holder].joined_epoch == t->s->epoch ? holds : waits;
}

/* The rejoin plan's steps concern one member, p->member. */
static struct dr_step_outcome member_order(struct dr_think *t, const struct dr_plan *p, enum dr_order_kind kind)
{
	struct dr_order_core o = { .kind = kind, .target = t->s->holder };
	return dr_order_want(t, p, p->member, o);
}

static struct dr_step_outcome step_COMPARE(struct dr_think *t, const struct dr_plan *p)
{
	if (t->s->member[p->member].divergence != DR_DIVERGENCE_UNKNOWN)
		return holds;
	return member_order(t, p, DR_ORDER_COMPARED);
}

static struct dr_step_outcome step_SALVAGE(struct dr_think *t, const struct dr_plan *p)
{
	if (t->s->member[p->member].divergence == DR_DIVERGENCE_NONE || done_in(t, p, p->member, DR_ORDER_SALVAGED))
		return holds;
	return member_order(t, p, DR_ORDER_SALVAGED);
}

static struct dr_step_outcome step_REWIND_OR_CLONE(struct dr_think *t, const struct dr_plan *p)
{
	if (t->s->member[p->member].divergence == DR_DIVERGENCE_NONE)
		return holds;
	return member_order(t, p, DR_ORDER_REWOUND);
}

static struct dr_step_outcome step_FOLLOW(struct dr_think *t, const struct dr_plan *p)
{
	if (t->s->member[p->member].joined_epoch == t->s->epoch)
		return holds;
	return member_order(t, p, DR_ORDER_FOLLOWING);
}

struct dr_step_outcome dr_step_look(struct dr_think *t, const struct dr_plan *p)
{
	switch (p->step[p->at]) {
#define STEP(id, name, word, secs, if_stuck, undo, help)                                                       \
	case DR_STEP_##name: return step_##name(t, p);
#include "model/steps.def"
#undef STEP
	default: return (struct dr_step_outcome){ DR_STEP_STUCK, DR_REASON_STEP_TIMED_OUT, 0, 0 };
	}
}
