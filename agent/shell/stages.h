/* stages.h -- of what stages each order consists: a table, and nothing else.
 *
 * ops.c carries the stages out, one after the other; each brings a state about or finds it there. */
#ifndef DR_AGENT_SHELL_STAGES_H
#define DR_AGENT_SHELL_STAGES_H

#include "adapters/adapter.h"
#include "model/order.h"

enum dr_stage {
	DR_STAGE_END = 0,
	DR_STAGE_STOP,       /* nobody of the server is left, standby.signal is there */
	DR_STAGE_FINAL,      /* a clean stop's position is known */
	DR_STAGE_FOUND,      /* a server that was running before we came is in our cgroup, if there is one */
	DR_STAGE_ALONE,      /* a stopped server would come up receiving from nobody */
	DR_STAGE_TARGETED,   /* a stopped server would come up receiving from the target */
	DR_STAGE_UP,         /* it runs and answers */
	/* the adapter's op of that name is done */
	DR_STAGE_AD_FROZEN, DR_STAGE_AD_FOLLOWING, DR_STAGE_AD_WRITABLE, DR_STAGE_AD_SYNC_SET, DR_STAGE_AD_CHECKPOINTED,
	DR_STAGE_AD_COMPARED, DR_STAGE_AD_SIGNED, DR_STAGE_AD_COPIED, DR_STAGE_AD_FIT, DR_STAGE_AD_UNWATCHED, DR_STAGE_AD_ACKING,
	DR_STAGE_CLOSED,     /* before a clean stop: it takes no writes, and its position is known */
	DR_STAGE_DATA,       /* there is data to look at; else on to the next STOP */
	DR_STAGE_FORKED,     /* it has what the target has not; else the order is done */
	DR_STAGE_LOGS_SAVED, /* its logs with what the target has not are saved */
	DR_STAGE_BESIDE,     /* an empty folder for a copy stands beside */
	DR_STAGE_FETCHED,    /* its data is a copy of the target's, which the target's agent sent */
	DR_STAGE_SWAPPED,    /* its data is the copy that stood beside */
	DR_STAGE_REACHED,    /* has the order's position */
	DR_STAGE_COMPARED,   /* the comparison with the target is known */
	DR_STAGE_SAVED,
	DR_STAGE_ASIDE,      /* all its data is in a folder of its own, and its data folder is empty */
	DR_STAGE_REWOUND,    /* or cloned */
	DR_STAGE_TAKEN,      /* a running server is in our cgroup */
	DR_STAGE_MARKED,     /* whoever starts it next, it comes up as a standby: also a primary's */
	DR_STAGE_UNMARKED,   /* a primary's comes up as one again: it is ours no more */
	DR_STAGE_NOTED,      /* the agent's core has the list of whom to ask */
	DR_STAGE_LEFT_ALONE, /* nothing is done to the server any more */
	DR_STAGE_COUNT
};

enum { DR_OP_STAGES_MAX = 10 };

/* The stages of an order to a server of the kind, ended by END; END alone for what is no order. */
const uint8_t *dr_order_stages(enum dr_kind kind, enum dr_order_kind order);
/* The adapter's op that brings the stage about; 0: none. */
enum dr_op_kind dr_stage_op(enum dr_stage stage);

#endif
