/* status.c -- the verb "status": one JSON value of the leader's as tables for people. */
#include <string.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/out.h"

static void print_coordinators(json_t *v)
{
	size_t i;
	const json_t *one;
	struct dr_table t;
	dr_table_begin(&t, 4);
	dr_table_cell(&t, "COORDINATOR");
	dr_table_cell(&t, "SITE");
	dr_table_cell(&t, "ROLE");
	dr_table_cell(&t, "REACHABLE");
	json_array_foreach(json_object_get(v, "coordinators"), i, one)
	{
		dr_table_cell(&t, "%s", dr_json_text(one, "name"));
		dr_table_cell(&t, "%s", dr_json_text(one, "site"));
		dr_table_cell(&t, "%s", dr_json_text(one, "role"));
		dr_table_cell(&t, "%s", dr_json_text(one, "reachable"));
	}
	dr_table_end(&t, stdout);
}

/* A plan is a word, null or an object; people want "failover 3: promote". */
static void plan_cell(struct dr_table *t, const json_t *service)
{
	const json_t *plan = json_object_get(service, "plan");
	if (!json_is_object(plan)) {
		dr_table_cell(t, "%s", dr_json_text(service, "plan"));
		return;
	}
	const char *step = dr_json_text(plan, "step"), *at = dr_json_text(plan, "state");
	dr_table_cell(t, "%s %s%s%s%s%s", dr_json_text(plan, "kind"), dr_json_text(plan, "id"),
		      step[0] != '\0' ? ": " : "", step, at[0] != '\0' ? ", " : "", at);
}

static bool is_wanted(const json_t *service, const char *only)
{
	return only == NULL || strcmp(dr_json_text(service, "name"), only) == 0;
}

static void print_services(json_t *v, const char *only)
{
	size_t i;
	const json_t *one;
	struct dr_table t;
	dr_table_begin(&t, 5);
	dr_table_cell(&t, "SERVICE");
	dr_table_cell(&t, "MODE");
	dr_table_cell(&t, "EPOCH");
	dr_table_cell(&t, "PRIMARY");
	dr_table_cell(&t, "PLAN");
	json_array_foreach(json_object_get(v, "services"), i, one)
	{
		if (!is_wanted(one, only))
			continue;
		dr_table_cell(&t, "%s", dr_json_text(one, "name"));
		dr_table_cell(&t, "%s", dr_json_text(one, "mode"));
		dr_table_cell(&t, "%s", dr_json_text(one, "epoch"));
		dr_table_cell(&t, "%s", dr_json_text(one, "primary"));
		plan_cell(&t, one);
	}
	dr_table_end(&t, stdout);
}

static void print_members(json_t *v, const char *only)
{
	size_t i, k;
	const json_t *service, *one;
	struct dr_table t;
	dr_table_begin(&t, 5);
	dr_table_cell(&t, "SERVICE");
	dr_table_cell(&t, "MEMBER");
	dr_table_cell(&t, "ROLE");
	dr_table_cell(&t, "STATE");
	dr_table_cell(&t, "LAG_BYTES");
	json_array_foreach(json_object_get(v, "services"), i, service)
	{
		if (!is_wanted(service, only))
			continue;
		json_array_foreach(json_object_get(service, "members"), k, one)
		{
			dr_table_cell(&t, "%s", dr_json_text(service, "name"));
			dr_table_cell(&t, "%s", dr_json_text(one, "name"));
			dr_table_cell(&t, "%s", dr_json_text(one, "role"));
			dr_table_cell(&t, "%s", dr_json_text(one, "state"));
			dr_table_cell(&t, "%s", dr_json_text(one, "lag_bytes"));
		}
	}
	dr_table_end(&t, stdout);
}

/* What else stands at the top: one line each, so that nothing is hidden. */
static void print_rest(json_t *v)
{
	const char *key;
	json_t *one;
	json_object_foreach(v, key, one)
	{
		if (json_is_array(one) || json_is_object(one) || json_is_null(one))
			continue;
		dr_out_text(key, stdout);
		(void)printf(": %s\n", dr_json_text(v, key));
	}
}

static void print_status(json_t *v, const char *only)
{
	print_rest(v);
	(void)printf("\n");
	print_coordinators(v);
	if (json_array_size(json_object_get(v, "services")) == 0)
		return;
	(void)printf("\n");
	print_services(v, only);
	(void)printf("\n");
	print_members(v, only);
}

enum dr_exit dr_verb_status(struct dr_cli *c)
{
	struct dr_client_request r;
	struct dr_client_response a = { 0 };
	enum dr_exit rv = dr_client_request_build(c, &r);
	if (rv == DR_EXIT_OK)
		rv = dr_client_ask(c, &r, &a);
	if (rv == DR_EXIT_OK) {
		json_t *v = a.json != NULL ? json_loads(a.json, 0, NULL) : NULL;
		if (v == NULL || c->json)
			(void)printf("%s\n", a.json != NULL ? a.json : "{}");
		else
			print_status(v, dr_argument(c, "SERVICE"));
		json_decref(v);
	}
	dr_free(a.json);
	return rv;
}
