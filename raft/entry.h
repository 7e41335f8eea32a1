/* entry.h -- how commands stand in a log entry: libraft wants lengths that are multiples of 8 (another length is a
 * double free in the leader), so they are framed and padded; and it takes one entry at a time, each with messages and a
 * write of its own, so commands that are proposed together share one.
 *
 * One command:   u32 "DRE1", u32 length, u64 term (big endian), the command, zeros up to a multiple of 8.
 * Several:       u32 "DRE2", u32 length of what follows, u64 term, each command as u32 length and bytes, zeros. */
#ifndef DR_RAFT_ENTRY_H
#define DR_RAFT_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { DR_ENTRY_HEADER = 16 };

/* A command's bytes, borrowed. */
struct dr_entry_cmd {
	const void *data;
	size_t len;
};

/* Bytes that an entry of these commands takes; n >= 1. */
size_t dr_entry_size(const struct dr_entry_cmd *cmd, size_t n);
/* Fill out, dr_entry_size(cmd, n) bytes. */
void dr_entry_wrap(uint8_t *out, uint64_t term, const struct dr_entry_cmd *cmd, size_t n);

/* An entry that is being read; borrows its bytes. */
struct dr_entry {
	uint64_t term;
	struct dr_view rest; /* private, as several */
	bool several;
};

/* False: not one of ours, or not whole; then nothing of it may be used. */
bool dr_entry_open(struct dr_entry *e, const uint8_t *bytes, size_t size);
/* The next command, pointing into the entry's bytes; false: there was none any more. */
bool dr_entry_next(struct dr_entry *e, const uint8_t **cmd, size_t *len);

/* Bit 7 of a command's first byte asks that the guard's record is durable before the append is reported. */
bool dr_entry_durable(const uint8_t *cmd, size_t len);

#endif
