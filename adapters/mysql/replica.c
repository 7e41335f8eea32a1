/* replica.c -- ops on a standby: it receives from nobody, it receives from the given one, what it has that the other has not.
 *
 * In all of them the applier runs before the receiver is stopped: with ids, MariaDB throws away what was received and not
 * applied once both stand still and one starts anew, and a dead primary cannot send it again. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adapters/mysql/my.h"
#include "base/parse.h"
#include "sys/file.h"

enum { AGAIN_MS = 10, IDLE_LOOKS = 10, WELL_LOOKS = 10, SECRET_QUOTED = 2 * MY_SECRET_MAX, CHANGE_MAX = 4096,
       BAD_NOTES = 1201 /* "Could not initialize master info structure" */ };

enum dr_err my_check_shape(const struct my_run *r, struct dr_error *e)
{
	if (r->state.several)
		return dr_fail(e, DR_E_REFUSED, "it replicates from several sources, or by a named connection: drcoord keeps one,"
						" without name");
	if (r->state.configured && !r->state.by_id)
		return dr_fail(e, DR_E_REFUSED, "it replicates by files and places: make it ask by ids (MASTER_USE_GTID,"
						" SOURCE_AUTO_POSITION)");
	if (!r->state.logs)
		return dr_fail(e, DR_E_REFUSED, "nobody could replicate from it: it has no binary log with ids of its own and its"
			       " source's. Set log_bin, %s", my_sql(r->dialect, MY_SQL_LOGS));
	return DR_OK;
}

/* Refuses to touch a server that takes writes: only its agent's lease says who may. */
enum dr_err my_read_standby(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_begin_change(r, e);

	if (rv == DR_OK)
		rv = my_check_shape(r, e);
	if (rv == DR_OK && !r->state.read_only)
		rv = dr_fail(e, DR_E_REFUSED, "it takes writes; a standby has read_only on");
	if (rv == DR_OK && r->dialect != MY_MARIADB && !r->state.super_read_only)
		rv = my_say(r, MY_SQL_PERSIST, e);
	return rv;
}

/* What a cut connection left of a transaction is never applied: the applier then waits for more, look after look, and so do
 * those that work for it. */
static enum dr_err is_all_applied(struct my_run *r, unsigned *idle, bool *all, struct dr_error *e)
{
	uint64_t working = 1;
	unsigned n = 0;
	enum dr_err rv = DR_OK;

	*idle = r->state.idle && !r->state.receiving && !r->state.connecting ? *idle + 1 : 0;
	if (*idle >= IDLE_LOOKS)
		rv = my_numbers(r, my_sql(r->dialect, MY_SQL_WORKING), &working, 1, &n, e);
	*all = n == 1 && working == 0;
	return rv;
}

enum dr_err my_drain(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_read(r, e);
	unsigned idle = 0;
	bool all = false;

	while (rv == DR_OK && my_has_rest(&r->state)) {
		rv = is_all_applied(r, &idle, &all, e);
		if (rv != DR_OK || all)
			return rv;
		if (r->state.error != 0 && !r->state.applying)
			return dr_fail(e, DR_E_FAILED, "its applier stopped: %s (%u)", r->state.error_text, r->state.error);
		my_tell(r, "not all that it has received is applied yet, %" PRIu64 " of its primary's own",
			r->state.received - r->state.position);
		rv = my_pause(r, AGAIN_MS, e);
		if (rv == DR_OK)
			rv = my_read(r, e);
	}
	return rv;
}

enum dr_err my_leave_source(struct my_run *r, struct dr_error *e)
{
	bool receives = r->state.receiving || r->state.connecting;
	/* Where both stand still, MariaDB has thrown away what was received by the time that one runs; MySQL applies it, unless
	 * a crash has torn its end off. */
	bool rest = !receives && !r->state.applying && r->dialect != MY_MARIADB && my_has_rest(&r->state);
	enum dr_err rv = DR_OK;

