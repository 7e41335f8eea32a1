/* test_raft_message.c -- raft's messages as bytes: each kind there and back, and no lie about lengths gets through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "raft/message.h"

/* Encode m from 7, decode it again into *back; every shorter or longer form is refused. */
static void there_and_back(const struct raft_message *m, struct raft_message *back)
{
	struct dr_buf b;
	struct dr_error e = { 0 };
	uint64_t to = 0;

	dr_buf_init(&b, DR_MESSAGE_MAX);
	assert_true(dr_message_encode(&b, 7, m));
	for (size_t n = 0; m->type != RAFT_INSTALL_SNAPSHOT && n < b.len; n++) {
		/* A copy of its own: one byte too far is found by the sanitizer. */
		uint8_t *part = malloc(n > 0 ? n : 1);
		assert_non_null(part);
		memcpy(part, b.data, n);
		assert_int_equal(dr_message_decode(back, &to, part, n, &e), DR_E_PROTOCOL);
		assert_true(e.msg[0] != '\0');
		free(part);
	}
	if (m->type != RAFT_INSTALL_SNAPSHOT) {
		dr_buf_put_u8(&b, 0);
		assert_int_equal(dr_message_decode(back, &to, b.data, b.len, &e), DR_E_PROTOCOL);
		b.len--; /* the byte that was too much */
	}
	assert_int_equal(dr_message_decode(back, &to, b.data, b.len, &e), DR_OK);
	assert_int_equal(to, m->server_id);
	assert_int_equal(back->server_id, 7);
	assert_int_equal(back->type, m->type);
	dr_buf_close(&b);
}

static void test_votes(void **state)
{
	struct raft_message m = { .type = RAFT_REQUEST_VOTE, .server_id = UINT64_MAX }, back;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		m.type = RAFT_REQUEST_VOTE;
		m.request_vote = (struct raft_request_vote){ .version = 2, .term = 5, .candidate_id = 7,
			.last_log_index = 1ull << 40, .last_log_term = 4, .disrupt_leader = i & 1, .pre_vote = i & 2 };
		there_and_back(&m, &back);
		assert_int_equal(back.request_vote.version, 2);
		assert_int_equal(back.request_vote.term, 5);
		assert_int_equal(back.request_vote.candidate_id, 7);
		assert_int_equal(back.request_vote.last_log_index, 1ull << 40);
		assert_int_equal(back.request_vote.last_log_term, 4);
		assert_int_equal(back.request_vote.disrupt_leader, (i & 1) != 0);
		assert_int_equal(back.request_vote.pre_vote, (i & 2) != 0);
		m.type = RAFT_REQUEST_VOTE_RESULT;
		m.request_vote_result = (struct raft_request_vote_result){ .version = 1, .term = 6,
			.vote_granted = i & 1, .pre_vote = i & 2, .features = 3, .capacity = 24566 };
		there_and_back(&m, &back);
		assert_int_equal(back.request_vote_result.version, 1);
		assert_int_equal(back.request_vote_result.term, 6);
		assert_int_equal(back.request_vote_result.vote_granted, (i & 1) != 0);
		assert_int_equal(back.request_vote_result.pre_vote, (i & 2) != 0);
		assert_int_equal(back.request_vote_result.features, 3);
		assert_int_equal(back.request_vote_result.capacity, 24566);
	}
}

static void test_answers(void **state)
{
	struct raft_message m = { .type = RAFT_APPEND_ENTRIES_RESULT, .server_id = 9 }, back;
	const struct raft_append_entries_result *r = &back.append_entries_result;

	(void)state;
	m.append_entries_result = (struct raft_append_entries_result){ .version = 1, .term = 5, .rejected = 8,
		.last_log_index = 1ull << 41, .features = 1, .capacity = 24566 };
	there_and_back(&m, &back);
	assert_int_equal(r->version, 1);
	assert_int_equal(r->term, 5);
	assert_int_equal(r->rejected, 8);
	assert_int_equal(r->last_log_index, 1ull << 41);
	assert_int_equal(r->features, 1);
	assert_int_equal(r->capacity, 24566);
	m.type = RAFT_TIMEOUT_NOW;
	m.timeout_now = (struct raft_timeout_now){ .version = 1, .term = 5, .last_log_index = 11, .last_log_term = 4 };
	there_and_back(&m, &back);
	assert_int_equal(back.timeout_now.term, 5);
	assert_int_equal(back.timeout_now.last_log_index, 11);
	assert_int_equal(back.timeout_now.last_log_term, 4);
}

