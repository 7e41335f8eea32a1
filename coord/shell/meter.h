/* meter.h -- what this coordinator counts, and the snapshots of it that its HTTP server tells (coord/http).
 *
 * All on the loop's thread.  A snapshot is made when it is asked for, the services a slice a turn of the loop, so that
 * leases are renewed meanwhile however many services there are. */
#ifndef DR_COORD_SHELL_METER_H
#define DR_COORD_SHELL_METER_H

#include "base/error.h"
#include "model/event.h"

struct dr_coord;
struct dr_watch;

/* Once Raft is open: the server of the node file's `http`, if there is one. */
DR_MUST_USE enum dr_err dr_meter_open(struct dr_coord *c, struct dr_error *e);
/* The certificates were read again. */
void dr_meter_reload(struct dr_coord *c);

/* A new event was applied. */
void dr_meter_event(struct dr_coord *c, const struct dr_event_record *e);
/* A member's agent asked for its lease, under that id; and was granted it. */
void dr_meter_renewal(struct dr_coord *c, struct dr_watch *w, uint64_t id);
void dr_meter_granted(struct dr_coord *c, struct dr_watch *w, uint64_t id);

#endif
