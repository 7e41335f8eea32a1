/* peer.c -- peers that misbehave: one that is mute, one that passes bytes on a few at a time (rig.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

enum { CHUNK = 16, CHUNK_EVERY_MS = 1, REQUEST_MAX = 1024, QUEUE_MAX = 65536 };

/* One accepted connection; for a slow peer also the one onwards. */
struct end {
	uv_tcp_t tcp;
	struct rig_pipe *pipe;
	struct end *other;
	bool open;
	bool ended; /* its peer has closed: pass that on when everything was */
	size_t queued;
	char queue[QUEUE_MAX]; /* read from this end, to be written to the other */
};

struct rig_pipe {
	struct rig_pipe *next;
	struct rig_peer *peer;
	struct end in, out;
	uv_connect_t connect;
	uv_timer_t timer;
	bool timer_open;
};

struct write {
	uv_write_t req;
	char bytes[REQUEST_MAX];
};

static void on_closed(uv_handle_t *h)
{
	struct rig_peer *p = h->data;
	p->open--;
}

static void close_handle(struct rig_peer *p, uv_handle_t *h)
{
	h->data = p;
	uv_close(h, on_closed);
}

static void pipe_shut(struct rig_pipe *c)
{
	struct end *both[2] = { &c->in, &c->out };
	for (int i = 0; i < 2; i++) {
		if (both[i]->open)
			close_handle(c->peer, (uv_handle_t *)&both[i]->tcp);
		both[i]->open = false;
	}
	if (c->timer_open)
		close_handle(c->peer, (uv_handle_t *)&c->timer);
	c->timer_open = false;
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
	struct end *e = h->data;
	(void)hint;
	*out = uv_buf_init(e->queue + e->queued, (unsigned)(sizeof(e->queue) - e->queued));
}

static void on_read(uv_stream_t *st, ssize_t n, const uv_buf_t *buf)
{
	struct end *e = st->data;
	(void)buf;
	if (n >= 0) {
		e->queued += (size_t)n;
		return;
	}
	(void)uv_read_stop(st);
	e->ended = true;
}

static void on_written(uv_write_t *w, int status)
{
	(void)status;
	free(w);
}

static void move(struct end *e, size_t most)
{
	size_t n = e->queued < most ? e->queued : most;
	if (n == 0)
		return;
	struct write *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	memcpy(w->bytes, e->queue, n);
	memmove(e->queue, e->queue + n, e->queued - n);
	e->queued -= n;
	uv_buf_t b = uv_buf_init(w->bytes, (unsigned)n);
	if (uv_write(&w->req, (uv_stream_t *)&e->other->tcp, &b, 1, on_written) != 0)
		free(w);
}

static void on_timer(uv_timer_t *t)
{
	struct rig_pipe *c = t->data;
	move(&c->in, c->peer->whole_requests ? REQUEST_MAX : CHUNK);
	move(&c->out, CHUNK);
	if ((c->in.ended && c->in.queued == 0) || (c->out.ended && c->out.queued == 0))
		pipe_shut(c);
}

static void on_connected(uv_connect_t *req, int status)
{
	struct rig_pipe *c = req->data;
	if (!c->out.open)
		return;
	if (status < 0) {
		pipe_shut(c);
		return;
	}
	assert_int_equal(uv_read_start((uv_stream_t *)&c->in.tcp, on_alloc, on_read), 0);
	assert_int_equal(uv_read_start((uv_stream_t *)&c->out.tcp, on_alloc, on_read), 0);
	assert_int_equal(uv_timer_start(&c->timer, on_timer, CHUNK_EVERY_MS, CHUNK_EVERY_MS), 0);
}

static void open_end(struct rig_pipe *c, struct end *e, struct end *other)
{
	assert_int_equal(uv_tcp_init(&c->peer->rig->loop, &e->tcp), 0);
	e->tcp.data = e;
	e->pipe = c;
	e->other = other;
	e->open = true;
	c->peer->open++;
}

static void on_connection(uv_stream_t *st, int status)
{
	struct rig_peer *p = st->data;
	struct sockaddr_in to;
	assert_int_equal(status, 0);
	struct rig_pipe *c = calloc(1, sizeof(*c));
	assert_non_null(c);
	c->peer = p;
	c->next = p->pipes;
	p->pipes = c;
	p->accepted++;
	open_end(c, &c->in, &c->out);
	assert_int_equal(uv_accept(st, (uv_stream_t *)&c->in.tcp), 0);
	if (!p->slow)
		return;
	open_end(c, &c->out, &c->in);
	assert_int_equal(uv_timer_init(&p->rig->loop, &c->timer), 0);
	c->timer.data = c;
	c->timer_open = true;
	p->open++;
	c->connect.data = c;
	assert_int_equal(uv_ip4_addr(p->to.host, p->to.port, &to), 0);
	assert_int_equal(uv_tcp_connect(&c->connect, &c->out.tcp, (struct sockaddr *)&to, on_connected), 0);
}

static void peer_start(struct rig *r, struct rig_peer *p)
{
	struct sockaddr_in a;
	int len = sizeof(a);
	p->rig = r;
	assert_int_equal(uv_tcp_init(&r->loop, &p->listener), 0);
	p->open = 1;
	p->listener.data = p;
	assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &a), 0);
	assert_int_equal(uv_tcp_bind(&p->listener, (struct sockaddr *)&a, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&p->listener, 64, on_connection), 0);
	assert_int_equal(uv_tcp_getsockname(&p->listener, (struct sockaddr *)&a, &len), 0);
	(void)dr_copy_text(p->at.host, sizeof(p->at.host), "127.0.0.1");
	p->at.port = (uint16_t)((a.sin_port & 0xff) << 8 | a.sin_port >> 8);
}

void rig_mute_start(struct rig *r, struct rig_peer *p)
{
	memset(p, 0, sizeof(*p));
	peer_start(r, p);
}

void rig_slow_start(struct rig *r, struct rig_peer *p, const struct dr_address *to)
{
	memset(p, 0, sizeof(*p));
	p->slow = true;
	p->to = *to;
	peer_start(r, p);
}

void rig_peer_stop(struct rig_peer *p)
{
	close_handle(p, (uv_handle_t *)&p->listener);
	for (struct rig_pipe *c = p->pipes; c != NULL; c = c->next)
		pipe_shut(c);
	for (int i = 0; i < 1000 && p->open > 0; i++)
		(void)uv_run(&p->rig->loop, UV_RUN_ONCE);
	assert_int_equal(p->open, 0);
	while (p->pipes != NULL) {
		struct rig_pipe *next = p->pipes->next;
		free(p->pipes);
		p->pipes = next;
	}
}
