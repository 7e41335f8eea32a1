/* client.c -- see client.h: one connection at a time, from one endpoint to the next. */
#include "cli/client.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"
#include "net/conn.h"
#include "proto/frames.h"
#include "sys/clock.h"

enum {
	ENDPOINTS_MAX = 16,
	CONNECT_MS = 1500,   /* for one endpoint: a dead site must not eat the whole deadline */
	WAIT_LEAST_MS = 100, /* between tries, plus a random part of as much */
	PING_MS = 1000,      /* a stream's coordinator is asked so often whether it lives ... */
	SILENCE_MS = 4000,   /* ... and left when it was silent so long */
	FULL_MS = 5000       /* a stream that nobody has room for is tried so long */
};

enum link { LINK_NONE, LINK_CONNECTING, LINK_OPEN };

struct dr_client {
	uv_loop_t loop;
	uv_timer_t timer;
	bool timer_fired;
	struct dr_tls *tls;
	struct dr_address endpoint[ENDPOINTS_MAX];
	unsigned endpoints, next;
	struct dr_address leader; /* port 0: not known */
	struct dr_address to;     /* whom the last try went to */
	struct dr_conn conn;
	enum link link;
	uint64_t deadline_ms;
	struct dr_error why; /* why the last connection ended, or the last try failed */
	char no_leader[DR_ERROR_MSG_MAX]; /* what the last answer said if it was NOT_LEADER, else "" */
	struct dr_error busy; /* the newest answer that it cannot be taken in now: it was not carried out */
	unsigned rejected;   /* endpoints in a row that refused our certificate, or we theirs */
	uint32_t call_ms;
	uint64_t request_id; /* answers to others are not ours */
	bool answered;
	struct dr_client_response answer;
	bool bad_answer;
	/* streams */
	dr_client_each_fn *each;
	struct dr_client_request *request;
	void *ctx;
	bool ended;
};

/* ---- time ---- */

static uint64_t left_ms(const struct dr_client *cl)
{
	uint64_t now = dr_clock_boot_ms();
	return now < cl->deadline_ms ? cl->deadline_ms - now : 0;
}

static void on_timer(uv_timer_t *t)
{
	((struct dr_client *)t->data)->timer_fired = true;
}

/* Run the loop until done() or so much time has passed. */
static void run_until(struct dr_client *cl, bool (*done)(const struct dr_client *cl), uint64_t ms)
{
	cl->timer_fired = false;
	uv_update_time(&cl->loop);
	(void)uv_timer_start(&cl->timer, on_timer, ms, 0);
	while (!cl->timer_fired && !done(cl))
		(void)uv_run(&cl->loop, UV_RUN_ONCE);
	(void)uv_timer_stop(&cl->timer);
}

static bool never(const struct dr_client *cl)
{
	(void)cl;
	return false;
}

static void wait_a_little(struct dr_client *cl)
{
	uint8_t chance = 0;
	(void)getrandom(&chance, sizeof(chance), GRND_NONBLOCK);
	uint64_t ms = WAIT_LEAST_MS + (uint64_t)chance * WAIT_LEAST_MS / 255;
	run_until(cl, never, ms < left_ms(cl) ? ms : left_ms(cl));
}

/* ---- the connection ---- */

static void on_open(struct dr_conn *c)
{
	struct dr_client *cl = c->ctx;
	struct dr_greet greet = { .kind = DR_GREET_CLIENT,
				  .name = dr_tls_self(cl->tls)->name,
				  .version = DR_PROTOCOL_VERSION };
	struct dr_buf b;
	dr_buf_init(&b, DR_FRAME_MAX);
	dr_greet_encode(&b, &greet);
	/* A send that fails closes the connection, which is seen there. */
	(void)!dr_conn_send(c, DR_FRAME_GREET, b.data, b.len);
	dr_buf_close(&b);
	cl->link = LINK_OPEN;
	cl->rejected = 0;
}

