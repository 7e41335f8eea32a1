/* think.h -- the leader's reasoning, inside coord/core/ only: shared by core.c, detect.c, lease.c, plan.c,
 * steps.c, rejoin.c, sync.c, request.c, site.c, runbook.c and view.c.
 *
 * All of it reads repl and view and may only propose; nothing here changes repl. */
#ifndef DR_COORD_CORE_THINK_H
#define DR_COORD_CORE_THINK_H

#include "coord/core/core.h"

/* One service under the eye, with what is at hand for it. */
struct dr_think {
	struct dr_core *c;
	uint32_t ix;
	struct dr_service *s;        /* read only */
	struct dr_service_view *v;
	struct dr_decision *out;
	bool proposed;               /* this look has made its proposal */
};

/* core.c: at most one proposal per service is in flight; false when one is already. */
bool dr_propose(struct dr_think *t, const struct dr_cmd *cmd);
struct dr_cmd dr_cmd_for(const struct dr_think *t, enum dr_cmd_kind kind);
/* Whether the order still serves something: an open plan, or upkeep of the present epoch. */
bool dr_order_is_current(const struct dr_service *s, const struct dr_order_core *o);
/* Whether something is wrong with the holder that a plan may mend without anybody's word: *cmd opens it. */
bool dr_incident_plan(struct dr_think *t, struct dr_cmd *cmd);
/* Ask to be woken at this moment at the latest. */
void dr_wake_at(struct dr_decision *out, uint64_t at_ms);

/* looks.c: mark what is to be looked at; at a tick, what is due; then look; what the earliest of all waits for. */
typedef void dr_look_fn(struct dr_core *c, uint32_t service, struct dr_decision *out);
void dr_look_at(struct dr_core *c, uint32_t service);
void dr_look_at_all(struct dr_core *c);
void dr_look_later(struct dr_core *c, uint32_t service, uint64_t at_ms);
void dr_look_tick(struct dr_core *c);
void dr_look_do(struct dr_core *c, const struct dr_core_event *ev, struct dr_decision *out, dr_look_fn *at);
void dr_look_wake(const struct dr_core *c, struct dr_decision *out);

/* view.c: after a change of the spec, or of all: places may have been given to others. */
void dr_view_of_others(struct dr_core *c);

/* detect.c */
/* After a report: since when a holder's agent knows nothing of it. */
void dr_note_forgotten(struct dr_core *c, uint32_t ix, dr_member_ix m);
void dr_note_fenced(struct dr_core *c, uint32_t ix, dr_member_ix m); /* ... and since when its server is stopped by it */
/* Its agent stopped the holder's server for want of a grant.  UNCLEAR: it may have a lease again in a moment. */
enum dr_fenced_itself { DR_FENCED_NOT, DR_FENCED_UNCLEAR, DR_FENCED_ITSELF };
enum dr_fenced_itself dr_fenced_itself(const struct dr_think *t);
/* Its data is not the service's: the identity in it is another than in that of the holder, or of the last one.  False where
 * either is not known. */
bool dr_has_other_data(const struct dr_think *t, dr_member_ix m);
/* Whether it stands still in this epoch, as far as that was found in data that may be the service's. */
bool dr_is_frozen(const struct dr_think *t, dr_member_ix m);
void dr_identity_think(struct dr_think *t);
bool dr_heard(const struct dr_think *t, dr_member_ix m);        /* its agent reported here lately */
uint64_t dr_heard_age(const struct dr_core *c, uint32_t ix, dr_member_ix m);
unsigned dr_others(const struct dr_think *t, unsigned *heard);  /* members that are not the (last) primary */
bool dr_is_errant(const struct dr_service *s, const struct dr_member_view *mv); /* ... or that it is kept out for what it has */
bool dr_follows(const struct dr_think *t, dr_member_ix m);      /* its report says: standby of the holder */
enum dr_reason dr_incident(const struct dr_think *t, uint64_t *a); /* what is wrong with the holder */

/* The primary is to stay where it is for now: no automatic plan may move it (dr_core_blocked). */
static inline bool dr_reason_stays(enum dr_reason blocked)
{
	return blocked == DR_REASON_COOLDOWN || blocked == DR_REASON_MOVES_LIMITED;
}

/* lease.c */
void dr_lease_role(struct dr_core *c, bool leading);
void dr_lease_appended(struct dr_core *c);
void dr_lease_renew(struct dr_core *c, const struct dr_core_event *ev, struct dr_decision *out);
void dr_lease_tick_wanted(struct dr_core *c, struct dr_decision *out);
void dr_lease_ttl_think(struct dr_core *c, struct dr_decision *out);
void dr_lease_tick_ended(struct dr_core *c, enum dr_err outcome, struct dr_decision *out);

