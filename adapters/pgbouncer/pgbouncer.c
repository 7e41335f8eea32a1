/* pgbouncer.c -- the adapter for one pool of pgbouncer: it holds the clients while the primary is switched, and lets them
 * go to the new one.  Told over pgbouncer's admin console, which takes libpq's simple protocol.
 *
 * Ops:
 *   OBSERVED  where the pool points and whether it is paused;
 *   HELD      the pool is paused: no client has a transaction under way, and what clients ask waits.  One that cannot be
 *             paused in time is resumed again, so that a failed try holds nobody.  Only one that points to
 *             args.primary_at is paused;
 *   ROUTED    pgbouncer has read its files again, the pool points to args.primary_at and is not paused.
 *
 * Where the pool points stands in a file on pgbouncer's host, which is not this adapter's to write: a route of kind file, or
 * exec, does (README.md).  ROUTED asks pgbouncer to read it until it shows the new address, and only then resumes. */
#include "adapters/blocking.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { SECRET_MAX = 256, AGAIN_MS = 10, AGAIN_MOST_MS = 500, UNDO_MS = 1000, SQL_MAX = 128 };

/* A connection of its own; every wait ends with the call, or for what has to be undone a little later. */
struct console {
	struct dr_call *call;
	PGconn *conn;
	uint64_t until_ms; /* 0: with the call */
};

struct pool_seen {
	struct dr_address at;
	bool found, paused;
};

static enum dr_err wait_for(const struct console *o, short events, struct dr_error *e)
{
	struct pollfd p = { .fd = PQsocket(o->conn), .events = events };
	if (o->until_ms == 0)
		return dr_call_wait(o->call, p.fd, events, e);
	while (dr_clock_boot_ms() < o->until_ms) {
		if (poll(&p, 1, AGAIN_MS) > 0)
			return DR_OK;
	}
	return dr_fail(e, DR_E_TIMEOUT, "no answer in time");
}

