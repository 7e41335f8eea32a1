/* door.c -- see door.h. */
#include "adapters/mysql/door.h"

#include "base/assert.h"
#include "base/mem.h"

struct my_door {
	uv_tcp_t tcp;
	uv_connect_t connect;
	struct my_door_owner owner;
	bool closed, answered;
	char in[256];
};

static void on_closed(uv_handle_t *h)
{
	struct my_door *d = h->data;
	struct my_door_owner owner = d->owner;

	dr_free(d);
	owner.gone(owner.ctx);
}

void my_door_close(struct my_door *d)
{
	dr_assert(!d->closed);
	d->closed = true;
	uv_close((uv_handle_t *)&d->tcp, on_closed);
}

static void answer(struct my_door *d, const struct dr_error *e)
{
	if (d->closed || d->answered)
		return;
	d->answered = true;
	(void)uv_read_stop((uv_stream_t *)&d->tcp);
	d->owner.answered(d->owner.ctx, e);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
	struct my_door *d = h->data;
	(void)hint;
	*out = uv_buf_init(d->in, sizeof(d->in));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct my_door *d = s->data;
	struct dr_error e;

	(void)buf;
	if (n == 0)
		return;
	if (n < 0)
		(void)dr_fail(&e, DR_E_CLOSED, "the server closed the connection: %s", uv_strerror((int)n));
	answer(d, n < 0 ? &e : NULL);
}

static void on_connected(uv_connect_t *req, int status)
{
	struct my_door *d = req->data;
	struct dr_error e;

	if (d->closed)
		return;
	int rc = status < 0 ? status : uv_read_start((uv_stream_t *)&d->tcp, on_alloc, on_read);
	if (rc < 0) {
		(void)dr_fail(&e, DR_E_UNREACHABLE, "cannot connect: %s", uv_strerror(rc));
		answer(d, &e);
	}
}

enum dr_err my_door_open(struct my_door **out, uv_loop_t *loop, const struct dr_address *at, const struct my_door_owner *owner,
			 struct dr_error *e)
{
	struct sockaddr_storage to;
	struct my_door *d = dr_xcalloc(sizeof(*d));

	d->owner = *owner;
	(void)uv_tcp_init(loop, &d->tcp);
	d->tcp.data = d->connect.data = d;
	int rc = uv_ip4_addr(at->host, at->port, (struct sockaddr_in *)(void *)&to);
	if (rc != 0)
		rc = uv_ip6_addr(at->host, at->port, (struct sockaddr_in6 *)(void *)&to);
	if (rc == 0)
		rc = uv_tcp_connect(&d->connect, &d->tcp, (const struct sockaddr *)(const void *)&to, on_connected);
	if (rc != 0) {
		my_door_close(d);
		return dr_fail(e, DR_E_UNREACHABLE, "cannot connect: %s", uv_strerror(rc));
	}
	*out = d;
	return DR_OK;
}
