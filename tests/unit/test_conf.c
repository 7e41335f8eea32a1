/* test_conf.c -- the YAML reader: what it fills, what it refuses, print and diff as inverses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "conf/keys.h"
#include "conf/predict.h"
#include "conf/spec_diff.h"

#define EXAMPLES DR_SOURCE_DIR "/deploy/examples/"

static struct dr_conf_problems problems;

static bool said(const char *part)
{
	for (uint32_t i = 0; i < problems.count; i++) {
		if (strstr(problems.problem[i].text, part) != NULL)
			return true;
	}
	return false;
}

static void expect_clean(enum dr_err rv)
{
	if (rv != DR_OK || problems.warnings > 0)
		dr_conf_problems_print(&problems, stderr);
	assert_int_equal(rv, DR_OK);
	assert_int_equal(problems.errors, 0);
	assert_int_equal(problems.warnings, 0);
}

static void test_coordinator(void **state)
{
	(void)state;
	struct dr_conf_coordinator c;
	expect_clean(dr_conf_read_coordinator(EXAMPLES "coordinator.yaml", &c, &problems));
	assert_string_equal(c.name.s, "c-a");
	assert_string_equal(c.listen.host, "10.1.0.10");
	assert_int_equal(c.listen.port, 7400);
	assert_int_equal(c.raft.election_ms, 300);
	assert_int_equal(c.raft.heartbeat_ms, 50);
	assert_int_equal(c.peers, 3);
	assert_string_equal(c.peer[2].site.s, "az-c");
	/* A relative path starts at the file's folder, an absolute one stays. */
	assert_string_equal(c.tls.key, EXAMPLES "c-a.key");
	assert_string_equal(c.data_dir, "/var/lib/drcoord");
}

static void test_coordinator_defaults(void **state)
{
	(void)state;
	static const char text[] = "cluster: d\nname: c\nsite: s\nlisten: 0.0.0.0:1\ndata_dir: d\n"
				   "tls: {ca: a, cert: b, key: c}\npeers: [{name: c, address: 10.0.0.1:1}]\n";
	struct dr_conf_coordinator c;
	expect_clean(dr_conf_parse_coordinator("x.yaml", text, strlen(text), &c, &problems));
	assert_int_equal(c.raft.election_ms, 1000);
	assert_int_equal(c.raft.heartbeat_ms, 200);
	assert_string_equal(c.data_dir, "d");
	assert_string_equal(c.peer[0].site.s, "");
}

static void test_agent(void **state)
{
	(void)state;
	struct dr_conf_agent *a = dr_xcalloc(sizeof(*a));
	expect_clean(dr_conf_read_agent(EXAMPLES "agent.yaml", a, &problems));
	assert_int_equal(a->services, 1);
	assert_int_equal(a->coordinators, 3);
	assert_int_equal(a->service[0].kind, DR_KIND_POSTGRES);
	assert_string_equal(a->service[0].of_kind[DR_KIND_POSTGRES].bin, "/usr/lib/postgresql/15/bin");
	assert_int_equal(a->service[0].of_kind[DR_KIND_POSTGRES].listen.port, 5432);
	assert_int_equal(a->service[0].of_kind[DR_KIND_POSTGRES].salvage_max_bytes, 1 << 30);
	assert_int_equal(a->service[0].of_kind[DR_KIND_POSTGRES].start_within_ms, 60000);
	assert_string_equal(a->service[0].of_kind[DR_KIND_POSTGRES].superuser_password_file, "");
	dr_free(a);
}

static void test_spec(void **state)
{
	(void)state;
	struct dr_spec *s = dr_conf_spec_new();
	expect_clean(dr_conf_read_spec(EXAMPLES "cluster.yaml", s, &problems));
	assert_int_equal(s->timing.ttl_ms, 1500);
	assert_int_equal(s->timing.drift_ppm, 2000);
	assert_int_equal(s->sites, 3);
	assert_int_equal(s->services, 1);
	const struct dr_spec_service *o = &s->service[0];
	assert_true(o->auto_failover);
	assert_int_equal(o->durability, DR_DURABILITY_SYNC);
	assert_int_equal(o->sync_k, 1);
	assert_int_equal(o->rpo_bytes, 16 << 20); /* by default */
	assert_string_equal(o->member[1].agent.s, "agent-b");
	assert_int_equal(o->member[2].priority, 3);
	assert_string_equal(o->route[0].zone, "demo.example.");
	assert_string_equal(o->route[0].tsig_secret_file, "/etc/drcoord/secrets/tsig.secret");
	assert_int_equal(o->route[0].servers, 2);
	assert_int_equal(o->route[0].server[1].port, 53);
	/* Read again into the same room: nothing of the first one stays. */
	expect_clean(dr_conf_read_spec(EXAMPLES "cluster-async.yaml", s, &problems));
	assert_int_equal(s->timing.detect_after_ms, 12000);
	assert_int_equal(s->timing.ttl_ms, 15000);
	assert_string_equal(s->service[0].member[1].address.host, "fd00:2::20");
	assert_int_equal(s->service[0].route[0].kind, DR_ROUTE_NONE);
	assert_string_equal(s->service[0].member[2].name.s, "");
	dr_conf_spec_free(s);
}

