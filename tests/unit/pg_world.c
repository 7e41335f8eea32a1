/* pg_world.c -- see pg_world.h. */
#include "pg_world.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/shell/pg_files.h"
#include "base/parse.h"
#include "temp.h"

void pg_world_turn(struct pg_world *w)
{
	(void)uv_run(&w->loop, UV_RUN_NOWAIT);
	(void)poll(NULL, 0, 2);
}

static bool find_bin(char *dst, size_t cap)
{
	for (int v = 17; v >= 13; v--) {
		char path[DR_PATH_MAX];
		(void)snprintf(dst, cap, "/usr/lib/postgresql/%d/bin", v);
		(void)snprintf(path, sizeof(path), "/usr/lib/postgresql/%d/bin/postgres", v);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

void pg_world_open(struct pg_world *w)
{
	memset(w, 0, sizeof(*w));
	if (!find_bin(w->bin, sizeof(w->bin)))
		fail_msg("no PostgreSQL under /usr/lib/postgresql: `./check --only install` installs it");
	if (geteuid() == 0) {
		(void)dr_copy_text(w->os_user, sizeof(w->os_user), "postgres");
		assert_int_equal(dr_os_user_find("postgres", &w->user, NULL), DR_OK);
	}
	temp_ipc();
	temp_template(w->folder, sizeof(w->folder), "guard-pg");
	assert_non_null(mkdtemp(w->folder));
	if (geteuid() == 0)
		assert_int_equal(chown(w->folder, w->user.uid, w->user.gid), 0);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	dr_cgroup_root_open(&w->root, false);
	for (int i = 0; i < PG_WORLD_SERVERS; i++) {
		struct pg_server *s = &w->server[i];
		(void)snprintf(s->name, sizeof(s->name), "pg-%c", 'a' + i);
		(void)snprintf(s->data, sizeof(s->data), "%.64s/pg-%c", w->folder, 'a' + i);
		(void)dr_copy_text(s->socket_dir, sizeof(s->socket_dir), w->folder);
		s->port = (uint16_t)(20000 + (unsigned)getpid() % 20000 + (unsigned)i);
	}
}

int pg_world_run(struct pg_world *w, const char *const *argv, char *out, size_t cap)
{
	int ends[2], status = 0;
	struct dr_proc_id id;
	struct dr_error e;
	size_t n = 0;
	assert_int_equal(pipe2(ends, 0x80000 /* O_CLOEXEC */), 0);
	struct dr_spawn s = { .argv = argv,
			      .user = w->os_user[0] != '\0' ? &w->user : NULL,
			      .join_fd = -1,
			      .out_fd = ends[1],
			      .err_fd = out != NULL ? -1 : 2 };
	enum dr_err rv = dr_spawn(&s, &id, NULL, &e);
	(void)close(ends[1]);
	if (rv != DR_OK)
		fail_msg("%s", e.msg);
	for (;;) {
		char part[512];
		ssize_t got = read(ends[0], part, sizeof(part));
		if (got <= 0)
			break;
		size_t take = out != NULL && n + (size_t)got < cap ? (size_t)got : 0;
		if (take > 0)
			memcpy(out + n, part, take);
		n += take;
	}
	(void)close(ends[0]);
	if (out != NULL)
		out[n] = '\0';
	while (waitpid(id.pid, &status, 0) < 0)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

void pg_world_init(struct pg_world *w, int at)
{
	struct pg_server *s = &w->server[at];
	char program[DR_PATH_MAX + 16], port[8];
	char ignored[4096];
	(void)snprintf(program, sizeof(program), "%s/initdb", w->bin);
	(void)snprintf(port, sizeof(port), "%u", s->port);
	const char *argv[] = { program, "-A",    "trust", "-N", "-U", "postgres", "--data-checksums",
			       "-D",    s->data, NULL };
	assert_int_equal(pg_world_run(w, argv, ignored, sizeof(ignored)), 0);
	const struct dr_pg_setting set[] = { { "port", port },
					     { "listen_addresses", "127.0.0.1" },
					     { "unix_socket_directories", s->socket_dir },
					     { "fsync", "off" },
					     { "shared_buffers", "16MB" },
					     { "dynamic_shared_memory_type", "mmap" }, /* nothing left when killed */
					     { "wal_keep_size", "64MB" },
					     { "min_wal_size", "32MB" } };
	assert_int_equal(dr_pg_auto_conf(s->data, set, sizeof(set) / sizeof(set[0]), NULL), DR_OK);
}

static void on_change(struct dr_supervisor *s, const struct dr_super_seen *seen)
{
	(void)seen;
	((struct pg_server *)s->ctx)->changes++;
}

void pg_world_on_stopped(struct dr_supervisor *s, bool proved, const struct dr_error *e)
{
	struct pg_server *p = s->ctx;
	p->stopped++;
	p->proved = proved;
	dr_error_clear(&p->stop_error);
	if (e != NULL)
		p->stop_error = *e;
}

void pg_world_supervise(struct pg_world *w, int at)
{
	struct pg_server *s = &w->server[at];
	struct dr_local_server conf = { .name = "" };
	struct dr_error e;
	(void)snprintf(conf.name, sizeof(conf.name), "test-%s", s->name);
	(void)dr_copy_text(conf.data_dir, sizeof(conf.data_dir), s->data);
	(void)dr_copy_text(conf.bin_dir, sizeof(conf.bin_dir), w->bin);
	(void)dr_copy_text(conf.os_user, sizeof(conf.os_user), w->os_user);
	(void)snprintf(conf.log_path, sizeof(conf.log_path), "%s/%s.log", w->folder, s->name);
	if (dr_supervisor_init(&s->super, &w->loop, &w->root, &dr_pg_local, &conf, on_change, s, &e) != DR_OK)
		fail_msg("%s", e.msg);
	s->open = true;
}

void pg_world_start(struct pg_world *w, int at, bool as_standby)
{
	struct dr_error e;
	if (dr_supervisor_start(&w->server[at].super, as_standby, &e) != DR_OK)
		fail_msg("%s", e.msg);
	PG_WAIT(w, pg_world_says(w, at, "select 1", "1"));
}

int pg_world_sql(struct pg_world *w, int at, const char *sql, char *out, size_t cap)
{
	char program[DR_PATH_MAX + 16], port[8];
	(void)snprintf(program, sizeof(program), "%s/psql", w->bin);
	(void)snprintf(port, sizeof(port), "%u", w->server[at].port);
	const char *argv[] = { program, "-XAtq",    "-h", w->server[at].socket_dir,
			       "-p",    port,       "-U", "postgres",
			       "-d",    "postgres", "-c", sql,
			       NULL };
	int rv = pg_world_run(w, argv, out, cap);
	size_t n = strlen(out);
	if (n > 0 && out[n - 1] == '\n')
		out[n - 1] = '\0';
	return rv;
}

bool pg_world_says(struct pg_world *w, int at, const char *sql, const char *want)
{
	char out[1024];
	return pg_world_sql(w, at, sql, out, sizeof(out)) == 0 && strcmp(out, want) == 0;
}

static void on_closed(struct dr_supervisor *s)
{
	((struct pg_server *)s->ctx)->open = false;
}

void pg_world_unsupervise(struct pg_world *w, int at)
{
	dr_supervisor_close(&w->server[at].super, on_closed);
	PG_WAIT(w, !w->server[at].open);
}

void pg_world_close(struct pg_world *w)
{
	for (int i = 0; i < PG_WORLD_SERVERS; i++) {
		struct pg_server *s = &w->server[i];
		if (access(s->data, F_OK) != 0)
			continue;
		if (!s->open)
			pg_world_supervise(w, i);
		int before = s->stopped;
		dr_supervisor_kill(&s->super, pg_world_on_stopped);
		PG_WAIT(w, s->stopped > before && s->super.pidfd < 0);
		pg_world_unsupervise(w, i);
	}
	(void)uv_run(&w->loop, UV_RUN_NOWAIT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	dr_cgroup_root_close(&w->root);
	const char *argv[] = { "/bin/rm", "-rf", w->folder, NULL };
	struct pg_world as_root = { .os_user = "" };
	(void)pg_world_run(&as_root, argv, NULL, 0);
}
