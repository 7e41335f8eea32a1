/* view.h -- what this coordinator has seen by itself: lost on restart, never shared, never in the log. */
#ifndef DR_COORD_CORE_VIEW_H
#define DR_COORD_CORE_VIEW_H

#include "coord/core/repl.h"
#include "model/report.h"

/* One coordinator's newest word on one member, with the moment it came. */
struct dr_seen_by {
	uint64_t at_ms;          /* 0: never */
	struct dr_observation o;
};

struct dr_member_view {
	struct dr_name of;       /* whom the rest speaks of: the place may be given to another one (view.c) */
	uint64_t report_ms;      /* when its agent was last heard here; 0: never */
	struct dr_report report;
	struct dr_order_result result; /* newest from the agent, not yet in the log */
	uint64_t result_ms;
	struct dr_seen_by by[DR_COORDINATORS_MAX];
	uint64_t renewed_ms;     /* receipt of the last renewal that may have been granted; 0: none here */
	uint64_t asking_ms;      /* since when it renews here without a gap that could have cost it the lease */
	uint64_t order_since;    /* number of the open order that order_sent_ms speaks of */
	uint64_t order_sent_ms;  /* when this leader first wanted it */
	uint64_t retry_for;      /* order_last when the failed try was noticed */
	uint64_t retry_at_ms;    /* no new try before */
	uint64_t again_for, again_at_ms; /* found with other data by this order: asked to freeze once more, not before */
	uint64_t look_ms;        /* when its agent was last told to look and report now */
	uint64_t sync_bad_ms;    /* since when it is unfit for the sync set; 0: fit */
	uint64_t acks_not_ms;    /* since when it ought to acknowledge, and does not; 0: it does, or need not */
	uint64_t away_ms;        /* since when it does not follow; 0: it does */
	uint64_t fenced_ms;      /* since when its agent says that it stopped the server itself; 0: it does not */
	uint64_t behind_ms;      /* the newest two reports speak of an older epoch: when the first of them came; else 0 */
	uint64_t forgot_ms;      /* since when its agent knows nothing of being the holder; 0: it does, or is none */
};

/* An agent asked for its lease. */
struct dr_renewal {
	uint64_t id, epoch;
	dr_member_ix member;
	bool asked;              /* false: there is none */
};

struct dr_service_view {
	struct dr_name of;       /* likewise */
	struct dr_member_view member[DR_MEMBERS_MAX];
	uint64_t proposing;      /* tag of the proposal in flight; 0: none */
	bool declaring;          /* ... and it takes the epoch away from its holder: nothing is granted */
	uint64_t proposing_since_ms;
	uint64_t step_plan;      /* which plan, step and try step_since_ms speaks of */
	uint32_t step_at, step_tries;
	uint64_t step_since_ms;
	uint64_t rejoin_plan[DR_MEMBERS_MAX];
	uint32_t rejoin_at[DR_MEMBERS_MAX];
	uint32_t rejoin_tries[DR_MEMBERS_MAX];
	uint64_t rejoin_since_ms[DR_MEMBERS_MAX];
	uint64_t rejoin_after_ms[DR_MEMBERS_MAX]; /* not before */
	uint64_t join_point;     /* position from which joiners of `next` must be past; 0: not known */
	uint64_t join_since_ms;  /* only a report from after this says anything about it */
	uint64_t join_epoch;
	uint32_t join_version;
	uint64_t primary_position; /* highest position that the primary was ever seen at */
	uint64_t primary_position_ms;
	uint64_t others_ms;      /* since when some member that is not the primary is heard here; 0: none was yet */
	uint64_t undone_ms;      /* since when the primary's server waits for less than it was told; 0: it does not */
	uint64_t few_ms;         /* since when fewer standbys follow than a bounded primary wants near; 0: enough do */
	uint64_t holder_ms;      /* when it was learnt who the present holder is */
	uint64_t part_plan;      /* which site plan, group, state and try part_since_ms speaks of */
	uint32_t part_group, part_state, part_tries;
	uint64_t part_since_ms;
	uint64_t route_seen_ms[DR_ROUTES_MAX];   /* when what a route shows was last heard of */
	uint32_t route_held[DR_ROUTES_MAX];      /* these places of it hold their clients ... */
	uint64_t route_held_plan[DR_ROUTES_MAX]; /* ... for this plan, as the last try went */
	struct dr_renewal under_way; /* the lease tick in flight answers it */
	struct dr_renewal waits;     /* the newest since: for the next one */
};

/* Since when a site plan's step has its turn, as this leader saw it. */
struct dr_site_step_view {
	uint64_t plan;
	uint32_t running;
	enum dr_site_step_state state;
	uint64_t since_ms, proposed_ms; /* its end was proposed; 0: it was not */
	uint64_t given_up_ms;           /* since when the plan is taken back or closed; 0: it is not */
};

enum { DR_TAGS_KEPT = 4 * 256 }; /* a few times as many as are on their way */

struct dr_core_view {
	bool leading;
	bool recovering;            /* after `node recover`: listens, and does nothing else (recover.c) */
	uint64_t term;
	uint64_t led_since_ms;
	uint64_t tick_received_ms;  /* when a lease tick last entered this log; at start: the start */
	uint64_t base_receipt_ms;   /* the same, as it was when this leadership began */
	uint64_t tag_last;
	struct {
		uint64_t tag;
		uint32_t service;
	} asked[DR_TAGS_KEPT];      /* whose the newest proposals are, by tag */
	uint64_t tick_tag;          /* of the tick in flight; 0: none */
	uint64_t tick_proposed_ms;
	uint32_t renewals_waiting;
	uint16_t renewal_of[DR_SERVICES_MAX]; /* whose those are, under way or waiting, in the order of their coming */
	uint64_t ttl_version;       /* the spec under which longer leases run out since ... (lease.c); 0: none do */
	uint64_t ttl_since_ms;      /* ... then */
	uint64_t heard_ms[DR_COORDINATORS_MAX]; /* when a coordinator's observations last came here */
	struct dr_name site;        /* whether this one is lost, as it was found ... */
	uint64_t site_ms;           /* ... then */
	bool site_lost;
	uint64_t gathered_ms;       /* when a site plan was last asked for, for plans that were open */
	struct dr_site_step_view site_step[DR_SITE_PLANS_KEPT];
	uint64_t group_version;     /* the spec of which group_low is the lowest group */
	uint32_t group_low;
	uint32_t services;          /* the most places that ever were in use */
	uint64_t now_ms, wall_ms;
	struct dr_service_view service[DR_SERVICES_MAX];
};

#endif