/* What libpq says, on one line. */
static enum dr_err libpq_fails(const struct console *o, enum dr_err code, struct dr_error *e)
{
	char line[DR_ERROR_MSG_MAX / 2];
	(void)snprintf(line, sizeof(line), "%s", PQerrorMessage(o->conn));
	for (char *p = line; *p != '\0'; p++)
		*p = (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f ? *p : ' ';
	if (code == DR_E_UNREACHABLE && (strstr(line, "authentication") != NULL || strstr(line, "no such user") != NULL ||
					 strstr(line, "not allowed") != NULL))
		code = DR_E_AUTH;
	return dr_fail(e, code, "%s", line);
}

static enum dr_err finish_connecting(struct console *o, struct dr_error *e)
{
	for (PostgresPollingStatusType at = PGRES_POLLING_WRITING;; at = PQconnectPoll(o->conn)) {
		if (at == PGRES_POLLING_OK)
			return PQsetnonblocking(o->conn, 1) == 0 ? DR_OK : libpq_fails(o, DR_E_UNKNOWN, e);
		if (at == PGRES_POLLING_FAILED || PQsocket(o->conn) < 0)
			return libpq_fails(o, DR_E_UNREACHABLE, e);
		enum dr_err rv = wait_for(o, at == PGRES_POLLING_READING ? POLLIN : POLLOUT, e);
		if (rv != DR_OK)
			return rv;
	}
}

static enum dr_err open_console(struct console *o, struct dr_call *c, struct dr_error *e)
{
	const struct dr_spec_route *r = &c->target->route;
	const struct dr_address *at = &r->server[c->place];
	char secret[SECRET_MAX] = "", port[8], patience[16];
	o->call = c;
	if (r->pool_password_file[0] != '\0' && dr_file_read_line(r->pool_password_file, secret, sizeof(secret), e) != DR_OK)
		return e->code;
	(void)snprintf(port, sizeof(port), "%u", at->port);
	(void)snprintf(patience, sizeof(patience), "%u", r->timeout_ms != 0 ? r->timeout_ms : 5000);
	/* Whoever listens there is not told the password: libpq has known how to insist on that since 16. */
	bool insists = secret[0] != '\0' && PQlibVersion() >= 160000;
	const char *const keys[] = { "hostaddr", "port", "user", "dbname", "password", "application_name", "sslmode", "gssencmode",
				     "tcp_user_timeout", insists ? "require_auth" : NULL, NULL };
	const char *const values[] = { at->host, port, r->pool_user, "pgbouncer", secret, "drcoord", "prefer", "disable",
				       patience, "scram-sha-256", NULL };
	o->conn = PQconnectStartParams(keys, values, 0);
	explicit_bzero(secret, sizeof(secret));
	if (o->conn == NULL)
		return dr_fail(e, DR_E_UNKNOWN, "no memory for a connection");
	if (PQstatus(o->conn) == CONNECTION_BAD)
		return libpq_fails(o, DR_E_UNREACHABLE, e);
	return finish_connecting(o, e);
}

static void close_console(struct console *o)
{
	PQfinish(o->conn);
	o->conn = NULL;
}

static enum dr_err flush(const struct console *o, struct dr_error *e)
{
	for (int left = PQflush(o->conn); left != 0; left = PQflush(o->conn)) {
		enum dr_err rv = left < 0 ? libpq_fails(o, DR_E_CLOSED, e) : wait_for(o, POLLOUT, e);
		if (rv != DR_OK)
			return rv;
	}
	return DR_OK;
}

/* One command; *out is its first result, the caller's to clear. */
static enum dr_err ask(const struct console *o, const char *sql, PGresult **out, struct dr_error *e)
{
	*out = NULL;
	if (PQsendQuery(o->conn, sql) != 1)
		return libpq_fails(o, DR_E_CLOSED, e);
	enum dr_err rv = flush(o, e);
	while (rv == DR_OK) {
		while (rv == DR_OK && PQisBusy(o->conn)) {
			rv = wait_for(o, POLLIN, e);
			if (rv == DR_OK && PQconsumeInput(o->conn) != 1)
				rv = libpq_fails(o, DR_E_CLOSED, e);
		}
		PGresult *res = rv == DR_OK ? PQgetResult(o->conn) : NULL;
		if (res == NULL)
			break;
		if (*out == NULL)
			*out = res;
		else
			PQclear(res);
	}
	return rv;
}

/* A command without rows.  FAILED: the console refuses it. */
static enum dr_err tell(const struct console *o, const char *word, const char *pool, struct dr_error *e)
{
	char sql[SQL_MAX];
	PGresult *res = NULL;
	/* Names were checked when the route was opened. */
	(void)snprintf(sql, sizeof(sql), pool != NULL ? "%s \"%s\"" : "%s", word, pool != NULL ? pool : "");
	enum dr_err rv = ask(o, sql, &res, e);
	if (rv == DR_OK && PQresultStatus(res) != PGRES_COMMAND_OK) {
		rv = libpq_fails(o, DR_E_FAILED, e);
		(void)dr_wrap(e, "%s", word);
	}
	PQclear(res);
	return rv;
}

static const char *field(const PGresult *res, int row, const char *column)
{
	int n = PQfnumber(res, column);
	return n < 0 || PQgetisnull(res, row, n) ? "" : PQgetvalue(res, row, n);
}

static enum dr_err look(const struct console *o, struct pool_seen *seen, struct dr_error *e)
{
	struct dr_call *c = o->call;
	PGresult *res = NULL;
	uint64_t port = 0;
	memset(seen, 0, sizeof(*seen));
	enum dr_err rv = ask(o, "SHOW DATABASES", &res, e);
	if (rv == DR_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
		rv = libpq_fails(o, DR_E_DENIED, e);
	for (int i = 0; rv == DR_OK && i < PQntuples(res) && !seen->found; i++) {
		if (strcmp(field(res, i, "name"), c->target->route.pool) != 0)
			continue;
		seen->found = true;
		seen->paused = strcmp(field(res, i, "paused"), "1") == 0;
		(void)dr_copy_text(seen->at.host, sizeof(seen->at.host), field(res, i, "host"));
		if (dr_parse_u64(field(res, i, "port"), 0, 65535, &port) == DR_OK)
			seen->at.port = (uint16_t)port;
	}
	PQclear(res);
	if (rv == DR_OK && !seen->found)
		rv = dr_fail(e, DR_E_NOT_FOUND, "has no database \"%s\" in its [databases]", c->target->route.pool);
	if (rv != DR_OK)
		return rv;
	c->answered = true;
	(void)snprintf(c->shows, sizeof(c->shows), "%s:%u%s", seen->at.host, seen->at.port, seen->paused ? ", paused" : "");
	return DR_OK;
}

static bool points_there(const struct dr_call *c, const struct pool_seen *seen)
{
	const struct dr_address *to = &c->args.primary_at;
	return seen->at.port == to->port && strcmp(seen->at.host, to->host) == 0;
}

/* ---- HELD ---- */

/* A PAUSE whose end we did not see holds clients: it is taken back over another connection. */
static void let_go(struct dr_call *c)
{
	struct console o = { .until_ms = dr_clock_boot_ms() + UNDO_MS };
	struct dr_error ignored;
	if (open_console(&o, c, &ignored) == DR_OK)
		dr_best_effort(tell(&o, "RESUME", c->target->route.pool, &ignored));
	close_console(&o);
}

/* Connections to the server that a client has under way: a pool shows as paused from the moment on that it is to be. */
static enum dr_err count_busy(const struct console *o, uint64_t *busy, struct dr_error *e)
{
	static const char *const columns[] = { "sv_active", "sv_active_cancel", "sv_being_canceled" };
	PGresult *res = NULL;
	*busy = 0;
	enum dr_err rv = ask(o, "SHOW POOLS", &res, e);
	if (rv == DR_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
		rv = libpq_fails(o, DR_E_DENIED, e);
	for (int i = 0; rv == DR_OK && i < PQntuples(res); i++) {
		if (strcmp(field(res, i, "database"), o->call->target->route.pool) != 0)
			continue;
		for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++) {
			uint64_t n = 0;
			*busy += dr_parse_u64(field(res, i, columns[k]), 0, UINT32_MAX, &n) == DR_OK ? n : 0;
		}
	}
	PQclear(res);
	return rv;
}

static enum dr_err still_busy(const struct dr_call *c, enum dr_err rv, struct dr_error *e)
{
	return dr_fail(e, rv, "a transaction (or, with pool_mode = session, a client) of pool %s did not end in time",
		       c->target->route.pool);
}

static uint32_t longer(uint32_t ms)
{
	return 2 * ms < AGAIN_MOST_MS ? 2 * ms : AGAIN_MOST_MS;
}

/* Somebody else paused it, and may still wait for that: nobody is held before the last one has ended. */
static enum dr_err wait_idle(const struct console *o, struct dr_error *e)
{
	uint64_t busy = 0;
	uint32_t pause = AGAIN_MS;
	enum dr_err rv = count_busy(o, &busy, e);
	while (rv == DR_OK && busy > 0) {
		rv = dr_call_pause(o->call, pause, e);
		pause = longer(pause);
		if (rv == DR_OK)
			rv = count_busy(o, &busy, e);
	}
	return rv == DR_E_TIMEOUT && busy > 0 ? still_busy(o->call, rv, e) : rv;
}

/* Clients of some other server are not ours to hold. */
static enum dr_err check_there(const struct dr_call *c, const struct pool_seen *seen, struct dr_error *e)
{
	if (points_there(c, seen))
		return DR_OK;
	return dr_fail(e, DR_E_CONFLICT, "pool %s points to %s:%u, not to the primary at %s:%u: it is not paused",
		       c->target->route.pool, seen->at.host, seen->at.port, c->args.primary_at.host, c->args.primary_at.port);
}

static enum dr_err hold(struct console *o, struct dr_error *e)
{
	struct dr_call *c = o->call;
	struct pool_seen seen;
	enum dr_err rv = look(o, &seen, e);
	if (rv == DR_OK)
		rv = check_there(c, &seen, e);
	if (rv != DR_OK)
		return rv;
	rv = seen.paused ? wait_idle(o, e) : tell(o, "PAUSE", c->target->route.pool, e);
	if (rv == DR_E_TIMEOUT && !seen.paused)
		(void)still_busy(c, rv, e);
	if (rv == DR_OK)
		rv = look(o, &seen, e);
	if (rv == DR_OK && !seen.paused)
		rv = dr_fail(e, DR_E_FAILED, "pool %s does not show as paused", c->target->route.pool);
	if (rv != DR_OK)
		let_go(c);
	return rv;
}

static enum dr_err held(struct dr_call *c, struct dr_error *e)
{
	struct console o = { .call = c };
	enum dr_err rv = open_console(&o, c, e);
	if (rv == DR_OK)
		rv = hold(&o, e);
	close_console(&o);
	return rv;
}

/* ---- ROUTED ---- */

/* pgbouncer closes what it has to the old address when it has read the new one. */
static enum dr_err reload_until_there(struct console *o, struct pool_seen *seen, struct dr_error *e)
{
	struct dr_error why;
	uint32_t pause = AGAIN_MS;
	enum dr_err rv = look(o, seen, e);
	while (rv == DR_OK && !points_there(o->call, seen)) {
		rv = tell(o, "RELOAD", NULL, e);
		if (rv == DR_OK)
			rv = look(o, seen, e);
		if (rv == DR_OK && !points_there(o->call, seen))
			rv = dr_call_pause(o->call, pause, e);
		pause = longer(pause);
	}
	if (rv == DR_E_TIMEOUT && dr_call_goes_on(o->call, &why) == DR_E_TIMEOUT && seen->found)
		(void)dr_fail(e, rv,
			      "pool %s still points to %s:%u: its file on that host was not written (a route of kind file or "
			      "exec does that)",
			      o->call->target->route.pool, seen->at.host, seen->at.port);
	return rv;
}

static enum dr_err lead(struct dr_call *c, struct dr_error *e)
{
	struct console o = { .call = c };
	struct pool_seen seen = { .found = false };
	enum dr_err rv = open_console(&o, c, e);
	if (rv == DR_OK)
		rv = reload_until_there(&o, &seen, e);
	if (rv == DR_OK && seen.paused)
		rv = tell(&o, "RESUME", c->target->route.pool, e);
	close_console(&o);
	if (rv != DR_OK)
		return rv;
	rv = open_console(&o, c, e);
	if (rv == DR_OK)
		rv = look(&o, &seen, e);
	close_console(&o);
	if (rv == DR_OK && (seen.paused || !points_there(c, &seen)))
		rv = dr_fail(e, DR_E_FAILED, "pool %s still shows %s", c->target->route.pool, c->shows);
	if (rv == DR_OK)
		c->epoch = c->args.epoch;
	return rv;
}

static enum dr_err pgbouncer_call(struct dr_call *c, struct dr_error *e)
{
	struct console o = { .call = c };
	struct pool_seen seen;
	if (c->kind == DR_OP_HELD)
		return held(c, e);
	if (c->kind == DR_OP_ROUTED)
		return lead(c, e);
	enum dr_err rv = open_console(&o, c, e);
	if (rv == DR_OK)
		rv = look(&o, &seen, e);
	close_console(&o);
	return rv;
}

static enum dr_err pgbouncer_open(struct dr_session *s, struct dr_error *e)
{
	const struct dr_spec_route *r = &s->target.route;
	if (r->kind != DR_ROUTE_PGBOUNCER || r->servers == 0 || r->servers > DR_ROUTE_SERVERS_MAX)
		return dr_fail(e, DR_E_INVALID, "the target is no pgbouncer route, or has no server");
	if (r->pool[0] == '\0' || strpbrk(r->pool, "\"\\;") != NULL)
		return dr_fail(e, DR_E_INVALID, "route %s: \"%s\" is no name of a database", r->name.s, r->pool);
	dr_blocking_open(s, pgbouncer_call, 0, r->servers);
	return DR_OK;
}

const struct dr_adapter dr_pgbouncer_adapter = {
	.name = "pgbouncer",
	.own_size = sizeof(struct dr_blocking),
	.open = pgbouncer_open,
	.start = dr_blocking_start,
	.cancel = dr_blocking_cancel,
	.close = dr_blocking_close,
	.can = { [DR_OP_OBSERVED] = true, [DR_OP_ROUTED] = true, [DR_OP_HELD] = true },
};
