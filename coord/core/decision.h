/* decision.h -- what follows from one event: all that the shell must do. */
#ifndef DR_COORD_CORE_DECISION_H
#define DR_COORD_CORE_DECISION_H

#include "coord/core/repl.h"

enum {
	DR_LOOKS_MAX = 64,     /* services looked at by one event; more are at the next */
	DR_LOOKS_AFTER_ENTRY = 4, /* ... that tells of an entry: those come by the hundred in one turn of the loop */
	DR_PROPOSE_MAX = DR_LOOKS_MAX + 2, /* proposals: of each look, a lease tick, a settled TTL */
	DR_ORDERS_MAX = DR_LOOKS_MAX * 8,  /* of their members */
	DR_GRANTS_MAX = DR_SERVICES_MAX,
	DR_ROUTES_WANTED_MAX = 256
};

struct dr_proposal {
	uint64_t tag;          /* comes back in DR_EV_PROPOSED */
	struct dr_cmd cmd;     /* SPEC borrows the request's spec */
};

/* The order that ought to be in flight for one member; core.kind NONE: none, cancel what is. */
struct dr_order_wanted {
	uint32_t service;
	dr_member_ix member;
	struct dr_order_core core;
	bool look; /* its agent is to look at the server now and to report; says nothing of the order */
};

struct dr_grant {
	uint32_t service;
	dr_member_ix member;
	uint64_t epoch, renewal;
	uint32_t ttl_ms;
};

/* A route that ought to be brought to (epoch, holder), or (hold) to make the holder's clients wait; wanted == false: nothing
 * to do, cancel.  Routes of coordinators' own files are wanted of those that do not lead, too. */
struct dr_route_wanted {
	uint32_t service, route;
	bool wanted, hold;
	uint64_t epoch;
	dr_member_ix holder;
};

/* The answer to DR_EV_REQUEST: at once (refused or answered from an earlier time), else later, when its entry
 * was applied (the shell asks dr_repl_request_find). */
struct dr_answer {
	bool now;
	enum dr_reason refused;
	uint64_t a, b;
	struct dr_name about; /* refused: of a whole site, for this service; empty: not for a single one */
	uint64_t tag; /* later: of the request's own proposal, one of this decision's */
};

struct dr_decision {
	uint32_t proposals;
	struct dr_proposal propose[DR_PROPOSE_MAX];
	uint32_t orders;
	struct dr_order_wanted order[DR_ORDERS_MAX];
	uint32_t grants;
	struct dr_grant grant[DR_GRANTS_MAX];
	uint32_t routes;
	struct dr_route_wanted route[DR_ROUTES_WANTED_MAX];
	struct dr_answer answer;
	uint64_t now_ms;       /* of the event */
	uint64_t wake_at_ms;   /* later than now; 0: no wake-up wanted */
};

#endif
