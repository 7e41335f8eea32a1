/* storage.c -- see storage.h.
 *
 * libraft always calls truncate(index) right before append(index ...), so the index of what is appended is
 * known from there.  Its functions report failures to callers whose asserts are compiled out; so the hooks
 * end the process instead. */
#include "raft/storage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/entry.h"
#include "raft/repair.h"
#include "raft/scan.h"
#include "raft/snap.h"
#include "sys/log.h"

enum { FLUSH_MS = 500, FLUSH_DURABLE_MS = 20 };

struct dr_storage_append {
	struct raft_io_append req;    /* given to libraft's own append */
	struct raft_io_append *outer; /* to be reported to */
	struct dr_storage *s;
	struct dr_storage_append *next;
	uint64_t last, last_term;
	uint32_t chain; /* at last */
	uint64_t need;  /* reported once the guard is durable up to this record; 0: at once */
	unsigned cuts;  /* truncations before it */
	bool durable, done;
	bool direct; /* that record goes by ahead.h */
	bool rebase; /* the chain begins anew with this one */
	const struct raft_entry *entries; /* libraft's, until it is reported */
	unsigned n;
	bool voided; /* truncated meanwhile: says nothing about the log any more */
};

static struct dr_storage *of(struct raft_io *io)
{
	return (struct dr_storage *)(void *)io;
}

static void fatal(struct dr_storage *s, enum dr_err code, const char *what, const char *why)
{
	struct dr_error e;

	(void)dr_fail(&e, code, "%s: %s: %s", s->log_dir, what, why);
	s->cbs->fatal(s->ctx, &e);
}

static void write_record(struct dr_storage *s, bool sync)
{
	struct dr_error e;

	if (dr_guard_write(&s->guard, &e) != DR_OK || (sync && dr_guard_sync(&s->guard, &e) != DR_OK))
		s->cbs->fatal(s->ctx, &e);
}

/* ---- the chain ---- */

static void keep(struct dr_storage *s, uint64_t index, uint32_t chain)
{
	s->kept[index % DR_CHAIN_KEPT] = (struct dr_guard_point){ index, chain };
}

/* Continue at `next`: take the chain back, or begin it anew where that is not known any more. */
static void chain_back_to(struct dr_storage *s, uint64_t next)
{
	const struct dr_guard_point *p = &s->kept[(next - 1) % DR_CHAIN_KEPT];

	if (next == s->next)
		return;
	s->next = next;
	if (p->index == next - 1) {
		s->chain = p->chain;
	} else {
		s->chain = 0;
		s->rebase = true;
	}
}

static void set_floor(struct dr_storage *s, uint64_t index, uint64_t term, uint32_t chain, bool rebase)
{
	s->guard.head.floor = index;
	s->guard.head.floor_term = term;
	s->guard.head.chain = chain;
	s->guard.head.rebase = rebase;
}

/* The same where no append is on its way that could finish with the old chain. */
static void set_floor_now(struct dr_storage *s, uint64_t index, uint64_t term)
{
	set_floor(s, index, term, s->chain, s->rebase);
	s->rebase = false;
}

/* ---- append ---- */

static bool is_known(const struct dr_storage *s, const struct dr_storage_append *a)
{
	return a->need <= s->syncer.synced || (a->direct && a->need <= s->ahead.done);
}

static void deliver(struct dr_storage *s)
{
	while (s->head != NULL && s->head->done && (s->closing || is_known(s, s->head))) {
		struct dr_storage_append *a = s->head;

		s->head = a->next;
		if (s->head == NULL)
			s->tail = &s->head;
		a->outer->cb(a->outer, 0);
		dr_free(a);
	}
}

static void on_synced(void *ctx)
{
	struct dr_storage *s = ctx;

	if (s->syncer.error != 0)
		fatal(s, DR_E_IO, "fdatasync of the guard", strerror(s->syncer.error));
	deliver(s);
}

static void on_ahead(void *ctx)
{
	struct dr_storage *s = ctx;

	if (s->ahead.error != 0)
		fatal(s, DR_E_IO, "write the guard ahead", strerror(s->ahead.error));
	if (s->ahead.refused)
		dr_syncer_request(&s->syncer, s->guard.seq); /* for all that wait */
	deliver(s);
}

static void on_flush(uv_timer_t *t)
{
	struct dr_storage *s = t->data;

	dr_syncer_request(&s->syncer, s->guard.seq);
}

static void flush_within(struct dr_storage *s, uint64_t ms)
{
	if (!s->closing && (!uv_is_active((uv_handle_t *)&s->flush) || uv_timer_get_due_in(&s->flush) > ms))
		(void)uv_timer_start(&s->flush, on_flush, ms, 0);
}

static void drop(struct dr_storage *s, struct dr_storage_append *a)
{
	struct dr_storage_append **at = &s->head;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	if (s->tail == &a->next)
		s->tail = at;
}

