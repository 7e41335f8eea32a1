/* raft_io.c -- struct raft_io over a simulated disk (disk.h), and the small rest of it. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "proto/codec.h"
#include "raft/entry.h"
#include "tests/sim/raft_parts.h"

enum { RESTART_MS = 1500 };

static void drop_write(struct write *x)
{
	for (unsigned i = 0; i < x->n; i++)
		dr_free(x->entry[i].bytes);
	dr_free(x->entry);
	sim_snapshot_drop(&x->snap);
	dr_free(x);
}

static void begin_write(struct sim_raft *r);

static void written(struct world *w, struct w_timer *t)
{
	struct sim_raft *r = sim_raft_alive(w, t);
	if (r == NULL)
		return;
	if (r->s->disks[t->proc].full) { /* it waits for space */
		(void)sim_raft_later(r, 50, written);
		return;
	}
	if (r->s->disks[t->proc].eio) {
		r->s->disks[t->proc].eio = false;
		w_say(w, "%s ends: its disk failed", w->c[r->ci].name);
		r->s->down_until[r->ci] = w->now + RESTART_MS;
		w_coord_kill(w, r->ci);
		return;
	}
	struct write *x = r->write;
	r->write = x->next;
	r->writing = false;
	if (x->kind == WRITE_APPEND) {
		for (unsigned i = 0; i < x->n; i++)
			sim_disk_append(&r->disk, &x->entry[i]);
		sim_guard_appended(r, x);
		if (!x->guard.voided)
			r->truth.last = x->guard.last;
	} else if (x->kind == WRITE_TRUNCATE) {
		sim_disk_truncate(&r->disk, x->index);
	} else {
		sim_disk_snapshot(&r->disk, &x->snap, x->trailing);
		sim_guard_was_put(r, x);
		if (x->trailing == 0)
			r->truth.last = x->snap.index;
	}
	begin_write(r);
	if (x->append != NULL)
		x->append->cb(x->append, 0);
	if (x->put != NULL)
		x->put->cb(x->put, 0);
	drop_write(x);
	sim_raft_pump(r);
}

static void begin_write(struct sim_raft *r)
{
	if (r->writing || r->write == NULL)
		return;
	r->writing = true;
	const struct w_weather *wx = r->s->w->weather;
	uint32_t proc = w_proc(W_COORD, r->ci);
	(void)sim_raft_later(r, r->write->kind == WRITE_TRUNCATE ? 0 : wx != NULL ? wx->disk(wx->arg, proc) : 0, written);
}

static void add_write(struct sim_raft *r, struct write *x)
{
	struct write **at = &r->write;
	while (*at != NULL)
		at = &(*at)->next;
	*at = x;
	begin_write(r);
}

static int io_append(struct raft_io *io, struct raft_io_append *req, const struct raft_entry entries[], unsigned n,
		     raft_io_append_cb cb)
{
	struct sim_raft *r = sim_raft_of(io);
	struct write *x = dr_xcalloc(sizeof(*x));
	req->cb = cb;
	x->kind = WRITE_APPEND;
	x->append = req;
	x->n = n;
	x->entry = dr_xcalloc(n * sizeof(*x->entry));
	for (unsigned i = 0; i < n; i++) {
		const struct raft_entry *e = &entries[i];
		struct dr_entry entry;
		const uint8_t *cmd;
		bool known = r->guard.next + i <= r->reached;
		size_t len;
		x->entry[i] = (struct sim_entry){ .term = e->term, .type = (unsigned short)e->type, .len = e->buf.len };
		x->entry[i].bytes = dr_xcalloc(e->buf.len + 1);
		memcpy(x->entry[i].bytes, e->buf.base, e->buf.len);
		if (e->type != RAFT_COMMAND || !dr_entry_open(&entry, e->buf.base, e->buf.len))
			continue;
		while (dr_entry_next(&entry, &cmd, &len)) {
			if (dr_cmd_is_tick(cmd, len) && !(DR_MUTANT(FIRST_REACHED) && known))
				r->tick_entered = true;
		}
	}
	sim_guard_append(r, x, entries, n);
	if (r->reached < x->guard.last)
		r->reached = x->guard.last;
	add_write(r, x);
	return 0;
}

