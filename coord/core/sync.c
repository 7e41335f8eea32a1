/* sync.c -- which standbys the primary waits for, and when the promise may rest on them.
 *
 * Two phases, so that at every moment the logged set covers whatever the server may be waiting for
 * (docs/decisions/0002-joint-sets.md): SYNC_CHANGE makes the promise rest on the union of old and new, then
 * the server is ordered, and only when a fresh look shows that it waits for the new set and that all of it
 * are past the point of joining does SYNC_CONFIRM let go of the old. */
#include "coord/core/think.h"

#include <string.h>

#include "base/mutant.h"

/* A walsender that has not read the new setting yet may still release commits by the old set.  The point of
 * joining is therefore taken from a report whose look at the server began this long after the order was done. */
enum { SETTLE_MS = 1000 };

static bool streams(const struct dr_think *t, dr_member_ix m)
{
	if (dr_kind_asks_to_ack(t->s->spec.kind)) /* the holder cannot tell; its own word is asked for besides */
		return true;
	const struct dr_report *p = &t->v->member[t->s->holder].report;
	for (uint32_t i = 0; i < p->peers && i < DR_MEMBERS_MAX; i++) {
		if (dr_name_eq(&p->peer[i].member, &t->s->spec.member[m].name))
			return p->peer[i].streaming;
	}
	return false;
}

/* It acknowledges to the present holder, by the log and by its own word. */
static bool acks(const struct dr_think *t, dr_member_ix m)
{
	return t->s->member[m].acks_epoch == t->s->epoch && dr_heard(t, m) && t->v->member[m].report.acks;
}

/* Told to acknowledge, and does not for so long that somebody else should. */
static bool fails_to_ack(const struct dr_think *t, dr_member_ix m)
{
	uint64_t since = t->v->member[m].acks_not_ms;
	return since != 0 && t->c->view.now_ms - since >= t->s->spec.alone_after_ms;
}

/* Fit to be waited for: follows the holder, by its own word and by the holder's. */
static bool fit(const struct dr_think *t, dr_member_ix m, dr_member_ix holder, bool to_come)
{
	const struct dr_service *s = t->s;
	if (m == holder || s->spec.member[m].name.s[0] == '\0' || !dr_heard(t, m))
		return false;
	bool standby = t->v->member[m].report.server == DR_SERVER_STANDBY;
	if (to_come) /* can be repointed at once: frozen in line, or followed the primary that was stopped in order */
		return (s->member[m].frozen_epoch == s->epoch && s->member[m].lineage >= s->primary_epoch) ||
		       (s->member[m].joined_epoch + 1 == s->epoch && standby && m != s->plan.old);
	return s->member[m].joined_epoch == s->epoch && dr_follows(t, m) && streams(t, m) && !fails_to_ack(t, m);
}

static dr_member_ix next_best(const struct dr_think *t, dr_member_set from, dr_member_set kept)
{
	dr_member_ix best = DR_MEMBER_NONE;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (!dr_set_has(from, m))
			continue;
		if (best >= DR_MEMBERS_MAX) { /* none yet; said as a bound, so that gcc 14 sees the index below */
			best = m;
			continue;
		}
		bool in = dr_set_has(kept, m);
		bool best_in = dr_set_has(kept, best);
		uint32_t pm = t->s->spec.member[m].priority;
		uint32_t pb = t->s->spec.member[best].priority;
		/* Stay with whom it waits for already; then priority, never-promoted ones last. */
		if (in != best_in ? in : (pm != 0 && (pb == 0 || pm < pb)))
			best = m;
	}
	return best;
}

struct dr_sync dr_sync_desired(const struct dr_think *t, dr_member_ix holder, bool to_come)
{
	struct dr_sync want = { 0 };
	if (t->s->spec.durability != DR_DURABILITY_SYNC && !DR_MUTANT(BRAKE_NAMES))
		return want;
	dr_member_set able = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (fit(t, m, holder, to_come))
			able = dr_set_with(able, m);
	}
	/* After a planned stop the best may be the old primary, which has to start first: one more may acknowledge
	 * meanwhile, and dr_sync_think picks the best when all of them follow (docs/decisions/0002). */
	unsigned most = t->s->spec.sync_set_max + (to_come && t->s->plan.kind == DR_PLAN_SWITCHOVER ? 1u : 0u);
	while (able != 0 && dr_set_count(want.set) < most) {
		dr_member_ix m = next_best(t, able, t->s->next.set);
		able = dr_set_without(able, m);
		want.set = dr_set_with(want.set, m);
	}
	unsigned n = dr_set_count(want.set);
	if (n < t->s->spec.sync_k && t->s->spec.when_alone == DR_ALONE_BLOCK) {
		want.set = dr_set_without(dr_service_members(t->s), holder);
		n = dr_set_count(want.set);
	}
	want.k = t->s->spec.sync_k < n ? t->s->spec.sync_k : n;
	return want;
}

