/* test_raft_beat.c -- heartbeats in the form in which the peers' connections carry them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "raft/beat.h"

/* Encode m from 7, decode it again into *back; every shorter or longer form is refused. */
static void beat_there_and_back(const struct raft_message *m, struct raft_message *back)
{
	struct dr_buf b;
	uint64_t to = 0;

	dr_buf_init(&b, DR_BEAT_MAX);
	assert_true(dr_beat_encode(&b, 7, m));
	for (size_t n = 0; n < b.len; n++)
		assert_false(dr_beat_decode(back, &to, b.data, n));
	assert_true(dr_beat_decode(back, &to, b.data, b.len));
	assert_int_equal(to, m->server_id);
	assert_int_equal(back->server_id, 7);
	assert_int_equal(back->type, m->type);
	b.data[0] = RAFT_REQUEST_VOTE;
	assert_false(dr_beat_decode(back, &to, b.data, b.len));
	b.data[0] = (uint8_t)m->type;
	dr_buf_put_u8(&b, 0);
	assert_false(dr_beat_decode(back, &to, b.data, b.len));
	assert_true(dr_beat_decode(back, &to, b.data, b.len - 1));
	dr_buf_close(&b);
}

static void test_beat(void **state)
{
	struct raft_message m = { .type = RAFT_APPEND_ENTRIES, .server_id = UINT64_MAX }, back;
	struct raft_append_entries *a = &m.append_entries, *b = &back.append_entries;
	struct raft_append_entries_result *r = &m.append_entries_result, *q = &back.append_entries_result;
	struct dr_buf none;

	(void)state;
	*a = (struct raft_append_entries){
		.version = 3, .term = 5, .prev_log_index = 1ull << 40, .prev_log_term = 4, .leader_commit = 99
	};
	beat_there_and_back(&m, &back);
	assert_int_equal(b->version, 3);
	assert_int_equal(b->term, 5);
	assert_int_equal(b->prev_log_index, 1ull << 40);
	assert_int_equal(b->prev_log_term, 4);
	assert_int_equal(b->leader_commit, 99);
	assert_int_equal(b->n_entries, 0);
	assert_null(b->entries);

	m.type = RAFT_APPEND_ENTRIES_RESULT;
	*r = (struct raft_append_entries_result){ .version = 2,
						  .term = 5,
						  .rejected = 8,
						  .last_log_index = 1ull << 41,
						  .features = 1,
						  .capacity = 24566 };
	beat_there_and_back(&m, &back);
	assert_int_equal(q->version, 2);
	assert_int_equal(q->term, 5);
	assert_int_equal(q->rejected, 8);
	assert_int_equal(q->last_log_index, 1ull << 41);
	assert_int_equal(q->features, 1);
	assert_int_equal(q->capacity, 24566);

	dr_buf_init(&none, DR_BEAT_MAX);
	m.type = RAFT_APPEND_ENTRIES;
	a->n_entries = 1;
	assert_false(dr_beat_encode(&none, 7, &m));
	m.type = RAFT_REQUEST_VOTE;
	assert_false(dr_beat_encode(&none, 7, &m));
	assert_int_equal(none.len, 0);
	dr_buf_close(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_beat) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
