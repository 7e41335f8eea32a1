/* local.c -- see local.h. */
#include "agent/shell/local.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

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

void dr_local_tool(const char *bin_dir, const char *name, char *dst, size_t cap)
{
	static const char *const beside[] = { "", "/../bin", "/../../bin" };
	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		(void)snprintf(dst, cap, "%s%s/%s", bin_dir, beside[i], name);
		if (access(dst, X_OK) == 0)
			return;
	}
	(void)snprintf(dst, cap, "/usr/bin/%s", name);
}

void dr_local_lacks(const struct dr_local_kind *kind, const char *bin_dir, char *dst, size_t cap)
{
	char path[DR_PATH_MAX + 64];
	size_t at = 0;
	dst[0] = '\0';
	for (size_t i = 0; i < 2 * DR_LOCAL_PROGRAMS && at < cap; i++) {
		bool own = i < DR_LOCAL_PROGRAMS;
		const char *name = own ? kind->own[i] : kind->tool[i - DR_LOCAL_PROGRAMS];
		if (name == NULL)
			continue;
		if (own)
			(void)snprintf(path, sizeof(path), "%s/%s", bin_dir, name);
		else
			dr_local_tool(bin_dir, name, path, sizeof(path));
		if (access(path, X_OK) != 0)
			at += (size_t)snprintf(dst + at, cap - at, "%s%s", at > 0 ? ", " : "", name);
	}
	if (at > 0 && at < cap)
		(void)snprintf(dst + at, cap - at, " cannot be run from %s: install it, or mend `bin` in the agent's file",
			       bin_dir);
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
