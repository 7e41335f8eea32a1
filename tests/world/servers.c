/* servers.c -- the simulated database servers: lists of numbered writes, copied from upstream, acknowledged. */
#include "tests/world/world.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"

enum { STOP_MS = 15, KILL_MS = 3, START_MS = 40 };
enum {
	STALL_MS = 2000, /* a connection that acknowledges outlives a cut as long as that: nobody has noticed */
	GROUP_ROWS = 4,  /* commits that wait together; behind them none can be written */
	FEW_MS = 2000    /* a brake looks once a second, in whole seconds (docs/decisions/0017) */
};

uint64_t w_system_id(const struct w_server *s)
{
	return 7 + s->other_data;
}

/* How many writes from the first on both have alike. */
uint32_t w_common(const struct w_server *a, const struct w_server *b)
{
	uint32_t n = a->n < b->n ? a->n : b->n;
	uint32_t i = 0;
	/* Histories that part stay parted: look from the end when the last common one is alike. */
	if (n > 0 && a->wal[n - 1] == b->wal[n - 1])
		return n;
	while (i < n && a->wal[i] == b->wal[i])
		i++;
	return i;
}

void w_server_init(struct world *w, uint32_t mi, bool primary)
{
	struct w_server *s = &w->m[mi].server;
	s->wal = dr_xcalloc(W_WAL_MAX * sizeof(s->wal[0]));
	s->state = primary ? DR_SERVER_PRIMARY : DR_SERVER_STANDBY;
	s->timeline = 1;
	s->upstream = primary ? DR_MEMBER_NONE : (uint8_t)w_service_of(w, mi)->first;
}

static void tell_agent(struct world *w, struct w_timer *t)
{
	if (w->m[t->a].alive)
		w_agent_probe(w, t->a);
}

/* The connections of those that follow it end with it, also of one that is paused and does not see it. */
static void hang_up(struct world *w, uint32_t mi)
{
	for (uint32_t i = 0; i < w->members; i++)
		w->m[i].server.acks = w->m[i].server.acks && w->m[i].server.upstream != mi;
}

void w_server_set(struct world *w, uint32_t mi, enum dr_server_state state, bool crashed)
{
	struct w_server *s = &w->m[mi].server;
	w_say(w, "%s server %s -> %s%s", w_member_name(w, mi), dr_server_state_name(s->state),
	      dr_server_state_name(state), crashed ? " (crashed)" : "");
	enum dr_server_state was = s->state;
	s->change++;
	s->stop_at = 0;
	s->starting = false;
	s->promotion.epoch = 0;
	s->state = state;
	s->crashed = crashed;
	if (state == DR_SERVER_STOPPED) {
		s->connected = s->acks = s->told = s->ack_next = false;
		hang_up(w, mi);
		w_kind_ends(w, mi, was);
	} else if (was == DR_SERVER_STOPPED) {
		w_kind_starts(w, mi);
	}
	struct w_timer *t = w_after(w, 2, tell_agent);
	t->proc = w_proc(W_AGENT, mi);
	t->a = mi;
}

static void stopped(struct world *w, struct w_timer *t)
{
	struct w_server *s = &w->m[t->a].server;
	if (s->stop_at == t->at)
		w_server_set(w, t->a, DR_SERVER_STOPPED, false);
}

static void stop_within(struct world *w, uint32_t mi, bool in_order, uint64_t ms)
{
	struct w_server *s = &w->m[mi].server;
	uint64_t at = w->now + ms;
	if (s->state == DR_SERVER_STOPPED && !s->starting)
		return;
	if (s->stop_at != 0 && s->stop_at <= at)
		return;
	s->starting = false;
	s->change++;
	s->stop_at = at;
	s->ends_in_order = in_order;
	/* A server that is asked to end lets go of all that waits: such a one is killed (adapters/mysql/README.md). */
	if (in_order && DR_MUTANT(WAITS_LET_GO))
		s->released = s->n;
	w_after(w, at - w->now, stopped)->a = mi;
}

void w_server_stop(struct world *w, uint32_t mi, bool in_order)
{
	stop_within(w, mi, in_order, in_order ? STOP_MS + w->m[mi].server.slow_ms : KILL_MS);
}

void w_server_fence(struct world *w, uint32_t mi, bool in_order)
{
	uint64_t ms = STOP_MS + w->m[mi].server.slow_ms, most = w->m[mi].core.timing.fence_budget_ms / 2 + KILL_MS;
	stop_within(w, mi, in_order, !in_order ? KILL_MS : ms < most ? ms : most);
}

static void started(struct world *w, struct w_timer *t)
{
	struct w_server *s = &w->m[t->a].server;
	bool wrong = w_habits_of(w, t->a)->alone && DR_MUTANT(EMPTY_AS_PRIMARY);
	if (s->starting && s->change == t->b)
		w_server_set(w, t->a, wrong ? DR_SERVER_PRIMARY : DR_SERVER_STANDBY, false);
}

