/* run_call.c -- what every command of a route is told: run.h's part that knows calls (blocking.h). */
#include <inttypes.h>
#include <stdio.h>

#include "adapters/blocking.h"
#include "base/parse.h"
#include "model/plan.h"

static void put_step(struct dr_run_env *env, const struct dr_call *c)
{
	const struct dr_target *t = c->target;
	dr_run_env_put(env, "DRCOORD_SITE", "%s", t->step.site.s);
	dr_run_env_put(env, "DRCOORD_PLAN", "%" PRIu64, c->args.plan);
	dr_run_env_put(env, "DRCOORD_PLAN_KIND", "%s", dr_plan_name((enum dr_plan_kind)t->step.plan_kind));
	dr_run_env_put(env, "DRCOORD_STEP", "%s", t->route.name.s);
	dr_run_env_put(env, "DRCOORD_KEY", "%s", t->step.key);
}

void dr_run_env_of_call(struct dr_run_env *env, const struct dr_call *c)
{
	const struct dr_op_args *a = &c->args;
	dr_run_env_put(env, "DRCOORD_CLUSTER", "%s", c->target->cluster.s);
	if (c->target->step.key[0] != '\0') {
		put_step(env, c);
		return;
	}
	dr_run_env_put(env, "DRCOORD_SERVICE", "%s", c->target->service.s);
	dr_run_env_put(env, "DRCOORD_ROUTE", "%s", c->target->route.name.s);
	dr_run_env_put(env, "DRCOORD_EPOCH", "%" PRIu64, a->epoch);
	dr_run_env_put(env, "DRCOORD_PLAN", "%" PRIu64, a->plan);
	dr_run_env_put(env, "DRCOORD_STEP", "%s", dr_step_name((enum dr_step)a->step));
	dr_run_env_put(env, "DRCOORD_NEW_PRIMARY", "%s", a->primary.s);
	dr_run_env_put(env, "DRCOORD_NEW_HOST", "%s", a->primary_at.host);
	dr_run_env_put(env, "DRCOORD_NEW_PORT", "%u", a->primary_at.port);
	dr_run_env_put(env, "DRCOORD_OLD_PRIMARY", "%s", a->old.s);
	dr_run_env_put(env, "DRCOORD_OLD_HOST", "%s", a->old_at.host);
	dr_run_env_put(env, "DRCOORD_OLD_PORT", "%u", a->old_at.port);
}

static bool goes_on(void *ctx)
{
	struct dr_error ignored;
	return dr_call_goes_on(ctx, &ignored) == DR_OK;
}

enum dr_err dr_run_of_call(struct dr_call *c, const char *command, const struct dr_run_env *env, struct dr_error *e)
{
	struct dr_run r = { .folder = c->target->commands_in, .command = command, .env = env, .until_ms = c->until_ms,
			    .goes_on = goes_on, .ctx = c };
	char line[DR_RUN_SAID_MAX];
	enum dr_err rv = dr_run_command(&r, line, e);
	(void)dr_copy_text(c->shows, sizeof(c->shows), line);
	/* What ended it tells more than that it ended. */
	struct dr_error why;
	if (rv == DR_E_CANCELLED && dr_call_goes_on(c, &why) == DR_E_TIMEOUT)
		return dr_fail(e, DR_E_TIMEOUT, "\"%s\" did not end in time and was killed", command);
	return rv;
}
