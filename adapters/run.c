/* run.c -- see run.h. */
#include "adapters/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "sys/clock.h"
#include "sys/proc.h"
#include "sys/trust.h"

enum { LOOK_MS = 20, LOOK_MAX = 1000, COMMAND_MAX = 512, REAP_MS = 2000 };

void dr_run_env_put(struct dr_run_env *env, const char *name, const char *fmt, ...)
{
	char value[DR_RUN_ENV_TEXT];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (env->n == DR_RUN_ENV_MAX)
		return;
	int n = snprintf(env->text[env->n], DR_RUN_ENV_TEXT, "%s=%s", name, value);
	env->n += n > 0 && n < DR_RUN_ENV_TEXT ? 1 : 0;
}

/* The words of a command; 0: none, or too many. */
static unsigned split(char *text, const char *words[DR_RUN_WORDS_MAX + 1])
{
	unsigned n = 0;
	char *rest = NULL;
	for (char *w = strtok_r(text, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest)) {
		if (n == DR_RUN_WORDS_MAX)
			return 0;
		words[n++] = w;
	}
	words[n] = NULL;
	return n;
}

static enum dr_err program_of(const struct dr_run *r, const char *word, char *path, size_t cap, struct dr_error *e)
{
	struct stat st;
	if (r->folder[0] == '\0')
		return dr_fail(e, DR_E_REFUSED, "\"%s\" is not run: the node file of this coordinator has no commands_in", word);
	if (word[0] == '.' || strchr(word, '/') != NULL)
		return dr_fail(e, DR_E_INVALID, "\"%s\" is no name of a program in %s", word, r->folder);
	int n = snprintf(path, cap, "%s/%s", r->folder, word);
	if (n < 0 || (size_t)n >= cap)
		return dr_fail(e, DR_E_RANGE, "\"%s\" in %s is too long", word, r->folder);
	enum dr_err rv = dr_trust_program(path, e);
	if (rv == DR_OK && (stat(path, &st) != 0 || !S_ISREG(st.st_mode)))
		rv = dr_fail(e, DR_E_REFUSED, "%s is no regular file", path);
	return rv;
}

/* What nobody can run is not looked at: it may be a program's own file. */
static enum dr_err look_at(const char *folder, const char *name, struct dr_error *e)
{
	char path[2 * DR_PATH_MAX];
	struct stat st;
	int n = snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (name[0] == '.' || n < 0 || (size_t)n >= sizeof(path) || stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
	    (st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0)
		return DR_OK;
	return dr_trust_program(path, e);
}

enum dr_err dr_run_look(const char *folder, struct dr_error *e)
{
	unsigned n = 0;
	enum dr_err rv = dr_trust_program(folder, e);
	DIR *d = rv == DR_OK ? opendir(folder) : NULL;
	if (rv == DR_OK && d == NULL)
		return dr_fail(e, DR_E_DENIED, "%s: %s", folder, strerror(errno));
	while (d != NULL && rv == DR_OK && n++ < LOOK_MAX) {
		const struct dirent *one = readdir(d); /* of a stream that is ours alone */
		if (one == NULL)
			break;
		rv = look_at(folder, one->d_name, e);
	}
	if (d != NULL)
		(void)closedir(d);
	return rv;
}

/* What comes is kept up to a line; the rest is read so that the program does not wait for us. */
static void listen_to(int fd, char *said, size_t *len)
{
	char chunk[4096];
	ssize_t n = read(fd, chunk, sizeof(chunk));
	for (ssize_t i = 0; i < n; i++) {
		if (*len + 1 < DR_RUN_SAID_MAX && (*len == 0 || said[*len - 1] != '\n'))
			said[(*len)++] = chunk[i] == '\n' || (chunk[i] >= 0x20 && chunk[i] < 0x7f) ? chunk[i] : ' ';
	}
	said[*len] = '\0';
}

/* Its group, not only itself: what it started may hang. */
static void kill_all(const struct dr_proc_id *id)
{
	(void)kill(-id->pid, SIGKILL);
}

static void reap(const struct dr_proc_id *id, int pidfd, int *status)
{
	uint64_t until = dr_clock_boot_ms() + REAP_MS;
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	while (!dr_proc_reap(id->pid, status) && dr_clock_boot_ms() < until)
		(void)poll(&p, 1, LOOK_MS);
}

/* Until it has ended, its time is over or nobody wants it any more. */
static enum dr_err attend(const struct dr_run *r, const struct dr_proc_id *id, int pidfd, int out, char *said, int *status,
			  struct dr_error *e)
{
	size_t len = 0;
	bool comes = true;
	enum dr_err rv = DR_OK;
	for (;;) {
		struct pollfd p[2] = { { .fd = pidfd, .events = POLLIN }, { .fd = out, .events = POLLIN } };
		(void)poll(p, comes ? 2 : 1, LOOK_MS);
		if ((p[1].revents & POLLIN) != 0)
			listen_to(out, said, &len);
		else if ((p[1].revents & (POLLHUP | POLLERR)) != 0)
			comes = false;
		if ((p[0].revents & POLLIN) != 0 && (p[1].revents & POLLIN) == 0)
			break;
		if (r->goes_on != NULL && !r->goes_on(r->ctx))
			rv = dr_fail(e, DR_E_CANCELLED, "cancelled");
		else if (dr_clock_boot_ms() >= r->until_ms)
			rv = dr_fail(e, DR_E_TIMEOUT, "\"%s\" did not end in time and was killed", r->command);
		if (rv != DR_OK)
			break;
	}
	kill_all(id); /* what it left behind in its group, whose number is its own until it is reaped */
	reap(id, pidfd, status);
	said[strcspn(said, "\n")] = '\0';
	return rv;
}

static enum dr_err carry_out(const struct dr_run *r, const char *const *words, const char *path, char *said, struct dr_error *e)
{
	static const char base_path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	const char *argv[DR_RUN_WORDS_MAX + 1], *env[DR_RUN_ENV_MAX + 2] = { base_path };
	struct dr_proc_id id;
	int pidfd = -1, out[2], status = 0;
	char text[48];

