/* test_proto.c -- every message there and back with every field set, and what decoders do with hostile bytes.
 *
 * Each kind of message is filled with distinct values by name, encoded, decoded and compared; then every truncation
 * and thousands of flipped bits are decoded under the sanitizers, and whatever still decodes must encode again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/codec.h"
#include "proto/frames.h"
#include "proto_samples.h"

static struct dr_error err;

/* ---- one kind of message: fill, encode, decode, compare */

struct kind {
	const char *what;
	void (*encode)(struct dr_buf *b, const void *x);
	enum dr_err (*decode)(void *x, const uint8_t *p, size_t n);
	void (*close)(void *x);
	size_t size;
};

#define MESSAGE(word)                                                                                        \
	static void put_##word(struct dr_buf *b, const void *x)                                              \
	{                                                                                                    \
		dr_##word##_encode(b, x);                                                                    \
	}                                                                                                    \
	static enum dr_err get_##word(void *x, const uint8_t *p, size_t n)                                   \
	{                                                                                                    \
		return dr_##word##_decode(x, p, n, &err);                                                    \
	}
MESSAGE(greet)
MESSAGE(report)
MESSAGE(order)
MESSAGE(lead)
MESSAGE(client_request)
MESSAGE(client_response)
MESSAGE(cmd)
#define MEMBER_MSG(word, FRAME)                                                                              \
	static void put_##word(struct dr_buf *b, const void *x)                                              \
	{                                                                                                    \
		dr_member_msg_encode(b, FRAME, x);                                                           \
	}                                                                                                    \
	static enum dr_err get_##word(void *x, const uint8_t *p, size_t n)                                   \
	{                                                                                                    \
		return dr_member_msg_decode(x, FRAME, p, n, &err);                                           \
	}
MEMBER_MSG(renew, DR_FRAME_RENEW)
MEMBER_MSG(grant, DR_FRAME_GRANT)
MEMBER_MSG(result, DR_FRAME_RESULT)
MEMBER_MSG(cancel, DR_FRAME_CANCEL)
MEMBER_MSG(look, DR_FRAME_LOOK)

enum { OBSERVED = 3 };
static void put_observations(struct dr_buf *b, const void *x)
{
	dr_observations_encode(b, x, OBSERVED);
}
static enum dr_err get_observations(void *x, const uint8_t *p, size_t n)
{
	uint32_t count;
	memset(x, 0, OBSERVED * sizeof(struct dr_observation));
	return dr_observations_decode(x, OBSERVED, &count, p, n, &err);
}
static void close_request(void *x)
{
	struct dr_client_request *r = x;
	dr_spec_free(r->spec);
	r->spec = NULL;
}
static void close_response(void *x)
{
	struct dr_client_response *r = x;
	dr_free(r->json);
	r->json = NULL;
}
static void close_cmd(void *x)
{
	dr_cmd_close(x);
}

enum {
	GREET,
	REPORT,
	ORDER,
	LEAD,
	RENEW,
	GRANT,
	RESULT,
	CANCEL,
	LOOK,
	OBSERVATIONS,
	REQUEST,
	RESPONSE,
	CMD,
	KINDS
};
static const struct kind kinds[KINDS] = {
	[GREET] = { "greet", put_greet, get_greet, NULL, sizeof(struct dr_greet) },
	[REPORT] = { "report", put_report, get_report, NULL, sizeof(struct dr_report) },
	[ORDER] = { "order", put_order, get_order, NULL, sizeof(struct dr_order) },
	[LEAD] = { "lead", put_lead, get_lead, NULL, sizeof(struct dr_lead) },
	[RENEW] = { "renew", put_renew, get_renew, NULL, sizeof(struct dr_member_msg) },
	[GRANT] = { "grant", put_grant, get_grant, NULL, sizeof(struct dr_member_msg) },
	[RESULT] = { "result", put_result, get_result, NULL, sizeof(struct dr_member_msg) },
	[CANCEL] = { "cancel", put_cancel, get_cancel, NULL, sizeof(struct dr_member_msg) },
	[LOOK] = { "look", put_look, get_look, NULL, sizeof(struct dr_member_msg) },
	[OBSERVATIONS] = { "observations", put_observations, get_observations, NULL,
			   OBSERVED * sizeof(struct dr_observation) },
	[REQUEST] = { "request", put_client_request, get_client_request, close_request,
		      sizeof(struct dr_client_request) },
	[RESPONSE] = { "response", put_client_response, get_client_response, close_response,
		       sizeof(struct dr_client_response) },
	[CMD] = { "cmd", put_cmd, get_cmd, close_cmd, sizeof(struct dr_cmd) },
};

