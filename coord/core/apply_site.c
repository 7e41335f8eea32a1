/* apply_site.c -- site plans: which services one takes, whose turn it is, what became of each.
 *
 *   WAITING --its group's turn, its own plan opens--> MOVING --it closed, moved--> DONE
 *      |  ^                                              |
 *      |  +--failed: a failover is tried PART_TRIES times+
 *      +--cannot move--> LEFT <--asks a person, takes too long, failed, ended where it was--+
 *
 * When nobody of a group waits or moves any more, the next group's turn comes; after the last the site plan is closed.
 * In between, before and after, steps of the runbook have theirs (apply_runbook.c).
 * All of it follows from committed commands, so a leader that dies in between loses nothing.  One that is LEFT may
 * still be moved by its own plan, and is DONE then. */
#include "coord/core/emit.h"

#include <string.h>

#include "base/mutant.h"

enum { PART_TRIES = 3 };

const struct dr_site_plan *dr_repl_site_plan(const struct dr_repl *r, uint64_t id)
{
	for (uint32_t i = 0; id != 0 && i < DR_SITE_PLANS_KEPT; i++) {
		if (r->site_plan[i].id == id)
			return &r->site_plan[i];
	}
	return NULL;
}

const struct dr_site_plan *dr_repl_site_plan_of(const struct dr_repl *r, const struct dr_name *site)
{
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		if (r->site_plan[i].open && dr_name_eq(&r->site_plan[i].site, site))
			return &r->site_plan[i];
	}
	return NULL;
}

static struct dr_site_plan *plan_of(struct dr_repl *r, uint64_t id)
{
	const struct dr_site_plan *p = dr_repl_site_plan(r, id);
	return p != NULL ? &r->site_plan[p - r->site_plan] : NULL;
}

static bool is_pending(const struct dr_part *t)
{
	return t->state == DR_PART_WAITING || t->state == DR_PART_MOVING;
}

dr_member_set dr_service_members_in(const struct dr_service *s, const struct dr_name *site)
{
	dr_member_set all = 0;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (s->spec.member[m].name.s[0] != '\0' && dr_name_eq(&s->spec.member[m].site, site))
			all = dr_set_with(all, m);
	}
	return all;
}

static bool moves(enum dr_plan_kind k)
{
	return k == DR_PLAN_FAILOVER || k == DR_PLAN_SWITCHOVER;
}

/* Whose the service is: while it is being moved, the one that it is moved away from. */
static dr_member_ix owner(const struct dr_service *s)
{
	if (s->plan.id != 0 && moves(s->plan.kind))
		return s->plan.old;
	return s->holder != DR_MEMBER_NONE ? s->holder : s->last_holder;
}

static bool stands_in(const struct dr_service *s, dr_member_ix m, const struct dr_name *site)
{
	return m < DR_MEMBERS_MAX && dr_set_has(dr_service_members_in(s, site), m);
}

bool dr_service_is_in(const struct dr_service *s, const struct dr_name *site)
{
	return stands_in(s, owner(s), site);
}

bool dr_service_is_held_back(const struct dr_service *s)
{
	const struct dr_part *t = &s->part;
	return t->state == DR_PART_LEFT && t->left == DR_REASON_GIVEN_UP && t->b != 0 && s->holder == t->was &&
	       t->was != DR_MEMBER_NONE;
}

bool dr_site_plan_takes(const struct dr_repl *r, const struct dr_service *s, enum dr_plan_kind kind,
			const struct dr_name *site)
{
	const struct dr_site_plan *in = dr_repl_site_plan(r, s->part.plan);
	if (!s->used || !s->managed || (in != NULL && in->open && is_pending(&s->part)))
		return false;
	if (kind == DR_PLAN_FAILBACK)
		return s->home != s->holder && stands_in(s, s->home, site);
	return dr_service_is_in(s, site);
}

