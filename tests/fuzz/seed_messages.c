/* seed_messages.c -- seeds.h: one or two of each message, by its encoder. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "proto/frames.h"
#include "proto/pb.h"
#include "proto/squeeze.h"
#include "seeds.h"

static struct dr_buf b;

static void agent_messages(void)
{
	struct dr_report r;
	struct dr_order o;
	memset(&r, 0, sizeof(r));
	memset(&o, 0, sizeof(o));
	r.service = o.service = sample_name("orders");
	r.member = o.member = sample_name("pg-a");
	dr_report_encode(&b, &r);
	seed_buf("report", "small", NO_FIRST, &b);
	r.managed = r.guard_alive = r.receiving = true;
	r.role = DR_ROLE_PRIMARY;
	r.server = DR_SERVER_PRIMARY;
	r.epoch = 7;
	r.system_id = sample_u64();
	r.upstream_at = sample_address("fd00::1", 5432);
	r.failsafe = DR_FAILSAFE_READY;
	r.peers = 2;
	r.peer[0].member = sample_name("pg-b");
	r.peer[0].streaming = r.peer[0].counts_for_sync = true;
	r.peer[0].flushed = 0x3000060;
	r.peer[1].member = sample_name("pg-c");
	sample_result(&r.last);
	sample_text(r.text, sizeof(r.text), "cgroup v2");
	dr_report_encode(&b, &r);
	seed_buf("report", "full", NO_FIRST, &b);
	sample_core(&o.core);
	dr_order_encode(&b, &o);
	seed_buf("order", "small", NO_FIRST, &b);
	o.target = sample_name("pg-b");
	o.target_at = sample_address("10.2.0.20", 5432);
	o.sync_member[o.sync_members++] = sample_name("pg-b");
	sample_peer(&o.peer[o.peers++], "pg-b", true);
	sample_peer(&o.peer[o.peers++], "pg-c", false);
	dr_order_encode(&b, &o);
	seed_buf("order", "full", NO_FIRST, &b);
}

static void small_messages(void)
{
	static const uint16_t frames[] = { DR_FRAME_RENEW, DR_FRAME_GRANT, DR_FRAME_RESULT, DR_FRAME_CANCEL,
					  DR_FRAME_LOOK };
	struct dr_greet g = { .kind = DR_GREET_AGENT, .cluster = sample_name("demo"), .name = sample_name("agent-a"), .version = 1,
			      .software = "1.0.0" };
	struct dr_member_msg m = { .service = sample_name("orders"),
				   .member = sample_name("pg-a"),
				   .epoch = 7,
				   .id = 9,
				   .ttl_ms = 1500 };
	struct dr_lead l = { .leading = true, .term = 12, .leader = sample_name("c-b") };
	struct dr_ask a = { m.service, m.member, sample_name("pg-b"), 7, 9, 3000 };
	struct dr_promise p = { m.service, m.member, 7, 9, DR_E_STALE, 8 };
	struct dr_observation seen[] = { { 0, 0, 100, 200, 300, false, 0x3000060, DR_FAILURE_DISK_FULL, 5060 },
					 { 1, 7, UINT32_MAX, UINT32_MAX, UINT32_MAX, true, 0, DR_FAILURE_NONE, 0 } };
	dr_greet_encode(&b, &g);
	seed_buf("greet", "agent", NO_FIRST, &b);
	sample_result(&m.result);
	for (int i = 0; i < 4; i++) {
		char name[8];
		(void)snprintf(name, sizeof(name), "frame%u", frames[i]);
		dr_member_msg_encode(&b, frames[i], &m);
		seed_buf("member", name, i, &b);
	}
	l.timing = *dr_timing_profile("metro");
	dr_lead_encode(&b, &l);
	seed_buf("lead", "metro", NO_FIRST, &b);
	dr_ask_encode(&b, &a);
	seed_buf("promise", "ask", 0, &b);
	dr_promise_encode(&b, &p);
	seed_buf("promise", "promise", 1, &b);
	struct dr_step_ask step = { .key = "demo/site-plan/7/freeze", .cluster = sample_name("demo"), .site = sample_name("az-a"),
				    .plan = 7, .kind = DR_PLAN_SWITCHOVER, .undo = true };
	struct dr_step_answer answer = { .key = "demo/site-plan/7/freeze", .code = DR_E_FAILED, .text = "exit code 1" };
	sample_step(&step.step, "freeze");
	dr_step_ask_encode(&b, &step);
	seed_buf("step", "ask", 0, &b);
	dr_step_answer_encode(&b, &answer);
	seed_buf("step", "answer", 1, &b);
	dr_observations_encode(&b, seen, 2);
	seed_buf("observations", "two", NO_FIRST, &b);
}

struct dr_spec *seed_spec(void)
{
	struct dr_spec *s = sample_spec();
	s->sites = 2;
	memset(&s->site[2], 0, sizeof(s->site) - 2 * sizeof(s->site[0]));
	for (unsigned i = 3; i < DR_MEMBERS_MAX; i++)
		memset(&s->service[0].member[i], 0, sizeof(s->service[0].member[i]));
	memset(&s->service[0].route[1], 0, sizeof(s->service[0].route[1]));
	return s;
}

static void client_messages(void)
{
	struct dr_client_request q;
	struct dr_client_response a;
	memset(&q, 0, sizeof(q));
	memset(&a, 0, sizeof(a));
	q.id = sample_u64();
	sample_text(q.verb, sizeof(q.verb), "failover");
	q.service = sample_name("orders");
	q.member = sample_name("pg-b");
	sample_text(q.reason, sizeof(q.reason), "disk is failing");
	q.force = q.accept_loss = true;
	dr_client_request_encode(&b, &q);
	seed_buf("request", "failover", NO_FIRST, &b);
	sample_text(q.verb, sizeof(q.verb), "apply");
	q.spec = seed_spec();
	dr_client_request_encode(&b, &q);
	seed_buf("request", "apply", NO_FIRST, &b);
	dr_spec_free(q.spec);
	a.id = q.id;
	a.code = DR_E_NOT_LEADER;
	sample_text(a.message, sizeof(a.message), "plan 7 is open");
	sample_text(a.word, sizeof(a.word), "plan_is_open");
	sample_text(a.override, sizeof(a.override), "`drcoordctl abort 7`");
	a.json = dr_xstrdup("{\"leader\":\"c-a\"}");
	a.leader = sample_name("c-b");
	a.leader_at = sample_address("10.2.0.10", 7400);
	dr_client_response_encode(&b, &a);
	seed_buf("response", "refused", NO_FIRST, &b);
	dr_free(a.json);
}

/* ---- what travels compressed (proto/squeeze.h): as our encoder sends it, once large enough; and, since the decoder
 * asks for no size, small ones, of which most bytes that change are content and not the frame's own */

