/* nodes.c -- who the coordinators are: the log's names follow Raft's members, and a removed one leaves.
 *
 * Raft stops talking to a member the moment it removes it, so a removed coordinator hears nothing and asks for
 * votes for ever.  The leader therefore tells each coordinator that connects the id under which it is a member.
 * One that knows another leader does not believe it: somebody has run `--recover` on a node that was not alone. */
#include <stdio.h>
#include <string.h>

#include "coord/shell/coord.h"
#include "proto/frames.h"
#include "sys/clock.h"
#include "sys/log.h"

struct dr_address dr_nodes_own_address(const struct dr_coord *c)
{
	for (uint32_t i = 0; i < c->conf.peers; i++) {
		if (dr_name_eq(&c->conf.peer[i].name, &c->conf.name))
			return c->conf.peer[i].address;
	}
	return c->conf.listen;
}

/* ---- names ---- */

static const struct dr_raft_member *member_named(const struct dr_raft_status *st, const struct dr_name *name)
{
	for (uint32_t i = 0; i < st->members; i++) {
		if (dr_name_eq(&st->member[i].name, name))
			return &st->member[i];
	}
	return NULL;
}

static void say_name(struct dr_coord *c, const struct dr_name *name, const struct dr_name *site,
		     const struct dr_raft_member *m, bool stored)
{
	struct dr_cmd cmd = { .kind = DR_CMD_COORDINATOR,
			      .service = DR_SERVICE_NONE,
			      .member = DR_MEMBER_NONE,
			      .target = DR_MEMBER_NONE,
			      .wall_ms = dr_clock_wall_ms(),
			      .name = *name };
	if (m != NULL) {
		cmd.site = *site;
		cmd.address = m->address;
		cmd.id = m->id;
		cmd.flag = stored;
	}
	dr_coord_submit(c, &cmd);
}

/* Its site as the log has it, else as the node file has it. */
static bool site_of(const struct dr_coord *c, const struct dr_name *name, struct dr_name *site, uint64_t *id)
{
	const struct dr_repl *r = &c->core->repl;
	*id = 0;
	for (uint32_t k = 0; k < r->coordinators; k++) {
		if (!dr_name_eq(&r->coordinator[k].name, name))
			continue;
		*site = r->coordinator[k].site;
		*id = r->coordinator[k].id;
		return true;
	}
	for (uint32_t k = 0; k < c->conf.peers; k++) {
		if (!dr_name_eq(&c->conf.peer[k].name, name))
			continue;
		*site = c->conf.peer[k].site;
		return true;
	}
	return false;
}

bool dr_nodes_is_member(const struct dr_coord *c, uint64_t id)
{
	struct dr_raft_status st;
	dr_raft_status(c->raft, &st);
	for (uint32_t i = 0; i < st.members; i++) {
		if (st.member[i].id == id)
			return true;
	}
	return false;
}

void dr_nodes_name(struct dr_coord *c)
{
	const struct dr_repl *r = &c->core->repl;
	struct dr_raft_status st;
	dr_raft_status(c->raft, &st);
	if (c->stopping || st.role != DR_RAFT_LEADER)
		return;
	for (uint32_t k = 0; k < r->coordinators; k++) {
		const struct dr_name *name = &r->coordinator[k].name;
		if (name->s[0] != '\0' && member_named(&st, name) == NULL)
			say_name(c, name, NULL, NULL, false);
	}
	for (uint32_t i = 0; i < st.members; i++) {
		struct dr_name site;
		uint64_t id = 0;
		if (site_of(c, &st.member[i].name, &site, &id) && id != st.member[i].id)
			say_name(c, &st.member[i].name, &site, &st.member[i], false);
	}
}

