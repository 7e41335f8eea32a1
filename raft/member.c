/* member.c -- changes of the membership, and handing leadership over; one at a time.
 *
 * libraft keeps a pointer to the request of a change, also after some failures: it lives in struct dr_raft
 * and is taken out of libraft's hands when a call fails.  Adding is two changes: a spare that receives
 * nothing yet, then, once it has caught up, a voter. */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "raft/internal.h"

static void finish(struct dr_raft *r, const struct dr_error *e)
{
	dr_raft_changed_cb *cb = r->change.cb;

	r->change.kind = DR_CHANGE_NONE;
	cb(r->change.arg, e);
}

static void finish_with(struct dr_raft *r, int status, const char *what)
{
	struct dr_error e = { 0 };

	if (status != 0)
		(void)dr_fail(&e, dr_raft_err(status), "%s raft id %" PRIu64 ": %s", what, r->change.id,
			      raft_strerror(status));
	finish(r, &e);
}

static const struct raft_server *server_of(const struct dr_raft *r, uint64_t id)
{
	const struct raft_configuration *c = &r->raft.configuration;

	for (unsigned i = 0; i < c->n; i++) {
		if (c->servers[i].id == id)
			return &c->servers[i];
	}
	return NULL;
}

/* libraft takes a change for settled when its commit index passes over it.  A follower that learns of entry and
 * commit at once misses that moment: it would keep the members of before for rollback and snapshots, and as leader
 * refuse every change.  Our own change in flight is left alone. */
void dr_member_review(struct dr_raft *r)
{
	struct raft *raft = &r->raft;
	const struct raft_configuration *now = &raft->configuration;
	raft_index at = raft->configuration_uncommitted_index;
	struct raft_configuration copy;

	if (at == 0 || at > raft->last_applied || raft->legacy.change != NULL)
		return;
	raft_configuration_init(&copy);
	for (unsigned i = 0; i < now->n; i++) {
		const struct raft_server *s = &now->servers[i];
		if (raft_configuration_add(&copy, s->id, s->address, s->role) != 0) {
			raft_configuration_close(&copy); /* no memory: the next step tries again */
			return;
		}
	}
	raft_configuration_close(&raft->configuration_committed);
	raft->configuration_committed = copy;
	raft->configuration_committed_index = at;
	raft->configuration_uncommitted_index = 0;
}

static enum dr_err begin(struct dr_raft *r, enum dr_change_kind kind, uint64_t id, dr_raft_changed_cb *cb,
			 void *arg, struct dr_error *e)
{
	if (r->closing || raft_state(&r->raft) != RAFT_LEADER || r->led_term != raft_current_term(&r->raft))
		return dr_fail(e, DR_E_NOT_LEADER, "this coordinator does not lead");
	if (r->inside != 0 || r->change.kind != DR_CHANGE_NONE || r->raft.legacy.change != NULL)
		return dr_fail(e, DR_E_BUSY, "another change of the membership is under way");
	r->change = (struct dr_change){ .kind = kind, .id = id, .cb = cb, .arg = arg };
	r->change.req.data = r;
	r->change.transfer.data = r;
	dr_propose_flush(r); /* what was asked for before goes before; and nothing can while the lead is handed over */
	return DR_OK;
}

/* A call that failed must not leave its request behind in libraft. */
static enum dr_err not_begun(struct dr_raft *r, int rv, const char *what, struct dr_error *e)
{
	if (r->raft.legacy.change == &r->change.req)
		r->raft.legacy.change = NULL;
	r->change.kind = DR_CHANGE_NONE;
	return dr_fail(e, dr_raft_err(rv), "%s raft id %" PRIu64 ": %s", what, r->change.id,
		       raft_strerror(rv));
}

static void on_promoted(struct raft_change *req, int status)
{
	struct dr_raft *r = req->data;
	const struct raft_server *s = server_of(r, r->change.id);
	struct dr_error e;

	if (status == RAFT_NOCONNECTION || (status == 0 && (s == NULL || s->role != RAFT_VOTER))) {
		(void)dr_fail(&e, DR_E_TIMEOUT,
			      "raft id %" PRIu64
			      " did not catch up in time; it stays without a vote: try again or remove it",
			      r->change.id);
		finish(r, &e);
		return;
	}
	finish_with(r, status, "give a vote to");
}

