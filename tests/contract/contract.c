/* contract.c -- what adapter.h promises, held against every adapter of adapters.def on real servers:
 * each op twice, cancelled, closed midway, refused, mute, slow, stopped; done exactly once, in time, never
 * from inside start or cancel, and the loop never blocked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"

/* How long the loop may stand still, and how late a deadline may be: two cores shared with others, ASan. */
enum { GAP_MAX_MS = 250, LATE_MAX_MS = 400, SHORT_MS = 400 };

static struct {
	const struct contract_fixture *fixture;
	const struct dr_adapter *adapter;
	unsigned steps;
	struct contract_step step[CONTRACT_STEPS_MAX];
	struct rig rig;
} here;

static void say(const struct contract_step *st, const char *what)
{
	printf("             %s %-12s %s\n", here.adapter->name, dr_op_name(st->kind), what);
}

/* The op against a peer that cannot serve it: an error that another try may heal, once and in time. */
static void must_fail(const struct contract_step *st, const struct dr_target *t, const char *what)
{
	struct dr_session s;
	struct rig_op o;
	say(st, what);
	rig_session_open(&here.rig, &s, here.adapter, t);
	enum dr_err rv = rig_op_run(&here.rig, &o, &s, st->kind, &st->args, SHORT_MS);
	if (dr_err_class(rv) != DR_CLASS_RETRY)
		fail_msg("%s: %s: %s", what, dr_err_name(rv), o.e.msg);
	assert_true(o.e.msg[0] != '\0');
	assert_true(o.took_ms < SHORT_MS + LATE_MAX_MS);
	rig_for(&here.rig, 50);
	assert_int_equal(o.done, 1);
	rig_session_close(&here.rig, &s, NULL);
	assert_int_equal(o.done, 1);
}

static void must_succeed(struct dr_session *s, const struct contract_step *st, const char *what)
{
	struct rig_op o;
	say(st, what);
	if (rig_op_run(&here.rig, &o, s, st->kind, &st->args, st->deadline_ms) != DR_OK)
		fail_msg("%s %s: %s: %s", dr_op_name(st->kind), what, dr_err_name(o.code), o.e.msg);
	assert_true(o.op.evidence.reached);
}

static void twice(const struct contract_step *st)
{
	struct dr_session s;
	rig_session_open(&here.rig, &s, here.adapter, &st->target);
	must_succeed(&s, st, "once");
	must_succeed(&s, st, "twice");
	rig_session_close(&here.rig, &s, NULL);
}

static void refused(const struct contract_step *st)
{
	struct dr_target t = st->target;
	struct dr_address nobody = { .host = "127.0.0.1", .port = rig_free_port() };
	here.fixture->aim(&t, &nobody);
	must_fail(st, &t, "refused");
}

static void mute(const struct contract_step *st)
{
	struct dr_target t = st->target;
	struct rig_peer p;
	rig_mute_start(&here.rig, &p);
	here.fixture->aim(&t, &p.at);
	must_fail(st, &t, "mute");
	assert_true(p.accepted > 0);
	rig_peer_stop(&p);
}

static void slow(const struct contract_step *st)
{
	struct dr_target t = st->target;
	struct dr_session s;
	struct rig_peer p;
	rig_slow_start(&here.rig, &p, &st->at);
	p.whole_requests = here.fixture->whole_requests;
	here.fixture->aim(&t, &p.at);
	rig_session_open(&here.rig, &s, here.adapter, &t);
	must_succeed(&s, st, "slow");
	assert_true(p.accepted > 0);
	rig_session_close(&here.rig, &s, NULL);
	rig_peer_stop(&p);
}

static void stopped(const struct contract_step *st)
{
	struct dr_session s;
	rig_freeze(st->pid);
	must_fail(st, &st->target, "stopped");
	assert_int_equal(kill(st->pid, SIGCONT), 0);
	rig_session_open(&here.rig, &s, here.adapter, &st->target);
	must_succeed(&s, st, "continued");
	rig_session_close(&here.rig, &s, NULL);
}

/* What an adapter without a server has in place of a mute one. */
static void hung(const struct contract_step *st)
{
	struct dr_target t = st->target;
	if (here.fixture->hang(&t, st->kind))
		must_fail(st, &t, "hung");
}

static void cancelled(const struct contract_step *st)
{
	struct dr_session s;
	struct rig_op o, second;
	struct dr_error e;
	say(st, "cancelled");
	rig_session_open(&here.rig, &s, here.adapter, &st->target);
	for (unsigned after_ms = 0; after_ms < 3; after_ms++) {
		rig_op_start(&o, &s, st->kind, &st->args, st->deadline_ms);
		memset(&second, 0, sizeof(second));
		second.op = o.op;
		assert_int_equal(dr_session_start(&s, &second.op, &e), DR_E_BUSY);
		if (after_ms > 0)
			rig_for(&here.rig, after_ms);
		bool over = o.done > 0;
		o.inside = true;
		dr_session_cancel(&s);
		dr_session_cancel(&s);
		o.inside = false;
		rig_until(&here.rig, &o.done);
		if (!over && o.code != DR_E_CANCELLED && o.code != DR_OK)
			fail_msg("cancelled, and then %s: %s", dr_err_name(o.code), o.e.msg);
		rig_for(&here.rig, 50);
		assert_int_equal(o.done, 1);
	}
	dr_session_cancel(&s); /* nothing in flight: nothing happens */
	must_succeed(&s, st, "after a cancel");
	rig_session_close(&here.rig, &s, NULL);
}

