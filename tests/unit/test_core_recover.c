/* test_core_recover.c -- the core after `node recover`: it does nothing while it listens, and what it raises the log to
 * promises nothing that only the lost majority knew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/mem.h"
#include "coord/core/core.h"

enum { MEMBERS = 3, EPOCH = 7, START_MS = 1000000 };

struct lab {
	struct dr_core *c;
	struct dr_decision *d;
	uint64_t now, index;
};

static void *map(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static struct dr_name name_of(const char *text)
{
	struct dr_name n = { "" };
	assert_true(dr_name_set(&n, text));
	return n;
}

static void step(struct lab *l, struct dr_core_event *ev)
{
	l->now += 10;
	ev->now_ms = l->now;
	ev->wall_ms = 1795000000000u + l->now;
	dr_core_step(l->c, ev, l->d);
}

static void commit(struct lab *l, struct dr_cmd *cmd)
{
	struct dr_core_event ev = { .kind = DR_EV_COMMITTED, .index = ++l->index, .term = 3, .cmd = cmd };
	step(l, &ev);
}

static void tick(struct lab *l)
{
	struct dr_core_event ev = { .kind = DR_EV_TICK };
	step(l, &ev);
}

/* A service of three that this log believes to be led by pg-a at epoch 7, this coordinator leading alone. */
static void open_lab(struct lab *l, enum dr_durability durability)
{
	static const char *const members[MEMBERS] = { "pg-a", "pg-b", "pg-c" };
	struct dr_name self = name_of("c-a");
	struct dr_spec_service service = { .name = name_of("orders"),
					   .kind = DR_KIND_POSTGRES,
					   .auto_failover = true,
					   .durability = durability,
					   .sync_k = 1,
					   .sync_set_max = 1 };
	struct dr_spec spec = { .cluster = name_of("demo"),
				.timing = *dr_timing_profile("default"),
				.services = 1,
				.service = &service };
	for (unsigned m = 0; m < MEMBERS; m++) {
		service.member[m] =
		    (struct dr_spec_member){ .name = name_of(members[m]),
					     .site = name_of("az-a"),
					     .agent = name_of(members[m]),
					     .priority = m + 1,
					     .address = { "127.0.0.1", (uint16_t)(5432 + m) } };
	}
	*l = (struct lab){ .c = map(sizeof(*l->c)), .d = map(sizeof(*l->d)), .now = START_MS };
	dr_core_init(l->c, &self, l->now);
	l->c->view.recovering = true;
	struct dr_cmd cmd = { .kind = DR_CMD_SPEC,
			      .service = DR_SERVICE_NONE,
			      .member = DR_MEMBER_NONE,
			      .target = DR_MEMBER_NONE,
			      .spec = &spec };
	commit(l, &cmd);
	assert_int_equal(l->c->repl.services, 1);
	struct dr_service *s = &l->c->repl.service[0];
	s->managed = s->was_primary = true;
	s->epoch = s->primary_epoch = EPOCH;
	s->holder = s->last_holder = 0;
	s->sync = (struct dr_sync){ .set = dr_set_of(1), .k = 1 };
	s->member[0].order_last = 40;
	struct dr_core_event lead = { .kind = DR_EV_ROLE, .leading = true, .term = 3 };
	step(l, &lead);
}

static void close_lab(struct lab *l)
{
	(void)munmap(l->c, sizeof(*l->c));
	(void)munmap(l->d, sizeof(*l->d));
}

static void report(struct lab *l, dr_member_ix m, enum dr_member_role role, uint64_t epoch, uint64_t seen)
{
	struct dr_report r = { .service = name_of("orders"),
			       .member = l->c->repl.service[0].spec.member[m].name,
			       .managed = true,
			       .role = role,
			       .epoch = epoch,
			       .order_seen = seen,
			       .guard_alive = true,
			       .server = role == DR_ROLE_STANDBY ? DR_SERVER_STANDBY : DR_SERVER_STOPPED,
			       .timeline = (uint32_t)epoch,
			       .received = 1000 * epoch };
	struct dr_core_event ev = { .kind = DR_EV_REPORT, .report = &r };
	step(l, &ev);
}

static void nothing_follows(const struct lab *l)
{
	assert_int_equal(l->d->proposals, 0);
	assert_int_equal(l->d->grants, 0);
	for (uint32_t i = 0; i < l->d->orders; i++)
		assert_int_equal(l->d->order[i].core.number, 0);
}

static void end_recovery(struct lab *l, struct dr_cmd *cmd)
{
	dr_core_recover_cmd(l->c, 0, cmd);
	commit(l, cmd);
	nothing_follows(l);
	l->c->view.recovering = false;
}

