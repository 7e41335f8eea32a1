/* test_redis_cluster.c -- a node's view of its cluster, and what each op makes of a node; no server is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/redis_cluster/cluster.h"
#include "base/parse.h"
#include "redis_case.h"

#define NODE_A "9df2125a7c7e63e5ad87747a06487a773f07810a"
#define NODE_B "582623a4f0a4dbb775a22fc696fd92f0bea720f4"

static const struct dr_address at_a = { .host = "10.1.0.20", .port = 6379 };

/* As Redis 7.0 wrote it, but for the addresses. */
static const char view[] =
	"9c9b2e95c058f790ca20a2bb27ab40c7c64d9e91 10.2.0.20:6380@16380 slave,nofailover "
	"d9702ee103d6ff15ba7ab09b5117c01dfb4cb96c 0 1 2 connected\n"
	NODE_B " 10.2.0.20:6379@16379 myself,slave,nofailover " NODE_A " 0 1795341859067 1 connected\n"
	NODE_A " 10.1.0.20:6379@16379,host-a master,fail?,nofailover - 0 1795341859066 3 connected 0-5460\n"
	"d9702ee103d6ff15ba7ab09b5117c01dfb4cb96c fd00::2:6380@16380 master - 0 1795341859167 2 connected "
	"5461-10921 10922 [93->-" NODE_A "]\n"
	"6697c0b647e1d68dfc38795d6c8d1adb5821e3b3 10.3.0.20:6379@16379 master,fail - 0 1795341859066 3 disconnected 10923-16383\n";

static void reads_the_view(void **state)
{
	(void)state;
	struct red_nodes n;
	struct dr_address six = { .host = "fd00::2", .port = 6380 };
	red_nodes_read(&n, view, &at_a);
	assert_true(n.there);
	assert_string_equal(n.wanted, NODE_A);
	assert_string_equal(n.self.host, "10.2.0.20");
	assert_int_equal(n.self.port, 6379);
	assert_int_equal(n.slots, 0);
	assert_int_equal(n.covered, 10923); /* the third's are nobody's */
	assert_int_equal(n.masters, 3);
	assert_int_equal(n.masters_there, 1); /* one is doubted, and one failed */
	assert_int_equal(n.masters_heard, 1);
	assert_false(red_nodes_can_vote(&n));
	red_nodes_read(&n, view, &six);
	assert_string_equal(n.wanted, "d9702ee103d6ff15ba7ab09b5117c01dfb4cb96c");
	red_nodes_read(&n, "", &six);
	assert_false(n.there);
	red_nodes_read(&n, "a b c\n@ @ @ @ @ @ @ @ @\nx :1@ myself,master - 0 0 0 connected 5-3 9-99999 -1 16384 16383-16383",
		       NULL);
	assert_true(n.there);
	assert_int_equal(n.slots, 1);
	assert_int_equal(n.self.port, 0);
}

static struct red_state node(bool replica, bool fenced)
{
	struct red_state s = { .version = 70015, .cluster = true, .appends = true, .offset = 1000, .replica = replica,
			       .fenced = fenced, .keeps = fenced, .stays = true, .unnamed = !replica, .deaf = !replica,
			       .replicas = 2 };
	(void)dr_copy_text(s.id, sizeof(s.id), ID_A);
	s.lineage = (struct red_lineage){ .there = true, .epoch = 4, .identity = 7, .at = 900 };
	(void)dr_copy_text(s.lineage.member, sizeof(s.lineage.member), "rc-a");
	(void)dr_copy_text(s.lineage.origin, sizeof(s.lineage.origin), ID_A);
	s.nodes = (struct red_nodes){ .there = true, .self = at_a, .slots = replica ? 0 : 5461, .covered = 16384,
				      .masters = 3, .masters_there = 3, .masters_heard = 3 };
	if (replica) {
		s.source = at_a;
		(void)dr_copy_text(s.nodes.wanted, sizeof(s.nodes.wanted), NODE_A);
	}
	red_place(&s);
	return s;
}

static struct case_ new_case(const char *member, uint64_t epoch)
{
	struct case_ c;
	memset(&c, 0, sizeof(c));
	c.args.epoch = epoch;
	c.args.primary_at = at_a;
	c.target.address = at_a;
	assert_true(dr_name_set(&c.target.member, member));
	assert_true(dr_name_set(&c.target.service, "shard-1"));
	return c;
}

static bool sets_brakes(const struct red_todo *t)
{
	return says(t, "min-replicas-to-write\r\n$7\r\n1000000") && says(t, "repl-diskless-sync-delay\r\n$10\r\n1000000000");
}

