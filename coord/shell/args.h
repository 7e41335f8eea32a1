/* args.h -- the command line of drcoordd. */
#ifndef DR_COORD_ARGS_H
#define DR_COORD_ARGS_H

#include <stdbool.h>

struct dr_coord_args {
	const char *config; /* argv's own, as long as that */
	bool bootstrap, join, recover;
	bool yes, offline; /* with recover: a majority is gone; leave after the offline part */
	bool help, version; /* the rest was not looked at */
};

/* False: it cannot be meant so; of an option that it does not know getopt_long(3) has said so.  Changes nothing else. */
bool dr_coord_args_read(struct dr_coord_args *a, int argc, char **argv);

#endif
