/* cli_fixture.c -- see cli_fixture.h. */
#include "cli_fixture.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/parse.h"
#include "proto/frames.h"
#include "temp.h"

struct world w;

/* ---- coordinators ---- */

void answer(struct dr_conn *c, struct dr_client_response *r, uint64_t id)
{
	struct dr_buf b;
	dr_buf_init(&b, DR_FRAME_MAX);
	r->id = id;
	dr_client_response_encode(&b, r);
	(void)!dr_conn_send(c, DR_FRAME_RESPONSE, b.data, b.len);
	dr_buf_close(&b);
}

void answer_code(struct dr_conn *c, uint64_t id, enum dr_err code, const char *message)
{
	struct dr_client_response r = { .code = code };
	assert_true(dr_copy_text(r.message, sizeof(r.message), message));
	answer(c, &r, id);
}

void answer_json(struct dr_conn *c, uint64_t id, const char *json, bool more)
{
	struct dr_client_response r = { .code = DR_OK, .json = (char *)(uintptr_t)json, .more = more };
	answer(c, &r, id);
}

static void on_open(struct dr_conn *c)
{
	assert_int_equal(c->peer.kind, DR_PEER_OPERATOR);
}

static void note_request(struct fake *f, const struct dr_client_request *q)
{
	unsigned i = f->requests++;
	if (i < 16) {
		f->ids[i] = q->id;
		f->froms[i] = q->from;
	}
	(void)dr_copy_text(f->verb, sizeof(f->verb), q->verb);
	(void)dr_copy_text(f->service, sizeof(f->service), q->service.s);
	(void)dr_copy_text(f->member, sizeof(f->member), q->member.s);
	(void)dr_copy_text(f->reason, sizeof(f->reason), q->reason);
	f->force = q->force;
	f->version = q->version;
	f->had_spec = q->spec != NULL;
	if (q->spec != NULL && q->spec->services == 1)
		for (f->spec_members = 0; f->spec_members < DR_MEMBERS_MAX; f->spec_members++) {
			if (q->spec->service[0].member[f->spec_members].name.s[0] == '\0')
				break;
		}
}

static void on_frame(struct dr_conn *c, uint16_t type, const uint8_t *payload, size_t len)
{
	struct one_conn *o = c->ctx;
	struct fake *f = o->fake;
	struct dr_error e;
	if (type == DR_FRAME_GREET) {
		struct dr_greet g;
		assert_int_equal(dr_greet_decode(&g, payload, len, &e), DR_OK);
		assert_int_equal(g.kind, DR_GREET_CLIENT);
		assert_string_equal(g.name.s, "eve");
		f->greeted++;
		return;
	}
	struct dr_client_request q;
	assert_int_equal(type, DR_FRAME_REQUEST);
	assert_int_equal(dr_client_request_decode(&q, payload, len, &e), DR_OK);
	assert_true(f->greeted > 0);
	if (strcmp(q.verb, "ping") == 0) {
		f->pings++;
	} else {
		note_request(f, &q);
	}
	f->play(f, c, &q);
	dr_spec_free(q.spec);
}

static void on_closed(struct dr_conn *c, const struct dr_error *why)
{
	(void)why;
	((struct one_conn *)c->ctx)->used = false;
}

static const struct dr_conn_cbs callbacks = { on_open, on_frame, on_closed };

static struct dr_conn *accept_one(void *ctx, const struct dr_conn_cbs **cbs)
{
	struct fake *f = ctx;
	assert_true(f->accepted < CONNS_MAX);
	struct one_conn *o = &f->conn[f->accepted++];
	*o = (struct one_conn){ .fake = f, .used = true };
	o->c.ctx = o;
	*cbs = &callbacks;
	return &o->c;
}

uint16_t free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	(void)close(fd);
	return ntohs(a.sin_port);
}

