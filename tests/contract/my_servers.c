/* my_servers.c -- see my_servers.h. */
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
#include "my_servers.h"

#define USER "nobody"

static void run(const struct my_servers *all, char *const argv[])
{
	if (rig_command(&all->dir, "log", USER, argv) != 0)
		fail_msg("%s failed: see %s/log", argv[0], all->dir.path);
}

/* An init-file of MySQL's must not have comments, those of versions included. */
static void put_statement(const struct my_servers *all, FILE *to, char *text)
{
	static const char ours[] = "/*!80";
	char *end = strstr(text, "*/");
	if (all->root != NULL && strncmp(text, "/*M!", 4) == 0)
		return;
	if (all->root != NULL && strncmp(text, ours, sizeof(ours) - 1) == 0 && end != NULL) {
		*end = '\0';
		text = strchr(text, ' ');
		(void)fprintf(to, "%s;\n", text);
		return;
	}
	(void)fprintf(to, "%s\n", text);
}

/* The same accounts and tables on both, outside their logs. */
static void write_setup(struct my_servers *all)
{
	char line[512];
	(void)snprintf(all->setup, sizeof(all->setup), "%s/setup.sql", all->dir.path);
	FILE *from = fopen(SETUP_SQL, "r"), *to = fopen(all->setup, "w");
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
				put_statement(all, to, joined);
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

static void own_words(const struct my_servers *all, struct words *w)
{
	if (all->root != NULL) {
		word(w, "--basedir=%s/usr", all->root);
		word(w, "--gtid-mode=ON");
		word(w, "--enforce-gtid-consistency=ON");
		word(w, "--skip-replica-start");
		word(w, "--secure-file-priv=NULL");
		word(w, "--mysqlx=OFF");
		word(w, "--plugin-load-add=mysql_clone.so");
		word(w, "--loose-clone-donor-timeout-after-network-failure=0"); /* of copies that the tests break off */
		word(w, "--plugin-load-add=semisync_source.so");
		word(w, "--plugin-load-add=semisync_replica.so");
	} else {
		word(w, "--log-slave-updates=1");
		word(w, "--gtid-strict-mode=1");
		word(w, "--skip-slave-start");
	}
}

static void server_program(const struct my_servers *all, char *path, size_t cap)
{
	if (all->root != NULL)
		(void)snprintf(path, cap, "%s/usr/sbin/mysqld", all->root);
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
static void wait_ready(const struct my_servers *all, unsigned servers)
{
	char path[128];
	uint64_t until = rig_now_ms() + 20000;
	(void)snprintf(path, sizeof(path), "%s/log", all->dir.path);
	while (!is_ready(path, servers)) {
		if (rig_now_ms() > until)
			fail_msg("not ready: see %s", path);
		(void)usleep(10000);
	}
}

static void launch(struct my_servers *all, struct my_server *s, bool fresh)
{
	struct words w = { .n = 0 };
	char path[256];
	server_program(all, path, sizeof(path));
	word(&w, "%s", path);
	word(&w, "--no-defaults");
	word(&w, "--datadir=%s", s->data);
	word(&w, "--port=%u", s->at.port);
	word(&w, "--socket=%s", s->socket);
	word(&w, "--server-id=%u", s->id);
	if (fresh)
		word(&w, "--init-file=%s", all->setup);
	word(&w, "--read-only=%d", fresh && s->id == 1 ? 0 : 1);
	word(&w, "--pid-file=%s/%s.pid", all->dir.path, s->member);
	word(&w, "--bind-address=127.0.0.1");
	word(&w, "--log-bin=binlog");
	word(&w, "--skip-name-resolve");
	word(&w, "--innodb-buffer-pool-size=16M");
	word(&w, "--innodb-flush-log-at-trx-commit=0");
	own_words(all, &w);
	s->pid = rig_spawn(&all->dir, "log", USER, w.argv);
	rig_wait_port(s->at.port);
	wait_ready(all, ++all->starts);
}

static void install(const struct my_servers *all, const struct my_server *s, const char *program)
{
	struct words w = { .n = 0 };
	word(&w, "%s", program);
	word(&w, "--no-defaults");
	if (all->root != NULL) {
		word(&w, "--basedir=%s/usr", all->root);
		word(&w, "--initialize-insecure");
	} else {
		word(&w, "--auth-root-authentication-method=normal");
		word(&w, "--skip-test-db");
	}
	word(&w, "--datadir=%s", s->data);
	run(all, w.argv);
}

static bool find_install(const struct my_servers *all, char *program, size_t cap)
{
	if (all->root != NULL) {
		server_program(all, program, cap);
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

bool my_servers_start(struct my_servers *all, const char *root, unsigned n)
{
	static const char *const members[MY_SERVERS_MAX] = { "my-a", "my-b", "my-c" };
	char program[256];

	*all = (struct my_servers){ .root = root };
	if (!find_install(all, program, sizeof(program)))
		return false;
	rig_dir_make(&all->dir, USER);
	write_setup(all);
	for (; all->n < n; all->n++) {
		struct my_server *s = &all->server[all->n];
		s->member = members[all->n];
		s->id = all->n + 1;
		(void)dr_copy_text(s->at.host, sizeof(s->at.host), "127.0.0.1");
		s->at.port = rig_free_port();
		(void)snprintf(s->data, sizeof(s->data), "%s/%s", all->dir.path, s->member);
		(void)snprintf(s->socket, sizeof(s->socket), "%s/%s.sock", all->dir.path, s->member);
		install(all, s, program);
		launch(all, s, true);
	}
	return true;
}

void my_server_crash(struct my_server *s)
{
	rig_stop(&s->pid, SIGKILL);
}

void my_server_start(struct my_servers *all, struct my_server *s)
{
	launch(all, s, false);
}

void my_servers_stop(struct my_servers *all)
{
	for (unsigned i = all->n; i > 0; i--)
		rig_stop(&all->server[i - 1].pid, SIGKILL);
	rig_dir_remove(&all->dir);
}

int my_servers_each(int argc, char **argv, int (*of)(const char *name, const char *root))
{
	const char *root = getenv("DRCOORD_MYSQL_ROOT");
	int failed = 0;

	if (argc < 2 || strcmp(argv[1], "mariadb") == 0)
		failed += of("mariadb", NULL);
	if (root == NULL)
		printf("skipped: MySQL itself, for DRCOORD_MYSQL_ROOT names no folder (tools/mysql-root makes one)\n");
	else if (argc < 2 || strcmp(argv[1], "mysql") == 0)
		failed += of("mysql", root);
	return failed == 0 ? 0 : 1;
}

/* ---- clients */

MYSQL *client_open(const struct my_server *s, const char *user)
{
	char no = 0;
	MYSQL *c = mysql_init(NULL);

	assert_non_null(c);
	(void)mysql_options(c, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &no);
	if (mysql_real_connect(c, "localhost", user, "", NULL, 0, s->socket, 0) != NULL)
		return c;
	mysql_close(c);
	return NULL;
}

void client_say(MYSQL *c, const char *sql)
{
	if (mysql_query(c, sql) != 0)
		fail_msg("%s: %s (%u)", sql, mysql_error(c), mysql_errno(c));
}

MYSQL *root_open(const struct my_server *s)
{
	MYSQL *c = client_open(s, "root");

	if (c == NULL)
		fail_msg("%s does not let root in", s->member);
	return c;
}

void root_say(const struct my_server *s, const char *sql)
{
	MYSQL *c = root_open(s);

	client_say(c, sql);
	mysql_close(c);
}

uint64_t root_number(const struct my_server *s, const char *sql)
{
	uint64_t v = 0;
	MYSQL *c = root_open(s);

	client_say(c, sql);
	MYSQL_RES *res = mysql_store_result(c);
	assert_non_null(res);
	MYSQL_ROW row = mysql_fetch_row(res);
	assert_non_null(row);
	assert_int_equal(dr_parse_u64(row[0] != NULL ? row[0] : "0", 0, UINT64_MAX, &v), DR_OK);
	mysql_free_result(res);
	mysql_close(c);
	return v;
}
