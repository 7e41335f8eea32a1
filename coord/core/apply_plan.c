/* apply_plan.c -- plans open, advance, ask and close; epochs are declared and get their holder here. */
#include "coord/core/emit.h"

#include <string.h>

#include "base/mutant.h"
#include "model/report.h"

struct dr_plan *dr_service_plan(struct dr_service *s, uint64_t id)
{
	if (id == 0)
		return NULL;
	if (s->plan.id == id)
		return &s->plan;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (s->rejoin[m].id == id)
			return &s->rejoin[m];
	}
	return NULL;
}

bool dr_plan_may_end(const struct dr_plan *p)
{
	bool left_of_bar = p->bar >= p->steps || p->at < p->bar;
	return left_of_bar || (p->state == DR_PLAN_ASKING && p->step[p->at] == DR_STEP_PROMOTE);
}

static void close_plan(struct dr_repl *r, struct dr_service *s, struct dr_plan *p, const struct dr_cmd *cmd,
		       bool success)
{
	struct dr_event_record *e = dr_emit_plan(r, DR_EVENT_PLAN_CLOSED, cmd, s, p);
	uint64_t id = p->id;
	e->outcome = success ? DR_OUTCOME_DONE : DR_OUTCOME_FAILED;
	if (cmd->kind == DR_CMD_PLAN_CLOSE && p->kind != DR_PLAN_REJOIN)
		dr_emit_member(e, s, cmd->member);
	memset(p, 0, sizeof(*p));
	dr_part_closed(r, s, id, cmd, success);
}

static void close_rejoins(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd, uint64_t by)
{
	struct dr_cmd why = *cmd;
	why.reason = DR_REASON_SUPERSEDED;
	why.a = by;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (s->rejoin[m].id == 0)
			continue;
		close_plan(r, s, &s->rejoin[m], &why, false);
		memset(&s->member[m].order, 0, sizeof(s->member[m].order));
	}
}

static void start_step(struct dr_repl *r, struct dr_service *s, struct dr_plan *p, const struct dr_cmd *cmd)
{
	struct dr_cmd plain = { .wall_ms = cmd->wall_ms };
	(void)dr_emit_plan(r, DR_EVENT_STEP_STARTED, &plain, s, p);
}

/* From here on their clients may be held: however the plan ends, they are to be let go. */
static void forget_holding_routes(struct dr_service *s)
{
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		if (s->spec.route[i].kind == DR_ROUTE_NONE || !dr_route_holds(&s->spec.route[i]))
			continue;
		s->route_epoch[i] = s->route_servers[i] = 0;
		s->route_held[i] = dr_route_all(&s->spec.route[i]);
	}
}

bool dr_service_may_hold(const struct dr_service *s, uint32_t *route)
{
	for (*route = 0; *route < DR_ROUTES_MAX; ++*route) {
		if (s->route_held[*route] != 0)
			return true;
	}
	return false;
}

/* Past the last step the plan is over. */
static void advance(struct dr_repl *r, struct dr_service *s, struct dr_plan *p, const struct dr_cmd *cmd,
		    bool done)
{
	(void)dr_emit_plan(r, done ? DR_EVENT_STEP_DONE : DR_EVENT_STEP_SKIPPED, cmd, s, p);
	p->at++;
	p->tries = 0;
	p->state = DR_PLAN_RUNNING; /* a question that answered itself is not asked of the next step */
	p->ask = DR_REASON_NONE;
	if (p->at < p->steps && p->step[p->at] == DR_STEP_DRAIN && !DR_MUTANT(HOLD_NOT_UNDONE))
		forget_holding_routes(s);
	if (p->at < p->steps) {
		start_step(r, s, p, cmd);
	} else {
		struct dr_cmd plain = { .wall_ms = cmd->wall_ms };
		close_plan(r, s, p, &plain, true);
	}
}

