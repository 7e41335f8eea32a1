/* faults.c -- what goes wrong, when, and that it ends.
 *
 * All faults of a seed are drawn before it begins, so that some can be left out (--minimize) while the rest stay as
 * they are.  Whatever lasts has an end in `until`; a look every 10 ms ends it. */
#include <string.h>

#include "base/assert.h"
#include "tests/sim/sim.h"

enum { LOOK_MS = 10, FIRST_MS = 200, OUT_FIRST_MS = 400, SLOWEST_MS = 5000 };
enum { /* bits of ISOLATE */
	ISOLATE_HANGS = 1,
	ISOLATE_LEADER = SIM_ISOLATE_LEADER,
	ISOLATE_TTL = 4,
	ISOLATE_SPEC = 8, /* with ISOLATE_TTL: a quarter of them */
	ISOLATE_STORM = 16,
	ISOLATE_SLOW = 32,
	ISOLATE_WALL = 64,
	ISOLATE_OUT_FIRST = 128, /* what it says is lost a while before what it hears */
	ISOLATE_ALL = 256
};

enum kind {
#define SIM_FAULT(NAME, weight, whom, least, most, what) FAULT_##NAME,
#include "tests/sim/faults.def"
#undef SIM_FAULT
	FAULT_MAX,
	FAULT_OWN_DICE = FAULT_DAMAGE_COORD,
	FAULT_LATER = FAULT_SLOW_SERVER,
	FAULT_SITES = FAULT_SITE_PLAN,
	FAULT_DATA = FAULT_SWAP_DATA,
	FAULT_KINDS = FAULT_POOLER,
	FAULT_SETTINGS = FAULT_UNDO_SYNC
};

static const struct {
	const char *name;
	uint32_t weight;
	enum sim_whom whom;
	uint32_t least, most;
} rows[FAULT_MAX] = {
#define SIM_FAULT(NAME, weight, whom, least, most, what) { #NAME, weight, SIM_WHOM_##whom, least, most },
#include "tests/sim/faults.def"
#undef SIM_FAULT
};

const char *sim_fault_name(uint32_t kind)
{
	return kind < FAULT_MAX ? rows[kind].name : "?";
}

enum sim_whom sim_fault_whom(uint32_t kind)
{
	return rows[kind].whom;
}

uint32_t sim_fault_kinds(void)
{
	return FAULT_MAX;
}

void sim_fault_text(const struct sim *s, const struct sim_fault *f, char *out, size_t cap)
{
	const struct world *w = s->w;
	const char *a = "", *b = "";
	switch (rows[f->kind].whom) {
	case SIM_WHOM_COORD: a = w->c[f->a].name; break;
	case SIM_WHOM_MEMBER: a = w_member_name(w, f->a); break;
	case SIM_WHOM_SITE:
		a = w->spec.site[f->a].name.s;
		b = f->kind == FAULT_CUT_WAY ? w->spec.site[f->b].name.s : "";
		break;
	default: break;
	}
	(void)snprintf(out, cap, "%s %s%s%s for %llu ms (%u)", rows[f->kind].name, a, b[0] != '\0' ? " to " : "", b,
		       (unsigned long long)f->ms, f->b);
}

/* A seed's own mix.  A third of the seeds takes the table's; where everything goes wrong at once, though, the one thing
 * that a bug needs is cut short by another (Groce et al., "Swarm Testing", 2012), so a third leaves half of the kinds
 * out and has some of the rest four times as often, and a third draws mostly what is aimed at leases and promises. */
static void draw_mix(struct sim_dice *d, uint32_t weight[FAULT_MAX])
{
	static const uint32_t factor[] = { 0, 0, 1, 4 };
	uint64_t mix = sim_roll(d, 3);
	for (uint32_t i = 0; i < FAULT_OWN_DICE; i++) {
		bool aimed = i == FAULT_ISOLATE || i == FAULT_OUTAGE;
		weight[i] = rows[i].weight * (mix == 0 ? factor[sim_roll(d, 4)] : mix == 1 && aimed ? 5 : 1);
	}
}

