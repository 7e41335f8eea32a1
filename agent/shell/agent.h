/* agent.h -- drcoord-agent: its parts, and who owns what.
 *
 *   main.c     arguments, configuration, loop, signals
 *   coords.c   connections to the coordinators: who leads, reports to all, orders from the leader
 *   member.c   one local server: core, guard slot, supervisor, probes; carries decisions out
 *   ops.c      orders as sequences of stages; stages.c has the table
 *   job_fill.c what its jobs need to know
 *   upkeep.c   what is done between orders
 *   copies.c   a MariaDB's copy from one agent to another
 *   runbook.c  commands that a site plan's runbook has run here
 *   promises.c what agents ask one another when no coordinator answers
 *   journal_codec.c  the journal's bytes
 *
 * One thread, one libuv loop; struct dr_agent lives as long as the program. */
#ifndef DR_AGENT_SHELL_AGENT_H
#define DR_AGENT_SHELL_AGENT_H

#include <uv.h>

#include "adapters/adapter.h"
#include "agent/core/agent_core.h"
#include "agent/shell/guard_link.h"
#include "agent/shell/jobs.h"
#include "agent/shell/promises.h"
#include "agent/shell/supervisor.h"
#include "base/said.h"
#include "conf/conf.h"
#include "net/conn.h"
#include "proto/codec.h"

struct dr_agent;
struct dr_member;
struct dr_steps;

/* One coordinator as the agent sees it. */
struct dr_coord_link {
	struct dr_agent *agent;
	const struct dr_conf_peer *peer;
	struct dr_conn conn;
	bool connecting, open;
	bool leading;
	uint64_t term;
	uint32_t fails;
	uv_timer_t retry;
};

/* The order that is being carried out. */
struct dr_member_op {
	bool running;
	uint64_t number;         /* of the order: what comes back for another one is dropped */
	struct dr_order order;
	const uint8_t *stages;   /* of the order: stages.h */
	uint32_t at;
	uint64_t until_ms;       /* the whole op's deadline */
	struct dr_order_result result;
	enum dr_divergence divergence; /* as compared by this op */
	char why[DR_REASON_MAX];
	bool closed;             /* by this op, before the stop */
	bool touched;            /* the server may have been told what the order wants */
	struct dr_job job;
	bool job_running, adapter_running, stop_waits;
	uint64_t job_number, adapter_number; /* the order that each was started for */
	uint64_t started_ms;     /* when the server was last started by this op; 0: not yet */
};

struct dr_member {
	struct dr_agent *agent;
	const struct dr_conf_agent_service *conf;
	bool open;               /* events may come in */
	struct dr_agent_core core;
	char journal_path[DR_PATH_MAX];
	bool journal_damaged;    /* what it knew is lost: takes no order until somebody decides */
	struct dr_said journal_said; /* whether it could be written */
	struct dr_supervisor super;
	uint32_t slot;           /* of the guard */
	struct dr_session probe, work; /* of the kind's adapter */
	struct dr_op probe_op, work_op, slots_op;
	bool probing, slots_running, slots_due;
	uint64_t slots_next_ms;
	uint64_t errant_next_ms; /* no comparison with the primary before */
	uint32_t errant;         /* what the newest one found, as long as this is a standby; 0: nothing */
	char errant_ids[DR_ERRANT_MAX];
	uint64_t tend_next_ms;   /* likewise, for what is seen to between orders ... */
	char caution[DR_CAUTION_MAX]; /* ... and what the newest time told */
	uint64_t lacks_next_ms;  /* likewise ... */
	char lacks[DR_CAUTION_MAX]; /* ... for programs that it has not; "": it has all, and nobody looks again */
	bool discard_due;        /* old copies may stand beside the data: to be removed once the member follows */
	struct dr_job discard;
	bool discard_running;
	struct dr_copy_send *sending;   /* a copy of it, to another member's agent; NULL: none */
	struct dr_copy_fetch *fetching; /* of another member, for it */
	uint64_t checkpoint_next_ms; /* none of upkeep's before this moment */
	bool probe_again;        /* something changed meanwhile */
	uint64_t probed_ms;      /* when the newest answer came; 0: never */
	struct dr_evidence seen; /* that answer */
	char unseen[DR_CAUTION_MAX]; /* why the newest look found nothing; "": it did */
	enum dr_server_state server;
	struct dr_member_op op;
	uv_timer_t wake, probe_timer, poll;
	uint64_t incarnation;
	struct dr_name upstream;
	uint32_t kills;          /* of ours: fence_kill_at_ms */
	uint64_t fence_kill_at_ms;
	struct dr_order_peer peer[DR_MEMBERS_MAX]; /* the other members, as the newest order named them */
	uint32_t peers;
	uint32_t handles_open;
	struct dr_promise_link promise_link[DR_MEMBERS_MAX]; /* [i]: to member i of the journal's list */
	struct dr_ask asked;     /* the newest question */
	uint32_t promise_beats;
	uint64_t asked_said_ms, promise_said_ms; /* in the log */
};

