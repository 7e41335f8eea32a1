/* storage.h -- libraft's disk, wrapped: the same struct raft_io with hooks in front of its functions.
 *
 * The hooks keep the guard (guard.h), announce entries before they are written, verify snapshots on every
 * way they take, and turn every failure that libraft would carry on after into a fatal one.
 *
 *   append    appended() -> libraft writes -> guard record -> reported done; of a durable one the guard says
 *             "ahead", durably (ahead.h), in parallel with libraft's write, and both are waited for
 *   truncate  guard lowered and durable -> libraft truncates
 *   term,vote guard says "about to", durable -> libraft writes -> guard says "done"
 *   load      libraft loads -> compared with the guard -> refused, or the guard takes it over
 *
 * Internal to raft/.  Threads: the loop's. */
#ifndef DR_RAFT_STORAGE_H
#define DR_RAFT_STORAGE_H

#include <raft.h>
#include <raft/uv.h>

#include "raft/ahead.h"
#include "raft/guard.h"
#include "raft/message.h"
#include "raft/syncer.h"

enum { DR_CHAIN_KEPT = 4096 }; /* how far back the chain can be taken at a truncation */

struct dr_storage_cbs {
	void (*appended)(void *ctx, uint64_t index, uint64_t term, const uint8_t *cmd, size_t len);
	/* Does not return. */
	void (*fatal)(void *ctx, const struct dr_error *e);
	/* The snapshot that was taken last could not be stored; nothing else is lost. */
	void (*snapshot_lost)(void *ctx);
};

struct dr_storage_append; /* one append on its way */

struct dr_storage {
	struct raft_io io;    /* first: the hooks find the storage by it */
	struct raft_io inner; /* libraft's own functions */
	struct dr_guard guard;
	struct dr_ahead ahead;
	struct dr_syncer syncer;
	uv_timer_t flush; /* makes records durable soon that nobody waits for */
	const struct dr_storage_cbs *cbs;
	void *ctx;
	char log_dir[DR_PATH_MAX];
	uint64_t next;  /* index that the next append begins with */
	uint32_t chain; /* at next - 1 */
	bool rebase;    /* that chain began anew; the next append or record says so */
	struct dr_guard_point kept[DR_CHAIN_KEPT]; /* chain by index % DR_CHAIN_KEPT */
	struct dr_storage_append *head, **tail;    /* appends on their way, oldest first */
	unsigned cuts; /* truncations so far: an append made after the last one proves that it is done */
	struct dr_storage_append *late; /* not begun: a leader's messages about it go first */
	bool holding;                   /* they do, until dr_storage_begin */
	raft_io_recv_cb recv;
	struct dr_snapshot_end read; /* the snapshot that libraft was last given */
	uint64_t id;
	bool closing;
	unsigned closes; /* handles still closing */
	void (*closed)(void *ctx);
	struct dr_error why; /* why load refused */
};

/* Install the hooks.  dir holds `guard` and `log/`.  On error nothing needs a close. */
DR_MUST_USE enum dr_err dr_storage_open(struct dr_storage *s, uv_loop_t *loop, const char *dir, uint64_t id,
					struct raft_uv_transport *transport, const struct dr_storage_cbs *cbs,
					void *ctx, struct dr_error *e);
/* After raft's close: release; closed follows on the loop. */
void dr_storage_close(struct dr_storage *s, void (*closed)(void *ctx));

/* Around what a leader appends: its own disk is not waited for before others hear of the entries, which have the longer way
 * (Ongaro, "Consensus: Bridging Theory and Practice", 10.2.1).  Whatever else is to be written meanwhile goes behind it. */
void dr_storage_hold(struct dr_storage *s);
void dr_storage_begin(struct dr_storage *s);

/* The hook: a damaged one is not sent on. */
int dr_storage_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *req, raft_io_snapshot_get_cb cb);

/* A message came: libraft's from now on.  Nothing may be half done of libraft's. */
void dr_storage_recv(struct dr_storage *s, struct raft_message *m);

/* Free what io.load() handed out. */
void dr_storage_release(struct raft_snapshot *snapshot, struct raft_entry *entries, size_t n);

/* The part of the load hook that only compares: what libraft loaded against the guard.  *chain becomes the
 * chain after the last entry, *rebase whether it began anew, kept (DR_CHAIN_KEPT of them) its last values. */
struct dr_storage_loaded {
	uint64_t term, vote;
	const struct raft_snapshot *snapshot; /* may be NULL */
	uint64_t start;                       /* index of entries[0] */
	const struct raft_entry *entries;
	size_t n;
};
DR_MUST_USE enum dr_err dr_storage_compare(const struct dr_guard *g, const char *log_dir,
					   const struct dr_storage_loaded *l, struct dr_guard_point *kept,
					   uint32_t *chain, bool *rebase, struct dr_error *e);

#endif
