/* pg_final.c -- see pg_final.h.
 *
 * struct ControlFileData (src/include/catalog/pg_control.h), native byte order: system_identifier u64 at 0,
 * pg_control_version u32 at 8, state i32 at 16, checkPoint u64 at 32, checkPointCopy.ThisTimeLineID u32 at 48. */
#include "agent/shell/pg_final.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "sys/file.h"

enum {
	VERSION_AT = 8, STATE_AT = 16, CHECKPOINT_AT = 32, TIMELINE_AT = 48, HEAD_BYTES = 56,
	CONTROL_13_TO_16 = 1300, CONTROL_17 = 1700, DB_SHUTDOWNED = 1
};

static uint32_t u32_at(const struct dr_buf *b, size_t at)
{
	uint32_t v;
	memcpy(&v, b->data + at, sizeof(v));
	return v;
}

static uint64_t u64_at(const struct dr_buf *b, size_t at)
{
	uint64_t v;
	memcpy(&v, b->data + at, sizeof(v));
	return v;
}

enum dr_err dr_pg_final_read(const char *data_dir, struct dr_pg_final *out, struct dr_error *e)
{
	char path[DR_PATH_MAX + 32];
	struct dr_buf b;
	(void)snprintf(path, sizeof(path), "%s/global/pg_control", data_dir);
	dr_buf_init(&b, 16384);
	enum dr_err rv = dr_file_read(path, &b, e);
	if (rv == DR_OK && b.len < HEAD_BYTES)
		rv = dr_fail(e, DR_E_CORRUPT, "%s has %zu bytes only", path, b.len);
	if (rv == DR_OK) {
		uint32_t version = u32_at(&b, VERSION_AT);
		if (version != CONTROL_13_TO_16 && version != CONTROL_17)
			rv = dr_fail(e, DR_E_UNSUPPORTED, "%s has version %u; known are %d and %d", path, version,
				     CONTROL_13_TO_16, CONTROL_17);
	}
	if (rv == DR_OK)
		*out = (struct dr_pg_final){ .system_id = u64_at(&b, 0), .timeline = u32_at(&b, TIMELINE_AT),
					     .checkpoint = u64_at(&b, CHECKPOINT_AT),
					     .shut_down = u32_at(&b, STATE_AT) == DB_SHUTDOWNED };
	dr_buf_close(&b);
	return rv;
}
