/* listed.c -- whom the holder's agent asks before it goes on without a leader (design.md 4.8).
 *
 * A member may be promoted on the mere end of the holder's lease only once the holder's agent has acknowledged a list
 * with it: from then on that lease lives on only by that member's promise, and whoever has promised takes no promote
 * order.  Before, and after a proof of that kind, it takes the holder's own word, a fence from outside, or a person's. */
#include "coord/core/think.h"

#include "base/mutant.h"

bool dr_may_be_promoted(const struct dr_think *t, const struct dr_plan *p, dr_member_ix m)
{
	if (dr_set_has(t->s->listed, m) || p->assert_fenced || DR_MUTANT(UNLISTED_PROMOTED))
		return true;
	for (dr_member_ix x = 0; x < DR_MEMBERS_MAX; x++) {
		if (x != m && t->s->member[x].only_expired)
			return false;
	}
	return true;
}

/* Those on it stay, silent ones too; whoever follows the holder comes to it. */
static dr_member_set wanted(const struct dr_think *t)
{
	dr_member_set want = t->s->listed;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (t->s->spec.member[m].name.s[0] != '\0' && t->s->member[m].joined_epoch == t->s->epoch)
			want = dr_set_with(want, m);
	}
	return dr_set_without(want, t->s->holder);
}

void dr_list_think(struct dr_think *t)
{
	const struct dr_service *s = t->s;
	uint64_t a = 0;
	if (!s->managed || s->plan.id != 0 || s->holder == DR_MEMBER_NONE || s->primary_epoch != s->epoch)
		return;
	dr_member_set want = wanted(t);
	if (s->list_epoch == s->epoch && s->list_taken == s->list_version && want == s->listed)
		return;
	if (dr_incident(t, &a) != DR_REASON_NONE || !dr_heard(t, s->holder))
		return;
	struct dr_order_core o = { .kind = DR_ORDER_LISTED, .target = DR_MEMBER_NONE, .listed = want };
	(void)dr_order_want(t, NULL, s->holder, o);
}
