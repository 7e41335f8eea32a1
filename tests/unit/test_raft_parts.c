/* test_raft_parts.c -- the pieces of raft/ that need no process: hello, entry frames, snapshot seals, the
 * scan of segments, and the comparison of a loaded log with the guard. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/said.h"
#include "raft/bound.h"
#include "raft/guard.h"
#include "raft/hello.h"
#include "raft/node.h"
#include "raft/repair.h"
#include "raft/scan.h"
#include "raft/slot.h"
#include "raft/snap.h"
#include "raft/storage.h"
#include "temp.h"


static char dir[64];

static int setup(void **state)
{
	(void)state;
	temp_template(dir, sizeof dir, "raftnode-parts");
	if (mkdtemp(dir) == NULL)
		return -1;
	return 0;
}

static int teardown(void **state)
{
	char path[96];

	(void)state;
	(void)snprintf(path, sizeof path, "%s/open-1", dir);
	(void)unlink(path);
	return rmdir(dir);
}

/* ---- hello, entry, snapshot ---- */

static void test_hello(void **state)
{
	struct dr_raft_hello h = { .from = 7, .to = UINT64_MAX, .address = { "fd00::1", 7400 } }, back;
	struct dr_buf b;
	struct dr_error e;

	(void)state;
	(void)dr_name_set(&h.name, "c-a");
	dr_buf_init(&b, 512);
	dr_raft_hello_encode(&h, &b);
	assert_int_equal(dr_raft_hello_decode(b.data, b.len, &back, &e), DR_OK);
	assert_memory_equal(&back.name, &h.name, sizeof h.name);
	assert_string_equal(back.address.host, "fd00::1");
	assert_int_equal(back.address.port, 7400);
	assert_true(back.from == 7 && back.to == UINT64_MAX);
	for (size_t n = 0; n < b.len; n++) /* every cut is refused */
		assert_int_equal(dr_raft_hello_decode(b.data, n, &back, &e), DR_E_PROTOCOL);
	b.data[0] = 2;
	assert_int_equal(dr_raft_hello_decode(b.data, b.len, &back, &e), DR_E_PROTOCOL);
	dr_buf_close(&b);
}

static void test_address(void **state)
{
	struct dr_address in = { "10.1.0.10", 7400 }, out;
	struct dr_name name, back;
	char text[DR_RAFT_ADDRESS_MAX];
	struct dr_error e;

	(void)state;
	(void)dr_name_set(&name, "c-a");
	dr_raft_address_format(&name, &in, text);
	assert_string_equal(text, "c-a@10.1.0.10:7400");
	assert_int_equal(dr_raft_address_parse(text, &back, &out, &e), DR_OK);
	assert_true(dr_name_eq(&name, &back) && strcmp(out.host, in.host) == 0 && out.port == in.port);
	assert_int_equal(dr_raft_address_parse("10.1.0.10:7400", &back, &out, &e), DR_E_INVALID);
	assert_int_equal(dr_raft_address_parse("c-a@host:7400", &back, &out, &e), DR_E_INVALID);
	assert_int_equal(dr_raft_address_parse("@10.1.0.10:7400", &back, &out, &e), DR_E_INVALID);
}

/* A snapshot is due after as many bytes as the last one had, within limits; what came since stays behind it. */
static void test_bound(void **state)
{
	enum { MIB = 1 << 20 };
	struct dr_bound b = { 0 };

	(void)state;
	assert_int_equal(dr_bound_trailing(&b, 4096), 1);
	for (unsigned i = 0; i < 4 * 16; i++) {
		assert_false(dr_bound_is_due(&b));
		dr_bound_applied(&b, MIB / 16);
	}
	assert_true(dr_bound_is_due(&b));
	assert_int_equal(dr_bound_trailing(&b, 4096), 64);
	assert_int_equal(dr_bound_trailing(&b, 32), 32);
	dr_bound_taken(&b, 10 * MIB);
	dr_bound_applied(&b, 10 * MIB - 1);
	assert_false(dr_bound_is_due(&b));
	dr_bound_applied(&b, 1);
	assert_true(dr_bound_is_due(&b));
	dr_bound_taken(&b, 500 * MIB);
	dr_bound_applied(&b, DR_BOUND_BYTES_MAX);
	assert_true(dr_bound_is_due(&b));
	dr_bound_taken(&b, 1000);
	dr_bound_applied(&b, 4 * MIB - 1);
	assert_false(dr_bound_is_due(&b));
}

