/* fsm.c -- Raft's side of the replicated state: entries become events, snapshots carry it, events are chained. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "coord/shell/coord.h"
#include "coord/shell/meter.h"
#include "coord/shell/ready.h"
#include "coord/shell/snapshot.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { SAY_LATE_MS = 60000 };
enum { EXIT_DAMAGED = 74 }; /* EX_IOERR: started again by whoever supervises, with a pause */

static void appended(void *ctx, uint64_t index, uint64_t term, const uint8_t *cmd, size_t len)
{
	struct dr_coord *c = ctx;
	if (!dr_cmd_is_tick(cmd, len))
		return;
	struct dr_core_event ev = { .kind = DR_EV_APPENDED, .index = index, .term = term };
	dr_coord_event(c, &ev);
}

/* Found once: OpenSSL looks it up by name each time that it is asked for. */
static const EVP_MD *sha256(void)
{
	static const EVP_MD *found;
	if (found == NULL)
		found = EVP_MD_fetch(NULL, "SHA256", NULL);
	return found;
}

/* head = SHA-256(head, the event's bytes): equal on every coordinator at equal events. */
static void chain(struct dr_coord *c, const struct dr_event_record *e)
{
	struct dr_buf b;
	dr_buf_init(&b, 8192);
	dr_buf_put(&b, c->ledger_head, sizeof(c->ledger_head));
	dr_event_encode(&b, e);
	int done = EVP_Digest(b.data, b.len, c->ledger_head, NULL, sha256(), NULL);
	dr_assert(done == 1);
	dr_buf_close(&b);
	dr_ledger_note(&c->ledger, e->index, c->ledger_head);
}

static void say(struct dr_coord *c, const struct dr_event_record *e)
{
	dr_log_text(dr_event_warns(e->kind) ? DR_LOG_WARN : DR_LOG_INFO, dr_event_name(e->kind), dr_stream_text(c, e));
}

static void take_new_events(struct dr_coord *c)
{
	while (c->events_seen < c->core->repl.event_last) {
		c->events_seen++;
		const struct dr_event_record *e = dr_repl_event(&c->core->repl, c->events_seen);
		if (e == NULL)
			continue;
		chain(c, e);
		dr_meter_event(c, e);
		dr_ready_event(c, e);
		if (e->wall_ms + SAY_LATE_MS >= c->started_wall_ms) /* not the whole past again at every start */
			say(c, e);
	}
	dr_stream_soon(c);
}

static void apply(void *ctx, uint64_t index, uint64_t term, const uint8_t *bytes, size_t len)
{
	struct dr_coord *c = ctx;
	struct dr_cmd cmd;
	struct dr_error e;
	if (index <= c->restored) {
		dr_log(DR_LOG_WARN, "entry.known", "index=%llu restored=%llu why=\"the snapshot has it\"",
		       (unsigned long long)index, (unsigned long long)c->restored);
		return;
	}
	if (dr_cmd_decode(&cmd, bytes, len, &e) != DR_OK) {
		/* A coordinator that skips an entry is no longer a replica. */
		dr_log(DR_LOG_ERROR, "entry.unreadable", "index=%llu why=\"%s\" remedy=\"run the version that wrote it\"",
		       (unsigned long long)index, e.msg);
		_exit(EXIT_DAMAGED);
	}
	struct dr_core_event ev = { .kind = DR_EV_COMMITTED, .index = index, .term = term, .cmd = &cmd };
	dr_coord_event(c, &ev);
	if (cmd.kind != DR_CMD_TICK)
		take_new_events(c);
	if (cmd.kind == DR_CMD_SPEC || cmd.kind == DR_CMD_COORDINATOR) {
		dr_peers_sync(c);
		dr_probe_sync(c);
	}
	dr_cmd_close(&cmd);
}

static void snapshot(void *ctx, struct dr_buf *out)
{
	struct dr_coord *c = ctx;
	dr_snapshot_encode(out, &c->core->repl, c->ledger_head);
}

static enum dr_err restore(void *ctx, const uint8_t *data, size_t len, uint64_t index, struct dr_error *e)
{
	struct dr_coord *c = ctx;
	uint8_t head[32];
	struct dr_repl *fresh = mmap(NULL, sizeof(*fresh), PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fresh == MAP_FAILED)
		return dr_fail(e, DR_E_INTERNAL, "no memory for a snapshot");
	dr_repl_init(fresh);
	enum dr_err rv = dr_snapshot_decode(fresh, head, data, len, e);
	if (rv == DR_OK) {
		/* Only what is or was used is written, so that other places stay untouched. */
		uint32_t before = c->core->repl.services;
		size_t one = sizeof(fresh->service[0]);
		size_t used = offsetof(struct dr_repl, service) + fresh->services * one;
		memcpy(&c->core->repl, fresh, used);
		if (before > fresh->services)
			memset(&c->core->repl.service[fresh->services], 0, (before - fresh->services) * one);
		/* A snapshot that is named after an earlier index (raft/snap.h) has what comes next already. */
		c->restored = fresh->applied > index ? fresh->applied : index;
		c->core->repl.applied = c->restored;
		memcpy(c->ledger_head, head, sizeof(head));
		c->events_seen = fresh->event_last;
		dr_ledger_restart(&c->ledger, c->events_seen, c->ledger_head);
		struct dr_core_event ev = { .kind = DR_EV_RESTORED };
		dr_coord_event(c, &ev);
	}
	(void)munmap(fresh, sizeof(*fresh));
	return rv;
}

static void role(void *ctx, const struct dr_raft_status *st)
{
	struct dr_coord *c = ctx;
	bool leads = st->role == DR_RAFT_LEADER;
	if (leads != c->core->view.leading || (leads && st->term != c->core->view.term)) {
		dr_log(DR_LOG_INFO, "raft.role", "role=%s term=%llu leader=%llu", leads ? "leader" : "follower",
		       (unsigned long long)st->term, (unsigned long long)st->leader_id);
		struct dr_core_event ev = { .kind = DR_EV_ROLE, .leading = leads, .term = st->term };
		dr_coord_event(c, &ev);
		if (leads)
			dr_nodes_name(c);
	}
	dr_agents_lead(c, NULL);
	dr_nodes_watch(c, st);
}

static void fatal(void *ctx, const struct dr_error *e)
{
	(void)ctx;
	dr_log(DR_LOG_ERROR, "raft.fatal", "why=\"%s\"", e->msg);
	_exit(EXIT_DAMAGED);
}

const struct dr_raft_cbs dr_coord_raft_cbs = { .appended = appended, .apply = apply, .snapshot = snapshot,
					       .restore = restore, .role = role, .fatal = fatal };
