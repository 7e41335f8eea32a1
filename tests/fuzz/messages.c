/* messages.c -- the protobuf messages of proto/codec.h, each there and back. */
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "proto/codec.h"
#include "proto/frames.h"
#include "proto/pb.h"

/* A message of plain data: its decoder and encoder are as proto/codec.h has them. */
#define PLAIN(type)                                                                                          \
	static enum dr_err get_##type(void *v, const uint8_t *p, size_t n, struct dr_error *e)               \
	{                                                                                                    \
		return dr_##type##_decode((struct dr_##type *)v, p, n, e);                                   \
	}                                                                                                    \
	static void put_##type(struct dr_buf *out, const void *v)                                            \
	{                                                                                                    \
		dr_##type##_encode(out, (const struct dr_##type *)v);                                        \
	}                                                                                                    \
	static void try_##type(const uint8_t *p, size_t n)                                                   \
	{                                                                                                    \
		static const struct fuzz_codec codec = { .size = sizeof(struct dr_##type),                   \
							 .decode = get_##type,                               \
							 .encode = put_##type };                             \
		fuzz_round_trip(&codec, p, n);                                                               \
	}

PLAIN(greet)
PLAIN(report)
PLAIN(lead)
PLAIN(ask)
PLAIN(promise)
PLAIN(step_ask)
PLAIN(step_answer)

void fuzz_greet(const uint8_t *p, size_t n)
{
	try_greet(p, n);
}

void fuzz_report(const uint8_t *p, size_t n)
{
	try_report(p, n);
}

static enum dr_err get_order(void *v, const uint8_t *p, size_t n, struct dr_error *e)
{
	return dr_order_decode(v, p, n, e);
}

static void put_order(struct dr_buf *out, const void *v)
{
	dr_order_encode(out, v);
}

static bool same_order(const void *a, const void *b)
{
	return fuzz_same_order(a, b);
}

void fuzz_order(const uint8_t *p, size_t n)
{
	static const struct fuzz_codec codec = {
		.size = sizeof(struct dr_order), .decode = get_order, .encode = put_order, .same = same_order
	};
	fuzz_round_trip(&codec, p, n);
}

void fuzz_lead(const uint8_t *p, size_t n)
{
	try_lead(p, n);
}

void fuzz_promise(const uint8_t *p, size_t n)
{
	if (fuzz_first(&p, &n) % 2 == 0)
		try_ask(p, n);
	else
		try_promise(p, n);
}

void fuzz_step(const uint8_t *p, size_t n)
{
	if (fuzz_first(&p, &n) % 2 == 0)
		try_step_ask(p, n);
	else
		try_step_answer(p, n);
}

/* ---- messages about a member: the frame's type says which ---- */

static const uint16_t member_frames[] = { DR_FRAME_RENEW, DR_FRAME_GRANT, DR_FRAME_RESULT, DR_FRAME_CANCEL,
					  DR_FRAME_LOOK };
static uint16_t member_frame;

static enum dr_err get_member(void *v, const uint8_t *p, size_t n, struct dr_error *e)
{
	return dr_member_msg_decode(v, member_frame, p, n, e);
}

static void put_member(struct dr_buf *out, const void *v)
{
	dr_member_msg_encode(out, member_frame, v);
}

void fuzz_member(const uint8_t *p, size_t n)
{
	static const struct fuzz_codec codec = { .size = sizeof(struct dr_member_msg),
						 .decode = get_member,
						 .encode = put_member };
	member_frame = member_frames[fuzz_first(&p, &n) % (sizeof(member_frames) / sizeof(member_frames[0]))];
	fuzz_round_trip(&codec, p, n);
}

/* ---- observations ---- */

enum { OBSERVED_MAX = 64 };
struct observed {
	uint32_t count;
	struct dr_observation o[OBSERVED_MAX];
};

static enum dr_err get_observed(void *v, const uint8_t *p, size_t n, struct dr_error *e)
{
	struct observed *x = v;
	enum dr_err rv = dr_observations_decode(x->o, OBSERVED_MAX, &x->count, p, n, e);
	FUZZ_CHECK(x->count <= OBSERVED_MAX);
	return rv;
}

static void put_observed(struct dr_buf *out, const void *v)
{
	const struct observed *x = v;
	dr_observations_encode(out, x->o, x->count);
}

static bool same_observed(const void *a, const void *b)
{
	const struct observed *x = a, *y = b;
	bool same = x->count == y->count;
	for (uint32_t i = 0; same && i < x->count; i++) {
		const struct dr_observation *m = &x->o[i], *o = &y->o[i];
		same = m->service == o->service && m->member == o->member &&
		       m->agent_age_ms == o->agent_age_ms && m->server_age_ms == o->server_age_ms &&
		       m->write_age_ms == o->write_age_ms && m->in_recovery == o->in_recovery &&
		       m->position == o->position && m->failure == o->failure &&
		       m->failing_ms == o->failing_ms;
	}
	return same;
}

void fuzz_observations(const uint8_t *p, size_t n)
{
	static const struct fuzz_codec codec = { .size = sizeof(struct observed),
						 .decode = get_observed,
						 .encode = put_observed,
						 .same = same_observed };
	fuzz_round_trip(&codec, p, n);
}

/* ---- what carries a spec ---- */

static bool same_spec(const struct dr_spec *a, const struct dr_spec *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	bool same = memcmp(&a->cluster, &b->cluster, sizeof(a->cluster)) == 0 &&
		    memcmp(&a->timing, &b->timing, sizeof(a->timing)) == 0 && a->sites == b->sites &&
		    memcmp(a->site, b->site, sizeof(a->site)) == 0 && a->services == b->services;
	for (uint32_t i = 0; same && i < a->services; i++)
		same = memcmp(&a->service[i], &b->service[i], sizeof(a->service[i])) == 0;
	return same;
}

static enum dr_err get_request(void *v, const uint8_t *p, size_t n, struct dr_error *e)
{
	return dr_client_request_decode(v, p, n, e);
}

static void put_request(struct dr_buf *out, const void *v)
{
	dr_client_request_encode(out, v);
}

static void close_request(void *v)
{
	dr_spec_free(((struct dr_client_request *)v)->spec);
}

static bool same_request(const void *a, const void *b)
{
	struct dr_client_request x, y;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	bool same = same_spec(x.spec, y.spec);
	x.spec = y.spec = NULL;
	return same && memcmp(&x, &y, sizeof(x)) == 0;
}

void fuzz_request(const uint8_t *p, size_t n)
{
	static const struct fuzz_codec codec = { .size = sizeof(struct dr_client_request),
						 .decode = get_request,
						 .encode = put_request,
						 .close = close_request,
						 .same = same_request };
	fuzz_round_trip(&codec, p, n);
}

static enum dr_err get_command(void *v, const uint8_t *p, size_t n, struct dr_error *e)
{
	bool tick = dr_cmd_is_tick(p, n);
	enum dr_err rv = dr_cmd_decode(v, p, n, e);
	FUZZ_CHECK(rv != DR_OK || tick == (((struct dr_cmd *)v)->kind == DR_CMD_TICK));
	return rv;
}

static void put_command(struct dr_buf *out, const void *v)
{
	dr_cmd_encode(out, v);
}

static void close_command(void *v)
{
	dr_cmd_close(v);
}

/* An entry carries order, result and address only with the kinds that have them. */
static bool same_command(const void *a, const void *b)
{
	struct dr_cmd x, y;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	bool same =
	    same_spec(x.spec, y.spec) && (x.kind != DR_CMD_ORDER || fuzz_same_core(&x.order, &y.order));
	memset(&x.order, 0, sizeof(x.order));
	memset(&y.order, 0, sizeof(y.order));
	if (x.kind != DR_CMD_ORDER_END)
		memcpy(&x.result, &y.result, sizeof(x.result));
	if (x.kind != DR_CMD_COORDINATOR)
		memcpy(&x.address, &y.address, sizeof(x.address));
	x.spec = y.spec = NULL;
	return same && memcmp(&x, &y, sizeof(x)) == 0;
}

void fuzz_command(const uint8_t *p, size_t n)
{
	static const struct fuzz_codec codec = { .size = sizeof(struct dr_cmd),
						 .decode = get_command,
						 .encode = put_command,
						 .close = close_command,
						 .same = same_command };
	fuzz_round_trip(&codec, p, n);
}

/* ---- responses and events ---- */

static enum dr_err get_response(void *v, const uint8_t *p, size_t n, struct dr_error *e)
{
	return dr_client_response_decode(v, p, n, e);
}

static void put_response(struct dr_buf *out, const void *v)
{
	dr_client_response_encode(out, v);
}

static void close_response(void *v)
{
	dr_free(((struct dr_client_response *)v)->json);
}

static bool same_response(const void *a, const void *b)
{
	struct dr_client_response x, y;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	bool same = x.json == NULL || y.json == NULL ? x.json == y.json : strcmp(x.json, y.json) == 0;
	x.json = y.json = NULL;
	return same && memcmp(&x, &y, sizeof(x)) == 0;
}

void fuzz_response(const uint8_t *p, size_t n)
{
	static const struct fuzz_codec codec = { .size = sizeof(struct dr_client_response),
						 .decode = get_response,
						 .encode = put_response,
						 .close = close_response,
						 .same = same_response };
	fuzz_round_trip(&codec, p, n);
}

static enum dr_err get_event(void *v, const uint8_t *p, size_t n, struct dr_error *e)
{
	struct dr_pb_budget b;
	Drcoord__Pb__Event *m = dr_pb_unpack(&drcoord__pb__event__descriptor, p, n, &b);
	if (m == NULL)
		return dr_fail(e, DR_E_PROTOCOL, "an event does not decode");
	enum dr_err rv = dr_pb_event_take(v, m, e);
	dr_pb_free(m, &b);
	return rv;
}

static void put_event(struct dr_buf *out, const void *v)
{
	const struct dr_event_record *x = v;
	char text[DR_REASON_TEXT_MAX];
	dr_event_encode(out, x);
	/* What is said of an event must be total: it may come from a later build. */
	FUZZ_CHECK(dr_event_name(x->kind) != NULL && dr_event_text(x->kind) != NULL);
	FUZZ_CHECK(dr_order_name(x->order) != NULL && dr_outcome_name(x->outcome) != NULL);
	FUZZ_CHECK(dr_proof_name(x->proof) != NULL && dr_reason_name(x->reason) != NULL);
	dr_reason_format(text, sizeof(text), dr_reason_text(x->reason), x->a, x->b);
	dr_reason_format(text, sizeof(text), dr_reason_override(x->reason), x->a, x->b);
	dr_reason_format(text, sizeof(text), x->text, x->a, x->b);
	FUZZ_CHECK(strlen(text) < sizeof(text));
}

void fuzz_event(const uint8_t *p, size_t n)
{
	static const struct fuzz_codec codec = { .size = sizeof(struct dr_event_record),
						 .decode = get_event,
						 .encode = put_event };
	fuzz_round_trip(&codec, p, n);
}
