/* test_failures.c -- how a primary fails while its agent says that it runs: the table, what a write probe's end says, and
 * the majority that it takes. */
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
#include "coord/shell/probe_kind.h"

enum { STALL = 5000, COORDINATORS = 3 };

/* ---- the table */

static void test_table(void **state)
{
	(void)state;
	unsigned rows = 0;
	for (unsigned f = 1; f < DR_FAILURE_MAX; f++) {
		enum dr_failure kind = (enum dr_failure)f;
		if (strcmp(dr_failure_name(kind), "none") == 0)
			continue;
		rows++;
		/* One word for the kind, and for the incident of that kind. */
		assert_int_not_equal(dr_failure_reason(kind), DR_REASON_NONE);
		assert_string_equal(dr_failure_name(kind), dr_reason_name(dr_failure_reason(kind)));
		assert_int_equal(dr_failure_of(dr_failure_reason(kind)), kind);
		/* Whoever is asked reads what a yes does, and only then. */
		bool offers = dr_reason_override(dr_failure_reason(kind))[0] != '\0';
		assert_int_equal(offers, dr_failure_policy(kind) == DR_FAILURE_ASK);
	}
	assert_true(rows >= 9);
	assert_int_equal(dr_failure_of(DR_REASON_NONE), DR_FAILURE_NONE);
	assert_int_equal(dr_failure_of(DR_REASON_SERVER_FAILED), DR_FAILURE_NONE);
	assert_int_equal(dr_failure_policy(DR_FAILURE_MAX), DR_FAILURE_TELL);
}

/* ---- what a probe says */

static enum dr_failure kind_of(enum dr_err code, bool reached, bool in_recovery)
{
	struct dr_evidence seen = { .reached = reached, .in_recovery = in_recovery };
	struct dr_error e = { .code = code };
	return dr_probe_kind(&seen, &e);
}

static void test_kinds(void **state)
{
	(void)state;
	assert_int_equal(kind_of(DR_E_TIMEOUT, false, false), DR_FAILURE_SERVER_HUNG);
	assert_int_equal(kind_of(DR_E_TIMEOUT, true, false), DR_FAILURE_STORAGE_HUNG);
	assert_int_equal(kind_of(DR_E_UNREACHABLE, false, false), DR_FAILURE_NOT_ACCEPTING);
	assert_int_equal(kind_of(DR_E_BUSY, false, false), DR_FAILURE_NOT_ACCEPTING);
	assert_int_equal(kind_of(DR_E_IO, true, false), DR_FAILURE_STORAGE_FAILING);
	assert_int_equal(kind_of(DR_E_NO_SPACE, true, false), DR_FAILURE_DISK_FULL);
	assert_int_equal(kind_of(DR_E_FULL, false, false), DR_FAILURE_CONNECTIONS);
	assert_int_equal(kind_of(DR_E_REFUSED, true, false), DR_FAILURE_READ_ONLY);
	assert_int_equal(kind_of(DR_E_FAILED, true, true), DR_FAILURE_READ_ONLY);
	assert_int_equal(kind_of(DR_E_FAILED, true, false), DR_FAILURE_WRITES_FAIL);
	assert_int_equal(kind_of(DR_E_AUTH, false, false), DR_FAILURE_PROBES_REFUSED);
	assert_int_equal(kind_of(DR_E_DENIED, true, false), DR_FAILURE_PROBES_REFUSED);
	/* Ends of our own making say nothing of the server. */
	assert_int_equal(kind_of(DR_E_CANCELLED, true, false), DR_FAILURE_NONE);
	assert_int_equal(kind_of(DR_E_UNKNOWN, false, false), DR_FAILURE_NONE);
	struct dr_evidence wrote = { .reached = true, .wrote = true };
	assert_int_equal(dr_probe_kind(&wrote, NULL), DR_FAILURE_NONE);
	/* By a default of the probes' own role: told, and nothing is moved. */
	struct dr_evidence in_spite = { .reached = true, .wrote = true, .in_spite = true };
	assert_int_equal(dr_probe_kind(&in_spite, NULL), DR_FAILURE_READ_ONLY_DEFAULT);
	assert_int_equal(dr_failure_policy(DR_FAILURE_READ_ONLY_DEFAULT), DR_FAILURE_TELL);
	struct dr_evidence silent = { .reached = true };
	assert_int_equal(dr_probe_kind(&silent, NULL), DR_FAILURE_WRITES_FAIL);
}

