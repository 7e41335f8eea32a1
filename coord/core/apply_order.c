/* apply_order.c -- orders and their results, fence proofs, sync sets, members, routes. */
#include "coord/core/emit.h"

#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"

struct dr_sync dr_sync_effective(const struct dr_sync *s, dr_member_ix holder)
{
	if (s->k > 0 && s->set != 0)
		return *s;
	return (struct dr_sync){ .set = dr_set_of(holder), .k = 1 };
}

/* An acknowledged write is with at least k_a of set_a or k_b of set_b.  Reading |union| - min(k) + 1 members of
 * the union meets one of them either way. */
struct dr_sync dr_sync_joint(const struct dr_sync *a, const struct dr_sync *b)
{
	return (struct dr_sync){ .set = (dr_member_set)(a->set | b->set), .k = a->k < b->k ? a->k : b->k };
}

uint32_t dr_sync_positions_needed(const struct dr_sync *s)
{
	uint32_t n = dr_set_count(s->set);
	dr_assert(s->k <= n);
	return n - s->k + 1;
}

bool dr_is_of_service(const struct dr_service *s, uint64_t system_id)
{
	return system_id == 0 || s->system_id == 0 || system_id == s->system_id;
}

bool dr_is_as_far_as(const struct dr_member_repl *m, uint32_t timeline, uint64_t position)
{
	if (m->frozen_timeline != timeline)
		return m->frozen_timeline > timeline;
	return m->frozen_position >= position;
}

bool dr_has_all_of(const struct dr_member_repl *m, const struct dr_member_repl *source)
{
	return dr_is_as_far_as(m, source->frozen_timeline, source->frozen_position);
}

/* Under async lineages are not written anew when the holder is chosen (apply_plan.c): it is the last primary's that counts. */
bool dr_is_part_of_holder(const struct dr_service *s, dr_member_ix m)
{
	const struct dr_member_repl *x = &s->member[m], *h = &s->member[s->holder];
	/* It was a holder and has followed nobody since.  Restarted, it says no more than how far it was at least. */
	bool beyond = x->proof_epoch > x->lineage && !dr_kind_keeps_place(s->spec.kind);
	return x->frozen_epoch == s->epoch && dr_is_of_service(s, x->frozen_system_id) && x->lineage >= s->primary_epoch &&
	       h->lineage >= s->primary_epoch && !beyond &&
	       dr_has_all_of(h, x);
}

/* A person's word that its server is stopped, or the machine's own switch: no order that was sent to it is carried out, and
 * nothing that it was told counts any more.  What it has acknowledged may be with nobody else. */
static bool stopped_for_good(struct dr_member_repl *m, enum dr_proof proof)
{
	bool tells = m->order.kind == DR_ORDER_ACKING || m->order.kind == DR_ORDER_FOLLOWING;
	if ((proof != DR_PROOF_OPERATOR && proof != DR_PROOF_EXTERNAL) || !m->may_ack)
		return false;
	m->unsure = true;
	m->may_ack = false;
	m->acks_epoch = 0;
	if (tells && m->order.k != 0)
		memset(&m->order, 0, sizeof(m->order));
	return true;
}

static void proved(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd, enum dr_proof proof)
{
	struct dr_member_repl *m = &s->member[cmd->member];
	uint64_t was = m->unproved_epoch;
	m->unproved_epoch = 0;
	m->proof = proof;
	m->proof_epoch = s->epoch;
	m->only_expired = proof == DR_PROOF_LEASE && (was != 0 || m->only_expired);
	if (!stopped_for_good(m, proof) && was == 0)
		return;
	struct dr_event_record *e = dr_emit(r, DR_EVENT_PROVED, cmd, s);
	e->proof = proof;
	e->plan = s->plan.id;
	e->a = was;
	dr_emit_member(e, s, cmd->member);
}