/* libraft's own form of a membership, as it stands in an entry: one server, or two. */
static size_t membership(uint8_t *out, unsigned servers, uint64_t second)
{
	static const char address[] = "c-a@10.1.0.10:7400", other[] = "c-b@10.1.0.11:7400";
	size_t n = 9;

	memset(out, 0, 96);
	out[0] = 1;
	out[1] = (uint8_t)servers;
	for (unsigned i = 0; i < servers; i++) {
		out[n] = (uint8_t)(i == 0 ? 7 : second);
		memcpy(out + n + 8, i == 0 ? address : other, sizeof address);
		n += 8 + sizeof address;
		out[n++] = RAFT_VOTER;
	}
	return (n + 7) & ~(size_t)7;
}

static void test_append(void **state)
{
	uint8_t bytes[24] = "some command, padded", change[96];
	struct raft_entry entry[3] = {
		{ .term = 3, .type = RAFT_COMMAND, .buf = { bytes, sizeof bytes } },
		{ .term = 4, .type = RAFT_BARRIER, .buf = { bytes, 8 } },
		{ .term = 5, .type = RAFT_CHANGE, .buf = { change, membership(change, 2, 9) } },
	};
	struct raft_message m = { .type = RAFT_APPEND_ENTRIES, .server_id = 9 }, back;
	const struct raft_append_entries *a = &back.append_entries;

	(void)state;
	m.append_entries = (struct raft_append_entries){
		.version = 1, .term = 5, .prev_log_index = 1ull << 40, .prev_log_term = 4, .leader_commit = 99
	};
	there_and_back(&m, &back);
	assert_int_equal(a->prev_log_index, 1ull << 40);
	assert_int_equal(a->prev_log_term, 4);
	assert_int_equal(a->leader_commit, 99);
	assert_int_equal(a->n_entries, 0);
	assert_null(a->entries);
	m.append_entries.entries = entry;
	m.append_entries.n_entries = 3;
	there_and_back(&m, &back);
	assert_int_equal(a->n_entries, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(a->entries[i].term, entry[i].term);
		assert_int_equal(a->entries[i].type, entry[i].type);
		assert_int_equal(a->entries[i].buf.len, entry[i].buf.len);
		assert_memory_equal(a->entries[i].buf.base, entry[i].buf.base, entry[i].buf.len);
		assert_ptr_equal(a->entries[i].batch, a->entries[0].batch);
		assert_int_equal((uintptr_t)a->entries[i].buf.base % 8, 0);
	}
	dr_message_drop(&back);
}

/* More than one message may bear: the first of them go, one at least. */
static void test_append_is_bounded(void **state)
{
	enum { LEN = 400 << 10 };
	uint8_t *bytes = calloc(1, LEN);
	struct raft_entry entry[4];
	struct raft_message m = { .type = RAFT_APPEND_ENTRIES, .server_id = 9 }, back;

	(void)state;
	assert_non_null(bytes);
	for (unsigned i = 0; i < 4; i++)
		entry[i] = (struct raft_entry){ .term = 3, .type = RAFT_COMMAND, .buf = { bytes, LEN } };
	m.append_entries = (struct raft_append_entries){ .version = 1, .term = 5, .entries = entry, .n_entries = 4 };
	struct dr_buf b;
	struct dr_error e;
	uint64_t to;
	dr_buf_init(&b, DR_MESSAGE_MAX);
	assert_true(dr_message_encode(&b, 7, &m));
	assert_int_equal(dr_message_decode(&back, &to, b.data, b.len, &e), DR_OK);
	assert_int_equal(back.append_entries.n_entries, 2);
	dr_message_drop(&back);
	dr_buf_close(&b);
	dr_buf_init(&b, LEN);
	assert_false(dr_message_encode(&b, 7, &m)); /* no room for it */
	dr_buf_close(&b);
	free(bytes);
}