static void parse_ok(struct dr_spec *s, const struct dr_buf *text)
{
	enum dr_err rv = dr_conf_parse_spec("printed", text->data, text->len, s, &problems);
	if (rv != DR_OK) {
		dr_conf_problems_print(&problems, stderr);
		(void)fprintf(stderr, "%.*s\n", (int)text->len, (const char *)text->data);
	}
	assert_int_equal(rv, DR_OK);
}

/* Printing and reading gives the same spec, and printing that the same text. */
static void test_print_reads_back(void **state)
{
	(void)state;
	static const char *const files[] = { EXAMPLES "cluster.yaml", EXAMPLES "cluster-async.yaml" };
	for (size_t i = 0; i < 2; i++) {
		struct dr_spec *a = dr_conf_spec_new(), *b = dr_conf_spec_new();
		struct dr_buf one, two;
		struct dr_spec_change change;
		expect_clean(dr_conf_read_spec(files[i], a, &problems));
		dr_buf_init(&one, 1 << 20);
		dr_buf_init(&two, 1 << 20);
		dr_conf_spec_print(a, &one);
		parse_ok(b, &one);
		dr_conf_spec_print(b, &two);
		assert_int_equal(one.len, two.len);
		assert_memory_equal(one.data, two.data, one.len);
		assert_int_equal(dr_spec_diff(a, b, &change, 1), 0);
		dr_buf_close(&one);
		dr_buf_close(&two);
		dr_conf_spec_free(a);
		dr_conf_spec_free(b);
	}
}

static void test_diff(void **state)
{
	(void)state;
	struct dr_spec *a = dr_conf_spec_new(), *b = dr_conf_spec_new();
	struct dr_spec_change c[8];
	struct dr_buf text;
	expect_clean(dr_conf_read_spec(EXAMPLES "cluster.yaml", a, &problems));
	expect_clean(dr_conf_read_spec(EXAMPLES "cluster.yaml", b, &problems));
	struct dr_spec_service *o = &b->service[0];
	o->sync_set_max = 2;
	/* The members change places, one goes and one comes. */
	struct dr_spec_member first = o->member[0];
	o->member[0] = o->member[1];
	o->member[1] = first;
	assert_true(dr_name_set(&o->member[2].name, "pg-d"));
	o->route[0].servers = 1;
	dr_buf_init(&text, 4096);
	uint32_t n = dr_spec_diff(a, b, c, 8);
	for (uint32_t i = 0; i < n && i < 8; i++) {
		dr_spec_change_print(&c[i], &text);
		dr_buf_printf(&text, "\n");
	}
	dr_buf_put_u8(&text, 0);
	assert_string_equal(
	    (const char *)text.data,
	    "services.orders.sync.set_max: 1 -> 2\n"
	    "services.orders.members.pg-d: added\n"
	    "services.orders.members.pg-c: removed\n"
	    "services.orders.routes.dns.servers: 10.2.0.53:53, 10.3.0.53:53 -> 10.2.0.53:53\n");
	assert_string_equal(c[1].service.s, "orders");
	assert_string_equal(c[1].member.s, "pg-d");
	assert_int_equal(c[1].kind, DR_CHANGE_ADDED);
	assert_string_equal(c[0].member.s, "");
	/* More changes than room: all are counted, none is written past the end. */
	assert_int_equal(dr_spec_diff(a, b, c, 1), 4);
	dr_buf_close(&text);
	dr_conf_spec_free(a);
	dr_conf_spec_free(b);
}

