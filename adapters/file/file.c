/* file.c -- the adapter for a file on this coordinator's host that names the primary: a template filled in.
 *
 * Ops:
 *   OBSERVED  what the file is: ours, of which epoch, or somebody else's;
 *   ROUTED    the file is the template with args.primary, args.primary_at and args.epoch filled in, `validate` found
 *             nothing wrong with it, and `reload` has been run since.
 *
 * Beside FILE stand FILE.drcoord (what we wrote last: record.h), FILE.drcoord-old (what stood there before) and, while one
 * is being written, FILE.drcoord-new.  All this blocks, so it runs on a thread (blocking.h). */
#include "adapters/blocking.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/file/record.h"
#include "adapters/file/template.h"
#include "base/parse.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { FILE_MAX = 1 << 20, UNDO_MS = 5000 };

/* One piece of work: the file, what it is, what it is to be. */
struct work {
	struct dr_call *call;
	const struct dr_spec_route *route;
	char path[DR_PATH_MAX + DR_WORD_MAX], fresh[DR_PATH_MAX + 2 * DR_WORD_MAX], old[DR_PATH_MAX + 2 * DR_WORD_MAX];
	struct dr_file_record record, before; /* what is noted; what was when this began */
	bool there;             /* the file is; its bytes: */
	struct dr_buf now, wanted;
	char now_hash[DR_FILE_HASH], wanted_hash[DR_FILE_HASH];
	mode_t mode;
};

static enum dr_err path_of(const struct dr_target *t, const char *name, char *out, size_t cap, struct dr_error *e)
{
	int n = snprintf(out, cap, "%s/%s", t->files_in, name);
	if (t->files_in[0] == '\0')
		return dr_fail(e, DR_E_REFUSED, "the node file of coordinator %s has no files_in: no route may write there",
			       t->coordinator.s);
	if (name[0] == '.' || name[0] == '\0' || strchr(name, '/') != NULL || n < 0 || (size_t)n >= cap)
		return dr_fail(e, DR_E_INVALID, "\"%s\" is no name of a file in %s", name, t->files_in);
	return DR_OK;
}

static enum dr_err read_now(struct work *w, struct dr_error *e)
{
	struct stat st;
	w->mode = 0644;
	dr_buf_init(&w->now, FILE_MAX);
	if (lstat(w->path, &st) != 0) {
		if (errno != ENOENT)
			return dr_fail(e, DR_E_DENIED, "%s: %s", w->path, strerror(errno));
		(void)snprintf(w->now_hash, sizeof(w->now_hash), "%s", DR_FILE_NOTHING);
		return DR_OK;
	}
	if (!S_ISREG(st.st_mode))
		return dr_fail(e, DR_E_CONFLICT, "%s is no regular file; remove it, then it is written", w->path);
	w->there = true;
	w->mode = st.st_mode & 0777;
	enum dr_err rv = dr_file_read(w->path, &w->now, e);
	dr_file_hash(w->now.data, w->now.len, w->now_hash);
	return rv;
}

static enum dr_err fill_in(struct work *w, struct dr_error *e)
{
	const struct dr_call *c = w->call;
	char path[DR_PATH_MAX + DR_WORD_MAX];
	struct dr_buf text;
	enum dr_err rv = path_of(c->target, w->route->made_from, path, sizeof(path), e);
	dr_buf_init(&text, FILE_MAX);
	dr_buf_init(&w->wanted, FILE_MAX);
	if (rv == DR_OK)
		rv = dr_file_read(path, &text, e);
	if (rv == DR_OK) {
		struct dr_template_values v = { .service = c->target->service.s, .primary = c->args.primary.s,
						.at = &c->args.primary_at, .epoch = c->args.epoch };
		rv = dr_template_fill((const char *)text.data, text.len, &v, &w->wanted, e);
		if (rv != DR_OK)
			(void)dr_wrap(e, "%s", path);
	}
	dr_buf_close(&text);
	if (rv == DR_OK)
		dr_file_hash(w->wanted.data, w->wanted.len, w->wanted_hash);
	return rv;
}

