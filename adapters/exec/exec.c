/* exec.c -- the adapter for a command of the operator's that leads clients to the primary, run by the coordinator that
 * leads.
 *
 * Ops:
 *   OBSERVED  `verify` ends with exit code 0, where there is one;
 *   ROUTED    `verify` ends with exit code 0; where it does not, `run` has, and then `verify`.  Without `verify` only run's
 *             own exit code is known.  After a run that failed, or that verify does not confirm, `undo` is run.
 *
 * A step of a site plan's runbook is carried out by the same ops (steps.h): its `undo` is then a step of its own, asked for
 * when the plan is taken back.
 *
 * The same may be asked again, by another leader, and after a run whose end nobody saw: all three are to be repeatable, and
 * DRCOORD_EPOCH tells a late one from the newest. */
#include "adapters/blocking.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "sys/clock.h"

enum { UNDO_MS = 5000 };

static enum dr_err run(struct dr_call *c, const char *command, const char *what, struct dr_error *e)
{
	struct dr_run_env env = { .n = 0 };
	dr_run_env_of_call(&env, c);
	dr_run_env_put(&env, "DRCOORD_WHAT", "%s", what);
	enum dr_err rv = dr_run_of_call(c, command, &env, e);
	return rv == DR_OK ? DR_OK : dr_wrap(e, "%s", what);
}

/* Its own time: the call's may be over. */
static void undo(struct dr_call *c)
{
	struct dr_run_env env = { .n = 0 };
	struct dr_error ignored;
	if (c->target->route.undo[0] == '\0')
		return;
	dr_run_env_of_call(&env, c);
	dr_run_env_put(&env, "DRCOORD_WHAT", "undo");
	struct dr_run r = { .folder = c->target->commands_in, .command = c->target->route.undo, .env = &env,
			    .until_ms = dr_clock_boot_ms() + UNDO_MS };
	dr_best_effort(dr_run_command(&r, NULL, &ignored));
}

static bool may_begin(enum dr_err rv)
{
	return rv == DR_E_FAILED; /* it was run and said no; whatever else is wrong is wrong with run as well */
}

static enum dr_err exec_call(struct dr_call *c, struct dr_error *e)
{
	const struct dr_spec_route *r = &c->target->route;
	bool verifies = r->verify[0] != '\0';
	enum dr_err rv = DR_OK;
	if (verifies) {
		rv = run(c, r->verify, "verify", e);
		c->answered = rv == DR_OK || rv == DR_E_FAILED;
		if (c->kind == DR_OP_OBSERVED || !may_begin(rv))
			return rv;
	} else if (c->kind == DR_OP_OBSERVED) {
		c->answered = true;
		(void)dr_copy_text(c->shows, sizeof(c->shows), "nothing to ask: the route has no verify");
		return DR_OK;
	}
	rv = run(c, r->run, c->target->step.undo ? "undo" : "run", e);
	if (rv == DR_OK && verifies)
		rv = run(c, r->verify, "verify", e);
	c->answered = rv == DR_OK || rv == DR_E_FAILED;
	if (rv == DR_E_FAILED || rv == DR_E_TIMEOUT)
		undo(c);
	return rv;
}

static enum dr_err exec_open(struct dr_session *s, struct dr_error *e)
{
	const struct dr_spec_route *r = &s->target.route;
	if (r->kind != DR_ROUTE_EXEC || r->run[0] == '\0')
		return dr_fail(e, DR_E_INVALID, "the target is no exec route, or has no command");
	if (s->target.commands_in[0] == '\0')
		return dr_fail(e, DR_E_REFUSED,
			       "route %s: the node file of coordinator %s has no commands_in, so none is run there", r->name.s,
			       s->target.coordinator.s);
	dr_blocking_open(s, exec_call, 0, 1);
	return DR_OK;
}

const struct dr_adapter dr_exec_adapter = {
	.name = "exec",
	.own_size = sizeof(struct dr_blocking),
	.open = exec_open,
	.start = dr_blocking_start,
	.cancel = dr_blocking_cancel,
	.close = dr_blocking_close,
	.can = { [DR_OP_OBSERVED] = true, [DR_OP_ROUTED] = true },
};
