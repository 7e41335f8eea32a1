/* syncer.c -- see syncer.h. */
#include "raft/syncer.h"

#include <errno.h>
#include <unistd.h>

static void run(void *arg)
{
	struct dr_syncer *s = arg;

	uv_mutex_lock(&s->mutex);
	while (!s->stop) {
		uint64_t upto = s->want;
		int err;

		if (upto == s->done || s->failed != 0) {
			uv_cond_wait(&s->cond, &s->mutex);
			continue;
		}
		uv_mutex_unlock(&s->mutex);
		err = fdatasync(s->fd) == 0 ? 0 : errno;
		uv_mutex_lock(&s->mutex);
		if (err == 0)
			s->done = upto;
		else
			s->failed = err;
		(void)uv_async_send(&s->async);
	}
	uv_mutex_unlock(&s->mutex);
}

static void on_async(uv_async_t *async)
{
	struct dr_syncer *s = async->data;

	uv_mutex_lock(&s->mutex);
	s->synced = s->done;
	s->error = s->failed;
	uv_mutex_unlock(&s->mutex);
	s->advanced(s->ctx);
}

enum dr_err dr_syncer_start(struct dr_syncer *s, uv_loop_t *loop, int fd, void (*advanced)(void *ctx),
			    void *ctx, struct dr_error *e)
{
	uv_thread_options_t small = { .flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = 256 * 1024 };
	int rv;

	*s = (struct dr_syncer){ .fd = fd, .advanced = advanced, .ctx = ctx };
	if (uv_mutex_init(&s->mutex) != 0 || uv_cond_init(&s->cond) != 0)
		return dr_fail(e, DR_E_INTERNAL, "no lock for the guard's thread");
	rv = uv_async_init(loop, &s->async, on_async);
	if (rv != 0)
		return dr_fail(e, DR_E_INTERNAL, "wake-up for the guard's thread: %s", uv_strerror(rv));
	s->async.data = s;
	rv = uv_thread_create_ex(&s->thread, &small, run, s);
	if (rv != 0)
		return dr_fail(e, DR_E_INTERNAL, "start the guard's thread: %s", uv_strerror(rv));
	s->running = true;
	return DR_OK;
}

void dr_syncer_request(struct dr_syncer *s, uint64_t upto)
{
	uv_mutex_lock(&s->mutex);
	if (upto > s->want)
		s->want = upto;
	uv_cond_signal(&s->cond);
	uv_mutex_unlock(&s->mutex);
}

static void on_closed(uv_handle_t *handle)
{
	struct dr_syncer *s = handle->data;

	uv_cond_destroy(&s->cond);
	uv_mutex_destroy(&s->mutex);
	s->closed(s->ctx);
}

void dr_syncer_stop(struct dr_syncer *s, void (*closed)(void *ctx))
{
	s->closed = closed;
	uv_mutex_lock(&s->mutex);
	s->stop = true;
	uv_cond_signal(&s->cond);
	uv_mutex_unlock(&s->mutex);
	(void)uv_thread_join(&s->thread); /* waits for at most one fdatasync */
	s->running = false;
	uv_close((uv_handle_t *)&s->async, on_closed);
}
