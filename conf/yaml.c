/* yaml.c -- see yaml.h. */
#include "conf/yaml.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"

enum { DEPTH_MAX = 16, ANCHORS_MAX = 256, NODES_MAX = 1 << 20 };

/* ---- parsing ---- */

/* libyaml reports bad bytes by offset alone. */
static void place_of_offset(const uint8_t *text, size_t len, size_t offset, size_t *line, size_t *column)
{
	size_t start = 0;
	*line = 1;
	for (size_t i = 0; i < len && i < offset; i++) {
		if (text[i] == '\n') {
			(*line)++;
			start = i + 1;
		}
	}
	*column = offset - start + 1;
}

static void syntax_problem(const yaml_parser_t *parser, const void *text, size_t len,
			   struct dr_conf_problems *p)
{
	const char *what = parser->problem != NULL ? parser->problem : "cannot be read";
	if (parser->error == YAML_READER_ERROR) {
		size_t line, column;
		place_of_offset(text, len, parser->problem_offset, &line, &column);
		dr_problems_add(p, false, line, column, "not a text file: %s; expected UTF-8", what);
		return;
	}
	const char *context = parser->context != NULL ? parser->context : "";
	dr_problems_add(p, false, parser->problem_mark.line + 1, parser->problem_mark.column + 1,
			"YAML syntax: %s%s%s; expected spaces for indentation and \"key: value\"", what,
			context[0] != '\0' ? " " : "", context);
}

struct tally {
	unsigned depth;
	unsigned anchors;
	unsigned nodes;
	unsigned documents;
};

/* Count one event in; a text when that is too much. */
static const char *tally_up(struct tally *t, const yaml_event_t *ev)
{
	const yaml_char_t *anchor = NULL;
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		return ++t->documents > 1 ? "a second document begins; expected one document in a file"
					  : NULL;
	case YAML_SEQUENCE_START_EVENT:
		anchor = ev->data.sequence_start.anchor;
		t->depth++;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = ev->data.mapping_start.anchor;
		t->depth++;
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		t->depth--;
		return NULL;
	case YAML_SCALAR_EVENT:
		anchor = ev->data.scalar.anchor;
		break;
	default:
		break;
	}
	if (t->depth > DEPTH_MAX)
		return "nested too deep; expected at most 16 levels";
	if (anchor != NULL && ++t->anchors > ANCHORS_MAX)
		return "too many anchors; expected at most 256";
	if (++t->nodes > NODES_MAX)
		return "too much in one file; expected at most 1048576 values";
	return NULL;
}

/* The pass over the events: syntax and bounds. */
static enum dr_err survey(const void *text, size_t len, struct dr_conf_problems *p)
{
	yaml_parser_t parser;
	struct tally t = { 0 };
	enum dr_err rv = DR_OK;
	if (!yaml_parser_initialize(&parser))
		return DR_E_INTERNAL;
	yaml_parser_set_input_string(&parser, text, len);
	for (bool done = false; !done && rv == DR_OK;) {
		yaml_event_t ev;
		if (!yaml_parser_parse(&parser, &ev)) {
			syntax_problem(&parser, text, len, p);
			rv = DR_E_INVALID;
			break;
		}
		const char *too_much = tally_up(&t, &ev);
		if (too_much != NULL) {
			dr_problems_add(p, false, ev.start_mark.line + 1, ev.start_mark.column + 1, "%s",
					too_much);
			rv = DR_E_INVALID;
		}
		done = ev.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&parser);
	return rv;
}

enum dr_err dr_yaml_open(struct dr_yaml *y, const void *text, size_t len, struct dr_conf_problems *problems)
{
	memset(y, 0, sizeof(*y));
	y->problems = problems;
	if (text == NULL)
		text = ""; /* an empty buffer; libyaml insists on an address */
	const char *slash = strrchr(problems->file, '/');
	if (slash != NULL)
		memcpy(y->folder, problems->file, (size_t)(slash - problems->file) + 1);
	enum dr_err rv = survey(text, len, problems);
	if (rv != DR_OK)
		return rv;
	yaml_parser_t parser;
	if (!yaml_parser_initialize(&parser))
		return DR_E_INTERNAL;
	yaml_parser_set_input_string(&parser, text, len);
	if (!yaml_parser_load(&parser, &y->document)) {
		/* What only the composer sees: an alias to nothing, an anchor twice. */
		syntax_problem(&parser, text, len, problems);
		yaml_parser_delete(&parser);
		return DR_E_INVALID;
	}
	yaml_parser_delete(&parser);
	if (dr_yaml_root(y) == NULL) {
		dr_problems_add(problems, false, 0, 0,
				"the file is empty; expected \"cluster: NAME\" and more");
		yaml_document_delete(&y->document);
		return DR_E_INVALID;
	}
	y->has_document = true;
	return DR_OK;
}

