/* limits.h -- every bound of drcoord in one place.  Nothing in the product grows past these.
 *
 * A limit that stands in stored data (masks, fixed arrays in the log) may be raised but never lowered. */
#ifndef DR_BASE_LIMITS_H
#define DR_BASE_LIMITS_H

enum {
	DR_NAME_MAX = 48,          /* bytes of a name with its NUL: site, service, member, coordinator, actor */
	DR_HOST_MAX = 64,          /* bytes of an address literal with its NUL */
	DR_FQDN_MAX = 256,         /* bytes of a DNS name in text with its NUL */
	DR_PATH_MAX = 256,         /* bytes of a configured path with its NUL */
	DR_REASON_MAX = 160,       /* bytes of an operator's reason or a note with its NUL */

	DR_COORDINATORS_MAX = 7,   /* voters and joining ones together */
	DR_SITES_MAX = 16,
	DR_SERVICES_MAX = 16384,
	DR_MEMBERS_MAX = 8,        /* per service: masks are uint8_t */
	DR_ROUTES_MAX = 4,         /* per service */
	DR_ROUTE_SERVERS_MAX = 4,  /* per route */
	DR_ROUTE_TEXTS_MAX = 4,    /* of a route, what its kind alone has */
	DR_STEPS_MAX = 16,         /* per plan */
	DR_GROUP_MAX = 1000,       /* of services, in site plans */
	DR_RUNBOOK_MS_MAX = 3600000, /* a step's timeout */
	DR_STEP_KEY_MAX = 3 * 48 + 32, /* bytes of a step's idempotency key with its NUL */
	DR_RUNBOOK_MAX = 16,       /* steps of people's own, of a cluster */
	DR_SITE_PLANS_KEPT = 32,   /* open and closed: at most one is open for each site */
	DR_MOVES_KEPT = 256,       /* automatic moves that limits.automatic_moves can count */
	DR_EVENTS_KEPT = 8192,     /* in replicated state: watch resumes this far back */

	DR_AGENT_SERVICES_MAX = 32, /* services of one agent */
	DR_SENTINELS_MAX = 8,      /* Redis Sentinels that an agent is told of, per service */
	DR_CONF_FILE_MAX = 8 << 20, /* bytes of one YAML file */
	DR_CONF_PROBLEMS_MAX = 100, /* problems kept of one YAML file */

	DR_FRAME_MAX = 1 << 20,    /* bytes of one frame's payload */
	DR_OBSERVATIONS_MAX = 1024, /* in one message; more go in several */
	DR_ENTRY_MAX = 1 << 19,    /* bytes of one log entry */
	DR_PROPOSALS_MAX = 320,    /* commands on their way through the log: two entries full of them (raft/propose.c) and ... */
	DR_PROPOSALS_KEPT = 64,    /* ... what is kept for requests and all else that does not come by the thousand ... */
	DR_PROPOSALS_LEASE = 4,    /* ... of which so much for lease ticks alone */
	DR_CLIENTS_MAX = 1280,     /* client sessions of one coordinator ... */
	DR_CLIENTS_EACH_MAX = 32,  /* ... of one certificate's name and role ... */
	DR_CLIENTS_RESERVED = 32,  /* ... and what is kept, at each step of the ladder of roles, for those above */
	DR_AGENTS_MAX = 16384,     /* agent sessions of one coordinator */
	DR_SEND_QUEUE_MAX = 4 << 20 /* bytes queued on one connection before it is closed as too slow */
};

#endif