static void on_appended(struct raft_io_append *req, int status)
{
	struct dr_storage_append *a = req->data;
	struct dr_storage *s = a->s;

	if (status != 0) {
		if (!s->closing)
			fatal(s, DR_E_IO, "append", raft_strerror(status));
		drop(s, a);
		a->outer->cb(a->outer, status);
		dr_free(a);
		return;
	}
	a->done = true;
	if (!a->voided) {
		set_floor(s, a->last, a->last_term, a->chain, a->rebase);
		if (a->cuts == s->cuts)
			s->guard.head.cutting = false;
		if (s->guard.head.ahead <= a->last)
			s->guard.head.ahead = 0;
		write_record(s, false);
		flush_within(s, a->durable ? FLUSH_DURABLE_MS : FLUSH_MS);
	}
	deliver(s);
}

static void announce(struct dr_storage *s, struct dr_storage_append *a, uint64_t index,
		     const struct raft_entry *t)
{
	struct dr_entry entry;
	const uint8_t *cmd;
	size_t len;

	if (t->type == RAFT_CHANGE)
		a->durable = true;
	if (t->type != RAFT_COMMAND || !dr_entry_open(&entry, t->buf.base, t->buf.len))
		return;
	while (dr_entry_next(&entry, &cmd, &len)) {
		a->durable = a->durable || dr_entry_durable(cmd, len);
		s->cbs->appended(s->ctx, index, t->term, cmd, len);
	}
}

/* Say what is about to be written, and make that durable while libraft writes. */
static void write_ahead(struct dr_storage *s, struct dr_storage_append *a)
{
	bool anew = false; /* no record says yet that the chain began anew: it cannot be compared */

	for (const struct dr_storage_append *b = s->head; b != NULL; b = b->next)
		anew = anew || (b->rebase && !b->done);
	s->guard.head.ahead = anew ? 0 : a->last;
	s->guard.head.ahead_term = a->last_term;
	s->guard.head.ahead_chain = a->chain;
	write_record(s, false);
	a->need = s->guard.seq;
	a->direct = dr_ahead_put(&s->ahead, a->need, s->guard.record.data, s->guard.record.len);
	if (!a->direct)
		dr_syncer_request(&s->syncer, a->need);
}

static void begin_late(struct dr_storage *s)
{
	struct dr_storage_append *a = s->late;
	int rv;

	s->late = NULL;
	if (a == NULL)
		return;
	if (a->durable)
		write_ahead(s, a);
	rv = s->inner.append(&s->io, &a->req, a->entries, a->n, on_appended);
	if (rv != 0)
		fatal(s, DR_E_IO, "append", raft_strerror(rv));
}

void dr_storage_hold(struct dr_storage *s)
{
	s->holding = true;
}

void dr_storage_begin(struct dr_storage *s)
{
	s->holding = false;
	begin_late(s);
}

static int hook_append(struct raft_io *io, struct raft_io_append *req, const struct raft_entry entries[],
		       unsigned n, raft_io_append_cb cb)
{
	struct dr_storage *s = of(io);
	struct dr_storage_append *a = dr_xcalloc(sizeof *a);

	begin_late(s);
	a->s = s;
	a->outer = req;
	req->cb = cb;
	a->req.data = a;
	for (unsigned i = 0; i < n; i++) {
		const struct raft_entry *t = &entries[i];

		announce(s, a, s->next, t);
		s->chain = dr_guard_link(s->chain, t->term, (uint8_t)t->type, t->buf.base, t->buf.len);
		keep(s, s->next, s->chain);
		s->next++;
	}
	a->cuts = s->cuts;
	a->rebase = s->rebase;
	s->rebase = false;
	a->last = s->next - 1;
	a->last_term = entries[n - 1].term;
	a->chain = s->chain;
	a->entries = entries;
	a->n = n;
	*s->tail = a;
	s->tail = &a->next;
	s->late = a;
	if (!s->holding)
		begin_late(s);
	return 0;
}

static void void_from(struct dr_storage *s, uint64_t index)
{
	for (struct dr_storage_append *a = s->head; a != NULL; a = a->next) {
		if (a->last >= index)
			a->voided = true;
	}
}

static int hook_truncate(struct raft_io *io, raft_index index)
{
	struct dr_storage *s = of(io);
	bool cuts = index < s->next; /* else nothing is there to be cut */
	int rv;

	begin_late(s);
	void_from(s, index);
	chain_back_to(s, index);
	if (cuts) {
		s->cuts++;
		s->guard.head.cutting = true;
		if (s->guard.head.ahead >= index)
			s->guard.head.ahead = 0;
		if (s->guard.head.floor >= index)
			set_floor_now(s, index - 1, 0);
		write_record(s, true);
	}
	rv = s->inner.truncate(io, index);
	if (rv != 0)
		fatal(s, DR_E_IO, "truncate", raft_strerror(rv));
	return rv;
}

