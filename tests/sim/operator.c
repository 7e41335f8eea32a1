/* operator.c -- what people ask for: anything at bad moments while things go wrong, other specs, members that leave and
 * come back, and, when all is healed, what somebody does who looks at `status` now and then. */
#include <string.h>

#include "base/assert.h"
#include "tests/sim/sim.h"

enum { MOVE_LOOK_MS = 10, MOVE_TRIES = 300, MOVE_AGAIN_MS = 1000 };
enum { VOUCH_MS = 5000, WORD_AFTER_MS = 500, WORD_MOST_MS = 3000, WORD_EVERY_MS = 500, WORD_TRIES = 10 };

void sim_request(struct sim *s, const struct sim_fault *f)
{
	static const enum dr_request_kind kinds[] = { DR_REQ_FAILOVER, DR_REQ_SWITCHOVER, DR_REQ_SWITCHOVER,
						      DR_REQ_APPROVE,  DR_REQ_ABORT,	  DR_REQ_PAUSE,
						      DR_REQ_RESUME,   DR_REQ_FENCE,	  DR_REQ_UNFENCE,
						      DR_REQ_FAILOVER, DR_REQ_APPROVE };
	struct world *w = s->w;
	struct dr_request q = { .kind = kinds[f->b % 11], .force = f->b / 16 % 3 == 0 };
	const struct dr_service *v = w_repl(w, w->m[f->a].service);
	q.service = w_spec_of(w, f->a)->name;
	dr_assert(dr_name_set(&q.actor, "anna"));
	if (f->b / 64 % 2 == 0)
		q.member = w->m[f->a].name;
	q.plan = v != NULL ? v->plan.id : 0;
	(void)w_request(w, &q);
}

/* One member of a service at a time: two that come back might change places in the log, and here they are known by these. */
static bool somebody_out(const struct world *w, const struct w_service *of)
{
	for (uint32_t i = 0; i < of->members; i++) {
		if (w->service[of->ix].member[i].name.s[0] == '\0')
			return true;
	}
	return false;
}

/* For the same reason nothing is asked for that differs by two from what is in force: an entry that was taken for
 * applied may be lost with its leader, one that was taken for lost may be applied. */
static bool keeps_places(const struct world *w, const struct dr_repl *in_force)
{
	for (uint32_t s = 0; s < in_force->services; s++) {
		const struct dr_spec_member *was = in_force->service[s].spec.member, *now = w->service[s].member;
		uint32_t differ = 0;
		for (uint32_t i = 0; i < w->s[s].members; i++)
			differ += dr_name_eq(&was[i].name, &now[i].name) ? 0u : 1u;
		if (differ > 1)
			return false;
	}
	return true;
}

bool sim_ask_apply(struct world *w)
{
	struct dr_request q = { .kind = DR_REQ_APPLY };
	const struct dr_repl *in_force = w->leader >= 0 ? &w->c[w->leader].core->repl : NULL;
	if (in_force == NULL || w->specs >= W_SPECS_MAX || !keeps_places(w, in_force))
		return false;
	q.spec = w_spec_copy(w);
	q.version = in_force->spec_version; /* it was made from the one in force */
	dr_assert(dr_name_set(&q.actor, "anna"));
	return w_request(w, &q) == DR_REASON_NONE;
}

static void step_ttl(struct world *w)
{
	uint32_t *ttl = &w->spec.timing.ttl_ms;
	*ttl = *ttl == 3000 ? 1500 : *ttl == 1500 ? 3000 : 5000;
}

