/* message.c -- see message.h. */
#include "raft/message.h"

#include <inttypes.h>
#include <string.h>

#include "base/limits.h"

enum {
	ENTRY_HEAD = 13,
	FLAG_FIRST = 1, /* disrupts, or granted */
	FLAG_PRE_VOTE = 2,
	ADDRESS_MAX = DR_NAME_MAX + DR_HOST_MAX + 16,
	CHANGE_MAX = 8192 /* bytes of a membership in an entry */
};

/* ---- encoding ---- */

static void put_append(struct dr_buf *out, const struct raft_append_entries *a)
{
	size_t bytes = 0;
	unsigned n = 0;

	while (n < a->n_entries && (n == 0 || bytes + a->entries[n].buf.len <= DR_MESSAGE_APPEND_MAX))
		bytes += a->entries[n++].buf.len;
	dr_buf_put_u64be(out, a->prev_log_index);
	dr_buf_put_u64be(out, a->prev_log_term);
	dr_buf_put_u64be(out, a->leader_commit);
	dr_buf_put_u32be(out, n);
	for (unsigned i = 0; i < n; i++) {
		const struct raft_entry *t = &a->entries[i];

		dr_buf_put_u64be(out, t->term);
		dr_buf_put_u8(out, (uint8_t)t->type);
		dr_buf_put_u32be(out, (uint32_t)t->buf.len);
		dr_buf_put(out, t->buf.base, t->buf.len);
	}
}

static void put_install(struct dr_buf *out, const struct raft_install_snapshot *s)
{
	dr_buf_put_u64be(out, s->last_index);
	dr_buf_put_u64be(out, s->last_term);
	dr_buf_put_u64be(out, s->conf_index);
	dr_buf_put_u16be(out, (uint16_t)s->conf.n);
	for (unsigned i = 0; i < s->conf.n; i++) {
		const struct raft_server *v = &s->conf.servers[i];
		size_t len = strlen(v->address);

		dr_buf_put_u64be(out, v->id);
		dr_buf_put_u8(out, (uint8_t)v->role);
		dr_buf_put_u16be(out, (uint16_t)len);
		dr_buf_put(out, v->address, len);
	}
	dr_buf_put(out, s->data.base, s->data.len);
}

/* Every version's fields have the same places; which of them libraft reads is its business. */
static void put_head(struct dr_buf *out, const struct raft_message *m, uint8_t version, uint64_t from, uint64_t term)
{
	dr_buf_put_u8(out, (uint8_t)m->type);
	dr_buf_put_u8(out, version);
	dr_buf_put_u64be(out, from);
	dr_buf_put_u64be(out, m->server_id);
	dr_buf_put_u64be(out, term);
}

static void put_vote(struct dr_buf *out, const struct raft_request_vote *v)
{
	dr_buf_put_u64be(out, v->candidate_id);
	dr_buf_put_u64be(out, v->last_log_index);
	dr_buf_put_u64be(out, v->last_log_term);
	dr_buf_put_u8(out, (uint8_t)((v->disrupt_leader ? FLAG_FIRST : 0) | (v->pre_vote ? FLAG_PRE_VOTE : 0)));
}

static void put_vote_result(struct dr_buf *out, const struct raft_request_vote_result *r)
{
	dr_buf_put_u8(out, (uint8_t)((r->vote_granted ? FLAG_FIRST : 0) | (r->pre_vote ? FLAG_PRE_VOTE : 0)));
	dr_buf_put_u16be(out, r->features);
	dr_buf_put_u16be(out, r->capacity);
}

static void put_append_result(struct dr_buf *out, const struct raft_append_entries_result *r)
{
	dr_buf_put_u64be(out, r->rejected);
	dr_buf_put_u64be(out, r->last_log_index);
	dr_buf_put_u16be(out, r->features);
	dr_buf_put_u16be(out, r->capacity);
}

