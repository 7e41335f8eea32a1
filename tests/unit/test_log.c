/* test_log.c -- what stderr would not take is dropped, counted, and told by the next line that it takes: each dropped line
 * once, also those that a dropped line would have told of. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/log.h"

static int ends[2], kept = -1;
static char got[1 << 17];

/* From here on stderr is a pipe that blocks nobody. */
static void begin(void)
{
	assert_int_equal(pipe(ends), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fcntl(ends[i], F_SETFL, O_NONBLOCK), 0);
	kept = dup(STDERR_FILENO);
	assert_true(kept >= 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
}

static void fill(void)
{
	static const char some[4096];
	while (write(ends[1], some, sizeof(some)) > 0)
		;
	while (write(ends[1], some, 1) > 0)
		;
}

static void drain(void)
{
	ssize_t n = 0;
	size_t all = 0;
	memset(got, 0, sizeof(got));
	while (all < sizeof(got) - 1 && (n = read(ends[0], got + all, sizeof(got) - 1 - all)) > 0)
		all += (size_t)n;
}

static void end(void)
{
	assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
	for (int i = 0; i < 2; i++)
		(void)close(ends[i]);
	(void)close(kept);
}

static void three_dropped_one_written(void)
{
	fill();
	for (int i = 0; i < 3; i++)
		dr_log(DR_LOG_INFO, "test.dropped", "i=%d", i);
	dr_log_flush();
	drain();
	dr_log(DR_LOG_INFO, "test.written", "a=1");
	dr_log_flush();
	drain();
}

static void test_dropped_lines_are_counted(void **state)
{
	(void)state;
	begin();
	three_dropped_one_written();
	end();
	assert_non_null(strstr(got, "event=test.written log_lines_dropped=3 a=1\n"));
}

/* Gathered, they are dropped together: those before, and what the first of them was to tell. */
static void test_gathered_lines_are_counted(void **state)
{
	(void)state;
	begin();
	fill();
	dr_log(DR_LOG_INFO, "test.dropped", "alone=1");
	dr_log_gather();
	three_dropped_one_written();
	end();
	assert_non_null(strstr(got, "event=test.written log_lines_dropped=4 a=1\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dropped_lines_are_counted),
		cmocka_unit_test(test_gathered_lines_are_counted),
	};
	dr_log_init("test_log", DR_LOG_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
