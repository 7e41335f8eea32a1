/* raft_lab.h -- start, steer, kill raft_peer processes and wait for what they say.  Every wait is bounded;
 * a wait that fails prints what the peer said last. */
#ifndef RAFT_LAB_H
#define RAFT_LAB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/spec.h"

enum { LAB_WAIT_MS = 15000, LAB_PORT = 7400 };

struct lab_peer {
	char name[16], dir[160];
	uint64_t id;
	uint16_t port;
	pid_t pid;
	int in, out;
	char text[4096]; /* what it said and nobody has taken yet */
	size_t len;
	char last[600]; /* the line that the last wait found */
};

struct lab {
	char dir[128], host[24];
	const char *certs; /* "-" without a network */
	const char *election_ms, *threshold;
	struct lab_peer p[5];
	unsigned n;
};

/* A fresh folder, n members named c-a, c-b, ... with certificates when n > 1. */
void lab_open(struct lab *l, unsigned n, const char *election_ms, const char *threshold);
void lab_close(struct lab *l);
struct dr_address lab_address(const struct lab *l, unsigned i);
/* Bootstrap all n as the first members. */
void lab_bootstrap(struct lab *l);

void lab_start(struct lab *l, unsigned i);
void lab_say(struct lab_peer *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Wait for a line that begins with `prefix`; earlier lines are dropped. */
bool lab_wait(struct lab_peer *p, const char *prefix, int ms);
/* kill(SIGKILL) and wait. */
void lab_kill(struct lab_peer *p);
/* "quit", then its exit code; -1 when it was killed by a signal. */
int lab_quit(struct lab_peer *p);
int lab_exit_code(struct lab_peer *p);
/* "status" and one value of the answer, e.g. "commit". */
uint64_t lab_value(struct lab_peer *p, const char *key);
/* Poll until some living peer leads; its number. */
unsigned lab_leader(struct lab *l);
/* Poll until value(key) of p is at least v. */
bool lab_reach(struct lab_peer *p, const char *key, uint64_t v);

#endif
