/* fixture_mysql.c -- the adapter of MySQL and MariaDB under contract: two MariaDB servers on loopback, run as user nobody,
 * with the accounts of setup.sql.  The order of the steps is the order of a life: the standby is promoted last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "contract.h"

#define USER "nobody"

struct server {
	const char *member;
	struct dr_address at;
	pid_t pid;
};

static struct rig_dir dir;
static struct server primary = { .member = "my-a" }, standby = { .member = "my-b" };

static void run(char *const argv[])
{
	if (rig_command(&dir, "log", USER, argv) != 0)
		fail_msg("%s failed: see %s/log", argv[0], dir.path);
}

/* The same accounts and tables on both, outside their logs. */
static void write_setup(char *path, size_t cap)
{
	char line[512];
	(void)snprintf(path, cap, "%s/setup.sql", dir.path);
	FILE *from = fopen(SETUP_SQL, "r"), *to = fopen(path, "w");
	assert_non_null(from);
	assert_non_null(to);
	(void)fputs("SET sql_log_bin = 0;\n", to);
	/* One statement a line is all that --init-file takes before MariaDB 11. */
	char joined[2048] = "";
	while (fgets(line, sizeof(line), from) != NULL) {
		if (strncmp(line, "--", 2) == 0 || line[0] == '\n')
			continue;
		line[strcspn(line, "\n")] = ' ';
		assert_true(strlen(joined) + strlen(line) < sizeof(joined));
		memcpy(joined + strlen(joined), line, strlen(line) + 1);
		if (strchr(line, ';') != NULL) {
			/* That row is the primary's to write, and what makes the two one service. */
			if (strstr(joined, "INTO drcoord.identity") == NULL)
				(void)fprintf(to, "%s\n", joined);
			joined[0] = '\0';
		}
	}
	(void)fclose(from);
	(void)fclose(to);
}

static void launch(struct server *s, unsigned id, const char *setup)
{
	char path[128], option[8][256];
	assert_true(rig_find("mariadbd", path, sizeof(path)));
	(void)snprintf(option[0], sizeof(option[0]), "--datadir=%s/%s", dir.path, s->member);
	(void)snprintf(option[1], sizeof(option[1]), "--port=%u", s->at.port);
	(void)snprintf(option[2], sizeof(option[2]), "--socket=%s/%s.sock", dir.path, s->member);
	(void)snprintf(option[3], sizeof(option[3]), "--server-id=%u", id);
	(void)snprintf(option[4], sizeof(option[4]), "--init-file=%s", setup);
	(void)snprintf(option[5], sizeof(option[5]), "--read-only=%u", id - 1);
	(void)snprintf(option[6], sizeof(option[6]), "--pid-file=%s/%s.pid", dir.path, s->member);
	char *const argv[] = { path, "--no-defaults", option[0], option[1], option[2], option[3], option[4], option[5], option[6],
			       "--bind-address=127.0.0.1", "--log-bin=binlog", "--log-slave-updates=1",
			       "--gtid-strict-mode=1", "--skip-name-resolve", "--skip-slave-start",
			       "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", NULL };
	s->pid = rig_spawn(&dir, "log", USER, argv);
	rig_wait_port(s->at.port);
}

static bool make_servers(void)
{
	char data[256], setup[160], program[128];
	if (!rig_find("mariadb-install-db", program, sizeof(program)) || !rig_find("mariadbd", data, sizeof(data))) {
		printf("MariaDB is not installed (package mariadb-server-core)\n");
		return false;
	}
	rig_dir_make(&dir, USER);
	write_setup(setup, sizeof(setup));
	for (unsigned i = 0; i < 2; i++) {
		struct server *s = i == 0 ? &primary : &standby;
		(void)dr_copy_text(s->at.host, sizeof(s->at.host), "127.0.0.1");
		s->at.port = rig_free_port();
		(void)snprintf(data, sizeof(data), "--datadir=%s/%s", dir.path, s->member);
		char *const install[] = { program, "--no-defaults", "--auth-root-authentication-method=normal",
					  "--skip-test-db", data, NULL };
		run(install);
		launch(s, i + 1, setup);
	}
	return true;
}

static bool start(struct contract_step *steps, unsigned *n)
{
	static const struct {
		enum dr_op_kind kind;
		struct server *on;
	} life[] = {
		{ DR_OP_PROBE, &primary },     { DR_OP_PROBE_WRITE, &primary }, { DR_OP_POSITIONS, &primary },
		{ DR_OP_FOLLOWING, &standby }, { DR_OP_COMPARED, &standby },    { DR_OP_FROZEN, &standby },
		{ DR_OP_WRITABLE, &standby },  { DR_OP_SYNC_SET, &standby },    { DR_OP_CLOSED, &standby },
	};
	if (!make_servers())
		return false;
	*n = sizeof(life) / sizeof(life[0]);
	for (unsigned i = 0; i < *n; i++) {
		struct contract_step *st = &steps[i];
		bool probes = life[i].on == &primary;
		st->kind = life[i].kind;
		st->at = life[i].on->at;
		st->pid = life[i].on->pid;
		st->deadline_ms = 20000;
		st->target.address = st->at;
		assert_true(dr_name_set(&st->target.service, "orders"));
		assert_true(dr_name_set(&st->target.member, life[i].on->member));
		(void)dr_copy_text(st->target.user, sizeof(st->target.user), probes ? "drcoord" : "drcoord_agent");
		(void)dr_copy_text(st->target.replication_user, sizeof(st->target.replication_user), "replicator");
		assert_true(dr_name_set(&st->args.self, life[i].on->member));
		assert_true(dr_name_set(&st->args.primary, primary.member));
		st->args.primary_at = primary.at;
		st->args.epoch = 3;
		st->args.local_commit = true;
	}
	return true;
}

static void stop(void)
{
	rig_stop(&standby.pid, SIGKILL);
	rig_stop(&primary.pid, SIGKILL);
	rig_dir_remove(&dir);
}

static void aim(struct dr_target *t, const struct dr_address *at)
{
	t->address = *at;
}

const struct contract_fixture contract_mysql = { .start = start, .stop = stop, .aim = aim };
