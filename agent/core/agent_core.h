/* agent_core.h -- the deciding half of an agent, for one member: gate, lease holder, and what must happen next.
 *
 * Pure: no clock, no I/O, no allocation; time comes in with each event.  design.md 4: rules 1 (lease by when the
 * renewal was sent), 4 (epochs, leases asked for after the order), 6 (fence in time), 8 (failsafe: promises), and
 * order numbers (3: accepted and done apart, lower ones refused).
 *
 * The shell carries a decision out in this order: journal (durably; when that fails dr_agent_not_journaled says what
 * is done instead), guard, the rest.  Ownership: everything is the caller's; nothing is kept of an event. */
#ifndef DR_AGENT_CORE_AGENT_CORE_H
#define DR_AGENT_CORE_AGENT_CORE_H

#include "model/promise.h"
#include "model/report.h"

/* Whom the holder of `epoch` must ask before it goes on without a leader.  Version 0: there is no such list. */
struct dr_agent_list {
	uint64_t epoch, version;
	uint32_t members;
	struct dr_order_peer member[DR_MEMBERS_MAX];
};

/* What survives a crash and a power loss. */
struct dr_agent_journal {
	bool managed;                 /* adopted: from then on the gate and the lease rule this server */
	bool turning;                 /* the server that runs may have been told to become a primary: see below */
	enum dr_member_role role;
	uint64_t epoch;               /* highest ever seen */
	uint64_t order_seen;          /* highest number ever accepted */
	struct dr_order order;        /* the newest accepted one, to go on with after a crash */
	struct dr_order_result done;  /* its outcome, once known; number 0: not yet */
	struct dr_timing timing;      /* as last told; ttl_ms 0: never */
	uint32_t promise_ms;          /* a promise of this length may run: from a restart on its full length; 0: none */
	struct dr_agent_list list;
};

enum dr_agent_event_kind {
	DR_AG_TICK,
	DR_AG_LEADER,      /* a leader is known (known) or not; a new one is asked at once */
	DR_AG_TIMING,      /* timing in force; ttl_ms: the longest TTL that may still run */
	DR_AG_ORDER,
	DR_AG_CANCEL,      /* number */
	DR_AG_GRANT,       /* id, epoch, ttl_ms */
	DR_AG_OP_ENDED,    /* result of the op in flight */
	DR_AG_SERVER,      /* server, crashed */
	DR_AG_GUARD,       /* alive */
	DR_AG_ASKED,       /* ask, by another member's agent; known: a leader was heard lately */
	DR_AG_PROMISE,     /* promise: the answer to a question of ours */
	DR_AG_CLOCK_JUMPED /* wall time ran ahead of monotonic time by more than the fence budget (rule 9) */
};

struct dr_agent_event {
	enum dr_agent_event_kind kind;
	uint64_t now_ms;           /* CLOCK_BOOTTIME, read for this event */
	bool known, alive, crashed;
	const struct dr_timing *timing;
	const struct dr_order *order;
	uint64_t number, id, epoch;
	uint32_t ttl_ms;
	const struct dr_order_result *result;
	bool untouched;            /* OP_ENDED: nothing was sent to the server that could make it a primary */
	const struct dr_ask *ask;
	const struct dr_promise *promise;
	enum dr_server_state server;
};

enum dr_fence_how { DR_FENCE_NONE, DR_FENCE_STOP, DR_FENCE_KILL };

struct dr_agent_decision {
	bool journal;              /* c->journal changed: make it durable first */
	bool arm, disarm;          /* the guard: until c->lease_until_ms for c->lease_epoch */
	bool renew;                /* send a renewal: */
	uint64_t renew_id, renew_epoch;
	enum dr_fence_how fence;   /* stop the server now: in order with SIGKILL after half the budget, or SIGKILL */
	bool cancel_op;            /* drop the op in flight; its OP_ENDED does not come any more */
	bool start_op;             /* begin c->order */
	bool start_standby;        /* the server ought to run as a standby: start it */
	bool answer;               /* send c->answer to the leader */
	struct dr_order_result answer_result;
	bool ask;                  /* send to the agent of each member of c->journal.list: */
	struct dr_ask question;    /* ... with its name in `of` */
	bool promise;              /* send back to whoever asked: */
	struct dr_promise promised;
	bool report;               /* something changed that coordinators want to know now */
	uint64_t wake_at_ms;       /* 0: none */
};

