/* listen.c -- accepting connections, with a bound on handshakes in progress.
 *
 * When `pending_max` handshakes are in progress the oldest gives way to the newcomer: who sends garbage or
 * half a handshake holds a place only until honest peers, which need milliseconds, want it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"
#include "net/conn_impl.h"

enum { BACKLOG = 511 };

struct dr_listener {
	struct dr_listener_config config;
	uv_tcp_t tcp;
	bool closing, handle_closed;
	uint32_t pending;  /* handshakes in progress: the list */
	uint32_t unclosed; /* connections that hold this listener, those on their way out included */
	struct dr_conn_impl *oldest, *newest;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

static void finish_when_empty(struct dr_listener *l)
{
	if (!l->handle_closed || l->unclosed > 0)
		return;
	dr_tls_close(l->config.tls);
	if (l->closed != NULL)
		l->closed(l->closed_ctx);
	dr_free(l);
}

static void link_newest(struct dr_listener *l, struct dr_conn_impl *s)
{
	s->listener = l;
	s->pending = true;
	s->prev = l->newest;
	*(l->newest != NULL ? &l->newest->next : &l->oldest) = s;
	l->newest = s;
	l->pending++;
	l->unclosed++;
}

void dr_listener_unlink(struct dr_conn_impl *s)
{
	struct dr_listener *l = s->listener;
	if (l == NULL || !s->pending)
		return;
	*(s->prev != NULL ? &s->prev->next : &l->oldest) = s->next;
	*(s->next != NULL ? &s->next->prev : &l->newest) = s->prev;
	s->next = s->prev = NULL;
	s->pending = false;
	l->pending--;
}

void dr_listener_release(struct dr_conn_impl *s)
{
	struct dr_listener *l = s->listener;
	if (l == NULL)
		return;
	dr_assert(!s->pending);
	s->listener = NULL;
	l->unclosed--;
	finish_when_empty(l);
}

static void remote_of(const uv_tcp_t *tcp, struct dr_address *out)
{
	static const char mapped[] = "::ffff:";
	struct sockaddr_storage at;
	int len = (int)sizeof(at);
	char host[INET6_ADDRSTRLEN] = "unknown";
	*out = (struct dr_address){ .port = 0 };
	if (uv_tcp_getpeername(tcp, (struct sockaddr *)&at, &len) == 0) {
		const struct sockaddr_in *v4 = (const void *)&at;
		const struct sockaddr_in6 *v6 = (const void *)&at;
		if (at.ss_family == AF_INET6)
			(void)uv_ip6_name(v6, host, sizeof(host));
		else
			(void)uv_ip4_name(v4, host, sizeof(host));
		out->port = ntohs(at.ss_family == AF_INET6 ? v6->sin6_port : v4->sin_port);
	}
	bool is_mapped = strncmp(host, mapped, sizeof(mapped) - 1) == 0;
	(void)dr_copy_text(out->host, sizeof(out->host), is_mapped ? host + sizeof(mapped) - 1 : host);
}

static void on_refused_closed(uv_handle_t *h)
{
	dr_free(h);
}

/* libuv stops accepting until each connection is taken, so one that nobody wants is taken and closed. */
static void refuse(struct dr_listener *l)
{
	uv_tcp_t *tcp = dr_xcalloc(sizeof(*tcp));
	int rv = uv_tcp_init(l->tcp.loop, tcp);
	dr_assert(rv == 0);
	(void)uv_accept((uv_stream_t *)&l->tcp, (uv_stream_t *)tcp);
	uv_close((uv_handle_t *)tcp, on_refused_closed);
}

static void make_room(struct dr_listener *l)
{
	if (l->pending < l->config.pending_max || l->oldest == NULL)
		return;
	char who[DR_WHO_MAX];
	dr_conn_who(l->oldest, who);
	(void)dr_conn_why(l->oldest, DR_E_FULL,
			  "%s had not finished its TLS handshake when %u newer ones waited", who,
			  l->config.pending_max);
	dr_conn_gone(l->oldest);
}

