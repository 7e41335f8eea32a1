/* runbook.c -- steps of site plans' runbooks that the leader has this agent carry out: commands in its folder commands_in.
 * Every coordinator is told how one ended: the leader may be another one by then. */
#include <string.h>

#include "adapters/steps.h"
#include "agent/shell/agent.h"
#include "base/mem.h"
#include "base/parse.h"
#include "proto/frames.h"
#include "sys/log.h"

enum { MESSAGE_MAX = 8192 };

static void on_ended(struct dr_steps *s, const struct dr_step_answer *answer)
{
	struct dr_buf b;
	dr_buf_init(&b, MESSAGE_MAX);
	dr_step_answer_encode(&b, answer);
	dr_agent_send_all(s->ctx, DR_FRAME_STEP_ANSWER, &b);
	dr_buf_close(&b);
}

void dr_agent_runbook_open(struct dr_agent *a)
{
	struct dr_steps *s = dr_xcalloc(sizeof(*s));
	s->loop = a->loop;
	s->node = a->conf.name;
	s->ended = on_ended;
	s->ctx = a;
	(void)dr_copy_text(s->commands_in, sizeof(s->commands_in), a->conf.commands_in);
	a->steps = s;
	dr_steps_look(s);
}

void dr_agent_runbook_asked(struct dr_coord_link *l, const uint8_t *p, size_t n)
{
	struct dr_agent *a = l->agent;
	struct dr_step_ask ask;
	struct dr_error e;
	if (dr_agent_leader(a) != l)
		return;
	enum dr_err rv = dr_step_ask_decode(&ask, p, n, &e);
	if (rv == DR_OK && (!dr_name_eq(&ask.cluster, &a->conf.cluster) || !dr_name_eq(&ask.step.on_agent, &a->conf.name)))
		rv = dr_fail(&e, DR_E_DENIED, "it is for agent %s of cluster %s", ask.step.on_agent.s, ask.cluster.s);
	/* Requests are the coordinators' to send: none of their secrets lies here. */
	if (rv == DR_OK && ask.step.run[0] == '\0')
		rv = dr_fail(&e, DR_E_UNSUPPORTED, "an agent runs commands only");
	if (rv == DR_OK)
		dr_steps_ask(a->steps, &ask);
	else
		dr_log(DR_LOG_WARN, "step.refused", "coordinator=%s why=\"%s\"", l->peer->name.s, e.msg);
}

void dr_agent_runbook_cancelled(struct dr_coord_link *l, const uint8_t *p, size_t n)
{
	struct dr_step_answer which;
	struct dr_error ignored;
	if (dr_agent_leader(l->agent) == l && dr_step_answer_decode(&which, p, n, &ignored) == DR_OK)
		dr_steps_cancel(l->agent->steps, which.key);
}
