/* check_agents.c -- what agents may rest on, seen from outside: leases on grants, extensions on promises, promises on
 * the journal, and the log's list of who must promise on the holder's own. */
#include "tests/world/world.h"

enum { ROUNDING_MS = 2 };

/* What is left until a host's clock shows `until`, in true time. */
static uint64_t left_ms(const struct world *w, const struct w_clock *c, uint64_t until)
{
	uint64_t now = w_clock(w, c);
	return until > now ? (until - now) * 1000000 / (uint64_t)(1000000 + c->ppm) : 0;
}

/* An extension ends before each promise that it rests on does. */
static void check_extension(struct world *w, uint32_t mi)
{
	const struct w_member *m = &w->m[mi];
	uint64_t left = left_ms(w, &m->clock, m->armed_until);
	for (uint32_t i = 0; i < m->core.extended_by; i++) {
		uint32_t p = w_member_find(w, m->core.promiser[i].member.s);
		if (p >= w->members || !w->m[p].alive)
			continue;
		uint64_t promised = left_ms(w, &w->m[p].clock, w->m[p].core.promise_until_ms);
		if (left > promised + ROUNDING_MS)
			w_violation(w, "%s goes on for %llu ms longer than %s has promised", w_member_name(w, mi),
				    (unsigned long long)(left - promised), w_member_name(w, p));
	}
}

static bool has_promised(const struct dr_agent_core *c, const struct dr_name *name)
{
	for (uint32_t i = 0; i < c->extended_by; i++) {
		if (dr_name_eq(&c->promiser[i].member, name))
			return true;
	}
	return false;
}

/* Who is on the list that the holder has taken may be promoted when its own promise is over: while the holder goes on
 * by an extension, everybody on the list has promised that one. */
void w_check_extended(struct world *w, uint32_t mi)
{
	const struct dr_agent_core *c = &w->m[mi].core;
	/* After a restart it does not know whether it goes on by an extension, and takes it for one: by nobody. */
	if (!w->m[mi].alive || c->extended_by == 0 || c->extended_until_ms <= w_clock(w, &w->m[mi].clock) ||
	    c->journal.list.epoch != c->lease_epoch)
		return;
	for (uint32_t i = 0; i < c->journal.list.members; i++) {
		if (!has_promised(c, &c->journal.list.member[i].member))
			w_violation(w, "%s has taken %s on its list, and goes on without its promise", w_member_name(w, mi),
				    c->journal.list.member[i].member.s);
	}
}

void w_check_journal(struct world *w, uint32_t mi)
{
	const struct dr_agent_journal *j = &w->m[mi].journal;
	struct w_member *m = &w->m[mi];
	(void)w_rises(w, &m->high_seen, j->order_seen, "journaled order number", m->name.s);
	(void)w_rises(w, &m->high_epoch, j->epoch, "journaled epoch", m->name.s);
}

void w_check_armed(struct world *w, uint32_t mi)
{
	const struct w_member *m = &w->m[mi];
	if (m->armed_epoch > m->granted)
		w_violation(w, "%s has a lease for epoch %llu, which was never granted to it", w_member_name(w, mi),
			    (unsigned long long)m->armed_epoch);
	if (m->armed_epoch > m->journal.epoch)
		w_violation(w, "%s has a lease for epoch %llu, which is not in its journal", w_member_name(w, mi),
			    (unsigned long long)m->armed_epoch);
	if (m->core.extended_until_ms == m->armed_until && !w->two_allowed)
		check_extension(w, mi);
}

/* It takes writes from now on. */
void w_check_leased(struct world *w, uint32_t mi)
{
	const struct dr_agent_core *c = &w->m[mi].core;
	if (c->lease_until_ms > w_clock(w, &w->m[mi].clock) && c->lease_epoch > w->m[mi].granted)
		w_violation(w, "%s is promoted by a lease for epoch %llu, which was never granted to it",
			    w_member_name(w, mi), (unsigned long long)c->lease_epoch);
}

/* ... though nobody waits for that any more: its guard must still be armed. */
void w_check_guarded(struct world *w, uint32_t mi)
{
	if (w->m[mi].guard && w->m[mi].armed_until == 0)
		w_violation(w, "%s takes writes, and its guard is not armed", w_member_name(w, mi));
}

void w_check_promised(struct world *w, uint32_t mi, const struct dr_promise *p)
{
	const struct dr_agent_journal *j = &w->m[mi].journal;
	uint64_t until = w->m[mi].asked_until_ms; /* from the question on: that its journal took time to write adds nothing */
	if (w->m[mi].promised_until < until)
		w->m[mi].promised_until = until;
	if (j->promise_ms == 0 || (w->m[mi].late_stands && w->m[mi].late.promise_ms == 0))
		w_violation(w, "%s promises what is not in its journal", w_member_name(w, mi));
	if (p->epoch < j->epoch)
		w_violation(w, "%s promises epoch %llu, and has seen %llu", w_member_name(w, mi),
			    (unsigned long long)p->epoch, (unsigned long long)j->epoch);
}

void w_check_taken(struct world *w, uint32_t mi)
{
	const struct w_member *m = &w->m[mi];
	uint64_t now = w_clock(w, &m->clock), until = m->promised_until;
	if (m->core.journal.order.core.kind == DR_ORDER_WRITABLE && until > now)
		w_violation(w, "%s takes a promote order, and has promised not to for another %llu ms", w_member_name(w, mi),
			    (unsigned long long)(until - now));
}

static bool on_list(const struct dr_agent_list *l, const struct dr_name *name)
{
	for (uint32_t i = 0; i < l->members; i++) {
		if (dr_name_eq(&l->member[i].member, name))
			return true;
	}
	return false;
}

/* Whom the log counts as one who must promise, the holder asks. */
void w_check_listed(struct world *w, const struct w_service *of, const struct dr_service *s)
{
	if (s->holder >= of->members || s->primary_epoch != s->epoch || s->list_epoch != s->epoch)
		return;
	const struct w_member *all = &w->m[of->first];
	const struct dr_agent_list *l = &all[s->holder].journal.list;
	for (dr_member_ix m = 0; l->epoch == s->epoch && m < of->members; m++) {
		if (m != s->holder && dr_set_has(s->listed, m) && !on_list(l, &all[m].name))
			w_violation(w, "%s counts as listed, and %s does not ask it", all[m].name.s, all[s->holder].name.s);
	}
}