	argv[0] = path;
	for (unsigned i = 1; i <= DR_RUN_WORDS_MAX; i++)
		argv[i] = words[i - 1] != NULL ? words[i] : NULL;
	for (unsigned i = 0; r->env != NULL && i < r->env->n; i++)
		env[i + 1] = r->env->text[i];
	if (pipe2(out, O_CLOEXEC | O_NONBLOCK) != 0)
		return dr_fail(e, DR_E_UNKNOWN, "no pipe: %s", strerror(errno));
	struct dr_spawn s = { .argv = argv, .env = env, .join_fd = -1, .out_fd = out[1], .err_fd = out[1],
			      .dies_with_us = true };
	enum dr_err rv = dr_spawn(&s, &id, &pidfd, e);
	(void)close(out[1]);
	if (rv == DR_OK) {
		rv = attend(r, &id, pidfd, out[0], said, &status, e);
		(void)close(pidfd);
	}
	(void)close(out[0]);
	if (rv == DR_OK && status != 0)
		rv = dr_fail(e, DR_E_FAILED, "\"%s\" ended with %s", r->command, dr_proc_status_text(status, text, sizeof(text)));
	return rv;
}

enum dr_err dr_run_command(const struct dr_run *r, char *said, struct dr_error *e)
{
	char text[COMMAND_MAX], path[DR_PATH_MAX + COMMAND_MAX], mine[DR_RUN_SAID_MAX];
	const char *words[DR_RUN_WORDS_MAX + 1] = { NULL };

	if (said == NULL)
		said = mine;
	said[0] = '\0';
	if (strlen(r->command) >= sizeof(text))
		return dr_fail(e, DR_E_RANGE, "a command of more than %d bytes", COMMAND_MAX - 1);
	(void)snprintf(text, sizeof(text), "%s", r->command);
	if (split(text, words) == 0)
		return dr_fail(e, DR_E_INVALID, "\"%s\" has no word, or over %d", r->command, DR_RUN_WORDS_MAX);
	enum dr_err rv = program_of(r, words[0], path, sizeof(path), e);
	return rv == DR_OK ? carry_out(r, words, path, said, e) : rv;
}
