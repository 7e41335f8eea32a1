/* redc_local.c -- a node of a Redis Cluster on this host, as the supervisor needs it (local.h, docs/decisions/0018).
 *
 * A node that starts is a master of its slots if it was one, and a cluster's node can't be told to replicate from nowhere.  So
 * every start has its brakes on: it acknowledges no write, receives nothing, gives nobody a full copy, promotes itself never. */
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "agent/shell/red_local.h"

/* adapters/redis/cluster.h has the same, as commands. */
static const struct {
	const char *name, *value, *or_name;
} brakes[] = {
	{ "min-replicas-to-write", "1000000", "min-slaves-to-write" },
	{ "min-replicas-max-lag", "10", "min-slaves-max-lag" },
	{ "masteruser", "drcoord-nobody", NULL },
	{ "masterauth", "drcoord-nobody", NULL },
	{ "repl-diskless-sync", "yes", NULL },
	{ "repl-diskless-sync-delay", "1000000000", NULL },
	{ "cluster-replica-no-failover", "yes", "cluster-slave-no-failover" },
	{ "cluster-allow-replica-migration", "no", NULL },
};

enum { BRAKES = sizeof(brakes) / sizeof(brakes[0]) };

/* Somebody else may start it, as systemd does with a server that was killed. */
static enum dr_err may_take(const struct dr_local_server *s, struct dr_error *e)
{
	char rest[128] = "";
	struct dr_buf b;
	if (s->config_file[0] == '\0')
		return dr_fail(e, DR_E_REFUSED, "no config_file in the node file: a start by anybody else must come up with its"
						" brakes on, and that file is where it says so");
	enum dr_err rv = dr_red_config(s, &b, e);
	for (size_t i = 0; rv == DR_OK && i < BRAKES; i++) {
		bool said = dr_red_ends_in((const char *)b.data, brakes[i].name, brakes[i].or_name, rest, sizeof(rest));
		if (!said || strcasecmp(rest, brakes[i].value) != 0)
			rv = dr_fail(e, DR_E_REFUSED, "%s does not end in %s %s, behind all that it includes: a start by anybody"
						      " else could take writes, or empty its replicas", s->config_file,
				     brakes[i].name, brakes[i].value);
	}
	dr_buf_close(&b);
	return rv;
}

static void command(const struct dr_local_server *s, struct dr_local_command *c)
{
	dr_command_arg(c, "%s/redis-server", s->bin_dir);
	if (s->config_file[0] != '\0')
		dr_command_arg(c, "%s", s->config_file);
	else
		dr_red_option(c, "appendonly", "yes");
	dr_red_option(c, "dir", s->data_dir);
	dr_red_option(c, "daemonize", "no");
	dr_red_option(c, "cluster-enabled", "yes");
	for (size_t i = 0; i < BRAKES; i++)
		dr_red_option(c, brakes[i].name, brakes[i].value);
	if (dr_red_appends(s))
		dr_red_option(c, "shutdown-on-sigterm", "nosave");
	if (s->listen_host[0] != '\0') {
		dr_red_option(c, "bind", s->listen_host);
		dr_command_arg(c, "--port");
		dr_command_arg(c, "%u", s->listen_port);
	}
}

const struct dr_local_kind dr_redis_cluster_local = {
	.program = DR_REDIS_PROGRAMS,
	.own = { "redis-server" },
	.fast = SIGTERM,
	.find = dr_red_find_redis,
	.mark_standby = dr_red_mark_standby,
	.is_marked = dr_red_is_marked,
	.may_take = may_take,
	.tidy = dr_red_tidy,
	.command = command,
};
