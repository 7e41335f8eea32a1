/* plan.c -- the leader carries an open plan on: looks at the present step, and proposes what comes next.
 *
 *        opened --> step holds --> next step ... --> closed
 *                    |  stuck
 *                    +--> ABORT: closed, the old holder is brought back by a plan of its own
 *                    +--> ASK, HOLD: waits for approve (one more try) or abort
 *                    +--> SKIP: next step, what is missing is repaired later
 *
 * A step is judged by evidence in repl and view, never by the plan's own memory, so a new leader carries on
 * where the old one was. */
#include "coord/core/think.h"

enum { RETRY_MS = 200, FAILS_MAX = 5, FAILS_KNOWN = 25 };

/* How long the present step (and try) of the main plan has been looked at by this leader. */
uint64_t dr_step_age(const struct dr_think *t)
{
	return t->c->view.now_ms - t->v->step_since_ms;
}

static void follow_step(struct dr_think *t)
{
	const struct dr_plan *p = &t->s->plan;
	struct dr_service_view *v = t->v;
	if (v->step_plan == p->id && v->step_at == p->at && v->step_tries == p->tries)
		return;
	v->step_plan = p->id;
	v->step_at = p->at;
	v->step_tries = p->tries;
	v->step_since_ms = t->c->view.now_ms;
}

/* One order per member: the main plan's present step goes before anything else, all else waits its turn. */
static bool must_wait(const struct dr_think *t, const struct dr_plan *p, const struct dr_order_core *open,
		      const struct dr_order_core *wanted)
{
	const struct dr_plan *main_plan = &t->s->plan;
	if (open->number == 0 || !dr_order_is_current(t->s, open))
		return false;
	if (p != main_plan)
		return true;
	return open->plan == main_plan->id && open->step == wanted->step;
}

static bool has_promised(const struct dr_member_repl *mr)
{
	return mr->result.code == DR_E_PROMISED && mr->result.number == mr->order_last;
}

/* What it said, unless that can't be. */
static uint64_t promise_left(const struct dr_think *t, const struct dr_member_repl *mr)
{
	uint64_t most = dr_lease_hold_ms(t->c->repl.ttl_longest_ms, t->c->repl.timing.drift_ppm);
	return mr->result.position < most ? mr->result.position + 1 : most;
}

static uint64_t pause_ms(const struct dr_member_repl *mr)
{
	return RETRY_MS * (uint64_t)(mr->fails < FAILS_KNOWN ? mr->fails : FAILS_KNOWN);
}

struct dr_step_outcome dr_order_want(struct dr_think *t, const struct dr_plan *p, dr_member_ix m,
				     struct dr_order_core o)
{
	const struct dr_member_repl *mr = &t->s->member[m];
	struct dr_member_view *mv = &t->v->member[m];
	struct dr_step_outcome waits = { .verdict = DR_STEP_WAITS };
	o.epoch = t->s->epoch;
	o.plan = p != NULL ? p->id : 0;
	o.step = p != NULL ? (uint32_t)p->step[p->at] : 0;
	if (mr->order.number != 0 && mr->order.kind == o.kind && mr->order.plan == o.plan &&
	    mr->order.sync == o.sync && mr->order.k == o.k && mr->order.target == o.target &&
	    (o.kind != DR_ORDER_LISTED || mr->order.listed == o.listed))
		return waits;
	/* Letting go of a server waits for no upkeep: its lease runs meanwhile. */
	if (o.kind != DR_ORDER_RELEASED && must_wait(t, p, &mr->order, &o))
		return waits;
	/* Upkeep outside any plan has nobody to ask: it is tried again and again, ever more rarely. */
	if (p != NULL && mr->fails >= FAILS_MAX)
		return (struct dr_step_outcome){ DR_STEP_STUCK, DR_REASON_ORDER_FAILED, m, mr->fails };
	bool promised = o.kind == DR_ORDER_WRITABLE && has_promised(mr);
	if ((mr->fails > 0 || promised) && mr->order.number == 0) {
		if (mv->retry_for != mr->order_last) {
			mv->retry_for = mr->order_last;
			mv->retry_at_ms = t->c->view.now_ms + (promised ? promise_left(t, mr) : pause_ms(mr));
		}
		if (t->c->view.now_ms < mv->retry_at_ms) {
			dr_wake_at(t->out, mv->retry_at_ms);
			return waits;
		}
	}
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_ORDER);
	cmd.member = m;
	cmd.order = o;
	waits.verdict = dr_propose(t, &cmd) ? DR_STEP_PROPOSED : DR_STEP_WAITS;
	return waits;
}

