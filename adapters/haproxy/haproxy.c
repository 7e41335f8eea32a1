/* haproxy.c -- the adapter for one server of a HAProxy backend, whose address follows the primary; told over the stats
 * socket (runtime API) of every HAProxy that the route names.
 *
 * Ops:
 *   OBSERVED  where the server points, whether it is ready, of which epoch;
 *   ROUTED    it points to args.primary_at and is ready, and sessions with what it pointed to before are ended.
 *
 * HAProxy has no compare-and-swap.  Its process-wide variable proc.drcoord_BACKEND_SERVER keeps the epoch beside the
 * address: it is read first, a newer one is STALE, and it is written in one line of commands together with the address,
 * and both are read back over a fresh connection.  README.md says what remains. */
#include "adapters/blocking.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/haproxy/state.h"
#include "base/buf.h"

enum { LINE_MAX_ = 1024, ANSWER_MAX = 256 << 10 };

static enum dr_err send_all(const struct dr_call *c, int fd, const char *line, struct dr_error *e)
{
	size_t len = strlen(line), at = 0;
	while (at < len) {
		ssize_t n = send(fd, line + at, len - at, MSG_NOSIGNAL);
		if (n > 0) {
			at += (size_t)n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return dr_fail(e, DR_E_CLOSED, "the stats socket closed: %s", strerror(errno));
		enum dr_err rv = dr_call_wait(c, fd, POLLOUT, e);
		if (rv != DR_OK)
			return rv;
	}
	return DR_OK;
}

/* HAProxy answers and closes. */
static enum dr_err read_all(const struct dr_call *c, int fd, struct dr_buf *out, struct dr_error *e)
{
	for (;;) {
		char chunk[4096];
		ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
		if (n == 0)
			return dr_buf_ok(out) ? DR_OK : dr_fail(e, DR_E_PROTOCOL, "an answer of more than %d bytes", ANSWER_MAX);
		if (n > 0) {
			dr_buf_put(out, chunk, (size_t)n);
			if (!dr_buf_ok(out))
				return dr_fail(e, DR_E_PROTOCOL, "an answer of more than %d bytes", ANSWER_MAX);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return dr_fail(e, DR_E_CLOSED, "the stats socket closed: %s", strerror(errno));
		enum dr_err rv = dr_call_wait(c, fd, POLLIN, e);
		if (rv != DR_OK)
			return rv;
	}
}

/* One line of commands over a connection of its own; the answer ends with a NUL. */
static enum dr_err ask(const struct dr_call *c, const char *line, struct dr_buf *out, struct dr_error *e)
{
	int fd = -1;
	dr_buf_clear(out);
	enum dr_err rv = dr_call_connect(c, &c->target->route.server[c->place], &fd, e);
	if (rv == DR_OK)
		rv = send_all(c, fd, line, e);
	if (rv == DR_OK)
		rv = read_all(c, fd, out, e);
	if (fd >= 0)
		(void)close(fd);
	dr_buf_put_u8(out, 0);
	if (rv == DR_OK && strstr((const char *)out->data, "Permission denied") != NULL)
		rv = dr_fail(e, DR_E_DENIED, "the stats socket has not level admin");
	return rv;
}

/* The variable's name: proc.drcoord_ and what a name of one may hold. */
static void variable_of(const struct dr_spec_route *r, char out[3 * DR_WORD_MAX])
{
	(void)snprintf(out, 3 * DR_WORD_MAX, "proc.drcoord_%s_%s", r->backend, r->backend_server);
	for (char *p = out + strlen("proc."); *p != '\0'; p++)
		*p = isalnum((unsigned char)*p) ? *p : '_';
}

static enum dr_err look(struct dr_call *c, struct dr_haproxy_state *st, struct dr_buf *b, struct dr_error *e)
{
	const struct dr_spec_route *r = &c->target->route;
	char line[LINE_MAX_], variable[3 * DR_WORD_MAX];
	variable_of(r, variable);
	(void)snprintf(line, sizeof(line), "get var %s; show servers state %s\n", variable, r->backend);
	enum dr_err rv = ask(c, line, b, e);
	if (rv == DR_OK)
		rv = dr_haproxy_state_read((const char *)b->data, r->backend, r->backend_server, st, e);
	if (rv != DR_OK)
		return rv;
	c->answered = true;
	c->epoch = st->epoch;
	(void)snprintf(c->shows, sizeof(c->shows), "%s:%u %s e=%" PRIu64, st->at.host, st->at.port,
		       st->ready ? "ready" : "in maintenance", st->epoch);
	return DR_OK;
}

static bool points_there(const struct dr_call *c, const struct dr_haproxy_state *st)
{
	const struct dr_address *to = &c->args.primary_at;
	return st->at.port == to->port && strcmp(st->at.host, to->host) == 0;
}

static bool is_wanted(const struct dr_call *c, const struct dr_haproxy_state *st)
{
	return points_there(c, st) && st->ready && st->epoch == c->args.epoch;
}

/* In maintenance no session begins while the address changes; the old ones are ended before new ones may.  A server found
 * in maintenance may be where an order before this one was broken off: all is said again. */
static void change(const struct dr_call *c, const struct dr_haproxy_state *was, char line[LINE_MAX_])
{
	const struct dr_spec_route *r = &c->target->route;
	const char *b = r->backend, *s = r->backend_server;
	char variable[3 * DR_WORD_MAX];
	variable_of(r, variable);
	int n = snprintf(line, LINE_MAX_, "experimental-mode on; set var %s int(%" PRIu64 "); ", variable, c->args.epoch);
	if (!points_there(c, was) || !was->ready)
		n += snprintf(line + n, LINE_MAX_ - (size_t)n,
			      "set server %s/%s state maint; set server %s/%s addr %s port %u; "
			      "shutdown sessions server %s/%s; ",
			      b, s, b, s, c->args.primary_at.host, c->args.primary_at.port, b, s);
	(void)snprintf(line + n, LINE_MAX_ - (size_t)n, "set server %s/%s state ready\n", b, s);
}

static void one_line(char *text)
{
	for (char *p = text; *p != '\0'; p++)
		*p = (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f ? *p : ' ';
}

static enum dr_err make_so(struct dr_call *c, struct dr_buf *b, struct dr_error *e)
{
	struct dr_haproxy_state st;
	char line[LINE_MAX_], said[160];
	enum dr_err rv = look(c, &st, b, e);
	if (rv != DR_OK || is_wanted(c, &st))
		return rv;
	if (st.epoch > c->args.epoch)
		return dr_fail(e, DR_E_STALE, "shows epoch %" PRIu64 " already, this is %" PRIu64, st.epoch, c->args.epoch);
	change(c, &st, line);
	rv = ask(c, line, b, e);
	if (rv != DR_OK)
		return rv;
	(void)snprintf(said, sizeof(said), "%s", (const char *)b->data);
	one_line(said);
	rv = look(c, &st, b, e);
	if (rv == DR_OK && st.epoch > c->args.epoch)
		return dr_fail(e, DR_E_STALE, "shows epoch %" PRIu64 " by now, this is %" PRIu64, st.epoch, c->args.epoch);
	if (rv == DR_OK && !is_wanted(c, &st))
		rv = dr_fail(e, DR_E_FAILED, "still shows %s after it said: %s", c->shows, said);
	return rv;
}

static enum dr_err haproxy_call(struct dr_call *c, struct dr_error *e)
{
	struct dr_haproxy_state st;
	struct dr_buf b;
	dr_buf_init(&b, ANSWER_MAX);
	enum dr_err rv = c->kind == DR_OP_ROUTED ? make_so(c, &b, e) : look(c, &st, &b, e);
	dr_buf_close(&b);
	return rv;
}

static enum dr_err haproxy_open(struct dr_session *s, struct dr_error *e)
{
	const struct dr_spec_route *r = &s->target.route;
	if (r->kind != DR_ROUTE_HAPROXY || r->servers == 0 || r->servers > DR_ROUTE_SERVERS_MAX)
		return dr_fail(e, DR_E_INVALID, "the target is no haproxy route, or has no server");
	if (!dr_haproxy_is_word(r->backend) || !dr_haproxy_is_word(r->backend_server))
		return dr_fail(e, DR_E_INVALID, "route %s: \"%s/%s\" is no backend and server", r->name.s, r->backend,
			       r->backend_server);
	dr_blocking_open(s, haproxy_call, 0, r->servers);
	return DR_OK;
}

const struct dr_adapter dr_haproxy_adapter = {
	.name = "haproxy",
	.own_size = sizeof(struct dr_blocking),
	.open = haproxy_open,
	.start = dr_blocking_start,
	.cancel = dr_blocking_cancel,
	.close = dr_blocking_close,
	.can = { [DR_OP_OBSERVED] = true, [DR_OP_ROUTED] = true },
};
