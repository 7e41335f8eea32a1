/* link.h -- one TCP connection to a Redis server: commands out, answers in.  hiredis is the codec, nothing more.
 *
 * Threads: the loop's.  A link lives on the heap; its owner holds the pointer until it calls red_link_drop(), also after
 * `failed`.  From then on none of the owner's functions but `gone` is called, and that exactly once, when the handle is
 * closed.  No time is kept here: deadlines are the owner's. */
#ifndef DR_ADAPTERS_REDIS_LINK_H
#define DR_ADAPTERS_REDIS_LINK_H

#include <hiredis/hiredis.h>
#include <uv.h>

#include "base/buf.h"
#include "model/spec.h"

/* The codec with its bounds: what announces more than any answer of ours has is an error.  redisReaderFree. */
redisReader *red_reader(void);

struct red_link;
struct red_link_owner {
	void *ctx;
	/* One whole answer; it is the link's and goes when this returns.  The link may be dropped. */
	void (*answer)(void *ctx, const redisReply *r);
	/* The connection could not be made, or ended.  Never from inside open or send. */
	void (*failed)(void *ctx, const struct dr_error *e);
	void (*gone)(void *ctx);
};

/* Begin to connect.  ca_file: who may sign the server's certificate; empty: no TLS.  On an error *out is NULL and `gone` is still
 * called later: count the link before calling this. */
DR_MUST_USE enum dr_err red_link_open(struct red_link **out, uv_loop_t *loop, const struct dr_address *to, const char *ca_file,
				      const struct red_link_owner *owner, struct dr_error *e);
/* Send commands as they stand on the wire (copied), at once or as soon as connected. */
void red_link_send(struct red_link *l, const void *bytes, size_t len);
void red_link_drop(struct red_link *l);

#endif
