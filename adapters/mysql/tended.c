/* tended.c -- what is seen to between orders: scheduled events run where the primary is, and nowhere else; what somebody has
 * to mend on the server is told.
 *
 * A replica keeps an event that comes to it as disabled there, and so forgets whether it was on.  So a primary notes which of
 * its events are on, in drcoord.events, with the epoch in which it did: that is replicated with all else.  Whoever finds a
 * note of an epoch before its own has just been promoted, and turns on what the note names.
 *
 *   standby:  the scheduler is off
 *   primary:  what is noted of an epoch before is turned on, then the note is made to say what is on now.  What could not
 *             be turned on stays noted as it was, and is tried again the next time */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "adapters/mysql/my.h"
#include "base/parse.h"

enum { NAME_QUOTED = 2 * 4 * 64 + 1, SQL_NOTED_MAX = 640 };

/* Noted as on, there, and not on. */
#define NOTED_NOT_ON                                                                                               \
	" FROM drcoord.events n JOIN information_schema.EVENTS i ON HEX(n.db) = HEX(i.EVENT_SCHEMA) AND HEX(n.event) ="    \
	" HEX(i.EVENT_NAME) WHERE n.event <> '' AND i.STATUS <> 'ENABLED'"

struct note {
	bool there;
	uint64_t epoch;
	bool running; /* the scheduler */
	bool older;   /* it names events of an epoch before */
};

static enum dr_err scheduler_is_on(struct my_run *r, bool *on, struct dr_error *e)
{
	struct my_row row;
	enum dr_err rv = my_query(r, "SELECT @@global.event_scheduler", &row, e);

	if (rv != DR_OK)
		return rv;
	*on = strcmp(row.cell[0], "ON") == 0;
	my_row_end(&row);
	return DR_OK;
}

enum dr_err my_events_off(struct my_run *r, struct dr_error *e)
{
	bool on = false;
	enum dr_err rv = scheduler_is_on(r, &on, e);

	return rv == DR_OK && on ? my_do(r, e, "SET GLOBAL event_scheduler = OFF") : rv;
}

/* ---- the note */

static enum dr_err make_table(struct my_run *r, struct dr_error *e)
{
	return my_do(r, e, "CREATE TABLE IF NOT EXISTS drcoord.events (db VARCHAR(64) NOT NULL, event VARCHAR(64) NOT NULL,"
			   " epoch BIGINT UNSIGNED NOT NULL, running TINYINT NOT NULL, PRIMARY KEY (db, event)) ENGINE=InnoDB"
			   " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
}

/* The row without a name is the note itself. */
static enum dr_err read_note(struct my_run *r, struct note *n, struct dr_error *e)
{
	struct my_row row;
	uint64_t running = 0, oldest = 0;

	*n = (struct note){ .there = false };
	enum dr_err rv = my_query(r, "SELECT epoch, running, (SELECT MIN(epoch) FROM drcoord.events) FROM drcoord.events"
				     " WHERE event = ''", &row, e);
	if (rv == DR_E_NOT_FOUND && mysql_errno(r->conn) != 0) /* no such table; else no such row */
		return make_table(r, e);
	if (rv == DR_E_NOT_FOUND)
		return DR_OK;
	if (rv != DR_OK)
		return rv;
	n->there = dr_parse_u64(row.cell[0], 0, UINT64_MAX, &n->epoch) == DR_OK &&
		   dr_parse_u64(row.cell[1], 0, 1, &running) == DR_OK &&
		   dr_parse_u64(row.cell[2], 0, UINT64_MAX, &oldest) == DR_OK;
	n->running = running != 0;
	n->older = n->there && oldest < r->state.epoch;
	my_row_end(&row);
	return DR_OK;
}

/* Names as bytes, since the two tables need not sort alike.  What is left of an epoch before is not on yet. */
static enum dr_err note_differs(struct my_run *r, const struct note *n, bool on, bool *differs, struct dr_error *e)
{
	char sql[SQL_NOTED_MAX];
	uint64_t sum[2] = { 0, 1 };
	unsigned got = 0;