/* ---- term and vote ---- */

static int set_meta(struct dr_storage *s, uint64_t term, uint64_t vote,
		    int (*store)(struct dr_storage *, uint64_t), uint64_t value)
{
	struct dr_guard_head *h = &s->guard.head;
	int rv;

	begin_late(s);
	h->old_term = h->term;
	h->old_vote = h->vote;
	h->term = term;
	h->vote = vote;
	h->pending = true;
	write_record(s, true);
	rv = store(s, value);
	if (rv != 0)
		fatal(s, DR_E_IO, "write term and vote", s->io.errmsg);
	h->pending = false;
	write_record(s, false);
	flush_within(s, FLUSH_MS);
	return rv;
}

static int store_term(struct dr_storage *s, uint64_t term)
{
	return s->inner.set_term(&s->io, term);
}

static int store_vote(struct dr_storage *s, uint64_t vote)
{
	return s->inner.set_vote(&s->io, vote);
}

static int hook_set_term(struct raft_io *io, raft_term term)
{
	return set_meta(of(io), term, 0, store_term, term);
}

static int hook_set_vote(struct raft_io *io, raft_id id)
{
	return set_meta(of(io), of(io)->guard.head.term, id, store_vote, id);
}

/* ---- snapshots ---- */

struct put {
	struct raft_io_snapshot_put req;
	struct raft_io_snapshot_put *outer;
	struct dr_storage *s;
	uint64_t index, term, hash;
	bool install; /* from the leader, replaces the log */
};

static void on_put(struct raft_io_snapshot_put *req, int status)
{
	struct put *p = req->data;
	struct dr_storage *s = p->s;
	struct dr_guard_head *h = &s->guard.head;

	if (status != 0 && !s->closing && p->install)
		fatal(s, DR_E_IO, "store a received snapshot", raft_strerror(status));
	if (status != 0 && !s->closing) { /* taken here */
		dr_log(DR_LOG_ERROR, "raft.snapshot.failed", "index=%" PRIu64 " reason=\"%s\"", p->index,
		       raft_strerror(status));
		s->cbs->snapshot_lost(s->ctx);
	}
	if (status == 0 && p->index >= h->snap_index) {
		h->snap_index = p->index;
		h->snap_term = p->term;
		h->snap_hash = p->hash;
		if (p->install) {
			s->guard.head.cutting = false;
			s->next = p->index + 1;
			s->chain = 0;
			s->rebase = true;
			keep(s, p->index, 0);
			set_floor_now(s, p->index, p->term);
		}
		write_record(s, true);
	}
	p->outer->cb(p->outer, status);
	dr_free(p);
}

static int hook_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
			     const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
	struct dr_storage *s = of(io);
	struct put *p = dr_xcalloc(sizeof *p);
	int rv;

	begin_late(s);
	p->s = s;
	p->outer = req;
	req->cb = cb;
	p->req.data = p;
	p->index = snapshot->index;
	p->term = snapshot->term;
	p->hash = dr_snap_hash(snapshot->bufs[0].base);
	p->install = trailing == 0;
	if (p->install) {
		/* Entries past the snapshot contradict it, else the leader would not have sent it. */
		void_from(s, 0);
		s->cuts++;
		s->guard.head.cutting = true;
		s->guard.head.ahead = 0;
		if (s->guard.head.floor > snapshot->index)
			set_floor(s, snapshot->index, 0, 0, true);
		write_record(s, true);
	}
	rv = s->inner.snapshot_put(io, trailing, &p->req, snapshot, on_put);
	if (rv != 0) {
		if (!p->install)
			s->cbs->snapshot_lost(s->ctx);
		dr_free(p);
	}
	return rv;
}

static void on_recv(struct raft_io *io, struct raft_message *m)
{
	dr_storage_recv(of(io), m);
}

/* ---- start and end ---- */

static int hook_start(struct raft_io *io, unsigned ms, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
	of(io)->recv = recv;
	return of(io)->inner.start(io, ms, tick, on_recv);
}

