/* core.c -- the deciding half under words that decode well and say anything: of agents, coordinators and clients.
 *
 * The core leads a service of three members.  What it proposes is committed at once, as a quorum would; whatever it is
 * told, it goes on, an epoch never falls and has one holder, and only that one is granted a lease. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "conf/conf.h"
#include "coord/core/core.h"
#include "fuzz.h"
#include "proto/codec.h"
#include "proto/frames.h"

enum { COORDINATORS = 3, MEMBERS = 3, COMMITS_MAX = 64, EACH = 64 };

static const char spec_text[] =
    "cluster: demo\n"
    "timing: { profile: metro }\n"
    "sites: [ { name: az-a, region: north }, { name: az-b, region: north }, { name: az-c, region: north } ]\n"
    "services:\n"
    "  - name: orders\n"
    "    kind: postgres\n"
    "    members:\n"
    "      - { name: pg-a, site: az-a, agent: agent-a, address: 10.1.0.20:5432, priority: 1 }\n"
    "      - { name: pg-b, site: az-b, agent: agent-b, address: 10.2.0.20:5432, priority: 2 }\n"
    "      - { name: pg-c, site: az-c, agent: agent-c, address: 10.3.0.20:5432, priority: 3 }\n";

static struct dr_core *core;
static struct dr_decision *did;
static uint64_t now, log_index, epoch, order_last[DR_MEMBERS_MAX];
static dr_member_ix holder;

static void *empty(void *kept, size_t size)
{
	if (kept == NULL) {
		kept = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		FUZZ_CHECK(kept != MAP_FAILED);
	}
	FUZZ_CHECK(madvise(kept, size, MADV_DONTNEED) == 0);
	return kept;
}

static struct dr_name name_of(const char *prefix, unsigned i)
{
	char text[8];
	struct dr_name n;
	(void)snprintf(text, sizeof(text), "%s-%c", prefix, (char)('a' + i));
	FUZZ_CHECK(dr_name_set(&n, text));
	return n;
}

/* What must hold after every step. */
static void check(void)
{
	const struct dr_service *s = &core->repl.service[0];
	FUZZ_CHECK(did->wake_at_ms == 0 || did->wake_at_ms > now);
	if (!s->used)
		return;
	FUZZ_CHECK(s->epoch >= epoch);
	FUZZ_CHECK(s->epoch > epoch || holder == DR_MEMBER_NONE || s->holder == holder);
	FUZZ_CHECK(s->holder == DR_MEMBER_NONE || s->spec.member[s->holder].name.s[0] != '\0');
	epoch = s->epoch;
	holder = s->holder;
	for (uint32_t i = 0; i < did->grants; i++)
		FUZZ_CHECK(did->grant[i].member == s->holder && did->grant[i].epoch == s->epoch);
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		FUZZ_CHECK(s->member[m].order_last >= order_last[m]);
		order_last[m] = s->member[m].order_last;
	}
}

struct pending {
	uint64_t tag;
	struct dr_cmd cmd;
};
static struct pending pending[COMMITS_MAX];
static unsigned pendings;

static void step(struct dr_core_event *ev)
{
	ev->now_ms = now;
	ev->wall_ms = UINT64_C(1700000000000) + now;
	dr_core_step(core, ev, did);
	check();
	for (uint32_t i = 0; i < did->proposals && pendings < COMMITS_MAX; i++)
		pending[pendings++] = (struct pending){ did->propose[i].tag, did->propose[i].cmd };
}

static void commit(const struct dr_cmd *cmd)
{
	struct dr_core_event ev = { .kind = DR_EV_COMMITTED, .index = ++log_index, .term = 1, .cmd = cmd };
	step(&ev);
}

