/* metrics.c -- see metrics.h: every family of metrics is printed here and nowhere else. */
#include "coord/http/metrics.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/mem.h"

/* From a renewal on a quiet machine to a copy that is made anew. */
static const uint64_t bounds_us[DR_HISTOGRAM_BUCKETS] = {
	1000,    2500,    5000,    10000,   25000,   50000,    100000,   250000,
	500000, 1000000, 2500000, 5000000, 10000000, 30000000, 120000000, 600000000,
};

uint64_t dr_histogram_bound_us(unsigned bucket)
{
	dr_assert(bucket < DR_HISTOGRAM_BUCKETS);
	return bounds_us[bucket];
}

void dr_histogram_note(struct dr_histogram *h, uint64_t us)
{
	unsigned i = 0;
	while (i < DR_HISTOGRAM_BUCKETS && us > bounds_us[i])
		i++;
	if (i < DR_HISTOGRAM_BUCKETS)
		h->bucket[i]++;
	h->count++;
	h->sum_us += us;
}

struct dr_metrics *dr_metrics_new(uint32_t services)
{
	struct dr_metrics *m = dr_xcalloc(sizeof(*m));
	m->service = dr_xcalloc((size_t)services * sizeof(*m->service));
	m->services = services;
	return m;
}

void dr_metrics_free(struct dr_metrics *m)
{
	if (m != NULL)
		dr_free(m->service);
	dr_free(m);
}

/* ---- the format ---- */

static void family(struct dr_buf *b, const char *name, const char *type, const char *help)
{
	dr_buf_printf(b, "# HELP drcoord_%s %s\n# TYPE drcoord_%s %s\n", name, help, name, type);
}

static void put(struct dr_buf *b, const char *name, uint64_t v)
{
	dr_buf_printf(b, "drcoord_%s %" PRIu64 "\n", name, v);
}

static void one(struct dr_buf *b, const char *name, const char *type, const char *help, uint64_t v)
{
	family(b, name, type, help);
	put(b, name, v);
}

static void seconds(struct dr_buf *b, uint64_t us)
{
	dr_buf_printf(b, "%" PRIu64 ".%06u", us / 1000000, (unsigned)(us % 1000000));
}

static void one_in_seconds(struct dr_buf *b, const char *name, const char *type, const char *help, uint64_t us)
{
	family(b, name, type, help);
	dr_buf_printf(b, "drcoord_%s ", name);
	seconds(b, us);
	dr_buf_printf(b, "\n");
}

