/* config.c -- YAML files: those of a coordinator, of an agent, and the cluster spec. */
#include <string.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "conf/predict.h"
#include "conf/spec_diff.h"
#include "fuzz.h"

/* Relative paths start at its folder. */
#define FILE_NAME "/etc/drcoord/file.yaml"

static struct dr_conf_problems problems;

/* What a read says must be usable: places, texts, and a verdict that fits them. */
static void check_problems(enum dr_err rv, size_t n)
{
	struct dr_error e = { 0 };
	FUZZ_CHECK(problems.count <= DR_CONF_PROBLEMS_MAX);
	FUZZ_CHECK(problems.count <= problems.errors + problems.warnings);
	FUZZ_CHECK((rv == DR_OK) == (problems.errors == 0));
	for (uint32_t i = 0; i < problems.count; i++) {
		FUZZ_CHECK(problems.problem[i].text[0] != '\0');
		FUZZ_CHECK(problems.problem[i].line <= n + 1);
	}
	if (rv == DR_OK)
		return;
	FUZZ_CHECK(dr_conf_problems_fail(&problems, &e) != DR_OK);
	fuzz_refused(e.code, &e);
}

/* ---- specs ---- */

static struct dr_spec *first, *second;

static void need_specs(void)
{
	if (first != NULL)
		return;
	first = dr_conf_spec_new();
	second = dr_conf_spec_new();
}

static bool same_spec(const struct dr_spec *a, const struct dr_spec *b)
{
	bool same = memcmp(&a->cluster, &b->cluster, sizeof(a->cluster)) == 0 &&
		    memcmp(&a->timing, &b->timing, sizeof(a->timing)) == 0 && a->sites == b->sites &&
		    memcmp(a->site, b->site, sizeof(a->site)) == 0 && a->services == b->services;
	for (uint32_t i = 0; same && i < a->services; i++)
		same = memcmp(&a->service[i], &b->service[i], sizeof(a->service[i])) == 0;
	return same;
}

/* What is said about a spec that was accepted. */
static void judge_spec(const struct dr_spec *s)
{
	struct dr_spec_change change[4];
	struct dr_buf b;
	dr_buf_init(&b, 1 << 20);
	for (uint32_t i = 0; i < s->services; i++) {
		struct dr_prediction p;
		dr_predict(s, &s->service[i], dr_assumed_near(&s->timing), &p);
		dr_predict_print(&s->service[i], &p, &b);
	}
	FUZZ_CHECK(dr_spec_diff(s, s, change, 4) == 0);
	dr_buf_close(&b);
}

void fuzz_spec(const uint8_t *p, size_t n)
{
	struct dr_buf a, b;
	need_specs();
	(void)dr_conf_detect(p, n);
	enum dr_err rv = dr_conf_parse_spec(FILE_NAME, p, n, first, &problems);
	check_problems(rv, n);
	if (rv != DR_OK)
		return;
	judge_spec(first);
	dr_buf_init(&a, 16 << 20);
	dr_buf_init(&b, 16 << 20);
	dr_conf_spec_print(first, &a);
	FUZZ_CHECK(dr_buf_ok(&a));
	FUZZ_CHECK(dr_conf_parse_spec(FILE_NAME, a.data, a.len, second, &problems) == DR_OK);
	FUZZ_CHECK(same_spec(first, second));
	dr_conf_spec_print(second, &b);
	FUZZ_CHECK(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
	dr_buf_close(&a);
	dr_buf_close(&b);
}

/* ---- node files ---- */

static const char cluster[] =
    "cluster: demo\n"
    "timing: { profile: metro }\n"
    "sites: [ { name: az-a, region: north }, { name: az-b, region: north } ]\n"
    "services:\n"
    "  - name: orders\n"
    "    kind: postgres\n"
    "    members:\n"
    "      - { name: pg-a, site: az-a, agent: agent-a, address: 10.1.0.20:5432, priority: 1 }\n"
    "      - { name: pg-b, site: az-b, agent: agent-b, address: 10.2.0.20:5432, priority: 2 }\n";

static const struct dr_spec *known_spec(void)
{
	static bool known;
	need_specs();
	if (!known)
		FUZZ_CHECK(dr_conf_parse_spec(FILE_NAME, cluster, strlen(cluster), second, &problems) ==
			   DR_OK);
	known = true;
	return second;
}

void fuzz_coordinator(const uint8_t *p, size_t n)
{
	static struct dr_conf_coordinator c;
	const struct dr_spec *spec = known_spec();
	enum dr_err rv = dr_conf_parse_coordinator(FILE_NAME, p, n, &c, &problems);
	check_problems(rv, n);
	if (rv != DR_OK)
		return;
	FUZZ_CHECK(c.peers <= DR_COORDINATORS_MAX && c.raft.election_ms > 0 && c.raft.heartbeat_ms > 0);
	FUZZ_CHECK(dr_conf_detect(p, n) != DR_CONF_AGENT);
	dr_conf_cross_coordinator(spec, &c, &problems);
}

void fuzz_agent(const uint8_t *p, size_t n)
{
	static struct dr_conf_agent a;
	const struct dr_spec *spec = known_spec();
	enum dr_err rv = dr_conf_parse_agent(FILE_NAME, p, n, &a, &problems);
	check_problems(rv, n);
	if (rv != DR_OK)
		return;
	FUZZ_CHECK(a.coordinators <= DR_COORDINATORS_MAX && a.services <= DR_AGENT_SERVICES_MAX);
	FUZZ_CHECK(dr_conf_detect(p, n) != DR_CONF_COORDINATOR);
	dr_conf_cross_agent(spec, &a, &problems);
}