	if ((receives && !r->state.applying) || rest)
		rv = my_say(r, MY_SQL_START_SQL, e);
	if (rv == DR_OK && receives)
		rv = my_say(r, MY_SQL_STOP_IO, e);
	if (rv == DR_OK && (receives || r->state.applying || rest))
		rv = my_drain(r, e);
	if (rest && rv == DR_E_FAILED)
		rv = DR_OK;
	if (rv == DR_OK && r->semi.told)
		rv = my_say(r, MY_SQL_TOLD_APPLIED, e);
	if (rv == DR_OK)
		rv = my_say(r, MY_SQL_STOP, e);
	return rv == DR_OK ? my_say(r, MY_SQL_RESET, e) : rv;
}

enum dr_err my_op_frozen(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_read_standby(r, e);

	if (rv == DR_OK)
		rv = my_semi_read(r, e);
	bool kept = my_acks_kept(r);
	if (rv == DR_OK && r->state.configured)
		rv = my_leave_source(r, e);
	if (rv == DR_OK)
		rv = my_read_standby(r, e); /* over a fresh connection */
	r->evidence.acked = kept;
	if (rv == DR_OK && r->state.configured)
		rv = dr_fail(e, DR_E_CONFLICT, "somebody else has made it replicate from %s:%u", r->state.source.host,
			     r->state.source.port);
	return rv;
}

/* ---- FOLLOWING */

bool my_follows(const struct my_run *r)
{
	const struct my_state *s = &r->state;
	return s->configured && s->source.port == r->args.primary_at.port &&
	       strcmp(s->source.host, r->args.primary_at.host) == 0 && (r->target.ca_file[0] == '\0' || s->checks_as_told);
}

/* What MariaDB asks its source for begins behind what it has itself: in each domain the newer of what it replicated and what it
 * wrote as a primary. */
static enum dr_err align(struct my_run *r, struct dr_error *e)
{
	return r->dialect == MY_MARIADB ? my_do(r, e, "SET GLOBAL gtid_slave_pos = @@global.gtid_current_pos") : DR_OK;
}

/* What replication takes for its source, stated each time: it is forgotten with the source before. */
static void put_tls(struct my_run *r, char *dst, size_t cap)
{
	const char *word = my_sql(r->dialect, MY_SQL_WORD);
	char ca[2 * DR_PATH_MAX + 1];

	my_quote(r, ca, sizeof(ca), r->target.ca_file);
	if (ca[0] == '\0')
		(void)snprintf(dst, cap, "%s", my_sql(r->dialect, MY_SQL_TLS_ANY));
	else
		(void)snprintf(dst, cap, ", %s_SSL=1, %s_SSL_CA='%s', %s_SSL_VERIFY_SERVER_CERT=1", word, word, ca, word);
}

/* A kill may cut off what a server notes of its source, and no other try heals that: only to forget the source does. */
static bool has_bad_notes(const struct my_run *r, enum dr_err rv)
{
	return rv == DR_E_FAILED && mysql_errno(r->conn) == BAD_NOTES;
}

/* It has no source now: what is noted of one before, and what was received from it, is good for nothing any more. */
static enum dr_err say_change(struct my_run *r, const char *sql, struct dr_error *e)
{
	enum dr_err rv = my_do(r, e, "%s", sql);

	if (!has_bad_notes(r, rv))
		return rv;
	rv = my_say(r, MY_SQL_RESET, e);
	return rv == DR_OK ? my_do(r, e, "%s", sql) : rv;
}

static enum dr_err point(struct my_run *r, struct dr_error *e)
{
	const struct dr_op_args *a = &r->args;
	const char *word = my_sql(r->dialect, MY_SQL_WORD);
	char secret[SECRET_QUOTED + 1], user[2 * DR_NAME_MAX + 1], host[2 * DR_HOST_MAX + 1], tls[2 * DR_PATH_MAX + 128];
	char sql[CHANGE_MAX];
	enum dr_err rv = my_secret(r->target.replication_password_file, r->replication_secret, e);

