/* forecast.c -- the verbs "ready" and "simulate": what would happen, and whether it would end well, as tables for people. */
#include <string.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/out.h"

/* A text of any length, "" when there is none: cells cut theirs. */
static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text != NULL ? text : "";
}

static void head(struct dr_table *t, const char *const heads[], unsigned n)
{
	dr_table_begin(t, n);
	for (unsigned i = 0; i < n; i++)
		dr_table_cell(t, "%s", heads[i]);
}

static void cells(struct dr_table *t, const json_t *o, const char *const keys[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		dr_table_cell(t, "%s", dr_json_text(o, keys[i]));
}

static void say(const char *who, const char *what, const char *text)
{
	dr_out_text(who, stdout);
	(void)printf("%s", who[0] != '\0' ? ": " : "");
	dr_out_text(what, stdout);
	dr_out_text(text, stdout);
	(void)printf("\n");
}

static void print_seconds(const char *before, const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);
	long long ms = json_is_integer(v) ? (long long)json_integer_value(v) : 0;
	if (json_is_integer(v))
		(void)printf("%s%lld.%03lld s", before, ms / 1000, ms % 1000);
}

/* ---- ready ---- */

static void print_notes(const json_t *service)
{
	size_t i;
	const json_t *one;
	json_array_foreach(json_object_get(service, "notes"), i, one)
	{
		bool blocks = json_is_true(json_object_get(one, "blocks"));
		(void)printf("%s", dr_out_code(blocks ? DR_RED : DR_YELLOW));
		dr_out_text(text_of(service, "service"), stdout);
		(void)printf("%s", text_of(one, "member")[0] != '\0' ? "/" : "");
		dr_out_text(text_of(one, "member"), stdout);
		(void)printf(": %s", blocks ? "not ready: " : "");
		dr_out_text(text_of(one, "why"), stdout);
		(void)printf("%s", text_of(one, "detail")[0] != '\0' ? ": " : "");
		dr_out_text(text_of(one, "detail"), stdout);
		(void)printf("%s\n", dr_out_code(DR_PLAIN));
		if (blocks && text_of(one, "override")[0] != '\0')
			say("", "  what would go on nevertheless: ", text_of(one, "override"));
	}
}

static void print_ready(const json_t *v)
{
	static const char *const site_heads[] = { "SITE", "READY", "PRIMARIES", "COORDINATORS_ELSEWHERE" };
	static const char *const site_keys[] = { "site", "ready", "primaries", "coordinators_elsewhere" };
	static const char *const heads[] = { "SERVICE", "SITE", "READY", "IF_HOST_LOST", "RTO_MS", "IF_SITE_LOST", "RTO_MS" };
	static const char *const keys[] = { "service",	   "site",	   "ready",	 "if_host_lost",
					    "rto_host_ms", "if_site_lost", "rto_site_ms" };
	const json_t *sites = json_object_get(v, "sites"), *one;
	struct dr_table t;
	size_t i;
	if (json_array_size(sites) > 0) {
		head(&t, site_heads, 4);
		json_array_foreach(sites, i, one) cells(&t, one, site_keys, 4);
		dr_table_end(&t, stdout);
		(void)printf("\n");
	}
	head(&t, heads, 7);
	json_array_foreach(json_object_get(v, "services"), i, one) cells(&t, one, keys, 7);
	dr_table_end(&t, stdout);
	json_array_foreach(json_object_get(v, "services"), i, one) print_notes(one);
}

/* ---- simulate ---- */

static void print_verb(const json_t *s)
{
	const json_t *verb = json_object_get(s, "verb_now"), *self = json_object_get(s, "by_itself");
	const char *name = text_of(s, "service"), *about = text_of(verb, "service");
	if (text_of(s, "assumed")[0] != '\0')
		say(name, "assumed: ", text_of(s, "assumed"));
	if (json_is_false(json_object_get(verb, "accepted"))) {
		say(about[0] != '\0' ? about : name, "ordered now it would be refused: ", text_of(verb, "why"));
		if (text_of(verb, "override")[0] != '\0')
			say("", "  what would go on nevertheless: ", text_of(verb, "override"));
	}
	if (text_of(self, "why")[0] != '\0') {
		say(name, "not by itself: ", text_of(self, "why"));
		if (text_of(self, "override")[0] != '\0')
			say("", "  what would go on nevertheless: ", text_of(self, "override"));
	}
}

