/* change.c -- verbs that are one request and one answer; the request comes from the row of verbs.def. */
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/parse.h"
#include "cli/client.h"
#include "cli/out.h"
#include "sys/clock.h"

enum { PAUSE_MS = 3600 * 1000, PAUSE_MAX_HOURS = 30 * 24 };

/* ---- the request ---- */

static enum dr_exit set_name(struct dr_cli *c, const char *what, const char *text, struct dr_name *out)
{
	if (text == NULL || dr_name_set(out, text))
		return DR_EXIT_OK;
	return dr_say_usage(c, "%s \"%s\" is no name: expected a-z, 0-9 and '-'", what, text);
}

static enum dr_exit set_number(struct dr_cli *c, const char *what, const char *text, uint64_t *out)
{
	if (text == NULL || dr_parse_u64(text, 0, UINT64_MAX, out) == DR_OK)
		return DR_EXIT_OK;
	return dr_say_usage(c, "%s \"%s\" is no whole number", what, text);
}

static enum dr_exit set_until(struct dr_cli *c, struct dr_client_request *r)
{
	const char *text = c->option[DR_OPTION_FOR];
	uint64_t ms = PAUSE_MS;
	if (text != NULL && dr_parse_duration_ms(text, &ms) != DR_OK)
		return dr_say_usage(c, "--for %s: expected a duration as in 30m, 2h", text);
	/* A pause that never ends is one that somebody forgot. */
	if (ms == 0 || ms > (uint64_t)PAUSE_MAX_HOURS * PAUSE_MS)
		return dr_say_usage(c, "--for %s: expected more than 0s and at most %dh (30 days)", text,
				    PAUSE_MAX_HOURS);
	r->until_wall_ms = dr_clock_wall_ms() + ms;
	return DR_EXIT_OK;
}

static enum dr_exit set_names(struct dr_cli *c, struct dr_client_request *r)
{
	const struct {
		const char *what, *text;
		struct dr_name *out;
	} all[] = {
		{ "service", dr_argument(c, "SERVICE"), &r->service }, { "service", c->option[DR_OPTION_SERVICE], &r->service },
		{ "member", c->option[DR_OPTION_TO], &r->member },     { "member", dr_argument(c, "MEMBER"), &r->member },
		{ "name", dr_argument(c, "NAME"), &r->name },	       { "site", c->option[DR_OPTION_SITE], &r->site },
	};
	enum dr_exit rv = DR_EXIT_OK;
	for (size_t i = 0; rv == DR_EXIT_OK && i < sizeof(all) / sizeof(all[0]); i++)
		rv = set_name(c, all[i].what, all[i].text, all[i].out);
	return rv;
}

static enum dr_exit set_numbers(struct dr_cli *c, struct dr_client_request *r)
{
	const struct {
		const char *what, *text;
		uint64_t *out;
	} all[] = {
		{ "plan", dr_argument(c, "PLAN"), &r->plan },
		{ "--from", c->option[DR_OPTION_FROM], &r->from },
		{ "--id", c->option[DR_OPTION_ID], &r->raft_id },
		{ "--if-version", c->option[DR_OPTION_IF_VERSION], &r->version },
	};
	enum dr_exit rv = DR_EXIT_OK;
	for (size_t i = 0; rv == DR_EXIT_OK && i < sizeof(all) / sizeof(all[0]); i++)
		rv = set_number(c, all[i].what, all[i].text, all[i].out);
	return rv;
}

enum dr_exit dr_client_request_build(struct dr_cli *c, struct dr_client_request *r)
{
	const char *address = dr_argument(c, "ADDRESS"), *reason = c->option[DR_OPTION_REASON];
	memset(r, 0, sizeof(*r));
	/* 0 and 1 mean something else; bit 0 tells the questions before a change from the change. */
	while (r->id < 4) {
		if (getrandom(&r->id, sizeof(r->id), 0) != (ssize_t)sizeof(r->id))
			r->id = 0;
	}
	(void)dr_copy_text(r->verb, sizeof(r->verb), c->verb->words);
	r->force = c->option[DR_OPTION_FORCE] != NULL;
	r->accept_loss = c->option[DR_OPTION_ACCEPT_LOSS] != NULL;
	r->assert_fenced = c->option[DR_OPTION_ASSERT_FENCED] != NULL;
	if (reason != NULL && !dr_out_is_utf8(reason))
		return dr_say_usage(c, "--reason: expected text in UTF-8");
	if (reason != NULL && !dr_copy_text(r->reason, sizeof(r->reason), reason))
		return dr_say_usage(c, "--reason: expected at most %d bytes", DR_REASON_MAX - 1);
	if (address != NULL && dr_parse_host_port(address, r->address.host, &r->address.port) != DR_OK)
		return dr_say_usage(c, "\"%s\" is no address: expected one as 10.1.0.2:7400", address);
	enum dr_exit rv = set_names(c, r);
	if (rv == DR_EXIT_OK)
		rv = set_numbers(c, r);
	bool waits = c->verb == &dr_verbs[DR_VERB_FAILBACK] && c->option[DR_OPTION_FOR] != NULL;
	if (rv == DR_EXIT_OK && (waits || c->verb == &dr_verbs[DR_VERB_PAUSE]))
		rv = set_until(c, r);
	return rv;
}

