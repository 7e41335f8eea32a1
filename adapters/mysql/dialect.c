/* dialect.c -- the table of statements (dialect.def). */
#include "adapters/mysql/my.h"

const char *my_sql(enum my_dialect d, enum my_sql which)
{
	static const char *const text[MY_SQLS][MY_DIALECTS] = {
#define SQL(id, mariadb, before, now) { mariadb, before, now },
#include "adapters/mysql/dialect.def"
	};
	return text[which][d];
}
