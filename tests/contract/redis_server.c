/* redis_server.c -- see redis_server.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "redis_server.h"

enum { WORDS_MAX = 16, DEADLINE_MS = 20000 };

bool redis_is_here(void)
{
	char path[128];
	bool here = rig_find("redis-server", path, sizeof(path)) && rig_find("redis-cli", path, sizeof(path));
	if (!here)
		printf("Redis is not installed (package redis-server)\n");
	return here;
}

static char *word(const char *text)
{
	return (char *)(uintptr_t)text;
}

void redis_server_start(const struct rig_dir *d, struct redis_server *s, const char *const *options)
{
	char path[128], port[8], bus[8], data[128], make[128];
	assert_true(rig_find("redis-server", path, sizeof(path)));
	assert_true(rig_find("mkdir", make, sizeof(make)));
	(void)dr_copy_text(s->at.host, sizeof(s->at.host), "127.0.0.1");
	if (s->at.port == 0) {
		s->at.port = rig_free_port();
		s->bus = rig_free_port();
	}
	(void)snprintf(port, sizeof(port), "%u", s->at.port);
	(void)snprintf(bus, sizeof(bus), "%u", s->bus);
	(void)snprintf(data, sizeof(data), "%s/%s", d->path, s->member);
	char *const folder[] = { make, word("-p"), data, NULL };
	assert_int_equal(rig_command(d, "log", REDIS_USER, folder), 0);
	char *argv[16 + REDIS_OPTIONS_MAX] = { path, word("--port"), port, word("--cluster-port"), bus, word("--bind"),
					       word("127.0.0.1"), word("--dir"), data, word("--appendonly"), word("yes"),
					       word("--save"), word("") };
	size_t n = 13;
	for (size_t i = 0; options[i] != NULL; i++) {
		assert_true(n + 1 < sizeof(argv) / sizeof(argv[0]));
		argv[n++] = word(options[i]);
	}
	s->pid = rig_spawn(d, "log", REDIS_USER, argv);
	rig_wait_port(s->at.port);
}

void redis_server_tell(const struct rig_dir *d, const struct redis_server *s, ...)
{
	char path[128], port[8];
	const char *one;
	va_list ap;
	assert_true(rig_find("redis-cli", path, sizeof(path)));
	(void)snprintf(port, sizeof(port), "%u", s->at.port);
	char *argv[8 + WORDS_MAX] = { path, word("-h"), word("127.0.0.1"), word("-p"), port, word("-e") };
	size_t n = 6;
	va_start(ap, s);
	while ((one = va_arg(ap, const char *)) != NULL) {
		assert_true(n + 1 < sizeof(argv) / sizeof(argv[0]));
		argv[n++] = word(one);
	}
	va_end(ap);
	assert_int_equal(rig_command(d, "log", REDIS_USER, argv), 0);
}

void redis_server_stop(struct redis_server *s)
{
	rig_stop(&s->pid, SIGKILL);
}

void redis_step(struct contract_step *st, enum dr_op_kind kind, const char *service, const struct redis_server *on,
		const struct redis_server *primary)
{
	memset(st, 0, sizeof(*st));
	st->kind = kind;
	st->at = st->target.address = on->at;
	st->pid = on->pid;
	st->deadline_ms = DEADLINE_MS;
	assert_true(dr_name_set(&st->target.service, service));
	assert_true(dr_name_set(&st->target.member, on->member));
	assert_true(dr_name_set(&st->args.self, on->member));
	assert_true(dr_name_set(&st->args.primary, primary->member));
	st->args.primary_at = primary->at;
	st->args.epoch = 3;
	st->args.local_commit = true;
}
