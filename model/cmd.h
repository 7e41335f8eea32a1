/* cmd.h -- the commands that stand in the log: the only things that change replicated state.
 *
 * One flat record for all kinds; each kind reads only what its row in commands.def names.  A command says what
 * it expects (epoch, plan, step, number); one that came too late is ignored when applied, on every
 * coordinator alike.  Applying never fails. */
#ifndef DR_MODEL_CMD_H
#define DR_MODEL_CMD_H

#include "model/event.h"

enum dr_cmd_kind {
	DR_CMD_NONE = 0,
#define COMMAND(id, name, durable, fields) DR_CMD_##name = (id),
#include "model/commands.def"
#undef COMMAND
	DR_CMD_KIND_MAX = 64
};
const char *dr_cmd_name(enum dr_cmd_kind k);
bool dr_cmd_known(enum dr_cmd_kind k);
/* Whether the storage guard must be on disk before the append counts (design.md 4.11). */
bool dr_cmd_durable(enum dr_cmd_kind k);

enum { DR_SERVICE_NONE = 0xffffffff };

struct dr_cmd {
	enum dr_cmd_kind kind;
	uint64_t wall_ms;       /* the proposer's wall clock: data, never a decision's input */
	uint32_t service;       /* place in replicated state; DR_SERVICE_NONE */
	uint64_t epoch;         /* expected */
	uint64_t plan;          /* expected */
	uint64_t site_plan;     /* expected */
	uint32_t step;          /* expected: index in the plan */
	dr_member_ix member;
	dr_member_ix target;
	dr_member_set set;
	uint32_t k;
	uint32_t plan_kind;
	enum dr_reason reason;
	uint64_t a, b;          /* the reason's values */
	uint64_t position;
	struct dr_order_core order;
	struct dr_order_result result;
	enum dr_proof proof;
	uint32_t route;
	uint32_t servers;       /* bit i: server i of the route */
	uint32_t ttl_ms;        /* TICK: the lease's length it grants */
	bool flag;              /* MODE: managed; APPROVE: accept loss; PLAN_CLOSE: success */
	bool flag2;             /* APPROVE: assert fenced */
	bool force;             /* SITE_OPEN: healthy primaries, too; MODE, SPEC: clients that are held are left so;
				 * SITE_STEP: nobody runs it any more */
	uint64_t until_wall_ms; /* PAUSE, SITE_OPEN */
	uint64_t request;       /* an operator's request id, for answering once; 0: none */
	struct dr_name actor;
	char text[DR_REASON_MAX];
	struct dr_name name;    /* COORDINATOR */
	struct dr_name site;    /* COORDINATOR, SITE_OPEN, PLAN_OPEN */
	struct dr_address address;
	uint64_t id;            /* COORDINATOR: Raft id */
	const struct dr_spec *spec; /* SPEC: borrowed */
};

#endif
