/* test_raft_guardfile.c -- the storage guard's file, and the one that is written ahead of it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "raft/ahead.h"
#include "raft/guard.h"
#include "sys/file.h"
#include "temp.h"

static char dir[64], guard_path[96];

static int setup(void **state)
{
	(void)state;
	temp_template(dir, sizeof dir, "raftguard");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(guard_path, sizeof guard_path, "%s/guard", dir);
	return 0;
}

static int teardown(void **state)
{
	char ahead[128];

	(void)state;
	(void)unlink(guard_path);
	(void)snprintf(ahead, sizeof ahead, "%s-ahead", guard_path);
	(void)unlink(ahead);
	return rmdir(dir);
}

/* ---- the guard's file ---- */

static void open_fresh(struct dr_guard *g)
{
	const struct dr_guard_head head = { .id = 5, .term = 1 };
	struct dr_error e;

	assert_int_equal(dr_guard_create(guard_path, &head, &e), DR_OK);
	assert_int_equal(dr_guard_create(guard_path, &head, &e), DR_E_EXISTS);
	assert_int_equal(dr_guard_open(g, guard_path, &e), DR_OK);
}

static void set(struct dr_guard *g, uint64_t floor, uint32_t chain)
{
	struct dr_error e;

	g->head.floor = floor;
	g->head.chain = chain;
	assert_int_equal(dr_guard_write(g, &e), DR_OK);
}

static void reopen(struct dr_guard *g)
{
	struct dr_error e;

	dr_guard_close(g);
	assert_int_equal(dr_guard_open(g, guard_path, &e), DR_OK);
}

static void test_guard_laps(void **state)
{
	struct dr_guard g;

	(void)state;
	open_fresh(&g);
	for (uint32_t i = 1; i <= 10000; i++) /* more than two laps of the ring */
		set(&g, i, i * 3);
	reopen(&g);
	assert_int_equal(g.head.floor, 10000);
	assert_int_equal(g.head.id, 5);
	assert_int_equal(g.seq, 10001);
	assert_int_equal(g.n_points, 4096);
	assert_true(g.points[0].index == 10000 - 4095 && g.points[0].chain == (10000 - 4095) * 3);
	dr_guard_close(&g);
}

static void test_guard_truncation_and_rebase(void **state)
{
	struct dr_guard g;

	(void)state;
	open_fresh(&g);
	set(&g, 10, 1);
	set(&g, 20, 2);
	set(&g, 15, 3); /* cut off, and written anew */
	set(&g, 18, 4);
	reopen(&g);
	assert_int_equal(g.n_points, 4); /* 0, 10, 15, 18 */
	assert_true(g.points[2].index == 15 && g.points[2].chain == 3);
	g.head.rebase = true;
	set(&g, 30, 0);
	set(&g, 31, 7);
	reopen(&g);
	assert_int_equal(g.n_points, 2);
	assert_int_equal(g.points[0].index, 30);
	dr_guard_close(&g);
}

static void test_guard_torn_and_gap(void **state)
{
	struct dr_guard g;
	uint8_t junk[128];
	int fd;

	(void)state;
	open_fresh(&g);
	for (uint32_t i = 1; i <= 100; i++)
		set(&g, i, i);
	memset(junk, 0xee, sizeof junk);
	fd = open(guard_path, O_RDWR);
	assert_int_equal(pwrite(fd, junk, 64, (off_t)g.seq * 128 + 64), 64); /* the newest, torn */
	reopen(&g);
	assert_int_equal(g.head.floor, 99);
	assert_int_equal(pwrite(fd, junk, 128, 50 * 128), 128); /* a page that never reached the disk */
	reopen(&g);
	assert_int_equal(g.head.floor, 99);
	assert_int_equal(g.points[0].index, 50); /* record 51 says floor 50; nothing before the gap counts */
	(void)close(fd);
	dr_guard_close(&g);
}

/* A record of the last number there is: none could follow it, so it is not taken for one. */
static void test_guard_last_number(void **state)
{
	struct dr_guard g;

	(void)state;
	open_fresh(&g);
	g.seq = UINT64_MAX - 1;
	set(&g, 10, 1);
	reopen(&g);
	assert_true(g.seq == 1 && g.head.floor == 0);
	dr_guard_close(&g);
}