static void is_elected(void **state)
{
	(void)state;
	struct case_ c = new_case("rc-b", 5);
	struct red_state s = node(true, true);
	struct red_todo *t = judged(&c, redc_judge_writable, &s, NULL);
	assert_true(t->verdict == RED_DO && says(t, "FORCE") && !says(t, "TAKEOVER") && !says(t, "CONFIG"));
	c.sight.acted = 1;
	c.sight.looks = 5;
	assert_int_equal(judged(&c, redc_judge_writable, &s, NULL)->verdict, RED_WAIT);
	c.sight.looks = 100; /* no vote came: once more, never without one */
	t = judged(&c, redc_judge_writable, &s, NULL);
	assert_true(t->verdict == RED_DO && says(t, "FORCE"));
	c.args.takeover = true;
	c.sight.looks = 29;
	assert_int_equal(judged(&c, redc_judge_writable, &s, NULL)->verdict, RED_WAIT);
	c.sight.looks = 30;
	t = judged(&c, redc_judge_writable, &s, NULL);
	assert_true(t->verdict == RED_DO && says(t, "TAKEOVER"));
	s.syncing = true; /* half a copy is nobody's primary */
	assert_int_equal(judged(&c, redc_judge_writable, &s, NULL)->verdict, RED_FAIL);
	s = node(true, true);
	c.args.epoch = 3; /* older than what it has seen */
	assert_int_equal(judged(&c, redc_judge_writable, &s, NULL)->code, DR_E_REFUSED);
	dr_buf_close(&c.todo.commands);
}

static void takes_over_by_policy(void **state)
{
	(void)state;
	struct case_ c = new_case("rc-b", 5);
	struct red_state s = node(true, true);
	s.nodes.masters_there = 1;
	assert_int_equal(judged(&c, redc_judge_writable, &s, NULL)->verdict, RED_WAIT); /* they may come back */
	c.sight.looks = 200;
	struct red_todo *t = judged(&c, redc_judge_writable, &s, NULL);
	assert_int_equal(t->code, DR_E_REFUSED);
	assert_non_null(strstr(t->text, "takeover: true"));
	c.args.takeover = true;
	t = judged(&c, redc_judge_writable, &s, NULL);
	assert_true(t->verdict == RED_DO && says(t, "TAKEOVER") && !says(t, "FORCE"));
	c.sight.looks = 0; /* none is doubted yet, and most have not answered lately */
	s.nodes.masters_there = 3;
	s.nodes.masters_heard = 1;
	assert_true(says(judged(&c, redc_judge_writable, &s, NULL), "TAKEOVER"));
	c.args.takeover = false;
	assert_true(says(judged(&c, redc_judge_writable, &s, NULL), "FORCE"));
	dr_buf_close(&c.todo.commands);
}

static void takes_off_the_brakes_last(void **state)
{
	(void)state;
	struct case_ c = new_case("rc-b", 5);
	struct red_state s = node(false, true); /* a master by now, which takes no writes */
	(void)dr_copy_text(s.id, sizeof(s.id), ID_B);
	struct red_todo *t = judged(&c, redc_judge_writable, &s, NULL);
	assert_true(t->verdict == RED_DO && !t->wrote && says(t, "min-replicas-to-write\r\n$1\r\n0"));
	assert_true(says(t, "drcoord_l_shard_1") && says(t, "epoch 5 member rc-b origin " ID_B " id 0000000000000007 at 1000"));
	assert_true(strstr((const char *)t->commands.data, "KILL") > strstr((const char *)t->commands.data, "FUNCTION"));
	s = node(false, false);
	s.lineage.epoch = 5; /* done: it is only written to */
	t = judged(&c, redc_judge_writable, &s, NULL);
	assert_true(t->wrote && says(t, "drcoord_b_shard_1") && !says(t, "drcoord_l_") && !says(t, "CONFIG"));
	assert_non_null(strstr(t->text, "16384"));
	(void)dr_copy_text(s.id, sizeof(s.id), ID_B); /* somebody else's promotion of this epoch */
	assert_int_equal(judged(&c, redc_judge_writable, &s, NULL)->verdict, RED_FAIL);
	s = node(false, true);
	s.nodes.slots = 0;
	assert_int_equal(judged(&c, redc_judge_writable, &s, NULL)->verdict, RED_FAIL);
	s = node(false, true);
	s.cluster = false;
	assert_int_equal(judged(&c, redc_judge_writable, &s, NULL)->code, DR_E_UNSUPPORTED);
	dr_buf_close(&c.todo.commands);
}

/* As a server that is one: its stream got a name of its own, and the one before ends where it left that. */
static void promote(struct red_state *s)
{
	*s = node(false, true);
	(void)dr_copy_text(s->id, sizeof(s->id), ID_B);
	(void)dr_copy_text(s->id_before, sizeof(s->id_before), ID_A);
	s->offset_before = 1001;
	s->offset = 1014; /* and goes on */
	red_place(s);
}

