/* forecast.h -- what would happen: the planner itself, run in virtual time on a copy of what the leader knows.
 *
 * Nothing is proposed, no order leaves: what the planner decides is applied to the copy as if it had been committed,
 * and who is alive is taken to do what it is told, in the time that such steps took in this cluster before.  So `simulate`
 * and readiness say what a failover would do, by the very code that would do it.
 *
 * Pure, like all of this folder: it can reach neither clock nor log nor anybody.  A forecast takes some hundred steps of the
 * core on one service.  One thread; the caller owns all memory. */
#ifndef DR_COORD_CORE_FORECAST_H
#define DR_COORD_CORE_FORECAST_H

#include "coord/core/core.h"

enum { DR_PAST_KEPT = 9, DR_FORECAST_COMMANDS = 64 };

/* How long steps took, of services of one kind of server; milliseconds.  samples 0: there is no past. */
struct dr_past_step {
	uint32_t samples; /* of which the newest DR_PAST_KEPT count */
	uint32_t median_ms;
	uint32_t took_ms[DR_PAST_KEPT]; /* private */
};
struct dr_past {
	struct dr_past_step failover[DR_STEP_ID_MAX], switchover[DR_STEP_ID_MAX];
};
/* From the events that are kept: *out is overwritten. */
void dr_past_read(const struct dr_repl *r, enum dr_kind kind, struct dr_past *out);

/* What is asked. */
struct dr_forecast_ask {
	uint32_t service;
	bool lost;                    /* the primary's host is lost at the beginning ... */
	struct dr_name site;          /* ... or all of this site, coordinator and all; empty: nothing more than that host */
	bool ordered;                 /* a person orders it: at once, or once the loss is seen; else drcoord by itself; of a
				       * site: by a site plan, whose runbook does nothing here */
	enum dr_request_kind request; /* FAILOVER, SWITCHOVER; of a site also FAILBACK */
	dr_member_ix to;              /* NONE: whoever is best */
	bool force;
	uint32_t moves;               /* automatic ones that come before it: of the same site, say; they count for `limits` */
};

enum dr_forecast_end {
	DR_FORECAST_DONE,
	DR_FORECAST_ASKS,    /* a person would be asked: reason */
	DR_FORECAST_FAILED,  /* the plan would be given up: reason */
	DR_FORECAST_REFUSED, /* no plan would be opened, or none yet: reason */
	DR_FORECAST_NO_END   /* none within the time that a forecast takes */
};
const char *dr_forecast_end_name(enum dr_forecast_end e);

/* Times are since the beginning. */
struct dr_forecast_step {
	enum dr_step step;
	uint64_t from_ms, to_ms;
	bool skipped;
	uint32_t samples; /* of the past that its time rests on; 0: the timing profile's */
	enum dr_reason reason; /* SKIPPED: why */
};

struct dr_forecast {
	enum dr_forecast_end end;
	enum dr_reason reason;
	uint64_t a, b;
	enum dr_reason not_by_itself; /* why drcoord would open no plan, or ask first, where no person orders it; NONE: it would */
	uint64_t not_a;
	enum dr_reason opened;        /* what the plan would be opened for */
	enum dr_plan_kind plan;       /* NONE: none was opened */
	dr_member_ix old, candidate, source;
	uint64_t opened_ms, stopped_ms, writable_ms, routed_ms, ended_ms; /* 0: did not come to it */
	bool by_lease;                /* the old primary is proved to have stopped by its lease's end */
	bool loss_known;
	uint64_t loss;                /* of the primary's position, as last seen, that the candidate lacks */
	uint32_t moves;               /* automatic ones that it is itself: 0 or 1, but for a plan that is tried again */
	uint32_t steps;
	struct dr_forecast_step step[DR_STEPS_MAX];
	/* Of each member, when the plan was opened: why it could not be promoted; NONE: it could. */
	enum dr_reason why[DR_MEMBERS_MAX];
	uint64_t why_a[DR_MEMBERS_MAX];
};

/* Working memory: zeroed at first, large (map it), used again and again. */
struct dr_forecast_room {
	struct dr_core core;
	struct dr_decision decision;
	struct dr_proposal command[DR_FORECAST_COMMANDS];
};

/* What the verb of this ask would be answered now, and nothing else: NONE, or why it would be refused. */
enum dr_reason dr_forecast_answer(const struct dr_core *live, struct dr_forecast_room *room, const struct dr_forecast_ask *q,
				  uint64_t *a, uint64_t *b);

/* *live is of a leader, and only read. */
void dr_forecast(const struct dr_core *live, struct dr_forecast_room *room, const struct dr_forecast_ask *q,
		 const struct dr_past *past, struct dr_forecast *out);

/* ---- a whole site (forecast_site.c) ---- */

enum { DR_FORECAST_SITE_MAX = 64 };

/* What a site plan would take, as their turns come: by group, then by place. */
struct dr_forecast_site {
	uint32_t parts, left_out;         /* left_out: more than fit */
	uint32_t moves;                   /* automatic ones, of those that were noted */
	struct dr_forecast_part {
		uint32_t service, group;
		bool stays;               /* it would not be moved, or not by itself where nobody orders it */
		uint64_t writable_ms;     /* since its group's turn came; 0: it stays */
		uint64_t ended_ms;        /* ... of one that stays when its own turn came */
	} part[DR_FORECAST_SITE_MAX];
};
void dr_forecast_site(const struct dr_core *live, const struct dr_forecast_ask *q, struct dr_forecast_site *out);
/* Part i came out so; in their order, each by a forecast with `moves` as they stand here. */
void dr_forecast_site_note(const struct dr_core *live, const struct dr_forecast_ask *q, struct dr_forecast_site *s, uint32_t i,
			   const struct dr_forecast *f);
/* What the verb for the whole site would be answered now, of those parts. */
struct dr_answer dr_forecast_site_answer(const struct dr_core *live, struct dr_forecast_room *room,
					 const struct dr_forecast_ask *q, const struct dr_forecast_site *s);

/* Inside coord/core/: the copy, what the ask's person would say, and how long a step takes of which there is no past. */
void dr_forecast_level(struct dr_core *copy, dr_member_set alive);
void dr_forecast_copy(const struct dr_core *live, uint32_t service, struct dr_core *to);
/* The same of several: all but services, and then each at the next place. */
void dr_forecast_copy_begin(const struct dr_core *live, struct dr_core *to);
void dr_forecast_copy_add(const struct dr_core *live, uint32_t service, struct dr_core *to);
struct dr_request dr_forecast_request(const struct dr_core *live, const struct dr_forecast_ask *q);
uint32_t dr_forecast_assumed_ms(const struct dr_timing *t, enum dr_plan_kind plan, enum dr_step step);

#endif