/* A server that was stopped by us comes up as a standby of whom it followed last. */
void w_server_start_standby(struct world *w, uint32_t mi)
{
	struct w_server *s = &w->m[mi].server;
	if (s->state != DR_SERVER_STOPPED || s->starting)
		return;
	s->starting = true;
	struct w_timer *t = w_after(w, START_MS + s->slow_ms, started);
	t->a = mi;
	t->b = s->change;
}

static bool both_ways(const struct world *w, uint32_t a, uint32_t b)
{
	return w_reaches(w, w->m[a].site, w->m[b].site) && w_reaches(w, w->m[b].site, w->m[a].site);
}

static bool up(const struct w_server *s)
{
	return s->state == DR_SERVER_PRIMARY || s->state == DR_SERVER_STANDBY;
}

static bool gives(const struct world *w, uint32_t mi)
{
	const struct w_server *s = &w->m[mi].server;
	return w_habits_of(w, mi)->alone ? s->state == DR_SERVER_PRIMARY : up(s);
}

/* Nothing comes through to one that acknowledges, and its connection stands: healed soon, it goes on to acknowledge. */
static bool stalls(struct world *w, uint32_t mi)
{
	struct w_server *s = &w->m[mi].server;
	if (both_ways(w, mi, s->upstream)) {
		s->stalled_ms = 0;
		return false;
	}
	if (s->stalled_ms == 0)
		s->stalled_ms = w->now;
	return s->connected && s->acks && w->now - s->stalled_ms < STALL_MS;
}

void w_server_acks(struct world *w, uint32_t mi)
{
	struct w_server *s = &w->m[mi].server;
	s->acks = s->told = true;
	s->ack_next = false;
	s->acks_from = w_habits_of(w, mi)->asks_once ? s->n : 0;
}

static void receive(struct world *w, uint32_t mi)
{
	struct w_server *s = &w->m[mi].server;
	struct w_server *from = s->upstream < w->members ? &w->m[s->upstream].server : NULL;
	bool there = s->state == DR_SERVER_STANDBY && from != NULL && gives(w, s->upstream);
	if (there && stalls(w, mi))
		return;
	if (!there || !both_ways(w, mi, s->upstream)) {
		s->connected = s->acks = false; /* made anew, it does not acknowledge before it is told to */
		s->copy_at = 0;
		return;
	}
	if (!s->connected || from->n < s->n)
		s->connected = from->timeline >= s->timeline && !s->unplaced && w_common(s, from) == s->n &&
			       s->other_data == from->other_data;
	if (!s->connected && w_habits_of(w, mi)->copies && !s->held && s->other_data == from->other_data)
		s->connected = w_kind_fetches_all(w, mi, from);
	if (s->connected && s->ack_next)
		w_server_acks(w, mi);
	if (!s->connected || s->held || w_paused(w, w_proc(W_SERVER, s->upstream)))
		return;
	memcpy(s->wal + s->n, from->wal + s->n, (from->n - s->n) * sizeof(s->wal[0]));
	s->n = from->n;
	s->timeline = from->timeline;
	s->signed_at = from->signed_at;
}

static bool acknowledged(struct world *w, uint32_t mi, uint32_t at)
{
	const struct w_server *s = &w->m[mi].server;
	const struct w_service *of = &w->s[w->m[mi].service];
	bool asks = dr_kind_asks_to_ack(w_spec_of(w, mi)->kind);
	uint32_t have = 0;
	for (dr_member_ix i = 0; i < of->members; i++) {
		const struct w_server *o = &w->m[of->first + i].server;
		bool counts = asks ? o->acks && at >= o->acks_from : dr_set_has(s->set, i);
		if (counts && o->connected && o->upstream == mi && o->n > at)
			have++;
	}
	return have >= s->k || (!asks && s->set == 0);
}

void w_server_undo_sync(struct world *w, uint32_t mi)
{
	struct w_server *s = &w->m[mi].server;
	if (s->state != DR_SERVER_PRIMARY || s->k == 0)
		return;
	w_say(w, "somebody lets %s wait for nobody", w_member_name(w, mi));
	s->set = 0;
	s->k = 0;
	s->undone = true;
}

/* What it let go before anybody could know is nobody's promise; once the log says that all rests on it alone, it is. */
static bool promised(struct world *w, uint32_t mi)
{
	return !w->m[mi].server.undone || w_log_rests_on(w, mi);
}

