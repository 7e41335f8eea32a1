/* files.c -- verbs about files: validate, and diff of two files. */
#include "cli/files.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "cli/out.h"
#include "conf/predict.h"
#include "conf/spec_diff.h"
#include "sys/file.h"

/* ---- one spec for another verb ---- */

enum dr_exit dr_files_spec(struct dr_cli *c, const char *path, struct dr_spec **out)
{
	struct dr_conf_problems *p = dr_xcalloc(sizeof(*p));
	struct dr_error e = { 0 };
	enum dr_exit rv = DR_EXIT_OK;
	*out = dr_conf_spec_new();
	if (dr_conf_read_spec(path, *out, p) != DR_OK) {
		if (c->json && dr_conf_problems_fail(p, &e) != DR_OK)
			dr_out_error(DR_E_INVALID, e.msg, "", "");
		dr_conf_problems_print(p, stderr);
		dr_conf_spec_free(*out);
		*out = NULL;
		rv = DR_EXIT_INVALID;
	}
	dr_free(p);
	return rv;
}

/* ---- validate ---- */

struct judged {
	const char *file;
	enum dr_conf_kind kind;
	bool guessed; /* the keys did not tell the kind */
	enum dr_err rv;
	struct dr_conf_problems *problems;
	struct dr_spec *spec;
	struct dr_conf_coordinator *coordinator;
	struct dr_conf_agent *agent;
};

static void judge(struct judged *j)
{
	struct dr_buf text;
	dr_buf_init(&text, DR_CONF_FILE_MAX);
	struct dr_error ignored;
	if (j->kind == DR_CONF_UNKNOWN && dr_file_read(j->file, &text, &ignored) == DR_OK)
		j->kind = dr_conf_detect(text.data, text.len);
	dr_buf_close(&text);
	j->guessed = j->kind == DR_CONF_UNKNOWN;
	if (j->guessed)
		j->kind = DR_CONF_SPEC;
	if (j->kind == DR_CONF_COORDINATOR)
		j->rv = dr_conf_read_coordinator(j->file, j->coordinator, j->problems);
	else if (j->kind == DR_CONF_AGENT)
		j->rv = dr_conf_read_agent(j->file, j->agent, j->problems);
	else
		j->rv = dr_conf_read_spec(j->file, j->spec, j->problems);
}

/* The first spec among the files that is right: what the node files are judged against as well. */
static struct dr_spec *spec_among(const struct dr_cli *c, enum dr_conf_kind kind,
				  struct dr_conf_problems *ignored)
{
	struct dr_spec *s = dr_conf_spec_new();
	for (unsigned i = 0; i < c->arguments; i++) {
		struct dr_buf text;
		struct dr_error e;
		dr_buf_init(&text, DR_CONF_FILE_MAX);
		bool is_spec =
		    dr_file_read(c->argument[i], &text, &e) == DR_OK &&
		    (kind == DR_CONF_SPEC || dr_conf_detect(text.data, text.len) == DR_CONF_SPEC) &&
		    dr_conf_parse_spec(c->argument[i], text.data, text.len, s, ignored) == DR_OK;
		dr_buf_close(&text);
		if (is_spec)
			return s;
	}
	dr_conf_spec_free(s);
	return NULL;
}

static void judge_together(struct judged *j, const struct dr_spec *spec)
{
	if (j->rv != DR_OK || spec == NULL)
		return;
	if (j->kind == DR_CONF_COORDINATOR)
		dr_conf_cross_coordinator(spec, j->coordinator, j->problems);
	if (j->kind == DR_CONF_AGENT)
		dr_conf_cross_agent(spec, j->agent, j->problems);
	if (j->problems->errors > 0)
		j->rv = DR_E_INVALID;
}

static void drop_warnings(struct dr_conf_problems *p)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < p->count; i++) {
		if (!p->problem[i].warning)
			p->problem[kept++] = p->problem[i];
	}
	p->count = kept;
	p->warnings = 0;
}

