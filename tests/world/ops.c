/* ops.c -- what an agent's orders do to the simulated server, each looked at every few milliseconds. */
#include "tests/world/world.h"

#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"

enum { POLL_MS = 10, BATCH = 64, PROMOTE_MS = 30, STUCK_LOOKS = 3 };
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
	op->r->position = w_position(op->w, op->mi);
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
	if (!is_standby(op) || w_unapplied(op->w, op->mi) > 0)
		return GOES_ON;
	op->r->acked = op->s->told;
	seen(op);
	return DONE;
}

static enum progress caught_up(struct op *op)
{
	if (!target_up(op) || !is_standby(op) || w_common(op->s, op->to) != op->s->n)
		return GOES_ON;
	for (uint32_t i = 0; i < BATCH && op->s->n < op->to->n; i++, op->s->n++)
		op->s->wal[op->s->n] = op->to->wal[op->s->n];
	if (w_position(op->w, op->mi) < op->o->position || w_unapplied(op->w, op->mi) > 0)
		return GOES_ON;
	if (op->s->timeline < op->to->timeline)
		op->s->timeline = op->to->timeline; /* it has followed it there */
	op->s->acks = op->s->told = false;
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
	op->s->undone = false;
}

static void promote(struct world *w, uint32_t mi, uint64_t epoch)
{
	struct w_server *s = &w->m[mi].server;
	s->upstream = DR_MEMBER_NONE;
	s->connected = s->acks = s->told = false;
	s->released = s->errant = 0; /* what it wrote for itself all have from now on */
	s->timeline = w_habits_of(w, mi)->signs ? (uint32_t)epoch : s->timeline + 1;
	s->signed_at = s->n;
	s->unplaced = false;
	s->applied = s->acked = s->n;
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
	s->undone = false;
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
	return w_position(op->w, op->mi) < op->o->position;
}

static bool is_another(const struct op *op)
{
	return op->o->system_id != 0 && op->o->system_id != w_system_id(op->s);
}

