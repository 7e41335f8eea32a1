/* codec_spec.c -- the cluster spec as messages.  What comes in was checked by who applied it; here only what
 * memory safety and the core's own assumptions need is checked again. */
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "proto/codec.h"
#include "proto/pb.h"
#include "proto/squeeze.h"

struct dr_spec *dr_spec_new(uint32_t services)
{
	struct dr_spec *s = dr_xcalloc(sizeof(*s));
	s->service = dr_xcalloc((size_t)services * sizeof(*s->service));
	return s;
}

void dr_spec_free(struct dr_spec *s)
{
	if (s == NULL)
		return;
	dr_free(s->service);
	dr_free(s);
}

static void put_members(struct dr_pb_service *t, const struct dr_spec_service *s)
{
	t->m.member = t->member_ptr;
	for (dr_member_ix i = 0; i < DR_MEMBERS_MAX; i++) {
		const struct dr_spec_member *x = &s->member[i];
		if (x->name.s[0] == '\0')
			continue;
		size_t n = t->m.n_member++;
		Drcoord__Pb__Member *m = &t->member[n];
		drcoord__pb__member__init(m);
		dr_pb_address_put(&t->member_at[n], &x->address);
		m->name = dr_pb_str(x->name.s);
		m->site = dr_pb_str(x->site.s);
		m->agent = dr_pb_str(x->agent.s);
		m->address = &t->member_at[n];
		dr_pb_address_put(&t->agent_at[n], &x->agent_address);
		m->agent_address = &t->agent_at[n];
		m->priority = x->priority;
		m->place = dr_pb_place(i);
		t->member_ptr[n] = m;
	}
}

struct text_of_route {
	char *s;
	size_t cap;
};

/* The texts of a route's kind, in the order in which they are sent. */
static size_t texts_of(struct dr_spec_route *x, struct text_of_route out[DR_ROUTE_TEXTS_MAX])
{
	size_t n = 0;
#define TEXT(field) out[n++] = (struct text_of_route){ x->field, sizeof(x->field) }
	switch (x->kind) {
	case DR_ROUTE_FILE:
		TEXT(file), TEXT(made_from), TEXT(validate), TEXT(reload);
		break;
	case DR_ROUTE_HAPROXY:
		TEXT(backend), TEXT(backend_server);
		break;
	case DR_ROUTE_PGBOUNCER:
		TEXT(pool), TEXT(pool_user), TEXT(pool_password_file);
		break;
	case DR_ROUTE_EXEC:
		TEXT(run), TEXT(verify), TEXT(undo);
		break;
	case DR_ROUTE_WEBHOOK:
		TEXT(url), TEXT(hmac_secret_file), TEXT(ca_file);
		break;
	default:
		break;
	}
#undef TEXT
	return n;
}

static void put_route_texts(struct dr_pb_service *t, size_t n, const struct dr_spec_route *x)
{
	struct text_of_route text[DR_ROUTE_TEXTS_MAX];
	Drcoord__Pb__Route *m = &t->route[n];
	m->text = t->route_text[n];
	m->on = t->route_on[n];
	m->n_text = texts_of((struct dr_spec_route *)(uintptr_t)x, text); /* only read */
	for (size_t i = 0; i < m->n_text; i++)
		m->text[i] = text[i].s;
	for (uint32_t k = 0; dr_route_is_local(x) && k < x->servers && k < DR_ROUTE_SERVERS_MAX; k++)
		m->on[m->n_on++] = dr_pb_str(x->on[k].s);
}

static void put_route_dns(Drcoord__Pb__Route *m, const struct dr_spec_route *x)
{
	if (x->kind != DR_ROUTE_DNS_RFC2136)
		return;
	m->record = dr_pb_str(x->record);
	m->zone = dr_pb_str(x->zone);
	m->ttl_s = x->ttl_s;
	m->tsig_key = dr_pb_str(x->tsig_key);
	m->tsig_algorithm = (uint32_t)x->tsig_algorithm;
	m->tsig_secret_file = dr_pb_str(x->tsig_secret_file);
}

