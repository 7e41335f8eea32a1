/* world.c -- time, network and the making of a cluster (world.h). */
#include "tests/world/world.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"

static const char site_letter[] = "abcdefgh";

void w_say(struct world *w, const char *fmt, ...)
{
	if (w->out == NULL)
		return;
	va_list ap;
	va_start(ap, fmt);
	(void)fprintf(w->out, "\t%6llu ", (unsigned long long)w->now);
	(void)vfprintf(w->out, fmt, ap);
	(void)fputc('\n', w->out);
	va_end(ap);
}

/* ---- timers: a heap of their places, so that a pointer to one stays good until it has run */

static bool sooner(const struct world *w, uint32_t x, uint32_t than)
{
	const struct w_timer *a = &w->timer[w->timer_at[x]], *b = &w->timer[w->timer_at[than]];
	return a->at < b->at || (a->at == b->at && a->seq < b->seq);
}

static void swap(struct world *w, uint32_t x, uint32_t y)
{
	uint32_t was = w->timer_at[x];
	w->timer_at[x] = w->timer_at[y];
	w->timer_at[y] = was;
}

/* The place that it has from now on is filled anew, and takes its turn by its time and number. */
static struct w_timer *timer_in(struct world *w, const struct w_timer *t)
{
	dr_assert(w->timers < W_TIMERS_MAX);
	uint32_t i = w->timers++;
	struct w_timer *place = &w->timer[w->timer_at[i]];
	*place = *t;
	for (; i > 0 && sooner(w, i, (i - 1) / 2); i = (i - 1) / 2)
		swap(w, i, (i - 1) / 2);
	return place;
}

static struct w_timer timer_out(struct world *w)
{
	struct w_timer t = w->timer[w->timer_at[0]];
	swap(w, 0, --w->timers);
	for (uint32_t i = 0, next; (next = 2 * i + 1) < w->timers; i = next) {
		if (next + 1 < w->timers && sooner(w, next + 1, next))
			next++;
		if (!sooner(w, next, i))
			break;
		swap(w, i, next);
	}
	return t;
}

struct w_timer *w_after(struct world *w, uint64_t ms, void (*run)(struct world *, struct w_timer *))
{
	return timer_in(w, &(struct w_timer){ .at = w->now + ms, .seq = ++w->seq, .run = run, .from = -1, .to = -1,
					      .proc = W_NOBODY });
}

struct w_timer *w_after_first(struct world *w, uint64_t ms, void (*run)(struct world *, struct w_timer *))
{
	++w->seq;
	return timer_in(w, &(struct w_timer){ .at = w->now + ms, .run = run, .from = -1, .to = -1, .proc = W_NOBODY });
}

bool w_reaches(const struct world *w, uint32_t from, uint32_t to)
{
	return from == to || !w->cut[from][to];
}

/* A message: lost when the way is cut now or when it would arrive. */
struct w_timer *w_send(struct world *w, uint32_t from, uint32_t to, uint32_t proc,
		       void (*run)(struct world *, struct w_timer *))
{
	uint32_t again = 0, ms = W_HOP_MS;
	if (w->weather != NULL && from != to)
		ms = w->weather->hop(w->weather->arg, from, to, &again);
	struct w_timer *t = w_after(w, ms == UINT32_MAX ? 0 : ms, run);
	t->from = (int)from;
	t->to = (int)to;
	t->proc = proc;
	t->again = again;
	if (!w_reaches(w, from, to) || ms == UINT32_MAX)
		t->run = NULL;
	return t;
}

bool w_paused(const struct world *w, uint32_t proc)
{
	return w->now < w->paused_until[proc];
}

void w_pause(struct world *w, uint32_t proc, uint64_t ms)
{
	if (w->paused_until[proc] < w->now + ms)
		w->paused_until[proc] = w->now + ms;
}

uint64_t w_clock(const struct world *w, const struct w_clock *c)
{
	int64_t drift = (int64_t)w->now * c->ppm / 1000000;
	return c->offset_ms + (uint64_t)((int64_t)w->now + drift);
}

uint64_t w_until(const struct world *w, const struct w_clock *c, uint64_t at, uint64_t least)
{
	uint64_t now = w_clock(w, c);
	if (at <= now + least)
		return least;
	/* Rounded up, and one more for the division in w_clock. */
	uint64_t ms = (at - now) * 1000000 / (uint64_t)(1000000 + c->ppm);
	return c->ppm == 0 ? ms : ms + 2;
}

