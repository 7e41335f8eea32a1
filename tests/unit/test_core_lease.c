/* test_core_lease.c -- the lease book of coord/core (design.md 4, rules 1 to 3), one rule a test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "coord/core/core.h"

enum {
	SERVICES = 2,
	TTL = 1500,
	HOLD = 1507
}; /* HOLD: 1500 x 1.002 / 0.998, rounded up, and one for cut-off */

static struct dr_core *core;
static struct dr_decision did;
static uint64_t now, log_index;

static void step(struct dr_core_event ev)
{
	ev.now_ms = now;
	ev.wall_ms = 1800000000000u + now;
	dr_core_step(core, &ev, &did);
}

static void commit(const struct dr_cmd *cmd)
{
	step((struct dr_core_event){ .kind = DR_EV_COMMITTED, .cmd = cmd, .index = ++log_index, .term = 1 });
}

static void commit_proposal(const struct dr_proposal *p)
{
	struct dr_proposal copy = *p;
	commit(&copy.cmd);
	step((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = copy.tag, .index = log_index });
}

static void lead(bool leading)
{
	step((struct dr_core_event){ .kind = DR_EV_ROLE, .leading = leading, .term = 1 });
}

static void tick_appended(void)
{
	step((struct dr_core_event){ .kind = DR_EV_APPENDED });
}

static const char *service_name(uint32_t i)
{
	return i == 0 ? "orders" : "invoices";
}

static void renew(uint32_t service, uint64_t id, uint64_t epoch)
{
	struct dr_core_event ev = { .kind = DR_EV_RENEW, .epoch = epoch, .renewal = id };
	assert_true(dr_name_set(&ev.service, service_name(service)));
	assert_true(dr_name_set(&ev.member, "pg-a"));
	step(ev);
}

static void apply_spec(uint32_t ttl, uint64_t version)
{
	static struct dr_spec_service services[SERVICES];
	struct dr_spec spec = { .services = SERVICES, .service = services };
	memset(services, 0, sizeof(services));
	spec.timing = *dr_timing_profile("metro");
	spec.timing.ttl_ms = ttl;
	for (uint32_t i = 0; i < SERVICES; i++) {
		services[i].kind = DR_KIND_POSTGRES;
		assert_true(dr_name_set(&services[i].name, service_name(i)));
		assert_true(dr_name_set(&services[i].member[0].name, "pg-a"));
		assert_true(dr_name_set(&services[i].member[1].name, "pg-b"));
	}
	struct dr_cmd cmd = { .kind = DR_CMD_SPEC, .service = DR_SERVICE_NONE, .a = version, .spec = &spec };
	commit(&cmd);
}

/* Both services are adopted: pg-a holds epoch 1 of each.  No plan is open. */
static void hold(uint32_t service)
{
	struct dr_service *s = &core->repl.service[service];
	s->managed = true;
	s->epoch = s->primary_epoch = 1;
	s->holder = s->last_holder = 0;
	s->was_primary = true;
	s->sync = (struct dr_sync){ .set = 1, .k = 1 };
	s->member[0].joined_epoch = 1;
	s->member[0].unproved_epoch = 1;
}

