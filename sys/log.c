/* log.c -- see log.h. */
#include "sys/log.h"

#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sys/clock.h"

enum { LINE_MAX_BYTES = 1024 };

static const char *program_name = "drcoord";
static enum dr_log_level least_level = DR_LOG_INFO;
static atomic_uint dropped;
static atomic_ullong dropped_ever;
/* Of one thread: whole lines. */
static _Thread_local struct {
	bool on;
	unsigned lines; /* in it, with those that they say were dropped */
	size_t n;
	char text[PIPE_BUF];
} gathered;

static const char *const level_words[] = { "debug", "info", "warn", "error" };
/* sd-daemon(3) prefixes, so that journald keeps the level. */
static const char *const level_prefixes[] = { "<7>", "<6>", "<4>", "<3>" };

void dr_log_init(const char *program, enum dr_log_level least)
{
	program_name = program;
	least_level = least;
}

/* *lost: so many it says were dropped: whoever drops this one has dropped those, too. */
static size_t head_line(char *line, enum dr_log_level level, const char *event, unsigned *lost)
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
	*lost = atomic_exchange(&dropped, 0);
	char note[40] = "";
	if (*lost > 0)
		(void)snprintf(note, sizeof(note), " log_lines_dropped=%u", *lost);
	int n = snprintf(line, LINE_MAX_BYTES, "%s%s.%03uZ %s %s event=%s%s ", level_prefixes[level], when,
			 (unsigned)(ms % 1000), program_name, level_words[level], event, note);
	return n < 0 ? 0 : (size_t)n;
}

static void write_out(const char *text, size_t n, unsigned lines)
{
	if (n == 0 || write(STDERR_FILENO, text, n) == (ssize_t)n)
		return;
	(void)atomic_fetch_add(&dropped, lines);
	/* Those that these lines spoke of were counted when they were dropped. */
	for (size_t i = 0; i < n; i++)
		(void)atomic_fetch_add(&dropped_ever, text[i] == '\n' ? 1u : 0u);
}

unsigned long long dr_log_dropped(void)
{
	return atomic_load(&dropped_ever);
}

void dr_log_flush(void)
{
	size_t n = gathered.n;
	unsigned lines = gathered.lines;
	gathered.n = 0; /* first: a handler may come in between, and says nothing twice */
	gathered.lines = 0;
	write_out(gathered.text, n, lines);
}

void dr_log_gather(void)
{
	gathered.on = true;
}

static void put_line(const char *line, size_t n, unsigned lines, bool now)
{
	if (!gathered.on) {
		write_out(line, n, lines);
		return;
	}
	if (gathered.n + n > sizeof(gathered.text))
		dr_log_flush();
	memcpy(gathered.text + gathered.n, line, n);
	gathered.n += n;
	gathered.lines += lines;
	if (now)
		dr_log_flush();
}

void dr_log(enum dr_log_level level, const char *event, const char *fmt, ...)
{
	if (level < least_level)
		return;
	char line[LINE_MAX_BYTES];
	unsigned lost = 0;
	size_t n = head_line(line, level, event, &lost);
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
	put_line(line, n, 1 + lost, level >= DR_LOG_ERROR);
}
