/* dns_fake.h -- a DNS server on the test's own loop that can be told to misbehave, and that checks what
 * clients (ours and others') sign. */
#ifndef DR_TESTS_CONTRACT_DNS_FAKE_H
#define DR_TESTS_CONTRACT_DNS_FAKE_H

#include "adapters/dns_rfc2136/route.h"
#include "adapters/dns_rfc2136/tsig.h"
#include "rig.h"

enum dns_fake_mode {
	FAKE_HONEST,
	FAKE_IGNORES,   /* says yes, signed, and changes nothing */
	FAKE_UNSIGNED,  /* does it, and does not sign the answer */
	FAKE_FORGED,    /* does nothing, and signs the answer with nonsense */
	FAKE_SILENT,    /* does it, and closes the connection instead of answering */
	FAKE_CONTENDED, /* the first `conflicts` updates are answered NXRRSET */
	FAKE_GARBAGE    /* answers everything with bytes that are no message */
};

struct dns_fake {
	struct rig *rig;
	uv_tcp_t listener;
	struct dr_address at;
	enum dns_fake_mode mode;
	unsigned conflicts;
	struct dr_tsig_key key;
	struct dr_dns_route names; /* of the record it serves */
	struct dr_dns_set a, marker;
	unsigned updates, verified; /* seen; of these rightly signed */
	unsigned open;
	struct fake_conn *conns;
};

void dns_fake_start(struct rig *r, struct dns_fake *f, enum dns_fake_mode mode, const char *record);
void dns_fake_stop(struct dns_fake *f);

#endif