void sim_apply_spec(struct sim *s, const struct sim_fault *f)
{
	struct world *w = s->w;
	const struct w_service *of = w_service_of(w, f->a);
	struct dr_spec_service *n = &w->service[of->ix];
	struct dr_spec_service service = *n;
	struct dr_spec spec = w->spec;
	uint32_t how = f->b % 7, value = f->b / 8;
	uint32_t last = of->members - 1;
	if (w->specs + SIM_SPECS_LEFT >= W_SPECS_MAX)
		return;
	switch (how) {
	case 0:
	case 1: step_ttl(w); break;
	case 2: n->sync_set_max = n->sync_k + value % 2; break;
	case 3: n->when_alone = value % 2 == 0 ? DR_ALONE_BLOCK : DR_ALONE_CONTINUE; break;
	case 4: n->member[w->m[f->a].ix].priority = value % 3; break;
	case 5: n->cooldown_ms = value % 2 * 5000; break;
	default:
		if (n->member[last].name.s[0] == '\0')
			n->member[last].name = w->m[of->first + last].name;
		else if (last >= 2 && !somebody_out(w, of))
			memset(&n->member[last].name, 0, sizeof(n->member[last].name));
		break;
	}
	if (!sim_ask_apply(w)) {
		w->spec = spec;
		*n = service;
	}
}

/* A member leaves the spec (t->b: how often it was tried to find a plan open) or comes back into it (0). */
void sim_move_member(struct world *w, struct w_timer *t)
{
	struct dr_spec_member *m = &w_spec_of(w, t->a)->member[w->m[t->a].ix];
	const struct dr_service *v = w_repl(w, w->m[t->a].service);
	struct w_timer *next;
	struct dr_name was = m->name;
	bool out = t->b != 0, open = v != NULL && v->plan.id != 0;
	if (w->specs + SIM_SPECS_LEFT >= W_SPECS_MAX || (out && somebody_out(w, w_service_of(w, t->a))))
		return;
	if (out && !open && t->b < MOVE_TRIES) {
		next = w_after(w, MOVE_LOOK_MS, sim_move_member);
		next->a = t->a;
		next->b = t->b + 1;
		next->u = t->u;
		return;
	}
	m->name = out ? (struct dr_name){ "" } : w->m[t->a].name;
	bool done = sim_ask_apply(w);
	if (!done)
		m->name = was;
	if (out && !done)
		return;
	next = out || !done ? w_after(w, out ? t->u : MOVE_AGAIN_MS, sim_move_member) : NULL;
	if (next != NULL)
		next->a = t->a;
}

/* ---- what somebody takes upon himself */

static struct dr_request about(const struct dr_service *v, enum dr_request_kind otherwise)
{
	bool asks = v->plan.id != 0 && v->plan.state == DR_PLAN_ASKING;
	struct dr_request q = { .kind = asks ? DR_REQ_APPROVE : otherwise, .plan = v->plan.id, .service = v->spec.name };
	dr_assert(dr_name_set(&q.actor, "anna"));
	return q;
}

void sim_accept_loss(struct sim *s, const struct sim_fault *f)
{
	const struct dr_service *v = w_repl(s->w, s->w->m[f->a].service);
	if (v == NULL || s->w->leader < 0)
		return;
	struct dr_request q = about(v, DR_REQ_FAILOVER);
	q.accept_loss = true;
	q.force = f->b % 2 == 0;
	if (f->b / 2 % 2 == 0)
		q.member = s->w->m[f->a].name;
	(void)w_request(s->w, &q);
}

static bool may_be_primary(const struct dr_service *v, dr_member_ix m)
{
	return m == v->holder || m == v->plan.old || v->member[m].unproved_epoch != 0 || v->member[m].only_expired;
}

/* Of whoever may be primary by now and was not unplugged nothing can be said. */
static bool word_is_true(const struct sim *s, const struct w_service *of, const struct dr_service *v)
{
	for (dr_member_ix m = 0; m < of->members; m++) {
		if (may_be_primary(v, m) && !s->vouched[of->first + m])
			return false;
	}
	return true;
}

/* Said again for a while: a plan that is open and does not ask may ask in a moment. */
static void say_word(struct world *w, struct w_timer *t)
{
	struct sim *s = sim_of(w);
	const struct dr_service *v = w_repl(w, t->service);
	s->vouched_at[t->service] = w->now;
	if (v != NULL && w->leader >= 0) {
		if (!word_is_true(s, &w->s[t->service], v))
			return;
		struct dr_request q = about(v, DR_REQ_FAILOVER);
		q.assert_fenced = true;
		q.force = true;
		if (w_request(w, &q) == DR_REASON_NONE)
			return;
	}
	if (t->b == 0)
		return;
	struct w_timer *next = w_after(w, WORD_EVERY_MS, say_word);
	next->service = t->service;
	next->b = t->b - 1;
}

