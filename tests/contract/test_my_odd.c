/* test_my_odd.c -- servers as nobody wants them: ids that positions do not count, accounts that read_only does not bind, a standby
 * of somebody else's, privileges that are missing.  On MariaDB, and where DRCOORD_MYSQL_ROOT names one, on MySQL. */
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
#include "base/parse.h"
#include "my_servers.h"

enum { LONG_MS = 15000, SHORT_MS = 1500, WRITERS = 4, BUSY_MS = 300, AFTER_MS = 500, STOP_MS = 100 };

static struct {
	struct my_servers all;
	struct my_server *primary, *standby, *stranger;
	struct rig rig;
	uint64_t epoch;
} here;

static bool is_mysql(void)
{
	return here.all.root != NULL;
}

static const char *either(const char *mariadb, const char *mysql)
{
	return is_mysql() ? mysql : mariadb;
}

/* ---- drcoord's side */

static void open_session(const struct my_server *s, struct dr_session *session)
{
	struct dr_target t = { .address = s->at, .user = "drcoord_agent", .replication_user = "replicator" };

	assert_true(dr_name_set(&t.service, "orders"));
	assert_true(dr_name_set(&t.member, s->member));
	rig_session_open(&here.rig, session, &dr_mysql_adapter, &t);
}

static enum dr_err op_in(struct dr_session *session, enum dr_op_kind kind, uint32_t ms, struct rig_op *o)
{
	struct dr_op_args a = { .epoch = here.epoch, .primary_at = here.primary->at };

	assert_true(dr_name_set(&a.primary, here.primary->member));
	return rig_op_run(&here.rig, o, session, kind, &a, ms);
}

static enum dr_err op(const struct my_server *s, enum dr_op_kind kind, uint32_t ms, struct rig_op *o)
{
	struct dr_session session;

	open_session(s, &session);
	enum dr_err rv = op_in(&session, kind, ms, o);
	rig_session_close(&here.rig, &session, NULL);
	return rv;
}

static struct dr_evidence done(const struct my_server *s, enum dr_op_kind kind)
{
	struct rig_op o;

	if (op(s, kind, LONG_MS, &o) != DR_OK)
		fail_msg("%s on %s: %s: %s", dr_op_name(kind), s->member, dr_err_name(o.code), o.e.msg);
	return o.op.evidence;
}

static void refused_op(const struct my_server *s, enum dr_op_kind kind, enum dr_err want, const char *word)
{
	struct rig_op o;
	enum dr_err rv = op(s, kind, LONG_MS, &o);

	if (rv != want || strstr(o.e.msg, word) == NULL)
		fail_msg("%s: %s: %s", word, dr_err_name(rv), rv != DR_OK ? o.e.msg : "");
	printf("             %s\n", o.e.msg);
}

static void refused(const struct my_server *s, enum dr_err want, const char *word)
{
	refused_op(s, DR_OP_SIGNED, want, word);
}

/* ---- ids that positions do not count */

static bool has_received(const char *id)
{
	const char *column = either("Gtid_IO_Pos", "Retrieved_Gtid_Set");
	MYSQL *c = root_open(here.standby);

	client_say(c, either("SHOW SLAVE STATUS", "SHOW REPLICA STATUS"));
	MYSQL_RES *res = mysql_store_result(c);
	assert_non_null(res);
	MYSQL_ROW row = mysql_fetch_row(res);
	const MYSQL_FIELD *field = mysql_fetch_fields(res);
	bool found = false;
	for (unsigned i = 0; row != NULL && i < mysql_num_fields(res); i++)
		found = found || (strcmp(field[i].name, column) == 0 && row[i] != NULL && strstr(row[i], id) != NULL);
	mysql_free_result(res);
	mysql_close(c);
	return found;
}

