/* orders.c -- an agent's deciding half under what coordinators and other agents may say to it, whoever they are: orders,
 * grants, timings, questions and promises that decode well and say anything.
 *
 * Whatever it was told: its epoch and the highest order that it accepted never fall, it arms its guard for a lease of
 * its own epoch alone, and it can read its journal again after a crash, or it could never start. */
#include <string.h>

#include "agent/core/agent_core.h"
#include "agent/shell/journal_codec.h"
#include "fuzz.h"
#include "proto/codec.h"
#include "proto/frames.h"

static struct dr_agent_core core;
static struct dr_agent_decision did;
static uint64_t now, epoch, order_seen;

static void check_journal(void)
{
	static struct dr_agent_journal again;
	struct dr_error e = { 0 };
	struct dr_buf b;
	dr_buf_init(&b, 1 << 20);
	dr_agent_journal_encode(&b, &core.journal);
	FUZZ_CHECK(dr_buf_ok(&b));
	FUZZ_CHECK(dr_agent_journal_decode(&again, b.data, b.len, &e) == DR_OK);
	FUZZ_CHECK(again.epoch == core.journal.epoch && again.order_seen == core.journal.order_seen);
	FUZZ_CHECK(again.role == core.journal.role && again.order.core.kind == core.journal.order.core.kind);
	dr_buf_close(&b);
}

static void step(struct dr_agent_event *ev)
{
	ev->now_ms = now;
	dr_agent_core_step(&core, ev, &did);
	FUZZ_CHECK(core.journal.epoch >= epoch && core.journal.order_seen >= order_seen);
	/* A clock that jumps cuts the lease of an epoch that is over as well: its server may not have stopped yet. */
	bool ours = core.lease_epoch == core.journal.epoch || ev->kind == DR_AG_CLOCK_JUMPED;
	FUZZ_CHECK(!did.arm || (ours && core.lease_until_ms > now));
	FUZZ_CHECK(core.journal.list.members <= DR_MEMBERS_MAX);
	epoch = core.journal.epoch;
	order_seen = core.journal.order_seen;
	if (did.journal)
		check_journal();
}

static void order(const uint8_t *p, size_t n)
{
	static struct dr_order o;
	struct dr_error e;
	if (dr_order_decode(&o, p, n, &e) != DR_OK)
		return;
	struct dr_agent_event ev = { .kind = DR_AG_ORDER, .order = &o };
	step(&ev);
}

/* Numbers from the bytes would hardly ever be those that are expected: these follow the newest ones. */
static void next_order(const uint8_t *p, size_t n)
{
	struct dr_order o = { .core = { .number = core.journal.order_seen + 1, .epoch = core.journal.epoch } };
	if (n > 0)
		o.core.kind = (enum dr_order_kind)(p[0] % (DR_ORDER_LISTED + 2));
	if (n > 1)
		o.core.epoch += p[1] % 3;
	if (n > 2)
		o.core.number += p[2] % 3;
	if (strcmp(dr_order_name(o.core.kind), "none") == 0)
		return; /* the decoder refuses it */
	struct dr_agent_event ev = { .kind = DR_AG_ORDER, .order = &o };
	step(&ev);
}

static void member_message(const uint8_t *p, size_t n)
{
	struct dr_member_msg m;
	struct dr_error e;
	bool grant = n > 0 && p[0] % 2 == 0;
	if (n == 0 || dr_member_msg_decode(&m, grant ? DR_FRAME_GRANT : DR_FRAME_CANCEL, p + 1, n - 1, &e) != DR_OK)
		return;
	struct dr_agent_event ev = { .kind = grant ? DR_AG_GRANT : DR_AG_CANCEL, .id = m.id, .number = m.id,
				     .epoch = m.epoch, .ttl_ms = m.ttl_ms };
	step(&ev);
}

