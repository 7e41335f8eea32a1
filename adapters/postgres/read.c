/* read.c -- what several ops read from a server: its state, and who streams from it.
 *
 * The state is one statement, so that an answer is one moment.  It uses functions instead of views over
 * catalogs where it can: nobody's lock on a catalog may blind a probe.  Everything is asked so that an
 * account with pg_monitor may ask it; what an account may not see comes as NULL and counts as unknown.  Only
 * pg_ls_waldir() it must be allowed to call (pg_monitor is): that is checked as the statement begins, in whatever
 * branch the call stands. */

#include <string.h>

#include "adapters/postgres/pg.h"
#include "adapters/versions.h"
#include "base/parse.h"

/* pg_is_in_recovery() is asked once, in a subquery that its volatility keeps apart: a promotion between
 * two calls would call a function of the wrong role.
 * Streaming: a walreceiver calls itself streaming before the upstream has accepted it (the slot may be
 * missing); until a message has come the times of the last one are all equal.  One that lives is
 * accepted too: the upstream may have nothing to say.
 * Timeline: received_tli ends with the receiver, the control file's lags until a checkpoint, which on a
 * standby may be minutes away; what it received lies in files that are named for their timeline.  The greatest
 * of what is known. */
const char PG_STATE_SQL[] =
    "SELECT s.standby,"
    " (extract(epoch FROM pg_postmaster_start_time()) * 1000)::bigint,"
    " (SELECT system_identifier FROM pg_control_system()),"
    " current_setting('server_version_num'),"
    " GREATEST(w.received_tli, c.timeline_id, r.min_recovery_end_timeline, CASE WHEN NOT s.standby THEN"
    "  ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int"
    "  WHEN w.received_tli IS NULL THEN (SELECT max(('x' || substr(name, 1, 8))::bit(32)::int)"
    "  FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$') END),"
    " pg_wal_lsn_diff(CASE WHEN s.standby THEN pg_last_wal_receive_lsn()"
    "  ELSE pg_current_wal_flush_lsn() END, '0/0'),"
    " pg_wal_lsn_diff(CASE WHEN s.standby THEN pg_last_wal_replay_lsn() END, '0/0'),"
    " CASE WHEN s.standby THEN pg_is_wal_replay_paused() ELSE false END,"
    " a.receiver_pid, coalesce(w.status = 'streaming' AND (w.last_msg_send_time <> w.last_msg_receipt_time"
    "  OR clock_timestamp() - a.receiver_start > interval '200 ms'), false), w.sender_host, w.sender_port,"
    " CASE WHEN p.may THEN current_setting('primary_conninfo') END,"
    " CASE WHEN p.may THEN current_setting('primary_slot_name') END,"
    " current_setting('synchronous_standby_names'), current_setting('wal_retrieve_retry_interval'),"
    " a.checkpointer, a.startup,"
    " CASE WHEN p.may THEN current_setting('recovery_target_timeline') = 'latest' END, c.timeline_id"
    " FROM (SELECT pg_is_in_recovery() AS standby OFFSET 0) s,"
    " (SELECT pg_has_role('pg_read_all_settings', 'USAGE') AS may OFFSET 0) p,"
    " pg_control_checkpoint() c, pg_control_recovery() r,"
    " (SELECT max(pid) FILTER (WHERE backend_type = 'walreceiver') AS receiver_pid,"
    "   max(backend_start) FILTER (WHERE backend_type = 'walreceiver') AS receiver_start,"
    "   max(wait_event) FILTER (WHERE backend_type = 'checkpointer') AS checkpointer,"
    "   max(wait_event) FILTER (WHERE backend_type = 'startup') AS startup"
    "  FROM pg_stat_get_activity(NULL)) a"
    " LEFT JOIN pg_stat_wal_receiver w ON true";

enum {
	COL_STANDBY,
	COL_STARTED,
	COL_SYSTEM,
	COL_VERSION,
	COL_TIMELINE,
	COL_RECEIVED,
	COL_REPLAYED,
	COL_PAUSED,
	COL_RECEIVER,
	COL_STREAMING,
	COL_SENDER_HOST,
	COL_SENDER_PORT,
	COL_CONNINFO,
	COL_SLOT,
	COL_SYNC,
	COL_RETRY,
	COL_CHECKPOINTER,
	COL_STARTUP,
	COL_LATEST,
	COL_CHECKPOINT_TIMELINE,
	COLS
};

