/* crash.c -- golden_crash [STORY [COMMAND MOMENT MANNER]]: the leader is lost around every command of every plan.
 *
 * Each story (a fault or a request) is played once undisturbed to count the commands that its plans put into the
 * log; then once for each command, moment and manner of losing the leader: before the command is in any other
 * log, when it is committed and the leader does not know, when the leader has applied it but has done nothing yet,
 * and when all that follows was sent out.  Every time the plans must end, all members must be well, and nothing
 * that check.c looks at may break.  Commands start and end steps, so this is before and after every step; and at
 * the end every step of every plan must have been met.  With four arguments: that one run, with its transcript. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "tests/world/runbook.h"

enum manner { KILL, CUT, MANNERS };
static const char *const manner_names[] = { "kill", "cut" };
static const char *const moment_names[] = { "proposes", "committed", "applied", "carried_out" };

struct story {
	const char *name;
	void (*begin)(struct world *w);
	void (*later)(struct world *w); /* 3 s after the beginning; NULL */
	enum dr_request_kind request;   /* made (again and again until it is in the log) when asks */
	bool asks, adopted;
	const char *to;
	bool never_c; /* pg-c has priority 0 */
	bool unfence; /* once the service is held fenced */
	const char *site; /* the request is for all of this site */
	bool back;    /* and then its way back */
	uint32_t services; /* 0: one; else three, in groups, of which the second has nobody outside the site */
};

struct crash {
	uint32_t at; /* the n-th command; 0: none */
	enum w_moment moment;
	enum manner manner;
	uint32_t seen[W_CARRIED_OUT + 1]; /* commands met, by moment */
	bool begun;
	int victim;
	uint64_t back_at;
	char what[64];
};

enum side { BEFORE, AFTER, SIDES };
static const char *const side_names[] = { "before", "after" };

/* All runs are divided among two processes, by the command; this is what they have in common. */
enum { PROCESSES = 2 };
static struct tally {
	bool met[SIDES][DR_PLAN_KIND_MAX][DR_STEPS_MAX]; /* the leader was lost before, or after this step */
	uint32_t runs[PROCESSES], failures[PROCESSES];
} *tally;
static uint32_t mine, processes = 1;

static void lose(struct world *w, uint32_t c, struct crash *x)
{
	x->victim = (int)c;
	x->back_at = w->now + 4000;
	w_say(w, "the leader %s is lost (%s)", w->c[c].name, manner_names[x->manner]);
	if (x->manner == KILL) {
		w_coord_kill(w, c);
	} else {
		w_cut(w, w->c[c].site, true);
		w_leader_lost(w);
	}
}

/* The leader is lost before the step that its log has come to, or after the one that this command ends. */
static void note_step(const struct world *w, uint32_t c, enum w_moment at, const struct dr_cmd *cmd)
{
	const struct dr_service *s = &w->c[c].core->repl.service[cmd->service < w->services ? cmd->service : 0];
	const struct dr_plan *p = s->plan.id == cmd->plan ? &s->plan : NULL;
	for (dr_member_ix m = 0; p == NULL && m < DR_MEMBERS_MAX; m++)
		p = s->rejoin[m].id == cmd->plan ? &s->rejoin[m] : NULL;
	if (cmd->kind == DR_CMD_PLAN_OPEN && at >= W_APPLIED)
		tally->met[BEFORE][cmd->plan_kind][0] = true;
	else if (p != NULL && p->id != 0)
		tally->met[at >= W_APPLIED ? BEFORE : AFTER][p->kind][p->at] = true;
}

static void on_moment(struct world *w, uint32_t c, enum w_moment at, const struct dr_cmd *cmd)
{
	struct crash *x = w->hook_arg;
	if (!x->begun || cmd->kind == DR_CMD_TICK)
		return;
	x->seen[at]++;
	if (x->at == 0 || at != x->moment || x->seen[at] != x->at || x->victim >= 0)
		return;
	(void)snprintf(x->what, sizeof(x->what), "%s", dr_cmd_name(cmd->kind));
	note_step(w, c, at, cmd);
	lose(w, c, x);
}

static void bring_back(struct world *w, struct crash *x)
{
	uint32_t c = (uint32_t)x->victim;
	x->back_at = 0;
	if (x->manner == KILL) {
		w_coord_start(w, c);
		return;
	}
	w_cut(w, w->c[c].site, false);
	w_healed(w);
}

/* Whether no site plan is open any more, and with the way back nothing is to be brought back: undisturbed, the primary is
 * where it was. */
static bool sites_at_rest(struct world *w, const struct story *s, const struct crash *x)
{
	const struct dr_repl *r = w->leader >= 0 ? &w->c[w->leader].core->repl : NULL;
	for (uint32_t i = 0; r != NULL && i < DR_SITE_PLANS_KEPT; i++) {
		if (r->site_plan[i].open)
			return false;
	}
	for (uint32_t i = 0; r != NULL && s->back && i < r->services; i++) {
		if (r->service[i].holder != 0 && (x->at == 0 || r->service[i].home != DR_MEMBER_NONE))
			return false;
	}
	return r != NULL;
}

