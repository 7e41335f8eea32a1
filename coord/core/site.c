/* site.c -- site plans on the leader: whether a site is lost, and what a service whose turn has come waits for.
 *
 * The verdict on a site moves nothing: each service's own does.  It only tells that several of them are one incident. */
#include "base/mutant.h"
#include "coord/core/think.h"

enum {
	MOVE_MS = 60000,      /* a group waits no longer for a failover that goes on ... */
	SWITCH_MS = 180000,   /* ... or a switch, which begins with a checkpoint */
	READY_MS = 10000,     /* for what a planned switch needs */
	GATHER_MS = 1000,     /* between two times of opening one for services that move already */
	BACK_MS = 600000,     /* for a member that is on its way back */
	SHARD_MS = 100        /* between two looks whether another shard has moved */
};

/* A coordinator speaks once a probe interval.  By the time at which the site's members count as lost, it has not for one
 * and a half at least, if it died with them.  One that this leader has not heard at all is as silent. */
static bool is_silent(const struct dr_core *c, uint32_t coordinator)
{
	uint64_t heard = c->view.heard_ms[coordinator];
	return heard == 0 || c->view.now_ms - heard > 3 * (uint64_t)c->repl.timing.probe_ms / 2;
}

static bool coordinators_lost(const struct dr_core *c, const struct dr_name *site)
{
	for (uint32_t i = 0; i < c->repl.coordinators; i++) {
		const struct dr_coordinator *k = &c->repl.coordinator[i];
		if (k->name.s[0] == '\0' || !dr_name_eq(&k->site, site))
			continue;
		if (dr_name_eq(&k->name, &c->self) || !is_silent(c, i))
			return false;
	}
	return true;
}

static bool members_lost(const struct dr_core *c, const struct dr_name *site)
{
	bool any = false;
	uint64_t silent = 0;
	for (uint32_t i = 0; i < c->repl.services; i++) {
		const struct dr_service *s = &c->repl.service[i];
		for (dr_member_ix m = 0; s->used && m < DR_MEMBERS_MAX; m++) {
			if (s->spec.member[m].name.s[0] == '\0' || !dr_name_eq(&s->spec.member[m].site, site))
				continue;
			if (dr_core_verdict(c, i, m, &silent) != DR_VERDICT_LOST)
				return false;
			any = true;
		}
	}
	return any;
}

/* Looked for once a moment: where a site is lost, all of its services ask. */
bool dr_site_lost(struct dr_core *c, const struct dr_name *site)
{
	struct dr_core_view *v = &c->view;
	if (v->site_ms != v->now_ms || !dr_name_eq(&v->site, site)) {
		v->site = *site;
		v->site_ms = v->now_ms;
		v->site_lost = coordinators_lost(c, site) && members_lost(c, site);
	}
	return v->site_lost;
}

static bool is_of_first_group(struct dr_core *c, const struct dr_service *s)
{
	struct dr_core_view *v = &c->view;
	if (v->group_version != c->repl.spec_version) {
		v->group_version = c->repl.spec_version;
		v->group_low = UINT32_MAX;
		for (uint32_t i = 0; i < c->repl.services; i++) {
			const struct dr_service *o = &c->repl.service[i];
			if (o->used && o->spec.group < v->group_low)
				v->group_low = o->spec.group;
		}
	}
	return s->spec.group <= v->group_low;
}

/* Whether some other service in the site goes before this one, when the site goes. */
static bool comes_later(struct dr_think *t, const struct dr_name *site)
{
	if (is_of_first_group(t->c, t->s)) /* as all are where nobody uses groups */
		return false;
	for (uint32_t i = 0; i < t->c->repl.services; i++) {
		const struct dr_service *s = &t->c->repl.service[i];
		if (s->spec.group < t->s->spec.group && dr_site_plan_takes(&t->c->repl, s, DR_PLAN_FAILOVER, site))
			return true;
	}
	return false;
}

