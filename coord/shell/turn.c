/* turn.c -- how much of one turn of the loop those who ask may have.
 *
 * Leases are renewed by the same thread that answers people, and one certificate may have 32 connections and write
 * requests as fast as the network carries them: 64 KiB of them are seconds of work.  So requests get TURN_NS of a turn
 * and are begun while there is some of it left: a turn costs that and one request.  Whoever asks beyond it waits, with
 * one request kept here and the next ones in his kernel at last, and those who wait go on in the order in which
 * they came.  So does one who doesn't read his answers: no further request of his is looked at until they are on their
 * way, and an answer is at most a frame. */
#include "base/assert.h"
#include "base/limits.h"
#include "coord/shell/coord.h"

enum { TURN_NS = 10000000, QUEUED_MAX = 256 << 10, LOOK_MS = 20 };

static void on_go(uv_idle_t *h);

void dr_turn_soon(struct dr_coord *c)
{
	(void)uv_idle_start(&c->turn_go, on_go);
}

void dr_turn_queue(struct dr_in *in)
{
	struct dr_coord *c = in->coord;
	dr_assert(!in->held);
	in->held_prev = c->held_last;
	*(c->held_last != NULL ? &c->held_last->held_next : &c->held_first) = in;
	c->held_last = in;
	in->held = true;
	c->held++;
}

void dr_turn_park(struct dr_in *in)
{
	dr_conn_hold(&in->conn);
}

static void hold(struct dr_in *in)
{
	dr_turn_park(in);
	dr_turn_queue(in);
}

static void unlink_held(struct dr_in *in)
{
	struct dr_coord *c = in->coord;
	*(in->held_prev != NULL ? &in->held_prev->held_next : &c->held_first) = in->held_next;
	*(in->held_next != NULL ? &in->held_next->held_prev : &c->held_last) = in->held_prev;
	in->held_next = in->held_prev = NULL;
	in->held = false;
	c->held--;
}

bool dr_turn_may(struct dr_in *in, const uint8_t *request, size_t n)
{
	struct dr_coord *c = in->coord;
	if (c->turn_ns < TURN_NS)
		return true;
	dr_assert(!in->held && !in->keeps);
	dr_buf_init(&in->kept, DR_FRAME_MAX);
	dr_buf_put(&in->kept, request, n);
	in->keeps = true;
	hold(in);
	dr_turn_soon(c);
	return false;
}

void dr_turn_took(struct dr_in *in, uint64_t ns)
{
	struct dr_coord *c = in->coord;
	c->turn_ns += ns;
	if (in->held || in->read != DR_READ_NONE || (c->turn_ns < TURN_NS && dr_conn_queued(&in->conn) <= QUEUED_MAX))
		return;
	hold(in);
	dr_turn_soon(c);
}

static void on_look(uv_timer_t *t)
{
	dr_turn_soon(t->data);
}

/* What one who waited waited for; then more of what he sends, unless he waits again. */
static void go_on(struct dr_in *in)
{
	struct dr_buf was = in->kept;
	uint64_t began_ns = uv_hrtime();
	bool kept = in->keeps;
	in->kept = (struct dr_buf){ 0 };
	in->keeps = false;
	if (in->read == DR_READ_DUE)
		dr_reads_answer(in);
	else if (kept)
		dr_clients_request(in, was.data, was.len);
	dr_buf_close(&was);
	dr_turn_took(in, uv_hrtime() - began_ns);
	if (!in->held && in->read == DR_READ_NONE)
		dr_conn_resume(&in->conn);
}

/* Let those on who wait, as far as this turn goes. */
static void on_go(uv_idle_t *h)
{
	struct dr_coord *c = h->data;
	bool any = false;
	dr_reads_begin(c);
	for (uint32_t n = c->held; n > 0 && c->turn_ns < TURN_NS; n--) {
		struct dr_in *in = c->held_first;
		unlink_held(in);
		if (dr_conn_queued(&in->conn) > QUEUED_MAX) {
			hold(in);
			continue;
		}
		any = true;
		go_on(in);
	}
	if (any && c->held > 0)
		return;
	(void)uv_idle_stop(h);
	if (c->held > 0) /* all of them have to read first */
		(void)uv_timer_start(&c->turn_look, on_look, LOOK_MS, 0);
}

/* After the poll: those who wait come first in the next turn. */
static void on_end(uv_check_t *h)
{
	struct dr_coord *c = h->data;
	c->turn_ns = 0;
}

void dr_turn_closed(struct dr_in *in)
{
	if (in->held)
		unlink_held(in);
	dr_buf_close(&in->kept);
}

void dr_turn_open(struct dr_coord *c)
{
	c->turn_end.data = c->turn_go.data = c->turn_look.data = c;
	(void)uv_check_init(c->loop, &c->turn_end);
	(void)uv_idle_init(c->loop, &c->turn_go);
	(void)uv_timer_init(c->loop, &c->turn_look);
	(void)uv_check_start(&c->turn_end, on_end);
	uv_unref((uv_handle_t *)&c->turn_end);
	uv_unref((uv_handle_t *)&c->turn_go);
	uv_unref((uv_handle_t *)&c->turn_look);
}
