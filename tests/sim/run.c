/* run.c -- one seed: a cluster is made and adopted in calm weather, hurt for a while, healed, and must be well.
 *
 * While it is hurt only safety is demanded (tests/world/check.c, after every event).  Then everything is started
 * and joined, somebody looks at it now and then (operator.c), and within a
 * bound of virtual time every plan must have ended, every member must follow, and the primary must have every
 * acknowledged row. */
#include <signal.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "tests/sim/sim.h"

enum { STEP_IDLE = DR_STEP_ID_MAX, HEAL_S = 300, OPERATOR_EVERY_S = 3, SETTLED_S = 6 };
enum { OTHERS_ONE_IN = 5, GROUPS = 3, ROWS_OF_A_SECOND = 1000 / W_WRITE_MS };
enum { TIGHT_FENCE_MS = 40, TIGHT_GUARD_MS = 8, WIDE_DRIFT_PPM = 40000, BAD_DRIFT_PPM = 80000 };

static struct sim *the_sim; /* one simulation at a time in a process */

struct sim *sim_of(const struct world *w)
{
	(void)w;
	return the_sim;
}

/* ---- weather */

static uint32_t hop(void *arg, uint32_t from, uint32_t to, uint32_t *again)
{
	struct sim *s = arg;
	(void)from;
	(void)to;
	if (s->calm.lose != 0 && sim_chance(&s->net, s->calm.lose))
		return UINT32_MAX;
	if (s->calm.again != 0 && sim_chance(&s->net, s->calm.again))
		*again = 1 + (uint32_t)sim_roll(&s->net, 200);
	return s->calm.hop_ms + (uint32_t)sim_roll(&s->net, s->calm.jitter_ms + 1);
}

static uint32_t disk(void *arg, uint32_t proc)
{
	struct sim *s = arg;
	uint32_t slow = s->disks[proc].slow_ms;
	return (uint32_t)sim_roll(&s->disk, 3) + (slow != 0 ? (uint32_t)sim_roll(&s->disk, slow + 1) : 0);
}

static bool disk_fails(void *arg, uint32_t proc)
{
	const struct sim *s = arg;
	return s->disks[proc].full || s->disks[proc].eio;
}

/* A file that is replaced: what finds no room never gets there, what fails may have. */
static bool disk_stands(void *arg, uint32_t proc)
{
	struct sim *s = arg;
	bool once = s->disks[proc].eio && !s->disks[proc].full;
	s->disks[proc].eio = false;
	return once && sim_roll(&s->stands, 2) == 0;
}

/* ---- the cluster */

static void draw_sync(struct w_service_options *v, struct sim_dice *d)
{
	v->set_max = 1 + (uint32_t)sim_roll(d, 2);
	v->k = v->set_max == 2 ? 1 + (uint32_t)sim_roll(d, 2) : 1;
	v->when_alone = sim_roll(d, 4) == 0 ? DR_ALONE_BLOCK : DR_ALONE_CONTINUE;
}

static void draw_patience(struct w_service_options *v, struct sim_dice *d)
{
	v->cooldown_ms = (uint32_t)sim_roll(d, 2) * 5000;
	v->restart_within_ms = (uint32_t)sim_roll(d, 2) * 3000;
	v->alone_after_ms = 1000 + (uint32_t)sim_roll(d, 5) * 1000;
}

static struct w_options options(struct sim_dice *d)
{
	struct w_options o = w_defaults();
	struct w_service_options *v = &o.service[0];
	o.coordinators = sim_roll(d, 4) == 0 ? 5 : 3;
	v->members = 2 + (uint32_t)sim_roll(d, 3);
	v->durability = sim_roll(d, 3) == 0 ? DR_DURABILITY_ASYNC : DR_DURABILITY_SYNC;
	draw_sync(v, d);
	o.profile = sim_roll(d, 5) == 0 ? "default" : "metro";
	draw_patience(v, d);
	return o;
}

/* In some seeds there are more services, whose primaries mostly stand in the first one's site: so that site plans move
 * several, one group after another, and leave those that have nobody elsewhere. */
