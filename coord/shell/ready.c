/* ready.c -- see ready.h. */
#include "coord/shell/ready.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/mem.h"
#include "coord/shell/coord.h"
#include "coord/shell/json.h"
#include "coord/shell/runbook.h"
#include "sys/clock.h"

enum {
	SOON_MAX = 64,             /* services of which something was told just now */
	EVERY_MS = 60000,
	BEAT_NS = 2000000,         /* at once; what is left comes at the next beat, or part of one */
	FRESH_MOST = 64,           /* so many are judged anew for one who asks */
	RATE_MS = 1000,            /* between two looks that a rate is made of, at least */
	PAST_MS = 60000,           /* the past is read again after this, or after a plan's end */
	CERTIFICATE_S = 14 * 86400 /* one that ends sooner is said */
};

static struct {
	struct dr_forecast_room *room;
	struct dr_readiness *of;   /* DR_SERVICES_MAX */
	uint64_t *at_ms;           /* when judged; 0: never */
	struct seen {
		uint64_t position, at_ms; /* of the primary; at_ms 0: never */
		uint64_t rate;            /* since the one before, a second */
		bool known;
	} *seen;
	uint64_t term;             /* in which all that was */
	uint32_t next;
	uint32_t soon[SOON_MAX], soons;
	uint64_t rest;             /* of a service whose turn it is, in parts of EVERY_MS */
	uint64_t beat_ms;
	struct {
		uint64_t at_ms;    /* 0: never */
		struct dr_past past;
	} kind[DR_KIND_COUNT];
} ready;

static void *mapped(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	dr_assert(p != MAP_FAILED);
	return p;
}

void dr_ready_open(struct dr_coord *c)
{
	(void)c;
	ready.room = mapped(sizeof(*ready.room));
	ready.of = mapped(sizeof(*ready.of) * DR_SERVICES_MAX);
	ready.seen = mapped(sizeof(*ready.seen) * DR_SERVICES_MAX);
	ready.at_ms = mapped(sizeof(*ready.at_ms) * DR_SERVICES_MAX);
}

struct dr_forecast_room *dr_ready_room(void)
{
	return ready.room;
}

const struct dr_past *dr_ready_past(struct dr_coord *c, enum dr_kind kind)
{
	uint64_t now = dr_clock_boot_ms();
	uint32_t k = (uint32_t)kind < DR_KIND_COUNT ? (uint32_t)kind : 0;
	if (ready.kind[k].at_ms == 0 || now >= ready.kind[k].at_ms + PAST_MS) {
		dr_past_read(&c->core->repl, kind, &ready.kind[k].past);
		ready.kind[k].at_ms = now;
	}
	return &ready.kind[k].past;
}

/* What only the shell knows: certificates, of those whose session is here. */
static void note_certificates(const struct dr_coord *c, uint32_t ix, struct dr_readiness *r)
{
	int64_t now_s = (int64_t)(dr_clock_wall_ms() / 1000);
	const struct dr_service *s = &c->core->repl.service[ix];
	for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
		const struct dr_watch *w = &c->watch[(size_t)ix * DR_MEMBERS_MAX + m];
		if (s->spec.member[m].name.s[0] == '\0' || w->agent == NULL || !w->agent->open)
			continue;
		int64_t left = w->agent->conn.peer_expires - now_s;
		if (left < CERTIFICATE_S)
			dr_ready_note(r, (struct dr_ready_note){ .reason = DR_REASON_CERTIFICATE_ENDS,
								 .a = left > 0 ? (uint64_t)left / 3600 : 0, .member = m });
	}
	int64_t own = dr_tls_expires(c->tls) - now_s;
	if (own < CERTIFICATE_S)
		dr_ready_note(r, (struct dr_ready_note){ .reason = DR_REASON_CERTIFICATE_ENDS,
							 .a = own > 0 ? (uint64_t)own / 3600 : 0, .member = DR_MEMBER_NONE });
}

