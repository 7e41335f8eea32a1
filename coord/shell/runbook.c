/* runbook.c -- steps of site plans' runbooks: the leader has the one that is due carried out, by itself, by a coordinator of
 * the site that the step names, or by an agent; and each coordinator carries out what a leader asks of it.
 *
 * What is due stands in the log, so a new leader asks again, with the same key: whoever has done it already says so.
 *
 * What was given up is to be ended by all who may have it: the agent, or each coordinator that a leader may have asked, or
 * that may have led.  When all of them have said that they do not run it, the core is told. */
#include <string.h>

#include "adapters/steps.h"
#include "base/mem.h"
#include "base/parse.h"
#include "coord/shell/runbook.h"
#include "proto/frames.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { ASK_AGAIN_MS = 1000, MESSAGE_MAX = 8192 };

/* Which step was asked for last, or to be ended, of each site plan. */
struct asked {
	char key[DR_STEP_KEY_MAX]; /* "": none */
	bool end;
	uint32_t silent;           /* end: coordinators, by their place in the log, that have not said yet that it is */
	uint64_t at_ms;
};

struct dr_runbook {
	struct dr_coord *coord;
	struct dr_steps steps;
	struct asked asked[DR_SITE_PLANS_KEPT];
};

static void key_of(const struct dr_coord *c, const struct dr_site_step_wanted *w, char key[DR_STEP_KEY_MAX])
{
	dr_step_key(key, &c->conf.cluster, w->plan, &w->does->name, w->undo);
}

static void tell_core(struct dr_coord *c, const struct dr_site_step_wanted *w, const struct dr_step_answer *a)
{
	struct dr_core_event ev = { .kind = DR_EV_SITE_STEP, .site_plan = w->plan, .step = w->step, .undo = w->undo,
				    .nobody = w->end, .done = a->code == DR_OK, .text = a->text };
	dr_coord_event(c, &ev);
}

/* The place of a coordinator in the log. */
static uint32_t place_of(const struct dr_coord *c, const struct dr_name *name)
{
	const struct dr_repl *r = &c->core->repl;
	uint32_t i = 0;
	while (i < r->coordinators && !dr_name_eq(&r->coordinator[i].name, name))
		i++;
	return i;
}

/* Whether that was the last one who had to say that nobody runs it any more.  by: a coordinator, NULL: the agent. */
static bool nobody_runs(struct dr_coord *c, struct asked *asked, const char *key, const struct dr_name *by)
{
	if (!asked->end || strcmp(asked->key, key) != 0)
		return false;
	uint32_t i = by != NULL ? place_of(c, by) : DR_COORDINATORS_MAX;
	if (i < DR_COORDINATORS_MAX)
		asked->silent &= ~(1u << i);
	return asked->silent == 0;
}

/* One that is due ended, as an agent (NULL) or a coordinator says; an answer to anything else came too late. */
static void ended(struct dr_coord *c, const struct dr_name *by, const struct dr_step_answer *a)
{
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		struct dr_site_step_wanted w;
		char key[DR_STEP_KEY_MAX];
		if (!dr_core_site_step(c->core, i, &w) || w.end != (a->code == DR_E_CANCELLED))
			continue;
		key_of(c, &w, key);
		if (strcmp(key, a->key) != 0)
			continue;
		if (!w.end || nobody_runs(c, &c->runbook->asked[i], key, by))
			tell_core(c, &w, a);
		return;
	}
}

/* Carried out here: the leader, which may be another one by now, is told. */
static void on_ended(struct dr_steps *s, const struct dr_step_answer *a)
{
	struct dr_runbook *b = s->ctx;
	struct dr_buf out;
	ended(b->coord, &b->coord->conf.name, a);
	dr_buf_init(&out, MESSAGE_MAX);
	dr_step_answer_encode(&out, a);
	dr_peers_send_all(b->coord, DR_FRAME_STEP_ANSWER, &out);
	dr_buf_close(&out);
}

void dr_runbook_open(struct dr_coord *c)
{
	struct dr_runbook *b = dr_xcalloc(sizeof(*b));
	b->coord = c;
	b->steps.loop = c->loop;
	b->steps.node = c->conf.name;
	b->steps.ended = on_ended;
	b->steps.ctx = b;
	(void)dr_copy_text(b->steps.commands_in, sizeof(b->steps.commands_in), c->conf.commands_in);
	(void)dr_copy_text(b->steps.secrets_in, sizeof(b->steps.secrets_in), c->conf.secrets_in);
	c->runbook = b;
	dr_steps_look(&b->steps);
}

