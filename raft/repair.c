/* repair.c -- see repair.h.
 *
 * Of two closed segments that begin alike the shorter is the copy: the longer one is removed only when the
 * copy is whole, so the copy goes.  A segment behind a gap, past the floor, is one that was to be removed.
 * Segments wholly covered by a newer snapshot than their last entry are the replaced log. */
#include "raft/repair.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "sys/file.h"
#include "sys/log.h"

struct segment {
	uint64_t first, end;
	bool gone;
};

struct folder {
	const char *dir;
	struct segment *s;
	size_t n;
	uint64_t snapshot; /* index of the newest whole one */
};

static int by_first(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

static bool exists(const char *dir, const char *name, size_t n)
{
	char path[DR_PATH_MAX + 300];

	(void)snprintf(path, sizeof path, "%s/%.*s", dir, (int)n, name);
	return access(path, F_OK) == 0;
}

/* Read a number that ends with `stop`, or the text's end; NULL when there is none. */
static const char *number(const char *p, char stop, uint64_t *v)
{
	const char *from = p;

	*v = 0;
	while (*p >= '0' && *p <= '9' && p - from < 19)
		*v = *v * 10 + (uint64_t)(*p++ - '0');
	if (p == from || *p != stop)
		return NULL;
	return stop == '\0' ? p : p + 1;
}

static void note(struct folder *f, const char *name)
{
	struct segment s = { 0 };
	uint64_t term, index, at;
	const char *p;

	if (strncmp(name, "snapshot-", 9) == 0) {
		p = number(name + 9, '-', &term);
		p = p == NULL ? NULL : number(p, '-', &index);
		p = p == NULL ? NULL : number(p, '.', &at);
		if (p != NULL && strcmp(p, "meta") == 0 && index > f->snapshot &&
		    exists(f->dir, name, strlen(name) - 5))
			f->snapshot = index;
		return;
	}
	p = number(name, '-', &s.first);
	p = p == NULL ? NULL : number(p, '\0', &s.end);
	if (p == NULL || s.end < s.first)
		return;
	f->s = dr_xrealloc(f->s, (f->n + 1) * sizeof *f->s);
	f->s[f->n++] = s;
}

static enum dr_err list(struct folder *f, struct dr_error *e)
{
	DIR *d = opendir(f->dir);
	struct dirent *entry;

	if (d == NULL)
		return dr_fail_errno(e, errno, "read folder %s", f->dir);
	while ((entry = readdir(d)) != NULL)
		note(f, entry->d_name);
	(void)closedir(d);
	if (f->n > 1)
		qsort(f->s, f->n, sizeof *f->s, by_first);
	return DR_OK;
}

/* Moved out of the way under a name that libraft ignores, not deleted. */
static enum dr_err set_aside(struct folder *f, struct segment *s, const char *why, struct dr_error *e)
{
	char from[DR_PATH_MAX + 64], to[DR_PATH_MAX + 64];

	(void)snprintf(from, sizeof from, "%s/%016" PRIu64 "-%016" PRIu64, f->dir, s->first, s->end);
	(void)snprintf(to, sizeof to, "%s/aside-%016" PRIu64 "-%016" PRIu64, f->dir, s->first, s->end);
	dr_log(DR_LOG_WARN, "raft.segment.aside", "file=%s reason=\"%s\"", from, why);
	s->gone = true;
	if (rename(from, to) != 0)
		return dr_fail_errno(e, errno, "rename %s", from);
	return DR_OK;
}

static enum dr_err set_aside_all(struct folder *f, uint64_t floor, struct dr_error *e)
{
	enum dr_err rv = DR_OK;
	uint64_t next = 0; /* what must follow the segments kept so far; 0: none yet */
	bool replaced = f->n > 0;

	for (size_t i = 0; i < f->n; i++)
		replaced = replaced && f->s[i].end < f->snapshot;
	for (size_t i = 0; rv == DR_OK && i < f->n; i++) {
		struct segment *s = &f->s[i];

		if (replaced)
			rv = set_aside(f, s, "replaced by a snapshot", e);
		else if (i + 1 < f->n && f->s[i + 1].first == s->first)
			rv = set_aside(f, s, "the copy of a cut that was not finished", e);
		else if (next != 0 && s->first > next && s->first > floor)
			rv = set_aside(f, s, "behind a cut that was not finished", e);
		else
			next = s->end + 1;
	}
	return rv;
}

enum dr_err dr_repair_segments(const char *dir, uint64_t floor, struct dr_error *e)
{
	struct folder f = { .dir = dir };
	enum dr_err rv = list(&f, e);

	if (rv == DR_OK)
		rv = set_aside_all(&f, floor, e);
	if (rv == DR_OK)
		rv = dr_dir_sync(dir, e);
	dr_free(f.s);
	return rv;
}
