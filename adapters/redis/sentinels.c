/* sentinels.c -- see sentinels.h.
 *
 *   VISIT: each that is named, what it watches -> REMOVE: each that watches the server, in turn -> LISTEN: how many listen, and
 *   what they say of themselves -> REMOVE -> LISTEN, until nobody does, or who does says nothing */
#include "adapters/redis/sentinels.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "adapters/redis/link.h"
#include "adapters/redis/red.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"

#define HELLO "__sentinel__:hello"

enum {
	SENTINELS_MAX = 16,
	ROUNDS_MAX = 4,
	SILENCE_MS = 5000,
	SETTLE_MS = 200,
	ANSWER_MS = 2000, /* so long a Sentinel may take; no more than that it is there is known of one that takes longer */
	FIELDS = 5,
	WHO_MAX = DR_HOST_MAX + RED_NAME_MAX + 24
};

enum phase { LISTEN, VISIT, REMOVE };

struct red_hunt {
	struct dr_target target;
	char secret[RED_SECRET_MAX], sentinel_secret[RED_SECRET_MAX];
	struct red_hunt_owner owner;
	uv_loop_t *loop;
	uv_timer_t timer;
	struct red_link *link;
	uint32_t handles;
	enum phase phase;
	unsigned answers, rounds; /* answers: of this connection, so far */
	uint64_t listeners;
	bool silent; /* in the look before somebody listened, and nobody said anything */
	struct red_sentinel one[SENTINELS_MAX];
	uint32_t known, told; /* told of known have forgotten it */
	uint32_t visited;     /* of those that are named */
	bool authed;          /* on this connection the first answer is to AUTH */
	char text[DR_REASON_MAX];
	bool dropped, over;
};

static void look_around(struct red_hunt *h);
static void tell_next(struct red_hunt *h);
static void visit_next(struct red_hunt *h);
static void on_silence(uv_timer_t *t);

static void handle_gone(void *ctx)
{
	struct red_hunt *h = ctx;
	struct red_hunt_owner owner = h->owner;
	dr_assert(h->handles > 0);
	if (--h->handles > 0)
		return;
	explicit_bzero(h->secret, sizeof(h->secret));
	explicit_bzero(h->sentinel_secret, sizeof(h->sentinel_secret));
	dr_free(h);
	owner.gone(owner.ctx);
}

static void disconnect(struct red_hunt *h)
{
	if (h->link != NULL)
		red_link_drop(h->link);
	h->link = NULL;
	(void)uv_timer_stop(&h->timer);
}

static void end(struct red_hunt *h, const struct dr_error *e)
{
	if (h->over || h->dropped)
		return;
	h->over = true;
	disconnect(h);
	h->owner.done(h->owner.ctx, e, h->text);
}

static bool same(const struct dr_address *x, const struct dr_address *y)
{
	return x->port == y->port && strcmp(x->host, y->host) == 0;
}

static bool is_named(const struct red_hunt *h, const struct dr_address *at)
{
	for (uint32_t i = 0; i < h->target.sentinels.n; i++) {
		if (same(&h->target.sentinels.at[i], at))
			return true;
	}
	return false;
}

static void where(const struct red_hunt *h, char dst[WHO_MAX])
{
	const struct red_sentinel *s = &h->one[h->told];
	if (h->phase == LISTEN)
		(void)snprintf(dst, WHO_MAX, "looking for Sentinels");
	else if (h->phase == VISIT)
		(void)snprintf(dst, WHO_MAX, "Sentinel %s:%u", h->target.sentinels.at[h->visited].host,
			       h->target.sentinels.at[h->visited].port);
	else
		(void)snprintf(dst, WHO_MAX, "Sentinel %s:%u (%s)", s->at.host, s->at.port, s->name);
}

static void fail(struct red_hunt *h, struct dr_error *e)
{
	char who[WHO_MAX];
	where(h, who);
	(void)dr_wrap(e, "%s", who);
	end(h, e);
}

