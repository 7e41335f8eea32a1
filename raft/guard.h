/* guard.h -- the storage guard: a small file that remembers what libraft's own files must contain.
 *
 * libraft cuts its log silently at a damaged batch and checksums neither term, vote nor snapshots, so a
 * flipped bit can lose acknowledged entries or let a member vote twice.  The guard is a ring of records,
 * each with the whole of what must hold: term and vote (written before libraft writes them), and the
 * *floor*: the last entry whose append was reported done, with its term and a CRC chain over the entries
 * up to it.  A start that finds less or other than the newest whole record says is refused.  For entries
 * that matter most a record is made durable while libraft writes them (*ahead*), so that their content is
 * known even after a power cut: absent they were never reported, present they must be these.
 *
 * A record that was torn by a crash counts as never written: its append was not reported yet.  Records
 * are written with pwrite (they outlive the process) and made durable (they outlive the machine) by
 * dr_guard_sync(), the syncer, or as a copy in the file of ahead.h, which counts like the guard's own.
 *
 * Threads: one at a time, except fd, on which the syncer calls fdatasync(2). */
#ifndef DR_RAFT_GUARD_H
#define DR_RAFT_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"

/* What one record says. */
struct dr_guard_head {
	uint64_t id;         /* the raft id this folder belongs to */
	uint64_t term, vote; /* as libraft's metadata must have them, or, while pending, be about to */
	uint64_t old_term, old_vote; /* while pending: what they were */
	bool pending;                /* term and vote are being written */
	uint64_t floor;              /* index of the last entry reported done; 0: none */
	uint64_t floor_term;         /* 0: not known */
	uint32_t chain;              /* over all entries up to floor since the chain began */
	uint64_t ahead, ahead_term;  /* last entry that is being appended and must not change; 0: none */
	uint32_t ahead_chain;        /* at ahead */
	bool rebase;                 /* the chain begins anew here: older points say nothing */
	bool cutting;                /* the log is being cut at the end, or replaced by a snapshot */
	uint64_t snap_index, snap_term, snap_hash; /* newest snapshot; the hash's first 8 bytes */
};

/* A known value of the chain. */
struct dr_guard_point {
	uint64_t index;
	uint32_t chain;
};

struct dr_guard {
	struct dr_guard_head head; /* change it, then dr_guard_write() */
	uint64_t seq;              /* of the newest record */
	int fd;
	char path[DR_PATH_MAX + 64];
	struct dr_guard_point *points; /* known at open, rising by index; dr_guard_forget() frees them */
	uint32_t n_points;
	struct dr_buf record; /* the newest one's bytes */
};

/* A new file, durable on return.  EXISTS when there is one; after another error there is none. */
DR_MUST_USE enum dr_err dr_guard_create(const char *path, const struct dr_guard_head *head,
					struct dr_error *e);
/* CORRUPT: missing, or without one whole record. */
DR_MUST_USE enum dr_err dr_guard_open(struct dr_guard *g, const char *path, struct dr_error *e);
/* The name of the file of ahead.h beside it. */
void dr_guard_ahead_path(const char *path, char out[DR_PATH_MAX + 64]);
/* What the file's bytes say, into a guard that holds nothing yet but its path: dr_guard_open's own part. */
DR_MUST_USE enum dr_err dr_guard_decode(struct dr_guard *g, const uint8_t *file, size_t len, struct dr_error *e);
void dr_guard_forget(struct dr_guard *g);
void dr_guard_close(struct dr_guard *g);

/* Records of ahead.h's file that the bytes of the guard's own lack: as if they stood there. */
void dr_guard_merge(uint8_t *file, size_t len, const uint8_t *ahead, size_t ahead_len);

/* Append head as the newest record.  The rebase flag is cleared after it. */
DR_MUST_USE enum dr_err dr_guard_write(struct dr_guard *g, struct dr_error *e);
/* fdatasync(2); blocks. */
DR_MUST_USE enum dr_err dr_guard_sync(struct dr_guard *g, struct dr_error *e);

/* One more link: the chain after an entry. */
uint32_t dr_guard_link(uint32_t chain, uint64_t term, uint8_t type, const void *data, size_t len);

#endif
