/* print.c -- decisions and events as lines of the transcript. */
#include "tests/world/world.h"

#include <string.h>

#define U(x) ((unsigned long long)(x))

/* A member as the log counts it. */
static const char *member_text(const struct world *w, uint32_t service, dr_member_ix m)
{
	return service < w->services ? w_member_name(w, w_member_at(&w->s[service], m)) : "-";
}

static const char *set_text(const struct world *w, uint32_t service, dr_member_set set)
{
	static char text[2][DR_MEMBERS_MAX * 8 + 4];
	static unsigned turn;
	char *out = text[turn++ % 2];
	size_t at = 0;
	out[at++] = '{';
	for (dr_member_ix i = 0; service < w->services && i < w->s[service].members; i++) {
		if (dr_set_has(set, i))
			at += (size_t)snprintf(out + at, sizeof(text[0]) - at, "%s%s", at > 1 ? " " : "",
					       member_text(w, service, i));
	}
	out[at++] = '}';
	out[at] = '\0';
	return out;
}

static void put_order(const struct world *w, FILE *f, uint32_t service, const struct dr_order_core *o)
{
	(void)fprintf(f, " %s", dr_order_name(o->kind));
	if (o->target < DR_MEMBERS_MAX && o->kind != DR_ORDER_WRITABLE && o->kind != DR_ORDER_SYNC_SET)
		(void)fprintf(f, " target=%s", member_text(w, service, o->target));
	if (o->kind == DR_ORDER_WRITABLE || o->kind == DR_ORDER_SYNC_SET)
		(void)fprintf(f, " sync=any %u of %s", o->k, set_text(w, service, o->sync));
	if (o->position != 0)
		(void)fprintf(f, " position=%llu", U(o->position));
	if (o->clean)
		(void)fputs(" clean", f);
}

static void put_reason(FILE *f, enum dr_reason r, uint64_t a, uint64_t b)
{
	if (r == DR_REASON_NONE)
		return;
	(void)fprintf(f, " why=%s", dr_reason_name(r));
	if (a != 0 || b != 0)
		(void)fprintf(f, "(%llu,%llu)", U(a), U(b));
}

void w_print_proposal(struct world *w, uint32_t c, const struct dr_cmd *cmd)
{
	FILE *f = w->out;
	if (f == NULL || (cmd->kind == DR_CMD_TICK && !w->verbose))
		return;
	(void)fprintf(f, "\t%6llu %s proposes %s", U(w->now), w->c[c].name, dr_cmd_name(cmd->kind));
	if (cmd->service > 0 && cmd->service < w->services) /* who reads of one service only need not be told */
		(void)fprintf(f, " %s", w->service[cmd->service].name.s);
	if (cmd->plan_kind != 0)
		(void)fprintf(f, " %s", dr_plan_name((enum dr_plan_kind)cmd->plan_kind));
	if (cmd->plan != 0)
		(void)fprintf(f, " plan=%llu/%u", U(cmd->plan), cmd->step);
	if (cmd->site_plan != 0)
		(void)fprintf(f, " site_plan=%llu", U(cmd->site_plan));
	if (cmd->kind == DR_CMD_SITE_STEP)
		(void)fprintf(f, " %sstep=%u %s", cmd->flag2 && !cmd->force ? "undo " : "", cmd->step,
			      cmd->force ? "over" : cmd->flag ? "done" : "failed");
	if (cmd->site.s[0] != '\0' && cmd->kind != DR_CMD_COORDINATOR)
		(void)fprintf(f, " site=%s", cmd->site.s);
	if (cmd->epoch != 0)
		(void)fprintf(f, " epoch=%llu", U(cmd->epoch));
	if (cmd->member < DR_MEMBERS_MAX && cmd->service != DR_SERVICE_NONE)
		(void)fprintf(f, " %s", member_text(w, cmd->service, cmd->member));
	if (cmd->target < DR_MEMBERS_MAX && cmd->kind == DR_CMD_CHOOSE)
		(void)fprintf(f, " source=%s", member_text(w, cmd->service, cmd->target));
	if (cmd->kind == DR_CMD_CHOOSE || cmd->kind == DR_CMD_SYNC_CHANGE ||
	    cmd->kind == DR_CMD_SYNC_CONFIRM || cmd->set != 0)
		(void)fprintf(f, " sync=any %u of %s", cmd->k, set_text(w, cmd->service, cmd->set));
	if (cmd->kind == DR_CMD_ORDER)
		put_order(w, f, cmd->service, &cmd->order);
	if (cmd->kind == DR_CMD_ORDER_END)
		(void)fprintf(f, " #%llu %s%s%s", U(cmd->result.number), dr_outcome_name(cmd->result.outcome),
			      cmd->result.code != DR_OK ? " " : "",
			      cmd->result.code != DR_OK ? dr_err_name(cmd->result.code) : "");
	if (cmd->position != 0 || cmd->result.position != 0)
		(void)fprintf(f, " position=%llu", U(cmd->position + cmd->result.position));
	if (cmd->proof != DR_PROOF_NONE)
		(void)fprintf(f, " proof=%s", dr_proof_name(cmd->proof));
	if (cmd->kind == DR_CMD_STEP_END && !cmd->flag)
		(void)fputs(" skipped", f);
	if (cmd->actor.s[0] != '\0')
		(void)fprintf(f, " actor=%s", cmd->actor.s);
	put_reason(f, cmd->reason, cmd->reason == DR_REASON_NONE ? 0 : cmd->a, cmd->b);
	(void)fputc('\n', f);
}

