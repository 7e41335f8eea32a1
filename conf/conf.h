/* conf.h -- from YAML files to checked structs: a coordinator's file, an agent's file, the cluster spec.
 *
 * Every key stands in ONE table, keys.def, which drives the reader, the defaults, the printer, the diff and
 * the documentation.  A read reports every problem of the file in one run, each with line and column, what
 * was expected and, where it can guess, what was meant.
 *
 * Threads: any, on the caller's own structs.  Ownership: the caller owns all structs; nothing is kept. */
#ifndef DR_CONF_CONF_H
#define DR_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"
#include "conf/node_file.h"
#include "model/spec.h"

enum dr_conf_kind { DR_CONF_UNKNOWN, DR_CONF_COORDINATOR, DR_CONF_AGENT, DR_CONF_SPEC, DR_CONF_KIND_COUNT };
const char *dr_conf_kind_name(enum dr_conf_kind k); /* "coordinator", "agent", "spec"; "unknown" */
enum dr_conf_kind dr_conf_kind_find(const char *word);

/* One thing wrong at one place; line and column count from 1, 0 when the file as a whole is meant. */
struct dr_conf_problem {
	uint32_t line;
	uint32_t column;
	bool warning; /* legal, but most likely not what was wanted: the file is accepted */
	char text[DR_ERROR_MSG_MAX];
};

/* A bounded list, sorted by place.  Large: keep it off small stacks. */
struct dr_conf_problems {
	char file[DR_PATH_MAX]; /* as the caller named it */
	uint32_t count;         /* kept in problem[] */
	uint32_t errors;        /* all found, also those that were not kept */
	uint32_t warnings;
	bool unreadable; /* no document could be made of it: syntax, size, or no file at all */
	struct dr_conf_problem problem[DR_CONF_PROBLEMS_MAX];
};

/* "file:line:column: text" a line, and how many more there were.  Returns what fprintf would not. */
void dr_conf_problems_print(const struct dr_conf_problems *p, FILE *to);
/* The first error in one line, with how many follow: what a daemon says before it gives up. */
enum dr_err dr_conf_problems_fail(const struct dr_conf_problems *p, struct dr_error *e);

/* A spec with room for all services (its memory is touched only as it is filled), and its end. */
struct dr_spec *dr_conf_spec_new(void);
void dr_conf_spec_free(struct dr_spec *s);

/* Read and check one file.  *problems is overwritten; it may hold warnings after OK.  INVALID: the file is
 * wrong, *out is unspecified.  IO, NOT_FOUND, DENIED: it could not be read; the only problem says why. */
DR_MUST_USE enum dr_err dr_conf_read_coordinator(const char *path, struct dr_conf_coordinator *out,
						 struct dr_conf_problems *problems);
DR_MUST_USE enum dr_err dr_conf_read_agent(const char *path, struct dr_conf_agent *out,
					   struct dr_conf_problems *problems);
/* out: from dr_conf_spec_new(). */
DR_MUST_USE enum dr_err dr_conf_read_spec(const char *path, struct dr_spec *out,
					  struct dr_conf_problems *problems);
/* The same from bytes; file names them in problems, and its folder is where relative paths start. */
DR_MUST_USE enum dr_err dr_conf_parse_coordinator(const char *file, const void *text, size_t len,
						  struct dr_conf_coordinator *out,
						  struct dr_conf_problems *problems);
DR_MUST_USE enum dr_err dr_conf_parse_agent(const char *file, const void *text, size_t len,
					    struct dr_conf_agent *out, struct dr_conf_problems *problems);
DR_MUST_USE enum dr_err dr_conf_parse_spec(const char *file, const void *text, size_t len,
					   struct dr_spec *out, struct dr_conf_problems *problems);

/* A node file against the spec of its cluster: names, sites, members, addresses, and the inequalities with the
 * node's own election timeout.  Adds to *problems, which the read of the node file filled. */
void dr_conf_cross_coordinator(const struct dr_spec *spec, const struct dr_conf_coordinator *c,
			       struct dr_conf_problems *problems);
void dr_conf_cross_agent(const struct dr_spec *spec, const struct dr_conf_agent *a,
			 struct dr_conf_problems *problems);

/* Which of the three a text is, by its top-level keys; UNKNOWN when it fits none or several. */
enum dr_conf_kind dr_conf_detect(const void *text, size_t len);

/* The whole spec as YAML in one fixed form: every key of the table in the table's order, defaults too. */
void dr_conf_spec_print(const struct dr_spec *spec, struct dr_buf *out);

/* All keys as Markdown (docs/configuration.md) and as plain text (drcoordctl help config). */
void dr_conf_docs(struct dr_buf *out, bool markdown);

#endif
