/* beat.c -- see beat.h. */
#include "raft/beat.h"

#include "base/parse.h"
#include "raft/internal.h"
#include "raft/message.h"

static bool is_beat(const struct raft_message *m)
{
	return m->type == RAFT_APPEND_ENTRIES_RESULT ||
	       (m->type == RAFT_APPEND_ENTRIES && m->append_entries.n_entries == 0);
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
	done = is_beat(m) && dr_message_encode(&b, r->raft.id, m) &&
	       r->config.carry(r->config.ctx, m->server_id, m->type == RAFT_APPEND_ENTRIES_RESULT, b.data, b.len);
	dr_buf_close(&b);
	return done;
}

static int hook_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *m,
		     raft_io_send_cb cb)
{
	struct dr_raft *r = (struct dr_raft *)(void *)io; /* the storage is its first part, the io the storage's */
	struct raft_message said = *m;

	dr_message_complete(&said, &r->raft, &r->storage.read);
	if (!carried(r, &said))
		return dr_transport_send(&r->transport, req, &said, cb);
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
	struct dr_error e;
	const char *known;
	uint64_t to;

	if (r->closing || r->storage.recv == NULL || dr_message_decode(&m, &to, bytes, len, &e) != DR_OK)
		return;
	known = to == r->raft.id && is_beat(&m) ? address_of(r, m.server_id, from) : NULL;
	if (known == NULL) {
		dr_message_drop(&m);
		return;
	}
	(void)dr_copy_text(address, sizeof address, known); /* the membership may change inside */
	m.server_address = address;
	r->answering = m.type == RAFT_APPEND_ENTRIES ? m.server_id : 0;
	dr_storage_recv(&r->storage, &m);
	r->answering = 0;
}
