/* guard.c -- see guard.h.
 *
 * The file is SLOTS records of RECORD bytes, written with zeros once so that later writes change no
 * metadata of the file system.  Record number seq stands in slot seq % SLOTS. */
#include "raft/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"
#include "raft/ahead.h"
#include "sys/file.h"

enum { RECORD = 128, SLOTS = 4096 };
enum { FLAG_PENDING = 1, FLAG_REBASE = 2, FLAG_CUTTING = 4 };
#define MAGIC UINT64_C(0x4452475541524431) /* "DRGUARD1" */

static void encode(const struct dr_guard_head *h, uint64_t seq, struct dr_buf *b)
{
	dr_buf_clear(b);
	dr_buf_put_u64be(b, MAGIC);
	dr_buf_put_u64be(b, seq);
	dr_buf_put_u64be(b, h->id);
	dr_buf_put_u64be(b, h->term);
	dr_buf_put_u64be(b, h->vote);
	dr_buf_put_u64be(b, h->old_term);
	dr_buf_put_u64be(b, h->old_vote);
	dr_buf_put_u64be(b, h->floor);
	dr_buf_put_u64be(b, h->floor_term);
	dr_buf_put_u64be(b, h->snap_index);
	dr_buf_put_u64be(b, h->snap_term);
	dr_buf_put_u64be(b, h->snap_hash);
	dr_buf_put_u32be(b, h->chain);
	dr_buf_put_u32be(b, (h->pending ? FLAG_PENDING : 0u) | (h->rebase ? FLAG_REBASE : 0u) |
				(h->cutting ? FLAG_CUTTING : 0u));
	dr_buf_put_u64be(b, h->ahead);
	dr_buf_put_u64be(b, h->ahead_term);
	dr_buf_put_u32be(b, h->ahead_chain);
	dr_buf_put_u32be(b, dr_crc32c(0, b->data, b->len));
	dr_assert(b->len == RECORD);
}

/* False when the slot holds no whole record.  The last number of all is none: no record could follow it. */
static bool decode(const uint8_t *p, struct dr_guard_head *h, uint64_t *seq)
{
	struct dr_view v = dr_view_of(p, RECORD);
	struct dr_view crc = dr_view_of(p + RECORD - 4, 4);
	uint32_t flags;

	if (dr_view_u64be(&v) != MAGIC || dr_view_u32be(&crc) != dr_crc32c(0, p, RECORD - 4))
		return false;
	*h = (struct dr_guard_head){ 0 };
	*seq = dr_view_u64be(&v);
	h->id = dr_view_u64be(&v);
	h->term = dr_view_u64be(&v);
	h->vote = dr_view_u64be(&v);
	h->old_term = dr_view_u64be(&v);
	h->old_vote = dr_view_u64be(&v);
	h->floor = dr_view_u64be(&v);
	h->floor_term = dr_view_u64be(&v);
	h->snap_index = dr_view_u64be(&v);
	h->snap_term = dr_view_u64be(&v);
	h->snap_hash = dr_view_u64be(&v);
	h->chain = dr_view_u32be(&v);
	flags = dr_view_u32be(&v);
	h->pending = (flags & FLAG_PENDING) != 0;
	h->rebase = (flags & FLAG_REBASE) != 0;
	h->cutting = (flags & FLAG_CUTTING) != 0;
	h->ahead = dr_view_u64be(&v);
	h->ahead_term = dr_view_u64be(&v);
	h->ahead_chain = dr_view_u32be(&v);
	return *seq != 0 && *seq != UINT64_MAX;
}

enum dr_err dr_guard_create(const char *path, const struct dr_guard_head *head, struct dr_error *e)
{
	struct dr_guard g = { .fd = -1 };
	uint8_t *zero = dr_xcalloc(RECORD * SLOTS);
	char ahead_path[DR_PATH_MAX + 64];
	enum dr_err rv;

	dr_buf_init(&g.record, RECORD);
	g.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (g.fd < 0) {
		rv = dr_fail_errno(e, errno, "make guard file %s", path);
		goto out;
	}
	if (pwrite(g.fd, zero, RECORD * SLOTS, 0) != RECORD * SLOTS) {
		rv = dr_fail_errno(e, errno == 0 ? ENOSPC : errno, "write guard file %s", path);
		goto out;
	}
	g.head = *head;
	(void)dr_copy_text(g.path, sizeof g.path, path);
	rv = dr_guard_write(&g, e);
	if (rv == DR_OK && fsync(g.fd) != 0)
		rv = dr_fail_errno(e, errno, "fsync guard file %s", path);
	dr_guard_ahead_path(path, ahead_path);
	if (rv == DR_OK && (rv = dr_ahead_create(ahead_path, e)) != DR_OK)
		(void)unlink(ahead_path);
out:
	if (rv != DR_OK && g.fd >= 0)
		(void)unlink(path);
	dr_guard_close(&g);
	dr_free(zero);
	return rv;
}

/* The run of records that ends at the newest gives the points.  Older laps and gaps (pages that a power
 * cut kept from the disk) end the run: a truncation may have stood in the gap. */
static void collect_points(struct dr_guard *g, const uint8_t *file)
{
	struct dr_guard_head h;
	uint64_t first = g->seq, seq;

	while (first > 1 && g->seq - first < SLOTS - 1 &&
	       decode(file + (first - 1) % SLOTS * RECORD, &h, &seq) && seq == first - 1)
		first--;
	g->points = dr_xcalloc((size_t)(g->seq - first + 1) * sizeof *g->points);
	for (uint64_t s = first; s <= g->seq; s++) {
		bool whole = decode(file + s % SLOTS * RECORD, &h, &seq);

		dr_assert(whole);
		if (h.rebase)
			g->n_points = 0;
		while (g->n_points > 0 && g->points[g->n_points - 1].index >= h.floor)
			g->n_points--;
		g->points[g->n_points++] = (struct dr_guard_point){ h.floor, h.chain };
	}
}

