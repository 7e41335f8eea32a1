/* red_local.c -- a Redis or Valkey on this host, as the supervisor needs it (local.h).
 *
 * Every start of ours comes up as a replica of nobody: it takes no writes, and gives nothing to whoever would replicate from
 * it, so that one that lost its data can't empty the others.  For a start by somebody else the server's own file must say the
 * same (config_file in the node file). */
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "agent/shell/red_local.h"
#include "sys/file.h"
#include "sys/proc.h"

#define VALKEY "valkey-server|valkey-check-rdb"

enum { CONFIG_BYTES_MAX = 256 << 10, FOUND_MAX = 16 };

/* The one among them that none of them has forked. */
static bool is_first(const struct dr_proc_id *one, const struct dr_proc_id *some, size_t n)
{
	struct dr_proc_stat st;
	if (dr_proc_stat(one->pid, &st, NULL) != DR_OK)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (some[i].pid == st.parent)
			return false;
	}
	return true;
}

static enum dr_err find(const char *programs, const char *data_dir, struct dr_proc_id *out, struct dr_error *e)
{
	struct dr_proc_id some[FOUND_MAX];
	char path[DR_PATH_MAX];
	size_t n = 0;
	*out = (struct dr_proc_id){ 0 };
	enum dr_err rv = dr_proc_tree(NULL, data_dir, programs, some, FOUND_MAX, &n, e);
	if (rv != DR_OK && rv != DR_E_FULL)
		return rv;
	for (size_t i = 0; i < n && i < FOUND_MAX; i++) {
		if (dr_proc_exe(some[i].pid, path, sizeof(path), e) == DR_OK && dr_proc_is_one_of(path, programs) &&
		    is_first(&some[i], some, n < FOUND_MAX ? n : FOUND_MAX)) {
			*out = some[i];
			return DR_OK;
		}
	}
	return dr_fail(e, DR_E_NOT_FOUND, "no %.*s works on %s", (int)strcspn(programs, "|"), programs, data_dir);
}

enum dr_err dr_red_find_redis(const char *data_dir, struct dr_proc_id *out, struct dr_error *e)
{
	return find(DR_REDIS_PROGRAMS, data_dir, out, e);
}

static enum dr_err find_valkey(const char *data_dir, struct dr_proc_id *out, struct dr_error *e)
{
	return find(VALKEY, data_dir, out, e);
}

enum dr_err dr_red_mark_standby(const char *data_dir, struct dr_error *e)
{
	(void)data_dir;
	(void)e;
	return DR_OK;
}

bool dr_red_is_marked(const char *data_dir)
{
	(void)data_dir;
	return true;
}

/* "replicaof 127.0.0.1 0"; "" where it is too long. */
bool dr_red_directive(const char *line, const char *word, char *rest, size_t cap)
{
	size_t n = strlen(word), out = 0;
	line += strspn(line, " \t");
	if (strncasecmp(line, word, n) != 0 || (line[n] != ' ' && line[n] != '\t'))
		return false;
	for (const char *p = line + n; *p != '\0' && *p != '\n' && *p != '\r' && out + 2 < cap;) {
		p += strspn(p, " \t\"");
		size_t len = strcspn(p, " \t\"\r\n");
		if (len == 0)
			break;
		if (out + len + 2 >= cap) { /* no value that anybody asks for is so long */
			rest[0] = '\0';
			return true;
		}
		if (out > 0)
			rest[out++] = ' ';
		memcpy(rest + out, p, len);
		out += len;
		p += len;
	}
	rest[out] = '\0';
	return true;
}

