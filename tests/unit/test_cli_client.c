/* test_cli_client.c -- drcoordctl against coordinators that this test plays: leaders, followers, ones that hang up,
 * are silent, refuse or stream.  The program itself runs as a child; its output and exit code are judged. */
#include "cli_fixture.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/frames.h"
#include "sys/file.h"

/* Longer than a cell of a table. */
#define WHY                                                                                                            \
	"rejects our signature with TSIG key \\\"drcoord.\\\" (BADSIG): the secret in "                           \
	"/etc/drcoord/a-folder-with-a-name-that-is-rather-long/and-another-one-below-it/tsig-of-the-demo.secret is not the server's"

/* ---- what coordinators do ---- */

static void leads(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	if (strcmp(q->verb, "status") == 0)
		answer_json(
		    c, q->id,
		    "{\"cluster\":\"demo\",\"leader\":\"c-a\",\"term\":5,\"event_last\":7,\"coordinators\":[{\"name\":\"c-a\","
		    "\"site\":\"az-a\",\"address\":\"10.1.0.10:7400\",\"role\":\"leader\",\"reachable\":true,"
		    "\"ledger\":\"same\"},{\"name\":\"c-b\",\"site\":\"az-b\",\"ledger\":\"differs\"}],\"services\":["
		    "{\"name\":\"orders\",\"mode\":\"managed\",\"epoch\":4,\"primary\":\"pg-a\",\"sync\":{\"set\":[\"pg-b\"],"
		    "\"k\":1},\"plan\":{\"id\":3,\"kind\":\"failover\",\"step\":\"promote\",\"at\":6,\"steps\":9,"
		    "\"state\":\"asking\",\"why\":\"a reason\"},\"members\":[{\"name\":\"pg-a\",\"role\":\"primary\","
		    "\"state\":\"healthy\",\"lag_bytes\":0}],\"routes\":[{\"name\":\"dns\",\"record\":\"a.demo.\","
		    "\"servers\":[{\"address\":\"10.2.0.53:53\",\"current\":false,\"why\":\"" WHY "\"},"
		    "{\"address\":\"10.3.0.53:53\",\"current\":true,\"why\":null}]}],\"rejoins\":[{\"id\":9,"
		    "\"step\":\"compare\",\"at\":1,\"steps\":5,\"state\":\"asking\",\"member\":\"pg-c\","
		    "\"why\":\"it could not\",\"failed_at\":\"pg-c\",\"failed_because\":\"" WHY "\","
		    "\"override\":\"`drcoordctl approve` tries again\"}]}]}",
		    false);
	else
		answer_json(c, q->id, "{\"accepted\":true,\"plan\":3}", false);
}

static void follows(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	struct dr_client_response r = { .code = DR_E_NOT_LEADER, .leader_at = w.fake[1].at };
	(void)f;
	assert_true(dr_name_set(&r.leader, "c-b"));
	answer(c, &r, q->id);
}

static void hangs_up_once(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	if (f->requests == 1)
		dr_conn_close(c, 0);
	else
		leads(f, c, q);
}

static void is_silent(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	(void)c;
	(void)q;
}

static void refuses(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	struct dr_client_response r = { .code = DR_E_REFUSED,
					.message = "the last failover is too recent: 900 ms",
					.word = "cooldown",
					.override = "drcoordctl failover --force" };
	(void)f;
	answer(c, &r, q->id);
}

static void denies(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	answer_code(c, q->id, DR_E_DENIED, "that is for the role admin");
}

/* As a coordinator does that lost its majority. */
static void knows_no_leader(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	answer_code(c, q->id, DR_E_NOT_LEADER, "no leader is known");
}

/* Takes the first request and dies of it; afterwards it knows no leader either. */
static void dies_then_knows_none(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	if (f->requests == 1)
		dr_conn_close(c, 0);
	else
		knows_no_leader(f, c, q);
}

