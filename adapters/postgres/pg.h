/* pg.h -- inside the PostgreSQL adapter: one connection (link.c), one run of an op (run.c), the steps.
 *
 * An op is a table of steps; each step is one SQL statement and the reader of its answer:
 *
 *   start -> [connect] -> send -> read -> next step ... -> dr_op_finish
 *               ^          ^        \-> again, after a pause (PG_AGAIN)
 *               \- a step marked fresh closes the connection and opens another
 *
 * Everything hangs on the session's struct pg_own.  A run is over (run.op == NULL) before dr_op_finish is
 * called, and nothing of it is touched afterwards. */
#ifndef DR_ADAPTERS_POSTGRES_PG_H
#define DR_ADAPTERS_POSTGRES_PG_H

#include <libpq-fe.h>

#include "adapters/adapter.h"
#include "adapters/postgres/text.h"
#include "base/buf.h"

struct pg_own;
struct pg_run;

enum pg_next {
	PG_NEXT,  /* the next wanted step; after the last one the op is done */
	PG_AGAIN, /* this step once more, after run->pause_ms */
	PG_DONE,  /* the state holds already: skip the rest */
	PG_FAILED /* the reader has filled the error */
};

struct pg_step {
	const char *what; /* "reading the state", for messages */
	const char *sql;  /* the statement, or NULL: build makes it */
	enum dr_err (*build)(struct pg_run *r, struct dr_buf *sql, struct dr_error *e);
	bool (*wanted)(const struct pg_run *r);                                          /* NULL: always */
	enum pg_next (*read)(struct pg_run *r, const PGresult *res, struct dr_error *e); /* NULL: PG_NEXT */
	bool fresh;           /* on a new connection */
	bool may_fail;        /* an SQL error is read too (res is then an error result) */
	bool done_if_changed; /* an answer of 55000 means that an earlier try has done it meanwhile */
	bool role_may_change; /* an answer of 55000 means that the role changed meanwhile: asked once more */
};

struct pg_plan {
	const struct pg_step *step;
	size_t steps;
	enum dr_err (*check)(struct pg_run *r,
			     struct dr_error *e); /* of the arguments, before any I/O; or NULL */
};

/* One reading of PG_STATE_SQL. */
struct pg_state {
	bool in_recovery;
	bool paused;
	bool never_received; /* standby: has not streamed since its start */
	uint64_t started_ms;
	uint64_t system_id;
	uint32_t version;
	uint32_t timeline, checkpoint_timeline;
	uint64_t received; /* primary: flushed; standby: the greater of received and replayed */
	uint64_t replayed;
	uint32_t receiver_pid; /* 0: no walreceiver process */
	bool streaming;
	struct dr_address sender; /* of the receiver */
	char conninfo[PG_SETTING_MAX];
	char slot[PG_SLOT_NAME_MAX];
	char sync_names[PG_SETTING_MAX];
	char retry_interval[16];
	char checkpointer[32]; /* wait events; "" none or not visible */
	char startup[32];
	bool target_latest;
};

struct pg_link {
	PGconn *conn;     /* NULL: closed */
	uv_poll_t *poll;  /* NULL: not watching; on the heap, as it outlives the connection by its close */
	PGresult *result; /* the first error, else the last answer, until all of it has come */
	bool connecting;
};

struct pg_run {
	struct pg_own *own;
	struct dr_op *op; /* NULL: no run */
	const struct pg_plan *plan;
	size_t at;            /* the step */
	bool opened_for_step; /* a fresh step has its connection */
	uint32_t tries;       /* of this step */
	uint64_t pause_ms;    /* before PG_AGAIN */
	/* what steps tell each other */
	struct pg_state before, now;
	char want_sync[PG_SETTING_MAX];
	char want_conninfo[PG_SETTING_MAX];
	char want_slot[PG_SLOT_NAME_MAX];
	uint64_t mark;   /* a position or a counter to compare with */
	uint32_t steady; /* equal readings in a row */
	bool has_mark;
	bool no_table;          /* drcoord.heartbeat has to be made */
	bool locked_out;        /* somebody else has locked it */
	bool read_only;         /* our transactions are, whatever the server is */
	uint32_t made, dropped; /* SLOTS */
};

