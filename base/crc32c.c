/* crc32c.c -- CRC32C: by the processor's own instruction where it has one, else by a table. */
#include <string.h>

#include "base/buf.h"

static uint32_t table[256];

/* Filled before main, by the reflected polynomial, so that threads only ever read it. */
__attribute__((constructor)) static void table_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++)
			c = (c & 1) != 0 ? c >> 1 ^ 0x82f63b78u : c >> 1;
		table[i] = c;
	}
}

uint32_t dr_crc32c_by_table(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;
	crc = ~crc;
	for (size_t i = 0; i < len; i++)
		crc = table[(crc ^ p[i]) & 0xffu] ^ crc >> 8;
	return ~crc;
}

#if defined(__x86_64__)

static bool has_instruction;

__attribute__((constructor)) static void look_for_instruction(void)
{
	__builtin_cpu_init();
	has_instruction = __builtin_cpu_supports("sse4.2") != 0;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t c = ~crc;
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t word;
		memcpy(&word, p, sizeof(word));
		c = __builtin_ia32_crc32di(c, word);
	}
	crc = (uint32_t)c;
	for (; len > 0; p++, len--)
		crc = __builtin_ia32_crc32qi(crc, *p);
	return ~crc;
}

uint32_t dr_crc32c(uint32_t crc, const void *data, size_t len)
{
	return has_instruction ? by_instruction(crc, data, len) : dr_crc32c_by_table(crc, data, len);
}

#else

uint32_t dr_crc32c(uint32_t crc, const void *data, size_t len)
{
	return dr_crc32c_by_table(crc, data, len);
}

#endif