static void says_much(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	answer_json(c, q->id,
		    "{\"service\":\"caf\\u00e9 \\u001b[31m \\u009b \\u202e\",\"candidates\":[{\"member\":\"h\\u00f4te\","
		    "\"state\":\"ok\"},{\"member\":\"pg-b\",\"state\":\"ok\"}]}",
		    false);
}

static void has_sites(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	answer_json(c, q->id,
		    "{\"cluster\":\"demo\",\"coordinators\":[],\"services\":[],\"sites\":[{\"site\":\"az-a\",\"ready\":\"no\"},"
		    "{\"site\":\"az-b\",\"ready\":\"limited\"}],\"site_plans\":[{\"id\":7,\"kind\":\"failover\",\"site\":\"az-c\","
		    "\"state\":\"closed\",\"left\":0,\"runbook\":["
		    "{\"step\":\"tell\",\"state\":\"ending\",\"why\":\"given up\"}]}]}",
		    false);
}

static void speaks_nonsense(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	(void)q;
	(void)!dr_conn_send(c, DR_FRAME_RESPONSE, "\xff\xff\xff", 3);
}

static void is_busy_twice(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	if (f->requests <= 2)
		answer_code(c, q->id, DR_E_BUSY, "too many requests wait");
	else
		leads(f, c, q);
}

static void is_always_full(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	answer_code(c, q->id, DR_E_FULL, "all places are taken");
}

static void event(struct dr_conn *c, uint64_t id, unsigned index)
{
	char json[256];
	(void)snprintf(
	    json, sizeof(json),
	    "{\"index\":%u,\"wall_ms\":1795234567890,\"event\":\"plan.step.done\",\"service\":\"%s\",\"step\":\"promote\"}",
	    index, index % 2 == 0 ? "stock" : "orders");
	answer_json(c, id, json, true);
}

/* Sends events from where it is asked, at most `f->version` of them, and hangs up. */
static void streams_and_dies(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	if (strcmp(q->verb, "status") == 0)
		leads(f, c, q);
	if (strcmp(q->verb, "watch") != 0)
		return;
	for (unsigned i = 0; i < 3; i++)
		event(c, q->id, (unsigned)q->from + i);
	dr_conn_close(c, 1000);
}

/* The other one has them all, and repeats the last as a slow follower may. */
static void streams_on(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	if (strcmp(q->verb, "watch") != 0)
		return;
	event(c, q->id, (unsigned)q->from - 1);
	for (unsigned i = 0; i < 3; i++)
		event(c, q->id, (unsigned)q->from + i);
}

/* Streams one event, then nothing more, and never says so: a cut link. */
static void streams_and_falls_silent(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	if (strcmp(q->verb, "status") == 0)
		leads(f, c, q);
	else if (strcmp(q->verb, "watch") == 0)
		event(c, q->id, (unsigned)q->from);
}

/* Streams one event and later another; in between only pings are answered, as by one that does not know them. */
static void streams_slowly(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	static uint64_t watch_id;
	struct dr_client_response r = { .code = DR_E_UNSUPPORTED,
					.message = "this coordinator does not know that verb" };
	if (strcmp(q->verb, "watch") == 0) {
		watch_id = q->id;
		event(c, q->id, 8);
	} else if (strcmp(q->verb, "ping") == 0) {
		answer(c, &r, q->id);
		if (f->pings == 5)
			event(c, watch_id, 9);
	}
}

/* ---- tests ---- */