static void put_routes(struct dr_pb_service *t, const struct dr_spec_service *s)
{
	t->m.route = t->route_ptr;
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		const struct dr_spec_route *x = &s->route[i];
		if (x->kind == DR_ROUTE_NONE)
			continue;
		size_t n = t->m.n_route++;
		Drcoord__Pb__Route *m = &t->route[n];
		drcoord__pb__route__init(m);
		m->kind = (uint32_t)x->kind;
		m->name = dr_pb_str(x->name.s);
		m->timeout_ms = x->timeout_ms;
		m->place = i + 1;
		put_route_dns(m, x);
		put_route_texts(t, n, x);
		m->server = t->server_ptr[n];
		for (uint32_t k = 0; !dr_route_is_local(x) && k < x->servers && k < DR_ROUTE_SERVERS_MAX; k++) {
			dr_pb_address_put(&t->server[n][k], &x->server[k]);
			t->server_ptr[n][k] = &t->server[n][k];
			m->n_server++;
		}
		t->route_ptr[n] = m;
	}
}

void dr_pb_service_put(struct dr_pb_service *t, const struct dr_spec_service *s)
{
	Drcoord__Pb__Service *m = &t->m;
	drcoord__pb__service__init(m);
	m->name = dr_pb_str(s->name.s);
	m->kind = (uint32_t)s->kind;
	m->group = s->group;
	m->auto_failover = s->auto_failover;
	m->durability = (uint32_t)s->durability;
	m->sync_k = s->sync_k;
	m->sync_set_max = s->sync_set_max;
	m->when_alone = (uint32_t)s->when_alone;
	m->alone_after_ms = s->alone_after_ms;
	m->errant = (uint32_t)s->errant;
	m->rpo_bytes = s->rpo_bytes;
	m->cooldown_ms = s->cooldown_ms;
	m->restart_within_ms = s->restart_within_ms;
	m->write_stall_ms = s->write_stall_ms;
	m->cluster = dr_pb_str(s->cluster.s);
	m->takeover = s->takeover;
	m->database = dr_pb_str(s->database);
	m->user = dr_pb_str(s->user);
	m->password_file = dr_pb_str(s->password_file);
	m->ca_file = dr_pb_str(s->ca_file);
	put_members(t, s);
	put_routes(t, s);
}

static enum dr_err take_member(struct dr_spec_service *s, const Drcoord__Pb__Member *m, uint32_t at, struct dr_error *e)
{
	uint32_t place = m->place != 0 ? m->place - 1 : at;
	if (place >= DR_MEMBERS_MAX || s->member[place].name.s[0] != '\0')
		return dr_fail(e, DR_E_PROTOCOL, "a service with too many members");
	struct dr_spec_member *x = &s->member[place];
	x->priority = m->priority;
	dr_pb_address_take(&x->address, m->address);
	dr_pb_address_take(&x->agent_address, m->agent_address);
	enum dr_err rv = dr_pb_name(&x->name, m->name, "member.name", e);
	if (rv == DR_OK)
		rv = dr_pb_name(&x->site, m->site, "member.site", e);
	if (rv == DR_OK)
		rv = dr_pb_name(&x->agent, m->agent, "member.agent", e);
	if (rv == DR_OK && x->name.s[0] == '\0')
		rv = dr_fail(e, DR_E_PROTOCOL, "a member without a name");
	return rv;
}

static void take_route_dns(struct dr_spec_route *x, const Drcoord__Pb__Route *m)
{
	x->ttl_s = m->ttl_s;
	x->tsig_algorithm = m->tsig_algorithm == DR_TSIG_HMAC_SHA512 ? DR_TSIG_HMAC_SHA512 : DR_TSIG_HMAC_SHA256;
	dr_pb_text(x->record, sizeof(x->record), m->record);
	dr_pb_text(x->zone, sizeof(x->zone), m->zone);
	dr_pb_text(x->tsig_key, sizeof(x->tsig_key), m->tsig_key);
	dr_pb_text(x->tsig_secret_file, sizeof(x->tsig_secret_file), m->tsig_secret_file);
}

static void take_route_texts(struct dr_spec_route *x, const Drcoord__Pb__Route *m)
{
	struct text_of_route text[DR_ROUTE_TEXTS_MAX];
	size_t n = texts_of(x, text);
	for (size_t i = 0; i < n && i < m->n_text; i++)
		dr_pb_text(text[i].s, text[i].cap, m->text[i]);
}