void dr_yaml_close(struct dr_yaml *y)
{
	if (y->has_document)
		yaml_document_delete(&y->document);
	y->has_document = false;
}

/* ---- nodes ---- */

yaml_node_t *dr_yaml_root(struct dr_yaml *y)
{
	return yaml_document_get_root_node(&y->document);
}

yaml_node_t *dr_yaml_node(struct dr_yaml *y, yaml_node_item_t item)
{
	return yaml_document_get_node(&y->document, item);
}

const char *dr_yaml_text(const yaml_node_t *n)
{
	if (n == NULL || n->type != YAML_SCALAR_NODE)
		return NULL;
	const char *s = (const char *)n->data.scalar.value;
	return strlen(s) == n->data.scalar.length ? s : NULL;
}

yaml_node_t *dr_yaml_value(struct dr_yaml *y, const yaml_node_t *mapping, const char *key)
{
	if (mapping == NULL || mapping->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < mapping->data.mapping.pairs.top;
	     p++) {
		const char *word = dr_yaml_text(dr_yaml_node(y, p->key));
		if (word != NULL && strcmp(word, key) == 0)
			return dr_yaml_node(y, p->value);
	}
	return NULL;
}

static yaml_node_t *element(struct dr_yaml *y, const yaml_node_t *list, uint64_t i)
{
	if (list == NULL || list->type != YAML_SEQUENCE_NODE)
		return NULL;
	yaml_node_item_t *first = list->data.sequence.items.start;
	return i < (uint64_t)(list->data.sequence.items.top - first) ? dr_yaml_node(y, first[i]) : NULL;
}

yaml_node_t *dr_yaml_at(struct dr_yaml *y, const char *path)
{
	yaml_node_t *at = dr_yaml_root(y);
	for (const char *s = path; *s != '\0';) {
		size_t n = strcspn(s, ".[]");
		char word[DR_NAME_MAX] = { 0 };
		yaml_node_t *next = NULL;
		uint64_t i;
		memcpy(word, s, n < sizeof(word) ? n : sizeof(word) - 1);
		if (s[n] == ']' && dr_parse_u64(word, 0, DR_SERVICES_MAX, &i) == DR_OK)
			next = element(y, at, i);
		else
			next = n == 0 ? at : dr_yaml_value(y, at, word);
		if (next == NULL)
			return at;
		at = next;
		s += n;
		s += strspn(s, ".[]");
	}
	return at;
}

/* ---- messages ---- */

const char *dr_quote(char dst[DR_QUOTED_MAX], const char *s)
{
	enum { ROOM = DR_QUOTED_MAX - 6 }; /* two quotes, three dots, NUL */
	size_t len = strlen(s);
	size_t n = len < ROOM ? len : ROOM;
	/* Never cut inside a UTF-8 character. */
	while (n < len && n > 0 && ((unsigned char)s[n] & 0xc0u) == 0x80u)
		n--;
	size_t at = 0;
	dst[at++] = '"';
	for (size_t i = 0; i < n; i++)
		dst[at++] = (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? '?' : s[i];
	(void)snprintf(dst + at, DR_QUOTED_MAX - at, "%s\"", n < len ? "..." : "");
	return dst;
}

static void problem_at(struct dr_yaml *y, const yaml_node_t *at, bool warning, const char *fmt, va_list ap)
{
	char text[DR_ERROR_MSG_MAX];
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	size_t line = at != NULL ? at->start_mark.line + 1 : 0;
	size_t column = at != NULL ? at->start_mark.column + 1 : 0;
	dr_problems_add(y->problems, warning, line, column, "%s", text);
}

void dr_yaml_bad(struct dr_yaml *y, const yaml_node_t *at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	problem_at(y, at, false, fmt, ap);
	va_end(ap);
}

void dr_yaml_warn(struct dr_yaml *y, const yaml_node_t *at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	problem_at(y, at, true, fmt, ap);
	va_end(ap);
}