enum { MANY = 800 }; /* more than DR_SQUEEZE_FROM together */

static struct dr_spec *many_services(void)
{
	struct dr_spec *s = dr_spec_new(MANY);
	s->cluster = sample_name("demo");
	s->timing = *dr_timing_profile("metro");
	for (uint32_t i = 0; i < MANY; i++) {
		struct dr_spec_service *one = &s->service[s->services++];
		(void)snprintf(one->name.s, sizeof(one->name.s), "orders-%u", i);
		one->kind = DR_KIND_POSTGRES;
		for (uint32_t m = 0; m < 3; m++) {
			one->member[m].name = sample_name(m == 0 ? "pg-a" : m == 1 ? "pg-b" : "pg-c");
			one->member[m].agent = sample_name("host");
			one->member[m].address = sample_address("10.1.0.10", 5432);
		}
	}
	return s;
}

/* A seed that is refused at its frame would reach nothing. */
static void seed_request(const char *name)
{
	struct dr_client_request r;
	FUZZ_CHECK(b.len < DR_SQUEEZE_FROM / 8);
	FUZZ_CHECK(dr_client_request_decode(&r, b.data, b.len, NULL) == DR_OK && r.spec != NULL);
	dr_spec_free(r.spec);
	seed_buf("request", name, NO_FIRST, &b);
}

static void seed_response(const char *name)
{
	struct dr_client_response r;
	FUZZ_CHECK(b.len < DR_SQUEEZE_FROM / 8);
	FUZZ_CHECK(dr_client_response_decode(&r, b.data, b.len, NULL) == DR_OK && r.json != NULL);
	dr_free(r.json);
	seed_buf("response", name, NO_FIRST, &b);
}

