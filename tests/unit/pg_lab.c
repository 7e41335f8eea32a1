/* pg_lab.c -- see pg_lab.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg_lab.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parse.h"

static const char OS_USER[] = "postgres";

static void path_in(const struct pg_server *s, const char *name, char *out, size_t cap)
{
	(void)snprintf(out, cap, "%s/%s", s->dir.path, name);
}

static void program(const char *name, char out[128])
{
	if (!rig_find(name, out, 128))
		fail_msg("%s is not installed", name);
}

static void must_run(const struct pg_server *s, char *const argv[])
{
	int rc = rig_command(&s->dir, "setup.log", OS_USER, argv);
	if (rc != 0)
		fail_msg("%s: exit code %d, see %s/setup.log", argv[0], rc, s->dir.path);
}

static void prepare(struct pg_server *s, const char *name)
{
	memset(s, 0, sizeof(*s));
	(void)dr_copy_text(s->name, sizeof(s->name), name);
	rig_dir_make(&s->dir, OS_USER);
	assert_int_equal(chmod(s->dir.path, 0755), 0);
	s->port = rig_free_port();
}

void pg_lab_init(struct pg_server *s, const char *name)
{
	char initdb[128], data[128];
	prepare(s, name);
	program("initdb", initdb);
	path_in(s, "data", data, sizeof(data));
	must_run(s, (char *const[]){ initdb, "-D", data, "-U", "postgres", "-A", "trust", "-N",
				     "--data-checksums", "--no-instructions", NULL });
	rig_file(
	    &s->dir, "data/postgresql.conf",
	    "listen_addresses = '127.0.0.1'\nmax_connections = 20\nsuperuser_reserved_connections = 2\n"
	    "shared_buffers = 16MB\ndynamic_shared_memory_type = mmap\n"
	    "wal_level = replica\nmax_wal_senders = 6\nmax_replication_slots = 5\n"
	    "wal_log_hints = on\nmax_wal_size = 64MB\nmin_wal_size = 32MB\nwal_receiver_status_interval = 1s\n"
	    "autovacuum = off\nlog_min_messages = info\nlog_statement = 'ddl'\nfull_page_writes = on\n"
	    "password_encryption = 'scram-sha-256'\n");
	rig_file(&s->dir, "data/pg_hba.conf",
		 "local all all trust\n"
		 "host replication repl_pw 127.0.0.1/32 scram-sha-256\n"
		 "host all pw_right 127.0.0.1/32 scram-sha-256\n"
		 "host all nobody 127.0.0.1/32 reject\n"
		 "host all all 127.0.0.1/32 trust\n"
		 "host replication all 127.0.0.1/32 trust\n");
}

void pg_lab_clone(struct pg_server *s, const char *name, const struct pg_server *primary)
{
	char basebackup[128], data[128], port[8];
	prepare(s, name);
	program("pg_basebackup", basebackup);
	path_in(s, "data", data, sizeof(data));
	(void)snprintf(port, sizeof(port), "%u", primary->port);
	must_run(s, (char *const[]){ basebackup, "-D", data, "-h", "127.0.0.1", "-p", port, "-U", "postgres",
				     "-X", "stream", "--checkpoint=fast", "--no-sync", NULL });
	rig_file(&s->dir, "data/standby.signal", "%s", "");
}

void pg_lab_start(struct pg_server *s)
{
	char postgres[128], data[128], port[8];
	program("postgres", postgres);
	path_in(s, "data", data, sizeof(data));
	(void)snprintf(port, sizeof(port), "%u", s->port);
	assert_int_equal(s->pid, 0);
	s->pid = rig_spawn(&s->dir, "server.log", OS_USER,
			   (char *const[]){ postgres, "-D", data, "-p", port, "-k", s->dir.path, NULL });
	pg_lab_until(s, "1", "SELECT 1");
}

void pg_lab_stop(struct pg_server *s)
{
	rig_stop(&s->pid, SIGQUIT);
}

void pg_lab_remove(struct pg_server *s)
{
	pg_lab_stop(s);
	if (getenv("DR_TEST_KEEP") == NULL)
		rig_dir_remove(&s->dir);
}

static pid_t start_psql(const struct pg_server *s, const char *log, const char *option, const char *sql)
{
	char psql[128], port[8];
	program("psql", psql);
	(void)snprintf(port, sizeof(port), "%u", s->port);
	return rig_spawn(&s->dir, log, OS_USER,
			 (char *const[]){ psql, "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", (char *)s->dir.path,
					  "-p", port, "-U", "postgres", "-d", "postgres", (char *)option,
					  (char *)sql, NULL });
}

static void read_line(const struct pg_server *s, const char *log, char *out, size_t cap)
{
	char path[128];
	path_in(s, log, path, sizeof(path));
	out[0] = '\0';
	FILE *f = fopen(path, "r");
	if (f == NULL)
		return;
	if (fgets(out, (int)cap, f) != NULL)
		out[strcspn(out, "\n")] = '\0';
	(void)fclose(f);
}

bool pg_lab_sql(const struct pg_server *s, uint32_t limit_ms, char *out, size_t cap, const char *fmt, ...)
{
	char sql[4096], path[128];
	int status = 0;
	uint64_t end = rig_now_ms() + (limit_ms > 0 ? limit_ms : 20000);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(sql, sizeof(sql), fmt, ap);
	va_end(ap);
	path_in(s, "psql.log", path, sizeof(path));
	(void)unlink(path);
	pid_t pid = start_psql(s, "psql.log", "-c", sql);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (rig_now_ms() > end) {
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, &status, 0);
			return false;
		}
		usleep(2000);
	}
	if (out != NULL)
		read_line(s, "psql.log", out, cap);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool pg_lab_file(const struct pg_server *s, const char *path)
{
	int status = 0;
	pid_t pid = start_psql(s, "psql.log", "-f", path);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

pid_t pg_lab_background(const struct pg_server *s, const char *sql)
{
	return start_psql(s, "background.log", "-c", sql);
}

void pg_lab_until(const struct pg_server *s, const char *want, const char *sql)
{
	char out[PG_LAB_SQL_MAX] = "";
	uint64_t end = rig_now_ms() + 15000;
	while (!pg_lab_sql(s, 5000, out, sizeof(out), "%s", sql) || strcmp(out, want) != 0) {
		if (rig_now_ms() > end)
			fail_msg("%s: %s gives '%s', not '%s'", s->name, sql, out, want);
		usleep(10000);
	}
}

void pg_lab_caught_up(const struct pg_server *primary, const struct pg_server *s)
{
	char lsn[64], sql[160];
	assert_true(pg_lab_sql(primary, 0, lsn, sizeof(lsn), "SELECT pg_current_wal_flush_lsn()"));
	(void)snprintf(sql, sizeof(sql), "SELECT pg_last_wal_replay_lsn() >= '%s'", lsn);
	pg_lab_until(s, "t", sql);
}

struct dr_target pg_lab_target(const struct pg_server *s, bool by_socket)
{
	struct dr_target t = { .database = "postgres", .user = "postgres", .replication_user = "postgres" };
	assert_true(dr_name_set(&t.service, "orders"));
	assert_true(dr_name_set(&t.member, s->name));
	(void)dr_copy_text(t.address.host, sizeof(t.address.host), "127.0.0.1");
	t.address.port = s->port;
	if (by_socket)
		(void)dr_copy_text(t.unix_socket_dir, sizeof(t.unix_socket_dir), s->dir.path);
	return t;
}