static bool has_clients_to_hold(const struct dr_service *s)
{
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		if (s->spec.route[i].kind != DR_ROUTE_NONE && dr_route_holds(&s->spec.route[i]))
			return true;
	}
	return false;
}

/* A service without a place that holds clients has no step for it. */
static void copy_steps(const struct dr_service *s, struct dr_plan *p, const struct dr_plan_row *row)
{
	p->steps = 0;
	p->bar = row->bar;
	for (uint32_t i = 0; i < row->steps; i++) {
		if (row->step[i] != DR_STEP_DRAIN || has_clients_to_hold(s))
			p->step[p->steps++] = row->step[i];
		else if (i < row->bar)
			p->bar--;
	}
}

bool dr_plan_holds_clients(const struct dr_plan *p)
{
	for (uint32_t i = 0; p->id != 0 && i <= p->at && i < p->steps; i++) {
		if (p->step[i] == DR_STEP_DRAIN)
			return p->at <= p->bar;
	}
	return false;
}

static void fill_plan(struct dr_repl *r, const struct dr_service *s, struct dr_plan *p, const struct dr_cmd *cmd,
		      const struct dr_plan_row *row)
{
	memset(p, 0, sizeof(*p));
	p->id = ++r->plan_last;
	p->kind = (enum dr_plan_kind)cmd->plan_kind;
	copy_steps(s, p, row);
	p->wanted = cmd->member;
	p->member = cmd->member;
	p->old = s->holder != DR_MEMBER_NONE ? s->holder : s->last_holder;
	p->candidate = DR_MEMBER_NONE;
	p->source = DR_MEMBER_NONE;
	p->epoch_opened = s->epoch;
	p->opened_wall_ms = cmd->wall_ms;
	p->accept_loss = cmd->flag;
	p->assert_fenced = cmd->flag2;
	p->reason = cmd->reason;
	p->actor = cmd->actor;
}

bool dr_reason_moves(enum dr_reason r)
{
	return r == DR_REASON_SERVER_FAILED || r == DR_REASON_MEMBER_LOST || r == DR_REASON_CRASH_LOOP ||
	       dr_failure_policy(dr_failure_of(r)) == DR_FAILURE_MOVE;
}

bool dr_reason_in_place(enum dr_reason r)
{
	return r == DR_REASON_RESTART || r == DR_REASON_UNGRANTED;
}

static uint64_t newest_move(const struct dr_repl *r, uint32_t nth)
{
	return r->move_wall_ms[(r->moves_next + DR_MOVES_KEPT - nth) % DR_MOVES_KEPT];
}

uint64_t dr_moves_wait_ms(const struct dr_repl *r, uint64_t wall_ms)
{
	const struct dr_limits *l = &r->limits;
	if (l->automatic_moves == 0 || l->automatic_moves > DR_MOVES_KEPT)
		return 0;
	uint64_t at = newest_move(r, l->automatic_moves);
	/* A stamp from a clock that was far ahead blocks nothing. */
	if (at == 0 || at > wall_ms + l->within_ms || wall_ms >= at + l->within_ms)
		return 0;
	return at + l->within_ms - wall_ms;
}

/* Whether the plan counts: nobody ordered it, and nobody is asked before it moves the primary. */
static bool moves_by_itself(const struct dr_service *s, const struct dr_cmd *cmd)
{
	return cmd->plan_kind == DR_PLAN_FAILOVER && cmd->request == 0 && s->spec.auto_failover &&
	       dr_reason_moves(cmd->reason);
}

void dr_repl_note_move(struct dr_repl *r, uint64_t wall_ms)
{
	r->move_wall_ms[r->moves_next] = wall_ms;
	r->moves_next = (r->moves_next + 1) % DR_MOVES_KEPT;
}

