/* test_my_semi.c -- what durability: sync rests on (docs/decisions/0020-semi-sync.md), one test for each sentence that an op has
 * to keep: on a primary and a standby of MariaDB, and where DRCOORD_MYSQL_ROOT names one, of MySQL.
 *
 * Commits are made by a client of our own on a thread, so that one which waits can be looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adapters/mysql/my.h"
#include "base/mem.h"
#include "base/parse.h"
#include "my_servers.h"

enum { LONG_MS = 15000, SHORT_MS = 1500, HELD_MS = 700 /* many times what an acknowledgement takes */, EPOCH = 2,
       MISSED_MS = 7000 };

static struct {
	struct my_servers all;
	struct my_server *primary, *standby;
	struct rig rig;
	uint64_t rows; /* given to clients so far */
} here;

static bool is_mysql(void)
{
	return here.all.root != NULL;
}

/* ---- a client's side */

static bool has(const struct my_server *s, uint64_t row)
{
	char text[80];

	(void)snprintf(text, sizeof(text), "SELECT COUNT(*) FROM semi.held WHERE n = %llu", (unsigned long long)row);
	return root_number(s, text) == 1;
}

static void until_has(const struct my_server *s, uint64_t row)
{
	uint64_t until = rig_now_ms() + LONG_MS;

	while (!has(s, row)) {
		if (rig_now_ms() > until)
			fail_msg("%s has not got row %llu", s->member, (unsigned long long)row);
		(void)usleep(10000);
	}
}

/* One row, committed on a thread of its own. */
struct commit {
	pthread_t thread;
	MYSQL *conn;
	uint64_t row;
	atomic_bool ended;
	unsigned error; /* of the server's or the library's; 0: the client was told that all is well */
};

static void *run_commit(void *arg)
{
	struct commit *c = arg;
	char text[80];

	(void)mysql_thread_init();
	(void)snprintf(text, sizeof(text), "INSERT INTO semi.held VALUES (%llu)", (unsigned long long)c->row);
	c->error = mysql_query(c->conn, text) != 0 ? mysql_errno(c->conn) : 0;
	atomic_store(&c->ended, true);
	mysql_thread_end();
	return NULL;
}

static void commit_begin(struct commit *c)
{
	*c = (struct commit){ .conn = root_open(here.primary), .row = ++here.rows };
	assert_int_equal(pthread_create(&c->thread, NULL, run_commit, c), 0);
}

static bool ends_within(struct commit *c, uint64_t ms)
{
	uint64_t until = rig_now_ms() + ms;

	while (!atomic_load(&c->ended) && rig_now_ms() < until)
		(void)usleep(2000);
	return atomic_load(&c->ended);
}

static void commit_end(struct commit *c, const char *why)
{
	if (!ends_within(c, LONG_MS))
		fail_msg("row %llu still waits: %s", (unsigned long long)c->row, why);
	assert_int_equal(pthread_join(c->thread, NULL), 0);
	mysql_close(c->conn);
}

/* Acknowledged at once, by a standby that does. */
static uint64_t committed(void)
{
	struct commit c;

	commit_begin(&c);
	commit_end(&c, "a standby acknowledges");
	assert_int_equal(c.error, 0);
	return c.row;
}

/* ---- drcoord's side */

static enum dr_err op_at(const struct dr_target *more, const struct my_server *s, enum dr_op_kind kind, struct dr_op_args args,
			 uint32_t ms, struct rig_op *o)
{
	struct dr_target t = *more;
	struct dr_session session;

	t.address = s->at;
	assert_true(dr_name_set(&t.service, "orders"));
	assert_true(dr_name_set(&t.member, s->member));
	(void)dr_copy_text(t.user, sizeof(t.user), "drcoord_agent");
	(void)dr_copy_text(t.replication_user, sizeof(t.replication_user), "replicator");
	assert_true(dr_name_set(&args.self, s->member));
	assert_true(dr_name_set(&args.primary, here.primary->member));
	args.primary_at = here.primary->at;
	args.epoch = args.epoch != 0 ? args.epoch : EPOCH;
	rig_session_open(&here.rig, &session, &dr_mysql_adapter, &t);
	enum dr_err rv = rig_op_run(&here.rig, o, &session, kind, &args, ms);
	rig_session_close(&here.rig, &session, NULL);
	return rv;
}

static enum dr_err op(const struct my_server *s, enum dr_op_kind kind, struct dr_op_args args, uint32_t ms, struct rig_op *o)
{
	const struct dr_target plain = { .user = "" };
	return op_at(&plain, s, kind, args, ms, o);
}

