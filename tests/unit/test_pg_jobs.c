/* test_pg_jobs.c -- compare, salvage, rewind, clone, follow on real servers: a primary crashes with WAL that
 * nobody got, its standby is promoted, and it has to come back as a standby without that WAL being lost. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/shell/pg_files.h"
#include "agent/shell/jobs_own.h"
#include "base/parse.h"
#include "pg_world.h"
#include "sys/file.h"
#include "sys/log.h"

enum { A, B };

static struct pg_world world;
static struct dr_job job;
static int jobs_done;
static enum dr_err last_code;
static char last_error[DR_ERROR_MSG_MAX];

static void on_done(struct dr_job *j, const struct dr_error *e)
{
	assert_ptr_equal(j, &job);
	jobs_done++;
	last_code = e != NULL ? e->code : DR_OK;
	(void)dr_copy_text(last_error, sizeof(last_error), e != NULL ? e->msg : "");
}

/* The job of server `at` with `from` as its source; what compare and salvage found is kept from job to job. */
static void begin(struct pg_world *w, enum dr_job_kind kind, int at, int from)
{
	struct dr_error e;
	struct dr_job_local *l = &job.local;
	memset(l, 0, sizeof(*l));
	job.kind = kind;
	assert_true(dr_name_set(&l->service, "orders"));
	assert_true(dr_name_set(&l->member, w->server[at].name));
	(void)dr_copy_text(l->data_dir, sizeof(l->data_dir), w->server[at].data);
	(void)dr_copy_text(l->bin_dir, sizeof(l->bin_dir), w->bin);
	(void)dr_copy_text(l->os_user, sizeof(l->os_user), w->os_user);
	(void)dr_copy_text(l->superuser, sizeof(l->superuser), "postgres");
	(void)dr_copy_text(l->replication_user, sizeof(l->replication_user), "postgres");
	(void)snprintf(l->salvage_dir, sizeof(l->salvage_dir), "%s/salvage", w->folder);
	l->salvage_max = 1ull << 30;
	(void)dr_copy_text(l->listen_host, sizeof(l->listen_host), "127.0.0.1");
	l->listen_port = w->server[at].port;
	(void)dr_copy_text(l->socket_dir, sizeof(l->socket_dir), w->server[at].socket_dir);
	assert_true(dr_name_set(&job.source.member, w->server[from].name));
	(void)dr_copy_text(job.source.host, sizeof(job.source.host), "127.0.0.1");
	job.source.port = w->server[from].port;
	job.deadline_ms = 60000;
	job.done = on_done;
	(void)e;
}

static enum dr_err finish(struct pg_world *w)
{
	struct dr_error e;
	int before = jobs_done;
	uint64_t at = uv_hrtime();
	if (dr_job_start(&job, &w->loop, &w->root, &e) != DR_OK)
		fail_msg("%s", e.msg);
	PG_WAIT(w, jobs_done == before + 1);
	print_message("job %d: %s %s (%llu ms)\n", (int)job.kind, dr_err_name(last_code), last_error,
		      (unsigned long long)((uv_hrtime() - at) / 1000000));
	return last_code;
}

static enum dr_err run(struct pg_world *w, enum dr_job_kind kind, int at, int from)
{
	begin(w, kind, at, from);
	return finish(w);
}

static void must(struct pg_world *w, enum dr_job_kind kind, int at, int from)
{
	if (run(w, kind, at, from) != DR_OK)
		fail_msg("%s\n%s", last_error, job.tail);
}

static void sql(struct pg_world *w, int at, const char *text)
{
	char out[4096];
	if (pg_world_sql(w, at, text, out, sizeof(out)) != 0)
		fail_msg("%s", text);
}

static void stop(struct pg_world *w, int at, uint32_t fast_ms)
{
	struct pg_server *s = &w->server[at];
	int before = s->stopped;
	dr_supervisor_stop(&s->super, fast_ms, 0, pg_world_on_stopped);
	PG_WAIT(w, s->stopped == before + 1 && s->super.pidfd < 0);
	assert_true(s->proved);
}

static void make_slots(struct pg_world *w, int at)
{
	sql(w, at,
	    "select pg_create_physical_replication_slot(n, true) from unnest(array['drcoord_pg_a','drcoord_pg_b'])"
	    " n where not exists (select from pg_replication_slots where slot_name = n)");
}