static struct dr_buf encoded(int k, const void *x)
{
	struct dr_buf b;
	dr_buf_init(&b, DR_ENTRY_MAX);
	kinds[k].encode(&b, x);
	assert_true(dr_buf_ok(&b));
	return b;
}

static void flip(int k, const struct dr_buf *good, void *into);

/* There, back, there again: the second bytes are the first ones.  Leaves what came back in *back. */
static void there_and_back(int k, const void *x, void *back)
{
	struct dr_buf a = encoded(k, x);
	assert_int_equal(kinds[k].decode(back, a.data, a.len), DR_OK);
	struct dr_buf b = encoded(k, back);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	void *into = dr_xcalloc(kinds[k].size);
	flip(k, &a, into);
	dr_free(into);
	dr_buf_close(&a);
	dr_buf_close(&b);
}

/* What decodes at all must be encodable again. */
static void try_bytes(int k, const uint8_t *p, size_t n, void *into)
{
	/* A copy of the exact size, so that the sanitizer sees each byte read too many. */
	uint8_t *exact = dr_xcalloc(n);
	memcpy(exact, p, n);
	dr_error_clear(&err);
	if (kinds[k].decode(into, exact, n) == DR_OK) {
		struct dr_buf b;
		dr_buf_init(&b, DR_FRAME_MAX);
		kinds[k].encode(&b, into);
		dr_buf_close(&b);
	} else {
		assert_int_not_equal(err.code, DR_OK);
	}
	if (kinds[k].close != NULL)
		kinds[k].close(into);
	dr_free(exact);
}

static void flip(int k, const struct dr_buf *good, void *into)
{
	uint8_t *bytes = dr_xcalloc(good->len);
	for (size_t n = 0; n < good->len; n++)
		try_bytes(k, good->data, n, into);
	for (size_t i = 0; i < good->len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(bytes, good->data, good->len);
			bytes[i] ^= (uint8_t)(1u << bit);
			try_bytes(k, bytes, good->len, into);
		}
	}
	uint32_t seed = 12345;
	for (int round = 0; round < 500; round++) {
		memcpy(bytes, good->data, good->len);
		for (int j = 0; j < 6; j++) {
			seed = seed * 1664525u + 1013904223u;
			bytes[(seed >> 8) % good->len] = (uint8_t)(seed >> 24);
		}
		try_bytes(k, bytes, good->len, into);
	}
	dr_free(bytes);
}

/* ---- the messages */

static void test_greet(void **state)
{
	(void)state;
	struct dr_greet g;
	struct dr_greet back;
	memset(&g, 0, sizeof(g));
	g = (struct dr_greet){ DR_GREET_CLIENT, sample_name("demo"), sample_name("c-a"), sample_u32(), "1.2.3" };
	there_and_back(GREET, &g, &back);
	assert_memory_equal(&g, &back, sizeof(g));
}

