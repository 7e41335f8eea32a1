/* probe.c -- what this coordinator sees of every member by itself: fresh connections, and on the primary a write.
 *
 * What it saw is told to all coordinators once a beat, as ages, so that clocks are not compared.  A stall of our own
 * is no silence of theirs: it is added to the starting points of all ages (design.md 5) but the last write's, which is no
 * silence but proof that a server took one after some moment: moved on, an earlier one would prove it. */
#include <stdio.h>
#include <string.h>

#include "coord/shell/coord.h"
#include "proto/frames.h"
#include "base/parse.h"
#include "sys/clock.h"
#include "sys/log.h"

/* So many members a beat's probes are meant for, of the calm and of the others; where there are more, each is asked
 * more rarely. */
enum { CALM_AT_ONCE = 256, RESTLESS_AT_ONCE = 1024 };

/* Perhaps never used: reading takes no memory. */
static struct dr_watch *place_of(struct dr_coord *c, uint32_t service, dr_member_ix m)
{
	return &c->watch[(size_t)service * DR_MEMBERS_MAX + m];
}

struct dr_watch *dr_watch_of(struct dr_coord *c, uint32_t service, dr_member_ix m)
{
	struct dr_watch *w = place_of(c, service, m);
	w->coord = c;
	w->service = service;
	w->member = m;
	return w;
}

bool dr_probe_are_many(const struct dr_coord *c)
{
	return c->watched > CALM_AT_ONCE;
}

static void make_target(const struct dr_spec_service *s, dr_member_ix m, struct dr_target *t)
{
	memset(t, 0, sizeof(*t));
	t->service = s->name;
	t->member = s->member[m].name;
	t->address = s->member[m].address;
	memcpy(t->database, s->database, sizeof(t->database));
	memcpy(t->user, s->user, sizeof(t->user));
	memcpy(t->password_file, s->password_file, sizeof(t->password_file));
	memcpy(t->ca_file, s->ca_file, sizeof(t->ca_file));
}

/* Of what make_target() sets. */
static bool same_target(const struct dr_target *a, const struct dr_target *b)
{
	return dr_name_eq(&a->service, &b->service) && dr_name_eq(&a->member, &b->member) &&
	       a->address.port == b->address.port && strcmp(a->address.host, b->address.host) == 0 &&
	       strcmp(a->database, b->database) == 0 && strcmp(a->user, b->user) == 0 &&
	       strcmp(a->password_file, b->password_file) == 0 && strcmp(a->ca_file, b->ca_file) == 0;
}

static void on_session_closed(struct dr_session *s)
{
	struct dr_watch *w = (struct dr_watch *)(void *)((char *)s - offsetof(struct dr_watch, session));
	w->open = w->closing = false;
}

static void forget(struct dr_watch *w)
{
	w->used = false;
	w->agent_ms = w->server_ms = w->write_ms = 0;
	memset(&w->streak, 0, sizeof(w->streak));
	w->why[0] = '\0';
	dr_agents_silent(w);
	if (w->open && !w->closing) {
		w->closing = true;
		dr_session_close(&w->session, on_session_closed);
	}
}

static void watch(struct dr_coord *c, uint32_t ix, dr_member_ix m)
{
	struct dr_watch *w = dr_watch_of(c, ix, m);
	struct dr_target t;
	struct dr_error e;
	const struct dr_spec_service *s = &c->core->repl.service[ix].spec;
	make_target(s, m, &t);
	bool same = same_target(&t, &w->target);
	if (w->used && same && w->open)
		return;
	if (w->open || w->closing || (w->used && !same)) {
		forget(w);
		return; /* opened anew at the next beat */
	}
	bool again = w->failed && same; /* tried at every beat, said once */
	const struct dr_adapter *a = dr_adapter_find(dr_kind_adapter(s->kind));
	w->target = t;
	if (!w->used) {
		w->since_ms = dr_clock_boot_ms();
		(void)dr_stall_take(&c->stall, &w->stalled_ms);
	}
	w->used = true;
	w->open = a != NULL && dr_target_secrets_in(&t, c->conf.secrets_in, &e) == DR_OK &&
		  dr_session_open(&w->session, c->loop, a, &t, &e) == DR_OK;
	w->failed = !w->open;
	if (w->failed && !again)
		dr_log(DR_LOG_WARN, "probe.not_opened", "service=%s member=%s why=\"%s\"", s->name.s, t.member.s,
		       a == NULL ? "no adapter" : e.msg);
}

