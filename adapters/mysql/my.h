/* my.h -- inside the adapter of MySQL and MariaDB: one run of an op, its connection, what it reads.
 *
 * The client library blocks, so an op is a function that runs on a thread of the pool (adapters/pool.h), plainly from its
 * first statement to its last:
 *
 *   start -> a copy of all it needs (struct my_run) -> thread: connect, statements -> loop: dr_op_finish
 *                                                         \- dropped (cancel, deadline): its connection is shut down, its
 *                                                            outcome nobody's
 *
 * Only mysql.c runs on the loop; all else is on the run's thread and touches nothing but the run. */
#ifndef DR_ADAPTERS_MYSQL_MY_H
#define DR_ADAPTERS_MYSQL_MY_H

#include <pthread.h>
#include <mysql.h>

#include "adapters/adapter.h"
#include "adapters/mysql/gtid.h"
#include "adapters/pool.h"

enum { MY_SECRET_MAX = 256, MY_SET_MAX = DR_HISTORY_MAX, MY_CELLS_MAX = 16, MY_TEXT_MAX = 512 };

/* Told apart by the server's own version at each connection. */
enum my_dialect { MY_MARIADB, MY_MYSQL_OLD, MY_MYSQL, MY_DIALECTS };

enum my_sql {
#define SQL(id, ...) MY_SQL_##id,
#include "adapters/mysql/dialect.def"
	MY_SQLS
};
const char *my_sql(enum my_dialect d, enum my_sql which);

/* One reading of a server. */
struct my_state {
	enum my_dialect dialect;
	uint32_t version;            /* 101119 for 10.11.19 */
	bool read_only, super_read_only;
	bool logs;                   /* a binary log, with what it replicates, and ids that are strict */
	uint32_t server, domain;
	char uuid[MY_UUID_MAX];      /* of MariaDB: its server_id */
	char executed[MY_SET_MAX];   /* gtid_binlog_pos or gtid_executed */
	char applied[MY_SET_MAX];    /* MariaDB: gtid_slave_pos: all that it replicated */
	uint64_t uptime_s;
	/* drcoord.lineage and drcoord.identity */
	bool has_tables;
	uint64_t identity;
	uint64_t epoch;              /* newest promotion that it knows of; 0: none */
	char origin[MY_UUID_MAX];    /* who wrote it: a server's uuid, of MariaDB its server_id */
	/* as a replica */
	bool configured, receiving, applying, connecting;
	bool asked;                  /* receiving, and its source was asked for the log: as what kind of standby is settled */
	bool checks;                 /* it looks at its source's certificate ... */
	bool checks_as_told;         /* ... with our ca_file */
	bool by_id;                  /* it asks its source by ids, not by files and places */
	bool several;                /* MariaDB: it has more sources, or one with a name */
	bool idle;                   /* the applier waits for more */
	struct dr_address source;
	char source_uuid[MY_UUID_MAX];
	char received_set[MY_SET_MAX]; /* Gtid_IO_Pos or Retrieved_Gtid_Set */
	uint32_t error;              /* of the receiver, else of the applier; 0: none */
	char error_text[MY_TEXT_MAX];
	uint64_t position;           /* executed, as a number that compares within one timeline */
	uint64_t received;           /* what it has got, executed or not; at least position */
};

/* Semi-synchronous replication as a server has it now. */
struct my_semi {
	bool known;                  /* it has it, and tells us */
	bool source, works;          /* commits wait for k; and do so now */
	bool after_sync;             /* ... before anybody sees them */
	bool waits_for_nobody;       /* ... even where nobody is there to acknowledge */
	uint64_t timeout_ms, k;
	uint64_t waiting;            /* sessions; not those behind them */
	bool replica;                /* its next connection acknowledges */
	bool acks;                   /* the present one does */
	bool told;                   /* it was told to, and was not restarted since */
};

struct my_own;

struct my_run {
	struct dr_pool_job job;
	struct my_own *own;        /* of the loop's thread; NULL: dropped */
	/* set before the thread begins */
	enum dr_op_kind kind;
	struct dr_op_args args;
	struct dr_target target;
	uint64_t until_ms;
	/* the thread's */
	MYSQL *conn;
	enum my_dialect dialect;
	char secret[MY_SECRET_MAX], replication_secret[MY_SECRET_MAX];
	struct my_state state;
	struct my_semi semi;       /* as my_semi_read() found it */
	MYSQL *kept;               /* NULL, or a session that outlives the run (my_keep) */
	struct dr_evidence evidence;
	struct dr_error error;
	enum dr_err outcome;
	/* both: the connection's descriptor, which the loop may shut down */
	pthread_mutex_t lock;
	int fd;           /* a copy, for as long as we may want to shut it down: the library closes its own when it likes */
	bool dropped, met; /* met: a server was connected to */
	struct dr_evidence seen; /* the newest reading */
};

