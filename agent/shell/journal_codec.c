/* journal_codec.c -- the journal's bytes: a small head, then the newest order as it came over the wire. */
#include "agent/shell/journal_codec.h"

#include <string.h>

#include "proto/codec.h"

enum { JOURNAL_FORMAT = 3, FORMAT_BEFORE = 2 /* results without system_id */ };
enum { IS_MANAGED = 1, IS_TURNING = 2, ACKED = 0x80 /* beside the divergence */ };

static void put_timing(struct dr_buf *out, const struct dr_timing *t)
{
	const uint32_t v[] = { t->renew_ms, t->ttl_ms, t->fence_budget_ms, t->guard_margin_ms,
			       t->probe_ms, t->probe_deadline_ms, t->detect_after_ms, t->drift_ppm };
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		dr_buf_put_u32be(out, v[i]);
}

static void take_timing(struct dr_view *v, struct dr_timing *t)
{
	uint32_t *const to[] = { &t->renew_ms, &t->ttl_ms, &t->fence_budget_ms, &t->guard_margin_ms,
				 &t->probe_ms, &t->probe_deadline_ms, &t->detect_after_ms, &t->drift_ppm };
	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++)
		*to[i] = dr_view_u32be(v);
}

static void put_result(struct dr_buf *out, const struct dr_order_result *r)
{
	dr_buf_put_u64be(out, r->number);
	dr_buf_put_u64be(out, r->epoch);
	dr_buf_put_u8(out, (uint8_t)r->outcome);
	dr_buf_put_u8(out, (uint8_t)r->code);
	dr_buf_put_u64be(out, r->position);
	dr_buf_put_u32be(out, r->timeline);
	dr_buf_put_u64be(out, r->system_id);
	dr_buf_put_u8(out, (uint8_t)((unsigned)r->divergence | (r->acked ? ACKED : 0u)));
	dr_buf_put(out, r->text, sizeof(r->text));
}

static void take_result(struct dr_view *v, uint8_t format, struct dr_order_result *r)
{
	memset(r, 0, sizeof(*r));
	r->number = dr_view_u64be(v);
	r->epoch = dr_view_u64be(v);
	r->outcome = (enum dr_outcome)dr_view_u8(v);
	r->code = (enum dr_err)dr_view_u8(v);
	r->position = dr_view_u64be(v);
	r->timeline = dr_view_u32be(v);
	r->system_id = format > FORMAT_BEFORE ? dr_view_u64be(v) : 0;
	uint8_t divergence = dr_view_u8(v);
	r->divergence = (enum dr_divergence)(divergence & ~(unsigned)ACKED);
	r->acked = (divergence & ACKED) != 0;
	const uint8_t *text = dr_view_bytes(v, sizeof(r->text));
	if (text != NULL)
		memcpy(r->text, text, sizeof(r->text) - 1);
}

static void put_list(struct dr_buf *out, const struct dr_agent_list *l)
{
	dr_buf_put_u64be(out, l->epoch);
	dr_buf_put_u64be(out, l->version);
	dr_buf_put_u8(out, (uint8_t)l->members);
	for (uint32_t i = 0; i < l->members && i < DR_MEMBERS_MAX; i++) {
		dr_buf_put(out, l->member[i].member.s, DR_NAME_MAX);
		dr_buf_put(out, l->member[i].agent.s, DR_NAME_MAX);
		dr_buf_put(out, l->member[i].agent_at.host, DR_HOST_MAX);
		dr_buf_put_u16be(out, l->member[i].agent_at.port);
	}
}

/* Cut, so that it ends. */
static void take_text(struct dr_view *v, char *to, size_t cap)
{
	const uint8_t *p = dr_view_bytes(v, cap);
	if (p != NULL)
		memcpy(to, p, cap - 1);
}

static void take_list(struct dr_view *v, struct dr_agent_list *l)
{
	l->epoch = dr_view_u64be(v);
	l->version = dr_view_u64be(v);
	uint32_t n = dr_view_u8(v);
	if (n > DR_MEMBERS_MAX)
		v->bad = true;
	for (; l->members < n && !v->bad; l->members++) {
		struct dr_order_peer *p = &l->member[l->members];
		take_text(v, p->member.s, DR_NAME_MAX);
		take_text(v, p->agent.s, DR_NAME_MAX);
		take_text(v, p->agent_at.host, DR_HOST_MAX);
		p->agent_at.port = dr_view_u16be(v);
		p->listed = true;
	}
}

void dr_agent_journal_encode(struct dr_buf *out, const struct dr_agent_journal *j)
{
	dr_buf_put_u8(out, JOURNAL_FORMAT);
	dr_buf_put_u8(out, (uint8_t)((j->managed ? IS_MANAGED : 0) | (j->turning ? IS_TURNING : 0)));
	dr_buf_put_u8(out, (uint8_t)j->role);
	dr_buf_put_u64be(out, j->epoch);
	dr_buf_put_u64be(out, j->order_seen);
	put_result(out, &j->done);
	put_timing(out, &j->timing);
	dr_buf_put_u32be(out, j->promise_ms);
	put_list(out, &j->list);
	if (j->order_seen != 0)
		dr_order_encode(out, &j->order);
}

enum dr_err dr_agent_journal_decode(struct dr_agent_journal *j, const uint8_t *p, size_t n, struct dr_error *e)
{
	struct dr_view v = dr_view_of(p, n);
	memset(j, 0, sizeof(*j));
	uint8_t format = dr_view_u8(&v);
	if (format != JOURNAL_FORMAT && format != FORMAT_BEFORE)
		return dr_fail(e, DR_E_CORRUPT, "the journal has format %u, this build reads %d and %d", format, FORMAT_BEFORE,
			       JOURNAL_FORMAT);
	uint8_t is = dr_view_u8(&v);
	j->managed = (is & IS_MANAGED) != 0;
	j->turning = (is & IS_TURNING) != 0;
	j->role = (enum dr_member_role)dr_view_u8(&v);
	j->epoch = dr_view_u64be(&v);
	j->order_seen = dr_view_u64be(&v);
	take_result(&v, format, &j->done);
	take_timing(&v, &j->timing);
	j->promise_ms = dr_view_u32be(&v);
	take_list(&v, &j->list);
	if (v.bad)
		return dr_fail(e, DR_E_CORRUPT, "the journal is cut short");
	if (j->order_seen == 0)
		return DR_OK;
	size_t left = dr_view_left(&v);
	if (dr_order_decode(&j->order, dr_view_bytes(&v, left), left, e) != DR_OK) {
		(void)dr_wrap(e, "the journal's order");
		return DR_E_CORRUPT;
	}
	return DR_OK;
}
