/* detect.c -- what is seen of members becomes a verdict (design.md 5).
 *
 * A member is failed when its own agent says so, or when it is the primary and a majority of the coordinators
 * outside its site (or of all, one of them outside) can't write to it for write_stall, whatever its agent says; lost
 * when such a majority neither hear its agent nor reach its server for detect_after, else suspect.  One coordinator's
 * view starts nothing, even where it is the only one outside; what was seen longer ago than detect_after says nothing. */
#include "coord/core/think.h"

#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"

enum { FREEZE_AGAIN_MS = 2000 };

const char *dr_verdict_name(enum dr_verdict v)
{
	static const char *const names[] = { "unknown", "ok", "suspect", "lost", "failed" };
	return (unsigned)v < sizeof(names) / sizeof(names[0]) ? names[v] : "unknown";
}

uint64_t dr_heard_age(const struct dr_core *c, uint32_t ix, dr_member_ix m)
{
	const struct dr_member_view *mv = &c->view.service[ix].member[m];
	return mv->report_ms == 0 ? UINT64_MAX : c->view.now_ms - mv->report_ms;
}

/* Reports come once a probe interval: two missed ones and some are too many. */
bool dr_heard(const struct dr_think *t, dr_member_ix m)
{
	return dr_heard_age(t->c, t->ix, m) <= 2 * (uint64_t)t->c->repl.timing.probe_ms + 250;
}

static bool is_majority(unsigned all, unsigned all_outside, unsigned bad, unsigned bad_outside)
{
	bool of_outside = all_outside > 0 && 2 * bad_outside > all_outside;
	bool of_all = bad_outside > 0 && 2 * bad > all;
	return (of_outside || of_all) && (bad > 1 || all == 1);
}

struct count {
	unsigned all, silent, all_outside, silent_outside;
	uint64_t silent_ms; /* the shortest silence among the silent */
};

static uint64_t silence(const struct dr_core *c, const struct dr_seen_by *by)
{
	uint64_t age = by->o.agent_age_ms < by->o.server_age_ms ? by->o.agent_age_ms : by->o.server_age_ms;
	return age + (c->view.now_ms - by->at_ms);
}

/* One chosen as it came back still fails, or is lost, by what others saw before: that counts from then. */
static uint64_t held_for_ms(const struct dr_core *c, uint32_t ix, dr_member_ix m)
{
	bool holds = m == c->repl.service[ix].holder;
	return holds ? c->view.now_ms - c->view.service[ix].holder_ms : UINT64_MAX;
}

static struct count count_silent(const struct dr_core *c, uint32_t ix, dr_member_ix m)
{
	struct count n = { .silent_ms = UINT64_MAX };
	uint64_t held_ms = held_for_ms(c, ix, m);
	const struct dr_repl *r = &c->repl;
	const struct dr_spec_member *sm = &r->service[ix].spec.member[m];
	for (uint32_t i = 0; i < r->coordinators; i++) {
		if (r->coordinator[i].name.s[0] == '\0')
			continue;
		bool outside = !dr_name_eq(&r->coordinator[i].site, &sm->site);
		const struct dr_seen_by *by = &c->view.service[ix].member[m].by[i];
		bool fresh = by->at_ms != 0 && c->view.now_ms - by->at_ms <= r->timing.detect_after_ms;
		uint64_t quiet = fresh ? silence(c, by) : 0;
		quiet = quiet < held_ms ? quiet : held_ms;
		bool silent = fresh && quiet >= r->timing.detect_after_ms;
		n.all++;
		n.all_outside += outside ? 1u : 0u;
		n.silent += silent ? 1u : 0u;
		n.silent_outside += silent && outside ? 1u : 0u;
		if (silent && quiet < n.silent_ms)
			n.silent_ms = quiet;
	}
	return n;
}

