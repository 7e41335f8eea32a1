/* test_postgres_accounts.c -- the accounts of adapters/postgres/setup.sql: each may do its part and no more,
 * and their passwords show up in no message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"
#include "pg_lab.h"
#include "sys/file.h"

extern const struct dr_adapter dr_postgres_adapter;

/* As awkward as a password may be: it goes through libpq's, SQL's and the settings file's quoting. */
static const char SECRET[] = "it's a \\ \"secret\" host=10.9.9.9 $x # %s";

static struct rig rig;
static struct pg_server a, b;

static enum dr_err run(const struct pg_server *s, const char *user, enum dr_op_kind kind,
		       const struct dr_op_args *args, struct rig_op *o)
{
	struct dr_target t = pg_lab_target(s, strcmp(user, "drcoord") != 0);
	struct dr_session session;

	(void)dr_copy_text(t.user, sizeof(t.user), user);
	(void)dr_copy_text(t.replication_user, sizeof(t.replication_user), "repl_pw");
	(void)snprintf(t.replication_password_file, sizeof(t.replication_password_file), "%s/repl",
		       a.dir.path);
	rig_session_open(&rig, &session, &dr_postgres_adapter, &t);
	enum dr_err err = rig_op_run(&rig, o, &session, kind, args, 10000);
	rig_session_close(&rig, &session, NULL);
	assert_null(strstr(o->e.msg, "secret"));
	assert_null(strstr(o->op.evidence.text, "secret"));
	return err;
}

static void may(const struct pg_server *s, const char *user, enum dr_op_kind kind,
		const struct dr_op_args *args, bool yes)
{
	struct rig_op o;
	enum dr_err err = run(s, user, kind, args, &o);
	if ((err == DR_OK) != yes || (!yes && err != DR_E_DENIED))
		fail_msg("%s, %s on %s: %s (%s)", user, dr_op_name(kind), s->name, dr_err_name(err), o.e.msg);
}

static void not_in_file(const struct pg_server *s, const char *file, const char *text)
{
	char path[128];
	struct dr_error e;
	struct dr_buf bytes;
	(void)snprintf(path, sizeof(path), "%s/%s", s->dir.path, file);
	dr_buf_init(&bytes, 16 << 20);
	assert_int_equal(dr_file_read(path, &bytes, &e), DR_OK);
	dr_buf_put_u8(&bytes, 0);
	assert_true(bytes.len > 100);
	bool shown = strstr((const char *)bytes.data, text) != NULL;
	dr_buf_close(&bytes);
	if (shown)
		fail_msg("%s shows '%s'", path, text);
}

static void test_accounts(void **state)
{
	struct dr_op_args args = { .epoch = 1, .local_commit = true, .k = 1, .peers = 1 };
	struct dr_op_args alone = { .epoch = 2, .local_commit = true };
	static const enum dr_op_kind looks[] = { DR_OP_PROBE, DR_OP_POSITIONS, DR_OP_PROBE_WRITE };
	static const enum dr_op_kind acts[] = { DR_OP_SYNC_SET, DR_OP_SLOTS, DR_OP_CHECKPOINTED };
	(void)state;
	assert_true(dr_name_set(&args.self, "pg-b"));
	assert_true(dr_name_set(&args.primary, "pg-a"));
	assert_true(dr_name_set(&args.peer[0], "pg-b"));
	(void)dr_copy_text(args.primary_at.host, sizeof(args.primary_at.host), "127.0.0.1");
	args.primary_at.port = a.port;
	for (size_t i = 0; i < 3; i++) {
		may(&a, "drcoord", looks[i], &args, true);
		may(&a, "drcoord_agent", looks[i], &args, true);
	}
	struct dr_op_args on_a = args;
	assert_true(dr_name_set(&on_a.self, "pg-a"));
	may(&a, "drcoord_agent", DR_OP_SLOTS, &on_a, true);
	may(&b, "drcoord", DR_OP_FOLLOWING, &args, false);
	may(&b, "drcoord_agent", DR_OP_FOLLOWING, &args, true);
	for (size_t i = 0; i < 3; i++)
		may(&a, "drcoord_agent", acts[i], &on_a, true);
	struct dr_op_args other = alone;
	assert_true(dr_name_set(&other.peer[0], "pg-x"));
	other.peers = other.k = 1;
	for (size_t i = 0; i < 3; i++)
		may(&a, "drcoord", acts[i], &other, false);
	/* An account that may see shows what is to be seen. */
	struct rig_op o;
	assert_int_equal(run(&b, "drcoord", DR_OP_PROBE, &args, &o), DR_OK);
	assert_true(o.op.evidence.receiving);
	assert_string_equal(o.op.evidence.upstream.s, "pg-a");

	may(&b, "drcoord", DR_OP_FROZEN, &alone, false);
	may(&b, "drcoord_agent", DR_OP_FROZEN, &alone, true);
	may(&b, "drcoord", DR_OP_WRITABLE, &alone, false);
	may(&b, "drcoord_agent", DR_OP_WRITABLE, &alone, true);
	may(&b, "drcoord_agent", DR_OP_CHECKPOINTED, &alone, true);
	/* The reload logs the changed setting whatever we do (README.md); the statement is kept out. */
	not_in_file(&b, "server.log", "statement: ALTER SYSTEM SET primary_conninfo = E");
	not_in_file(&a, "server.log", "secret");
}

static int setup(void **state)
{
	char path[256];
	struct dr_buf sql;
	struct dr_error e;
	(void)state;
	rig_init(&rig);
	pg_lab_init(&a, "pg-a");
	pg_lab_start(&a);
	/* psql reads it as user postgres, from a copy that this user may read. */
	dr_buf_init(&sql, 65536);
	if (dr_file_read(SETUP_SQL, &sql, &e) != DR_OK)
		fail_msg("%s", e.msg);
	dr_buf_put_u8(&sql, 0);
	rig_file(&a.dir, "setup.sql", "%s", (const char *)sql.data);
	dr_buf_close(&sql);
	(void)snprintf(path, sizeof(path), "%s/setup.sql", a.dir.path);
	for (int i = 0; i < 2; i++)
		assert_true(pg_lab_file(&a, path));
	rig_file(&a.dir, "repl", "%s\n", SECRET);
	rig_file(&a.dir, "role.sql",
		 "SET log_statement = 'none';\nCREATE ROLE repl_pw LOGIN REPLICATION PASSWORD $q$%s$q$;\n",
		 SECRET);
	(void)snprintf(path, sizeof(path), "%s/role.sql", a.dir.path);
	assert_true(pg_lab_file(&a, path));
	pg_lab_clone(&b, "pg-b", &a);
	pg_lab_start(&b);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pg_lab_remove(&a);
	pg_lab_remove(&b);
	rig_close(&rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_accounts) };
	return cmocka_run_group_tests(tests, setup, teardown);
}
