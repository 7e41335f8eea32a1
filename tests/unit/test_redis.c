/* test_redis.c -- what a Redis server says of itself, what each op makes of it, and what its file must say; no server is asked. */
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

#include "adapters/redis/red.h"
#include "agent/shell/jobs_own.h"
#include "agent/shell/local.h"
#include "base/parse.h"

#define ID_A "74de152f36de8f5e71f52774c7e127c561d33441"
#define ID_B "43762acd39730912e9a5e6eea1711112a0b74f68"

static const char info_primary[] =
	"# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:42\r\n# Persistence\r\naof_enabled:1\r\n"
	"# Replication\r\nrole:master\r\nconnected_slaves:2\r\nmaster_replid:" ID_A "\r\nmaster_replid2:" ID_B "\r\n"
	"master_repl_offset:1000\r\nsecond_repl_offset:400\r\n"
	"# Cluster\r\ncluster_enabled:0\r\n# Keyspace\r\ndb0:keys=3,expires=0\r\n";

static struct red_state read_of(const char *info)
{
	struct red_state s;
	memset(&s, 0, sizeof(s));
	red_read_info(&s, info);
	red_place(&s);
	return s;
}

static struct red_state primary(void)
{
	struct red_state s = read_of(info_primary); /* its data has no id yet */
	s.lineage = (struct red_lineage){ .there = true, .epoch = 4, .at = 900 };
	(void)dr_copy_text(s.lineage.member, sizeof(s.lineage.member), "rd-a");
	(void)dr_copy_text(s.lineage.origin, sizeof(s.lineage.origin), ID_A);
	red_place(&s);
	return s;
}

static struct red_state standby(void)
{
	struct red_state s = primary();
	s.replica = s.linked = true;
	(void)dr_copy_text(s.source.host, sizeof(s.source.host), "10.0.0.1");
	s.source.port = 6379;
	return s;
}

static struct red_state frozen(void)
{
	struct red_state s = standby();
	s.linked = false;
	s.nowhere = true;
	(void)dr_copy_text(s.source.host, sizeof(s.source.host), RED_NOWHERE_HOST);
	s.source.port = RED_NOWHERE_PORT;
	return s;
}

static void reads_info(void **state)
{
	(void)state;
	char value[8];
	struct red_state s = read_of(info_primary);
	assert_int_equal(s.version, 70015);
	assert_false(s.replica || s.cluster || s.empty || s.valkey);
	assert_true(s.appends);
	assert_int_equal(s.offset, 1000);
	assert_int_equal(s.offset_before, 400);
	assert_int_equal(s.replicas, 2);
	assert_string_equal(s.id, ID_A);
	assert_false(red_info("xrole:master\n", "role", value, sizeof(value)));
	assert_false(red_info("role:much too long for this\n", "role", value, sizeof(value)));
	assert_string_equal(value, "");
	s = read_of("redis_version:7.2.4\nvalkey_version:8.0.1\nrole:slave\nmaster_host:127.0.0.1\nmaster_port:0\n");
	assert_true(s.valkey && s.replica && s.nowhere && s.empty);
	assert_int_equal(s.version, 80001);
	s = read_of(""); /* rubbish is no server */
	assert_int_equal(s.version, 0);
	assert_string_equal(s.id, "");
}

static const char *caution_of(const char *info)
{
	static struct dr_evidence ev;
	struct red_state s = read_of(info);
	red_tell(&s, &ev);
	return ev.caution;
}

/* What nobody has tried is told, also what is newer. */
static void tells_versions(void **state)
{
	(void)state;
	assert_string_equal(caution_of(info_primary), "");
	assert_string_equal(caution_of("redis_version:7.4.2\n"), "");
	assert_non_null(strstr(caution_of("redis_version:8.0.0\n"), "Redis 8.0.0, drcoord is written for 7:"));
	assert_non_null(strstr(caution_of("redis_version:6.2.16\n"), "Redis 6.2.16"));
	assert_string_equal(caution_of("redis_version:7.2.4\nvalkey_version:8.1.3\n"), "");
	assert_non_null(strstr(caution_of("redis_version:7.2.4\nvalkey_version:9.0.0\n"),
			       "Valkey 9.0.0, drcoord is written for 7.2 to 8:"));
	assert_string_equal(caution_of("redis_version:7.0.15\ncluster_enabled:1\n"), "");
	assert_non_null(strstr(caution_of("redis_version:7.2.4\nvalkey_version:8.0.1\ncluster_enabled:1\n"),
			       "Valkey Cluster 8.0.1, drcoord is written for no version:"));
}

