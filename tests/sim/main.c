/* main.c -- drcoord-sim: play one seed, explore many, shrink one that fails, show that deliberate bugs are found. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "tests/sim/sim.h"

enum { JOBS_MAX = 64, SHOWN_MAX = 20, MUTANT_SEEDS = 2000, DEFAULT_S = 60 };
enum { LONGEST_S = 900 }; /* the rows, faults and specs of so long have room */

static const char usage[] =
	"drcoord-sim: a whole cluster in one process and in virtual time; one number decides everything\n"
	"\n"
	"  drcoord-sim --seed N           play one seed and show its transcript\n"
	"  drcoord-sim --seeds A..B       play many, and name those that fail   [--jobs J]\n"
	"  drcoord-sim --minimize N       find a smaller list of faults with which seed N still fails, and play it\n"
	"  drcoord-sim --mutants[=NAME]   switch on one deliberate bug after another: each must be found   [--jobs J]\n"
	"  --minutes M, --seconds S       virtual time of faults in each seed (one minute; at most fifteen)\n"
	"  --mutant NAME                  with this deliberate bug switched on\n"
	"  --coverage                     count which fault met which step of a plan, in which role\n"
	"  --json                         with --seeds: the figures as one line of JSON at the end\n"
	"  --quiet                        with --seed: only the verdict\n"
	"  --broken assert|signal         the program ends in every fourth seed, at fault 5: to try out what it says then\n"
	"\n"
	"Exit: 0 all was well (--mutants: all were found), 1 something was not, 2 it was not understood.\n";

struct options {
	uint64_t from, to, ms;
	unsigned jobs;
	bool seeds, minimize, mutants, coverage, quiet, json;
	enum sim_broken broken;
	const char *only, *program;
};

static const char *const broken_names[] = { "", "assert", "signal" };

static bool number(const char *text, uint64_t *out)
{
	char *end;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && text[0] != '-';
}

static bool range(const char *text, struct options *o)
{
	char copy[64], *dots;
	if (strlen(text) >= sizeof(copy))
		return false;
	memcpy(copy, text, strlen(text) + 1);
	dots = strstr(copy, "..");
	if (dots == NULL)
		return false;
	*dots = '\0';
	return number(copy, &o->from) && number(dots + 2, &o->to) && o->from <= o->to;
}

static bool switch_on(const char *name)
{
	for (uint32_t i = 0; i < sim_mutants(); i++) {
		if (strcmp(sim_mutant(i)->name, name) == 0) {
			sim_mutant_switch(i);
			return true;
		}
	}
	return false;
}

/* ---- one seed */

static void replay_line(const struct options *o, uint64_t seed)
{
	(void)printf("replay: %s --seed %llu --seconds %llu%s%s%s%s\n", o->program, (unsigned long long)seed,
		     (unsigned long long)o->ms / 1000, o->only != NULL ? " --mutant " : "",
		     o->only != NULL ? o->only : "", o->broken != SIM_WHOLE ? " --broken " : "",
		     broken_names[o->broken]);
}

static struct sim_how how_of(const struct options *o)
{
	return (struct sim_how){ .ms = o->ms, .broken = o->broken };
}

/* Line by line: whatever ends the program, all that was said before is there. */
static FILE *transcript(const struct options *o)
{
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	return o->quiet ? NULL : stdout;
}

static void verdict(const struct sim_result *r)
{
	(void)printf("seed %llu: %s%s (%u faults, %llu virtual s)\n", (unsigned long long)r->seed,
		     r->fine ? "fine" : "FAILED: ", r->fine ? "" : r->why, r->faults,
		     (unsigned long long)r->virtual_ms / 1000);
}

/* In this process, for the sake of debuggers. */
static int play(const struct options *o)
{
	struct sim_how how = how_of(o);
	how.out = transcript(o);
	struct sim_result r = sim_run(o->from, &how);
	verdict(&r);
	return r.fine ? 0 : 1;
}

/* ---- processes that may end in the middle of a seed */

/* What one of them is at; its parent reads it when it has ended. */
struct now {
	uint64_t seed;
	uint32_t faults; /* drawn for it */
	char why[256];   /* the assertion, if it is one that ends it */
};

static struct now *now_of_this;

static void note_assertion(const char *cond, const char *file, int line)
{
	(void)snprintf(now_of_this->why, sizeof(now_of_this->why), "an assertion: %s at %s:%d", cond, file, line);
}

static void *share(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	dr_assert(p != MAP_FAILED);
	return p;
}

