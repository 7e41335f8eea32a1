/* lease.c -- the holder's side of the lease (design.md 4.1): it runs from when the granted renewal was sent. */
#include "agent/core/parts.h"

#include "base/assert.h"
#include "base/mutant.h"

/* Answers to renewals that are still on their way count no more. */
void dr_agent_renewals_void(struct dr_agent_core *c)
{
	for (uint32_t i = 0; i < DR_RENEWALS_KEPT; i++)
		c->renewal[i].id = 0;
}

void dr_agent_lease_drop(struct dr_agent_core *c)
{
	c->lease_epoch = 0;
	c->lease_until_ms = 0;
	c->lease_sent_ms = 0;
	c->grace_until_ms = 0;
	c->extended_until_ms = 0;
	c->round.id = 0;
	dr_agent_renewals_void(c);
}

void dr_agent_renew(struct dr_agent_core *c, bool wanted, struct dr_agent_decision *out)
{
	if (!wanted || !c->leader_known || !c->guard_alive)
		return;
	uint64_t due = c->renewed_ms == 0 ? c->now_ms : c->renewed_ms + c->timing.renew_ms;
	if (c->now_ms >= due) {
		c->renewal_last++;
		if (c->renewal_last == 0)
			c->renewal_last = 1;
		if (DR_MUTANT(RENEWAL_ID_REUSED))
			c->renewal_last = 1 + c->renewal_last % 2;
		uint32_t at = c->renewal_next++ % DR_RENEWALS_KEPT;
		c->renewal[at].id = c->renewal_last;
		c->renewal[at].epoch = c->journal.epoch;
		c->renewal[at].sent_ms = c->now_ms;
		c->renewed_ms = c->now_ms;
		out->renew = true;
		out->renew_id = c->renewal_last;
		out->renew_epoch = c->journal.epoch;
		due = c->now_ms + c->timing.renew_ms;
	}
	if (out->wake_at_ms == 0 || due < out->wake_at_ms)
		out->wake_at_ms = due;
}

void dr_agent_grant(struct dr_agent_core *c, const struct dr_agent_event *ev, struct dr_agent_decision *out)
{
	for (uint32_t i = 0; i < DR_RENEWALS_KEPT; i++) {
		if (c->renewal[i].id == 0 || c->renewal[i].id != ev->id)
			continue;
		uint64_t epoch = DR_MUTANT(GRANT_UNFENCES) ? c->journal.epoch : ev->epoch;
		bool fits = c->renewal[i].epoch == ev->epoch && epoch == c->journal.epoch;
		uint64_t sent = c->renewal[i].sent_ms;
		if (DR_MUTANT(LEASE_FROM_ARRIVAL))
			sent = c->now_ms;
		if (DR_MUTANT(ANY_RENEWAL_ANSWERED))
			sent = c->renewed_ms;
		uint64_t until = sent + ev->ttl_ms;
		c->renewal[i].id = 0;
		if (!fits || until <= c->now_ms)
			return;
		dr_assert(sent <= c->now_ms);
		if (c->lease_epoch != epoch || until > c->lease_until_ms) {
			c->lease_epoch = epoch;
			c->lease_until_ms = until;
			c->lease_sent_ms = sent;
			out->arm = true;
			out->report = out->report || c->server == DR_SERVER_STOPPED; /* a plan may wait for it */
		}
		return;
	}
}