static uint64_t lasts_ms(const struct dr_probe_streak *s)
{
	uint64_t ms = 0;
	(void)dr_probe_streak_says(s, STALL, &ms);
	return ms;
}

/* It lasts from the first one's begin to the newest one's end, and one that wrote ends it. */
static void test_streak(void **state)
{
	struct dr_probe_streak s = { 0 };
	(void)state;
	assert_false(dr_probe_streak_note(&s, DR_FAILURE_NONE, 1000, 1010));
	assert_int_equal(lasts_ms(&s), 0);
	assert_true(dr_probe_streak_note(&s, DR_FAILURE_READ_ONLY, 2000, 2010));
	assert_false(dr_probe_streak_note(&s, DR_FAILURE_DISK_FULL, 3000, 3020));
	assert_int_equal(s.kind, DR_FAILURE_DISK_FULL);
	assert_int_equal(lasts_ms(&s), 1020);
	assert_true(dr_probe_streak_may(&s, STALL, 3020));
	assert_false(dr_probe_streak_note(&s, DR_FAILURE_NONE, 4000, 4010));
	assert_int_equal(s.kind, DR_FAILURE_NONE);
	assert_int_equal(lasts_ms(&s), 0);
}

/* A coordinator that stood still for ten seconds finds its probe long past its deadline: that is no ten seconds of silence. */
static void test_own_stall(void **state)
{
	enum { DEADLINE = 500 };
	struct dr_probe_streak s = { 0 };
	(void)state;
	assert_int_equal(dr_probe_counts_from(2000, 2500, DEADLINE), 2000);
	assert_int_equal(dr_probe_counts_from(2000, 2501, DEADLINE), 2000);
	uint64_t from = dr_probe_counts_from(2000, 12000, DEADLINE);
	(void)dr_probe_streak_note(&s, DR_FAILURE_SERVER_HUNG, from, 12000);
	assert_true(lasts_ms(&s) >= DEADLINE);
	assert_true(lasts_ms(&s) < 2 * DEADLINE);
}

/* Behind storage that hangs all connections are soon taken: that is still the hang.  A server that only has none
 * left is not taken for one that hangs because a single probe was slow. */
static void test_hang_takes_connections(void **state)
{
	struct dr_probe_streak s = { 0 };
	(void)state;
	(void)dr_probe_streak_note(&s, DR_FAILURE_STORAGE_HUNG, 1000, 1200);
	(void)dr_probe_streak_note(&s, DR_FAILURE_SERVER_HUNG, 2200, 2400);
	(void)dr_probe_streak_note(&s, DR_FAILURE_CONNECTIONS, 3400, 3401);
	assert_int_equal(s.kind, DR_FAILURE_SERVER_HUNG);
	(void)dr_probe_streak_note(&s, DR_FAILURE_NOT_ACCEPTING, 4400, 4401);
	assert_int_equal(s.kind, DR_FAILURE_NOT_ACCEPTING);
	(void)dr_probe_streak_note(&s, DR_FAILURE_NONE, 5000, 5001);
	(void)dr_probe_streak_note(&s, DR_FAILURE_SERVER_HUNG, 6000, 6200);
	(void)dr_probe_streak_note(&s, DR_FAILURE_CONNECTIONS, 7200, 7201);
	assert_int_equal(s.kind, DR_FAILURE_CONNECTIONS);
}