static void test_status(void **state)
{
	(void)state;
	play(0, leads);
	RUN(at(0), "status");
	expect(0, "orders   managed  4      pg-a     any 1 of pg-b  -      failover 3: promote 6/9, asking", "");
	expect(0, "c-a          az-a  10.1.0.10:7400  leader  yes", "");
	expect(0, "orders: the plan asks: a reason", "");
	/* A standby's own plan, which asks, is no less to be seen than the service's. */
	expect(0, "orders: rejoin 9 of pg-c: compare 1/5, asking\n", "");
	expect(0, "orders: rejoin 9 of pg-c asks: it could not\n", "");
	expect(0, "orders: pg-c says: rejects our signature", "");
	expect(0, "orders: to go on: `drcoordctl approve` tries again\n", "");
	assert_null(strstr(text_of(&w.out), "\033"));
	expect(0, "orders   dns    a.demo.  10.2.0.53:53  no", "");
	expect(0, "orders   dns    a.demo.  10.3.0.53:53  yes", "");
	expect(0, "orders: route dns: 10.2.0.53:53 rejects our signature with TSIG key \"drcoord.\" (BADSIG): ", "");
	expect(0, "tsig-of-the-demo.secret is not the server's\n", "");
	expect(0, "\nc-b: its ledger differs from the leader's: one of the two is no replica any more; ", "");
	assert_null(strstr(text_of(&w.out), "c-a: its ledger"));
	assert_null(strstr(text_of(&w.out), "10.3.0.53:53 \n"));
	RUN(at(0), "-o", "json", "status");
	expect(0, "{\"cluster\":\"demo\",", "");
	assert_int_equal(w.fake[0].requests, 2);
}

/* A site that would not outlive its loss; a step that somebody may still run, though its plan is closed. */
static void test_status_of_sites(void **state)
{
	(void)state;
	play(0, has_sites);
	RUN(at(0), "status");
	expect(0, "az-a: not ready: its loss would not end well", "");
	assert_null(strstr(text_of(&w.out), "az-b: not ready"));
	assert_non_null(strstr(text_of(&w.out), "step tell of the runbook: ending: given up"));
}

static void test_status_of_none(void **state)
{
	(void)state;
	play(0, leads);
	RUN(at(0), "status", "orders");
	expect(0, "pg-a", "");
	RUN(at(0), "status", "nosuch");
	expect(8, "", "no such service: nosuch");
	assert_string_equal(text_of(&w.out), "");
	RUN(at(0), "-o", "json", "status", "nosuch");
	expect(8, "{\"error\":{\"code\":\"not_found\"", "");
}

/* Text of any language goes through, and is aligned by its characters; nothing that steers a terminal does. */
static void test_text(void **state)
{
	(void)state;
	play(0, says_much);
	RUN(at(0), "explain", "orders");
	expect(0, "service: caf\xc3\xa9 ?[31m ? ?\n", "");
	expect(0, "h\xc3\xb4te    ok", "");
	expect(0, "pg-b    ok", "");
	RUN(at(0), "failover", "orders", "--reason", "caf\xc3\xa9");
	assert_string_equal(w.fake[0].reason, "caf\xc3\xa9");
}

static void test_request_says_all(void **state)
{
	(void)state;
	play(0, leads);
	RUN(at(0), "failover", "orders", "--to", "pg-b", "--force", "--reason", "site is on fire");
	expect(0, "plan 3\n", "");
	const struct fake *f = &w.fake[0];
	assert_string_equal(f->verb, "failover");
	assert_string_equal(f->service, "orders");
	assert_string_equal(f->member, "pg-b");
	assert_string_equal(f->reason, "site is on fire");
	assert_true(f->force);
	assert_true(f->ids[0] > 3);
}

static void test_follows_leader(void **state)
{
	(void)state;
	play(0, follows);
	play(1, leads);
	RUN(at(0), "switchover", "orders");
	expect(0, "plan 3\n", "");
	assert_int_equal(w.fake[0].requests, 1);
	assert_int_equal(w.fake[1].requests, 1);
	assert_true(w.fake[0].ids[0] == w.fake[1].ids[0]);
}

static void test_dead_endpoint(void **state)
{
	(void)state;
	char endpoints[128];
	play(0, leads);
	(void)snprintf(endpoints, sizeof(endpoints), "127.0.0.1:%u,%s", (unsigned)free_port(), at(0));
	RUN(endpoints, "status");
	expect(0, "leader: c-a", "");
}