static void take_answer(struct dr_client *cl, struct dr_client_response *r)
{
	if (cl->each == NULL) {
		cl->answer = *r;
		r->json = NULL;
		cl->answered = true;
		return;
	}
	if (r->code != DR_OK) {
		cl->answer = *r;
		r->json = NULL;
		cl->answered = true;
		return;
	}
	if (r->json == NULL || r->json[0] == '\0')
		return;
	if (!cl->each(cl->ctx, cl->request, r) || !r->more)
		cl->ended = true;
}

static void on_frame(struct dr_conn *c, uint16_t type, const uint8_t *payload, size_t len)
{
	struct dr_client *cl = c->ctx;
	struct dr_client_response r = { 0 };
	if (type != DR_FRAME_RESPONSE || cl->answered || cl->ended)
		return;
	if (dr_client_response_decode(&r, payload, len, &cl->why) != DR_OK) {
		cl->bad_answer = true;
		dr_conn_close(c, 0);
	} else if (r.id == cl->request_id || (r.id == 0 && r.code != DR_OK)) {
		/* Id 0: it could not even read what was asked. */
		take_answer(cl, &r);
	}
	dr_free(r.json);
}

static void on_closed(struct dr_conn *c, const struct dr_error *why)
{
	struct dr_client *cl = c->ctx;
	/* Without a reason it is we who closed, and why is known already. */
	if (cl->link == LINK_CONNECTING || (!cl->bad_answer && why->code != DR_OK))
		cl->why = *why;
	if (cl->link == LINK_CONNECTING && (why->code == DR_E_CERT || why->code == DR_E_AUTH))
		cl->rejected++;
	cl->link = LINK_NONE;
}

static const struct dr_conn_cbs callbacks = { on_open, on_frame, on_closed };

static bool settled(const struct dr_client *cl)
{
	return cl->link != LINK_CONNECTING;
}

static bool gone(const struct dr_client *cl)
{
	return cl->link == LINK_NONE;
}

static void disconnect(struct dr_client *cl)
{
	if (cl->link == LINK_NONE)
		return;
	dr_conn_close(&cl->conn, 0);
	while (cl->link != LINK_NONE)
		run_until(cl, gone, 1000);
}

/* Put the endpoint in front of why a try failed. */
static void name_endpoint(struct dr_client *cl)
{
	if (cl->why.code == DR_OK)
		(void)dr_fail(&cl->why, DR_E_CLOSED, "%s", dr_err_text(DR_E_CLOSED));
	(void)dr_wrap(&cl->why, "%s:%u", cl->to.host, (unsigned)cl->to.port);
}

/* One try: the leader if one was named, else the next endpoint.  What came of it is in cl->link and cl->why. */
static void connect_once(struct dr_client *cl)
{
	static const struct dr_identity want = { .kind = DR_PEER_COORDINATOR };
	struct dr_address to = cl->leader;
	if (to.port == 0)
		to = cl->endpoint[cl->next++ % cl->endpoints];
	cl->leader.port = 0;
	cl->to = to;
	memset(&cl->conn, 0, sizeof(cl->conn));
	cl->conn.ctx = cl;
	cl->bad_answer = false;
	uint64_t ms = left_ms(cl) < CONNECT_MS ? left_ms(cl) : CONNECT_MS;
	if (ms == 0)
		return;
	if (dr_conn_connect(&cl->conn, &cl->loop, cl->tls, &to, &want, (uint32_t)ms, &callbacks, &cl->why) !=
	    DR_OK)
		return;
	cl->link = LINK_CONNECTING;
	while (cl->link == LINK_CONNECTING)
		run_until(cl, settled, CONNECT_MS);
	if (cl->link == LINK_NONE)
		name_endpoint(cl);
}

/* ---- asking ---- */

static enum dr_err send_request(struct dr_client *cl, const struct dr_client_request *r)
{
	struct dr_buf b;
	dr_buf_init(&b, DR_FRAME_MAX);
	dr_client_request_encode(&b, r);
	enum dr_err rv =
	    dr_buf_ok(&b) ? dr_conn_send(&cl->conn, DR_FRAME_REQUEST, b.data, b.len) : DR_E_RANGE;
	dr_buf_close(&b);
	cl->request_id = r->id;
	cl->answered = false;
	return rv;
}

