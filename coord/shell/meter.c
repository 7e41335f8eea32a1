/* meter.c -- see meter.h. */
#include "coord/shell/meter.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "coord/http/http.h"
#include "coord/shell/coord.h"
#include "coord/shell/disk.h"
#include "coord/shell/ready.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	SLICE = 128,         /* services in a turn of the loop */
	BEHIND_MAX = 1024,   /* commands not yet applied with which a coordinator still counts as caught up */
	STARTED_BACK = 512   /* events back to look for a step's begin */
};

static struct {
	struct dr_coord *coord;
	struct dr_http *http;        /* NULL: no server */
	struct dr_http *ending;      /* the one before, while it ends in a thread of libuv's */
	uv_work_t end;
	bool is_ending;
	struct dr_metrics_counts counts;
	uv_async_t asked;
	uv_idle_t go_on;
	int wanted, wanted_whole;    /* set by the server's thread, atomically */
	struct dr_metrics *making;   /* with services, as far as `at`; NULL: none is under way */
	uint32_t at;
} meter;

/* ---- what is counted ---- */

void dr_meter_renewal(struct dr_coord *c, struct dr_watch *w, uint64_t id)
{
	(void)c;
	meter.counts.renewals++;
	/* Of each service two are kept (coord/core/lease.c): the one that is being granted, and the newest. */
	w->asked[1] = w->asked[0];
	w->asked[0].id = id;
	w->asked[0].ns = dr_clock_boot_ns();
}

void dr_meter_granted(struct dr_coord *c, struct dr_watch *w, uint64_t id)
{
	(void)c;
	meter.counts.grants++;
	for (unsigned i = 0; i < 2; i++) {
		if (w->asked[i].id == id && w->asked[i].ns != 0)
			dr_histogram_note(&meter.counts.granted, (dr_clock_boot_ns() - w->asked[i].ns) / 1000);
	}
}

static struct dr_metrics_step *step_of(const struct dr_event_record *e)
{
	for (unsigned i = 0; i < DR_METRICS_STEPS_MAX; i++) {
		struct dr_metrics_step *s = &meter.counts.step[i];
		if (s->plan == DR_PLAN_NONE) {
			s->plan = (enum dr_plan_kind)e->plan_kind;
			s->step = (enum dr_step)e->step;
		}
		if ((uint32_t)s->plan == e->plan_kind && (uint32_t)s->step == e->step)
			return s;
	}
	return NULL;
}

static void note_step(const struct dr_repl *r, const struct dr_event_record *e, bool done)
{
	struct dr_metrics_step *s = e->plan_kind < DR_PLAN_KIND_MAX && e->plan_kind != 0 ? step_of(e) : NULL;
	if (s == NULL)
		return;
	s->done += done ? 1u : 0u;
	s->skipped += done ? 0u : 1u;
	for (uint64_t i = 1; done && i <= STARTED_BACK && i < e->index; i++) {
		const struct dr_event_record *b = dr_repl_event(r, e->index - i);
		if (b == NULL)
			return;
		if (b->kind != DR_EVENT_STEP_STARTED || b->plan != e->plan || b->step != e->step)
			continue;
		if (e->wall_ms >= b->wall_ms) /* a clock may have been set, or another leader's */
			dr_histogram_note(&s->took, (e->wall_ms - b->wall_ms) * 1000);
		return;
	}
}

void dr_meter_event(struct dr_coord *c, const struct dr_event_record *e)
{
	struct dr_metrics_counts *n = &meter.counts;
	uint32_t kind = e->plan_kind < DR_PLAN_KIND_MAX ? e->plan_kind : 0;
	if (e->wall_ms < c->started_wall_ms) /* of the log that a start reads again */
		return;
	switch (e->kind) {
	case DR_EVENT_PLAN_OPENED: n->opened[kind]++; break;
	case DR_EVENT_PLAN_ASKS: n->asked[kind]++; break;
	case DR_EVENT_PLAN_CLOSED: (*(e->outcome == DR_OUTCOME_DONE ? &n->done[kind] : &n->failed[kind]))++; break;
	case DR_EVENT_STEP_DONE: note_step(&c->core->repl, e, true); break;
	case DR_EVENT_STEP_SKIPPED: note_step(&c->core->repl, e, false); break;
	default: break;
	}
}

