/* apply.c -- the verbs "apply", "diff" and "spec": a spec file against the one in force.
 *
 * The leader answers "spec" with {"version": N, "yaml": "..."}; what differs is found here, so that it is told in the
 * words of the file.  "apply" says which version it was made from: two people cannot overwrite each other unseen. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "cli/client.h"
#include "cli/files.h"
#include "cli/out.h"

/* The one in force may be of a newer drcoordctl's keys, or of rules that were less strict: what was understood of it
 * is not what is in force, so no difference to that is right.  To replace it blindly is a person's decision. */
static enum dr_exit not_understood(const struct dr_cli *c, uint64_t version)
{
	struct dr_error e = { 0 };
	bool applies = c->verb == &dr_verbs[DR_VERB_APPLY];
	if (applies && c->option[DR_OPTION_FORCE] != NULL) {
		(void)fprintf(stderr, "drcoordctl: apply: the spec in force (version %" PRIu64 ") is not understood; "
			      "replaced as a whole, without a comparison\n", version);
		return DR_EXIT_OK;
	}
	(void)dr_fail(&e, DR_E_INVALID, "the spec in force (version %" PRIu64 ") is not understood, so nothing is compared "
		      "and nothing changes. Is this drcoordctl as new as the coordinators? If it is, "
		      "`drcoordctl apply --force` replaces the spec as a whole", version);
	return dr_say_error(c, &e);
}

/* The spec in force; with nothing applied yet an empty one of version 0.  NULL: it is to be replaced unread. */
static enum dr_exit read_answer(const struct dr_cli *c, const char *json, struct dr_spec **now, uint64_t *version)
{
	struct dr_error e = { 0 };
	json_t *v = json != NULL ? json_loads(json, 0, NULL) : NULL;
	const char *text = json_string_value(json_object_get(v, "yaml"));
	const char *yaml = text != NULL ? text : "";
	json_t *number = json_object_get(v, "version");
	enum dr_exit rv = DR_EXIT_OK;
	if (!json_is_integer(number) || (json_integer_value(number) != 0 && text == NULL)) {
		(void)dr_fail(&e, DR_E_PROTOCOL, "the answer has no version or no spec");
		rv = dr_say_error(c, &e);
	} else {
		*version = (uint64_t)json_integer_value(number);
	}
	if (rv == DR_EXIT_OK && *version != 0) {
		struct dr_conf_problems *p = dr_xcalloc(sizeof(*p));
		if (dr_conf_parse_spec("the spec in force", yaml, strlen(yaml), *now, p) != DR_OK) {
			dr_conf_problems_print(p, stderr);
			rv = not_understood(c, *version);
			dr_conf_spec_free(*now);
			*now = NULL;
		}
		dr_free(p);
	}
	json_decref(v);
	return rv;
}

static enum dr_exit ask_spec(struct dr_cli *c, const struct dr_client_request *r, struct dr_spec **now,
			     uint64_t *version)
{
	struct dr_client_request ask = { .id = r->id ^ 1u }; /* another request than the apply that follows */
	struct dr_client_response a = { 0 };
	(void)dr_copy_text(ask.verb, sizeof(ask.verb), "spec");
	enum dr_exit rv = dr_client_ask(c, &ask, &a);
	if (rv == DR_EXIT_OK) {
		*now = dr_conf_spec_new();
		rv = read_answer(c, a.json, now, version);
	}
	dr_free(a.json);
	return rv;
}

/* As a file that `apply` takes, which says its version in a comment. */
static enum dr_exit print_spec(const struct dr_cli *c, const char *json)
{
	struct dr_error e = { 0 };
	json_t *v = json != NULL ? json_loads(json, 0, NULL) : NULL;
	const char *yaml = json_string_value(json_object_get(v, "yaml"));
	json_t *number = json_object_get(v, "version");
	enum dr_exit rv = DR_EXIT_OK;
	if (!json_is_integer(number)) {
		(void)dr_fail(&e, DR_E_PROTOCOL, "the answer has no version");
		rv = dr_say_error(c, &e);
	} else if (c->json) {
		dr_say_json(c, json);
	} else if (json_integer_value(number) == 0) {
		(void)printf("# no spec was applied yet (version 0)\n");
	} else {
		(void)printf("# version %" JSON_INTEGER_FORMAT "\n", json_integer_value(number));
		dr_out_lines(yaml != NULL ? yaml : "", stdout);
	}
	json_decref(v);
	return rv;
}

enum dr_exit dr_verb_spec(struct dr_cli *c)
{
	struct dr_client_request r;
	struct dr_client_response a = { 0 };
	enum dr_exit rv = dr_client_request_build(c, &r);
	if (rv == DR_EXIT_OK)
		rv = dr_client_ask(c, &r, &a);
	if (rv == DR_EXIT_OK)
		rv = print_spec(c, a.json);
	dr_free(a.json);
	return rv;
}