static void seed_command(const char *name)
{
	struct dr_cmd c;
	FUZZ_CHECK(b.len < DR_SQUEEZE_FROM / 8);
	FUZZ_CHECK(dr_cmd_decode(&c, b.data, b.len, NULL) == DR_OK && c.spec != NULL);
	dr_cmd_close(&c);
	seed_buf("command", name, NO_FIRST, &b);
}

static void squeezed_large(void)
{
	struct dr_client_request q = { .id = 7, .verb = "apply", .spec = many_services() };
	struct dr_client_response a = { .id = 7, .json = dr_xcalloc(DR_SQUEEZE_FROM + 1) };
	struct dr_cmd c = { .kind = DR_CMD_SPEC, .service = DR_SERVICE_NONE, .spec = q.spec };
	dr_client_request_encode(&b, &q);
	seed_request("squeezed-large");
	dr_cmd_encode(&b, &c);
	seed_command("squeezed-large");
	dr_spec_free(q.spec);
	memset(a.json, ' ', DR_SQUEEZE_FROM);
	dr_client_response_encode(&b, &a);
	seed_response("squeezed-large");
	dr_free(a.json);
}

static void squeezed_small(void)
{
	static const char json[] = "{\"leader\":\"c-a\",\"term\":3}";
	Drcoord__Pb__ClientRequest q = DRCOORD__PB__CLIENT_REQUEST__INIT;
	Drcoord__Pb__ClientResponse a = DRCOORD__PB__CLIENT_RESPONSE__INIT;
	Drcoord__Pb__Command entry = DRCOORD__PB__COMMAND__INIT;
	struct dr_cmd head = { .kind = DR_CMD_SPEC, .service = DR_SERVICE_NONE };
	struct dr_spec *spec = seed_spec();
	struct dr_pb_spec *t = dr_pb_spec_put(spec);
	struct dr_buf whole, squeezed;
	dr_buf_init(&whole, 1 << 16);
	dr_buf_init(&squeezed, 1 << 16);
	dr_pb_pack(&whole, &t->m.base);
	dr_squeeze(&squeezed, whole.data, whole.len);
	q.squeezed_spec = (ProtobufCBinaryData){ .data = squeezed.data, .len = squeezed.len };
	dr_pb_pack(&b, &q.base);
	seed_request("squeezed-small");
	dr_cmd_encode(&b, &head);
	entry.squeezed_spec = q.squeezed_spec;
	dr_pb_pack(&b, &entry.base); /* a message's fields may come in pieces */
	seed_command("squeezed-small");
	dr_buf_clear(&squeezed);
	dr_squeeze(&squeezed, json, sizeof(json) - 1);
	a.squeezed_json = (ProtobufCBinaryData){ .data = squeezed.data, .len = squeezed.len };
	dr_pb_pack(&b, &a.base);
	seed_response("squeezed-small");
	dr_buf_close(&squeezed);
	dr_buf_close(&whole);
	dr_pb_spec_free(t);
	dr_spec_free(spec);
}

void seed_event(struct dr_event_record *e, uint64_t index)
{
	memset(e, 0, sizeof(*e));
	e->index = index;
	e->wall_ms = 1795234567890;
	e->log_index = 30 + index;
	e->kind = DR_EVENT_PLAN_OPENED;
	e->reason = DR_REASON_MAY_LOSE;
	e->service = sample_name("orders");
	e->member = sample_name("pg-b");
	e->epoch = 7;
	e->plan = 3;
	e->a = 16;
	e->actor = sample_name("anna");
	sample_text(e->text, sizeof(e->text), "because");
}

static void entries(void)
{
	static const struct {
		enum dr_cmd_kind kind;
		const char *name;
	} all[] = {
#define COMMAND(id, name, durable, fields) { DR_CMD_##name, #name },
#include "model/commands.def"
#undef COMMAND
	};
	struct dr_event_record e;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct dr_cmd c;
		memset(&c, 0, sizeof(c));
		c.kind = all[i].kind;
		c.wall_ms = 1795234567890;
		c.epoch = 7;
		c.member = 1;
		c.target = DR_MEMBER_NONE;
		sample_core(&c.order);
		sample_result(&c.result);
		c.address = sample_address("10.1.0.10", 7400);
		c.actor = sample_name("anna");
		sample_text(c.text, sizeof(c.text), "because");
		c.spec = all[i].kind == DR_CMD_SPEC ? seed_spec() : NULL;
		dr_cmd_encode(&b, &c);
		seed_buf("command", all[i].name, NO_FIRST, &b);
		dr_cmd_close(&c);
	}
	seed_event(&e, 1);
	dr_event_encode(&b, &e);
	seed_buf("event", "plan", NO_FIRST, &b);
}

