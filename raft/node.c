/* node.c -- opening, closing, roles and status of one member. */
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"
#include "raft/beat.h"
#include "raft/internal.h"
#include "sys/log.h"

enum {
	SNAPSHOT_THRESHOLD = 8192, /* each snapshot stalls commits: rarely */
	INFLIGHT_ENTRIES = 512,
	CONNECT_RETRY_MS = 200,
	/* A restart reads whole segments and keeps them as long as one of their entries is kept: with libraft's 8 MiB
	 * that is more than all the rest of us.  It holds two in reserve and takes nothing more when less than a
	 * threshold of that is left, which must go along: docs/decisions/0003-raft-segments.md. */
	SEGMENT_BYTES = 2 << 20,
	RESERVE_KIB_MIN = 1024,
	INSTALL_MS = 10000,
	AGAIN_MS = 100,
	DIE_S = 2,
	EXIT_STORAGE = 74, /* EX_IOERR */
};

_Static_assert(2 * DR_ENTRY_MAX <= RESERVE_KIB_MIN * 1024, "the reserve holds the largest entry");
_Static_assert(2 * RESERVE_KIB_MIN * 1024 <= SEGMENT_BYTES, "one segment is reserve enough");
_Static_assert(2 * (SEGMENT_BYTES / 1024) <= UINT16_MAX, "libraft counts two segments in 16 bits of KiB");

void dr_raft_die(struct dr_raft *r, const struct dr_error *e)
{
	/* The callback says it; should it hang, the alarm ends the process all the same. */
	(void)signal(SIGALRM, SIG_DFL);
	(void)alarm(DIE_S);
	dr_log(DR_LOG_ERROR, "raft.fatal", "reason=\"%s\"", e->msg);
	r->config.cbs->fatal(r->config.ctx, e);
	_exit(EXIT_STORAGE);
}

/* ---- roles ---- */

bool dr_raft_is_removed(const struct dr_raft *r)
{
	const struct raft_configuration *c = &r->raft.configuration_committed;

	if (r->raft.configuration_committed_index == 0)
		return false; /* a joiner that has not heard yet */
	for (unsigned i = 0; i < c->n; i++) {
		if (c->servers[i].id == r->raft.id)
			return false;
	}
	return true;
}

static struct dr_raft_seen look(struct dr_raft *r)
{
	struct dr_raft_seen now = { .term = raft_current_term(&r->raft) };
	const char *address;
	raft_id leader = 0;

	raft_leader(&r->raft, &leader, &address);
	now.leader_id = leader;
	now.configuration = r->raft.configuration_committed_index;
	now.removed = dr_raft_is_removed(r);
	now.role = raft_state(&r->raft) == RAFT_LEADER ? DR_RAFT_LEADER : DR_RAFT_FOLLOWER;
	return now;
}

static bool same(const struct dr_raft_seen *a, const struct dr_raft_seen *b)
{
	return a->role == b->role && a->term == b->term && a->leader_id == b->leader_id &&
	       a->configuration == b->configuration && a->removed == b->removed && a->told == b->told;
}

/* In the middle of a raft step, before term and vote are on disk: nothing may be done but to wake up. */
static void on_step(struct raft *raft)
{
	struct dr_raft *r = raft->data;
	struct dr_raft_seen now = look(r);

	dr_tick_review(r);
	dr_member_review(r);
	dr_propose_review(r);
	now.told = true;
	if (same(&now, &r->stepped))
		return;
	r->stepped = now;
	(void)uv_async_send(&r->wake);
}

static void on_again(uv_timer_t *h)
{
	struct dr_raft *r = h->data;

	if (!r->closing)
		dr_raft_review(r);
}

struct barrier {
	struct raft_barrier req;
	struct dr_raft *r;
	uint64_t term;
};

