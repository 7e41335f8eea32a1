/* link.h -- one TCP connection to a DNS server: messages out, messages in, each with its length in front.
 *
 * Threads: the loop's.  A link lives on the heap; its owner holds the pointer until it calls
 * dr_dns_link_drop(), also after `failed`.  From then on none of the owner's functions but `gone` is
 * called, and that exactly once, when the handle is closed.  No time is kept here: deadlines are the owner's. */
#ifndef DR_ADAPTERS_DNS_RFC2136_LINK_H
#define DR_ADAPTERS_DNS_RFC2136_LINK_H

#include <uv.h>

#include "base/error.h"
#include "model/spec.h"

struct dr_dns_link;
struct dr_dns_link_owner {
	void *ctx;
	/* One whole message; the bytes are the link's and go when this returns.  The link may be dropped. */
	void (*message)(void *ctx, const uint8_t *data, size_t len);
	/* The connection could not be made, or ended.  Never from inside open or send. */
	void (*failed)(void *ctx, const struct dr_error *e);
	void (*gone)(void *ctx);
};

/* Begin to connect.  On an error *out is NULL and `gone` is still called later, exactly when `*out` would
 * have been dropped: count the link before calling this. */
DR_MUST_USE enum dr_err dr_dns_link_open(struct dr_dns_link **out, uv_loop_t *loop,
					 const struct dr_address *to, const struct dr_dns_link_owner *owner,
					 struct dr_error *e);
/* Send one message (at most 65535 bytes, copied), at once or as soon as connected. */
void dr_dns_link_send(struct dr_dns_link *l, const void *data, size_t len);
bool dr_dns_link_connected(const struct dr_dns_link *l);
void dr_dns_link_drop(struct dr_dns_link *l);

#endif
