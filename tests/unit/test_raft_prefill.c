/* test_raft_prefill.c -- the room of a new segment is really written; what a file holds stays. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "raft/node.h"
#include "raft_lab.h"
#include "temp.h"

enum { ROOM = 1 << 20, OLD = 5000 };

static int new_file(void)
{
	char path[80];
	int fd;

	temp_template(path, sizeof path, "raftnode-prefill");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	return fd;
}

/* Room that is only reserved counts as a hole. */
static void assert_written(int fd, off_t size)
{
	assert_int_equal(lseek(fd, 0, SEEK_END), size);
	assert_int_equal(lseek(fd, 0, SEEK_DATA), 0);
	assert_int_equal(lseek(fd, 0, SEEK_HOLE), size);
}

static void test_room_of_a_new_file(void **state)
{
	int fd = new_file();

	(void)state;
	assert_int_equal(posix_fallocate(fd, 0, ROOM), 0);
	assert_written(fd, ROOM);
	assert_int_equal(posix_fallocate(fd, ROOM, ROOM / 2 + 3), 0); /* behind its end; no multiple of anything */
	assert_written(fd, ROOM + ROOM / 2 + 3);
	(void)close(fd);
}

static void test_what_it_holds_stays(void **state)
{
	static uint8_t was[OLD], is[OLD];
	int fd = new_file();

	(void)state;
	memset(was, 0xa5, sizeof was);
	assert_int_equal(write(fd, was, sizeof was), sizeof was);
	assert_int_equal(posix_fallocate(fd, 0, ROOM), 0);
	assert_int_equal(posix_fallocate(fd, 100, 10), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), ROOM);
	assert_int_equal(pread(fd, is, sizeof is, 0), sizeof is);
	assert_memory_equal(is, was, sizeof is);
	(void)close(fd);
}

static void test_errors(void **state)
{
	int fd = new_file(), ends[2];

	(void)state;
	assert_int_not_equal(posix_fallocate(fd, 0, 0), 0);
	assert_int_not_equal(posix_fallocate(fd, -1, 10), 0);
	assert_int_not_equal(posix_fallocate(-1, 0, 10), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	(void)close(fd);
	assert_int_equal(pipe(ends), 0);
	assert_int_not_equal(posix_fallocate(ends[1], 0, 10), 0);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* libraft really calls it. */
static void test_segment_in_use(void **state)
{
	static struct lab lab;
	char path[200];
	int fd;

	(void)state;
	lab_open(&lab, 1, "300", "0");
	lab_bootstrap(&lab);
	lab_start(&lab, 0);
	assert_true(lab_wait(&lab.p[0], "role leader", LAB_WAIT_MS)); /* so its first segment is in use */
	(void)snprintf(path, sizeof path, "%s/log/open-1", lab.p[0].dir);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_true(lseek(fd, 0, SEEK_END) > ROOM);
	assert_written(fd, lseek(fd, 0, SEEK_END));
	(void)close(fd);
	assert_int_equal(lab_quit(&lab.p[0]), 0);
	lab_close(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room_of_a_new_file),
		cmocka_unit_test(test_what_it_holds_stays),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_segment_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
