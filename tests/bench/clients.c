/* clients.c -- clients that commit one entry after the other, and clients that watch what is committed.
 *
 * What is committed is `pause` of a service that nobody manages: of all that a client may ask for the one that does
 * nothing but enter the log, change a flag and give an event.  An operator's connection each, one request at a time, a
 * request counts when its answer has come: by then a majority has stored it and the leader has applied it.
 *
 * A client whose coordinator does not lead goes where it is told, or asks again in 10 ms; one whose connection ends
 * tries the next endpoint.  Every pause of all clients together above --gap-ms is printed when it ends.
 *
 * Watchers give each event's time; it is counted from when the commit's answer came back.  Deaf ones never read. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/parse.h"
#include "bench.h"
#include "model/cmd.h"
#include "proto/codec.h"
#include "proto/frames.h"

enum { RETRY_MS = 10, SEQS = 1 << 20, UP_MS = 60000, AT_ONCE = 32 }; /* AT_ONCE: connections being made */

static const char pad[] = "a benchmark's entry, of about 100 bytes"; /* the rest of the reason is its number */

struct run;

struct client {
	struct run *run;
	struct dr_conn conn;
	struct dr_tls *tls;
	uv_timer_t timer;
	unsigned at;       /* endpoint */
	bool watches, deaf;
	bool open, going;  /* going: connecting or open */
	uint64_t id, sent_ns;
	uint32_t seq;
};

/* An event that a watcher saw, or one that had to wait for its commit's answer. */
struct seen {
	uint32_t seq;
	uint64_t ns;
};

struct run {
	const struct bench_args *a;
	uv_loop_t loop;
	uv_timer_t end, patience;
	uv_signal_t term;
	struct client *client;
	uint32_t all, started, opened;
	bool counting, stopping;
	uint64_t id, began_ns, last_ns;
	uint32_t seq, done, refused, reconnects, behind;
	char last_refusal[DR_ERROR_MSG_MAX];
	struct bench_times commits;
	uint64_t *acked; /* by number, of commits that watchers are timed by */
	struct seen *seen;
	size_t seens, seens_room;
};

static void start(struct client *c);

/* ---- committing ---- */

static void request_of(const struct client *c, struct dr_client_request *q)
{
	const struct bench_args *a = c->run->a;

	*q = (struct dr_client_request){ .id = c->id };
	if (c->watches) {
		(void)dr_copy_text(q->verb, sizeof(q->verb), "watch");
		return;
	}
	(void)dr_copy_text(q->verb, sizeof(q->verb), "pause");
	(void)dr_name_set(&q->service, a->service);
	(void)snprintf(q->reason, sizeof(q->reason), "bench %u %s", c->seq, pad);
}

static void ask(struct client *c)
{
	struct dr_client_request q;
	struct dr_buf b;

	request_of(c, &q);
	dr_buf_init(&b, DR_FRAME_MAX);
	dr_client_request_encode(&b, &q);
	c->sent_ns = bench_now_ns();
	(void)!dr_conn_send(&c->conn, DR_FRAME_REQUEST, b.data, b.len);
	dr_buf_close(&b);
}

static void next(struct client *c)
{
	c->seq = c->run->seq++;
	c->id = ++c->run->id;
	ask(c);
}

static void on_timer(uv_timer_t *t)
{
	struct client *c = t->data;

	if (c->run->stopping)
		return;
	if (!c->going)
		start(c);
	else if (c->open)
		next(c);
}

static void later(struct client *c, uint32_t ms)
{
	(void)uv_timer_start(&c->timer, on_timer, ms, 0);
}

static void note_gap(struct run *r, uint64_t now)
{
	uint64_t gap = now - r->last_ns;

	if (r->a->gap_ms != 0 && r->last_ns != 0 && gap > (uint64_t)r->a->gap_ms * 1000000u) {
		printf("{\"gap_ms\":%.1f,\"end_s\":%.6f}\n", (double)gap / 1e6, (double)now / 1e9);
		(void)fflush(stdout);
	}
	r->last_ns = now;
}

static void committed(struct client *c)
{
	struct run *r = c->run;
	uint64_t now = bench_now_ns();

	note_gap(r, now);
	if (r->counting) {
		r->done++;
		bench_add(&r->commits, (int64_t)(now - c->sent_ns));
	}
	if (r->acked != NULL && r->counting)
		r->acked[c->seq % SEQS] = now;
	if (r->a->every_ms != 0)
		later(c, r->a->every_ms);
	else
		next(c);
}

/* Where the answer says that the leader is; false: it does not say. */
static bool follow(struct client *c, const struct dr_client_response *a)
{
	for (unsigned i = 0; i < c->run->a->endpoints; i++) {
		const struct dr_address *at = &c->run->a->endpoint[i];

		if (at->port != a->leader_at.port || strcmp(at->host, a->leader_at.host) != 0)
			continue;
		if (i == c->at)
			return false;
		c->at = i;
		dr_conn_close(&c->conn, 0);
		return true;
	}
	return false;
}

