/* test_my_binlog.c -- what is read from the binary logs of MySQL and MariaDB, whole, torn, encrypted or not logs at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/shell/my_binlog.h"

#define A "3e11fa47-71ca-11e1-9e33-c80aa9429562"

struct log {
	uint8_t bytes[1024];
	size_t n;
};

static void put(struct log *l, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		l->bytes[l->n++] = (uint8_t)(v >> (8 * i));
}

/* A header, and `body` bytes that the caller puts behind it. */
static void event(struct log *l, uint8_t type, uint32_t server, uint32_t body)
{
	put(l, 0, 4);
	put(l, type, 1);
	put(l, server, 4);
	put(l, 19 + body, 4);
	put(l, 0, 4);
	put(l, 0, 2);
}

static void begin(struct log *l)
{
	static const uint8_t magic[] = { 0xfe, 'b', 'i', 'n' };
	memset(l, 0, sizeof(*l));
	memcpy(l->bytes, magic, sizeof(magic));
	l->n = sizeof(magic);
	event(l, 15, 1, 40); /* the format */
	l->n += 40;
}

static void mariadb_gtid(struct log *l, uint32_t domain, uint32_t server, uint64_t sequence)
{
	event(l, 162, server, 17);
	put(l, sequence, 8);
	put(l, domain, 4);
	put(l, 0, 5);
	event(l, 23, server, 50); /* its rows */
	l->n += 50;
}

struct found {
	struct my_transaction t[8];
	unsigned n;
};

static void each(void *ctx, const struct my_transaction *t)
{
	struct found *f = ctx;
	assert_true(f->n < 8);
	f->t[f->n++] = *t;
}

static enum my_binlog_end read_log(struct log *l, struct found *f)
{
	FILE *file = fmemopen(l->bytes, l->n, "r");
	assert_non_null(file);
	memset(f, 0, sizeof(*f));
	enum my_binlog_end how = my_binlog_read(file, each, f);
	(void)fclose(file);
	return how;
}

static void of_mariadb(void **state)
{
	struct log l;
	struct found f;
	char text[MY_ID_TEXT];
	(void)state;
	begin(&l);
	mariadb_gtid(&l, 0, 1, 314);
	mariadb_gtid(&l, 7, 2, 5000000000);
	assert_int_equal(read_log(&l, &f), MY_BINLOG_WHOLE);
	assert_int_equal(f.n, 2);
	assert_string_equal(my_transaction_text(&f.t[0], text), "0-1-314");
	assert_string_equal(my_transaction_text(&f.t[1], text), "7-2-5000000000");
	assert_int_equal(f.t[0].begin, 63);
	assert_int_equal(f.t[0].end, f.t[1].begin);
	assert_int_equal(f.t[1].end, l.n);
	assert_true(my_history_has("0-1-314,0-2-400", &f.t[0]));
	assert_false(my_history_has("0-1-313,0-2-400", &f.t[0]));
	assert_false(my_history_has("0-2-400", &f.t[0]));
	assert_false(my_history_has("", &f.t[0]));
}

static void of_mysql(void **state)
{
	static const uint8_t sid[] = { 0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1,
				       0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42, 0x95, 0x62 };
	struct log l;
	struct found f;
	char text[MY_ID_TEXT];
	(void)state;
	begin(&l);
	event(&l, 33, 9, 42);
	put(&l, 1, 1);
	memcpy(l.bytes + l.n, sid, sizeof(sid));
	l.n += sizeof(sid);
	put(&l, 23, 8);
	l.n += 42 - 25;
	event(&l, 42, 9, 30); /* an id with a tag */
	l.n += 30;
	assert_int_equal(read_log(&l, &f), MY_BINLOG_WHOLE);
	assert_int_equal(f.n, 2);
	assert_string_equal(my_transaction_text(&f.t[0], text), A ":23");
	assert_true(my_history_has(A ":1-22:23-99", &f.t[0]));
	assert_false(my_history_has(A ":1-22:24-99", &f.t[0]));
	/* Nobody is taken to have what can't be told. */
	assert_string_equal(my_transaction_text(&f.t[1], text), "(tagged)");
	assert_false(my_history_has(A ":1-99", &f.t[1]));
}

static void torn(void **state)
{
	struct log l;
	struct found f;
	(void)state;
	begin(&l);
	mariadb_gtid(&l, 0, 1, 1);
	size_t whole = l.n;
	mariadb_gtid(&l, 0, 1, 2);
	for (size_t cut = whole + 1; cut < l.n; cut++) {
		struct log part = l;
		part.n = cut;
		bool between = cut == whole + 36; /* behind the id, before the rows */
		assert_int_equal(read_log(&part, &f), between ? MY_BINLOG_WHOLE : MY_BINLOG_TORN);
		assert_int_equal(f.n, cut >= whole + 36 ? 2 : 1);
	}
	l.bytes[whole + 9] = 3; /* an event smaller than its header */
	l.bytes[whole + 10] = l.bytes[whole + 11] = l.bytes[whole + 12] = 0;
	assert_int_equal(read_log(&l, &f), MY_BINLOG_TORN);
	assert_int_equal(f.n, 1);
}

static void opaque(void **state)
{
	struct log l;
	struct found f;
	(void)state;
	begin(&l);
	event(&l, 164, 1, 36); /* what follows is encrypted */
	l.n += 36;
	assert_int_equal(read_log(&l, &f), MY_BINLOG_OPAQUE);
	l.bytes[0] = 0xfd;
	assert_int_equal(read_log(&l, &f), MY_BINLOG_OPAQUE);
	l.n = 3;
	assert_int_equal(read_log(&l, &f), MY_BINLOG_OPAQUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(of_mariadb), cmocka_unit_test(of_mysql), cmocka_unit_test(torn),
					    cmocka_unit_test(opaque) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