static void on_barrier(struct raft_barrier *req, int status)
{
	struct barrier *b = req->data;
	struct dr_raft *r = b->r;

	if (r->barrier_term == b->term)
		r->barrier_term = 0;
	if (status == 0)
		r->led_term = b->term;
	dr_free(b);
	if (!r->closing)
		dr_raft_review(r);
}

/* A leader knows what is committed only once an entry of its own term is: stack.md 1.3. */
static void ask_barrier(struct dr_raft *r, uint64_t term)
{
	struct barrier *b = dr_xcalloc(sizeof *b);
	int rv;

	b->r = r;
	b->term = term;
	b->req.data = b;
	rv = raft_barrier(&r->raft, &b->req, on_barrier);
	if (rv == 0) {
		r->barrier_term = term;
		return;
	}
	dr_free(b);
	dr_log(DR_LOG_WARN, "raft.barrier.failed", "term=%" PRIu64 " reason=\"%s\"", term, raft_strerror(rv));
	(void)uv_timer_start(&r->again, on_again, AGAIN_MS, 0);
}

void dr_raft_review(struct dr_raft *r)
{
	struct dr_raft_seen now = look(r);
	struct dr_raft_status st;

	if (now.role == DR_RAFT_LEADER && r->led_term != now.term) {
		if (r->barrier_term != now.term)
			ask_barrier(r, now.term);
		now.role = DR_RAFT_FOLLOWER;
	}
	now.told = true;
	if (same(&now, &r->seen))
		return;
	r->seen = now;
	dr_raft_status(r, &st);
	r->config.cbs->role(r->config.ctx, &st);
}

void dr_raft_enter(struct dr_raft *r)
{
	r->inside++;
}

void dr_raft_leave(struct dr_raft *r)
{
	r->inside--;
}

static void on_wake(uv_async_t *h)
{
	struct dr_raft *r = h->data;

	if (r->closing)
		return;
	dr_raft_review(r);
}

/* ---- status ---- */

void dr_raft_status(const struct dr_raft *cr, struct dr_raft_status *out)
{
	struct dr_raft *r = (struct dr_raft *)(uintptr_t)cr; /* libraft's getters take no const */
	const struct raft_configuration *c = &r->raft.configuration;
	struct dr_raft_seen now;
	struct dr_error e;

	if (r->closing) { /* libraft may have freed the membership already */
		*out = (struct dr_raft_status){ .id = r->raft.id };
		return;
	}
	now = look(r);
	*out = (struct dr_raft_status){ .id = r->raft.id, .term = now.term, .leader_id = now.leader_id };
	out->barrier_pending = now.role == DR_RAFT_LEADER && r->led_term != now.term;
	out->role = now.role == DR_RAFT_LEADER && !out->barrier_pending ? DR_RAFT_LEADER : DR_RAFT_FOLLOWER;
	out->commit = raft_commit_index(&r->raft);
	out->applied = raft_last_applied(&r->raft);
	out->last = raft_last_index(&r->raft);
	out->stored = r->raft.last_stored;
	out->snapshot_index = r->storage.guard.head.snap_index;
	out->removed = now.removed;
	for (unsigned i = 0; i < c->n && out->members < DR_COORDINATORS_MAX; i++) {
		struct dr_raft_member *m = &out->member[out->members];
		raft_index match = 0;

		m->id = c->servers[i].id;
		m->voter = c->servers[i].role == RAFT_VOTER;
		if (dr_raft_address_parse(c->servers[i].address, &m->name, &m->address, &e) != DR_OK)
			continue;
		if (now.role == DR_RAFT_LEADER)
			(void)raft_match_index(&r->raft, m->id, &match);
		out->match[out->members++] = match;
	}
}

/* ---- open and close ---- */

static void on_storage_appended(void *ctx, uint64_t index, uint64_t term, const uint8_t *cmd, size_t len)
{
	struct dr_raft *r = ctx;

	dr_raft_enter(r);
	r->config.cbs->appended(r->config.ctx, index, term, cmd, len);
	dr_raft_leave(r);
}

