/* test_postgres_faults.c -- the PostgreSQL adapter when things go wrong: refused, mute, stopped, full, not let
 * in, cancelled at any moment, and servers that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parse.h"
#include "pg_lab.h"

extern const struct dr_adapter dr_postgres_adapter;

static struct rig rig;
static struct pg_server a, b;
static const struct dr_op_args none;

/* The op's end; *o keeps the error and the evidence. */
static enum dr_err attempt(const struct dr_target *t, enum dr_op_kind kind, const struct dr_op_args *args,
			   uint32_t deadline_ms, struct rig_op *o)
{
	struct dr_session s;
	rig_session_open(&rig, &s, &dr_postgres_adapter, t);
	enum dr_err err = rig_op_run(&rig, o, &s, kind, args, deadline_ms);
	rig_session_close(&rig, &s, NULL);
	assert_int_equal(o->done, 1);
	return err;
}

static void expect(const struct dr_target *t, enum dr_op_kind kind, uint32_t deadline_ms, enum dr_err want,
		   const char *part)
{
	struct rig_op o;
	enum dr_err err = attempt(t, kind, &none, deadline_ms, &o);
	if (err != want || (err != DR_OK && strstr(o.e.msg, part) == NULL))
		fail_msg("%s (%s), wanted %s (%s)", dr_err_name(err), err != DR_OK ? o.e.msg : "",
			 dr_err_name(want), part);
	assert_true(o.took_ms < deadline_ms + 500u);
}

static void test_open(void **state)
{
	struct dr_target t = pg_lab_target(&a, false);
	struct dr_session s;
	struct dr_error e;
	(void)state;
	(void)dr_copy_text(t.address.host, sizeof(t.address.host), "db.example");
	assert_int_equal(dr_session_open(&s, &rig.loop, &dr_postgres_adapter, &t, &e), DR_E_INVALID);
	t = pg_lab_target(&a, true);
	(void)dr_copy_text(t.unix_socket_dir, sizeof(t.unix_socket_dir), "relative");
	assert_int_equal(dr_session_open(&s, &rig.loop, &dr_postgres_adapter, &t, &e), DR_E_INVALID);
	t = pg_lab_target(&a, true);
	t.user[0] = '\0';
	assert_int_equal(dr_session_open(&s, &rig.loop, &dr_postgres_adapter, &t, &e), DR_E_INVALID);
}

static void test_refused(void **state)
{
	struct dr_target t = pg_lab_target(&a, false);
	(void)state;
	t.address.port = rig_free_port();
	expect(&t, DR_OP_PROBE, 5000, DR_E_UNREACHABLE, "refused: nothing listens");
	t = pg_lab_target(&a, true);
	t.address.port = rig_free_port();
	expect(&t, DR_OP_PROBE, 5000, DR_E_UNREACHABLE, "refused: no such socket");
	/* IPv6 literals are taken too. */
	t = pg_lab_target(&a, false);
	(void)dr_copy_text(t.address.host, sizeof(t.address.host), "::1");
	expect(&t, DR_OP_PROBE, 5000, DR_E_UNREACHABLE, "");
}

static void test_mute(void **state)
{
	struct rig_peer mute;
	struct dr_target t = pg_lab_target(&a, false);
	struct rig_op o;
	(void)state;
	rig_mute_start(&rig, &mute);
	t.address = mute.at;
	assert_int_equal(attempt(&t, DR_OP_PROBE, &none, 300, &o), DR_E_TIMEOUT);
	assert_false(o.op.evidence.reached);
	assert_true(o.took_ms >= 290 && o.took_ms < 800);
	rig_peer_stop(&mute);
}

