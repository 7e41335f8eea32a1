/* buf.c -- see buf.h. */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

void dr_buf_init(struct dr_buf *b, size_t max)
{
	*b = (struct dr_buf){ .max = max };
}

void dr_buf_close(struct dr_buf *b)
{
	dr_free(b->data);
	*b = (struct dr_buf){ .max = b->max };
}

void dr_buf_clear(struct dr_buf *b)
{
	b->len = 0;
	b->over = false;
}

bool dr_buf_ok(const struct dr_buf *b)
{
	return !b->over;
}

uint8_t *dr_buf_reserve(struct dr_buf *b, size_t n)
{
	if (b->over || n > b->max || b->len > b->max - n) {
		b->over = true;
		return NULL;
	}
	/* Room for nothing is room too: NULL would say that the bound is passed. */
	if (b->data == NULL || b->len + n > b->cap) {
		size_t cap = b->cap < 256 ? 256 : b->cap;
		while (cap < b->len + n)
			cap *= 2;
		if (cap > b->max)
			cap = b->max;
		b->data = dr_xrealloc(b->data, cap);
		b->cap = cap;
	}
	return b->data + b->len;
}

void dr_buf_grow(struct dr_buf *b, size_t n)
{
	dr_assert(n <= b->cap - b->len);
	b->len += n;
}

void dr_buf_put(struct dr_buf *b, const void *data, size_t n)
{
	if (n == 0)
		return;
	uint8_t *to = dr_buf_reserve(b, n);
	if (to == NULL)
		return;
	memcpy(to, data, n);
	b->len += n;
}

void dr_buf_put_u8(struct dr_buf *b, uint8_t v)
{
	dr_buf_put(b, &v, 1);
}

static void put_be(struct dr_buf *b, uint64_t v, unsigned bytes)
{
	uint8_t out[8];
	for (unsigned i = 0; i < bytes; i++)
		out[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
	dr_buf_put(b, out, bytes);
}

void dr_buf_put_u16be(struct dr_buf *b, uint16_t v)
{
	put_be(b, v, 2);
}

void dr_buf_put_u32be(struct dr_buf *b, uint32_t v)
{
	put_be(b, v, 4);
}

void dr_buf_put_u64be(struct dr_buf *b, uint64_t v)
{
	put_be(b, v, 8);
}

void dr_buf_printf(struct dr_buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->over = true;
		return;
	}
	uint8_t *to = dr_buf_reserve(b, (size_t)n + 1);
	if (to == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf((char *)to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n; /* the NUL stays behind the end */
}

void dr_buf_drop(struct dr_buf *b, size_t n)
{
	dr_assert(n <= b->len);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

struct dr_view dr_view_of(const void *data, size_t len)
{
	return (struct dr_view){ .data = data, .len = len };
}

size_t dr_view_left(const struct dr_view *v)
{
	return v->bad ? 0 : v->len - v->at;
}

const uint8_t *dr_view_bytes(struct dr_view *v, size_t n)
{
	if (v->bad || n > v->len - v->at) {
		v->bad = true;
		return NULL;
	}
	const uint8_t *p = v->data + v->at;
	v->at += n;
	return p;
}

static uint64_t view_be(struct dr_view *v, unsigned bytes)
{
	const uint8_t *p = dr_view_bytes(v, bytes);
	uint64_t out = 0;
	for (unsigned i = 0; p != NULL && i < bytes; i++)
		out = out << 8 | p[i];
	return out;
}

uint8_t dr_view_u8(struct dr_view *v)
{
	return (uint8_t)view_be(v, 1);
}

uint16_t dr_view_u16be(struct dr_view *v)
{
	return (uint16_t)view_be(v, 2);
}

uint32_t dr_view_u32be(struct dr_view *v)
{
	return (uint32_t)view_be(v, 4);
}

uint64_t dr_view_u64be(struct dr_view *v)
{
	return view_be(v, 8);
}
