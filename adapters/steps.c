/* steps.c -- see steps.h.
 *
 *   asked -> waits for another run of the step -> try -> over --> remembered, answered
 *                                                  ^ |
 *                                                  | +-> failed -> a pause, TRIES_MAX times while there is time -> over
 *   cancelled: killed, over as soon as nothing of it runs.  dropped: killed, neither remembered nor answered. */
#include "adapters/steps.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/run.h"
#include "base/parse.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { TRIES_MAX = 3, PAUSE_FIRST_MS = 200, SOON_MS = 1, TURN_MS = 20, LOOK_EVERY_MS = 60000 };

static const char undo_word[] = "/undo";

void dr_step_key(char out[DR_STEP_KEY_MAX], const struct dr_name *cluster, uint64_t plan, const struct dr_name *step, bool undo)
{
	(void)snprintf(out, DR_STEP_KEY_MAX, "%s/site-plan/%" PRIu64 "/%s%s", cluster->s, plan, step->s, undo ? undo_word : "");
}

static void on_later(uv_timer_t *t);
static void on_look_again(uv_timer_t *t);

static void later(struct dr_step_run *r, uint64_t ms)
{
	(void)uv_timer_start(&r->later, on_later, ms, 0);
}

static struct dr_step_run *find(struct dr_steps *s, const char *key)
{
	for (uint32_t i = 0; i < DR_STEP_RUNS_MAX; i++) {
		if (s->run[i].used && !s->run[i].dropped && strcmp(s->run[i].ask.key, key) == 0)
			return &s->run[i];
	}
	return NULL;
}

static struct dr_step_answer *recall(struct dr_steps *s, const char *key)
{
	for (uint32_t i = 0; i < DR_STEP_ENDS_MAX; i++) {
		if (s->end[i].key[0] != '\0' && strcmp(s->end[i].key, key) == 0)
			return &s->end[i];
	}
	return NULL;
}

/* What is cancelled is so whatever became of it; else the first end counts. */
static void remember(struct dr_steps *s, const struct dr_step_answer *a)
{
	struct dr_step_answer *known = recall(s, a->key);
	if (known == NULL) {
		s->end[s->ends_next] = *a;
		s->ends_next = (s->ends_next + 1) % DR_STEP_ENDS_MAX;
	} else if (a->code == DR_E_CANCELLED) {
		*known = *a;
	}
}

static void cancelled_answer(struct dr_step_answer *a, const char *key)
{
	*a = (struct dr_step_answer){ .code = DR_E_CANCELLED };
	(void)dr_copy_text(a->key, sizeof(a->key), key);
}

static struct dr_step_run *place_for(struct dr_steps *s)
{
	for (uint32_t i = 0; i < DR_STEP_RUNS_MAX; i++) {
		if (!s->run[i].used)
			return &s->run[i];
	}
	return NULL;
}

static bool goes_on(const struct dr_step_run *r)
{
	return r->used && (r->running || r->closing);
}

/* Another run of the same step goes on, or is being ended. */
static bool has_to_wait(const struct dr_step_run *r)
{
	for (uint32_t i = 0; i < DR_STEP_RUNS_MAX; i++) {
		const struct dr_step_run *o = &r->all->run[i];
		if (o != r && goes_on(o) && dr_name_eq(&o->ask.step.name, &r->ask.step.name))
			return true;
	}
	return false;
}

/* One that was begun under the same key, and dropped, has not ended yet. */
static bool was_dropped_just_now(const struct dr_step_run *r)
{
	for (uint32_t i = 0; i < DR_STEP_RUNS_MAX; i++) {
		const struct dr_step_run *o = &r->all->run[i];
		if (o != r && goes_on(o) && strcmp(o->ask.key, r->ask.key) == 0)
			return true;
	}
	return false;
}

