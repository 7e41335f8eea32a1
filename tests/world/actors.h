/* actors.h -- who acts in a world: coordinators, members of services with their agents and servers, and the services. */
#ifndef DR_TESTS_WORLD_ACTORS_H
#define DR_TESTS_WORLD_ACTORS_H

#include "agent/core/agent_core.h"
#include "coord/core/core.h"
#include "tests/world/seen.h"
#include "tests/world/server.h"
#include "tests/world/time.h"

enum {
	W_COORDS_MAX = 5,
	W_SERVICES_MAX = 4,
	W_MEMBERS_MAX = 16, /* of all services */
	W_SITES_MAX = 8,
	W_TIMERS_MAX = 8192,
	W_LOG_MAX = 16384,
	W_WAL_MAX = 65536,
	W_SPECS_MAX = 1024,
	W_JOBS_MAX = 64,
	W_WRITE_MS = 20,  /* between two writes on a primary */
	W_READ_MS = 20,   /* between two reads from each server */
	W_HOP_MS = 1,     /* one way over the network */
	W_COMMIT_MS = 2,  /* append to commit, unless the script says otherwise */
	W_RENEWALS_KEPT = 16,
	W_POSITION = 1000 /* bytes that one write takes */
};

/* One try at a route. */
struct w_route_job {
	uint32_t route;
	bool hold;
};

struct w_coordinator {
	char name[8];
	uint32_t site;
	struct w_clock clock;
	struct dr_core *core; /* NULL: dead */
	bool raft_leads;
	uint64_t term;
	uint32_t applied; /* log entries */
	uint32_t life;
	uint64_t wake_at;
	uint64_t agent_ms[W_MEMBERS_MAX], server_ms[W_MEMBERS_MAX], write_ms[W_MEMBERS_MAX];
	uint64_t fail_since[W_MEMBERS_MAX]; /* of write probes; 0: they don't */
	bool in_recovery[W_MEMBERS_MAX];
	bool errant_told[W_MEMBERS_MAX]; /* its newest report says that it has transactions of its own */
	uint64_t events, ticked_at; /* how many it was told; which was the last lease tick in its own log */
	struct {
		uint64_t id, at;
	} renewal[W_MEMBERS_MAX][W_RENEWALS_KEPT]; /* the newest, and which event brought each */
	uint32_t renewals;
	struct { /* what the shell has sent, as coord/shell/agents.c does */
		uint64_t number, at_ms;
		uint32_t life;
	} sent[W_MEMBERS_MAX];
	struct dr_order_core wanted[W_MEMBERS_MAX]; /* for the transcript */
	struct dr_timing timing_told;
	uint64_t granted_epoch[W_MEMBERS_MAX];
	uint64_t route_epoch[W_SERVICES_MAX][DR_ROUTES_MAX];
	bool route_held[W_SERVICES_MAX][DR_ROUTES_MAX];
	uint64_t site_step[DR_SITE_PLANS_KEPT]; /* begun last, of each site plan, or given up ... */
	uint32_t site_step_silent[DR_SITE_PLANS_KEPT]; /* ... and which places have not said yet that they do not run it */
	uint64_t events_seen, nth_of; /* by check_log.c: nth command of that entry */
	uint32_t nth;
};

struct w_member {
	struct w_server server;
	uint32_t service;  /* whose it is ... */
	dr_member_ix ix;   /* ... and its place there */
	struct dr_name name; /* also when the spec has it no more */
	struct dr_address address;
	uint32_t site;
	struct w_clock clock; /* of the host: agent, guard and server */
	bool alive; /* the agent */
	bool guard;
	uint64_t guard_back_at;
	uint32_t life;
	struct dr_agent_core core;
	struct dr_agent_journal journal; /* as on disk */
	struct dr_agent_journal flushed; /* what a power cut leaves of it */
	struct dr_agent_journal late;    /* a write failed, and is there all the same: found by the next start */
	bool late_stands;
	uint64_t asked_until_ms; /* until when the question that it answers now wants it to wait, on its own clock */
	int leader;                      /* coordinator, -1 */
	uint64_t heard_at;               /* when a leader was last heard; 0: never */
	uint64_t deaf_until;             /* script: its agent is not connected to anybody who leads before */
	uint64_t wake_at;
	uint64_t armed_until, armed_epoch;
	uint32_t op; /* token of the op in flight; 0: none */
	uint64_t op_began;
	uint64_t told_done; /* the highest order that a coordinator was told is done */
	struct dr_report seen;       /* the server as last looked at */
	uint32_t fail[DR_ORDER_MAX]; /* script: so many of these orders fail */
	bool mute[DR_ORDER_MAX];     /* script: these orders never end */
	bool renewals_lost;          /* script: on their way to the leader */
	bool lies;                   /* probes of it say what is not so */
	uint32_t divergence;         /* script: compare says this when the copy has left the history */
	uint64_t high_order, high_seen, high_epoch; /* check.c: what must not fall */
	uint64_t promised_until;     /* on its own clock */
	uint64_t granted;            /* the highest epoch that a lease was ever granted for */
};

/* A service: its rows, who acknowledged them, and what the checks remember. */
struct w_service {
	uint32_t ix;             /* its place in the spec, and in the log */
	uint32_t first, members; /* its members are w->m[first], ... */
	uint32_t next_write;
	uint8_t *acked; /* W_WAL_MAX: by which member + 1 */
	uint32_t acked_total;
	uint64_t acked_epoch;         /* the highest that ever acknowledged */
	uint64_t acked_at, acked_gap; /* the longest time without an acknowledgement */
	uint64_t high_epoch;          /* check.c: must not fall */
	uint32_t crash_loses, power_loses; /* w_service_options */
	bool held;                    /* a pooler makes its clients wait */
	bool hold_unanswered;         /* it does, and what it says to that is lost */
	struct w_seen_service seen;
};

#endif