static struct dr_evidence done(const struct my_server *s, enum dr_op_kind kind, struct dr_op_args args)
{
	struct rig_op o;

	if (op(s, kind, args, LONG_MS, &o) != DR_OK)
		fail_msg("%s on %s: %s: %s", dr_op_name(kind), s->member, dr_err_name(o.code), o.e.msg);
	return o.op.evidence;
}

static void acks(uint32_t k)
{
	struct dr_evidence ev = done(here.standby, DR_OP_ACKING, (struct dr_op_args){ .k = k });
	assert_int_equal(ev.acks, k > 0);
}

static void waits_for(uint32_t k)
{
	(void)done(here.primary, DR_OP_SYNC_SET, (struct dr_op_args){ .k = k });
}

static void says(const char *mariadb, const char *mysql)
{
	root_say(here.standby, is_mysql() ? mysql : mariadb);
}

/* ---- the tests; each begins with a standby that follows and acknowledges nothing, and a primary that waits for nobody */

static int begin(void **state)
{
	(void)state;
	(void)kill(here.primary->pid, SIGCONT);
	(void)done(here.primary, DR_OP_SYNC_SET, (struct dr_op_args){ .k = 0 });
	(void)done(here.standby, DR_OP_FOLLOWING, (struct dr_op_args){ .k = 0 });
	until_has(here.standby, committed());
	return 0;
}

/* A standby's position counts where its server has run on since it was told, and not where it was restarted. */
static void a_restart_makes_unsure(void **state)
{
	(void)state;
	acks(1);
	assert_true(done(here.standby, DR_OP_FROZEN, (struct dr_op_args){ .k = 0 }).acked);
	assert_true(done(here.standby, DR_OP_FOLLOWING, (struct dr_op_args){ .k = 1 }).acks);
	my_server_crash(here.standby);
	my_server_start(&here.all, here.standby);
	assert_false(done(here.standby, DR_OP_FROZEN, (struct dr_op_args){ .k = 0 }).acked);
}

/* Whoever is told to acknowledge has all that the primary had: it may have lost what it acknowledged before. */
static void joining_waits_for_the_rest(void **state)
{
	struct rig_op o;

	(void)state;
	root_say(here.primary, "ALTER USER replicator@'%' ACCOUNT LOCK");
	says("STOP SLAVE IO_THREAD", "STOP REPLICA IO_THREAD");
	(void)committed();
	assert_int_equal(op(here.standby, DR_OP_ACKING, (struct dr_op_args){ .k = 1 }, SHORT_MS, &o), DR_E_TIMEOUT);
	assert_false(done(here.standby, DR_OP_POSITIONS, (struct dr_op_args){ .k = 0 }).acks);
	root_say(here.primary, "ALTER USER replicator@'%' ACCOUNT UNLOCK");
	acks(1);
}

/* Once it acknowledges no more, a restart is not seen any more: so all that it received is applied first. */
static void leaving_applies_the_rest(void **state)
{
	struct rig_op o;
	MYSQL *holds = root_open(here.standby);

	(void)state;
	acks(1);
	waits_for(1);
	client_say(holds, "LOCK TABLES semi.held READ");
	uint64_t row = committed();
	assert_int_equal(op(here.standby, DR_OP_ACKING, (struct dr_op_args){ .k = 0 }, SHORT_MS, &o), DR_E_TIMEOUT);
	my_server_crash(here.standby);
	mysql_close(holds);
	my_server_start(&here.all, here.standby);
	assert_false(done(here.standby, DR_OP_FROZEN, (struct dr_op_args){ .k = 0 }).acked); /* not let go: it counts as unsure */
	waits_for(0);
	(void)done(here.standby, DR_OP_FOLLOWING, (struct dr_op_args){ .k = 0 });
	until_has(here.standby, row);
}

/* Its row is with the standby, by a connection that does not acknowledge. */
static void commit_that_waits(struct commit *c)
{
	waits_for(1);
	commit_begin(c);
	until_has(here.standby, c->row);
	assert_false(ends_within(c, HELD_MS));
}

/* A row that came over a connection which did not acknowledge is never asked for again: its commit must not wait for ever. */
static void what_came_before_waits_no_more(void **state)
{
	struct commit c;

	(void)state;
	commit_that_waits(&c);
	acks(1);
	commit_end(&c, "the standby has it, and acknowledges now");
	assert_true(has(here.primary, c.row));
	until_has(here.standby, committed());
}

