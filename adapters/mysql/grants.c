/* grants.c -- whether the agents' account can do what later ops need, told before any of them is needed. */
#include <stdio.h>
#include <string.h>

#include "adapters/mysql/my.h"

enum { MYSQL_SPLIT = 80200 }; /* from here on SET_USER_ID is two others */
enum named { BY_MARIADB, BY_MYSQL_BEFORE, BY_MYSQL, NAMED };

static const struct privilege {
	const char *needed_for, *on, *name[NAMED];
} privileges[] = {
#define PRIVILEGE(why, on, mariadb, before, mysql) { why, on, { mariadb, before, mysql } },
#include "adapters/mysql/privileges.def"
};
enum { PRIVILEGES = sizeof(privileges) / sizeof(privileges[0]) };

static enum named names_of(const struct my_run *r)
{
	if (r->dialect == MY_MARIADB)
		return BY_MARIADB;
	return r->state.version < MYSQL_SPLIT ? BY_MYSQL_BEFORE : BY_MYSQL;
}

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

/* "`drcoord`.*" without what quotes it, which is another sign where sql_mode has ANSI_QUOTES. */
static bool is_on(const char *from, const char *end, const char *on)
{
	for (; from < end; from++) {
		if (*from == '`' || *from == '"' || *from == '\\')
			continue;
		if (*from != *on++)
			return false;
	}
	return *on == '\0';
}

/* "GRANT A, B ON *.* TO ...": marks what it grants, to the account itself or to a role that is on for it: those are shown, too. */
static void take_line(enum named named, const char *line, bool got[PRIVILEGES])
{
	const char *on = strstr(line, " ON "), *to = on != NULL ? strstr(on, " TO ") : NULL;

	if (strncmp(line, "GRANT ", 6) != 0 || to == NULL)
		return;
	bool all = lists(line, on, "ALL PRIVILEGES"), everywhere = is_on(on + 4, to, "*.*");
	for (unsigned i = 0; i < PRIVILEGES; i++) {
		const struct privilege *p = &privileges[i];
		if (p->name[named][0] != '\0' && (everywhere || is_on(on + 4, to, p->on)))
			got[i] = got[i] || all || lists(line, on, p->name[named]);
	}
}

enum dr_err my_check_grants(struct my_run *r, struct dr_error *e)
{
	enum named named = names_of(r);
	bool got[PRIVILEGES] = { false };
	struct my_row row;
	enum dr_err rv = my_query(r, "SHOW GRANTS", &row, e);

	if (rv != DR_OK)
		return rv;
	for (MYSQL_ROW cells = row.all; cells != NULL; cells = mysql_fetch_row(row.res)) {
		if (cells[0] != NULL)
			take_line(named, cells[0], got);
	}
	my_row_end(&row);
	for (unsigned i = 0; i < PRIVILEGES; i++) {
		const struct privilege *p = &privileges[i];
		const char *name = p->name[named];
		if (!got[i] && name[0] != '\0')
			return dr_fail(e, DR_E_DENIED, "account %s lacks %s (%s): GRANT %s ON %s TO it, or to its default role",
				       r->target.user, name, p->needed_for, name, p->on);
	}
	return DR_OK;
}
