/* test_cli_apply.c -- drcoordctl spec, diff and apply against a coordinator that this test plays. */
#include "cli_fixture.h"

#include <stdio.h>
#include <string.h>

#include "sys/file.h"

/* ---- what the leader has ---- */

static void is_applied(struct dr_conn *c, const struct dr_client_request *q)
{
	answer_json(c, q->id, "{\"accepted\":true,\"plan\":13}", false);
}

static void has_broken_spec(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	if (strcmp(q->verb, "spec") != 0)
		is_applied(c, q);
	else
		answer_json(c, q->id, "{\"version\":12,\"yaml\":\"cluster: demo\\nnews: of tomorrow\\n\"}", false);
}

/* The file SPEC is in force. */
static void has_this_spec(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	struct dr_buf text, json;
	struct dr_error e = { 0 };
	(void)f;
	dr_buf_init(&text, 1 << 16);
	dr_buf_init(&json, 1 << 16);
	assert_int_equal(dr_file_read(SPEC, &text, &e), DR_OK);
	dr_buf_printf(&json, "{\"version\":12,\"yaml\":\"");
	for (size_t i = 0; i < text.len; i++) {
		char one = (char)text.data[i];
		if (one == '\n')
			dr_buf_printf(&json, "\\n");
		else
			dr_buf_printf(&json, "%s%c", one == '"' || one == '\\' ? "\\" : "", one);
	}
	dr_buf_printf(&json, "\"}");
	answer_json(c, q->id, text_of(&json), false);
	dr_buf_close(&json);
	dr_buf_close(&text);
}

static void has_spec(struct fake *f, struct dr_conn *c, const struct dr_client_request *q)
{
	(void)f;
	if (strcmp(q->verb, "spec") != 0) {
		is_applied(c, q);
		return;
	}
	answer_json(
	    c, q->id,
	    "{\"version\":12,\"yaml\":\"cluster: demo\\ntiming: { profile: metro }\\nsites: [ { name: az-a }, { name: az-b }, "
	    "{ name: az-c } ]\\nservices: []\\n\"}",
	    false);
}

/* ---- tests ---- */

static void test_apply(void **state)
{
	(void)state;
	play(0, has_spec);
	RUN(at(0), "diff", SPEC);
	expect(9, "services.orders: added\n", "");
	assert_string_equal(w.fake[0].verb, "spec");
	RUN(at(0), "apply", "-f", SPEC, "--dry-run");
	expect(0, "services.orders: added\n", "");
	assert_string_equal(w.fake[0].verb, "spec");
	RUN(at(0), "apply", "-f", SPEC, "--reason", "first");
	expect(0, "applied: version 13\n", "");
	assert_string_equal(w.fake[0].verb, "apply");
	assert_int_equal(w.fake[0].version, 12);
	assert_true(w.fake[0].had_spec);
	assert_int_equal(w.fake[0].spec_members, 3);
	RUN(at(0), "apply", "-f", BAD_SPEC);
	expect(3, "", "expected sync or async or bounded; did you mean \"sync\"?");
}

static void test_apply_nothing(void **state)
{
	(void)state;
	play(0, has_this_spec);
	RUN(at(0), "apply", "-f", SPEC);
	expect(0, "nothing changes (version 12)\n", "");
	assert_int_equal(w.fake[0].requests, 1);
	assert_string_equal(w.fake[0].verb, "spec");
	RUN(at(0), "-o", "json", "apply", "-f", SPEC);
	expect(0, "\"plan\":12,\"unchanged\":true", "");
	assert_int_equal(w.fake[0].requests, 2);
}

/* What is not understood is not compared, and replaced only where that is said. */
static void test_apply_on_broken(void **state)
{
	(void)state;
	play(0, has_broken_spec);
	RUN(at(0), "diff", SPEC);
	expect(3, "", "`drcoordctl apply --force` replaces the spec as a whole");
	assert_string_equal(text_of(&w.out), "");
	RUN(at(0), "apply", "-f", SPEC);
	expect(3, "", "is not understood, so nothing is compared");
	assert_string_equal(w.fake[0].verb, "spec");
	RUN(at(0), "apply", "-f", SPEC, "--force", "--reason", "it must go");
	expect(0, "applied: version 13\n", "the spec in force (version 12) is not understood; replaced as a whole");
	assert_true(w.fake[0].had_spec && w.fake[0].version == 12 && strcmp(w.fake[0].verb, "apply") == 0);
}

/* What is in force, as a file; and an apply that holds only for the version that was read. */
static void test_spec(void **state)
{
	(void)state;
	play(0, has_spec);
	RUN(at(0), "spec");
	expect(0, "# version 12\ncluster: demo\ntiming: { profile: metro }\n", "");
	RUN(at(0), "-o", "json", "spec");
	expect(0, "{\"version\":12,\"yaml\":\"cluster: demo\\n", "");
	RUN(at(0), "apply", "-f", SPEC, "--if-version", "11", "--reason", "late");
	expect(4, "", "version 12 of the spec is in force, not 11");
	assert_string_equal(w.fake[0].verb, "spec");
	RUN(at(0), "apply", "-f", SPEC, "--if-version", "12", "--reason", "in time");
	expect(0, "applied: version 13\n", "");
	assert_true(w.fake[0].version == 12 && strcmp(w.fake[0].verb, "apply") == 0);
	RUN(at(0), "apply", "-f", SPEC, "--if-version", "x");
	expect(2, "", "--if-version \"x\" is no whole number");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_spec, after_each),
		cmocka_unit_test_teardown(test_apply, after_each),
		cmocka_unit_test_teardown(test_apply_nothing, after_each),
		cmocka_unit_test_teardown(test_apply_on_broken, after_each),
	};
	return cmocka_run_group_tests(tests, before_all, after_all);
}
