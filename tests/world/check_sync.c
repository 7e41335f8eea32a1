/* check_sync.c -- what the promise of `sync` rests on, looked at long before anything is lost: whatever is acknowledged is with as
 * many of the logged set as that says, and nobody acknowledges of whom the log does not know it. */
#include "tests/world/world.h"

void w_note_sync(struct w_service *of, const struct dr_service *s)
{
	of->seen.sync = s->sync;
	of->seen.since = dr_kind_asks_to_ack(s->spec.kind) ? s->since : (struct dr_sync){ 0 };
	of->seen.sync_epoch = s->epoch;
	of->seen.sync_holder = s->holder;
	of->seen.may_ack = 0;
	for (dr_member_ix m = 0; m < of->members; m++)
		of->seen.may_ack = s->member[m].may_ack ? dr_set_with(of->seen.may_ack, m) : of->seen.may_ack;
}

bool w_log_rests_on(struct world *w, uint32_t mi)
{
	const struct w_service *of = w_service_of(w, mi);
	const struct dr_sync *rests_on = of->seen.since.set != 0 ? &of->seen.since : &of->seen.sync;
	return of->seen.sync_holder == w->m[mi].ix && dr_set_has(rests_on->set, of->seen.sync_holder);
}

static bool is_logged(struct world *w, uint32_t mi)
{
	const struct w_service *of = w_service_of(w, mi);
	return w_spec_of(w, mi)->durability == DR_DURABILITY_SYNC && of->seen.sync_holder == w->m[mi].ix &&
	       of->seen.sync_epoch == w->m[mi].server.epoch;
}

static void check_with(struct world *w, uint32_t mi, uint32_t at, const struct dr_sync *sync, const char *set)
{
	const struct w_server *s = &w->m[mi].server;
	const struct w_service *of = w_service_of(w, mi);
	uint32_t have = 0;
	for (dr_member_ix i = 0; i < of->members; i++) {
		const struct w_server *o = &w->m[of->first + i].server;
		have += dr_set_has(sync->set, i) && o->n > at && o->wal[at] == s->wal[at] ? 1u : 0u;
	}
	if (is_logged(w, mi) && have < sync->k)
		w_violation(w, "%s acknowledges what %u of the %s have, not %u", w_member_name(w, mi), have, set, sync->k);
}

void w_check_acked(struct world *w, uint32_t mi, uint32_t at)
{
	const struct w_service *of = w_service_of(w, mi);
	check_with(w, mi, at, &of->seen.sync, "logged set");
	check_with(w, mi, at, &of->seen.since, "set since it was chosen");
}

/* While the promise rests on the primary, too, it does not matter who acknowledges. */
static bool matters(const struct w_service *of, dr_member_ix m)
{
	return !dr_set_has(of->seen.sync.set, of->seen.sync_holder) && !dr_set_has(of->seen.sync.set, m);
}

void w_check_ackers(struct world *w)
{
	for (uint32_t i = 0; i < w->members; i++) {
		const struct w_server *o = &w->m[i].server;
		const struct w_server *to = o->upstream < w->members ? &w->m[o->upstream].server : NULL;
		if (o->acks && o->connected && !dr_set_has(w_service_of(w, i)->seen.may_ack, w->m[i].ix))
			w_violation(w, "%s acknowledges, and the log has it that it does not", w_member_name(w, i));
		bool counts = o->acks && o->connected && to != NULL && to->state == DR_SERVER_PRIMARY && to->k > 0;
		if (counts && is_logged(w, o->upstream) && matters(w_service_of(w, i), w->m[i].ix))
			w_violation(w, "%s acknowledges, and is not of the logged set", w_member_name(w, i));
	}
}
