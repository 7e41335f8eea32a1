/* stream.c -- events for those who watch.
 *
 * They are sent beside the work, not in it: an entry's events are taken note of when it is applied, whoever asked for it
 * gets the answer, and then the streams go on, so many frames in a turn of the loop and no more.  What an
 * event is in words is the same for all, and is made once. */
#include "coord/shell/coord.h"
#include "coord/shell/event_json.h"

enum { TURN_FRAMES = 64, QUEUED_MAX = 1 << 20 };

char *dr_stream_text(struct dr_coord *c, const struct dr_event_record *e)
{
	struct dr_event_text *t = &c->event_text[e->index % DR_EVENT_TEXTS];
	if (t->index != e->index) {
		t->index = e->index;
		dr_buf_clear(&t->json);
		dr_event_json(&t->json, e);
	}
	return (char *)t->json.data;
}

/* What one watcher lacks, as far as *left frames go.  A slow reader gets the rest at a later beat; nobody waits for it. */
static void send_some(struct dr_in *in, uint32_t *left)
{
	struct dr_coord *c = in->coord;
	const struct dr_repl *r = &c->core->repl;
	for (; *left > 0 && in->watch_next <= r->event_last && dr_conn_queued(&in->conn) <= QUEUED_MAX; --*left) {
		const struct dr_event_record *e = dr_repl_event(r, in->watch_next);
		if (e == NULL) {
			dr_clients_error(in, in->watch_id, DR_E_NOT_FOUND, "events from there on are no longer kept; "
					 "`status` shows the oldest kept index");
			in->watch_id = 0;
			return;
		}
		dr_clients_event(in, dr_stream_text(c, e));
		in->watch_next++;
	}
}

static void on_turn(uv_idle_t *h)
{
	struct dr_coord *c = h->data;
	uint32_t left = TURN_FRAMES;
	struct dr_in *first = c->stream_turn != NULL ? c->stream_turn : c->in;
	struct dr_in *in = first;
	while (in != NULL && left > 0) {
		struct dr_in *next = in->next != NULL ? in->next : c->in;
		if (in->role == DR_SESSION_CLIENT && in->watch_id != 0)
			send_some(in, &left);
		c->stream_turn = next; /* whoever comes next is the first of the next turn */
		in = next != first ? next : NULL;
	}
	if (left > 0)
		(void)uv_idle_stop(h);
}

void dr_stream_soon(struct dr_coord *c)
{
	/* No timer: one of 0 ms that is started from its own callback is called again in the same turn (libuv 1.44). */
	if (!c->stopping)
		(void)uv_idle_start(&c->stream_idle, on_turn);
}

void dr_stream_begin(struct dr_in *in, uint64_t id, uint64_t from)
{
	dr_conn_gather_set(&in->conn);
	in->watch_id = id;
	in->watch_next = from != 0 ? from : in->coord->core->repl.event_last + 1;
	dr_stream_soon(in->coord);
}

void dr_stream_closed(struct dr_in *in)
{
	if (in->coord->stream_turn == in)
		in->coord->stream_turn = in->next;
}

void dr_stream_open(struct dr_coord *c)
{
	for (size_t i = 0; i < DR_EVENT_TEXTS; i++)
		dr_buf_init(&c->event_text[i].json, DR_EVENT_TEXT_MAX);
	c->stream_idle.data = c;
	(void)uv_idle_init(c->loop, &c->stream_idle);
	uv_unref((uv_handle_t *)&c->stream_idle);
}
