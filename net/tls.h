/* tls.h -- certificates: who somebody is, and the reloadable TLS 1.3 context.
 *
 * Identity stands in the certificate as one URI subjectAltName: "drcoord:KIND/NAME", KIND being
 * coordinator, agent, viewer, operator, approver or admin.  Roles of people rise in that order: an
 * approver may do what an operator may, an admin all. */
#ifndef DR_NET_TLS_H
#define DR_NET_TLS_H

#include <stdint.h>

#include "base/error.h"
#include "model/ids.h"

enum dr_peer_kind {
	DR_PEER_NONE,
	DR_PEER_COORDINATOR,
	DR_PEER_AGENT,
	DR_PEER_VIEWER,
	DR_PEER_OPERATOR,
	DR_PEER_APPROVER,
	DR_PEER_ADMIN,
	DR_PEER_KIND_COUNT
};
const char *dr_peer_kind_name(enum dr_peer_kind k);
enum dr_peer_kind dr_peer_kind_find(const char *word); /* NONE when unknown */

struct dr_identity {
	enum dr_peer_kind kind;
	struct dr_name name; /* empty in a wish: any */
};

struct dr_tls_files {
	const char *ca;   /* PEM: who may sign */
	const char *cert; /* PEM chain */
	const char *key;  /* PEM; refused when others may read it */
};

/* Reference counted; connections hold one each.  One loop's thread: connections of two loops need two.
 * Opening one also makes the process ignore SIGPIPE where it has the default action: libuv does not. */
struct dr_tls;

/* Load and check: the key fits the certificate, the certificate is signed by the CA, has one drcoord
 * identity and has not expired; each error names the file and says what to do. */
DR_MUST_USE enum dr_err dr_tls_open(struct dr_tls **out, const struct dr_tls_files *files, struct dr_error *e);
/* Read the files again for connections made from now on; on error the old ones stay in use. */
DR_MUST_USE enum dr_err dr_tls_reload(struct dr_tls *t, struct dr_error *e);
const struct dr_identity *dr_tls_self(const struct dr_tls *t);
/* Seconds since 1970 when our own certificate ends. */
int64_t dr_tls_expires(const struct dr_tls *t);
void dr_tls_close(struct dr_tls *t);

/* Keys and certificates for `drcoordctl pki`: EC P-256, written 0600 (keys) and 0644, never over an existing
 * file. */
DR_MUST_USE enum dr_err dr_pki_init(const char *dir, const char *cluster, uint32_t days, struct dr_error *e);
DR_MUST_USE enum dr_err dr_pki_issue(const char *dir, const struct dr_identity *who, uint32_t days,
				     const char *out_prefix, struct dr_error *e);
/* The same with both ends given in seconds since 1970, for short or back-dated ones.  A certificate never
 * outlives its CA: a later end becomes the CA's, here and above. */
DR_MUST_USE enum dr_err dr_pki_issue_period(const char *dir, const struct dr_identity *who, int64_t from,
					    int64_t until, const char *out_prefix, struct dr_error *e);

#endif
