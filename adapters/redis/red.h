/* red.h -- inside the adapter of Redis and Valkey: what is read of a server, and what an op makes of it.
 *
 * An op is a question about one reading of the server (judge.c), asked again until it says that the state holds:
 *
 *   connect -> read -> judge -> HOLDS: done
 *               ^         \---> DO: send commands, await their answers, and read over a fresh connection
 *               |         \---> WAIT: read again in a moment
 *               \---------+---> SOURCE: read the server at primary_at as well, then judge both; DO comes after another
 *                                       reading, over a connection to the server itself
 *
 * Judging and reading are pure; redis.c alone has connections. */
#ifndef DR_ADAPTERS_REDIS_RED_H
#define DR_ADAPTERS_REDIS_RED_H

#include <hiredis/hiredis.h>

#include "adapters/adapter.h"
#include "adapters/redis/nodes.h"
#include "adapters/versions.h"
#include "base/buf.h"

enum { RED_ID_MAX = 48, RED_SECRET_MAX = 256, RED_BYTES_MAX = 8192, RED_SAVE_MAX = 64, RED_DENIED_MAX = 128 };

/* Nobody can listen at port 0: whoever replicates from there keeps what it has and takes nothing, from clients or others. */
#define RED_NOWHERE_HOST "127.0.0.1"
#define RED_NOWHERE_PORT 0

/* A hash in database 0, replicated and kept with all else: which promotion the data descends from.
 *   epoch, member  the promotion, and of whom
 *   origin         the replication id of that primary
 *   id             of the data, random: the beginning of the first origin; it stays whoever is promoted
 *   at             how far its stream was when this was last written: who has this has at least so much
 *   closed         the end of its stream: written by a primary that takes no more writes, for itself alone */
#define RED_LINEAGE "drcoord:lineage"

struct red_lineage {
	bool there;
	uint64_t epoch;
	char member[DR_NAME_MAX];
	char origin[RED_ID_MAX];
	uint64_t identity; /* id; 0: from before there was one */
	uint64_t at;
	bool closed;
	uint64_t closed_at;
};

/* One reading of a server. */
struct red_state {
	uint32_t version;          /* 70015 for 7.0.15; of Valkey its own */
	bool valkey;
	bool cluster;
	bool replica;
	bool empty;                /* no key in any database */
	bool linked, syncing;      /* replica: its source answers; it is being sent everything */
	struct dr_address source;  /* replica: whom it replicates from */
	bool nowhere;              /* replica: from nobody */
	char id[RED_ID_MAX], id_before[RED_ID_MAX];
	uint64_t offset;           /* of stream id: written, or received and applied */
	uint64_t offset_before;    /* up to below it, stream id_before was the same as id; 0: there was none */
	uint64_t replicas;         /* that are connected to it */
	uint64_t uptime_s;
	bool appends;              /* appendonly */
	uint32_t near, near_s;     /* it takes no writes with fewer than so many replicas that were heard within so many seconds */
	char save[RED_SAVE_MAX];   /* FIT, TENDED: "" is never */
	uint64_t sentinels;        /* FIT, TENDED: so many listen */
	char denied[RED_DENIED_MAX]; /* FIT: what our ACL user may not, as ACL SETUSER would grant it; "": nothing */
	struct red_lineage lineage;
	/* a node of a Redis Cluster (adapters/redis_cluster) */
	bool fenced;               /* it acknowledges no write */
	bool unnamed;              /* it would log in to its source as nobody; if it logs in at all */
	bool deaf;                 /* it can log in to no source; asked after we made it so */
	bool keeps;                /* it gives nobody a full copy */
	bool stays;                /* it neither promotes itself nor moves to another shard by itself */
	struct red_nodes nodes;
	/* what follows from it */
	uint32_t timeline;
	uint64_t position;         /* compares between members of one timeline */
};

enum red_verdict { RED_HOLDS, RED_DO, RED_WAIT, RED_SOURCE, RED_FAIL };

/* What an op asks for.  The bytes are commands as they stand on the wire. */
struct red_todo {
	enum red_verdict verdict;
	struct dr_buf commands;
	unsigned count;
	bool wrote;              /* DO: its answers end the op, which was a write */
	bool ends;               /* DO: its answers end the op */
	bool goodbye;            /* DO: whatever follows ends the op: the server is told to end */
	uint32_t pause_ms;       /* WAIT */
	enum dr_err code;        /* FAIL */
	enum dr_divergence divergence;
	char text[DR_REASON_MAX]; /* FAIL: why; WAIT: what for; HOLDS, DO: for people, or ""; TENDED: the caution */
};

/* What an op looks at. */
struct red_sight {
	const struct dr_op_args *args;
	const struct dr_target *target;
	const char *replication_secret;
	const struct red_state *mine;
	const struct red_state *source; /* NULL: not read */
	bool vetted;                    /* FOLLOWING: the source was looked at, and may be followed */
	unsigned acted;                 /* so often has this run done something */
	unsigned looks;                 /* and so often has it looked since */
	uint64_t offset_last;           /* of the look before */
};
typedef void red_judge(const struct red_sight *s, struct red_todo *t);
/* WRITABLE: whether a standby's data is another service's; the verdict says so then. */
bool red_is_another(const struct red_sight *s, struct red_todo *t);
/* WRITABLE: whether it has less than it was chosen for, as after a restart, with what its files had; the verdict says so then. */
bool red_is_behind(const struct red_sight *s, struct red_todo *t);
/* A primary that was promoted in this epoch, and its stream has another id since: it gets one with its first replica, where it had
 * none before. */
