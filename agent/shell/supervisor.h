/* supervisor.h -- one local server: start, watch, stop, kill, adopt; never why.  What its kind has of its own is in local.h.
 *
 * The server runs in a cgroup of its own (sys/cgroup.h).  PostgreSQL's backends outlive a killed postmaster and each
 * is its own process group, so "stopped" here means two things that are reported apart: the main process has
 * ended, and nobody is left.  The fence proof is the second, and that no other process works in the data folder.
 *
 * Drawing of the phase:
 *   STOPPED --start--> RUNNING --stop--> STOPPING --> STOPPED     (nobody left)
 *                         |                 |
 *                         +--postmaster died+--> LEFTOVERS --kill--> STOPPED
 *
 * Loop thread only; start and adopt read /proc and fork (a few ms), nothing waits for the server.  Ownership:
 * the caller's; memory returns in `closed`. */
#ifndef DR_AGENT_SHELL_SUPERVISOR_H
#define DR_AGENT_SHELL_SUPERVISOR_H

#include <uv.h>

#include "agent/shell/local.h"
#include "sys/cgroup.h"

enum dr_super_phase { DR_SUPER_STOPPED, DR_SUPER_RUNNING, DR_SUPER_STOPPING, DR_SUPER_LEFTOVERS };
const char *dr_super_phase_text(enum dr_super_phase phase);

struct dr_super_seen {
	enum dr_super_phase phase;    /* STOPPED says nothing about `foreign` */
	struct dr_proc_id postmaster; /* RUNNING, STOPPING */
	bool adopted;                 /* it ran before us, or was started by somebody else */
	bool group_empty;
	bool ended;                /* a postmaster has ended under our eyes: */
	bool has_status;           /* ... and we were its parent: */
	int status;                /* as from waitpid(2) */
	uint64_t ended_ns;         /* CLOCK_BOOTTIME when we noticed */
	struct dr_proc_id foreign; /* a postmaster of this data folder that isn't ours; pid 0: none */
	bool nobody;               /* STOPPED: the newest look for one found none, whoever's */
};

struct dr_supervisor;
typedef void dr_super_cb(struct dr_supervisor *s, const struct dr_super_seen *seen);
/* proved: nobody is left, in the group or in the data folder.  Else what stands in the way. */
typedef void dr_super_stopped_cb(struct dr_supervisor *s, bool proved, const struct dr_error *e);

struct dr_supervisor {
	void *ctx;                 /* the caller's */
	struct dr_super_seen seen; /* read-only for the caller */
	struct dr_cgroup group;    /* read-only: for dr_guard_slot_claim */
	/* private */
	struct dr_local_server conf;
	const struct dr_local_kind *kind;
	const struct dr_cgroup_root *root;
	struct dr_os_user user;
	bool has_user, watching, closing, looking;
	uv_loop_t *loop;
	uv_poll_t watch;
	uv_timer_t tick;
	uv_work_t look;
	struct dr_proc_id looked;
	enum dr_err found; /* what that look ended with */
	int pidfd;
	uint32_t handles_open;
	uint64_t fast_until_ns, immediate_until_ns, kill_began_ns, ended_grace_ns;
	int rung;
	dr_super_cb *on_change;
	dr_super_stopped_cb *stopped;
	void (*closed)(struct dr_supervisor *s);
};

/* No process is touched.  root must outlive the supervisor.  on_change comes from the loop, after every
 * change of `seen`. */
DR_MUST_USE enum dr_err dr_supervisor_init(struct dr_supervisor *s, uv_loop_t *loop,
					   const struct dr_cgroup_root *root,
					   const struct dr_local_kind *kind, const struct dr_local_server *conf,
					   dr_super_cb *on_change, void *ctx, struct dr_error *e);
/* The server goes on running.  closed may be NULL. */
void dr_supervisor_close(struct dr_supervisor *s, void (*closed)(struct dr_supervisor *s));

/* Take over a server that runs on the data folder, whoever started it, with all its children, without a
 * restart.  NOT_FOUND: none runs (processes that it left behind are then reported as LEFTOVERS). */
DR_MUST_USE enum dr_err dr_supervisor_adopt(struct dr_supervisor *s, struct dr_error *e);

/* Start the server; DR_OK: it was spawned, whether it accepts connections is for a probe to see.  as_standby
 * marks it first.  BUSY: phase is not STOPPED.  CONFLICT: somebody else runs a server there.  REFUSED: its data is no whole
 * copy. */
DR_MUST_USE enum dr_err dr_supervisor_start(struct dr_supervisor *s, bool as_standby, struct dr_error *e);

/* Stop: the kind's fast signal, after fast_ms its quick one, after immediate_ms more SIGKILL to all; 0 skips a
 * rung, as does a signal that the kind has not. `stopped` is called once, later, with the proof or, when
 * processes can't be killed within 10 s,
 * without it. Called again while stopping: the nearer times and the newer callback count (the older one is
 * called with CANCELLED). */
void dr_supervisor_stop(struct dr_supervisor *s, uint32_t fast_ms, uint32_t immediate_ms,
			dr_super_stopped_cb *stopped);

/* SIGKILL to all at once, foreign ones included, again until nobody is left. */
void dr_supervisor_kill(struct dr_supervisor *s, dr_super_stopped_cb *stopped);

/* Now: is nobody left, in the group or working in the data folder? */
DR_MUST_USE enum dr_err dr_supervisor_proved(struct dr_supervisor *s, bool *proved, struct dr_error *e);

/* Mark the data, durably: a manual start then comes up as a standby.  Blocking; any thread. */
DR_MUST_USE enum dr_err dr_supervisor_mark_standby(struct dr_supervisor *s, struct dr_error *e);
/* Take that away: it comes up as it ended. */
DR_MUST_USE enum dr_err dr_supervisor_unmark_standby(struct dr_supervisor *s, struct dr_error *e);
bool dr_supervisor_is_marked(const struct dr_supervisor *s);

#endif
