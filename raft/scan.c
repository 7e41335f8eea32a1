/* scan.c -- see scan.h.
 *
 * A segment: u64 format (1), then batches: u32 CRC of the header, u32 CRC of the data, header (u64 count,
 * per entry u64 term, u8 type, 3 unused, u32 length), data; all little endian, then zeros.  The checksum
 * is CRC-32 with polynomial 04c11db7, high bit first, no inversion. */
#include "raft/scan.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "sys/file.h"

enum { SECTOR = 512, SLICE_MIN = 8, BATCH_ENTRIES_MAX = 1 << 18, SEGMENT_MAX = 64 << 20 };

static uint32_t crc_step(uint32_t crc, uint8_t byte)
{
	crc ^= (uint32_t)byte << 24;
	for (unsigned bit = 0; bit < 8; bit++)
		crc = (crc & 0x80000000u) != 0 ? crc << 1 ^ 0x04c11db7u : crc << 1;
	return crc;
}

static uint32_t crc_of(const uint8_t *p, size_t n)
{
	static uint32_t table[256];
	uint32_t crc = 0;

	if (table[1] == 0) {
		for (unsigned i = 0; i < 256; i++)
			table[i] = crc_step(0, (uint8_t)i);
	}
	for (size_t i = 0; i < n; i++)
		crc = crc << 8 ^ table[(crc >> 24 ^ p[i]) & 0xffu];
	return crc;
}

static uint64_t le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* The bytes that the batch at p takes, as far as its header can be trusted; *whole: it is undamaged. */
static size_t batch_extent(const uint8_t *p, size_t len, bool *whole)
{
	uint64_t n, header, data = 0;

	*whole = false;
	if (len < 16)
		return len;
	n = le(p + 8, 8);
	if (n == 0 || n > BATCH_ENTRIES_MAX || 16 + 16 * n > len)
		return 16;
	header = 8 + 16 * n;
	if (crc_of(p + 8, header) != (uint32_t)le(p, 4))
		return 8 + header;
	for (uint64_t i = 0; i < n; i++)
		data += le(p + 16 + 16 * i + 12, 4);
	if (data > len - 8 - header)
		return len;
	*whole = crc_of(p + 8 + header, data) == (uint32_t)le(p + 4, 4);
	return 8 + header + data;
}

/* Whether a sector of [at, at + extent) was never written. */
static bool is_torn(const uint8_t *file, size_t at, size_t extent)
{
	size_t end = at + extent;

	while (at < end) {
		size_t next = (at / SECTOR + 1) * SECTOR;
		size_t n = (next < end ? next : end) - at;

		if (n >= SLICE_MIN && all_zero(file + at, n))
			return true;
		at += n;
	}
	return false;
}

static enum dr_err scan_bytes(const char *path, const uint8_t *p, size_t len, struct dr_error *e)
{
	size_t at = 8;
	unsigned batch = 1;

	if (all_zero(p, len))
		return DR_OK; /* allocated, never written */
	if (len < 8 || le(p, 8) != 1)
		return dr_fail(e, DR_E_CORRUPT, "%s: the first 8 bytes are damaged", path);
	while (at < len && !all_zero(p + at, len - at)) {
		bool whole;
		size_t extent = batch_extent(p + at, len - at, &whole);

		if (!whole && is_torn(p, at, extent))
			return DR_OK; /* a write that a crash cut off: never reported done */
		if (!whole)
			return dr_fail(e, DR_E_CORRUPT, "%s: batch %u at byte %zu is damaged", path, batch,
				       at);
		at += extent;
		batch++;
	}
	return DR_OK;
}

enum dr_err dr_scan_open_segments(const char *dir, struct dr_error *e)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	struct dr_buf file;
	enum dr_err rv = DR_OK;

	if (d == NULL)
		return dr_fail_errno(e, errno, "read folder %s", dir);
	dr_buf_init(&file, SEGMENT_MAX);
	while (rv == DR_OK && (entry = readdir(d)) != NULL) {
		char path[DR_PATH_MAX + 64];

		if (strncmp(entry->d_name, "open-", 5) != 0 ||
		    snprintf(path, sizeof path, "%s/%s", dir, entry->d_name) >= (int)sizeof path)
			continue;
		dr_buf_clear(&file);
		rv = dr_file_read(path, &file, e);
		if (rv == DR_OK)
			rv = scan_bytes(path, file.data, file.len, e);
	}
	dr_buf_close(&file);
	(void)closedir(d);
	return rv;
}
