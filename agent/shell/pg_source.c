/* pg_source.c -- asking the server that we are compared with (pg_jobs_own.h): libpq, never blocking past the
 * job's deadline or cancel. */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "adapters/postgres/text.h"
#include "agent/shell/pg_jobs_own.h"
#include "base/parse.h"

enum dr_err pg_source_conninfo(const struct dr_job *job, const char *user, const char *database, char *dst,
			       size_t cap, struct dr_error *e)
{
	struct dr_buf b;
	char port[8];
	dst[0] = '\0';
	dr_buf_init(&b, cap - 1);
	(void)snprintf(port, sizeof(port), "%u", job->source.port);
	pg_put_conninfo(&b, "host", job->source.host);
	pg_put_conninfo(&b, "port", port);
	if (user[0] != '\0')
		pg_put_conninfo(&b, "user", user);
	if (database != NULL)
		pg_put_conninfo(&b, "dbname", database[0] != '\0' ? database : "postgres");
	pg_put_conninfo(&b, "application_name", "drcoord");
	pg_put_conninfo(&b, "sslmode", "prefer");
	pg_put_conninfo(&b, "gssencmode", "disable");
	bool ok = dr_buf_ok(&b);
	if (ok) {
		memcpy(dst, b.data, b.len);
		dst[b.len] = '\0';
	}
	dr_buf_close(&b);
	return ok ? DR_OK : dr_fail(e, DR_E_RANGE, "the connection text is too long");
}

/* Wait for the socket, a part of a second at a time. */
static enum dr_err wait_socket(struct dr_job *job, PGconn *c, short events, struct dr_error *e)
{
	for (;;) {
		enum dr_err rv = job_check(job, e);
		if (rv != DR_OK)
			return rv;
		struct pollfd p[] = { { .fd = PQsocket(c), .events = events },
				      { .fd = job->cancel_fd, .events = POLLIN } };
		if (poll(p, 2, 200) > 0 && p[0].revents != 0)
			return DR_OK;
	}
}

static enum dr_err connect_source(struct dr_job *job, PGconn **out, struct dr_error *e)
{
	char port[8], secret[256];
	const char *keys[] = { "host",       "port", "user", "password", "replication", "application_name",
			       "gssencmode", NULL };
	(void)snprintf(port, sizeof(port), "%u", job->source.port);
	*out = NULL;
	enum dr_err rv = job_secret(job->local.replication_password_file, secret, e);
	if (rv != DR_OK)
		return rv;
	const char *values[] = { job->source.host, port,   job->local.replication_user,
				 secret,           "true", "drcoord",
				 "disable",        NULL };
	PGconn *c = PQconnectStartParams(keys, values, 0);
	explicit_bzero(secret, sizeof(secret));
	PostgresPollingStatusType want =
	    c != NULL && PQstatus(c) != CONNECTION_BAD ? PGRES_POLLING_WRITING : PGRES_POLLING_FAILED;
	while (rv == DR_OK && (want == PGRES_POLLING_READING || want == PGRES_POLLING_WRITING)) {
		rv = wait_socket(job, c, want == PGRES_POLLING_READING ? POLLIN : POLLOUT, e);
		if (rv == DR_OK)
			want = PQconnectPoll(c);
	}
	if (rv == DR_OK && want != PGRES_POLLING_OK)
		rv = dr_fail(e, DR_E_UNREACHABLE, "cannot connect to %s at %s:%u for replication: %s",
			     job->source.member.s, job->source.host, job->source.port,
			     c != NULL ? PQerrorMessage(c) : "no memory");
	if (rv != DR_OK) {
		PQfinish(c);
		return rv;
	}
	*out = c;
	return DR_OK;
}

/* Until libpq has a whole message. */
static enum dr_err wait_message(struct dr_job *job, PGconn *c, struct dr_error *e)
{
	enum dr_err rv = wait_socket(job, c, POLLIN, e);
	if (rv == DR_OK && PQconsumeInput(c) != 1)
		rv = dr_fail(e, DR_E_CLOSED, "%s", PQerrorMessage(c));
	return rv;
}

/* One command, one result; the caller clears it. */
static enum dr_err ask(struct dr_job *job, PGconn *c, const char *command, int columns, PGresult **out,
		       struct dr_error *e)
{
	PGresult *res = NULL;
	*out = NULL;
	if (PQsendQuery(c, command) != 1)
		return dr_fail(e, DR_E_CLOSED, "%s: %s", command, PQerrorMessage(c));
	for (;;) {
		while (PQisBusy(c)) {
			enum dr_err rv = wait_message(job, c, e);
			if (rv != DR_OK) {
				PQclear(res);
				return dr_wrap(e, "%s", command);
			}
		}
		PGresult *next = PQgetResult(c);
		if (next == NULL)
			break;
		PQclear(res);
		res = next;
	}
	if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1 || PQnfields(res) < columns) {
		enum dr_err rv = dr_fail(e, DR_E_FAILED, "%s: %s", command, PQresultErrorMessage(res));
		PQclear(res);
		return rv;
	}
	*out = res;
	return DR_OK;
}

