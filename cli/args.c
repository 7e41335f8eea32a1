/* args.c -- one command line into struct dr_cli, by the tables. */
#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/parse.h"
#include "cli/cli.h"

enum { LONG_BASE = 256, TIMEOUT_MS = 10000, TIMEOUT_MAX_MS = 24 * 3600 * 1000 };

/* ---- arguments of a verb ---- */

bool dr_verb_word(const struct dr_verb *v, unsigned n, struct dr_word *out)
{
	const char *s = v->arguments;
	for (; n > 0 && *s != '\0'; n--) {
		s += strcspn(s, " ");
		s += strspn(s, " ");
	}
	size_t len = strcspn(s, " ");
	if (len == 0 || len >= sizeof(out->text))
		return false;
	memset(out, 0, sizeof(*out));
	out->optional = s[0] == '[';
	size_t k = 0;
	for (size_t i = 0; i < len; i++) {
		if (isupper((unsigned char)s[i]) || s[i] == '_')
			out->text[k++] = s[i];
		else if (s[i] == '.')
			out->several = true;
	}
	return true;
}

const char *dr_argument(const struct dr_cli *c, const char *word)
{
	struct dr_word w;
	for (unsigned n = 0; dr_verb_word(c->verb, n, &w); n++) {
		if (strcmp(w.text, word) == 0)
			return n < c->arguments ? c->argument[n] : NULL;
	}
	return NULL;
}

/* ---- options ---- */

static void getopt_tables(struct option longs[DR_OPTION_COUNT + 1], char shorts[2 * DR_OPTION_COUNT + 3])
{
	size_t at = 0;
	shorts[at++] = ':'; /* a missing value is told from an unknown option */
	for (int i = 0; i < DR_OPTION_COUNT; i++) {
		int wants = dr_options[i].argument != NULL ? required_argument : no_argument;
		longs[i] = (struct option){ dr_options[i].word, wants, NULL, LONG_BASE + i };
		if (dr_options[i].letter == 0)
			continue;
		shorts[at++] = dr_options[i].letter;
		if (wants == required_argument)
			shorts[at++] = ':';
	}
	shorts[at] = '\0';
	longs[DR_OPTION_COUNT] = (struct option){ 0 };
}

static int option_of(int got)
{
	if (got >= LONG_BASE)
		return got - LONG_BASE;
	for (int i = 0; i < DR_OPTION_COUNT; i++) {
		if (dr_options[i].letter != 0 && dr_options[i].letter == got)
			return i;
	}
	return -1;
}

static enum dr_exit unknown_option(struct dr_cli *c, const char *text)
{
	if (optopt > 0 && optopt < LONG_BASE) /* perhaps one of several letters: the word may come later */
		return dr_say_usage(c, "there is no option -%c", isprint(optopt) ? optopt : '?');
	char word[64] = "";
	const char *from = text + strspn(text, "-");
	(void)dr_copy_text(word, sizeof(word), from);
	word[strcspn(word, "=")] = '\0';
	struct dr_nearest near = dr_nearest_to(word);
	for (int i = 0; i < DR_OPTION_COUNT; i++)
		dr_nearest_try(&near, dr_options[i].word);
	const char *meant = dr_nearest_found(&near);
	if (meant != NULL)
		return dr_say_usage(c, "there is no option %s; did you mean --%s?", text, meant);
	return dr_say_usage(c, "there is no option %s", text);
}

