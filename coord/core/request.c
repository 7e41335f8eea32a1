/* request.c -- what people ask for: refused at once with the rule and its values, or put into the log. */
#include "coord/core/think.h"

#include <string.h>

static const struct dr_refusal fine = { DR_REASON_NONE, 0, 0 };

static struct dr_refusal because(enum dr_reason reason, uint64_t a, uint64_t b)
{
	return (struct dr_refusal){ reason, a, b };
}

/* A plan may be opened: the service is managed, no other plan is open, nobody paused it. */
static struct dr_refusal may_open(const struct dr_think *t, bool force)
{
	if (!t->s->managed)
		return because(DR_REASON_NOT_MANAGED, 0, 0);
	if (t->s->plan.id != 0)
		return because(DR_REASON_PLAN_IS_OPEN, t->s->plan.id, 0);
	if (dr_is_paused(t->s, t->c->view.wall_ms) && !force)
		return because(DR_REASON_PAUSED, dr_pause_left_ms(t->s, t->c->view.wall_ms), 0);
	return fine;
}

static struct dr_refusal member_named(const struct dr_think *t, const struct dr_request *q, dr_member_ix *m)
{
	*m = DR_MEMBER_NONE;
	if (q->member.s[0] == '\0')
		return fine;
	*m = dr_service_member_find(t->s, q->member.s);
	return *m == DR_MEMBER_NONE ? because(DR_REASON_NO_SUCH_MEMBER, 0, 0) : fine;
}

/* A plan may be opened, and the member that it names (in *m, NONE when it names none) exists. */
static struct dr_refusal may_open_for(const struct dr_think *t, const struct dr_request *q, dr_member_ix *m)
{
	struct dr_refusal no = may_open(t, q->force);
	return no.reason != DR_REASON_NONE ? no : member_named(t, q, m);
}

/* Somebody could take over: the named member, or any. */
static struct dr_refusal has_candidate(const struct dr_think *t, dr_member_ix wanted)
{
	unsigned heard;
	unsigned others = dr_others(t, &heard);
	struct dr_refusal last = because(DR_REASON_NO_CANDIDATE, others, heard);
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		uint64_t a = 0;
		if (t->s->spec.member[m].name.s[0] == '\0' || (wanted != DR_MEMBER_NONE && m != wanted))
			continue;
		enum dr_reason why = dr_core_candidate(t->c, t->ix, m, &a);
		if (why == DR_REASON_NONE)
			return fine;
		if (wanted != DR_MEMBER_NONE)
			last = because(why, a, 0);
	}
	return last;
}

static void open_plan(struct dr_think *t, const struct dr_request *q, enum dr_plan_kind kind, dr_member_ix wanted,
		      struct dr_cmd *cmd)
{
	*cmd = dr_cmd_for(t, DR_CMD_PLAN_OPEN);
	cmd->plan_kind = (uint32_t)kind;
	cmd->member = wanted;
	cmd->reason = kind == DR_PLAN_ADOPT ? DR_REASON_ADOPTION : DR_REASON_OPERATOR;
	cmd->flag = kind == DR_PLAN_FAILOVER && q->accept_loss;
	cmd->flag2 = kind == DR_PLAN_FAILOVER && q->assert_fenced;
}

/* Nothing that was seen makes a failover right: either all is well, or too little was seen. */
struct dr_refusal dr_not_ill(const struct dr_think *t)
{
	uint64_t silent = 0;
	uint64_t age = dr_heard_age(t->c, t->ix, t->s->holder);
	uint64_t leading = t->c->view.now_ms - t->c->view.led_since_ms;
	if (dr_core_verdict(t->c, t->ix, t->s->holder, &silent) == DR_VERDICT_OK)
		return because(DR_REASON_PRIMARY_HEALTHY, age, 0);
	return because(DR_REASON_PRIMARY_IN_DOUBT, age != UINT64_MAX ? age : leading, t->c->repl.timing.detect_after_ms);
}