static void test_stopped(void **state)
{
	struct dr_target by_port = pg_lab_target(&a, false), by_socket = pg_lab_target(&a, true);
	(void)state;
	assert_int_equal(kill(a.pid, SIGSTOP), 0);
	for (int i = 0; i < 3; i++) {
		expect(&by_port, DR_OP_PROBE, 200, DR_E_TIMEOUT, "");
		expect(&by_socket, DR_OP_PROBE, 200, DR_E_TIMEOUT, "");
	}
	assert_int_equal(kill(a.pid, SIGCONT), 0);
	expect(&by_port, DR_OP_PROBE, 5000, DR_OK, "");
}

/* A statement that hangs at the server: the deadline counts there too, and its backend ends by itself. */
static void test_slow_statement(void **state)
{
	struct dr_target t = pg_lab_target(&a, true);
	struct dr_op_args local = { .local_commit = true };
	struct rig_op o;
	(void)state;
	assert_int_equal(attempt(&t, DR_OP_PROBE_WRITE, &local, 5000, &o), DR_OK);
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
					       " 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'"));
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "CREATE TRIGGER slow BEFORE INSERT ON drcoord.heartbeat"
					       " FOR EACH ROW EXECUTE FUNCTION slow()"));
	assert_int_equal(attempt(&t, DR_OP_PROBE_WRITE, &local, 300, &o), DR_E_TIMEOUT);
	assert_true(o.op.evidence.reached);
	assert_false(o.op.evidence.wrote);
	pg_lab_until(&a, "0", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'drcoord'");
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "DROP FUNCTION slow CASCADE"));
	assert_int_equal(attempt(&t, DR_OP_PROBE_WRITE, &local, 5000, &o), DR_OK);
}

/* Whoever holds a lock on the probes' table, as VACUUM FULL does, stops no client: the probe writes past it. */
static void test_locked_table(void **state)
{
	struct dr_target t = pg_lab_target(&a, true);
	struct dr_op_args local = { .local_commit = true };
	struct rig_op o;
	(void)state;
	assert_int_equal(attempt(&t, DR_OP_PROBE_WRITE, &local, 5000, &o), DR_OK);
	pid_t locker = pg_lab_background(&a, "BEGIN; LOCK TABLE drcoord.heartbeat; SELECT pg_sleep(60)");
	pg_lab_until(&a, "1", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	assert_int_equal(attempt(&t, DR_OP_PROBE_WRITE, &local, 1000, &o), DR_OK);
	assert_true(o.op.evidence.wrote);
	assert_true(o.took_ms >= 1000 / 3);
	/* Nor does it blind a plain probe. */
	expect(&t, DR_OP_PROBE, 5000, DR_OK, "");
	pg_lab_until(&a, "0", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'drcoord'");
	assert_int_equal(kill(locker, SIGKILL), 0);
	(void)waitpid(locker, NULL, 0);
	assert_true(pg_lab_sql(
	    &a, 0, NULL, 0,
	    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"));
}

static void test_not_let_in(void **state)
{
	static const char secret[] = "hunter2-wrong";
	struct dr_target t = pg_lab_target(&a, false);
	struct rig_op o;
	(void)state;
	(void)dr_copy_text(t.user, sizeof(t.user), "nobody");
	expect(&t, DR_OP_PROBE, 5000, DR_E_AUTH, "pg_hba.conf");
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "CREATE ROLE pw_right LOGIN PASSWORD 'it''s right' IN ROLE pg_monitor"));
	(void)dr_copy_text(t.user, sizeof(t.user), "pw_right");
	expect(&t, DR_OP_PROBE, 5000, DR_E_AUTH, "wants a password");
	(void)snprintf(t.password_file, sizeof(t.password_file), "%s/password", a.dir.path);
	expect(&t, DR_OP_PROBE, 5000, DR_E_NOT_FOUND, "password");
	rig_file(&a.dir, "password", "%s\n", secret);
	assert_int_equal(attempt(&t, DR_OP_PROBE, &none, 5000, &o), DR_E_AUTH);
	assert_null(strstr(o.e.msg, secret));
	assert_null(strstr(o.op.evidence.text, secret));
	/* One that cannot be read for a reason of our own (here: it is a folder) is no input or output error of the server. */
	(void)snprintf(t.password_file, sizeof(t.password_file), "%s", a.dir.path);
	expect(&t, DR_OP_PROBE_WRITE, 5000, DR_E_UNKNOWN, "cannot read");
	(void)snprintf(t.password_file, sizeof(t.password_file), "%s/password", a.dir.path);
	/* The file is read anew for each op. */
	rig_file(&a.dir, "password", "%s\n", "it's right");
	expect(&t, DR_OP_PROBE, 5000, DR_OK, "");
	(void)dr_copy_text(t.database, sizeof(t.database), "no such one");
	expect(&t, DR_OP_PROBE, 5000, DR_E_NOT_FOUND, "does not exist");
}

static void test_too_many_connections(void **state)
{
	struct dr_target t = pg_lab_target(&a, false);
	(void)state;
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "CREATE ROLE plain LOGIN CONNECTION LIMIT 0"));
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "GRANT EXECUTE ON FUNCTION pg_ls_waldir() TO plain"));
	(void)dr_copy_text(t.user, sizeof(t.user), "plain");
	expect(&t, DR_OP_PROBE, 5000, DR_E_FULL, "too many connections");
	/* Not being allowed to see all is no error. */
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "ALTER ROLE plain CONNECTION LIMIT -1"));
	expect(&t, DR_OP_PROBE, 5000, DR_OK, "");
	expect(&t, DR_OP_POSITIONS, 5000, DR_OK, "");
	/* Not being allowed to act is one, with its name. */
	expect(&t, DR_OP_PROBE_WRITE, 5000, DR_E_DENIED, "permission denied");
	expect(&t, DR_OP_CHECKPOINTED, 5000, DR_E_DENIED, "");
	struct dr_op_args one = { .k = 1, .peers = 1 };
	struct rig_op o;
	assert_true(dr_name_set(&one.peer[0], "pg-b"));
	assert_int_equal(attempt(&t, DR_OP_SYNC_SET, &one, 5000, &o), DR_E_DENIED);
	assert_int_equal(attempt(&t, DR_OP_SLOTS, &one, 5000, &o), DR_E_DENIED);
}

