/* conn_io.c -- the bytes of a connection: socket to OpenSSL to frames, and back.
 *
 * OpenSSL reads straight from the chunk that the socket gave and writes into a buffer that all connections
 * of the context share, which then goes to the kernel in one write.  So a connection that waits for
 * nothing owns no buffer, and a message is copied once on its way. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "net/cert.h"
#include "net/conn_impl.h"
#include "net/verify.h"

enum {
	BROKEN_MS = 50, /* to read the peer's last words after writing to it failed */
	KEEPALIVE_S = 3 /* of silence before the kernel asks, then every second */
};

enum got { GOT_SOME, GOT_END, GOT_ERROR };

static int bio_read(BIO *b, char *to, int want)
{
	struct dr_conn_impl *s = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	size_t n = want > 0 ? (size_t)want : 0;
	if (s->chunk_len == 0) {
		BIO_set_retry_read(b);
		return -1;
	}
	if (n > s->chunk_len)
		n = s->chunk_len;
	memcpy(to, s->chunk, n);
	s->chunk += n;
	s->chunk_len -= n;
	return (int)n;
}

static int bio_write(BIO *b, const char *from, int n)
{
	struct dr_conn_impl *s = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	if (n <= 0)
		return 0;
	/* One connection's bytes must never go out on another's socket: whoever wrote here flushed before any
	 * callback could run. */
	dr_assert(s->tls->out.len == 0 || s->tls->out_of == s);
	s->tls->out_of = s;
	dr_buf_put(&s->tls->out, from, (size_t)n);
	return dr_buf_ok(&s->tls->out) ? n : -1;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void)b, (void)num, (void)ptr;
	return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

/* OpenSSL has few numbers for kinds of BIO, so there is one for the process. */
static void bio_method_make(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "drcoord connection");
	if (bio_method == NULL)
		return;
	(void)BIO_meth_set_read(bio_method, bio_read);
	(void)BIO_meth_set_write(bio_method, bio_write);
	(void)BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

static bool ssl_make(struct dr_conn_impl *s)
{
	(void)pthread_once(&bio_once, bio_method_make);
	s->ssl = SSL_new(s->tls->ctx);
	BIO *bio = bio_method != NULL ? BIO_new(bio_method) : NULL;
	if (s->ssl == NULL || bio == NULL) {
		BIO_free(bio);
		return false;
	}
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	SSL_set_bio(s->ssl, bio, bio);
	(void)SSL_set_app_data(s->ssl, s);
	if (s->accepted)
		SSL_set_accept_state(s->ssl);
	else
		SSL_set_connect_state(s->ssl);
	return true;
}

void dr_conn_broken(struct dr_conn_impl *s, int status)
{
	if (s->broken != 0)
		return;
	s->broken = status;
	if (s->phase == DR_PHASE_LEAVING) {
		dr_conn_gone(s);
		return;
	}
	if (s->lazy)
		dr_conn_read_on(s);
	dr_conn_timer(s, BROKEN_MS);
}

void dr_conn_flush(struct dr_conn_impl *s)
{
	struct dr_buf *out = &s->tls->out;
	if (out->len == 0)
		return;
	dr_assert(s->tls->out_of == s);
	if (s->phase != DR_PHASE_GONE && s->broken == 0) {
		int rv = dr_outq_put(&s->out, out->data, out->len);
		if (rv != 0)
			dr_conn_broken(s, rv);
	}
	dr_buf_clear(out);
	if (out->cap > DR_TLS_OUT_KEPT)
		dr_buf_close(out);
}

static void tls_why(struct dr_conn_impl *s)
{
	struct dr_error e = { 0 };
	enum dr_err code = dr_tls_why(s, &e);
	(void)dr_conn_why(s, code, "%s", e.msg);
}

static void tls_failed(struct dr_conn_impl *s)
{
	tls_why(s);
	dr_conn_leave(s, DR_LINGER_MS); /* sends the alert that OpenSSL made, if any */
}

bool dr_conn_encrypt(struct dr_conn_impl *s, const void *data, size_t len)
{
	size_t n = 0;
	ERR_clear_error();
	if (SSL_write_ex(s->ssl, data, len, &n) == 1) {
		dr_assert(n == len);
		return true;
	}
	tls_failed(s);
	return false;
}

