/* emit.h -- how apply*.c write down what happened.  Inside coord/core/ only. */
#ifndef DR_COORD_CORE_EMIT_H
#define DR_COORD_CORE_EMIT_H

#include "coord/core/repl.h"

/* Append an event of this kind and return it for its other fields; s may be NULL.  Service, epoch, wall time,
 * actor, text, reason and its values are filled in. */
struct dr_event_record *dr_emit(struct dr_repl *r, enum dr_event_kind kind, const struct dr_cmd *cmd,
				const struct dr_service *s);
/* The same with a plan's id, kind and present step. */
struct dr_event_record *dr_emit_plan(struct dr_repl *r, enum dr_event_kind kind, const struct dr_cmd *cmd,
				     const struct dr_service *s, const struct dr_plan *p);
void dr_emit_member(struct dr_event_record *e, const struct dr_service *s, dr_member_ix m);

/* Remember what a request came to; nothing when the command has none. */
void dr_request_remember(struct dr_repl *r, const struct dr_cmd *cmd, enum dr_reason refused, uint64_t a);

/* The handlers, one file a subject: apply_plan.c, apply_order.c, apply_spec.c. */
void dr_apply_plan_open(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_declare(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_choose(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_claim(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_step_end(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_ask(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_approve(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_plan_close(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_prove(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_order(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_order_end(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_sync_change(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_sync_confirm(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_member_joined(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_member_left(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_routed(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_apply_spec(struct dr_repl *r, const struct dr_cmd *cmd);
void dr_apply_site_open(struct dr_repl *r, const struct dr_cmd *cmd);
void dr_apply_site_close(struct dr_repl *r, const struct dr_cmd *cmd);
void dr_apply_site_step(struct dr_repl *r, const struct dr_cmd *cmd);
void dr_apply_site_approve(struct dr_repl *r, const struct dr_cmd *cmd);
void dr_apply_site_left(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);

/* apply_site.c: what a service's plans mean for the site plan that it is a part of. */
/* A plan is to be opened: false when it has to wait for its group's turn, or came too late. */
bool dr_part_may_open(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_part_opened(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_part_asks(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);
void dr_part_closed(struct dr_repl *r, struct dr_service *s, uint64_t plan, const struct dr_cmd *cmd, bool success);
void dr_part_gone(struct dr_repl *r, struct dr_service *s, const struct dr_cmd *cmd);

/* apply_runbook.c: steps of people's own in a site plan. */
/* Start the step that is due before the services of a group (any: there are some left); false: none is. */
bool dr_runbook_turn(struct dr_repl *r, struct dr_site_plan *p, bool any, uint32_t group, uint64_t wall_ms);
/* The newest one that was begun is undone next, once nobody runs it any more; false: nothing is left to undo. */
bool dr_runbook_undo(const struct dr_repl *r, struct dr_site_plan *p);
/* Whatever has its turn has it no more, but to be ended where it runs. */
void dr_runbook_drop(struct dr_repl *r, struct dr_site_plan *p, uint64_t wall_ms);
bool dr_runbook_step_failed(const struct dr_site_step *s);
/* A step ended: true when the plan goes on. */
bool dr_runbook_ended(struct dr_repl *r, struct dr_site_plan *p, const struct dr_cmd *cmd);
uint32_t dr_runbook_failed(const struct dr_site_plan *p);

/* sync.c: the set and k that count for a (set, k) of this service: an empty one is ({holder}, 1). */
struct dr_sync dr_sync_effective(const struct dr_sync *s, dr_member_ix holder);
/* What is safe while the server may still act by either of two. */
struct dr_sync dr_sync_joint(const struct dr_sync *a, const struct dr_sync *b);

/* apply_order.c: whether what a member has, that stands still, is known to be a part of what the holder stood still with.
 * s has a holder. */
bool dr_is_part_of_holder(const struct dr_service *s, dr_member_ix m);

/* The open plan with this id: the main one or a rejoin; NULL. */
struct dr_plan *dr_service_plan(struct dr_service *s, uint64_t id);

#endif