/* ---- a snapshot ---- */

static bool is_voter(const struct dr_raft_status *st)
{
	for (uint32_t i = 0; i < st->members && i < DR_COORDINATORS_MAX; i++) {
		if (st->member[i].id == st->id)
			return st->member[i].voter;
	}
	return false;
}

static void judge_ready(const struct dr_coord *c, const struct dr_raft_status *st, struct dr_metrics *m)
{
	char *to = m->not_ready;
	if (c->stopping)
		(void)snprintf(to, sizeof(m->not_ready), "it is leaving");
	else if (c->recovering)
		(void)snprintf(to, sizeof(m->not_ready), "it was recovered by hand, and listens to the agents first");
	else if (st->removed || !is_voter(st))
		(void)snprintf(to, sizeof(m->not_ready), "it is no voter");
	else if (st->storage_suspect)
		(void)snprintf(to, sizeof(m->not_ready), "its storage is damaged: it does not vote");
	else if (st->leader_id == 0)
		(void)snprintf(to, sizeof(m->not_ready), "no leader is known: is a majority of the coordinators up and connected?");
	else if (st->id == st->leader_id && !dr_coord_leads(c))
		(void)snprintf(to, sizeof(m->not_ready), "it was elected, and has not applied its first entry yet");
	else if (st->applied + BEHIND_MAX < st->commit)
		(void)snprintf(to, sizeof(m->not_ready), "it has applied the log up to %llu of %llu",
			       (unsigned long long)st->applied, (unsigned long long)st->commit);
}

static void fill_raft(struct dr_coord *c, struct dr_metrics *m)
{
	struct dr_raft_status st;
	struct dr_address at;
	dr_raft_status(c->raft, &st);
	m->term = st.term;
	m->commit = st.commit;
	m->applied = st.applied;
	m->last = st.last;
	m->stored = st.stored;
	m->snapshot = st.snapshot_index;
	m->storage_suspect = st.storage_suspect;
	m->leads = dr_coord_leads(c);
	m->outstanding = dr_raft_outstanding(c->raft);
	(void)dr_coord_leader(c, &m->leader, &at);
	for (uint32_t i = 0; i < st.members && i < DR_COORDINATORS_MAX; i++) {
		struct dr_metrics_coordinator *k = &m->coordinator[m->coordinators++];
		k->name = st.member[i].name;
		k->voter = st.member[i].voter;
		k->reachable = dr_peers_reachable(c, &k->name);
		k->ledger_differs = dr_peers_ledger(c, &k->name) == DR_LEDGER_DIFFERS;
		for (uint32_t n = 0; n < c->core->repl.coordinators; n++) {
			if (dr_name_eq(&c->core->repl.coordinator[n].name, &k->name))
				k->site = c->core->repl.coordinator[n].site;
		}
	}
	judge_ready(c, &st, m);
}

static void count_sessions(const struct dr_coord *c, struct dr_metrics *m)
{
	for (const struct dr_in *in = c->in; in != NULL; in = in->next) {
		m->agents += in->role == DR_SESSION_AGENT ? 1u : 0u;
		m->peers += in->role == DR_SESSION_PEER ? 1u : 0u;
		m->links += in->role == DR_SESSION_RAFT ? 1u : 0u;
	}
	m->clients = c->clients;
	m->waiting = c->held;
}

static void fill_head(struct dr_coord *c, struct dr_metrics *m)
{
	m->version = DR_VERSION;
	m->cluster = c->conf.cluster;
	m->name = c->conf.name;
	m->site = c->conf.site;
	m->started_wall_ms = c->started_wall_ms;
	m->events = c->core->repl.event_last;
	m->stalled_ms = c->stall.total_ms;
	m->log_dropped = dr_log_dropped();
	m->disk_free = dr_disk_free();
	m->certificate_ends_s = dr_tls_expires(c->tls);
	m->counts = meter.counts;
	fill_raft(c, m);
	count_sessions(c, m);
	m->at_ms = dr_clock_boot_ms();
}

