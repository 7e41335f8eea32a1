/* pgserver.c -- a PostgreSQL server that lies: what it answers to the statements of every op, as the adapter reads them.
 *
 * The steps are run as adapters/postgres/run.c runs them, without a connection: each gets an answer that libpq itself
 * holds as a result, of as many columns and rows as the bytes say. */
#include <string.h>

#include "adapters/postgres/pg.h"
#include "base/parse.h"
#include "fuzz.h"

enum { COLUMNS_MAX = 24, ROWS_MAX = 12, ANSWERS_MAX = 40, TEXT_MAX = 255, NULL_LENGTH = 0xff, STATEMENT_MAX = 1 << 20 };

static PGconn *nobody;
static struct dr_session session;
static struct pg_own own;
static struct dr_op op;

/* A byte for the columns, one for the rows, then each value behind its length. */
static PGresult *answer(struct dr_view *v)
{
	static const ExecStatusType kinds[] = { PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_FATAL_ERROR, PGRES_EMPTY_QUERY };
	PGresAttDesc columns[COLUMNS_MAX] = { 0 };
	uint8_t how = dr_view_u8(v), rows = dr_view_u8(v) % ROWS_MAX;
	int n = how % (COLUMNS_MAX + 1);
	bool error = how >= 4 * (COLUMNS_MAX + 1);
	char name[] = "column";
	PGresult *res = PQmakeEmptyPGresult(nobody, error ? kinds[how % 4] : PGRES_TUPLES_OK);

	FUZZ_CHECK(res != NULL);
	for (int i = 0; i < n; i++)
		columns[i].name = name;
	if (error || n == 0 || PQsetResultAttrs(res, n, columns) == 0)
		return res;
	for (int row = 0; row < rows; row++) {
		for (int col = 0; col < n; col++) {
			char text[TEXT_MAX + 1];
			uint8_t len = dr_view_u8(v);
			size_t have = len < dr_view_left(v) ? len : dr_view_left(v);
			if (len != NULL_LENGTH && have > 0)
				memcpy(text, dr_view_bytes(v, have), have);
			FUZZ_CHECK(PQsetvalue(res, row, col, len == NULL_LENGTH ? NULL : text,
					      len == NULL_LENGTH ? -1 : (int)have) != 0);
		}
	}
	return res;
}

static void check(const struct dr_evidence *ev)
{
	FUZZ_CHECK(ev->peers <= DR_OP_PEERS_MAX);
	for (uint32_t i = 0; i < ev->peers; i++)
		FUZZ_CHECK(dr_is_name(ev->peer[i].member.s));
	FUZZ_CHECK(ev->upstream.s[0] == '\0' || dr_is_name(ev->upstream.s));
	FUZZ_CHECK(memchr(ev->text, '\0', sizeof(ev->text)) != NULL);
	FUZZ_CHECK(memchr(ev->upstream_at.host, '\0', sizeof(ev->upstream_at.host)) != NULL);
	FUZZ_CHECK(!ev->in_recovery || ev->replayed <= ev->received);
}

/* One step's statement and the answer to it; what comes next. */
static enum pg_next ask(struct pg_run *r, const struct pg_step *s, struct dr_view *v)
{
	struct dr_error e = { 0 };
	struct dr_buf sql;
	enum dr_err rv = DR_OK;
	enum pg_next next = PG_NEXT;

	dr_buf_init(&sql, STATEMENT_MAX);
	if (s->sql == NULL)
		rv = s->build(r, &sql, &e);
	FUZZ_CHECK(rv != DR_OK || s->sql != NULL || (dr_buf_ok(&sql) && memchr(sql.data, 0, sql.len) == NULL));
	dr_buf_close(&sql);
	if (rv != DR_OK)
		return PG_FAILED;
	PGresult *res = answer(v);
	bool good = PQresultStatus(res) == PGRES_TUPLES_OK || PQresultStatus(res) == PGRES_COMMAND_OK;
	if (!good && !s->may_fail)
		next = PG_FAILED;
	else if (s->read != NULL)
		next = s->read(r, res, &e);
	PQclear(res);
	check(&op.evidence);
	return next;
}

static void set_args(uint8_t how)
{
	struct dr_op_args *a = &op.args;

	a->epoch = 7;
	a->plan = how;
	a->primary_at = (struct dr_address){ .host = "10.2.0.20", .port = 5432 };
	a->peers = how % (DR_OP_PEERS_MAX + 1);
	a->k = a->peers > 0 ? 1 + how / 16 % a->peers : 0;
	a->local_commit = how % 2 == 0;
	FUZZ_CHECK(dr_name_set(&a->self, "pg-a") && dr_name_set(&a->primary, "pg-b"));
	for (uint32_t i = 0; i < a->peers; i++) {
		char name[] = { 'p', 'g', '-', (char)('b' + i), '\0' };
		FUZZ_CHECK(dr_name_set(&a->peer[i], name));
	}
}

void fuzz_pgserver(const uint8_t *p, size_t n)
{
	if (nobody == NULL) {
		nobody = PQconnectStart("host=/nonexistent"); /* it only quotes */
		FUZZ_CHECK(nobody != NULL);
	}
	op = (struct dr_op){ .kind = (enum dr_op_kind)(fuzz_first(&p, &n) % DR_OP_MAX) };
	set_args(fuzz_first(&p, &n));
	session = (struct dr_session){ .own = &own };
	own = (struct pg_own){ .session = &session, .link.conn = nobody };
	FUZZ_CHECK(dr_name_set(&session.target.member, "pg-a"));
	(void)dr_copy_text(session.target.replication_user, sizeof(session.target.replication_user), "replicator");
	const struct pg_plan *plan = pg_primary_plan(op.kind);
	if (plan == NULL)
		plan = pg_standby_plan(op.kind);
	struct pg_run *r = &own.run;
	*r = (struct pg_run){ .own = &own, .op = &op, .plan = plan };
	struct dr_view v = dr_view_of(p, n);
	struct dr_error e = { 0 };
	if (plan == NULL || (plan->check != NULL && plan->check(r, &e) != DR_OK))
		return;
	enum pg_next next = PG_NEXT;
	for (unsigned i = 0; i < ANSWERS_MAX && r->at < plan->steps && next <= PG_AGAIN && dr_view_left(&v) > 0; i++) {
		const struct pg_step *s = &plan->step[r->at];
		next = s->wanted == NULL || s->wanted(r) ? ask(r, s, &v) : PG_NEXT;
		r->tries = next == PG_AGAIN ? r->tries + 1 : 0;
		r->at += next == PG_NEXT ? 1 : 0;
	}
}