void dr_apply_prove(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	if (cmd->epoch != s->epoch || !dr_service_has(s, cmd->member) || cmd->member == s->holder) {
		dr_request_remember(r, cmd, DR_REASON_EPOCH_CHANGED, s->epoch);
		return;
	}
	proved(r, s, cmd, cmd->proof);
	dr_request_remember(r, cmd, DR_REASON_NONE, 0);
}

/* It may do so from now on, whether we ever hear of it or not, and over a connection that nobody has cut yet. */
static void will_ack(struct dr_service *s, dr_member_ix m)
{
	s->member[m].may_ack = true;
	s->member[m].acks_epoch = 0;
	for (dr_member_ix x = 0; x < DR_MEMBERS_MAX; x++) {
		struct dr_order_core *o = &s->member[x].order;
		if (o->kind == DR_ORDER_SYNC_SET)
			o->listed = dr_set_without(o->listed, m);
	}
}

/* The holder has ended all connections: none acknowledges any more that was made before the order was issued. */
static void were_cut(struct dr_service *s, const struct dr_order_core *o)
{
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX && o->clean; m++) {
		struct dr_member_repl *mr = &s->member[m];
		if (mr->acks_epoch == 0 && !DR_MUTANT(CUT_UNANSWERED))
			continue; /* told, and not heard since: it may begin to at any time */
		mr->acks_epoch = 0;
		mr->may_ack = mr->may_ack && !dr_set_has(o->listed, m);
	}
}

void dr_apply_order(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	if (cmd->epoch != s->epoch || !dr_service_has(s, cmd->member))
		return;
	struct dr_member_repl *m = &s->member[cmd->member];
	m->order = cmd->order;
	m->order_last += DR_MUTANT(NUMBER_TWICE) && m->order_last % 4 == 3 && m->done.number == m->order_last ? 0 : 1;
	m->order.number = m->order_last;
	m->order.epoch = s->epoch;
	if ((m->order.kind == DR_ORDER_ACKING || m->order.kind == DR_ORDER_FOLLOWING) && m->order.k != 0)
		will_ack(s, cmd->member);
	/* Told the same again: somebody may have undone it, and it acknowledged by itself meanwhile. */
	if (m->order.kind == DR_ORDER_SYNC_SET && m->sync_epoch == s->epoch && m->sync_version == s->next_version)
		s->since = (struct dr_sync){ 0 };
	if (m->order.kind == DR_ORDER_LISTED) {
		m->order.list_version = ++s->list_version;
	} else if (m->order.kind == DR_ORDER_WRITABLE) {
		m->order.listed = dr_set_without(s->listed, cmd->member);
		m->order.list_version = s->list_version;
	}
	struct dr_event_record *e = dr_emit(r, DR_EVENT_ORDER_ISSUED, cmd, s);
	e->order = m->order.kind;
	e->number = m->order.number;
	e->plan = m->order.plan;
	e->step = m->order.step;
	dr_emit_member(e, s, cmd->member);
}

/* The holder's agent asks all of them before it goes on without a leader: from now on they may be promoted when its
 * lease is over. */
static void list_was_taken(struct dr_service *s, const struct dr_order_core *o)
{
	if (o->list_version != s->list_version && !DR_MUTANT(ACK_OLD_EPOCH))
		return;
	s->listed = (dr_member_set)(o->listed & dr_service_members(s));
	s->list_epoch = s->epoch;
	s->list_taken = s->list_version;
}

static void sync_was_set(struct dr_service *s, struct dr_member_repl *m, const struct dr_order_core *o)
{
	if (o->sync != s->next.set || o->k != s->next.k)
		return;
	m->sync_epoch = s->epoch;
	m->sync_version = s->next_version;
}

/* What it has is a part of the holder's: it may acknowledge before it is logged that it follows (apply_plan.c). */
static void in_line(const struct dr_service *s, struct dr_member_repl *m, const struct dr_order_core *o)
{
	if (o->target == s->holder && s->spec.durability == DR_DURABILITY_SYNC)
		m->lineage = s->epoch;
}

