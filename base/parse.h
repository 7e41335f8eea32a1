/* parse.h -- the one place where text becomes numbers, durations, sizes, addresses and names.
 *
 * Strict: the whole text must be used, no sign where none is possible, no leading or trailing space, no
 * overflow (strtoul takes "1s" as 1 and " -1" as a huge number).  Pure; any thread. */
#ifndef DR_BASE_PARSE_H
#define DR_BASE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"

/* Decimal, within [min, max].  INVALID: not a number.  RANGE: outside. */
DR_MUST_USE enum dr_err dr_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out);

/* "250ms", "5s", "2m", "1h": a whole number and a unit, to milliseconds.  A bare number is INVALID. */
DR_MUST_USE enum dr_err dr_parse_duration_ms(const char *s, uint64_t *out_ms);

/* "512", "16KiB", "64MiB", "1GiB" to bytes. */
DR_MUST_USE enum dr_err dr_parse_size(const char *s, uint64_t *out_bytes);

/* "true" or "false", nothing else. */
DR_MUST_USE enum dr_err dr_parse_bool(const char *s, bool *out);

/* "10.1.0.2:7400" or "[fd00::1]:7400": an address literal and a port from 1 to 65535. */
DR_MUST_USE enum dr_err dr_parse_host_port(const char *s, char host[DR_HOST_MAX], uint16_t *port);

/* Whether s is a name as sites, services and members have: [a-z0-9] then [a-z0-9-], at most
 * DR_NAME_MAX - 1 bytes, not ending in '-'. */
bool dr_is_name(const char *s);

/* Copy s to dst of cap bytes with its NUL; false when it does not fit (dst is then the cut text). */
bool dr_copy_text(char *dst, size_t cap, const char *s);

/* The number of single edits between a and b (Levenshtein), for "did you mean"; cut at 64 bytes. */
unsigned dr_edit_distance(const char *a, const char *b);

#endif