static void must_not_be_called(struct dr_op *op, const struct dr_error *e)
{
	(void)e;
	fail_msg("%s was started and ended", dr_op_name(op->kind));
}

static void test_bad_arguments(void **state)
{
	struct dr_target t = pg_lab_target(&a, true);
	struct dr_op_args args = { .k = 2, .peers = 1 };
	struct dr_session s;
	struct dr_error e;
	struct rig_op o = { .done = 0 };
	(void)state;
	rig_session_open(&rig, &s, &dr_postgres_adapter, &t);
	static const enum dr_op_kind kinds[] = { DR_OP_SYNC_SET, DR_OP_WRITABLE, DR_OP_FOLLOWING };
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		o.op = (struct dr_op){ .kind = kinds[i], .args = args, .deadline_ms = 1000, .done = NULL };
		o.op.done = must_not_be_called;
		assert_int_equal(dr_session_start(&s, &o.op, &e), DR_E_INVALID);
	}
	rig_session_close(&rig, &s, NULL);
}

/* Cut off after each number of turns of the loop, so in every state: connecting, authenticating, between
 * statements, waiting for an answer, pausing. */
static void test_cancel_anywhere(void **state)
{
	static const enum dr_op_kind kinds[] = { DR_OP_PROBE,    DR_OP_POSITIONS, DR_OP_PROBE_WRITE,
						 DR_OP_SYNC_SET, DR_OP_SLOTS,     DR_OP_CHECKPOINTED };
	struct dr_target targets[2] = { pg_lab_target(&a, true), pg_lab_target(&a, false) };
	struct dr_op_args ghost = { .k = 1, .peers = 1, .local_commit = true };
	unsigned ended = 0, cut = 0;
	(void)state;
	assert_true(dr_name_set(&ghost.peer[0], "pg-ghost"));
	for (unsigned turns = 0; turns < 24; turns++) {
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			struct dr_session s;
			struct rig_op o;
			bool by_close = (turns + i) % 3 == 0;

			rig_session_open(&rig, &s, &dr_postgres_adapter, &targets[turns % 2]);
			rig_op_start(&o, &s, kinds[i], &ghost, 5000);
			for (unsigned n = 0; n < turns && o.done == 0; n++)
				(void)uv_run(&rig.loop, UV_RUN_ONCE);
			if (o.done > 0) {
				ended++;
				rig_session_close(&rig, &s, NULL);
				continue;
			}
			cut++;
			if (!by_close) {
				dr_session_cancel(&s);
				rig_until(&rig, &o.done);
				/* The session is good for the next op at once. */
				assert_int_equal(rig_op_run(&rig, &o, &s, DR_OP_PROBE, &none, 5000), DR_OK);
			}
			rig_session_close(&rig, &s, by_close ? &o : NULL);
			assert_int_equal(o.done, 1);
			assert_true(by_close ? o.code == DR_E_CANCELLED || o.code == DR_OK : o.code == DR_OK);
		}
	}
	print_message("cut off %u times, ended before %u times\n", cut, ended);
	assert_true(cut > 40);
	struct dr_op_args clear = { .k = 0 };
	struct rig_op o;
	assert_int_equal(attempt(&targets[0], DR_OP_SYNC_SET, &clear, 5000, &o), DR_OK);
}

