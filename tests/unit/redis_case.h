/* redis_case.h -- one op of Redis's or Redis Cluster's adapter, judged without a server. */
#ifndef DR_TESTS_UNIT_REDIS_CASE_H
#define DR_TESTS_UNIT_REDIS_CASE_H

#include <string.h>

#include "adapters/redis/red.h"

#define ID_A "74de152f36de8f5e71f52774c7e127c561d33441"
#define ID_B "43762acd39730912e9a5e6eea1711112a0b74f68"

struct case_ {
	struct red_sight sight;
	struct red_todo todo;
	struct dr_op_args args;
	struct dr_target target;
};

/* What the op makes of that; source: NULL when it was not read.  Its commands end with a NUL; the next one frees them, or the
 * test does. */
static inline struct red_todo *judged(struct case_ *c, red_judge *judge, const struct red_state *mine,
				      const struct red_state *source)
{
	dr_buf_close(&c->todo.commands);
	memset(&c->todo, 0, sizeof(c->todo));
	dr_buf_init(&c->todo.commands, RED_BYTES_MAX);
	c->sight.args = &c->args;
	c->sight.target = &c->target;
	c->sight.replication_secret = "";
	c->sight.mine = mine;
	c->sight.source = source;
	judge(&c->sight, &c->todo);
	dr_buf_put_u8(&c->todo.commands, 0);
	return &c->todo;
}

static inline bool says(const struct red_todo *t, const char *text)
{
	return strstr((const char *)t->commands.data, text) != NULL;
}

#endif