/* The services from..to-1: what the spec names is watched, and nothing else.  How many members that is. */
static uint32_t sync_range(struct dr_coord *c, uint32_t from, uint32_t to)
{
	const struct dr_repl *r = &c->core->repl;
	uint32_t n = 0;
	for (uint32_t i = from; i < to; i++) {
		for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
			bool named = i < r->services && r->service[i].used && r->service[i].spec.member[m].name.s[0] != '\0';
			if (named)
				watch(c, i, m);
			else if (place_of(c, i, m)->used)
				forget(place_of(c, i, m));
			n += named ? 1u : 0u;
		}
	}
	return n;
}

/* A spec or a snapshot may have brought more services. */
static void see_services(struct dr_coord *c)
{
	if (c->services_seen < c->core->repl.services)
		c->services_seen = c->core->repl.services;
}

void dr_probe_sync(struct dr_coord *c)
{
	see_services(c);
	c->watched = sync_range(c, 0, c->services_seen);
	c->recounted = true;
}

static void note_write(struct dr_watch *w, const struct dr_op *op, const struct dr_error *e, uint64_t now)
{
	bool write = op->kind == DR_OP_PROBE_WRITE;
	enum dr_failure kind = write ? dr_probe_kind(&op->evidence, e) : DR_FAILURE_NONE;
	const char *why = kind == DR_FAILURE_NONE ? "" : e != NULL ? e->msg : op->evidence.text;
	if (write)
		(void)snprintf(w->why, sizeof(w->why), "%.*s", DR_PROBE_WHY_MAX - 1, why);
	uint64_t from = dr_probe_counts_from(w->probe_ms, now, op->deadline_ms);
	if (dr_probe_streak_note(&w->streak, kind, from, now))
		dr_log(DR_LOG_WARN, "probe.write_failed", "member=%s kind=%s why=\"%s\"", w->target.member.s,
		       dr_failure_name(kind), e != NULL ? e->msg : op->evidence.text);
}

static void probed(struct dr_op *op, const struct dr_error *e)
{
	struct dr_watch *w = op->ctx;
	uint64_t now = dr_clock_boot_ms();
	w->probing = false;
	note_write(w, op, e, now);
	if (!op->evidence.reached)
		return;
	w->server_ms = now;
	w->in_recovery = op->evidence.in_recovery;
	w->position = op->evidence.received;
	if (op->evidence.cluster.masters > 0)
		w->cluster = op->evidence.cluster;
	if (op->evidence.wrote)
		w->write_ms = now;
}

static void probe(struct dr_watch *w)
{
	const struct dr_service *s = &w->coord->core->repl.service[w->service];
	struct dr_error e;
	if (!w->open || w->closing || w->probing)
		return;
	bool primary = s->managed && s->holder == w->member && s->primary_epoch == s->epoch;
	w->op = (struct dr_op){ .kind = primary ? DR_OP_PROBE_WRITE : DR_OP_PROBE, .done = probed, .ctx = w,
				.deadline_ms = dr_probe_streak_deadline_ms(&w->streak, dr_spec_write_stall_ms(&s->spec),
									   w->coord->core->repl.timing.probe_deadline_ms) };
	w->op.args.local_commit = true;
	w->op.args.epoch = primary ? s->epoch : 0;
	w->op.args.system_id = primary ? s->system_id : 0;
	w->probe_ms = dr_clock_boot_ms();
	if (dr_session_start(&w->session, &w->op, &e) == DR_OK)
		w->probing = true;
}

static uint32_t clip(uint64_t ms)
{
	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX - 1;
}

static uint32_t age(uint64_t now, uint64_t at, uint64_t since)
{
	uint64_t from = at != 0 ? at : since;
	return clip(now > from ? now - from : 0);
}

/* While a planned move stops one server and promotes the other, their agents say how they are; new connections from
 * every coordinator would only delay both. */
static bool is_being_moved(const struct dr_service *s)
{
	return s->plan.id != 0 && s->plan.kind == DR_PLAN_SWITCHOVER &&
	       (s->holder == s->plan.old || s->primary_epoch != s->epoch);
}

/* Nothing but the regular is going on with a member whose agent reports as it should. */
static bool is_calm(const struct dr_watch *w, const struct dr_service *s, uint64_t now)
{
	uint64_t probe_ms = w->coord->core->repl.timing.probe_ms;
	bool regular = is_being_moved(s) || (s->plan.id == 0 && s->holder != DR_MEMBER_NONE);
	uint64_t late_ms = dr_probe_are_many(w->coord) ? 2 * probe_ms : probe_ms; /* many reports are seldom all in time */
	return w->agent_ms != 0 && now - w->agent_ms <= late_ms && w->streak.kind == DR_FAILURE_NONE && s->managed && regular &&
	       s->rejoin[w->member].id == 0;
}

