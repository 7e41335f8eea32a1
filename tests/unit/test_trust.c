/* test_trust.c -- whose files are run, and where a path leads. */
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

#include "sys/trust.h"

static char folder[64], path[160];
static struct dr_error e;

static const char *at(const char *name)
{
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void file(const char *name)
{
	FILE *f = fopen(at(name), "we");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0755), 0);
}

static void link_to(const char *name, const char *to)
{
	assert_int_equal(symlink(to, at(name)), 0);
}

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/dr-trust-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(mkdir(at("in"), 0755), 0);
	file("in/program");
	file("outside");
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "in/program", "in/inner", "in/outer", "in/loop", "outside", "also" };
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(at(names[i]));
	return rmdir(at("in")) != 0 ? -1 : rmdir(folder);
}

static void test_modes(void **state)
{
	(void)state;
	assert_int_equal(dr_trust_program(at("in/program"), &e), DR_OK);
	assert_int_equal(dr_trust_program(at("in/none"), &e), DR_E_NOT_FOUND);
	assert_int_equal(chmod(at("in/program"), 0775), 0);
	assert_int_equal(dr_trust_program(path, &e), DR_E_REFUSED);
	assert_non_null(strstr(e.msg, "(mode 0775): `chmod go-w"));
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(chmod(at("in"), 0757), 0); /* whoever may write the folder replaces the program */
	assert_int_equal(dr_trust_program(at("in/program"), &e), DR_E_REFUSED);
	assert_int_equal(chmod(at("in"), 01777), 0); /* ... but not another's in such a one */
	assert_int_equal(dr_trust_program(at("in/program"), &e), DR_OK);
	assert_int_equal(chmod(at("in"), 0755), 0);
	assert_int_equal(chmod(folder, 0770), 0); /* nor one above it */
	assert_int_equal(dr_trust_program(at("in/program"), &e), DR_E_REFUSED);
	assert_int_equal(dr_trust_program("in/program", &e), DR_E_REFUSED);
}

/* A link is as good as what it leads to. */
static void test_links(void **state)
{
	(void)state;
	link_to("in/inner", "program");
	link_to("in/outer", "../outside");
	assert_int_equal(dr_trust_program(at("in/inner"), &e), DR_OK);
	assert_int_equal(dr_trust_program(at("in/outer"), &e), DR_OK);
	assert_int_equal(chmod(at("outside"), 0777), 0);
	assert_int_equal(dr_trust_program(at("in/outer"), &e), DR_E_REFUSED);
}

static void test_owner(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip(); /* nobody else's file can be made */
	assert_int_equal(chown(at("in/program"), 12345, 0), 0);
	assert_int_equal(dr_trust_program(path, &e), DR_E_REFUSED);
	assert_non_null(strstr(e.msg, "belongs to user 12345"));
	assert_non_null(strstr(e.msg, "chown root"));
	assert_int_equal(chown(path, 0, 0), 0);
	assert_int_equal(chown(at("in"), 12345, 0), 0);
	assert_int_equal(dr_trust_program(at("in/program"), &e), DR_E_REFUSED);
	assert_int_equal(chown(at("in"), 0, 0), 0);
}

static void test_in_folder(void **state)
{
	char in[96], text[200];
	(void)state;
	(void)snprintf(in, sizeof(in), "%s", at("in"));
	assert_int_equal(dr_trust_in_folder(at("in/program"), in, &e), DR_OK);
	assert_int_equal(dr_trust_in_folder(at("in/not-there"), in, &e), DR_OK); /* who reads it says so */
	assert_int_equal(dr_trust_in_folder("/etc/shadow", in, &e), DR_E_REFUSED);
	assert_int_equal(dr_trust_in_folder(at("in/../outside"), in, &e), DR_E_REFUSED);
	assert_int_equal(dr_trust_in_folder(at("in/../not-there"), in, &e), DR_E_REFUSED);
	assert_int_equal(dr_trust_in_folder(at("inside"), in, &e), DR_E_REFUSED);
	assert_int_equal(dr_trust_in_folder(in, in, &e), DR_E_REFUSED);
	assert_int_equal(dr_trust_in_folder("/etc/shadow", "/nonexistent", &e), DR_E_REFUSED);
	/* Links inside are fine, as a mounted secret has them; out of it they are not. */
	link_to("in/inner", "program");
	link_to("in/outer", "/etc/passwd");
	link_to("in/loop", "loop");
	assert_int_equal(dr_trust_in_folder(at("in/inner"), in, &e), DR_OK);
	assert_int_equal(dr_trust_in_folder(at("in/outer"), in, &e), DR_E_REFUSED);
	assert_non_null(strstr(e.msg, "leads out of"));
	/* The folder may be reached by a link itself, and have a slash at its end. */
	link_to("also", "in");
	(void)snprintf(text, sizeof(text), "%s/also/", folder);
	assert_int_equal(dr_trust_in_folder(at("in/program"), text, &e), DR_OK);
	assert_int_equal(dr_trust_in_folder(at("also/program"), in, &e), DR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_modes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_links, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_owner, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_in_folder, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