static void on_storage_fatal(void *ctx, const struct dr_error *e)
{
	dr_raft_die(ctx, e);
}

static void on_snapshot_lost(void *ctx)
{
	struct dr_raft *r = ctx;

	dr_bound_lost(&r->since);
}

static const struct dr_storage_cbs storage_cbs = { on_storage_appended, on_storage_fatal, on_snapshot_lost };

/* libraft retries a failed write with the wrong timer and crashes on it 5 s later; the trace is the only
 * sign that one failed. */
static void on_trace(struct raft_tracer *t, int type, const void *info)
{
	const struct raft_tracer_info *i = info;
	struct dr_error e;

	/* It waits, keeps what comes in memory, and goes on by itself once there is room. */
	if (type == RAFT_TRACER_DIAGNOSTIC && strncmp(i->diagnostic.message, "retry creating segment", 22) == 0)
		dr_log(DR_LOG_ERROR, "raft.no_space",
		       "why=\"no new log segment can be made: is the disk full?\" next=\"tried again every 5 s\"");
	if (type != RAFT_TRACER_DIAGNOSTIC || strncmp(i->diagnostic.message, "retry failed write", 18) != 0)
		return;
	(void)dr_fail(&e, DR_E_IO, "the log cannot be written: %s", i->diagnostic.message);
	dr_raft_die(t->impl, &e);
}

static void free_when_closed(struct dr_raft *r)
{
	if (--r->closes > 0)
		return;
	if (r->closed != NULL)
		r->closed(r->closed_ctx);
	dr_free(r);
}

static void on_handle_closed(uv_handle_t *h)
{
	free_when_closed(h->data);
}

static void on_storage_closed(void *ctx)
{
	free_when_closed(ctx);
}

static void on_raft_closed(struct raft *raft)
{
	struct dr_raft *r = raft->data;

	dr_storage_close(&r->storage, on_storage_closed);
}

static void close_handles(struct dr_raft *r)
{
	r->closing = true;
	r->closes = 5;
	uv_close((uv_handle_t *)&r->gather, on_handle_closed);
	uv_close((uv_handle_t *)&r->wake, on_handle_closed);
	uv_close((uv_handle_t *)&r->tick, on_handle_closed);
	uv_close((uv_handle_t *)&r->again, on_handle_closed);
}

void dr_raft_close(struct dr_raft *r, void (*closed)(void *ctx), void *ctx)
{
	dr_assert(!r->closing);
	r->closed = closed;
	r->closed_ctx = ctx;
	dr_assert(r->inside == 0);
	close_handles(r);
	dr_propose_close(r);
	raft_close(&r->raft, on_raft_closed);
}

static enum dr_err check_config(const struct dr_raft_config *c, struct dr_error *e)
{
	if (c->election_ms == 0 || c->heartbeat_ms == 0 || c->heartbeat_ms > c->election_ms / 5)
		return dr_fail(e, DR_E_RANGE,
			       "raft: heartbeat %u ms must be at most a fifth of election %u ms",
			       c->heartbeat_ms, c->election_ms);
	if (c->election_ms == 150 && c->heartbeat_ms == 15)
		return dr_fail(e, DR_E_RANGE,
			       "raft: election 150ms with heartbeat 15ms is silently tripled by libraft; "
			       "take other values");
	return DR_OK;
}

static void configure(struct dr_raft *r)
{
	raft_set_heartbeat_timeout(&r->raft, r->config.heartbeat_ms);
	raft_set_election_timeout(&r->raft, r->config.election_ms);
	raft_set_pre_vote(&r->raft, true);
	raft_set_capacity_threshold(&r->raft, RESERVE_KIB_MIN);
	r->snapshot_threshold = r->config.snapshot_threshold != 0 ? r->config.snapshot_threshold : SNAPSHOT_THRESHOLD;
	r->snapshot_trailing = r->snapshot_threshold / 2;
	raft_set_snapshot_threshold(&r->raft, r->snapshot_threshold);
	raft_set_snapshot_trailing(&r->raft, r->snapshot_trailing);
	raft_set_max_inflight_entries(&r->raft, INFLIGHT_ENTRIES);
	raft_set_install_snapshot_timeout(&r->raft, INSTALL_MS);
	r->raft.data = r;
	r->raft.legacy.step_cb = on_step;
}