struct my_door;

struct my_own {
	struct dr_session *session;
	struct my_run *run; /* NULL: no op, or none on a thread yet */
	MYSQL *kept;        /* NULL, or what the last op left open: until the next one, or the end */
	bool mute;          /* it let a connection hang, as far as is known: it is asked at the door first */
	struct my_door *door; /* NULL: none is open */
	unsigned doors;     /* not gone yet */
	uint64_t until_ms;  /* of the op */
	bool closing;
};

/* ---- link.c.  Errors carry the server's own number and text, without secrets. */
/* Connect to the target, or to another server with its account; the connection before is closed. */
DR_MUST_USE enum dr_err my_connect(struct my_run *r, struct dr_error *e);
DR_MUST_USE enum dr_err my_connect_to(struct my_run *r, const struct dr_address *at, struct dr_error *e);
void my_disconnect(struct my_run *r);
/* The connection, and with it what its session has locked, stays open until the session's next op begins or it is closed, if
 * this one succeeds.  The next statement needs another connection. */
void my_keep(struct my_run *r);
/* Connect as the only op that changes this server: a session of one before, with a statement in it perhaps, is killed and seen
 * to be gone, whoever left it.  Then read. */
DR_MUST_USE enum dr_err my_begin_change(struct my_run *r, struct dr_error *e);
/* The first line of a password file; "" for no file. */
DR_MUST_USE enum dr_err my_secret(const char *file, char dst[MY_SECRET_MAX], struct dr_error *e);
/* One statement without rows, made as by printf(3); texts in it must have gone through my_quote(). */
DR_MUST_USE enum dr_err my_do(struct my_run *r, struct dr_error *e, const char *fmt, ...) DR_PRINTF(3, 4);
/* The same, but nobody waits for what comes of it: the connection is good for nothing else then. */
DR_MUST_USE enum dr_err my_send(struct my_run *r, struct dr_error *e, const char *fmt, ...) DR_PRINTF(3, 4);
DR_MUST_USE enum dr_err my_say(struct my_run *r, enum my_sql which, struct dr_error *e);
/* The one row of a query: its cells' texts ("" for NULL) until my_row_end(); NOT_FOUND when there is none. */
struct my_row {
	MYSQL_RES *res;
	MYSQL_ROW all;
	const char *cell[MY_CELLS_MAX];
	unsigned cells;
};
DR_MUST_USE enum dr_err my_query(struct my_run *r, const char *sql, struct my_row *row, struct dr_error *e);
/* The first column of a query, as far as there is room. */
DR_MUST_USE enum dr_err my_numbers(struct my_run *r, const char *sql, uint64_t *out, unsigned cap, unsigned *n,
				   struct dr_error *e);
/* A cell of a status whose columns are found by name: my_cell() is "" for one that is not there. */
const char *my_cell(const struct my_row *row, const char *name, const char *or_name);
/* A cell's number; 0 for what is none. */
uint64_t my_u64(const char *text);
void my_row_end(struct my_row *row);
/* For between quotes; a text that does not fit is cut to nothing. */
void my_quote(struct my_run *r, char *dst, size_t cap, const char *text);
/* DR_OK as long as there is time and interest, else why not. */
DR_MUST_USE enum dr_err my_alive(struct my_run *r, struct dr_error *e);
/* Wait a little (a poll's pause) and say my_alive(). */
DR_MUST_USE enum dr_err my_pause(struct my_run *r, uint32_t ms, struct dr_error *e);
void my_tell(struct my_run *r, const char *fmt, ...) DR_PRINTF(2, 3);
/* The code for a server's or the client's error number. */
enum dr_err my_errno_err(unsigned number);

/* ---- read.c */
DR_MUST_USE enum dr_err my_read(struct my_run *r, struct dr_error *e); /* into r->state and the evidence */
/* Whether not all that it has received is applied, of any domain and with any tag; positions count the primary's own alone. */
bool my_has_rest(const struct my_state *s);

