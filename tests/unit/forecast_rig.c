/* forecast_rig.c -- see forecast_rig.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "forecast_rig.h"

struct dr_core *live;
struct dr_forecast_room *room;
struct dr_past past;

static void *zeroed(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

struct dr_service *service(void)
{
	return &live->repl.service[1];
}

struct dr_member_view *seen(unsigned m)
{
	return &live->view.service[1].member[m];
}

static void spec(struct dr_spec_service *s, enum dr_durability durability)
{
	*s = (struct dr_spec_service){ .kind = DR_KIND_POSTGRES, .auto_failover = true, .durability = durability, .sync_k = 1,
				       .sync_set_max = 1, .alone_after_ms = 10000, .rpo_bytes = 1000, .cooldown_ms = 30000,
				       .restart_within_ms = 10000 };
	assert_true(dr_name_set(&s->name, "orders"));
	for (unsigned m = 0; m < MEMBERS; m++) {
		char name[8];
		(void)snprintf(name, sizeof(name), "pg-%c", 'a' + m);
		assert_true(dr_name_set(&s->member[m].name, name));
		(void)snprintf(name, sizeof(name), "az-%c", 'a' + m);
		assert_true(dr_name_set(&s->member[m].site, name));
		(void)snprintf(s->member[m].address.host, sizeof(s->member[m].address.host), "10.%u.0.20", m + 1);
		s->member[m].address.port = 5432;
		s->member[m].priority = m + 1;
	}
	s->route[0] = (struct dr_spec_route){ .kind = DR_ROUTE_DNS_RFC2136, .servers = 2 };
	assert_true(dr_name_set(&s->route[0].name, "dns"));
}

/* A member's agent was heard just now, and so was its server, by all three coordinators. */
static void report(unsigned m, bool primary)
{
	struct dr_report *r = &seen(m)->report;
	*r = (struct dr_report){ .managed = true, .epoch = 4, .guard_alive = true, .timeline = 3, .received = POSITION,
				 .role = primary ? DR_ROLE_PRIMARY : DR_ROLE_STANDBY,
				 .server = primary ? DR_SERVER_PRIMARY : DR_SERVER_STANDBY, .receiving = !primary,
				 .failsafe = primary ? DR_FAILSAFE_READY : DR_FAILSAFE_NONE };
	if (!primary)
		r->upstream_at = service()->spec.member[0].address;
	seen(m)->of = service()->spec.member[m].name;
	seen(m)->report_ms = NOW;
	for (unsigned i = 0; i < 3; i++)
		seen(m)->by[i] = (struct dr_seen_by){ .at_ms = NOW, .o = { .service = 1, .member = (dr_member_ix)m,
									    .in_recovery = !primary,
									    .write_age_ms = primary ? 100 : UINT32_MAX } };
}

static void coordinators(void)
{
	for (unsigned i = 0; i < 3; i++) {
		struct dr_coordinator *k = &live->repl.coordinator[i];
		char name[8];
		(void)snprintf(name, sizeof(name), "c-%c", 'a' + i);
		assert_true(dr_name_set(&k->name, name));
		(void)snprintf(name, sizeof(name), "az-%c", 'a' + i);
		assert_true(dr_name_set(&k->site, name));
		assert_true(dr_name_set(&live->repl.site[i].name, name));
		k->id = i + 1;
	}
	live->repl.coordinators = live->repl.sites = 3;
}

/* A healthy service at place 1, its primary in site a; the place before it is somebody else's. */
void healthy(enum dr_durability durability)
{
	struct dr_name self;
	assert_true(dr_name_set(&self, "c-b"));
	memset(live, 0, offsetof(struct dr_core, repl.event));
	memset(live->repl.service, 0, 2 * sizeof(live->repl.service[0]));
	memset(&live->view, 0, offsetof(struct dr_core_view, service) + 2 * sizeof(live->view.service[0]));
	live->repl.event_last = 0;
	dr_core_init(live, &self, NOW);
	coordinators();
	live->repl.timing = *dr_timing_profile("metro");
	live->repl.ttl_longest_ms = live->repl.timing.ttl_ms;
	live->repl.services = 2;
	struct dr_service *s = service();
	spec(&s->spec, durability);
	s->used = s->managed = s->was_primary = true;
	s->epoch = s->primary_epoch = s->list_epoch = 4;
	s->holder = s->last_holder = 0;
	s->listed = 6;
	s->sync = durability == DR_DURABILITY_SYNC ? (struct dr_sync){ .set = 2, .k = 1 } : (struct dr_sync){ .set = 1, .k = 1 };
	s->next = durability == DR_DURABILITY_SYNC ? s->sync : (struct dr_sync){ 0 };
	for (unsigned m = 0; m < MEMBERS; m++)
		s->member[m].joined_epoch = s->member[m].lineage = 4;
	s->member[0].unproved_epoch = 4;
	s->route_epoch[0] = 4;
	s->route_servers[0] = 3;
	dr_repl_index(&live->repl);
	live->view.leading = true;
	live->view.term = 9;
	live->view.now_ms = NOW;
	live->view.wall_ms = WALL;
	live->view.led_since_ms = NOW - 600000;
	live->view.service[1].of = s->spec.name;
	live->view.service[1].holder_ms = live->view.service[1].others_ms = NOW - 500000;
	live->view.service[1].primary_position = POSITION;
	live->view.service[1].primary_position_ms = NOW;
	for (unsigned m = 0; m < MEMBERS; m++)
		report(m, m == 0);
	seen(0)->renewed_ms = NOW - 100;
	memset(&past, 0, sizeof(past));
}

struct dr_forecast_ask ask(bool lost, enum dr_request_kind request)
{
	return (struct dr_forecast_ask){ .service = 1, .lost = lost, .ordered = !lost, .request = request, .to = DR_MEMBER_NONE };
}

struct dr_forecast forecast(struct dr_forecast_ask q)
{
	struct dr_forecast f;
	dr_forecast(live, room, &q, &past, &f);
	return f;
}

int rig_begin(void **state)
{
	(void)state;
	live = zeroed(sizeof(*live));
	room = zeroed(sizeof(*room));
	return 0;
}