bool red_is_renamed(const struct red_sight *s);
/* Whether a primary's mark is to be written anew: it is of an epoch before, of its stream's name before, or lacks the data's id.
 * draws: where nobody knows that, a new one is made.  Never the mark of another service's data. */
bool red_is_to_sign(const struct red_sight *s, bool draws);
/* Verdicts in words: it can't be; not yet, look again in a moment. */
void red_refuse(struct red_todo *t, enum dr_err code, const char *fmt, ...) DR_PRINTF(3, 4);
void red_wait(struct red_todo *t, const char *fmt, ...) DR_PRINTF(2, 3);
/* One command more. */
#define RED_SAY(t, ...) (red_say(&(t)->commands, __VA_ARGS__, NULL), (t)->count++)

/* ---- reading.c */
/* The first value of the key in an INFO; false without. */
bool red_info(const char *info, const char *key, char *dst, size_t cap);
void red_read_info(struct red_state *s, const char *info);
/* A string, and the one behind a key in an array of pairs; "" where there is none.  And as a number; 0 where it is none. */
const char *red_text(const redisReply *r);
const char *red_value(const redisReply *pairs, const char *key);
uint64_t red_number(const char *text);
void red_read_lineage(struct red_state *s, const redisReply *hash);
void red_read_brake(struct red_state *s, const redisReply *config);
/* "74de152f36de8f5e...": its first RED_IDENTITY_DIGITS as a number; 0 when these are no digits. */
enum { RED_IDENTITY_DIGITS = 16 };
uint64_t red_identity(const char *text);
/* timeline and position, from all else. */
void red_place(struct red_state *s);
/* Which row of versions.def it is of. */
enum dr_product red_product(const struct red_state *s);
void red_tell(const struct red_state *s, struct dr_evidence *ev);

/* ---- answer.c: the code for an error that a server answers with, and its text on one line. */
enum dr_err red_error(const char *answer, struct dr_error *e);
/* The first error in an answer, or in what an EXEC answers; NULL. */
const char *red_refusal(const redisReply *r);
void red_say(struct dr_buf *b, ...) __attribute__((sentinel));

/* ---- may.c: the question which of the commands that later ops need our ACL user may not use: red_state.denied. */
void red_say_may(struct dr_buf *b);

/* ---- judge.c, compare.c */
red_judge red_judge_probe, red_judge_probe_write, red_judge_frozen, red_judge_following, red_judge_writable, red_judge_sync_set,
	red_judge_compared, red_judge_closed, red_judge_fit, red_judge_signed, red_judge_tended;
/* FIT: whether it is none that we know; whether nothing of it outlives a restart; the verdict says so then. */
bool red_is_too_old(const struct red_state *m, struct red_todo *t);
bool red_keeps_nothing(const struct red_state *m, struct red_todo *t);
/* FROZEN: whether what a dead primary sent last may still stand in the connection; the verdict is to look again then. */
bool red_settles(const struct red_sight *s, struct red_todo *t);
/* FOLLOWING: a replica asks its source once a second, and one that is being promoted refuses: whether to have it ask now.  Later
 * and later, so that a way that takes long is not cut off again and again. */
bool red_asks_anew(const struct red_sight *s);

/* FOLLOWING, before the source may overwrite what mine has: whether the verdict is to look at the source first, or to refuse it. */
bool red_may_not_follow(const struct red_sight *s, struct red_todo *t);

/* What differs between one primary with replicas and a node of a Redis Cluster (adapters/redis_cluster). */
struct red_dialect {
	/* Add what is asked at each reading beside INFO; returns how many answers that is.  acted: the run has done something. */
	unsigned (*ask)(struct dr_buf *b, const struct dr_target *t, enum dr_op_kind op, bool acted);
	/* The answer to the i-th of them. */
	void (*take)(struct red_state *s, unsigned i, const redisReply *r, const struct dr_op_args *args);
	red_judge *judge[DR_OP_MAX];
};

/* ---- redis.c: an adapter's functions, for either dialect, and the ops that both have */
enum { RED_OWN_SIZE = 8192 };
#define RED_CAN                                                                                                \
	[DR_OP_PROBE] = true, [DR_OP_PROBE_WRITE] = true, [DR_OP_POSITIONS] = true, [DR_OP_FROZEN] = true,     \
	[DR_OP_FOLLOWING] = true, [DR_OP_WRITABLE] = true, [DR_OP_SYNC_SET] = true, [DR_OP_COMPARED] = true,   \
	[DR_OP_CLOSED] = true, [DR_OP_FIT] = true, [DR_OP_SIGNED] = true, [DR_OP_TENDED] = true
DR_MUST_USE enum dr_err red_open(struct dr_session *s, const struct red_dialect *dialect, struct dr_error *e);
enum dr_err red_start(struct dr_session *s, struct dr_op *op, struct dr_error *e);
void red_cancel(struct dr_session *s, struct dr_op *op);
void red_close(struct dr_session *s);

#endif
