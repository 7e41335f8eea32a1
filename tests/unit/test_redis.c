/* test_redis.c -- what a Redis server says of itself, and what each op makes of it; no server is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/parse.h"
#include "redis_case.h"

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
	assert_false(says(judged(&c, red_judge_probe_write, &s, NULL), "EVAL")); /* nobody knows its id yet */
	c.args.system_id = 7;
	assert_true(says(judged(&c, red_judge_probe_write, &s, NULL), "0000000000000007"));
	s.lineage.identity = 7;
	assert_true(says(judged(&c, red_judge_probe_write, &s, NULL), "\r\nat\r\n"));
	s.lineage.there = false; /* FLUSHALL */
	assert_true(says(judged(&c, red_judge_probe_write, &s, NULL), "0000000000000007"));
	c.args.system_id = 0; /* a coordinator that does not know the log's id yet makes none up */
	assert_true(says(judged(&c, red_judge_probe_write, &s, NULL), "EVAL"));
	assert_false(says(&c.todo, "$3\r\nnew\r\n"));
	assert_true(says(judged(&c, red_judge_signed, &s, NULL), "$3\r\nnew\r\n"));
	s = primary();
	s.lineage.identity = 8; /* another service's: its mark stays as it is */
	s.lineage.epoch = 3;
	c.args.system_id = 7;
	assert_false(says(judged(&c, red_judge_probe_write, &s, NULL), "EVAL"));
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
	source.id_before[0] = '\0'; /* where it stands there is not known */
	source.lineage.epoch = 5;
	assert_int_equal(judged(&c, red_judge_following, &s, &source)->code, DR_E_CONFLICT);
	c.args.handed_over = true; /* the log knows that it has nothing of its own */
	assert_int_equal(judged(&c, red_judge_following, &s, &source)->verdict, RED_DO);
	c.args.handed_over = false;
	source = primary(); /* restarted: what it has came from this primary alone */
	(void)dr_copy_text(s.id, sizeof(s.id), "4567");
	assert_int_equal(judged(&c, red_judge_following, &s, &source)->verdict, RED_DO);
	assert_int_equal(judged(&c, red_judge_compared, &s, &source)->divergence, DR_DIVERGENCE_NONE);
	source.replica = true; /* ... or from its primary, of which this one may have less */
	assert_int_equal(judged(&c, red_judge_following, &s, &source)->code, DR_E_CONFLICT);
	source = primary();
	(void)dr_copy_text(source.id, sizeof(source.id), "0123"); /* promoted by now, and its mark is that primary's still */
	assert_int_equal(judged(&c, red_judge_following, &s, &source)->code, DR_E_CONFLICT);
	assert_int_equal(judged(&c, red_judge_compared, &s, &source)->divergence, DR_DIVERGENCE_CLONE);
	s = frozen();
	source = primary();
	s.lineage.identity = 7;
	assert_int_equal(judged(&c, red_judge_following, &s, &source)->verdict, RED_DO);
	source.lineage.identity = 8;
	c.args.handed_over = true;
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
	assert_non_null(strstr(judged(&c, red_judge_tended, &s, NULL)->text, "last dump"));
	s.save[0] = '\0'; /* turned off since it was taken over */
	assert_non_null(strstr(judged(&c, red_judge_tended, &s, NULL)->text, "keeps nothing"));
	s = primary();
	assert_string_equal(judged(&c, red_judge_tended, &s, NULL)->text, "");
	s.sentinels = 3;
	assert_non_null(strstr(judged(&c, red_judge_fit, &s, NULL)->text, "SENTINEL REMOVE"));
	assert_non_null(strstr(judged(&c, red_judge_tended, &s, NULL)->text, "SENTINEL REMOVE"));
	assert_true(strlen(c.todo.text) < DR_CAUTION_MAX);
	s = primary();
	(void)dr_copy_text(s.denied, sizeof(s.denied), " +replicaof +config|set");
	assert_int_equal(judged(&c, red_judge_fit, &s, NULL)->code, DR_E_DENIED);
	assert_non_null(strstr(judged(&c, red_judge_fit, &s, NULL)->text, "drcoord:lineage +replicaof +config|set"));
	s = primary();
	s.version = 60216;
	assert_int_equal(judged(&c, red_judge_fit, &s, NULL)->code, DR_E_UNSUPPORTED);
	assert_non_null(strstr(c.todo.text, "version 6.2.16; supported are Redis from 7.0"));
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