	*differs = true;
	if (!n->there || n->epoch != r->state.epoch || n->running != on)
		return DR_OK;
	(void)snprintf(sql, sizeof(sql), "SELECT COALESCE(SUM(1 + CRC32(CONCAT(HEX(EVENT_SCHEMA), '.', HEX(EVENT_NAME)))), 0)"
		       " FROM information_schema.EVENTS WHERE STATUS = 'ENABLED' UNION ALL"
		       " SELECT COALESCE(SUM(1 + CRC32(CONCAT(HEX(db), '.', HEX(event)))), 0)"
		       " FROM drcoord.events WHERE event <> '' AND epoch >= %" PRIu64, r->state.epoch);
	enum dr_err rv = my_numbers(r, sql, sum, 2, &got, e);
	*differs = got == 2 && sum[0] != sum[1];
	return rv;
}

static enum dr_err note_one(struct my_run *r, const char *db, const char *event, uint64_t epoch, bool running,
			    struct dr_error *e)
{
	char quoted_db[NAME_QUOTED], quoted[NAME_QUOTED];

	my_quote(r, quoted_db, sizeof(quoted_db), db);
	my_quote(r, quoted, sizeof(quoted), event);
	return my_do(r, e, "INSERT INTO drcoord.events (db, event, epoch, running) VALUES ('%s', '%s', %" PRIu64 ", %d)", quoted_db,
		     quoted, epoch, running ? 1 : 0);
}

/* cells: schema, event, the epoch of which it is noted. */
static enum dr_err note_these(struct my_run *r, struct my_row *row, struct dr_error *e)
{
	enum dr_err rv = DR_OK;

	for (MYSQL_ROW cells = row->all; rv == DR_OK && cells != NULL; cells = mysql_fetch_row(row->res)) {
		uint64_t epoch = 0;
		rv = cells[2] != NULL ? dr_parse_u64(cells[2], 0, UINT64_MAX, &epoch) : DR_E_PROTOCOL;
		if (rv == DR_OK)
			rv = note_one(r, cells[0] != NULL ? cells[0] : "", cells[1] != NULL ? cells[1] : "", epoch, true, e);
		else
			(void)dr_fail(e, rv, "an event without an epoch");
	}
	return rv;
}

/* What is on, and what an epoch before had on and is not yet; anew, with one reading of both. */
static enum dr_err note_all(struct my_run *r, bool on, struct dr_error *e)
{
	char sql[SQL_NOTED_MAX];
	struct my_row row;

	(void)snprintf(sql, sizeof(sql), "SELECT EVENT_SCHEMA, EVENT_NAME, %" PRIu64 " FROM information_schema.EVENTS"
		       " WHERE STATUS = 'ENABLED' UNION ALL SELECT i.EVENT_SCHEMA, i.EVENT_NAME, n.epoch" NOTED_NOT_ON
		       " AND n.epoch < %" PRIu64,
		       r->state.epoch, r->state.epoch);
	enum dr_err rv = my_query(r, sql, &row, e);
	bool any = rv == DR_OK;
	if (rv == DR_OK || rv == DR_E_NOT_FOUND)
		rv = my_do(r, e, "DELETE FROM drcoord.events");
	if (rv == DR_OK)
		rv = note_one(r, "", "", r->state.epoch, on, e);
	if (rv == DR_OK && any)
		rv = note_these(r, &row, e);
	if (any)
		my_row_end(&row);
	return rv;
}

/* Whoever reads it reads one whole note. */
static enum dr_err write_note(struct my_run *r, bool on, struct dr_error *e)
{
	enum dr_err rv = my_do(r, e, "START TRANSACTION");

	if (rv == DR_OK)
		rv = note_all(r, on, e);
	return rv == DR_OK ? my_do(r, e, "COMMIT") : rv; /* the connection's end takes back what was begun */
}

/* ---- after a promotion */

/* Between backticks. */
static bool put_name(char dst[NAME_QUOTED], const char *text, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n && at + 3 < NAME_QUOTED; i++) {
		if (text[i] == '`')
			dst[at++] = '`';
		dst[at++] = text[i];
	}
	dst[at] = '\0';
	return n > 0 && n * 2 + 1 < NAME_QUOTED;
}

