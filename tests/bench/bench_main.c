/* bench_main.c -- dr_bench MODE OPTIONS: one load for tests/bench/run, which starts what it is laid on.
 *
 *   disk --run-ms MS FOLDER        what a synchronous write takes
 *   clients ...                    clients that commit, clients that watch (clients.c)
 *   agents ...                     as many agents, each with a lease (agents.c)
 *
 * Prints JSON, one line a figure. */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "sys/log.h"

int main(int argc, char **argv)
{
	static const struct {
		const char *word;
		int (*run)(const struct bench_args *a);
	} modes[] = {
		{ "disk", bench_disk },
		{ "clients", bench_clients },
		{ "agents", bench_agents },
	};
	struct bench_args a;

	dr_log_init("dr_bench", DR_LOG_ERROR);
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].word, argv[1]) != 0)
			continue;
		bench_parse(&a, argc - 1, argv + 1);
		int rv = modes[i].run(&a);
		bench_close(&a);
		return rv;
	}
	bench_fail("usage: dr_bench disk|clients|agents OPTIONS");
}