/* A while after the plug was pulled, when the members count as lost; now and then at once, or at any moment. */
void sim_vouch(struct sim *s, const struct sim_fault *f)
{
	struct world *w = s->w;
	const struct w_service *of = w_service_of(w, f->a);
	const struct dr_service *v = w_repl(w, of->ix);
	uint64_t after = w->spec.timing.detect_after_ms + WORD_AFTER_MS;
	if (v == NULL || w->leader < 0)
		return;
	for (dr_member_ix m = 0; m < of->members; m++) {
		if (!may_be_primary(v, m))
			continue;
		sim_kill_node(s, of->first + m, w->now + f->ms, f->b % 2 == 0);
		s->vouched[of->first + m] = true;
	}
	if (f->b / 2 % 4 == 0)
		after = 0;
	else if (f->b / 2 % 4 == 1)
		after = f->b / 8 % WORD_MOST_MS;
	s->vouched_at[of->ix] = w->now + after;
	struct w_timer *t = w_after(w, after, say_word);
	t->service = of->ix;
	t->b = after == 0 ? 0 : WORD_TRIES;
}

/* A request that is under way may still open a plan; one that is open goes by the word until it ends. */
bool sim_vouched(struct sim *s, uint32_t m)
{
	uint32_t service = s->w->m[m].service;
	const struct dr_service *v = w_repl(s->w, service);
	bool used = v != NULL && s->w->leader >= 0 && !v->plan.assert_fenced && s->w->now > s->vouched_at[service] + VOUCH_MS;
	if (used)
		s->vouched[m] = false;
	return s->vouched[m];
}

/* ---- and when all is healed */

static bool same_policy(const struct dr_spec_service *a, const struct dr_spec_service *b)
{
	return a->sync_k == b->sync_k && a->sync_set_max == b->sync_set_max && a->when_alone == b->when_alone &&
	       a->alone_after_ms == b->alone_after_ms && a->cooldown_ms == b->cooldown_ms &&
	       a->restart_within_ms == b->restart_within_ms;
}

/* As it was at first: nobody is forbidden to be promoted any more.  Agents stay: while something rests on what one has
 * said the log refuses another. */
static bool spec_restored(struct sim *s)
{
	struct world *w = s->w;
	memcpy(w->service, s->service, sizeof(w->service));
	w->spec = s->spec;
	bool same = memcmp(&w->c[w->leader].core->repl.timing, &w->spec.timing, sizeof(w->spec.timing)) == 0;
	for (uint32_t k = 0; k < w->services; k++) {
		const struct dr_spec_service *v = &w_repl(w, k)->spec;
		struct dr_spec_service *n = &w->service[k];
		for (uint32_t i = 0; i < w->s[k].members; i++) {
			if (v->member[i].name.s[0] != '\0')
				n->member[i].agent = v->member[i].agent;
		}
		same = same && same_policy(v, n) && memcmp(v->member, n->member, sizeof(n->member)) == 0;
	}
	return same;
}

/* Whether the question is the one that was approved last, and that approval counted. */
static bool asks_again(const struct sim *s, uint32_t service, const struct dr_plan *p)
{
	return s->answered[service].plan == p->id && s->answered[service].step == p->at &&
	       s->answered[service].ask == p->ask && p->tries > s->answered[service].tries;
}

/* For the sake of a word that the open plan may go by: what needs that member can't go on before the plan ends. */
static bool somebody_unplugged(const struct sim *s)
{
	for (uint32_t m = 0; m < s->w->members; m++) {
		if (s->vouched[m] && s->until.node[m] != 0)
			return true;
	}
	return false;
}

/* The source is down, and its agent has forgotten whose it is (DAMAGE_AGENT): nobody starts it before the next plan does.
 * Or the candidate has rows that the source never had. */
