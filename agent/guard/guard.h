/* guard.h -- what the guard program consists of (private to this folder).
 *
 * One thread decides and kills (guard.c, kill.c, agent.c) and never waits for a disk or a terminal; a second
 * one only carries log lines from a pipe to stderr (quiet.c). */
#ifndef DR_AGENT_GUARD_GUARD_H
#define DR_AGENT_GUARD_GUARD_H

#include "agent/guard/shm.h"

/* What the guard itself remembers of a slot. */
struct guard_slot {
	bool killing;     /* a kill has begun and the group wasn't seen empty yet */
	bool done;        /* that kill is done; slot is still armed and past its time */
	uint64_t next_ns; /* when to look again */
	uint64_t pause_ns;
};

struct guard {
	struct dr_guard_mem *mem;
	int memfd;
	struct dr_cgroup_root root;
	struct guard_slot slot[DR_GUARD_SLOTS_MAX];

	char config_path[DR_PATH_MAX];
	char agent_path[DR_PATH_MAX];
	int stderr_fd;           /* the real one, for the agent */
	struct dr_proc_id agent; /* pid 0: none runs */
	int agent_fd;            /* its pidfd, -1 */
	bool agent_is_child, agent_has_status;
	int agent_status;
	uint64_t agent_began_ns, agent_start_ns; /* started at; start it again at (0: not planned) */
	unsigned agent_failures;                 /* in a row, each soon after its start */
	uint64_t agent_beat_seen;
	unsigned agent_beat_same; /* own ticks without a beat of the agent */

	bool leaving;
	uint64_t leaving_ns;
	int exit_code;
};

/* kill.c: look at all slots; returns when to look again (at the latest `latest`). */
uint64_t guard_enforce(struct guard *g, uint64_t now, uint64_t latest);
bool guard_is_needed(const struct guard *g);

/* agent.c */
enum dr_err guard_agent_adopt(struct guard *g, int32_t pid, struct dr_error *e);
void guard_agent_reap(struct guard *g);                /* after SIGCHLD: every child that ended */
void guard_agent_ended(struct guard *g, uint64_t now); /* after its pidfd became readable */
void guard_agent_tick(struct guard *g, uint64_t now);  /* start it when it's time; end one that hangs */
void guard_agent_leave(struct guard *g, uint64_t now);

/* quiet.c: stderr becomes a pipe that never blocks; returns the real one. */
int guard_quiet_start(void);
void guard_quiet_stop(int real);

#endif
