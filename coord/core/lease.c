/* lease.c -- the lease book: who may have been granted what until when (design.md 4, rules 1 to 3).
 *
 * The leader notes when it received a renewal, before anything is granted; it grants only once a lease tick
 * that it appended afterwards has committed; it counts from those receipts, and for whatever an earlier leader
 * may have granted from the last lease tick that had entered its own log when it began to lead.
 *
 * Of each service two renewals are kept: that for which the tick in flight was appended, which is granted when that
 * commits although newer ones may have come (the lease counts from that renewal's sending, expiry from the newest
 * one's receipt), and the newest.  With one place nobody would be granted anything where commits take longer than
 * renewals are apart. */
#include "coord/core/think.h"

#include "base/assert.h"
#include "base/mutant.h"

enum { TICK_SPACING_MS = 20 }; /* at most one lease tick per so long (design.md 4.2) */

static void grant(struct dr_core *c, uint32_t ix, const struct dr_renewal *r, struct dr_decision *out);

/* The clock that leases are counted on. */
static uint64_t lease_now(const struct dr_core_view *v)
{
	return DR_MUTANT(WALL_TIME_IN_LEASE) ? v->wall_ms : v->now_ms;
}

void dr_lease_appended(struct dr_core *c)
{
	if (DR_MUTANT(OLDER_RECEIPT) && c->view.tick_received_ms != 0)
		return;
	if (DR_MUTANT(REELECTED_FORGETS) && c->view.leading)
		return;
	c->view.tick_received_ms = lease_now(&c->view);
}

void dr_lease_role(struct dr_core *c, bool leading)
{
	struct dr_core_view *v = &c->view;
	v->tick_tag = 0;
	v->ttl_version = 0;
	for (uint32_t i = 0; i < v->renewals_waiting; i++) {
		struct dr_service_view *s = &v->service[v->renewal_of[i]];
		s->under_way.asked = s->waits.asked = false;
	}
	v->renewals_waiting = 0;
	for (dr_member_ix m = 0; DR_MUTANT(REELECTED_FORGETS) && m < DR_MEMBERS_MAX; m++)
		v->service[0].member[m].renewed_ms = 0;
	if (leading)
		v->base_receipt_ms = v->tick_received_ms;
}

uint64_t dr_core_lease_left_ms(const struct dr_core *c, uint32_t service, dr_member_ix m)
{
	dr_assert(service < DR_SERVICES_MAX && m < DR_MEMBERS_MAX);
	const struct dr_core_view *v = &c->view;
	uint64_t from = v->service[service].member[m].renewed_ms;
	if (from < v->base_receipt_ms && !DR_MUTANT(LEADER_FORGETS_WAIT))
		from = v->base_receipt_ms;
	uint32_t ttl = DR_MUTANT(LOWERED_TTL_AT_ONCE) ? c->repl.timing.ttl_ms : c->repl.ttl_longest_ms;
	uint32_t drift = c->repl.timing.drift_ppm;
	drift = DR_MUTANT(NO_DRIFT_MARGIN) ? 0 : DR_MUTANT(DRIFT_PER_CLOCK) ? drift / 2 : drift;
	uint64_t hold = dr_lease_hold_ms(ttl, drift);
	/* Times are whole milliseconds, cut off: one more makes sure. */
	uint64_t until = from + hold + 1;
	return until > lease_now(v) ? until - lease_now(v) : 0;
}

static void note_asking(const struct dr_core *c, struct dr_member_view *mv)
{
	const struct dr_timing *timing = &c->repl.timing;
	uint64_t rest = (uint64_t)timing->fence_budget_ms + timing->renew_ms;
	uint64_t gap = timing->ttl_ms > rest ? timing->ttl_ms - rest : 0;
	if (mv->renewed_ms == 0 || c->view.now_ms - mv->renewed_ms >= gap || mv->asking_ms < c->view.led_since_ms)
		mv->asking_ms = c->view.now_ms;
}

void dr_lease_renew(struct dr_core *c, const struct dr_core_event *ev, struct dr_decision *out)
{
	if (!c->view.leading || c->view.recovering)
		return;
	uint32_t ix = dr_repl_service_find(&c->repl, ev->service.s);
	if (ix == DR_SERVICE_NONE)
		return;
	const struct dr_service *s = &c->repl.service[ix];
	struct dr_service_view *v = &c->view.service[ix];
	dr_member_ix m = dr_service_member_find(s, ev->member.s);
	bool holds = m != DR_MEMBER_NONE && s->holder == m && s->epoch == ev->epoch && !v->declaring;
	if (!holds && (!DR_MUTANT(GRANT_AFTER_EPOCH) || m == DR_MEMBER_NONE))
		return;
	if (holds)
		note_asking(c, &v->member[m]);
	if (holds && !DR_MUTANT(GRANT_NOT_NOTED))
		v->member[m].renewed_ms = lease_now(&c->view);
	struct dr_renewal r = { .id = ev->renewal, .epoch = ev->epoch, .member = m, .asked = true };
	if (DR_MUTANT(GRANT_BEFORE_COMMIT)) {
		grant(c, ix, &r, out);
		return;
	}
	if (!v->under_way.asked && !v->waits.asked)
		c->view.renewal_of[c->view.renewals_waiting++] = (uint16_t)ix;
	/* Only a tick appended from now on answers it. */
	*(DR_MUTANT(GRANT_ON_OLDER_TICK) && c->view.tick_tag != 0 ? &v->under_way : &v->waits) = r;
	dr_lease_tick_wanted(c, out);
}