static void test_guard_without_record(void **state)
{
	struct dr_guard g;
	struct dr_error e;
	uint8_t zero[128] = { 0 };
	int fd;

	(void)state;
	assert_int_equal(dr_guard_open(&g, guard_path, &e), DR_E_CORRUPT);
	open_fresh(&g);
	dr_guard_close(&g);
	fd = open(guard_path, O_RDWR);
	assert_int_equal(pwrite(fd, zero, sizeof zero, 128), sizeof zero);
	(void)close(fd);
	assert_int_equal(dr_guard_open(&g, guard_path, &e), DR_E_CORRUPT);
	assert_non_null(strstr(e.msg, "guard"));
}

/* ---- the file ahead of it ---- */

static void ahead_advanced(void *ctx)
{
	(void)ctx;
}

static void ahead_closed(void *ctx)
{
	*(bool *)ctx = true;
}

/* Write the guard's newest record ahead, and wait for it. */
static void put_ahead(struct dr_ahead *a, const struct dr_guard *g, uv_loop_t *loop)
{
	assert_true(dr_ahead_put(a, g->seq, g->record.data, g->record.len));
	while (a->done < g->seq) {
		assert_true(a->error == 0 && !a->refused);
		(void)uv_run(loop, UV_RUN_ONCE);
	}
}

static void write_file(const char *path, const struct dr_buf *bytes)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes->data, bytes->len, 0), (ssize_t)bytes->len);
	(void)close(fd);
}

/* Where that record stands in the bytes of the file. */
static uint8_t *block_of(const struct dr_buf *ahead, uint64_t seq)
{
	for (size_t at = 0; at < ahead->len; at += DR_AHEAD_BLOCK) {
		struct dr_view v = dr_view_of(ahead->data + at + 8, 8);

		if (dr_view_u64be(&v) == seq)
			return ahead->data + at + 50;
	}
	fail_msg("record %llu stands in no block", (unsigned long long)seq);
	return NULL;
}

/* A power cut takes what only the page cache had of the guard's own file; what was written ahead counts, unless something
 * newer is known, or it is damaged. */
static void test_guard_ahead(void **state)
{
	struct dr_guard g;
	struct dr_ahead a;
	struct dr_buf before, ahead;
	struct dr_error e;
	char path[DR_PATH_MAX + 64];
	bool closed = false;
	uv_loop_t loop;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	dr_buf_init(&before, 1 << 20);
	dr_buf_init(&ahead, 1 << 20);
	open_fresh(&g);
	dr_guard_ahead_path(guard_path, path);
	set(&g, 10, 0xa);
	assert_int_equal(dr_file_read(guard_path, &before, &e), DR_OK);
	dr_ahead_open(&a, &loop, path, ahead_advanced, &closed);
	if (!a.open) { /* no direct I/O in this folder */
		(void)uv_loop_close(&loop);
		dr_guard_close(&g);
		skip();
	}
	for (uint64_t i = 0; i < 3 * DR_AHEAD_SLOTS; i++) {
		set(&g, 11 + i, 0xb);
		put_ahead(&a, &g, &loop);
	}
	set(&g, 5000, 0xc); /* not ahead */
	reopen(&g);
	assert_int_equal(g.head.floor, 5000);
	write_file(guard_path, &before);
	reopen(&g);
	assert_int_equal(g.head.floor, 10 + 3 * DR_AHEAD_SLOTS);
	uint64_t seq = g.seq;
	assert_int_equal(dr_file_read(path, &ahead, &e), DR_OK);
	*block_of(&ahead, seq) ^= 4;
	write_file(path, &ahead);
	reopen(&g);
	assert_int_equal(g.head.floor, 10 + 3 * DR_AHEAD_SLOTS - 1);
	dr_ahead_close(&a, ahead_closed);
	while (!closed)
		(void)uv_run(&loop, UV_RUN_ONCE);
	assert_false(dr_ahead_put(&a, seq + 9, g.record.data, 8));
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(unlink(path), 0); /* of a folder of a build before */
	reopen(&g);
	assert_int_equal(g.head.floor, 10);
	dr_guard_close(&g);
	dr_buf_close(&before);
	dr_buf_close(&ahead);
}

