/* outq.h -- what waits to be written to one libuv stream: one write in flight, the rest gathered behind it.
 *
 * Bytes go to the kernel at once where it takes them; only what it does not take is copied, so an idle or a
 * fast stream owns no memory here.  The loop's thread. */
#ifndef DR_NET_OUTQ_H
#define DR_NET_OUTQ_H

#include <stdbool.h>
#include <uv.h>

#include "base/buf.h"

struct dr_outq {
	uv_stream_t *stream;
	void (*moved)(void *ctx, int status); /* a write ended: 0 or a libuv error */
	void *ctx;
	struct dr_buf flying; /* lent to libuv while busy */
	struct dr_buf behind;
	uv_write_t req;
	bool busy;
};

void dr_outq_init(struct dr_outq *q, uv_stream_t *stream, void (*moved)(void *ctx, int status), void *ctx);
/* Only when the stream's close callback has come. */
void dr_outq_close(struct dr_outq *q);
/* Write or queue; 0 or a libuv error.  The caller holds the bound, by dr_outq_size(). */
int dr_outq_put(struct dr_outq *q, const uint8_t *data, size_t len);
/* Bytes not yet taken by the kernel. */
size_t dr_outq_size(const struct dr_outq *q);

#endif