const char *dr_runbook_refused(const struct dr_coord *c)
{
	return c->runbook->steps.refused;
}

static void fill_ask(const struct dr_coord *c, const struct dr_site_step_wanted *w, struct dr_step_ask *ask)
{
	*ask = (struct dr_step_ask){ .cluster = c->conf.cluster, .site = w->site, .plan = w->plan, .kind = w->kind,
				     .undo = w->undo, .left_ms = w->left_ms, .step = *w->does };
	key_of(c, w, ask->key);
}

static struct dr_in *agent_named(struct dr_coord *c, const struct dr_name *name)
{
	for (struct dr_in *in = c->in; in != NULL; in = in->next) {
		if (in->role == DR_SESSION_AGENT && in->open && dr_name_eq(&in->conn.peer.name, name))
			return in;
	}
	return NULL;
}

/* A coordinator of that site that can be reached; "" for ourselves, NULL: there is none. */
static const struct dr_name *coordinator_in(const struct dr_coord *c, const struct dr_name *site)
{
	static const struct dr_name here = { "" };
	const struct dr_repl *r = &c->core->repl;
	if (dr_name_eq(&c->conf.site, site))
		return &here;
	for (uint32_t i = 0; i < r->coordinators; i++) {
		const struct dr_coordinator *k = &r->coordinator[i];
		if (k->name.s[0] != '\0' && dr_name_eq(&k->site, site) && dr_peers_reachable(c, &k->name))
			return &k->name;
	}
	return NULL;
}

static void send_ask(struct dr_coord *c, const struct dr_step_ask *ask)
{
	struct dr_buf b;
	struct dr_in *agent = NULL;
	const struct dr_name *peer = NULL;
	dr_buf_init(&b, MESSAGE_MAX);
	dr_step_ask_encode(&b, ask);
	if (ask->step.on_agent.s[0] != '\0')
		agent = agent_named(c, &ask->step.on_agent);
	else
		peer = coordinator_in(c, &ask->step.on_site);
	if (agent != NULL)
		dr_best_effort(dr_conn_send(&agent->conn, DR_FRAME_STEP_ASK, b.data, b.len));
	else if (peer != NULL && peer->s[0] != '\0')
		dr_peers_send_one(c, peer, DR_FRAME_STEP_ASK, &b);
	else if (peer != NULL)
		dr_steps_ask(&c->runbook->steps, ask);
	dr_buf_close(&b);
}

/* Coordinators that may have it: of one site, or each that may have led. */
static uint32_t who_may_run(const struct dr_coord *c, const struct dr_runbook_step *does)
{
	const struct dr_repl *r = &c->core->repl;
	uint32_t all = 0;
	for (uint32_t i = 0; i < r->coordinators && does->on_agent.s[0] == '\0'; i++) {
		const struct dr_coordinator *k = &r->coordinator[i];
		if (k->name.s[0] != '\0' && (does->on_site.s[0] == '\0' || dr_name_eq(&k->site, &does->on_site)))
			all |= 1u << i;
	}
	return all;
}

static void send_cancel(struct dr_coord *c, const struct asked *a, const struct dr_runbook_step *does)
{
	struct dr_step_answer which = { .code = DR_E_CANCELLED };
	const struct dr_repl *r = &c->core->repl;
	struct dr_in *agent = does->on_agent.s[0] != '\0' ? agent_named(c, &does->on_agent) : NULL;
	struct dr_buf b;
	(void)dr_copy_text(which.key, sizeof(which.key), a->key);
	dr_buf_init(&b, MESSAGE_MAX);
	dr_step_answer_encode(&b, &which);
	if (agent != NULL)
		dr_best_effort(dr_conn_send(&agent->conn, DR_FRAME_STEP_CANCEL, b.data, b.len));
	for (uint32_t i = 0; i < r->coordinators; i++) {
		if ((a->silent & (1u << i)) == 0)
			continue;
		if (dr_name_eq(&r->coordinator[i].name, &c->conf.name))
			dr_steps_cancel(&c->runbook->steps, a->key);
		else
			dr_peers_send_one(c, &r->coordinator[i].name, DR_FRAME_STEP_CANCEL, &b);
	}
	dr_buf_close(&b);
}

static void ask_for(struct dr_coord *c, const struct dr_site_step_wanted *w)
{
	struct dr_step_ask ask;
	fill_ask(c, w, &ask);
	if (w->left_ms == 0) /* whoever began it now would have no time */
		return;
	if (ask.step.on_agent.s[0] == '\0' && ask.step.on_site.s[0] == '\0')
		dr_steps_ask(&c->runbook->steps, &ask);
	else
		send_ask(c, &ask);
}

