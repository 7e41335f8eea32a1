/* answers.c -- what drcoordctl shows of an answer's JSON: whatever stands there, no escape gets to a terminal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/out.h"
#include "fuzz.h"

/* ---- in the place of cli/client.c: a coordinator that answers with the input ---- */

static char *answer;

enum dr_err dr_client_open(struct dr_client **out, const struct dr_cli *c, struct dr_error *e)
{
	(void)c;
	(void)e;
	*out = NULL;
	return DR_OK;
}

void dr_client_close(struct dr_client *cl)
{
	(void)cl;
}

void dr_client_limit(struct dr_client *cl, uint32_t call_ms)
{
	(void)cl;
	(void)call_ms;
}

enum dr_err dr_client_call(struct dr_client *cl, const struct dr_client_request *r,
			   struct dr_client_response *a, struct dr_error *e)
{
	(void)cl;
	(void)e;
	*a = (struct dr_client_response){ .id = r->id, .code = DR_OK };
	if (answer[0] != '\0')
		a->json = dr_xstrdup(answer);
	return DR_OK;
}

/* Each line is an answer. */
enum dr_err dr_client_stream(struct dr_client *cl, struct dr_client_request *r, uint32_t patience_ms,
			     dr_client_each_fn *each, void *ctx, struct dr_error *e)
{
	bool more = true;
	(void)cl;
	(void)patience_ms;
	(void)e;
	for (char *line = answer; more && line != NULL;) {
		struct dr_client_response a = { .id = r->id };
		char *nl = strchr(line, '\n');
		if (nl != NULL)
			*nl = '\0';
		a.json = *line != '\0' ? line : NULL;
		more = each(ctx, r, &a);
		line = nl != NULL ? nl + 1 : NULL;
	}
	return DR_OK;
}

/* ---- what gets to the terminal ---- */

/* One line or several of UTF-8: without control characters, and without those that turn the direction. */
static void check_shown(const char *s, size_t n)
{
	static const char *const turns[] = { "\xe2\x80\xa8", "\xe2\x80\xaa", "\xe2\x80\xae", "\xe2\x81\xa6",
					     "\xe2\x81\xa9" };
	FUZZ_CHECK(strlen(s) == n);
	FUZZ_CHECK(dr_out_is_utf8(s));
	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++)
		FUZZ_CHECK(strstr(s, turns[i]) == NULL);
	for (const unsigned char *p = (const unsigned char *)s; *p != '\0'; p++) {
		FUZZ_CHECK(*p >= ' ' || *p == '\n');
		FUZZ_CHECK(*p != 0x7f && !(p[0] == 0xc2 && p[1] < 0xa0));
	}
}

/* Run it with both streams caught. */
static void run_caught(struct dr_cli *c)
{
	char *text[2] = { NULL, NULL };
	size_t len[2] = { 0, 0 };
	FILE *out = stdout, *err = stderr;
	stdout = open_memstream(&text[0], &len[0]);
	stderr = open_memstream(&text[1], &len[1]);
	FUZZ_CHECK(stdout != NULL && stderr != NULL);
	(void)c->verb->run(c);
	(void)fclose(stdout);
	(void)fclose(stderr);
	stdout = out;
	stderr = err;
	/* With -o json the answer goes on as it came: to programs. */
	if (!c->json)
		check_shown(text[0], len[0]);
	check_shown(text[1], len[1]);
	free(text[0]);
	free(text[1]);
}

void fuzz_answers(const uint8_t *p, size_t n)
{
	static const enum dr_verb_id verbs[] = { DR_VERB_STATUS, DR_VERB_EXPLAIN, DR_VERB_WATCH,
						 DR_VERB_NODE_LIST, DR_VERB_PAUSE };
	struct dr_cli c = { .timeout_ms = 1000 };
	uint8_t how = fuzz_first(&p, &n);
	FUZZ_CHECK(setenv("NO_COLOR", "1", 1) == 0);
	c.verb = &dr_verbs[verbs[how % (sizeof(verbs) / sizeof(verbs[0]))]];
	c.json = how / 8 % 2 == 1;
	c.argument[0] = "orders";
	c.arguments = c.verb == &dr_verbs[DR_VERB_NODE_LIST] || how / 16 % 2 == 1 ? 0 : 1;
	answer = fuzz_text(p, n);
	run_caught(&c);
	dr_free(answer);
}
