/* codec_client.c -- a client's request and the answer to it. */
#include <string.h>

#include "base/mem.h"
#include "proto/codec.h"
#include "proto/pb.h"
#include "proto/squeeze.h"

void dr_client_request_encode(struct dr_buf *out, const struct dr_client_request *r)
{
	Drcoord__Pb__ClientRequest m = DRCOORD__PB__CLIENT_REQUEST__INIT;
	Drcoord__Pb__Address at;
	struct dr_pb_spec *spec = r->spec != NULL ? dr_pb_spec_put(r->spec) : NULL;
	struct dr_buf squeezed;
	dr_pb_address_put(&at, &r->address);
	m.id = r->id;
	m.verb = dr_pb_str(r->verb);
	m.service = dr_pb_str(r->service.s);
	m.member = dr_pb_str(r->member.s);
	m.plan = r->plan;
	m.reason = dr_pb_str(r->reason);
	m.force = r->force;
	m.accept_loss = r->accept_loss;
	m.assert_fenced = r->assert_fenced;
	m.until_wall_ms = r->until_wall_ms;
	m.from = r->from;
	m.version = r->version;
	m.spec = dr_pb_spec_send(spec, &squeezed, &m.squeezed_spec);
	m.name = dr_pb_str(r->name.s);
	m.address = &at;
	m.site = dr_pb_str(r->site.s);
	m.raft_id = r->raft_id;
	dr_pb_pack(out, &m.base);
	dr_buf_close(&squeezed);
	dr_pb_spec_free(spec);
}

static enum dr_err take_request(struct dr_client_request *r, const Drcoord__Pb__ClientRequest *m, struct dr_error *e)
{
	r->id = m->id;
	r->plan = m->plan;
	r->until_wall_ms = m->until_wall_ms;
	r->from = m->from;
	r->version = m->version;
	r->raft_id = m->raft_id;
	r->force = m->force;
	r->accept_loss = m->accept_loss;
	r->assert_fenced = m->assert_fenced;
	dr_pb_text(r->verb, sizeof(r->verb), m->verb);
	dr_pb_text(r->reason, sizeof(r->reason), m->reason);
	dr_pb_address_take(&r->address, m->address);
	const struct {
		struct dr_name *to;
		const char *from;
		const char *what;
	} names[] = { { &r->service, m->service, "service" }, { &r->member, m->member, "member" },
		      { &r->name, m->name, "name" }, { &r->site, m->site, "site" } };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		enum dr_err rv = dr_pb_name(names[i].to, names[i].from, names[i].what, e);
		if (rv != DR_OK)
			return rv;
	}
	return DR_OK;
}

static enum dr_err decode(struct dr_client_request *r, const uint8_t *p, size_t n, bool spec, struct dr_error *e)
{
	struct dr_pb_budget b;
	Drcoord__Pb__ClientRequest *m = dr_pb_unpack(&drcoord__pb__client_request__descriptor, p, n, &b);
	memset(r, 0, sizeof(*r));
	if (m == NULL)
		return dr_fail(e, DR_E_PROTOCOL, "a request does not decode");
	enum dr_err rv = take_request(r, m, e);
	if (rv == DR_OK && !dr_pb_knows_all(&m->base))
		rv = dr_fail(e, DR_E_UNSUPPORTED, "a request with fields that this coordinator's version does not know: use a "
			     "drcoordctl of its version, or upgrade the coordinators");
	if (rv == DR_OK && spec)
		rv = dr_pb_spec_receive(&r->spec, m->spec, &m->squeezed_spec, e);
	dr_pb_free(m, &b);
	return rv;
}

enum dr_err dr_client_request_decode(struct dr_client_request *r, const uint8_t *p, size_t n, struct dr_error *e)
{
	return decode(r, p, n, true, e);
}

enum dr_err dr_client_request_decode_head(struct dr_client_request *r, const uint8_t *p, size_t n, struct dr_error *e)
{
	return decode(r, p, n, false, e);
}