bool dr_site_incident(struct dr_think *t, struct dr_cmd *cmd)
{
	const struct dr_timing *timing = &t->c->repl.timing;
	if (cmd->reason != DR_REASON_MEMBER_LOST || t->s->holder == DR_MEMBER_NONE)
		return true;
	const struct dr_name *site = &t->s->spec.member[t->s->holder].site;
	if (dr_repl_site_plan_of(&t->c->repl, site) != NULL)
		return true;
	if (dr_site_lost(t->c, site)) {
		cmd->site = *site;
		return true;
	}
	/* The others' silence is seen up to a report and a look later. */
	uint64_t until = (uint64_t)timing->detect_after_ms + 2 * timing->probe_ms;
	if (cmd->a >= until || !comes_later(t, site))
		return true;
	dr_wake_at(t->out, t->c->view.now_ms + until - cmd->a);
	return false;
}

/* Where the site was seen to be lost only after some of its services, their plans are taken in; that hurries nobody. */
void dr_site_gather(struct dr_think *t)
{
	const struct dr_plan *p = &t->s->plan;
	struct dr_core_view *v = &t->c->view;
	if (p->id == 0 || p->kind != DR_PLAN_FAILOVER || p->reason != DR_REASON_MEMBER_LOST || p->site_plan != 0 ||
	    p->old >= DR_MEMBERS_MAX || p->at >= p->bar)
		return;
	const struct dr_name *site = &t->s->spec.member[p->old].site;
	if ((v->gathered_ms != 0 && v->now_ms < v->gathered_ms + GATHER_MS) ||
	    dr_repl_site_plan_of(&t->c->repl, site) != NULL || !dr_site_lost(t->c, site))
		return;
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_SITE_OPEN);
	cmd.service = DR_SERVICE_NONE;
	cmd.site = *site;
	cmd.plan_kind = DR_PLAN_FAILOVER;
	cmd.reason = DR_REASON_SITE_LOST;
	if (dr_propose(t, &cmd))
		v->gathered_ms = v->now_ms;
}

/* Since when this leader has seen the service's part as it is. */
static uint64_t part_age(struct dr_think *t, const struct dr_site_plan *p)
{
	struct dr_service_view *v = t->v;
	const struct dr_part *part = &t->s->part;
	if (v->part_plan != p->id || v->part_group != p->group || v->part_state != (uint32_t)part->state ||
	    v->part_tries != part->tries) {
		v->part_plan = p->id;
		v->part_group = p->group;
		v->part_state = (uint32_t)part->state;
		v->part_tries = part->tries;
		v->part_since_ms = t->c->view.now_ms;
	}
	return t->c->view.now_ms - v->part_since_ms;
}

static void leave(struct dr_think *t, const struct dr_site_plan *p, enum dr_reason reason, uint64_t a, uint64_t b)
{
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_SITE_LEFT);
	cmd.site_plan = p->id;
	cmd.reason = reason;
	cmd.a = a;
	cmd.b = b;
	(void)dr_propose(t, &cmd);
}

/* What no waiting mends. */
static bool is_final(enum dr_reason why)
{
	return why == DR_REASON_NOT_MANAGED || why == DR_REASON_PAUSED || why == DR_REASON_NOT_PROMOTABLE ||
	       why == DR_REASON_NO_SUCH_MEMBER || why == DR_REASON_NOTHING_IN_SITE || why == DR_REASON_IS_PRIMARY ||
	       dr_reason_stays(why);
}

/* A new leader has to hear everybody first, and a verdict takes its time. */
static uint64_t patience_ms(const struct dr_think *t, const struct dr_site_plan *p, uint64_t age)
{
	if (p->kind == DR_PLAN_FAILBACK && p->until_wall_ms != 0)
		return age + (p->until_wall_ms > t->c->view.wall_ms ? p->until_wall_ms - t->c->view.wall_ms : 0);
	if (p->kind == DR_PLAN_FAILBACK)
		return BACK_MS;
	return p->kind == DR_PLAN_SWITCHOVER ? READY_MS : 2 * (uint64_t)t->c->repl.timing.detect_after_ms;
}

