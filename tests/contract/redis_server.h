/* redis_server.h -- Redis servers and Sentinels of the contract tests: on loopback, run as user nobody. */
#ifndef DR_TESTS_CONTRACT_REDIS_SERVER_H
#define DR_TESTS_CONTRACT_REDIS_SERVER_H

#include "contract.h"

#define REDIS_USER "nobody"
enum { REDIS_OPTIONS_MAX = 16 };

struct redis_server {
	const char *member;
	struct dr_address at;
	uint16_t bus; /* of a cluster's node */
	pid_t pid;
};

/* Whether the programs are here; said where they are not. */
bool redis_is_here(void);
/* Start one with these options, up to a NULL, on what its folder holds, and wait until it accepts: the first time with an empty
 * folder and at an address of its own, later at the same. */
void redis_server_start(const struct rig_dir *d, struct redis_server *s, const char *const *options);
/* One command to it, of these words up to a NULL; it must not be refused. */
void redis_server_tell(const struct rig_dir *d, const struct redis_server *s, ...) __attribute__((sentinel));
void redis_server_stop(struct redis_server *s);

/* An op on the server in epoch 3, as that service's member, with `primary` as whom it concerns. */
void redis_step(struct contract_step *st, enum dr_op_kind kind, const char *service, const struct redis_server *on,
		const struct redis_server *primary);

#endif