/* Whoever watches and does not answer goes on once it can. */
static void on_mute(uv_timer_t *t)
{
	const struct red_hunt *h = t->data;
	struct dr_error e;
	if (h->phase == LISTEN)
		(void)dr_fail(&e, DR_E_UNREACHABLE, "the server does not answer");
	else
		(void)dr_fail(&e, DR_E_UNREACHABLE, "does not answer, and would go on once it does: see to it, or take it out of"
			      " sentinels_at when it is gone for good");
	fail(t->data, &e);
}

static void on_failed(void *ctx, const struct dr_error *e)
{
	struct red_hunt *h = ctx;
	struct dr_error copy = *e;
	if (h->phase == VISIT)
		(void)dr_fail(&copy, e->code, "%s; it may come back: start it, or take it out of sentinels_at when it is gone for"
			      " good", e->msg);
	fail(h, &copy);
}

/* ---- LISTEN */

bool red_read_hello(const char *text, struct red_sentinel *s)
{
	const char *field[FIELDS];
	size_t len[FIELDS];
	char port[8];
	uint64_t number = 0;
	for (int i = 0; i < FIELDS; i++) {
		field[i] = text;
		len[i] = strcspn(text, ",");
		text += len[i] + (text[len[i]] == ',' ? 1 : 0);
	}
	if (len[0] == 0 || len[0] >= sizeof(s->at.host) || len[1] >= sizeof(port) || len[4] == 0 || len[4] >= sizeof(s->name))
		return false;
	memset(s, 0, sizeof(*s));
	memcpy(s->at.host, field[0], len[0]);
	memcpy(s->name, field[4], len[4]);
	memcpy(port, field[1], len[1]);
	port[len[1]] = '\0';
	s->at.port = dr_parse_u64(port, 1, UINT16_MAX, &number) == DR_OK ? (uint16_t)number : 0;
	return s->at.port != 0;
}

static void note(struct red_hunt *h, const struct red_sentinel *s)
{
	for (uint32_t i = 0; i < h->known; i++) {
		if (memcmp(&h->one[i], s, sizeof(*s)) == 0)
			return;
	}
	if (h->known < SENTINELS_MAX)
		h->one[h->known++] = *s;
}

/* Who was told in an earlier round and says it still watches. */
static void forget(struct red_hunt *h)
{
	h->known = h->told = 0;
}

static void heard(struct red_hunt *h, const redisReply *r)
{
	struct red_sentinel s;
	struct dr_error e;
	bool message = r->type == REDIS_REPLY_ARRAY && r->elements == 3 && r->element[0]->type == REDIS_REPLY_STRING &&
		       strcmp(r->element[0]->str, "message") == 0 && r->element[2]->type == REDIS_REPLY_STRING;
	if (!message || !red_read_hello(r->element[2]->str, &s))
		return;
	if (h->target.sentinels.n > 0 && !is_named(h, &s.at)) {
		(void)dr_fail(&e, DR_E_REFUSED, "one at %s:%u says that it watches it as %s, and sentinels_at does not name it:"
			      " stop it, or name it there", s.at.host, s.at.port, s.name);
		fail(h, &e);
		return;
	}
	note(h, &s);
	if (h->known >= h->listeners || h->known == SENTINELS_MAX)
		tell_next(h);
}

/* Those that are named were asked themselves; else whoever listens may be a Sentinel that hangs. */
static void fail_silent(struct red_hunt *h)
{
	struct dr_error e;
	(void)dr_fail(&e, DR_E_CONFLICT, "%" PRIu64 " more listen on " HELLO " and say nothing, as a Sentinel does that hangs: see"
		      " who it is (CLIENT LIST TYPE pubsub) and stop it, or name all Sentinels in sentinels_at", h->listeners);
	fail(h, &e);
}

static void counted(struct red_hunt *h, const redisReply *r)
{
	const redisReply *n = r->type == REDIS_REPLY_ARRAY && r->elements >= 2 ? r->element[1] : NULL;
	struct dr_error e;
	if (n == NULL || n->type != REDIS_REPLY_INTEGER || n->integer < 0) {
		(void)dr_fail(&e, DR_E_PROTOCOL, "PUBSUB NUMSUB answers with no number");
		fail(h, &e);
		return;
	}
	h->listeners = (uint64_t)n->integer;
	if (h->listeners == 0)
		end(h, NULL);
	else if (h->silent)
		fail_silent(h);
	else
		(void)uv_timer_start(&h->timer, on_silence, SILENCE_MS, 0);
}