/* Silence is the silence of agent and server both, so a server need not be asked often while its agent is heard:
 * a fresh connection is most of what an idle coordinator costs.  Then the holder is asked at every second beat,
 * the standbys at every fourth; and each at every beat from when its agent misses a report, while a plan is
 * open, or nobody holds.  Beyond CALM_AT_ONCE members the calm ones are asked so much more rarely: a server whose
 * writes fail under an agent that is well is then found out later, silence is not. */
static bool due(struct dr_watch *w, uint64_t now)
{
	const struct dr_service *s = &w->coord->core->repl.service[w->service];
	bool holds = s->holder == w->member;
	w->beats++;
	if (!dr_probe_streak_may(&w->streak, dr_spec_write_stall_ms(&s->spec), now))
		return false;
	bool calm = is_calm(w, s, now);
	w->coord->restless += calm ? 0u : 1u;
	uint32_t every = calm ? (holds ? 2 : 4) * (1 + w->coord->watched / CALM_AT_ONCE)
			      : 1 + w->coord->restless_before / RESTLESS_AT_ONCE;
	uint32_t turn = dr_probe_are_many(w->coord) ? w->service : 0; /* not all at the same beat */
	return (w->beats + w->member + turn) % every == 0;
}

/* A moment moved on by our own stall, but never into the future; never (0) stays never. */
static uint64_t later(uint64_t at, uint64_t by, uint64_t now)
{
	if (at == 0)
		return 0;
	return at + by < now ? at + by : now;
}

static struct dr_observation observe(struct dr_watch *w, uint64_t now)
{
	uint64_t stalled_ms = dr_stall_take(&w->coord->stall, &w->stalled_ms);
	w->since_ms = later(w->since_ms, stalled_ms, now);
	w->agent_ms = later(w->agent_ms, stalled_ms, now);
	w->server_ms = later(w->server_ms, stalled_ms, now);
	dr_probe_streak_later(&w->streak, stalled_ms, now);
	const struct dr_spec_service *s = &w->coord->core->repl.service[w->service].spec;
	uint64_t failing_ms = 0;
	enum dr_failure failure = dr_probe_streak_says(&w->streak, dr_spec_write_stall_ms(s), &failing_ms);
	return (struct dr_observation){
		.service = w->service, .member = w->member, .agent_age_ms = age(now, w->agent_ms, w->since_ms),
		.server_age_ms = age(now, w->server_ms, w->since_ms),
		.write_age_ms = w->write_ms != 0 ? age(now, w->write_ms, w->write_ms) : UINT32_MAX,
		.in_recovery = w->in_recovery, .position = w->position, .failure = failure,
		.failing_ms = clip(failing_ms) };
}

/* None is told too: it keeps the connection alive. */
static void tell(struct dr_coord *c, const struct dr_observation *o, uint32_t n)
{
	struct dr_core_event ev = { .kind = DR_EV_OBSERVED, .observer = c->conf.name, .observations = n,
				    .observation = o };
	dr_coord_event(c, &ev);
	struct dr_buf b;
	dr_buf_init(&b, DR_FRAME_MAX);
	dr_observations_encode(&b, o, n);
	if (dr_buf_ok(&b))
		dr_peers_send_all(c, DR_FRAME_OBSERVATIONS, &b);
	dr_buf_close(&b);
}

/* The services from..to-1: their members' ages are told, and who is due is probed. */
static void look_at(struct dr_coord *c, uint32_t from, uint32_t to)
{
	static struct dr_observation o[DR_OBSERVATIONS_MAX];
	uint64_t now = dr_clock_boot_ms();
	uint32_t n = 0;
	for (uint32_t i = from; i < to; i++) {
		for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
			struct dr_watch *w = place_of(c, i, m);
			if (!w->used)
				continue;
			if (n == DR_OBSERVATIONS_MAX) { /* there are more than one message takes */
				tell(c, o, n);
				n = 0;
			}
			o[n++] = observe(w, now);
			if (due(w, now))
				probe(w);
		}
	}
	tell(c, o, n);
}

/* Where a slice begins. */
static uint32_t cut(uint32_t all, uint32_t at, uint32_t slices)
{
	return (uint32_t)((uint64_t)all * at / slices);
}

void dr_probe_slice(struct dr_coord *c, uint32_t at, uint32_t slices)
{
	uint32_t all = c->core->repl.services;
	if (at == 0) {
		c->restless_before = c->restless;
		c->restless = 0;
		see_services(c);
		c->watched_next = 0;
		c->recounted = false;
	}
	c->watched_next += sync_range(c, cut(c->services_seen, at, slices), cut(c->services_seen, at + 1, slices));
	if (at + 1 == slices && !c->recounted)
		c->watched = c->watched_next;
	look_at(c, cut(all, at, slices), cut(all, at + 1, slices));
}
