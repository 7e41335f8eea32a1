/* supervisor_own.h -- shared by supervisor.c and supervisor_stop.c only. */
#ifndef DR_AGENT_SHELL_SUPERVISOR_OWN_H
#define DR_AGENT_SHELL_SUPERVISOR_OWN_H

#include "agent/shell/supervisor.h"

#define MS 1000000ull

enum rung { RUNG_NONE, RUNG_FAST, RUNG_IMMEDIATE, RUNG_KILL };

/* supervisor.c */
void super_phase(struct dr_supervisor *s, enum dr_super_phase phase);
void super_report(struct dr_supervisor *s);
void super_pace(struct dr_supervisor *s); /* the tick's period follows from the phase */

/* supervisor_stop.c: one look while STOPPING; the postmaster has ended (status known or not). */
void super_stop_tick(struct dr_supervisor *s);
void super_stop_ended(struct dr_supervisor *s);

#endif
