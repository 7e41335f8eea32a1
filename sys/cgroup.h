/* cgroup.h -- all processes of one server as one thing that can be listed, counted and killed.
 *
 * Two ways, told apart by dr_cgroup_way_text() for `status`:
 *   cgroup2   a group of its own; whoever is forked inside stays inside; cgroup.kill takes all at once.
 *   proc      no writable cgroup2: the subtree of the root process and every process whose working folder is
 *             the server's data folder, read from /proc.  Weaker: a process that leaves both is missed.
 *
 * cgroup2 is found in /proc/self/mountinfo; where nothing is mounted (as inside `ip netns exec`, which hides
 * /sys/fs/cgroup) a private detached mount is made, which leaves no trace.  Paths of groups are relative to
 * the cgroup2 root as this process sees it, so that agent and guard, each with a mount of its own, mean the
 * same group.  Any thread; no blocking I/O on disks. */
#ifndef DR_SYS_CGROUP_H
#define DR_SYS_CGROUP_H

#include "sys/proc.h"

enum dr_cgroup_way { DR_CGROUP_NONE = 0, DR_CGROUP_V2 = 1, DR_CGROUP_PROC = 2 };

/* Where groups can be made.  Lives as long as the program; close is for tests. */
struct dr_cgroup_root {
	enum dr_cgroup_way way;
	int fd;                  /* the root folder of cgroup2; -1 in the proc way */
	char base[DR_PATH_MAX];  /* the group of this process, without '/' in front: "" is the root itself */
	char why[DR_REASON_MAX]; /* one line for people: which mount, or why there is none */
};

/* Never fails: without a usable cgroup2 it is the proc way.  force_proc: for tests and DRCOORD_CGROUP=proc. */
void dr_cgroup_root_open(struct dr_cgroup_root *r, bool force_proc);
void dr_cgroup_root_close(struct dr_cgroup_root *r);
const char *dr_cgroup_way_text(enum dr_cgroup_way way); /* "cgroup2", "proc", "none" */

/* One server's group; plain data, so that it can be kept in shared memory. */
struct dr_cgroup {
	enum dr_cgroup_way way;
	char path[DR_PATH_MAX];     /* cgroup2: relative to the root */
	char data_dir[DR_PATH_MAX]; /* proc: the folder that its processes work in; both: for adopting */
	char program[DR_NAME_MAX];  /* "postgres": only processes of this program count as working there */
	struct dr_proc_id root;     /* proc: the server's main process, when known */
};

/* Fill *g for a server called `name`; makes no group yet.  The path is base/drcoord-NAME-HASH, the hash being
 * of the data folder: two clusters on one machine never share a group. */
DR_MUST_USE enum dr_err dr_cgroup_init(struct dr_cgroup *g, const struct dr_cgroup_root *r, const char *name,
				       const char *data_dir, const char *program, struct dr_error *e);

/* Make the group (one that exists is fine) and remove it (BUSY while somebody is inside; absent is fine). */
DR_MUST_USE enum dr_err dr_cgroup_make(const struct dr_cgroup_root *r, const struct dr_cgroup *g,
				       struct dr_error *e);
DR_MUST_USE enum dr_err dr_cgroup_remove(const struct dr_cgroup_root *r, const struct dr_cgroup *g,
					 struct dr_error *e);

/* A descriptor for dr_spawn.join_fd; -1 in the proc way, also DR_OK.  The caller closes it. */
DR_MUST_USE enum dr_err dr_cgroup_join_fd(const struct dr_cgroup_root *r, const struct dr_cgroup *g, int *fd,
					  struct dr_error *e);

/* Move a running process (not its children) into the group; nothing to do in the proc way. */
DR_MUST_USE enum dr_err dr_cgroup_put(const struct dr_cgroup_root *r, const struct dr_cgroup *g, int32_t pid,
				      struct dr_error *e);

/* Who is inside now.  Zombies don't count.  A group that doesn't exist is empty. */
DR_MUST_USE enum dr_err dr_cgroup_list(const struct dr_cgroup_root *r, const struct dr_cgroup *g,
				       struct dr_proc_id *out, size_t cap, size_t *n, struct dr_error *e);
DR_MUST_USE enum dr_err dr_cgroup_is_empty(const struct dr_cgroup_root *r, const struct dr_cgroup *g,
					   bool *empty, struct dr_error *e);

/* SIGKILL to everybody inside, once; then ask dr_cgroup_is_empty() until it is, and kill again.  Works on
 * stopped and on frozen processes.  Children of the caller among them are reaped when they are dead. */
DR_MUST_USE enum dr_err dr_cgroup_kill(const struct dr_cgroup_root *r, const struct dr_cgroup *g,
				       struct dr_error *e);

/* Stop or continue all of them at once; UNSUPPORTED in the proc way. */
DR_MUST_USE enum dr_err dr_cgroup_freeze(const struct dr_cgroup_root *r, const struct dr_cgroup *g, bool on,
					 struct dr_error *e);

/* Move every process that works in g->data_dir and all descendants of g->root into the group, until none is
 * left outside.  Nothing to do in the proc way. */
DR_MUST_USE enum dr_err dr_cgroup_adopt(const struct dr_cgroup_root *r, const struct dr_cgroup *g,
					struct dr_error *e);

#endif
