/* pg_world.h -- a real PostgreSQL in a temporary folder, for tests of the agent's parts.
 *
 * The servers run as the account "postgres" when the test is root.  Everything that was started is killed and
 * removed by pg_world_close(), also after a failed test. */
#ifndef DR_TESTS_PG_WORLD_H
#define DR_TESTS_PG_WORLD_H

#include <uv.h>

#include "agent/shell/supervisor.h"

enum { PG_WORLD_SERVERS = 3, PG_WORLD_WAIT_MS = 30000 };

struct pg_server {
	char name[16];
	char data[DR_PATH_MAX];
	char socket_dir[DR_PATH_MAX];
	uint16_t port;
	struct dr_supervisor super;
	bool open;
	int changes; /* calls of on_change */
	int stopped; /* calls of the stop callback */
	bool proved;
	struct dr_error stop_error;
};

struct pg_world {
	char folder[64];
	char bin[DR_PATH_MAX];
	char os_user[DR_NAME_MAX]; /* "" when the test isn't root */
	struct dr_os_user user;
	uv_loop_t loop;
	struct dr_cgroup_root root;
	struct pg_server server[PG_WORLD_SERVERS];
};

/* Fails the test when there is no PostgreSQL here: ./check installs it, so its absence is a fault. */
void pg_world_open(struct pg_world *w);
void pg_world_close(struct pg_world *w);

/* initdb and settings; no server runs yet. */
void pg_world_init(struct pg_world *w, int at);
/* A supervisor for it. */
void pg_world_supervise(struct pg_world *w, int at);
/* Let the supervisor go (the server stays as it is). */
void pg_world_unsupervise(struct pg_world *w, int at);
void pg_world_start(struct pg_world *w, int at, bool as_standby);
void pg_world_on_stopped(struct dr_supervisor *s, bool proved, const struct dr_error *e);

/* Run a program as os_user and wait; its exit code.  out (may be NULL): what it printed, cut. */
int pg_world_run(struct pg_world *w, const char *const *argv, char *out, size_t cap);
/* One SQL text over the socket; the exit code of psql.  out without the last newline. */
int pg_world_sql(struct pg_world *w, int at, const char *sql, char *out, size_t cap);
/* Whether the answer is just this text. */
bool pg_world_says(struct pg_world *w, int at, const char *sql, const char *want);

/* One turn of the loop, at most a few ms. */
void pg_world_turn(struct pg_world *w);

#define PG_WAIT(w, cond)                                                                                     \
	do {                                                                                                 \
		uint64_t give_up_at = uv_hrtime() + (uint64_t)PG_WORLD_WAIT_MS * 1000000u;                   \
		while (!(cond)) {                                                                            \
			if (uv_hrtime() > give_up_at)                                                        \
				fail_msg("never: %s", #cond);                                                \
			pg_world_turn(w);                                                                    \
		}                                                                                            \
	} while (0)

#endif
