/* steps.h -- steps of site plans' runbooks that this node is asked to carry out: a command in its commands_in, or a signed
 * request, by the adapters exec and webhook.
 *
 * Whoever asks may ask again, and another one may: a step is known by its key, so it is under way once, and one that is done
 * is answered from here for as long as it is remembered (the newest DR_STEP_RUNS_MAX are; verify and the receiver's own memory of
 * keys tell the same after a restart).  One that failed is begun anew when it is asked for again.
 *
 * On the loop's thread; the caller owns the struct, which lives as long as the program. */
#ifndef DR_ADAPTERS_STEPS_H
#define DR_ADAPTERS_STEPS_H

#include "adapters/adapter.h"
#include "proto/codec.h"

enum { DR_STEP_RUNS_MAX = 32 };

struct dr_steps;

/* Private to steps.c. */
struct dr_step_run {
	struct dr_steps *all;
	struct dr_step_ask ask;
	bool used, running, closing, done, dropped, ready;
	uint32_t tries;
	uint64_t until_ms, used_ms;
	struct dr_session session;
	struct dr_op op;
	struct dr_step_answer answer;
	uv_timer_t later;
};

struct dr_steps {
	uv_loop_t *loop;
	struct dr_name node;                 /* this coordinator, or agent */
	char commands_in[DR_PATH_MAX];
	/* A step that was asked for has ended; also one that had already.  Never from inside dr_steps_ask(). */
	void (*ended)(struct dr_steps *s, const struct dr_step_answer *a);
	void *ctx;                           /* the caller's */
	struct dr_step_run run[DR_STEP_RUNS_MAX];
};

/* Begin the step unless it is under way or done.  What cannot be begun is answered by `ended` too. */
void dr_steps_ask(struct dr_steps *s, const struct dr_step_ask *ask);
/* End what nobody wants any more: `ended` is not called for it. */
void dr_steps_drop(struct dr_steps *s, const char *key);
/* Whether the step of that key is under way here. */
bool dr_steps_runs(const struct dr_steps *s, const char *key);
/* CLUSTER/site-plan/PLAN/STEP, with /undo at its end when it is taken back. */
void dr_step_key(char out[DR_STEP_KEY_MAX], const struct dr_name *cluster, uint64_t plan, const struct dr_name *step, bool undo);

#endif