/* All that have said something by now.  Who has not is looked for once more: a connection of our own, which a server that hung had
 * not seen closed, is gone by then. */
static void on_silence(uv_timer_t *t)
{
	struct red_hunt *h = t->data;
	if (h->known > h->told) {
		tell_next(h);
	} else if (h->target.sentinels.n > 0) {
		end(h, NULL);
	} else {
		h->silent = true;
		look_around(h);
	}
}

static void on_settled(uv_timer_t *t)
{
	look_around(t->data);
}

/* ---- VISIT */

bool red_read_watched(const redisReply *r, const struct dr_address *server, char name[RED_NAME_MAX])
{
	uint64_t port = 0;
	return strcmp(red_value(r, "ip"), server->host) == 0 &&
	       dr_parse_u64(red_value(r, "port"), 1, UINT16_MAX, &port) == DR_OK && port == server->port &&
	       red_value(r, "name")[0] != '\0' && dr_copy_text(name, RED_NAME_MAX, red_value(r, "name"));
}

static void visited(struct red_hunt *h, const redisReply *masters)
{
	for (size_t i = 0; masters->type == REDIS_REPLY_ARRAY && i < masters->elements; i++) {
		struct red_sentinel s;
		memset(&s, 0, sizeof(s));
		s.at = h->target.sentinels.at[h->visited];
		if (red_read_watched(masters->element[i], &h->target.address, s.name))
			note(h, &s);
	}
	h->visited++;
	visit_next(h);
}

/* ---- REMOVE */

static void removed(struct red_hunt *h)
{
	char who[WHO_MAX];
	size_t at = strlen(h->text);
	where(h, who);
	(void)snprintf(h->text + at, sizeof(h->text) - at, "%s%s", at > 0 ? ", " : "forgotten by ", who);
	h->told++;
	if (h->told < h->known) {
		tell_next(h);
		return;
	}
	disconnect(h);
	forget(h);
	(void)uv_timer_start(&h->timer, on_settled, SETTLE_MS, 0);
}

/* ---- all */

static void on_answer(void *ctx, const redisReply *r)
{
	struct red_hunt *h = ctx;
	struct dr_error e;
	unsigned at = h->answers++ + (h->authed ? 0 : 1); /* 0: AUTH */
	const char *no = red_refusal(r);
	if (no != NULL && h->phase == REMOVE && strstr(no, "No such master") != NULL)
		no = NULL; /* told by another agent meanwhile */
	if (no != NULL) {
		bool unnamed = red_error(no, &e) == DR_E_AUTH && h->phase == REMOVE && !h->authed;
		if (unnamed)
			(void)dr_fail(&e, DR_E_AUTH, "%s; name it in sentinels_at, beside sentinel_password_file", no);
		fail(h, &e);
	} else if (h->phase == REMOVE && at == 1) {
		removed(h);
	} else if (h->phase == VISIT && at == 1) {
		visited(h, r);
	} else if (h->phase == LISTEN && at == 1) {
		counted(h, r);
	} else if (h->phase == LISTEN) {
		heard(h, r);
	}
}

static bool connect_to(struct red_hunt *h, enum phase phase, const struct dr_address *to, struct dr_error *e)
{
	const struct red_link_owner owner = { .ctx = h, .answer = on_answer, .failed = on_failed, .gone = handle_gone };
	disconnect(h);
	h->phase = phase;
	h->answers = 0;
	h->handles++;
	return red_link_open(&h->link, h->loop, to, h->target.ca_file, &owner, e) == DR_OK;
}

static void say(struct red_hunt *h, struct dr_buf *b)
{
	dr_assert(dr_buf_ok(b));
	red_link_send(h->link, b->data, b->len);
	explicit_bzero(b->data, b->len);
	dr_buf_close(b);
}

