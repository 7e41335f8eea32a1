/* runbook.c -- steps of site plans on the leader: which one ought to be under way, and for how long it is waited for.
 *
 * Whoever carries one out keeps its time limit and says how it ended (DR_EV_SITE_STEP).  Where nobody does, because he is
 * gone or we began to lead in between, the leader ends it a while later, so that no step holds a plan up for good. */
#include "coord/core/think.h"

enum {
	GRACE_MS = 5000,  /* for the answer */
	AGAIN_MS = 1000   /* an end that was proposed and is not there yet is proposed again after this */
};

bool dr_core_site_step(const struct dr_core *c, uint32_t i, struct dr_site_step_wanted *out)
{
	const struct dr_site_plan *p = &c->repl.site_plan[i];
	if (!c->view.leading || c->view.recovering || !p->open || p->running == 0 || p->asks)
		return false;
	*out = (struct dr_site_step_wanted){ .plan = p->id, .kind = p->kind, .site = p->site, .step = p->running - 1,
					     .undo = p->undoing };
	out->does = dr_runbook_step(&c->repl, &p->step[out->step].name);
	return out->does != NULL;
}

static void end(struct dr_core *c, uint32_t i, const struct dr_cmd *how, struct dr_decision *out)
{
	const struct dr_site_plan *p = &c->repl.site_plan[i];
	if (out->proposals >= DR_PROPOSE_MAX)
		return;
	struct dr_proposal *q = &out->propose[out->proposals++];
	*q = (struct dr_proposal){ .tag = ++c->view.tag_last, .cmd = *how };
	q->cmd.kind = DR_CMD_SITE_STEP;
	q->cmd.service = DR_SERVICE_NONE;
	q->cmd.member = q->cmd.target = DR_MEMBER_NONE;
	q->cmd.site_plan = p->id;
	q->cmd.step = p->running - 1;
	q->cmd.flag2 = p->undoing;
	q->cmd.wall_ms = c->view.wall_ms;
	c->view.site_step[i].proposed_ms = c->view.now_ms;
}

/* The view of the step that has its turn; NULL: its end was proposed just now. */
static struct dr_site_step_view *look_at(struct dr_core *c, uint32_t i)
{
	const struct dr_site_plan *p = &c->repl.site_plan[i];
	struct dr_site_step_view *v = &c->view.site_step[i];
	if (v->plan != p->id || v->running != p->running || v->undoing != p->undoing)
		*v = (struct dr_site_step_view){ .plan = p->id, .running = p->running, .undoing = p->undoing,
						 .since_ms = c->view.now_ms };
	return v->proposed_ms != 0 && c->view.now_ms < v->proposed_ms + AGAIN_MS ? NULL : v;
}

static void think(struct dr_core *c, uint32_t i, struct dr_decision *out)
{
	const struct dr_site_plan *p = &c->repl.site_plan[i];
	const struct dr_site_step_view *v = look_at(c, i);
	const struct dr_runbook_step *does = dr_runbook_step(&c->repl, &p->step[p->running - 1].name);
	if (v == NULL) {
		dr_wake_at(out, c->view.site_step[i].proposed_ms + AGAIN_MS);
		return;
	}
	uint64_t limit = does != NULL ? (uint64_t)does->timeout_ms + GRACE_MS : 0;
	if (does != NULL && c->view.now_ms < v->since_ms + limit) {
		dr_wake_at(out, v->since_ms + limit);
		return;
	}
	struct dr_cmd how = { .reason = does != NULL ? DR_REASON_STEP_UNANSWERED : DR_REASON_STEP_GONE, .a = limit };
	end(c, i, &how, out);
}

void dr_runbook_think(struct dr_core *c, struct dr_decision *out)
{
	if (!c->view.leading || c->view.recovering)
		return;
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		const struct dr_site_plan *p = &c->repl.site_plan[i];
		if (p->open && p->running != 0 && !p->asks)
			think(c, i, out);
	}
}

void dr_runbook_told(struct dr_core *c, const struct dr_core_event *ev, struct dr_decision *out)
{
	struct dr_cmd how = { .flag = ev->done, .reason = ev->done ? DR_REASON_NONE : DR_REASON_STEP_FAILED };
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		struct dr_site_step_wanted w;
		if (!dr_core_site_step(c, i, &w) || w.plan != ev->site_plan || w.step != ev->step || w.undo != ev->undo ||
		    look_at(c, i) == NULL)
			continue;
		for (size_t k = 0; ev->text != NULL && ev->text[k] != '\0' && k + 1 < sizeof(how.text); k++)
			how.text[k] = ev->text[k];
		end(c, i, &how, out);
	}
}
