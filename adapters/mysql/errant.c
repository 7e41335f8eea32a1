/* errant.c -- what a standby has written for itself: transactions that its primary never had, while it goes on following it;
 * or before, from a source that is no member of its service.
 *
 * The standby is read first and the primary after it: whatever came from there is then in the primary's own log.  Ids of
 * the primary itself count nowhere: one that waits for its standbys may be theirs a moment before it is its own. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "adapters/mysql/my.h"
#include "base/parse.h"

/* One line, and where it is cut it says so. */
static void put_ids(char dst[DR_ERRANT_MAX], const char *ids)
{
	size_t n = 0, most = DR_ERRANT_MAX - sizeof("...");

	for (; *ids != '\0' && n < most; ids++) {
		if (*ids != '\n' && *ids != '\r' && *ids != ' ')
			dst[n++] = *ids;
	}
	dst[n] = '\0';
	if (*ids != '\0')
		(void)dr_copy_text(dst + n, DR_ERRANT_MAX - n, "...");
}

static enum dr_err copy_cell(const struct my_row *row, unsigned i, char dst[MY_SET_MAX], struct dr_error *e)
{
	return dr_copy_text(dst, MY_SET_MAX, row->cell[i])
		       ? DR_OK
		       : dr_fail(e, DR_E_RANGE, "its transactions take more than %d bytes to name", MY_SET_MAX - 1);
}

/* On the standby's connection: all that it has. */
static enum dr_err read_own(struct my_run *r, char set[MY_SET_MAX], struct dr_error *e)
{
	struct my_row row;

	if (r->dialect != MY_MARIADB) {
		memcpy(set, r->state.executed, MY_SET_MAX);
		return DR_OK;
	}
	enum dr_err rv = my_query(r, "SELECT @@global.gtid_binlog_state", &row, e);
	if (rv != DR_OK)
		return rv;
	rv = copy_cell(&row, 0, set, e);
	my_row_end(&row);
	return rv;
}

static enum dr_err compare_states(struct my_run *r, const char *mine, struct dr_evidence *ev, struct dr_error *e)
{
	char state[MY_SET_MAX], at[MY_SET_MAX], ids[MY_SET_MAX];
	struct my_row row;
	uint64_t server = 0;

	enum dr_err rv = my_query(r, "SELECT @@global.gtid_binlog_state, @@global.gtid_slave_pos, @@global.server_id", &row, e);
	if (rv != DR_OK)
		return rv;
	rv = copy_cell(&row, 0, state, e);
	if (rv == DR_OK)
		rv = copy_cell(&row, 1, at, e);
	if (rv == DR_OK)
		rv = dr_parse_u64(row.cell[2], 0, UINT32_MAX, &server);
	my_row_end(&row);
	if (rv != DR_OK)
		return rv;
	ev->errant = my_gtid_errant(mine, state, at, (uint32_t)server, ids, sizeof(ids));
	put_ids(ev->errant_ids, ids);
	return DR_OK;
}

static enum dr_err compare_sets(struct my_run *r, const char *mine, struct dr_evidence *ev, struct dr_error *e)
{
	char sql[2 * MY_SET_MAX + 256], set[2 * MY_SET_MAX];
	struct my_row row;

	my_quote(r, set, sizeof(set), mine);
	int n = snprintf(sql, sizeof(sql), "SELECT GTID_SUBTRACT(GTID_SUBTRACT('%s', @@global.gtid_executed),"
					   " CONCAT(@@global.server_uuid, ':1-9223372036854775806'))", set);
	if (n < 0 || (size_t)n >= sizeof(sql))
		return dr_fail(e, DR_E_RANGE, "its set of transactions is too long to compare");
	enum dr_err rv = my_query(r, sql, &row, e);
	if (rv != DR_OK)
		return rv;
	uint64_t count = my_set_count(row.cell[0]);
	ev->errant = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
	put_ids(ev->errant_ids, row.cell[0]);
	my_row_end(&row);
	return DR_OK;
}

/* Whoever stands between the standby and the primary may have the same of its own. */
static enum dr_err check_primary(struct my_run *r, struct dr_error *e)
{
	uint64_t read_only = 1;
	unsigned n = 0;
	enum dr_err rv = my_numbers(r, "SELECT @@global.read_only", &read_only, 1, &n, e);

	if (rv == DR_OK && (n != 1 || read_only != 0))
		rv = dr_fail(e, DR_E_REFUSED, "%s:%u takes no writes: it is no primary to compare with", r->args.primary_at.host,
			     r->args.primary_at.port);
	return rv;
}

/* Of what was just read, against the primary; leaves the connection there. */
static enum dr_err compare(struct my_run *r, struct dr_error *e)
{
	char mine[MY_SET_MAX];
	enum my_dialect dialect = r->dialect;
	enum dr_err rv = read_own(r, mine, e);

	if (rv == DR_OK)
		rv = my_connect_to(r, &r->args.primary_at, e);
	if (rv == DR_OK && (dialect == MY_MARIADB) != (r->dialect == MY_MARIADB))
		rv = dr_fail(e, DR_E_REFUSED, "one of them is MariaDB, the other MySQL");
	if (rv == DR_OK)
		rv = check_primary(r, e);
	if (rv != DR_OK)
		return rv;
	return dialect == MY_MARIADB ? compare_states(r, mine, &r->evidence, e) : compare_sets(r, mine, &r->evidence, e);
}

enum dr_err my_op_errant(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_op_probe(r, e);

	if (rv == DR_OK && !r->state.read_only)
		rv = dr_fail(e, DR_E_REFUSED, "it takes writes; a standby has read_only on");
	return rv == DR_OK ? compare(r, e) : rv;
}

enum dr_err my_check_source(struct my_run *r, struct dr_address *turned, struct dr_error *e)
{
	enum dr_err rv = my_op_probe(r, e);
	const struct dr_address from = r->state.source, *to = &r->args.primary_at;
	uint64_t identity = r->state.identity;
	bool right = from.port == to->port && strcmp(from.host, to->host) == 0;

	*turned = (struct dr_address){ .port = 0 };
	if (rv != DR_OK || !r->state.read_only || !r->state.configured || right)
		return rv;
	rv = compare(r, e);
	if (rv == DR_OK && r->evidence.errant > 0)
		return dr_fail(e, DR_E_REFUSED, "it replicates from %s:%u, which is not the primary, and has what that never"
			       " had (%s): is it another service's? Else make it replicate from the primary first", from.host,
			       from.port, r->evidence.errant_ids);
	if (rv == DR_OK)
		rv = my_read(r, e);
	if (rv == DR_OK && r->state.identity != 0 && r->state.identity != identity)
		return dr_fail(e, DR_E_REFUSED, "it replicates from %s:%u, and its data is another service's: its drcoord.identity"
			       " is %" PRIu64 ", the primary's %" PRIu64, from.host, from.port, identity, r->state.identity);
	*turned = from;
	return rv;
}
