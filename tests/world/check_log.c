/* check_log.c -- what must hold of the coordinators' log and of what follows from it, seen from outside: everybody
 * applies the same entries, no event is missing, nothing is undone past the bar, no more is moved automatically than the
 * spec allows, and who is proved fenced by the end of a lease has none. */
#include "tests/world/world.h"

#include <string.h>

#include "base/buf.h"
#include "proto/codec.h"

enum { BYTES_MAX = 1 << 20, COMMANDS_MAX = 128 }; /* commands: in one entry */

static struct dr_buf bytes;

static struct dr_buf *fresh(void)
{
	if (bytes.max == 0)
		dr_buf_init(&bytes, BYTES_MAX);
	dr_buf_clear(&bytes);
	return &bytes;
}

/* False: somebody had other bytes under this index. */
static bool same_as_seen(struct w_seen_bytes *seen, uint64_t index, uint64_t term)
{
	uint32_t crc = dr_crc32c(0, bytes.data, bytes.len);
	if (seen->index == index)
		return seen->crc == crc && seen->term == term;
	if (seen->index < index) /* else it is older than what is remembered */
		*seen = (struct w_seen_bytes){ .index = index, .term = term, .crc = crc };
	return true;
}

/* Of the command that c applied last: rises with the log. */
uint64_t w_check_key(const struct world *w, uint32_t c)
{
	return w->c[c].nth_of * COMMANDS_MAX + w->c[c].nth;
}

/* What one coordinator applied under an index, every other one applies there too: a committed entry is never lost. */
void w_check_entry(struct world *w, uint32_t c, uint64_t index, uint64_t term, const struct dr_cmd *cmd)
{
	struct w_coordinator *k = &w->c[c];
	k->nth = k->nth_of == index ? k->nth + 1 : 0;
	k->nth_of = index;
	uint64_t key = w_check_key(w, c);
	dr_cmd_encode(fresh(), cmd);
	if (!same_as_seen(&w->seen.entry[key % W_ENTRIES_SEEN], key, term))
		w_violation(w, "%s applies another entry %llu than was applied before", w->c[c].name,
			    (unsigned long long)index);
}

/* Whoever watches, at whichever coordinator, gets 1, 2, 3, ..., the same ones everywhere. */
static void check_events(struct world *w, uint32_t ci)
{
	struct w_coordinator *c = &w->c[ci];
	const struct dr_repl *r = &c->core->repl;
	uint64_t kept = r->event_last > DR_EVENTS_KEPT ? r->event_last - DR_EVENTS_KEPT : 0;
	if (r->event_last < c->events_seen)
		w_violation(w, "%s takes events back: %llu after %llu", c->name, (unsigned long long)r->event_last,
			    (unsigned long long)c->events_seen);
	for (uint64_t i = (c->events_seen > kept ? c->events_seen : kept) + 1; i <= r->event_last; i++) {
		const struct dr_event_record *e = dr_repl_event(r, i);
		if (e == NULL || e->index != i || i > w->seen.event_high + 1) {
			w_violation(w, "event %llu is missing at %s", (unsigned long long)i, c->name);
			break;
		}
		if (i > w->seen.event_high)
			w->seen.event_high = i;
		dr_event_encode(fresh(), e);
		if (!same_as_seen(&w->seen.event[i % W_EVENTS_SEEN], i, e->log_index))
			w_violation(w, "event %llu of %s is another one than was shown before", (unsigned long long)i,
				    c->name);
	}
	c->events_seen = r->event_last;
}

/* Right of the bar only forward: the old holder gets no new epoch, and no step begins again. */
static void check_bar(struct world *w, struct w_service *of, const struct dr_service *s)
{
	const struct w_seen_plan *was = &of->seen.plan;
	bool past = was->id != 0 && was->at >= was->bar && was->bar != 0;
	bool restored = s->epoch > was->epoch && s->holder == was->old && was->old != was->candidate;
	if (past && s->plan.id == was->id && s->plan.at < was->at)
		w_violation(w, "plan %llu goes back past its bar", (unsigned long long)was->id);
	if (past && s->plan.id != was->id && restored)
		w_violation(w, "plan %llu is undone past its bar", (unsigned long long)was->id);
	of->seen.plan = (struct w_seen_plan){ .id = s->plan.id, .epoch = s->epoch, .at = s->plan.at, .bar = s->plan.bar,
					     .kind = s->plan.kind, .old = s->plan.old, .candidate = s->plan.candidate };
}

