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
	const struct dr_service *v = w_repl(w);
	dr_assert(dr_name_set(&q.actor, "anna") && dr_name_set(&q.service, "orders"));
	if (f->b / 64 % 2 == 0)
		q.member = w->name[f->a];
	q.plan = v != NULL ? v->plan.id : 0;
	(void)w_request(w, &q);
}

/* One member at a time: two that come back might change places in the log, and here they are known by these. */
static bool somebody_out(const struct world *w)
{
	for (uint32_t i = 0; i < w->members; i++) {
		if (w->service.member[i].name.s[0] == '\0')
			return true;
	}
	return false;
}

/* For the same reason nothing is asked for that differs by two from what is in force: an entry that was taken for
 * applied may be lost with its leader, one that was taken for lost may be applied. */
static bool keeps_places(const struct world *w, const struct dr_repl *in_force)
{
	uint32_t differ = 0;
	for (uint32_t i = 0; in_force->services > 0 && i < w->members; i++)
		differ += dr_name_eq(&in_force->service[0].spec.member[i].name, &w->service.member[i].name) ? 0u : 1u;
	return differ <= 1;
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
	struct dr_spec spec = w->spec;
	struct dr_spec_service service = w->service;
	struct dr_spec_service *n = &w->service;
	uint32_t how = f->b % 7, value = f->b / 8;
	uint32_t last = w->members - 1;
	if (w->specs + SIM_SPECS_LEFT >= W_SPECS_MAX)
		return;
	switch (how) {
	case 0:
	case 1: step_ttl(w); break;
	case 2: n->sync_set_max = n->sync_k + value % 2; break;
	case 3: n->when_alone = value % 2 == 0 ? DR_ALONE_BLOCK : DR_ALONE_CONTINUE; break;
	case 4: n->member[f->a].priority = value % 3; break;
	case 5: n->cooldown_ms = value % 2 * 5000; break;
	default:
		if (n->member[last].name.s[0] == '\0')
			n->member[last].name = w->name[last];
		else if (last >= 2 && !somebody_out(w))
			memset(&n->member[last].name, 0, sizeof(n->member[last].name));
		break;
	}
	if (!sim_ask_apply(w)) {
		w->spec = spec;
		w->service = service;
		w->spec.service = &w->service;
	}
}

/* A member leaves the spec (t->b: how often it was tried to find a plan open) or comes back into it (0). */
void sim_move_member(struct world *w, struct w_timer *t)
{
	struct dr_spec_member *m = &w->service.member[t->a];
	const struct dr_service *v = w_repl(w);
	struct w_timer *next;
	struct dr_name was = m->name;
	bool out = t->b != 0, open = v != NULL && v->plan.id != 0;
	if (w->specs + SIM_SPECS_LEFT >= W_SPECS_MAX || (out && somebody_out(w)))
		return;
	if (out && !open && t->b < MOVE_TRIES) {
		next = w_after(w, MOVE_LOOK_MS, sim_move_member);
		next->a = t->a;
		next->b = t->b + 1;
		next->u = t->u;
		return;
	}
	m->name = out ? (struct dr_name){ "" } : w->name[t->a];
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
	struct dr_request q = { .kind = asks ? DR_REQ_APPROVE : otherwise, .plan = v->plan.id };
	dr_assert(dr_name_set(&q.actor, "anna") && dr_name_set(&q.service, "orders"));
	return q;
}

void sim_accept_loss(struct sim *s, const struct sim_fault *f)
{
	const struct dr_service *v = w_repl(s->w);
	if (v == NULL || s->w->leader < 0)
		return;
	struct dr_request q = about(v, DR_REQ_FAILOVER);
	q.accept_loss = true;
	q.force = f->b % 2 == 0;
	if (f->b / 2 % 2 == 0)
		q.member = s->w->name[f->a];
	(void)w_request(s->w, &q);
}

static bool may_be_primary(const struct dr_service *v, dr_member_ix m)
{
	return m == v->holder || m == v->plan.old || v->member[m].unproved_epoch != 0 || v->member[m].only_expired;
}

/* Of whoever may be primary by now and was not unplugged nothing can be said. */
static bool word_is_true(const struct sim *s, const struct dr_service *v)
{
	for (dr_member_ix m = 0; m < s->w->members; m++) {
		if (may_be_primary(v, m) && !s->vouched[m])
			return false;
	}
	return true;
}

