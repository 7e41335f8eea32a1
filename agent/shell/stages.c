/* stages.c -- see stages.h. */
#include "agent/shell/stages.h"

#define S(name) DR_STAGE_##name

static const uint8_t sequence[DR_ORDER_MAX][DR_OP_STAGES_MAX] = {
	[DR_ORDER_ADOPTED] = { S(TAKEN) },
	[DR_ORDER_FENCED] = { S(STOP), S(FINAL) },
	[DR_ORDER_FROZEN] = { S(FOUND), S(ALONE), S(UP), S(AD_FROZEN) },
	[DR_ORDER_CAUGHT_UP] = { S(FOUND), S(TARGETED), S(UP), S(AD_FOLLOWING), S(REACHED), S(AD_FROZEN) },
	[DR_ORDER_WRITABLE] = { S(FOUND), S(ALONE), S(UP), S(AD_WRITABLE) },
	[DR_ORDER_FOLLOWING] = { S(FOUND), S(TARGETED), S(UP), S(AD_FOLLOWING) },
	[DR_ORDER_SYNC_SET] = { S(AD_SYNC_SET) },
	[DR_ORDER_COMPARED] = { S(STOP), S(COMPARED) },
	[DR_ORDER_SALVAGED] = { S(STOP), S(COMPARED), S(SAVED) },
	[DR_ORDER_REWOUND] = { S(STOP), S(COMPARED), S(REWOUND) },
	[DR_ORDER_RELEASED] = { S(LEFT_ALONE) },
	[DR_ORDER_LISTED] = { S(NOTED) },
	[DR_ORDER_PREPARED] = { S(AD_CHECKPOINTED) },
};

const uint8_t *dr_order_stages(enum dr_order_kind kind)
{
	return sequence[(unsigned)kind < DR_ORDER_MAX ? kind : DR_ORDER_NONE];
}

enum dr_op_kind dr_stage_op(enum dr_stage stage)
{
	static const enum dr_op_kind op[DR_STAGE_COUNT] = {
		[S(AD_FROZEN)] = DR_OP_FROZEN,     [S(AD_FOLLOWING)] = DR_OP_FOLLOWING,
		[S(AD_WRITABLE)] = DR_OP_WRITABLE, [S(AD_SYNC_SET)] = DR_OP_SYNC_SET,
		[S(AD_CHECKPOINTED)] = DR_OP_CHECKPOINTED
	};
	return op[stage < DR_STAGE_COUNT ? stage : DR_STAGE_END];
}
