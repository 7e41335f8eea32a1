/* server.c -- ops that look at a server, write to it as a probe, or open it for writes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "adapters/mysql/my.h"
#include "base/parse.h"

enum {
	AGAIN_MS = 5, STANDBYS_MS = 2000, SESSIONS_MAX = 256, SESSIONS_SQL_MAX = 512,
	BEFORE_MS = 100 /* longer than another observer's write takes where nothing is wrong */
};

enum dr_err my_op_probe(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_connect(r, e);
	return rv == DR_OK ? my_read(r, e) : rv;
}

/* ---- the write probe */

/* How many write probes have not ended, and whether commits wait for standbys. */
static enum dr_err look_for_probes(struct my_run *r, uint64_t *open, bool *waits, struct dr_error *e)
{
	struct my_row row;
	enum dr_err rv = my_query(r, my_sql(r->dialect, MY_SQL_PROBES), &row, e);

	*open = 0;
	*waits = false;
	if (rv == DR_E_DENIED)
		return DR_OK;
	if (rv != DR_OK)
		return rv;
	bool known = dr_parse_u64(row.cell[0], 0, UINT64_MAX, open) == DR_OK;
	*waits = known && strcmp(row.cell[1], "") != 0 && strcmp(row.cell[1], "0") != 0;
	my_row_end(&row);
	return DR_OK;
}

/* A commit that waits for a standby is ended by nothing but an acknowledgement, and its session with it: one probe's is
 * enough.  It is on this server's disk, which is what is asked; whether standbys are there is looked at elsewhere. */
static enum dr_err wait_for_probes(struct my_run *r, bool *enough, struct dr_error *e)
{
	uint64_t open = 0;
	bool waits = false;
	enum dr_err rv = look_for_probes(r, &open, &waits, e);

	*enough = false;
	for (unsigned ms = 0; rv == DR_OK && open > 0; ms += AGAIN_MS) {
		*enough = waits && r->args.local_commit && ms >= BEFORE_MS;
		my_tell(r, waits ? "commits wait for a standby's acknowledgement" : "a write before this one has not ended");
		if (*enough)
			return DR_OK;
		rv = my_pause(r, AGAIN_MS, e);
		if (rv == DR_OK)
			rv = look_for_probes(r, &open, &waits, e);
	}
	return rv;
}

/* Sixty-four rows at most, so that two coordinators seldom wait for one another. */
static enum dr_err heartbeat(struct my_run *r, struct dr_error *e)
{
	char member[2 * DR_NAME_MAX + 1];

	my_quote(r, member, sizeof(member), r->target.member.s);
	enum dr_err rv = my_do(r, e, "SET SESSION lock_wait_timeout = 1, SESSION innodb_lock_wait_timeout = 1");
	if (rv == DR_OK)
		rv = my_do(r, e, "INSERT INTO drcoord.heartbeat (place, member, epoch, beats, at) VALUES (CONNECTION_ID() %% 64,"
				 " '%s', %" PRIu64 ", 1, NOW(6)) ON DUPLICATE KEY UPDATE member = VALUES(member),"
				 " epoch = VALUES(epoch), beats = beats + 1, at = VALUES(at)", member, r->args.epoch);
	r->evidence.wrote = rv == DR_OK;
	return rv;
}

enum dr_err my_op_probe_write(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_op_probe(r, e);

	if (rv == DR_OK && r->state.read_only)
		rv = dr_fail(e, DR_E_REFUSED, "the server takes no writes: read_only is on");
	bool enough = false;
	if (rv == DR_OK)
		rv = wait_for_probes(r, &enough, e);
	r->evidence.wrote = rv == DR_OK && enough;
	return rv == DR_OK && !enough ? heartbeat(r, e) : rv;
}

/* ---- WRITABLE */

/* What an administrator makes by setup.sql; made here too where a service began without. */
static enum dr_err make_tables(struct my_run *r, struct dr_error *e)
{
	static const char *const table[] = {
		"CREATE DATABASE IF NOT EXISTS drcoord",
		"CREATE TABLE IF NOT EXISTS drcoord.heartbeat (place INT PRIMARY KEY, member VARCHAR(64) NOT NULL,"
		" epoch BIGINT UNSIGNED NOT NULL, beats BIGINT UNSIGNED NOT NULL, at DATETIME(6) NOT NULL) ENGINE=InnoDB",
		"CREATE TABLE IF NOT EXISTS drcoord.lineage (epoch BIGINT UNSIGNED PRIMARY KEY, member VARCHAR(64) NOT NULL,"
		" origin VARCHAR(36) NOT NULL, at DATETIME(6) NOT NULL) ENGINE=InnoDB",
		"CREATE TABLE IF NOT EXISTS drcoord.identity (id BIGINT UNSIGNED PRIMARY KEY) ENGINE=InnoDB",
	};
	enum dr_err rv = DR_OK;

