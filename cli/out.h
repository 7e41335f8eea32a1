/* out.h -- what people read on a terminal: tables, colour, and JSON values shown as either. */
#ifndef DR_CLI_OUT_H
#define DR_CLI_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"

enum dr_colour { DR_PLAIN, DR_BOLD, DR_RED, DR_GREEN, DR_YELLOW, DR_GREY };

/* Whether stdout is a terminal that wants colour: NO_COLOR (no-color.org) and TERM=dumb say no. */
bool dr_out_colour(void);
/* The sequence that begins a colour, or "" without colour; DR_PLAIN ends it. */
const char *dr_out_code(enum dr_colour colour);
/* Green for what is well, red for what is not, by the words of states; PLAIN for others. */
enum dr_colour dr_out_colour_of(const char *word);

/* A table: cells are added row by row and printed aligned by dr_table_end(), which frees them.  Text as of
 * dr_out_text(); each character is taken for one column wide. */
enum { DR_TABLE_COLUMNS_MAX = 12, DR_TABLE_CELL_MAX = 160 };
struct dr_table {
	unsigned columns, cells, room;
	char (*cell)[DR_TABLE_CELL_MAX];
};
void dr_table_begin(struct dr_table *t, unsigned columns);
void dr_table_cell(struct dr_table *t, const char *fmt, ...) DR_PRINTF(2, 3);
/* The first row is the head. */
void dr_table_end(struct dr_table *t, FILE *to);

/* Text from elsewhere, fit for a terminal: one line of UTF-8; control characters, those that turn the direction
 * of writing and what is no UTF-8 are shown as '?', so that no escape gets to the terminal. */
void dr_out_text(const char *s, FILE *to);
bool dr_out_is_utf8(const char *s);
/* The same for text of several lines. */
void dr_out_lines(const char *s, FILE *to);

/* Any JSON value for people: objects as "key: value", lists of objects as tables. */
void dr_out_json_as_text(json_t *v, FILE *to);
/* A member of an object as text ("" when absent): strings as they are, else as JSON.  Valid until the next 8
 * calls. */
const char *dr_json_text(const json_t *object, const char *key);

/* {"error": {...}} on stdout. */
void dr_out_error(enum dr_err code, const char *message, const char *word, const char *override);

#endif
