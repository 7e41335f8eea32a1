/* test_my_mute.c -- a site of mute MySQL servers, many more than the pool has threads, and one elsewhere that answers: its probes
 * are answered in time, once the others are known to be mute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/mysql/my.h"
#include "base/mem.h"
#include "rig.h"

enum { MUTE = 400, DEADLINE_MS = 250, EVERY_MS = 100, KNOWN_AFTER_MS = 2000, LOOKS = 20 };

/* A server's first packet: an error, number 1040, "Too many connections". */
static const char full[] = "\x17\x00\x00\x00\xff\x10\x04Too many connections";

struct speaker {
	uv_tcp_t listener;
	struct dr_address at;
	unsigned open;
};

struct spoken {
	uv_tcp_t tcp;
	uv_write_t write;
	struct speaker *of;
};

static void on_spoken_closed(uv_handle_t *h)
{
	struct spoken *c = h->data;
	c->of->open--;
	dr_free(c);
}

static void on_written(uv_write_t *w, int status)
{
	struct spoken *c = w->data;
	(void)status;
	uv_close((uv_handle_t *)&c->tcp, on_spoken_closed);
}

static void on_client(uv_stream_t *listener, int status)
{
	struct speaker *s = listener->data;
	struct spoken *c = dr_xcalloc(sizeof(*c));
	uv_buf_t b = uv_buf_init((char *)(uintptr_t)full, sizeof(full) - 1);
	assert_int_equal(status, 0);
	c->of = s;
	c->tcp.data = c->write.data = c;
	(void)uv_tcp_init(listener->loop, &c->tcp);
	s->open++;
	assert_int_equal(uv_accept(listener, (uv_stream_t *)&c->tcp), 0);
	assert_int_equal(uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, on_written), 0);
}

static void speaker_start(struct rig *r, struct speaker *s)
{
	struct sockaddr_in at;
	*s = (struct speaker){ .at = { .host = "127.0.0.1", .port = rig_free_port() } };
	(void)uv_tcp_init(&r->loop, &s->listener);
	s->listener.data = s;
	(void)uv_ip4_addr(s->at.host, s->at.port, &at);
	assert_int_equal(uv_tcp_bind(&s->listener, (const struct sockaddr *)&at, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&s->listener, 64, on_client), 0);
}

static void open_session(struct rig *r, struct dr_session *s, const struct dr_address *at, unsigned number)
{
	struct dr_target t = { .address = *at, .user = "drcoord" };
	char name[16];
	(void)snprintf(name, sizeof(name), "my-%u", number);
	assert_true(dr_name_set(&t.service, "orders"));
	assert_true(dr_name_set(&t.member, name));
	rig_session_open(r, s, &dr_mysql_adapter, &t);
}

static struct {
	struct dr_session session[MUTE];
	struct dr_op op[MUTE];
	bool under_way[MUTE];
	int listener;
	struct dr_address at;
} mute;

static void mute_done(struct dr_op *op, const struct dr_error *e)
{
	assert_non_null(e);
	*(bool *)op->ctx = false;
}

/* Whoever connects is never accepted, nor told anything. */
static void mute_start(struct rig *r)
{
	struct sockaddr_in at;
	mute.at = (struct dr_address){ .host = "127.0.0.1", .port = rig_free_port() };
	mute.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(mute.listener >= 0);
	(void)uv_ip4_addr(mute.at.host, mute.at.port, &at);
	assert_int_equal(bind(mute.listener, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(mute.listener, 4096), 0);
	for (unsigned i = 0; i < MUTE; i++)
		open_session(r, &mute.session[i], &mute.at, i);
}

/* As a coordinator does: whoever has no probe under way is asked again. */
static void ask_mute(void)
{
	for (unsigned i = 0; i < MUTE; i++) {
		struct dr_error e;
		if (mute.under_way[i])
			continue;
		mute.op[i] = (struct dr_op){ .kind = DR_OP_PROBE, .deadline_ms = DEADLINE_MS, .done = mute_done,
					     .ctx = &mute.under_way[i] };
		mute.under_way[i] = dr_session_start(&mute.session[i], &mute.op[i], &e) == DR_OK; /* FULL: none this time */
	}
}

static void others_are_heard(void **state)
{
	struct rig r;
	struct speaker speaker;
	struct dr_session well;
	struct rig_op o;
	struct dr_op_args none = { .epoch = 0 };
	uint64_t worst_ms = 0;
	(void)state;
	rig_init(&r);
	mute_start(&r);
	speaker_start(&r, &speaker);
	open_session(&r, &well, &speaker.at, MUTE);
	for (uint64_t until = rig_now_ms() + KNOWN_AFTER_MS; rig_now_ms() < until;) {
		ask_mute();
		rig_for(&r, EVERY_MS);
	}
	for (unsigned n = 0; n < LOOKS; n++) {
		ask_mute();
		enum dr_err rv = rig_op_run(&r, &o, &well, DR_OP_PROBE, &none, DEADLINE_MS);
		if (rv != DR_E_FULL || strstr(o.e.msg, "Too many connections") == NULL)
			fail_msg("look %u: %s: %s", n, dr_err_name(rv), o.e.msg);
		worst_ms = o.took_ms > worst_ms ? o.took_ms : worst_ms;
		rig_for(&r, EVERY_MS);
	}
	printf("             %u mute servers, %d threads: the other one answered %u times, within %llu ms\n", (unsigned)MUTE,
	       DR_POOL_THREADS, (unsigned)LOOKS, (unsigned long long)worst_ms);
	for (unsigned i = 0; i < MUTE; i++)
		rig_session_close(&r, &mute.session[i], NULL);
	rig_session_close(&r, &well, NULL);
	(void)close(mute.listener);
	uv_close((uv_handle_t *)&speaker.listener, NULL);
	rig_for(&r, 50);
	assert_int_equal(speaker.open, 0);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(others_are_heard) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
