/* nodes.h -- what a node of a Redis Cluster says of the cluster: CLUSTER NODES as numbers.  Pure. */
#ifndef DR_ADAPTERS_REDIS_NODES_H
#define DR_ADAPTERS_REDIS_NODES_H

#include <stdbool.h>
#include <stdint.h>

#include "model/spec.h"

enum { RED_NODE_ID_MAX = 48, RED_SLOTS = 16384 };

/* One node's view, which may be behind. */
struct red_nodes {
	bool there;                     /* it was read */
	struct dr_address self;         /* where it thinks that others reach it; port 0: it does not know yet */
	uint32_t slots;                 /* that it owns itself */
	uint32_t covered;               /* that have an owner which the cluster has not found failed */
	uint32_t masters;               /* that own slots, failed ones too; they are who votes */
	uint32_t masters_there;         /* of them those that it reaches now, itself included */
	uint32_t masters_heard;         /* of these those that owe it no answer, itself included: one that died owes one long
					 * before it is found failed */
	char wanted[RED_NODE_ID_MAX];   /* the id of the master at the address that was asked for; "": none is known */
};

/* Read the text of CLUSTER NODES; find: which master's id is wanted, NULL: nobody's.  What is no line of it is passed over. */
void red_nodes_read(struct red_nodes *n, const char *text, const struct dr_address *find);
/* Whether enough masters are there to elect a replica. */
static inline bool red_nodes_can_vote(const struct red_nodes *n)
{
	return 2 * n->masters_there > n->masters;
}
/* ... and whether it is likely that they do. */
static inline bool red_nodes_may_soon_vote(const struct red_nodes *n)
{
	return red_nodes_can_vote(n) && 2 * n->masters_heard > n->masters;
}

#endif
