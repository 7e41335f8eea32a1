/* transport.c -- see transport.h. */
#include "raft/transport.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/said.h"
#include "raft/message.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	AGAIN_MS = 200, /* after a link broke or could not be made, and up to half as much again */
	LINKS_MAX = 2 * DR_COORDINATORS_MAX, /* ids change when a member is replaced */
	WAITING_CLOSED = 3, /* messages that wait for a link to be made */
	WAITING_OPEN = 64,  /* and for a peer that takes them slowly, ... */
	WAITING_BYTES = 4 << 20, /* ... of these bytes: older ones give way, libraft says it again */
	PART = 256 << 10,   /* bytes of a message in one frame */
	HIGH_WATER = 1 << 20,
	KEPT = 64 << 10     /* bytes of the buffer that outlive their message */
};

/* A message that libraft waits for the end of. */
struct dr_sent {
	struct dr_sent *next;
	struct raft_io_send *req;
	raft_io_send_cb cb;
	int status;
};

struct waiting {
	struct waiting *next;
	struct dr_sent *sent;
	struct dr_buf bytes;
	size_t at; /* how many have gone */
};

/* The way to one member: being made, open, or broken and to be made again. */
struct dr_link {
	struct dr_conn conn;
	struct dr_transport *t;
	struct dr_link *next;
	uint64_t to;
	char address[DR_RAFT_ADDRESS_MAX]; /* as the membership has it */
	struct dr_name name;
	struct dr_said said;
	bool live; /* conn is in use */
	bool open; /* and the other side said that it is whom we want */
	uint64_t again_ms;
	struct waiting *head, **tail;
	unsigned n;
	size_t bytes; /* of those that wait, but for one that has begun to go */
};

/* ---- telling libraft ---- */

static void tell_all(struct dr_transport *t)
{
	while (t->sent != NULL) {
		struct dr_sent s = *t->sent;

		dr_free(t->sent);
		t->sent = s.next;
		if (t->sent == NULL)
			t->sent_tail = &t->sent;
		s.cb(s.req, s.status);
	}
}

static void on_tell(uv_prepare_t *h)
{
	struct dr_transport *t = h->data;

	(void)uv_prepare_stop(h);
	tell_all(t);
}

/* Not at once: libraft is in the middle of the step that sends. */
static void tell(struct dr_transport *t, struct dr_sent *s, int status)
{
	s->status = status;
	s->next = NULL;
	*t->sent_tail = s;
	t->sent_tail = &s->next;
	if (!t->closing)
		(void)uv_prepare_start(&t->tell, on_tell);
}

/* ---- a link's queue ---- */

static void drop(struct dr_link *l, struct waiting **at, int status)
{
	struct waiting *w = *at;

	*at = w->next;
	if (*at == NULL)
		l->tail = at;
	l->n--;
	l->bytes -= w->at == 0 ? w->bytes.len : 0;
	tell(l->t, w->sent, status);
	dr_buf_close(&w->bytes);
	dr_free(w);
}

static void drop_all(struct dr_link *l, int status)
{
	while (l->head != NULL)
		drop(l, &l->head, status);
}

/* The oldest give way, but not one that has begun. */
static void make_way(struct dr_link *l, size_t bytes)
{
	unsigned most = l->open ? WAITING_OPEN : WAITING_CLOSED;

	while (l->n >= most || (l->n > 0 && l->bytes + bytes > WAITING_BYTES)) {
		struct waiting **at = l->head->at == 0 ? &l->head : &l->head->next;

		if (*at == NULL)
			break;
		drop(l, at, RAFT_NOCONNECTION);
	}
}

/* As much as the connection takes without keeping much of it. */
static void pump(struct dr_link *l)
{
	while (l->open && l->head != NULL && dr_conn_queued(&l->conn) < HIGH_WATER) {
		struct waiting *w = l->head;
		size_t left = w->bytes.len - w->at, part = left < PART ? left : PART;
		uint16_t type = part == left ? DR_FRAME_RAFT : DR_FRAME_RAFT_PART;

		if (dr_conn_send(&l->conn, type, w->bytes.data + w->at, part) != DR_OK)
			return; /* it ends, and what waits with it */
		l->bytes -= w->at == 0 ? w->bytes.len : 0;
		w->at += part;
		if (w->at == w->bytes.len)
			drop(l, &l->head, 0);
	}
}

