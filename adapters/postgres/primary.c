/* primary.c -- the ops that look at a server, and those that a primary carries out.
 *
 * When settings count.  A fresh connection shows what the postmaster has loaded, and the postmaster has by
 * then sent SIGHUP on to its children.  But whether commits wait at all (when synchronous_standby_names goes
 * from empty to a list) is a flag in shared memory that only the checkpointer sets when it takes the
 * signal in, and in the middle of an immediate checkpoint it doesn't.  So a list counts as in force only
 * when the checkpointer was seen at a wait at which it takes signals in: idle, or between the writes of a
 * spread checkpoint.  Whom they wait for is up to each walsender, and pg_stat_replication shows that. */
#include <string.h>

#include "adapters/postgres/pg.h"

enum {
	STEADY_READINGS = 2, /* equal readings that settle something */
	CATCH_UP_TRIES = 10, /* SYNC_SET: readings in which the standbys may still pass the point of joining */
	ROOM_MS = 5000 /* so long what was found about room on the disk counts */
};

static bool checkpointer_idle(const struct pg_state *st)
{
	return strcmp(st->checkpointer, "CheckpointerMain") == 0 ||
	       strcmp(st->checkpointer, "CheckpointWriteDelay") == 0;
}

enum pg_next pg_names_taken_in(struct pg_run *r)
{
	if (r->want_sync[0] == '\0')
		return PG_NEXT;
	if (!checkpointer_idle(&r->now)) {
		pg_say(r, "waiting until the checkpointer takes synchronous_standby_names in");
		r->steady = 0;
		return PG_AGAIN;
	}
	return ++r->steady >= STEADY_READINGS ? PG_NEXT : PG_AGAIN;
}

static enum pg_next refuse(struct dr_error *e, const char *why)
{
	(void)dr_fail(e, DR_E_REFUSED, "%s", why);
	return PG_FAILED;
}

static enum pg_next primary_only(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	enum pg_next next = pg_state_step(r, res, e);
	if (next == PG_NEXT && r->now.in_recovery)
		return refuse(e, "the server is in recovery");
	r->before = r->now;
	return next;
}

/* ---- PROBE, POSITIONS */

static const struct pg_step probe_steps[] = {
	{ .what = "reading the state",
	  .sql = PG_STATE_SQL,
	  .read = pg_state_step,
	  .fresh = true,
	  .role_may_change = true },
};

static const struct pg_step positions_steps[] = {
	{ .what = "reading the state",
	  .sql = PG_STATE_SQL,
	  .read = pg_state_step,
	  .fresh = true,
	  .role_may_change = true },
	{ .what = "reading who streams from it", .sql = PG_PEERS_SQL, .read = pg_peers_step },
};

/* ---- PROBE_WRITE: args.epoch, local_commit
 *
 * One row per backend number modulo 64, so that observers seldom wait for one another.  Without
 * local_commit the standbys must confirm the write: we commit locally and then look at how far the standbys
 * are that count, which a client's commit would wait for.  (Waiting inside a commit leaves a backend behind
 * that nothing but a cancel ends, see link.c.)
 *
 * The row and its log have their place already, so on a full disk they would go on being written until the log needs
 * its next segment and the server panics, while clients whose tables have to grow fail.  So now and then, and always once
 * there was none, a file is made beside the data first: of a result of 4,000 rows, for which the memory of a sort is too
 * small.  The server removes it at the statement's end, whatever that is.
 *
 * Who has made our role's or database's transactions read only by default has done so on the standbys too, and takes no write
 * from anybody else: then it is told, and written all the same.
 *
 * Whoever locks the table, as VACUUM FULL does, stops none but us: then a message is written to the log instead,
 * which needs no table. */

const char PG_TABLE_SQL[] =
    "CREATE SCHEMA IF NOT EXISTS drcoord;"
    "CREATE TABLE IF NOT EXISTS drcoord.heartbeat (place int PRIMARY KEY CHECK (place BETWEEN 0 AND 63),"
    " member text NOT NULL, epoch bigint NOT NULL, beats bigint NOT NULL DEFAULT 1, at timestamptz NOT NULL);"
    "GRANT USAGE ON SCHEMA drcoord TO pg_monitor;"
    "GRANT SELECT, INSERT, UPDATE ON drcoord.heartbeat TO pg_monitor";

const char PG_WRITES_SQL[] = "SET default_transaction_read_only = off";

/* Transactional: its commit waits for the disk as every other. */
static const char MESSAGE_SQL[] = "SELECT pg_logical_emit_message(true, 'drcoord', '')";

