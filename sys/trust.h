/* trust.h -- whom we let decide what we run and read: the owners and modes of files, and where links lead.
 * Nothing here keeps state; any thread; it blocks as stat(2) does. */
#ifndef DR_SYS_TRUST_H
#define DR_SYS_TRUST_H

#include "base/error.h"

/* That nobody but root and our own user can change what the path leads to: it, and every folder above it, also those behind
 * symbolic links, belong to one of them, and neither group nor others may write there (a folder with the sticky bit excepted,
 * where nobody can replace another's entry).  As sshd's StrictModes.  REFUSED names the first place, its owner and mode, and
 * what to do; NOT_FOUND, DENIED. */
DR_MUST_USE enum dr_err dr_trust_program(const char *path, struct dr_error *e);

/* That an absolute path lies in a folder, after the symbolic links of both.  What is not there yet is judged by its words.
 * REFUSED. */
DR_MUST_USE enum dr_err dr_trust_in_folder(const char *path, const char *folder, struct dr_error *e);

#endif