/* What was sent and not answered is sent again under the same id, so that it is carried out once. */
static void test_same_id_again(void **state)
{
	(void)state;
	play(0, hangs_up_once);
	RUN(at(0), "failover", "orders");
	expect(0, "plan 3\n", "");
	assert_int_equal(w.fake[0].requests, 2);
	assert_true(w.fake[0].ids[0] == w.fake[0].ids[1]);
	play(1, is_busy_twice);
	RUN(at(1), "failover", "orders");
	expect(0, "plan 3\n", "");
	assert_int_equal(w.fake[1].requests, 3);
	assert_true(w.fake[1].ids[0] == w.fake[1].ids[2]);
}

/* On a busy machine the deadline may fall between the last try and its end: what came of that one is not known, and
 * drcoordctl says so.  Runs again, up to four times, until the deadline fell into a pause. */
#define RUN_TO_A_PAUSE(endpoints, ...)                                                                                 \
	do {                                                                                                           \
		RUN(endpoints, __VA_ARGS__);                                                                           \
		for (int i = 0; i < 4 && (w.code == 7 || strstr(text_of(&w.err), "127.0.0.1") != NULL); i++)           \
			RUN(endpoints, __VA_ARGS__);                                                                   \
	} while (false)

/* Whoever says that it has no room did nothing: the outcome is known, and asked again until the deadline. */
static void test_always_busy(void **state)
{
	(void)state;
	play(0, is_always_full);
	RUN_TO_A_PAUSE(at(0), "-t", "900ms", "failover", "orders");
	expect(6, "", "it could not be taken in until the deadline: all places are taken");
	assert_true(w.fake[0].requests >= 3 && w.fake[0].ids[0] == w.fake[0].ids[2]);
	play(1, knows_no_leader); /* what a follower says in between does not hide it */
	RUN_TO_A_PAUSE(both(), "-t", "900ms", "failover", "orders");
	expect(6, "", "all places are taken");
	RUN(at(0), "-t", "60s", "watch", "--from", "1");
	expect(6, "", "all places are taken");
}

static void test_outcome_unknown(void **state)
{
	(void)state;
	play(0, is_silent);
	RUN(at(0), "-t", "700ms", "failover", "orders");
	expect(7, "", "it may have been carried out");
	play(1, speaks_nonsense);
	RUN(at(1), "-t", "700ms", "failover", "orders");
	/* Which of the tries was the last when time ran out is not ours to say. */
	expect(7, "", "it may have been carried out");
}

/* Of what changes nothing it is not said that it may have been carried out. */
static void test_question_unanswered(void **state)
{
	static const char *const questions[][2] = {
		{ "status", NULL }, { "explain", "orders" }, { "node", "list" }
	};
	(void)state;
	play(0, is_silent);
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		RUN(at(0), "-t", "400ms", questions[i][0], questions[i][1]);
		expect(6, "", "no coordinator answered: 127.0.0.1:");
		assert_null(strstr(text_of(&w.err), "carried out"));
	}
	play(1, is_silent);
	RUN(at(1), "-t", "400ms", "diff", SPEC);
	expect(6, "", "no answer came to what was sent");
	assert_null(strstr(text_of(&w.err), "()"));
}

/* The coordinator that lives knows more than the one that is dead. */
static void test_no_quorum(void **state)
{
	(void)state;
	char endpoints[128];
	play(0, knows_no_leader);
	(void)snprintf(endpoints, sizeof(endpoints), "%s,127.0.0.1:%u", at(0), (unsigned)free_port());
	RUN_TO_A_PAUSE(endpoints, "-t", "700ms", "status");
	expect(6, "", "drcoordctl: status: no leader is known");
	RUN_TO_A_PAUSE(endpoints, "-t", "700ms", "failover", "orders");
	expect(6, "", "drcoordctl: failover: no leader is known");
	assert_null(strstr(text_of(&w.err), "()"));
	RUN_TO_A_PAUSE(at(0), "-t", "700ms", "status");
	expect(6, "", "drcoordctl: status: no leader is known\n");
}