static uint32_t draw_kind(struct sim_dice *d, const uint32_t weight[FAULT_MAX])
{
	uint32_t all = 0;
	for (uint32_t i = 0; i < FAULT_MAX; i++)
		all += weight[i];
	uint64_t at = all > 0 ? sim_roll(d, all) : 0;
	for (uint32_t i = 0; i < FAULT_MAX; i++) {
		if (at < weight[i])
			return i;
		at -= weight[i];
	}
	return 0;
}

/* Short times are as likely as long ones: most races live among the short. */
static uint64_t draw_time(struct sim_dice *d, uint64_t least, uint64_t most)
{
	uint64_t top = most;
	if (most <= least)
		return least;
	for (uint64_t n = sim_roll(d, 4); n > 0 && top > 2 * least; n--)
		top /= 3;
	return top > least ? least + sim_roll(d, top - least) : least;
}

static void draw_fault(const struct world *w, struct sim_dice *d, const uint32_t weight[FAULT_MAX], struct sim_fault *f)
{
	f->kind = draw_kind(d, weight);
	f->ms = draw_time(d, rows[f->kind].least, rows[f->kind].most);
	uint32_t of = rows[f->kind].whom == SIM_WHOM_COORD  ? w->coords
		      : rows[f->kind].whom == SIM_WHOM_SITE ? w->sites
							    : w->members;
	f->a = (uint32_t)sim_roll(d, of);
	f->b = rows[f->kind].whom == SIM_WHOM_SITE ? (uint32_t)sim_roll(d, w->sites) : (uint32_t)sim_roll(d, 1000000);
}

/* In order of time, behind those of the same. */
static void insert(struct sim *s, const struct sim_fault *f)
{
	uint32_t at = s->faults++;
	for (; at > 0 && s->fault[at - 1].at_ms > f->at_ms; at--)
		s->fault[at] = s->fault[at - 1];
	s->fault[at] = *f;
}

/* Kinds with dice of their own; often: all of them, and soon. */
static void draw_own(struct sim *s, struct sim_dice d, uint32_t first, uint32_t end, uint64_t from_ms, uint64_t ms, bool often)
{
	uint32_t weight[FAULT_MAX] = { 0 };
	uint64_t mean = 3000 + sim_roll(&d, often ? 5000 : 20000);
	bool any = sim_roll(&d, 2) == 0 || often;
	for (uint32_t i = first; i < end; i++)
		weight[i] = sim_roll(&d, 3) == 0 && !often ? 0 : rows[i].weight;
	for (uint64_t at = from_ms + FIRST_MS; any && s->faults < SIM_FAULTS_MAX;) {
		at += draw_time(&d, 1, 2 * mean);
		struct sim_fault f = { .at_ms = at };
		if (at >= from_ms + ms)
			return;
		draw_fault(s->w, &d, weight, &f);
		if (f.kind >= first)
			insert(s, &f);
	}
}

void sim_faults_draw(struct sim *s, uint64_t from_ms, uint64_t ms)
{
	struct sim_dice d = sim_dice(s->seed, 1);
	uint32_t weight[FAULT_MAX] = { 0 };
	draw_mix(&d, weight);
	uint64_t mean = 300 + sim_roll(&d, 4000), at = from_ms + FIRST_MS;
	while (s->faults < SIM_FAULTS_MAX) {
		at += draw_time(&d, 1, 2 * mean);
		if (at >= from_ms + ms)
			break;
		struct sim_fault *f = &s->fault[s->faults++];
		f->at_ms = at;
		draw_fault(s->w, &d, weight, f);
	}
	/* What harms storage and membership: in half of the seeds, seldom enough that who was taken out is back for the
	 * next.  And in another half what makes servers and agents' disks ill, and people who take it upon themselves. */
	draw_own(s, sim_dice(s->seed, 6), FAULT_OWN_DICE, FAULT_LATER, from_ms, ms, false);
	draw_own(s, sim_dice(s->seed, 8), FAULT_LATER, FAULT_SITES, from_ms, ms, false);
	draw_own(s, sim_dice(s->seed, 11), FAULT_SITES, FAULT_DATA, from_ms, ms, s->w->services > 1);
	draw_own(s, sim_dice(s->seed, 17), FAULT_DATA, FAULT_KINDS, from_ms, ms, false);
	draw_own(s, sim_dice(s->seed, 15), FAULT_KINDS, FAULT_SETTINGS, from_ms, ms, false);
	draw_own(s, sim_dice(s->seed, 19), FAULT_SETTINGS, FAULT_MAX, from_ms, ms, false);
}