static void on_connection(uv_stream_t *server, int status)
{
	struct dr_listener *l = server->data;
	if (status != 0 || l->closing)
		return; /* ECONNABORTED, EMFILE: that one is lost, the listener goes on */
	const struct dr_conn_cbs *cbs = NULL;
	struct dr_conn *c = l->config.accept_cb(l->config.ctx, &cbs);
	if (c == NULL) {
		refuse(l);
		return;
	}
	make_room(l);
	struct dr_conn_impl *s = dr_conn_make(c, server->loop, l->config.tls, cbs, l->config.handshake_ms);
	s->accepted = true;
	link_newest(l, s);
	int rv = uv_accept(server, (uv_stream_t *)&s->tcp);
	remote_of(&s->tcp, &c->remote);
	if (rv == 0) {
		dr_conn_start(s);
		return;
	}
	(void)dr_conn_why(s, DR_E_IO, "cannot accept a connection: %s", uv_strerror(rv));
	dr_conn_gone(s);
}

static enum dr_err bind_failed(const struct dr_address *at, int err, struct dr_error *e)
{
	switch (err) {
	case EADDRINUSE:
		return dr_fail(
		    e, DR_E_EXISTS,
		    "cannot listen on %s port %u: another process does already (ss -ltnp shows which)",
		    at->host, at->port);
	case EADDRNOTAVAIL:
		return dr_fail(
		    e, DR_E_INVALID,
		    "cannot listen on %s port %u: this machine does not have that address (ip addr shows "
		    "those it has)",
		    at->host, at->port);
	case EACCES:
		return dr_fail(e, DR_E_DENIED,
			       "cannot listen on %s port %u: ports below 1024 need CAP_NET_BIND_SERVICE",
			       at->host, at->port);
	default:
		return dr_fail_errno(e, err, "cannot listen on %s port %u", at->host, at->port);
	}
}

/* Bound and listening before libuv sees it, so that errors are known at once and leave nothing behind. */
static enum dr_err socket_open(const struct dr_address *at, int *out, struct dr_error *e)
{
	struct sockaddr_storage sa;
	int on = 1;
	if (!dr_sockaddr_of(at, &sa))
		return dr_fail(e, DR_E_INVALID, "'%s' is no IPv4 or IPv6 address literal", at->host);
	socklen_t len = sa.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return bind_failed(at, errno, e);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(fd, (const struct sockaddr *)&sa, len) != 0 || listen(fd, BACKLOG) != 0) {
		int err = errno;
		(void)close(fd);
		return bind_failed(at, err, e);
	}
	*out = fd;
	return DR_OK;
}

static void on_failed_closed(uv_handle_t *h)
{
	struct dr_listener *l = h->data;
	dr_tls_close(l->config.tls);
	dr_free(l);
}

enum dr_err dr_listener_open(struct dr_listener **out, uv_loop_t *loop,
			     const struct dr_listener_config *config, struct dr_error *e)
{
	int fd = -1;
	enum dr_err rv = socket_open(&config->at, &fd, e);
	if (rv != DR_OK)
		return rv;
	struct dr_listener *l = dr_xcalloc(sizeof(*l));
	l->config = *config;
	l->config.tls = dr_tls_ref(config->tls);
	int uv = uv_tcp_init(loop, &l->tcp);
	dr_assert(uv == 0);
	l->tcp.data = l;
	uv = uv_tcp_open(&l->tcp, fd);
	if (uv != 0)
		(void)close(fd);
	if (uv == 0)
		uv = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
	if (uv != 0) {
		uv_close((uv_handle_t *)&l->tcp, on_failed_closed);
		return bind_failed(&config->at, -uv, e);
	}
	*out = l;
	return DR_OK;
}

uint16_t dr_listener_port(const struct dr_listener *l)
{
	struct sockaddr_storage at;
	int len = (int)sizeof(at);
	if (uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&at, &len) != 0)
		return 0;
	/* The port stands at the same place in both families. */
	return ntohs(((const struct sockaddr_in *)(const void *)&at)->sin_port);
}

static void on_listener_closed(uv_handle_t *h)
{
	struct dr_listener *l = h->data;
	l->handle_closed = true;
	finish_when_empty(l);
}

void dr_listener_close(struct dr_listener *l, void (*closed)(void *ctx), void *ctx)
{
	dr_assert(!l->closing);
	l->closing = true;
	l->closed = closed;
	l->closed_ctx = ctx;
	while (l->oldest != NULL) {
		(void)dr_conn_why(l->oldest, DR_E_CANCELLED, "this program no longer listens");
		dr_conn_gone(l->oldest);
	}
	uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
}
