/* test_looks.c -- many services: no event looks at more than a bounded number, and all have their turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "coord/core/core.h"
#include "proto/codec.h"

enum { SERVICES = 1000, SERVICES_MANY = 2000, MEMBERS = 2, STEP_MS = 10 };

static struct dr_core *core;
static struct dr_decision *out;
static uint64_t now = 1000000;
static unsigned looked[DR_SERVICES_MAX];

static void *zeroed(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void step(struct dr_core_event ev)
{
	ev.now_ms = ev.wall_ms = now;
	dr_core_step(core, &ev, out);
	for (uint32_t i = 0; i < out->orders; i += MEMBERS)
		looked[out->order[i].service]++;
	assert_true(out->orders <= DR_LOOKS_MAX * MEMBERS);
}

static void apply_spec(uint32_t services)
{
	struct dr_spec *s = dr_spec_new(services);
	struct dr_cmd c = { .kind = DR_CMD_SPEC, .service = DR_SERVICE_NONE, .a = core->repl.spec_version, .spec = s };

	(void)dr_name_set(&s->cluster, "demo");
	s->timing = *dr_timing_profile("default");
	for (uint32_t i = 0; i < services; i++) {
		struct dr_spec_service *one = &s->service[s->services++];

		(void)snprintf(one->name.s, sizeof(one->name.s), "s%u", i);
		one->kind = DR_KIND_POSTGRES;
		for (unsigned m = 0; m < MEMBERS; m++)
			(void)snprintf(one->member[m].name.s, sizeof(one->member[m].name.s), "m%u", m);
	}
	step((struct dr_core_event){ .kind = DR_EV_COMMITTED, .index = core->repl.applied + 1, .cmd = &c });
	dr_spec_free(s);
}

static int begin(void **state)
{
	struct dr_name self;

	(void)state;
	core = zeroed(sizeof(*core));
	out = zeroed(sizeof(*out));
	(void)dr_name_set(&self, "c-a");
	dr_core_init(core, &self, now);
	step((struct dr_core_event){ .kind = DR_EV_ROLE, .leading = true, .term = 2 });
	return 0;
}

static int end(void **state)
{
	(void)state;
	(void)munmap(core, sizeof(*core));
	(void)munmap(out, sizeof(*out));
	return 0;
}

/* Woken whenever it asks to be, it has looked at all of them soon after something that concerns all. */
static void test_all(void **state)
{
	(void)state;
	apply_spec(SERVICES);
	for (unsigned steps = 1; out->wake_at_ms == now + 1; steps++) {
		assert_true(steps < 2 + SERVICES / DR_LOOKS_MAX);
		now++;
		step((struct dr_core_event){ .kind = DR_EV_TICK });
	}
	for (uint32_t i = 0; i < SERVICES; i++)
		assert_true(looked[i] > 0);
}

/* With nothing but time everybody's turn comes once a probe interval; and not all the time. */
static void take_turns(uint32_t services, uint64_t step_ms)
{
	apply_spec(services);
	for (unsigned i = 0; i < 100; i++, now++)
		step((struct dr_core_event){ .kind = DR_EV_TICK });
	memset(looked, 0, sizeof(looked));
	uint32_t probe_ms = core->repl.timing.probe_ms;
	for (uint64_t until = now + probe_ms + 2 * step_ms; now < until; now += step_ms)
		step((struct dr_core_event){ .kind = DR_EV_TICK });
	for (uint32_t i = 0; i < services; i++)
		assert_in_range(looked[i], 1, 3);
}

static void test_turns(void **state)
{
	(void)state;
	take_turns(SERVICES, STEP_MS);
}

/* Also where a step's share of them is 1.9 and no whole number. */
static void test_turns_in_part(void **state)
{
	(void)state;
	take_turns(70, 27);
}

static void test_turns_of_many(void **state)
{
	(void)state;
	take_turns(1900, 1);
}

/* What is heard of one has it looked at in that event. */
static void test_heard(void **state)
{
	struct dr_report r = { .server = DR_SERVER_STANDBY };

	(void)state;
	apply_spec(SERVICES);
	for (unsigned i = 0; i < 100; i++, now++)
		step((struct dr_core_event){ .kind = DR_EV_TICK });
	memset(looked, 0, sizeof(looked));
	(void)dr_name_set(&r.service, "s777");
	(void)dr_name_set(&r.member, "m1");
	step((struct dr_core_event){ .kind = DR_EV_REPORT, .report = &r });
	assert_int_equal(looked[777], 1);
	assert_int_equal(out->orders, MEMBERS);
}

/* An entry that names a place that there is not changes nothing, and nothing beside the marks. */
static void test_no_such_place(void **state)
{
	const uint32_t place[] = { SERVICES, DR_SERVICES_MAX, UINT32_MAX - 1 };

	(void)state;
	apply_spec(SERVICES);
	for (unsigned i = 0; i < sizeof(place) / sizeof(place[0]); i++) {
		struct dr_cmd c = { .kind = DR_CMD_PAUSE, .service = place[i], .member = DR_MEMBER_NONE,
				    .target = DR_MEMBER_NONE, .flag = true };

		step((struct dr_core_event){ .kind = DR_EV_COMMITTED, .index = core->repl.applied + 1, .cmd = &c });
		assert_int_equal(core->looks.due_ms[0], 0); /* stands right behind the marks */
	}
}

