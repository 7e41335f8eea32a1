/* core.h -- the deciding half of drcoord: one event in, one decision out.
 *
 * Nothing under coord/core/ reads a clock, opens a file, allocates memory or writes a log line.  The same events
 * in the same order always end in the same decisions; the simulator and the golden transcripts rely on it.
 *
 * struct dr_core holds two kinds of memory that must not be mixed:
 *   repl  replicated: changed only by DR_EV_COMMITTED (apply.c), equal on every coordinator;
 *   view  what this coordinator has seen by itself: lost on restart, never shared.
 * Moving a fact from view to repl takes a proposal and a commit, on purpose.
 *
 * Ownership: the caller owns *c, the event and the decision (both large: map them, see dr_core_size), and the
 * core keeps no pointer into the event after returning.  One thread. */
#ifndef DR_COORD_CORE_CORE_H
#define DR_COORD_CORE_CORE_H

#include "coord/core/decision.h"
#include "coord/core/event.h"
#include "coord/core/view.h"

/* Private: which services are to be looked at (looks.c). */
struct dr_looks {
	uint64_t marked[DR_SERVICES_MAX / 64]; /* bits: now, or in the next steps */
	uint64_t due_ms[DR_SERVICES_MAX];      /* 0: waits for nothing */
	uint32_t from;                         /* where the last step stopped */
	uint32_t turn;                         /* whose turn it was last ... */
	uint64_t turn_ms;                      /* ... when ... */
	uint64_t turn_rest;                    /* ... and what of a turn had come by then, in parts of a probe interval */
};

struct dr_core {
	struct dr_name self;      /* this coordinator's name */
	struct dr_repl repl;
	struct dr_core_view view;
	struct dr_looks looks;
};

/* c is zeroed memory of sizeof(struct dr_core).  now_ms: a lease tick may have been received just now. */
void dr_core_init(struct dr_core *c, const struct dr_name *self, uint64_t now_ms);

/* Take in one event and overwrite *out with all that follows from it.
 *
 * ev->now_ms never goes back.  out->order and out->route name, for every service that this event touched, what
 * ought to be in flight now, not a change to it: a new leader gets the same again and re-sends it.  A
 * coordinator that does not lead wants no order, and no route but its own files. */
void dr_core_step(struct dr_core *c, const struct dr_core_event *ev, struct dr_decision *out);

/* The verdict on a member, for `status` and `explain`. */
enum dr_verdict { DR_VERDICT_UNKNOWN, DR_VERDICT_OK, DR_VERDICT_SUSPECT, DR_VERDICT_LOST, DR_VERDICT_FAILED };
const char *dr_verdict_name(enum dr_verdict v);
enum dr_verdict dr_core_verdict(const struct dr_core *c, uint32_t service, dr_member_ix m, uint64_t *silent_ms);

/* How a majority of the coordinators sees the holder's writes fail, and for how long; NONE: they don't, or it holds
 * nothing that was confirmed.  Also kinds whose policy is only to tell. */
enum dr_failure dr_core_failing(const struct dr_core *c, uint32_t service, dr_member_ix m, uint64_t *ms);

/* Whether its server's data is known by another system_id than the service's: as it was reported last or, while it is down,
 * as its newest order found it. */
bool dr_core_has_other_data(const struct dr_core *c, uint32_t service, dr_member_ix m);
/* Whether the member could be promoted now, and why not (NONE: it could), with the reason's value. */
enum dr_reason dr_core_candidate(const struct dr_core *c, uint32_t service, dr_member_ix m, uint64_t *a);

/* Whether a pause is in force: one with an end is over by itself. */
bool dr_is_paused(const struct dr_service *s, uint64_t wall_ms);
uint64_t dr_pause_left_ms(const struct dr_service *s, uint64_t wall_ms); /* 0: not paused, or without an end */

/* Why an automatic failover would not start now (NONE: it would). */
enum dr_reason dr_core_blocked(const struct dr_core *c, uint32_t service, uint64_t *a);

/* Of which kind the site plan is that this request asks for: FAILOVER, SWITCHOVER, FAILBACK. */
enum dr_plan_kind dr_site_plan_kind(enum dr_request_kind k);

/* The step of a site plan's runbook that ought to be under way now, by this coordinator's word; false: none is.  i: below
 * DR_SITE_PLANS_KEPT.  Whoever carries it out may find it done already: by an earlier try, or for a leader before. */
struct dr_site_step_wanted {
	uint64_t plan;
	enum dr_plan_kind kind;
	struct dr_name site;
	uint32_t step;
	bool undo;
	bool end;         /* it was given up: whoever may run it is to end it, and DR_EV_SITE_STEP says when nobody does */
	uint32_t left_ms; /* of its time, as this leader counts it: whoever begins it now is to have ended by then */
	const struct dr_runbook_step *does; /* borrowed from repl */
};
bool dr_core_site_step(const struct dr_core *c, uint32_t i, struct dr_site_step_wanted *out);

/* After `node recover`, while view.recovering (the caller sets and clears it) keeps the core from acting: whether
 * the agent of every member of every managed service was heard since the start, and none says
 * that its lease still runs ... */
bool dr_core_recover_heard(const struct dr_core *c);
/* ... and the entry that raises one service above all that was seen of it.  wall_ms is the caller's to fill. */
void dr_core_recover_cmd(const struct dr_core *c, uint32_t service, struct dr_cmd *out);

/* How long, from now on, the member's lease may still run as far as this leader knows; 0: expired. */
uint64_t dr_core_lease_left_ms(const struct dr_core *c, uint32_t service, dr_member_ix m);

#endif
