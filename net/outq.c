/* outq.c -- see outq.h. */
#include "net/outq.h"

#include "base/assert.h"
#include "base/limits.h"

enum {
	/* Far above what callers allow to wait; reaching it is a fault of ours. */
	BOUND = 2 * DR_SEND_QUEUE_MAX
};

void dr_outq_init(struct dr_outq *q, uv_stream_t *stream, void (*moved)(void *ctx, int status), void *ctx)
{
	*q = (struct dr_outq){ .stream = stream, .moved = moved, .ctx = ctx };
	dr_buf_init(&q->flying, BOUND);
	dr_buf_init(&q->behind, BOUND);
}

void dr_outq_close(struct dr_outq *q)
{
	dr_buf_close(&q->flying);
	dr_buf_close(&q->behind);
}

size_t dr_outq_size(const struct dr_outq *q)
{
	return (q->busy ? uv_stream_get_write_queue_size(q->stream) : 0) + q->behind.len;
}

static int fly(struct dr_outq *q);

static void on_written(uv_write_t *req, int status)
{
	struct dr_outq *q = req->data;
	q->busy = false;
	dr_buf_close(&q->flying);
	if (status == 0 && q->behind.len > 0)
		status = fly(q);
	q->moved(q->ctx, status);
}

static int fly(struct dr_outq *q)
{
	dr_assert(!q->busy);
	dr_buf_close(&q->flying);
	q->flying = q->behind;
	dr_buf_init(&q->behind, BOUND);
	uv_buf_t b = uv_buf_init((char *)q->flying.data, (unsigned)q->flying.len);
	q->req.data = q;
	int rv = uv_write(&q->req, q->stream, &b, 1, on_written);
	q->busy = rv == 0;
	return rv;
}

int dr_outq_put(struct dr_outq *q, const uint8_t *data, size_t len)
{
	if (!q->busy && len > 0) {
		uv_buf_t b = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
		int n = uv_try_write(q->stream, &b, 1);
		if (n < 0 && n != UV_EAGAIN)
			return n;
		size_t done = n > 0 ? (size_t)n : 0;
		data += done;
		len -= done;
	}
	if (len == 0)
		return 0;
	dr_buf_put(&q->behind, data, len);
	dr_assert(dr_buf_ok(&q->behind));
	return q->busy ? 0 : fly(q);
}
