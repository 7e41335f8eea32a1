/* local.h -- what the kinds of servers differ in on their own host: how one is found, started, stopped, and made to come
 * up as a standby.  One table a kind (pg_local.c, my_local.c, red_local.c); the supervisor asks nothing else of a kind. */
#ifndef DR_AGENT_SHELL_LOCAL_H
#define DR_AGENT_SHELL_LOCAL_H

#include "model/spec.h"
#include "sys/proc.h"

/* One server on this host; the same for all kinds. */
struct dr_local_server {
	char name[2 * DR_NAME_MAX]; /* "service-member": names the cgroup */
	char data_dir[DR_PATH_MAX];
	char bin_dir[DR_PATH_MAX];
	char os_user[DR_NAME_MAX]; /* "": as we are */
	/* Where it listens, whatever its own files say: a rewind or clone brings another member's files. */
	char listen_host[DR_HOST_MAX]; /* "": as its files say */
	uint16_t listen_port;
	char socket_dir[DR_PATH_MAX]; /* of MySQL the socket itself; "": as its files say */
	char config_file[DR_PATH_MAX]; /* not PostgreSQL: what it reads beside our own options; "": nothing */
	uint32_t server_id;            /* MySQL: unique among the members */
	bool tls;                      /* Redis: it is reached by TLS, and replicates by it */
	/* The server's stdout and stderr, appended; moved to .1 beyond 16 MiB at start. */
	char log_path[DR_PATH_MAX];
};

enum { DR_COMMAND_ARGS = 40, DR_COMMAND_ENVS = 7, DR_COMMAND_TEXTS = DR_COMMAND_ARGS + DR_COMMAND_ENVS };

/* A command line with its environment and the texts that both point to. */
struct dr_local_command {
	const char *argv[DR_COMMAND_ARGS + 1];
	const char *env[DR_COMMAND_ENVS + 1];
	char text[DR_COMMAND_TEXTS][DR_PATH_MAX + 64];
	size_t args, envs, texts;
};
/* Add an argument or a line of environment, made as by printf(3). */
void dr_command_arg(struct dr_local_command *c, const char *fmt, ...) DR_PRINTF(2, 3);
void dr_command_env(struct dr_local_command *c, const char *fmt, ...) DR_PRINTF(2, 3);

struct dr_local_final {
	uint64_t position;
	uint32_t timeline;
	uint64_t system_id;
};

enum { DR_LOCAL_PROGRAMS = 6 };

struct dr_local_kind {
	const char *program; /* of its processes, as /proc names it; of several names, '|' between them */
	/* What starts and jobs run: from the server's folder of programs, and where dr_local_tool() finds it.  NULL ends each. */
	const char *own[DR_LOCAL_PROGRAMS], *tool[DR_LOCAL_PROGRAMS];
	const char *mark;    /* the file in the data folder that makes it a standby whoever starts it; NULL: it comes up
			      * fenced at every start */
	bool ends_waits;     /* stopping in order lets commits go on that wait for standbys: one that is not closed is killed */
	int fast, quick;     /* signals: stop in order, sessions cut off; stop at once.  0: nothing but SIGKILL */
	/* The main process that works on the data folder now, proved by /proc; NOT_FOUND. */
	enum dr_err (*find)(const char *data_dir, struct dr_proc_id *out, struct dr_error *e);
	/* Every start from now on comes up as a standby; durable.  Blocking; any thread. */
	enum dr_err (*mark_standby)(const char *data_dir, struct dr_error *e);
	/* ... comes up as it ended, again.  NULL: nothing of the kind is there to be taken away. */
	enum dr_err (*unmark_standby)(const char *data_dir, struct dr_error *e);
	bool (*is_marked)(const char *data_dir);
	/* Whether a running server may be taken over: a start by somebody else must not take writes.  NULL: always. */
	enum dr_err (*may_take)(const struct dr_local_server *s, struct dr_error *e);
	/* Whether what is in the data folder may be started at all.  NULL: always. */
	enum dr_err (*may_start)(const char *data_dir, struct dr_error *e);
	/* Before a start, nobody working on the data: take away what a dead one left in the way. */
	void (*tidy)(const struct dr_local_server *s);
	void (*command)(const struct dr_local_server *s, struct dr_local_command *c);
	/* Of a stopped server; NULL: it says nothing then.  Where it ended, position 0 when it was not stopped in order. */
	enum dr_err (*final)(const char *data_dir, struct dr_local_final *out, struct dr_error *e);
	/* Whether a server was ever made there.  NULL: its jobs see to it. */
	bool (*has_data)(const char *data_dir);
	/* Of a stopped server: at its next start it receives from nobody and waits for nobody.  NULL: an op sees to it. */
	enum dr_err (*alone)(const char *data_dir, struct dr_error *e);
};

/* Where a tool of the server's is: in its folder of programs, or beside that as in a tree of its own, else in /usr/bin. */
void dr_local_tool(const char *bin_dir, const char *name, char *dst, size_t cap);
/* What a start or a job will look for in vain, in words with the remedy; "": nothing.  Looks at the disk. */
void dr_local_lacks(const struct dr_local_kind *kind, const char *bin_dir, char *dst, size_t cap);

/* NULL: agents run no such servers. */
const struct dr_local_kind *dr_local_kind(enum dr_kind kind);
extern const struct dr_local_kind dr_pg_local, dr_mariadb_local, dr_mysql_local, dr_redis_local, dr_valkey_local,
	dr_redis_cluster_local;

#endif