static bool says_failed(const struct dr_core *c, uint32_t ix, dr_member_ix m)
{
	const struct dr_member_view *mv = &c->view.service[ix].member[m];
	const struct dr_service *s = &c->repl.service[ix];
	return mv->report_ms != 0 && c->view.now_ms - mv->report_ms <= c->repl.timing.detect_after_ms &&
	       mv->report.managed && mv->report.role == DR_ROLE_PRIMARY && mv->report.epoch == s->epoch &&
	       mv->report.server == DR_SERVER_STOPPED;
}

/* The agent of a confirmed holder is well and knows nothing of being primary: its journal was lost or replaced,
 * and its guard has stopped the server. */
static bool has_forgotten(const struct dr_core *c, uint32_t ix, dr_member_ix m)
{
	uint64_t since = c->view.service[ix].member[m].forgot_ms;
	return since != 0 && c->view.now_ms - since >= c->repl.timing.detect_after_ms &&
	       dr_heard_age(c, ix, m) <= c->repl.timing.detect_after_ms;
}

void dr_note_forgotten(struct dr_core *c, uint32_t ix, dr_member_ix m)
{
	const struct dr_service *s = &c->repl.service[ix];
	struct dr_member_view *mv = &c->view.service[ix].member[m];
	const struct dr_report *r = &mv->report;
	bool stays = s->plan.id == 0 || s->plan.step[s->plan.at] == DR_STEP_DECLARE; /* else it may just have been promoted */
	bool confirmed = s->managed && s->holder == m && s->primary_epoch == s->epoch && stays;
	bool knows = r->managed && r->role == DR_ROLE_PRIMARY && r->epoch == s->epoch;
	if (!confirmed || knows || r->server == DR_SERVER_PRIMARY)
		mv->forgot_ms = 0;
	else if (mv->forgot_ms == 0)
		mv->forgot_ms = c->view.now_ms;
}

static bool stopped_it(const struct dr_core *c, uint32_t ix, dr_member_ix m)
{
	const struct dr_report *r = &c->view.service[ix].member[m].report;
	return says_failed(c, ix, m) && !r->crashed && r->guard_alive;
}

void dr_note_fenced(struct dr_core *c, uint32_t ix, dr_member_ix m)
{
	struct dr_member_view *mv = &c->view.service[ix].member[m];
	if (!stopped_it(c, ix, m))
		mv->fenced_ms = 0;
	else if (mv->fenced_ms == 0)
		mv->fenced_ms = c->view.now_ms;
}

/* An agent begins its fence when no more than the fence budget is left.  One with more has been granted a lease since:
 * it is heard, it hears, and its server would still run had somebody granted in time.  For that
 * it asks as soon as it knows its leader, and has as long as a healthy one has when a leader dies (design.md 6, 1).  One
 * that asked all the time before it stopped does not hear. */
enum dr_fenced_itself dr_fenced_itself(const struct dr_think *t)
{
	const struct dr_member_view *mv = &t->v->member[t->s->holder];
	const struct dr_timing *timing = &t->c->repl.timing;
	if (mv->fenced_ms == 0 || !stopped_it(t->c, t->ix, t->s->holder))
		return DR_FENCED_NOT;
	if (mv->report.lease_left_ms > timing->fence_budget_ms)
		return DR_FENCED_ITSELF;
	uint64_t since = mv->fenced_ms > t->c->view.led_since_ms ? mv->fenced_ms : t->c->view.led_since_ms;
	uint64_t until = since + (timing->ttl_ms > timing->fence_budget_ms ? timing->ttl_ms - timing->fence_budget_ms : 0);
	bool deaf = mv->asking_ms != 0 && mv->fenced_ms + timing->fence_budget_ms >= mv->asking_ms + timing->ttl_ms;
	if (t->c->view.now_ms >= until || deaf)
		return DR_FENCED_NOT;
	dr_wake_at(t->out, until);
	return DR_FENCED_UNCLEAR;
}

/* Confirmed as primary, and no plan has taken that away yet. */
static bool ought_to_write(const struct dr_service *s, dr_member_ix m)
{
	return s->managed && s->holder == m && s->primary_epoch == s->epoch &&
	       (s->plan.id == 0 || s->plan.epoch_opened == s->epoch);
}

