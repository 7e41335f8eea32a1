/* repl.h -- replicated state: equal on every coordinator at the same log index.
 *
 * Changed only by apply.c, one command at a time.  Nothing in it may come from a clock, a pointer, a hash order
 * or anything else that two coordinators could see differently.  Mapped once at its full size and touched
 * on use, so unused services cost nothing. */
#ifndef DR_COORD_CORE_REPL_H
#define DR_COORD_CORE_REPL_H

#include "model/cmd.h"
#include "model/plan.h"

/* Which standbys an acknowledged write is safe with: at least k of the set have it.  A service without such a
 * standby has set = {holder}, k = 1: only the holder is sure to have it. */
struct dr_sync {
	dr_member_set set;
	uint32_t k;
};

struct dr_member_repl {
	uint64_t order_last;           /* highest order number ever issued */
	struct dr_order_core order;    /* the open one; number 0: none */
	struct dr_order_core done;     /* the newest one that was done */
	struct dr_order_result result; /* of the newest ended one */
	uint64_t unproved_epoch;       /* may act as primary of this epoch until proved fenced; 0: proved */
	enum dr_proof proof;           /* the newest proof ... */
	uint64_t proof_epoch;          /* ... and the service's epoch when it was given */
	bool only_expired;             /* proved by its lease's end alone, and nobody was promoted since: it may go on
					* by the promises of those on its list (design.md 4.8) */
	uint64_t frozen_epoch;         /* receives nothing since this epoch; final position: */
	uint64_t frozen_position;
	uint32_t frozen_timeline;
	uint64_t frozen_system_id;     /* ... in data that is known by this; 0: not known */
	bool unsure;                   /* may lack what it acknowledged: it was restarted since, and not told again */
	bool may_ack;                  /* was told to acknowledge, and has not said yet that it does not any more */
	uint64_t acks_epoch;           /* said so of the holder of this epoch */
	uint64_t joined_epoch;         /* follows (or is) the holder of this epoch */
	uint64_t lineage;              /* newest epoch whose holder it was or followed: up to there its history is theirs */
	uint64_t sync_epoch;           /* SYNC_SET was done for this epoch ... */
	uint32_t sync_version;         /* ... and this version of next */
	enum dr_divergence divergence; /* rejoin: what compare found */
	uint32_t fails;                /* orders of the open plan that failed in a row */
};

enum dr_plan_state { DR_PLAN_RUNNING, DR_PLAN_ASKING };

struct dr_plan {
	uint64_t id;                   /* 0: none is open */
	enum dr_plan_kind kind;
	enum dr_plan_state state;
	uint32_t steps, at;            /* at: index of the present step */
	uint32_t bar;
	enum dr_step step[DR_STEPS_MAX];
	dr_member_ix wanted;           /* the candidate that was asked for */
	dr_member_ix member;           /* rejoin: who */
	dr_member_ix old;              /* the holder when it opened */
	dr_member_ix candidate;
	dr_member_ix source;           /* catch_up from here; NONE: nothing to fetch */
	uint64_t position;             /* what the candidate must have */
	uint64_t epoch_opened;
	uint64_t opened_wall_ms;
	uint32_t tries;                /* of the present step: raised by each approve */
	bool force, accept_loss, assert_fenced;
	enum dr_reason reason;         /* why it was opened */
	uint64_t site_plan;            /* whose turn opened it; 0: none's */
	dr_member_set avoid;           /* members in the site that is left: rather not chosen, by a switchover never */
	enum dr_reason ask;            /* why it waits */
	uint64_t ask_a, ask_b;
	struct dr_name actor;
};

/* What a site plan has to do with a service; it stays after the site plan's end. */
struct dr_part {
	uint64_t plan;                 /* the site plan; 0: it was in no one's list */
	enum dr_part_state state;
	uint32_t group;                /* as it was when the site plan opened */
	uint32_t tries;                /* own plans that were opened */
	uint64_t own;                  /* the newest of them */
	enum dr_reason left;           /* LEFT: why */
	uint64_t a, b;
	dr_member_ix was;              /* who held it when the site plan opened */
};

/* One step of the runbook in a site plan.  What it does stands in the spec under its name. */
struct dr_site_step {
	struct dr_name name;
	uint32_t due;                  /* before the services of this group and higher ones; UINT32_MAX: after all */
	enum dr_site_step_state state;
	enum dr_reason why;            /* FAILED, UNDO_FAILED; ENDING: NONE when it was done */
};

