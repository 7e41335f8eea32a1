/* link.c -- one libpq connection on the loop, never blocking it.
 *
 * Why addresses are literals (postgres.c checks): libpq resolves names inside PQconnectStart and blocks the
 * loop meanwhile.  Why the uv_poll is made anew for each wait while connecting: libpq may change the socket
 * (another try without TLS) inside PQconnectPoll, and a watcher of a closed descriptor breaks the loop.
 * Errors of the poll itself go to libpq like events: it then finds out what is wrong and says so.
 * libpq's connect_timeout does nothing here; the host's deadline ends whatever hangs. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "adapters/postgres/pg.h"
#include "base/mem.h"
#include "base/parse.h"
#include "sys/file.h"

enum { ROWS_MAX = 10000, TIMEOUT_GRACE_MS = 250, LOCK_SHARE = 3 };

void pg_handle_closed(struct pg_own *o)
{
	if (--o->handles == 0)
		dr_session_closed(o->session);
}

static void poll_closed(uv_handle_t *h)
{
	struct pg_own *o = h->data;
	dr_free(h);
	pg_handle_closed(o);
}

static void unwatch(struct pg_own *o)
{
	if (o->link.poll == NULL)
		return;
	uv_close((uv_handle_t *)o->link.poll, poll_closed);
	o->link.poll = NULL;
}

static void on_poll(uv_poll_t *h, int status, int events);

static enum dr_err watch(struct pg_own *o, int events, struct dr_error *e)
{
	int fd = PQsocket(o->link.conn);
	uv_poll_t *p = NULL;

	unwatch(o);
	if (fd < 0)
		return dr_fail(e, DR_E_CLOSED, "the connection has no socket");
	p = dr_xcalloc(sizeof(*p));
	int rc = uv_poll_init(o->session->loop, p, fd);
	if (rc != 0) {
		dr_free(p);
		return dr_fail(e, DR_E_UNKNOWN, "cannot watch the connection: %s", uv_strerror(rc));
	}
	p->data = o;
	o->handles++;
	o->link.poll = p;
	rc = uv_poll_start(p, events, on_poll);
	if (rc != 0) {
		unwatch(o);
		return dr_fail(e, DR_E_UNKNOWN, "cannot watch the connection: %s", uv_strerror(rc));
	}
	return DR_OK;
}

/* libpq would print them to stderr. */
static void on_notice(void *arg, const PGresult *res)
{
	(void)arg;
	(void)res;
}

static void set_options(const struct pg_own *o, char *options, size_t cap)
{
	const struct pg_run *r = &o->run;
	uint64_t spent = uv_now(o->session->loop) - r->op->started_ms;
	unsigned long long left = spent < r->op->deadline_ms ? r->op->deadline_ms - spent : 0;

	/* A little later than our own deadline: it only clears up behind us.  But it doesn't end a commit's
	 * wait for standbys, nor does a closed connection: one probe a second that waited there would use up all
	 * connections.  So nothing of ours ever waits there (PROBE_WRITE looks at the standbys instead). */
	int n = snprintf(options, cap,
			 "-c statement_timeout=%llu -c client_min_messages=warning -c search_path=pg_catalog "
			 "-c jit=off -c synchronous_commit=local",
			 left + TIMEOUT_GRACE_MS);
	/* Leaves time for what is written instead. */
	if (r->op->kind == DR_OP_PROBE_WRITE && n > 0 && (size_t)n < cap)
		(void)snprintf(options + n, cap - (size_t)n, " -c lock_timeout=%llu", left / LOCK_SHARE + 1);
}

/* The password is read anew for each connection, so that a changed one is used at once. */
static enum dr_err read_secrets(struct pg_own *o, struct dr_error *e)
{
	const struct dr_target *t = &o->session->target;
	o->secret[0] = '\0';
	if (t->password_file[0] == '\0')
		return DR_OK;
	enum dr_err rv = dr_file_read_line(t->password_file, o->secret, sizeof(o->secret), e);
	/* A disk of ours that fails, or no descriptor left here, is no such failure of the server's. */
	if (rv != DR_OK && rv != DR_E_NOT_FOUND && rv != DR_E_DENIED)
		e->code = DR_E_UNKNOWN;
	return rv == DR_OK ? DR_OK : e->code;
}

static enum dr_err connect_error(struct pg_own *o, struct dr_error *e)
{
	char line[DR_ERROR_MSG_MAX];
	enum dr_err err = pg_connect_err(PQerrorMessage(o->link.conn), line, sizeof(line));
	pg_redact(line, o->secret);
	return dr_fail(e, err, "%s", line);
}

enum dr_err pg_link_open(struct pg_own *o, struct dr_error *e)
{
	const struct dr_target *t = &o->session->target;
	bool local = t->unix_socket_dir[0] != '\0';
	char port[8], options[256], patience[16];

