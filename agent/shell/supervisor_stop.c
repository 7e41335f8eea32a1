/* supervisor_stop.c -- down the ladder: fast, immediate, kill; and the proof at its end (supervisor.h). */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent/shell/supervisor_own.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	GRACE_MS = 50,      /* children of an ended postmaster may go by themselves so long */
	GIVE_UP_MS = 10000, /* unkillable: waiting inside the kernel, most likely for a disk */
	KILL_AGAIN_MS = 20,
	STRANGERS_MAX = 64
};

enum dr_err dr_supervisor_proved(struct dr_supervisor *s, bool *proved, struct dr_error *e)
{
	struct dr_proc_id some[1];
	size_t n = 0;
	*proved = false;
	enum dr_err rv = dr_cgroup_is_empty(s->root, &s->group, proved, e);
	s->seen.group_empty = rv == DR_OK && *proved;
	if (rv != DR_OK || !*proved)
		return rv;
	/* The group says nothing about a server that somebody else started. */
	rv = dr_proc_tree(NULL, s->conf.data_dir, s->group.program, some, 1, &n, e);
	*proved = rv == DR_OK && n == 0;
	return rv == DR_E_FULL ? DR_OK : rv;
}

static void finish(struct dr_supervisor *s, bool proved, const struct dr_error *e)
{
	dr_super_stopped_cb *stopped = s->stopped;
	s->stopped = NULL;
	s->rung = RUNG_NONE;
	s->kill_began_ns = 0;
	if (proved) {
		s->seen.foreign = (struct dr_proc_id){ 0 };
		s->group.root = (struct dr_proc_id){ 0 };
	}
	super_phase(s, proved ? DR_SUPER_STOPPED : DR_SUPER_LEFTOVERS);
	if (stopped != NULL)
		stopped(s, proved, e);
	super_report(s);
}

/* Everybody of the group, and whoever else works in the data folder. */
static void kill_all(struct dr_supervisor *s)
{
	struct dr_error e;
	struct dr_proc_id others[STRANGERS_MAX];
	size_t n = 0;
	enum dr_err rv = dr_cgroup_kill(s->root, &s->group, &e);
	if (rv == DR_OK)
		rv = dr_proc_tree(NULL, s->conf.data_dir, s->group.program, others, STRANGERS_MAX, &n, &e);
	for (size_t i = 0; i < n; i++)
		(void)!dr_proc_signal(&others[i], SIGKILL, NULL);
	if (rv != DR_OK && rv != DR_E_FULL)
		dr_log(DR_LOG_ERROR, "server.kill.failed", "server=%s error=\"%s\"", s->conf.name, e.msg);
}

static void climb(struct dr_supervisor *s, int rung)
{
	uint64_t now = dr_clock_boot_ns();
	s->rung = rung;
	dr_log(DR_LOG_INFO, "server.stop", "server=%s how=%s", s->conf.name,
	       rung == RUNG_FAST        ? "fast"
	       : rung == RUNG_IMMEDIATE ? "immediate"
					: "kill");
	if (rung == RUNG_KILL) {
		s->kill_began_ns = now;
		s->ended_grace_ns = now;
		kill_all(s);
	} else {
		(void)!dr_proc_signal(&s->seen.postmaster, rung == RUNG_FAST ? s->kind->fast : s->kind->quick, NULL);
	}
}

static void check_proof(struct dr_supervisor *s)
{
	struct dr_error e;
	bool proved = false;
	uint64_t now = dr_clock_boot_ns();
	dr_error_clear(&e);
	enum dr_err rv = dr_supervisor_proved(s, &proved, &e);
	if (rv == DR_OK && proved) {
		finish(s, true, NULL);
	} else if (s->rung == RUNG_KILL && now - s->kill_began_ns >= GIVE_UP_MS * MS) {
		if (rv == DR_OK)
			(void)dr_fail(&e, DR_E_TIMEOUT, "processes of %s could not be killed within %d s",
				      s->conf.data_dir, GIVE_UP_MS / 1000);
		finish(s, false, &e);
	} else if (s->rung == RUNG_KILL && now - s->ended_grace_ns >= KILL_AGAIN_MS * MS) {
		s->ended_grace_ns = now;
		kill_all(s);
	}
}

void super_stop_tick(struct dr_supervisor *s)
{
	uint64_t now = dr_clock_boot_ns();
	if (s->rung == RUNG_FAST && now >= s->fast_until_ns)
		climb(s, now >= s->immediate_until_ns || s->kind->quick == 0 ? RUNG_KILL : RUNG_IMMEDIATE);
	else if (s->rung == RUNG_IMMEDIATE && now >= s->immediate_until_ns)
		climb(s, RUNG_KILL);
	else if (s->rung != RUNG_KILL && s->seen.postmaster.pid == 0 &&
		 now - s->ended_grace_ns >= GRACE_MS * MS && !s->seen.group_empty)
		climb(s, RUNG_KILL);
	if (s->rung == RUNG_KILL || s->seen.postmaster.pid == 0)
		check_proof(s);
}

void super_stop_ended(struct dr_supervisor *s)
{
	if (s->rung != RUNG_KILL)
		s->ended_grace_ns = dr_clock_boot_ns();
	check_proof(s);
}

static void replace_callback(struct dr_supervisor *s, dr_super_stopped_cb *stopped)
{
	struct dr_error e;
	dr_super_stopped_cb *older = s->stopped;
	s->stopped = stopped;
	if (older == NULL)
		return;
	(void)dr_fail(&e, DR_E_CANCELLED, "another stop took over");
	older(s, false, &e);
}

/* The first look comes with the next tick, so `stopped` is never called from inside. */
void dr_supervisor_stop(struct dr_supervisor *s, uint32_t fast_ms, uint32_t immediate_ms,
			dr_super_stopped_cb *stopped)
{
	uint64_t now = dr_clock_boot_ns();
	uint64_t fast_until = now + fast_ms * MS;
	uint64_t immediate_until = fast_until + immediate_ms * MS;
	bool again = s->rung != RUNG_NONE;
	s->fast_until_ns = again && s->fast_until_ns < fast_until ? s->fast_until_ns : fast_until;
	s->immediate_until_ns =
	    again && s->immediate_until_ns < immediate_until ? s->immediate_until_ns : immediate_until;
	replace_callback(s, stopped);
	int rung = fast_ms > 0 && s->kind->fast != 0 ? RUNG_FAST : immediate_ms > 0 ? RUNG_IMMEDIATE : RUNG_KILL;
	if (s->seen.postmaster.pid == 0 || (rung == RUNG_IMMEDIATE && s->kind->quick == 0))
		rung = RUNG_KILL;
	super_phase(s, DR_SUPER_STOPPING);
	if (rung > s->rung)
		climb(s, rung);
	super_pace(s);
}

void dr_supervisor_kill(struct dr_supervisor *s, dr_super_stopped_cb *stopped)
{
	dr_supervisor_stop(s, 0, 0, stopped);
}