static void note_move(struct dr_repl *r, const struct dr_service *s, const struct dr_cmd *cmd)
{
	if (DR_MUTANT(MOVES_NOT_COUNTED))
		return;
	dr_repl_note_move(r, cmd->wall_ms);
	if (dr_moves_wait_ms(r, cmd->wall_ms) == 0)
		return;
	struct dr_event_record *e = dr_emit(r, DR_EVENT_MOVES_LIMITED, cmd, s);
	e->reason = DR_REASON_MOVES_LIMITED;
	e->a = dr_moves_wait_ms(r, cmd->wall_ms);
	e->b = r->limits.automatic_moves;
}

static enum dr_reason open_refused(const struct dr_service *s, const struct dr_cmd *cmd)
{
	if (s->plan.id != 0)
		return DR_REASON_PLAN_IS_OPEN;
	if (cmd->plan_kind == DR_PLAN_ADOPT)
		return s->managed ? DR_REASON_ALREADY_MANAGED : DR_REASON_NONE;
	if (!s->managed)
		return DR_REASON_NOT_MANAGED;
	if (cmd->plan_kind != DR_PLAN_REJOIN)
		return cmd->epoch == s->epoch ? DR_REASON_NONE : DR_REASON_SUPERSEDED;
	if (!dr_service_has(s, cmd->member))
		return DR_REASON_NO_SUCH_MEMBER; /* taken out by a spec that came before */
	if (s->rejoin[cmd->member].id != 0)
		return DR_REASON_PLAN_IS_OPEN;
	return cmd->member == s->holder ? DR_REASON_IS_HOLDER : DR_REASON_NONE;
}

void dr_apply_plan_open(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	const struct dr_plan_row *row = dr_plan_row((enum dr_plan_kind)cmd->plan_kind);
	enum dr_reason refused = open_refused(s, cmd);
	/* Here, too: several services may have been looked at before the first of them had its plan. */
	bool moves = moves_by_itself(s, cmd);
	if (refused == DR_REASON_NONE && moves && dr_moves_wait_ms(r, cmd->wall_ms) > 0)
		refused = DR_REASON_MOVES_LIMITED;
	if (row == NULL || row->steps == 0 || refused != DR_REASON_NONE) {
		dr_request_remember(r, cmd, refused, s->plan.id);
		return;
	}
	bool rejoin = cmd->plan_kind == DR_PLAN_REJOIN;
	if (!rejoin && !dr_part_may_open(r, s, cmd))
		return;
	struct dr_plan *p = rejoin ? &s->rejoin[cmd->member] : &s->plan;
	fill_plan(r, s, p, cmd, row);
	if (rejoin)
		s->member[cmd->member].divergence = DR_DIVERGENCE_UNKNOWN;
	else
		close_rejoins(r, s, cmd, p->id);
	if (!rejoin)
		dr_part_opened(r, s, cmd);
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++)
		s->member[m].fails = 0;
	if (cmd->plan_kind == DR_PLAN_FAILOVER || cmd->plan_kind == DR_PLAN_SWITCHOVER)
		s->held_fenced = false;
	if (cmd->reason == DR_REASON_SERVER_FAILED || cmd->reason == DR_REASON_MEMBER_LOST ||
	    cmd->reason == DR_REASON_CRASH_LOOP ||
	    dr_failure_of(cmd->reason) != DR_FAILURE_NONE) {
		struct dr_event_record *i = dr_emit_plan(r, DR_EVENT_INCIDENT, cmd, s, p);
		dr_emit_member(i, s, p->old);
	}
	struct dr_event_record *e = dr_emit_plan(r, DR_EVENT_PLAN_OPENED, cmd, s, p);
	dr_emit_member(e, s, cmd->member);
	if (cmd->flag || cmd->flag2)
		(void)dr_emit_plan(r, DR_EVENT_VOUCHED, cmd, s, p);
	if (moves)
		note_move(r, s, cmd);
	start_step(r, s, p, cmd);
	dr_request_remember(r, cmd, DR_REASON_NONE, p->id);
}

