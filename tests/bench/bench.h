/* bench.h -- what the load programs share: times kept and ranked, arguments, connections that speak for somebody.
 *
 * They speak the product's own protocol over the product's own net/ and proto/; nothing here is part of it. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "net/conn.h"
#include "net/tls.h"

enum { BENCH_ENDPOINTS_MAX = 8, BENCH_CERTS_MAX = 1024 };

/* CLOCK_MONOTONIC, as Python's time.monotonic(): both name moments to each other. */
uint64_t bench_now_ns(void);

/* Times in microseconds; signed, since an event can be seen before the answer that it is counted from. */
struct bench_times {
	int32_t *us;
	size_t n, room;
};
void bench_add(struct bench_times *t, int64_t ns);
/* Sort; then bench_at gives the value below which that part of them lies, 0 when there is none. */
void bench_sort(struct bench_times *t);
int32_t bench_at(const struct bench_times *t, double part);
void bench_free(struct bench_times *t);

/* What the command line said. */
struct bench_args {
	struct dr_address endpoint[BENCH_ENDPOINTS_MAX];
	unsigned endpoints;
	struct dr_tls *tls[BENCH_CERTS_MAX];
	unsigned certs;
	char cluster[48], service[48];
	uint32_t clients;  /* that commit */
	uint32_t watchers; /* that read what is committed */
	uint32_t spread;   /* over so many endpoints, from the first on */
	uint32_t deaf;     /* watchers that never read */
	uint32_t every_ms; /* between two commits of a client; 0: at once */
	uint32_t warm_ms, run_ms, gap_ms;
	uint32_t services; /* of the agents */
	uint32_t standbys, vanish; /* flags: each has a standby too; then all primaries go silent */
	char rest[4][256]; /* what follows the options */
	unsigned rests;
};
/* Ends the program with a message when something is wrong. */
void bench_parse(struct bench_args *a, int argc, char **argv);
void bench_close(struct bench_args *a);
_Noreturn void bench_fail(const char *fmt, ...) DR_PRINTF(1, 2);

/* Connect c (zeroed, with ctx) to an endpoint, whose certificate must be a coordinator's. */
DR_MUST_USE enum dr_err bench_connect(struct dr_conn *c, uv_loop_t *loop, struct dr_tls *tls,
				      const struct dr_address *to, const struct dr_conn_cbs *cbs);
/* The first frame. */
void bench_greet(struct dr_conn *c, uint32_t kind, struct dr_tls *tls, const char *cluster);

/* The modes (bench_main.c names them). */
int bench_disk(const struct bench_args *a);
int bench_clients(const struct bench_args *a);
int bench_agents(const struct bench_args *a);

#endif