static void on_drain(struct dr_conn *c)
{
	pump(c->ctx);
}

/* The message in hand joins those that wait. */
static void enqueue(struct dr_link *l, struct dr_sent *s)
{
	struct waiting *w = dr_xcalloc(sizeof *w);

	make_way(l, l->t->bytes.len);
	l->bytes += l->t->bytes.len;
	*w = (struct waiting){ .sent = s, .bytes = l->t->bytes };
	dr_buf_init(&l->t->bytes, DR_MESSAGE_MAX);
	*l->tail = w;
	l->tail = &w->next;
	l->n++;
}

/* ---- dialling ---- */

/* In the log, but not each time of a link that comes and goes. */
static void say(struct dr_link *l, const char *event, const struct dr_error *why)
{
	unsigned left_out;
	char more[32] = "";

	if (!dr_said_is_news(&l->said, why->code, uv_now(l->t->loop), &left_out))
		return;
	if (left_out > 0)
		(void)snprintf(more, sizeof more, " left_out=%u", left_out);
	if (why->code == DR_OK)
		dr_log(DR_LOG_INFO, event, "to=%s id=%" PRIu64 "%s", l->name.s, l->to, more);
	else
		dr_log(DR_LOG_WARN, event, "to=%s id=%" PRIu64 " reason=\"%s\"%s", l->name.s, l->to, why->msg, more);
}

/* That it is open may have been left out before; the log should not end with the opposite. */
static void say_open(struct dr_link *l)
{
	const struct dr_error well = { .code = DR_OK };

	if (l->open)
		say(l, "raft.link.open", &well);
}

static void on_open(struct dr_conn *c)
{
	struct dr_link *l = c->ctx;
	struct dr_raft_hello h = {
		.from = l->t->id, .to = l->to, .name = l->t->name, .address = l->t->address
	};
	struct dr_buf b;

	dr_buf_init(&b, 512);
	dr_raft_hello_encode(&h, &b);
	if (!dr_buf_ok(&b) || dr_conn_send(c, DR_FRAME_HELLO, b.data, b.len) != DR_OK)
		dr_conn_close(c, 0);
	dr_buf_close(&b);
}

static void on_frame(struct dr_conn *c, uint16_t type, const uint8_t *payload, size_t len)
{
	struct dr_link *l = c->ctx;
	struct dr_view v = dr_view_of(payload, len);

	if (l->open || type != DR_FRAME_HELLO_OK || dr_view_u64be(&v) != l->to || v.bad) {
		dr_conn_close(c, 0);
		return;
	}
	l->open = true;
	say_open(l);
	pump(l);
}

static void maybe_closed(struct dr_transport *t)
{
	if (t->closing && t->closes == 0 && t->links == NULL && t->closed != NULL) {
		raft_uv_transport_close_cb closed = t->closed;

		t->closed = NULL;
		dr_buf_close(&t->bytes);
		closed(&t->uv);
	}
}

static void unlink_link(struct dr_link *l)
{
	struct dr_transport *t = l->t;
	struct dr_link **at = &t->links;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	t->n_links--;
	dr_free(l);
}

static void on_again(uv_timer_t *h);

/* What still waits, or comes, does so until then. */
static void rest(struct dr_link *l)
{
	uint32_t wait = AGAIN_MS + (uint32_t)(dr_clock_boot_ns() / 1000 % (AGAIN_MS / 2));

	l->live = l->open = false;
	l->again_ms = uv_now(l->t->loop) + wait;
	if (l->head != NULL && !uv_is_active((uv_handle_t *)&l->t->again))
		(void)uv_timer_start(&l->t->again, on_again, wait, 0);
}