static bool asked(struct world *w, const struct story *s, uint64_t id, enum dr_request_kind kind,
		  const char *to)
{
	if (w->leader < 0 || dr_repl_request_find(&w->c[w->leader].core->repl, id) != NULL)
		return w->leader >= 0;
	struct dr_request q = { .kind = kind, .id = id, .force = s->services > 1 };
	if (s->site != NULL)
		dr_assert(dr_name_set(&q.site, s->site));
	dr_assert(dr_name_set(&q.actor, "anna"));
	dr_assert(dr_name_set(&q.service, "orders"));
	if (to != NULL)
		dr_assert(dr_name_set(&q.member, to));
	(void)w_request(w, &q);
	return false;
}

/* Something was moved away, and nothing moves now. */
static bool can_go_back(struct world *w)
{
	bool any = false;
	for (uint32_t i = 0; i < w->services; i++) {
		const struct dr_service *v = w_repl(w, i);
		if (v == NULL || v->plan.id != 0)
			return false;
		any = any || v->home != DR_MEMBER_NONE;
	}
	return any;
}

static bool settle(struct world *w, const struct story *s, struct crash *x, char *why, size_t cap)
{
	for (uint32_t i = 0; i < 90; i++) {
		bool done = !s->asks || asked(w, s, 5000, s->request, s->to);
		const struct dr_service *v = w_repl(w, 0);
		done = done || (s->back && v != NULL && v->home != DR_MEMBER_NONE); /* moved already, its site was lost */
		if (s->unfence && v != NULL && v->held_fenced && v->plan.id == 0)
			(void)asked(w, s, 5001, DR_REQ_UNFENCE, NULL);
		if (s->back && done && can_go_back(w))
			(void)asked(w, s, 6000 + w->now, DR_REQ_FAILBACK, NULL); /* again, when it did not come to that */
		w_run(w, 500);
		if (i == 6 && s->later != NULL)
			s->later(w);
		if (x->back_at != 0 && w->now >= x->back_at)
			bring_back(w, x);
		if (i <= 14 || !done || x->back_at != 0 || !w_healthy(w, why, cap))
			continue;
		if (sites_at_rest(w, s, x))
			return true;
		(void)snprintf(why, cap, "a site plan is open, or the primary not back");
	}
	return false;
}

/* Play once; how many commands were met at most. */
static uint32_t play(const struct story *s, struct crash *x, FILE *out)
{
	char why[256] = "";
	struct w_options o = w_defaults();
	o.service[0].pooler = true; /* so that every step of every plan is there */
	o.service[0].cooldown_ms = 0;
	o.service[0].restart_within_ms = 0;
	o.services = s->services != 0 ? s->services : 1;
	for (uint32_t i = 1; i < o.services; i++) {
		o.service[i] = o.service[0];
		o.service[i].members = 2;
		o.service[i].group = 1;
		o.service[i].at_home = i == 1;
	}
	struct world *w = w_new(&o, NULL);
	(void)w_runbook_add(w, "first", DR_RUNBOOK_BEFORE, 0);
	(void)w_runbook_add(w, "between", DR_RUNBOOK_AFTER_GROUP, 0);
	(void)w_runbook_add(w, "last", DR_RUNBOOK_AFTER, 0);
	if (s->never_c)
		w->service[0].member[2].priority = 0;
	x->victim = -1;
	w->hook = on_moment;
	w->hook_arg = x;
	w_start(w);
	if (s->adopted && !w_adopt(w))
		w_violation(w, "not adopted");
	w->out = out;
	x->begun = true;
	if (s->begin != NULL)
		s->begin(w);
	bool well = settle(w, s, x, why, sizeof(why));
	if (well)
		w_check_kept(w);
	tally->runs[mine]++;
	if (!well || w->violations > 0) {
		tally->failures[mine]++;
		(void)printf("golden_crash %s %u %s %s: around %s: %s, %u violation(s)\n", s->name, x->at,
			     moment_names[x->moment], manner_names[x->manner], x->what, well ? "well" : why,
			     w->violations);
	}
	uint32_t seen = x->seen[W_COMMITTED];
	w_free(w);
	return seen;
}

static void kill_server(struct world *w)
{
	w_server_set(w, 0, DR_SERVER_STOPPED, true);
}

static void kill_node(struct world *w)
{
	w_guard_kill(w, 0);
	w_agent_kill(w, 0);
	w_server_set(w, 0, DR_SERVER_STOPPED, true);
}

static void start_node(struct world *w)
{
	w->m[0].guard = true;
	w_agent_start(w, 0);
}

/* Site a is cut off with writes in its server that nobody else has, and comes back with them. */
static void cut_a(struct world *w)
{
	w_cut(w, 0, true);
	w_leader_lost(w);
}

static void heal_a(struct world *w)
{
	w_cut(w, 0, false);
	w_healed(w);
}

/* pg-c, which is never promoted, has more than pg-b: pg-b has to fetch it. */
static void hold_b(struct world *w)
{
	w->m[1].server.held = true;
	w_run(w, 100);
	kill_server(w);
	w->m[1].server.held = false;
}