/* Changes of what ought to be in flight, as this coordinator decides. */
void w_print_wanted(struct world *w, uint32_t ci, const struct dr_decision *d)
{
	struct w_coordinator *c = &w->c[ci];
	for (uint32_t i = 0; i < d->orders; i++) {
		const struct dr_order_wanted *o = &d->order[i];
		uint32_t m = w_member_at(&w->s[o->service], o->member);
		if (m >= w->members || c->wanted[m].number == o->core.number)
			continue;
		c->wanted[m] = o->core;
		if (w->out == NULL || !c->core->view.leading)
			continue;
		(void)fprintf(w->out, "\t%6llu %s wants %s:", U(w->now), c->name, w_member_name(w, m));
		if (o->core.number == 0) {
			(void)fputs(" nothing\n", w->out);
			continue;
		}
		(void)fprintf(w->out, " #%llu", U(o->core.number));
		put_order(w, w->out, o->service, &o->core);
		(void)fprintf(w->out, " epoch=%llu\n", U(o->core.epoch));
	}
}

static void put_event(const struct world *w, FILE *f, const struct dr_event_record *e)
{
	uint32_t service = w_service_find(w, e->service.s);
	(void)fprintf(f, "\t%6llu = %s", U(w->now), dr_event_name(e->kind));
	if (service > 0 && service < w->services)
		(void)fprintf(f, " %s", e->service.s);
	if (e->member.s[0] != '\0')
		(void)fprintf(f, " %s", e->member.s);
	if (e->site.s[0] != '\0')
		(void)fprintf(f, " site=%s", e->site.s);
	if (e->epoch != 0)
		(void)fprintf(f, " epoch=%llu", U(e->epoch));
	if (e->plan != 0)
		(void)fprintf(f, " plan=%llu", U(e->plan));
	if (e->plan_kind != 0)
		(void)fprintf(f, " %s", dr_plan_name((enum dr_plan_kind)e->plan_kind));
	if (e->step != 0)
		(void)fprintf(f, "/%s", dr_step_name((enum dr_step)e->step));
	if (e->order != DR_ORDER_NONE)
		(void)fprintf(f, " #%llu %s", U(e->number), dr_order_name(e->order));
	if (e->outcome != DR_OUTCOME_NONE)
		(void)fprintf(f, " %s", dr_outcome_name(e->outcome));
	if (e->proof != DR_PROOF_NONE)
		(void)fprintf(f, " %s", dr_proof_name(e->proof));
	if (e->kind == DR_EVENT_SYNC_CHANGING || e->kind == DR_EVENT_SYNC_CHANGED)
		(void)fprintf(f, " any %llu of %s", U(e->b), set_text(w, service, (dr_member_set)e->a));
	if (e->kind == DR_EVENT_SITE_OPENED || e->kind == DR_EVENT_SITE_GROUP || e->kind == DR_EVENT_SITE_CLOSED)
		(void)fprintf(f, " a=%llu b=%llu", U(e->a), U(e->b));
	bool tells = e->kind >= DR_EVENT_SITE_STEP_STARTED && e->kind <= DR_EVENT_SITE_ASKS;
	if ((tells || e->kind == DR_EVENT_SITE_CLOSED) && e->text[0] != '\0')
		(void)fprintf(f, " \"%s\"", e->text);
	if (e->actor.s[0] != '\0')
		(void)fprintf(f, " actor=%s", e->actor.s);
	put_reason(f, e->reason, e->a, e->b);
	(void)fputc('\n', f);
}

void w_print_events(struct world *w, uint32_t c)
{
	const struct dr_repl *r = &w->c[c].core->repl;
	while (w->events_printed < r->event_last) {
		w->events_printed++;
		const struct dr_event_record *e = dr_repl_event(r, w->events_printed);
		if (e != NULL && w->out != NULL)
			put_event(w, w->out, e);
	}
}