bool dr_message_encode(struct dr_buf *out, uint64_t from, const struct raft_message *m)
{
	switch (m->type) {
	case RAFT_REQUEST_VOTE:
		put_head(out, m, m->request_vote.version, from, m->request_vote.term);
		put_vote(out, &m->request_vote);
		break;
	case RAFT_REQUEST_VOTE_RESULT:
		put_head(out, m, m->request_vote_result.version, from, m->request_vote_result.term);
		put_vote_result(out, &m->request_vote_result);
		break;
	case RAFT_APPEND_ENTRIES:
		put_head(out, m, m->append_entries.version, from, m->append_entries.term);
		put_append(out, &m->append_entries);
		break;
	case RAFT_APPEND_ENTRIES_RESULT:
		put_head(out, m, m->append_entries_result.version, from, m->append_entries_result.term);
		put_append_result(out, &m->append_entries_result);
		break;
	case RAFT_INSTALL_SNAPSHOT:
		put_head(out, m, m->install_snapshot.version, from, m->install_snapshot.term);
		put_install(out, &m->install_snapshot);
		break;
	case RAFT_TIMEOUT_NOW:
		put_head(out, m, m->timeout_now.version, from, m->timeout_now.term);
		dr_buf_put_u64be(out, m->timeout_now.last_log_index);
		dr_buf_put_u64be(out, m->timeout_now.last_log_term);
		break;
	default: return false;
	}
	return dr_buf_ok(out);
}

/* ---- decoding ---- */

static uint64_t le64(const uint8_t *p)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static bool is_role(uint8_t role)
{
	return role == RAFT_STANDBY || role == RAFT_VOTER || role == RAFT_SPARE;
}

/* In libraft's form: u64 id, address with its NUL, u8 role; at *at, which goes on behind it. */
static bool is_server(const uint8_t *p, size_t n, size_t *at)
{
	const uint8_t *nul;

	if (n - *at < 8 || le64(p + *at) == 0)
		return false;
	nul = memchr(p + *at + 8, '\0', n - *at - 8);
	if (nul == NULL || nul + 1 == p + n)
		return false;
	*at = (size_t)(nul - p) + 2;
	return is_role(nul[1]);
}

/* What libraft makes of an entry that changes the membership: u8 1, u64 servers (little endian), and these.  One that
 * it refuses, for two servers with one id as well, is freed twice there. */
static bool is_change(const uint8_t *p, size_t n)
{
	size_t at = 9, from[DR_COORDINATORS_MAX];
	uint64_t servers = n < at ? 0 : le64(p + 1);

	if (servers == 0 || servers > DR_COORDINATORS_MAX || p[0] != 1)
		return false;
	for (unsigned i = 0; i < servers; i++) {
		from[i] = at;
		if (!is_server(p, n, &at))
			return false;
		for (unsigned k = 0; k < i; k++) {
			if (le64(p + from[k]) == le64(p + from[i]) ||
			    strcmp((const char *)p + from[k] + 8, (const char *)p + from[i] + 8) == 0)
				return false;
		}
	}
	return true;
}

/* libraft steps over an entry by its length rounded up to 8, and makes nothing of entries that are empty. */
static bool is_entry(uint8_t type, uint32_t len, const uint8_t *bytes)
{
	if (bytes == NULL || len == 0 || len % 8 != 0)
		return false;
	if (type == RAFT_CHANGE)
		return len <= CHANGE_MAX && is_change(bytes, len);
	return type == RAFT_COMMAND || type == RAFT_BARRIER;
}

/* Read n entries: into t with their bytes in batch, or, with t NULL, only whether they are well.  Their bytes in all. */
static size_t get_entries(struct dr_view *v, uint32_t n, struct raft_entry *t, uint8_t *batch)
{
	size_t all = 0;

	for (uint32_t i = 0; i < n && !v->bad; i++) {
		uint64_t term = dr_view_u64be(v);
		uint8_t type = dr_view_u8(v);
		uint32_t len = dr_view_u32be(v);
		const uint8_t *bytes = dr_view_bytes(v, len);

		if (!is_entry(type, len, bytes)) {
			v->bad = true;
			break;
		}
		if (t != NULL) {
			t[i] = (struct raft_entry){ .term = term, .type = type, .batch = batch };
			t[i].buf = (struct raft_buffer){ .base = batch + all, .len = len };
			memcpy(batch + all, bytes, len);
		}
		all += len;
	}
	return all;
}

