/* pump.c -- dr_conn_detach(): decrypted bytes to one end of a socketpair and back.
 *
 * For code that wants a plain stream of its own, which is libraft.  Each direction holds at most
 * HIGH_WATER bytes and what one read brings; past that its source is not read until LOW_WATER.  The end
 * of either side becomes the end of the other, after what was in hand has been passed on. */
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/conn_impl.h"

enum {
	HIGH_WATER = 1 << 20,
	LOW_WATER = 1 << 18,
	END_MS = 1000,     /* to send what the inner end left */
	PEER_END_MS = 5000 /* for the inner end to take what the peer left */
};

struct dr_pump {
	struct dr_conn_impl *s;
	uv_pipe_t inner;
	struct dr_outq q; /* to the inner end */
	struct dr_conn_check *check; /* NULL: any bytes pass */
	bool inner_paused;
	bool outer_paused;
	bool peer_ended;
};

static void inner_end(struct dr_conn_impl *s)
{
	if (s->phase != DR_PHASE_PUMP)
		return;
	if (s->pump->peer_ended) {
		dr_conn_gone(s);
		return;
	}
	char who[DR_WHO_MAX];
	dr_conn_who(s, who);
	(void)dr_conn_why(s, DR_E_CLOSED, "the stream to %s was closed on this side", who);
	dr_conn_bye(s);
	dr_conn_leave(s, END_MS);
}

static void on_inner_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
	struct dr_pump *p = h->data;
	(void)suggested;
	*out = uv_buf_init((char *)p->s->tls->in, DR_TLS_IN_MAX);
}

static void on_inner_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct dr_pump *p = stream->data;
	struct dr_conn_impl *s = p->s;
	if (n == 0 || s->phase != DR_PHASE_PUMP)
		return;
	if (n < 0) {
		inner_end(s);
		return;
	}
	if (p->peer_ended || s->broken != 0)
		return; /* nobody is left to read it; only the inner end's own end is waited for */
	if (!dr_conn_encrypt(s, buf->base, (size_t)n))
		return;
	dr_conn_flush(s);
	if (dr_outq_size(&s->out) > HIGH_WATER) {
		p->inner_paused = true;
		(void)uv_read_stop(stream);
	}
}

static void inner_read_on(struct dr_pump *p)
{
	p->inner_paused = false;
	(void)uv_read_start((uv_stream_t *)&p->inner, on_inner_alloc, on_inner_read);
}

void dr_pump_sent(struct dr_conn_impl *s)
{
	if (s->pump->inner_paused && dr_outq_size(&s->out) < LOW_WATER)
		inner_read_on(s->pump);
}

static void on_inner_moved(void *ctx, int status)
{
	struct dr_pump *p = ctx;
	struct dr_conn_impl *s = p->s;
	if (s->phase != DR_PHASE_PUMP)
		return;
	if (status != 0) {
		inner_end(s);
	} else if (p->peer_ended) {
		if (dr_outq_size(&p->q) == 0)
			dr_conn_gone(s);
	} else if (p->outer_paused && dr_outq_size(&p->q) < LOW_WATER) {
		p->outer_paused = false;
		dr_conn_read_resume(s);
	}
}

bool dr_pump_wants(const struct dr_conn_impl *s)
{
	return !s->pump->outer_paused && !s->pump->peer_ended;
}

void dr_pump_take(struct dr_conn_impl *s, const uint8_t *data, size_t len)
{
	struct dr_pump *p = s->pump;
	struct dr_error e = { .code = DR_OK };
	if (len == 0)
		return;
	if (p->check != NULL && p->check->take(p->check, data, len, &e) != DR_OK) {
		char who[DR_WHO_MAX];
		dr_conn_who(s, who);
		(void)dr_conn_why(s, e.code, "%s: %s", who, e.msg);
		dr_conn_gone(s);
		return;
	}
	if (dr_outq_put(&p->q, data, len) != 0) {
		inner_end(s);
		return;
	}
	if (dr_outq_size(&p->q) > HIGH_WATER) {
		p->outer_paused = true;
		dr_conn_read_pause(s);
	}
}

void dr_pump_peer_end(struct dr_conn_impl *s)
{
	dr_assert(s->why != NULL);
	s->pump->peer_ended = true;
	dr_conn_read_pause(s);
	if (dr_outq_size(&s->pump->q) == 0)
		dr_conn_gone(s);
	else
		dr_conn_timer(s, PEER_END_MS);
}

static void on_inner_closed(uv_handle_t *h)
{
	struct dr_pump *p = h->data;
	dr_conn_handle_closed(p->s);
}

void dr_pump_stop(struct dr_conn_impl *s)
{
	if (s->pump != NULL && !uv_is_closing((uv_handle_t *)&s->pump->inner))
		uv_close((uv_handle_t *)&s->pump->inner, on_inner_closed);
}

void dr_pump_free(struct dr_conn_impl *s)
{
	if (s->pump == NULL)
		return;
	dr_outq_close(&s->pump->q);
	if (s->pump->check != NULL)
		s->pump->check->close(s->pump->check);
	dr_free(s->pump);
	s->pump = NULL;
}

enum dr_err dr_conn_detach(struct dr_conn *c, int *fd, struct dr_error *e)
{
	struct dr_conn_impl *s = c->impl;
	int pair[2];
	if (s == NULL || s->phase != DR_PHASE_OPEN || s->broken != 0)
		return dr_fail(e, DR_E_CLOSED, "the connection is not open");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
		return dr_fail_errno(e, errno, "cannot make a socket pair");
	struct dr_pump *p = dr_xcalloc(sizeof(*p));
	p->s = s;
	s->pump = p;
	int rv = uv_pipe_init(s->tcp.loop, &p->inner, 0);
	dr_assert(rv == 0);
	p->inner.data = p;
	s->handles++;
	dr_outq_init(&p->q, (uv_stream_t *)&p->inner, on_inner_moved, p);
	rv = uv_pipe_open(&p->inner, pair[0]);
	if (rv != 0) {
		(void)close(pair[0]);
		(void)close(pair[1]);
		(void)dr_conn_why(s, DR_E_IO, "cannot use a socket pair: %s", uv_strerror(rv));
		dr_conn_gone(s);
		return dr_fail(e, DR_E_IO, "cannot use a socket pair: %s", uv_strerror(rv));
	}
	s->phase = DR_PHASE_PUMP;
	inner_read_on(p);
	*fd = pair[1];
	return DR_OK;
}

void dr_conn_check_set(struct dr_conn *c, struct dr_conn_check *k)
{
	struct dr_conn_impl *s = c->impl;
	dr_assert(s != NULL && s->phase == DR_PHASE_PUMP);
	dr_assert(s->pump->check == NULL);
	s->pump->check = k;
}
