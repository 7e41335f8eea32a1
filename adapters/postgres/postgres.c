/* postgres.c -- PostgreSQL behind adapter.h.  README.md says what each op reads and proves. */
#include <string.h>

#include "adapters/postgres/pg.h"

/* Names would be resolved by libpq, which blocks the loop: only literals. */
static bool is_literal(const char *host)
{
	unsigned char address[16];
	return uv_inet_pton(AF_INET, host, address) == 0 || uv_inet_pton(AF_INET6, host, address) == 0;
}

static enum dr_err pg_open(struct dr_session *s, struct dr_error *e)
{
	const struct dr_target *t = &s->target;
	struct pg_own *o = s->own;

	if (t->address.port == 0)
		return dr_fail(e, DR_E_INVALID, "%s: no port", t->member.s);
	if (t->unix_socket_dir[0] != '\0' ? t->unix_socket_dir[0] != '/' : !is_literal(t->address.host))
		return dr_fail(e, DR_E_INVALID, "%s: %s is no address literal or absolute socket folder",
			       t->member.s,
			       t->unix_socket_dir[0] != '\0' ? t->unix_socket_dir : t->address.host);
	if (t->user[0] == '\0')
		return dr_fail(e, DR_E_INVALID, "%s: no user", t->member.s);
	o->session = s;
	(void)uv_timer_init(s->loop, &o->again);
	o->again.data = o;
	o->handles = 1;
	return DR_OK;
}

static enum dr_err pg_start(struct dr_session *s, struct dr_op *op, struct dr_error *e)
{
	const struct pg_plan *plan = pg_primary_plan(op->kind);
	if (plan == NULL)
		plan = pg_standby_plan(op->kind);
	if (plan == NULL)
		return dr_fail(e, DR_E_UNSUPPORTED, "postgres has no %s", dr_op_name(op->kind));
	return pg_run_start(s->own, op, plan, e);
}

static void pg_cancel(struct dr_session *s, struct dr_op *op)
{
	(void)op;
	pg_run_stop(s->own);
}

static void again_closed(uv_handle_t *h)
{
	pg_handle_closed(h->data);
}

static void pg_close(struct dr_session *s)
{
	struct pg_own *o = s->own;
	pg_run_stop(o);
	uv_close((uv_handle_t *)&o->again, again_closed);
}

const struct dr_adapter dr_postgres_adapter = {
	.name = "postgres",
	.own_size = sizeof(struct pg_own),
	.open = pg_open,
	.start = pg_start,
	.cancel = pg_cancel,
	.close = pg_close,
	.can = {
		[DR_OP_PROBE] = true,
		[DR_OP_PROBE_WRITE] = true,
		[DR_OP_POSITIONS] = true,
		[DR_OP_FROZEN] = true,
		[DR_OP_FOLLOWING] = true,
		[DR_OP_WRITABLE] = true,
		[DR_OP_SYNC_SET] = true,
		[DR_OP_SLOTS] = true,
		[DR_OP_CHECKPOINTED] = true,
	},
};