static void test_report(void **state)
{
	(void)state;
	struct dr_report r;
	struct dr_report b;
	memset(&r, 0, sizeof(r));
	r.service = sample_name("orders");
	r.member = sample_name("pg-a");
	r.incarnation = sample_u64();
	r.managed = r.crashed = r.guard_alive = r.foreign = r.receiving = r.acks = true;
	r.role = DR_ROLE_FENCED;
	r.epoch = sample_u64();
	r.order_seen = sample_u64();
	r.server = DR_SERVER_PRIMARY;
	r.lease_left_ms = sample_u32();
	r.system_id = sample_u64();
	r.timeline = sample_u32();
	r.received = sample_u64();
	r.replayed = sample_u64();
	r.upstream_at = sample_address("fd00::1", 5432);
	r.sync_k = sample_u32();
	r.peers = DR_MEMBERS_MAX;
	for (uint32_t i = 0; i < DR_MEMBERS_MAX; i++) {
		char n[8];
		(void)snprintf(n, sizeof(n), "pg-%u", i);
		r.peer[i].member = sample_name(n);
		r.peer[i].streaming = i % 2 == 0;
		r.peer[i].counts_for_sync = i % 2 == 1;
		r.peer[i].flushed = sample_u64();
	}
	sample_result(&r.last);
	sample_text(r.text, sizeof(r.text), "cgroup v2");
	there_and_back(REPORT, &r, &b);
	assert_true(dr_name_eq(&r.service, &b.service) && dr_name_eq(&r.member, &b.member));
	assert_true(b.managed && b.crashed && b.guard_alive && b.foreign && b.receiving && b.acks);
	assert_int_equal(r.role, b.role);
	assert_int_equal(r.server, b.server);
	assert_true(r.incarnation == b.incarnation && r.epoch == b.epoch && r.order_seen == b.order_seen &&
		    r.lease_left_ms == b.lease_left_ms && r.system_id == b.system_id &&
		    r.timeline == b.timeline && r.received == b.received && r.replayed == b.replayed &&
		    r.sync_k == b.sync_k);
	assert_memory_equal(&r.upstream_at, &b.upstream_at, sizeof(r.upstream_at));
	assert_int_equal(b.peers, DR_MEMBERS_MAX);
	assert_memory_equal(r.peer, b.peer, sizeof(r.peer));
	assert_memory_equal(&r.last, &b.last, sizeof(r.last));
	assert_string_equal(r.text, b.text);
}

static void test_order(void **state)
{
	(void)state;
	struct dr_order o;
	struct dr_order b;
	memset(&o, 0, sizeof(o));
	sample_core(&o.core);
	o.service = sample_name("orders"), o.takeover = true;
	o.member = sample_name("pg-a");
	o.target = sample_name("pg-b");
	o.target_at = sample_address("10.2.0.20", 65535);
	for (uint32_t i = 0; i < DR_MEMBERS_MAX; i++) {
		char n[8];
		(void)snprintf(n, sizeof(n), "pg-%u", i);
		o.sync_member[o.sync_members++] = sample_name(n);
		n[0] = 'x';
		sample_peer(&o.peer[o.peers++], n, i % 2 == 0);
	}
	there_and_back(ORDER, &o, &b);
	assert_memory_equal(&o.service, &b.service, sizeof(o) - offsetof(struct dr_order, service));
	assert_true(o.core.kind == b.core.kind && o.core.number == b.core.number &&
		    o.core.epoch == b.core.epoch && o.core.plan == b.core.plan &&
		    o.core.step == b.core.step && o.core.target == b.core.target &&
		    o.core.sync == b.core.sync && o.core.k == b.core.k &&
		    o.core.position == b.core.position && o.core.timeline == b.core.timeline && b.core.clean);
	assert_true(o.core.system_id != 0 && o.core.system_id == b.core.system_id);
	assert_true(b.core.listed == o.core.listed && b.core.list_version == o.core.list_version);
	o.core.target = DR_MEMBER_NONE;
	there_and_back(ORDER, &o, &b);
	assert_int_equal(b.core.target, DR_MEMBER_NONE);
}

/* An order of a kind that this build does not know, or without a number, is not taken for one. */
static void test_order_refused(void **state)
{
	(void)state;
	struct dr_order o, b;
	memset(&o, 0, sizeof(o));
	sample_core(&o.core);
	o.core.number = 0;
	struct dr_buf x = encoded(ORDER, &o);
	assert_int_equal(dr_order_decode(&b, x.data, x.len, &err), DR_E_PROTOCOL);
	dr_buf_close(&x);
	o.core.number = 1;
	o.core.kind = (enum dr_order_kind)(DR_ORDER_MAX + 5);
	x = encoded(ORDER, &o);
	assert_int_equal(dr_order_decode(&b, x.data, x.len, &err), DR_E_PROTOCOL);
	dr_buf_close(&x);
}

static void test_lead(void **state)
{
	(void)state;
	struct dr_lead l;
	struct dr_lead b;
	memset(&l, 0, sizeof(l));
	l.leading = true;
	l.term = sample_u64();
	l.leader = sample_name("c-b");
	sample_timing(&l.timing);
	there_and_back(LEAD, &l, &b);
	assert_true(b.leading && l.term == b.term && dr_name_eq(&l.leader, &b.leader));
	assert_memory_equal(&l.timing, &b.timing, sizeof(l.timing));
}