static void draw_others(struct w_options *o, struct sim_dice d)
{
	if (sim_roll(&d, OTHERS_ONE_IN) != 0)
		return;
	o->services = 3 + (uint32_t)sim_roll(&d, 2);
	o->service[0].group = (uint32_t)sim_roll(&d, GROUPS);
	for (uint32_t i = 1; i < o->services; i++) {
		struct w_service_options *v = &o->service[i];
		v->group = (uint32_t)sim_roll(&d, GROUPS);
		v->members = 2 + (uint32_t)sim_roll(&d, 2);
		v->shift = sim_roll(&d, 4) == 0 ? (uint32_t)sim_roll(&d, o->coordinators) : 0;
		v->durability = sim_roll(&d, 3) == 0 ? DR_DURABILITY_ASYNC : DR_DURABILITY_SYNC;
		draw_sync(v, &d);
		draw_patience(v, &d);
		v->at_home = sim_roll(&d, 8) == 0;
		v->no_heirs = sim_roll(&d, 8) == 0;
		v->manual = sim_roll(&d, 8) == 0;
	}
}

/* What is on the disks of a Redis is what its settings say: all but what ran out of buffers, a second less, or nothing. */
static void draw_redis(struct w_service_options *v, struct sim_dice *d)
{
	uint64_t how = sim_roll(d, 4);
	v->kind = DR_KIND_REDIS;
	v->durability = sim_roll(d, 2) == 0 ? DR_DURABILITY_BOUNDED : DR_DURABILITY_ASYNC;
	v->crash_loses = how == 3 ? UINT32_MAX : how == 2 ? ROWS_OF_A_SECOND : 0;
	v->power_loses = how == 3 ? UINT32_MAX : (1 + 9 * (uint32_t)(how == 2)) * ROWS_OF_A_SECOND;
}

static void draw_kinds(struct w_options *o, struct sim_dice d)
{
	for (uint32_t i = 0; i < o->services; i++) {
		struct w_service_options *v = &o->service[i];
		bool other = sim_roll(&d, i == 0 ? 3 : 2) == 0;
		uint64_t which = sim_roll(&d, 4);
		v->pooler = sim_roll(&d, i == 0 ? 6 : 3) == 0;
		if (other && which == 0)
			draw_redis(v, &d);
		else if (other)
			v->kind = which == 1 ? DR_KIND_MYSQL : DR_KIND_MARIADB;
		if (v->kind == DR_KIND_MARIADB)
			v->k = 1; /* it waits for one, whichever is first */
	}
}

/* Every host's clock runs at its own pace, inside the bound that the spec promises; now and then outside. */
static struct w_clock draw_clock(struct sim *s)
{
	uint64_t bound = s->w->spec.timing.drift_ppm;
	int32_t ppm = (int32_t)sim_roll(&s->clock, 2 * bound + 1) - (int32_t)bound;
	if (sim_roll(&s->clock, 2) == 0) /* as wrong as it may be */
		ppm = ppm < 0 ? -(int32_t)bound : (int32_t)bound;
	if (s->bad_clocks)
		ppm = (int32_t)sim_roll(&s->clock, 2 * BAD_DRIFT_PPM + 1) - BAD_DRIFT_PPM;
	return (struct w_clock){ .offset_ms = sim_roll(&s->clock, 1000000), .ppm = ppm };
}

static void set_clocks(struct sim *s)
{
	s->bad_clocks = sim_roll(&s->clock, 20) == 0;
	for (uint32_t i = 0; i < s->w->coords; i++)
		s->w->c[i].clock = draw_clock(s);
	for (uint32_t i = 0; i < s->w->members; i++)
		s->w->m[i].clock = draw_clock(s);
	s->w->two_allowed = s->bad_clocks;
}

/* In half of the seeds the reserves are as small as the stand-ins allow, so that an error of milliseconds shows; in
 * some the clocks may drift a lot, and the spec says so. */
static void tighten(struct sim *s, struct sim_dice *d)
{
	struct dr_timing *t = &s->w->spec.timing;
	if (sim_roll(d, 2) == 0) {
		t->fence_budget_ms = TIGHT_FENCE_MS;
		t->guard_margin_ms = TIGHT_GUARD_MS;
	}
	if (sim_roll(d, 4) == 0)
		t->drift_ppm = WIDE_DRIFT_PPM;
}

/* In some seeds few moves are allowed at a time, but never so few that all could not be well in time (recovers()). */
static void limit_moves(struct w_options *o, struct sim_dice d)
{
	if (sim_roll(&d, 8) != 0)
		return;
	o->automatic_moves = 1 + (uint32_t)sim_roll(&d, 2);
	o->moves_within_ms = 5000 + (uint32_t)sim_roll(&d, 4) * 10000;
}

/* In some seeds nothing is moved before somebody has said so. */
static bool ask_first(struct sim_dice d)
{
	return sim_roll(&d, 10) == 0;
}

