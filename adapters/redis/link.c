/* link.c -- see link.h. */
#include "adapters/redis/link.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/redis/tls.h"
#include "base/assert.h"
#include "base/mem.h"

/* No answer that we ask for comes near these: whoever sends more is no server of ours. */
enum { READ_STEP = 16384, ANSWER_MAX = 1 << 20, ELEMENTS_MAX = 4096, SEND_MAX = 1 << 16 };

struct red_link {
	uv_tcp_t tcp;
	uv_connect_t connect;
	struct red_link_owner owner;
	redisReader *reader;
	struct red_tls *tls;   /* NULL: none */
	struct dr_buf waiting; /* to be sent once connected, and the handshake is over */
	size_t unanswered;     /* bytes read since the last whole answer */
	bool connected;        /* the handshake included */
	bool failed;
	bool dropped;
	char in[READ_STEP];
};

struct write {
	uv_write_t req;
	struct dr_buf bytes;
};

/* ---- the codec */

#if HIREDIS_MAJOR >= 1
typedef size_t elements;
#else
typedef int elements;
#endif

static void *(*make_array)(const redisReadTask *, elements);

/* hiredis makes room for as many elements as the server announces. */
static void *bounded_array(const redisReadTask *task, elements n)
{
	return n <= ELEMENTS_MAX ? make_array(task, n) : NULL;
}

redisReader *red_reader(void)
{
	static redisReplyObjectFunctions fn;
	redisReader *r = redisReaderCreate();

	if (r == NULL)
		abort();
	if (make_array == NULL) {
		fn = *r->fn;
		make_array = fn.createArray;
		fn.createArray = bounded_array;
	}
	r->fn = &fn;
	return r;
}

/* ---- the connection */

static void on_closed(uv_handle_t *h)
{
	struct red_link *l = h->data;
	struct red_link_owner owner = l->owner;

	dr_buf_close(&l->waiting);
	red_tls_close(l->tls);
	redisReaderFree(l->reader);
	explicit_bzero(l->in, sizeof(l->in));
	dr_free(l);
	owner.gone(owner.ctx);
}

static void fail(struct red_link *l, enum dr_err code, const char *what, const char *why)
{
	struct dr_error e;

	if (l->dropped || l->failed)
		return;
	l->failed = true;
	(void)uv_read_stop((uv_stream_t *)&l->tcp);
	(void)dr_fail(&e, code, "%s: %s", what, why);
	l->owner.failed(l->owner.ctx, &e);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
	struct red_link *l = h->data;
	(void)hint;
	*out = uv_buf_init(l->in, READ_STEP);
}

static void hand_over(struct red_link *l)
{
	void *reply = NULL;

	while (!l->dropped && !l->failed) {
		if (redisReaderGetReply(l->reader, &reply) != REDIS_OK) {
			fail(l, DR_E_PROTOCOL, "what came is no answer of a Redis server", l->reader->errstr);
			return;
		}
		if (reply == NULL)
			break;
		l->unanswered = 0;
		l->owner.answer(l->owner.ctx, reply);
		freeReplyObject(reply);
	}
	if (l->unanswered > ANSWER_MAX)
		fail(l, DR_E_PROTOCOL, "what came is no answer of a Redis server", "it is too long");
}

static void free_write(struct write *w)
{
	explicit_bzero(w->bytes.data, w->bytes.len);
	dr_buf_close(&w->bytes);
	dr_free(w);
}

static void on_written(uv_write_t *req, int status)
{
	struct red_link *l = req->data;

	free_write((struct write *)req);
	if (status < 0)
		fail(l, DR_E_CLOSED, "cannot send", uv_strerror(status));
}

/* Takes the bytes over. */
static void write_bytes(struct red_link *l, struct dr_buf *bytes)
{
	struct write *w = dr_xcalloc(sizeof(*w));

	w->bytes = *bytes;
	w->req.data = l;
	dr_buf_init(bytes, SEND_MAX);
	uv_buf_t b = uv_buf_init((char *)w->bytes.data, (unsigned)w->bytes.len);
	/* An error of uv_write is left to the read side, which sees the same dead connection: so `failed` is never called
	 * from inside send. */
	if (w->bytes.len == 0 || uv_write(&w->req, (uv_stream_t *)&l->tcp, &b, 1, on_written) != 0)
		free_write(w);
}

static void write_secret(struct red_link *l)
{
	struct dr_buf b;

	dr_buf_init(&b, 2 * SEND_MAX);
	red_tls_drain(l->tls, &b);
	dr_assert(dr_buf_ok(&b)); /* what is sent at once is bounded, and a handshake is small */
	write_bytes(l, &b);
}