static void fill_member(const struct dr_coord *c, uint32_t ix, dr_member_ix k, struct dr_metrics_member *m)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	const struct dr_member_view *v = &c->core->view.service[ix].member[k];
	uint64_t silent = 0, now = dr_clock_boot_ms(), primary = c->core->view.service[ix].primary_position;
	m->name = s->spec.member[k].name;
	m->site = s->spec.member[k].site;
	m->state = dr_verdict_name(dr_core_verdict(c->core, ix, k, &silent));
	m->primary = s->managed && s->holder == k;
	m->in_sync_set = dr_set_has(s->sync.set, k) && k != s->holder;
	m->heard = v->report_ms != 0;
	m->server = m->heard ? dr_server_state_name(v->report.server) : NULL;
	m->agent_age_ms = m->heard && now > v->report_ms ? now - v->report_ms : 0;
	m->lag = primary > v->report.received ? primary - v->report.received : 0;
	m->lease_left_ms = m->primary && dr_coord_leads(c) && v->renewed_ms != 0 ? dr_core_lease_left_ms(c->core, ix, k) : 0;
}

static void fill_ready(const struct dr_readiness *ready, struct dr_metrics_service *m)
{
	_Static_assert((int)DR_METRICS_NOTES_MAX >= (int)DR_READY_NOTES_MAX, "each note has a place");
	if (ready == NULL)
		return;
	m->ready = dr_ready_name(ready->host > ready->site ? ready->host : ready->site);
	for (; m->notes < ready->notes; m->notes++) {
		const struct dr_ready_note *n = &ready->note[m->notes];
		uint32_t member = n->member < DR_MEMBERS_MAX ? n->member : DR_MEMBERS_MAX;
		m->note[m->notes] = (struct dr_metrics_note){ dr_reason_name(n->reason), member, n->blocks };
	}
}

static void fill_service(const struct dr_coord *c, uint32_t ix, struct dr_metrics *out)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	struct dr_metrics_service *m = &out->service[ix];
	if (!s->used)
		return;
	m->name = s->spec.name;
	m->kind = dr_kind_name(s->spec.kind);
	fill_ready(dr_ready_of(c, ix), m);
	m->managed = s->managed;
	m->paused = dr_is_paused(s, dr_clock_wall_ms());
	m->has_primary = s->holder != DR_MEMBER_NONE && s->primary_epoch == s->epoch;
	m->lag_in_bytes = dr_kind_counts_bytes(s->spec.kind);
	m->epoch = s->epoch;
	if (s->holder < DR_MEMBERS_MAX)
		m->primary_site = s->spec.member[s->holder].site;
	m->plan = s->plan.id != 0 ? s->plan.kind : DR_PLAN_NONE;
	m->asks = s->plan.state == DR_PLAN_ASKING;
	for (uint32_t i = 0; i < DR_ROUTES_MAX; i++) {
		uint32_t all = dr_route_all(&s->spec.route[i]);
		if (s->spec.route[i].kind == DR_ROUTE_NONE)
			continue;
		m->routes++;
		m->routes_current += s->route_epoch[i] == s->epoch && (s->route_servers[i] & all) == all ? 1u : 0u;
	}
	for (dr_member_ix k = 0; k < DR_MEMBERS_MAX; k++) {
		m->rejoins += s->rejoin[k].id != 0 ? 1u : 0u;
		if (s->spec.member[k].name.s[0] != '\0')
			fill_member(c, ix, k, &m->member[k]);
		out->leases_held += m->member[k].lease_left_ms > 0 ? 1u : 0u;
	}
}