static void places(void **state)
{
	(void)state;
	struct red_state s = primary();
	assert_int_equal(s.timeline, 4);
	assert_int_equal(s.position, 1000);
	/* Restarted with its data, and without its place in the stream. */
	(void)dr_copy_text(s.id, sizeof(s.id), ID_B);
	s.offset = 7;
	red_place(&s);
	assert_int_equal(s.position, 900);
	/* Promoted, it has of that stream what it had then, whatever was written since. */
	(void)dr_copy_text(s.id_before, sizeof(s.id_before), ID_A);
	s.offset_before = 951;
	red_place(&s);
	assert_int_equal(s.position, 950);
	s.offset_before = 0;
	red_place(&s);
	assert_int_equal(s.position, 900);
	/* ... after it was closed in order. */
	s.lineage.closed = true;
	s.lineage.closed_at = 1234;
	red_place(&s);
	assert_int_equal(s.position, 1234);
	/* A full copy that broke off has left nothing, and an old offset. */
	s = standby();
	s.linked = false;
	s.lineage.there = false;
	red_place(&s);
	assert_int_equal(s.timeline, 1);
	assert_int_equal(s.position, 0);
}

/* The data's id goes with it, and is told as the data's own. */
static void has_an_identity(void **state)
{
	(void)state;
	struct dr_evidence ev = { .reached = false };
	struct red_state s = primary();
	red_tell(&s, &ev);
	assert_int_equal(ev.system_id, 0); /* from before there was one */
	s.lineage.identity = red_identity(ID_A);
	red_tell(&s, &ev);
	assert_int_equal(ev.system_id, 0x74de152f36de8f5e);
	s.lineage.there = false;
	red_tell(&s, &ev);
	assert_int_equal(ev.system_id, 0);
	assert_int_equal(red_identity("74de152f36de8f5"), 0);
	assert_int_equal(red_identity("74de152f36de8f5X"), 0);
	assert_int_equal(red_identity(""), 0);
}

struct case_ {
	struct red_sight sight;
	struct red_todo todo;
	struct dr_op_args args;
	struct dr_target target;
};

static struct red_todo *judged(struct case_ *c, red_judge *judge, const struct red_state *mine, const struct red_state *source)
{
	dr_buf_close(&c->todo.commands);
	memset(&c->todo, 0, sizeof(c->todo));
	dr_buf_init(&c->todo.commands, RED_BYTES_MAX);
	c->sight.args = &c->args;
	c->sight.target = &c->target;
	c->sight.replication_secret = "";
	c->sight.mine = mine;
	c->sight.source = source;
	judge(&c->sight, &c->todo);
	dr_buf_put_u8(&c->todo.commands, 0);
	return &c->todo;
}

static bool says(const struct red_todo *t, const char *text)
{
	return strstr((const char *)t->commands.data, text) != NULL;
}

static struct case_ new_case(const char *member, uint64_t epoch)
{
	struct case_ c;
	memset(&c, 0, sizeof(c));
	c.args.epoch = epoch;
	c.args.primary_at = (struct dr_address){ .host = "10.0.0.1", .port = 6379 };
	assert_true(dr_name_set(&c.target.member, member));
	return c;
}

static void promotes_once(void **state)
{
	(void)state;
	struct case_ c = new_case("rd-b", 5);
	struct red_state s = frozen();
	struct red_todo *t = judged(&c, red_judge_writable, &s, NULL);
	assert_int_equal(t->verdict, RED_DO);
	assert_true(says(t, "MULTI") && says(t, "NO\r\n") && says(t, "KILL"));
	assert_true(strstr(strstr((const char *)t->commands.data, "MULTI"), "EVAL") != NULL); /* the mark inside */
	s.syncing = true; /* half a copy is nobody's primary */
	assert_int_equal(judged(&c, red_judge_writable, &s, NULL)->verdict, RED_FAIL);
	s = frozen();
	c.args.epoch = 3; /* older than what it has seen */
	assert_int_equal(judged(&c, red_judge_writable, &s, NULL)->code, DR_E_REFUSED);
	dr_buf_close(&c.todo.commands);
	c = new_case("rd-a", 4); /* done already: it is only written to */
	s = primary();
	t = judged(&c, red_judge_writable, &s, NULL);
	assert_true(t->wrote && says(t, "HSET") && !says(t, "MULTI"));
	(void)dr_copy_text(s.id, sizeof(s.id), ID_B); /* its stream has got another id */
	t = judged(&c, red_judge_writable, &s, NULL);
	assert_true(!t->wrote && says(t, "EVAL") && !says(t, "MULTI"));
	(void)dr_copy_text(s.lineage.member, sizeof(s.lineage.member), "rd-c"); /* the mark of somebody else */
	assert_int_equal(judged(&c, red_judge_writable, &s, NULL)->verdict, RED_FAIL);
	dr_buf_close(&c.todo.commands);
}

