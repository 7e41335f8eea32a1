/* door.h -- whether anybody is behind a server's port: it speaks first, so its first bytes say so.
 *
 * The client library has no connection to be shut down before a server's first word, so a mute one holds a thread of the pool
 * for as long as the library waits, whatever the op's deadline.  Where a whole site has gone mute that would be all threads, and
 * the probes of servers elsewhere would wait behind them.  So one that let a connection hang is first asked here, on the loop.
 *
 * Loop thread only.  Ownership: the door is its own; `gone` is called once, when nothing is left of it. */
#ifndef DR_ADAPTERS_MYSQL_DOOR_H
#define DR_ADAPTERS_MYSQL_DOOR_H

#include <uv.h>

#include "base/error.h"
#include "model/spec.h"

struct my_door;
struct my_door_owner {
	void *ctx;
	void (*answered)(void *ctx, const struct dr_error *e); /* once, later; e == NULL: it speaks */
	void (*gone)(void *ctx);
};

DR_MUST_USE enum dr_err my_door_open(struct my_door **out, uv_loop_t *loop, const struct dr_address *at,
				     const struct my_door_owner *owner, struct dr_error *e);
/* No answer is wanted (any more). */
void my_door_close(struct my_door *d);

#endif
