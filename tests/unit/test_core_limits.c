/* test_core_limits.c -- of all services together no more are moved automatically than the spec's limits allow; and a spec that
 * does not fit what there is, which is refused with the condition and the place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "base/parse.h"
#include "coord/core/repl.h"

enum { SERVICES = 4, WITHIN_MS = 60000 };

static struct dr_repl *repl;
static uint64_t wall, log_index;

static struct dr_spec_service services[SERVICES]; /* as they were applied */

static void apply_spec(uint32_t moves)
{
	struct dr_spec spec = { .service = services, .services = SERVICES,
				.limits = { .automatic_moves = moves, .within_ms = WITHIN_MS } };
	struct dr_cmd cmd = { .kind = DR_CMD_SPEC, .service = DR_SERVICE_NONE, .a = repl->spec_version, .spec = &spec };

	spec.timing = *dr_timing_profile("metro");
	for (uint32_t i = 0; i < SERVICES; i++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "s%u", i);
		services[i] = (struct dr_spec_service){ .kind = DR_KIND_POSTGRES, .auto_failover = true };
		assert_true(dr_name_set(&services[i].name, name));
		assert_true(dr_name_set(&services[i].member[0].name, "pg-a"));
		assert_true(dr_name_set(&services[i].member[1].name, "pg-b"));
	}
	dr_repl_apply(repl, ++log_index, &cmd);
	for (uint32_t i = 0; i < SERVICES; i++) {
		repl->service[i].managed = true;
		repl->service[i].holder = 0;
		repl->service[i].epoch = repl->service[i].primary_epoch = 1;
	}
}

/* Whether a plan for this reason is open after it was asked for.  request 0: by the leader. */
static bool opens(uint32_t service, enum dr_reason why, uint64_t request)
{
	struct dr_cmd cmd = { .kind = DR_CMD_PLAN_OPEN, .service = service, .epoch = 1, .plan_kind = DR_PLAN_FAILOVER,
			      .reason = why, .member = DR_MEMBER_NONE, .target = DR_MEMBER_NONE, .wall_ms = wall,
			      .request = request };

	dr_repl_apply(repl, ++log_index, &cmd);
	return repl->service[service].plan.id != 0;
}

static unsigned told(void)
{
	unsigned n = 0;

	for (uint64_t i = 1; i <= repl->event_last; i++)
		n += dr_repl_event(repl, i)->kind == DR_EVENT_MOVES_LIMITED ? 1u : 0u;
	return n;
}