	if (rv != DR_OK)
		return rv;
	my_quote(r, secret, sizeof(secret), r->replication_secret);
	my_quote(r, user, sizeof(user), r->target.replication_user);
	my_quote(r, host, sizeof(host), a->primary_at.host);
	put_tls(r, tls, sizeof(tls));
	int n = snprintf(sql, sizeof(sql), "%s %s_HOST='%s', %s_PORT=%u, %s_USER='%s', %s_PASSWORD='%s', %s%s",
			 my_sql(r->dialect, MY_SQL_CHANGE), word, host, word, a->primary_at.port, word, user, word, secret,
			 my_sql(r->dialect, MY_SQL_CHANGE_REST), tls);
	if (n >= 0 && (size_t)n < sizeof(sql))
		rv = say_change(r, sql, e);
	else
		rv = dr_fail(e, DR_E_RANGE, "the statement would be longer than %d bytes", CHANGE_MAX - 1);
	explicit_bzero(sql, sizeof(sql));
	explicit_bzero(secret, sizeof(secret));
	return rv;
}

/* A source named by hand sends its heartbeats seldom, and our starts take a source for gone after seconds: an idle one would
 * be left again and again. */
static enum dr_err hears_beats(struct my_run *r, bool *yes, struct dr_error *e)
{
	uint64_t often = 0;
	unsigned n = 0;
	enum dr_err rv = my_numbers(r, my_sql(r->dialect, MY_SQL_BEATS), &often, 1, &n, e);

	*yes = rv == DR_OK && n == 1 && often == 1;
	return rv;
}

static enum dr_err turn_to(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = r->state.configured ? my_leave_source(r, e) : DR_OK;

	if (rv == DR_OK)
		rv = my_say(r, MY_SQL_PERSIST, e); /* a copy that was swapped in lacks it */
	if (rv == DR_OK)
		rv = my_read(r, e);
	if (rv == DR_OK)
		rv = align(r, e);
	if (rv == DR_OK)
		rv = point(r, e);
	if (rv == DR_OK)
		rv = my_acks_set(r, r->args.k > 0, e);
	return rv == DR_OK ? my_say(r, MY_SQL_START, e) : rv;
}

/* It has the right source: let it run, and acknowledge or not. */
static enum dr_err carry_on(struct my_run *r, struct dr_error *e)
{
	const struct my_state *s = &r->state;
	enum dr_err rv = DR_OK;

	if (s->receiving && s->applying)
		return my_acks_switch(r, r->args.k > 0, e);
	if (s->receiving || s->connecting || s->applying)
		return my_say(r, MY_SQL_START, e);
	/* What it has received is thrown away now; it must not seem to have all that it may have acknowledged. */
	rv = my_acks_set(r, false, e);
	if (rv == DR_OK)
		rv = my_say(r, MY_SQL_START, e);
	return has_bad_notes(r, rv) ? turn_to(r, e) : rv;
}

static enum dr_err wait_receiving(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_read(r, e);
	unsigned well = 0;

	/* Its threads say that they run before the source has looked at what they ask for. */
	while (rv == DR_OK) {
		well = my_follows(r) && r->state.receiving && r->state.applying && r->state.error == 0 ? well + 1 : 0;
		if (well > WELL_LOOKS)
			break;
		if (!r->state.read_only)
			return dr_fail(e, DR_E_REFUSED, "it takes writes");
		/* 1236: what it asks for is not there, or not any more; another try finds the same. */
		if (r->state.error == 1236 || (r->state.error != 0 && !r->state.applying))
			return dr_fail(e, DR_E_REFUSED, "cannot follow: %s (%u)", r->state.error_text, r->state.error);
		my_tell(r, "not receiving from %s:%u yet%s%s", r->args.primary_at.host, r->args.primary_at.port,
			r->state.error != 0 ? ": " : "", r->state.error_text);
		rv = my_pause(r, AGAIN_MS, e);
		if (rv == DR_OK)
			rv = my_read(r, e);
	}
	if (rv == DR_OK) {
		r->evidence.upstream = r->args.primary;
		r->evidence.text[0] = '\0';
	}
	return rv;
}