static void refused(const char *text, size_t len, const char *part)
{
	struct dr_spec *s = dr_conf_spec_new();
	assert_int_equal(dr_conf_parse_spec("bad", text, len, s, &problems), DR_E_INVALID);
	if (!said(part))
		dr_conf_problems_print(&problems, stderr);
	assert_true(said(part));
	dr_conf_spec_free(s);
}

static void refused_text(const char *text, const char *part)
{
	refused(text, strlen(text), part);
}

static void test_hostile(void **state)
{
	(void)state;
	refused_text("", "the file is empty");
	refused_text("# only a comment\n", "the file is empty");
	refused_text("- a\n- b\n", "expected a mapping");
	refused_text("cluster: a\n---\ncluster: b\n", "second document");
	refused_text("cluster: &a [*a]\nsites: *a\nservices: *a\n", "cluster: is a list");
	refused_text("[[[[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]]]]", "nested too deep");
	refused_text("cluster: \"a\\0b\"\n", "cut by a NUL byte");
	refused_text("cluster: \"a\\nb\"\n", "control character");
	refused_text("cluster: *nowhere\n", "undefined alias");
	refused("clu\xff\xfe: a\n", 9, "expected UTF-8");
	/* Billion laughs: nine levels of ten references each, where a name is expected. */
	struct dr_buf b;
	dr_buf_init(&b, 1 << 16);
	dr_buf_printf(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 9; i++) {
		dr_buf_printf(&b, "a%d: &a%d [", i, i);
		for (int j = 0; j < 10; j++)
			dr_buf_printf(&b, "%s*a%d", j > 0 ? "," : "", i - 1);
		dr_buf_printf(&b, "]\n");
	}
	dr_buf_printf(&b, "sites: *a8\nservices: *a8\ncluster: *a8\n");
	refused((const char *)b.data, b.len, "cluster: is a list");
	dr_buf_close(&b);
}

/* Thousands of anchors would cost libyaml the square of that. */
static void test_many_anchors_and_problems(void **state)
{
	(void)state;
	struct dr_buf b;
	dr_buf_init(&b, 1 << 20);
	for (int i = 0; i < 1000; i++)
		dr_buf_printf(&b, "k%d: &n%d v\n", i, i);
	refused((const char *)b.data, b.len, "too many anchors");
	dr_buf_clear(&b);
	for (int i = 0; i < 1000; i++)
		dr_buf_printf(&b, "k%d: v\n", i);
	refused((const char *)b.data, b.len, "is no key here");
	assert_int_equal(problems.count, DR_CONF_PROBLEMS_MAX);
	assert_true(problems.errors > 1000);
	dr_buf_close(&b);
}

static void test_largest_spec(void **state)
{
	(void)state;
	struct dr_spec *s = dr_conf_spec_new();
	struct dr_buf b;
	dr_buf_init(&b, DR_CONF_FILE_MAX);
	dr_buf_printf(&b, "cluster: big\nsites: [{name: a}, {name: b}, {name: c}]\nservices:\n");
	for (unsigned i = 0; i < DR_SERVICES_MAX; i++)
		dr_buf_printf(&b,
			      "  - name: s%u\n    kind: postgres\n    members:\n"
			      "      - {name: m-a, site: a, agent: a%u, address: 10.0.%u.%u:5432}\n"
			      "      - {name: m-b, site: b, agent: b%u, address: 10.1.%u.%u:5432}\n",
			      i, i, i / 250, i % 250, i, i / 250, i % 250);
	assert_true(dr_buf_ok(&b));
	expect_clean(dr_conf_parse_spec("big", b.data, b.len, s, &problems));
	assert_int_equal(s->services, DR_SERVICES_MAX);
	dr_buf_printf(
	    &b,
	    "  - {name: one-more, kind: postgres, members: [{name: m, site: a, agent: z, address: 1.1.1.1:1}]}\n");
	assert_int_equal(dr_conf_parse_spec("big", b.data, b.len, s, &problems), DR_E_INVALID);
	assert_true(said("has 16385 elements; expected at most 16384"));
	dr_buf_close(&b);
	dr_conf_spec_free(s);
}