/* A new primary's set.  With no standby at hand it waits for any of those that may come back, and
 * dr_sync_think gives them up after alone_after, or never. */
struct dr_sync dr_sync_of_new(const struct dr_think *t, dr_member_ix holder)
{
	struct dr_sync want = dr_sync_desired(t, holder, true);
	if (t->s->spec.durability != DR_DURABILITY_SYNC || want.k > 0)
		return want;
	want.set = dr_set_without(dr_service_members(t->s), holder);
	unsigned n = dr_set_count(want.set);
	want.k = t->s->spec.sync_k < n ? t->s->spec.sync_k : n;
	return want;
}

/* What BOUNDED wants: as many standbys to be near as follow, no more than k.  Where fewer do, the server takes no writes for
 * alone_after, or for as long as it lasts (block).  That names nobody, and no promise rests on it. */
static struct dr_sync brake(struct dr_think *t)
{
	const struct dr_service *s = t->s;
	uint32_t others = dr_set_count(dr_service_members(s)) - 1, near = 0;
	uint32_t most = s->spec.sync_k < others ? s->spec.sync_k : others;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++)
		near += s->member[m].joined_epoch == s->epoch && dr_follows(t, m) ? 1u : 0u;
	struct dr_sync want = { .k = near < most && s->spec.when_alone == DR_ALONE_CONTINUE ? near : most };
	if (want.k >= s->next.k || most < s->next.k) {
		t->v->few_ms = 0;
		return want;
	}
	if (t->v->few_ms == 0)
		t->v->few_ms = t->c->view.now_ms;
	uint64_t due = t->v->few_ms + s->spec.alone_after_ms;
	if (t->c->view.now_ms >= due)
		return want;
	dr_wake_at(t->out, due);
	return s->next;
}

/* Members of `next` that have been unfit for long enough to be given up. */
static dr_member_set given_up(struct dr_think *t, uint64_t after_ms)
{
	dr_member_set gone = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		struct dr_member_view *mv = &t->v->member[m];
		if (!dr_set_has(t->s->next.set, m) || fit(t, m, t->s->holder, false)) {
			mv->sync_bad_ms = 0;
			continue;
		}
		if (mv->sync_bad_ms == 0)
			mv->sync_bad_ms = t->c->view.now_ms;
		if (t->c->view.now_ms - mv->sync_bad_ms >= after_ms)
			gone = dr_set_with(gone, m);
		else
			dr_wake_at(t->out, mv->sync_bad_ms + after_ms);
	}
	return gone;
}

static dr_member_set unfit(const struct dr_think *t)
{
	dr_member_set bad = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (dr_set_has(t->s->next.set, m) && !fit(t, m, t->s->holder, false))
			bad = dr_set_with(bad, m);
	}
	return bad;
}

/* What the server ought to wait for: what it does, unless somebody in it is lost or more can be had. */
static struct dr_sync target(struct dr_think *t)
{
	const struct dr_service *s = t->s;
	if (s->spec.durability == DR_DURABILITY_BOUNDED && !DR_MUTANT(BRAKE_NAMES))
		return brake(t);
	struct dr_sync want = dr_sync_desired(t, s->holder, false);
	uint32_t enough = s->spec.sync_k;
	/* A replacement is at hand: a lost one is given up soon; without one only after alone_after. */
	dr_member_set lost = given_up(t, t->c->repl.timing.detect_after_ms);
	if (s->spec.durability != DR_DURABILITY_SYNC)
		return want;
	if (unfit(t) == 0 || (s->next.k == 0 && want.k > 0))
		return want;
	if (lost == 0)
		return s->next;
	if (dr_set_count(want.set) >= enough)
		return want;
	if (s->spec.when_alone == DR_ALONE_BLOCK)
		return s->next;
	return given_up(t, s->spec.alone_after_ms) != 0 ? want : s->next;
}

/* The holder's word on a member of its list. */
static bool is_waited_for(const struct dr_think *t, dr_member_ix m)
{
	const struct dr_report *p = &t->v->member[t->s->holder].report;
	bool good = false;
	for (uint32_t i = 0; i < p->peers && i < DR_MEMBERS_MAX; i++) {
		if (dr_name_eq(&p->peer[i].member, &t->s->spec.member[m].name))
			good = p->peer[i].counts_for_sync && p->peer[i].flushed >= t->v->join_point;
	}
	return good;
}

/* The same where the holder waits for whoever acknowledges: all of next do, and nobody else (docs/decisions/0020). */
static bool acks_as_it_should(const struct dr_think *t, dr_member_ix m)
{
	if (!dr_set_has(t->s->next.set, m))
		return !t->s->member[m].may_ack || DR_MUTANT(LET_GO_ACKING);
	return acks(t, m) && dr_follows(t, m) && t->v->member[m].report.received >= t->v->join_point;
}

