/* disk.h -- a coordinator's simulated disk: what is durable, and what is on its way there.
 *
 * Writes end in the order in which they began.  A crash loses what is on its way, but for a prefix of the first
 * write that may have reached the plates.  Everything is memory of the simulator. */
#ifndef DR_TESTS_SIM_DISK_H
#define DR_TESTS_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <raft.h>

struct sim_entry {
	uint64_t term;
	unsigned short type;
	size_t len;
	uint8_t *bytes;
};

struct sim_snapshot {
	uint64_t index, term, conf_index; /* index 0: there is none */
	struct raft_configuration conf;
	uint8_t *bytes;
	size_t len;
};

struct sim_disk {
	uint64_t term, vote;
	uint64_t first; /* index of entry[0] */
	size_t n, cap;
	struct sim_entry *entry;
	struct sim_snapshot snap;
};

void sim_disk_init(struct sim_disk *d);
void sim_disk_close(struct sim_disk *d);
/* The bytes are copied. */
void sim_disk_append(struct sim_disk *d, const struct sim_entry *e);
void sim_disk_truncate(struct sim_disk *d, uint64_t index);
/* A snapshot is stored; entries up to its index less `trailing` are dropped; 0: the whole log is.  Copied. */
void sim_disk_snapshot(struct sim_disk *d, const struct sim_snapshot *s, unsigned trailing);

/* As struct raft_io's load wants it, all from raft_malloc. */
void sim_disk_load(const struct sim_disk *d, struct raft_snapshot **snapshot, raft_index *start,
		   struct raft_entry **entries, size_t *n);
void sim_disk_unload(struct raft_snapshot *snapshot, struct raft_entry *entries, size_t n);
struct raft_snapshot *sim_snapshot_for_raft(const struct sim_snapshot *s);
void sim_snapshot_copy(struct sim_snapshot *to, const struct sim_snapshot *from);
void sim_snapshot_drop(struct sim_snapshot *s);

#endif