/* Hung storage soon lets nobody in at all; a server that itself stops has at most one write under way. */
static void test_hung_storage_takes_locks(void **state)
{
	struct dr_probe_streak s = { 0 };
	uint64_t ms = 0;
	(void)state;
	(void)dr_probe_streak_note(&s, DR_FAILURE_STORAGE_HUNG, 1000, 1200);
	(void)dr_probe_streak_note(&s, DR_FAILURE_STORAGE_HUNG, 2000, 3000);
	for (uint64_t at = 3000; at < 1000 + STALL; at += 1000)
		(void)dr_probe_streak_note(&s, DR_FAILURE_SERVER_HUNG, at, at + 1000);
	assert_int_equal(dr_probe_streak_says(&s, STALL, &ms), DR_FAILURE_STORAGE_HUNG);
	(void)dr_probe_streak_note(&s, DR_FAILURE_CONNECTIONS, 1000 + STALL, 1001 + STALL);
	assert_int_equal(dr_probe_streak_says(&s, STALL, &ms), DR_FAILURE_STORAGE_HUNG);
	/* What comes back from that, and hangs again, is judged anew. */
	(void)dr_probe_streak_note(&s, DR_FAILURE_NONE, 9000, 9010);
	(void)dr_probe_streak_note(&s, DR_FAILURE_STORAGE_HUNG, 10000, 10200);
	(void)dr_probe_streak_note(&s, DR_FAILURE_SERVER_HUNG, 11000, 12000);
	(void)dr_probe_streak_note(&s, DR_FAILURE_SERVER_HUNG, 12000, 10000 + STALL);
	assert_int_equal(dr_probe_streak_says(&s, STALL, &ms), DR_FAILURE_SERVER_HUNG);
	/* One that refuses meanwhile is another. */
	(void)dr_probe_streak_note(&s, DR_FAILURE_STORAGE_HUNG, 20000, 20200);
	(void)dr_probe_streak_note(&s, DR_FAILURE_READ_ONLY, 21000, 21010);
	(void)dr_probe_streak_note(&s, DR_FAILURE_SERVER_HUNG, 22000, 23000);
	assert_int_equal(s.kind, DR_FAILURE_SERVER_HUNG);
}

/* One probe that was slow behind many that found no connection does not hang as long as those lasted, and what was
 * said of them still holds; when all hang for so long, it is the hang. */
static void test_one_slow_probe(void **state)
{
	struct dr_probe_streak s = { 0 };
	uint64_t ms = 0;
	(void)state;
	(void)dr_probe_streak_note(&s, DR_FAILURE_PROBES_REFUSED, 1000, 1001);
	for (uint64_t at = 2000; at <= 8000; at += 1000)
		(void)dr_probe_streak_note(&s, DR_FAILURE_CONNECTIONS, at, at + 1);
	assert_int_equal(dr_probe_streak_says(&s, STALL, &ms), DR_FAILURE_CONNECTIONS);
	assert_int_equal(ms, 6001);
	(void)dr_probe_streak_note(&s, DR_FAILURE_SERVER_HUNG, 9000, 9200);
	assert_int_equal(dr_probe_streak_says(&s, STALL, &ms), DR_FAILURE_CONNECTIONS);
	assert_int_equal(ms, 7200);
	for (uint64_t at = 10000; at < 9000 + STALL; at += 1000)
		(void)dr_probe_streak_note(&s, DR_FAILURE_SERVER_HUNG, at, at + 200);
	assert_int_equal(dr_probe_streak_says(&s, STALL, &ms), DR_FAILURE_CONNECTIONS);
	(void)dr_probe_streak_note(&s, DR_FAILURE_STORAGE_HUNG, 9000 + STALL, 9200 + STALL);
	assert_int_equal(dr_probe_streak_says(&s, STALL, &ms), DR_FAILURE_STORAGE_HUNG);
	assert_int_equal(ms, STALL + 200);
	/* A stall of ours moves all of it. */
	dr_probe_streak_later(&s, 3000, 20000);
	assert_int_equal(lasts_ms(&s), STALL + 200);
	/* Before anything has lasted so long the newest is named. */
	memset(&s, 0, sizeof(s));
	(void)dr_probe_streak_note(&s, DR_FAILURE_CONNECTIONS, 1000, 1001);
	(void)dr_probe_streak_note(&s, DR_FAILURE_SERVER_HUNG, 2000, 2200);
	assert_int_equal(dr_probe_streak_says(&s, STALL, &ms), DR_FAILURE_SERVER_HUNG);
	assert_int_equal(ms, 1200);
}

/* Probes that hang begin apart, at most one a second, five to a stall; and each may take until the next one. */
static void test_pace(void **state)
{
	struct dr_probe_streak s = { 0 };
	(void)state;
	assert_true(dr_probe_streak_may(&s, STALL, 1000));
	assert_int_equal(dr_probe_streak_deadline_ms(&s, STALL, 200), 200);
	(void)dr_probe_streak_note(&s, DR_FAILURE_STORAGE_HUNG, 1000, 1200);
	assert_false(dr_probe_streak_may(&s, STALL, 1999));
	assert_true(dr_probe_streak_may(&s, STALL, 2000));
	assert_false(dr_probe_streak_may(&s, 1000, 1199));
	assert_true(dr_probe_streak_may(&s, 1000, 1200));
	assert_false(dr_probe_streak_may(&s, 3600000, 1999));
	assert_true(dr_probe_streak_may(&s, 3600000, 2000));
	assert_true(dr_probe_streak_may(&s, 0, 2000));
	assert_int_equal(dr_probe_streak_deadline_ms(&s, STALL, 200), STALL / 5);
	assert_int_equal(dr_probe_streak_deadline_ms(&s, STALL, 3000), 3000);
	/* Slow, but not hung: the longer look finds that it writes. */
	assert_false(dr_probe_streak_note(&s, DR_FAILURE_NONE, 2000, 2700));
	assert_int_equal(dr_probe_streak_deadline_ms(&s, STALL, 200), 200);
}