/* Somebody else's work is never written over. */
static enum dr_err check_ours(const struct work *w, struct dr_error *e)
{
	const struct dr_file_record *r = &w->record;
	if (r->service.s[0] != '\0' && !dr_name_eq(&r->service, &w->call->target->service))
		return dr_fail(e, DR_E_CONFLICT, "%s is written for service %s already: each needs a file of its own", w->path,
			       r->service.s);
	if (r->epoch > w->call->args.epoch)
		return dr_fail(e, DR_E_STALE, "%s is of epoch %" PRIu64 " already, this is %" PRIu64, w->path, r->epoch,
			       w->call->args.epoch);
	if (!w->there || strcmp(w->now_hash, w->wanted_hash) == 0)
		return DR_OK;
	if (!r->known)
		return dr_fail(e, DR_E_CONFLICT, "%s stands there and is not drcoord's; move it away, then it is written", w->path);
	if (strcmp(w->now_hash, r->is) != 0 && strcmp(w->now_hash, r->was) != 0)
		return dr_fail(e, DR_E_CONFLICT,
			       "%s was changed by somebody else (sha256 %.12s, drcoord wrote %.12s): take the change into the "
			       "template, then remove the file",
			       w->path, w->now_hash, r->is);
	return DR_OK;
}

/* No command is nothing to do. */
static enum dr_err run(const struct work *w, const char *command, const char *file, struct dr_error *e)
{
	struct dr_run_env env = { .n = 0 };
	if (command[0] == '\0')
		return DR_OK;
	dr_run_env_of_call(&env, w->call);
	dr_run_env_put(&env, "DRCOORD_FILE", "%s", file);
	return dr_run_of_call(w->call, command, &env, e);
}

/* The same although the call's own time may be over. */
static enum dr_err run_late(const struct work *w, const char *command, struct dr_error *e)
{
	struct dr_run_env env = { .n = 0 };
	dr_run_env_of_call(&env, w->call);
	dr_run_env_put(&env, "DRCOORD_FILE", "%s", w->path);
	struct dr_run r = { .folder = w->call->target->commands_in, .command = command, .env = &env,
			    .until_ms = dr_clock_boot_ms() + UNDO_MS };
	return dr_run_command(&r, NULL, e);
}

static enum dr_err sync_folder(const struct work *w, struct dr_error *e)
{
	return dr_dir_sync(w->call->target->files_in, e);
}

static enum dr_err write_durably(const char *path, const struct dr_buf *b, mode_t mode, struct dr_error *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t at = 0;
	if (fd < 0)
		return dr_fail(e, DR_E_DENIED, "%s: %s", path, strerror(errno));
	while (at < b->len) {
		ssize_t n = write(fd, b->data + at, b->len - at);
		if (n <= 0 && errno != EINTR)
			break;
		at += n > 0 ? (size_t)n : 0;
	}
	bool bad = at < b->len || fchmod(fd, mode) != 0 || fsync(fd) != 0;
	int err = errno;
	(void)close(fd);
	return bad ? dr_fail(e, err == ENOSPC ? DR_E_NO_SPACE : DR_E_IO, "%s: %s", path, strerror(err)) : DR_OK;
}

static enum dr_err put_in_place(const struct work *w, const char *from, struct dr_error *e)
{
	if (rename(from, w->path) != 0)
		return dr_fail(e, DR_E_IO, "%s: %s", w->path, strerror(errno));
	return sync_folder(w, e);
}

static enum dr_err note(struct work *w, const char *is, const char *was, bool reloaded, struct dr_error *e)
{
	w->record = (struct dr_file_record){ .known = true, .service = w->call->target->service, .epoch = w->call->args.epoch,
					     .plan = w->call->args.plan, .reloaded = reloaded };
	(void)dr_copy_text(w->record.is, sizeof(w->record.is), is);
	(void)dr_copy_text(w->record.was, sizeof(w->record.was), was);
	return dr_file_record_write(w->path, &w->record, e);
}

/* The reload failed: what stood there before stands there again, and whoever reads it is told so. */
static void undo(struct work *w)
{
	struct dr_error ignored;
	char new_hash[DR_FILE_HASH];
	(void)dr_copy_text(new_hash, sizeof(new_hash), w->wanted_hash);
	if (!w->there || write_durably(w->fresh, &w->now, w->mode, &ignored) != DR_OK ||
	    put_in_place(w, w->fresh, &ignored) != DR_OK)
		return;
	/* It is of the epoch that it was of, not of the one that could not be loaded. */
	w->record = w->before;
	w->record.known = true;
	w->record.service = w->call->target->service;
	w->record.reloaded = false;
	(void)dr_copy_text(w->record.is, sizeof(w->record.is), w->now_hash);
	(void)dr_copy_text(w->record.was, sizeof(w->record.was), new_hash);
	dr_best_effort(dr_file_record_write(w->path, &w->record, &ignored));
	dr_best_effort(run_late(w, w->route->reload, &ignored));
}