static int hook_load(struct raft_io *io, raft_term *term, raft_id *vote, struct raft_snapshot **snapshot,
		     raft_index *start, struct raft_entry *entries[], size_t *n)
{
	struct dr_storage *s = of(io);
	struct dr_storage_loaded l;
	int rv = s->inner.load(io, term, vote, snapshot, start, entries, n);

	if (rv != 0) {
		(void)dr_fail(
		    &s->why, DR_E_CORRUPT,
		    "%s: %s (%s); if the disk is well, this node must not vote with it: move the folder away, "
		    "remove the node from the cluster and let it join again under a new id",
		    s->log_dir, io->errmsg, raft_strerror(rv));
		return rv;
	}
	l = (struct dr_storage_loaded){ *term, *vote, *snapshot, *start, *entries, *n };
	if (dr_storage_compare(&s->guard, s->log_dir, &l, s->kept, &s->chain, &s->rebase, &s->why) != DR_OK) {
		dr_storage_release(*snapshot, *entries, *n);
		return RAFT_CORRUPT;
	}
	dr_guard_forget(&s->guard);
	s->next = *start + *n;
	keep(s, s->next - 1, s->chain);
	s->guard.head.term = *term;
	s->guard.head.vote = *vote;
	s->guard.head.pending = false;
	s->guard.head.cutting = false;
	s->guard.head.ahead = 0;
	if (*snapshot != NULL) {
		s->guard.head.snap_index = (*snapshot)->index;
		s->guard.head.snap_term = (*snapshot)->term;
		s->guard.head.snap_hash = dr_snap_hash((*snapshot)->bufs[0].base);
	}
	set_floor_now(s, s->next - 1, *n > 0 ? (*entries)[*n - 1].term : s->guard.head.snap_term);
	write_record(s, true);
	return 0;
}

static void hook_close(struct raft_io *io, raft_io_close_cb cb)
{
	struct dr_storage *s = of(io);

	begin_late(s);
	s->closing = true;
	deliver(s);
	s->inner.close(io, cb);
}

static void install_hooks(struct dr_storage *s)
{
	s->inner = s->io;
	s->io.append = hook_append;
	s->io.truncate = hook_truncate;
	s->io.set_term = hook_set_term;
	s->io.set_vote = hook_set_vote;
	s->io.snapshot_put = hook_snapshot_put;
	s->io.snapshot_get = dr_storage_snapshot_get;
	s->io.load = hook_load;
	s->io.start = hook_start;
	s->io.close = hook_close;
}

enum dr_err dr_storage_open(struct dr_storage *s, uv_loop_t *loop, const char *dir, uint64_t id,
			    struct raft_uv_transport *transport, const struct dr_storage_cbs *cbs, void *ctx,
			    struct dr_error *e)
{
	char path[DR_PATH_MAX + 64];
	enum dr_err rv;

	memset(s, 0, sizeof *s);
	s->cbs = cbs;
	s->ctx = ctx;
	s->id = id;
	s->tail = &s->head;
	if (snprintf(s->log_dir, sizeof s->log_dir, "%s/log", dir) >= (int)sizeof s->log_dir)
		return dr_fail(e, DR_E_RANGE, "data folder '%s' has too long a name", dir);
	(void)snprintf(path, sizeof path, "%s/guard", dir);
	rv = dr_guard_open(&s->guard, path, e);
	if (rv != DR_OK)
		return rv;
	if (s->guard.head.id != id)
		rv = dr_fail(e, DR_E_CORRUPT, "%s belongs to raft id %" PRIu64 ", the folder to %" PRIu64,
			     path, s->guard.head.id, id);
	if (rv == DR_OK && (rv = dr_scan_open_segments(s->log_dir, e)) == DR_E_CORRUPT)
		rv = dr_wrap(e, "this node must not vote; remove it and let it join again under a new id");
	if (rv == DR_OK && s->guard.head.cutting)
		rv = dr_repair_segments(s->log_dir, s->guard.head.floor, e);
	if (rv == DR_OK && raft_uv_init(&s->io, loop, s->log_dir, transport) != 0)
		rv = dr_fail(e, DR_E_IO, "%s: %s", s->log_dir, s->io.errmsg);
	if (rv == DR_OK && (rv = dr_syncer_start(&s->syncer, loop, s->guard.fd, on_synced, s, e)) != DR_OK)
		raft_uv_close(&s->io);
	if (rv != DR_OK) {
		dr_guard_close(&s->guard);
		return rv;
	}
	dr_guard_ahead_path(s->guard.path, path);
	dr_ahead_open(&s->ahead, loop, path, on_ahead, s);
	(void)uv_timer_init(loop, &s->flush);
	s->flush.data = s;
	install_hooks(s);
	return DR_OK;
}

static void on_part_closed(void *ctx)
{
	struct dr_storage *s = ctx;

	if (--s->closes > 0)
		return;
	(void)fdatasync(s->guard.fd);
	dr_guard_close(&s->guard);
	raft_uv_close(&s->io);
	s->closed(s->ctx);
}

static void on_handle_closed(uv_handle_t *h)
{
	on_part_closed(h->data);
}

void dr_storage_close(struct dr_storage *s, void (*closed)(void *ctx))
{
	s->closed = closed;
	s->closing = true;
	s->closes = 3;
	uv_close((uv_handle_t *)&s->flush, on_handle_closed);
	dr_ahead_close(&s->ahead, on_part_closed);
	dr_syncer_stop(&s->syncer, on_part_closed);
}
