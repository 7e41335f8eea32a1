/* mysql.c -- MySQL 8.0 to 9 and MariaDB 10.6 to 11 behind adapter.h; the loop's side of it.  README.md says what each op
 * reads and proves. */
#include <string.h>
#include <sys/socket.h>

#include "adapters/mysql/door.h"
#include "adapters/mysql/my.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"
#include "sys/clock.h"

typedef enum dr_err my_op(struct my_run *r, struct dr_error *e);

static my_op *const ops[DR_OP_MAX] = {
	[DR_OP_PROBE] = my_op_probe,         [DR_OP_PROBE_WRITE] = my_op_probe_write,
	[DR_OP_POSITIONS] = my_op_positions,     [DR_OP_FROZEN] = my_op_frozen,
	[DR_OP_FOLLOWING] = my_op_following, [DR_OP_WRITABLE] = my_op_writable,
	[DR_OP_COMPARED] = my_op_compared,   [DR_OP_CLOSED] = my_op_closed,
	[DR_OP_SYNC_SET] = my_op_sync_set,   [DR_OP_SIGNED] = my_op_signed,
	[DR_OP_COPIED] = my_op_copied,       [DR_OP_ERRANT] = my_op_errant,
	[DR_OP_TENDED] = my_op_tended,       [DR_OP_ACKING] = my_op_acking,
};

static bool is_literal(const char *host)
{
	unsigned char address[16];
	return uv_inet_pton(AF_INET, host, address) == 0 || uv_inet_pton(AF_INET6, host, address) == 0;
}

/* Once for the process, before any thread: the library's own first call is not safe between threads. */
static void library_init(void)
{
	static bool done;
	if (!done)
		(void)mysql_library_init(0, NULL, NULL);
	done = true;
}

static enum dr_err my_open(struct dr_session *s, struct dr_error *e)
{
	const struct dr_target *t = &s->target;
	struct my_own *o = s->own;

	if (t->unix_socket_dir[0] == '\0' && t->address.port == 0)
		return dr_fail(e, DR_E_INVALID, "%s: no port", t->member.s);
	if (t->unix_socket_dir[0] != '\0' ? t->unix_socket_dir[0] != '/' : !is_literal(t->address.host))
		return dr_fail(e, DR_E_INVALID, "%s: %s is no address literal or absolute socket folder", t->member.s,
			       t->unix_socket_dir[0] != '\0' ? t->unix_socket_dir : t->address.host);
	if (t->user[0] == '\0')
		return dr_fail(e, DR_E_INVALID, "%s: no user", t->member.s);
	library_init();
	o->session = s;
	dr_pool_join(s->loop);
	return DR_OK;
}

/* ---- a run */

/* Nobody waits for what it says: its end is shut first, so that closing it writes and reads nothing. */
static void let_go(MYSQL **kept)
{
	if (*kept == NULL)
		return;
	(void)shutdown((int)mysql_get_socket(*kept), SHUT_RDWR);
	mysql_close(*kept);
	*kept = NULL;
}

static void free_run(struct my_run *r)
{
	let_go(&r->kept);
	explicit_bzero(r->secret, sizeof(r->secret));
	explicit_bzero(r->replication_secret, sizeof(r->replication_secret));
	(void)pthread_mutex_destroy(&r->lock);
	dr_free(r);
}

static void on_thread(struct dr_pool_job *j)
{
	struct my_run *r = (struct my_run *)(void *)j; /* its first part */

	(void)mysql_thread_init();
	dr_error_clear(&r->error);
	r->outcome = my_alive(r, &r->error);
	if (r->outcome == DR_OK)
		r->outcome = ops[r->kind](r, &r->error);
	my_disconnect(r);
	mysql_thread_end();
}

static bool is_silence(enum dr_err code)
{
	return code == DR_E_UNREACHABLE || code == DR_E_CLOSED || code == DR_E_TIMEOUT;
}

static void on_done(struct dr_pool_job *j)
{
	struct my_run *r = (struct my_run *)(void *)j;
	struct my_own *o = r->own;

	if (o != NULL) {
		struct dr_op *op = o->session->op;
		o->run = NULL;
		if (r->outcome == DR_OK) {
			o->kept = r->kept;
			r->kept = NULL;
		}
		o->mute = r->outcome != DR_OK && !r->met && is_silence(r->outcome);
		op->evidence = r->evidence;
		if (r->outcome != DR_OK) {
			(void)dr_wrap(&r->error, "%s", r->target.member.s);
			(void)dr_copy_text(op->evidence.text, sizeof(op->evidence.text), r->error.msg);
		}
		dr_op_finish(op, r->outcome != DR_OK ? &r->error : NULL);
	}
	free_run(r);
}