static void end_order(struct dr_think *t, dr_member_ix m, const struct dr_order_result *result)
{
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_ORDER_END);
	cmd.member = m;
	cmd.result = *result;
	(void)dr_propose(t, &cmd);
}

void dr_member_orders_think(struct dr_think *t)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX && !t->proposed; m++) {
		const struct dr_order_core *o = &t->s->member[m].order;
		struct dr_member_view *mv = &t->v->member[m];
		if (o->number == 0)
			continue;
		bool of_it = mv->result.number == o->number && mv->result.epoch == o->epoch;
		if (of_it && mv->result.outcome != DR_OUTCOME_ACCEPTED &&
		    mv->result.outcome != DR_OUTCOME_NONE) {
			end_order(t, m, &mv->result);
			continue;
		}
		if (mv->order_since != o->number) {
			mv->order_since = o->number;
			mv->order_sent_ms = t->c->view.now_ms;
		}
		uint64_t over = mv->order_sent_ms + dr_order_limit_ms(o->kind);
		if (t->c->view.now_ms < over)
			continue;
		struct dr_order_result late = { .number = o->number, .epoch = o->epoch,
						.outcome = DR_OUTCOME_FAILED, .code = DR_E_TIMEOUT };
		end_order(t, m, &late);
	}
}

static void end_step(struct dr_think *t, const struct dr_plan *p, enum dr_reason skipped, uint64_t a, uint64_t b)
{
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_STEP_END);
	cmd.plan = p->id;
	cmd.step = p->at;
	cmd.flag = skipped == DR_REASON_NONE;
	cmd.reason = skipped;
	cmd.a = a;
	cmd.b = b;
	if (p->step[p->at] == DR_STEP_FINAL_POSITION) {
		/* The planned switch's holder: its set is chosen with what is known now. */
		struct dr_sync next = dr_sync_of_new(t, p->candidate);
		cmd.set = next.set;
		cmd.k = next.k;
	}
	(void)dr_propose(t, &cmd);
}

static void ask(struct dr_think *t, const struct dr_plan *p, enum dr_reason reason, uint64_t a, uint64_t b)
{
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_ASK);
	cmd.plan = p->id;
	cmd.step = p->at;
	cmd.reason = reason;
	cmd.a = a;
	cmd.b = b;
	(void)dr_propose(t, &cmd);
}

static void close_failed(struct dr_think *t, const struct dr_plan *p, enum dr_reason reason, uint64_t a, uint64_t b)
{
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_PLAN_CLOSE);
	cmd.plan = p->id;
	cmd.member = reason == DR_REASON_SOURCE_LOST ? p->source : DR_MEMBER_NONE;
	cmd.reason = reason;
	cmd.a = a;
	cmd.b = b;
	(void)dr_propose(t, &cmd);
}

static void stuck(struct dr_think *t, const struct dr_plan *p, enum dr_reason reason, uint64_t a, uint64_t b)
{
	const struct dr_step_row *row = dr_step_row(p->step[p->at]);
	enum dr_if_stuck then = row != NULL ? row->if_stuck : DR_STUCK_HOLD;
	/* A switch without its old primary is over; what remains is a failover, which needs no person. */
	if (reason == DR_REASON_OLD_VANISHED || reason == DR_REASON_FELL_BEHIND || reason == DR_REASON_PRIMARY_HEALTHY)
		then = DR_STUCK_ABORT;
	/* Left of the bar a switch is undone, never asked about: open, it keeps standbys from rejoining, the wanted
	 * one among them, and once the old primary was told to stop there is none until it ends. */
	if (p->kind == DR_PLAN_SWITCHOVER && p->at < p->bar)
		then = DR_STUCK_ABORT;
	/* Those that were frozen are gone, or may not be promoted any more: the next plan freezes anew, and asks there. */
	if ((p->step[p->at] == DR_STEP_CHOOSE && reason == DR_REASON_NO_CANDIDATE) || reason == DR_REASON_SOURCE_LOST)
		then = DR_STUCK_ABORT;
	switch (then) {
	case DR_STUCK_ABORT:
		close_failed(t, p, reason, a, b);
		break;
	case DR_STUCK_SKIP:
		end_step(t, p, reason, a, b);
		break;
	default:
		ask(t, p, reason, a, b);
		break;
	}
}

/* If the new holder dies there is nothing to wait for, and if the old one does there is nothing to hand over: the
 * plan is given up, and a failover moves on from there. */
