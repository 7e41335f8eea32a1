/* test_cli_forecast.c -- "ready" and "simulate" of drcoordctl against a coordinator that this test plays: what people read,
 * what programs read, and the exit code that scripts test. */
#include "cli_fixture.h"

#include <string.h>

#define NOTES                                                                                                          \
	"[{\"member\":\"pg-c\",\"blocks\":false,\"reason\":\"not_reachable\",\"why\":\"it is silent\"},"                     \
	"{\"member\":\"pg-b\",\"blocks\":false,\"reason\":\"caution\",\"why\":\"see\",\"detail\":\"`chmod go-w x`\"},"           \
	"{\"blocks\":true,\"reason\":\"paused\",\"why\":\"plans are paused\",\"override\":\"`drcoordctl resume`\"}]"
#define SERVICE(ready, notes)                                                                                          \
	"{\"service\":\"orders\",\"site\":\"az-a\",\"ready\":\"" ready "\",\"if_host_lost\":\"yes\",\"if_site_lost\":\"" ready  \
	"\",\"rto_host_ms\":1900,\"rto_site_ms\":2100,\"notes\":" notes "}"
#define SIMULATED(outcome, moves)                                                                                      \
	"{\"assumed\":\"the host of pg-a is lost\",\"service\":\"orders\",\"primary\":\"pg-a\",\"verb_now\":{\"accepted\":"     \
	"false,\"reason\":\"primary_healthy\",\"why\":\"the primary is healthy\",\"override\":\"`drcoordctl switchover`\"},"  \
	"\"outcome\":\"" outcome "\",\"by_itself\":{\"moves\":" moves "},\"candidate\":\"pg-b\",\"rto\":{\"writable_ms\":1912," \
	"\"routed_ms\":2040,\"rests_on\":\"past steps of this cluster\"},\"rpo\":{\"bytes\":0,\"seconds\":0,\"why\":\"sync\"},"  \
	"\"members\":[{\"member\":\"pg-b\",\"site\":\"az-b\",\"chosen\":true,\"priority\":2,\"in_sync_set\":true,\"lag\":0}],"  \
	"\"steps\":[{\"step\":\"promote\",\"from_ms\":1600,\"to_ms\":1912,\"outcome\":\"done\",\"time_from\":\"past steps\","   \
	"\"samples\":4}]}"

static void is_ready(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	assert_string_equal(q->verb, "ready");
	answer_json(c, q->id, "{\"ready\":\"limited\",\"sites\":[{\"site\":\"az-a\",\"ready\":\"limited\",\"primaries\":1,"
		    "\"coordinators_elsewhere\":2}],\"services\":[" SERVICE("limited", "[]") "]}", false);
}

static void is_not(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	answer_json(c, q->id, "{\"ready\":\"no\",\"services\":[" SERVICE("no", NOTES) "]}", false);
}

static void ends_well(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	assert_string_equal(q->verb, "simulate failover");
	answer_json(c, q->id, SIMULATED("done", "true"), false);
}

static void asks(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	answer_json(c, q->id, SIMULATED("asks", "true"), false);
}

static void not_by_itself(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	answer_json(c, q->id, SIMULATED("done", "false"), false);
}

static void site(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	assert_string_equal(q->verb, "simulate switchover");
	assert_string_equal(q->site.s, "az-a");
	answer_json(c, q->id, "{\"site\":\"az-a\",\"assumed\":\"evacuation of the site az-a\","
		    "\"verb_now\":{\"accepted\":false,\"service\":\"stock\",\"reason\":\"paused\",\"why\":\"plans are paused\"},"
		    "\"services_left_out\":3,\"services\":["
		    SIMULATED("done", "true") "," SIMULATED("failed", "true") "]}", false);
}

static void nothing_to_bring_back(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	assert_string_equal(q->verb, "simulate failback");
	answer_json(c, q->id, "{\"site\":\"az-a\",\"assumed\":\"return to the site az-a\",\"reason\":\"nothing_to_bring_back\","
		    "\"why\":\"nothing was moved away\",\"verb_now\":{\"accepted\":false,\"service\":null,"
		    "\"reason\":\"nothing_to_bring_back\",\"why\":\"nothing was moved away\"},\"services\":[]}", false);
}

