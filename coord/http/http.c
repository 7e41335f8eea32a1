/* http.c -- see http.h: libmicrohttpd does HTTP and TLS, this its thread, its bounds and the three pages. */
#include "coord/http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"

enum {
	CONNECTIONS_MAX = 32,
	CONNECTIONS_OF_ADDRESS = 16,
	IDLE_S = 5,
	CONNECTION_MS = 30000,     /* the most that a connection is kept, whatever it does */
	MEMORY_EACH = 16384,       /* of a request's line and headers */
	REQUESTS_A_SECOND = 100,   /* answered; more wait */
	FRESH_MS = 200,            /* a snapshot no older than this is told again ... */
	FRESH_WHOLE_MS = 1000,     /* ... with the services */
	ANSWER_MS = 1000,          /* the loop has so long to answer ... */
	ANSWER_WHOLE_MS = 2500,
	BODY_MAX = 256 << 20,
	PEM_MAX = 1 << 20,
	NICE = 10,
	LOOK_MS = 1000             /* between two looks for connections that are too old */
};

struct connection {
	int fd;           /* -1: this place is free */
	uint64_t since_ms;
};

struct dr_http {
	struct dr_http_config config;
	struct MHD_Daemon *daemon;
	pthread_t thread;
	int wake;                     /* eventfd: a snapshot came, or the end */
	uint16_t port;
	struct dr_buf cert, key;
	pthread_mutex_t lock;         /* of what follows, up to the line */
	struct dr_metrics *given;     /* not taken yet */
	bool closing;
	/* ---- the thread's own ---- */
	struct dr_metrics *now;       /* the newest ... */
	struct dr_metrics *whole;     /* ... and the newest with services */
	struct dr_buf page;           /* `whole` as text */
	bool printed;
	struct connection connection[CONNECTIONS_MAX];
	uint64_t second_ms;           /* the present second's begin, and what was answered in it */
	uint32_t answered;
	uint64_t looked_ms;
};

/* ---- snapshots ---- */

static void wake(struct dr_http *h)
{
	const uint64_t one = 1;
	(void)!write(h->wake, &one, sizeof(one));
}

/* Sleep for so long at most; whatever wakes it is looked at by the caller. */
static void sleep_ms(struct dr_http *h, uint64_t ms)
{
	uint64_t ignored;
	struct pollfd at = { .fd = h->wake, .events = POLLIN };
	if (poll(&at, 1, (int)ms) > 0)
		(void)!read(h->wake, &ignored, sizeof(ignored));
}

static bool is_closing(struct dr_http *h)
{
	(void)pthread_mutex_lock(&h->lock);
	bool closing = h->closing;
	(void)pthread_mutex_unlock(&h->lock);
	return closing;
}

void dr_http_give(struct dr_http *h, struct dr_metrics *m)
{
	(void)pthread_mutex_lock(&h->lock);
	struct dr_metrics *old = h->given;
	h->given = m;
	(void)pthread_mutex_unlock(&h->lock);
	dr_metrics_free(old);
	wake(h);
}

static void take(struct dr_http *h)
{
	(void)pthread_mutex_lock(&h->lock);
	struct dr_metrics *m = h->given;
	h->given = NULL;
	(void)pthread_mutex_unlock(&h->lock);
	if (m == NULL)
		return;
	if (h->now != h->whole)
		dr_metrics_free(h->now);
	h->now = m;
	if (!m->whole)
		return;
	dr_metrics_free(h->whole);
	h->whole = m;
	h->printed = false;
}

static bool is_fresh(const struct dr_metrics *m, uint64_t now_ms, uint64_t for_ms)
{
	return m != NULL && now_ms - m->at_ms <= for_ms;
}

/* A snapshot that the loop has given just now; NULL: it does not answer in time. */
static const struct dr_metrics *snapshot(struct dr_http *h, bool whole)
{
	uint64_t begun_ms = dr_clock_boot_ms();
	uint64_t end_ms = begun_ms + (whole ? ANSWER_WHOLE_MS : ANSWER_MS);
	const struct dr_metrics *have = whole ? h->whole : h->now;
	if (is_fresh(have, begun_ms, whole ? FRESH_WHOLE_MS : FRESH_MS))
		return have;
	h->config.ask(h->config.ctx, whole);
	for (uint64_t now_ms = begun_ms; now_ms < end_ms && !is_closing(h); now_ms = dr_clock_boot_ms()) {
		sleep_ms(h, end_ms - now_ms);
		take(h);
		have = whole ? h->whole : h->now;
		if (have != NULL && have->at_ms >= begun_ms)
			return have;
	}
	return NULL;
}

