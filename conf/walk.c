/* walk.c -- see walk.h.  Recursion follows the sections of keys.def, which are four deep. */
#include "conf/walk.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "conf/scalar.h"

enum { WALK_PATH_MAX = 256 };

struct walk {
	struct dr_yaml *y;
	enum dr_section_id top;
	char path[WALK_PATH_MAX]; /* of where we are: "services.orders.sync" */
};

static void walk_section(struct walk *w, enum dr_section_id section, void *to, const yaml_node_t *n);

/* ---- the path in messages ---- */

/* Append ".word"; returns where it was cut, to go back to. */
static size_t enter(struct walk *w, const char *word)
{
	size_t at = strlen(w->path);
	(void)snprintf(w->path + at, sizeof(w->path) - at, "%s%s", at > 0 && word[0] != '[' ? "." : "", word);
	return at;
}

static void leave(struct walk *w, size_t at)
{
	w->path[at] = '\0';
}

static const char *where(const struct walk *w)
{
	return w->path[0] != '\0' ? w->path : "top of the file";
}

/* ---- scalars ---- */

static void fault_at(struct walk *w, const yaml_node_t *n, const struct dr_fault *f)
{
	dr_yaml_bad(w->y, n, "%s: %s; expected %s%s%s%s", where(w), f->what, f->expected,
		    f->meant[0] != '\0' ? "; did you mean \"" : "", f->meant,
		    f->meant[0] != '\0' ? "\"?" : "");
}

static const char *node_noun(const yaml_node_t *n)
{
	return n->type == YAML_MAPPING_NODE    ? "a mapping"
	       : n->type == YAML_SEQUENCE_NODE ? "a list"
					       : "a single value";
}

static bool is_null(const yaml_node_t *n)
{
	const char *s = dr_yaml_text(n);
	return s != NULL && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (s[0] == '\0' || strcmp(s, "~") == 0 || strcmp(s, "null") == 0);
}

static void walk_scalar(struct walk *w, const struct dr_key *k, enum dr_key_type type, void *field,
			const yaml_node_t *n)
{
	struct dr_fault f = { .what = "", .expected = "one line of text", .meant = "" };
	const char *text = dr_yaml_text(n);
	if (text == NULL) {
		struct dr_buf b;
		dr_buf_init(&b, sizeof(f.expected) - 1);
		dr_scalar_describe(k, &b);
		(void)snprintf(f.what, sizeof(f.what), "is %s",
			       n->type == YAML_SCALAR_NODE ? "cut by a NUL byte" : node_noun(n));
		(void)snprintf(f.expected, sizeof(f.expected), "%.*s", (int)b.len, (const char *)b.data);
		dr_buf_close(&b);
		fault_at(w, n, &f);
		return;
	}
	bool plain = n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (dr_scalar_read(k, type, text, plain, w->y->folder, field, &f) != DR_OK)
		fault_at(w, n, &f);
}

static void *field_of(const struct dr_key *k, void *holder)
{
	return (char *)holder + k->offset;
}

/* ---- lists ---- */

static bool is_list(struct walk *w, const struct dr_key *k, const yaml_node_t *n)
{
	if (n->type == YAML_SEQUENCE_NODE)
		return true;
	dr_yaml_bad(w->y, n, "%s: %s; expected a list%s", where(w),
		    is_null(n) ? "has no value" : "is no list",
		    k->type == DR_TYPE_LIST ? ", each element beginning with \"- \"" : " as in [ A, B ]");
	return false;
}

static void check_length(struct walk *w, const struct dr_key *k, const yaml_node_t *n, size_t count)
{
	if (count < k->min)
		dr_yaml_bad(w->y, n, "%s: is empty; expected at least %u", where(w), (unsigned)k->min);
	if (count > k->max)
		dr_yaml_bad(w->y, n, "%s: has %zu elements; expected at most %u", where(w), count,
			    (unsigned)k->max);
}

/* What an element is called in paths: its first key's value, else its place. */
static void element_word(struct walk *w, const struct dr_key *k, const yaml_node_t *n, size_t i,
			 char word[DR_NAME_MAX])
{
	const char *name = dr_yaml_text(dr_yaml_value(w->y, n, dr_key_next(k->of, NULL)->word));
	if (name == NULL || !dr_copy_text(word, DR_NAME_MAX, name) || !dr_is_name(name))
		(void)snprintf(word, DR_NAME_MAX, "[%zu]", i);
}

