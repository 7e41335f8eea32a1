/* help.c -- help, man page and completion, all from the tables. */
#include <string.h>

#include "cli/cli.h"
#include "conf/conf.h"

static const char *role_text(enum dr_peer_kind role)
{
	return role == DR_PEER_NONE ? "no coordinator is asked" : dr_peer_kind_name(role);
}

static void option_usage(const struct dr_option *o, char dst[64])
{
	char letter[8] = "";
	if (o->letter != 0)
		(void)snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	(void)snprintf(dst, 64, "%s--%s%s%s", letter, o->word, o->argument != NULL ? " " : "",
		       o->argument != NULL ? o->argument : "");
}

static void print_option(const struct dr_option *o, FILE *to)
{
	char usage[64];
	option_usage(o, usage);
	(void)fprintf(to, "  %-28s %s%s%s%s\n", usage, o->help, o->environment != NULL ? " (or $" : "",
		      o->environment != NULL ? o->environment : "", o->environment != NULL ? ")" : "");
}

void dr_help_verb(const struct dr_verb *v, FILE *to)
{
	(void)fprintf(to, "drcoordctl %s%s%s%s\n\n%s.\nRole: %s.\n", v->words,
		      v->arguments[0] != '\0' ? " " : "", v->arguments, v->options != 0 ? " [OPTION...]" : "",
		      v->help, role_text(v->role));
	if (v->options != 0)
		(void)fprintf(to, "\nOptions:\n");
	for (int i = 0; i < DR_OPTION_COUNT; i++) {
		if ((v->options >> i & 1u) != 0)
			print_option(&dr_options[i], to);
	}
	(void)fprintf(to, "\nSee \"drcoordctl --help\" for the options that every verb takes.\n");
}

static void print_exits(FILE *to)
{
	for (unsigned i = 0; i < dr_exits_count; i++)
		(void)fprintf(to, "  %d  %s\n", dr_exits[i].number, dr_exits[i].help);
}

void dr_help_all(FILE *to)
{
	(void)fprintf(
	    to, "drcoordctl VERB [ARGUMENT...] [OPTION...]: see and steer a drcoord cluster.\n\nVerbs:\n");
	for (int i = 0; i < DR_VERB_COUNT; i++) {
		char usage[64];
		(void)snprintf(usage, sizeof(usage), "%s %s", dr_verbs[i].words, dr_verbs[i].arguments);
		(void)fprintf(to, "  %-28s %s\n", usage, dr_verbs[i].help);
	}
	(void)fprintf(to, "\nOptions of every verb (\"drcoordctl VERB --help\" says the others):\n");
	for (int i = 0; i < DR_OPTION_COUNT; i++) {
		if (dr_options[i].every)
			print_option(&dr_options[i], to);
	}
	(void)fprintf(to, "\nExit codes:\n");
	print_exits(to);
}

/* ---- man page ---- */

/* roff takes a leading dot or quote for a request, and a dash for a hyphen. */
static void roff(const char *s, FILE *to)
{
	for (; *s != '\0'; s++) {
		if (*s == '-' || *s == '\\')
			(void)fputc('\\', to);
		(void)fputc(*s, to);
		if (*s == '\\')
			(void)fputc('e', to);
	}
}

static void man_option(const struct dr_option *o, FILE *to)
{
	char usage[64];
	option_usage(o, usage);
	(void)fprintf(to, ".TP\n.B ");
	roff(usage, to);
	(void)fprintf(to, "\n");
	roff(o->help, to);
	if (o->environment != NULL)
		(void)fprintf(to, "; else the environment variable %s", o->environment);
	(void)fprintf(to, ".\n");
}

static void man_verb(const struct dr_verb *v, FILE *to)
{
	(void)fprintf(to, ".SS ");
	roff(v->words, to);
	(void)fprintf(to, " %s\n", v->arguments);
	roff(v->help, to);
	(void)fprintf(to, ".\nRole: %s.\n", role_text(v->role));
	for (int i = 0; i < DR_OPTION_COUNT; i++) {
		if ((v->options >> i & 1u) != 0)
			man_option(&dr_options[i], to);
	}
}

static void print_man(FILE *to)
{
	(void)fprintf(to, ".\\\" Made from the tables of cli/ by \"drcoordctl help man\"; do not edit.\n"
			  ".TH DRCOORDCTL 1 \"\" \"drcoord\" \"drcoord\"\n.SH NAME\n"
			  "drcoordctl \\- see and steer a drcoord cluster\n.SH SYNOPSIS\n"
			  ".B drcoordctl\nVERB [ARGUMENT...] [OPTION...]\n.SH VERBS\n");
	for (int i = 0; i < DR_VERB_COUNT; i++)
		man_verb(&dr_verbs[i], to);
	(void)fprintf(to, ".SH OPTIONS\nEvery verb takes these.\n");
	for (int i = 0; i < DR_OPTION_COUNT; i++) {
		if (dr_options[i].every)
			man_option(&dr_options[i], to);
	}
	(void)fprintf(to, ".SH EXIT STATUS\n");
	for (unsigned i = 0; i < dr_exits_count; i++)
		(void)fprintf(to, ".TP\n.B %d\n%s.\n", dr_exits[i].number, dr_exits[i].help);
}

