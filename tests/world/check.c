/* check.c -- what must hold at every moment, seen from outside. */
#include "tests/world/world.h"

#include <string.h>

#include "base/buf.h"
#include "coord/shell/snapshot.h"

enum { VIOLATIONS_SHOWN = 5, GUARD_ACTS_MS = 2, AGENT_ACTS_MS = 30, COMPARE_EVERY = 32 };

void w_violation(struct world *w, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char text[256];
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (w->violations == 0)
		memcpy(w->first_violation, text, sizeof(text));
	if (w->violations++ < VIOLATIONS_SHOWN && w->out != NULL)
		(void)fprintf(w->out, "\t%6llu VIOLATION %s\n", (unsigned long long)w->now, text);
}

bool w_rises(struct world *w, uint64_t *high, uint64_t now, const char *what, const char *of)
{
	if (now < *high) {
		w_violation(w, "%s of %s fell from %llu to %llu", what, of, (unsigned long long)*high,
			    (unsigned long long)now);
		return false;
	}
	*high = now;
	return true;
}

/* Whether nobody on the host could act yet.  When a paused host goes on, its guard acts at once; without one the agent
 * does, after some milliseconds (what remains of design.md 4.9).  With the guard dead and the agent hanging or dead
 * nobody is left who could stop the server (docs/simulator.md), until one of them is back. */
bool w_nobody_acts(const struct world *w, uint32_t m)
{
	uint64_t agent_from = w->paused_until[w_proc(W_AGENT, m)] + AGENT_ACTS_MS;
	uint64_t resumed = w->paused_until[w_proc(W_SERVER, m)];
	if (w->m[m].guard)
		return w->now < (resumed > w->m[m].guard_back_at ? resumed : w->m[m].guard_back_at) + GUARD_ACTS_MS;
	return !w->m[m].alive || w->now < agent_from || w->now < resumed + AGENT_ACTS_MS;
}

static bool takes_writes(const struct world *w, uint32_t m)
{
	return w->m[m].server.state == DR_SERVER_PRIMARY && w->m[m].journal.managed && !w_nobody_acts(w, m);
}

/* At most one server of a service is out of recovery, whatever anybody believes. */
static void check_primaries(struct world *w)
{
	for (uint32_t s = 0; s < w->services; s++) {
		uint32_t count = 0, first = w->s[s].first;
		for (uint32_t i = 0; i < w->s[s].members; i++)
			count += takes_writes(w, first + i) ? 1u : 0u;
		if (count > 1 && !w->two_allowed)
			w_violation(w, "%u servers of %s take writes", count, w->service[s].name.s);
	}
}

static void check_agents(struct world *w)
{
	for (uint32_t i = 0; i < w->members; i++)
		w_check_extended(w, i);
}

/* No lease outlives its deadline: whatever hangs, a server that its guard was armed for is down by then. */
static void check_deadlines(struct world *w)
{
	for (uint32_t i = 0; i < w->members; i++) {
		const struct w_member *m = &w->m[i];
		if (m->armed_until != 0 && w_clock(w, &m->clock) >= m->armed_until && takes_writes(w, i))
			w_violation(w, "%s takes writes after the end of its lease", w_member_name(w, i));
	}
}

void w_check(struct world *w)
{
	check_primaries(w);
	check_agents(w);
	check_deadlines(w);
	w_check_ackers(w);
}

/* The whole state as the snapshot codec writes it: equal states give equal bytes, whatever lies between fields. */
static bool same_state(const struct dr_repl *a, const struct dr_repl *b)
{
	static const uint8_t head[32];
	struct dr_buf x, y;
	dr_buf_init(&x, 64 << 20);
	dr_buf_init(&y, 64 << 20);
	dr_snapshot_encode(&x, a, head);
	dr_snapshot_encode(&y, b, head);
	bool same = x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
	dr_buf_close(&x);
	dr_buf_close(&y);
	return same;
}

static bool same_service(const struct dr_service *s, const struct dr_service *o)
{
	bool same = s->epoch == o->epoch && s->holder == o->holder && s->primary_epoch == o->primary_epoch &&
		    s->plan.id == o->plan.id && s->plan.at == o->plan.at && s->part.state == o->part.state &&
		    s->sync.set == o->sync.set && s->sync.k == o->sync.k && s->next_version == o->next_version;
	for (dr_member_ix m = 0; same && m < DR_MEMBERS_MAX; m++)
		same = s->member[m].order_last == o->member[m].order_last &&
		       s->member[m].lineage == o->member[m].lineage &&
		       s->member[m].unproved_epoch == o->member[m].unproved_epoch;
	return same;
}

/* What differs at all soon differs here too. */
static bool same_heads(const struct dr_repl *a, const struct dr_repl *b)
{
	bool same = a->services == b->services && a->spec_version == b->spec_version &&
		    a->plan_last == b->plan_last && a->event_last == b->event_last &&
		    a->ttl_longest_ms == b->ttl_longest_ms;
	for (uint32_t i = 0; same && i < a->services; i++)
		same = same_service(&a->service[i], &b->service[i]);
	return same;
}

/* Equal state at the same log index. */
static void check_equal(struct world *w, uint32_t c)
{
	const struct dr_repl *a = &w->c[c].core->repl;
	for (uint32_t i = 0; i < w->coords; i++) {
		if (i == c || w->c[i].core == NULL || w->c[i].core->repl.applied != a->applied)
			continue;
		if (w->c[i].nth_of != w->c[c].nth_of || w->c[i].nth != w->c[c].nth) /* in the middle of an entry */
			continue;
		const struct dr_repl *b = &w->c[i].core->repl;
		if (!same_heads(a, b) || (a->applied % COMPARE_EVERY == 0 && !same_state(a, b)))
			w_violation(w, "%s and %s differ at index %llu", w->c[c].name, w->c[i].name,
				    (unsigned long long)a->applied);
	}
}