static void get_append(struct dr_view *v, struct raft_append_entries *a)
{
	struct dr_view again;
	uint8_t *batch;
	uint32_t n;
	size_t all;

	a->prev_log_index = dr_view_u64be(v);
	a->prev_log_term = dr_view_u64be(v);
	a->leader_commit = dr_view_u64be(v);
	n = dr_view_u32be(v);
	v->bad = v->bad || n > dr_view_left(v) / ENTRY_HEAD;
	again = *v;
	all = get_entries(v, n, NULL, NULL);
	if (v->bad || dr_view_left(v) > 0 || n == 0)
		return;
	a->entries = raft_calloc(n, sizeof *a->entries);
	batch = raft_malloc(all);
	if (a->entries == NULL || batch == NULL) {
		raft_free(a->entries);
		raft_free(batch);
		a->entries = NULL;
		v->bad = true;
		return;
	}
	a->n_entries = n;
	(void)get_entries(&again, n, a->entries, batch);
}

/* libraft refuses two servers with one id or one address, and none. */
static void get_membership(struct dr_view *v, struct raft_configuration *conf)
{
	char address[ADDRESS_MAX];
	uint16_t n = dr_view_u16be(v);

	v->bad = v->bad || n == 0 || n > DR_COORDINATORS_MAX;
	for (uint16_t i = 0; i < n && !v->bad; i++) {
		uint64_t id = dr_view_u64be(v);
		uint8_t role = dr_view_u8(v);
		uint16_t len = dr_view_u16be(v);
		const uint8_t *text = dr_view_bytes(v, len);

		if (text == NULL || len == 0 || len >= sizeof address || memchr(text, '\0', len) != NULL || id == 0 ||
		    !is_role(role)) {
			v->bad = true;
			return;
		}
		memcpy(address, text, len);
		address[len] = '\0';
		v->bad = raft_configuration_add(conf, id, address, role) != 0;
	}
}

static void get_install(struct dr_view *v, struct raft_install_snapshot *s)
{
	const uint8_t *data;
	size_t len;

	s->last_index = dr_view_u64be(v);
	s->last_term = dr_view_u64be(v);
	s->conf_index = dr_view_u64be(v);
	raft_configuration_init(&s->conf);
	get_membership(v, &s->conf);
	len = dr_view_left(v);
	data = dr_view_bytes(v, len);
	if (!v->bad && len > 0 && len <= DR_MESSAGE_SNAPSHOT_MAX && (s->data.base = raft_malloc(len)) != NULL) {
		memcpy(s->data.base, data, len);
		s->data.len = len;
		return;
	}
	v->bad = true;
	raft_configuration_close(&s->conf);
}

static void get_vote(struct dr_view *v, struct raft_request_vote *r)
{
	uint8_t flags;

	r->candidate_id = dr_view_u64be(v);
	r->last_log_index = dr_view_u64be(v);
	r->last_log_term = dr_view_u64be(v);
	flags = dr_view_u8(v);
	r->disrupt_leader = (flags & FLAG_FIRST) != 0;
	r->pre_vote = (flags & FLAG_PRE_VOTE) != 0;
	v->bad = v->bad || flags > (FLAG_FIRST | FLAG_PRE_VOTE);
}

static void get_vote_result(struct dr_view *v, struct raft_request_vote_result *r)
{
	uint8_t flags = dr_view_u8(v);

	r->vote_granted = (flags & FLAG_FIRST) != 0;
	r->pre_vote = (flags & FLAG_PRE_VOTE) != 0;
	r->features = dr_view_u16be(v);
	r->capacity = dr_view_u16be(v);
	v->bad = v->bad || flags > (FLAG_FIRST | FLAG_PRE_VOTE);
}

