/* agent_core.c -- see agent_core.h.  The order in one look: gate.c decides whether an order is taken, lease.c
 * keeps the lease, failsafe.c has it go on without a leader, this file ties them to the server's state. */
#include "agent/core/agent_core.h"

#include <string.h>

#include "agent/core/parts.h"
#include "base/assert.h"
#include "base/mutant.h"

void dr_agent_core_init(struct dr_agent_core *c, const struct dr_name *self, const struct dr_agent_journal *j,
			const struct dr_timing *timing, uint64_t first_renewal, uint64_t inherited_epoch,
			uint64_t inherited_until_ms, uint64_t now_ms)
{
	memset(c, 0, sizeof(*c));
	c->self = *self;
	c->journal = *j;
	c->timing = j->timing.ttl_ms != 0 ? j->timing : *timing;
	c->renewal_last = first_renewal;
	c->now_ms = now_ms;
	c->accepted_ms = now_ms;
	if (j->managed && j->role == DR_ROLE_PRIMARY && inherited_epoch == j->epoch && inherited_until_ms > now_ms) {
		c->lease_epoch = inherited_epoch;
		c->lease_until_ms = inherited_until_ms;
	}
	dr_agent_failsafe_init(c);
	c->turning = j->managed && j->turning;
	c->op_wanted = j->order_seen != 0 && j->order.core.number == j->order_seen && j->done.number != j->order_seen;
}

static bool is_primary_role(const struct dr_agent_core *c)
{
	return c->journal.managed && c->journal.role == DR_ROLE_PRIMARY;
}

/* An op that adopts a running primary runs before the server is ours: the lease is asked for, nothing fenced. */
static bool adopting(const struct dr_agent_core *c)
{
	return !c->journal.managed && c->journal.order.core.kind == DR_ORDER_ADOPTED &&
	       (c->op_wanted || c->op_running || (c->unwritten.number != 0 && c->unwritten.outcome == DR_OUTCOME_DONE));
}

static void fence(struct dr_agent_core *c, struct dr_agent_decision *out, enum dr_fence_how how)
{
	if (c->fencing && how == DR_FENCE_STOP)
		return;
	c->fencing = true;
	c->fence_since_ms = c->now_ms;
	out->fence = how;
	out->report = true;
}

/* Also of a lease that the same event is about: an end that could not be written down before may end it now. */
void dr_agent_disarm(struct dr_agent_decision *out)
{
	out->disarm = true;
	out->arm = false;
}

void dr_agent_wake(struct dr_agent_decision *out, uint64_t at_ms)
{
	if (out->wake_at_ms == 0 || at_ms < out->wake_at_ms)
		out->wake_at_ms = at_ms;
}

/* A fence order stops the server in order, for as long as the lease that it had still runs. */
static bool stopping_in_order(const struct dr_agent_core *c)
{
	const struct dr_order_core *o = &c->journal.order.core;
	return o->kind == DR_ORDER_FENCED && o->clean && (c->op_wanted || c->op_running) &&
	       c->lease_until_ms > c->now_ms + c->timing.fence_budget_ms;
}

static bool may_write(const struct dr_agent_core *c)
{
	return c->server == DR_SERVER_PRIMARY || (c->turning && c->server != DR_SERVER_STOPPED);
}

/* No lease keeps it: whoever is started next is a standby. */
static bool is_down_for_good(const struct dr_agent_core *c)
{
	return c->server == DR_SERVER_STOPPED && !is_primary_role(c);
}

/* A server out of recovery, or about to be, without right to be so is stopped; one with a lease, in time before it ends. */
static void watch_server(struct dr_agent_core *c, struct dr_agent_decision *out)
{
	if (!c->journal.managed || !may_write(c))
		return;
	if (stopping_in_order(c)) {
		dr_agent_wake(out, c->lease_until_ms - c->timing.fence_budget_ms);
		return;
	}
	if (!is_primary_role(c)) {
		fence(c, out, DR_FENCE_KILL);
		return;
	}
	uint64_t begin = c->lease_until_ms > c->timing.fence_budget_ms ? c->lease_until_ms - c->timing.fence_budget_ms : 0;
	if (begin < c->grace_until_ms)
		begin = c->grace_until_ms;
	bool ours = c->lease_epoch == c->journal.epoch;
	if (DR_MUTANT(NO_LEASE_TO_PROMOTE) && !ours)
		return;
	if (!ours || c->now_ms >= begin)
		fence(c, out, DR_FENCE_STOP);
	else
		dr_agent_wake(out, begin);
}