/* Of the coordinators elsewhere a majority has to answer, or nobody leads after the loss of the site. */
static void note_coordinators(const struct dr_coord *c, uint32_t ix, struct dr_readiness *r)
{
	const struct dr_repl *repl = &c->core->repl;
	const struct dr_service *s = &repl->service[ix];
	uint32_t all = 0, answer = 0;
	if (s->holder >= DR_MEMBERS_MAX)
		return;
	for (uint32_t i = 0; i < repl->coordinators; i++) {
		const struct dr_coordinator *k = &repl->coordinator[i];
		if (k->name.s[0] == '\0')
			continue;
		all++;
		answer += !dr_name_eq(&k->site, &s->spec.member[s->holder].site) && dr_peers_reachable(c, &k->name) ? 1u : 0u;
	}
	if (2 * answer > all)
		return;
	dr_ready_note(r, (struct dr_ready_note){ .reason = DR_REASON_FEW_COORDINATORS, .a = answer, .b = all,
						 .member = DR_MEMBER_NONE, .blocks = true });
	r->site = DR_READY_NO;
}

static void note_rate(const struct dr_coord *c, uint32_t ix)
{
	const struct dr_service_view *v = &c->core->view.service[ix];
	struct seen *s = &ready.seen[ix];
	if (v->primary_position_ms == 0 || v->primary_position_ms < s->at_ms + RATE_MS)
		return;
	s->known = s->at_ms != 0 && v->primary_position >= s->position;
	if (s->known)
		s->rate = (v->primary_position - s->position) * 1000 / (v->primary_position_ms - s->at_ms);
	s->position = v->primary_position;
	s->at_ms = v->primary_position_ms;
}

bool dr_ready_rate(const struct dr_coord *c, uint32_t service, uint64_t *rate)
{
	(void)c;
	*rate = ready.seen[service].rate;
	return ready.seen[service].known;
}

static void judge(struct dr_coord *c, uint32_t ix)
{
	struct dr_readiness *r = &ready.of[ix];
	dr_ready_judge(c->core, ready.room, ix, dr_ready_past(c, c->core->repl.service[ix].spec.kind), ready.of);
	ready.at_ms[ix] = dr_clock_boot_ms();
	note_rate(c, ix);
	if (r->host == DR_READY_UNKNOWN)
		return;
	note_certificates(c, ix, r);
	note_coordinators(c, ix, r);
	if (dr_runbook_refused(c)[0] != '\0')
		dr_ready_note(r, (struct dr_ready_note){ .reason = DR_REASON_COMMANDS_REFUSED, .member = DR_MEMBER_NONE });
	dr_ready_note_cluster(c, ix, r);
}

/* What was judged in another term is nobody's word any more. */
static void follow_term(const struct dr_coord *c)
{
	if (ready.term == c->core->view.term)
		return;
	ready.term = c->core->view.term;
	for (uint32_t i = 0; i < DR_SERVICES_MAX; i++) {
		if (ready.at_ms[i] == 0)
			continue;
		ready.at_ms[i] = 0;
		memset(&ready.of[i], 0, sizeof(ready.of[i]));
	}
	ready.next = 0;
	ready.beat_ms = 0;
}

/* What happened to a service may change the verdict: it is not left as it was for a minute. */
void dr_ready_event(struct dr_coord *c, const struct dr_event_record *e)
{
	static const enum dr_event_kind telling[] = {
		DR_EVENT_PLAN_OPENED, DR_EVENT_PLAN_CLOSED, DR_EVENT_JOINED,	  DR_EVENT_LEFT,	 DR_EVENT_PAUSED,
		DR_EVENT_RESUMED,     DR_EVENT_MODE,	    DR_EVENT_ROUTE_DONE, DR_EVENT_ROUTE_PARTLY, DR_EVENT_SYNC_CHANGED
	};
	bool tells = false;
	for (uint32_t k = 0; e->kind == DR_EVENT_PLAN_CLOSED && k < DR_KIND_COUNT; k++)
		ready.kind[k].at_ms = 0;
	for (size_t i = 0; i < sizeof(telling) / sizeof(telling[0]); i++)
		tells = tells || telling[i] == e->kind;
	if (!tells || ready.soons == SOON_MAX || !dr_coord_leads(c))
		return;
	uint32_t ix = dr_repl_service_find(&c->core->repl, e->service.s);
	for (uint32_t i = 0; i < ready.soons; i++)
		tells = tells && ready.soon[i] != ix;
	if (tells && ix != DR_SERVICE_NONE)
		ready.soon[ready.soons++] = ix;
}