static int io_truncate(struct raft_io *io, raft_index index)
{
	struct write *x = dr_xcalloc(sizeof(*x));
	x->kind = WRITE_TRUNCATE;
	x->index = index;
	sim_guard_truncate(sim_raft_of(io), index);
	if (sim_raft_of(io)->truth.last >= index)
		sim_raft_of(io)->truth.last = index - 1;
	add_write(sim_raft_of(io), x);
	return 0;
}

static int io_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
			   const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
	struct write *x = dr_xcalloc(sizeof(*x));
	struct sim_snapshot s = { .index = snapshot->index,
				  .term = snapshot->term,
				  .conf_index = snapshot->configuration_index,
				  .conf = snapshot->configuration,
				  .bytes = snapshot->bufs[0].base,
				  .len = snapshot->bufs[0].len };
	req->cb = cb;
	x->kind = WRITE_SNAPSHOT;
	x->put = req;
	x->trailing = trailing;
	sim_snapshot_copy(&x->snap, &s);
	sim_guard_put(sim_raft_of(io), x);
	if (trailing == 0 && sim_raft_of(io)->truth.last > s.index)
		sim_raft_of(io)->truth.last = s.index;
	add_write(sim_raft_of(io), x);
	return 0;
}

static void got(struct world *w, struct w_timer *t)
{
	struct sim_raft *r = sim_raft_alive(w, t);
	if (r == NULL || r->get == NULL)
		return;
	struct get *g = r->get;
	r->get = g->next;
	r->read = (struct dr_snapshot_end){ r->disk.snap.index, r->disk.snap.term };
	g->cb(g->req, sim_snapshot_for_raft(&r->disk.snap), 0);
	dr_free(g);
	sim_raft_pump(r);
}

static int io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *req, raft_io_snapshot_get_cb cb)
{
	struct sim_raft *r = sim_raft_of(io);
	struct get *g = dr_xcalloc(sizeof(*g)), **at = &r->get;
	*g = (struct get){ .req = req, .cb = cb };
	while (*at != NULL)
		at = &(*at)->next;
	*at = g;
	(void)sim_raft_later(r, 1, got);
	return 0;
}

static void set_meta(struct sim_raft *r, uint64_t term, uint64_t vote)
{
	sim_guard_meta(r, term, vote);
	r->disk.term = r->truth.term = term;
	r->disk.vote = r->truth.vote = vote;
	sim_guard_meta_done(r);
}

static int io_set_term(struct raft_io *io, raft_term term)
{
	set_meta(sim_raft_of(io), term, 0);
	return 0;
}

static int io_set_vote(struct raft_io *io, raft_id id)
{
	set_meta(sim_raft_of(io), sim_raft_of(io)->disk.term, id);
	return 0;
}

/* Whatever became of the disk: who starts has all that he ever reported, or it was agreed to be cut. */
static void check_start(struct sim_raft *r)
{
	bool less = r->disk.term != r->truth.term || r->disk.vote != r->truth.vote ||
		    r->disk.first + r->disk.n - 1 < r->truth.last;
	if (less)
		w_violation(r->s->w, "%s starts with less than it has reported", r->s->w->c[r->ci].name);
}

static int io_load(struct raft_io *io, raft_term *term, raft_id *vote, struct raft_snapshot **snapshot,
		   raft_index *start, struct raft_entry *entries[], size_t *n)
{
	struct sim_raft *r = sim_raft_of(io);
	struct dr_error e = { 0 };
	*term = r->disk.term;
	*vote = r->disk.vote;
	sim_disk_load(&r->disk, snapshot, start, entries, n);
	struct dr_storage_loaded l = { *term, *vote, *snapshot, *start, *entries, *n };
	if (sim_guard_fits(r, &l, &e)) {
		check_start(r);
		r->harmed = false;
		return 0;
	}
	w_say(r->s->w, "%s does not start: %s", r->s->w->c[r->ci].name, e.msg);
	r->refused = true;
	sim_disk_unload(*snapshot, *entries, *n);
	return RAFT_CORRUPT;
}