/* The end of a lease is proof only when it has ended, on its holder's own clock; but for an extension by promises,
 * which says who may not be promoted meanwhile (design.md 4.8). */
static void check_expired(struct world *w, const struct w_service *of, const struct dr_service *s, const struct dr_cmd *cmd)
{
	if (cmd->kind != DR_CMD_PROVE || cmd->proof != DR_PROOF_LEASE || cmd->member >= of->members || w->two_allowed)
		return;
	const struct w_member *m = &w->m[of->first + cmd->member];
	uint64_t now = w_clock(w, &m->clock);
	bool counts = s->member[cmd->member].proof_epoch == s->epoch && s->epoch == cmd->epoch;
	if (counts && m->armed_epoch < s->epoch && m->armed_until > now && m->core.extended_until_ms <= now)
		w_violation(w, "the lease of %s was taken for over %llu ms before its end", m->name.s,
			    (unsigned long long)(m->armed_until - now));
}

/* What somebody accepted to lose is settled with the next primary. */
static void settle_loss(struct w_service *of, const struct dr_service *s)
{
	if (of->seen.loss_from != 0 && s->primary_epoch >= of->seen.loss_from)
		of->seen.loss_from = 0;
}

static bool stands_still(const struct dr_service *s, dr_member_ix m)
{
	return s->spec.member[m].name.s[0] != '\0' && s->member[m].frozen_epoch == s->epoch &&
	       dr_is_of_service(s, s->member[m].frozen_system_id);
}

static bool further(const struct dr_member_repl *a, const struct dr_member_repl *b)
{
	if (a->frozen_timeline != b->frozen_timeline)
		return a->frozen_timeline > b->frozen_timeline;
	return a->frozen_position > b->frozen_position;
}

/* Whether nobody may have been chosen like that (design.md 4) but for the loss that was accepted: too few positions of the
 * set, an older primary's history, or one of the set that is further and of unknown history. */
static bool rests_on_loss(const struct dr_service *s)
{
	const struct dr_member_repl *c = &s->member[s->plan.candidate];
	dr_member_set still = 0, sure = 0;
	dr_member_ix best = DR_MEMBER_NONE;
	if (!s->plan.accept_loss || c->lineage < s->primary_epoch)
		return s->plan.accept_loss;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (!stands_still(s, m))
			continue;
		still = dr_set_with(still, m);
		sure = s->member[m].unsure ? sure : dr_set_with(sure, m);
		bool in_line = s->member[m].lineage >= s->primary_epoch;
		if (in_line && (best == DR_MEMBER_NONE || further(&s->member[m], &s->member[best])))
			best = m;
	}
	uint32_t known = dr_set_count((dr_member_set)(sure & s->sync.set));
	bool holder = s->last_holder != DR_MEMBER_NONE && dr_set_has(sure, s->last_holder);
	if (s->sync.set != 0 && known < dr_sync_positions_needed(&s->sync) && !holder)
		return true;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		bool unknown = dr_set_has(still, m) && s->member[m].lineage < s->primary_epoch;
		if (unknown && dr_set_has(s->sync.set, m) && best != DR_MEMBER_NONE && further(&s->member[m], &s->member[best]))
			return true;
	}
	return false;
}

/* Whose positions a choice was made from. */
static void note_choice(struct world *w, uint32_t c, struct w_service *of, const struct dr_service *s, const struct dr_cmd *cmd)
{
	struct w_seen_service *seen = &of->seen;
	if (cmd->kind != DR_CMD_CHOOSE || s->plan.kind != DR_PLAN_FAILOVER)
		return;
	if (!s->plan.accept_loss && s->member[s->plan.candidate].lineage < s->primary_epoch)
		w_violation(w, "%s is chosen, which nobody knows to have the primary's history",
			    w_member_name(w, w_member_at(of, s->plan.candidate)));
	if (rests_on_loss(s)) {
		seen->loss_taken = true;
		seen->loss_from = s->plan.id == seen->lossless ? seen->loss_from : s->epoch;
	}
	seen->chose_epoch = s->epoch;
	seen->chose = 0;
	for (uint32_t i = 0; i < of->members; i++) {
		/* Of a kind that fetches from nobody, who is not heard can't be taken. */
		bool heard = w->now <= w->c[c].agent_ms[of->first + i] + w->spec.timing.detect_after_ms / 2;
		bool there = heard || dr_kind_keeps_place(s->spec.kind);
		if (there && stands_still(s, (dr_member_ix)i) && s->member[i].lineage >= s->primary_epoch)
			seen->chose |= 1u << i;
	}
}