static void answer(struct dr_step_run *r)
{
	struct dr_step_answer a = r->answer;
	struct dr_steps *s = r->all;
	bool dropped = r->dropped;
	r->used = false;
	if (!dropped)
		s->ended(s, &a);
}

static void end(struct dr_step_run *r, const struct dr_error *e)
{
	r->over = true;
	r->answer.code = e == NULL ? DR_OK : DR_E_FAILED;
	(void)dr_copy_text(r->answer.key, sizeof(r->answer.key), r->ask.key);
	(void)dr_copy_text(r->answer.text, sizeof(r->answer.text), e == NULL ? "" : e->msg);
	if (r->cancelled)
		cancelled_answer(&r->answer, r->ask.key);
	if (!r->dropped)
		remember(r->all, &r->answer);
	/* What a command said goes no further than this log. */
	dr_log(e == NULL ? DR_LOG_INFO : DR_LOG_WARN, e == NULL ? "step.done" : "step.failed",
	       "key=%s tries=%u why=\"%s\" shows=\"%s\"", r->ask.key, r->tries, e == NULL ? "" : e->msg, r->op.evidence.text);
}

static void on_closed(struct dr_session *session)
{
	struct dr_step_run *r = (struct dr_step_run *)(void *)((char *)session - offsetof(struct dr_step_run, session));
	r->closing = false;
	if (!uv_is_active((const uv_handle_t *)&r->later)) /* no pause before another try */
		answer(r);
}

static bool may_try_again(const struct dr_step_run *r, const struct dr_error *e, uint64_t pause)
{
	bool mended_by_waiting = dr_err_class(e->code) == DR_CLASS_RETRY && e->code != DR_E_TIMEOUT;
	return !r->dropped && !r->cancelled && mended_by_waiting && r->tries < TRIES_MAX &&
	       dr_clock_boot_ms() + pause < r->until_ms;
}

static void on_done(struct dr_op *op, const struct dr_error *e)
{
	struct dr_step_run *r = op->ctx;
	uint64_t pause = (uint64_t)PAUSE_FIRST_MS << r->tries;
	r->running = false;
	r->closing = true;
	pause = pause / 2 + (uint64_t)random() % pause;
	if (e != NULL && may_try_again(r, e, pause))
		later(r, pause);
	else
		end(r, e);
	dr_session_close(&r->session, on_closed);
}

static void fill_target(const struct dr_step_run *r, struct dr_target *t)
{
	const struct dr_runbook_step *does = &r->ask.step;
	struct dr_spec_route *to = &t->route;
	bool command = does->run[0] != '\0';
	memset(t, 0, sizeof(*t));
	t->cluster = r->ask.cluster;
	t->coordinator = r->all->node;
	t->step.site = r->ask.site;
	t->step.plan_kind = (uint32_t)r->ask.kind;
	t->step.undo = r->ask.undo;
	(void)dr_copy_text(t->step.key, sizeof(t->step.key), r->ask.key);
	(void)dr_copy_text(t->commands_in, sizeof(t->commands_in), r->all->commands_in);
	to->kind = command ? DR_ROUTE_EXEC : DR_ROUTE_WEBHOOK;
	to->name = does->name;
	to->timeout_ms = does->timeout_ms;
	if (command) {
		(void)dr_copy_text(to->run, sizeof(to->run), r->ask.undo ? does->undo : does->run);
		(void)dr_copy_text(to->verify, sizeof(to->verify), r->ask.undo ? "" : does->verify);
		return;
	}
	(void)dr_copy_text(to->url, sizeof(to->url), r->ask.undo ? does->undo_url : does->url);
	(void)dr_copy_text(to->hmac_secret_file, sizeof(to->hmac_secret_file), does->hmac_secret_file);
	(void)dr_copy_text(to->ca_file, sizeof(to->ca_file), does->ca_file);
}