static void send_gathered(struct dr_conn_impl *s)
{
	size_t at = 0;
	while (at < s->gathered.len && s->phase == DR_PHASE_OPEN && s->broken == 0) {
		size_t part = s->gathered.len - at < DR_FRAME_MAX ? s->gathered.len - at : DR_FRAME_MAX;
		if (!dr_conn_encrypt(s, s->gathered.data + at, part))
			break;
		dr_conn_flush(s);
		at += part;
	}
	dr_buf_clear(&s->gathered);
	if (s->gathered.cap > DR_TLS_OUT_KEPT)
		dr_buf_close(&s->gathered);
}

static void on_together(uv_idle_t *h)
{
	(void)uv_idle_stop(h);
	send_gathered(h->data);
}

bool dr_conn_gather(struct dr_conn_impl *s, uint16_t type, const void *payload, size_t len)
{
	uint8_t head[DR_FRAME_HEADER];
	dr_frame_header(head, type, payload, len);
	dr_buf_put(&s->gathered, head, sizeof(head));
	dr_buf_put(&s->gathered, payload, len);
	return dr_buf_ok(&s->gathered) && uv_idle_start(&s->together, on_together) == 0;
}

void dr_conn_gather_set(struct dr_conn *c)
{
	struct dr_conn_impl *s = c->impl;
	if (s == NULL || s->gathers || s->phase >= DR_PHASE_LEAVING || uv_idle_init(s->tcp.loop, &s->together) != 0)
		return;
	s->gathers = true;
	s->together.data = s;
	s->handles++;
	dr_buf_init(&s->gathered, DR_SEND_QUEUE_MAX + DR_FRAME_MAX);
}

static void on_together_closed(uv_handle_t *h)
{
	dr_conn_handle_closed(h->data);
}

void dr_conn_gather_close(struct dr_conn_impl *s)
{
	if (s->gathers)
		uv_close((uv_handle_t *)&s->together, on_together_closed);
}

void dr_conn_bye(struct dr_conn_impl *s)
{
	send_gathered(s);
	ERR_clear_error();
	(void)SSL_shutdown(s->ssl);
	ERR_clear_error();
	dr_conn_flush(s);
}

static void opened(struct dr_conn_impl *s)
{
	struct dr_error e = { 0 };
	const X509 *leaf = SSL_get0_peer_certificate(s->ssl);
	if (leaf == NULL || dr_cert_identity(leaf, &s->c->peer, &e) != DR_OK) {
		(void)dr_conn_why(s, DR_E_CERT, "peer without an identity: %s",
				  e.msg); /* dr_verify_cb() forbids it */
		dr_conn_gone(s);
		return;
	}
	s->c->peer_expires = dr_cert_time(X509_get0_notAfter(leaf));
	dr_listener_unlink(s);
	dr_listener_release(s);
	s->phase = DR_PHASE_OPEN;
	if (s->broken == 0) {
		(void)uv_timer_stop(&s->timer);
		if (s->idle_ms > 0)
			dr_conn_timer(s, s->idle_ms);
	}
	s->cbs->on_open(s->c);
}

static void handshake(struct dr_conn_impl *s)
{
	if (s->ssl == NULL && !ssl_make(s)) {
		ERR_clear_error();
		(void)dr_conn_why(s, DR_E_INTERNAL, "cannot make a TLS session");
		dr_conn_gone(s);
		return;
	}
	ERR_clear_error();
	int rv = SSL_do_handshake(s->ssl);
	int err = rv == 1 ? SSL_ERROR_NONE : SSL_get_error(s->ssl, rv);
	dr_conn_flush(s);
	if (rv == 1)
		opened(s);
	else if (err != SSL_ERROR_WANT_READ)
		tls_failed(s);
}

/* Decrypt what the chunk holds, as far as the buffer reaches; it always has room for a whole record, so
 * nothing stays inside OpenSSL but the beginning of a record, and without more bytes it need not be asked. */
