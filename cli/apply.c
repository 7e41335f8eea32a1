/* apply.c -- the verbs "apply" and "diff": a spec file against the one in force.
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

/* The spec in force.  OK: *now is the caller's; nothing was applied yet: an empty one of version 0. */
static enum dr_exit read_answer(const struct dr_cli *c, const char *json, struct dr_spec *now,
				uint64_t *version)
{
	struct dr_error e = { 0 };
	json_t *v = json != NULL ? json_loads(json, 0, NULL) : NULL;
	const char *yaml = json_string_value(json_object_get(v, "yaml"));
	json_t *number = json_object_get(v, "version");
	enum dr_exit rv = DR_EXIT_OK;
	if (!json_is_integer(number)) {
		(void)dr_fail(&e, DR_E_PROTOCOL, "the answer has no version");
		rv = dr_say_error(c, &e);
	} else {
		*version = (uint64_t)json_integer_value(number);
	}
	if (rv == DR_EXIT_OK && *version != 0 && yaml != NULL) {
		struct dr_conf_problems *p = dr_xcalloc(sizeof(*p));
		/* It was accepted once; what newer rules say of it does not keep it from being replaced. */
		if (dr_conf_parse_spec("the spec in force", yaml, strlen(yaml), now, p) != DR_OK)
			dr_conf_problems_print(p, stderr);
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
		rv = read_answer(c, a.json, *now, version);
	}
	dr_free(a.json);
	return rv;
}

static size_t show_diff(const struct dr_cli *c, struct dr_spec *now, const struct dr_client_request *r)
{
	if (r->version == 0) {
		/* Against nothing, only what is in the file is news. */
		now->cluster = r->spec->cluster;
		now->timing = r->spec->timing;
	}
	json_t *list = dr_files_changes(now, r->spec);
	size_t n = json_array_size(list);
	if (c->json) {
		(void)json_dumpf(list, stdout, JSON_COMPACT);
		(void)printf("\n");
	} else if (dr_files_print_changes(list, stdout) == 0) {
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
		rv = show_diff(c, now, &r) > 0 ? DR_EXIT_DIFFERS : DR_EXIT_OK;
	dr_conf_spec_free(now);
	dr_conf_spec_free(r.spec);
	return rv;
}

static enum dr_exit apply_now(struct dr_cli *c, const struct dr_client_request *r)
{
	struct dr_client_response a = { 0 };
	enum dr_exit rv = dr_client_ask(c, r, &a);
	if (rv == DR_EXIT_OK && c->json)
		(void)printf("%s\n", a.json != NULL && a.json[0] != '\0' ? a.json : "{}");
	else if (rv == DR_EXIT_OK)
		(void)printf("applied on version %" PRIu64 "\n", r->version);
	dr_free(a.json);
	return rv;
}

enum dr_exit dr_verb_apply(struct dr_cli *c)
{
	struct dr_client_request r;
	struct dr_spec *now = NULL;
	const char *file = c->option[DR_OPTION_FILE];
	bool dry = c->option[DR_OPTION_DRY_RUN] != NULL;
	if (file == NULL)
		return dr_say_usage(c, "--file FILE is missing: the cluster spec to put into force");
	enum dr_exit rv = dr_client_request_build(c, &r);
	if (rv == DR_EXIT_OK)
		rv = dr_files_spec(c, file, &r.spec);
	if (rv == DR_EXIT_OK)
		rv = ask_spec(c, &r, &now, &r.version);
	if (rv == DR_EXIT_OK && (!c->json || dry))
		(void)show_diff(c, now, &r);
	if (rv == DR_EXIT_OK && !dry)
		rv = apply_now(c, &r);
	dr_conf_spec_free(now);
	dr_conf_spec_free(r.spec);
	return rv;
}
