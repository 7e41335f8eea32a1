/* node.h -- one Raft member; the only door to libraft, whose header is seen nowhere else.
 *
 * Everything runs on the loop's thread.  The state machine behind `apply` must be total and deterministic:
 * it cannot refuse an entry.  Answers stack.md 8: submit window, padding, barrier before leading, EIO exit
 * through the tracer, storage guard, hashed snapshots, pre-vote always, no built-in transport. */
#ifndef DR_RAFT_NODE_H
#define DR_RAFT_NODE_H

#include <uv.h>

#include "base/buf.h"
#include "base/error.h"
#include "model/ids.h"
#include "model/spec.h"
#include "net/conn.h"
#include "raft/hello.h"

enum dr_raft_role { DR_RAFT_FOLLOWER, DR_RAFT_LEADER }; /* leader: a barrier of the own term was applied */

struct dr_raft_member {
	uint64_t id;         /* Raft id; new after every wipe */
	struct dr_name name; /* as its certificate says */
	struct dr_address address;
	bool voter;
};

struct dr_raft_status {
	enum dr_raft_role role;
	bool barrier_pending; /* elected, but not leading yet */
	uint64_t id, term, commit, applied, last, leader_id;
	uint32_t members;
	struct dr_raft_member member[DR_COORDINATORS_MAX];
	uint64_t match[DR_COORDINATORS_MAX]; /* leader only: how far each has the log */
	uint64_t stored; /* up to here its own disk has the log; up to `last` it is in memory */
	uint64_t snapshot_index;
	bool removed; /* the committed membership does not have this node (any more): it should stop */
	bool storage_suspect; /* the guard found damage: this node does not vote; reason below */
	char storage_reason[DR_REASON_MAX];
};

struct dr_raft_cbs {
	/* An entry is about to enter this node's log, received or appended by itself (called before the write
	 * is started; a rewrite after truncation counts anew).  The bytes are borrowed. */
	void (*appended)(void *ctx, uint64_t index, uint64_t term, const uint8_t *cmd, size_t len);
	/* A committed command, once each in order; those that share an entry have the same index. */
	void (*apply)(void *ctx, uint64_t index, uint64_t term, const uint8_t *cmd, size_t len);
	/* Append the whole replicated state to *out. */
	void (*snapshot)(void *ctx, struct dr_buf *out);
	/* Replace the replicated state; an error keeps the old one and stops the node. */
	enum dr_err (*restore)(void *ctx, const uint8_t *data, size_t len, uint64_t index,
			       struct dr_error *e);
	/* Role, term or known leader changed.  LEADER comes after the barrier. */
	void (*role)(void *ctx, const struct dr_raft_status *st);
	/* A fatal storage error (EIO, damage while running): say it and leave; the node does nothing more. */
	void (*fatal)(void *ctx, const struct dr_error *e);
};

struct dr_raft_config {
	const char *dir; /* data directory: segments, metadata, snapshots, guard */
	struct dr_name name;
	struct dr_address address;
	uint32_t election_ms, heartbeat_ms;
	uint32_t snapshot_threshold; /* entries between snapshots; 0: 8192 (smaller only in tests) */
	struct dr_tls *tls;          /* borrowed until closed */
	const struct dr_raft_cbs *cbs;
	/* Take a heartbeat to the member with that id, or an answer to one, over a connection that the caller has
	 * (it may be lost, or come late); the other side gives it to dr_raft_carried.  False: there is no way,
	 * its own link takes it.  The bytes are borrowed.  NULL: links take all. */
	bool (*carry)(void *ctx, uint64_t to, bool answer, const uint8_t *bytes, size_t len);
	/* Called before each tick, a leader's every heartbeat, else twice an election timeout: answers that have come
	 * need not be given to dr_raft_carried earlier.  NULL: nothing. */
	void (*before_tick)(void *ctx);
	void *ctx; /* of cbs, carry and before_tick */
};

struct dr_raft;

/* A new, empty data directory's first membership: writes the id file and bootstraps.  Offline.  All first
 * members call it with the same list.  EXISTS: the directory holds a node already. */
DR_MUST_USE enum dr_err dr_raft_bootstrap(const char *dir, const struct dr_name *self,
					  const struct dr_raft_member *members, uint32_t n,
					  struct dr_error *e);
/* A new id for a node that joins an existing cluster (or rejoins after a wipe).  Offline. */
DR_MUST_USE enum dr_err dr_raft_prepare_join(const char *dir, const struct dr_name *self, uint64_t *id,
					     struct dr_error *e);