static enum dr_err try_once(struct dr_step_run *r, struct dr_error *e)
{
	struct dr_target t;
	uint64_t now = dr_clock_boot_ms();
	fill_target(r, &t);
	const struct dr_adapter *a = dr_adapter_find(dr_route_kind_name(t.route.kind));
	if (a == NULL)
		return dr_fail(e, DR_E_UNSUPPORTED, "no adapter");
	enum dr_err rv = dr_target_secrets_in(&t, r->all->secrets_in, e);
	if (rv == DR_OK)
		rv = dr_session_open(&r->session, r->all->loop, a, &t, e);
	if (rv != DR_OK)
		return rv;
	r->op = (struct dr_op){ .kind = DR_OP_ROUTED, .done = on_done, .ctx = r, .args = { .plan = r->ask.plan } };
	r->op.deadline_ms = r->until_ms > now ? (uint32_t)(r->until_ms - now) : 1;
	r->running = true;
	r->tries++;
	rv = dr_session_start(&r->session, &r->op, e);
	if (rv == DR_OK)
		return rv;
	r->running = false;
	r->closing = true;
	end(r, e);
	dr_session_close(&r->session, on_closed);
	return DR_OK;
}

static void end_unbegun(struct dr_step_run *r, enum dr_err code, const char *why)
{
	struct dr_error e;
	dr_best_effort(dr_fail(&e, code, "%s", why));
	end(r, &e);
	answer(r);
}

static void on_later(uv_timer_t *t)
{
	struct dr_step_run *r = t->data;
	struct dr_error e;
	if (r->closing || r->running)
		later(r, SOON_MS);
	else if ((r->over || r->cancelled) && was_dropped_just_now(r))
		later(r, TURN_MS); /* before that it can't be said that nothing of it runs */
	else if (r->over)
		answer(r);
	else if (r->dropped || r->cancelled)
		end_unbegun(r, DR_E_CANCELLED, "cancelled");
	else if (dr_clock_boot_ms() >= r->until_ms)
		end_unbegun(r, DR_E_TIMEOUT, "its time was over before another run of the step had ended");
	else if (has_to_wait(r))
		later(r, TURN_MS);
	else if (try_once(r, &e) != DR_OK) {
		end(r, &e);
		answer(r);
	}
}

static struct dr_step_run *take_place(struct dr_steps *s, const char *key)
{
	struct dr_step_run *r = place_for(s);
	if (r == NULL) {
		dr_log(DR_LOG_WARN, "step.refused", "key=%s why=\"%d steps are under way here\"", key, DR_STEP_RUNS_MAX);
		return NULL;
	}
	if (!r->ready)
		(void)uv_timer_init(s->loop, &r->later);
	r->ready = true;
	r->later.data = r;
	r->all = s;
	r->used = true;
	r->over = r->dropped = r->cancelled = false;
	r->tries = 0;
	memset(&r->ask, 0, sizeof(r->ask));
	memset(&r->op, 0, sizeof(r->op));
	later(r, 0);
	return r;
}

/* What has ended is answered once more. */
static void answer_again(struct dr_steps *s, const struct dr_step_answer *a)
{
	struct dr_step_run *r = take_place(s, a->key);
	if (r == NULL)
		return;
	(void)dr_copy_text(r->ask.key, sizeof(r->ask.key), a->key);
	r->answer = *a;
	r->over = true;
}

static void begin(struct dr_steps *s, const struct dr_step_ask *ask)
{
	struct dr_step_run *r = take_place(s, ask->key);
	uint32_t ms = ask->step.timeout_ms != 0 ? ask->step.timeout_ms : 1;
	if (r == NULL)
		return;
	r->ask = *ask;
	r->until_ms = dr_clock_boot_ms() + (ask->left_ms != 0 && ask->left_ms < ms ? ask->left_ms : ms);
}

static void kill_run(struct dr_step_run *r)
{
	if (r->running)
		dr_session_cancel(&r->session);
	else if (!r->closing)
		later(r, 0);
}

