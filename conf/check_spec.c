/* check_spec.c -- see check.h: the cluster spec as a whole. */
#include "conf/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/keys.h"
#include "conf/predict.h"

yaml_node_t *dr_check_at(struct dr_yaml *y, const char *fmt, ...)
{
	char path[160];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	return dr_yaml_at(y, path);
}

/* ---- timing ---- */

static void inequality_fails(void *ctx, const char *name, const char *key, const char *text)
{
	struct dr_yaml *y = ctx;
	dr_yaml_bad(y, dr_check_at(y, "timing.%s", key), "timing: %s does not hold: %s", name, text);
}

static void check_timing(struct dr_yaml *y, const struct dr_spec *spec)
{
	const char *word =
	    dr_yaml_text(dr_yaml_value(y, dr_yaml_value(y, dr_yaml_root(y), "timing"), "profile"));
	const struct dr_assumed *a = word != NULL ? dr_assumed_profile(word) : dr_assumed_near(&spec->timing);
	if (a != NULL)
		(void)dr_timing_check(&spec->timing, a, inequality_fails, y);
}

/* ---- one service ---- */

static uint32_t members_of(const struct dr_spec_service *s, uint32_t *promotable, uint32_t *sites)
{
	uint32_t n = 0;
	*promotable = *sites = 0;
	for (uint32_t m = 0; m < DR_MEMBERS_MAX; m++) {
		if (s->member[m].name.s[0] == '\0')
			continue;
		bool new_site = true;
		for (uint32_t o = 0; o < m; o++)
			new_site = new_site && !dr_name_eq(&s->member[o].site, &s->member[m].site);
		n++;
		*promotable += s->member[m].priority > 0 ? 1 : 0;
		*sites += new_site ? 1 : 0;
	}
	return n;
}

static void check_site(struct dr_yaml *y, const struct dr_spec *spec, uint32_t i, uint32_t m)
{
	const struct dr_spec_service *s = &spec->service[i];
	const struct dr_spec_member *one = &s->member[m];
	if (one->site.s[0] == '\0')
		return;
	struct dr_nearest near = dr_nearest_to(one->site.s);
	for (uint32_t k = 0; k < spec->sites; k++) {
		if (dr_name_eq(&spec->site[k].name, &one->site))
			return;
		dr_nearest_try(&near, spec->site[k].name.s);
	}
	const char *meant = dr_nearest_found(&near);
	dr_yaml_bad(y, dr_check_at(y, "services[%u].members[%u].site", i, m),
		    "services.%s.members.%s.site: there is no site \"%s\"; expected one of sites%s%s%s",
		    s->name.s, one->name.s, one->site.s, meant != NULL ? "; did you mean \"" : "",
		    meant != NULL ? meant : "", meant != NULL ? "\"?" : "");
}

static void check_agents(struct dr_yaml *y, const struct dr_spec_service *s, uint32_t i)
{
	for (uint32_t m = 0; m < DR_MEMBERS_MAX; m++) {
		for (uint32_t o = 0; o < m; o++) {
			if (s->member[m].agent.s[0] == '\0' ||
			    !dr_name_eq(&s->member[m].agent, &s->member[o].agent))
				continue;
			dr_yaml_bad(
			    y, dr_check_at(y, "services[%u].members[%u].agent", i, m),
			    "services.%s.members.%s.agent: \"%s\" speaks for member %s of it already; expected "
			    "one agent for each member: a host that dies must not take two",
			    s->name.s, s->member[m].name.s, s->member[m].agent.s, s->member[o].name.s);
			break;
		}
	}
}

static void check_sync(struct dr_yaml *y, const struct dr_spec_service *s, uint32_t i, uint32_t members)
{
	bool too_many = s->durability == DR_DURABILITY_SYNC ? s->sync_k > s->sync_set_max
							     : s->durability == DR_DURABILITY_BOUNDED && s->sync_k >= members;
	if (too_many && members > 0)
		dr_yaml_bad(y, dr_check_at(y, "services[%u].sync.k", i),
			    "services.%s.sync.k: %" PRIu32 " needs %" PRIu32
			    " members, one of them the primary, but there are %" PRIu32
			    "; expected more members, or durability: async",
			    s->name.s, s->sync_k, s->sync_k + 1, members);
}