static enum dr_err read_identity(const PGresult *res, struct pg_source_seen *out, struct dr_error *e)
{
	uint64_t timeline = 0;
	if (dr_parse_u64(PQgetvalue(res, 0, 0), 1, UINT64_MAX, &out->system_id) != DR_OK ||
	    dr_parse_u64(PQgetvalue(res, 0, 1), 1, UINT32_MAX, &timeline) != DR_OK ||
	    !pg_lsn_parse(PQgetvalue(res, 0, 2), &out->lsn))
		return dr_fail(e, DR_E_PROTOCOL, "IDENTIFY_SYSTEM answered something else");
	out->timeline = (uint32_t)timeline;
	return DR_OK;
}

enum dr_err pg_source_see(struct dr_job *job, struct pg_source_seen *out, struct dr_error *e)
{
	PGconn *c = NULL;
	PGresult *res = NULL;
	char command[40];
	memset(out, 0, sizeof(*out));
	enum dr_err rv = connect_source(job, &c, e);
	if (rv != DR_OK)
		return rv;
	rv = ask(job, c, "IDENTIFY_SYSTEM", 3, &res, e);
	if (rv == DR_OK)
		rv = read_identity(res, out, e);
	PQclear(res);
	res = NULL;
	if (rv == DR_OK && out->timeline > 1) {
		(void)snprintf(command, sizeof(command), "TIMELINE_HISTORY %u", out->timeline);
		rv = ask(job, c, command, 2, &res, e);
		if (rv == DR_OK)
			rv = pg_history_parse(PQgetvalue(res, 0, 1), out->timeline, &out->history, e);
		PQclear(res);
	} else if (rv == DR_OK) {
		rv = pg_history_parse(NULL, 1, &out->history, e);
	}
	PQfinish(c);
	return rv != DR_OK ? dr_wrap(e, "asking %s", job->source.member.s) : DR_OK;
}

/* Of the stream: WAL, or its end. */
static enum dr_err read_stream(struct dr_job *job, PGconn *c, bool *came, struct dr_error *e)
{
	*came = false;
	for (;;) {
		char *data = NULL;
		int n = PQgetCopyData(c, &data, 1);
		*came = n > 0 && data[0] == 'w'; /* the rest are signs of life */
		PQfreemem(data);
		if (*came || n < 0)
			return DR_OK;
		enum dr_err rv = n == 0 ? wait_message(job, c, e) : DR_OK;
		if (rv != DR_OK)
			return rv;
	}
}

/* A walsender begins its stream before it looks for the file: the refusal comes as the stream's end. */
static enum dr_err read_start(struct dr_job *job, PGconn *c, bool *has, struct dr_error *e)
{
	static const char removed[] = "58P01"; /* undefined_file */
	bool came = false;
	for (unsigned i = 0; i < 2; i++) {
		enum dr_err rv = DR_OK;
		while (rv == DR_OK && PQisBusy(c))
			rv = wait_message(job, c, e);
		if (rv != DR_OK)
			return rv;
		PGresult *res = PQgetResult(c);
		const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
		bool streams = PQresultStatus(res) == PGRES_COPY_BOTH;
		*has = state == NULL || strcmp(state, removed) != 0;
		PQclear(res);
		if (!streams)
			return DR_OK;
		rv = read_stream(job, c, &came, e);
		if (rv != DR_OK || came)
			return rv;
	}
	return DR_OK;
}

enum dr_err pg_source_has_wal(struct dr_job *job, uint32_t timeline, uint64_t lsn, bool *has, struct dr_error *e)
{
	PGconn *c = NULL;
	char command[80], text[PG_LSN_TEXT];
	*has = true;
	enum dr_err rv = connect_source(job, &c, e);
	if (rv != DR_OK)
		return rv;
	(void)snprintf(command, sizeof(command), "START_REPLICATION PHYSICAL %s TIMELINE %u", pg_lsn_text(lsn, text),
		       timeline);
	if (PQsendQuery(c, command) != 1)
		rv = dr_fail(e, DR_E_CLOSED, "%s: %s", command, PQerrorMessage(c));
	else
		rv = read_start(job, c, has, e);
	PQfinish(c);
	return rv != DR_OK ? dr_wrap(e, "asking %s for WAL", job->source.member.s) : DR_OK;
}