/* It listens: an open order is not sent, a failed primary opens no plan, a renewal is not granted. */
static void test_listens(void **state)
{
	struct lab l;
	(void)state;
	open_lab(&l, DR_DURABILITY_SYNC);
	l.c->repl.service[0].member[1].order =
	    (struct dr_order_core){ .kind = DR_ORDER_FOLLOWING, .number = 3, .epoch = EPOCH };
	tick(&l);
	nothing_follows(&l);
	assert_false(dr_core_recover_heard(l.c));
	for (dr_member_ix m = 0; m < MEMBERS; m++) {
		report(&l, m, m == 0 ? DR_ROLE_PRIMARY : DR_ROLE_STANDBY, EPOCH, 40);
		nothing_follows(&l);
	}
	assert_true(dr_core_recover_heard(l.c));
	l.c->view.service[0].member[0].report.lease_left_ms = 9000;
	assert_false(dr_core_recover_heard(l.c));
	l.now += 9100;
	tick(&l);
	assert_true(dr_core_recover_heard(l.c));
	struct dr_core_event ev = { .kind = DR_EV_RENEW,
				    .service = name_of("orders"),
				    .member = name_of("pg-a"),
				    .epoch = EPOCH,
				    .renewal = 9 };
	step(&l, &ev);
	nothing_follows(&l);
	l.now += 20000;
	tick(&l);
	nothing_follows(&l);
	uint64_t a = 0;
	assert_int_equal(dr_core_blocked(l.c, 0, &a), DR_REASON_RECOVERING);
	l.c->view.recovering = false; /* the same world is full of things to do */
	report(&l, 0, DR_ROLE_PRIMARY, EPOCH, 40);
	assert_true(l.d->proposals > 0);
	close_lab(&l);
}

/* The lost majority had moved the primary to pg-c, at epoch 9: agents are believed, not this log. */
static void test_raised_above_all(void **state)
{
	struct lab l;
	struct dr_cmd cmd;
	(void)state;
	open_lab(&l, DR_DURABILITY_SYNC);
	report(&l, 0, DR_ROLE_PRIMARY, EPOCH, 40);
	report(&l, 1, DR_ROLE_STANDBY, 9, 77);
	report(&l, 2, DR_ROLE_PRIMARY, 9, 50);
	end_recovery(&l, &cmd);
	const struct dr_service *s = &l.c->repl.service[0];
	assert_true(cmd.epoch > 9 && cmd.a > 77);
	assert_int_equal(s->epoch, cmd.epoch);
	assert_int_equal(s->holder, DR_MEMBER_NONE);
	assert_int_equal(s->last_holder, 2);
	assert_true(s->managed);
	assert_false(s->paused);
	for (dr_member_ix m = 0; m < MEMBERS; m++) {
		assert_true(s->member[m].unproved_epoch != 0);
		assert_true(s->member[m].order_last > 77);
		assert_int_equal(s->member[m].order.number, 0);
	}
	assert_int_equal(dr_sync_positions_needed(&s->sync), MEMBERS);
	tick(&l);
	assert_int_equal(l.d->proposals, 1);
	assert_int_equal(l.d->propose[0].cmd.kind, DR_CMD_PLAN_OPEN);
	assert_int_equal(l.d->propose[0].cmd.plan_kind, DR_PLAN_FAILOVER);
	assert_int_equal(l.d->propose[0].cmd.member, 2);
	close_lab(&l);
}

/* One that was not heard may be the newest primary: no position of the others will do. */
static void test_unheard(void **state)
{
	struct lab l;
	struct dr_cmd cmd;
	(void)state;
	open_lab(&l, DR_DURABILITY_SYNC);
	report(&l, 0, DR_ROLE_PRIMARY, EPOCH, 40);
	report(&l, 2, DR_ROLE_STANDBY, EPOCH, 12);
	assert_false(dr_core_recover_heard(l.c));
	end_recovery(&l, &cmd);
	assert_true(cmd.flag && cmd.flag2);
	assert_int_equal(l.c->repl.service[0].last_holder, DR_MEMBER_NONE);
	assert_false(l.c->repl.service[0].paused);
	close_lab(&l);

	open_lab(&l, DR_DURABILITY_ASYNC);
	report(&l, 0, DR_ROLE_PRIMARY, EPOCH, 40);
	end_recovery(&l, &cmd);
	assert_true(l.c->repl.service[0].paused);
	tick(&l);
	nothing_follows(&l);
	close_lab(&l);
}

