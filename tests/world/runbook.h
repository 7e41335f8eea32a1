/* runbook.h -- steps of people's own in site plans (runbook.c). */
#ifndef DR_TESTS_WORLD_RUNBOOK_H
#define DR_TESTS_WORLD_RUNBOOK_H

#include "tests/world/world.h"

/* After each event: what is due begins, and ends a moment later. */
void w_runbook_carry_out(struct world *w, uint32_t c);
/* One more step in the spec that is applied next; its name says how it ends. */
struct dr_runbook_step *w_runbook_add(struct world *w, const char *name, enum dr_runbook_when when, uint32_t group);
/* The words of a script: before, after, or the group that it comes after; stop, planned, failover or nothing. */
void w_runbook_words(struct world *w, const char *name, const char *when, const char *how);
void w_check_runbook(struct world *w, const struct dr_site_plan *p);

#endif