static bool streams(struct pg_world *w, int primary, int standby)
{
	char text[256];
	(void)snprintf(
	    text, sizeof(text),
	    "select count(*) from pg_stat_replication where application_name = '%s' and state = 'streaming'",
	    w->server[standby].name);
	return pg_world_says(w, primary, text, "1");
}

static bool rows_are(struct pg_world *w, int at, const char *want)
{
	return pg_world_says(w, at, "select count(*) from t", want);
}

/* Primary a with ten rows, b cloned from nothing and streaming. */
static void two_servers(struct pg_world *w)
{
	pg_world_init(w, A);
	pg_world_supervise(w, A);
	pg_world_start(w, A, false);
	make_slots(w, A);
	sql(w, A, "create table t (i int)");
	sql(w, A, "insert into t select generate_series(1, 10)");
	must(w, DR_JOB_COMPARE, B, A);
	assert_int_equal(job.compare.verdict, DR_PG_NOTHING);
	must(w, DR_JOB_SALVAGE, B, A);
	assert_int_equal(job.salvage.files, 0);
	must(w, DR_JOB_CLONE, B, A);
	pg_world_supervise(w, B);
	pg_world_start(w, B, true);
	PG_WAIT(w, streams(w, A, B) && rows_are(w, B, "10"));
}

/* a writes on alone and dies by kill -9; b, which never got that, is promoted and writes its own. */
static void split(struct pg_world *w)
{
	stop(w, B, 5000);
	sql(w, A, "insert into t select generate_series(11, 1000)");
	dr_supervisor_kill(&w->server[A].super, pg_world_on_stopped);
	PG_WAIT(w, w->server[A].super.seen.phase == DR_SUPER_STOPPED && w->server[A].super.pidfd < 0);
	assert_int_equal(dr_supervisor_mark_standby(&w->server[A].super, NULL), DR_OK);
	pg_world_start(w, B, true);
	sql(w, B, "select pg_promote()");
	sql(w, B, "checkpoint");
	make_slots(w, B);
	sql(w, B, "insert into t values (2001), (2002)");
}

static int set_up(void **state)
{
	*state = &world;
	memset(&job, 0, sizeof(job));
	pg_world_open(&world);
	two_servers(&world);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pg_world_close(&world);
	return 0;
}

static int count_beside(struct pg_world *w, const char *prefix)
{
	int n = 0;
	DIR *d = opendir(w->folder);
	assert_non_null(d);
	for (struct dirent *it = readdir(d); it != NULL; it = readdir(d))
		n += strncmp(it->d_name, prefix, strlen(prefix)) == 0;
	(void)closedir(d);
	return n;
}

static int lines_with(const char *path, const char *key)
{
	char line[2048];
	int n = 0;
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		n += strncmp(line, key, strlen(key)) == 0;
	(void)fclose(f);
	return n;
}

static void check_manifest(const char *folder)
{
	char path[DR_PATH_MAX + 16], line[512], name[64], sum[80];
	unsigned long long bytes = 0;
	uint32_t files = 0;
	(void)snprintf(path, sizeof(path), "%s/manifest", folder);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		char command[DR_PATH_MAX + 256];
		if (sscanf(line, "file %63s %llu %79s", name, &bytes, sum) != 3)
			continue;
		files++;
		/* Another program's word for the checksum. */
		(void)snprintf(command, sizeof(command), "echo '%s  %s/%s' | sha256sum -c --quiet", sum,
			       folder, name);
		const char *argv[] = { "/bin/sh", "-c", command, NULL };
		struct pg_world as_we_are = { .os_user = "" };
		assert_int_equal(pg_world_run(&as_we_are, argv, NULL, 0), 0);
	}
	(void)fclose(f);
	assert_int_equal(files, job.salvage.files);
	assert_true(files >= 1);
}

