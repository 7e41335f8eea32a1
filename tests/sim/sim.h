/* sim.h -- what the files of the simulator share: a world (tests/world) whose log is libraft's, and all that can
 * go wrong around it.  One seed decides everything; times are true milliseconds unless a name says otherwise. */
#ifndef DR_TESTS_SIM_SIM_H
#define DR_TESTS_SIM_SIM_H

#include "tests/sim/disk.h"
#include "tests/world/world.h"

/* ---- dice.c: every stream of chance by itself, so that leaving out a fault leaves the others as they were */
struct sim_dice {
	uint64_t state;
};
struct sim_dice sim_dice(uint64_t seed, uint64_t stream);
uint64_t sim_roll(struct sim_dice *d, uint64_t sides); /* 0 .. sides - 1 */
bool sim_chance(struct sim_dice *d, uint32_t per_mille);

/* ---- raft.c */
struct sim_raft;

/* What a disk does beyond being fast; of one coordinator or member. */
struct sim_disk_weather {
	uint32_t slow_ms;    /* a write takes up to so much longer */
	bool full;           /* writes wait; an agent's fail */
	bool eio;            /* the next write fails */
};

struct sim_calm {
	uint32_t hop_ms, jitter_ms;      /* one way, between sites */
	uint32_t lose, again, reorder;   /* per mille of the messages */
};

struct sim;
void sim_raft_open(struct sim *s);
void sim_raft_close(struct sim *s);
/* A running coordinator gives leadership away; nothing happens when it doesn't lead. */
void sim_raft_transfer(struct sim *s, uint32_t c);
uint64_t sim_raft_term(const struct sim *s, uint32_t c);

/* ---- seats.c: who the coordinators are */
enum sim_seat { SIM_SEAT_TAKEN, SIM_SEAT_LEAVING, SIM_SEAT_FREE };
void sim_seats_begin(struct sim *s);
/* A coordinator is to be removed, and let in again with an empty folder. */
void sim_seat_leave(struct sim *s, uint32_t ci, uint64_t in_ms);
bool sim_seats_filled(const struct sim *s);
bool sim_seats_whole(const struct sim *s); /* and nobody's storage waits to be looked at */
int sim_seat_of(const struct sim *s, uint64_t id); /* -1: nobody has this id (any more) */

/* ---- faults.c */
enum { SIM_FAULTS_MAX = 8192 }; /* fifteen minutes of the shortest pauses between them */
struct sim_fault {
	uint64_t at_ms;
	uint32_t kind;     /* row of faults.def */
	uint32_t a, b;     /* whom: meaning depends on the kind */
	uint64_t ms;       /* how long */
};
const char *sim_fault_name(uint32_t kind);
uint32_t sim_fault_kinds(void);
enum sim_whom { SIM_WHOM_ANY, SIM_WHOM_COORD, SIM_WHOM_MEMBER, SIM_WHOM_SITE };
enum sim_whom sim_fault_whom(uint32_t kind);
void sim_fault_text(const struct sim *s, const struct sim_fault *f, char *out, size_t cap);
/* Draw the faults of `ms` of virtual time; from then on what lasts is ended in time. */
void sim_faults_draw(struct sim *s, uint64_t from_ms, uint64_t ms);
void sim_faults_begin(struct sim *s);
void sim_fault_do(struct sim *s, const struct sim_fault *f);
/* Pieces of faults: what lasts ends at `until`. */
enum { SIM_ISOLATE_LEADER = 2 /* bit of ISOLATE: the leader dies */ };
void sim_extend(uint64_t *until, uint64_t to);
void sim_kill_coord(struct sim *s, uint32_t c, uint64_t until);
void sim_kill_node(struct sim *s, uint32_t m, uint64_t until, bool power);
void sim_isolate_now(struct world *w, struct w_timer *t); /* the site of t->service's primary, for t->u ms; t->a: how */
void sim_replace_log(struct sim *s, const struct sim_fault *f);
void sim_cut_site(struct sim *s, uint32_t site, uint64_t until);
void sim_outage(struct sim *s, const struct sim_fault *f); /* outage.c */
/* operator.c */
enum { SIM_SPECS_LEFT = 100 }; /* for when all is healed */
void sim_request(struct sim *s, const struct sim_fault *f);
void sim_apply_spec(struct sim *s, const struct sim_fault *f);
/* A member leaves the spec (t->b: how often it was tried to find a plan open) or comes back into it (0). */
void sim_move_member(struct world *w, struct w_timer *t);
/* w->spec with its services, as they are now; false: not asked for, or refused at once. */
bool sim_ask_apply(struct world *w);
/* Somebody takes the loss upon himself; ... that whoever may still be primary is stopped, which is true: they have no
 * power, and get none while (sim_vouched) the word may still be used. */
