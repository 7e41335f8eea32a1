/* spec_print.c -- a spec as YAML in one fixed form, by the rows of keys.def. */
#include <string.h>

#include "conf/scalar.h"

enum { FLOW_KEYS_MAX = 6 }; /* a mapping of so few scalars stands on one line */

static void print_block(enum dr_section_id section, void *from, unsigned depth, bool first_is_dashed,
			struct dr_buf *out);

static void *field_of(const struct dr_key *k, void *holder)
{
	return (char *)holder + k->offset;
}

static bool is_flow(enum dr_section_id section)
{
	unsigned n = 0;
	for (const struct dr_key *k = dr_key_next(section, NULL); k != NULL;
	     k = dr_key_next(section, k), n++) {
		if (k->type == DR_TYPE_PART || k->type == DR_TYPE_LIST || k->type == DR_TYPE_SCALARS)
			return false;
	}
	return n <= FLOW_KEYS_MAX;
}

static void indent(unsigned depth, struct dr_buf *out)
{
	for (unsigned i = 0; i < depth; i++)
		dr_buf_printf(out, "  ");
}

static void print_flow(enum dr_section_id section, void *from, struct dr_buf *out)
{
	bool any = false;
	dr_buf_printf(out, "{ ");
	for (const struct dr_key *k = dr_key_next(section, NULL); k != NULL; k = dr_key_next(section, k)) {
		size_t before = out->len;
		dr_buf_printf(out, "%s%s: ", any ? ", " : "", k->word);
		if (dr_scalar_print(k, k->type, field_of(k, from), out))
			any = true;
		else
			out->len = before; /* an empty one is left out, with its word */
	}
	dr_buf_printf(out, " }\n");
}

static void print_scalars(const struct dr_key *k, void *from, struct dr_buf *out)
{
	void *one;
	dr_buf_printf(out, "[ ");
	for (uint32_t i = 0; (one = k->place(from, i, false)) != NULL; i++) {
		dr_buf_printf(out, "%s\"", i > 0 ? ", " : "");
		size_t at = out->len;
		(void)dr_scalar_print(k, k->item, one, out);
		if (out->len > at && out->data[at] == '"') { /* quoted already */
			memmove(out->data + at, out->data + at + 1, out->len - at - 1);
			out->len--;
		} else {
			dr_buf_printf(out, "\"");
		}
	}
	dr_buf_printf(out, " ]");
}

static void print_list(const struct dr_key *k, void *from, unsigned depth, struct dr_buf *out)
{
	uint32_t printed = 0;
	dr_buf_printf(out, "%s:", k->word);
	for (uint32_t i = 0; i < k->max; i++) {
		void *one = k->place(from, i, false);
		if (one == NULL)
			continue;
		dr_buf_printf(out, "%s", printed++ == 0 ? "\n" : "");
		indent(depth + 1, out);
		dr_buf_printf(out, "- ");
		if (is_flow(k->of))
			print_flow(k->of, one, out);
		else
			print_block(k->of, one, depth + 2, true, out);
	}
	if (printed == 0)
		dr_buf_printf(out, " []\n");
}

static void print_key(const struct dr_key *k, void *from, unsigned depth, struct dr_buf *out)
{
	if (k->type == DR_TYPE_LIST) {
		print_list(k, from, depth, out);
	} else if (k->type == DR_TYPE_SCALARS) {
		dr_buf_printf(out, "%s: ", k->word);
		print_scalars(k, from, out);
		dr_buf_printf(out, "\n");
	} else if (k->type == DR_TYPE_PART) {
		void *part = k->place(from, 0, false);
		dr_buf_printf(out, is_flow(k->of) ? "%s: " : "%s:\n", k->word);
		if (is_flow(k->of))
			print_flow(k->of, part, out);
		else
			print_block(k->of, part, depth + 1, false, out);
	} else {
		dr_buf_printf(out, "%s: ", k->word);
		(void)dr_scalar_print(k, k->type, field_of(k, from), out);
		dr_buf_printf(out, "\n");
	}
}

/* Whether a key has anything to say in this struct. */
static bool has_value(const struct dr_key *k, void *from)
{
	struct dr_buf scratch;
	if (!dr_key_applies(k, from))
		return false;
	if (k->type == DR_TYPE_LIST || k->type == DR_TYPE_PART || k->type == DR_TYPE_SCALARS)
		return true;
	dr_buf_init(&scratch, 2 * DR_PATH_MAX);
	bool has = dr_scalar_print(k, k->type, field_of(k, from), &scratch);
	dr_buf_close(&scratch);
	return has;
}

static void print_block(enum dr_section_id section, void *from, unsigned depth, bool first_is_dashed,
			struct dr_buf *out)
{
	for (const struct dr_key *k = dr_key_next(section, NULL); k != NULL; k = dr_key_next(section, k)) {
		if (!has_value(k, from))
			continue;
		if (!first_is_dashed)
			indent(depth, out);
		first_is_dashed = false;
		print_key(k, from, depth, out);
	}
}

void dr_conf_spec_print(const struct dr_spec *spec, struct dr_buf *out)
{
	/* Places are found through one function for reading and writing; nothing is written here. */
	struct dr_spec copy = *spec;
	print_block(DR_SECTION_spec, &copy, 0, false, out);
}
