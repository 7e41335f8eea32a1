/* raft_net.c -- libraft's messages, flattened for their way through the world's network. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "tests/sim/raft_parts.h"

struct flat {
	struct raft_message m;
	uint64_t from, to; /* ids */
	uint64_t conf_bytes, body_bytes;
	uint8_t body[];
};

static size_t body_size(const struct raft_message *m)
{
	size_t n = 0;
	if (m->type == RAFT_INSTALL_SNAPSHOT)
		return m->install_snapshot.data.len;
	for (unsigned i = 0; m->type == RAFT_APPEND_ENTRIES && i < m->append_entries.n_entries; i++)
		n += sizeof(struct raft_entry) + m->append_entries.entries[i].buf.len;
	return n;
}

static struct flat *flatten(const struct raft_message *m, size_t *size)
{
	struct raft_buffer conf = { 0 };
	if (m->type == RAFT_INSTALL_SNAPSHOT)
		dr_assert(configurationEncode(&m->install_snapshot.conf, &conf) == 0);
	size_t body = body_size(m);
	*size = sizeof(struct flat) + conf.len + body;
	struct flat *f = dr_xcalloc(*size);
	f->m = *m;
	f->conf_bytes = conf.len;
	f->body_bytes = body;
	uint8_t *at = f->body;
	if (conf.len > 0)
		memcpy(at, conf.base, conf.len);
	at += conf.len;
	raft_free(conf.base);
	if (m->type == RAFT_INSTALL_SNAPSHOT)
		memcpy(at, m->install_snapshot.data.base, body);
	for (unsigned i = 0; m->type == RAFT_APPEND_ENTRIES && i < m->append_entries.n_entries; i++) {
		const struct raft_entry *e = &m->append_entries.entries[i];
		memcpy(at, e, sizeof(*e));
		memcpy(at + sizeof(*e), e->buf.base, e->buf.len);
		at += sizeof(*e) + e->buf.len;
	}
	return f;
}

static void unflatten_entries(const struct flat *f, struct raft_append_entries *a)
{
	const uint8_t *at = f->body;
	a->entries = NULL;
	if (a->n_entries == 0)
		return;
	uint8_t *batch = raft_malloc(f->body_bytes), *to = batch;
	a->entries = raft_calloc(a->n_entries, sizeof(*a->entries));
	dr_assert(batch != NULL && a->entries != NULL);
	for (unsigned i = 0; i < a->n_entries; i++) {
		struct raft_entry *e = &a->entries[i];
		memcpy(e, at, sizeof(*e));
		memcpy(to, at + sizeof(*e), e->buf.len);
		at += sizeof(*e) + e->buf.len;
		e->buf.base = to;
		e->batch = batch;
		to += e->buf.len;
	}
}

static void unflatten(struct flat *f, struct raft_message *m)
{
	*m = f->m;
	if (m->type == RAFT_APPEND_ENTRIES)
		unflatten_entries(f, &m->append_entries);
	if (m->type != RAFT_INSTALL_SNAPSHOT)
		return;
	struct raft_install_snapshot *i = &m->install_snapshot;
	struct raft_buffer conf = { .base = f->body, .len = f->conf_bytes };
	raft_configuration_init(&i->conf);
	dr_assert(configurationDecode(&conf, &i->conf) == 0);
	i->data.len = f->body_bytes;
	i->data.base = raft_malloc(f->body_bytes);
	dr_assert(i->data.base != NULL);
	memcpy(i->data.base, f->body + f->conf_bytes, f->body_bytes);
}

static void arrives(struct world *w, struct w_timer *t)
{
	struct sim_raft *r = sim_of(w)->node[t->a];
	struct flat *f = t->data;
	struct raft_message m;
	if (!r->up || r->id != f->to) /* or it has another id by now */
		return;
	if (f->m.type == RAFT_INSTALL_SNAPSHOT && r->node.raft.legacy.snapshot_taking)
		return;
	unflatten(f, &m);
	m.server_id = f->from;
	m.server_address = w->c[t->b].name;
	r->recv(&r->io, &m);
	sim_raft_pump(r);
}

static void was_sent(struct world *w, struct w_timer *t)
{
	struct sim_raft *r = sim_raft_alive(w, t);
	if (r == NULL || r->sent == NULL)
		return;
	struct sent *x = r->sent;
	r->sent = x->next;
	x->cb(x->req, 0);
	dr_free(x);
	sim_raft_pump(r);
}

int sim_raft_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *m, raft_io_send_cb cb)
{
	struct sim_raft *r = sim_raft_of(io);
	struct world *w = r->s->w;
	int to = sim_seat_of(r->s, m->server_id);
	size_t size;
	struct sent *x = dr_xcalloc(sizeof(*x)), **at = &r->sent;
	*x = (struct sent){ .req = req, .cb = cb };
	while (*at != NULL)
		at = &(*at)->next;
	*at = x;
	(void)sim_raft_later(r, 0, was_sent);
	if (to < 0) /* nobody has this id any more */
		return 0;
	struct flat *f = flatten(m, &size);
	f->from = r->id;
	f->to = m->server_id;
	/* libraft leaves it unset in some answers, and what lay in memory must not decide anything here. */
	if (m->type == RAFT_APPEND_ENTRIES_RESULT && m->append_entries_result.rejected != 0)
		f->m.append_entries_result.last_log_index = raft_last_index(&r->node.raft);
	struct w_timer *t = w_send(w, w->c[r->ci].site, w->c[to].site, w_proc(W_COORD, (uint32_t)to), arrives);
	t->a = (uint32_t)to;
	t->b = r->ci;
	t->data = f;
	t->size = (uint32_t)size;
	return 0;
}

