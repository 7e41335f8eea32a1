/* failsafe.c -- all coordinators lost must not stop a healthy primary (design.md 4.8).
 *
 *   holder                                     another member's agent
 *   lease nearly over, no grant came   --ask-> hears no leader, has seen no newer epoch:
 *                                              journals that it takes no promote order for TTL x (1+d)/(1-d)
 *   all on its list promised           <-------
 *   lease + TTL, from when it asked
 *
 * Safe because whoever may be promoted on the mere end of the lease is on the list: the coordinators count a member
 * in only after the holder has acknowledged a list with it (coord/core/listed.c).  One silent member: no extension. */
#include <string.h>

#include "agent/core/parts.h"
#include "base/mutant.h"

enum { HOLD_MOST_MS = 900000 }; /* more than the longest TTL asks for (conf/keys.def) */

bool dr_agent_has_list(const struct dr_agent_core *c)
{
	const struct dr_agent_list *l = &c->journal.list;
	if (DR_MUTANT(PROMOTED_WITHOUT_LIST) && l->epoch != c->journal.epoch)
		return true;
	return l->version != 0 && l->epoch == c->journal.epoch;
}

bool dr_agent_on_promises(const struct dr_agent_core *c)
{
	bool known = c->extended_by != 0 || c->journal.list.members == 0; /* not after a restart */
	return known && c->extended_until_ms > c->now_ms && c->extended_until_ms == c->lease_until_ms &&
	       c->lease_epoch == c->journal.epoch;
}

uint64_t dr_agent_promise_left_ms(const struct dr_agent_core *c)
{
	return c->promise_until_ms > c->now_ms ? c->promise_until_ms - c->now_ms : 0;
}

static uint32_t hold_of(uint64_t ttl_ms, uint32_t drift_ppm)
{
	/* And one more: our clock was read cut off. */
	uint64_t ms = dr_lease_hold_ms((uint32_t)ttl_ms, drift_ppm) + 1;
	if (DR_MUTANT(PROMISE_NO_MARGIN))
		ms = ttl_ms;
	return (uint32_t)(ms < HOLD_MOST_MS ? ms : HOLD_MOST_MS);
}

static uint32_t hold_ms(const struct dr_agent_core *c)
{
	return hold_of(c->timing.ttl_ms, c->timing.drift_ppm);
}

/* ---- promises that others asked for */

static void promise_for(struct dr_agent_core *c, uint32_t ms)
{
	if (c->promise_until_ms < c->now_ms + ms)
		c->promise_until_ms = c->now_ms + ms;
}

/* A journal that is empty may have been lost with a promise in it: this member counts as having given the longest. */
void dr_agent_failsafe_init(struct dr_agent_core *c)
{
	const struct dr_agent_journal *j = &c->journal;
	c->newborn = !j->managed && j->epoch == 0 && j->order_seen == 0;
	c->born_ms = c->now_ms;
	if (j->promise_ms != 0)
		promise_for(c, j->promise_ms);
	/* What was inherited may rest on promises, of nobody knows whom. */
	c->extended_until_ms = c->lease_until_ms;
	dr_agent_failsafe_timing(c, 0);
}

/* The longest that it can have given; until a leader has said what that is, by the profile that agents start with. */
void dr_agent_failsafe_timing(struct dr_agent_core *c, uint32_t longest_ms)
{
	if (!c->newborn || DR_MUTANT(PROMISE_NOT_JOURNALED))
		return;
	uint64_t ttl = longest_ms > c->timing.ttl_ms ? longest_ms : c->timing.ttl_ms;
	uint32_t ms = hold_of(ttl, c->timing.drift_ppm);
	c->journal.promise_ms = ms; /* durable with whatever is journaled first */
	c->promise_until_ms = c->born_ms + ms;
}

static enum dr_err judge(const struct dr_agent_core *c, const struct dr_ask *ask, bool hears_leader)
{
	const struct dr_agent_journal *j = &c->journal;
	if (!j->managed)
		return DR_E_REFUSED;
	bool stale = ask->epoch < j->epoch || (ask->epoch == j->epoch && j->role == DR_ROLE_PRIMARY);
	if (stale)
		return DR_MUTANT(PROMISE_TO_LOWER) ? DR_OK : DR_E_STALE;
	return hears_leader ? DR_E_CONFLICT : DR_OK;
}

void dr_agent_asked(struct dr_agent_core *c, const struct dr_agent_event *ev, struct dr_agent_decision *out)
{
	const struct dr_ask *ask = ev->ask;
	enum dr_err code = judge(c, ask, ev->known);
	if (code == DR_OK) {
		uint32_t asked = ask->hold_ms < HOLD_MOST_MS ? ask->hold_ms : HOLD_MOST_MS;
		uint32_t ms = hold_ms(c) > asked ? hold_ms(c) : asked;
		promise_for(c, ms);
		/* One that is journaled already counts as long again from a restart on. */
		if (c->journal.promise_ms < ms && !DR_MUTANT(PROMISE_NOT_JOURNALED)) {
			c->journal.promise_ms = ms;
			out->journal = true;
		}
	}
	out->promise = true;
	out->promised = (struct dr_promise){ .service = ask->service, .member = c->self, .epoch = ask->epoch,
					     .id = ask->id, .code = code, .seen_epoch = c->journal.epoch };
}

bool dr_agent_breaks_promise(const struct dr_agent_core *c, const struct dr_order *o)
{
	return o->core.kind == DR_ORDER_WRITABLE && c->promise_until_ms > c->now_ms && !DR_MUTANT(PROMISE_IGNORED);
}

/* ---- the list */

