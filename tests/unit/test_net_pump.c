/* test_net_pump.c -- dr_conn_detach(): what goes in comes out at the other side, bounded, until one ends. */
#include "net_fixture.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct world w;
static struct dr_tls *tls;
static struct end near_end;

enum { DETACH = 9 };

/* Both sides detached: near_end.fd here, w.in[0].fd on the listening side. */
static int setup(void **state)
{
	(void)state;
	world_open(&w);
	tls = world_tls(&w, "c-a");
	w.accept_detach_at = DETACH;
	world_listen(&w, tls, "127.0.0.1", 2000, 8);
	near_end = (struct end){ 0 };
	end_connect(&near_end, &w, tls, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &near_end.open);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dr_conn_close(&near_end.c, 0);
	until(&w, &near_end.closed);
	dr_buf_close(&near_end.got);
	if (near_end.fd >= 0)
		(void)close(near_end.fd);
	world_close(&w);
	dr_tls_close(tls);
	return 0;
}

static void detach_both(void)
{
	struct dr_error e;
	assert_int_equal(dr_conn_send(&near_end.c, DETACH, "hi", 2), DR_OK);
	assert_int_equal(dr_conn_detach(&near_end.c, &near_end.fd, &e), DR_OK);
	assert_int_equal(dr_conn_send(&near_end.c, 1, "", 0), DR_E_CLOSED);
	until_frames(&w, &w.in[0], 1);
	assert_true(w.in[0].fd >= 0);
}

static uint8_t byte_at(size_t i, unsigned salt)
{
	return (uint8_t)(i * 7 + (i >> 9) * 13 + salt);
}

/* One direction's progress: write what fits, read what is there and check it. */
struct flow {
	int from, to;
	unsigned salt;
	size_t total, sent, got;
};

static void flow_write(struct flow *f)
{
	uint8_t part[30011];
	size_t n = f->total - f->sent < sizeof(part) ? f->total - f->sent : sizeof(part);
	for (size_t i = 0; i < n; i++)
		part[i] = byte_at(f->sent + i, f->salt);
	ssize_t done = n > 0 ? write(f->from, part, n) : 0;
	if (done < 0)
		assert_int_equal(errno, EAGAIN);
	else
		f->sent += (size_t)done;
}

static void flow_read(struct flow *f)
{
	uint8_t part[65536];
	ssize_t n = read(f->to, part, sizeof(part));
	if (n < 0) {
		assert_int_equal(errno, EAGAIN);
		return;
	}
	assert_true(n > 0);
	for (size_t i = 0; i < (size_t)n; i++) {
		if (part[i] != byte_at(f->got + i, f->salt))
			fail_msg("byte %zu differs", f->got + i);
	}
	f->got += (size_t)n;
}

static void both_directions_at_once(void **state)
{
	(void)state;
	detach_both();
	struct flow there = { near_end.fd, w.in[0].fd, 1, 24u << 20, 0, 0 };
	struct flow back = { w.in[0].fd, near_end.fd, 2, 24u << 20, 0, 0 };
	uint64_t limit = uv_hrtime() + 60ull * 1000000000u;
	while (there.got < there.total || back.got < back.total) {
		assert_true(uv_hrtime() < limit);
		flow_write(&there);
		flow_write(&back);
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
		flow_read(&there);
		flow_read(&back);
	}
}

/* Bytes written right behind the detaching frame, likely in the same read, belong to the stream. */
static void bytes_behind_the_frame(void **state)
{
	(void)state;
	struct dr_error e;
	char got[64] = "";
	assert_int_equal(dr_conn_send(&near_end.c, 1, "first", 5), DR_OK);
	assert_int_equal(dr_conn_send(&near_end.c, DETACH, "hi", 2), DR_OK);
	assert_int_equal(dr_conn_send(&near_end.c, 77, "tail", 4),
			 DR_OK); /* sent framed, seen as plain bytes */
	assert_int_equal(dr_conn_detach(&near_end.c, &near_end.fd, &e), DR_OK);
	assert_int_equal(write(near_end.fd, "raw", 3), 3);
	size_t n = 0;
	uint64_t limit = uv_hrtime() + 10ull * 1000000000u;
	while (n < 23) {
		assert_true(uv_hrtime() < limit);
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
		ssize_t k = w.in[0].fd >= 0 ? read(w.in[0].fd, got + n, sizeof(got) - n) : 0;
		n += k > 0 ? (size_t)k : 0;
	}
	assert_int_equal(w.in[0].frames, 2);
	assert_memory_equal(got, "DRC1", 4);
	assert_memory_equal(got + 16, "tailraw", 7);
}

