/* ahead.c -- see ahead.h. */
#include "raft/ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/parse.h"
#include "sys/log.h"

enum { FILE_BYTES = DR_AHEAD_SLOTS * DR_AHEAD_BLOCK };

enum dr_err dr_ahead_create(const char *path, struct dr_error *e)
{
	uint8_t *zero = dr_xcalloc(FILE_BYTES);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	enum dr_err rv = DR_OK;

	if (fd < 0)
		rv = dr_fail_errno(e, errno, "make guard file %s", path);
	else if (pwrite(fd, zero, FILE_BYTES, 0) != FILE_BYTES)
		rv = dr_fail_errno(e, errno == 0 ? ENOSPC : errno, "write guard file %s", path);
	else if (fsync(fd) != 0)
		rv = dr_fail_errno(e, errno, "fsync guard file %s", path);
	if (fd >= 0)
		(void)close(fd);
	dr_free(zero);
	return rv;
}

static void end_one(struct dr_ahead *a, const struct io_event *ev)
{
	uint32_t slot = (uint32_t)(ev->obj - a->iocb);

	if ((long)ev->res == -EAGAIN)
		a->refused = true;
	else if (ev->res != DR_AHEAD_BLOCK && a->error == 0)
		a->error = (long)ev->res < 0 ? (int)-(long)ev->res : EIO;
	a->whole[slot] = true;
}

/* In their order: a record is not durable as long as one before it is not. */
static void advance(struct dr_ahead *a)
{
	while (a->first != a->next && a->whole[a->first % DR_AHEAD_SLOTS] && a->error == 0 &&
	       !a->refused)
		a->done = a->seq[a->first++ % DR_AHEAD_SLOTS];
}

static void take_ended(struct dr_ahead *a)
{
	struct io_event ended[DR_AHEAD_SLOTS];
	int n = io_getevents(a->aio, 0, DR_AHEAD_SLOTS, ended, NULL);

	if (n < 0)
		a->error = -n;
	for (int i = 0; i < n; i++)
		end_one(a, &ended[i]);
}

static void on_events(uv_poll_t *poll, int status, int events)
{
	struct dr_ahead *a = poll->data;
	uint64_t count;

	(void)events;
	if (status != 0)
		a->error = -status;
	else if (read(a->event, &count, sizeof(count)) == sizeof(count))
		take_ended(a);
	advance(a);
	a->advanced(a->ctx);
}

/* Else a power cut may take the file's name away. */
static bool sync_folder_of(const char *path)
{
	char folder[DR_PATH_MAX + 64];
	int fd;
	bool done;

	if (!dr_copy_text(folder, sizeof(folder), path) || strrchr(folder, '/') == NULL)
		return false;
	*strrchr(folder, '/') = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	done = fd >= 0 && fsync(fd) == 0;
	if (fd >= 0)
		(void)close(fd);
	return done;
}

static int open_file(const char *path)
{
	struct dr_error e;
	int fd = open(path, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (dr_ahead_create(path, &e) != DR_OK || !sync_folder_of(path))
		return -1;
	return open(path, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);
}

static const char *start(struct dr_ahead *a, uv_loop_t *loop, const char *path)
{
	a->fd = open_file(path);
	if (a->fd < 0)
		return "no direct I/O there";
	(void)posix_fadvise(a->fd, 0, 0, POSIX_FADV_DONTNEED); /* pages that were read stand in the way of RWF_NOWAIT */
	if (posix_memalign((void **)&a->blocks, DR_AHEAD_BLOCK, FILE_BYTES) != 0)
		return "no memory";
	memset(a->blocks, 0, FILE_BYTES);
	if (io_setup(DR_AHEAD_SLOTS, &a->aio) != 0)
		return "no asynchronous I/O left (fs.aio-max-nr)";
	a->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (a->event < 0 || uv_poll_init(loop, &a->poll, a->event) != 0)
		return "no event";
	a->poll.data = a;
	(void)uv_poll_start(&a->poll, UV_READABLE, on_events);
	return NULL;
}

static void release(struct dr_ahead *a)
{
	if (a->aio != NULL)
		(void)io_destroy(a->aio); /* waits for what flies */
	if (a->event >= 0)
		(void)close(a->event);
	if (a->fd >= 0)
		(void)close(a->fd);
	free(a->blocks);
	a->blocks = NULL;
}

void dr_ahead_open(struct dr_ahead *a, uv_loop_t *loop, const char *path, void (*advanced)(void *ctx), void *ctx)
{
	*a = (struct dr_ahead){ .fd = -1, .event = -1, .advanced = advanced, .ctx = ctx };
	const char *why = start(a, loop, path);
	a->open = why == NULL;
	if (a->open)
		return;
	dr_log(DR_LOG_INFO, "raft.guard.slow", "file=%s why=\"%s\" then=\"a thread syncs the guard\"", path, why);
	release(a);
}

bool dr_ahead_put(struct dr_ahead *a, uint64_t seq, const uint8_t *record, size_t len)
{
	uint32_t slot = a->next % DR_AHEAD_SLOTS;
	struct iocb *one = &a->iocb[slot];

	if (!a->open || a->error != 0 || a->refused || len > DR_AHEAD_BLOCK || a->next - a->first >= DR_AHEAD_FLYING_MAX)
		return false;
	uint8_t *at = a->blocks + (size_t)slot * DR_AHEAD_BLOCK;
	memcpy(at, record, len);
	io_prep_pwrite(one, a->fd, at, DR_AHEAD_BLOCK, (long long)slot * DR_AHEAD_BLOCK);
	io_set_eventfd(one, a->event);
	one->aio_rw_flags = RWF_NOWAIT;
	if (io_submit(a->aio, 1, &one) != 1) {
		a->refused = true; /* whoever asked has this record synced otherwise, and with it those before */
		return false;
	}
	a->seq[slot] = seq;
	a->whole[slot] = false;
	a->next++;
	return true;
}

static void on_poll_closed(uv_handle_t *h)
{
	struct dr_ahead *a = h->data;

	release(a);
	a->closed(a->ctx);
}

void dr_ahead_close(struct dr_ahead *a, void (*closed)(void *ctx))
{
	if (!a->open) {
		closed(a->ctx);
		return;
	}
	a->open = false;
	a->closed = closed;
	uv_close((uv_handle_t *)&a->poll, on_poll_closed);
}