/* Planned, the shards of one Redis Cluster go one after the other, where its masters elect the next: one that is being moved
 * has no vote. */
static const struct dr_service *another_shard(const struct dr_think *t, const struct dr_site_plan *p)
{
	const struct dr_spec_service *own = &t->s->spec;
	if (p->kind == DR_PLAN_FAILOVER || own->cluster.s[0] == '\0' || own->takeover)
		return NULL;
	for (uint32_t i = 0; i < t->c->repl.services; i++) {
		const struct dr_service *s = &t->c->repl.service[i];
		bool waits = s->part.plan == p->id && s->part.group == p->group && s->part.state == DR_PART_WAITING;
		if (i != t->ix && s->used && dr_name_eq(&s->spec.cluster, &own->cluster) &&
		    (s->plan.id != 0 || (waits && i < t->ix)))
			return s;
	}
	return NULL;
}

/* Whether it has to wait for another shard; one that waits for a person itself would have it wait for ever. */
static bool waits_for_shard(struct dr_think *t, const struct dr_site_plan *p)
{
	const struct dr_service *other = another_shard(t, p);
	if (other == NULL)
		return false;
	if (other->plan.id != 0 && other->plan.state != DR_PLAN_RUNNING) {
		leave(t, p, DR_REASON_PLAN_IS_OPEN, other->plan.id, 0);
		return true;
	}
	t->v->part_since_ms = t->c->view.now_ms;
	dr_wake_at(t->out, t->c->view.now_ms + SHARD_MS);
	return true;
}

static void take_turn(struct dr_think *t, const struct dr_site_plan *p, uint64_t age)
{
	struct dr_cmd cmd;
	struct dr_refusal no = dr_ask_part(t, p, &cmd);
	if (no.reason == DR_REASON_NONE) {
		cmd.site_plan = p->id;
		(void)dr_propose(t, &cmd);
	} else if ((is_final(no.reason) || age >= patience_ms(t, p, age)) && !DR_MUTANT(SITE_WAITS_FOR_ALL)) {
		leave(t, p, no.reason, no.a, no.b);
	} else {
		dr_wake_at(t->out, t->v->part_since_ms + patience_ms(t, p, age));
	}
}

/* It was not to be moved for its silence; that is over. */
static void let_go(struct dr_think *t)
{
	uint64_t silent = 0;
	enum dr_verdict v = dr_core_verdict(t->c, t->ix, t->s->holder, &silent);
	if (!dr_heard(t, t->s->holder) || (v != DR_VERDICT_OK && v != DR_VERDICT_FAILED))
		return;
	struct dr_cmd cmd = dr_cmd_for(t, DR_CMD_SITE_LEFT);
	cmd.site_plan = t->s->part.plan;
	(void)dr_propose(t, &cmd);
}

bool dr_site_think(struct dr_think *t)
{
	const struct dr_part *part = &t->s->part;
	const struct dr_site_plan *p = NULL;
	if (dr_service_is_held_back(t->s))
		let_go(t);
	if (part->state == DR_PART_WAITING || part->state == DR_PART_MOVING)
		p = dr_repl_site_plan(&t->c->repl, part->plan);
	if (p == NULL || !p->open)
		return false;
	bool waits = part->state == DR_PART_WAITING;
	bool holds_back = waits && p->kind == DR_PLAN_FAILOVER;
	if (part->group != p->group || p->pending == 0) /* another group's turn, or a step's of the runbook */
		return holds_back && !DR_MUTANT(SITE_OVERTAKEN);
	uint64_t age = part_age(t, p);
	uint64_t limit = p->kind == DR_PLAN_FAILOVER ? MOVE_MS : SWITCH_MS;
	if (waits && waits_for_shard(t, p))
		return holds_back;
	if (waits)
		take_turn(t, p, age);
	else if (age >= limit)
		leave(t, p, DR_REASON_STILL_MOVING, part->own, limit);
	else
		dr_wake_at(t->out, t->v->part_since_ms + limit);
	return holds_back && !DR_MUTANT(SITE_OVERTAKEN);
}