static void advise(struct dr_yaml *y, const struct dr_spec_service *s, uint32_t i, uint32_t members,
		   uint32_t promotable, uint32_t sites)
{
	const yaml_node_t *at = dr_check_at(y, "services[%u].members", i);
	if (members > 1 && sites == 1)
		dr_yaml_warn(y, at,
			     "services.%s.members: all stand in one site; the loss of it loses the service",
			     s->name.s);
	if (s->auto_failover && promotable < 2)
		dr_yaml_warn(y, at,
			     "services.%s.members: %" PRIu32
			     " with a priority above 0; a failover has nobody to promote",
			     s->name.s, promotable);
	if (s->durability != DR_DURABILITY_ASYNC && s->when_alone == DR_ALONE_BLOCK &&
	    members == s->sync_k + 1)
		dr_yaml_warn(y, dr_check_at(y, "services[%u].when_alone", i),
			     "services.%s.when_alone: with %" PRIu32 " members and k %" PRIu32
			     " the loss of any standby blocks all writes",
			     s->name.s, members, s->sync_k);
}

/* Whether name is zone or ends in ".zone", whatever the case. */
static bool is_inside(const char *name, const char *zone)
{
	size_t n = strlen(name), z = strlen(zone);
	if (n < z || strcasecmp(name + n - z, zone) != 0)
		return false;
	return n == z || name[n - z - 1] == '.';
}

/* Names of files and programs, words of HAProxy's commands: nothing that leads elsewhere. */
static void check_word(struct dr_yaml *y, uint32_t i, uint32_t r, const struct dr_spec_service *s, const char *key,
		       const char *text, const char *expected)
{
	size_t n = strcspn(text, " ");
	bool bad = text[0] == '.' || strcspn(text, "/;\t\"'\\") < n || (strcmp(expected, "one word") == 0 && text[n] != '\0');
	if (text[0] != '\0' && (n == 0 || bad))
		dr_yaml_bad(y, dr_check_at(y, "services[%u].routes[%u].%s", i, r, key),
			    "services.%s.routes.%s.%s: \"%.80s\"; expected %s", s->name.s, s->route[r].name.s, key, text,
			    strcmp(expected, "one word") == 0 ? "one word without / ; and quotes" : expected);
}

static void check_words(struct dr_yaml *y, const struct dr_spec_service *s, uint32_t i, uint32_t r)
{
	static const char *const word = "one word";
	static const char *const command = "the name of a program in commands_in and its arguments, all between blanks, no path";
	const struct dr_spec_route *one = &s->route[r];
	if (one->kind == DR_ROUTE_FILE) {
		check_word(y, i, r, s, "file", one->file, word);
		check_word(y, i, r, s, "template", one->made_from, word);
		check_word(y, i, r, s, "validate", one->validate, command);
		check_word(y, i, r, s, "reload", one->reload, command);
	} else if (one->kind == DR_ROUTE_HAPROXY) {
		check_word(y, i, r, s, "backend", one->backend, word);
		check_word(y, i, r, s, "server", one->backend_server, word);
	} else if (one->kind == DR_ROUTE_PGBOUNCER) {
		check_word(y, i, r, s, "pool", one->pool, word);
	} else if (one->kind == DR_ROUTE_EXEC) {
		check_word(y, i, r, s, "run", one->run, command);
		check_word(y, i, r, s, "verify", one->verify, command);
		check_word(y, i, r, s, "undo", one->undo, command);
	} else if (one->kind == DR_ROUTE_WEBHOOK && strncmp(one->url, "https://", 8) != 0 && one->url[0] != '\0') {
		dr_yaml_bad(y, dr_check_at(y, "services[%u].routes[%u].url", i, r),
			    "services.%s.routes.%s.url: \"%.80s\"; expected https://HOST[:PORT]/PATH: whoever reads the request "
			    "on its way could send it again",
			    s->name.s, one->name.s, one->url);
	}
}

static void check_routes(struct dr_yaml *y, const struct dr_spec_service *s, uint32_t i)
{
	for (uint32_t r = 0; r < DR_ROUTES_MAX; r++) {
		const struct dr_spec_route *one = &s->route[r];
		if (one->kind == DR_ROUTE_DNS_RFC2136 && one->record[0] != '\0' && one->zone[0] != '\0' &&
		    !is_inside(one->record, one->zone))
			dr_yaml_bad(
			    y, dr_check_at(y, "services[%u].routes[%u].record", i, r),
			    "services.%s.routes.%s.record: \"%.80s\" is not inside the zone \"%.80s\"; expected a name "
			    "that ends in it",
			    s->name.s, one->name.s, one->record, one->zone);
		check_words(y, s, i, r);
		for (uint32_t a = 0; a < one->servers && !dr_route_is_local(one); a++) {
			for (uint32_t b = 0; b < a; b++) {
				if (one->server[a].port != 0 &&
				    memcmp(&one->server[a], &one->server[b], sizeof(one->server[a])) == 0)
					dr_yaml_bad(
					    y, dr_check_at(y, "services[%u].routes[%u].servers[%u]", i, r, a),
					    "services.%s.routes.%s.servers: %s:%u stands twice; expected each once",
					    s->name.s, one->name.s, one->server[a].host,
					    (unsigned)one->server[a].port);
			}
		}
	}
}