enum dr_err dr_guard_decode(struct dr_guard *g, const uint8_t *file, size_t len, struct dr_error *e)
{
	struct dr_guard_head h;
	uint64_t seq;

	for (size_t at = 0; at + RECORD <= len; at += RECORD) {
		if (decode(file + at, &h, &seq) && seq % SLOTS == at / RECORD && seq > g->seq) {
			g->seq = seq;
			g->head = h;
		}
	}
	if (g->seq == 0 || len != RECORD * SLOTS)
		return dr_fail(e, DR_E_CORRUPT,
			       "the guard file %s is damaged (no whole record, or a wrong size)", g->path);
	collect_points(g, file);
	g->head.rebase = false;
	return DR_OK;
}

void dr_guard_merge(uint8_t *file, size_t len, const uint8_t *ahead, size_t ahead_len)
{
	struct dr_guard_head h;
	uint64_t seq, there;

	for (size_t at = 0; at + DR_AHEAD_BLOCK <= ahead_len && len == RECORD * SLOTS; at += DR_AHEAD_BLOCK) {
		if (!decode(ahead + at, &h, &seq))
			continue;
		uint8_t *slot = file + seq % SLOTS * RECORD;
		if (!decode(slot, &h, &there) || there < seq)
			memcpy(slot, ahead + at, RECORD);
	}
}

void dr_guard_ahead_path(const char *path, char out[DR_PATH_MAX + 64])
{
	(void)snprintf(out, DR_PATH_MAX + 64, "%s-ahead", path);
}

/* None is fine: a folder of a build before. */
static enum dr_err merge_ahead(const char *path, struct dr_buf *file, struct dr_error *e)
{
	char ahead_path[DR_PATH_MAX + 64];
	struct dr_buf ahead;
	enum dr_err rv;

	dr_guard_ahead_path(path, ahead_path);
	if (access(ahead_path, F_OK) != 0 && errno == ENOENT)
		return DR_OK;
	dr_buf_init(&ahead, DR_AHEAD_SLOTS * DR_AHEAD_BLOCK);
	rv = dr_file_read(ahead_path, &ahead, e);
	if (rv == DR_OK)
		dr_guard_merge(file->data, file->len, ahead.data, ahead.len);
	else
		rv = dr_fail(e, DR_E_CORRUPT, "the guard file %s cannot be read", ahead_path);
	dr_buf_close(&ahead);
	return rv;
}

enum dr_err dr_guard_open(struct dr_guard *g, const char *path, struct dr_error *e)
{
	struct dr_buf file;
	enum dr_err rv;

	*g = (struct dr_guard){ .fd = -1 };
	dr_buf_init(&g->record, RECORD);
	dr_buf_init(&file, RECORD * SLOTS);
	(void)dr_copy_text(g->path, sizeof g->path, path);
	rv = dr_file_read(path, &file, e);
	if (rv != DR_OK) {
		rv = dr_fail(e, DR_E_CORRUPT, "the guard file %s cannot be read", path);
		goto out;
	}
	rv = merge_ahead(path, &file, e);
	if (rv == DR_OK)
		rv = dr_guard_decode(g, file.data, file.len, e);
	if (rv != DR_OK)
		goto out;
	g->fd = open(path, O_RDWR | O_CLOEXEC);
	if (g->fd < 0)
		rv = dr_fail_errno(e, errno, "open guard file %s", path);
out:
	dr_buf_close(&file);
	if (rv != DR_OK)
		dr_guard_close(g);
	return rv;
}

void dr_guard_forget(struct dr_guard *g)
{
	dr_free(g->points);
	g->points = NULL;
	g->n_points = 0;
}

void dr_guard_close(struct dr_guard *g)
{
	dr_guard_forget(g);
	dr_buf_close(&g->record);
	if (g->fd >= 0)
		(void)close(g->fd);
	g->fd = -1;
}

enum dr_err dr_guard_write(struct dr_guard *g, struct dr_error *e)
{
	ssize_t n;

	encode(&g->head, g->seq + 1, &g->record);
	do {
		n = pwrite(g->fd, g->record.data, RECORD, (off_t)((g->seq + 1) % SLOTS * RECORD));
	} while (n < 0 && errno == EINTR);
	if (n != RECORD)
		return dr_fail_errno(e, n < 0 ? errno : EIO, "write guard file %s", g->path);
	g->seq++;
	g->head.rebase = false;
	return DR_OK;
}

enum dr_err dr_guard_sync(struct dr_guard *g, struct dr_error *e)
{
	if (fdatasync(g->fd) != 0)
		return dr_fail_errno(e, errno, "fdatasync guard file %s", g->path);
	return DR_OK;
}

uint32_t dr_guard_link(uint32_t chain, uint64_t term, uint8_t type, const void *data, size_t len)
{
	uint8_t head[13];

	for (unsigned i = 0; i < 8; i++)
		head[i] = (uint8_t)(term >> (8 * i));
	for (unsigned i = 0; i < 4; i++)
		head[8 + i] = (uint8_t)((uint64_t)len >> (8 * i));
	head[12] = type;
	return dr_crc32c(dr_crc32c(chain, head, sizeof head), data, len);
}