/* One that was taken, and then not stored, is none: what came before it is still there to be served. */
static void test_bound_lost(void **state)
{
	enum { MIB = 1 << 20 };
	struct dr_bound b = { 0 };

	(void)state;
	dr_bound_taken(&b, 8 * MIB);
	for (unsigned i = 0; i < 80; i++)
		dr_bound_applied(&b, MIB / 10 + 1);
	dr_bound_taken(&b, 50 * MIB);
	dr_bound_applied(&b, 100); /* while it is being stored */
	dr_bound_lost(&b);
	assert_int_equal(dr_bound_trailing(&b, 4096), 81);
	assert_false(dr_bound_is_due(&b)); /* a disk that is full is not asked at each entry */
	dr_bound_applied(&b, 8 * MIB);
	assert_true(dr_bound_is_due(&b));
	dr_bound_taken(&b, 9 * MIB);
	dr_bound_lost(&b);
	assert_int_equal(dr_bound_trailing(&b, 4096), 82);
	dr_bound_taken(&b, 9 * MIB);
	assert_int_equal(dr_bound_trailing(&b, 4096), 1);
}

/* A link that is made and refused ten times a second is a few lines, and then their number. */
static void test_said(void **state)
{
	struct dr_said s = { 0 };
	unsigned left_out, lines = 0, missing = 0;
	uint64_t now = 1000;

	(void)state;
	assert_true(dr_said_is_news(&s, DR_E_IO, now, &left_out));
	assert_int_equal(left_out, 0);
	assert_false(dr_said_is_news(&s, DR_E_IO, now + 1, &left_out)); /* the same: once */
	assert_true(dr_said_is_news(&s, DR_OK, now + 2, &left_out));    /* a restart is told whole */
	for (unsigned i = 0; i < 6000; i++, now += 100) {
		if (!dr_said_is_news(&s, i % 2 == 0 ? DR_E_CLOSED : DR_OK, now, &left_out))
			continue;
		lines++;
		missing += left_out;
	}
	assert_in_range(lines, 2 + 8 * DR_SAID_LINES, 10 * DR_SAID_LINES);
	assert_true(missing > 2000);
	/* What is left out is changes, not what would have been said of each message. */
	enum dr_err other = s.err == DR_OK ? DR_E_CLOSED : DR_OK;
	s.lines = DR_SAID_LINES;
	s.since_ms = now;
	s.last = s.err;
	unsigned before = s.left_out;
	for (unsigned i = 0; i < 1000; i++)
		assert_false(dr_said_is_news(&s, other, now, &left_out));
	assert_int_equal(s.left_out, before + 1);
	now += DR_SAID_MS;
	assert_true(dr_said_is_news(&s, s.err == DR_OK ? DR_E_IO : DR_OK, now, &left_out));
	assert_true(dr_said_is_news(&s, s.err == DR_OK ? DR_E_IO : DR_OK, now, &left_out));
	assert_int_equal(left_out, 0);
}

static void test_snapshot(void **state)
{
	uint8_t whole[DR_SNAP_HEADER + 16] = { 0 };
	const uint8_t *data;
	size_t len;
	struct dr_error e;

	(void)state;
	memcpy(whole + DR_SNAP_HEADER, "hello, world", 12);
	dr_snap_seal(whole, whole + DR_SNAP_HEADER, 12);
	assert_int_equal(dr_snap_open(whole, sizeof whole, &data, &len, &e), DR_OK);
	assert_int_equal(len, 12);
	assert_true(dr_snap_hash(whole) != 0);
	for (size_t at = 0; at < DR_SNAP_HEADER + 12; at++) {
		if (at >= 12 && at < 16)
			continue; /* reserved */
		if (at >= 56 && at < 64)
			continue;
		whole[at] ^= 1;
		assert_int_equal(dr_snap_open(whole, sizeof whole, &data, &len, &e), DR_E_CORRUPT);
		whole[at] ^= 1;
	}
	assert_int_equal(dr_snap_open(whole, DR_SNAP_HEADER + 8, &data, &len, &e), DR_E_CORRUPT);
	assert_int_equal(dr_snap_open(whole, 5, &data, &len, &e), DR_E_CORRUPT);
}

