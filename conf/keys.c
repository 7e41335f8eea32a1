/* keys.c -- see keys.h: expands keys.def, names the words of its enums, finds the structs of its lists. */
#include "conf/keys.h"

#include <string.h>

#include "base/assert.h"

/* ---- words of enums ---- */

#define WORDS(id, title_, first_, last_, type, fn)                                                           \
	static const char *id##_name(uint32_t v)                                                             \
	{                                                                                                    \
		return fn((type)v);                                                                          \
	}                                                                                                    \
	static const struct dr_words words_##id = { title_, first_, (last_) - (first_) + 1, id##_name }

WORDS(kinds, "kind of service", DR_KIND_NONE + 1, DR_KIND_COUNT - 1, enum dr_kind, dr_kind_name);
WORDS(durabilities, "durability", DR_DURABILITY_SYNC, DR_DURABILITY_COUNT - 1, enum dr_durability,
      dr_durability_name);
static const char *sentinels_word(enum dr_sentinels s)
{
	return s == DR_SENTINELS_ADOPT ? "adopt" : "refuse";
}

WORDS(sentinels, "way with Sentinels", DR_SENTINELS_REFUSE, DR_SENTINELS_ADOPT, enum dr_sentinels, sentinels_word);
WORDS(alones, "way to go on alone", DR_ALONE_CONTINUE, DR_ALONE_BLOCK, enum dr_when_alone,
      dr_when_alone_name);
WORDS(errants, "policy for errant transactions", DR_ERRANT_BLOCK, DR_ERRANT_ALLOW, enum dr_errant, dr_errant_name);
WORDS(routes, "kind of route", DR_ROUTE_NONE + 1, DR_ROUTE_KIND_COUNT - 1, enum dr_route_kind,
      dr_route_kind_name);
WORDS(algorithms, "TSIG algorithm", DR_TSIG_HMAC_SHA256, DR_TSIG_HMAC_SHA512, enum dr_tsig_algorithm,
      dr_tsig_algorithm_name);

WORDS(plans, "kind of site plan", DR_RUNBOOK_ANY, DR_RUNBOOK_PLANS - 1, enum dr_runbook_plans, dr_runbook_plans_name);
WORDS(whens, "moment", DR_RUNBOOK_BEFORE, DR_RUNBOOK_WHENS - 1, enum dr_runbook_when, dr_runbook_when_name);
WORDS(failures, "way to take a failure", DR_RUNBOOK_GO_ON, DR_RUNBOOK_FAILURES - 1, enum dr_runbook_failure,
      dr_runbook_failure_name);

/* ---- where the elements of parts and lists are ---- */

static bool may_have(uint32_t *count, uint32_t i, bool make, uint32_t max)
{
	if (make && i < max && i >= *count)
		*count = i + 1;
	return i < *count;
}

/* Arrays without a count: an element with an empty name is free. */
static bool is_there(const struct dr_name *name, bool make)
{
	return make || name->s[0] != '\0';
}

static void *place_coordinator_tls(void *holder, uint32_t i, bool make)
{
	(void)make;
	return i == 0 ? &((struct dr_conf_coordinator *)holder)->tls : NULL;
}

static void *place_coordinator_raft(void *holder, uint32_t i, bool make)
{
	(void)make;
	return i == 0 ? &((struct dr_conf_coordinator *)holder)->raft : NULL;
}

static void *place_coordinator_http(void *holder, uint32_t i, bool make)
{
	(void)make;
	return i == 0 ? &((struct dr_conf_coordinator *)holder)->http : NULL;
}

static void *place_coordinator_peer(void *holder, uint32_t i, bool make)
{
	struct dr_conf_coordinator *c = holder;
	return may_have(&c->peers, i, make, DR_COORDINATORS_MAX) ? &c->peer[i] : NULL;
}

static void *place_agent_tls(void *holder, uint32_t i, bool make)
{
	(void)make;
	return i == 0 ? &((struct dr_conf_agent *)holder)->tls : NULL;
}

static void *place_agent_coordinator(void *holder, uint32_t i, bool make)
{
	struct dr_conf_agent *a = holder;
	return may_have(&a->coordinators, i, make, DR_COORDINATORS_MAX) ? &a->coordinator[i] : NULL;
}

static void *place_agent_service(void *holder, uint32_t i, bool make)
{
	struct dr_conf_agent *a = holder;
	return may_have(&a->services, i, make, DR_AGENT_SERVICES_MAX) ? &a->service[i] : NULL;
}

static void *place_server(void *holder, uint32_t i, enum dr_kind kind)
{
	struct dr_conf_agent_service *s = holder;
	return i == 0 ? &s->of_kind[kind] : NULL;
}

static void *place_served_postgres(void *holder, uint32_t i, bool make)
{
	(void)make;
	return place_server(holder, i, DR_KIND_POSTGRES);
}

static void *place_served_mariadb(void *holder, uint32_t i, bool make)
{
	(void)make;
	return place_server(holder, i, DR_KIND_MARIADB);
}