static void write_waiting(struct red_link *l)
{
	if (l->tls == NULL) {
		write_bytes(l, &l->waiting);
		return;
	}
	red_tls_write(l->tls, l->waiting.data, l->waiting.len);
	explicit_bzero(l->waiting.data, l->waiting.len);
	dr_buf_close(&l->waiting);
	dr_buf_init(&l->waiting, SEND_MAX);
	write_secret(l);
}

static void open_up(struct red_link *l)
{
	l->connected = true;
	if (l->waiting.len > 0)
		write_waiting(l);
}

static void shake(struct red_link *l)
{
	struct dr_error e;
	bool over = false;
	enum dr_err rv = red_tls_shake(l->tls, &over, &e);

	write_secret(l); /* also what says why it comes to nothing */
	if (rv != DR_OK)
		fail(l, rv, "TLS", e.msg);
	else if (over)
		open_up(l);
}

static void take(struct red_link *l, const char *bytes, size_t n)
{
	l->unanswered += n;
	if (redisReaderFeed(l->reader, bytes, n) != REDIS_OK)
		fail(l, DR_E_PROTOCOL, "what came is no answer of a Redis server", l->reader->errstr);
	else
		hand_over(l);
}

static void take_secret(struct red_link *l, const char *bytes, size_t n)
{
	char plain[READ_STEP];
	ssize_t got = 0;

	red_tls_feed(l->tls, bytes, n);
	if (!l->connected)
		shake(l);
	while (l->connected && !l->dropped && !l->failed && (got = red_tls_read(l->tls, plain, sizeof(plain))) > 0)
		take(l, plain, (size_t)got);
	explicit_bzero(plain, sizeof(plain));
	if (got < 0)
		fail(l, DR_E_CLOSED, "the server closed the connection", "end of TLS");
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct red_link *l = stream->data;

	if (n < 0)
		fail(l, DR_E_CLOSED, "the server closed the connection", uv_strerror((int)n));
	else if (l->tls != NULL)
		take_secret(l, buf->base, (size_t)n);
	else
		take(l, buf->base, (size_t)n);
}

static void on_connected(uv_connect_t *req, int status)
{
	struct red_link *l = req->data;

	if (l->dropped)
		return;
	if (status < 0) {
		fail(l, DR_E_UNREACHABLE, "cannot connect", uv_strerror(status));
		return;
	}
	(void)uv_tcp_nodelay(&l->tcp, 1);
	int rc = uv_read_start((uv_stream_t *)&l->tcp, on_alloc, on_read);
	if (rc != 0)
		fail(l, DR_E_UNKNOWN, "cannot read", uv_strerror(rc));
	else if (l->tls != NULL)
		shake(l);
	else
		open_up(l);
}

enum dr_err red_link_open(struct red_link **out, uv_loop_t *loop, const struct dr_address *to, const char *ca_file,
			  const struct red_link_owner *owner, struct dr_error *e)
{
	struct sockaddr_storage addr;
	struct red_link *l = dr_xcalloc(sizeof(*l));

	*out = NULL;
	l->owner = *owner;
	l->reader = red_reader();
	dr_buf_init(&l->waiting, SEND_MAX);
	(void)uv_tcp_init(loop, &l->tcp);
	l->tcp.data = l;
	l->connect.data = l;
	if (ca_file[0] != '\0' && red_tls_open(&l->tls, ca_file, to->host, e) != DR_OK) {
		red_link_drop(l);
		return e->code;
	}
	int rc = uv_ip4_addr(to->host, to->port, (struct sockaddr_in *)&addr);
	if (rc != 0)
		rc = uv_ip6_addr(to->host, to->port, (struct sockaddr_in6 *)&addr);
	if (rc == 0)
		rc = uv_tcp_connect(&l->connect, &l->tcp, (const struct sockaddr *)&addr, on_connected);
	if (rc != 0) {
		red_link_drop(l);
		return dr_fail(e, DR_E_UNREACHABLE, "cannot connect: %s", uv_strerror(rc));
	}
	*out = l;
	return DR_OK;
}

void red_link_send(struct red_link *l, const void *bytes, size_t len)
{
	dr_assert(!l->dropped);
	dr_buf_put(&l->waiting, bytes, len);
	dr_assert(dr_buf_ok(&l->waiting)); /* what an op sends is bounded by RED_BYTES_MAX */
	if (l->connected && !l->failed)
		write_waiting(l);
}

void red_link_drop(struct red_link *l)
{
	dr_assert(!l->dropped);
	l->dropped = true;
	uv_close((uv_handle_t *)&l->tcp, on_closed);
}
