/* bench_raft.c -- how long one commit takes: three members (processes) over TLS on loopback, one entry at a
 * time, without and with the guard's record made durable first; and one member alone.  Beside it, what the
 * disk takes for one synchronous write, without which the numbers say nothing. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "../unit/raft_lab.h"
#include "temp.h"

enum { COUNT = 5000, WAIT_MS = 120000 };

static int rising(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double disk_us(void)
{
	static double us[1000];
	static uint8_t block[4096];
	char path[80];
	int fd;

	temp_template(path, sizeof path, "raftnode-disk");
	fd = mkstemp(path);

	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(pwrite(fd, block, sizeof block, (off_t)i * 4096), sizeof block);
	(void)fsync(fd);
	for (unsigned i = 0; i < 1000; i++) {
		struct timespec from, to;

		(void)clock_gettime(CLOCK_MONOTONIC, &from);
		assert_int_equal(pwrite(fd, block, sizeof block, (off_t)i * 4096), sizeof block);
		assert_int_equal(fdatasync(fd), 0);
		(void)clock_gettime(CLOCK_MONOTONIC, &to);
		us[i] = (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
	}
	(void)close(fd);
	(void)unlink(path);
	qsort(us, 1000, sizeof us[0], rising);
	return us[500];
}

static void run(struct lab_peer *p, const char *what, const char *more)
{
	lab_say(p, "bench 120 %d %s", COUNT, more);
	assert_true(lab_wait(p, "bench ", WAIT_MS));
	print_message("%s: %s us\n", what, p->last + 6);
}

static void throughput(struct lab_peer *p)
{
	lab_say(p, "propose 120 20000 64");
	assert_true(lab_wait(p, "proposed ok=20000", WAIT_MS));
	print_message("64 outstanding, 20000 entries: %s\n", p->last);
}

static void bench(void **state)
{
	static struct lab lab;

	(void)state;
	print_message("pwrite 4 KiB + fdatasync here: p50 %.0f us\n", disk_us());
	for (unsigned n = 1; n <= 3; n += 2) {
		unsigned leader;

		lab_open(&lab, n, "1000", "0");
		lab_bootstrap(&lab);
		for (unsigned i = 0; i < n; i++)
			lab_start(&lab, i);
		leader = lab_leader(&lab);
		print_message("%u member%s\n", n, n == 1 ? "" : "s, TLS");
		run(&lab.p[leader], "  plain  ", "");
		run(&lab.p[leader], "  durable", "durable");
		throughput(&lab.p[leader]);
		lab_close(&lab);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bench) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