enum { RPO_TRANSACTIONS_MAX = 1000000 };

static bool is_redis(enum dr_kind kind)
{
	return kind == DR_KIND_REDIS || kind == DR_KIND_VALKEY;
}

/* It answers before its replicas have a write, and can't be made to wait: whoever writes sync gets what it has, by its name. */
void dr_check_settle(struct dr_yaml *y, struct dr_spec *spec)
{
	for (uint32_t i = 0; i < spec->services; i++) {
		struct dr_spec_service *s = &spec->service[i];
		const yaml_node_t *at = dr_check_at(y, "services[%u].durability", i);
		bool given = dr_yaml_value(y, dr_check_at(y, "services[%u]", i), "durability") != NULL;
		if (!is_redis(s->kind) || s->durability != DR_DURABILITY_SYNC || !given)
			continue;
		s->durability = DR_DURABILITY_BOUNDED;
		dr_yaml_warn(y, at,
			     "services.%s.durability: sync of kind %s is taken for bounded: a write may be acknowledged and "
			     "lost, but none is taken once fewer than %" PRIu32 " replicas were heard of late",
			     s->name.s, dr_kind_name(s->kind), s->sync_k);
	}
}

/* What is not there yet for a kind is refused, never taken for something less. */
static void check_kind(struct dr_yaml *y, const struct dr_spec_service *s, uint32_t i)
{
	bool ids = s->kind != DR_KIND_NONE && !dr_kind_counts_bytes(s->kind);
	bool is_sync = s->kind == DR_KIND_POSTGRES || s->kind == DR_KIND_NONE || dr_kind_asks_to_ack(s->kind);
	if (s->kind == DR_KIND_MARIADB && s->durability == DR_DURABILITY_SYNC && s->sync_k > 1)
		dr_yaml_bad(y, dr_check_at(y, "services[%u].sync.k", i),
			    "services.%s.sync.k: %" PRIu32 "; MariaDB waits for one standby, whichever is first; expected 1"
			    " (MySQL and PostgreSQL take more)", s->name.s, s->sync_k);
	if (s->durability == DR_DURABILITY_BOUNDED && !is_redis(s->kind))
		dr_yaml_bad(y, dr_check_at(y, "services[%u].durability", i),
			    "services.%s.durability: bounded is of Redis and Valkey; expected async%s", s->name.s,
			    is_sync ? " or sync" : "");
	else if (is_redis(s->kind) && s->durability == DR_DURABILITY_SYNC)
		dr_yaml_bad(y, dr_check_at(y, "services[%u].durability", i),
			    "services.%s.durability: of kind %s it is to be given; expected bounded (no writes are taken once its "
			    "replicas are gone: less is lost, not nothing) or async", s->name.s, dr_kind_name(s->kind));
	else if (!is_sync && s->durability == DR_DURABILITY_SYNC)
		dr_yaml_bad(y, dr_check_at(y, "services[%u].durability", i),
			    "services.%s.durability: sync is not offered for kind %s yet; expected async", s->name.s,
			    dr_kind_name(s->kind));
	if ((s->kind == DR_KIND_POSTGRES || s->kind == DR_KIND_REDIS_CLUSTER) && s->ca_file[0] != '\0')
		dr_yaml_bad(y, dr_check_at(y, "services[%u].ca_file", i),
			    "services.%s.ca_file: is not looked at where the kind is %s; expected none, and a network that nobody "
			    "else reads",
			    s->name.s, dr_kind_name(s->kind));
	if (ids && s->rpo_bytes > RPO_TRANSACTIONS_MAX)
		dr_yaml_bad(y, dr_check_at(y, "services[%u].rpo", i),
			    "services.%s.rpo: counts transactions where the kind is %s; expected at most %d, as in rpo: 1000",
			    s->name.s, dr_kind_name(s->kind), RPO_TRANSACTIONS_MAX);
}