enum dr_err pg_build_write(struct pg_run *r, struct dr_buf *sql, struct dr_error *e)
{
	dr_buf_printf(sql, "INSERT INTO drcoord.heartbeat AS h (place, member, epoch, at)"
			   " VALUES (pg_backend_pid() %% 64, ");
	if (pg_put_literal(r, sql, r->own->session->target.member.s, e) != DR_OK)
		return e->code;
	dr_buf_printf(sql,
		      ", %llu, clock_timestamp()) ON CONFLICT (place) DO UPDATE SET member = EXCLUDED.member,"
		      " epoch = EXCLUDED.epoch, at = EXCLUDED.at, beats = h.beats + 1",
		      (unsigned long long)(r->op->args.epoch & INT64_MAX));
	return DR_OK;
}

enum pg_next pg_rewrite_step(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		return PG_FAILED;
	(void)e;
	r->op->evidence.wrote = true;
	return PG_NEXT;
}

enum pg_next pg_write_step(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	if (state != NULL && (strcmp(state, "42P01") == 0 || strcmp(state, "3F000") == 0)) {
		r->no_table = true;
		return PG_NEXT;
	}
	return pg_rewrite_step(r, res, e);
}

bool pg_wants_table(const struct pg_run *r)
{
	return r->no_table;
}

static const char ROOM_SQL[] = "SET work_mem = '64kB'; SET temp_tablespaces = '';"
			       " SELECT count(*) FROM generate_series(1, 4000)";

static bool wants_room(const struct pg_run *r)
{
	return r->op->started_ms >= r->own->room_ms;
}

/* Who may not ask for room has not been told that there is none. */
static enum pg_next room_step(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	(void)e;
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	enum dr_err found = pg_server_err(state, PQresultErrorField(res, PG_DIAG_SOURCE_FILE));
	bool of_disk = found == DR_E_NO_SPACE || found == DR_E_IO || found == DR_E_REFUSED;
	bool none = PQresultStatus(res) != PGRES_TUPLES_OK && of_disk;
	r->own->room_ms = none ? 0 : r->op->started_ms + ROOM_MS;
	return none ? PG_FAILED : PG_NEXT;
}

static bool has_state(const PGresult *res, const char *state)
{
	const char *is = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	return is != NULL && strcmp(is, state) == 0;
}

static enum pg_next probe_write_step(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	r->locked_out = has_state(res, "55P03");
	r->read_only = has_state(res, "25006");
	return r->locked_out || r->read_only ? PG_NEXT : pg_write_step(r, res, e);
}

static enum pg_next written_in_spite(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	r->locked_out = has_state(res, "55P03");
	return r->locked_out ? PG_NEXT : pg_rewrite_step(r, res, e);
}

static bool is_read_only(const struct pg_run *r)
{
	return r->read_only;
}

static const char WHO_SQL[] = "SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only'";

/* What the catalog says of roles and databases its standbys have too. */
static enum pg_next who_forbids(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	static const char *const catalog[] = { "user", "database", "database user", "global" };
	const char *source = PQntuples(res) == 1 && PQnfields(res) == 1 ? PQgetvalue(res, 0, 0) : "";
	for (size_t i = 0; i < sizeof(catalog) / sizeof(catalog[0]); i++) {
		if (strcmp(source, catalog[i]) != 0)
			continue;
		pg_say(r, "default_transaction_read_only is set for the role or database of the probes (%s): ALTER ROLE or"
		       " DATABASE ... RESET; they write in spite of it", source);
		r->op->evidence.in_spite = true;
		return PG_NEXT;
	}
	(void)dr_fail(e, DR_E_REFUSED, "the server takes no writes: default_transaction_read_only is on by its %s", source);
	return PG_FAILED;
}

static bool is_locked_out(const struct pg_run *r)
{
	return r->locked_out;
}

static enum pg_next message_step(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	if (PQntuples(res) != 1) {
		(void)dr_fail(e, DR_E_PROTOCOL, "the answer has not the form that was asked for");
		return PG_FAILED;
	}
	r->op->evidence.wrote = true;
	return PG_NEXT;
}

static bool wants_confirmation(const struct pg_run *r)
{
	struct pg_sync sync;
	return !r->op->args.local_commit && pg_parse_sync(r->before.sync_names, &sync) && sync.k > 0;
}

static enum dr_err build_confirmed(struct pg_run *r, struct dr_buf *sql, struct dr_error *e)
{
	(void)e;
	dr_buf_printf(sql,
		      "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0'), count(*) FILTER (WHERE"
		      " sync_state IN ('sync', 'quorum') AND state = 'streaming'"
		      " AND pg_wal_lsn_diff(flush_lsn, '0/0') >= %llu) FROM pg_stat_replication",
		      (unsigned long long)r->mark);
	return DR_OK;
}