/* What a process that ended like that has found. */
static struct sim_result ended(const struct now *at, int status)
{
	struct sim_result r = { .seed = at->seed, .faults = at->faults };
	if (at->why[0] != '\0')
		(void)snprintf(r.why, sizeof(r.why), "%s", at->why);
	else if (WIFSIGNALED(status))
		(void)snprintf(r.why, sizeof(r.why), "the simulator was ended by signal %d (%s)", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	else
		(void)snprintf(r.why, sizeof(r.why), "the simulator ended with code %d", WEXITSTATUS(status));
	return r;
}

struct one {
	struct now now;
	struct sim_result result;
};

/* Play a seed in a process of its own. */
static struct sim_result apart(struct one *one, uint64_t seed, struct sim_how how)
{
	int status = 0;
	memset(one, 0, sizeof(*one));
	one->now.seed = seed;
	how.drawn = &one->now.faults;
	(void)fflush(stdout);
	pid_t pid = fork();
	dr_assert(pid >= 0);
	if (pid == 0) {
		now_of_this = &one->now;
		dr_assert_hook_set(note_assertion);
		if (how.out == NULL) /* the same assertion a hundred times */
			(void)freopen("/dev/null", "w", stderr);
		one->result = sim_run(seed, &how);
		(void)fflush(stdout);
		_exit(0);
	}
	dr_assert(waitpid(pid, &status, 0) == pid);
	return status == 0 ? one->result : ended(&one->now, status);
}

/* ---- shrinking */

/* Leave out ever smaller parts of the faults for as long as it still fails (Zeller and Hildebrandt, "Simplifying and
 * isolating failure-inducing input", 2002). */
static void leave_out(struct one *one, uint64_t seed, const struct sim_how *how, bool *out, uint32_t n)
{
	for (uint32_t part = n; part >= 1; part = part == 1 ? 0 : (part + 1) / 2) {
		for (uint32_t at = 0; at < n; at += part) {
			bool was[SIM_FAULTS_MAX];
			memcpy(was, out, sizeof(was));
			for (uint32_t i = at; i < at + part && i < n; i++)
				out[i] = true;
			if (memcmp(was, out, sizeof(was)) != 0 && apart(one, seed, *how).fine)
				memcpy(out, was, sizeof(was));
		}
	}
}

static int minimize(const struct options *o)
{
	bool out[SIM_FAULTS_MAX] = { false };
	struct one *one = share(sizeof(*one));
	struct sim_how how = how_of(o);
	how.left_out = out;
	struct sim_result r = apart(one, o->from, how);
	uint32_t n = r.faults, left = n;
	if (r.fine) {
		(void)printf("seed %llu is fine: there is nothing to shrink\n", (unsigned long long)o->from);
		return 2;
	}
	leave_out(one, o->from, &how, out, n);
	for (uint32_t i = 0; i < n; i++)
		left -= out[i] ? 1u : 0u;
	how.out = transcript(o);
	r = apart(one, o->from, how);
	(void)printf("seed %llu: %s with %u of %u faults:", (unsigned long long)r.seed, r.why, left, n);
	for (uint32_t i = 0; i < n; i++) {
		if (!out[i])
			(void)printf(" %u", i);
	}
	(void)printf("\n");
	return 1;
}

/* ---- many seeds, in several processes that share what they found */

struct shared {
	uint32_t failed;
	uint64_t lowest; /* seed of those that failed */
	uint64_t runs, virtual_ms, events, reads, vanished, words;
	struct now now[JOBS_MAX];
	struct sim_result result[SHOWN_MAX];
	uint32_t coverage[];
};

static void found(struct shared *all, const struct sim_result *r)
{
	uint64_t lowest = __atomic_load_n(&all->lowest, __ATOMIC_RELAXED);
	uint32_t at = __atomic_fetch_add(&all->failed, 1, __ATOMIC_RELAXED);
	if (at < SHOWN_MAX)
		all->result[at] = *r;
	while (r->seed < lowest && !__atomic_compare_exchange_n(&all->lowest, &lowest, r->seed, false,
								 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* Those below it are played all the same: however many jobs, it is the same seed that is found first. */
static bool enough(const struct shared *all, uint64_t seed, bool stop_at_first)
{
	return stop_at_first && seed > __atomic_load_n(&all->lowest, __ATOMIC_RELAXED);
}

static int by_seed(const void *a, const void *b)
{
	const struct sim_result *x = a, *y = b;
	return (x->seed > y->seed) - (x->seed < y->seed);
}

static void explore_some(const struct options *o, struct shared *all, unsigned job, bool stop_at_first)
{
	struct sim_how how = how_of(o);
	how.coverage = o->coverage ? all->coverage : NULL;
	how.drawn = &all->now[job].faults;
	now_of_this = &all->now[job];
	dr_assert_hook_set(note_assertion);
	for (uint64_t seed = all->now[job].seed; seed <= o->to; seed += o->jobs) {
		if (enough(all, seed, stop_at_first))
			return;
		all->now[job] = (struct now){ .seed = seed };
		struct sim_result r = sim_run(seed, &how);
		(void)__atomic_add_fetch(&all->runs, 1, __ATOMIC_RELAXED);
		(void)__atomic_add_fetch(&all->virtual_ms, r.virtual_ms, __ATOMIC_RELAXED);
		(void)__atomic_add_fetch(&all->events, r.events, __ATOMIC_RELAXED);
		(void)__atomic_add_fetch(&all->reads, r.reads, __ATOMIC_RELAXED);
		(void)__atomic_add_fetch(&all->vanished, r.vanished, __ATOMIC_RELAXED);
		(void)__atomic_add_fetch(&all->words, r.words, __ATOMIC_RELAXED);
		if (!r.fine)
			found(all, &r);
	}
}

static pid_t begin(const struct options *o, struct shared *all, unsigned job, bool stop_at_first)
{
	pid_t pid = fork();
	dr_assert(pid >= 0);
	if (pid == 0) {
		explore_some(o, all, job, stop_at_first);
		_exit(0);
	}
	return pid;
}

static struct shared *explore(const struct options *o, bool stop_at_first)
{
	struct shared *all = share(sizeof(struct shared) + sim_coverage_size() * sizeof(uint32_t));
	pid_t pid[JOBS_MAX] = { 0 };
	unsigned left = o->jobs;
	all->lowest = UINT64_MAX;
	(void)fflush(stdout);
	for (unsigned i = 0; i < o->jobs; i++) {
		all->now[i].seed = o->from + i;
		pid[i] = begin(o, all, i, stop_at_first);
	}
	while (left > 0) {
		int status = 0;
		unsigned i = 0;
		pid_t one = wait(&status);
		dr_assert(one > 0);
		while (i < o->jobs && pid[i] != one)
			i++;
		dr_assert(i < o->jobs);
		left--;
		if (status == 0)
			continue;
		/* It ended in the middle of a seed: that is a find, and another process goes on behind it. */
		struct now *at = &all->now[i];
		struct sim_result r = ended(at, status);
		found(all, &r);
		(void)__atomic_add_fetch(&all->runs, 1, __ATOMIC_RELAXED);
		*at = (struct now){ .seed = at->seed + o->jobs };
		if (at->seed <= o->to && !enough(all, at->seed, stop_at_first)) {
			pid[i] = begin(o, all, i, stop_at_first);
			left++;
		}
	}
	qsort(all->result, all->failed < SHOWN_MAX ? all->failed : SHOWN_MAX, sizeof(all->result[0]), by_seed);
	return all;
}

static double seconds_now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds_of(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* For tests/bench: time is that of the processors, so that what else runs here says less. */
static void put_json(const struct shared *all, double took)
{
	struct rusage u;
	(void)getrusage(RUSAGE_CHILDREN, &u);
	(void)printf("{\"seeds\": %llu, \"failed\": %u, \"virtual_s\": %.0f, \"events\": %llu, \"reads\": %llu, "
		     "\"wall_s\": %.3f, \"cpu_s\": %.3f, \"rss_kib\": %ld}\n",
		     (unsigned long long)all->runs, all->failed, (double)all->virtual_ms / 1000,
		     (unsigned long long)all->events, (unsigned long long)all->reads, took,
		     seconds_of(&u.ru_utime) + seconds_of(&u.ru_stime), u.ru_maxrss);
}

static int many(const struct options *o)
{
	double began = seconds_now();
	struct shared *all = explore(o, false);
	double took = seconds_now() - began;
	for (uint32_t i = 0; i < all->failed && i < SHOWN_MAX; i++) {
		(void)printf("seed %llu: %s\n  ", (unsigned long long)all->result[i].seed, all->result[i].why);
		replay_line(o, all->result[i].seed);
	}
	if (o->coverage)
		sim_coverage_print(stdout, all->coverage);
	(void)printf("%llu events, %llu reads; %llu rows that were shown before anybody acknowledged them vanished\n",
		     (unsigned long long)all->events, (unsigned long long)all->reads,
		     (unsigned long long)all->vanished);
	(void)printf("%llu members counted as fenced by a person's word\n", (unsigned long long)all->words);
	(void)printf("%llu seeds, %u failed; %.0f virtual s in %.1f s: %.0f a second and process\n",
		     (unsigned long long)all->runs, all->failed, (double)all->virtual_ms / 1000, took,
		     (double)all->virtual_ms / 1000 / took / o->jobs);
	if (o->json)
		put_json(all, took);
	return all->failed == 0 ? 0 : 1;
}

static int mutants(struct options *o)
{
	uint32_t missed = 0, tried = 0;
	o->from = 1;
	o->to = MUTANT_SEEDS;
	for (uint32_t i = 0; i < sim_mutants(); i++) {
		const struct sim_mutant *m = sim_mutant(i);
		if (o->only != NULL && strcmp(o->only, m->name) != 0)
			continue;
		sim_mutant_switch(i);
		struct shared *all = explore(o, true);
		tried++;
		if (all->failed == 0) {
			missed++;
			(void)printf("%-28s NOT FOUND in %llu seeds: %s\n", m->name, (unsigned long long)all->runs,
				     m->what);
		} else {
			(void)printf("%-28s seed %4llu: %s\n", m->name, (unsigned long long)all->result[0].seed,
				     all->result[0].why);
		}
		(void)fflush(stdout);
		(void)munmap(all, sizeof(*all) + sim_coverage_size() * sizeof(uint32_t));
	}
	(void)printf("%u deliberate bugs, %u not found\n", tried, missed);
	return missed == 0 && tried > 0 ? 0 : 1;
}

/* ---- the command line */

enum { OPT_SEED = 256, OPT_SEEDS, OPT_JOBS, OPT_MINIMIZE, OPT_MUTANTS, OPT_MUTANT, OPT_MINUTES, OPT_SECONDS,
       OPT_COVERAGE, OPT_QUIET, OPT_JSON, OPT_BROKEN, OPT_HELP };

static const struct option longs[] = { { "seed", required_argument, NULL, OPT_SEED },
				       { "seeds", required_argument, NULL, OPT_SEEDS },
				       { "jobs", required_argument, NULL, OPT_JOBS },
				       { "minimize", required_argument, NULL, OPT_MINIMIZE },
				       { "mutants", optional_argument, NULL, OPT_MUTANTS },
				       { "mutant", required_argument, NULL, OPT_MUTANT },
				       { "minutes", required_argument, NULL, OPT_MINUTES },
				       { "seconds", required_argument, NULL, OPT_SECONDS },
				       { "coverage", no_argument, NULL, OPT_COVERAGE },
				       { "quiet", no_argument, NULL, OPT_QUIET },
				       { "json", no_argument, NULL, OPT_JSON },
				       { "broken", required_argument, NULL, OPT_BROKEN },
				       { "help", no_argument, NULL, OPT_HELP },
				       { NULL, 0, NULL, 0 } };

static bool take(struct options *o, int option, const char *arg)
{
	uint64_t n = 0;
	switch (option) {
	case OPT_SEED: return number(arg, &o->from);
	case OPT_MINIMIZE: o->minimize = true; return number(arg, &o->from);
	case OPT_SEEDS: o->seeds = true; return range(arg, o);
	case OPT_JOBS:
		if (!number(arg, &n) || n < 1 || n > JOBS_MAX)
			return false;
		o->jobs = (unsigned)n;
		return true;
	case OPT_MINUTES:
	case OPT_SECONDS:
		if (!number(arg, &n) || n < 1 || n > LONGEST_S)
			return false;
		o->ms = n * (option == OPT_MINUTES ? 60000 : 1000);
		return o->ms <= 1000u * LONGEST_S;
	case OPT_MUTANTS: o->mutants = true; o->only = arg; return arg == NULL || switch_on(arg);
	case OPT_MUTANT: o->only = arg; return switch_on(arg);
	case OPT_COVERAGE: o->coverage = true; return true;
	case OPT_JSON: o->json = true; return true;
	case OPT_QUIET: o->quiet = true; return true;
	case OPT_BROKEN:
		for (o->broken = SIM_BROKEN_SIGNAL; o->broken != SIM_WHOLE; o->broken--) {
			if (strcmp(arg, broken_names[o->broken]) == 0)
				return true;
		}
		return false;
	default: return false;
	}
}

int main(int argc, char **argv)
{
	struct options o = { .ms = DEFAULT_S * 1000, .jobs = 1, .program = argv[0] };
	int option, given = 0;
	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (option == OPT_HELP) {
			(void)fputs(usage, stdout);
			return 0;
		}
		if (option == '?' || !take(&o, option, optarg)) {
			(void)fprintf(stderr, "drcoord-sim: not understood near %s\n%s", argv[optind - 1], usage);
			return 2;
		}
		given += option == OPT_SEED || option == OPT_SEEDS || option == OPT_MINIMIZE || option == OPT_MUTANTS;
	}
	if (given != 1 || optind != argc) {
		(void)fprintf(stderr, "drcoord-sim: expected one of --seed, --seeds, --minimize, --mutants\n%s", usage);
		return 2;
	}
	if (o.mutants)
		return mutants(&o);
	if (o.minimize)
		return minimize(&o);
	return o.seeds ? many(&o) : play(&o);
}
