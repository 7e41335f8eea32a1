/* record.h -- what drcoord wrote last to a file, kept beside it as FILE.drcoord: a few lines of "key=value".
 *
 * It names two hashes, of what is to stand there and of what stood there before, and is durable before the file is
 * replaced: whichever of the two a crash leaves is ours; anything else is somebody else's.  Any thread. */
#ifndef DR_ADAPTERS_FILE_RECORD_H
#define DR_ADAPTERS_FILE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/ids.h"

enum { DR_FILE_HASH = 65 }; /* SHA-256 in hex, with the NUL */
#define DR_FILE_NOTHING "nothing" /* in place of a hash: no file */

struct dr_file_record {
	bool known;          /* there is one */
	struct dr_name service; /* whom it is for; empty: not noted, as by older versions */
	uint64_t epoch, plan;
	bool reloaded;       /* the reload has succeeded since */
	char is[DR_FILE_HASH], was[DR_FILE_HASH];
};

void dr_file_hash(const void *data, size_t len, char out[DR_FILE_HASH]);
/* None is no error; CONFLICT: there is one that is not whole. */
DR_MUST_USE enum dr_err dr_file_record_read(const char *path, struct dr_file_record *out, struct dr_error *e);
DR_MUST_USE enum dr_err dr_file_record_write(const char *path, const struct dr_file_record *r, struct dr_error *e);

#endif
