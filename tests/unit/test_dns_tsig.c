/* test_dns_tsig.c -- keys from files, signatures made and checked.  That others agree with them is shown
 * against nsupdate and named in tests/contract/test_dns.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/dns_rfc2136/tsig.h"
#include "temp.h"

#define SECRET "Ll6M4zt1qJCV1gWICWcUoZ/GRGi6fE16LehChueOk84="
#define CLAUSE(name, algorithm)                                                                              \
	"key \"" name "\" {\n\talgorithm " algorithm ";\n\tsecret \"" SECRET "\";\n};\n"

static enum dr_err parse(const char *text, struct dr_tsig_key *k, struct dr_error *e)
{
	return dr_tsig_key_parse(k, "drcoord.", DR_TSIG_HMAC_SHA256, text, e);
}

static void keys_in_both_forms(void **state)
{
	(void)state;
	struct dr_tsig_key k, same;
	struct dr_error e;
	assert_int_equal(parse(SECRET "\n", &k, &e), DR_OK);
	assert_int_equal(k.secret_len, 32);
	assert_int_equal(k.secret[0], 0x2e);
	assert_int_equal(parse("  " SECRET, &k, &e), DR_OK);
	assert_int_equal(parse(CLAUSE("drcoord.", "hmac-sha256"), &same, &e), DR_OK);
	assert_memory_equal(k.secret, same.secret, 32);
	assert_int_equal(parse(CLAUSE("DRCOORD", "HMAC-SHA256"), &same, &e), DR_OK);
	assert_int_equal(parse("# made by hand\n// c\n/* key \"drcoord.\" */" CLAUSE("other.", "hmac-sha512")
				   CLAUSE("drcoord", "hmac-sha256"),
			       &same, &e),
			 DR_OK);
	assert_memory_equal(k.secret, same.secret, 32);
	assert_int_equal(parse("key drcoord{secret " SECRET ";algorithm hmac-sha256;}", &same, &e), DR_OK);
}

static void bad_keys_say_what_is_wrong_but_not_the_secret(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum dr_err code;
	} bad[] = {
		{ "", DR_E_INVALID },
		{ "\n\n", DR_E_INVALID },
		{ "Ll6M4zt1qJ=V1gWI", DR_E_INVALID },
		{ "Ll6M4zt1qJCV1gW", DR_E_INVALID },
		{ "Ll6M====", DR_E_INVALID },
		{ "Ll6M4zt1-JCV1gWI", DR_E_INVALID },
		{ CLAUSE("other.", "hmac-sha256"), DR_E_NOT_FOUND },
		{ CLAUSE("drcoord.", "hmac-sha512"), DR_E_INVALID },
		{ CLAUSE("drcoord.", "hmac-md5"), DR_E_INVALID },
		{ "key \"drcoord.\" { algorithm hmac-sha256; };", DR_E_INVALID },
		{ "key \"drcoord.\" { algorithm hmac-sha256; secret \"" SECRET, DR_E_NOT_FOUND },
		{ "key \"drcoord.\" {", DR_E_NOT_FOUND },
		{ "key", DR_E_INVALID },
		{ "/* never closed", DR_E_INVALID },
	};
	struct dr_tsig_key k;
	struct dr_error e;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(bad[i].text, &k, &e), bad[i].code);
		assert_null(strstr(e.msg, "Ll6M"));
		assert_int_equal(k.secret_len, 0);
	}
	char longer[1200];
	memset(longer, 'A', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(parse(longer, &k, &e), DR_E_INVALID);
	longer[400] = '\0';
	assert_int_equal(parse(longer, &k, &e), DR_E_INVALID);
}

static void a_key_file_is_named_in_errors(void **state)
{
	(void)state;
	struct dr_tsig_key k;
	struct dr_error e;
	char file[80];
	temp_template(file, sizeof(file), "dns-tsig");
	int fd = mkstemp(file);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, SECRET "\n", sizeof(SECRET)), sizeof(SECRET));
	assert_int_equal(dr_tsig_key_load(&k, "drcoord.", DR_TSIG_HMAC_SHA256, file, &e), DR_OK);
	assert_int_equal(k.secret_len, 32);
	assert_int_equal(ftruncate(fd, 5), 0);
	assert_int_equal(dr_tsig_key_load(&k, "drcoord.", DR_TSIG_HMAC_SHA256, file, &e), DR_E_INVALID);
	assert_non_null(strstr(e.msg, file));
	(void)close(fd);
	(void)unlink(file);
	assert_int_equal(dr_tsig_key_load(&k, "drcoord.", DR_TSIG_HMAC_SHA256, file, &e), DR_E_NOT_FOUND);
	assert_non_null(strstr(e.msg, file));
	dr_tsig_key_close(&k);
}