const char PG_PEERS_SQL[] = "SELECT application_name, state = 'streaming', sync_state IN ('sync', 'quorum'),"
			    " pg_wal_lsn_diff(flush_lsn, '0/0'), pg_wal_lsn_diff(replay_lsn, '0/0')"
			    " FROM pg_stat_replication ORDER BY 2, 4 NULLS FIRST LIMIT 256";

enum { PEER_NAME, PEER_STREAMING, PEER_SYNC, PEER_FLUSHED, PEER_REPLAYED, PEER_COLS };

/* NULL for SQL's NULL. */
static const char *text_of(const PGresult *res, int row, int col)
{
	return PQgetisnull(res, row, col) != 0 ? NULL : PQgetvalue(res, row, col);
}

static bool bool_of(const PGresult *res, int row, int col)
{
	const char *s = text_of(res, row, col);
	return s != NULL && strcmp(s, "t") == 0;
}

static uint64_t u64_of(const PGresult *res, int row, int col)
{
	return pg_u64(text_of(res, row, col));
}

static uint32_t u32_of(const PGresult *res, int row, int col)
{
	uint64_t v = u64_of(res, row, col);
	return v <= UINT32_MAX ? (uint32_t)v : 0;
}

/* A text too long for dst is cut, and so differs from whatever we wanted there; that is what counts. */
static void copy_of(const PGresult *res, int row, int col, char *dst, size_t cap)
{
	const char *s = text_of(res, row, col);
	(void)dr_copy_text(dst, cap, s != NULL ? s : "");
}

enum dr_err pg_read_state(const PGresult *res, struct pg_state *st, struct dr_error *e)
{
	uint32_t port;

	memset(st, 0, sizeof(*st));
	if (PQresultStatus(res) != PGRES_TUPLES_OK || PQnfields(res) != COLS || PQntuples(res) != 1)
		return dr_fail(e, DR_E_PROTOCOL, "the answer has not the form that was asked for");
	st->in_recovery = bool_of(res, 0, COL_STANDBY);
	st->started_ms = u64_of(res, 0, COL_STARTED);
	st->system_id = u64_of(res, 0, COL_SYSTEM);
	st->version = u32_of(res, 0, COL_VERSION);
	st->timeline = u32_of(res, 0, COL_TIMELINE);
	st->received = u64_of(res, 0, COL_RECEIVED);
	st->replayed = u64_of(res, 0, COL_REPLAYED);
	st->paused = bool_of(res, 0, COL_PAUSED);
	st->receiver_pid = u32_of(res, 0, COL_RECEIVER);
	st->streaming = bool_of(res, 0, COL_STREAMING);
	port = u32_of(res, 0, COL_SENDER_PORT);
	st->sender.port = port <= UINT16_MAX ? (uint16_t)port : 0;
	copy_of(res, 0, COL_SENDER_HOST, st->sender.host, sizeof(st->sender.host));
	copy_of(res, 0, COL_CONNINFO, st->conninfo, sizeof(st->conninfo));
	copy_of(res, 0, COL_SLOT, st->slot, sizeof(st->slot));
	copy_of(res, 0, COL_SYNC, st->sync_names, sizeof(st->sync_names));
	copy_of(res, 0, COL_RETRY, st->retry_interval, sizeof(st->retry_interval));
	copy_of(res, 0, COL_CHECKPOINTER, st->checkpointer, sizeof(st->checkpointer));
	copy_of(res, 0, COL_STARTUP, st->startup, sizeof(st->startup));
	st->target_latest = bool_of(res, 0, COL_LATEST);
	st->checkpoint_timeline = u32_of(res, 0, COL_CHECKPOINT_TIMELINE);
	if (st->version == 0)
		return dr_fail(e, DR_E_PROTOCOL, "the server does not tell its version");
	if (!st->in_recovery)
		st->replayed = st->received;
	st->never_received = st->in_recovery && st->received == 0;
	if (st->in_recovery && st->replayed > st->received)
		st->received = st->replayed;
	return DR_OK;
}

/* FOLLOWING leaves the upstream's name in fallback_application_name, the one free text of a conninfo. */
static void read_upstream(const struct pg_state *st, struct dr_evidence *ev)
{
	PQconninfoOption *all = NULL, *o = NULL;
	const char *host = "", *port = "", *name = "";
	uint64_t number = 0;

	ev->upstream_at = st->sender;
	if (st->conninfo[0] == '\0')
		return;
	all = PQconninfoParse(st->conninfo, NULL);
	for (o = all; o != NULL && o->keyword != NULL; o++) {
		if (o->val == NULL)
			continue;
		if (strcmp(o->keyword, "host") == 0)
			host = o->val;
		else if (strcmp(o->keyword, "port") == 0)
			port = o->val;
		else if (strcmp(o->keyword, "fallback_application_name") == 0)
			name = o->val;
	}
	if (strcmp(host, st->sender.host) == 0 && dr_parse_u64(port, 1, UINT16_MAX, &number) == DR_OK &&
	    number == st->sender.port)
		(void)dr_name_set(&ev->upstream, name);
	PQconninfoFree(all);
}

