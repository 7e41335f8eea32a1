/* apply.c -- the only way into replicated state: one committed command at a time.
 *
 * Total and deterministic: a command that expects another epoch, plan or step than it finds came too late and
 * changes nothing, on every coordinator alike.  No clock, no view, nothing local. */
#include "coord/core/emit.h"

#include <string.h>

#include "base/assert.h"

void dr_repl_init(struct dr_repl *r)
{
	/* The memory is mapped and zero; only what zero does not say is written, so nothing else is touched. */
	r->applied = 0;
	r->timing = *dr_timing_profile("default");
}

const struct dr_event_record *dr_repl_event(const struct dr_repl *r, uint64_t index)
{
	if (index == 0 || index > r->event_last || r->event_last - index >= DR_EVENTS_KEPT)
		return NULL;
	const struct dr_event_record *e = &r->event[index % DR_EVENTS_KEPT];
	return e->index == index ? e : NULL;
}

struct dr_event_record *dr_emit(struct dr_repl *r, enum dr_event_kind kind, const struct dr_cmd *cmd,
				const struct dr_service *s)
{
	r->event_last++;
	struct dr_event_record *e = &r->event[r->event_last % DR_EVENTS_KEPT];
	memset(e, 0, sizeof(*e));
	e->index = r->event_last;
	e->log_index = r->applied;
	e->wall_ms = cmd->wall_ms;
	e->kind = kind;
	e->reason = cmd->reason;
	e->a = cmd->a;
	e->b = cmd->b;
	e->actor = cmd->actor;
	memcpy(e->text, cmd->text, sizeof(e->text));
	if (s != NULL) {
		e->service = s->spec.name;
		e->epoch = s->epoch;
	}
	return e;
}

void dr_emit_member(struct dr_event_record *e, const struct dr_service *s, dr_member_ix m)
{
	if (m < DR_MEMBERS_MAX)
		e->member = s->spec.member[m].name;
}

struct dr_event_record *dr_emit_plan(struct dr_repl *r, enum dr_event_kind kind, const struct dr_cmd *cmd,
				     const struct dr_service *s, const struct dr_plan *p)
{
	struct dr_event_record *e = dr_emit(r, kind, cmd, s);
	e->plan = p->id;
	e->plan_kind = (uint32_t)p->kind;
	e->step = p->at < p->steps ? (uint32_t)p->step[p->at] : 0;
	if (p->kind == DR_PLAN_REJOIN)
		dr_emit_member(e, s, p->member);
	return e;
}

void dr_request_remember(struct dr_repl *r, const struct dr_cmd *cmd, enum dr_reason refused, uint64_t a)
{
	if (cmd->request == 0)
		return;
	struct dr_request_done *d = &r->request[r->requests_next % DR_REQUESTS_KEPT];
	r->requests_next++;
	*d = (struct dr_request_done){ .request = cmd->request, .refused = refused, .a = a };
}

const struct dr_request_done *dr_repl_request_find(const struct dr_repl *r, uint64_t request)
{
	for (uint32_t i = 0; request != 0 && i < DR_REQUESTS_KEPT; i++) {
		if (r->request[i].request == request)
			return &r->request[i];
	}
	return NULL;
}

dr_member_ix dr_service_member_find(const struct dr_service *s, const char *name)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (s->spec.member[m].name.s[0] != '\0' && dr_name_is(&s->spec.member[m].name, name))
			return m;
	}
	return DR_MEMBER_NONE;
}

bool dr_service_has(const struct dr_service *s, dr_member_ix m)
{
	return m < DR_MEMBERS_MAX && s->spec.member[m].name.s[0] != '\0';
}

dr_member_set dr_service_members(const struct dr_service *s)
{
	dr_member_set all = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (s->spec.member[m].name.s[0] != '\0')
			all = dr_set_with(all, m);
	}
	return all;
}

static void apply_coordinator(struct dr_repl *r, const struct dr_cmd *cmd)
{
	struct dr_coordinator *place = NULL;
	for (uint32_t i = 0; i < DR_COORDINATORS_MAX; i++) {
		struct dr_coordinator *at = &r->coordinator[i];
		if (dr_name_eq(&at->name, &cmd->name)) {
			place = at;
			break;
		}
		if (place == NULL && at->name.s[0] == '\0')
			place = at;
	}
	if (place == NULL || cmd->name.s[0] == '\0' || (cmd->id == 0 && place->name.s[0] == '\0'))
		return;
	if (cmd->id == 0) {
		memset(place, 0, sizeof(*place));
	} else {
		bool known = place->id == cmd->id && dr_name_eq(&place->name, &cmd->name);
		*place = (struct dr_coordinator){ .name = cmd->name, .site = cmd->site, .address = cmd->address,
						  .id = cmd->id, .stored = cmd->flag };
		if (known && cmd->flag)
			return; /* nothing that anybody is to be told of */
	}
	uint32_t ix = (uint32_t)(place - r->coordinator);
	if (cmd->id != 0 && ix >= r->coordinators)
		r->coordinators = ix + 1;
	struct dr_event_record *e =
		dr_emit(r, cmd->id == 0 ? DR_EVENT_COORDINATOR_GONE : DR_EVENT_COORDINATOR, cmd, NULL);
	e->member = cmd->name;
	e->number = cmd->id;
}

