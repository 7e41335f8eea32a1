/* test_guard_slots.c -- which slot of the guard's memory a server gets, and what of an earlier agent's stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/shell/guard_link.h"
#include "base/parse.h"

static struct dr_guard_link link_now;
static struct dr_guard_mem *mem;

/* An agent that has just begun, on the memory that is there. */
static void begin(void)
{
	memset(&link_now, 0, sizeof(link_now));
	link_now.mem = mem;
}

static enum dr_err claim(const char *of, unsigned i, const char *data_dir, uint32_t *slot)
{
	struct dr_cgroup group = { 0 };
	char name[64];
	(void)snprintf(name, sizeof(name), "%s%u/m", of, i);
	(void)snprintf(group.path, sizeof(group.path), "/group/%s%u", of, i);
	(void)dr_copy_text(group.data_dir, sizeof(group.data_dir), data_dir);
	return dr_guard_slot_claim(&link_now, name, &group, NULL, slot, NULL);
}

static void test_slots(void **state)
{
	uint32_t slot[DR_AGENT_SERVICES_MAX], again = 0;
	struct dr_guard_seen seen;
	(void)state;
	begin();
	for (unsigned i = 0; i < DR_AGENT_SERVICES_MAX; i++)
		assert_int_equal(claim("a", i, "/data", &slot[i]), DR_OK);
	dr_guard_arm(&link_now, slot[3], 7, UINT64_MAX / 2, 0);
	/* The same server, after a restart: its deadline stands. */
	begin();
	assert_int_equal(claim("a", 3, "/data", &again), DR_OK);
	assert_int_equal(again, slot[3]);
	dr_guard_see(&link_now, again, &seen);
	assert_true(seen.armed);
	assert_int_equal(seen.epoch, 7);
	/* The name with other data, while the guard watches it. */
	assert_int_equal(claim("a", 3, "/elsewhere", &again), DR_E_CONFLICT);
}

/* Configurations come and go; the memory stays as long as the guard. */
static void test_other_configurations(void **state)
{
	uint32_t slot = 0, armed = 0;
	char of[2] = "b";
	(void)state;
	begin();
	assert_int_equal(claim("armed", 0, "/data", &armed), DR_OK);
	dr_guard_arm(&link_now, armed, 1, UINT64_MAX / 2, 0);
	for (; of[0] <= 'g'; of[0]++) {
		begin();
		for (unsigned i = 0; i < DR_AGENT_SERVICES_MAX; i++) {
			assert_int_equal(claim(of, i, "/data", &slot), DR_OK);
			assert_int_not_equal(slot, armed);
		}
	}
}

static int set_up(void **state)
{
	int fd = -1;
	(void)state;
	if (dr_guard_mem_make(&mem, &fd, NULL) != DR_OK)
		return -1;
	return close(fd);
}

static int tear_down(void **state)
{
	(void)state;
	dr_guard_mem_unmap(mem);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_slots, set_up, tear_down),
					    cmocka_unit_test_setup_teardown(test_other_configurations, set_up, tear_down) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
