/* test_my_local.c -- what the agent wants of the option file of a MariaDB or MySQL before it takes the server over, and of
 * any kind's folder of programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shell/local.h"

static char dir[] = "/tmp/drmy-XXXXXX";

static char why[DR_ERROR_MSG_MAX]; /* the last one was not taken */

static bool takes(const struct dr_local_kind *kind, const char *text)
{
	struct dr_local_server s = { .name = "orders-my-a" };
	struct dr_error e;
	(void)snprintf(s.config_file, sizeof(s.config_file), "%s/my.cnf", dir);
	FILE *f = fopen(s.config_file, "we");
	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
	enum dr_err rv = kind->may_take(&s, &e);
	(void)unlink(s.config_file);
	assert_true(rv == DR_OK || (rv == DR_E_REFUSED && strstr(e.msg, "read_only = 1") != NULL));
	(void)snprintf(why, sizeof(why), "%s", rv != DR_OK ? e.msg : "");
	return rv == DR_OK;
}

static bool both_take(const char *text)
{
	bool mariadb = takes(&dr_mariadb_local, text), mysql = takes(&dr_mysql_local, text);
	assert_int_equal(mariadb, mysql);
	return mysql;
}

/* A start by anybody must come up read-only: what the file says last, in a section that the server reads. */
static void wants_its_file(void **state)
{
	struct dr_local_server nothing = { .name = "orders-my-a" };
	struct dr_error e;
	(void)state;
	assert_int_equal(dr_mysql_local.may_take(&nothing, &e), DR_E_REFUSED);
	assert_true(both_take("[mysqld]\nread_only = 1\n"));
	assert_true(both_take("[server]\n  Read-Only\n"));
	assert_true(both_take("[mysqld]\nloose-read_only=\"ON\" # always\r\n"));
	assert_true(both_take("[mysqld]\nread_only"));
	assert_true(both_take("[mysqld]\nread_only = 0\n[server]\nread_only = on\n"));
	assert_false(both_take("[mysqld]\nread_only = 1\nread_only = 0\n")); /* the last one counts */
	assert_false(both_take("[mysqld]\nread_only = 1\n[server]\nskip-read-only\n"));
	assert_false(both_take("[mysqldump]\nread_only = 1\n"));
	assert_false(both_take("[mysqld_safe]\nread_only = 1\n"));
	assert_false(both_take("read_only = 1\n[mysqld]\nport = 3306\n"));
	assert_false(both_take("[mysqld]\nread_only = off\n"));
	assert_false(both_take("[mysqld]\nread_only = 10\n"));
	assert_false(both_take("[mysqld]\nread_only_x = 1\n"));
	assert_false(both_take("[mysqld]\n# read_only = 1\n"));
	assert_false(both_take(""));
	/* What is read by one version alone, or from elsewhere, may say so and may not. */
	assert_false(both_take("[mysqld-9.7]\nread_only = 1\n"));
	assert_false(both_take("[mysqld]\nread_only = 1\n[mysqld-9.7]\nread_only = 0\n"));
	assert_false(both_take("[mysqld]\nread_only = 1\n!includedir /etc/mysql/conf.d\n"));
	assert_true(both_take("!includedir /etc/mysql/conf.d\n[mysqld]\nread_only = 1\n"));
}

/* Which line it is, and what to do. */
static void names_the_line(void **state)
{
	(void)state;
	assert_false(both_take("[mysqld]\nread_only = 1\n\n!includedir /etc/mysql/conf.d/\n"));
	assert_non_null(strstr(why, "my.cnf, line 4: "));
	assert_non_null(strstr(why, "End the file with [mysqld] and read_only = 1"));
	assert_false(both_take("!includedir /etc/mysql/conf.d/\n"));
	assert_null(strstr(why, "line"));
	assert_non_null(strstr(why, "files that it includes are not looked at"));
}

static void each_reads_its_own(void **state)
{
	(void)state;
	assert_true(takes(&dr_mariadb_local, "[mariadbd]\nread_only = 1\n"));
	assert_false(takes(&dr_mysql_local, "[mariadbd]\nread_only = 1\n"));
	assert_true(takes(&dr_mysql_local, "[mysqld]\nread_only = 1\n[mariadbd]\nread_only = 0\n"));
	assert_true(takes(&dr_mysql_local, "[mysqld]\nsuper_read_only=ON"));
	assert_true(takes(&dr_mysql_local, "[mysqld]\nread_only = 1\nsuper-read-only = 0\n"));
	assert_false(takes(&dr_mariadb_local, "[mysqld]\nloose_super_read_only=ON"));
}

static void put_program(const char *name)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	(void)fclose(f);
	assert_int_equal(chmod(path, 0755), 0);
}

static void take_program(const char *name)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

/* A wrong folder would be noticed on the day of a rejoin only. */
static void says_what_it_lacks(void **state)
{
	static const char *const pg[] = { "postgres", "pg_controldata", "pg_rewind", "pg_waldump", "pg_basebackup" };
	char said[256];
	(void)state;
	dr_local_lacks(&dr_mysql_local, dir, said, sizeof(said));
	assert_memory_equal(said, "mysqld cannot be run from /tmp/drmy-", 36);
	for (size_t i = 0; i < 4; i++)
		put_program(pg[i]);
	dr_local_lacks(&dr_pg_local, dir, said, sizeof(said));
	assert_memory_equal(said, "pg_basebackup cannot be run from", 32);
	put_program(pg[4]);
	dr_local_lacks(&dr_pg_local, dir, said, sizeof(said));
	assert_string_equal(said, "");
	for (size_t i = 0; i < 5; i++)
		take_program(pg[i]);
}

static int make(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int unmake(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(wants_its_file), cmocka_unit_test(names_the_line),
					    cmocka_unit_test(each_reads_its_own),
					    cmocka_unit_test(says_what_it_lacks) };
	return cmocka_run_group_tests(tests, make, unmake);
}
