/* transport.c -- see transport.h. */
#include "raft/transport.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "raft/wire.h"
#include "sys/log.h"

/* An outgoing connection: being made, or pumping for libraft. */
struct dr_link {
	struct dr_conn conn;
	struct dr_transport *t;
	struct dr_link *next;
	struct raft_uv_connect *req; /* NULL once answered */
	raft_uv_connect_cb cb;
	uint64_t to;
	struct dr_name name;
};

/* A socketpair's end as the stream that libraft wants: allocated and freed its way. */
static struct uv_stream_s *stream_of(uv_loop_t *loop, int fd)
{
	uv_pipe_t *pipe = raft_malloc(sizeof *pipe);

	if (pipe == NULL || uv_pipe_init(loop, pipe, 0) != 0) {
		raft_free(pipe);
		(void)close(fd);
		return NULL;
	}
	if (uv_pipe_open(pipe, fd) != 0) {
		(void)close(fd);
		uv_close((uv_handle_t *)pipe, (uv_close_cb)raft_free);
		return NULL;
	}
	return (struct uv_stream_s *)pipe;
}

/* ---- dialling ---- */

/* Whether this is another reason than the last time for this member. */
static bool is_news(struct dr_transport *t, uint64_t id, enum dr_err err)
{
	unsigned at = 0;
	bool news;

	while (at < DR_COORDINATORS_MAX - 1 && t->said[at].id != id && t->said[at].id != 0)
		at++;
	news = t->said[at].id != id || t->said[at].err != err;
	t->said[at].id = id;
	t->said[at].err = err;
	return news;
}

static void answer(struct dr_link *l, struct uv_stream_s *stream, int status)
{
	struct raft_uv_connect *req = l->req;

	l->req = NULL;
	if (req != NULL)
		l->cb(req, stream, status);
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
	struct uv_stream_s *stream;
	struct dr_error e;
	int fd;

	if (type != DR_FRAME_HELLO_OK || dr_view_u64be(&v) != l->to || v.bad || l->req == NULL ||
	    dr_conn_detach(c, &fd, &e) != DR_OK || (stream = stream_of(l->t->loop, fd)) == NULL) {
		dr_conn_close(c, 0);
		return;
	}
	(void)is_news(l->t, l->to, DR_OK);
	dr_log(DR_LOG_INFO, "raft.link.open", "to=%s id=%" PRIu64, l->name.s, l->to);
	answer(l, stream, 0);
}

static void maybe_closed(struct dr_transport *t)
{
	if (t->closing && t->links == NULL && t->closed != NULL) {
		raft_uv_transport_close_cb closed = t->closed;

		t->closed = NULL;
		closed(&t->uv);
	}
}

static void on_closed(struct dr_conn *c, const struct dr_error *why)
{
	struct dr_link *l = c->ctx, **at;
	struct dr_transport *t = l->t;

	if (!t->closing && is_news(t, l->to, why->code) && why->code != DR_OK)
		dr_log(DR_LOG_WARN, "raft.link.closed", "to=%s id=%" PRIu64 " reason=\"%s\"", l->name.s,
		       l->to, why->msg);
	for (at = &t->links; *at != l; at = &(*at)->next)
		;
	*at = l->next;
	answer(l, NULL, t->closing ? RAFT_CANCELED : RAFT_NOCONNECTION);
	dr_free(l);
	maybe_closed(t);
}

static const struct dr_conn_cbs link_cbs = { on_open, on_frame, on_closed };

static int transport_connect(struct raft_uv_transport *uv, struct raft_uv_connect *req, raft_id id,
			     const char *address, raft_uv_connect_cb cb)
{
	struct dr_transport *t = uv->impl;
	struct dr_identity want = { .kind = DR_PEER_COORDINATOR };
	struct dr_link *l = dr_xcalloc(sizeof *l);
	struct dr_address to;
	struct dr_error e;

	*l = (struct dr_link){ .t = t, .req = req, .cb = cb, .to = id };
	l->conn.ctx = l;
	req->cb = cb;
	if (dr_raft_address_parse(address, &want.name, &to, &e) != DR_OK ||
	    dr_conn_connect(&l->conn, t->loop, t->tls, &to, &want, t->deadline_ms, &link_cbs, &e) != DR_OK) {
		dr_log(DR_LOG_WARN, "raft.link.failed", "to=%s reason=\"%s\"", address, e.msg);
		dr_free(l);
		return RAFT_NOCONNECTION;
	}
	l->name = want.name;
	l->next = t->links;
	t->links = l;
	return 0;
}

