/* status.c -- what is known, as JSON: the one form that programs read and that the CLI makes its tables from. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "coord/shell/coord.h"
#include "coord/shell/routes.h"
#include "coord/shell/json.h"
#include "coord/shell/ready.h"
#include "proto/squeeze.h"
#include "sys/clock.h"

/* Raft ids use all 64 bits, so they are text. */
static void put_id(json_t *o, const char *key, uint64_t v)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	(void)json_object_set_new(o, key, json_string(text));
}

static void put_hex(json_t *o, const char *key, const uint8_t *p, size_t n)
{
	char hex[65];
	for (size_t i = 0; i < n && i < 32; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", p[i]);
	put_text(o, key, hex);
}

static json_t *node_json(struct dr_coord *c, const struct dr_raft_status *st, uint32_t i)
{
	const struct dr_raft_member *m = &st->member[i];
	json_t *o = json_object();
	char at[DR_HOST_MAX + 8];
	put_text(o, "name", m->name.s);
	const char *site = "";
	bool stored = false;
	for (uint32_t k = 0; k < c->core->repl.coordinators; k++) {
		const struct dr_coordinator *known = &c->core->repl.coordinator[k];
		if (!dr_name_eq(&known->name, &m->name))
			continue;
		site = known->site.s;
		stored = known->stored && known->id == m->id;
	}
	put_text_or_null(o, "site", site);
	(void)snprintf(at, sizeof(at), "%s:%u", m->address.host, m->address.port);
	put_text(o, "address", at);
	put_id(o, "id", m->id);
	put_text(o, "role", m->id == st->leader_id ? "leader" : (m->voter ? "follower" : "spare"));
	put_bool(o, "reachable", dr_peers_reachable(c, &m->name));
	put_bool(o, "stored", stored);
	put_text(o, "ledger", dr_ledger_verdict_name(dr_peers_ledger(c, &m->name)));
	if (st->role == DR_RAFT_LEADER)
		put_u64(o, "match", st->match[i]);
	return o;
}

static json_t *nodes_array(struct dr_coord *c, const struct dr_raft_status *st)
{
	json_t *a = json_array();
	for (uint32_t i = 0; i < st->members && i < DR_COORDINATORS_MAX; i++)
		(void)json_array_append_new(a, node_json(c, st, i));
	return a;
}

json_t *dr_nodes_json(struct dr_coord *c)
{
	struct dr_raft_status st;
	dr_raft_status(c->raft, &st);
	json_t *o = json_object();
	(void)json_object_set_new(o, "coordinators", nodes_array(c, &st));
	return o;
}

static void put_member_name(json_t *o, const char *key, const struct dr_service *s, dr_member_ix m)
{
	put_text_or_null(o, key, m < DR_MEMBERS_MAX ? s->spec.member[m].name.s : "");
}

static json_t *set_json(const struct dr_service *s, const struct dr_sync *y)
{
	json_t *o = json_object();
	json_t *names = json_array();
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (dr_set_has(y->set, m))
			(void)json_array_append_new(names, json_string(s->spec.member[m].name.s));
	}
	(void)json_object_set_new(o, "set", names);
	put_u64(o, "k", y->k);
	return o;
}

static const char *member_role(const struct dr_service *s, dr_member_ix m)
{
	if (m == s->holder)
		return s->primary_epoch == s->epoch ? "primary" : "holder";
	if (s->member[m].unproved_epoch != 0)
		return "unproved";
	if (s->member[m].joined_epoch == s->epoch && s->epoch != 0)
		return "standby";
	return s->managed ? "away" : "observed";
}

static void put_member_report(json_t *o, struct dr_coord *c, uint32_t ix, dr_member_ix m)
{
	const struct dr_member_view *mv = &c->core->view.service[ix].member[m];
	uint64_t now = dr_clock_boot_ms();
	if (mv->report_ms == 0) {
		(void)json_object_set_new(o, "agent_age_ms", json_null());
		return;
	}
	const struct dr_report *r = &mv->report;
	put_u64(o, "agent_age_ms", now - mv->report_ms);
	put_text(o, "server", dr_server_state_name(r->server));
	put_text(o, "agent_role", dr_member_role_name(r->role));
	put_bool(o, "managed", r->managed);
	put_bool(o, "guard_alive", r->guard_alive);
	put_bool(o, "receiving", r->receiving);
	put_u64(o, "timeline", r->timeline);
	put_u64(o, "position", r->received);
	put_u64(o, "lease_left_ms", r->lease_left_ms);
	put_text_or_null(o, "contained", r->text);
	uint64_t primary = c->core->view.service[ix].primary_position;
	if (r->caution[0] != '\0')
		put_text(o, "caution", r->caution);
	if (r->errant > 0) {
		put_u64(o, "errant", r->errant);
		put_text(o, "errant_ids", r->errant_ids);
	}
	put_u64(o, "lag_bytes", primary > r->received ? primary - r->received : 0);
}

