/* test_adapter_host.c -- the host's promises against an adapter that does what a careless one would:
 * finishes inside start, never finishes, fails at start, closes late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/versions.h"

enum manner { AT_ONCE, LATER, NEVER, FAILS, FINISHES_AND_FAILS };

static struct {
	enum manner manner;
	unsigned opened, cancelled, closed;
	bool open_fails;
	struct dr_op *op;
} fake;

static uv_loop_t loop;
static uv_timer_t timer;
static struct dr_session session;
static unsigned dones, closes;
static bool inside;
static enum dr_err last;
static struct dr_op again; /* started from inside done, when it has a deadline */
static bool close_in_done;

static enum dr_err fake_open(struct dr_session *s, struct dr_error *e)
{
	fake.opened++;
	assert_int_equal(*(int *)s->own, 0);
	return fake.open_fails ? dr_fail(e, DR_E_INVALID, "no") : DR_OK;
}

static void on_timer(uv_timer_t *t)
{
	(void)t;
	dr_op_finish(fake.op, NULL);
}

static enum dr_err fake_start(struct dr_session *s, struct dr_op *op, struct dr_error *e)
{
	struct dr_error bad;
	(void)s;
	fake.op = op;
	switch (fake.manner) {
	case AT_ONCE:
		(void)dr_fail(&bad, DR_E_AUTH, "who?");
		dr_op_finish(op, &bad);
		break;
	case LATER:
		(void)uv_timer_start(&timer, on_timer, 2, 0);
		break;
	case NEVER:
		break;
	case FINISHES_AND_FAILS:
		dr_op_finish(op, NULL);
		return dr_fail(e, DR_E_INVALID, "after all");
	case FAILS:
		return dr_fail(e, DR_E_INVALID, "no");
	}
	return DR_OK;
}

static void fake_cancel(struct dr_session *s, struct dr_op *op)
{
	(void)s;
	assert_ptr_equal(op, fake.op);
	fake.cancelled++;
	(void)uv_timer_stop(&timer);
	op->evidence.reached = true; /* what was seen counts, also on error */
}

static void fake_close(struct dr_session *s)
{
	fake.closed++;
	dr_session_closed(s);
}

static const struct dr_adapter adapter = { .name = "fake",
					   .own_size = sizeof(int),
					   .open = fake_open,
					   .start = fake_start,
					   .cancel = fake_cancel,
					   .close = fake_close,
					   .can = { [DR_OP_PROBE] = true } };

static void on_closed(struct dr_session *s)
{
	assert_ptr_equal(s, &session);
	assert_null(s->own);
	closes++;
}

static void on_done(struct dr_op *op, const struct dr_error *e)
{
	assert_false(inside);
	assert_false(op->active);
	dones++;
	last = e != NULL ? e->code : DR_OK;
	if (again.deadline_ms > 0) {
		struct dr_op *next = &again;
		uint32_t deadline_ms = again.deadline_ms;
		assert_int_equal(dr_session_start(&session, next, NULL), DR_OK);
		again.deadline_ms = 0;
		assert_true(deadline_ms > 0);
		/* the outcome handed in is still this op's */
		assert_true(e == NULL || e->code == last);
	}
	if (close_in_done)
		dr_session_close(&session, on_closed);
}

static struct dr_op op_of(uint32_t deadline_ms)
{
	return (struct dr_op){ .kind = DR_OP_PROBE, .deadline_ms = deadline_ms, .done = on_done };
}

static enum dr_err start(struct dr_op *op)
{
	inside = true;
	enum dr_err rv = dr_session_start(&session, op, NULL);
	inside = false;
	return rv;
}

static void run_all(void)
{
	(void)uv_run(&loop, UV_RUN_DEFAULT);
}

static void close_now(void)
{
	inside = true;
	dr_session_close(&session, on_closed);
	assert_int_equal(closes, 0);
	inside = false;
	run_all();
	assert_int_equal(closes, 1);
	assert_int_equal(fake.closed, 1);
}

static int set_up(void **state)
{
	struct dr_target t = { 0 };
	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(&again, 0, sizeof(again));
	dones = closes = 0;
	last = DR_E_INTERNAL;
	close_in_done = false;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(uv_timer_init(&loop, &timer), 0);
	memset(&session, 0x5a, sizeof(session)); /* open takes memory as it comes */
	return dr_session_open(&session, &loop, &adapter, &t, NULL) == DR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	uv_close((uv_handle_t *)&timer, NULL);
	run_all();
	return uv_loop_close(&loop); /* a handle left open is an error */
}

static void done_is_never_called_from_start(void **state)
{
	(void)state;
	struct dr_op op = op_of(1000);
	fake.manner = AT_ONCE;
	op.evidence.timeline = 7;
	assert_int_equal(start(&op), DR_OK);
	assert_int_equal(dones, 0);
	assert_int_equal(op.evidence.timeline, 0); /* each op begins with empty evidence */
	dr_session_cancel(&session);               /* too late: the outcome stands */
	run_all();
	assert_int_equal(dones, 1);
	assert_int_equal(last, DR_E_AUTH);
	assert_int_equal(fake.cancelled, 0);
	close_now();
}

static void the_next_op_may_start_in_done(void **state)
{
	(void)state;
	struct dr_op op = op_of(1000);
	fake.manner = LATER;
	again = op_of(1000);
	assert_int_equal(start(&op), DR_OK);
	run_all();
	assert_int_equal(dones, 2);
	assert_int_equal(last, DR_OK);
	close_now();
}