/* The id that a data directory belongs to; NOT_FOUND when it is empty. */
DR_MUST_USE enum dr_err dr_raft_id(const char *dir, uint64_t *id, struct dr_error *e);
/* The ids that bootstrap gives to the first members, from cluster and member name: equal on all nodes. */
uint64_t dr_raft_first_id(const char *cluster, const struct dr_name *name);
/* The majority is gone for good: make this node the only voter, offline.  What the core must raise (epochs,
 * order numbers) is the caller's business, by an entry after the start. */
DR_MUST_USE enum dr_err dr_raft_recover(const char *dir, const struct dr_raft_member *self,
					struct dr_error *e);

/* Open storage (guard checked: CORRUPT says how to rejoin), restore, start.  `restore` may be called inside;
 * entries found on disk are not announced by `appended`: they count as received now.  After an error what
 * had been opened closes by itself: run the loop once more before closing it. */
DR_MUST_USE enum dr_err dr_raft_open(struct dr_raft **out, uv_loop_t *loop,
				     const struct dr_raft_config *config, struct dr_error *e);
/* Not from inside appended, apply, snapshot or restore.  Proposals still out are told UNKNOWN (or that they
 * were not done) before it returns. */
void dr_raft_close(struct dr_raft *r, void (*closed)(void *ctx), void *ctx);

/* An accepted connection whose first frame said that it carries raft (hello.h decodes it): answer it, and make a place
 * for what comes, which is the caller's, to be closed with the connection.  On error the caller closes it at once. */
struct dr_raft_inbox;
DR_MUST_USE enum dr_err dr_raft_accept(struct dr_raft *r, struct dr_conn *c, const struct dr_raft_hello *h,
				       struct dr_raft_inbox **out, struct dr_error *e);
/* Each frame that comes on it later; PROTOCOL: close it.  Not from inside a callback of struct dr_raft_cbs, nor
 * after dr_raft_close. */
DR_MUST_USE enum dr_err dr_raft_take(struct dr_raft *r, struct dr_raft_inbox *in, uint16_t type,
				     const uint8_t *payload, size_t len, struct dr_error *e);
void dr_raft_inbox_close(struct dr_raft_inbox *in); /* NULL is fine */

/* What another member's `carry` took here; from: the name in the certificate that it came under.  What is garbled,
 * or of no member of that name, is dropped.  Not from inside a callback of struct dr_raft_cbs. */
void dr_raft_carried(struct dr_raft *r, const struct dr_name *from, const uint8_t *bytes, size_t len);

/* Submit one command; bit 7 of its first byte asks that the storage guard's record of its entry is durable before the
 * entry counts as stored (epochs, holders, sets, orders: what must not be lost).  NOT_LEADER; FULL:
 * DR_PROPOSALS_MAX are outstanding; RANGE: empty or too long.  After OK the callback comes exactly once: OK,
 * UNKNOWN (it may or may not be committed later), or another code: it was not done.  May be called from every
 * callback of struct dr_raft_cbs.  It goes, in order and in one entry with others, once the loop has gone round and the own
 * disk has written the entry before. */
typedef void dr_raft_proposed_cb(void *arg, enum dr_err outcome, uint64_t index);
DR_MUST_USE enum dr_err dr_raft_propose(struct dr_raft *r, const void *cmd, size_t len,
					dr_raft_proposed_cb *cb, void *arg);
/* How many were taken of which the callback has not come. */
uint32_t dr_raft_outstanding(const struct dr_raft *r);

/* Call back once this member has shown that it leads, and has applied all that was committed before this call: what is
 * read then is linearizable.  The callback comes once, from the loop: OK, or a code (NOT_LEADER, CLOSED, ...), and then
 * what is held here may be old.  Without OK as result it does not come; BUSY: not inside apply and appended. */
typedef void dr_raft_read_cb(void *arg, enum dr_err outcome);
DR_MUST_USE enum dr_err dr_raft_read(struct dr_raft *r, dr_raft_read_cb *cb, void *arg);

/* Membership, one change at a time (BUSY; also inside apply and appended).  Callback exactly once, with an
 * error whose code may be OK. */
typedef void dr_raft_changed_cb(void *arg, const struct dr_error *e);
DR_MUST_USE enum dr_err dr_raft_add(struct dr_raft *r, const struct dr_raft_member *m, dr_raft_changed_cb *cb,
				    void *arg, struct dr_error *e); /* joins as spare, then becomes voter */
DR_MUST_USE enum dr_err dr_raft_remove(struct dr_raft *r, uint64_t id, dr_raft_changed_cb *cb, void *arg,
				       struct dr_error *e);
/* id 0: whoever is best. */
DR_MUST_USE enum dr_err dr_raft_transfer(struct dr_raft *r, uint64_t id, dr_raft_changed_cb *cb, void *arg,
					 struct dr_error *e);

void dr_raft_status(const struct dr_raft *r, struct dr_raft_status *out);

#endif
