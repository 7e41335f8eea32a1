/* log.h -- one line per fact to stderr: "<level> time event=... key=value ...".
 *
 * Shells only; the cores hand out typed notes instead.  A line is one write(2) of at most 1 KiB; when stderr
 * would block, the line is dropped and the next one that fits says how many were.  Any thread.
 *
 * A loop that says much in one turn gathers: lines below ERROR then wait until it goes to sleep, and share a write of at most
 * PIPE_BUF bytes, which a pipe takes whole or not at all.  Nothing of the order of one thread's lines changes. */
#ifndef DR_SYS_LOG_H
#define DR_SYS_LOG_H

#include "base/error.h"

enum dr_log_level { DR_LOG_DEBUG, DR_LOG_INFO, DR_LOG_WARN, DR_LOG_ERROR };

/* The program's name stands in every line; lines below `least` are not written.  Call once, first. */
void dr_log_init(const char *program, enum dr_log_level least);

/* event is a stable word with dots ("plan.step.done"), fmt the rest: `key=value key2="text with space"`. */
void dr_log(enum dr_log_level level, const char *event, const char *fmt, ...) DR_PRINTF(3, 4);
/* The same with the rest as it is. */
void dr_log_text(enum dr_log_level level, const char *event, const char *text);

/* From now on this thread gathers.  It calls dr_log_flush() before it sleeps and before it ends the process: before _exit(2)
 * and in dr_assert_hook_set()'s hook.  A fatal signal takes the lines of its turn with it. */
void dr_log_gather(void);
/* Write what waits. */
void dr_log_flush(void);
/* Lines that were dropped since the program began. */
unsigned long long dr_log_dropped(void);

#endif