/* How many changes there are; they are said if that is wanted. */
static size_t compare(const struct dr_cli *c, struct dr_spec *now, const struct dr_client_request *r,
		      bool say)
{
	if (r->version == 0) {
		/* Against nothing, only what is in the file is news. */
		now->cluster = r->spec->cluster;
		now->timing = r->spec->timing;
		now->limits = r->spec->limits;
	}
	json_t *list = dr_files_changes(now, r->spec);
	size_t n = json_array_size(list);
	if (say && c->json) {
		(void)json_dumpf(list, stdout, JSON_COMPACT);
		(void)printf("\n");
	} else if (say && dr_files_print_changes(list, stdout) == 0) {
		(void)printf("nothing changes (version %" PRIu64 ")\n", r->version);
	}
	json_decref(list);
	return n;
}

enum dr_exit dr_verb_diff(struct dr_cli *c)
{
	struct dr_client_request r;
	struct dr_spec *now = NULL;
	if (c->option[DR_OPTION_OFFLINE] != NULL)
		return dr_files_diff(c);
	if (c->arguments != 1)
		return dr_say_usage(
		    c, "one FILE is compared with the cluster; with --offline two files with each other");
	enum dr_exit rv = dr_client_request_build(c, &r);
	if (rv == DR_EXIT_OK)
		rv = dr_files_spec(c, c->argument[0], &r.spec);
	if (rv == DR_EXIT_OK)
		rv = ask_spec(c, &r, &now, &r.version);
	if (rv == DR_EXIT_OK)
		rv = compare(c, now, &r, true) > 0 ? DR_EXIT_DIFFERS : DR_EXIT_OK;
	dr_conf_spec_free(now);
	dr_conf_spec_free(r.spec);
	return rv;
}

/* The leader answers with the version that the spec has now, in the place of other changes' plan. */
static void say_applied(const char *json)
{
	json_t *v = json_loads(json, 0, NULL);
	json_t *version = json_object_get(v, "plan");
	if (json_is_integer(version) && json_integer_value(version) > 0)
		(void)printf("applied: version %" JSON_INTEGER_FORMAT "\n", json_integer_value(version));
	else
		(void)printf("applied\n");
	json_decref(v);
}

static enum dr_exit apply_now(struct dr_cli *c, const struct dr_client_request *r)
{
	struct dr_client_response a = { 0 };
	enum dr_exit rv = dr_client_ask(c, r, &a);
	const char *json = a.json != NULL && a.json[0] != '\0' ? a.json : "{}";
	if (rv == DR_EXIT_OK && c->json)
		dr_say_json(c, json);
	else if (rv == DR_EXIT_OK)
		say_applied(json);
	dr_free(a.json);
	return rv;
}

/* Show what differs, and send it unless that is nothing; the very first spec, and one that takes the place of what is
 * not understood (now is NULL), is sent whatever is in it. */
static enum dr_exit compare_and_apply(struct dr_cli *c, struct dr_spec *now,
				      const struct dr_client_request *r)
{
	bool dry = c->option[DR_OPTION_DRY_RUN] != NULL;
	bool same = now != NULL && compare(c, now, r, !c->json || dry) == 0 && r->version != 0;
	if (dry)
		return DR_EXIT_OK;
	if (!same)
		return apply_now(c, r);
	/* The answer's form, so that who reads it finds the version in force in the same place. */
	if (c->json)
		(void)printf("{\"accepted\":true,\"plan\":%" PRIu64 ",\"unchanged\":true}\n", r->version);
	return DR_EXIT_OK;
}

/* Somebody applied another one since the file was made. */
static enum dr_exit another_version(const struct dr_cli *c, uint64_t wanted, uint64_t found)
{
	struct dr_error e = { 0 };
	(void)dr_fail(&e, DR_E_CONFLICT, "version %" PRIu64 " of the spec is in force, not %" PRIu64 ": somebody applied "
		      "another one since. `drcoordctl diff` shows what your file would change in it now", found, wanted);
	return dr_say_error(c, &e);
}

enum dr_exit dr_verb_apply(struct dr_cli *c)
{
	struct dr_client_request r;
	struct dr_spec *now = NULL;
	const char *file = c->option[DR_OPTION_FILE];
	if (file == NULL)
		return dr_say_usage(c, "--file FILE is missing: the cluster spec to put into force");
	enum dr_exit rv = dr_client_request_build(c, &r);
	if (rv == DR_EXIT_OK)
		rv = dr_files_spec(c, file, &r.spec);
	uint64_t wanted = r.version, found = 0;
	if (rv == DR_EXIT_OK)
		rv = ask_spec(c, &r, &now, &found);
	r.version = found;
	if (rv == DR_EXIT_OK && c->option[DR_OPTION_IF_VERSION] != NULL && wanted != found)
		rv = another_version(c, wanted, found);
	if (rv == DR_EXIT_OK)
		rv = compare_and_apply(c, now, &r);
	dr_conf_spec_free(now);
	dr_conf_spec_free(r.spec);
	return rv;
}
