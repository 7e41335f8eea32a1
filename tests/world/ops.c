/* ops.c -- what an agent's orders do to the simulated server, each looked at every few milliseconds. */
#include "tests/world/world.h"

#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"

enum { POLL_MS = 10, BATCH = 64, PROMOTE_MS = 30 };
enum progress { GOES_ON, DONE, FAILED };

struct op {
	struct world *w;
	uint32_t mi, target;
	struct w_server *s, *to; /* to: the target's server; NULL */
	const struct dr_order_core *o;
	uint64_t age; /* since it began */
	struct dr_order_result *r;
};

static bool target_up(const struct op *op)
{
	if (op->to == NULL)
		return false;
	uint32_t a = op->w->m[op->mi].site;
	uint32_t b = op->w->m[op->target].site;
	return (op->to->state == DR_SERVER_PRIMARY || op->to->state == DR_SERVER_STANDBY) &&
	       w_reaches(op->w, a, b) && w_reaches(op->w, b, a);
}

static bool is_standby(struct op *op)
{
	if (op->s->state == DR_SERVER_STOPPED)
		w_server_start_standby(op->w, op->mi);
	return op->s->state == DR_SERVER_STANDBY;
}

static void seen(struct op *op)
{
	op->r->position = w_position(op->s);
	op->r->timeline = op->s->timeline;
	op->r->system_id = w_system_id(op->s);
}

static enum progress fenced(struct op *op)
{
	if (op->s->state == DR_SERVER_STOPPED && !op->s->starting) {
		if (op->o->clean && !op->s->crashed)
			seen(op);
		return DONE;
	}
	w_server_stop(op->w, op->mi, op->o->clean);
	return GOES_ON;
}

static enum progress frozen(struct op *op)
{
	if (op->s->state == DR_SERVER_PRIMARY)
		return FAILED;
	if (!DR_MUTANT(FREEZE_SKIPPED)) {
		op->s->upstream = DR_MEMBER_NONE;
		op->s->connected = op->s->acks = false;
	}
	if (!is_standby(op))
		return GOES_ON;
	op->r->acked = true;
	seen(op);
	return DONE;
}

static enum progress caught_up(struct op *op)
{
	if (!target_up(op) || !is_standby(op) || w_common(op->s, op->to) != op->s->n)
		return GOES_ON;
	for (uint32_t i = 0; i < BATCH && op->s->n < op->to->n; i++, op->s->n++)
		op->s->wal[op->s->n] = op->to->wal[op->s->n];
	if (w_position(op->s) < op->o->position)
		return GOES_ON;
	if (op->s->timeline < op->to->timeline)
		op->s->timeline = op->to->timeline; /* it has followed it there */
	op->s->acks = false;
	op->r->acked = true;
	seen(op);
	return DONE;
}

static dr_member_set set_of(const struct world *w, const struct dr_order *o)
{
	dr_member_set set = 0;
	for (uint32_t i = 0; i < o->sync_members; i++) {
		uint32_t m = w_member_find(w, o->sync_member[i].s);
		if (m < w->members)
			set = dr_set_with(set, w->m[m].ix);
	}
	return set;
}

static void set_sync(struct op *op)
{
	const struct dr_order *o = &op->w->m[op->mi].core.journal.order;
	op->s->set = set_of(op->w, o);
	op->s->k = o->core.k;
}

static void promote(struct world *w, uint32_t mi, uint64_t epoch)
{
	struct w_server *s = &w->m[mi].server;
	s->upstream = DR_MEMBER_NONE;
	s->connected = s->acks = false;
	s->timeline++;
	s->acked = s->n;
	s->epoch = epoch;
	w_server_set(w, mi, DR_SERVER_PRIMARY, false);
	w_promoted(w, mi);
}

static void promotion_arrives(struct world *w, struct w_timer *t)
{
	struct w_server *s = &w->m[t->a].server;
	uint64_t stop_at = s->stop_at;
	if (s->promotion.epoch == 0 || s->promotion.left != t->b || s->state != DR_SERVER_STANDBY)
		return;
	if (w->m[t->a].mute[DR_ORDER_WRITABLE]) {
		struct w_timer *again = w_after(w, POLL_MS, promotion_arrives);
		again->proc = t->proc;
		again->a = t->a;
		again->b = t->b;
		return;
	}
	w_say(w, "%s is promoted, though nobody waits for that any more", w_member_name(w, t->a));
	w_check_guarded(w, t->a);
	s->set = s->promotion.set;
	s->k = s->promotion.k;
	promote(w, t->a, s->promotion.epoch);
	s->stop_at = stop_at;
}

