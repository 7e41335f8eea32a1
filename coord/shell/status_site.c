/* status_site.c -- site plans as JSON, a part of status. */
#include <string.h>

#include "coord/shell/coord.h"
#include "coord/shell/json.h"

static void put_part(json_t *o, const struct dr_service *s)
{
	const struct dr_part *t = &s->part;
	put_u64(o, "group", t->group);
	put_text_or_null(o, "state", dr_part_state_name(t->state));
	if (t->own != 0)
		put_u64(o, "plan", t->own);
	put_text_or_null(o, "was", t->was < DR_MEMBERS_MAX ? s->spec.member[t->was].name.s : "");
	put_reason(o, t->left, t->a, t->b);
}

json_t *dr_site_part_json(const struct dr_repl *r, const struct dr_service *s)
{
	const struct dr_site_plan *p = dr_repl_site_plan(r, s->part.plan);
	if (p == NULL)
		return json_null();
	json_t *o = json_object();
	put_u64(o, "id", p->id);
	put_text_or_null(o, "kind", dr_plan_name(p->kind));
	put_text_or_null(o, "site", p->site.s);
	put_part(o, s);
	return o;
}

/* Those that are done are only counted. */
static json_t *parts_json(const struct dr_repl *r, const struct dr_site_plan *p)
{
	json_t *a = json_array();
	for (uint32_t i = 0; i < r->services; i++) {
		const struct dr_service *s = &r->service[i];
		if (!s->used || s->part.plan != p->id || s->part.state == DR_PART_DONE)
			continue;
		json_t *o = json_object();
		put_text_or_null(o, "service", s->spec.name.s);
		put_part(o, s);
		(void)json_array_append_new(a, o);
	}
	return a;
}

static json_t *steps_json(const struct dr_site_plan *p)
{
	json_t *a = json_array();
	for (uint32_t i = 0; i < p->steps; i++) {
		json_t *o = json_object();
		put_text_or_null(o, "step", p->step[i].name.s);
		put_text_or_null(o, "state", dr_site_step_state_name(p->step[i].state));
		put_reason(o, p->step[i].why, 0, 0);
		(void)json_array_append_new(a, o);
	}
	return a;
}

static const char *state_of(const struct dr_site_plan *p)
{
	return !p->open ? "closed" : p->asks ? "asking" : p->undoing ? "undoing" : "open";
}

static json_t *site_plan_json(const struct dr_repl *r, const struct dr_site_plan *p)
{
	json_t *o = json_object();
	put_u64(o, "id", p->id);
	put_text_or_null(o, "kind", dr_plan_name(p->kind));
	put_text_or_null(o, "site", p->site.s);
	put_text_or_null(o, "state", state_of(p));
	(void)json_object_set_new(o, "runbook", steps_json(p));
	put_u64(o, "group", p->group);
	put_u64(o, "services", p->services);
	put_u64(o, "done", p->done);
	put_u64(o, "left", p->left);
	put_text_or_null(o, "opened_because", dr_reason_name(p->reason));
	put_text_or_null(o, "actor", p->actor.s);
	put_text_or_null(o, "text", p->text);
	put_u64(o, "opened_wall_ms", p->opened_wall_ms);
	put_u64(o, "closed_wall_ms", p->closed_wall_ms);
	if (p->until_wall_ms != 0)
		put_u64(o, "until_wall_ms", p->until_wall_ms);
	(void)json_object_set_new(o, "parts", parts_json(r, p));
	return o;
}

/* Of closed ones only the newest of each site: it says what is left there. */
static bool is_newest(const struct dr_repl *r, const struct dr_site_plan *p)
{
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		if (r->site_plan[i].id > p->id && dr_name_eq(&r->site_plan[i].site, &p->site))
			return false;
	}
	return true;
}

json_t *dr_site_plans_json(const struct dr_repl *r)
{
	json_t *a = json_array();
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		const struct dr_site_plan *p = &r->site_plan[i];
		if (p->id != 0 && (p->open || is_newest(r, p)))
			(void)json_array_append_new(a, site_plan_json(r, p));
	}
	return a;
}
