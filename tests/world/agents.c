/* agents.c -- agents of the world: what agent/shell/member.c does around the core, and the guard beside it. */
#include "tests/world/world.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"

static void wake(struct world *w, struct w_timer *t)
{
	struct w_member *m = &w->m[t->a];
	if (!m->alive || m->life != t->b || m->wake_at != t->u)
		return;
	m->wake_at = 0;
	struct dr_agent_event ev = { .kind = DR_AG_TICK };
	w_agent_event(w, t->a, &ev);
}

static bool leader_of(const struct world *w, const struct w_member *m)
{
	return m->leader >= 0 && w->c[m->leader].core != NULL;
}

static void renewal_arrives(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->b];
	const struct dr_agent_decision *d = t->data;
	if (c->core == NULL)
		return;
	c->agent_ms[t->a] = w->now;
	struct dr_core_event ev = { .kind = DR_EV_RENEW,
				    .service = w_spec_of(w, t->a)->name,
				    .epoch = d->renew_epoch,
				    .renewal = d->renew_id,
				    .member = w->m[t->a].name };
	w_coord_event(w, t->b, &ev);
}

static void result_arrives(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->b];
	if (c->core == NULL)
		return;
	c->agent_ms[t->a] = w->now;
	w_wire_result(w, t->a, t->data);
	const struct dr_order_result *told = t->data;
	if (told->outcome == DR_OUTCOME_DONE && told->number > w->m[t->a].told_done)
		w->m[t->a].told_done = told->number;
	struct dr_core_event ev = {
		.kind = DR_EV_RESULT, .service = w_spec_of(w, t->a)->name, .result = t->data, .member = w->m[t->a].name
	};
	w_coord_event(w, t->b, &ev);
}

static void report_arrives(struct world *w, struct w_timer *t)
{
	struct w_coordinator *c = &w->c[t->b];
	if (c->core == NULL)
		return;
	c->agent_ms[t->a] = w->now;
	struct dr_core_event ev = { .kind = DR_EV_REPORT, .report = t->data };
	w_wire_report(w, t->data);
	c->errant_told[t->a] = ev.report->errant > 0;
	w_coord_event(w, t->b, &ev);
}

static struct w_timer *tell(struct world *w, uint32_t m, uint32_t c,
			    void (*arrives)(struct world *, struct w_timer *), const void *data, size_t n)
{
	struct w_timer *t = w_send(w, w->m[m].site, w->c[c].site, w_proc(W_COORD, c), arrives);
	t->a = m;
	t->b = c;
	t->data = dr_xcalloc(n);
	t->size = (uint32_t)n;
	memcpy(t->data, data, n);
	return t;
}

static void send_report(struct world *w, uint32_t mi)
{
	struct dr_report r;
	w_fill_report(w, mi, &r);
	for (uint32_t i = 0; i < w->coords; i++) {
		if (w->c[i].core != NULL)
			(void)tell(w, mi, i, report_arrives, &r, sizeof(r));
	}
}

void w_fill_report(struct world *w, uint32_t mi, struct dr_report *r)
{
	const struct w_member *m = &w->m[mi];
	const struct dr_agent_journal *j = &m->core.journal;
	*r = m->seen;
	r->service = w_spec_of(w, mi)->name;
	r->member = m->name;
	r->incarnation = m->life;
	r->managed = j->managed;
	r->role = j->role;
	r->epoch = j->epoch;
	r->order_seen = j->order_seen;
	r->server = m->core.server;
	r->crashed = m->core.crashed;
	r->guard_alive = m->guard;
	r->lease_left_ms = (uint32_t)dr_agent_lease_left_ms(&m->core);
	r->last = m->journal.done; /* what is on its way to the disk is told to nobody */
	r->promise_left_ms = (uint32_t)dr_agent_promise_left_ms(&m->core);
	r->errant = m->core.server == DR_SERVER_STANDBY ? m->server.errant : 0;
}

static void guard_deadline(struct world *w, struct w_timer *t)
{
	struct w_member *m = &w->m[t->a];
	if (DR_MUTANT(GUARD_ABSENT) || !m->guard || m->armed_until != t->u || m->server.state == DR_SERVER_STOPPED)
		return;
	w_say(w, "%s guard kills", w_member_name(w, t->a));
	w_server_set(w, t->a, DR_SERVER_STOPPED, true);
}

static void watch_deadline(struct world *w, uint32_t mi, uint64_t until)
{
	uint32_t margin = DR_MUTANT(GUARD_AT_DEADLINE) ? 0 : w->spec.timing.guard_margin_ms;
	uint64_t at = until > margin ? until - margin : 0;
	struct w_timer *t = w_after(w, w_until(w, &w->m[mi].clock, at, 0), guard_deadline);
	t->proc = w_proc(W_GUARD, mi);
	t->a = mi;
	t->u = until;
}

static void arm(struct world *w, uint32_t mi)
{
	struct w_member *m = &w->m[mi];
	m->armed_until = m->core.lease_until_ms;
	m->armed_epoch = m->core.lease_epoch;
	w_check_armed(w, mi);
	watch_deadline(w, mi, m->armed_until);
}