/* The first reading, just behind the commit, sets how far the standbys must get. */
static enum pg_next confirmed(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	struct pg_sync sync;

	if (PQntuples(res) != 1 || PQnfields(res) != 2) {
		(void)dr_fail(e, DR_E_PROTOCOL, "the answer has not the form that was asked for");
		return PG_FAILED;
	}
	r->op->evidence.wrote = false;
	(void)pg_parse_sync(r->before.sync_names, &sync);
	if (!r->has_mark) {
		r->mark = pg_u64(PQgetvalue(res, 0, 0));
		r->has_mark = true;
		r->pause_ms = 1;
		return PG_AGAIN;
	}
	if (pg_u64(PQgetvalue(res, 0, 1)) < sync.k) {
		pg_say(r, "committed here, fewer than %u standbys have confirmed it", sync.k);
		return PG_AGAIN;
	}
	r->op->evidence.wrote = true;
	return PG_NEXT;
}

static const struct pg_step write_steps[] = {
	{ .what = "reading the state",
	  .sql = PG_STATE_SQL,
	  .read = primary_only,
	  .fresh = true,
	  .role_may_change = true },
	{ .what = "asking for room on the disk", .sql = ROOM_SQL, .read = room_step, .wanted = wants_room, .may_fail = true },
	{ .what = "writing", .build = pg_build_write, .read = probe_write_step, .may_fail = true },
	{ .what = "asking who made it read only", .sql = WHO_SQL, .read = who_forbids, .wanted = is_read_only },
	{ .what = "writing all the same", .sql = PG_WRITES_SQL, .wanted = is_read_only },
	{ .what = "writing all the same",
	  .build = pg_build_write,
	  .read = written_in_spite,
	  .wanted = is_read_only,
	  .may_fail = true },
	{ .what = "making drcoord.heartbeat", .sql = PG_TABLE_SQL, .wanted = pg_wants_table },
	{ .what = "writing", .build = pg_build_write, .read = pg_rewrite_step, .wanted = pg_wants_table },
	{ .what = "writing past a lock", .sql = MESSAGE_SQL, .read = message_step, .wanted = is_locked_out },
	{ .what = "looking at the standbys",
	  .build = build_confirmed,
	  .read = confirmed,
	  .wanted = wants_confirmation },
};

/* ---- SYNC_SET: args.peer, peers, k */

enum dr_err pg_check_sync(struct pg_run *r, struct dr_error *e)
{
	const struct dr_op_args *a = &r->op->args;
	return pg_sync_names(a->peer, a->peers, a->k, r->want_sync, e);
}

enum dr_err pg_build_sync(struct pg_run *r, struct dr_buf *sql, struct dr_error *e)
{
	dr_buf_printf(sql, "ALTER SYSTEM SET synchronous_standby_names = ");
	return pg_put_literal(r, sql, r->want_sync, e);
}

static bool sync_differs(const struct pg_run *r)
{
	return strcmp(r->before.sync_names, r->want_sync) != 0;
}

/* The position at which this ends is the point of joining: evidence.received. */
static enum pg_next sync_in_force(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	enum pg_next next = primary_only(r, res, e);
	if (next != PG_NEXT)
		return next;
	if (strcmp(r->now.sync_names, r->want_sync) != 0) {
		pg_say(
		    r,
		    "synchronous_standby_names is not yet what was set (is it given on the command line?)");
		r->steady = 0;
		return PG_AGAIN;
	}
	return pg_names_taken_in(r);
}

static bool is_wanted_peer(const struct dr_op_args *a, const struct dr_name *name)
{
	for (uint32_t i = 0; i < a->peers; i++) {
		if (dr_name_eq(&a->peer[i], name))
			return true;
	}
	return false;
}

/* Every walsender of ours has taken the list in; then a short grace for the standbys to pass the point of
 * joining.  Whether they did is for the caller to judge from `flushed` and `received`. */
static enum pg_next sync_shown(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	struct dr_evidence *ev = &r->op->evidence;
	enum pg_next next = pg_peers_step(r, res, e);
	bool behind = false;
	uint32_t counted = 0;

	if (next != PG_NEXT)
		return next;
	for (uint32_t i = 0; i < ev->peers; i++) {
		const struct dr_peer_seen *p = &ev->peer[i];
		bool wanted = is_wanted_peer(&r->op->args, &p->member);
		if (p->streaming && p->counts_for_sync != wanted) {
			pg_say(r, "%s is not yet %s", p->member.s, wanted ? "waited for" : "let go");
			return PG_AGAIN;
		}
		behind = behind || (p->streaming && wanted && p->flushed < ev->received);
		counted += p->streaming && wanted ? 1 : 0;
	}
	if (behind && r->tries < CATCH_UP_TRIES)
		return PG_AGAIN;
	pg_say(r, "waits for %u of %u standbys, %u of them streaming%s", r->op->args.k, r->op->args.peers,
	       counted, behind ? ", one still behind" : "");
	return PG_NEXT;
}