static void show_predictions(const struct dr_spec *s)
{
	struct dr_buf b;
	const struct dr_assumed *a = dr_assumed_near(&s->timing);
	dr_buf_init(&b, 1 << 24);
	for (uint32_t i = 0; i < s->services; i++) {
		struct dr_prediction p;
		dr_predict(s, &s->service[i], a, &p);
		dr_predict_print(&s->service[i], &p, &b);
	}
	if (s->services > 0)
		dr_buf_printf(&b,
			      "(with %" PRIu32 " ms between sites and %" PRIu32
			      " ms for an fsync, as profile %s takes them)\n",
			      a->round_trip_ms, a->fsync_ms, a->profile);
	if (b.len > 0)
		(void)fwrite(b.data, 1, b.len, stdout);
	dr_buf_close(&b);
}

static void show(const struct judged *j, bool quiet)
{
	dr_conf_problems_print(j->problems, stdout);
	if (j->guessed && j->rv == DR_E_INVALID && !j->problems->unreadable)
		(void)printf(
		    "%s: its keys do not tell what it is: read as a cluster spec (--as says otherwise)\n",
		    j->file);
	if (j->rv != DR_OK || quiet)
		return;
	if (j->kind != DR_CONF_SPEC) {
		(void)printf("%s: ok, node file of %s %s\n", j->file, dr_conf_kind_name(j->kind),
			     j->kind == DR_CONF_AGENT ? j->agent->name.s : j->coordinator->name.s);
		return;
	}
	(void)printf("%s: ok, spec of cluster %s: sites %" PRIu32 ", services %" PRIu32 "\n", j->file,
		     j->spec->cluster.s, j->spec->sites, j->spec->services);
	show_predictions(j->spec);
}

static json_t *prediction_json(const struct dr_spec *s, uint32_t i)
{
	struct dr_prediction p;
	dr_predict(s, &s->service[i], dr_assumed_near(&s->timing), &p);
	return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:b, s:I}", "service", s->service[i].name.s,
			 "automatic", p.automatic ? 1 : 0, "rto_crash_ms", (json_int_t)p.rto_crash_ms,
			 "rto_lost_ms", (json_int_t)p.rto_lost_ms, "rto_name_ms", (json_int_t)p.rto_name_ms,
			 "gap_switchover_ms", (json_int_t)p.gap_switchover_ms, "rpo_zero", p.rpo_zero ? 1 : 0,
			 "rpo_bytes", (json_int_t)p.rpo_bytes);
}

static json_t *judged_json(const struct judged *j)
{
	json_t *problems = json_array(), *services = json_array();
	for (uint32_t i = 0; i < j->problems->count; i++) {
		const struct dr_conf_problem *p = &j->problems->problem[i];
		/* Text from a file may be cut inside a character: then it is left out. */
		json_t *text = json_string(p->text);
		(void)json_array_append_new(
		    problems, json_pack("{s:I, s:I, s:b, s:o}", "line", (json_int_t)p->line, "column",
					(json_int_t)p->column, "warning", p->warning ? 1 : 0, "text",
					text != NULL ? text : json_string("")));
	}
	for (uint32_t i = 0; j->rv == DR_OK && j->kind == DR_CONF_SPEC && i < j->spec->services; i++)
		(void)json_array_append_new(services, prediction_json(j->spec, i));
	return json_pack("{s:s, s:s, s:b, s:I, s:I, s:o, s:o}", "file", j->file, "kind",
			 dr_conf_kind_name(j->kind), "ok", j->rv == DR_OK ? 1 : 0, "errors",
			 (json_int_t)j->problems->errors, "warnings", (json_int_t)j->problems->warnings,
			 "problems", problems, "services", services);
}

