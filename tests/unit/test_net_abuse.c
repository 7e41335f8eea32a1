/* test_net_abuse.c -- peers that lie, stall, flood, vanish or read nothing, and networks that refuse. */
#include "net_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/conn_impl.h"
#include "net/frame.h"

static struct world w;
static struct dr_tls *tls;

static int setup(void **state)
{
	(void)state;
	world_open(&w);
	tls = world_tls(&w, "c-a");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_close(&w);
	dr_tls_close(tls);
	return 0;
}

static void end_finish(struct end *e)
{
	dr_conn_close(&e->c, 0);
	until(&w, &e->closed);
	dr_buf_close(&e->got);
}

/* A plain TCP connection to the listener, non-blocking after it is up. */
static int raw_connect(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(w.at.port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &at.sin_addr), 1);
	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void until_accepted(unsigned n)
{
	uint64_t limit = uv_hrtime() + 10ull * 1000000000u;
	while (w.accepted < n) {
		assert_true(uv_hrtime() < limit);
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
}

static void garbage_is_refused_at_once(void **state)
{
	(void)state;
	static const char *const words[] = { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SSH-2.0-OpenSSH_9.2p1\r\n",
					     "\x16\x03\x01\xff\xff\x01garbage",
					     "\x80\x09\x01\x03\x01 old, short", "DRC1 no TLS" };
	world_listen(&w, tls, "127.0.0.1", 5000, 8);
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		int fd = raw_connect();
		size_t len = strlen(words[i]);
		assert_int_equal(write(fd, words[i], len), (ssize_t)len);
		until_accepted(i + 1);
		uint64_t t0 = uv_hrtime();
		until(&w, &w.in[i].closed);
		assert_true(uv_hrtime() - t0 < 3ull * 1000000000u); /* not only at the deadline */
		assert_int_equal(w.in[i].why.code, DR_E_PROTOCOL);
		assert_has(w.in[i].why.msg, "127.0.0.1:");
		assert_false(w.in[i].open);
		(void)close(fd);
	}
	assert_has(w.in[0].why.msg, "does not speak TLS");
}

/* Endless bytes that look like one huge handshake message: cut off by size, not by memory. */
static void endless_handshake(void **state)
{
	(void)state;
	/* Records of 16 KiB of type handshake; the first says ClientHello of 16 MiB - 1. */
	static uint8_t record[5 + 16384] = { 0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff };
	world_listen(&w, tls, "127.0.0.1", 3000, 8);
	int fd = raw_connect();
	size_t sent = 0;
	until_accepted(1);
	uint64_t limit = uv_hrtime() + 8ull * 1000000000u;
	while (!w.in[0].closed && uv_hrtime() < limit) {
		ssize_t n = write(fd, record + sent % sizeof(record), sizeof(record) - sent % sizeof(record));
		sent += n > 0 ? (size_t)n : 0;
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	assert_true(w.in[0].closed);
	assert_int_equal(w.in[0].why.code, DR_E_PROTOCOL);
	(void)close(fd);
}

/* One that says nothing and one that stops halfway are both closed by the deadline. */
static void stalled_handshakes_end(void **state)
{
	(void)state;
	static const uint8_t half[] = { 0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3 };
	world_listen(&w, tls, "127.0.0.1", 300, 8);
	int mute = raw_connect();
	int stalled = raw_connect();
	assert_int_equal(write(stalled, half, sizeof(half)), sizeof(half));
	uint64_t t0 = uv_hrtime();
	until_accepted(2);
	until(&w, &w.in[0].closed);
	until(&w, &w.in[1].closed);
	uint64_t ms = (uv_hrtime() - t0) / 1000000u;
	assert_true(ms >= 250 && ms < 2000);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(w.in[i].why.code, DR_E_TIMEOUT);
		assert_has(w.in[i].why.msg, "did not finish the TLS handshake within 300 ms");
	}
	(void)close(mute);
	(void)close(stalled);
}

