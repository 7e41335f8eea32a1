/* raft.c -- libraft in virtual time: its own algorithm, over the world's network and simulated disks.
 *
 * It takes the place of tests/world/log.c.  What raft/ does around libraft is done here in the same way: entries
 * are framed (raft/entry.c), a leader leads once its barrier is applied (raft/node.c), proposals made inside a
 * callback wait until it is over, elections have slots (raft/slot.c), a snapshot that arrives while one is taken is
 * dropped (raft/storage.c). */
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "proto/codec.h"
#include "raft/entry.h"
#include "raft/slot.h"
#include "tests/sim/raft_parts.h"

enum {
	ELECT_LIMIT_MS = 20000,
	HEARTBEATS_PER_ELECTION = 6,
	INFLIGHT = 512,
	TOGETHER_MAX = 128,
	ENTRY_BYTES_MAX = 1 << 20
};

struct sim_raft *sim_raft_of(const struct raft_io *io)
{
	return io->impl;
}

static uint32_t election_ms(const struct sim *s)
{
	return s->w->spec.timing.ttl_ms <= 2000 ? 300 : 1000;
}

static uint32_t heartbeat_ms(const struct sim *s)
{
	return election_ms(s) / HEARTBEATS_PER_ELECTION;
}

struct w_timer *sim_raft_later(struct sim_raft *r, uint64_t ms, void (*run)(struct world *, struct w_timer *))
{
	struct w_timer *t = w_after(r->s->w, ms, run);
	t->proc = w_proc(W_COORD, r->ci);
	t->a = r->ci;
	t->b = r->s->w->c[r->ci].life;
	return t;
}

struct sim_raft *sim_raft_alive(struct world *w, const struct w_timer *t)
{
	struct sim_raft *r = sim_of(w)->node[t->a];
	return r->up && w->c[t->a].life == t->b ? r : NULL;
}

/* ---- roles and proposals, as raft/node.c */

static void on_barrier(struct raft_barrier *req, int status)
{
	struct sim_raft *r = req->data;
	if (status == 0)
		r->node.led_term = r->node.barrier_term;
	r->node.barrier_term = 0;
}

static void tell_role(struct sim_raft *r, bool leads, uint64_t term)
{
	struct world *w = r->s->w;
	struct w_coordinator *c = &w->c[r->ci];
	if (r->told_leads == leads && (!leads || r->told_term == term))
		return;
	if (r->told_leads && leads) /* a term between went by unseen */
		tell_role(r, false, term);
	r->told_leads = leads;
	r->told_term = term;
	c->raft_leads = leads;
	c->term = term;
	if (leads && (w->leader < 0 || w->c[w->leader].term <= term)) {
		w->leader = (int)r->ci;
		w->term = term;
	} else if (!leads && w->leader == (int)r->ci) {
		w->leader = -1;
	}
	w_say(w, "%s %s, term %llu", c->name, leads ? "leads" : "leads no more", (unsigned long long)term);
	struct dr_core_event ev = { .kind = DR_EV_ROLE, .leading = leads, .term = term };
	w_coord_event(w, r->ci, &ev);
	if (leads && c->core != NULL)
		w_announce(w, r->ci);
}

static void review(struct sim_raft *r)
{
	uint64_t term = raft_current_term(&r->node.raft);
	bool leader = raft_state(&r->node.raft) == RAFT_LEADER;
	if (leader && r->node.led_term != term) {
		if (r->node.barrier_term == 0) {
			r->barrier.data = r;
			if (raft_barrier(&r->node.raft, &r->barrier, on_barrier) == 0)
				r->node.barrier_term = term;
		}
		leader = false;
	}
	tell_role(r, leader, term);
}

/* Tell each how it ended, in order. */
static void settle(struct sim_raft *r, struct proposal *p, enum dr_err outcome, uint64_t index)
{
	while (p != NULL) {
		struct proposal *next = p->next;
		struct dr_core_event ev = { .kind = DR_EV_PROPOSED, .tag = p->tag, .outcome = outcome, .index = index };
		dr_buf_close(&p->cmd);
		dr_free(p);
		p = next;
		if (ev.tag != 0 && !r->node.closing)
			w_coord_event(r->s->w, r->ci, &ev);
	}
}

