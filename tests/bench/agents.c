/* agents.c -- N agents over TLS: each holds a lease and renews it; then, where asked, a site of them goes silent.
 *
 *   --endpoints LEADER,OTHER,OTHER  --ca FILE  --services N  [--standbys 1 [--vanish 1]]
 *   --certs: of side a one for each 32 services, then as many of side b (with standbys), then an operator's
 *
 * Connects all, takes every service over, waits until all primaries hold leases and no order came for a while, then
 * counts renewals for --run-ms: from the renewal's sending to its grant; SIGUSR1 has what was counted until then
 * printed, and begins anew.  With --vanish all of side a then say
 * nothing any more, their connections stay open as a vanished site's do, and the time is taken at which each standby
 * was told to become the primary. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "agents.h"
#include "base/mem.h"
#include "base/parse.h"
#include "proto/codec.h"
#include "proto/frames.h"
#include "sys/clock.h"

enum { AT_ONCE = 32, LOOK_MS = 100, QUIET_MS = 3000, UP_MS = 420000, VANISH_MS = 120000, ADOPT_AGAIN_MS = 50, ADOPT_WINDOW = 16 };

/* Who takes the services over, some at a time.  A request's id is `id` and the service's number. */
struct operator {
	struct fleet *fleet;
	struct dr_conn conn;
	uv_timer_t again;
	uint32_t asked, done;
	uint32_t refused[ADOPT_WINDOW], refusals; /* to be asked again */
	uint64_t id;
};

static struct fleet fleet;
static struct operator operator;
static uv_timer_t look;
static uv_signal_t cut;
static uint64_t began_ns, phase_ns;

static double seconds_since(uint64_t ns)
{
	return (double)(bench_now_ns() - ns) / 1e9;
}

/* ---- the operator ---- */

static void adopt(struct operator *o, uint32_t service)
{
	struct dr_client_request q = { .id = o->id + service };
	struct dr_name self;
	struct dr_buf b;

	(void)dr_copy_text(q.verb, sizeof(q.verb), "service adopt");
	(void)dr_copy_text(q.reason, sizeof(q.reason), "benchmark");
	member_names(service, 0, &q.service, &self);
	dr_buf_init(&b, DR_FRAME_MAX);
	dr_client_request_encode(&b, &q);
	(void)!dr_conn_send(&o->conn, DR_FRAME_REQUEST, b.data, b.len);
	dr_buf_close(&b);
}

static void adopt_next(struct operator *o)
{
	if (o->asked < o->fleet->a->services)
		adopt(o, o->asked++);
}

static void on_again(uv_timer_t *t)
{
	struct operator *o = t->data;

	while (o->refusals > 0)
		adopt(o, o->refused[--o->refusals]);
}

static void operator_open(struct dr_conn *c)
{
	bench_greet(c, DR_GREET_CLIENT, fleet.a->tls[fleet.a->certs - 1], fleet.a->cluster);
	for (unsigned i = 0; i < ADOPT_WINDOW; i++)
		adopt_next(c->ctx);
}

static void operator_frame(struct dr_conn *c, uint16_t type, const uint8_t *p, size_t n)
{
	struct operator *o = c->ctx;
	struct dr_client_response r;
	struct dr_error e;

	if (type != DR_FRAME_RESPONSE)
		return;
	if (dr_client_response_decode(&r, p, n, &e) != DR_OK)
		bench_fail("an answer does not decode: %s", e.msg);
	dr_free(r.json);
	uint64_t service = r.id - o->id;
	if (service >= o->asked)
		bench_fail("an answer to nothing that was asked: %s", r.message);
	if (r.code != DR_OK && r.code != DR_E_UNKNOWN && r.code != DR_E_BUSY && r.code != DR_E_FULL)
		bench_fail("service %u was not taken over: %s", (unsigned)service, r.message);
	if (r.code == DR_OK) {
		o->done++;
		adopt_next(o);
	} else {
		o->refused[o->refusals++] = (uint32_t)service;
		(void)uv_timer_start(&o->again, on_again, ADOPT_AGAIN_MS, 0);
	}
}

static void operator_closed(struct dr_conn *c, const struct dr_error *why)
{
	(void)c;
	if (!fleet.stopping)
		bench_fail("the operator was cut off: %s", why->msg);
}

static void start_operator(void)
{
	static const struct dr_conn_cbs cbs = { operator_open, operator_frame, operator_closed };

	operator.fleet = &fleet;
	operator.conn.ctx = &operator;
	(void)!getrandom(&operator.id, sizeof(operator.id), 0);
	operator.id >>= 8;
	if (bench_connect(&operator.conn, &fleet.loop, fleet.a->tls[fleet.a->certs - 1], &fleet.a->endpoint[0], &cbs) !=
	    DR_OK)
		bench_fail("the operator cannot connect");
}

