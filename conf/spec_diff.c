/* spec_diff.c -- see spec_diff.h; follows the rows of keys.def. */
#include "conf/spec_diff.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "conf/scalar.h"

struct diff {
	struct dr_spec_change *out;
	uint32_t max, count;
	struct dr_name service, member;
	char path[DR_CHANGE_PATH_MAX];
};

static void diff_section(struct diff *d, enum dr_section_id section, void *a, void *b);

static void *field_of(const struct dr_key *k, void *holder)
{
	return (char *)holder + k->offset;
}

static size_t enter(struct diff *d, const char *word)
{
	size_t at = strlen(d->path);
	(void)snprintf(d->path + at, sizeof(d->path) - at, "%s%s", at > 0 ? "." : "", word);
	return at;
}

static void leave(struct diff *d, size_t at)
{
	d->path[at] = '\0';
}

static void take(char dst[DR_CHANGE_VALUE_MAX], struct dr_buf *b)
{
	(void)snprintf(dst, DR_CHANGE_VALUE_MAX, "%.*s", (int)b->len,
		       b->data != NULL ? (const char *)b->data : "");
	dr_buf_clear(b);
}

static void note(struct diff *d, enum dr_change_kind kind, const char *key, struct dr_buf *before,
		 struct dr_buf *after)
{
	d->count++;
	if (d->count > d->max)
		return;
	struct dr_spec_change *c = &d->out[d->count - 1];
	memset(c, 0, sizeof(*c));
	c->kind = kind;
	c->service = d->service;
	c->member = d->member;
	(void)dr_copy_text(c->key, sizeof(c->key), key);
	(void)dr_copy_text(c->path, sizeof(c->path), d->path);
	if (before != NULL)
		take(c->before, before);
	if (after != NULL)
		take(c->after, after);
}

static void value_of(const struct dr_key *k, void *holder, struct dr_buf *out)
{
	void *one;
	if (!dr_key_applies(k, holder))
		return;
	if (k->type != DR_TYPE_SCALARS) {
		(void)dr_scalar_print(k, k->type, field_of(k, holder), out);
		return;
	}
	for (uint32_t i = 0; (one = k->place(holder, i, false)) != NULL; i++) {
		dr_buf_printf(out, "%s", i > 0 ? ", " : "");
		(void)dr_scalar_print(k, k->item, one, out);
	}
}

static void diff_value(struct diff *d, const struct dr_key *k, void *a, void *b)
{
	struct dr_buf before, after;
	dr_buf_init(&before, 4 * DR_FQDN_MAX);
	dr_buf_init(&after, 4 * DR_FQDN_MAX);
	value_of(k, a, &before);
	value_of(k, b, &after);
	bool same =
	    before.len == after.len && (before.len == 0 || memcmp(before.data, after.data, before.len) == 0);
	enum dr_change_kind kind = before.len == 0  ? DR_CHANGE_ADDED
				   : after.len == 0 ? DR_CHANGE_REMOVED
						    : DR_CHANGE_CHANGED;
	if (!same)
		note(d, kind, k->word, &before, &after);
	dr_buf_close(&before);
	dr_buf_close(&after);
}

/* The element of that name; the same place is looked at first, so that equal specs cost one look each. */
static void *find(const struct dr_key *k, void *holder, const struct dr_name *name, uint32_t likely)
{
	const struct dr_key *id = dr_key_next(k->of, NULL);
	void *one = k->place(holder, likely, false);
	if (one != NULL && dr_name_eq(field_of(id, one), name))
		return one;
	for (uint32_t i = 0; i < k->max; i++) {
		one = k->place(holder, i, false);
		if (one != NULL && dr_name_eq(field_of(id, one), name))
			return one;
	}
	return NULL;
}

static void begin_element(struct diff *d, const struct dr_key *k, const struct dr_name *name)
{
	if (k->of == DR_SECTION_service)
		d->service = *name;
	if (k->of == DR_SECTION_member)
		d->member = *name;
}

static void end_element(struct diff *d, const struct dr_key *k)
{
	begin_element(d, k, &(struct dr_name){ .s = "" });
}

static void diff_list(struct diff *d, const struct dr_key *k, void *a, void *b)
{
	const struct dr_key *id = dr_key_next(k->of, NULL);
	for (int pass = 0; pass < 2; pass++) {
		/* First what `after` has, in its order: added and changed; then what is only in `before`. */
		void *from = pass == 0 ? b : a, *other = pass == 0 ? a : b;
		for (uint32_t i = 0; i < k->max; i++) {
			void *one = k->place(from, i, false);
			if (one == NULL)
				continue;
			const struct dr_name *name = field_of(id, one);
			void *match = find(k, other, name, i);
			size_t at = enter(d, name->s);
			begin_element(d, k, name);
			if (match == NULL)
				note(d, pass == 0 ? DR_CHANGE_ADDED : DR_CHANGE_REMOVED, k->word, NULL, NULL);
			else if (pass == 0)
				diff_section(d, k->of, match, one);
			end_element(d, k);
			leave(d, at);
		}
	}
}

static void diff_section(struct diff *d, enum dr_section_id section, void *a, void *b)
{
	for (const struct dr_key *k = dr_key_next(section, NULL); k != NULL; k = dr_key_next(section, k)) {
		size_t at = enter(d, k->word);
		bool had = dr_key_applies(k, a), has = dr_key_applies(k, b);
		if (k->type == DR_TYPE_LIST)
			diff_list(d, k, a, b);
		else if (k->type == DR_TYPE_PART && had != has)
			note(d, has ? DR_CHANGE_ADDED : DR_CHANGE_REMOVED, k->word, NULL, NULL);
		else if (k->type == DR_TYPE_PART && has)
			diff_section(d, k->of, k->place(a, 0, false), k->place(b, 0, false));
		else if (k->type != DR_TYPE_PART)
			diff_value(d, k, a, b);
		leave(d, at);
	}
}

uint32_t dr_spec_diff(const struct dr_spec *before, const struct dr_spec *after, struct dr_spec_change *out,
		      uint32_t max)
{
	/* Places are found through one function for reading and writing; nothing is written here. */
	struct dr_spec a = *before, b = *after;
	struct diff d = { .out = out, .max = max };
	diff_section(&d, DR_SECTION_spec, &a, &b);
	return d.count;
}

void dr_spec_change_print(const struct dr_spec_change *c, struct dr_buf *out)
{
	if (c->kind == DR_CHANGE_CHANGED)
		dr_buf_printf(out, "%s: %s -> %s", c->path, c->before, c->after);
	else if (c->kind == DR_CHANGE_ADDED)
		dr_buf_printf(out, "%s: added%s%s", c->path, c->after[0] != '\0' ? " " : "", c->after);
	else
		dr_buf_printf(out, "%s: removed%s%s", c->path, c->before[0] != '\0' ? " " : "", c->before);
}
