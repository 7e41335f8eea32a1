/* dns_rfc2136.c -- the adapter for a DNS name, changed by signed dynamic updates (RFC 2136, RFC 8945).
 *
 * A session is one route: a record on one or more servers, each of which takes updates by itself.  Ops:
 *   OBSERVED  every server shows its A, AAAA and marker, authoritatively;
 *   ROUTED    every server shows exactly args.primary_at.host as the record, and a marker of args.epoch
 *             (args.plan and args.step stand in the marker for people).
 * evidence: reached, route, text.  This file runs
 * the servers side by side (server.c) and puts their results together; partly done is an error with evidence. */
#include "adapters/adapter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "adapters/dns_rfc2136/server.h"
#include "base/assert.h"
#include "base/parse.h"

enum { EXCHANGE_MIN_MS = 50, EXCHANGE_MAX_MS = 1500, BUDGET_MARGIN_MIN_MS = 10, BUDGET_MARGIN_MAX_MS = 200 };

static enum dr_err dns_open(struct dr_session *s, struct dr_error *e)
{
	struct dr_dns *d = s->own;
	const struct dr_spec_route *r = &s->target.route;
	struct sockaddr_in6 ignored;

	if (r->kind != DR_ROUTE_DNS_RFC2136)
		return dr_fail(e, DR_E_INVALID, "the target is no dns_rfc2136 route");
	if (r->servers == 0 || r->servers > DR_ROUTE_SERVERS_MAX)
		return dr_fail(e, DR_E_INVALID, "route %s has no server, or over %d", r->name.s,
			       DR_ROUTE_SERVERS_MAX);
	for (unsigned i = 0; i < r->servers; i++) {
		const struct dr_address *a = &r->server[i];
		if (a->port == 0 || (uv_ip4_addr(a->host, a->port, (struct sockaddr_in *)&ignored) != 0 &&
				     uv_ip6_addr(a->host, a->port, &ignored) != 0))
			return dr_fail(e, DR_E_INVALID, "route %s: \"%s\" is no address literal", r->name.s,
				       a->host);
	}
	if (dr_dns_route_names(&d->route, r, e) != DR_OK ||
	    dr_tsig_key_load(&d->key, r->tsig_key, r->tsig_algorithm, r->tsig_secret_file, e) != DR_OK)
		return dr_wrap(e, "route %s", r->name.s);

	d->session = s;
	d->servers = r->servers;
	(void)uv_timer_init(s->loop, &d->budget);
	d->budget.data = d;
	d->handles = 1;
	for (unsigned i = 0; i < d->servers; i++) {
		struct dr_dns_server *sv = &d->server[i];
		sv->dns = d;
		sv->at = r->server[i];
		(void)uv_timer_init(s->loop, &sv->timer);
		sv->timer.data = sv;
		d->handles++;
	}
	return DR_OK;
}

static int address_text(const struct dr_address *a, char *out, size_t cap)
{
	return snprintf(out, cap, strchr(a->host, ':') != NULL ? "[%s]:%u" : "%s:%u", a->host, a->port);
}

static void fill_evidence(const struct dr_dns *d, struct dr_evidence *ev)
{
	size_t at = 0;
	char shows[DR_REASON_MAX];
	char where[DR_HOST_MAX + 16];
	unsigned failed = 0;

	ev->route.all = d->servers;
	for (unsigned i = 0; i < d->servers; i++) {
		const struct dr_dns_server *sv = &d->server[i];
		if (sv->ok) {
			ev->route.ok++;
		} else {
			const char *why = sv->why.code != DR_OK ? sv->why.msg : "no answer yet";
			(void)dr_copy_text(ev->route.why[failed], sizeof(ev->route.why[0]), why);
			ev->route.failed[failed++] = sv->at;
		}
		if (sv->answered && (!ev->reached || sv->shown.marker_epoch < ev->route.epoch))
			ev->route.epoch = sv->shown.marker_epoch;
		ev->reached = ev->reached || sv->answered;
		if (sv->answered)
			dr_dns_seen_text(&sv->shown, shows, sizeof(shows));
		(void)address_text(&sv->at, where, sizeof(where));
		if (at < sizeof(ev->text))
			at += (size_t)snprintf(ev->text + at, sizeof(ev->text) - at, "%s%s: %s",
					       at > 0 ? "; " : "", where, sv->answered ? shows : "no answer");
	}
}

/* Which of several servers' errors gives the op its code: what out-of-date orders must hear first, then
 * what somebody has to change, then what another try may heal. */
static unsigned weight(enum dr_err code)
{
	switch (dr_err_class(code)) {
	case DR_CLASS_FENCED:
		return 3;
	case DR_CLASS_USER:
		return 2;
	default:
		return 1;
	}
}

