/* versions.c -- see versions.h. */
#include "adapters/versions.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"

static const struct {
	const char *server;
	uint32_t from, below;
	const char *written_for;
} rows[] = {
#define VERSIONS(id, server, from, below, written_for, shown_on, by) { server, from, below, written_for },
#include "adapters/versions.def"
#undef VERSIONS
};

bool dr_version_is_old(enum dr_product p, uint32_t version)
{
	dr_assert(p < DR_PRODUCT_COUNT);
	return version < rows[p].from;
}

/* PostgreSQL's numbers have two parts since 10. */
void dr_version_text(enum dr_product p, uint32_t version, char dst[32])
{
	uint32_t major = version / 10000, minor = version / 100 % 100, patch = version % 100;
	if (p == DR_PRODUCT_POSTGRES && major >= 10)
		(void)snprintf(dst, 32, "%" PRIu32 ".%" PRIu32, major, version % 10000);
	else
		(void)snprintf(dst, 32, "%" PRIu32 ".%" PRIu32 ".%" PRIu32, major, minor, patch);
}

void dr_version_tell(enum dr_product p, uint32_t version, struct dr_evidence *ev)
{
	char text[32];
	dr_assert(p < DR_PRODUCT_COUNT);
	ev->version = version;
	ev->caution[0] = '\0';
	if (version >= rows[p].from && version < rows[p].below)
		return;
	dr_version_text(p, version, text);
	(void)snprintf(ev->caution, sizeof(ev->caution),
		       "it is %s %s, drcoord is written for %s: try a failover and a rejoin on a copy before you rely on it",
		       rows[p].server, text, rows[p].written_for);
}