static void *place_served_mysql(void *holder, uint32_t i, bool make)
{
	(void)make;
	return place_server(holder, i, DR_KIND_MYSQL);
}

static void *place_served_redis(void *holder, uint32_t i, bool make)
{
	(void)make;
	return place_server(holder, i, DR_KIND_REDIS);
}

static void *place_served_valkey(void *holder, uint32_t i, bool make)
{
	(void)make;
	return place_server(holder, i, DR_KIND_VALKEY);
}

static void *place_served_redis_cluster(void *holder, uint32_t i, bool make)
{
	(void)make;
	return place_server(holder, i, DR_KIND_REDIS_CLUSTER);
}

static void *place_server_sentinel(void *holder, uint32_t i, bool make)
{
	struct dr_conf_server *s = holder;
	return may_have(&s->sentinels_named, i, make, DR_SENTINELS_MAX) ? &s->sentinel[i] : NULL;
}

static void *place_spec_timing(void *holder, uint32_t i, bool make)
{
	(void)make;
	return i == 0 ? &((struct dr_spec *)holder)->timing : NULL;
}

static void *place_spec_limits(void *holder, uint32_t i, bool make)
{
	(void)make;
	return i == 0 ? &((struct dr_spec *)holder)->limits : NULL;
}

static void *place_spec_site(void *holder, uint32_t i, bool make)
{
	struct dr_spec *s = holder;
	return may_have(&s->sites, i, make, DR_SITES_MAX) ? &s->site[i] : NULL;
}

static void *place_spec_runbook(void *holder, uint32_t i, bool make)
{
	struct dr_spec *s = holder;
	return i < DR_RUNBOOK_MAX && is_there(&s->runbook[i].name, make) ? &s->runbook[i] : NULL;
}

static void *place_spec_service(void *holder, uint32_t i, bool make)
{
	struct dr_spec *s = holder;
	return may_have(&s->services, i, make, DR_SERVICES_MAX) ? &s->service[i] : NULL;
}

/* sync and tsig are mappings in the file and plain fields of their holder's struct. */
static void *place_service_itself(void *holder, uint32_t i, bool make)
{
	(void)make;
	return i == 0 ? holder : NULL;
}

static void *place_route_itself(void *holder, uint32_t i, bool make)
{
	(void)make;
	return i == 0 ? holder : NULL;
}

static void *place_service_member(void *holder, uint32_t i, bool make)
{
	struct dr_spec_service *s = holder;
	return i < DR_MEMBERS_MAX && is_there(&s->member[i].name, make) ? &s->member[i] : NULL;
}

static void *place_service_route(void *holder, uint32_t i, bool make)
{
	struct dr_spec_service *s = holder;
	return i < DR_ROUTES_MAX && is_there(&s->route[i].name, make) ? &s->route[i] : NULL;
}

static void *place_route_server(void *holder, uint32_t i, bool make)
{
	struct dr_spec_route *r = holder;
	return may_have(&r->servers, i, make, DR_ROUTE_SERVERS_MAX) ? &r->server[i] : NULL;
}

static void *place_route_on(void *holder, uint32_t i, bool make)
{
	struct dr_spec_route *r = holder;
	return may_have(&r->servers, i, make, DR_ROUTE_SERVERS_MAX) ? &r->on[i] : NULL;
}

/* ---- the rows ---- */

/* Only its member types are used: they tell each section's struct. */
struct section_types {
#define SECTION(id, type, help) type *id;
#include "conf/keys.def"
};
#define STRUCT_OF(id) __typeof__(*((struct section_types *)NULL)->id)
#define FIELD(id, field)                                                                                     \
	.offset = offsetof(STRUCT_OF(id), field), .size = sizeof(((STRUCT_OF(id) *)NULL)->field)

/* The column `default` holds NEED, NONE or a text: NEED and NONE become markers told apart by address. */
static const char mark_need[] = "";
#define NEED mark_need
#define NONE NULL

/* clang-format off */
const struct dr_key dr_keys[DR_KEY_COUNT] = {
#define KEY(id, sec, w, typ, field, def, lo, hi, rel, h) [DR_KEY_##id] = { .section = DR_SECTION_##sec,    \
	.word = w, .type = DR_TYPE_##typ, FIELD(sec, field), .fallback = def, .min = lo, .max = hi,        \
	.reload = DR_RELOAD_##rel, .help = h },
#define CHOICE(id, sec, w, list, field, def, rel, h) [DR_KEY_##id] = { .section = DR_SECTION_##sec,        \
	.word = w, .type = DR_TYPE_CHOICE, FIELD(sec, field), .fallback = def, .words = &words_##list,     \
	.reload = DR_RELOAD_##rel, .help = h },
#define PART(id, sec, w, of_, fn, nd, h) [DR_KEY_##id] = { .section = DR_SECTION_##sec, .word = w,         \
	.type = DR_TYPE_PART, .of = DR_SECTION_##of_, .place = place_##fn, .fallback = nd, .max = 1,       \
	.help = h },
