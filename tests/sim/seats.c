/* seats.c -- the coordinators' own membership: one is taken out, its folder is emptied, and it is let in again under a
 * new id.  That is the way out of damaged storage too (raft/compare.c says so).  Changes go through raft/member.c; what
 * is done here is an operator's part, and the naming of coordinators in the log (coord/shell/nodes.c). */
#include <string.h>

#include "base/assert.h"
#include "tests/sim/raft_parts.h"

enum { LOOK_MS = 100, NAME_MS = 500, NEW_ID = 100 };

int sim_seat_of(const struct sim *s, uint64_t id)
{
	for (uint32_t i = 0; i < s->options.coordinators; i++) {
		if (s->node[i]->id == id)
			return (int)i;
	}
	return -1;
}

bool sim_seats_filled(const struct sim *s)
{
	for (uint32_t i = 0; i < s->options.coordinators; i++) {
		if (s->seat[i] != SIM_SEAT_TAKEN)
			return false;
	}
	return true;
}

bool sim_seats_whole(const struct sim *s)
{
	for (uint32_t i = 0; i < s->options.coordinators; i++) {
		if (s->node[i]->harmed || s->node[i]->refused)
			return false;
	}
	return sim_seats_filled(s);
}

void sim_seat_leave(struct sim *s, uint32_t ci, uint64_t in_ms)
{
	dr_assert(s->seat[ci] == SIM_SEAT_TAKEN);
	s->seat[ci] = SIM_SEAT_LEAVING;
	s->seat_at[ci] = s->w->now + in_ms;
}

static struct sim_raft *leader(const struct sim *s)
{
	const struct world *w = s->w;
	if (w->leader < 0 || w_paused(w, w_proc(W_COORD, (uint32_t)w->leader)))
		return NULL;
	struct sim_raft *r = s->node[w->leader];
	return r->up && r->node.inside == 0 && raft_state(&r->node.raft) == RAFT_LEADER ? r : NULL;
}

static const struct raft_server *server_of(const struct sim_raft *r, uint64_t id)
{
	const struct raft_configuration *c = &r->node.raft.configuration;
	for (unsigned i = 0; i < c->n; i++) {
		if (c->servers[i].id == id)
			return &c->servers[i];
	}
	return NULL;
}

static bool settled(const struct sim_raft *r)
{
	return r->node.raft.configuration_uncommitted_index == 0 && r->node.raft.configuration_committed_index != 0;
}

/* As coord/shell/clients.c: not when those who stay would be no majority. */
static bool majority_stays(const struct sim_raft *l, uint64_t without)
{
	const struct world *w = l->s->w;
	const struct raft_configuration *c = &l->node.raft.configuration;
	uint32_t up = 0, of = 0;
	for (unsigned i = 0; i < c->n; i++) {
		int ci = sim_seat_of(l->s, c->servers[i].id);
		if (c->servers[i].role != RAFT_VOTER || c->servers[i].id == without)
			continue;
		of++;
		up += ci >= 0 && l->s->node[ci]->up && w_reaches(w, w->c[l->ci].site, w->c[ci].site) ? 1u : 0u;
	}
	return 2 * up > of;
}

static void changed(void *arg, const struct dr_error *e)
{
	struct sim_raft *l = arg;
	if (e->code != DR_OK && !l->node.closing)
		w_say(l->s->w, "%s: %s", l->s->w->c[l->ci].name, e->msg);
}

static void leaves(struct sim_raft *l, struct sim_raft *r)
{
	struct sim *s = r->s;
	struct world *w = s->w;
	struct dr_error e;
	if (settled(l) && server_of(l, r->id) == NULL) {
		w_say(w, "%s, id %llu, is out, and its folder is emptied", w->c[r->ci].name, (unsigned long long)r->id);
		w_coord_kill(w, r->ci);
		sim_raft_wipe(r, NEW_ID + ++s->ids);
		s->seat[r->ci] = SIM_SEAT_FREE;
		s->down_until[r->ci] = w->now + 1;
	} else if (l == r) {
		sim_raft_transfer(s, l->ci);
	} else if (majority_stays(l, r->id) && dr_raft_remove(&l->node, r->id, changed, l, &e) == DR_OK) {
		w_say(w, "%s removes %s", w->c[l->ci].name, w->c[r->ci].name);
		sim_raft_pump(l);
	}
}