/* A plan turns its standbys by FOLLOWING; where that is tried again, rows have come over a connection that did not acknowledge. */
static void following_ends_what_waits(void **state)
{
	struct commit c;

	(void)state;
	commit_that_waits(&c);
	assert_true(done(here.standby, DR_OP_FOLLOWING, (struct dr_op_args){ .k = 1 }).acks);
	commit_end(&c, "the standby has it, and acknowledges now");
	until_has(here.standby, committed());
}

/* A source that has gone without a word is missed within seconds, however its own administrator had named it. */
static void silence_is_noticed(void **state)
{
	const struct dr_op_args none = { .k = 0 };
	uint64_t began;

	(void)state;
	says("STOP SLAVE", "STOP REPLICA");
	says("CHANGE MASTER TO MASTER_HEARTBEAT_PERIOD = 30", "CHANGE REPLICATION SOURCE TO SOURCE_HEARTBEAT_PERIOD = 30");
	says("SET GLOBAL slave_net_timeout = 60", "SET GLOBAL replica_net_timeout = 60");
	(void)done(here.standby, DR_OP_FOLLOWING, none);
	rig_freeze(here.primary->pid);
	began = rig_now_ms();
	while (done(here.standby, DR_OP_POSITIONS, none).receiving && rig_now_ms() - began < LONG_MS)
		(void)usleep(20000);
	uint64_t ms = rig_now_ms() - began;
	assert_int_equal(kill(here.primary->pid, SIGCONT), 0);
	printf("             noticed after %llu ms\n", (unsigned long long)ms);
	assert_true(ms < MISSED_MS);
}

/* A standby that receives nothing any more has what it had received, as far as its server keeps that through a crash. */
static void what_was_received_is_applied(void **state)
{
	struct dr_evidence ev = { .received = 0 };
	const struct dr_op_args none = { .k = 0 };

	(void)state;
	if (!is_mysql())
		return;
	says("", "STOP REPLICA SQL_THREAD");
	uint64_t row = committed(), until = rig_now_ms() + LONG_MS;
	while (ev.received <= ev.replayed && rig_now_ms() < until)
		ev = done(here.standby, DR_OP_POSITIONS, none);
	rig_freeze(here.primary->pid); /* it can send nothing again */
	my_server_crash(here.standby);
	my_server_start(&here.all, here.standby);
	(void)done(here.standby, DR_OP_FROZEN, none);
	assert_true(has(here.standby, row));
}

/* A kill cut off what MariaDB had begun to note of its source: it follows all the same. */
static void notes_cut_off_are_no_hindrance(void **state)
{
	static const char *const notes[] = { "master.info", "relay-log.info" };
	char path[DR_PATH_MAX];

	(void)state;
	if (is_mysql())
		return; /* which keeps them in tables */
	for (unsigned i = 0; i < 2; i++) {
		says("SET GLOBAL innodb_flush_log_at_trx_commit = 1", ""); /* as an agent starts it */
		until_has(here.standby, committed());
		my_server_crash(here.standby);
		(void)snprintf(path, sizeof(path), "%s/%s", here.standby->data, notes[i]);
		assert_int_equal(truncate(path, 0), 0);
		my_server_start(&here.all, here.standby);
		assert_true(done(here.standby, DR_OP_FOLLOWING, (struct dr_op_args){ .k = 0 }).receiving);
		until_has(here.standby, committed());
	}
}

/* Whoever was let go is cut off, and the connection that its server makes by itself acknowledges nothing. */
static void who_is_cut_acknowledges_no_more(void **state)
{
	struct commit c;

	(void)state;
	acks(1);
	waits_for(1);
	(void)committed();
	(void)done(here.primary, DR_OP_SYNC_SET, (struct dr_op_args){ .k = 1, .cut = true });
	commit_begin(&c);
	assert_false(ends_within(&c, HELD_MS));
	(void)done(here.standby, DR_OP_FOLLOWING, (struct dr_op_args){ .k = 0 });
	until_has(here.standby, c.row);
	assert_false(ends_within(&c, HELD_MS));
	acks(1);
	commit_end(&c, "it was told again");
}

/* A person stops and starts replication by hand, and what was received is thrown away where the product does so: who says
 * that it has all that it acknowledged, has. */
