/* test_run.c -- commands: what they are given, when they end, and which are never begun. */
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

#include "adapters/run.h"
#include "base/parse.h"
#include "sys/clock.h"
#include "sys/proc.h"

static char folder[64];
static struct dr_run_env env;
static char said[DR_RUN_SAID_MAX];
static struct dr_error e;

static void program(const char *name, const char *text, mode_t mode)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	(void)fprintf(f, "#!/bin/sh\n%s\n", text);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/dr-run-XXXXXX");
	assert_non_null(mkdtemp(folder));
	memset(&env, 0, sizeof(env));
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "say", "no", "hang", "pid", "loud", "open", "dull" };
	char path[128];
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		(void)unlink(path);
	}
	return rmdir(folder);
}

static enum dr_err run_for(const char *command, unsigned ms)
{
	struct dr_run r = { .folder = folder, .command = command, .env = &env, .until_ms = dr_clock_boot_ms() + ms };
	return dr_run_command(&r, said, &e);
}

static void test_words_and_environment(void **state)
{
	(void)state;
	program("say", "echo \"$# $1 $3 $DRCOORD_X [$HOME] $(ulimit -n > /dev/null; ls /proc/self/fd | wc -l)\"; cat", 0755);
	dr_run_env_put(&env, "DRCOORD_X", "a b %d", 7);
	assert_int_equal(run_for("say one  $HOME 'two", 5000), DR_OK);
	/* No shell has read it, nothing of ours was inherited: 0, 1, 2, the pipe of $() and ls's own. */
	assert_string_equal(said, "3 one 'two a b 7 [] 4");
}

static void test_exit_code(void **state)
{
	(void)state;
	program("no", "echo it is full >&2; echo more; exit 7", 0755);
	assert_int_equal(run_for("no", 5000), DR_E_FAILED);
	assert_non_null(strstr(e.msg, "exit code 7"));
	assert_null(strstr(e.msg, "it is full"));
	assert_string_equal(said, "it is full");
}

/* What it started dies with it, and so does what it left behind. */
static void test_no_end(void **state)
{
	char pid[16] = "", path[128];
	(void)state;
	(void)snprintf(path, sizeof(path), "%s/pid", folder);
	program("hang", "sleep 60 & echo $! > \"$PIDFILE\"; wait", 0755);
	dr_run_env_put(&env, "PIDFILE", "%s", path);
	uint64_t began = dr_clock_boot_ms();
	assert_int_equal(run_for("hang", 300), DR_E_TIMEOUT);
	assert_true(dr_clock_boot_ms() - began < 2000);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(pid, sizeof(pid), f));
	(void)fclose(f);
	uint64_t number = 0;
	struct dr_proc_id id;
	pid[strcspn(pid, "\n")] = '\0';
	assert_int_equal(dr_parse_u64(pid, 2, INT32_MAX, &number), DR_OK);
	for (unsigned i = 0; i < 100 && dr_proc_identify((int32_t)number, &id, &e) == DR_OK; i++)
		(void)usleep(10000);
	assert_int_equal(dr_proc_identify((int32_t)number, &id, &e), DR_E_NOT_FOUND);
}

static bool never(void *ctx)
{
	(void)ctx;
	return false;
}

static void test_cancelled(void **state)
{
	(void)state;
	program("hang", "sleep 60", 0755);
	struct dr_run r = { .folder = folder, .command = "hang", .until_ms = dr_clock_boot_ms() + 30000, .goes_on = never };
	assert_int_equal(dr_run_command(&r, NULL, &e), DR_E_CANCELLED);
}

/* Much output is read and left alone: nobody waits for anybody. */
static void test_much_output(void **state)
{
	(void)state;
	program("loud", "head -c 1000000 /dev/zero | tr '\\0' x; exit 0", 0755);
	enum dr_err rv = run_for("loud", 10000);
	assert_true(rv == DR_OK || rv == DR_E_FAILED); /* past 64 KiB its pipe is closed or full: it ends, or at its time */
	assert_true(strlen(said) < DR_RUN_SAID_MAX);
}

static void test_never_begun(void **state)
{
	(void)state;
	program("open", "exit 0", 0775);
	program("dull", "exit 0", 0644);
	assert_int_equal(run_for("../bin/true", 5000), DR_E_INVALID);
	assert_int_equal(run_for("/bin/true", 5000), DR_E_INVALID);
	assert_int_equal(run_for(".open", 5000), DR_E_INVALID);
	assert_int_equal(run_for("", 5000), DR_E_INVALID);
	assert_int_equal(run_for("   ", 5000), DR_E_INVALID);
	assert_int_equal(run_for("nothing", 5000), DR_E_NOT_FOUND);
	assert_int_equal(run_for("open", 5000), DR_E_REFUSED); /* its group may write it */
	assert_int_equal(chmod(folder, 0777), 0);              /* anybody may replace it */
	assert_int_equal(run_for("dull", 5000), DR_E_REFUSED);
	assert_non_null(strstr(e.msg, "chmod go-w"));
	assert_int_equal(chmod(folder, 0700), 0);
	assert_int_not_equal(run_for("dull", 5000), DR_OK);    /* it is no program */
	struct dr_run r = { .folder = "", .command = "true", .until_ms = dr_clock_boot_ms() + 5000 };
	assert_int_equal(dr_run_command(&r, NULL, &e), DR_E_REFUSED);
	assert_non_null(strstr(e.msg, "commands_in"));
}

/* What would be refused is known before it is wanted: a program, not a text beside it, and the folder itself. */
static void test_look(void **state)
{
	(void)state;
	program("say", "true", 0755);
	program("dull", "nobody runs it", 0664);
	assert_int_equal(dr_run_look(folder, &e), DR_OK);
	program("open", "true", 0775);
	assert_int_equal(dr_run_look(folder, &e), DR_E_REFUSED);
	assert_non_null(strstr(e.msg, "/open may be written by others"));
	assert_non_null(strstr(e.msg, "`chmod go-w"));
	assert_int_equal(chmod(folder, 0777), 0);
	assert_int_equal(dr_run_look(folder, &e), DR_E_REFUSED);
	assert_null(strstr(e.msg, "/open"));
	assert_int_equal(chmod(folder, 0700), 0);
	assert_int_equal(dr_run_look("/nonexistent", &e), DR_E_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_words_and_environment, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_exit_code, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancelled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_much_output, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_never_begun, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_look, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
