/* conn.c -- the life of a connection: connect, send, leave, end.  Bytes are conn_io.c's.  See conn_impl.h. */
#include "net/conn.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/cert.h"
#include "net/conn_impl.h"

void dr_conn_who(const struct dr_conn_impl *s, char out[DR_WHO_MAX])
{
	char id[DR_CERT_TEXT_MAX / 2] = "";
	const struct dr_address *a = &s->c->remote;
	bool v6 = strchr(a->host, ':') != NULL;
	if (s->c->peer.kind != DR_PEER_NONE)
		dr_identity_text(&s->c->peer, id, sizeof(id));
	(void)snprintf(out, DR_WHO_MAX, "%s%s%s%s%s:%u", id, id[0] != '\0' ? " at " : "", v6 ? "[" : "",
		       a->host, v6 ? "]" : "", a->port);
}

enum dr_err dr_conn_why(struct dr_conn_impl *s, enum dr_err code, const char *fmt, ...)
{
	if (s->why != NULL)
		return code;
	s->why = dr_xcalloc(sizeof(*s->why));
	if (code == DR_OK)
		return code;
	char made[DR_ERROR_MSG_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(made, sizeof(made), fmt, ap);
	va_end(ap);
	return dr_fail(s->why, code, "%s", made);
}

static void finish(struct dr_conn_impl *s)
{
	struct dr_conn *c = s->c;
	struct dr_error why = { .code = DR_E_INTERNAL };
	if (s->why != NULL)
		why = *s->why;
	dr_outq_close(&s->out);
	dr_frame_reader_close(&s->reader);
	dr_buf_close(&s->held);
	dr_buf_close(&s->plain);
	dr_buf_close(&s->gathered);
	SSL_free(s->ssl);
	dr_free(s->why);
	dr_free(s->refused);
	dr_tls_close(s->tls);
	c->impl = NULL;
	s->cbs->on_closed(c, &why);
	dr_listener_release(s); /* after on_closed, so that the listener ends after its connections */
	dr_free(s);
}

void dr_conn_handle_closed(struct dr_conn_impl *s)
{
	dr_assert(s->handles > 0);
	if (--s->handles == 0)
		finish(s);
}

static void on_handle_closed(uv_handle_t *h)
{
	dr_conn_handle_closed(h->data);
}

void dr_conn_gone(struct dr_conn_impl *s)
{
	if (s->phase == DR_PHASE_GONE)
		return;
	s->phase = DR_PHASE_GONE;
	dr_listener_unlink(s);
	uv_close((uv_handle_t *)&s->timer, on_handle_closed);
	uv_close((uv_handle_t *)&s->tcp, on_handle_closed);
	dr_conn_gather_close(s);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
	(void)req, (void)status; /* the peer's end or the timer comes next */
}

/* Say goodbye once everything is out. */
static void shut_when_sent(struct dr_conn_impl *s)
{
	if (s->shut || s->broken != 0 || dr_outq_size(&s->out) > 0)
		return;
	s->shut = true;
	if (uv_shutdown(&s->shutdown, (uv_stream_t *)&s->tcp, on_shutdown) != 0)
		dr_conn_gone(s);
}

void dr_conn_leave(struct dr_conn_impl *s, uint32_t linger_ms)
{
	if (s->phase >= DR_PHASE_LEAVING)
		return;
	dr_conn_flush(s);
	s->phase = DR_PHASE_LEAVING;
	if (linger_ms == 0 || s->broken != 0) {
		dr_conn_gone(s);
		return;
	}
	dr_conn_timer(s, linger_ms);
	dr_conn_read_on(s);
	shut_when_sent(s);
}

/* The timer has one meaning per phase: the deadline, idleness, or how long leaving may take. */
static void on_timer(uv_timer_t *t)
{
	struct dr_conn_impl *s = t->data;
	char who[DR_WHO_MAX];
	dr_conn_who(s, who);
	if (s->broken != 0) {
		(void)dr_conn_why(s, DR_E_CLOSED, "writing to %s failed: %s", who, uv_strerror(s->broken));
	} else if (s->phase == DR_PHASE_CONNECTING) {
		(void)dr_conn_why(s, DR_E_TIMEOUT, "%s did not answer within %u ms", who, s->deadline_ms);
	} else if (s->phase == DR_PHASE_HANDSHAKE) {
		(void)dr_conn_why(s, DR_E_TIMEOUT, "%s did not finish the TLS handshake within %u ms", who,
				  s->deadline_ms);
	} else if (s->phase != DR_PHASE_LEAVING && s->why == NULL) {
		uint64_t silent = uv_now(t->loop) - s->heard_ms;
		if (silent < s->idle_ms) {
			dr_conn_timer(s, s->idle_ms - silent);
			return;
		}
		(void)dr_conn_why(s, DR_E_TIMEOUT, "%s was silent for %u ms", who, s->idle_ms);
	}
	dr_conn_gone(s);
}

void dr_conn_timer(struct dr_conn_impl *s, uint64_t ms)
{
	if (!uv_is_closing((uv_handle_t *)&s->timer))
		(void)uv_timer_start(&s->timer, on_timer, ms, 0);
}

static void on_out_moved(void *ctx, int status)
{
	struct dr_conn_impl *s = ctx;
	if (s->phase == DR_PHASE_GONE)
		return;
	if (status != 0)
		dr_conn_broken(s, status);
	else if (s->phase == DR_PHASE_LEAVING)
		shut_when_sent(s);
	else if (s->phase == DR_PHASE_OPEN && s->on_drain != NULL)
		s->on_drain(s->c);
}

struct dr_conn_impl *dr_conn_make(struct dr_conn *c, uv_loop_t *loop, struct dr_tls *tls,
				  const struct dr_conn_cbs *cbs, uint32_t deadline_ms)
{
	dr_assert(c->impl == NULL);
	struct dr_conn_impl *s = dr_xcalloc(sizeof(*s));
	s->c = c;
	s->cbs = cbs;
	s->tls = dr_tls_ref(tls);
	s->deadline_ms = deadline_ms;
	s->handles = 2;
	dr_frame_reader_init(&s->reader);
	dr_buf_init(&s->held, DR_TLS_IN_MAX);
	dr_buf_init(&s->plain, DR_TLS_IN_MAX);
	int rv = uv_tcp_init(loop, &s->tcp);
	dr_assert(rv == 0); /* it makes no socket yet */
	rv = uv_timer_init(loop, &s->timer);
	dr_assert(rv == 0);
	s->tcp.data = s;
	s->timer.data = s;
	dr_outq_init(&s->out, (uv_stream_t *)&s->tcp, on_out_moved, s);
	c->impl = s;
	c->peer = (struct dr_identity){ .kind = DR_PEER_NONE };
	uv_update_time(loop); /* a deadline counts from now, not from when this round of the loop began */
	dr_conn_timer(s, deadline_ms);
	return s;
}

static void connect_failed(struct dr_conn_impl *s, int status)
{
	char who[DR_WHO_MAX];
	dr_conn_who(s, who);
	(void)dr_conn_why(s, status == UV_ETIMEDOUT ? DR_E_TIMEOUT : DR_E_UNREACHABLE,
			  "cannot connect to %s: %s", who, uv_strerror(status));
	dr_conn_gone(s);
}

static void on_connect(uv_connect_t *req, int status)
{
	struct dr_conn_impl *s = req->data;
	if (s->phase != DR_PHASE_CONNECTING)
		return;
	if (status != 0)
		connect_failed(s, status);
	else
		dr_conn_start(s);
}

bool dr_sockaddr_of(const struct dr_address *a, struct sockaddr_storage *out)
{
	*out = (struct sockaddr_storage){ 0 };
	return uv_ip4_addr(a->host, a->port, (struct sockaddr_in *)(void *)out) == 0 ||
	       uv_ip6_addr(a->host, a->port, (struct sockaddr_in6 *)(void *)out) == 0;
}

enum dr_err dr_conn_connect(struct dr_conn *c, uv_loop_t *loop, struct dr_tls *tls,
			    const struct dr_address *to, const struct dr_identity *want, uint32_t deadline_ms,
			    const struct dr_conn_cbs *cbs, struct dr_error *e)
{
	struct sockaddr_storage at;
	if (!dr_sockaddr_of(to, &at))
		return dr_fail(e, DR_E_INVALID, "'%s' is no IPv4 or IPv6 address literal", to->host);
	struct dr_conn_impl *s = dr_conn_make(c, loop, tls, cbs, deadline_ms);
	s->want = *want;
	c->remote = *to;
	s->connect.data = s;
	int rv = uv_tcp_connect(&s->connect, &s->tcp, (const struct sockaddr *)&at, on_connect);
	if (rv != 0)
		connect_failed(s, rv); /* told by on_closed, like every other failure to connect */
	return DR_OK;
}

size_t dr_conn_queued(const struct dr_conn *c)
{
	return c->impl != NULL ? dr_outq_size(&c->impl->out) + c->impl->gathered.len : 0;
}

void dr_conn_drain_set(struct dr_conn *c, void (*on_drain)(struct dr_conn *c))
{
	if (c->impl != NULL)
		c->impl->on_drain = on_drain;
}

/* Header and payload go into one record where they fit: one decryption and one wakeup at the peer. */
static bool encrypt_frame(struct dr_conn_impl *s, uint16_t type, const uint8_t *payload, size_t len)
{
	uint8_t first[DR_TLS_RECORD_MAX];
	size_t room = sizeof(first) - DR_FRAME_HEADER;
	size_t head = len < room ? len : room;
	dr_frame_header(first, type, payload, len);
	if (head > 0)
		memcpy(first + DR_FRAME_HEADER, payload, head);
	if (!dr_conn_encrypt(s, first, DR_FRAME_HEADER + head))
		return false;
	return len == head || dr_conn_encrypt(s, payload + head, len - head);
}

enum dr_err dr_conn_send(struct dr_conn *c, uint16_t type, const void *payload, size_t len)
{
	struct dr_conn_impl *s = c->impl;
	if (len > DR_FRAME_MAX)
		return DR_E_RANGE;
	if (s == NULL || s->phase != DR_PHASE_OPEN || s->broken != 0)
		return DR_E_CLOSED;
	size_t waiting = dr_conn_queued(c);
	if (waiting + len + DR_FRAME_HEADER > DR_SEND_QUEUE_MAX) {
		char who[DR_WHO_MAX];
		dr_conn_who(s, who);
		(void)dr_conn_why(s, DR_E_FULL, "%s takes its data too slowly: %zu bytes wait", who, waiting);
		dr_conn_gone(s);
		return DR_E_FULL;
	}
	if (s->gathers)
		return dr_conn_gather(s, type, payload, len) ? DR_OK : DR_E_CLOSED;
	if (!encrypt_frame(s, type, payload, len))
		return DR_E_CLOSED;
	dr_conn_flush(s);
	return DR_OK;
}

void dr_conn_idle_set(struct dr_conn *c, uint32_t idle_ms)
{
	struct dr_conn_impl *s = c->impl;
	if (s == NULL || s->phase >= DR_PHASE_LEAVING || s->why != NULL)
		return;
	s->idle_ms = idle_ms;
	if (s->phase < DR_PHASE_OPEN || s->broken != 0)
		return; /* begins when it is open */
	if (idle_ms == 0)
		(void)uv_timer_stop(&s->timer);
	else
		dr_conn_timer(s, idle_ms);
}

void dr_conn_close(struct dr_conn *c, uint32_t flush_ms)
{
	struct dr_conn_impl *s = c->impl;
	if (s == NULL || s->phase == DR_PHASE_GONE)
		return;
	(void)dr_conn_why(s, DR_OK, "%s", "");
	if (s->phase < DR_PHASE_OPEN || flush_ms == 0) {
		if (s->phase == DR_PHASE_OPEN)
			dr_conn_bye(s);
		dr_conn_gone(s);
	} else if (s->phase < DR_PHASE_LEAVING) {
		dr_conn_bye(s);
		dr_conn_leave(s, flush_ms);
	}
}
