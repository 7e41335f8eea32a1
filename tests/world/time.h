/* time.h -- virtual time of the world: timers and messages, hosts with clocks of their own, processes that can be
 * paused, and what a message may meet on its way.  Times are true milliseconds unless they are a host's. */
#ifndef DR_TESTS_WORLD_TIME_H
#define DR_TESTS_WORLD_TIME_H

#include <stdbool.h>
#include <stdint.h>

/* Who owns a timer or takes a message: while a process is paused (SIGSTOP, a starved machine) they wait. */
enum w_kind { W_COORD, W_AGENT, W_GUARD, W_SERVER, W_KINDS };
enum { W_PROCS_OF = 16, W_PROCS = W_KINDS * W_PROCS_OF, W_NOBODY = W_PROCS };

/* A host's monotonic clock against true time: it began at offset_ms and runs ppm parts per million fast. */
struct w_clock {
	uint64_t offset_ms;
	int32_t ppm;
	int64_t wall_ms; /* its wall time, against the right one */
};

struct world;
struct w_timer {
	uint64_t at, seq;
	void (*run)(struct world *w, struct w_timer *t);
	int from, to; /* sites; -1: no network in between */
	uint32_t proc; /* W_NOBODY: the world itself */
	uint32_t a, b;
	uint32_t service; /* where it is of one */
	uint64_t u, until;
	void *data; /* freed afterwards */
	uint32_t size; /* of data */
	uint32_t again; /* a copy comes so many ms later; 0: none does */
};

/* What a message may meet on its way; without one every message takes W_HOP_MS. */
struct w_weather {
	/* How long it takes; UINT32_MAX: it is lost.  *again: a copy comes so much later; 0: none does. */
	uint32_t (*hop)(void *arg, uint32_t from_site, uint32_t to_site, uint32_t *again);
	/* Extra time of what is written to a disk, in ms. */
	uint32_t (*disk)(void *arg, uint32_t proc);
	/* Whether what is written to it now fails (NULL: it never does), and then whether it is there all the same. */
	bool (*fails)(void *arg, uint32_t proc);
	bool (*stands)(void *arg, uint32_t proc);
	void *arg;
};

struct w_timer *w_after(struct world *w, uint64_t ms, void (*run)(struct world *, struct w_timer *));
/* The same, before all else of that moment. */
struct w_timer *w_after_first(struct world *w, uint64_t ms, void (*run)(struct world *, struct w_timer *));
/* A message from site to site that process `proc` takes. */
struct w_timer *w_send(struct world *w, uint32_t from, uint32_t to, uint32_t proc,
		       void (*run)(struct world *, struct w_timer *));
static inline uint32_t w_proc(enum w_kind kind, uint32_t i)
{
	return (uint32_t)kind * W_PROCS_OF + i;
}
/* SIGSTOP for so long; and whether it is stopped now. */
void w_pause(struct world *w, uint32_t proc, uint64_t ms);
bool w_paused(const struct world *w, uint32_t proc);
/* What a clock shows now; and in how many ms of true time it shows `at` (at least `least`). */
uint64_t w_clock(const struct world *w, const struct w_clock *c);
uint64_t w_until(const struct world *w, const struct w_clock *c, uint64_t at, uint64_t least);

#endif