/* That others do not lead says nothing of the one that took the request and died. */
static void test_doubt_stays(void **state)
{
	(void)state;
	play(0, dies_then_knows_none);
	play(1, knows_no_leader);
	RUN(both(), "-t", "900ms", "failover", "orders");
	expect(7, "", "it may have been carried out (no leader is known");
	assert_true(w.fake[0].requests > 0);
	assert_true(w.fake[0].requests + w.fake[1].requests > 1);
}

static void test_refused(void **state)
{
	(void)state;
	play(0, refuses);
	RUN(at(0), "failover", "orders");
	expect(4, "", "drcoordctl: failover: the last failover is too recent: 900 ms (cooldown)");
	expect(4, "", "What would go on nevertheless: drcoordctl failover --force");
	RUN(at(0), "-o", "json", "failover", "orders");
	expect(4, "{\"error\":{\"code\":\"refused\",", "");
	expect(4, "\"word\":\"cooldown\",\"override\":\"drcoordctl failover --force\"}}", "");
	play(1, denies);
	RUN(at(1), "node", "remove", "c-a");
	expect(5, "", "that is for the role admin");
}

/* Once with certificates of this cluster, once with those of another, in the same places. */
static void test_foreign_certificate(void **state)
{
	(void)state;
	char pki[96], prefix[96];
	struct dr_identity who = { .kind = DR_PEER_OPERATOR };
	struct dr_error e = { 0 };
	(void)snprintf(pki, sizeof(pki), "%s/other", w.dir);
	(void)snprintf(prefix, sizeof(prefix), "%s/other-eve", w.dir);
	assert_true(dr_name_set(&who.name, "eve"));
	assert_int_equal(dr_pki_init(pki, "demo", 1, &e), DR_OK);
	assert_int_equal(dr_pki_issue(pki, &who, 1, prefix, &e), DR_OK);
	play(0, leads);
	RUN(at(0), "status", "-t", "3s");
	expect(0, "leader: c-a", "");
	char cert[96], key[96], root[96];
	(void)snprintf(root, sizeof(root), "%s/other/ca.crt", w.dir);
	(void)snprintf(cert, sizeof(cert), "%s/other-eve.crt", w.dir);
	(void)snprintf(key, sizeof(key), "%s/other-eve.key", w.dir);
	char keep[3][96], kept[3][96];
	static const char *const names[] = { "pki/ca.crt", "eve.crt", "eve.key" };
	const char *foreign[] = { root, cert, key };
	for (int i = 0; i < 3; i++) {
		(void)snprintf(keep[i], sizeof(keep[i]), "%s/%s", w.dir, names[i]);
		(void)snprintf(kept[i], sizeof(kept[i]), "%s/%s.kept", w.dir, names[i]);
		assert_int_equal(rename(keep[i], kept[i]), 0);
		assert_int_equal(symlink(foreign[i], keep[i]), 0);
	}
	RUN(at(0), "status", "-t", "3s");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(unlink(keep[i]), 0);
		assert_int_equal(rename(kept[i], keep[i]), 0);
	}
	expect(5, "", at(0));
	assert_int_equal(w.fake[0].requests, 1);
}

static void test_nobody(void **state)
{
	(void)state;
	char endpoints[64];
	(void)snprintf(endpoints, sizeof(endpoints), "127.0.0.1:%u", (unsigned)free_port());
	RUN(endpoints, "-t", "500ms", "status");
	expect(6, "", endpoints);
	RUN(endpoints, "-t", "500ms", "watch", "--from", "1");
	expect(6, "", endpoints);
}

static unsigned lines(const char *s)
{
	unsigned n = 0;
	for (; *s != '\0'; s++)
		n += *s == '\n' ? 1 : 0;
	return n;
}