/* All that was proposed, as it comes out of the log, and what that leads to. */
static void commit_all(void)
{
	unsigned done = 0;
	for (; done < pendings; done++) {
		struct dr_cmd cmd;
		struct dr_error e = { 0 };
		struct dr_buf b;
		dr_buf_init(&b, DR_ENTRY_MAX);
		dr_cmd_encode(&b, &pending[done].cmd);
		FUZZ_CHECK(dr_buf_ok(&b) && dr_cmd_decode(&cmd, b.data, b.len, &e) == DR_OK);
		dr_buf_close(&b);
		if (cmd.kind == DR_CMD_TICK) {
			struct dr_core_event appended = { .kind = DR_EV_APPENDED };
			step(&appended);
		}
		now += 2;
		commit(&cmd);
		struct dr_core_event ended = { .kind = DR_EV_PROPOSED, .tag = pending[done].tag, .index = log_index };
		step(&ended);
		dr_cmd_close(&cmd);
	}
	pendings = 0;
}

static const struct dr_spec *known_spec(void)
{
	static struct dr_spec *spec;
	static struct dr_conf_problems problems;
	if (spec == NULL) {
		spec = dr_conf_spec_new();
		FUZZ_CHECK(dr_conf_parse_spec("spec", spec_text, strlen(spec_text), spec, &problems) == DR_OK);
	}
	return spec;
}

/* A service that was adopted with pg-a as its primary; durability: one of the two. */
static void start(bool async)
{
	struct dr_name self = name_of("c", 0);
	core = empty(core, sizeof(*core));
	did = empty(did, sizeof(*did));
	now = 1000;
	log_index = epoch = 0;
	holder = DR_MEMBER_NONE;
	pendings = 0;
	memset(order_last, 0, sizeof(order_last));
	dr_core_init(core, &self, now);
	for (unsigned i = 0; i < COORDINATORS; i++) {
		struct dr_cmd cmd = { .kind = DR_CMD_COORDINATOR, .name = name_of("c", i), .id = i + 1,
				      .site = known_spec()->site[i].name };
		commit(&cmd);
	}
	struct dr_cmd spec = { .kind = DR_CMD_SPEC, .spec = known_spec() };
	commit(&spec);
	struct dr_service *s = &core->repl.service[0];
	FUZZ_CHECK(core->repl.services == 1 && s->used);
	s->managed = s->was_primary = true;
	s->spec.durability = async ? DR_DURABILITY_ASYNC : DR_DURABILITY_SYNC;
	s->epoch = s->primary_epoch = 1;
	s->holder = s->last_holder = 0;
	s->sync = s->next = (struct dr_sync){ .set = dr_set_of(1), .k = 1 };
	for (dr_member_ix m = 0; m < MEMBERS; m++)
		s->member[m].joined_epoch = s->member[m].lineage = 1;
	s->member[0].unproved_epoch = 1;
	struct dr_core_event ev = { .kind = DR_EV_ROLE, .leading = true, .term = 1 };
	step(&ev);
}

/* ---- what is said: a byte that tells what, one that tells who, and where there is one a message behind its length */

static void report(unsigned who, const uint8_t *p, size_t n)
{
	static struct dr_report r;
	struct dr_error e;
	if (dr_report_decode(&r, p, n, &e) != DR_OK)
		return;
	r.service = core->repl.service[0].spec.name;
	r.member = name_of("pg", who % MEMBERS);
	struct dr_core_event ev = { .kind = DR_EV_REPORT, .report = &r };
	step(&ev);
}

static void observations(unsigned who, const uint8_t *p, size_t n)
{
	static struct dr_observation o[EACH];
	struct dr_error e;
	uint32_t count = 0;
	if (dr_observations_decode(o, EACH, &count, p, n, &e) != DR_OK)
		return;
	struct dr_core_event ev = { .kind = DR_EV_OBSERVED, .observer = name_of("c", who % COORDINATORS),
				    .observations = count, .observation = o };
	step(&ev);
}

