/* hello.h -- the first frame on a connection between coordinators that carries raft.
 *
 * The connecting side sends HELLO (frame type 1, first payload byte DR_HELLO_RAFT), waits for HELLO_OK
 * (frame type 2, the accepting side's raft id), and sends raft's messages from then on (message.h): each a frame RAFT,
 * or, when it is large, frames RAFT_PART before it.
 * Other kinds of HELLO belong to whoever accepts connections: it looks at the first byte and hands raft's
 * to dr_raft_accept_hello(). */
#ifndef DR_RAFT_HELLO_H
#define DR_RAFT_HELLO_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "model/ids.h"
#include "model/spec.h"

enum { DR_FRAME_HELLO = 1, DR_FRAME_HELLO_OK = 2, DR_FRAME_RAFT = 4, DR_FRAME_RAFT_PART = 5 };
enum { DR_HELLO_RAFT = 1 };

struct dr_raft_hello {
	uint64_t from;             /* the sender's raft id */
	uint64_t to;               /* the raft id it wants to talk to */
	struct dr_name name;       /* the sender's name; must be its certificate's */
	struct dr_address address; /* where the sender listens, as the membership has it */
};

/* Append the payload to *out. */
void dr_raft_hello_encode(const struct dr_raft_hello *h, struct dr_buf *out);
/* PROTOCOL: not a HELLO of raft. */
DR_MUST_USE enum dr_err dr_raft_hello_decode(const uint8_t *payload, size_t len, struct dr_raft_hello *h,
					     struct dr_error *e);

/* "name@host:port" (host in brackets when it is IPv6): the address text that libraft carries. */
enum { DR_RAFT_ADDRESS_MAX = DR_NAME_MAX + DR_HOST_MAX + 16 };
void dr_raft_address_format(const struct dr_name *name, const struct dr_address *address,
			    char out[DR_RAFT_ADDRESS_MAX]);
DR_MUST_USE enum dr_err dr_raft_address_parse(const char *text, struct dr_name *name,
					      struct dr_address *address, struct dr_error *e);

#endif