void dr_ready_beat(struct dr_coord *c)
{
	const struct dr_repl *r = &c->core->repl;
	uint64_t now = dr_clock_boot_ms(), began = dr_clock_boot_ns();
	if (!dr_coord_leads(c) || c->recovering || r->services == 0)
		return;
	follow_term(c);
	/* A new leader has to hear from all first. */
	if (now < c->core->view.led_since_ms + 2 * (uint64_t)r->timing.detect_after_ms)
		return;
	uint64_t passed = ready.beat_ms != 0 && now - ready.beat_ms < EVERY_MS ? now - ready.beat_ms : EVERY_MS;
	uint64_t due = passed * r->services + ready.rest;
	ready.beat_ms = now;
	ready.rest = due % EVERY_MS;
	while (ready.soons > 0 && dr_clock_boot_ns() - began < BEAT_NS) {
		uint32_t ix = ready.soon[--ready.soons];
		if (ix < r->services)
			judge(c, ix);
	}
	for (uint64_t n = due / EVERY_MS; n > 0 && dr_clock_boot_ns() - began < BEAT_NS; n--) {
		if (ready.next >= r->services)
			ready.next = 0;
		judge(c, ready.next++);
	}
}

const struct dr_readiness *dr_ready_of(const struct dr_coord *c, uint32_t service)
{
	bool known = dr_coord_leads(c) && ready.of != NULL && service < DR_SERVICES_MAX && ready.term == c->core->view.term &&
		     ready.at_ms[service] != 0;
	return known ? &ready.of[service] : NULL;
}

bool dr_ready_knows_site(const struct dr_coord *c, const struct dr_name *site)
{
	bool known = false;
	for (uint32_t i = 0; i < c->core->repl.sites; i++)
		known = known || dr_name_eq(&c->core->repl.site[i].name, site);
	return known;
}

static bool is_primary_in(const struct dr_service *s, const struct dr_name *site)
{
	return s->used && s->managed && s->holder < DR_MEMBERS_MAX && dr_name_eq(&s->spec.member[s->holder].site, site);
}

enum dr_ready dr_ready_of_site(const struct dr_coord *c, const struct dr_name *site)
{
	enum dr_ready worst = DR_READY_UNKNOWN;
	for (uint32_t i = 0; i < c->core->repl.services; i++) {
		const struct dr_readiness *r = dr_ready_of(c, i);
		if (r != NULL && is_primary_in(&c->core->repl.service[i], site) && r->site > worst)
			worst = r->site;
	}
	return worst;
}

/* ---- JSON ---- */

/* What numbers do not say, in its agent's words, or our own. */
static const char *detail_of(const struct dr_coord *c, uint32_t ix, const struct dr_ready_note *n)
{
	const struct dr_report *its = n->member < DR_MEMBERS_MAX ? &c->core->view.service[ix].member[n->member].report : NULL;
	if (n->reason == DR_REASON_COMMANDS_REFUSED)
		return dr_runbook_refused(c);
	if (its == NULL)
		return "";
	return n->reason == DR_REASON_ERRANT ? its->errant_ids : n->reason == DR_REASON_CAUTION ? its->caution : "";
}

static json_t *notes_json(const struct dr_coord *c, uint32_t ix, const struct dr_readiness *r)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	json_t *a = json_array();
	for (uint32_t i = 0; i < r->notes; i++) {
		const struct dr_ready_note *n = &r->note[i];
		json_t *o = json_object();
		const char *detail = detail_of(c, ix, n);
		if (n->member < DR_MEMBERS_MAX)
			put_text(o, "member", s->spec.member[n->member].name.s);
		if (detail[0] != '\0')
			put_text(o, "detail", detail);
		put_bool(o, "blocks", n->blocks);
		put_reason(o, n->reason, n->a, n->b);
		(void)json_array_append_new(a, o);
	}
	return a;
}