/* The same message a second time. */
static void copy_arrives(struct world *w, struct w_timer *t)
{
	struct w_timer *c = w_after(w, t->again, t->run);
	uint64_t at = c->at, seq = c->seq;
	*c = *t;
	c->at = at;
	c->seq = seq;
	c->again = 0;
	if (t->data != NULL) {
		c->data = dr_xcalloc(t->size);
		memcpy(c->data, t->data, t->size);
	}
}

void w_run(struct world *w, uint64_t ms)
{
	uint64_t until = w->now + ms;
	while (w->timers > 0 && w->timer[w->timer_at[0]].at <= until) {
		struct w_timer t = timer_out(w);
		w->now = t.at;
		if (w_paused(w, t.proc)) {
			t.at = w->paused_until[t.proc];
			(void)timer_in(w, &t);
			continue;
		}
		if (t.again != 0)
			copy_arrives(w, &t);
		bool lost = t.run == NULL || (t.from >= 0 && !w_reaches(w, (uint32_t)t.from, (uint32_t)t.to));
		if (!lost) {
			t.run(w, &t);
			w_check(w);
		}
		dr_free(t.data);
	}
	w->now = until;
}

uint32_t w_site_find(const struct world *w, const char *name)
{
	for (uint32_t i = 0; i < w->sites; i++) {
		if (dr_name_is(&w->spec.site[i].name, name))
			return i;
	}
	return UINT32_MAX;
}

const char *w_member_name(const struct world *w, uint32_t m)
{
	return m < w->members ? w->m[m].name.s : "-";
}

uint32_t w_member_find(const struct world *w, const char *name)
{
	for (uint32_t i = 0; i < w->members; i++) {
		if (strcmp(w_member_name(w, i), name) == 0)
			return i;
	}
	return UINT32_MAX;
}

uint32_t w_coord_find(const struct world *w, const char *name)
{
	for (uint32_t i = 0; i < w->coords; i++) {
		if (strcmp(w->c[i].name, name) == 0)
			return i;
	}
	return UINT32_MAX;
}

void w_cut(struct world *w, uint32_t site, bool on)
{
	for (uint32_t i = 0; i < w->sites; i++) {
		if (i != site)
			w->cut[site][i] = w->cut[i][site] = on;
	}
}

void w_cut_changed(struct world *w)
{
	for (uint32_t i = 0; i < w->coords; i++)
		memset(w->c[i].sent, 0, sizeof(w->c[i].sent));
	for (uint32_t i = 0; i < w->members; i++) {
		struct w_member *m = &w->m[i];
		if (m->leader >= 0 && !w_reaches(w, m->site, w->c[m->leader].site))
			m->leader = -1;
	}
	w_leader_lost(w);
}

void w_node(struct world *w, uint32_t m, bool up)
{
	if (up) {
		w->m[m].guard = true;
		if (w->m[m].alive) {
			struct dr_agent_event ev = { .kind = DR_AG_GUARD, .alive = true };
			w_agent_event(w, m, &ev);
		}
		w_agent_start(w, m);
		return;
	}
	w_guard_kill(w, m);
	w_agent_kill(w, m);
	if (w->m[m].server.state != DR_SERVER_STOPPED)
		w_server_set(w, m, DR_SERVER_STOPPED, true);
}

static void name_set(struct dr_name *n, const char *prefix, uint32_t i)
{
	char text[16];
	(void)snprintf(text, sizeof(text), "%s%c", prefix, site_letter[i]);
	dr_assert(dr_name_set(n, text));
}

struct w_options w_defaults(void)
{
	struct w_options o = { .coordinators = 3, .profile = "metro", .services = 1 };
	for (uint32_t i = 0; i < W_SERVICES_MAX; i++)
		o.service[i] = (struct w_service_options){ .members = 3,
							   .kind = DR_KIND_POSTGRES,
							   .durability = DR_DURABILITY_SYNC,
							   .k = 1,
							   .set_max = 1,
							   .route = true,
							   .rpo = 16 << 20,
							   .cooldown_ms = 30000,
							   .restart_within_ms = 10000,
							   .alone_after_ms = 5000 };
	return o;
}

/* What services, their members and agents are called. */
static const struct {
	const char *service, *member, *agent;
} names[W_SERVICES_MAX] = { { "orders", "pg-", "agent-" },
			    { "stock", "st-", "agent-st-" },
			    { "carts", "ca-", "agent-ca-" },
			    { "news", "ne-", "agent-ne-" } };