/* Said again for a while: a plan that is open and does not ask may ask in a moment. */
static void say_word(struct world *w, struct w_timer *t)
{
	struct sim *s = sim_of(w);
	const struct dr_service *v = w_repl(w);
	s->vouched_at = w->now;
	if (v != NULL && w->leader >= 0) {
		if (!word_is_true(s, v))
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
	next->b = t->b - 1;
}

/* A while after the plug was pulled, when the members count as lost; now and then at once, or at any moment. */
void sim_vouch(struct sim *s, const struct sim_fault *f)
{
	struct world *w = s->w;
	const struct dr_service *v = w_repl(w);
	uint64_t after = w->spec.timing.detect_after_ms + WORD_AFTER_MS;
	if (v == NULL || w->leader < 0)
		return;
	for (dr_member_ix m = 0; m < w->members; m++) {
		if (!may_be_primary(v, m))
			continue;
		sim_kill_node(s, m, w->now + f->ms, f->b % 2 == 0);
		s->vouched[m] = true;
	}
	if (f->b / 2 % 4 == 0)
		after = 0;
	else if (f->b / 2 % 4 == 1)
		after = f->b / 8 % WORD_MOST_MS;
	s->vouched_at = w->now + after;
	w_after(w, after, say_word)->b = after == 0 ? 0 : WORD_TRIES;
}

/* A request that is under way may still open a plan; one that is open goes by the word until it ends. */
bool sim_vouched(struct sim *s, uint32_t m)
{
	const struct dr_service *v = w_repl(s->w);
	bool used = v != NULL && s->w->leader >= 0 && !v->plan.assert_fenced && s->w->now > s->vouched_at + VOUCH_MS;
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
static bool spec_restored(struct sim *s, const struct dr_service *v)
{
	struct world *w = s->w;
	w->service = s->service;
	w->spec = s->spec;
	w->spec.service = &w->service;
	for (uint32_t i = 0; i < w->members; i++) {
		if (v->spec.member[i].name.s[0] != '\0')
			w->service.member[i].agent = v->spec.member[i].agent;
	}
	return same_policy(&v->spec, &w->service) &&
	       memcmp(v->spec.member, w->service.member, sizeof(w->service.member)) == 0 &&
	       memcmp(&w->c[w->leader].core->repl.timing, &w->spec.timing, sizeof(w->spec.timing)) == 0;
}

/* Whether the question is the one that was approved last, and that approval counted. */
static bool asks_again(const struct sim *s, const struct dr_plan *p)
{
	return s->answered.plan == p->id && s->answered.step == p->at && s->answered.ask == p->ask &&
	       p->tries > s->answered.tries;
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
static bool cannot_fetch(const struct world *w, const struct dr_plan *p)
{
	if (p->step[p->at] != DR_STEP_CATCH_UP || p->candidate >= w->members || p->source >= w->members)
		return false;
	const struct w_server *c = &w->m[p->candidate].server, *source = &w->m[p->source].server;
	bool forgotten = source->state == DR_SERVER_STOPPED && !w->m[p->source].journal.managed;
	return forgotten || w_common(c, source) != c->n;
}

/* Under sync no loss is accepted, but where a choice has already rested on one that was: the member that was left
 * behind may have more rows than the new primary, and only a person knows that those are the lost ones.  What is asked
 * again after it was approved will not go on by itself. */
static void answer_plan(struct sim *s, const struct dr_plan *p, struct dr_request *q)
{
	struct world *w = s->w;
	bool again = asks_again(s, p);
	bool fork = w->seen.loss_taken && p->ask == DR_REASON_NO_STANDBY_LEFT;
	if (again && !somebody_unplugged(s) && !cannot_fetch(w, p))
		w_violation(w, "approving plan %llu has changed nothing, though all is well: %s", (unsigned long long)p->id,
			    dr_reason_name(p->ask));
	if (fork && !p->accept_loss)
		w->seen.lossless = p->id;
	q->plan = p->id;
	q->kind = again && p->kind != DR_PLAN_REJOIN ? DR_REQ_ABORT : DR_REQ_APPROVE;
	q->accept_loss = fork || w->service.durability == DR_DURABILITY_ASYNC;
	s->answered.plan = p->id;
	s->answered.step = p->at;
	s->answered.ask = p->ask;
	s->answered.tries = p->tries;
	if (w_request(w, q) == DR_REASON_PAST_THE_BAR)
		s->answered.plan = 0;
}

/* What a person would do who looks at `status` now and then, and never accepts a loss under sync. */
void sim_operator_looks(struct sim *s)
{
	struct world *w = s->w;
	const struct dr_service *v = w_repl(w);
	struct dr_request q = { .kind = DR_REQ_RESUME };
	if (v == NULL || w->leader < 0)
		return;
	dr_assert(dr_name_set(&q.actor, "anna") && dr_name_set(&q.service, "orders"));
	/* An open plan may be what refuses it: in between it is looked after. */
	if (!spec_restored(s, v) && s->looks++ % 2 == 0) {
		(void)sim_ask_apply(w);
		return;
	}
	if (v->paused) {
		(void)w_request(w, &q);
	} else if (v->held_fenced && v->plan.id == 0) {
		q.kind = DR_REQ_UNFENCE;
		(void)w_request(w, &q);
	} else if (v->plan.id != 0) {
		if (v->plan.state == DR_PLAN_ASKING)
			answer_plan(s, &v->plan, &q);
	} else {
		for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
			if (v->rejoin[m].id != 0 && v->rejoin[m].state == DR_PLAN_ASKING) {
				answer_plan(s, &v->rejoin[m], &q);
				return;
			}
		}
	}
}
