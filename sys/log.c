/* log.c -- see log.h. */
#include "sys/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sys/clock.h"

enum { LINE_MAX_BYTES = 1024 };

static const char *program_name = "drcoord";
static enum dr_log_level least_level = DR_LOG_INFO;
static atomic_uint dropped;

static const char *const level_words[] = { "debug", "info", "warn", "error" };
/* sd-daemon(3) prefixes, so that journald keeps the level. */
static const char *const level_prefixes[] = { "<7>", "<6>", "<4>", "<3>" };

void dr_log_init(const char *program, enum dr_log_level least)
{
	program_name = program;
	least_level = least;
}

static size_t head_line(char *line, enum dr_log_level level, const char *event)
{
	/* Thousands of lines a second share their second. */
	static _Thread_local time_t when_s = -1;
	static _Thread_local char when[32];
	uint64_t ms = dr_clock_wall_ms();
	time_t s = (time_t)(ms / 1000);
	if (s != when_s) {
		struct tm t;
		(void)gmtime_r(&s, &t);
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &t);
		when_s = s;
	}
	unsigned lost = atomic_exchange(&dropped, 0);
	char note[40] = "";
	if (lost > 0)
		(void)snprintf(note, sizeof(note), " log_lines_dropped=%u", lost);
	int n = snprintf(line, LINE_MAX_BYTES, "%s%s.%03uZ %s %s event=%s%s ", level_prefixes[level], when,
			 (unsigned)(ms % 1000), program_name, level_words[level], event, note);
	return n < 0 ? 0 : (size_t)n;
}

void dr_log(enum dr_log_level level, const char *event, const char *fmt, ...)
{
	if (level < least_level)
		return;
	char line[LINE_MAX_BYTES];
	size_t n = head_line(line, level, event);
	if (n >= sizeof(line) - 2)
		n = sizeof(line) - 2;
	va_list ap;
	va_start(ap, fmt);
	int more = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	if (more > 0)
		n += (size_t)more;
	if (n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	for (size_t i = 0; i < n; i++) {
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	}
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) != (ssize_t)n)
		(void)atomic_fetch_add(&dropped, 1);
}