/* ---- the answer ---- */

enum dr_exit dr_client_refused(const struct dr_cli *c, const struct dr_client_response *a)
{
	const char *text = a->message[0] != '\0' ? a->message : dr_err_text(a->code);
	if (c->json)
		dr_out_error(a->code, text, a->word, a->override);
	(void)fprintf(stderr, "drcoordctl: %s: ", c->verb->words);
	dr_out_text(text, stderr);
	if (a->word[0] != '\0') {
		(void)fprintf(stderr, " (");
		dr_out_text(a->word, stderr);
		(void)fprintf(stderr, ")");
	}
	(void)fprintf(stderr, "\n");
	if (a->override[0] != '\0') {
		(void)fprintf(stderr, "What would go on nevertheless: ");
		dr_out_text(a->override, stderr);
		(void)fprintf(stderr, "\n");
	}
	return dr_exit_of(a->code);
}

enum dr_exit dr_client_ask(struct dr_cli *c, const struct dr_client_request *r,
			   struct dr_client_response *answer)
{
	struct dr_client *cl = NULL;
	struct dr_error e = { 0 };
	memset(answer, 0, sizeof(*answer));
	enum dr_err rv = dr_client_open(&cl, c, &e);
	if (rv == DR_OK)
		rv = dr_client_call(cl, r, answer, &e);
	dr_client_close(cl);
	if (rv != DR_OK)
		return dr_say_error(c, &e);
	return answer->code != DR_OK ? dr_client_refused(c, answer) : DR_EXIT_OK;
}

/* A change that opened a plan is followed by its number; others by what they answer. */
static void show_value(json_t *v)
{
	json_t *plan = json_object_get(v, "plan");
	if (json_is_integer(plan) && json_integer_value(plan) > 0)
		(void)printf("plan %" JSON_INTEGER_FORMAT "\n", json_integer_value(plan));
	else if (json_is_true(json_object_get(v, "accepted")) ||
		 json_object_size(v) + json_array_size(v) == 0)
		(void)printf("done\n");
	else
		dr_out_json_as_text(v, stdout);
}

static void show(const struct dr_cli *c, const struct dr_client_response *a)
{
	const char *text = a->json != NULL && a->json[0] != '\0' ? a->json : "{}";
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
	if (c->json)
		dr_say_json(c, text);
	else
		show_value(v);
	json_decref(v);
}

/* One service, or all of a site. */
enum dr_exit dr_verb_move(struct dr_cli *c)
{
	bool site = c->option[DR_OPTION_SITE] != NULL;
	bool service = dr_argument(c, "SERVICE") != NULL;
	if (c->verb == &dr_verbs[DR_VERB_FAILBACK] && !site)
		return dr_say_usage(c, "--site is missing; usage: drcoordctl %s --site SITE", c->verb->words);
	if (!site && !service)
		return dr_say_usage(c, "SERVICE is missing; usage: drcoordctl %s SERVICE, or --site SITE for all of a site",
				    c->verb->words);
	if (site && (service || c->option[DR_OPTION_TO] != NULL))
		return dr_say_usage(c, "--site moves all primaries of a site: it takes no %s",
				    service ? "SERVICE" : "--to");
	return dr_verb_change(c);
}

enum dr_exit dr_verb_change(struct dr_cli *c)
{
	struct dr_client_request r;
	struct dr_client_response a = { 0 };
	enum dr_exit rv = dr_client_request_build(c, &r);
	if (rv == DR_EXIT_OK)
		rv = dr_client_ask(c, &r, &a);
	if (rv == DR_EXIT_OK)
		show(c, &a);
	dr_free(a.json);
	return rv;
}