static void print_decision(struct world *w, uint32_t mi, const struct dr_agent_event *ev,
			   const struct dr_agent_decision *d)
{
	const char *name = w_member_name(w, mi);
	const struct dr_agent_journal *j = &w->m[mi].core.journal;
	if (d->fence != DR_FENCE_NONE && w->m[mi].server.state != DR_SERVER_STOPPED)
		w_say(w, "%s fences itself: %s", name, d->fence == DR_FENCE_KILL ? "kill" : "stop");
	if (d->cancel_op)
		w_say(w, "%s drops its op", name);
	if (d->start_op)
		w_say(w, "%s begins #%llu %s", name, (unsigned long long)j->order_seen,
		      dr_order_name(j->order.core.kind));
	if (d->start_standby)
		w_say(w, "%s starts its standby", name);
	bool told =
	    d->answer && d->answer_result.outcome != DR_OUTCOME_ACCEPTED && d->answer_result.number != 0;
	if (told)
		w_say(w, "%s answers #%llu %s%s%s position=%llu", name,
		      (unsigned long long)d->answer_result.number, dr_outcome_name(d->answer_result.outcome),
		      d->answer_result.code != DR_OK ? " " : "",
		      d->answer_result.code != DR_OK ? dr_err_name(d->answer_result.code) : "",
		      (unsigned long long)d->answer_result.position);
	(void)ev;
}

static void carry_rest(struct world *w, uint32_t mi, const struct dr_agent_decision *d)
{
	struct w_member *m = &w->m[mi];
	if (d->disarm)
		m->armed_until = m->armed_epoch = 0;
	if (d->arm)
		arm(w, mi);
	if (d->cancel_op)
		w_op_cancel(w, mi);
	if (d->fence != DR_FENCE_NONE)
		w_server_fence(w, mi, d->fence == DR_FENCE_STOP);
	if (d->ask)
		w_ask(w, mi, &d->question);
	if (d->promise)
		w_promise(w, mi, &d->promised);
	if (d->renew && leader_of(w, m) && !m->renewals_lost)
		(void)tell(w, mi, (uint32_t)m->leader, renewal_arrives, d, sizeof(*d));
	if (d->answer && d->answer_result.number != 0 && leader_of(w, m))
		(void)tell(w, mi, (uint32_t)m->leader, result_arrives, &d->answer_result,
			   sizeof(d->answer_result));
	if (d->report)
		send_report(w, mi);
	if (d->start_standby)
		w_server_start_standby(w, mi);
	if (d->start_op)
		w_op_start(w, mi);
	uint64_t in = d->wake_at_ms == 0 ? 1000 : w_until(w, &m->clock, d->wake_at_ms, 1);
	struct w_timer *t = w_after(w, in, wake);
	t->proc = w_proc(W_AGENT, mi);
	t->a = mi;
	t->b = m->life;
	t->u = m->wake_at = t->seq;
}

static void journal_written(struct world *w, const struct dr_agent_journal *j, uint32_t mi)
{
	struct w_member *m = &w->m[mi];
	m->journal = *j;
	w_wire_journal(w, &m->journal);
	m->late_stands = false;
	if (!DR_MUTANT(JOURNAL_NOT_FLUSHED))
		m->flushed = m->journal;
	w_check_journal(w, mi);
}

/* A decision that waits for its journal. */
struct held {
	struct dr_agent_journal journal;
	struct dr_agent_decision d;
};

static void held_goes_on(struct world *w, struct w_timer *t)
{
	const struct held *h = t->data;
	if (!w->m[t->a].alive || w->m[t->a].life != t->b)
		return;
	journal_written(w, &h->journal, t->a);
	if (!DR_MUTANT(JOURNAL_LAST))
		carry_rest(w, t->a, &h->d);
}

/* The journal comes first, and while it is written the agent does nothing else. */
static void carry_out(struct world *w, uint32_t mi, const struct dr_agent_decision *d)
{
	struct w_member *m = &w->m[mi];
	uint32_t proc = w_proc(W_AGENT, mi);
	uint32_t ms = d->journal && w->weather != NULL ? w->weather->disk(w->weather->arg, proc) : 0;
	if (d->journal && ms == 0)
		journal_written(w, &m->core.journal, mi);
	if (ms == 0 || DR_MUTANT(JOURNAL_LAST))
		carry_rest(w, mi, d);
	if (ms == 0)
		return;
	struct held *h = dr_xcalloc(sizeof(*h));
	h->journal = m->core.journal;
	h->d = *d;
	w_pause(w, proc, ms);
	struct w_timer *t = w_after_first(w, ms, held_goes_on); /* before all that waits for the agent */
	t->a = mi;
	t->b = m->life;
	t->data = h;
	t->size = sizeof(*h);
}

/* As agent/shell/member.c does when its journal cannot be written. */
static void not_journaled(struct world *w, uint32_t mi, const struct dr_agent_core *before,
			  const struct dr_agent_event *ev, struct dr_agent_decision *d)
{
	struct w_member *m = &w->m[mi];
	if (w->weather->stands(w->weather->arg, w_proc(W_AGENT, mi))) {
		m->late = m->core.journal;
		w_wire_journal(w, &m->late);
		m->late_stands = true;
	}
	w_say(w, "%s cannot write its journal", w_member_name(w, mi));
	dr_agent_not_journaled(&m->core, before, ev, d);
	d->journal = false;
}

