/* cli.h -- drcoordctl: the tables as data, one parsed command line, and how it answers.
 *
 * A verb is a row of verbs.def and a function dr_verb_*() that returns the exit code.  Everything runs in one
 * thread and ends with the process. */
#ifndef DR_CLI_CLI_H
#define DR_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "net/tls.h"

enum dr_exit {
#define EXIT(number, name, help) DR_EXIT_##name = (number),
#include "cli/exits.def"
};

enum dr_option_id {
#define OPTION(id, ...) DR_OPTION_##id,
#include "cli/options.def"
#undef OPTION
	DR_OPTION_COUNT
};
_Static_assert(DR_OPTION_COUNT <= 64, "verbs keep their options in one uint64_t");

struct dr_option {
	const char *word;        /* long name */
	char letter;             /* short one; 0: none */
	const char *argument;    /* NULL: takes none */
	bool every;              /* any verb takes it */
	const char *environment; /* variable that stands for it; NULL: none */
	const char *help;
};
extern const struct dr_option dr_options[DR_OPTION_COUNT];

struct dr_cli;
typedef enum dr_exit dr_verb_fn(struct dr_cli *c);

struct dr_verb {
	const char *words;      /* "service adopt" */
	const char *arguments;  /* "SERVICE [MEMBER]" */
	enum dr_peer_kind role; /* the least that may; NONE: asks no coordinator */
	dr_verb_fn *run;
	uint64_t options; /* bit i: takes dr_options[i] */
	const char *help;
};
#define VERB(id, ...) DR_VERB_##id,
enum dr_verb_id {
#include "cli/verbs.def"
	DR_VERB_COUNT
};
#undef VERB
extern const struct dr_verb dr_verbs[DR_VERB_COUNT];
#define VERB(id, words, arguments, asks, function, options, help) dr_verb_fn function;
#include "cli/verbs.def"
#undef VERB

enum { DR_ARGUMENTS_MAX = 64 };

/* One command line, understood. */
struct dr_cli {
	const struct dr_verb *verb;             /* NULL: none was given */
	const char *option[DR_OPTION_COUNT];    /* NULL: not given; "": given, takes no value */
	const char *argument[DR_ARGUMENTS_MAX]; /* behind the verb's words */
	unsigned arguments;
	bool json;                              /* for programs; with yaml as YAML */
	bool yaml;
	uint32_t timeout_ms;
};

/* args.c: USAGE was said on stderr when it is not OK. */
enum dr_exit dr_args_read(struct dr_cli *c, int argc, char **argv);
/* The text behind the n-th word of verb->arguments; NULL when it was left out. */
const char *dr_argument(const struct dr_cli *c, const char *word);
/* The n-th word of a verb's arguments without its brackets and dots; false past the last one. */
struct dr_word {
	char text[32];
	bool optional, several;
};
bool dr_verb_word(const struct dr_verb *v, unsigned n, struct dr_word *out);

/* exits.c */
enum dr_exit dr_exit_of(enum dr_err code);
struct dr_exit_row {
	int number;
	const char *name, *help;
};
extern const struct dr_exit_row dr_exits[];
extern const unsigned dr_exits_count;

/* help.c */
void dr_help_verb(const struct dr_verb *v, FILE *to);
void dr_help_all(FILE *to);

/* yaml.c: an answer for programs, on stdout: JSON as it came, or as YAML. */
void dr_say_json(const struct dr_cli *c, const char *text);

/* "drcoordctl: failover: message", or {"error": ...} on stdout with -o json; returns the exit code. */
enum dr_exit dr_say_error(const struct dr_cli *c, const struct dr_error *e);
enum dr_exit dr_say_usage(const struct dr_cli *c, const char *fmt, ...) DR_PRINTF(2, 3);

#endif