/* ---- servers that lie: what is sent after a good log-in and the first statement */

struct lie {
	const char *what;
	const char *bytes;
	size_t len;
	bool at_once; /* sent in place of any log-in */
	enum dr_err want;
};

#define BYTES(s) (s), sizeof(s) - 1
#define READY "Z\0\0\0\5I"

static const struct lie lies[] = {
	{ "speaks HTTP", BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"), true, DR_E_PROTOCOL },
	{ "hangs up", BYTES(""), true, DR_E_CLOSED },
	{ "an error of the old protocol", BYTES("Efull\n\0"), true, DR_E_UNREACHABLE },
	{ "unknown authentication", BYTES("R\0\0\0\10\0\0\0\77"), true, DR_E_AUTH },
	{ "a huge message", BYTES("R\177\377\377\377aaaa"), true, DR_E_PROTOCOL },
	{ "no rows", BYTES("T\0\0\0\6\0\0C\0\0\0\15SELECT 0\0" READY), false, DR_E_PROTOCOL },
	{ "one odd column",
	  BYTES("T\0\0\0\32\0\1x\0\0\0\0\0\0\0\0\0\0\31\377\377\0\0\0\0\0\0"
		"D\0\0\0\13\0\1\0\0\0\1tC\0\0\0\15SELECT 1\0" READY),
	  false, DR_E_PROTOCOL },
	{ "COPY in", BYTES("G\0\0\0\7\0\0\0" READY), false, DR_E_PROTOCOL },
	{ "COPY out", BYTES("H\0\0\0\7\0\0\0d\0\0\0\10abcdc\0\0\0\4" READY), false, DR_E_PROTOCOL },
	{ "COPY both", BYTES("W\0\0\0\7\0\0\0" READY), false, DR_E_PROTOCOL },
	{ "an empty answer", BYTES(READY), false, DR_E_PROTOCOL },
	{ "an error without fields", BYTES("E\0\0\0\5\0" READY), false, DR_E_PROTOCOL },
	{ "an error with control characters", BYTES("E\0\0\0\33SFATAL\0C53100\0Mno\n\1x\r\0\0" READY), false,
	  DR_E_NO_SPACE },
	{ "an unknown message", BYTES("?\0\0\0\4" READY), false, DR_E_PROTOCOL },
	{ "a negative length", BYTES("T\377\377\377\377\0\0"), false, DR_E_CLOSED },
	{ "half a row", BYTES("T\0\0\0\32\0\1x\0\0\0\0\0"), false, DR_E_CLOSED },
	{ "rows without columns", BYTES("D\0\0\0\13\0\1\0\0\0\1tC\0\0\0\15SELECT 1\0" READY), false,
	  DR_E_PROTOCOL },
};

static bool read_all(int fd, void *p, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t r = read(fd, (char *)p + got, n - got);
		if (r <= 0)
			return false;
		got += (size_t)r;
	}
	return true;
}

