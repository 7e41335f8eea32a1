/* random.c -- golden_random FROM TO [verbose]: worlds made from seeds, each hurt at random, healed, and asked to be well.
 *
 * While it is hurt only the rules of check.c must hold; once everything is started and connected again all plans
 * must end, all members follow, and (under sync) every acknowledged write must be with the primary.  A seed that
 * fails is played again with its transcript by: golden_random SEED SEED verbose. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/world/world.h"

enum { BLOWS = 30, HEAL_S = 240 };

struct dice {
	uint64_t state;
};

static uint32_t roll(struct dice *d, uint32_t sides)
{
	d->state = d->state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(d->state >> 33) % sides;
}

static struct w_options options(struct dice *d)
{
	struct w_options o = w_defaults();
	struct w_service_options *v = &o.service[0];
	o.coordinators = roll(d, 4) == 0 ? 5 : 3;
	v->members = 2 + roll(d, 3);
	v->durability = roll(d, 3) == 0 ? DR_DURABILITY_ASYNC : DR_DURABILITY_SYNC;
	v->set_max = 1 + roll(d, 2);
	v->k = v->set_max == 2 ? 1 + roll(d, 2) : 1;
	v->when_alone = roll(d, 4) == 0 ? DR_ALONE_BLOCK : DR_ALONE_CONTINUE;
	o.profile = roll(d, 5) == 0 ? "default" : "metro";
	v->cooldown_ms = roll(d, 2) * 5000;
	v->restart_within_ms = roll(d, 2) * 3000;
	v->alone_after_ms = 1000 + roll(d, 5) * 1000;
	return o;
}

static void blow_member(struct world *w, struct dice *d, uint32_t m)
{
	struct w_member *x = &w->m[m];
	switch (roll(d, 9)) {
	case 0:
		if (x->server.state != DR_SERVER_STOPPED)
			w_server_set(w, m, DR_SERVER_STOPPED, true);
		break;
	case 1:
		w_agent_kill(w, m);
		break;
	case 2:
		w_node(w, m, false);
		break;
	case 3:
	case 4:
		w_node(w, m, true);
		break;
	case 5:
		x->server.held = !x->server.held;
		break;
	case 6:
		x->fail[1 + roll(d, 12)] = roll(d, 4);
		break;
	case 7:
		x->mute[1 + roll(d, 12)] = roll(d, 3) == 0;
		break;
	default:
		x->divergence = roll(d, 2) == 0 ? DR_DIVERGENCE_REWIND : DR_DIVERGENCE_CLONE;
		break;
	}
}

static void blow_site(struct world *w, struct dice *d, uint32_t s)
{
	uint32_t other = roll(d, w->sites);
	switch (roll(d, 5)) {
	case 0:
		w_cut(w, s, true);
		break;
	case 1:
		w_cut(w, s, false);
		break;
	case 2:
		if (other != s)
			w->cut[s][other] = true;
		break;
	case 3:
		w->cut[s][other] = false;
		break;
	default:
		for (uint32_t i = 0; i < w->sites; i++)
			w_cut(w, i, false);
		break;
	}
	w_cut_changed(w);
}

static void blow_request(struct world *w, struct dice *d)
{
	static const enum dr_request_kind kinds[] = { DR_REQ_FAILOVER, DR_REQ_SWITCHOVER, DR_REQ_SWITCHOVER,
						      DR_REQ_APPROVE,  DR_REQ_ABORT,      DR_REQ_PAUSE,
						      DR_REQ_RESUME,   DR_REQ_FENCE,      DR_REQ_UNFENCE };
	struct dr_request q = { .kind = kinds[roll(d, sizeof(kinds) / sizeof(kinds[0]))],
				.force = roll(d, 3) == 0 };
	const struct dr_service *s = w_repl(w, 0);
	dr_assert(dr_name_set(&q.actor, "anna"));
	dr_assert(dr_name_set(&q.service, "orders"));
	if (roll(d, 2) == 0)
		q.member = w->m[roll(d, w->members)].name;
	q.plan = s != NULL ? s->plan.id : 0;
	(void)w_request(w, &q);
}

static void blow(struct world *w, struct dice *d)
{
	switch (roll(d, 6)) {
	case 0:
	case 1:
		blow_member(w, d, roll(d, w->members));
		break;
	case 2:
		blow_site(w, d, roll(d, w->sites));
		break;
	case 3:
		w_coord_kill(w, roll(d, w->coords));
		break;
	case 4:
		w_coord_start(w, roll(d, w->coords));
		break;
	default:
		blow_request(w, d);
		break;
	}
	static const uint32_t waits[] = { 1, 7, 40, 200, 600, 1500, 4000 };
	w_run(w, 1 + roll(d, waits[roll(d, sizeof(waits) / sizeof(waits[0]))]));
}

static void heal(struct world *w)
{
	for (uint32_t i = 0; i < w->sites; i++)
		w_cut(w, i, false);
	w_cut_changed(w);
	for (uint32_t i = 0; i < w->coords; i++)
		w_coord_start(w, i);
	for (uint32_t i = 0; i < w->members; i++) {
		w_node(w, i, true);
		w->m[i].server.held = false;
		memset(w->m[i].fail, 0, sizeof(w->m[i].fail));
		memset(w->m[i].mute, 0, sizeof(w->m[i].mute));
	}
	w_healed(w);
}

/* What a person would do who looks at `status` now and then, and never accepts a loss under sync. */
static void operator(struct world *w)
{
	const struct dr_service *s = w_repl(w, 0);
	struct dr_request q = { .kind = DR_REQ_RESUME };
	if (s == NULL || w->leader < 0)
		return;
	dr_assert(dr_name_set(&q.actor, "anna"));
	dr_assert(dr_name_set(&q.service, "orders"));
	if (s->paused) {
		(void)w_request(w, &q);
		return;
	}
	if (s->held_fenced && s->plan.id == 0) {
		q.kind = DR_REQ_UNFENCE;
	} else if (s->plan.id != 0 && s->plan.state == DR_PLAN_ASKING) {
		q.kind = DR_REQ_APPROVE;
		q.plan = s->plan.id;
		q.accept_loss = w->service[0].durability == DR_DURABILITY_ASYNC;
	} else {
		for (dr_member_ix m = 0; m < DR_MEMBERS_MAX; m++) {
			if (s->rejoin[m].id == 0 || s->rejoin[m].state != DR_PLAN_ASKING)
				continue;
			q.kind = DR_REQ_APPROVE;
			q.plan = s->rejoin[m].id;
		}
		if (q.plan == 0)
			return;
	}
	(void)w_request(w, &q);
}

