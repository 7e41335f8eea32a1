/* link.c -- one connection and its statements, on the run's thread (my.h). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <errmsg.h>
#include <mysqld_error.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapters/mysql/my.h"
#include "adapters/versions.h"
#include "base/parse.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { SQL_MAX = 4096, KILL_AGAIN_MS = 5 };

/* MySQL's own numbers where MariaDB's header has none. */
enum {
	DISK_FULL = 1021, NO_SUCH_SCHEMA = 1049, SHUTTING_DOWN = 1053, TABLE_FULL = 1114, NO_SUCH_TABLE = 1146,
	STILL_REPLICATES = 1198, NO_PRIVILEGE = 1227, READ_ONLY = 1290, EXPIRED = 1820, OFFLINE = 3032
};

enum dr_err my_errno_err(unsigned number)
{
	switch (number) {
	case CR_CONNECTION_ERROR:
	case CR_CONN_HOST_ERROR:
	case CR_UNKNOWN_HOST:
		return DR_E_UNREACHABLE;
	case CR_SERVER_GONE_ERROR:
	case CR_SERVER_LOST:
		return DR_E_CLOSED;
	case CR_OUT_OF_MEMORY:
		return DR_E_UNKNOWN;
	case CR_SSL_CONNECTION_ERROR:
		return DR_E_CERT;
	case ER_ACCESS_DENIED_ERROR:
	case ER_DBACCESS_DENIED_ERROR:
	case ER_HOST_NOT_PRIVILEGED:
	case EXPIRED:
		return DR_E_AUTH;
	case ER_CON_COUNT_ERROR:
	case ER_TOO_MANY_USER_CONNECTIONS:
	case ER_USER_LIMIT_REACHED:
		return DR_E_FULL;
	case ER_TABLEACCESS_DENIED_ERROR:
	case ER_COLUMNACCESS_DENIED_ERROR:
	case NO_PRIVILEGE:
		return DR_E_DENIED;
	case NO_SUCH_SCHEMA:
	case NO_SUCH_TABLE:
		return DR_E_NOT_FOUND;
	case SHUTTING_DOWN:
	case OFFLINE:
		return DR_E_BUSY;
	case READ_ONLY:
		return DR_E_REFUSED;
	case DISK_FULL:
	case TABLE_FULL:
		return DR_E_NO_SPACE;
	case ER_LOCK_WAIT_TIMEOUT:
		return DR_E_TIMEOUT;
	case STILL_REPLICATES:
		return DR_E_CONFLICT;
	default:
		return number >= 2000 && number < 3000 ? DR_E_PROTOCOL : DR_E_FAILED;
	}
}

enum dr_err my_alive(struct my_run *r, struct dr_error *e)
{
	(void)pthread_mutex_lock(&r->lock);
	bool dropped = r->dropped;
	(void)pthread_mutex_unlock(&r->lock);
	if (dropped)
		return dr_fail(e, DR_E_CANCELLED, "cancelled");
	return dr_clock_boot_ms() < r->until_ms ? DR_OK : dr_fail(e, DR_E_TIMEOUT, "no end in time: %s", r->evidence.text);
}

enum dr_err my_pause(struct my_run *r, uint32_t ms, struct dr_error *e)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
	return my_alive(r, e);
}

void my_tell(struct my_run *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(r->evidence.text, sizeof(r->evidence.text), fmt, ap);
	va_end(ap);
}

/* One line, and no secret that the server repeated. */
static enum dr_err server_error(struct my_run *r, const char *what, struct dr_error *e)
{
	unsigned number = mysql_errno(r->conn);
	const char *secrets[] = { r->secret, r->replication_secret };
	struct dr_error alive;

	if (my_alive(r, &alive) != DR_OK && alive.code == DR_E_CANCELLED) {
		*e = alive;
		return alive.code;
	}
	(void)dr_fail(e, my_errno_err(number), "%s: %s (%u)", what, mysql_error(r->conn), number);
	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(secrets[i]);
		for (char *at = n > 0 ? strstr(e->msg, secrets[i]) : NULL; at != NULL; at = strstr(at, secrets[i]))
			memset(at, '*', n);
	}
	for (char *p = e->msg; *p != '\0'; p++)
		*p = (unsigned char)*p < 0x20 ? ' ' : *p;
	return e->code;
}

