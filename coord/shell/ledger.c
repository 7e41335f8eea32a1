/* ledger.c -- see ledger.h. */
#include "coord/shell/ledger.h"

#include <string.h>

const char *dr_ledger_verdict_name(enum dr_ledger_verdict v)
{
	static const char *const names[DR_LEDGER_VERDICT_COUNT] = { "unknown", "same", "differs" };
	return (unsigned)v < DR_LEDGER_VERDICT_COUNT ? names[v] : "unknown";
}

/* ---- what is kept ---- */

static uint64_t place_of(uint64_t index)
{
	return index / DR_LEDGER_EVERY % DR_LEDGER_KEPT;
}

/* The mark at that index, NULL when it isn't kept. */
static const struct dr_ledger_mark *mark_at(const struct dr_ledger *l, uint64_t index)
{
	const struct dr_ledger_mark *m = &l->kept[place_of(index)];
	if (index == 0)
		return NULL;
	if (l->newest.index == index)
		return &l->newest;
	return m->index == index ? m : NULL;
}

void dr_ledger_note(struct dr_ledger *l, uint64_t index, const uint8_t head[DR_LEDGER_HEAD])
{
	l->newest.index = index;
	memcpy(l->newest.head, head, DR_LEDGER_HEAD);
	if (index % DR_LEDGER_EVERY == 0)
		l->kept[place_of(index)] = l->newest;
}

void dr_ledger_restart(struct dr_ledger *l, uint64_t index, const uint8_t head[DR_LEDGER_HEAD])
{
	memset(l, 0, sizeof(*l));
	dr_ledger_note(l, index, head);
}

/* ---- what is told ---- */

/* The newest marks; the events at some indexes may have been gone before they could be chained. */
static void newest_marks(const struct dr_ledger *l, struct dr_ledger_told *told)
{
	uint64_t index = l->newest.index;
	told->marks = 0;
	for (uint32_t i = 0; i <= DR_LEDGER_KEPT && index > 0 && told->marks < DR_LEDGER_TOLD; i++) {
		const struct dr_ledger_mark *m = mark_at(l, index);
		if (m != NULL)
			told->mark[told->marks++] = *m;
		index = (index - 1) / DR_LEDGER_EVERY * DR_LEDGER_EVERY;
	}
}

bool dr_ledger_encode(const struct dr_ledger *l, struct dr_buf *out)
{
	struct dr_ledger_told told;
	newest_marks(l, &told);
	if (told.marks == 0)
		return false;
	dr_buf_put_u8(out, (uint8_t)told.marks);
	for (uint32_t i = 0; i < told.marks; i++) {
		dr_buf_put_u64be(out, told.mark[i].index);
		dr_buf_put(out, told.mark[i].head, DR_LEDGER_HEAD);
	}
	return true;
}

enum dr_err dr_ledger_decode(struct dr_ledger_told *told, const uint8_t *p, size_t n, struct dr_error *e)
{
	struct dr_view v = dr_view_of(p, n);
	uint32_t marks = dr_view_u8(&v);
	uint64_t above = UINT64_MAX;
	told->marks = 0;
	if (marks == 0 || marks > DR_LEDGER_TOLD || n != 1 + (size_t)marks * DR_LEDGER_MARK_BYTES)
		return dr_fail(e, DR_E_PROTOCOL, "heads of a ledger: %u of them in %zu bytes", marks, n);
	for (uint32_t i = 0; i < marks; i++) {
		struct dr_ledger_mark *m = &told->mark[i];
		m->index = dr_view_u64be(&v);
		const uint8_t *head = dr_view_bytes(&v, DR_LEDGER_HEAD);
		if (head == NULL || m->index == 0 || m->index >= above)
			return dr_fail(e, DR_E_PROTOCOL, "heads of a ledger: index %llu out of place",
				       (unsigned long long)m->index);
		memcpy(m->head, head, DR_LEDGER_HEAD);
		above = m->index;
	}
	told->marks = marks;
	return DR_OK;
}

struct dr_ledger_compared dr_ledger_compare(const struct dr_ledger *l, const struct dr_ledger_told *told)
{
	struct dr_ledger_compared c = { .verdict = DR_LEDGER_UNKNOWN };
	for (uint32_t i = 0; i < told->marks; i++) {
		const struct dr_ledger_mark *theirs = &told->mark[i];
		const struct dr_ledger_mark *ours = mark_at(l, theirs->index);
		if (ours == NULL)
			continue;
		if (memcmp(ours->head, theirs->head, DR_LEDGER_HEAD) != 0)
			c = (struct dr_ledger_compared){ DR_LEDGER_DIFFERS, *ours, *theirs };
		else if (c.verdict == DR_LEDGER_UNKNOWN)
			c.verdict = DR_LEDGER_SAME;
	}
	return c;
}
