/* tsig.c -- see tsig.h. */
#include "adapters/dns_rfc2136/tsig.h"

#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/assert.h"
#include "base/buf.h"
#include "sys/file.h"

enum { KEY_FILE_MAX = 64 * 1024, TOKEN_MAX = 512 };

/* The secret as base64 without spaces; strict, because a secret that is silently cut signs wrongly. */
static enum dr_err set_secret(struct dr_tsig_key *k, const char *base64, struct dr_error *e)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strlen(base64);
	size_t body = strspn(base64, digits);
	size_t pad = n - body;
	uint8_t out[TOKEN_MAX];

	if (n == 0 || n % 4 != 0 || pad > 2 || strspn(base64 + body, "=") != pad)
		return dr_fail(e, DR_E_INVALID, "the secret is not base64");
	if (n / 4 * 3 > sizeof(out) || n / 4 * 3 - pad > sizeof(k->secret))
		return dr_fail(e, DR_E_INVALID, "the secret has over %d bytes", DR_TSIG_SECRET_MAX);
	if (EVP_DecodeBlock(out, (const unsigned char *)base64, (int)n) < 0)
		return dr_fail(e, DR_E_INVALID, "the secret is not base64");
	k->secret_len = n / 4 * 3 - pad;
	memcpy(k->secret, out, k->secret_len);
	OPENSSL_cleanse(out, sizeof(out));
	return DR_OK;
}

/* The next token of a BIND-style file: a word, a quoted text (without its quotes), or one of "{};".
 * False at the end, or when a token is too long. */
static bool next_token(const char **at, char out[TOKEN_MAX])
{
	const char *p = *at;
	for (;;) {
		p += strspn(p, " \t\r\n");
		if (*p == '#' || (p[0] == '/' && p[1] == '/')) {
			p += strcspn(p, "\n");
		} else if (p[0] == '/' && p[1] == '*') {
			const char *end = strstr(p + 2, "*/");
			p = end != NULL ? end + 2 : p + strlen(p);
		} else {
			break;
		}
	}
	size_t n;
	bool quoted = *p == '"';
	if (quoted)
		n = strcspn(++p, "\"\n");
	else if (*p != '\0' && strchr("{};", *p) != NULL)
		n = 1;
	else
		n = strcspn(p, " \t\r\n{};\"");
	if (n >= TOKEN_MAX || (n == 0 && !quoted) || (quoted && p[n] != '"'))
		return false;
	memcpy(out, p, n);
	out[n] = '\0';
	*at = p + n + (quoted ? 1 : 0);
	return true;
}

static bool token_is(const char **at, const char *want)
{
	char token[TOKEN_MAX];
	const char *was = *at;
	if (next_token(at, token) && strcmp(token, want) == 0)
		return true;
	*at = was;
	return false;
}

struct key_clause {
	char name[TOKEN_MAX];
	char algorithm[TOKEN_MAX];
	char secret[TOKEN_MAX];
};

/* `key NAME { algorithm WORD; secret TEXT; };` at *at; false when that is not what stands there. */
static bool take_clause(const char **at, struct key_clause *c)
{
	char token[TOKEN_MAX];
	c->algorithm[0] = c->secret[0] = '\0';
	if (!token_is(at, "key") || !next_token(at, c->name) || !token_is(at, "{"))
		return false;
	while (!token_is(at, "}")) {
		if (!next_token(at, token))
			return false;
		char *to = strcmp(token, "algorithm") == 0 ? c->algorithm
			   : strcmp(token, "secret") == 0  ? c->secret
							   : NULL;
		if (to == NULL || !next_token(at, to) || !token_is(at, ";"))
			return false;
	}
	(void)token_is(at, ";");
	return true;
}

static enum dr_err find_clause(struct dr_tsig_key *k, const char *name, const char *text, struct dr_error *e)
{
	struct key_clause c;
	struct dr_dns_name found;
	enum dr_err rv = dr_fail(e, DR_E_NOT_FOUND, "no key \"%s\" stands in it", name);