/* How the write probes of a primary fail: how many coordinators see it fail so, and the shortest that one of them does. */
struct failing {
	unsigned all, all_outside, by[DR_FAILURE_MAX], by_outside[DR_FAILURE_MAX];
	uint64_t ms[DR_FAILURE_MAX];
};

static void count_failing(const struct dr_core *c, uint32_t ix, dr_member_ix m, struct failing *f)
{
	const struct dr_service *s = &c->repl.service[ix];
	uint64_t stall = dr_spec_write_stall_ms(&s->spec);
	uint64_t held_ms = held_for_ms(c, ix, m);
	memset(f, 0, sizeof(*f));
	for (uint32_t i = 0; i < c->repl.coordinators; i++) {
		if (c->repl.coordinator[i].name.s[0] == '\0')
			continue;
		bool outside = !dr_name_eq(&c->repl.coordinator[i].site, &s->spec.member[m].site);
		const struct dr_seen_by *by = &c->view.service[ix].member[m].by[i];
		bool fresh = by->at_ms != 0 && c->view.now_ms - by->at_ms <= c->repl.timing.detect_after_ms;
		uint64_t ms = by->o.failing_ms < held_ms ? by->o.failing_ms : held_ms;
		enum dr_failure how = by->o.failure;
		f->all++;
		f->all_outside += outside ? 1u : 0u;
		if (!fresh || how == DR_FAILURE_NONE || ms < stall)
			continue;
		f->by[how]++;
		f->by_outside[how] += outside ? 1u : 0u;
		f->ms[how] = f->by[how] == 1 || ms < f->ms[how] ? ms : f->ms[how];
	}
}

/* A primary that has too few standbys near gets its writes back by a move where so many others are at hand that one of them would
 * have enough: it is the primary that is away from them.  Else another one would have no more; and where it is to go on alone
 * after a while, it does that by itself. */
static bool others_would_do(const struct dr_core *c, uint32_t service)
{
	const struct dr_service *s = &c->repl.service[service];
	uint32_t others = dr_set_count(dr_service_members(s)) - 1, able = 0;
	uint64_t a = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++)
		able += m != s->holder && dr_core_candidate(c, service, m, &a) == DR_REASON_NONE ? 1u : 0u;
	return s->spec.when_alone == DR_ALONE_BLOCK && others > s->spec.sync_k && able > s->spec.sync_k;
}

static enum dr_failure_policy policy_of(enum dr_failure how, bool others_do)
{
	return how == DR_FAILURE_TOO_FEW_STANDBYS && !others_do ? DR_FAILURE_TELL : dr_failure_policy(how);
}

/* The kind that most of a majority see, of those for which the policy is just this one; whoever sees a kind for which more is
 * done counts too.  NONE: no majority. */
static enum dr_failure most_of(const struct failing *f, enum dr_failure_policy policy, bool others_do, uint64_t *ms)
{
	unsigned bad = 0, bad_outside = 0;
	enum dr_failure most = DR_FAILURE_NONE;
	*ms = 0;
	for (unsigned k = 1; k < DR_FAILURE_MAX; k++) {
		enum dr_failure_policy is = policy_of((enum dr_failure)k, others_do);
		if (is < policy || f->by[k] == 0)
			continue;
		*ms = bad == 0 || f->ms[k] < *ms ? f->ms[k] : *ms;
		bad += f->by[k];
		bad_outside += f->by_outside[k];
		if (is == policy && f->by[k] > f->by[most])
			most = (enum dr_failure)k;
	}
	return is_majority(f->all, f->all_outside, bad, bad_outside) ? most : DR_FAILURE_NONE;
}

/* Each does what a majority agrees to: where one says that it hangs, and another that it knows not the probes' password,
 * only the less was seen by both. */