/* labels: `plan="failover",step="route"`, or "". */
static void histogram(struct dr_buf *b, const char *name, const char *labels, const struct dr_histogram *h)
{
	const char *comma = labels[0] != '\0' ? "," : "", *open = labels[0] != '\0' ? "{" : "",
		   *close = labels[0] != '\0' ? "}" : "";
	uint64_t sum = 0;
	for (unsigned i = 0; i < DR_HISTOGRAM_BUCKETS; i++) {
		sum += h->bucket[i];
		dr_buf_printf(b, "drcoord_%s_bucket{%s%sle=\"", name, labels, comma);
		/* Bounds are whole milliseconds. */
		dr_buf_printf(b, "%g\"} %" PRIu64 "\n", (double)bounds_us[i] / 1e6, sum);
	}
	dr_buf_printf(b, "drcoord_%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma, h->count);
	dr_buf_printf(b, "drcoord_%s_sum%s%s%s ", name, open, labels, close);
	seconds(b, h->sum_us);
	dr_buf_printf(b, "\ndrcoord_%s_count%s%s%s %" PRIu64 "\n", name, open, labels, close, h->count);
}

/* ---- this process ---- */

static void print_process(const struct dr_metrics *m, struct dr_buf *b)
{
	family(b, "build_info", "gauge", "Which version this is; always 1.");
	dr_buf_printf(b, "drcoord_build_info{version=\"%s\"} 1\n", m->version);
	family(b, "coordinator_info", "gauge", "Who this coordinator is; always 1.");
	dr_buf_printf(b, "drcoord_coordinator_info{cluster=\"%s\",coordinator=\"%s\",site=\"%s\"} 1\n", m->cluster.s, m->name.s,
		      m->site.s);
	one(b, "start_time_seconds", "gauge", "When this process began, seconds since 1970.", m->started_wall_ms / 1000);
	one(b, "ready", "gauge", "1: this coordinator knows a leader, is a voter and has applied what is committed (/readyz).",
	    m->not_ready[0] == '\0');
	one_in_seconds(b, "loop_stalled_seconds_total", "counter",
		       "How long the loop stood still, by what its timers should have done.", m->stalled_ms * 1000);
	one(b, "log_lines_dropped_total", "counter", "Lines that were not written because stderr would have blocked.",
	    m->log_dropped);
	one(b, "data_disk_free_bytes", "gauge", "What is free on the disk of the log.", m->disk_free);
	one(b, "certificate_expires_timestamp_seconds", "gauge", "When this coordinator's certificate ends, seconds since 1970.",
	    m->certificate_ends_s > 0 ? (uint64_t)m->certificate_ends_s : 0);
	family(b, "sessions", "gauge", "Accepted connections, by what they are.");
	dr_buf_printf(b,
		      "drcoord_sessions{role=\"agent\"} %" PRIu32 "\ndrcoord_sessions{role=\"coordinator\"} %" PRIu32
		      "\ndrcoord_sessions{role=\"client\"} %" PRIu32 "\ndrcoord_sessions{role=\"raft\"} %" PRIu32 "\n",
		      m->agents, m->peers, m->clients, m->links);
	family(b, "sessions_limit", "gauge", "How many there may be.");
	dr_buf_printf(b, "drcoord_sessions_limit{role=\"agent\"} %d\ndrcoord_sessions_limit{role=\"client\"} %d\n", DR_AGENTS_MAX,
		      DR_CLIENTS_MAX);
	one(b, "clients_waiting", "gauge", "Clients whose requests wait for their turn.", m->waiting);
}

/* ---- Raft ---- */

static void print_raft(const struct dr_metrics *m, struct dr_buf *b)
{
	one(b, "raft_is_leader", "gauge", "1: this coordinator leads.", m->leads);
	one(b, "raft_has_leader", "gauge", "1: this coordinator knows who leads.", m->leader.s[0] != '\0');
	one(b, "raft_storage_suspect", "gauge", "1: the storage guard found damage, and this coordinator does not vote.",
	    m->storage_suspect);
	one(b, "raft_term", "gauge", "The newest term.", m->term);
	one(b, "raft_commit_index", "gauge", "Up to here the log is committed.", m->commit);
	one(b, "raft_applied_index", "gauge", "Up to here it is applied.", m->applied);
	one(b, "raft_last_index", "gauge", "The end of this coordinator's log.", m->last);
	one(b, "raft_stored_index", "gauge", "Up to here the log is on this coordinator's disk.", m->stored);
	one(b, "raft_snapshot_index", "gauge", "What the newest snapshot holds.", m->snapshot);
	one(b, "raft_proposals_outstanding", "gauge", "Commands on their way through the log.", m->outstanding);
	one(b, "raft_proposals_limit", "gauge", "How many there may be.", DR_PROPOSALS_MAX);
	one(b, "events_total", "counter", "Events in the ledger.", m->events);
	family(b, "coordinator_reachable", "gauge", "1: this coordinator reaches that one.");
	for (uint32_t i = 0; i < m->coordinators; i++)
		dr_buf_printf(b, "drcoord_coordinator_reachable{coordinator=\"%s\",site=\"%s\"} %d\n", m->coordinator[i].name.s,
			      m->coordinator[i].site.s, m->coordinator[i].reachable);
	family(b, "coordinator_ledger_differs", "gauge", "1: that coordinator's ledger is not this one's.");
	for (uint32_t i = 0; i < m->coordinators; i++)
		dr_buf_printf(b, "drcoord_coordinator_ledger_differs{coordinator=\"%s\"} %d\n", m->coordinator[i].name.s,
			      m->coordinator[i].ledger_differs);
}

/* ---- leases and plans ---- */

static void print_leases(const struct dr_metrics *m, struct dr_buf *b)
{
	one(b, "lease_renewals_total", "counter", "Renewals that agents asked for here.", m->counts.renewals);
	one(b, "lease_grants_total", "counter", "Leases granted here.", m->counts.grants);
	one(b, "leases_held", "gauge", "Leases that may still run, as far as this leader knows.", m->leases_held);
	family(b, "lease_grant_seconds", "histogram", "From a renewal's receipt to its grant's sending.");
	histogram(b, "lease_grant_seconds", "", &m->counts.granted);
}

static bool is_plan(unsigned kind)
{
	return dr_plan_row((enum dr_plan_kind)kind) != NULL;
}

static void print_plans(const struct dr_metrics_counts *c, struct dr_buf *b)
{
	family(b, "plans_opened_total", "counter", "Plans opened since this process began.");
	for (unsigned k = 1; k < DR_PLAN_KIND_MAX; k++) {
		if (is_plan(k))
			dr_buf_printf(b, "drcoord_plans_opened_total{plan=\"%s\"} %" PRIu64 "\n",
				      dr_plan_name((enum dr_plan_kind)k), c->opened[k]);
	}
	family(b, "plans_closed_total", "counter", "Plans that ended, by how.");
	for (unsigned k = 1; k < DR_PLAN_KIND_MAX; k++) {
		const char *name = dr_plan_name((enum dr_plan_kind)k);
		if (is_plan(k))
			dr_buf_printf(b,
				      "drcoord_plans_closed_total{plan=\"%s\",outcome=\"done\"} %" PRIu64
				      "\ndrcoord_plans_closed_total{plan=\"%s\",outcome=\"failed\"} %" PRIu64 "\n",
				      name, c->done[k], name, c->failed[k]);
	}
	family(b, "plan_questions_total", "counter", "How often a plan asked a person.");
	for (unsigned k = 1; k < DR_PLAN_KIND_MAX; k++) {
		if (is_plan(k))
			dr_buf_printf(b, "drcoord_plan_questions_total{plan=\"%s\"} %" PRIu64 "\n",
				      dr_plan_name((enum dr_plan_kind)k), c->asked[k]);
	}
}

static void print_steps(const struct dr_metrics_counts *c, struct dr_buf *b)
{
	family(b, "plan_steps_total", "counter", "Steps that ended, by how.");
	for (unsigned i = 0; i < DR_METRICS_STEPS_MAX && c->step[i].plan != DR_PLAN_NONE; i++) {
		const struct dr_metrics_step *s = &c->step[i];
		const char *plan = dr_plan_name(s->plan), *step = dr_step_name(s->step);
		dr_buf_printf(b,
			      "drcoord_plan_steps_total{plan=\"%s\",step=\"%s\",outcome=\"done\"} %" PRIu64
			      "\ndrcoord_plan_steps_total{plan=\"%s\",step=\"%s\",outcome=\"skipped\"} %" PRIu64 "\n",
			      plan, step, s->done, plan, step, s->skipped);
	}
	family(b, "plan_step_seconds", "histogram", "How long steps took that were done.");
	for (unsigned i = 0; i < DR_METRICS_STEPS_MAX && c->step[i].plan != DR_PLAN_NONE; i++) {
		const struct dr_metrics_step *s = &c->step[i];
		struct dr_buf l;
		dr_buf_init(&l, 4 * DR_NAME_MAX);
		dr_buf_printf(&l, "plan=\"%s\",step=\"%s\"", dr_plan_name(s->plan), dr_step_name(s->step));
		dr_buf_put_u8(&l, 0);
		if (dr_buf_ok(&l))
			histogram(b, "plan_step_seconds", (const char *)l.data, &s->took);
		dr_buf_close(&l);
	}
}

/* ---- services ---- */

typedef void service_fn(struct dr_buf *b, const struct dr_metrics_service *s);
typedef void member_fn(struct dr_buf *b, const struct dr_metrics_service *s, const struct dr_metrics_member *m);

static void put_mode(struct dr_buf *b, const struct dr_metrics_service *s)
{
	dr_buf_printf(b, "drcoord_service_info{service=\"%s\",kind=\"%s\",mode=\"%s\"} 1\n", s->name.s, s->kind,
		      s->managed ? "managed" : "observe");
}

static void put_epoch(struct dr_buf *b, const struct dr_metrics_service *s)
{
	dr_buf_printf(b, "drcoord_service_epoch{service=\"%s\"} %" PRIu64 "\n", s->name.s, s->epoch);
}

static void put_has_primary(struct dr_buf *b, const struct dr_metrics_service *s)
{
	if (s->managed)
		dr_buf_printf(b, "drcoord_service_has_primary{service=\"%s\"} %d\n", s->name.s, s->has_primary);
}

static void put_paused(struct dr_buf *b, const struct dr_metrics_service *s)
{
	dr_buf_printf(b, "drcoord_service_paused{service=\"%s\"} %d\n", s->name.s, s->paused);
}

static void put_plan(struct dr_buf *b, const struct dr_metrics_service *s)
{
	if (s->plan != DR_PLAN_NONE)
		dr_buf_printf(b, "drcoord_service_plan_open{service=\"%s\",plan=\"%s\",state=\"%s\"} 1\n", s->name.s,
			      dr_plan_name(s->plan), s->asks ? "asking" : "running");
}

static void put_rejoins(struct dr_buf *b, const struct dr_metrics_service *s)
{
	dr_buf_printf(b, "drcoord_service_rejoins{service=\"%s\"} %" PRIu32 "\n", s->name.s, s->rejoins);
}

static void put_routes(struct dr_buf *b, const struct dr_metrics_service *s)
{
	if (s->routes > 0)
		dr_buf_printf(b, "drcoord_service_routes_behind{service=\"%s\"} %" PRIu32 "\n", s->name.s,
			      s->routes - s->routes_current);
}

static void put_service_ready(struct dr_buf *b, const struct dr_metrics_service *s)
{
	if (s->ready != NULL)
		dr_buf_printf(b, "drcoord_service_ready{service=\"%s\",verdict=\"%s\"} 1\n", s->name.s, s->ready);
}

static void put_notes(struct dr_buf *b, const struct dr_metrics_service *s)
{
	for (uint32_t i = 0; i < s->notes; i++) {
		const struct dr_metrics_note *n = &s->note[i];
		const char *member = n->member < DR_MEMBERS_MAX ? s->member[n->member].name.s : "";
		dr_buf_printf(b, "drcoord_service_ready_note{service=\"%s\",site=\"%s\",member=\"%s\",reason=\"%s\",", s->name.s,
			      s->primary_site.s, member, n->reason);
		dr_buf_printf(b, "blocks=\"%s\"} 1\n", n->blocks ? "true" : "false");
	}
}

static void who(struct dr_buf *b, const char *name, const struct dr_metrics_service *s, const struct dr_metrics_member *m)
{
	dr_buf_printf(b, "drcoord_%s{service=\"%s\",member=\"%s\",site=\"%s\"", name, s->name.s, m->name.s, m->site.s);
}

static void put_state(struct dr_buf *b, const struct dr_metrics_service *s, const struct dr_metrics_member *m)
{
	who(b, "member_state", s, m);
	dr_buf_printf(b, ",state=\"%s\",server=\"%s\"} 1\n", m->state, m->server != NULL ? m->server : "unknown");
}

static void put_primary(struct dr_buf *b, const struct dr_metrics_service *s, const struct dr_metrics_member *m)
{
	who(b, "member_is_primary", s, m);
	dr_buf_printf(b, "} %d\n", m->primary);
}

static void put_sync(struct dr_buf *b, const struct dr_metrics_service *s, const struct dr_metrics_member *m)
{
	who(b, "member_in_sync_set", s, m);
	dr_buf_printf(b, "} %d\n", m->in_sync_set);
}

static void put_age(struct dr_buf *b, const struct dr_metrics_service *s, const struct dr_metrics_member *m)
{
	if (!m->heard)
		return;
	who(b, "member_agent_age_seconds", s, m);
	dr_buf_printf(b, "} ");
	seconds(b, m->agent_age_ms * 1000);
	dr_buf_printf(b, "\n");
}

static void put_lease(struct dr_buf *b, const struct dr_metrics_service *s, const struct dr_metrics_member *m)
{
	if (!m->primary || m->lease_left_ms == 0)
		return;
	who(b, "member_lease_left_seconds", s, m);
	dr_buf_printf(b, "} ");
	seconds(b, m->lease_left_ms * 1000);
	dr_buf_printf(b, "\n");
}

static void put_lag(struct dr_buf *b, const struct dr_metrics_service *s, const struct dr_metrics_member *m)
{
	if (!m->heard || m->primary || !s->lag_in_bytes)
		return;
	who(b, "member_lag_bytes", s, m);
	dr_buf_printf(b, "} %" PRIu64 "\n", m->lag);
}

static void put_behind(struct dr_buf *b, const struct dr_metrics_service *s, const struct dr_metrics_member *m)
{
	if (!m->heard || m->primary || s->lag_in_bytes)
		return;
	who(b, "member_lag_transactions", s, m);
	dr_buf_printf(b, "} %" PRIu64 "\n", m->lag);
}

static void of_services(const struct dr_metrics *m, struct dr_buf *b, const char *name, const char *help, service_fn *fn)
{
	family(b, name, "gauge", help);
	for (uint32_t i = 0; i < m->services; i++) {
		if (m->service[i].name.s[0] != '\0')
			fn(b, &m->service[i]);
	}
}

static void of_members(const struct dr_metrics *m, struct dr_buf *b, const char *name, const char *help, member_fn *fn)
{
	family(b, name, "gauge", help);
	for (uint32_t i = 0; i < m->services; i++) {
		for (unsigned k = 0; k < DR_MEMBERS_MAX; k++) {
			if (m->service[i].member[k].name.s[0] != '\0')
				fn(b, &m->service[i], &m->service[i].member[k]);
		}
	}
}

static void print_services(const struct dr_metrics *m, struct dr_buf *b)
{
	of_services(m, b, "service_info", "Each service, its kind and mode; always 1.", put_mode);
	of_services(m, b, "service_epoch", "The newest epoch.", put_epoch);
	of_services(m, b, "service_has_primary", "1: the holder of the newest epoch takes writes.", put_has_primary);
	of_services(m, b, "service_paused", "1: automatic plans are paused.", put_paused);
	of_services(m, b, "service_plan_open", "The open plan, if there is one; always 1.", put_plan);
	of_services(m, b, "service_rejoins", "Members on their way back.", put_rejoins);
	of_services(m, b, "service_routes_behind", "Routes that do not show the primary on all their servers.", put_routes);
	of_services(m, b, "service_ready", "Whether the service would move by itself now, told by the leader; always 1.",
		    put_service_ready);
	of_services(m, b, "service_ready_note", "What stands in the way of that (blocks), or limits it; site: the primary's.",
		    put_notes);
	family(b, "site_ready", "gauge", "Whether all that a site holds would move by itself now, told by the leader; always 1.");
	for (uint32_t i = 0; i < m->sites; i++) {
		if (m->ready_site[i].ready != NULL)
			dr_buf_printf(b, "drcoord_site_ready{site=\"%s\",verdict=\"%s\"} 1\n", m->ready_site[i].name.s,
				      m->ready_site[i].ready);
	}
	of_members(m, b, "member_state", "The verdict on each member, and its server's state by its agent; always 1.", put_state);
	of_members(m, b, "member_is_primary", "1: it holds the newest epoch.", put_primary);
	of_members(m, b, "member_in_sync_set", "1: it is in the set that no acknowledged write is lost with.", put_sync);
	of_members(m, b, "member_agent_age_seconds", "Since when its agent was not heard here.", put_age);
	of_members(m, b, "member_lease_left_seconds", "How long its lease may still run, as far as this leader knows.", put_lease);
	of_members(m, b, "member_lag_bytes", "How much of the primary's log it lacks.", put_lag);
	of_members(m, b, "member_lag_transactions", "How many of the primary's transactions it lacks.", put_behind);
}

void dr_metrics_print(const struct dr_metrics *m, struct dr_buf *out)
{
	print_process(m, out);
	print_raft(m, out);
	print_leases(m, out);
	print_plans(&m->counts, out);
	print_steps(&m->counts, out);
	if (m->whole)
		print_services(m, out);
}
