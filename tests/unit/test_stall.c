/* test_stall.c -- own stalls, whenever one comes, count once and for everybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "coord/shell/stall.h"

enum { PERIOD = 256, SLICES = 64, STEP = PERIOD / SLICES, LEAST = PERIOD / 8, STALL = 4000 };

static struct dr_stall stall;
static uint64_t counted[SLICES], now;

static int begin(void **state)
{
	(void)state;
	stall = (struct dr_stall){ 0 };
	for (unsigned i = 0; i < SLICES; i++)
		counted[i] = 0;
	now = 1000;
	return 0;
}

/* As coord/shell/loop.c: a beat looks at the first slice, its timer at the others; the members of a slice are one. */
static void slice(unsigned at, uint64_t stalled_ms, uint64_t beat_ms)
{
	now += at == 0 ? 0 : STEP;
	now += stalled_ms;
	uint64_t beat_next_ms = beat_ms + PERIOD > now ? beat_ms + PERIOD : now;
	dr_stall_alive(&stall, now, at + 1 == SLICES ? beat_next_ms : now + STEP, LEAST);
}

/* A stall amid a beat's slices: those of the rest of the beat take it off as those of the next one do, each once. */
static void test_amid_slices(void **state)
{
	(void)state;
	for (unsigned at = 0; at < SLICES; at++) {
		slice(at, at == 10 ? STALL : 0, 1000);
		uint64_t took = dr_stall_take(&stall, &counted[at]);
		assert_int_equal(took, at < 10 ? 0 : STALL);
	}
	/* It ended so late that the next beat is overdue, which is no stall of its own. */
	slice(0, 0, now);
	for (unsigned at = 0; at < SLICES; at++)
		assert_int_equal(dr_stall_take(&stall, &counted[at]), at < 10 ? STALL : 0);
}

/* The beat itself finds a stall and then the slices undone: they must have it, too. */
static void test_beat_finds_it(void **state)
{
	(void)state;
	slice(0, 0, 1000);
	slice(1, 0, 1000);
	slice(0, STALL, now);
	for (unsigned at = 2; at < SLICES; at++)
		assert_in_range(dr_stall_take(&stall, &counted[at]), STALL - STEP, STALL);
}

static void test_whole_beats(void **state)
{
	const uint64_t late[] = { 0, 1, LEAST - 1, LEAST, 700, 0, PERIOD };
	uint64_t all = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
		now += PERIOD + late[i];
		dr_stall_alive(&stall, now, now + PERIOD, LEAST);
		/* The first timer of all cannot be late; and a little late is no stall. */
		all += i > 0 && late[i] >= LEAST ? late[i] : 0;
		assert_int_equal(stall.total_ms, all);
	}
}

/* Whoever is watched from now on owes nothing of before. */
static void test_new_watch(void **state)
{
	uint64_t own = 0;

	(void)state;
	slice(0, 0, 1000);
	slice(1, STALL, 1000);
	(void)dr_stall_take(&stall, &own);
	slice(2, 0, 1000);
	assert_int_equal(dr_stall_take(&stall, &own), 0);
	slice(3, 100, 1000);
	assert_int_equal(dr_stall_take(&stall, &own), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_amid_slices, begin),
		cmocka_unit_test_setup(test_beat_finds_it, begin),
		cmocka_unit_test_setup(test_whole_beats, begin),
		cmocka_unit_test_setup(test_new_watch, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