static bool waits_for_all_of_next(const struct dr_think *t)
{
	bool asks = dr_kind_asks_to_ack(t->s->spec.kind);
	if (t->v->member[t->s->holder].report.sync_k != t->s->next.k)
		return false;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (t->s->spec.member[m].name.s[0] == '\0' || m == t->s->holder)
			continue;
		if (asks ? !acks_as_it_should(t, m) : dr_set_has(t->s->next.set, m) && !is_waited_for(t, m))
			return false;
	}
	return true;
}

/* A member out of the set that was not yet heard to have stopped may release commits by itself. */
static bool others_may_ack(const struct dr_think *t)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (m != t->s->holder && t->s->member[m].may_ack && !dr_set_has(t->s->next.set, m))
			return !DR_MUTANT(LET_GO_ACKING);
	}
	return false;
}

static void note_acks(struct dr_think *t)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		uint64_t *since = &t->v->member[m].acks_not_ms;
		if (!dr_set_has(t->s->next.set, m) || !dr_follows(t, m) || acks(t, m))
			*since = 0;
		else if (*since == 0)
			*since = t->c->view.now_ms;
	}
}

/* A report's look at its server is at most two probes and their deadlines old (agent/shell/member.c). */
static uint64_t look_ms(const struct dr_think *t)
{
	const struct dr_timing *tm = &t->c->repl.timing;
	return 2 * ((uint64_t)tm->probe_ms + tm->probe_deadline_ms);
}

/* Its report may be from before the order was done, and the look at its server older still. */
static bool stopped_to_ack(const struct dr_think *t, dr_member_ix m)
{
	uint64_t since = t->v->member[m].acks_not_ms;
	return since != 0 && t->c->view.now_ms - since >= 2 * look_ms(t);
}

/* Those of next acknowledge, the others do not: each is told so. */
static void tell_standbys(struct dr_think *t)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX && !t->proposed; m++) {
		const struct dr_member_repl *mr = &t->s->member[m];
		bool in = dr_set_has(t->s->next.set, m);
		if (m == t->s->holder || !dr_follows(t, m) || mr->joined_epoch != t->s->epoch)
			continue;
		bool told = mr->acks_epoch == t->s->epoch && !stopped_to_ack(t, m);
		if (in ? told : !mr->may_ack)
			continue;
		struct dr_order_core o = { .kind = DR_ORDER_ACKING, .target = t->s->holder, .k = in ? 1 : 0 };
		(void)dr_order_want(t, NULL, m, o);
	}
}

/* Not to be waited for any more, and not to be asked, while the connection stands for which it was last told to acknowledge:
 * the holder's server can end that. */
static dr_member_set to_be_cut(const struct dr_think *t)
{
	dr_member_set cut = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		const struct dr_member_repl *mr = &t->s->member[m];
		bool told = mr->acks_epoch != 0 || DR_MUTANT(CUT_UNANSWERED); /* else it may begin to, once it gets the order */
		if (mr->may_ack && told && !dr_set_has(t->s->next.set, m) && !dr_heard(t, m))
			cut = dr_set_with(cut, m);
	}
	return t->s->next.k > 0 && !DR_MUTANT(LET_GO_ACKING) ? cut : 0;
}

/* Clients need not wait before there is somebody to acknowledge: until all is confirmed the promise rests on more. */
static bool may_wait(const struct dr_think *t)
{
	unsigned n = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++)
		n += dr_set_has(t->s->next.set, m) && t->s->member[m].acks_epoch == t->s->epoch ? 1u : 0u;
	return !dr_kind_asks_to_ack(t->s->spec.kind) || n >= t->s->next.k || t->s->spec.when_alone == DR_ALONE_BLOCK;
}

static bool is_of_next(const struct dr_think *t, const struct dr_name *member)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (dr_set_has(t->s->next.set, m) && dr_name_eq(&t->s->spec.member[m].name, member))
			return true;
	}
	return false;
}

/* By its own word its server waits for fewer than it was told, or for others.  What a server that was not seen just now
 * waits for is not known: it shows no position either. */
static bool waits_for_less(const struct dr_think *t)
{
	const struct dr_service *s = t->s;
	const struct dr_report *p = &t->v->member[s->holder].report;
	bool names = s->next.set != 0 && !dr_kind_asks_to_ack(s->spec.kind);
	if (p->epoch != s->epoch || p->server != DR_SERVER_PRIMARY || p->received == 0 || DR_MUTANT(SETTING_UNSEEN))
		return false;
	bool less = p->sync_k < s->next.k;
	for (uint32_t i = 0; i < p->peers && i < DR_MEMBERS_MAX && names && !less; i++)
		less = p->peer[i].counts_for_sync && !is_of_next(t, &p->peer[i].member);
	return less;
}

