/* seen.h -- what the checks of the world remember of before, to say that it did not fall, change or go missing. */
#ifndef DR_TESTS_WORLD_SEEN_H
#define DR_TESTS_WORLD_SEEN_H

#include <stdbool.h>
#include <stdint.h>

enum { W_ENTRIES_SEEN = 1 << 20, W_EVENTS_SEEN = 8192, W_MOVES_SEEN = 8, W_SITE_PLANS_SEEN = 256 };

/* An entry or event as whoever applied it first had it: index at index % size.
 * Entries: of each command in it, which is sparse; memory is touched on use. */
struct w_seen_bytes {
	uint64_t index, term;
	uint32_t crc;
};

/* The open plan as it was after the newest command. */
struct w_seen_plan {
	uint64_t id, epoch; /* epoch: of the service */
	uint32_t at, bar, kind;
	uint8_t old, candidate;
};

/* A site plan as it was after the newest command. */
struct w_seen_site_plan {
	uint64_t id;
	uint32_t group;
	bool open;
};

struct w_seen {
	struct w_seen_bytes *entry; /* W_ENTRIES_SEEN */
	struct w_seen_bytes *event; /* W_EVENTS_SEEN */
	uint64_t event_high, checked; /* checked: log index */
	uint64_t move_wall_ms[W_MOVES_SEEN]; /* the newest moves that nobody ordered: move n at n % W_MOVES_SEEN */
	uint32_t moves;
	uint64_t words;       /* members that a person vouched for, and whose fence rested on that */
	uint64_t reads, vanished; /* vanished: rows that a read showed, never acknowledged, and gone since */
	struct w_seen_site_plan site_plan[W_SITE_PLANS_SEEN]; /* plan n at n % W_SITE_PLANS_SEEN */
};

/* The same of one service. */
struct w_seen_service {
	struct w_seen_plan plan;
	uint64_t chose_epoch; /* of the newest failover that chose ... */
	uint32_t chose;       /* ... and who took part with a final position: bits */
	uint64_t loss_from;   /* of the newest choice for which a loss was accepted, until a primary is confirmed; 0: none */
	bool loss_taken;      /* a choice has rested on an accepted loss */
	uint64_t lossless;    /* plan for which it was accepted only since an older choice rested on one: nothing more is lost */
	struct dr_sync sync;  /* as the newest entry has it that anybody applied; and of which epoch and holder */
	struct dr_sync since; /* empty: nothing is decided by it */
	uint64_t sync_epoch;
	dr_member_ix sync_holder;
	dr_member_set may_ack;
	uint64_t part;        /* the newest site plan by which the service was moved */
	uint32_t acked_by;   /* member + 1, at the newest epoch that acknowledged */
	uint64_t *row_epoch; /* W_WAL_MAX: under which a row was acknowledged */
	uint32_t *acked;     /* W_WAL_MAX rows in the order in which they were, but for zombies' */
	uint32_t acked_n;
	uint8_t *shown;      /* W_WAL_MAX: a read showed this row */
	uint32_t reads;
};

#endif