/* More half-open ones than fit: the oldest give way, and an honest client still gets in at once. */
static void flood_leaves_room(void **state)
{
	(void)state;
	enum { FLOOD = 40, PENDING = 4 };
	int fd[FLOOD];
	struct end e = { 0 };
	w.accept_echo = true;
	world_listen(&w, tls, "127.0.0.1", 60000, PENDING);
	for (unsigned i = 0; i < FLOOD; i++)
		fd[i] = raw_connect();
	until_accepted(FLOOD);
	spin(&w, 20);
	unsigned alive = 0;
	for (unsigned i = 0; i < FLOOD; i++) {
		alive += w.in[i].closed ? 0 : 1;
		if (w.in[i].closed)
			assert_int_equal(w.in[i].why.code, DR_E_FULL);
	}
	assert_int_equal(alive, PENDING);
	assert_true(w.in[0].closed);
	assert_false(w.in[FLOOD - 1].closed);
	uint64_t t0 = uv_hrtime();
	end_connect(&e, &w, tls, DR_PEER_COORDINATOR, "c-a", 5000);
	until(&w, &e.open);
	assert_true(uv_hrtime() - t0 < 2ull * 1000000000u);
	assert_int_equal(dr_conn_send(&e.c, 1, "x", 1), DR_OK);
	until_frames(&w, &e, 1);
	for (unsigned i = 0; i < FLOOD; i++)
		(void)close(fd[i]);
	end_finish(&e);
}

/* The clients that are not ours: no certificate, or only TLS 1.2. */
static void meet_openssl(int max_version, const char *says)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	assert_int_equal(SSL_CTX_set_max_proto_version(ctx, max_version), 1);
	SSL *ssl = SSL_new(ctx);
	int fd = raw_connect();
	assert_int_equal(SSL_set_fd(ssl, fd), 1);
	unsigned i = w.accepted;
	until_accepted(i + 1);
	uint64_t limit = uv_hrtime() + 10ull * 1000000000u;
	while (!w.in[i].closed) {
		char byte;
		assert_true(uv_hrtime() < limit);
		if (SSL_connect(ssl) == 1)
			(void)SSL_read(ssl, &byte, 1);
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	assert_false(w.in[i].open);
	assert_has(w.in[i].why.msg, says);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	(void)close(fd);
}

static void foreign_clients(void **state)
{
	(void)state;
	world_listen(&w, tls, "127.0.0.1", 5000, 8);
	meet_openssl(TLS1_3_VERSION, "showed no certificate");
	assert_int_equal(w.in[0].why.code, DR_E_CERT);
	meet_openssl(TLS1_2_VERSION, "offers only TLS older than 1.3");
}

/* Bytes that are no frame, by one whose certificate is good. */
static void say_raw(struct end *e, const void *bytes, size_t len)
{
	assert_true(dr_conn_encrypt(e->c.impl, bytes, len));
	dr_conn_flush(e->c.impl);
}

static void authenticated_liar(const uint8_t *bytes, size_t len, struct end *e)
{
	*e = (struct end){ 0 };
	w.accepted = 0;
	world_listen(&w, tls, "127.0.0.1", 2000, 8);
	end_connect(e, &w, tls, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &e->open);
	say_raw(e, bytes, len);
}

static void frames_that_lie(void **state)
{
	(void)state;
	struct end e;
	uint8_t head[DR_FRAME_HEADER];
	dr_frame_header(head, 1, "", 0);
	head[8] = 0x7f; /* 2 GiB */
	authenticated_liar(head, sizeof(head), &e);
	until_accepted(1);
	until(&w, &w.in[0].closed);
	assert_int_equal(w.in[0].why.code, DR_E_PROTOCOL);
	assert_has(w.in[0].why.msg, "coordinator/c-a at 127.0.0.1:");
	assert_has(w.in[0].why.msg, "at most 1048576 are allowed");
	assert_int_equal(w.in[0].frames, 0);
	until(&w, &e.closed);
	end_finish(&e);
	world_stop_listening(&w);
	authenticated_liar((const uint8_t *)"hello, this is no frame", 23, &e);
	until_accepted(1);
	until(&w, &w.in[0].closed);
	assert_has(w.in[0].why.msg, "not a drcoord frame");
	end_finish(&e);
}