static void no_json(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	answer_json(c, q->id, "nonsense", false);
}

static void test_ready(void **state)
{
	(void)state;
	play(0, is_ready);
	RUN(at(0), "ready");
	expect(0, "limited", "");
	assert_non_null(strstr(text_of(&w.out), "IF_SITE_LOST"));
	w.fake[0].play = is_not;
	RUN(at(0), "ready", "--service", "orders");
	expect(10, "orders: not ready: plans are paused", "");
	assert_non_null(strstr(text_of(&w.out), "orders/pg-c: it is silent\n"));
	assert_non_null(strstr(text_of(&w.out), "orders/pg-b: see: `chmod go-w x`\n"));
	assert_non_null(strstr(text_of(&w.out), "`drcoordctl resume`"));
	assert_string_equal(w.fake[0].service, "orders");
	RUN(at(0), "-o", "json", "ready", "--site", "az-a");
	expect(10, "{\"ready\":\"no\"", "");
	RUN(at(0), "ready", "--site", "az-a", "--service", "orders");
	expect(2, "", "either");
}

static void test_simulate(void **state)
{
	(void)state;
	play(0, ends_well);
	RUN(at(0), "simulate", "failover", "orders", "--to", "pg-b");
	expect(0, "writes again after 1.912 s, names follow after 2.040 s (past steps of this cluster)", "");
	assert_non_null(strstr(text_of(&w.out), "assumed: the host of pg-a is lost"));
	assert_non_null(strstr(text_of(&w.out), "ordered now it would be refused: the primary is healthy"));
	assert_non_null(strstr(text_of(&w.out), "loss: 0 bytes, 0 s: sync"));
	assert_string_equal(w.fake[0].member, "pg-b");
	w.fake[0].play = asks;
	RUN(at(0), "simulate", "failover", "orders");
	expect(10, "would stop and ask a person", "");
	w.fake[0].play = not_by_itself;
	RUN(at(0), "-o", "json", "simulate", "failover", "orders");
	expect(10, "\"outcome\":\"done\"", "");
	w.fake[0].play = not_by_itself;
	RUN(at(0), "-o", "yaml", "simulate", "failover", "orders");
	expect(10, "---\nassumed: \"the host of pg-a is lost\"\nservice: \"orders\"\n", "");
	assert_non_null(strstr(text_of(&w.out), "\nverb_now:\n  accepted: false\n"));
	assert_non_null(strstr(text_of(&w.out), "\nsteps:\n  - step: \"promote\"\n    from_ms: 1600\n"));
	w.fake[0].play = site;
	RUN(at(0), "simulate", "switchover", "--site", "az-a");
	expect(10, "evacuation of the site az-a\nstock: ordered now it would be refused: plans are paused\n", "");
	assert_non_null(strstr(text_of(&w.out), "too many for one answer: 3\n"));
	w.fake[0].play = nothing_to_bring_back;
	RUN(at(0), "simulate", "failback", "--site", "az-a");
	expect(10, "assumed: return to the site az-a\nordered now it would be refused: nothing was moved away\n", "");
	assert_non_null(strstr(text_of(&w.out), "no primary would move\n"));
	w.fake[0].play = no_json;
	RUN(at(0), "simulate", "failover", "orders");
	expect(1, "", "no JSON");
}

static void test_usage(void **state)
{
	(void)state;
	RUN(at(0), "simulate");
	expect(2, "", "simulate failover");
	RUN(at(0), "simulate", "failover");
	expect(2, "", "a service or");
	RUN(at(0), "simulate", "failover", "orders", "--site", "az-a");
	expect(2, "", "a service or");
	RUN(at(0), "simulate", "switchover", "--site", "az-a", "--to", "pg-b");
	expect(2, "", "--to");
	RUN(at(0), "simulate", "failback");
	expect(2, "", "name a site");
	RUN(at(0), "simulate", "switchover", "orders", "--reason", "x");
	expect(2, "", "takes no option --reason");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(test_ready, after_each),
					    cmocka_unit_test_teardown(test_simulate, after_each),
					    cmocka_unit_test_teardown(test_usage, after_each) };
	return cmocka_run_group_tests(tests, before_all, after_all);
}
