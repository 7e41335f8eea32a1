/* cross.c -- a node file against the cluster spec; see conf.h.  Places are not known any more: the path is said. */
#include <stdio.h>
#include <string.h>

#include "conf/predict.h"
#include "conf/yaml.h"

static void inequality_fails(void *ctx, const char *name, const char *key, const char *text)
{
	(void)key;
	dr_problems_add(ctx, false, 0, 0, "with the spec's timing %s does not hold: %s", name, text);
}

static void check_cluster(const struct dr_spec *spec, const struct dr_name *cluster,
			  const struct dr_name *site, struct dr_conf_problems *p)
{
	if (!dr_name_eq(cluster, &spec->cluster))
		dr_problems_add(p, false, 0, 0,
				"cluster: is \"%s\", but the spec is of \"%s\"; expected the same",
				cluster->s, spec->cluster.s);
	for (uint32_t i = 0; i < spec->sites; i++) {
		if (dr_name_eq(&spec->site[i].name, site))
			return;
	}
	dr_problems_add(p, false, 0, 0, "site: the spec has no site \"%s\"; expected one of its sites",
			site->s);
}

void dr_conf_cross_coordinator(const struct dr_spec *spec, const struct dr_conf_coordinator *c,
			       struct dr_conf_problems *problems)
{
	struct dr_assumed a = *dr_assumed_near(&spec->timing);
	a.election_ms = c->raft.election_ms;
	a.heartbeat_ms = c->raft.heartbeat_ms;
	check_cluster(spec, &c->cluster, &c->site, problems);
	(void)dr_timing_check(&spec->timing, &a, inequality_fails, problems);
}

static const struct dr_spec_member *find_member(const struct dr_spec *spec,
						const struct dr_conf_agent_service *s)
{
	for (uint32_t i = 0; i < spec->services; i++) {
		for (uint32_t m = 0; dr_name_eq(&spec->service[i].name, &s->service) && m < DR_MEMBERS_MAX;
		     m++) {
			if (dr_name_eq(&spec->service[i].member[m].name, &s->member))
				return &spec->service[i].member[m];
		}
	}
	return NULL;
}

static bool is_wildcard(const struct dr_address *a)
{
	return strcmp(a->host, "0.0.0.0") == 0 || strcmp(a->host, "::") == 0;
}

static void check_member(const struct dr_spec *spec, const struct dr_conf_agent *a,
			 const struct dr_conf_agent_service *s, struct dr_conf_problems *p)
{
	const struct dr_spec_member *m = find_member(spec, s);
	const struct dr_address *listen = &dr_conf_server(s)->listen;
	if (m == NULL) {
		dr_problems_add(
		    p, false, 0, 0,
		    "services.%s: the spec has no member \"%s\" of it; expected one of its members",
		    s->service.s, s->member.s);
		return;
	}
	if (!dr_name_eq(&m->agent, &a->name))
		dr_problems_add(p, false, 0, 0,
				"services.%s: the spec says that agent \"%s\" speaks for %s, not \"%s\"",
				s->service.s, m->agent.s, s->member.s, a->name.s);
	if (!dr_name_eq(&m->site, &a->site))
		dr_problems_add(p, false, 0, 0,
				"services.%s: the spec has %s in site \"%s\", this file says \"%s\"",
				s->service.s, s->member.s, m->site.s, a->site.s);
	if (m->address.port != listen->port ||
	    (!is_wildcard(listen) && strcmp(m->address.host, listen->host) != 0))
		dr_problems_add(p, false, 0, 0,
				"services.%s.%s.listen: is %s:%u, but the spec has %s at %s:%u",
				s->service.s, dr_kind_name(s->kind), listen->host, (unsigned)listen->port, s->member.s,
				m->address.host, (unsigned)m->address.port);
}

void dr_conf_cross_agent(const struct dr_spec *spec, const struct dr_conf_agent *a,
			 struct dr_conf_problems *problems)
{
	check_cluster(spec, &a->cluster, &a->site, problems);
	for (uint32_t i = 0; i < a->services; i++)
		check_member(spec, a, &a->service[i], problems);
}