static void on_closed(struct dr_conn *c, const struct dr_error *why)
{
	struct dr_link *l = c->ctx;
	struct dr_transport *t = l->t;

	if (t->closing) {
		unlink_link(l);
		maybe_closed(t);
		return;
	}
	if (why->code != DR_OK)
		say(l, "raft.link.closed", why);
	if (l->open)
		drop_all(l, RAFT_NOCONNECTION);
	rest(l);
}

static const struct dr_conn_cbs link_cbs = { on_open, on_frame, on_closed };

static void dial(struct dr_link *l)
{
	struct dr_transport *t = l->t;
	struct dr_identity want = { .kind = DR_PEER_COORDINATOR };
	struct dr_address to;
	struct dr_error e;

	l->conn = (struct dr_conn){ .ctx = l };
	enum dr_err rv = dr_raft_address_parse(l->address, &want.name, &to, &e);

	l->name = want.name;
	if (rv != DR_OK ||
	    dr_conn_connect(&l->conn, t->loop, t->tls, &to, &want, t->deadline_ms, &link_cbs, &e) != DR_OK) {
		say(l, "raft.link.failed", &e);
		rest(l);
		return;
	}
	dr_conn_drain_set(&l->conn, on_drain);
	l->live = true;
}

static void dial_if_due(struct dr_link *l)
{
	if (l->live || l->head == NULL)
		return;
	if (uv_now(l->t->loop) >= l->again_ms)
		dial(l);
	else if (!uv_is_active((uv_handle_t *)&l->t->again))
		(void)uv_timer_start(&l->t->again, on_again, l->again_ms - uv_now(l->t->loop), 0);
}

static void on_again(uv_timer_t *h)
{
	struct dr_transport *t = h->data;

	for (struct dr_link *l = t->links; l != NULL && !t->closing; l = l->next)
		dial_if_due(l);
}

/* ---- sending ---- */

/* One that is not in use gives its place to a new id. */
static bool make_room(struct dr_transport *t)
{
	for (struct dr_link *l = t->links; l != NULL && t->n_links >= LINKS_MAX; l = l->next) {
		if (!l->live) {
			drop_all(l, RAFT_NOCONNECTION);
			unlink_link(l);
			break;
		}
	}
	return t->n_links < LINKS_MAX;
}

static struct dr_link *link_to(struct dr_transport *t, uint64_t id, const char *address)
{
	struct dr_link *l = t->links;

	while (l != NULL && l->to != id)
		l = l->next;
	if (l == NULL && make_room(t)) {
		l = dr_xcalloc(sizeof *l);
		*l = (struct dr_link){ .t = t, .next = t->links, .to = id };
		l->tail = &l->head;
		t->links = l;
		t->n_links++;
	}
	if (l != NULL && !l->live)
		(void)dr_copy_text(l->address, sizeof l->address, address);
	return l;
}

static bool send_now(struct dr_link *l)
{
	const struct dr_buf *b = &l->t->bytes;

	return l->open && l->head == NULL && b->len <= PART && dr_conn_queued(&l->conn) < HIGH_WATER &&
	       dr_conn_send(&l->conn, DR_FRAME_RAFT, b->data, b->len) == DR_OK;
}

static void send_in_hand(struct dr_link *l, struct dr_sent *s)
{
	say_open(l);
	if (send_now(l)) {
		tell(l->t, s, 0);
		return;
	}
	enqueue(l, s);
	pump(l);
	dial_if_due(l);
}

int dr_transport_send(struct dr_transport *t, struct raft_io_send *req, const struct raft_message *m,
		      raft_io_send_cb cb)
{
	struct dr_sent *s;
	struct dr_link *l;

	if (t->closing)
		return RAFT_CANCELED;
	l = link_to(t, m->server_id, m->server_address);
	s = dr_xcalloc(sizeof *s);
	*s = (struct dr_sent){ .req = req, .cb = cb };
	req->cb = cb;
	if (l != NULL && dr_message_encode(&t->bytes, t->id, m))
		send_in_hand(l, s);
	else
		tell(t, s, RAFT_NOCONNECTION);
	if (t->bytes.cap > KEPT || !dr_buf_ok(&t->bytes)) {
		dr_buf_close(&t->bytes);
		dr_buf_init(&t->bytes, DR_MESSAGE_MAX);
	}
	dr_buf_clear(&t->bytes);
	return 0;
}