/* ---- accepting ---- */

struct checked {
	struct dr_conn_check check;
	struct dr_wire wire;
};

static enum dr_err check_take(struct dr_conn_check *k, const uint8_t *data, size_t len, struct dr_error *e)
{
	struct checked *c = (struct checked *)(void *)k;

	return dr_wire_take(&c->wire, data, len, e);
}

static void check_close(struct dr_conn_check *k)
{
	struct checked *c = (struct checked *)(void *)k;

	dr_wire_close(&c->wire);
	dr_free(c);
}

/* Nothing reaches libraft's decoders that they would believe too much of. */
static void check_all(struct dr_conn *c)
{
	struct checked *k = dr_xcalloc(sizeof *k);

	k->check = (struct dr_conn_check){ check_take, check_close };
	dr_wire_init(&k->wire);
	dr_conn_check_set(c, &k->check);
}

enum dr_err dr_transport_accept(struct dr_transport *t, struct dr_conn *c, const struct dr_raft_hello *h,
				struct dr_error *e)
{
	char address[DR_RAFT_ADDRESS_MAX];
	struct uv_stream_s *stream;
	uint8_t ok[8];
	enum dr_err rv;
	int fd;

	if (c->peer.kind != DR_PEER_COORDINATOR || !dr_name_eq(&c->peer.name, &h->name))
		return dr_fail(e, DR_E_AUTH, "hello of '%s' under the certificate of %s '%s'", h->name.s,
			       dr_peer_kind_name(c->peer.kind), c->peer.name.s);
	if (h->to != t->id)
		return dr_fail(e, DR_E_STALE, "hello of '%s' is for raft id %" PRIu64 ", this is %" PRIu64,
			       h->name.s, h->to, t->id);
	if (t->accept == NULL || t->closing)
		return dr_fail(e, DR_E_CLOSED, "not accepting");
	for (unsigned i = 0; i < 8; i++)
		ok[i] = (uint8_t)(t->id >> (8 * (7 - i)));
	rv = dr_conn_send(c, DR_FRAME_HELLO_OK, ok, sizeof ok);
	if (rv != DR_OK)
		return dr_fail(e, rv, "answer the hello of '%s'", h->name.s);
	rv = dr_conn_detach(c, &fd, e);
	if (rv != DR_OK)
		return rv;
	check_all(c);
	stream = stream_of(t->loop, fd);
	if (stream == NULL)
		return dr_fail(e, DR_E_INTERNAL, "no stream for '%s'", h->name.s);
	/* The very text of the membership: libraft drops a connection whose address differs from it. */
	dr_raft_address_format(&h->name, &h->address, address);
	t->accept(&t->uv, h->from, address, stream);
	return DR_OK;
}

/* ---- libraft's interface ---- */

static int transport_init(struct raft_uv_transport *uv, raft_id id, const char *address)
{
	(void)uv;
	(void)id;
	(void)address;
	return 0;
}

static int transport_listen(struct raft_uv_transport *uv, raft_uv_accept_cb cb)
{
	struct dr_transport *t = uv->impl;

	t->accept = cb;
	return 0;
}

static void transport_close(struct raft_uv_transport *uv, raft_uv_transport_close_cb cb)
{
	struct dr_transport *t = uv->impl;

	t->closing = true;
	t->closed = cb;
	for (struct dr_link *l = t->links; l != NULL; l = l->next)
		dr_conn_close(&l->conn, 0);
	maybe_closed(t);
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
	t->uv.version = 1;
	t->uv.impl = t;
	t->uv.init = transport_init;
	t->uv.listen = transport_listen;
	t->uv.connect = transport_connect;
	t->uv.close = transport_close;
}
