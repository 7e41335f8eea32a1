/* world.h -- a cluster in one process and in virtual time: real coordinator cores, real agent cores, and around
 * them the simplest network, log, servers and guards that can hurt them.
 *
 *   log      perfect (log.c): what is appended by a leader that reaches a majority is committed in order a moment
 *            later; or libraft over a network and disks that can fail (tests/sim/raft.c)
 *   network  one-way cuts between sites; what is under way when a cut begins is lost; and the weather
 *   server   a list of numbered writes, copied by whoever receives from it; acknowledged by ANY k of the set
 *   guard    kills the server at its deadline, starts a dead agent again
 *
 * The same script always gives the same transcript.  After every event check.c looks at the whole from outside.
 * Times are milliseconds.  Members are counted through all services (`member`), and within their own as the log counts
 * them (`dr_member_ix`); a member's agent lives on the member's host. */
#ifndef DR_TESTS_WORLD_WORLD_H
#define DR_TESTS_WORLD_WORLD_H

#include <stdarg.h>
#include <stdio.h>

#include "tests/world/actors.h"

/* What a test wants to be told of, see hook. */
enum w_moment {
	W_PROPOSES,   /* a leader has just proposed cmd: it is in no other log yet */
	W_COMMITTED,  /* cmd is committed: the leader has not applied it yet */
	W_APPLIED,    /* the leader has applied cmd, and nothing that follows from it is carried out yet */
	W_CARRIED_OUT /* ... and its decision was carried out */
};

/* A step of people's own (runbook.c), where it runs or did. */
struct w_job {
	uint64_t key, nth; /* plan, step, whether it is the undo; a number of its own */
	uint32_t place;    /* a coordinator, or the agent */
	uint32_t canceller; /* the coordinator that wants to know when it is over */
	bool running, bad, mute, dropped, cancelled;
};

struct w_entry {
	struct dr_cmd cmd;
	uint64_t term, tag;
	uint32_t by, life;
};

struct world {
	uint64_t now, wall0;
	uint32_t coords, services, members, sites;
	struct w_coordinator c[W_COORDS_MAX];
	struct w_service s[W_SERVICES_MAX];
	struct w_member m[W_MEMBERS_MAX];
	bool cut[W_SITES_MAX][W_SITES_MAX];
	struct dr_spec spec;
	struct dr_spec_service service[W_SERVICES_MAX]; /* of spec */
	struct w_timer timer[W_TIMERS_MAX];
	uint32_t timer_at[W_TIMERS_MAX]; /* places in timer: a heap of the `timers` that run, then the free ones */
	uint32_t timers;
	const struct w_weather *weather;
	uint64_t paused_until[W_PROCS + 1];
	uint64_t seq;
	struct w_entry *log; /* W_LOG_MAX */
	uint32_t appended, committed;
	int leader; /* by raft, -1 */
	int prefer; /* who is elected next if it can be; -1: the lowest */
	uint64_t term;
	uint32_t elect_ms, step_down_ms, commit_ms;
	bool routes_stuck, holds_stuck, no_election;
	uint64_t request_last;
	uint64_t events_printed;
	FILE *out; /* the transcript; NULL: muted */
	bool verbose;
	bool loss_allowed; /* the script accepted it */
	bool two_allowed;  /* clocks out of bounds: what the lease promises is void */
	uint32_t zombies;  /* acknowledged by a server that had been paused past its lease (design.md 4.9) */
	uint32_t violations;
	char first_violation[256];
	void (*hook)(struct world *w, uint32_t c, enum w_moment at, const struct dr_cmd *cmd);
	void *hook_arg;
	struct w_job job[W_JOBS_MAX];
	uint64_t jobs;
	struct w_seen seen;
	struct dr_decision *decision;
	struct dr_spec *applied[W_SPECS_MAX]; /* the log borrows them */
	uint32_t specs;
};

