/* fixture_exec.c -- the adapter of commands under contract: run writes what it was told, verify reads it. */
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

static void program(const char *name, const char *fmt)
{
	char path[128];
	rig_file(&dir, name, fmt, dir.path);
	(void)snprintf(path, sizeof(path), "%s/%s", dir.path, name);
	assert_int_equal(chmod(path, 0755), 0);
}

static bool start(struct contract_step *steps, unsigned *n)
{
	rig_dir_make(&dir, NULL);
	program("move", "#!/bin/sh\necho \"$1 $DRCOORD_NEW_HOST e=$DRCOORD_EPOCH\" > %s/moved\n");
	program("moved-to", "#!/bin/sh\ngrep -qx \"to $DRCOORD_NEW_HOST e=$DRCOORD_EPOCH\" %s/moved\n");
	program("hang", "#!/bin/sh\nsleep 60\n");
	*n = 2;
	for (unsigned i = 0; i < *n; i++) {
		struct dr_target *t = &steps[i].target;
		t->route.kind = DR_ROUTE_EXEC;
		assert_true(dr_name_set(&t->service, "orders") && dr_name_set(&t->coordinator, "c-a"));
		assert_true(dr_name_set(&t->route.name, "script"));
		(void)dr_copy_text(t->commands_in, sizeof(t->commands_in), dir.path);
		(void)dr_copy_text(t->route.run, sizeof(t->route.run), "move to");
		(void)dr_copy_text(t->route.verify, sizeof(t->route.verify), "moved-to");
		steps[i].deadline_ms = 5000;
		steps[i].kind = i == 0 ? DR_OP_ROUTED : DR_OP_OBSERVED;
		steps[i].args.epoch = 3;
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
	(void)kind;
	(void)dr_copy_text(t->route.verify, sizeof(t->route.verify), "hang");
	return true;
}

const struct contract_fixture contract_exec = { .start = start, .stop = stop, .hang = hang };
