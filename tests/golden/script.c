/* script.c -- the scenario language: one command a line, its transcript below it.
 *
 *   cluster members=3 coordinators=3 profile=metro kind=postgres durability=sync k=1 set=1 when_alone=continue route=true
 *           pooler=false manual=false rpo=N
 *           cooldown=MS restart_within=MS alone_after=MS moves=N within=MS (makes the world; first)
 *           services=N groups=N.N... stays=SERVICE (all in the first site): orders, stock, carts, news
 *   adopt | mute | unmute | verbose | run MS | until EVENT [MS] | leader C | show
 *   kill | start server|agent|guard|node|coordinator|site NAME        (start server: as a standby)
 *   cut SITE | heal SITE | cut-way FROM TO | heal-way FROM TO
 *   request VERB [site=SITE] [to=M] [plan=N] [force] [accept-loss] [assert-fenced] [id=N] [version=N] [refused=REASON]
 *   spec add M SITE | spec remove M | spec restore M | spec KEY VALUE           (then: request apply)
 *   fail M ORDER N | hang M ORDER on|off | hold M on|off | writes M on|off [KIND] | diverge M rewind|clone | forget M (its agent)
 *   lose M N | data M on|off (a server that comes back with less; off: its data is another service's) | leave M (whom it follows)
 *   errant M N (of its own) | undo-sync M (as primary it waits for nobody) | deaf M MS (so long its agent hears nobody who leads)
 *   routes on|off | holds on|off | jump M | elections on|off | commit MS (from append to commit, from now on)
 *   order M ORDER number=N epoch=N | grant M id=last|N epoch=N ttl=MS    (straight to the agent)
 *   expect healthy | expect KEY=VALUE...                       (see expect_one; SERVICE=MEMBER: its primary)
 *   allow-loss */
#include "tests/world/runbook.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"

enum { WORDS_MAX = 16, LINE_MAX = 512 };

struct script {
	struct world *w;
	FILE *out;
	char *word[WORDS_MAX];
	uint32_t words;
	uint32_t wrong;
	bool started;
};

static void wrong(struct script *s, const char *what)
{
	(void)fprintf(s->out, "\t       WRONG %s\n", what);
	s->wrong++;
}

static uint64_t number(const char *text)
{
	return text != NULL ? strtoull(text, NULL, 10) : 0;
}

/* The value of key=value among the words; NULL. */
static const char *value(const struct script *s, const char *key)
{
	size_t n = strlen(key);
	for (uint32_t i = 1; i < s->words; i++) {
		if (strncmp(s->word[i], key, n) == 0 && s->word[i][n] == '=')
			return s->word[i] + n + 1;
	}
	return NULL;
}

static bool flag(const struct script *s, const char *word)
{
	for (uint32_t i = 1; i < s->words; i++)
		if (strcmp(s->word[i], word) == 0)
			return true;
	return false;
}

static uint64_t number_or(const struct script *s, const char *key, uint64_t otherwise)
{
	return value(s, key) != NULL ? number(value(s, key)) : otherwise;
}

static bool value_is(const struct script *s, const char *key, const char *want)
{
	const char *v = value(s, key);
	return v != NULL && strcmp(v, want) == 0;
}

static const char *word(const struct script *s, uint32_t i)
{
	return i < s->words ? s->word[i] : "";
}

static bool on(const struct script *s, uint32_t i)
{
	return strcmp(word(s, i), "on") == 0;
}