	for (const char *at = text; rv == DR_E_NOT_FOUND && take_clause(&at, &c);) {
		if (dr_dns_name_from_text(&found, c.name, NULL) != DR_OK || !dr_dns_name_eq(&found, &k->name))
			continue;
		const char *want = dr_tsig_algorithm_name(k->algorithm);
		if (strcasecmp(c.algorithm, want) != 0)
			rv = dr_fail(e, DR_E_INVALID, "key \"%s\" there is for %s, the route says %s", name,
				     c.algorithm[0] != '\0' ? c.algorithm : "no algorithm", want);
		else
			rv = set_secret(k, c.secret, e);
	}
	OPENSSL_cleanse(&c, sizeof(c));
	return rv;
}

enum dr_err dr_tsig_key_parse(struct dr_tsig_key *k, const char *name, enum dr_tsig_algorithm algorithm,
			      const char *text, struct dr_error *e)
{
	char first[TOKEN_MAX] = "";
	char second[TOKEN_MAX] = "";
	const char *at = text;
	enum dr_err rv;

	memset(k, 0, sizeof(*k));
	k->algorithm = algorithm;
	if ((rv = dr_dns_name_from_text(&k->name, name, e)) != DR_OK ||
	    (rv = dr_dns_name_from_text(&k->algorithm_name, dr_tsig_algorithm_name(algorithm), e)) != DR_OK)
		return rv;
	if (!next_token(&at, first))
		rv = dr_fail(e, DR_E_INVALID, "neither a line of base64 nor a key clause");
	else if (next_token(&at, second))
		rv = find_clause(k, name, text, e);
	else
		rv = set_secret(k, first, e);
	OPENSSL_cleanse(first, sizeof(first));
	OPENSSL_cleanse(second, sizeof(second));
	if (rv != DR_OK)
		dr_tsig_key_close(k);
	return rv;
}

enum dr_err dr_tsig_key_load(struct dr_tsig_key *k, const char *name, enum dr_tsig_algorithm algorithm,
			     const char *file, struct dr_error *e)
{
	struct dr_buf text;
	dr_buf_init(&text, KEY_FILE_MAX);
	enum dr_err rv = dr_file_read(file, &text, e);
	if (rv != DR_OK) {
		rv = dr_wrap(e, "TSIG secret");
		goto out;
	}
	dr_buf_put_u8(&text, 0);
	if (!dr_buf_ok(&text)) {
		rv = dr_fail(e, DR_E_RANGE, "TSIG secret file %s: too large", file);
		goto out;
	}
	rv = dr_tsig_key_parse(k, name, algorithm, (const char *)text.data, e);
	if (rv != DR_OK)
		rv = dr_wrap(e, "TSIG secret file %s", file);
out:
	if (text.data != NULL)
		OPENSSL_cleanse(text.data, text.cap);
	dr_buf_close(&text);
	return rv;
}

void dr_tsig_key_close(struct dr_tsig_key *k)
{
	OPENSSL_cleanse(k, sizeof(*k));
}

static const EVP_MD *digest_of(const struct dr_tsig_key *k)
{
	return k->algorithm == DR_TSIG_HMAC_SHA512 ? EVP_sha512() : EVP_sha256();
}

static void put_u48(struct dr_buf *b, uint64_t v)
{
	dr_buf_put_u16be(b, (uint16_t)(v >> 32));
	dr_buf_put_u32be(b, (uint32_t)v);
}

/* RFC 8945, 4.3: what the MAC is over.  The message is given without its TSIG record, with the original
 * ID and the count of additional records that it had before signing. */
static void mac_over(const struct dr_tsig_key *k, const struct dr_tsig_mac *request, const uint8_t header[12],
		     const uint8_t *body, size_t body_len, const struct dr_dns_tsig *t,
		     struct dr_tsig_mac *out)
{
	struct dr_buf b;
	dr_buf_init(&b, 2 * (size_t)DR_DNS_MESSAGE_MAX);
	if (request != NULL) {
		dr_buf_put_u16be(&b, (uint16_t)request->len);
		dr_buf_put(&b, request->bytes, request->len);
	}
	dr_buf_put(&b, header, 12);
	dr_buf_put(&b, body, body_len);
	dr_buf_put(&b, k->name.wire, k->name.len);
	dr_buf_put_u16be(&b, DR_DNS_ANY);
	dr_buf_put_u32be(&b, 0);
	dr_buf_put(&b, k->algorithm_name.wire, k->algorithm_name.len);
	put_u48(&b, t->time_s);
	dr_buf_put_u16be(&b, t->fudge_s);
	dr_buf_put_u16be(&b, t->error);
	dr_buf_put_u16be(&b, t->other_len);
	dr_buf_put(&b, t->other, t->other_len);
	dr_assert(dr_buf_ok(&b));

