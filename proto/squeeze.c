/* squeeze.c -- see squeeze.h. */
#include "proto/squeeze.h"

#include <zstd.h>

#include "base/assert.h"

enum { LEVEL = 3 }; /* the library's default: a spec of 10,000 services takes it some 10 ms */

void dr_squeeze(struct dr_buf *out, const void *p, size_t n)
{
	size_t room = ZSTD_compressBound(n);
	struct dr_buf whole;
	uint8_t *to;
	size_t len;

	dr_buf_init(&whole, room); /* *out may be bounded below what zstd wants at first */
	to = dr_buf_reserve(&whole, room);
	dr_assert(to != NULL);
	len = ZSTD_compress(to, room, p, n, LEVEL);
	dr_assert(!ZSTD_isError(len)); /* with that room only memory can be short: like everywhere, the end */
	dr_buf_put(out, to, len);
	dr_buf_close(&whole);
}

enum dr_err dr_unsqueeze(struct dr_buf *out, const uint8_t *p, size_t n, struct dr_error *e)
{
	unsigned long long holds = ZSTD_getFrameContentSize(p, n);
	uint8_t *to;
	size_t len;

	if (holds == ZSTD_CONTENTSIZE_ERROR || holds == ZSTD_CONTENTSIZE_UNKNOWN)
		return dr_fail(e, DR_E_PROTOCOL, "compressed bytes that are no zstd frame with its size");
	if (holds > DR_UNSQUEEZED_MAX || (to = dr_buf_reserve(out, (size_t)holds)) == NULL)
		return dr_fail(e, DR_E_PROTOCOL, "compressed bytes that hold %llu, more than %d", holds,
			       DR_UNSQUEEZED_MAX);
	len = ZSTD_decompress(to, (size_t)holds, p, n);
	if (ZSTD_isError(len) || len != holds)
		return dr_fail(e, DR_E_PROTOCOL, "damaged compressed bytes: %s", ZSTD_getErrorName(len));
	dr_buf_grow(out, len);
	return DR_OK;
}
