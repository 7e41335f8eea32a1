/* journal_codec.h -- the agent's journal as bytes (the store that keeps them: journal.h). */
#ifndef DR_AGENT_SHELL_JOURNAL_CODEC_H
#define DR_AGENT_SHELL_JOURNAL_CODEC_H

#include "agent/core/agent_core.h"
#include "base/buf.h"

void dr_agent_journal_encode(struct dr_buf *out, const struct dr_agent_journal *j);
/* CORRUPT: the bytes are cut short, or of a format that this build doesn't read (it does
 * this one and the one before); *j is then of no use. */
DR_MUST_USE enum dr_err dr_agent_journal_decode(struct dr_agent_journal *j, const uint8_t *p, size_t n,
						struct dr_error *e);

#endif