/* The plan's present step, if the command speaks of it and of the present epoch. */
static struct dr_plan *present(struct dr_service *s, const struct dr_cmd *cmd)
{
	struct dr_plan *p = dr_service_plan(s, cmd->plan);
	return p != NULL && p->at == cmd->step && s->epoch == cmd->epoch ? p : NULL;
}

static void clear_orders(struct dr_service *s)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (DR_MUTANT(ACK_OLD_EPOCH) && s->member[m].order.kind == DR_ORDER_LISTED)
			continue;
		memset(&s->member[m].order, 0, sizeof(s->member[m].order));
		s->member[m].fails = 0;
	}
}

void dr_apply_declare(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	struct dr_plan *p = present(s, cmd);
	if (p == NULL || p->step[p->at] != DR_STEP_DECLARE)
		return;
	if (!DR_MUTANT(EPOCH_NOT_RAISED))
		s->epoch++;
	s->holder = DR_MEMBER_NONE;
	/* Not before: given up while it was being prepared, the service is as it was. */
	s->held_fenced = s->held_fenced || p->kind == DR_PLAN_FENCE;
	clear_orders(s);
	(void)dr_emit(r, DR_EVENT_EPOCH, cmd, s);
	advance(r, s, p, cmd, true);
}

static void give_epoch(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd, dr_member_ix m)
{
	s->holder = m;
	if (!DR_MUTANT(PROMOTED_FORGOTTEN))
		s->member[m].unproved_epoch = s->epoch;
	s->member[m].frozen_epoch = s->member[m].frozen_epoch == s->epoch ? s->epoch : 0;
	s->next = (struct dr_sync){ .set = dr_set_without((dr_member_set)(cmd->set & dr_service_members(s)), m),
				   .k = cmd->k };
	if (s->next.k > dr_set_count(s->next.set))
		s->next.k = dr_set_count(s->next.set);
	s->next_version++;
	/* Its first list, when it is promoted: whoever could be on the end of a lease so far, itself aside. */
	s->list_version++;
	struct dr_event_record *e = dr_emit(r, DR_EVENT_HOLDER, cmd, s);
	e->plan = cmd->plan;
	dr_emit_member(e, s, m);
}

/* Whose history is a part of the holder's: those of the same lineage that stand still at no more than it has, or
 * followed the primary that a switch has stopped in order.  They may acknowledge for it before it is logged that they follow.
 * Under async that is no merit: only whoever has followed is known to lack no more than a lag. */
static void keep_in_line(struct dr_service *s)
{
	const struct dr_member_repl *h = &s->member[s->holder];
	if (h->lineage < s->primary_epoch || s->spec.durability != DR_DURABILITY_SYNC)
		return;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		struct dr_member_repl *x = &s->member[m];
		bool still = x->frozen_epoch == s->epoch && x->frozen_position <= h->frozen_position;
		bool followed = s->plan.kind == DR_PLAN_SWITCHOVER && m != s->plan.old && x->joined_epoch != 0 &&
				x->joined_epoch + 1 == s->epoch;
		if (m == s->holder || (x->lineage >= s->primary_epoch && (still || followed)))
			x->lineage = s->epoch;
	}
}

/* What stands still and is no part of the holder's history is compared and saved before it may follow: it is not frozen any
 * more, so that it is left to a rejoin (rejoin.c). */
static void keep_frozen_in_line(struct dr_service *s)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (m != s->holder && !dr_is_part_of_holder(s, m))
			s->member[m].frozen_epoch = 0;
	}
}

/* Where the holder is lost, the others have all by themselves if one is as far as this, and of what it acknowledged itself
 * enough is known (choose.c).  by: whose final position that is, of all who had every acknowledged write; NONE: nobody's. */
