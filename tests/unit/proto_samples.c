/* proto_samples.c -- see proto_samples.h. */
#include "proto_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/parse.h"

static uint64_t next_value;

uint64_t sample_u64(void)
{
	return 0xf000000000000000u + ++next_value;
}

uint32_t sample_u32(void)
{
	return (uint32_t)(0xf0000000u + ++next_value);
}

struct dr_name sample_name(const char *s)
{
	struct dr_name n;
	assert_true(dr_name_set(&n, s));
	return n;
}

void sample_text(char *dst, size_t cap, const char *s)
{
	memset(dst, 0, cap);
	assert_true(dr_copy_text(dst, cap, s));
}

struct dr_address sample_address(const char *host, uint16_t port)
{
	struct dr_address a;
	memset(&a, 0, sizeof(a));
	sample_text(a.host, sizeof(a.host), host);
	a.port = port;
	return a;
}

void sample_timing(struct dr_timing *t)
{
	*t = (struct dr_timing){ sample_u32(), sample_u32(), sample_u32(), sample_u32(),
				 sample_u32(), sample_u32(), sample_u32(), sample_u32() };
}

void sample_result(struct dr_order_result *r)
{
	memset(r, 0, sizeof(*r));
	r->number = sample_u64();
	r->epoch = sample_u64();
	r->outcome = DR_OUTCOME_REFUSED;
	r->code = DR_E_STALE;
	r->position = sample_u64();
	r->timeline = sample_u32();
	r->system_id = sample_u64();
	r->divergence = DR_DIVERGENCE_CLONE;
	r->acked = true;
	sample_text(r->text, sizeof(r->text), "replayed to 0/3000060");
}

void sample_peer(struct dr_order_peer *p, const char *member, bool listed)
{
	p->member = sample_name(member);
	p->agent = sample_name("agent-x");
	p->agent_at = sample_address("10.2.0.20", 7401);
	p->listed = listed;
}

void sample_core(struct dr_order_core *o)
{
	memset(o, 0, sizeof(*o));
	o->kind = DR_ORDER_PREPARED;
	o->number = sample_u64();
	o->epoch = sample_u64();
	o->plan = sample_u64();
	o->step = sample_u32();
	o->target = DR_MEMBERS_MAX - 1;
	o->sync = 0xa5;
	o->k = sample_u32();
	o->position = sample_u64();
	o->clean = true;
	o->listed = 0x5a;
	o->list_version = sample_u64();
	o->timeline = (uint32_t)sample_u64();
	o->system_id = sample_u64();
}

static void fill_member(struct dr_spec_member *m, uint32_t i)
{
	char n[16];
	(void)snprintf(n, sizeof(n), "pg-%u", i);
	m->name = sample_name(n);
	m->site = sample_name("az-b");
	(void)snprintf(n, sizeof(n), "agent-%u", i);
	m->agent = sample_name(n);
	m->address = sample_address("10.9.8.7", (uint16_t)(5000 + i));
	m->priority = sample_u32();
}

static void fill_route(struct dr_spec_route *r, uint32_t i)
{
	r->kind = DR_ROUTE_DNS_RFC2136;
	r->name = sample_name(i == 0 ? "dns" : "dns-b");
	sample_text(r->record, sizeof(r->record), "orders.demo.example.");
	sample_text(r->zone, sizeof(r->zone), "demo.example.");
	r->ttl_s = sample_u32();
	sample_text(r->tsig_key, sizeof(r->tsig_key), "drcoord.");
	r->tsig_algorithm = DR_TSIG_HMAC_SHA512;
	sample_text(r->tsig_secret_file, sizeof(r->tsig_secret_file), "/etc/drcoord/secrets/tsig.secret");
	r->servers = DR_ROUTE_SERVERS_MAX;
	for (uint32_t s = 0; s < r->servers; s++)
		r->server[s] = sample_address("10.2.0.53", (uint16_t)(53 + s));
}

void sample_step(struct dr_runbook_step *s, const char *name)
{
	memset(s, 0, sizeof(*s));
	s->name = sample_name(name);
	s->site = sample_name("az-a");
	s->plans = DR_RUNBOOK_PLANNED;
	s->when = DR_RUNBOOK_AFTER_GROUP;
	s->group = 7;
	s->on_site = sample_name("az-b");
	s->on_agent = sample_name("agent-b");
	sample_text(s->run, sizeof(s->run), "freeze jobs");
	sample_text(s->verify, sizeof(s->verify), "frozen");
	sample_text(s->undo, sizeof(s->undo), "thaw");
	sample_text(s->url, sizeof(s->url), "https://10.9.0.1/");
	sample_text(s->undo_url, sizeof(s->undo_url), "https://10.9.0.1/undo");
	sample_text(s->hmac_secret_file, sizeof(s->hmac_secret_file), "/etc/drcoord/hmac");
	sample_text(s->ca_file, sizeof(s->ca_file), "/etc/drcoord/hook.crt");
	s->timeout_ms = 30000;
	s->on_failure = DR_RUNBOOK_STOP;
}

struct dr_spec *sample_spec(void)
{
	struct dr_spec *s = dr_spec_new(2);
	sample_step(&s->runbook[0], "freeze");
	sample_step(&s->runbook[DR_RUNBOOK_MAX - 1], "tell"); /* places stay places */
	s->cluster = sample_name("demo");
	sample_timing(&s->timing);
	s->limits = (struct dr_limits){ .automatic_moves = DR_MOVES_KEPT - 1, .within_ms = sample_u32() };
	s->sites = DR_SITES_MAX;
	for (uint32_t i = 0; i < s->sites; i++) {
		char n[16];
		(void)snprintf(n, sizeof(n), "az-%u", i);
		s->site[i].name = sample_name(n);
		s->site[i].region = sample_name("north");
	}
	s->services = 2;
	for (uint32_t i = 0; i < 2; i++) {
		struct dr_spec_service *v = &s->service[i];
		v->name = sample_name(i == 0 ? "orders" : "invoices");
		v->kind = DR_KIND_POSTGRES;
		v->group = sample_u32();
		v->auto_failover = i == 0;
		v->durability = DR_DURABILITY_ASYNC;
		v->sync_k = sample_u32();
		v->sync_set_max = sample_u32();
		v->when_alone = DR_ALONE_BLOCK;
		v->alone_after_ms = sample_u32();
		v->errant = DR_ERRANT_ALLOW;
		v->rpo_bytes = sample_u64();
		v->cooldown_ms = sample_u32();
		v->restart_within_ms = sample_u32();
		v->write_stall_ms = sample_u32();
		v->cluster = sample_name("keys");
		v->takeover = i == 0;
		sample_text(v->database, sizeof(v->database), "postgres");
		sample_text(v->user, sizeof(v->user), "drcoord");
		sample_text(v->ca_file, sizeof(v->ca_file), "/etc/drcoord/servers.crt");
		sample_text(v->password_file, sizeof(v->password_file), "/etc/drcoord/pw");
		for (uint32_t m = 0; m < DR_MEMBERS_MAX; m++) {
			if (i == 0 || m == 1 || m == 6) /* places stay places */
				fill_member(&v->member[m], m);
		}
		fill_route(&v->route[i == 0 ? 0 : 3], 0);
		fill_route(&v->route[1], 1);
	}
	return s;
}
