/* gate.c -- which orders are carried out: newer numbers of no lower epoch, journaled before anything is done. */
#include <string.h>

#include "agent/core/parts.h"
#include "base/mutant.h"
#include "base/parse.h"

static void answer(struct dr_agent_decision *out, const struct dr_order *o, enum dr_outcome outcome, enum dr_err code,
		   const char *text)
{
	out->answer = true;
	out->answer_result = (struct dr_order_result){ .number = o->core.number, .epoch = o->core.epoch,
						       .outcome = outcome, .code = code };
	(void)dr_copy_text(out->answer_result.text, sizeof(out->answer_result.text), text);
}

/* The role that the member has from the moment on at which the order is accepted: before anything is done, so that
 * a crash in the middle comes up on the safe side. */
static enum dr_member_role role_at_acceptance(enum dr_member_role was, enum dr_order_kind kind)
{
	switch (kind) {
	case DR_ORDER_FENCED: return DR_ROLE_FENCED;
	case DR_ORDER_FROZEN:
	case DR_ORDER_CAUGHT_UP:
	case DR_ORDER_FOLLOWING: return DR_ROLE_STANDBY;
	case DR_ORDER_COMPARED:
	case DR_ORDER_SALVAGED:
	case DR_ORDER_REWOUND: return DR_ROLE_FENCED;
	case DR_ORDER_WRITABLE: return DR_ROLE_PRIMARY;
	default: return was;
	}
}

static bool keeps_lease(enum dr_order_kind kind)
{
	/* RELEASED ends it, once nothing is ours. */
	return kind == DR_ORDER_WRITABLE || kind == DR_ORDER_SYNC_SET || kind == DR_ORDER_PREPARED ||
	       kind == DR_ORDER_LISTED || kind == DR_ORDER_ADOPTED || kind == DR_ORDER_RELEASED;
}

static void accept(struct dr_agent_core *c, const struct dr_order *o, struct dr_agent_decision *out)
{
	if (c->op_running)
		out->cancel_op = true;
	c->op_running = false;
	c->op_wanted = true;
	c->unwritten.number = 0;
	c->accepted_ms = c->now_ms;
	bool fence = o->core.kind == DR_ORDER_FENCED; /* how long the lease still runs is how long it may take */
	bool drop = !fence && (o->core.epoch > c->journal.epoch || !keeps_lease(o->core.kind));
	if (drop && DR_MUTANT(GRANT_UNFENCES))
		c->lease_epoch = o->core.epoch;
	else if (drop)
		dr_agent_lease_drop(c);
	c->newborn = false;
	c->journal.order_seen = o->core.number;
	c->journal.epoch = o->core.epoch;
	c->journal.order = *o;
	memset(&c->journal.done, 0, sizeof(c->journal.done));
	if (c->journal.managed || o->core.kind == DR_ORDER_WRITABLE || o->core.kind == DR_ORDER_REWOUND ||
	    o->core.kind == DR_ORDER_FOLLOWING) {
		c->journal.managed = true;
		c->journal.role = role_at_acceptance(c->journal.role, o->core.kind);
		c->journal.turning = c->journal.turning || o->core.kind == DR_ORDER_WRITABLE;
	}
	if (keeps_lease(o->core.kind))
		c->renewed_ms = 0; /* ask at once */
	if (o->core.kind == DR_ORDER_WRITABLE && o->core.list_version != 0 && dr_agent_may_take_list(c, o) &&
	    !DR_MUTANT(PROMOTED_WITHOUT_LIST))
		dr_agent_take_list(c, o);
	out->journal = true;
	out->report = true;
	answer(out, o, DR_OUTCOME_ACCEPTED, DR_OK, "");
}

/* The promise stands, and so does that this epoch was seen: nothing below it is promised any more. */
static void keep_promise(struct dr_agent_core *c, const struct dr_order *o, struct dr_agent_decision *out)
{
	if (o->core.epoch > c->journal.epoch) {
		c->journal.epoch = o->core.epoch;
		if (c->journal.role == DR_ROLE_PRIMARY) /* of an older one: it is over */
			c->journal.role = DR_ROLE_FENCED;
		c->newborn = false;
		out->journal = true;
	}
	answer(out, o, DR_OUTCOME_REFUSED, DR_E_PROMISED, "its agent promised the holder of an older lease to wait");
	out->answer_result.position = c->promise_until_ms - c->now_ms;
}