static struct dr_event_record *emit(struct dr_repl *r, enum dr_event_kind kind, const struct dr_cmd *cmd,
				    const struct dr_service *s, const struct dr_site_plan *p)
{
	struct dr_event_record *e = dr_emit(r, kind, cmd, s);
	e->plan = p->id;
	e->plan_kind = (uint32_t)p->kind;
	e->site = p->site;
	return e;
}

static size_t put_text(char *dst, size_t cap, size_t at, const char *text)
{
	while (*text != '\0' && at + 1 < cap)
		dst[at++] = *text++;
	dst[at] = '\0';
	return at;
}

/* The end of a list: false when nothing more has a place in it. */
static bool put_one(char *dst, size_t cap, size_t *at, const char *first, const char *name, const char *why)
{
	if (*at + strlen(first) + strlen(name) + strlen(why) + sizeof(" () ...") > cap) {
		(void)put_text(dst, cap, *at, " ...");
		return false;
	}
	*at = put_text(dst, cap, *at, first);
	*at = put_text(dst, cap, *at, name);
	*at = put_text(dst, cap, *at, " (");
	*at = put_text(dst, cap, *at, why);
	*at = put_text(dst, cap, *at, ")");
	return true;
}

static void name_failed(const struct dr_site_plan *p, char *dst, size_t cap, size_t at)
{
	const char *first = at == 0 ? "failed: " : "; failed: ";
	for (uint32_t i = 0; i < p->steps; i++) {
		const struct dr_site_step *s = &p->step[i];
		if (!dr_runbook_step_failed(s))
			continue;
		if (!put_one(dst, cap, &at, first, s->name.s, dr_reason_name(s->why)))
			return;
		first = ", ";
	}
}

/* "left: orders (no_candidate), stock (paused); failed: tell (step_failed)", as far as it goes; status has them all. */
static void name_left(const struct dr_repl *r, const struct dr_site_plan *p, char *dst, size_t cap)
{
	size_t at = 0;
	for (uint32_t i = 0; i < r->services; i++) {
		const struct dr_service *s = &r->service[i];
		if (!s->used || s->part.plan != p->id || s->part.state != DR_PART_LEFT)
			continue;
		if (!put_one(dst, cap, &at, at == 0 ? "left: " : ", ", s->spec.name.s, dr_reason_name(s->part.left)))
			return;
	}
	name_failed(p, dst, cap, at);
}

static void close_site(struct dr_repl *r, struct dr_site_plan *p, const struct dr_cmd *cmd)
{
	p->open = false;
	p->closed_wall_ms = cmd->wall_ms;
	struct dr_event_record *e = emit(r, DR_EVENT_SITE_CLOSED, cmd, NULL, p);
	bool whole = p->left == 0 && p->done == p->services && dr_runbook_failed(p) == 0;
	e->outcome = whole ? DR_OUTCOME_DONE : DR_OUTCOME_FAILED;
	e->a = p->done;
	e->b = p->left;
	if (cmd->reason == DR_REASON_NONE)
		name_left(r, p, e->text, sizeof(e->text));
}

/* All stayed where they were, and none is under way or may be yet, by a plan that asks a person: what was prepared for their
 * move is taken back. */
static bool came_to_nothing(const struct dr_repl *r, const struct dr_site_plan *p)
{
	if (p->kind == DR_PLAN_FAILOVER || p->done > 0)
		return false;
	for (uint32_t i = 0; i < r->services; i++) {
		const struct dr_service *s = &r->service[i];
		if (s->used && s->part.plan == p->id && s->plan.id != 0 && moves(s->plan.kind))
			return false;
	}
	return true;
}

/* A step of the runbook that is due, else the lowest group in which something is to be done; with neither the site plan is
 * over. */