static void test_member_messages(void **state)
{
	(void)state;
	struct dr_member_msg m;
	struct dr_member_msg b;
	memset(&m, 0, sizeof(m));
	m.service = sample_name("orders");
	m.member = sample_name("pg-a");
	m.epoch = sample_u64();
	m.id = sample_u64();
	m.ttl_ms = sample_u32();
	sample_result(&m.result);
	for (int k = RENEW; k <= LOOK; k++) {
		there_and_back(k, &m, &b);
		assert_true(dr_name_eq(&m.service, &b.service) && dr_name_eq(&m.member, &b.member));
		assert_true(m.epoch == b.epoch || (k != RENEW && k != GRANT));
		assert_true(m.id == b.id || (k != RENEW && k != GRANT && k != CANCEL));
		assert_true(m.ttl_ms == b.ttl_ms || k != GRANT);
		assert_true(k != RESULT || memcmp(&m.result, &b.result, sizeof(m.result)) == 0);
	}
	assert_int_equal(dr_member_msg_decode(&b, DR_FRAME_GREET, (const uint8_t *)"", 0, &err),
			 DR_E_PROTOCOL);
}

static void test_observations(void **state)
{
	(void)state;
	struct dr_observation o[OBSERVED], b[OBSERVED];
	memset(o, 0, sizeof(o));
	for (uint32_t i = 0; i < OBSERVED; i++) {
		o[i].service = i == 0 ? DR_SERVICES_MAX - 1 : i;
		o[i].member = (dr_member_ix)(DR_MEMBERS_MAX - 1 - i);
		o[i].agent_age_ms = sample_u32();
		o[i].server_age_ms = UINT32_MAX;
		o[i].write_age_ms = sample_u32();
		o[i].in_recovery = i == 1;
		o[i].position = sample_u64();
		o[i].failure = (enum dr_failure)(i + 1);
		o[i].failing_ms = sample_u32();
	}
	there_and_back(OBSERVATIONS, o, b);
	for (uint32_t i = 0; i < OBSERVED; i++)
		assert_true(o[i].service == b[i].service && o[i].member == b[i].member && o[i].position == b[i].position &&
			    o[i].agent_age_ms == b[i].agent_age_ms && o[i].server_age_ms == b[i].server_age_ms &&
			    o[i].write_age_ms == b[i].write_age_ms && o[i].in_recovery == b[i].in_recovery &&
			    o[i].failure == b[i].failure && o[i].failing_ms == b[i].failing_ms);
	/* More than there is room for are left out; places that cannot be, too. */
	uint32_t count;
	struct dr_buf x = encoded(OBSERVATIONS, o);
	assert_int_equal(dr_observations_decode(b, 2, &count, x.data, x.len, &err), DR_OK);
	assert_int_equal(count, 2);
	dr_buf_close(&x);
	o[0].service = DR_SERVICES_MAX;
	o[1].member = DR_MEMBER_NONE;
	x = encoded(OBSERVATIONS, o);
	assert_int_equal(dr_observations_decode(b, OBSERVED, &count, x.data, x.len, &err), DR_OK);
	assert_int_equal(count, 1);
	assert_int_equal(b[0].service, 2);
	dr_buf_close(&x);
}
static void same_spec(const struct dr_spec *a, const struct dr_spec *b)
{
	assert_memory_equal(&a->cluster, &b->cluster, sizeof(a->cluster));
	assert_memory_equal(&a->timing, &b->timing, sizeof(a->timing));
	assert_int_equal(a->sites, b->sites);
	assert_memory_equal(a->site, b->site, sizeof(a->site));
	assert_memory_equal(a->runbook, b->runbook, sizeof(a->runbook));
	assert_true(a->services == b->services);
	for (uint32_t i = 0; i < a->services; i++)
		assert_memory_equal(&a->service[i], &b->service[i], sizeof(a->service[i]));
}

