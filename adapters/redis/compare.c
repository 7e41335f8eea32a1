/* compare.c -- COMPARED: whether what a copy has is in the primary's history.  Pure.
 *
 * Proved is little: the place in the stream, where a server still knows it, or that the copy only ever followed this very
 * primary.  All else is saved beside and fetched anew. */
#include <string.h>

#include "adapters/redis/red.h"
#include "base/parse.h"

static bool follows_stream(const struct red_state *mine, const struct red_state *source)
{
	if (mine->id[0] == '\0')
		return false;
	if (strcmp(mine->id, source->id) == 0)
		return mine->offset <= source->offset;
	return strcmp(mine->id, source->id_before) == 0 && mine->offset < source->offset_before;
}

/* Restarted with an append-only file it has lost its place in the stream; but what it has came from this primary alone. */
static bool only_followed(const struct red_sight *s)
{
	const struct red_lineage *a = &s->mine->lineage, *b = &s->source->lineage;

	return a->there && b->there && a->epoch == b->epoch && strcmp(a->origin, b->origin) == 0 &&
	       strcmp(a->member, s->target->member.s) != 0;
}

static void verdict(struct red_todo *t, enum dr_divergence d, const char *why)
{
	t->verdict = RED_HOLDS;
	t->divergence = d;
	(void)dr_copy_text(t->text, sizeof(t->text), why);
}

void red_judge_compared(const struct red_sight *s, struct red_todo *t)
{
	if (!s->mine->replica) {
		t->verdict = RED_FAIL;
		t->code = DR_E_REFUSED;
		(void)dr_copy_text(t->text, sizeof(t->text), "it takes writes; a standby is a replica");
	} else if (s->mine->empty) {
		verdict(t, DR_DIVERGENCE_NONE, "it is empty");
	} else if (s->source == NULL) {
		t->verdict = RED_SOURCE;
	} else if (s->source->replica) {
		t->verdict = RED_FAIL;
		t->code = DR_E_FAILED;
		(void)dr_copy_text(t->text, sizeof(t->text), "the source is a replica itself");
	} else if (follows_stream(s->mine, s->source)) {
		verdict(t, DR_DIVERGENCE_NONE, "its place in the primary's stream is known");
	} else if (only_followed(s)) {
		verdict(t, DR_DIVERGENCE_NONE, "what it has came from this primary alone");
	} else {
		verdict(t, DR_DIVERGENCE_CLONE, "its place in the primary's stream is not known");
	}
}
