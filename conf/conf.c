/* conf.c -- see conf.h. */
#include "conf/conf.h"

#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "conf/check.h"
#include "conf/keys.h"
#include "conf/walk.h"
#include "sys/file.h"

static const char *const kind_names[] = {
	[DR_CONF_UNKNOWN] = "unknown",
	[DR_CONF_COORDINATOR] = "coordinator",
	[DR_CONF_AGENT] = "agent",
	[DR_CONF_SPEC] = "spec",
};

const char *dr_conf_kind_name(enum dr_conf_kind k)
{
	return (unsigned)k < DR_CONF_KIND_COUNT ? kind_names[k] : kind_names[DR_CONF_UNKNOWN];
}

enum dr_conf_kind dr_conf_kind_find(const char *word)
{
	for (unsigned k = DR_CONF_COORDINATOR; k < DR_CONF_KIND_COUNT; k++) {
		if (strcmp(kind_names[k], word) == 0)
			return (enum dr_conf_kind)k;
	}
	return DR_CONF_UNKNOWN;
}

struct dr_spec *dr_conf_spec_new(void)
{
	struct dr_spec *s = dr_xcalloc(sizeof(*s));
	s->service = dr_xcalloc(sizeof(*s->service) * DR_SERVICES_MAX);
	return s;
}

void dr_conf_spec_free(struct dr_spec *s)
{
	if (s == NULL)
		return;
	dr_free(s->service);
	dr_free(s);
}

/* ---- bytes to structs ---- */

static enum dr_err parse(enum dr_conf_kind kind, const char *file, const void *text, size_t len, void *top,
			 struct dr_conf_problems *problems)
{
	struct dr_yaml y;
	dr_problems_init(problems, file);
	enum dr_err rv = dr_yaml_open(&y, text, len, problems);
	problems->unreadable = rv != DR_OK;
	if (rv != DR_OK)
		return rv;
	dr_walk(&y, dr_section_top(kind), top);
	/* What spans several keys is checked wherever there are keys: all that is wrong is said in one run. */
	if (dr_yaml_root(&y)->type != YAML_MAPPING_NODE) {
		;
	} else if (kind == DR_CONF_COORDINATOR) {
		dr_check_coordinator(&y, top);
	} else if (kind == DR_CONF_AGENT) {
		dr_check_agent(&y, top);
	} else {
		dr_check_settle(&y, top);
		dr_check_spec(&y, top);
	}
	dr_yaml_close(&y);
	dr_problems_sort(problems);
	return problems->errors > 0 ? DR_E_INVALID : DR_OK;
}

enum dr_err dr_conf_parse_coordinator(const char *file, const void *text, size_t len,
				      struct dr_conf_coordinator *out, struct dr_conf_problems *problems)
{
	memset(out, 0, sizeof(*out));
	return parse(DR_CONF_COORDINATOR, file, text, len, out, problems);
}

enum dr_err dr_conf_parse_agent(const char *file, const void *text, size_t len, struct dr_conf_agent *out,
				struct dr_conf_problems *problems)
{
	memset(out, 0, sizeof(*out));
	return parse(DR_CONF_AGENT, file, text, len, out, problems);
}

enum dr_err dr_conf_parse_spec(const char *file, const void *text, size_t len, struct dr_spec *out,
			       struct dr_conf_problems *problems)
{
	struct dr_spec_service *room = out->service;
	/* Only what was filled before is cleared: the rest was never touched. */
	memset(room, 0, sizeof(*room) * out->services);
	memset(out, 0, sizeof(*out));
	out->service = room;
	return parse(DR_CONF_SPEC, file, text, len, out, problems);
}

/* ---- files ---- */

static enum dr_err read_file(const char *path, struct dr_buf *text, struct dr_conf_problems *problems)
{
	struct dr_error e = { 0 };
	dr_buf_init(text, DR_CONF_FILE_MAX);
	enum dr_err rv = dr_file_read(path, text, &e);
	if (rv != DR_OK) {
		dr_problems_init(problems, path);
		problems->unreadable = true;
		dr_problems_add(problems, false, 0, 0, "%s", e.msg[0] != '\0' ? e.msg : dr_err_text(rv));
	}
	return rv;
}

enum dr_err dr_conf_read_coordinator(const char *path, struct dr_conf_coordinator *out,
				     struct dr_conf_problems *problems)
{
	struct dr_buf text;
	enum dr_err rv = read_file(path, &text, problems);
	if (rv == DR_OK)
		rv = dr_conf_parse_coordinator(path, text.data, text.len, out, problems);
	dr_buf_close(&text);
	return rv;
}

enum dr_err dr_conf_read_agent(const char *path, struct dr_conf_agent *out, struct dr_conf_problems *problems)
{
	struct dr_buf text;
	enum dr_err rv = read_file(path, &text, problems);
	if (rv == DR_OK)
		rv = dr_conf_parse_agent(path, text.data, text.len, out, problems);
	dr_buf_close(&text);
	return rv;
}

enum dr_err dr_conf_read_spec(const char *path, struct dr_spec *out, struct dr_conf_problems *problems)
{
	struct dr_buf text;
	enum dr_err rv = read_file(path, &text, problems);
	if (rv == DR_OK)
		rv = dr_conf_parse_spec(path, text.data, text.len, out, problems);
	dr_buf_close(&text);
	return rv;
}

/* ---- which of the three ---- */

static unsigned keys_known(struct dr_yaml *y, enum dr_conf_kind kind)
{
	const yaml_node_t *root = dr_yaml_root(y);
	unsigned n = 0;
	if (root->type != YAML_MAPPING_NODE)
		return 0;
	for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
		const char *word = dr_yaml_text(dr_yaml_node(y, p->key));
		n += word != NULL && dr_key_find(dr_section_top(kind), word) != NULL ? 1 : 0;
	}
	return n;
}

enum dr_conf_kind dr_conf_detect(const void *text, size_t len)
{
	struct dr_conf_problems *ignored = dr_xcalloc(sizeof(*ignored));
	enum dr_conf_kind best = DR_CONF_UNKNOWN;
	unsigned most = 0;
	struct dr_yaml y;
	dr_problems_init(ignored, "");
	if (dr_yaml_open(&y, text, len, ignored) == DR_OK) {
		for (unsigned k = DR_CONF_COORDINATOR; k < DR_CONF_KIND_COUNT; k++) {
			unsigned known = keys_known(&y, (enum dr_conf_kind)k);
			if (known == most)
				best = DR_CONF_UNKNOWN;
			if (known > most) {
				most = known;
				best = (enum dr_conf_kind)k;
			}
		}
		dr_yaml_close(&y);
	}
	dr_free(ignored);
	return best;
}