static void refused(struct client *c, const struct dr_client_response *a)
{
	if (a->code != DR_E_NOT_LEADER) {
		c->run->refused++;
		(void)dr_copy_text(c->run->last_refusal, sizeof(c->run->last_refusal), a->message);
	}
	if (a->code != DR_E_NOT_LEADER || !follow(c, a))
		later(c, RETRY_MS);
}

/* ---- watching ---- */

static void saw(struct client *c, const char *json)
{
	struct run *r = c->run;
	const char *at = json != NULL ? strstr(json, "bench ") : NULL;
	unsigned long seq;

	if (at == NULL || !r->counting)
		return;
	seq = strtoul(at + 6, NULL, 10);
	if (r->seens == r->seens_room) {
		r->seens_room = r->seens_room == 0 ? 65536 : 2 * r->seens_room;
		r->seen = dr_xrealloc(r->seen, r->seens_room * sizeof(*r->seen));
	}
	r->seen[r->seens++] = (struct seen){ .seq = (uint32_t)seq, .ns = bench_now_ns() };
}

/* ---- connections ---- */

static void begin(uv_timer_t *t)
{
	struct run *r = t->data;

	r->counting = true;
	r->began_ns = bench_now_ns();
}

static void all_open(struct run *r)
{
	if (++r->opened != r->all)
		return;
	(void)uv_timer_stop(&r->patience);
	for (uint32_t i = 0; i < r->a->clients; i++)
		next(&r->client[i]);
	(void)uv_timer_start(&r->patience, begin, r->a->warm_ms, 0);
}

static void on_open(struct dr_conn *conn)
{
	struct client *c = conn->ctx;
	struct run *r = c->run;

	c->open = true;
	bench_greet(conn, DR_GREET_CLIENT, c->tls, r->a->cluster);
	if (c->watches) {
		c->id = 1;
		ask(c);
	}
	if (c->deaf)
		dr_conn_lazy_set(conn);
	if (r->started < r->all)
		start(&r->client[r->started++]);
	if (r->opened < r->all)
		all_open(r); /* committing begins once everybody is there */
	else if (!c->watches)
		ask(c); /* the same again: the same id is carried out once */
}

/* What it lacked was not kept until it took it: it was told so, and goes on with what comes now. */
static void fell_behind(struct client *c)
{
	c->run->behind++;
	ask(c);
}

static void on_frame(struct dr_conn *conn, uint16_t type, const uint8_t *payload, size_t len)
{
	struct client *c = conn->ctx;
	struct dr_client_response a;
	struct dr_error e;

	if (type != DR_FRAME_RESPONSE || c->run->stopping)
		return;
	if (dr_client_response_decode(&a, payload, len, &e) != DR_OK)
		bench_fail("an answer does not decode: %s", e.msg);
	if (c->watches && a.code == DR_E_NOT_FOUND)
		fell_behind(c);
	else if (c->watches && a.code != DR_OK)
		bench_fail("a watcher was refused: %s", a.message);
	else if (c->watches)
		saw(c, a.json);
	else if (a.id == c->id && a.code == DR_OK)
		committed(c);
	else if (a.id == c->id || a.id == 0)
		refused(c, &a);
	dr_free(a.json);
}

static void on_closed(struct dr_conn *conn, const struct dr_error *why)
{
	struct client *c = conn->ctx;
	struct run *r = c->run;

	c->open = c->going = false;
	if (r->stopping)
		return;
	if (c->watches && !c->deaf)
		bench_fail("a watcher was cut off: %s", why->msg);
	if (c->deaf) {
		(void)fprintf(stderr, "a deaf watcher was cut off: %s\n", why->msg);
		return;
	}
	if (why->code != DR_OK)
		c->at = (c->at + 1) % r->a->endpoints;
	r->reconnects++;
	later(c, why->code == DR_OK ? 0 : RETRY_MS);
}

static void start(struct client *c)
{
	static const struct dr_conn_cbs cbs = { on_open, on_frame, on_closed };
	struct run *r = c->run;

	memset(&c->conn, 0, sizeof(c->conn));
	c->conn.ctx = c;
	c->going = bench_connect(&c->conn, &r->loop, c->tls, &r->a->endpoint[c->at], &cbs) == DR_OK;
	if (!c->going)
		later(c, RETRY_MS);
}

/* ---- the whole run ---- */

static void stop(struct run *r)
{
	if (r->stopping)
		return;
	r->stopping = true;
	for (uint32_t i = 0; i < r->all; i++) {
		struct client *c = &r->client[i];

		if (c->going)
			dr_conn_close(&c->conn, 0);
		uv_close((uv_handle_t *)&c->timer, NULL);
	}
	uv_close((uv_handle_t *)&r->end, NULL);
	uv_close((uv_handle_t *)&r->patience, NULL);
	uv_close((uv_handle_t *)&r->term, NULL);
}

static void on_end(uv_timer_t *t)
{
	stop(t->data);
}

static void on_term(uv_signal_t *s, int number)
{
	(void)number;
	stop(s->data);
}

static void too_late(uv_timer_t *t)
{
	struct run *r = t->data;

	bench_fail("only %u of %u clients were let in", r->opened, r->all);
}

