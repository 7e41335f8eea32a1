/* args.c -- see args.h. */
#include "coord/shell/args.h"

#include <getopt.h>
#include <stddef.h>

enum { OPTION_YES = 1000, OPTION_OFFLINE, OPTION_VERSION };

static bool goes_together(const struct dr_coord_args *a)
{
	return a->config != NULL && (int)a->bootstrap + a->join + a->recover <= 1 &&
	       (a->recover || (!a->yes && !a->offline));
}

bool dr_coord_args_read(struct dr_coord_args *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "bootstrap", no_argument, NULL, 'b' },
		{ "join", no_argument, NULL, 'j' },         { "recover", no_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },         { "yes-a-majority-is-gone", no_argument, NULL, OPTION_YES },
		{ "offline", no_argument, NULL, OPTION_OFFLINE }, { "version", no_argument, NULL, OPTION_VERSION },
		{ NULL, 0, NULL, 0 } };

	*a = (struct dr_coord_args){ 0 };
	for (int o; (o = getopt_long(argc, argv, "c:bjrh", options, NULL)) != -1;) {
		switch (o) {
		case 'c': a->config = optarg; break;
		case 'b': a->bootstrap = true; break;
		case 'j': a->join = true; break;
		case 'r': a->recover = true; break;
		case OPTION_YES: a->yes = true; break;
		case OPTION_OFFLINE: a->offline = true; break;
		case 'h': a->help = true; return true;
		case OPTION_VERSION: a->version = true; return true;
		default: return false;
		}
	}
	return optind == argc && goes_together(a);
}