static int promote(struct dr_raft *r)
{
	int rv;

	r->change.kind = DR_CHANGE_PROMOTE;
	rv = raft_assign(&r->raft, &r->change.req, r->change.id, RAFT_VOTER, on_promoted);
	if (rv != 0 && r->raft.legacy.change == &r->change.req)
		r->raft.legacy.change = NULL;
	return rv;
}

static void on_added(struct raft_change *req, int status)
{
	struct dr_raft *r = req->data;

	if (status == 0 && !r->closing)
		status = promote(r);
	else if (status == 0)
		status = RAFT_LEADERSHIPLOST;
	if (status != 0)
		finish_with(r, status, "add");
}

enum dr_err dr_raft_add(struct dr_raft *r, const struct dr_raft_member *m, dr_raft_changed_cb *cb, void *arg,
			struct dr_error *e)
{
	char address[DR_RAFT_ADDRESS_MAX];
	const struct raft_server *known = server_of(r, m->id);
	enum dr_err rv;
	int err;

	if (m->id == 0)
		return dr_fail(e, DR_E_INVALID, "a member needs a raft id");
	if (known == NULL && r->raft.configuration.n >= DR_COORDINATORS_MAX)
		return dr_fail(e, DR_E_FULL, "there are %u members already", r->raft.configuration.n);
	if (known != NULL && known->role == RAFT_VOTER)
		return dr_fail(e, DR_E_EXISTS, "raft id %" PRIu64 " is a member already", m->id);
	rv = begin(r, DR_CHANGE_ADD, m->id, cb, arg, e);
	if (rv != DR_OK)
		return rv;
	dr_raft_address_format(&m->name, &m->address, address);
	if (known != NULL) /* an earlier try left it without a vote */
		err = promote(r);
	else
		err = raft_add(&r->raft, &r->change.req, m->id, address, on_added);
	return err == 0 ? DR_OK : not_begun(r, err, "add", e);
}

static void on_removed(struct raft_change *req, int status)
{
	finish_with(req->data, status, "remove");
}

enum dr_err dr_raft_remove(struct dr_raft *r, uint64_t id, dr_raft_changed_cb *cb, void *arg,
			   struct dr_error *e)
{
	enum dr_err rv;
	int err;

	if (server_of(r, id) == NULL)
		return dr_fail(e, DR_E_NOT_FOUND, "raft id %" PRIu64 " is no member", id);
	if (r->raft.configuration.n == 1)
		return dr_fail(e, DR_E_REFUSED, "raft id %" PRIu64 " is the last member", id);
	rv = begin(r, DR_CHANGE_REMOVE, id, cb, arg, e);
	if (rv != DR_OK)
		return rv;
	err = raft_remove(&r->raft, &r->change.req, id, on_removed);
	return err == 0 ? DR_OK : not_begun(r, err, "remove", e);
}

static void on_transferred(struct raft_transfer *req)
{
	struct dr_raft *r = req->data;
	const char *address;
	raft_id leader = 0;
	struct dr_error e = { 0 };

	raft_leader(&r->raft, &leader, &address);
	if (leader != req->id)
		(void)dr_fail(&e, DR_E_TIMEOUT, "raft id %llu did not take over leadership in time", req->id);
	finish(r, &e);
}

enum dr_err dr_raft_transfer(struct dr_raft *r, uint64_t id, dr_raft_changed_cb *cb, void *arg,
			     struct dr_error *e)
{
	enum dr_err rv;
	int err;

	if (id == r->raft.id)
		return dr_fail(e, DR_E_INVALID, "this coordinator leads already");
	rv = begin(r, DR_CHANGE_TRANSFER, id, cb, arg, e);
	if (rv != DR_OK)
		return rv;
	err = raft_transfer(&r->raft, &r->change.transfer, id, on_transferred);
	return err == 0 ? DR_OK : not_begun(r, err, "transfer leadership to", e);
}