/* Whoever sent it has gone: a server carries out what it was sent all the same, in its time, unless it ends before. */
static void promotion_left(struct world *w, uint32_t mi)
{
	struct w_member *m = &w->m[mi];
	uint64_t age = w->now - m->op_began;
	uint64_t takes = m->server.slow_ms > PROMOTE_MS ? m->server.slow_ms : PROMOTE_MS;
	if (m->server.promotion.epoch == 0)
		return;
	struct w_timer *t = w_after(w, takes > age ? takes - age : 1, promotion_arrives);
	t->proc = w_proc(W_SERVER, mi);
	t->a = mi;
	t->b = ++m->server.promotion.left;
}

static void promotion_sent(struct op *op)
{
	const struct dr_order *o = &op->w->m[op->mi].core.journal.order;
	op->s->promotion.epoch = o->core.epoch;
	op->s->promotion.set = set_of(op->w, o);
	op->s->promotion.k = o->core.k;
}

static bool is_behind(const struct op *op)
{
	return w_position(op->s) < op->o->position;
}

static bool is_another(const struct op *op)
{
	return op->o->system_id != 0 && op->o->system_id != w_system_id(op->s);
}

static enum progress writable(struct op *op)
{
	if (op->s->state != DR_SERVER_PRIMARY) {
		if (!is_standby(op) || op->age < PROMOTE_MS)
			return GOES_ON;
		if (is_behind(op) || is_another(op)) {
			op->s->promotion.epoch = 0; /* it was not sent */
			op->r->code = DR_E_BEHIND;
			seen(op);
			return FAILED;
		}
		set_sync(op);
		promote(op->w, op->mi, op->o->epoch);
		w_check_leased(op->w, op->mi);
	}
	op->s->epoch = op->o->epoch;
	set_sync(op);
	seen(op);
	return DONE;
}

static enum progress following(struct op *op)
{
	if (op->s->state == DR_SERVER_PRIMARY)
		return FAILED;
	op->s->upstream = (uint8_t)op->target;
	if (!is_standby(op))
		return GOES_ON;
	if (op->s->connected) {
		op->s->acks = op->o->k != 0;
		op->r->acked = true;
		return DONE;
	}
	bool left = target_up(op) && w_common(op->s, op->to) != op->s->n;
	return left && op->age > 200 ? FAILED : GOES_ON;
}

/* In place, over the connection that stands: what is sent over it from now on counts. */
static enum progress acking(struct op *op)
{
	if (op->s->state == DR_SERVER_PRIMARY)
		return FAILED;
	if (op->o->k != 0 && !(op->s->connected && op->s->upstream == op->target))
		return GOES_ON;
	op->s->acks = op->o->k != 0;
	op->r->acked = true; /* these servers forget nothing that they received */
	return DONE;
}

/* Connections that its agent ends: they are made anew, and do not acknowledge. */
static void cut_off(struct op *op)
{
	for (uint32_t i = 0; i < op->w->members; i++) {
		struct w_server *s = &op->w->m[i].server;
		if (s->upstream == op->mi && s->state == DR_SERVER_STANDBY)
			s->connected = s->acks = false;
	}
}

static enum progress compared(struct op *op)
{
	if (!target_up(op))
		return GOES_ON;
	bool prefix = w_common(op->s, op->to) == op->s->n && op->s->timeline <= op->to->timeline;
	if (op->s->other_data != op->to->other_data)
		return FAILED; /* nobody overwrites what may be another service's only copy */
	op->r->divergence = prefix ? DR_DIVERGENCE_NONE : (enum dr_divergence)op->w->m[op->mi].divergence;
	return DONE;
}

static enum progress salvaged(struct op *op)
{
	if (op->age < 20)
		return GOES_ON;
	op->s->saved = op->s->n;
	return DONE;
}

static enum progress rewound(struct op *op)
{
	w_server_stop(op->w, op->mi, true);
	if (op->s->state != DR_SERVER_STOPPED || !target_up(op) || op->age < 60)
		return GOES_ON;
	op->s->n = w_common(op->s, op->to);
	op->s->timeline = op->to->timeline;
	if (op->w->m[op->mi].divergence == DR_DIVERGENCE_CLONE) {
		memcpy(op->s->wal, op->to->wal, op->to->n * sizeof(op->s->wal[0]));
		op->s->n = op->to->n;
	}
	return DONE;
}