/* ---- accepting ---- */

enum dr_err dr_transport_accept(struct dr_transport *t, struct dr_conn *c, const struct dr_raft_hello *h,
				struct dr_error *e)
{
	uint8_t ok[8];
	enum dr_err rv;

	if (c->peer.kind != DR_PEER_COORDINATOR || !dr_name_eq(&c->peer.name, &h->name))
		return dr_fail(e, DR_E_AUTH, "hello of '%s' under the certificate of %s '%s'", h->name.s,
			       dr_peer_kind_name(c->peer.kind), c->peer.name.s);
	if (h->to != t->id)
		return dr_fail(e, DR_E_STALE, "hello of '%s' is for raft id %" PRIu64 ", this is %" PRIu64,
			       h->name.s, h->to, t->id);
	if (!t->started || t->closing)
		return dr_fail(e, DR_E_CLOSED, "not accepting");
	for (unsigned i = 0; i < 8; i++)
		ok[i] = (uint8_t)(t->id >> (8 * (7 - i)));
	rv = dr_conn_send(c, DR_FRAME_HELLO_OK, ok, sizeof ok);
	return rv == DR_OK ? DR_OK : dr_fail(e, rv, "answer the hello of '%s'", h->name.s);
}

/* ---- libraft's interface ---- */

static int transport_init(struct raft_uv_transport *uv, raft_id id, const char *address)
{
	(void)uv, (void)id, (void)address;
	return 0;
}

static int transport_listen(struct raft_uv_transport *uv, raft_uv_accept_cb cb)
{
	(void)uv, (void)cb;
	return 0;
}

static int transport_connect(struct raft_uv_transport *uv, struct raft_uv_connect *req, raft_id id,
			     const char *address, raft_uv_connect_cb cb)
{
	(void)uv, (void)req, (void)id, (void)address, (void)cb;
	return RAFT_NOCONNECTION; /* only its own send would ask */
}

static void on_handle_closed(uv_handle_t *h)
{
	struct dr_transport *t = h->data;

	t->closes--;
	maybe_closed(t);
}

/* libraft wants to hear of all that it sent before its close is over. */
static void close_links(struct dr_transport *t)
{
	struct dr_link *next;

	for (struct dr_link *l = t->links; l != NULL; l = next) {
		next = l->next;
		drop_all(l, RAFT_CANCELED);
		if (l->live)
			dr_conn_close(&l->conn, 0);
		else
			unlink_link(l);
	}
	tell_all(t);
}

static void transport_close(struct raft_uv_transport *uv, raft_uv_transport_close_cb cb)
{
	struct dr_transport *t = uv->impl;

	t->closing = true;
	t->closed = cb;
	close_links(t);
	if (t->started) {
		t->closes = 2;
		uv_close((uv_handle_t *)&t->tell, on_handle_closed);
		uv_close((uv_handle_t *)&t->again, on_handle_closed);
	}
	maybe_closed(t);
}

void dr_transport_start(struct dr_transport *t)
{
	(void)uv_prepare_init(t->loop, &t->tell);
	(void)uv_timer_init(t->loop, &t->again);
	t->tell.data = t->again.data = t;
	t->started = true;
}

void dr_transport_init(struct dr_transport *t, uv_loop_t *loop, struct dr_tls *tls, uint64_t id,
		       const struct dr_name *name, const struct dr_address *address, uint32_t deadline_ms)
{
	*t = (struct dr_transport){ .loop = loop,
				    .tls = tls,
				    .id = id,
				    .name = *name,
				    .address = *address,
				    .deadline_ms = deadline_ms };
	t->sent_tail = &t->sent;
	dr_buf_init(&t->bytes, DR_MESSAGE_MAX);
	t->uv.version = 1;
	t->uv.impl = t;
	t->uv.init = transport_init;
	t->uv.listen = transport_listen;
	t->uv.connect = transport_connect;
	t->uv.close = transport_close;
}