/* ---- connecting */

enum dr_err my_secret(const char *file, char dst[MY_SECRET_MAX], struct dr_error *e)
{
	dst[0] = '\0';
	if (file[0] == '\0')
		return DR_OK;
	enum dr_err rv = dr_file_read_line(file, dst, MY_SECRET_MAX, e);
	/* A disk of ours that fails, or no descriptor left here, is no such failure of the server's. */
	if (rv != DR_OK && rv != DR_E_NOT_FOUND && rv != DR_E_DENIED)
		e->code = DR_E_UNKNOWN;
	return rv == DR_OK ? DR_OK : e->code;
}

void my_disconnect(struct my_run *r)
{
	(void)pthread_mutex_lock(&r->lock);
	if (r->fd >= 0)
		(void)close(r->fd);
	r->fd = -1;
	(void)pthread_mutex_unlock(&r->lock);
	if (r->conn != NULL)
		mysql_close(r->conn);
	r->conn = NULL;
}

void my_keep(struct my_run *r)
{
	r->kept = r->conn;
	r->conn = NULL;
}

/* The library counts in seconds; what is shorter is kept by the host, whose cancel shuts the connection down. */
static void set_limits(struct my_run *r, bool local)
{
	uint64_t now = dr_clock_boot_ms();
	unsigned left_s = r->until_ms > now ? (unsigned)((r->until_ms - now) / 1000) + 1 : 1;
	bool checked = r->target.ca_file[0] != '\0' && !local; /* a socket leads nowhere else */
	char yes = 1, no = 0;
	unsigned connect_s = 1, never = 0; /* files of ours are nothing for a server to ask for */

	(void)mysql_options(r->conn, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
	(void)mysql_options(r->conn, MYSQL_OPT_READ_TIMEOUT, &left_s);
	(void)mysql_options(r->conn, MYSQL_OPT_WRITE_TIMEOUT, &left_s);
	(void)mysql_options(r->conn, MYSQL_OPT_LOCAL_INFILE, &never);
	if (checked) {
		(void)mysql_options(r->conn, MYSQL_OPT_SSL_CA, r->target.ca_file);
		(void)mysql_options(r->conn, MYSQL_OPT_SSL_ENFORCE, &yes);
	}
	/* Else TLS where the server has it, as libpq's "prefer": newer libraries would refuse a certificate that it made itself. */
	(void)mysql_options(r->conn, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, checked ? &yes : &no);
}

static enum dr_err connected(struct my_run *r, struct dr_error *e)
{
	bool mariadb = strstr(mysql_get_server_info(r->conn), "MariaDB") != NULL;
	unsigned long version = mysql_get_server_version(r->conn);

	(void)pthread_mutex_lock(&r->lock);
	r->met = true;
	r->fd = fcntl((int)mysql_get_socket(r->conn), F_DUPFD_CLOEXEC, 0);
	(void)pthread_mutex_unlock(&r->lock);
	r->dialect = mariadb ? MY_MARIADB : version < 80026 ? MY_MYSQL_OLD : MY_MYSQL;
	if (dr_version_is_old(mariadb ? DR_PRODUCT_MARIADB : DR_PRODUCT_MYSQL, (uint32_t)version))
		return dr_fail(e, DR_E_UNSUPPORTED, "server version %s; supported are MySQL from 8.0 and MariaDB from 10.6",
			       mysql_get_server_info(r->conn));
	return my_do(r, e, "SET SESSION autocommit = 1, SESSION completion_type = 0"); /* whatever its defaults are */
}

enum dr_err my_connect_to(struct my_run *r, const struct dr_address *at, struct dr_error *e)
{
	const struct dr_target *t = &r->target;
	bool local = at == NULL && t->unix_socket_dir[0] != '\0';
	const struct dr_address *to = at != NULL ? at : &t->address;

	my_disconnect(r);
	enum dr_err rv = my_alive(r, e);
	if (rv == DR_OK)
		rv = my_secret(t->password_file, r->secret, e);
	if (rv != DR_OK)
		return rv;
	r->conn = mysql_init(NULL);
	if (r->conn == NULL)
		return dr_fail(e, DR_E_UNKNOWN, "no memory for a connection");
	set_limits(r, local);
	if (mysql_real_connect(r->conn, local ? "localhost" : to->host, t->user, r->secret, NULL, local ? 0 : to->port,
			       local ? t->unix_socket_dir : NULL, 0) == NULL) {
		rv = server_error(r, "connecting", e);
		return rv == DR_E_AUTH ? dr_target_not_let_in(t, e) : rv;
	}
	return connected(r, e);
}

enum dr_err my_connect(struct my_run *r, struct dr_error *e)
{
	return my_connect_to(r, NULL, e);
}

/* ---- statements */

static enum dr_err run_sql(struct my_run *r, const char *sql, const char *shown, struct dr_error *e)
{
	if (my_alive(r, e) != DR_OK)
		return e->code;
	return mysql_real_query(r->conn, sql, strlen(sql)) == 0 ? DR_OK : server_error(r, shown, e);
}

/* May hold a password: whoever has it made wipes it, however that ended. */
DR_PRINTF(3, 0)
static enum dr_err make_sql(char dst[SQL_MAX], struct dr_error *e, const char *fmt, va_list ap)
{
	dst[0] = '\0';
	int n = vsnprintf(dst, SQL_MAX, fmt, ap);
	return n >= 0 && n < SQL_MAX ? DR_OK : dr_fail(e, DR_E_RANGE, "the statement would be longer than %d bytes", SQL_MAX - 1);
}

enum dr_err my_do(struct my_run *r, struct dr_error *e, const char *fmt, ...)
{
	char sql[SQL_MAX], shown[48];
	va_list ap;

	va_start(ap, fmt);
	enum dr_err rv = make_sql(sql, e, fmt, ap);
	va_end(ap);
	(void)dr_copy_text(shown, sizeof(shown), sql); /* its beginning: what follows may be a password */
	if (rv == DR_OK)
		rv = run_sql(r, sql, shown, e);
	explicit_bzero(sql, sizeof(sql));
	return rv;
}

enum dr_err my_send(struct my_run *r, struct dr_error *e, const char *fmt, ...)
{
	char sql[SQL_MAX];
	va_list ap;

	va_start(ap, fmt);
	enum dr_err rv = make_sql(sql, e, fmt, ap);
	va_end(ap);
	if (rv == DR_OK)
		rv = my_alive(r, e);
	if (rv == DR_OK && mysql_send_query(r->conn, sql, (unsigned long)strlen(sql)) != 0)
		rv = server_error(r, "sending a statement", e);
	explicit_bzero(sql, sizeof(sql));
	return rv;
}

enum dr_err my_say(struct my_run *r, enum my_sql which, struct dr_error *e)
{
	return my_do(r, e, "%s", my_sql(r->dialect, which));
}

enum dr_err my_query(struct my_run *r, const char *sql, struct my_row *row, struct dr_error *e)
{
	char shown[48];
	MYSQL_ROW cells;

	*row = (struct my_row){ .res = NULL };
	(void)dr_copy_text(shown, sizeof(shown), sql);
	enum dr_err rv = run_sql(r, sql, shown, e);
	if (rv != DR_OK)
		return rv;
	row->res = mysql_store_result(r->conn);
	if (row->res == NULL)
		return server_error(r, shown, e);
	cells = mysql_fetch_row(row->res);
	if (cells == NULL) {
		my_row_end(row);
		return dr_fail(e, DR_E_NOT_FOUND, "%s: no row", shown);
	}
	row->all = cells;
	row->cells = mysql_num_fields(row->res);
	for (unsigned i = 0; i < MY_CELLS_MAX; i++)
		row->cell[i] = i < row->cells && cells[i] != NULL ? cells[i] : "";
	return DR_OK;
}

enum dr_err my_numbers(struct my_run *r, const char *sql, uint64_t *out, unsigned cap, unsigned *n, struct dr_error *e)
{
	char shown[48];
	MYSQL_ROW cells;

	*n = 0;
	(void)dr_copy_text(shown, sizeof(shown), sql);
	enum dr_err rv = run_sql(r, sql, shown, e);
	if (rv != DR_OK)
		return rv;
	MYSQL_RES *res = mysql_store_result(r->conn);
	if (res == NULL)
		return server_error(r, shown, e);
	while (*n < cap && (cells = mysql_fetch_row(res)) != NULL) {
		if (cells[0] != NULL && dr_parse_u64(cells[0], 0, UINT64_MAX, &out[*n]) == DR_OK)
			(*n)++;
	}
	mysql_free_result(res);
	return DR_OK;
}

uint64_t my_u64(const char *text)
{
	uint64_t v = 0;
	return dr_parse_u64(text, 0, UINT64_MAX, &v) == DR_OK ? v : 0;
}

const char *my_cell(const struct my_row *row, const char *name, const char *or_name)
{
	MYSQL_FIELD *field = mysql_fetch_fields(row->res);

	for (unsigned i = 0; i < row->cells; i++) {
		if (strcmp(field[i].name, name) == 0 || (or_name != NULL && strcmp(field[i].name, or_name) == 0))
			return row->all[i] != NULL ? row->all[i] : "";
	}
	return "";
}

void my_row_end(struct my_row *row)
{
	if (row->res != NULL)
		mysql_free_result(row->res);
	row->res = NULL;
}

/* Whether the session only waits for its commit to be acknowledged.  Its client is gone, so it does nothing after that; and to
 * kill it would let clients' commits go on that wait with it (semisync.c). */
static enum dr_err is_committing(struct my_run *r, uint64_t session, bool *yes, struct dr_error *e)
{
	uint64_t found = 0;
	unsigned n = 0;
	char sql[256];

	(void)snprintf(sql, sizeof(sql), "SELECT ID FROM information_schema.PROCESSLIST WHERE ID = %" PRIu64 " AND (STATE LIKE"
		       " 'Waiting for semi-sync ACK%%' OR STATE IN ('Commit', 'waiting for handler commit'))", session);
	enum dr_err rv = my_numbers(r, sql, &found, 1, &n, e);
	*yes = rv == DR_OK && n == 1;
	return rv;
}

/* The lock lives as long as the session, and the session as long as its statement. */
static enum dr_err take_lock(struct my_run *r, struct dr_error *e)
{
	uint64_t got = 0, holder = 0;
	unsigned n = 0;

	for (;;) {
		enum dr_err rv = my_numbers(r, "SELECT GET_LOCK('drcoord', 0)", &got, 1, &n, e);
		if (rv != DR_OK || (n == 1 && got == 1))
			return rv;
		rv = my_numbers(r, "SELECT IS_USED_LOCK('drcoord')", &holder, 1, &n, e);
		if (rv != DR_OK)
			return rv;
		bool committing = false;
		rv = n == 1 ? is_committing(r, holder, &committing, e) : DR_OK;
		if (rv != DR_OK || committing)
			return rv;
		if (n == 1 && my_do(r, e, "KILL %" PRIu64, holder) != DR_OK && mysql_errno(r->conn) != ER_NO_SUCH_THREAD)
			return e->code;
		my_tell(r, "a statement of an op before has not ended yet");
		rv = my_pause(r, KILL_AGAIN_MS, e);
		if (rv != DR_OK)
			return rv;
	}
}

enum dr_err my_begin_change(struct my_run *r, struct dr_error *e)
{
	enum dr_err rv = my_connect(r, e);

	if (rv == DR_OK)
		rv = take_lock(r, e);
	return rv == DR_OK ? my_read(r, e) : rv;
}

void my_quote(struct my_run *r, char *dst, size_t cap, const char *text)
{
	size_t n = strlen(text);

	dst[0] = '\0';
	if (2 * n + 1 <= cap)
		(void)mysql_real_escape_string(r->conn, dst, text, (unsigned long)n);
}