static const struct pg_step sync_steps[] = {
	{ .what = "reading the state",
	  .sql = PG_STATE_SQL,
	  .read = primary_only,
	  .fresh = true,
	  .role_may_change = true },
	{ .what = "setting synchronous_standby_names", .build = pg_build_sync, .wanted = sync_differs },
	{ .what = "reloading", .sql = "SELECT pg_reload_conf()", .wanted = sync_differs },
	{ .what = "reading the setting back", .sql = PG_STATE_SQL, .read = sync_in_force, .fresh = true },
	{ .what = "reading who streams from it", .sql = PG_PEERS_SQL, .read = sync_shown },
};

/* ---- SLOTS: args.peer, peers (args.self among them is left out) */

static enum dr_err check_peers(struct pg_run *r, struct dr_error *e)
{
	if (r->op->args.peers > DR_OP_PEERS_MAX)
		return dr_fail(e, DR_E_INVALID, "slots for %u members", r->op->args.peers);
	return DR_OK;
}

static enum dr_err put_slot_array(struct pg_run *r, struct dr_buf *sql, struct dr_error *e)
{
	const struct dr_op_args *a = &r->op->args;
	bool first = true;

	dr_buf_printf(sql, "ARRAY[");
	for (uint32_t i = 0; i < a->peers; i++) {
		char slot[PG_SLOT_NAME_MAX];
		if (dr_name_eq(&a->peer[i], &a->self))
			continue;
		pg_slot_name(&a->peer[i], slot);
		dr_buf_printf(sql, "%s", first ? "" : ",");
		if (pg_put_literal(r, sql, slot, e) != DR_OK)
			return e->code;
		first = false;
	}
	dr_buf_printf(sql, "]::name[]");
	return DR_OK;
}

#define OURS "slot_name LIKE 'drcoord\\_%%' AND slot_type = 'physical'"

static enum dr_err build_drop(struct pg_run *r, struct dr_buf *sql, struct dr_error *e)
{
	dr_buf_printf(sql,
		      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE " OURS
		      " AND NOT active AND (coalesce(wal_status = 'lost', false) OR NOT slot_name = ANY (");
	if (put_slot_array(r, sql, e) != DR_OK)
		return e->code;
	dr_buf_printf(sql, "))");
	return DR_OK;
}

static enum dr_err build_create(struct pg_run *r, struct dr_buf *sql, struct dr_error *e)
{
	dr_buf_printf(sql,
		      "SELECT pg_create_physical_replication_slot(n, true) FROM (SELECT DISTINCT unnest(");
	if (put_slot_array(r, sql, e) != DR_OK)
		return e->code;
	dr_buf_printf(
	    sql, ") AS n) w WHERE NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.slot_name = w.n)");
	return DR_OK;
}

/* Nobody streams from a standby's slots, so nothing but us moves them on and the WAL would pile up.  They
 * follow its last restartpoint: a lagging sibling then still finds what the server keeps anyhow. */
static const char ADVANCE_SQL[] =
    "SELECT pg_replication_slot_advance(s.slot_name, p.upto) FROM pg_replication_slots s,"
    " (SELECT LEAST(redo_lsn, pg_last_wal_replay_lsn()) AS upto FROM pg_control_checkpoint()) p"
    " WHERE s.slot_name LIKE 'drcoord\\_%' AND s.slot_type = 'physical' AND NOT s.active"
    " AND s.restart_lsn < p.upto AND pg_is_in_recovery()";

static enum dr_err build_slots_check(struct pg_run *r, struct dr_buf *sql, struct dr_error *e)
{
	dr_buf_printf(sql, "SELECT (SELECT count(*) FROM unnest(");
	if (put_slot_array(r, sql, e) != DR_OK)
		return e->code;
	dr_buf_printf(sql, ") n WHERE NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.slot_name = n"
			   " AND s.slot_type = 'physical' AND coalesce(s.wal_status, '') <> 'lost')),"
			   " count(*), count(*) FILTER (WHERE active) FROM pg_replication_slots WHERE " OURS
			   " AND NOT slot_name = ANY (");
	if (put_slot_array(r, sql, e) != DR_OK)
		return e->code;
	dr_buf_printf(sql, ")");
	return DR_OK;
}

