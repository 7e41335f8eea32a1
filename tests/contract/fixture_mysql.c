/* fixture_mysql.c -- the adapter of MySQL and MariaDB under contract: two MariaDB servers on loopback (or two of MySQL), run
 * as user nobody, with the accounts of setup.sql.  The order of the steps is the order of a life: the standby is promoted last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "contract.h"

#define USER "nobody"

struct server {
	const char *member;
	struct dr_address at;
	pid_t pid;
};

static const char *root; /* of a MySQL (tools/mysql-root); NULL: MariaDB */
static struct rig_dir dir;
static struct server primary = { .member = "my-a" }, standby = { .member = "my-b" };

static void run(char *const argv[])
{
	if (rig_command(&dir, "log", USER, argv) != 0)
		fail_msg("%s failed: see %s/log", argv[0], dir.path);
}

/* An init-file of MySQL's must not have comments, those of versions included. */
static void put_statement(FILE *to, char *text)
{
	static const char ours[] = "/*!80";
	char *end = strstr(text, "*/");
	if (root != NULL && strncmp(text, "/*M!", 4) == 0)
		return;
	if (root != NULL && strncmp(text, ours, sizeof(ours) - 1) == 0 && end != NULL) {
		*end = '\0';
		text = strchr(text, ' ');
		(void)fprintf(to, "%s;\n", text);
		return;
	}
	(void)fprintf(to, "%s\n", text);
}

/* The same accounts and tables on both, outside their logs. */
static void write_setup(char *path, size_t cap)
{
	char line[512];
	(void)snprintf(path, cap, "%s/setup.sql", dir.path);
	FILE *from = fopen(SETUP_SQL, "r"), *to = fopen(path, "w");
	assert_non_null(from);
	assert_non_null(to);
	(void)fputs("SET sql_log_bin = 0;\n", to);
	/* One statement a line is all that --init-file takes before MariaDB 11. */
	char joined[2048] = "";
	while (fgets(line, sizeof(line), from) != NULL) {
		if (strncmp(line, "--", 2) == 0 || line[0] == '\n')
			continue;
		line[strcspn(line, "\n")] = ' ';
		assert_true(strlen(joined) + strlen(line) < sizeof(joined));
		memcpy(joined + strlen(joined), line, strlen(line) + 1);
		if (strchr(line, ';') != NULL) {
			/* That row is the primary's to write, and what makes the two one service. */
			if (strstr(joined, "INTO drcoord.identity") == NULL)
				put_statement(to, joined);
			joined[0] = '\0';
		}
	}
	(void)fclose(from);
	(void)fclose(to);
}

enum { ARGS_MAX = 32 };

/* A command line that grows. */
struct words {
	char *argv[ARGS_MAX + 1];
	char text[ARGS_MAX][320];
	unsigned n;
};

DR_PRINTF(2, 3)
static void word(struct words *w, const char *fmt, ...)
{
	va_list ap;
	assert_true(w->n < ARGS_MAX);
	va_start(ap, fmt);
	(void)vsnprintf(w->text[w->n], sizeof(w->text[0]), fmt, ap);
	va_end(ap);
	w->argv[w->n] = w->text[w->n];
	w->argv[++w->n] = NULL;
}

static void own_words(struct words *w)
{
	if (root != NULL) {
		word(w, "--basedir=%s/usr", root);
		word(w, "--gtid-mode=ON");
		word(w, "--enforce-gtid-consistency=ON");
		word(w, "--skip-replica-start");
		word(w, "--secure-file-priv=NULL");
		word(w, "--mysqlx=OFF");
		word(w, "--plugin-load-add=mysql_clone.so");
		word(w, "--plugin-load-add=semisync_source.so");
		word(w, "--plugin-load-add=semisync_replica.so");
	} else {
		word(w, "--log-slave-updates=1");
		word(w, "--gtid-strict-mode=1");
		word(w, "--skip-slave-start");
	}
}

static void server_program(char *path, size_t cap)
{
	if (root != NULL)
		(void)snprintf(path, cap, "%s/usr/sbin/mysqld", root);
	else
		assert_true(rig_find("mariadbd", path, cap));
}

