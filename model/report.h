/* report.h -- what agents and coordinators tell: soft observations, never in the log.  Plain data. */
#ifndef DR_MODEL_REPORT_H
#define DR_MODEL_REPORT_H

#include "model/event.h"
#include "model/order.h"

enum dr_server_state {
	DR_SERVER_UNKNOWN,  /* not looked at yet, or it does not answer */
	DR_SERVER_STOPPED,  /* no process of it is left */
	DR_SERVER_STARTING,
	DR_SERVER_STANDBY,  /* answers, in recovery */
	DR_SERVER_PRIMARY   /* answers, out of recovery */
};
const char *dr_server_state_name(enum dr_server_state s);

enum dr_member_role { DR_ROLE_NONE, DR_ROLE_STANDBY, DR_ROLE_PRIMARY, DR_ROLE_FENCED };
const char *dr_member_role_name(enum dr_member_role r);

/* How a primary fails while its agent says that it runs. */
enum dr_failure {
	DR_FAILURE_NONE,
#define FAILURE(id, name, word, reason, policy, help) DR_FAILURE_##name = (id),
#include "model/failures.def"
#undef FAILURE
	DR_FAILURE_MAX = 16
};
enum dr_failure_policy { DR_FAILURE_TELL, DR_FAILURE_ASK, DR_FAILURE_MOVE };
const char *dr_failure_name(enum dr_failure f);
enum dr_reason dr_failure_reason(enum dr_failure f); /* NONE for NONE */
enum dr_failure_policy dr_failure_policy(enum dr_failure f);
enum dr_failure dr_failure_of(enum dr_reason r); /* whose reason it is; NONE */

/* Whether a primary would go on if all coordinators were lost (design.md 4.8). */
enum dr_failsafe {
	DR_FAILSAFE_NONE,     /* it would not: no list, or no primary */
	DR_FAILSAFE_MISSING,  /* it would not: an agent on its list is not reached */
	DR_FAILSAFE_READY,
	DR_FAILSAFE_RUNNING   /* it does: its lease rests on promises */
};
const char *dr_failsafe_name(enum dr_failsafe f);

enum { DR_ERRANT_MAX = 96, DR_CAUTION_MAX = 256, DR_CAUTIONS_MAX = 2 * DR_CAUTION_MAX, DR_REPORT_TEXT_MAX = 320 };

/* From a member's agent, to every coordinator, once a probe interval and at once on any change. */
struct dr_report {
	struct dr_name service, member;
	uint64_t incarnation;        /* of the agent process: random */
	bool managed;                /* adopted: journaled */
	enum dr_member_role role;    /* as journaled */
	uint64_t epoch;              /* highest ever seen, journaled */
	uint64_t order_seen;         /* highest order number ever accepted, journaled */
	enum dr_server_state server;
	bool crashed;                /* STOPPED without an order: it died */
	bool guard_alive;
	bool foreign;                /* a server process not started by us runs on this data */
	uint32_t lease_left_ms;
	uint64_t system_id;
	uint32_t timeline;
	uint64_t received, replayed; /* positions; primary: flushed in both */
	bool receiving;
	struct dr_address upstream_at; /* whom it receives from; port 0: unknown or nobody */
	uint32_t sync_k;             /* primary: as its server has it */
	bool acks;                   /* standby: acknowledges what it receives, where its kind asks for that */
	uint32_t peers;
	struct {
		struct dr_name member;
		bool streaming, counts_for_sync;
		uint64_t flushed;
	} peer[DR_MEMBERS_MAX];
	struct dr_order_result last; /* the newest order's state; number 0: none */
	enum dr_failsafe failsafe;
	uint32_t promise_left_ms;    /* so long it takes no promote order; 0: it would */
	uint32_t errant;             /* standby: so many transactions that its primary never had; 0: none were found ... */
	char errant_ids[DR_ERRANT_MAX]; /* ... the first of them */
	char caution[DR_CAUTIONS_MAX]; /* all that somebody has to mend on the server or its host, and how; "": nothing */
	char text[DR_REPORT_TEXT_MAX]; /* how the server is contained, or what is wrong */
};

/* What one coordinator saw of one member, told to the leader once an interval.  Ages in ms, UINT32_MAX: never. */
struct dr_observation {
	uint32_t service;            /* its place in replicated state */
	dr_member_ix member;
	uint32_t agent_age_ms;       /* since the agent was heard */
	uint32_t server_age_ms;      /* since a probe of the server succeeded */
	uint32_t write_age_ms;       /* since a write probe succeeded */
	bool in_recovery;            /* as last seen */
	uint64_t position;
	enum dr_failure failure;     /* of the newest write probe, when it failed ... */
	uint32_t failing_ms;         /* ... as all did since */
};

#endif