/* One connection: refuse TLS, take the start packet, log in, take one statement, lie, hang up. */
static void lie_once(int fd, const struct lie *l)
{
	static const char hello[] = "R\0\0\0\10\0\0\0\0" READY;
	unsigned char head[8], skip[4096];
	uint32_t len = 0;

	if (!read_all(fd, head, 8))
		return;
	memcpy(&len, head, 4);
	len = ntohl(len);
	if (len == 8 && (write(fd, "N", 1) != 1 || !read_all(fd, head, 8)))
		return;
	memcpy(&len, head, 4);
	len = ntohl(len);
	if (len < 8 || len > sizeof(skip) || !read_all(fd, skip, len - 8))
		return;
	if (!l->at_once) {
		if (write(fd, hello, sizeof(hello) - 1) < 0 || !read_all(fd, head, 5))
			return;
		memcpy(&len, head + 1, 4);
		len = ntohl(len);
		if (len < 4 || len > sizeof(skip) || !read_all(fd, skip, len - 4))
			return;
	}
	if (write(fd, l->bytes, l->len) != (ssize_t)l->len)
		return;
	(void)usleep(30000);
}

static pid_t start_liar(const struct lie *l, uint16_t *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(listen(fd, 8), 0);
	*port = ntohs(at.sin_port);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)alarm(30);
		for (;;) {
			int c = accept(fd, NULL, NULL);
			if (c >= 0) {
				lie_once(c, l);
				(void)close(c);
			}
		}
	}
	(void)close(fd);
	return pid;
}

static void test_liars(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct dr_target t = pg_lab_target(&a, false);
		struct rig_op o;
		pid_t pid = start_liar(&lies[i], &t.address.port);
		enum dr_err err = attempt(&t, DR_OP_PROBE, &none, 2000, &o);
		assert_int_equal(kill(pid, SIGKILL), 0);
		(void)waitpid(pid, NULL, 0);
		print_message("%s: %s (%s)\n", lies[i].what, dr_err_name(err), o.e.msg);
		for (const char *p = o.e.msg; *p != '\0'; p++)
			assert_true((unsigned char)*p >= 0x20);
		if (err != lies[i].want)
			fail_msg("%s: wanted %s", lies[i].what, dr_err_name(lies[i].want));
		assert_false(o.op.evidence.reached);
	}
}

/* ---- a file system that has become read only, as ext4's does after an error of its own */

/* Whose root is no mount point (a chroot), and shares nothing with others, has nothing to make private. */
static const char MOUNT_SH[] =
    "{ mount --make-rprivate / || ! grep -q ' shared:' /proc/self/mountinfo; } && mkdir \"$1/disk\" &&"
    " truncate -s 200M \"$1/image\" && mkfs.ext4 -q \"$1/image\" && mount -o loop,errors=remount-ro \"$1/image\" \"$1/disk\"";
static const char MOVE_SH[] = "cp -a \"$1/data\" \"$1/disk/\" && mount --bind \"$1/disk/data\" \"$1/data\"";
static const char SPACE_SH[] = "mkdir \"$1/disk/space\" && chown postgres \"$1/disk/space\"";
static const char BREAK_SH[] =
    "dev=$(findmnt -no SOURCE \"$1/disk\") && echo 1 > /sys/fs/ext4/${dev##*/}/trigger_fs_error";
