/* dnsq.c -- one DNS question and its answer, bytes only. */
#include "dnsq.h"

#include <string.h>

#define HEADER 12u
#define TYPE_A 1u
#define CLASS_IN 1u

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)(v & 0xff);
}

/* One name in wire form; returns bytes written, 0 when a label is empty or too long or it doesn't fit. */
static size_t put_name(const char *name, uint8_t *out, size_t cap)
{
	size_t at = 0;
	while (*name != '\0') {
		size_t label = strcspn(name, ".");
		if (label == 0 || label > 63 || at + label + 2 > cap)
			return 0;
		out[at] = (uint8_t)label;
		memcpy(out + at + 1, name, label);
		at += label + 1;
		name += label;
		if (*name == '.')
			name++;
	}
	if (at == 0)
		return 0;
	out[at] = 0;
	return at + 1;
}

size_t dnsq_build(uint16_t id, const char *name, uint8_t buf[DNSQ_MSG_MAX])
{
	memset(buf, 0, HEADER);
	put16(buf, id);
	put16(buf + 4, 1);
	size_t n = put_name(name, buf + HEADER, 255);
	if (n == 0)
		return 0;
	put16(buf + HEADER + n, TYPE_A);
	put16(buf + HEADER + n + 2, CLASS_IN);
	return HEADER + n + 4;
}

/* The offset after the name at `at`, 0 when it runs out of the message.  A pointer ends a name. */
static size_t skip_name(const uint8_t *msg, size_t len, size_t at)
{
	while (at < len) {
		uint8_t label = msg[at];
		if (label == 0)
			return at + 1;
		if ((label & 0xc0) == 0xc0)
			return at + 2 <= len ? at + 2 : 0;
		if ((label & 0xc0) != 0)
			return 0;
		at += 1u + label;
	}
	return 0;
}

/* The first A record among `count` answers from `at` on. */
static int find_a(const uint8_t *msg, size_t len, size_t at, unsigned count, uint32_t *addr_be)
{
	while (count-- > 0) {
		at = skip_name(msg, len, at);
		if (at == 0 || at + 10 > len)
			return -1;
		uint16_t type = get16(msg + at);
		uint16_t class = get16(msg + at + 2);
		size_t size = get16(msg + at + 8);
		at += 10;
		if (at + size > len)
			return -1;
		if (type == TYPE_A && class == CLASS_IN && size == 4) {
			memcpy(addr_be, msg + at, 4);
			return 1;
		}
		at += size;
	}
	return 0;
}

int dnsq_parse(uint16_t id, const uint8_t *msg, size_t len, uint32_t *addr_be)
{
	if (len < HEADER || get16(msg) != id || (msg[2] & 0x80) == 0 || get16(msg + 4) != 1)
		return -1;
	if ((msg[3] & 0x0f) != 0)
		return 0;
	size_t at = skip_name(msg, len, HEADER);
	if (at == 0 || at + 4 > len)
		return -1;
	return find_a(msg, len, at + 4, get16(msg + 6), addr_be);
}