struct dr_refusal dr_ask_failover(struct dr_think *t, const struct dr_request *q, struct dr_cmd *cmd)
{
	dr_member_ix m;
	uint64_t a = 0;
	struct dr_refusal no = may_open_for(t, q, &m);
	if (no.reason != DR_REASON_NONE)
		return no;
	bool ill = dr_incident(t, &a) != DR_REASON_NONE;
	/* That a healthy primary is fenced nobody can vouch for: it is stopped, and that is the proof. */
	if (!ill && (!q->force || q->assert_fenced))
		return dr_not_ill(t);
	no = has_candidate(t, m);
	if (no.reason != DR_REASON_NONE && !q->force)
		return no;
	open_plan(t, q, DR_PLAN_FAILOVER, m, cmd);
	return fine;
}

struct dr_refusal dr_ask_switchover(struct dr_think *t, const struct dr_request *q, struct dr_cmd *cmd)
{
	dr_member_ix m;
	struct dr_refusal no = may_open_for(t, q, &m);
	if (no.reason != DR_REASON_NONE)
		return no;
	if (t->s->holder == DR_MEMBER_NONE)
		return because(DR_REASON_NO_PRIMARY, 0, 0);
	if (m == t->s->holder)
		return because(DR_REASON_IS_PRIMARY, 0, 0);
	no = has_candidate(t, m);
	if (no.reason != DR_REASON_NONE)
		return no;
	open_plan(t, q, DR_PLAN_SWITCHOVER, m, cmd);
	return fine;
}

static struct dr_refusal ask_fence(struct dr_think *t, const struct dr_request *q, struct dr_cmd *cmd)
{
	struct dr_refusal no = may_open(t, q->force);
	if (no.reason != DR_REASON_NONE)
		return no;
	if (t->s->holder == DR_MEMBER_NONE)
		return because(DR_REASON_NO_PRIMARY, 0, 0);
	open_plan(t, q, DR_PLAN_FENCE, DR_MEMBER_NONE, cmd);
	return fine;
}

/* What a standby that was told to acknowledge does, its agent says; where that is never heard again, a person does. */
static struct dr_refusal ask_member_fenced(struct dr_think *t, const struct dr_request *q, struct dr_cmd *cmd)
{
	dr_member_ix m;
	struct dr_refusal no = member_named(t, q, &m);
	if (no.reason != DR_REASON_NONE || m == DR_MEMBER_NONE)
		return because(DR_REASON_NO_SUCH_MEMBER, 0, 0);
	if (!t->s->managed)
		return because(DR_REASON_NOT_MANAGED, 0, 0);
	if (m == t->s->holder)
		return because(DR_REASON_IS_HOLDER, 0, 0);
	if (t->s->member[m].unproved_epoch != 0)
		return because(DR_REASON_FENCE_UNPROVED, 1, 0);
	if (dr_heard(t, m))
		return because(DR_REASON_MEMBER_HEARD, dr_heard_age(t->c, t->ix, m), 0);
	*cmd = dr_cmd_for(t, DR_CMD_PROVE);
	cmd->member = m;
	cmd->proof = DR_PROOF_OPERATOR;
	return fine;
}

/* Back after a fence: the old primary by preference, under a new epoch. */
static struct dr_refusal ask_unfence(struct dr_think *t, const struct dr_request *q, struct dr_cmd *cmd)
{
	dr_member_ix m;
	struct dr_refusal no = may_open_for(t, q, &m);
	if (no.reason != DR_REASON_NONE)
		return no;
	if (t->s->holder != DR_MEMBER_NONE)
		return because(DR_REASON_NOT_FENCED, t->s->epoch, 0);
	open_plan(t, q, DR_PLAN_FAILOVER, m != DR_MEMBER_NONE ? m : t->s->last_holder, cmd);
	if (m == DR_MEMBER_NONE)
		cmd->reason = DR_REASON_UNFENCE; /* nobody named a member: that one is no better than what it still has */
	return fine;
}

