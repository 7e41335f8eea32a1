/* test_agent_files.c -- what the agent keeps in files and reads from them: journal, WAL names, PostgreSQL's files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/shell/journal.h"
#include "agent/shell/journal_codec.h"
#include "agent/shell/pg_files.h"
#include "agent/shell/pg_wal.h"
#include "sys/file.h"
#include "temp.h"

static char folder[64];

static int set_up(void **state)
{
	(void)state;
	temp_template(folder, sizeof(folder), "guard-files");
	return mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	static const char *const names[] = { "journal", "postgresql.auto.conf", "standby.signal",
					     "postmaster.pid", "" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[128];
		(void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		(void)remove(path);
	}
	return 0;
}

static const char *in(const char *name)
{
	static char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static enum dr_err read_journal(struct dr_buf *b)
{
	struct dr_error e;
	dr_buf_clear(b);
	return dr_journal_store_read(in("journal"), b, &e);
}

static void test_journal(void **state)
{
	(void)state;
	struct dr_buf b, raw;
	struct dr_error e;
	static const char record[] = "epoch 7, order 12";
	dr_buf_init(&b, DR_JOURNAL_BYTES_MAX);
	dr_buf_init(&raw, 4096);
	assert_int_equal(read_journal(&b), DR_E_NOT_FOUND);
	assert_int_equal(dr_journal_store_write(in("journal"), "", 0, &e), DR_OK);
	assert_int_equal(read_journal(&b), DR_OK);
	assert_int_equal(b.len, 0);
	assert_int_equal(dr_journal_store_write(in("journal"), record, sizeof(record), &e), DR_OK);
	assert_int_equal(read_journal(&b), DR_OK);
	assert_int_equal(b.len, sizeof(record));
	assert_memory_equal(b.data, record, sizeof(record));

	/* Every flipped bit and every cut is noticed; none is taken for an empty or absent journal. */
	assert_int_equal(dr_file_read(in("journal"), &raw, &e), DR_OK);
	for (size_t i = 0; i < raw.len * 8; i++) {
		raw.data[i / 8] ^= (uint8_t)(1u << (i % 8));
		assert_int_equal(dr_file_replace(in("journal"), raw.data, raw.len, 0600, &e), DR_OK);
		assert_int_equal(read_journal(&b), DR_E_CORRUPT);
		raw.data[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	for (size_t n = 0; n < raw.len; n++) {
		assert_int_equal(dr_file_replace(in("journal"), raw.data, n, 0600, &e), DR_OK);
		assert_int_equal(read_journal(&b), DR_E_CORRUPT);
	}
	dr_buf_put_u8(&raw, 0);
	assert_int_equal(dr_file_replace(in("journal"), raw.data, raw.len, 0600, &e), DR_OK);
	assert_int_equal(read_journal(&b), DR_E_CORRUPT);
	assert_int_equal(dr_journal_store_write("/nowhere/journal", record, sizeof(record), &e),
			 DR_E_NOT_FOUND);
	dr_buf_close(&b);
	dr_buf_close(&raw);
}

/* One that the build before has written is read: without what a result says of the data's identity. */
static void test_journal_of_before(void **state)
{
	enum { RESULT_SYSTEM_ID_AT = 49 }; /* behind format, flags, role, epoch, order_seen and the result up to its timeline */
	static struct dr_agent_journal was, is;
	struct dr_buf b;
	struct dr_error e;
	(void)state;
	was = (struct dr_agent_journal){ .managed = true, .role = DR_ROLE_STANDBY, .epoch = 7, .promise_ms = 4000 };
	was.done = (struct dr_order_result){ .number = 5, .epoch = 6, .position = 77, .timeline = 3, .system_id = 99 };
	was.done.acked = true;
	dr_buf_init(&b, DR_JOURNAL_BYTES_MAX);
	dr_agent_journal_encode(&b, &was);
	assert_int_equal(dr_agent_journal_decode(&is, b.data, b.len, &e), DR_OK);
	assert_memory_equal(&is, &was, sizeof(is));
	b.data[0] = 2;
	memmove(b.data + RESULT_SYSTEM_ID_AT, b.data + RESULT_SYSTEM_ID_AT + 8, b.len - RESULT_SYSTEM_ID_AT - 8);
	assert_int_equal(dr_agent_journal_decode(&is, b.data, b.len - 8, &e), DR_OK);
	was.done.system_id = 0;
	assert_memory_equal(&is, &was, sizeof(is));
	b.data[0] = 1;
	assert_int_equal(dr_agent_journal_decode(&is, b.data, b.len - 8, &e), DR_E_CORRUPT);
	dr_buf_close(&b);
}

static void test_lsn(void **state)
{
	(void)state;
	uint64_t lsn = 0;
	char text[PG_LSN_TEXT];
	assert_true(pg_lsn_parse("0/3000060", &lsn));
	assert_int_equal(lsn, 0x3000060);
	assert_true(pg_lsn_parse("1A/ff, prev", &lsn));
	assert_true(lsn == 0x1A000000ffull);
	assert_string_equal(pg_lsn_text(lsn, text), "1A/FF");
	assert_false(pg_lsn_parse("/0", &lsn));
	assert_false(pg_lsn_parse("12", &lsn));
	assert_false(pg_lsn_parse("0/", &lsn));
	assert_false(pg_lsn_parse("", &lsn));
}

static void test_history(void **state)
{
	(void)state;
	static struct pg_history a, b;
	struct dr_error e;
	uint32_t tli = 0;
	uint64_t lsn = 0;
	/* Same timeline still. */
	assert_int_equal(pg_history_parse(NULL, 1, &a, &e), DR_OK);
	assert_int_equal(pg_history_parse("", 1, &b, &e), DR_OK);
	assert_true(pg_history_fork(&a, &b, &tli, &lsn));
	assert_int_equal(tli, 1);
	assert_true(lsn == UINT64_MAX);
	/* The source left timeline 1 and then 2. */
	assert_int_equal(
	    pg_history_parse("1\t0/3000060\tno recovery target specified\n\n# a comment\n2\t0/5000000\tx\n",
			     3, &b, &e),
	    DR_OK);
	assert_int_equal(b.n, 3);
	assert_true(pg_history_fork(&a, &b, &tli, &lsn));
	assert_int_equal(tli, 1);
	assert_int_equal(lsn, 0x3000060);
	/* Both were promoted to a timeline 2 of their own, from different points: 2 isn't shared. */
	assert_int_equal(pg_history_parse("1\t0/2000000\tx\n", 2, &a, &e), DR_OK);
	assert_true(pg_history_fork(&a, &b, &tli, &lsn));
	assert_int_equal(tli, 1);
	assert_int_equal(lsn, 0x2000000);
	assert_int_equal(pg_history_parse("2\t0/1\tx\n1\t0/2\tx\n", 3, &a, &e), DR_E_PROTOCOL);
	assert_int_equal(pg_history_parse("3\t0/1\tx\n", 3, &a, &e), DR_E_PROTOCOL);
	assert_int_equal(pg_history_parse("rubbish", 3, &a, &e), DR_E_PROTOCOL);
}

static void test_segments(void **state)
{
	(void)state;
	uint32_t tli = 0;
	uint64_t number = 0;
	assert_true(pg_segment_parse("0000000A0000000100000003", 16u << 20, &tli, &number));
	assert_int_equal(tli, 10);
	assert_int_equal(number, 259);
	assert_true(pg_segment_parse("000000010000000000000003.partial", 16u << 20, &tli, &number));
	assert_false(pg_segment_parse("00000002.history", 16u << 20, &tli, &number));
	assert_false(pg_segment_parse("000000010000000000000003.00000028.backup", 16u << 20, &tli, &number));
	assert_false(pg_segment_parse("archive_status", 16u << 20, &tli, &number));
}

static void test_auto_conf(void **state)
{
	(void)state;
	struct dr_buf b;
	struct dr_error e;
	static const char before[] =
	    "# Do not edit\nprimary_conninfo = 'old'\nwork_mem='4MB'\n PRIMARY_CONNINFO 'older'\n"
	    "primary_conninfo_x = 1\nsynchronous_standby_names = 'ANY 1 (b)'";
	static const char after[] = "# Do not edit\nwork_mem='4MB'\nprimary_conninfo_x = 1\n"
				    "primary_conninfo = 'password=''it\\\\''s'''\n";
	const struct dr_pg_setting set[] = { { "primary_conninfo", "password='it\\'s'" },
					     { "synchronous_standby_names", NULL } };
	const struct dr_pg_setting evil[] = { { "primary_conninfo", "x\nfsync = off" } };
	assert_int_equal(dr_file_replace(in("postgresql.auto.conf"), before, sizeof(before) - 1, 0600, &e),
			 DR_OK);
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(dr_pg_auto_conf(folder, set, 2, &e), DR_OK);
		dr_buf_init(&b, 4096);
		assert_int_equal(dr_file_read(in("postgresql.auto.conf"), &b, &e), DR_OK);
		assert_int_equal(b.len, sizeof(after) - 1);
		assert_memory_equal(b.data, after, sizeof(after) - 1);
		dr_buf_close(&b);
	}
	assert_int_equal(dr_pg_auto_conf(folder, evil, 1, &e), DR_E_INVALID);
}