const char *w_service_name(uint32_t service)
{
	return names[service].service;
}

uint32_t w_service_find(const struct world *w, const char *name)
{
	uint32_t i = 0;
	while (i < w->services && !dr_name_is(&w->service[i].name, name))
		i++;
	return i;
}

const char *w_primary_name(struct world *w, uint32_t service)
{
	const struct dr_service *v = w_repl(w, service);
	bool there = v != NULL && v->primary_epoch == v->epoch;
	return there ? w_member_name(w, w_member_at(&w->s[service], v->holder)) : "-";
}

static void make_member(struct world *w, struct w_service *of, const struct w_service_options *o, dr_member_ix i)
{
	struct dr_spec_member *m = &w->service[of->ix].member[i];
	struct w_member *x = &w->m[w_member_at(of, i)];
	uint32_t site = (o->shift + (o->at_home ? 0 : i)) % w->sites;
	name_set(&m->name, names[of->ix].member, i);
	m->site = w->spec.site[site].name;
	name_set(&m->agent, names[of->ix].agent, i);
	(void)snprintf(m->address.host, sizeof(m->address.host), "10.%u.%u.20", i + 1, of->ix);
	m->address.port = 5432;
	m->priority = i > 0 && o->no_heirs ? 0 : i + 1;
	x->service = of->ix;
	x->ix = i;
	x->name = m->name;
	x->address = m->address;
	x->site = site;
}

static void make_service(struct world *w, uint32_t ix, const struct w_service_options *o)
{
	struct dr_spec_service *s = &w->service[ix];
	struct w_service *of = &w->s[ix];
	*of = (struct w_service){ .ix = ix, .first = w->members, .members = o->members };
	of->acked = dr_xcalloc(W_WAL_MAX);
	of->seen.acked = dr_xcalloc(W_WAL_MAX * sizeof(*of->seen.acked));
	of->seen.shown = dr_xcalloc(W_WAL_MAX);
	of->crash_loses = o->crash_loses;
	of->power_loses = o->power_loses;
	of->seen.row_epoch = dr_xcalloc(W_WAL_MAX * sizeof(*of->seen.row_epoch));
	w->members += o->members;
	dr_assert(o->members <= DR_MEMBERS_MAX && w->members <= W_MEMBERS_MAX);
	dr_assert(dr_name_set(&s->name, names[ix].service));
	s->kind = o->kind;
	s->group = o->group;
	s->auto_failover = !o->manual;
	s->durability = o->durability;
	s->sync_k = o->k;
	s->sync_set_max = o->set_max;
	s->when_alone = o->when_alone;
	s->alone_after_ms = o->alone_after_ms;
	s->rpo_bytes = o->rpo;
	s->cooldown_ms = o->cooldown_ms;
	s->restart_within_ms = o->restart_within_ms;
	for (uint32_t i = 0; i < o->members; i++)
		make_member(w, of, o, (dr_member_ix)i);
	if (o->route) {
		s->route[0].kind = DR_ROUTE_DNS_RFC2136;
		dr_assert(dr_name_set(&s->route[0].name, "dns"));
		s->route[0].servers = 2;
	}
	if (o->pooler) {
		s->route[1].kind = DR_ROUTE_PGBOUNCER;
		dr_assert(dr_name_set(&s->route[1].name, "pool"));
		s->route[1].servers = 1;
	}
}

struct world *w_new(const struct w_options *o, FILE *out)
{
	struct world *w = dr_xcalloc(sizeof(*w));
	dr_assert(o->coordinators <= W_COORDS_MAX && o->services <= W_SERVICES_MAX);
	w->out = out;
	w->now = 1000;
	w->wall0 = 1800000000000u;
	w->coords = o->coordinators;
	w->services = o->services;
	w->sites = o->coordinators;
	w->leader = w->prefer = -1;
	w->elect_ms = 450;
	w->commit_ms = W_COMMIT_MS;
	w->step_down_ms = 700;
	for (uint32_t i = 0; i < W_TIMERS_MAX; i++)
		w->timer_at[i] = i;
	w->log = dr_xcalloc(W_LOG_MAX * sizeof(*w->log));
	w->seen.entry = dr_xcalloc(W_ENTRIES_SEEN * sizeof(*w->seen.entry));
	w->seen.event = dr_xcalloc(W_EVENTS_SEEN * sizeof(*w->seen.event));
	w->decision = dr_xcalloc(sizeof(*w->decision));
	dr_assert(dr_name_set(&w->spec.cluster, "demo"));
	dr_assert(dr_timing_profile(o->profile) != NULL);
	w->spec.timing = *dr_timing_profile(o->profile);
	w->spec.limits = (struct dr_limits){ .automatic_moves = o->automatic_moves, .within_ms = o->moves_within_ms };
	w->spec.sites = w->sites;
	w->spec.services = w->services;
	w->spec.service = w->service;
	for (uint32_t i = 0; i < w->sites; i++) {
		name_set(&w->spec.site[i].name, "az-", i);
		dr_assert(dr_name_set(&w->spec.site[i].region, "north"));
	}
	for (uint32_t i = 0; i < w->services; i++)
		make_service(w, i, &o->service[i]);
	return w;
}

