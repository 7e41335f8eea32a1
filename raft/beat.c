/* beat.c -- see beat.h. */
#include "raft/beat.h"

#include <string.h>

#include "base/parse.h"
#include "raft/internal.h"

bool dr_beat_encode(struct dr_buf *out, uint64_t from, const struct raft_message *m)
{
	const struct raft_append_entries *a = &m->append_entries;
	const struct raft_append_entries_result *r = &m->append_entries_result;
	bool beat = m->type == RAFT_APPEND_ENTRIES && a->n_entries == 0;

	if (!beat && m->type != RAFT_APPEND_ENTRIES_RESULT)
		return false;
	dr_buf_put_u8(out, (uint8_t)m->type);
	dr_buf_put_u8(out, beat ? a->version : r->version);
	dr_buf_put_u64be(out, from);
	dr_buf_put_u64be(out, m->server_id);
	if (beat) {
		dr_buf_put_u64be(out, a->term);
		dr_buf_put_u64be(out, a->prev_log_index);
		dr_buf_put_u64be(out, a->prev_log_term);
		dr_buf_put_u64be(out, a->leader_commit);
	} else {
		dr_buf_put_u64be(out, r->term);
		dr_buf_put_u64be(out, r->rejected);
		dr_buf_put_u64be(out, r->last_log_index);
		dr_buf_put_u16be(out, r->features);
		dr_buf_put_u16be(out, r->capacity);
	}
	return dr_buf_ok(out);
}

bool dr_beat_decode(struct raft_message *m, uint64_t *to, const uint8_t *bytes, size_t len)
{
	struct dr_view v = dr_view_of(bytes, len);
	uint8_t type = dr_view_u8(&v), version = dr_view_u8(&v);

	memset(m, 0, sizeof *m);
	m->server_id = dr_view_u64be(&v);
	*to = dr_view_u64be(&v);
	if (type == RAFT_APPEND_ENTRIES) {
		struct raft_append_entries *a = &m->append_entries;

		m->type = RAFT_APPEND_ENTRIES;
		a->version = version;
		a->term = dr_view_u64be(&v);
		a->prev_log_index = dr_view_u64be(&v);
		a->prev_log_term = dr_view_u64be(&v);
		a->leader_commit = dr_view_u64be(&v);
	} else if (type == RAFT_APPEND_ENTRIES_RESULT) {
		struct raft_append_entries_result *r = &m->append_entries_result;

		m->type = RAFT_APPEND_ENTRIES_RESULT;
		r->version = version;
		r->term = dr_view_u64be(&v);
		r->rejected = dr_view_u64be(&v);
		r->last_log_index = dr_view_u64be(&v);
		r->features = dr_view_u16be(&v);
		r->capacity = dr_view_u16be(&v);
	} else {
		return false;
	}
	return !v.bad && dr_view_left(&v) == 0 && m->server_id != 0;
}

/* Nothing is on its way to that follower.  A heartbeat that overtakes entries or a snapshot is refused for what it
 * builds on, and libraft sends all of that again. */
static bool is_quiet(const struct dr_raft *r, const struct raft_message *m)
{
	raft_index match = 0;

	return raft_match_index(&r->raft, m->server_id, &match) == 0 &&
	       match == m->append_entries.prev_log_index;
}

/* Of answers only those that a carried heartbeat gets at once and that say what was said already: the other side
 * may read them as late as at its next heartbeat, and is to hear without delay of entries, refusals and
 * whoever follows it anew. */
static bool may_go(struct dr_raft *r, const struct raft_message *m)
{
	const struct raft_append_entries_result *a = &m->append_entries_result;
	bool again;

	if (m->type == RAFT_APPEND_ENTRIES)
		return is_quiet(r, m);
	if (m->type != RAFT_APPEND_ENTRIES_RESULT)
		return false;
	again = r->said.to == m->server_id && r->said.term == a->term && r->said.last == a->last_log_index;
	r->said.to = a->rejected == 0 ? m->server_id : 0;
	r->said.term = a->term;
	r->said.last = a->last_log_index;
	return again && a->rejected == 0 && r->answering == m->server_id;
}

static bool carried(struct dr_raft *r, const struct raft_message *m)
{
	struct dr_buf b;
	bool done;

	if (r->closing || r->config.carry == NULL || !may_go(r, m))
		return false;
	dr_buf_init(&b, DR_BEAT_MAX);
	done = dr_beat_encode(&b, r->raft.id, m) &&
	       r->config.carry(r->config.ctx, m->server_id, m->type == RAFT_APPEND_ENTRIES_RESULT, b.data, b.len);
	dr_buf_close(&b);
	return done;
}

static int hook_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *m,
		     raft_io_send_cb cb)
{
	struct dr_raft *r = (struct dr_raft *)(void *)io; /* the storage is its first part, the io the storage's */

	if (!carried(r, m))
		return r->storage.inner.send(io, req, m, cb);
	cb(req, 0); /* frees what m stands in */
	return 0;
}

void dr_beat_install(struct dr_raft *r)
{
	r->storage.io.send = hook_send;
}

/* The address text of the membership, which libraft compares and keeps; NULL: no such member of that name. */
static const char *address_of(const struct dr_raft *r, uint64_t id, const struct dr_name *from)
{
	const struct raft_configuration *c = &r->raft.configuration;
	struct dr_name name;
	struct dr_address at;
	struct dr_error e;

	for (unsigned i = 0; i < c->n; i++) {
		if (c->servers[i].id == id && dr_raft_address_parse(c->servers[i].address, &name, &at, &e) == DR_OK &&
		    dr_name_eq(&name, from))
			return c->servers[i].address;
	}
	return NULL;
}

void dr_raft_carried(struct dr_raft *r, const struct dr_name *from, const uint8_t *bytes, size_t len)
{
	char address[DR_RAFT_ADDRESS_MAX];
	struct raft_message m;
	const char *known;
	uint64_t to;

	if (r->closing || r->storage.recv == NULL || !dr_beat_decode(&m, &to, bytes, len) || to != r->raft.id)
		return;
	known = address_of(r, m.server_id, from);
	if (known == NULL)
		return;
	(void)dr_copy_text(address, sizeof address, known); /* the membership may change inside */
	m.server_address = address;
	r->answering = m.type == RAFT_APPEND_ENTRIES ? m.server_id : 0;
	r->storage.recv(&r->storage.io, &m);
	r->answering = 0;
}