static void next_turn(struct dr_repl *r, struct dr_site_plan *p, uint64_t wall_ms)
{
	struct dr_cmd plain = { .wall_ms = wall_ms };
	uint32_t group = 0, n = 0;
	for (uint32_t i = 0; i < r->services; i++) {
		const struct dr_part *t = &r->service[i].part;
		if (!r->service[i].used || t->plan != p->id || !is_pending(t) || (n > 0 && t->group > group))
			continue;
		if (DR_MUTANT(SITE_NEXT_TOO_EARLY) && t->state == DR_PART_MOVING)
			continue;
		n = n > 0 && t->group == group ? n + 1 : 1;
		group = t->group;
	}
	p->undoing = p->undoing || (n == 0 && came_to_nothing(r, p));
	p->pending = 0;
	n = p->undoing ? 0 : n; /* what moves goes on by itself */
	if (p->undoing ? dr_runbook_undo(r, p) : dr_runbook_turn(r, p, n > 0, group, wall_ms))
		return;
	p->pending = n;
	p->group = n > 0 ? group : p->group;
	if (n == 0) {
		close_site(r, p, &plain);
		return;
	}
	struct dr_event_record *e = emit(r, DR_EVENT_SITE_GROUP, &plain, NULL, p);
	e->a = group;
	e->b = n;
}

/* The service's part is over, or is after all. */
static void settle(struct dr_repl *r, struct dr_service *s, enum dr_part_state to, enum dr_reason why, uint64_t a,
		   uint64_t b, const struct dr_cmd *cmd)
{
	struct dr_part *t = &s->part;
	struct dr_site_plan *p = plan_of(r, t->plan);
	bool was_pending = is_pending(t);
	if (p == NULL)
		return;
	p->left -= t->state == DR_PART_LEFT && p->left > 0 ? 1u : 0u;
	p->done += to == DR_PART_DONE ? 1u : 0u;
	p->left += to == DR_PART_LEFT ? 1u : 0u;
	t->state = to;
	t->left = to == DR_PART_LEFT ? why : DR_REASON_NONE;
	t->a = a;
	t->b = b;
	if (to == DR_PART_LEFT) {
		struct dr_cmd plain = { .wall_ms = cmd->wall_ms, .reason = why, .a = a, .b = b };
		(void)emit(r, DR_EVENT_SITE_LEFT, &plain, s, p);
	}
	if (!p->open || !was_pending || t->group != p->group || p->pending == 0)
		return;
	p->pending--;
	if (p->pending == 0)
		next_turn(r, p, cmd->wall_ms);
}

/* What is taken over from a plan that is open already moves; all others wait for their turn. */
static void take_in(struct dr_service *s, const struct dr_site_plan *p)
{
	bool moving = s->plan.id != 0 && moves(s->plan.kind) && p->kind != DR_PLAN_FAILBACK &&
		      s->plan.state == DR_PLAN_RUNNING;
	s->part = (struct dr_part){ .plan = p->id, .state = moving ? DR_PART_MOVING : DR_PART_WAITING,
				    .group = s->spec.group, .tries = moving ? 1 : 0,
				    .own = moving ? s->plan.id : 0, .was = owner(s) };
	if (moving)
		s->plan.site_plan = p->id;
}

/* A place that is free, else that of the one that was closed first. */
static struct dr_site_plan *free_place(struct dr_repl *r)
{
	struct dr_site_plan *best = NULL;
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		struct dr_site_plan *p = &r->site_plan[i];
		if (!p->open && (best == NULL || p->id < best->id))
			best = p;
	}
	return best;
}

/* What a person held back only a person takes in again. */
static bool takes(const struct dr_repl *r, const struct dr_service *s, enum dr_plan_kind kind, const struct dr_cmd *cmd)
{
	bool automatic = cmd->actor.s[0] == '\0';
	return dr_site_plan_takes(r, s, kind, &cmd->site) && !(automatic && dr_service_is_held_back(s));
}

static enum dr_reason open_refused(const struct dr_repl *r, const struct dr_cmd *cmd, enum dr_plan_kind kind,
				   uint64_t *open, uint32_t *services)
{
	const struct dr_site_plan *known = dr_repl_site_plan_of(r, &cmd->site);
	*open = known != NULL ? known->id : 0;
	*services = 0;
	if (known != NULL)
		return DR_REASON_SITE_PLAN_IS_OPEN;
	for (uint32_t i = 0; i < r->services; i++)
		*services += takes(r, &r->service[i], kind, cmd) ? 1u : 0u;
	if (*services == 0)
		return kind == DR_PLAN_FAILBACK ? DR_REASON_NOTHING_TO_BRING_BACK : DR_REASON_NOTHING_IN_SITE;
	return DR_REASON_NONE;
}

