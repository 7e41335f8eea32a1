/* looks.c -- which services are looked at, and when.
 *
 * A service is looked at when something was heard of it, when a moment that it waits for has come, and otherwise once
 * a probe interval, as silence makes no event.  So that one event never takes long, however many services there are, a
 * step looks at no more than DR_LOOKS_MAX of them and asks to be woken at once for the rest; up to that number, all are
 * looked at at every tick.
 *
 * Nor does a leader look at anything while the log takes no more of what it would propose: those marked wait, and that
 * something on its way has ended is an event.  A refusal is taken in without a look, so that it leads to no other one. */
#include "coord/core/think.h"

enum { WORD = 64 };

_Static_assert(DR_LOOKS_MAX * DR_MEMBERS_MAX <= DR_ORDERS_MAX && DR_LOOKS_MAX <= DR_PROPOSE_MAX &&
		       DR_LOOKS_MAX * DR_ROUTES_MAX <= DR_ROUTES_WANTED_MAX,
	       "a decision holds what one step's looks can want");

void dr_look_at(struct dr_core *c, uint32_t service)
{
	if (service >= DR_SERVICES_MAX) /* an entry may name any place */
		return;
	c->looks.marked[service / WORD] |= UINT64_C(1) << service % WORD;
}

void dr_look_at_all(struct dr_core *c)
{
	for (uint32_t i = 0; i < c->repl.services; i++)
		dr_look_at(c, i);
}

void dr_look_later(struct dr_core *c, uint32_t service, uint64_t at_ms)
{
	uint64_t *due = &c->looks.due_ms[service];
	if (*due == 0 || at_ms < *due)
		*due = at_ms;
}

/* Once a probe interval everybody's turn comes. */
static void mark_turns(struct dr_core *c)
{
	struct dr_looks *l = &c->looks;
	uint32_t n = c->repl.services, probe_ms = c->repl.timing.probe_ms > 0 ? c->repl.timing.probe_ms : 1;
	uint64_t passed = c->view.now_ms - l->turn_ms;
	uint64_t due = (uint64_t)n * (passed < probe_ms ? passed : probe_ms) + l->turn_rest;
	uint64_t turns = due / probe_ms < n ? due / probe_ms : n;
	l->turn_ms = c->view.now_ms;
	l->turn_rest = due % probe_ms;
	for (uint64_t i = 0; i < turns; i++) {
		l->turn = l->turn + 1 < n ? l->turn + 1 : 0;
		dr_look_at(c, l->turn);
	}
}

void dr_look_tick(struct dr_core *c)
{
	if (c->repl.services <= DR_LOOKS_MAX) {
		dr_look_at_all(c);
		return;
	}
	mark_turns(c);
	for (uint32_t i = 0; i < c->repl.services; i++) {
		if (c->looks.due_ms[i] != 0 && c->looks.due_ms[i] <= c->view.now_ms)
			dr_look_at(c, i);
	}
}

static uint32_t marked_from(const struct dr_looks *l, uint32_t from, uint32_t services)
{
	while (from < services) {
		uint64_t word = l->marked[from / WORD] >> from % WORD;
		if ((word & 1u) != 0)
			return from;
		from = word != 0 ? from + 1 : (from / WORD + 1) * WORD;
	}
	return DR_SERVICE_NONE;
}

/* The next marked one, behind the last and then from the beginning; DR_SERVICE_NONE: there is none. */
static uint32_t next(struct dr_looks *l, uint32_t services)
{
	uint32_t service = marked_from(l, l->from, services);
	if (service == DR_SERVICE_NONE && l->from != 0) {
		l->from = 0;
		service = marked_from(l, 0, services);
	}
	return service;
}

/* What a look asks to be woken for is its service's own moment. */
static void look(struct dr_core *c, uint32_t service, struct dr_decision *out, dr_look_fn *at)
{
	uint64_t before = out->wake_at_ms;
	out->wake_at_ms = 0;
	c->looks.due_ms[service] = 0;
	at(c, service, out);
	c->looks.due_ms[service] = out->wake_at_ms;
	out->wake_at_ms = before;
	if (c->looks.due_ms[service] != 0)
		dr_wake_at(out, c->looks.due_ms[service]);
}

static unsigned most_after(const struct dr_core_event *ev)
{
	if (ev->kind == DR_EV_PROPOSED && ev->outcome != DR_OK)
		return 0;
	return ev->kind == DR_EV_PROPOSED || ev->kind == DR_EV_COMMITTED ? DR_LOOKS_AFTER_ENTRY : DR_LOOKS_MAX;
}

/* For what one more look may propose. */
static bool has_room(const struct dr_core *c, const struct dr_core_event *ev, const struct dr_decision *out)
{
	return !c->view.leading || ev->outstanding + out->proposals < DR_PROPOSALS_MAX - DR_PROPOSALS_KEPT;
}

void dr_look_do(struct dr_core *c, const struct dr_core_event *ev, struct dr_decision *out, dr_look_fn *at)
{
	struct dr_looks *l = &c->looks;
	uint32_t service = next(l, c->repl.services);
	unsigned most = most_after(ev);
	for (unsigned i = 0; i < most && service != DR_SERVICE_NONE && has_room(c, ev, out); i++) {
		l->marked[service / WORD] &= ~(UINT64_C(1) << service % WORD);
		l->from = service + 1;
		look(c, service, out, at);
		service = next(l, c->repl.services);
	}
	if (service != DR_SERVICE_NONE && has_room(c, ev, out))
		dr_wake_at(out, out->now_ms + 1);
}

void dr_look_wake(const struct dr_core *c, struct dr_decision *out)
{
	for (uint32_t i = 0; i < c->repl.services; i++) {
		if (c->looks.due_ms[i] != 0)
			dr_wake_at(out, c->looks.due_ms[i]);
	}
}