/* A plan of plans: those of a site's services, group after group.  Which services, each one's part says. */
struct dr_site_plan {
	uint64_t id;                   /* one of the plans' numbers; 0: this place is free */
	enum dr_plan_kind kind;        /* FAILOVER, SWITCHOVER, FAILBACK */
	bool open;
	struct dr_name site;
	uint32_t group;                /* whose turn it is */
	uint32_t pending;              /* services of that group that wait or move */
	uint32_t services, done, left; /* in its list; moved; given up for now (they may still be moved) */
	bool force, accept_loss, assert_fenced;
	enum dr_reason reason;
	struct dr_name actor;          /* empty: the site was lost */
	char text[DR_REASON_MAX];
	uint64_t opened_wall_ms, closed_wall_ms;
	uint64_t until_wall_ms;        /* FAILBACK: so long it waits for members; 0: as long as one always does */
	uint32_t steps;                /* of the runbook, in their order: */
	struct dr_site_step step[DR_RUNBOOK_MAX];
	uint32_t running;              /* 1 + which of them has its turn; 0: none, services have theirs.  Also of one that is
					* closed, while what it had run is being ended */
	bool asks;                     /* that one failed, and a person says whether to go on */
	bool undoing;                  /* taken back: what was done is undone, the newest first */
};

struct dr_service {
	bool used;
	bool managed;
	bool held_fenced;              /* an operator fenced it: nothing automatic brings it back */
	bool was_primary;              /* primary_epoch was reached at least once */
	uint64_t epoch;                /* who may be primary: only grows */
	dr_member_ix holder;           /* of that epoch; NONE */
	dr_member_ix last_holder;      /* the newest holder that had every acknowledged write; NONE: none, or unknown */
	uint64_t primary_epoch;        /* the newest epoch whose holder was seen to take writes */
	uint64_t system_id;            /* what its data is known by, as its primary said first; 0: not known yet, or of a kind
					* that has none */
	struct dr_sync sync;           /* what the promise rests on now */
	struct dr_sync next;           /* what the server is to wait for; equal sets: settled */
	bool sync_joint;               /* sync is the union of old and next */
	struct dr_sync since;          /* as sync, of what was acknowledged since the last holder was chosen, who is in it only if
					* it waited for nobody; empty: not known, or sync says it as well */
	uint64_t chosen_position;      /* who has this has all that was acknowledged before; 0: not known */
	uint32_t chosen_timeline;
	uint32_t next_version;         /* counts changes of next within the epoch */
	struct dr_plan plan;           /* failover, switchover, adopt, fence */
	struct dr_plan rejoin[DR_MEMBERS_MAX];
	struct dr_part part;
	dr_member_ix home;             /* from which a site plan moved it away; NONE: nothing to bring back */
	bool paused;
	uint64_t pause_until_wall_ms;  /* 0: until resumed */
	struct dr_name pause_actor;
	char pause_text[DR_REASON_MAX];
	dr_member_set listed;          /* on a list that the holder's agent acknowledged, or that its promotion carried */
	uint64_t list_version;         /* newest list ever wanted: raised by orders, and by members that change */
	uint64_t list_epoch;           /* the holder's agent has taken one for this epoch ... */
	uint64_t list_taken;           /* ... of this version */
	uint64_t last_failover_wall_ms;
	uint64_t last_restart_wall_ms; /* the primary came back in place, after a crash */
	uint64_t route_epoch[DR_ROUTES_MAX];
	uint32_t route_servers[DR_ROUTES_MAX]; /* bit i: server i shows route_epoch */
	uint32_t route_held[DR_ROUTES_MAX];    /* bit i: server i was told to hold its clients, and not seen to lead them since */
	struct dr_member_repl member[DR_MEMBERS_MAX];
	struct dr_spec_service spec;
};

struct dr_coordinator {
	struct dr_name name, site;     /* name empty: this place is free */
	struct dr_address address;
	uint64_t id;
	bool stored;                   /* it has stored some of the log under this id */
};

enum { DR_REQUESTS_KEPT = 256, DR_INDEX_SIZE = 32768 };

/* What an operator's request came to, kept to answer a repeated one alike. */
struct dr_request_done {
	uint64_t request;
	enum dr_reason refused; /* NONE: it was carried out */
	uint64_t a;             /* plan id or version */
};

struct dr_repl {
	uint64_t applied;              /* log index */
	struct dr_name cluster;
	uint64_t spec_version;         /* 0: none was applied */
	struct dr_timing timing;
	struct dr_limits limits;
	uint32_t moves_next;           /* the newest automatic moves, a ring: the next one's place */
	uint64_t move_wall_ms[DR_MOVES_KEPT]; /* when each was opened; 0: none */
	struct dr_site_plan site_plan[DR_SITE_PLANS_KEPT];
	uint32_t ttl_longest_ms;       /* the largest that may still run: expiry counts with it */
	uint32_t sites;
	struct dr_site site[DR_SITES_MAX];
	struct dr_runbook_step runbook[DR_RUNBOOK_MAX];
	uint32_t coordinators;         /* highest used place + 1 */
	struct dr_coordinator coordinator[DR_COORDINATORS_MAX];
	uint64_t plan_last;            /* highest plan id */
	uint64_t event_last;           /* highest event index; kept: the last DR_EVENTS_KEPT */
	uint32_t requests_next;
	struct dr_request_done request[DR_REQUESTS_KEPT];
	uint32_t services;             /* highest used place + 1 */
	uint16_t index[DR_INDEX_SIZE]; /* place + 1 by the name's hash; 0: nothing (find.c) */
	struct dr_event_record event[DR_EVENTS_KEPT]; /* index i at i % DR_EVENTS_KEPT */
	struct dr_service service[DR_SERVICES_MAX];
};