/* Who leads is Raft's business: only what was asked for is kept. */
static void apply_transfer(struct dr_repl *r, const struct dr_cmd *cmd)
{
	dr_emit(r, DR_EVENT_TRANSFER, cmd, NULL)->member = cmd->name;
}

static void apply_ttl_settled(struct dr_repl *r, const struct dr_cmd *cmd)
{
	if (cmd->a == r->spec_version)
		r->ttl_longest_ms = r->timing.ttl_ms;
}

static void apply_pause(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	s->paused = cmd->flag;
	s->pause_until_wall_ms = cmd->flag ? cmd->until_wall_ms : 0;
	s->pause_actor = cmd->actor;
	memcpy(s->pause_text, cmd->text, sizeof(s->pause_text));
	if (!cmd->flag && dr_service_is_held_back(s))
		s->part.b = 0;
	(void)dr_emit(r, cmd->flag ? DR_EVENT_PAUSED : DR_EVENT_RESUMED, cmd, s);
	dr_request_remember(r, cmd, DR_REASON_NONE, 0);
}

/* Back to mode observe.  Managed again only through an adopt plan. */
static void apply_mode(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	uint32_t route = 0;
	if (cmd->flag || !s->managed || s->plan.id != 0) {
		dr_request_remember(r, cmd, s->managed ? DR_REASON_PLAN_IS_OPEN : DR_REASON_NOT_MANAGED,
				    s->plan.id);
		return;
	}
	/* Nobody would let them go any more. */
	if (!cmd->force && dr_service_may_hold(s, &route)) {
		dr_request_remember(r, cmd, DR_REASON_CLIENTS_HELD, route);
		return;
	}
	memset(s->route_held, 0, sizeof(s->route_held));
	s->managed = false;
	s->held_fenced = false;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++)
		memset(&s->rejoin[m], 0, sizeof(s->rejoin[m]));
	struct dr_event_record *e = dr_emit(r, DR_EVENT_MODE, cmd, s);
	e->a = 0;
	dr_request_remember(r, cmd, DR_REASON_NONE, 0);
}

static void forget_plan(struct dr_repl *r, struct dr_service *s, struct dr_plan *p, const struct dr_cmd *cmd)
{
	if (p->id == 0)
		return;
	uint64_t id = p->id;
	dr_emit_plan(r, DR_EVENT_PLAN_CLOSED, cmd, s, p)->outcome = DR_OUTCOME_FAILED;
	memset(p, 0, sizeof(*p));
	dr_part_closed(r, s, id, cmd, false);
}

/* Async promises nothing about who has the newest rows: unless the last primary is known, nothing automatic may
 * choose among those left. */
static void pause_recovered(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	struct dr_cmd why = { .wall_ms = cmd->wall_ms, .reason = DR_REASON_RECOVERED_BLIND };
	s->paused = true;
	s->pause_until_wall_ms = 0;
	s->pause_text[0] = '\0';
	(void)dr_name_set(&s->pause_actor, "recover");
	why.actor = s->pause_actor;
	(void)dr_emit(r, DR_EVENT_PAUSED, &why, s);
}

/* After `node recover`: everything that an agent may have seen beyond this log is out of date from now on, and
 * what this log believed about holders and sets is no base for any promise (recover.c). */
static void apply_recover(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	if (cmd->epoch <= s->epoch)
		return;
	forget_plan(r, s, &s->plan, cmd);
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		struct dr_member_repl *mr = &s->member[m];
		forget_plan(r, s, &s->rejoin[m], cmd);
		mr->order_last = mr->order_last < cmd->a ? cmd->a : mr->order_last;
		memset(&mr->order, 0, sizeof(mr->order));
		mr->fails = 0;
		mr->unproved_epoch = s->spec.member[m].name.s[0] != '\0' && cmd->flag ? cmd->epoch - 1 : 0;
		/* Whose history is the primary's: the last holder's, if it is known; else every position is needed and the
		 * furthest counts, whatever this log believed of it. */
		if (s->spec.durability == DR_DURABILITY_SYNC)
			mr->lineage = cmd->member == DR_MEMBER_NONE || cmd->member == m ? s->primary_epoch : 0;
	}
	s->epoch = cmd->epoch;
	s->holder = DR_MEMBER_NONE;
	s->managed = cmd->flag;
	s->last_holder = cmd->member;
	s->sync = (struct dr_sync){ .set = dr_service_members(s), .k = 1 };
	s->next = s->since = (struct dr_sync){ 0 };
	s->chosen_position = s->chosen_timeline = 0;
	s->listed = 0;
	s->list_version++;
	s->next_version++;
	s->sync_joint = true;
	struct dr_event_record *e = dr_emit(r, DR_EVENT_RECOVERED, cmd, s);
	dr_emit_member(e, s, cmd->member);
	bool blind = cmd->flag2 || cmd->member == DR_MEMBER_NONE;
	if (cmd->flag && blind && s->spec.durability != DR_DURABILITY_SYNC)
		pause_recovered(r, s, cmd);
}

