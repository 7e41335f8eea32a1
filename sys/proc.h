/* proc.h -- processes: who one is for sure, signals that never hit the wrong one, and spawning.
 *
 * A pid alone is reused by the kernel; struct dr_proc_id adds the start time of /proc/PID/stat, and every
 * function that acts on a process compares it.  Nothing here keeps state; any thread. */
#ifndef DR_SYS_PROC_H
#define DR_SYS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/limits.h"

enum { DR_PROC_GROUPS_MAX = 64, DR_PROC_LIST_MAX = 4096, DR_PROC_KEEP_MAX = 4 };

/* One process, for as long as the machine runs.  pid 0: none. */
struct dr_proc_id {
	int32_t pid;
	uint64_t start_ticks; /* since boot, field 22 of /proc/PID/stat */
};

struct dr_proc_stat {
	struct dr_proc_id id;
	int32_t parent;
	char state; /* 'Z' and 'X' are dead */
};

/* NOT_FOUND when no such process exists (a zombie exists). */
DR_MUST_USE enum dr_err dr_proc_stat(int32_t pid, struct dr_proc_stat *out, struct dr_error *e);

/* The same, but a zombie is NOT_FOUND too. */
DR_MUST_USE enum dr_err dr_proc_identify(int32_t pid, struct dr_proc_id *out, struct dr_error *e);

/* Whether that very process still runs; a zombie does not. */
bool dr_proc_alive(const struct dr_proc_id *id);

/* A pidfd (close-on-exec) of that very process: readable when it has ended.  The caller closes it. */
DR_MUST_USE enum dr_err dr_proc_pidfd(const struct dr_proc_id *id, int *fd, struct dr_error *e);

/* Send a signal to that very process; NOT_FOUND when it is gone. */
DR_MUST_USE enum dr_err dr_proc_signal(const struct dr_proc_id *id, int sig, struct dr_error *e);

/* Reap a child of ours if it has ended: true and *status as from waitpid(2).  False: it runs, or it is no
 * child of ours. */
bool dr_proc_reap(int32_t pid, int *status);

/* "exit code 1", "signal 9"; returns buf. */
const char *dr_proc_status_text(int status, char *buf, size_t cap);

/* Whether the process's working folder is this one (device and inode, so mount namespaces don't matter). */
bool dr_proc_cwd_is(int32_t pid, dev_t dev, ino_t ino);

/* The path of its program, without the " (deleted)" of a replaced file. */
DR_MUST_USE enum dr_err dr_proc_exe(int32_t pid, char *dst, size_t cap, struct dr_error *e);

/* Whether the path's last part is one of these names, which '|' separates. */
bool dr_proc_is_one_of(const char *path, const char *names);

/* All living processes that descend from root (itself included, root.pid 0: none), or that work in the folder
 * `dir` (NULL: none) while their program's file is called `program` (or one of several, '|' between; "": any; so
 * that somebody's shell in that folder is left alone), or descend from such a one.  *n is how many were stored; FULL when
 * there were more than cap. */
DR_MUST_USE enum dr_err dr_proc_tree(const struct dr_proc_id *root, const char *dir, const char *program,
				     struct dr_proc_id *out, size_t cap, size_t *n, struct dr_error *e);

/* An account of the machine, looked up once (user.c). */
struct dr_os_user {
	uid_t uid;
	gid_t gid;
	size_t groups;
	gid_t group[DR_PROC_GROUPS_MAX];
	char home[DR_PATH_MAX];
};
DR_MUST_USE enum dr_err dr_os_user_find(const char *name, struct dr_os_user *out, struct dr_error *e);

struct dr_spawn {
	const char *const *argv;       /* argv[0] is the absolute path; NULL-terminated */
	const char *const *env;        /* "K=V", NULL-terminated; NULL: the caller's own */
	const struct dr_os_user *user; /* NULL, or already that uid: keep */
	const char *cwd;               /* NULL: "/" */
	int join_fd;                   /* cgroup.procs opened for writing (dr_cgroup_join_fd), or -1 */
	int in_fd;                     /* <= 0: /dev/null */
	int out_fd, err_fd;            /* -1: /dev/null */
	int keep_fd[DR_PROC_KEEP_MAX]; /* inherited under the same number; entries <= 0 are unused */
	bool dies_with_us;             /* it is killed when the thread that started it ends, as with its process */
	bool no_wait; /* don't wait for exec (its file may be on a hung disk): a failure is then
					* exit code 127 */
};

/* Start a program in a session of its own, with default signals, no other descriptor than the above, normal
 * scheduling, in the given cgroup before its first instruction.  Returns after exec(2) has succeeded (unless
 * no_wait); an exec that fails is an error with its reason.  The caller reaps the child (dr_proc_reap) after
 * its pidfd is readable.  *pidfd may be NULL. */
DR_MUST_USE enum dr_err dr_spawn(const struct dr_spawn *s, struct dr_proc_id *out, int *pidfd,
				 struct dr_error *e);

#endif