/* Every default of the table is a value that its own row accepts: set_default() asserts it. */
static void test_defaults_are_legal(void **state)
{
	(void)state;
	struct dr_spec *s = dr_conf_spec_new();
	refused_text("services: [{name: a, routes: [{name: b}]}]\n", "key \"cluster\" is missing");
	struct dr_conf_agent *a = dr_xcalloc(sizeof(*a));
	static const char text[] = "services: [{postgres: {}}]\n";
	assert_int_equal(dr_conf_parse_agent("x", text, strlen(text), a, &problems), DR_E_INVALID);
	assert_string_equal(a->service[0].of_kind[DR_KIND_POSTGRES].superuser, "postgres");
	assert_true(said("key \"data\" is missing"));
	dr_free(a);
	dr_conf_spec_free(s);
	/* The first key of what is listed is its name. */
	for (size_t i = 0; i < DR_KEY_COUNT; i++) {
		if (dr_keys[i].type == DR_TYPE_LIST) {
			assert_int_equal(dr_key_next(dr_keys[i].of, NULL)->type, DR_TYPE_NAME);
			assert_true(dr_key_needed(dr_key_next(dr_keys[i].of, NULL)));
		}
	}
}

static void count_failed(void *ctx, const char *name, const char *key, const char *text)
{
	(void)name;
	(void)text;
	assert_non_null(key);
	(*(unsigned *)ctx)++;
}

static void test_profiles_hold(void **state)
{
	(void)state;
	static const char *const words[] = { "default", "metro", "geo" };
	for (size_t i = 0; i < 3; i++) {
		unsigned n = 0;
		struct dr_timing t = *dr_timing_profile(words[i]);
		const struct dr_assumed *a = dr_assumed_profile(words[i]);
		assert_int_equal(dr_timing_check(&t, a, count_failed, &n), 0);
		assert_int_equal(dr_raft_timing_check(a->election_ms, a->heartbeat_ms, count_failed, &n), 0);
		assert_ptr_equal(dr_assumed_near(&t), a);
		t.fence_budget_ms = t.ttl_ms - 1;
		t.guard_margin_ms = 10;
		t.detect_after_ms = t.ttl_ms + 1;
		t.probe_deadline_ms = 1;
		assert_int_equal(dr_timing_check(&t, a, count_failed, &n), 4);
		assert_int_equal(n, 4);
	}
}

static void test_predict(void **state)
{
	(void)state;
	struct dr_spec *s = dr_conf_spec_new();
	struct dr_prediction p;
	expect_clean(dr_conf_read_spec(EXAMPLES "cluster.yaml", s, &problems));
	dr_predict(s, &s->service[0], dr_assumed_near(&s->timing), &p);
	assert_true(p.rpo_zero);
	assert_true(p.rto_lost_ms >= dr_lease_hold_ms(1500, 2000));
	assert_true(p.rto_lost_ms <= 2000);
	assert_true(p.rto_crash_ms <= 500);
	assert_true(p.rto_name_ms >= p.rto_lost_ms + 5000);
	dr_conf_spec_free(s);
}

static void test_detect(void **state)
{
	(void)state;
	static const char spec[] = "cluster: a\nsites: []\n", both[] = "cluster: a\n", bad[] = "a: [";
	static const char agent[] = "cluster: a\ncoordinators: []\nservices: []\n";
	assert_int_equal(dr_conf_detect(spec, strlen(spec)), DR_CONF_SPEC);
	assert_int_equal(dr_conf_detect(agent, strlen(agent)), DR_CONF_AGENT);
	assert_int_equal(dr_conf_detect(both, strlen(both)), DR_CONF_UNKNOWN);
	assert_int_equal(dr_conf_detect(bad, strlen(bad)), DR_CONF_UNKNOWN);
}

static void test_missing_file(void **state)
{
	(void)state;
	struct dr_conf_coordinator c;
	struct dr_error e = { 0 };
	assert_int_equal(dr_conf_read_coordinator("/nonexistent/x.yaml", &c, &problems), DR_E_NOT_FOUND);
	assert_int_equal(problems.errors, 1);
	assert_int_equal(dr_conf_problems_fail(&problems, &e), DR_E_INVALID);
	assert_non_null(strstr(e.msg, "/nonexistent/x.yaml"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_coordinator),
		cmocka_unit_test(test_coordinator_defaults),
		cmocka_unit_test(test_agent),
		cmocka_unit_test(test_spec),
		cmocka_unit_test(test_print_reads_back),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_many_anchors_and_problems),
		cmocka_unit_test(test_largest_spec),
		cmocka_unit_test(test_defaults_are_legal),
		cmocka_unit_test(test_profiles_hold),
		cmocka_unit_test(test_predict),
		cmocka_unit_test(test_detect),
		cmocka_unit_test(test_missing_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