/* What it has while it is promoted, in several looks, is what it was chosen for; after a restart it may be less. */
static void is_no_primary_with_less(void **state)
{
	(void)state;
	struct case_ c = new_case("rc-b", 5);
	struct red_state s = node(true, true);
	c.args.position = s.position;
	c.args.timeline = s.timeline;
	assert_true(says(judged(&c, redc_judge_writable, &s, NULL), "FORCE"));
	promote(&s);
	assert_int_equal(s.position, 1000);
	assert_true(says(judged(&c, redc_judge_writable, &s, NULL), "epoch 5"));
	s.id_before[0] = '\0'; /* restarted in between, it has what its files had */
	red_place(&s);
	assert_int_equal(s.position, 900);
	struct red_todo *t = judged(&c, redc_judge_writable, &s, NULL);
	assert_int_equal(t->code, DR_E_BEHIND);
	assert_non_null(strstr(t->text, "900"));
	s = node(true, true);
	(void)dr_copy_text(s.id, sizeof(s.id), ID_B);
	red_place(&s);
	assert_int_equal(judged(&c, redc_judge_writable, &s, NULL)->code, DR_E_BEHIND);
	c.args.position = 900; /* frozen as it came back, it is taken for what it has */
	assert_int_equal(judged(&c, redc_judge_writable, &s, NULL)->verdict, RED_DO);
	dr_buf_close(&c.todo.commands);
}

static void writes_as_a_probe(void **state)
{
	(void)state;
	struct case_ c = new_case("rc-a", 4);
	struct red_state s = node(false, false);
	struct red_todo *t = judged(&c, redc_judge_probe_write, &s, NULL);
	assert_true(t->wrote && says(t, "drcoord_b_") && !says(t, "drcoord_l_"));
	s.lineage.there = false; /* FUNCTION FLUSH */
	assert_true(says(judged(&c, redc_judge_probe_write, &s, NULL), "drcoord_l_"));
	s = node(false, false);
	(void)dr_copy_text(s.id, sizeof(s.id), ID_B); /* its first replica gave the stream another name */
	assert_true(says(judged(&c, redc_judge_probe_write, &s, NULL), "origin " ID_B " id 0000000000000007"));
	s = node(false, false);
	s.lineage.identity = 0; /* nobody knows its id yet */
	assert_false(says(judged(&c, redc_judge_probe_write, &s, NULL), "drcoord_l_"));
	c.args.system_id = 9;
	assert_true(says(judged(&c, redc_judge_probe_write, &s, NULL), " id 0000000000000009"));
	s.lineage.there = false;
	c.args.system_id = 0; /* a coordinator that does not know the log's id yet makes none up */
	assert_true(says(judged(&c, redc_judge_probe_write, &s, NULL), " id 0000000000000000"));
	assert_true(says(judged(&c, redc_judge_signed, &s, NULL), " id 74de152f36de8f5e"));
	s = node(false, false);
	s.lineage.epoch = 3; /* a coordinator that was behind wrote it after FUNCTION FLUSH */
	assert_true(says(judged(&c, redc_judge_probe_write, &s, NULL), "epoch 4"));
	s = node(false, true); /* somebody else promoted it */
	assert_int_equal(judged(&c, redc_judge_probe_write, &s, NULL)->code, DR_E_REFUSED);
	s = node(true, true);
	assert_int_equal(judged(&c, redc_judge_probe_write, &s, NULL)->code, DR_E_REFUSED);
	dr_buf_close(&c.todo.commands);
}