/* The shell's part (coord/shell/loop.c): a window of the log that commits when told to, and refusals told of at once. */
static uint64_t flying[DR_PROPOSALS_MAX];
static uint32_t flies;
static unsigned proposed[DR_SERVICES_MAX];
static uint32_t refused_most, looks_most;
static enum dr_err refusal;

static void carry_out(uint64_t ended[DR_SERVICES_MAX], uint32_t *count)
{
	for (uint32_t i = 0; i < out->proposals; i++) {
		if (refusal != DR_OK || flies == DR_PROPOSALS_MAX) {
			assert_true(*count < DR_SERVICES_MAX);
			ended[(*count)++] = out->propose[i].tag;
			continue;
		}
		flying[flies++] = out->propose[i].tag;
		if (out->propose[i].cmd.service < SERVICES_MANY)
			proposed[out->propose[i].cmd.service]++;
	}
	refused_most = *count > refused_most ? *count : refused_most;
}

static void turn(struct dr_core_event ev)
{
	static uint64_t ended[DR_SERVICES_MAX];
	uint32_t count = 0, looks = 0;

	ev.outstanding = flies;
	step(ev);
	uint64_t wake_ms = out->wake_at_ms;
	looks += out->orders / MEMBERS;
	carry_out(ended, &count);
	while (count > 0) {
		step((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = ended[--count], .outstanding = flies,
					     .outcome = refusal != DR_OK ? refusal : DR_E_FULL });
		wake_ms = wake_ms == 0 || (out->wake_at_ms != 0 && out->wake_at_ms < wake_ms) ? out->wake_at_ms : wake_ms;
		looks += out->orders / MEMBERS;
		carry_out(ended, &count);
	}
	out->wake_at_ms = wake_ms;
	looks_most = looks > looks_most ? looks : looks_most;
}

/* The oldest ends. */
static void commit_one(void)
{
	uint64_t tag = flying[0];

	assert_true(flies > 0);
	memmove(flying, flying + 1, --flies * sizeof(flying[0]));
	turn((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = tag });
}

/* All of them want an entry at once: they have nobody, and are to get their last primary back. */
static void all_want(void)
{
	apply_spec(SERVICES_MANY);
	for (uint32_t i = 0; i < SERVICES_MANY; i++) {
		struct dr_service *s = &core->repl.service[i];

		s->managed = s->was_primary = true;
		s->epoch = s->primary_epoch = 1;
		s->holder = DR_MEMBER_NONE;
		s->last_holder = 0;
		s->sync = s->next = (struct dr_sync){ .set = dr_set_of(0), .k = 1 };
	}
	flies = refused_most = looks_most = 0;
	refusal = DR_OK;
	memset(proposed, 0, sizeof(proposed));
	turn((struct dr_core_event){ .kind = DR_EV_ROLE, .leading = true, .term = 3 });
}

/* However many want an entry while the log takes no more: nothing is refused, places are left for others, nobody asks to be
 * woken for nothing, and as entries commit each has its turn. */
static void test_log_is_full(void **state)
{
	(void)state;
	all_want();
	for (unsigned i = 0; i < SERVICES_MANY / DR_LOOKS_MAX; i++, now++)
		turn((struct dr_core_event){ .kind = DR_EV_TICK });
	assert_int_equal(refused_most, 0);
	assert_int_equal(flies, DR_PROPOSALS_MAX - DR_PROPOSALS_KEPT);
	assert_true(out->wake_at_ms != out->now_ms + 1);
	for (unsigned i = 0; i < 2 * SERVICES_MANY; i++) {
		now += i % 64 == 0 ? 5 : 0;
		commit_one();
		if (out->wake_at_ms == out->now_ms + 1)
			turn((struct dr_core_event){ .kind = DR_EV_TICK });
		assert_true(flies <= DR_PROPOSALS_MAX - DR_PROPOSALS_KEPT);
	}
	assert_int_equal(refused_most, 0);
	for (uint32_t i = 0; i < SERVICES_MANY; i++)
		assert_true(proposed[i] > 0);
}

/* A refusal is taken in without another proposal, and whoever waits is looked at with the next wake-up. */
static void test_log_refuses(void **state)
{
	(void)state;
	all_want();
	refusal = DR_E_NOT_LEADER;
	for (unsigned i = 0; i < SERVICES_MANY / DR_LOOKS_MAX; i++, now++) {
		turn((struct dr_core_event){ .kind = DR_EV_TICK });
		assert_in_range(refused_most, 1, DR_PROPOSE_MAX);
		assert_in_range(looks_most, 1, DR_LOOKS_MAX);
	}
	refusal = DR_OK;
	turn((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = UINT64_MAX, .outcome = DR_E_NOT_LEADER });
	assert_int_equal(out->proposals, 0);
	assert_int_equal(out->wake_at_ms, now + 1);
}