/* Nobody begins what is being undone; what of it runs is ended, and the undo waits for that. */
static void end_what_is_undone(struct dr_steps *s, const struct dr_step_ask *ask)
{
	char key[DR_STEP_KEY_MAX];
	struct dr_step_answer a;
	size_t n = strlen(ask->key), word = strlen(undo_word);
	if (!ask->undo || n <= word || strcmp(ask->key + n - word, undo_word) != 0)
		return;
	(void)dr_copy_text(key, sizeof(key), ask->key);
	key[n - word] = '\0';
	struct dr_step_run *r = find(s, key);
	cancelled_answer(&a, key);
	remember(s, &a);
	if (r == NULL || r->over)
		return;
	r->cancelled = true;
	kill_run(r);
}

static struct dr_steps *of_look(struct dr_pool_job *j)
{
	return (struct dr_steps *)(void *)((char *)j - offsetof(struct dr_steps, look));
}

static void on_look(struct dr_pool_job *j)
{
	struct dr_steps *s = of_look(j);
	s->looked = dr_run_look(s->commands_in, &s->look_e);
}

/* Said when it changes. */
static void on_looked(struct dr_pool_job *j)
{
	struct dr_steps *s = of_look(j);
	char was[sizeof(s->refused)];
	memcpy(was, s->refused, sizeof(was));
	(void)dr_copy_text(s->refused, sizeof(s->refused), s->looked == DR_OK ? "" : s->look_e.msg);
	if (s->refused[0] != '\0' && strcmp(was, s->refused) != 0)
		dr_log(DR_LOG_WARN, "commands.refused", "commands_in=%s why=\"%s\"", s->commands_in, s->look_e.msg);
	(void)uv_timer_start(&s->look_again, on_look_again, LOOK_EVERY_MS, 0);
	dr_pool_leave();
}

static void on_look_again(uv_timer_t *t)
{
	struct dr_steps *s = t->data;
	struct dr_error e;
	dr_pool_join(s->loop);
	s->look = (struct dr_pool_job){ .work = on_look, .done = on_looked };
	if (dr_pool_submit(&s->look, &e) == DR_OK)
		return;
	(void)uv_timer_start(&s->look_again, on_look_again, LOOK_EVERY_MS, 0);
	dr_pool_leave();
}

void dr_steps_look(struct dr_steps *s)
{
	if (s->commands_in[0] == '\0')
		return;
	(void)uv_timer_init(s->loop, &s->look_again);
	s->look_again.data = s;
	(void)uv_timer_start(&s->look_again, on_look_again, 0, 0);
}

void dr_steps_ask(struct dr_steps *s, const struct dr_step_ask *ask)
{
	if (find(s, ask->key) != NULL)
		return;
	const struct dr_step_answer *known = recall(s, ask->key);
	if (known != NULL) {
		answer_again(s, known);
		return;
	}
	end_what_is_undone(s, ask);
	begin(s, ask);
}

void dr_steps_cancel(struct dr_steps *s, const char *key)
{
	struct dr_step_run *r = find(s, key);
	struct dr_step_answer a;
	cancelled_answer(&a, key);
	if (r == NULL) {
		remember(s, &a);
		answer_again(s, &a);
	} else if (!r->over) {
		r->cancelled = true;
		kill_run(r);
	} else {
		remember(s, &a);
		r->answer = a; /* it is on its way */
	}
}

void dr_steps_drop(struct dr_steps *s, const char *key)
{
	struct dr_step_run *r = find(s, key);
	if (r == NULL || r->over)
		return;
	r->dropped = true;
	kill_run(r);
}

bool dr_steps_runs(const struct dr_steps *s, const char *key)
{
	for (uint32_t i = 0; i < DR_STEP_RUNS_MAX; i++) {
		const struct dr_step_run *r = &s->run[i];
		if (r->used && !r->over && strcmp(r->ask.key, key) == 0)
			return true;
	}
	return false;
}