static void open_sim(struct sim *s, uint64_t seed)
{
	struct sim_dice d = sim_dice(seed, 0);
	memset(s, 0, sizeof(*s));
	the_sim = s;
	s->seed = seed;
	s->options = options(&d);
	limit_moves(&s->options, sim_dice(seed, 7));
	s->options.service[0].manual = ask_first(sim_dice(seed, 10));
	draw_others(&s->options, sim_dice(seed, 12));
	draw_kinds(&s->options, sim_dice(seed, 13));
	s->snapshot_threshold = 64u << sim_roll(&d, 4);
	s->calm = (struct sim_calm){ .hop_ms = 1, .jitter_ms = 1 };
	s->net = sim_dice(seed, 2);
	s->disk = sim_dice(seed, 3);
	s->raft = sim_dice(seed, 4);
	s->clock = sim_dice(seed, 5);
	s->w = w_new(&s->options, NULL);
	tighten(s, &d);
	sim_draw_runbook(s);
	set_clocks(s);
	s->stands = sim_dice(seed, 9);
	s->weather = (struct w_weather){ .hop = hop, .disk = disk, .fails = disk_fails, .stands = disk_stands, .arg = s };
	s->w->weather = &s->weather;
	sim_raft_open(s);
}

static void close_sim(struct sim *s)
{
	for (uint32_t i = 0; i < W_MEMBERS_MAX; i++)
		dr_free(s->own[i].wal);
	w_free(s->w);
	sim_raft_close(s);
	the_sim = NULL;
}

/* ---- coverage: fault x step of the open plan x role of whom it met */

static const char *const role_names[SIM_ROLES] = { "primary or leader", "candidate", "other", "nobody" };

size_t sim_coverage_size(void)
{
	return (size_t)sim_fault_kinds() * (STEP_IDLE + 1) * SIM_ROLES;
}

static uint32_t *cell(uint32_t *coverage, uint32_t kind, uint32_t step, uint32_t role)
{
	return &coverage[(kind * (STEP_IDLE + 1) + step) * SIM_ROLES + role];
}

/* That of the member; else the first that has a plan. */
static uint32_t service_met(struct world *w, const struct sim_fault *f)
{
	if (sim_fault_whom(f->kind) == SIM_WHOM_MEMBER)
		return w->m[f->a].service;
	for (uint32_t i = 0; i < w->services; i++) {
		const struct dr_service *v = w_repl(w, i);
		if (v != NULL && v->plan.id != 0)
			return i;
	}
	return 0;
}

static void cover(const struct sim *s, const struct sim_fault *f, uint32_t *coverage)
{
	const struct dr_service *v = w_repl(s->w, service_met(s->w, f));
	uint32_t step = v != NULL && v->plan.id != 0 ? (uint32_t)v->plan.step[v->plan.at] : STEP_IDLE;
	uint32_t role = 2;
	switch (sim_fault_whom(f->kind)) {
	case SIM_WHOM_ANY: role = 3; break;
	case SIM_WHOM_COORD: role = s->w->leader == (int)f->a ? 0 : 2; break;
	case SIM_WHOM_SITE: break;
	default:
		if (v != NULL && v->holder == s->w->m[f->a].ix)
			role = 0;
		else if (v != NULL && v->plan.id != 0 && v->plan.candidate == s->w->m[f->a].ix)
			role = 1;
		break;
	}
	(void)__atomic_add_fetch(cell(coverage, f->kind, step, role), 1, __ATOMIC_RELAXED); /* other jobs count too */
}

void sim_coverage_print(FILE *f, const uint32_t *coverage)
{
	uint32_t met = 0, all = 0;
	(void)fprintf(f, "faults met at each step of the open plan (%s / %s / %s / %s)\n", role_names[0],
		      role_names[1], role_names[2], role_names[3]);
	for (uint32_t kind = 0; kind < sim_fault_kinds(); kind++) {
		(void)fprintf(f, "%-13s", sim_fault_name(kind));
		for (uint32_t step = 0; step <= STEP_IDLE; step++) {
			uint32_t n[SIM_ROLES], sum = 0;
			for (uint32_t r = 0; r < SIM_ROLES; r++)
				sum += n[r] = *cell((uint32_t *)(uintptr_t)coverage, kind, step, r);
			if (step != STEP_IDLE && dr_step_row((enum dr_step)step) == NULL)
				continue;
			all++;
			met += sum != 0 ? 1u : 0u;
			if (sum != 0)
				(void)fprintf(f, " %s=%u/%u/%u/%u",
					      step == STEP_IDLE ? "idle" : dr_step_name((enum dr_step)step), n[0],
					      n[1], n[2], n[3]);
		}
		(void)fputc('\n', f);
	}
	(void)fprintf(f, "%u of %u pairs of fault and step were met\n", met, all);
}