static enum got decrypt(struct dr_conn_impl *s, size_t *len)
{
	enum got got = GOT_SOME;
	*len = 0;
	ERR_clear_error();
	while (s->chunk_len > 0 && *len + DR_TLS_RECORD_MAX <= DR_TLS_IN_MAX) {
		size_t n = 0;
		int rv = SSL_read_ex(s->ssl, s->tls->plain + *len, DR_TLS_IN_MAX - *len, &n);
		*len += n;
		if (rv == 1)
			continue;
		int err = SSL_get_error(s->ssl, rv);
		if (err == SSL_ERROR_WANT_READ)
			break;
		got = err == SSL_ERROR_ZERO_RETURN ? GOT_END : GOT_ERROR;
		if (got == GOT_ERROR)
			tls_why(s); /* now, before callbacks use OpenSSL's error queue */
		break;
	}
	dr_conn_flush(s); /* the answer to a key update, or an alert */
	return got;
}

static void deliver(struct dr_conn_impl *s, const uint8_t *data, size_t len)
{
	while (s->phase == DR_PHASE_OPEN && !s->holding) {
		struct dr_frame f;
		struct dr_error e = { 0 };
		bool have = false;
		enum dr_err rv = dr_frame_next(&s->reader, &data, &len, &f, &have, &e);
		if (rv != DR_OK) {
			char who[DR_WHO_MAX];
			dr_conn_who(s, who);
			(void)dr_conn_why(s, rv, "%s: %s", who, e.msg);
			dr_conn_gone(s);
			return;
		}
		if (!have)
			return;
		s->cbs->on_frame(s->c, f.type, f.payload, f.len);
	}
	if (s->phase == DR_PHASE_OPEN) {
		dr_buf_put(&s->plain, data, len);
		dr_assert(dr_buf_ok(&s->plain));
	}
}

/* The peer's stream is over: politely, cut off, or broken. */
static void peer_end(struct dr_conn_impl *s, enum dr_err code, const char *how)
{
	char who[DR_WHO_MAX];
	dr_conn_who(s, who);
	(void)dr_conn_why(s, code, "%s %s%s", who, how,
			  dr_frame_reader_inside(&s->reader) ? ", in the middle of a frame" : "");
	dr_conn_gone(s);
}

static bool may_go_on(const struct dr_conn_impl *s)
{
	return s->phase == DR_PHASE_OPEN && !s->holding;
}

static void process(struct dr_conn_impl *s)
{
	if (s->phase == DR_PHASE_HANDSHAKE)
		handshake(s);
	while (may_go_on(s) && s->chunk_len > 0) {
		size_t len = 0;
		enum got got = decrypt(s, &len);
		if (len > 0)
			deliver(s, s->tls->plain, len);
		if (got != GOT_SOME && s->phase == DR_PHASE_OPEN) {
			s->bye = got == GOT_END && s->holding; /* what came before it comes first */
			if (s->bye)
				break;
			if (got == GOT_END)
				peer_end(s, DR_E_CLOSED, "closed the connection");
			else
				dr_conn_leave(s, DR_LINGER_MS);
			break;
		}
		if (len == 0)
			break;
	}
	if (s->phase >= DR_PHASE_LEAVING)
		s->chunk_len = 0;
}

/* What holding left of the chunk outlives the shared buffer. */
static void keep_rest(struct dr_conn_impl *s)
{
	if (s->chunk_len > 0)
		dr_buf_put(&s->held, s->chunk, s->chunk_len);
	dr_assert(dr_buf_ok(&s->held));
	s->chunk = NULL;
	s->chunk_len = 0;
}

static void read_ended(struct dr_conn_impl *s, int status)
{
	if (s->phase == DR_PHASE_LEAVING)
		dr_conn_gone(s);
	else if (s->phase == DR_PHASE_HANDSHAKE)
		peer_end(s, DR_E_CLOSED,
			 status == UV_EOF ? "closed the connection during the TLS handshake"
					  : "broke the connection during the TLS handshake");
	else if (status == UV_EOF)
		peer_end(s, DR_E_CLOSED, "vanished: the connection ended without a goodbye");
	else if (status == UV_ETIMEDOUT)
		peer_end(s, DR_E_TIMEOUT, "acknowledges nothing any more");
	else
		peer_end(s, DR_E_CLOSED, uv_strerror(status));
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
	struct dr_conn_impl *s = h->data;
	(void)suggested;
	*out = uv_buf_init((char *)s->tls->in, DR_TLS_IN_MAX);
}

