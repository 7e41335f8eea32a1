/* guard.c -- drcoord-guard: kills a database server whose lease runs out while the agent can't, and starts
 * the agent again when it ends.
 *
 * Tiny on purpose: no network, no configuration of its own, no allocation in steady state, memory locked,
 * real-time priority where allowed.  It believes the shared memory (shm.h), CLOCK_BOOTTIME and pidfds, nothing else.
 *
 *   drcoord-guard --config FILE                 start the agent and guard it
 *   drcoord-guard --config FILE --adopt PID     guard an agent that runs (the agent starts us so) */
#include "agent/guard/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/guard/args.h"
#include "base/parse.h"
#include "sys/clock.h"
#include "sys/log.h"

#define MS 1000000ull

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAN_LOCK 0 /* the sanitizers map terabytes of shadow */
#else
#define CAN_LOCK 1
#endif

enum { RT_PRIORITY = 10, NICE = -15, EXIT_USAGE = 64, EXIT_SETUP = 71 };

static void beside_us(char *dst, size_t cap, const char *name)
{
	char self[DR_PATH_MAX];
	struct dr_error e;
	if (dr_proc_exe((int32_t)getpid(), self, sizeof(self), &e) != DR_OK)
		self[0] = '\0';
	char *slash = strrchr(self, '/');
	if (slash != NULL)
		*slash = '\0';
	(void)snprintf(dst, cap, "%.180s/%s", self, name);
}

/* The agent is started in another folder.  A symbolic link stays one: where it leads may change. */
static bool from_here(char *dst, size_t cap, const char *path)
{
	char here[DR_PATH_MAX];
	if (path[0] == '/' || getcwd(here, sizeof(here)) == NULL)
		return dr_copy_text(dst, cap, path);
	int n = snprintf(dst, cap, "%s/%s", here, path);
	return n > 0 && (size_t)n < cap;
}

/* The kernel is asked for what makes us act in time; each is better than nothing, none is needed. */
static uint32_t harden(void)
{
	uint32_t flags = 0;
	struct sched_param param = { .sched_priority = RT_PRIORITY };
	if (CAN_LOCK && mlockall(MCL_CURRENT | MCL_FUTURE) == 0)
		flags |= DR_GUARD_MEMORY_LOCKED;
	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param) == 0)
		flags |= DR_GUARD_REALTIME;
	else
		(void)setpriority(PRIO_PROCESS, 0, NICE);
	/* Servers of a dead agent become our children, so that nobody is left a zombie. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t n = write(fd, "-900", 4);
		(void)n;
		(void)close(fd);
	}
	return flags;
}

static int open_signals(void)
{
	sigset_t set;
	static const int wanted[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1 };
	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		(void)sigaddset(&set, wanted[i]);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void take_signals(struct guard *g, int fd, uint64_t now)
{
	struct signalfd_siginfo s;
	while (read(fd, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		switch (s.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			guard_agent_leave(g, now);
			break;
		case SIGHUP:
			if (g->agent.pid > 0)
				(void)!dr_proc_signal(&g->agent, SIGHUP, NULL);
			break;
		case SIGCHLD:
			guard_agent_reap(g);
			break;
		default: /* SIGUSR1: a deadline came nearer; the loop looks anyway */
			break;
		}
	}
}

