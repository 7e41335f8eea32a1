/* stages.c -- see stages.h. */
#include "agent/shell/stages.h"

#define S(name) DR_STAGE_##name

/* Every kind. */
#define OF_ALL                                    \
	[DR_ORDER_SYNC_SET] = { S(AD_SYNC_SET) }, \
	[DR_ORDER_LISTED] = { S(NOTED) }

static const uint8_t of_postgres[DR_ORDER_MAX][DR_OP_STAGES_MAX] = {
	OF_ALL,
	[DR_ORDER_ADOPTED] = { S(TAKEN), S(MARKED) },
	[DR_ORDER_FENCED] = { S(STOP), S(FINAL) },
	[DR_ORDER_FROZEN] = { S(FOUND), S(ALONE), S(UP), S(AD_FROZEN) },
	[DR_ORDER_CAUGHT_UP] = { S(FOUND), S(TARGETED), S(UP), S(AD_FOLLOWING), S(REACHED), S(AD_FROZEN) },
	[DR_ORDER_WRITABLE] = { S(FOUND), S(ALONE), S(UP), S(AD_WRITABLE), S(MARKED) }, /* the end of recovery takes it away */
	[DR_ORDER_FOLLOWING] = { S(FOUND), S(TARGETED), S(UP), S(AD_FOLLOWING) },
	[DR_ORDER_COMPARED] = { S(STOP), S(COMPARED) },
	[DR_ORDER_SALVAGED] = { S(STOP), S(COMPARED), S(SAVED) },
	[DR_ORDER_REWOUND] = { S(STOP), S(COMPARED), S(REWOUND) },
	[DR_ORDER_RELEASED] = { S(UNMARKED), S(LEFT_ALONE) },
	[DR_ORDER_PREPARED] = { S(AD_CHECKPOINTED) },
};

/* The others say where they stand, and how they differ, only while they run; each start comes up read-only or demoted, and
 * receives from nobody. */
#define OF_OTHERS                                                                              \
	OF_ALL,                                                                                \
	[DR_ORDER_FENCED] = { S(CLOSED), S(STOP) },                                            \
	[DR_ORDER_FROZEN] = { S(FOUND), S(UP), S(AD_FROZEN) },                                 \
	[DR_ORDER_CAUGHT_UP] = { S(FOUND), S(UP), S(AD_FOLLOWING), S(REACHED), S(AD_FROZEN) }, \
	[DR_ORDER_WRITABLE] = { S(FOUND), S(UP), S(AD_WRITABLE) },                             \
	[DR_ORDER_FOLLOWING] = { S(FOUND), S(UP), S(AD_FOLLOWING) },                           \
	[DR_ORDER_RELEASED] = { S(LEFT_ALONE) },                                               \
	[DR_ORDER_PREPARED] = { S(NOTED) }

/* Their logs are of transactions, which are saved. */
#define OF_MYSQL                                                                                                \
	OF_OTHERS,                                                                                              \
	[DR_ORDER_ADOPTED] = { S(TAKEN), S(AD_SIGNED) },                                                        \
	[DR_ORDER_COMPARED] = { S(FOUND), S(DATA), S(UP), S(AD_COMPARED) },                                     \
	[DR_ORDER_SALVAGED] = { S(FOUND), S(DATA), S(UP), S(AD_COMPARED), S(FORKED), S(STOP), S(LOGS_SAVED) },  \
	[DR_ORDER_ACKING] = { S(FOUND), S(UP), S(AD_ACKING) }

static const uint8_t of_mariadb[DR_ORDER_MAX][DR_OP_STAGES_MAX] = {
	OF_MYSQL,
	[DR_ORDER_REWOUND] = { S(FOUND), S(DATA), S(UP), S(AD_COMPARED), S(FORKED), S(STOP), S(FETCHED) },
};

/* It fetches its copy itself, while it runs. */
static const uint8_t of_mysql[DR_ORDER_MAX][DR_OP_STAGES_MAX] = {
	OF_MYSQL,
	[DR_ORDER_REWOUND] = { S(FOUND), S(DATA), S(UP), S(AD_COMPARED), S(FORKED), S(BESIDE), S(AD_COPIED), S(STOP), S(SWAPPED) },
};

/* What may not be lost is moved aside whole. */
#define OF_REDIS                                             \
	OF_OTHERS,                                           \
	[DR_ORDER_COMPARED] = { S(FOUND), S(UP), S(AD_COMPARED) }, \
	[DR_ORDER_SALVAGED] = { S(STOP), S(ASIDE) },         \
	[DR_ORDER_REWOUND] = { S(FOUND), S(UP), S(AD_COMPARED), S(FORKED), S(STOP), S(ASIDE) }

static const uint8_t of_redis[DR_ORDER_MAX][DR_OP_STAGES_MAX] = {
	OF_REDIS,
	[DR_ORDER_ADOPTED] = { S(AD_FIT), S(TAKEN), S(AD_UNWATCHED), S(AD_SIGNED) },
};

/* No Sentinel watches its nodes. */
static const uint8_t of_redis_cluster[DR_ORDER_MAX][DR_OP_STAGES_MAX] = {
	OF_REDIS,
	[DR_ORDER_ADOPTED] = { S(AD_FIT), S(TAKEN), S(AD_SIGNED) },
};

const uint8_t *dr_order_stages(enum dr_kind kind, enum dr_order_kind order)
{
	static const uint8_t(*const of_kind[DR_KIND_COUNT])[DR_OP_STAGES_MAX] = {
		[DR_KIND_NONE] = of_postgres, [DR_KIND_POSTGRES] = of_postgres,
		[DR_KIND_MARIADB] = of_mariadb, [DR_KIND_MYSQL] = of_mysql,
		[DR_KIND_REDIS] = of_redis, [DR_KIND_VALKEY] = of_redis,
		[DR_KIND_REDIS_CLUSTER] = of_redis_cluster,
	};
	unsigned k = (unsigned)kind < DR_KIND_COUNT ? kind : DR_KIND_NONE;
	return of_kind[k][(unsigned)order < DR_ORDER_MAX ? order : DR_ORDER_NONE];
}

enum dr_op_kind dr_stage_op(enum dr_stage stage)
{
	static const enum dr_op_kind op[DR_STAGE_COUNT] = {
		[S(AD_FROZEN)] = DR_OP_FROZEN,     [S(AD_FOLLOWING)] = DR_OP_FOLLOWING,
		[S(AD_WRITABLE)] = DR_OP_WRITABLE, [S(AD_SYNC_SET)] = DR_OP_SYNC_SET,
		[S(AD_CHECKPOINTED)] = DR_OP_CHECKPOINTED, [S(AD_COMPARED)] = DR_OP_COMPARED,
		[S(AD_SIGNED)] = DR_OP_SIGNED,     [S(AD_COPIED)] = DR_OP_COPIED,
		[S(CLOSED)] = DR_OP_CLOSED,        [S(AD_FIT)] = DR_OP_FIT,
		[S(AD_UNWATCHED)] = DR_OP_UNWATCHED,
		[S(AD_ACKING)] = DR_OP_ACKING
	};
	return op[stage < DR_STAGE_COUNT ? stage : DR_STAGE_END];
}
