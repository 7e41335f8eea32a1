/* my_servers.h -- MariaDB servers on loopback (or those of MySQL) for the tests of their adapter: run as user nobody, with the
 * accounts and tables of setup.sql, the first one taking writes.  All write to one log, `log` in dir. */
#ifndef DR_TESTS_CONTRACT_MY_SERVERS_H
#define DR_TESTS_CONTRACT_MY_SERVERS_H

#include <mysql.h>

#include "rig.h"

enum { MY_SERVERS_MAX = 3 };

struct my_server {
	const char *member;
	unsigned id;
	struct dr_address at;
	char data[96], socket[104];
	pid_t pid;
};

struct my_servers {
	const char *root; /* of a MySQL (tools/mysql-root); NULL: MariaDB */
	struct rig_dir dir;
	char setup[96];
	unsigned n, starts;
	struct my_server server[MY_SERVERS_MAX];
};

/* False, with the reason printed, where they are not installed. */
bool my_servers_start(struct my_servers *all, const char *root, unsigned n);
void my_servers_stop(struct my_servers *all);
/* main() of a test: MariaDB, then MySQL where DRCOORD_MYSQL_ROOT names its root; or the one that argv names.  of: root NULL:
 * MariaDB; says how many failed.  The exit code. */
int my_servers_each(int argc, char **argv, int (*of)(const char *name, const char *root));
/* SIGKILL; and a start as by an agent: read-only, receiving from nobody. */
void my_server_crash(struct my_server *s);
void my_server_start(struct my_servers *all, struct my_server *s);

/* A client by its socket, of an account without a password; NULL: it is not let in. */
MYSQL *client_open(const struct my_server *s, const char *user);
/* What fails here fails the test: a client as root, a statement of a client's, one as root, and a query as root for one number
 * (0 for NULL). */
MYSQL *root_open(const struct my_server *s);
void client_say(MYSQL *c, const char *sql);
void root_say(const struct my_server *s, const char *sql);
uint64_t root_number(const struct my_server *s, const char *sql);

#endif