/* What the file says last of a directive counts; false when it says nothing. */
bool dr_red_says(const char *text, const char *word, const char *or_word, char *rest, size_t cap)
{
	bool found = false;
	for (const char *line = text; line != NULL;) {
		found = dr_red_directive(line, word, rest, cap) ||
			(or_word != NULL && dr_red_directive(line, or_word, rest, cap)) || found;
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	return found;
}

bool dr_red_ends_in(const char *text, const char *word, const char *or_word, char *rest, size_t cap)
{
	const char *behind = text;
	char file[2] = "";
	for (const char *line = text; line != NULL;) {
		const char *end = strchr(line, '\n');
		bool includes = dr_red_directive(line, "include", file, sizeof(file));
		line = end != NULL ? end + 1 : NULL;
		if (includes)
			behind = line;
	}
	return behind != NULL && dr_red_says(behind, word, or_word, rest, cap);
}

enum dr_err dr_red_config(const struct dr_local_server *s, struct dr_buf *b, struct dr_error *e)
{
	dr_buf_init(b, CONFIG_BYTES_MAX);
	enum dr_err rv = dr_file_read(s->config_file, b, e);
	dr_buf_put_u8(b, 0);
	return rv == DR_OK && !dr_buf_ok(b) ? dr_fail(e, DR_E_RANGE, "%s is too long", s->config_file) : rv;
}

/* Somebody else may start it, as systemd does with a server that was killed. */
static enum dr_err may_take(const struct dr_local_server *s, struct dr_error *e)
{
	char rest[128] = "";
	struct dr_buf b;
	if (s->config_file[0] == '\0')
		return dr_fail(e, DR_E_REFUSED, "no config_file in the node file: a start by anybody else must come up as a"
						" replica of nobody, and that file is where it says so");
	enum dr_err rv = dr_red_config(s, &b, e);
	bool fenced = rv == DR_OK && dr_red_ends_in((const char *)b.data, "replicaof", "slaveof", rest, sizeof(rest)) &&
		      strcmp(rest, "127.0.0.1 0") == 0;
	dr_buf_close(&b);
	if (rv != DR_OK || fenced)
		return rv;
	return dr_fail(e, DR_E_REFUSED, "%s does not end in replicaof 127.0.0.1 0, behind all that it includes: a start by anybody"
					" else would take writes, and could empty its replicas", s->config_file);
}

/* A move that ended midway may have left copies beside, and none in the folder. */
void dr_red_tidy(const struct dr_local_server *s)
{
	dr_best_effort(dr_red_put_back(s->data_dir, NULL));
}

/* A stop writes a dump only where there is no append-only file: that one is whole already.  Where an included file may say
 * otherwise the server does what it is told there. */
bool dr_red_appends(const struct dr_local_server *s)
{
	char rest[128] = "";
	struct dr_buf b;
	if (s->config_file[0] == '\0')
		return true;
	bool yes = dr_red_config(s, &b, NULL) == DR_OK &&
		   dr_red_ends_in((const char *)b.data, "appendonly", NULL, rest, sizeof(rest)) &&
		   strcasecmp(rest, "yes") == 0;
	dr_buf_close(&b);
	return yes;
}

void dr_red_option(struct dr_local_command *c, const char *name, const char *value)
{
	dr_command_arg(c, "--%s", name);
	dr_command_arg(c, "%s", value);
}

static void command(const struct dr_local_server *s, const char *program, struct dr_local_command *c)
{
	dr_command_arg(c, "%s/%s", s->bin_dir, program);
	if (s->config_file[0] != '\0')
		dr_command_arg(c, "%s", s->config_file);
	else
		dr_red_option(c, "appendonly", "yes");
	dr_red_option(c, "dir", s->data_dir);
	dr_red_option(c, "replicaof", "127.0.0.1 0");
	dr_red_option(c, "daemonize", "no");
	/* Reads are answered while the source is away, our own among them. */
	dr_red_option(c, "replica-serve-stale-data", "yes");
	if (dr_red_appends(s))
		dr_red_option(c, "shutdown-on-sigterm", "nosave");
	if (s->tls) {
		dr_red_option(c, "tls-replication", "yes");
		dr_red_option(c, "port", "0"); /* what else would be said would be said in the clear */
	}
	if (s->listen_host[0] != '\0') {
		dr_red_option(c, "bind", s->listen_host);
		dr_command_arg(c, s->tls ? "--tls-port" : "--port");
		dr_command_arg(c, "%u", s->listen_port);
	}
}

static void command_redis(const struct dr_local_server *s, struct dr_local_command *c)
{
	command(s, "redis-server", c);
}

static void command_valkey(const struct dr_local_server *s, struct dr_local_command *c)
{
	command(s, "valkey-server", c);
}

const struct dr_local_kind dr_redis_local = {
	.program = DR_REDIS_PROGRAMS,
	.own = { "redis-server" },
	.fast = SIGTERM,
	.find = dr_red_find_redis,
	.mark_standby = dr_red_mark_standby,
	.is_marked = dr_red_is_marked,
	.may_take = may_take,
	.tidy = dr_red_tidy,
	.command = command_redis,
};

const struct dr_local_kind dr_valkey_local = {
	.program = VALKEY,
	.own = { "valkey-server" },
	.fast = SIGTERM,
	.find = find_valkey,
	.mark_standby = dr_red_mark_standby,
	.is_marked = dr_red_is_marked,
	.may_take = may_take,
	.tidy = dr_red_tidy,
	.command = command_valkey,
};
