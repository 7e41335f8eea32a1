/* ready_cluster.c -- readiness of a Redis Cluster's shard: what it takes of the other shards, which no forecast knows.
 *
 * A node is elected by a majority of the masters, so that shards which stand together fall together; and clients of a shard may be
 * refused for another one's slots.  Both are seen by the primary's own node. */
#include "coord/shell/coord.h"
#include "coord/shell/ready.h"

enum { SLOTS = 16384 };

/* The cluster's primaries, and of them those that stand in the site, this one among them. */
static void count(const struct dr_repl *r, const struct dr_service *own, uint32_t *all, uint32_t *there)
{
	const struct dr_name *site = &own->spec.member[own->holder].site;
	*all = *there = 0;
	for (uint32_t i = 0; i < r->services; i++) {
		const struct dr_service *s = &r->service[i];
		if (!s->used || s->holder >= DR_MEMBERS_MAX || !dr_name_eq(&s->spec.cluster, &own->spec.cluster))
			continue;
		(*all)++;
		*there += dr_name_eq(&s->spec.member[s->holder].site, site) ? 1u : 0u;
	}
}

static void note(struct dr_readiness *r, enum dr_reason reason, uint32_t a, uint32_t b, bool blocks)
{
	dr_ready_note(r, (struct dr_ready_note){ .reason = reason, .a = a, .b = b, .member = DR_MEMBER_NONE, .blocks = blocks });
}

void dr_ready_note_cluster(const struct dr_coord *c, uint32_t ix, struct dr_readiness *r)
{
	const struct dr_service *s = &c->core->repl.service[ix];
	uint32_t all, there;
	if (s->spec.kind != DR_KIND_REDIS_CLUSTER || s->holder >= DR_MEMBERS_MAX)
		return;
	const struct dr_cluster_seen *seen = &c->watch[(size_t)ix * DR_MEMBERS_MAX + s->holder].cluster;
	if (seen->masters > 0 && seen->covered < SLOTS)
		note(r, DR_REASON_SLOTS_MISSING, SLOTS - seen->covered, SLOTS, false);
	if (seen->masters > 0 && 2 * seen->masters_there <= seen->masters)
		note(r, DR_REASON_MASTERS_UNREACHED, seen->masters_there, seen->masters, false);
	count(&c->core->repl, s, &all, &there);
	all = seen->masters > all ? seen->masters : all; /* some may be nobody's service */
	if (2 * (all - there) > all)
		return;
	bool needs = !s->spec.takeover;
	note(r, DR_REASON_SHARDS_TOGETHER, there, all, needs);
	if (needs)
		r->site = DR_READY_NO;
	if (needs && 2 * (all - 1) <= all)
		r->host = DR_READY_NO;
}
