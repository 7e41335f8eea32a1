/* find.c -- from an adapter's word to the adapter; apart from host.c because it links every adapter. */
#include <string.h>

#include "adapters/adapter.h"

const struct dr_adapter *dr_adapter_find(const char *name)
{
	static const struct dr_adapter *const all[] = {
#define ADAPTER(word, folder, variable) &variable,
#include "adapters/adapters.def"
#undef ADAPTER
	};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	}
	return NULL;
}
