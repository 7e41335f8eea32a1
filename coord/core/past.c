/* past.c -- how long steps took, from the events that replicated state keeps (forecast.h). */
#include <string.h>

#include "coord/core/forecast.h"

enum {
	RUNNING_MAX = 64,       /* plans whose present step's begin is remembered */
	SANE_MS = 3600 * 1000   /* what took longer by the clocks took as long as a clock was wrong */
};

struct running {
	uint64_t plan, wall_ms;
	uint32_t step;
};

static bool is_of_kind(const struct dr_repl *r, const struct dr_event_record *e, enum dr_kind kind)
{
	uint32_t ix = dr_repl_service_find(r, e->service.s);
	return ix != DR_SERVICE_NONE && r->service[ix].spec.kind == kind;
}

static void note(struct dr_past *p, const struct dr_event_record *e, uint64_t ms)
{
	struct dr_past_step *of = e->plan_kind == DR_PLAN_FAILOVER ? p->failover : p->switchover;
	if (e->step >= DR_STEP_ID_MAX || ms > SANE_MS)
		return;
	struct dr_past_step *s = &of[e->step];
	s->took_ms[s->samples % DR_PAST_KEPT] = (uint32_t)ms;
	s->samples++;
}

static void find_median(struct dr_past_step *s)
{
	uint32_t sorted[DR_PAST_KEPT];
	uint32_t n = s->samples < DR_PAST_KEPT ? s->samples : DR_PAST_KEPT;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = i;
		for (; at > 0 && sorted[at - 1] > s->took_ms[i]; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = s->took_ms[i];
	}
	s->median_ms = n > 0 ? sorted[n / 2] : 0;
}

void dr_past_read(const struct dr_repl *r, enum dr_kind kind, struct dr_past *out)
{
	struct running running[RUNNING_MAX];
	memset(running, 0, sizeof(running));
	memset(out, 0, sizeof(*out));
	uint64_t first = r->event_last > DR_EVENTS_KEPT ? r->event_last - DR_EVENTS_KEPT + 1 : 1;
	for (uint64_t i = first; i <= r->event_last; i++) {
		const struct dr_event_record *e = dr_repl_event(r, i);
		if (e == NULL || (e->plan_kind != DR_PLAN_FAILOVER && e->plan_kind != DR_PLAN_SWITCHOVER))
			continue;
		struct running *at = &running[e->plan % RUNNING_MAX];
		if (e->kind == DR_EVENT_STEP_STARTED)
			*at = (struct running){ .plan = e->plan, .wall_ms = e->wall_ms, .step = e->step };
		/* What waited for a person took as long as the person did. */
		else if (e->kind == DR_EVENT_PLAN_ASKS && at->plan == e->plan)
			at->plan = 0;
		else if (e->kind == DR_EVENT_STEP_DONE && at->plan == e->plan && at->step == e->step &&
			 e->wall_ms >= at->wall_ms && is_of_kind(r, e, kind))
			note(out, e, e->wall_ms - at->wall_ms);
	}
	for (unsigned s = 0; s < DR_STEP_ID_MAX; s++) {
		find_median(&out->failover[s]);
		find_median(&out->switchover[s]);
	}
}
