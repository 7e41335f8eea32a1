/* ahead.h -- records of the guard that an append waits for, written past the page cache: O_DIRECT and O_DSYNC through the
 * kernel's asynchronous I/O, as libraft writes its log beside it.
 *
 * A thread's fdatasync(2) of the guard's own file (syncer.h) says the same, two wake-ups and a flush of a whole page later:
 * docs/decisions/0009-guard-ahead.md.  It remains for records that nobody waits for, and where the file system has no
 * such I/O, or would have to wait for it (RWF_NOWAIT): the loop never does.
 *
 * The file is DR_AHEAD_SLOTS blocks, written one after the other and round; a record stands at the beginning of its block,
 * and dr_guard_open() takes it as if it stood in the guard's own file.
 *
 * A block is written over, and a power cut may leave neither what was there nor what was to be.  That is never the newest
 * durable record: it would be DR_AHEAD_SLOTS puts back, but at most DR_AHEAD_SLOTS - 1 fly, the one being put among them,
 * so one behind it is durable already, in another block.  Before the first round it could be one of the run before: the
 * start's own record is newer, and was synced in the guard's own file before libraft appends anything (hook_load).
 *
 * Internal to raft/.  Threads: the loop's. */
#ifndef DR_RAFT_AHEAD_H
#define DR_RAFT_AHEAD_H

#include <libaio.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"

enum { DR_AHEAD_SLOTS = 16, DR_AHEAD_FLYING_MAX = DR_AHEAD_SLOTS - 1, DR_AHEAD_BLOCK = 4096 };

struct dr_ahead {
	uint64_t done; /* all records that were put, up to this number, are durable */
	int error;     /* errno of a failed write; nothing more is written then */
	bool refused;  /* the kernel would have had to wait: nothing more is written, and what flew is not known to be durable */

	/* private */
	bool open;
	int fd, event;
	io_context_t aio;
	uv_poll_t poll;
	uint8_t *blocks;
	struct iocb iocb[DR_AHEAD_SLOTS];
	uint64_t seq[DR_AHEAD_SLOTS]; /* what flies, or is done behind one that does */
	bool whole[DR_AHEAD_SLOTS];
	uint32_t first, next; /* counted on, modulo the slots a block: first .. next fly */
	void (*advanced)(void *ctx);
	void (*closed)(void *ctx);
	void *ctx;
};

/* A new file, durable on return but for its name (the caller syncs the folder). */
DR_MUST_USE enum dr_err dr_ahead_create(const char *path, struct dr_error *e);
/* Made when it is not there: a folder of a build before has none.  advanced is called on the loop when done, error or refused
 * changed.
 * Not possible here: a->open is false, puts are refused, and all goes on. */
void dr_ahead_open(struct dr_ahead *a, uv_loop_t *loop, const char *path, void (*advanced)(void *ctx), void *ctx);
/* Begin to write record number seq, higher than those before; len at most DR_AHEAD_BLOCK.  False: not now. */
DR_MUST_USE bool dr_ahead_put(struct dr_ahead *a, uint64_t seq, const uint8_t *record, size_t len);
/* Waits for what flies. `closed` comes on the loop. */
void dr_ahead_close(struct dr_ahead *a, void (*closed)(void *ctx));

#endif
