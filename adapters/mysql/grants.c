/* grants.c -- whether the agents' account can do what later ops need, told before any of them is needed. */
#include <stdio.h>
#include <string.h>

#include "adapters/mysql/my.h"

enum { MARIADB_SUPER_SPLIT = 101100 }; /* from here on SUPER is not the sum of the others */

static const struct privilege {
	const char *name[MY_DIALECTS];
	const char *needed_for;
} privileges[] = {
#define PRIVILEGE(mariadb, mysql, why) { { mariadb, mysql, mysql }, why },
#include "adapters/mysql/privileges.def"
};
enum { PRIVILEGES = sizeof(privileges) / sizeof(privileges[0]) };

/* One of the words between GRANT and ON, with commas between them. */
static bool lists(const char *line, const char *end, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = strstr(line, name); at != NULL && at + n <= end; at = strstr(at + 1, name)) {
		bool begins = at[-1] == ' ' || at[-1] == ',';
		if (begins && (at[n] == ',' || at[n] == ' ') && (at[n] == ',' || at + n == end))
			return true;
	}
	return false;
}

/* "GRANT A, B ON *.* TO ...": marks what it grants; false for a role, whose own grants are not shown here. */
static bool take_line(const struct my_run *r, const char *line, bool got[PRIVILEGES])
{
	const char *end = strstr(line, " ON ");

	if (strncmp(line, "GRANT ", 6) != 0 || end == NULL)
		return strncmp(line, "GRANT ", 6) != 0;
	if (strncmp(end, " ON *.* TO ", 11) != 0)
		return true;
	bool super_has_all = r->dialect != MY_MARIADB || r->state.version < MARIADB_SUPER_SPLIT;
	bool all = lists(line, end, "ALL PRIVILEGES") || (super_has_all && lists(line, end, "SUPER"));
	for (unsigned i = 0; i < PRIVILEGES; i++) {
		const char *name = privileges[i].name[r->dialect];
		got[i] = got[i] || all || name[0] == '\0' || lists(line, end, name);
	}
	return true;
}

enum dr_err my_check_grants(struct my_run *r, struct dr_error *e)
{
	bool got[PRIVILEGES] = { false }, known = true;
	struct my_row row;
	enum dr_err rv = my_query(r, "SHOW GRANTS", &row, e);

	if (rv != DR_OK)
		return rv;
	for (MYSQL_ROW cells = row.all; cells != NULL; cells = mysql_fetch_row(row.res))
		known = (cells[0] == NULL || take_line(r, cells[0], got)) && known;
	my_row_end(&row);
	for (unsigned i = 0; known && i < PRIVILEGES; i++) {
		const char *name = privileges[i].name[r->dialect];
		if (!got[i] && name[0] != '\0')
			return dr_fail(e, DR_E_DENIED, "account %s lacks %s (%s): GRANT %s ON *.* TO it", r->target.user, name,
				       privileges[i].needed_for, name);
	}
	return DR_OK;
}