void dr_client_response_encode(struct dr_buf *out, const struct dr_client_response *r)
{
	Drcoord__Pb__ClientResponse m = DRCOORD__PB__CLIENT_RESPONSE__INIT;
	Drcoord__Pb__Address at;
	dr_pb_address_put(&at, &r->leader_at);
	m.id = r->id;
	m.code = (uint32_t)r->code;
	m.message = dr_pb_str(r->message);
	m.word = dr_pb_str(r->word);
	m.override = dr_pb_str(r->override);
	m.json = dr_pb_str(r->json != NULL ? r->json : "");
	size_t json = strlen(m.json);
	struct dr_buf squeezed;
	dr_buf_init(&squeezed, DR_UNSQUEEZED_MAX);
	if (json >= DR_SQUEEZE_FROM && json <= DR_UNSQUEEZED_MAX) {
		dr_squeeze(&squeezed, m.json, json);
		m.squeezed_json = (ProtobufCBinaryData){ .data = squeezed.data, .len = squeezed.len };
		m.json = dr_pb_str("");
	}
	m.leader = dr_pb_str(r->leader.s);
	m.leader_at = &at;
	m.more = r->more;
	dr_pb_pack(out, &m.base);
	dr_buf_close(&squeezed);
}

/* A message's fields come in any order, and what an empty one lacks is added by the bytes behind it (protobuf,
 * "Last One Wins"). */
void dr_client_response_address(struct dr_buf *out, uint64_t id, const struct dr_buf *answer)
{
	Drcoord__Pb__ClientResponse m = DRCOORD__PB__CLIENT_RESPONSE__INIT;
	m.id = id;
	dr_pb_pack(out, &m.base);
	dr_buf_put(out, answer->data, answer->len);
}

static enum dr_err take_squeezed(struct dr_client_response *r, const ProtobufCBinaryData *m, struct dr_error *e)
{
	struct dr_buf whole;
	dr_buf_init(&whole, DR_UNSQUEEZED_MAX + 1);
	enum dr_err rv = dr_unsqueeze(&whole, m->data, m->len, e);
	if (rv == DR_OK && (whole.len == 0 || memchr(whole.data, '\0', whole.len) != NULL))
		rv = dr_fail(e, DR_E_PROTOCOL, "a compressed answer that is no text");
	dr_buf_put_u8(&whole, 0);
	if (rv == DR_OK)
		r->json = dr_xstrdup((const char *)whole.data);
	dr_buf_close(&whole);
	return rv;
}

enum dr_err dr_client_response_decode(struct dr_client_response *r, const uint8_t *p, size_t n, struct dr_error *e)
{
	struct dr_pb_budget b;
	Drcoord__Pb__ClientResponse *m = dr_pb_unpack(&drcoord__pb__client_response__descriptor, p, n, &b);
	memset(r, 0, sizeof(*r));
	if (m == NULL)
		return dr_fail(e, DR_E_PROTOCOL, "a response does not decode");
	r->id = m->id;
	r->code = (enum dr_err)(m->code < DR_ERR_COUNT ? m->code : DR_E_FAILED);
	r->more = m->more;
	dr_pb_text(r->message, sizeof(r->message), m->message);
	dr_pb_text(r->word, sizeof(r->word), m->word);
	dr_pb_text(r->override, sizeof(r->override), m->override);
	dr_pb_address_take(&r->leader_at, m->leader_at);
	enum dr_err rv = dr_pb_name(&r->leader, m->leader, "leader", e);
	if (rv == DR_OK && m->squeezed_json.len > 0)
		rv = take_squeezed(r, &m->squeezed_json, e);
	else if (rv == DR_OK && m->json[0] != '\0')
		r->json = dr_xstrdup(m->json);
	dr_pb_free(m, &b);
	return rv;
}
