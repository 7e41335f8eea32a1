/* forecast_copy.c -- what a forecast starts from: one service of a leader's core, or a few, and all that they rest on, in a core
 * of their own; and how long things take of which there is no past. */
#include <string.h>

#include "base/assert.h"
#include "coord/core/forecast.h"

const char *dr_forecast_end_name(enum dr_forecast_end e)
{
	static const char *const names[] = { "done", "asks", "failed", "refused", "no_end" };
	return (unsigned)e < sizeof(names) / sizeof(names[0]) ? names[e] : "no_end";
}

static void copy_repl(const struct dr_repl *from, struct dr_repl *to)
{
	memcpy(to, from, offsetof(struct dr_repl, services));
	to->services = 0;
	memset(to->runbook, 0, sizeof(to->runbook)); /* nobody here would carry it out */
	to->event_last = 0;
	to->requests_next = 0;
	memset(to->request, 0, sizeof(to->request));
}

static void copy_view(const struct dr_core_view *from, struct dr_core_view *to)
{
	memset(to, 0, offsetof(struct dr_core_view, service));
	to->leading = true;
	to->recovering = from->recovering;
	to->term = from->term;
	to->led_since_ms = from->led_since_ms;
	to->tick_received_ms = from->tick_received_ms;
	to->base_receipt_ms = from->base_receipt_ms;
	memcpy(to->heard_ms, from->heard_ms, sizeof(to->heard_ms));
	to->now_ms = from->now_ms;
	to->wall_ms = from->wall_ms;
}

void dr_forecast_copy_begin(const struct dr_core *live, struct dr_core *to)
{
	to->self = live->self;
	copy_repl(&live->repl, &to->repl);
	copy_view(&live->view, &to->view);
	memset(to->looks.marked, 0, sizeof(to->looks.marked[0]));
	to->looks.from = to->looks.turn = 0;
	to->looks.turn_ms = to->looks.turn_rest = 0;
	dr_repl_index(&to->repl);
}

void dr_forecast_copy_add(const struct dr_core *live, uint32_t ix, struct dr_core *to)
{
	uint32_t at = to->repl.services++;
	struct dr_service_view *v = &to->view.service[at];
	dr_assert(ix < DR_SERVICES_MAX);
	dr_assert(at < DR_FORECAST_SITE_MAX);
	to->view.services = to->repl.services;
	to->repl.service[at] = live->repl.service[ix];
	dr_repl_index_add(&to->repl, at);
	to->looks.due_ms[at] = 0;
	*v = live->view.service[ix];
	v->proposing = 0;
	v->declaring = v->under_way.asked = v->waits.asked = false;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++)
		v->member[m].look_ms = 0;
}

void dr_forecast_copy(const struct dr_core *live, uint32_t ix, struct dr_core *to)
{
	dr_forecast_copy_begin(live, to);
	dr_forecast_copy_add(live, ix, to);
}

struct dr_request dr_forecast_request(const struct dr_core *live, const struct dr_forecast_ask *q)
{
	struct dr_request r = { .kind = q->request, .force = q->force, .id = 1 };
	if (q->ordered && q->site.s[0] != '\0') {
		r.site = q->site;
		return r;
	}
	r.service = live->repl.service[q->service].spec.name;
	if (q->to < DR_MEMBERS_MAX)
		r.member = live->repl.service[q->service].spec.member[q->to].name;
	return r;
}

/* Their reports are of different moments, and rows were written in between: whoever streams and lacks so little has it. */
enum { ON_ITS_WAY_BYTES = 65536, ON_ITS_WAY_TRANSACTIONS = 100 };

void dr_forecast_level(struct dr_core *copy, dr_member_set alive)
{
	const struct dr_service *s = &copy->repl.service[0];
	uint64_t most = 0, little = dr_kind_counts_bytes(s->spec.kind) ? ON_ITS_WAY_BYTES : ON_ITS_WAY_TRANSACTIONS;
	alive = dr_set_without(alive, s->holder);
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		const struct dr_report *r = &copy->view.service[0].member[m].report;
		if (dr_set_has(alive, m) && r->receiving && r->received > most)
			most = r->received;
	}
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		struct dr_report *r = &copy->view.service[0].member[m].report;
		if (dr_set_has(alive, m) && r->receiving && r->received + little >= most)
			r->received = r->received < most ? most : r->received;
	}
}

/* The copy's own word on a request. */
static struct dr_answer answer(const struct dr_core *live, struct dr_forecast_room *room, struct dr_request r)
{
	(void)dr_name_set(&r.actor, "forecast");
	struct dr_core_event ev = { .kind = DR_EV_REQUEST, .request = &r, .now_ms = live->view.now_ms,
				    .wall_ms = live->view.wall_ms };
	dr_core_step(&room->core, &ev, &room->decision);
	struct dr_answer a = room->decision.answer;
	a.refused = a.now ? a.refused : DR_REASON_NONE;
	return a;
}

enum dr_reason dr_forecast_answer(const struct dr_core *live, struct dr_forecast_room *room, const struct dr_forecast_ask *q,
				  uint64_t *a, uint64_t *b)
{
	dr_forecast_copy(live, q->service, &room->core);
	struct dr_answer said = answer(live, room, dr_forecast_request(live, q));
	*a = said.a;
	*b = said.b;
	return said.refused;
}

struct dr_answer dr_forecast_site_answer(const struct dr_core *live, struct dr_forecast_room *room,
					 const struct dr_forecast_ask *q, const struct dr_forecast_site *s)
{
	struct dr_request r = { .kind = q->request, .force = q->force, .site = q->site, .id = 1 };
	dr_forecast_copy_begin(live, &room->core);
	for (uint32_t i = 0; i < s->parts; i++)
		dr_forecast_copy_add(live, s->part[i].service, &room->core);
	return answer(live, room, r);
}

/* What conf/predict.c takes for granted, and a checkpoint. */
enum { PREPARE_MS = 500, STOP_MS = 50, FREEZE_MS = 60, PROMOTE_MS = 200, FOLLOW_MS = 200, FETCH_MS = 200, ROUTE_MS = 100 };

uint32_t dr_forecast_assumed_ms(const struct dr_timing *t, enum dr_plan_kind plan, enum dr_step step)
{
	uint32_t l = t->probe_deadline_ms / 10; /* a round trip (design.md 6, 5) */
	switch (step) {
	case DR_STEP_PREPARE: return PREPARE_MS + l;
	case DR_STEP_FENCE_OLD: return STOP_MS + l;
	case DR_STEP_FREEZE: return FREEZE_MS + l;
	case DR_STEP_CATCH_UP: return (plan == DR_PLAN_SWITCHOVER ? PREPARE_MS : FETCH_MS) + l;
	case DR_STEP_PROMOTE: return PROMOTE_MS + 2 * l;
	case DR_STEP_REPOINT: return FOLLOW_MS + l;
	case DR_STEP_ROUTE: return ROUTE_MS + 2 * l;
	case DR_STEP_VERIFY: return t->probe_ms;
	default: return 0;
	}
}