static void closed_midway(const struct contract_step *st)
{
	struct dr_session s;
	struct rig_op o;
	say(st, "closed midway");
	rig_session_open(&here.rig, &s, here.adapter, &st->target);
	rig_op_start(&o, &s, st->kind, &st->args, st->deadline_ms);
	rig_session_close(&here.rig, &s, &o);
	assert_int_equal(o.done, 1);
	assert_int_equal(o.code, DR_E_CANCELLED);
}

static struct dr_evidence probed(struct dr_session *s, const struct contract_step *st)
{
	struct rig_op o;
	if (rig_op_run(&here.rig, &o, s, DR_OP_PROBE, &st->args, st->deadline_ms) != DR_OK)
		fail_msg("probe: %s: %s", dr_err_name(o.code), o.e.msg);
	return o.op.evidence;
}

/* A standby with another service's data is not promoted, and stays one. */
static void with_other_data(const struct contract_step *st)
{
	struct dr_op_args args = st->args;
	struct dr_session s;
	struct rig_op o;
	rig_session_open(&here.rig, &s, here.adapter, &st->target);
	args.system_id = probed(&s, st).system_id;
	if (args.system_id != 0) {
		say(st, "with other data");
		args.system_id ^= 1;
		assert_int_equal(rig_op_run(&here.rig, &o, &s, st->kind, &args, st->deadline_ms), DR_E_BEHIND);
		assert_non_null(strstr(o.e.msg, "not the service's"));
		assert_true(probed(&s, st).in_recovery);
	}
	rig_session_close(&here.rig, &s, NULL);
}

static void never(struct dr_op *op, const struct dr_error *e)
{
	(void)op;
	(void)e;
	abort();
}

static void every_op_has_a_step(void **state)
{
	(void)state;
	struct dr_session s;
	struct dr_error e;
	for (unsigned k = 0; k < DR_OP_MAX; k++) {
		bool found = false;
		for (unsigned i = 0; i < here.steps; i++)
			found = found || (unsigned)here.step[i].kind == k;
		bool lacked = here.fixture->lacks != NULL && here.fixture->lacks((enum dr_op_kind)k);
		if (found != (here.adapter->can[k] && !lacked))
			fail_msg("%s: op %s: can and the fixture differ", here.adapter->name,
				 dr_op_name((enum dr_op_kind)k));
	}
	rig_session_open(&here.rig, &s, here.adapter, &here.step[0].target);
	for (unsigned k = 0; k <= DR_OP_MAX; k++) {
		struct dr_op op = { .kind = (enum dr_op_kind)k, .deadline_ms = 100, .done = never };
		if (k == DR_OP_MAX || !here.adapter->can[k])
			assert_int_equal(dr_session_start(&s, &op, &e), DR_E_UNSUPPORTED);
	}
	rig_session_close(&here.rig, &s, NULL);
}

static void every_op_keeps_the_contract(void **state)
{
	(void)state;
	for (unsigned i = 0; i < here.steps; i++) {
		const struct contract_step *st = &here.step[i];
		here.rig.gap_ms = 0;
		bool has_server = here.fixture->aim != NULL;
		if (has_server) {
			refused(st);
			mute(st);
		} else {
			hung(st);
		}
		if (st->kind == DR_OP_WRITABLE)
			with_other_data(st);
		cancelled(st);
		closed_midway(st);
		twice(st);
		bool by_address = here.fixture->by_address != NULL && here.fixture->by_address(st->kind);
		if (has_server && !here.fixture->not_slow && !by_address)
			slow(st);
		if (has_server)
			stopped(st);
		printf("             %s %-12s the loop stood still for at most %llu ms\n", here.adapter->name,
		       dr_op_name(st->kind), (unsigned long long)here.rig.gap_ms);
		assert_true(here.rig.gap_ms <= GAP_MAX_MS);
	}
}

static int set_up(void **state)
{
	(void)state;
	rig_init(&here.rig);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_close(&here.rig);
	return 0;
}

static int run(const struct dr_adapter *a, const struct contract_fixture *f)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_op_has_a_step, set_up, tear_down),
		cmocka_unit_test_setup_teardown(every_op_keeps_the_contract, set_up, tear_down),
	};
	memset(&here, 0, sizeof(here));
	here.adapter = a;
	here.fixture = f;
	if (!f->start(here.step, &here.steps)) {
		f->stop();
		return 1;
	}
	int failed = cmocka_run_group_tests_name(a->name, tests, NULL, NULL);
	f->stop();
	return failed;
}

/* MySQL is in no package here: adapters/mysql/README.md says how to get one. */
static int run_mysql(void)
{
	if (getenv("DRCOORD_MYSQL_ROOT") != NULL)
		return run(&dr_mysql_adapter, &contract_real_mysql);
	printf("skipped: the adapter on MySQL itself, for DRCOORD_MYSQL_ROOT names no folder (tools/mysql-root makes one)\n");
	return 0;
}

int main(int argc, char **argv)
{
	int failed = 0;
#define ADAPTER(word, folder, variable)                                                                      \
	if (argc < 2 || strcmp(argv[1], word) == 0)                                                          \
		failed += run(&variable, &contract_##folder);
#include "adapters/adapters.def"
#undef ADAPTER
	if (argc < 2 || strcmp(argv[1], "real-mysql") == 0)
		failed += run_mysql();
	return failed == 0 ? 0 : 1;
}
