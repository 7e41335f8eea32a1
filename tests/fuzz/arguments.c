/* arguments.c -- the command line of drcoordctl: what was understood, written out again, is understood alike. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "fuzz.h"

static char said[DR_ERROR_MSG_MAX];

/* In the place of cli/main.c, which prints them. */
enum dr_exit dr_say_usage(const struct dr_cli *c, const char *fmt, ...)
{
	va_list ap;
	(void)c;
	va_start(ap, fmt);
	(void)vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
	return DR_EXIT_USAGE;
}

enum dr_exit dr_say_error(const struct dr_cli *c, const struct dr_error *e)
{
	(void)c;
	return dr_exit_of(e->code);
}

static enum dr_exit understand(struct fuzz_line *l, struct dr_cli *c)
{
	said[0] = '\0';
	optind = 0; /* glibc: from the start, with nothing remembered */
	enum dr_exit rv = dr_args_read(c, l->argc, l->argv);
	FUZZ_CHECK((rv == DR_EXIT_OK) == (said[0] == '\0'));
	return rv;
}

static void write_out(struct fuzz_line *l, const struct dr_cli *c)
{
	char text[8192];
	fuzz_line_add(l, "drcoordctl");
	for (int i = 0; i < DR_OPTION_COUNT; i++) {
		if (c->option[i] == NULL)
			continue;
		(void)snprintf(text, sizeof(text), "--%s%s%s", dr_options[i].word,
			       dr_options[i].argument != NULL ? "=" : "", c->option[i]);
		fuzz_line_add(l, text);
	}
	fuzz_line_add(l, "--");
	for (const char *s = c->verb->words; *s != '\0'; s += strspn(s, " ")) {
		size_t len = strcspn(s, " ");
		(void)snprintf(text, sizeof(text), "%.*s", (int)len, s);
		fuzz_line_add(l, text);
		s += len;
	}
	for (unsigned i = 0; i < c->arguments; i++)
		fuzz_line_add(l, c->argument[i]);
}

static void check_alike(const struct dr_cli *a, const struct dr_cli *b)
{
	struct dr_word w;
	FUZZ_CHECK(a->verb == b->verb && a->arguments == b->arguments);
	FUZZ_CHECK(a->json == b->json && a->timeout_ms == b->timeout_ms);
	for (int i = 0; i < DR_OPTION_COUNT; i++) {
		FUZZ_CHECK((a->option[i] == NULL) == (b->option[i] == NULL));
		FUZZ_CHECK(a->option[i] == NULL || strcmp(a->option[i], b->option[i]) == 0);
	}
	for (unsigned i = 0; i < a->arguments; i++)
		FUZZ_CHECK(strcmp(a->argument[i], b->argument[i]) == 0);
	for (unsigned i = 0; dr_verb_word(a->verb, i, &w); i++) {
		const char *x = dr_argument(a, w.text), *y = dr_argument(b, w.text);
		FUZZ_CHECK(x == NULL || y == NULL ? x == y : strcmp(x, y) == 0);
		FUZZ_CHECK(x != NULL || w.optional || a->option[DR_OPTION_HELP] != NULL);
	}
}

void fuzz_arguments(const uint8_t *p, size_t n)
{
	struct fuzz_line given, again = { 0 };
	struct dr_cli c, back;
	fuzz_line_of(&given, "drcoordctl", p, n);
	if (understand(&given, &c) == DR_EXIT_OK && c.verb != NULL) {
		write_out(&again, &c);
		FUZZ_CHECK(understand(&again, &back) == DR_EXIT_OK);
		check_alike(&c, &back);
	}
	fuzz_line_end(&given);
	fuzz_line_end(&again);
}