static struct dr_raft *make(uv_loop_t *loop, const struct dr_raft_config *config, uint64_t id)
{
	struct dr_raft *r = dr_xcalloc(sizeof *r);

	r->loop = loop;
	r->config = *config;
	(void)dr_copy_text(r->dir, sizeof r->dir, config->dir);
	r->config.dir = r->dir;
	dr_raft_address_format(&config->name, &config->address, r->address);
	dr_raft_fsm_init(r);
	r->tracer = (struct raft_tracer){ .impl = r, .version = 2, .emit = on_trace };
	dr_propose_init(r);
	dr_transport_init(&r->transport, loop, config->tls, id, &config->name, &config->address,
			  config->election_ms < 500 ? 500 : config->election_ms);
	return r;
}

static enum dr_err start(struct dr_raft *r, struct dr_error *e)
{
	int rv = raft_start(&r->raft);

	if (rv == 0)
		return DR_OK;
	if (r->storage.why.code != DR_OK) {
		*e = r->storage.why;
		return e->code;
	}
	return dr_fail(e, dr_raft_err(rv), "start raft in %s: %s (%s)", r->dir, raft_strerror(rv),
		       raft_errmsg(&r->raft));
}

enum dr_err dr_raft_open(struct dr_raft **out, uv_loop_t *loop, const struct dr_raft_config *config,
			 struct dr_error *e)
{
	struct dr_raft *r;
	struct dr_name name;
	uint64_t id;
	enum dr_err rv = check_config(config, e);
	int err;

	if (rv != DR_OK || (rv = dr_raft_read_id(config->dir, &id, &name, e)) != DR_OK)
		return rv;
	if (!dr_name_eq(&name, &config->name))
		return dr_fail(e, DR_E_INVALID, "data folder %s belongs to '%s', not to '%s'", config->dir,
			       name.s, config->name.s);
	r = make(loop, config, id);
	rv = dr_storage_open(&r->storage, loop, r->dir, id, &r->transport.uv, &storage_cbs, r, e);
	if (rv != DR_OK) {
		dr_free(r);
		return rv;
	}
	dr_beat_install(r);
	dr_tick_install(r);
	raft_uv_set_tracer(&r->storage.io, &r->tracer);
	raft_uv_set_connect_retry_delay(&r->storage.io, CONNECT_RETRY_MS);
	raft_uv_set_auto_recovery(&r->storage.io, false);
	raft_uv_set_segment_size(&r->storage.io, SEGMENT_BYTES);
	(void)uv_async_init(loop, &r->wake, on_wake);
	(void)uv_timer_init(loop, &r->again);
	(void)uv_timer_init(loop, &r->tick);
	(void)uv_idle_init(loop, &r->gather);
	r->wake.data = r->again.data = r->tick.data = r->gather.data = r;
	err = raft_init(&r->raft, &r->storage.io, &r->fsm, id, r->address);
	if (err != 0) {
		rv = dr_fail(e, dr_raft_err(err), "%s: %s", r->dir, raft_errmsg(&r->raft));
		close_handles(r);
		dr_storage_close(&r->storage, on_storage_closed);
		return rv;
	}
	configure(r);
	rv = start(r, e);
	if (rv != DR_OK) {
		close_handles(r);
		raft_close(&r->raft, on_raft_closed);
		return rv;
	}
	(void)uv_async_send(&r->wake);
	*out = r;
	return DR_OK;
}