#define LIST(id, sec, w, of_, fn, lo, hi, h) [DR_KEY_##id] = { .section = DR_SECTION_##sec, .word = w,     \
	.type = DR_TYPE_LIST, .of = DR_SECTION_##of_, .place = place_##fn, .min = lo, .max = hi, .help = h },
#define SCALARS(id, sec, w, typ, fn, lo, hi, rel, h) [DR_KEY_##id] = { .section = DR_SECTION_##sec,        \
	.word = w, .type = DR_TYPE_SCALARS, .item = DR_TYPE_##typ, .place = place_##fn, .min = lo,         \
	.max = hi, .reload = DR_RELOAD_##rel, .help = h },
#include "conf/keys.def"
};
/* clang-format on */

bool dr_key_needed(const struct dr_key *k)
{
	if (k->type == DR_TYPE_LIST || k->type == DR_TYPE_SCALARS)
		return k->min > 0;
	return k->fallback == mark_need;
}

const char *dr_key_fallback(const struct dr_key *k)
{
	return k->fallback == mark_need ? NULL : k->fallback;
}

/* The keys of one kind of route alone; all others of its section go with every kind. */
static const struct {
	uint32_t kinds;
	enum dr_key_id id;
} route_keys[] = {
#define OF(kind) (1u << DR_ROUTE_##kind)
	{ OF(DNS_RFC2136), DR_KEY_route_record }, { OF(DNS_RFC2136), DR_KEY_route_zone },
	{ OF(DNS_RFC2136), DR_KEY_route_ttl },    { OF(DNS_RFC2136), DR_KEY_route_tsig },
	{ OF(FILE), DR_KEY_route_file },          { OF(FILE), DR_KEY_route_template },
	{ OF(FILE), DR_KEY_route_validate },      { OF(FILE), DR_KEY_route_reload },
	{ OF(FILE), DR_KEY_route_on },            { OF(HAPROXY), DR_KEY_route_backend },
	{ OF(HAPROXY), DR_KEY_route_backend_server }, { OF(PGBOUNCER), DR_KEY_route_pool },
	{ OF(PGBOUNCER), DR_KEY_route_pool_user }, { OF(PGBOUNCER), DR_KEY_route_pool_password },
	{ OF(EXEC), DR_KEY_route_run },           { OF(EXEC), DR_KEY_route_verify },
	{ OF(EXEC), DR_KEY_route_undo },          { OF(WEBHOOK), DR_KEY_route_url },
	{ OF(WEBHOOK), DR_KEY_route_secret },     { OF(WEBHOOK), DR_KEY_route_ca },
	{ ~OF(DNS_RFC2136), DR_KEY_route_timeout },
	{ OF(DNS_RFC2136) | OF(HAPROXY) | OF(PGBOUNCER), DR_KEY_route_servers },
#undef OF
};

bool dr_key_applies(const struct dr_key *k, const void *holder)
{
	const struct dr_spec_route *r = holder;
	if (k == &dr_keys[DR_KEY_runbook_group])
		return ((const struct dr_runbook_step *)holder)->when == DR_RUNBOOK_AFTER_GROUP;
	/* A kind that nobody knows was complained about; its keys are read as if it were the oldest one. */
	enum dr_route_kind kind = k->section != DR_SECTION_route || r->kind == DR_ROUTE_NONE ? DR_ROUTE_DNS_RFC2136 : r->kind;
	for (size_t i = 0; k->section == DR_SECTION_route && i < sizeof(route_keys) / sizeof(route_keys[0]); i++) {
		if (&dr_keys[route_keys[i].id] == k)
			return (route_keys[i].kinds & 1u << kind) != 0;
	}
	return true;
}

static const struct {
	const char *name, *help;
} titles[DR_SECTION_COUNT] = {
#define SECTION(id, type, help) { #id, help },
#include "conf/keys.def"
};

const char *dr_section_name(enum dr_section_id id)
{
	dr_assert((unsigned)id < DR_SECTION_COUNT);
	return titles[id].name;
}

const char *dr_section_help(enum dr_section_id id)
{
	dr_assert((unsigned)id < DR_SECTION_COUNT);
	return titles[id].help;
}

enum dr_section_id dr_section_top(enum dr_conf_kind kind)
{
	switch (kind) {
	case DR_CONF_COORDINATOR:
		return DR_SECTION_coordinator;
	case DR_CONF_AGENT:
		return DR_SECTION_agent;
	default:
		return DR_SECTION_spec;
	}
}

const struct dr_key *dr_key_next(enum dr_section_id section, const struct dr_key *after)
{
	for (size_t i = after == NULL ? 0 : (size_t)(after - dr_keys) + 1; i < DR_KEY_COUNT; i++) {
		if (dr_keys[i].section == section)
			return &dr_keys[i];
	}
	return NULL;
}

const struct dr_key *dr_key_find(enum dr_section_id section, const char *word)
{
	const struct dr_key *k = dr_key_next(section, NULL);
	while (k != NULL && strcmp(k->word, word) != 0)
		k = dr_key_next(section, k);
	return k;
}
