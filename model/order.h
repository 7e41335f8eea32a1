/* order.h -- one instruction to one member, and what came of it.  Plain data. */
#ifndef DR_MODEL_ORDER_H
#define DR_MODEL_ORDER_H

#include "base/error.h"
#include "model/ids.h"
#include "model/spec.h"

enum dr_order_kind {
	DR_ORDER_NONE = 0,
#define ORDER(id, name, word, lease, secs, help) DR_ORDER_##name = (id),
#include "model/orders.def"
#undef ORDER
	DR_ORDER_MAX = 32
};
const char *dr_order_name(enum dr_order_kind k);  /* "writable"; "none" for others */
bool dr_order_needs_lease(enum dr_order_kind k);
uint32_t dr_order_limit_ms(enum dr_order_kind k); /* how long one try may take */

/* What the log knows of an order: small, names nothing that the spec says. */
struct dr_order_core {
	enum dr_order_kind kind;
	uint64_t number;      /* per member, only grows; 0: no order */
	uint64_t epoch;       /* of the service when it was issued */
	uint64_t plan;        /* 0: outside any plan */
	uint32_t step;        /* its id in steps.def, 0 outside */
	dr_member_ix target;  /* FOLLOWING, CAUGHT_UP, COMPARED, ...: the other member */
	dr_member_set sync;   /* WRITABLE, SYNC_SET: the set ... */
	uint32_t k;           /* ... and k; FOLLOWING, ACKING: 1: it acknowledges what it receives, where its kind asks for that */
	uint64_t position;    /* CAUGHT_UP: reach this; WRITABLE: have at least this ... */
	uint32_t timeline;    /* ... of this timeline, or be on a later one; 0: whatever the timeline */
	uint64_t system_id;   /* WRITABLE: only data of this identity; 0: whatever it is */
	bool clean;           /* FENCED: checkpoint and stop in order; else at once; SYNC_SET: all streams are cut and start anew;
			       * FOLLOWING: it was stopped in order, and the target has all that it had */
	dr_member_set listed; /* SYNC_SET: who acknowledges no more once that is done; WRITABLE, LISTED: whom the agent
			       * asks when no leader answers ... */
	uint64_t list_version; /* ... and which list that is: only grows within an epoch; 0: no list */
};

/* Another member, as an agent has to know it. */
struct dr_order_peer {
	struct dr_name member, agent;
	struct dr_address agent_at; /* where that agent takes questions; port 0: nowhere */
	bool listed;
};

/* The same as sent to an agent: with names and addresses resolved from the spec. */
struct dr_order {
	struct dr_order_core core;
	struct dr_name service, member;
	struct dr_name target;
	struct dr_address target_at;
	uint32_t sync_members;
	struct dr_name sync_member[DR_MEMBERS_MAX];
	bool takeover;                         /* WRITABLE: as the spec says */
	uint32_t peers;                        /* every other member: wants a replication slot here */
	struct dr_order_peer peer[DR_MEMBERS_MAX];
};

enum dr_outcome { DR_OUTCOME_NONE, DR_OUTCOME_ACCEPTED, DR_OUTCOME_DONE, DR_OUTCOME_FAILED, DR_OUTCOME_REFUSED };
const char *dr_outcome_name(enum dr_outcome o);

/* COMPARED's answer. */
enum dr_divergence { DR_DIVERGENCE_UNKNOWN, DR_DIVERGENCE_NONE, DR_DIVERGENCE_REWIND, DR_DIVERGENCE_CLONE };

struct dr_order_result {
	uint64_t number;
	uint64_t epoch;
	enum dr_outcome outcome;
	enum dr_err code;         /* when FAILED or REFUSED */
	uint64_t position;        /* FENCED (clean), FROZEN, CAUGHT_UP, WRITABLE; code PROMISED: for how many ms more */
	uint32_t timeline;
	uint64_t system_id;       /* what the data that this was found in is known by; 0: not known */
	enum dr_divergence divergence;
	bool acked;               /* FROZEN, CAUGHT_UP, FOLLOWING, ACKING: when it began it had lost nothing that it acknowledged */
	char text[DR_REASON_MAX]; /* evidence or reason, one line */
};

#endif
