/* check_rows.c -- the rows that clients wrote: which may be lost, and what a read must show.
 *
 * Under sync no acknowledged row is lost, unless a person accepted it.  Under async a failover loses what the old
 * primary alone had, never what somebody had who took part in the choice; a switchover loses nothing.  */
#include "tests/world/world.h"

#include <string.h>

static uint8_t has[W_WAL_MAX];

static void note_rows(const struct w_server *s)
{
	memset(has, 0, sizeof(has));
	for (uint32_t i = 0; i < s->n; i++)
		has[s->wal[i]] = 1;
}

static bool has_row(const struct w_server *s, uint32_t id)
{
	for (uint32_t i = s->n; i > 0; i--) {
		if (s->wal[i - 1] == id)
			return true;
	}
	return false;
}

/* Under async: may the new primary go without this row? */
static void check_lost(struct world *w, uint32_t mi, uint32_t id)
{
	const struct dr_service *s = w_repl(w);
	if (s == NULL || s->epoch != w->m[mi].server.epoch || s->plan.accept_loss || w->two_allowed)
		return;
	if (s->plan.kind == DR_PLAN_SWITCHOVER && w->seen.row_epoch[id] == s->primary_epoch)
		w_violation(w, "a switchover lost an acknowledged row");
	for (uint32_t i = 0; i < w->members && s->plan.kind == DR_PLAN_FAILOVER; i++) {
		const struct w_server *o = &w->m[i].server;
		bool chose = i != mi && w->seen.chose_epoch == s->epoch && (w->seen.chose >> i & 1u) != 0 &&
			     o->state == DR_SERVER_STANDBY;
		if (chose && has_row(o, id))
			w_violation(w, "%s lost a row that %s had, which took part in the choice", w_member_name(w, mi),
				    w_member_name(w, i));
	}
}

/* A new primary has every write that was ever acknowledged (under sync, unless a person accepted the loss). */
void w_promoted(struct world *w, uint32_t mi)
{
	const struct w_server *s = &w->m[mi].server;
	uint32_t lost = 0;
	note_rows(s);
	for (uint32_t id = 0; id < w->next_write; id++) {
		if (w->acked[id] != 0 && !has[id]) {
			lost++;
			w->acked[id] = 0; /* counted once */
			if (w->service.durability == DR_DURABILITY_ASYNC)
				check_lost(w, mi, id);
		}
	}
	w_say(w, "%s takes writes: lost %u of the acknowledged", w_member_name(w, mi), lost);
	if (lost > 0 && w->service.durability == DR_DURABILITY_SYNC && !w->loss_allowed)
		w_violation(w, "%u acknowledged writes are lost", lost);
}

void w_check_kept(struct world *w)
{
	const struct w_server *p = &w->m[w_repl(w)->holder].server;
	uint32_t lost = 0;
	note_rows(p);
	for (uint32_t i = 0; i < w->next_write; i++)
		lost += w->acked[i] != 0 && !has[i] ? 1u : 0u;
	if (lost != 0 && w->service.durability == DR_DURABILITY_SYNC && !w->loss_allowed)
		w_violation(w, "%u acknowledged writes are not with the primary at the end", lost);
}