static enum dr_err take_route(struct dr_spec_service *s, const Drcoord__Pb__Route *m, uint32_t at, struct dr_error *e)
{
	uint32_t place = m->place != 0 ? m->place - 1 : at;
	if (place >= DR_ROUTES_MAX || m->kind == DR_ROUTE_NONE || m->kind >= DR_ROUTE_KIND_COUNT ||
	    m->n_server > DR_ROUTE_SERVERS_MAX || m->n_on > DR_ROUTE_SERVERS_MAX || s->route[place].kind != DR_ROUTE_NONE)
		return dr_fail(e, DR_E_PROTOCOL, "a route that cannot be");
	struct dr_spec_route *x = &s->route[place];
	enum dr_err rv = DR_OK;
	x->kind = (enum dr_route_kind)m->kind;
	x->timeout_ms = m->timeout_ms;
	if (x->kind == DR_ROUTE_DNS_RFC2136)
		take_route_dns(x, m);
	else
		take_route_texts(x, m);
	for (size_t k = 0; dr_route_is_local(x) && rv == DR_OK && k < m->n_on; k++)
		rv = dr_pb_name(&x->on[x->servers++], m->on[k], "route.on", e);
	for (size_t k = 0; !dr_route_is_local(x) && k < m->n_server; k++)
		dr_pb_address_take(&x->server[x->servers++], m->server[k]);
	if (rv == DR_OK && dr_route_places(x) == 0)
		rv = dr_fail(e, DR_E_PROTOCOL, "a route to nowhere");
	return rv == DR_OK ? dr_pb_name(&x->name, m->name, "route.name", e) : rv;
}

enum dr_err dr_pb_service_take(struct dr_spec_service *s, const Drcoord__Pb__Service *m, struct dr_error *e)
{
	memset(s, 0, sizeof(*s));
	if (m->kind == DR_KIND_NONE || m->kind >= DR_KIND_COUNT)
		return dr_fail(e, DR_E_PROTOCOL, "a service of unknown kind %u", m->kind);
	s->kind = (enum dr_kind)m->kind;
	s->group = m->group;
	s->auto_failover = m->auto_failover;
	s->durability = m->durability < DR_DURABILITY_COUNT ? (enum dr_durability)m->durability : DR_DURABILITY_SYNC;
	s->sync_k = m->sync_k;
	s->sync_set_max = m->sync_set_max;
	s->when_alone = m->when_alone == DR_ALONE_BLOCK ? DR_ALONE_BLOCK : DR_ALONE_CONTINUE;
	s->alone_after_ms = m->alone_after_ms;
	s->errant = m->errant == DR_ERRANT_ALLOW ? DR_ERRANT_ALLOW : DR_ERRANT_BLOCK;
	s->rpo_bytes = m->rpo_bytes;
	s->cooldown_ms = m->cooldown_ms;
	s->restart_within_ms = m->restart_within_ms;
	s->write_stall_ms = m->write_stall_ms;
	s->takeover = m->takeover;
	dr_pb_text(s->database, sizeof(s->database), m->database);
	dr_pb_text(s->user, sizeof(s->user), m->user);
	dr_pb_text(s->password_file, sizeof(s->password_file), m->password_file);
	dr_pb_text(s->ca_file, sizeof(s->ca_file), m->ca_file);
	enum dr_err rv = dr_pb_name(&s->name, m->name, "service.name", e);
	if (rv == DR_OK && s->name.s[0] == '\0')
		rv = dr_fail(e, DR_E_PROTOCOL, "a service without a name");
	if (rv == DR_OK)
		rv = dr_pb_name(&s->cluster, m->cluster, "service.cluster", e);
	for (size_t i = 0; rv == DR_OK && i < m->n_member; i++)
		rv = take_member(s, m->member[i], (uint32_t)i, e);
	for (size_t i = 0; rv == DR_OK && i < m->n_route; i++)
		rv = take_route(s, m->route[i], (uint32_t)i, e);
	return rv;
}

struct dr_pb_spec *dr_pb_spec_put(const struct dr_spec *s)
{
	struct dr_pb_spec *t = dr_xcalloc(sizeof(*t));
	drcoord__pb__spec__init(&t->m);
	t->service = dr_xcalloc((size_t)s->services * sizeof(*t->service));
	t->service_ptr = dr_xcalloc((size_t)s->services * sizeof(Drcoord__Pb__Service *));
	dr_pb_timing_put(&t->timing, &s->timing);
	t->m.cluster = dr_pb_str(s->cluster.s);
	t->m.timing = &t->timing;
	dr_pb_limits_put(&t->limits, &s->limits);
	t->m.limits = s->limits.automatic_moves != 0 || s->limits.within_ms != 0 ? &t->limits : NULL;
	t->m.site = t->site_ptr;
	for (uint32_t i = 0; i < s->sites && i < DR_SITES_MAX; i++) {
		drcoord__pb__site__init(&t->site[i]);
		t->site[i].name = dr_pb_str(s->site[i].name.s);
		t->site[i].region = dr_pb_str(s->site[i].region.s);
		t->site_ptr[t->m.n_site++] = &t->site[i];
	}
	dr_pb_runbook_put(&t->runbook, s->runbook);
	t->m.runbook = t->runbook.ptr;
	t->m.n_runbook = t->runbook.n;
	t->m.service = t->service_ptr;
	for (uint32_t i = 0; i < s->services; i++) {
		dr_pb_service_put(&t->service[i], &s->service[i]);
		t->service_ptr[t->m.n_service++] = &t->service[i].m;
	}
	return t;
}