static void test_request(void **state)
{
	(void)state;
	struct dr_client_request r;
	struct dr_client_request b;
	memset(&r, 0, sizeof(r));
	r.id = sample_u64();
	sample_text(r.verb, sizeof(r.verb), "service adopt");
	r.service = sample_name("orders");
	r.member = sample_name("pg-a");
	r.name = sample_name("c-d");
	r.site = sample_name("az-c");
	r.plan = sample_u64();
	r.until_wall_ms = sample_u64();
	r.from = sample_u64();
	r.version = sample_u64();
	r.raft_id = sample_u64();
	sample_text(r.reason, sizeof(r.reason), "disk is failing");
	r.force = r.accept_loss = r.assert_fenced = true;
	r.address = sample_address("10.3.0.10", 7400);
	there_and_back(REQUEST, &r, &b);
	assert_memory_equal(&r, &b, sizeof(r));
	r.spec = sample_spec();
	there_and_back(REQUEST, &r, &b);
	same_spec(r.spec, b.spec);
	close_request(&r);
	close_request(&b);
}

static void test_response(void **state)
{
	(void)state;
	struct dr_client_response r;
	struct dr_client_response b;
	memset(&r, 0, sizeof(r));
	r.id = sample_u64();
	r.code = DR_E_NOT_LEADER;
	sample_text(r.message, sizeof(r.message), "plan 7 is open");
	sample_text(r.word, sizeof(r.word), "plan_is_open");
	sample_text(r.override, sizeof(r.override), "`drcoordctl abort 7`");
	r.json = dr_xstrdup("{\"a\":1}");
	r.leader = sample_name("c-b");
	r.leader_at = sample_address("10.2.0.10", 7400);
	r.more = true;
	there_and_back(RESPONSE, &r, &b);
	assert_string_equal(r.json, b.json);
	close_response(&r);
	close_response(&b);
	assert_memory_equal(&r, &b, sizeof(r));
}

static void fill_cmd(struct dr_cmd *c, enum dr_cmd_kind kind)
{
	memset(c, 0, sizeof(*c));
	c->kind = kind;
	c->wall_ms = sample_u64();
	c->service = DR_SERVICES_MAX - 1;
	c->epoch = sample_u64();
	c->plan = sample_u64();
	c->step = sample_u32();
	c->member = 3;
	c->target = 0;
	c->set = 0x5a;
	c->k = sample_u32();
	c->plan_kind = sample_u32();
	c->reason = DR_REASON_MAY_LOSE;
	c->a = sample_u64();
	c->b = sample_u64();
	c->position = sample_u64();
	c->proof = DR_PROOF_OPERATOR;
	c->route = sample_u32();
	c->servers = sample_u32();
	c->ttl_ms = sample_u32();
	c->flag = c->flag2 = c->force = true;
	c->site_plan = sample_u64();
	c->until_wall_ms = sample_u64();
	c->request = sample_u64();
	c->actor = sample_name("anna");
	sample_text(c->text, sizeof(c->text), "because");
	c->name = sample_name("c-a");
	c->site = sample_name("az-a");
	c->id = sample_u64();
}

/* Every kind of entry with every field that an entry carries. */
static void test_commands(void **state)
{
	(void)state;
	static const enum dr_cmd_kind all[] = {
#define COMMAND(id, name, durable, fields) DR_CMD_##name,
#include "model/commands.def"
#undef COMMAND
	};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct dr_cmd c;
		struct dr_cmd b;
		fill_cmd(&c, all[i]);
		sample_core(&c.order);
		sample_result(&c.result);
		c.address = sample_address("10.1.0.10", 7400);
		if (all[i] == DR_CMD_SPEC)
			c.spec = sample_spec();
		there_and_back(CMD, &c, &b);
		if (all[i] == DR_CMD_SPEC)
			same_spec(c.spec, b.spec);
		if (all[i] == DR_CMD_ORDER)
			assert_true(b.order.number == c.order.number && b.order.position == c.order.position);
		if (all[i] == DR_CMD_ORDER_END)
			assert_memory_equal(&b.result, &c.result, sizeof(c.result));
		if (all[i] == DR_CMD_COORDINATOR)
			assert_memory_equal(&b.address, &c.address, sizeof(c.address));
		assert_true(b.service == c.service && b.member == 3 && b.target == 0 && b.set == 0x5a &&
			    b.flag && b.flag2 && b.force && b.site_plan == c.site_plan && b.request == c.request &&
			    b.wall_ms == c.wall_ms && b.epoch == c.epoch && b.plan == c.plan && b.step == c.step && b.k == c.k &&
			    b.plan_kind == c.plan_kind && b.reason == c.reason && b.a == c.a && b.b == c.b &&
			    b.position == c.position && b.proof == c.proof && b.route == c.route &&
			    b.servers == c.servers && b.ttl_ms == c.ttl_ms &&
			    b.until_wall_ms == c.until_wall_ms && b.id == c.id);
		assert_true(dr_name_eq(&b.actor, &c.actor) && dr_name_eq(&b.name, &c.name) &&
			    dr_name_eq(&b.site, &c.site));
		assert_string_equal(b.text, c.text);
		dr_cmd_close(&c);
		dr_cmd_close(&b);
	}
}