/* ---- pages ---- */

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *type, const void *body, size_t n)
{
	/* Copied: the next snapshot may come while this one is on its way. */
	struct MHD_Response *r = MHD_create_response_from_buffer(n, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
	if (r == NULL)
		return MHD_NO;
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	(void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	enum MHD_Result rv = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return rv;
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned status, const char *text)
{
	char line[DR_REASON_MAX + 2];
	int n = snprintf(line, sizeof(line), "%s\n", text);
	return answer(c, status, "text/plain; charset=utf-8", line, n > 0 ? strnlen(line, sizeof(line)) : 0);
}

static enum MHD_Result no_answer(struct MHD_Connection *c)
{
	return say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "the loop does not turn: it has not answered in time");
}

static enum MHD_Result page_healthz(struct dr_http *h, struct MHD_Connection *c)
{
	return snapshot(h, false) != NULL ? say(c, MHD_HTTP_OK, "ok") : no_answer(c);
}

static enum MHD_Result page_readyz(struct dr_http *h, struct MHD_Connection *c)
{
	const struct dr_metrics *m = snapshot(h, false);
	if (m == NULL)
		return no_answer(c);
	return m->not_ready[0] == '\0' ? say(c, MHD_HTTP_OK, "ok") : say(c, MHD_HTTP_SERVICE_UNAVAILABLE, m->not_ready);
}

static enum MHD_Result page_metrics(struct dr_http *h, struct MHD_Connection *c)
{
	const struct dr_metrics *m = snapshot(h, true);
	if (m == NULL)
		return no_answer(c);
	if (!h->printed) {
		dr_buf_close(&h->page);
		dr_buf_init(&h->page, BODY_MAX);
		dr_metrics_print(m, &h->page);
		h->printed = true;
	}
	if (!dr_buf_ok(&h->page))
		return say(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "the metrics are longer than 256 MiB");
	return answer(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", h->page.data, h->page.len);
}

static const struct {
	const char *path;
	enum MHD_Result (*page)(struct dr_http *h, struct MHD_Connection *c);
} pages[] = { { "/metrics", page_metrics }, { "/healthz", page_healthz }, { "/readyz", page_readyz } };

/* MHD calls once when the headers are there and, when that returns YES without an answer, again for what follows. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method, const char *version,
				  const char *data, size_t *size, void **state)
{
	static int seen;
	struct dr_http *h = ctx;
	(void)version;
	(void)data;
	if (*state == NULL) {
		*state = &seen;
		return MHD_YES;
	}
	if (*size > 0) { /* a body: read and thrown away */
		*size = 0;
		return MHD_YES;
	}
	h->answered++;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD: nothing is changed from here");
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (strcmp(url, pages[i].path) == 0)
			return pages[i].page(h, c);
	}
	return say(c, MHD_HTTP_NOT_FOUND, "there are /metrics, /healthz and /readyz");
}

/* ---- connections ---- */

static int fd_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	return i != NULL ? i->connect_fd : -1;
}

static void on_connection(void *ctx, struct MHD_Connection *c, void **socket_ctx, enum MHD_ConnectionNotificationCode what)
{
	struct dr_http *h = ctx;
	struct connection *mine = *socket_ctx;
	if (what == MHD_CONNECTION_NOTIFY_CLOSED && mine != NULL)
		mine->fd = -1;
	for (unsigned i = 0; what == MHD_CONNECTION_NOTIFY_STARTED && i < CONNECTIONS_MAX; i++) {
		if (h->connection[i].fd >= 0)
			continue;
		h->connection[i] = (struct connection){ .fd = fd_of(c), .since_ms = dr_clock_boot_ms() };
		*socket_ctx = &h->connection[i];
		return;
	}
}

