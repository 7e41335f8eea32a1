/* test_postgres_text.c -- names, settings and error messages of the PostgreSQL adapter; no server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "adapters/postgres/text.h"
#include "base/parse.h"

static struct dr_name name(const char *s)
{
	struct dr_name n;
	assert_true(dr_name_set(&n, s));
	return n;
}

static void test_slot_names(void **state)
{
	struct dr_name n = name("pg-b-1");
	char out[PG_SLOT_NAME_MAX];
	(void)state;
	pg_slot_name(&n, out);
	assert_string_equal(out, "drcoord_pg_b_1");
	n = name("a0123456789012345678901234567890123456789012345");
	pg_slot_name(&n, out);
	assert_int_equal(strlen(out), strlen("drcoord_") + DR_NAME_MAX - 1);
}

static void test_sync_names(void **state)
{
	struct dr_name two[2] = { name("pg-b"), name("any") };
	struct dr_error e;
	char out[PG_SETTING_MAX];
	(void)state;
	assert_int_equal(pg_sync_names(two, 2, 1, out, &e), DR_OK);
	assert_string_equal(out, "ANY 1 (\"pg-b\",\"any\")");
	assert_int_equal(pg_sync_names(two, 0, 0, out, &e), DR_OK);
	assert_string_equal(out, "");
	assert_int_equal(pg_sync_names(two, 2, 3, out, &e), DR_E_INVALID);
	assert_int_equal(pg_sync_names(two, 2, 0, out, &e), DR_E_INVALID);
	assert_int_equal(pg_sync_names(two, 0, 1, out, &e), DR_E_INVALID);
	assert_int_equal(pg_sync_names(two, DR_OP_PEERS_MAX + 1, 1, out, &e), DR_E_INVALID);
	(void)dr_copy_text(two[1].s, sizeof(two[1].s), "x\"; DROP");
	assert_int_equal(pg_sync_names(two, 2, 1, out, &e), DR_E_INVALID);
}

static void test_parse_sync(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint32_t k, names;
		bool others;
		const char *first;
	} rows[] = {
		{ "", true, 0, 0, false, "" },
		{ "  ", true, 0, 0, false, "" },
		{ "ANY 1 (\"pg-b\",\"pg-c\")", true, 1, 2, false, "pg-b" },
		{ "any 2(pg-b , pg-c,x)", true, 2, 3, false, "pg-b" },
		{ "FIRST 1 (b)", true, 1, 1, false, "b" },
		{ "2 (b,c)", true, 2, 2, false, "b" },
		{ "b, c", true, 1, 2, false, "b" },
		{ "first, c", true, 1, 2, false, "first" },
		{ "*", true, 1, 0, true, "" },
		{ "\"B b\",c", true, 1, 1, true, "c" },
		{ "\"a\"\"b\"", true, 1, 0, true, "" },
		{ "ANY 1 (a,b,c,d,e,f,g,h,i,j)", true, 1, 8, true, "a" },
		{ "ANY 1 (a", false, 0, 0, false, "" },
		{ "ANY 1 (a) b", false, 0, 0, false, "" },
		{ "ANY 0 (a)", false, 0, 0, false, "" },
		{ "ANY x (a)", false, 0, 0, false, "" },
		{ "ANY 99999999999999999999 (a)", false, 0, 0, false, "" },
		{ "a,", false, 0, 0, false, "" },
		{ "\"a", false, 0, 0, false, "" },
		{ "a b", false, 0, 0, false, "" },
		{ "(", false, 0, 0, false, "" },
		{ ")", false, 0, 0, false, "" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pg_sync s;
		if (pg_parse_sync(rows[i].text, &s) != rows[i].ok)
			fail_msg("'%s': %s expected", rows[i].text, rows[i].ok ? "taken" : "refused");
		if (s.k != rows[i].k || s.names != rows[i].names || s.others != rows[i].others)
			fail_msg("'%s': k %u, %u names, others %d", rows[i].text, s.k, s.names, s.others);
		if (s.names > 0)
			assert_string_equal(s.name[0].s, rows[i].first);
	}
}

/* Every prefix and every single damaged byte of good texts: refused or taken, never past the end (ASan). */
static void test_parse_sync_damaged(void **state)
{
	static const char text[] = "ANY 2 (\"pg-b\", pg-c, \"x\"\"y\")";
	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		for (unsigned byte = 0; byte < 256; byte += 3) {
			struct pg_sync s;
			char *copy = strndup(text, n);
			assert_non_null(copy);
			if (n > 0)
				copy[n - 1] = (char)byte;
			(void)pg_parse_sync(copy, &s);
			assert_true(s.names <= DR_OP_PEERS_MAX);
			free(copy);
		}
	}
}

