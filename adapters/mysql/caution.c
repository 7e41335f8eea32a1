/* caution.c -- what of a server somebody has to mend, though nothing hangs on it now: told with the remedy. */
#include <inttypes.h>
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

enum dr_err my_caution(struct my_run *r, struct dr_error *e)
{
	char sql[1024], user[2 * DR_NAME_MAX + 1], *to = r->evidence.caution;
	bool split = r->state.version >= MARIADB_SUPER_SPLIT;
	struct my_row row;

	to[0] = '\0';
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
	n = snprintf(to, DR_CAUTION_MAX, "%s may write in spite of read_only: REVOKE %s ON *.* FROM %s", row.cell[0], row.cell[1],
		     row.cell[0]);
	if (accounts > 1 && n > 0 && n < DR_CAUTION_MAX)
		(void)snprintf(to + n, DR_CAUTION_MAX - (size_t)n, " (%" PRIu64 " such)", accounts);
	my_row_end(&row);
	return DR_OK;
}