static void open_loop(struct run *r)
{
	(void)uv_loop_init(&r->loop);
	(void)uv_timer_init(&r->loop, &r->end);
	(void)uv_timer_init(&r->loop, &r->patience);
	(void)uv_signal_init(&r->loop, &r->term);
	r->end.data = r->patience.data = r->term.data = r;
	(void)uv_signal_start(&r->term, on_term, SIGTERM);
	(void)uv_timer_start(&r->patience, too_late, UP_MS, 0);
	(void)uv_timer_start(&r->end, on_end, UP_MS + r->a->warm_ms + r->a->run_ms, 0);
}

static void open_clients(struct run *r)
{
	const struct bench_args *a = r->a;

	r->all = a->clients + a->watchers + a->deaf;
	r->client = dr_xcalloc(r->all * sizeof(*r->client));
	for (uint32_t i = 0; i < r->all; i++) {
		struct client *c = &r->client[i];

		c->run = r;
		c->tls = a->tls[i % a->certs];
		c->watches = i >= a->clients;
		c->deaf = i >= a->clients + a->watchers;
		c->at = c->watches && !c->deaf ? (i - a->clients) / a->certs % a->spread : 0;
		c->timer.data = c;
		(void)uv_timer_init(&r->loop, &c->timer);
	}
	while (r->started < r->all && r->started < AT_ONCE)
		start(&r->client[r->started++]);
}

/* The bytes of one entry as the leader makes it. */
static size_t entry_bytes(const struct run *r)
{
	struct client c = { .run = (struct run *)(uintptr_t)r, .id = r->id, .seq = r->seq };
	struct dr_client_request q;
	struct dr_cmd cmd = { .kind = DR_CMD_PAUSE, .member = DR_MEMBER_NONE, .target = DR_MEMBER_NONE, .flag = true };
	struct dr_buf b;
	size_t n;

	request_of(&c, &q);
	cmd.wall_ms = bench_now_ns();
	cmd.request = q.id;
	cmd.actor = dr_tls_self(r->a->tls[0])->name;
	(void)dr_copy_text(cmd.text, sizeof(cmd.text), q.reason);
	dr_buf_init(&b, DR_ENTRY_MAX);
	dr_cmd_encode(&b, &cmd);
	n = b.len;
	dr_buf_close(&b);
	return n;
}

static void print_times(const char *name, struct bench_times *t)
{
	bench_sort(t);
	printf(",\"%s_p50_us\":%d,\"%s_p90_us\":%d,\"%s_p99_us\":%d,\"%s_max_us\":%d", name, bench_at(t, 0.5), name,
	       bench_at(t, 0.9), name, bench_at(t, 0.99), name, bench_at(t, 1.0));
}

static void print_events(struct run *r)
{
	struct bench_times t = { 0 };

	for (size_t i = 0; i < r->seens; i++) {
		uint64_t acked = r->acked[r->seen[i].seq % SEQS];

		if (acked != 0)
			bench_add(&t, (int64_t)r->seen[i].ns - (int64_t)acked);
	}
	printf(",\"watchers\":%u,\"behind\":%u,\"events\":%zu", r->a->watchers, r->behind, t.n);
	print_times("event", &t);
	bench_free(&t);
}

static void print(struct run *r, uint64_t end_ns)
{
	double s = r->began_ns != 0 ? (double)(end_ns - r->began_ns) / 1e9 : 0.0;

	printf("{\"clients\":%u,\"seconds\":%.2f,\"commits\":%u,\"per_s\":%.0f,\"entry_bytes\":%zu", r->a->clients, s,
	       r->done, s > 0 ? (double)r->done / s : 0.0, entry_bytes(r));
	print_times("commit", &r->commits);
	if (r->acked != NULL)
		print_events(r);
	printf(",\"refused\":%u,\"reconnects\":%u}\n", r->refused, r->reconnects);
	if (r->refused != 0)
		(void)fprintf(stderr, "%u requests were refused, the last: %s\n", r->refused, r->last_refusal);
}

int bench_clients(const struct bench_args *a)
{
	static struct run r;
	uint64_t end_ns;

	r.a = a;
	if (a->clients == 0 || a->certs == 0 || a->endpoints == 0)
		bench_fail("clients --endpoints LEADER,... --ca FILE --certs PREFIX,... --clients N --run-ms MS");
	(void)!getrandom(&r.id, sizeof(r.id), 0);
	r.id >>= 8; /* room to count up */
	if (a->watchers > 0)
		r.acked = dr_xcalloc(SEQS * sizeof(*r.acked));
	open_loop(&r);
	open_clients(&r);
	while (!r.stopping && uv_run(&r.loop, UV_RUN_ONCE) != 0) {
		if (r.counting && bench_now_ns() - r.began_ns > (uint64_t)a->run_ms * 1000000u)
			stop(&r);
	}
	end_ns = bench_now_ns();
	(void)uv_run(&r.loop, UV_RUN_DEFAULT);
	print(&r, end_ns);
	bench_free(&r.commits);
	dr_free(r.client);
	dr_free(r.acked);
	dr_free(r.seen);
	return r.done > 0 ? 0 : 1;
}