/* What a request's event proposes beside it is no answer: a refused one has no proposal, an accepted one names its own. */
static void test_request_among_looks(void **state)
{
	struct dr_request q = { .kind = DR_REQ_PAUSE, .id = 1 };
	uint64_t own = 0;

	(void)state;
	all_want();
	(void)dr_name_set(&q.service, "nobody");
	step((struct dr_core_event){ .kind = DR_EV_REQUEST, .request = &q });
	assert_true(out->answer.now && out->answer.refused == DR_REASON_NO_SUCH_SERVICE);
	assert_true(out->proposals > 0); /* of the looks */
	assert_int_equal(out->answer.tag, 0);
	q.id = 2;
	(void)dr_name_set(&q.service, "s0");
	step((struct dr_core_event){ .kind = DR_EV_REQUEST, .request = &q });
	assert_false(out->answer.now);
	assert_true(out->proposals > 1);
	for (uint32_t i = 0; i < out->proposals; i++)
		own = out->propose[i].cmd.kind == DR_CMD_PAUSE ? out->propose[i].tag : own;
	assert_true(own != 0 && out->answer.tag == own);
}

/* A proposal whose end comes after that of a thousand others is known all the same; and one of no service's is nobody's. */
static void test_late_end(void **state)
{
	(void)state;
	all_want();
	uint64_t first = flying[0];
	while (flies > 0)
		flying[--flies] = 0;
	refusal = DR_E_NOT_LEADER;
	for (uint64_t from = core->view.tag_last; core->view.tag_last < from + 2 * DR_TAGS_KEPT; now += 60)
		turn((struct dr_core_event){ .kind = DR_EV_TICK });
	uint32_t waits = DR_SERVICE_NONE;
	for (uint32_t i = 0; i < SERVICES_MANY; i++)
		waits = core->view.service[i].proposing == first ? i : waits;
	assert_true(waits < SERVICES_MANY);
	turn((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = core->view.tag_last + 1 });
	assert_int_equal(core->view.service[waits].proposing, first);
	turn((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = first, .outcome = DR_E_UNKNOWN });
	assert_int_equal(core->view.service[waits].proposing, 0);
}

/* Entries are applied, and proposals end, by the hundred in one turn of the loop: each looks at few. */
static void test_many_entries(void **state)
{
	(void)state;
	apply_spec(SERVICES);
	memset(looked, 0, sizeof(looked));
	for (unsigned i = 0; i < 128; i++) {
		struct dr_cmd c = { .kind = DR_CMD_PAUSE, .service = i, .member = DR_MEMBER_NONE,
				    .target = DR_MEMBER_NONE, .flag = true };

		step((struct dr_core_event){ .kind = DR_EV_COMMITTED, .index = core->repl.applied + 1, .cmd = &c });
		step((struct dr_core_event){ .kind = DR_EV_PROPOSED, .tag = UINT64_MAX });
	}
	unsigned all = 0;
	for (uint32_t i = 0; i < SERVICES; i++)
		all += looked[i];
	assert_in_range(all, 1, 2 * 128 * DR_LOOKS_AFTER_ENTRY);
}

/* Names are found after services came and went; those that are gone are not. */
static void test_names(void **state)
{
	(void)state;
	apply_spec(SERVICES);
	assert_int_equal(dr_repl_service_find(&core->repl, "s999"), 999);
	apply_spec(10);
	assert_int_equal(dr_repl_service_find(&core->repl, "s9"), 9);
	assert_int_equal(dr_repl_service_find(&core->repl, "s10"), DR_SERVICE_NONE);
	apply_spec(DR_SERVICES_MAX);
	for (uint32_t i = 0; i < DR_SERVICES_MAX; i += 97) {
		char name[DR_NAME_MAX];

		(void)snprintf(name, sizeof(name), "s%u", i);
		assert_int_equal(dr_repl_service_find(&core->repl, name), i);
	}
	assert_int_equal(dr_repl_service_find(&core->repl, ""), DR_SERVICE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all, begin, end),
		cmocka_unit_test_setup_teardown(test_turns, begin, end),
		cmocka_unit_test_setup_teardown(test_turns_in_part, begin, end),
		cmocka_unit_test_setup_teardown(test_turns_of_many, begin, end),
		cmocka_unit_test_setup_teardown(test_heard, begin, end),
		cmocka_unit_test_setup_teardown(test_no_such_place, begin, end),
		cmocka_unit_test_setup_teardown(test_log_is_full, begin, end),
		cmocka_unit_test_setup_teardown(test_log_refuses, begin, end),
		cmocka_unit_test_setup_teardown(test_request_among_looks, begin, end),
		cmocka_unit_test_setup_teardown(test_late_end, begin, end),
		cmocka_unit_test_setup_teardown(test_many_entries, begin, end),
		cmocka_unit_test_setup_teardown(test_names, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