static void do_cluster(struct script *s)
{
	struct w_options o = w_defaults();
	struct w_service_options *v = &o.service[0];
	o.coordinators = (uint32_t)number_or(s, "coordinators", o.coordinators);
	v->members = (uint32_t)number_or(s, "members", v->members);
	if (value(s, "profile") != NULL)
		o.profile = value(s, "profile");
	if (value_is(s, "kind", "redis"))
		v->kind = DR_KIND_REDIS;
	if (value_is(s, "kind", "mariadb"))
		v->kind = DR_KIND_MARIADB;
	for (enum dr_durability d = DR_DURABILITY_SYNC; d < DR_DURABILITY_COUNT; d++)
		v->durability = value_is(s, "durability", dr_durability_name(d)) ? d : v->durability;
	v->k = (uint32_t)number_or(s, "k", v->k);
	v->set_max = (uint32_t)number_or(s, "set", v->set_max);
	if (value_is(s, "when_alone", "block"))
		v->when_alone = DR_ALONE_BLOCK;
	v->manual = value_is(s, "manual", "true");
	v->route = !value_is(s, "route", "false");
	v->pooler = value_is(s, "pooler", "true");
	v->rpo = number_or(s, "rpo", v->rpo);
	o.automatic_moves = (uint32_t)number_or(s, "moves", o.automatic_moves);
	o.moves_within_ms = (uint32_t)number_or(s, "within", o.moves_within_ms);
	v->cooldown_ms = (uint32_t)number_or(s, "cooldown", v->cooldown_ms);
	v->restart_within_ms = (uint32_t)number_or(s, "restart_within", v->restart_within_ms);
	v->alone_after_ms = (uint32_t)number_or(s, "alone_after", v->alone_after_ms);
	o.services = (uint32_t)number_or(s, "services", 1);
	const char *groups = value(s, "groups") != NULL ? value(s, "groups") : "";
	for (uint32_t i = 0; i < o.services && i < W_SERVICES_MAX; i++) {
		o.service[i] = *v;
		o.service[i].at_home = value_is(s, "stays", w_service_name(i));
		o.service[i].group = (uint32_t)number(groups);
		groups += strcspn(groups, ".") + (strchr(groups, '.') != NULL ? 1 : 0);
	}
	s->w = w_new(&o, s->out);
}

static void site(struct world *w, uint32_t site_ix, bool up)
{
	w_cut(w, site_ix, !up);
	for (uint32_t i = 0; i < w->members; i++) {
		if (w->m[i].site == site_ix)
			w_node(w, i, up);
	}
	for (uint32_t i = 0; i < w->coords; i++) {
		if (w->c[i].site == site_ix)
			(up ? w_coord_start : w_coord_kill)(w, i);
	}
}

static void do_kill(struct script *s, bool kill)
{
	struct world *w = s->w;
	const char *what = word(s, 1);
	uint32_t m = w_member_find(w, word(s, 2));
	uint32_t c = w_coord_find(w, word(s, 2));
	uint32_t at = w_site_find(w, word(s, 2));
	if (strcmp(what, "coordinator") == 0 && c < w->coords)
		(kill ? w_coord_kill : w_coord_start)(w, c);
	else if (strcmp(what, "site") == 0 && at < w->sites)
		site(w, at, !kill);
	else if (m >= w->members)
		wrong(s, "no such thing");
	else if (strcmp(what, "server") == 0 && kill)
		w_server_set(w, m, DR_SERVER_STOPPED, true);
	else if (strcmp(what, "server") == 0)
		w_server_start_standby(w, m);
	else if (strcmp(what, "agent") == 0)
		(kill ? w_agent_kill : w_agent_start)(w, m);
	else if (strcmp(what, "guard") == 0)
		(kill ? w_guard_kill : w_guard_back)(w, m);
	else if (strcmp(what, "node") == 0)
		w_node(w, m, !kill);
	else
		wrong(s, "kill what?");
}

static void do_cut(struct script *s, bool cut, bool one_way)
{
	struct world *w = s->w;
	uint32_t a = w_site_find(w, word(s, 1));
	uint32_t b = w_site_find(w, word(s, 2));
	if (a >= w->sites || (one_way && b >= w->sites)) {
		wrong(s, "no such site");
		return;
	}
	if (one_way)
		w->cut[a][b] = cut;
	else
		w_cut(w, a, cut);
	w_cut_changed(w);
	if (!cut)
		w_healed(w);
}

static void do_leader(struct script *s)
{
	struct world *w = s->w;
	uint32_t c = w_coord_find(w, word(s, 1));
	if (c >= w->coords) {
		wrong(s, "no such coordinator");
		return;
	}
	w->prefer = (int)c;
	if (w->leader == (int)c)
		return;
	if (w->leader >= 0) {
		struct dr_core_event ev = { .kind = DR_EV_ROLE, .term = w->term };
		uint32_t old = (uint32_t)w->leader;
		w->c[old].raft_leads = false;
		w->leader = -1;
		w_coord_event(w, old, &ev);
	}
	w_elect(w);
}

static enum dr_order_kind order_kind(const char *text)
{
	for (int i = 1; i < DR_ORDER_MAX; i++) {
		if (strcmp(dr_order_name((enum dr_order_kind)i), text) == 0)
			return (enum dr_order_kind)i;
	}
	return DR_ORDER_NONE;
}

