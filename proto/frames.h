/* frames.h -- the types of frames, and which message each carries. */
#ifndef DR_PROTO_FRAMES_H
#define DR_PROTO_FRAMES_H

enum dr_frame {
	/* 1, 2, 4 and 5 are raft's (raft/hello.h). */
	DR_FRAME_GREET = 3,         /* Greet: the first frame of every other connection, from the side that connected */
	DR_FRAME_CLUSTER = 34,     /* u32 flags, u64 id: coordinator -> one that connects, what is known of it (first.c) */
	DR_FRAME_REPORT = 10,       /* Report: agent -> every coordinator */
	DR_FRAME_RENEW = 11,        /* Renew: agent -> leader */
	DR_FRAME_RESULT = 12,       /* MemberResult: agent -> leader */
	DR_FRAME_LEAD = 20,         /* Lead: coordinator -> agent, at once and on every change */
	DR_FRAME_GRANT = 21,        /* Grant: leader -> agent */
	DR_FRAME_ORDER = 22,        /* Order: leader -> agent */
	DR_FRAME_CANCEL = 23,       /* Cancel: leader -> agent, the order serves nothing any more */
	DR_FRAME_LOOK = 24,         /* Look: leader -> agent, look at the server and report now */
	DR_FRAME_OBSERVATIONS = 30, /* Observations: coordinator -> leader */
	DR_FRAME_MEMBER_ID = 31,    /* u64 big endian: leader -> coordinator, its raft id; 0: it is no member */
	DR_FRAME_LEDGER = 35,       /* coord/shell/ledger.h: coordinator -> every coordinator, the newest heads of its ledger */
	DR_FRAME_BEATS = 36,        /* u64be, u64be: coordinator -> the one that connected, "I take your heartbeats": its
				     * own raft id, and that of the other; a 0: it takes none (any more) */
	DR_FRAME_BEAT = 37,         /* raft/beat.h, between coordinators that know each other's ids */
	DR_FRAME_ROUTED = 38,       /* coord/shell/routes.c: coordinator -> every coordinator, what became of a route of its own */
	DR_FRAME_STEP_ASK = 39,     /* StepAsk: leader -> agent or coordinator, carry out a step of a site plan's runbook */
	DR_FRAME_STEP_ANSWER = 42,  /* StepAnswer: from there to every coordinator */
	DR_FRAME_STEP_CANCEL = 43,  /* StepAnswer, its key alone: leader -> agent or coordinator, end it for good */
	DR_FRAME_ASK = 50,          /* Ask: a primary's agent -> the agents of the members on its list */
	DR_FRAME_PROMISE = 51,      /* Promise: the answer */
	DR_FRAME_COPY_ASK = 52,     /* Ask: a member's agent -> the agent of another one, "send me a copy of it" */
	DR_FRAME_COPY_PART = 53,    /* bytes of the copy */
	DR_FRAME_COPY_TAKEN = 54,   /* u64be: so many of them were handed on */
	DR_FRAME_COPY_END = 55,     /* MemberResult: that was all, or why there is no more */
	DR_FRAME_REQUEST = 40,      /* ClientRequest */
	DR_FRAME_RESPONSE = 41      /* ClientResponse */
};

enum dr_greet_kind { DR_GREET_AGENT = 2, DR_GREET_PEER = 3, DR_GREET_CLIENT = 4 };

enum { DR_PROTOCOL_VERSION = 1 };

#endif