static void print_end(const json_t *s)
{
	static const char *const said[][2] = { { "done", "the plan would end well" },
					       { "asks", "the plan would stop and ask a person: " },
					       { "failed", "the plan would be given up: " },
					       { "refused", "no plan would be opened: " },
					       { "no_end", "no end of the plan within 15 minutes" } };
	const char *outcome = text_of(s, "outcome"), *why = text_of(s, "why");
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		if (strcmp(said[i][0], outcome) == 0)
			say(text_of(s, "service"), said[i][1], why);
	}
	if (strcmp(outcome, "done") != 0 && text_of(s, "override")[0] != '\0')
		say("", "  to go on: ", text_of(s, "override"));
}

static void print_figures(const json_t *s)
{
	const json_t *rto = json_object_get(s, "rto"), *rpo = json_object_get(s, "rpo");
	if (json_is_object(rto)) {
		(void)printf("predicted: ");
		if (json_object_get(rto, "gap_ms") != NULL)
			print_seconds("no writes for ", rto, "gap_ms");
		else
			print_seconds("writes again after ", rto, "writable_ms");
		print_seconds(", names follow after ", rto, "routed_ms");
		(void)printf(" (");
		dr_out_text(text_of(rto, "rests_on"), stdout);
		(void)printf(")\n");
	}
	if (!json_is_object(rpo))
		return;
	bool bytes = json_object_get(rpo, "bytes") != NULL;
	bool known = bytes || json_object_get(rpo, "transactions") != NULL;
	const char *amount = known ? dr_json_text(rpo, bytes ? "bytes" : "transactions") : "not known";
	(void)printf("loss: %s%s", amount, known ? bytes ? " bytes" : " transactions" : "");
	if (json_object_get(rpo, "seconds") != NULL)
		(void)printf(", %s s", dr_json_text(rpo, "seconds"));
	(void)printf(": ");
	dr_out_text(text_of(rpo, "why"), stdout);
	(void)printf("\n");
}

static void print_service(const json_t *s)
{
	static const char *const member_heads[] = { "MEMBER", "SITE", "CHOSEN", "PRIORITY", "SYNC", "LAG", "WHY_NOT" };
	static const char *const member_keys[] = { "member", "site", "chosen", "priority", "in_sync_set", "lag", "why" };
	static const char *const step_heads[] = { "STEP", "FROM_MS", "TO_MS", "OUTCOME", "TIME_FROM", "SAMPLES" };
	static const char *const step_keys[] = { "step", "from_ms", "to_ms", "outcome", "time_from", "samples" };
	const json_t *one, *steps = json_object_get(s, "steps");
	struct dr_table t;
	size_t i;
	print_verb(s);
	print_end(s);
	print_figures(s);
	(void)printf("\n");
	head(&t, member_heads, 7);
	json_array_foreach(json_object_get(s, "members"), i, one) cells(&t, one, member_keys, 7);
	dr_table_end(&t, stdout);
	if (json_array_size(steps) == 0)
		return;
	(void)printf("\n");
	head(&t, step_heads, 6);
	json_array_foreach(steps, i, one) cells(&t, one, step_keys, 6);
	dr_table_end(&t, stdout);
}

static void print_groups(const json_t *v)
{
	static const char *const heads[] = { "GROUP", "SERVICES", "STAY", "WRITABLE_MS" };
	static const char *const keys[] = { "group", "services", "stay", "writable_ms" };
	const json_t *one;
	struct dr_table t;
	size_t i;
	print_seconds("predicted: the last of them writes after at most ", v, "last_writable_ms");
	bool there = json_is_true(json_object_get(v, "leader_is_there"));
	(void)printf("%s\n\n", there ? ", and what the election of another leader takes" : "");
	head(&t, heads, 4);
	json_array_foreach(json_object_get(v, "groups"), i, one) cells(&t, one, keys, 4);
	dr_table_end(&t, stdout);
}