static yaml_node_t *nth(struct walk *w, const yaml_node_t *list, size_t i)
{
	return dr_yaml_node(w->y, list->data.sequence.items.start[i]);
}

/* The first key of an element names it: no two may be the same.  Names are compared in the filled structs. */
static void check_unique(struct walk *w, const struct dr_key *k, void *holder, const yaml_node_t *list,
			 size_t i)
{
	const struct dr_key *id = dr_key_next(k->of, NULL);
	const struct dr_name *mine = field_of(id, k->place(holder, (uint32_t)i, true));
	for (size_t j = 0; mine->s[0] != '\0' && j < i; j++) {
		const struct dr_name *other = field_of(id, k->place(holder, (uint32_t)j, true));
		if (!dr_name_eq(mine, other))
			continue;
		const yaml_node_t *at = dr_yaml_value(w->y, nth(w, list, i), id->word);
		const yaml_node_t *first = dr_yaml_value(w->y, nth(w, list, j), id->word);
		dr_yaml_bad(w->y, at, "%s: %s \"%s\" stands twice, first in line %zu; expected each once",
			    where(w), id->word, mine->s, first != NULL ? first->start_mark.line + 1 : 0);
		return;
	}
}

static void walk_list(struct walk *w, const struct dr_key *k, void *holder, const yaml_node_t *n)
{
	if (!is_list(w, k, n))
		return;
	size_t count = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	check_length(w, k, n, count);
	for (size_t i = 0; i < count && i < k->max; i++) {
		void *to = k->place(holder, (uint32_t)i, true);
		dr_assert(to != NULL);
		const yaml_node_t *one = nth(w, n, i);
		if (k->type == DR_TYPE_SCALARS) {
			walk_scalar(w, k, k->item, to, one);
			continue;
		}
		char word[DR_NAME_MAX];
		element_word(w, k, one, i, word);
		size_t at = enter(w, word);
		walk_section(w, k->of, to, one);
		leave(w, at);
		check_unique(w, k, holder, n, i);
	}
}

/* ---- mappings ---- */

static void set_defaults(enum dr_section_id section, void *to);

static void set_default(const struct dr_key *k, void *to)
{
	const char *text = dr_key_fallback(k);
	if (k->type == DR_TYPE_PART) {
		set_defaults(k->of, k->place(to, 0, true));
	} else if (text != NULL) {
		struct dr_fault f;
		enum dr_err rv = dr_scalar_read(k, k->type, text, true, "", field_of(k, to), &f);
		dr_assert(rv == DR_OK);
	}
}

static void set_defaults(enum dr_section_id section, void *to)
{
	for (const struct dr_key *k = dr_key_next(section, NULL); k != NULL; k = dr_key_next(section, k)) {
		if (dr_key_applies(k, to))
			set_default(k, to);
	}
}

/* A key that is right, but in another mapping of this file. */
static const char *home_of(const struct walk *w, enum dr_section_id top, const char *word, unsigned depth)
{
	for (const struct dr_key *k = dr_key_next(top, NULL); k != NULL && depth < 4;
	     k = dr_key_next(top, k)) {
		if (k->type != DR_TYPE_PART && k->type != DR_TYPE_LIST)
			continue;
		if (dr_key_find(k->of, word) != NULL)
			return k->word;
		const char *deeper = home_of(w, k->of, word, depth + 1);
		if (deeper != NULL)
			return deeper;
	}
	return NULL;
}