void sim_extend(uint64_t *until, uint64_t to)
{
	if (*until < to)
		*until = to;
}

static void storm(struct sim *s, uint32_t jitter, uint32_t lose, uint32_t again, uint64_t until)
{
	s->calm.jitter_ms = jitter;
	s->calm.lose = lose;
	s->calm.again = again;
	sim_extend(&s->until.storm, until);
}

/* ---- one fault */

void sim_kill_node(struct sim *s, uint32_t m, uint64_t until, bool power)
{
	struct world *w = s->w;
	w_node(w, m, false);
	if (power) {
		w->m[m].journal = w->m[m].flushed;
		w_kind_power_cut(w, m);
	}
	sim_extend(&s->until.node[m], until);
}

void sim_kill_coord(struct sim *s, uint32_t c, uint64_t until)
{
	w_coord_kill(s->w, c);
	sim_extend(&s->down_until[c], until);
}

static void kill_site(struct sim *s, uint32_t site, uint64_t until)
{
	for (uint32_t i = 0; i < s->w->coords; i++) {
		if (s->w->c[i].site == site)
			sim_kill_coord(s, i, until);
	}
	for (uint32_t i = 0; i < s->w->members; i++) {
		if (s->w->m[i].site == site)
			sim_kill_node(s, i, until, false);
	}
}

static void cut(struct sim *s, uint32_t a, uint32_t b, uint64_t until)
{
	s->w->cut[a][b] = true;
	sim_extend(&s->until.cut[a][b], until);
}

static void step_wall(struct sim *s, const struct sim_fault *f)
{
	struct world *w = s->w;
	int64_t by = (int64_t)(f->b % 20000) - 8000;
	w->m[f->a].clock.wall_ms += by;
	w->c[f->a % w->coords].clock.wall_ms += by;
	if (by <= (int64_t)w->spec.timing.fence_budget_ms || !w->m[f->a].alive || w_paused(w, w_proc(W_AGENT, f->a)))
		return;
	struct dr_agent_event ev = { .kind = DR_AG_CLOCK_JUMPED };
	w_agent_event(w, f->a, &ev);
}

void sim_cut_site(struct sim *s, uint32_t site, uint64_t until)
{
	for (uint32_t i = 0; i < s->w->sites; i++) {
		if (i == site)
			continue;
		cut(s, site, i, until);
		cut(s, i, site, until);
	}
}

/* The primary's site is cut off now. */
void sim_isolate_now(struct world *w, struct w_timer *t)
{
	struct sim *s = sim_of(w);
	const struct dr_service *v = w_repl(w, t->service);
	uint64_t until = w->now + t->u;
	uint32_t holder = v != NULL ? w_member_at(&w->s[t->service], v->holder) : W_MEMBERS_MAX;
	if (holder >= w->members)
		return;
	uint32_t site = w->m[holder].site;
	w_say(w, "%s is cut off", w_member_name(w, holder));
	for (uint32_t i = 0; i < w->sites; i++) {
		if (i == site)
			continue;
		cut(s, site, i, until);
		if ((t->a & ISOLATE_OUT_FIRST) == 0)
			cut(s, i, site, until);
	}
	w_cut_changed(w);
	if ((t->a & ISOLATE_OUT_FIRST) != 0) {
		struct w_timer *again = w_after(w, OUT_FIRST_MS, sim_isolate_now);
		again->service = t->service;
		again->a = t->a & ~(uint32_t)ISOLATE_OUT_FIRST;
		again->u = t->u;
		return;
	}
	if ((t->a & ISOLATE_HANGS) != 0)
		w_pause(w, w_proc(W_AGENT, holder), t->u);
	for (uint32_t i = 0; (t->a & ISOLATE_WALL) != 0 && i < w->coords; i++)
		w->c[i].clock.wall_ms += 1000;
	if ((t->a & ISOLATE_LEADER) != 0 && w->leader >= 0)
		sim_kill_coord(s, (uint32_t)w->leader, until);
}