static void test_command_places(void **state)
{
	(void)state;
	struct dr_cmd c = { .kind = DR_CMD_PROVE,
			    .service = DR_SERVICE_NONE,
			    .member = DR_MEMBER_NONE,
			    .target = DR_MEMBER_NONE };
	struct dr_cmd b;
	there_and_back(CMD, &c, &b);
	assert_int_equal(b.service, DR_SERVICE_NONE);
	assert_int_equal(b.member, DR_MEMBER_NONE);
	assert_int_equal(b.target, DR_MEMBER_NONE);
}

/* The two bytes in front: durable entries are marked, ticks are told without decoding, the unknown is refused. */
static void test_command_head(void **state)
{
	(void)state;
	struct dr_cmd c = { .kind = DR_CMD_TICK, .ttl_ms = 1500 };
	struct dr_cmd b;
	struct dr_buf x = encoded(CMD, &c);
	assert_int_equal(x.data[0] & 0x80, 0);
	assert_true(dr_cmd_is_tick(x.data, x.len));
	assert_false(dr_cmd_is_tick(x.data, 1));
	x.data[0] = 2;
	assert_int_equal(dr_cmd_decode(&b, x.data, x.len, &err), DR_E_CORRUPT);
	assert_false(dr_cmd_is_tick(x.data, x.len));
	x.data[0] = 1;
	x.data[1] = DR_CMD_DECLARE;
	assert_int_equal(dr_cmd_decode(&b, x.data, x.len, &err), DR_E_CORRUPT);
	dr_buf_close(&x);
	c.kind = DR_CMD_DECLARE;
	x = encoded(CMD, &c);
	assert_int_equal(x.data[0] & 0x80, 0x80);
	assert_false(dr_cmd_is_tick(x.data, x.len));
	dr_buf_close(&x);
	/* A kind of a later build: whoever skipped it would be no replica any more. */
	c.kind = (enum dr_cmd_kind)(DR_CMD_KIND_MAX - 1);
	x = encoded(CMD, &c);
	assert_int_equal(dr_cmd_decode(&b, x.data, x.len, &err), DR_E_CORRUPT);
	dr_buf_close(&x);
	assert_int_equal(dr_cmd_decode(&b, (const uint8_t *)"", 0, &err), DR_E_CORRUPT);
}

/* The chained bytes of an event: every field counts. */
static void test_event_bytes(void **state)
{
	(void)state;
	struct dr_event_record e;
	memset(&e, 0, sizeof(e));
	struct dr_buf a;
	struct dr_buf b;
	dr_buf_init(&a, 4096);
	dr_event_encode(&a, &e);
	uint64_t *const wide[] = { &e.index, &e.wall_ms, &e.log_index, &e.epoch,
				   &e.plan,  &e.number,  &e.a,         &e.b };
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
		*wide[i] = sample_u64();
		dr_buf_init(&b, 4096);
		dr_event_encode(&b, &e);
		assert_true(b.len > a.len || memcmp(a.data, b.data, a.len) != 0);
		dr_buf_close(&a);
		a = b;
	}
	dr_buf_close(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_greet),          cmocka_unit_test(test_report),
		cmocka_unit_test(test_order),          cmocka_unit_test(test_order_refused),
		cmocka_unit_test(test_lead),           cmocka_unit_test(test_member_messages),
		cmocka_unit_test(test_observations),   cmocka_unit_test(test_request),
		cmocka_unit_test(test_response),       cmocka_unit_test(test_commands),
		cmocka_unit_test(test_command_places), cmocka_unit_test(test_command_head),
		cmocka_unit_test(test_event_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
