/* promise.h -- what agents say to one another when no coordinator answers (design.md 4.8).  Plain data. */
#ifndef DR_MODEL_PROMISE_H
#define DR_MODEL_PROMISE_H

#include "base/error.h"
#include "model/ids.h"

/* From a primary's agent to that of another member: promise to accept no promote order for a while. */
struct dr_ask {
	struct dr_name service, member; /* who asks */
	struct dr_name of;              /* the member that is asked */
	uint64_t epoch;                 /* of the lease that is to go on */
	uint64_t id;                    /* of the round of questions: never reused */
	uint32_t hold_ms;               /* for so long at least, on the answering clock */
};

/* The answer. */
struct dr_promise {
	struct dr_name service, member; /* who answers */
	uint64_t epoch, id;             /* of the question */
	enum dr_err code;               /* OK: promised; STALE: a newer epoch, or another primary of this one;
					 * CONFLICT: it hears a leader; REFUSED: the server is not drcoord's */
	uint64_t seen_epoch;            /* the highest that the answering agent has seen */
};

#endif