static void get_append_result(struct dr_view *v, struct raft_append_entries_result *r)
{
	r->rejected = dr_view_u64be(v);
	r->last_log_index = dr_view_u64be(v);
	r->features = dr_view_u16be(v);
	r->capacity = dr_view_u16be(v);
}

static void get_body(struct dr_view *v, struct raft_message *m, uint8_t version, uint64_t term)
{
	switch (m->type) {
	case RAFT_REQUEST_VOTE:
		m->request_vote = (struct raft_request_vote){ .version = version, .term = term };
		get_vote(v, &m->request_vote);
		/* The vote is noted down for the candidate and told to the sender: two might have one vote. */
		v->bad = v->bad || m->request_vote.candidate_id != m->server_id;
		break;
	case RAFT_REQUEST_VOTE_RESULT:
		m->request_vote_result = (struct raft_request_vote_result){ .version = version, .term = term };
		get_vote_result(v, &m->request_vote_result);
		break;
	case RAFT_APPEND_ENTRIES:
		m->append_entries = (struct raft_append_entries){ .version = version, .term = term };
		get_append(v, &m->append_entries);
		break;
	case RAFT_APPEND_ENTRIES_RESULT:
		m->append_entries_result = (struct raft_append_entries_result){ .version = version, .term = term };
		get_append_result(v, &m->append_entries_result);
		break;
	case RAFT_INSTALL_SNAPSHOT:
		m->install_snapshot = (struct raft_install_snapshot){ .version = version, .term = term };
		get_install(v, &m->install_snapshot);
		break;
	case RAFT_TIMEOUT_NOW:
		m->timeout_now = (struct raft_timeout_now){ .version = version, .term = term };
		m->timeout_now.last_log_index = dr_view_u64be(v);
		m->timeout_now.last_log_term = dr_view_u64be(v);
		break;
	default: v->bad = true;
	}
}

enum dr_err dr_message_decode(struct raft_message *m, uint64_t *to, const uint8_t *bytes, size_t len,
			      struct dr_error *e)
{
	struct dr_view v = dr_view_of(bytes, len);
	uint8_t type = dr_view_u8(&v), version = dr_view_u8(&v);
	uint64_t term;

	memset(m, 0, sizeof *m);
	m->type = type;
	m->server_id = dr_view_u64be(&v);
	*to = dr_view_u64be(&v);
	term = dr_view_u64be(&v);
	v.bad = v.bad || m->server_id == 0;
	if (!v.bad)
		get_body(&v, m, version, term);
	if (!v.bad && dr_view_left(&v) == 0)
		return DR_OK;
	if (!v.bad)
		dr_message_drop(m);
	return dr_fail(e, DR_E_PROTOCOL, "a raft message of type %u and %zu bytes is garbled", type, len);
}

void dr_message_complete(struct raft_message *m, struct raft *of, const struct dr_snapshot_end *read)
{
	struct raft_request_vote_result *vote = &m->request_vote_result;

	if (m->type == RAFT_APPEND_ENTRIES_RESULT && m->append_entries_result.rejected != 0)
		m->append_entries_result.last_log_index = raft_last_index(of);
	if (m->type == RAFT_REQUEST_VOTE_RESULT && vote->pre_vote && !vote->vote_granted && vote->term < of->current_term)
		vote->term = of->current_term;
	if (m->type == RAFT_INSTALL_SNAPSHOT && m->install_snapshot.last_index == read->index)
		m->install_snapshot.last_term = read->term;
}

void dr_message_drop(struct raft_message *m)
{
	if (m->type == RAFT_APPEND_ENTRIES && m->append_entries.n_entries > 0) {
		raft_free(m->append_entries.entries[0].batch); /* they share one */
		raft_free(m->append_entries.entries);
	} else if (m->type == RAFT_INSTALL_SNAPSHOT) {
		raft_configuration_close(&m->install_snapshot.conf);
		raft_free(m->install_snapshot.data.base);
	}
}
