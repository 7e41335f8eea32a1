/* plan.c -- see plan.h. */
#include "model/plan.h"


static const struct dr_step_row steps[] = {
#define STEP(id, name, word, secs, if_stuck, undo, help)                                                       \
	{ DR_STEP_##name, word, help, (secs) * 1000, DR_STUCK_##if_stuck, DR_UNDO_##undo },
#include "model/steps.def"
#undef STEP
};

enum { STEP_BAR = -1 };

/* The rows as written: step ids with the bar as a mark between them. */
static const struct {
	enum dr_plan_kind kind;
	const char *name;
	int step[DR_STEPS_MAX + 2];
} written[] = {
#define S(name) DR_STEP_##name,
#define BAR     STEP_BAR,
#define PLAN(id, name, word, steps) { DR_PLAN_##name, word, { steps 0 } },
#include "model/plans.def"
#undef PLAN
#undef BAR
#undef S
};
enum { WRITTEN = sizeof(written) / sizeof(written[0]) };

static struct dr_plan_row rows[DR_PLAN_KIND_MAX];

/* Made before main from the rows as written, and only read afterwards. */
__attribute__((constructor)) static void rows_init(void)
{
	for (size_t p = 0; p < WRITTEN; p++) {
		struct dr_plan_row *r = &rows[written[p].kind];
		bool barred = false;
		r->name = written[p].name;
		for (size_t i = 0; written[p].step[i] != 0; i++) {
			if (written[p].step[i] == STEP_BAR) {
				r->bar = r->steps;
				barred = true;
			} else {
				r->step[r->steps++] = (enum dr_step)written[p].step[i];
			}
		}
		if (!barred)
			r->bar = r->steps;
	}
}

const struct dr_step_row *dr_step_row(enum dr_step s)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i].id == s)
			return &steps[i];
	}
	return NULL;
}

const char *dr_step_name(enum dr_step s)
{
	const struct dr_step_row *r = dr_step_row(s);
	return r != NULL ? r->name : "none";
}

const struct dr_plan_row *dr_plan_row(enum dr_plan_kind k)
{
	return (unsigned)k < DR_PLAN_KIND_MAX && rows[k].name != NULL ? &rows[k] : NULL;
}

const char *dr_plan_name(enum dr_plan_kind k)
{
	const struct dr_plan_row *r = dr_plan_row(k);
	return r != NULL ? r->name : "none";
}

const char *dr_site_step_state_name(enum dr_site_step_state s)
{
	static const char *const names[DR_SITE_STEP_STATES] = { "waiting", "running", "done", "failed", "undoing", "undone",
								"undo_failed", "ending", "undo_ending" };
	return (unsigned)s < DR_SITE_STEP_STATES ? names[s] : "waiting";
}

const char *dr_part_state_name(enum dr_part_state s)
{
	static const char *const names[DR_PART_STATES] = { "none", "waiting", "moving", "done", "left" };
	return (unsigned)s < DR_PART_STATES ? names[s] : "none";
}