/* What was said to be final when the choice was made is final: nobody of the frozen has received more since. */
static void check_frozen(struct world *w, const struct w_service *of, const struct dr_service *s, const struct dr_cmd *cmd)
{
	if (cmd->kind != DR_CMD_CHOOSE || s->plan.kind != DR_PLAN_FAILOVER)
		return;
	for (uint32_t i = 0; i < of->members; i++) {
		const struct w_server *v = &w->m[of->first + i].server;
		bool frozen = s->member[i].frozen_epoch == s->epoch && v->state == DR_SERVER_STANDBY &&
			      v->other_data == 0 && dr_is_of_service(s, s->member[i].frozen_system_id);
		if (frozen && w_position(w, of->first + i) > s->member[i].frozen_position)
			w_violation(w, "%s went on receiving after it was frozen", w_member_name(w, of->first + i));
	}
}

/* Nothing is made writable before everybody who may have been is proved fenced. */
static void check_promotion(struct world *w, const struct w_service *of, const struct dr_service *s, const struct dr_cmd *cmd)
{
	if (cmd->kind != DR_CMD_ORDER || cmd->order.kind != DR_ORDER_WRITABLE)
		return;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (m != s->holder && s->member[m].unproved_epoch != 0)
			w_violation(w, "%s is promoted while %s is not proved fenced",
				    w_member_name(w, w_member_at(of, s->holder)), w_member_name(w, w_member_at(of, m)));
	}
}

void w_check_applied(struct world *w, uint32_t c, const struct dr_cmd *cmd)
{
	const struct dr_repl *r = &w->c[c].core->repl;
	check_equal(w, c);
	w_check_log(w, c, cmd);
	if (r->services == 0 || w_check_key(w, c) < w->seen.checked) /* somebody was further */
		return;
	for (uint32_t i = 0; i < w->services; i++)
		(void)w_rises(w, &w->s[i].high_epoch, r->service[i].epoch, "epoch", w->service[i].name.s);
	for (uint32_t i = 0; i < w->members; i++) {
		struct w_member *m = &w->m[i];
		(void)w_rises(w, &m->high_order, r->service[m->service].member[m->ix].order_last, "order number", m->name.s);
	}
	if (cmd->service >= w->services)
		return;
	check_promotion(w, &w->s[cmd->service], &r->service[cmd->service], cmd);
	check_frozen(w, &w->s[cmd->service], &r->service[cmd->service], cmd);
}

static bool member_well(struct world *w, const struct w_service *of, const struct dr_service *s, dr_member_ix ix, char *why,
			size_t cap)
{
	const struct w_member *m = &w->m[of->first + ix];
	const struct w_server *v = &m->server;
	if (!m->alive || ix == s->holder || s->spec.member[ix].name.s[0] == '\0')
		return true;
	bool well = v->state == DR_SERVER_STANDBY && v->connected && v->upstream == w_member_at(of, s->holder) &&
		    s->member[ix].joined_epoch == s->epoch && s->rejoin[ix].id == 0;
	if (!well)
		(void)snprintf(why, cap, "%s does not follow", m->name.s);
	return well;
}

static bool site_plan_open(const struct dr_repl *r)
{
	bool open = false;
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++)
		open = open || r->site_plan[i].open;
	return open;
}

static bool service_well(struct world *w, const struct w_service *of, char *why, size_t cap)
{
	const struct dr_service *s = w_repl(w, of->ix);
	uint32_t holder = w_member_at(of, s->holder);
	if (s->plan.id != 0)
		(void)snprintf(why, cap, "plan %llu is open at %s", (unsigned long long)s->plan.id,
			       dr_step_name(s->plan.step[s->plan.at]));
	else if (s->holder == DR_MEMBER_NONE || s->primary_epoch != s->epoch)
		(void)snprintf(why, cap, "epoch %llu has no primary", (unsigned long long)s->epoch);
	else if (w->m[holder].server.state != DR_SERVER_PRIMARY)
		(void)snprintf(why, cap, "the holder's server is %s",
			       dr_server_state_name(w->m[holder].server.state));
	else if (w->m[holder].server.undone)
		(void)snprintf(why, cap, "%s does not wait as it was told", w_member_name(w, holder));
	else if (s->sync_joint)
		(void)snprintf(why, cap, "the sync set is not settled");
	else if (of->acked_at + 200 < w->now)
		(void)snprintf(why, cap, "nothing was acknowledged for %llu ms",
			       (unsigned long long)(w->now - of->acked_at));
	for (dr_member_ix m = 0; why[0] == '\0' && m < of->members; m++) {
		if (!member_well(w, of, s, m, why, cap))
			break;
	}
	return why[0] == '\0';
}

bool w_healthy(struct world *w, char *why, size_t cap)
{
	why[0] = '\0';
	if (w->leader < 0)
		(void)snprintf(why, cap, "nobody leads");
	else if (site_plan_open(&w->c[w->leader].core->repl))
		(void)snprintf(why, cap, "a site plan is open");
	for (uint32_t i = 0; why[0] == '\0' && i < w->services; i++) {
		if (!service_well(w, &w->s[i], why, cap) && i > 0) {
			size_t at = strlen(why);
			(void)snprintf(why + at, cap - at, " (%s)", w->service[i].name.s);
		}
	}
	return why[0] == '\0';
}
