/* parts.h -- what the files of agent/core/ share among themselves. */
#ifndef DR_AGENT_CORE_PARTS_H
#define DR_AGENT_CORE_PARTS_H

#include "agent/core/agent_core.h"

/* gate.c: take an order, answer it from the journal, or refuse it. */
void dr_agent_gate(struct dr_agent_core *c, const struct dr_order *o, struct dr_agent_decision *out);
void dr_agent_gate_cancel(struct dr_agent_core *c, uint64_t number, struct dr_agent_decision *out);
/* The role that follows from an order that was done. */
void dr_agent_role_after(struct dr_agent_core *c, struct dr_agent_decision *out);
/* An adoption that came to nothing: the server is not ours, so nothing may end it. */
void dr_agent_not_adopted(struct dr_agent_core *c, struct dr_agent_decision *out);

/* lease.c */
void dr_agent_renew(struct dr_agent_core *c, bool wanted, struct dr_agent_decision *out);
void dr_agent_grant(struct dr_agent_core *c, const struct dr_agent_event *ev, struct dr_agent_decision *out);
void dr_agent_lease_drop(struct dr_agent_core *c);
void dr_agent_renewals_void(struct dr_agent_core *c);

/* failsafe.c */
void dr_agent_failsafe_init(struct dr_agent_core *c);
void dr_agent_failsafe_timing(struct dr_agent_core *c, uint32_t longest_ms);
/* Time goes on: promises of ours end, questions are due. */
void dr_agent_failsafe(struct dr_agent_core *c, struct dr_agent_decision *out);
void dr_agent_asked(struct dr_agent_core *c, const struct dr_agent_event *ev, struct dr_agent_decision *out);
void dr_agent_promise(struct dr_agent_core *c, const struct dr_promise *p, struct dr_agent_decision *out);
/* Whether the order's list may be taken now; and take it. */
bool dr_agent_may_take_list(const struct dr_agent_core *c, const struct dr_order *o);
void dr_agent_take_list(struct dr_agent_core *c, const struct dr_order *o);
/* Whether the order would break a promise. */
bool dr_agent_breaks_promise(const struct dr_agent_core *c, const struct dr_order *o);

/* agent_core.c */
void dr_agent_wake(struct dr_agent_decision *out, uint64_t at_ms);
void dr_agent_disarm(struct dr_agent_decision *out);

#endif
