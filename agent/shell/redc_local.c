/* redc_local.c -- a node of a Redis Cluster on this host, as the supervisor needs it (local.h, docs/decisions/0018).
 *
 * A node that starts is a master of its slots if it was one, and a cluster's node can't be told to replicate from nowhere.  So
 * every start has its brakes on: it acknowledges no write, receives nothing, gives nobody a full copy, promotes itself never. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shell/jobs_own.h"
#include "agent/shell/red_local.h"
#include "base/parse.h"
#include "sys/file.h"

enum { NODES_BYTES_MAX = 4 << 20, NODES_NAME_MAX = 128 };

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
		bool said = dr_red_says((const char *)b.data, brakes[i].name, brakes[i].or_name, rest, sizeof(rest));
		if (!said || strcasecmp(rest, brakes[i].value) != 0)
			rv = dr_fail(e, DR_E_REFUSED, "%s does not end in %s %s: a start by anybody else could take writes, or"
						      " empty its replicas", s->config_file, brakes[i].name, brakes[i].value);
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

/* ---- aside: all but the file by which the cluster knows the node */

/* Where it is; false: not in the data folder, so nothing moves it. */
static bool nodes_file(const struct dr_local_server *s, char name[NODES_NAME_MAX])
{
	struct dr_buf b;
	(void)dr_copy_text(name, NODES_NAME_MAX, "nodes.conf");
	if (s->config_file[0] == '\0')
		return true;
	if (dr_red_config(s, &b, NULL) == DR_OK &&
	    !dr_red_says((const char *)b.data, "cluster-config-file", NULL, name, NODES_NAME_MAX))
		(void)dr_copy_text(name, NODES_NAME_MAX, "nodes.conf");
	dr_buf_close(&b);
	return strchr(name, '/') == NULL;
}

/* Whole or not at all; without a source there is nothing to copy. */
static enum dr_err copy_file(const char *from, const char *to, struct dr_error *e)
{
	struct dr_buf b;
	struct stat st;
	if (stat(from, &st) != 0)
		return errno == ENOENT ? DR_OK : dr_fail_errno(e, errno, "cannot look at %s", from);
	dr_buf_init(&b, NODES_BYTES_MAX);
	enum dr_err rv = dr_file_read(from, &b, e);
	if (rv == DR_OK)
		rv = dr_file_replace(to, b.data, b.len, st.st_mode & 07777, e);
	dr_buf_close(&b);
	if (rv == DR_OK && chown(to, st.st_uid, st.st_gid) != 0)
		rv = dr_fail_errno(e, errno, "cannot give %s to its owner", to);
	return rv;
}

/* Where the node's file is, and its copy beside the data folder while that moves.  NOT_FOUND: it lies elsewhere. */
static enum dr_err nodes_paths(const struct dr_local_server *s, char own[DR_PATH_MAX], char beside[DR_PATH_MAX], struct dr_error *e)
{
	char name[NODES_NAME_MAX];
	int len = (int)strlen(s->data_dir);
	while (len > 1 && s->data_dir[len - 1] == '/')
		len--;
	if (!nodes_file(s, name))
		return dr_fail(e, DR_E_NOT_FOUND, "cluster-config-file %s is not in %s", name, s->data_dir);
	int a = snprintf(own, DR_PATH_MAX, "%.*s/%s", len, s->data_dir, name);
	int b = snprintf(beside, DR_PATH_MAX, "%.*s.%s", len, s->data_dir, name);
	return a > 0 && a < DR_PATH_MAX && b < DR_PATH_MAX ? DR_OK : dr_fail(e, DR_E_RANGE, "the path %s is too long", s->data_dir);
}

static bool is_there(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0;
}

/* A node that starts without the file is a new one, which the cluster does not know. */
static enum dr_err put_back(const char *own, const char *beside, struct dr_error *e)
{
	enum dr_err rv = copy_file(beside, own, e);
	if (rv == DR_OK)
		(void)unlink(beside);
	return rv;
}

/* A move that ended midway may have left the copy beside, and none in the folder. */
static void tidy(const struct dr_local_server *s)
{
	char own[DR_PATH_MAX], beside[DR_PATH_MAX];
	if (nodes_paths(s, own, beside, NULL) == DR_OK && !is_there(own))
		(void)put_back(own, beside, NULL);
}

/* The copy beside is there before the folder moves: so a run that ended anywhere is taken up by the next. */
enum dr_err redc_job_aside(struct dr_job *job, struct dr_error *e)
{
	char own[DR_PATH_MAX], beside[DR_PATH_MAX];
	struct dr_local_server s = { .listen_port = 0 };
	(void)dr_copy_text(s.data_dir, sizeof(s.data_dir), job->local.data_dir);
	(void)dr_copy_text(s.config_file, sizeof(s.config_file), job->local.config_file);
	enum dr_err rv = nodes_paths(&s, own, beside, e);
	if (rv == DR_E_NOT_FOUND)
		return red_job_aside(job, e);
	if (rv == DR_OK && is_there(own))
		rv = copy_file(own, beside, e);
	if (rv == DR_OK)
		rv = red_job_aside(job, e);
	return rv == DR_OK ? put_back(own, beside, e) : rv;
}

const struct dr_local_kind dr_redis_cluster_local = {
	.program = DR_REDIS_PROGRAMS,
	.fast = SIGTERM,
	.find = dr_red_find_redis,
	.mark_standby = dr_red_mark_standby,
	.is_marked = dr_red_is_marked,
	.may_take = may_take,
	.tidy = tidy,
	.command = command,
};
