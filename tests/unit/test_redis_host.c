/* test_redis_host.c -- a Redis and a node of a Redis Cluster on their host: what their files must say before they are taken over,
 * and what of a data folder stays when it is moved aside. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/shell/jobs_own.h"
#include "agent/shell/local.h"
#include "base/parse.h"
#include "temp.h"

enum { MOST_BYTES = 4000 };

static char dir[128];       /* of this test */
static struct dr_job job;   /* moves dir/data into dir/salvage */

static int set_up(void **state)
{
	struct dr_job_local *s = &job.local;
	(void)state;
	temp_template(dir, sizeof(dir), "drredis");
	memset(&job, 0, sizeof(job));
	job.cancel_fd = -1;
	job.until_ns = UINT64_MAX;
	s->salvage_max = MOST_BYTES;
	if (mkdtemp(dir) == NULL || !dr_name_set(&s->service, "sessions") || !dr_name_set(&s->member, "rd-a"))
		return 1;
	(void)snprintf(s->data_dir, sizeof(s->data_dir), "%s/data/", dir);
	(void)snprintf(s->salvage_dir, sizeof(s->salvage_dir), "%s/salvage", dir);
	return mkdir(s->data_dir, 0700);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A name in a folder, below dir or absolute. */
static const char *path_of(const char *folder, const char *name)
{
	static char path[2 * DR_PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s%s%s/%s", folder[0] == '/' ? "" : dir, folder[0] == '/' ? "" : "/", folder, name);
	return path;
}

static void make_file(const char *folder, const char *name, const char *text)
{
	FILE *f = fopen(path_of(folder, name), "we");
	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
}

static bool is_there(const char *folder, const char *name)
{
	struct stat st;
	return stat(path_of(folder, name), &st) == 0;
}

static mode_t mode_of(const char *folder, const char *name)
{
	struct stat st;
	assert_int_equal(stat(path_of(folder, name), &st), 0);
	return st.st_mode & 07777;
}

/* ---- what the server's own file must say */

static bool takes(const struct dr_local_kind *kind, const char *text, struct dr_error *e)
{
	struct dr_local_server s = { .name = "sessions-rd-a" };
	make_file("data", "redis.conf", text);
	(void)snprintf(s.config_file, sizeof(s.config_file), "%s/data/redis.conf", dir);
	return kind->may_take(&s, e) == DR_OK;
}

#define TEN "aaaaaaaaaa"
#define LONG TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static void follows_nobody(void **state)
{
	(void)state;
	const struct dr_local_kind *redis = &dr_redis_local;
	struct dr_local_server nowhere = { .name = "sessions-rd-a" };
	struct dr_error e;
	assert_int_equal(redis->may_take(&nowhere, &e), DR_E_REFUSED);
	assert_true(takes(redis, "appendonly yes\nreplicaof 127.0.0.1 0\n", &e));
	assert_true(takes(redis, "  SlaveOf \t 127.0.0.1   0\r\n", &e));
	assert_true(takes(redis, "replicaof 10.0.0.1 6379\nreplicaof 127.0.0.1 0", &e));
	assert_false(takes(redis, "replicaof 127.0.0.1 0\nreplicaof 10.0.0.1 6379\n", &e)); /* the last one counts */
	assert_false(takes(redis, "replicaof 127.0.0.1 0\nreplicaof " LONG " 6379\n", &e));
	assert_true(takes(redis, "include /etc/redis/more.conf\nreplicaof 127.0.0.1 0\n", &e));
	assert_false(takes(redis, "replicaof 127.0.0.1 0\n\tInclude \"/etc/redis/more.conf\"\n", &e)); /* that may say otherwise */
	assert_non_null(strstr(e.msg, "behind all that it includes"));
	assert_false(takes(redis, "# replicaof 127.0.0.1 0\n", &e));
	assert_false(takes(redis, "replicaof 127.0.0.1 6379\n", &e));
	assert_false(takes(redis, "replicaof no one\n", &e));
	assert_false(takes(redis, "", &e));
}

/* Whether its stop leaves out the dump. */
static bool ends_without_dump(const char *text)
{
	struct dr_local_server s = { .name = "sessions-rd-a", .bin_dir = "/usr/bin", .data_dir = "/nowhere" };
	struct dr_local_command c = { .args = 0 };
	make_file("data", "redis.conf", text);
	(void)snprintf(s.config_file, sizeof(s.config_file), "%s/data/redis.conf", dir);
	dr_redis_local.command(&s, &c);
	for (size_t i = 0; i + 1 < c.args; i++) {
		if (strcmp(c.argv[i], "--shutdown-on-sigterm") == 0)
			return strcmp(c.argv[i + 1], "nosave") == 0;
	}
	return false;
}

static void loses_nothing_at_a_stop(void **state)
{
	(void)state;
	assert_true(ends_without_dump("include more.conf\nappendonly yes\n"));
	assert_false(ends_without_dump("appendonly yes\ninclude more.conf\n")); /* where it may be turned off */
	assert_false(ends_without_dump("appendonly yes\nappendonly no\n"));
	assert_false(ends_without_dump(""));
}

#define BRAKES                                                                                                     \
	"min-replicas-max-lag 10\nmasteruser drcoord-nobody\nmasterauth drcoord-nobody\nrepl-diskless-sync yes\n" \
	"repl-diskless-sync-delay 1000000000\ncluster-replica-no-failover yes\n" \
	"cluster-allow-replica-migration no\n"

static void has_its_brakes(void **state)
{
	(void)state;
	const struct dr_local_kind *node = &dr_redis_cluster_local;
	struct dr_local_server nowhere = { .name = "shard-1-rc-a" };
	struct dr_error e;
	assert_int_equal(node->may_take(&nowhere, &e), DR_E_REFUSED);
	assert_true(takes(node, BRAKES "min-replicas-to-write 1000000\n", &e));
	assert_true(takes(node, "min-slaves-to-write 1000000\n" BRAKES, &e));
	assert_false(takes(node, "min-replicas-to-write 1000000\n" BRAKES "min-replicas-to-write 1\n", &e));
	assert_non_null(strstr(e.msg, "min-replicas-to-write 1000000"));
	assert_false(takes(node, "min-replicas-to-write 1000000\n", &e));
	assert_false(takes(node, BRAKES "min-replicas-to-write 1000000\ninclude more.conf", &e));
}

/* ---- moved aside */

static void is_moved_aside(void **state)
{
	(void)state;
	const char *where = job.salvage.path;
	struct dr_error e;
	assert_int_equal(red_job_aside(&job, &e), DR_OK); /* nothing in it */
	assert_string_equal(where, "");
	make_file("data", "dump.rdb", "much");
	assert_int_equal(red_job_aside(&job, &e), DR_OK);
	assert_true(is_there(where, "dump.rdb") && is_there("data", "") && !is_there("data", "dump.rdb"));
	make_file("data", "dump.rdb", "more");
	job.local.salvage_max = 6; /* with what is there already it would be more */
	assert_int_equal(red_job_aside(&job, &e), DR_E_NO_SPACE);
	assert_true(is_there("data", "dump.rdb"));
	assert_int_equal(unlink(path_of("data", "dump.rdb")), 0);
	assert_int_equal(rmdir(job.local.data_dir), 0); /* a run before ended in between */
	assert_int_equal(red_job_aside(&job, &e), DR_OK);
	assert_true(is_there("data", ""));
}

static void keeps_its_name(void **state)
{
	(void)state;
	struct dr_local_server server = { .name = "shard-1-rc-a" };
	const char *where = job.salvage.path;
	struct dr_error e;
	memcpy(server.data_dir, job.local.data_dir, sizeof(server.data_dir));
	make_file("data", "dump.rdb", "much");
	make_file("data", "nodes.conf", "me");
	assert_int_equal(redc_job_aside(&job, &e), DR_OK);
	assert_true(is_there(where, "dump.rdb") && is_there(where, "nodes.conf"));
	assert_true(!is_there("data", "dump.rdb") && is_there("data", "nodes.conf"));
	assert_false(is_there("data.drcoord-kept", ""));
	/* A move that ended midway: before the next start the file is back. */
	assert_int_equal(mkdir(path_of("data.drcoord-kept", ""), 0700), 0);
	make_file("data.drcoord-kept", "nodes.conf", "me");
	assert_int_equal(unlink(path_of("data", "nodes.conf")), 0);
	dr_redis_cluster_local.tidy(&server);
	assert_true(is_there("data", "nodes.conf"));
	assert_false(is_there("data.drcoord-kept", ""));
}

/* All of it in the data folder, as some set it up: the server's own file, what that names, and the cluster's in a folder below. */
static void keeps_what_is_no_data(void **state)
{
	(void)state;
	static const char *const stays[] = { "redis.conf", "users.acl", "tls/ca.crt", "cluster/nodes.conf", "mine.conf" };
	enum { STAYS = sizeof(stays) / sizeof(stays[0]) };
	char text[1024], kept[256];
	const char *where = job.salvage.path;
	struct dr_error e;
	assert_int_equal(mkdir(path_of("data/tls", ""), 0750), 0);
	assert_int_equal(mkdir(path_of("data/cluster", ""), 0700), 0);
	(void)snprintf(text, sizeof(text), "aclfile users.acl\ntls-ca-cert-file %s/data/tls/ca.crt\ninclude /etc/none.conf\n"
		       "INCLUDE \"%s/data/mine.conf\"\ncluster-config-file ./cluster/nodes.conf\naclfile ../outside\n", dir, dir);
	for (size_t i = 0; i < STAYS; i++)
		make_file("data", stays[i], i == 0 ? text : "mine");
	assert_int_equal(chmod(path_of("data", "users.acl"), 0400), 0);
	make_file("data", "dump.rdb", "much");
	(void)snprintf(job.local.config_file, sizeof(job.local.config_file), "%s/data/redis.conf", dir);
	assert_int_equal(redc_job_aside(&job, &e), DR_OK);
	assert_true(is_there(where, "dump.rdb") && !is_there("data", "dump.rdb"));
	for (size_t i = 0; i < STAYS; i++)
		assert_true(is_there("data", stays[i]) && is_there(where, stays[i]));
	assert_int_equal(mode_of("data", "users.acl"), 0400);
	assert_int_equal(mode_of("data", "tls"), 0750);
	assert_false(is_there("data.drcoord-kept", ""));
	/* A run that ended after the move: the copies are beside, the server's own file among them. */
	(void)snprintf(text, sizeof(text), "%s/data", dir);
	(void)snprintf(kept, sizeof(kept), "%s/data.drcoord-kept", dir);
	assert_int_equal(rename(text, kept), 0);
	assert_int_equal(redc_job_aside(&job, &e), DR_OK);
	for (size_t i = 0; i < STAYS; i++)
		assert_true(is_there("data", stays[i]));
	assert_false(is_there("data.drcoord-kept", ""));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(follows_nobody), TEST(loses_nothing_at_a_stop), TEST(has_its_brakes), TEST(is_moved_aside),
		TEST(keeps_its_name), TEST(keeps_what_is_no_data),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
