/* test_raft_guard.c -- one member as a process: start, propose, restart; and every kind of damage to its
 * files, each of which must be refused with a message that names the file and the way out. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "raft/node.h"
#include "raft_lab.h"

static struct lab lab;
static struct lab_peer *const a = &lab.p[0];

static int setup(void **state)
{
	(void)state;
	lab_open(&lab, 1, "300", "0");
	lab_bootstrap(&lab);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_close(&lab);
	return 0;
}

static void start_leading(void)
{
	lab_start(&lab, 0);
	assert_true(lab_wait(a, "role leader", LAB_WAIT_MS));
}

/* At most `window` of them share an entry. */
static void propose_in(unsigned window, size_t bytes, unsigned count, const char *more)
{
	char want[64];

	lab_say(a, "propose %zu %u %u %s", bytes, count, window, more);
	(void)snprintf(want, sizeof want, "proposed ok=%u unknown=0 refused=0", count);
	assert_true(lab_wait(a, want, LAB_WAIT_MS));
}

static void propose(size_t bytes, unsigned count, const char *more)
{
	propose_in(16, bytes, count, more);
}

/* The first file of log/ whose name begins so; with `skip` later ones. */
static const char *file_named(const char *prefix)
{
	static char path[512], best[256];
	char log[256];
	struct dirent *d;
	DIR *dir;

	(void)snprintf(log, sizeof log, "%s/log", a->dir);
	best[0] = '\0';
	dir = opendir(log);
	while ((d = readdir(dir)) != NULL) {
		if (strncmp(d->d_name, prefix, strlen(prefix)) == 0 && strstr(d->d_name, ".meta") == NULL &&
		    (best[0] == '\0' || strcmp(d->d_name, best) < 0))
			(void)snprintf(best, sizeof best, "%.200s", d->d_name);
	}
	(void)closedir(dir);
	assert_true(best[0] != '\0');
	(void)snprintf(path, sizeof path, "%s/log/%s", a->dir, best);
	return path;
}

static void flip(const char *path, off_t at)
{
	uint8_t b;
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	if (at < 0)
		at += lseek(fd, 0, SEEK_END);
	assert_int_equal(pread(fd, &b, 1, at), 1);
	b ^= 0x04;
	assert_int_equal(pwrite(fd, &b, 1, at), 1);
	(void)close(fd);
}

static void refused_with(const char *word)
{
	lab_start(&lab, 0);
	assert_true(lab_wait(a, "error corrupt: ", LAB_WAIT_MS));
	if (strstr(a->last, word) == NULL || strstr(a->last, "new id") == NULL)
		fail_msg("not said: '%s' in: %s", word, a->last);
	assert_int_equal(lab_exit_code(a), 3);
}

static void test_restart(void **state)
{
	uint64_t chain, count;

	(void)state;
	start_leading();
	propose(100, 50, ""); /* 100 is no multiple of 8 */
	propose(7, 20, "durable");
	propose(1, 1, "");
	assert_int_equal(lab_value(a, "count"), 71);
	chain = lab_value(a, "chain");
	assert_int_equal(lab_quit(a), 0);
	start_leading();
	assert_int_equal(lab_value(a, "count"), 71);
	assert_int_equal(lab_value(a, "chain"), chain);
	propose(65536, 5, "");
	propose(DR_ENTRY_MAX, 2, "");
	count = lab_value(a, "count");
	lab_kill(a);
	start_leading();
	assert_int_equal(lab_value(a, "count"), count);
	assert_int_equal(lab_quit(a), 0);
}

/* While the log fills six segments nothing is refused for want of one (docs/decisions/0003). */
static void test_many_segments(void **state)
{
	(void)state;
	start_leading();
	propose(65000, 200, "");
	propose(DR_ENTRY_MAX, 3, "");
	lab_kill(a);
	start_leading();
	assert_int_equal(lab_value(a, "count"), 203);
	assert_int_equal(lab_quit(a), 0);
}

static void test_window(void **state)
{
	char done[64];

	(void)state;
	(void)snprintf(done, sizeof(done), "flood-done ok=%d unknown=0 refused=%d", DR_PROPOSALS_MAX,
		       1000 - DR_PROPOSALS_MAX);
	start_leading();
	lab_say(a, "flood 1000");
	assert_true(lab_wait(a, done, LAB_WAIT_MS));
	assert_int_equal(lab_quit(a), 0);
}

static void test_flip_in_open_segment(void **state)
{
	(void)state;
	start_leading();
	propose(200, 100, "");
	lab_kill(a);
	flip(file_named("open-"), 5000); /* amid the entries */
	refused_with("open-");
}