/* Pages in the cache stand in the way of direct I/O that must not wait. */
static void drop_pages(const char *path)
{
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0 && fsync(fd) == 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	(void)close(fd);
}

/* Whatever its number, a record is never written over the newest durable one: a power cut would leave neither. */
static void test_ahead_torn(void **state)
{
	struct dr_guard g;
	struct dr_ahead a;
	struct dr_buf before, ahead;
	struct dr_error e;
	char path[DR_PATH_MAX + 64];
	bool closed = false;
	uv_loop_t loop;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	dr_buf_init(&before, 1 << 20);
	open_fresh(&g);
	dr_guard_ahead_path(guard_path, path);
	assert_int_equal(dr_file_read(guard_path, &before, &e), DR_OK);
	dr_ahead_open(&a, &loop, path, ahead_advanced, &closed);
	for (uint64_t gap = 0; a.open && gap < 3 * DR_AHEAD_SLOTS; gap++) {
		set(&g, 100 + 2 * gap, 0xa);
		put_ahead(&a, &g, &loop);
		g.seq += gap; /* as if so many were written that nobody waits for, and were not durable */
		set(&g, 101 + 2 * gap, 0xb);
		put_ahead(&a, &g, &loop);
		dr_buf_init(&ahead, 1 << 20);
		assert_int_equal(dr_file_read(path, &ahead, &e), DR_OK);
		*block_of(&ahead, g.seq) ^= 4;
		write_file(path, &ahead);
		dr_buf_close(&ahead);
		write_file(guard_path, &before);
		uint64_t seq = g.seq;
		reopen(&g);
		drop_pages(path);
		assert_int_equal(g.head.floor, 100 + 2 * gap);
		g.seq = seq;
	}
	bool was_open = a.open;
	dr_ahead_close(&a, ahead_closed);
	while (!closed)
		(void)uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(uv_loop_close(&loop), 0);
	dr_guard_close(&g);
	dr_buf_close(&before);
	if (!was_open) /* no direct I/O in this folder */
		skip();
}

/* Many at once: none is told before those that came before it, and no place is used that still flies. */
static void test_ahead_many(void **state)
{
	static const uint8_t record[128];
	struct dr_ahead a;
	struct dr_error e;
	char path[DR_PATH_MAX + 64];
	bool closed = false;
	unsigned taken = 0;
	uv_loop_t loop;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	dr_guard_ahead_path(guard_path, path);
	assert_int_equal(dr_ahead_create(path, &e), DR_OK);
	dr_ahead_open(&a, &loop, path, ahead_advanced, &closed);
	if (!a.open) {
		(void)uv_loop_close(&loop);
		skip();
	}
	while (taken < 1000 && dr_ahead_put(&a, 7 + 3 * (uint64_t)taken, record, sizeof record))
		taken++;
	assert_int_equal(taken, DR_AHEAD_FLYING_MAX);
	for (uint64_t last = 0; a.done < 7 + 3 * (uint64_t)(taken - 1);) {
		(void)uv_run(&loop, UV_RUN_ONCE);
		assert_int_equal(a.error, 0);
		assert_true(a.done >= last);
		last = a.done;
	}
	assert_true(dr_ahead_put(&a, 7 + 3 * (uint64_t)taken, record, sizeof record));
	dr_ahead_close(&a, ahead_closed);
	while (!closed)
		(void)uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* What stands in the way of the second file leaves nothing of the first, so that it can be tried again. */
static void test_create_again(void **state)
{
	const struct dr_guard_head head = { .id = 5, .term = 1 };
	struct dr_error e;
	char path[DR_PATH_MAX + 64];

	(void)state;
	dr_guard_ahead_path(guard_path, path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_not_equal(dr_guard_create(guard_path, &head, &e), DR_OK);
	assert_int_equal(access(guard_path, F_OK), -1);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(dr_guard_create(guard_path, &head, &e), DR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		CASE(test_guard_laps),
		CASE(test_guard_truncation_and_rebase),
		CASE(test_guard_torn_and_gap),
		CASE(test_guard_last_number),
		CASE(test_guard_without_record),
		CASE(test_guard_ahead),
		CASE(test_ahead_torn),
		CASE(test_ahead_many),
		CASE(test_create_again),
#undef CASE
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