static void acknowledge(struct world *w, uint32_t mi)
{
	struct w_server *s = &w->m[mi].server;
	struct w_service *of = w_service_of(w, mi);
	if (w->now < s->ack_at && s->slow_ms != 0)
		return;
	s->ack_at = w->now + s->slow_ms;
	while (s->acked < s->n && (s->acked < s->ready || s->acked < s->released || acknowledged(w, mi, s->acked))) {
		bool zombie = s->acked < s->ready || w_nobody_acts(w, mi);
		bool counts = promised(w, mi);
		if (!zombie && counts)
			w_check_acked(w, mi, s->acked);
		uint32_t id = s->wal[s->acked++];
		of->acked[id] = counts ? (uint8_t)(mi + 1) : 0;
		of->seen.row_epoch[id] = s->epoch;
		if (!zombie && counts)
			of->seen.acked[of->seen.acked_n++] = id;
		of->acked_total++;
		if (s->epoch < of->acked_epoch && zombie) {
			w->zombies++;
			continue;
		}
		if (s->epoch < of->acked_epoch && !w->two_allowed)
			w_violation(w, "%s acknowledges at epoch %llu after epoch %llu did",
				    w_member_name(w, mi), (unsigned long long)s->epoch,
				    (unsigned long long)of->acked_epoch);
		if (s->epoch == of->acked_epoch && of->seen.acked_by != 0 && of->seen.acked_by != mi + 1 && !zombie &&
		    !w->two_allowed)
			w_violation(w, "two acknowledge at epoch %llu", (unsigned long long)s->epoch);
		of->acked_epoch = s->epoch;
		of->seen.acked_by = mi + 1;
		if (of->acked_at != 0 && w->now - of->acked_at > of->acked_gap)
			of->acked_gap = w->now - of->acked_at;
		of->acked_at = w->now;
	}
}

/* `bounded`: it waits for nobody, and refuses writes once too few were near for a while. */
static void brake(struct world *w, uint32_t mi)
{
	struct w_server *s = &w->m[mi].server;
	const struct w_service *of = w_service_of(w, mi);
	uint32_t near = 0;
	for (dr_member_ix i = 0; i < of->members; i++) {
		const struct w_server *o = &w->m[of->first + i].server;
		near += o->connected && o->upstream == mi && !o->held ? 1u : 0u;
	}
	bool few = w_spec_of(w, mi)->durability == DR_DURABILITY_BOUNDED && near < s->k;
	s->few_ms = !few ? 0 : s->few_ms == 0 ? w->now : s->few_ms;
	s->too_few = few && w->now - s->few_ms >= FEW_MS;
}

static bool takes_no_more(struct world *w, uint32_t mi)
{
	const struct w_server *s = &w->m[mi].server;
	bool asks = dr_kind_asks_to_ack(w_spec_of(w, mi)->kind);
	bool full = asks && s->k > 0 && s->n - s->acked >= GROUP_ROWS;
	return full || s->too_few || s->acks_blocked || w_service_of(w, mi)->held || w_paused(w, w_proc(W_SERVER, mi));
}

void w_replicate(struct world *w)
{
	for (uint32_t i = 0; i < w->members; i++) {
		struct w_server *s = &w->m[i].server;
		brake(w, i);
		bool idle = takes_no_more(w, i);
		if (s->state != DR_SERVER_PRIMARY || w->now % W_WRITE_MS != 0 || idle)
			continue;
		struct w_service *of = w_service_of(w, i);
		dr_assert(s->n < W_WAL_MAX && of->next_write < W_WAL_MAX);
		s->wal[s->n++] = of->next_write++;
	}
	for (uint32_t i = 0; i < w->members; i++) {
		if (w_paused(w, w_proc(W_SERVER, i)))
			continue;
		w_kind_applies(w, i);
		receive(w, i);
	}
	for (uint32_t i = 0; i < w->members; i++) {
		if (w->m[i].server.state == DR_SERVER_PRIMARY && !w_paused(w, w_proc(W_SERVER, i)))
			acknowledge(w, i);
	}
	for (uint32_t i = 0; w->now % W_READ_MS == 0 && i < w->members; i++)
		w_read(w, i);
}

/* What a server that is paused now had already heard from its standbys: it acknowledges that when it goes on,
 * whatever has happened since. */
void w_server_paused(struct world *w, uint32_t mi)
{
	struct w_server *s = &w->m[mi].server;
	s->ready = s->acked;
	while (s->state == DR_SERVER_PRIMARY && s->ready < s->n && acknowledged(w, mi, s->ready))
		s->ready++;
}

void w_server_see(struct world *w, uint32_t mi, struct dr_report *r)
{
	const struct w_server *s = &w->m[mi].server;
	const struct w_service *of = &w->s[w->m[mi].service];
	if (!up(s))
		return;
	r->system_id = w_system_id(s);
	r->timeline = s->timeline;
	r->received = r->replayed = w_position(w, mi);
	r->replayed -= (uint64_t)w_unapplied(w, mi) * w_habits_of(w, mi)->unit;
	r->receiving = s->connected;
	if (s->connected)
		r->upstream_at = w->m[s->upstream].address;
	r->sync_k = s->k;
	r->acks = s->acks && s->connected;
	for (dr_member_ix i = 0; i < of->members; i++) {
		const struct w_server *o = &w->m[of->first + i].server;
		if (o->upstream != mi || !o->connected)
			continue;
		r->peer[r->peers].member = w->m[of->first + i].name;
		r->peer[r->peers].streaming = true;
		r->peer[r->peers].counts_for_sync = dr_set_has(s->set, i);
		r->peer[r->peers++].flushed = w_position(w, of->first + i);
	}
}
