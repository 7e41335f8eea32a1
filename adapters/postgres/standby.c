/* standby.c -- the ops that a standby carries out: freeze, follow, promote. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "adapters/postgres/pg.h"
#include "base/parse.h"
#include "sys/file.h"

enum {
	KILL_AFTER_TRIES = 4, /* FROZEN: readings before the receiver is ended by a signal */
	STEADY_READINGS = 2   /* equal readings that make a position final */
};

static const char RELOAD_SQL[] = "SELECT pg_reload_conf()";

static enum pg_next standby_only(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	enum pg_next next = pg_state_step(r, res, e);
	if (next == PG_NEXT && !r->now.in_recovery) {
		(void)dr_fail(e, DR_E_REFUSED, "the server is not in recovery");
		return PG_FAILED;
	}
	return next;
}

static bool was_paused(const struct pg_run *r)
{
	return r->before.in_recovery && r->before.paused;
}

/* ---- FROZEN
 *
 * With primary_conninfo empty the startup process ends the walreceiver, but only once it has replayed
 * all that was received: one that lags, or hangs in a conflict, lets the receiver go on (and confirm what a
 * cut-off primary sends).  So a receiver that stays is ended by SIGTERM, where we are on its host; it
 * flushes what it has, and the startup process finds nobody to connect to. */

/* pid comes from the server: whether it is a walreceiver is looked up behind a pidfd, so that the process
 * that is looked at is the one that gets the signal. */
