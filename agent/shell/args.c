/* args.c -- see args.h. */
#include "agent/shell/args.h"

#include <getopt.h>
#include <stddef.h>

enum { OPTION_VERSION = 1000 };

bool dr_agent_args_read(struct dr_agent_args *a, int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
						 { "help", no_argument, NULL, 'h' },
						 { "version", no_argument, NULL, OPTION_VERSION },
						 { NULL, 0, NULL, 0 } };

	*a = (struct dr_agent_args){ 0 };
	for (int o; (o = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		switch (o) {
		case 'c': a->config = optarg; break;
		case 'h': a->help = true; return true;
		case OPTION_VERSION: a->version = true; return true;
		default: return false;
		}
	}
	return optind == argc && a->config != NULL;
}