static json_t *member_json(struct dr_coord *c, uint32_t ix, dr_member_ix m)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	json_t *o = json_object();
	uint64_t silent = 0;
	char at[DR_HOST_MAX + 8];
	put_text(o, "name", s->spec.member[m].name.s);
	put_text(o, "site", s->spec.member[m].site.s);
	put_text(o, "role", member_role(s, m));
	put_text(o, "state", dr_verdict_name(dr_core_verdict(c->core, ix, m, &silent)));
	if (silent != 0)
		put_u64(o, "silent_ms", silent);
	uint64_t failing_ms = 0;
	enum dr_failure failing = dr_core_failing(c->core, ix, m, &failing_ms);
	if (failing != DR_FAILURE_NONE) {
		put_text(o, "failure", dr_failure_name(failing));
		put_u64(o, "failing_ms", failing_ms);
		put_reason(o, dr_failure_reason(failing), failing_ms, 0);
		put_text_or_null(o, "probe_says", dr_watch_of(c, ix, m)->why); /* this node's own, which leads */
	}
	(void)snprintf(at, sizeof(at), "%s:%u", s->spec.member[m].address.host, s->spec.member[m].address.port);
	put_text(o, "address", at);
	put_bool(o, "in_sync_set", dr_set_has(s->sync.set, m) && m != s->holder);
	if (s->member[m].order.number != 0)
		put_text(o, "order", dr_order_name(s->member[m].order.kind));
	put_member_report(o, c, ix, m);
	const struct dr_in *agent = dr_watch_of(c, ix, m)->agent;
	if (agent != NULL)
		put_text(o, "agent_version", agent->software[0] != '\0' ? agent->software : "unknown");
	return o;
}

/* Who could not carry an order out, and in its agent's words why, as long as it was told nothing else since. */
static void put_failed_order(json_t *o, const struct dr_coord *c, uint32_t ix, const struct dr_plan *p)
{
	if (p->ask != DR_REASON_ORDER_FAILED || p->ask_a >= DR_MEMBERS_MAX)
		return;
	const struct dr_order_result *last = &c->core->view.service[ix].member[p->ask_a].result;
	put_member_name(o, "failed_at", &c->core->repl.service[ix], (dr_member_ix)p->ask_a);
	if (last->outcome == DR_OUTCOME_FAILED)
		put_text_or_null(o, "failed_because", last->text);
}

/* Why the position of a member on which the promise rests does not count; NULL: it does. */
static const char *why_unknown(const struct dr_service *s, dr_member_ix m)
{
	const struct dr_member_repl *mr = &s->member[m];
	if (s->spec.member[m].name.s[0] == '\0' || (!dr_set_has(s->sync.set, m) && m != s->last_holder))
		return NULL;
	if (mr->frozen_epoch != s->epoch)
		return "has not said how far it is";
	if (!dr_is_of_service(s, mr->frozen_system_id))
		return "has other data";
	return mr->unsure ? "was started again, and may have forgotten what it acknowledged" : NULL;
}

/* Whose positions the choice lacks: "pg-a (why), pg-c (why)". */
static void put_missing(json_t *o, const struct dr_service *s, const struct dr_plan *p)
{
	char text[DR_MEMBERS_MAX * (DR_NAME_MAX + 80)] = "";
	size_t n = 0;
	if (p->ask != DR_REASON_TOO_FEW_POSITIONS)
		return;
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		const char *why = why_unknown(s, m), *name = s->spec.member[m].name.s;
		if (why != NULL && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s (%s)", n > 0 ? ", " : "", name, why);
	}
	put_text_or_null(o, "missing", text);
}

static json_t *plan_json(const struct dr_coord *c, uint32_t ix, const struct dr_plan *p)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	if (p->id == 0)
		return json_null();
	json_t *o = json_object();
	put_u64(o, "id", p->id);
	put_text(o, "kind", dr_plan_name(p->kind));
	put_text(o, "step", p->at < p->steps ? dr_step_name(p->step[p->at]) : "none");
	put_u64(o, "at", p->at + 1);
	put_u64(o, "steps", p->steps);
	put_text(o, "state", p->state == DR_PLAN_ASKING ? "asking" : "running");
	put_text(o, "opened_because", dr_reason_name(p->reason));
	put_u64(o, "opened_wall_ms", p->opened_wall_ms);
	put_member_name(o, "candidate", s, p->candidate);
	put_member_name(o, "member", s, p->kind == DR_PLAN_REJOIN ? p->member : DR_MEMBER_NONE);
	put_text_or_null(o, "actor", p->actor.s);
	if (p->state == DR_PLAN_ASKING) {
		put_reason(o, p->ask, p->ask_a, p->ask_b);
		put_failed_order(o, c, ix, p);
		put_missing(o, s, p);
	}
	return o;
}