static void by_hand_is_not_forgotten(void **state)
{
	struct rig_op o;

	(void)state;
	acks(1);
	waits_for(1);
	says("STOP SLAVE SQL_THREAD", "STOP REPLICA SQL_THREAD");
	uint64_t row = committed();
	rig_freeze(here.primary->pid); /* it can send nothing again */
	says("STOP SLAVE", "STOP REPLICA");
	says("START SLAVE", "START REPLICA");
	assert_int_equal(op(here.standby, DR_OP_FROZEN, (struct dr_op_args){ .k = 0 }, LONG_MS, &o), DR_OK);
	bool there = has(here.standby, row), acked = o.op.evidence.acked;
	assert_int_equal(kill(here.primary->pid, SIGCONT), 0);
	printf("             its row is %s; it counts as %s; frozen after %llu ms\n", there ? "there" : "gone",
	       acked ? "sure" : "unsure", (unsigned long long)o.took_ms);
	assert_true(there || !acked);
	assert_true(o.took_ms < MISSED_MS); /* its receiver was connecting to who says nothing */
}

/* MySQL waits for as many as it was told. */
static void one_is_not_two(void **state)
{
	struct commit c;

	(void)state;
	if (!is_mysql())
		return;
	acks(1);
	waits_for(2);
	commit_begin(&c);
	until_has(here.standby, c.row);
	assert_false(ends_within(&c, HELD_MS));
	waits_for(1);
	commit_end(&c, "one is enough now");
}

/* An event that cannot be turned on after a promotion keeps no other one from being noted. */
static void events_are_noted_all_the_same(void **state)
{
	struct rig_op o;
	const struct dr_op_args next = { .epoch = EPOCH + 1 }, none = { .epoch = 0 };

	(void)state;
	root_say(here.primary, "CREATE EVENT semi.theirs ON SCHEDULE EVERY 1 HOUR DO DO 0");
	root_say(here.primary, "CREATE DEFINER=drcoord_agent@'%' EVENT semi.ours ON SCHEDULE EVERY 1 HOUR DO DO 0");
	(void)done(here.primary, DR_OP_TENDED, none);
	assert_int_equal(root_number(here.primary, "SELECT COUNT(*) FROM drcoord.events"), 3);
	/* As on a standby that is promoted. */
	root_say(here.primary, is_mysql() ? "ALTER EVENT semi.theirs DISABLE ON REPLICA"
					  : "ALTER EVENT semi.theirs DISABLE ON SLAVE");
	root_say(here.primary, is_mysql() ? "ALTER DEFINER=drcoord_agent@'%' EVENT semi.ours DISABLE ON REPLICA"
					  : "ALTER DEFINER=drcoord_agent@'%' EVENT semi.ours DISABLE ON SLAVE");
	(void)done(here.primary, DR_OP_SIGNED, next);
	root_say(here.primary, is_mysql() ? "REVOKE SET_ANY_DEFINER ON *.* FROM drcoord_agent@'%'"
					  : "REVOKE SET USER, SUPER ON *.* FROM drcoord_agent@'%'");
	assert_int_equal(op(here.primary, DR_OP_TENDED, next, LONG_MS, &o), DR_E_DENIED);
	assert_non_null(strstr(o.e.msg, "semi.theirs"));
	root_say(here.primary, "CREATE DEFINER=drcoord_agent@'%' EVENT semi.later ON SCHEDULE EVERY 1 HOUR DO DO 0");
	assert_int_equal(op(here.primary, DR_OP_TENDED, next, LONG_MS, &o), DR_E_DENIED);
	assert_int_equal(root_number(here.primary, "SELECT COUNT(*) FROM drcoord.events WHERE event IN ('ours', 'later')"
						   " AND epoch = 3"), 2);
	assert_int_equal(root_number(here.primary, "SELECT COUNT(*) FROM drcoord.events WHERE event = 'theirs' AND epoch = 2"), 1);
	root_say(here.primary, is_mysql() ? "GRANT SET_ANY_DEFINER ON *.* TO drcoord_agent@'%'"
					  : "GRANT SET USER, SUPER ON *.* TO drcoord_agent@'%'");
	(void)done(here.primary, DR_OP_TENDED, next);
	assert_int_equal(root_number(here.primary, "SELECT COUNT(*) FROM drcoord.events WHERE epoch = 3"), 4);
	assert_int_equal(root_number(here.primary, "SELECT COUNT(*) FROM information_schema.EVENTS WHERE STATUS = 'ENABLED'"), 3);
	root_say(here.primary, "DROP EVENT semi.ours");
	root_say(here.primary, "DROP EVENT semi.theirs");
	root_say(here.primary, "DROP EVENT semi.later");
}