static void end_receiver(uint32_t pid)
{
	char path[64], title[256];
	ssize_t n = 0;
	int fd = -1;
	int pidfd = pid > 1 && pid <= INT32_MAX ? pidfd_open((pid_t)pid, 0) : -1;

	if (pidfd < 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		n = read(fd, title, sizeof(title) - 1);
	if (n > 0) {
		title[n] = '\0';
		if (strncmp(title, "postgres:", 9) == 0 && strstr(title, "walreceiver") != NULL)
			(void)pidfd_send_signal(pidfd, SIGTERM, NULL, 0);
	}
	if (fd >= 0)
		(void)close(fd);
	(void)close(pidfd);
}

/* A standby that has not streamed since its start knows its position only when it has replayed all of
 * its pg_wal: the startup process then waits for more. */
static bool position_known(const struct pg_state *st)
{
	return !st->never_received || strcmp(st->startup, "RecoveryRetrieveRetryInterval") == 0 ||
	       strcmp(st->startup, "RecoveryWalStream") == 0;
}

static enum pg_next frozen(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	enum pg_next next = standby_only(r, res, e);
	const struct pg_state *st = &r->now;

	if (next != PG_NEXT)
		return next;
	if (st->conninfo[0] != '\0' || st->receiver_pid != 0 || !position_known(st)) {
		r->has_mark = false;
		r->steady = 0;
	}
	if (st->conninfo[0] != '\0') {
		pg_say(r, "primary_conninfo is not yet empty (is it given on the command line?)");
		return PG_AGAIN;
	}
	if (st->receiver_pid != 0) {
		pg_say(r, "the walreceiver has not ended yet");
		if (r->tries >= KILL_AFTER_TRIES && r->own->session->target.unix_socket_dir[0] != '\0')
			end_receiver(st->receiver_pid);
		return PG_AGAIN;
	}
	if (!position_known(st)) {
		pg_say(r, "replaying what it has");
		return PG_AGAIN;
	}
	if (r->has_mark && r->mark == st->received)
		r->steady++;
	else
		r->steady = 1;
	r->mark = st->received;
	r->has_mark = true;
	pg_say(r, "frozen at %X/%X, timeline %u", (unsigned)(st->received >> 32), (unsigned)st->received,
	       st->timeline);
	return r->steady >= STEADY_READINGS ? PG_NEXT : PG_AGAIN;
}

static enum pg_next frozen_already(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	enum pg_next next = standby_only(r, res, e);
	if (next != PG_NEXT)
		return next;
	r->before = r->now;
	if (r->now.conninfo[0] != '\0' || r->now.paused || r->now.receiver_pid != 0)
		return PG_NEXT;
	next = frozen(r, res, e);
	return next == PG_NEXT ? PG_DONE : next;
}

static bool had_conninfo(const struct pg_run *r)
{
	return r->before.conninfo[0] != '\0';
}

static const struct pg_step frozen_steps[] = {
	{ .what = "reading the state",
	  .sql = PG_STATE_SQL,
	  .read = frozen_already,
	  .fresh = true,
	  .role_may_change = true },
	{ .what = "emptying primary_conninfo",
	  .sql = "ALTER SYSTEM SET primary_conninfo = ''",
	  .wanted = had_conninfo },
	{ .what = "reloading", .sql = RELOAD_SQL, .wanted = had_conninfo },
	{ .what = "resuming replay", .sql = "SELECT pg_wal_replay_resume()", .wanted = was_paused },
	{ .what = "reading the position back", .sql = PG_STATE_SQL, .read = frozen, .fresh = true },
};

/* ---- FOLLOWING: args.primary, primary_at, self */

static enum dr_err check_following(struct pg_run *r, struct dr_error *e)
{
	const struct dr_op_args *a = &r->op->args;
	const struct dr_target *t = &r->own->session->target;
	char port[8];
	struct dr_buf b;
	enum dr_err rv = DR_OK;

	if (!dr_is_name(a->self.s) || !dr_is_name(a->primary.s) || dr_name_eq(&a->self, &a->primary))
		return dr_fail(e, DR_E_INVALID, "who is to follow whom?");
	if (a->primary_at.host[0] == '\0' || a->primary_at.port == 0)
		return dr_fail(e, DR_E_INVALID, "%s has no address", a->primary.s);
	if (t->replication_user[0] == '\0')
		return dr_fail(e, DR_E_INVALID, "no replication user is configured");
	if (t->replication_password_file[0] != '\0' &&
	    dr_file_read_line(t->replication_password_file, r->own->replication_secret,
			      sizeof(r->own->replication_secret), e) != DR_OK)
		return e->code;
	(void)snprintf(port, sizeof(port), "%u", a->primary_at.port);
	dr_buf_init(&b, sizeof(r->want_conninfo) - 1);
	pg_put_conninfo(&b, "host", a->primary_at.host);
	pg_put_conninfo(&b, "port", port);
	pg_put_conninfo(&b, "user", t->replication_user);
	if (r->own->replication_secret[0] != '\0')
		pg_put_conninfo(&b, "password", r->own->replication_secret);
	pg_put_conninfo(&b, "application_name", a->self.s);
	pg_put_conninfo(&b, "fallback_application_name", a->primary.s);
	pg_put_conninfo(&b, "sslmode", "prefer");
	pg_put_conninfo(&b, "gssencmode", "disable");
	if (dr_buf_ok(&b)) {
		memcpy(r->want_conninfo, b.data, b.len);
		r->want_conninfo[b.len] = '\0';
	} else {
		rv = dr_fail(e, DR_E_RANGE, "primary_conninfo would be too long");
	}
	if (b.data != NULL)
		explicit_bzero(b.data, b.len);
	dr_buf_close(&b);
	pg_slot_name(&a->self, r->want_slot);
	return rv;
}

static bool follows(const struct pg_run *r)
{
	const struct pg_state *st = &r->now;
	const struct dr_address *to = &r->op->args.primary_at;
	return st->streaming && strcmp(st->conninfo, r->want_conninfo) == 0 &&
	       strcmp(st->slot, r->want_slot) == 0 && strcmp(st->sender.host, to->host) == 0 &&
	       st->sender.port == to->port;
}

static bool retry_differs(const struct pg_run *r)
{
	return strcmp(r->before.retry_interval, "20ms") != 0;
}

static enum pg_next following_already(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	enum pg_next next = standby_only(r, res, e);
	r->before = r->now;
	return next == PG_NEXT && follows(r) && !retry_differs(r) ? PG_DONE : next;
}

/* The upstream may lack the slot for a moment, or still be starting: the receiver tries again by itself. */
static enum pg_next following(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	enum pg_next next = standby_only(r, res, e);
	if (next != PG_NEXT || follows(r))
		return next;
	if (strcmp(r->now.conninfo, r->want_conninfo) != 0 || strcmp(r->now.slot, r->want_slot) != 0)
		pg_say(r, "primary_conninfo is not yet what was set (is it given on the command line?)");
	else
		pg_say(r, "the walreceiver does not stream from %s yet; the server's log says why",
		       r->op->args.primary.s);
	return PG_AGAIN;
}

static bool conninfo_differs(const struct pg_run *r)
{
	return strcmp(r->before.conninfo, r->want_conninfo) != 0;
}

static bool slot_differs(const struct pg_run *r)
{
	return strcmp(r->before.slot, r->want_slot) != 0;
}

static bool target_differs(const struct pg_run *r)
{
	return !r->before.target_latest;
}

static bool has_secret(const struct pg_run *r)
{
	return conninfo_differs(r) && r->own->replication_secret[0] != '\0';
}

static enum dr_err build_conninfo(struct pg_run *r, struct dr_buf *sql, struct dr_error *e)
{
	dr_buf_printf(sql, "ALTER SYSTEM SET primary_conninfo = ");
	return pg_put_literal(r, sql, r->want_conninfo, e);
}

static enum dr_err build_slot(struct pg_run *r, struct dr_buf *sql, struct dr_error *e)
{
	dr_buf_printf(sql, "ALTER SYSTEM SET primary_slot_name = ");
	return pg_put_literal(r, sql, r->want_slot, e);
}

/* Keeps the password out of the server's log, as far as the account may say so. */
static const char QUIET_SQL[] =
    "SELECT set_config('log_statement', 'none', false), set_config('log_min_duration_statement', '-1', false),"
    " set_config('log_min_error_statement', 'panic', false)";

static const struct pg_step following_steps[] = {
	{ .what = "reading the state",
	  .sql = PG_STATE_SQL,
	  .read = following_already,
	  .fresh = true,
	  .role_may_change = true },
	{ .what = "keeping the log quiet", .sql = QUIET_SQL, .wanted = has_secret, .may_fail = true },
	{ .what = "setting primary_conninfo", .build = build_conninfo, .wanted = conninfo_differs },
	{ .what = "setting primary_slot_name", .build = build_slot, .wanted = slot_differs },
	{ .what = "setting wal_retrieve_retry_interval",
	  .sql = "ALTER SYSTEM SET wal_retrieve_retry_interval = '20ms'",
	  .wanted = retry_differs },
	/* Takes effect at the next start only, but then a standby set up otherwise is right. */
	{ .what = "setting recovery_target_timeline",
	  .sql = "ALTER SYSTEM SET recovery_target_timeline = 'latest'",
	  .wanted = target_differs },
	{ .what = "reloading", .sql = RELOAD_SQL },
	{ .what = "waiting for the stream", .sql = PG_STATE_SQL, .read = following, .fresh = true },
};

/* ---- WRITABLE: args.self, peer, peers, k
 *
 * The names that the server waits for are set before the promotion: an inherited list would hang its
 * first commits, or let them go for the wrong standby's word.  On a server that is out of recovery already
 * they are left alone: SYNC_SET keeps them from then on. */

static enum pg_next writable_before(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	enum pg_next next = pg_state_step(r, res, e);
	const struct pg_state *st = &r->now;
	r->before = r->now;
	uint64_t wanted = r->op->args.system_id;
	if (next == PG_NEXT && st->in_recovery && wanted != 0 && st->system_id != wanted) {
		(void)dr_fail(e, DR_E_BEHIND, "its data is not the service's: its system identifier is %" PRIu64 ", not %" PRIu64,
			      st->system_id, wanted);
		return PG_FAILED;
	}
	/* Its positions go on over timelines, whatever its files say of those yet. */
	if (next != PG_NEXT || !st->in_recovery || st->received >= r->op->args.position)
		return next;
	if (position_known(st)) {
		(void)dr_fail(e, DR_E_BEHIND, "it has come back with less than it was chosen for: it is at %" PRIu64 ", that was %"
			      PRIu64, st->received, r->op->args.position);
		return PG_FAILED;
	}
	pg_say(r, "it has not replayed yet what it was chosen for");
	return PG_AGAIN;
}

static bool to_promote(const struct pg_run *r)
{
	return r->before.in_recovery;
}

static bool names_differ(const struct pg_run *r)
{
	return r->before.in_recovery && strcmp(r->before.sync_names, r->want_sync) != 0;
}

static enum pg_next names_in_force(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	enum pg_next next = pg_state_step(r, res, e);
	if (next != PG_NEXT)
		return next;
	if (strcmp(r->now.sync_names, r->want_sync) != 0) {
		pg_say(
		    r,
		    "synchronous_standby_names is not yet what was set (is it given on the command line?)");
		return PG_AGAIN;
	}
	return pg_names_taken_in(r);
}

static enum pg_next recovery_over(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	if (PQntuples(res) != 1 || PQnfields(res) != 1) {
		(void)dr_fail(e, DR_E_PROTOCOL, "the answer has not the form that was asked for");
		return PG_FAILED;
	}
	if (strcmp(PQgetvalue(res, 0, 0), "f") == 0)
		return PG_NEXT;
	pg_say(r, "promotion asked for, still in recovery");
	return PG_AGAIN;
}

static enum pg_next promoted(struct pg_run *r, const PGresult *res, struct dr_error *e)
{
	enum pg_next next = pg_state_step(r, res, e);
	if (next != PG_NEXT)
		return next;
	/* The same as before is the new one already: a promotion that was under way when we first looked writes it
	 * down before it ends recovery. */
	if (r->now.in_recovery || (r->before.in_recovery && r->now.timeline < r->before.timeline)) {
		pg_say(r, "not yet on a new timeline");
		return PG_AGAIN;
	}
	return PG_NEXT;
}

static bool has_conninfo(const struct pg_run *r)
{
	return r->now.conninfo[0] != '\0';
}

static bool has_slot(const struct pg_run *r)
{
	return r->now.slot[0] != '\0';
}

static bool has_either(const struct pg_run *r)
{
	return has_conninfo(r) || has_slot(r);
}

static const struct pg_step writable_steps[] = {
	{ .what = "reading the state",
	  .sql = PG_STATE_SQL,
	  .read = writable_before,
	  .fresh = true,
	  .role_may_change = true },
	{ .what = "resuming replay", .sql = "SELECT pg_wal_replay_resume()", .wanted = was_paused },
	{ .what = "setting synchronous_standby_names", .build = pg_build_sync, .wanted = names_differ },
	{ .what = "reloading", .sql = RELOAD_SQL, .wanted = names_differ },
	{ .what = "reading the setting back",
	  .sql = PG_STATE_SQL,
	  .read = names_in_force,
	  .wanted = to_promote, /* also when they are right: a try before this one may have set them just now */
	  .role_may_change = true },
	{ .what = "promoting", .sql = "SELECT pg_promote(false)", .wanted = to_promote, .done_if_changed = true },
	{ .what = "waiting for the end of recovery",
	  .sql = "SELECT pg_is_in_recovery()",
	  .read = recovery_over,
	  .wanted = to_promote },
	{ .what = "reading the new timeline",
	  .sql = PG_STATE_SQL,
	  .read = promoted, /* also when an earlier try has done it meanwhile: what was read before was a standby's */
	  .fresh = true,
	  .role_may_change = true },
	{ .what = "leaving defaults aside", .sql = PG_WRITES_SQL },
	{ .what = "writing", .build = pg_build_write, .read = pg_write_step, .may_fail = true },
	{ .what = "making drcoord.heartbeat", .sql = PG_TABLE_SQL, .wanted = pg_wants_table },
	{ .what = "writing", .build = pg_build_write, .read = pg_rewrite_step, .wanted = pg_wants_table },
	/* What it followed means nothing to a primary, and would come back with a demotion. */
	{ .what = "clearing primary_conninfo",
	  .sql = "ALTER SYSTEM RESET primary_conninfo",
	  .wanted = has_conninfo,
	  .may_fail = true },
	{ .what = "clearing primary_slot_name",
	  .sql = "ALTER SYSTEM RESET primary_slot_name",
	  .wanted = has_slot,
	  .may_fail = true },
	{ .what = "reloading", .sql = RELOAD_SQL, .wanted = has_either, .may_fail = true },
};

#define PLAN(rows, ...)                                                                                      \
	{                                                                                                    \
		.step = (rows), .steps = sizeof(rows) / sizeof((rows)[0]), __VA_ARGS__                       \
	}

const struct pg_plan *pg_standby_plan(enum dr_op_kind kind)
{
	static const struct pg_plan plans[DR_OP_MAX] = {
		[DR_OP_FROZEN] = PLAN(frozen_steps, .check = NULL),
		[DR_OP_FOLLOWING] = PLAN(following_steps, .check = check_following),
		[DR_OP_WRITABLE] = PLAN(writable_steps, .check = pg_check_sync),
	};
	return plans[kind].steps > 0 ? &plans[kind] : NULL;
}