static void unknown_key(struct walk *w, enum dr_section_id section, const yaml_node_t *at, const char *word)
{
	char quoted[DR_QUOTED_MAX];
	char known[256] = "";
	size_t len = 0;
	struct dr_nearest near = dr_nearest_to(word);
	for (const struct dr_key *k = dr_key_next(section, NULL); k != NULL; k = dr_key_next(section, k)) {
		dr_nearest_try(&near, k->word);
		int n = snprintf(known + len, sizeof(known) - len, "%s%s", len > 0 ? ", " : "", k->word);
		len += n > 0 && len + (size_t)n < sizeof(known) ? (size_t)n : 0;
	}
	const char *meant = dr_nearest_found(&near);
	const char *home = meant == NULL ? home_of(w, w->top, word, 0) : NULL;
	if (meant != NULL)
		dr_yaml_bad(w->y, at, "%s: %s is no key here; expected one of %s; did you mean \"%s\"?",
			    where(w), dr_quote(quoted, word), known, meant);
	else if (home != NULL)
		dr_yaml_bad(w->y, at, "%s: %s is no key here; expected one of %s; it belongs into \"%s\"",
			    where(w), dr_quote(quoted, word), known, home);
	else if (dr_key_find(w->top, word) != NULL && section != w->top)
		dr_yaml_bad(w->y, at,
			    "%s: %s is no key here; expected one of %s; it belongs to the top of the file",
			    where(w), dr_quote(quoted, word), known);
	else
		dr_yaml_bad(w->y, at, "%s: %s is no key here; expected one of %s", where(w),
			    dr_quote(quoted, word), known);
}

static void walk_value(struct walk *w, const struct dr_key *k, void *to, const yaml_node_t *n)
{
	size_t at = enter(w, k->word);
	if (k->type == DR_TYPE_PART)
		walk_section(w, k->of, k->place(to, 0, true), n);
	else if (k->type == DR_TYPE_LIST || k->type == DR_TYPE_SCALARS)
		walk_list(w, k, to, n);
	else
		walk_scalar(w, k, k->type, field_of(k, to), n);
	leave(w, at);
}

static void missing_key(struct walk *w, const struct dr_key *k, const yaml_node_t *mapping)
{
	struct dr_buf b;
	dr_buf_init(&b, 160);
	dr_scalar_describe(k, &b);
	dr_yaml_bad(w->y, mapping, "%s: key \"%s\" is missing; expected %.*s: %s", where(w), k->word,
		    (int)b.len, (const char *)b.data, k->help);
	dr_buf_close(&b);
}

/* Keys that nobody knows, keys that are no text, keys that stand twice. */
static void check_keys(struct walk *w, enum dr_section_id section, const yaml_node_t *n)
{
	const yaml_node_t *first[DR_KEY_COUNT] = { NULL };
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = dr_yaml_node(w->y, p->key);
		const char *word = dr_yaml_text(key);
		const struct dr_key *k = word != NULL ? dr_key_find(section, word) : NULL;
		if (word == NULL) {
			dr_yaml_bad(w->y, key, "%s: a key is %s; expected a word", where(w), node_noun(key));
		} else if (k == NULL) {
			unknown_key(w, section, key, word);
		} else if (first[k - dr_keys] != NULL) {
			dr_yaml_bad(w->y, key,
				    "%s: key \"%s\" stands twice, first in line %zu; expected it once",
				    where(w), word, first[k - dr_keys]->start_mark.line + 1);
		} else {
			first[k - dr_keys] = key;
		}
	}
}

static void walk_section(struct walk *w, enum dr_section_id section, void *to, const yaml_node_t *n)
{
	if (n->type != YAML_MAPPING_NODE) {
		const struct dr_key *k = dr_key_next(section, NULL);
		dr_yaml_bad(w->y, n, "%s: %s%s; expected a mapping (%s: ...): %s", where(w),
			    is_null(n) ? "" : "is ", is_null(n) ? "has no value" : node_noun(n), k->word,
			    dr_section_help(section));
		return;
	}
	check_keys(w, section, n);
	for (const struct dr_key *k = dr_key_next(section, NULL); k != NULL; k = dr_key_next(section, k)) {
		const yaml_node_t *value = dr_yaml_value(w->y, n, k->word);
		if (!dr_key_applies(k, to)) {
			if (value != NULL)
				dr_yaml_bad(w->y, value, "%s: \"%s\" is no key of this kind of %s; expected it to be left out, or "
					    "another %s", where(w), k->word, section == DR_SECTION_runbook ? "step" : "route",
					    section == DR_SECTION_runbook ? "when" : "kind");
			continue;
		}
		if (value == NULL && dr_key_needed(k))
			missing_key(w, k, n);
		/* The default stands also under a value: a profile before its single keys, a bad value. */
		set_default(k, to);
		if (value != NULL)
			walk_value(w, k, to, value);
	}
}

void dr_walk(struct dr_yaml *y, enum dr_section_id section, void *top)
{
	struct walk w = { .y = y, .top = section, .path = "" };
	walk_section(&w, section, top, dr_yaml_root(y));
}