/* Random faults seldom fall together in the one second in which a lease is all that keeps two primaries apart. */
static void isolate(struct sim *s, const struct sim_fault *f)
{
	uint32_t how = f->b % ISOLATE_ALL;
	if ((how & ISOLATE_STORM) != 0)
		storm(s, 400 + f->b / ISOLATE_ALL % 400, 0, 0, s->w->now + 600);
	for (uint32_t i = 0; (how & ISOLATE_SLOW) != 0 && i < s->w->coords; i++) {
		s->disks[w_proc(W_COORD, i)].slow_ms = 300;
		sim_extend(&s->until.slow[w_proc(W_COORD, i)], s->w->now + 1500);
	}
	if ((how & ISOLATE_TTL) != 0 && (how & ISOLATE_SPEC) != 0)
		sim_apply_spec(s, &(struct sim_fault){ .b = 0 });
	struct w_timer *t = w_after(s->w, 1 + f->b / ISOLATE_ALL % 700, sim_isolate_now);
	t->service = s->w->m[f->a].service;
	t->a = how;
	t->u = f->ms;
}

static void pause_host(struct sim *s, uint32_t m, uint64_t ms)
{
	w_server_paused(s->w, m);
	w_pause(s->w, w_proc(W_AGENT, m), ms);
	w_pause(s->w, w_proc(W_GUARD, m), ms);
	w_pause(s->w, w_proc(W_SERVER, m), ms);
}

/* What only the probes meet, or those who come anew, lets clients' writes go on. */
static void make_ill(struct sim *s, const struct sim_fault *f, uint64_t until)
{
	struct w_server *v = &s->w->m[f->a].server;
	v->failure = (enum dr_failure)(1 + f->b % (DR_FAILURE_MAX - 1));
	if (v->failure == DR_FAILURE_CONNECTIONS || v->failure == DR_FAILURE_PROBES_REFUSED)
		v->probes_fail = true;
	else
		v->acks_blocked = true;
	sim_extend(&s->until.hang[f->a], until);
}

static void hold_in_vain(struct sim *s, const struct sim_fault *f, uint64_t until)
{
	struct world *w = s->w;
	struct w_service *of = w_service_of(w, f->a);
	struct dr_request q = { .kind = DR_REQ_SWITCHOVER, .service = w->service[of->ix].name };
	if (!s->options.service[of->ix].pooler)
		return;
	of->hold_unanswered = true;
	sim_extend(&s->until.pooler[of->ix], until);
	dr_assert(dr_name_set(&q.actor, "anna"));
	(void)w_request(w, &q);
}

static void write_to_standby(struct sim *s, const struct sim_fault *f, uint64_t until)
{
	struct w_server *v = &s->w->m[f->a].server;
	if (!dr_kind_asks_to_ack(w_spec_of(s->w, f->a)->kind) || v->state != DR_SERVER_STANDBY)
		return;
	v->errant = 1 + f->b % 3;
	sim_extend(&s->until.errant[f->a], until);
}

