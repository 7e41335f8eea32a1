/* watch.c -- the verb "watch": events as they happen, each once, from whichever coordinator lives. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/parse.h"
#include "cli/client.h"
#include "cli/out.h"

enum {
	PATIENCE_MS = 120000,
	END_MS = 1500 /* to ask where the events end: the stream does not wait longer for a leader */
};

struct watch {
	struct dr_cli *cli;
	const char *service; /* NULL: all */
	uint64_t last;       /* index of the last event seen; 0: none yet */
	uint64_t left;       /* events still wanted */
	bool bad;
};

static void print_time(uint64_t wall_ms)
{
	time_t s = (time_t)(wall_ms / 1000);
	struct tm tm;
	char text[32] = "";
	if (localtime_r(&s, &tm) != NULL)
		(void)strftime(text, sizeof(text), "%H:%M:%S", &tm);
	(void)printf("%s.%03u", text, (unsigned)(wall_ms % 1000));
}

/* When, what, and of whom. */
static void print_event_head(const json_t *v)
{
	json_t *wall = json_object_get(v, "wall_ms");
	const char *event = dr_json_text(v, "event");
	bool ill = strstr(event, "incident") != NULL || strstr(event, "asks") != NULL || strstr(event, "left") != NULL;
	bool both = json_object_get(v, "service") != NULL && json_object_get(v, "member") != NULL;
	(void)printf("%s%-6s ", dr_out_code(DR_GREY), dr_json_text(v, "index"));
	print_time(json_is_integer(wall) ? (uint64_t)json_integer_value(wall) : 0);
	(void)printf("%s  %s", dr_out_code(DR_PLAIN), ill ? dr_out_code(DR_YELLOW) : dr_out_code(DR_BOLD));
	dr_out_text(event, stdout);
	(void)printf("%s%*s ", dr_out_code(DR_PLAIN), (int)(strlen(event) < 18 ? 18 - strlen(event) : 0), "");
	dr_out_text(dr_json_text(v, "service"), stdout);
	(void)printf("%s", both ? "/" : "");
	dr_out_text(dr_json_text(v, "member"), stdout);
}

/* The values, but for those that `why` says in words, and what stands in front. */
static void print_event_values(const json_t *v)
{
	static const char *const known[] = { "index", "wall_ms", "event", "service", "member",
					     "text",  "why",     "a",     "b",       "log_index" };
	const char *key;
	json_t *one;
	json_object_foreach((json_t *)(uintptr_t)v, key, one)
	{
		bool said = false;
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			said = said || strcmp(known[i], key) == 0;
		if (said || json_is_null(one))
			continue;
		(void)printf(" ");
		dr_out_text(key, stdout);
		(void)printf("=");
		dr_out_text(dr_json_text(v, key), stdout);
	}
}

/* Why by the rules, and what a person or a server said of it. */
static void print_event_words(const json_t *v)
{
	static const char *const words[] = { "why", "text" };
	const char *before = ": ";
	for (size_t i = 0; i < 2; i++) {
		const char *text = dr_json_text(v, words[i]);
		if (text[0] == '\0')
			continue;
		(void)printf("%s", before);
		dr_out_text(text, stdout);
		before = "; ";
	}
}

static void print_event(const json_t *v)
{
	print_event_head(v);
	print_event_values(v);
	print_event_words(v);
	(void)printf("\n");
}

/* Whether the event is new; what is missing before it is said. */
static bool is_new(struct watch *w, uint64_t index)
{
	if (index <= w->last)
		return false;
	if (w->last != 0 && index > w->last + 1)
		(void)fprintf(stderr, "drcoordctl: events %" PRIu64 " to %" PRIu64 " are not kept any more\n",
			      w->last + 1, index - 1);
	w->last = index;
	return true;
}