static struct dr_refusal ask_adopt(struct dr_think *t, const struct dr_request *q, struct dr_cmd *cmd)
{
	if (t->s->managed)
		return because(DR_REASON_ALREADY_MANAGED, 0, 0);
	if (t->s->plan.id != 0)
		return because(DR_REASON_PLAN_IS_OPEN, t->s->plan.id, 0);
	open_plan(t, q, DR_PLAN_ADOPT, DR_MEMBER_NONE, cmd);
	return fine;
}

static struct dr_refusal ask_observe(struct dr_think *t, const struct dr_request *q, struct dr_cmd *cmd)
{
	if (!t->s->managed)
		return because(DR_REASON_NOT_MANAGED, 0, 0);
	if (t->s->plan.id != 0)
		return because(DR_REASON_PLAN_IS_OPEN, t->s->plan.id, 0);
	*cmd = dr_cmd_for(t, DR_CMD_MODE);
	cmd->flag = false;
	cmd->force = q->force;
	uint32_t route = 0;
	return !q->force && dr_service_may_hold(t->s, &route) ? because(DR_REASON_CLIENTS_HELD, route, 0) : fine;
}

static struct dr_refusal ask_pause(struct dr_think *t, const struct dr_request *q, struct dr_cmd *cmd)
{
	*cmd = dr_cmd_for(t, DR_CMD_PAUSE);
	cmd->flag = q->kind == DR_REQ_PAUSE;
	cmd->until_wall_ms = q->until_wall_ms;
	return fine;
}

static struct dr_refusal about_service(struct dr_think *t, const struct dr_request *q, struct dr_cmd *cmd)
{
	switch (q->kind) {
	case DR_REQ_FAILOVER: return dr_ask_failover(t, q, cmd);
	case DR_REQ_SWITCHOVER: return dr_ask_switchover(t, q, cmd);
	case DR_REQ_FENCE: return ask_fence(t, q, cmd);
	case DR_REQ_UNFENCE: return ask_unfence(t, q, cmd);
	case DR_REQ_MEMBER_FENCED: return ask_member_fenced(t, q, cmd);
	case DR_REQ_ADOPT: return ask_adopt(t, q, cmd);
	case DR_REQ_OBSERVE: return ask_observe(t, q, cmd);
	default: return ask_pause(t, q, cmd);
	}
}

/* Of itself it asks about steps of the runbook only; else it is a service's own plan that does. */
static struct dr_refusal about_site_plan(const struct dr_request *q, const struct dr_site_plan *p, struct dr_cmd *cmd)
{
	if (q->kind == DR_REQ_APPROVE && !p->asks)
		return because(DR_REASON_NOTHING_TO_APPROVE, p->id, 0);
	cmd->kind = q->kind == DR_REQ_APPROVE ? DR_CMD_SITE_APPROVE : DR_CMD_SITE_CLOSE;
	cmd->site_plan = p->id;
	cmd->reason = DR_REASON_OPERATOR;
	return fine;
}

