/* clock.c -- see clock.h. */
#include "sys/clock.h"

#include <time.h>

#include "base/assert.h"

static uint64_t read_ns(clockid_t id)
{
	struct timespec t;
	int rv = clock_gettime(id, &t);
	dr_assert(rv == 0);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t dr_clock_boot_ns(void)
{
	return read_ns(CLOCK_BOOTTIME);
}

uint64_t dr_clock_wall_ms(void)
{
	return read_ns(CLOCK_REALTIME) / 1000000u;
}