/* The open failover has come to its freeze, and these members are stopped with a final position. */
static bool freeze_is_enough(struct lab *l, dr_member_set frozen)
{
	struct dr_service *s = &l->c->repl.service[0];
	memset(&s->plan, 0, sizeof(s->plan));
	s->plan.id = 99;
	s->plan.kind = DR_PLAN_FAILOVER;
	s->plan.steps = s->plan.bar = 2;
	s->plan.step[0] = DR_STEP_FREEZE;
	s->plan.step[1] = DR_STEP_CLOSE;
	s->plan.wanted = s->plan.old = s->plan.candidate = s->plan.source = DR_MEMBER_NONE;
	s->plan.reason = DR_REASON_UNDO;
	for (dr_member_ix m = 0; m < MEMBERS; m++) {
		s->member[m].unproved_epoch = 0;
		s->member[m].frozen_epoch = dr_set_has(frozen, m) ? s->epoch : 0;
		s->member[m].frozen_timeline = 2;
		s->member[m].frozen_position = 5000;
	}
	l->c->view.service[0].proposing = 0;
	l->now += 60000; /* agents are silent: there is nobody left to freeze */
	tick(l);
	l->now += 5000;
	tick(l);
	for (uint32_t i = 0; i < l->d->proposals; i++) {
		if (l->d->propose[i].cmd.kind == DR_CMD_STEP_END)
			return true;
	}
	return false;
}

/* pg-a was fenced long ago and is in the middle of its rejoin, pg-c is the newest holder, fenced as well: pg-a, for
 * all its timeline and bytes, is not the one whose position is enough. */
static void test_fenced_is_no_proof(void **state)
{
	static const uint64_t epoch_of_a[] = { 8, 9, 10 }; /* its last order's: says nothing */
	struct dr_cmd cmd;
	(void)state;
	for (unsigned i = 0; i < sizeof(epoch_of_a) / sizeof(epoch_of_a[0]); i++) {
		struct lab l;
		open_lab(&l, DR_DURABILITY_SYNC);
		report(&l, 0, DR_ROLE_FENCED, epoch_of_a[i], 40);
		report(&l, 1, DR_ROLE_STANDBY, 8, 41);
		report(&l, 2, DR_ROLE_FENCED, 9, 42);
		l.c->view.service[0].member[0].report.received = UINT64_MAX / 2;
		l.c->view.service[0].member[0].report.timeline = 77;
		end_recovery(&l, &cmd);
		assert_false(cmd.flag2);
		assert_int_equal(l.c->repl.service[0].last_holder, DR_MEMBER_NONE);
		dr_member_set two = dr_set_with(dr_set_of(0), 1);
		assert_false(freeze_is_enough(&l, two));
		assert_true(freeze_is_enough(&l, dr_set_with(two, 2)));
		close_lab(&l);
	}
	struct lab l;
	open_lab(&l, DR_DURABILITY_SYNC);
	report(&l, 0, DR_ROLE_FENCED, 9, 40);
	report(&l, 1, DR_ROLE_STANDBY, 9, 41);
	report(&l, 2, DR_ROLE_PRIMARY, 9, 42);
	end_recovery(&l, &cmd);
	assert_int_equal(l.c->repl.service[0].last_holder, 2);
	assert_false(freeze_is_enough(&l, dr_set_with(dr_set_of(0), 1)));
	assert_true(freeze_is_enough(&l, dr_set_of(2)));
	close_lab(&l);

	open_lab(&l, DR_DURABILITY_ASYNC);
	for (dr_member_ix m = 0; m < MEMBERS; m++)
		report(&l, m, m == 1 ? DR_ROLE_STANDBY : DR_ROLE_FENCED, 9, 41);
	end_recovery(&l, &cmd);
	assert_true(l.c->repl.service[0].paused);
	close_lab(&l);
}

/* Raising twice, as a crash before the end does, raises twice; what comes too late changes nothing. */
static void test_twice(void **state)
{
	struct lab l;
	struct dr_cmd first, second;
	(void)state;
	open_lab(&l, DR_DURABILITY_SYNC);
	for (dr_member_ix m = 0; m < MEMBERS; m++)
		report(&l, m, m == 1 ? DR_ROLE_FENCED : DR_ROLE_STANDBY, 8, 41);
	dr_core_recover_cmd(l.c, 0, &first);
	commit(&l, &first);
	assert_int_equal(l.c->repl.service[0].last_holder, DR_MEMBER_NONE);
	dr_core_recover_cmd(l.c, 0, &second);
	assert_true(second.epoch > first.epoch && second.a > first.a);
	commit(&l, &second);
	uint64_t events = l.c->repl.event_last;
	commit(&l, &first);
	assert_int_equal(l.c->repl.service[0].epoch, second.epoch);
	assert_int_equal(l.c->repl.event_last, events);
	close_lab(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_listens),
					    cmocka_unit_test(test_raised_above_all),
					    cmocka_unit_test(test_unheard),
					    cmocka_unit_test(test_fenced_is_no_proof),
					    cmocka_unit_test(test_twice) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