static void test_flip_in_last_batch(void **state)
{
	(void)state;
	start_leading();
	propose(40, 3, "");
	lab_kill(a);
	flip(file_named("open-"), 8 + 8 + 24 + 24); /* one batch alone would be taken for a torn write */
	refused_with("open-");
}

static void test_open_segment_zeroed(void **state)
{
	uint8_t zero[4096] = { 0 };
	int fd;

	(void)state;
	start_leading();
	propose(200, 100, "");
	lab_kill(a);
	fd = open(file_named("open-"), O_RDWR);
	assert_int_equal(pwrite(fd, zero, sizeof zero, 4096), sizeof zero); /* like a write that was lost */
	(void)close(fd);
	refused_with("acknowledged");
}

static void test_open_segment_deleted(void **state)
{
	(void)state;
	start_leading();
	propose(200, 10, "");
	lab_kill(a);
	assert_int_equal(unlink(file_named("open-")), 0);
	refused_with("acknowledged");
}

static void test_closed_segment_damaged(void **state)
{
	(void)state;
	start_leading();
	propose(200, 100, "");
	assert_int_equal(lab_quit(a), 0);
	flip(file_named("0000000000000002-"), 5000);
	refused_with("0000000000000002-");
}

static void test_closed_segment_deleted(void **state)
{
	(void)state;
	start_leading();
	propose(200, 100, "");
	assert_int_equal(lab_quit(a), 0);
	assert_int_equal(unlink(file_named("0000000000000002-")), 0);
	refused_with("acknowledged");
}

/* Replace folder `to` by a copy of `from`. */
static void copy_folder(const char *from, const char *to)
{
	static const char script[] = "rm -rf \"$1\" && cp -a \"$0\" \"$1\"";
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		(void)execlp("sh", "sh", "-c", script, from, to, (char *)NULL);
		_exit(9);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
}

/* Where the last byte that was ever written ends. */
static off_t written(const char *path)
{
	static uint8_t file[1 << 16];
	int fd = open(path, O_RDONLY);
	ssize_t n = pread(fd, file, sizeof file, 0);

	(void)close(fd);
	while (n > 0 && file[n - 1] == 0)
		n--;
	assert_true(n > 0);
	return n;
}

/* The segment cut to every length of a list, of which none holds all that was acknowledged.  The member must
 * refuse, and do so again when it is started once more: libraft renames and removes files while it loads. */
static void refuses_when_cut(const char *prefix, const off_t *length, size_t n)
{
	char saved[200];

	(void)snprintf(saved, sizeof saved, "%s-saved", a->dir);
	copy_folder(a->dir, saved);
	for (size_t i = 0; i < n; i++) {
		copy_folder(saved, a->dir);
		assert_int_equal(truncate(file_named(prefix), length[i]), 0);
		refused_with("remove");
		refused_with("remove");
	}
	copy_folder(saved, a->dir);
}

/* A proposal's bytes are one letter, so the entries of a batch have no zeros that look like a torn write. */
static void test_open_segment_cut(void **state)
{
	off_t end;

	(void)state;
	start_leading();
	propose(200, 100, "");
	lab_kill(a);
	end = written(file_named("open-"));
	{
		/* Inside format, header and data; the last byte; and sectors, where a lost write would end. */
		const off_t at[] = { 0, 4, 8, 12, 40, 100, 1024, 4096, end / 2, end - 200, end - 1 };

		refuses_when_cut("open-", at, sizeof at / sizeof at[0]);
	}
	/* Cut behind everything that was written it loses nothing. */
	assert_int_equal(truncate(file_named("open-"), (end / 4096 + 1) * 4096), 0);
	start_leading();
	assert_int_equal(lab_value(a, "count"), 100);
	assert_int_equal(lab_quit(a), 0);
}

/* Exactly between two batches: what is left is a whole segment in itself, only the guard knows of more. */
static void test_open_segment_cut_between(void **state)
{
	off_t between;

	(void)state;
	start_leading();
	propose(200, 50, "");
	between = (written(file_named("open-")) + 7) / 8 * 8;
	propose(200, 1, "");
	lab_kill(a);
	assert_true(written(file_named("open-")) > between);
	refuses_when_cut("open-", &between, 1);
	start_leading();
	assert_int_equal(lab_value(a, "count"), 51);
	assert_int_equal(lab_quit(a), 0);
}

