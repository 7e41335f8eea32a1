/* shm.h -- the memory that agent and guard share: what to kill, when, and that both are there.
 *
 * It is a memfd: a file on a disk would be written back, and a write to its page may then wait for a hung
 * disk, in the very program that must act when the disk hangs.  Whichever of the two starts the other hands
 * the descriptor down (environment DR_GUARD_ENV); it is gone when both are, and then no deadline is known.
 *
 * There is no lock.  One word decides about life and death, kill_at_ns, and it is written by the agent in
 * one store: a writer that dies or is stopped half way leaves the old, earlier time.  The texts of a slot are
 * written while `used` is 0 and never change while it is 1. */
#ifndef DR_AGENT_GUARD_SHM_H
#define DR_AGENT_GUARD_SHM_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"
#include "sys/cgroup.h"

enum {
	DR_GUARD_SLOTS_MAX = 2 * DR_AGENT_SERVICES_MAX, /* so that those of a configuration before are no hindrance */
	DR_GUARD_MEM_VERSION = 2,
	DR_GUARD_BEAT_MS = 100,  /* each side's heartbeat is never older than this while it is well */
	DR_GUARD_STALE_MS = 400, /* from here on the other side counts as not there */
	DR_GUARD_EXIT_CONFIG =
	    78, /* agent's exit code "starting me again would not help" (sysexits EX_CONFIG) */
	DR_GUARD_NAME_MAX = 2 * DR_NAME_MAX
};

/* "MEMFD:GUARD_PID": set by whoever starts the other; GUARD_PID 0 for a guard that is being started. */
#define DR_GUARD_ENV "DRCOORD_GUARD"

enum dr_guard_reason {
	DR_GUARD_REASON_NONE = 0,
	DR_GUARD_REASON_DEADLINE = 1, /* the agent didn't move the deadline in time */
	DR_GUARD_REASON_ASKED = 2     /* the agent asked for it (dr_guard_kill_now) */
};

struct dr_guard_slot {
	_Atomic uint32_t used;        /* 0: free; 1: the texts below are valid and fixed */
	uint32_t way;                 /* enum dr_cgroup_way */
	char name[DR_GUARD_NAME_MAX]; /* "service/member" */
	char group[DR_PATH_MAX];      /* dr_cgroup.path */
	char data_dir[DR_PATH_MAX];
	char program[DR_NAME_MAX];
	char mark
	    [DR_PATH_MAX]; /* a file to create (empty, durable) after a kill, "" for none: standby.signal */

	/* Written by the agent. */
	_Atomic uint64_t
	    kill_at_ns; /* CLOCK_BOOTTIME; 0: not armed.  The guard kills from here on, for as long as
				       * it stands: disarm before the server is started again. */
	_Atomic uint64_t deadline_ns; /* lease end, for people; kill_at_ns is this minus the guard margin */
	_Atomic uint64_t epoch;       /* for people */
	_Atomic uint64_t asked;       /* 1: kill_at_ns was set by dr_guard_kill_now */
	_Atomic int32_t root_pid;     /* the proc way: the server's main process */
	_Atomic uint64_t root_start;

	/* Written by the guard. */
	_Atomic uint64_t kills; /* grows by one when a kill begins */
	_Atomic uint64_t kill_began_ns;
	_Atomic uint64_t kill_done_ns; /* the group was seen empty after that kill; 0 while not */
	_Atomic uint64_t kill_epoch;
	_Atomic uint32_t kill_reason; /* enum dr_guard_reason */
};

struct dr_guard_mem {
	uint64_t magic;
	uint32_t version;
	uint32_t size;
	_Atomic uint64_t guard_beat_ns; /* CLOCK_BOOTTIME, at least every DR_GUARD_BEAT_MS */
	_Atomic uint64_t agent_beat_ns;
	_Atomic uint64_t agent_starts; /* how often the guard has started the agent */
	_Atomic uint64_t agent_opens;  /* how many agents have used this memory */
	_Atomic int32_t guard_pid;
	_Atomic int32_t agent_pid;
	_Atomic uint32_t guard_flags; /* enum dr_guard_flag */
	struct dr_guard_slot slot[DR_GUARD_SLOTS_MAX];
};

enum dr_guard_flag {
	DR_GUARD_MEMORY_LOCKED = 1, /* mlockall worked */
	DR_GUARD_REALTIME = 2,      /* SCHED_FIFO worked */
	DR_GUARD_CGROUP2 = 4        /* kills by cgroup.kill */
};

/* Make the memory, or map one that was handed down (PROTOCOL: not ours or another version).  The descriptor
 * is inheritable by nobody until dr_spawn is told to keep it. */
DR_MUST_USE enum dr_err dr_guard_mem_make(struct dr_guard_mem **mem, int *fd, struct dr_error *e);
DR_MUST_USE enum dr_err dr_guard_mem_map(int fd, struct dr_guard_mem **mem, struct dr_error *e);
void dr_guard_mem_unmap(struct dr_guard_mem *mem);

/* Read DR_GUARD_ENV: NOT_FOUND when it isn't set, INVALID when it can't be read.  The variable is removed. */
DR_MUST_USE enum dr_err dr_guard_env_take(int *memfd, int32_t *guard_pid, struct dr_error *e);
/* The text for DR_GUARD_ENV, "DRCOORD_GUARD=...". */
void dr_guard_env_text(char *dst, size_t cap, int memfd, int32_t guard_pid);

#endif
