/* daemons.c -- the command lines of drcoordd, drcoord-agent and drcoord-guard: what was understood, written out again, is
 * understood alike, and holds what the programs rely on. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "agent/guard/args.h"
#include "agent/shell/args.h"
#include "base/limits.h"
#include "base/mem.h"
#include "coord/shell/args.h"
#include "fuzz.h"

static void begin(void)
{
	optind = 0; /* glibc: from the start, with nothing remembered */
	opterr = 0;
}

/* "--word=value", or two arguments. */
static void add_value(struct fuzz_line *l, const char *word, const char *value, bool one)
{
	size_t cap = strlen(word) + strlen(value) + 2;
	char *text = dr_xcalloc(cap);
	(void)snprintf(text, cap, "%s%s%s", word, one ? "=" : "", one ? value : "");
	fuzz_line_add(l, text);
	if (!one)
		fuzz_line_add(l, value);
	dr_free(text);
}

static void coordinator(struct fuzz_line *given)
{
	struct dr_coord_args a, b;
	struct fuzz_line again = { 0 };
	begin();
	if (!dr_coord_args_read(&a, given->argc, given->argv) || a.help || a.version)
		return;
	FUZZ_CHECK(a.config != NULL);
	FUZZ_CHECK(a.bootstrap + a.join + a.recover <= 1);
	FUZZ_CHECK(a.recover || (!a.yes && !a.offline));
	const struct {
		bool on;
		const char *word;
	} words[] = { { true, "drcoordd" }, { a.bootstrap, "--bootstrap" }, { a.join, "--join" }, { a.recover, "--recover" },
		      { a.yes, "--yes-a-majority-is-gone" }, { a.offline, "--offline" } };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (words[i].on)
			fuzz_line_add(&again, words[i].word);
	}
	add_value(&again, "--config", a.config, true);
	begin();
	FUZZ_CHECK(dr_coord_args_read(&b, again.argc, again.argv));
	FUZZ_CHECK(strcmp(a.config, b.config) == 0 && !b.help);
	FUZZ_CHECK(a.bootstrap == b.bootstrap && a.join == b.join && a.recover == b.recover);
	FUZZ_CHECK(a.yes == b.yes && a.offline == b.offline);
	fuzz_line_end(&again);
}

static void agent(struct fuzz_line *given)
{
	struct dr_agent_args a, b;
	struct fuzz_line again = { 0 };
	begin();
	if (!dr_agent_args_read(&a, given->argc, given->argv) || a.help || a.version)
		return;
	FUZZ_CHECK(a.config != NULL);
	fuzz_line_add(&again, "drcoord-agent");
	add_value(&again, "--config", a.config, false);
	begin();
	FUZZ_CHECK(dr_agent_args_read(&b, again.argc, again.argv) && !b.help);
	FUZZ_CHECK(strcmp(a.config, b.config) == 0);
	fuzz_line_end(&again);
}

static void guard(struct fuzz_line *given)
{
	struct dr_guard_args a, b;
	struct fuzz_line again = { 0 };
	char pid[16];
	if (!dr_guard_args_read(&a, given->argc, given->argv))
		return;
	FUZZ_CHECK(a.config != NULL && a.adopt >= 0);
	FUZZ_CHECK(a.agent == NULL || strlen(a.agent) < DR_PATH_MAX);
	fuzz_line_add(&again, "drcoord-guard");
	add_value(&again, "--config", a.config, false);
	if (a.agent != NULL)
		add_value(&again, "--agent", a.agent, false);
	(void)snprintf(pid, sizeof(pid), "%d", a.adopt);
	if (a.adopt != 0)
		add_value(&again, "--adopt", pid, false);
	FUZZ_CHECK(dr_guard_args_read(&b, again.argc, again.argv));
	FUZZ_CHECK(strcmp(a.config, b.config) == 0 && a.adopt == b.adopt);
	FUZZ_CHECK(a.agent == NULL ? b.agent == NULL : b.agent != NULL && strcmp(a.agent, b.agent) == 0);
	fuzz_line_end(&again);
}

void fuzz_daemons(const uint8_t *p, size_t n)
{
	struct fuzz_line given;
	uint8_t which = fuzz_first(&p, &n) % 3;
	fuzz_line_of(&given, which == 0 ? "drcoordd" : which == 1 ? "drcoord-agent" : "drcoord-guard", p, n);
	if (which == 0)
		coordinator(&given);
	else if (which == 1)
		agent(&given);
	else
		guard(&given);
	fuzz_line_end(&given);
}
