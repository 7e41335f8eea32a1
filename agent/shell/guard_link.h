/* guard_link.h -- the agent's side of the guard: the shared memory, a living guard, and what it is told.
 *
 * The link opens the memory that the guard handed down, or makes one and starts a guard (when the agent was
 * started by itself).  From then on it beats every DR_GUARD_BEAT_MS from a timer of the loop, watches the
 * guard by pidfd and heartbeat, and starts a new one when it died, or was silent for longer than a second of
 * our own observation (then it is killed first).  The agent renews a lease only while dr_guard_link_alive().
 *
 * Loop thread only.  Ownership: the caller's; memory returns in `closed`. */
#ifndef DR_AGENT_SHELL_GUARD_LINK_H
#define DR_AGENT_SHELL_GUARD_LINK_H

#include <uv.h>

#include "agent/guard/shm.h"

struct dr_guard_link_conf {
	const char *config_path; /* passed on as --config; copied */
	const char *guard_path;  /* NULL: drcoord-guard beside our own program */
};

struct dr_guard_link {
	/* private */
	uv_loop_t *loop;
	struct dr_guard_mem *mem;
	int memfd, pidfd;
	struct dr_proc_id guard;
	char config_path[DR_PATH_MAX], guard_path[DR_PATH_MAX], agent_path[DR_PATH_MAX];
	uv_timer_t beat;
	uv_poll_t watch;
	bool watching, closing, found, inherited;
	uint32_t handles_open;
	uint64_t seen_beat_ns, unchanged_ticks, next_try_ns, respawns;
	bool claimed[DR_GUARD_SLOTS_MAX]; /* by us; others are an earlier agent's */
	bool was_alive;
	void (*on_change)(struct dr_guard_link *l, bool alive);
	void (*closed)(struct dr_guard_link *l);
	void *ctx; /* the caller's */
};

/* on_change (may be NULL) is called when dr_guard_link_alive() changes, from the loop. */
DR_MUST_USE enum dr_err dr_guard_link_open(struct dr_guard_link *l, uv_loop_t *loop,
					   const struct dr_guard_link_conf *conf,
					   void (*on_change)(struct dr_guard_link *l, bool alive), void *ctx,
					   struct dr_error *e);
/* The guard goes on.  closed may be NULL. */
void dr_guard_link_close(struct dr_guard_link *l, void (*closed)(struct dr_guard_link *l));

/* A guard runs and its heartbeat is younger than DR_GUARD_STALE_MS, read now. */
bool dr_guard_link_alive(const struct dr_guard_link *l);
/* Whether the memory existed before us: deadlines in it are those of the agent before. */
bool dr_guard_link_inherited(const struct dr_guard_link *l);
/* One line for status: "pid 12, locked, realtime, cgroup2". */
void dr_guard_link_text(const struct dr_guard_link *l, char *dst, size_t cap);

/* What a slot says now. */
struct dr_guard_seen {
	bool armed;
	uint64_t kill_at_ns, deadline_ns, epoch;
	uint64_t kills, kill_began_ns, kill_done_ns, kill_epoch;
	enum dr_guard_reason kill_reason;
};

/* The slot of a server ("service/member"): the one that the agent before us used, with its deadline as it
 * stands, when name and data folder agree; else a fresh, unarmed one, or one that nobody claimed since we began and that is
 * not armed.  mark: see shm.h, NULL for none. */
DR_MUST_USE enum dr_err dr_guard_slot_claim(struct dr_guard_link *l, const char *name,
					    const struct dr_cgroup *group, const char *mark, uint32_t *slot,
					    struct dr_error *e);
/* The server's main process, for the proc way; pid 0 for none. */
void dr_guard_slot_root(struct dr_guard_link *l, uint32_t slot, const struct dr_proc_id *root);

/* From deadline_ns - margin_ns (CLOCK_BOOTTIME) on the guard kills.  Arm before the server can acknowledge a
 * write under that lease, and move the deadline with each renewal granted.  Returns after the store; the
 * guard is woken when the time came nearer. */
void dr_guard_arm(struct dr_guard_link *l, uint32_t slot, uint64_t epoch, uint64_t deadline_ns,
		  uint64_t margin_ns);
/* Kill now, without us; stays armed until dr_guard_disarm(). */
void dr_guard_kill_now(struct dr_guard_link *l, uint32_t slot);
/* Only when the server was proved stopped, or runs as a standby. */
void dr_guard_disarm(struct dr_guard_link *l, uint32_t slot);
void dr_guard_see(const struct dr_guard_link *l, uint32_t slot, struct dr_guard_seen *out);

#endif
