/* file.h -- whole small files: read with a bound, replace atomically and durably. */
#ifndef DR_SYS_FILE_H
#define DR_SYS_FILE_H

#include "base/buf.h"
#include "base/error.h"

/* Append the file's bytes to *out; RANGE when it is larger than out's bound allows. */
DR_MUST_USE enum dr_err dr_file_read(const char *path, struct dr_buf *out, struct dr_error *e);

/* The first line of a file without its newline, as secrets are kept; dst is emptied first. */
DR_MUST_USE enum dr_err dr_file_read_line(const char *path, char *dst, size_t cap, struct dr_error *e);

/* Write "path.new", fsync it, rename it over path, fsync the folder: after a crash either the old or the
 * new bytes are there.  mode as in open(2). */
DR_MUST_USE enum dr_err dr_file_replace(const char *path, const void *data, size_t len, unsigned mode,
					struct dr_error *e);

/* Make the folder and its parents (0700 each); one that exists is fine. */
DR_MUST_USE enum dr_err dr_dir_make(const char *path, struct dr_error *e);

/* Nothing is in it, or it is not there; what a file system keeps for itself (lost+found) is nothing.  One that can't be read is
 * not empty. */
bool dr_dir_is_empty(const char *path);

/* fsync(2) of a folder, so that names made or removed in it last. */
DR_MUST_USE enum dr_err dr_dir_sync(const char *path, struct dr_error *e);

#endif
