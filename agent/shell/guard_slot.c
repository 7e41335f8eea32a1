/* guard_slot.c -- what the agent tells the guard about one server (guard_link.h). */
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>

#include "agent/shell/guard_link.h"
#include "base/assert.h"
#include "base/parse.h"
#include "sys/clock.h"

static struct dr_guard_slot *slot_at(const struct dr_guard_link *l, uint32_t slot)
{
	dr_assert(slot < DR_GUARD_SLOTS_MAX);
	dr_assert(l->mem != NULL);
	return &l->mem->slot[slot];
}

static bool fill(struct dr_guard_slot *s, const char *name, const struct dr_cgroup *group, const char *mark)
{
	memset((void *)s, 0, sizeof(*s));
	s->way = (uint32_t)group->way;
	return dr_copy_text(s->name, sizeof(s->name), name) &&
	       dr_copy_text(s->group, sizeof(s->group), group->path) &&
	       dr_copy_text(s->data_dir, sizeof(s->data_dir), group->data_dir) &&
	       dr_copy_text(s->program, sizeof(s->program), group->program) &&
	       dr_copy_text(s->mark, sizeof(s->mark), mark != NULL ? mark : "");
}

/* One of nobody, else one that an earlier agent used, whose configuration had other servers. */
static uint32_t find_free(const struct dr_guard_link *l)
{
	for (uint32_t i = 0; i < DR_GUARD_SLOTS_MAX; i++) {
		if (atomic_load(&slot_at(l, i)->used) != 1)
			return i;
	}
	for (uint32_t i = 0; i < DR_GUARD_SLOTS_MAX; i++) {
		if (!l->claimed[i] && atomic_load(&slot_at(l, i)->kill_at_ns) == 0)
			return i;
	}
	return DR_GUARD_SLOTS_MAX;
}

static uint32_t find_named(const struct dr_guard_link *l, const char *name)
{
	for (uint32_t i = 0; i < DR_GUARD_SLOTS_MAX; i++) {
		const struct dr_guard_slot *s = slot_at(l, i);
		if (atomic_load(&s->used) == 1 && strcmp(s->name, name) == 0)
			return i;
	}
	return DR_GUARD_SLOTS_MAX;
}

enum dr_err dr_guard_slot_claim(struct dr_guard_link *l, const char *name, const struct dr_cgroup *group,
				const char *mark, uint32_t *slot, struct dr_error *e)
{
	uint32_t at = find_named(l, name);
	if (at < DR_GUARD_SLOTS_MAX) {
		const struct dr_guard_slot *s = slot_at(l, at);
		if (strcmp(s->data_dir, group->data_dir) == 0 && strcmp(s->group, group->path) == 0) {
			l->claimed[at] = true;
			*slot = at;
			return DR_OK;
		}
		if (atomic_load(&s->kill_at_ns) != 0)
			return dr_fail(e, DR_E_CONFLICT, "the guard still watches %s in %s", name, s->data_dir);
	} else {
		at = find_free(l);
	}
	if (at == DR_GUARD_SLOTS_MAX)
		return dr_fail(e, DR_E_FULL, "one guard watches at most %d servers", DR_GUARD_SLOTS_MAX);
	atomic_store(&slot_at(l, at)->used, 0);
	if (!fill(slot_at(l, at), name, group, mark))
		return dr_fail(e, DR_E_RANGE, "name or path of %s is too long", name);
	atomic_store(&slot_at(l, at)->used, 1);
	l->claimed[at] = true;
	*slot = at;
	return DR_OK;
}

void dr_guard_slot_root(struct dr_guard_link *l, uint32_t slot, const struct dr_proc_id *root)
{
	struct dr_guard_slot *s = slot_at(l, slot);
	/* The guard compares both, so in between it knows of none; its kill then goes by the data folder. */
	atomic_store(&s->root_pid, 0);
	atomic_store(&s->root_start, root->start_ticks);
	atomic_store(&s->root_pid, root->pid);
}

static void wake(struct dr_guard_link *l)
{
	if (l->watching)
		(void)pidfd_send_signal(l->pidfd, SIGUSR1, NULL, 0);
}

void dr_guard_arm(struct dr_guard_link *l, uint32_t slot, uint64_t epoch, uint64_t deadline_ns,
		  uint64_t margin_ns)
{
	struct dr_guard_slot *s = slot_at(l, slot);
	uint64_t at = deadline_ns > margin_ns ? deadline_ns - margin_ns : 1;
	atomic_store(&s->epoch, epoch);
	atomic_store(&s->deadline_ns, deadline_ns);
	atomic_store(&s->asked, 0);
	uint64_t before = atomic_exchange(&s->kill_at_ns, at);
	/* The guard looks at least every beat; a time further away needs no waking. */
	if ((before == 0 || at < before) && at < dr_clock_boot_ns() + 2ull * DR_GUARD_BEAT_MS * 1000000u)
		wake(l);
}

void dr_guard_kill_now(struct dr_guard_link *l, uint32_t slot)
{
	struct dr_guard_slot *s = slot_at(l, slot);
	atomic_store(&s->asked, 1);
	atomic_store(&s->kill_at_ns, 1);
	wake(l);
}

void dr_guard_disarm(struct dr_guard_link *l, uint32_t slot)
{
	struct dr_guard_slot *s = slot_at(l, slot);
	atomic_store(&s->kill_at_ns, 0);
	atomic_store(&s->deadline_ns, 0);
	atomic_store(&s->asked, 0);
}

void dr_guard_see(const struct dr_guard_link *l, uint32_t slot, struct dr_guard_seen *out)
{
	struct dr_guard_slot *s = slot_at(l, slot);
	out->kill_at_ns = atomic_load(&s->kill_at_ns);
	out->armed = out->kill_at_ns != 0;
	out->deadline_ns = atomic_load(&s->deadline_ns);
	out->epoch = atomic_load(&s->epoch);
	out->kills = atomic_load(&s->kills);
	out->kill_began_ns = atomic_load(&s->kill_began_ns);
	out->kill_done_ns = atomic_load(&s->kill_done_ns);
	out->kill_epoch = atomic_load(&s->kill_epoch);
	out->kill_reason = (enum dr_guard_reason)atomic_load(&s->kill_reason);
}