static void cut_in_a_frame(void **state)
{
	(void)state;
	struct end e;
	uint8_t head[DR_FRAME_HEADER];
	dr_frame_header(head, 1, "four", 4);
	authenticated_liar(head, sizeof(head), &e);
	spin(&w, 20);
	say_raw(&e, "fo", 2);
	spin(&w, 20);
	dr_conn_close(&e.c, 0);
	until(&w, &w.in[0].closed);
	assert_int_equal(w.in[0].why.code, DR_E_CLOSED);
	assert_has(w.in[0].why.msg, "in the middle of a frame");
	until(&w, &e.closed);
	end_finish(&e);
}

/* A reader that never reads costs its bound and is then cut off, without a word sent from inside send. */
static void slow_reader_is_cut(void **state)
{
	(void)state;
	struct end e = { 0 };
	enum { PART = 100000 };
	uint8_t *part = dr_xcalloc(PART);
	enum dr_err rv = DR_OK;
	size_t most = 0;
	world_listen(&w, tls, "127.0.0.1", 2000, 8);
	end_connect(&e, &w, tls, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &e.open);
	dr_conn_hold(&e.c);
	until(&w, &w.in[0].open);
	for (unsigned i = 0; i < 1000 && rv == DR_OK; i++) {
		rv = dr_conn_send(&w.in[0].c, 1, part, PART);
		size_t waits = dr_conn_queued(&w.in[0].c);
		most = waits > most ? waits : most;
		assert_false(w.in[0].closed);
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(rv, DR_E_FULL);
	assert_true(most <= DR_SEND_QUEUE_MAX + 4096);
	assert_int_equal(dr_conn_send(&w.in[0].c, 1, part, PART), DR_E_CLOSED);
	until(&w, &w.in[0].closed);
	assert_int_equal(w.in[0].why.code, DR_E_FULL);
	assert_has(w.in[0].why.msg, "takes its data too slowly");
	dr_free(part);
	end_finish(&e);
}

/* Frames come one at a time when each has the connection held, whole and in order, across reads and records; and the
 * sender waits meanwhile, since nothing is read. */
static void held_ones_wait(void **state)
{
	(void)state;
	enum { FRAMES = 300, PART = 3001 };
	struct end e = { 0 };
	uint8_t part[PART];
	world_listen(&w, tls, "127.0.0.1", 2000, 8);
	end_connect(&e, &w, tls, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &e.open);
	until(&w, &w.in[0].open);
	w.in[0].hold_each = true;
	for (unsigned i = 0; i < FRAMES; i++) {
		memset(part, (int)i, sizeof(part));
		assert_int_equal(dr_conn_send(&e.c, (uint16_t)(1 + i), part, sizeof(part)), DR_OK);
	}
	for (unsigned i = 1; i <= FRAMES; i++) {
		until_frames(&w, &w.in[0], i);
		for (unsigned turn = 0; turn < 3; turn++)
			(void)uv_run(&w.loop, UV_RUN_NOWAIT);
		assert_int_equal(w.in[0].frames, i);
		assert_int_equal(w.in[0].last_type, i);
		memset(part, (int)(i - 1), sizeof(part));
		assert_memory_equal(w.in[0].got.data + (size_t)(i - 1) * PART, part, PART);
		dr_conn_resume(&w.in[0].c); /* gives the next one at once, where it has come already */
	}
	end_finish(&e);
	until(&w, &w.in[0].closed);
	assert_int_equal(w.in[0].why.code, DR_E_CLOSED);
}

/* A held one can be closed from either side. */
static void held_ones_end(void **state)
{
	(void)state;
	struct end e = { 0 };
	world_listen(&w, tls, "127.0.0.1", 2000, 8);
	for (unsigned i = 0; i < 2; i++) {
		end_connect(&e, &w, tls, DR_PEER_COORDINATOR, "c-a", 2000);
		until(&w, &e.open);
		until(&w, &w.in[i].open);
		w.in[i].hold_each = true;
		for (unsigned n = 0; n < 4; n++)
			assert_int_equal(dr_conn_send(&e.c, 1, "some words", 10), DR_OK);
		until_frames(&w, &w.in[i], 1);
		if (i == 0) {
			dr_conn_close(&w.in[i].c, 0);
			until(&w, &w.in[i].closed);
			dr_conn_resume(&w.in[i].c);
			assert_int_equal(w.in[i].frames, 1);
		}
		end_finish(&e);
		while (!w.in[i].closed) {
			dr_conn_resume(&w.in[i].c);
			(void)uv_run(&w.loop, UV_RUN_NOWAIT);
		}
		e = (struct end){ 0 };
	}
}

static void idle_ones_are_closed(void **state)
{
	(void)state;
	struct end e = { 0 };
	world_listen(&w, tls, "127.0.0.1", 2000, 8);
	end_connect(&e, &w, tls, DR_PEER_COORDINATOR, "c-a", 2000);
	dr_conn_idle_set(&e.c, 200);
	until(&w, &e.open);
	until(&w, &w.in[0].open);
	uint64_t t0 = uv_hrtime();
	for (unsigned i = 0; i < 10; i++) { /* being spoken to keeps it */
		spin(&w, 40);
		assert_int_equal(dr_conn_send(&w.in[0].c, 1, "", 0), DR_OK);
	}
	assert_false(e.closed);
	until(&w, &e.closed);
	assert_true(uv_hrtime() - t0 > 500ull * 1000000u);
	assert_int_equal(e.why.code, DR_E_TIMEOUT);
	assert_has(e.why.msg, "was silent for 200 ms");
	end_finish(&e);
}

static void connecting_fails_in_words(void **state)
{
	(void)state;
	struct end refused = { 0 }, mute = { 0 };
	struct dr_error err = { 0 };
	struct dr_identity want = { .kind = DR_PEER_COORDINATOR };
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &at.sin_addr), 1);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	w.at = (struct dr_address){ .host = "127.0.0.1", .port = ntohs(at.sin_port) };
	end_connect(&refused, &w, tls, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &refused.closed);
	assert_int_equal(refused.why.code, DR_E_UNREACHABLE);
	assert_has(refused.why.msg, "cannot connect to 127.0.0.1:");
	assert_has(refused.why.msg, "connection refused");
	assert_int_equal(listen(fd, 5), 0); /* takes connections and says nothing */
	end_connect(&mute, &w, tls, DR_PEER_COORDINATOR, "c-a", 200);
	until(&w, &mute.closed);
	assert_int_equal(mute.why.code, DR_E_TIMEOUT);
	assert_has(mute.why.msg, "within 200 ms");
	(void)snprintf(w.at.host, sizeof(w.at.host), "localhost");
	assert_int_equal(dr_conn_connect(&mute.c, &w.loop, tls, &w.at, &want, 100, NULL, &err), DR_E_INVALID);
	assert_has(err.msg, "'localhost' is no IPv4 or IPv6 address literal");
	(void)close(fd);
	dr_buf_close(&refused.got);
	dr_buf_close(&mute.got);
}

