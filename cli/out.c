/* out.c -- see out.h. */
#include "cli/out.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

/* ---- colour ---- */

bool dr_out_colour(void)
{
	static int known = -1;
	if (known < 0) {
		const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
		bool dumb = term == NULL || strcmp(term, "dumb") == 0;
		known = isatty(STDOUT_FILENO) == 1 && !dumb && (no == NULL || no[0] == '\0');
	}
	return known == 1;
}

const char *dr_out_code(enum dr_colour colour)
{
	static const char *const codes[] = {
		[DR_PLAIN] = "\033[0m",  [DR_BOLD] = "\033[1m",    [DR_RED] = "\033[31m",
		[DR_GREEN] = "\033[32m", [DR_YELLOW] = "\033[33m", [DR_GREY] = "\033[90m",
	};
	return dr_out_colour() ? codes[colour] : "";
}

enum dr_colour dr_out_colour_of(const char *word)
{
	static const struct {
		const char *word;
		enum dr_colour colour;
	} known[] = {
		{ "primary", DR_GREEN },   { "leader", DR_GREEN },    { "healthy", DR_GREEN },
		{ "running", DR_GREEN },   { "ok", DR_GREEN },        { "success", DR_GREEN },
		{ "failed", DR_RED },      { "unproved", DR_RED },    { "away", DR_YELLOW },
		{ "lost", DR_RED },        { "unreachable", DR_RED }, { "fenced", DR_RED },
		{ "stopped", DR_RED },     { "refused", DR_RED },     { "suspect", DR_YELLOW },
		{ "asking", DR_YELLOW },   { "paused", DR_YELLOW },   { "observe", DR_YELLOW },
		{ "starting", DR_YELLOW },
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].word, word) == 0)
			return known[i].colour;
	}
	return DR_PLAIN;
}

/* ---- text ---- */

/* How many bytes the UTF-8 character at s has, and which it is; 0: there is none. */
static unsigned utf8_read(const char *s, uint32_t *out)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)s;
	unsigned n = p[0] < 0x80	    ? 1
		     : (p[0] & 0xe0) == 0xc0 ? 2
		     : (p[0] & 0xf0) == 0xe0 ? 3
		     : (p[0] & 0xf8) == 0xf0 ? 4
					     : 0;
	uint32_t code = n == 1 ? p[0] : p[0] & (0x7fu >> n);
	for (unsigned i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3fu);
	}
	if (n == 0 || code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*out = code;
	return n;
}

/* C0, DEL and C1, ends of lines and paragraphs, and what turns the direction of writing. */
static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069);
}

bool dr_out_is_utf8(const char *s)
{
	uint32_t code;
	for (unsigned n; *s != '\0'; s += n) {
		n = utf8_read(s, &code);
		if (n == 0)
			return false;
	}
	return true;
}

/* The bytes of the next character of s; *shown is what stands for it and how long that is. */
static unsigned next_shown(const char *s, const char **shown, unsigned *len)
{
	uint32_t code = 0;
	unsigned n = utf8_read(s, &code);
	bool as_is = n > 0 && !is_control(code);
	*shown = as_is ? s : "?";
	*len = as_is ? n : 1;
	return n > 0 ? n : 1;
}

static void make_printable(char *s)
{
	const char *shown;
	unsigned n, len;
	char *to = s;
	for (; *s != '\0'; s += n, to += len) {
		n = next_shown(s, &shown, &len);
		memmove(to, shown, len);
	}
	*to = '\0';
}

void dr_out_text(const char *s, FILE *to)
{
	const char *shown;
	unsigned n, len;
	for (; *s != '\0'; s += n) {
		n = next_shown(s, &shown, &len);
		(void)fwrite(shown, 1, len, to);
	}
}

/* Characters of text that make_printable() has seen. */
static unsigned width_of(const char *s)
{
	unsigned n = 0;
	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80 ? 1 : 0;
	return n;
}

/* ---- tables ---- */

void dr_table_begin(struct dr_table *t, unsigned columns)
{
	dr_assert(columns > 0);
	dr_assert(columns <= DR_TABLE_COLUMNS_MAX);
	*t = (struct dr_table){ .columns = columns };
}

void dr_table_cell(struct dr_table *t, const char *fmt, ...)
{
	if (t->cells == t->room) {
		t->room = t->room == 0 ? 64 : 2 * t->room;
		t->cell = dr_xrealloc(t->cell, t->room * sizeof(*t->cell));
	}
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(t->cell[t->cells], DR_TABLE_CELL_MAX, fmt, ap);
	va_end(ap);
	make_printable(t->cell[t->cells]);
	if (t->cell[t->cells][0] == '\0')
		(void)snprintf(t->cell[t->cells], DR_TABLE_CELL_MAX, "-");
	t->cells++;
}