static void test_closed_segment_cut(void **state)
{
	off_t end, between;

	(void)state;
	start_leading();
	propose(200, 99, "");
	between = (written(file_named("open-")) + 7) / 8 * 8;
	propose(200, 1, "");
	assert_int_equal(lab_quit(a), 0);
	end = written(file_named("0000000000000002-"));
	assert_true(end > between);
	{
		const off_t at[] = { 0, 4, 8, 100, 4096, end / 2, between, end - 200, end - 1 };

		refuses_when_cut("0000000000000002-", at, sizeof at / sizeof at[0]);
	}
	start_leading();
	assert_int_equal(lab_value(a, "count"), 100);
	assert_int_equal(lab_quit(a), 0);
}

/* A full one with a whole open one behind it. */
static void test_full_segment_cut(void **state)
{
	static const off_t at[] = { 0, 8, 65536, 1 << 20, (1 << 20) + 1 };

	(void)state;
	start_leading();
	propose(65000, 40, ""); /* of these 2 MiB hold 32 */
	assert_int_equal(lab_value(a, "count"), 40);
	lab_kill(a);
	(void)file_named("open-");
	refuses_when_cut("0000000000000002-", at, sizeof at / sizeof at[0]);
	start_leading();
	assert_int_equal(lab_value(a, "count"), 40);
	assert_int_equal(lab_quit(a), 0);
}

static const char *metadata(char path[256], unsigned n)
{
	(void)snprintf(path, 256, "%s/log/metadata%u", a->dir, n);
	return path;
}

static void test_metadata(void **state)
{
	char path[256];

	(void)state;
	start_leading();
	propose(200, 10, "");
	lab_kill(a);
	flip(metadata(path, 1), 16 + 4); /* a lone member never writes the second one */
	refused_with("metadata");
}

static void test_vote(void **state)
{
	char path[256];

	(void)state;
	start_leading();
	lab_kill(a);
	flip(metadata(path, 1), 24);
	refused_with("metadata");
}

static void test_metadata_deleted(void **state)
{
	char path[256];

	(void)state;
	start_leading();
	assert_int_equal(lab_quit(a), 0);
	assert_int_equal(unlink(metadata(path, 1)), 0);
	refused_with("metadata");
}

static void snapshot_taken(void)
{
	lab.threshold = "64";
	start_leading();
	propose_in(1, 200, 300, "");
	assert_true(lab_reach(a, "snap", 64));
	assert_int_equal(lab_quit(a), 0);
}

static void test_snapshot_flip(void **state)
{
	char log[256];
	struct dirent *d;
	DIR *dir;

	(void)state;
	snapshot_taken();
	(void)snprintf(log, sizeof log, "%s/log", a->dir);
	dir = opendir(log);
	while ((d = readdir(dir)) != NULL) {
		char path[600];

		(void)snprintf(path, sizeof path, "%s/%s", log, d->d_name);
		if (strncmp(d->d_name, "snapshot-", 9) == 0 && strstr(d->d_name, ".meta") == NULL)
			flip(path, 70);
	}
	(void)closedir(dir);
	refused_with("SHA-256");
}

static void test_snapshot_restored(void **state)
{
	(void)state;
	snapshot_taken();
	start_leading();
	assert_int_equal(lab_value(a, "count"), 300);
	assert_true(lab_value(a, "restored") >= 64);
	propose(200, 300, "durable");
	lab_kill(a);
	start_leading();
	assert_int_equal(lab_value(a, "count"), 600);
	assert_int_equal(lab_quit(a), 0);
}

static void test_guard_missing(void **state)
{
	char path[256];

	(void)state;
	start_leading();
	assert_int_equal(lab_quit(a), 0);
	(void)snprintf(path, sizeof path, "%s/guard", a->dir);
	assert_int_equal(unlink(path), 0);
	lab_start(&lab, 0);
	assert_true(lab_wait(a, "error corrupt: ", LAB_WAIT_MS));
	assert_non_null(strstr(a->last, "guard"));
	assert_int_equal(lab_exit_code(a), 3);
}

/* The newest record torn: its append was never reported, the record before it counts. */
static void test_guard_torn(void **state)
{
	char path[256];
	uint8_t rec[128];
	uint64_t best = 0;
	off_t at = 0;
	int fd;

	(void)state;
	start_leading();
	propose(200, 20, "");
	lab_kill(a);
	(void)snprintf(path, sizeof path, "%s/guard", a->dir);
	fd = open(path, O_RDWR);
	for (off_t o = 0; pread(fd, rec, sizeof rec, o) == (ssize_t)sizeof rec; o += (off_t)sizeof rec) {
		uint64_t seq = 0;

		for (unsigned i = 8; i < 16; i++)
			seq = seq << 8 | rec[i];
		if (seq > best) {
			best = seq;
			at = o;
		}
	}
	memset(rec, 0, sizeof rec);
	assert_int_equal(pwrite(fd, rec, 60, at + 68), 60);
	(void)close(fd);
	start_leading();
	assert_int_equal(lab_value(a, "count"), 20);
	assert_int_equal(lab_quit(a), 0);
}

