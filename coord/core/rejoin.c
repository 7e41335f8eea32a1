/* rejoin.c -- standbys find their way to the holder: those frozen by the open plan are repointed at once, all
 * others by a rejoin plan each, which saves before it destroys. */
#include "coord/core/think.h"

enum {
	AWAY_MS = 3000,        /* a standby may reconnect by itself this long before it counts as away */
	REJOIN_AGAIN_MS = 5000 /* between two rejoin plans of one member */
};

static bool named(const struct dr_think *t, dr_member_ix m)
{
	return t->s->spec.member[m].name.s[0] != '\0';
}

/* With a holder chosen and caught up, the other frozen standbys need not wait for its promotion. */
void dr_follow_think(struct dr_think *t)
{
	const struct dr_service *s = t->s;
	const struct dr_plan *p = &s->plan;
	if (s->holder == DR_MEMBER_NONE || s->last_holder != s->holder)
		return;
	if (p->id == 0 || p->at < p->bar)
		return; /* without a plan, whoever does not follow rejoins by one of its own */
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX && !t->proposed; m++) {
		const struct dr_member_repl *mr = &s->member[m];
		if (!named(t, m) || m == s->holder || mr->unproved_epoch != 0 || !dr_heard(t, m) || dr_has_other_data(t, m))
			continue;
		bool was_frozen = mr->frozen_epoch == s->epoch && m != p->old;
		bool planned = p->kind == DR_PLAN_SWITCHOVER;
		bool after_clean_stop = planned && m == p->old && s->primary_epoch == s->epoch &&
					mr->frozen_epoch == s->epoch;
		bool followed_old = planned && m != p->old && mr->joined_epoch + 1 == s->epoch;
		if (!was_frozen && !after_clean_stop && !followed_old)
			continue;
		/* Whoever could not follow as it is needs a rejoin plan: this must not take its turn again and again. */
		if (s->rejoin[m].id != 0 || (p->id == 0 && mr->fails > 0))
			continue;
		/* It may acknowledge at once: until it is confirmed the promise rests on the holder, too (docs/decisions/0020). */
		bool acks = dr_kind_asks_to_ack(s->spec.kind) && dr_set_has(s->next.set, m) && s->next.k > 0;
		/* Its server may not know any more where it stood; the log does: right of the bar the holder has all of it. */
		bool handed_over = after_clean_stop && !dr_kind_keeps_place(s->spec.kind);
		struct dr_order_core o = { .kind = DR_ORDER_FOLLOWING, .target = s->holder, .k = acks ? 1 : 0,
					   .clean = handed_over };
		(void)dr_order_want(t, p, m, o);
	}
}

static void open_rejoin(struct dr_think *t, dr_member_ix m)
{
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_PLAN_OPEN);
	cmd.plan_kind = DR_PLAN_REJOIN;
	cmd.member = m;
	cmd.reason = DR_REASON_NOT_FOLLOWING;
	t->v->rejoin_after_ms[m] = t->c->view.now_ms + REJOIN_AGAIN_MS;
	(void)dr_propose(t, &cmd);
}

static void joined(struct dr_think *t, dr_member_ix m, bool yes)
{
	struct dr_cmd cmd = dr_cmd_for(t, yes ? DR_CMD_MEMBER_JOINED : DR_CMD_MEMBER_LEFT);
	cmd.member = m;
	cmd.reason = yes ? DR_REASON_NONE : DR_REASON_NOT_FOLLOWING;
	(void)dr_propose(t, &cmd);
}

/* Its server runs, and nobody has looked yet whether it may be taken over.  That comes before anything that a rejoin does to
 * it: whose data it has and from whom is asked there. */
static bool is_untaken(const struct dr_report *rep)
{
	return !rep->managed && (rep->server == DR_SERVER_STANDBY || rep->server == DR_SERVER_UNKNOWN);
}

/* It counts once its agent knows this epoch: one that was not there when the service was adopted is taken over now, one
 * that was away while the epoch changed is told whom it follows. */
static void welcome(struct dr_think *t, dr_member_ix m)
{
	const struct dr_report *rep = &t->v->member[m].report;
	if (rep->managed && rep->epoch == t->s->epoch) {
		joined(t, m, true);
		return;
	}
	enum dr_order_kind kind = rep->managed ? DR_ORDER_FOLLOWING : DR_ORDER_ADOPTED;
	struct dr_order_core o = { .kind = kind, .target = t->s->holder };
	(void)dr_order_want(t, NULL, m, o);
}

/* Whether what is seen of the primary may be why nobody follows it.  Either an incident comes of that, and who has left
 * by then is no candidate, or nothing does: one observer's view holds nobody up for longer than it takes to find out. */