/* MHD ends who is idle; one who sends a byte now and then is not. */
static void end_old(struct dr_http *h, uint64_t now_ms)
{
	if (now_ms < h->looked_ms + LOOK_MS)
		return;
	h->looked_ms = now_ms;
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		const struct connection *k = &h->connection[i];
		if (k->fd >= 0 && now_ms >= k->since_ms + CONNECTION_MS)
			(void)shutdown(k->fd, SHUT_RDWR);
	}
}

static void on_log(void *ctx, const char *fmt, va_list ap)
{
	(void)ctx;
	char text[256];
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	dr_log(DR_LOG_DEBUG, "http.library", "says=\"%s\"", text);
}

/* ---- the thread ---- */

static int wait_ms(struct dr_http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;
	return MHD_get_timeout(h->daemon, &ms) == MHD_YES && ms < LOOK_MS ? (int)ms : LOOK_MS;
}

/* So many requests a second; what comes beyond waits, and so does everybody's next one. */
static void keep_to_rate(struct dr_http *h)
{
	uint64_t now_ms = dr_clock_boot_ms();
	if (now_ms >= h->second_ms + 1000) {
		h->second_ms = now_ms;
		h->answered = 0;
	}
	for (; h->answered >= REQUESTS_A_SECOND && now_ms < h->second_ms + 1000 && !is_closing(h); now_ms = dr_clock_boot_ms())
		sleep_ms(h, h->second_ms + 1000 - now_ms);
}

static void *run(void *arg)
{
	struct dr_http *h = arg;
	/* Of this thread only, on Linux. */
	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct pollfd at[2] = { { .fd = h->wake, .events = POLLIN }, { .fd = info->epoll_fd, .events = POLLIN } };
	while (!is_closing(h)) {
		if (poll(at, 2, wait_ms(h)) > 0 && at[0].revents != 0)
			sleep_ms(h, 0);
		(void)MHD_run(h->daemon);
		end_old(h, dr_clock_boot_ms());
		keep_to_rate(h);
	}
	return NULL;
}

/* ---- opening, closing ---- */

static enum dr_err listen_failed(const struct dr_address *at, int err, struct dr_error *e)
{
	enum dr_err code = err == EADDRINUSE ? DR_E_EXISTS : err == EADDRNOTAVAIL ? DR_E_INVALID
			   : err == EACCES   ? DR_E_DENIED : DR_E_IO;
	const char *why = err == EADDRINUSE	 ? "another process does already (ss -ltnp shows which)"
			  : err == EADDRNOTAVAIL ? "this machine does not have that address (ip addr shows those it has)"
			  : err == EACCES	 ? "ports below 1024 need CAP_NET_BIND_SERVICE"
						 : strerror(err);
	return dr_fail(e, code, "http: cannot listen on %s port %u: %s", at->host, at->port, why);
}

/* 0: it is no socket, or has none.  The port stands at the same place in both families. */
static uint16_t port_of(int fd)
{
	struct sockaddr_in6 at = { 0 };
	socklen_t n = sizeof(at);
	return getsockname(fd, (struct sockaddr *)(void *)&at, &n) == 0 ? ntohs(at.sin6_port) : 0;
}

/* Bound here and not by the library, which says no more than that it did not work. */
static enum dr_err listen_on(const struct dr_address *at, int *out, uint16_t *port, struct dr_error *e)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(at->port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(at->port) };
	bool is4 = inet_pton(AF_INET, at->host, &v4.sin_addr) == 1;
	if (!is4 && inet_pton(AF_INET6, at->host, &v6.sin6_addr) != 1)
		return dr_fail(e, DR_E_INVALID, "http: '%s' is no IPv4 or IPv6 address literal", at->host);
	const struct sockaddr *sa = is4 ? (const void *)&v4 : (const void *)&v6;
	socklen_t len = is4 ? sizeof(v4) : sizeof(v6);
	int on = 1;
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return listen_failed(at, errno, e);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 || bind(fd, sa, len) != 0 ||
	    listen(fd, CONNECTIONS_MAX) != 0) {
		int err = errno;
		(void)close(fd);
		return listen_failed(at, err, e);
	}
	*port = port_of(fd);
	*out = fd;
	return DR_OK;
}

