/* scan.h -- look at libraft's open segments before libraft does.
 *
 * libraft takes every damaged batch in an open segment for a torn write, cuts the file there and starts.
 * Here the two are told apart: a torn write leaves at least one sector of the batch unwritten (zeros),
 * a batch whose sectors were all written but whose checksum is wrong has been damaged. */
#ifndef DR_RAFT_SCAN_H
#define DR_RAFT_SCAN_H

#include "base/error.h"

/* CORRUPT: names the file and the byte. Changes nothing. */
DR_MUST_USE enum dr_err dr_scan_open_segments(const char *dir, struct dr_error *e);

#endif