	for (size_t i = 0; rv == DR_OK && i < sizeof(table) / sizeof(table[0]); i++)
		rv = my_do(r, e, "%s", table[i]);
	return rv;
}

/* The first transaction of the new epoch, committed before any client's: whoever has it follows this primary, and counts
 * from it (read.c). */
static enum dr_err sign(struct my_run *r, struct dr_error *e)
{
	char member[2 * DR_NAME_MAX + 1];
	enum dr_err rv = r->state.has_tables ? DR_OK : make_tables(r, e);

	my_quote(r, member, sizeof(member), r->target.member.s);
	if (rv == DR_OK && r->state.identity == 0 && r->args.system_id != 0)
		rv = my_do(r, e, "INSERT IGNORE INTO drcoord.identity VALUES (%" PRIu64 ")", r->args.system_id);
	else if (rv == DR_OK && r->state.identity == 0)
		rv = my_do(r, e, "INSERT INTO drcoord.identity SELECT 1 + FLOOR(RAND() * 9223372036854775806) FROM DUAL"
				 " WHERE NOT EXISTS (SELECT 1 FROM drcoord.identity)");
	if (rv == DR_OK)
		rv = my_do(r, e, "INSERT INTO drcoord.lineage (epoch, member, origin, at) VALUES (%" PRIu64 ", '%s', '%s',"
				 " NOW(6))", r->args.epoch, member, r->state.uuid);
	return rv;
}

static bool signed_by_us(const struct my_run *r)
{
	const struct my_state *s = &r->state;
	return s->has_tables && s->epoch == r->args.epoch && strcmp(s->origin, s->uuid) == 0;
}

static enum dr_err check_epoch(struct my_run *r, struct dr_error *e)
{
	if (r->state.epoch <= r->args.epoch)
		return DR_OK;
	return dr_fail(e, DR_E_REFUSED, "it has seen epoch %" PRIu64 " already, this is %" PRIu64 ". Is it another cluster's? If"
		       " that one is gone: DELETE FROM drcoord.lineage, on the primary", r->state.epoch, r->args.epoch);
}

/* What it had received and not applied may be gone with a restart, since it was chosen. */
static enum dr_err check_place(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_read(r, e);

	/* One that has none lost it: with its place it is as good as before, and gets it back. */
	bool another = r->state.identity != 0 && r->args.system_id != 0 && r->state.identity != r->args.system_id;
	if (rv == DR_OK && r->state.read_only && another)
		return dr_fail(e, DR_E_BEHIND, "its data is not the service's: drcoord.identity is %" PRIu64 ", not %" PRIu64,
			       r->state.identity, r->args.system_id);
	if (rv != DR_OK || !r->state.read_only || dr_op_has_place(&r->args, r->evidence.timeline, r->evidence.replayed))
		return rv;
	return dr_fail(e, DR_E_BEHIND, "it has come back with less than it was chosen for: it is at %" PRIu64 " of epoch %" PRIu32
		       ", that was %" PRIu64 " of %" PRIu32, r->evidence.replayed, r->evidence.timeline, r->args.position,
		       r->args.timeline);
}

/* Whoever may write all the same is let in first; if it comes to nothing, out again. */
static enum dr_err open_for_writes(struct my_run *r, struct dr_error *e)
{
	struct dr_error second;
	enum dr_err rv = DR_OK;

	if (r->state.configured)
		rv = my_leave_source(r, e);
	if (rv == DR_OK)
		rv = check_place(r, e);
	if (rv == DR_OK)
		rv = check_epoch(r, e);
	if (rv == DR_OK)
		rv = my_say(r, MY_SQL_PERSIST, e); /* for whoever starts it next */
	if (rv == DR_OK)
		rv = my_say(r, MY_SQL_OURS_ONLY, e);
	if (rv != DR_OK)
		return rv;
	if (r->state.read_only) /* nobody else writes yet, and nobody may be there yet to acknowledge ours */
		rv = my_semi_wait_for(r, 0, e);
	if (rv == DR_OK && !signed_by_us(r))
		rv = sign(r, e);
	if (rv == DR_OK)
		rv = my_semi_wait_for(r, r->args.k, e);
	if (rv == DR_OK)
		rv = my_say(r, MY_SQL_WRITABLE, e);
	if (rv != DR_OK)
		(void)!my_say(r, MY_SQL_PERSIST, &second);
	return rv;
}