static void print_runbook(const json_t *v)
{
	static const char *const heads[] = { "STEP", "WHEN", "GROUP", "BY", "DOES", "TOOK_MS", "AT_MOST_MS", "ON_FAILURE" };
	static const char *const keys[] = { "step", "when", "group", "by", "does", "took_ms", "at_most_ms", "on_failure" };
	const json_t *one;
	struct dr_table t;
	size_t i;
	if (json_array_size(json_object_get(v, "runbook")) == 0)
		return;
	(void)printf("\n");
	head(&t, heads, 8);
	json_array_foreach(json_object_get(v, "runbook"), i, one) cells(&t, one, keys, 8);
	dr_table_end(&t, stdout);
}

static void print_simulated(const json_t *v)
{
	const json_t *services = json_object_get(v, "services"), *one;
	size_t i;
	if (services == NULL) {
		print_service(v);
		return;
	}
	print_verb(v); /* of the whole site */
	if (strcmp(text_of(v, "reason"), "few_coordinators") == 0)
		say("", "nobody would lead: ", text_of(v, "why"));
	if (json_array_size(services) == 0)
		say("", "no primary would move", "");
	else
		print_groups(v);
	if (json_object_get(v, "services_left_out") != NULL)
		say("", "not looked at, since they are too many for one answer: ", dr_json_text(v, "services_left_out"));
	print_runbook(v);
	json_array_foreach(services, i, one)
	{
		(void)printf("\n%s", dr_out_code(DR_BOLD));
		dr_out_text(text_of(one, "service"), stdout);
		(void)printf("%s\n", dr_out_code(DR_PLAIN));
		print_service(one);
	}
}

/* ---- both ---- */

static enum dr_exit judge_ready(const json_t *v)
{
	return strcmp(text_of(v, "ready"), "no") == 0 ? DR_EXIT_NOT_READY : DR_EXIT_OK;
}

static bool ends_well(const json_t *s)
{
	const json_t *self = json_object_get(s, "by_itself");
	return strcmp(text_of(s, "outcome"), "done") == 0 && (self == NULL || json_is_true(json_object_get(self, "moves")));
}

static enum dr_exit judge_simulated(const json_t *v)
{
	const json_t *services = json_object_get(v, "services"), *one;
	size_t i;
	bool well = services != NULL ? text_of(v, "why")[0] == '\0' : ends_well(v);
	json_array_foreach(services, i, one) well = well && ends_well(one);
	return well ? DR_EXIT_OK : DR_EXIT_NOT_READY;
}

static enum dr_exit ask(struct dr_cli *c, void (*print)(const json_t *v), enum dr_exit (*judge)(const json_t *v))
{
	struct dr_client_request r;
	struct dr_client_response a = { 0 };
	struct dr_error e = { 0 };
	enum dr_exit rv = dr_client_request_build(c, &r);
	if (rv == DR_EXIT_OK)
		rv = dr_client_ask(c, &r, &a);
	if (rv != DR_EXIT_OK) {
		dr_free(a.json);
		return rv;
	}
	json_t *v = a.json != NULL ? json_loads(a.json, 0, NULL) : NULL;
	if (v == NULL) {
		(void)dr_fail(&e, DR_E_PROTOCOL, "the answer is no JSON");
		rv = dr_say_error(c, &e);
	} else {
		rv = judge(v);
		if (c->json)
			dr_say_json(c, a.json);
		else
			print(v);
	}
	json_decref(v);
	dr_free(a.json);
	return rv;
}

enum dr_exit dr_verb_ready(struct dr_cli *c)
{
	if (c->option[DR_OPTION_SERVICE] != NULL && c->option[DR_OPTION_SITE] != NULL)
		return dr_say_usage(c, "either --service or --site");
	return ask(c, print_ready, judge_ready);
}

enum dr_exit dr_verb_simulate(struct dr_cli *c)
{
	bool service = dr_argument(c, "SERVICE") != NULL, site = c->option[DR_OPTION_SITE] != NULL;
	if (c->verb == &dr_verbs[DR_VERB_SIMULATE_FAILBACK] && !site)
		return dr_say_usage(c, "name a site (--site)");
	if (service == site)
		return dr_say_usage(c, "name either a service or, with --site, a site");
	if (site && c->option[DR_OPTION_TO] != NULL)
		return dr_say_usage(c, "--to names a member of one service");
	return ask(c, print_simulated, judge_simulated);
}