/* ---- what a leader's core is told (core.c): what, who, how much later, and a message behind its length */

enum { SAY_REPORT, SAY_OBSERVATIONS, SAY_MEMBER, SAY_ANSWER, SAY_REQUEST, SAY_OTHER };
enum { REQUEST_SWITCHOVER = 1, REQUEST_TO = 8, RENEW_OF_A = 0 };

static struct dr_buf story;

static void say(uint8_t what, uint8_t who, uint8_t later, const void *p, size_t n)
{
	dr_buf_put_u8(&story, what);
	dr_buf_put_u8(&story, who);
	dr_buf_put_u8(&story, later);
	FUZZ_CHECK(n <= UINT8_MAX);
	dr_buf_put_u8(&story, (uint8_t)n);
	dr_buf_put(&story, p, n);
}

static void say_report(uint8_t who, enum dr_server_state server)
{
	struct dr_report r;
	memset(&r, 0, sizeof(r));
	r.service = sample_name("orders");
	r.member = sample_name("pg-a");
	r.managed = r.guard_alive = true;
	r.role = who == 0 ? DR_ROLE_PRIMARY : DR_ROLE_STANDBY;
	r.server = server;
	r.epoch = r.timeline = 1;
	r.received = 0x3000060;
	r.receiving = server == DR_SERVER_STANDBY;
	r.upstream_at = sample_address("10.1.0.20", 5432);
	dr_report_encode(&b, &r);
	say(SAY_REPORT, who, 1, b.data, b.len);
	dr_buf_clear(&b);
}

static void say_all_well(void)
{
	struct dr_member_msg m = { .service = sample_name("orders"), .member = sample_name("pg-a"), .epoch = 1, .id = 9 };
	for (uint8_t who = 0; who < 3; who++)
		say_report(who, who == 0 ? DR_SERVER_PRIMARY : DR_SERVER_STANDBY);
	dr_member_msg_encode(&b, DR_FRAME_RENEW, &m);
	say(SAY_MEMBER, RENEW_OF_A, 1, b.data, b.len);
	dr_buf_clear(&b);
}

/* Every order of the next while is carried out. */
static void say_all_done(unsigned times)
{
	static const uint8_t done[] = { DR_OUTCOME_DONE, 0x30, 1, DR_DIVERGENCE_NONE };
	for (unsigned i = 0; i < times; i++)
		say(SAY_ANSWER, (uint8_t)(i % 3), 1, done, sizeof(done));
}

static void stories(void)
{
	static const uint8_t switchover[] = { REQUEST_SWITCHOVER, REQUEST_TO };
	struct dr_observation hung = { .failure = DR_FAILURE_STORAGE_HUNG, .failing_ms = 60000 };
	dr_buf_init(&story, 8192);
	say_all_well();
	say_report(0, DR_SERVER_STOPPED);
	say_all_done(40);
	seed_buf("core", "failover", 0, &story);
	say_all_well();
	say_report(0, DR_SERVER_STOPPED);
	say_all_done(40);
	seed_buf("core", "restart", 1, &story);
	say_all_well();
	say(SAY_REQUEST, 1, 0, switchover, sizeof(switchover));
	say_all_done(40);
	seed_buf("core", "switchover", 0, &story);
	say_all_well();
	say(SAY_OTHER, 0, 35, NULL, 0); /* so long nothing is done about a primary: its standbys were heard only now */
	say_all_well();
	dr_observations_encode(&b, &hung, 1);
	for (uint8_t who = 0; who < 3; who++)
		say(SAY_OBSERVATIONS, who, 1, b.data, b.len);
	dr_buf_clear(&b);
	say(SAY_OTHER, 1, 1, NULL, 0); /* leads anew */
	say_all_done(40);
	seed_buf("core", "hung", 0, &story);
	dr_buf_close(&story);
}

void seed_messages(void)
{
	dr_buf_init(&b, 1 << 20);
	agent_messages();
	small_messages();
	client_messages();
	squeezed_large();
	squeezed_small();
	entries();
	stories();
	dr_buf_close(&b);
}
