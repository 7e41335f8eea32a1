/* journal.c -- see journal.h.  The file: magic, version, length, CRC32C of all before and of the record. */
#include "agent/shell/journal.h"

#include <string.h>

#include "sys/file.h"

#define MAGIC 0x64726a6eu /* "drjn" */

enum { VERSION = 1, HEAD_BYTES = 16 };

enum dr_err dr_journal_store_write(const char *path, const void *bytes, size_t len, struct dr_error *e)
{
	struct dr_buf b;
	if (len > DR_JOURNAL_BYTES_MAX)
		return dr_fail(e, DR_E_RANGE, "a journal of %zu bytes is too large", len);
	dr_buf_init(&b, HEAD_BYTES + DR_JOURNAL_BYTES_MAX);
	dr_buf_put_u32be(&b, MAGIC);
	dr_buf_put_u32be(&b, VERSION);
	dr_buf_put_u32be(&b, (uint32_t)len);
	uint32_t crc = dr_crc32c(dr_crc32c(0, b.data, b.len), bytes, len);
	dr_buf_put_u32be(&b, crc);
	dr_buf_put(&b, bytes, len);
	enum dr_err rv = dr_file_replace(path, b.data, b.len, 0600, e);
	dr_buf_close(&b);
	return rv;
}

static enum dr_err check(const char *path, const struct dr_buf *b, struct dr_error *e)
{
	struct dr_view v = dr_view_of(b->data, b->len);
	uint32_t magic = dr_view_u32be(&v);
	uint32_t version = dr_view_u32be(&v);
	uint32_t len = dr_view_u32be(&v);
	uint32_t crc = dr_view_u32be(&v);
	if (v.bad || magic != MAGIC)
		return dr_fail(e, DR_E_CORRUPT, "journal %s is damaged: no head in %zu bytes", path, b->len);
	if (version != VERSION)
		return dr_fail(e, DR_E_CORRUPT, "journal %s is of version %u, this program knows %d", path,
			       version, VERSION);
	if (len != dr_view_left(&v))
		return dr_fail(e, DR_E_CORRUPT, "journal %s is damaged: %zu bytes instead of %u", path,
			       dr_view_left(&v), len);
	if (crc != dr_crc32c(dr_crc32c(0, b->data, HEAD_BYTES - 4), b->data + HEAD_BYTES, len))
		return dr_fail(e, DR_E_CORRUPT, "journal %s is damaged: wrong checksum", path);
	return DR_OK;
}

enum dr_err dr_journal_store_read(const char *path, struct dr_buf *out, struct dr_error *e)
{
	struct dr_buf b;
	dr_buf_init(&b, HEAD_BYTES + DR_JOURNAL_BYTES_MAX);
	enum dr_err rv = dr_file_read(path, &b, e);
	if (rv == DR_E_RANGE)
		rv = dr_fail(e, DR_E_CORRUPT, "journal %s is damaged: too long", path);
	if (rv == DR_OK)
		rv = check(path, &b, e);
	if (rv == DR_OK) {
		dr_buf_put(out, b.data + HEAD_BYTES, b.len - HEAD_BYTES);
		if (!dr_buf_ok(out))
			rv = dr_fail(e, DR_E_RANGE, "the journal %s doesn't fit", path);
	}
	dr_buf_close(&b);
	return rv;
}
