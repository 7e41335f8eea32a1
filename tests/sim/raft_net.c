/* raft_net.c -- libraft's messages on their way through the world's network, as the bytes that raft/message.c makes. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/message.h"
#include "tests/sim/raft_parts.h"

static void arrives(struct world *w, struct w_timer *t)
{
	struct sim_raft *r = sim_of(w)->node[t->a];
	struct raft_message m;
	struct dr_error e;
	uint64_t to;
	if (!r->up)
		return;
	dr_assert(dr_message_decode(&m, &to, t->data, t->size, &e) == DR_OK);
	if (to != r->id || /* it has another id by now */
	    (m.type == RAFT_INSTALL_SNAPSHOT && r->node.raft.legacy.snapshot_taking)) {
		dr_message_drop(&m);
		return;
	}
	m.server_address = w->c[t->b].name;
	r->recv(&r->io, &m);
	sim_raft_pump(r);
}

static void was_sent(struct world *w, struct w_timer *t)
{
	struct sim_raft *r = sim_raft_alive(w, t);
	if (r == NULL || r->sent == NULL)
		return;
	struct sent *x = r->sent;
	r->sent = x->next;
	x->cb(x->req, 0);
	dr_free(x);
	sim_raft_pump(r);
}

int sim_raft_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *m, raft_io_send_cb cb)
{
	struct sim_raft *r = sim_raft_of(io);
	struct world *w = r->s->w;
	int to = sim_seat_of(r->s, m->server_id);
	struct raft_message said = *m;
	struct dr_buf bytes;
	struct sent *x = dr_xcalloc(sizeof(*x)), **at = &r->sent;
	*x = (struct sent){ .req = req, .cb = cb };
	while (*at != NULL)
		at = &(*at)->next;
	*at = x;
	(void)sim_raft_later(r, 0, was_sent);
	if (to < 0) /* nobody has this id any more */
		return 0;
	dr_message_complete(&said, &r->node.raft, &r->read); /* as raft/beat.c */
	dr_buf_init(&bytes, DR_MESSAGE_MAX);
	dr_assert(dr_message_encode(&bytes, r->id, &said));
	struct w_timer *t = w_send(w, w->c[r->ci].site, w->c[to].site, w_proc(W_COORD, (uint32_t)to), arrives);
	t->a = (uint32_t)to;
	t->b = r->ci;
	t->data = bytes.data; /* the timer's now */
	t->size = (uint32_t)bytes.len;
	return 0;
}