void play(unsigned i, fake_fn *fn)
{
	struct fake *f = &w.fake[i];
	struct dr_error e = { 0 };
	memset(f, 0, sizeof(*f));
	f->play = fn;
	(void)dr_copy_text(f->at.host, sizeof(f->at.host), "127.0.0.1");
	f->at.port = free_port();
	struct dr_listener_config config = { .at = f->at,
					     .tls = w.tls,
					     .handshake_ms = 5000,
					     .pending_max = 8,
					     .accept_cb = accept_one,
					     .ctx = f };
	if (dr_listener_open(&f->listener, &w.loop, &config, &e) != DR_OK)
		fail_msg("%s", e.msg);
}

/* ---- the child ---- */

static void on_child_exit(uv_process_t *p, int64_t status, int sig)
{
	w.exited = true;
	w.code = sig != 0 ? 128 + sig : status;
	uv_close((uv_handle_t *)p, NULL);
}

static void give_room(uv_handle_t *h, size_t want, uv_buf_t *buf)
{
	(void)h;
	*buf = uv_buf_init(dr_xcalloc(want), (unsigned)want);
}

static void on_pipe_closed(uv_handle_t *h)
{
	(void)h;
	w.pipes_open--;
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	if (n > 0)
		dr_buf_put(s->data, buf->base, (size_t)n);
	dr_free(buf->base);
	if (n < 0)
		uv_close((uv_handle_t *)s, on_pipe_closed);
}

static void on_late(uv_timer_t *t)
{
	w.late = true;
	(void)uv_process_kill(t->data, SIGKILL);
}

const char *text_of(struct dr_buf *b)
{
	dr_buf_put_u8(b, 0);
	b->len--;
	return (const char *)b->data;
}