/* The server has the set: learn how far it was then, and confirm when all of the set are past that. */
static void confirm(struct dr_think *t)
{
	const struct dr_service *s = t->s;
	struct dr_member_view *hv = &t->v->member[s->holder];
	if (t->v->join_epoch != s->epoch || t->v->join_version != s->next_version) {
		t->v->join_epoch = s->epoch;
		t->v->join_version = s->next_version;
		t->v->join_point = 0;
		t->v->join_since_ms = t->c->view.now_ms;
	}
	/* What they have released until the last of them stops, those of next must have, too. */
	if (s->next.k > 0 && others_may_ack(t)) {
		t->v->join_point = 0;
		t->v->join_since_ms = t->c->view.now_ms;
		return;
	}
	if (s->next.k > 0 && !DR_MUTANT(JOINED_TOO_EARLY)) {
		uint64_t from = t->v->join_since_ms + SETTLE_MS + look_ms(t);
		if (hv->report_ms < from || hv->report.epoch != s->epoch || !dr_heard(t, s->holder))
			return;
		if (waits_for_less(t)) { /* it was undone meanwhile: what it acknowledged since is not with all of next */
			t->v->join_point = 0;
			t->v->join_since_ms = t->c->view.now_ms;
			return;
		}
		if (t->v->join_point == 0)
			t->v->join_point = hv->report.received;
		if (t->v->join_point == 0 || !waits_for_all_of_next(t))
			return;
	}
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_SYNC_CONFIRM);
	cmd.set = s->next.set;
	cmd.k = s->next.k;
	cmd.a = s->next_version;
	(void)dr_propose(t, &cmd);
}

/* Told, and confirmed, and yet: somebody has set it otherwise, or its own files do.  A report is waited for whose look began
 * after that was first seen: the first one's may be from before the order was done. */
static bool was_undone(struct dr_think *t)
{
	uint64_t *since = &t->v->undone_ms;
	if (!waits_for_less(t)) {
		*since = 0;
		return false;
	}
	if (*since == 0 || *since < t->c->view.led_since_ms || *since < t->v->holder_ms)
		*since = t->c->view.now_ms;
	return t->v->member[t->s->holder].report_ms >= *since + look_ms(t);
}

/* What it acknowledges may be with nobody else.  No promise rests on less than the holder itself, then, until it was told
 * again and all of the set have what it had before. */
static void say_undone(struct dr_think *t)
{
	const struct dr_service *s = t->s;
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_SYNC_CHANGE);
	cmd.reason = DR_REASON_SYNC_UNDONE;
	cmd.a = t->v->member[s->holder].report.sync_k;
	cmd.b = s->next.k;
	(void)dr_propose(t, &cmd);
}

void dr_sync_think(struct dr_think *t)
{
	const struct dr_service *s = t->s;
	if (!s->managed || s->holder == DR_MEMBER_NONE || s->primary_epoch != s->epoch ||
	    s->last_holder != s->holder)
		return;
	/* What it waits for is its own affair until it is taken over, which its agent may refuse. */
	if (s->plan.id != 0 && s->plan.kind == DR_PLAN_ADOPT && s->member[s->holder].joined_epoch != s->epoch)
		return;
	/* A server that is down or not heard can't be told, and each change that it does not learn of makes the next
	 * failover need one more position. */
	uint64_t a = 0;
	if (dr_incident(t, &a) != DR_REASON_NONE || !dr_heard(t, s->holder))
		return;
	struct dr_sync want = target(t);
	if (want.set != s->next.set || want.k != s->next.k) {
		struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_SYNC_CHANGE);
		cmd.set = want.set;
		cmd.k = want.k;
		(void)dr_propose(t, &cmd);
		return;
	}
	const struct dr_member_repl *h = &s->member[s->holder];
	bool told = h->sync_epoch == s->epoch && h->sync_version == s->next_version;
	bool undone = told && was_undone(t);
	if (undone && s->next.set != 0 && !dr_set_has(s->sync.set, s->holder)) {
		say_undone(t);
		return;
	}
	dr_member_set cut = to_be_cut(t);
	if (dr_kind_asks_to_ack(s->spec.kind)) {
		note_acks(t);
		if (cut == 0 || h->fails > 0) /* it would cut them off again */
			tell_standbys(t);
	}
	if (cut != 0 || undone || (!told && may_wait(t))) {
		struct dr_order_core o = { .kind = DR_ORDER_SYNC_SET, .sync = s->next.set,
					   .k = s->next.k, .clean = cut != 0, .listed = cut };
		if (dr_order_want(t, NULL, s->holder, o).verdict == DR_STEP_PROPOSED)
			t->v->undone_ms = t->v->join_epoch = 0; /* only a look that begins after it was done says anything */
	} else if (told && s->sync_joint) {
		confirm(t);
	}
}
