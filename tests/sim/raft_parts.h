/* raft_parts.h -- what the files of the simulated Raft share: raft.c (roles, proposals, start and end), raft_io.c
 * (disk and the rest of struct raft_io), raft_net.c (messages), raft_fsm.c (state machine). */
#ifndef DR_TESTS_SIM_RAFT_PARTS_H
#define DR_TESTS_SIM_RAFT_PARTS_H

/* The core has proposals of the same name; of raft's nothing is used here. */
#define dr_proposal dr_raft_proposal
#include "raft/internal.h"
#undef dr_proposal

#include "tests/sim/guard.h"
#include "tests/sim/sim.h"

/* In libraft.a, hidden in the shared object: with an own raft_io somebody must call it. */
void LegacyFireCompletedRequests(struct raft *r);
int configurationEncode(const struct raft_configuration *c, struct raft_buffer *buf);
int configurationDecode(const struct raft_buffer *buf, struct raft_configuration *c);

enum write_kind { WRITE_APPEND, WRITE_TRUNCATE, WRITE_SNAPSHOT };

/* A write on its way to the disk. */
struct write {
	struct write *next;
	enum write_kind kind;
	uint64_t index;
	unsigned n, trailing;
	struct sim_entry *entry;
	struct sim_snapshot snap;
	struct raft_io_append *append;
	struct raft_io_snapshot_put *put;
	struct sim_guard_write guard;
};

struct proposal {
	struct proposal *next;
	uint64_t tag, term;
	struct dr_buf cmd;
};

/* What shares an entry (raft/propose.c). */
struct batch {
	struct raft_apply req;
	struct sim_raft *r;
	struct proposal *first;
};

struct sent {
	struct sent *next;
	struct raft_io_send *req;
	raft_io_send_cb cb;
};

struct get {
	struct get *next;
	struct raft_io_snapshot_get *req;
	raft_io_snapshot_get_cb cb;
};

struct sim_raft {
	struct sim *s;
	uint32_t ci;
	uint64_t id;
	bool up, closed;
	bool joins;   /* its folder was made for an existing cluster: it begins with nothing */
	bool harmed;  /* and was not started since */
	bool refused; /* its storage was found damaged: it does not start */
	struct sim_disk disk;
	struct sim_guard guard;
	struct { /* what was written and reported, whatever has become of it on the disk */
		uint64_t term, vote, last;
	} truth;
	struct dr_raft node; /* of it: raft, change, inside, closing, led_term, barrier_term */
	struct raft_io io;
	struct raft_fsm fsm;
	struct raft_tracer tracer;
	raft_io_tick_cb tick;
	raft_io_recv_cb recv;
	struct write *write;
	bool writing; /* the first of them has its time */
	struct sent *sent;
	struct get *get;
	struct proposal *waiting;
	struct dr_snapshot_end read; /* the snapshot that libraft was last given */
	uint64_t reached; /* the longest that its log ever was, in this life */
	uint32_t flying; /* entries of ours that are not committed yet */
	bool tick_entered, pump_due;
	uint64_t tick_seq;
	uint64_t told_term;
	bool told_leads;
	struct raft_barrier barrier;
	uint8_t ledger[32];
};

/* After every call into libraft: what it finished is told, what waited for that is submitted. */
void sim_raft_pump(struct sim_raft *r);

/* A timer of this node's process; and the node that a timer speaks of, if that life of it still goes on. */
struct w_timer *sim_raft_later(struct sim_raft *r, uint64_t ms, void (*run)(struct world *, struct w_timer *));
struct sim_raft *sim_raft_alive(struct world *w, const struct w_timer *t);
struct sim_raft *sim_raft_of(const struct raft_io *io);

/* raft_io.c */
void sim_raft_io_fill(struct sim_raft *r);
/* The process is killed: some of what was on its way may have reached the disk. */
void sim_raft_torn(struct sim_raft *r);
/* raft.c */
void sim_raft_wipe(struct sim_raft *r, uint64_t id);
/* raft_net.c */
int sim_raft_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *m, raft_io_send_cb cb);
/* raft_fsm.c */
void sim_raft_fsm_fill(struct sim_raft *r);

#endif