static enum pg_next count_dropped(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	(void)e;
	r->dropped = (uint32_t)PQntuples(res);
	return PG_NEXT;
}

static enum pg_next count_made(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	(void)e;
	r->made = (uint32_t)PQntuples(res);
	return PG_NEXT;
}

static enum pg_next slots_shown(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	if (PQntuples(res) != 1 || PQnfields(res) != 3) {
		(void)dr_fail(e, DR_E_PROTOCOL, "the answer has not the form that was asked for");
		return PG_FAILED;
	}
	unsigned long long missing = pg_u64(PQgetvalue(res, 0, 0)), others = pg_u64(PQgetvalue(res, 0, 1)),
			   active = pg_u64(PQgetvalue(res, 0, 2));
	if (missing > 0 || others > active) {
		(void)dr_fail(e, DR_E_FAILED, "%llu slots missing, %llu left over", missing, others - active);
		return PG_FAILED;
	}
	pg_say(r, "slots as wanted, %u made, %u dropped, %llu of others in use", r->made, r->dropped, active);
	return PG_NEXT;
}

static bool is_standby(const struct pg_run *r)
{
	return r->now.in_recovery;
}

static const struct pg_step slots_steps[] = {
	{ .what = "reading the state",
	  .sql = PG_STATE_SQL,
	  .read = pg_state_step,
	  .fresh = true,
	  .role_may_change = true },
	{ .what = "dropping slots", .build = build_drop, .read = count_dropped },
	{ .what = "making slots", .build = build_create, .read = count_made },
	/* Best effort: a standby that connects meanwhile makes its slot active and moves it on by itself. */
	{ .what = "moving slots on", .sql = ADVANCE_SQL, .wanted = is_standby, .may_fail = true },
	{ .what = "reading the slots back", .build = build_slots_check, .read = slots_shown, .fresh = true },
};

/* ---- CHECKPOINTED */

static const char CHECKPOINT_AT_SQL[] =
    "SELECT pg_wal_lsn_diff(checkpoint_lsn, '0/0'), timeline_id FROM pg_control_checkpoint()";

/* A standby's restartpoint may find nothing new to do; on a primary the record must be a new one. */
static enum pg_next checkpoint_at(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	if (PQntuples(res) != 1 || PQnfields(res) != 2) {
		(void)dr_fail(e, DR_E_PROTOCOL, "the answer has not the form that was asked for");
		return PG_FAILED;
	}
	uint64_t at = pg_u64(PQgetvalue(res, 0, 0));
	if (r->has_mark && !r->now.in_recovery && at <= r->mark) {
		(void)dr_fail(e, DR_E_FAILED, "the control file shows no new checkpoint");
		return PG_FAILED;
	}
	r->mark = at;
	r->has_mark = true;
	pg_say(r, "checkpoint at %X/%X, timeline %llu", (unsigned)(at >> 32), (unsigned)at,
	       (unsigned long long)pg_u64(PQgetvalue(res, 0, 1)));
	return PG_NEXT;
}

static const struct pg_step checkpoint_steps[] = {
	{ .what = "reading the last checkpoint",
	  .sql = CHECKPOINT_AT_SQL,
	  .read = checkpoint_at,
	  .fresh = true },
	{ .what = "checkpointing", .sql = "CHECKPOINT" },
	{ .what = "reading the state",
	  .sql = PG_STATE_SQL,
	  .read = pg_state_step,
	  .fresh = true,
	  .role_may_change = true },
	{ .what = "reading the checkpoint back", .sql = CHECKPOINT_AT_SQL, .read = checkpoint_at },
};

#define PLAN(rows, ...)                                                                                      \
	{                                                                                                    \
		.step = (rows), .steps = sizeof(rows) / sizeof((rows)[0]), __VA_ARGS__                       \
	}

const struct pg_plan *pg_primary_plan(enum dr_op_kind kind)
{
	static const struct pg_plan plans[DR_OP_MAX] = {
		[DR_OP_PROBE] = PLAN(probe_steps, .check = NULL),
		[DR_OP_PROBE_WRITE] = PLAN(write_steps, .check = NULL),
		[DR_OP_POSITIONS] = PLAN(positions_steps, .check = NULL),
		[DR_OP_SYNC_SET] = PLAN(sync_steps, .check = pg_check_sync),
		[DR_OP_SLOTS] = PLAN(slots_steps, .check = check_peers),
		[DR_OP_CHECKPOINTED] = PLAN(checkpoint_steps, .check = NULL),
	};
	return plans[kind].steps > 0 ? &plans[kind] : NULL;
}