static void note_chosen(struct dr_service *s, dr_member_ix by)
{
	const struct dr_member_repl *m = by < DR_MEMBERS_MAX ? &s->member[by] : NULL;
	bool known = m != NULL && m->frozen_epoch == s->epoch;
	s->chosen_position = known ? m->frozen_position : 0;
	s->chosen_timeline = known ? m->frozen_timeline : 0;
	s->since = known ? dr_sync_effective(&s->next, s->holder) : (struct dr_sync){ 0 };
	/* Told of an older epoch's primary, which may have been this one, and not heard since: it may still carry that out. */
	for (dr_member_ix x = 0; known && x < DR_MEMBERS_MAX; x++) {
		if (s->member[x].may_ack && x != s->holder)
			s->since.set = dr_set_with(s->since.set, x);
	}
}

/* The holder has every acknowledged write from here on, and nobody else need have: the promise rests on it and,
 * once they have caught up, on the set that its server will wait for (docs/decisions/0002-joint-sets.md). */
static void rest_on_holder(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd, dr_member_ix by)
{
	keep_in_line(s);
	note_chosen(s, by);
	struct dr_sync alone = { .set = dr_set_of(s->holder), .k = 1 };
	struct dr_sync next = dr_sync_effective(&s->next, s->holder);
	s->last_holder = s->holder;
	s->sync = dr_sync_joint(&alone, &next);
	s->sync_joint = true;
	struct dr_event_record *e = dr_emit(r, DR_EVENT_SYNC_CHANGING, cmd, s);
	e->a = s->next.set;
	e->b = s->next.k;
}

void dr_apply_choose(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	struct dr_plan *p = present(s, cmd);
	if (p == NULL || p->step[p->at] != DR_STEP_CHOOSE || !dr_service_has(s, cmd->member))
		return;
	/* One that was to stay where it was, and did not come back in time. */
	if (p->kind == DR_PLAN_FAILOVER && dr_reason_in_place(p->reason) && cmd->member != p->old)
		note_move(r, s, cmd);
	p->candidate = cmd->member;
	p->source = cmd->target;
	p->position = cmd->position;
	if (p->kind == DR_PLAN_FAILOVER)
		give_epoch(r, s, cmd, cmd->member);
	advance(r, s, p, cmd, true);
}

void dr_apply_claim(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	struct dr_plan *p = present(s, cmd);
	if (p == NULL || p->step[p->at] != DR_STEP_CLAIM || !dr_service_has(s, cmd->member))
		return;
	/* Agents that served under this name before have seen higher ones: they take no lower. */
	s->epoch = (s->epoch > cmd->a ? s->epoch : cmd->a) + 1;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (s->member[m].order_last < cmd->b)
			s->member[m].order_last = cmd->b;
	}
	s->managed = true;
	s->primary_epoch = s->epoch;
	s->system_id = 0; /* somebody may have made its data anew while nobody managed it */
	clear_orders(s);
	s->listed = 0; /* its agent has no list yet */
	struct dr_event_record *e = dr_emit(r, DR_EVENT_MODE, cmd, s);
	e->a = 1;
	(void)dr_emit(r, DR_EVENT_EPOCH, cmd, s);
	give_epoch(r, s, cmd, cmd->member);
	rest_on_holder(r, s, cmd, DR_MEMBER_NONE); /* it has written already, and waited for nobody of ours */
	s->was_primary = true;
	s->member[cmd->member].lineage = s->epoch;
	advance(r, s, p, cmd, true);
}