static int io_bootstrap(struct raft_io *io, const struct raft_configuration *conf)
{
	struct raft_buffer buf;
	struct sim_raft *r = sim_raft_of(io);
	dr_assert(r->disk.n == 0 && configurationEncode(conf, &buf) == 0);
	struct sim_entry e = { .term = 1, .type = RAFT_CHANGE, .len = buf.len, .bytes = buf.base };
	sim_disk_append(&r->disk, &e);
	r->disk.term = 1;
	raft_free(buf.base);
	return 0;
}

static int io_recover(struct raft_io *io, const struct raft_configuration *conf)
{
	(void)io;
	(void)conf;
	return RAFT_INVALID;
}

/* ---- the rest of raft_io */

static raft_time io_time(struct raft_io *io)
{
	struct sim_raft *r = sim_raft_of(io);
	return w_clock(r->s->w, &r->s->w->c[r->ci].clock);
}

static int io_random(struct raft_io *io, int min, int max)
{
	return min + (int)sim_roll(&sim_raft_of(io)->s->raft, (uint64_t)(max - min));
}

static int io_init(struct raft_io *io, raft_id id, const char *address)
{
	(void)io;
	(void)id;
	(void)address;
	return 0;
}

static int io_start(struct raft_io *io, unsigned ms, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
	(void)ms;
	sim_raft_of(io)->tick = tick;
	sim_raft_of(io)->recv = recv;
	return 0;
}

/* The process is gone: whoever waits for the disk or the network is told so, and nothing more is written. */
static void io_close(struct raft_io *io, raft_io_close_cb cb)
{
	struct sim_raft *r = sim_raft_of(io);
	while (r->write != NULL) {
		struct write *x = r->write;
		r->write = x->next;
		if (x->append != NULL)
			x->append->cb(x->append, RAFT_CANCELED);
		if (x->put != NULL)
			x->put->cb(x->put, RAFT_CANCELED);
		drop_write(x);
	}
	while (r->sent != NULL) {
		struct sent *x = r->sent;
		r->sent = x->next;
		x->cb(x->req, RAFT_CANCELED);
		dr_free(x);
	}
	while (r->get != NULL) {
		struct get *g = r->get;
		r->get = g->next;
		raft_free(g->req->data); /* as raft/storage_read.c: libraft frees a membership that it never set */
		dr_free(g);
	}
	r->writing = false;
	LegacyFireCompletedRequests(&r->node.raft);
	cb(io);
}

/* Of the first write a prefix. */
void sim_raft_torn(struct sim_raft *r)
{
	const struct write *x = r->write;
	if (x == NULL || x->kind != WRITE_APPEND)
		return;
	uint64_t n = sim_roll(&r->s->disk, x->n + 1);
	for (unsigned i = 0; i < n; i++)
		sim_disk_append(&r->disk, &x->entry[i]);
}

void sim_raft_io_fill(struct sim_raft *r)
{
	r->io = (struct raft_io){ .version = 2,
				  .capacity = 60000,
				  .impl = r,
				  .init = io_init,
				  .close = io_close,
				  .load = io_load,
				  .start = io_start,
				  .bootstrap = io_bootstrap,
				  .recover = io_recover,
				  .set_term = io_set_term,
				  .set_vote = io_set_vote,
				  .send = sim_raft_send,
				  .append = io_append,
				  .truncate = io_truncate,
				  .snapshot_put = io_snapshot_put,
				  .snapshot_get = io_snapshot_get,
				  .time = io_time,
				  .random = io_random };
}
