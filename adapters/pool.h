/* pool.h -- threads for adapters whose client library blocks (adapter.h says that nothing blocks the loop).
 *
 * Threads of our own, not libuv's: Raft's disk work waits there, and a mute server must not hold it up.  One pool a
 * loop and process, made with its first user and gone with its last one.
 *
 *   submit -> queued -> work, on a thread -> done, on the loop
 *
 * Calls come from the loop's thread.  A job is the caller's and stays in place until done, which comes once for every
 * job that was taken; there is no way to take one back: whoever lost interest marks it and frees it in done. */
#ifndef DR_ADAPTERS_POOL_H
#define DR_ADAPTERS_POOL_H

#include <uv.h>

#include "base/error.h"

enum { DR_POOL_THREADS = 128, DR_POOL_QUEUE = 256 };

struct dr_pool_job {
	void (*work)(struct dr_pool_job *j); /* on a thread; may block for as long as the adapter's own limits allow */
	void (*done)(struct dr_pool_job *j); /* on the loop */
	struct dr_pool_job *next;            /* private */
};

/* One more user, who calls dr_pool_leave() once.  All users of a process are on one loop. */
void dr_pool_join(uv_loop_t *loop);
void dr_pool_leave(void);

/* FULL: so many jobs wait already (their servers are mute), and this one says nothing about its own. */
DR_MUST_USE enum dr_err dr_pool_submit(struct dr_pool_job *j, struct dr_error *e);

#endif
