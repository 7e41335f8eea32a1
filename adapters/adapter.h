/* adapter.h -- how drcoord speaks with one external system: mechanism only, no policy.
 *
 * One adapter is one folder here and one line in adapters.def.  A session is one target (a server, a
 * route).  An op names a state to observe or bring about; repeating it is always safe, and it is done
 * when the world showed it over a fresh connection, never because a call returned success.
 *
 * Threads: everything on the loop's thread; nothing here blocks it.  Ownership: the caller owns session
 * and op and keeps both in place until `done` (op) or `closed` (session) has been called.  An op in
 * flight calls done exactly once, later, never from inside start() or cancel(); its deadline is kept by
 * the host (host.c), which cancels and reports TIMEOUT.  One op in flight per session; more is BUSY. */
#ifndef DR_ADAPTERS_ADAPTER_H
#define DR_ADAPTERS_ADAPTER_H

#include <uv.h>

#include "base/error.h"
#include "model/ids.h"
#include "model/order.h"
#include "model/report.h"
#include "model/spec.h"

enum dr_op_kind {
#define ADAPTER_OP(id, name, writes, help) DR_OP_##name = (id),
#include "adapters/ops.def"
#undef ADAPTER_OP
	DR_OP_MAX = 32
};
const char *dr_op_name(enum dr_op_kind op); /* "writable"; "unknown" for others */

enum { DR_OP_PEERS_MAX = DR_MEMBERS_MAX, DR_SERVER_WHY_MAX = 256, DR_HISTORY_MAX = 4096 };

/* What the state is to be.  Each op reads only what its comment in the adapter names. */
struct dr_op_args {
	uint64_t epoch;
	uint64_t plan;                   /* id, for markers and records */
	uint32_t step;
	struct dr_name self;             /* this member: application_name and slot name come from it */
	struct dr_name primary;          /* FOLLOWING: the member to follow */
	struct dr_address primary_at;    /* FOLLOWING, COMPARED, ERRANT, ROUTED: its address */
	struct dr_name old;              /* ROUTED: who was primary before; empty: not known */
	struct dr_address old_at;
	uint32_t peers;                  /* SYNC_SET, SLOTS: how many of: */
	struct dr_name peer[DR_OP_PEERS_MAX];
	uint32_t k;                      /* SYNC_SET: ANY k; 0 with no peers: nobody; FOLLOWING, ACKING: 1: it acknowledges */
	uint64_t position;               /* WRITABLE: a standby with less is not promoted; 0: whatever it has ... */
	uint32_t timeline;               /* ... of this timeline, or one on a later one; 0: whatever the timeline */
	uint64_t system_id;              /* WRITABLE: data of another identity is not promoted; 0: whatever it is;
					  * PROBE_WRITE: data that has lost its own gets it */
	bool cut;                        /* SYNC_SET: whoever streams from it starts anew, acknowledging nothing unasked */
	bool handed_over;                /* FOLLOWING: stopped in order as a primary, it has nothing that the given one has not */
	bool local_commit;               /* PROBE_WRITE: do not wait for standbys */
	bool takeover;                   /* WRITABLE: also where the kind's own cluster has no majority to agree */
	char folder[DR_PATH_MAX];        /* COPIED: where to */
	bool end;                        /* CLOSED: the server may end itself then, if that is faster than by a signal */
};

/* WRITABLE: whether what stands at this place has all that the member was chosen for. */
static inline bool dr_op_has_place(const struct dr_op_args *a, uint32_t timeline, uint64_t position)
{
	if (a->timeline != 0 && timeline != a->timeline)
		return timeline > a->timeline;
	return position >= a->position;
}

/* What one standby is to the server that it streams from. */
struct dr_peer_seen {
	struct dr_name member;    /* from application_name */
	bool streaming;
	bool counts_for_sync;     /* the server waits for it (sync or quorum) */
	uint64_t flushed;         /* position; 0: unknown */
	uint64_t replayed;
};

/* How a node of a Redis Cluster sees the cluster. */
struct dr_cluster_seen {
	uint32_t slots;           /* its own */
	uint32_t covered;         /* all that have an owner, of 16384; 0 with masters 0: it was not asked */
	uint32_t masters, masters_there; /* who vote, and of them those that it reaches */
};

