/* read.c -- reads that miss nothing committed before them.
 *
 * A leader that was replaced without knowing it (paused, cut off) still holds a state, an old one.  What it is asked
 * for waits for a barrier: an entry of its own that a majority stores and that is applied here, and with it all
 * that was committed before (Ongaro, "Consensus: Bridging Theory and Practice", 6.4; the entry costs a write, which
 * is well spent on what people ask once in a while). */
#include <inttypes.h>

#include "base/mem.h"
#include "raft/internal.h"

struct read {
	struct raft_barrier req;
	dr_raft_read_cb *cb;
	void *arg;
};

static void on_done(struct raft_barrier *req, int status)
{
	struct read *b = req->data;
	struct read done = *b;

	dr_free(b);
	done.cb(done.arg, status == 0 ? DR_OK : dr_raft_err(status));
}

enum dr_err dr_raft_read(struct dr_raft *r, dr_raft_read_cb *cb, void *arg)
{
	struct read *b;
	int rv;

	if (r->closing)
		return DR_E_CLOSED;
	if (r->inside != 0)
		return DR_E_BUSY;
	if (raft_state(&r->raft) != RAFT_LEADER)
		return DR_E_NOT_LEADER;
	b = dr_xcalloc(sizeof *b);
	*b = (struct read){ .cb = cb, .arg = arg };
	b->req.data = b;
	rv = raft_barrier(&r->raft, &b->req, on_done);
	if (rv == 0)
		return DR_OK;
	dr_free(b);
	return dr_raft_err(rv);
}