/* Some services more; the spec may have brought more of them meanwhile, which the next snapshot tells. */
static void on_go_on(uv_idle_t *h)
{
	struct dr_coord *c = h->data;
	struct dr_metrics *m = meter.making;
	uint32_t to = m->services < meter.at + SLICE ? m->services : meter.at + SLICE;
	for (; meter.at < to; meter.at++)
		fill_service(c, meter.at, m);
	if (meter.at < m->services)
		return;
	for (uint32_t i = 0; i < c->core->repl.sites && i < DR_SITES_MAX; i++) {
		struct dr_metrics_site *site = &m->ready_site[m->sites++];
		enum dr_ready is = dr_ready_of_site(c, &c->core->repl.site[i].name);
		site->name = c->core->repl.site[i].name;
		site->ready = is != DR_READY_UNKNOWN ? dr_ready_name(is) : NULL;
	}
	fill_head(c, m);
	m->whole = true;
	(void)uv_idle_stop(h);
	meter.making = NULL;
	dr_http_give(meter.http, m);
}

static void begin_whole(struct dr_coord *c)
{
	if (meter.making != NULL)
		return;
	meter.making = dr_metrics_new(c->core->repl.services);
	meter.at = 0;
	(void)uv_idle_start(&meter.go_on, on_go_on);
}

static void on_asked(uv_async_t *h)
{
	struct dr_coord *c = h->data;
	if (meter.http == NULL)
		return;
	if (__atomic_exchange_n(&meter.wanted_whole, 0, __ATOMIC_ACQ_REL) != 0)
		begin_whole(c);
	if (__atomic_exchange_n(&meter.wanted, 0, __ATOMIC_ACQ_REL) == 0)
		return;
	struct dr_metrics *m = dr_metrics_new(0);
	fill_head(c, m);
	dr_http_give(meter.http, m);
}

/* In the server's thread. */
static void ask(void *ctx, bool whole)
{
	(void)ctx;
	__atomic_store_n(whole ? &meter.wanted_whole : &meter.wanted, 1, __ATOMIC_RELEASE);
	(void)uv_async_send(&meter.asked);
}

/* ---- the server ---- */

static enum dr_err serve(struct dr_coord *c, struct dr_error *e)
{
	struct dr_http_config hc = { .at = c->conf.http.listen, .tls = c->conf.http.tls, .cert = c->conf.tls.cert,
				     .key = c->conf.tls.key, .ask = ask, .ctx = c };
	return dr_http_open(&meter.http, &hc, e);
}

enum dr_err dr_meter_open(struct dr_coord *c, struct dr_error *e)
{
	if (c->conf.http.listen.port == 0)
		return DR_OK;
	meter.asked.data = meter.go_on.data = c;
	(void)uv_async_init(c->loop, &meter.asked, on_asked);
	(void)uv_idle_init(c->loop, &meter.go_on);
	enum dr_err rv = serve(c, e);
	if (rv == DR_OK)
		dr_log(DR_LOG_INFO, "http.serves", "listen=%s:%u tls=%s", c->conf.http.listen.host, c->conf.http.listen.port,
		       c->conf.http.tls ? "yes" : "no");
	return rv;
}

/* Its thread has no priority, and may be in the middle of much text: not the loop, which grants leases, waits for it. */
static void end_old(uv_work_t *w)
{
	(void)w;
	if (meter.ending != NULL)
		dr_http_close(meter.ending);
}

static void serve_anew(uv_work_t *w, int status)
{
	struct dr_error e;
	(void)status;
	meter.ending = NULL;
	meter.is_ending = false;
	if (serve(w->data, &e) != DR_OK)
		dr_log(DR_LOG_ERROR, "http.not_served", "why=\"%s\" next=\"mend that and send SIGHUP again, or restart\"", e.msg);
}

void dr_meter_reload(struct dr_coord *c)
{
	if (!c->conf.http.tls || c->conf.http.listen.port == 0 || meter.is_ending)
		return; /* the files are read when the old one has ended */
	meter.is_ending = true;
	if (meter.making != NULL) {
		(void)uv_idle_stop(&meter.go_on);
		dr_metrics_free(meter.making);
		meter.making = NULL;
	}
	meter.ending = meter.http;
	meter.http = NULL;
	meter.end.data = c;
	(void)uv_queue_work(c->loop, &meter.end, end_old, serve_anew);
}
