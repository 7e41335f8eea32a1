/* faults.c -- what goes wrong, when, and that it ends.
 *
 * All faults of a seed are drawn before it begins, so that some can be left out (--minimize) while the rest stay as
 * they are.  Whatever lasts has an end in `until`; a look every 10 ms ends it. */
#include <string.h>

#include "base/assert.h"
#include "tests/sim/sim.h"

enum { LOOK_MS = 10, FIRST_MS = 200, OUT_FIRST_MS = 400, MOVE_TRIES = 300, MOVE_AGAIN_MS = 1000 };
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
	FAULT_OWN_DICE = FAULT_DAMAGE_COORD
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

/* What harms storage and membership: in half of the seeds, seldom enough that who was taken out is back for the next. */
static void draw_rare(struct sim *s, uint64_t from_ms, uint64_t ms)
{
	struct sim_dice d = sim_dice(s->seed, 6);
	uint32_t weight[FAULT_MAX] = { 0 };
	uint64_t mean = 3000 + sim_roll(&d, 20000);
	bool any = sim_roll(&d, 2) == 0;
	for (uint32_t i = FAULT_OWN_DICE; i < FAULT_MAX; i++)
		weight[i] = sim_roll(&d, 3) == 0 ? 0 : rows[i].weight;
	for (uint64_t at = from_ms + FIRST_MS; any && s->faults < SIM_FAULTS_MAX;) {
		at += draw_time(&d, 1, 2 * mean);
		struct sim_fault f = { .at_ms = at };
		if (at >= from_ms + ms)
			return;
		draw_fault(s->w, &d, weight, &f);
		if (f.kind >= FAULT_OWN_DICE)
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
	draw_rare(s, from_ms, ms);
}

void sim_extend(uint64_t *until, uint64_t to)
{
	if (*until < to)
		*until = to;
}

static void step_ttl(struct world *w)
{
	uint32_t *ttl = &w->spec.timing.ttl_ms;
	*ttl = *ttl == 3000 ? 1500 : *ttl == 1500 ? 3000 : 5000;
}

static void storm(struct sim *s, uint32_t jitter, uint32_t lose, uint32_t again, uint64_t until)
{
	s->calm.jitter_ms = jitter;
	s->calm.lose = lose;
	s->calm.again = again;
	sim_extend(&s->until.storm, until);
}

/* ---- what an operator does */

static void request(struct sim *s, const struct sim_fault *f)
{
	static const enum dr_request_kind kinds[] = { DR_REQ_FAILOVER, DR_REQ_SWITCHOVER, DR_REQ_SWITCHOVER,
						      DR_REQ_APPROVE,  DR_REQ_ABORT,	  DR_REQ_PAUSE,
						      DR_REQ_RESUME,   DR_REQ_FENCE,	  DR_REQ_UNFENCE,
						      DR_REQ_FAILOVER, DR_REQ_APPROVE };
	struct world *w = s->w;
	struct dr_request q = { .kind = kinds[f->b % 11], .force = f->b / 16 % 3 == 0 };
	const struct dr_service *v = w_repl(w);
	dr_assert(dr_name_set(&q.actor, "anna") && dr_name_set(&q.service, "orders"));
	if (f->b / 64 % 2 == 0)
		q.member = w->name[f->a];
	q.plan = v != NULL ? v->plan.id : 0;
	(void)w_request(w, &q);
}

/* One member at a time: two that come back might change places in the log, and here they are known by these. */
static bool somebody_out(const struct world *w)
{
	for (uint32_t i = 0; i < w->members; i++) {
		if (w->service.member[i].name.s[0] == '\0')
			return true;
	}
	return false;
}

static bool ask_apply(struct world *w)
{
	struct dr_request q = { .kind = DR_REQ_APPLY, .spec = w_spec_copy(w) };
	if (w->leader >= 0) /* it was made from the one in force */
		q.version = w->c[w->leader].core->repl.spec_version;
	dr_assert(dr_name_set(&q.actor, "anna"));
	return w_request(w, &q) == DR_REASON_NONE;
}

static void apply_spec(struct sim *s, const struct sim_fault *f)
{
	struct world *w = s->w;
	struct dr_spec spec = w->spec;
	struct dr_spec_service service = w->service;
	struct dr_spec_service *n = &w->service;
	uint32_t how = f->b % 7, value = f->b / 8;
	uint32_t last = w->members - 1;
	if (w->specs + SIM_SPECS_LEFT >= W_SPECS_MAX)
		return;
	switch (how) {
	case 0:
	case 1: step_ttl(w); break;
	case 2: n->sync_set_max = n->sync_k + value % 2; break;
	case 3: n->when_alone = value % 2 == 0 ? DR_ALONE_BLOCK : DR_ALONE_CONTINUE; break;
	case 4: n->member[f->a].priority = value % 3; break;
	case 5: n->cooldown_ms = value % 2 * 5000; break;
	default:
		if (n->member[last].name.s[0] == '\0')
			n->member[last].name = w->name[last];
		else if (last >= 2 && !somebody_out(w))
			memset(&n->member[last].name, 0, sizeof(n->member[last].name));
		break;
	}
	if (!ask_apply(w)) {
		w->spec = spec;
		w->service = service;
		w->spec.service = &w->service;
	}
}

/* A member leaves the spec (t->b: how often it was tried to find a plan open) or comes back into it (0). */
static void move_member(struct world *w, struct w_timer *t)
{
	struct dr_spec_member *m = &w->service.member[t->a];
	const struct dr_service *v = w_repl(w);
	struct w_timer *next;
	struct dr_name was = m->name;
	bool out = t->b != 0, open = v != NULL && v->plan.id != 0;
	if (w->specs + SIM_SPECS_LEFT >= W_SPECS_MAX || (out && somebody_out(w)))
		return;
	if (out && !open && t->b < MOVE_TRIES) {
		next = w_after(w, LOOK_MS, move_member);
		next->a = t->a;
		next->b = t->b + 1;
		next->u = t->u;
		return;
	}
	m->name = out ? (struct dr_name){ "" } : w->name[t->a];
	bool done = ask_apply(w);
	if (!done)
		m->name = was;
	if (out && !done)
		return;
	next = out || !done ? w_after(w, out ? t->u : MOVE_AGAIN_MS, move_member) : NULL;
	if (next != NULL)
		next->a = t->a;
}

/* ---- one fault */

void sim_kill_node(struct sim *s, uint32_t m, uint64_t until, bool power)
{
	struct world *w = s->w;
	w_node(w, m, false);
	if (power)
		w->m[m].journal = w->m[m].flushed;
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
	const struct dr_service *v = w_repl(w);
	uint64_t until = w->now + t->u;
	if (v == NULL || v->holder >= w->members)
		return;
	uint32_t site = w->m[v->holder].site;
	w_say(w, "%s is cut off", w_member_name(w, v->holder));
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
		again->a = t->a & ~(uint32_t)ISOLATE_OUT_FIRST;
		again->u = t->u;
		return;
	}
	if ((t->a & ISOLATE_HANGS) != 0)
		w_pause(w, w_proc(W_AGENT, v->holder), t->u);
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
		apply_spec(s, &(struct sim_fault){ .b = 0 });
	struct w_timer *t = w_after(s->w, 1 + f->b / ISOLATE_ALL % 700, sim_isolate_now);
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
	case FAULT_FAIL_ORDER: m->fail[order] = 1 + f->b / 16 % 3; break;
	case FAULT_HANG_ORDER:
		m->mute[order] = true;
		sim_extend(&s->until.mute[f->a], until);
		break;
	case FAULT_CLONE: m->divergence = f->b % 2 == 0 ? DR_DIVERGENCE_REWIND : DR_DIVERGENCE_CLONE; break;
	case FAULT_WALL_STEP: step_wall(s, f); break;
	case FAULT_REQUEST: request(s, f); break;
	case FAULT_SPEC: apply_spec(s, f); break;
	case FAULT_DAMAGE_AGENT: sim_damage_journal(s, f->a, until, f->b); break;
	case FAULT_MOVE_MEMBER: move_member(w, &(struct w_timer){ .a = f->a, .b = 1, .u = f->ms }); break;
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
	if (over(s, &s->until.node[m]))
		w_node(w, m, true);
	if (over(s, &s->until.guard[m]) && s->until.node[m] == 0)
		w_guard_back(w, m);
	if (over(s, &s->until.hang[m]))
		w->m[m].server.acks_blocked = false;
	if (over(s, &s->until.hold[m]))
		w->m[m].server.held = false;
	if (over(s, &s->until.renewals[m]))
		w->m[m].renewals_lost = false;
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
	for (uint32_t i = 0; i < s->w->members; i++)
		memset(s->w->m[i].fail, 0, sizeof(s->w->m[i].fail));
}
