/* caution.c -- what of a server somebody has to mend, though nothing hangs on it now: told with the remedy. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "adapters/mysql/my.h"

enum { MARIADB_SUPER_SPLIT = 101100 }; /* before it SUPER is enough */

/* MariaDB's read_only does not bind them; one who can only log in on the server's own host is its administrator. */
static const char writers_sql[] =
	"SELECT GRANTEE, MIN(PRIVILEGE_TYPE) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE IN (%s)"
	" AND SUBSTRING_INDEX(GRANTEE, '@', -1) NOT IN ('''localhost''', '''127.0.0.1''', '''::1''',"
	" CONCAT('''', @@hostname, ''''))"
	" AND GRANTEE NOT LIKE '''%s''@%%' GROUP BY GRANTEE ORDER BY GRANTEE";

/* As far as there is room: what weighs most comes first. */
DR_PRINTF(2, 3)
static void add(struct my_run *r, const char *fmt, ...)
{
	char *to = r->evidence.caution;
	size_t n = strlen(to);
	va_list ap;

	if (n > 0 && n + sizeof("; ") < DR_CAUTION_MAX)
		n += (size_t)snprintf(to + n, DR_CAUTION_MAX - n, "; ");
	va_start(ap, fmt);
	(void)vsnprintf(to + n, DR_CAUTION_MAX - n, fmt, ap);
	va_end(ap);
}

/* Positions count the ids of one domain, and of those without a tag: a standby that lacks some of the others looks as good as
 * one that has them. */
static void look_at_ids(struct my_run *r)
{
	const struct my_state *s = &r->state;
	struct my_gtid g;

	if (s->dialect != MY_MARIADB && my_set_tagged(s->executed))
		add(r, "some transactions have a tag, and count for nothing where a primary is chosen: let all commit without one");
	if (s->dialect == MY_MARIADB && my_gtid_other(s->executed, s->domain, &g))
		add(r, "transactions of domain %" PRIu32 " count for nothing where a primary is chosen: let all commit with"
		       " gtid_domain_id = %" PRIu32, g.domain, s->domain);
}

static enum dr_err look_for_writers(struct my_run *r, struct dr_error *e)
{
	char sql[1024], user[2 * DR_NAME_MAX + 1];
	bool split = r->state.version >= MARIADB_SUPER_SPLIT;
	struct my_row row;

	if (r->dialect != MY_MARIADB)
		return DR_OK; /* super_read_only binds everybody */
	my_quote(r, user, sizeof(user), r->target.user);
	int n = snprintf(sql, sizeof(sql), writers_sql, split ? "'READ_ONLY ADMIN'" : "'READ_ONLY ADMIN', 'SUPER'", user);
	if (n < 0 || (size_t)n >= sizeof(sql))
		return dr_fail(e, DR_E_RANGE, "the account's name is too long");
	enum dr_err rv = my_query(r, sql, &row, e);
	if (rv != DR_OK)
		return rv == DR_E_NOT_FOUND ? DR_OK : rv;
	uint64_t accounts = mysql_num_rows(row.res);
	add(r, "%s may write in spite of read_only: REVOKE %s ON *.* FROM %s", row.cell[0], row.cell[1], row.cell[0]);
	if (accounts > 1)
		add(r, "%" PRIu64 " such accounts", accounts);
	my_row_end(&row);
	return DR_OK;
}

enum dr_err my_caution(struct my_run *r, struct dr_error *e)
{
	r->evidence.caution[0] = '\0';
	look_at_ids(r);
	return look_for_writers(r, e);
}
