/* ready.h -- the leader's word on readiness, kept up minute by minute, and what `simulate` answers.
 *
 * Both come from forecasts (coord/core/forecast.h) on a copy: nothing here can propose, order or move anything.  All on the
 * loop's thread; what is done in one turn is bounded. */
#ifndef DR_COORD_SHELL_READY_H
#define DR_COORD_SHELL_READY_H

#include <jansson.h>

#include "coord/core/ready.h"
#include "proto/codec.h"

struct dr_coord;
struct dr_in;

void dr_ready_open(struct dr_coord *c);
/* Once a beat, or a part of one: judge those whose minute is over, as many as a share of the beat allows. */
void dr_ready_beat(struct dr_coord *c);

/* A new event was applied. */
void dr_ready_event(struct dr_coord *c, const struct dr_event_record *e);

/* The newest word of this leadership on a service; NULL: there is none (yet), or this coordinator does not lead. */
const struct dr_readiness *dr_ready_of(const struct dr_coord *c, uint32_t service);
/* The worst of the services whose primary is there; UNKNOWN: there is none, or nothing is known. */
enum dr_ready dr_ready_of_site(const struct dr_coord *c, const struct dr_name *site);

bool dr_ready_knows_site(const struct dr_coord *c, const struct dr_name *site);

/* Into a service of `status`: the verdict, and what stands in the way. */
void dr_ready_put(const struct dr_coord *c, uint32_t service, json_t *o);
/* The answer to `ready`, of one service, one site or all; judged anew where that is little work.  The caller frees. */
json_t *dr_ready_json(struct dr_coord *c, uint32_t service, const struct dr_name *site);

/* The same of the sites alone, or of one, as last judged; NULL: of all.  The caller frees. */
json_t *dr_ready_sites_json(const struct dr_coord *c, const struct dr_name *only);

/* simulate.c: the answer to `simulate failover` and `simulate switchover`.  service NONE: all whose primary is in the site. */
json_t *dr_simulate_json(struct dr_coord *c, uint32_t service, const struct dr_client_request *q, enum dr_request_kind kind);

/* ready_cluster.c: of a shard of a Redis Cluster what it takes of the others. */
void dr_ready_note_cluster(const struct dr_coord *c, uint32_t service, struct dr_readiness *r);

/* How fast the primary's position grew between its two newest judgements, a second; false: it is not known. */
bool dr_ready_rate(const struct dr_coord *c, uint32_t service, uint64_t *rate);

/* The verbs `ready` and `simulate` of one who asks (simulate.c). */
void dr_ready_asked(struct dr_in *in, const struct dr_client_request *q);
void dr_simulate_asked(struct dr_in *in, const struct dr_client_request *q, enum dr_request_kind kind);

/* The forecasts' working memory, and the past of a kind of server, read anew now and then. */
struct dr_forecast_room *dr_ready_room(void);
const struct dr_past *dr_ready_past(struct dr_coord *c, enum dr_kind kind);

#endif
