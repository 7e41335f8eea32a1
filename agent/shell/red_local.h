/* red_local.h -- what a Redis alone and a node of a Redis Cluster share on their host (red_local.c, redc_local.c). */
#ifndef DR_AGENT_SHELL_RED_LOCAL_H
#define DR_AGENT_SHELL_RED_LOCAL_H

#include "agent/shell/local.h"
#include "base/buf.h"

/* Debian's redis-server is a link to redis-check-rdb: they are one program. */
#define DR_REDIS_PROGRAMS "redis-server|redis-check-rdb|redis-check-aof"

enum dr_err dr_red_find_redis(const char *data_dir, struct dr_proc_id *out, struct dr_error *e);
/* Each start comes up fenced, so that nothing has to be marked. */
enum dr_err dr_red_mark_standby(const char *data_dir, struct dr_error *e);
bool dr_red_is_marked(const char *data_dir);
/* The server's own file, ended by a NUL; close b in any case. */
DR_MUST_USE enum dr_err dr_red_config(const struct dr_local_server *s, struct dr_buf *b, struct dr_error *e);
/* Whether this line says something of the directive, and what: the words after it, with single spaces. */
bool dr_red_directive(const char *line, const char *word, char *rest, size_t cap);
/* What such a text says last of a directive, under one name or the other (NULL: it has no other); false: nothing. */
bool dr_red_says(const char *text, const char *word, const char *or_word, char *rest, size_t cap);
/* As that, and no other file that the text includes comes behind it, which might say otherwise. */
bool dr_red_ends_in(const char *text, const char *word, const char *or_word, char *rest, size_t cap);
/* Whether it keeps an append-only file for sure, by its own file. */
bool dr_red_appends(const struct dr_local_server *s);
/* red_kept.c: before a data folder is moved aside, copies of what in it is no data: the server's own file, what that names, of a
 * cluster's node the file by which the cluster knows it; and after that, or before a start: what is missing of them. */
DR_MUST_USE enum dr_err dr_red_keep(const struct dr_local_server *s, bool cluster, struct dr_error *e);
DR_MUST_USE enum dr_err dr_red_put_back(const char *data_dir, struct dr_error *e);
void dr_red_tidy(const struct dr_local_server *s);
void dr_red_option(struct dr_local_command *c, const char *name, const char *value);

#endif