/* CLONE sends a password and fetches all data: with a CA to look for it takes nobody else's certificate. */
static void copies_look_at_the_certificate(void **state)
{
	struct dr_target t = { .user = "" };
	struct dr_op_args a = { .k = 0 };
	struct rig_op o;

	(void)state;
	if (!is_mysql())
		return;
	(void)dr_copy_text(t.unix_socket_dir, sizeof(t.unix_socket_dir), here.standby->socket);
	(void)snprintf(t.ca_file, sizeof(t.ca_file), "%s/ca.pem", here.standby->data); /* each has made itself one */
	(void)snprintf(a.folder, sizeof(a.folder), "%s/copy-of-another", here.all.dir.path);
	assert_int_not_equal(op_at(&t, here.standby, DR_OP_COPIED, a, LONG_MS, &o), DR_OK);
	printf("             %s\n", o.e.msg);
	assert_non_null(strstr(o.e.msg, "SSL connection error"));
	(void)snprintf(t.ca_file, sizeof(t.ca_file), "%s/ca.pem", here.primary->data);
	(void)snprintf(a.folder, sizeof(a.folder), "%s/copy", here.all.dir.path);
	if (op_at(&t, here.standby, DR_OP_COPIED, a, LONG_MS, &o) != DR_OK)
		fail_msg("%s", o.e.msg);
}

/* A copy that was broken off has ended, with what it has written, before the next one begins; and that one is made. */
static void copies_are_made_anew(void **state)
{
	struct dr_op_args a = { .k = 0 };
	struct dr_target t = { .user = "drcoord_agent" };
	struct dr_session session;
	struct rig_op o;

	(void)state;
	if (!is_mysql())
		return;
	(void)snprintf(a.folder, sizeof(a.folder), "%s/copy-again", here.all.dir.path);
	t.address = here.standby->at;
	a.primary_at = here.primary->at;
	for (unsigned ms = 50; ms <= 350; ms += 100) {
		rig_session_open(&here.rig, &session, &dr_mysql_adapter, &t);
		rig_op_start(&o, &session, DR_OP_COPIED, &a, LONG_MS);
		rig_for(&here.rig, ms);
		rig_session_close(&here.rig, &session, &o);
	}
	(void)done(here.standby, DR_OP_COPIED, a);
	char whole[DR_PATH_MAX + 8];
	(void)snprintf(whole, sizeof(whole), "%s.whole", a.folder);
	assert_int_equal(access(whole, F_OK), 0);
}

/* ---- one server and its standby for all */

static int make(void **state)
{
	(void)state;
	rig_init(&here.rig); /* unmake closes it, however far this comes */
	if (!my_servers_start(&here.all, here.all.root, 2))
		return 1;
	here.primary = &here.all.server[0];
	here.standby = &here.all.server[1];
	(void)done(here.primary, DR_OP_SIGNED, (struct dr_op_args){ .epoch = EPOCH });
	root_say(here.primary, "CREATE DATABASE semi");
	root_say(here.primary, "CREATE TABLE semi.held (n BIGINT PRIMARY KEY) ENGINE=InnoDB");
	return 0;
}

static int unmake(void **state)
{
	(void)state;
	rig_close(&here.rig);
	my_servers_stop(&here.all);
	return 0;
}

static int run(const char *name, const char *root)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_restart_makes_unsure, begin),
		cmocka_unit_test_setup(joining_waits_for_the_rest, begin),
		cmocka_unit_test_setup(leaving_applies_the_rest, begin),
		cmocka_unit_test_setup(what_came_before_waits_no_more, begin),
		cmocka_unit_test_setup(following_ends_what_waits, begin),
		cmocka_unit_test_setup(silence_is_noticed, begin),
		cmocka_unit_test_setup(what_was_received_is_applied, begin),
		cmocka_unit_test_setup(notes_cut_off_are_no_hindrance, begin),
		cmocka_unit_test_setup(who_is_cut_acknowledges_no_more, begin),
		cmocka_unit_test_setup(by_hand_is_not_forgotten, begin),
		cmocka_unit_test_setup(one_is_not_two, begin),
		cmocka_unit_test_setup(copies_look_at_the_certificate, begin),
		cmocka_unit_test_setup(copies_are_made_anew, begin),
		cmocka_unit_test_setup(events_are_noted_all_the_same, begin),
	};
	here.rows = 0;
	here.all.root = root;
	return cmocka_run_group_tests_name(name, tests, make, unmake);
}

int main(int argc, char **argv)
{
	return my_servers_each(argc, argv, run);
}
