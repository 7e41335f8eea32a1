/* local.c -- see local.h. */
#include "agent/shell/local.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"

static const char *put(struct dr_local_command *c, const char *fmt, va_list ap)
{
	dr_assert(c->texts < DR_COMMAND_TEXTS);
	char *text = c->text[c->texts++];
	(void)vsnprintf(text, sizeof(c->text[0]), fmt, ap);
	return text;
}

void dr_command_arg(struct dr_local_command *c, const char *fmt, ...)
{
	va_list ap;
	dr_assert(c->args < DR_COMMAND_ARGS);
	va_start(ap, fmt);
	c->argv[c->args++] = put(c, fmt, ap);
	va_end(ap);
	c->argv[c->args] = NULL;
}

void dr_command_env(struct dr_local_command *c, const char *fmt, ...)
{
	va_list ap;
	dr_assert(c->envs < DR_COMMAND_ENVS);
	va_start(ap, fmt);
	c->env[c->envs++] = put(c, fmt, ap);
	va_end(ap);
	c->env[c->envs] = NULL;
}

const struct dr_local_kind *dr_local_kind(enum dr_kind kind)
{
	static const struct dr_local_kind *const kinds[DR_KIND_COUNT] = { [DR_KIND_POSTGRES] = &dr_pg_local,
									  [DR_KIND_MARIADB] = &dr_mariadb_local,
									  [DR_KIND_MYSQL] = &dr_mysql_local,
									  [DR_KIND_REDIS] = &dr_redis_local,
									  [DR_KIND_VALKEY] = &dr_valkey_local,
									  [DR_KIND_REDIS_CLUSTER] = &dr_redis_cluster_local };
	return (unsigned)kind < DR_KIND_COUNT ? kinds[kind] : NULL;
}