static void listening_fails_in_words(void **state)
{
	(void)state;
	struct dr_listener *l = NULL;
	struct dr_error e = { 0 };
	struct dr_listener_config config = { .tls = tls, .handshake_ms = 100, .pending_max = 1 };
	world_listen(&w, tls, "127.0.0.1", 2000, 8);
	config.at = w.at;
	assert_int_equal(dr_listener_open(&l, &w.loop, &config, &e), DR_E_EXISTS);
	assert_has(e.msg, "another process does already");
	(void)snprintf(config.at.host, sizeof(config.at.host), "203.0.113.77");
	assert_int_equal(dr_listener_open(&l, &w.loop, &config, &e), DR_E_INVALID);
	assert_has(e.msg, "203.0.113.77");
	assert_has(e.msg, "does not have that address");
	(void)snprintf(config.at.host, sizeof(config.at.host), "example.org");
	assert_int_equal(dr_listener_open(&l, &w.loop, &config, &e), DR_E_INVALID);
	assert_null(l);
}

static void refused_by_the_listener(void **state)
{
	(void)state;
	struct end e = { 0 };
	w.refuse = true;
	world_listen(&w, tls, "127.0.0.1", 2000, 8);
	end_connect(&e, &w, tls, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &e.closed);
	assert_int_equal(e.why.code, DR_E_CLOSED);
	assert_int_equal(w.accepted, 0);
	end_finish(&e);
}