/* By the agent that is to be asked from now on: another one's journal does not hold the promise. */
static bool has_promised(const struct dr_agent_core *c, const struct dr_order_peer *p)
{
	for (uint32_t i = 0; i < c->extended_by; i++) {
		if (dr_name_eq(&c->promiser[i].member, &p->member) && dr_name_eq(&c->promiser[i].agent, &p->agent))
			return true;
	}
	return false;
}

/* Whoever is named newly may be promoted as soon as this is acknowledged: an extension that it did not promise must
 * have ended by then. */
bool dr_agent_may_take_list(const struct dr_agent_core *c, const struct dr_order *o)
{
	if (c->extended_until_ms <= c->now_ms || DR_MUTANT(ACK_IN_EXTENSION))
		return true;
	for (uint32_t i = 0; i < o->peers; i++) {
		if (o->peer[i].listed && !has_promised(c, &o->peer[i]))
			return false;
	}
	return true;
}

void dr_agent_take_list(struct dr_agent_core *c, const struct dr_order *o)
{
	struct dr_agent_list *l = &c->journal.list;
	if (l->epoch == o->core.epoch && l->version >= o->core.list_version)
		return;
	memset(l, 0, sizeof(*l));
	l->epoch = o->core.epoch;
	l->version = o->core.list_version;
	for (uint32_t i = 0; i < o->peers && i < DR_MEMBERS_MAX; i++) {
		if (o->peer[i].listed)
			l->member[l->members++] = o->peer[i];
	}
	c->round.id = 0; /* what was asked before was asked of others */
}

/* ---- questions of ours */

static bool may_go_on(const struct dr_agent_core *c)
{
	const struct dr_agent_journal *j = &c->journal;
	return j->managed && j->role == DR_ROLE_PRIMARY && c->server == DR_SERVER_PRIMARY && dr_agent_has_list(c) &&
	       c->lease_epoch == j->epoch && c->lease_until_ms > c->now_ms && !c->fencing && c->guard_alive &&
	       c->higher_epoch <= j->epoch;
}

static bool all_answered(const struct dr_agent_core *c)
{
	uint32_t missing = 0;
	if (DR_MUTANT(PROMOTED_WITHOUT_LIST) && c->journal.list.epoch != c->journal.epoch)
		return true;
	for (uint32_t i = 0; i < c->journal.list.members; i++)
		missing += (c->round.answered >> i & 1u) == 0 ? 1u : 0u;
	return missing == 0 || (DR_MUTANT(PROMISE_TOO_FEW) && missing == 1);
}

static void extend(struct dr_agent_core *c, struct dr_agent_decision *out)
{
	uint32_t ttl = c->round.ttl_ms < c->timing.ttl_ms ? c->round.ttl_ms : c->timing.ttl_ms;
	uint64_t until = (DR_MUTANT(EXTENSION_FROM_ANSWER) ? c->now_ms : c->round.asked_ms) + ttl;
	c->round.id = 0;
	if (until <= c->lease_until_ms)
		return;
	c->lease_until_ms = c->extended_until_ms = until;
	c->extended_by = c->journal.list.members;
	for (uint32_t i = 0; i < c->extended_by; i++)
		c->promiser[i] = c->journal.list.member[i];
	out->arm = true;
	out->report = true;
}

void dr_agent_promise(struct dr_agent_core *c, const struct dr_promise *p, struct dr_agent_decision *out)
{
	if (p->seen_epoch > c->higher_epoch)
		c->higher_epoch = p->seen_epoch;
	bool of_it = c->round.id != 0 && p->id == c->round.id && p->epoch == c->round.epoch &&
		     p->epoch == c->journal.epoch;
	if (!of_it || p->code != DR_OK)
		return;
	for (uint32_t i = 0; i < c->journal.list.members; i++) {
		if (dr_name_eq(&c->journal.list.member[i].member, &p->member))
			c->round.answered |= 1u << i;
	}
	if (all_answered(c) && may_go_on(c))
		extend(c, out);
}

static void open_round(struct dr_agent_core *c, struct dr_agent_decision *out)
{
	if (++c->renewal_last == 0)
		c->renewal_last = 1;
	c->round.id = c->renewal_last; /* one count for all that is never reused */
	c->round.epoch = c->journal.epoch;
	c->round.asked_ms = c->now_ms;
	c->round.ttl_ms = c->timing.ttl_ms;
	c->round.answered = 0;
	out->ask = true;
	out->question = (struct dr_ask){ .member = c->self, .epoch = c->round.epoch, .id = c->round.id,
					 .hold_ms = hold_ms(c) };
	if (all_answered(c))
		extend(c, out);
}

/* One renewal's time before the fence budget begins: late, since a promise delays a failover, and early enough to
 * ask twice. */
static uint64_t ask_at(const struct dr_agent_core *c)
{
	uint64_t ahead = (uint64_t)c->timing.fence_budget_ms + c->timing.renew_ms;
	return c->lease_until_ms > ahead ? c->lease_until_ms - ahead : 0;
}

void dr_agent_failsafe(struct dr_agent_core *c, struct dr_agent_decision *out)
{
	if (c->journal.promise_ms != 0 && c->now_ms >= c->promise_until_ms) {
		c->journal.promise_ms = 0;
		out->journal = out->journal || !c->newborn;
	} else if (c->journal.promise_ms != 0) {
		dr_agent_wake(out, c->promise_until_ms);
	}
	if (!may_go_on(c)) {
		c->round.id = 0;
		return;
	}
	uint64_t due = ask_at(c);
	uint64_t again = c->round.asked_ms + c->timing.renew_ms / 2;
	if (c->round.id != 0 && due < again)
		due = again;
	if (c->now_ms >= due)
		open_round(c, out);
	dr_agent_wake(out, c->now_ms >= due ? c->now_ms + c->timing.renew_ms / 2 : due);
}
