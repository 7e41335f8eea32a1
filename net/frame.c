/* frame.c -- see frame.h. */
#include "net/frame.h"

#include "base/assert.h"
#include "base/limits.h"

static const uint32_t magic = 0x44524331u; /* "DRC1" */

struct header {
	uint16_t type;
	uint32_t len;
	uint32_t crc;
};

void dr_frame_reader_init(struct dr_frame_reader *r)
{
	*r = (struct dr_frame_reader){ .given = false };
	dr_buf_init(&r->part, (size_t)DR_FRAME_HEADER + DR_FRAME_MAX);
}

void dr_frame_reader_close(struct dr_frame_reader *r)
{
	dr_buf_close(&r->part);
	r->given = false;
}

bool dr_frame_reader_inside(const struct dr_frame_reader *r)
{
	return !r->given && r->part.len > 0;
}

static enum dr_err header_read(const uint8_t *p, struct header *h, struct dr_error *e)
{
	struct dr_view v = dr_view_of(p, DR_FRAME_HEADER);
	uint32_t m = dr_view_u32be(&v);
	uint16_t version = dr_view_u16be(&v);
	h->type = dr_view_u16be(&v);
	h->len = dr_view_u32be(&v);
	h->crc = dr_view_u32be(&v);
	dr_assert(!v.bad);
	if (m != magic)
		return dr_fail(e, DR_E_PROTOCOL, "not a drcoord frame (starts with %08x)", m);
	if (version != DR_FRAME_VERSION)
		return dr_fail(e, DR_E_PROTOCOL,
			       "frame version %u, this program speaks %u: upgrade the older side", version,
			       (unsigned)DR_FRAME_VERSION);
	if (h->len > DR_FRAME_MAX)
		return dr_fail(e, DR_E_PROTOCOL, "frame of %u bytes, at most %u are allowed", h->len,
			       (unsigned)DR_FRAME_MAX);
	return DR_OK;
}

static enum dr_err give(const uint8_t *p, const struct header *h, struct dr_frame *out, bool *have,
			struct dr_error *e)
{
	const uint8_t *payload = p + DR_FRAME_HEADER;
	if (dr_crc32c(0, payload, h->len) != h->crc)
		return dr_fail(e, DR_E_PROTOCOL, "wrong checksum in a frame of type %u, %u bytes", h->type,
			       h->len);
	*out = (struct dr_frame){ .type = h->type, .payload = payload, .len = h->len };
	*have = true;
	return DR_OK;
}

/* Move bytes from *data to the unfinished frame until it has `want`; true when it does. */
static bool gather(struct dr_frame_reader *r, const uint8_t **data, size_t *len, size_t want)
{
	size_t missing = want > r->part.len ? want - r->part.len : 0;
	size_t n = *len < missing ? *len : missing;
	dr_buf_put(&r->part, *data, n);
	dr_assert(dr_buf_ok(&r->part));
	*data += n;
	*len -= n;
	return r->part.len >= want;
}

static enum dr_err next_in_part(struct dr_frame_reader *r, const uint8_t **data, size_t *len,
				struct dr_frame *out, bool *have, struct dr_error *e)
{
	struct header h;
	if (!gather(r, data, len, DR_FRAME_HEADER))
		return DR_OK;
	enum dr_err rv = header_read(r->part.data, &h, e);
	if (rv != DR_OK)
		return rv;
	if (!gather(r, data, len, (size_t)DR_FRAME_HEADER + h.len))
		return DR_OK;
	r->given = true;
	return give(r->part.data, &h, out, have, e);
}

enum dr_err dr_frame_next(struct dr_frame_reader *r, const uint8_t **data, size_t *len, struct dr_frame *out,
			  bool *have, struct dr_error *e)
{
	*have = false;
	if (r->given)
		dr_frame_reader_close(r);
	if (r->part.len > 0 || *len < DR_FRAME_HEADER)
		return *len == 0 ? DR_OK : next_in_part(r, data, len, out, have, e);
	/* The usual case: the frame lies whole in the caller's bytes and is not copied. */
	struct header h;
	enum dr_err rv = header_read(*data, &h, e);
	if (rv != DR_OK)
		return rv;
	size_t whole = (size_t)DR_FRAME_HEADER + h.len;
	if (*len < whole)
		return next_in_part(r, data, len, out, have, e);
	rv = give(*data, &h, out, have, e);
	*data += whole;
	*len -= whole;
	return rv;
}

static uint8_t *put_be(uint8_t *p, uint32_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
	return p + bytes;
}

void dr_frame_header(uint8_t out[DR_FRAME_HEADER], uint16_t type, const void *payload, size_t len)
{
	dr_assert(len <= DR_FRAME_MAX);
	uint8_t *p = put_be(out, magic, 4);
	p = put_be(p, DR_FRAME_VERSION, 2);
	p = put_be(p, type, 2);
	p = put_be(p, (uint32_t)len, 4);
	(void)put_be(p, dr_crc32c(0, payload, len), 4);
}