static bool holder_died(struct dr_think *t, const struct dr_plan *p)
{
	uint64_t a = 0;
	if (p->bar >= p->steps || t->s->holder == DR_MEMBER_NONE)
		return false;
	if (p->kind == DR_PLAN_FAILOVER && t->s->epoch == p->epoch_opened)
		return false; /* the old holder's death is why it was opened */
	enum dr_reason why = dr_incident(t, &a);
	/* A server that is down while it is being promoted is the step's own business. */
	if (why == DR_REASON_SERVER_FAILED && p->step[p->at] == DR_STEP_PROMOTE)
		return false;
	if (why == DR_REASON_NONE)
		return false;
	close_failed(t, p, why, a, 0);
	return true;
}

/* A failure about which a person is to be asked first (model/failures.def). */
static bool asks_first(enum dr_reason why)
{
	enum dr_failure f = dr_failure_of(why);
	return f != DR_FAILURE_NONE && dr_failure_policy(f) == DR_FAILURE_ASK;
}

/* Opened for such a failure. */
static bool is_a_question(const struct dr_plan *p)
{
	return asks_first(p->reason);
}

/* Asked about something less than what is wrong by now, for which nobody need be asked: that has a plan of its own. */
static bool is_overtaken(struct dr_think *t, struct dr_cmd *next)
{
	return dr_incident_plan(t, next) && !asks_first(next->reason);
}

static bool waits_for_approval(struct dr_think *t, const struct dr_plan *p)
{
	bool automatic = p->actor.s[0] == '\0' && p->reason != DR_REASON_UNDO;
	if (p->state == DR_PLAN_ASKING)
		return true;
	if (!automatic || p->at != 0 || p->tries > 0)
		return false;
	if (is_a_question(p)) {
		ask(t, p, p->reason, dr_spec_write_stall_ms(&t->s->spec), 0);
		return true;
	}
	if (t->s->spec.auto_failover)
		return false;
	if (p->kind != DR_PLAN_FAILOVER && p->kind != DR_PLAN_SWITCHOVER)
		return false;
	ask(t, p, DR_REASON_NOT_ASKED, 0, 0);
	return true;
}

/* An asking plan whose question has answered itself goes on without a person. */
static bool answered_itself(struct dr_think *t, const struct dr_plan *p)
{
	if (p->state != DR_PLAN_ASKING || p->ask == DR_REASON_NOT_ASKED || p->ask == DR_REASON_MAY_LOSE ||
	    p->ask == DR_REASON_ORDER_FAILED || p->ask == p->reason)
		return false;
	return dr_step_look(t, p).verdict == DR_STEP_HOLDS;
}

bool dr_plan_think(struct dr_think *t)
{
	const struct dr_plan *p = &t->s->plan;
	if (p->id == 0)
		return false;
	follow_step(t);
	if (t->proposed || holder_died(t, p))
		return true;
	if (answered_itself(t, p)) {
		end_step(t, p, DR_REASON_NONE, 0, 0);
		return true;
	}
	struct dr_cmd next;
	/* Whoever did not answer in time need not: it is well again, or worse. */
	if (p->state == DR_PLAN_ASKING && p->at == 0 && is_a_question(p)) {
		if (dr_is_well_again(t, p)) {
			close_failed(t, p, DR_REASON_PRIMARY_HEALTHY, dr_heard_age(t->c, t->ix, t->s->holder), 0);
			return true;
		}
		if (is_overtaken(t, &next)) {
			close_failed(t, p, next.reason, next.a, 0);
			return true;
		}
	}
	if (waits_for_approval(t, p))
		return true;
	struct dr_step_outcome o = dr_step_look(t, p);
	const struct dr_step_row *row = dr_step_row(p->step[p->at]);
	uint64_t limit = row != NULL ? row->limit_ms : 10000;
	if (o.verdict == DR_STEP_HOLDS)
		end_step(t, p, DR_REASON_NONE, 0, 0);
	else if (o.verdict == DR_STEP_STUCK)
		stuck(t, p, o.reason, o.a, o.b);
	else if (o.verdict == DR_STEP_WAITS && dr_step_age(t) >= limit)
		stuck(t, p, o.reason != DR_REASON_NONE ? o.reason : DR_REASON_STEP_TIMED_OUT,
		      o.reason != DR_REASON_NONE ? o.a : limit, o.reason != DR_REASON_NONE ? o.b : p->tries + 1);
	else
		dr_wake_at(t->out, t->v->step_since_ms + limit);
	return true;
}