static void test_install(void **state)
{
	uint8_t data[100] = "the state";
	struct raft_message m = { .type = RAFT_INSTALL_SNAPSHOT, .server_id = 9 }, back;
	const struct raft_install_snapshot *s = &back.install_snapshot;

	(void)state;
	m.install_snapshot = (struct raft_install_snapshot){ .version = 1, .term = 5, .last_index = 100, .last_term = 4,
		.conf_index = 2, .data = { data, sizeof data } };
	raft_configuration_init(&m.install_snapshot.conf);
	assert_int_equal(raft_configuration_add(&m.install_snapshot.conf, 7, "c-a@10.1.0.10:7400", RAFT_VOTER), 0);
	assert_int_equal(raft_configuration_add(&m.install_snapshot.conf, 9, "c-b@[fd00::1]:7400", RAFT_SPARE), 0);
	there_and_back(&m, &back);
	assert_int_equal(s->last_index, 100);
	assert_int_equal(s->last_term, 4);
	assert_int_equal(s->conf_index, 2);
	assert_int_equal(s->conf.n, 2);
	assert_string_equal(s->conf.servers[1].address, "c-b@[fd00::1]:7400");
	assert_int_equal(s->conf.servers[1].role, RAFT_SPARE);
	assert_int_equal(s->data.len, sizeof data);
	assert_memory_equal(s->data.base, data, sizeof data);
	dr_message_drop(&back);
	raft_configuration_close(&m.install_snapshot.conf);
}

/* ---- lies ---- */

static struct dr_buf said;

static void begin(uint8_t type)
{
	dr_buf_close(&said);
	dr_buf_init(&said, 4096);
	dr_buf_put_u8(&said, type);
	dr_buf_put_u8(&said, 1);
	dr_buf_put_u64be(&said, 7);
	dr_buf_put_u64be(&said, 9);
	dr_buf_put_u64be(&said, 5);
}

static enum dr_err verdict(void)
{
	struct raft_message m;
	struct dr_error e = { 0 };
	uint64_t to;
	uint8_t *copy = malloc(said.len);
	assert_non_null(copy);
	memcpy(copy, said.data, said.len);
	enum dr_err rv = dr_message_decode(&m, &to, copy, said.len, &e);

	free(copy);
	if (rv == DR_OK)
		dr_message_drop(&m);
	return rv;
}

static enum dr_err append(uint32_t entries, uint8_t type, uint32_t len, const void *bytes, size_t there)
{
	begin(RAFT_APPEND_ENTRIES);
	for (unsigned i = 0; i < 3; i++)
		dr_buf_put_u64be(&said, i);
	dr_buf_put_u32be(&said, entries);
	dr_buf_put_u64be(&said, 3);
	dr_buf_put_u8(&said, type);
	dr_buf_put_u32be(&said, len);
	dr_buf_put(&said, bytes, there);
	return verdict();
}

static enum dr_err install(uint16_t servers, uint64_t first, uint64_t second, uint8_t role, uint16_t len)
{
	static const char text[] = "c-a@10.1.0.10:7400";

	begin(RAFT_INSTALL_SNAPSHOT);
	for (unsigned i = 0; i < 3; i++)
		dr_buf_put_u64be(&said, i);
	dr_buf_put_u16be(&said, servers);
	for (unsigned i = 0; i < 2; i++) {
		dr_buf_put_u64be(&said, i == 0 ? first : second);
		dr_buf_put_u8(&said, role);
		dr_buf_put_u16be(&said, len);
		dr_buf_put(&said, text, sizeof text - 2);
		dr_buf_put_u8(&said, (uint8_t)('0' + i));
	}
	dr_buf_put(&said, "the state", 9);
	return verdict();
}

