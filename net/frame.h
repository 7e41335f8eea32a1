/* frame.h -- the frame codec: bytes in any pieces in, whole frames out.  Pure, so it can be fuzzed alone.
 *
 * Memory grows with the bytes that arrived, never with the length that a header claims. */
#ifndef DR_NET_FRAME_H
#define DR_NET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum {
	DR_FRAME_HEADER = 16, /* bytes */
	DR_FRAME_VERSION = 1
};

struct dr_frame {
	uint16_t type;
	const uint8_t *payload; /* borrowed until the next call on the same reader */
	size_t len;
};

/* Zeroed by dr_frame_reader_init(); idle it owns no memory. */
struct dr_frame_reader {
	struct dr_buf part; /* private: the bytes of a frame that has not arrived whole */
	bool given;         /* private: part was handed out and may be dropped */
};

void dr_frame_reader_init(struct dr_frame_reader *r);
void dr_frame_reader_close(struct dr_frame_reader *r);
/* Whether the bytes so far end inside a frame. */
bool dr_frame_reader_inside(const struct dr_frame_reader *r);

/* Take one frame out of *data and step over the bytes used.  *have is false when more bytes are needed (all
 * were then kept).  PROTOCOL: bad magic, version, length or checksum; the reader is of no more use. */
DR_MUST_USE enum dr_err dr_frame_next(struct dr_frame_reader *r, const uint8_t **data, size_t *len,
				      struct dr_frame *out, bool *have, struct dr_error *e);

/* The header for a payload; len is at most DR_FRAME_MAX. */
void dr_frame_header(uint8_t out[DR_FRAME_HEADER], uint16_t type, const void *payload, size_t len);

#endif
