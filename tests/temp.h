/* temp.h -- names for what a test puts on disk: below $TMPDIR, a folder that ./check makes and removes
 * whatever becomes of the test, or below /tmp. */
#ifndef DR_TESTS_TEMP_H
#define DR_TESTS_TEMP_H

#include <stdio.h>
#include <stdlib.h>

/* A template for mkdtemp(3) or mkstemp(3). */
static inline void temp_template(char *out, size_t cap, const char *name)
{
	const char *folder = getenv("TMPDIR");

	(void)snprintf(out, cap, "%s/%s-XXXXXX", folder != NULL ? folder : "/tmp", name);
}

#endif
