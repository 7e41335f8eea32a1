/* runbook.h -- steps of people's own in site plans, as this coordinator has them carried out (runbook.c). */
#ifndef DR_COORD_SHELL_RUNBOOK_H
#define DR_COORD_SHELL_RUNBOOK_H

#include "coord/shell/coord.h"

void dr_runbook_open(struct dr_coord *c);
/* Which program in commands_in this coordinator would not run, why, and what to do; "": none. */
const char *dr_runbook_refused(const struct dr_coord *c);
/* After each event: what is due, if we lead. */
void dr_runbook_carry_out(struct dr_coord *c);
/* DR_FRAME_STEP_ASK of another coordinator. */
void dr_runbook_asked(struct dr_coord *c, const struct dr_name *by, const uint8_t *p, size_t n);
/* DR_FRAME_STEP_CANCEL of another coordinator. */
void dr_runbook_cancelled(struct dr_coord *c, const uint8_t *p, size_t n);
/* DR_FRAME_STEP_ANSWER of a coordinator, of an agent. */
void dr_runbook_told_frame(struct dr_coord *c, const struct dr_name *by, const uint8_t *p, size_t n);
void dr_runbook_agent(struct dr_in *in, const uint8_t *p, size_t n);

#endif