enum dr_failure dr_core_failing(const struct dr_core *c, uint32_t service, dr_member_ix m, uint64_t *ms)
{
	static const enum dr_failure_policy from_most[] = { DR_FAILURE_MOVE, DR_FAILURE_ASK, DR_FAILURE_TELL };
	struct failing f;
	enum dr_failure how = DR_FAILURE_NONE;
	*ms = 0;
	if (!ought_to_write(&c->repl.service[service], m))
		return DR_FAILURE_NONE;
	count_failing(c, service, m, &f);
	bool others_do = f.by[DR_FAILURE_TOO_FEW_STANDBYS] > 0 && others_would_do(c, service);
	dr_assert(f.by[DR_FAILURE_NONE] == 0);
	for (unsigned i = 0; how == DR_FAILURE_NONE && i < sizeof(from_most) / sizeof(from_most[0]); i++)
		how = most_of(&f, from_most[i], others_do, ms);
	*ms = how != DR_FAILURE_NONE ? *ms : 0;
	return how;
}

enum dr_verdict dr_core_verdict(const struct dr_core *c, uint32_t service, dr_member_ix m, uint64_t *silent_ms)
{
	struct count n = count_silent(c, service, m);
	*silent_ms = n.silent_ms == UINT64_MAX ? 0 : n.silent_ms;
	if (says_failed(c, service, m) || has_forgotten(c, service, m))
		return DR_VERDICT_FAILED;
	uint64_t failing_ms = 0;
	enum dr_failure how = dr_core_failing(c, service, m, &failing_ms);
	enum dr_failure_policy policy = policy_of(how, how == DR_FAILURE_TOO_FEW_STANDBYS && others_would_do(c, service));
	if (policy == DR_FAILURE_MOVE)
		return DR_VERDICT_FAILED;
	/* Before what a person would have to be asked about. */
	if (is_majority(n.all, n.all_outside, n.silent, n.silent_outside))
		return DR_VERDICT_LOST;
	if (policy == DR_FAILURE_ASK)
		return DR_VERDICT_FAILED;
	if (n.silent > 0)
		return DR_VERDICT_SUSPECT;
	return dr_heard_age(c, service, m) <= c->repl.timing.detect_after_ms ? DR_VERDICT_OK : DR_VERDICT_UNKNOWN;
}

enum dr_reason dr_incident(const struct dr_think *t, uint64_t *a)
{
	uint64_t silent = 0;
	*a = 0;
	if (t->s->holder == DR_MEMBER_NONE)
		return DR_REASON_NO_PRIMARY;
	/* A holder that no plan promotes any more (given up after it was chosen) is no primary. */
	if (t->s->plan.id == 0 && t->s->primary_epoch != t->s->epoch)
		return DR_REASON_NO_PRIMARY;
	switch (dr_core_verdict(t->c, t->ix, t->s->holder, &silent)) {
	case DR_VERDICT_FAILED:
		if (says_failed(t->c, t->ix, t->s->holder) || has_forgotten(t->c, t->ix, t->s->holder))
			return DR_REASON_SERVER_FAILED;
		return dr_failure_reason(dr_core_failing(t->c, t->ix, t->s->holder, a));
	case DR_VERDICT_LOST:
		*a = silent;
		return DR_REASON_MEMBER_LOST;
	default:
		return DR_REASON_NONE;
	}
}

unsigned dr_others(const struct dr_think *t, unsigned *heard)
{
	dr_member_ix primary = t->s->holder != DR_MEMBER_NONE ? t->s->holder : t->s->last_holder;
	unsigned n = 0;
	*heard = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (t->s->spec.member[m].name.s[0] == '\0' || m == primary)
			continue;
		n++;
		*heard += dr_heard(t, m) ? 1u : 0u;
	}
	return n;
}

static bool same_address(const struct dr_address *x, const struct dr_address *y)
{
	return x->port == y->port && strcmp(x->host, y->host) == 0;
}

/* What is not known of one of both says nothing against it. */
static bool may_be_one(uint64_t a, uint64_t b)
{
	return a == 0 || b == 0 || a == b;
}