static enum dr_exit read_options(struct dr_cli *c, int argc, char **argv)
{
	struct option longs[DR_OPTION_COUNT + 1];
	char shorts[2 * DR_OPTION_COUNT + 3];
	getopt_tables(longs, shorts);
	opterr = 0;
	for (int got; (got = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
		int i = option_of(got);
		if (got == ':')
			return dr_say_usage(c, "option %s needs a value", argv[optind - 1]);
		if (got == '?' || i < 0)
			return unknown_option(c, argv[optind - 1]);
		if (c->option[i] != NULL)
			return dr_say_usage(c, "option --%s is given twice", dr_options[i].word);
		c->option[i] = optarg != NULL ? optarg : "";
	}
	for (int i = 0; i < DR_OPTION_COUNT; i++) {
		const char *name = dr_options[i].environment;
		const char *value = name != NULL ? getenv(name) : NULL;
		if (c->option[i] == NULL && value != NULL && value[0] != '\0')
			c->option[i] = value;
	}
	return DR_EXIT_OK;
}

static enum dr_exit read_common(struct dr_cli *c)
{
	const char *output = c->option[DR_OPTION_OUTPUT];
	const char *timeout = c->option[DR_OPTION_TIMEOUT];
	uint64_t ms = TIMEOUT_MS;
	c->yaml = output != NULL && strcmp(output, "yaml") == 0;
	c->json = c->yaml || (output != NULL && strcmp(output, "json") == 0);
	if (output != NULL && !c->json && strcmp(output, "table") != 0)
		return dr_say_usage(c, "--output %s: expected table, json or yaml", output);
	if (timeout != NULL &&
	    (dr_parse_duration_ms(timeout, &ms) != DR_OK || ms == 0 || ms > TIMEOUT_MAX_MS))
		return dr_say_usage(c, "--timeout %s: expected a duration as in 500ms, 10s; at most 24h", timeout);
	c->timeout_ms = (uint32_t)ms;
	return DR_EXIT_OK;
}

/* ---- the verb ---- */

/* How many of the arguments a verb's words are, all of them matching; 0: another verb. */
static int words_match(const struct dr_verb *v, int n, char **args)
{
	const char *s = v->words;
	int k = 0;
	while (*s != '\0') {
		size_t len = strcspn(s, " ");
		if (k == n || strlen(args[k]) != len || strncmp(args[k], s, len) != 0)
			return 0;
		k++;
		s += len;
		s += strspn(s, " ");
	}
	return k;
}

static enum dr_exit unknown_verb(struct dr_cli *c, int n, char **args)
{
	char two[2 * DR_NAME_MAX];
	(void)snprintf(two, sizeof(two), "%.40s%s%.40s", args[0], n > 1 ? " " : "", n > 1 ? args[1] : "");
	struct dr_nearest one_word = dr_nearest_to(args[0]), both = dr_nearest_to(two);
	const char *said = args[0];
	for (int i = 0; i < DR_VERB_COUNT; i++) {
		dr_nearest_try(&one_word, dr_verbs[i].words);
		dr_nearest_try(&both, dr_verbs[i].words);
		/* "node", "pki": the first half of several verbs. */
		size_t len = strlen(args[0]);
		if (strncmp(dr_verbs[i].words, args[0], len) != 0 || dr_verbs[i].words[len] != ' ')
			continue;
		said = two;
		if (n < 2)
			return dr_say_usage(c, "%s what? see \"drcoordctl --help\"; did you mean \"%s\"?",
					    args[0], dr_verbs[i].words);
	}
	const char *meant =
	    dr_nearest_found(&both) != NULL ? dr_nearest_found(&both) : dr_nearest_found(&one_word);
	if (meant != NULL)
		return dr_say_usage(c, "there is no verb \"%s\"; did you mean \"%s\"?", said, meant);
	return dr_say_usage(c, "there is no verb \"%s\"; see \"drcoordctl --help\"", said);
}

static enum dr_exit check_arguments(struct dr_cli *c)
{
	struct dr_word w;
	unsigned n = 0;
	bool several = false;
	for (; dr_verb_word(c->verb, n, &w); n++) {
		several = several || w.several;
		if (n >= c->arguments && !w.optional)
			return dr_say_usage(c, "%s is missing; usage: drcoordctl %s %s", w.text,
					    c->verb->words, c->verb->arguments);
	}
	if (c->arguments > n && !several)
		return dr_say_usage(c, "\"%s\" is one argument too many; usage: drcoordctl %s%s%s", c->argument[n],
				    c->verb->words, c->verb->arguments[0] != '\0' ? " " : "", c->verb->arguments);
	for (int i = 0; i < DR_OPTION_COUNT; i++) {
		bool takes = dr_options[i].every || (c->verb->options >> i & 1u) != 0;
		if (c->option[i] != NULL && !takes)
			return dr_say_usage(c, "\"%s\" takes no option --%s", c->verb->words,
					    dr_options[i].word);
	}
	return DR_EXIT_OK;
}

static enum dr_exit read_verb(struct dr_cli *c, int n, char **args)
{
	int longest = 0;
	for (int i = 0; i < DR_VERB_COUNT; i++) {
		int k = words_match(&dr_verbs[i], n, args);
		if (k > longest) {
			longest = k;
			c->verb = &dr_verbs[i];
		}
	}
	if (c->verb == NULL)
		return unknown_verb(c, n, args);
	if (n - longest > DR_ARGUMENTS_MAX)
		return dr_say_usage(c, "more than %d arguments", DR_ARGUMENTS_MAX);
	for (int i = longest; i < n; i++)
		c->argument[c->arguments++] = args[i];
	if (c->option[DR_OPTION_HELP] != NULL)
		return DR_EXIT_OK;
	return check_arguments(c);
}

enum dr_exit dr_args_read(struct dr_cli *c, int argc, char **argv)
{
	memset(c, 0, sizeof(*c));
	enum dr_exit rv = read_options(c, argc, argv);
	if (rv == DR_EXIT_OK)
		rv = read_common(c);
	if (rv == DR_EXIT_OK && optind < argc)
		rv = read_verb(c, argc - optind, argv + optind);
	return rv;
}