/* The first dies after three events; nothing is lost, nothing comes twice. */
static void test_watch_resumes(void **state)
{
	(void)state;
	play(0, streams_and_dies);
	play(1, streams_on);
	RUN(both(), "-o", "json", "watch", "--count", "6");
	expect(0, "{\"index\":8,", "");
	const char *s = text_of(&w.out);
	assert_int_equal(lines(s), 6);
	for (unsigned i = 8; i < 14; i++) {
		char part[32];
		(void)snprintf(part, sizeof(part), "{\"index\":%u,", i);
		const char *found = strstr(s, part);
		assert_non_null(found);
		assert_null(strstr(found + 1, part));
	}
	assert_int_equal(w.fake[0].froms[1], 8);
	assert_int_equal(w.fake[1].froms[0], 11);
	assert_string_equal(text_of(&w.err), "");
}

static void test_watch_text(void **state)
{
	(void)state;
	play(0, streams_on);
	RUN(at(0), "watch", "--from", "21", "--count", "2", "orders");
	expect(0, "plan.step.done     orders step=promote\n", "");
	assert_int_equal(lines(text_of(&w.out)), 2);
	assert_null(strstr(text_of(&w.out), "stock"));
}

static void test_watch_beyond_end(void **state)
{
	(void)state;
	play(0, streams_and_falls_silent);
	RUN(at(0), "watch", "--from", "8", "--count", "1");
	expect(0, "", "next event is 8; waiting\n");
	RUN(at(0), "watch", "--from", "20", "--count", "1");
	expect(0, "", "next event is 8; waiting for 20\n");
	RUN(at(0), "watch", "--from", "7", "--count", "1");
	assert_string_equal(text_of(&w.err), "");
	RUN(at(0), "-o", "json", "watch", "--from", "20", "--count", "1");
	expect(0, "{\"index\":20,", "");
	assert_string_equal(text_of(&w.err), "");
}

/* A cut link tells nobody: the silent one is left, the next takes over. */
static void test_watch_leaves_the_silent(void **state)
{
	(void)state;
	play(0, streams_and_falls_silent);
	play(1, streams_on);
	RUN(both(), "-o", "json", "watch", "--count", "3");
	expect(0, "{\"index\":10,", "");
	assert_int_equal(lines(text_of(&w.out)), 3);
	assert_true(w.fake[0].pings > 0);
}

/* Nothing happens for longer than the silence that is borne: pings keep the stream. */
static void test_watch_keeps_the_quiet(void **state)
{
	(void)state;
	play(0, streams_slowly);
	RUN(at(0), "-o", "json", "watch", "--from", "8", "--count", "2");
	expect(0, "{\"index\":9,", "");
	assert_int_equal(w.fake[0].accepted, 1);
	assert_int_equal(w.fake[0].requests, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_status, after_each),
		cmocka_unit_test_teardown(test_status_of_sites, after_each),
		cmocka_unit_test_teardown(test_status_of_none, after_each),
		cmocka_unit_test_teardown(test_text, after_each),
		cmocka_unit_test_teardown(test_request_says_all, after_each),
		cmocka_unit_test_teardown(test_follows_leader, after_each),
		cmocka_unit_test_teardown(test_dead_endpoint, after_each),
		cmocka_unit_test_teardown(test_same_id_again, after_each),
		cmocka_unit_test_teardown(test_always_busy, after_each),
		cmocka_unit_test_teardown(test_outcome_unknown, after_each),
		cmocka_unit_test_teardown(test_question_unanswered, after_each),
		cmocka_unit_test_teardown(test_no_quorum, after_each),
		cmocka_unit_test_teardown(test_doubt_stays, after_each),
		cmocka_unit_test_teardown(test_refused, after_each),
		cmocka_unit_test_teardown(test_foreign_certificate, after_each),
		cmocka_unit_test_teardown(test_nobody, after_each),
		cmocka_unit_test_teardown(test_watch_resumes, after_each),
		cmocka_unit_test_teardown(test_watch_text, after_each),
		cmocka_unit_test_teardown(test_watch_beyond_end, after_each),
		cmocka_unit_test_teardown(test_watch_leaves_the_silent, after_each),
		cmocka_unit_test_teardown(test_watch_keeps_the_quiet, after_each),
	};
	return cmocka_run_group_tests(tests, before_all, after_all);
}