/* NULL: refused, for *why and its value. */
static struct dr_site_plan *open_site(struct dr_repl *r, enum dr_plan_kind kind, const struct dr_cmd *cmd,
				      enum dr_reason *why, uint64_t *a)
{
	uint32_t services = 0;
	struct dr_site_plan *p = free_place(r);
	*why = open_refused(r, cmd, kind, a, &services);
	if (*why == DR_REASON_NONE && p == NULL)
		*why = DR_REASON_SITE_PLAN_IS_OPEN;
	if (*why != DR_REASON_NONE || p == NULL)
		return NULL;
	*p = (struct dr_site_plan){ .id = ++r->plan_last, .kind = kind, .open = true, .site = cmd->site,
				    .services = services, .opened_wall_ms = cmd->wall_ms, .actor = cmd->actor };
	p->steps = dr_runbook_of(r, kind, &p->site, p->step);
	for (uint32_t i = 0; i < r->services; i++) {
		if (takes(r, &r->service[i], kind, cmd))
			take_in(&r->service[i], p);
	}
	return p;
}

void dr_apply_site_open(struct dr_repl *r, const struct dr_cmd *cmd)
{
	enum dr_plan_kind kind = (enum dr_plan_kind)cmd->plan_kind;
	enum dr_reason why = DR_REASON_NO_SUCH_PLAN;
	uint64_t a = 0;
	struct dr_site_plan *p = NULL;
	if (moves(kind) || kind == DR_PLAN_FAILBACK)
		p = open_site(r, kind, cmd, &why, &a);
	dr_request_remember(r, cmd, why, p != NULL ? p->id : a);
	if (p == NULL)
		return;
	p->force = cmd->force;
	p->until_wall_ms = cmd->until_wall_ms;
	p->accept_loss = cmd->flag;
	p->assert_fenced = cmd->flag2;
	p->reason = cmd->reason;
	memcpy(p->text, cmd->text, sizeof(p->text));
	struct dr_event_record *e = emit(r, DR_EVENT_SITE_OPENED, cmd, NULL, p);
	e->a = p->services;
	e->b = 0;
	next_turn(r, p, cmd->wall_ms);
}

/* The first of a lost site's services brings the site plan with its own. */
static void open_with_first(struct dr_repl *r, const struct dr_cmd *cmd)
{
	enum dr_reason why;
	uint64_t a = 0;
	struct dr_site_plan *p = open_site(r, DR_PLAN_FAILOVER, cmd, &why, &a);
	if (p == NULL)
		return;
	p->reason = DR_REASON_SITE_LOST;
	struct dr_cmd plain = { .wall_ms = cmd->wall_ms, .reason = DR_REASON_SITE_LOST };
	emit(r, DR_EVENT_SITE_OPENED, &plain, NULL, p)->a = p->services;
	next_turn(r, p, cmd->wall_ms);
}

/* Nothing that begins by itself overtakes the groups before it; a person may. */
bool dr_part_may_open(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	if (cmd->site.s[0] != '\0' && cmd->request == 0 && cmd->plan_kind == DR_PLAN_FAILOVER)
		open_with_first(r, cmd);
	const struct dr_site_plan *p = dr_repl_site_plan(r, s->part.plan);
	bool waits = p != NULL && p->open && s->part.state == DR_PART_WAITING;
	bool its_turn = waits && p->pending > 0 && s->part.group == p->group;
	if (cmd->site_plan != 0)
		return its_turn && p->id == cmd->site_plan;
	bool holds_back = waits && !its_turn && p->kind == DR_PLAN_FAILOVER && cmd->request == 0;
	return !holds_back || DR_MUTANT(SITE_OVERTAKEN);
}

