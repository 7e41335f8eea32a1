/* run.h -- a command of the operator's, carried out by a thread that may block, with an end in any case.
 *
 * No shell: the command is words between blanks, without quoting.  The first word names a program in one folder that the
 * node file allows, and that nobody but root and our own user may change (sys/trust.h); a word with a blank, or a pipe, wants
 * a script there.  stdin is empty, the environment is what the
 * caller gives and a PATH, the program runs in a session of its own, and when its time is over the whole session's
 * group is killed.  Nothing here keeps state; any thread. */
#ifndef DR_ADAPTERS_RUN_H
#define DR_ADAPTERS_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { DR_RUN_WORDS_MAX = 24, DR_RUN_ENV_MAX = 24, DR_RUN_ENV_TEXT = 320, DR_RUN_SAID_MAX = 160 };

/* The environment of a command: names and values, bounded.  All zero is empty. */
struct dr_run_env {
	unsigned n;
	char text[DR_RUN_ENV_MAX][DR_RUN_ENV_TEXT];
};
/* Past the bounds a variable is left out. */
void dr_run_env_put(struct dr_run_env *env, const char *name, const char *fmt, ...) DR_PRINTF(3, 4);

struct dr_run {
	const char *folder;  /* programs may be run from here only; "": none may */
	const char *command;
	const struct dr_run_env *env;
	uint64_t until_ms;   /* CLOCK_BOOTTIME: killed then */
	bool (*goes_on)(void *ctx); /* asked every 20 ms; false: killed now.  NULL: always */
	void *ctx;
};

/* OK: it ended with exit code 0.  FAILED: with another one, or by a signal.  REFUSED, NOT_FOUND, INVALID: it was not begun.
 * TIMEOUT, CANCELLED: it was killed.  said (DR_RUN_SAID_MAX bytes, may be NULL): the first line of its output.  That is for
 * the log of this host: a message may go to the record of all coordinators, and what a program prints may be a secret. */
DR_MUST_USE enum dr_err dr_run_command(const struct dr_run *r, char *said, struct dr_error *e);

/* Whether all programs in a folder would be begun, as far as their owners and modes say: the error names the first that would
 * not, or the folder, and what to do.  It blocks as readdir(3) and stat(2) do; of many files the first ones are looked at. */
DR_MUST_USE enum dr_err dr_run_look(const char *folder, struct dr_error *e);

#endif
