/* test_my_gtid.c -- what MySQL and MariaDB write of transaction ids, and what of it is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "adapters/mysql/gtid.h"

#define A "3e11fa47-71ca-11e1-9e33-c80aa9429562"
#define B "AAAAAAAA-71ca-11e1-9e33-c80aa9429562"

static void newest(const char *list, uint32_t domain, uint64_t want)
{
	struct my_gtid g;
	bool found = my_gtid_newest(list, domain, true, 0, &g);
	assert_int_equal(found, want != 0);
	assert_int_equal(g.sequence, want);
}

static void mariadb_positions(void **state)
{
	(void)state;
	struct my_gtid g;
	newest("0-1-100", 0, 100);
	newest("0-1-100,1-2-7,0-2-90", 0, 100);
	newest("0-1-100, 1-2-7", 1, 7);
	newest("0-1-100,1-2-7", 2, 0);
	newest("", 0, 0);
	assert_true(my_gtid_newest("0-1-100,0-2-120,0-3-110", 0, false, 3, &g));
	assert_int_equal(g.sequence, 110);
	assert_int_equal(g.server, 3);
	assert_false(my_gtid_newest("0-1-100,0-2-120", 0, false, 3, &g));
}

static void mariadb_nonsense(void **state)
{
	(void)state;
	static const char *const bad[] = { "0", "0-1", "0-1-", "-0-1-1", "0-1-1x", "0-1-99999999999999999999999",
					   "4294967296-1-5", "a-b-c", ",", "0--1-5" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		newest(bad[i], 0, 0);
	newest("0-1-5,rubbish", 0, 5); /* what stands before it was said */
}

static void errant(const char *mine, const char *state, const char *at, const char *want)
{
	char ids[64];
	uint32_t n = my_gtid_errant(mine, state, at, 1, ids, sizeof(ids));
	assert_string_equal(ids, want);
	assert_int_equal(n > 0, want[0] != '\0');
}

static void mariadb_errant(void **state)
{
	(void)state;
	errant("", "0-1-100", "", "");
	errant("0-1-90", "0-1-100", "", "");
	errant("0-1-100,0-2-40", "0-1-100,0-2-40", "", "");
	/* What it wrote for itself: in a domain of its own, or beyond all. */
	errant("0-1-100,7-2-3", "0-1-100", "", "7-2-3");
	errant("0-1-100,0-2-101", "0-1-100", "", "0-2-101");
	errant("0-1-100,0-2-40", "0-1-100", "", "0-2-40");
	errant("0-1-100,7-2-3,8-3-9", "0-1-100", "", "7-2-3,8-3-9");
	/* The source was made a copy: what came before stands in no log of its own. */
	errant("0-3-80,0-2-90,0-1-100", "0-1-100", "0-2-90", "");
	errant("0-2-90", "", "0-2-90", "");
	errant("0-3-95", "0-1-100", "0-2-90", "0-3-95");
	/* A moment ahead of a primary that waits for its standbys. */
	errant("0-1-101", "0-1-100", "", "");
	/* Those that do not fit are counted. */
	char ids[12];
	assert_int_equal(my_gtid_errant("7-2-3,8-2-4,9-2-5", "", "", 1, ids, sizeof(ids)), 3);
	assert_string_equal(ids, "7-2-3,8-2-4");
}