/* Once, until the service is adopted anew: a volume that is another one's says so afterwards. */
static void apply_identity(struct dr_service *s, const struct dr_cmd *cmd)
{
	if (s->managed && s->epoch == cmd->epoch && s->primary_epoch == cmd->epoch && s->system_id == 0)
		s->system_id = cmd->a;
}

static void apply_to_service(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	switch (cmd->kind) {
	case DR_CMD_IDENTITY: apply_identity(s, cmd); break;
	case DR_CMD_PLAN_OPEN: dr_apply_plan_open(r, s, cmd); break;
	case DR_CMD_DECLARE: dr_apply_declare(r, s, cmd); break;
	case DR_CMD_CHOOSE: dr_apply_choose(r, s, cmd); break;
	case DR_CMD_CLAIM: dr_apply_claim(r, s, cmd); break;
	case DR_CMD_STEP_END: dr_apply_step_end(r, s, cmd); break;
	case DR_CMD_ASK: dr_apply_ask(r, s, cmd); break;
	case DR_CMD_APPROVE: dr_apply_approve(r, s, cmd); break;
	case DR_CMD_PLAN_CLOSE: dr_apply_plan_close(r, s, cmd); break;
	case DR_CMD_PROVE: dr_apply_prove(r, s, cmd); break;
	case DR_CMD_ORDER: dr_apply_order(r, s, cmd); break;
	case DR_CMD_ORDER_END: dr_apply_order_end(r, s, cmd); break;
	case DR_CMD_SYNC_CHANGE: dr_apply_sync_change(r, s, cmd); break;
	case DR_CMD_SYNC_CONFIRM: dr_apply_sync_confirm(r, s, cmd); break;
	case DR_CMD_MEMBER_JOINED: dr_apply_member_joined(r, s, cmd); break;
	case DR_CMD_MEMBER_LEFT: dr_apply_member_left(r, s, cmd); break;
	case DR_CMD_ROUTED: dr_apply_routed(r, s, cmd); break;
	case DR_CMD_PAUSE: apply_pause(r, s, cmd); break;
	case DR_CMD_MODE: apply_mode(r, s, cmd); break;
	case DR_CMD_RECOVER: apply_recover(r, s, cmd); break;
	case DR_CMD_SITE_LEFT: dr_apply_site_left(r, s, cmd); break;
	default: break;
	}
}

void dr_repl_apply(struct dr_repl *r, uint64_t index, const struct dr_cmd *cmd)
{
	dr_assert(index >= r->applied); /* commands that share an entry have its index */
	r->applied = index;
	if (cmd->request != 0 && dr_repl_request_find(r, cmd->request) != NULL)
		return;
	if (cmd->kind == DR_CMD_SPEC)
		dr_apply_spec(r, cmd);
	else if (cmd->kind == DR_CMD_COORDINATOR)
		apply_coordinator(r, cmd);
	else if (cmd->kind == DR_CMD_TRANSFER)
		apply_transfer(r, cmd);
	else if (cmd->kind == DR_CMD_TTL_SETTLED)
		apply_ttl_settled(r, cmd);
	else if (cmd->kind == DR_CMD_SITE_OPEN)
		dr_apply_site_open(r, cmd);
	else if (cmd->kind == DR_CMD_SITE_CLOSE)
		dr_apply_site_close(r, cmd);
	else if (cmd->kind == DR_CMD_SITE_STEP)
		dr_apply_site_step(r, cmd);
	else if (cmd->kind == DR_CMD_SITE_APPROVE)
		dr_apply_site_approve(r, cmd);
	else if (cmd->service < r->services && r->service[cmd->service].used)
		apply_to_service(r, &r->service[cmd->service], cmd);
	else if (cmd->kind != DR_CMD_TICK)
		dr_request_remember(r, cmd, DR_REASON_NO_SUCH_SERVICE, 0);
}