static enum dr_ready worst_of(const struct dr_readiness *r)
{
	return r->host > r->site ? r->host : r->site;
}

void dr_ready_put(const struct dr_coord *c, uint32_t service, json_t *o)
{
	const struct dr_readiness *r = dr_ready_of(c, service);
	put_text(o, "ready", dr_ready_name(r != NULL ? worst_of(r) : DR_READY_UNKNOWN));
	if (r != NULL && r->notes > 0)
		(void)json_object_set_new(o, "ready_notes", notes_json(c, service, r));
}

static json_t *service_json(const struct dr_coord *c, uint32_t ix)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	const struct dr_readiness *r = dr_ready_of(c, ix);
	json_t *o = json_object();
	put_text(o, "service", s->spec.name.s);
	put_text_or_null(o, "site", s->holder < DR_MEMBERS_MAX ? s->spec.member[s->holder].site.s : "");
	put_text(o, "ready", dr_ready_name(r != NULL ? worst_of(r) : DR_READY_UNKNOWN));
	if (r == NULL)
		return o;
	put_text(o, "if_host_lost", dr_ready_name(r->host));
	put_text(o, "if_site_lost", dr_ready_name(r->site));
	put_u64(o, "rto_host_ms", r->host_ms);
	put_u64(o, "rto_site_ms", r->site_ms);
	put_u64(o, "judged_ms_ago", dr_clock_boot_ms() - ready.at_ms[ix]);
	(void)json_object_set_new(o, "notes", notes_json(c, ix, r));
	return o;
}

json_t *dr_ready_sites_json(const struct dr_coord *c, const struct dr_name *only)
{
	const struct dr_repl *r = &c->core->repl;
	json_t *a = json_array();
	for (uint32_t i = 0; i < r->sites; i++) {
		const struct dr_name *site = &r->site[i].name;
		uint32_t elsewhere, all, primaries = 0;
		if (only != NULL && only->s[0] != '\0' && !dr_name_eq(site, only))
			continue;
		for (uint32_t k = 0; k < r->services; k++)
			primaries += is_primary_in(&r->service[k], site) ? 1u : 0u;
		json_t *o = json_object();
		dr_ready_coordinators(r, site, &elsewhere, &all);
		put_text(o, "site", site->s);
		put_text(o, "ready", primaries > 0 ? dr_ready_name(dr_ready_of_site(c, site)) : 2 * elsewhere > all ? "yes" : "no");
		put_u64(o, "primaries", primaries);
		put_u64(o, "coordinators_elsewhere", elsewhere);
		put_u64(o, "coordinators", all);
		(void)json_array_append_new(a, o);
	}
	return a;
}

static bool is_asked_for(const struct dr_coord *c, uint32_t ix, uint32_t service, const struct dr_name *site)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	if (!s->used || (service != DR_SERVICE_NONE && service != ix))
		return false;
	return site->s[0] == '\0' || is_primary_in(s, site);
}

json_t *dr_ready_json(struct dr_coord *c, uint32_t service, const struct dr_name *site)
{
	const struct dr_repl *r = &c->core->repl;
	json_t *o = json_object(), *services = json_array();
	uint32_t asked = 0;
	enum dr_ready worst = DR_READY_UNKNOWN;
	follow_term(c);
	for (uint32_t i = 0; i < r->services; i++)
		asked += is_asked_for(c, i, service, site) ? 1u : 0u;
	for (uint32_t i = 0; i < r->services; i++) {
		if (!is_asked_for(c, i, service, site))
			continue;
		if (asked <= FRESH_MOST)
			judge(c, i);
		const struct dr_readiness *is = dr_ready_of(c, i);
		enum dr_ready one = is == NULL ? DR_READY_UNKNOWN : site->s[0] != '\0' ? is->site : worst_of(is);
		worst = one > worst ? one : worst;
		(void)json_array_append_new(services, service_json(c, i));
	}
	put_text(o, "ready", dr_ready_name(worst));
	if (service == DR_SERVICE_NONE)
		(void)json_object_set_new(o, "sites", dr_ready_sites_json(c, site));
	(void)json_object_set_new(o, "services", services);
	return o;
}