enum dr_err my_op_following(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_read_standby(r, e);

	if (rv == DR_OK)
		rv = my_semi_read(r, e);
	bool again = rv == DR_OK && my_follows(r), kept = my_acks_kept(r), beats = false;
	if (again)
		rv = hears_beats(r, &beats, e);
	bool turns = !again || !beats;
	if (rv == DR_OK)
		rv = my_say(r, MY_SQL_MISS, e);
	if (rv == DR_OK)
		rv = turns ? turn_to(r, e) : carry_on(r, e);
	if (rv == DR_OK)
		rv = my_say(r, MY_SQL_LET_IN, e); /* it may have been closed as a primary, and never stopped */
	if (rv == DR_OK)
		rv = wait_receiving(r, e);
	if (rv == DR_OK)
		rv = turns && r->args.k > 0 ? my_acks_seen(r, e) : my_acks_switch(r, r->args.k > 0, e);
	/* What came over a connection before, which did not acknowledge, some commit may wait for. */
	if (rv == DR_OK && again && r->args.k > 0)
		rv = my_end_waits(r, e);
	if (rv == DR_OK)
		rv = my_op_positions(r, e); /* over a fresh connection */
	r->evidence.acked = kept;
	return rv;
}

/* ---- COMPARED */

static void verdict(struct my_run *r, enum dr_divergence d, const char *why)
{
	r->evidence.divergence = d;
	my_tell(r, "%s", why);
}

/* Where the target's own logs are listed, on its connection. */
static enum dr_err read_log_index(struct my_run *r, char dst[DR_PATH_MAX], struct dr_error *e)
{
	struct my_row row;
	enum dr_err rv = my_query(r, "SELECT @@global.log_bin_index", &row, e);

	if (rv != DR_OK)
		return rv;
	bool fits = dr_copy_text(dst, DR_PATH_MAX, row.cell[0]);
	my_row_end(&row);
	return fits ? DR_OK : dr_fail(e, DR_E_RANGE, "log_bin_index is too long");
}

/* The newest that we have is in the source's history when the source's log knows one as new of that server: ids of one
 * server grow.  What is asked of it at FOLLOWING is looked up exactly, and refused with 1236 (gtid_strict_mode). */
static enum dr_err compare_mariadb(struct my_run *r, const struct my_state *mine, bool *more, struct dr_error *e)
{
	struct my_gtid ours, theirs;
	struct my_row row;
	char why[DR_REASON_MAX];

	/* A copy has no log of its own yet, and says where it was taken. */
	if (!my_gtid_newest(mine->executed, mine->domain, true, 0, &ours) &&
	    !my_gtid_newest(mine->applied, mine->domain, true, 0, &ours)) {
		verdict(r, mine->has_tables ? DR_DIVERGENCE_CLONE : DR_DIVERGENCE_NONE,
			mine->has_tables ? "it has data, and neither a log nor gtid_slave_pos" : "it is empty");
		return DR_OK;
	}
	enum dr_err rv = my_query(r, "SELECT @@global.gtid_binlog_state", &row, e);
	if (rv != DR_OK)
		return rv;
	if (!dr_copy_text(r->evidence.theirs, sizeof(r->evidence.theirs), row.cell[0])) {
		my_row_end(&row);
		return dr_fail(e, DR_E_RANGE, "gtid_binlog_state of the source is too long");
	}
	bool has = my_gtid_newest(row.cell[0], ours.domain, false, ours.server, &theirs) && theirs.sequence >= ours.sequence;
	my_row_end(&row);
	(void)snprintf(why, sizeof(why), "%u-%u-%" PRIu64 " is %sin the source's log", ours.domain, ours.server, ours.sequence,
		       has ? "" : "not ");
	*more = !has;
	verdict(r, has ? DR_DIVERGENCE_NONE : DR_DIVERGENCE_CLONE, why);
	return DR_OK;
}