static bool is_shaken(const struct dr_think *t)
{
	const struct dr_repl *r = &t->c->repl;
	const struct dr_member_view *mv = &t->v->member[t->s->holder];
	uint64_t most_ms = (uint64_t)dr_spec_write_stall_ms(&t->s->spec) + r->timing.detect_after_ms;
	bool shaken = !dr_heard(t, t->s->holder);
	for (uint32_t i = 0; i < r->coordinators && !shaken; i++) {
		const struct dr_seen_by *by = &mv->by[i];
		bool fresh = by->at_ms != 0 && t->c->view.now_ms - by->at_ms <= r->timing.detect_after_ms;
		shaken = fresh && dr_failure_policy(by->o.failure) >= DR_FAILURE_ASK && by->o.failing_ms < most_ms;
	}
	return shaken;
}

/* A member outside any rejoin plan: does it follow, and since when not? */
static void watch_member(struct dr_think *t, dr_member_ix m)
{
	struct dr_member_view *mv = &t->v->member[m];
	const struct dr_member_repl *mr = &t->s->member[m];
	uint64_t now = t->c->view.now_ms;
	if (dr_follows(t, m)) {
		mv->away_ms = 0;
		if (mr->joined_epoch != t->s->epoch)
			welcome(t, m);
		return;
	}
	if (!dr_heard(t, m)) {
		mv->away_ms = 0;
		return;
	}
	if (mv->away_ms == 0)
		mv->away_ms = now;
	bool new_here = mr->joined_epoch != t->s->epoch;
	uint64_t due = mv->away_ms + (new_here ? 0 : AWAY_MS);
	if (due < t->v->rejoin_after_ms[m])
		due = t->v->rejoin_after_ms[m];
	if (now < due) {
		dr_wake_at(t->out, due);
		return;
	}
	if (!new_here)
		joined(t, m, false);
	else if (is_untaken(&mv->report))
		welcome(t, m);
	else
		open_rejoin(t, m);
}

static void close_rejoin(struct dr_think *t, const struct dr_plan *p, enum dr_reason why)
{
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_PLAN_CLOSE);
	cmd.plan = p->id;
	cmd.reason = why;
	t->v->rejoin_after_ms[p->member] = t->c->view.now_ms + REJOIN_AGAIN_MS;
	(void)dr_propose(t, &cmd);
}

static void end_step(struct dr_think *t, const struct dr_plan *p, bool done)
{
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_STEP_END);
	cmd.plan = p->id;
	cmd.step = p->at;
	cmd.flag = done;
	(void)dr_propose(t, &cmd);
}

static void ask(struct dr_think *t, const struct dr_plan *p, const struct dr_step_outcome *o)
{
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_ASK);
	cmd.plan = p->id;
	cmd.step = p->at;
	cmd.reason = o->reason;
	cmd.a = o->a;
	cmd.b = o->b;
	(void)dr_propose(t, &cmd);
}

static void carry_on(struct dr_think *t, dr_member_ix m)
{
	const struct dr_plan *p = &t->s->rejoin[m];
	struct dr_service_view *v = t->v;
	uint64_t now = t->c->view.now_ms;
	if (v->rejoin_plan[m] != p->id || v->rejoin_at[m] != p->at || v->rejoin_tries[m] != p->tries) {
		v->rejoin_plan[m] = p->id;
		v->rejoin_at[m] = p->at;
		v->rejoin_tries[m] = p->tries;
		v->rejoin_since_ms[m] = now;
	}
	if (m == t->s->holder) {
		close_rejoin(t, p, DR_REASON_IS_HOLDER);
		return;
	}
	if (p->state == DR_PLAN_ASKING)
		return;
	struct dr_step_outcome o = dr_step_look(t, p);
	const struct dr_step_row *row = dr_step_row(p->step[p->at]);
	bool over = row != NULL && now - v->rejoin_since_ms[m] >= row->limit_ms;
	if (o.verdict == DR_STEP_HOLDS) {
		end_step(t, p, true);
	} else if (o.verdict == DR_STEP_STUCK || (o.verdict == DR_STEP_WAITS && over)) {
		/* A copy that has gone away is not a question for a person: try again when it is heard. */
		if (!dr_heard(t, m) || over)
			close_rejoin(t, p, DR_REASON_STEP_TIMED_OUT);
		else
			ask(t, p, &o);
	}
}

void dr_rejoin_think(struct dr_think *t)
{
	const struct dr_service *s = t->s;
	bool settled = s->managed && s->plan.id == 0 && s->holder != DR_MEMBER_NONE && s->primary_epoch == s->epoch;
	if (!settled)
		return;
	/* Nobody can follow a primary that is down: that says nothing about the standbys. */
	uint64_t a = 0;
	bool ill = dr_incident(t, &a) != DR_REASON_NONE || is_shaken(t);
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX && !t->proposed; m++) {
		if (!named(t, m) || m == s->holder)
			continue;
		if (s->rejoin[m].id != 0)
			carry_on(t, m);
		else if (s->member[m].unproved_epoch == 0 && !ill)
			watch_member(t, m);
		else if (ill)
			t->v->member[m].away_ms = 0;
	}
}