static void test_rewind(void **state)
{
	struct pg_world *w = *state;
	char path[DR_PATH_MAX + 32], first[DR_PATH_MAX];
	split(w);
	must(w, DR_JOB_COMPARE, A, B);
	print_message("compare: %s, extra %llu bytes, timelines %u and %u, state \"%s\": %s\n",
		      dr_pg_verdict_text(job.compare.verdict), (unsigned long long)job.compare.extra,
		      job.compare.timeline, job.compare.source_timeline, job.compare.state, job.compare.why);
	assert_int_equal(job.compare.verdict, DR_PG_REWIND);
	assert_int_equal(job.compare.timeline, 1);
	assert_int_equal(job.compare.source_timeline, 2);
	assert_int_equal(job.compare.fork_timeline, 1);
	assert_false(job.compare.clean);
	/* 990 rows of some 60 bytes of WAL each. */
	assert_true(job.compare.extra > 990 * 50 && job.compare.extra < 1 << 20);

	must(w, DR_JOB_SALVAGE, A, B);
	assert_false(job.salvage.existed);
	check_manifest(job.salvage.path);
	(void)dr_copy_text(first, sizeof(first), job.salvage.path);
	must(w, DR_JOB_SALVAGE, A, B);
	assert_true(job.salvage.existed);
	assert_string_equal(job.salvage.path, first);

	/* Configuration that an earlier try kept counts no more. */
	(void)snprintf(path, sizeof(path), "%s.keep", w->server[A].data);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s.keep/postgresql.conf", w->server[A].data);
	assert_int_equal(dr_file_replace(path, "nonsense\n", 9, 0600, NULL), DR_OK);
	must(w, DR_JOB_REWIND, A, B);
	assert_int_equal(count_beside(w, "pg-a."), 1); /* the server's log */
	pg_world_start(w, A, true);
	PG_WAIT(w, streams(w, B, A) && rows_are(w, A, "12"));
	assert_true(pg_world_says(w, A, "select pg_is_in_recovery()", "t"));
	/* Its own port came through the rewind, which brought b's files over. */
	assert_true(pg_world_says(w, A, "show synchronous_standby_names", ""));
	assert_true(pg_world_says(w, A, "show primary_slot_name", "drcoord_pg_a"));

	/* Once more, stopped: it only has to follow; and settings don't pile up. */
	stop(w, A, 5000);
	must(w, DR_JOB_COMPARE, A, B);
	assert_int_equal(job.compare.verdict, DR_PG_FOLLOWS);
	must(w, DR_JOB_FOLLOW, A, B);
	(void)snprintf(path, sizeof(path), "%s/postgresql.auto.conf", w->server[A].data);
	assert_int_equal(lines_with(path, "primary_conninfo"), 1);
	assert_int_equal(lines_with(path, "port"), 1);
	pg_world_start(w, A, true);
	PG_WAIT(w, streams(w, B, A));
}