static void do_member(struct sim *s, const struct sim_fault *f, uint64_t until)
{
	struct world *w = s->w;
	struct w_member *m = &w->m[f->a];
	uint32_t order = 1 + f->b % (DR_ORDER_MAX - 1);
	switch ((enum kind)f->kind) {
	case FAULT_KILL_SERVER:
		if (m->server.state != DR_SERVER_STOPPED)
			w_server_set(w, f->a, DR_SERVER_STOPPED, true);
		break;
	case FAULT_KILL_AGENT: w_agent_kill(w, f->a); break;
	case FAULT_KILL_NODE: sim_kill_node(s, f->a, until, false); break;
	case FAULT_LOSE_NODE: sim_kill_node(s, f->a, until, true); break;
	case FAULT_KILL_GUARD:
		if (!m->guard)
			break;
		w_guard_kill(w, f->a);
		sim_extend(&s->until.guard[f->a], until);
		break;
	case FAULT_PAUSE_AGENT: w_pause(w, w_proc(W_AGENT, f->a), f->ms); break;
	case FAULT_PAUSE_HOST: pause_host(s, f->a, f->ms); break;
	case FAULT_HANG_SERVER:
		m->server.acks_blocked = true;
		m->server.failure = DR_FAILURE_NONE;
		sim_extend(&s->until.hang[f->a], until);
		break;
	case FAULT_HOLD_STANDBY:
		m->server.held = true;
		sim_extend(&s->until.hold[f->a], until);
		break;
	case FAULT_SLOW_DISK:
		s->disks[w_proc(W_AGENT, f->a)].slow_ms = 5 + f->b % 300;
		sim_extend(&s->until.slow[w_proc(W_AGENT, f->a)], until);
		break;
	case FAULT_LIE:
		m->lies = true;
		sim_extend(&s->until.lie[f->a], until);
		break;
	case FAULT_SLOW_SERVER:
		m->server.slow_ms = 20 + f->b % SLOWEST_MS;
		sim_extend(&s->until.slow_server[f->a], until);
		break;
	case FAULT_ILL_SERVER: make_ill(s, f, until); break;
	case FAULT_FULL_DISK:
		s->disks[w_proc(W_AGENT, f->a)].full = true;
		sim_extend(&s->until.full[w_proc(W_AGENT, f->a)], until);
		break;
	case FAULT_EIO_DISK: s->disks[w_proc(W_AGENT, f->a)].eio = true; break;
	case FAULT_ACCEPT_LOSS: sim_accept_loss(s, f); break;
	case FAULT_FAIL_ORDER: m->fail[order] = 1 + f->b / 16 % 3; break;
	case FAULT_HANG_ORDER:
		m->mute[order] = true;
		sim_extend(&s->until.mute[f->a], until);
		break;
	case FAULT_CLONE: m->divergence = f->b % 2 == 0 ? DR_DIVERGENCE_REWIND : DR_DIVERGENCE_CLONE; break;
	case FAULT_WALL_STEP: step_wall(s, f); break;
	case FAULT_REQUEST: sim_request(s, f); break;
	case FAULT_SITE_PLAN: sim_order_site(s, f); break;
	case FAULT_SPEC: sim_apply_spec(s, f); break;
	case FAULT_SWAP_DATA: sim_swap_data(s, f->a, until, f->b); break;
	case FAULT_ACKERS: sim_ackers(s, f); break;
	case FAULT_UNDO_SYNC: w_server_undo_sync(w, f->a); break;
	case FAULT_POOLER: hold_in_vain(s, f, until); break;
	case FAULT_ERRANT: write_to_standby(s, f, until); break;
	case FAULT_DAMAGE_AGENT: sim_damage_journal(s, f->a, until, f->b); break;
	case FAULT_MOVE_MEMBER: sim_move_member(w, &(struct w_timer){ .a = f->a, .b = 1, .u = f->ms }); break;
	default: dr_assert(false);
	}
}

void sim_fault_do(struct sim *s, const struct sim_fault *f)
{
	struct world *w = s->w;
	uint64_t until = w->now + f->ms;
	switch ((enum kind)f->kind) {
	case FAULT_CUT_SITE:
		sim_cut_site(s, f->a, until);
		w_cut_changed(w);
		break;
	case FAULT_DAMAGE_COORD: sim_damage_coord(s, f); break;
	case FAULT_REPLACE_LOG: sim_replace_log(s, f); break;
	case FAULT_POWER_COORD: sim_power_cut(s, f->a, until); break;
	case FAULT_MOVE_COORD:
		if (sim_seats_whole(s))
			sim_seat_leave(s, f->a, 0);
		break;
	case FAULT_CUT_WAY:
		if (f->a != f->b)
			cut(s, f->a, f->b, until);
		w_cut_changed(w);
		break;
	case FAULT_ISOLATE: isolate(s, f); break;
	case FAULT_OUTAGE: sim_outage(s, f); break;
	case FAULT_STORM: storm(s, 1 + f->b % 120, f->b / 128 % 300, f->b / 256 % 200, until); break;
	case FAULT_KILL_SITE: kill_site(s, f->a, until); break;
	case FAULT_KILL_COORD: sim_kill_coord(s, f->a, until); break;
	case FAULT_PAUSE_COORD: w_pause(w, w_proc(W_COORD, f->a), f->ms); break;
	case FAULT_SLOW_COORD:
		s->disks[w_proc(W_COORD, f->a)].slow_ms = 5 + f->b % 200;
		sim_extend(&s->until.slow[w_proc(W_COORD, f->a)], until);
		break;
	case FAULT_FULL_COORD:
		s->disks[w_proc(W_COORD, f->a)].full = true;
		sim_extend(&s->until.full[w_proc(W_COORD, f->a)], until);
		break;
	case FAULT_EIO_COORD: s->disks[w_proc(W_COORD, f->a)].eio = true; break;
	case FAULT_VOUCH: sim_vouch(s, f); break;
	case FAULT_TRANSFER:
		for (uint32_t i = 0; i < w->coords; i++) {
			if (!w_paused(w, w_proc(W_COORD, i)))
				sim_raft_transfer(s, i);
		}
		break;
	default: do_member(s, f, until); break;
	}
}

