/* spec.c -- see spec.h. */
#include "model/spec.h"

#include <string.h>

static const struct {
	const char *word;
	struct dr_timing timing;
} profiles[] = {
	/*                R     TTL    F     M    P     Pd    D      d */
	{ "default", { 1000, 5000, 1000, 200, 1000, 500, 3000, 2000 } },
	{ "metro", { 250, 1500, 300, 100, 250, 200, 750, 2000 } },
	{ "geo", { 3000, 15000, 2000, 500, 3000, 3000, 10000, 2000 } },
};

const struct dr_timing *dr_timing_profile(const char *word)
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
		if (strcmp(profiles[i].word, word) == 0)
			return &profiles[i].timing;
	}
	return NULL;
}

/* What the kinds differ in for the core and the configuration; one row is one kind. */
static const struct {
	const char *name, *adapter;
	bool counts_bytes, keeps_place, asks_to_ack;
} kinds[DR_KIND_COUNT] = {
	[DR_KIND_NONE] = { "none", "none", false, true, false },
	[DR_KIND_POSTGRES] = { "postgres", "postgres", true, true, false },
	[DR_KIND_MARIADB] = { "mariadb", "mysql", false, true, true },
	[DR_KIND_MYSQL] = { "mysql", "mysql", false, true, true },
	[DR_KIND_REDIS] = { "redis", "redis", true, false, false },
	[DR_KIND_VALKEY] = { "valkey", "redis", true, false, false },
	[DR_KIND_REDIS_CLUSTER] = { "redis-cluster", "redis_cluster", true, false, false },
};

static unsigned row(enum dr_kind k)
{
	return (unsigned)k < DR_KIND_COUNT ? k : DR_KIND_NONE;
}

const char *dr_kind_name(enum dr_kind k)
{
	return kinds[row(k)].name;
}

const char *dr_kind_adapter(enum dr_kind k)
{
	return kinds[row(k)].adapter;
}

bool dr_kind_counts_bytes(enum dr_kind k)
{
	return kinds[row(k)].counts_bytes;
}

bool dr_kind_keeps_place(enum dr_kind k)
{
	return kinds[row(k)].keeps_place;
}

bool dr_kind_asks_to_ack(enum dr_kind k)
{
	return kinds[row(k)].asks_to_ack;
}

const char *dr_durability_name(enum dr_durability d)
{
	static const char *const names[DR_DURABILITY_COUNT] = { "sync", "async", "bounded" };
	return names[(unsigned)d < DR_DURABILITY_COUNT ? d : DR_DURABILITY_SYNC];
}

const char *dr_when_alone_name(enum dr_when_alone w)
{
	return w == DR_ALONE_BLOCK ? "block" : "continue";
}

const char *dr_errant_name(enum dr_errant x)
{
	return x == DR_ERRANT_ALLOW ? "allow" : "block";
}

const char *dr_route_kind_name(enum dr_route_kind k)
{
	static const char *const names[DR_ROUTE_KIND_COUNT] = { "none", "dns_rfc2136", "file", "haproxy", "pgbouncer", "exec",
								"webhook" };
	return names[(unsigned)k < DR_ROUTE_KIND_COUNT ? k : DR_ROUTE_NONE];
}

/* The two ends of a text, with something between them. */
static const char *join(char *text, const char *a, const char *between, const char *b)
{
	const char *part[] = { a, between, b };
	size_t n = 0;
	for (size_t i = 0; i < 3; i++) {
		for (size_t k = 0; part[i][k] != '\0' && n + 1 < DR_URL_MAX; k++)
			text[n++] = part[i][k];
	}
	text[n] = '\0';
	return text;
}

const char *dr_route_what(const struct dr_spec_route *r, char *text)
{
	switch (r->kind) {
	case DR_ROUTE_DNS_RFC2136: return join(text, r->record, "", "");
	case DR_ROUTE_FILE: return join(text, r->file, "", "");
	case DR_ROUTE_HAPROXY: return join(text, r->backend, "/", r->backend_server);
	case DR_ROUTE_PGBOUNCER: return join(text, r->pool, "", "");
	case DR_ROUTE_EXEC: return join(text, r->run, "", "");
	case DR_ROUTE_WEBHOOK: return join(text, r->url, "", "");
	default: return join(text, "", "", "");
	}
}