static void check_cluster(struct dr_yaml *y, const struct dr_spec_service *s, uint32_t i)
{
	bool is = s->kind == DR_KIND_REDIS_CLUSTER;
	if (is && s->cluster.s[0] == '\0')
		dr_yaml_bad(y, dr_check_at(y, "services[%u]", i),
			    "services.%s: key \"cluster\" is missing; expected a name that all shards of the Redis Cluster have",
			    s->name.s);
	if (!is && s->kind != DR_KIND_NONE && (s->cluster.s[0] != '\0' || s->takeover))
		dr_yaml_bad(y, dr_check_at(y, "services[%u].%s", i, s->cluster.s[0] != '\0' ? "cluster" : "takeover"),
			    "services.%s: cluster and takeover are of kind redis-cluster, and its kind is %s; expected neither",
			    s->name.s, dr_kind_name(s->kind));
}

static void check_service(struct dr_yaml *y, const struct dr_spec *spec, uint32_t i)
{
	const struct dr_spec_service *s = &spec->service[i];
	uint32_t promotable, sites;
	uint32_t members = members_of(s, &promotable, &sites);
	for (uint32_t m = 0; m < DR_MEMBERS_MAX; m++)
		check_site(y, spec, i, m);
	check_agents(y, s, i);
	check_sync(y, s, i, members);
	check_kind(y, s, i);
	check_cluster(y, s, i);
	check_routes(y, s, i);
	if (members > 0)
		advise(y, s, i, members, promotable, sites);
}

/* ---- over all services: sorted, because there may be thousands ---- */

struct claim {
	char what[DR_FQDN_MAX]; /* an address, an agent, a record */
	char must[DR_NAME_MAX]; /* an agent's site: equal in all claims; empty: only one claim may be */
	uint32_t service, element;
};

static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int d = strcmp(x->what, y->what);
	if (d == 0)
		d = x->service != y->service ? (x->service < y->service ? -1 : 1) : 0;
	if (d == 0)
		d = x->element != y->element ? (x->element < y->element ? -1 : 1) : 0;
	return d;
}

struct claims {
	struct claim *claim;
	uint32_t count;
};

DR_PRINTF(5, 6)
static void claim(struct claims *c, uint32_t service, uint32_t element, const char *must, const char *fmt,
		  ...)
{
	struct claim *one = &c->claim[c->count++];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(one->what, sizeof(one->what), fmt, ap);
	va_end(ap);
	(void)snprintf(one->must, sizeof(one->must), "%s", must);
	one->service = service;
	one->element = element;
}

/* Call twice() for each claim that clashes with the first one of the same thing. */
static void clashes(struct claims *c, struct dr_yaml *y, const struct dr_spec *spec,
		    void (*twice)(struct dr_yaml *y, const struct dr_spec *spec, const struct claim *first,
				  const struct claim *again))
{
	qsort(c->claim, c->count, sizeof(*c->claim), compare_claims);
	for (uint32_t i = 1, first = 0; i < c->count; i++) {
		if (strcmp(c->claim[i].what, c->claim[first].what) != 0) {
			first = i;
			continue;
		}
		if (c->claim[i].must[0] == '\0' || strcmp(c->claim[i].must, c->claim[first].must) != 0)
			twice(y, spec, &c->claim[first], &c->claim[i]);
	}
	c->count = 0;
}

static void address_twice(struct dr_yaml *y, const struct dr_spec *spec, const struct claim *first,
			  const struct claim *again)
{
	const struct dr_spec_service *a = &spec->service[first->service], *b = &spec->service[again->service];
	dr_yaml_bad(
	    y, dr_check_at(y, "services[%u].members[%u].address", again->service, again->element),
	    "services.%s.members.%s.address: %s is the address of member %s of %s already; expected one of its own",
	    b->name.s, b->member[again->element].name.s, again->what, a->member[first->element].name.s,
	    a->name.s);
}

static void agent_moves(struct dr_yaml *y, const struct dr_spec *spec, const struct claim *first,
			const struct claim *again)
{
	const struct dr_spec_service *b = &spec->service[again->service];
	dr_yaml_bad(
	    y, dr_check_at(y, "services[%u].members[%u].site", again->service, again->element),
	    "services.%s.members.%s.site: agent \"%s\" stands in site %s for member %s of %s, here in %s; expected "
	    "one host to be in one site",
	    b->name.s, b->member[again->element].name.s, again->what, first->must,
	    spec->service[first->service].member[first->element].name.s, spec->service[first->service].name.s,
	    again->must);
}

static void record_twice(struct dr_yaml *y, const struct dr_spec *spec, const struct claim *first,
			 const struct claim *again)
{
	const struct dr_spec_service *a = &spec->service[first->service], *b = &spec->service[again->service];
	dr_yaml_bad(
	    y, dr_check_at(y, "services[%u].routes[%u].record", again->service, again->element),
	    "services.%s.routes.%s.record: \"%.100s\" is written by route %s of %s already; expected one writer",
	    b->name.s, b->route[again->element].name.s, again->what, a->route[first->element].name.s,
	    a->name.s);
}