	pg_link_close(o);
	if (read_secrets(o, e) != DR_OK)
		return e->code;
	set_options(o, options, sizeof(options));
	(void)snprintf(port, sizeof(port), "%u", t->address.port);
	(void)snprintf(patience, sizeof(patience), "%u", o->run.op->deadline_ms);
	const char *const keys[] = {
		local ? "host" : "hostaddr", "port",    "user",    "dbname",     "password",
		"application_name",          "options", "sslmode", "gssencmode", "tcp_user_timeout",
		"target_session_attrs",      NULL
	};
	const char *const values[] = { local ? t->unix_socket_dir : t->address.host,
				       port,
				       t->user,
				       t->database[0] != '\0' ? t->database : "postgres",
				       o->secret,
				       "drcoord",
				       options,
				       local ? "disable" : "prefer",
				       "disable",
				       patience,
				       "any",
				       NULL };
	o->link.conn = PQconnectStartParams(keys, values, 0);
	if (o->link.conn == NULL)
		return dr_fail(e, DR_E_UNKNOWN, "libpq is out of memory");
	/* VERBOSE shows the SQLSTATE, the only part of a refusal that is the same in every language. */
	(void)PQsetErrorVerbosity(o->link.conn, PQERRORS_VERBOSE);
	(void)PQsetNoticeReceiver(o->link.conn, on_notice, NULL);
	o->link.connecting = true;
	if (PQstatus(o->link.conn) == CONNECTION_BAD)
		return connect_error(o, e);
	return watch(o, UV_WRITABLE, e);
}

/* The goodbye and the end of the stream in one packet. */
static void finish_at_once(PGconn *conn)
{
	int fd = PQsocket(conn), on = 1;
	if (fd >= 0)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)); /* fails on a Unix socket: no harm */
	PQfinish(conn);
}

void pg_link_close(struct pg_own *o)
{
	unwatch(o);
	if (o->link.result != NULL)
		PQclear(o->link.result);
	if (o->link.conn != NULL)
		finish_at_once(o->link.conn);
	o->link = (struct pg_link){ .conn = NULL };
}

static void go_on_connecting(struct pg_own *o)
{
	struct dr_error e;
	int events = 0;

	unwatch(o);
	switch (PQconnectPoll(o->link.conn)) {
	case PGRES_POLLING_READING:
		events = UV_READABLE;
		break;
	case PGRES_POLLING_WRITING:
		events = UV_WRITABLE;
		break;
	case PGRES_POLLING_OK:
		o->link.connecting = false;
		if (PQsetnonblocking(o->link.conn, 1) != 0) {
			(void)connect_error(o, &e);
			pg_run_broken(o, &e);
		} else {
			pg_run_connected(o);
		}
		return;
	default:
		(void)connect_error(o, &e);
		pg_run_broken(o, &e);
		return;
	}
	if (watch(o, events, &e) != DR_OK)
		pg_run_broken(o, &e);
}

static enum dr_err broken_error(struct pg_own *o, struct dr_error *e)
{
	char line[DR_ERROR_MSG_MAX];
	(void)pg_connect_err(PQerrorMessage(o->link.conn), line, sizeof(line));
	pg_redact(line, o->secret);
	pg_redact(line, o->replication_secret);
	return dr_fail(e, DR_E_CLOSED, "connection lost: %s", line);
}

/* Send what is left; watch for what is needed next. */
static enum dr_err flush(struct pg_own *o, struct dr_error *e)
{
	int rc = PQflush(o->link.conn);
	if (rc < 0)
		return broken_error(o, e);
	return watch(o, rc > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE, e);
}

enum dr_err pg_link_send(struct pg_own *o, const char *sql, struct dr_error *e)
{
	if (PQsendQuery(o->link.conn, sql) != 1)
		return broken_error(o, e);
	return flush(o, e);
}

/* Keep the first error, else the last answer.  A server that starts COPY or sends no end of rows is not
 * one that we asked for anything like it: PQgetResult would return COPY states for ever. */
static bool take_result(struct pg_own *o, PGresult *res, struct dr_error *e)
{
	ExecStatusType status = PQresultStatus(res);
	struct pg_link *l = &o->link;

	if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH ||
	    PQntuples(res) > ROWS_MAX) {
		PQclear(res);
		(void)dr_fail(e, DR_E_PROTOCOL, "the server answered with what nobody asked for");
		return false;
	}
	if (l->result != NULL && PQresultStatus(l->result) == PGRES_FATAL_ERROR) {
		PQclear(res);
		return true;
	}
	if (l->result != NULL)
		PQclear(l->result);
	l->result = res;
	return true;
}

static void hand_over(struct pg_own *o)
{
	PGresult *res = o->link.result;
	unwatch(o);
	o->link.result = NULL;
	pg_run_answer(o, res);
	PQclear(res);
}

static void go_on_reading(struct pg_own *o)
{
	struct dr_error e;
	struct pg_link *l = &o->link;

	if (PQconsumeInput(l->conn) != 1) {
		/* A server that ends a session says why first. */
		if (l->result != NULL && PQresultStatus(l->result) == PGRES_FATAL_ERROR) {
			hand_over(o);
			return;
		}
		(void)broken_error(o, &e);
		pg_run_broken(o, &e);
		return;
	}
	while (PQisBusy(l->conn) == 0) {
		PGresult *res = PQgetResult(l->conn);
		if (res == NULL) {
			hand_over(o);
			return;
		}
		if (!take_result(o, res, &e)) {
			pg_run_broken(o, &e);
			return;
		}
	}
	if (flush(o, &e) != DR_OK)
		pg_run_broken(o, &e);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct pg_own *o = h->data;
	(void)status;
	(void)events;
	if (o->link.connecting)
		go_on_connecting(o);
	else
		go_on_reading(o);
}
