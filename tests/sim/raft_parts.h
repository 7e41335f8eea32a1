/* raft_parts.h -- what the files of the simulated Raft share: raft.c (roles, proposals, start and end), raft_io.c
 * (disk and the rest of struct raft_io), raft_net.c (messages), raft_fsm.c (state machine). */
#ifndef DR_TESTS_SIM_RAFT_PARTS_H
#define DR_TESTS_SIM_RAFT_PARTS_H

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
};

struct proposal {
	struct proposal *next;
	struct raft_apply req;
	struct sim_raft *r;
	uint64_t tag;
	struct raft_buffer buf;
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
	bool up, closing, closed;
	struct sim_disk disk;
	struct raft raft;
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
	uint32_t inside;
	bool tick_entered, pump_due;
	uint64_t tick_seq;
	uint64_t led_term, barrier_term, told_term;
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
/* raft_net.c */
int sim_raft_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *m, raft_io_send_cb cb);
/* raft_fsm.c */
void sim_raft_fsm_fill(struct sim_raft *r);

#endif
