/* raft_peer.c -- one Raft member as a process of its own, for the tests of raft/: a state machine that counts
 * and chains what it applied, steered by lines on stdin, answering with lines on stdout.
 *
 *   raft_peer DIR NAME HOST:PORT CERTS|- ELECTION_MS THRESHOLD
 *   propose BYTES COUNT WINDOW [durable|echo] -> proposed ok=N unknown=N refused=N us=N
 *   flood COUNT                           -> flooded ok=N full=N, then flood-done ok=N
 *   bench BYTES COUNT [durable]           -> bench p50=US p90=US p99=US max=US, one at a time
 *   status                                -> status role=... (one line)
 *   add ID NAME PORT | remove ID | transfer ID -> changed ok | changed error=...
 *   quit                                  -> closed
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/parse.h"
#include "raft/node.h"
#include "sys/clock.h"
#include "sys/log.h"

/* A snapshot that goes in parts, and is not of a length that libraft likes. */
enum { PADDING = 1200003 };

struct link;

struct peer {
	uv_loop_t loop;
	uv_pipe_t in;
	char line[512];
	size_t line_len;
	struct dr_address self;
	struct dr_tls *tls;
	struct dr_listener *listener;
	struct dr_raft *raft;
	struct link *links; /* that others made */
	bool stopping;

	uint64_t count, appended, restored, echoes, echoed; /* the state machine */
	uint64_t led_commit; /* what was committed when this member was last told that it leads */
	uint32_t chain;

	uint32_t left, out, window, ok, unknown, refused; /* the running proposal */
	size_t bytes;
	uint8_t first;
	uint64_t began_ns, sent_ns;
	bool flooding;
	uint32_t *us; /* of the running bench, n_us of them so far */
	uint32_t n_us;
};

static struct peer peer;

static void say(const char *fmt, ...) DR_PRINTF(1, 2);
static void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)putchar('\n');
	(void)fflush(stdout);
}

/* ---- the state machine ---- */

static void on_appended(void *ctx, uint64_t index, uint64_t term, const uint8_t *cmd, size_t len)
{
	struct peer *p = ctx;

	(void)index;
	(void)term;
	(void)cmd;
	(void)len;
	p->appended++;
}

/* A state machine that answers a committed entry with another one, from inside apply. */
static void on_echo(void *arg, enum dr_err outcome, uint64_t index)
{
	struct peer *p = arg;

	if (outcome == DR_OK && index > 0)
		p->echoed++;
}

static void on_apply(void *ctx, uint64_t index, uint64_t term, const uint8_t *cmd, size_t len)
{
	struct peer *p = ctx;
	uint64_t head[3] = { index, term, len };

	if (len > 0 && cmd[0] == 'R' && dr_raft_propose(p->raft, "x", 1, on_echo, p) == DR_OK)
		p->echoes++;
	p->count++;
	p->chain = dr_crc32c(dr_crc32c(p->chain, head, sizeof head), cmd, len);
}

static void on_snapshot(void *ctx, struct dr_buf *out)
{
	struct peer *p = ctx;

	dr_buf_put_u64be(out, p->count);
	dr_buf_put_u32be(out, p->chain);
	for (size_t i = 0; i < PADDING; i++)
		dr_buf_put_u8(out, (uint8_t)(i * 7 + (i >> 9) * 13));
}

static enum dr_err on_restore(void *ctx, const uint8_t *data, size_t len, uint64_t index, struct dr_error *e)
{
	struct peer *p = ctx;
	struct dr_view v = dr_view_of(data, len);

	if (len != 12 + PADDING)
		return dr_fail(e, DR_E_CORRUPT, "state of %zu bytes", len);
	for (size_t i = 0; i < PADDING; i++) {
		if (data[12 + i] != (uint8_t)(i * 7 + (i >> 9) * 13))
			return dr_fail(e, DR_E_CORRUPT, "another byte at %zu", i);
	}
	p->count = dr_view_u64be(&v);
	p->chain = dr_view_u32be(&v);
	p->restored = index;
	return DR_OK;
}