static void print_row(const struct dr_table *t, unsigned row, const unsigned width[], FILE *to)
{
	for (unsigned k = 0; k < t->columns && row * t->columns + k < t->cells; k++) {
		const char *text = t->cell[row * t->columns + k];
		enum dr_colour colour = row == 0 ? DR_BOLD : dr_out_colour_of(text);
		bool last = k + 1 == t->columns;
		const char *begin = colour == DR_PLAIN ? "" : dr_out_code(colour);
		const char *end = colour == DR_PLAIN ? "" : dr_out_code(DR_PLAIN);
		(void)fprintf(to, "%s%s%s", begin, text, end);
		if (!last)
			(void)fprintf(to, "%*s", (int)(width[k] - width_of(text) + 2), "");
	}
	(void)fprintf(to, "\n");
}

void dr_table_end(struct dr_table *t, FILE *to)
{
	unsigned width[DR_TABLE_COLUMNS_MAX] = { 0 };
	for (unsigned i = 0; i < t->cells; i++) {
		unsigned len = width_of(t->cell[i]);
		if (len > width[i % t->columns])
			width[i % t->columns] = len;
	}
	for (unsigned row = 0; row * t->columns < t->cells; row++)
		print_row(t, row, width, to);
	dr_free(t->cell);
	*t = (struct dr_table){ 0 };
}

/* ---- JSON ---- */

static void value_text(const json_t *v, char dst[DR_TABLE_CELL_MAX])
{
	dst[0] = '\0';
	if (v == NULL || json_is_null(v))
		return;
	if (json_is_string(v)) {
		(void)snprintf(dst, DR_TABLE_CELL_MAX, "%s", json_string_value(v));
		return;
	}
	if (json_is_boolean(v)) {
		(void)snprintf(dst, DR_TABLE_CELL_MAX, "%s", json_is_true(v) ? "yes" : "no");
		return;
	}
	size_t n = json_dumpb(v, dst, DR_TABLE_CELL_MAX - 1, JSON_ENCODE_ANY | JSON_COMPACT);
	dst[n < DR_TABLE_CELL_MAX ? n : DR_TABLE_CELL_MAX - 1] = '\0';
}

const char *dr_json_text(const json_t *object, const char *key)
{
	static char text[8][DR_TABLE_CELL_MAX];
	static unsigned next;
	char *dst = text[next++ % 8];
	value_text(json_object_get(object, key), dst);
	return dst;
}

static bool is_table(const json_t *v)
{
	return json_is_array(v) && json_array_size(v) > 0 && json_is_object(json_array_get(v, 0));
}

static unsigned add_column(const char *column[], unsigned n, const char *key)
{
	for (unsigned k = 0; k < n; k++) {
		if (strcmp(column[k], key) == 0)
			return n;
	}
	if (n < DR_TABLE_COLUMNS_MAX)
		column[n++] = key;
	return n;
}

/* The columns are all keys of all rows, in the order in which they first stand. */
static void print_table(const json_t *list, FILE *to)
{
	const char *column[DR_TABLE_COLUMNS_MAX], *key;
	unsigned n = 0;
	size_t i;
	json_t *row, *one;
	struct dr_table t;
	json_array_foreach(list, i, row)
	{
		json_object_foreach(row, key, one)
		{
			(void)one;
			n = add_column(column, n, key);
		}
	}
	if (n == 0)
		return;
	dr_table_begin(&t, n);
	for (unsigned k = 0; k < n; k++)
		dr_table_cell(&t, "%s", column[k]);
	json_array_foreach(list, i, row)
	{
		for (unsigned k = 0; k < n; k++)
			dr_table_cell(&t, "%s", dr_json_text(row, column[k]));
	}
	dr_table_end(&t, to);
}

void dr_out_lines(const char *s, FILE *to)
{
	char *copy = dr_xstrdup(s), *rest = copy;
	for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
		dr_out_text(line, to);
		if (rest != NULL || line[0] != '\0')
			(void)fputc('\n', to);
	}
	dr_free(copy);
}

void dr_out_json_as_text(json_t *v, FILE *to)
{
	char text[DR_TABLE_CELL_MAX];
	if (is_table(v)) {
		print_table(v, to);
		return;
	}
	if (!json_is_object(v)) {
		value_text(v, text);
		dr_out_text(text, to);
		(void)fprintf(to, "\n");
		return;
	}
	const char *key;
	json_t *one;
	json_object_foreach(v, key, one)
	{
		dr_out_text(key, to);
		if (is_table(one)) {
			(void)fprintf(to, ":\n");
			print_table(one, to);
			continue;
		}
		value_text(one, text);
		(void)fprintf(to, ": ");
		dr_out_text(text, to);
		(void)fprintf(to, "\n");
	}
}

static void set_text(json_t *object, const char *key, const char *text)
{
	if (text[0] != '\0')
		(void)json_object_set_new(object, key, json_string(text));
}

void dr_out_error(enum dr_err code, const char *message, const char *word, const char *override)
{
	json_t *inner = json_object(), *outer = json_object();
	set_text(inner, "code", dr_err_name(code));
	set_text(inner, "message", message);
	set_text(inner, "word", word);
	set_text(inner, "override", override);
	(void)json_object_set_new(outer, "error", inner);
	(void)json_dumpf(outer, stdout, JSON_COMPACT);
	(void)printf("\n");
	json_decref(outer);
}