enum { DR_RENEWALS_KEPT = 16, DR_STANDBY_RETRY_MS = 2000, DR_JOURNAL_RETRY_MS = 100, DR_JOURNAL_RETRY_MOST_MS = 5000 };

struct dr_agent_core {
	struct dr_name self;         /* this member */
	struct dr_agent_journal journal;
	struct dr_timing timing;
	uint64_t renewal_last;       /* ids: start random, never reused */
	struct {
		uint64_t id, epoch, sent_ms;
	} renewal[DR_RENEWALS_KEPT];
	uint32_t renewal_next;
	uint64_t renewed_ms;         /* when the newest was sent */
	uint64_t lease_epoch, lease_until_ms, lease_sent_ms;
	uint64_t grace_until_ms;     /* a lease cut by a clock jump: no fence before this moment */
	struct { /* of questions, the one that is open; id 0: none is */
		uint64_t id, epoch, asked_ms;
		uint32_t ttl_ms;   /* that the promises cover */
		uint32_t answered; /* bit i: member i of the list */
	} round;
	uint64_t higher_epoch;       /* that another agent has seen */
	uint64_t extended_until_ms;  /* a lease that rests on promises ends; 0: none does */
	uint32_t extended_by;        /* who promised it: */
	struct dr_order_peer promiser[DR_MEMBERS_MAX];
	uint64_t promise_until_ms;   /* until then no promote order is taken */
	bool newborn;                /* the journal is empty: new, or lost */
	uint64_t born_ms;
	bool leader_known, guard_alive;
	enum dr_server_state server;
	bool crashed;
	bool turning;                /* it was told to become a primary, and may at any moment, whatever it is seen as, until it
				      * has ended: what was sent is carried out though nobody waits for it any more */
	bool fencing;                /* told the shell to stop the server, which still runs */
	uint64_t fence_since_ms;
	uint64_t accepted_ms;        /* when the present order was accepted */
	bool op_wanted, op_running;
	bool turned_before;          /* when the op in flight began, an earlier one may have told the server to become a primary */
	struct dr_order_result unwritten; /* how the op ended, while the journal cannot be written; number 0: nothing waits */
	uint64_t journal_again_ms;   /* before this moment nothing is written but what an event calls for */
	uint32_t journal_fails;      /* in a row */
	uint64_t standby_tried_ms;
	uint64_t now_ms;
};

/* Begin from a journal (zeroed for a new member).  first_renewal: random.  inherited_until_ms: the guard's
 * deadline for this server when it runs and the guard was armed for inherited_epoch; else 0: a server running out of
 * recovery is then fenced.  An order that was accepted and not done is carried on. */
void dr_agent_core_init(struct dr_agent_core *c, const struct dr_name *self, const struct dr_agent_journal *j,
			const struct dr_timing *timing, uint64_t first_renewal, uint64_t inherited_epoch,
			uint64_t inherited_until_ms, uint64_t now_ms);

void dr_agent_core_step(struct dr_agent_core *c, const struct dr_agent_event *ev, struct dr_agent_decision *out);

/* The journal of that step could not be written: what is done then.  `before`: the core as it was before the step. */
void dr_agent_not_journaled(struct dr_agent_core *c, const struct dr_agent_core *before, const struct dr_agent_event *ev,
			    struct dr_agent_decision *d);

/* Whether the lease rests on promises now, and whether it would if it had to; how long one of ours still runs. */
bool dr_agent_on_promises(const struct dr_agent_core *c);
uint64_t dr_agent_promise_left_ms(const struct dr_agent_core *c);
bool dr_agent_has_list(const struct dr_agent_core *c);

/* How long the lease still runs; 0: none. */
uint64_t dr_agent_lease_left_ms(const struct dr_agent_core *c);

#endif
