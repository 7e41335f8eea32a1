/* fixture_file.c -- the adapter of files under contract: a folder, a template, and commands of this host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "contract.h"

static struct rig_dir dir;

static void program(const char *name, const char *text)
{
	char path[128];
	rig_file(&dir, name, "#!/bin/sh\n%s\n", text);
	(void)snprintf(path, sizeof(path), "%s/%s", dir.path, name);
	assert_int_equal(chmod(path, 0755), 0);
}

static bool start(struct contract_step *steps, unsigned *n)
{
	rig_dir_make(&dir, NULL);
	rig_file(&dir, "db.tmpl", "host={{primary.host}} port={{primary.port}} # {{ service }} {{primary.name}} {{epoch}}\n");
	program("check", "grep -q '^host=127.0.0.1 port=5432 # orders pg-b 3$' \"$DRCOORD_FILE\"");
	program("tell", "exit 0");
	program("hang", "sleep 60");
	*n = 2;
	for (unsigned i = 0; i < *n; i++) {
		struct dr_target *t = &steps[i].target;
		t->route.kind = DR_ROUTE_FILE;
		t->route.servers = 1;
		assert_true(dr_name_set(&t->service, "orders") && dr_name_set(&t->coordinator, "c-a"));
		assert_true(dr_name_set(&t->route.name, "file") && dr_name_set(&t->route.on[0], "c-a"));
		(void)dr_copy_text(t->files_in, sizeof(t->files_in), dir.path);
		(void)dr_copy_text(t->commands_in, sizeof(t->commands_in), dir.path);
		(void)dr_copy_text(t->route.file, sizeof(t->route.file), "db.conf");
		(void)dr_copy_text(t->route.made_from, sizeof(t->route.made_from), "db.tmpl");
		(void)dr_copy_text(t->route.validate, sizeof(t->route.validate), "check");
		(void)dr_copy_text(t->route.reload, sizeof(t->route.reload), "tell all of it");
		steps[i].deadline_ms = 5000;
		steps[i].kind = i == 0 ? DR_OP_ROUTED : DR_OP_OBSERVED;
		steps[i].args.epoch = 3;
		assert_true(dr_name_set(&steps[i].args.primary, "pg-b"));
		steps[i].args.primary_at.port = 5432;
		(void)dr_copy_text(steps[i].args.primary_at.host, DR_HOST_MAX, "127.0.0.1");
	}
	return true;
}

static void stop(void)
{
	rig_dir_remove(&dir);
}

static bool hang(struct dr_target *t, enum dr_op_kind kind)
{
	(void)dr_copy_text(t->route.validate, sizeof(t->route.validate), "hang");
	return kind == DR_OP_ROUTED;
}

const struct contract_fixture contract_file = { .start = start, .stop = stop, .hang = hang };
