/* kinds.c -- what servers of the several kinds do differently; one row is one kind.
 *
 * PostgreSQL keeps what it has received.  MySQL and MariaDB acknowledge on receipt and apply later; MariaDB, started again, has
 * forgotten what was not applied.  A Redis that is started is nobody's replica, does not know how far it is, and fetches all
 * anew from whoever it is told to follow; what of its data is on disk is the seed's to say. */
#include "tests/world/world.h"

#include <string.h>

#include "base/mutant.h"

enum { APPLY_ROWS = 40, COPY_MS = 60, MARK_ROWS = 12 }; /* a mark: the write probe leaves one so often */

static const struct w_habits kinds[DR_KIND_COUNT] = {
	[DR_KIND_POSTGRES] = { .unit = W_POSITION },
	[DR_KIND_MARIADB] = { .unit = 1, .apply_ms = 100, .forgets = true, .asks_once = true, .signs = true, .clones = true },
	[DR_KIND_MYSQL] = { .unit = 1, .apply_ms = 100, .signs = true, .clones = true },
	[DR_KIND_REDIS] = { .unit = W_POSITION, .signs = true, .alone = true, .loses_place = true, .copies = true,
			    .clones = true },
};

const struct w_habits *w_habits_of(const struct world *w, uint32_t m)
{
	return &kinds[w->service[w->m[m].service].kind];
}

uint32_t w_unapplied(const struct world *w, uint32_t m)
{
	const struct w_server *s = &w->m[m].server;
	bool all = w_habits_of(w, m)->apply_ms == 0 || s->state == DR_SERVER_PRIMARY || s->applied >= s->n;
	return all ? 0 : s->n - s->applied;
}

uint32_t w_sure_of(const struct world *w, uint32_t m)
{
	const struct w_server *s = &w->m[m].server;
	uint32_t marked = s->n / MARK_ROWS * MARK_ROWS;
	(void)w;
	if (!s->unplaced)
		return s->n;
	return marked > s->signed_at ? marked : s->signed_at < s->n ? s->signed_at : s->n;
}

uint64_t w_position(const struct world *w, uint32_t m)
{
	const struct w_server *s = &w->m[m].server;
	uint32_t rows = w_sure_of(w, m);
	if (DR_MUTANT(RECEIVED_TRUSTED) && s->state == DR_SERVER_STANDBY && rows < s->had)
		rows = s->had;
	return ((uint64_t)rows + 1) * w_habits_of(w, m)->unit;
}

static void lose_newest(struct w_server *s, uint32_t rows)
{
	s->n -= rows < s->n ? rows : s->n;
	if (s->applied > s->n)
		s->applied = s->n;
	if (s->acked > s->n)
		s->acked = s->n;
	if (s->ready > s->n)
		s->ready = s->n;
	if (s->signed_at > s->n || s->n == 0) { /* the mark is gone, too: it is of an older primary's time, nobody knows whose */
		s->timeline = 1;
		s->signed_at = 0;
	}
}

void w_kind_ends(struct world *w, uint32_t m, enum dr_server_state was)
{
	struct w_server *s = &w->m[m].server;
	bool in_order = s->ends_in_order && !s->crashed;
	if (was == DR_SERVER_PRIMARY)
		s->applied = s->n; /* what it wrote itself */
	if (w_habits_of(w, m)->loses_place && !(in_order && was == DR_SERVER_PRIMARY))
		s->unplaced = true;
	if (!in_order)
		lose_newest(s, w_service_of(w, m)->crash_loses);
	s->ends_in_order = false;
	s->copy_at = 0;
}

static void forget(struct world *w, uint32_t m)
{
	struct w_server *s = &w->m[m].server;
	if (s->applied < s->n)
		w_say(w, "%s has forgotten %u writes, which it had received and not applied", w_member_name(w, m),
		      s->n - s->applied);
	if (s->had < s->n)
		s->had = s->n;
	s->n = s->applied;
}

void w_kind_power_cut(struct world *w, uint32_t m)
{
	if (w_habits_of(w, m)->apply_ms != 0)
		forget(w, m);
	lose_newest(&w->m[m].server, w_service_of(w, m)->power_loses);
}

void w_kind_starts(struct world *w, uint32_t m)
{
	struct w_server *s = &w->m[m].server;
	const struct w_habits *k = w_habits_of(w, m);
	if (k->forgets)
		forget(w, m);
	if (k->alone)
		s->upstream = DR_MEMBER_NONE;
}

void w_kind_applies(struct world *w, uint32_t m)
{
	struct w_server *s = &w->m[m].server;
	const struct w_habits *k = w_habits_of(w, m);
	if (k->apply_ms == 0 || s->state == DR_SERVER_PRIMARY)
		s->applied = s->n;
	else if (s->state == DR_SERVER_STANDBY && w->now % k->apply_ms == 0 && s->slow_ms == 0)
		s->applied = s->n - s->applied > APPLY_ROWS ? s->applied + APPLY_ROWS : s->n;
	if (s->had < s->n)
		s->had = 0;
}

/* As a replica does whose upstream cannot go on from where it is: it takes a whole copy, and its own data is gone then. */
bool w_kind_fetches_all(struct world *w, uint32_t m, const struct w_server *from)
{
	struct w_server *s = &w->m[m].server;
	if (s->copy_at == 0)
		s->copy_at = w->now + COPY_MS;
	if (w->now < s->copy_at)
		return false;
	if (s->follow_epoch >= from->epoch) /* else nobody could tell it to let go of whom it followed */
		w_check_overwritten(w, m, from);
	memcpy(s->wal, from->wal, from->n * sizeof(s->wal[0]));
	s->n = s->applied = from->n;
	s->unplaced = false;
	s->saved = 0;
	s->copy_at = 0;
	return true;
}
