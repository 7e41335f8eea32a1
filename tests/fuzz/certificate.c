/* certificate.c -- what is read from a peer's certificate before anybody vouches for it. */
#include <string.h>

#include <openssl/err.h>

#include "fuzz.h"
#include "net/cert.h"

static void words(const X509 *cert)
{
	char text[DR_CERT_TEXT_MAX];
	char date[DR_CERT_DATE_MAX];
	struct dr_error e = { 0 };
	dr_cert_name(X509_get_subject_name(cert), text, sizeof(text));
	for (const char *c = text; *c != '\0'; c++)
		FUZZ_CHECK(*c >= ' ' && *c <= '~');
	dr_cert_date(dr_cert_time(X509_get0_notAfter(cert)), date);
	FUZZ_CHECK(date[0] != '\0');
	for (int err = X509_V_ERR_UNSPECIFIED; err <= X509_V_ERR_EC_KEY_EXPLICIT_PARAMS; err++) {
		enum dr_err rv = dr_cert_verdict(err, err % 2, cert, "the certificate", "ca.crt", &e);
		fuzz_refused(rv, &e);
	}
}

void fuzz_certificate(const uint8_t *p, size_t n)
{
	const unsigned char *at = p;
	struct dr_identity who = { .kind = DR_PEER_NONE };
	char text[DR_CERT_TEXT_MAX];
	struct dr_error e = { 0 };
	X509 *cert = d2i_X509(NULL, &at, (long)n);
	if (cert != NULL) {
		enum dr_err rv = dr_cert_identity(cert, &who, &e);
		if (rv == DR_OK) {
			FUZZ_CHECK(who.kind > DR_PEER_NONE && who.kind < DR_PEER_KIND_COUNT &&
				   who.name.s[0] != '\0');
			dr_identity_text(&who, text, sizeof(text));
			FUZZ_CHECK(strstr(text, who.name.s) != NULL);
		} else {
			fuzz_refused(rv, &e);
			FUZZ_CHECK(who.kind == DR_PEER_NONE);
		}
		words(cert);
	}
	X509_free(cert);
	ERR_clear_error();
}