static void take(struct dr_conn_impl *s, const uint8_t *bytes, size_t n)
{
	s->heard_ms = uv_now(s->tcp.loop);
	s->chunk = bytes;
	s->chunk_len = n;
	process(s);
	keep_rest(s);
}

void dr_conn_lazy_set(struct dr_conn *c)
{
	struct dr_conn_impl *s = c->impl;
	if (s == NULL || s->phase != DR_PHASE_OPEN || s->broken != 0)
		return;
	s->lazy = true;
	(void)uv_read_stop((uv_stream_t *)&s->tcp);
}

void dr_conn_read_now(struct dr_conn *c)
{
	struct dr_conn_impl *s = c->impl;
	uv_os_fd_t fd = -1;
	if (s == NULL || !s->lazy || s->phase != DR_PHASE_OPEN || s->broken != 0 ||
	    uv_fileno((const uv_handle_t *)&s->tcp, &fd) != 0)
		return;
	ssize_t n = recv(fd, s->tls->in, DR_TLS_IN_MAX, MSG_DONTWAIT);
	if (n > 0)
		take(s, s->tls->in, (size_t)n);
	else if (n == 0)
		read_ended(s, UV_EOF);
	else if (errno != EAGAIN && errno != EINTR)
		read_ended(s, uv_translate_sys_error(errno));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct dr_conn_impl *s = stream->data;
	if (n == 0 || s->phase == DR_PHASE_GONE)
		return;
	if (n < 0)
		read_ended(s, (int)n);
	else
		take(s, (const uint8_t *)buf->base, (size_t)n);
}

void dr_conn_read_on(struct dr_conn_impl *s)
{
	(void)uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read); /* EALREADY is fine */
}

static void read_pause(struct dr_conn_impl *s)
{
	(void)uv_read_stop((uv_stream_t *)&s->tcp);
}

static void read_resume(struct dr_conn_impl *s)
{
	struct dr_buf was = s->held;
	dr_buf_init(&s->held, DR_TLS_IN_MAX);
	dr_conn_read_on(s);
	s->chunk = was.data;
	s->chunk_len = was.len;
	process(s);
	keep_rest(s);
	dr_buf_close(&was);
}

void dr_conn_hold(struct dr_conn *c)
{
	struct dr_conn_impl *s = c->impl;
	if (s == NULL || s->phase != DR_PHASE_OPEN)
		return;
	dr_assert(!s->lazy);
	s->holding = true;
	read_pause(s);
}

void dr_conn_resume(struct dr_conn *c)
{
	struct dr_conn_impl *s = c->impl;
	if (s == NULL || !s->holding || s->phase != DR_PHASE_OPEN)
		return;
	struct dr_buf was = s->plain;
	dr_buf_init(&s->plain, DR_TLS_IN_MAX);
	s->holding = false;
	deliver(s, was.data, was.len);
	dr_buf_close(&was);
	if (may_go_on(s) && s->bye)
		peer_end(s, DR_E_CLOSED, "closed the connection");
	else if (may_go_on(s))
		read_resume(s);
}

/* A peer that vanished must be noticed by a link that only sends and by one that only listens. */
static void socket_options(struct dr_conn_impl *s)
{
	uv_os_fd_t fd = -1;
	unsigned dead_after = DR_DEAD_AFTER_MS;
	int every_s = 1;
	(void)uv_tcp_nodelay(&s->tcp, 1);
	(void)uv_tcp_keepalive(&s->tcp, 1, KEEPALIVE_S);
	if (uv_fileno((const uv_handle_t *)&s->tcp, &fd) != 0)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_after, sizeof(dead_after));
}

void dr_conn_start(struct dr_conn_impl *s)
{
	s->phase = DR_PHASE_HANDSHAKE;
	s->heard_ms = uv_now(s->tcp.loop);
	socket_options(s);
	dr_conn_read_on(s);
	if (!s->accepted)
		handshake(s);
}
