/* fsm.c -- libraft's state machine, handed on to the callbacks.
 *
 * apply always returns 0 (an error would apply the same entry again for ever); what cannot go on ends the
 * process. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "raft/entry.h"
#include "raft/internal.h"
#include "raft/message.h"
#include "raft/snap.h"
#include "sys/log.h"

enum { SNAPSHOT_MAX = DR_MESSAGE_SNAPSHOT_MAX - DR_SNAP_HEADER - 8 };

static void bound_log(struct dr_raft *r, size_t bytes)
{
	dr_bound_applied(&r->since, bytes);
	raft_set_snapshot_threshold(&r->raft, dr_bound_is_due(&r->since) ? 1 : r->snapshot_threshold);
	if (!r->raft.legacy.snapshot_taking)
		raft_set_snapshot_trailing(&r->raft, dr_bound_trailing(&r->since, r->snapshot_trailing));
}

static int fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result)
{
	struct dr_raft *r = fsm->data;
	uint64_t index = raft_last_applied(&r->raft) + 1; /* libraft raises it after this call */
	struct dr_entry entry;
	const uint8_t *cmd;
	size_t len;
	struct dr_error e;

	*result = NULL;
	bound_log(r, buf->len);
	if (!dr_entry_open(&entry, buf->base, buf->len)) {
		(void)dr_fail(&e, DR_E_CORRUPT, "committed entry %llu has no frame of ours",
			      (unsigned long long)index);
		dr_raft_die(r, &e);
	}
	dr_raft_enter(r);
	while (dr_entry_next(&entry, &cmd, &len))
		r->config.cbs->apply(r->config.ctx, index, entry.term, cmd, len);
	dr_raft_leave(r);
	return 0;
}

static int fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
	struct dr_raft *r = fsm->data;
	struct dr_buf state;
	size_t padded;
	uint8_t *whole;

	if (!dr_snap_may_take(&r->raft))
		return RAFT_BUSY;
	dr_buf_init(&state, SNAPSHOT_MAX);
	dr_raft_enter(r);
	r->config.cbs->snapshot(r->config.ctx, &state);
	dr_raft_leave(r);
	if (!dr_buf_ok(&state)) {
		dr_log(DR_LOG_ERROR, "raft.snapshot.failed", "reason=\"the state is larger than %d bytes\"",
		       SNAPSHOT_MAX);
		dr_buf_close(&state);
		return RAFT_TOOBIG;
	}
	padded = DR_SNAP_HEADER + ((state.len + 7) & ~(size_t)7);
	whole = raft_malloc(padded);
	*bufs = raft_malloc(sizeof **bufs);
	if (whole == NULL || *bufs == NULL) {
		raft_free(whole);
		raft_free(*bufs);
		dr_buf_close(&state);
		return RAFT_NOMEM;
	}
	memset(whole + DR_SNAP_HEADER, 0, padded - DR_SNAP_HEADER);
	if (state.len > 0)
		memcpy(whole + DR_SNAP_HEADER, state.data, state.len);
	dr_snap_seal(whole, whole + DR_SNAP_HEADER, state.len);
	dr_buf_close(&state);
	(*bufs)[0] = (struct raft_buffer){ whole, padded };
	*n_bufs = 1;
	dr_bound_taken(&r->since, padded);
	return 0;
}

/* The index that is being restored stands nowhere in the call; libraft has set it where we find it. */
static uint64_t restored_index(const struct dr_raft *r)
{
	return r->storage.guard.head.snap_index;
}

static int fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
	struct dr_raft *r = fsm->data;
	const uint8_t *data;
	size_t len;
	struct dr_error e;

	if (dr_snap_open(buf->base, buf->len, &data, &len, &e) != DR_OK ||
	    r->config.cbs->restore(r->config.ctx, data, len, restored_index(r), &e) != DR_OK) {
		if (r->storage.recv != NULL) /* running: libraft would carry on with the old state */
			dr_raft_die(r, &e);
		r->storage.why = e;
		return RAFT_CORRUPT;
	}
	dr_bound_taken(&r->since, buf->len);
	raft_free(buf->base);
	return 0;
}

void dr_raft_fsm_init(struct dr_raft *r)
{
	r->fsm.version = 1;
	r->fsm.data = r;
	r->fsm.apply = fsm_apply;
	r->fsm.snapshot = fsm_snapshot;
	r->fsm.restore = fsm_restore;
}