static bool cannot_fetch(const struct world *w, const struct w_service *of, const struct dr_plan *p)
{
	if (p->step[p->at] != DR_STEP_CATCH_UP || p->candidate >= of->members || p->source >= of->members)
		return false;
	const struct w_member *from = &w->m[of->first + p->source];
	const struct w_server *c = &w->m[of->first + p->candidate].server, *source = &from->server;
	bool forgotten = source->state == DR_SERVER_STOPPED && !from->journal.managed;
	return forgotten || w_common(c, source) != c->n;
}

/* Who was started again since it acknowledged may have forgotten that (docs/decisions/0020), and only a person goes on without its
 * word.  Where all are there nothing is lost by that: whoever acknowledged last is among them. */
static bool only_unsure(const struct dr_service *v, const struct dr_plan *p)
{
	bool unsure = false;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (v->spec.member[m].name.s[0] != '\0' && v->member[m].frozen_epoch != v->epoch)
			return false;
		unsure = unsure || v->member[m].unsure;
	}
	return unsure && p->ask == DR_REASON_TOO_FEW_POSITIONS;
}

/* Under sync no loss is accepted, but where a choice has already rested on one that was: the member that was left
 * behind may have more rows than the new primary, and only a person knows that those are the lost ones.  What is asked
 * again after it was approved will not go on by itself. */
static void answer_plan(struct sim *s, struct w_service *of, const struct dr_plan *p, struct dr_request *q)
{
	struct world *w = s->w;
	bool again = asks_again(s, of->ix, p);
	bool fork = (of->seen.loss_taken && p->ask == DR_REASON_NO_STANDBY_LEFT) || only_unsure(w_repl(w, of->ix), p);
	if (again && !somebody_unplugged(s) && !cannot_fetch(w, of, p))
		w_violation(w, "approving plan %llu has changed nothing, though all is well: %s", (unsigned long long)p->id,
			    dr_reason_name(p->ask));
	if (fork && !p->accept_loss)
		of->seen.lossless = p->id;
	q->plan = p->id;
	q->kind = again && p->kind != DR_PLAN_REJOIN ? DR_REQ_ABORT : DR_REQ_APPROVE;
	q->accept_loss = fork || w->service[of->ix].durability != DR_DURABILITY_SYNC;
	s->answered[of->ix].plan = p->id;
	s->answered[of->ix].step = p->at;
	s->answered[of->ix].ask = p->ask;
	s->answered[of->ix].tries = p->tries;
	if (w_request(w, q) == DR_REASON_PAST_THE_BAR)
		s->answered[of->ix].plan = 0;
}

/* What a person would do who looks at `status` now and then, and never accepts a loss under sync. */
static void looks_at(struct sim *s, struct w_service *of)
{
	struct world *w = s->w;
	const struct dr_service *v = w_repl(w, of->ix);
	struct dr_request q = { .kind = DR_REQ_RESUME, .service = w->service[of->ix].name };
	dr_assert(dr_name_set(&q.actor, "anna"));
	if (v->paused) {
		(void)w_request(w, &q);
	} else if (v->held_fenced && v->plan.id == 0) {
		q.kind = DR_REQ_UNFENCE;
		(void)w_request(w, &q);
	} else if (v->plan.id != 0) {
		if (v->plan.state == DR_PLAN_ASKING)
			answer_plan(s, of, &v->plan, &q);
	} else {
		for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
			if (v->rejoin[m].id != 0 && v->rejoin[m].state == DR_PLAN_ASKING) {
				answer_plan(s, of, &v->rejoin[m], &q);
				return;
			}
		}
	}
}

void sim_operator_looks(struct sim *s)
{
	struct world *w = s->w;
	if (w->leader < 0)
		return;
	/* An open plan may be what refuses it: in between it is looked after. */
	if (!spec_restored(s) && s->looks++ % 2 == 0) {
		(void)sim_ask_apply(w);
		return;
	}
	for (uint32_t i = 0; i < w->services && w->leader >= 0; i++)
		looks_at(s, &w->s[i]);
}