/* A reader that stops stops the writer, after a bounded number of bytes; then all of it arrives. */
static void backpressure_is_bounded(void **state)
{
	(void)state;
	detach_both();
	struct flow there = { near_end.fd, w.in[0].fd, 3, 64u << 20, 0, 0 };
	size_t last = 1;
	for (unsigned quiet = 0; quiet < 200; quiet++) {
		flow_write(&there);
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
		if (there.sent != last)
			quiet = 0;
		last = there.sent;
	}
	/* Two pumps of 1 MiB and a read each, two socket pairs, and what the kernel gives TCP at most. */
	assert_true(there.sent < (24u << 20));
	assert_true(dr_conn_queued(&near_end.c) < (1u << 20) + (80u << 10));
	there.total = there.sent;
	uint64_t limit = uv_hrtime() + 60ull * 1000000000u;
	while (there.got < there.total) {
		assert_true(uv_hrtime() < limit);
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
		flow_read(&there);
	}
}

/* Closing one inner end brings what was written, then the end, to the other. */
static void inner_close_travels(void **state)
{
	(void)state;
	detach_both();
	char got[16];
	assert_int_equal(write(near_end.fd, "last words", 10), 10);
	(void)close(near_end.fd);
	near_end.fd = -1;
	until(&w, &near_end.closed);
	assert_int_equal(near_end.why.code, DR_E_CLOSED);
	assert_has(near_end.why.msg, "closed on this side");
	until(&w, &w.in[0].closed);
	assert_has(w.in[0].why.msg, "closed the connection");
	assert_int_equal(read(w.in[0].fd, got, sizeof(got)), 10);
	assert_memory_equal(got, "last words", 10);
	assert_int_equal(read(w.in[0].fd, got, sizeof(got)), 0);
}

static void inner_close_is_seen_by_a_link_that_only_sends(void **state)
{
	(void)state;
	detach_both();
	(void)close(w.in[0].fd); /* the receiver goes: the sender's end, which never reads, must break */
	w.in[0].fd = -1;
	until(&w, &near_end.closed);
	struct pollfd p = { .fd = near_end.fd, .events = POLLOUT };
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_true((p.revents & POLLHUP) != 0);
}

static void dr_conn_close_ends_the_pump(void **state)
{
	(void)state;
	char byte;
	detach_both();
	dr_conn_close(&w.in[0].c, 1000);
	until(&w, &w.in[0].closed);
	assert_int_equal(w.in[0].why.code, DR_OK);
	until(&w, &near_end.closed);
	assert_int_equal(read(near_end.fd, &byte, 1), 0);
	assert_int_equal(read(w.in[0].fd, &byte, 1), 0);
}

/* The peer's end while the inner end has not taken everything: nothing that arrived is lost. */
static void peer_ends_with_much_in_hand(void **state)
{
	(void)state;
	detach_both();
	struct flow there = { near_end.fd, w.in[0].fd, 4, 900u << 10, 0, 0 };
	while (there.sent < there.total) {
		flow_write(&there);
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	(void)close(near_end.fd);
	near_end.fd = -1;
	until(&w, &near_end.closed);
	while (there.got < there.total) {
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
		flow_read(&there);
	}
	until(&w, &w.in[0].closed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(both_directions_at_once),
		T(bytes_behind_the_frame),
		T(backpressure_is_bounded),
		T(inner_close_travels),
		T(inner_close_is_seen_by_a_link_that_only_sends),
		T(dr_conn_close_ends_the_pump),
		T(peer_ends_with_much_in_hand),
#undef T
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