static bool each(void *ctx, struct dr_client_request *r, const struct dr_client_response *a)
{
	struct watch *w = ctx;
	json_t *v = json_loads(a->json, 0, NULL);
	json_t *index = json_object_get(v, "index");
	bool go_on = true;
	if (!json_is_integer(index)) {
		w->bad = true;
		go_on = false;
	} else if (is_new(w, (uint64_t)json_integer_value(index))) {
		r->from = w->last + 1;
		bool wanted = w->service == NULL || strcmp(dr_json_text(v, "service"), w->service) == 0;
		if (wanted && w->cli->json)
			dr_say_json(w->cli, a->json);
		else if (wanted)
			print_event(v);
		/* Who reads us sees each event at once; a reader that is gone ends us. */
		go_on = fflush(stdout) == 0 && (!wanted || --w->left > 0);
	}
	json_decref(v);
	return go_on;
}

/* The index of the newest event; false: no leader says it. */
static bool ask_last(struct dr_client *cl, const struct dr_client_request *r, uint64_t *last)
{
	struct dr_client_request ask = { .id = r->id ^ 1u };
	struct dr_client_response a = { 0 };
	struct dr_error e = { 0 };
	bool known = false;
	(void)dr_copy_text(ask.verb, sizeof(ask.verb), "status");
	if (dr_client_call(cl, &ask, &a, &e) == DR_OK && a.code == DR_OK && a.json != NULL) {
		json_t *v = json_loads(a.json, 0, NULL);
		json_t *number = json_object_get(v, "event_last");
		known = json_is_integer(number) && json_integer_value(number) >= 0;
		if (known)
			*last = (uint64_t)json_integer_value(number);
		json_decref(v);
	}
	dr_free(a.json);
	return known;
}

/* Who asks for events that are still to come sees nothing for long, and is told why. */
static void say_beyond_end(struct dr_client *cl, const struct dr_client_request *r)
{
	uint64_t last = 0;
	dr_client_limit(cl, END_MS);
	if (!ask_last(cl, r, &last) || r->from <= last)
		return;
	(void)fprintf(stderr, "drcoordctl: watch: next event is %" PRIu64 "; waiting", last + 1);
	if (r->from > last + 1)
		(void)fprintf(stderr, " for %" PRIu64, r->from);
	(void)fprintf(stderr, "\n");
}

/* Without --from it begins behind the newest event of now: a connection that breaks before the first one comes must
 * not lose those in between.  With no leader to say which that is, it begins with what the first coordinator has. */
static void begin_now(struct dr_client *cl, struct dr_client_request *r)
{
	uint64_t last = 0;
	if (ask_last(cl, r, &last))
		r->from = last + 1;
}

enum dr_exit dr_verb_watch(struct dr_cli *c)
{
	struct dr_client_request r;
	struct dr_client *cl = NULL;
	struct dr_error e = { 0 };
	struct watch w = { .cli = c, .service = dr_argument(c, "SERVICE"), .left = UINT64_MAX };
	const char *count = c->option[DR_OPTION_EVENTS];
	enum dr_exit exit = dr_client_request_build(c, &r);
	if (exit != DR_EXIT_OK)
		return exit;
	if (count != NULL && dr_parse_u64(count, 1, UINT64_MAX, &w.left) != DR_OK)
		return dr_say_usage(c, "--count %s: expected a whole number above 0", count);
	/* All events are asked for, also with a service: only so is a gap told from silence. */
	memset(&r.service, 0, sizeof(r.service));
	enum dr_err rv = dr_client_open(&cl, c, &e);
	if (rv == DR_OK && r.from == 0)
		begin_now(cl, &r);
	else if (rv == DR_OK && !c->json)
		say_beyond_end(cl, &r);
	if (rv == DR_OK)
		rv = dr_client_stream(
		    cl, &r, c->option[DR_OPTION_TIMEOUT] != NULL ? c->timeout_ms : PATIENCE_MS, each, &w, &e);
	dr_client_close(cl);
	if (rv == DR_OK && w.bad)
		rv = dr_fail(&e, DR_E_PROTOCOL, "an event without an index came");
	return rv == DR_OK ? DR_EXIT_OK : dr_say_error(c, &e);
}
