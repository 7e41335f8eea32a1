/* db_mysql.c -- see db.h: MySQL and MariaDB, by the asynchronous calls of MariaDB's client library. */
#include <mysql.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "db.h"

enum { CONNECTING = 1 << 8 }; /* beside the library's own bits of d->wait */

static char sql[128];

static short to_poll(int wait)
{
	return (short)((wait & MYSQL_WAIT_READ ? POLLIN : 0) | (wait & MYSQL_WAIT_WRITE ? POLLOUT : 0) |
		       (wait & MYSQL_WAIT_EXCEPT ? POLLPRI : 0));
}

static int to_wait(short revents)
{
	return (revents & (POLLIN | POLLHUP | POLLERR) ? MYSQL_WAIT_READ : 0) |
	       (revents & (POLLOUT | POLLERR) ? MYSQL_WAIT_WRITE : 0) | (revents & POLLPRI ? MYSQL_WAIT_EXCEPT : 0);
}

static enum db_step connected(struct db *d, const MYSQL *done)
{
	unsigned number = mysql_errno(d->conn);
	if (done != NULL)
		return DB_READY;
	dr_copy_text(d->sqlstate, sizeof(d->sqlstate), mysql_sqlstate(d->conn));
	return number >= 2000 && number < 3000 ? DB_FAILED : DB_REFUSED;
}

/* conninfo is the user's name. */
static bool start(struct db *d, const char *conninfo, const char *host, const char *port)
{
	MYSQL *conn = mysql_init(NULL), *done = NULL;
	uint64_t number = 0;
	char no = 0;
	d->conn = conn;
	if (conn == NULL || dr_parse_u64(port, 1, UINT16_MAX, &number) != DR_OK)
		return false;
	(void)mysql_options(conn, MYSQL_OPT_NONBLOCK, NULL);
	(void)mysql_options(conn, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &no);
	d->wait = mysql_real_connect_start(&done, conn, host, conninfo, "", NULL, (unsigned)number, NULL, 0);
	if (d->wait == 0)
		return connected(d, done) == DB_READY;
	d->wait |= CONNECTING;
	return true;
}

static int fd(const struct db *d)
{
	return d->conn != NULL ? (int)mysql_get_socket(d->conn) : -1;
}

static short events(struct db *d)
{
	return to_poll(d->wait);
}

static enum db_step queried(struct db *d, int failed)
{
	unsigned number = mysql_errno(d->conn);
	if (failed != 0 && number >= 2000 && number < 3000)
		return DB_LOST;
	if (failed != 0)
		dr_copy_text(d->sqlstate, sizeof(d->sqlstate), mysql_sqlstate(d->conn));
	return DB_READY;
}

static enum db_step go_on(struct db *d, short revents)
{
	MYSQL *done = NULL;
	int failed = 0;
	if (d->wait == 0) /* something came without a question: the server says goodbye */
		return DB_LOST;
	if (d->wait & CONNECTING) {
		d->wait = mysql_real_connect_cont(&done, d->conn, to_wait(revents));
		d->tcp_done = d->tcp_done || (d->wait & MYSQL_WAIT_READ) != 0;
		if (d->wait == 0)
			return connected(d, done);
		d->wait |= CONNECTING;
		return DB_WAIT;
	}
	d->wait = mysql_real_query_cont(&failed, d->conn, to_wait(revents));
	return d->wait == 0 ? queried(d, failed) : DB_WAIT;
}

/* An answer is never there at once; were it, the next turn would find it so. */
static bool insert(struct db *d, unsigned writer, uint64_t n)
{
	int failed = 0;
	snprintf(sql, sizeof(sql), "INSERT INTO drlab.drlab_row (writer, n) VALUES (%u, %llu)", writer, (unsigned long long)n);
	d->wait = mysql_real_query_start(&failed, d->conn, sql, strlen(sql));
	return d->wait != 0;
}

/* mysql_close() would say goodbye to a server that may be mute: the socket is shut first. */
static void close_conn(struct db *d)
{
	if (d->conn == NULL)
		return;
	mysql_close(d->conn);
	d->conn = NULL;
}

const struct db_kind db_mysql = { .name = "mysql", .port = "3306", .start = start, .fd = fd, .events = events,
				  .go_on = go_on, .insert = insert, .close = close_conn };