	unsigned len = 0;
	const unsigned char *made =
	    HMAC(digest_of(k), k->secret, (int)k->secret_len, b.data, b.len, out->bytes, &len);
	dr_assert(made != NULL);
	dr_assert(len <= sizeof(out->bytes));
	out->len = len;
	dr_buf_close(&b);
}

void dr_tsig_sign(struct dr_dns_out *o, const struct dr_tsig_key *k, uint64_t now_s,
		  const struct dr_tsig_mac *request, struct dr_tsig_mac *mac)
{
	struct dr_dns_tsig t = { .time_s = now_s, .fudge_s = DR_TSIG_FUDGE_S };
	struct dr_buf rdata;

	if (o->over)
		return;
	dr_assert(o->len >= 12);
	mac_over(k, request, o->data, o->data + 12, o->len - 12, &t, mac);
	dr_buf_init(&rdata, 1024);
	dr_buf_put(&rdata, k->algorithm_name.wire, k->algorithm_name.len);
	put_u48(&rdata, t.time_s);
	dr_buf_put_u16be(&rdata, t.fudge_s);
	dr_buf_put_u16be(&rdata, (uint16_t)mac->len);
	dr_buf_put(&rdata, mac->bytes, mac->len);
	dr_buf_put(&rdata, o->data, 2); /* the original ID */
	dr_buf_put_u16be(&rdata, 0);
	dr_buf_put_u16be(&rdata, 0);
	dr_assert(dr_buf_ok(&rdata));
	dr_dns_put_rr(o, DR_DNS_ADDITIONAL, &k->name, DR_DNS_TSIG, DR_DNS_ANY, 0, rdata.data, rdata.len);
	dr_buf_close(&rdata);
}

enum dr_err dr_tsig_verify(const void *data, const struct dr_dns_msg *m, const struct dr_tsig_key *k,
			   const struct dr_tsig_mac *request, uint64_t now_s, struct dr_error *e)
{
	const struct dr_dns_tsig *t = &m->tsig;
	const uint8_t *bytes = data;
	struct dr_tsig_mac want;
	uint8_t header[12];

	if (!m->has_tsig)
		return dr_fail(e, DR_E_AUTH, "the answer is not signed");
	if (!dr_dns_name_eq(&t->key, &k->name) || !dr_dns_name_eq(&t->algorithm, &k->algorithm_name))
		return dr_fail(e, DR_E_AUTH, "the answer is signed with another key or algorithm");
	dr_assert(t->at >= sizeof(header));
	memcpy(header, bytes, sizeof(header));
	header[0] = (uint8_t)(t->original_id >> 8);
	header[1] = (uint8_t)t->original_id;
	unsigned additional = m->count[DR_DNS_ADDITIONAL] - 1u;
	header[10] = (uint8_t)(additional >> 8);
	header[11] = (uint8_t)additional;
	mac_over(k, request, header, bytes + sizeof(header), t->at - sizeof(header), t, &want);

	/* RFC 8945 allows shortened MACs where both sides agreed to them; we never do. */
	if (t->mac_len != want.len || CRYPTO_memcmp(t->mac, want.bytes, want.len) != 0)
		return dr_fail(e, DR_E_AUTH, "the answer's signature is wrong");
	uint64_t apart = now_s > t->time_s ? now_s - t->time_s : t->time_s - now_s;
	if (apart > t->fudge_s)
		return dr_fail(e, DR_E_AUTH, "the answer was signed %llu s away from our clock",
			       (unsigned long long)apart);
	return DR_OK;
}
