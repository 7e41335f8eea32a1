/* db.h -- the lab writer's one connection to a database, whatever kind it is.
 *
 *   start -> (go_on ...) -> DB_READY -> insert -> (go_on ...) -> DB_READY ...
 *
 * Nothing blocks: the caller polls fd for events and calls go_on when there are some.  One thread. */
#ifndef DR_TESTS_LAB_DB_H
#define DR_TESTS_LAB_DB_H

#include <stdbool.h>
#include <stdint.h>

enum db_step {
	DB_WAIT,    /* call again when fd has events */
	DB_READY,   /* connected, or the outcome of the last insert is final: see sqlstate and warned */
	DB_REFUSED, /* the connect ended on an answer */
	DB_FAILED,  /* the connect ended without one */
	DB_LOST     /* the connection broke: what was in flight is unknown */
};

struct db {
	const struct db_kind *kind;
	void *conn;
	int wait;         /* the kind's own */
	bool tcp_done;    /* something answered the connect */
	bool warned;      /* the last insert came with a warning: no promise */
	char sqlstate[6]; /* of the last insert or of preparing; "" is success */
	bool preparing;
};

struct db_kind {
	const char *name;
	const char *port; /* where it listens by default */
	bool (*start)(struct db *d, const char *conninfo, const char *host, const char *port);
	int (*fd)(const struct db *d);
	short (*events)(struct db *d);
	enum db_step (*go_on)(struct db *d, short revents);
	bool (*insert)(struct db *d, unsigned writer, uint64_t n); /* false: lost */
	void (*close)(struct db *d); /* of a closed one: nothing */
};

extern const struct db_kind db_postgres, db_mysql, db_redis;

#endif
