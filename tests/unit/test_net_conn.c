/* test_net_conn.c -- connections over loopback: frames of all sizes, ends of all kinds, bounds, deadlines. */
#include "net_fixture.h"

#include "net/frame.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

static struct world w;

static int setup(void **state)
{
	(void)state;
	world_open(&w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

static void end_finish(struct end *e)
{
	dr_conn_close(&e->c, 1000);
	until(&w, &e->closed);
	dr_buf_close(&e->got);
}

static void talks_over(const char *host)
{
	struct dr_tls *ta = world_tls(&w, "c-a");
	struct dr_tls *tb = world_tls(&w, "ag");
	struct end e = { 0 };
	w.accept_echo = true;
	world_listen(&w, ta, host, 2000, 8);
	end_connect(&e, &w, tb, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &e.open);
	assert_int_equal(e.c.peer.kind, DR_PEER_COORDINATOR);
	assert_true(dr_name_is(&e.c.peer.name, "c-a"));
	assert_int_equal(dr_conn_send(&e.c, 7, "hello", 5), DR_OK);
	until_frames(&w, &e, 1);
	assert_int_equal(e.last_type, 7);
	assert_memory_equal(e.got.data, "hello", 5);
	assert_int_equal(w.in[0].c.peer.kind, DR_PEER_AGENT);
	assert_true(dr_name_is(&w.in[0].c.peer.name, "ag"));
	assert_string_equal(w.in[0].c.remote.host, host);
	end_finish(&e);
	assert_int_equal(e.why.code, DR_OK);
	until(&w, &w.in[0].closed);
	assert_int_equal(w.in[0].why.code, DR_E_CLOSED);
	assert_has(w.in[0].why.msg, "agent/ag at ");
	dr_tls_close(ta);
	dr_tls_close(tb);
}

static void talks_ipv4(void **state)
{
	(void)state;
	talks_over("127.0.0.1");
}

static void talks_ipv6(void **state)
{
	(void)state;
	talks_over("::1");
}

/* Every size around the borders of records and reads comes back whole and in order. */
static void frames_of_all_sizes(void **state)
{
	(void)state;
	static const size_t sizes[] = { 0,           1,     15,    16,     17,
					16367,       16368, 16369, 16384,  16385,
					32768,       65535, 65536, 100000, DR_FRAME_MAX - 1,
					DR_FRAME_MAX };
	enum { N = sizeof(sizes) / sizeof(sizes[0]) };
	struct dr_tls *t = world_tls(&w, "c-a");
	struct end e = { 0 };
	uint8_t *data = dr_xcalloc(DR_FRAME_MAX);
	size_t total = 0;
	for (size_t i = 0; i < DR_FRAME_MAX; i++)
		data[i] = (uint8_t)(i * 31 + i / 251);
	w.accept_echo = true;
	world_listen(&w, t, "127.0.0.1", 2000, 8);
	end_connect(&e, &w, t, DR_PEER_COORDINATOR, NULL, 2000);
	until(&w, &e.open);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(dr_conn_send(&e.c, (uint16_t)(100 + i), data, sizes[i]), DR_OK);
		total += sizes[i];
	}
	assert_int_equal(dr_conn_send(&e.c, 1, data, (size_t)DR_FRAME_MAX + 1), DR_E_RANGE);
	until_frames(&w, &e, N);
	assert_int_equal(e.last_type, 100 + N - 1);
	assert_int_equal(e.got.len, total);
	for (size_t i = 0, at = 0; i < N; at += sizes[i++])
		assert_memory_equal(e.got.data + at, data, sizes[i]);
	assert_int_equal(dr_conn_queued(&e.c), 0);
	dr_free(data);
	end_finish(&e);
	dr_tls_close(t);
}

static void many_small_frames_in_order(void **state)
{
	(void)state;
	struct dr_tls *t = world_tls(&w, "c-a");
	struct end e = { 0 };
	world_listen(&w, t, "127.0.0.1", 2000, 8);
	end_connect(&e, &w, t, DR_PEER_COORDINATOR, NULL, 2000);
	until(&w, &e.open);
	for (uint32_t i = 0; i < 20000; i++) {
		assert_int_equal(dr_conn_send(&e.c, 1, &i, sizeof(i)), DR_OK);
		if (dr_conn_queued(&e.c) > 1u << 20)
			spin(&w, 1);
	}
	dr_conn_close(&e.c, 5000); /* the flush must bring all of them over */
	until(&w, &e.closed);
	until(&w, &w.in[0].closed);
	assert_int_equal(w.in[0].frames, 20000);
	for (uint32_t i = 0; i < 20000; i++)
		assert_memory_equal(w.in[0].got.data + 4 * (size_t)i, &i, 4);
	dr_buf_close(&e.got);
	dr_tls_close(t);
}

/* Many small ones of a turn arrive whole and in order, with one record for many; what was said last arrives before the end. */
static void gathers(void **state)
{
	(void)state;
	enum { FRAMES = 2000 };
	struct end e = { 0 };
	struct dr_tls *t = world_tls(&w, "c-a");
	world_listen(&w, t, "127.0.0.1", 2000, 8);
	end_connect(&e, &w, t, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &e.open);
	dr_conn_gather_set(&e.c);
	until(&w, &w.in[0].open);
	for (uint32_t i = 0; i < FRAMES; i++)
		assert_int_equal(dr_conn_send(&e.c, 1, &i, 4), DR_OK);
	assert_int_equal(dr_conn_queued(&e.c), FRAMES * (DR_FRAME_HEADER + 4));
	until_frames(&w, &w.in[0], FRAMES);
	assert_int_equal(dr_conn_queued(&e.c), 0);
	uint32_t last = FRAMES;
	assert_int_equal(dr_conn_send(&e.c, 1, &last, 4), DR_OK);
	dr_conn_close(&e.c, 0);
	until(&w, &w.in[0].closed);
	assert_int_equal(w.in[0].frames, FRAMES + 1);
	for (uint32_t i = 0; i <= FRAMES; i++)
		assert_memory_equal(w.in[0].got.data + 4 * (size_t)i, &i, 4);
	assert_int_equal(w.in[0].why.code, DR_E_CLOSED);
	end_finish(&e);
	/* Its bound is the same as that of any other. */
	e = (struct end){ 0 };
	end_connect(&e, &w, t, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &e.open);
	dr_conn_gather_set(&e.c);
	static const uint8_t part[100000];
	enum dr_err rv = DR_OK;
	for (unsigned i = 0; i < 100 && rv == DR_OK; i++)
		rv = dr_conn_send(&e.c, 1, part, sizeof(part));
	assert_int_equal(rv, DR_E_FULL);
	end_finish(&e);
	/* And up to it all is delivered, though records make it longer. */
	e = (struct end){ 0 };
	end_connect(&e, &w, t, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &e.open);
	dr_conn_gather_set(&e.c);
	until(&w, &w.in[2].open);
	enum { WHOLE = DR_SEND_QUEUE_MAX / 2048 };
	for (unsigned i = 0; i < WHOLE; i++)
		assert_int_equal(dr_conn_send(&e.c, 1, part, 2048 - DR_FRAME_HEADER), DR_OK);
	assert_int_equal(dr_conn_queued(&e.c), DR_SEND_QUEUE_MAX);
	until_frames(&w, &w.in[2], WHOLE);
	end_finish(&e);
	dr_tls_close(t);
}

static unsigned drained;

static void on_drain(struct dr_conn *c)
{
	(void)c;
	drained++;
}

/* What the kernel does not take waits, and its going is told. */
static void tells_what_went(void **state)
{
	(void)state;
	enum { PART = 100000, LEAST = 1000000 };
	static const uint8_t part[PART];
	struct end e = { 0 };
	struct dr_tls *t = world_tls(&w, "c-a");
	drained = 0;
	world_listen(&w, t, "127.0.0.1", 2000, 8);
	end_connect(&e, &w, t, DR_PEER_COORDINATOR, "c-a", 2000);
	dr_conn_drain_set(&e.c, on_drain);
	until(&w, &e.open);
	until(&w, &w.in[0].open);
	dr_conn_hold(&w.in[0].c);
	size_t frames = 0;
	for (; dr_conn_queued(&e.c) < LEAST; frames++)
		assert_int_equal(dr_conn_send(&e.c, 1, part, PART), DR_OK);
	spin(&w, 20);
	assert_int_equal(drained, 0);
	dr_conn_resume(&w.in[0].c);
	until_frames(&w, &w.in[0], (unsigned)frames);
	assert_true(drained > 0);
	assert_int_equal(dr_conn_queued(&e.c), 0);
	end_finish(&e);
	dr_tls_close(t);
}

/* Who says all he has to say and then goodbye, in one breath, is heard to the end, however slowly. */
static void held_frames_outlive_the_goodbye(void **state)
{
	(void)state;
	enum { FRAMES = 5 };
	struct end e = { 0 };
	struct dr_tls *t = world_tls(&w, "c-a");
	world_listen(&w, t, "127.0.0.1", 2000, 8);
	end_connect(&e, &w, t, DR_PEER_COORDINATOR, "c-a", 2000);
	until(&w, &e.open);
	until(&w, &w.in[0].open);
	w.in[0].hold_each = true;
	for (unsigned i = 0; i < FRAMES; i++)
		assert_int_equal(dr_conn_send(&e.c, (uint16_t)(i + 1), "x", 1), DR_OK);
	dr_conn_close(&e.c, 1000);
	for (unsigned i = 1; i <= FRAMES; i++) {
		until_frames(&w, &w.in[0], i);
		spin(&w, 5);
		assert_int_equal(w.in[0].frames, i);
		assert_false(w.in[0].closed);
		dr_conn_resume(&w.in[0].c);
	}
	until(&w, &w.in[0].closed);
	assert_int_equal(w.in[0].last_type, FRAMES);
	assert_int_equal(w.in[0].why.code, DR_E_CLOSED);
	assert_has(w.in[0].why.msg, "closed the connection");
	end_finish(&e);
	dr_tls_close(t);
}

static uint32_t dice(uint32_t *seed, uint32_t sides)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % sides;
}