/* A row that the standby has received, of another domain or with a tag, and cannot apply while `holds` has the table. */
static void receive(MYSQL *holds, unsigned n)
{
	char sql[80], id[16];
	uint64_t end = rig_now_ms() + LONG_MS;
	MYSQL *c = root_open(here.primary);

	client_say(holds, "LOCK TABLES odd.rows_of READ");
	client_say(c, either("SET gtid_domain_id = 1", "SET gtid_next = 'AUTOMATIC:odd'"));
	(void)snprintf(sql, sizeof(sql), "INSERT INTO odd.rows_of VALUES (%u)", n);
	client_say(c, sql);
	mysql_close(c);
	(void)snprintf(id, sizeof(id), is_mysql() ? ":odd:%u" : "1-1-%u", n);
	while (!has_received(id)) {
		if (rig_now_ms() > end)
			fail_msg("%s was not received", id);
		(void)usleep(10000);
	}
}

static bool has(const struct my_server *s, unsigned n)
{
	char sql[80];

	(void)snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM odd.rows_of WHERE n = %u", n);
	return root_number(s, sql) == 1;
}

/* What was received and acknowledged is applied before its source is forgotten, whatever ids it has. */
static void all_ids_are_applied(void **state)
{
	static const enum dr_op_kind leaving[] = { DR_OP_FROZEN, DR_OP_WRITABLE };
	struct rig_op o;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		(void)done(here.standby, DR_OP_FOLLOWING);
		here.epoch += i;
		MYSQL *holds = root_open(here.standby);
		receive(holds, i + 1);
		assert_int_equal(op(here.standby, leaving[i], SHORT_MS, &o), DR_E_TIMEOUT);
		mysql_close(holds);
		(void)done(here.standby, leaving[i]);
		assert_true(has(here.standby, i + 1));
	}
	struct dr_evidence ev = done(here.primary, DR_OP_TENDED);
	printf("             %s\n", ev.caution);
	assert_non_null(strstr(ev.caution, either("domain 1 ", "have a tag")));
}

/* ---- accounts that read_only does not bind */

struct writer {
	pthread_t thread;
	atomic_bool ends;
	uint64_t acknowledged; /* the newest id; of MySQL how many there were */
	atomic_uint count;
};

/* Whoever is thrown out comes again. */
static void *write_on(void *arg)
{
	struct writer *w = arg;
	uint64_t id = 0;

	(void)mysql_thread_init();
	while (!atomic_load(&w->ends)) {
		MYSQL *c = client_open(here.primary, "app");
		while (c != NULL && !atomic_load(&w->ends) && mysql_query(c, "INSERT INTO odd.written VALUES ()") == 0) {
			atomic_fetch_add(&w->count, 1);
			MYSQL_RES *res = !is_mysql() && mysql_query(c, "SELECT SUBSTRING_INDEX(@@last_gtid, '-', -1)") == 0
						 ? mysql_store_result(c) : NULL;
			MYSQL_ROW row = res != NULL ? mysql_fetch_row(res) : NULL;
			if (row != NULL && row[0] != NULL && dr_parse_u64(row[0], 0, UINT64_MAX, &id) == DR_OK)
				w->acknowledged = id;
			mysql_free_result(res);
		}
		if (c != NULL)
			mysql_close(c);
		(void)usleep(1000);
	}
	mysql_thread_end();
	return NULL;
}

static unsigned written(struct writer *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WRITERS; i++)
		n += atomic_load(&w[i].count);
	return n;
}

