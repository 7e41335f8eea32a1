/* tsig.h -- signing DNS messages with a shared key (RFC 8945): hmac-sha256 and hmac-sha512.
 *
 * No clock in here: the time comes in as seconds since 1970.  Any thread, on its own records.  A key holds
 * a secret: wipe it with dr_tsig_key_close(). */
#ifndef DR_ADAPTERS_DNS_RFC2136_TSIG_H
#define DR_ADAPTERS_DNS_RFC2136_TSIG_H

#include "adapters/dns_rfc2136/codec.h"
#include "model/spec.h"

enum { DR_TSIG_SECRET_MAX = 256, DR_TSIG_FUDGE_S = 300 };

struct dr_tsig_key {
	struct dr_dns_name name;
	enum dr_tsig_algorithm algorithm;
	struct dr_dns_name algorithm_name;
	size_t secret_len;
	uint8_t secret[DR_TSIG_SECRET_MAX];
};

/* What a request was signed with; the response's signature covers it. */
struct dr_tsig_mac {
	size_t len;
	uint8_t bytes[DR_DNS_MAC_MAX];
};

/* The key of this name and algorithm from text: either one line of base64, or `key "name" { algorithm ...;
 * secret "..."; };` as tsig-keygen prints it (several keys may stand there).  INVALID: not understood, or
 * another algorithm; NOT_FOUND: no key of that name in it.  No message holds the secret. */
DR_MUST_USE enum dr_err dr_tsig_key_parse(struct dr_tsig_key *k, const char *name,
					  enum dr_tsig_algorithm algorithm, const char *text,
					  struct dr_error *e);
/* The same from a file; the message names it. */
DR_MUST_USE enum dr_err dr_tsig_key_load(struct dr_tsig_key *k, const char *name,
					 enum dr_tsig_algorithm algorithm, const char *file,
					 struct dr_error *e);
void dr_tsig_key_close(struct dr_tsig_key *k);

/* Append the TSIG record to a finished message and note its MAC.  request: NULL for a request; for an answer,
 * what the request was signed with. */
void dr_tsig_sign(struct dr_dns_out *o, const struct dr_tsig_key *k, uint64_t now_s,
		  const struct dr_tsig_mac *request, struct dr_tsig_mac *mac);

/* Whether the message (data, decoded as m) carries our key's signature over itself and over the request's
 * MAC, at a time within the fudge.  AUTH when not, with what is wrong.  request may be NULL (then the
 * message is taken as a request itself). */
DR_MUST_USE enum dr_err dr_tsig_verify(const void *data, const struct dr_dns_msg *m,
				       const struct dr_tsig_key *k, const struct dr_tsig_mac *request,
				       uint64_t now_s, struct dr_error *e);

#endif