static bool play(uint64_t seed, FILE *out)
{
	struct dice d = { .state = seed * 0x9e3779b97f4a7c15u + 1 };
	struct w_options o = options(&d);
	const struct w_service_options *v = &o.service[0];
	struct world *w = w_new(&o, NULL);
	char why[256] = "not adopted";
	(void)roll(&d, 2);
	w_start(w);
	bool well = w_adopt(w);
	w->out = out;
	if (out != NULL)
		w_say(w, "%s members=%u coordinators=%u k=%u set=%u %s %s", dr_durability_name(v->durability),
		      v->members, o.coordinators, v->k, v->set_max, dr_when_alone_name(v->when_alone), o.profile);
	for (uint32_t i = 0; well && i < BLOWS && w->violations == 0; i++)
		blow(w, &d);
	if (well) {
		w_say(w, "everything is started and connected again");
		heal(w);
		well = false;
		for (uint32_t i = 0; i < HEAL_S && !well && w->violations == 0; i++) {
			w_run(w, 1000);
			if (i % 3 == 2)
				operator(w);
			well = i > 5 && w_healthy(w, why, sizeof(why));
		}
		if (well)
			w_check_kept(w);
	}
	bool fine = well && w->violations == 0;
	if (!fine)
		(void)printf("seed %llu: %s, %u violation(s); replay: golden_random %llu %llu verbose\n",
			     (unsigned long long)seed, well ? "well" : why, w->violations,
			     (unsigned long long)seed, (unsigned long long)seed);
	w_free(w);
	return fine;
}

int main(int argc, char **argv)
{
	uint64_t from = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t to = argc > 2 ? strtoull(argv[2], NULL, 10) : 200;
	unsigned failed = 0;
	for (uint64_t seed = from; seed <= to; seed++)
		failed += play(seed, argc > 3 ? stdout : NULL) ? 0u : 1u;
	(void)printf("%llu seeds, %u failed\n", (unsigned long long)(to - from + 1), failed);
	return failed == 0 ? 0 : 1;
}