struct pg_own {
	struct dr_session *session;
	uv_timer_t again;
	uint32_t handles; /* not closed yet, `again` included */
	struct pg_link link;
	struct pg_run run;
	uint64_t room_ms; /* that there is room counts for ops that start before this moment; 0: not asked, or there was none */
	char secret[PG_SECRET_MAX]; /* the two passwords while a run needs them, for redaction too */
	char replication_secret[PG_SECRET_MAX];
};

/* ---- link.c: the connection; it calls pg_run_* of run.c, at most one per event, last. */
DR_MUST_USE enum dr_err pg_link_open(struct pg_own *o, struct dr_error *e);
DR_MUST_USE enum dr_err pg_link_send(struct pg_own *o, const char *sql, struct dr_error *e);
void pg_link_close(struct pg_own *o);    /* at once; may be closed already */
void pg_handle_closed(struct pg_own *o); /* one handle fewer; tells the host when it was the last */

/* ---- run.c */
DR_MUST_USE enum dr_err pg_run_start(struct pg_own *o, struct dr_op *op, const struct pg_plan *plan,
				     struct dr_error *e);
void pg_run_stop(struct pg_own *o); /* forget the op and close what it holds */
void pg_run_connected(struct pg_own *o);
void pg_run_answer(struct pg_own *o, const PGresult *res); /* borrowed */
void pg_run_broken(struct pg_own *o, struct dr_error *e);  /* the connection is of no use any more */
void pg_run_again(uv_timer_t *t);
/* What people read while an op waits, and when it ends. */
void pg_say(struct pg_run *r, const char *fmt, ...) DR_PRINTF(2, 3);
/* Append SQL literal text, quoted by libpq. */
DR_MUST_USE enum dr_err pg_put_literal(struct pg_run *r, struct dr_buf *sql, const char *text,
				       struct dr_error *e);

/* ---- read.c: what several ops read */
extern const char PG_STATE_SQL[];
extern const char PG_PEERS_SQL[];
/* Read one row of PG_STATE_SQL into *st; PROTOCOL when it is no such row. */
DR_MUST_USE enum dr_err pg_read_state(const PGresult *res, struct pg_state *st, struct dr_error *e);
/* The reader "state": into run->now and the evidence, then PG_NEXT. */
enum pg_next pg_state_step(struct pg_run *r, const PGresult *res, struct dr_error *e);
/* PG_PEERS_SQL's rows into the evidence; only members among args.peer when any are given there. */
enum pg_next pg_peers_step(struct pg_run *r, const PGresult *res, struct dr_error *e);

/* ---- steps used by more than one op */
enum dr_err pg_build_write(struct pg_run *r, struct dr_buf *sql, struct dr_error *e);
enum pg_next pg_write_step(struct pg_run *r, const PGresult *res, struct dr_error *e);
enum pg_next pg_rewrite_step(struct pg_run *r, const PGresult *res, struct dr_error *e);
bool pg_wants_table(const struct pg_run *r);
extern const char PG_TABLE_SQL[];
extern const char PG_WRITES_SQL[]; /* this session may, whatever a default says */
enum dr_err pg_build_sync(struct pg_run *r, struct dr_buf *sql, struct dr_error *e);
enum dr_err pg_check_sync(struct pg_run *r, struct dr_error *e);
/* Whether the checkpointer has taken in the names to wait for, which a reading has just shown (see primary.c):
 * PG_NEXT after two readings in a row that find it idle, else PG_AGAIN. */
enum pg_next pg_names_taken_in(struct pg_run *r);

/* ---- primary.c and standby.c: NULL when the op is not theirs */
const struct pg_plan *pg_primary_plan(enum dr_op_kind kind);
const struct pg_plan *pg_standby_plan(enum dr_op_kind kind);

extern const struct dr_adapter dr_postgres_adapter;

#endif