/* ---- completion ---- */

/* A word for each level: "service" is offered once though two verbs begin with it. */
static void print_first_words(FILE *to)
{
	char last[32] = "";
	for (int i = 0; i < DR_VERB_COUNT; i++) {
		int len = (int)strcspn(dr_verbs[i].words, " ");
		if (strncmp(last, dr_verbs[i].words, (size_t)len) == 0 && last[len] == '\0')
			continue;
		(void)snprintf(last, sizeof(last), "%.*s", len, dr_verbs[i].words);
		(void)fprintf(to, "%s%s", i > 0 ? " " : "", last);
	}
}

static void print_case(const struct dr_verb *v, FILE *to)
{
	(void)fprintf(to, "\t\"%s\") words=\"", v->words);
	bool any = false;
	for (int i = 0; i < DR_OPTION_COUNT; i++) {
		if ((v->options >> i & 1u) == 0)
			continue;
		(void)fprintf(to, "%s--%s", any ? " " : "", dr_options[i].word);
		any = true;
	}
	(void)fprintf(to, "\" ;;\n");
}

static void print_completion(FILE *to)
{
	(void)fprintf(to, "# Made from the tables of cli/ by \"drcoordctl help completion\"; do not edit.\n"
			  "_drcoordctl()\n{\n"
			  "\tlocal word=\"${COMP_WORDS[COMP_CWORD]}\" verb=\"${COMP_WORDS[1]}\" words=\"\"\n"
			  "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\twords=\"");
	print_first_words(to);
	(void)fprintf(to, "\"\n\telif [ \"$COMP_CWORD\" -eq 2 ]; then\n\t\tcase \"$verb\" in\n");
	for (int i = 0; i < DR_VERB_COUNT; i++) {
		const char *space = strchr(dr_verbs[i].words, ' ');
		if (space == NULL)
			continue;
		int len = (int)(space - dr_verbs[i].words);
		(void)fprintf(to, "\t\t%.*s) words=\"$words %s\" ;;&\n", len, dr_verbs[i].words, space + 1);
	}
	(void)fprintf(to,
		      "\t\tesac\n\tfi\n"
		      "\tif [ -n \"$words\" ]; then\n"
		      "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n\t\treturn\n\tfi\n"
		      "\tcase \"$verb\" in service | node | pki) verb=\"$verb ${COMP_WORDS[2]}\" ;; esac\n"
		      "\tcase \"$verb\" in\n");
	for (int i = 0; i < DR_VERB_COUNT; i++)
		print_case(&dr_verbs[i], to);
	(void)fprintf(to, "\tesac\n\twords=\"$words");
	for (int i = 0; i < DR_OPTION_COUNT; i++) {
		if (dr_options[i].every)
			(void)fprintf(to, " --%s", dr_options[i].word);
	}
	(void)fprintf(to, "\"\n\tcase \"$word\" in\n"
			  "\t-*) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\") ;;\n"
			  "\t*) mapfile -t COMPREPLY < <(compgen -f -- \"$word\") ;;\n\tesac\n}\n"
			  "complete -F _drcoordctl drcoordctl\n");
}

/* ---- the verb "help" ---- */

static void print_config(bool markdown, FILE *to)
{
	struct dr_buf b;
	dr_buf_init(&b, 1 << 20);
	dr_conf_docs(&b, markdown);
	(void)fwrite(b.data, 1, b.len, to);
	dr_buf_close(&b);
}

static const struct dr_verb *verb_named(const struct dr_cli *c)
{
	char words[128];
	(void)snprintf(words, sizeof(words), "%s%s%s", c->argument[0], c->arguments > 1 ? " " : "",
		       c->arguments > 1 ? c->argument[1] : "");
	for (int i = 0; i < DR_VERB_COUNT; i++) {
		if (strcmp(dr_verbs[i].words, words) == 0)
			return &dr_verbs[i];
	}
	return NULL;
}

enum dr_exit dr_verb_help(struct dr_cli *c)
{
	if (c->arguments == 0) {
		dr_help_all(stdout);
		return DR_EXIT_OK;
	}
	const struct dr_verb *v = verb_named(c);
	const char *topic = c->argument[0];
	if (v != NULL)
		dr_help_verb(v, stdout);
	else if (strcmp(topic, "config") == 0)
		print_config(c->option[DR_OPTION_MARKDOWN] != NULL, stdout);
	else if (strcmp(topic, "exits") == 0)
		print_exits(stdout);
	else if (strcmp(topic, "man") == 0)
		print_man(stdout);
	else if (strcmp(topic, "completion") == 0)
		print_completion(stdout);
	else
		return dr_say_usage(
		    c, "there is no help about \"%s\"; topics are the verbs, config, exits, man, completion",
		    topic);
	return DR_EXIT_OK;
}

enum dr_exit dr_verb_version(struct dr_cli *c)
{
	if (c->json)
		(void)printf("{\"version\":\"%s\"}\n", DR_VERSION);
	else
		(void)printf("drcoordctl %s\n", DR_VERSION);
	return DR_EXIT_OK;
}