static void on_applied(struct raft_apply *req, int status, void *result)
{
	struct batch *b = req->data;
	(void)result;
	b->r->flying--;
	settle(b->r, b->first, status == 0 ? DR_OK : DR_E_UNKNOWN, req->index);
	dr_free(b);
}

static bool leads(const struct sim_raft *r)
{
	return r->node.raft.state == RAFT_LEADER && r->node.led_term == r->node.raft.current_term;
}

/* As raft/propose.c: what comes while the own disk writes the last entry waits, and shares the next. */
static bool may_go(const struct sim_raft *r)
{
	const struct raft *raft = &r->node.raft;
	return r->waiting != NULL &&
	       (r->flying == 0 || !leads(r) || raft->last_stored == raft_last_index((struct raft *)(uintptr_t)raft));
}

static size_t take(struct sim_raft *r, struct proposal **first, struct dr_entry_cmd cmd[TOGETHER_MAX])
{
	uint64_t term = r->waiting->term;
	struct proposal *last = NULL;
	size_t n = 0;
	*first = r->waiting;
	while (r->waiting != NULL && n < TOGETHER_MAX && r->waiting->term == term) {
		last = r->waiting;
		cmd[n++] = (struct dr_entry_cmd){ last->cmd.data, last->cmd.len };
		r->waiting = last->next;
	}
	last->next = NULL;
	return n;
}

static void submit(struct sim_raft *r)
{
	struct dr_entry_cmd cmd[TOGETHER_MAX];
	struct batch *b = dr_xcalloc(sizeof(*b));
	size_t n = take(r, &b->first, cmd);
	struct raft_buffer buf = { .len = dr_entry_size(cmd, n) };
	b->r = r;
	b->req.data = b;
	buf.base = raft_malloc(buf.len);
	dr_assert(buf.base != NULL);
	dr_entry_wrap(buf.base, b->first->term, cmd, n);
	bool ours = leads(r) && r->node.raft.current_term == b->first->term;
	if (ours && raft_apply(&r->node.raft, &b->req, &buf, 1, on_applied) == 0) {
		r->flying++;
		return;
	}
	raft_free(buf.base);
	settle(r, b->first, DR_E_NOT_LEADER, 0);
	dr_free(b);
}

/* raft/member.c asks for it before a change. */
void dr_propose_flush(struct dr_raft *node)
{
	struct sim_raft *r = node->raft.data;
	while (r->waiting != NULL)
		submit(r);
}

static void pumps(struct world *w, struct w_timer *t)
{
	struct sim_raft *r = sim_raft_alive(w, t);
	if (r == NULL)
		return;
	r->pump_due = false;
	sim_raft_pump(r);
}

void w_propose(struct world *w, uint32_t ci, const struct dr_cmd *cmd, uint64_t tag)
{
	struct sim_raft *r = sim_of(w)->node[ci];
	struct proposal *p = dr_xcalloc(sizeof(*p)), **at = &r->waiting;
	*p = (struct proposal){ .tag = tag, .term = raft_current_term(&r->node.raft) };
	dr_buf_init(&p->cmd, ENTRY_BYTES_MAX);
	dr_cmd_encode(&p->cmd, cmd);
	dr_assert(dr_buf_ok(&p->cmd));
	while (*at != NULL)
		at = &(*at)->next;
	*at = p;
	/* Never at once: whoever proposes is in the middle of a step of the core. */
	if (r->node.inside == 0 && !r->pump_due) {
		r->pump_due = true;
		(void)sim_raft_later(r, 0, pumps);
	}
}

static void ticks(struct world *w, struct w_timer *t)
{
	struct sim_raft *r = sim_raft_alive(w, t);
	if (r == NULL || r->tick_seq != t->u)
		return;
	r->tick_seq = 0;
	r->tick(&r->io);
	sim_raft_pump(r);
}

/* The tick that is due now takes the place of the one that was: after each, and as dr_tick_review of raft/tick.c says.
 * A leader's never waits because something else came. */