/* Setting it again also takes back that it has fired. */
static void set_timer(int fd, uint64_t at_ns)
{
	struct itimerspec t = { .it_value = { .tv_sec = (time_t)(at_ns / 1000000000u),
					      .tv_nsec = (long)(at_ns % 1000000000u) } };
	(void)timerfd_settime(fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static void run(struct guard *g, int timer, int signals)
{
	while (!(g->leaving && g->agent.pid == 0 && !guard_is_needed(g))) {
		uint64_t now = dr_clock_boot_ns();
		atomic_store(&g->mem->guard_beat_ns, now);
		uint64_t next = guard_enforce(g, now, now + DR_GUARD_BEAT_MS * MS);
		guard_agent_tick(g, now);
		if (g->agent.pid == 0 && !g->leaving && g->agent_start_ns < next)
			next = g->agent_start_ns;
		set_timer(timer, next > now ? next : now + 1);
		struct pollfd fds[] = { { .fd = timer, .events = POLLIN },
					{ .fd = signals, .events = POLLIN },
					{ .fd = g->agent_fd, .events = POLLIN } };
		if (poll(fds, 3, -1) <= 0)
			continue;
		now = dr_clock_boot_ns();
		if (fds[1].revents != 0)
			take_signals(g, signals, now);
		if (fds[2].revents != 0)
			guard_agent_ended(g, now);
	}
}

/* The memory of the agent that started us, or a new one for the agent that we start. */
static enum dr_err open_memory(struct guard *g, const struct dr_guard_args *o, struct dr_error *e)
{
	int32_t unused = 0;
	if (o->adopt == 0)
		return dr_guard_mem_make(&g->mem, &g->memfd, e);
	enum dr_err rv = dr_guard_env_take(&g->memfd, &unused, e);
	if (rv == DR_OK)
		rv = dr_guard_mem_map(g->memfd, &g->mem, e);
	return rv != DR_OK ? rv : guard_agent_adopt(g, o->adopt, e);
}

static int usage(FILE *to, int code)
{
	(void)fputs("usage: drcoord-guard --config FILE [--agent PROGRAM] [--adopt PID]\n"
		    "       drcoord-guard --help | --version\n"
		    "  Runs on a database host: starts drcoord-agent with this file, starts it again when it ends, and kills\n"
		    "  the server when its lease runs out.\n"
		    "  --agent  the agent's program (the one beside this one)\n"
		    "  --adopt  guard an agent that runs: said by an agent whose guard has died\n",
		    to);
	return code;
}

int main(int argc, char **argv)
{
	static struct guard g;
	struct dr_guard_args o;
	struct dr_error e;
	dr_log_init("drcoord-guard", DR_LOG_INFO);
	g.memfd = g.agent_fd = -1;
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return usage(stdout, 0);
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return puts("drcoord-guard " DR_VERSION) < 0;
	if (!dr_guard_args_read(&o, argc, argv))
		return usage(stderr, EXIT_USAGE);
	if (o.agent == NULL)
		beside_us(g.agent_path, sizeof(g.agent_path), "drcoord-agent");
	if (!from_here(g.config_path, sizeof(g.config_path), o.config) ||
	    (o.agent != NULL && !from_here(g.agent_path, sizeof(g.agent_path), o.agent))) {
		(void)fprintf(stderr, "drcoord-guard: a path of more than %d bytes\n", DR_PATH_MAX - 1);
		return EXIT_USAGE;
	}
	if (o.adopt == 0 && access(g.agent_path, X_OK) != 0) {
		(void)fprintf(stderr, "drcoord-guard: cannot run %s: %s; --agent names the agent's program\n", g.agent_path,
			      strerror(errno));
		return EXIT_SETUP;
	}
	if (open_memory(&g, &o, &e) != DR_OK) {
		(void)fprintf(stderr, "drcoord-guard: %s\n", e.msg);
		return EXIT_SETUP;
	}
	dr_cgroup_root_open(&g.root, false);
	int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	int signals = open_signals();
	g.stderr_fd = guard_quiet_start();
	if (timer < 0 || signals < 0 || g.stderr_fd < 0) {
		dr_log(DR_LOG_ERROR, "guard.setup", "errno=%d", errno);
		return EXIT_SETUP;
	}
	uint32_t flags = harden() | (g.root.way == DR_CGROUP_V2 ? DR_GUARD_CGROUP2 : 0u);
	atomic_store(&g.mem->guard_flags, flags);
	atomic_store(&g.mem->guard_pid, (int32_t)getpid());
	dr_log(DR_LOG_INFO, "guard.started", "locked=%d realtime=%d kills_by=%s where=\"%s\" adopted=%d",
	       (flags & DR_GUARD_MEMORY_LOCKED) != 0, (flags & DR_GUARD_REALTIME) != 0,
	       dr_cgroup_way_text(g.root.way), g.root.why, o.adopt);
	run(&g, timer, signals);
	dr_log(DR_LOG_INFO, "guard.left", "exit=%d", g.exit_code);
	guard_quiet_stop(g.stderr_fd);
	return g.exit_code;
}
