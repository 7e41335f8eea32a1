/* codec.h -- between plain data and bytes: messages, log entries, snapshots.
 *
 * Decoders take hostile bytes: every length and value is checked, a budget bounds memory (DR_FRAME_MAX of input
 * may unpack to 16 times that), strings must be valid names or printable text.  On an error the target is
 * left in an unspecified but valid state.  Encoders append to the caller's buffer.  Any thread. */
#ifndef DR_PROTO_CODEC_H
#define DR_PROTO_CODEC_H

#include "base/buf.h"
#include "model/cmd.h"
#include "model/event.h"
#include "model/plan.h"
#include "model/promise.h"
#include "model/report.h"

enum { DR_SOFTWARE_MAX = 24 };
struct dr_greet {
	uint32_t kind;         /* enum dr_greet_kind */
	struct dr_name cluster, name;
	uint32_t version;
	char software[DR_SOFTWARE_MAX]; /* of an agent; "": it does not say */
};
void dr_greet_encode(struct dr_buf *out, const struct dr_greet *g);
DR_MUST_USE enum dr_err dr_greet_decode(struct dr_greet *g, const uint8_t *p, size_t n, struct dr_error *e);

void dr_report_encode(struct dr_buf *out, const struct dr_report *r);
DR_MUST_USE enum dr_err dr_report_decode(struct dr_report *r, const uint8_t *p, size_t n, struct dr_error *e);
void dr_order_encode(struct dr_buf *out, const struct dr_order *o);
DR_MUST_USE enum dr_err dr_order_decode(struct dr_order *o, const uint8_t *p, size_t n, struct dr_error *e);

/* Renew, Grant, MemberResult, Cancel, Look: what they share is whom they speak of. */
struct dr_member_msg {
	struct dr_name service, member;
	uint64_t epoch, id;            /* RENEW, GRANT; CANCEL: id is the order's number */
	uint32_t ttl_ms;               /* GRANT */
	struct dr_order_result result; /* RESULT */
};
void dr_member_msg_encode(struct dr_buf *out, uint16_t frame, const struct dr_member_msg *m);
DR_MUST_USE enum dr_err dr_member_msg_decode(struct dr_member_msg *m, uint16_t frame, const uint8_t *p, size_t n,
					     struct dr_error *e);

/* Questions and answers between agents. */
void dr_ask_encode(struct dr_buf *out, const struct dr_ask *a);
DR_MUST_USE enum dr_err dr_ask_decode(struct dr_ask *a, const uint8_t *p, size_t n, struct dr_error *e);
void dr_promise_encode(struct dr_buf *out, const struct dr_promise *p);
DR_MUST_USE enum dr_err dr_promise_decode(struct dr_promise *pr, const uint8_t *p, size_t n, struct dr_error *e);

/* A step of the runbook for another node to carry out, and how that ended. */
struct dr_step_ask {
	char key[DR_STEP_KEY_MAX]; /* adapters/steps.h makes it: the same for every repetition, by whichever leader */
	struct dr_name cluster, site;
	uint64_t plan;
	enum dr_plan_kind kind;
	bool undo;
	uint32_t left_ms;          /* of its time, by the leader's count; 0: all of it */
	struct dr_runbook_step step;
};
void dr_step_ask_encode(struct dr_buf *out, const struct dr_step_ask *a);
DR_MUST_USE enum dr_err dr_step_ask_decode(struct dr_step_ask *a, const uint8_t *p, size_t n, struct dr_error *e);
struct dr_step_answer {
	char key[DR_STEP_KEY_MAX];
	enum dr_err code;          /* OK: it is done; FAILED: text says why; CANCELLED: it does not run there, and will not */
	char text[DR_REASON_MAX];
};
void dr_step_answer_encode(struct dr_buf *out, const struct dr_step_answer *a);
DR_MUST_USE enum dr_err dr_step_answer_decode(struct dr_step_answer *a, const uint8_t *p, size_t n, struct dr_error *e);

struct dr_lead {
	bool leading;
	uint64_t term;
	struct dr_name leader;
	struct dr_timing timing;
	uint32_t ttl_longest_ms; /* of all leases and promises that may still run */
};
void dr_lead_encode(struct dr_buf *out, const struct dr_lead *l);
DR_MUST_USE enum dr_err dr_lead_decode(struct dr_lead *l, const uint8_t *p, size_t n, struct dr_error *e);

void dr_observations_encode(struct dr_buf *out, const struct dr_observation *o, uint32_t n);
/* Up to max are written to o; their number to *count. */
DR_MUST_USE enum dr_err dr_observations_decode(struct dr_observation *o, uint32_t max, uint32_t *count,
					       const uint8_t *p, size_t n, struct dr_error *e);

/* A client's request; spec is allocated by decode when present (dr_spec_free). */
struct dr_client_request {
	uint64_t id;
	char verb[32];
	struct dr_name service, member, name, site;
	uint64_t plan, until_wall_ms, from, version, raft_id;
	char reason[DR_REASON_MAX];
	bool force, accept_loss, assert_fenced;
	struct dr_address address;
	struct dr_spec *spec;
};
void dr_client_request_encode(struct dr_buf *out, const struct dr_client_request *r);
DR_MUST_USE enum dr_err dr_client_request_decode(struct dr_client_request *r, const uint8_t *p, size_t n,
						 struct dr_error *e);
/* The same without the spec, which takes up to a thousand times what it takes on its way: for asking whose it is first. */
DR_MUST_USE enum dr_err dr_client_request_decode_head(struct dr_client_request *r, const uint8_t *p, size_t n,
						      struct dr_error *e);

/* The answer; json is borrowed on encode, allocated by decode (dr_free). */
struct dr_client_response {
	uint64_t id;
	enum dr_err code;
	char message[DR_ERROR_MSG_MAX];
	char word[48];
	char override[DR_REASON_TEXT_MAX];
	char *json;
	struct dr_name leader;
	struct dr_address leader_at;
	bool more;
};
void dr_client_response_encode(struct dr_buf *out, const struct dr_client_response *r);
/* An answer that was encoded with id 0, for this id. */
void dr_client_response_address(struct dr_buf *out, uint64_t id, const struct dr_buf *answer);
DR_MUST_USE enum dr_err dr_client_response_decode(struct dr_client_response *r, const uint8_t *p, size_t n,
						  struct dr_error *e);

/* A spec with room for its services, all zero; NULL never. */
struct dr_spec *dr_spec_new(uint32_t services);
void dr_spec_free(struct dr_spec *s);

/* Log entries: one byte (bit 7: the guard must sync, design.md 4.11; low bits: format 1), one byte kind, then the
 * message.  The format stands outside protobuf so that an old node refuses what it does not know. */
void dr_cmd_encode(struct dr_buf *out, const struct dr_cmd *cmd);
/* cmd->spec is allocated when present: dr_cmd_close.  CORRUPT: does not decode. */
DR_MUST_USE enum dr_err dr_cmd_decode(struct dr_cmd *cmd, const uint8_t *p, size_t n, struct dr_error *e);
void dr_cmd_close(struct dr_cmd *cmd);
/* One event's canonical bytes (the message, packed): what the ledger chains. */
void dr_event_encode(struct dr_buf *out, const struct dr_event_record *e);

/* Whether these bytes are a lease tick, without decoding the rest. */
bool dr_cmd_is_tick(const uint8_t *p, size_t n);

#endif