/* Whoever did as a standby does has let go of its lease, whatever that rested on. */
static bool gives_up_lease(enum dr_order_kind kind)
{
	return kind == DR_ORDER_FENCED || kind == DR_ORDER_FROZEN || kind == DR_ORDER_CAUGHT_UP ||
	       kind == DR_ORDER_FOLLOWING || kind == DR_ORDER_COMPARED || kind == DR_ORDER_SALVAGED ||
	       kind == DR_ORDER_REWOUND;
}

/* Its final position; one that has caught up has all of the target's. */
static void stands_still(const struct dr_service *s, const struct dr_cmd *cmd, struct dr_member_repl *m,
			 const struct dr_order_core *o)
{
	bool caught_up = o->kind == DR_ORDER_CAUGHT_UP && o->target < DR_MEMBERS_MAX;
	const struct dr_member_repl *to = caught_up ? &s->member[o->target] : NULL;
	m->frozen_epoch = s->epoch;
	m->frozen_position = cmd->result.position;
	m->frozen_timeline = cmd->result.timeline;
	m->frozen_system_id = cmd->result.system_id;
	/* It has received all of the target's, so it is on the target's timeline, whatever its files say yet. */
	if (to != NULL && to->frozen_timeline > m->frozen_timeline)
		m->frozen_timeline = to->frozen_timeline;
	if (to != NULL && to->lineage > m->lineage)
		m->lineage = to->lineage;
	m->joined_epoch = 0;
	/* A straggler: the others were looked through when the holder had caught up. */
	if (s->holder < DR_MEMBERS_MAX && s->last_holder == s->holder && cmd->member != s->holder &&
	    !dr_is_part_of_holder(s, cmd->member))
		m->frozen_epoch = 0;
}

/* The promise rests on it since it was chosen, and it was never promoted: a restart in between has cost it something. */
static bool was_only_chosen(const struct dr_service *s, const struct dr_member_repl *m)
{
	return dr_kind_asks_to_ack(s->spec.kind) && s->last_holder < DR_MEMBERS_MAX && m == &s->member[s->last_holder] &&
	       m->lineage != s->primary_epoch;
}

/* Who receives from nobody, or was told so, acknowledges nothing; what it may have promised before is judged by whether it
 * stands still with all of it. */
static void acks_are_known(struct dr_service *s, struct dr_member_repl *m, const struct dr_order_result *res)
{
	if (m->order.kind == DR_ORDER_SYNC_SET && s->holder < DR_MEMBERS_MAX && m == &s->member[s->holder])
		were_cut(s, &m->order);
	bool says = m->order.kind == DR_ORDER_ACKING || m->order.kind == DR_ORDER_FOLLOWING;
	bool still = m->order.kind == DR_ORDER_FROZEN || m->order.kind == DR_ORDER_CAUGHT_UP;
	if (still || (says && m->order.k == 0)) {
		m->unsure = m->unsure || ((m->may_ack || was_only_chosen(s, m)) && !res->acked);
		m->may_ack = false;
		m->acks_epoch = 0;
	} else if (m->order.kind == DR_ORDER_WRITABLE) {
		m->unsure = m->may_ack = false; /* what it has is what there is */
		m->acks_epoch = 0;
	} else if (m->order.kind == DR_ORDER_FENCED) {
		m->unsure = m->unsure || m->may_ack; /* it was stopped, and may have forgotten what it had not applied */
		m->may_ack = false;
		m->acks_epoch = 0;
	} else if (says && m->order.target == s->holder) {
		m->unsure = false; /* it had all when it began, or the promise rests on the holder until it has */
		m->acks_epoch = s->epoch;
	}
}