static void test_marks(void **state)
{
	(void)state;
	struct dr_proc_id id;
	struct dr_error e;
	char text[32];
	assert_false(dr_pg_is_marked(folder));
	for (int twice = 0; twice < 2; twice++)
		assert_int_equal(dr_pg_mark_standby(folder, &e), DR_OK);
	assert_true(dr_pg_is_marked(folder));
	for (int twice = 0; twice < 2; twice++)
		assert_int_equal(dr_pg_unmark_standby(folder, &e), DR_OK);
	assert_false(dr_pg_is_marked(folder));
	/* No file; a single-user server's; ours, which is no PostgreSQL; rubbish. */
	assert_int_equal(dr_pg_postmaster(folder, &id, &e), DR_E_NOT_FOUND);
	static const char *const lines[] = { "-1\n", "", "x\n", NULL };
	(void)snprintf(text, sizeof(text), "%d\n", (int)getpid());
	for (size_t i = 0; i < 4; i++) {
		const char *line = lines[i] != NULL ? lines[i] : text;
		assert_int_equal(dr_file_replace(in("postmaster.pid"), line, strlen(line), 0600, &e), DR_OK);
		assert_int_equal(dr_pg_postmaster(folder, &id, &e), DR_E_NOT_FOUND);
		assert_int_equal(id.pid, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_journal, set_up, tear_down),
		cmocka_unit_test(test_journal_of_before),
		cmocka_unit_test(test_lsn),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_segments),
		cmocka_unit_test_setup_teardown(test_auto_conf, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_marks, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
