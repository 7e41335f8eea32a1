/* apply_spec.c -- a new spec: places of known services and members stay, the rest is made or freed. */
#include "coord/core/emit.h"

#include <string.h>

/* What a spec wants of the places there are. */
struct wanted {
	uint16_t at[DR_SERVICES_MAX]; /* by place: number in the spec + 1; 0: it is to go */
};

static void match_places(const struct dr_repl *r, const struct dr_spec *spec, struct wanted *w)
{
	memset(w, 0, sizeof(*w));
	for (uint32_t i = 0; i < spec->services; i++) {
		uint32_t ix = dr_repl_service_find(r, spec->service[i].name.s);
		if (ix != DR_SERVICE_NONE)
			w->at[ix] = (uint16_t)(i + 1);
	}
}

static dr_member_ix spec_member_find(const struct dr_spec_service *s, const struct dr_name *name)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (s->member[m].name.s[0] != '\0' && dr_name_eq(&s->member[m].name, name))
			return m;
	}
	return DR_MEMBER_NONE;
}

static bool not_fenced(const struct dr_service *s, dr_member_ix m)
{
	return s->member[m].unproved_epoch != 0 || s->member[m].only_expired;
}

/* What rests on a member keeps it in the spec; NONE: nothing does. */
static enum dr_reason kept_by(const struct dr_service *s, dr_member_ix m)
{
	const struct dr_plan *p = &s->plan;
	if (p->id != 0 && (p->candidate == m || p->source == m || p->wanted == m || p->old == m))
		return DR_REASON_SPEC_PLAN;
	if (s->holder == m || s->last_holder == m)
		return DR_REASON_SPEC_PRIMARY;
	if (not_fenced(s, m))
		return DR_REASON_SPEC_UNPROVED;
	bool waited_for = dr_set_has((dr_member_set)(s->sync.set | s->next.set | s->since.set), m) || s->member[m].may_ack;
	return waited_for ? DR_REASON_SPEC_SYNC_SET : DR_REASON_NONE;
}

/* Another agent has another journal: what it says of a lease, a fence or a list would not be the old one's word. */
static enum dr_reason agent_kept_by(const struct dr_service *s, dr_member_ix m)
{
	const struct dr_plan *p = &s->plan;
	if (p->id != 0 && (p->candidate == m || p->old == m || p->wanted == m))
		return DR_REASON_SPEC_PLAN;
	if (s->holder == m)
		return DR_REASON_SPEC_PRIMARY;
	return not_fenced(s, m) ? DR_REASON_SPEC_UNPROVED : DR_REASON_NONE;
}

/* Whether that server's clients, in that pool, may be held for the service as it was. */
static bool is_held(const struct dr_spec_route *old, const uint32_t *held, const struct dr_spec_route *route, uint32_t place)
{
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		for (uint32_t k = 0; k < DR_ROUTE_SERVERS_MAX && held[i] != 0; k++) {
			const struct dr_address *at = &old[i].server[k];
			if ((held[i] & 1u << k) != 0 && at->port == route->server[place].port &&
			    strcmp(at->host, route->server[place].host) == 0 && strcmp(old[i].pool, route->pool) == 0)
				return true;
		}
	}
	return false;
}

/* The places of each wanted route whose clients may be held, and how many these are. */
static uint32_t still_held(const struct dr_spec_route *old, const uint32_t *held, const struct dr_spec_route *want,
			   uint32_t out[DR_ROUTES_MAX])
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		out[i] = 0;
		for (uint32_t k = 0; k < want[i].servers && dr_route_holds(&want[i]); k++) {
			bool one = is_held(old, held, &want[i], k);
			out[i] |= one ? 1u << k : 0;
			n += one ? 1u : 0;
		}
	}
	return n;
}

/* A spec without such a place leaves its clients held, for nobody would let them go. */
static bool leaves_held(const struct dr_service *s, const struct dr_spec_service *want)
{
	uint32_t places[DR_ROUTES_MAX], before = 0, route = 0;
	if (!dr_service_may_hold(s, &route))
		return false;
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		for (uint32_t k = 0; k < DR_ROUTE_SERVERS_MAX; k++)
			before += (s->route_held[i] & 1u << k) != 0 ? 1u : 0;
	}
	return still_held(s->spec.route, s->route_held, want->route, places) < before;
}