/* ---- the comparison ---- */

struct log {
	struct raft_entry entry[8];
	uint8_t bytes[8][8];
	uint32_t chain[8];
	struct dr_storage_loaded l;
};

static void make_log(struct log *t, uint64_t start, size_t n)
{
	uint32_t chain = 0;

	memset(t, 0, sizeof *t);
	for (size_t i = 0; i < n; i++) {
		memset(t->bytes[i], (int)(start + i), 8);
		t->entry[i].term = 3;
		t->entry[i].type = RAFT_COMMAND;
		t->entry[i].buf = (struct raft_buffer){ t->bytes[i], 8 };
		chain = dr_guard_link(chain, 3, RAFT_COMMAND, t->bytes[i], 8);
		t->chain[i] = chain;
	}
	t->l =
	    (struct dr_storage_loaded){ .term = 3, .vote = 5, .start = start, .entries = t->entry, .n = n };
}

static enum dr_err compare(const struct dr_guard *g, const struct log *t)
{
	static struct dr_guard_point kept[DR_CHAIN_KEPT];
	struct dr_error e = { 0 };
	uint32_t chain;
	bool rebase;
	enum dr_err rv = dr_storage_compare(g, "/d/log", &t->l, kept, &chain, &rebase, &e);

	if (rv != DR_OK)
		assert_non_null(strstr(e.msg, "new id"));
	else if (!rebase && t->l.n > 0)
		assert_int_equal(kept[(t->l.start + t->l.n - 1) % DR_CHAIN_KEPT].chain, chain);
	return rv;
}

static void test_compare(void **state)
{
	struct dr_guard_point points[] = { { 0, 0 }, { 2, 0 }, { 4, 0 } };
	struct dr_guard g = { .points = points, .n_points = 3 };
	struct log t;

	(void)state;
	make_log(&t, 1, 5);
	points[1].chain = t.chain[1];
	points[2].chain = t.chain[3];
	g.head = (struct dr_guard_head){ .term = 3, .vote = 5, .floor = 4, .floor_term = 3 };
	assert_int_equal(compare(&g, &t), DR_OK);
	t.bytes[1][0] ^= 1; /* other content below the floor */
	assert_int_equal(compare(&g, &t), DR_E_CORRUPT);
	t.bytes[1][0] ^= 1;
	t.bytes[4][0] ^= 1; /* above the floor: never reported, whatever it is */
	assert_int_equal(compare(&g, &t), DR_OK);
	g.head.ahead = 5; /* unless it was announced as durable */
	g.head.ahead_term = 3;
	g.head.ahead_chain = t.chain[4];
	assert_int_equal(compare(&g, &t), DR_E_CORRUPT);
	t.bytes[4][0] ^= 1;
	assert_int_equal(compare(&g, &t), DR_OK);
	t.l.n = 4; /* announced and not there: a crash before it was written */
	assert_int_equal(compare(&g, &t), DR_OK);
	t.l.n = 3;
	assert_int_equal(compare(&g, &t), DR_E_CORRUPT);
	t.l.n = 4;
	g.head.floor_term = 2;
	assert_int_equal(compare(&g, &t), DR_E_CORRUPT);
}

static void test_compare_meta(void **state)
{
	struct dr_guard g = { 0 };
	struct log t;

	(void)state;
	make_log(&t, 1, 2);
	g.head = (struct dr_guard_head){ .term = 3, .vote = 5 };
	assert_int_equal(compare(&g, &t), DR_OK);
	t.l.vote = 6;
	assert_int_equal(compare(&g, &t), DR_E_CORRUPT);
	g.head = (struct dr_guard_head){ .term = 4, .vote = 0, .old_term = 3, .old_vote = 6 };
	assert_int_equal(compare(&g, &t), DR_E_CORRUPT); /* the newer ones were written */
	g.head.pending = true;
	assert_int_equal(compare(&g, &t), DR_OK); /* a crash on the way */
	t.l.term = 4;
	t.l.vote = 0;
	assert_int_equal(compare(&g, &t), DR_OK);
	t.l.term = 5;
	assert_int_equal(compare(&g, &t), DR_E_CORRUPT);
}