void dr_pb_spec_free(struct dr_pb_spec *t)
{
	if (t == NULL)
		return;
	dr_free(t->service);
	dr_free(t->service_ptr);
	dr_free(t);
}

enum dr_err dr_pb_spec_take(struct dr_spec **out, const Drcoord__Pb__Spec *m, struct dr_error *e)
{
	*out = NULL;
	if (m->n_service > DR_SERVICES_MAX || m->n_site > DR_SITES_MAX)
		return dr_fail(e, DR_E_PROTOCOL, "a spec with too many sites or services");
	struct dr_spec *s = dr_spec_new((uint32_t)m->n_service);
	enum dr_err rv = dr_pb_name(&s->cluster, m->cluster, "cluster", e);
	dr_pb_timing_take(&s->timing, m->timing);
	dr_pb_limits_take(&s->limits, m->limits);
	if (rv == DR_OK && (s->timing.ttl_ms == 0 || s->timing.probe_ms == 0 || s->timing.renew_ms == 0))
		rv = dr_fail(e, DR_E_PROTOCOL, "a spec without timing");
	for (size_t i = 0; rv == DR_OK && i < m->n_site; i++) {
		rv = dr_pb_name(&s->site[s->sites].name, m->site[i]->name, "site.name", e);
		if (rv == DR_OK)
			rv = dr_pb_name(&s->site[s->sites].region, m->site[i]->region, "site.region", e);
		s->sites++;
	}
	if (rv == DR_OK)
		rv = dr_pb_runbook_take(s->runbook, m->runbook, m->n_runbook, e);
	for (size_t i = 0; rv == DR_OK && i < m->n_service; i++)
		rv = dr_pb_service_take(&s->service[s->services++], m->service[i], e);
	if (rv == DR_OK)
		*out = s;
	else
		dr_spec_free(s);
	return rv;
}

Drcoord__Pb__Spec *dr_pb_spec_send(struct dr_pb_spec *t, struct dr_buf *squeezed, ProtobufCBinaryData *m)
{
	struct dr_buf whole;
	dr_buf_init(squeezed, DR_UNSQUEEZED_MAX);
	if (t == NULL || protobuf_c_message_get_packed_size(&t->m.base) < DR_SQUEEZE_FROM)
		return t != NULL ? &t->m : NULL;
	dr_buf_init(&whole, DR_UNSQUEEZED_MAX);
	dr_pb_pack(&whole, &t->m.base);
	if (dr_buf_ok(&whole))
		dr_squeeze(squeezed, whole.data, whole.len);
	dr_buf_close(&whole);
	*m = (ProtobufCBinaryData){ .data = squeezed->data, .len = squeezed->len };
	return squeezed->len > 0 ? NULL : &t->m; /* larger than is taken: as it is, to be refused for its size */
}

enum dr_err dr_pb_spec_receive(struct dr_spec **out, const Drcoord__Pb__Spec *m, const ProtobufCBinaryData *squeezed,
			       struct dr_error *e)
{
	struct dr_pb_budget b;
	struct dr_buf whole;
	*out = NULL;
	if (squeezed->len == 0)
		return m != NULL ? dr_pb_spec_take(out, m, e) : DR_OK;
	dr_buf_init(&whole, DR_UNSQUEEZED_MAX);
	enum dr_err rv = dr_unsqueeze(&whole, squeezed->data, squeezed->len, e);
	Drcoord__Pb__Spec *spec = NULL;
	if (rv == DR_OK) {
		spec = dr_pb_unpack(&drcoord__pb__spec__descriptor, whole.data, whole.len, &b);
		rv = spec != NULL ? dr_pb_spec_take(out, spec, e) :
				    dr_fail(e, DR_E_PROTOCOL, "a compressed spec does not decode");
		if (rv == DR_OK && !dr_pb_knows_all(&spec->base)) {
			dr_spec_free(*out);
			*out = NULL;
			rv = dr_fail(e, DR_E_UNSUPPORTED, "a spec with settings that this build does not know");
		}
	}
	if (spec != NULL)
		dr_pb_free(spec, &b);
	dr_buf_close(&whole);
	return rv;
}
