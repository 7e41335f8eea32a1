/* view.c -- a place that a spec or a snapshot gave to another service, or to another member, has nothing of what was seen of
 * the one before: not its order results, which would make the new one's old, nor its reports or its renewals. */
#include <string.h>

#include "coord/core/think.h"

/* Of a place whose name is empty nothing was seen. */
static void clear_members(struct dr_service_view *v, const struct dr_service *s)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		struct dr_member_view *mv = &v->member[m];
		if (dr_name_eq(&mv->of, &s->spec.member[m].name))
			continue;
		if (mv->of.s[0] != '\0')
			memset(mv, 0, sizeof(*mv));
		mv->of = s->spec.member[m].name;
	}
}

static void drop_renewals(struct dr_core_view *v)
{
	uint32_t left = 0;
	for (uint32_t i = 0; i < v->renewals_waiting; i++) {
		const struct dr_service_view *s = &v->service[v->renewal_of[i]];
		if (s->under_way.asked || s->waits.asked)
			v->renewal_of[left++] = v->renewal_of[i];
	}
	v->renewals_waiting = left;
}

void dr_view_of_others(struct dr_core *c)
{
	struct dr_core_view *v = &c->view;
	if (v->services < c->repl.services)
		v->services = c->repl.services;
	for (uint32_t i = 0; i < v->services; i++) {
		const struct dr_service *s = &c->repl.service[i];
		struct dr_service_view *sv = &v->service[i];
		/* Nothing is written over what was never used: that takes no memory. */
		if (sv->of.s[0] != '\0' && !dr_name_eq(&sv->of, &s->spec.name))
			memset(sv, 0, sizeof(*sv));
		if (sv->of.s[0] == '\0' && s->spec.name.s[0] != '\0')
			sv->of = s->spec.name;
		clear_members(sv, s);
	}
	drop_renewals(v);
}