/* Run drcoordctl with the endpoints of the first n fakes and these arguments (up to NULL). */
void run_with(const char *endpoints, const char *const *args)
{
	char file[3][96];
	char *argv[ARGS_MAX] = { (char[]){ CTL },
				 (char[]){ "-e" },
				 (char *)(uintptr_t)endpoints,
				 (char[]){ "--ca" },
				 file[0],
				 (char[]){ "--cert" },
				 file[1],
				 (char[]){ "--key" },
				 file[2] };
	(void)snprintf(file[0], sizeof(file[0]), "%s/pki/ca.crt", w.dir);
	(void)snprintf(file[1], sizeof(file[1]), "%s/eve.crt", w.dir);
	(void)snprintf(file[2], sizeof(file[2]), "%s/eve.key", w.dir);
	unsigned n = 9;
	while (*args != NULL && n < ARGS_MAX - 1)
		argv[n++] = (char *)(uintptr_t)*args++;
	uv_pipe_t pipe[2];
	uv_process_t child;
	uv_timer_t timer;
	uv_stdio_container_t io[3] = { { .flags = UV_IGNORE } };
	struct dr_buf *to[2] = { &w.out, &w.err };
	for (int i = 0; i < 2; i++) {
		dr_buf_clear(to[i]);
		assert_int_equal(uv_pipe_init(&w.loop, &pipe[i], 0), 0);
		pipe[i].data = to[i];
		io[i + 1].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
		io[i + 1].data.stream = (uv_stream_t *)&pipe[i];
	}
	uv_process_options_t options = {
		.file = argv[0], .args = argv, .exit_cb = on_child_exit, .stdio = io, .stdio_count = 3
	};
	w.exited = w.late = false;
	w.pipes_open = 2;
	assert_int_equal(uv_spawn(&w.loop, &child, &options), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(uv_read_start((uv_stream_t *)&pipe[i], give_room, on_read), 0);
	assert_int_equal(uv_timer_init(&w.loop, &timer), 0);
	timer.data = &child;
	assert_int_equal(uv_timer_start(&timer, on_late, CHILD_MS, 0), 0);
	while (!w.exited || w.pipes_open > 0)
		(void)uv_run(&w.loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	assert_false(w.late);
}

const char *at(unsigned i)
{
	static char text[FAKES][64];
	(void)snprintf(text[i], sizeof(text[i]), "127.0.0.1:%u", (unsigned)w.fake[i].at.port);
	return text[i];
}

const char *both(void)
{
	static char text[160];
	(void)snprintf(text, sizeof(text), "%s,%s", at(0), at(1));
	return text;
}

void expect(int64_t code, const char *out, const char *err)
{
	const char *said = text_of(&w.out), *cried = text_of(&w.err);
	if (w.code != code || strstr(said, out) == NULL || strstr(cried, err) == NULL)
		fail_msg("exit %d, wanted %d\n--- stdout, wanted \"%s\":\n%s\n--- stderr, wanted \"%s\":\n%s",
			 (int)w.code, (int)code, out, said, err, cried);
}

/* ---- around them ---- */

static void on_listener_closed(void *ctx)
{
	((struct fake *)ctx)->listener = NULL;
}

static bool all_closed(void)
{
	for (unsigned i = 0; i < FAKES; i++) {
		if (w.fake[i].listener != NULL)
			return false;
		for (unsigned k = 0; k < CONNS_MAX; k++) {
			if (w.fake[i].conn[k].used)
				return false;
		}
	}
	return true;
}

int after_each(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FAKES; i++) {
		if (w.fake[i].listener != NULL)
			dr_listener_close(w.fake[i].listener, on_listener_closed, &w.fake[i]);
		for (unsigned k = 0; k < CONNS_MAX; k++) {
			if (w.fake[i].conn[k].used)
				dr_conn_close(&w.fake[i].conn[k].c, 0);
		}
	}
	while (!all_closed())
		(void)uv_run(&w.loop, UV_RUN_ONCE);
	return 0;
}

static void issue(enum dr_peer_kind kind, const char *name)
{
	char pki[96], prefix[96];
	struct dr_identity who = { .kind = kind };
	struct dr_error e = { 0 };
	(void)snprintf(pki, sizeof(pki), "%s/pki", w.dir);
	(void)snprintf(prefix, sizeof(prefix), "%s/%s", w.dir, name);
	assert_true(dr_name_set(&who.name, name));
	if (dr_pki_issue(pki, &who, 1, prefix, &e) != DR_OK)
		fail_msg("%s", e.msg);
}

int before_all(void **state)
{
	char pki[96], cert[96], key[96], ca[96];
	struct dr_error e = { 0 };
	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(uv_loop_init(&w.loop), 0);
	dr_buf_init(&w.out, 1 << 20);
	dr_buf_init(&w.err, 1 << 20);
	temp_template(w.dir, sizeof(w.dir), "test-cli");
	assert_non_null(mkdtemp(w.dir));
	(void)snprintf(pki, sizeof(pki), "%s/pki", w.dir);
	assert_int_equal(dr_pki_init(pki, "demo", 1, &e), DR_OK);
	issue(DR_PEER_COORDINATOR, "c-a");
	issue(DR_PEER_OPERATOR, "eve");
	(void)snprintf(ca, sizeof(ca), "%s/pki/ca.crt", w.dir);
	(void)snprintf(cert, sizeof(cert), "%s/c-a.crt", w.dir);
	(void)snprintf(key, sizeof(key), "%s/c-a.key", w.dir);
	struct dr_tls_files files = { ca, cert, key };
	if (dr_tls_open(&w.tls, &files, &e) != DR_OK)
		fail_msg("%s", e.msg);
	return 0;
}

int after_all(void **state)
{
	static const char *const names[] = { "pki/ca.crt",
					     "pki/ca.key",
					     "other/ca.crt",
					     "other/ca.key",
					     "c-a.crt",
					     "c-a.key",
					     "eve.crt",
					     "eve.key",
					     "other-eve.crt",
					     "other-eve.key",
					     "pki",
					     "other",
					     "" };
	(void)state;
	dr_tls_close(w.tls);
	dr_buf_close(&w.out);
	dr_buf_close(&w.err);
	while (uv_run(&w.loop, UV_RUN_DEFAULT) != 0)
		;
	assert_int_equal(uv_loop_close(&w.loop), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[128];
		(void)snprintf(path, sizeof(path), "%s/%s", w.dir, names[i]);
		(void)remove(path);
	}
	return 0;
}
