/* args.h -- the command line of drcoord-guard. */
#ifndef DR_GUARD_ARGS_H
#define DR_GUARD_ARGS_H

#include <stdbool.h>
#include <stdint.h>

struct dr_guard_args {
	const char *config; /* argv's own, as long as that, as agent's */
	const char *agent;  /* NULL: the one beside us; shorter than DR_PATH_MAX */
	int32_t adopt;      /* a process that runs; 0: none */
};

/* False: it cannot be meant so.  Changes nothing. */
bool dr_guard_args_read(struct dr_guard_args *a, int argc, char **argv);

#endif