/* A closed primary acknowledges nothing past the position that it told, to nobody, until it is stopped. */
static void closed_binds_all(void **state)
{
	struct writer w[WRITERS] = { 0 };
	struct dr_session session;
	struct rig_op o;

	(void)state;
	root_say(here.primary, "SET GLOBAL innodb_flush_log_at_trx_commit = 1"); /* as an agent starts it: it is killed below */
	open_session(here.primary, &session);
	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&w[i].thread, NULL, write_on, &w[i]), 0);
	(void)usleep(BUSY_MS * 1000);
	if (op_in(&session, DR_OP_CLOSED, LONG_MS, &o) != DR_OK)
		fail_msg("%s", o.e.msg);
	unsigned then = written(w);
	rig_for(&here.rig, AFTER_MS);
	unsigned later = written(w);
	/* As an agent does. */
	assert_int_equal(kill(here.primary->pid, SIGTERM), 0);
	(void)usleep(STOP_MS * 1000);
	my_server_crash(here.primary);
	uint64_t most = 0;
	for (unsigned i = 0; i < WRITERS; i++) {
		atomic_store(&w[i].ends, true);
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
		most = w[i].acknowledged > most ? w[i].acknowledged : most;
	}
	rig_session_close(&here.rig, &session, NULL);
	my_server_start(&here.all, here.primary);
	(void)done(here.primary, DR_OP_WRITABLE);
	printf("             %u rows when it was closed, %u later, %u at the end; closed at %llu, the newest %llu; %llu ms\n",
	       then, later, written(w), (unsigned long long)o.op.evidence.received, (unsigned long long)most,
	       (unsigned long long)o.took_ms);
	assert_true(then > WRITERS);
	assert_int_equal(later, then);
	assert_int_equal(written(w), then);
	assert_true(most <= o.op.evidence.received);
	assert_int_equal(root_number(here.primary, "SELECT COUNT(*) FROM odd.written") >= then, 1);
}

/* ---- a standby of somebody else's */

static void turn(const struct my_server *s, uint16_t port)
{
	char sql[240];

	root_say(s, either("STOP SLAVE", "STOP REPLICA"));
	(void)snprintf(sql, sizeof(sql), either("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = %u,"
						" MASTER_USE_GTID = slave_pos",
						"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = %u,"
						" SOURCE_AUTO_POSITION = 1"), port);
	root_say(s, sql);
}

static void only_our_own_is_taken_over(void **state)
{
	uint16_t elsewhere = rig_free_port();
	char word[32];

	(void)state;
	(void)snprintf(word, sizeof(word), "127.0.0.1:%u", elsewhere);
	root_say(here.stranger, either("SET GLOBAL read_only = 0", "SET GLOBAL read_only = 0, GLOBAL super_read_only = 0"));
	root_say(here.stranger, "CREATE DATABASE strange");
	root_say(here.stranger, either("SET GLOBAL read_only = 1", "SET GLOBAL super_read_only = 1"));
	turn(here.stranger, elsewhere);
	refused(here.stranger, DR_E_REFUSED, word);
	/* No copy of ours takes the place of what nobody has said is ours. */
	refused_op(here.stranger, DR_OP_COMPARED, DR_E_REFUSED, "move its data folder away");
	/* One of ours that has another source is turned, and that is said. */
	(void)done(here.standby, DR_OP_FOLLOWING);
	assert_string_equal(done(here.standby, DR_OP_SIGNED).text, "");
	turn(here.standby, elsewhere);
	struct dr_evidence ev = done(here.standby, DR_OP_SIGNED);
	printf("             %s\n", ev.text);
	assert_non_null(strstr(ev.text, word));
	assert_true(done(here.standby, DR_OP_FOLLOWING).receiving);
	if (is_mysql())
		return;
	root_say(here.standby, "SET GLOBAL gtid_domain_id = 5");
	refused(here.standby, DR_E_REFUSED, "gtid_domain_id");
	root_say(here.standby, "SET GLOBAL gtid_domain_id = 0");
}

/* ---- privileges that are missing */

static void grant(bool gives, const char *name, const char *on)
{
	char sql[200];
	MYSQL *c = root_open(here.primary);

	client_say(c, "SET sql_log_bin = 0");
	(void)snprintf(sql, sizeof(sql), "%s %s ON %s %s drcoord_agent@'%%'", gives ? "GRANT" : "REVOKE", name, on,
		       gives ? "TO" : "FROM");
	client_say(c, sql);
	mysql_close(c);
}

