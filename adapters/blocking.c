/* blocking.c -- see blocking.h. */
#include "adapters/blocking.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/parse.h"
#include "sys/clock.h"

enum { SLICE_MS = 20, MARGIN_MIN_MS = 10, MARGIN_MAX_MS = 300 };

void dr_blocking_open(struct dr_session *s, dr_call_fn *work, uint32_t first, uint32_t places)
{
	struct dr_blocking *b = s->own;
	dr_assert(places > 0 && first + places <= DR_ROUTE_SERVERS_MAX);
	b->session = s;
	b->work = work;
	b->first = first;
	b->places = places;
	atomic_init(&b->dropped, false);
	dr_pool_join(s->loop);
}

static void fill_evidence(const struct dr_blocking *b, struct dr_evidence *ev)
{
	const struct dr_spec_route *r = &b->session->target.route;
	size_t at = 0;
	unsigned failed = 0;
	ev->route.all = b->places;
	for (uint32_t i = 0; i < b->places; i++) {
		const struct dr_call *c = &b->call[i];
		char where[DR_URL_MAX];
		if (c->why.code == DR_OK) {
			ev->route.ok++;
		} else {
			(void)dr_copy_text(ev->route.why[failed], sizeof(ev->route.why[0]), c->why.msg);
			ev->route.failed[failed++] = r->server[c->place];
		}
		if (c->answered && (!ev->reached || c->epoch < ev->route.epoch))
			ev->route.epoch = c->epoch;
		ev->reached = ev->reached || c->answered;
		if (at < sizeof(ev->text))
			at += (size_t)snprintf(ev->text + at, sizeof(ev->text) - at, "%s%s: %s", at > 0 ? "; " : "",
					       dr_route_where(r, c->place, where), c->shows[0] != '\0' ? c->shows : "no answer");
	}
}

/* Which of several errors gives the op its code: what out-of-date orders must hear first, then what somebody has to
 * change, then what another try may heal. */
static unsigned weight(enum dr_err code)
{
	enum dr_err_class class = dr_err_class(code);
	return class == DR_CLASS_FENCED ? 3 : class == DR_CLASS_USER ? 2 : 1;
}

static bool gather_errors(const struct dr_blocking *b, struct dr_error *e)
{
	const struct dr_call *worst = NULL;
	uint32_t bad = 0;
	for (uint32_t i = 0; i < b->places; i++) {
		const struct dr_call *c = &b->call[i];
		if (c->why.code == DR_OK)
			continue;
		bad++;
		if (worst == NULL || weight(c->why.code) > weight(worst->why.code))
			worst = c;
	}
	if (worst == NULL)
		return false;
	*e = worst->why;
	if (b->places > 1)
		(void)dr_wrap(e, "%u of %u places", bad, b->places);
	return true;
}

static void begin(struct dr_blocking *b);

static void all_ended(struct dr_blocking *b)
{
	struct dr_op *op = b->op;
	struct dr_error e;
	if (b->pending) {
		begin(b);
	} else if (op != NULL) {
		b->op = NULL;
		fill_evidence(b, &op->evidence);
		bool failed = gather_errors(b, &e);
		dr_op_finish(op, failed ? &e : NULL);
	} else if (b->closing) {
		dr_pool_leave();
		dr_session_closed(b->session);
	}
}

static void on_work(struct dr_pool_job *j)
{
	struct dr_call *c = (struct dr_call *)(void *)((char *)j - offsetof(struct dr_call, job));
	struct dr_error e;
	dr_error_clear(&e);
	if (c->own->work(c, &e) != DR_OK)
		c->why = e;
}

static void on_done(struct dr_pool_job *j)
{
	struct dr_call *c = (struct dr_call *)(void *)((char *)j - offsetof(struct dr_call, job));
	struct dr_blocking *b = c->own;
	dr_assert(b->running > 0);
	if (--b->running == 0)
		all_ended(b);
}

static void begin(struct dr_blocking *b)
{
	uint32_t whole = b->op->deadline_ms, tenth = whole / 10;
	uint32_t margin = tenth < MARGIN_MIN_MS ? MARGIN_MIN_MS : tenth > MARGIN_MAX_MS ? MARGIN_MAX_MS : tenth;
	b->pending = false;
	atomic_store(&b->dropped, false);
	b->running = 1; /* so that none ends all while they are handed over */
	for (uint32_t i = 0; i < b->places; i++) {
		struct dr_call *c = &b->call[i];
		memset(c, 0, sizeof(*c));
		*c = (struct dr_call){ .job = { .work = on_work, .done = on_done }, .own = b, .target = &b->session->target,
				       .kind = b->op->kind, .args = b->op->args, .place = b->first + i };
		c->until_ms = dr_clock_boot_ms() + (whole > margin ? whole - margin : 1);
		/* From here on the call is the thread's, which may have ended it by now. */
		struct dr_error full;
		if (dr_pool_submit(&c->job, &full) == DR_OK)
			b->running++;
		else
			c->why = full;
	}
	if (--b->running == 0)
		all_ended(b);
}