/* plan.c: the main plan; true when it has something open (so that nothing else may start). */
bool dr_plan_think(struct dr_think *t);
/* What a step's evidence says. */
enum dr_step_verdict {
	DR_STEP_WAITS,   /* for something that may never come: the step's limit counts */
	DR_STEP_HOLDS,
	DR_STEP_STUCK,
	DR_STEP_PROPOSED,
	DR_STEP_PATIENT  /* on purpose, with an end of its own */
};
/* Epochs and numbers above this are no honest agent's. */
#define DR_COUNT_SANE (UINT64_MAX / 4)
struct dr_step_outcome {
	enum dr_step_verdict verdict;
	enum dr_reason reason;       /* STUCK */
	uint64_t a, b;
};
struct dr_step_outcome dr_step_look(struct dr_think *t, const struct dr_plan *p); /* steps.c */
/* Whether what the plan was opened for is over: verdicts expire. */
bool dr_is_well_again(const struct dr_think *t, const struct dr_plan *p);
/* Issue an order unless one is open; retries are spaced out and bounded. */
struct dr_step_outcome dr_order_want(struct dr_think *t, const struct dr_plan *p, dr_member_ix m,
				     struct dr_order_core o);
uint64_t dr_step_age(const struct dr_think *t);
void dr_member_orders_think(struct dr_think *t);               /* results and time limits of open orders */

/* choose.c */
struct dr_choice {
	dr_member_ix candidate, source;
	uint64_t position;
	struct dr_sync next;
};
/* Frozen and, under async, its history known to be the last primary's: two timelines may bear one number, so
 * positions alone do not tell a fork that was given up. */
bool dr_may_be_chosen(const struct dr_think *t, const struct dr_plan *p, dr_member_ix m);
/* What it has and no primary had would become everybody's, and no person has named it. */
bool dr_is_kept_out(const struct dr_think *t, const struct dr_plan *p, dr_member_ix m);
/* Nobody has looked yet whose data it has, nor was it ever seen to follow the last primary: it may be another service's. */
bool dr_is_stranger(const struct dr_think *t, dr_member_ix m);
/* Whether nothing acknowledged is missing from those that stand still, though too few of the set do, or the last holder is
 * unsure: of kinds whose standbys are asked to acknowledge (docs/decisions/0020).  sure: whose final positions count. */
bool dr_is_all_known(const struct dr_think *t, const struct dr_plan *p, dr_member_set sure);
/* A leader that has just begun can't tell who is gone from who was not heard yet.  Where no set says who has all that was
 * promised, one that is further may be among them; whoever names the candidate need not wait for that. */
bool dr_may_be_heard_yet(struct dr_think *t, const struct dr_plan *p);
/* NONE: *out is filled; NO_CANDIDATE; NO_STANDBY_LEFT: somebody of unknown history has more than all others. */
enum dr_reason dr_choose_failover(const struct dr_think *t, const struct dr_plan *p, struct dr_choice *out);
enum dr_reason dr_choose_switchover(const struct dr_think *t, const struct dr_plan *p, struct dr_choice *out);
/* Why a planned switch to the member is not begun now (NONE: it is), with the reason's value. */
enum dr_reason dr_switchover_blocked(const struct dr_think *t, dr_member_ix m, uint64_t *a);

/* sync.c */
/* Fit standbys, up to the spec's k and set_max; to_come: for a holder that is to be promoted. */
struct dr_sync dr_sync_desired(const struct dr_think *t, dr_member_ix holder, bool to_come);
struct dr_sync dr_sync_of_new(const struct dr_think *t, dr_member_ix holder);
void dr_sync_think(struct dr_think *t);

/* listed.c */
/* Whether a promise of its own, or the proofs that there are, keep it from being a second primary. */
bool dr_may_be_promoted(const struct dr_think *t, const struct dr_plan *p, dr_member_ix m);
void dr_list_think(struct dr_think *t);

/* rejoin.c */
void dr_follow_think(struct dr_think *t);   /* repoint frozen standbys as soon as there is a holder */
void dr_rejoin_think(struct dr_think *t);

/* request.c */
void dr_request_think(struct dr_core *c, const struct dr_core_event *ev, struct dr_decision *out);
/* Why something cannot be done, with its values; NONE: it can, and *cmd does it. */
struct dr_refusal {
	enum dr_reason reason;
	uint64_t a, b;
};
struct dr_refusal dr_ask_failover(struct dr_think *t, const struct dr_request *q, struct dr_cmd *cmd);
struct dr_refusal dr_ask_switchover(struct dr_think *t, const struct dr_request *q, struct dr_cmd *cmd);
struct dr_refusal dr_not_ill(const struct dr_think *t); /* why its primary is not failed over */

/* request_site.c: what is asked for of a whole site; *about: the service that it is refused for, if it is one's. */
struct dr_refusal dr_ask_site(struct dr_core *c, const struct dr_request *q, struct dr_decision *out, struct dr_cmd *cmd,
			      struct dr_name *about);
/* What the site plan wants to do with the service, now. */
struct dr_refusal dr_ask_part(struct dr_think *t, const struct dr_site_plan *p, struct dr_cmd *cmd);

/* runbook.c: steps of site plans that nobody answers for; the end of one that somebody does. */
void dr_runbook_think(struct dr_core *c, struct dr_decision *out);
void dr_runbook_told(struct dr_core *c, const struct dr_core_event *ev, struct dr_decision *out);

/* site.c */
/* The service's part in a site plan: opens its plan when its turn has come, or leaves it.  True: nothing else may open
 * one for it now. */
bool dr_site_think(struct dr_think *t);
/* *cmd fails over a lost primary: with its site, where that is lost.  False: it waits a moment for that verdict. */
bool dr_site_incident(struct dr_think *t, struct dr_cmd *cmd);
bool dr_site_lost(struct dr_core *c, const struct dr_name *site);
void dr_site_gather(struct dr_think *t);

#endif
