/* request_site.c -- what people ask for of a whole site: refused at once with the rule and the service that it is for, or
 * put into the log as a site plan; and the same question for one service when its turn has come. */
#include "coord/core/think.h"

#include <string.h>

#include "base/mutant.h"

static const struct dr_refusal fine = { DR_REASON_NONE, 0, 0 };

static struct dr_refusal because(enum dr_reason reason, uint64_t a, uint64_t b)
{
	return (struct dr_refusal){ reason, a, b };
}

/* What would be lost, or become everybody's, if it took over as it is. */
static bool may_lose(enum dr_reason why)
{
	return why == DR_REASON_NOT_JOINED || why == DR_REASON_NOT_FOLLOWING || why == DR_REASON_LAGS ||
	       why == DR_REASON_ERRANT || why == DR_REASON_OTHER_DATA;
}

/* Somebody outside the site could take over.  Where what stands against all of them is the same loss, it is named: of the one
 * that is the nearest to it. */
static struct dr_refusal has_candidate_outside(const struct dr_think *t, const struct dr_name *site, bool planned)
{
	dr_member_set inside = dr_service_members_in(t->s, site);
	unsigned others = 0, heard = 0;
	struct dr_refusal first = fine;
	bool alike = true;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		uint64_t a = 0;
		if (t->s->spec.member[m].name.s[0] == '\0' || dr_set_has(inside, m) || m == t->s->holder)
			continue;
		enum dr_reason why = planned ? dr_switchover_blocked(t, m, &a) : dr_core_candidate(t->c, t->ix, m, &a);
		if (why == DR_REASON_NONE)
			return fine;
		others++;
		heard += dr_heard(t, m) ? 1u : 0u;
		alike = alike && (others == 1 || first.reason == why);
		if (others == 1 || a < first.a)
			first = because(why, a, 0);
	}
	bool one_reason = others == 1 || (others > 1 && alike && may_lose(first.reason));
	return one_reason ? first : because(DR_REASON_NO_CANDIDATE, others, heard);
}

static struct dr_refusal back_home(struct dr_think *t, struct dr_request *q, struct dr_cmd *cmd)
{
	uint64_t a = 0;
	dr_member_ix home = t->s->home;
	if (home >= DR_MEMBERS_MAX)
		return because(DR_REASON_NO_SUCH_MEMBER, 0, 0);
	q->member = t->s->spec.member[home].name;
	struct dr_refusal no = dr_ask_switchover(t, q, cmd);
	if (no.reason != DR_REASON_NONE)
		return no;
	enum dr_reason why = dr_switchover_blocked(t, home, &a);
	if (why != DR_REASON_NONE)
		return because(why, a, 0);
	cmd->b = a; /* for the record of what differed */
	return fine;
}

static struct dr_refusal ask_one(struct dr_think *t, enum dr_plan_kind kind, struct dr_request *q, struct dr_cmd *cmd)
{
	struct dr_refusal no;
	if (kind == DR_PLAN_FAILBACK)
		return back_home(t, q, cmd);
	if (kind == DR_PLAN_SWITCHOVER)
		no = dr_ask_switchover(t, q, cmd);
	else
		no = dr_ask_failover(t, q, cmd);
	if (no.reason != DR_REASON_NONE && no.reason != DR_REASON_NO_CANDIDATE)
		return no;
	struct dr_refusal outside = has_candidate_outside(t, &q->site, kind == DR_PLAN_SWITCHOVER);
	return outside.reason != DR_REASON_NONE ? outside : no;
}

/* Nobody ordered it: as without a site plan. */
static struct dr_refusal by_incident(struct dr_think *t, struct dr_cmd *cmd)
{
	uint64_t a = 0;
	if (dr_incident_plan(t, cmd))
		return fine;
	enum dr_reason blocked = dr_core_blocked(t->c, t->ix, &a);
	if (blocked != DR_REASON_NONE)
		return because(blocked, a, 0);
	if (t->s->holder != DR_MEMBER_NONE && dr_incident(t, &a) == DR_REASON_NONE)
		return dr_not_ill(t);
	unsigned heard;
	unsigned others = dr_others(t, &heard);
	return because(DR_REASON_NO_CANDIDATE, others, heard);
}

struct dr_refusal dr_ask_part(struct dr_think *t, const struct dr_site_plan *p, struct dr_cmd *cmd)
{
	if (t->s->plan.id != 0)
		return because(DR_REASON_PLAN_IS_OPEN, t->s->plan.id, 0);
	if (p->actor.s[0] == '\0')
		return by_incident(t, cmd);
	if (p->kind != DR_PLAN_FAILBACK && !dr_service_is_in(t->s, &p->site))
		return because(DR_REASON_NOTHING_IN_SITE, 0, 0);
	/* What a person took upon himself was said once, of what stood there then. */
	bool first = t->s->part.tries == 0 || DR_MUTANT(SITE_WORD_TWICE);
	struct dr_request q = { .site = p->site, .actor = p->actor, .force = p->force,
				.accept_loss = first && p->accept_loss, .assert_fenced = first && p->assert_fenced };
	struct dr_refusal no = ask_one(t, p->kind, &q, cmd);
	cmd->actor = p->actor;
	memcpy(cmd->text, p->text, sizeof(cmd->text));
	return no;
}

