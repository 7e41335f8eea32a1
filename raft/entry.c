/* entry.c -- see entry.h. */
#include "raft/entry.h"

#include <string.h>

#include "base/buf.h"

#define MAGIC 0x44524531u /* "DRE1" */

size_t dr_entry_size(size_t len)
{
	return DR_ENTRY_HEADER + ((len + 7) & ~(size_t)7);
}

void dr_entry_wrap(uint8_t *out, uint64_t term, const void *cmd, size_t len)
{
	for (unsigned i = 0; i < 4; i++) {
		out[i] = (uint8_t)(MAGIC >> (8 * (3 - i)));
		out[4 + i] = (uint8_t)((uint64_t)len >> (8 * (3 - i)));
	}
	for (unsigned i = 0; i < 8; i++)
		out[8 + i] = (uint8_t)(term >> (8 * (7 - i)));
	if (len > 0)
		memcpy(out + DR_ENTRY_HEADER, cmd, len);
	memset(out + DR_ENTRY_HEADER + len, 0, dr_entry_size(len) - DR_ENTRY_HEADER - len);
}

bool dr_entry_open(const uint8_t *entry, size_t size, uint64_t *term, const uint8_t **cmd, size_t *len)
{
	struct dr_view v = dr_view_of(entry, size);

	if (dr_view_u32be(&v) != MAGIC)
		return false;
	*len = dr_view_u32be(&v);
	*term = dr_view_u64be(&v);
	*cmd = entry + DR_ENTRY_HEADER;
	return !v.bad && dr_entry_size(*len) == size;
}

bool dr_entry_durable(const uint8_t *cmd, size_t len)
{
	return len > 0 && (cmd[0] & 0x80u) != 0;
}