static const char FILL_SH[] = "! dd if=/dev/zero of=\"$1/disk/filler\" bs=1M; ! dd if=/dev/zero bs=512 >> \"$1/disk/filler\"";
static const char UNMOUNT_SH[] = "umount -l \"$1/data\"; umount -l \"$1/disk\"";

static bool script(const struct pg_server *s, const char *text)
{
	return rig_command(&s->dir, "script.log", NULL,
			   (char *const[]){ "/bin/sh", "-c", (char *)text, "sh", (char *)s->dir.path, NULL }) == 0;
}

static void remove_disk(void)
{
	if (b.dir.path[0] == '\0')
		return;
	pg_lab_stop(&b);
	(void)script(&b, UNMOUNT_SH);
	pg_lab_remove(&b);
}

/* A server of its own, its disk in a mount namespace of our own. */
static void start_on_disk(const char *prepare)
{
	if (geteuid() != 0)
		skip(); /* only root mounts */
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	remove_disk();
	pg_lab_init(&b, "pg-b");
	assert_true(script(&b, MOUNT_SH));
	assert_true(script(&b, prepare));
	pg_lab_start(&b);
}

/* All of it: nobody gets further than the log-in. */
static void test_read_only_server(void **state)
{
	(void)state;
	start_on_disk(MOVE_SH);
	struct dr_target t = pg_lab_target(&b, true);
	expect(&t, DR_OP_PROBE_WRITE, 5000, DR_OK, "");
	assert_true(script(&b, BREAK_SH));
	expect(&t, DR_OP_PROBE_WRITE, 5000, DR_E_REFUSED, "could not open");
	remove_disk();
}

/* The tables alone: a statement is told so. */
static void test_read_only_tables(void **state)
{
	char sql[512];
	(void)state;
	start_on_disk(SPACE_SH);
	struct dr_target t = pg_lab_target(&b, true);
	expect(&t, DR_OP_PROBE_WRITE, 5000, DR_OK, "");
	(void)snprintf(sql, sizeof(sql), "CREATE TABLESPACE disk LOCATION '%s/disk/space'", b.dir.path);
	assert_true(pg_lab_sql(&b, 0, NULL, 0, "%s", sql));
	assert_true(pg_lab_sql(&b, 0, NULL, 0, "ALTER TABLE drcoord.heartbeat SET TABLESPACE disk"));
	assert_true(script(&b, BREAK_SH));
	expect(&t, DR_OP_PROBE, 5000, DR_OK, "");
	expect(&t, DR_OP_PROBE_WRITE, 5000, DR_E_REFUSED, "could not open file");
	remove_disk();
}

/* A disk without room, on which what the probe writes has its place: the client whose table has to grow is the first to
 * be told so, and its error says nothing to us. */
static void test_full_server(void **state)
{
	(void)state;
	start_on_disk(MOVE_SH);
	struct dr_target t = pg_lab_target(&b, true);
	expect(&t, DR_OP_PROBE_WRITE, 5000, DR_OK, "");
	assert_true(script(&b, FILL_SH));
	expect(&t, DR_OP_PROBE, 5000, DR_OK, "");
	for (int i = 0; i < 5; i++)
		expect(&t, DR_OP_PROBE_WRITE, 5000, DR_E_NO_SPACE, "No space left on device");
	assert_true(script(&b, "test -z \"$(find \"$1\"/disk/data/base/pgsql_tmp \"$1\"/disk/data/pg_snapshots -type f)\""));
	assert_true(script(&b, "rm \"$1/disk/filler\""));
	expect(&t, DR_OP_PROBE_WRITE, 5000, DR_OK, "");
	/* Who must not ask for room writes all the same. */
	assert_true(pg_lab_sql(&b, 0, NULL, 0, "CREATE ROLE probe LOGIN IN ROLE pg_monitor"));
	assert_true(pg_lab_sql(&b, 0, NULL, 0, "ALTER ROLE probe SET temp_file_limit = 0"));
	(void)dr_copy_text(t.user, sizeof(t.user), "probe");
	expect(&t, DR_OP_PROBE_WRITE, 5000, DR_OK, "");
	remove_disk();
}

