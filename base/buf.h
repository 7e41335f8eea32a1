/* buf.h -- a growing byte buffer with a bound, and readers over borrowed bytes.
 *
 * The buffer owns its memory; running out of memory aborts (the other coordinators carry on), going past
 * the bound is an error that sticks: after it every append is ignored and dr_buf_ok() is false. */
#ifndef DR_BASE_BUF_H
#define DR_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct dr_buf {
	uint8_t *data; /* read-only for callers */
	size_t len;    /* read-only for callers */
	size_t cap;    /* private */
	size_t max;    /* private */
	bool over;     /* private */
};

/* A buffer of at most max bytes; nothing is allocated yet.  dr_buf_close() may be called on a zeroed one. */
void dr_buf_init(struct dr_buf *b, size_t max);
void dr_buf_close(struct dr_buf *b);
void dr_buf_clear(struct dr_buf *b);
bool dr_buf_ok(const struct dr_buf *b);

/* Appenders.  _be writes big endian.  dr_buf_reserve returns room for n bytes at the end (NULL when over
 * the bound), of which dr_buf_grow then counts in those that were filled. */
void dr_buf_put(struct dr_buf *b, const void *data, size_t n);
void dr_buf_put_u8(struct dr_buf *b, uint8_t v);
void dr_buf_put_u16be(struct dr_buf *b, uint16_t v);
void dr_buf_put_u32be(struct dr_buf *b, uint32_t v);
void dr_buf_put_u64be(struct dr_buf *b, uint64_t v);
void dr_buf_printf(struct dr_buf *b, const char *fmt, ...) DR_PRINTF(2, 3);
uint8_t *dr_buf_reserve(struct dr_buf *b, size_t n);
void dr_buf_grow(struct dr_buf *b, size_t n);
/* Remove the first n bytes. */
void dr_buf_drop(struct dr_buf *b, size_t n);

/* A reader over bytes that somebody else owns.  Reading past the end sets `bad` and yields zeros. */
struct dr_view {
	const uint8_t *data;
	size_t len;
	size_t at;
	bool bad;
};

struct dr_view dr_view_of(const void *data, size_t len);
uint8_t dr_view_u8(struct dr_view *v);
uint16_t dr_view_u16be(struct dr_view *v);
uint32_t dr_view_u32be(struct dr_view *v);
uint64_t dr_view_u64be(struct dr_view *v);
/* A pointer to the next n bytes, or NULL (and bad). */
const uint8_t *dr_view_bytes(struct dr_view *v, size_t n);
size_t dr_view_left(const struct dr_view *v);

/* CRC32C (Castagnoli; RFC 3720 appendix B.4), start with crc = 0. */
uint32_t dr_crc32c(uint32_t crc, const void *data, size_t len);
/* The same, slowly, as processors without an instruction for it get it. */
uint32_t dr_crc32c_by_table(uint32_t crc, const void *data, size_t len);

#endif