/* A standby that somebody else has made acknowledge. */
static enum dr_err no_acks(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_semi_read(r, e);

	if (rv != DR_OK)
		return rv;
	return r->state.receiving ? my_acks_switch(r, false, e) : my_acks_set(r, false, e);
}

static bool is_in_data(const char *path, const char *data)
{
	size_t n = strlen(path), m = strlen(data);
	while (n > 1 && path[n - 1] == '/')
		n--;
	while (m > 1 && data[m - 1] == '/')
		m--;
	return path[0] == '\0' || (n == 1 && path[0] == '.') || (n == m && memcmp(path, data, n) == 0);
}

/* A copy is swapped in as one folder, and whether there is data is seen in that folder. */
static enum dr_err check_places(struct my_run *r, struct dr_error *e)
{
	static const char *const names[] = { "innodb_data_home_dir", "innodb_log_group_home_dir", "innodb_undo_directory" };
	struct my_row row;
	enum dr_err rv = my_query(r, "SELECT COALESCE(@@global.innodb_data_home_dir, ''),"
				  " COALESCE(@@global.innodb_log_group_home_dir, ''),"
				  " COALESCE(@@global.innodb_undo_directory, ''), @@global.datadir", &row, e);
	if (rv != DR_OK)
		return rv;
	for (unsigned i = 0; rv == DR_OK && row.cells == 4 && i < 3; i++) {
		if (!is_in_data(row.cell[i], row.cell[3]))
			rv = dr_fail(e, DR_E_REFUSED, "%s is %s, not the data folder %s: a copy could not be swapped in; move it"
				     " there", names[i], row.cell[i], row.cell[3]);
	}
	my_row_end(&row);
	return rv;
}

/* Each server tells positions by its own domain, and they are compared. */
static enum dr_err check_domain(const struct my_run *r, struct dr_error *e)
{
	const struct my_state *s = &r->state;
	struct my_gtid own, other;

	if (s->dialect != MY_MARIADB || !s->read_only || my_gtid_newest(s->applied, s->domain, true, 0, &own) ||
	    !my_gtid_other(s->applied, s->domain, &other))
		return DR_OK;
	return dr_fail(e, DR_E_REFUSED, "its gtid_domain_id is %" PRIu32 ", and what it replicates is of domain %" PRIu32
		       ": make it the primary's, by SET GLOBAL and in its files", s->domain, other.domain);
}

/* What a later op would be refused for is said now, while nothing hangs on it. */
static enum dr_err check_fit(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_check_shape(r, e);

	if (rv == DR_OK && r->state.checks && r->target.ca_file[0] == '\0')
		rv = dr_fail(e, DR_E_REFUSED, "it looks at its source's certificate, and would not at the next one's: name ca_file"
					      " in the node file");
	if (rv == DR_OK)
		rv = check_places(r, e);
	if (rv == DR_OK)
		rv = check_domain(r, e);
	return rv == DR_OK ? my_check_grants(r, e) : rv;
}

static void tell_signed(struct my_run *r, const struct dr_address *turned)
{
	const char *caution = r->evidence.caution;

	if (turned->port == 0)
		my_tell(r, "%s", caution);
	else
		my_tell(r, "it replicates from %s:%u, which is not the primary: it is turned to it%s%s", turned->host, turned->port,
			caution[0] != '\0' ? "; " : "", caution);
}

/* A primary that was there before us has signed nothing; without its row nobody could tell what began there. */
enum dr_err my_op_signed(struct my_run *r, struct dr_error *e)
{
	struct dr_address turned;
	enum dr_err rv = my_check_source(r, &turned, e);

	if (rv == DR_OK)
		rv = my_begin_change(r, e);
	if (rv == DR_OK)
		rv = check_fit(r, e);
	if (rv == DR_OK)
		rv = my_say(r, MY_SQL_NEXT_START, e);
	if (rv == DR_OK && r->state.read_only)
		rv = no_acks(r, e);
	if (rv == DR_OK)
		rv = my_caution(r, e);
	tell_signed(r, &turned);
	if (rv != DR_OK || r->state.read_only)
		return rv;
	rv = check_epoch(r, e);
	if (rv == DR_OK && !signed_by_us(r))
		rv = sign(r, e);
	if (rv == DR_OK)
		rv = my_op_probe(r, e); /* over a fresh connection */
	if (rv == DR_OK && !signed_by_us(r))
		rv = dr_fail(e, DR_E_CONFLICT, "somebody else has signed drcoord.lineage");
	if (rv == DR_OK)
		tell_signed(r, &turned);
	return rv;
}