/* ---- the majority: coordinators in three sites, the primary in the first one's */

static struct dr_core *core;
static struct dr_decision did;
static uint64_t now;

static struct dr_name name_of(const char *prefix, unsigned i)
{
	struct dr_name n;
	char text[16];
	(void)snprintf(text, sizeof(text), "%s-%c", prefix, (char)('a' + i));
	assert_true(dr_name_set(&n, text));
	return n;
}

static int setup(void **state)
{
	(void)state;
	core = mmap(NULL, sizeof(*core), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(core != MAP_FAILED);
	struct dr_name self = name_of("c", 0);
	now = 1000000;
	dr_core_init(core, &self, now);
	struct dr_repl *r = &core->repl;
	r->timing = *dr_timing_profile("metro");
	r->coordinators = COORDINATORS;
	r->services = 1;
	struct dr_service *s = &r->service[0];
	s->used = s->managed = s->was_primary = true;
	s->spec.kind = DR_KIND_POSTGRES;
	s->spec.write_stall_ms = STALL;
	for (unsigned i = 0; i < COORDINATORS; i++) {
		r->coordinator[i].name = name_of("c", i);
		r->coordinator[i].site = s->spec.member[i].site = name_of("az", i);
		s->spec.member[i].name = name_of("pg", i);
	}
	s->epoch = s->primary_epoch = 1;
	s->holder = s->last_holder = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return munmap(core, sizeof(*core)) == 0 ? 0 : -1;
}

/* An agent that is well tells of its member. */
static void report(unsigned member, enum dr_server_state server)
{
	struct dr_report r = { .managed = true, .guard_alive = true, .epoch = 1, .server = server };
	assert_true(dr_name_set(&r.service, "orders"));
	r.member = name_of("pg", member);
	r.role = server == DR_SERVER_PRIMARY ? DR_ROLE_PRIMARY : DR_ROLE_STANDBY;
	struct dr_core_event ev = { .kind = DR_EV_REPORT, .report = &r, .now_ms = now, .wall_ms = now };
	dr_core_step(core, &ev, &did);
}

/* A coordinator tells now how its write probes of pg-a go. */
static void tell(unsigned coordinator, enum dr_failure kind, uint32_t ms)
{
	struct dr_observation o = { .failure = kind, .failing_ms = ms };
	struct dr_core_event ev = { .kind = DR_EV_OBSERVED, .observer = name_of("c", coordinator), .observations = 1,
				    .observation = &o, .now_ms = now, .wall_ms = now };
	dr_core_step(core, &ev, &did);
}

/* ... and that it hears neither the agent of pg-a nor its server. */
static void tell_silence(unsigned coordinator)
{
	struct dr_observation o = { .agent_age_ms = 60000, .server_age_ms = 60000 };
	struct dr_core_event ev = { .kind = DR_EV_OBSERVED, .observer = name_of("c", coordinator), .observations = 1,
				    .observation = &o, .now_ms = now, .wall_ms = now };
	dr_core_step(core, &ev, &did);
}

static enum dr_failure failing(uint64_t *ms)
{
	core->view.now_ms = now;
	return dr_core_failing(core, 0, 0, ms);
}

static void test_one_is_not_enough(void **state)
{
	uint64_t ms = 7;
	(void)state;
	assert_int_equal(failing(&ms), DR_FAILURE_NONE);
	assert_int_equal(ms, 0);
	tell(1, DR_FAILURE_READ_ONLY, STALL);
	assert_int_equal(failing(&ms), DR_FAILURE_NONE);
	/* Of three, two with one outside its site. */
	tell(0, DR_FAILURE_READ_ONLY, STALL + 100);
	assert_int_equal(failing(&ms), DR_FAILURE_READ_ONLY);
	assert_int_equal(ms, STALL); /* as long as the one says that says least */
}

static void test_all_outside(void **state)
{
	uint64_t ms = 0;
	(void)state;
	tell(0, DR_FAILURE_NONE, 0);
	tell(1, DR_FAILURE_DISK_FULL, 6000);
	tell(2, DR_FAILURE_DISK_FULL, STALL - 1);
	assert_int_equal(failing(&ms), DR_FAILURE_NONE);
	tell(2, DR_FAILURE_DISK_FULL, STALL);
	assert_int_equal(failing(&ms), DR_FAILURE_DISK_FULL);
	/* A coordinator that has been removed counts neither way. */
	memset(&core->repl.coordinator[0], 0, sizeof(core->repl.coordinator[0]));
	memset(&core->repl.coordinator[1], 0, sizeof(core->repl.coordinator[1]));
	assert_int_equal(failing(&ms), DR_FAILURE_DISK_FULL);
}

/* What most say names it. */
static void test_kind_of_most(void **state)
{
	uint64_t ms = 0;
	(void)state;
	tell(0, DR_FAILURE_CONNECTIONS, 6000);
	tell(1, DR_FAILURE_STORAGE_HUNG, 6000);
	tell(2, DR_FAILURE_STORAGE_HUNG, 6000);
	assert_int_equal(failing(&ms), DR_FAILURE_STORAGE_HUNG);
}

static void test_expires(void **state)
{
	uint64_t ms = 0;
	(void)state;
	tell(1, DR_FAILURE_READ_ONLY, 9000);
	tell(2, DR_FAILURE_READ_ONLY, 9000);
	now += core->repl.timing.detect_after_ms;
	assert_int_equal(failing(&ms), DR_FAILURE_READ_ONLY);
	now++;
	assert_int_equal(failing(&ms), DR_FAILURE_NONE);
}

/* What one coordinator sees and another only fails to see is no majority: c-b does not get through, c-c has an old password. */
static void test_told_is_no_voice(void **state)
{
	uint64_t ms = 0;
	(void)state;
	tell(0, DR_FAILURE_NONE, 0);
	tell(1, DR_FAILURE_SERVER_HUNG, 9000);
	tell(2, DR_FAILURE_PROBES_REFUSED, 60000);
	assert_int_equal(failing(&ms), DR_FAILURE_PROBES_REFUSED);
	assert_int_equal(ms, 9000);
	assert_int_not_equal(dr_core_verdict(core, 0, 0, &ms), DR_VERDICT_FAILED);
	/* Nor to move without asking, where only one would. */
	tell(2, DR_FAILURE_CONNECTIONS, 60000);
	assert_int_equal(failing(&ms), DR_FAILURE_CONNECTIONS);
	tell(0, DR_FAILURE_STORAGE_HUNG, 8000);
	assert_int_equal(failing(&ms), DR_FAILURE_SERVER_HUNG);
	assert_int_equal(ms, 8000);
}

static bool opens_failover(void)
{
	for (uint32_t i = 0; i < did.proposals; i++) {
		if (did.propose[i].cmd.kind == DR_CMD_PLAN_OPEN)
			return did.propose[i].cmd.plan_kind == DR_PLAN_FAILOVER;
	}
	return false;
}

/* Under sync, where one of the set is gone too: the primary that fails is stopped for nobody's sake but when its own agent can
 * say how far it is, or all that are needed can. */
static void test_positions_to_come(void **state)
{
	struct dr_service *s = &core->repl.service[0];
	(void)state;
	assert_true(dr_name_set(&s->spec.name, "orders"));
	dr_repl_index(&core->repl);
	s->spec.auto_failover = true;
	s->spec.durability = DR_DURABILITY_SYNC;
	for (unsigned i = 0; i < COORDINATORS; i++)
		s->spec.member[i].priority = 100;
	s->sync = s->next = (struct dr_sync){ .set = dr_set_with(dr_set_of(1), 2), .k = 1 };
	s->member[0].joined_epoch = s->member[1].joined_epoch = s->member[2].joined_epoch = 1;
	core->view.leading = true;
	report(1, DR_SERVER_STANDBY);
	now += core->repl.timing.detect_after_ms; /* the first of the others was heard just now: patience */
	report(1, DR_SERVER_STANDBY);
	tell(1, DR_FAILURE_READ_ONLY, 9000);
	tell(2, DR_FAILURE_READ_ONLY, 9000);
	assert_false(opens_failover());
	report(2, DR_SERVER_STANDBY);
	assert_true(opens_failover());
	/* Or its own agent says it. */
	core->view.service[0].proposing = 0;
	core->view.service[0].member[2].report_ms = 0;
	report(1, DR_SERVER_STANDBY);
	assert_false(opens_failover());
	report(0, DR_SERVER_PRIMARY);
	assert_true(opens_failover());
}

/* Two coordinators at the primary's site and one outside: that one's view alone starts nothing. */
static void test_only_one_outside(void **state)
{
	uint64_t ms = 0;
	(void)state;
	core->repl.coordinator[1].site = core->repl.coordinator[0].site;
	tell(2, DR_FAILURE_SERVER_HUNG, 9000);
	assert_int_equal(failing(&ms), DR_FAILURE_NONE);
	tell(0, DR_FAILURE_SERVER_HUNG, 9000);
	assert_int_equal(failing(&ms), DR_FAILURE_SERVER_HUNG);
	/* Likewise for silence. */
	tell_silence(2);
	tell(0, DR_FAILURE_NONE, 0);
	tell(1, DR_FAILURE_NONE, 0);
	assert_int_equal(dr_core_verdict(core, 0, 0, &ms), DR_VERDICT_SUSPECT);
	tell_silence(1);
	assert_int_equal(dr_core_verdict(core, 0, 0, &ms), DR_VERDICT_LOST);
}

/* A holder that was chosen a moment ago is not judged by how it failed before. */
static void test_from_when_it_holds(void **state)
{
	uint64_t ms = 0;
	(void)state;
	core->view.service[0].holder_ms = now - STALL + 1;
	tell(1, DR_FAILURE_READ_ONLY, 60000);
	tell(2, DR_FAILURE_READ_ONLY, 60000);
	assert_int_equal(failing(&ms), DR_FAILURE_NONE);
	now++;
	assert_int_equal(failing(&ms), DR_FAILURE_READ_ONLY);
	assert_int_equal(ms, STALL);
}

/* Before it is confirmed, and from when an epoch is declared over it, its writes are not expected to work. */
static void test_only_a_confirmed_primary(void **state)
{
	struct dr_service *s = &core->repl.service[0];
	uint64_t ms = 0;
	(void)state;
	tell(1, DR_FAILURE_READ_ONLY, 9000);
	tell(2, DR_FAILURE_READ_ONLY, 9000);
	assert_int_equal(failing(&ms), DR_FAILURE_READ_ONLY);
	s->plan = (struct dr_plan){ .id = 4, .epoch_opened = 1 };
	assert_int_equal(failing(&ms), DR_FAILURE_READ_ONLY);
	s->epoch = 2;
	assert_int_equal(failing(&ms), DR_FAILURE_NONE);
	s->primary_epoch = 2;
	assert_int_equal(failing(&ms), DR_FAILURE_NONE);
	s->plan.id = 0;
	assert_int_equal(failing(&ms), DR_FAILURE_READ_ONLY);
	s->managed = false;
	assert_int_equal(failing(&ms), DR_FAILURE_NONE);
}

/* What is only told makes no verdict. */
static void test_told(void **state)
{
	uint64_t ms = 0;
	(void)state;
	tell(1, DR_FAILURE_PROBES_REFUSED, 9000);
	tell(2, DR_FAILURE_PROBES_REFUSED, 9000);
	assert_int_equal(failing(&ms), DR_FAILURE_PROBES_REFUSED);
	assert_int_not_equal(dr_core_verdict(core, 0, 0, &ms), DR_VERDICT_FAILED);
	tell(1, DR_FAILURE_CONNECTIONS, 9000);
	tell(2, DR_FAILURE_CONNECTIONS, 9000);
	assert_int_equal(dr_core_verdict(core, 0, 0, &ms), DR_VERDICT_FAILED);
}

#define CORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_streak),
		cmocka_unit_test(test_own_stall),
		cmocka_unit_test(test_hang_takes_connections),
		cmocka_unit_test(test_hung_storage_takes_locks),
		cmocka_unit_test(test_one_slow_probe),
		cmocka_unit_test(test_pace),
		CORE(test_one_is_not_enough),
		CORE(test_all_outside),
		CORE(test_kind_of_most),
		CORE(test_told_is_no_voice),
		CORE(test_positions_to_come),
		CORE(test_only_one_outside),
		CORE(test_from_when_it_holds),
		CORE(test_expires),
		CORE(test_only_a_confirmed_primary),
		CORE(test_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