static void test_compare_snapshot(void **state)
{
	uint8_t whole[DR_SNAP_HEADER + 8] = { 0 };
	struct raft_buffer buf = { whole, sizeof whole };
	struct raft_snapshot snap = { .index = 100, .term = 3, .bufs = &buf, .n_bufs = 1 };
	struct dr_guard g = { 0 };
	struct log t;

	(void)state;
	dr_snap_seal(whole, whole + DR_SNAP_HEADER, 8);
	make_log(&t, 101, 2);
	t.l.snapshot = &snap;
	g.head = (struct dr_guard_head){ .term = 3,
					 .vote = 5,
					 .floor = 102,
					 .snap_index = 100,
					 .snap_term = 3,
					 .snap_hash = dr_snap_hash(whole) };
	assert_int_equal(compare(&g, &t), DR_OK);
	g.head.snap_hash ^= 1; /* another snapshot, well in itself */
	assert_int_equal(compare(&g, &t), DR_E_CORRUPT);
	g.head.snap_hash ^= 1;
	g.head.snap_index = 150; /* the newest one is gone */
	assert_int_equal(compare(&g, &t), DR_E_CORRUPT);
	g.head.snap_index = 50; /* one that the guard has not heard of yet: crash after it was taken */
	assert_int_equal(compare(&g, &t), DR_OK);
	whole[DR_SNAP_HEADER] ^= 1;
	assert_int_equal(compare(&g, &t), DR_E_CORRUPT);
	t.l.snapshot = NULL;
	assert_int_equal(compare(&g, &t), DR_E_CORRUPT);
}

/* ---- the scan ---- */