/* Any client may say on the channel that it is a Sentinel: the password is for those that are named. */
static void greet(struct red_hunt *h, const struct dr_address *at, struct dr_buf *b)
{
	dr_buf_init(b, RED_BYTES_MAX);
	h->authed = h->sentinel_secret[0] != '\0' && is_named(h, at);
	if (h->authed)
		red_say(b, "AUTH", h->sentinel_secret, NULL);
	(void)uv_timer_start(&h->timer, on_mute, ANSWER_MS, 0);
}

static void visit_next(struct red_hunt *h)
{
	const struct dr_address *to = &h->target.sentinels.at[h->visited];
	struct dr_error e;
	struct dr_buf b;
	if (h->visited >= h->target.sentinels.n) {
		if (h->known > h->told)
			tell_next(h);
		else
			look_around(h);
	} else if (!connect_to(h, VISIT, to, &e)) {
		on_failed(h, &e);
	} else {
		greet(h, to, &b);
		red_say(&b, "SENTINEL", "MASTERS", NULL);
		say(h, &b);
	}
}

static void tell_next(struct red_hunt *h)
{
	const struct red_sentinel *s = &h->one[h->told];
	struct dr_error e;
	struct dr_buf b;
	bool may = h->target.sentinels.adopt;
	if (!may || !connect_to(h, REMOVE, &s->at, &e)) {
		h->phase = REMOVE;
		if (!may)
			(void)dr_fail(&e, DR_E_REFUSED, "watches it, and would undo what drcoord does: SENTINEL REMOVE %s there,"
				      " or sentinels: adopt in the node file", s->name);
		fail(h, &e);
		return;
	}
	greet(h, &s->at, &b);
	red_say(&b, "SENTINEL", "REMOVE", s->name, NULL);
	say(h, &b);
}

static bool ask(struct red_hunt *h, struct dr_error *e)
{
	struct dr_buf b;
	if (!connect_to(h, LISTEN, &h->target.address, e))
		return false;
	dr_buf_init(&b, RED_BYTES_MAX);
	h->authed = h->secret[0] != '\0';
	if (h->authed && h->target.user[0] != '\0')
		red_say(&b, "AUTH", h->target.user, h->secret, NULL);
	else if (h->authed)
		red_say(&b, "AUTH", h->secret, NULL);
	red_say(&b, "PUBSUB", "NUMSUB", HELLO, NULL);
	red_say(&b, "SUBSCRIBE", HELLO, NULL);
	say(h, &b);
	(void)uv_timer_start(&h->timer, on_mute, ANSWER_MS, 0);
	return true;
}

static void look_around(struct red_hunt *h)
{
	struct dr_error e;
	if (h->rounds++ >= ROUNDS_MAX) {
		(void)dr_fail(&e, DR_E_CONFLICT, "Sentinels watch it again and again: stop them");
		end(h, &e);
	} else if (!ask(h, &e)) {
		end(h, &e);
	}
}

static void on_begun(uv_timer_t *t)
{
	visit_next(t->data);
}

static void timer_closed(uv_handle_t *t)
{
	handle_gone(t->data);
}

enum dr_err red_hunt_open(struct red_hunt **out, uv_loop_t *loop, const struct dr_target *t, const char *secret,
			  const char *sentinel_secret, const struct red_hunt_owner *owner, struct dr_error *e)
{
	struct red_hunt *h = dr_xcalloc(sizeof(*h));
	*out = NULL;
	h->target = *t;
	h->owner = *owner;
	h->loop = loop;
	h->handles = 1;
	(void)dr_copy_text(h->secret, sizeof(h->secret), secret);
	(void)dr_copy_text(h->sentinel_secret, sizeof(h->sentinel_secret), sentinel_secret);
	(void)uv_timer_init(loop, &h->timer);
	h->timer.data = h;
	int rc = uv_timer_start(&h->timer, on_begun, 0, 0);
	if (rc != 0) {
		red_hunt_drop(h);
		return dr_fail(e, DR_E_UNKNOWN, "cannot begin: %s", uv_strerror(rc));
	}
	*out = h;
	return DR_OK;
}

void red_hunt_drop(struct red_hunt *h)
{
	dr_assert(!h->dropped);
	disconnect(h);
	h->dropped = true;
	uv_close((uv_handle_t *)&h->timer, timer_closed);
}
