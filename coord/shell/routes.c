/* routes.c -- routes that ought to show (epoch, holder), or to hold their clients, are brought there by their adapter,
 * again and again with longer pauses until they do or are not wanted any more.
 *
 * The leader carries out most of them.  A file is carried out by each coordinator that the route names, from what its own
 * log says, and the leader is told what became of it (DR_FRAME_ROUTED). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "coord/shell/routes.h"
#include "proto/frames.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	DEADLINE_MS = 3000, TIMEOUT_MARGIN_MS = 500, RETRY_FIRST_MS = 200, RETRY_MOST_MS = 5000, SETTLED_MS = 1000,
	MESSAGE_MAX = 512,
	TURN_MS = 1000,                    /* one that failed gives its place up no sooner after its try */
	THREADS_MAX = 32, THREADS_HELD = 16, /* of the pool's, which probes share; so many more where clients wait */
	THREADS_WAIT_MS = 100
};

static void start(struct dr_route_job *j);

/* The same is wrong with every server, or nothing is any more (""). */
static void same_for_all(struct dr_route_job *j, const char *why)
{
	for (uint32_t k = 0; k < DR_ROUTE_SERVERS_MAX; k++)
		(void)dr_copy_text(j->why[k], sizeof(j->why[k]), why);
}

/* Where so many fail that no place is free, the one that waits longest for its next try gives way: it comes again when its
 * service is looked at, and so each has its turn. */
static struct dr_route_job *longest_failing(struct dr_coord *c)
{
	struct dr_route_job *oldest = NULL;
	for (uint32_t i = 0; i < DR_ROUTE_JOBS_MAX; i++) {
		struct dr_route_job *j = &c->route[i];
		if (j->running || j->closing || j->fails == 0 || j->hold || dr_clock_boot_ms() - j->ended_ms < TURN_MS)
			continue;
		if (oldest == NULL || j->ended_ms < oldest->ended_ms)
			oldest = j;
	}
	if (!c->routes_full)
		dr_log(DR_LOG_WARN, "routes.full", "jobs=%d next=\"mend the routes that status shows with their errors; "
		       "they take turns meanwhile\"", DR_ROUTE_JOBS_MAX);
	c->routes_full = true;
	if (oldest != NULL)
		(void)uv_timer_stop(&oldest->retry);
	return oldest;
}

static void make_ready(struct dr_coord *c, struct dr_route_job *j, uint32_t service, uint32_t route)
{
	if (!j->timer_ready) {
		(void)uv_timer_init(c->loop, &j->retry);
		j->timer_ready = true;
	}
	j->coord = c;
	j->retry.data = j;
	j->used = true;
	j->service = service;
	j->route = route;
	j->fails = 0;
	j->threads = 0;
	j->wanted = j->hold = j->settled = false;
	same_for_all(j, "");
}

static struct dr_route_job *find(struct dr_coord *c, uint32_t service, uint32_t route, bool make)
{
	struct dr_route_job *empty = NULL;
	uint32_t used = 0;
	for (uint32_t i = 0; i < DR_ROUTE_JOBS_MAX; i++) {
		struct dr_route_job *j = &c->route[i];
		if (j->used && j->service == service && j->route == route)
			return j;
		if (!j->used && empty == NULL)
			empty = j;
		used += j->used ? 1 : 0;
	}
	if (!make)
		return NULL;
	c->routes_full = c->routes_full && used > DR_ROUTE_JOBS_MAX / 2;
	if (empty == NULL)
		empty = longest_failing(c);
	if (empty != NULL)
		make_ready(c, empty, service, route);
	return empty;
}

static void on_retry(uv_timer_t *t)
{
	start(t->data);
}

static void on_session_closed(struct dr_session *s)
{
	struct dr_route_job *j = (struct dr_route_job *)(void *)((char *)s - offsetof(struct dr_route_job, session));
	j->closing = false;
	j->threads = 0;
	j->ended_ms = dr_clock_boot_ms();
	if (!j->wanted) {
		j->used = false;
		return;
	}
	uint64_t ms = RETRY_FIRST_MS;
	for (uint32_t i = 0; i < j->fails && ms < RETRY_MOST_MS; i++)
		ms *= 2;
	ms = j->fails > 0 ? ms / 2 + (uint64_t)random() % ms : j->settled ? SETTLED_MS : 0;
	(void)uv_timer_start(&j->retry, on_retry, ms, 0);
}

/* The places that this coordinator answers for. */
static uint32_t places_of(const struct dr_coord *c, const struct dr_spec_route *r)
{
	uint32_t mine = 0;
	for (uint32_t k = 0; k < dr_route_places(r); k++)
		mine |= !dr_route_is_local(r) || dr_name_eq(&r->on[k], &c->conf.name) ? 1u << k : 0;
	return mine;
}

