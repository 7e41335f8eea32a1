/* pg_local.c -- a PostgreSQL on this host, as the supervisor needs it (local.h). */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/shell/jobs.h"
#include "agent/shell/local.h"
#include "agent/shell/pg_files.h"
#include "agent/shell/pg_final.h"
#include "sys/log.h"

/* A server would start on it, and might be chosen by somebody who accepts a loss. */
static enum dr_err may_start(const char *data_dir, struct dr_error *e)
{
	char rewinding[DR_PATH_MAX + 16];
	dr_job_beside(data_dir, "rewinding", rewinding, sizeof(rewinding));
	if (access(rewinding, F_OK) != 0)
		return DR_OK;
	return dr_fail(e, DR_E_REFUSED, "a rewind of %s was begun and not finished (%s): its files are a mixture, only a new copy "
		       "helps", data_dir, rewinding);
}

/* Nobody works on the data, so a pid file left there names nobody; PostgreSQL would refuse to start if
 * that pid were some other process of its account by now. */
static void drop_stale_pid(const struct dr_local_server *s)
{
	char path[DR_PATH_MAX + 20];
	(void)snprintf(path, sizeof(path), "%s/postmaster.pid", s->data_dir);
	if (unlink(path) == 0)
		dr_log(DR_LOG_INFO, "server.stale_pid", "server=%s", s->name);
}

static void command(const struct dr_local_server *s, struct dr_local_command *c)
{
	dr_command_arg(c, "%s/postgres", s->bin_dir);
	dr_command_arg(c, "-D");
	dr_command_arg(c, "%s", s->data_dir);
	if (s->listen_host[0] != '\0') {
		dr_command_arg(c, "--listen_addresses=%s", s->listen_host);
		dr_command_arg(c, "--port=%u", s->listen_port);
	}
	if (s->socket_dir[0] != '\0')
		dr_command_arg(c, "--unix_socket_directories=%s", s->socket_dir);
	/* Started anew by its postmaster after a backend's crash, a primary would find standby.signal and turn a standby: it
	 * ends, and its agent sees that at once. */
	dr_command_arg(c, "--restart_after_crash=off");
	dr_command_env(c, "LANG=C.UTF-8");
	/* If the kernel runs out of memory, it shall take a backend, not the postmaster's whole family. */
	dr_command_env(c, "PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj");
}

static enum dr_err read_final(const char *data_dir, struct dr_local_final *out, struct dr_error *e)
{
	struct dr_pg_final c;
	enum dr_err rv = dr_pg_final_read(data_dir, &c, e);
	*out = (struct dr_local_final){ 0 };
	if (rv == DR_OK && c.shut_down)
		*out = (struct dr_local_final){ .position = c.checkpoint, .timeline = c.timeline, .system_id = c.system_id };
	return rv;
}

static enum dr_err alone(const char *data_dir, struct dr_error *e)
{
	static const struct dr_pg_setting set[] = { { "primary_conninfo", "" }, { "primary_slot_name", "" },
						    { "synchronous_standby_names", "" },
						    { "recovery_target_timeline", "latest" } };
	return dr_pg_auto_conf(data_dir, set, sizeof(set) / sizeof(set[0]), e);
}

const struct dr_local_kind dr_pg_local = {
	.program = "postgres",
	.own = { "postgres", "pg_basebackup", "pg_controldata", "pg_rewind", "pg_waldump" },
	.mark = "standby.signal",
	.fast = SIGINT,
	.quick = SIGQUIT,
	.find = dr_pg_postmaster,
	.mark_standby = dr_pg_mark_standby,
	.unmark_standby = dr_pg_unmark_standby,
	.is_marked = dr_pg_is_marked,
	.may_start = may_start,
	.tidy = drop_stale_pid,
	.command = command,
	.final = read_final,
	.alone = alone,
};
