/* entry.h -- how a command stands in a log entry: libraft wants lengths that are multiples of 8 (another
 * length is a double free in the leader), so commands are framed and padded.
 *
 * u32 magic, u32 length, u64 term (big endian), the command, zeros up to a multiple of 8. */
#ifndef DR_RAFT_ENTRY_H
#define DR_RAFT_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DR_ENTRY_HEADER = 16 };

/* Bytes that a command of len takes. */
size_t dr_entry_size(size_t len);
/* Fill out, dr_entry_size(len) bytes. */
void dr_entry_wrap(uint8_t *out, uint64_t term, const void *cmd, size_t len);
/* False: not one of ours. *cmd points into entry. */
bool dr_entry_open(const uint8_t *entry, size_t size, uint64_t *term, const uint8_t **cmd, size_t *len);
/* Bit 7 of a command's first byte asks that the guard's record is durable before the append is reported. */
bool dr_entry_durable(const uint8_t *cmd, size_t len);

#endif