static void on_role(void *ctx, const struct dr_raft_status *st)
{
	struct peer *p = ctx;

	if (st->role == DR_RAFT_LEADER)
		p->led_commit = st->commit;
	say("role %s term=%" PRIu64 " leader=%" PRIu64 " removed=%d",
	    st->role == DR_RAFT_LEADER ? "leader" : "follower", st->term, st->leader_id, st->removed);
}

static void on_fatal(void *ctx, const struct dr_error *e)
{
	(void)ctx;
	say("fatal %s", e->msg);
}

static const struct dr_raft_cbs cbs = { on_appended, on_apply, on_snapshot, on_restore, on_role, on_fatal };

/* ---- proposals ---- */

static void pump(struct peer *p);

static void on_proposed(void *arg, enum dr_err outcome, uint64_t index)
{
	struct peer *p = arg;

	(void)index;
	p->out--;
	if (p->us != NULL)
		p->us[p->n_us++] = (uint32_t)((dr_clock_boot_ns() - p->sent_ns) / 1000);
	if (outcome == DR_OK)
		p->ok++;
	else
		p->unknown++;
	pump(p);
}

static int rising(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void bench_done(struct peer *p)
{
	qsort(p->us, p->n_us, sizeof *p->us, rising);
	if (p->n_us > 0)
		say("bench p50=%u p90=%u p99=%u max=%u", p->us[p->n_us / 2], p->us[p->n_us * 9 / 10],
		    p->us[p->n_us * 99 / 100], p->us[p->n_us - 1]);
	dr_free(p->us);
	p->us = NULL;
}

static void pump(struct peer *p)
{
	static uint8_t cmd[DR_ENTRY_MAX];

	while (p->left > 0 && p->out < p->window) {
		enum dr_err rv;

		memset(cmd, 'a' + (int)(p->left % 26), p->bytes);
		cmd[0] = p->first;
		p->left--;
		p->sent_ns = dr_clock_boot_ns();
		rv = dr_raft_propose(p->raft, cmd, p->bytes, on_proposed, p);
		if (rv == DR_OK)
			p->out++;
		else
			p->refused++;
	}
	if (p->left > 0 || p->out > 0)
		return;
	if (p->us != NULL)
		bench_done(p);
	say("%s ok=%u unknown=%u refused=%u us=%" PRIu64, p->flooding ? "flood-done" : "proposed", p->ok,
	    p->unknown, p->refused, (dr_clock_boot_ns() - p->began_ns) / 1000);
	p->flooding = false;
}

static void propose(struct peer *p, size_t bytes, uint32_t count, uint32_t window, char how)
{
	p->ok = p->unknown = p->refused = 0;
	p->bytes = bytes;
	p->left = count;
	p->window = window;
	p->first = how == 'd' ? 0x80 : how == 'e' ? 'R' : 0x01;
	p->began_ns = dr_clock_boot_ns();
	pump(p);
}

/* ---- the network ---- */

static void conn_open(struct dr_conn *c)
{
	(void)c;
}

struct link {
	struct dr_conn conn; /* first */
	struct link *next;
	struct dr_raft_inbox *inbox;
};

static enum dr_err link_take(struct link *l, uint16_t type, const uint8_t *payload, size_t len, struct dr_error *e)
{
	struct dr_raft_hello h;
	enum dr_err rv;

	if (l->inbox != NULL)
		return dr_raft_take(peer.raft, l->inbox, type, payload, len, e);
	if (type != DR_FRAME_HELLO)
		return dr_fail(e, DR_E_PROTOCOL, "no hello");
	rv = dr_raft_hello_decode(payload, len, &h, e);
	return rv == DR_OK ? dr_raft_accept(peer.raft, &l->conn, &h, &l->inbox, e) : rv;
}

static void conn_frame(struct dr_conn *c, uint16_t type, const uint8_t *payload, size_t len)
{
	struct dr_error e;

	if (peer.stopping || link_take((struct link *)c, type, payload, len, &e) == DR_OK)
		return;
	say("refused %s", e.msg);
	dr_conn_close(c, 0);
}

static void conn_closed(struct dr_conn *c, const struct dr_error *why)
{
	struct link *l = (struct link *)c;

	struct link **at = &peer.links;

	(void)why;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	dr_raft_inbox_close(l->inbox);
	dr_free(l);
}

static const struct dr_conn_cbs conn_cbs = { conn_open, conn_frame, conn_closed };

static struct dr_conn *on_accept(void *ctx, const struct dr_conn_cbs **out)
{
	struct link *l = dr_xcalloc(sizeof *l);

	(void)ctx;
	*out = &conn_cbs;
	l->next = peer.links;
	peer.links = l;
	return &l->conn;
}

/* ---- commands ---- */

static void on_changed(void *arg, const struct dr_error *e)
{
	(void)arg;
	if (e->code == DR_OK)
		say("changed ok");
	else
		say("changed error=%s %s", dr_err_name(e->code), e->msg);
}

static void on_raft_closed(void *ctx)
{
	(void)ctx;
}

static void quit(struct peer *p)
{
	if (p->stopping)
		return;
	p->stopping = true;
	uv_close((uv_handle_t *)&p->in, NULL);
	if (p->listener != NULL)
		dr_listener_close(p->listener, on_raft_closed, NULL);
	dr_raft_close(p->raft, on_raft_closed, NULL);
	for (struct link *l = p->links; l != NULL; l = l->next)
		dr_conn_close(&l->conn, 0);
}

static void status(struct peer *p)
{
	struct dr_raft_status st;
	uint32_t voters = 0;
	uint64_t behind = 0;

	dr_raft_status(p->raft, &st);
	for (uint32_t i = 0; i < st.members; i++) {
		voters += st.member[i].voter ? 1 : 0;
		if (st.match[i] < st.last && st.last - st.match[i] > behind)
			behind = st.last - st.match[i];
	}
	say("status role=%s id=%" PRIu64 " term=%" PRIu64 " commit=%" PRIu64 " applied=%" PRIu64
	    " last=%" PRIu64 " leader=%" PRIu64 " members=%u voters=%u snap=%" PRIu64
	    " removed=%d count=%" PRIu64 " chain=%08x appended=%" PRIu64 " restored=%" PRIu64
	    " echoed=%" PRIu64 " behind=%" PRIu64 " led_commit=%" PRIu64,
	    st.role == DR_RAFT_LEADER ? "leader" : "follower", st.id, st.term, st.commit, st.applied, st.last,
	    st.leader_id, st.members, voters, st.snapshot_index, st.removed, p->count, p->chain, p->appended,
	    p->restored, p->echoed, behind, p->led_commit);
}

static void on_asked(void *arg, enum dr_err outcome)
{
	struct peer *p = arg;

	say("read %s count=%" PRIu64, outcome == DR_OK ? "ok" : dr_err_name(outcome), p->count);
}

static void change(struct peer *p, const char *verb, uint64_t id, const char *name, unsigned port)
{
	struct dr_raft_member m = { .id = id, .address = p->self, .voter = true };
	struct dr_error e;
	enum dr_err rv;

	m.address.port = (uint16_t)port; /* all members of a lab share a host */
	(void)dr_name_set(&m.name, name);
	if (strcmp(verb, "add") == 0)
		rv = dr_raft_add(p->raft, &m, on_changed, p, &e);
	else if (strcmp(verb, "remove") == 0)
		rv = dr_raft_remove(p->raft, id, on_changed, p, &e);
	else
		rv = dr_raft_transfer(p->raft, id, on_changed, p, &e);
	if (rv != DR_OK)
		on_changed(p, &e);
}

static void command(struct peer *p, const char *line)
{
	char word[16] = "", name[64] = "", extra[16] = "";
	unsigned long long a = 0, b = 0, c = 0;

	if (sscanf(line, "propose %llu %llu %llu %15s", &a, &b, &c, extra) >= 3) {
		propose(p, (size_t)a, (uint32_t)b, (uint32_t)c, extra[0]);
	} else if (sscanf(line, "flood %llu", &a) == 1) {
		p->flooding = true;
		propose(p, 100, (uint32_t)a, (uint32_t)a, 0);
	} else if (sscanf(line, "bench %llu %llu %15s", &a, &b, extra) >= 2) {
		p->us = dr_xcalloc((size_t)b * sizeof *p->us);
		p->n_us = 0;
		propose(p, (size_t)a, (uint32_t)b, 1, extra[0]);
	} else if (strcmp(line, "read") == 0) {
		enum dr_err rv = dr_raft_read(p->raft, on_asked, p);
		if (rv != DR_OK)
			on_asked(p, rv);
	} else if (strcmp(line, "status") == 0) {
		status(p);
	} else if (sscanf(line, "%15s %llu %63s %llu", word, &a, name, &b) >= 2) {
		change(p, word, a, name, (unsigned)b);
	} else {
		quit(p);
	}
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	(void)h;
	(void)suggested;
	*buf = uv_buf_init(peer.line + peer.line_len, (unsigned)(sizeof peer.line - 1 - peer.line_len));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct peer *p = s->data;
	char *end;

	(void)buf;
	if (n < 0) {
		quit(p);
		return;
	}
	p->line_len += (size_t)n;
	p->line[p->line_len] = '\0';
	while (!p->stopping && (end = strchr(p->line, '\n')) != NULL) {
		*end = '\0';
		command(p, p->line);
		p->line_len -= (size_t)(end + 1 - p->line);
		memmove(p->line, end + 1, p->line_len + 1);
	}
}

static enum dr_err open_net(struct peer *p, const char *certs, const char *name, struct dr_error *e)
{
	char cert[256], key[256], ca[256];
	struct dr_tls_files files = { ca, cert, key };
	struct dr_listener_config config = {
		.at = p->self, .handshake_ms = 2000, .pending_max = 16, .accept_cb = on_accept
	};
	enum dr_err rv;

	(void)snprintf(ca, sizeof ca, "%s/ca.crt", certs);
	(void)snprintf(cert, sizeof cert, "%s/%s.crt", certs, name);
	(void)snprintf(key, sizeof key, "%s/%s.key", certs, name);
	rv = dr_tls_open(&p->tls, &files, e);
	config.tls = p->tls;
	return rv != DR_OK ? rv : dr_listener_open(&p->listener, &p->loop, &config, e);
}

static uint64_t number(const char *text)
{
	uint64_t n = 0;

	if (dr_parse_u64(text, 0, UINT32_MAX, &n) != DR_OK)
		exit(2);
	return n;
}

int main(int argc, char **argv)
{
	struct dr_raft_config config = { .cbs = &cbs, .ctx = &peer };
	struct dr_error e = { 0 };
	enum dr_err rv = DR_OK;

	if (argc != 7)
		return 2;
	(void)signal(SIGPIPE, SIG_IGN); /* as every program of ours does: libuv does not */
	(void)signal(SIGXFSZ, SIG_IGN);
	dr_log_init("raft_peer", getenv("LAB_VERBOSE") != NULL ? DR_LOG_WARN : DR_LOG_ERROR);
	(void)uv_loop_init(&peer.loop);
	config.dir = argv[1];
	if (dr_parse_host_port(argv[3], peer.self.host, &peer.self.port) != DR_OK)
		return 2;
	config.address = peer.self;
	config.election_ms = (uint32_t)number(argv[5]);
	config.heartbeat_ms = config.election_ms / 6;
	config.snapshot_threshold = (uint32_t)number(argv[6]);
	(void)dr_name_set(&config.name, argv[2]);
	if (strcmp(argv[4], "-") != 0)
		rv = open_net(&peer, argv[4], argv[2], &e);
	config.tls = peer.tls;
	if (rv == DR_OK)
		rv = dr_raft_open(&peer.raft, &peer.loop, &config, &e);
	if (rv != DR_OK) {
		say("error %s: %s", dr_err_name(rv), e.msg);
		if (peer.listener != NULL)
			dr_listener_close(peer.listener, on_raft_closed, NULL);
	} else {
		(void)uv_pipe_init(&peer.loop, &peer.in, 0);
		peer.in.data = &peer;
		(void)uv_pipe_open(&peer.in, 0);
		(void)uv_read_start((uv_stream_t *)&peer.in, on_alloc, on_read);
		say("ready");
	}
	(void)uv_run(&peer.loop, UV_RUN_DEFAULT);
	dr_tls_close(peer.tls);
	if (uv_loop_close(&peer.loop) != 0) {
		say("error: handles are left");
		return 4;
	}
	say("closed");
	return rv == DR_OK ? 0 : 3;
}