/* What a failback finds on its way: whether the copy had to be changed, and how far behind it is. */
static void note_difference(struct dr_repl *r, const struct dr_service *s, const struct dr_site_plan *p,
			    const struct dr_cmd *cmd)
{
	if (s->home >= DR_MEMBERS_MAX)
		return;
	enum dr_divergence d = s->member[s->home].divergence;
	bool changed = d == DR_DIVERGENCE_REWIND || d == DR_DIVERGENCE_CLONE;
	struct dr_cmd plain = { .wall_ms = cmd->wall_ms, .b = cmd->b,
				.reason = changed ? DR_REASON_HISTORY_LEFT : DR_REASON_HISTORY_KEPT };
	dr_emit_member(emit(r, DR_EVENT_SITE_COMPARED, &plain, s, p), s, s->home);
}

void dr_part_opened(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	const struct dr_site_plan *p = dr_repl_site_plan(r, s->part.plan);
	bool of_it = p != NULL && p->open && s->part.state == DR_PART_WAITING;
	if (!of_it)
		return;
	bool fits = cmd->site_plan == p->id || (p->kind == DR_PLAN_FAILOVER && moves(s->plan.kind));
	if (!fits) {
		settle(r, s, DR_PART_LEFT, DR_REASON_SUPERSEDED, s->plan.id, 0, cmd);
		return;
	}
	s->part.state = DR_PART_MOVING;
	s->part.tries++;
	s->part.own = s->plan.id;
	s->plan.site_plan = p->id;
	if (DR_MUTANT(SITE_NEXT_TOO_EARLY))
		next_turn(r, plan_of(r, p->id), cmd->wall_ms);
	/* Of a lost site nobody is heard; if somebody is again, it is as good as any. */
	if (p->kind != DR_PLAN_FAILBACK && p->actor.s[0] != '\0')
		s->plan.avoid = dr_service_members_in(s, &p->site);
	if (p->kind == DR_PLAN_FAILBACK)
		note_difference(r, s, p, cmd);
}

void dr_part_asks(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	if (s->part.state == DR_PART_MOVING && s->part.own == s->plan.id)
		settle(r, s, DR_PART_LEFT, cmd->reason, cmd->a, cmd->b, cmd);
}

static bool has_moved(const struct dr_service *s, const struct dr_site_plan *p)
{
	if (s->holder == DR_MEMBER_NONE || s->primary_epoch != s->epoch)
		return false;
	if (DR_MUTANT(SITE_MOVES_NOT_SEEN))
		return true;
	return p->kind == DR_PLAN_FAILBACK ? s->holder == s->home : !stands_in(s, s->holder, &p->site);
}

/* Whoever it was moved to, and who died then, stands elsewhere: what a person said of the site says nothing about it. */
static bool may_try_again(const struct dr_service *s, const struct dr_site_plan *p)
{
	return p->open && p->kind == DR_PLAN_FAILOVER && s->part.tries < PART_TRIES && dr_service_is_in(s, &p->site);
}

/* Where a service goes back to is where it was before the first of several site plans moved it. */
static void moved(struct dr_repl *r, struct dr_service *s, const struct dr_site_plan *p, const struct dr_cmd *cmd)
{
	if (p->kind == DR_PLAN_FAILBACK || s->home == s->holder)
		s->home = DR_MEMBER_NONE;
	else if (s->home == DR_MEMBER_NONE)
		s->home = s->part.was;
	settle(r, s, DR_PART_DONE, DR_REASON_NONE, 0, 0, cmd);
}