/* Which of the evidence's failed servers that place is; DR_ROUTE_SERVERS_MAX: it is none of them. */
static uint32_t failed_place(const struct dr_spec_route *r, const struct dr_evidence *ev, uint32_t k)
{
	uint32_t failed = ev->route.all > ev->route.ok ? ev->route.all - ev->route.ok : 0;
	for (uint32_t i = 0; k < r->servers && i < failed && i < DR_ROUTE_SERVERS_MAX; i++) {
		if (r->server[k].port == ev->route.failed[i].port &&
		    strcmp(r->server[k].host, ev->route.failed[i].host) == 0)
			return i;
	}
	return DR_ROUTE_SERVERS_MAX;
}

static bool has_servers(const struct dr_spec_route *r)
{
	return !dr_route_is_local(r) && r->servers > 0;
}

/* Which places show what was wanted: all but those that the evidence names. */
static uint32_t servers_of(const struct dr_spec_route *r, const struct dr_evidence *ev, uint32_t mine, const struct dr_error *e)
{
	if (!has_servers(r))
		return e == NULL ? mine : 0;
	for (uint32_t k = 0; k < r->servers; k++) {
		if (ev->route.all == 0 || failed_place(r, ev, k) < DR_ROUTE_SERVERS_MAX)
			mine &= ~(1u << k);
	}
	return mine;
}

/* Remember each place's error; the first one, with its place, is for the record. */
static void note_errors(struct dr_route_job *j, const struct dr_spec_route *r, const struct dr_evidence *ev, uint32_t ok,
			const struct dr_error *e, char record[DR_REASON_MAX])
{
	uint32_t mine = places_of(j->coord, r);
	record[0] = '\0';
	same_for_all(j, "");
	for (uint32_t k = 0; k < dr_route_places(r) && e != NULL; k++) {
		char at[DR_URL_MAX], line[DR_URL_MAX + DR_SERVER_WHY_MAX];
		uint32_t i = failed_place(r, ev, k);
		if ((ok & 1u << k) != 0 || (mine & 1u << k) == 0)
			continue;
		(void)dr_copy_text(j->why[k], sizeof(j->why[k]), i < DR_ROUTE_SERVERS_MAX ? ev->route.why[i] : e->msg);
		(void)snprintf(line, sizeof(line), "%s %s", dr_route_where(r, k, at), j->why[k]);
		if (record[0] == '\0')
			(void)dr_copy_text(record, DR_REASON_MAX, line);
	}
}

/* ---- what became of a coordinator's own file, to the leader ---- */

static void tell(struct dr_coord *c, const struct dr_route_job *j, bool ok, const char *why)
{
	struct dr_buf b;
	dr_buf_init(&b, MESSAGE_MAX);
	dr_buf_put_u64be(&b, c->core->repl.spec_version);
	dr_buf_put_u32be(&b, j->service);
	dr_buf_put_u32be(&b, j->route);
	dr_buf_put_u64be(&b, j->epoch);
	dr_buf_put_u8(&b, ok);
	dr_buf_put(&b, why, strlen(why));
	dr_peers_send_all(c, DR_FRAME_ROUTED, &b);
	dr_buf_close(&b);
}

static void note_told(struct dr_coord *c, uint32_t service, uint32_t route, uint32_t place, uint64_t epoch, const char *why)
{
	struct dr_route_told *t = &c->route_told[c->route_told_next % DR_ROUTES_TOLD];
	for (uint32_t i = 0; i < DR_ROUTES_TOLD; i++) {
		struct dr_route_told *o = &c->route_told[i];
		if (o->epoch != 0 && o->service == service && o->route == route && o->place == place)
			t = o;
	}
	if (t == &c->route_told[c->route_told_next % DR_ROUTES_TOLD])
		c->route_told_next++;
	*t = (struct dr_route_told){ .service = service, .route = route, .place = place, .epoch = epoch };
	(void)dr_copy_text(t->why, sizeof(t->why), why);
}