static enum progress look(struct op *op)
{
	switch (op->o->kind) {
	case DR_ORDER_ADOPTED:
		op->s->epoch = op->o->epoch;
		return op->s->state == DR_SERVER_STOPPED ? FAILED : DONE;
	case DR_ORDER_FENCED:
		return fenced(op);
	case DR_ORDER_FROZEN:
		return frozen(op);
	case DR_ORDER_CAUGHT_UP:
		return caught_up(op);
	case DR_ORDER_WRITABLE:
		return writable(op);
	case DR_ORDER_FOLLOWING:
		return following(op);
	case DR_ORDER_SYNC_SET:
		if (op->s->state != DR_SERVER_PRIMARY)
			return FAILED;
		set_sync(op);
		if (op->o->clean)
			cut_off(op);
		return DONE;
	case DR_ORDER_ACKING:
		return acking(op);
	case DR_ORDER_COMPARED:
		return compared(op);
	case DR_ORDER_SALVAGED:
		return salvaged(op);
	case DR_ORDER_REWOUND:
		return rewound(op);
	case DR_ORDER_LISTED:
	case DR_ORDER_RELEASED:
		return DONE;
	case DR_ORDER_PREPARED:
		return op->age < 30 ? GOES_ON : DONE;
	default:
		return FAILED;
	}
}

static enum progress carry_on(struct op *op, struct w_member *m)
{
	enum dr_order_kind kind = op->o->kind;
	if (m->fail[kind] > 0) {
		m->fail[kind]--;
		return FAILED;
	}
	if (kind == DR_ORDER_WRITABLE && op->s->state == DR_SERVER_STANDBY && !is_behind(op) && !is_another(op))
		promotion_sent(op);
	/* A slow one is stopped slowly, from the first moment on. */
	bool in_time = op->age >= m->server.slow_ms || kind == DR_ORDER_FENCED;
	return !m->mute[kind] && in_time ? look(op) : GOES_ON;
}

static void poll(struct world *w, struct w_timer *t)
{
	struct w_member *m = &w->m[t->a];
	if (!m->alive || m->op != t->b)
		return;
	const struct dr_order_core *o = &m->core.journal.order.core;
	struct dr_order_result r = { .number = o->number, .epoch = o->epoch };
	struct op op = { .w = w,
			 .mi = t->a,
			 .target = w_member_at(&w->s[m->service], o->target),
			 .s = &m->server,
			 .o = o,
			 .r = &r,
			 .age = w->now - m->op_began };
	if (op.target < w->members)
		op.to = &w->m[op.target].server;
	enum progress p = carry_on(&op, m);
	if (p == GOES_ON && op.age >= dr_order_limit_ms(o->kind)) {
		p = FAILED;
		r.code = DR_E_TIMEOUT;
	}
	if (p == GOES_ON) {
		struct w_timer *again = w_after(w, POLL_MS, poll);
		again->proc = t->proc;
		again->a = t->a;
		again->b = t->b;
		return;
	}
	w_op_cancel(w, t->a);
	r.outcome = p == DONE ? DR_OUTCOME_DONE : DR_OUTCOME_FAILED;
	if (p == FAILED && r.code == DR_OK)
		r.code = DR_E_FAILED;
	memset(&m->seen, 0, sizeof(m->seen));
	w_server_see(w, t->a, &m->seen);
	struct dr_agent_event ev = { .kind = DR_AG_OP_ENDED, .result = &r };
	w_agent_event(w, t->a, &ev);
}

void w_op_start(struct world *w, uint32_t mi)
{
	static uint32_t last;
	struct w_member *m = &w->m[mi];
	uint64_t number = m->core.journal.order_seen;
	if (number <= m->told_done)
		w_violation(w, "%s carries out order #%llu again, which it has said is done", w_member_name(w, mi),
			    (unsigned long long)number);
	if (m->journal.order_seen != number)
		w_violation(w, "%s carries out order #%llu, which is not in its journal", w_member_name(w, mi),
			    (unsigned long long)number);
	m->op = ++last;
	m->op_began = w->now;
	struct w_timer *t = w_after(w, 5, poll);
	t->proc = w_proc(W_AGENT, mi);
	t->a = mi;
	t->b = m->op;
}

void w_op_cancel(struct world *w, uint32_t mi)
{
	if (w->m[mi].op != 0)
		promotion_left(w, mi);
	w->m[mi].op = 0;
}
