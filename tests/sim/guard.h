/* guard.h -- the storage guard of a simulated coordinator: raft/guard.c and raft/compare.c, whose records stand in a
 * file in memory that outlives the simulated process; kept in the way of raft/storage.c. */
#ifndef DR_TESTS_SIM_GUARD_H
#define DR_TESTS_SIM_GUARD_H

#include "raft/storage.h"

/* What an append or a snapshot on its way says once it is done. */
struct sim_guard_write {
	uint64_t last, last_term;
	uint64_t need; /* the record that must be durable before it is reported; 0: none */
	uint64_t hash; /* of a snapshot */
	unsigned cuts;
	uint32_t chain;
	bool rebase, voided;
};

struct sim_guard {
	struct dr_guard g;
	uint64_t next;   /* index that the next append begins with */
	uint64_t synced; /* record: what a power cut leaves */
	uint64_t flush_at;
	uint32_t chain;  /* at next - 1 */
	bool rebase;
	unsigned cuts;
	struct dr_guard_point kept[DR_CHAIN_KEPT];
};

struct sim_raft;
struct write;

/* A new folder's file with its first record. */
void sim_guard_make(struct sim_raft *r, const struct dr_guard_head *head);
void sim_guard_close(struct sim_guard *g);

/* In the order of raft/storage.c: what the hooks do before, and after libraft's own writes. */
void sim_guard_append(struct sim_raft *r, struct write *x, const struct raft_entry *entries, unsigned n);
void sim_guard_appended(struct sim_raft *r, const struct write *x);
void sim_guard_truncate(struct sim_raft *r, uint64_t index);
void sim_guard_meta(struct sim_raft *r, uint64_t term, uint64_t vote);
void sim_guard_meta_done(struct sim_raft *r);
void sim_guard_put(struct sim_raft *r, struct write *x);
void sim_guard_was_put(struct sim_raft *r, const struct write *x);
/* Does what was loaded fit?  Then the guard takes it over. */
bool sim_guard_fits(struct sim_raft *r, const struct dr_storage_loaded *l, struct dr_error *e);

/* Harm: records that were not synced are gone; a bit of the record `back` before the newest flips. */
void sim_guard_power_cut(struct sim_guard *g, uint64_t now);
void sim_guard_flip(struct sim_guard *g, uint32_t back, uint32_t bit);

#endif