static void test_lies(void **state)
{
	static const uint32_t entries[] = { 2, 1 << 20, UINT32_MAX };
	static const uint32_t lengths[] = { 0, 7, 12, 16, UINT32_MAX };
	static const uint8_t types[] = { 0, 9, 255 };
	uint8_t change[96];
	size_t n;

	(void)state;
	assert_int_equal(append(1, RAFT_COMMAND, 8, "8 bytes", 8), DR_OK);
	for (unsigned i = 0; i < sizeof entries / sizeof entries[0]; i++)
		assert_int_equal(append(entries[i], RAFT_COMMAND, 8, "8 bytes", 8), DR_E_PROTOCOL);
	for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
		assert_int_equal(append(1, RAFT_COMMAND, lengths[i], "8 bytes", 8), DR_E_PROTOCOL);
	for (unsigned i = 0; i < sizeof types; i++) {
		assert_int_equal(append(1, types[i], 8, "8 bytes", 8), DR_E_PROTOCOL);
		begin(types[i]);
		assert_int_equal(verdict(), DR_E_PROTOCOL);
	}
	n = membership(change, 1, 0);
	assert_int_equal(append(1, RAFT_CHANGE, (uint32_t)n, change, n), DR_OK);
	n = membership(change, 2, 7); /* one id for two: libraft frees that twice */
	assert_int_equal(append(1, RAFT_CHANGE, (uint32_t)n, change, n), DR_E_PROTOCOL);
	n = membership(change, 2, 0);
	assert_int_equal(append(1, RAFT_CHANGE, (uint32_t)n, change, n), DR_E_PROTOCOL);
	n = membership(change, 1, 0);
	change[1] = 2; /* and tells of one */
	assert_int_equal(append(1, RAFT_CHANGE, (uint32_t)n, change, n), DR_E_PROTOCOL);
	change[1] = 1;
	change[0] = 2;
	assert_int_equal(append(1, RAFT_CHANGE, (uint32_t)n, change, n), DR_E_PROTOCOL);
	memset(change + 9, 'x', n - 9); /* no end of the address */
	assert_int_equal(append(1, RAFT_CHANGE, (uint32_t)n, change, n), DR_E_PROTOCOL);
	assert_int_equal(append(1, RAFT_CHANGE, 8, change, 8), DR_E_PROTOCOL);

	assert_int_equal(install(2, 7, 9, RAFT_VOTER, 18), DR_OK);
	assert_int_equal(install(0, 7, 9, RAFT_VOTER, 18), DR_E_PROTOCOL);
	assert_int_equal(install(UINT16_MAX, 7, 9, RAFT_VOTER, 18), DR_E_PROTOCOL);
	assert_int_equal(install(2, 7, 7, RAFT_VOTER, 18), DR_E_PROTOCOL);
	assert_int_equal(install(2, 7, 0, RAFT_VOTER, 18), DR_E_PROTOCOL);
	assert_int_equal(install(2, 7, 9, 77, 18), DR_E_PROTOCOL);
	assert_int_equal(install(2, 7, 9, RAFT_VOTER, 0), DR_E_PROTOCOL);
	assert_int_equal(install(2, 7, 9, RAFT_VOTER, UINT16_MAX), DR_E_PROTOCOL);
	dr_buf_close(&said);
}

/* A candidate behind in terms learns of the newer one also from whoever refuses it a pre-vote. */
static void test_refused_pre_vote_tells_the_term(void **state)
{
	static struct raft of;
	struct dr_snapshot_end read = { 0 };
	struct raft_message m = { .type = RAFT_REQUEST_VOTE_RESULT };
	(void)state;
	of.current_term = 7;
	m.request_vote_result = (struct raft_request_vote_result){ .term = 3, .pre_vote = true };
	dr_message_complete(&m, &of, &read);
	assert_int_equal(m.request_vote_result.term, 7);
	m.request_vote_result = (struct raft_request_vote_result){ .term = 8, .pre_vote = true };
	dr_message_complete(&m, &of, &read);
	assert_int_equal(m.request_vote_result.term, 8);
	m.request_vote_result = (struct raft_request_vote_result){ .term = 3, .pre_vote = true, .vote_granted = true };
	dr_message_complete(&m, &of, &read);
	assert_int_equal(m.request_vote_result.term, 3);
}

/* libraft decided to send the snapshot that ends at 92 in term 3, and was given the one that was taken meanwhile. */
static void test_snapshot_goes_with_its_own_term(void **state)
{
	static struct raft of;
	struct dr_snapshot_end read = { .index = 156, .term = 6 };
	struct raft_message m = { .type = RAFT_INSTALL_SNAPSHOT };
	(void)state;
	m.install_snapshot.last_index = 156;
	m.install_snapshot.last_term = 3;
	dr_message_complete(&m, &of, &read);
	assert_int_equal(m.install_snapshot.last_term, 6);
	m.install_snapshot.last_index = 92;
	m.install_snapshot.last_term = 3;
	dr_message_complete(&m, &of, &read);
	assert_int_equal(m.install_snapshot.last_term, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_votes), cmocka_unit_test(test_answers),
					    cmocka_unit_test(test_append), cmocka_unit_test(test_append_is_bounded),
					    cmocka_unit_test(test_install), cmocka_unit_test(test_lies),
					    cmocka_unit_test(test_refused_pre_vote_tells_the_term),
					    cmocka_unit_test(test_snapshot_goes_with_its_own_term) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
