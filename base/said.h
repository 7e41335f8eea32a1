/* said.h -- what the log says about a thing that fails now and then, as the link to one member: each change once, but of one
 * that comes and goes only a few a minute, and the next line then says how many were left out.
 *
 * Pure; the caller owns the struct, zeroed at first, and gives the time of any clock that does not go back. */
#ifndef DR_BASE_SAID_H
#define DR_BASE_SAID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* As many as a restart of the other side makes: it left, it cannot be reached, it is there again. */
enum { DR_SAID_LINES = 4, DR_SAID_MS = 60000 };

struct dr_said {
	bool any;          /* false: nothing yet */
	enum dr_err err;   /* what the log says of it; DR_OK: it is well */
	enum dr_err last;  /* what was to be said last, written or not */
	uint64_t since_ms; /* of the first of `lines` */
	unsigned lines, left_out;
};

/* Whether the log is to say this now, and that *left_out lines before it were not written. */
bool dr_said_is_news(struct dr_said *s, enum dr_err err, uint64_t now_ms, unsigned *left_out);

#endif
