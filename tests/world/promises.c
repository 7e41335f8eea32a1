/* promises.c -- what agents of the world ask one another, as agent/shell/promises.c does over TLS. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "tests/world/world.h"

enum { HEARD_BEATS = 2, LATE_EVERY = 8, LATE_MS = 1000, LATE_MORE_MS = 5000 };

struct message {
	struct dr_ask ask;
	struct dr_promise promise;
	uint32_t asker;
};

static void ask_arrives(struct world *w, struct w_timer *t);

static void send(struct world *w, uint32_t from, uint32_t to, const struct message *m,
		 void (*arrives)(struct world *, struct w_timer *))
{
	struct w_timer *t = w_send(w, w->m[from].site, w->m[to].site, w_proc(W_AGENT, to), arrives);
	t->a = to;
	t->b = w->m[to].life;
	t->data = dr_xcalloc(sizeof(*m));
	t->size = sizeof(*m);
	memcpy(t->data, m, sizeof(*m));
}

/* In bad weather a question is there once more, much later: from a connection that nobody had read, say. */
static void send_late(struct world *w, uint32_t to, const struct message *m)
{
	uint64_t by = (m->ask.id ^ m->ask.id >> 17) * UINT64_C(0x9e3779b97f4a7c15) >> 40;
	if (w->weather == NULL || by % LATE_EVERY != 0)
		return;
	struct w_timer *t = w_after(w, LATE_MS + by / LATE_EVERY % LATE_MORE_MS, ask_arrives);
	t->proc = w_proc(W_AGENT, to);
	t->a = to;
	t->b = w->m[to].life;
	t->data = dr_xcalloc(sizeof(*m));
	t->size = sizeof(*m);
	memcpy(t->data, m, sizeof(*m));
}

static bool there(const struct world *w, const struct w_timer *t)
{
	return w->m[t->a].alive && w->m[t->a].life == t->b;
}

static void ask_arrives(struct world *w, struct w_timer *t)
{
	struct message *m = t->data;
	struct w_member *to = &w->m[t->a];
	w_wire_ask(w, &m->ask);
	if (!there(w, t))
		return;
	uint64_t lately = (uint64_t)HEARD_BEATS * w->spec.timing.probe_ms;
	struct dr_agent_event ev = { .kind = DR_AG_ASKED, .ask = &m->ask };
	to->asked_until_ms = w_clock(w, &to->clock) + m->ask.hold_ms;
	ev.known = to->leader >= 0 && to->heard_at != 0 && w->now <= to->heard_at + lately;
	w_agent_event(w, t->a, &ev);
}

static void promise_arrives(struct world *w, struct w_timer *t)
{
	struct message *m = t->data;
	struct dr_agent_event ev = { .kind = DR_AG_PROMISE, .promise = &m->promise };
	w_wire_promise(w, &m->promise);
	if (there(w, t))
		w_agent_event(w, t->a, &ev);
}

void w_ask(struct world *w, uint32_t mi, const struct dr_ask *question)
{
	const struct dr_agent_list *l = &w->m[mi].core.journal.list;
	w_say(w, "%s asks %u member(s) for promises, epoch=%llu", w_member_name(w, mi), l->members,
	      (unsigned long long)question->epoch);
	for (uint32_t i = 0; i < l->members; i++) {
		uint32_t to = w_member_find(w, l->member[i].member.s);
		struct message m = { .ask = *question };
		if (to >= w->members)
			continue;
		m.ask.service = w_spec_of(w, mi)->name;
		m.ask.of = l->member[i].member;
		send(w, mi, to, &m, ask_arrives);
		send_late(w, to, &m);
	}
}

/* Whom it goes to is found by the epoch and the round's id: only the asker knows them. */
void w_promise(struct world *w, uint32_t mi, const struct dr_promise *p)
{
	if (p->code == DR_OK)
		w_check_promised(w, mi, p);
	for (uint32_t i = 0; i < w->members; i++) {
		const struct dr_agent_core *c = &w->m[i].core;
		struct message m = { .promise = *p };
		bool mine = i != mi && w->m[i].service == w->m[mi].service;
		if (!mine || !w->m[i].alive || c->round.id != p->id || c->round.epoch != p->epoch)
			continue;
		if (p->code == DR_OK)
			w_say(w, "%s promises %s, epoch=%llu", w_member_name(w, mi), w_member_name(w, i),
			      (unsigned long long)p->epoch);
		send(w, mi, i, &m, promise_arrives);
	}
}
