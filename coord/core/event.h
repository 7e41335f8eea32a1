/* event.h -- what the core is told, one at a time. */
#ifndef DR_COORD_CORE_EVENT_H
#define DR_COORD_CORE_EVENT_H

#include "coord/core/repl.h"
#include "model/report.h"

enum dr_core_event_kind {
	DR_EV_TICK,        /* only time: the wake-up that was asked for, or an interval */
	DR_EV_COMMITTED,   /* cmd at index, term was applied by Raft */
	DR_EV_APPENDED,    /* a lease tick (cmd) entered this coordinator's log now */
	DR_EV_ROLE,        /* leading, term: became leader (after the barrier) or ceased to be */
	DR_EV_PROPOSED,    /* the proposal with this tag ended: outcome, index */
	DR_EV_REPORT,      /* from an agent, over an authenticated session */
	DR_EV_RESULT,      /* an order's result from an agent */
	DR_EV_RENEW,       /* an agent asks for its lease */
	DR_EV_OBSERVED,    /* observations of one coordinator (self included) */
	DR_EV_ROUTE,       /* a route's servers were seen at an epoch */
	DR_EV_SITE_STEP,   /* a step of a site plan's runbook ended */
	DR_EV_REQUEST,     /* an operator's */
	DR_EV_RESTORED     /* a snapshot replaced replicated state */
};

enum dr_request_kind {
	DR_REQ_FAILOVER, DR_REQ_SWITCHOVER, DR_REQ_APPROVE, DR_REQ_ABORT, DR_REQ_PAUSE, DR_REQ_RESUME,
	DR_REQ_FENCE, DR_REQ_UNFENCE, DR_REQ_ADOPT, DR_REQ_OBSERVE, DR_REQ_APPLY, DR_REQ_FAILBACK,
	DR_REQ_MEMBER_FENCED
};

struct dr_request {
	enum dr_request_kind kind;
	uint64_t id;               /* random, from the client: the same id is carried out once */
	struct dr_name service, member, actor;
	struct dr_name site;       /* FAILOVER, SWITCHOVER: all of its services; FAILBACK */
	uint64_t plan;
	bool force, accept_loss, assert_fenced;
	uint64_t until_wall_ms;
	uint64_t version;          /* APPLY: the version it was made from */
	const struct dr_spec *spec; /* APPLY: borrowed for the call */
	char text[DR_REASON_MAX];  /* the reason given */
};

struct dr_core_event {
	enum dr_core_event_kind kind;
	uint64_t now_ms;           /* CLOCK_BOOTTIME, read after the bytes it speaks of; never goes back */
	uint64_t wall_ms;          /* data for entries */
	uint64_t index, term;
	const struct dr_cmd *cmd;  /* borrowed */
	bool leading;
	uint64_t tag;
	enum dr_err outcome;
	uint32_t outstanding;      /* our commands that are on their way through the log (DR_PROPOSALS_MAX) */
	const struct dr_report *report;
	const struct dr_order_result *result;
	struct dr_name service, member; /* RESULT, RENEW, ROUTE (service) */
	uint64_t epoch;            /* RENEW, ROUTE */
	uint64_t renewal;          /* RENEW: its id */
	struct dr_name observer;
	uint32_t observations;
	const struct dr_observation *observation;
	uint32_t route, servers;   /* ROUTE */
	bool hold;                 /* ROUTE: the servers hold their clients */
	const char *text;          /* ROUTE: why the others do not show it, SITE_STEP: why it failed, for the record; borrowed,
				    * NULL: nothing */
	uint64_t site_plan;        /* SITE_STEP */
	uint32_t step;             /* SITE_STEP: of its runbook */
	bool undo, done;           /* SITE_STEP: of its undo; it is done (else it failed) */
	bool nobody;               /* SITE_STEP: all who may run what was given up say that they do not, and will not */
	const struct dr_request *request;
};

#endif