static enum progress writable(struct op *op)
{
	if (op->s->state != DR_SERVER_PRIMARY) {
		if (!is_standby(op) || op->age < PROMOTE_MS || w_unapplied(op->w, op->mi) > 0)
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

/* What it waits for is so many writes: those that were there when this op looked first. */
static void note_told(struct op *op, uint32_t until)
{
	struct w_server *s = op->s;
	uint32_t number = op->w->m[op->mi].op;
	if (s->told_op == number)
		return;
	s->told_op = number;
	s->told_until = until;
	s->looks = 0;
}

/* A group of commits may wait for what was received before, which nobody will ask for any more.  Where the primary stands still
 * and all that it has is here, that wait is ended: all of the group goes on. */
static bool ends_waits(struct op *op)
{
	struct w_server *s = op->s, *to = op->to;
	bool waits = to->state == DR_SERVER_PRIMARY && to->acked < to->n && to->k > 0 && w_habits_of(op->w, op->mi)->asks_once;
	bool all_here = s->n >= to->n;
	note_told(op, to->n);
	s->looks = waits && all_here && s->look_at == to->n ? s->looks + 1 : 0;
	s->look_at = to->n;
	if (s->looks < STUCK_LOOKS)
		return waits;
	w_say(op->w, "%s ends the wait of %u commits of %s", w_member_name(op->w, op->mi), to->n - to->acked,
	      w_member_name(op->w, op->target));
	to->released = to->n;
	return true;
}

/* From now on it acknowledges what comes: over a connection that was made for that. */
static enum progress begin_to_ack(struct op *op)
{
	op->r->acked = op->s->told;
	if (!op->s->acks || !op->s->told)
		w_server_acks(op->w, op->mi);
	return ends_waits(op) ? GOES_ON : DONE;
}

/* What it has acknowledged it must not forget in a restart from now on: that would not be seen any more. */
static enum progress end_to_ack(struct op *op)
{
	note_told(op, op->s->n);
	op->s->acks = false;
	bool applied = op->s->applied >= op->s->told_until || w_unapplied(op->w, op->mi) == 0;
	if (op->s->told && !applied)
		return GOES_ON;
	op->r->acked = op->s->told;
	op->s->told = false;
	return DONE;
}

/* A kind that fetches all: it would lose what upstream may not have, which a rejoin saves first. */
static bool would_lose(const struct op *op)
{
	const struct w_server *s = op->s;
	if (!w_habits_of(op->w, op->mi)->copies || s->n == 0 || !target_up(op) || s->follow_epoch == op->o->epoch)
		return false;
	if (s->other_data != op->to->other_data)
		return true;
	if (op->o->clean)
		return false; /* the order says that whom it follows has all of it */
	bool its_own = op->to->state == DR_SERVER_PRIMARY && op->to->timeline == s->timeline; /* it followed nobody else since */
	return s->unplaced ? !its_own : w_common(s, op->to) != s->n;
}

static enum progress following(struct op *op)
{
	if (op->s->state == DR_SERVER_PRIMARY || would_lose(op))
		return FAILED;
	if (w_habits_of(op->w, op->mi)->copies && op->s->n > 0 && !target_up(op))
		return GOES_ON; /* what that one has is to be seen first */
	if (op->s->upstream != op->target) {
		op->s->connected = op->s->acks = false;
		op->s->ack_next = op->o->k != 0;
	}
	op->s->upstream = (uint8_t)op->target;
	op->s->follow_epoch = op->o->epoch;
	if (!is_standby(op))
		return GOES_ON;
	if (op->s->connected)
		return op->o->k != 0 ? begin_to_ack(op) : end_to_ack(op);
	bool left = target_up(op) && w_common(op->s, op->to) != op->s->n && !w_habits_of(op->w, op->mi)->copies;
	return left && op->age > 200 ? FAILED : GOES_ON;
}

/* It may have forgotten what it acknowledged: it has all again that the primary had when it was told. */
static bool has_all_again(struct op *op)
{
	note_told(op, op->to->n);
	return op->s->n >= op->s->told_until || DR_MUTANT(TOLD_BEHIND);
}

static enum progress acking(struct op *op)
{
	if (op->s->state == DR_SERVER_PRIMARY)
		return FAILED;
	if (op->o->k == 0)
		return end_to_ack(op);
	bool follows = op->s->connected && op->s->upstream == op->target && target_up(op);
	if (!follows || op->to->state != DR_SERVER_PRIMARY)
		return GOES_ON;
	if (!(op->s->acks && op->s->told) && !has_all_again(op))
		return GOES_ON;
	return begin_to_ack(op);
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
	const struct w_habits *k = w_habits_of(op->w, op->mi);
	bool prefix = w_common(op->s, op->to) == op->s->n && op->s->timeline <= op->to->timeline;
	op->r->system_id = w_system_id(op->s);
	if (op->s->other_data != op->to->other_data)
		return FAILED; /* nobody overwrites what may be another service's only copy */
	/* Where it does not know how far it is, it is a part only of whom alone it ever followed. */
	bool shown = !op->s->unplaced || op->s->n == 0 || op->s->timeline == op->to->timeline;
	uint32_t else_ = k->clones ? DR_DIVERGENCE_CLONE : op->w->m[op->mi].divergence;
	op->r->divergence = prefix && shown ? DR_DIVERGENCE_NONE : (enum dr_divergence)else_;
	return DONE;
}

static enum progress salvaged(struct op *op)
{
	if (op->age < 20)
		return GOES_ON;
	if (op->to != NULL && op->s->other_data != op->to->other_data)
		return FAILED; /* what is there now is not what is to be saved */
	if (!DR_MUTANT(SALVAGE_SKIPPED))
		op->s->saved = op->s->n;
	return DONE;
}

static enum progress rewound(struct op *op)
{
	const struct w_habits *k = w_habits_of(op->w, op->mi);
	w_server_stop(op->w, op->mi, true);
	if (op->s->state != DR_SERVER_STOPPED || !target_up(op) || op->age < 60)
		return GOES_ON;
	w_check_overwritten(op->w, op->mi, op->to);
	op->s->n = k->copies ? 0 : w_common(op->s, op->to); /* moved aside: it fetches all when it follows */
	op->s->timeline = k->copies ? 1 : op->to->timeline;
	op->s->signed_at = k->copies ? 0 : op->to->signed_at;
	if (!k->copies && (k->clones || op->w->m[op->mi].divergence == DR_DIVERGENCE_CLONE)) {
		memcpy(op->s->wal, op->to->wal, op->to->n * sizeof(op->s->wal[0]));
		op->s->n = op->to->n;
	}
	op->s->applied = op->s->n;
	op->s->had = 0;
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