/* ---- the end ---- */

/* Thousands of connections are not closed one by one: the process ends. */
static void finish(void)
{
	fleet.stopping = true;
	uv_stop(&fleet.loop);
}

/* ---- phases ---- */

static void on_vanish_look(uv_timer_t *t)
{
	struct bench_times b = { 0 };
	bool late = seconds_since(fleet.vanished_ns) * 1000 > (double)VANISH_MS;

	if (fleet.writable < fleet.a->services && !late)
		return;
	for (uint32_t i = 0; i < fleet.members; i++) {
		if (fleet.member[i].writable_ns != 0)
			bench_add(&b, (int64_t)((fleet.member[i].writable_ns - fleet.vanished_ns) / 1000));
	}
	bench_sort(&b); /* milliseconds, as they were added */
	printf("{\"phase\":\"vanished\",\"primaries\":%u,\"promoted\":%u,\"first_ms\":%d,\"p50_ms\":%d,\"all_ms\":%d}\n",
	       fleet.a->services, fleet.writable, bench_at(&b, 0.0), bench_at(&b, 0.5), bench_at(&b, 1.0));
	bench_free(&b);
	(void)uv_timer_stop(t);
	finish();
}

static void say_renewals(const char *phase)
{
	struct bench_times *r = &fleet.renewals;
	double s = seconds_since(phase_ns);

	bench_sort(r);
	printf("{\"phase\":\"%s\",\"agents\":%u,\"seconds\":%.2f,\"renewals\":%zu,\"per_s\":%.0f,"
	       "\"renewal_p50_us\":%d,\"renewal_p99_us\":%d,\"renewal_max_us\":%d,\"fences\":%u}\n", phase,
	       fleet.a->services, s, r->n, (double)r->n / s, bench_at(r, 0.5), bench_at(r, 0.99), bench_at(r, 1.0), fleet.fences);
	(void)fflush(stdout);
}

/* Whoever runs it wants to know what was counted until now, and that it begins anew. */
static void on_cut(uv_signal_t *s, int number)
{
	(void)s, (void)number;
	say_renewals("cut");
	fleet.renewals.n = 0;
	phase_ns = bench_now_ns();
}

static void on_counted(uv_timer_t *t)
{
	fleet.counting = false;
	say_renewals("renewals");
	if (fleet.a->vanish == 0) {
		finish();
		return;
	}
	fleet.vanished = true;
	fleet.vanished_ns = bench_now_ns();
	(void)uv_timer_start(t, on_vanish_look, LOOK_MS, LOOK_MS);
}

static uint32_t leading(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < fleet.members; i++)
		n += member_leads(&fleet.member[i]) ? 1 : 0;
	return n;
}

static void on_up_look(uv_timer_t *t)
{
	bool quiet = fleet.last_order_ns != 0 && seconds_since(fleet.last_order_ns) * 1000 > (double)QUIET_MS;

	if (seconds_since(began_ns) * 1000 > (double)UP_MS)
		bench_fail("after %d s: %u connections of %u, %u services taken over, %u leases, %llu orders", UP_MS / 1000,
			   fleet.opened, fleet.lines, operator.done, leading(), (unsigned long long)fleet.orders);
	if (!quiet || leading() < fleet.a->services)
		return;
	printf("{\"phase\":\"up\",\"connections\":%u,\"up_s\":%.1f,\"orders\":%llu}\n", fleet.lines,
	       (double)(fleet.last_order_ns - began_ns) / 1e9, (unsigned long long)fleet.orders);
	(void)fflush(stdout);
	fleet.counting = true;
	phase_ns = bench_now_ns();
	(void)uv_timer_start(t, on_counted, fleet.a->run_ms, 0);
}

/* ---- connections ---- */

static bool has_lines(const struct bench_member *m)
{
	for (uint32_t c = 0; m->fleet != NULL && c < COORDS; c++) {
		if (!m->line[c]->open)
			return false;
	}
	return true;
}

/* Members begin as soon as they can: a session that says nothing for long is closed. */
static void begin(void)
{
	while (fleet.begun < fleet.members && has_lines(&fleet.member[fleet.begun])) {
		struct bench_member *m = &fleet.member[fleet.begun++];

		if (m->fleet != NULL)
			member_begin(m);
	}
	if (fleet.opened == fleet.lines)
		start_operator();
}

static void start_line(struct line *l);

static void on_open(struct dr_conn *conn)
{
	struct line *l = conn->ctx;

	l->open = true;
	bench_greet(conn, DR_GREET_AGENT, l->tls, fleet.a->cluster);
	dr_conn_gather_set(conn);
	if (fleet.started < fleet.lines)
		start_line(&fleet.line[fleet.started++]);
	fleet.opened++;
	begin();
}