static void query(struct dr_dns_out *o, uint16_t flags)
{
	struct dr_dns_name n;
	assert_int_equal(dr_dns_name_from_text(&n, "demo.example.", NULL), DR_OK);
	dr_dns_begin(o, 0x1234, flags);
	dr_dns_put_question(o, &n, DR_DNS_SOA);
}

static void signed_messages_verify_and_changed_ones_do_not(void **state)
{
	(void)state;
	static struct dr_dns_out o;
	static struct dr_dns_msg m;
	struct dr_tsig_mac mac;
	struct dr_tsig_key k, other;
	struct dr_error e;
	enum dr_tsig_algorithm both[] = { DR_TSIG_HMAC_SHA256, DR_TSIG_HMAC_SHA512 };
	for (unsigned a = 0; a < 2; a++) {
		assert_int_equal(dr_tsig_key_parse(&k, "drcoord.", both[a], SECRET, &e), DR_OK);
		query(&o, DR_DNS_OP_UPDATE);
		dr_tsig_sign(&o, &k, 1000000, NULL, &mac);
		assert_int_equal(mac.len, a == 0 ? 32 : 64);
		assert_int_equal(dr_dns_decode(o.data, o.len, &m, NULL), DR_OK);
		assert_int_equal(m.count[DR_DNS_ADDITIONAL], 1);
		assert_int_equal(dr_tsig_verify(o.data, &m, &k, NULL, 1000300, &e), DR_OK);
		assert_int_equal(dr_tsig_verify(o.data, &m, &k, NULL, 999700, &e), DR_OK);
		assert_int_equal(dr_tsig_verify(o.data, &m, &k, NULL, 1000301, &e), DR_E_AUTH);
		assert_int_equal(dr_tsig_verify(o.data, &m, &k, NULL, 999699, &e), DR_E_AUTH);
		/* the request's MAC is part of what an answer is signed over */
		assert_int_equal(dr_tsig_verify(o.data, &m, &k, &mac, 1000000, &e), DR_E_AUTH);
		/* another key's name, another secret */
		assert_int_equal(dr_tsig_key_parse(&other, "else.", both[a], SECRET, &e), DR_OK);
		assert_int_equal(dr_tsig_verify(o.data, &m, &other, NULL, 1000000, &e), DR_E_AUTH);
		assert_int_equal(dr_tsig_key_parse(&other, "drcoord.", both[a], "AAAA", &e), DR_OK);
		assert_int_equal(dr_tsig_verify(o.data, &m, &other, NULL, 1000000, &e), DR_E_AUTH);
		/* every single bit counts, but the ID: there the original one in the TSIG stands for it */
		for (size_t i = 2; i < o.len; i++) {
			o.data[i] ^= 0x10;
			bool whole = dr_dns_decode(o.data, o.len, &m, NULL) == DR_OK;
			assert_false(whole && dr_tsig_verify(o.data, &m, &k, NULL, 1000000, &e) == DR_OK);
			o.data[i] ^= 0x10;
		}
		o.data[0] ^= 0x10;
		assert_int_equal(dr_dns_decode(o.data, o.len, &m, NULL), DR_OK);
		assert_int_equal(dr_tsig_verify(o.data, &m, &k, NULL, 1000000, &e), DR_OK);
	}
}

static void an_unsigned_answer_is_none(void **state)
{
	(void)state;
	static struct dr_dns_out o;
	static struct dr_dns_msg m;
	struct dr_tsig_key k;
	struct dr_error e;
	assert_int_equal(dr_tsig_key_parse(&k, "drcoord.", DR_TSIG_HMAC_SHA256, SECRET, &e), DR_OK);
	query(&o, DR_DNS_QR);
	assert_int_equal(dr_dns_decode(o.data, o.len, &m, NULL), DR_OK);
	assert_int_equal(dr_tsig_verify(o.data, &m, &k, NULL, 0, &e), DR_E_AUTH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_in_both_forms),
		cmocka_unit_test(bad_keys_say_what_is_wrong_but_not_the_secret),
		cmocka_unit_test(a_key_file_is_named_in_errors),
		cmocka_unit_test(signed_messages_verify_and_changed_ones_do_not),
		cmocka_unit_test(an_unsigned_answer_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