static const struct {
	const char *word;
	enum dr_request_kind kind;
} verbs[] = { { "failover", DR_REQ_FAILOVER }, { "switchover", DR_REQ_SWITCHOVER },
	      { "approve", DR_REQ_APPROVE },   { "abort", DR_REQ_ABORT },
	      { "pause", DR_REQ_PAUSE },       { "resume", DR_REQ_RESUME },
	      { "fence", DR_REQ_FENCE },       { "unfence", DR_REQ_UNFENCE },
	      { "adopt", DR_REQ_ADOPT },       { "observe", DR_REQ_OBSERVE },
	      { "apply", DR_REQ_APPLY },       { "failback", DR_REQ_FAILBACK },
	      { "member-fenced", DR_REQ_MEMBER_FENCED } };

static uint64_t open_plan(const struct script *s)
{
	const struct dr_service *v = w_repl(s->w, 0);
	for (uint32_t i = 0; v != NULL && v->plan.id == 0 && i < DR_MEMBERS_MAX; i++) {
		if (v->rejoin[i].id != 0)
			return v->rejoin[i].id;
	}
	return v != NULL ? v->plan.id : 0;
}

static void do_request(struct script *s)
{
	struct world *w = s->w;
	struct dr_request q = { .id = number_or(s, "id", 0),
				.force = flag(s, "force"),
				.accept_loss = flag(s, "accept-loss"),
				.assert_fenced = flag(s, "assert-fenced") };
	size_t v = 0;
	while (v < sizeof(verbs) / sizeof(verbs[0]) && strcmp(verbs[v].word, word(s, 1)) != 0)
		v++;
	if (v == sizeof(verbs) / sizeof(verbs[0])) {
		wrong(s, "no such verb");
		return;
	}
	q.kind = verbs[v].kind;
	q.plan = number_or(s, "plan", open_plan(s));
	dr_assert(dr_name_set(&q.actor, "anna"));
	dr_assert(dr_name_set(&q.service, value(s, "service") != NULL ? value(s, "service") : "orders"));
	if (value(s, "site") != NULL)
		dr_assert(dr_name_set(&q.site, value(s, "site")));
	if (value(s, "to") != NULL)
		(void)dr_name_set(&q.member, value(s, "to"));
	if (value(s, "for") != NULL)
		q.until_wall_ms = w->wall0 + w->now + number(value(s, "for"));
	if (q.kind == DR_REQ_APPLY) {
		q.spec = w_spec_copy(w);
		q.version =
		    number_or(s, "version", w->leader >= 0 ? w->c[w->leader].core->repl.spec_version : 0);
	}
	enum dr_reason r = w_request(w, &q);
	if (strcmp(dr_reason_name(r), value(s, "refused") != NULL ? value(s, "refused") : "none") != 0)
		wrong(s, dr_reason_name(r));
}

static void add_member(struct script *s)
{
	struct world *w = s->w;
	uint32_t m = w->members;
	uint32_t at = w_site_find(w, word(s, 3));
	if (m >= DR_MEMBERS_MAX || at >= w->sites || w->services > 1) {
		wrong(s, "no such site, or too many members or services");
		return;
	}
	struct dr_spec_member *sm = &w->service[0].member[m];
	dr_assert(dr_name_set(&sm->name, word(s, 2)));
	sm->site = w->spec.site[at].name;
	(void)snprintf(sm->address.host, sizeof(sm->address.host), "10.%u.0.20", m + 1);
	sm->address.port = 5432;
	sm->priority = m + 1;
	w->members++;
	w->s[0].members++; /* the only service that a script has */
	w->m[m].ix = (dr_member_ix)m;
	w->m[m].name = sm->name;
	w->m[m].address = sm->address;
	w->m[m].site = at;
	w->m[m].guard = true;
	w->m[m].divergence = DR_DIVERGENCE_CLONE;
	w_server_init(w, m, false);
	w->m[m].server.state = DR_SERVER_STOPPED;
	w_agent_start(w, m);
}