/* *m: of which member; NONE: of the service as a whole. */
static enum dr_reason service_misfit(const struct dr_service *s, const struct dr_spec_service *want, bool force, dr_member_ix *m)
{
	enum dr_reason why = DR_REASON_NONE;
	*m = DR_MEMBER_NONE;
	if (!s->managed)
		return DR_REASON_NONE;
	if (want == NULL)
		return DR_REASON_SPEC_SERVICE;
	if (want->kind != s->spec.kind)
		return DR_REASON_SPEC_KIND;
	if (!force && leaves_held(s, want))
		return DR_REASON_SPEC_HELD;
	for (dr_member_ix i = 0; i < DR_MEMBERS_MAX && why == DR_REASON_NONE; i++) {
		if (s->spec.member[i].name.s[0] == '\0')
			continue;
		dr_member_ix to = spec_member_find(want, &s->spec.member[i].name);
		*m = i;
		if (to == DR_MEMBER_NONE)
			why = kept_by(s, i);
		else if (!dr_name_eq(&want->member[to].agent, &s->spec.member[i].agent))
			why = agent_kept_by(s, i);
	}
	return why;
}

static uint64_t place(uint32_t service, dr_member_ix m)
{
	return (uint64_t)service * (DR_MEMBERS_MAX + 1) + (m < DR_MEMBERS_MAX ? m : DR_MEMBERS_MAX);
}

bool dr_spec_place(enum dr_reason why, uint64_t a, uint32_t *service, dr_member_ix *m)
{
	*service = (uint32_t)(a / (DR_MEMBERS_MAX + 1));
	*m = (dr_member_ix)(a % (DR_MEMBERS_MAX + 1));
	if (*m == DR_MEMBERS_MAX)
		*m = DR_MEMBER_NONE;
	return (why == DR_REASON_SPEC_SERVICE || why == DR_REASON_SPEC_KIND || why == DR_REASON_SPEC_PLAN ||
		why == DR_REASON_SPEC_HELD || why == DR_REASON_SPEC_PRIMARY || why == DR_REASON_SPEC_UNPROVED ||
		why == DR_REASON_SPEC_SYNC_SET) &&
	       a / (DR_MEMBERS_MAX + 1) < DR_SERVICES_MAX;
}

/* *a: where (dr_spec_place). */
static enum dr_reason misfit(const struct dr_repl *r, const struct dr_spec *spec, const struct wanted *w, bool force,
			     uint64_t *a)
{
	for (uint32_t i = 0; i < r->services; i++) {
		dr_member_ix m = DR_MEMBER_NONE;
		if (!r->service[i].used)
			continue;
		const struct dr_spec_service *want = w->at[i] != 0 ? &spec->service[w->at[i] - 1] : NULL;
		enum dr_reason why = service_misfit(&r->service[i], want, force, &m);
		*a = place(i, m);
		if (why != DR_REASON_NONE)
			return why;
	}
	return DR_REASON_NONE;
}

/* Put the wanted members into their known places, the new ones into free places. */
static void merge_members(struct dr_service *s, const struct dr_spec_service *want)
{
	struct dr_spec_member merged[DR_MEMBERS_MAX];
	memset(merged, 0, sizeof(merged));
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		dr_member_ix known = s->spec.member[m].name.s[0] == '\0'
					     ? DR_MEMBER_NONE
					     : spec_member_find(want, &s->spec.member[m].name);
		if (known != DR_MEMBER_NONE) {
			/* Another agent has another journal: it has promised nothing. */
			if (!dr_name_eq(&s->spec.member[m].agent, &want->member[known].agent))
				s->listed = dr_set_without(s->listed, m);
			merged[m] = want->member[known];
		} else {
			s->listed = dr_set_without(s->listed, m);
			s->member[m] = (struct dr_member_repl){ .order_last = s->member[m].order_last };
			memset(&s->rejoin[m], 0, sizeof(s->rejoin[m]));
			s->home = s->home == m ? DR_MEMBER_NONE : s->home;
			s->part.was = s->part.was == m ? DR_MEMBER_NONE : s->part.was;
		}
	}
	for (dr_member_ix w = 0; w < DR_MEMBERS_MAX; w++) {
		if (want->member[w].name.s[0] == '\0' ||
		    dr_service_member_find(s, want->member[w].name.s) != DR_MEMBER_NONE)
			continue;
		for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
			if (merged[m].name.s[0] == '\0') {
				merged[m] = want->member[w];
				break;
			}
		}
	}
	s->spec = *want;
	memcpy(s->spec.member, merged, sizeof(merged));
}