void dr_routes_told(struct dr_coord *c, const struct dr_name *by, const uint8_t *p, size_t n)
{
	struct dr_view v = dr_view_of(p, n);
	uint64_t version = dr_view_u64be(&v);
	uint32_t service = dr_view_u32be(&v), route = dr_view_u32be(&v), place = 0;
	uint64_t epoch = dr_view_u64be(&v);
	bool ok = dr_view_u8(&v) != 0;
	size_t len = dr_view_left(&v);
	if (v.bad || version != c->core->repl.spec_version || service >= c->core->repl.services || route >= DR_ROUTES_MAX ||
	    !dr_coord_leads(c))
		return;
	const struct dr_service *s = &c->core->repl.service[service];
	const struct dr_spec_route *r = &s->spec.route[route];
	if (!s->used || r->kind == DR_ROUTE_NONE || !dr_route_is_local(r) || epoch != s->epoch)
		return;
	while (place < dr_route_places(r) && !dr_name_eq(&r->on[place], by))
		place++;
	if (place == dr_route_places(r))
		return;
	char why[DR_SERVER_WHY_MAX] = "", line[DR_REASON_MAX];
	const uint8_t *text = dr_view_bytes(&v, len);
	for (size_t i = 0; text != NULL && i < len && i + 1 < sizeof(why); i++)
		why[i] = text[i] >= 0x20 && text[i] < 0x7f ? (char)text[i] : ' ';
	note_told(c, service, route, place, epoch, ok ? "" : why);
	(void)snprintf(line, sizeof(line), "%.47s %.100s", by->s, why);
	struct dr_core_event ev = { .kind = DR_EV_ROUTE, .service = s->spec.name, .route = route, .epoch = epoch,
				    .servers = ok ? 1u << place : 0, .text = ok ? "" : line };
	dr_coord_event(c, &ev);
}

static void routed(struct dr_op *op, const struct dr_error *e)
{
	struct dr_route_job *j = op->ctx;
	struct dr_coord *c = j->coord;
	const struct dr_service *s = &c->core->repl.service[j->service];
	const struct dr_spec_route *r = &s->spec.route[j->route];
	uint32_t mine = places_of(c, r);
	struct dr_core_event ev = { .kind = DR_EV_ROUTE, .service = s->spec.name, .route = j->route, .epoch = j->epoch,
				    .hold = op->kind == DR_OP_HELD, .servers = servers_of(r, &op->evidence, mine, e) };
	char record[DR_REASON_MAX];
	bool given_up = e != NULL && e->code == DR_E_CANCELLED; /* for another one, which is not to wait */
	note_errors(j, r, &op->evidence, ev.servers, given_up ? NULL : e, record);
	ev.text = record;
	j->running = false;
	j->settled = e == NULL;
	j->fails = e == NULL || given_up ? 0 : j->fails + 1;
	/* What was seen of a route that the spec has changed since says nothing about the new one. */
	bool changed = !dr_spec_route_eq(&j->session.target.route, r);
	if (e != NULL && !given_up)
		dr_log(DR_LOG_WARN, "route.failed", "service=%s route=%s epoch=%llu servers=%u/%u why=\"%s\" shows=\"%s\"",
		       s->spec.name.s, r->name.s, (unsigned long long)j->epoch,
		       op->evidence.route.ok, op->evidence.route.all, e->msg, op->evidence.text);
	j->closing = true;
	dr_session_close(&j->session, on_session_closed);
	if (changed || given_up)
		return;
	if (!dr_coord_leads(c))
		tell(c, j, e == NULL, e == NULL ? "" : e->msg);
	else if (ev.servers != 0 || ev.hold || dr_route_is_local(r))
		dr_coord_event(c, &ev);
}

/* ---- what is to be done ---- */

static void fill_target(const struct dr_coord *c, const struct dr_service *s, uint32_t route, struct dr_target *t)
{
	memset(t, 0, sizeof(*t));
	t->service = s->spec.name;
	t->cluster = c->conf.cluster;
	t->coordinator = c->conf.name;
	(void)dr_copy_text(t->files_in, sizeof(t->files_in), c->conf.files_in);
	(void)dr_copy_text(t->commands_in, sizeof(t->commands_in), c->conf.commands_in);
	t->route = s->spec.route[route];
}

static void fill_args(const struct dr_service *s, const struct dr_route_job *j, struct dr_op_args *a)
{
	dr_member_ix old = s->plan.id != 0 ? s->plan.old : DR_MEMBER_NONE;
	a->epoch = j->epoch;
	a->primary = j->primary;
	a->primary_at = j->to;
	a->plan = s->plan.id;
	a->step = s->plan.id != 0 && s->plan.at < s->plan.steps ? (uint32_t)s->plan.step[s->plan.at] : 0;
	if (old < DR_MEMBERS_MAX) {
		a->old = s->spec.member[old].name;
		a->old_at = s->spec.member[old].address;
	}
}

/* So many threads of the pool would it take; DNS takes none. */
static uint32_t threads_of(const struct dr_spec_route *r)
{
	return r->kind == DR_ROUTE_DNS_RFC2136 ? 0 : dr_route_is_local(r) ? 1 : dr_route_places(r);
}