/* The newest renewal is granted, for as long as the bytes say. */
static void grant(const uint8_t *p, size_t n)
{
	struct dr_agent_event ev = { .kind = DR_AG_GRANT, .id = core.renewal_last, .epoch = core.journal.epoch,
				     .ttl_ms = core.timing.ttl_ms };
	if (n > 0)
		ev.ttl_ms += p[0] % 2 == 0 ? 0 : UINT32_MAX / (1u + p[0]);
	step(&ev);
}

static void lead(const uint8_t *p, size_t n)
{
	struct dr_lead l;
	struct dr_error e;
	if (dr_lead_decode(&l, p, n, &e) != DR_OK)
		return;
	struct dr_agent_event known = { .kind = DR_AG_LEADER, .known = l.leading };
	step(&known);
	struct dr_agent_event timing = { .kind = DR_AG_TIMING, .timing = &l.timing, .ttl_ms = l.ttl_longest_ms };
	if (l.timing.ttl_ms != 0) /* as agent/shell/coords.c */
		step(&timing);
}

static void ask(const uint8_t *p, size_t n)
{
	struct dr_ask a;
	struct dr_error e;
	if (n == 0 || dr_ask_decode(&a, p + 1, n - 1, &e) != DR_OK)
		return;
	struct dr_agent_event ev = { .kind = DR_AG_ASKED, .ask = &a, .known = p[0] % 2 == 0 };
	step(&ev);
}

static void promise(const uint8_t *p, size_t n)
{
	struct dr_promise pr;
	struct dr_error e;
	if (dr_promise_decode(&pr, p, n, &e) != DR_OK)
		return;
	struct dr_agent_event ev = { .kind = DR_AG_PROMISE, .promise = &pr };
	step(&ev);
}

/* What this side sees itself. */
static void own(const uint8_t *p, size_t n)
{
	struct dr_order_result r = { .number = core.journal.order.core.number, .epoch = core.journal.order.core.epoch,
				     .outcome = DR_OUTCOME_DONE };
	uint8_t what = n > 0 ? p[0] : 0;
	struct dr_agent_event ev = { .kind = DR_AG_TICK };
	if (what % 5 == 1 && core.op_running)
		ev = (struct dr_agent_event){ .kind = DR_AG_OP_ENDED, .result = &r };
	else if (what % 5 == 2)
		ev = (struct dr_agent_event){ .kind = DR_AG_SERVER,
					      .server = (enum dr_server_state)(what / 5 % (DR_SERVER_PRIMARY + 1)) };
	else if (what % 5 == 3)
		ev = (struct dr_agent_event){ .kind = DR_AG_GUARD, .alive = what / 5 % 2 == 0 };
	else if (what % 5 == 4)
		ev = (struct dr_agent_event){ .kind = DR_AG_CLOCK_JUMPED };
	step(&ev);
}

static void start(void)
{
	static const struct dr_agent_journal fresh;
	struct dr_name self;
	FUZZ_CHECK(dr_name_set(&self, "pg-a"));
	now = 1000000;
	epoch = order_seen = 0;
	dr_agent_core_init(&core, &self, &fresh, dr_timing_profile("default"), 77, 0, 0, now);
	struct dr_agent_event alive = { .kind = DR_AG_GUARD, .alive = true };
	step(&alive);
}

void fuzz_orders(const uint8_t *p, size_t n)
{
	static void (*const kinds[])(const uint8_t *p, size_t n) = { order, next_order, member_message, grant,
								    lead, ask, promise, own };
	start();
	struct dr_view v = dr_view_of(p, n);
	while (dr_view_left(&v) >= 3) {
		uint8_t kind = dr_view_u8(&v), later = dr_view_u8(&v);
		size_t len = dr_view_u8(&v);
		len = len < dr_view_left(&v) ? len : dr_view_left(&v);
		now += (uint64_t)later * 50;
		kinds[kind % (sizeof(kinds) / sizeof(kinds[0]))](dr_view_bytes(&v, len), len);
	}
}