enum pg_next pg_state_step(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	struct dr_evidence *ev = &r->op->evidence;
	struct pg_state *st = &r->now;
	struct pg_sync sync;

	if (pg_read_state(res, st, e) != DR_OK)
		return PG_FAILED;
	ev->reached = true;
	ev->in_recovery = st->in_recovery;
	ev->replay_paused = st->paused;
	ev->receiving = st->streaming;
	ev->system_id = st->system_id;
	ev->timeline = st->timeline;
	ev->checkpoint_timeline = st->checkpoint_timeline;
	ev->received = st->received;
	ev->replayed = st->replayed;
	ev->started_ms = st->started_ms;
	dr_version_tell(DR_PRODUCT_POSTGRES, st->version, ev);
	memset(&ev->upstream, 0, sizeof(ev->upstream));
	memset(&ev->upstream_at, 0, sizeof(ev->upstream_at));
	if (st->streaming)
		read_upstream(st, ev);
	ev->sync_k = !st->in_recovery && pg_parse_sync(st->sync_names, &sync) ? sync.k : 0;
	if (st->in_recovery)
		pg_say(r, "standby, timeline %u%s%s", st->timeline,
		       st->streaming ? ", streaming" : ", not receiving",
		       st->paused ? ", replay paused" : "");
	else
		pg_say(r, "primary, timeline %u", st->timeline);
	return PG_NEXT;
}

static bool asked_for(const struct dr_op_args *args, const struct dr_name *name)
{
	if (args->peers == 0)
		return true;
	for (uint32_t i = 0; i < args->peers && i < DR_OP_PEERS_MAX; i++) {
		if (dr_name_eq(&args->peer[i], name))
			return true;
	}
	return false;
}

static struct dr_peer_seen *peer_of(struct dr_evidence *ev, const struct dr_name *name)
{
	for (uint32_t i = 0; i < ev->peers; i++) {
		if (dr_name_eq(&ev->peer[i].member, name))
			return &ev->peer[i];
	}
	if (ev->peers == DR_OP_PEERS_MAX)
		return NULL;
	ev->peer[ev->peers] = (struct dr_peer_seen){ .member = *name };
	return &ev->peer[ev->peers++];
}

/* Rows come worst first, so that of two streams with one name (a dead one that the server has not noticed
 * yet, or two standbys that were given the same) the better one stays.  Then the names that the server
 * waits for although they are not connected: they count for its k. */
enum pg_next pg_peers_step(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	struct dr_evidence *ev = &r->op->evidence;
	struct pg_sync sync;

	if (PQresultStatus(res) != PGRES_TUPLES_OK || PQnfields(res) != PEER_COLS) {
		(void)dr_fail(e, DR_E_PROTOCOL, "the answer has not the form that was asked for");
		return PG_FAILED;
	}
	ev->peers = 0;
	memset(ev->peer, 0, sizeof(ev->peer));
	for (int row = 0; row < PQntuples(res); row++) {
		const char *text = text_of(res, row, PEER_NAME);
		struct dr_name name;
		struct dr_peer_seen *p = NULL;

		if (text == NULL || !dr_name_set(&name, text) || !asked_for(&r->op->args, &name))
			continue;
		p = peer_of(ev, &name);
		if (p == NULL)
			continue;
		if (p->streaming && bool_of(res, row, PEER_STREAMING))
			pg_say(r, "two standbys call themselves %s", name.s);
		p->streaming = bool_of(res, row, PEER_STREAMING);
		p->counts_for_sync = bool_of(res, row, PEER_SYNC);
		p->flushed = u64_of(res, row, PEER_FLUSHED);
		p->replayed = u64_of(res, row, PEER_REPLAYED);
	}
	if (r->now.in_recovery || !pg_parse_sync(r->now.sync_names, &sync))
		return PG_NEXT;
	for (uint32_t i = 0; i < sync.names; i++) {
		struct dr_peer_seen *p = peer_of(ev, &sync.name[i]);
		if (p != NULL && !p->streaming)
			p->counts_for_sync = true;
	}
	return PG_NEXT;
}
