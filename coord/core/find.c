/* find.c -- services by name: open addressing over the names' hashes (FNV-1a), filled at most half.
 *
 * Derived from the places, never stored: whoever changes a place's name says so here. */
#include <string.h>

#include "base/assert.h"
#include "coord/core/repl.h"

_Static_assert(DR_SERVICES_MAX < UINT16_MAX, "a place and one more fits in 16 bits");
_Static_assert((DR_INDEX_SIZE & (DR_INDEX_SIZE - 1)) == 0 && DR_INDEX_SIZE >= 2 * DR_SERVICES_MAX, "half empty");

static uint32_t hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (const char *c = name; *c != '\0'; c++)
		h = (h ^ (uint8_t)*c) * 16777619u;
	return h & (DR_INDEX_SIZE - 1);
}

void dr_repl_index_add(struct dr_repl *r, uint32_t service)
{
	dr_assert(service < DR_SERVICES_MAX);
	uint32_t at = hash(r->service[service].spec.name.s);

	while (r->index[at] != 0 && r->index[at] != service + 1)
		at = (at + 1) & (DR_INDEX_SIZE - 1);
	r->index[at] = (uint16_t)(service + 1);
}

void dr_repl_index(struct dr_repl *r)
{
	/* Written only where something stands: what was never used takes no memory. */
	for (uint32_t i = 0; i < DR_INDEX_SIZE; i++) {
		if (r->index[i] != 0)
			r->index[i] = 0;
	}
	for (uint32_t i = 0; i < r->services; i++) {
		if (r->service[i].used)
			dr_repl_index_add(r, i);
	}
}

uint32_t dr_repl_service_find(const struct dr_repl *r, const char *name)
{
	for (uint32_t at = hash(name); r->index[at] != 0; at = (at + 1) & (DR_INDEX_SIZE - 1)) {
		uint32_t i = r->index[at] - 1u;

		if (i < r->services && r->service[i].used && dr_name_is(&r->service[i].spec.name, name))
			return i;
	}
	return DR_SERVICE_NONE;
}