/* All that was received is applied: of every domain, wherever the server says so. */
static void mariadb_has_all(void **state)
{
	struct my_gtid g;

	(void)state;
	assert_true(my_gtid_has_all("0-1-100", "", 3, ""));
	assert_true(my_gtid_has_all("0-1-100,1-1-7", "", 3, "0-1-100,1-1-7"));
	assert_true(my_gtid_has_all("0-2-101,1-1-7", "", 3, "0-1-100,1-1-6"));
	assert_true(my_gtid_has_all("0-2-50", "0-3-100", 3, "0-3-100")); /* it was a primary */
	assert_false(my_gtid_has_all("0-1-100", "0-3-103", 3, "0-1-101")); /* it wrote for itself */
	assert_false(my_gtid_has_all("0-1-100,1-1-6", "", 3, "0-1-100,1-1-7"));
	assert_false(my_gtid_has_all("0-1-100", "0-1-101", 3, "0-1-100,1-1-1"));
	assert_false(my_gtid_has_all("0-1-100", "", 3, "rubbish"));
	assert_false(my_gtid_other("0-1-100,0-2-7", 0, &g));
	assert_false(my_gtid_other("", 0, &g));
	assert_true(my_gtid_other("0-1-100,7-2-3", 0, &g));
	assert_int_equal(g.domain, 7);
}

static void mysql_has_all(void **state)
{
	(void)state;
	assert_true(my_set_has_all(A ":1-5", ""));
	assert_true(my_set_has_all(A ":1-5", A ":3-5"));
	assert_true(my_set_has_all(A ":1-5:7-9", A ":3:8-9"));
	assert_true(my_set_has_all(A ":1-5:nightly:1-9," B ":1-2", B ":2,\n" A ":2-5:nightly:9"));
	assert_false(my_set_has_all(A ":1-5", A ":3-6"));
	assert_false(my_set_has_all(A ":1-5:7-9", A ":3-8"));
	assert_false(my_set_has_all(A ":1-5", A ":nightly:1"));
	assert_false(my_set_has_all(A ":1-5:nightly:1-9", A ":nightl:1"));
	assert_false(my_set_has_all(A ":nightly:1-9", A ":1"));
	assert_false(my_set_has_all(A ":1-5", B ":1"));
	assert_false(my_set_has_all(A ":1-5", "rubbish"));
	assert_true(my_set_tagged(A ":1-3:nightly:1-9"));
	assert_false(my_set_tagged(A ":1-3," B ":4"));
}

static void mysql_sets(void **state)
{
	(void)state;
	assert_int_equal(my_set_until(A ":1-5", A), 5);
	assert_int_equal(my_set_until(A ":1-5:7-9", A), 5);
	assert_int_equal(my_set_until(A ":1-5:6-9", A), 9);
	assert_int_equal(my_set_until(A ":3-9", A), 0);
	assert_int_equal(my_set_until(B ":1-4,\n" A ":1-5", A), 5);
	assert_int_equal(my_set_until(A ":1-5", B), 0);
	assert_int_equal(my_set_until("aaaaaaaa-71ca-11e1-9e33-c80aa9429562:1-2", B), 2);
	assert_int_equal(my_set_newest(A ":7-9", A), 9);
	assert_int_equal(my_set_newest(A ":7", A), 7);
	assert_int_equal(my_set_count(A ":1-5:7-9," B ":1"), 9);
	assert_int_equal(my_set_count(""), 0);
	/* A tag begins ids of its own, which are nobody's position. */
	assert_int_equal(my_set_until(A ":nightly:1-9", A), 0);
	assert_int_equal(my_set_until(A ":1-3:nightly:1-9", A), 3);
}

static void mysql_nonsense(void **state)
{
	(void)state;
	static const char *const bad[] = { "x", A, A ":", A ":-5", A ":5-1", A ":0-4", A ":1-", A ":99999999999999999999999",
					   "3e11fa47x71ca-11e1-9e33-c80aa9429562:1-5", ",", ":1-5", A "::1-5", A ":tag" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(my_set_until(bad[i], A), 0);
		assert_int_equal(my_set_count(bad[i]), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(mariadb_positions), cmocka_unit_test(mariadb_nonsense),
					    cmocka_unit_test(mariadb_errant), cmocka_unit_test(mariadb_has_all),
					    cmocka_unit_test(mysql_has_all),
					    cmocka_unit_test(mysql_sets), cmocka_unit_test(mysql_nonsense) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
