/* plan.h -- the kinds of plans and their steps, from plans.def and steps.def.  Pure tables. */
#ifndef DR_MODEL_PLAN_H
#define DR_MODEL_PLAN_H

#include "model/event.h"

enum dr_step {
	DR_STEP_NONE = 0,
#define STEP(id, name, word, secs, if_stuck, undo, help) DR_STEP_##name = (id),
#include "model/steps.def"
#undef STEP
	DR_STEP_ID_MAX = 256
};

enum dr_if_stuck { DR_STUCK_ABORT, DR_STUCK_ASK, DR_STUCK_HOLD, DR_STUCK_SKIP };
enum dr_undo { DR_UNDO_NOTHING, DR_UNDO_RESTORE, DR_UNDO_NEVER };

struct dr_step_row {
	enum dr_step id;
	const char *name, *help;
	uint32_t limit_ms;
	enum dr_if_stuck if_stuck;
	enum dr_undo undo;
};
const struct dr_step_row *dr_step_row(enum dr_step s); /* NULL when unknown */
const char *dr_step_name(enum dr_step s);              /* "promote"; "none" */

enum dr_plan_kind {
	DR_PLAN_NONE = 0,
#define PLAN(id, name, word, steps) DR_PLAN_##name = (id),
#include "model/plans.def"
#undef PLAN
	DR_PLAN_KIND_MAX = 16
};

struct dr_plan_row {
	const char *name;
	uint32_t steps; /* 0: of site plans only */
	uint32_t bar; /* index of the first step right of the bar; == steps when it has none */
	enum dr_step step[DR_STEPS_MAX];
};
const struct dr_plan_row *dr_plan_row(enum dr_plan_kind k); /* NULL when unknown */
const char *dr_plan_name(enum dr_plan_kind k);

/* How a service fares in a site plan. */
enum dr_part_state { DR_PART_NONE, DR_PART_WAITING, DR_PART_MOVING, DR_PART_DONE, DR_PART_LEFT, DR_PART_STATES };
const char *dr_part_state_name(enum dr_part_state s); /* "waiting"; "none" */

/* How a step of the runbook fares in it. */
enum dr_site_step_state {
	DR_SITE_STEP_WAITING, DR_SITE_STEP_RUNNING, DR_SITE_STEP_DONE, DR_SITE_STEP_FAILED, DR_SITE_STEP_UNDOING,
	DR_SITE_STEP_UNDONE, DR_SITE_STEP_UNDO_FAILED, DR_SITE_STEP_ENDING, DR_SITE_STEP_UNDO_ENDING, DR_SITE_STEP_STATES
};
const char *dr_site_step_state_name(enum dr_site_step_state s);

#endif