void sim_accept_loss(struct sim *s, const struct sim_fault *f);
void sim_vouch(struct sim *s, const struct sim_fault *f);
bool sim_vouched(struct sim *s, uint32_t m);
void sim_operator_looks(struct sim *s);
/* ackers.c */
void sim_ackers(struct sim *s, const struct sim_fault *f);
/* sites.c */
void sim_order_site(struct sim *s, const struct sim_fault *f);
void sim_draw_runbook(struct sim *s);
/* damage.c */
void sim_damage_coord(struct sim *s, const struct sim_fault *f);
void sim_damage_journal(struct sim *s, uint32_t m, uint64_t until, uint32_t by);
void sim_swap_data(struct sim *s, uint32_t m, uint64_t until, uint32_t by);
void sim_swap_back(struct sim *s, uint32_t m);
void sim_power_cut(struct sim *s, uint32_t c, uint64_t until);
/* Everything ends now: what is down is started, what is cut is joined. */
void sim_heal(struct sim *s);

/* When what lasts ends; 0: it is not there. */
struct sim_until {
	uint64_t cut[W_SITES_MAX][W_SITES_MAX], storm;
	uint64_t node[W_MEMBERS_MAX], guard[W_MEMBERS_MAX], hang[W_MEMBERS_MAX], hold[W_MEMBERS_MAX];
	uint64_t lie[W_MEMBERS_MAX], mute[W_MEMBERS_MAX], renewals[W_MEMBERS_MAX], slow_server[W_MEMBERS_MAX];
	uint64_t swap[W_MEMBERS_MAX];
	uint64_t errant[W_MEMBERS_MAX], pooler[W_SERVICES_MAX];
	uint64_t slow[W_PROCS], full[W_PROCS];
};

struct sim {
	struct world *w;
	uint64_t seed;
	struct w_options options;
	struct sim_dice net, disk, raft, clock, stands;
	struct sim_calm calm;
	struct w_weather weather;
	struct sim_disk_weather disks[W_PROCS + 1];
	uint32_t snapshot_threshold;
	struct sim_raft *node[W_COORDS_MAX];
	struct sim_until until;
	enum sim_seat seat[W_COORDS_MAX];
	uint64_t seat_at[W_COORDS_MAX]; /* not before */
	uint32_t ids;                   /* given anew so far */
	uint64_t down_until[W_COORDS_MAX]; /* a coordinator that ended by itself is started again then */
	uint32_t faults;
	struct sim_fault fault[SIM_FAULTS_MAX];
	struct dr_spec spec; /* as it was at first */
	struct dr_spec_service service[W_SERVICES_MAX];
	struct w_server own[W_MEMBERS_MAX]; /* what stands on the volume that another one took the place of; wal NULL: none did */
	bool vouched[W_MEMBERS_MAX];
	uint64_t vouched_at[W_SERVICES_MAX];
	uint32_t looks; /* of the operator, when all is healed */
	struct {
		uint64_t plan;
		uint32_t step, ask, tries;
	} answered[W_SERVICES_MAX]; /* what was approved last */
	bool bad_clocks; /* drift outside the bound: two may acknowledge, nothing may be lost under sync */
};

/* ---- run.c: one seed from its beginning to its verdict */
struct sim_result {
	uint64_t seed;
	bool fine;
	uint32_t violations, faults;
	uint64_t virtual_ms, events, reads, vanished, words;
	char why[256];
};
/* In every fourth seed (3, 7, ...) the whole program ends at fault 5: to try out what looks at such ends. */
enum sim_broken { SIM_WHOLE, SIM_BROKEN_ASSERT, SIM_BROKEN_SIGNAL };
struct sim_how {
	uint64_t ms;            /* of faults */
	FILE *out;              /* the transcript; NULL: none */
	const bool *left_out;   /* SIM_FAULTS_MAX faults that are not done; NULL: none */
	uint32_t *coverage;     /* sim_coverage_size() counts, added to; NULL: not wanted */
	uint32_t *drawn;        /* so many faults there are, told before the first one is done; NULL: not wanted */
	enum sim_broken broken;
};
struct sim_result sim_run(uint64_t seed, const struct sim_how *how);
/* Which fault met which step, in which role. */
enum { SIM_ROLES = 4 };
size_t sim_coverage_size(void);
void sim_coverage_print(FILE *f, const uint32_t *coverage);

/* ---- mutants.c */
struct sim_mutant {
	const char *name, *rule, *what;
};
uint32_t sim_mutants(void);
const struct sim_mutant *sim_mutant(uint32_t i);
void sim_mutant_switch(uint32_t i);

/* The simulation that owns w. */
struct sim *sim_of(const struct world *w);

#endif
