/* args.c -- see args.h. */
#include "agent/guard/args.h"

#include <stddef.h>
#include <string.h>

#include "base/limits.h"
#include "base/parse.h"

bool dr_guard_args_read(struct dr_guard_args *a, int argc, char **argv)
{
	*a = (struct dr_guard_args){ 0 };
	for (int i = 1; i + 1 < argc; i += 2) {
		uint64_t pid = 0;

		if (strcmp(argv[i], "--config") == 0)
			a->config = argv[i + 1];
		else if (strcmp(argv[i], "--agent") == 0 && strlen(argv[i + 1]) < DR_PATH_MAX)
			a->agent = argv[i + 1];
		else if (strcmp(argv[i], "--adopt") == 0 && dr_parse_u64(argv[i + 1], 1, INT32_MAX, &pid) == DR_OK)
			a->adopt = (int32_t)pid;
		else
			return false;
	}
	return argc % 2 == 1 && a->config != NULL;
}