static void each_missing_privilege_is_named(void **state)
{
	static const struct {
		const char *on, *mariadb, *mysql;
	} all[] = {
#define PRIVILEGE(why, on, mariadb, before, mysql) { on, mariadb, mysql },
#include "adapters/mysql/privileges.def"
	};
	(void)state;
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const char *name = either(all[i].mariadb, all[i].mysql);
		if (name[0] == '\0')
			continue;
		grant(false, name, all[i].on);
		refused(here.primary, DR_E_DENIED, name);
		grant(true, name, all[i].on);
	}
	(void)done(here.primary, DR_OP_SIGNED);
}

/* Names are quoted by another sign then. */
static void they_are_read_in_any_mode(void **state)
{
	(void)state;
	root_say(here.primary, "SET GLOBAL sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')");
	(void)done(here.primary, DR_OP_SIGNED);
	root_say(here.primary, "SET GLOBAL sql_mode = REPLACE(@@global.sql_mode, 'ANSI_QUOTES', '')");
}

/* A role's counts where the account's sessions have it. */
static void roles_count_where_they_are_on(void **state)
{
	(void)state;
	root_say(here.primary, "CREATE ROLE odd_role");
	root_say(here.primary, "GRANT PROCESS ON *.* TO odd_role");
	root_say(here.primary, "GRANT odd_role TO drcoord_agent@'%'");
	grant(false, "PROCESS", "*.*");
	refused(here.primary, DR_E_DENIED, "PROCESS");
	root_say(here.primary, either("SET DEFAULT ROLE odd_role FOR drcoord_agent@'%'",
					   "SET DEFAULT ROLE odd_role TO drcoord_agent@'%'"));
	(void)done(here.primary, DR_OP_SIGNED);
	grant(true, "PROCESS", "*.*");
	root_say(here.primary, "DROP ROLE odd_role");
}

/* Whoever starts a server that was taken over: it comes up read-only, as it does for administrators. */
static void the_next_start_is_fenced(void **state)
{
	(void)state;
	if (is_mysql())
		assert_int_equal(root_number(here.primary, "SELECT COUNT(*) FROM performance_schema.persisted_variables WHERE"
								" VARIABLE_NAME = 'super_read_only' AND VARIABLE_VALUE = 'ON'"),
				 1);
}

/* ---- one server and its standby for all, and one that is nobody's */

static int make(void **state)
{
	(void)state;
	rig_init(&here.rig); /* unmake closes it, however far this comes */
	if (!my_servers_start(&here.all, here.all.root, 3))
		return 1;
	here.primary = &here.all.server[0];
	here.standby = &here.all.server[1];
	here.stranger = &here.all.server[2];
	here.epoch = 2;
	(void)done(here.primary, DR_OP_SIGNED);
	root_say(here.primary, "CREATE DATABASE odd");
	root_say(here.primary, "CREATE TABLE odd.rows_of (n BIGINT PRIMARY KEY) ENGINE=InnoDB");
	root_say(here.primary, "CREATE TABLE odd.written (n BIGINT AUTO_INCREMENT PRIMARY KEY) ENGINE=InnoDB");
	root_say(here.primary, "CREATE USER app@localhost");
	root_say(here.primary, either("GRANT READ_ONLY ADMIN, CONNECTION ADMIN ON *.* TO app@localhost",
					   "GRANT CONNECTION_ADMIN ON *.* TO app@localhost"));
	root_say(here.primary, "GRANT INSERT, SELECT ON odd.* TO app@localhost");
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
		cmocka_unit_test(the_next_start_is_fenced),
		cmocka_unit_test(each_missing_privilege_is_named),
		cmocka_unit_test(they_are_read_in_any_mode),
		cmocka_unit_test(roles_count_where_they_are_on),
		cmocka_unit_test(only_our_own_is_taken_over),
		cmocka_unit_test(closed_binds_all),
		cmocka_unit_test(all_ids_are_applied),
	};
	here.all.root = root;
	return cmocka_run_group_tests_name(name, tests, make, unmake);
}

int main(int argc, char **argv)
{
	return my_servers_each(argc, argv, run);
}
