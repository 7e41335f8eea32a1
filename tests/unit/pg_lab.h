/* pg_lab.h -- real PostgreSQL servers for the tests of its adapter, on loopback and a unix socket each.
 *
 * Built on the contract tests' rig: children that die with us, folders below /tmp.  Servers run as user
 * postgres where we are root.  A failed check ends the test by cmocka's assertion. */
#ifndef DR_TESTS_PG_LAB_H
#define DR_TESTS_PG_LAB_H

#include "rig.h"

enum { PG_LAB_SQL_MAX = 256 };

struct pg_server {
	struct rig_dir dir; /* data/ and the socket stand in it */
	uint16_t port;
	pid_t pid; /* the postmaster; 0: not running */
	char name[16];
};

/* initdb with the lab's settings (fast, trust for local and replication, scram for users "pw_*"). */
void pg_lab_init(struct pg_server *s, const char *name);
/* A base backup of the primary as a standby that follows nobody yet. */
void pg_lab_clone(struct pg_server *s, const char *name, const struct pg_server *primary);
/* Start it and wait until it answers queries. */
void pg_lab_start(struct pg_server *s);
void pg_lab_stop(struct pg_server *s);   /* immediate */
void pg_lab_remove(struct pg_server *s); /* also when the init failed halfway */

/* Run SQL by psql as superuser, give up after `limit_ms` (0: 20 s); the first line of output into out (may
 * be NULL).  false: an error or no end in time. */
bool pg_lab_sql(const struct pg_server *s, uint32_t limit_ms, char *out, size_t cap, const char *fmt, ...)
    DR_PRINTF(5, 6);
/* Run a file of SQL by psql; it must be readable to user postgres. */
bool pg_lab_file(const struct pg_server *s, const char *path);
/* Start a psql that runs on; its process. */
pid_t pg_lab_background(const struct pg_server *s, const char *sql);
/* Poll until the query gives `want`; a failed check after 15 s. */
void pg_lab_until(const struct pg_server *s, const char *want, const char *sql);
/* Until "s" has replayed what the primary has flushed now. */
void pg_lab_caught_up(const struct pg_server *primary, const struct pg_server *s);

struct dr_target pg_lab_target(const struct pg_server *s, bool by_socket);

#endif
