/* kill.c -- the one deed of the guard: nobody of a server is left once its time has come. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guard/guard.h"
#include "base/parse.h"
#include "sys/clock.h"
#include "sys/log.h"

#define MS 1000000ull

enum { RETRY_MS_MIN = 2, RETRY_MS_MAX = 50, WATCH_MS = 50 };

/* A manual start must come up as a standby.  Done by a child: the disk may hang, and the guard must not. */
static void put_mark(const char *mark, const char *data_dir)
{
	char dir[DR_PATH_MAX];
	struct stat owner;
	if (mark[0] == '\0' || fork() != 0)
		return;
	int fd = open(mark, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		_exit(1);
	if (stat(data_dir, &owner) == 0 && fchown(fd, owner.st_uid, owner.st_gid) != 0)
		(void)fchmod(fd, 0644);
	int rv = fsync(fd);
	(void)dr_copy_text(dir, sizeof(dir), mark);
	char *slash = strrchr(dir, '/');
	if (slash != NULL && slash != dir) {
		*slash = '\0';
		int d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		rv |= d < 0 || fsync(d) != 0;
	}
	_exit(rv == 0 ? 0 : 1);
}

/* The slot's group as plain data; its texts are fixed while it is used, but a hurt agent may have written
 * anything, so they are copied with their bounds. */
static void group_of(struct dr_guard_slot *s, struct dr_cgroup *group)
{
	memset(group, 0, sizeof(*group));
	group->way = s->way == DR_CGROUP_V2 ? DR_CGROUP_V2 : DR_CGROUP_PROC;
	memcpy(group->path, s->group, sizeof(group->path) - 1);
	memcpy(group->data_dir, s->data_dir, sizeof(group->data_dir) - 1);
	memcpy(group->program, s->program, sizeof(group->program) - 1);
	group->root.pid = atomic_load(&s->root_pid);
	group->root.start_ticks = atomic_load(&s->root_start);
}

static void begin_kill(struct guard *g, unsigned i, uint64_t now)
{
	struct dr_guard_slot *s = &g->mem->slot[i];
	enum dr_guard_reason why =
	    atomic_load(&s->asked) != 0 ? DR_GUARD_REASON_ASKED : DR_GUARD_REASON_DEADLINE;
	g->slot[i] = (struct guard_slot){ .killing = true, .pause_ns = RETRY_MS_MIN * MS };
	atomic_store(&s->kill_done_ns, 0);
	atomic_store(&s->kill_began_ns, now);
	atomic_store(&s->kill_epoch, atomic_load(&s->epoch));
	atomic_store(&s->kill_reason, (uint32_t)why);
	(void)atomic_fetch_add(&s->kills, 1);
}

static void end_kill(struct guard *g, unsigned i, const char *name)
{
	struct dr_guard_slot *s = &g->mem->slot[i];
	char mark[DR_PATH_MAX] = "", data_dir[DR_PATH_MAX] = "";
	uint64_t now = dr_clock_boot_ns();
	uint64_t began = atomic_load(&s->kill_began_ns);
	g->slot[i].killing = false;
	g->slot[i].done = true;
	g->slot[i].next_ns = now + WATCH_MS * MS;
	atomic_store(&s->kill_done_ns, now);
	memcpy(mark, s->mark, sizeof(mark) - 1);
	memcpy(data_dir, s->data_dir, sizeof(data_dir) - 1);
	put_mark(mark, data_dir);
	dr_log(DR_LOG_WARN, "guard.killed", "server=%s epoch=%llu reason=%s ms=%llu", name,
	       (unsigned long long)atomic_load(&s->kill_epoch),
	       atomic_load(&s->kill_reason) == DR_GUARD_REASON_ASKED ? "asked" : "deadline",
	       (unsigned long long)((now - began) / MS));
}

/* One round of a kill that has begun: at everybody, then look whether anybody is left. */
static void go_on_killing(struct guard *g, unsigned i)
{
	struct dr_cgroup group;
	struct dr_error e;
	struct guard_slot *own = &g->slot[i];
	char name[DR_GUARD_NAME_MAX] = "";
	bool empty = false;
	memcpy(name, g->mem->slot[i].name, sizeof(name) - 1);
	group_of(&g->mem->slot[i], &group);
	enum dr_err rv = dr_cgroup_kill(&g->root, &group, &e);
	if (rv == DR_OK)
		rv = dr_cgroup_is_empty(&g->root, &group, &empty, &e);
	if (empty) {
		end_kill(g, i, name);
		return;
	}
	if (rv != DR_OK && own->pause_ns >= RETRY_MS_MAX * MS)
		dr_log(DR_LOG_ERROR, "guard.kill.failed", "server=%s error=\"%s\"", name, e.msg);
	own->next_ns = dr_clock_boot_ns() + own->pause_ns;
	own->pause_ns = own->pause_ns * 2 < RETRY_MS_MAX * MS ? own->pause_ns * 2 : RETRY_MS_MAX * MS;
}

/* Past its time, killed, still armed: whoever appears is killed too. */
static void watch_killed(struct guard *g, unsigned i, uint64_t now)
{
	struct dr_cgroup group;
	bool empty = true;
	g->slot[i].next_ns = now + WATCH_MS * MS;
	group_of(&g->mem->slot[i], &group);
	if (dr_cgroup_is_empty(&g->root, &group, &empty, NULL) == DR_OK && !empty) {
		begin_kill(g, i, now);
		go_on_killing(g, i);
	}
}

static uint64_t enforce_slot(struct guard *g, unsigned i, uint64_t now)
{
	struct dr_guard_slot *s = &g->mem->slot[i];
	struct guard_slot *own = &g->slot[i];
	uint64_t at = atomic_load(&s->used) == 1 ? atomic_load(&s->kill_at_ns) : 0;
	bool due = at != 0 && now >= at;
	if (own->killing) {
		/* Begun is finished, even if the deadline moved meanwhile: a server half killed serves nobody. */
		if (now >= own->next_ns)
			go_on_killing(g, i);
	} else if (!due) {
		own->done = false;
		return at != 0 ? at : UINT64_MAX;
	} else if (!own->done) {
		begin_kill(g, i, now);
		go_on_killing(g, i);
	} else if (now >= own->next_ns) {
		watch_killed(g, i, now);
	}
	return own->next_ns;
}

uint64_t guard_enforce(struct guard *g, uint64_t now, uint64_t latest)
{
	for (unsigned i = 0; i < DR_GUARD_SLOTS_MAX; i++) {
		uint64_t at = enforce_slot(g, i, now);
		if (at < latest)
			latest = at;
	}
	return latest;
}

/* Armed, not yet killed, and somebody is there: a server still depends on us. */
bool guard_is_needed(const struct guard *g)
{
	for (unsigned i = 0; i < DR_GUARD_SLOTS_MAX; i++) {
		struct dr_guard_slot *s = &g->mem->slot[i];
		struct dr_cgroup group;
		bool empty = false;
		if (g->slot[i].killing)
			return true;
		if (atomic_load(&s->used) != 1 || atomic_load(&s->kill_at_ns) == 0 || g->slot[i].done)
			continue;
		group_of(s, &group);
		if (dr_cgroup_is_empty(&g->root, &group, &empty, NULL) != DR_OK || !empty)
			return true;
	}
	return false;
}