static enum dr_err start_run(struct my_own *o, struct dr_op *op, uint64_t until_ms, struct dr_error *e)
{
	struct my_run *r = dr_xcalloc(sizeof(*r));

	*r = (struct my_run){ .job = { .work = on_thread, .done = on_done }, .own = o, .kind = op->kind, .args = op->args,
			      .target = o->session->target, .until_ms = until_ms, .fd = -1 };
	(void)pthread_mutex_init(&r->lock, NULL);
	enum dr_err rv = dr_pool_submit(&r->job, e);
	if (rv != DR_OK) {
		free_run(r);
		return rv;
	}
	o->run = r;
	return DR_OK;
}

/* ---- the door */

static void leave_door(struct my_own *o)
{
	if (o->door != NULL)
		my_door_close(o->door);
	o->door = NULL;
}

static void door_gone(void *ctx)
{
	struct my_own *o = ctx;
	o->doors--;
	if (o->closing && o->doors == 0)
		dr_session_closed(o->session);
}

static void door_answered(void *ctx, const struct dr_error *why)
{
	struct my_own *o = ctx;
	struct dr_op *op = o->session->op;
	struct dr_error e;

	leave_door(o);
	if (why != NULL)
		e = *why;
	else if (start_run(o, op, o->until_ms, &e) == DR_OK)
		return;
	(void)dr_wrap(&e, "%s", o->session->target.member.s);
	(void)dr_copy_text(op->evidence.text, sizeof(op->evidence.text), e.msg);
	dr_op_finish(op, &e);
}

static enum dr_err my_start(struct dr_session *s, struct dr_op *op, struct dr_error *e)
{
	const struct dr_target *t = &s->target;
	const struct my_door_owner owner = { .answered = door_answered, .gone = door_gone, .ctx = s->own };
	struct my_own *o = s->own;

	let_go(&o->kept);
	o->until_ms = dr_clock_boot_ms() + op->deadline_ms;
	if (!o->mute || t->unix_socket_dir[0] != '\0')
		return start_run(o, op, o->until_ms, e);
	o->doors++;
	return my_door_open(&o->door, s->loop, &t->address, &owner, e);
}

/* Whatever it waits for on the wire ends now; on_done frees it.  One that has met nobody yet may go on waiting for a while, on a
 * thread that others want. */
static void my_cancel(struct dr_session *s, struct dr_op *op)
{
	struct my_own *o = s->own;
	struct my_run *r = o->run;

	leave_door(o);
	if (r == NULL)
		return;
	o->run = NULL;
	r->own = NULL;
	(void)pthread_mutex_lock(&r->lock);
	r->dropped = true;
	o->mute = o->mute || !r->met;
	if (r->fd >= 0)
		(void)shutdown(r->fd, SHUT_RDWR);
	op->evidence = r->seen;
	op->evidence.text[0] = '\0';
	(void)pthread_mutex_unlock(&r->lock);
}

static void my_close(struct dr_session *s)
{
	struct my_own *o = s->own;

	o->closing = true;
	let_go(&o->kept);
	dr_pool_leave();
	if (o->doors == 0)
		dr_session_closed(s);
}

const struct dr_adapter dr_mysql_adapter = {
	.name = "mysql",
	.own_size = sizeof(struct my_own),
	.open = my_open,
	.start = my_start,
	.cancel = my_cancel,
	.close = my_close,
	.can = {
		[DR_OP_PROBE] = true,
		[DR_OP_PROBE_WRITE] = true,
		[DR_OP_POSITIONS] = true,
		[DR_OP_FROZEN] = true,
		[DR_OP_FOLLOWING] = true,
		[DR_OP_WRITABLE] = true,
		[DR_OP_SYNC_SET] = true,
		[DR_OP_COMPARED] = true,
		[DR_OP_CLOSED] = true,
		[DR_OP_SIGNED] = true,
		[DR_OP_COPIED] = true,
		[DR_OP_ERRANT] = true,
		[DR_OP_TENDED] = true,
		[DR_OP_ACKING] = true,
	},
};
