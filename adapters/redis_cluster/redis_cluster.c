/* redis_cluster.c -- one node of a Redis Cluster behind adapter.h: the runs are those of adapters/redis, its questions and
 * judges are here (cluster.h). */
#include "adapters/redis_cluster/cluster.h"

static const struct red_dialect clustered = {
	.ask = redc_ask,
	.take = redc_take,
	.judge = {
		[DR_OP_PROBE] = redc_judge_probe,
		[DR_OP_PROBE_WRITE] = redc_judge_probe_write,
		[DR_OP_POSITIONS] = redc_judge_probe,
		[DR_OP_FROZEN] = redc_judge_frozen,
		[DR_OP_FOLLOWING] = redc_judge_following,
		[DR_OP_WRITABLE] = redc_judge_writable,
		[DR_OP_SYNC_SET] = redc_judge_sync_set,
		[DR_OP_COMPARED] = redc_judge_compared,
		[DR_OP_CLOSED] = redc_judge_closed,
		[DR_OP_FIT] = redc_judge_fit,
		[DR_OP_SIGNED] = redc_judge_signed,
		[DR_OP_TENDED] = red_judge_tended,
	},
};

static enum dr_err open_clustered(struct dr_session *s, struct dr_error *e)
{
	return red_open(s, &clustered, e);
}

const struct dr_adapter dr_redis_cluster_adapter = {
	.name = "redis_cluster",
	.own_size = RED_OWN_SIZE,
	.open = open_clustered,
	.start = red_start,
	.cancel = red_cancel,
	.close = red_close,
	.can = { RED_CAN },
};