/* Standbys run without a lease; whoever is one and is down is started, now and then. */
static void watch_standby(struct dr_agent_core *c, struct dr_agent_decision *out)
{
	if (!c->journal.managed || c->journal.role != DR_ROLE_STANDBY || c->server != DR_SERVER_STOPPED ||
	    c->op_wanted || c->op_running)
		return;
	uint64_t due = c->standby_tried_ms == 0 ? c->now_ms : c->standby_tried_ms + DR_STANDBY_RETRY_MS;
	if (c->now_ms < due) {
		dr_agent_wake(out, due);
		return;
	}
	c->standby_tried_ms = c->now_ms;
	out->start_standby = true;
	dr_agent_wake(out, c->now_ms + DR_STANDBY_RETRY_MS);
}

static bool needs_lease(const struct dr_agent_core *c)
{
	const struct dr_order *o = &c->journal.order;
	return dr_order_needs_lease(o->core.kind) || (adopting(c) && dr_name_eq(&o->target, &c->self));
}

static bool lease_is_fresh(const struct dr_agent_core *c)
{
	if (DR_MUTANT(NO_LEASE_TO_PROMOTE))
		return true;
	/* Asked for after the order came (rule 4): an older lease of a lower epoch says nothing. */
	return c->lease_epoch == c->journal.epoch && c->lease_sent_ms >= c->accepted_ms &&
	       c->lease_until_ms > c->now_ms + c->timing.fence_budget_ms;
}

/* The op's end is written down, then told; while the journal cannot be written it waits. */
static void end_op(struct dr_agent_core *c, const struct dr_order_result *r, struct dr_agent_decision *out)
{
	if (c->now_ms < c->journal_again_ms) {
		c->unwritten = *r;
		dr_agent_wake(out, c->journal_again_ms);
		return;
	}
	const struct dr_order *o = &c->journal.order;
	bool done = r->outcome == DR_OUTCOME_DONE;
	c->journal.done = *r;
	c->unwritten.number = 0;
	if (done && o->core.kind == DR_ORDER_LISTED)
		dr_agent_take_list(c, o);
	if (done)
		dr_agent_role_after(c, out);
	else
		dr_agent_not_adopted(c, out);
	/* Nobody is to be killed by the deadline of a lease that ended with it: least of all a server that is started next. */
	if (is_down_for_good(c))
		dr_agent_disarm(out);
	out->journal = true;
	out->answer = true;
	out->answer_result = c->journal.done;
	out->report = true;
}

static void not_to_be_done(struct dr_agent_core *c, struct dr_agent_decision *out)
{
	struct dr_order_result r = { .number = c->journal.order_seen, .epoch = c->journal.epoch,
				     .outcome = DR_OUTCOME_FAILED, .code = DR_E_CONFLICT };
	c->op_wanted = false;
	end_op(c, &r, out);
}

/* Whether what an op brought about is still there, as far as can be seen. */
static bool still_holds(const struct dr_agent_core *c)
{
	enum dr_order_kind kind = c->journal.order.core.kind;
	if (c->unwritten.outcome != DR_OUTCOME_DONE)
		return true;
	if (needs_lease(c) && !lease_is_fresh(c))
		return false;
	if (kind == DR_ORDER_WRITABLE || kind == DR_ORDER_SYNC_SET || kind == DR_ORDER_PREPARED)
		return !c->fencing && c->server != DR_SERVER_STOPPED;
	if (kind == DR_ORDER_LISTED)
		return dr_agent_may_take_list(c, &c->journal.order);
	return kind == DR_ORDER_ADOPTED || kind == DR_ORDER_RELEASED || c->server != DR_SERVER_PRIMARY;
}

/* What ended while the journal could not be written is not done once more, which may be a whole copy: it is told as soon as
 * it can be written down.  But nobody is told what has come to nothing meanwhile, as by a fence. */
static void watch_unwritten(struct dr_agent_core *c, struct dr_agent_decision *out)
{
	struct dr_order_result r = c->unwritten;
	if (r.number == 0)
		return;
	if (!still_holds(c)) {
		c->unwritten.number = 0;
		c->op_wanted = true;
		return;
	}
	end_op(c, &r, out);
}