/* By the log's word, not the last holder's: that one may come back with another volume. */
static bool reports_other_data(const struct dr_core *c, uint32_t service, dr_member_ix m)
{
	const struct dr_service *s = &c->repl.service[service];
	const struct dr_member_view *mv = c->view.service[service].member;
	if (DR_MUTANT(IDENTITY_BY_REPORT)) {
		dr_member_ix last = s->holder != DR_MEMBER_NONE ? s->holder : s->last_holder;
		return last < DR_MEMBERS_MAX && !may_be_one(mv[last].report.system_id, mv[m].report.system_id);
	}
	return !dr_is_of_service(s, mv[m].report.system_id);
}

bool dr_has_other_data(const struct dr_think *t, dr_member_ix m)
{
	const struct dr_member_repl *mr = &t->s->member[m];
	bool was = mr->frozen_epoch == t->s->epoch && !dr_is_of_service(t->s, mr->frozen_system_id);
	return reports_other_data(t->c, t->ix, m) || (was && !DR_MUTANT(IDENTITY_BY_REPORT));
}

bool dr_core_has_other_data(const struct dr_core *c, uint32_t service, dr_member_ix m)
{
	const struct dr_service *s = &c->repl.service[service];
	bool silent = c->view.service[service].member[m].report.system_id == 0;
	return reports_other_data(c, service, m) || (silent && !dr_is_of_service(s, s->member[m].result.system_id));
}

/* Found with other data, and now it may be the service's again: what was found then says nothing.  While its server is down
 * that is looked at now and then. */
static bool may_have_its_data_back(const struct dr_think *t, dr_member_ix m)
{
	const struct dr_member_repl *mr = &t->s->member[m];
	struct dr_member_view *mv = &t->v->member[m];
	if (dr_is_of_service(t->s, mr->frozen_system_id) || mv->report.system_id != 0)
		return !dr_is_of_service(t->s, mr->frozen_system_id) && dr_is_of_service(t->s, mv->report.system_id);
	if (mv->again_for != mr->order_last) {
		mv->again_for = mr->order_last;
		mv->again_at_ms = t->c->view.now_ms + FREEZE_AGAIN_MS;
	}
	dr_wake_at(t->out, mv->again_at_ms);
	return t->c->view.now_ms >= mv->again_at_ms;
}

bool dr_is_frozen(const struct dr_think *t, dr_member_ix m)
{
	return t->s->member[m].frozen_epoch == t->s->epoch && !may_have_its_data_back(t, m);
}

/* What the data of a primary that serves is known by is written down once, so that no later report can say otherwise. */
void dr_identity_think(struct dr_think *t)
{
	const struct dr_service *s = t->s;
	if (!s->managed || s->system_id != 0 || s->holder == DR_MEMBER_NONE || s->primary_epoch != s->epoch)
		return;
	const struct dr_report *r = &t->v->member[s->holder].report;
	bool serves = dr_heard(t, s->holder) && r->server == DR_SERVER_PRIMARY && r->managed && r->epoch == s->epoch;
	if (!serves || r->system_id == 0)
		return;
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_IDENTITY);
	cmd.a = r->system_id;
	(void)dr_propose(t, &cmd);
}

/* An address that another service's server has now looks as the holder's does: what was received from there is not its. */
bool dr_follows(const struct dr_think *t, dr_member_ix m)
{
	const struct dr_member_view *mv = &t->v->member[m];
	if (t->s->holder == DR_MEMBER_NONE || m == t->s->holder || !dr_heard(t, m))
		return false;
	return mv->report.server == DR_SERVER_STANDBY && mv->report.receiving &&
	       may_be_one(mv->report.system_id, t->v->member[t->s->holder].report.system_id) && /* whatever the log says */
	       same_address(&mv->report.upstream_at, &t->s->spec.member[t->s->holder].address);
}

bool dr_is_paused(const struct dr_service *s, uint64_t wall_ms)
{
	return s->paused && (s->pause_until_wall_ms == 0 || wall_ms < s->pause_until_wall_ms);
}

