/* db_postgres.c -- see db.h.  A commit whose wait for standbys was cancelled ends with a warning: it promises nothing. */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "db.h"

static void on_notice(void *arg, const PGresult *res)
{
	struct db *d = arg;
	const char *level = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
	if (level != NULL && strcmp(level, "WARNING") == 0)
		d->warned = true;
}

static bool start(struct db *d, const char *conninfo, const char *host, const char *port)
{
	char info[512];
	snprintf(info, sizeof(info), "%s hostaddr=%s port=%s", conninfo, host, port);
	d->conn = PQconnectStart(info);
	d->wait = PGRES_POLLING_WRITING;
	if (d->conn == NULL || PQstatus(d->conn) == CONNECTION_BAD)
		return false;
	PQsetNoticeReceiver(d->conn, on_notice, d);
	return true;
}

static int fd(const struct db *d)
{
	return PQsocket(d->conn);
}

static short events(struct db *d)
{
	if (d->wait != PGRES_POLLING_OK)
		return d->wait == PGRES_POLLING_READING ? POLLIN : POLLOUT;
	return PQflush(d->conn) > 0 ? POLLIN | POLLOUT : POLLIN;
}

static enum db_step connect_go_on(struct db *d)
{
	d->wait = (int)PQconnectPoll(d->conn);
	ConnStatusType status = PQstatus(d->conn);
	d->tcp_done = status != CONNECTION_STARTED && status != CONNECTION_NEEDED;
	if (d->wait == PGRES_POLLING_FAILED)
		return d->tcp_done && status != CONNECTION_BAD ? DB_REFUSED : DB_FAILED;
	if (d->wait != PGRES_POLLING_OK)
		return DB_WAIT;
	PQsetnonblocking(d->conn, 1);
	d->preparing = true;
	return PQsendPrepare(d->conn, "put", "INSERT INTO drlab_row(writer, n) VALUES ($1::int, $2::bigint)", 2, NULL) == 0
		       ? DB_LOST : DB_WAIT;
}

/* The server is ready for the next query: only now is the outcome of the last one final. */
static enum db_step go_on(struct db *d, short revents)
{
	PGresult *res;
	(void)revents;
	if (d->wait != PGRES_POLLING_OK)
		return connect_go_on(d);
	if (PQconsumeInput(d->conn) == 0)
		return DB_LOST;
	while (PQisBusy(d->conn) == 0) {
		res = PQgetResult(d->conn);
		if (res == NULL)
			return PQstatus(d->conn) == CONNECTION_BAD ? DB_LOST : DB_READY;
		const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
		if (PQresultStatus(res) != PGRES_COMMAND_OK)
			dr_copy_text(d->sqlstate, sizeof(d->sqlstate), state != NULL ? state : "lost");
		PQclear(res);
	}
	return DB_WAIT;
}

static bool insert(struct db *d, unsigned writer, uint64_t n)
{
	char id[16], number[24];
	const char *values[] = { id, number };
	snprintf(id, sizeof(id), "%u", writer);
	snprintf(number, sizeof(number), "%llu", (unsigned long long)n);
	return PQsendQueryPrepared(d->conn, "put", 2, values, NULL, NULL, 0) != 0;
}

static void close_conn(struct db *d)
{
	PQfinish(d->conn);
	d->conn = NULL;
}

const struct db_kind db_postgres = { .name = "postgres", .port = "5432", .start = start, .fd = fd, .events = events,
				     .go_on = go_on, .insert = insert, .close = close_conn };
