/* link.c -- see link.h. */
#include "adapters/dns_rfc2136/link.h"

#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

enum { MESSAGE_MAX = 65535, READ_STEP = 4096, SEND_MAX = 4 * 65537 };

struct dr_dns_link {
	uv_tcp_t tcp;
	uv_connect_t connect;
	struct dr_dns_link_owner owner;
	struct dr_buf in;
	struct dr_buf waiting; /* to be sent once connected */
	bool connected;
	bool failed;
	bool dropped;
};

struct write {
	uv_write_t req;
	struct dr_buf bytes;
};

static void on_closed(uv_handle_t *h)
{
	struct dr_dns_link *l = h->data;
	struct dr_dns_link_owner owner = l->owner;
	dr_buf_close(&l->in);
	dr_buf_close(&l->waiting);
	dr_free(l);
	owner.gone(owner.ctx);
}

static void fail(struct dr_dns_link *l, enum dr_err code, const char *what, int uv_error)
{
	struct dr_error e;
	if (l->dropped || l->failed)
		return;
	l->failed = true;
	(void)dr_fail(&e, code, "%s: %s", what, uv_strerror(uv_error));
	l->owner.failed(l->owner.ctx, &e);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
	struct dr_dns_link *l = h->data;
	(void)hint;
	uint8_t *room = dr_buf_reserve(&l->in, READ_STEP);
	dr_assert(room != NULL); /* whole messages are taken out before the next read */
	*out = uv_buf_init((char *)room, READ_STEP);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct dr_dns_link *l = stream->data;
	(void)buf;
	if (n < 0) {
		fail(l, DR_E_CLOSED, "the server closed the connection", (int)n);
		return;
	}
	dr_buf_grow(&l->in, (size_t)n);
	size_t at = 0;
	while (!l->dropped && l->in.len - at >= 2) {
		size_t len = (size_t)l->in.data[at] << 8 | l->in.data[at + 1];
		if (l->in.len - at - 2 < len)
			break;
		l->owner.message(l->owner.ctx, l->in.data + at + 2, len);
		at += 2 + len;
	}
	if (!l->dropped)
		dr_buf_drop(&l->in, at);
}

static void on_written(uv_write_t *req, int status)
{
	struct write *w = (struct write *)req;
	struct dr_dns_link *l = req->data;
	dr_buf_close(&w->bytes);
	dr_free(w);
	if (status < 0)
		fail(l, DR_E_CLOSED, "cannot send", status);
}

static void write_waiting(struct dr_dns_link *l)
{
	struct write *w = dr_xcalloc(sizeof(*w));
	w->bytes = l->waiting;
	w->req.data = l;
	dr_buf_init(&l->waiting, SEND_MAX);
	uv_buf_t b = uv_buf_init((char *)w->bytes.data, (unsigned)w->bytes.len);
	/* An error of uv_write is left to the read side, which sees the same dead connection: so `failed` is
	 * never called from inside send. */
	if (uv_write(&w->req, (uv_stream_t *)&l->tcp, &b, 1, on_written) != 0) {
		dr_buf_close(&w->bytes);
		dr_free(w);
	}
}

static void on_connected(uv_connect_t *req, int status)
{
	struct dr_dns_link *l = req->data;
	if (l->dropped)
		return;
	if (status < 0) {
		fail(l, DR_E_UNREACHABLE, "cannot connect", status);
		return;
	}
	l->connected = true;
	(void)uv_tcp_nodelay(&l->tcp, 1);
	if (l->waiting.len > 0)
		write_waiting(l);
	int rc = uv_read_start((uv_stream_t *)&l->tcp, on_alloc, on_read);
	if (rc != 0)
		fail(l, DR_E_IO, "cannot read", rc);
}

enum dr_err dr_dns_link_open(struct dr_dns_link **out, uv_loop_t *loop, const struct dr_address *to,
			     const struct dr_dns_link_owner *owner, struct dr_error *e)
{
	struct sockaddr_storage addr;
	struct dr_dns_link *l = dr_xcalloc(sizeof(*l));

	*out = NULL;
	l->owner = *owner;
	dr_buf_init(&l->in, 2 + MESSAGE_MAX + READ_STEP);
	dr_buf_init(&l->waiting, SEND_MAX);
	(void)uv_tcp_init(loop, &l->tcp);
	l->tcp.data = l;
	l->connect.data = l;
	int rc = uv_ip4_addr(to->host, to->port, (struct sockaddr_in *)&addr);
	if (rc != 0)
		rc = uv_ip6_addr(to->host, to->port, (struct sockaddr_in6 *)&addr);
	if (rc == 0)
		rc = uv_tcp_connect(&l->connect, &l->tcp, (const struct sockaddr *)&addr, on_connected);
	if (rc != 0) {
		dr_dns_link_drop(l);
		return dr_fail(e, DR_E_UNREACHABLE, "cannot connect: %s", uv_strerror(rc));
	}
	*out = l;
	return DR_OK;
}

void dr_dns_link_send(struct dr_dns_link *l, const void *data, size_t len)
{
	dr_assert(len <= MESSAGE_MAX);
	dr_assert(!l->dropped);
	dr_buf_put_u16be(&l->waiting, (uint16_t)len);
	dr_buf_put(&l->waiting, data, len);
	dr_assert(dr_buf_ok(&l->waiting));
	if (l->connected && !l->failed)
		write_waiting(l);
}

bool dr_dns_link_connected(const struct dr_dns_link *l)
{
	return l->connected;
}

void dr_dns_link_drop(struct dr_dns_link *l)
{
	dr_assert(!l->dropped);
	l->dropped = true;
	uv_close((uv_handle_t *)&l->tcp, on_closed);
}
