/* check_rows.c -- the rows that clients wrote: which may be lost, and what a read must show.
 *
 * Under sync no acknowledged row is lost, unless a person accepted it.  Under async a failover loses what the old
 * primary alone had, never what somebody had who took part in the choice; a switchover loses nothing.  */
#include "tests/world/world.h"

#include <string.h>

enum { READ_LATEST = 32, READ_ALL_EVERY = 256 };

static uint8_t has[W_WAL_MAX];

static void note_rows(const struct w_server *s, uint32_t n)
{
	memset(has, 0, sizeof(has));
	for (uint32_t i = 0; i < n; i++)
		has[s->wal[i]] = 1;
}

static bool has_row(const struct w_server *s, uint32_t n, uint32_t id)
{
	for (uint32_t i = n; i > 0; i--) {
		if (s->wal[i - 1] == id)
			return true;
	}
	return false;
}

/* Under async: may the new primary go without this row? */
static void check_lost(struct world *w, uint32_t mi, uint32_t id)
{
	const struct w_service *of = w_service_of(w, mi);
	const struct dr_service *s = w_repl(w, of->ix);
	if (s == NULL || s->epoch != w->m[mi].server.epoch || s->plan.accept_loss || w->two_allowed)
		return;
	if (s->plan.kind == DR_PLAN_SWITCHOVER && of->seen.row_epoch[id] == s->primary_epoch)
		w_violation(w, "a switchover lost an acknowledged row");
	/* Who is named where nobody can fetch is taken with what it has. */
	bool named = s->plan.reason == DR_REASON_OPERATOR && s->plan.wanted == w->m[mi].ix;
	bool fetches = dr_kind_keeps_place(w_spec_of(w, mi)->kind);
	for (dr_member_ix i = 0; i < of->members && s->plan.kind == DR_PLAN_FAILOVER && (fetches || !named); i++) {
		const struct w_server *o = &w->m[of->first + i].server;
		if (!fetches && (s->spec.member[i].priority == 0 || !dr_set_has(s->listed, i))) /* it may not be promoted */
			continue;
		bool chose = of->first + i != mi && of->seen.chose_epoch == s->epoch && (of->seen.chose >> i & 1u) != 0 &&
			     o->state == DR_SERVER_STANDBY;
		if (chose && has_row(o, w_sure_of(w, of->first + i), id))
			w_violation(w, "%s lost a row that %s had, which took part in the choice", w_member_name(w, mi),
				    w_member_name(w, of->first + i));
	}
}

/* Lost with the choice that somebody made knowing that. */
static bool accepted(const struct w_service *of, uint32_t id)
{
	return of->seen.loss_from != 0 && of->seen.row_epoch[id] < of->seen.loss_from;
}

/* A new primary has every write that was ever acknowledged (under sync, unless a person accepted the loss). */
void w_promoted(struct world *w, uint32_t mi)
{
	const struct w_server *s = &w->m[mi].server;
	struct w_service *of = w_service_of(w, mi);
	bool async = w_spec_of(w, mi)->durability != DR_DURABILITY_SYNC;
	uint32_t lost = 0, unaccepted = 0;
	note_rows(s, s->n);
	for (uint32_t id = 0; id < of->next_write; id++) {
		if (of->seen.shown[id] && !has[id]) {
			of->seen.shown[id] = 0;
			w->seen.vanished += of->acked[id] == 0 ? 1u : 0u;
		}
		if (of->acked[id] != 0 && !has[id]) {
			lost++;
			unaccepted += accepted(of, id) ? 0u : 1u;
			of->acked[id] = 0; /* counted once */
			if (async)
				check_lost(w, mi, id);
		}
	}
	w_say(w, "%s takes writes: lost %u of the acknowledged", w_member_name(w, mi), lost);
	if (unaccepted > 0 && !async && !w->loss_allowed)
		w_violation(w, "%u acknowledged writes are lost", unaccepted);
}

void w_check_overwritten(struct world *w, uint32_t mi, const struct w_server *by)
{
	const struct w_server *s = &w->m[mi].server;
	const struct w_service *of = w_service_of(w, mi);
	uint32_t lost = 0, common = w_common(s, by);
	for (uint32_t i = s->saved > common ? s->saved : common; i < s->n; i++)
		lost += of->seen.row_epoch[s->wal[i]] != 0 ? 1u : 0u;
	if (lost > 0)
		w_violation(w, "%s throws away %u acknowledged writes that nobody has saved", w_member_name(w, mi), lost);
}

static void check_kept(struct world *w, const struct w_service *of)
{
	const struct w_server *p = &w->m[w_member_at(of, w_repl(w, of->ix)->holder)].server;
	uint32_t lost = 0;
	note_rows(p, p->n);
	for (uint32_t i = 0; i < of->next_write; i++)
		lost += of->acked[i] != 0 && !has[i] ? 1u : 0u;
	if (lost != 0 && w->service[of->ix].durability == DR_DURABILITY_SYNC && !w->loss_allowed)
		w_violation(w, "%u acknowledged writes are not with the primary at the end", lost);
}

void w_check_kept(struct world *w)
{
	for (uint32_t i = 0; i < w->services; i++)
		check_kept(w, &w->s[i]);
}

/* A read takes no time here, the hardest case: what was acknowledged up to now was so before it began.  A row that was
 * shown and acknowledged is kept like any other; one that a new primary shows since it came to it unacknowledged may
 * vanish with the next failover, as in PostgreSQL: counted. */
void w_read(struct world *w, uint32_t mi)
{
	const struct w_server *s = &w->m[mi].server;
	struct w_service *of = w_service_of(w, mi);
	uint32_t n = of->seen.acked_n, missing = 0;
	if (s->state != DR_SERVER_PRIMARY || w_paused(w, w_proc(W_SERVER, mi)) || w_nobody_acts(w, mi))
		return;
	for (uint32_t i = s->acked > READ_LATEST ? s->acked - READ_LATEST : 0; i < s->acked; i++)
		of->seen.shown[s->wal[i]] = 1;
	if (n > READ_LATEST)
		w->seen.reads++;
	uint32_t from = n > READ_LATEST && ++of->seen.reads % READ_ALL_EVERY != 0 ? n - READ_LATEST : 0;
	if (from == 0)
		note_rows(s, s->acked);
	for (uint32_t i = from; i < n; i++) {
		uint32_t id = of->seen.acked[i];
		bool there = from == 0 ? has[id] != 0 : has_row(s, s->acked, id);
		missing += of->acked[id] != 0 && !there ? 1u : 0u;
	}
	if (missing != 0 && !w->two_allowed)
		w_violation(w, "a read from %s misses %u acknowledged rows", w_member_name(w, mi), missing);
}
