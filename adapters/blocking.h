/* blocking.h -- adapters of routes whose work blocks: it is done by the pool's threads, one call for each place of the
 * route, and host.c's promises are kept from here.
 *
 *   start -> one call a place, side by side -> all have ended -> dr_op_finish, with the evidence of all
 *
 * An adapter brings one function, which runs on a thread and blocks for as long as dr_call_goes_on() lets it.  A call that
 * was cancelled is waited for before the next one begins or the session is closed: two of one route never overlap.
 * Such a struct is the session's `own`.  All but that function is of the loop's thread. */
#ifndef DR_ADAPTERS_BLOCKING_H
#define DR_ADAPTERS_BLOCKING_H

#include <stdatomic.h>

#include "adapters/adapter.h"
#include "adapters/pool.h"
#include "adapters/run.h"

struct dr_blocking;

struct dr_call {
	struct dr_pool_job job;
	struct dr_blocking *own;
	const struct dr_target *target; /* stays as it is until the call has ended */
	enum dr_op_kind kind;
	struct dr_op_args args;
	uint32_t place;                 /* of target->route's */
	uint64_t until_ms;              /* CLOCK_BOOTTIME: to have ended by */
	/* filled by the function */
	bool answered;                  /* the place said something */
	uint64_t epoch;                 /* that it shows; 0: none */
	char shows[DR_SERVER_WHY_MAX];  /* for people */
	struct dr_error why;            /* code OK: the state holds */
};

/* Bring the call's place into the state of call->kind, or find it there already. */
typedef enum dr_err dr_call_fn(struct dr_call *call, struct dr_error *e);

struct dr_blocking {
	struct dr_session *session;
	dr_call_fn *work;
	struct dr_op *op;       /* NULL: nobody waits for what runs */
	bool pending;           /* op begins once what runs has ended */
	bool closing;
	atomic_bool dropped;    /* what runs is to end soon */
	uint32_t first, places; /* of the route: the calls */
	uint32_t running;
	struct dr_call call[DR_ROUTE_SERVERS_MAX];
};

/* For the adapter's open: `places` calls from place `first` on. */
void dr_blocking_open(struct dr_session *s, dr_call_fn *work, uint32_t first, uint32_t places);
/* The adapter's start, cancel and close. */
enum dr_err dr_blocking_start(struct dr_session *s, struct dr_op *op, struct dr_error *e);
void dr_blocking_cancel(struct dr_session *s, struct dr_op *op);
void dr_blocking_close(struct dr_session *s);

/* On the thread.  CANCELLED, TIMEOUT: end now. */
DR_MUST_USE enum dr_err dr_call_goes_on(const struct dr_call *c, struct dr_error *e);
/* Wait so long, or less when the call is to end. */
DR_MUST_USE enum dr_err dr_call_pause(const struct dr_call *c, uint32_t ms, struct dr_error *e);
/* Wait until a descriptor is ready for poll(2)'s events; dr_call_goes_on()'s errors. */
DR_MUST_USE enum dr_err dr_call_wait(const struct dr_call *c, int fd, short events, struct dr_error *e);
/* A TCP connection to an address literal, not blocking.  The caller closes *fd.  UNREACHABLE. */
DR_MUST_USE enum dr_err dr_call_connect(const struct dr_call *c, const struct dr_address *to, int *fd, struct dr_error *e);

/* Environment and commands of a route (run.h): they end with the call.  The first line that a command says is what the call
 * shows, which goes no further than this host's log. */
void dr_run_env_of_call(struct dr_run_env *env, const struct dr_call *c);
DR_MUST_USE enum dr_err dr_run_of_call(struct dr_call *c, const char *command, const struct dr_run_env *env,
				       struct dr_error *e);

#endif
