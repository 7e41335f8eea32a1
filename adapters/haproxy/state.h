/* state.h -- what HAProxy's stats socket answers, taken apart.  Pure; any thread; the text may hold anything. */
#ifndef DR_ADAPTERS_HAPROXY_STATE_H
#define DR_ADAPTERS_HAPROXY_STATE_H

#include <stdbool.h>

#include "base/error.h"
#include "model/spec.h"

struct dr_haproxy_state {
	struct dr_address at;
	bool ready;     /* not in maintenance or drained by an administrator */
	uint64_t epoch; /* of the variable; 0: it is not set, as after HAProxy's reload */
};

/* The answer to "get var V; show servers state BACKEND".  NOT_FOUND: no such backend, or no such server in it.
 * PROTOCOL: that is no such answer. */
DR_MUST_USE enum dr_err dr_haproxy_state_read(const char *text, const char *backend, const char *server,
					      struct dr_haproxy_state *out, struct dr_error *e);

/* Whether it can stand in a command without ending it: letters, digits, . _ - : and not empty. */
bool dr_haproxy_is_word(const char *s);

#endif