static void freezes_and_follows(void **state)
{
	(void)state;
	struct case_ c = new_case("rc-b", 4);
	struct red_state s = node(true, true);
	s.linked = true;
	assert_int_equal(judged(&c, redc_judge_frozen, &s, NULL)->verdict, RED_WAIT); /* first what is still on its way */
	c.sight.looks = 1;
	c.sight.offset_last = s.offset;
	struct red_todo *t = judged(&c, redc_judge_frozen, &s, NULL);
	assert_true(t->verdict == RED_DO && says(t, "drcoord-nobody") && says(t, "KILL") && sets_brakes(t));
	s.unnamed = s.deaf = true;
	assert_int_equal(judged(&c, redc_judge_frozen, &s, NULL)->verdict, RED_DO); /* the link is still there */
	s.linked = false;
	assert_int_equal(judged(&c, redc_judge_frozen, &s, NULL)->verdict, RED_HOLDS);
	s.deaf = false; /* without a password nobody asks for its name */
	assert_int_equal(judged(&c, redc_judge_frozen, &s, NULL)->verdict, RED_DO);
	c.sight.looks = 0;
	assert_int_equal(judged(&c, redc_judge_following, &s, NULL)->verdict, RED_SOURCE);
	c.sight.vetted = true;
	t = judged(&c, redc_judge_following, &s, NULL);
	assert_true(t->verdict == RED_DO && says(t, "REPLICATE\r\n$40\r\n" NODE_A) && sets_brakes(t) && !says(t, "drcoord-nobody"));
	s.unnamed = false;
	s.linked = true;
	assert_int_equal(judged(&c, redc_judge_following, &s, NULL)->verdict, RED_HOLDS);
	s.fenced = false; /* it would take writes if anybody promoted it */
	c.sight.looks = 100;
	assert_true(sets_brakes(judged(&c, redc_judge_following, &s, NULL)));
	s = node(false, true); /* a former primary, until the cluster tells it */
	assert_int_equal(judged(&c, redc_judge_following, &s, NULL)->verdict, RED_WAIT);
	assert_int_equal(judged(&c, redc_judge_frozen, &s, NULL)->verdict, RED_HOLDS);
	s = node(false, false);
	assert_int_equal(judged(&c, redc_judge_frozen, &s, NULL)->verdict, RED_FAIL);
	assert_int_equal(judged(&c, redc_judge_following, &s, NULL)->verdict, RED_FAIL);
	dr_buf_close(&c.todo.commands);
}

/* What a standby logs in with is read by nobody, but where it was just overwritten. */
static void asks_for_no_secret(void **state)
{
	(void)state;
	struct case_ c = new_case("rc-b", 4);
	for (unsigned op = 0; op < DR_OP_MAX; op++) {
		for (int acted = 0; acted < 2; acted++) {
			struct dr_buf b;
			dr_buf_init(&b, RED_BYTES_MAX);
			(void)redc_ask(&b, &c.target, (enum dr_op_kind)op, acted != 0);
			dr_buf_put_u8(&b, 0);
			bool asks = strstr((const char *)b.data, "masterauth") != NULL;
			assert_int_equal(asks, acted != 0 && (op == DR_OP_FROZEN || op == DR_OP_SIGNED));
			dr_buf_close(&b);
		}
	}
}

static void closes(void **state)
{
	(void)state;
	struct case_ c = new_case("rc-a", 5);
	struct red_state s = node(false, false);
	struct red_todo *t = judged(&c, redc_judge_closed, &s, NULL);
	const char *said = (const char *)t->commands.data;
	assert_true(t->verdict == RED_DO && sets_brakes(t) && says(t, "WAIT\r\n$1\r\n2"));
	assert_true(strstr(said, "FUNCTION") < strstr(said, "min-replicas-to-write") &&
		    strstr(said, "min-replicas-to-write") < strstr(said, "WAIT"));
	s = node(false, true);
	assert_int_equal(judged(&c, redc_judge_closed, &s, NULL)->verdict, RED_HOLDS);
	c.args.end = true;
	assert_true(judged(&c, redc_judge_closed, &s, NULL)->goodbye);
	s = node(true, true);
	assert_int_equal(judged(&c, redc_judge_closed, &s, NULL)->verdict, RED_FAIL);
	dr_buf_close(&c.todo.commands);
}

static void takes_over_running_ones(void **state)
{
	(void)state;
	struct case_ c = new_case("rc-a", 5);
	struct red_state s = node(false, false);
	s.stays = false;
	struct red_todo *t = judged(&c, redc_judge_signed, &s, NULL);
	assert_true(says(t, "epoch 5") && says(t, "cluster-replica-no-failover") && !sets_brakes(t));
	s = node(true, false);
	t = judged(&c, redc_judge_signed, &s, NULL);
	assert_true(sets_brakes(t) && !says(t, "epoch"));
	s = node(true, true);
	assert_int_equal(judged(&c, redc_judge_signed, &s, NULL)->verdict, RED_HOLDS);
	s = node(false, false);
	assert_int_equal(judged(&c, redc_judge_fit, &s, NULL)->verdict, RED_HOLDS);
	s.nodes.self.port = 7000;
	assert_non_null(strstr(judged(&c, redc_judge_fit, &s, NULL)->text, "cluster-announce-ip"));
	s = node(false, false);
	s.cluster = false;
	assert_int_equal(judged(&c, redc_judge_fit, &s, NULL)->code, DR_E_UNSUPPORTED);
	dr_buf_close(&c.todo.commands);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_view),     cmocka_unit_test(is_elected),
		cmocka_unit_test(takes_over_by_policy), cmocka_unit_test(takes_off_the_brakes_last),
		cmocka_unit_test(is_no_primary_with_less),
		cmocka_unit_test(writes_as_a_probe),  cmocka_unit_test(freezes_and_follows),
		cmocka_unit_test(asks_for_no_secret),
		cmocka_unit_test(closes),             cmocka_unit_test(takes_over_running_ones),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
