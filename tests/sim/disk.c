/* disk.c -- see disk.h. */
#include "tests/sim/disk.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

void sim_disk_init(struct sim_disk *d)
{
	memset(d, 0, sizeof(*d));
	d->first = 1;
}

void sim_snapshot_drop(struct sim_snapshot *s)
{
	if (s->index == 0)
		return;
	raft_configuration_close(&s->conf);
	dr_free(s->bytes);
	memset(s, 0, sizeof(*s));
}

void sim_disk_close(struct sim_disk *d)
{
	sim_disk_truncate(d, d->first);
	dr_free(d->entry);
	sim_snapshot_drop(&d->snap);
	sim_disk_init(d);
}

static void *copied(const void *p, size_t n)
{
	void *to = dr_xcalloc(n > 0 ? n : 1);
	if (n > 0)
		memcpy(to, p, n);
	return to;
}

void sim_disk_append(struct sim_disk *d, const struct sim_entry *e)
{
	if (d->n == d->cap) {
		size_t cap = d->cap == 0 ? 256 : 2 * d->cap;
		struct sim_entry *more = dr_xcalloc(cap * sizeof(*more));
		if (d->n > 0)
			memcpy(more, d->entry, d->n * sizeof(*more));
		dr_free(d->entry);
		d->entry = more;
		d->cap = cap;
	}
	d->entry[d->n] = *e;
	d->entry[d->n++].bytes = copied(e->bytes, e->len);
}

void sim_disk_truncate(struct sim_disk *d, uint64_t index)
{
	while (d->n > 0 && d->first + d->n > index)
		dr_free(d->entry[--d->n].bytes);
}

static void copy_configuration(struct raft_configuration *to, const struct raft_configuration *from)
{
	raft_configuration_init(to);
	for (unsigned i = 0; i < from->n; i++)
		dr_assert(raft_configuration_add(to, from->servers[i].id, from->servers[i].address,
						 from->servers[i].role) == 0);
}

void sim_snapshot_copy(struct sim_snapshot *to, const struct sim_snapshot *from)
{
	*to = *from;
	copy_configuration(&to->conf, &from->conf);
	to->bytes = copied(from->bytes, from->len);
}

static void drop_front(struct sim_disk *d, uint64_t first)
{
	size_t gone = 0;
	while (gone < d->n && d->first + gone < first)
		dr_free(d->entry[gone++].bytes);
	memmove(d->entry, d->entry + gone, (d->n - gone) * sizeof(d->entry[0]));
	d->n -= gone;
	d->first += gone;
}

void sim_disk_snapshot(struct sim_disk *d, const struct sim_snapshot *s, unsigned trailing)
{
	sim_snapshot_drop(&d->snap);
	sim_snapshot_copy(&d->snap, s);
	if (trailing == 0) {
		sim_disk_truncate(d, d->first);
		d->first = s->index + 1;
	} else if (s->index > trailing) {
		drop_front(d, s->index - trailing + 1);
	}
}

struct raft_snapshot *sim_snapshot_for_raft(const struct sim_snapshot *s)
{
	struct raft_snapshot *r = raft_calloc(1, sizeof(*r));
	dr_assert(r != NULL);
	r->index = s->index;
	r->term = s->term;
	r->configuration_index = s->conf_index;
	copy_configuration(&r->configuration, &s->conf);
	r->bufs = raft_malloc(sizeof(*r->bufs));
	r->n_bufs = 1;
	dr_assert(r->bufs != NULL);
	r->bufs[0].len = s->len;
	r->bufs[0].base = raft_malloc(s->len);
	dr_assert(r->bufs[0].base != NULL);
	memcpy(r->bufs[0].base, s->bytes, s->len);
	return r;
}

void sim_disk_load(const struct sim_disk *d, struct raft_snapshot **snapshot, raft_index *start,
		   struct raft_entry **entries, size_t *n)
{
	size_t total = 0, at = 0;
	*snapshot = d->snap.index != 0 ? sim_snapshot_for_raft(&d->snap) : NULL;
	*start = d->first;
	*entries = NULL;
	*n = d->n;
	if (d->n == 0)
		return;
	for (size_t i = 0; i < d->n; i++)
		total += d->entry[i].len;
	uint8_t *batch = raft_malloc(total);
	*entries = raft_calloc(d->n, sizeof(**entries));
	dr_assert(batch != NULL && *entries != NULL);
	for (size_t i = 0; i < d->n; i++) {
		const struct sim_entry *e = &d->entry[i];
		memcpy(batch + at, e->bytes, e->len);
		(*entries)[i].term = e->term;
		(*entries)[i].type = e->type;
		(*entries)[i].buf = (struct raft_buffer){ .base = batch + at, .len = e->len };
		(*entries)[i].batch = batch;
		at += e->len;
	}
}

void sim_disk_unload(struct raft_snapshot *snapshot, struct raft_entry *entries, size_t n)
{
	if (snapshot != NULL) {
		raft_configuration_close(&snapshot->configuration);
		raft_free(snapshot->bufs[0].base);
		raft_free(snapshot->bufs);
		raft_free(snapshot);
	}
	if (n > 0)
		raft_free(entries[0].batch); /* they share one */
	raft_free(entries);
}