/* Members are compared byte by byte, which every coordinator must see alike: nothing lies between the fields. */
_Static_assert(sizeof(struct dr_spec_member) ==
		       3 * sizeof(struct dr_name) + 2 * sizeof(struct dr_address) + sizeof(uint32_t),
	       "struct dr_spec_member has padding");

/* A route that changed has to be written again. */
static void reset_routes(struct dr_service *s, const struct dr_spec_service *old)
{
	uint32_t held[DR_ROUTES_MAX];
	(void)still_held(old->route, s->route_held, s->spec.route, held);
	memcpy(s->route_held, held, sizeof(held));
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		if (!dr_spec_route_eq(&old->route[i], &s->spec.route[i])) {
			s->route_epoch[i] = 0;
			s->route_servers[i] = 0;
		}
	}
}

/* *free: no place before it is free. */
static void put_service(struct dr_repl *r, const struct dr_spec_service *want, uint32_t *free)
{
	uint32_t ix = dr_repl_service_find(r, want->name.s);
	while (ix == DR_SERVICE_NONE && *free < DR_SERVICES_MAX) {
		if (!r->service[*free].used)
			ix = *free;
		++*free;
	}
	if (ix == DR_SERVICE_NONE)
		return;
	struct dr_service *s = &r->service[ix];
	bool is_new = !s->used;
	if (!s->used) {
		memset(s, 0, sizeof(*s));
		s->used = true;
		s->holder = DR_MEMBER_NONE;
		s->last_holder = DR_MEMBER_NONE;
		s->home = DR_MEMBER_NONE;
		s->part.was = DR_MEMBER_NONE;
	}
	if (ix >= r->services)
		r->services = ix + 1;
	struct dr_spec_service old = s->spec;
	merge_members(s, want);
	reset_routes(s, &old);
	if (is_new)
		dr_repl_index_add(r, ix);
	/* A list that is under way speaks of others, or of somebody else in the same place: it counts no more. */
	if (memcmp(old.member, s->spec.member, sizeof(old.member)) != 0)
		s->list_version++;
}

void dr_apply_spec(struct dr_repl *r, const struct dr_cmd *cmd)
{
	uint32_t free = 0;
	const struct dr_spec *spec = cmd->spec;
	if (spec == NULL || r->spec_version != cmd->a) {
		dr_request_remember(r, cmd, DR_REASON_VERSION_CHANGED, r->spec_version);
		return;
	}
	struct wanted w;
	match_places(r, spec, &w);
	uint64_t at = 0;
	enum dr_reason why = misfit(r, spec, &w, cmd->force, &at);
	if (why != DR_REASON_NONE) {
		dr_request_remember(r, cmd, why, at);
		return;
	}
	r->spec_version++;
	r->cluster = spec->cluster;
	r->timing = spec->timing;
	r->limits = spec->limits;
	/* Expiry counts with the largest TTL that may still run (design.md 4.1). */
	if (r->ttl_longest_ms < spec->timing.ttl_ms)
		r->ttl_longest_ms = spec->timing.ttl_ms;
	r->sites = spec->sites;
	memcpy(r->site, spec->site, sizeof(r->site));
	memcpy(r->runbook, spec->runbook, sizeof(r->runbook));
	for (uint32_t i = 0; i < r->services; i++) {
		if (!r->service[i].used || w.at[i] != 0)
			continue;
		dr_part_gone(r, &r->service[i], cmd);
		memset(&r->service[i], 0, sizeof(r->service[i]));
	}
	dr_repl_index(r);
	for (uint32_t i = 0; i < spec->services; i++)
		put_service(r, &spec->service[i], &free);
	struct dr_event_record *e = dr_emit(r, DR_EVENT_SPEC, cmd, NULL);
	e->a = r->spec_version;
	dr_request_remember(r, cmd, DR_REASON_NONE, r->spec_version);
}