static void tell_timing(const struct dr_lead *lead)
{
	struct dr_agent_event ev = { .kind = DR_AG_TIMING, .timing = &lead->timing, .ttl_ms = lead->ttl_longest_ms };

	if (lead->timing.ttl_ms == 0 || memcmp(&fleet.timing, &lead->timing, sizeof(fleet.timing)) == 0)
		return;
	fleet.timing = lead->timing;
	for (uint32_t i = 0; i < fleet.members; i++) {
		if (fleet.member[i].fleet != NULL)
			member_event(&fleet.member[i], &ev);
	}
}

static void on_frame(struct dr_conn *conn, uint16_t type, const uint8_t *p, size_t n)
{
	struct line *l = conn->ctx;
	struct dr_lead lead;
	struct dr_error e;

	if (fleet.stopping || (fleet.vanished && l->side == 0))
		return;
	if (type != DR_FRAME_LEAD) {
		member_frame(&fleet, type, p, n);
		return;
	}
	if (dr_lead_decode(&lead, p, n, &e) != DR_OK)
		bench_fail("a frame does not decode: %s", e.msg);
	if (lead.leading != (l->coord == 0))
		bench_fail("the leader changed under the load");
	if (lead.leading)
		tell_timing(&lead);
}

static void on_closed(struct dr_conn *conn, const struct dr_error *why)
{
	struct line *l = conn->ctx;

	if (fleet.stopping || (fleet.vanished && l->side == 0))
		return;
	bench_fail("connection %u of %u was cut off: %s", (unsigned)(l - fleet.line), fleet.lines, why->msg);
}

static void start_line(struct line *l)
{
	static const struct dr_conn_cbs cbs = { on_open, on_frame, on_closed };

	l->conn.ctx = l;
	if (bench_connect(&l->conn, &fleet.loop, l->tls, &fleet.a->endpoint[l->coord], &cbs) != DR_OK)
		bench_fail("cannot connect");
}

static struct line *add_line(uint32_t coord, uint32_t side, uint32_t bundle, uint32_t bundles)
{
	struct line *l = &fleet.line[fleet.lines++];

	*l = (struct line){ .fleet = &fleet, .coord = coord, .side = side };
	l->tls = fleet.a->tls[side * bundles + bundle];
	return l;
}

static void lay_lines(void)
{
	uint32_t sides = fleet.a->standbys != 0 ? 2 : 1;
	uint32_t bundles = (fleet.a->services + AGENT_SERVICES - 1) / AGENT_SERVICES;

	if (fleet.a->certs != sides * bundles + 1)
		bench_fail("%u certificates, expected %u", fleet.a->certs, sides * bundles + 1);
	fleet.members = fleet.a->services * SIDES;
	fleet.member = dr_xcalloc(fleet.members * sizeof(*fleet.member));
	fleet.line = dr_xcalloc((fleet.a->services + (size_t)bundles * SIDES * COORDS) * sizeof(*fleet.line));
	for (uint32_t side = 0; side < sides; side++) {
		struct line *shared[COORDS] = { NULL };

		for (uint32_t i = 0; i < fleet.a->services; i++) {
			struct bench_member *m = &fleet.member[i * SIDES + side];
			bool first = i % AGENT_SERVICES == 0;

			member_open(&fleet, i, side);
			for (uint32_t c = 0; c < COORDS; c++) {
				if (first || (c == 0 && side == 0))
					shared[c] = add_line(c, side, i / AGENT_SERVICES, bundles);
				m->line[c] = shared[c];
			}
		}
	}
}

int bench_agents(const struct bench_args *a)
{
	if (a->services == 0 || a->endpoints != COORDS || a->run_ms == 0)
		bench_fail("agents --endpoints LEADER,OTHER,OTHER --ca FILE --certs PREFIX,... --services N --run-ms MS");
	began_ns = bench_now_ns();
	fleet.began_ms = dr_clock_boot_ms();
	fleet.a = a;
	fleet.timing = *dr_timing_profile("default");
	(void)uv_loop_init(&fleet.loop);
	(void)uv_timer_init(&fleet.loop, &look);
	(void)uv_signal_init(&fleet.loop, &cut);
	(void)uv_signal_start(&cut, on_cut, SIGUSR1);
	(void)uv_timer_init(&fleet.loop, &operator.again);
	operator.again.data = &operator;
	lay_lines();
	while (fleet.started < fleet.lines && fleet.started < AT_ONCE)
		start_line(&fleet.line[fleet.started++]);
	(void)uv_timer_start(&look, on_up_look, LOOK_MS, LOOK_MS);
	(void)uv_run(&fleet.loop, UV_RUN_DEFAULT);
	return 0; /* the process ends with all its connections */
}