void dr_nodes_note_stored(struct dr_coord *c)
{
	const struct dr_repl *r = &c->core->repl;
	struct dr_raft_status st;
	dr_raft_status(c->raft, &st);
	if (c->stopping || st.role != DR_RAFT_LEADER || dr_clients_changing())
		return;
	for (uint32_t k = 0; k < r->coordinators; k++) {
		const struct dr_coordinator *known = &r->coordinator[k];
		for (uint32_t i = 0; i < st.members && !known->stored; i++) {
			bool is = st.member[i].id == known->id && dr_name_eq(&st.member[i].name, &known->name);
			if (is && (st.match[i] > 0 || known->id == st.id))
				say_name(c, &known->name, &known->site, &st.member[i], true);
		}
	}
}

/* ---- removed ---- */

void dr_nodes_tell(struct dr_coord *c)
{
	struct dr_raft_status st;
	dr_raft_status(c->raft, &st);
	if (c->stopping || st.role != DR_RAFT_LEADER || dr_clients_changing())
		return;
	for (struct dr_in *in = c->in; in != NULL; in = in->next) {
		if (in->role != DR_SESSION_PEER || !in->open)
			continue;
		const struct dr_raft_member *m = member_named(&st, &in->conn.peer.name);
		struct dr_buf b;
		dr_buf_init(&b, 64);
		dr_buf_put_u64be(&b, m != NULL ? m->id : 0);
		dr_best_effort(dr_conn_send(&in->conn, DR_FRAME_MEMBER_ID, b.data, b.len));
		dr_buf_close(&b);
	}
}

/* A word that was on its way while this node was let in says nothing: it must be repeated. */
enum { TOLD_TIMES = 2 };
static struct {
	struct dr_name by;
	uint32_t times;
} told;

void dr_nodes_told(struct dr_coord *c, const struct dr_name *by, const uint8_t *p, size_t n)
{
	struct dr_view v = dr_view_of(p, n);
	uint64_t id = dr_view_u64be(&v);
	struct dr_raft_status st;
	dr_raft_status(c->raft, &st);
	/* One that waits to be let in has neither membership nor log. */
	bool was_member = dr_nodes_is_member(c, st.id) || c->core->repl.coordinators > 0;
	if (v.bad || c->stopping || id == st.id || !was_member) {
		told.times = 0;
		return;
	}
	told.times = dr_name_eq(&told.by, by) ? told.times + 1 : 1;
	told.by = *by;
	if (told.times < TOLD_TIMES)
		return;
	struct dr_name leader = { "" };
	struct dr_address at;
	if (dr_coord_leader(c, &leader, &at) && !dr_name_eq(&leader, by)) {
		dr_log(DR_LOG_ERROR, "node.disowned",
		       "by=%s leader=%s why=\"%s says that this coordinator is no "
		       "member, but %s leads it: two clusters, if somebody ran --recover on %s\"",
		       by->s, leader.s, by->s, leader.s, by->s);
		return;
	}
	char how[DR_NAME_MAX + 32];
	(void)snprintf(how, sizeof(how), "%s, which leads, says so", by->s);
	dr_nodes_removed(c, how);
}

/* The memberships of the past lack one that joined later: only who was in one can be removed. */
void dr_nodes_watch(struct dr_coord *c, const struct dr_raft_status *st)
{
	static bool was_member;
	bool member = dr_nodes_is_member(c, st->id);
	was_member = was_member || member;
	if (st->removed && was_member && !member)
		dr_nodes_removed(c, "the membership says so");
}

void dr_nodes_removed(struct dr_coord *c, const char *how)
{
	struct dr_raft_status st;
	if (c->stopping)
		return;
	dr_raft_status(c->raft, &st);
	dr_log(DR_LOG_WARN, "node.removed", "name=%s id=%llu how=\"%s\"", c->conf.name.s,
	       (unsigned long long)st.id, how);
	(void)fprintf(stderr,
		      "drcoordd: %s (id %llu) is no member of this cluster any more: %s. It leaves.\n"
		      "To let it in again: empty %s, start it once with --join, and on any machine run the\n"
		      "`drcoordctl node add` line that it prints.\n",
		      c->conf.name.s, (unsigned long long)st.id, how, c->conf.data_dir);
	dr_coord_leave(c);
}