static void step_effects(struct dr_repl *r, struct dr_service *s, struct dr_plan *p, const struct dr_cmd *cmd)
{
	switch (p->step[p->at]) {
	case DR_STEP_CATCH_UP:
		if (p->kind == DR_PLAN_FAILOVER) {
			keep_frozen_in_line(s);
			rest_on_holder(r, s, cmd, s->holder);
		}
		break;
	case DR_STEP_FINAL_POSITION:
		give_epoch(r, s, cmd, p->candidate);
		rest_on_holder(r, s, cmd, s->last_holder == p->old ? p->old : DR_MEMBER_NONE);
		break;
	case DR_STEP_PROMOTE:
		s->primary_epoch = s->epoch;
		s->was_primary = true;
		for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++)
			s->member[m].only_expired = false;
		/* One that made the old primary primary again moved nothing: its next failure need not wait. */
		if (p->kind == DR_PLAN_FAILOVER && s->holder != p->old)
			s->last_failover_wall_ms = cmd->wall_ms;
		if (s->holder != p->old)
			s->last_restart_wall_ms = 0; /* that was another's */
		else if (p->reason == DR_REASON_RESTART)
			s->last_restart_wall_ms = cmd->wall_ms;
		dr_emit_member(dr_emit(r, DR_EVENT_PRIMARY, cmd, s), s, s->holder);
		break;
	default:
		break;
	}
}

void dr_apply_step_end(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	struct dr_plan *p = present(s, cmd);
	if (p == NULL)
		return;
	enum dr_step step = p->step[p->at];
	if (step == DR_STEP_DECLARE || step == DR_STEP_CHOOSE || step == DR_STEP_CLAIM)
		return; /* these are done by a command of their own, and never skipped: what follows needs what they name */
	if (cmd->flag)
		step_effects(r, s, p, cmd);
	advance(r, s, p, cmd, cmd->flag);
}

void dr_apply_ask(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	struct dr_plan *p = dr_service_plan(s, cmd->plan);
	if (p == NULL || p->at != cmd->step || p->state == DR_PLAN_ASKING)
		return;
	p->state = DR_PLAN_ASKING;
	p->ask = cmd->reason;
	p->ask_a = cmd->a;
	p->ask_b = cmd->b;
	(void)dr_emit_plan(r, DR_EVENT_PLAN_ASKS, cmd, s, p);
	if (p == &s->plan)
		dr_part_asks(r, s, cmd);
}

void dr_apply_approve(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	struct dr_plan *p = dr_service_plan(s, cmd->plan);
	if (p == NULL || p->state != DR_PLAN_ASKING) {
		dr_request_remember(r, cmd, p == NULL ? DR_REASON_NO_SUCH_PLAN : DR_REASON_NOTHING_TO_APPROVE, 0);
		return;
	}
	p->state = DR_PLAN_RUNNING;
	p->tries++;
	p->accept_loss = p->accept_loss || cmd->flag;
	p->assert_fenced = p->assert_fenced || cmd->flag2;
	p->actor = cmd->actor;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++)
		s->member[m].fails = 0;
	(void)dr_emit_plan(r, DR_EVENT_PLAN_APPROVED, cmd, s, p);
	if (cmd->flag || cmd->flag2)
		(void)dr_emit_plan(r, DR_EVENT_VOUCHED, cmd, s, p);
	dr_request_remember(r, cmd, DR_REASON_NONE, p->id);
}

void dr_apply_plan_close(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	struct dr_plan *p = dr_service_plan(s, cmd->plan);
	if (p == NULL) {
		dr_request_remember(r, cmd, DR_REASON_NO_SUCH_PLAN, 0);
		return;
	}
	/* A person may give up only what can still be undone. */
	if (cmd->request != 0 && p->kind != DR_PLAN_REJOIN && !dr_plan_may_end(p)) {
		dr_request_remember(r, cmd, DR_REASON_PAST_THE_BAR, p->id);
		return;
	}
	uint64_t id = p->id;
	if (p->kind == DR_PLAN_ADOPT && !cmd->flag)
		s->managed = false; /* nothing was taken over; agents that hold something are told to let go */
	if (p->kind == DR_PLAN_REJOIN)
		memset(&s->member[p->member].order, 0, sizeof(s->member[p->member].order));
	else
		clear_orders(s);
	close_plan(r, s, p, cmd, cmd->flag);
	dr_request_remember(r, cmd, DR_REASON_NONE, id);
}
