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
	uint32_t applied; /* the others it has received, and not made a part of its data yet (kinds.c) */
	uint32_t had;     /* mutant: it had received so many before it was started again */
	uint32_t signed_at; /* writes before the mark of the primary that its timeline is */
	bool unplaced;    /* it does not know any more how far it is: at least at the last mark before */
	bool ends_in_order; /* the stop under way */
	uint64_t copy_at; /* a copy of all that upstream has is there then; 0: none is under way */
	uint32_t timeline;
	uint8_t upstream;  /* member; DR_MEMBER_NONE */
	uint64_t follow_epoch; /* of the order that said so */
	bool connected;    /* receives from upstream */
	uint64_t other_data; /* whose data it is; 0: the service's */
	uint32_t saved;    /* so many of its writes are saved beside */
	bool held;         /* script: connected, but nothing comes */
	/* A kind whose standbys are asked to acknowledge (docs/decisions/0020). */
	bool acks;          /* it does, over the connection that it has now ... */
	uint32_t acks_from; /* ... what is sent over that: so much it had received before */
	bool told;          /* a mark in its memory: it was told to, and not started again since */
	uint32_t told_op, told_until; /* that op told it to, once it has so many writes */
	uint32_t looks, look_at;      /* ... and has seen the primary at a standstill so often, with so many */
	bool ack_next;      /* the next connection is made for it */
	uint64_t stalled_ms; /* its connection stands, and nothing comes through, since then; 0: it does */
	uint32_t released;   /* as primary: so many of its writes are let go, whoever has them */
	dr_member_set set; /* whom it waits for as primary; of such a kind: for whoever acknowledges; under `bounded`: none ... */
	uint32_t k;        /* ... any k of them */
	bool undone;       /* somebody has set that otherwise since it was told */
	uint32_t acked;    /* writes acknowledged, or there when it was promoted: what a read shows */
	bool acks_blocked; /* script: does not take writes ... */
	enum dr_failure failure; /* ... in this way; NONE: they do not end */
	uint64_t slow_ms;  /* whatever it is told to do, and each write, takes so much longer */
	uint64_t ack_at;   /* not before, since writes take long */
	bool probes_fail;  /* clients' writes go on, the coordinators' end as `failure` says */
	uint32_t errant;   /* so many transactions of its own, which no primary had */
	uint64_t few_ms;   /* as primary under `bounded`: fewer than k standbys are near since then; 0: enough are */
	bool too_few;      /* ... for so long that it takes no writes */
	uint32_t ready;    /* writes whose acknowledgement a paused server had already received */
};

#endif