enum dr_err dr_blocking_start(struct dr_session *s, struct dr_op *op, struct dr_error *e)
{
	struct dr_blocking *b = s->own;
	(void)e;
	dr_assert(b->op == NULL);
	b->op = op;
	b->pending = b->running > 0;
	if (!b->pending)
		begin(b);
	return DR_OK;
}

void dr_blocking_cancel(struct dr_session *s, struct dr_op *op)
{
	struct dr_blocking *b = s->own;
	(void)op;
	b->op = NULL;
	b->pending = false;
	atomic_store(&b->dropped, true);
}

void dr_blocking_close(struct dr_session *s)
{
	struct dr_blocking *b = s->own;
	dr_assert(b->op == NULL);
	b->closing = true;
	atomic_store(&b->dropped, true);
	if (b->running == 0)
		all_ended(b);
}

enum dr_err dr_call_goes_on(const struct dr_call *c, struct dr_error *e)
{
	if (atomic_load(&c->own->dropped))
		return dr_fail(e, DR_E_CANCELLED, "cancelled");
	return dr_clock_boot_ms() < c->until_ms ? DR_OK : dr_fail(e, DR_E_TIMEOUT, "no end in time");
}

enum dr_err dr_call_pause(const struct dr_call *c, uint32_t ms, struct dr_error *e)
{
	uint64_t until = dr_clock_boot_ms() + ms;
	enum dr_err rv = dr_call_goes_on(c, e);
	for (uint64_t now = dr_clock_boot_ms(); rv == DR_OK && now < until; now = dr_clock_boot_ms()) {
		(void)poll(NULL, 0, until - now < SLICE_MS ? (int)(until - now) : SLICE_MS);
		rv = dr_call_goes_on(c, e);
	}
	return rv;
}

enum dr_err dr_call_wait(const struct dr_call *c, int fd, short events, struct dr_error *e)
{
	struct pollfd p = { .fd = fd, .events = events };
	for (;;) {
		enum dr_err rv = dr_call_goes_on(c, e);
		if (rv != DR_OK)
			return rv;
		int n = poll(&p, 1, SLICE_MS);
		if (n > 0)
			return DR_OK;
		if (n < 0 && errno != EINTR)
			return dr_fail(e, DR_E_UNKNOWN, "cannot wait: %s", strerror(errno));
	}
}

static socklen_t sockaddr_of(const struct dr_address *to, struct sockaddr_storage *out)
{
	if (uv_ip4_addr(to->host, to->port, (struct sockaddr_in *)(void *)out) == 0)
		return sizeof(struct sockaddr_in);
	return uv_ip6_addr(to->host, to->port, (struct sockaddr_in6 *)(void *)out) == 0 ? sizeof(struct sockaddr_in6) : 0;
}

/* Bytes of ours that are still on their way may not arrive long after we gave up. */
static void bound_late_bytes(const struct dr_call *c, int fd)
{
	uint64_t now = dr_clock_boot_ms();
	unsigned left = c->until_ms > now ? (unsigned)(c->until_ms - now) : 1;
	struct linger none = { .l_onoff = 1, .l_linger = 0 };
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &left, sizeof(left));
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

enum dr_err dr_call_connect(const struct dr_call *c, const struct dr_address *to, int *fd, struct dr_error *e)
{
	struct sockaddr_storage at;
	socklen_t len = sockaddr_of(to, &at), size = sizeof(int);
	int failed = 0;
	if (len == 0)
		return dr_fail(e, DR_E_INVALID, "\"%s\" is no address literal", to->host);
	*fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return dr_fail(e, DR_E_UNKNOWN, "no socket: %s", strerror(errno));
	bound_late_bytes(c, *fd);
	enum dr_err rv = DR_OK;
	if (connect(*fd, (const struct sockaddr *)&at, len) != 0 && errno != EINPROGRESS)
		rv = dr_fail(e, DR_E_UNREACHABLE, "cannot connect: %s", strerror(errno));
	if (rv == DR_OK)
		rv = dr_call_wait(c, *fd, POLLOUT, e);
	if (rv == DR_OK && (getsockopt(*fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0 || failed != 0))
		rv = dr_fail(e, DR_E_UNREACHABLE, "cannot connect: %s", strerror(failed));
	if (rv != DR_OK) {
		(void)close(*fd);
		*fd = -1;
	}
	return rv;
}