/* A service that was removed and came back counts from the beginning: a number alone says little. */
static bool same_order(const struct dr_order_core *x, const struct dr_order_core *y)
{
	return x->number == y->number && x->epoch == y->epoch && x->kind == y->kind;
}

void dr_agent_gate(struct dr_agent_core *c, const struct dr_order *o, struct dr_agent_decision *out)
{
	const struct dr_agent_journal *j = &c->journal;
	if (o->core.number < j->order_seen && !DR_MUTANT(LOWER_ORDER_TAKEN)) {
		answer(out, o, DR_OUTCOME_REFUSED, DR_E_STALE, "a newer order was accepted");
	} else if (o->core.number == j->order_seen && !same_order(&o->core, &j->order.core)) {
		answer(out, o, DR_OUTCOME_REFUSED, DR_E_STALE, "another order had that number");
	} else if (o->core.number == j->order_seen) {
		if (j->done.number != j->order_seen && DR_MUTANT(ANSWER_FROM_SEEN)) {
			answer(out, o, DR_OUTCOME_DONE, DR_OK, "");
		} else if (j->done.number == j->order_seen && !DR_MUTANT(DONE_TWICE)) {
			out->answer = true;
			out->answer_result = j->done;
		} else {
			answer(out, o, DR_OUTCOME_ACCEPTED, DR_OK, "");
			c->op_wanted = !c->op_running && c->unwritten.number == 0;
		}
	} else if (o->core.epoch < j->epoch) {
		answer(out, o, DR_OUTCOME_REFUSED, DR_E_STALE, "a newer epoch was seen");
	} else if (dr_agent_breaks_promise(c, o)) {
		keep_promise(c, o, out);
	} else {
		accept(c, o, out);
	}
}

/* The leader does not want it any more; what was accepted stays accepted, so it ends as failed. */
void dr_agent_gate_cancel(struct dr_agent_core *c, uint64_t number, struct dr_agent_decision *out)
{
	bool adopted = c->unwritten.number == number && c->journal.order.core.kind == DR_ORDER_ADOPTED;
	if (number == c->journal.order_seen && adopted) {
		/* Whoever took it over and could not write that down has not: nobody wants it any more. */
		c->unwritten.outcome = DR_OUTCOME_FAILED;
		c->unwritten.code = DR_E_CANCELLED;
		dr_agent_not_adopted(c, out);
		return;
	}
	if (number != c->journal.order_seen || (!c->op_running && !c->op_wanted))
		return;
	/* A fence is never taken back half done. */
	if (c->journal.order.core.kind == DR_ORDER_FENCED)
		return;
	out->cancel_op = c->op_running;
	c->op_running = false;
	c->op_wanted = false;
	c->journal.done = (struct dr_order_result){ .number = number, .epoch = c->journal.epoch,
						    .outcome = DR_OUTCOME_FAILED, .code = DR_E_CANCELLED };
	dr_agent_not_adopted(c, out);
	out->journal = true;
}

void dr_agent_not_adopted(struct dr_agent_core *c, struct dr_agent_decision *out)
{
	if (c->journal.managed || c->journal.order.core.kind != DR_ORDER_ADOPTED)
		return;
	dr_agent_lease_drop(c);
	dr_agent_disarm(out);
}

void dr_agent_role_after(struct dr_agent_core *c, struct dr_agent_decision *out)
{
	const struct dr_order *o = &c->journal.order;
	if (o->core.kind == DR_ORDER_ADOPTED) {
		c->journal.managed = true;
		c->journal.role = dr_name_eq(&o->target, &c->self) ? DR_ROLE_PRIMARY : DR_ROLE_STANDBY;
	} else if (o->core.kind == DR_ORDER_RELEASED) {
		c->journal.managed = c->journal.turning = c->turning = false;
		c->journal.role = DR_ROLE_NONE;
		dr_agent_lease_drop(c);
		dr_agent_disarm(out);
	}
}
