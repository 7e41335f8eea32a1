/* guard.c -- see guard.h.  Each function is the part of raft/storage.c that has the same name there. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/entry.h"
#include "raft/snap.h"
#include "tests/sim/raft_parts.h"

enum { FLUSH_MS = 500, RECORD = 128, SLOTS = 4096, BYTES = RECORD * SLOTS }; /* of raft/guard.c, which refuses another size */

/* The syncer's part: what was written a while ago is durable. */
static void flush(struct sim_guard *g, uint64_t now)
{
	if (g->flush_at == 0 || now < g->flush_at)
		return;
	g->synced = g->g.seq;
	g->flush_at = 0;
}

static void record(struct sim_raft *r, bool sync)
{
	struct sim_guard *g = &r->guard;
	struct dr_error e = { 0 };
	flush(g, r->s->w->now);
	dr_assert(dr_guard_write(&g->g, &e) == DR_OK);
	if (sync)
		g->synced = g->g.seq;
	else if (g->flush_at == 0)
		g->flush_at = r->s->w->now + FLUSH_MS;
}

void sim_guard_make(struct sim_raft *r, const struct dr_guard_head *head)
{
	struct sim_guard *g = &r->guard;
	sim_guard_close(g);
	memset(g, 0, sizeof(*g));
	g->g.fd = memfd_create("drcoord-sim-guard", MFD_CLOEXEC);
	dr_assert(g->g.fd >= 0 && ftruncate(g->g.fd, BYTES) == 0);
	dr_buf_init(&g->g.record, RECORD);
	g->g.head = *head;
	record(r, true);
}

void sim_guard_close(struct sim_guard *g)
{
	if (g->g.record.max != 0) /* it was made */
		dr_guard_close(&g->g);
}

static void keep(struct sim_guard *g, uint64_t index, uint32_t chain)
{
	g->kept[index % DR_CHAIN_KEPT] = (struct dr_guard_point){ index, chain };
}

static void chain_back_to(struct sim_guard *g, uint64_t next)
{
	const struct dr_guard_point *p = &g->kept[(next - 1) % DR_CHAIN_KEPT];
	if (next == g->next)
		return;
	g->next = next;
	g->chain = p->index == next - 1 ? p->chain : 0;
	g->rebase = g->rebase || p->index != next - 1;
}

static void set_floor(struct sim_guard *g, uint64_t index, uint64_t term, uint32_t chain, bool rebase)
{
	g->g.head.floor = index;
	g->g.head.floor_term = term;
	g->g.head.chain = chain;
	g->g.head.rebase = rebase;
}

static void set_floor_now(struct sim_guard *g, uint64_t index, uint64_t term)
{
	set_floor(g, index, term, g->chain, g->rebase);
	g->rebase = false;
}

/* ---- append */

static bool durable(const struct raft_entry *t)
{
	struct dr_entry entry;
	const uint8_t *cmd;
	size_t len;
	bool any = t->type == RAFT_CHANGE;
	if (t->type != RAFT_COMMAND || !dr_entry_open(&entry, t->buf.base, t->buf.len))
		return any;
	while (dr_entry_next(&entry, &cmd, &len))
		any = any || dr_entry_durable(cmd, len);
	return any;
}

static void write_ahead(struct sim_raft *r, struct write *x)
{
	struct sim_guard *g = &r->guard;
	bool anew = x->guard.rebase;
	for (const struct write *o = r->write; o != NULL; o = o->next)
		anew = anew || (o->kind == WRITE_APPEND && o->guard.rebase);
	g->g.head.ahead = anew ? 0 : x->guard.last;
	g->g.head.ahead_term = x->guard.last_term;
	g->g.head.ahead_chain = x->guard.chain;
	record(r, false);
	x->guard.need = g->g.seq;
}

void sim_guard_append(struct sim_raft *r, struct write *x, const struct raft_entry *entries, unsigned n)
{
	struct sim_guard *g = &r->guard;
	bool matters = false;
	for (unsigned i = 0; i < n; i++) {
		const struct raft_entry *t = &entries[i];
		matters = matters || durable(t);
		g->chain = dr_guard_link(g->chain, t->term, (uint8_t)t->type, t->buf.base, t->buf.len);
		keep(g, g->next++, g->chain);
	}
	x->guard = (struct sim_guard_write){ .last = g->next - 1, .last_term = entries[n - 1].term, .chain = g->chain,
					     .cuts = g->cuts, .rebase = g->rebase };
	g->rebase = false;
	if (matters)
		write_ahead(r, x);
}

void sim_guard_appended(struct sim_raft *r, const struct write *x)
{
	struct sim_guard *g = &r->guard;
	if (g->synced < x->guard.need)
		g->synced = x->guard.need;
	if (x->guard.voided)
		return;
	set_floor(g, x->guard.last, x->guard.last_term, x->guard.chain, x->guard.rebase);
	if (x->guard.cuts == g->cuts)
		g->g.head.cutting = false;
	if (g->g.head.ahead <= x->guard.last)
		g->g.head.ahead = 0;
	record(r, false);
}