struct dr_agent {
	uv_loop_t *loop;
	struct dr_conf_agent conf;
	char config_path[DR_PATH_MAX];
	struct dr_tls *tls;
	struct dr_guard_link guard;
	struct dr_cgroup_root cgroups;
	struct dr_timing timing;
	uint64_t heard_ms;       /* when the leader last said anything; 0: never */
	struct dr_promises promises;
	struct dr_steps *steps;  /* of runbooks: runbook.c */
	struct dr_coord_link coord[DR_COORDINATORS_MAX];
	struct dr_member member[DR_AGENT_SERVICES_MAX];
	uint64_t wall_offset_ms; /* wall minus boot clock, for rule 9 */
	uv_timer_t clock;
	uv_signal_t on_term, on_int, on_hup;
	bool stopping;
};

/* coords.c */
DR_MUST_USE enum dr_err dr_agent_coords_open(struct dr_agent *a, struct dr_error *e);
void dr_agent_coords_close(struct dr_agent *a);
/* How long to wait before the next try to connect: longer each time, and never two agents in step. */
uint64_t dr_agent_backoff_ms(uint32_t fails, uint64_t first_ms, uint64_t most_ms);
/* The coordinator that leads, as far as is known; NULL. */
struct dr_coord_link *dr_agent_leader(struct dr_agent *a);
void dr_agent_send_leader(struct dr_agent *a, uint16_t frame, const struct dr_buf *payload);
void dr_agent_send_all(struct dr_agent *a, uint16_t frame, const struct dr_buf *payload);

/* runbook.c */
void dr_agent_runbook_open(struct dr_agent *a);
void dr_agent_runbook_asked(struct dr_coord_link *l, const uint8_t *p, size_t n); /* DR_FRAME_STEP_ASK */
void dr_agent_runbook_cancelled(struct dr_coord_link *l, const uint8_t *p, size_t n); /* DR_FRAME_STEP_CANCEL */

/* member.c */
DR_MUST_USE enum dr_err dr_member_open(struct dr_member *m, struct dr_agent *a,
				       const struct dr_conf_agent_service *conf, struct dr_error *e);
void dr_member_event(struct dr_member *m, struct dr_agent_event *ev);
/* A look at the server as soon as possible. */
void dr_member_probe_now(struct dr_member *m);
/* What was seen of the server changed: tell the core. */
void dr_member_server(struct dr_member *m, enum dr_server_state state, bool crashed);
struct dr_member *dr_agent_member_find(struct dr_agent *a, const struct dr_name *service, const struct dr_name *member);

/* ops.c */
void dr_member_op_start(struct dr_member *m);
void dr_member_op_cancel(struct dr_member *m);
/* The supervisor or a probe saw something: whoever waits for it looks again. */
void dr_member_op_poke(struct dr_member *m);

/* job_fill.c */
/* A job of this kind for this member's server, with the order's target as source; what a comparison found is kept. */
void dr_member_job_fill(struct dr_member *m, struct dr_job *j, enum dr_job_kind kind);

/* upkeep.c */
/* Upkeep between orders: replication slots for the other members (on every candidate), the checkpoint after a
 * promotion, removal of old copies. */
void dr_member_upkeep(struct dr_member *m);
void dr_member_look_for_programs(struct dr_member *m); /* a caution where some are not there */

#endif