static void test_salvage_full(void **state)
{
	struct pg_world *w = *state;
	char path[DR_PATH_MAX + 64];
	split(w);
	must(w, DR_JOB_COMPARE, A, B);
	begin(w, DR_JOB_SALVAGE, A, B);
	job.local.salvage_max = 1 << 20;
	assert_int_equal(finish(w), DR_E_NO_SPACE);
	assert_non_null(strstr(last_error, "nothing was changed"));
	assert_string_equal(job.salvage.path, "");
	/* What a try that broke off left there is taken away. */
	(void)snprintf(path, sizeof(path), "%s/salvage/orders-pg-a-20200101T000000Z.partial", w->folder);
	assert_int_equal(mkdir(path, 0700), 0);
	must(w, DR_JOB_SALVAGE, A, B);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_clone(void **state)
{
	struct pg_world *w = *state;
	char path[DR_PATH_MAX + 64];
	struct stat before, after;
	split(w);
	/* A copy that fails midway leaves the data alone, and its remains go at the next try. */
	assert_int_equal(stat(w->server[A].data, &before), 0);
	begin(w, DR_JOB_CLONE, A, B);
	job.source.port = 1;
	assert_int_equal(finish(w), DR_E_FAILED);
	assert_non_null(strstr(last_error, "pg_basebackup"));
	begin(w, DR_JOB_CLONE, A, B);
	int done = jobs_done;
	assert_int_equal(dr_job_start(&job, &w->loop, &w->root, NULL), DR_OK);
	(void)snprintf(path, sizeof(path), "%s.clone/data", w->server[A].data);
	PG_WAIT(w, access(path, F_OK) == 0 || jobs_done > done);
	dr_job_cancel(&job);
	PG_WAIT(w, jobs_done == done + 1);
	assert_int_equal(last_code, DR_E_CANCELLED);
	assert_int_equal(stat(w->server[A].data, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);

	must(w, DR_JOB_CLONE, A, B);
	assert_int_equal(stat(w->server[A].data, &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(count_beside(w, "pg-a.old-"), 1);
	assert_int_equal(count_beside(w, "pg-a.clone"), 0);
	pg_world_start(w, A, true);
	PG_WAIT(w, streams(w, B, A) && rows_are(w, A, "12"));
	must(w, DR_JOB_DISCARD, A, B);
	assert_int_equal(count_beside(w, "pg-a.old-"), 0);
	/* Not on a server that runs. */
	assert_int_equal(run(w, DR_JOB_CLONE, A, B), DR_E_CONFLICT);
	assert_int_equal(run(w, DR_JOB_REWIND, A, B), DR_E_CONFLICT);
	/* But whoever starts it next is to find a standby's mark. */
	assert_false(dr_pg_is_marked(w->server[B].data));
	must(w, DR_JOB_MARK, B, A);
	assert_true(dr_pg_is_marked(w->server[B].data));
}

/* A copy that was swapped in when the agent died: the old data, now in its place, isn't thrown away. */
static void test_clone_broke_off_after_swap(void **state)
{
	struct pg_world *w = *state;
	char clone[DR_PATH_MAX + 16], path[DR_PATH_MAX + 64];
	split(w);
	(void)snprintf(clone, sizeof(clone), "%s.clone", w->server[A].data);
	assert_int_equal(mkdir(clone, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/data", clone);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/finished", clone);
	assert_int_equal(dr_file_replace(path, "", 0, 0600, NULL), DR_OK);
	(void)snprintf(path, sizeof(path), "%s/%s", clone, JOB_MARK);
	assert_int_equal(dr_file_replace(path, "", 0, 0600, NULL), DR_OK);
	must(w, DR_JOB_CLONE, A, B);
	assert_int_equal(count_beside(w, "pg-a.old-"), 2);
}

/* Folders of others may be called as ours are. */
static void test_of_others(void **state)
{
	struct pg_world *w = *state;
	static const char *const names[] = { "clone", "old-before-upgrade", "old-20260101T000000Z" };
	char path[DR_PATH_MAX + 64], file[DR_PATH_MAX + 80];
	split(w);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s.%s", w->server[A].data, names[i]);
		assert_int_equal(mkdir(path, 0700), 0);
		(void)snprintf(file, sizeof(file), "%s/theirs", path);
		assert_int_equal(dr_file_replace(file, "", 0, 0600, NULL), DR_OK);
	}
	assert_int_equal(run(w, DR_JOB_CLONE, A, B), DR_E_EXISTS);
	assert_non_null(strstr(last_error, "give it another name"));
	must(w, DR_JOB_DISCARD, A, B);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(file, sizeof(file), "%s.%s/theirs", w->server[A].data, names[i]);
		assert_int_equal(access(file, F_OK), 0);
	}
}

static void test_broken_rewind(void **state)
{
	struct pg_world *w = *state;
	char path[DR_PATH_MAX + 64];
	split(w);
	must(w, DR_JOB_COMPARE, A, B);
	begin(w, DR_JOB_REWIND, A, B);
	job.source.port = 1;
	assert_int_equal(finish(w), DR_E_FAILED);
	assert_true(dr_pg_is_marked(w->server[A].data));
	/* The source was away: nothing was changed, it can be tried again. */
	must(w, DR_JOB_COMPARE, A, B);
	assert_int_equal(job.compare.verdict, DR_PG_REWIND);
	assert_true(job.compare.clean);
	/* As a rewind leaves it that died after its first change. */
	(void)snprintf(path, sizeof(path), "%s.rewinding", w->server[A].data);
	assert_int_equal(dr_file_replace(path, "", 0, 0600, NULL), DR_OK);
	must(w, DR_JOB_COMPARE, A, B);
	assert_int_equal(job.compare.verdict, DR_PG_CLONE);
	assert_int_equal(run(w, DR_JOB_REWIND, A, B), DR_E_REFUSED);
	assert_int_equal(dr_supervisor_start(&w->server[A].super, true, NULL), DR_E_REFUSED);
	must(w, DR_JOB_SALVAGE, A, B);
	assert_true(job.salvage.files >= 1);
	must(w, DR_JOB_CLONE, A, B);
	assert_int_equal(access(path, F_OK), -1);
	pg_world_start(w, A, true);
	PG_WAIT(w, streams(w, B, A) && rows_are(w, A, "12"));
}

/* The source has not the WAL any more that a rewound copy begins with: that is found before the copy is started, and
 * a clone is what is left. */
static void test_rewind_without_wal(void **state)
{
	struct pg_world *w = *state;
	static const char *const forget[] = { "alter system set wal_keep_size = 0", "alter system set min_wal_size = '32MB'",
					      "select pg_reload_conf()" };
	char said[256];
	split(w);
	for (size_t i = 0; i < sizeof(forget) / sizeof(forget[0]); i++)
		assert_int_equal(pg_world_sql(w, B, forget[i], said, sizeof(said)), 0);
	(void)pg_world_sql(w, B, "select pg_drop_replication_slot(slot_name) from pg_replication_slots", said, sizeof(said));
	for (int i = 0; i < 8; i++) {
		assert_int_equal(pg_world_sql(w, B, "select pg_switch_wal()", said, sizeof(said)), 0);
		assert_int_equal(pg_world_sql(w, B, "checkpoint", said, sizeof(said)), 0);
	}
	must(w, DR_JOB_COMPARE, A, B);
	assert_int_equal(job.compare.verdict, DR_PG_REWIND);
	assert_int_equal(run(w, DR_JOB_REWIND, A, B), DR_E_REFUSED);
	must(w, DR_JOB_COMPARE, A, B);
	assert_int_equal(job.compare.verdict, DR_PG_CLONE);
	must(w, DR_JOB_CLONE, A, B);
	assert_int_equal(pg_world_sql(w, B, "select pg_create_physical_replication_slot('drcoord_pg_a')", said,
				      sizeof(said)), 0);
	pg_world_start(w, A, true);
	PG_WAIT(w, streams(w, B, A) && rows_are(w, A, "12"));
}

/* A standby that was away until its source had removed what it lacks: told apart from one that was away for a moment,
 * and from one that has an archive; a clone is what is left. */
static void test_away_too_long(void **state)
{
	struct pg_world *w = *state;
	char path[DR_PATH_MAX + 32];
	static const char *const forget[] = { "alter system set wal_keep_size = 0", "alter system set min_wal_size = '32MB'",
					      "select pg_reload_conf()" };
	stop(w, B, 5000);
	sql(w, A, "insert into t values (11), (12)");
	must(w, DR_JOB_COMPARE, B, A);
	assert_int_equal(job.compare.verdict, DR_PG_FOLLOWS);
	for (size_t i = 0; i < sizeof(forget) / sizeof(forget[0]); i++)
		sql(w, A, forget[i]);
	sql(w, A, "select pg_drop_replication_slot(slot_name) from pg_replication_slots");
	for (int i = 0; i < 8; i++) {
		sql(w, A, "select pg_switch_wal()");
		sql(w, A, "checkpoint");
	}
	(void)snprintf(path, sizeof(path), "%s/postgresql.conf", w->server[B].data);
	FILE *f = fopen(path, "ae");
	assert_non_null(f);
	(void)fputs("restore_command = '/bin/false'\n", f);
	(void)fclose(f);
	must(w, DR_JOB_COMPARE, B, A);
	assert_int_equal(job.compare.verdict, DR_PG_FOLLOWS);
	f = fopen(path, "ae");
	assert_non_null(f);
	(void)fputs("restore_command = ''\n", f);
	(void)fclose(f);
	must(w, DR_JOB_COMPARE, B, A);
	print_message("compare: %s: %s\n", dr_pg_verdict_text(job.compare.verdict), job.compare.why);
	assert_int_equal(job.compare.verdict, DR_PG_CLONE);
	assert_int_equal(job.compare.extra, 0);
	must(w, DR_JOB_SALVAGE, B, A);
	assert_string_equal(job.salvage.path, ""); /* nothing of its own */
	make_slots(w, A);
	must(w, DR_JOB_CLONE, B, A);
	pg_world_start(w, B, true);
	PG_WAIT(w, streams(w, A, B) && rows_are(w, B, "12"));
}

static void test_stranger(void **state)
{
	struct pg_world *w = *state;
	pg_world_init(w, 2);
	must(w, DR_JOB_COMPARE, 2, A);
	assert_int_equal(job.compare.verdict, DR_PG_STRANGER);
	assert_int_equal(run(w, DR_JOB_SALVAGE, 2, A), DR_E_REFUSED);
	/* A source that doesn't answer is no verdict. */
	begin(w, DR_JOB_COMPARE, 2, A);
	job.source.port = 1;
	assert_int_equal(finish(w), DR_E_UNREACHABLE);
	assert_int_equal(job.compare.verdict, DR_PG_UNKNOWN);
}

int main(void)
{
	dr_log_init("test_pg_jobs", DR_LOG_WARN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rewind, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_salvage_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_clone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_clone_broke_off_after_swap, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_of_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_broken_rewind, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rewind_without_wal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_away_too_long, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stranger, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
