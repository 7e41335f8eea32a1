/* turn.c -- how much of one turn of the loop those who ask may have.
 *
 * Leases are renewed by the same thread that answers people, and one certificate may have 32 connections and write
 * requests as fast as the network carries them: 64 KiB of them are seconds of work.  So requests get TURN_NS of a turn,
 * and whoever asks beyond that is held: his next requests wait, in his kernel at last, and those held are let on in
 * the order in which they came.  So is one who doesn't read his answers: no further request of his is looked at
 * until they are on their way, and an answer is at most a frame. */
#include "base/assert.h"
#include "coord/shell/coord.h"

enum { TURN_NS = 10000000, QUEUED_MAX = 256 << 10, LOOK_MS = 20 };

static void on_go(uv_idle_t *h);

static void hold(struct dr_in *in)
{
	struct dr_coord *c = in->coord;
	*(c->held_last != NULL ? &c->held_last->held_next : &c->held_first) = in;
	c->held_last = in;
	in->held = true;
	c->held++;
	dr_conn_hold(&in->conn);
}

static struct dr_in *take_first(struct dr_coord *c)
{
	struct dr_in *in = c->held_first;
	dr_assert(in != NULL && in->held);
	c->held_first = in->held_next;
	if (c->held_first == NULL)
		c->held_last = NULL;
	in->held_next = NULL;
	in->held = false;
	c->held--;
	return in;
}

void dr_turn_took(struct dr_in *in, uint64_t ns)
{
	struct dr_coord *c = in->coord;
	c->turn_ns += ns;
	if (in->held || (c->turn_ns < TURN_NS && dr_conn_queued(&in->conn) <= QUEUED_MAX))
		return;
	hold(in);
	(void)uv_idle_start(&c->turn_go, on_go);
}

static void on_look(uv_timer_t *t)
{
	struct dr_coord *c = t->data;
	(void)uv_idle_start(&c->turn_go, on_go);
}

/* Let those on who were held, as far as this turn goes. */
static void on_go(uv_idle_t *h)
{
	struct dr_coord *c = h->data;
	bool any = false;
	for (uint32_t n = c->held; n > 0 && c->turn_ns < TURN_NS; n--) {
		struct dr_in *in = take_first(c);
		if (dr_conn_queued(&in->conn) > QUEUED_MAX) {
			hold(in);
			continue;
		}
		any = true;
		dr_conn_resume(&in->conn);
	}
	if (any && c->held > 0)
		return;
	(void)uv_idle_stop(h);
	if (c->held > 0) /* all of them have to read first */
		(void)uv_timer_start(&c->turn_look, on_look, LOOK_MS, 0);
}

/* After the poll: those who were held come first in the next turn. */
static void on_end(uv_check_t *h)
{
	struct dr_coord *c = h->data;
	c->turn_ns = 0;
}

void dr_turn_closed(struct dr_in *in)
{
	struct dr_coord *c = in->coord;
	for (uint32_t n = c->held; in->held && n > 0; n--) {
		struct dr_in *first = take_first(c);
		if (first != in)
			hold(first);
	}
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