static void kill_site_a(struct world *w)
{
	for (uint32_t i = 0; i < w->members; i++) {
		if (w->m[i].site == 0)
			w_node(w, i, false);
	}
	w_coord_kill(w, 0);
}

static void start_site_a(struct world *w)
{
	w_coord_start(w, 0);
	for (uint32_t i = 0; i < w->members; i++) {
		if (w->m[i].site == 0)
			w_node(w, i, true);
	}
}

static const struct story stories[] = {
	{ .name = "adopt", .asks = true, .request = DR_REQ_ADOPT },
	{ .name = "db-kill", .adopted = true, .begin = kill_server },
	{ .name = "lagging", .adopted = true, .begin = hold_b, .never_c = true },
	{ .name = "node-kill", .adopted = true, .begin = kill_node, .later = start_node },
	{ .name = "partition", .adopted = true, .begin = cut_a, .later = heal_a },
	{ .name = "switchover", .adopted = true, .asks = true, .request = DR_REQ_SWITCHOVER, .to = "pg-b" },
	{ .name = "site-lost", .adopted = true, .begin = kill_site_a, .later = start_site_a },
	{ .name = "site-and-back", .adopted = true, .asks = true, .request = DR_REQ_SWITCHOVER, .site = "az-a", .back = true },
	{ .name = "three-lost", .adopted = true, .begin = kill_site_a, .later = start_site_a, .services = 3 },
	{ .name = "three-and-back", .adopted = true, .asks = true, .request = DR_REQ_SWITCHOVER, .site = "az-a", .back = true,
	  .services = 3 },
	{ .name = "fence", .adopted = true, .asks = true, .request = DR_REQ_FENCE, .unfence = true },
};
enum { STORIES = sizeof(stories) / sizeof(stories[0]) };

static void all_of(const struct story *s)
{
	struct crash none = { 0 };
	uint32_t n = play(s, &none, NULL);
	uint32_t before = tally->failures[mine];
	for (uint32_t at = 1 + mine; at <= n; at += processes) {
		for (int moment = W_PROPOSES; moment <= W_CARRIED_OUT; moment++) {
			for (int manner = KILL; manner < MANNERS; manner++) {
				if (manner == CUT && (moment == W_COMMITTED || moment == W_CARRIED_OUT))
					continue;
				/* What matters of several services is in the log, and what follows from it. */
				if (s->services > 1 && manner == CUT)
					continue;
				struct crash x = { .at = at,
						   .moment = (enum w_moment)moment,
						   .manner = (enum manner)manner };
				(void)play(s, &x, NULL);
			}
		}
	}
	(void)printf("%s: every %u. of %u commands, %u failed\n", s->name, processes, n, tally->failures[mine] - before);
}

static void check_side(enum side side, int kind)
{
	const struct dr_plan_row *row = dr_plan_row((enum dr_plan_kind)kind);
	for (uint32_t i = 0; row != NULL && i < row->steps; i++) {
		if (tally->met[side][kind][i])
			continue;
		(void)printf("no run lost its leader %s %s/%s\n", side_names[side], row->name,
			     dr_step_name(row->step[i]));
		tally->failures[mine]++;
	}
}

/* Before every step of every plan, and after it, the leader was lost in at least one run. */
static void check_met(void)
{
	for (int kind = 1; kind < DR_PLAN_KIND_MAX; kind++) {
		for (int side = BEFORE; side < SIDES; side++)
			check_side((enum side)side, kind);
	}
}

static int find(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(names[i], name) == 0)
			return i;
	}
	return 0;
}

/* The caller goes on as one of two; whoever is the other one ends in here. */
static pid_t divide(void)
{
	processes = PROCESSES;
	(void)fflush(stdout);
	pid_t other = fork();
	dr_assert(other >= 0);
	if (other != 0)
		return other;
	mine = 1;
	for (uint32_t i = 0; i < STORIES; i++)
		all_of(&stories[i]);
	(void)fflush(stdout);
	_exit(0);
}

static bool ended_well(pid_t other)
{
	int status = 0;
	return waitpid(other, &status, 0) == other && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	dr_assert(tally != MAP_FAILED);
	pid_t other = argc < 2 ? divide() : 0;
	for (uint32_t i = 0; i < STORIES; i++) {
		if (argc > 1 && strcmp(argv[1], stories[i].name) != 0)
			continue;
		if (argc < 5) {
			all_of(&stories[i]);
			continue;
		}
		struct crash x = { .at = (uint32_t)strtoul(argv[2], NULL, 10),
				   .moment = (enum w_moment)find(moment_names, 4, argv[3]),
				   .manner = (enum manner)find(manner_names, 2, argv[4]) };
		(void)play(&stories[i], &x, stdout);
	}
	if (argc < 2) {
		tally->failures[0] += ended_well(other) ? 0u : 1u;
		check_met();
	}
	uint32_t runs = tally->runs[0] + tally->runs[1], failures = tally->failures[0] + tally->failures[1];
	(void)printf("%u runs, %u failed\n", runs, failures);
	return failures == 0 ? 0 : 1;
}
