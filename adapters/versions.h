/* versions.h -- which versions of a server the adapters are written for (versions.def).
 *
 * Pure; for adapters, which tell it of each server that they read. */
#ifndef DR_ADAPTERS_VERSIONS_H
#define DR_ADAPTERS_VERSIONS_H

#include "adapters/adapter.h"

enum dr_product {
#define VERSIONS(id, server, from, below, written_for, shown_on, by) DR_PRODUCT_##id,
#include "adapters/versions.def"
#undef VERSIONS
	DR_PRODUCT_COUNT
};

/* "10.11.19", as the server's own people write it. */
void dr_version_text(enum dr_product p, uint32_t version, char dst[32]);

/* Older than any that its adapter is written for. */
bool dr_version_is_old(enum dr_product p, uint32_t version);

/* Into the evidence: the version, and a caution where the adapter is not written for it; else none. */
void dr_version_tell(enum dr_product p, uint32_t version, struct dr_evidence *ev);

#endif