static bool gather_errors(const struct dr_dns *d, uint32_t ok, struct dr_error *e)
{
	enum dr_err code = DR_OK;
	char where[DR_HOST_MAX + 16];
	char text[DR_ERROR_MSG_MAX];
	size_t at = 0;
	for (unsigned i = 0; i < d->servers; i++) {
		const struct dr_dns_server *sv = &d->server[i];
		if (sv->ok)
			continue;
		if (code == DR_OK || weight(sv->why.code) > weight(code))
			code = sv->why.code;
		/* Each failed server gets its share of the line. */
		size_t end = sizeof(text) * (i + 1) / d->servers;
		(void)address_text(&sv->at, where, sizeof(where));
		if (at < end)
			at += (size_t)snprintf(text + at, end - at, "; %s %s", where, sv->why.msg);
		if (at >= end)
			at = end - 1;
	}
	if (code == DR_OK)
		return false;
	(void)dr_fail(e, code, "%s on %u of %u servers%.440s", d->session->target.route.record, ok,
		      d->servers, text);
	return true;
}

static void stop_all(struct dr_dns *d)
{
	(void)uv_timer_stop(&d->budget);
	for (unsigned i = 0; i < d->servers; i++)
		dr_dns_server_drop(&d->server[i]);
	d->running = 0;
	d->op = NULL;
}

void dr_dns_server_ended(struct dr_dns_server *sv)
{
	struct dr_dns *d = sv->dns;
	struct dr_op *op = d->op;
	struct dr_error e;

	dr_assert(d->running > 0);
	if (--d->running > 0)
		return;
	fill_evidence(d, &op->evidence);
	bool failed = gather_errors(d, op->evidence.route.ok, &e);
	stop_all(d);
	dr_op_finish(op, failed ? &e : NULL);
}

static void on_budget(uv_timer_t *t)
{
	struct dr_dns *d = t->data;
	for (unsigned i = 0; i < d->servers; i++)
		dr_dns_server_give_up(&d->server[i]);
}

static uint32_t clamp(uint32_t v, uint32_t low, uint32_t high)
{
	return v < low ? low : v > high ? high : v;
}

static enum dr_err dns_start(struct dr_session *s, struct dr_op *op, struct dr_error *e)
{
	struct dr_dns *d = s->own;
	uint32_t whole = op->deadline_ms;
	uint32_t margin = clamp(whole / 10, BUDGET_MARGIN_MIN_MS, BUDGET_MARGIN_MAX_MS);

	if (op->kind == DR_OP_ROUTED) {
		enum dr_err rv = dr_dns_route_want(&d->route, op->args.primary_at.host, op->args.epoch,
						   op->args.plan, op->args.step, e);
		if (rv != DR_OK)
			return dr_wrap(e, "route %s", s->target.route.name.s);
	}
	d->op = op;
	d->highest = 0;
	d->exchange_ms = clamp(whole / 4, EXCHANGE_MIN_MS, EXCHANGE_MAX_MS);
	d->running = d->servers;
	(void)uv_timer_start(&d->budget, on_budget, whole > margin ? whole - margin : 1, 0);
	for (unsigned i = 0; i < d->servers; i++)
		dr_dns_server_begin(&d->server[i]);
	return DR_OK;
}

static void dns_cancel(struct dr_session *s, struct dr_op *op)
{
	struct dr_dns *d = s->own;
	if (d->op == NULL)
		return;
	fill_evidence(d, &op->evidence);
	stop_all(d);
}

void dr_dns_handle_gone(void *dns)
{
	struct dr_dns *d = dns;
	dr_assert(d->handles > 0);
	if (--d->handles == 0) {
		dr_tsig_key_close(&d->key);
		dr_session_closed(d->session);
	}
}

static void on_timer_closed(uv_handle_t *h)
{
	struct dr_dns_server *sv = h->data;
	dr_dns_handle_gone(sv->dns);
}

static void on_budget_closed(uv_handle_t *h)
{
	dr_dns_handle_gone(h->data);
}

static void dns_close(struct dr_session *s)
{
	struct dr_dns *d = s->own;
	dr_assert(d->op == NULL);
	for (unsigned i = 0; i < d->servers; i++)
		uv_close((uv_handle_t *)&d->server[i].timer, on_timer_closed);
	uv_close((uv_handle_t *)&d->budget, on_budget_closed);
}

const struct dr_adapter dr_dns_rfc2136_adapter = {
	.name = "dns_rfc2136",
	.own_size = sizeof(struct dr_dns),
	.open = dns_open,
	.start = dns_start,
	.cancel = dns_cancel,
	.close = dns_close,
	.can = { [DR_OP_OBSERVED] = true, [DR_OP_ROUTED] = true },
};
