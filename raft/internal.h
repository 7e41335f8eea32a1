/* internal.h -- what the files of raft/ share about one member. */
#ifndef DR_RAFT_INTERNAL_H
#define DR_RAFT_INTERNAL_H

#include "raft/bound.h"
#include "raft/node.h"
#include "raft/storage.h"
#include "raft/transport.h"

/* A proposal in the window: free, waiting to be submitted, or in an entry that is on its way. */
struct dr_proposal {
	struct dr_proposal *next;
	uint64_t term; /* that it was made in: no other leader's entry takes it */
	uint8_t *cmd;  /* while it waits */
	size_t len;
	dr_raft_proposed_cb *cb;
	void *arg;
};

enum dr_change_kind {
	DR_CHANGE_NONE,
	DR_CHANGE_ADD,
	DR_CHANGE_PROMOTE,
	DR_CHANGE_REMOVE,
	DR_CHANGE_TRANSFER
};

/* The one change of membership or leadership that may be on its way. */
struct dr_change {
	enum dr_change_kind kind;
	struct raft_change req;
	struct raft_transfer transfer;
	uint64_t id;
	dr_raft_changed_cb *cb;
	void *arg;
};

/* What the role callback last told. */
struct dr_raft_seen {
	enum dr_raft_role role;
	uint64_t term, leader_id, configuration;
	bool removed, told;
};

struct dr_raft {
	struct dr_storage storage;
	struct raft raft;
	struct raft_fsm fsm;
	struct raft_tracer tracer;
	struct dr_transport transport;
	uv_loop_t *loop;
	uv_async_t wake;              /* something changed in a raft step: look at it outside of it */
	uint64_t answering;           /* whose carried heartbeat is being taken; 0: nobody's */
	struct {
		uint64_t to, term, last;
	} said;                       /* the last answer */
	uv_timer_t tick;              /* tick.c */
	uint64_t tick_due;            /* in libraft's time */
	int ticked_as;                /* the role that it was set for */
	raft_io_tick_cb on_tick;      /* NULL: not started */
	int (*started)(struct raft_io *io, unsigned ms, raft_io_tick_cb tick, raft_io_recv_cb recv);
	uv_timer_t again;             /* a barrier could not be submitted: try again */
	struct dr_raft_config config; /* dir, name, address point into or are copied to here */
	char dir[DR_PATH_MAX];
	char address[DR_RAFT_ADDRESS_MAX];

	uint64_t led_term;     /* a barrier of this term was applied here */
	uint64_t barrier_term; /* one of this term is on its way */
	struct dr_raft_seen seen;
	struct dr_raft_seen stepped; /* as of the last step that woke us */

	struct dr_proposal window[DR_PROPOSALS_MAX];
	struct dr_proposal *free;
	unsigned outstanding; /* that are not free */
	struct dr_proposal *waiting, **waiting_tail; /* until the loop has gone round */
	uv_idle_t gather;                            /* runs then, while some wait */
	unsigned flying;                             /* entries of ours that are not committed yet */
	unsigned snapshot_threshold, snapshot_trailing; /* entries, as long as they are small */
	struct dr_bound since; /* the last snapshot, or the start */
	unsigned inside; /* we are in a callback that libraft calls in the middle of a step */
	struct dr_change change;

	bool closing;
	unsigned closes;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* Tell the caller and end the process; bounded in time.  Does not return. */
__attribute__((noreturn)) void dr_raft_die(struct dr_raft *r, const struct dr_error *e);
/* Announce what changed; asks for the barrier when elected. */
void dr_raft_review(struct dr_raft *r);
bool dr_raft_is_removed(const struct dr_raft *r);

/* Around a callback that libraft calls in the middle of a step. */
void dr_raft_enter(struct dr_raft *r);
void dr_raft_leave(struct dr_raft *r);

/* propose.c: before the handles are opened; after each step of libraft; with `closing` set. */
void dr_propose_init(struct dr_raft *r);
void dr_propose_review(struct dr_raft *r);
void dr_propose_flush(struct dr_raft *r); /* all that wait go now; not inside a step */
void dr_propose_close(struct dr_raft *r);

/* tick.c: after dr_storage_open; and after each step of libraft: role and timeouts may have changed. */
void dr_tick_install(struct dr_raft *r);
void dr_tick_review(struct dr_raft *r);
/* member.c: a committed change of the members that libraft did not notice is settled. */
void dr_member_review(struct dr_raft *r);

/* fsm.c */
void dr_raft_fsm_init(struct dr_raft *r);
/* offline.c */
DR_MUST_USE enum dr_err dr_raft_read_id(const char *dir, uint64_t *id, struct dr_name *name,
					struct dr_error *e);
/* codes.c */
enum dr_err dr_raft_err(int rv);

#endif