void dr_lease_tick_wanted(struct dr_core *c, struct dr_decision *out)
{
	struct dr_core_view *v = &c->view;
	if (!v->leading || v->renewals_waiting == 0 || v->tick_tag != 0)
		return;
	if (v->tick_proposed_ms != 0 && v->now_ms < v->tick_proposed_ms + TICK_SPACING_MS) {
		dr_wake_at(out, v->tick_proposed_ms + TICK_SPACING_MS);
		return;
	}
	if (out->proposals >= DR_PROPOSE_MAX)
		return;
	struct dr_proposal *p = &out->propose[out->proposals++];
	*p = (struct dr_proposal){ .tag = ++v->tag_last };
	p->cmd.kind = DR_CMD_TICK;
	p->cmd.service = DR_SERVICE_NONE;
	p->cmd.wall_ms = v->wall_ms;
	p->cmd.ttl_ms = c->repl.timing.ttl_ms;
	v->tick_tag = p->tag;
	v->tick_proposed_ms = v->now_ms;
	for (uint32_t i = 0; i < v->renewals_waiting; i++) {
		struct dr_service_view *s = &v->service[v->renewal_of[i]];
		dr_assert(s->waits.asked && !s->under_way.asked);
		s->under_way = s->waits;
		s->waits.asked = false;
	}
}

/* After a TTL was lowered, expiry goes on counting with the longer one; this says in the log when that is over.
 *
 * Why it is safe.  A lease of the longer TTL was granted by a leader that had not applied the spec in force, SPEC,
 * when it granted.  It granted for a tick that it had appended after it received the renewal; ticks behind
 * SPEC end as committed only once SPEC was applied (the log is applied in order), so that tick stands before
 * SPEC.  The holder sent the renewal before that tick was appended, hence before SPEC was, hence before this leader
 * applied SPEC, however late the grant itself comes.  From the sending on the lease runs for at most the longest
 * TTL on the holder's clock: for at most dr_lease_hold_ms() on this one.  So everybody's longer leases are over that
 * long after this leader has SPEC applied.  It counts from when it first noticed, never from what it remembers of an
 * earlier leadership.  The entry counts only while SPEC is still in force: a later one may have raised the TTL
 * again.  And whoever has not applied it yet counts with more, not less. */
void dr_lease_ttl_think(struct dr_core *c, struct dr_decision *out)
{
	struct dr_core_view *v = &c->view;
	if (!v->leading || v->recovering || c->repl.ttl_longest_ms <= c->repl.timing.ttl_ms) {
		v->ttl_version = 0;
		return;
	}
	if (v->ttl_version != c->repl.spec_version) {
		v->ttl_version = c->repl.spec_version;
		v->ttl_since_ms = v->now_ms;
		return;
	}
	uint64_t hold = dr_lease_hold_ms(c->repl.ttl_longest_ms, c->repl.timing.drift_ppm);
	/* Times are whole milliseconds, cut off: one more makes sure. */
	if (v->now_ms <= v->ttl_since_ms + hold + 1 || out->proposals >= DR_PROPOSE_MAX)
		return;
	v->ttl_version = 0; /* should it come to nothing, all is waited for again */
	struct dr_proposal *p = &out->propose[out->proposals++];
	*p = (struct dr_proposal){ .tag = ++v->tag_last };
	p->cmd = (struct dr_cmd){ .kind = DR_CMD_TTL_SETTLED,
				  .service = DR_SERVICE_NONE,
				  .member = DR_MEMBER_NONE,
				  .target = DR_MEMBER_NONE,
				  .wall_ms = v->wall_ms,
				  .a = c->repl.spec_version };
}

static void grant(struct dr_core *c, uint32_t ix, const struct dr_renewal *r, struct dr_decision *out)
{
	const struct dr_service *s = &c->repl.service[ix];
	bool holds = s->holder == r->member && s->epoch == r->epoch && !c->view.service[ix].declaring;
	if (!holds && !DR_MUTANT(GRANT_AFTER_EPOCH))
		return;
	if (out->grants >= DR_GRANTS_MAX)
		return;
	out->grant[out->grants++] = (struct dr_grant){ .service = ix,
						       .member = r->member,
						       .epoch = r->epoch,
						       .renewal = r->id,
						       .ttl_ms = c->repl.timing.ttl_ms };
}

/* What a tick that came to nothing was for waits for the next one; a newer renewal of the service has its place. */
static void wait_again(struct dr_service_view *s)
{
	if (s->under_way.asked && !s->waits.asked)
		s->waits = s->under_way;
	s->under_way.asked = false;
}

void dr_lease_tick_ended(struct dr_core *c, enum dr_err outcome, struct dr_decision *out)
{
	struct dr_core_view *v = &c->view;
	v->tick_tag = 0;
	if (!v->leading)
		return;
	uint32_t left = 0;
	for (uint32_t i = 0; i < v->renewals_waiting; i++) {
		uint16_t ix = v->renewal_of[i];
		struct dr_service_view *s = &v->service[ix];
		if (s->under_way.asked && outcome == DR_OK) {
			grant(c, ix, &s->under_way, out);
			s->under_way.asked = false;
		}
		wait_again(s);
		if (s->waits.asked)
			v->renewal_of[left++] = ix;
	}
	v->renewals_waiting = left;
	if (outcome == DR_OK)
		dr_lease_tick_wanted(c, out);
	else if (left > 0)
		dr_wake_at(out, v->now_ms + 1); /* a refusal leads to no other one at once */
}