const struct dr_spec *w_spec_copy(struct world *w)
{
	struct {
		struct dr_spec spec;
		struct dr_spec_service service[];
	} *copy = dr_xcalloc(sizeof(*copy) + w->services * sizeof(w->service[0]));
	dr_assert(w->specs < W_SPECS_MAX);
	copy->spec = w->spec;
	memcpy(copy->service, w->service, w->services * sizeof(w->service[0]));
	copy->spec.service = copy->service;
	w->applied[w->specs++] = &copy->spec;
	return &copy->spec;
}

void w_free(struct world *w)
{
	for (uint32_t i = 0; i < w->specs; i++)
		dr_free(w->applied[i]);
	for (uint32_t i = 0; i < w->coords; i++)
		w_coord_kill(w, i);
	for (uint32_t i = 0; i < w->members; i++)
		dr_free(w->m[i].server.wal);
	for (uint32_t i = 0; i < w->timers; i++)
		dr_free(w->timer[w->timer_at[i]].data);
	for (uint32_t i = 0; i < w->services; i++) {
		dr_free(w->s[i].acked);
		dr_free(w->s[i].seen.row_epoch);
		dr_free(w->s[i].seen.acked);
		dr_free(w->s[i].seen.shown);
	}
	dr_free(w->log);
	dr_free(w->seen.entry);
	dr_free(w->seen.event);
	dr_free(w->decision);
	dr_free(w);
}

static void write_tick(struct world *w, struct w_timer *t)
{
	(void)t;
	w_replicate(w);
	w_after(w, 5, write_tick);
}

void w_start(struct world *w)
{
	for (uint32_t i = 0; i < w->coords; i++) {
		(void)snprintf(w->c[i].name, sizeof(w->c[i].name), "c-%c", site_letter[i]);
		w->c[i].site = i;
	}
	for (uint32_t i = 0; i < w->coords; i++)
		w_coord_start(w, i);
	for (uint32_t i = 0; i < w->members; i++) {
		w->m[i].guard = true;
		w->m[i].divergence = DR_DIVERGENCE_REWIND;
		w_server_init(w, i, w->m[i].ix == 0);
		w_agent_start(w, i);
	}
	w_after(w, 5, write_tick);
	w_elect(w);
	for (uint32_t i = 0; i < w->coords; i++) {
		struct dr_cmd cmd = { .kind = DR_CMD_COORDINATOR,
				      .service = DR_SERVICE_NONE,
				      .id = i + 1,
				      .wall_ms = w->wall0 + w->now };
		dr_assert(dr_name_set(&cmd.name, w->c[i].name));
		cmd.site = w->spec.site[i].name;
		w_propose(w, (uint32_t)w->leader, &cmd, 0);
	}
	w_run(w, 10);
	struct dr_request q = { .kind = DR_REQ_APPLY, .spec = w_spec_copy(w) };
	dr_assert(dr_name_set(&q.actor, "anna"));
	dr_assert(w_request(w, &q) == DR_REASON_NONE);
	w_run(w, 1000);
}

bool w_adopt(struct world *w)
{
	for (uint32_t i = 0; i < w->services; i++) {
		struct dr_request q = { .kind = DR_REQ_ADOPT, .service = w->service[i].name };
		dr_assert(dr_name_set(&q.actor, "anna"));
		if (w_request(w, &q) != DR_REASON_NONE)
			return false;
	}
	for (uint32_t i = 0; i < 20; i++) {
		char why[200];
		w_run(w, 1000);
		if (w_healthy(w, why, sizeof(why)))
			return true;
	}
	return false;
}