static void do_spec(struct script *s)
{
	struct world *w = s->w;
	const char *key = word(s, 1);
	uint32_t m = w_member_find(w, word(s, 2));
	if (strcmp(key, "add") == 0)
		add_member(s);
	else if (strcmp(key, "remove") == 0 && m < w->members)
		memset(&w->service[0].member[m].name, 0, sizeof(w->service[0].member[m].name));
	else if (strcmp(key, "restore") == 0 && m < w->members)
		w->service[0].member[m].name = w->m[m].name;
	else if (strcmp(key, "ttl") == 0)
		w->spec.timing.ttl_ms = (uint32_t)number(word(s, 2));
	else if (strcmp(key, "profile") == 0 && dr_timing_profile(word(s, 2)) != NULL)
		w->spec.timing = *dr_timing_profile(word(s, 2));
	else if (strcmp(key, "priority") == 0 && w_member_find(w, word(s, 2)) < w->members)
		w->service[0].member[m].priority = (uint32_t)number(word(s, 3));
	else if (strcmp(key, "set") == 0)
		w->service[0].sync_set_max = (uint32_t)number(word(s, 2));
	else if (strcmp(key, "errant") == 0)
		w->service[0].errant = strcmp(word(s, 2), "allow") == 0 ? DR_ERRANT_ALLOW : DR_ERRANT_BLOCK;
	else if (strcmp(key, "k") == 0)
		w->service[0].sync_k = (uint32_t)number(word(s, 2));
	else if (strcmp(key, "runbook") == 0)
		w_runbook_words(w, word(s, 2), word(s, 3), word(s, 4));
	else
		wrong(s, "no such key");
}

/* writes M on|off [KIND]: how they fail, by its word in model/failures.def. */
static void block_writes(struct script *s, struct w_server *server)
{
	server->acks_blocked = !on(s, 2);
	server->failure = DR_FAILURE_NONE;
	for (unsigned f = 1; f < DR_FAILURE_MAX; f++)
		if (strcmp(dr_failure_name((enum dr_failure)f), word(s, 3)) == 0)
			server->failure = (enum dr_failure)f;
}

static void do_member(struct script *s)
{
	struct world *w = s->w;
	uint32_t m = w_member_find(w, word(s, 1));
	const char *what = word(s, 0);
	if (m >= w->members) {
		wrong(s, "no such member");
		return;
	}
	if (strcmp(what, "fail") == 0)
		w->m[m].fail[order_kind(word(s, 2))] = (uint32_t)number(word(s, 3));
	else if (strcmp(what, "hang") == 0)
		w->m[m].mute[order_kind(word(s, 2))] = on(s, 3);
	else if (strcmp(what, "errant") == 0)
		w->m[m].server.errant = (uint32_t)number(word(s, 2));
	else if (strcmp(what, "undo-sync") == 0)
		w_server_undo_sync(w, m);
	else if (strcmp(what, "hold") == 0)
		w->m[m].server.held = on(s, 2);
	else if (strcmp(what, "lose") == 0 && w->m[m].server.n >= number(word(s, 2)))
		w->m[m].server.n -= (uint32_t)number(word(s, 2)); /* of what it had when it stopped */
	else if (strcmp(what, "leave") == 0)
		w->m[m].server.upstream = DR_MEMBER_NONE;
	else if (strcmp(what, "deaf") == 0)
		w->m[m].deaf_until = w->now + number(word(s, 2));
	else if (strcmp(what, "data") == 0)
		w->m[m].server.other_data = on(s, 2) ? 0 : 1;
	else if (strcmp(what, "writes") == 0)
		block_writes(s, &w->m[m].server);
	else if (strcmp(what, "diverge") == 0)
		w->m[m].divergence = strcmp(word(s, 2), "clone") == 0 ? DR_DIVERGENCE_CLONE : DR_DIVERGENCE_REWIND;
	else if (strcmp(what, "forget") == 0) {
		w_agent_kill(w, m);
		memset(&w->m[m].journal, 0, sizeof(w->m[m].journal));
		w->m[m].high_seen = w->m[m].high_epoch = w->m[m].told_done = 0;
	} else if (strcmp(what, "jump") == 0) {
		struct dr_agent_event ev = { .kind = DR_AG_CLOCK_JUMPED };
		w_agent_event(w, m, &ev);
	}
}

