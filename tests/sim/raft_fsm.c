/* raft_fsm.c -- libraft's state machine: entries become events of the core, snapshots carry its state. */
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/buf.h"
#include "coord/shell/snapshot.h"
#include "proto/codec.h"
#include "raft/entry.h"
#include "raft/snap.h"
#include "tests/sim/raft_parts.h"

static int fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result)
{
	struct sim_raft *r = fsm->data;
	struct world *w = r->s->w;
	struct dr_entry entry;
	const uint8_t *bytes;
	size_t len;
	struct dr_cmd cmd;
	struct dr_error e = { 0 };
	uint64_t index = raft_last_applied(&r->node.raft) + 1;
	*result = NULL;
	dr_assert(dr_entry_open(&entry, buf->base, buf->len));
	w->c[r->ci].applied = (uint32_t)index;
	if (index > w->committed)
		w->committed = (uint32_t)index;
	while (dr_entry_next(&entry, &bytes, &len)) {
		if (dr_cmd_decode(&cmd, bytes, len, &e) != DR_OK) {
			w_violation(w, "entry %llu does not decode: %s", (unsigned long long)index, e.msg);
			return 0;
		}
		r->node.inside++;
		struct dr_core_event ev = { .kind = DR_EV_COMMITTED, .cmd = &cmd, .index = index, .term = entry.term };
		w_coord_event(w, r->ci, &ev);
		r->node.inside--;
		dr_cmd_close(&cmd);
	}
	return 0;
}

static int fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n)
{
	struct sim_raft *r = fsm->data;
	struct dr_buf b;
	if (!dr_snap_may_take(&r->node.raft))
		return RAFT_BUSY;
	dr_buf_init(&b, 64 << 20);
	dr_snapshot_encode(&b, &r->s->w->c[r->ci].core->repl, r->ledger);
	dr_assert(dr_buf_ok(&b));
	*bufs = raft_malloc(sizeof(**bufs));
	*n = 1;
	dr_assert(*bufs != NULL);
	(*bufs)[0].len = DR_SNAP_HEADER + ((b.len + 7) & ~(size_t)7);
	(*bufs)[0].base = raft_calloc(1, (*bufs)[0].len);
	dr_assert((*bufs)[0].base != NULL);
	dr_snap_seal((*bufs)[0].base, b.data, b.len);
	memcpy((uint8_t *)(*bufs)[0].base + DR_SNAP_HEADER, b.data, b.len);
	dr_buf_close(&b);
	return 0;
}

static int fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
	struct sim_raft *r = fsm->data;
	struct dr_core *core = r->s->w->c[r->ci].core;
	struct dr_error e = { 0 };
	struct dr_repl *fresh = mmap(NULL, sizeof(*fresh), PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	dr_assert(fresh != MAP_FAILED);
	const uint8_t *data;
	size_t len;
	dr_repl_init(fresh);
	if (dr_snap_open(buf->base, buf->len, &data, &len, &e) != DR_OK ||
	    dr_snapshot_decode(fresh, r->ledger, data, len, &e) != DR_OK) {
		w_violation(r->s->w, "a snapshot does not decode: %s", e.msg);
	} else {
		memcpy(&core->repl, fresh, offsetof(struct dr_repl, service) + fresh->services * sizeof(fresh->service[0]));
		struct dr_core_event ev = { .kind = DR_EV_RESTORED };
		r->node.inside++;
		w_coord_event(r->s->w, r->ci, &ev);
		r->node.inside--;
		r->s->w->c[r->ci].applied = (uint32_t)core->repl.applied;
	}
	(void)munmap(fresh, sizeof(*fresh));
	raft_free(buf->base);
	return 0;
}

void sim_raft_fsm_fill(struct sim_raft *r)
{
	r->fsm = (struct raft_fsm){
		.version = 1, .data = r, .apply = fsm_apply, .snapshot = fsm_snapshot, .restore = fsm_restore
	};
}