/* A batch that a crash cut off in the middle of its write: a sector of it is still zeros. */
static void test_torn_write(void **state)
{
	uint8_t part[512];
	const char *path;
	off_t end = 0;
	uint8_t byte;
	int fd;

	(void)state;
	start_leading();
	propose(1500, 4, "");
	lab_kill(a);
	path = file_named("open-");
	fd = open(path, O_RDWR);
	for (off_t o = 0; o < 65536; o++) {
		if (pread(fd, &byte, 1, o) == 1 && byte != 0)
			end = o + 1;
	}
	/* A fifth batch begins: two sectors' worth of plausible bytes, then nothing more. */
	memset(part, 0x5a, sizeof part);
	memset(part + 8, 0, 8);
	part[8] = 1;
	end = (end + 7) / 8 * 8;
	assert_int_equal(pwrite(fd, part, 16, end), 16);
	(void)close(fd);
	end = 512 - end % 512; /* as far as the next sector; of 32 bytes 16 are written */
	if (end < 16 || end > 24) { /* no whole sector's part is zeros: then it is damage */
		refused_with("open-");
		return;
	}
	start_leading();
	assert_int_equal(lab_quit(a), 0);
}

/* libraft would retry a failed write for 5 s and crash: we leave at once, with the reason and 74. */
static void test_write_fails(void **state)
{
	struct rlimit small = { 4096, 4096 };

	(void)state;
	start_leading();
	propose(200, 5, "");
	assert_int_equal(prlimit(a->pid, RLIMIT_FSIZE, &small, NULL), 0);
	lab_say(a, "propose 4000 10 1");
	assert_true(lab_wait(a, "fatal ", LAB_WAIT_MS));
	assert_non_null(strstr(a->last, "cannot be written"));
	assert_int_equal(lab_exit_code(a), 74);
	start_leading();
	assert_true(lab_value(a, "count") >= 5);
	assert_int_equal(lab_quit(a), 0);
}

static void test_wrong_name(void **state)
{
	(void)state;
	(void)snprintf(a->name, sizeof a->name, "c-x");
	lab_start(&lab, 0);
	assert_true(lab_wait(a, "error invalid: ", LAB_WAIT_MS));
	assert_int_equal(lab_exit_code(a), 3);
}

static void test_bootstrap_twice(void **state)
{
	struct dr_raft_member m = { .id = a->id, .address = lab_address(&lab, 0) };
	struct dr_name name;
	struct dr_error e;
	uint64_t id;

	(void)state;
	(void)dr_name_set(&m.name, "c-a");
	name = m.name;
	assert_int_equal(dr_raft_bootstrap(a->dir, &name, &m, 1, &e), DR_E_EXISTS);
	assert_int_equal(dr_raft_prepare_join(a->dir, &name, &id, &e), DR_E_EXISTS);
	assert_int_equal(dr_raft_id(a->dir, &id, &e), DR_OK);
	assert_true(id == a->id);
	assert_int_equal(dr_raft_id(lab.dir, &id, &e), DR_E_NOT_FOUND);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_restart),
		CASE(test_window),
		CASE(test_many_segments),
		CASE(test_flip_in_open_segment),
		CASE(test_flip_in_last_batch),
		CASE(test_open_segment_zeroed),
		CASE(test_open_segment_deleted),
		CASE(test_closed_segment_damaged),
		CASE(test_closed_segment_deleted),
		CASE(test_open_segment_cut),
		CASE(test_open_segment_cut_between),
		CASE(test_closed_segment_cut),
		CASE(test_full_segment_cut),
		CASE(test_metadata),
		CASE(test_vote),
		CASE(test_metadata_deleted),
		CASE(test_snapshot_flip),
		CASE(test_snapshot_restored),
		CASE(test_guard_missing),
		CASE(test_guard_torn),
		CASE(test_torn_write),
		CASE(test_write_fails),
		CASE(test_wrong_name),
		CASE(test_bootstrap_twice),
	};

	cmocka_set_test_filter(getenv("LAB_ONLY")); /* one case by its name */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