/* Empty state. */
void dr_repl_init(struct dr_repl *r);

/* Apply one command at a log index.  Total and deterministic. */
void dr_repl_apply(struct dr_repl *r, uint64_t index, const struct dr_cmd *cmd);

/* Make the index anew, after all places were filled otherwise; or add a place that was just given its name. */
void dr_repl_index(struct dr_repl *r);
void dr_repl_index_add(struct dr_repl *r, uint32_t service);
/* Places by name; DR_SERVICE_NONE, DR_MEMBER_NONE. */
uint32_t dr_repl_service_find(const struct dr_repl *r, const char *name);
dr_member_ix dr_service_member_find(const struct dr_service *s, const char *name);
/* The members that the spec names. */
dr_member_set dr_service_members(const struct dr_service *s);
/* Whether a member has this place.  Places without one carry nothing but order_last, and snapshots go by that: a command for
 * a member that a spec took out before it does nothing. */
bool dr_service_has(const struct dr_service *s, dr_member_ix m);
/* The answered request with this id; NULL when it is not (or no longer) known. */
const struct dr_request_done *dr_repl_request_find(const struct dr_repl *r, uint64_t request);
/* Event i, or NULL when it is not kept (any more, or yet). */
const struct dr_event_record *dr_repl_event(const struct dr_repl *r, uint64_t index);
/* The site plan, open or closed, that is kept under this number; the open one of a site.  NULL. */
const struct dr_site_plan *dr_repl_site_plan(const struct dr_repl *r, uint64_t id);
const struct dr_site_plan *dr_repl_site_plan_of(const struct dr_repl *r, const struct dr_name *site);
/* The steps of people's own that a site plan of this kind would have, opened now, in their order; how many. */
uint32_t dr_runbook_of(const struct dr_repl *r, enum dr_plan_kind kind, const struct dr_name *site,
		       struct dr_site_step out[DR_RUNBOOK_MAX]);
/* What a step does; NULL: the spec has none of that name any more. */
const struct dr_runbook_step *dr_runbook_step(const struct dr_repl *r, const struct dr_name *name);
/* Whether whoever may run it, or its undo, is being told to end that (apply_runbook.c). */
bool dr_site_step_is_ending(const struct dr_site_step *s);
/* Whether a site plan of this kind, opened now, would have the service in its list. */
bool dr_site_plan_takes(const struct dr_repl *r, const struct dr_service *s, enum dr_plan_kind kind,
			const struct dr_name *site);
/* Whether a person gave up the site plan that would have failed it over: nothing does by itself then, until its primary is
 * heard again (SITE_LEFT without a reason), it is another one's, or a person resumes. */
bool dr_service_is_held_back(const struct dr_service *s);
/* Whether its primary, or the one that it is being moved away from, stands in a site. */
bool dr_service_is_in(const struct dr_service *s, const struct dr_name *site);
/* The members that stand in a site. */
dr_member_set dr_service_members_in(const struct dr_service *s, const struct dr_name *site);
/* Where a spec that was refused for this reason does not fit, out of the refusal's value: a service's place and a member's,
 * or NONE.  False: the reason says nothing of a place. */
bool dr_spec_place(enum dr_reason why, uint64_t a, uint32_t *service, dr_member_ix *m);
/* Whether a plan that drcoord opens by itself for this reason may move the primary. */
bool dr_reason_moves(enum dr_reason r);
/* ... and whether it starts the primary where it was, as long as that can be. */
bool dr_reason_in_place(enum dr_reason r);
/* How long until one more automatic move is within the limits; 0: it is. */
uint64_t dr_moves_wait_ms(const struct dr_repl *r, uint64_t wall_ms);
/* One more was opened. */
void dr_repl_note_move(struct dr_repl *r, uint64_t wall_ms);
/* Whether a person may give the plan up: left of the bar, or while nobody can be promoted by it (the next plan
 * then fences its candidate first). */
bool dr_plan_may_end(const struct dr_plan *p);
/* Whether some server of its routes may still hold its clients; *route: of which. */
bool dr_service_may_hold(const struct dr_service *s, uint32_t *route);
/* Whether the plan is between holding the clients back and the new primary's first write. */
bool dr_plan_holds_clients(const struct dr_plan *p);
/* Whether data that is known by this may be the service's: it is, or one of both is not known. */
bool dr_is_of_service(const struct dr_service *s, uint64_t system_id);
/* Whether a frozen member stands at this place or beyond, if it is of its history: a position counts only on the same timeline, and
 * a later one has all of it. */
bool dr_is_as_far_as(const struct dr_member_repl *m, uint32_t timeline, uint64_t position);
/* ... and so has all that another one has. */
bool dr_has_all_of(const struct dr_member_repl *m, const struct dr_member_repl *source);
/* How many positions of the sync set must be known so that no acknowledged write is missed: |set| - k + 1. */
uint32_t dr_sync_positions_needed(const struct dr_sync *s);

#endif