static enum dr_err read_pem(const char *path, struct dr_buf *out, struct dr_error *e)
{
	dr_buf_init(out, PEM_MAX);
	enum dr_err rv = dr_file_read(path, out, e);
	dr_buf_put_u8(out, 0);
	if (rv == DR_OK && !dr_buf_ok(out))
		rv = dr_fail(e, DR_E_RANGE, "%s is longer than 1 MiB", path);
	return rv;
}

static void forget_pem(struct dr_http *h)
{
	if (h->key.len > 0)
		explicit_bzero(h->key.data, h->key.len);
	dr_buf_close(&h->key);
	dr_buf_close(&h->cert);
}

static enum dr_err start_daemon(struct dr_http *h, int fd, struct dr_error *e)
{
	static const char least[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
	struct MHD_OptionItem tls[] = { { MHD_OPTION_HTTPS_MEM_KEY, 0, h->key.data },
					{ MHD_OPTION_HTTPS_MEM_CERT, 0, h->cert.data },
					{ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)least },
					{ MHD_OPTION_END, 0, NULL } };
	struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };
	unsigned flags = MHD_USE_EPOLL | MHD_USE_ERROR_LOG | (h->config.tls ? MHD_USE_TLS : 0);
	h->daemon = MHD_start_daemon(flags, h->port, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
				     MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
				     MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)CONNECTIONS_OF_ADDRESS,
				     MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				     (size_t)MEMORY_EACH, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_ARRAY,
				     h->config.tls ? tls : none, MHD_OPTION_END);
	if (h->daemon != NULL)
		return DR_OK;
	/* The library closes it for some reasons and for others not. */
	if (port_of(fd) == h->port)
		(void)close(fd);
	return dr_fail(e, h->config.tls ? DR_E_CERT : DR_E_INTERNAL, "http: cannot serve on %s port %u%s%s", h->config.at.host,
		       h->config.at.port, h->config.tls ? " with the certificate " : "", h->config.tls ? h->config.cert : "");
}

static enum dr_err start_thread(struct dr_http *h, struct dr_error *e)
{
	int rv = pthread_create(&h->thread, NULL, run, h);
	if (rv == 0)
		return DR_OK;
	MHD_stop_daemon(h->daemon);
	return dr_fail_errno(e, rv, "http: cannot start a thread");
}

static void free_all(struct dr_http *h)
{
	forget_pem(h);
	if (h->now != h->whole)
		dr_metrics_free(h->now);
	dr_metrics_free(h->whole);
	dr_metrics_free(h->given);
	dr_buf_close(&h->page);
	(void)pthread_mutex_destroy(&h->lock);
	if (h->wake >= 0)
		(void)close(h->wake);
	dr_free(h);
}

static struct dr_http *make(const struct dr_http_config *config)
{
	struct dr_http *h = dr_xcalloc(sizeof(*h));
	h->config = *config;
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		h->connection[i].fd = -1;
	(void)pthread_mutex_init(&h->lock, NULL);
	h->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return h;
}

enum dr_err dr_http_open(struct dr_http **out, const struct dr_http_config *config, struct dr_error *e)
{
	struct dr_http *h = make(config);
	int fd = -1;
	enum dr_err rv = h->wake >= 0 ? DR_OK : dr_fail_errno(e, errno, "http: no eventfd");
	if (rv == DR_OK && config->tls)
		rv = read_pem(config->cert, &h->cert, e);
	if (rv == DR_OK && config->tls)
		rv = read_pem(config->key, &h->key, e);
	if (rv == DR_OK)
		rv = listen_on(&config->at, &fd, &h->port, e);
	if (rv == DR_OK)
		rv = start_daemon(h, fd, e);
	if (rv == DR_OK)
		rv = start_thread(h, e);
	if (rv != DR_OK) {
		free_all(h);
		return rv;
	}
	*out = h;
	return DR_OK;
}

uint16_t dr_http_port(const struct dr_http *h)
{
	return h->port;
}

void dr_http_close(struct dr_http *h)
{
	(void)pthread_mutex_lock(&h->lock);
	h->closing = true;
	(void)pthread_mutex_unlock(&h->lock);
	wake(h);
	(void)pthread_join(h->thread, NULL);
	MHD_stop_daemon(h->daemon);
	free_all(h);
}
