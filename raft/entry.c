/* entry.c -- see entry.h. */
#include "raft/entry.h"

#include <string.h>

enum { LENGTH = 4 };

#define ONE 0x44524531u     /* "DRE1" */
#define SEVERAL 0x44524532u /* "DRE2" */

static size_t body_of(const struct dr_entry_cmd *cmd, size_t n)
{
	size_t body = 0;

	for (size_t i = 0; i < n; i++)
		body += cmd[i].len + (n > 1 ? LENGTH : 0);
	return body;
}

static size_t padded(size_t body)
{
	return DR_ENTRY_HEADER + ((body + 7) & ~(size_t)7);
}

size_t dr_entry_size(const struct dr_entry_cmd *cmd, size_t n)
{
	return padded(body_of(cmd, n));
}

static uint8_t *put_u32(uint8_t *out, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		*out++ = (uint8_t)(v >> (8 * (3 - i)));
	return out;
}

void dr_entry_wrap(uint8_t *out, uint64_t term, const struct dr_entry_cmd *cmd, size_t n)
{
	const uint8_t *end = out + dr_entry_size(cmd, n);

	out = put_u32(out, n > 1 ? SEVERAL : ONE);
	out = put_u32(out, (uint32_t)body_of(cmd, n));
	out = put_u32(out, (uint32_t)(term >> 32));
	out = put_u32(out, (uint32_t)term);
	for (size_t i = 0; i < n; i++) {
		if (n > 1)
			out = put_u32(out, (uint32_t)cmd[i].len);
		if (cmd[i].len > 0)
			memcpy(out, cmd[i].data, cmd[i].len);
		out += cmd[i].len;
	}
	memset(out, 0, (size_t)(end - out));
}

/* Whether the lengths of several commands add up to all that is there. */
static bool adds_up(struct dr_view rest)
{
	while (!rest.bad && dr_view_left(&rest) > 0)
		(void)dr_view_bytes(&rest, dr_view_u32be(&rest));
	return !rest.bad;
}

bool dr_entry_open(struct dr_entry *e, const uint8_t *bytes, size_t size)
{
	struct dr_view v = dr_view_of(bytes, size);
	uint32_t magic = dr_view_u32be(&v);
	size_t body = dr_view_u32be(&v);

	e->term = dr_view_u64be(&v);
	if (v.bad || (magic != ONE && magic != SEVERAL) || padded(body) != size)
		return false;
	e->several = magic == SEVERAL;
	e->rest = dr_view_of(bytes + DR_ENTRY_HEADER, body);
	return !e->several || adds_up(e->rest);
}

bool dr_entry_next(struct dr_entry *e, const uint8_t **cmd, size_t *len)
{
	if (e->several && dr_view_left(&e->rest) == 0)
		return false;
	*len = e->several ? dr_view_u32be(&e->rest) : e->rest.len;
	*cmd = dr_view_bytes(&e->rest, *len);
	if (!e->several) /* one only, which may be empty */
		*e = (struct dr_entry){ .term = e->term, .several = true };
	return *cmd != NULL;
}

bool dr_entry_durable(const uint8_t *cmd, size_t len)
{
	return len > 0 && (cmd[0] & 0x80u) != 0;
}