static void member_message(unsigned who, const uint8_t *p, size_t n)
{
	bool renew = who / MEMBERS % 2 == 0;
	struct dr_member_msg m;
	struct dr_error e;
	if (dr_member_msg_decode(&m, renew ? DR_FRAME_RENEW : DR_FRAME_RESULT, p, n, &e) != DR_OK)
		return;
	struct dr_core_event ev = { .kind = renew ? DR_EV_RENEW : DR_EV_RESULT,
				    .service = core->repl.service[0].spec.name,
				    .member = name_of("pg", who % MEMBERS),
				    .epoch = m.epoch,
				    .renewal = m.id,
				    .result = &m.result };
	step(&ev);
}

/* The open order of that member ends as the byte says: results by chance hardly ever name it. */
static void answer(unsigned who, const uint8_t *p, size_t n)
{
	const struct dr_order_core *o = &core->repl.service[0].member[who % MEMBERS].order;
	struct dr_order_result r = { .number = o->number, .epoch = o->epoch, .outcome = DR_OUTCOME_DONE };
	if (n > 0)
		r.outcome = (enum dr_outcome)(p[0] % (DR_OUTCOME_REFUSED + 1));
	if (n > 1)
		r.position = (uint64_t)p[1] << 20;
	if (n > 2)
		r.timeline = p[2];
	if (n > 3)
		r.divergence = (enum dr_divergence)(p[3] % (DR_DIVERGENCE_CLONE + 1));
	struct dr_core_event ev = { .kind = DR_EV_RESULT, .service = core->repl.service[0].spec.name,
				    .member = name_of("pg", who % MEMBERS), .result = &r };
	step(&ev);
}

static void request(unsigned who, const uint8_t *p, size_t n)
{
	struct dr_request q = { .kind = (enum dr_request_kind)(n > 0 ? p[0] % DR_REQ_APPLY : 0),
				.id = log_index + 1,
				.service = core->repl.service[0].spec.name,
				.actor = name_of("anna", 0),
				.plan = core->repl.service[0].plan.id };
	uint8_t flags = n > 1 ? p[1] : 0;
	q.force = (flags & 1) != 0;
	q.accept_loss = (flags & 2) != 0;
	q.assert_fenced = (flags & 4) != 0;
	if ((flags & 8) != 0)
		q.member = name_of("pg", who % MEMBERS);
	struct dr_core_event ev = { .kind = DR_EV_REQUEST, .request = &q };
	step(&ev);
}

static void other(unsigned who, const uint8_t *p, size_t n)
{
	struct dr_core_event ev = { .kind = DR_EV_TICK };
	(void)p;
	(void)n;
	if (who % 4 == 1)
		ev = (struct dr_core_event){ .kind = DR_EV_ROLE, .leading = who / 4 % 2 == 0, .term = log_index };
	else if (who % 4 == 2)
		ev = (struct dr_core_event){ .kind = DR_EV_RESTORED };
	else if (who % 4 == 3)
		ev = (struct dr_core_event){ .kind = DR_EV_ROUTE, .service = core->repl.service[0].spec.name,
					     .route = who / 4, .servers = who, .epoch = core->repl.service[0].epoch };
	step(&ev);
}

void fuzz_core(const uint8_t *p, size_t n)
{
	static void (*const kinds[])(unsigned who, const uint8_t *p, size_t n) = { report,  observations, member_message,
										   answer, request,      other };
	start(fuzz_first(&p, &n) % 2 == 1);
	struct dr_view v = dr_view_of(p, n);
	while (dr_view_left(&v) >= 4) {
		uint8_t kind = dr_view_u8(&v), who = dr_view_u8(&v), later = dr_view_u8(&v);
		size_t len = dr_view_u8(&v);
		len = len < dr_view_left(&v) ? len : dr_view_left(&v);
		now += (uint64_t)later * 20;
		kinds[kind % (sizeof(kinds) / sizeof(kinds[0]))](who, dr_view_bytes(&v, len), len);
		commit_all();
	}
}
