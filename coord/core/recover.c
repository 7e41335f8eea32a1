/* recover.c -- after `node recover`: what the log must be raised to, and what can be known of who is primary.
 *
 * The log that is left may lack the newest entries: epochs, holders, orders and sets that only the lost majority
 * had.  What agents journaled is the better witness, so they are listened to first; whoever was not heard may be
 * anything.  From then on nothing rests on what this log believed: every member may have been a holder, and an
 * acknowledged write may be with any single one of them. */
#include "coord/core/think.h"

#include "base/assert.h"

/* An agent that was not heard may have seen some epochs and orders more than all that were; and should the lost
 * majority live after all, agents refuse what it orders from then on. */
enum { EPOCHS_AHEAD = 1000, NUMBERS_AHEAD = 1000 };

static bool named(const struct dr_service *s, dr_member_ix m)
{
	return s->spec.member[m].name.s[0] != '\0';
}

static bool all_heard(const struct dr_core *c, uint32_t ix)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (named(&c->repl.service[ix], m) && c->view.service[ix].member[m].report_ms == 0)
			return false;
	}
	return true;
}

/* A TTL that only the lost majority knew may be longer than the one that was waited out. */
static bool holds_lease(const struct dr_core *c, const struct dr_member_view *mv)
{
	/* One that rests on promises ends with them: agents promise nothing while they hear a leader, and whoever has
	 * promised is not promoted before. */
	if (mv->report.failsafe == DR_FAILSAFE_RUNNING)
		return false;
	uint64_t left = dr_lease_hold_ms(mv->report.lease_left_ms, c->repl.timing.drift_ppm);
	return mv->report.lease_left_ms != 0 && c->view.now_ms <= mv->report_ms + left;
}

static bool any_lease(const struct dr_core *c, uint32_t ix)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		const struct dr_member_view *mv = &c->view.service[ix].member[m];
		if (mv->report_ms != 0 && holds_lease(c, mv))
			return true;
	}
	return false;
}

bool dr_core_recover_heard(const struct dr_core *c)
{
	for (uint32_t i = 0; i < c->repl.services; i++) {
		if (c->repl.service[i].used && c->repl.service[i].managed &&
		    (!all_heard(c, i) || any_lease(c, i)))
			return false;
	}
	return true;
}

static uint64_t most(uint64_t x, uint64_t y)
{
	return x > y ? x : y;
}

static void raise_above(const struct dr_core *c, uint32_t ix, struct dr_cmd *cmd)
{
	const struct dr_service *s = &c->repl.service[ix];
	cmd->epoch = s->epoch;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		const struct dr_member_view *mv = &c->view.service[ix].member[m];
		cmd->a = most(cmd->a, s->member[m].order_last);
		if (mv->report_ms == 0 || mv->report.epoch > DR_COUNT_SANE || mv->report.order_seen > DR_COUNT_SANE ||
		    mv->report.last.epoch > DR_COUNT_SANE || mv->report.last.number > DR_COUNT_SANE)
			continue;
		cmd->epoch = most(cmd->epoch, most(mv->report.epoch, mv->report.last.epoch));
		cmd->a = most(cmd->a, most(mv->report.order_seen, mv->report.last.number));
	}
	cmd->b = cmd->epoch; /* the highest that was seen */
	cmd->epoch += EPOCHS_AHEAD;
	cmd->a += NUMBERS_AHEAD;
}

/* Who surely has every acknowledged write, so that a failover needs no other position: the primary of the newest
 * epoch that anybody has seen.  Nothing less will do.  "Fenced" is said by a former holder of any epoch and by a
 * standby in the middle of its rejoin, with whatever epoch its last order had; the newest holder, stopped and
 * frozen again, says "standby"; and a member that was not heard may be it.  Then it is not known (NONE), and
 * every position is needed. */
static dr_member_ix last_holder(const struct dr_core *c, uint32_t ix, uint64_t newest)
{
	const struct dr_service_view *v = &c->view.service[ix];
	dr_member_ix found = DR_MEMBER_NONE;
	if (!all_heard(c, ix))
		return DR_MEMBER_NONE;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		const struct dr_report *r = &v->member[m].report;
		if (!named(&c->repl.service[ix], m) || r->role != DR_ROLE_PRIMARY || r->epoch != newest)
			continue;
		if (found != DR_MEMBER_NONE)
			return DR_MEMBER_NONE; /* an epoch has one holder: somebody's journal is not to be believed */
		found = m;
	}
	return found;
}

/* Adopted, by the word of any agent; no longer, only by the word of all of them. */
static bool is_managed(const struct dr_core *c, uint32_t ix)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		const struct dr_member_view *mv = &c->view.service[ix].member[m];
		if (named(&c->repl.service[ix], m) && mv->report_ms != 0 && mv->report.managed)
			return true;
	}
	return c->repl.service[ix].managed && !all_heard(c, ix);
}

void dr_core_recover_cmd(const struct dr_core *c, uint32_t service, struct dr_cmd *out)
{
	dr_assert(service < c->repl.services && c->repl.service[service].used);
	*out = (struct dr_cmd){ .kind = DR_CMD_RECOVER,
				.service = service,
				.target = DR_MEMBER_NONE,
				.reason = DR_REASON_RECOVERING };
	raise_above(c, service, out);
	out->member = last_holder(c, service, out->b);
	out->flag = is_managed(c, service);
	out->flag2 = !all_heard(c, service);
	dr_assert(out->epoch > c->repl.service[service].epoch);
}