/* ---- the run */

static void break_off(enum sim_broken how, uint64_t seed, uint32_t fault)
{
	bool here = seed % 4 == 3 && fault == 5;
	dr_assert(!here || how != SIM_BROKEN_ASSERT);
	if (here && how == SIM_BROKEN_SIGNAL)
		(void)raise(SIGKILL);
}

static void hurt(struct sim *s, const struct sim_how *how)
{
	struct world *w = s->w;
	uint64_t until = w->now + how->ms;
	sim_faults_draw(s, w->now, how->ms);
	sim_faults_begin(s);
	sim_seats_begin(s);
	if (how->drawn != NULL)
		*how->drawn = s->faults;
	for (uint32_t i = 0; i < s->faults && w->violations == 0; i++) {
		const struct sim_fault *f = &s->fault[i];
		char text[128];
		w_run(w, f->at_ms - w->now);
		if (w->violations != 0 || (how->left_out != NULL && how->left_out[i]))
			continue;
		sim_fault_text(s, f, text, sizeof(text));
		w_say(w, "fault %u: %s", i, text);
		if (how->coverage != NULL)
			cover(s, f, how->coverage);
		break_off(how->broken, s->seed, i);
		sim_fault_do(s, f);
	}
	if (w->violations == 0)
		w_run(w, until - w->now);
}

static bool recovers(struct sim *s, char *why, size_t cap)
{
	struct world *w = s->w;
	w_say(w, "everything is started and joined again");
	sim_heal(s);
	for (uint32_t i = 0; i < HEAL_S && w->violations == 0; i++) {
		w_run(w, 1000);
		if (i % OPERATOR_EVERY_S == OPERATOR_EVERY_S - 1)
			sim_operator_looks(s);
		if (i > SETTLED_S && !sim_seats_filled(s)) {
			(void)snprintf(why, cap, "a coordinator is not back");
		} else if (i > SETTLED_S && w_healthy(w, why, cap)) {
			w_check_kept(w);
			return w->violations == 0;
		}
	}
	return false;
}

static void introduce(const struct sim *s)
{
	struct world *w = s->w;
	const struct w_options *o = &s->options;
	w_say(w, "seed %llu: coordinators=%u %s%s", (unsigned long long)s->seed, o->coordinators, o->profile,
	      s->bad_clocks ? ", clocks outside their bound" : "");
	for (uint32_t i = 0; i < o->services; i++) {
		const struct w_service_options *v = &o->service[i];
		w_say(w, "%s: %s %s members=%u in=%s%s group=%u k=%u set=%u when_alone=%s%s%s", w->service[i].name.s,
		      dr_kind_name(v->kind), dr_durability_name(v->durability), v->members, w->spec.site[v->shift].name.s,
		      v->at_home ? ", all of them" : "", v->group, v->k, v->set_max, dr_when_alone_name(v->when_alone),
		      v->no_heirs ? " others' priority=0" : "", v->manual ? " auto_failover=false" : "");
		if (v->pooler)
			w_say(w, "%s: a pooler holds its clients", w->service[i].name.s);
		if (v->kind == DR_KIND_REDIS)
			w_say(w, "%s: a crash loses %u rows at most, a power cut %u", w->service[i].name.s, v->crash_loses,
			      v->power_loses);
	}
	if (o->automatic_moves != 0)
		w_say(w, "limits: automatic_moves=%u within=%u", o->automatic_moves, o->moves_within_ms);
}

struct sim_result sim_run(uint64_t seed, const struct sim_how *how)
{
	static struct sim s;
	struct sim_result r = { .seed = seed };
	open_sim(&s, seed);
	w_start(s.w);
	if (!w_adopt(s.w)) {
		(void)snprintf(r.why, sizeof(r.why), "not adopted");
	} else {
		memcpy(s.service, s.w->service, sizeof(s.service));
		s.spec = s.w->spec;
		s.w->out = how->out;
		introduce(&s);
		hurt(&s, how);
		r.fine = s.w->violations == 0 && recovers(&s, r.why, sizeof(r.why));
	}
	if (s.w->violations != 0)
		(void)snprintf(r.why, sizeof(r.why), "%s", s.w->first_violation);
	r.violations = s.w->violations;
	r.faults = s.faults;
	r.virtual_ms = s.w->now;
	r.events = s.w->seq;
	r.reads = s.w->seen.reads;
	r.vanished = s.w->seen.vanished;
	r.words = s.w->seen.words;
	close_sim(&s);
	return r;
}
