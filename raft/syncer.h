/* syncer.h -- fdatasync(2) of one file on a thread of its own, so that neither the loop nor libuv's pool
 * waits for the disk.  One call covers all requests made before it began. */
#ifndef DR_RAFT_SYNCER_H
#define DR_RAFT_SYNCER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"

struct dr_syncer {
	uint64_t synced; /* on the loop: everything requested up to this number is durable */
	int error;       /* on the loop: errno of a failed call; nothing more is synced then */

	/* private */
	uv_async_t async;
	uv_thread_t thread;
	uv_mutex_t mutex;
	uv_cond_t cond;
	int fd;
	uint64_t want, done; /* under mutex, as failed and stop */
	int failed;
	bool stop, running;
	void (*advanced)(void *ctx);
	void (*closed)(void *ctx);
	void *ctx;
};

/* advanced is called on the loop when synced or error changed.  The caller keeps *s in place and fd open
 * until `closed` of dr_syncer_stop() was called. */
DR_MUST_USE enum dr_err dr_syncer_start(struct dr_syncer *s, uv_loop_t *loop, int fd,
					void (*advanced)(void *ctx), void *ctx, struct dr_error *e);
/* What was written so far under numbers up to `upto` is to become durable. */
void dr_syncer_request(struct dr_syncer *s, uint64_t upto);
void dr_syncer_stop(struct dr_syncer *s, void (*closed)(void *ctx));

#endif
