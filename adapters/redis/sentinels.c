/* sentinels.c -- see sentinels.h.
 *
 *   LISTEN: how many listen, and what they say of themselves -> REMOVE: each of those in turn -> LISTEN, until nobody does */
#include "adapters/redis/sentinels.h"

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
	FIELDS = 5,
	WHO_MAX = DR_HOST_MAX + RED_NAME_MAX + 24
};

enum phase { LISTEN, REMOVE };

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
	struct red_sentinel one[SENTINELS_MAX];
	uint32_t known, told; /* told of known have forgotten it */
	char text[DR_REASON_MAX];
	bool dropped, over;
};

static void look_around(struct red_hunt *h);
static void tell_next(struct red_hunt *h);

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

static void where(const struct red_sentinel *s, char dst[WHO_MAX])
{
	(void)snprintf(dst, WHO_MAX, "Sentinel %s:%u (%s)", s->at.host, s->at.port, s->name);
}

static void on_failed(void *ctx, const struct dr_error *e)
{
	struct red_hunt *h = ctx;
	struct dr_error copy = *e;
	char who[WHO_MAX];
	if (h->phase == REMOVE) {
		where(&h->one[h->told], who);
		(void)dr_wrap(&copy, "%s", who);
	}
	end(h, &copy);
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
	bool message = r->type == REDIS_REPLY_ARRAY && r->elements == 3 && r->element[0]->type == REDIS_REPLY_STRING &&
		       strcmp(r->element[0]->str, "message") == 0 && r->element[2]->type == REDIS_REPLY_STRING;
	if (!message || !red_read_hello(r->element[2]->str, &s))
		return;
	note(h, &s);
	if (h->known >= h->listeners || h->known == SENTINELS_MAX)
		tell_next(h);
}

static void counted(struct red_hunt *h, const redisReply *r)
{
	const redisReply *n = r->type == REDIS_REPLY_ARRAY && r->elements >= 2 ? r->element[1] : NULL;
	h->listeners = n != NULL && n->type == REDIS_REPLY_INTEGER && n->integer > 0 ? (uint64_t)n->integer : 0;
	if (h->listeners == 0)
		end(h, NULL);
}

/* All that have said something by now; whoever listens and says nothing is no Sentinel. */
static void on_silence(uv_timer_t *t)
{
	struct red_hunt *h = t->data;
	if (h->known > h->told)
		tell_next(h);
	else
		end(h, NULL);
}

static void on_settled(uv_timer_t *t)
{
	look_around(t->data);
}

/* ---- REMOVE */

static void removed(struct red_hunt *h)
{
	const struct red_sentinel *s = &h->one[h->told];
	char who[WHO_MAX];
	size_t at = strlen(h->text);
	where(s, who);
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

/* ---- both */

static void on_answer(void *ctx, const redisReply *r)
{
	struct red_hunt *h = ctx;
	struct dr_error e;
	char who[WHO_MAX];
	bool has_auth = (h->phase == LISTEN ? h->secret : h->sentinel_secret)[0] != '\0';
	unsigned at = h->answers++ + (has_auth ? 0 : 1); /* 0: AUTH */
	const char *no = red_refusal(r);
	if (no != NULL && h->phase == REMOVE && strstr(no, "No such master") != NULL)
		no = NULL; /* told by another agent meanwhile */
	if (no != NULL) {
		(void)red_error(no, &e);
		if (h->phase == REMOVE)
			where(&h->one[h->told], who);
		(void)dr_wrap(&e, "%s", h->phase == REMOVE ? who : "looking for Sentinels");
		end(h, &e);
	} else if (h->phase == REMOVE && at == 1) {
		removed(h);
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

static void tell_next(struct red_hunt *h)
{
	const struct red_sentinel *s = &h->one[h->told];
	char who[WHO_MAX];
	struct dr_error e;
	struct dr_buf b;
	if (!connect_to(h, REMOVE, &s->at, &e)) {
		where(s, who);
		(void)dr_wrap(&e, "%s", who);
		end(h, &e);
		return;
	}
	dr_buf_init(&b, RED_BYTES_MAX);
	if (h->sentinel_secret[0] != '\0')
		red_say(&b, "AUTH", h->sentinel_secret, NULL);
	red_say(&b, "SENTINEL", "REMOVE", s->name, NULL);
	say(h, &b);
}

static bool ask(struct red_hunt *h, struct dr_error *e)
{
	struct dr_buf b;
	if (!connect_to(h, LISTEN, &h->target.address, e))
		return false;
	dr_buf_init(&b, RED_BYTES_MAX);
	if (h->secret[0] != '\0' && h->target.user[0] != '\0')
		red_say(&b, "AUTH", h->target.user, h->secret, NULL);
	else if (h->secret[0] != '\0')
		red_say(&b, "AUTH", h->secret, NULL);
	red_say(&b, "PUBSUB", "NUMSUB", HELLO, NULL);
	red_say(&b, "SUBSCRIBE", HELLO, NULL);
	say(h, &b);
	(void)uv_timer_start(&h->timer, on_silence, SILENCE_MS, 0);
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
	h->rounds = 1;
	(void)dr_copy_text(h->secret, sizeof(h->secret), secret);
	(void)dr_copy_text(h->sentinel_secret, sizeof(h->sentinel_secret), sentinel_secret);
	(void)uv_timer_init(loop, &h->timer);
	h->timer.data = h;
	if (!ask(h, e)) {
		red_hunt_drop(h);
		return e->code;
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
