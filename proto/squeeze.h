/* squeeze.h -- large specs and answers, compressed: thousands of services say nearly the same thousands of times, and
 * frames and log entries stay as small as they must (base/limits.h).  zstd (RFC 8878) through its own library. */
#ifndef DR_PROTO_SQUEEZE_H
#define DR_PROTO_SQUEEZE_H

#include "base/buf.h"

enum {
	DR_SQUEEZE_FROM = 65536,    /* bytes; smaller ones are sent as they are */
	DR_UNSQUEEZED_MAX = 16 << 20 /* what anybody may make of what was sent */
};

/* Append the n bytes at p to *out as one zstd frame. */
void dr_squeeze(struct dr_buf *out, const void *p, size_t n);
/* Append what the frame holds.  PROTOCOL: no frame, a damaged one, or one that says that it holds more than
 * DR_UNSQUEEZED_MAX or than *out takes. */
DR_MUST_USE enum dr_err dr_unsqueeze(struct dr_buf *out, const uint8_t *p, size_t n, struct dr_error *e);

#endif