/* The accepted order begins when what it rests on is there. */
static void watch_order(struct dr_agent_core *c, struct dr_agent_decision *out)
{
	if (c->op_running && needs_lease(c) && !lease_is_fresh(c)) {
		/* It may not go on without; what it has done so far is judged by the server's state. */
		out->cancel_op = true;
		c->op_running = false;
		c->op_wanted = true;
	}
	if (!c->op_wanted || c->op_running)
		return;
	enum dr_order_kind kind = c->journal.order.core.kind;
	if (needs_lease(c) && !lease_is_fresh(c))
		return;
	if (kind == DR_ORDER_LISTED && !is_primary_role(c)) {
		not_to_be_done(c, out); /* a lost journal: nobody knows on whose promises its server runs */
		return;
	}
	if (kind == DR_ORDER_LISTED && !dr_agent_may_take_list(c, &c->journal.order)) {
		dr_agent_wake(out, c->extended_until_ms);
		return;
	}
	bool on_primary = kind == DR_ORDER_WRITABLE || kind == DR_ORDER_SYNC_SET || kind == DR_ORDER_PREPARED ||
			  kind == DR_ORDER_ADOPTED || kind == DR_ORDER_RELEASED || kind == DR_ORDER_FENCED ||
			  kind == DR_ORDER_LISTED;
	if (!on_primary && may_write(c)) {
		fence(c, out, DR_FENCE_KILL);
		return;
	}
	c->op_wanted = false;
	c->op_running = true;
	c->turned_before = c->turning;
	c->turning = c->turning || kind == DR_ORDER_WRITABLE;
	out->start_op = true;
}

static void op_ended(struct dr_agent_core *c, const struct dr_agent_event *ev, struct dr_agent_decision *out)
{
	const struct dr_order_result *r = ev->result;
	if (!c->op_running || r->number != c->journal.order_seen)
		return;
	const struct dr_order *o = &c->journal.order;
	bool listed = o->core.kind == DR_ORDER_LISTED && r->outcome == DR_OUTCOME_DONE;
	c->op_running = false;
	if (ev->untouched && !c->turned_before)
		c->turning = c->journal.turning = false;
	if (listed && !dr_agent_may_take_list(c, o))
		c->op_wanted = true; /* the lease was extended meanwhile, by others */
	else
		end_op(c, r, out);
}

static void server_changed(struct dr_agent_core *c, const struct dr_agent_event *ev, struct dr_agent_decision *out)
{
	/* What we stopped ourselves did not die, whoever sees it stopped, and however often. */
	bool by_itself = c->server == DR_SERVER_STOPPED ? c->crashed : !c->fencing;
	bool crashed = ev->crashed && by_itself;
	if (c->server != ev->server || c->crashed != crashed)
		out->report = true;
	c->server = ev->server;
	c->crashed = crashed;
	if (ev->server == DR_SERVER_STOPPED) {
		c->fencing = false;
		/* What it was told ended with it; an op under way goes on with the next one. */
		c->turning = c->op_running && c->journal.order.core.kind == DR_ORDER_WRITABLE;
		c->journal.turning = c->journal.order.core.kind == DR_ORDER_WRITABLE;
	}
	bool is_no_writer = (ev->server == DR_SERVER_STOPPED || ev->server == DR_SERVER_STANDBY) && !may_write(c);
	if (is_no_writer && !is_primary_role(c))
		dr_agent_disarm(out);
	else if (ev->server == DR_SERVER_STOPPED && c->lease_until_ms <= c->now_ms)
		dr_agent_disarm(out);
}

/* The machine may have slept while no clock of ours ran: what was asked before says nothing about now, and what is
 * left of the lease is at most the fence budget.  Half of that is for an answer to what is asked at once, the rest
 * for the stop; the guard kills at its margin anyway. */
static void clock_jumped(struct dr_agent_core *c)
{
	uint64_t cut = c->now_ms + c->timing.fence_budget_ms;
	dr_agent_renewals_void(c);
	c->round.id = 0;
	if (c->lease_until_ms > cut) {
		c->lease_until_ms = cut;
		c->grace_until_ms = c->now_ms + c->timing.fence_budget_ms / 2;
	}
	c->renewed_ms = 0; /* ask at once */
}

