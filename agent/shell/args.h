/* args.h -- the command line of drcoord-agent. */
#ifndef DR_AGENT_ARGS_H
#define DR_AGENT_ARGS_H

#include <stdbool.h>

struct dr_agent_args {
	const char *config; /* argv's own, as long as that */
	bool help, version; /* the rest was not looked at */
};

/* False: it cannot be meant so; of an option that it does not know getopt_long(3) has said so.  Changes nothing else. */
bool dr_agent_args_read(struct dr_agent_args *a, int argc, char **argv);

#endif