enum dr_exit dr_verb_validate(struct dr_cli *c)
{
	const char *as = c->option[DR_OPTION_AS];
	enum dr_conf_kind kind = as != NULL ? dr_conf_kind_find(as) : DR_CONF_UNKNOWN;
	enum dr_exit rv = DR_EXIT_OK;
	if (as != NULL && kind == DR_CONF_UNKNOWN)
		return dr_say_usage(c, "--as %s: expected coordinator, agent or spec", as);
	struct judged j = {
		.problems = dr_xcalloc(sizeof(*j.problems)),
		.spec = dr_conf_spec_new(),
		.coordinator = dr_xcalloc(sizeof(*j.coordinator)),
		.agent = dr_xcalloc(sizeof(*j.agent)),
	};
	json_t *all = json_array();
	struct dr_spec *against = c->arguments > 1 ? spec_among(c, kind, j.problems) : NULL;
	for (unsigned i = 0; i < c->arguments; i++) {
		j.file = c->argument[i];
		j.kind = kind;
		judge(&j);
		judge_together(&j, against);
		if (c->option[DR_OPTION_NO_WARNINGS] != NULL)
			drop_warnings(j.problems);
		if (j.rv != DR_OK && rv != DR_EXIT_INVALID)
			rv = dr_exit_of(j.rv);
		if (c->json)
			(void)json_array_append_new(all, judged_json(&j));
		else
			show(&j, c->option[DR_OPTION_QUIET] != NULL);
	}
	if (c->json && json_dumpf(all, stdout, JSON_COMPACT) == 0)
		(void)printf("\n");
	json_decref(all);
	dr_conf_spec_free(against);
	dr_free(j.problems);
	dr_conf_spec_free(j.spec);
	dr_free(j.coordinator);
	dr_free(j.agent);
	return rv;
}

/* ---- diff of two files ---- */

static void print_change(const json_t *one, FILE *to)
{
	const char *change = dr_json_text(one, "change");
	const char *before = dr_json_text(one, "before"), *after = dr_json_text(one, "after");
	bool added = strcmp(change, "added") == 0, removed = strcmp(change, "removed") == 0;
	(void)fprintf(to, "%s", dr_out_code(added ? DR_GREEN : removed ? DR_RED : DR_YELLOW));
	dr_out_text(dr_json_text(one, "path"), to);
	(void)fprintf(to, ": %s%s", added || removed ? change : "", before[0] != '\0' && removed ? " " : "");
	dr_out_text(before, to);
	(void)fprintf(to, "%s", !added && !removed ? " -> " : after[0] != '\0' ? " " : "");
	dr_out_text(after, to);
	(void)fprintf(to, "%s\n", dr_out_code(DR_PLAIN));
}

size_t dr_files_print_changes(const json_t *changes, FILE *to)
{
	size_t i;
	const json_t *one;
	json_array_foreach(changes, i, one) print_change(one, to);
	return json_array_size(changes);
}

enum { CHANGES_MAX = 1000 };

json_t *dr_files_changes(const struct dr_spec *before, const struct dr_spec *after)
{
	static const char *const words[] = {
		[DR_CHANGE_ADDED] = "added",
		[DR_CHANGE_REMOVED] = "removed",
		[DR_CHANGE_CHANGED] = "changed",
	};
	struct dr_spec_change *change = dr_xcalloc(CHANGES_MAX * sizeof(*change));
	uint32_t n = dr_spec_diff(before, after, change, CHANGES_MAX);
	json_t *list = json_array();
	for (uint32_t i = 0; i < n && i < CHANGES_MAX; i++)
		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "path", change[i].path,
							    "change", words[change[i].kind], "before",
							    change[i].before, "after", change[i].after));
	dr_free(change);
	return list;
}

enum dr_exit dr_files_diff(struct dr_cli *c)
{
	struct dr_spec *before = NULL, *after = NULL;
	if (c->arguments != 2)
		return dr_say_usage(c, "--offline compares two files: drcoordctl diff --offline OLD NEW");
	enum dr_exit rv = dr_files_spec(c, c->argument[0], &before);
	if (rv == DR_EXIT_OK)
		rv = dr_files_spec(c, c->argument[1], &after);
	if (rv == DR_EXIT_OK) {
		json_t *list = dr_files_changes(before, after);
		if (c->json) {
			(void)json_dumpf(list, stdout, JSON_COMPACT);
			(void)printf("\n");
		} else {
			(void)dr_files_print_changes(list, stdout);
		}
		rv = json_array_size(list) > 0 ? DR_EXIT_DIFFERS : DR_EXIT_OK;
		json_decref(list);
	}
	dr_conf_spec_free(before);
	dr_conf_spec_free(after);
	return rv;
}
