/* routes.c -- routes that ought to show (epoch, holder) are brought there by their adapter, again and again with
 * longer pauses until they do or are not wanted any more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "coord/shell/coord.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { DEADLINE_MS = 3000, RETRY_FIRST_MS = 200, RETRY_MOST_MS = 5000 };

static void start(struct dr_route_job *j);

/* The same is wrong with every server, or nothing is any more (""). */
static void same_for_all(struct dr_route_job *j, const char *why)
{
	for (uint32_t k = 0; k < DR_ROUTE_SERVERS_MAX; k++)
		(void)dr_copy_text(j->why[k], sizeof(j->why[k]), why);
}

static struct dr_route_job *find(struct dr_coord *c, uint32_t service, uint32_t route, bool make)
{
	struct dr_route_job *empty = NULL;
	for (uint32_t i = 0; i < DR_ROUTE_JOBS_MAX; i++) {
		struct dr_route_job *j = &c->route[i];
		if (j->used && j->service == service && j->route == route)
			return j;
		if (!j->used && empty == NULL)
			empty = j;
	}
	if (!make || empty == NULL)
		return NULL;
	if (!empty->timer_ready) {
		(void)uv_timer_init(c->loop, &empty->retry);
		empty->timer_ready = true;
	}
	empty->coord = c;
	empty->retry.data = empty;
	empty->used = true;
	empty->service = service;
	empty->route = route;
	empty->fails = 0;
	same_for_all(empty, "");
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
	if (!j->wanted) {
		j->used = false;
		return;
	}
	uint64_t ms = RETRY_FIRST_MS;
	for (uint32_t i = 0; i < j->fails && ms < RETRY_MOST_MS; i++)
		ms *= 2;
	ms = j->fails == 0 ? 0 : ms / 2 + (uint64_t)random() % ms;
	(void)uv_timer_start(&j->retry, on_retry, ms, 0);
}

/* Which servers show what was wanted: all but those that the evidence names. */
static uint32_t servers_of(const struct dr_spec_route *r, const struct dr_evidence *ev)
{
	uint32_t mask = (1u << r->servers) - 1u;
	uint32_t failed = ev->servers_all > ev->servers_ok ? ev->servers_all - ev->servers_ok : 0;
	if (ev->servers_all == 0)
		return 0;
	for (uint32_t i = 0; i < failed && i < DR_ROUTE_SERVERS_MAX; i++) {
		for (uint32_t k = 0; k < r->servers; k++) {
			if (r->server[k].port == ev->server_failed[i].port &&
			    strcmp(r->server[k].host, ev->server_failed[i].host) == 0)
				mask &= ~(1u << k);
		}
	}
	return mask;
}

/* Remember each server's error; the first one, with its server, is for the record. */
static void note_errors(struct dr_route_job *j, const struct dr_spec_route *r, const struct dr_evidence *ev, uint32_t ok,
			const struct dr_error *e, char record[DR_REASON_MAX])
{
	record[0] = '\0';
	same_for_all(j, "");
	for (uint32_t k = 0; k < r->servers && e != NULL; k++) {
		const struct dr_address *at = &r->server[k];
		const char *why = e->msg;
		if ((ok & 1u << k) != 0)
			continue;
		for (uint32_t i = 0; i < DR_ROUTE_SERVERS_MAX; i++) {
			if (ev->server_failed[i].port == at->port && strcmp(ev->server_failed[i].host, at->host) == 0)
				why = ev->server_why[i];
		}
		(void)dr_copy_text(j->why[k], sizeof(j->why[k]), why);
		char line[DR_HOST_MAX + 8 + DR_SERVER_WHY_MAX];
		(void)snprintf(line, sizeof(line), "%s:%u %s", at->host, at->port, j->why[k]);
		if (record[0] == '\0')
			(void)dr_copy_text(record, DR_REASON_MAX, line);
	}
}

static void routed(struct dr_op *op, const struct dr_error *e)
{
	struct dr_route_job *j = op->ctx;
	struct dr_coord *c = j->coord;
	const struct dr_service *s = &c->core->repl.service[j->service];
	struct dr_core_event ev = { .kind = DR_EV_ROUTE, .service = s->spec.name, .route = j->route, .epoch = j->epoch,
				    .servers = servers_of(&s->spec.route[j->route], &op->evidence) };
	char record[DR_REASON_MAX];
	note_errors(j, &s->spec.route[j->route], &op->evidence, ev.servers, e, record);
	ev.text = record;
	j->running = false;
	j->fails = e == NULL ? 0 : j->fails + 1;
	/* What was seen of a route that the spec has changed since says nothing about the new one. */
	if (memcmp(&j->session.target.route, &s->spec.route[j->route], sizeof(s->spec.route[0])) != 0)
		ev.servers = 0;
	if (e != NULL)
		dr_log(DR_LOG_WARN, "route.failed", "service=%s route=%s epoch=%llu servers=%u/%u why=\"%s\"",
		       s->spec.name.s, s->spec.route[j->route].name.s, (unsigned long long)j->epoch,
		       op->evidence.servers_ok, op->evidence.servers_all, e->msg);
	j->closing = true;
	dr_session_close(&j->session, on_session_closed);
	if (ev.servers != 0 && dr_coord_leads(c))
		dr_coord_event(c, &ev);
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
	memset(&t, 0, sizeof(t));
	t.service = s->spec.name;
	t.route = s->spec.route[j->route];
	if (a == NULL || dr_session_open(&j->session, c->loop, a, &t, &e) != DR_OK) {
		dr_log(DR_LOG_ERROR, "route.not_opened", "service=%s route=%s why=\"%s\"", s->spec.name.s, t.route.name.s,
		       a == NULL ? "no adapter" : e.msg);
		j->fails++;
		same_for_all(j, a == NULL ? "no adapter" : e.msg);
		(void)uv_timer_start(&j->retry, on_retry, RETRY_MOST_MS, 0);
		return;
	}
	j->op = (struct dr_op){ .kind = DR_OP_ROUTED, .deadline_ms = DEADLINE_MS, .done = routed, .ctx = j };
	j->op.args.epoch = j->epoch;
	j->op.args.primary_at = j->to;
	j->op.args.plan = s->plan.id;
	j->running = true;
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
		if (j->used && j->wanted && j->service == service && j->route == route)
			return j->why[server];
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
		bool changed = w->wanted && (j->epoch != w->epoch || !j->wanted);
		j->wanted = w->wanted;
		if (!w->wanted) {
			(void)uv_timer_stop(&j->retry);
			if (!j->running && !j->closing)
				j->used = false;
			continue;
		}
		j->epoch = w->epoch;
		j->to = c->core->repl.service[w->service].spec.member[w->holder].address;
		if (changed) {
			j->fails = 0;
			same_for_all(j, "");
			if (j->running)
				dr_session_cancel(&j->session);
			else
				start(j);
		}
	}
}
