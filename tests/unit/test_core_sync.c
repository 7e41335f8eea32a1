/* test_core_sync.c -- a primary's server that waits for less than it was told: no one look says so, as it may be older than the
 * order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "forecast_rig.h"

static struct dr_decision did;

static void at(uint64_t now_ms, struct dr_core_event ev)
{
	ev.now_ms = now_ms;
	ev.wall_ms = WALL + now_ms - NOW;
	dr_core_step(live, &ev, &did);
}

/* What its agent reports: as it was heard last, but for whom its server waits for. */
static void says(uint64_t now_ms, uint32_t sync_k)
{
	struct dr_report r = seen(0)->report;

	r.service = service()->spec.name;
	r.member = service()->spec.member[0].name;
	r.sync_k = sync_k;
	at(now_ms, (struct dr_core_event){ .kind = DR_EV_REPORT, .report = &r });
}

/* What is proposed for it, at once or by the next tick. */
static enum dr_reason proposed(void)
{
	for (uint32_t i = 0; i < did.proposals; i++) {
		if (did.propose[i].cmd.kind == DR_CMD_SYNC_CHANGE)
			return did.propose[i].cmd.reason;
	}
	return DR_REASON_NONE;
}

/* Its first standby streams, and the log has it that the server was told to wait for it. */
static uint64_t told(void)
{
	struct dr_report *r = &seen(0)->report;

	healthy(DR_DURABILITY_SYNC);
	service()->member[0].sync_epoch = service()->epoch;
	service()->member[0].sync_version = service()->next_version;
	r->peers = 1;
	r->peer[0].member = service()->spec.member[1].name;
	r->peer[0].streaming = r->peer[0].counts_for_sync = true;
	r->peer[0].flushed = POSITION;
	r->sync_k = 1;
	at(NOW, (struct dr_core_event){ .kind = DR_EV_TICK });
	assert_int_equal(proposed(), DR_REASON_NONE);
	return 2 * ((uint64_t)live->repl.timing.probe_ms + live->repl.timing.probe_deadline_ms);
}

/* Its probes failed for a while: what it said last was seen before it was told. */
static void test_old_look(void **state)
{
	(void)state;
	uint64_t look_ms = told();
	says(NOW + 10, 0);
	says(NOW + look_ms / 2, 0);
	at(NOW + 10 + look_ms, (struct dr_core_event){ .kind = DR_EV_TICK });
	assert_int_equal(proposed(), DR_REASON_NONE);
	says(NOW + 20 + look_ms, 1);
	assert_int_equal(proposed(), DR_REASON_NONE);
	assert_int_equal(live->view.service[1].undone_ms, 0);
}

/* It goes on saying so. */
static void test_undone(void **state)
{
	(void)state;
	uint64_t look_ms = told();
	says(NOW + 10, 0);
	says(NOW + look_ms / 2, 0);
	says(NOW + 10 + look_ms, 0);
	assert_int_equal(proposed(), DR_REASON_SYNC_UNDONE);
}

/* Nor does what it said while somebody else led, or another one held the epoch, make of the first look the second one. */
static void test_anew(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t look_ms = told();
		live->view.service[1].undone_ms = NOW - 10 * look_ms;
		*(i == 0 ? &live->view.led_since_ms : &live->view.service[1].holder_ms) = NOW - look_ms;
		says(NOW + 10, 0);
		assert_int_equal(proposed(), DR_REASON_NONE);
		assert_int_equal(live->view.service[1].undone_ms, NOW + 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old_look), cmocka_unit_test(test_undone), cmocka_unit_test(test_anew),
	};
	return cmocka_run_group_tests(tests, rig_begin, NULL);
}