/* world.c */
struct w_service_options {
	uint32_t members, group;
	uint32_t shift;  /* its first member, the primary, is in this site, the others in the next ones */
	bool at_home;    /* all are in that one site: none can leave it */
	bool no_heirs;   /* the others' priority is 0 */
	enum dr_kind kind;
	enum dr_durability durability;
	uint32_t k, set_max;
	enum dr_when_alone when_alone;
	uint32_t crash_loses, power_loses; /* so many of its newest writes, at the most */
	bool manual, route, pooler;
	uint64_t rpo;
	uint32_t cooldown_ms, restart_within_ms, alone_after_ms;
};
struct w_options {
	uint32_t coordinators, services;
	const char *profile;
	uint32_t automatic_moves, moves_within_ms;
	struct w_service_options service[W_SERVICES_MAX];
};
/* One service; the others' options, too, are as its. */
struct w_options w_defaults(void);
struct world *w_new(const struct w_options *o, FILE *out);
void w_free(struct world *w);
void w_run(struct world *w, uint64_t ms);
/* A copy of the spec as it is now, which lives as long as the world. */
const struct dr_spec *w_spec_copy(struct world *w);
/* Boot: elect, introduce the coordinators, apply the spec; then, when asked, adopt and settle. */
void w_start(struct world *w);
bool w_adopt(struct world *w);
/* Whose member it is; and the member that the log knows by that place in the service, W_MEMBERS_MAX for none. */
static inline struct w_service *w_service_of(struct world *w, uint32_t member)
{
	return &w->s[w->m[member].service];
}
static inline uint32_t w_member_at(const struct w_service *s, dr_member_ix ix)
{
	return ix < s->members ? s->first + ix : W_MEMBERS_MAX;
}
static inline struct dr_spec_service *w_spec_of(struct world *w, uint32_t member)
{
	return &w->service[w->m[member].service];
}
bool w_reaches(const struct world *w, uint32_t from, uint32_t to);
void w_say(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void w_cut(struct world *w, uint32_t site, bool on);
void w_healed(struct world *w);
/* After cuts were changed by hand: sessions end, leaders step down, others are elected. */
void w_cut_changed(struct world *w);
/* Server, agent and guard of a member die or are started. */
void w_node(struct world *w, uint32_t m, bool up);
uint32_t w_site_find(const struct world *w, const char *name);
uint32_t w_member_find(const struct world *w, const char *name);
uint32_t w_coord_find(const struct world *w, const char *name);
const char *w_member_name(const struct world *w, uint32_t m);
const char *w_service_name(uint32_t service);
uint32_t w_service_find(const struct world *w, const char *name); /* w->services: there is none */
const char *w_primary_name(struct world *w, uint32_t service); /* of its confirmed primary; "-" */

/* wire.c: what a message is after it went over the wire, by the real codecs. */
void w_wire_order(struct world *w, struct dr_order *o);
void w_wire_report(struct world *w, struct dr_report *r);
void w_wire_result(struct world *w, uint32_t m, struct dr_order_result *r);
void w_wire_observations(struct world *w, struct dr_observation *o, uint32_t n);
void w_wire_ask(struct world *w, struct dr_ask *a);
void w_wire_promise(struct world *w, struct dr_promise *p);
void w_wire_journal(struct world *w, struct dr_agent_journal *j);

/* coords.c */
void w_coord_start(struct world *w, uint32_t c);
void w_coord_kill(struct world *w, uint32_t c);
void w_coord_event(struct world *w, uint32_t c, struct dr_core_event *ev);
void w_coord_beat(struct world *w, uint32_t c);
/* c has just been elected: tell the agents. */
void w_announce(struct world *w, uint32_t c);
void w_call_hook(struct world *w, uint32_t c, enum w_moment at, const struct dr_cmd *cmd);
/* Ask the leader; the refusal when it is said at once, else NONE. */
enum dr_reason w_request(struct world *w, struct dr_request *q);
/* The service, as the most advanced living coordinator has it; NULL: none lives. */
struct dr_service *w_repl(struct world *w, uint32_t service);

/* log.c, or tests/sim/raft.c */
void w_log_started(struct world *w, uint32_t c);
void w_log_killed(struct world *w, uint32_t c);
/* Whom c believes to lead; -1: nobody. */
int w_leader_known(const struct world *w, uint32_t c);
void w_elect(struct world *w);
void w_leader_lost(struct world *w);
void w_catch_up(struct world *w);
void w_propose(struct world *w, uint32_t c, const struct dr_cmd *cmd, uint64_t tag);

void w_agent_start(struct world *w, uint32_t m); /* agents.c */
void w_agent_kill(struct world *w, uint32_t m);
void w_agent_event(struct world *w, uint32_t m, struct dr_agent_event *ev);
void w_agent_probe(struct world *w, uint32_t m);
/* promises.c: questions and answers between agents. */
void w_ask(struct world *w, uint32_t m, const struct dr_ask *question);
void w_promise(struct world *w, uint32_t m, const struct dr_promise *p);
void w_guard_kill(struct world *w, uint32_t m);
void w_guard_back(struct world *w, uint32_t m);
void w_fill_report(struct world *w, uint32_t m, struct dr_report *r);
void w_op_start(struct world *w, uint32_t m); /* ops.c */
void w_op_cancel(struct world *w, uint32_t m);

/* servers.c */
void w_server_init(struct world *w, uint32_t m, bool primary);
void w_server_set(struct world *w, uint32_t m, enum dr_server_state s, bool crashed);
void w_server_stop(struct world *w, uint32_t m, bool in_order); /* takes a moment */
void w_server_fence(struct world *w, uint32_t m, bool in_order); /* no longer than half the fence budget */
void w_server_start_standby(struct world *w, uint32_t m);
void w_server_see(struct world *w, uint32_t m, struct dr_report *r);
void w_replicate(struct world *w);
void w_server_paused(struct world *w, uint32_t mi);
void w_server_undo_sync(struct world *w, uint32_t mi); /* somebody else sets a primary to wait for nobody */
void w_server_acks(struct world *w, uint32_t mi); /* it acknowledges what comes from now on */
uint64_t w_position(const struct world *w, uint32_t m);
uint64_t w_system_id(const struct w_server *s);
uint32_t w_common(const struct w_server *a, const struct w_server *b);

/* kinds.c: what servers of a kind do that others do not. */
struct w_habits {
	uint32_t unit;     /* what one write adds to a position */
	uint32_t apply_ms; /* a standby makes what it has received a part of its data so often; 0: at once */
	bool forgets;      /* ... and has forgotten the rest when it is started again */
	bool asks_once;    /* a primary waits for nobody's word on what was sent before he was told to acknowledge */
	bool signs;        /* its timeline is the epoch of the newest primary that signed it; else they are counted */
	bool alone;        /* started, it is nobody's standby, and while it is that gives nothing to others */
	bool loses_place;  /* started, it does not know how far it is */
	bool copies;       /* told to follow, it fetches all anew where it is no part of upstream's history */
	bool clones;       /* what has left a history can only be copied anew */
};
const struct w_habits *w_habits_of(const struct world *w, uint32_t m);
void w_kind_ends(struct world *w, uint32_t m, enum dr_server_state was); /* its server has ended, crashed or not */
void w_kind_starts(struct world *w, uint32_t m);
void w_kind_power_cut(struct world *w, uint32_t m);
void w_kind_applies(struct world *w, uint32_t m);
bool w_kind_fetches_all(struct world *w, uint32_t m, const struct w_server *from); /* true: it has all of it now */
uint32_t w_unapplied(const struct world *w, uint32_t m); /* so many it has received, and not applied */
uint32_t w_sure_of(const struct world *w, uint32_t m); /* so many of its writes it knows to have */

/* check.c */
void w_check(struct world *w);
bool w_nobody_acts(const struct world *w, uint32_t m);
bool w_rises(struct world *w, uint64_t *high, uint64_t now, const char *what, const char *of);
void w_check_applied(struct world *w, uint32_t c, const struct dr_cmd *cmd);
void w_violation(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Whether all is well again: a primary that takes writes, no plan, every living member follows. */
bool w_healthy(struct world *w, char *why, size_t cap);

/* check_log.c: c has applied an entry, or is about to. */
void w_check_entry(struct world *w, uint32_t c, uint64_t index, uint64_t term, const struct dr_cmd *cmd);
uint64_t w_check_key(const struct world *w, uint32_t c);
void w_check_log(struct world *w, uint32_t c, const struct dr_cmd *cmd);
/* c is about to propose it. */
void w_check_proposal(struct world *w, uint32_t c, const struct dr_cmd *cmd);

/* check_agents.c: the journal was written or read; the guard was armed anew; a promise is given. */
void w_check_journal(struct world *w, uint32_t m);
void w_check_armed(struct world *w, uint32_t m);
void w_check_leased(struct world *w, uint32_t m);
void w_check_guarded(struct world *w, uint32_t m);
void w_check_extended(struct world *w, uint32_t m);
void w_check_promised(struct world *w, uint32_t m, const struct dr_promise *p);
/* It has taken a new order. */
void w_check_taken(struct world *w, uint32_t m);
void w_check_listed(struct world *w, const struct w_service *of, const struct dr_service *s);

/* check_site.c */
/* After a command; and after one that is for this service, which may have opened its plan. */
void w_check_site(struct world *w, const struct dr_repl *r);
void w_check_turn(struct world *w, const struct w_service *of, const struct dr_repl *r, const struct dr_cmd *cmd);

/* check_rows.c */
void w_promoted(struct world *w, uint32_t m);
/* A client reads from m, when it takes writes: every row must be there whose acknowledgement came before. */
void w_read(struct world *w, uint32_t m);
/* Whatever was acknowledged must be with the primary (under sync, unless the loss was accepted). */
void w_check_kept(struct world *w);
/* The server is about to lose what `by` does not have: all that was ever acknowledged of it must be saved. */
void w_check_overwritten(struct world *w, uint32_t m, const struct w_server *by);

/* check_sync.c: an entry was applied; m acknowledges write `at`. */
bool w_log_rests_on(struct world *w, uint32_t mi); /* what it acknowledges is promised to be with itself, and no more */
void w_note_sync(struct w_service *of, const struct dr_service *s);
void w_check_acked(struct world *w, uint32_t m, uint32_t at);
void w_check_ackers(struct world *w);

/* print.c */
void w_print_proposal(struct world *w, uint32_t c, const struct dr_cmd *cmd);
void w_print_wanted(struct world *w, uint32_t c, const struct dr_decision *d);
void w_print_events(struct world *w, uint32_t c);

/* script.c: false when it could not be understood or something in it did not hold. */
bool w_script(const char *path, FILE *out);

#endif