static int begin(void **state)
{
	(void)state;
	repl = mmap(NULL, sizeof(*repl), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(repl, MAP_FAILED);
	wall = 1000000;
	log_index = 0;
	dr_repl_init(repl);
	return 0;
}

static int end(void **state)
{
	(void)state;
	return munmap(repl, sizeof(*repl));
}

static void test_no_limit(void **state)
{
	(void)state;
	apply_spec(0);
	for (uint32_t i = 0; i < SERVICES; i++)
		assert_true(opens(i, DR_REASON_MEMBER_LOST, 0));
	assert_int_equal(told(), 0);
}

/* Also where the leader had looked at all of them before the first one's plan was in the log. */
static void test_limit(void **state)
{
	(void)state;
	apply_spec(2);
	assert_true(opens(0, DR_REASON_MEMBER_LOST, 0));
	assert_int_equal(dr_moves_wait_ms(repl, wall), 0);
	wall += 1000;
	assert_true(opens(1, DR_REASON_SERVER_FAILED, 0));
	assert_int_equal(told(), 1);
	assert_int_equal(dr_moves_wait_ms(repl, wall), WITHIN_MS - 1000);
	assert_false(opens(2, DR_REASON_MEMBER_LOST, 0));
	assert_false(opens(2, DR_REASON_STORAGE_HUNG, 0));
	wall += WITHIN_MS - 1001;
	assert_false(opens(2, DR_REASON_MEMBER_LOST, 0));
	wall++;
	assert_true(opens(2, DR_REASON_MEMBER_LOST, 0));
	assert_false(opens(3, DR_REASON_MEMBER_LOST, 0));
	assert_int_equal(told(), 2);
}

static void test_what_is_free(void **state)
{
	(void)state;
	apply_spec(1);
	assert_true(opens(0, DR_REASON_RESTART, 0)); /* it moves nothing */
	assert_int_equal(dr_moves_wait_ms(repl, wall), 0);
	assert_true(opens(1, DR_REASON_CRASH_LOOP, 0));
	assert_true(opens(2, DR_REASON_OPERATOR, 77));
	repl->service[3].spec.auto_failover = false; /* it asks */
	assert_true(opens(3, DR_REASON_MEMBER_LOST, 0));
	assert_int_equal(told(), 1);
}

/* A stamp from a clock that was far ahead blocks nothing; raising the limit frees at once. */
static void test_clock_and_spec(void **state)
{
	(void)state;
	apply_spec(1);
	assert_true(opens(0, DR_REASON_MEMBER_LOST, 0));
	assert_false(opens(1, DR_REASON_MEMBER_LOST, 0));
	assert_int_equal(dr_moves_wait_ms(repl, wall - WITHIN_MS - 1), 0);
	apply_spec(2);
	assert_true(opens(1, DR_REASON_MEMBER_LOST, 0));
	assert_false(opens(2, DR_REASON_MEMBER_LOST, 0));
}

/* What a spec of these services comes to, and of which place that is said. */
static enum dr_reason refused(const struct dr_spec_service *want, uint32_t n, uint32_t *service, dr_member_ix *m)
{
	static struct dr_spec_service copy[SERVICES];
	static uint64_t request;
	struct dr_spec spec = { .service = copy, .services = n, .timing = *dr_timing_profile("metro") };
	struct dr_cmd cmd = { .kind = DR_CMD_SPEC, .service = DR_SERVICE_NONE, .a = repl->spec_version, .spec = &spec,
			      .request = ++request };

	for (uint32_t i = 0; i < n; i++)
		copy[i] = want[i];
	dr_repl_apply(repl, ++log_index, &cmd);
	const struct dr_request_done *done = dr_repl_request_find(repl, request);
	assert_non_null(done);
	assert_int_equal(dr_spec_place(done->refused, done->a, service, m), done->refused != DR_REASON_NONE);
	return done->refused;
}

static void test_what_does_not_fit(void **state)
{
	struct dr_service *s = NULL;
	uint32_t service = 9;
	dr_member_ix m = 9;

	(void)state;
	apply_spec(0);
	assert_int_equal(refused(services, SERVICES - 1, &service, &m), DR_REASON_SPEC_SERVICE);
	assert_int_equal(service, SERVICES - 1);
	assert_int_equal(m, DR_MEMBER_NONE);
	services[2].kind = DR_KIND_MARIADB;
	assert_int_equal(refused(services, SERVICES, &service, &m), DR_REASON_SPEC_KIND);
	assert_int_equal(service, 2);
	services[2].kind = DR_KIND_POSTGRES;
	/* pg-a of the second one holds; pg-b is what something rests on, one after the other. */
	s = &repl->service[1];
	s->last_holder = 0;
	assert_true(dr_name_set(&services[1].member[0].agent, "db-x"));
	assert_int_equal(refused(services, SERVICES, &service, &m), DR_REASON_SPEC_PRIMARY);
	assert_true(service == 1 && m == 0);
	services[1].member[0].agent = (struct dr_name){ 0 };
	services[1].member[1].name = (struct dr_name){ 0 };
	s->plan = (struct dr_plan){ .id = 7, .candidate = 1, .old = 0, .wanted = DR_MEMBER_NONE, .source = DR_MEMBER_NONE };
	assert_int_equal(refused(services, SERVICES, &service, &m), DR_REASON_SPEC_PLAN);
	assert_true(service == 1 && m == 1);
	s->plan.id = 0;
	s->member[1].only_expired = true;
	assert_int_equal(refused(services, SERVICES, &service, &m), DR_REASON_SPEC_UNPROVED);
	s->member[1].only_expired = false;
	s->next.set = dr_set_of(1);
	assert_int_equal(refused(services, SERVICES, &service, &m), DR_REASON_SPEC_SYNC_SET);
	assert_true(service == 1 && m == 1);
	s->next.set = 0;
	assert_int_equal(refused(services, SERVICES, &service, &m), DR_REASON_NONE);
	/* Of other refusals the value says no place. */
	assert_false(dr_spec_place(DR_REASON_VERSION_CHANGED, 3, &service, &m));
	assert_false(dr_spec_place(DR_REASON_SPEC_KIND, UINT64_MAX, &service, &m));
}

static struct dr_spec_route pooler(const char *host)
{
	struct dr_spec_route r = { .kind = DR_ROUTE_PGBOUNCER, .servers = 2, .server = { { .port = 6432 }, { .port = 6433 } } };
	for (unsigned i = 0; i < 2; i++)
		assert_true(dr_copy_text(r.server[i].host, sizeof(r.server[i].host), host));
	assert_true(dr_name_set(&r.name, "pool") && dr_copy_text(r.pool, sizeof(r.pool), "orders"));
	return r;
}

static enum dr_reason to_observe(uint32_t service, bool force)
{
	static uint64_t request = 5000;
	struct dr_cmd cmd = { .kind = DR_CMD_MODE, .service = service, .request = ++request, .force = force };
	dr_repl_apply(repl, ++log_index, &cmd);
	return dr_repl_request_find(repl, request)->refused;
}

static void routed(uint32_t service, uint32_t route, uint32_t servers)
{
	struct dr_cmd cmd = { .kind = DR_CMD_ROUTED, .service = service, .epoch = 1, .route = route, .servers = servers };
	dr_repl_apply(repl, ++log_index, &cmd);
}

/* Clients that a switch has held are let go by whoever has the route: it stays until they are. */
static void test_held_clients(void **state)
{
	uint32_t service = 9;
	dr_member_ix m = 9;
	(void)state;
	apply_spec(0);
	struct dr_service *s = &repl->service[1];
	services[1].route[0] = s->spec.route[0] = pooler("10.0.0.1");
	s->route_held[0] = 3;
	services[1].route[0] = (struct dr_spec_route){ .kind = DR_ROUTE_NONE };
	assert_int_equal(refused(services, SERVICES, &service, &m), DR_REASON_SPEC_HELD);
	assert_int_equal(service, 1);
	services[1].route[0] = pooler("10.0.0.2");
	assert_int_equal(refused(services, SERVICES, &service, &m), DR_REASON_SPEC_HELD);
	assert_int_equal(to_observe(1, false), DR_REASON_CLIENTS_HELD);
	/* The same places under another number, and with another timeout. */
	services[1].route[0] = (struct dr_spec_route){ .kind = DR_ROUTE_NONE };
	services[1].route[2] = pooler("10.0.0.1");
	services[1].route[2].timeout_ms = 7;
	assert_int_equal(refused(services, SERVICES, &service, &m), DR_REASON_NONE);
	assert_true(s->route_held[0] == 0 && s->route_held[2] == 3);
	routed(1, 2, 1);
	assert_int_equal(to_observe(1, false), DR_REASON_CLIENTS_HELD);
	routed(1, 2, 3);
	assert_int_equal(to_observe(1, false), DR_REASON_NONE);
	s->managed = true;
	s->route_held[2] = 2;
	assert_int_equal(to_observe(1, true), DR_REASON_NONE);
	assert_int_equal(s->route_held[2], 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_no_limit), T(test_limit), T(test_what_is_free), T(test_clock_and_spec),
		T(test_what_does_not_fit), T(test_held_clients) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