/* Restarted between its choice and its promotion, it may have come back with less. */
static void is_no_primary_with_less(void **state)
{
	(void)state;
	struct case_ c = new_case("rd-b", 5);
	struct red_state s = frozen();
	c.args.position = s.position;
	c.args.timeline = s.timeline;
	assert_int_equal(judged(&c, red_judge_writable, &s, NULL)->verdict, RED_DO);
	(void)dr_copy_text(s.id, sizeof(s.id), ID_B); /* its place is lost: its data says how far it is at least */
	red_place(&s);
	assert_true(s.position < c.args.position);
	assert_int_equal(judged(&c, red_judge_writable, &s, NULL)->code, DR_E_BEHIND);
	s.replica = s.nowhere = false;
	assert_int_equal(judged(&c, red_judge_writable, &s, NULL)->code, DR_E_BEHIND);
	s = frozen();
	s.lineage.epoch = 3; /* a place further on, in the history before */
	s.offset = 5000;
	red_place(&s);
	assert_int_equal(judged(&c, red_judge_writable, &s, NULL)->code, DR_E_BEHIND);
	dr_buf_close(&c.todo.commands);
}

static void writes_as_a_probe(void **state)
{
	(void)state;
	struct case_ c = new_case("rd-a", 4);
	struct red_state s = primary();
	assert_true(says(judged(&c, red_judge_probe_write, &s, NULL), "EVAL")); /* it gets an id */
	s.lineage.identity = 7;
	assert_true(says(judged(&c, red_judge_probe_write, &s, NULL), "\r\nat\r\n"));
	s.lineage.there = false; /* FLUSHALL */
	c.args.system_id = 7;
	assert_true(says(judged(&c, red_judge_probe_write, &s, NULL), "EVAL"));
	assert_true(says(&c.todo, "0000000000000007"));
	s = primary();
	c.args.epoch = 3; /* a coordinator that is behind changes nothing */
	assert_false(says(judged(&c, red_judge_probe_write, &s, NULL), "EVAL"));
	s = standby();
	assert_int_equal(judged(&c, red_judge_probe_write, &s, NULL)->code, DR_E_REFUSED);
	dr_buf_close(&c.todo.commands);
}

static void freezes_and_follows(void **state)
{
	(void)state;
	struct case_ c = new_case("rd-b", 4);
	struct red_state s = standby();
	struct red_todo *t = judged(&c, red_judge_frozen, &s, NULL);
	assert_int_equal(t->verdict, RED_WAIT); /* first what still stands in the connection */
	c.sight.looks = 1;
	c.sight.offset_last = s.offset;
	t = judged(&c, red_judge_frozen, &s, NULL);
	assert_true(t->verdict == RED_DO && says(t, RED_NOWHERE_HOST) && !says(t, "ONE"));
	s = frozen();
	assert_int_equal(judged(&c, red_judge_frozen, &s, NULL)->verdict, RED_HOLDS);
	c.sight.looks = 0;
	assert_int_equal(judged(&c, red_judge_following, &s, NULL)->verdict, RED_SOURCE);
	c.sight.vetted = true;
	t = judged(&c, red_judge_following, &s, NULL);
	assert_true(t->verdict == RED_DO && says(t, "10.0.0.1"));
	s = standby();
	assert_int_equal(judged(&c, red_judge_following, &s, NULL)->verdict, RED_HOLDS);
	s.syncing = true;
	c.sight.looks = 100000; /* a copy that takes long is never begun again */
	assert_int_equal(judged(&c, red_judge_following, &s, NULL)->verdict, RED_WAIT);
	s = primary();
	assert_int_equal(judged(&c, red_judge_frozen, &s, NULL)->verdict, RED_FAIL);
	assert_int_equal(judged(&c, red_judge_following, &s, NULL)->verdict, RED_FAIL);
	dr_buf_close(&c.todo.commands);
}

