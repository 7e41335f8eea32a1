/* guardmem.c -- dr_lab_guardmem: where in the memory that agent and guard share a reader finds the leases, as JSON. */
#include <stddef.h>
#include <stdio.h>

#include "agent/guard/shm.h"

int main(void)
{
	int n = printf("{\"bytes\": %zu, \"first\": %zu, \"each\": %zu, \"slots\": %d, \"used\": %zu, \"name\": %zu, "
		       "\"name_bytes\": %d, \"deadline_ns\": %zu, \"epoch\": %zu}\n",
		       sizeof(struct dr_guard_mem), offsetof(struct dr_guard_mem, slot), sizeof(struct dr_guard_slot),
		       DR_GUARD_SLOTS_MAX, offsetof(struct dr_guard_slot, used), offsetof(struct dr_guard_slot, name),
		       DR_GUARD_NAME_MAX, offsetof(struct dr_guard_slot, deadline_ns), offsetof(struct dr_guard_slot, epoch));
	return n > 0 ? 0 : 1;
}