/* On the source's connection. */
static enum dr_err compare_mysql(struct my_run *r, const struct my_state *mine, bool *more, struct dr_error *e)
{
	char sql[4 * MY_SET_MAX + 256], set[2 * MY_SET_MAX], why[DR_REASON_MAX];
	struct my_row row;

	my_quote(r, set, sizeof(set), mine->executed);
	int n = snprintf(sql, sizeof(sql), "SELECT GTID_SUBTRACT('%s', @@global.gtid_executed),"
					   " GTID_SUBTRACT(@@global.gtid_purged, '%s')", set, set);
	if (n < 0 || (size_t)n >= sizeof(sql))
		return dr_fail(e, DR_E_RANGE, "its set of transactions is too long to compare");
	enum dr_err rv = my_query(r, sql, &row, e);
	if (rv != DR_OK)
		return rv;
	(void)dr_copy_text(r->evidence.theirs, sizeof(r->evidence.theirs), r->state.executed);
	bool gone = row.cell[1][0] != '\0';
	*more = row.cell[0][0] != '\0';
	(void)snprintf(why, sizeof(why), "%s%.120s", *more ? "the source never had " : gone ? "the source has purged " : "",
		       *more ? row.cell[0] : gone ? row.cell[1] : "all that it has is at the source");
	my_row_end(&row);
	verdict(r, *more || gone ? DR_DIVERGENCE_CLONE : DR_DIVERGENCE_NONE, why);
	return DR_OK;
}

enum dr_err my_op_compared(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_read_standby(r, e);
	struct my_state mine = r->state;
	if (rv == DR_OK)
		rv = read_log_index(r, r->evidence.log_index, e);
	struct dr_evidence seen = r->evidence;

	if (rv == DR_OK)
		rv = my_connect_to(r, &r->args.primary_at, e);
	if (rv == DR_OK)
		rv = my_read(r, e);
	if (rv == DR_OK && mine.identity != 0 && r->state.identity != 0 && mine.identity != r->state.identity)
		rv = dr_fail(e, DR_E_REFUSED, "its data is of another service: drcoord.identity is %" PRIu64
			     ", the source's %" PRIu64, mine.identity, r->state.identity);
	if (rv == DR_OK && (mine.dialect == MY_MARIADB) != (r->state.dialect == MY_MARIADB))
		rv = dr_fail(e, DR_E_REFUSED, "one of them is MariaDB, the other MySQL");
	r->evidence = seen;
	if (rv != DR_OK)
		return rv;
	bool more = false; /* transactions that the source never had */
	rv = mine.dialect == MY_MARIADB ? compare_mariadb(r, &mine, &more, e) : compare_mysql(r, &mine, &more, e);
	/* The row comes with what is replicated: without it nothing says that this data was ever the service's. */
	if (rv == DR_OK && more && mine.identity == 0 && r->state.identity != 0)
		rv = dr_fail(e, DR_E_REFUSED, "it has no drcoord.identity (%.120s): whose data it is nobody knows; if nobody"
			     " needs it, move its data folder away, and a copy is made", r->evidence.text);
	return rv;
}

/* ---- COPIED: MySQL fetches a copy of the source into a folder by itself; its own data is left alone.  FOLDER.whole stands
 * beside once it is complete. */

enum { FOLDER_EXISTS = 1007, ANOTHER_COPY = 3634, COPY_AGAIN_MS = 200, LEFT_MAX = 8 };

/* A copy that was broken off takes a while to end, at both ends. */
static bool is_busy_copying(const struct my_run *r, const struct dr_error *e)
{
	return mysql_errno(r->conn) == ANOTHER_COPY || strstr(e->msg, "3634") != NULL;
}

