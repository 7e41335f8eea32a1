/* sentinels.h -- has every Sentinel that watches a server forget it: SENTINEL REMOVE on each, seen by that none listens any more.
 *
 * Those that the target names are asked themselves, and each must answer.  Others are found by what they say on the server's own
 * channel, once in two seconds each, where any client may say so: they get no password, and where some are named they are
 * refused.  Where none is named, whoever listens there and says nothing is refused too: so does a Sentinel that hangs.  What a
 * Sentinel knew of the server it forgets with it, passwords included: nothing here brings that back.
 *
 * Threads: the loop's.  A hunt lives on the heap; its owner holds the pointer until it calls red_hunt_drop(), also after `done`.
 * From then on none of the owner's functions but `gone` is called, and that exactly once.  Deadlines are the owner's. */
#ifndef DR_ADAPTERS_REDIS_SENTINELS_H
#define DR_ADAPTERS_REDIS_SENTINELS_H

#include <hiredis/hiredis.h>
#include <uv.h>

#include "adapters/adapter.h"

enum { RED_NAME_MAX = 96 };
struct red_sentinel {
	struct dr_address at;
	char name[RED_NAME_MAX]; /* that it knows the server's service by */
};
/* "HOST,PORT,RUNID,EPOCH,NAME,...", of somebody who may be anybody; false: not that. */
bool red_read_hello(const char *text, struct red_sentinel *s);

/* One of SENTINEL MASTERS: whether it is the server, and by which name. */
bool red_read_watched(const redisReply *r, const struct dr_address *server, char name[RED_NAME_MAX]);

struct red_hunt;
struct red_hunt_owner {
	void *ctx;
	/* e == NULL: none watches it.  text: who was told, for people.  Never from inside open. */
	void (*done)(void *ctx, const struct dr_error *e, const char *text);
	void (*gone)(void *ctx);
};

/* The target's address, user, ca_file; sentinel_secret: theirs, or "".  Copies what it needs.  On an error `gone` is still
 * called. */
DR_MUST_USE enum dr_err red_hunt_open(struct red_hunt **out, uv_loop_t *loop, const struct dr_target *t, const char *secret,
				      const char *sentinel_secret, const struct red_hunt_owner *owner, struct dr_error *e);
void red_hunt_drop(struct red_hunt *h);

#endif