static bool is_ready(const char *log, unsigned servers)
{
	char line[1024];
	unsigned seen = 0;
	FILE *f = fopen(log, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		seen += strstr(line, "ready for connections") != NULL ? 1 : 0;
	(void)fclose(f);
	return seen >= servers;
}

/* They take connections before they have carried out the init-file; all write to one log. */
static void wait_ready(unsigned servers)
{
	char path[128];
	uint64_t until = rig_now_ms() + 20000;
	(void)snprintf(path, sizeof(path), "%s/log", dir.path);
	while (!is_ready(path, servers)) {
		if (rig_now_ms() > until)
			fail_msg("not ready: see %s", path);
		(void)usleep(10000);
	}
}

static void launch(struct server *s, unsigned id, const char *setup)
{
	struct words w = { .n = 0 };
	char path[256];
	server_program(path, sizeof(path));
	word(&w, "%s", path);
	word(&w, "--no-defaults");
	word(&w, "--datadir=%s/%s", dir.path, s->member);
	word(&w, "--port=%u", s->at.port);
	word(&w, "--socket=%s/%s.sock", dir.path, s->member);
	word(&w, "--server-id=%u", id);
	word(&w, "--init-file=%s", setup);
	word(&w, "--read-only=%u", id - 1);
	word(&w, "--pid-file=%s/%s.pid", dir.path, s->member);
	word(&w, "--bind-address=127.0.0.1");
	word(&w, "--log-bin=binlog");
	word(&w, "--skip-name-resolve");
	word(&w, "--innodb-buffer-pool-size=16M");
	word(&w, "--innodb-flush-log-at-trx-commit=0");
	own_words(&w);
	s->pid = rig_spawn(&dir, "log", USER, w.argv);
	rig_wait_port(s->at.port);
	wait_ready(id);
}

static void install(const char *program, const char *member)
{
	struct words w = { .n = 0 };
	word(&w, "%s", program);
	word(&w, "--no-defaults");
	if (root != NULL) {
		word(&w, "--basedir=%s/usr", root);
		word(&w, "--initialize-insecure");
	} else {
		word(&w, "--auth-root-authentication-method=normal");
		word(&w, "--skip-test-db");
	}
	word(&w, "--datadir=%s/%s", dir.path, member);
	run(w.argv);
}

static bool find_install(char *program, size_t cap)
{
	if (root != NULL) {
		server_program(program, cap);
		if (access(program, X_OK) != 0)
			fail_msg("DRCOORD_MYSQL_ROOT: no %s", program);
		return true;
	}
	char daemon[256];
	bool there = rig_find("mariadb-install-db", program, cap) && rig_find("mariadbd", daemon, sizeof(daemon));
	if (!there)
		printf("MariaDB is not installed (package mariadb-server-core)\n");
	return there;
}

static bool make_servers(void)
{
	char setup[160], program[256];
	if (!find_install(program, sizeof(program)))
		return false;
	rig_dir_make(&dir, USER);
	write_setup(setup, sizeof(setup));
	for (unsigned i = 0; i < 2; i++) {
		struct server *s = i == 0 ? &primary : &standby;
		(void)dr_copy_text(s->at.host, sizeof(s->at.host), "127.0.0.1");
		s->at.port = rig_free_port();
		install(program, s->member);
		launch(s, i + 1, setup);
	}
	return true;
}

/* MariaDB's copies are its agent's to make. */
static bool lacks(enum dr_op_kind kind)
{
	return kind == DR_OP_COPIED;
}

static bool start(struct contract_step *steps, unsigned *n)
{
	static const struct {
		enum dr_op_kind kind;
		struct server *on;
	} life[] = {
		{ DR_OP_PROBE, &primary },     { DR_OP_PROBE_WRITE, &primary }, { DR_OP_POSITIONS, &primary },
		{ DR_OP_SIGNED, &primary },    { DR_OP_TENDED, &primary },      { DR_OP_FOLLOWING, &standby },
		{ DR_OP_COMPARED, &standby },  { DR_OP_ERRANT, &standby },      { DR_OP_COPIED, &standby },
		{ DR_OP_ACKING, &standby },    { DR_OP_SYNC_SET, &primary },    { DR_OP_PROBE_WRITE, &primary },
		{ DR_OP_FROZEN, &standby },    { DR_OP_WRITABLE, &standby },    { DR_OP_SYNC_SET, &standby },
		{ DR_OP_CLOSED, &standby },
	};
	if (!make_servers())
		return false;
	*n = 0;
	for (unsigned i = 0; i < sizeof(life) / sizeof(life[0]); i++) {
		if (root == NULL && lacks(life[i].kind))
			continue;
		struct contract_step *st = &steps[(*n)++];
		bool probes = life[i].kind == DR_OP_PROBE || life[i].kind == DR_OP_PROBE_WRITE || life[i].kind == DR_OP_POSITIONS;
		st->kind = life[i].kind;
		st->at = life[i].on->at;
		st->pid = life[i].on->pid;
		st->deadline_ms = 20000;
		st->target.address = st->at;
		assert_true(dr_name_set(&st->target.service, "orders"));
		assert_true(dr_name_set(&st->target.member, life[i].on->member));
		(void)dr_copy_text(st->target.user, sizeof(st->target.user), probes ? "drcoord" : "drcoord_agent");
		(void)dr_copy_text(st->target.replication_user, sizeof(st->target.replication_user), "replicator");
		assert_true(dr_name_set(&st->args.self, life[i].on->member));
		assert_true(dr_name_set(&st->args.primary, primary.member));
		st->args.primary_at = primary.at;
		(void)snprintf(st->args.folder, sizeof(st->args.folder), "%s/copy", dir.path);
		st->args.epoch = life[i].kind == DR_OP_SIGNED ? 2 : 3;
		st->args.local_commit = true;
		/* The first primary waits for the standby, until that receives no more. */
		bool waits = life[i].kind == DR_OP_SYNC_SET && life[i].on == &primary;
		st->args.k = waits || life[i].kind == DR_OP_ACKING ? 1 : 0;
	}
	return true;
}

static void stop(void)
{
	rig_stop(&standby.pid, SIGKILL);
	rig_stop(&primary.pid, SIGKILL);
	rig_dir_remove(&dir);
}

static void aim(struct dr_target *t, const struct dr_address *at)
{
	t->address = *at;
}

static bool start_mysql(struct contract_step *steps, unsigned *n)
{
	root = getenv("DRCOORD_MYSQL_ROOT");
	return start(steps, n);
}

const struct contract_fixture contract_mysql = { .start = start, .stop = stop, .aim = aim, .lacks = lacks };
const struct contract_fixture contract_real_mysql = { .start = start_mysql, .stop = stop, .aim = aim };
