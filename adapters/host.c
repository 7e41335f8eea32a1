/* host.c -- the host side of adapter.h: one op at a time, its deadline, and exactly one done.
 *
 * An op's end passes through one place.  Whoever ends it first (the adapter by dr_op_finish, the deadline,
 * a cancel, a close) leaves the outcome here and starts the idle handle `later`; its callback, on a stack
 * with neither start() nor cancel() below it, hands the outcome to the caller.  Later ends find has_outcome
 * set and change nothing.
 *
 *   start -> in flight -> outcome known (later active) -> done -> free for the next op
 *                                                           \-> closing: adapter->close -> closed
 *
 * The host never looks into what an adapter does; it only makes the promises of adapter.h true. */
#include "adapters/adapter.h"

#include <ctype.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

static char op_names[DR_OP_MAX][24];

/* Filled before main, so that threads only ever read it; the words are the rows' names in lower case. */
__attribute__((constructor)) static void op_names_init(void)
{
	static const struct {
		enum dr_op_kind op;
		const char *name;
	} rows[] = {
#define ADAPTER_OP(id, name, writes, help) { (enum dr_op_kind)(id), #name },
#include "adapters/ops.def"
#undef ADAPTER_OP
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *out = op_names[rows[i].op];
		for (size_t k = 0; rows[i].name[k] != '\0' && k + 1 < sizeof(op_names[0]); k++)
			out[k] = (char)tolower((unsigned char)rows[i].name[k]);
	}
}

const char *dr_op_name(enum dr_op_kind op)
{
	return (unsigned)op < DR_OP_MAX && op_names[op][0] != '\0' ? op_names[op] : "unknown";
}

/* The caller may start the next op from inside done, so nothing of s is touched after it but `closing`,
 * and that only when it was set before: then no other op can have begun. */
static void deliver(struct dr_session *s)
{
	struct dr_op *op = s->op;
	struct dr_error outcome = s->outcome;
	bool was_closing = s->closing;

	dr_assert(op != NULL);
	dr_assert(s->has_outcome);
	(void)uv_timer_stop(&s->deadline);
	(void)uv_idle_stop(&s->later);
	s->op = NULL;
	s->has_outcome = false;
	op->active = false;
	op->done(op, outcome.code == DR_OK ? NULL : &outcome);
	if (was_closing)
		s->adapter->close(s);
}

static void on_later(uv_idle_t *h)
{
	deliver(h->data);
}

static void settle(struct dr_session *s, const struct dr_error *e)
{
	s->has_outcome = true;
	if (e == NULL)
		dr_error_clear(&s->outcome);
	else
		s->outcome = *e;
	(void)uv_timer_stop(&s->deadline);
	(void)uv_idle_start(&s->later, on_later);
}

/* The outcome is set before the adapter's cancel, so that an adapter that finishes the op in there by
 * mistake is caught by the assertion in dr_op_finish(). */
static void drop(struct dr_session *s, const struct dr_error *e)
{
	struct dr_op *op = s->op;
	settle(s, e);
	s->adapter->cancel(s, op);
}

static void on_deadline(uv_timer_t *h)
{
	struct dr_session *s = h->data;
	struct dr_error e;
	(void)dr_fail(&e, DR_E_TIMEOUT, "%s %s: no end within %u ms", s->adapter->name,
		      dr_op_name(s->op->kind), s->op->deadline_ms);
	drop(s, &e);
}

enum dr_err dr_session_open(struct dr_session *s, uv_loop_t *loop, const struct dr_adapter *a,
			    const struct dr_target *target, struct dr_error *e)
{
	*s = (struct dr_session){ .loop = loop, .adapter = a, .target = *target };
	s->own = dr_xcalloc(a->own_size);
	enum dr_err rv = a->open(s, e);
	if (rv != DR_OK) {
		dr_free(s->own);
		s->own = NULL;
		return rv;
	}
	(void)uv_timer_init(loop, &s->deadline);
	(void)uv_idle_init(loop, &s->later);
	s->deadline.data = s;
	s->later.data = s;
	s->handles_open = 2;
	return DR_OK;
}

enum dr_err dr_session_start(struct dr_session *s, struct dr_op *op, struct dr_error *e)
{
	dr_assert(op->done != NULL);
	if (s->closing)
		return dr_fail(e, DR_E_CLOSED, "%s: the session is closing", s->adapter->name);
	if ((unsigned)op->kind >= DR_OP_MAX || !s->adapter->can[op->kind])
		return dr_fail(e, DR_E_UNSUPPORTED, "%s has no %s", s->adapter->name, dr_op_name(op->kind));
	if (s->op != NULL)
		return dr_fail(e, DR_E_BUSY, "%s: %s is in flight", s->adapter->name,
			       dr_op_name(s->op->kind));
	if (op->deadline_ms == 0)
		return dr_fail(e, DR_E_TIMEOUT, "%s %s: no time left", s->adapter->name,
			       dr_op_name(op->kind));

	uv_update_time(s->loop);
	memset(&op->evidence, 0, sizeof(op->evidence));
	op->session = s;
	op->active = true;
	op->started_ms = uv_now(s->loop);
	s->op = op;
	(void)uv_timer_start(&s->deadline, on_deadline, op->deadline_ms, 0);
	enum dr_err rv = s->adapter->start(s, op, e);
	if (rv != DR_OK) {
		(void)uv_timer_stop(&s->deadline);
		(void)uv_idle_stop(&s->later);
		s->op = NULL;
		s->has_outcome = false;
		op->active = false;
	}
	return rv;
}

void dr_session_cancel(struct dr_session *s)
{
	struct dr_error e;
	if (s->op == NULL || s->has_outcome)
		return;
	(void)dr_fail(&e, DR_E_CANCELLED, "%s %s: cancelled", s->adapter->name, dr_op_name(s->op->kind));
	drop(s, &e);
}

void dr_session_close(struct dr_session *s, void (*closed)(struct dr_session *s))
{
	dr_assert(!s->closing);
	s->closing = true;
	s->closed = closed;
	dr_session_cancel(s);
	if (s->op == NULL)
		s->adapter->close(s);
}

void dr_op_finish(struct dr_op *op, const struct dr_error *e)
{
	struct dr_session *s = op->session;
	dr_assert(op->active);
	dr_assert(s->op == op);
	dr_assert(!s->has_outcome);
	settle(s, e);
}

static void on_handle_closed(uv_handle_t *h)
{
	struct dr_session *s = h->data;
	if (--s->handles_open > 0)
		return;
	dr_free(s->own);
	s->own = NULL;
	if (s->closed != NULL)
		s->closed(s);
}

void dr_session_closed(struct dr_session *s)
{
	dr_assert(s->closing);
	dr_assert(s->op == NULL);
	uv_close((uv_handle_t *)&s->deadline, on_handle_closed);
	uv_close((uv_handle_t *)&s->later, on_handle_closed);
}
