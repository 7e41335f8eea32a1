/* status.c -- the verbs "status" and "explain": one JSON value of the leader's as tables for people. */
#include <string.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/out.h"
#include "sys/clock.h"

static void row_of(struct dr_table *t, const json_t *object, const char *const keys[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		dr_table_cell(t, "%s", dr_json_text(object, keys[i]));
}

static void head_of(struct dr_table *t, const char *const heads[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		dr_table_cell(t, "%s", heads[i]);
}

/* A list of objects: one column a key. */
static void print_list(const json_t *list, const char *const heads[], const char *const keys[], unsigned n)
{
	size_t i;
	const json_t *one;
	struct dr_table t;
	dr_table_begin(&t, n);
	head_of(&t, heads, n);
	json_array_foreach(list, i, one) row_of(&t, one, keys, n);
	dr_table_end(&t, stdout);
}

static void print_coordinators(const json_t *v)
{
	static const char *const heads[] = { "COORDINATOR", "SITE", "ADDRESS", "ROLE", "REACHABLE" };
	static const char *const keys[] = { "name", "site", "address", "role", "reachable" };
	print_list(json_object_get(v, "coordinators"), heads, keys, 5);
}

/* "failover 3: promote 6/9, asking" */
static void plan_cell(struct dr_table *t, const json_t *service)
{
	const json_t *plan = json_object_get(service, "plan");
	if (!json_is_object(plan)) {
		dr_table_cell(t, "%s", dr_json_text(service, "plan"));
		return;
	}
	dr_table_cell(t, "%s %s: %s %s/%s, %s", dr_json_text(plan, "kind"), dr_json_text(plan, "id"),
		      dr_json_text(plan, "step"), dr_json_text(plan, "at"), dr_json_text(plan, "steps"),
		      dr_json_text(plan, "state"));
}

/* "any 1 of pg-b,pg-c"; of one that names nobody "bounded, 1 near" */
static void sync_cell(struct dr_table *t, const json_t *service)
{
	const json_t *sync = json_object_get(service, "sync"), *set = json_object_get(sync, "set"), *one;
	char names[DR_TABLE_CELL_MAX] = "";
	size_t i, at = 0;
	if (strcmp(dr_json_text(service, "durability"), "bounded") == 0) {
		dr_table_cell(t, "bounded, %s near", dr_json_text(json_object_get(service, "sync_wanted"), "k"));
		return;
	}
	json_array_foreach(set, i, one)
	{
		const char *name = json_string_value(one);
		int n = snprintf(names + at, sizeof(names) - at, "%s%s", i > 0 ? "," : "",
				 name != NULL ? name : "?");
		at += n > 0 && at + (size_t)n < sizeof(names) ? (size_t)n : 0;
	}
	if (names[0] == '\0')
		dr_table_cell(t, "%s", dr_json_text(service, "durability"));
	else
		dr_table_cell(t, "any %s of %s", dr_json_text(sync, "k"), names);
}

static bool is_wanted(const json_t *service, const char *only)
{
	return only == NULL || strcmp(dr_json_text(service, "name"), only) == 0;
}

static void print_services(const json_t *v, const char *only)
{
	static const char *const heads[] = { "SERVICE", "MODE", "EPOCH", "PRIMARY", "DURABILITY", "READY", "PLAN" };
	static const char *const keys[] = { "name", "mode", "epoch", "primary" };
	size_t i;
	const json_t *one;
	struct dr_table t;
	dr_table_begin(&t, 7);
	head_of(&t, heads, 7);
	json_array_foreach(json_object_get(v, "services"), i, one)
	{
		if (!is_wanted(one, only))
			continue;
		row_of(&t, one, keys, 4);
		sync_cell(&t, one);
		dr_table_cell(&t, "%s", dr_json_text(one, "ready"));
		plan_cell(&t, one);
	}
	dr_table_end(&t, stdout);
}

static void print_members(const json_t *v, const char *only)
{
	static const char *const heads[] = { "SERVICE", "MEMBER", "SITE", "ROLE",
					     "STATE",   "SERVER", "SYNC", "LAG_BYTES" };
	static const char *const keys[] = { "name",   "site",        "role",     "state",
					    "server", "in_sync_set", "lag_bytes" };
	size_t i, k;
	const json_t *service, *one;
	struct dr_table t;
	dr_table_begin(&t, 8);
	head_of(&t, heads, 8);
	json_array_foreach(json_object_get(v, "services"), i, service)
	{
		json_array_foreach(json_object_get(service, "members"), k, one)
		{
			if (!is_wanted(service, only))
				continue;
			dr_table_cell(&t, "%s", dr_json_text(service, "name"));
			row_of(&t, one, keys, 7);
		}
	}
	dr_table_end(&t, stdout);
}

/* Where clients find the primary: one line a server of each route. */
static void print_routes(const json_t *v, const char *only)
{
	static const char *const heads[] = { "SERVICE", "ROUTE", "RECORD", "SERVER", "CURRENT" };
	size_t i, k, n, rows = 0;
	const json_t *service, *route, *server;
	struct dr_table t;
	dr_table_begin(&t, 5);
	head_of(&t, heads, 5);
	json_array_foreach(json_object_get(v, "services"), i, service)
	{
		if (!is_wanted(service, only))
			continue;
		json_array_foreach(json_object_get(service, "routes"), k, route)
		{
			json_array_foreach(json_object_get(route, "servers"), n, server)
			{
				rows++;
				dr_table_cell(&t, "%s", dr_json_text(service, "name"));
				dr_table_cell(&t, "%s", dr_json_text(route, "name"));
				dr_table_cell(&t, "%s", dr_json_text(route, "record"));
				dr_table_cell(&t, "%s", dr_json_text(server, "address"));
				dr_table_cell(&t, "%s", dr_json_text(server, "current"));
			}
		}
	}
	if (rows > 0)
		(void)printf("\n");
	else
		t.cells = 0;
	dr_table_end(&t, stdout);
}

static void say(const char *name, const char *what, const char *text)
{
	(void)printf("%s", dr_out_code(DR_YELLOW));
	dr_out_text(name, stdout);
	(void)printf(": ");
	dr_out_text(what, stdout); /* a route's name and a server's address may stand in it */
	(void)printf("%s", dr_out_code(DR_PLAIN));
	dr_out_text(text, stdout);
	(void)printf("\n");
}

/* A text of any length, "" when there is none: cells cut theirs. */
static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text != NULL ? text : "";
}

/* Why an agent can't see its server, in the server's words. */
static void say_unseen(const char *name, const json_t *service)
{
	static const char mark[] = "not seen: ";
	size_t k;
	const json_t *member;
	json_array_foreach(json_object_get(service, "members"), k, member)
	{
		char what[DR_TABLE_CELL_MAX];
		const char *why = strstr(text_of(member, "contained"), mark);
		if (why == NULL)
			continue;
		(void)snprintf(what, sizeof(what), "%s can't be seen by its agent: ", dr_json_text(member, "name"));
		say(name, what, why + sizeof(mark) - 1);
	}
}

/* How a primary fails while its own agent says that it runs. */
static void say_failures(const char *name, const json_t *service)
{
	size_t k;
	const json_t *member;
	json_array_foreach(json_object_get(service, "members"), k, member)
	{
		char what[DR_TABLE_CELL_MAX];
		if (text_of(member, "failure")[0] == '\0')
			continue;
		(void)snprintf(what, sizeof(what), "%s: ", dr_json_text(member, "name"));
		say(name, what, text_of(member, "why"));
		if (text_of(member, "probe_says")[0] != '\0')
			say(name, "the leader's probe says: ", text_of(member, "probe_says"));
	}
}

static void say_cautions(const char *name, const json_t *service)
{
	size_t k;
	const json_t *member;
	json_array_foreach(json_object_get(service, "members"), k, member)
	{
		char what[DR_TABLE_CELL_MAX];
		(void)snprintf(what, sizeof(what), "%s: ", dr_json_text(member, "name"));
		if (text_of(member, "caution")[0] != '\0')
			say(name, what, text_of(member, "caution"));
	}
}

/* An upgrade that stopped half-way: what one knows the other may not. */
static void say_versions(const char *name, const json_t *service, const char *ours)
{
	size_t k;
	const json_t *member;
	json_array_foreach(json_object_get(service, "members"), k, member)
	{
		char what[DR_TABLE_CELL_MAX];
		const char *its = text_of(member, "agent_version");
		if (its[0] == '\0' || ours[0] == '\0' || strcmp(its, ours) == 0)
			continue;
		(void)snprintf(what, sizeof(what), "%s: its agent is of version %s, the coordinator of ",
			       dr_json_text(member, "name"), its);
		say(name, what, ours);
	}
}

/* What a standby has and no primary ever had: it would become everybody's. */
static void say_errant(const char *name, const json_t *members, const char *key)
{
	size_t k;
	const json_t *member;
	json_array_foreach(members, k, member)
	{
		char what[DR_TABLE_CELL_MAX];
		if (text_of(member, "errant_ids")[0] == '\0')
			continue;
		(void)snprintf(what, sizeof(what), "%s has %s errant: ", dr_json_text(member, key), dr_json_text(member, "errant"));
		say(name, what, text_of(member, "errant_ids"));
	}
}

/* Each server of a route that does not show the primary, with the leader's newest error. */
static void say_routes(const char *name, const json_t *service)
{
	size_t k, n;
	const json_t *route, *server;
	json_array_foreach(json_object_get(service, "routes"), k, route)
	{
		json_array_foreach(json_object_get(route, "servers"), n, server)
		{
			char what[DR_TABLE_CELL_MAX];
			const char *why = text_of(server, "why");
			if (why[0] == '\0')
				continue;
			(void)snprintf(what, sizeof(what), "route %s: %s ", dr_json_text(route, "name"),
				       dr_json_text(server, "address"));
			say(name, what, why);
		}
	}
}

/* Why a plan asks, who could not do what it was told and why, and the verb that goes on. */
static void say_asking(const char *name, const char *which, const json_t *plan)
{
	char what[DR_TABLE_CELL_MAX];
	if (text_of(plan, "why")[0] != '\0') {
		(void)snprintf(what, sizeof(what), "%s asks: ", which);
		say(name, what, text_of(plan, "why"));
	}
	if (text_of(plan, "failed_because")[0] != '\0') {
		(void)snprintf(what, sizeof(what), "%s says: ", dr_json_text(plan, "failed_at"));
		say(name, what, text_of(plan, "failed_because"));
	}
	if (text_of(plan, "missing")[0] != '\0')
		say(name, "not known: ", text_of(plan, "missing"));
	if (text_of(plan, "override")[0] != '\0')
		say(name, "to go on: ", text_of(plan, "override"));
}

/* Members that are on their way back: "rejoin 2 of pg-b: compare 1/5, asking". */
static void say_rejoins(const char *name, const json_t *service)
{
	size_t k;
	const json_t *plan;
	json_array_foreach(json_object_get(service, "rejoins"), k, plan)
	{
		char which[DR_TABLE_CELL_MAX], where[DR_TABLE_CELL_MAX];
		(void)snprintf(which, sizeof(which), "rejoin %s of %s", dr_json_text(plan, "id"),
			       dr_json_text(plan, "member"));
		(void)snprintf(where, sizeof(where), ": %s %s/%s, %s", dr_json_text(plan, "step"), dr_json_text(plan, "at"),
			       dr_json_text(plan, "steps"), dr_json_text(plan, "state"));
		say(name, which, where);
		say_asking(name, which, plan);
	}
}

/* Why it would not move by itself, where nothing else here says so. */
static void say_not_ready(const char *name, const json_t *service)
{
	size_t i;
	const json_t *one;
	const char *blocked = text_of(service, "automatic_failover_blocked");
	json_array_foreach(json_object_get(service, "ready_notes"), i, one)
	{
		const char *reason = text_of(one, "reason");
		bool said = strcmp(reason, blocked) == 0 || strcmp(reason, "plan_is_open") == 0;
		if (json_is_true(json_object_get(one, "blocks")) && !said)
			say(name, "not ready: ", text_of(one, "why"));
	}
}

/* What somebody has to know or to do, in words below the tables. */
static void print_notes(const json_t *v, const char *only)
{
	size_t i;
	const json_t *one;
	json_array_foreach(json_object_get(v, "services"), i, one)
	{
		const json_t *plan = json_object_get(one, "plan");
		if (!is_wanted(one, only))
			continue;
		const char *name = text_of(one, "name");
		say_asking(name, "the plan", plan);
		say_rejoins(name, one);
		if (json_is_true(json_object_get(one, "paused")))
			say(name, "automatic plans are paused", "");
		if (json_is_true(json_object_get(one, "held_fenced")))
			say(name, "held fenced by an operator; drcoordctl unfence ends it", "");
		if (text_of(one, "automatic_failover_blocked")[0] != '\0')
			say(name, "no automatic failover now: ", text_of(one, "automatic_failover_blocked"));
		if (strcmp(text_of(one, "failsafe"), "missing") == 0)
			say(name, "should all coordinators be lost, its primary stops: an agent that it has to ask then "
			    "has no agent_address, or is not reached", "");
		say_not_ready(name, one);
		say_failures(name, one);
		say_cautions(name, one);
		say_versions(name, one, text_of(v, "version"));
		say_errant(name, json_object_get(one, "members"), "name");
		say_unseen(name, one);
		say_routes(name, one);
	}
}

/* Steps of the runbook that have their turn, or failed. */
static void say_steps(const json_t *plan, const char *which)
{
	size_t i;
	const json_t *step;
	json_array_foreach(json_object_get(plan, "runbook"), i, step)
	{
		char what[DR_TABLE_CELL_MAX + 64];
		const char *state = text_of(step, "state"), *why = text_of(step, "why");
		bool runs = strcmp(state, "running") == 0 || strcmp(state, "undoing") == 0 ||
			    strstr(state, "ending") != NULL;
		if (!runs && why[0] == '\0')
			continue;
		(void)snprintf(what, sizeof(what), "step %s of the runbook: %s%s", text_of(step, "step"), state,
			       why[0] != '\0' ? ": " : "");
		say(which, what, why);
		if (why[0] != '\0' && strcmp(text_of(plan, "state"), "asking") == 0)
			say(which, "to go on: ", text_of(step, "override"));
	}
}

/* A failback that was told for how long it may wait. */
static void say_wait(const json_t *plan, const char *which)
{
	char how[DR_TABLE_CELL_MAX];
	json_int_t until = json_integer_value(json_object_get(plan, "until_wall_ms"));
	json_int_t now = (json_int_t)dr_clock_wall_ms();
	if (until == 0 || strcmp(text_of(plan, "state"), "closed") == 0)
		return;
	long long left_s = (long long)(until > now ? until - now : 0) / 1000;
	(void)snprintf(how, sizeof(how), ": waits for members, %lld s more at most", left_s);
	say(text_of(plan, "site"), which, how);
}

/* "site failover 7: open, group 2, 3 of 5 moved, 1 left", and why those are left. */
static void say_site_plan(const json_t *plan)
{
	char which[DR_TABLE_CELL_MAX], how[2 * DR_TABLE_CELL_MAX];
	const char *site = text_of(plan, "site");
	size_t i;
	const json_t *part;
	(void)snprintf(which, sizeof(which), "site %s %s", dr_json_text(plan, "kind"), dr_json_text(plan, "id"));
	(void)snprintf(how, sizeof(how), ": %s, group %s, %s of %s moved, %s left", dr_json_text(plan, "state"),
		       dr_json_text(plan, "group"), dr_json_text(plan, "done"), dr_json_text(plan, "services"),
		       dr_json_text(plan, "left"));
	say(site, which, how);
	say_wait(plan, which);
	say_steps(plan, which);
	json_array_foreach(json_object_get(plan, "parts"), i, part)
	{
		char what[DR_TABLE_CELL_MAX + 16];
		if (strcmp(text_of(part, "state"), "left") != 0)
			continue;
		(void)snprintf(what, sizeof(what), "left by %s: ", which);
		say(text_of(part, "service"), what, text_of(part, "why"));
		if (text_of(part, "override")[0] != '\0')
			say(text_of(part, "service"), "to go on: ", text_of(part, "override"));
	}
}

/* A step of its runbook is still being ended where it runs, though it may be closed. */
static bool has_step_ending(const json_t *plan)
{
	size_t i;
	const json_t *step;
	bool any = false;
	json_array_foreach(json_object_get(plan, "runbook"), i, step)
		any = any || strstr(text_of(step, "state"), "ending") != NULL;
	return any;
}

/* Those that go on, and those that ended with something left. */
static void say_site_plans(const json_t *v)
{
	size_t i;
	const json_t *plan;
	json_array_foreach(json_object_get(v, "site_plans"), i, plan)
	{
		bool left = json_integer_value(json_object_get(plan, "left")) > 0 || has_step_ending(plan);
		if (left || strcmp(text_of(plan, "state"), "closed") != 0)
			say_site_plan(plan);
	}
}

/* Whose loss would not end well, by the newest verdict. */
static void say_sites(const json_t *v)
{
	size_t i;
	const json_t *site;
	json_array_foreach(json_object_get(v, "sites"), i, site)
	{
		if (strcmp(text_of(site, "ready"), "no") == 0)
			say(text_of(site, "site"), "not ready: its loss would not end well; `drcoordctl ready` says why", "");
	}
}

/* A coordinator whose state is not the leader's, whichever of the two went wrong. */
static void say_ledgers(const json_t *v)
{
	size_t i;
	const json_t *one;
	json_array_foreach(json_object_get(v, "coordinators"), i, one)
	{
		if (strcmp(text_of(one, "ledger"), "differs") == 0)
			say(text_of(one, "name"), "its ledger differs from the leader's: ",
			    "one of the two is no replica any more; ledger.differs in the leader's log says since "
			    "which event, and what to do");
	}
}

/* What else stands at the top: one line each, so that nothing is hidden. */
static void print_rest(json_t *v)
{
	const char *key;
	json_t *one;
	json_object_foreach(v, key, one)
	{
		if (json_is_array(one) || json_is_object(one))
			continue;
		dr_out_text(key, stdout);
		(void)printf(": ");
		dr_out_text(json_is_null(one) ? "none" : dr_json_text(v, key), stdout);
		(void)printf("\n");
	}
}

static void print_status(json_t *v, const char *only)
{
	print_rest(v);
	(void)printf("\n");
	print_coordinators(v);
	if (json_array_size(json_object_get(v, "services")) > 0) {
		(void)printf("\n");
		print_services(v, only);
		(void)printf("\n");
		print_members(v, only);
		print_routes(v, only);
		print_notes(v, only);
	}
	if (only == NULL)
		say_sites(v);
	say_site_plans(v);
	say_ledgers(v);
}

/* What a site plan has to do with it: "site failover 7: waiting, group 2". */
static void say_part(const json_t *v)
{
	const json_t *part = json_object_get(v, "site_part");
	char which[DR_TABLE_CELL_MAX], how[2 * DR_TABLE_CELL_MAX];
	if (!json_is_object(part))
		return;
	(void)snprintf(which, sizeof(which), "site %s %s of %s", dr_json_text(part, "kind"), dr_json_text(part, "id"),
		       dr_json_text(part, "site"));
	(void)snprintf(how, sizeof(how), ": %s, group %s; %s", dr_json_text(part, "state"), dr_json_text(part, "group"),
		       text_of(part, "why"));
	say(text_of(v, "service"), which, how);
}

static void print_explain(json_t *v, const char *only)
{
	static const char *const heads[] = { "MEMBER",    "STATE",         "CAN_BE_PROMOTED",
					     "LAG_BYTES", "LEASE_LEFT_MS", "WHY" };
	static const char *const keys[] = { "member",    "state",         "can_be_promoted",
					    "lag_bytes", "lease_left_ms", "why" };
	const json_t *candidates = json_object_get(v, "candidates"), *automatic = json_object_get(v, "automatic_failover"), *one;
	size_t i;
	(void)only;
	print_rest(v);
	const char *why = text_of(automatic, "why");
	say("automatic failover", "", why[0] != '\0' ? why : "nothing stands against it");
	if (text_of(automatic, "override")[0] != '\0')
		say("automatic failover", "what would go on nevertheless: ", text_of(automatic, "override"));
	print_list(candidates, heads, keys, 6);
	json_array_foreach(candidates, i, one)
	{
		if (text_of(one, "override")[0] != '\0')
			say(text_of(one, "member"), "what would go on nevertheless: ", text_of(one, "override"));
	}
	say_errant(text_of(v, "service"), candidates, "member");
	say_asking(text_of(v, "service"), "the plan", json_object_get(v, "plan"));
	say_part(v);
	say_rejoins(text_of(v, "service"), v);
}

static bool has_service(const json_t *v, const char *name)
{
	size_t i;
	const json_t *one;
	json_array_foreach(json_object_get(v, "services"), i, one)
	{
		if (is_wanted(one, name))
			return true;
	}
	return false;
}

/* The leader answers "status" for all services: whether there is the one that was asked for is found here. */
static enum dr_exit check_service(const struct dr_cli *c, const json_t *v)
{
	const char *only = dr_argument(c, "SERVICE");
	struct dr_error e = { 0 };
	if (c->verb != &dr_verbs[DR_VERB_STATUS] || only == NULL || has_service(v, only))
		return DR_EXIT_OK;
	(void)dr_fail(&e, DR_E_NOT_FOUND, "no such service: %s", only);
	return dr_say_error(c, &e);
}

static enum dr_exit ask_and_print(struct dr_cli *c, void (*print)(json_t *v, const char *only))
{
	struct dr_client_request r;
	struct dr_client_response a = { 0 };
	enum dr_exit rv = dr_client_request_build(c, &r);
	if (rv == DR_EXIT_OK)
		rv = dr_client_ask(c, &r, &a);
	if (rv == DR_EXIT_OK) {
		json_t *v = a.json != NULL ? json_loads(a.json, 0, NULL) : NULL;
		if (v != NULL)
			rv = check_service(c, v);
		const char *text = a.json != NULL ? a.json : "{}";
		if (rv == DR_EXIT_OK && c->json) {
			dr_say_json(c, text);
		} else if (rv == DR_EXIT_OK && v == NULL) {
			dr_out_text(text, stdout);
			(void)printf("\n");
		} else if (rv == DR_EXIT_OK) {
			print(v, dr_argument(c, "SERVICE"));
		}
		json_decref(v);
	}
	dr_free(a.json);
	return rv;
}

enum dr_exit dr_verb_status(struct dr_cli *c)
{
	return ask_and_print(c, print_status);
}

enum dr_exit dr_verb_explain(struct dr_cli *c)
{
	return ask_and_print(c, print_explain);
}
