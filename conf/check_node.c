/* check_node.c -- see check.h: the files of a coordinator and of an agent as a whole. */
#include "conf/check.h"

#include <inttypes.h>
#include <string.h>

#include "conf/predict.h"

static void inequality_fails(void *ctx, const char *name, const char *key, const char *text)
{
	struct dr_yaml *y = ctx;
	dr_yaml_bad(y, dr_check_at(y, "raft.%s", key), "raft: %s does not hold: %s", name, text);
}

static bool same_address(const struct dr_address *a, const struct dr_address *b)
{
	return a->port != 0 && a->port == b->port && strcmp(a->host, b->host) == 0;
}

static void check_peers(struct dr_yaml *y, const char *list, const struct dr_conf_peer *peer, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t j = 0; j < i; j++) {
			if (!same_address(&peer[i].address, &peer[j].address))
				continue;
			dr_yaml_bad(
			    y, dr_check_at(y, "%s[%u].address", list, i),
			    "%s.%s.address: %s:%u is the address of %s already; expected one of its own",
			    list, peer[i].name.s, peer[i].address.host, (unsigned)peer[i].address.port,
			    peer[j].name.s);
			break;
		}
	}
}

static const struct dr_conf_peer *self_of(const struct dr_conf_coordinator *c, uint32_t *at)
{
	for (*at = 0; *at < c->peers; (*at)++) {
		if (dr_name_eq(&c->peer[*at].name, &c->name))
			return &c->peer[*at];
	}
	return NULL;
}

static void check_self(struct dr_yaml *y, const struct dr_conf_coordinator *c)
{
	uint32_t at;
	const struct dr_conf_peer *self = self_of(c, &at);
	if (c->name.s[0] == '\0' || c->peers == 0)
		return;
	if (self == NULL) {
		dr_yaml_warn(
		    y, dr_check_at(y, "peers"),
		    "peers: %s, this coordinator, is not among them; right only for one that joins later",
		    c->name.s);
		return;
	}
	if (self->site.s[0] != '\0' && c->site.s[0] != '\0' && !dr_name_eq(&self->site, &c->site))
		dr_yaml_bad(y, dr_check_at(y, "peers[%u].site", at),
			    "peers.%s.site: is \"%s\", but site is \"%s\" above; expected the same",
			    c->name.s, self->site.s, c->site.s);
	if (self->address.port != 0 && c->listen.port != 0 && self->address.port != c->listen.port)
		dr_yaml_warn(y, dr_check_at(y, "peers[%u].address", at),
			     "peers.%s.address: port %u, but listen has %u; right only behind a port mapping",
			     c->name.s, (unsigned)self->address.port, (unsigned)c->listen.port);
}

static bool is_loopback(const struct dr_address *a)
{
	return strncmp(a->host, "127.", 4) == 0 || strcmp(a->host, "::1") == 0;
}

