/* cluster.h -- inside the adapter of Redis Cluster: the dialect (red.h) of one node, docs/decisions/0018.
 *
 * A shard's lineage is two function libraries instead of a hash: a library belongs to no slot, so that it is read and written
 * whatever the rest of the cluster does.  drcoord_l_SERVICE says which promotion the data descends from and is written by
 * whoever promotes or takes over; drcoord_b_SERVICE says how far the stream was at the last write probe. */
#ifndef DR_ADAPTERS_REDIS_CLUSTER_CLUSTER_H
#define DR_ADAPTERS_REDIS_CLUSTER_CLUSTER_H

#include "adapters/redis/red.h"

/* The brakes, as numbers: as many replicas and as long a delay as nobody ever has, and a user that nobody makes. */
#define REDC_BRAKE_REPLICAS "1000000"
#define REDC_BRAKE_DELAY "1000000000"
#define REDC_BRAKE_USER "drcoord-nobody"

unsigned redc_ask(struct dr_buf *b, const struct dr_target *t, enum dr_op_kind op, bool acted);
void redc_take(struct red_state *s, unsigned i, const redisReply *r, const struct dr_op_args *args);
red_judge redc_judge_probe, redc_judge_probe_write, redc_judge_frozen, redc_judge_following, redc_judge_writable,
	redc_judge_sync_set, redc_judge_compared, redc_judge_closed, redc_judge_fit, redc_judge_signed;

/* The name of a library: what is 'l' or 'b', or "[lb]" for both. */
enum { REDC_LIBRARY_MAX = DR_NAME_MAX + 24 };
void redc_library(char name[REDC_LIBRARY_MAX], const char *what, const struct dr_target *t);

extern const struct dr_adapter dr_redis_cluster_adapter;

#endif