/* It is back once its own log says that it votes: libraft grants no vote before, whoever asks, so one that the others
 * count already can't stand in for another one that is lost just then. */
static void joins(struct sim_raft *l, struct sim_raft *r)
{
	struct world *w = r->s->w;
	const struct raft_server *known = server_of(l, r->id);
	struct dr_error e;
	const struct raft_server *self = r->up ? server_of(r, r->id) : NULL;
	bool votes = known != NULL && known->role == RAFT_VOTER;
	if (settled(l) && votes && self != NULL && self->role == RAFT_VOTER && settled(r)) {
		w_say(w, "%s is in again, id %llu", w->c[r->ci].name, (unsigned long long)r->id);
		r->s->seat[r->ci] = SIM_SEAT_TAKEN;
		return;
	}
	struct dr_raft_member m = { .id = r->id };
	dr_assert(dr_name_set(&m.name, w->c[r->ci].name));
	(void)snprintf(m.address.host, sizeof(m.address.host), "10.%u.0.10", r->ci + 1);
	m.address.port = 7000;
	if (r->up && !votes && dr_raft_add(&l->node, &m, changed, l, &e) == DR_OK) {
		w_say(w, "%s adds %s as id %llu", w->c[l->ci].name, w->c[r->ci].name, (unsigned long long)r->id);
		sim_raft_pump(l);
	}
}

/* The log's names follow Raft's members. */
static void name_all(struct sim_raft *l)
{
	struct world *w = l->s->w;
	const struct dr_repl *repl = &w->c[l->ci].core->repl;
	for (uint32_t i = 0; i < repl->coordinators; i++) {
		const struct dr_coordinator *k = &repl->coordinator[i];
		uint32_t ci = w_coord_find(w, k->name.s);
		struct dr_cmd cmd = { .kind = DR_CMD_COORDINATOR, .service = DR_SERVICE_NONE, .name = k->name,
				      .wall_ms = w->wall0 + w->now };
		if (ci < w->coords && server_of(l, l->s->node[ci]->id) == NULL)
			w_propose(w, l->ci, &cmd, 0);
	}
	for (uint32_t ci = 0; ci < w->coords; ci++) {
		struct dr_cmd cmd = { .kind = DR_CMD_COORDINATOR, .service = DR_SERVICE_NONE, .wall_ms = w->wall0 + w->now,
				      .id = l->s->node[ci]->id, .site = l->s->spec.site[w->c[ci].site].name };
		bool known = server_of(l, cmd.id) == NULL;
		dr_assert(dr_name_set(&cmd.name, w->c[ci].name));
		for (uint32_t i = 0; i < repl->coordinators; i++)
			known = known || (dr_name_eq(&repl->coordinator[i].name, &cmd.name) && repl->coordinator[i].id == cmd.id);
		if (!known)
			w_propose(w, l->ci, &cmd, 0);
	}
}

static void look(struct world *w, struct w_timer *t)
{
	struct sim *s = sim_of(w);
	(void)w_after(w, LOOK_MS, look);
	for (uint32_t i = 0; i < w->coords; i++) {
		struct sim_raft *l = leader(s), *r = s->node[i];
		if (l == NULL)
			return;
		if (r->refused && s->seat[i] == SIM_SEAT_TAKEN)
			sim_seat_leave(s, i, 1000);
		if (w->now < s->seat_at[i] || l->node.change.kind != DR_CHANGE_NONE)
			continue;
		if (s->seat[i] == SIM_SEAT_LEAVING)
			leaves(l, r);
		else if (s->seat[i] == SIM_SEAT_FREE)
			joins(l, r);
	}
	struct sim_raft *l = leader(s);
	if (l != NULL && s->ids > 0 && t->at / LOOK_MS % (NAME_MS / LOOK_MS) == 0)
		name_all(l);
}

void sim_seats_begin(struct sim *s)
{
	(void)w_after(s->w, LOOK_MS, look);
}
