/* main.c -- drcoordctl: reads the command line and runs its verb. */
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/out.h"

enum dr_exit dr_say_error(const struct dr_cli *c, const struct dr_error *e)
{
	const char *text = e->msg[0] != '\0' ? e->msg : dr_err_text(e->code);
	if (c->json)
		dr_out_error(e->code, text, "", "");
	(void)fprintf(stderr, "drcoordctl: %s%s", c->verb != NULL ? c->verb->words : "",
		      c->verb != NULL ? ": " : "");
	dr_out_text(text, stderr);
	(void)fprintf(stderr, "\n");
	return dr_exit_of(e->code);
}

enum dr_exit dr_say_usage(const struct dr_cli *c, const char *fmt, ...)
{
	char text[DR_ERROR_MSG_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "drcoordctl: %s%s%s\n", c->verb != NULL ? c->verb->words : "",
		      c->verb != NULL ? ": " : "", text);
	return DR_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct dr_cli c;
	/* A pager that was left early must not end us by a signal before the exit code is set. */
	(void)signal(SIGPIPE, SIG_IGN);
	enum dr_exit rv = dr_args_read(&c, argc, argv);
	if (rv == DR_EXIT_OK && c.option[DR_OPTION_VERSION] != NULL) {
		rv = dr_verb_version(&c);
	} else if (rv == DR_EXIT_OK && c.option[DR_OPTION_HELP] != NULL) {
		if (c.verb != NULL)
			dr_help_verb(c.verb, stdout);
		else
			dr_help_all(stdout);
	} else if (rv == DR_EXIT_OK && c.verb == NULL) {
		dr_help_all(stderr);
		rv = DR_EXIT_USAGE;
	} else if (rv == DR_EXIT_OK) {
		rv = c.verb->run(&c);
	}
	if (fflush(stdout) != 0 && rv == DR_EXIT_OK)
		rv = DR_EXIT_FAILED;
	return (int)rv;
}