static int setup(void **state)
{
	(void)state;
	struct dr_name self;
	core = mmap(NULL, sizeof(*core), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	assert_true(core != MAP_FAILED);
	now = 1000000;
	log_index = 0;
	assert_true(dr_name_set(&self, "c-a"));
	dr_core_init(core, &self, now);
	apply_spec(TTL, 0);
	hold(0);
	hold(1);
	now += 100000;
	lead(true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return munmap(core, sizeof(*core)) == 0 ? 0 : -1;
}

/* The one lease tick among the proposals; fails when there is none. */
static struct dr_proposal tick(void)
{
	for (uint32_t i = 0; i < did.proposals; i++) {
		if (did.propose[i].cmd.kind == DR_CMD_TICK)
			return did.propose[i];
	}
	fail_msg("no lease tick was proposed");
	return (struct dr_proposal){ 0 };
}

static bool ticks(void)
{
	for (uint32_t i = 0; i < did.proposals; i++) {
		if (did.propose[i].cmd.kind == DR_CMD_TICK)
			return true;
	}
	return false;
}

/* Rule 2: nothing is granted before the tick that was appended after the renewal has committed. */
static void test_grant_needs_a_commit(void **state)
{
	(void)state;
	renew(0, 77, 1);
	assert_int_equal(did.grants, 0);
	struct dr_proposal t = tick();
	assert_int_equal(t.cmd.ttl_ms, TTL);
	tick_appended();
	assert_int_equal(did.grants, 0);
	now += 3;
	commit_proposal(&t);
	assert_int_equal(did.grants, 1);
	assert_int_equal(did.grant[0].renewal, 77);
	assert_int_equal(did.grant[0].epoch, 1);
	assert_int_equal(did.grant[0].member, 0);
	assert_int_equal(did.grant[0].ttl_ms, TTL);
}

/* A renewal that comes while a tick is under way is not answered by that tick. */
static void test_tick_under_way_does_not_answer(void **state)
{
	(void)state;
	renew(0, 1, 1);
	struct dr_proposal first = tick();
	now += 5;
	renew(1, 2, 1);
	assert_false(ticks());
	now += 30;
	commit_proposal(&first);
	assert_int_equal(did.grants, 1);
	assert_int_equal(did.grant[0].service, 0);
	struct dr_proposal second = tick();
	commit_proposal(&second);
	assert_int_equal(did.grants, 1);
	assert_int_equal(did.grant[0].service, 1);
	assert_int_equal(did.grant[0].renewal, 2);
}

/* Of those that wait for a tick the newest counts; one for which a tick is under way is answered by that one whatever has
 * come since, or nobody would be granted anything where a commit takes longer than a renewal interval. */
static void test_newest_renewal_counts(void **state)
{
	(void)state;
	renew(0, 1, 1);
	struct dr_proposal first = tick();
	now += 30;
	renew(0, 2, 1);
	renew(0, 3, 1);
	commit_proposal(&first);
	assert_int_equal(did.grants, 1);
	assert_int_equal(did.grant[0].renewal, 1);
	struct dr_proposal second = tick();
	commit_proposal(&second);
	assert_int_equal(did.grants, 1);
	assert_int_equal(did.grant[0].renewal, 3);
}

/* Commits slower than renewals: each tick grants the renewal that it was appended for. */
static void test_slow_commits(void **state)
{
	enum { RENEW = 250, COMMIT = 260 };
	(void)state;
	uint64_t began = now, id = 0, grants = 0, next_renewal = now, ends = UINT64_MAX;
	struct dr_proposal flying = { 0 };
	while (now < began + 10 * RENEW) {
		bool proposed = false;
		if (now == next_renewal) {
			renew(0, ++id, 1);
			next_renewal += RENEW;
			proposed = ticks();
		} else if (now == ends) {
			commit_proposal(&flying);
			grants += did.grants;
			ends = UINT64_MAX;
			proposed = ticks();
		}
		if (proposed) {
			flying = tick();
			ends = now + COMMIT;
		}
		now++;
	}
	assert_in_range(grants, 8, 10);
}

/* A tick under way fails: its renewal waits for the next one, unless a newer one does. */
static void test_failed_tick_under_way(void **state)
{
	(void)state;
	for (unsigned newer = 0; newer < 2; newer++) {
		renew(0, 10 + newer, 1);
		struct dr_proposal t = tick();
		now += 30;
		if (newer == 1)
			renew(0, 20, 1);
		step((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = t.tag, .outcome = DR_E_UNKNOWN });
		assert_int_equal(did.grants, 0);
		now++;
		step((struct dr_core_event){ .kind = DR_EV_TICK });
		t = tick();
		commit_proposal(&t);
		assert_int_equal(did.grants, 1);
		assert_int_equal(did.grant[0].renewal, newer == 1 ? 20 : 10);
		assert_false(ticks());
		now += 30;
	}
}

static void test_ticks_are_spaced_and_shared(void **state)
{
	(void)state;
	renew(0, 1, 1);
	struct dr_proposal first = tick();
	commit_proposal(&first);
	now += 5;
	renew(0, 2, 1);
	assert_false(ticks());
	assert_int_equal(did.wake_at_ms, now + 15);
	renew(1, 3, 1);
	now += 15;
	step((struct dr_core_event){ .kind = DR_EV_TICK });
	struct dr_proposal one = tick();
	commit_proposal(&one);
	assert_int_equal(did.grants, 2);
}

/* Only the holder of the newest epoch, by name and by epoch, and only by whoever leads. */
static void test_who_is_granted(void **state)
{
	(void)state;
	renew(0, 1, 0);
	assert_false(ticks());
	renew(0, 1, 2);
	assert_false(ticks());
	struct dr_core_event ev = { .kind = DR_EV_RENEW, .epoch = 1, .renewal = 9 };
	assert_true(dr_name_set(&ev.service, "orders"));
	assert_true(dr_name_set(&ev.member, "pg-b"));
	step(ev);
	assert_false(ticks());
	/* Back in mode observe: the agent keeps its lease until it has let go, or it would fence a server that runs. */
	core->repl.service[0].managed = false;
	renew(0, 1, 1);
	assert_true(ticks());
	lead(false);
	renew(0, 1, 1);
	assert_false(ticks());
}

/* A tick that failed or came to nothing grants nothing; the renewal waits for the next one. */
static void test_failed_tick(void **state)
{
	(void)state;
	renew(0, 1, 1);
	struct dr_proposal t = tick();
	now += 30;
	step((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = t.tag, .outcome = DR_E_NOT_LEADER });
	assert_int_equal(did.grants, 0);
	assert_false(ticks());
	assert_int_equal(did.wake_at_ms, ++now);
	step((struct dr_core_event){ .kind = DR_EV_TICK });
	struct dr_proposal again = tick();
	lead(false);
	step((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = again.tag, .outcome = DR_OK });
	assert_int_equal(did.grants, 0);
	lead(true);
	step((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = again.tag, .outcome = DR_OK });
	assert_int_equal(did.grants, 0); /* of an earlier leadership */
}

/* The epoch changes while the renewal waits: the old holder gets nothing. */
static void test_epoch_changes_meanwhile(void **state)
{
	(void)state;
	renew(0, 1, 1);
	struct dr_proposal t = tick();
	core->repl.service[0].epoch = 2;
	core->repl.service[0].holder = DR_MEMBER_NONE;
	commit_proposal(&t);
	assert_int_equal(did.grants, 0);
}

/* Rule 3: held until TTL x (1+d)/(1-d) after the receipt of the last renewal that may have been granted. */
static void test_expiry_counts_from_receipt(void **state)
{
	(void)state;
	assert_int_equal(dr_core_lease_left_ms(core, 0, 0), 0); /* the last tick was received long ago */
	renew(0, 1, 1);
	assert_int_equal(dr_core_lease_left_ms(core, 0, 0), HOLD + 1);
	assert_int_equal(dr_core_lease_left_ms(core, 0, 1), 0);
	now += HOLD;
	step((struct dr_core_event){ .kind = DR_EV_TICK });
	assert_int_equal(dr_core_lease_left_ms(core, 0, 0), 1);
	now += 1;
	step((struct dr_core_event){ .kind = DR_EV_TICK });
	assert_int_equal(dr_core_lease_left_ms(core, 0, 0), 0);
}

/* A new leader counts from the last tick that entered its log, however late it began to lead. */
static void test_new_leader(void **state)
{
	(void)state;
	lead(false);
	now += 700;
	tick_appended();
	now += 500;
	lead(true);
	assert_int_equal(dr_core_lease_left_ms(core, 0, 0), HOLD + 1 - 500);
	assert_int_equal(dr_core_lease_left_ms(core, 1, 1), HOLD + 1 - 500);
	/* Its own ticks do not stretch what others granted. */
	now += 100;
	tick_appended();
	assert_int_equal(dr_core_lease_left_ms(core, 0, 1), HOLD + 1 - 600);
}

/* A restart, and a restored snapshot, may each stand for a tick received just then. */
static void test_restart_and_snapshot(void **state)
{
	(void)state;
	struct dr_name self = core->self;
	dr_core_init(core, &self, now);
	now += 200;
	lead(true);
	assert_int_equal(dr_core_lease_left_ms(core, 0, 0), HOLD + 1 - 200);
	lead(false);
	now += 5000;
	step((struct dr_core_event){ .kind = DR_EV_RESTORED });
	now += 10;
	lead(true);
	assert_int_equal(dr_core_lease_left_ms(core, 0, 0), HOLD + 1 - 10);
}

/* A lowered TTL: what was granted before may still run. */
static void test_lowered_ttl(void **state)
{
	(void)state;
	apply_spec(1000, 1);
	assert_int_equal(core->repl.timing.ttl_ms, 1000);
	renew(0, 1, 1);
	assert_int_equal(tick().cmd.ttl_ms, 1000);
	assert_int_equal(dr_core_lease_left_ms(core, 0, 0), HOLD + 1);
	apply_spec(3000, 2);
	assert_true(dr_core_lease_left_ms(core, 0, 0) > 3000);
}

static bool settles(void)
{
	for (uint32_t i = 0; i < did.proposals; i++) {
		if (did.propose[i].cmd.kind == DR_CMD_TTL_SETTLED)
			return true;
	}
	return false;
}

static void look(void)
{
	step((struct dr_core_event){ .kind = DR_EV_TICK });
}

static struct dr_proposal settlement(void)
{
	struct dr_proposal p = { 0 };
	look();
	assert_true(settles());
	for (uint32_t i = 0; i < did.proposals; i++) {
		if (did.propose[i].cmd.kind == DR_CMD_TTL_SETTLED)
			p = did.propose[i];
	}
	return p;
}

/* ... until the last of the longer ones has surely run out: from then on expiry counts with the new one. */
static void test_lowered_ttl_settles(void **state)
{
	(void)state;
	look();
	apply_spec(1000, 1);
	look(); /* counts from here */
	renew(0, 1, 1);
	now += HOLD; /* the drift is in it */
	look();
	assert_false(settles());
	assert_int_equal(core->repl.ttl_longest_ms, TTL);
	now += 2;
	struct dr_proposal p = settlement();
	assert_int_equal(core->repl.ttl_longest_ms, TTL); /* only a commit counts */
	look();
	assert_false(settles());
	commit_proposal(&p);
	assert_int_equal(core->repl.ttl_longest_ms, 1000);
	renew(0, 2, 1);
	assert_int_equal(dr_core_lease_left_ms(core, 0, 0), dr_lease_hold_ms(1000, core->repl.timing.drift_ppm) + 1);
	now += 10 * HOLD;
	look();
	assert_false(settles());
}

/* Another leader may not count on what it saw when it led before, nor on a spec that is no longer in force. */
static void test_lowered_ttl_starts_anew(void **state)
{
	(void)state;
	apply_spec(1000, 1);
	look();
	now += HOLD;
	lead(false);
	look();
	now += 2;
	lead(true);
	look();
	assert_false(settles());
	now += HOLD;
	look();
	assert_false(settles());
	now += 2;
	struct dr_proposal p = settlement();
	apply_spec(4000, 2); /* raised meanwhile: what was proposed comes too late */
	apply_spec(1200, 3);
	commit_proposal(&p);
	assert_int_equal(core->repl.ttl_longest_ms, 4000);
	look();
	now += dr_lease_hold_ms(4000, core->repl.timing.drift_ppm) + 1;
	look();
	assert_false(settles());
	now += 1;
	p = settlement();
	commit_proposal(&p);
	assert_int_equal(core->repl.ttl_longest_ms, 1200);
}

static void test_hold_rounds_up(void **state)
{
	(void)state;
	assert_int_equal(dr_lease_hold_ms(1500, 2000), HOLD);
	assert_int_equal(dr_lease_hold_ms(1000, 0), 1000);
	assert_int_equal(dr_lease_hold_ms(1, 1), 2);
	assert_true(dr_lease_hold_ms(UINT32_MAX, 999999) > UINT32_MAX);
	assert_true(dr_lease_hold_ms(1000, UINT32_MAX) > 1000); /* nonsense stays on the safe side */
}

/* Entries that are not the core's own end with tag 0, which is also "no tick is in flight". */
static void test_foreign_entry_answers_nothing(void **state)
{
	(void)state;
	renew(1, 22, 1);
	struct dr_proposal first = tick();
	tick_appended();
	commit_proposal(&first);
	assert_int_equal(did.grants, 1);
	now += 15; /* within the spacing: this one waits for the next tick */
	renew(0, 11, 1);
	assert_false(ticks());
	now += 1;
	step((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = 0, .index = ++log_index });
	assert_int_equal(did.grants, 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_grant_needs_a_commit),
		T(test_tick_under_way_does_not_answer),
		T(test_newest_renewal_counts),
		T(test_slow_commits),
		T(test_failed_tick_under_way),
		T(test_ticks_are_spaced_and_shared),
		T(test_who_is_granted),
		T(test_failed_tick),
		T(test_epoch_changes_meanwhile),
		T(test_expiry_counts_from_receipt),
		T(test_new_leader),
		T(test_restart_and_snapshot),
		T(test_lowered_ttl),
		T(test_lowered_ttl_settles),
		T(test_lowered_ttl_starts_anew),
		T(test_foreign_entry_answers_nothing),
		T(test_hold_rounds_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