static bool is_site(const struct dr_repl *r, const struct dr_name *site)
{
	for (uint32_t i = 0; i < r->sites && i < DR_SITES_MAX; i++) {
		if (dr_name_eq(&r->site[i].name, site))
			return true;
	}
	return false;
}

/* Of the services that the site plan would take: how many there are, how many are ill, how many can be moved now; and
 * the first that cannot, and why. */
struct asked {
	uint32_t takes, ill, ready;
	struct dr_refusal first;
	struct dr_name about;
};

/* It may be well in a while: a failback waits for that; told for how long, also for who is not even heard. */
static bool comes_back(const struct dr_refusal *no, const struct dr_request *q)
{
	bool absent = no->reason == DR_REASON_NOT_REACHABLE || no->reason == DR_REASON_PROMISED;
	return no->reason == DR_REASON_NOT_JOINED || no->reason == DR_REASON_NOT_FOLLOWING || no->reason == DR_REASON_LAGS ||
	       (q->until_wall_ms != 0 && absent);
}

static void ask_each(struct dr_core *c, const struct dr_request *q, enum dr_plan_kind kind, struct dr_decision *out,
		     struct asked *all)
{
	*all = (struct asked){ .first = fine };
	for (uint32_t i = 0; i < c->repl.services; i++) {
		struct dr_think t = { .c = c, .ix = i, .s = &c->repl.service[i], .v = &c->view.service[i], .out = out };
		struct dr_request one = *q;
		one.member = (struct dr_name){ "" };
		struct dr_cmd ignored;
		uint64_t a = 0;
		if (!dr_site_plan_takes(&c->repl, t.s, kind, &q->site))
			continue;
		all->takes++;
		all->ill += dr_incident(&t, &a) != DR_REASON_NONE || t.s->plan.id != 0 ? 1u : 0u;
		struct dr_refusal no = ask_one(&t, kind, &one, &ignored);
		bool ready = no.reason == DR_REASON_NONE || (kind == DR_PLAN_FAILBACK && comes_back(&no, q));
		all->ready += ready ? 1u : 0u;
		if (ready || all->first.reason != DR_REASON_NONE)
			continue;
		all->first = no;
		all->about = t.s->spec.name;
	}
}

static struct dr_refusal judge(const struct asked *all, const struct dr_request *q, enum dr_plan_kind kind,
			       struct dr_name *about)
{
	bool planned = kind != DR_PLAN_FAILOVER;
	if (all->takes == 0)
		return because(kind == DR_PLAN_FAILBACK ? DR_REASON_NOTHING_TO_BRING_BACK : DR_REASON_NOTHING_IN_SITE, 0, 0);
	if (!planned && all->ill == 0 && !q->force)
		return because(DR_REASON_SITE_HEALTHY, all->takes, 0);
	if (planned && all->first.reason != DR_REASON_NONE && !q->force) {
		*about = all->about;
		return all->first;
	}
	return planned && all->ready == 0 ? because(DR_REASON_NONE_CAN_MOVE, all->takes, 0) : fine;
}

enum dr_plan_kind dr_site_plan_kind(enum dr_request_kind k)
{
	if (k == DR_REQ_FAILBACK)
		return DR_PLAN_FAILBACK;
	return k == DR_REQ_SWITCHOVER ? DR_PLAN_SWITCHOVER : DR_PLAN_FAILOVER;
}

struct dr_refusal dr_ask_site(struct dr_core *c, const struct dr_request *q, struct dr_decision *out, struct dr_cmd *cmd,
			      struct dr_name *about)
{
	struct asked all;
	enum dr_plan_kind kind = dr_site_plan_kind(q->kind);
	const struct dr_site_plan *open = dr_repl_site_plan_of(&c->repl, &q->site);
	if (!is_site(&c->repl, &q->site))
		return because(DR_REASON_NO_SUCH_SITE, 0, 0);
	if (open != NULL)
		return because(DR_REASON_SITE_PLAN_IS_OPEN, open->id, 0);
	ask_each(c, q, kind, out, &all);
	struct dr_refusal no = judge(&all, q, kind, about);
	cmd->kind = DR_CMD_SITE_OPEN;
	cmd->site = q->site;
	cmd->plan_kind = (uint32_t)kind;
	cmd->reason = DR_REASON_OPERATOR;
	cmd->force = q->force;
	cmd->until_wall_ms = kind == DR_PLAN_FAILBACK ? q->until_wall_ms : 0;
	cmd->flag = kind == DR_PLAN_FAILOVER && q->accept_loss;
	cmd->flag2 = kind == DR_PLAN_FAILOVER && q->assert_fenced;
	return no;
}
