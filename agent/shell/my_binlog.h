/* my_binlog.h -- the transactions in a binary log of MySQL or MariaDB: their ids and where they stand.
 *
 * Reads headers only; a log is hostile input, and whatever does not look like one ends the reading.  Blocking; any thread.
 * https://mariadb.com/kb/en/2-binlog-event-header/
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication.html */
#ifndef DR_AGENT_SHELL_MY_BINLOG_H
#define DR_AGENT_SHELL_MY_BINLOG_H

#include <stdio.h>

#include "adapters/mysql/gtid.h"

enum { MY_ID_TEXT = 80 };

struct my_transaction {
	bool mariadb;
	struct my_gtid id;        /* MariaDB */
	char uuid[MY_UUID_MAX];   /* MySQL: "" when its id is written in a form that is not read (a tagged one) */
	uint64_t number;          /* MySQL */
	uint64_t begin, end;      /* bytes of the file, for --start-position and --stop-position */
};

enum my_binlog_end {
	MY_BINLOG_WHOLE,  /* read to its end */
	MY_BINLOG_TORN,   /* ends within an event, as a crash leaves it */
	MY_BINLOG_OPAQUE, /* no binary log, or an encrypted one: what is in it can't be told */
};

/* Call `each` for every transaction, in their order. */
enum my_binlog_end my_binlog_read(FILE *f, void (*each)(void *ctx, const struct my_transaction *t), void *ctx);

/* "0-1-4711", "3e11fa47-...:23"; "(tagged)" for one whose id is not read.  Returns dst. */
const char *my_transaction_text(const struct my_transaction *t, char dst[MY_ID_TEXT]);

/* Whether a server that says it has `history` (gtid_binlog_state, gtid_executed) has the transaction. */
bool my_history_has(const char *history, const struct my_transaction *t);

#endif
