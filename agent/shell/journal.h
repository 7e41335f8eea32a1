/* journal.h -- a small record that survives power loss, and is never silently empty or old.
 *
 * One file, replaced by rename after fsync: a crash leaves the old or the new record, so a record that
 * doesn't check out is damage, not a torn write.  Blocking (one or two fsyncs); the caller decides from where. */
#ifndef DR_AGENT_SHELL_JOURNAL_H
#define DR_AGENT_SHELL_JOURNAL_H

#include "base/buf.h"
#include "base/error.h"

enum { DR_JOURNAL_BYTES_MAX = 64 * 1024 };

/* After DR_OK the bytes are durable; after an error the old record or the new one stands. */
DR_MUST_USE enum dr_err dr_journal_store_write(const char *path, const void *bytes, size_t len,
					       struct dr_error *e);

/* Append the record's bytes to *out.  NOT_FOUND: never written (or the file is lost).  CORRUPT: it is
 * damaged, cut short, or of a newer version.  IO: it could not be read now. */
DR_MUST_USE enum dr_err dr_journal_store_read(const char *path, struct dr_buf *out, struct dr_error *e);

#endif