static void test_conninfo_quoting(void **state)
{
	struct dr_buf b;
	(void)state;
	dr_buf_init(&b, 256);
	pg_put_conninfo(&b, "host", "10.0.0.1");
	pg_put_conninfo(&b, "password", "it's a \\ secret=x host=evil");
	dr_buf_put_u8(&b, 0);
	assert_string_equal((const char *)b.data,
			    "host='10.0.0.1' password='it\\'s a \\\\ secret=x host=evil'");
	dr_buf_close(&b);
}

static void test_numbers(void **state)
{
	(void)state;
	assert_int_equal(pg_u64(NULL), 0);
	assert_int_equal(pg_u64("7"), 7);
	assert_int_equal(pg_u64("18446744073709551615"), UINT64_MAX);
	assert_int_equal(pg_u64("-1"), UINT64_MAX);
	assert_int_equal(pg_u64("18446744073709551616"), 0);
	assert_int_equal(pg_u64("12x"), 0);
	assert_int_equal(pg_u64("-"), 0);
}

static void test_redact(void **state)
{
	char text[] = "password=hunter2 and hunter2hunter2";
	(void)state;
	pg_redact(text, "hunter2");
	assert_string_equal(text, "password=******* and **************");
	pg_redact(text, "");
	assert_string_equal(text, "password=******* and **************");
}