void w_agent_event(struct world *w, uint32_t mi, struct dr_agent_event *ev)
{
	static struct dr_agent_core before;
	struct dr_agent_decision d;
	struct w_member *m = &w->m[mi];
	bool fails = w->weather != NULL && w->weather->fails != NULL &&
		     w->weather->fails(w->weather->arg, w_proc(W_AGENT, mi));
	ev->now_ms = w_clock(w, &m->clock);
	if (fails)
		before = m->core;
	uint64_t order_seen = m->core.journal.order_seen;
	dr_agent_core_step(&m->core, ev, &d);
	if (ev->kind == DR_AG_ORDER && m->core.journal.order_seen > order_seen)
		w_check_taken(w, mi);
	if (fails && d.journal)
		not_journaled(w, mi, &before, ev, &d);
	print_decision(w, mi, ev, &d);
	carry_out(w, mi, &d);
}

/* A fresh look at the server, and the report that follows from it. */
void w_agent_probe(struct world *w, uint32_t mi)
{
	struct w_member *m = &w->m[mi];
	if (!m->alive)
		return;
	memset(&m->seen, 0, sizeof(m->seen));
	w_server_see(w, mi, &m->seen);
	struct dr_agent_event ev = { .kind = DR_AG_SERVER,
				     .server = m->server.state,
				     .crashed = m->server.crashed && m->server.state == DR_SERVER_STOPPED };
	if (m->server.starting)
		ev.server = DR_SERVER_STARTING;
	w_agent_event(w, mi, &ev);
	send_report(w, mi);
}

static void probe(struct world *w, struct w_timer *t)
{
	struct w_member *m = &w->m[t->a];
	if (!m->alive || m->life != t->b)
		return;
	w_agent_probe(w, t->a);
	struct w_timer *next = w_after(w, w->spec.timing.probe_ms, probe);
	next->proc = t->proc;
	next->a = t->a;
	next->b = t->b;
}

void w_agent_start(struct world *w, uint32_t mi)
{
	struct w_member *m = &w->m[mi];
	if (m->alive)
		return;
	m->alive = true;
	m->life++;
	m->leader = -1;
	m->op = 0;
	m->wake_at = 0;
	if (m->late_stands)
		m->journal = m->flushed = m->late;
	m->late_stands = false;
	w_check_journal(w, mi);
	if (DR_MUTANT(LIST_NOT_JOURNALED))
		m->journal.list.members = 0;
	bool armed = m->armed_until != 0 && m->server.state != DR_SERVER_STOPPED;
	dr_agent_core_init(&m->core, &m->name, &m->journal, &w->spec.timing,
			   1000 * (uint64_t)m->life + 1000000 * (uint64_t)mi + 1, armed ? m->armed_epoch : 0,
			   armed ? m->armed_until : 0, w_clock(w, &m->clock));
	m->core.guard_alive = m->guard;
	struct dr_agent_event ev = { .kind = DR_AG_SERVER, .server = m->server.state };
	ev.crashed = m->server.state == DR_SERVER_STOPPED && m->journal.role == DR_ROLE_PRIMARY;
	w_agent_event(w, mi, &ev);
	struct w_timer *t = w_after(w, 10 + mi, probe);
	t->proc = w_proc(W_AGENT, mi);
	t->a = mi;
	t->b = m->life;
}

static void guard_restarts(struct world *w, struct w_timer *t)
{
	if (w->m[t->a].guard && w->m[t->a].life == t->b)
		w_agent_start(w, t->a);
}

void w_agent_kill(struct world *w, uint32_t mi)
{
	struct w_member *m = &w->m[mi];
	if (!m->alive)
		return;
	m->alive = false;
	m->life++;
	m->server.change++; /* what it had under way with the server is not carried on, but for what was sent to it */
	w_op_cancel(w, mi);
	m->server.starting = false;
	if (!m->guard)
		return;
	struct w_timer *t = w_after(w, 30, guard_restarts);
	t->proc = w_proc(W_GUARD, mi);
	t->a = mi;
	t->b = m->life;
}

void w_guard_kill(struct world *w, uint32_t mi)
{
	w->m[mi].guard = false;
	if (!w->m[mi].alive)
		return;
	struct dr_agent_event ev = { .kind = DR_AG_GUARD, .alive = false };
	w_agent_event(w, mi, &ev);
}

void w_guard_back(struct world *w, uint32_t mi)
{
	struct w_member *m = &w->m[mi];
	m->guard = true;
	m->guard_back_at = w->now;
	if (m->armed_until != 0) /* what the dead one was armed with stands in shared memory */
		watch_deadline(w, mi, m->armed_until);
	if (m->alive) {
		struct dr_agent_event ev = { .kind = DR_AG_GUARD, .alive = true };
		w_agent_event(w, mi, &ev);
	} else {
		w_agent_start(w, mi);
	}
}
