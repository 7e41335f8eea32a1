/* my_local.c -- a MariaDB or MySQL on this host, as the supervisor needs it (local.h).
 *
 * Every start of ours comes up read-only and receives from nobody, so no mark is needed for it.  For a start by somebody
 * else the server's own files must say the same (config_file in the node file). */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/shell/local.h"
#include "base/buf.h"
#include "sys/file.h"
#include "sys/proc.h"

enum { OPTIONS_MAX = 256 << 10 };

static enum dr_err find(const char *program, const char *data_dir, struct dr_proc_id *out, struct dr_error *e)
{
	struct dr_proc_id some[8];
	char path[DR_PATH_MAX];
	size_t n = 0;
	*out = (struct dr_proc_id){ 0 };
	enum dr_err rv = dr_proc_tree(NULL, data_dir, program, some, 8, &n, e);
	if (rv != DR_OK && rv != DR_E_FULL)
		return rv;
	/* What it started works there as well. */
	for (size_t i = 0; i < n && i < 8; i++) {
		const char *name = dr_proc_exe(some[i].pid, path, sizeof(path), e) == DR_OK ? strrchr(path, '/') : NULL;
		if (name != NULL && strcmp(name + 1, program) == 0) {
			*out = some[i];
			return DR_OK;
		}
	}
	return dr_fail(e, DR_E_NOT_FOUND, "no %s works on %s", program, data_dir);
}

static enum dr_err find_mariadbd(const char *data_dir, struct dr_proc_id *out, struct dr_error *e)
{
	return find("mariadbd", data_dir, out, e);
}

static enum dr_err find_mysqld(const char *data_dir, struct dr_proc_id *out, struct dr_error *e)
{
	return find("mysqld", data_dir, out, e);
}

static enum dr_err mark_standby(const char *data_dir, struct dr_error *e)
{
	(void)data_dir;
	(void)e;
	return DR_OK;
}

static bool is_marked(const char *data_dir)
{
	(void)data_dir;
	return true;
}

/* Sections of an option file that a server reads; what the file says last there counts. */
enum section { OTHERS, PERHAPS /* of one version alone */, OWN };

static enum section section_of(const char *line, const char *const *own)
{
	static const char *const of_versions[] = { "mysqld-", "mariadb-", "mariadbd-", "galera" };
	size_t n = strcspn(line, "]\r\n");

	for (; *own != NULL; own++) {
		if (strlen(*own) == n && strncasecmp(line, *own, n) == 0)
			return OWN;
	}
	for (size_t i = 0; i < sizeof(of_versions) / sizeof(of_versions[0]); i++) {
		if (strncasecmp(line, of_versions[i], strlen(of_versions[i])) == 0)
			return PERHAPS;
	}
	return OTHERS;
}

/* Move behind a word at *at, with '-' for '_'. */
static bool skip_word(const char **at, const char *word)
{
	const char *p = *at;
	for (; *word != '\0'; p++, word++) {
		if (strncasecmp(*p == '-' ? "_" : p, word, 1) != 0)
			return false;
	}
	*at = p;
	return true;
}

/* "read_only", "read-only = 1", "loose_read_only=ON"; false: the line says nothing of it. */
static bool says(const char *line, const char *word, bool *on)
{
	static const char *const yes[] = { "1", "on", "true" };

	(void)skip_word(&line, "loose_");
	bool off = skip_word(&line, "skip_") || skip_word(&line, "disable_");
	(void)skip_word(&line, "enable_");
	if (!skip_word(&line, word))
		return false;
	line += strspn(line, " \t");
	*on = !off && strchr("\r\n#", *line) != NULL; /* it ends there, too */
	if (*on || off)
		return true;
	if (*line != '=')
		return false;
	line += 1 + strspn(line + 1, " \t\"'");
	size_t n = strcspn(line, " \t\r\n\"'#");
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		*on = *on || (strlen(yes[i]) == n && strncasecmp(line, yes[i], n) == 0);
	return true;
}