static void do_straight(struct script *s, bool order)
{
	struct world *w = s->w;
	uint32_t m = w_member_find(w, word(s, 1));
	if (m >= w->members || !w->m[m].alive) {
		wrong(s, "no such agent");
		return;
	}
	struct dr_agent_core *core = &w->m[m].core;
	struct dr_order o = { .core = { .kind = order_kind(word(s, 2)),
					.number = number_or(s, "number", 0),
					.epoch = number_or(s, "epoch", core->journal.epoch),
					.target = DR_MEMBER_NONE } };
	struct dr_agent_event ev = { .kind = order ? DR_AG_ORDER : DR_AG_GRANT,
				     .order = &o,
				     .epoch = number_or(s, "epoch", core->journal.epoch),
				     .id = value_is(s, "id", "last") ? core->renewal_last
								     : number_or(s, "id", 0),
				     .ttl_ms = (uint32_t)number_or(s, "ttl", 1500) };
	uint64_t before = core->lease_until_ms;
	w_agent_event(w, m, &ev);
	if (!order)
		w_say(w, "%s lease %s", w_member_name(w, m),
		      core->lease_until_ms != before ? "moved" : "as before");
}

/* One KEY=VALUE that must hold now. */
static bool expect_one(struct script *s, const char *key, const char *want, char *got, size_t cap)
{
	struct world *w = s->w;
	const struct dr_service *v = w_repl(w, 0);
	uint32_t m = w_member_find(w, key);
	if (strcmp(key, "primary") == 0)
		(void)snprintf(got, cap, "%s", v->primary_epoch == v->epoch ? w_member_name(w, v->holder) : "-");
	else if (strcmp(key, "holder") == 0)
		(void)snprintf(got, cap, "%s", w_member_name(w, v->holder));
	else if (strcmp(key, "epoch") == 0)
		(void)snprintf(got, cap, "%llu", (unsigned long long)v->epoch);
	else if (strcmp(key, "plan") == 0 && v->plan.id == 0)
		(void)snprintf(got, cap, "none");
	else if (strcmp(key, "plan") == 0)
		(void)snprintf(got, cap, "%s/%s", dr_plan_name(v->plan.kind),
			       dr_step_name(v->plan.step[v->plan.at]));
	else if (strcmp(key, "asks") == 0)
		(void)snprintf(got, cap, "%s",
			       v->plan.state == DR_PLAN_ASKING ? dr_reason_name(v->plan.ask) : "no");
	else if (strcmp(key, "set") == 0)
		(void)snprintf(got, cap, "%u/%u", v->sync.k, v->sync.set);
	else if (strcmp(key, "leader") == 0)
		(void)snprintf(got, cap, "%s", w->leader >= 0 ? w->c[w->leader].name : "-");
	else if (strcmp(key, "gap") == 0)
		return w->s[0].acked_gap <= number(want)
			   ? true : (snprintf(got, cap, "%llu", (unsigned long long)w->s[0].acked_gap), false);
	else if (strcmp(key, "acks") == 0)
		(void)snprintf(got, cap, "%s", w->s[0].acked_at + 200 >= w->now ? "yes" : "no");
	else if (m < w->members)
		(void)snprintf(got, cap, "%s", dr_server_state_name(w->m[m].server.state));
	else if (w_service_find(w, key) < w->services)
		(void)snprintf(got, cap, "%s", w_primary_name(w, w_service_find(w, key)));
	else
		(void)snprintf(got, cap, "no such key");
	return strcmp(got, want) == 0;
}

static void do_expect(struct script *s)
{
	char got[256];
	if (flag(s, "healthy")) {
		if (!w_healthy(s->w, got, sizeof(got)))
			wrong(s, got);
		return;
	}
	for (uint32_t i = 1; i < s->words; i++) {
		char *eq = strchr(s->word[i], '=');
		if (eq == NULL) {
			wrong(s, "expect KEY=VALUE");
			return;
		}
		*eq = '\0';
		if (!expect_one(s, s->word[i], eq + 1, got, sizeof(got)))
			wrong(s, got);
		*eq = '=';
	}
}

static void do_until(struct script *s)
{
	struct world *w = s->w;
	uint64_t end = w->now + (s->words > 2 ? number(word(s, 2)) : 60000);
	uint64_t from = w->events_printed;
	while (w->now < end) {
		w_run(w, 1);
		for (; from < w->events_printed; from++) {
			for (uint32_t i = 0; i < w->coords; i++) {
				if (w->c[i].core == NULL)
					continue;
				const struct dr_event_record *e =
				    dr_repl_event(&w->c[i].core->repl, from + 1);
				if (e != NULL && strcmp(dr_event_name(e->kind), word(s, 1)) == 0)
					return;
			}
		}
	}
	wrong(s, "it never came");
}

