/* clock.h -- the two clocks.  Never read inside a core; any thread. */
#ifndef DR_SYS_CLOCK_H
#define DR_SYS_CLOCK_H

#include <stdint.h>

/* CLOCK_BOOTTIME in nanoseconds: monotonic, counts while the machine sleeps; for leases and deadlines. */
uint64_t dr_clock_boot_ns(void);
static inline uint64_t dr_clock_boot_ms(void)
{
	return dr_clock_boot_ns() / 1000000u;
}
/* CLOCK_REALTIME in milliseconds since 1970, UTC; for records that people read, never for decisions. */
uint64_t dr_clock_wall_ms(void);

#endif