/* ---- semisync.c */
DR_MUST_USE enum dr_err my_semi_read(struct my_run *r, struct dr_error *e); /* into r->semi and the evidence */
/* A primary's commits wait for k, without limit; 0: for nobody.  SYNC_SET and WRITABLE alone. */
DR_MUST_USE enum dr_err my_semi_wait_for(struct my_run *r, uint32_t k, struct dr_error *e);
/* A standby whose receiver stands still: the connection that it makes next acknowledges, or does not; by r->semi. */
DR_MUST_USE enum dr_err my_acks_set(struct my_run *r, bool on, struct dr_error *e);
/* After that and a start: wait until it does, and the mark that it was told names its applier. */
DR_MUST_USE enum dr_err my_acks_seen(struct my_run *r, struct dr_error *e);
/* Whether it has lost nothing that it acknowledged; by both. */
bool my_acks_kept(const struct my_run *r);
/* All of it, of one that follows; by r->state. */
DR_MUST_USE enum dr_err my_acks_switch(struct my_run *r, bool on, struct dr_error *e);
/* Of one that acknowledges: nobody waits any more for what it had received before.  Leaves the connection at the primary. */
DR_MUST_USE enum dr_err my_end_waits(struct my_run *r, struct dr_error *e);

/* ---- replica.c */
/* Begin a change of a standby; refuses one that takes writes. */
DR_MUST_USE enum dr_err my_read_standby(struct my_run *r, struct dr_error *e);
bool my_follows(const struct my_run *r); /* its source is args.primary_at; it may not be connected */

/* Until all that it has received is applied; its applier must run.  From r->state on. */
DR_MUST_USE enum dr_err my_drain(struct my_run *r, struct dr_error *e);
/* ---- replica.c: it receives no more, all that it has received is applied, and it has no source.  From r->state. */
DR_MUST_USE enum dr_err my_leave_source(struct my_run *r, struct dr_error *e);

/* ---- grants.c: the account can do what the ops need; DENIED names what it lacks, and for what. */
DR_MUST_USE enum dr_err my_check_grants(struct my_run *r, struct dr_error *e);
/* ---- replica.c: it replicates, and can be replicated, in the one way that drcoord manages. */
DR_MUST_USE enum dr_err my_check_shape(const struct my_run *r, struct dr_error *e);

/* ---- tended.c: no scheduled event begins any more. */
DR_MUST_USE enum dr_err my_events_off(struct my_run *r, struct dr_error *e);
/* ---- caution.c: into the evidence. */
DR_MUST_USE enum dr_err my_caution(struct my_run *r, struct dr_error *e);

/* ---- the ops: server.c, replica.c */
DR_MUST_USE enum dr_err my_op_probe(struct my_run *r, struct dr_error *e);
DR_MUST_USE enum dr_err my_op_probe_write(struct my_run *r, struct dr_error *e);
DR_MUST_USE enum dr_err my_op_signed(struct my_run *r, struct dr_error *e);
DR_MUST_USE enum dr_err my_op_writable(struct my_run *r, struct dr_error *e);
DR_MUST_USE enum dr_err my_op_closed(struct my_run *r, struct dr_error *e);
DR_MUST_USE enum dr_err my_op_positions(struct my_run *r, struct dr_error *e);
DR_MUST_USE enum dr_err my_op_acking(struct my_run *r, struct dr_error *e);
DR_MUST_USE enum dr_err my_op_sync_set(struct my_run *r, struct dr_error *e);
DR_MUST_USE enum dr_err my_op_frozen(struct my_run *r, struct dr_error *e);
DR_MUST_USE enum dr_err my_op_following(struct my_run *r, struct dr_error *e);
DR_MUST_USE enum dr_err my_op_copied(struct my_run *r, struct dr_error *e);
DR_MUST_USE enum dr_err my_op_compared(struct my_run *r, struct dr_error *e);
DR_MUST_USE enum dr_err my_op_tended(struct my_run *r, struct dr_error *e); /* tended.c */
DR_MUST_USE enum dr_err my_op_errant(struct my_run *r, struct dr_error *e); /* errant.c */
/* A standby whose source is not the primary has nothing but what the primary has: else it is somebody else's, and REFUSED.
 * *turned: that source; port 0: there is none.  Over a connection of its own, which may be the primary's then. */
DR_MUST_USE enum dr_err my_check_source(struct my_run *r, struct dr_address *turned, struct dr_error *e);

extern const struct dr_adapter dr_mysql_adapter;

#endif
