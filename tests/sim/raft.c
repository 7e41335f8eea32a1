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
		r->led_term = r->barrier_term;
	r->barrier_term = 0;
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
	uint64_t term = raft_current_term(&r->raft);
	bool leader = raft_state(&r->raft) == RAFT_LEADER;
	if (leader && r->led_term != term) {
		if (r->barrier_term == 0) {
			r->barrier.data = r;
			if (raft_barrier(&r->raft, &r->barrier, on_barrier) == 0)
				r->barrier_term = term;
		}
		leader = false;
	}
	tell_role(r, leader, term);
}

static void on_applied(struct raft_apply *req, int status, void *result)
{
	struct proposal *p = req->data;
	struct sim_raft *r = p->r;
	(void)result;
	if (r->closing) {
		dr_free(p);
		return;
	}
	struct dr_core_event ev = { .kind = DR_EV_PROPOSED,
				    .tag = p->tag,
				    .outcome = status == 0 ? DR_OK : DR_E_UNKNOWN,
				    .index = req->index };
	dr_free(p);
	if (ev.tag != 0)
		w_coord_event(r->s->w, r->ci, &ev);
}

static void submit(struct sim_raft *r, struct proposal *p)
{
	bool leads = raft_state(&r->raft) == RAFT_LEADER && r->led_term == raft_current_term(&r->raft);
	p->req.data = p;
	if (leads && raft_apply(&r->raft, &p->req, &p->buf, 1, on_applied) == 0)
		return;
	raft_free(p->buf.base);
	struct dr_core_event ev = { .kind = DR_EV_PROPOSED, .tag = p->tag, .outcome = DR_E_NOT_LEADER };
	dr_free(p);
	if (ev.tag != 0)
		w_coord_event(r->s->w, r->ci, &ev);
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
	struct dr_buf b;
	dr_buf_init(&b, ENTRY_BYTES_MAX);
	dr_cmd_encode(&b, cmd);
	dr_assert(dr_buf_ok(&b));
	struct proposal *p = dr_xcalloc(sizeof(*p)), **at = &r->waiting;
	*p = (struct proposal){ .r = r, .tag = tag };
	p->buf.len = dr_entry_size(&(struct dr_entry_cmd){ b.data, b.len }, 1);
	p->buf.base = raft_malloc(p->buf.len);
	dr_assert(p->buf.base != NULL);
	dr_entry_wrap(p->buf.base, raft_current_term(&r->raft), &(struct dr_entry_cmd){ b.data, b.len }, 1);
	dr_buf_close(&b);
	while (*at != NULL)
		at = &(*at)->next;
	*at = p;
	/* Never at once: whoever proposes is in the middle of a step of the core. */
	if (r->inside == 0 && !r->pump_due) {
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

/* The tick that is due now takes the place of the one that was. */
static void arm(struct sim_raft *r)
{
	uint64_t now = r->io.time(&r->io);
	struct w_timer *t =
		sim_raft_later(r, dr_tick_wait(&r->raft, now, heartbeat_ms(r->s), election_ms(r->s)), ticks);
	r->tick_seq = t->u = t->seq;
}

void sim_raft_pump(struct sim_raft *r)
{
	struct world *w = r->s->w;
	if (r->inside > 0)
		return;
	uint32_t life = w->c[r->ci].life;
	r->inside++;
	do {
		LegacyFireCompletedRequests(&r->raft);
		review(r);
		if (r->tick_entered) {
			struct dr_core_event ev = { .kind = DR_EV_APPENDED };
			r->tick_entered = false;
			w_coord_event(w, r->ci, &ev);
		}
		if (r->waiting != NULL) {
			struct proposal *p = r->waiting;
			r->waiting = p->next;
			submit(r, p);
		}
	} while (r->waiting != NULL || r->tick_entered);
	r->inside--;
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

static void make(struct sim_raft *r)
{
	struct world *w = r->s->w;
	sim_raft_io_fill(r);
	sim_raft_fsm_fill(r);
	r->tracer = (struct raft_tracer){ .impl = r, .version = 2, .emit = noop_emit };
	memset(&r->raft, 0, sizeof(r->raft));
	dr_assert(raft_init(&r->raft, &r->io, &r->fsm, r->ci + 1, w->c[r->ci].name) == 0);
	raft_set_heartbeat_timeout(&r->raft, heartbeat_ms(r->s));
	raft_set_election_timeout(&r->raft, election_ms(r->s));
	raft_set_pre_vote(&r->raft, true);
	raft_set_capacity_threshold(&r->raft, 1024);
	raft_set_snapshot_threshold(&r->raft, r->s->snapshot_threshold);
	raft_set_snapshot_trailing(&r->raft, r->s->snapshot_threshold / 2);
	raft_set_max_inflight_entries(&r->raft, INFLIGHT);
}

static void bootstrap(struct sim_raft *r)
{
	struct world *w = r->s->w;
	struct raft_configuration c;
	raft_configuration_init(&c);
	for (uint32_t i = 0; i < w->coords; i++)
		dr_assert(raft_configuration_add(&c, i + 1, w->c[i].name, RAFT_VOTER) == 0);
	dr_assert(raft_bootstrap(&r->raft, &c) == 0);
	raft_configuration_close(&c);
}

void w_log_started(struct world *w, uint32_t ci)
{
	struct sim_raft *r = sim_of(w)->node[ci];
	w->c[ci].applied = 0;
	r->closing = r->closed = r->told_leads = r->tick_entered = r->writing = r->pump_due = false;
	r->led_term = r->barrier_term = r->told_term = 0;
	r->inside = 0;
	make(r);
	if (r->disk.n == 0 && r->disk.snap.index == 0)
		bootstrap(r);
	r->up = true;
	r->inside++;
	int rv = raft_start(&r->raft);
	r->inside--;
	dr_assert(rv == 0);
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
	dr_assert(r->inside == 0);
	r->up = false;
	r->closing = true;
	sim_raft_torn(r);
	while (r->waiting != NULL) {
		struct proposal *p = r->waiting;
		r->waiting = p->next;
		raft_free(p->buf.base);
		dr_free(p);
	}
	raft_close(&r->raft, on_closed);
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
		sim_disk_init(&s->node[i]->disk);
	}
}

void sim_raft_close(struct sim *s)
{
	for (uint32_t i = 0; i < s->options.coordinators; i++) {
		dr_assert(!s->node[i]->up);
		sim_disk_close(&s->node[i]->disk);
		dr_free(s->node[i]);
	}
}

uint64_t sim_raft_term(const struct sim *s, uint32_t c)
{
	return s->node[c]->up ? raft_current_term(&s->node[c]->raft) : 0;
}

static void on_transferred(struct raft_transfer *req)
{
	dr_free(req);
}

void sim_raft_transfer(struct sim *s, uint32_t c)
{
	struct sim_raft *r = s->node[c];
	if (!r->up || raft_state(&r->raft) != RAFT_LEADER)
		return;
	struct raft_transfer *req = dr_xcalloc(sizeof(*req));
	if (raft_transfer(&r->raft, req, 0, on_transferred) != 0)
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
	raft_leader(&r->raft, &id, &address);
	return (int)id - 1;
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