static void place_twice(struct dr_yaml *y, const struct dr_spec *spec, const struct claim *first, const struct claim *again)
{
	const struct dr_spec_service *a = &spec->service[first->service], *b = &spec->service[again->service];
	const struct dr_spec_route *r = &b->route[again->element];
	if (first->service == again->service && first->element == again->element)
		return; /* a server that stands twice in one route was complained about there */
	const char *key = r->kind == DR_ROUTE_FILE ? "file" : r->kind == DR_ROUTE_PGBOUNCER ? "pool" : "server";
	dr_yaml_bad(y, dr_check_at(y, "services[%u].routes[%u].%s", again->service, again->element, key),
		    "services.%s.routes.%s.%s: %.160s is led by route %s of %s already; expected one route for each", b->name.s,
		    r->name.s, key, again->what, a->route[first->element].name.s, a->name.s);
}

/* Each place of a route that would show two primaries in turn if another one had it, too. */
static void claim_places(struct claims *c, uint32_t i, uint32_t r, const struct dr_spec_route *one)
{
	for (uint32_t k = 0; k < one->servers && k < DR_ROUTE_SERVERS_MAX; k++) {
		const struct dr_address *at = &one->server[k];
		if (one->kind == DR_ROUTE_FILE && one->file[0] != '\0')
			claim(c, i, r, "", "file %s on %s", one->file, one->on[k].s);
		else if (one->kind == DR_ROUTE_HAPROXY && at->port != 0)
			claim(c, i, r, "", "server %s/%s of %s:%u", one->backend, one->backend_server, at->host,
			      (unsigned)at->port);
		else if (one->kind == DR_ROUTE_PGBOUNCER && at->port != 0)
			claim(c, i, r, "", "pool %s of %s:%u", one->pool, at->host, (unsigned)at->port);
	}
}

static void claim_members(struct claims *c, const struct dr_spec *spec, bool agents)
{
	for (uint32_t i = 0; i < spec->services; i++) {
		for (uint32_t m = 0; m < DR_MEMBERS_MAX; m++) {
			const struct dr_spec_member *one = &spec->service[i].member[m];
			if (agents && one->agent.s[0] != '\0' && one->site.s[0] != '\0')
				claim(c, i, m, one->site.s, "%s", one->agent.s);
			if (!agents && one->address.port != 0)
				claim(c, i, m, "", "%s:%u", one->address.host, (unsigned)one->address.port);
		}
	}
}

enum { CLAIMS_EACH = DR_ROUTES_MAX * DR_ROUTE_SERVERS_MAX };
_Static_assert((int)CLAIMS_EACH >= (int)DR_MEMBERS_MAX, "a service claims more than there is room for");

static void check_claims(struct dr_yaml *y, const struct dr_spec *spec)
{
	size_t most = (size_t)spec->services * CLAIMS_EACH;
	struct claims c = { .claim = dr_xcalloc(most * sizeof(struct claim)), .count = 0 };
	claim_members(&c, spec, false);
	clashes(&c, y, spec, address_twice);
	claim_members(&c, spec, true);
	clashes(&c, y, spec, agent_moves);
	for (uint32_t i = 0; i < spec->services; i++) {
		for (uint32_t r = 0; r < DR_ROUTES_MAX; r++) {
			if (spec->service[i].route[r].kind == DR_ROUTE_DNS_RFC2136 && spec->service[i].route[r].record[0] != '\0')
				claim(&c, i, r, "", "%s", spec->service[i].route[r].record);
		}
	}
	clashes(&c, y, spec, record_twice);
	for (uint32_t i = 0; i < spec->services; i++) {
		for (uint32_t r = 0; r < DR_ROUTES_MAX; r++)
			claim_places(&c, i, r, &spec->service[i].route[r]);
	}
	clashes(&c, y, spec, place_twice);
	dr_free(c.claim);
}

void dr_check_spec(struct dr_yaml *y, const struct dr_spec *spec)
{
	check_timing(y, spec);
	for (uint32_t i = 0; i < spec->services; i++)
		check_service(y, spec, i);
	check_claims(y, spec);
	dr_check_runbook(y, spec);
	if (spec->sites > 0 && spec->sites < 3)
		dr_yaml_warn(y, dr_check_at(y, "sites"),
			     "sites: %" PRIu32 "; a majority that outlives the loss of any site needs three",
			     spec->sites);
}