/* What a try before has left, whole or not, its server never takes away; nobody writes there any more, for the lock is ours.
 * The agent removes it with all that is beside the data (agent/shell/job_copy.c). */
static enum dr_err put_aside(const struct my_run *r, struct dr_error *e)
{
	char path[DR_PATH_MAX + 16];

	for (unsigned i = 0; i < LEFT_MAX; i++) {
		(void)snprintf(path, sizeof(path), "%s.left-%u", r->args.folder, i);
		if (access(path, F_OK) == 0)
			continue;
		return rename(r->args.folder, path) == 0 ? DR_OK : dr_fail_errno(e, errno, "cannot rename %s", r->args.folder);
	}
	return dr_fail(e, DR_E_EXISTS, "%d copies to %s were broken off", LEFT_MAX, r->args.folder);
}

static bool is_whole(const struct my_run *r)
{
	char path[DR_PATH_MAX + 8];
	(void)snprintf(path, sizeof(path), "%s.whole", r->args.folder);
	return access(path, F_OK) == 0 && access(r->args.folder, F_OK) == 0;
}

static enum dr_err note_whole(const struct my_run *r, struct dr_error *e)
{
	char path[DR_PATH_MAX + 8];
	(void)snprintf(path, sizeof(path), "%s.whole", r->args.folder);
	return dr_file_replace(path, "", 0, 0600, e);
}

/* CLONE looks at the donor's certificate where it was told of a CA; at the address in it, it never does. */
static enum dr_err trust(struct my_run *r, struct dr_error *e)
{
	char ca[2 * DR_PATH_MAX + 1];

	if (r->target.ca_file[0] == '\0')
		return DR_OK;
	my_quote(r, ca, sizeof(ca), r->target.ca_file);
	return my_do(r, e, "SET GLOBAL clone_ssl_ca = '%s'", ca);
}

static enum dr_err copy(struct my_run *r, struct dr_error *e)
{
	char user[2 * DR_NAME_MAX + 1], secret[SECRET_QUOTED + 1], host[2 * DR_HOST_MAX + 1], folder[2 * DR_PATH_MAX + 1];
	const struct dr_address *from = &r->args.primary_at;

	my_quote(r, user, sizeof(user), r->target.user);
	my_quote(r, secret, sizeof(secret), r->secret);
	my_quote(r, host, sizeof(host), from->host);
	my_quote(r, folder, sizeof(folder), r->args.folder);
	enum dr_err rv = my_do(r, e, "SET GLOBAL clone_valid_donor_list = '%s:%u'", host, from->port);
	if (rv == DR_OK)
		rv = trust(r, e);
	while (rv == DR_OK) {
		rv = my_do(r, e, "%s '%s'@'%s':%u IDENTIFIED BY '%s' DATA DIRECTORY = '%s'%s", my_sql(r->dialect, MY_SQL_COPY),
			   user, host, from->port, secret, folder, r->target.ca_file[0] != '\0' ? " REQUIRE SSL" : "");
		if (rv == DR_OK)
			break;
		if (mysql_errno(r->conn) == FOLDER_EXISTS) {
			rv = put_aside(r, e);
		} else if (is_busy_copying(r, e)) {
			my_tell(r, "another copy is being made, or undone");
			rv = my_pause(r, COPY_AGAIN_MS, e);
		}
	}
	explicit_bzero(secret, sizeof(secret));
	return rv;
}

enum dr_err my_op_copied(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_read_standby(r, e);

	if (rv == DR_OK && my_sql(r->dialect, MY_SQL_COPY) == NULL)
		rv = dr_fail(e, DR_E_UNSUPPORTED, "MariaDB has no CLONE: its agent copies by mariabackup");
	if (rv == DR_OK && !is_whole(r)) {
		rv = copy(r, e);
		if (rv == DR_OK)
			rv = note_whole(r, e);
	}
	return rv == DR_OK ? my_op_probe(r, e) : rv;
}
