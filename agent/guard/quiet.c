/* quiet.c -- stderr that never blocks the guard.
 *
 * Where stderr ends is not ours to choose: a file on a hung disk, a terminal that was stopped.  So lines go
 * into a pipe that drops what doesn't fit, and a thread carries them on. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/guard/guard.h"

static int pipe_out = -1;
static int real_err = -1;

static void *carry(void *arg)
{
	(void)arg;
	char part[4096];
	for (;;) {
		ssize_t n = read(pipe_out, part, sizeof(part));
		if (n <= 0)
			return NULL;
		ssize_t w = write(real_err, part, (size_t)n);
		(void)w;
	}
}

int guard_quiet_start(void)
{
	int ends[2];
	pthread_t thread;
	pthread_attr_t attr;
	real_err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	if (real_err < 0 || pipe2(ends, O_CLOEXEC) != 0)
		return real_err;
	pipe_out = ends[0];
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* Small: the stack is locked into memory with the rest. */
	long least = sysconf(_SC_THREAD_STACK_MIN);
	(void)pthread_attr_setstacksize(&attr, (size_t)(least > 0 ? least : 16384) + 32768);
	if (pthread_create(&thread, &attr, carry, NULL) == 0 && fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0)
		(void)dup2(ends[1], STDERR_FILENO);
	(void)close(ends[1]);
	(void)pthread_attr_destroy(&attr);
	return real_err;
}

void guard_quiet_stop(int real)
{
	/* Give the thread a moment for the last lines; a hung terminal must not keep us. */
	for (int i = 0; i < 20 && pipe_out >= 0; i++) {
		int left = 0;
		if (ioctl(pipe_out, FIONREAD, &left) != 0 || left == 0)
			break;
		(void)poll(NULL, 0, 5);
	}
	(void)real;
}