/* Approve and abort name a plan, not a service. */
static struct dr_refusal about_plan(struct dr_core *c, const struct dr_request *q, struct dr_cmd *cmd)
{
	const struct dr_site_plan *site = dr_repl_site_plan(&c->repl, q->plan);
	if (site != NULL && site->open)
		return about_site_plan(q, site, cmd);
	for (uint32_t i = 0; i < c->repl.services; i++) {
		struct dr_service *s = &c->repl.service[i];
		const struct dr_plan *p = NULL;
		if (s->used && s->plan.id == q->plan)
			p = &s->plan;
		for (dr_member_ix m = 0; s->used && m < DR_MEMBERS_MAX && p == NULL; m++) {
			if (s->rejoin[m].id == q->plan)
				p = &s->rejoin[m];
		}
		if (p == NULL || q->plan == 0)
			continue;
		if (q->kind == DR_REQ_APPROVE && p->state != DR_PLAN_ASKING)
			return because(DR_REASON_NOTHING_TO_APPROVE, p->id, 0);
		if (q->kind == DR_REQ_ABORT && !dr_plan_may_end(p))
			return because(DR_REASON_PAST_THE_BAR, p->id, 0);
		cmd->kind = q->kind == DR_REQ_APPROVE ? DR_CMD_APPROVE : DR_CMD_PLAN_CLOSE;
		cmd->service = i;
		cmd->plan = p->id;
		cmd->flag = q->kind == DR_REQ_APPROVE && q->accept_loss;
		cmd->flag2 = q->kind == DR_REQ_APPROVE && q->assert_fenced;
		cmd->reason = DR_REASON_OPERATOR;
		return fine;
	}
	return because(DR_REASON_NO_SUCH_PLAN, q->plan, 0);
}

static bool is_of_site(const struct dr_request *q)
{
	bool moves = q->kind == DR_REQ_FAILOVER || q->kind == DR_REQ_SWITCHOVER;
	return q->kind == DR_REQ_FAILBACK || (moves && q->site.s[0] != '\0');
}

static struct dr_refusal judge(struct dr_core *c, const struct dr_request *q, struct dr_decision *out, struct dr_cmd *cmd,
			       struct dr_name *about)
{
	*cmd = (struct dr_cmd){ .service = DR_SERVICE_NONE, .member = DR_MEMBER_NONE, .target = DR_MEMBER_NONE };
	if (q->kind == DR_REQ_APPLY) {
		if (c->repl.spec_version != 0 && !dr_name_eq(&q->spec->cluster, &c->repl.cluster))
			return because(DR_REASON_OTHER_CLUSTER, 0, 0);
		if (q->version != c->repl.spec_version)
			return because(DR_REASON_VERSION_CHANGED, c->repl.spec_version, 0);
		cmd->kind = DR_CMD_SPEC;
		cmd->a = q->version;
		cmd->spec = q->spec;
		cmd->force = q->force;
		return fine;
	}
	if (q->kind == DR_REQ_APPROVE || q->kind == DR_REQ_ABORT)
		return about_plan(c, q, cmd);
	if (is_of_site(q))
		return dr_ask_site(c, q, out, cmd, about);
	uint32_t ix = dr_repl_service_find(&c->repl, q->service.s);
	if (ix == DR_SERVICE_NONE)
		return because(DR_REASON_NO_SUCH_SERVICE, 0, 0);
	struct dr_think t = { .c = c, .ix = ix, .s = &c->repl.service[ix], .v = &c->view.service[ix], .out = out };
	return about_service(&t, q, cmd);
}

void dr_request_think(struct dr_core *c, const struct dr_core_event *ev, struct dr_decision *out)
{
	const struct dr_request *q = ev->request;
	const struct dr_request_done *before = dr_repl_request_find(&c->repl, q->id);
	if (before != NULL) {
		out->answer = (struct dr_answer){ .now = true, .refused = before->refused, .a = before->a };
		return;
	}
	struct dr_cmd cmd;
	struct dr_name about = { "" };
	struct dr_refusal no = judge(c, q, out, &cmd, &about);
	if (no.reason != DR_REASON_NONE) {
		out->answer = (struct dr_answer){ .now = true, .refused = no.reason, .a = no.a, .b = no.b, .about = about };
		return;
	}
	cmd.wall_ms = ev->wall_ms;
	cmd.request = q->id;
	cmd.actor = q->actor;
	memcpy(cmd.text, q->text, sizeof(cmd.text));
	struct dr_proposal *p = &out->propose[out->proposals++];
	*p = (struct dr_proposal){ .tag = ++c->view.tag_last, .cmd = cmd };
	out->answer = (struct dr_answer){ .tag = p->tag };
}
