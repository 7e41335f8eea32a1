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

/* One line, however long it was to be and whatever it holds. */
static void assert_one_line(const char *tail)
{
	size_t n = strlen(got), t = strlen(tail);
	assert_true(n <= 1024 && n > t);
	assert_ptr_equal(strchr(got, '\n'), got + n - 1);
	assert_null(strchr(got, '\r'));
	assert_int_equal(strncmp(got, "<6>2", 4), 0);
	assert_string_equal(got + n - t, tail);
}

static void test_a_line_is_one_line(void **state)
{
	(void)state;
	char text[3000];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	begin();
	dr_log_text(DR_LOG_INFO, "test.text", "a=1\nb\r\n");
	dr_log_flush();
	drain();
	assert_one_line("Z test_log info event=test.text a=1 b  \n");
	dr_log(DR_LOG_INFO, "test.text", "a=%d\n%s", 1, "\rb");
	dr_log_flush();
	drain();
	assert_one_line("Z test_log info event=test.text a=1  b\n");
	dr_log_text(DR_LOG_INFO, "test.text", text);
	dr_log_flush();
	drain();
	assert_one_line("xxx\n");
	assert_int_equal(strlen(got), 1024);
	dr_log(DR_LOG_INFO, "test.text", "%s", text);
	dr_log_flush();
	drain();
	assert_one_line("xxx\n");
	assert_int_equal(strlen(got), 1024);
	dr_log_text(DR_LOG_INFO, text, "a=1"); /* no room for more than the event */
	dr_log(DR_LOG_INFO, text, "a=%d", 1);
	dr_log_flush();
	drain();
	assert_int_equal(strlen(got), 2048);
	dr_log_text(DR_LOG_DEBUG, "test.text", "below what is written");
	dr_log_flush();
	drain();
	end();
	assert_int_equal(got[0], '\0');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dropped_lines_are_counted),
		cmocka_unit_test(test_gathered_lines_are_counted),
		cmocka_unit_test(test_a_line_is_one_line),
	};
	dr_log_init("test_log", DR_LOG_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