static void take_in(struct dr_agent_core *c, const struct dr_agent_event *ev, struct dr_agent_decision *out)
{
	switch (ev->kind) {
	case DR_AG_TICK: break;
	case DR_AG_LEADER:
		if (ev->known)
			c->renewed_ms = 0;
		c->leader_known = ev->known;
		break;
	case DR_AG_TIMING:
		out->journal = memcmp(&c->journal.timing, ev->timing, sizeof(*ev->timing)) != 0;
		c->journal.timing = *ev->timing;
		c->timing = *ev->timing;
		dr_agent_failsafe_timing(c, ev->ttl_ms);
		break;
	case DR_AG_ORDER: dr_agent_gate(c, ev->order, out); break;
	case DR_AG_CANCEL: dr_agent_gate_cancel(c, ev->number, out); break;
	case DR_AG_GRANT: dr_agent_grant(c, ev, out); break;
	case DR_AG_OP_ENDED: op_ended(c, ev, out); break;
	case DR_AG_SERVER: server_changed(c, ev, out); break;
	case DR_AG_GUARD:
		c->guard_alive = ev->alive;
		out->report = true;
		break;
	case DR_AG_ASKED: dr_agent_asked(c, ev, out); break;
	case DR_AG_PROMISE: dr_agent_promise(c, ev->promise, out); break;
	case DR_AG_CLOCK_JUMPED:
		clock_jumped(c);
		out->arm = c->lease_until_ms > c->now_ms && !is_down_for_good(c);
		break;
	}
}

uint64_t dr_agent_lease_left_ms(const struct dr_agent_core *c)
{
	bool ours = c->lease_epoch == c->journal.epoch && c->lease_until_ms > c->now_ms;
	return ours ? c->lease_until_ms - c->now_ms : 0;
}

void dr_agent_core_step(struct dr_agent_core *c, const struct dr_agent_event *ev, struct dr_agent_decision *out)
{
	dr_assert(ev->now_ms >= c->now_ms);
	memset(out, 0, sizeof(*out));
	c->now_ms = ev->now_ms;
	take_in(c, ev, out);
	watch_unwritten(c, out);
	watch_order(c, out);
	watch_server(c, out);
	watch_standby(c, out);
	dr_agent_failsafe(c, out);
	/* Whoever wants to be primary, or is being adopted as one, keeps asking. */
	dr_agent_renew(c, is_primary_role(c) || (adopting(c) && needs_lease(c)), out);
	if (out->journal) {
		c->journal_again_ms = 0; /* unless we hear otherwise */
		c->journal_fails = 0;
	}
	dr_assert(!(out->arm && out->disarm));
}

/* Longer each time, and never two agents in step. */
static uint64_t journal_pause_ms(const struct dr_agent_core *c)
{
	uint64_t most = (uint64_t)DR_JOURNAL_RETRY_MS << (c->journal_fails < 6 ? c->journal_fails : 6);
	if (most > DR_JOURNAL_RETRY_MOST_MS)
		most = DR_JOURNAL_RETRY_MOST_MS;
	uint64_t odds = (c->renewal_last + c->journal_fails) * 0x9e3779b97f4a7c15u;
	return most / 2 + (odds >> 32) % (most / 2 + 1);
}

/* What could not be made to last has not happened: no order is taken, nothing promised, no op's end told.  What was seen
 * has: it may come only once, and whoever took it back would never ask for a lease again, or ask without a guard.  So the
 * event is taken in once more, and all of it counts that needs no journal.  And what protects the data happens all the same. */
void dr_agent_not_journaled(struct dr_agent_core *c, const struct dr_agent_core *before, const struct dr_agent_event *ev,
			    struct dr_agent_decision *d)
{
	struct dr_agent_core after = *c;
	enum dr_fence_how how = d->fence;
	bool report = d->report;
	if (DR_MUTANT(JOURNAL_FAILED_ALL_THE_SAME))
		return;
	*c = *before;
	/* What only one of the two copies promises may not be on disk: the next promise is journaled anew.  The old one is over. */
	if (c->journal.promise_ms > after.journal.promise_ms)
		c->journal.promise_ms = after.journal.promise_ms;
	c->journal_again_ms = after.now_ms + journal_pause_ms(c);
	c->journal_fails++;
	struct dr_agent_core kept = *c;
	dr_agent_core_step(c, ev, d);
	if (!d->journal)
		return;
	*c = kept;
	c->now_ms = after.now_ms;
	c->fencing = after.fencing;
	c->fence_since_ms = after.fence_since_ms;
	c->server = after.server;
	c->crashed = after.crashed;
	c->guard_alive = after.guard_alive;
	c->leader_known = after.leader_known;
	if (after.higher_epoch > c->higher_epoch)
		c->higher_epoch = after.higher_epoch;
	memset(d, 0, sizeof(*d));
	d->fence = how;
	d->report = report;
	if (how == DR_FENCE_NONE)
		watch_server(c, d);
	dr_agent_wake(d, c->now_ms + DR_JOURNAL_RETRY_MS);
}