/* cells: schema, event, definer, character set, collation.  All of it stays as it was: an event that is altered would
 * else become our own account's. */
static enum dr_err turn_on(struct my_run *r, const MYSQL_ROW cells, struct dr_error *e)
{
	char db[NAME_QUOTED], event[NAME_QUOTED], user[NAME_QUOTED], host[NAME_QUOTED];
	const char *at = cells[2] != NULL ? strrchr(cells[2], '@') : NULL;

	if (at == NULL || cells[0] == NULL || cells[1] == NULL || cells[3] == NULL || cells[4] == NULL ||
	    !put_name(db, cells[0], strlen(cells[0])) || !put_name(event, cells[1], strlen(cells[1])) ||
	    !put_name(host, at + 1, strlen(at + 1)))
		return dr_fail(e, DR_E_PROTOCOL, "an event without a name or definer");
	(void)put_name(user, cells[2], (size_t)(at - cells[2])); /* of nobody in particular: empty */
	enum dr_err rv = my_do(r, e, "SET NAMES %s COLLATE %s", cells[3], cells[4]);
	if (rv == DR_OK)
		rv = my_do(r, e, "ALTER DEFINER=`%s`@`%s` EVENT `%s`.`%s` ENABLE", user, host, db, event);
	return rv == DR_OK ? DR_OK : dr_wrap(e, "event %s.%s is not turned on", cells[0], cells[1]);
}

/* One that cannot be turned on keeps no other from it; it is told, and tried again. */
static enum dr_err turn_on_noted(struct my_run *r, struct dr_error *e)
{
	char sql[SQL_NOTED_MAX];
	struct my_row row;
	struct dr_error one;

	(void)snprintf(sql, sizeof(sql), "SELECT i.EVENT_SCHEMA, i.EVENT_NAME, i.DEFINER, i.CHARACTER_SET_CLIENT,"
		       " i.COLLATION_CONNECTION" NOTED_NOT_ON " AND n.epoch < %" PRIu64, r->state.epoch);
	enum dr_err rv = my_query(r, sql, &row, e);

	if (rv != DR_OK)
		return rv == DR_E_NOT_FOUND ? DR_OK : rv;
	for (MYSQL_ROW cells = row.all; cells != NULL; cells = mysql_fetch_row(row.res)) {
		if (turn_on(r, cells, &one) != DR_OK && rv == DR_OK) {
			*e = one;
			rv = one.code;
		}
	}
	my_row_end(&row);
	enum dr_err back = my_do(r, &one, "SET NAMES utf8mb4");
	if (rv == DR_OK && back != DR_OK) {
		*e = one;
		rv = back;
	}
	return rv;
}

static enum dr_err tend_primary(struct my_run *r, struct dr_error *e)
{
	struct note n;
	struct dr_error not_on;
	bool on = false, differs = false;
	enum dr_err rv = read_note(r, &n, e), events = DR_OK;

	if (rv == DR_OK && n.older)
		events = turn_on_noted(r, &not_on);
	if (rv == DR_OK && n.there && n.epoch < r->state.epoch && n.running)
		rv = my_do(r, e, "SET GLOBAL event_scheduler = ON");
	if (rv == DR_OK)
		rv = scheduler_is_on(r, &on, e);
	if (rv == DR_OK)
		rv = note_differs(r, &n, on, &differs, e);
	if (rv == DR_OK && differs)
		rv = write_note(r, on, e);
	if (rv == DR_OK && events != DR_OK) {
		*e = not_on;
		rv = events;
	}
	return rv;
}

enum dr_err my_op_tended(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_begin_change(r, e);

	if (rv == DR_OK && r->state.read_only)
		rv = my_events_off(r, e);
	else if (rv == DR_OK && r->state.epoch > 0)
		rv = tend_primary(r, e);
	return rv == DR_OK ? my_caution(r, e) : rv;
}
