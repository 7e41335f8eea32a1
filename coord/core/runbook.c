/* runbook.c -- steps of site plans on the leader: which one ought to be under way, and for how long it is waited for.
 *
 * Whoever carries one out keeps its time limit and says how it ended (DR_EV_SITE_STEP).  Where nobody does, because he is
 * gone or we began to lead in between, the leader ends it a while later, so that no step holds a plan up for good.
 *
 * One that was given up is over for certain when all who may have it say so, or when the time has passed that was left to
 * the last who was asked: since the plan is known to be given up nobody is asked, and a leader before us had begun to count
 * earlier than we have. */
#include "base/mutant.h"
#include "coord/core/think.h"

enum {
	GRACE_MS = 5000,  /* for the answer */
	AGAIN_MS = 1000   /* an end that was proposed and is not there yet is proposed again after this */
};

static const struct dr_site_step *its_step(const struct dr_site_plan *p)
{
	return &p->step[p->running - 1];
}

static enum dr_site_step_state state_now(const struct dr_site_plan *p)
{
	return its_step(p)->state;
}

static bool has_turn(const struct dr_core *c, const struct dr_site_plan *p)
{
	bool leads = c->view.leading && !c->view.recovering;
	return leads && p->running != 0 && !p->asks && (p->open || dr_site_step_is_ending(its_step(p)));
}

/* Nothing of it was seen as another one: a leader counts from when it began to lead. */
static bool is_seen(const struct dr_site_step_view *v, const struct dr_site_plan *p)
{
	return v->plan == p->id && v->running == p->running && v->state == state_now(p);
}

static uint32_t left_ms(const struct dr_core *c, uint32_t i, const struct dr_runbook_step *does)
{
	const struct dr_site_step_view *v = &c->view.site_step[i];
	uint64_t age = is_seen(v, &c->repl.site_plan[i]) ? c->view.now_ms - v->since_ms : 0;
	return age < does->timeout_ms ? does->timeout_ms - (uint32_t)age : 0;
}

bool dr_core_site_step(const struct dr_core *c, uint32_t i, struct dr_site_step_wanted *out)
{
	const struct dr_site_plan *p = &c->repl.site_plan[i];
	if (!has_turn(c, p))
		return false;
	*out = (struct dr_site_step_wanted){ .plan = p->id, .kind = p->kind, .site = p->site, .step = p->running - 1,
					     .end = dr_site_step_is_ending(its_step(p)) };
	out->undo = state_now(p) == DR_SITE_STEP_UNDOING || state_now(p) == DR_SITE_STEP_UNDO_ENDING;
	out->does = dr_runbook_step(&c->repl, &p->step[out->step].name);
	if (out->does == NULL)
		return false;
	out->left_ms = left_ms(c, i, out->does);
	return true;
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
	q->cmd.force = dr_site_step_is_ending(its_step(p));
	q->cmd.wall_ms = c->view.wall_ms;
	c->view.site_step[i].proposed_ms = c->view.now_ms;
}

/* The view of the step that has its turn; NULL: its end was proposed just now. */
static struct dr_site_step_view *look_at(struct dr_core *c, uint32_t i)
{
	const struct dr_site_plan *p = &c->repl.site_plan[i];
	struct dr_site_step_view *v = &c->view.site_step[i];
	uint64_t given_up = v->plan == p->id ? v->given_up_ms : 0;
	if (given_up == 0 && (p->undoing || !p->open))
		given_up = c->view.now_ms;
	if (!is_seen(v, p))
		*v = (struct dr_site_step_view){ .plan = p->id, .running = p->running, .state = state_now(p),
						 .since_ms = c->view.now_ms, .given_up_ms = given_up };
	return v->proposed_ms != 0 && c->view.now_ms < v->proposed_ms + AGAIN_MS ? NULL : v;
}

/* What was asked for before the plan was given up was so by then at the latest; an undo that is given up, later. */
static uint64_t counts_from(const struct dr_site_step_view *v)
{
	return v->state == DR_SITE_STEP_ENDING ? v->given_up_ms : v->since_ms;
}

static void think(struct dr_core *c, uint32_t i, struct dr_decision *out)
{
	const struct dr_site_plan *p = &c->repl.site_plan[i];
	const struct dr_site_step_view *v = look_at(c, i);
	const struct dr_runbook_step *does = dr_runbook_step(&c->repl, &its_step(p)->name);
	if (v == NULL) {
		dr_wake_at(out, c->view.site_step[i].proposed_ms + AGAIN_MS);
		return;
	}
	uint64_t limit = does != NULL ? (uint64_t)does->timeout_ms + GRACE_MS : 0;
	uint64_t from = counts_from(v);
	bool at_once = does == NULL || (dr_site_step_is_ending(its_step(p)) && DR_MUTANT(UNDO_BESIDE));
	if (!at_once && c->view.now_ms < from + limit) {
		dr_wake_at(out, from + limit);
		return;
	}
	struct dr_cmd how = { .reason = does != NULL ? DR_REASON_STEP_UNANSWERED : DR_REASON_STEP_GONE, .a = limit };
	end(c, i, &how, out);
}

void dr_runbook_think(struct dr_core *c, struct dr_decision *out)
{
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		if (has_turn(c, &c->repl.site_plan[i]))
			think(c, i, out);
	}
}

void dr_runbook_told(struct dr_core *c, const struct dr_core_event *ev, struct dr_decision *out)
{
	struct dr_cmd how = { .flag = ev->done, .reason = ev->done ? DR_REASON_NONE : DR_REASON_STEP_FAILED };
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		struct dr_site_step_wanted w;
		if (!dr_core_site_step(c, i, &w) || w.plan != ev->site_plan || w.step != ev->step || w.undo != ev->undo ||
		    w.end != ev->nobody || look_at(c, i) == NULL)
			continue;
		for (size_t k = 0; ev->text != NULL && ev->text[k] != '\0' && k + 1 < sizeof(how.text); k++)
			how.text[k] = ev->text[k];
		end(c, i, &how, out);
	}
}
