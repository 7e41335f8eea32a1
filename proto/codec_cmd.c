/* codec_cmd.c -- log entries: two bytes of our own, then the message. */
#include <string.h>

#include "proto/codec.h"
#include "proto/pb.h"

enum { FORMAT = 1, DURABLE = 0x80, HEAD_BYTES = 2 };

static void put_cmd(Drcoord__Pb__Command *m, const struct dr_cmd *c)
{
	m->kind = (uint32_t)c->kind;
	m->wall_ms = c->wall_ms;
	m->service = c->service == DR_SERVICE_NONE ? 0 : c->service + 1;
	m->epoch = c->epoch;
	m->plan = c->plan;
	m->site_plan = c->site_plan;
	m->step = c->step;
	m->member = dr_pb_place(c->member);
	m->target = dr_pb_place(c->target);
	m->set = c->set;
	m->k = c->k;
	m->plan_kind = c->plan_kind;
	m->reason = (uint32_t)c->reason;
	m->a = c->a;
	m->b = c->b;
	m->position = c->position;
	m->proof = (uint32_t)c->proof;
	m->route = c->route;
	m->servers = c->servers;
	m->ttl_ms = c->ttl_ms;
	m->flag = c->flag;
	m->flag2 = c->flag2;
	m->force = c->force;
	m->until_wall_ms = c->until_wall_ms;
	m->request = c->request;
	m->actor = dr_pb_str(c->actor.s);
	m->text = dr_pb_str(c->text);
	m->name = dr_pb_str(c->name.s);
	m->site = dr_pb_str(c->site.s);
	m->id = c->id;
}

void dr_cmd_encode(struct dr_buf *out, const struct dr_cmd *c)
{
	Drcoord__Pb__Command m = DRCOORD__PB__COMMAND__INIT;
	Drcoord__Pb__OrderCore order;
	Drcoord__Pb__OrderResult result;
	Drcoord__Pb__Address at;
	struct dr_pb_spec *spec = c->spec != NULL ? dr_pb_spec_put(c->spec) : NULL;
	struct dr_buf squeezed;
	put_cmd(&m, c);
	dr_pb_order_put(&order, &c->order);
	dr_pb_result_put(&result, &c->result);
	dr_pb_address_put(&at, &c->address);
	if (c->kind == DR_CMD_ORDER)
		m.order = &order;
	if (c->kind == DR_CMD_ORDER_END)
		m.result = &result;
	if (c->kind == DR_CMD_COORDINATOR)
		m.address = &at;
	m.spec = dr_pb_spec_send(spec, &squeezed, &m.squeezed_spec);
	dr_buf_put_u8(out, (uint8_t)(FORMAT | (dr_cmd_durable(c->kind) ? DURABLE : 0)));
	dr_buf_put_u8(out, (uint8_t)c->kind);
	dr_pb_pack(out, &m.base);
	dr_buf_close(&squeezed);
	dr_pb_spec_free(spec);
}

static enum dr_err take_cmd(struct dr_cmd *c, const Drcoord__Pb__Command *m, struct dr_error *e)
{
	c->kind = (enum dr_cmd_kind)m->kind;
	c->wall_ms = m->wall_ms;
	c->service = m->service == 0 ? (uint32_t)DR_SERVICE_NONE : m->service - 1;
	c->epoch = m->epoch;
	c->plan = m->plan;
	c->site_plan = m->site_plan;
	c->step = m->step;
	c->member = dr_pb_member(m->member);
	c->target = dr_pb_member(m->target);
	c->set = (dr_member_set)(m->set & 0xffu);
	c->k = m->k;
	c->plan_kind = m->plan_kind;
	c->reason = (enum dr_reason)m->reason;
	c->a = m->a;
	c->b = m->b;
	c->position = m->position;
	c->proof = (enum dr_proof)m->proof;
	c->route = m->route;
	c->servers = m->servers;
	c->ttl_ms = m->ttl_ms;
	c->flag = m->flag;
	c->flag2 = m->flag2;
	c->force = m->force;
	c->until_wall_ms = m->until_wall_ms;
	c->request = m->request;
	c->id = m->id;
	dr_pb_order_take(&c->order, m->order);
	dr_pb_result_take(&c->result, m->result);
	dr_pb_address_take(&c->address, m->address);
	dr_pb_text(c->text, sizeof(c->text), m->text);
	enum dr_err rv = dr_pb_name(&c->actor, m->actor, "actor", e);
	if (rv == DR_OK)
		rv = dr_pb_name(&c->name, m->name, "name", e);
	if (rv == DR_OK)
		rv = dr_pb_name(&c->site, m->site, "site", e);
	struct dr_spec *spec = NULL;
	if (rv == DR_OK)
		rv = dr_pb_spec_receive(&spec, m->spec, &m->squeezed_spec, e);
	c->spec = spec;
	return rv;
}

enum dr_err dr_cmd_decode(struct dr_cmd *c, const uint8_t *p, size_t n, struct dr_error *e)
{
	struct dr_pb_budget b;
	memset(c, 0, sizeof(*c));
	if (n < HEAD_BYTES || (p[0] & ~DURABLE) != FORMAT)
		return dr_fail(e, DR_E_CORRUPT, "an entry of unknown format");
	Drcoord__Pb__Command *m = dr_pb_unpack(&drcoord__pb__command__descriptor, p + HEAD_BYTES, n - HEAD_BYTES, &b);
	if (m == NULL)
		return dr_fail(e, DR_E_CORRUPT, "an entry does not decode");
	enum dr_err rv = take_cmd(c, m, e);
	if (rv == DR_OK && (uint32_t)c->kind != p[1])
		rv = dr_fail(e, DR_E_CORRUPT, "an entry whose head and body differ");
	/* Whoever skipped an entry of a later build would be no replica any more. */
	if (rv == DR_OK && !dr_pb_knows_all(&m->base))
		rv = dr_fail(e, DR_E_CORRUPT, "an entry with fields that this build does not know");
	if (rv == DR_OK && !dr_cmd_known(c->kind))
		rv = dr_fail(e, DR_E_CORRUPT, "an entry of kind %u, which this build does not know", m->kind);
	dr_pb_free(m, &b);
	if (rv != DR_OK) {
		dr_cmd_close(c);
		return DR_E_CORRUPT;
	}
	return DR_OK;
}

void dr_cmd_close(struct dr_cmd *c)
{
	dr_spec_free((struct dr_spec *)(uintptr_t)c->spec);
	c->spec = NULL;
}

bool dr_cmd_is_tick(const uint8_t *p, size_t n)
{
	return n >= HEAD_BYTES && (p[0] & ~DURABLE) == FORMAT && p[1] == DR_CMD_TICK;
}

void dr_event_encode(struct dr_buf *out, const struct dr_event_record *e)
{
	Drcoord__Pb__Event m;
	dr_pb_event_put(&m, e);
	dr_pb_pack(out, &m.base);
}
