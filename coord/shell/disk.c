/* disk.c -- see disk.h.
 *
 * A coordinator on a full disk goes on for a while: libraft has made its next segments before it needs them, and
 * what can't be stored is kept in memory.  Nothing fails until then, so nothing else would tell. */
#include "coord/shell/disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/statvfs.h>

#include "sys/log.h"

enum { EVERY_MS = 1000 };
/* Some segments and a snapshot; twice that, and it is well again. */
static const uint64_t FULL_BYTES = UINT64_C(8) << 20;

static struct {
	uint64_t looked_ms; /* 0: never */
	uint64_t free_bytes;
	bool full, unknown; /* as was last said */
} disk;

static void say(const char *folder, uint64_t left)
{
	if (disk.full)
		dr_log(DR_LOG_ERROR, "disk.full",
		       "folder=%s free_bytes=%" PRIu64 " why=\"the disk of the log is full: this coordinator soon "
		       "stores nothing more, and the cluster has one copy less\" "
		       "next=\"make room on it, %" PRIu64 " MiB at least; then it goes on by itself\"",
		       folder, left, 2 * (FULL_BYTES >> 20));
	else
		dr_log(DR_LOG_INFO, "disk.room", "folder=%s free_bytes=%" PRIu64, folder, left);
}

void dr_disk_beat(const char *folder, uint64_t now_ms)
{
	struct statvfs fs;
	if (disk.looked_ms != 0 && now_ms < disk.looked_ms + EVERY_MS)
		return;
	disk.looked_ms = now_ms;
	if (statvfs(folder, &fs) != 0) {
		if (!disk.unknown)
			dr_log(DR_LOG_ERROR, "disk.unknown", "folder=%s why=\"%s\"", folder, strerror(errno));
		disk.unknown = true;
		return;
	}
	disk.unknown = false;
	uint64_t left = disk.free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	bool full = left < (disk.full ? 2 * FULL_BYTES : FULL_BYTES);
	if (full == disk.full)
		return;
	disk.full = full;
	say(folder, left);
}

uint64_t dr_disk_free(void)
{
	return disk.free_bytes;
}