static bool is_any(const char *host)
{
	return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static void check_http(struct dr_yaml *y, const struct dr_conf_coordinator *c)
{
	const struct dr_address *at = &c->http.listen;
	if (at->port == 0)
		return;
	if (at->port == c->listen.port && (same_address(at, &c->listen) || is_any(at->host) || is_any(c->listen.host)))
		dr_yaml_bad(y, dr_check_at(y, "http.listen"),
			    "http.listen: %s:%u is where listen takes coordinators, agents and drcoordctl; expected a port "
			    "of its own",
			    at->host, (unsigned)at->port);
	else if (!c->http.tls && !is_loopback(at))
		dr_yaml_warn(y, dr_check_at(y, "http.listen"),
			     "http.listen: %s:%u without tls: whoever reaches it, or the way to it, reads the cluster's names and "
			     "states; expected 127.0.0.1 or tls: true, or a network that only monitoring reaches",
			     at->host, (unsigned)at->port);
}

void dr_check_coordinator(struct dr_yaml *y, const struct dr_conf_coordinator *c)
{
	check_peers(y, "peers", c->peer, c->peers);
	check_self(y, c);
	check_http(y, c);
	if (c->raft.election_ms > 0 && c->raft.heartbeat_ms > 0)
		(void)dr_raft_timing_check(c->raft.election_ms, c->raft.heartbeat_ms, inequality_fails, y);
	if (c->peers > 0 && c->peers % 2 == 0)
		dr_yaml_warn(y, dr_check_at(y, "peers"),
			     "peers: %" PRIu32 "; an even number survives no more losses than %" PRIu32
			     ", three or five are usual",
			     c->peers, c->peers - 1);
}

/* Whether path is folder or lies in it. */
static bool lies_in(const char *path, const char *folder)
{
	size_t n = strlen(folder);
	while (n > 1 && folder[n - 1] == '/')
		n--;
	return n > 0 && strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* The section of its kind, and no other. */
static void check_section(struct dr_yaml *y, const struct dr_conf_agent *a, uint32_t i)
{
	const struct dr_conf_agent_service *s = &a->service[i];
	const yaml_node_t *at = dr_check_at(y, "services[%u]", i);
	for (int k = DR_KIND_NONE + 1; s->kind != DR_KIND_NONE && k < DR_KIND_COUNT; k++) {
		const char *word = dr_kind_name((enum dr_kind)k);
		const yaml_node_t *part = dr_yaml_value(y, at, word);
		if ((enum dr_kind)k == s->kind && part == NULL)
			dr_yaml_bad(y, at, "services.%s: key \"%s\" is missing; expected how the local server is run", s->service.s,
				    word);
		else if ((enum dr_kind)k != s->kind && part != NULL)
			dr_yaml_bad(y, part, "services.%s.%s: its kind is %s; expected a section \"%s\" and no other", s->service.s,
				    word, dr_kind_name(s->kind), dr_kind_name(s->kind));
	}
}

static void check_redis(struct dr_yaml *y, const struct dr_conf_agent_service *s, uint32_t i)
{
	const struct dr_conf_server *own = dr_conf_server(s);
	const char *kind = dr_kind_name(s->kind);
	if (s->kind == DR_KIND_REDIS_CLUSTER && own->ca_file[0] != '\0')
		dr_yaml_bad(y, dr_check_at(y, "services[%u].%s.ca_file", i, kind),
			    "services.%s.%s.ca_file: TLS to the nodes of a Redis Cluster is not there yet; expected none",
			    s->service.s, kind);
	if (own->sentinel_password_file[0] != '\0' && own->sentinels_named == 0)
		dr_yaml_bad(y, dr_check_at(y, "services[%u].%s.sentinel_password_file", i, kind),
			    "services.%s.%s.sentinel_password_file: nobody is named to whom it may be sent; expected sentinels_at, "
			    "with the Sentinels' addresses, beside it", s->service.s, kind);
}

/* What service i would have in common with one before it. */
static void check_shared(struct dr_yaml *y, const struct dr_conf_agent_service *s, uint32_t i,
			 const struct dr_conf_agent_service *before)
{
	const struct dr_conf_server *own = dr_conf_server(s), *other = dr_conf_server(before);
	const char *kind = dr_kind_name(s->kind);
	bool socket = s->kind == DR_KIND_MARIADB || s->kind == DR_KIND_MYSQL;
	if (other->data[0] != '\0' && (lies_in(own->data, other->data) || lies_in(other->data, own->data)))
		dr_yaml_bad(y, dr_check_at(y, "services[%u].%s.data", i, kind),
			    "services.%s.%s.data: shares a folder with %s; expected a folder of its own", s->service.s, kind,
			    before->service.s);
	if (socket && own->socket_dir[0] != '\0' && strcmp(own->socket_dir, other->socket_dir) == 0)
		dr_yaml_bad(y, dr_check_at(y, "services[%u].%s.socket", i, kind),
			    "services.%s.%s.socket: %s is the socket of %s, too; expected one of its own", s->service.s, kind,
			    own->socket_dir, before->service.s);
	if (same_address(&own->listen, &other->listen))
		dr_yaml_bad(y, dr_check_at(y, "services[%u].%s.listen", i, kind),
			    "services.%s.%s.listen: %s:%u is taken by %s; expected one of its own", s->service.s, kind,
			    own->listen.host, (unsigned)own->listen.port, before->service.s);
}

static void check_places(struct dr_yaml *y, const struct dr_conf_agent *a, uint32_t i)
{
	const struct dr_conf_agent_service *s = &a->service[i];
	const struct dr_conf_server *own = dr_conf_server(s);
	const char *kind = dr_kind_name(s->kind);
	if (own->data[0] == '\0')
		return;
	if (own->salvage_dir[0] != '\0' && lies_in(own->salvage_dir, own->data))
		dr_yaml_bad(y, dr_check_at(y, "services[%u].%s.salvage_dir", i, kind),
			    "services.%s.%s.salvage_dir: lies inside data, which a clone replaces; expected a folder beside it",
			    s->service.s, kind);
	if (a->data_dir[0] != '\0' && lies_in(a->data_dir, own->data))
		dr_yaml_bad(y, dr_check_at(y, "data_dir"),
			    "data_dir: lies inside data of %s, which a clone replaces; expected a folder of its own", s->service.s);
	for (uint32_t j = 0; j < i; j++)
		check_shared(y, s, i, &a->service[j]);
}

/* What is salvaged of SERVICE's MEMBER is called SERVICE-MEMBER-TIME. */
static void check_salvage_names(struct dr_yaml *y, const struct dr_conf_agent *a, uint32_t i)
{
	char own[2 * DR_NAME_MAX + 2], other[2 * DR_NAME_MAX + 2];
	const struct dr_conf_agent_service *s = &a->service[i];
	(void)snprintf(own, sizeof(own), "%s-%s", s->service.s, s->member.s);
	for (uint32_t j = 0; j < i; j++) {
		const struct dr_conf_agent_service *t = &a->service[j];
		(void)snprintf(other, sizeof(other), "%s-%s", t->service.s, t->member.s);
		if (!dr_name_eq(&s->service, &t->service) && strcmp(own, other) == 0 &&
		    strcmp(dr_conf_server(s)->salvage_dir, dr_conf_server(t)->salvage_dir) == 0)
			dr_yaml_bad(y, dr_check_at(y, "services[%u].%s.salvage_dir", i, dr_kind_name(s->kind)),
				    "services.%s.%s.salvage_dir: what is saved there of %s and of %s would have one name, %s-TIME; "
				    "expected a folder of its own",
				    s->service.s, dr_kind_name(s->kind), s->service.s, t->service.s, own);
	}
}

void dr_check_agent(struct dr_yaml *y, const struct dr_conf_agent *a)
{
	check_peers(y, "coordinators", a->coordinator, a->coordinators);
	for (uint32_t i = 0; i < a->services; i++) {
		check_section(y, a, i);
		check_redis(y, &a->service[i], i);
		check_places(y, a, i);
		check_salvage_names(y, a, i);
	}
}