static void arm(struct sim_raft *r)
{
	struct raft *raft = &r->node.raft;
	uint64_t now = r->io.time(&r->io);
	bool sooner = r->node.ticked_as != RAFT_LEADER && dr_tick_election_due(raft, election_ms(r->s)) < r->node.tick_due;
	if (r->tick_seq != 0 && r->node.ticked_as == (int)raft_state(raft) && !sooner)
		return;
	uint64_t wait = dr_tick_wait(raft, now, heartbeat_ms(r->s), election_ms(r->s));
	struct w_timer *t = sim_raft_later(r, wait, ticks);
	r->node.ticked_as = (int)raft_state(raft);
	r->node.tick_due = now + wait;
	r->tick_seq = t->u = t->seq;
}

void sim_raft_pump(struct sim_raft *r)
{
	struct world *w = r->s->w;
	if (r->node.inside > 0)
		return;
	uint32_t life = w->c[r->ci].life;
	r->node.inside++;
	do {
		LegacyFireCompletedRequests(&r->node.raft);
		review(r);
		if (r->tick_entered) {
			struct dr_core_event ev = { .kind = DR_EV_APPENDED };
			r->tick_entered = false;
			w_coord_event(w, r->ci, &ev);
		}
		if (may_go(r))
			submit(r);
	} while (may_go(r) || r->tick_entered);
	r->node.inside--;
	dr_assert(w->c[r->ci].life == life);
	arm(r);
}

/* ---- start and end */

static void noop_emit(struct raft_tracer *t, int type, const void *info)
{
	(void)t;
	(void)type;
	(void)info;
}

/* As raft/node.c. */
static void on_step(struct raft *raft)
{
	struct sim_raft *r = raft->data;
	dr_member_review(&r->node);
}

static void make(struct sim_raft *r)
{
	struct world *w = r->s->w;
	sim_raft_io_fill(r);
	sim_raft_fsm_fill(r);
	r->tracer = (struct raft_tracer){ .impl = r, .version = 2, .emit = noop_emit };
	memset(&r->node.raft, 0, sizeof(r->node.raft));
	dr_assert(raft_init(&r->node.raft, &r->io, &r->fsm, r->id, w->c[r->ci].name) == 0);
	r->node.raft.data = r;
	r->node.raft.legacy.step_cb = on_step;
	raft_set_heartbeat_timeout(&r->node.raft, heartbeat_ms(r->s));
	raft_set_election_timeout(&r->node.raft, election_ms(r->s));
	raft_set_pre_vote(&r->node.raft, true);
	raft_set_capacity_threshold(&r->node.raft, 1024);
	raft_set_snapshot_threshold(&r->node.raft, r->s->snapshot_threshold);
	raft_set_snapshot_trailing(&r->node.raft, r->s->snapshot_threshold / 2);
	raft_set_max_inflight_entries(&r->node.raft, INFLIGHT);
}

static void bootstrap(struct sim_raft *r)
{
	struct world *w = r->s->w;
	struct raft_configuration c;
	raft_configuration_init(&c);
	for (uint32_t i = 0; i < w->coords; i++)
		dr_assert(raft_configuration_add(&c, i + 1, w->c[i].name, RAFT_VOTER) == 0);
	dr_assert(raft_bootstrap(&r->node.raft, &c) == 0);
	raft_configuration_close(&c);
	const struct sim_entry *e = &r->disk.entry[0];
	struct dr_guard_head head = { .id = r->id, .term = 1, .floor = 1, .floor_term = 1,
				      .chain = dr_guard_link(0, 1, RAFT_CHANGE, e->bytes, e->len) };
	sim_guard_make(r, &head);
	r->truth.term = r->truth.last = 1;
}

/* An empty folder for a coordinator that is to join under a new id. */
void sim_raft_wipe(struct sim_raft *r, uint64_t id)
{
	dr_assert(!r->up);
	sim_disk_close(&r->disk);
	r->id = id;
	r->joins = true;
	r->refused = r->harmed = false;
	sim_guard_make(r, &(struct dr_guard_head){ .id = id });
	memset(&r->truth, 0, sizeof(r->truth));
}