/* Whoever is to do it may only just have come back, or a message may be lost: it is asked for again, and again. */
static void have_done(struct dr_coord *c, uint32_t i, const struct dr_site_step_wanted *w)
{
	struct asked *a = &c->runbook->asked[i];
	char key[DR_STEP_KEY_MAX];
	uint64_t now = dr_clock_boot_ms();
	key_of(c, w, key);
	bool same_key = strcmp(a->key, key) == 0, same = same_key && a->end == w->end;
	if (same && now < a->at_ms + ASK_AGAIN_MS)
		return;
	if (!same_key && a->key[0] != '\0')
		dr_steps_drop(&c->runbook->steps, a->key);
	if (!same)
		a->silent = w->end ? who_may_run(c, w->does) : 0;
	a->at_ms = now;
	a->end = w->end;
	(void)dr_copy_text(a->key, sizeof(a->key), key);
	if (w->end)
		send_cancel(c, a, w->does);
	else
		ask_for(c, w);
}

void dr_runbook_carry_out(struct dr_coord *c)
{
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		struct dr_site_step_wanted w;
		struct asked *a = &c->runbook->asked[i];
		if (dr_core_site_step(c->core, i, &w)) {
			have_done(c, i, &w);
		} else if (a->key[0] != '\0') {
			dr_steps_drop(&c->runbook->steps, a->key); /* the next leader has it done, or it has ended */
			a->key[0] = '\0';
		}
	}
}

/* By our own log, which may be behind: asked for late, or by one who does not know yet that he leads no more. */
static bool turn_is_over(const struct dr_repl *r, const struct dr_step_ask *ask)
{
	const struct dr_site_plan *p = dr_repl_site_plan(r, ask->plan);
	uint32_t i = 0;
	while (p != NULL && i < p->steps && !dr_name_eq(&p->step[i].name, &ask->step.name))
		i++;
	if (p == NULL || i == p->steps)
		return false;
	enum dr_site_step_state s = p->step[i].state;
	if (ask->undo)
		return s == DR_SITE_STEP_UNDONE || s == DR_SITE_STEP_UNDO_FAILED || s == DR_SITE_STEP_UNDO_ENDING;
	return s != DR_SITE_STEP_WAITING && s != DR_SITE_STEP_RUNNING;
}

void dr_runbook_asked(struct dr_coord *c, const struct dr_name *by, const uint8_t *p, size_t n)
{
	struct dr_step_ask ask;
	struct dr_error e;
	enum dr_err rv = dr_step_ask_decode(&ask, p, n, &e);
	if (rv == DR_OK && !dr_name_eq(&ask.cluster, &c->conf.cluster))
		rv = dr_fail(&e, DR_E_DENIED, "it is of cluster %s", ask.cluster.s);
	if (rv == DR_OK && turn_is_over(&c->core->repl, &ask))
		rv = dr_fail(&e, DR_E_STALE, "the turn of %s is over", ask.key);
	if (rv == DR_OK)
		dr_steps_ask(&c->runbook->steps, &ask);
	else
		dr_log(DR_LOG_WARN, "step.refused", "coordinator=%s why=\"%s\"", by->s, e.msg);
}

void dr_runbook_cancelled(struct dr_coord *c, const uint8_t *p, size_t n)
{
	struct dr_step_answer which;
	struct dr_error ignored;
	if (dr_step_answer_decode(&which, p, n, &ignored) == DR_OK)
		dr_steps_cancel(&c->runbook->steps, which.key);
}

void dr_runbook_told_frame(struct dr_coord *c, const struct dr_name *by, const uint8_t *p, size_t n)
{
	struct dr_step_answer a;
	struct dr_error ignored;
	if (dr_step_answer_decode(&a, p, n, &ignored) == DR_OK)
		ended(c, by, &a);
}

/* From an agent: only of a step that names it. */
void dr_runbook_agent(struct dr_in *in, const uint8_t *p, size_t n)
{
	struct dr_step_answer a;
	struct dr_error ignored;
	struct dr_coord *c = in->coord;
	if (dr_step_answer_decode(&a, p, n, &ignored) != DR_OK)
		return;
	for (uint32_t i = 0; i < DR_SITE_PLANS_KEPT; i++) {
		struct dr_site_step_wanted w;
		char key[DR_STEP_KEY_MAX];
		if (!dr_core_site_step(c->core, i, &w) || !dr_name_eq(&w.does->on_agent, &in->conn.peer.name))
			continue;
		key_of(c, &w, key);
		if (strcmp(key, a.key) == 0) {
			ended(c, NULL, &a);
			return;
		}
	}
}