/* A source that lacks what it has would overwrite it. */
static void looks_at_its_source(void **state)
{
	(void)state;
	struct case_ c = new_case("rd-b", 4);
	struct red_state s = frozen(), source = primary();
	assert_int_equal(judged(&c, red_judge_following, &s, &source)->verdict, RED_DO);
	source.offset = s.offset - 1;
	assert_int_equal(judged(&c, red_judge_following, &s, &source)->code, DR_E_CONFLICT);
	s.empty = true;
	assert_int_equal(judged(&c, red_judge_following, &s, NULL)->verdict, RED_DO);
	s = frozen(); /* promoted where it left the stream, later than this one */
	(void)dr_copy_text(source.id, sizeof(source.id), ID_B);
	(void)dr_copy_text(source.id_before, sizeof(source.id_before), ID_A);
	source.offset_before = s.offset;
	assert_int_equal(judged(&c, red_judge_following, &s, &source)->code, DR_E_CONFLICT);
	source.offset_before = s.offset + 1;
	assert_int_equal(judged(&c, red_judge_following, &s, &source)->verdict, RED_DO);
	source.id_before[0] = '\0'; /* where it stands there is not known: what its data descends from says something */
	assert_int_equal(judged(&c, red_judge_following, &s, &source)->verdict, RED_DO);
	source.lineage.epoch = 3;
	assert_int_equal(judged(&c, red_judge_following, &s, &source)->code, DR_E_CONFLICT);
	source = primary();
	s.lineage.identity = 7;
	assert_int_equal(judged(&c, red_judge_following, &s, &source)->verdict, RED_DO);
	source.lineage.identity = 8;
	assert_int_equal(judged(&c, red_judge_following, &s, &source)->code, DR_E_REFUSED);
	assert_int_equal(judged(&c, red_judge_compared, &s, &source)->code, DR_E_REFUSED);
	dr_buf_close(&c.todo.commands);
}

static void closes(void **state)
{
	(void)state;
	struct case_ c = new_case("rd-a", 5);
	struct red_state s = primary();
	struct red_todo *t = judged(&c, red_judge_closed, &s, NULL);
	assert_true(t->verdict == RED_DO && says(t, "WAIT") && says(t, "EVAL") && says(t, RED_NOWHERE_HOST));
	s = frozen();
	assert_int_equal(judged(&c, red_judge_closed, &s, NULL)->verdict, RED_HOLDS);
	c.args.end = true;
	t = judged(&c, red_judge_closed, &s, NULL);
	assert_true(t->goodbye && says(t, "NOSAVE"));
	s.appends = false; /* a dump is all that it has */
	t = judged(&c, red_judge_closed, &s, NULL);
	assert_true(t->goodbye && !says(t, "NOSAVE"));
	s = standby(); /* of another primary: not ours to end */
	assert_int_equal(judged(&c, red_judge_closed, &s, NULL)->verdict, RED_FAIL);
	dr_buf_close(&c.todo.commands);
}

/* The brake: so many replicas near, or no writes; read back, and nothing else is touched. */
static void brakes(void **state)
{
	(void)state;
	struct case_ c = new_case("rd-a", 5);
	struct red_state s = primary();
	c.args.k = 1;
	struct red_todo *t = judged(&c, red_judge_sync_set, &s, NULL);
	assert_true(t->verdict == RED_DO && !t->ends && says(t, "min-replicas-max-lag\r\n$1\r\n1\r\n"));
	assert_true(says(t, "min-replicas-to-write\r\n$1\r\n1\r\n"));
	s.near = 1;
	s.near_s = 10; /* as somebody had it: ten seconds of writes that nobody gets */
	assert_int_equal(judged(&c, red_judge_sync_set, &s, NULL)->verdict, RED_DO);
	s.near_s = 1;
	assert_int_equal(judged(&c, red_judge_sync_set, &s, NULL)->verdict, RED_HOLDS);
	c.args.k = 0;
	assert_true(says(judged(&c, red_judge_sync_set, &s, NULL), "min-replicas-to-write\r\n$1\r\n0\r\n"));
	c.sight.acted = 2;
	assert_int_equal(judged(&c, red_judge_sync_set, &s, NULL)->code, DR_E_CONFLICT);
	s = standby();
	assert_int_equal(judged(&c, red_judge_sync_set, &s, NULL)->code, DR_E_REFUSED);
	dr_buf_close(&c.todo.commands);
}