static enum dr_err reload(struct work *w, bool may_undo, struct dr_error *e)
{
	enum dr_err rv = run(w, w->route->reload, w->path, e);
	if (rv == DR_OK)
		return note(w, w->wanted_hash, w->wanted_hash, true, e);
	if (may_undo)
		undo(w);
	return dr_wrap(e, may_undo && w->there ? "reload (the old file was put back)" : "reload");
}

/* The record first, naming both: whichever of them a crash leaves there is ours. */
static enum dr_err replace(struct work *w, struct dr_error *e)
{
	enum dr_err rv = write_durably(w->fresh, &w->wanted, w->mode, e);
	if (rv == DR_OK && run(w, w->route->validate, w->fresh, e) != DR_OK)
		rv = dr_wrap(e, "validate");
	if (rv != DR_OK) {
		(void)unlink(w->fresh);
		return rv;
	}
	if (w->there)
		rv = write_durably(w->old, &w->now, w->mode, e);
	if (rv == DR_OK)
		rv = note(w, w->wanted_hash, w->now_hash, false, e);
	if (rv == DR_OK)
		rv = put_in_place(w, w->fresh, e);
	return rv == DR_OK ? reload(w, true, e) : rv;
}

static enum dr_err make_so(struct work *w, struct dr_error *e)
{
	enum dr_err rv = fill_in(w, e);
	if (rv == DR_OK)
		rv = check_ours(w, e);
	if (rv != DR_OK)
		return rv;
	const struct dr_file_record *r = &w->record;
	if (!w->there || strcmp(w->now_hash, w->wanted_hash) != 0)
		rv = replace(w, e);
	else if (!r->known || r->epoch != w->call->args.epoch || strcmp(r->is, w->wanted_hash) != 0 || !r->reloaded)
		rv = reload(w, false, e);
	if (rv != DR_OK)
		return rv;
	/* What is there now, not what we meant to write. */
	dr_buf_close(&w->now);
	rv = read_now(w, e);
	if (rv == DR_OK && strcmp(w->now_hash, w->wanted_hash) != 0)
		rv = dr_fail(e, DR_E_CONFLICT, "%s was changed by somebody else while it was being written", w->path);
	return rv;
}

static enum dr_err work_on(struct work *w, struct dr_error *e)
{
	struct dr_call *c = w->call;
	enum dr_err rv = path_of(c->target, w->route->file, w->path, sizeof(w->path), e);
	if (rv != DR_OK)
		return rv;
	(void)snprintf(w->fresh, sizeof(w->fresh), "%s.drcoord-new", w->path);
	(void)snprintf(w->old, sizeof(w->old), "%s.drcoord-old", w->path);
	rv = dr_file_record_read(w->path, &w->record, e);
	w->before = w->record;
	if (rv == DR_OK)
		rv = read_now(w, e);
	if (rv != DR_OK)
		return rv;
	c->answered = true;
	if (c->kind == DR_OP_ROUTED)
		rv = make_so(w, e);
	if (rv != DR_OK)
		return rv; /* what a command said about it stays in c->shows */
	bool ours = w->record.known && strcmp(w->record.is, w->now_hash) == 0;
	c->epoch = ours ? w->record.epoch : 0;
	(void)snprintf(c->shows, sizeof(c->shows), "%.12s e=%" PRIu64 "%s", w->now_hash, w->record.epoch, ours ? "" : ", not ours");
	return DR_OK;
}

static enum dr_err file_call(struct dr_call *c, struct dr_error *e)
{
	struct work w = { .call = c, .route = &c->target->route };
	enum dr_err rv = work_on(&w, e);
	dr_buf_close(&w.now);
	dr_buf_close(&w.wanted);
	return rv;
}

static enum dr_err file_open(struct dr_session *s, struct dr_error *e)
{
	const struct dr_spec_route *r = &s->target.route;
	if (r->kind != DR_ROUTE_FILE)
		return dr_fail(e, DR_E_INVALID, "the target is no file route");
	for (uint32_t i = 0; i < dr_route_places(r); i++) {
		if (!dr_name_eq(&r->on[i], &s->target.coordinator))
			continue;
		dr_blocking_open(s, file_call, i, 1);
		return DR_OK;
	}
	return dr_fail(e, DR_E_INVALID, "route %s is not on coordinator %s", r->name.s, s->target.coordinator.s);
}

const struct dr_adapter dr_file_adapter = {
	.name = "file",
	.own_size = sizeof(struct dr_blocking),
	.open = file_open,
	.start = dr_blocking_start,
	.cancel = dr_blocking_cancel,
	.close = dr_blocking_close,
	.can = { [DR_OP_OBSERVED] = true, [DR_OP_ROUTED] = true },
};