/* How the servers of a route show it. */
struct dr_route_seen {
	uint64_t epoch;           /* lowest epoch marker over them; 0: none */
	uint32_t ok, all;         /* so many show what was wanted, of so many */
	struct dr_address failed[DR_ROUTE_SERVERS_MAX]; /* the others ... */
	char why[DR_ROUTE_SERVERS_MAX][DR_SERVER_WHY_MAX]; /* ... and why not, in the same order */
};

/* What was seen.  Positions are the kind's own (PostgreSQL: LSN); 0 is unknown. */
struct dr_evidence {
	bool reached;             /* connected and answered */
	bool in_recovery;         /* it is a standby */
	bool replay_paused;
	bool receiving;           /* its receiver is connected */
	bool wrote;               /* PROBE_WRITE, WRITABLE: the write was durable */
	bool in_spite;            /* ... though by a default of our role or database our transactions were read only */
	bool untouched;           /* WRITABLE: nothing was sent that could make the server a primary; false: it may have been */
	bool too_few;             /* a write was refused: too few standbys are near, and it waits for them by itself */
	uint64_t system_id;       /* identity of the data; 0 unknown */
	uint32_t timeline;
	uint32_t checkpoint_timeline; /* of the newest completed checkpoint; 0 unknown */
	uint64_t received;        /* standby: received and durable; primary: flushed */
	uint64_t replayed;
	uint64_t started_ms;      /* server start, wall clock ms since 1970 */
	uint32_t version;         /* 150018 as server_version_num */
	struct dr_name upstream;  /* standby: application-level name of whom it receives from, when known */
	struct dr_address upstream_at;
	enum dr_divergence divergence; /* COMPARED */
	/* COMPARED, of kinds whose logs are of transactions with ids: */
	char theirs[DR_HISTORY_MAX];   /* what the primary has, in the kind's own words */
	char log_index[DR_PATH_MAX];   /* the file on the target's host that lists its own logs */
	char caution[DR_CAUTION_MAX]; /* what somebody has to mend there, and how: TENDED, SIGNED; else of its version */
	uint32_t errant;          /* ERRANT: how many at least; 0: none */
	char errant_ids[DR_ERRANT_MAX]; /* the first of them, in the kind's own words */
	uint32_t sync_k;          /* primary: as the server has it now */
	/* of kinds whose standbys are told to acknowledge: */
	bool acks;                /* standby: it acknowledges what it receives */
	bool acked;               /* FROZEN, FOLLOWING, ACKING: when it began it had lost nothing that it acknowledged */
	uint32_t peers;
	struct dr_peer_seen peer[DR_OP_PEERS_MAX];
	struct dr_cluster_seen cluster;
	struct dr_route_seen route;
	char text[DR_REASON_MAX]; /* one line for people */
};

struct dr_session;
struct dr_op {
	enum dr_op_kind kind;
	struct dr_op_args args;
	uint32_t deadline_ms;          /* from start */
	void (*done)(struct dr_op *op, const struct dr_error *e); /* e == NULL: the state holds, see evidence */
	void *ctx;                     /* the caller's */
	struct dr_evidence evidence;   /* filled before done, as far as it was seen, also on error */
	/* private to host.c and the adapter */
	struct dr_session *session;
	bool active;
	uint64_t started_ms;
};

/* What is known of the Sentinels that may watch a Redis. */
struct dr_sentinels_told {
	bool adopt;                    /* they are told to forget it; false: they are refused */
	uint32_t n;                    /* they are these, who alone are told the password; 0: whoever says that it is one */
	struct dr_address at[DR_SENTINELS_MAX];
	char password_file[DR_PATH_MAX];
};

/* A step of a site plan's runbook, named by route.name. */
struct dr_step_told {
	char key[DR_STEP_KEY_MAX];     /* the same for every repetition; empty: it is none */
	struct dr_name site;
	uint32_t plan_kind;            /* enum dr_plan_kind */
	bool undo;                     /* what it did is taken back */
};

