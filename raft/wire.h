/* wire.h -- what another coordinator sends to libraft, looked at before libraft sees it.
 *
 * libraft's decoders believe every length and count that they read: a header's, entries', an address's in a
 * configuration.  The other side has shown a coordinator's certificate, but one that was taken over, or has a bug,
 * may end its own process, not ours.  Nothing is changed here and nothing held back: bytes pass, or the
 * connection ends before the message that is wrong was whole.
 *
 * Pure: no I/O.  Memory: one header, of at most DR_WIRE_HEADER_MAX, and grows with the bytes that came. */
#ifndef DR_RAFT_WIRE_H
#define DR_RAFT_WIRE_H

#include "base/buf.h"
#include "base/error.h"

enum {
	DR_WIRE_PREAMBLE = 16,          /* u64 type and version, u64 length of the header; all is little endian */
	DR_WIRE_HEADER_MAX = 4 << 20,   /* a quarter of a million entries; a follower that lacks more gets a snapshot */
	DR_WIRE_ENTRY_MAX = 16 << 20,   /* bytes of one */
	DR_WIRE_PAYLOAD_MAX = 1 << 30,  /* of all of a message's entries, or of a snapshot */
	DR_WIRE_CONFIGURATION_MAX = 8192
};

struct dr_wire {
	uint8_t preamble[DR_WIRE_PREAMBLE];
	size_t have; /* of it */
	struct dr_buf header;
	size_t header_len;    /* 0: the preamble is not whole */
	uint64_t entries, at; /* of the message whose payload comes, and which one */
	uint64_t left;        /* bytes of that one, or of the snapshot */
	struct dr_buf change; /* an entry that changes the membership */
};

void dr_wire_init(struct dr_wire *w);
void dr_wire_close(struct dr_wire *w);
/* Take more of the stream; PROTOCOL: none of these bytes may go further, and no later ones. */
DR_MUST_USE enum dr_err dr_wire_take(struct dr_wire *w, const uint8_t *data, size_t len, struct dr_error *e);

#endif
