/* server.h -- a simulated database server: a list of numbered writes, and all that may be wrong with it. */
#ifndef DR_TESTS_WORLD_SERVER_H
#define DR_TESTS_WORLD_SERVER_H

#include "model/report.h"
#include "model/ids.h"

struct w_server {
	enum dr_server_state state;
	bool starting, crashed;
	uint64_t stop_at; /* a stop under way ends then; 0: none */
	uint64_t epoch;   /* that it was promoted or adopted for */
	uint32_t change;  /* counts changes: a late timer sees that it is late */
	struct { /* that it was sent and has not carried out yet; epoch 0: none */
		uint64_t epoch;
		uint32_t left; /* counts those whom nobody waits for any more */
		dr_member_set set;
		uint32_t k;
	} promotion;
	uint32_t n;       /* writes that it has ... */
	uint32_t *wal;    /* ... W_WAL_MAX numbers */
	uint32_t timeline;
	uint8_t upstream;  /* member; DR_MEMBER_NONE */
	bool connected;    /* receives from upstream */
	uint64_t other_data; /* whose data it is; 0: the service's */
	uint32_t saved;    /* so many of its writes are saved beside */
	bool held;         /* script: connected, but nothing comes */
	bool acks;         /* a kind that is asked to: it acknowledges over the connection that it has now */
	dr_member_set set; /* whom it waits for as primary; of such a kind: for whoever acknowledges ... */
	uint32_t k;        /* ... any k of them */
	uint32_t acked;    /* writes acknowledged, or there when it was promoted: what a read shows */
	bool acks_blocked; /* script: does not take writes ... */
	enum dr_failure failure; /* ... in this way; NONE: they do not end */
	uint64_t slow_ms;  /* whatever it is told to do, and each write, takes so much longer */
	uint64_t ack_at;   /* not before, since writes take long */
	bool probes_fail;  /* clients' writes go on, the coordinators' end as `failure` says */
	uint32_t errant;   /* script: so many transactions of its own, which no primary had */
	uint32_t ready;    /* writes whose acknowledgement a paused server had already received */
};

#endif
