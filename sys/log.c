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

struct line {
	size_t n;
	unsigned lost; /* so many it says were dropped: whoever drops this one has dropped those, too */
	char text[LINE_MAX_BYTES];
};

/* As far as a line goes. */
static void put(struct line *l, const char *text, size_t n)
{
	size_t room = sizeof(l->text) - 1 - l->n; /* the newline has its place */
	if (n > room)
		n = room;
	memcpy(l->text + l->n, text, n);
	l->n += n;
}

static void put_word(struct line *l, const char *word)
{
	put(l, word, strlen(word));
}

static void put_time(struct line *l)
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
	const char fraction[] = { '.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z', ' ' };
	put_word(l, when);
	put(l, fraction, sizeof(fraction));
}

static void begin_line(struct line *l, enum dr_log_level level, const char *event)
{
	char note[40] = " ";
	l->n = 0;
	l->lost = atomic_exchange(&dropped, 0);
	if (l->lost > 0)
		(void)snprintf(note, sizeof(note), " log_lines_dropped=%u ", l->lost);
	put_word(l, level_prefixes[level]);
	put_time(l);
	put_word(l, program_name);
	put(l, " ", 1);
	put_word(l, level_words[level]);
	put_word(l, " event=");
	put_word(l, event);
	put_word(l, note);
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

static void write_line(const struct line *l, bool now)
{
	if (!gathered.on) {
		write_out(l->text, l->n, 1 + l->lost);
		return;
	}
	if (gathered.n + l->n > sizeof(gathered.text))
		dr_log_flush();
	memcpy(gathered.text + gathered.n, l->text, l->n);
	gathered.n += l->n;
	gathered.lines += 1 + l->lost;
	if (now)
		dr_log_flush();
}

static void no_such_byte(struct line *l, char byte)
{
	char *end = l->text + l->n;
	for (char *at = l->text; (at = memchr(at, byte, (size_t)(end - at))) != NULL;)
		*at = ' ';
}

static void end_line(struct line *l, enum dr_log_level level)
{
	no_such_byte(l, '\n');
	no_such_byte(l, '\r');
	l->text[l->n++] = '\n';
	write_line(l, level >= DR_LOG_ERROR);
}

void dr_log_text(enum dr_log_level level, const char *event, const char *text)
{
	struct line l;
	if (level < least_level)
		return;
	begin_line(&l, level, event);
	put_word(&l, text);
	end_line(&l, level);
}

void dr_log(enum dr_log_level level, const char *event, const char *fmt, ...)
{
	struct line l;
	if (level < least_level)
		return;
	begin_line(&l, level, event);
	size_t room = sizeof(l.text) - l.n;
	va_list ap;
	va_start(ap, fmt);
	int more = vsnprintf(l.text + l.n, room, fmt, ap);
	va_end(ap);
	if (more > 0)
		l.n += (size_t)more < room ? (size_t)more : room - 1;
	end_line(&l, level);
}