/* One random deed on one side, at whatever phase it is in. */
static void random_deed(struct end *e, uint32_t *seed)
{
	static const uint8_t bytes[200000];
	switch (dice(seed, 12)) {
	case 0:
		dr_conn_close(&e->c, 0);
		break;
	case 1:
		dr_conn_close(&e->c, 1 + dice(seed, 50));
		break;
	case 2:
		dr_conn_idle_set(&e->c, dice(seed, 30));
		break;
	case 3:
		dr_conn_hold(&e->c);
		break;
	case 4:
		dr_conn_gather_set(&e->c);
		break;
	case 5:
		dr_conn_resume(&e->c);
		break;
	default:
		(void)!dr_conn_send(&e->c, 1, bytes, dice(seed, 3) == 0 ? dice(seed, sizeof(bytes)) : 20);
	}
}

/* Lives of every kind at once; what is shown is that each ends exactly once and leaves nothing. */
static void random_lives(void **state)
{
	(void)state;
	enum { ROUNDS = 60, LIVES = 12 };
	static struct end e[LIVES];
	struct dr_tls *t = world_tls(&w, "c-a");
	uint32_t seed = 20260131;
	unsigned opened = 0;
	world_listen(&w, t, "127.0.0.1", 500, 6);
	for (unsigned round = 0; round < ROUNDS; round++) {
		w.accepted = 0;
		for (unsigned i = 0; i < LIVES; i++) {
			end_init(&e[i], &w);
			end_connect(&e[i], &w, t, DR_PEER_COORDINATOR, dice(&seed, 8) == 0 ? "c-b" : "c-a", 500);
		}
		unsigned calm = dice(&seed, 2) == 0 ? 0 : 60; /* sometimes handshakes are let through first */
		for (unsigned i = 0; i < calm; i++) {
			(void)uv_run(&w.loop, UV_RUN_NOWAIT);
			(void)usleep(500);
		}
		for (unsigned i = 0; i < 150; i++) {
			random_deed(&e[dice(&seed, LIVES)], &seed);
			if (w.accepted > 0)
				random_deed(&w.in[dice(&seed, w.accepted)], &seed);
			(void)uv_run(&w.loop, UV_RUN_NOWAIT);
		}
		for (unsigned i = 0; i < LIVES; i++) {
			opened += e[i].open ? 1 : 0;
			end_finish(&e[i]);
		}
		for (unsigned i = 0; i < w.accepted; i++)
			end_finish(&w.in[i]);
	}
	w.accepted = 0;
	assert_true(opened > ROUNDS);
	dr_tls_close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(talks_ipv4),
		T(talks_ipv6),
		T(frames_of_all_sizes),
		T(many_small_frames_in_order),
		T(gathers),
		T(tells_what_went),
		T(held_frames_outlive_the_goodbye),
		T(random_lives),
#undef T
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