uint64_t dr_pause_left_ms(const struct dr_service *s, uint64_t wall_ms)
{
	return dr_is_paused(s, wall_ms) && s->pause_until_wall_ms != 0 ? s->pause_until_wall_ms - wall_ms : 0;
}

enum dr_reason dr_core_blocked(const struct dr_core *c, uint32_t service, uint64_t *a)
{
	const struct dr_service *s = &c->repl.service[service];
	*a = 0;
	if (c->view.recovering)
		return DR_REASON_RECOVERING;
	if (!s->managed)
		return DR_REASON_NOT_MANAGED;
	if (s->held_fenced)
		return DR_REASON_NO_PRIMARY;
	if (dr_is_paused(s, c->view.wall_ms)) {
		*a = dr_pause_left_ms(s, c->view.wall_ms);
		return DR_REASON_PAUSED;
	}
	if (dr_service_is_held_back(s)) {
		*a = s->part.plan;
		return DR_REASON_HELD_BACK;
	}
	uint64_t over = s->last_failover_wall_ms + s->spec.cooldown_ms;
	/* A stamp from a clock that was far ahead blocks nothing. */
	bool sane = s->last_failover_wall_ms <= c->view.wall_ms + s->spec.cooldown_ms;
	if (s->last_failover_wall_ms != 0 && sane && c->view.wall_ms < over) {
		*a = over - c->view.wall_ms;
		return DR_REASON_COOLDOWN;
	}
	/* Where a person is asked before anything moves, nothing need be limited. */
	*a = s->spec.auto_failover ? dr_moves_wait_ms(&c->repl, c->view.wall_ms) : 0;
	return *a > 0 ? DR_REASON_MOVES_LIMITED : DR_REASON_NONE;
}

/* By its agent's newest word, which compared it with the primary while there was one. */
bool dr_is_errant(const struct dr_service *s, const struct dr_member_view *mv)
{
	return mv->report.errant > 0 && s->spec.errant == DR_ERRANT_BLOCK;
}

enum dr_reason dr_core_candidate(const struct dr_core *c, uint32_t service, dr_member_ix m, uint64_t *a)
{
	const struct dr_service *s = &c->repl.service[service];
	const struct dr_member_view *mv = &c->view.service[service].member[m];
	*a = 0;
	if (m >= DR_MEMBERS_MAX || s->spec.member[m].name.s[0] == '\0')
		return DR_REASON_NO_SUCH_MEMBER;
	if (s->spec.member[m].priority == 0)
		return DR_REASON_NOT_PROMOTABLE;
	if (m == s->holder)
		return DR_REASON_IS_PRIMARY;
	uint64_t age = dr_heard_age(c, service, m);
	if (age > c->repl.timing.detect_after_ms) {
		*a = age != UINT64_MAX ? age : 0;
		return DR_REASON_NOT_REACHABLE;
	}
	if (dr_core_has_other_data(c, service, m))
		return DR_REASON_OTHER_DATA;
	/* Where an epoch came to nothing nobody has joined it: what counts is that it followed the last primary. */
	bool nobodys = s->holder == DR_MEMBER_NONE || s->primary_epoch != s->epoch;
	bool in_line = nobodys && s->was_primary && s->member[m].lineage >= s->primary_epoch;
	if (s->member[m].joined_epoch != s->epoch && s->member[m].frozen_epoch != s->epoch && !in_line) {
		*a = s->epoch;
		return DR_REASON_NOT_JOINED;
	}
	if (dr_is_errant(s, mv)) {
		*a = mv->report.errant;
		return DR_REASON_ERRANT;
	}
	if (age != UINT64_MAX && mv->report.promise_left_ms > age) {
		*a = mv->report.promise_left_ms - age;
		return DR_REASON_PROMISED;
	}
	uint64_t primary = c->view.service[service].primary_position;
	uint64_t lag = primary > mv->report.received ? primary - mv->report.received : 0;
	if (s->spec.durability != DR_DURABILITY_SYNC && lag > s->spec.rpo_bytes) {
		*a = lag;
		return DR_REASON_LAGS;
	}
	return DR_REASON_NONE;
}