static void order_done(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	struct dr_member_repl *m = &s->member[cmd->member];
	const struct dr_order_core *o = &m->order;
	const struct dr_order_result *res = &cmd->result;
	m->only_expired = m->only_expired && !gives_up_lease(o->kind);
	switch (o->kind) {
	case DR_ORDER_FENCED:
		if (cmd->member != s->holder)
			proved(r, s, cmd, DR_PROOF_AGENT);
		m->joined_epoch = 0;
		/* A clean stop's position is final: nothing runs that could add to it. */
		m->frozen_epoch = o->clean && res->position != 0 ? s->epoch : 0;
		m->frozen_position = res->position;
		m->frozen_timeline = res->timeline;
		m->frozen_system_id = res->system_id;
		break;
	case DR_ORDER_FROZEN:
	case DR_ORDER_CAUGHT_UP:
		stands_still(s, cmd, m, o);
		break;
	case DR_ORDER_WRITABLE:
		m->joined_epoch = m->lineage = s->epoch;
		m->frozen_epoch = 0;
		sync_was_set(s, m, o);
		if (cmd->member == s->holder)
			list_was_taken(s, o);
		break;
	case DR_ORDER_SYNC_SET:
		sync_was_set(s, m, o);
		break;
	case DR_ORDER_LISTED:
		if (cmd->member == s->holder)
			list_was_taken(s, o);
		break;
	case DR_ORDER_FOLLOWING:
		if (o->target != s->holder)
			break;
		m->joined_epoch = m->lineage = s->epoch;
		m->frozen_epoch = 0;
		dr_emit_member(dr_emit(r, DR_EVENT_JOINED, cmd, s), s, cmd->member);
		break;
	case DR_ORDER_ADOPTED:
		if (cmd->member == s->holder)
			m->joined_epoch = s->epoch;
		else if (m->unproved_epoch != 0)
			proved(r, s, cmd, DR_PROOF_AGENT); /* its agent runs it as a standby from now on */
		break;
	case DR_ORDER_COMPARED:
		m->divergence = res->divergence;
		if (res->divergence == DR_DIVERGENCE_NONE)
			in_line(s, m, o);
		break;
	case DR_ORDER_REWOUND:
		m->divergence = DR_DIVERGENCE_NONE;
		in_line(s, m, o);
		break;
	default:
		break;
	}
}

void dr_apply_order_end(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	if (!dr_service_has(s, cmd->member))
		return;
	struct dr_member_repl *m = &s->member[cmd->member];
	bool of_it = m->order.number == cmd->result.number && m->order.epoch == cmd->result.epoch;
	if (m->order.number == 0 || !of_it || m->order.epoch != s->epoch)
		return;
	struct dr_event_record *e = dr_emit(r, DR_EVENT_ORDER_ENDED, cmd, s);
	e->order = m->order.kind;
	e->number = m->order.number;
	e->plan = m->order.plan;
	e->step = m->order.step;
	e->outcome = cmd->result.outcome;
	e->a = cmd->result.position;
	e->b = cmd->result.timeline;
	memcpy(e->text, cmd->result.text, sizeof(e->text));
	dr_emit_member(e, s, cmd->member);
	m->result = cmd->result;
	if (cmd->result.outcome == DR_OUTCOME_DONE) {
		m->fails = 0;
		m->done = m->order;
		acks_are_known(s, m, &cmd->result);
		order_done(r, s, cmd);
	} else if (cmd->result.code == DR_E_BEHIND && m->order.kind == DR_ORDER_WRITABLE && s->holder == cmd->member) {
		/* It had all that was acknowledged, and has not any more: nobody is known to. */
		s->last_holder = s->last_holder == cmd->member ? DR_MEMBER_NONE : s->last_holder;
		m->unsure = m->unsure || dr_kind_asks_to_ack(s->spec.kind);
		m->fails++;
	} else if (cmd->result.code != DR_E_PROMISED) {
		m->fails++; /* a promise ends by itself */
	}
	memset(&m->order, 0, sizeof(m->order));
}