void w_log_started(struct world *w, uint32_t ci)
{
	struct sim_raft *r = sim_of(w)->node[ci];
	w->c[ci].applied = 0;
	r->tick_seq = 0;
	r->node.closing = r->closed = r->told_leads = r->tick_entered = r->writing = r->pump_due = false;
	r->node.led_term = r->node.barrier_term = r->told_term = 0;
	r->node.inside = 0;
	r->flying = 0;
	r->reached = 0;
	memset(&r->node.change, 0, sizeof(r->node.change));
	make(r);
	if (!r->joins && r->disk.n == 0 && r->disk.snap.index == 0)
		bootstrap(r);
	r->up = true;
	r->refused = false;
	r->node.inside++;
	int rv = raft_start(&r->node.raft);
	r->node.inside--;
	dr_assert(rv == 0 || (rv == RAFT_CORRUPT && r->refused));
	if (rv != 0)
		w_coord_kill(w, ci);
	else
		sim_raft_pump(r);
}

static void on_closed(struct raft *raft)
{
	struct sim_raft *r = raft->io->impl;
	r->closed = true;
}

void w_log_killed(struct world *w, uint32_t ci)
{
	struct sim_raft *r = sim_of(w)->node[ci];
	if (r == NULL || !r->up)
		return;
	dr_assert(r->node.inside == 0);
	r->up = false;
	r->node.closing = true;
	sim_raft_torn(r);
	while (r->waiting != NULL) {
		struct proposal *p = r->waiting;
		r->waiting = p->next;
		dr_buf_close(&p->cmd);
		dr_free(p);
	}
	raft_close(&r->node.raft, on_closed);
	dr_assert(r->closed);
	if (w->leader == (int)ci)
		w->leader = -1;
}

void sim_raft_open(struct sim *s)
{
	for (uint32_t i = 0; i < s->options.coordinators; i++) {
		s->node[i] = dr_xcalloc(sizeof(*s->node[i]));
		s->node[i]->s = s;
		s->node[i]->ci = i;
		s->node[i]->id = i + 1;
		sim_disk_init(&s->node[i]->disk);
	}
}

void sim_raft_close(struct sim *s)
{
	for (uint32_t i = 0; i < s->options.coordinators; i++) {
		dr_assert(!s->node[i]->up);
		sim_disk_close(&s->node[i]->disk);
		sim_guard_close(&s->node[i]->guard);
		dr_free(s->node[i]);
	}
}

uint64_t sim_raft_term(const struct sim *s, uint32_t c)
{
	return s->node[c]->up ? raft_current_term(&s->node[c]->node.raft) : 0;
}

static void on_transferred(struct raft_transfer *req)
{
	dr_free(req);
}

void sim_raft_transfer(struct sim *s, uint32_t c)
{
	struct sim_raft *r = s->node[c];
	if (!r->up || raft_state(&r->node.raft) != RAFT_LEADER)
		return;
	struct raft_transfer *req = dr_xcalloc(sizeof(*req));
	if (raft_transfer(&r->node.raft, req, 0, on_transferred) != 0)
		dr_free(req);
	sim_raft_pump(r);
}

int w_leader_known(const struct world *w, uint32_t ci)
{
	struct sim_raft *r = sim_of(w)->node[ci];
	raft_id id = 0;
	const char *address;
	if (!r->up)
		return -1;
	raft_leader(&r->node.raft, &id, &address);
	return sim_seat_of(r->s, id);
}

/* Only at the beginning: wait until somebody leads. */
void w_elect(struct world *w)
{
	for (uint32_t i = 0; i < ELECT_LIMIT_MS / 10 && w->leader < 0; i++)
		w_run(w, 10);
	dr_assert(w->leader >= 0);
}

/* Leadership follows from messages here: nothing need be said. */
void w_leader_lost(struct world *w)
{
	(void)w;
}

void w_catch_up(struct world *w)
{
	(void)w;
}

void w_healed(struct world *w)
{
	(void)w;
}