static bool answered_or_gone(const struct dr_client *cl)
{
	return cl->answered || cl->ended || cl->link == LINK_NONE;
}

/* Whether an answer says that nothing was done, because there is no room or no time for it now. */
static bool is_busy(enum dr_err code)
{
	return code == DR_E_BUSY || code == DR_E_FULL;
}

/* Whether an answer only says that somebody else, or the same one later, is to be asked. */
static bool asks_again(const struct dr_client_response *a)
{
	return a->code == DR_E_NOT_LEADER || is_busy(a->code) || a->code == DR_E_UNKNOWN ||
	       a->code == DR_E_CLOSED;
}

/* What a coordinator says of the lead is kept apart: a dead endpoint that is tried next must not hide it. */
static void drop_answer(struct dr_client *cl)
{
	bool elsewhere = cl->answer.code == DR_E_NOT_LEADER;
	const char *text =
	    cl->answer.message[0] != '\0' ? cl->answer.message : dr_err_text(cl->answer.code);
	(void)dr_copy_text(cl->no_leader, sizeof(cl->no_leader), elsewhere ? text : "");
	if (elsewhere)
		dr_error_clear(&cl->why);
	else
		(void)dr_fail(&cl->why, cl->answer.code, "%s", text);
	if (is_busy(cl->answer.code)) {
		cl->busy = cl->why;
		dr_error_clear(&cl->why);
	}
	cl->leader = elsewhere ? cl->answer.leader_at : (struct dr_address){ 0 };
	dr_free(cl->answer.json);
	memset(&cl->answer, 0, sizeof(cl->answer));
	cl->answered = false;
}

/* Why nothing came of the tries, never empty: what was said of the lead, then of the last try. */
static void why_not(const struct dr_client *cl, char text[DR_ERROR_MSG_MAX])
{
	const char *last = cl->why.msg;
	if (cl->busy.code != DR_OK) {
		(void)snprintf(text, DR_ERROR_MSG_MAX, "it could not be taken in until the deadline: %.400s", cl->busy.msg);
		return;
	}
	if (last[0] == '\0')
		last = cl->why.code != DR_OK ? dr_err_text(cl->why.code) : "deadline passed";
	if (cl->no_leader[0] == '\0')
		(void)snprintf(text, DR_ERROR_MSG_MAX, "no coordinator answered: %.400s", last);
	else if (cl->why.code == DR_OK)
		(void)snprintf(text, DR_ERROR_MSG_MAX, "%.500s", cl->no_leader);
	else
		(void)snprintf(text, DR_ERROR_MSG_MAX, "%.240s (%.240s)", cl->no_leader, last);
}

static void forget_tries(struct dr_client *cl)
{
	dr_error_clear(&cl->why);
	dr_error_clear(&cl->busy);
	cl->no_leader[0] = '\0';
}

/* A connection that can be used; CERT or AUTH at once when every endpoint says so, else the deadline. */
static enum dr_err connect_any(struct dr_client *cl, struct dr_error *e)
{
	while (cl->link != LINK_OPEN) {
		if (left_ms(cl) == 0) {
			char text[DR_ERROR_MSG_MAX];
			why_not(cl, text);
			return dr_fail(e, cl->busy.code != DR_OK ? cl->busy.code : DR_E_UNREACHABLE, "%s", text);
		}
		connect_once(cl);
		if (cl->rejected >= cl->endpoints)
			return dr_fail(e, cl->why.code, "%s", cl->why.msg);
		if (cl->link != LINK_OPEN && cl->leader.port == 0 && cl->next % cl->endpoints == 0)
			wait_a_little(cl);
	}
	return DR_OK;
}

