/* run_call.c -- what every command of a route is told: run.h's part that knows calls (blocking.h). */
#include <inttypes.h>
#include <stdio.h>

#include "adapters/blocking.h"
#include "model/plan.h"

void dr_run_env_of_call(struct dr_run_env *env, const struct dr_call *c)
{
	const struct dr_op_args *a = &c->args;
	dr_run_env_put(env, "DRCOORD_CLUSTER", "%s", c->target->cluster.s);
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

enum dr_err dr_run_of_call(struct dr_call *c, const char *command, const struct dr_run_env *env, char *said, struct dr_error *e)
{
	struct dr_run r = { .folder = c->target->commands_in, .command = command, .env = env, .until_ms = c->until_ms,
			    .goes_on = goes_on, .ctx = c };
	enum dr_err rv = dr_run_command(&r, said, e);
	/* What ended it tells more than that it ended. */
	struct dr_error why;
	if (rv == DR_E_CANCELLED && dr_call_goes_on(c, &why) == DR_E_TIMEOUT)
		return dr_fail(e, DR_E_TIMEOUT, "\"%s\" did not end in time and was killed", command);
	return rv;
}