/* An included file may say anything: what counts stands behind it.  *undone: the line that takes back what was said before, or
 * may do so; 0: none. */
static bool is_read_only(const char *text, const char *const *own, const char *const *words, unsigned *undone)
{
	enum section at = OTHERS;
	bool said[2] = { false }, on;
	unsigned number = 1;

	*undone = 0;
	for (const char *line = text; line != NULL; number++) {
		bool before = said[0] || said[1];
		line += strspn(line, " \t");
		if (*line == '[')
			at = section_of(line + 1, own);
		if (*line == '!')
			said[0] = said[1] = false;
		for (int i = 0; i < 2 && words[i] != NULL && at != OTHERS; i++) {
			if (says(line, words[i], &on) && (at == OWN || !on))
				said[i] = on;
		}
		if (before && !said[0] && !said[1])
			*undone = number;
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	return said[0] || said[1];
}

/* Somebody else may start it, as systemd does with a server that was killed. */
static enum dr_err check_file(const struct dr_local_server *s, const char *const *own, const char *const *words,
			      struct dr_error *e)
{
	struct dr_buf b;
	unsigned undone = 0;
	if (s->config_file[0] == '\0')
		return dr_fail(e, DR_E_REFUSED, "no config_file in the node file: a start by anybody else must come up with"
						" read_only, and that file is where it says so");
	dr_buf_init(&b, OPTIONS_MAX);
	enum dr_err rv = dr_file_read(s->config_file, &b, e);
	dr_buf_put_u8(&b, 0);
	if (rv == DR_OK && !dr_buf_ok(&b))
		rv = dr_fail(e, DR_E_RANGE, "%s is too long", s->config_file);
	bool good = rv == DR_OK && is_read_only((const char *)b.data, own, words, &undone);
	dr_buf_close(&b);
	if (rv != DR_OK || good)
		return rv;
	if (undone > 0)
		return dr_fail(e, DR_E_REFUSED, "%s, line %u: this, or what it includes, may take back the read_only = 1 before it,"
						" and a start by anybody else would take writes. End the file with [%s] and"
						" read_only = 1", s->config_file, undone, own[0]);
	return dr_fail(e, DR_E_REFUSED, "%s does not say read_only = 1 (files that it includes are not looked at): a start by"
					" anybody else would take writes. End it with [%s] and read_only = 1",
		       s->config_file, own[0]);
}

static enum dr_err may_take_mariadb(const struct dr_local_server *s, struct dr_error *e)
{
	static const char *const own[] = { "mariadbd", "mariadb", "mysqld", "server", "client-server", NULL };
	static const char *const words[2] = { "read_only" };
	return check_file(s, own, words, e);
}

/* Its super_read_only brings read_only with it. */
static enum dr_err may_take_mysql(const struct dr_local_server *s, struct dr_error *e)
{
	static const char *const own[] = { "mysqld", "server", NULL };
	static const char *const words[2] = { "read_only", "super_read_only" };
	return check_file(s, own, words, e);
}

/* Both make it first, and a copy that is not whole never stands there. */
static bool has_data(const char *data_dir)
{
	char path[DR_PATH_MAX + 16];
	(void)snprintf(path, sizeof(path), "%s/ibdata1", data_dir);
	return access(path, F_OK) == 0;
}

static void tidy(const struct dr_local_server *s)
{
	(void)s;
}

static void command(const struct dr_local_server *s, const char *program, struct dr_local_command *c)
{
	dr_command_arg(c, "%s/%s", s->bin_dir, program);
	/* Must be the first. */
	if (s->config_file[0] != '\0')
		dr_command_arg(c, "--defaults-file=%s", s->config_file);
	else
		dr_command_arg(c, "--no-defaults");
	/* A log by another name than before would be a new one, and what the old one holds would not be recovered. */
	if (s->config_file[0] == '\0')
		dr_command_arg(c, "--log-bin=binlog");
	dr_command_arg(c, "--datadir=%s", s->data_dir);
	dr_command_arg(c, "--server-id=%u", s->server_id);
	dr_command_arg(c, "--read-only=1");
	/* Probes of one that hangs end before it has said a word: it is not to shut us out for that. */
	dr_command_arg(c, "--max-connect-errors=4294967295");
	/* They run where the primary is: once it is one. */
	dr_command_arg(c, "--event-scheduler=OFF");
	if (s->listen_host[0] != '\0') {
		dr_command_arg(c, "--bind-address=%s", s->listen_host);
		dr_command_arg(c, "--port=%u", s->listen_port);
	}
	if (s->socket_dir[0] != '\0')
		dr_command_arg(c, "--socket=%s", s->socket_dir);
}

static void command_mariadbd(const struct dr_local_server *s, struct dr_local_command *c)
{
	command(s, "mariadbd", c);
	dr_command_arg(c, "--log-slave-updates=1");
	dr_command_arg(c, "--gtid-strict-mode=1");
	dr_command_arg(c, "--skip-slave-start");
	/* What was acknowledged outlives a power cut, in the log and in the data alike. */
	dr_command_arg(c, "--sync-binlog=1");
	dr_command_arg(c, "--innodb-flush-log-at-trx-commit=1");
	dr_command_arg(c, "--master-retry-count=4294967295");
	dr_command_arg(c, "--slave-net-timeout=4");
	/* It waits for nobody and acknowledges to nobody until it is told; how it knows that it was: semisync.c of its adapter. */
	dr_command_arg(c, "--rpl-semi-sync-master-enabled=0");
	dr_command_arg(c, "--rpl-semi-sync-slave-enabled=0");
	dr_command_arg(c, "--rpl-semi-sync-slave-kill-conn-timeout=5");
}

static void command_mysqld(const struct dr_local_server *s, struct dr_local_command *c)
{
	command(s, "mysqld", c);
	dr_command_arg(c, "--super-read-only=1");
	dr_command_arg(c, "--gtid-mode=ON");
	dr_command_arg(c, "--enforce-gtid-consistency=ON");
	dr_command_arg(c, "--sync-binlog=1");
	dr_command_arg(c, "--innodb-flush-log-at-trx-commit=1");
	/* What a new copy is made by. */
	dr_command_arg(c, "--plugin-load-add=mysql_clone.so");
	/* What durability: sync takes; likewise. */
	dr_command_arg(c, "--plugin-load-add=semisync_source.so");
	dr_command_arg(c, "--plugin-load-add=semisync_replica.so");
	dr_command_arg(c, "--loose-rpl-semi-sync-source-enabled=0");
	dr_command_arg(c, "--loose-rpl-semi-sync-replica-enabled=0");
	dr_command_arg(c, "--loose-rpl-semi-sync-replica-trace-level=32");
	/* 8.0.26 renamed it. */
	dr_command_arg(c, "--loose-skip-replica-start");
	dr_command_arg(c, "--loose-skip-slave-start");
	dr_command_arg(c, "--loose-replica-net-timeout=4");
}

const struct dr_local_kind dr_mariadb_local = {
	.program = "mariadbd",
	.own = { "mariadbd" },
	.tool = { "mariabackup", "mbstream" },
	.ends_waits = true,
	.fast = SIGTERM,
	.find = find_mariadbd,
	.mark_standby = mark_standby,
	.is_marked = is_marked,
	.may_take = may_take_mariadb,
	.tidy = tidy,
	.has_data = has_data,
	.command = command_mariadbd,
};

const struct dr_local_kind dr_mysql_local = {
	.program = "mysqld",
	.own = { "mysqld" },
	.ends_waits = true,
	.fast = SIGTERM,
	.find = find_mysqld,
	.mark_standby = mark_standby,
	.is_marked = is_marked,
	.may_take = may_take_mysql,
	.tidy = tidy,
	.has_data = has_data,
	.command = command_mysqld,
};