static void compares(void **state)
{
	(void)state;
	struct case_ c = new_case("rd-b", 5);
	struct red_state mine = frozen(), source = primary();
	assert_int_equal(judged(&c, red_judge_compared, &mine, NULL)->verdict, RED_SOURCE);
	assert_int_equal(judged(&c, red_judge_compared, &mine, &source)->divergence, DR_DIVERGENCE_NONE);
	mine.offset = 1001; /* more than the primary has */
	(void)dr_copy_text(mine.lineage.member, sizeof(mine.lineage.member), "rd-b");
	assert_int_equal(judged(&c, red_judge_compared, &mine, &source)->divergence, DR_DIVERGENCE_CLONE);
	(void)dr_copy_text(mine.id, sizeof(mine.id), ID_B); /* of the stream before: up to where it ended */
	mine.offset = 399;
	assert_int_equal(judged(&c, red_judge_compared, &mine, &source)->divergence, DR_DIVERGENCE_NONE);
	mine.offset = 400;
	assert_int_equal(judged(&c, red_judge_compared, &mine, &source)->divergence, DR_DIVERGENCE_CLONE);
	/* Its place is lost, and it only ever followed this primary. */
	(void)dr_copy_text(mine.id, sizeof(mine.id), "0123");
	(void)dr_copy_text(mine.lineage.member, sizeof(mine.lineage.member), "rd-a");
	assert_int_equal(judged(&c, red_judge_compared, &mine, &source)->divergence, DR_DIVERGENCE_NONE);
	source.lineage.epoch = 5;
	assert_int_equal(judged(&c, red_judge_compared, &mine, &source)->divergence, DR_DIVERGENCE_CLONE);
	mine.empty = true;
	assert_int_equal(judged(&c, red_judge_compared, &mine, &source)->divergence, DR_DIVERGENCE_NONE);
	dr_buf_close(&c.todo.commands);
}

static void names_what_is_unfit(void **state)
{
	(void)state;
	struct case_ c = new_case("rd-a", 1);
	struct red_state s = primary();
	assert_int_equal(judged(&c, red_judge_fit, &s, NULL)->verdict, RED_HOLDS);
	s.appends = false;
	assert_non_null(strstr(judged(&c, red_judge_fit, &s, NULL)->text, "appendonly yes"));
	(void)dr_copy_text(s.save, sizeof(s.save), "3600 1");
	assert_int_equal(judged(&c, red_judge_fit, &s, NULL)->verdict, RED_HOLDS);
	s.sentinels = 3;
	assert_non_null(strstr(judged(&c, red_judge_fit, &s, NULL)->text, "SENTINEL REMOVE"));
	s = primary();
	(void)dr_copy_text(s.denied, sizeof(s.denied), " +replicaof +config|set");
	assert_int_equal(judged(&c, red_judge_fit, &s, NULL)->code, DR_E_DENIED);
	assert_non_null(strstr(judged(&c, red_judge_fit, &s, NULL)->text, "drcoord:lineage +replicaof +config|set"));
	s = primary();
	s.version = 60216;
	assert_int_equal(judged(&c, red_judge_fit, &s, NULL)->code, DR_E_UNSUPPORTED);
	s.version = 70000;
	s.cluster = true;
	assert_int_equal(judged(&c, red_judge_fit, &s, NULL)->code, DR_E_UNSUPPORTED);
	dr_buf_close(&c.todo.commands);
}

static void errors_have_codes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum dr_err code;
	} all[] = {
		{ "READONLY You can't write against a read only replica.", DR_E_REFUSED },
		{ "LOADING Redis is loading the dataset in memory", DR_E_BUSY },
		{ "MISCONF Errors writing to the AOF file: No space left on device", DR_E_NO_SPACE },
		{ "MISCONF Errors writing to the AOF file: Input/output error", DR_E_IO },
		{ "NOAUTH Authentication required.", DR_E_AUTH },
		{ "WRONGPASS invalid username-password pair", DR_E_AUTH },
		{ "NOPERM this user has no permissions to run the 'hset' command", DR_E_DENIED },
		{ "ERR max number of clients reached", DR_E_FULL },
		{ "OOM command not allowed when used memory > 'maxmemory'.", DR_E_FAILED },
		{ "NOREPLICAS Not enough good replicas to write.", DR_E_FAILED },
		{ "BUSY Redis is busy running a script.", DR_E_BUSY },
	};
	struct dr_error e;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_int_equal(red_error(all[i].text, &e), all[i].code);
		assert_string_equal(e.msg, all[i].text);
	}
	assert_int_equal(red_error("ERR a\r\nb\x01", &e), DR_E_FAILED);
	assert_string_equal(e.msg, "ERR a  b ");
}