/* The plans of members that are on their way back. */
static json_t *rejoins_json(const struct dr_coord *c, uint32_t ix)
{
	json_t *a = json_array();
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (c->core->repl.service[ix].rejoin[m].id != 0)
			(void)json_array_append_new(a, plan_json(c, ix, &c->core->repl.service[ix].rejoin[m]));
	}
	return a;
}

/* What this node, which leads, knows of each server: whether it shows the primary, and else the newest error. */
static json_t *route_servers_json(struct dr_coord *c, uint32_t ix, uint32_t route)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	const struct dr_spec_route *r = &s->spec.route[route];
	json_t *a = json_array();
	for (uint32_t k = 0; k < dr_route_places(r) && k < DR_ROUTE_SERVERS_MAX; k++) {
		json_t *o = json_object();
		char at[DR_URL_MAX];
		bool current = s->route_epoch[route] == s->epoch && (s->route_servers[route] & 1u << k) != 0;
		put_text(o, "address", dr_route_where(r, k, at));
		put_bool(o, "current", current);
		put_text_or_null(o, "why", current ? "" : dr_routes_why(c, ix, route, k));
		(void)json_array_append_new(a, o);
	}
	return a;
}

static json_t *routes_json(struct dr_coord *c, uint32_t ix)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	json_t *a = json_array();
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		const struct dr_spec_route *r = &s->spec.route[i];
		if (r->kind == DR_ROUTE_NONE)
			continue;
		json_t *o = json_object();
		uint32_t all = dr_route_all(r);
		char what[DR_URL_MAX];
		put_text(o, "name", r->name.s);
		put_text(o, "kind", dr_route_kind_name(r->kind));
		put_text(o, "record", dr_route_what(r, what));
		put_u64(o, "epoch", s->route_epoch[i]);
		put_bool(o, "current", s->route_epoch[i] == s->epoch && (s->route_servers[i] & all) == all);
		(void)json_object_set_new(o, "servers", route_servers_json(c, ix, i));
		(void)json_array_append_new(a, o);
	}
	return a;
}

/* By the word of the holder's agent, which alone can know. */
static void put_failsafe(json_t *o, struct dr_coord *c, uint32_t ix)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	enum dr_failsafe f = DR_FAILSAFE_NONE;
	if (s->holder < DR_MEMBERS_MAX && s->managed)
		f = c->core->view.service[ix].member[s->holder].report.failsafe;
	put_text(o, "failsafe", dr_failsafe_name(f));
}

static json_t *service_json(struct dr_coord *c, uint32_t ix)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	json_t *o = json_object();
	json_t *members = json_array();
	uint64_t a = 0;
	put_text(o, "name", s->spec.name.s);
	put_text(o, "kind", dr_kind_name(s->spec.kind));
	put_text(o, "mode", s->managed ? "managed" : "observe");
	put_text(o, "durability", dr_durability_name(s->spec.durability));
	put_u64(o, "epoch", s->epoch);
	put_member_name(o, "primary", s, s->primary_epoch == s->epoch ? s->holder : DR_MEMBER_NONE);
	put_member_name(o, "holder", s, s->holder);
	(void)json_object_set_new(o, "sync", set_json(s, &s->sync));
	(void)json_object_set_new(o, "sync_wanted", set_json(s, &s->next));
	put_bool(o, "sync_settled", !s->sync_joint);
	put_failsafe(o, c, ix);
	dr_ready_put(c, ix, o);
	put_bool(o, "paused", dr_is_paused(s, dr_clock_wall_ms()));
	if (s->paused) {
		put_text_or_null(o, "pause_owner", s->pause_actor.s);
		put_text_or_null(o, "pause_reason", s->pause_text);
		put_u64(o, "pause_until_wall_ms", s->pause_until_wall_ms);
	}
	put_bool(o, "held_fenced", s->held_fenced);
	enum dr_reason blocked = dr_core_blocked(c->core, ix, &a);
	if (blocked != DR_REASON_NONE)
		put_text(o, "automatic_failover_blocked", dr_reason_name(blocked));
	(void)json_object_set_new(o, "plan", plan_json(c, ix, &s->plan));
	put_member_name(o, "home", s, s->home);
	(void)json_object_set_new(o, "site_part", dr_site_part_json(&c->core->repl, s));
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (s->spec.member[m].name.s[0] != '\0')
			(void)json_array_append_new(members, member_json(c, ix, m));
	}
	(void)json_object_set_new(o, "members", members);
	(void)json_object_set_new(o, "rejoins", rejoins_json(c, ix));
	(void)json_object_set_new(o, "routes", routes_json(c, ix));
	return o;
}

