/* disk.c -- what one synchronous write takes here: without it no figure of a commit says anything.
 *
 * 4 KiB with O_DSYNC (and O_DIRECT where the filesystem has it) over a file that is laid out already, which is how
 * libraft writes its segments. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

enum { BLOCK = 4096, BLOCKS = 512 };

static int open_file(const char *path, bool *direct)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_DSYNC | O_DIRECT, 0600);

	*direct = fd >= 0;
	if (fd < 0 && errno == EINVAL) {
		(void)unlink(path); /* made before the flag was refused */
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_DSYNC, 0600);
	}
	if (fd < 0)
		bench_fail("%s: %s", path, strerror(errno));
	return fd;
}

int bench_disk(const struct bench_args *a)
{
	struct bench_times t = { 0 };
	char path[300];
	void *block = NULL;
	bool direct;

	(void)snprintf(path, sizeof(path), "%s/raw-write", a->rest[0]);
	if (a->rests != 1 || posix_memalign(&block, BLOCK, BLOCK) != 0)
		bench_fail("disk --run-ms MS FOLDER");
	memset(block, 'x', BLOCK);
	int fd = open_file(path, &direct);
	for (off_t i = 0; i < BLOCKS; i++) {
		if (pwrite(fd, block, BLOCK, i * BLOCK) != BLOCK)
			bench_fail("%s: %s", path, strerror(errno));
	}
	uint64_t until = bench_now_ns() + (uint64_t)a->run_ms * 1000000u;
	for (off_t i = 0; bench_now_ns() < until; i = (i + 1) % BLOCKS) {
		uint64_t from = bench_now_ns();

		if (pwrite(fd, block, BLOCK, i * BLOCK) != BLOCK)
			bench_fail("%s: %s", path, strerror(errno));
		bench_add(&t, (int64_t)(bench_now_ns() - from));
	}
	(void)close(fd);
	(void)unlink(path);
	free(block);
	bench_sort(&t);
	printf("{\"raw_writes\":%zu,\"raw_p50_us\":%d,\"raw_p99_us\":%d,\"raw_direct\":%s}\n", t.n, bench_at(&t, 0.5),
	       bench_at(&t, 0.99), direct ? "true" : "false");
	bench_free(&t);
	return 0;
}