enum dr_err my_op_writable(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_begin_change(r, e);

	if (rv == DR_OK)
		rv = my_check_shape(r, e);
	if (rv == DR_OK && (r->state.read_only || r->state.configured || !signed_by_us(r)))
		rv = open_for_writes(r, e);
	if (rv == DR_OK)
		rv = my_op_probe(r, e); /* over a fresh connection */
	if (rv == DR_OK && (r->state.read_only || !signed_by_us(r)))
		rv = dr_fail(e, DR_E_CONFLICT, "somebody else has set it to read_only again");
	if (rv == DR_OK)
		rv = my_semi_wait_for(r, r->args.k, e); /* found so, unless somebody else has changed it */
	/* That row was committed here; another would wait for a standby that may still have to come. */
	return rv == DR_OK && r->args.k == 0 ? heartbeat(r, e) : rv;
}

/* ---- CLOSED */

/* All sessions but ours, or those of them that do nothing, once: whoever comes anew can't write once the server stands
 * still. */
static enum dr_err end_sessions(struct my_run *r, bool idle_only, struct dr_error *e)
{
	uint64_t id[SESSIONS_MAX];
	char sql[SESSIONS_SQL_MAX];
	unsigned n = 0;
	(void)snprintf(sql, sizeof(sql), "%s%s", my_sql(r->dialect, MY_SQL_SESSIONS),
		       idle_only ? my_sql(r->dialect, MY_SQL_SLEEPING) : "");
	enum dr_err rv = my_numbers(r, sql, id, SESSIONS_MAX, &n, e);

	for (unsigned i = 0; rv == DR_OK && i < n; i++) {
		rv = my_do(r, e, "KILL %" PRIu64, id[i]);
		rv = rv == DR_E_FAILED ? DR_OK : rv; /* it has gone by itself */
	}
	return rv;
}

/* It waits for open transactions and locked tables, whose sessions are ended as often as it takes. */
static enum dr_err stand_still(struct my_run *r, enum my_sql how, struct dr_error *e)
{
	enum dr_err rv = my_do(r, e, "SET SESSION lock_wait_timeout = 1");
	bool first = true;

	while (rv == DR_OK) {
		/* Where one that waits for a standby is killed, all that were to commit with it go on without: those clients
		 * would be told that their writes are safe.  Once it stands still, none waits. */
		rv = my_semi_read(r, e);
		if (rv == DR_OK)
			rv = end_sessions(r, r->semi.source && (first || r->semi.waiting > 0), e);
		first = false;
		if (rv == DR_OK)
			rv = my_say(r, how, e);
		if (rv != DR_E_TIMEOUT)
			return rv;
		rv = my_alive(r, e);
	}
	return rv;
}

/* MariaDB's read_only leaves out who has READ_ONLY ADMIN: a lock binds them, too, for as long as our session lives, which is
 * until the server is stopped.  So nothing is acknowledged past the position that is read under it. */
static enum dr_err take_no_writes(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = stand_still(r, MY_SQL_READ_ONLY, e);

	if (rv == DR_OK && my_sql(r->dialect, MY_SQL_HOLD) != NULL)
		rv = stand_still(r, MY_SQL_HOLD, e);
	return rv == DR_OK ? end_sessions(r, false, e) : rv;
}

/* The standbys are sent all, as far as they are connected; one that hangs is not waited for. */
static enum dr_err send_all(struct my_run *r, struct dr_error *e)
{
	uint64_t behind = 0;
	unsigned n = 0;
	enum dr_err rv = DR_OK;

	for (unsigned waited_ms = 0; rv == DR_OK && waited_ms < STANDBYS_MS; waited_ms += AGAIN_MS) {
		rv = my_numbers(r, my_sql(r->dialect, MY_SQL_BEHIND), &behind, 1, &n, e);
		if (rv != DR_OK || n == 0 || behind == 0)
			return rv;
		my_tell(r, "%" PRIu64 " standbys are being sent the rest", behind);
		rv = my_pause(r, AGAIN_MS, e);
	}
	return rv;
}

enum dr_err my_op_closed(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_begin_change(r, e);

	if (rv == DR_OK)
		rv = my_events_off(r, e);
	if (rv == DR_OK)
		rv = take_no_writes(r, e);
	if (rv == DR_OK)
		rv = send_all(r, e);
	if (rv == DR_OK)
		rv = my_say(r, MY_SQL_SHUT, e); /* the standbys too, so not before they have all */
	if (rv == DR_OK) {
		my_keep(r);
		rv = my_op_probe(r, e); /* over a fresh connection */
	}
	if (rv == DR_OK && !r->state.read_only)
		rv = dr_fail(e, DR_E_CONFLICT, "somebody else has made it writable again");
	return rv;
}
