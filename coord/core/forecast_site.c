/* forecast_site.c -- see forecast.h: the services of a site plan in the order of their turns, and when each would have moved.
 *
 * Each is forecast by itself; what one is to another stands here: the limits of automatic moves, and shards that go one
 * after the other. */
#include <string.h>

#include "base/assert.h"
#include "coord/core/forecast.h"

void dr_forecast_site(const struct dr_core *live, const struct dr_forecast_ask *q, struct dr_forecast_site *out)
{
	const struct dr_repl *r = &live->repl;
	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < r->services; i++) {
		if (!dr_site_plan_takes(r, &r->service[i], dr_site_plan_kind(q->request), &q->site))
			continue;
		if (out->parts == DR_FORECAST_SITE_MAX) {
			out->left_out++;
			continue;
		}
		uint32_t at = out->parts++, group = r->service[i].spec.group;
		for (; at > 0 && out->part[at - 1].group > group; at--)
			out->part[at] = out->part[at - 1];
		out->part[at] = (struct dr_forecast_part){ .service = i, .group = group };
	}
}

/* When its turn comes within its group's: of a cluster's shards that need each other's vote, after those before it. */
static uint64_t turn_ms(const struct dr_core *live, const struct dr_forecast_ask *q, const struct dr_forecast_site *s, uint32_t i)
{
	const struct dr_spec_service *own = &live->repl.service[s->part[i].service].spec;
	if (q->lost || own->cluster.s[0] == '\0' || own->takeover)
		return 0;
	for (uint32_t k = i; k > 0; k--) {
		const struct dr_forecast_part *p = &s->part[k - 1];
		if (p->group == own->group && dr_name_eq(&live->repl.service[p->service].spec.cluster, &own->cluster))
			return p->ended_ms;
	}
	return 0;
}

void dr_forecast_site_note(const struct dr_core *live, const struct dr_forecast_ask *q, struct dr_forecast_site *s, uint32_t i,
			   const struct dr_forecast *f)
{
	struct dr_forecast_part *p = &s->part[i];
	dr_assert(i < s->parts);
	uint64_t from = turn_ms(live, q, s, i);
	p->stays = f->writable_ms == 0 || (!q->ordered && f->not_by_itself != DR_REASON_NONE);
	p->writable_ms = p->stays ? 0 : from + f->writable_ms;
	p->ended_ms = p->stays ? from : from + f->ended_ms; /* whoever comes after one that stays waits for those before it */
	s->moves += f->moves;
}
