/* event_json.h -- an event as JSON, as `watch` streams it and the log shows it. */
#ifndef DR_COORD_SHELL_EVENT_JSON_H
#define DR_COORD_SHELL_EVENT_JSON_H

#include "base/buf.h"
#include "model/event.h"

/* Append it to *out, with a NUL behind its end; 16 KiB are always enough.  64-bit values are integers: readers that use
 * doubles lose digits only beyond 2^53.  Pure; any thread. */
void dr_event_json(struct dr_buf *out, const struct dr_event_record *e);

#endif