/* ---- and its end */

static bool over(const struct sim *s, uint64_t *until)
{
	if (*until == 0 || *until > s->w->now)
		return false;
	*until = 0;
	return true;
}

static void end_cuts(struct sim *s)
{
	bool changed = false;
	for (uint32_t a = 0; a < s->w->sites; a++) {
		for (uint32_t b = 0; b < s->w->sites; b++) {
			if (!over(s, &s->until.cut[a][b]))
				continue;
			s->w->cut[a][b] = false;
			changed = true;
		}
	}
	if (changed)
		w_cut_changed(s->w);
}

static void end_member(struct sim *s, uint32_t m)
{
	struct world *w = s->w;
	if (over(s, &s->until.node[m])) {
		if (sim_vouched(s, m))
			s->until.node[m] = w->now + LOOK_MS; /* nobody plugs it in again before the word has been used */
		else
			w_node(w, m, true);
	}
	if (over(s, &s->until.swap[m]))
		sim_swap_back(s, m);
	if (over(s, &s->until.guard[m]) && s->until.node[m] == 0)
		w_guard_back(w, m);
	if (over(s, &s->until.hang[m]))
		w->m[m].server.acks_blocked = w->m[m].server.probes_fail = false;
	if (over(s, &s->until.slow_server[m]))
		w->m[m].server.slow_ms = 0;
	if (over(s, &s->until.hold[m]))
		w->m[m].server.held = false;
	if (over(s, &s->until.renewals[m]))
		w->m[m].renewals_lost = false;
	if (over(s, &s->until.errant[m]))
		w->m[m].server.errant = 0;
	if (over(s, &s->until.lie[m]))
		w->m[m].lies = false;
	if (over(s, &s->until.mute[m]))
		memset(w->m[m].mute, 0, sizeof(w->m[m].mute));
}

static void look(struct world *w, struct w_timer *t)
{
	struct sim *s = sim_of(w);
	(void)t;
	end_cuts(s);
	if (over(s, &s->until.storm))
		s->calm = (struct sim_calm){ .hop_ms = s->calm.hop_ms, .jitter_ms = 1 };
	for (uint32_t i = 0; i < w->coords; i++) {
		if (over(s, &s->down_until[i]))
			w_coord_start(w, i);
	}
	for (uint32_t i = 0; i < w->members; i++)
		end_member(s, i);
	for (uint32_t i = 0; i < w->services; i++) {
		if (over(s, &s->until.pooler[i]))
			w->s[i].hold_unanswered = false;
	}
	for (uint32_t i = 0; i < W_PROCS; i++) {
		if (over(s, &s->until.slow[i]))
			s->disks[i].slow_ms = 0;
		if (over(s, &s->until.full[i]))
			s->disks[i].full = false;
	}
	(void)w_after(w, LOOK_MS, look);
}

void sim_faults_begin(struct sim *s)
{
	(void)w_after(s->w, LOOK_MS, look);
}

/* Everything ends now: what is down is started, what is cut is joined.  Who is paused goes on in his own time. */
void sim_heal(struct sim *s)
{
	uint64_t now = s->w->now;
	uint64_t *all = (uint64_t *)(void *)&s->until;
	for (size_t i = 0; i < sizeof(s->until) / sizeof(*all); i++)
		all[i] = all[i] != 0 ? now : 0;
	for (uint32_t i = 0; i < W_COORDS_MAX; i++)
		s->down_until[i] = s->down_until[i] != 0 ? now : 0;
	for (uint32_t i = 0; i < s->w->coords; i++)
		s->disks[w_proc(W_COORD, i)].eio = false;
	for (uint32_t i = 0; i < s->w->members; i++) {
		s->disks[w_proc(W_AGENT, i)].eio = false;
		memset(s->w->m[i].fail, 0, sizeof(s->w->m[i].fail));
	}
}