/* Mute servers of routes never take the threads that probes of servers need. */
static bool has_threads(const struct dr_route_job *j, uint32_t wanted)
{
	uint32_t taken = 0;
	for (uint32_t i = 0; i < DR_ROUTE_JOBS_MAX; i++)
		taken += j->coord->route[i].threads;
	return wanted == 0 || taken + wanted <= THREADS_MAX + (j->hold ? THREADS_HELD : 0);
}

static void start(struct dr_route_job *j)
{
	struct dr_coord *c = j->coord;
	const struct dr_service *s = &c->core->repl.service[j->service];
	const struct dr_adapter *a = dr_adapter_find(dr_route_kind_name(s->spec.route[j->route].kind));
	struct dr_target t;
	struct dr_error e;
	if (!j->wanted || j->running || j->closing)
		return;
	if (!s->used || s->spec.route[j->route].kind == DR_ROUTE_NONE) {
		j->wanted = j->used = false; /* the spec has no such route any more */
		return;
	}
	uint32_t threads = threads_of(&s->spec.route[j->route]);
	if (!has_threads(j, threads)) {
		(void)uv_timer_start(&j->retry, on_retry, THREADS_WAIT_MS / 2 + (uint64_t)random() % THREADS_WAIT_MS, 0);
		return;
	}
	fill_target(c, s, j->route, &t);
	if (a == NULL || dr_target_secrets_in(&t, c->conf.secrets_in, &e) != DR_OK ||
	    dr_session_open(&j->session, c->loop, a, &t, &e) != DR_OK) {
		dr_log(DR_LOG_ERROR, "route.not_opened", "service=%s route=%s why=\"%s\"", s->spec.name.s, t.route.name.s,
		       a == NULL ? "no adapter" : e.msg);
		j->fails++;
		j->ended_ms = dr_clock_boot_ms();
		same_for_all(j, a == NULL ? "no adapter" : e.msg);
		(void)uv_timer_start(&j->retry, on_retry, RETRY_MOST_MS, 0);
		return;
	}
	j->op = (struct dr_op){ .kind = j->hold ? DR_OP_HELD : DR_OP_ROUTED, .deadline_ms = DEADLINE_MS, .done = routed, .ctx = j };
	if (t.route.kind != DR_ROUTE_DNS_RFC2136)
		j->op.deadline_ms = (t.route.timeout_ms != 0 ? t.route.timeout_ms : DEADLINE_MS) + TIMEOUT_MARGIN_MS;
	fill_args(s, j, &j->op.args);
	j->running = true;
	j->threads = threads;
	if (dr_session_start(&j->session, &j->op, &e) != DR_OK) {
		j->running = false;
		j->closing = true;
		j->fails++;
		same_for_all(j, e.msg);
		dr_session_close(&j->session, on_session_closed);
	}
}

const char *dr_routes_why(const struct dr_coord *c, uint32_t service, uint32_t route, uint32_t server)
{
	for (uint32_t i = 0; i < DR_ROUTE_JOBS_MAX && server < DR_ROUTE_SERVERS_MAX; i++) {
		const struct dr_route_job *j = &c->route[i];
		if (j->used && j->wanted && j->service == service && j->route == route && j->why[server][0] != '\0')
			return j->why[server];
	}
	for (uint32_t i = 0; i < DR_ROUTES_TOLD; i++) {
		const struct dr_route_told *t = &c->route_told[i];
		if (t->service == service && t->route == route && t->place == server &&
		    t->epoch == c->core->repl.service[service].epoch)
			return t->why;
	}
	return "";
}

void dr_routes_carry_out(struct dr_coord *c, const struct dr_decision *d)
{
	for (uint32_t i = 0; i < d->routes; i++) {
		const struct dr_route_wanted *w = &d->route[i];
		struct dr_route_job *j = find(c, w->service, w->route, w->wanted);
		if (j == NULL)
			continue;
		/* While the epoch changes, who is held goes on being held. */
		bool changed = w->wanted && (!j->wanted || j->hold != w->hold || (!w->hold && j->epoch != w->epoch));
		j->wanted = w->wanted;
		j->hold = w->wanted && w->hold;
		if (!w->wanted) {
			(void)uv_timer_stop(&j->retry);
			if (j->running)
				dr_session_cancel(&j->session);
			else if (!j->closing)
				j->used = false;
			continue;
		}
		j->epoch = w->epoch;
		if (w->holder < DR_MEMBERS_MAX) {
			const struct dr_spec_member *m = &c->core->repl.service[w->service].spec.member[w->holder];
			j->to = m->address;
			j->primary = m->name;
		}
		if (changed) {
			j->fails = 0;
			j->settled = false;
			same_for_all(j, "");
			if (j->running)
				dr_session_cancel(&j->session);
			else
				start(j);
		}
	}
}