static void test_connect_errors(void **state)
{
	static const struct {
		const char *message;
		enum dr_err err;
		const char *part;
	} rows[] = {
		{ "connection to server at \"127.0.0.1\", port 1 failed: Connection refused\n\tIs the server running?\n",
		  DR_E_UNREACHABLE, "refused" },
		{ "connection to server on socket \"/x/.s.PGSQL.1\" failed: No such file or directory\n",
		  DR_E_UNREACHABLE, "no such socket" },
		{ "connection to server at \"h\", port 1 failed: FATAL:  53300: sorry, too many clients already\n"
		  "LOCATION:  x\n",
		  DR_E_FULL, "too many clients" },
		{ "connection to server at \"h\", port 1 failed: FATAL:  57P03: the database system is starting up\n",
		  DR_E_BUSY, "starting up" },
		{ "connection to server at \"h\", port 1 failed: FATAL:  57P03: the database system is shutting down\n",
		  DR_E_BUSY, "shutting down" },
		/* The severity and the text come in the server's language, the code does not. */
		{ "connection to server at \"h\", port 1 failed: FATAL:  28P01: Passwort-Authentifizierung\n",
		  DR_E_AUTH, "Passwort" },
		{ "connection to server at \"h\", port 1 failed: FATAL:  3D000: database \"x\" does not exist\n",
		  DR_E_NOT_FOUND, "does not exist" },
		{ "connection to server at \"h\", port 1 failed: fe_sendauth: no password supplied\n",
		  DR_E_AUTH, "password" },
		{ "connection to server at \"h\", port 1 failed: expected authentication request from server, but "
		  "received H\n",
		  DR_E_PROTOCOL, "no PostgreSQL" },
		{ "connection to server at \"h\", port 1 failed: server closed the connection unexpectedly\n\tThis",
		  DR_E_CLOSED, "closed" },
		/* A file that may not be written has the code of a missing privilege; where it was met tells. */
		{ "connection to server on socket \"/x\" failed: FATAL:  42501: konnte Datei nicht \xc3\xb6" "ffnen\n"
		  "LOCATION:  mdopenfork, md.c:504\n",
		  DR_E_REFUSED, "konnte" },
		{ "connection to server on socket \"/x\" failed: FATAL:  42501: must be superuser\n"
		  "LOCATION:  InitPostgres, postinit.c:834\n",
		  DR_E_DENIED, "superuser" },
		{ "FATAL:  42501: \nLOCATION:  mdopenfork, md.c:504\nLOCATION:  InitPostgres, postinit.c:834\n",
		  DR_E_DENIED, "" },
		{ "FATAL:  42501: x\nLOCATION:  ", DR_E_DENIED, "x" },
		{ "FATAL:  42501: x\nLOCATION:  md.c:504\n", DR_E_REFUSED, "x" },
		{ "connection to server at \"h\", port 1 failed: FATAL:  XX000: konnte nicht schreiben\n"
		  "LOCATION:  write_item, relcache.c:6733\n",
		  DR_E_NO_SPACE, "konnte" },
		{ "FATAL:  58030: x\nLOCATION:  write_item, relcache.c:6733\n", DR_E_IO, "x" },
		{ "FATAL:  XX000: x\nLOCATION:  RelationBuildTupleDesc, relcache.c:650\n", DR_E_FAILED, "x" },
		/* Of our own making. */
		{ "could not create socket: Too many open files\n", DR_E_UNKNOWN, "Too many" },
		{ "connection to server at \"h\", port 1 failed: Cannot assign requested address\n\tIs the", DR_E_UNKNOWN,
		  "no port" },
		{ "", DR_E_UNREACHABLE, "" },
		{ ": ", DR_E_UNREACHABLE, "" },
		{ "x: 12345", DR_E_UNREACHABLE, "" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char line[64];
		enum dr_err err = pg_connect_err(rows[i].message, line, sizeof(line));
		if (err != rows[i].err || strstr(line, rows[i].part) == NULL || strchr(line, '\n') != NULL)
			fail_msg("'%s': %s '%s'", rows[i].message, dr_err_name(err), line);
	}
}

static void test_sqlstates(void **state)
{
	(void)state;
	assert_int_equal(pg_sqlstate_err(NULL), DR_E_FAILED);
	assert_int_equal(pg_sqlstate_err("x"), DR_E_FAILED);
	assert_int_equal(pg_sqlstate_err("53100"), DR_E_NO_SPACE);
	assert_int_equal(pg_sqlstate_err("57P01"), DR_E_CLOSED);
	assert_int_equal(pg_sqlstate_err("57P03"), DR_E_BUSY);
	assert_int_equal(pg_sqlstate_err("42501"), DR_E_DENIED);
	assert_int_equal(pg_sqlstate_err("25006"), DR_E_REFUSED);
	assert_int_equal(pg_sqlstate_err("42601"), DR_E_FAILED);
	assert_int_equal(pg_server_err("42501", "md.c"), DR_E_REFUSED);
	assert_int_equal(pg_server_err("42501", "aclchk.c"), DR_E_DENIED);
	assert_int_equal(pg_server_err("42501", NULL), DR_E_DENIED);
	assert_int_equal(pg_server_err("58030", "md.c"), DR_E_IO);
	assert_int_equal(pg_server_err("53100", "md.c"), DR_E_NO_SPACE);
	assert_int_equal(pg_server_err("42501", "snapmgr.c"), DR_E_REFUSED);
	assert_int_equal(pg_server_err(NULL, "md.c"), DR_E_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slot_names),       cmocka_unit_test(test_sync_names),
		cmocka_unit_test(test_parse_sync),       cmocka_unit_test(test_parse_sync_damaged),
		cmocka_unit_test(test_conninfo_quoting), cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_redact),           cmocka_unit_test(test_connect_errors),
		cmocka_unit_test(test_sqlstates),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