/* What a session needs to know of its target; plain data, copied at open. */
struct dr_target {
	struct dr_name service;
	struct dr_name member;         /* servers */
	struct dr_address address;
	char database[DR_NAME_MAX];
	char user[DR_NAME_MAX];
	char password_file[DR_PATH_MAX];
	char replication_user[DR_NAME_MAX];
	char replication_password_file[DR_PATH_MAX];
	char ca_file[DR_PATH_MAX];     /* who may sign servers' certificates; empty: TLS as it comes, unchecked */
	struct dr_sentinels_told sentinels; /* Redis, on the agent */
	/* servers, on the agent: preferred over address when not empty; of MySQL the socket itself */
	char unix_socket_dir[DR_PATH_MAX];
	/* routes */
	struct dr_spec_route route;
	struct dr_name cluster, coordinator;
	char files_in[DR_PATH_MAX];    /* files may be read and written here only; empty: nowhere */
	char commands_in[DR_PATH_MAX]; /* commands may be run from here only; empty: none */
	struct dr_step_told step;      /* exec, webhook: it is no route but a step, if step.key says so */
};

struct dr_adapter {
	const char *name;              /* its word in the spec: "postgres", "dns_rfc2136" */
	size_t own_size;               /* bytes at session->own, set aside and zeroed by the host */
	/* Check the target and make ready; no I/O. */
	enum dr_err (*open)(struct dr_session *s, struct dr_error *e);
	/* Begin the op; an error here means done will not be called. */
	enum dr_err (*start)(struct dr_session *s, struct dr_op *op, struct dr_error *e);
	/* Drop the op in flight: its done is called (by the host) with CANCELLED or TIMEOUT; the adapter
	 * only closes what it holds, at once or later, and never touches op again.  Nothing more is sent then; what was
	 * sent may still be carried out, until the server has ended (agent/core: turning). */
	void (*cancel)(struct dr_session *s, struct dr_op *op);
	/* Free all; call dr_session_closed(s) once no handle is left, possibly at once. */
	void (*close)(struct dr_session *s);
	bool can[DR_OP_MAX];           /* designated: [DR_OP_PROBE] = true */
};

struct dr_session {
	uv_loop_t *loop;
	const struct dr_adapter *adapter;
	struct dr_target target;
	void *own;                     /* the adapter's */
	/* private to host.c */
	struct dr_op *op;
	uv_timer_t deadline;
	uv_idle_t later;               /* keeps "done is never called from inside start or cancel" true */
	struct dr_error outcome;
	bool has_outcome, closing;
	uint32_t handles_open;
	void (*closed)(struct dr_session *s);
};

/* Every adapter, each defined in its folder. */
#define ADAPTER(word, folder, variable) extern const struct dr_adapter variable;
#include "adapters/adapters.def"
#undef ADAPTER

/* The adapters of adapters.def by their word; NULL when unknown. */
const struct dr_adapter *dr_adapter_find(const char *name);

/* That the files with secrets that the target names lie in this folder: a coordinator's sessions, whose targets a spec names,
 * ask it before they are opened.  REFUSED. */
DR_MUST_USE enum dr_err dr_target_secrets_in(const struct dr_target *t, const char *folder, struct dr_error *e);

/* Say before an error what to look at, where the server does not know the target's account; its code stays. */
enum dr_err dr_target_not_let_in(const struct dr_target *t, struct dr_error *e);

/* Host side (host.c).  open: no I/O; an error means no close is needed.  start: UNSUPPORTED when the
 * adapter lacks the op, BUSY when one is in flight.  cancel: done(CANCELLED) follows.  close: cancels what
 * is in flight, then calls closed; the session's memory is the caller's again only then. */
DR_MUST_USE enum dr_err dr_session_open(struct dr_session *s, uv_loop_t *loop, const struct dr_adapter *a,
					const struct dr_target *target, struct dr_error *e);
DR_MUST_USE enum dr_err dr_session_start(struct dr_session *s, struct dr_op *op, struct dr_error *e);
void dr_session_cancel(struct dr_session *s);
void dr_session_close(struct dr_session *s, void (*closed)(struct dr_session *s));

/* For adapters: report the op's end (e == NULL: success) and, when closing, that no handle is left. */
void dr_op_finish(struct dr_op *op, const struct dr_error *e);
void dr_session_closed(struct dr_session *s);

#endif
