/* spawn.c -- dr_spawn() of proc.h. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/proc.h"

/* What the child says before exec when something fails: at which step, and errno. */
struct child_word {
	int step;
	int err;
};
enum { STEP_CGROUP = 1, STEP_USER, STEP_FILES, STEP_CWD, STEP_EXEC };
static const char *const step_text[] = { "",
					 "joining its cgroup",
					 "changing to its account",
					 "setting up its files",
					 "entering its folder",
					 "running the program" };

/* All that follows until exec runs in the child of a program that may have threads: only system calls. */
static void __attribute__((noreturn)) child_fail(int fd, int step)
{
	struct child_word w = { .step = step, .err = errno };
	ssize_t n = write(fd, &w, sizeof(w));
	(void)n;
	_exit(127);
}

static void child_signals(void)
{
	struct sigaction sa;
	sigset_t none;
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_DFL;
	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &sa, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The guard runs in real time or at a better priority; what it starts must not. */
static void child_priority(void)
{
	struct sched_param param = { .sched_priority = 0 };
	(void)sched_setscheduler(0, SCHED_OTHER, &param);
	if (getpriority(PRIO_PROCESS, 0) < 0)
		(void)setpriority(PRIO_PROCESS, 0, 0);
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t n = write(fd, "0", 1);
		(void)n;
		(void)close(fd);
	}
}

static bool child_user(const struct dr_os_user *user)
{
	if (user == NULL || (geteuid() == user->uid && getuid() == user->uid))
		return true;
	return setgroups(user->groups, user->group) == 0 && setresgid(user->gid, user->gid, user->gid) == 0 &&
	       setresuid(user->uid, user->uid, user->uid) == 0;
}

/* 0, 1, 2 in place; everything else closes at exec but what is to be kept. */
static bool child_files(const struct dr_spawn *s, int word_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int from_in = s->in_fd > 0 ? s->in_fd : null;
	int from_out = s->out_fd >= 0 ? s->out_fd : null;
	int from_err = s->err_fd >= 0 ? s->err_fd : null;
	/* dup2 onto itself keeps close-on-exec, so sources are first moved out of the way of 0..2. */
	from_in = fcntl(from_in, F_DUPFD_CLOEXEC, 10);
	from_out = fcntl(from_out, F_DUPFD_CLOEXEC, 10);
	from_err = fcntl(from_err, F_DUPFD_CLOEXEC, 10);
	if (null < 0 || from_in < 0 || from_out < 0 || from_err < 0)
		return false;
	if (dup2(from_in, 0) < 0 || dup2(from_out, 1) < 0 || dup2(from_err, 2) < 0)
		return false;
	if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) != 0) {
		/* Before Linux 5.11: one by one, as far as descriptors of a small program go. */
		for (int fd = 3; fd < 65536; fd++) {
			int flags = fcntl(fd, F_GETFD);
			if (flags >= 0)
				(void)fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
		}
	}
	for (int i = 0; i < DR_PROC_KEEP_MAX; i++) {
		if (s->keep_fd[i] > 2 && s->keep_fd[i] != word_fd && fcntl(s->keep_fd[i], F_SETFD, 0) != 0)
			return false;
	}
	return true;
}

static void __attribute__((noreturn)) child_main(const struct dr_spawn *s, pid_t parent, int word_fd)
{
	extern char **environ;
	/* "0" is the writer itself. */
	if (s->join_fd >= 0 && write(s->join_fd, "0", 1) != 1)
		child_fail(word_fd, STEP_CGROUP);
	(void)setsid();
	child_priority();
	if (!child_files(s, word_fd))
		child_fail(word_fd, STEP_FILES);
	if (!child_user(s->user))
		child_fail(word_fd, STEP_USER);
	/* A change of user would forget it, and whoever started us may be gone already. */
	if (s->dies_with_us && (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent))
		_exit(127);
	if (chdir(s->cwd != NULL ? s->cwd : "/") != 0)
		child_fail(word_fd, STEP_CWD);
	(void)umask(077);
	child_signals();
	char *const *env = s->env != NULL ? (char *const *)(const void *)s->env : environ;
	(void)execve(s->argv[0], (char *const *)(const void *)s->argv, env);
	child_fail(word_fd, STEP_EXEC);
}

/* Wait for exec (the pipe closes) or for the child's word. */
static enum dr_err hear_child(int fd, pid_t pid, const char *program, struct dr_error *e)
{
	struct child_word w = { 0 };
	ssize_t n;
	do
		n = read(fd, &w, sizeof(w));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return DR_OK;
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (n != (ssize_t)sizeof(w) || w.step < STEP_CGROUP || w.step > STEP_EXEC)
		return dr_fail(e, DR_E_FAILED, "cannot start %s", program);
	return dr_fail_errno(e, w.err, "cannot start %s: %s", program, step_text[w.step]);
}

enum dr_err dr_spawn(const struct dr_spawn *s, struct dr_proc_id *out, int *pidfd, struct dr_error *e)
{
	int word[2];
	sigset_t all, old;
	struct dr_proc_stat st;
	memset(out, 0, sizeof(*out));
	if (pidfd != NULL)
		*pidfd = -1;
	if (pipe2(word, O_CLOEXEC) != 0)
		return dr_fail_errno(e, errno, "cannot make a pipe");
	/* A handler of ours must not run in the child before it has default signals. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0)
		child_main(s, parent, word[1]);
	int fork_err = errno;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)close(word[1]);
	if (pid < 0) {
		(void)close(word[0]);
		return dr_fail_errno(e, fork_err, "cannot fork for %s", s->argv[0]);
	}
	enum dr_err rv = s->no_wait ? DR_OK : hear_child(word[0], pid, s->argv[0], e);
	(void)close(word[0]);
	if (rv != DR_OK)
		return rv;
	/* Not reaped yet, so neither the pid nor its stat can be somebody else's. */
	rv = dr_proc_stat(pid, &st, e);
	if (rv != DR_OK)
		return rv;
	*out = st.id;
	if (pidfd != NULL) {
		*pidfd = pidfd_open(pid, 0);
		if (*pidfd < 0)
			return dr_fail_errno(e, errno, "cannot open a pidfd of %d", pid);
	}
	return DR_OK;
}
