/* ledger.h -- some heads of the ledger's chain, kept so that coordinators can compare theirs.
 *
 * The head after an event is a hash over all events up to it, so two coordinators with the same head at one index
 * have had the same history, and with different heads they are no replicas of one another any more.  They are seldom
 * at the same event: every 16th head is kept for a while, at indexes that are the same everywhere.
 *
 * Plain memory of a fixed size, which the caller owns; nothing here fails but decoding.  One thread. */
#ifndef DR_COORD_SHELL_LEDGER_H
#define DR_COORD_SHELL_LEDGER_H

#include <stdint.h>

#include "base/buf.h"

enum {
	DR_LEDGER_HEAD = 32,  /* bytes: SHA-256 */
	DR_LEDGER_EVERY = 16, /* events between two kept heads */
	DR_LEDGER_KEPT = 64,
	DR_LEDGER_TOLD = 8, /* marks in one message, at most */
	DR_LEDGER_MARK_BYTES = 8 + DR_LEDGER_HEAD,
	DR_LEDGER_MESSAGE_MAX = 1 + DR_LEDGER_TOLD * DR_LEDGER_MARK_BYTES
};

/* The head after the event with this index; index 0: none. */
struct dr_ledger_mark {
	uint64_t index;
	uint8_t head[DR_LEDGER_HEAD];
};

/* Zeroed it is empty. */
struct dr_ledger {
	struct dr_ledger_mark newest;
	struct dr_ledger_mark kept[DR_LEDGER_KEPT]; /* place: index / DR_LEDGER_EVERY, modulo the places */
};

/* What one coordinator told: 1 to DR_LEDGER_TOLD marks, the newest first. */
struct dr_ledger_told {
	uint32_t marks;
	struct dr_ledger_mark mark[DR_LEDGER_TOLD];
};

enum dr_ledger_verdict {
	DR_LEDGER_UNKNOWN, /* nothing in common (yet) */
	DR_LEDGER_SAME,
	DR_LEDGER_DIFFERS,
	DR_LEDGER_VERDICT_COUNT
};

/* differs: ours and theirs are the marks of the lowest index at which they do, which is nearest to the cause. */
struct dr_ledger_compared {
	enum dr_ledger_verdict verdict;
	struct dr_ledger_mark ours, theirs;
};

/* "unknown", "same", "differs"; total on any value. */
const char *dr_ledger_verdict_name(enum dr_ledger_verdict v);

/* The next event was chained. */
void dr_ledger_note(struct dr_ledger *l, uint64_t index, const uint8_t head[DR_LEDGER_HEAD]);
/* A snapshot was restored: what was before is another history, or the same one unseen. */
void dr_ledger_restart(struct dr_ledger *l, uint64_t index, const uint8_t head[DR_LEDGER_HEAD]);

/* The payload of DR_FRAME_LEDGER: u8 marks, then each as u64be index and head, the newest first.  False: there is
 * nothing to tell, and nothing was appended. */
bool dr_ledger_encode(const struct dr_ledger *l, struct dr_buf *out);
/* PROTOCOL: it is no such payload, whole; *told is then of no use. */
DR_MUST_USE enum dr_err dr_ledger_decode(struct dr_ledger_told *told, const uint8_t *p, size_t n,
					 struct dr_error *e);

struct dr_ledger_compared dr_ledger_compare(const struct dr_ledger *l, const struct dr_ledger_told *told);

#endif