const char *dr_route_where(const struct dr_spec_route *r, uint32_t place, char *text)
{
	char port[8];
	size_t at = sizeof(port) - 1;
	if (dr_route_is_local(r))
		return join(text, r->on[place].s, "", "");
	if (place >= r->servers)
		return join(text, "the leader", "", "");
	port[at] = '\0';
	for (unsigned v = r->server[place].port; v > 0 || at == sizeof(port) - 1; v /= 10)
		port[--at] = (char)('0' + v % 10);
	return join(text, r->server[place].host, ":", port + at);
}

static bool same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static bool same_places(const struct dr_spec_route *a, const struct dr_spec_route *b)
{
	for (uint32_t i = 0; i < DR_ROUTE_SERVERS_MAX; i++) {
		if (!same(a->server[i].host, b->server[i].host) || a->server[i].port != b->server[i].port)
			return false;
		if (a->kind == DR_ROUTE_FILE && !dr_name_eq(&a->on[i], &b->on[i]))
			return false;
	}
	return a->servers == b->servers;
}

bool dr_spec_route_eq(const struct dr_spec_route *a, const struct dr_spec_route *b)
{
	if (a->kind != b->kind || !dr_name_eq(&a->name, &b->name) || a->timeout_ms != b->timeout_ms || !same_places(a, b))
		return false;
	switch (a->kind) {
	case DR_ROUTE_DNS_RFC2136:
		return same(a->record, b->record) && same(a->zone, b->zone) && a->ttl_s == b->ttl_s &&
		       same(a->tsig_key, b->tsig_key) && a->tsig_algorithm == b->tsig_algorithm &&
		       same(a->tsig_secret_file, b->tsig_secret_file);
	case DR_ROUTE_FILE:
		return same(a->file, b->file) && same(a->made_from, b->made_from) && same(a->validate, b->validate) &&
		       same(a->reload, b->reload);
	case DR_ROUTE_HAPROXY:
		return same(a->backend, b->backend) && same(a->backend_server, b->backend_server);
	case DR_ROUTE_PGBOUNCER:
		return same(a->pool, b->pool) && same(a->pool_user, b->pool_user) &&
		       same(a->pool_password_file, b->pool_password_file);
	case DR_ROUTE_EXEC:
		return same(a->run, b->run) && same(a->verify, b->verify) && same(a->undo, b->undo);
	case DR_ROUTE_WEBHOOK:
		return same(a->url, b->url) && same(a->hmac_secret_file, b->hmac_secret_file) && same(a->ca_file, b->ca_file);
	default:
		return true;
	}
}

const char *dr_tsig_algorithm_name(enum dr_tsig_algorithm a)
{
	return a == DR_TSIG_HMAC_SHA512 ? "hmac-sha512" : "hmac-sha256";
}

const char *dr_runbook_plans_name(enum dr_runbook_plans p)
{
	static const char *const names[DR_RUNBOOK_PLANS] = { "any", "failover", "planned" };
	return names[(unsigned)p < DR_RUNBOOK_PLANS ? p : DR_RUNBOOK_ANY];
}

const char *dr_runbook_when_name(enum dr_runbook_when w)
{
	static const char *const names[DR_RUNBOOK_WHENS] = { "before", "after_group", "after" };
	return names[(unsigned)w < DR_RUNBOOK_WHENS ? w : DR_RUNBOOK_BEFORE];
}

const char *dr_runbook_failure_name(enum dr_runbook_failure f)
{
	static const char *const names[DR_RUNBOOK_FAILURES] = { "go_on", "stop" };
	return names[(unsigned)f < DR_RUNBOOK_FAILURES ? f : DR_RUNBOOK_GO_ON];
}

uint64_t dr_lease_hold_ms(uint32_t ttl_ms, uint32_t drift_ppm)
{
	uint64_t million = 1000000;
	uint64_t up = (uint64_t)ttl_ms * (million + drift_ppm);
	uint64_t down = million - (drift_ppm < million ? drift_ppm : million - 1);
	return (up + down - 1) / down;
}
