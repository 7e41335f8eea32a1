/* run.c -- carries a table of steps out, one at a time, to the one end of its op. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "adapters/postgres/pg.h"
#include "base/assert.h"
#include "base/parse.h"

enum {
	SQL_MAX = 16384,
	ROLE_CHANGES_MAX = 3, /* answers of 55000 in a row before it counts as an error */
	PAUSE_FIRST_MS = 5,
	PAUSE_MAX_MS = 100,
	PAUSES_FIRST = 60 /* so many short pauses (0.3 s) before they grow */
};

static void send_step(struct pg_own *o);
static void go_on(struct pg_own *o);

static const struct pg_step *step_of(const struct pg_run *r)
{
	dr_assert(r->at < r->plan->steps);
	return &r->plan->step[r->at];
}

void pg_say(struct pg_run *r, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(r->op->evidence.text, sizeof(r->op->evidence.text), fmt, ap);
	va_end(ap);
}

enum dr_err pg_put_literal(struct pg_run *r, struct dr_buf *sql, const char *text, struct dr_error *e)
{
	char *quoted = PQescapeLiteral(r->own->link.conn, text, strlen(text));
	if (quoted == NULL)
		return dr_fail(e, DR_E_INVALID, "a text cannot be quoted for the server");
	dr_buf_put(sql, quoted, strlen(quoted));
	explicit_bzero(quoted, strlen(quoted));
	PQfreemem(quoted);
	return DR_OK;
}

void pg_run_stop(struct pg_own *o)
{
	(void)uv_timer_stop(&o->again);
	pg_link_close(o);
	explicit_bzero(o->secret, sizeof(o->secret));
	explicit_bzero(o->replication_secret, sizeof(o->replication_secret));
	explicit_bzero(&o->run, sizeof(o->run));
}

/* Texts from a server may hold anything; messages are one line. */
static void plain_line(char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
	}
}

/* e == NULL: the state holds. */
static void finish(struct pg_own *o, struct dr_error *e)
{
	struct dr_op *op = o->run.op;
	const struct dr_target *t = &o->session->target;

	if (e != NULL) {
		pg_redact(e->msg, o->secret);
		pg_redact(e->msg, o->replication_secret);
		if (o->run.at < o->run.plan->steps)
			(void)dr_wrap(e, "%s", step_of(&o->run)->what);
		(void)dr_wrap(e, "%s", t->member.s);
		plain_line(e->msg);
		(void)dr_copy_text(op->evidence.text, sizeof(op->evidence.text), e->msg);
	}
	pg_run_stop(o);
	dr_op_finish(op, e);
}

/* The next wanted step from `at` on; the end of the table is the op's end. */
static void go_on(struct pg_own *o)
{
	struct pg_run *r = &o->run;
	struct dr_error e;

	while (r->at < r->plan->steps && step_of(r)->wanted != NULL && !step_of(r)->wanted(r))
		r->at++;
	r->tries = 0;
	r->pause_ms = PAUSE_FIRST_MS;
	if (r->at == r->plan->steps) {
		finish(o, NULL);
		return;
	}
	if (!step_of(r)->fresh) {
		send_step(o);
		return;
	}
	if (pg_link_open(o, &e) != DR_OK)
		finish(o, &e);
}

static void send_step(struct pg_own *o)
{
	struct pg_run *r = &o->run;
	const struct pg_step *s = step_of(r);
	struct dr_error e;
	struct dr_buf sql;
	enum dr_err rv = DR_OK;

	dr_buf_init(&sql, SQL_MAX);
	if (s->sql != NULL)
		dr_buf_printf(&sql, "%s", s->sql);
	else
		rv = s->build(r, &sql, &e);
	dr_buf_put_u8(&sql, 0);
	if (rv == DR_OK && !dr_buf_ok(&sql))
		rv = dr_fail(&e, DR_E_RANGE, "the statement would be longer than %d bytes", SQL_MAX);
	if (rv == DR_OK)
		rv = pg_link_send(o, (const char *)sql.data, &e);
	if (sql.data != NULL)
		explicit_bzero(sql.data, sql.len);
	dr_buf_close(&sql);
	if (rv != DR_OK)
		finish(o, &e);
}

enum dr_err pg_run_start(struct pg_own *o, struct dr_op *op, const struct pg_plan *plan, struct dr_error *e)
{
	o->run = (struct pg_run){ .own = o, .op = op, .plan = plan };
	if (plan->check != NULL && plan->check(&o->run, e) != DR_OK) {
		pg_run_stop(o);
		return e->code;
	}
	go_on(o);
	return DR_OK;
}

void pg_run_connected(struct pg_own *o)
{
	send_step(o);
}

void pg_run_broken(struct pg_own *o, struct dr_error *e)
{
	finish(o, e);
}

void pg_run_again(uv_timer_t *t)
{
	struct pg_own *o = t->data;
	dr_assert(o->run.op != NULL);
	send_step(o);
}

static void pause_step(struct pg_own *o)
{
	struct pg_run *r = &o->run;
	r->tries++;
	if (r->tries > PAUSES_FIRST && r->pause_ms < PAUSE_MAX_MS)
		r->pause_ms = r->pause_ms * 3 / 2 + 1;
	if (r->pause_ms > PAUSE_MAX_MS)
		r->pause_ms = PAUSE_MAX_MS;
	/* The loop's idea of now may be old after a long callback. */
	uv_update_time(o->session->loop);
	(void)uv_timer_start(&o->again, pg_run_again, r->pause_ms, 0);
}

static enum dr_err answer_error(struct pg_own *o, const PGresult *res, struct dr_error *e)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	const char *source = PQresultErrorField(res, PG_DIAG_SOURCE_FILE);

	if (state == NULL)
		return dr_fail(e, PQstatus(o->link.conn) == CONNECTION_BAD ? DR_E_CLOSED : DR_E_PROTOCOL,
			       "the answer broke off");
	return dr_fail(e, pg_server_err(state, source), "%s%s%s (%s)", text != NULL ? text : "",
		       detail != NULL ? ": " : "", detail != NULL ? detail : "", state);
}

void pg_run_answer(struct pg_own *o, const PGresult *res)
{
	struct pg_run *r = &o->run;
	const struct pg_step *s = step_of(r);
	struct dr_error e;
	ExecStatusType status = PQresultStatus(res);
	bool good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
	enum pg_next next = PG_NEXT;

	dr_error_clear(&e);
	if (!good && !s->may_fail) {
		const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
		bool changed = state != NULL && strcmp(state, "55000") == 0;
		if (changed && s->role_may_change && r->tries < ROLE_CHANGES_MAX) {
			pause_step(o);
			return;
		}
		if (changed && s->done_if_changed) {
			r->before.in_recovery = false; /* what was read was already of the new timeline, maybe */
		} else {
			(void)answer_error(o, res, &e);
			next = PG_FAILED;
		}
	} else if (s->read != NULL) {
		next = s->read(r, res, &e);
	}
	switch (next) {
	case PG_NEXT:
		r->at++;
		go_on(o);
		break;
	case PG_AGAIN:
		pause_step(o);
		break;
	case PG_DONE:
		finish(o, NULL);
		break;
	case PG_FAILED:
		if (e.code == DR_OK)
			(void)answer_error(o, res, &e);
		finish(o, &e);
		break;
	}
}
