/* steps.h -- steps of site plans' runbooks that this node is asked to carry out: a command in its commands_in, or a signed
 * request, by the adapters exec and webhook.
 *
 * Whoever asks may ask again, and another one may: a step is known by its key, so it is under way once, and one that has ended
 * is answered from here for as long as a site plan that is open may ask for it (verify and the receiver's own memory of keys
 * tell the same after a restart).  One step at a time of each name, whatever its plan: the next one waits for the one that is
 * being ended; to undo a step ends it first.
 *
 * On the loop's thread; the caller owns the struct, which lives as long as the program. */
#ifndef DR_ADAPTERS_STEPS_H
#define DR_ADAPTERS_STEPS_H

#include "adapters/adapter.h"
#include "adapters/pool.h"
#include "model/report.h"
#include "proto/codec.h"

/* At most one site plan is open for each site; of each step its run and its undo may be remembered. */
enum { DR_STEP_RUNS_MAX = 32, DR_STEP_ENDS_MAX = DR_SITES_MAX * DR_RUNBOOK_MAX * 2 };

struct dr_steps;

/* Private to steps.c. */
struct dr_step_run {
	struct dr_steps *all;
	struct dr_step_ask ask;
	bool used, running, closing, over, dropped, cancelled, ready;
	uint32_t tries;
	uint64_t until_ms;
	struct dr_session session;
	struct dr_op op;
	struct dr_step_answer answer;
	uv_timer_t later;
};

struct dr_steps {
	uv_loop_t *loop;
	struct dr_name node;                 /* this coordinator, or agent */
	char commands_in[DR_PATH_MAX];
	char secrets_in[DR_PATH_MAX];
	/* A step that was asked for has ended; also one that had already.  CANCELLED: one that was to be ended does not run here
	 * (any more), and is not begun again.  Never from inside dr_steps_ask() and dr_steps_cancel(). */
	void (*ended)(struct dr_steps *s, const struct dr_step_answer *a);
	void *ctx;                           /* the caller's */
	char refused[DR_CAUTION_MAX];        /* which program in commands_in would not be run, why, and what to do; "": none */
	/* Private to steps.c. */
	uv_timer_t look_again;
	struct dr_pool_job look;
	enum dr_err looked;
	struct dr_error look_e;
	struct dr_step_run run[DR_STEP_RUNS_MAX];
	struct dr_step_answer end[DR_STEP_ENDS_MAX]; /* the newest; key "": free */
	uint32_t ends_next;
};

/* Look at the folder of commands from now on, once a minute: what would be refused stands in `refused`, and in the log. */
void dr_steps_look(struct dr_steps *s);
/* Begin the step unless it is under way or has ended.  What cannot be begun is answered by `ended` too.  ask->left_ms counts
 * from now; one that is under way keeps the end that it was given first. */
void dr_steps_ask(struct dr_steps *s, const struct dr_step_ask *ask);
/* End it, for good: `ended` says when nothing of it runs. */
void dr_steps_cancel(struct dr_steps *s, const char *key);
/* End what this node is not to do any more, for now: `ended` is not called for it, and it may be asked for again. */
void dr_steps_drop(struct dr_steps *s, const char *key);
/* Whether the step of that key is under way here, or being ended. */
bool dr_steps_runs(const struct dr_steps *s, const char *key);
/* CLUSTER/site-plan/PLAN/STEP, with /undo at its end when it is taken back. */
void dr_step_key(char out[DR_STEP_KEY_MAX], const struct dr_name *cluster, uint64_t plan, const struct dr_name *step, bool undo);

#endif