void dr_part_closed(struct dr_repl *r, struct dr_service *s, uint64_t plan, const struct dr_cmd *cmd, bool success)
{
	struct dr_part *t = &s->part;
	const struct dr_site_plan *p = dr_repl_site_plan(r, t->plan);
	bool own = t->own == plan;
	if (p == NULL || (t->state != DR_PART_LEFT && (t->state != DR_PART_MOVING || !own)))
		return;
	if (success && has_moved(s, p)) { /* of what was left also by another plan */
		moved(r, s, p, cmd);
	} else if (t->state == DR_PART_LEFT) {
		return;
	} else if (!success && cmd->request == 0 && may_try_again(s, p)) {
		t->state = DR_PART_WAITING;
	} else {
		bool named = !success && cmd->reason != DR_REASON_NONE;
		settle(r, s, DR_PART_LEFT, named ? cmd->reason : DR_REASON_NOT_MOVED, named ? cmd->a : plan,
		       named ? cmd->b : 0, cmd);
	}
}

void dr_part_gone(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	if (is_pending(&s->part))
		settle(r, s, DR_PART_LEFT, DR_REASON_NO_SUCH_SERVICE, 0, 0, cmd);
}

void dr_apply_site_left(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	const struct dr_site_plan *p = dr_repl_site_plan(r, s->part.plan);
	if (cmd->reason == DR_REASON_NONE && cmd->site_plan == s->part.plan && dr_service_is_held_back(s)) {
		s->part.b = 0;
		return;
	}
	if (p == NULL || p->id != cmd->site_plan || !p->open || !is_pending(&s->part))
		return;
	if (s->part.state == DR_PART_WAITING && s->plan.id == 0 && has_moved(s, p))
		moved(r, s, p, cmd); /* by a plan that was open when the site plan began: there is nothing left to do */
	else
		settle(r, s, DR_PART_LEFT, cmd->reason, cmd->a, cmd->b, cmd);
}

void dr_apply_site_step(struct dr_repl *r, const struct dr_cmd *cmd)
{
	struct dr_site_plan *p = plan_of(r, cmd->site_plan);
	if (p != NULL && dr_runbook_ended(r, p, cmd))
		next_turn(r, p, cmd->wall_ms);
}

void dr_apply_site_approve(struct dr_repl *r, const struct dr_cmd *cmd)
{
	struct dr_site_plan *p = plan_of(r, cmd->site_plan);
	bool asks = p != NULL && p->open && p->asks;
	dr_request_remember(r, cmd, asks ? DR_REASON_NONE : DR_REASON_NOTHING_TO_APPROVE, cmd->site_plan);
	if (!asks)
		return;
	(void)emit(r, DR_EVENT_SITE_APPROVED, cmd, NULL, p);
	dr_runbook_drop(r, p, cmd->wall_ms);
	next_turn(r, p, cmd->wall_ms);
}

/* What has not begun does not, by itself either. */
static void leave_waiting(struct dr_repl *r, struct dr_site_plan *p)
{
	for (uint32_t i = 0; i < r->services; i++) {
		struct dr_part *t = &r->service[i].part;
		if (!r->service[i].used || t->plan != p->id || t->state != DR_PART_WAITING)
			continue;
		t->state = DR_PART_LEFT;
		t->left = DR_REASON_GIVEN_UP;
		t->a = p->id;
		t->b = p->kind == DR_PLAN_FAILOVER ? 1 : 0; /* it is held back */
		p->left++;
	}
}

/* Plans that are open go on: each may be given up by its own number.  What the steps of a planned one did is taken back
 * first; asked once more, it ends at once.  A step that runs is ended where it does, also after the plan. */
void dr_apply_site_close(struct dr_repl *r, const struct dr_cmd *cmd)
{
	struct dr_site_plan *p = plan_of(r, cmd->site_plan);
	if (p == NULL || !p->open) {
		dr_request_remember(r, cmd, DR_REASON_NO_SUCH_PLAN, 0);
		return;
	}
	bool again = p->undoing;
	leave_waiting(r, p);
	dr_runbook_drop(r, p, cmd->wall_ms);
	p->pending = 0;
	p->undoing = p->kind != DR_PLAN_FAILOVER;
	if (again || !p->undoing || !dr_runbook_undo(r, p))
		close_site(r, p, cmd);
	dr_request_remember(r, cmd, DR_REASON_NONE, p->id);
}