void dr_apply_sync_change(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	if (cmd->epoch != s->epoch || s->holder == DR_MEMBER_NONE || s->last_holder != s->holder)
		return;
	bool names_nobody = s->spec.durability == DR_DURABILITY_BOUNDED && cmd->set == 0;
	if ((cmd->k > dr_set_count(cmd->set) && !names_nobody) || dr_set_has(cmd->set, s->holder) ||
	    (cmd->set & ~dr_service_members(s)) != 0)
		return;
	struct dr_sync want = { .set = cmd->set, .k = cmd->k };
	struct dr_sync next = dr_sync_effective(&want, s->holder);
	if (!DR_MUTANT(SET_SHRUNK_LATE))
		s->sync = dr_sync_joint(&s->sync, &next);
	if (s->since.set != 0)
		s->since = dr_sync_joint(&s->since, &next);
	s->next = want;
	s->next_version++;
	s->sync_joint = true;
	if (cmd->reason == DR_REASON_SYNC_UNDONE) {
		dr_emit_member(dr_emit(r, DR_EVENT_SYNC_UNDONE, cmd, s), s, s->holder);
		return;
	}
	struct dr_event_record *e = dr_emit(r, DR_EVENT_SYNC_CHANGING, cmd, s);
	e->a = cmd->set;
	e->b = cmd->k;
}

void dr_apply_sync_confirm(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	if (cmd->epoch != s->epoch || cmd->a != s->next_version || !s->sync_joint ||
	    s->last_holder != s->holder)
		return;
	s->sync = dr_sync_effective(&s->next, s->holder);
	s->since = (struct dr_sync){ 0 };
	s->sync_joint = false;
	/* The holder's server streams to all of it: what they have is a part of the holder's, joined in the log or not. */
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (dr_set_has(s->next.set, m))
			s->member[m].lineage = s->epoch;
	}
	struct dr_event_record *e = dr_emit(r, DR_EVENT_SYNC_CHANGED, cmd, s);
	e->a = s->next.set;
	e->b = s->next.k;
}

void dr_apply_member_joined(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	if (cmd->epoch != s->epoch || !dr_service_has(s, cmd->member) || cmd->member == s->holder)
		return;
	s->member[cmd->member].joined_epoch = s->member[cmd->member].lineage = s->epoch;
	s->member[cmd->member].frozen_epoch = 0;
	dr_emit_member(dr_emit(r, DR_EVENT_JOINED, cmd, s), s, cmd->member);
}

void dr_apply_member_left(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	if (cmd->epoch != s->epoch || !dr_service_has(s, cmd->member) || cmd->member == s->holder)
		return;
	s->member[cmd->member].joined_epoch = 0;
	dr_emit_member(dr_emit(r, DR_EVENT_LEFT, cmd, s), s, cmd->member);
}

void dr_apply_routed(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd)
{
	if (cmd->epoch != s->epoch || cmd->route >= DR_ROUTES_MAX)
		return;
	const struct dr_spec_route *route = &s->spec.route[cmd->route];
	if (route->kind == DR_ROUTE_NONE)
		return;
	uint32_t known = s->route_epoch[cmd->route] == cmd->epoch ? s->route_servers[cmd->route] : 0;
	uint32_t all = dr_route_all(route);
	s->route_epoch[cmd->route] = cmd->epoch;
	/* Each coordinator answers for itself, and two of them may have at once. */
	s->route_servers[cmd->route] = dr_route_is_local(route) ? known | cmd->servers : cmd->servers;
	s->route_held[cmd->route] &= ~s->route_servers[cmd->route];
	bool whole = (s->route_servers[cmd->route] & all) == all;
	struct dr_event_record *e = dr_emit(r, whole ? DR_EVENT_ROUTE_DONE : DR_EVENT_ROUTE_PARTLY, cmd, s);
	e->plan = s->plan.id;
	e->a = s->route_servers[cmd->route];
	e->b = all;
}