static void scan_expect(const uint8_t *bytes, size_t len, enum dr_err want)
{
	char path[96];
	struct dr_error e = { 0 };
	int fd;

	(void)snprintf(path, sizeof path, "%s/open-1", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	(void)close(fd);
	assert_int_equal(dr_scan_open_segments(dir, &e), want);
	if (want != DR_OK)
		assert_non_null(strstr(e.msg, "open-1"));
}

static void test_scan(void **state)
{
	static uint8_t seg[65536];

	(void)state;
	scan_expect(seg, 0, DR_OK);
	scan_expect(seg, sizeof seg, DR_OK); /* allocated, never written */
	seg[0] = 1;
	scan_expect(seg, sizeof seg, DR_OK);
	seg[0] = 3;
	scan_expect(seg, sizeof seg, DR_E_CORRUPT);
	seg[0] = 1;
	memset(seg + 8, 0xaa, 8); /* checksums that fit nothing, all in one sector: not torn */
	seg[16] = 1;
	memset(seg + 24, 0xbb, 400);
	scan_expect(seg, sizeof seg, DR_E_CORRUPT);
	memset(seg + 16, 0xff, 8); /* an absurd count */
	scan_expect(seg, sizeof seg, DR_E_CORRUPT);
}

/* ---- the repair ---- */

static void touch(const char *name)
{
	char path[160];
	int fd;

	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
}

/* Whether it is there; it is removed. */
static bool was_there(const char *name)
{
	char path[160];

	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	return unlink(path) == 0;
}

static void test_repair_copy(void **state)
{
	struct dr_error e;

	(void)state;
	touch("0000000000000001-0000000000000001");
	touch("0000000000000002-0000000000000012"); /* the copy, perhaps torn */
	touch("0000000000000002-0000000000000032");
	touch("0000000000000033-0000000000000040");
	assert_int_equal(dr_repair_segments(dir, 12, &e), DR_OK);
	assert_true(was_there("0000000000000001-0000000000000001"));
	assert_true(was_there("aside-0000000000000002-0000000000000012"));
	assert_true(was_there("0000000000000002-0000000000000032"));
	assert_true(was_there("0000000000000033-0000000000000040"));
}

static void test_repair_gap(void **state)
{
	struct dr_error e;

	(void)state;
	touch("0000000000000002-0000000000000012");
	touch("0000000000000033-0000000000000040"); /* was to go next */
	touch("0000000000000041-0000000000000050");
	assert_int_equal(dr_repair_segments(dir, 12, &e), DR_OK);
	assert_true(was_there("0000000000000002-0000000000000012"));
	assert_true(was_there("aside-0000000000000033-0000000000000040"));
	assert_true(was_there("aside-0000000000000041-0000000000000050"));
	touch("0000000000000002-0000000000000012");
	touch("0000000000000033-0000000000000040"); /* reported: not ours to touch */
	assert_int_equal(dr_repair_segments(dir, 40, &e), DR_OK);
	assert_true(was_there("0000000000000002-0000000000000012"));
	assert_true(was_there("0000000000000033-0000000000000040"));
}

static void test_repair_replaced(void **state)
{
	struct dr_error e;

	(void)state;
	touch("0000000000000002-0000000000000012");
	touch("snapshot-2-100-555.meta");
	assert_int_equal(dr_repair_segments(dir, 12, &e), DR_OK); /* no data: it is not finished */
	touch("snapshot-2-100-555");
	assert_true(was_there("0000000000000002-0000000000000012"));
	touch("0000000000000002-0000000000000012");
	assert_int_equal(dr_repair_segments(dir, 12, &e), DR_OK);
	assert_true(was_there("aside-0000000000000002-0000000000000012"));
	assert_true(was_there("snapshot-2-100-555.meta"));
	assert_true(was_there("snapshot-2-100-555"));
}

/* ---- configuration ---- */

static void test_config(void **state)
{
	static const struct dr_raft_cbs cbs;
	struct dr_raft_config c = { .dir = dir, .election_ms = 150, .heartbeat_ms = 15, .cbs = &cbs };
	struct dr_raft *r;
	struct dr_error e;
	uv_loop_t loop;

	(void)state;
	(void)uv_loop_init(&loop);
	assert_int_equal(dr_raft_open(&r, &loop, &c, &e), DR_E_RANGE); /* libraft triples this pair */
	c.heartbeat_ms = 100;
	assert_int_equal(dr_raft_open(&r, &loop, &c, &e), DR_E_RANGE);
	c.election_ms = 1000;
	assert_int_equal(dr_raft_open(&r, &loop, &c, &e), DR_E_NOT_FOUND); /* empty folder */
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_ids(void **state)
{
	struct dr_name a, b;

	(void)state;
	(void)dr_name_set(&a, "c-a");
	(void)dr_name_set(&b, "c-b");
	assert_true(dr_raft_first_id("demo", &a) == dr_raft_first_id("demo", &a));
	assert_true(dr_raft_first_id("demo", &a) != dr_raft_first_id("demo", &b));
	assert_true(dr_raft_first_id("demo", &a) != dr_raft_first_id("other", &a));
}

/* Whatever two voters drew, they do not wake within a sixteenth of the election timeout of each other. */
static void test_votes_are_not_split(void **state)
{
	enum { E = 300, VOTERS = 5, SLOT = E / 16, LATEST = VOTERS * (SLOT + 1) };
	uint64_t due[VOTERS][E];

	(void)state;
	for (unsigned rank = 0; rank < VOTERS; rank++) {
		for (unsigned w = 0; w < E; w++) {
			due[rank][w] = dr_tick_slot(E + w, E, rank, VOTERS);
			assert_in_range(due[rank][w], E + w, E + w + LATEST - 1);
		}
	}
	for (unsigned a = 0; a < VOTERS; a++) {
		for (unsigned b = 0; b < a; b++) {
			for (unsigned w = 0; w < E; w++) {
				for (unsigned v = 0; v < E; v++)
					assert_true(due[a][w] >= due[b][v] + SLOT ||
						    due[b][v] >= due[a][w] + SLOT);
			}
		}
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_hello),
		CASE(test_address),
		CASE(test_snapshot),
		CASE(test_bound),
		CASE(test_bound_lost),
		CASE(test_said),
		CASE(test_compare),
		CASE(test_compare_meta),
		CASE(test_compare_snapshot),
		CASE(test_scan),
		CASE(test_repair_copy),
		CASE(test_repair_gap),
		CASE(test_votes_are_not_split),
		CASE(test_repair_replaced),
		CASE(test_config),
		CASE(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