json_t *dr_status_json(struct dr_coord *c)
{
	struct dr_raft_status st;
	struct dr_name leader = { "" };
	struct dr_address at;
	const struct dr_repl *r = &c->core->repl;
	dr_raft_status(c->raft, &st);
	json_t *o = json_object();
	json_t *services = json_array();
	put_text(o, "cluster", c->conf.cluster.s);
	put_text(o, "version", DR_VERSION);
	(void)dr_coord_leader(c, &leader, &at);
	put_text_or_null(o, "leader", leader.s);
	put_u64(o, "term", st.term);
	put_u64(o, "commit", st.commit);
	put_u64(o, "spec_version", r->spec_version);
	put_u64(o, "event_last", r->event_last);
	put_u64(o, "event_oldest", r->event_last > DR_EVENTS_KEPT ? r->event_last - DR_EVENTS_KEPT + 1 : 1);
	put_hex(o, "ledger_head", c->ledger_head, sizeof(c->ledger_head));
	if (c->recovering)
		put_bool(o, "recovering", true);
	(void)json_object_set_new(o, "coordinators", nodes_array(c, &st));
	for (uint32_t i = 0; i < r->services; i++) {
		if (r->service[i].used)
			(void)json_array_append_new(services, service_json(c, i));
	}
	(void)json_object_set_new(o, "sites", dr_ready_sites_json(c, NULL));
	(void)json_object_set_new(o, "services", services);
	(void)json_object_set_new(o, "site_plans", dr_site_plans_json(r));
	return o;
}

json_t *dr_explain_json(struct dr_coord *c, uint32_t ix)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	json_t *o = json_object();
	json_t *candidates = json_array();
	uint64_t a = 0;
	put_text(o, "service", s->spec.name.s);
	put_member_name(o, "holder", s, s->holder);
	json_t *automatic = json_object();
	enum dr_reason blocked = dr_core_blocked(c->core, ix, &a); /* before its value is read */
	put_reason(automatic, blocked, a, 0);
	(void)json_object_set_new(o, "automatic_failover", automatic);
	put_u64(o, "positions_needed", s->sync.k > 0 ? dr_sync_positions_needed(&s->sync) : 0);
	(void)json_object_set_new(o, "sync", set_json(s, &s->sync));
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		if (s->spec.member[m].name.s[0] == '\0')
			continue;
		json_t *one = json_object();
		uint64_t silent = 0;
		put_text(one, "member", s->spec.member[m].name.s);
		put_text(one, "state", dr_verdict_name(dr_core_verdict(c->core, ix, m, &silent)));
		put_u64(one, "lease_left_ms", dr_core_lease_left_ms(c->core, ix, m));
		enum dr_reason why = dr_core_candidate(c->core, ix, m, &a);
		put_bool(one, "can_be_promoted", why == DR_REASON_NONE);
		put_reason(one, why, a, 0);
		put_member_report(one, c, ix, m);
		(void)json_array_append_new(candidates, one);
	}
	(void)json_object_set_new(o, "candidates", candidates);
	(void)json_object_set_new(o, "plan", plan_json(c, ix, &s->plan));
	(void)json_object_set_new(o, "site_part", dr_site_part_json(&c->core->repl, s));
	(void)json_object_set_new(o, "rejoins", rejoins_json(c, ix));
	return o;
}

/* The spec in force, as the YAML that made it would read. */
json_t *dr_spec_json(struct dr_coord *c)
{
	const struct dr_repl *r = &c->core->repl;
	struct dr_spec *spec = dr_spec_new(r->services);
	struct dr_buf b;
	spec->cluster = c->conf.cluster;
	spec->timing = r->timing;
	spec->limits = r->limits;
	spec->sites = r->sites;
	memcpy(spec->site, r->site, sizeof(spec->site));
	memcpy(spec->runbook, r->runbook, sizeof(spec->runbook));
	for (uint32_t i = 0; i < r->services; i++) {
		if (r->service[i].used)
			spec->service[spec->services++] = r->service[i].spec;
	}
	dr_buf_init(&b, DR_UNSQUEEZED_MAX); /* a file of DR_CONF_FILE_MAX with all its defaults */
	if (r->spec_version != 0)
		dr_conf_spec_print(spec, &b);
	json_t *o = json_object();
	put_u64(o, "version", r->spec_version);
	json_t *text = b.len > 0 && dr_buf_ok(&b) ? json_stringn((const char *)b.data, b.len) : NULL;
	if (!dr_buf_ok(&b))
		(void)json_object_set_new(o, "error", json_string("the spec in force is longer than an answer may be"));
	(void)json_object_set_new(o, "yaml", text != NULL ? text : json_string(""));
	dr_buf_close(&b);
	dr_spec_free(spec);
	return o;
}
