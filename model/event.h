/* event.h -- what happened: the records that `watch` streams and the ledger keeps.  Plain data.
 *
 * Events come from applied log entries only, so every coordinator has the same ones under the same index. */
#ifndef DR_MODEL_EVENT_H
#define DR_MODEL_EVENT_H

#include "model/order.h"

enum dr_event_kind {
	DR_EVENT_NONE = 0,
#define EVENT(id, name, word, level, text) DR_EVENT_##name = (id),
#include "model/events.def"
#undef EVENT
	DR_EVENT_KIND_MAX = 64
};
const char *dr_event_name(enum dr_event_kind k); /* "plan.step.done" */
const char *dr_event_text(enum dr_event_kind k); /* for people */
bool dr_event_warns(enum dr_event_kind k);

enum dr_reason {
	DR_REASON_NONE = 0,
#define REASON(id, name, word, text, override) DR_REASON_##name = (id),
#include "model/reasons.def"
#undef REASON
	DR_REASON_KIND_MAX = 160,
	DR_REASON_TEXT_MAX = 256 /* bytes of a reason's text, or its override, with values and NUL */
};
const char *dr_reason_name(enum dr_reason r);     /* "primary_healthy" */
const char *dr_reason_text(enum dr_reason r);     /* with {a} and {b} */
const char *dr_reason_override(enum dr_reason r); /* may be empty */
/* Fill in {a} and {b}; always NUL-terminates. */
void dr_reason_format(char *dst, size_t cap, const char *text, uint64_t a, uint64_t b);

enum dr_proof { DR_PROOF_NONE, DR_PROOF_AGENT, DR_PROOF_LEASE, DR_PROOF_EXTERNAL, DR_PROOF_OPERATOR };
const char *dr_proof_name(enum dr_proof p); /* "agent-confirmed", "lease-expired", "external", "operator-asserted" */

struct dr_event_record {
	uint64_t index;        /* 1, 2, 3, ...: no gaps */
	uint64_t wall_ms;      /* the proposer's, since 1970 UTC */
	uint64_t log_index;
	enum dr_event_kind kind;
	enum dr_reason reason;
	struct dr_name service, member, site;
	uint64_t epoch, plan, number;
	uint32_t plan_kind, step;
	enum dr_order_kind order;
	enum dr_outcome outcome;
	enum dr_proof proof;
	uint64_t a, b;         /* the reason's or the event's values */
	struct dr_name actor;  /* a person, or empty */
	char text[DR_REASON_MAX];
};

#endif