static void void_from(struct sim_raft *r, uint64_t index)
{
	for (struct write *o = r->write; o != NULL; o = o->next)
		o->guard.voided = o->guard.voided || (o->kind == WRITE_APPEND && o->guard.last >= index);
}

void sim_guard_truncate(struct sim_raft *r, uint64_t index)
{
	struct sim_guard *g = &r->guard;
	bool cuts = index < g->next;
	void_from(r, index);
	chain_back_to(g, index);
	if (!cuts)
		return;
	g->cuts++;
	g->g.head.cutting = true;
	if (g->g.head.ahead >= index)
		g->g.head.ahead = 0;
	if (g->g.head.floor >= index)
		set_floor_now(g, index - 1, 0);
	record(r, true);
}

/* ---- term and vote, snapshots */

void sim_guard_meta(struct sim_raft *r, uint64_t term, uint64_t vote)
{
	struct dr_guard_head *h = &r->guard.g.head;
	h->old_term = h->term;
	h->old_vote = h->vote;
	h->term = term;
	h->vote = vote;
	h->pending = true;
	record(r, true);
}

void sim_guard_meta_done(struct sim_raft *r)
{
	r->guard.g.head.pending = false;
	record(r, false);
}

void sim_guard_put(struct sim_raft *r, struct write *x)
{
	struct sim_guard *g = &r->guard;
	x->guard.hash = dr_snap_hash(x->snap.bytes);
	if (x->trailing != 0)
		return;
	void_from(r, 0);
	g->cuts++;
	g->g.head.cutting = true;
	g->g.head.ahead = 0;
	if (g->g.head.floor > x->snap.index)
		set_floor(g, x->snap.index, 0, 0, true);
	record(r, true);
}

void sim_guard_was_put(struct sim_raft *r, const struct write *x)
{
	struct sim_guard *g = &r->guard;
	struct dr_guard_head *h = &g->g.head;
	if (x->snap.index < h->snap_index)
		return;
	h->snap_index = x->snap.index;
	h->snap_term = x->snap.term;
	h->snap_hash = x->guard.hash;
	if (x->trailing == 0) {
		h->cutting = false;
		g->next = x->snap.index + 1;
		g->chain = 0;
		g->rebase = true;
		keep(g, x->snap.index, 0);
		set_floor_now(g, x->snap.index, x->snap.term);
	}
	record(r, true);
}

/* ---- start */

static void take_over(struct sim_raft *r, const struct dr_storage_loaded *l)
{
	struct sim_guard *g = &r->guard;
	struct dr_guard_head *h = &g->g.head;
	dr_guard_forget(&g->g);
	g->next = l->start + l->n;
	keep(g, g->next - 1, g->chain);
	h->term = l->term;
	h->vote = l->vote;
	h->pending = h->cutting = false;
	h->ahead = 0;
	if (l->snapshot != NULL) {
		h->snap_index = l->snapshot->index;
		h->snap_term = l->snapshot->term;
		h->snap_hash = dr_snap_hash(l->snapshot->bufs[0].base);
	}
	set_floor_now(g, g->next - 1, l->n > 0 ? l->entries[l->n - 1].term : h->snap_term);
	record(r, true);
}

/* The process that knew all this is gone: what is known is what the file says. */
bool sim_guard_fits(struct sim_raft *r, const struct dr_storage_loaded *l, struct dr_error *e)
{
	static uint8_t file[BYTES];
	struct sim_guard *g = &r->guard;
	struct dr_guard fresh = { .fd = g->g.fd, .record = g->g.record };
	dr_assert(pread(fresh.fd, file, BYTES, 0) == BYTES);
	dr_guard_forget(&g->g);
	(void)snprintf(fresh.path, sizeof(fresh.path), "guard");
	if (dr_guard_decode(&fresh, file, BYTES, e) != DR_OK)
		return false;
	g->g = fresh;
	memset(g->kept, 0, sizeof(g->kept));
	g->cuts = 0;
	if (fresh.head.id != r->id || dr_storage_compare(&fresh, "log", l, g->kept, &g->chain, &g->rebase, e) != DR_OK)
		return false;
	take_over(r, l);
	return true;
}

/* ---- harm */

static off_t slot(uint64_t seq)
{
	return (off_t)(seq % SLOTS * RECORD);
}

void sim_guard_power_cut(struct sim_guard *g, uint64_t now)
{
	static const uint8_t zero[RECORD];
	flush(g, now);
	for (uint64_t seq = g->synced + 1; seq <= g->g.seq && seq < g->synced + SLOTS; seq++)
		dr_assert(pwrite(g->g.fd, zero, RECORD, slot(seq)) == RECORD);
}

void sim_guard_flip(struct sim_guard *g, uint32_t back, uint32_t bit)
{
	uint8_t byte;
	uint64_t seq = g->g.seq > back ? g->g.seq - back : g->g.seq;
	off_t at = slot(seq) + (off_t)(bit / 8 % RECORD);
	dr_assert(pread(g->g.fd, &byte, 1, at) == 1);
	byte ^= (uint8_t)(1u << bit % 8);
	dr_assert(pwrite(g->g.fd, &byte, 1, at) == 1);
}