/* ---- the agent's side */

static void write_file(const char *dir, const char *name, const char *text, char path[DR_PATH_MAX])
{
	(void)snprintf(path, DR_PATH_MAX, "%s/%s", dir, name);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
}

static bool takes(struct dr_local_server *s, const char *dir, const char *text)
{
	struct dr_error e;
	write_file(dir, "redis.conf", text, s->config_file);
	return dr_redis_local.may_take(s, &e) == DR_OK;
}

static void wants_its_file(void **state)
{
	(void)state;
	char dir[] = "/tmp/drredis-XXXXXX";
	struct dr_local_server s = { .name = "sessions-rd-a" };
	struct dr_error e;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(dr_redis_local.may_take(&s, &e), DR_E_REFUSED);
	assert_true(takes(&s, dir, "appendonly yes\nreplicaof 127.0.0.1 0\n"));
	assert_true(takes(&s, dir, "  SlaveOf \t 127.0.0.1   0\r\n"));
	assert_true(takes(&s, dir, "replicaof 10.0.0.1 6379\nreplicaof 127.0.0.1 0"));
	assert_false(takes(&s, dir, "replicaof 127.0.0.1 0\nreplicaof 10.0.0.1 6379\n")); /* the last one counts */
	assert_false(takes(&s, dir, "# replicaof 127.0.0.1 0\n"));
	assert_false(takes(&s, dir, "replicaof 127.0.0.1 6379\n"));
	assert_false(takes(&s, dir, "replicaof no one\n"));
	assert_false(takes(&s, dir, ""));
	(void)unlink(s.config_file);
	assert_int_equal(rmdir(dir), 0);
}

static void is_moved_aside(void **state)
{
	(void)state;
	char dir[] = "/tmp/drredis-XXXXXX", path[DR_PATH_MAX], where0[DR_PATH_MAX];
	static struct dr_job job;
	struct dr_job_local *s = &job.local;
	const char *where = job.salvage.path;
	struct dr_error e;
	struct stat st;
	memset(&job, 0, sizeof(job));
	job.cancel_fd = -1;
	job.until_ns = UINT64_MAX;
	s->salvage_max = 1000;
	assert_true(dr_name_set(&s->service, "sessions") && dr_name_set(&s->member, "rd-a"));
	assert_non_null(mkdtemp(dir));
	(void)snprintf(s->data_dir, sizeof(s->data_dir), "%s/data/", dir);
	(void)snprintf(s->salvage_dir, sizeof(s->salvage_dir), "%s/salvage", dir);
	assert_int_equal(mkdir(s->data_dir, 0700), 0);
	assert_int_equal(red_job_aside(&job, &e), DR_OK); /* nothing in it */
	assert_string_equal(where, "");
	write_file(s->data_dir, "dump.rdb", "much", path);
	assert_int_equal(red_job_aside(&job, &e), DR_OK);
	(void)dr_copy_text(where0, sizeof(where0), where);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(stat(s->data_dir, &st), 0);
	(void)snprintf(path, sizeof(path), "%s/dump.rdb", where);
	assert_int_equal(stat(path, &st), 0);
	write_file(s->data_dir, "dump.rdb", "more", path);
	s->salvage_max = 6; /* with what is there already it would be more */
	assert_int_equal(red_job_aside(&job, &e), DR_E_NO_SPACE);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(s->data_dir), 0); /* a run before ended in between */
	assert_int_equal(red_job_aside(&job, &e), DR_OK);
	assert_int_equal(stat(s->data_dir, &st), 0);
	(void)snprintf(path, sizeof(path), "%s/dump.rdb", where0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(where0), 0);
	assert_int_equal(rmdir(s->salvage_dir), 0);
	assert_int_equal(rmdir(s->data_dir), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_info), cmocka_unit_test(tells_versions),	  cmocka_unit_test(places),
		cmocka_unit_test(has_an_identity), cmocka_unit_test(promotes_once),
		cmocka_unit_test(is_no_primary_with_less),
		cmocka_unit_test(writes_as_a_probe), cmocka_unit_test(freezes_and_follows), cmocka_unit_test(looks_at_its_source),
		cmocka_unit_test(closes),
		cmocka_unit_test(brakes),
		cmocka_unit_test(compares),	  cmocka_unit_test(names_what_is_unfit), cmocka_unit_test(errors_have_codes),
		cmocka_unit_test(wants_its_file), cmocka_unit_test(is_moved_aside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
