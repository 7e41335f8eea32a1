/* cert.h -- reading certificates and keys, and saying in words what is wrong with one.  Private to net/.
 *
 * Texts taken from a certificate that was not verified are escaped and cut. */
#ifndef DR_NET_CERT_H
#define DR_NET_CERT_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/tls.h"

enum {
	DR_CERT_TEXT_MAX = 160, /* bytes of a name or identity in text with its NUL */
	DR_CERT_DATE_MAX = 32   /* bytes of "2026-01-31 12:00:00 UTC" with its NUL */
};

/* All certificates of a PEM file, at least one; the caller frees with dr_certs_free(). */
DR_MUST_USE enum dr_err dr_certs_read(const char *path, const char *what, STACK_OF(X509) * *out,
				      struct dr_error *e);
void dr_certs_free(STACK_OF(X509) * certs);
/* A private key; DENIED when users other than the owner may read it. */
DR_MUST_USE enum dr_err dr_key_read(const char *path, EVP_PKEY **out, struct dr_error *e);

/* The one drcoord identity of a certificate; the message does not say whose certificate it is. */
DR_MUST_USE enum dr_err dr_cert_identity(const X509 *cert, struct dr_identity *out, struct dr_error *e);
/* "coordinator/c-a"; a wish without a name is "any coordinator". */
void dr_identity_text(const struct dr_identity *who, char *out, size_t cap);

int64_t dr_cert_time(const ASN1_TIME *t); /* seconds since 1970 */
void dr_cert_date(int64_t when, char out[DR_CERT_DATE_MAX]);
void dr_cert_name(const X509_NAME *name, char *out, size_t cap);

/* What OpenSSL's X509_V_ERR_* means for `whose` ("our certificate x.crt") and what to do, as DR_E_CERT. */
enum dr_err dr_cert_verdict(int err, int depth, const X509 *cert, const char *whose, const char *ca_path,
			    struct dr_error *e);

/* CERT or IO with the newest message of OpenSSL's error queue, which is emptied. */
enum dr_err dr_fail_ssl(struct dr_error *e, enum dr_err code, const char *fmt, ...) DR_PRINTF(3, 4);

#endif