/* Who has transactions of its own is promoted only where somebody has named it. */
void w_check_proposal(struct world *w, uint32_t c, const struct dr_cmd *cmd)
{
	if (cmd->kind != DR_CMD_CHOOSE || cmd->service >= w->services)
		return;
	const struct dr_service *s = &w->c[c].core->repl.service[cmd->service];
	uint32_t m = w_member_at(&w->s[cmd->service], cmd->member);
	bool named = s->plan.wanted == cmd->member && s->plan.reason == DR_REASON_OPERATOR;
	if (m < w->members && w->c[c].errant_told[m] && s->spec.errant == DR_ERRANT_BLOCK && !named)
		w_violation(w, "%s is chosen, which has transactions that no primary had", w_member_name(w, m));
}

/* Under `bounded` no promise rests on anybody. */
static void check_bounded(struct world *w, const struct w_service *of, const struct dr_service *s)
{
	if (s->spec.durability == DR_DURABILITY_BOUNDED && s->next.set != 0)
		w_violation(w, "%s names standbys, though it is bounded", w->service[of->ix].name.s);
}

/* Whether so many of the newest moves are all within the time around one more. */
static bool too_many_moves(const struct w_seen *seen, const struct dr_limits *l, uint64_t wall_ms)
{
	uint32_t near = 0;
	while (near < l->automatic_moves && near < seen->moves && near < W_MOVES_SEEN) {
		uint64_t at = seen->move_wall_ms[(seen->moves - 1 - near) % W_MOVES_SEEN];
		if (wall_ms >= at + l->within_ms || at > wall_ms + l->within_ms)
			break;
		near++;
	}
	return l->automatic_moves != 0 && near == l->automatic_moves;
}

/* No more automatic moves than the spec allows; one that began as a restart in place counts, and is not refused. */
static void check_moves(struct world *w, const struct w_service *of, const struct dr_repl *r, const struct dr_cmd *cmd)
{
	const struct dr_service *s = &r->service[of->ix];
	const struct w_seen_plan *was = &of->seen.plan;
	bool opened = cmd->kind == DR_CMD_PLAN_OPEN && s->plan.id != 0 && s->plan.id != was->id &&
		      s->plan.kind == DR_PLAN_FAILOVER && cmd->request == 0 && s->spec.auto_failover &&
		      dr_reason_moves(s->plan.reason);
	bool elsewhere = cmd->kind == DR_CMD_CHOOSE && s->plan.id == was->id && s->plan.at > was->at &&
			 s->plan.kind == DR_PLAN_FAILOVER && dr_reason_in_place(s->plan.reason) && s->holder != s->plan.old;
	if (!opened && !elsewhere)
		return;
	if (opened && too_many_moves(&w->seen, &r->limits, cmd->wall_ms))
		w_violation(w, "plan %llu moves the primary, though %u have been moved within %u ms",
			    (unsigned long long)s->plan.id, r->limits.automatic_moves, r->limits.within_ms);
	w->seen.move_wall_ms[w->seen.moves++ % W_MOVES_SEEN] = cmd->wall_ms;
}

void w_check_log(struct world *w, uint32_t c, const struct dr_cmd *cmd)
{
	const struct dr_repl *r = &w->c[c].core->repl;
	check_events(w, c);
	uint64_t key = w_check_key(w, c);
	if (r->services == 0 || key <= w->seen.checked)
		return;
	w->seen.checked = key;
	if (cmd->service < w->services) {
		struct w_service *of = &w->s[cmd->service];
		check_moves(w, of, r, cmd);
		w_check_turn(w, of, r, cmd);
		check_expired(w, of, &r->service[of->ix], cmd);
		note_choice(w, c, of, &r->service[of->ix], cmd);
	}
	if (cmd->kind == DR_CMD_PROVE && cmd->proof == DR_PROOF_OPERATOR)
		w->seen.words++;
	for (uint32_t i = 0; i < w->services; i++) {
		check_bar(w, &w->s[i], &r->service[i]);
		settle_loss(&w->s[i], &r->service[i]);
		w_check_listed(w, &w->s[i], &r->service[i]);
		check_bounded(w, &w->s[i], &r->service[i]);
		w_note_sync(&w->s[i], &r->service[i]);
	}
	w_check_site(w, r);
}
