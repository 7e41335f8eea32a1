/* compare.c -- does what libraft loaded fit what the guard remembers?  Each refusal names the file and the
 * way out. */
#include <inttypes.h>
#include <string.h>

#include "base/mutant.h"
#include "raft/snap.h"
#include "raft/storage.h"

#define REJOIN                                                                                                \
	"this node must not vote with it: move the folder away, remove the node from the cluster and let it " \
	"join again under a new id"

static enum dr_err compare_meta(const struct dr_guard_head *h, const char *dir,
				const struct dr_storage_loaded *l, struct dr_error *e)
{
	if (l->term == h->term && l->vote == h->vote)
		return DR_OK;
	if (h->pending && l->term == h->old_term && l->vote == h->old_vote)
		return DR_OK; /* a crash between the guard's record and libraft's write */
	return dr_fail(e, DR_E_CORRUPT,
		       "%s/metadata1 or metadata2 is damaged: term %" PRIu64 " vote %" PRIu64
		       ", the guard has term %" PRIu64 " vote %" PRIu64 "; " REJOIN,
		       dir, l->term, l->vote, h->term, h->vote);
}

static enum dr_err compare_snapshot(const struct dr_guard_head *h, const char *dir,
				    const struct dr_storage_loaded *l, struct dr_error *e)
{
	const struct raft_snapshot *s = l->snapshot;
	const uint8_t *data;
	size_t len;
	struct dr_error why;

	if (s == NULL && h->snap_index == 0)
		return DR_OK;
	if (s == NULL || s->index < h->snap_index)
		return dr_fail(e, DR_E_CORRUPT,
			       "%s: the snapshot at index %" PRIu64 " (term %" PRIu64
			       ") is missing or unreadable; " REJOIN,
			       dir, h->snap_index, h->snap_term);
	if (s->n_bufs != 1 || dr_snap_open(s->bufs[0].base, s->bufs[0].len, &data, &len, &why) != DR_OK)
		return dr_fail(e, DR_E_CORRUPT, "%s/snapshot-%llu-%llu-*: %s; " REJOIN, dir, s->term,
			       s->index, s->n_bufs == 1 ? why.msg : "empty");
	if (s->index == h->snap_index && dr_snap_hash(s->bufs[0].base) != h->snap_hash)
		return dr_fail(e, DR_E_CORRUPT,
			       "%s/snapshot-%llu-%llu-* is another one than was taken; " REJOIN, dir, s->term,
			       s->index);
	return DR_OK;
}

static enum dr_err other_entries(const char *dir, uint64_t index, struct dr_error *e)
{
	return dr_fail(e, DR_E_CORRUPT,
		       "%s: the log's entries up to %" PRIu64 " are other ones than were written; " REJOIN,
		       dir, index);
}

/* Roll the chain over the loaded entries, from the first known point on, and look at every point. */
static enum dr_err compare_chain(const struct dr_guard *g, const char *dir, const struct dr_storage_loaded *l,
				 struct dr_guard_point *kept, uint32_t *chain, bool *rebase,
				 struct dr_error *e)
{
	const struct dr_guard_point *p = g->points, *end = p + g->n_points;
	uint64_t before = l->start - 1;

	*rebase = true;
	*chain = 0;
	while (p < end && p->index < before)
		p++;
	for (size_t i = 0; i <= l->n; i++) {
		uint64_t index = before + i;

		if (i > 0) {
			const struct raft_entry *t = &l->entries[i - 1];

			*chain = dr_guard_link(*chain, t->term, (uint8_t)t->type, t->buf.base, t->buf.len);
		}
		if (i > 0 && index == g->head.ahead && !*rebase &&
		    l->entries[i - 1].term == g->head.ahead_term && *chain != g->head.ahead_chain)
			return other_entries(dir, index, e);
		if (p < end && p->index == index) {
			if (!*rebase && *chain != p->chain)
				return other_entries(dir, index, e);
			if (*rebase) /* what was kept before the first known value is of another chain */
				memset(kept, 0, DR_CHAIN_KEPT * sizeof *kept);
			*rebase = false;
			*chain = p->chain;
			p++;
		}
		kept[index % DR_CHAIN_KEPT] = (struct dr_guard_point){ index, *chain };
	}
	return DR_OK;
}

enum dr_err dr_storage_compare(const struct dr_guard *g, const char *dir, const struct dr_storage_loaded *l,
			       struct dr_guard_point *kept, uint32_t *chain, bool *rebase, struct dr_error *e)
{
	const struct dr_guard_head *h = &g->head;
	uint64_t last = l->start + l->n - 1, term = 0;
	enum dr_err rv = compare_meta(h, dir, l, e);

	if (DR_MUTANT(STORAGE_NOT_COMPARED))
		return DR_OK;
	if (rv == DR_OK)
		rv = compare_snapshot(h, dir, l, e);
	if (rv != DR_OK)
		return rv;
	if (last < h->floor)
		return dr_fail(e, DR_E_CORRUPT,
			       "%s: the log's segments end at entry %" PRIu64 ", but %" PRIu64
			       " was acknowledged: damaged or taken away; " REJOIN,
			       dir, last, h->floor);
	if (h->floor >= l->start)
		term = l->entries[h->floor - l->start].term;
	else if (l->snapshot != NULL && l->snapshot->index == h->floor)
		term = l->snapshot->term;
	if (term != 0 && h->floor_term != 0 && term != h->floor_term)
		return dr_fail(e, DR_E_CORRUPT,
			       "%s: entry %" PRIu64 " has term %" PRIu64 ", the guard has %" PRIu64
			       "; " REJOIN,
			       dir, h->floor, term, h->floor_term);
	return compare_chain(g, dir, l, kept, chain, rebase, e);
}