/* Whether carrying the verb out changes nothing: viewers may ask for that, and for nothing else. */
static bool changes_nothing(const char *verb)
{
	static const struct {
		const char *word;
		bool viewer;
	} known[] = {
#define ASK_FOR(id, word, least, leader, reason) { word, DR_PEER_##least == DR_PEER_VIEWER },
#include "proto/verbs.def"
#undef ASK_FOR
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].word, verb) == 0)
			return known[i].viewer;
	}
	return false;
}

/* Send and wait, on an open connection.  True: nobody can say whether this try was carried out. */
static bool try_once(struct dr_client *cl, const struct dr_client_request *r, enum dr_err *rv)
{
	dr_error_clear(&cl->why);
	*rv = send_request(cl, r);
	if (*rv == DR_E_RANGE)
		return false;
	bool sent = *rv == DR_OK;
	if (sent)
		run_until(cl, answered_or_gone, left_ms(cl));
	*rv = DR_OK;
	if (cl->answered)
		return cl->answer.code != DR_E_NOT_LEADER && !is_busy(cl->answer.code);
	if (cl->link == LINK_OPEN)
		(void)dr_fail(&cl->why, DR_E_TIMEOUT, "no answer came to what was sent");
	name_endpoint(cl);
	return sent;
}

enum dr_err dr_client_call(struct dr_client *cl, const struct dr_client_request *r,
			   struct dr_client_response *answer, struct dr_error *e)
{
	bool doubtful = false; /* any try so far: that somebody else does not lead says nothing of it */
	cl->deadline_ms = dr_clock_boot_ms() + cl->call_ms;
	cl->each = NULL;
	cl->ended = false;
	forget_tries(cl);
	memset(answer, 0, sizeof(*answer));
	for (;;) {
		enum dr_err rv = connect_any(cl, e);
		if (rv != DR_OK && doubtful) {
			char text[DR_ERROR_MSG_MAX];
			why_not(cl, text);
			return dr_fail(e, DR_E_UNKNOWN, "sent, but its outcome is not known: "
				       "it may have been carried out (%.300s)", text);
		}
		if (rv != DR_OK)
			return rv;
		bool doubt = try_once(cl, r, &rv);
		if (rv == DR_E_RANGE)
			return dr_fail(e, DR_E_RANGE, "the request is larger than %d bytes", DR_FRAME_MAX);
		if (cl->answered && !asks_again(&cl->answer)) {
			*answer = cl->answer;
			memset(&cl->answer, 0, sizeof(cl->answer));
			return DR_OK;
		}
		doubtful = doubtful || (doubt && !changes_nothing(r->verb));
		if (cl->answered)
			drop_answer(cl);
		disconnect(cl);
		if (cl->leader.port == 0)
			wait_a_little(cl);
	}
}

void dr_client_limit(struct dr_client *cl, uint32_t call_ms)
{
	if (call_ms < cl->call_ms)
		cl->call_ms = call_ms;
}

/* A cut link tells nobody that it is cut.  Any answer does; a coordinator that does not know the verb says so. */
static void ping(struct dr_client *cl)
{
	static const struct dr_client_request r = { .id = 1, .verb = "ping" };
	struct dr_buf b;
	dr_buf_init(&b, DR_FRAME_MAX);
	dr_client_request_encode(&b, &r);
	(void)!dr_conn_send(&cl->conn, DR_FRAME_REQUEST, b.data, b.len);
	dr_buf_close(&b);
}