static void do_show(struct script *s)
{
	struct world *w = s->w;
	const struct dr_service *v = w_repl(w, 0);
	FILE *was = w->out;
	w->out = s->out;
	w_say(w, "epoch %llu holder %s last %s sync any %u of %u%s, %u acknowledged, longest gap %llu ms",
	      (unsigned long long)v->epoch, w_member_name(w, v->holder), w_member_name(w, v->last_holder),
	      v->sync.k, v->sync.set, v->sync_joint ? " (joint)" : "", w->s[0].acked_total,
	      (unsigned long long)w->s[0].acked_gap);
	for (uint32_t m = 0; m < w->members; m++) {
		const struct dr_agent_journal *j = &w->m[m].journal;
		w_say(w, "%s %s tl=%u n=%u agent %s %s epoch=%llu seen=#%llu joined=%llu",
		      w_member_name(w, m), dr_server_state_name(w->m[m].server.state),
		      w->m[m].server.timeline, w->m[m].server.n, w->m[m].alive ? "up" : "down",
		      dr_member_role_name(j->role), (unsigned long long)j->epoch,
		      (unsigned long long)j->order_seen, (unsigned long long)v->member[m].joined_epoch);
	}
	w->out = was;
}

static void execute(struct script *s)
{
	struct world *w = s->w;
	const char *verb = word(s, 0);
	if (strcmp(verb, "run") == 0)
		w_run(w, number(word(s, 1)));
	else if (strcmp(verb, "start-cluster") == 0)
		w_start(w);
	else if (strcmp(verb, "adopt") == 0) {
		if (!w_adopt(w))
			wrong(s, "not adopted");
	} else if (strcmp(verb, "mute") == 0 || strcmp(verb, "unmute") == 0)
		w->out = strcmp(verb, "mute") == 0 ? NULL : s->out;
	else if (strcmp(verb, "verbose") == 0)
		w->verbose = true;
	else if (strcmp(verb, "until") == 0)
		do_until(s);
	else if (strcmp(verb, "leader") == 0)
		do_leader(s);
	else if (strcmp(verb, "show") == 0)
		do_show(s);
	else if (strcmp(verb, "kill") == 0)
		do_kill(s, true);
	else if (strcmp(verb, "start") == 0)
		do_kill(s, false);
	else if (strcmp(verb, "cut") == 0)
		do_cut(s, true, false);
	else if (strcmp(verb, "heal") == 0)
		do_cut(s, false, false);
	else if (strcmp(verb, "cut-way") == 0)
		do_cut(s, true, true);
	else if (strcmp(verb, "heal-way") == 0)
		do_cut(s, false, true);
	else if (strcmp(verb, "request") == 0)
		do_request(s);
	else if (strcmp(verb, "spec") == 0)
		do_spec(s);
	else if (strcmp(verb, "order") == 0)
		do_straight(s, true);
	else if (strcmp(verb, "grant") == 0)
		do_straight(s, false);
	else if (strcmp(verb, "expect") == 0)
		do_expect(s);
	else if (strcmp(verb, "allow-loss") == 0)
		w->loss_allowed = true;
	else if (strcmp(verb, "routes") == 0)
		w->routes_stuck = !on(s, 1);
	else if (strcmp(verb, "holds") == 0)
		w->holds_stuck = !on(s, 1);
	else if (strcmp(verb, "commit") == 0)
		w->commit_ms = (uint32_t)number(word(s, 1));
	else if (strcmp(verb, "elections") == 0)
		w->no_election = !on(s, 1);
	else
		do_member(s);
}

static void run_line(struct script *s, char *line)
{
	s->words = 0;
	char *rest = NULL;
	for (char *t = strtok_r(line, " \n", &rest); t != NULL && s->words < WORDS_MAX;
	     t = strtok_r(NULL, " \n", &rest))
		s->word[s->words++] = t;
	if (s->words == 0)
		return;
	if (strcmp(s->word[0], "cluster") == 0)
		do_cluster(s);
	else if (s->w == NULL)
		wrong(s, "a script begins with its cluster");
	else
		execute(s);
}

bool w_script(const char *path, FILE *out)
{
	struct script s = { .out = out };
	char line[LINE_MAX];
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (line[0] == '\t')
			continue; /* the transcript as it was */
		(void)fputs(line, out);
		char *note = strchr(line, '#');
		if (note != NULL)
			*note = '\0';
		run_line(&s, line);
	}
	(void)fclose(f);
	bool fine = s.wrong == 0 && s.w != NULL && s.w->violations == 0;
	if (s.w != NULL)
		w_free(s.w);
	return fine;
}