/* The peer's process dies with its answer unread: a reset, told as such, no SIGPIPE. */
static void peer_resets(void **state)
{
	(void)state;
	struct end e = { 0 };
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };
	uv_os_fd_t fd = -1;
	world_listen(&w, tls, "127.0.0.1", 2000, 8);
	end_connect(&e, &w, tls, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &e.open);
	until(&w, &w.in[0].open);
	/* The client's socket is the one whose own port the server sees. */
	for (int i = 3; i < 64 && fd < 0; i++) {
		struct sockaddr_in at = { 0 };
		socklen_t len = sizeof(at);
		if (getsockname(i, (struct sockaddr *)&at, &len) == 0 && at.sin_family == AF_INET &&
		    ntohs(at.sin_port) == w.in[0].c.remote.port)
			fd = i;
	}
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	dr_conn_close(&e.c, 0);
	until(&w, &e.closed);
	for (unsigned i = 0; i < 100 && dr_conn_send(&w.in[0].c, 1, "x", 1) == DR_OK; i++)
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	until(&w, &w.in[0].closed);
	assert_int_equal(w.in[0].why.code, DR_E_CLOSED);
	dr_buf_close(&e.got);
}

static void closing_at_odd_moments(void **state)
{
	(void)state;
	struct end early = { 0 }, late = { 0 }, in_open = { 0 }, in_frame = { 0 };
	w.accept_echo = true;
	world_listen(&w, tls, "127.0.0.1", 2000, 8);
	end_connect(&early, &w, tls, DR_PEER_COORDINATOR, "c-a", 2000);
	dr_conn_close(&early.c, 1000);
	dr_conn_close(&early.c, 0);
	assert_false(early.closed); /* never from inside */
	until(&w, &early.closed);
	assert_int_equal(early.why.code, DR_OK);
	dr_conn_close(&early.c, 0); /* after the end: nothing */
	assert_int_equal(dr_conn_send(&early.c, 1, "", 0), DR_E_CLOSED);
	end_init(&in_open, &w);
	in_open.close_when_open = true;
	end_connect(&in_open, &w, tls, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &in_open.closed);
	assert_int_equal(in_open.why.code, DR_OK);
	end_init(&in_frame, &w);
	in_frame.close_at = 5;
	end_connect(&in_frame, &w, tls, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &in_frame.open);
	for (unsigned i = 0; i < 4; i++) /* echoed in one piece; nothing may come after the closing one */
		assert_int_equal(dr_conn_send(&in_frame.c, i == 1 ? 5 : 4, "x", 1), DR_OK);
	until(&w, &in_frame.closed);
	assert_int_equal(in_frame.frames, 2);
	end_connect(&late, &w, tls, DR_PEER_COORDINATOR, "c-a", 2000);
	world_stop_listening(&w); /* with a handshake under way, or not yet accepted */
	until(&w, &late.closed);
	end_finish(&early);
	end_finish(&in_open);
	end_finish(&in_frame);
	end_finish(&late);
}

static void listener_ends_after_its_handshakes(void **state)
{
	(void)state;
	world_listen(&w, tls, "127.0.0.1", 60000, 8);
	int fd = raw_connect();
	until_accepted(1);
	dr_listener_close(w.listener, NULL, NULL);
	w.listener = NULL;
	until(&w, &w.in[0].closed);
	assert_int_equal(w.in[0].why.code, DR_E_CANCELLED);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(garbage_is_refused_at_once),
		T(endless_handshake),
		T(stalled_handshakes_end),
		T(flood_leaves_room),
		T(foreign_clients),
		T(frames_that_lie),
		T(cut_in_a_frame),
		T(slow_reader_is_cut),
		T(held_ones_wait),
		T(held_ones_end),
		T(idle_ones_are_closed),
		T(connecting_fails_in_words),
		T(listening_fails_in_words),
		T(refused_by_the_listener),
		T(peer_resets),
		T(closing_at_odd_moments),
		T(listener_ends_after_its_handshakes),
#undef T
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
