/* compare.c -- COMPARED: whether what a copy has is in the primary's history; FOLLOWING: whether it would be lost there.  Pure.
 *
 * Proved is little: the place in the stream, where a server still knows it, or that the copy only ever followed this very
 * primary.  All else is saved beside and fetched anew. */
#include <inttypes.h>
#include <string.h>

#include "adapters/redis/red.h"
#include "base/parse.h"

enum place { PLACE_UNKNOWN, PLACE_WITHIN, PLACE_BEYOND };

/* Where what a copy has ends, in the source's stream. */
static enum place place_in(const struct red_state *mine, const struct red_state *source)
{
	if (mine->id[0] == '\0')
		return PLACE_UNKNOWN;
	if (strcmp(mine->id, source->id) == 0)
		return mine->offset <= source->offset ? PLACE_WITHIN : PLACE_BEYOND;
	if (source->offset_before > 0 && strcmp(mine->id, source->id_before) == 0)
		return mine->offset < source->offset_before ? PLACE_WITHIN : PLACE_BEYOND;
	return PLACE_UNKNOWN;
}

static bool is_other_data(const struct red_sight *s, struct red_todo *t)
{
	const struct red_lineage *a = &s->mine->lineage, *b = &s->source->lineage;

	if (!a->there || !b->there || a->identity == 0 || b->identity == 0 || a->identity == b->identity)
		return false;
	red_refuse(t, DR_E_REFUSED, "its data is of another service: its id is %016" PRIx64 ", that of %s:%u %016" PRIx64
		   "; see whose server either is, and empty the data folder of the wrong one", a->identity,
		   s->args->primary_at.host, s->args->primary_at.port, b->identity);
	return true;
}

/* Restarted with an append-only file it has lost its place in the stream; but what it has came from this primary alone. */
static bool only_followed(const struct red_sight *s)
{
	const struct red_state *from = s->source;
	const struct red_lineage *a = &s->mine->lineage, *b = &from->lineage;

	return a->there && b->there && a->epoch == b->epoch && strcmp(a->origin, b->origin) == 0 &&
	       strcmp(a->member, s->target->member.s) != 0 && !from->replica && strcmp(b->origin, from->id) == 0;
}

/* Whether all that a copy has is shown to be in the source's stream; why, or why not. */
static bool is_within(const struct red_sight *s, const char **why)
{
	enum place place = place_in(s->mine, s->source);
	bool only = place == PLACE_UNKNOWN && only_followed(s);

	if (only)
		*why = "what it has came from this primary alone";
	else if (place == PLACE_WITHIN)
		*why = "its place in the primary's stream is known";
	else
		*why = place == PLACE_BEYOND ? "it has more than the primary" : "its place in the primary's stream is not known";
	return only || place == PLACE_WITHIN;
}

/* A source that can't go on from where the copy is sends everything, and nothing of what was there is left. */
bool red_may_not_follow(const struct red_sight *s, struct red_todo *t)
{
	const struct red_state *m = s->mine, *from = s->source;
	const char *why;

	if (m->empty || s->vetted)
		return false;
	if (from == NULL) {
		t->verdict = RED_SOURCE;
		return true;
	}
	if (is_other_data(s, t))
		return true;
	if (s->args->handed_over || is_within(s, &why))
		return false;
	red_refuse(t, DR_E_CONFLICT, "%s, and would be overwritten: it is at %" PRIu64 " of epoch %" PRIu32 ", %s:%u at %" PRIu64
		   " of %" PRIu32 "; a rejoin saves it first", why, m->position, m->timeline, s->args->primary_at.host,
		   s->args->primary_at.port, from->position, from->timeline);
	return true;
}

static void verdict(struct red_todo *t, bool within, const char *why)
{
	t->verdict = RED_HOLDS;
	t->divergence = within ? DR_DIVERGENCE_NONE : DR_DIVERGENCE_CLONE;
	(void)dr_copy_text(t->text, sizeof(t->text), why);
}

void red_judge_compared(const struct red_sight *s, struct red_todo *t)
{
	const char *why = "it is empty";

	if (!s->mine->replica) {
		red_refuse(t, DR_E_REFUSED, "it takes writes; a standby is a replica");
	} else if (s->mine->empty) {
		verdict(t, true, why);
	} else if (s->source == NULL) {
		t->verdict = RED_SOURCE;
	} else if (s->source->replica) {
		red_refuse(t, DR_E_FAILED, "the source is a replica itself");
	} else if (!is_other_data(s, t)) {
		bool within = is_within(s, &why);
		verdict(t, within, why);
	}
}