enum dr_err dr_client_stream(struct dr_client *cl, struct dr_client_request *r, uint32_t patience_ms,
			     dr_client_each_fn *each, void *ctx, struct dr_error *e)
{
	cl->each = each;
	cl->ctx = ctx;
	cl->request = r;
	cl->ended = false;
	uint64_t full_since = 0;
	forget_tries(cl);
	while (!cl->ended) {
		cl->deadline_ms = dr_clock_boot_ms() + patience_ms;
		enum dr_err rv = connect_any(cl, e);
		if (rv != DR_OK)
			return rv;
		dr_conn_idle_set(&cl->conn, SILENCE_MS);
		enum dr_err sent = send_request(cl, r);
		while (sent == DR_OK && !answered_or_gone(cl)) {
			run_until(cl, answered_or_gone, PING_MS);
			if (!answered_or_gone(cl))
				ping(cl);
		}
		bool full = cl->answered && is_busy(cl->answer.code);
		uint64_t now = dr_clock_boot_ms();
		full_since = !full ? 0 : full_since != 0 ? full_since : now;
		bool refused = cl->answered && (!asks_again(&cl->answer) || (full && now - full_since >= FULL_MS));
		if (refused)
			rv = dr_fail(e, cl->answer.code, "%s", cl->answer.message);
		if (cl->answered)
			drop_answer(cl);
		disconnect(cl);
		if (refused)
			return rv;
		if (!cl->ended && cl->leader.port == 0)
			wait_a_little(cl);
	}
	return DR_OK;
}

/* ---- open and close ---- */

static enum dr_err read_endpoints(struct dr_client *cl, const char *text, struct dr_error *e)
{
	while (*text != '\0') {
		char one[DR_HOST_MAX + 16];
		size_t n = strcspn(text, ",");
		if (n >= sizeof(one) || cl->endpoints == ENDPOINTS_MAX)
			return dr_fail(e, DR_E_INVALID, "--endpoints: expected at most %d times HOST:PORT",
				       ENDPOINTS_MAX);
		memcpy(one, text, n);
		one[n] = '\0';
		struct dr_address *a = &cl->endpoint[cl->endpoints++];
		if (dr_parse_host_port(one, a->host, &a->port) != DR_OK)
			return dr_fail(
			    e, DR_E_INVALID,
			    "--endpoints: \"%s\" is no address; expected one as 10.1.0.2:7400 or [fd00::1]:7400",
			    one);
		text += n;
		text += *text == ',' ? 1 : 0;
	}
	return DR_OK;
}

static enum dr_err need(const struct dr_cli *c, enum dr_option_id id, struct dr_error *e)
{
	if (c->option[id] != NULL && c->option[id][0] != '\0')
		return DR_OK;
	return dr_fail(e, DR_E_INVALID, "give --%s %s or set %s: %s", dr_options[id].word,
		       dr_options[id].argument, dr_options[id].environment, dr_options[id].help);
}

enum dr_err dr_client_open(struct dr_client **out, const struct dr_cli *c, struct dr_error *e)
{
	static const enum dr_option_id wanted[] = { DR_OPTION_ENDPOINTS, DR_OPTION_CA, DR_OPTION_CERT,
						    DR_OPTION_KEY };
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (need(c, wanted[i], e) != DR_OK)
			return e->code;
	}
	struct dr_tls_files files = { c->option[DR_OPTION_CA], c->option[DR_OPTION_CERT],
				      c->option[DR_OPTION_KEY] };
	struct dr_client *cl = dr_xcalloc(sizeof(*cl));
	enum dr_err rv = read_endpoints(cl, c->option[DR_OPTION_ENDPOINTS], e);
	if (rv == DR_OK)
		rv = dr_tls_open(&cl->tls, &files, e);
	if (rv != DR_OK) {
		dr_free(cl);
		return rv;
	}
	cl->call_ms = c->timeout_ms;
	dr_assert(uv_loop_init(&cl->loop) == 0);
	dr_assert(uv_timer_init(&cl->loop, &cl->timer) == 0);
	cl->timer.data = cl;
	*out = cl;
	return DR_OK;
}

void dr_client_close(struct dr_client *cl)
{
	if (cl == NULL)
		return;
	disconnect(cl);
	uv_close((uv_handle_t *)&cl->timer, NULL);
	while (uv_run(&cl->loop, UV_RUN_DEFAULT) != 0)
		;
	(void)uv_loop_close(&cl->loop);
	dr_free(cl->answer.json);
	dr_tls_close(cl->tls);
	dr_free(cl);
}