/* The catalog, which the standbys have too, makes our transactions read only: told, and written all the same.  So it is not
 * where the configuration of the server says so. */
static void test_read_only_default(void **state)
{
	static const char *const defaults[] = { "ROLE postgres", "DATABASE postgres", "ROLE postgres IN DATABASE postgres" };
	struct dr_target t = pg_lab_target(&a, true);
	struct rig_op o;
	(void)state;
	expect(&t, DR_OP_PROBE_WRITE, 5000, DR_OK, "");
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
		assert_true(pg_lab_sql(&a, 0, NULL, 0, "ALTER %s SET default_transaction_read_only = on", defaults[i]));
		assert_int_equal(attempt(&t, DR_OP_PROBE_WRITE, &none, 5000, &o), DR_OK);
		assert_true(o.op.evidence.wrote && o.op.evidence.in_spite);
		assert_non_null(strstr(o.op.evidence.text, "default_transaction_read_only"));
		assert_true(pg_lab_sql(&a, 0, NULL, 0, "BEGIN READ WRITE; ALTER %s RESET default_transaction_read_only; COMMIT",
				       defaults[i]));
	}
	assert_int_equal(attempt(&t, DR_OP_PROBE_WRITE, &none, 5000, &o), DR_OK);
	assert_false(o.op.evidence.in_spite);
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "ALTER SYSTEM SET default_transaction_read_only = on"));
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "SELECT pg_reload_conf()"));
	pg_lab_until(&a, "on", "SHOW default_transaction_read_only");
	expect(&t, DR_OP_PROBE_WRITE, 5000, DR_E_REFUSED, "configuration file");
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "ALTER SYSTEM RESET default_transaction_read_only"));
	assert_true(pg_lab_sql(&a, 0, NULL, 0, "SELECT pg_reload_conf()"));
	pg_lab_until(&a, "off", "SHOW default_transaction_read_only");
	expect(&t, DR_OP_PROBE_WRITE, 5000, DR_OK, "");
}

/* Last, as it ends the server: a smart stop waits for the open session and lets nobody in meanwhile. */
static void test_shutting_down(void **state)
{
	struct dr_target t = pg_lab_target(&a, false);
	struct rig_op o;
	(void)state;
	pid_t session = pg_lab_background(&a, "SELECT pg_sleep(60)");
	pg_lab_until(&a, "1", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	assert_int_equal(kill(a.pid, SIGTERM), 0);
	uint64_t end = rig_now_ms() + 5000;
	while (attempt(&t, DR_OP_PROBE, &none, 2000, &o) == DR_OK)
		assert_true(rig_now_ms() < end);
	assert_int_equal(o.code, DR_E_BUSY);
	assert_non_null(strstr(o.e.msg, "shutting down"));
	assert_int_equal(kill(session, SIGKILL), 0);
	(void)waitpid(session, NULL, 0);
}

static int setup(void **state)
{
	(void)state;
	rig_init(&rig);
	pg_lab_init(&a, "pg-a");
	pg_lab_start(&a);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	remove_disk();
	pg_lab_remove(&a);
	rig_close(&rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_mute),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_slow_statement), cmocka_unit_test(test_locked_table),
		cmocka_unit_test(test_not_let_in),
		cmocka_unit_test(test_too_many_connections),
		cmocka_unit_test(test_bad_arguments),
		cmocka_unit_test(test_cancel_anywhere),
		cmocka_unit_test(test_liars),
		cmocka_unit_test(test_read_only_server),
		cmocka_unit_test(test_read_only_tables),
		cmocka_unit_test(test_full_server),
		cmocka_unit_test(test_read_only_default),
		cmocka_unit_test(test_shutting_down),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
