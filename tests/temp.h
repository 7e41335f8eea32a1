/* temp.h -- what a test puts on the machine goes with it, however it ends: files below $TMPDIR, which ./check
 * makes and removes (by hand: /tmp), System V segments in a namespace of its own. */
#ifndef DR_TESTS_TEMP_H
#define DR_TESTS_TEMP_H

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* A template for mkdtemp(3) or mkstemp(3). */
static inline void temp_template(char *out, size_t cap, const char *name)
{
	const char *folder = getenv("TMPDIR");

	(void)snprintf(out, cap, "%s/%s-XXXXXX", folder != NULL ? folder : "/tmp", name);
}

/* Before the first PostgreSQL server: a killed one leaves the segment by which it held its data folder, and at
 * some 4000 of them the machine has no room for more.  Only root can; others have to live with it. */
static inline void temp_ipc(void)
{
	static bool done;

	if (!done)
		(void)unshare(CLONE_NEWIPC);
	done = true;
}

#endif