static void deadline_and_cancel(void **state)
{
	(void)state;
	struct dr_op op = op_of(5), second = op_of(5);
	fake.manner = NEVER;
	assert_int_equal(start(&op), DR_OK);
	assert_int_equal(start(&second), DR_E_BUSY);
	run_all();
	assert_int_equal(dones, 1);
	assert_int_equal(last, DR_E_TIMEOUT);
	assert_true(op.evidence.reached);
	assert_int_equal(fake.cancelled, 1);
	assert_int_equal(start(&op), DR_OK);
	inside = true;
	dr_session_cancel(&session);
	dr_session_cancel(&session);
	inside = false;
	assert_int_equal(start(&second), DR_E_BUSY); /* until done was called */
	run_all();
	assert_int_equal(dones, 2);
	assert_int_equal(last, DR_E_CANCELLED);
	assert_int_equal(fake.cancelled, 2);
	close_now();
}

static void what_does_not_start_is_never_done(void **state)
{
	(void)state;
	struct dr_op op = op_of(1000);
	fake.manner = FAILS;
	assert_int_equal(start(&op), DR_E_INVALID);
	fake.manner = FINISHES_AND_FAILS;
	assert_int_equal(start(&op), DR_E_INVALID);
	op.kind = DR_OP_ROUTED;
	assert_int_equal(start(&op), DR_E_UNSUPPORTED);
	op.kind = (enum dr_op_kind)77;
	assert_int_equal(start(&op), DR_E_UNSUPPORTED);
	op = op_of(0);
	assert_int_equal(start(&op), DR_E_TIMEOUT);
	run_all();
	assert_int_equal(dones, 0);
	fake.manner = LATER;
	op = op_of(1000);
	assert_int_equal(start(&op), DR_OK);
	run_all();
	assert_int_equal(dones, 1);
	close_now();
}

static void close_ends_what_is_in_flight(void **state)
{
	(void)state;
	struct dr_op op = op_of(1000);
	fake.manner = NEVER;
	assert_int_equal(start(&op), DR_OK);
	inside = true;
	dr_session_close(&session, on_closed);
	assert_int_equal(start(&op), DR_E_CLOSED);
	inside = false;
	assert_int_equal(fake.closed, 0); /* first done, then close */
	run_all();
	assert_int_equal(dones, 1);
	assert_int_equal(last, DR_E_CANCELLED);
	assert_int_equal(closes, 1);
	assert_int_equal(fake.closed, 1);
}

static void close_from_inside_done(void **state)
{
	(void)state;
	struct dr_op op = op_of(5);
	fake.manner = NEVER;
	close_in_done = true;
	assert_int_equal(start(&op), DR_OK);
	run_all();
	assert_int_equal(dones, 1);
	assert_int_equal(closes, 1);
	assert_int_equal(fake.closed, 1);
}

static void a_failed_open_needs_no_close(void **state)
{
	(void)state;
	struct dr_session s;
	struct dr_target t = { 0 };
	struct dr_error e;
	fake.open_fails = true;
	assert_int_equal(dr_session_open(&s, &loop, &adapter, &t, &e), DR_E_INVALID);
	close_now();
}

static void ops_have_names(void **state)
{
	(void)state;
	assert_string_equal(dr_op_name(DR_OP_PROBE_WRITE), "probe_write");
	assert_string_equal(dr_op_name((enum dr_op_kind)31), "unknown");
	assert_string_equal(dr_op_name(DR_OP_MAX), "unknown");
	assert_string_equal(dr_op_name((enum dr_op_kind)-1), "unknown");
	close_now();
}

/* versions.def */
static void versions_are_told(void **state)
{
	static const struct {
		enum dr_product product;
		uint32_t version;
		bool old;
		const char *told; /* NULL: nothing */
	} rows[] = {
		{ DR_PRODUCT_POSTGRES, 150018, false, NULL },     { DR_PRODUCT_POSTGRES, 170002, false, NULL },
		{ DR_PRODUCT_POSTGRES, 120022, true, "PostgreSQL 12.22, drcoord is written for 13 to 17:" },
		{ DR_PRODUCT_POSTGRES, 180001, false, "PostgreSQL 18.1, " }, { DR_PRODUCT_MARIADB, 101119, false, NULL },
		{ DR_PRODUCT_MARIADB, 120102, false, "MariaDB 12.1.2, drcoord is written for 10.6 to 11:" },
		{ DR_PRODUCT_MARIADB, 100524, true, "MariaDB 10.5.24, " }, { DR_PRODUCT_MYSQL, 90700, false, NULL },
		{ DR_PRODUCT_MYSQL, 100000, false, "MySQL 10.0.0, drcoord is written for 8.0 to 9:" },
		{ DR_PRODUCT_MYSQL, 50744, true, "MySQL 5.7.44, " },
	};
	static struct dr_evidence ev;
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		dr_version_tell(rows[i].product, rows[i].version, &ev);
		assert_int_equal(ev.version, rows[i].version);
		assert_int_equal(dr_version_is_old(rows[i].product, rows[i].version), rows[i].old);
		if (rows[i].told == NULL)
			assert_string_equal(ev.caution, "");
		else
			assert_non_null(strstr(ev.caution, rows[i].told));
		/* All of it, remedy and all. */
		assert_true(rows[i].told == NULL || strstr(ev.caution, "before you rely on it") != NULL);
	}
	close_now();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(done_is_never_called_from_start),
		TEST(the_next_op_may_start_in_done),
		TEST(deadline_and_cancel),
		TEST(what_does_not_start_is_never_done),
		TEST(close_ends_what_is_in_flight),
		TEST(close_from_inside_done),
		TEST(a_failed_open_needs_no_close),
		TEST(ops_have_names),
		TEST(versions_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
