/* test_dns.c -- the DNS adapter against real BIND and Knot, and against a server that misbehaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapters/dns_rfc2136/route.h"
#include "adapters/dns_rfc2136/tsig.h"
#include "base/parse.h"
#include "dns_fake.h"
#include "dns_servers.h"
#include "sys/clock.h"

static struct rig rig;
static struct rig_dir dir;
static struct dns_server server[2]; /* BIND, Knot */
static const char *const server_name[2] = { "named", "knotd" };

static struct dr_op_args want(const char *host, uint64_t epoch)
{
	struct dr_op_args a = { .epoch = epoch, .plan = 2, .step = 7 };
	(void)dr_copy_text(a.primary_at.host, sizeof(a.primary_at.host), host);
	a.primary_at.port = 5432;
	return a;
}

static enum dr_err route(const struct dr_target *t, const char *host, uint64_t epoch, struct rig_op *o)
{
	struct dr_session s;
	struct dr_op_args a = want(host, epoch);
	rig_session_open(&rig, &s, &dr_dns_rfc2136_adapter, t);
	enum dr_err rv = rig_op_run(&rig, o, &s, DR_OP_ROUTED, &a, 5000);
	rig_session_close(&rig, &s, NULL);
	return rv;
}

static void routes(const struct dr_target *t, const char *host, uint64_t epoch)
{
	struct rig_op o;
	if (route(t, host, epoch, &o) != DR_OK)
		fail_msg("%s", o.e.msg);
	assert_int_equal(o.op.evidence.route.ok, t->route.servers);
	assert_int_equal(o.op.evidence.route.all, t->route.servers);
	assert_int_equal(o.op.evidence.route.epoch, epoch);
}

static void fails(const struct dr_target *t, enum dr_err code, const char *says)
{
	struct rig_op o;
	enum dr_err rv = route(t, "10.1.0.66", 99, &o);
	if (rv != code || strstr(o.e.msg, says) == NULL)
		fail_msg("%s instead of %s: %s", dr_err_name(rv), says, o.e.msg);
	printf("             %s\n", o.e.msg);
}

static void shows(const struct dr_address *at, const char *name, const char *type, const char *expected)
{
	char text[512];
	dns_dig(&dir, at, name, type, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void the_name_moves(void **state)
{
	(void)state;
	struct dr_target t;
	struct dr_address both[2] = { server[0].at, server[1].at };
	struct rig_op o;
	dns_target(&t, &dir, "move." DNS_ZONE, both, 2);
	routes(&t, "10.1.0.20", 3);
	for (int i = 0; i < 2; i++) {
		shows(&both[i], "move." DNS_ZONE, "A", "10.1.0.20");
		shows(&both[i], "_drcoord.move." DNS_ZONE, "TXT", "\"e=3;plan=2;step=7\"");
	}
	routes(&t, "10.2.0.20", 4);
	assert_int_equal(route(&t, "10.2.0.20", 4, &o), DR_OK);
	printf("             already so: %llu ms; %s\n", (unsigned long long)o.took_ms, o.op.evidence.text);
	assert_int_equal(route(&t, "10.3.0.20", 5, &o), DR_OK);
	printf("             moved: %llu ms\n", (unsigned long long)o.took_ms);
	for (int i = 0; i < 2; i++)
		shows(&both[i], "move." DNS_ZONE, "A", "10.3.0.20");
	/* only the TTL is new */
	t.route.ttl_s = 30;
	routes(&t, "10.3.0.20", 5);
	t.route.ttl_s = 5;
	routes(&t, "10.3.0.20", 5);
}

static void the_whole_old_set_goes(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct dr_target t;
		dns_target(&t, &dir, "set." DNS_ZONE, &server[i].at, 1);
		assert_int_equal(
		    dns_nsupdate(&dir, &server[i].at,
				 "add set.demo.example. 60 A 10.9.0.1\nadd set.demo.example. 60 A 10.9.0.2\n"
				 "add set.demo.example. 60 AAAA fd00::1\n"
				 "add _drcoord.set.demo.example. 60 TXT hello \"two words\"\n"
				 "add _drcoord.set.demo.example. 60 TXT \"e=2\""),
		    0);
		routes(&t, "10.1.0.20", 3);
		shows(&server[i].at, "set." DNS_ZONE, "A", "10.1.0.20");
		shows(&server[i].at, "set." DNS_ZONE, "AAAA", "");
		shows(&server[i].at, "_drcoord.set." DNS_ZONE, "TXT", "\"e=3;plan=2;step=7\"");
		routes(&t, "fd00::20", 4);
		shows(&server[i].at, "set." DNS_ZONE, "A", "");
		shows(&server[i].at, "set." DNS_ZONE, "AAAA", "fd00::20");
	}
}

static void a_stale_epoch_changes_nothing(void **state)
{
	(void)state;
	struct dr_address both[2] = { server[0].at, server[1].at };
	struct rig_op o;
	struct dr_target t;
	dns_target(&t, &dir, "stale." DNS_ZONE, both, 2);
	routes(&t, "10.1.0.20", 8);
	assert_int_equal(route(&t, "10.2.0.20", 7, &o), DR_E_STALE);
	assert_int_equal(o.op.evidence.route.epoch, 8);
	assert_int_equal(o.op.evidence.route.ok, 0);
	for (int i = 0; i < 2; i++)
		shows(&both[i], "stale." DNS_ZONE, "A", "10.1.0.20");
}

static void sha512_a_key_clause_and_a_tight_policy(void **state)
{
	(void)state;
	struct dr_address both[2] = { server[0].at, server[1].at };
	struct dr_target t;
	dns_target(&t, &dir, "sha512." DNS_ZONE, both, 2);
	(void)dr_copy_text(t.route.tsig_key, sizeof(t.route.tsig_key), DNS_KEY_512);
	t.route.tsig_algorithm = DR_TSIG_HMAC_SHA512;
	(void)snprintf(t.route.tsig_secret_file, sizeof(t.route.tsig_secret_file), "%s/secret512", dir.path);
	routes(&t, "10.1.0.20", 3);
	routes(&t, "fd00::20", 4);
	routes(&t, "10.1.0.20", 5);
	(void)dr_copy_text(t.route.record, sizeof(t.route.record), "else." DNS_ZONE);
	fails(&t, DR_E_AUTH, "else." DNS_ZONE);
}

static void wrong_keys_are_told_apart(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct dr_target t;
		dns_target(&t, &dir, "keys." DNS_ZONE, &server[i].at, 1);
		(void)dr_copy_text(t.route.tsig_key, sizeof(t.route.tsig_key), "nobody.");
		fails(&t, DR_E_AUTH, "BADKEY");
		dns_target(&t, &dir, "keys." DNS_ZONE, &server[i].at, 1);
		(void)snprintf(t.route.tsig_secret_file, sizeof(t.route.tsig_secret_file), "%s/secret-idle",
			       dir.path);
		fails(&t, DR_E_AUTH, "BADSIG");
		fails(&t, DR_E_AUTH, "secret-idle");
		(void)dr_copy_text(t.route.tsig_key, sizeof(t.route.tsig_key), DNS_KEY_IDLE);
		fails(&t, DR_E_AUTH, i == 0 ? "REFUSED" : "BADKEY"); /* Knot does not tell the two apart */
		shows(&server[i].at, "keys." DNS_ZONE, "A", "");
	}
}

static void wrong_zones_and_aliases(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct dr_target t;
		dns_target(&t, &dir, "db.other.example.", &server[i].at, 1);
		(void)dr_copy_text(t.route.zone, sizeof(t.route.zone), "other.example.");
		fails(&t, DR_E_NOT_FOUND, "other.example.");
		dns_target(&t, &dir, "db.below." DNS_ZONE, &server[i].at, 1);
		(void)dr_copy_text(t.route.zone, sizeof(t.route.zone), "below." DNS_ZONE);
		fails(&t, DR_E_NOT_FOUND, "has no zone");
		dns_target(&t, &dir, "alias." DNS_ZONE, &server[i].at, 1);
		fails(&t, DR_E_CONFLICT, "CNAME");
	}
}

static void bad_targets_are_refused_at_open(void **state)
{
	(void)state;
	struct dr_session s;
	struct dr_error e;
	struct dr_target t, good;
	dns_target(&good, &dir, "x." DNS_ZONE, &server[0].at, 1);
	t = good;
	(void)dr_copy_text(t.route.record, sizeof(t.route.record), "x.other.example.");
	assert_int_equal(dr_session_open(&s, &rig.loop, &dr_dns_rfc2136_adapter, &t, &e), DR_E_INVALID);
	t = good;
	t.route.servers = 0;
	assert_int_equal(dr_session_open(&s, &rig.loop, &dr_dns_rfc2136_adapter, &t, &e), DR_E_INVALID);
	t = good;
	(void)dr_copy_text(t.route.server[0].host, DR_HOST_MAX, "ns.example");
	assert_int_equal(dr_session_open(&s, &rig.loop, &dr_dns_rfc2136_adapter, &t, &e), DR_E_INVALID);
	t = good;
	(void)dr_copy_text(t.route.tsig_secret_file, sizeof(t.route.tsig_secret_file), "/nonexistent/secret");
	assert_int_equal(dr_session_open(&s, &rig.loop, &dr_dns_rfc2136_adapter, &t, &e), DR_E_NOT_FOUND);
	assert_non_null(strstr(e.msg, "/nonexistent/secret"));
	/* and at start */
	struct dr_op_args a = want("db.example.", 1);
	struct rig_op o = { .op = { .kind = DR_OP_ROUTED, .deadline_ms = 100, .args = a } };
	rig_session_open(&rig, &s, &dr_dns_rfc2136_adapter, &good);
	o.op.done = (void (*)(struct dr_op *, const struct dr_error *))1; /* never called */
	assert_int_equal(dr_session_start(&s, &o.op, &e), DR_E_INVALID);
	rig_session_close(&rig, &s, NULL);
}

/* One message there and one back, blocking. */
static void exchange(const struct dr_address *at, const struct dr_dns_out *o, uint8_t *back, size_t cap,
		     size_t *len, struct dr_dns_msg *m)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(at->port) };
	uint8_t head[2] = { (uint8_t)(o->len >> 8), (uint8_t)o->len };
	assert_int_equal(inet_pton(AF_INET, at->host, &to.sin_addr), 1);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(write(fd, head, 2), 2);
	assert_int_equal(write(fd, o->data, o->len), (ssize_t)o->len);
	assert_int_equal(recv(fd, head, 2, MSG_WAITALL), 2);
	*len = (size_t)head[0] << 8 | head[1];
	assert_true(*len <= cap);
	assert_int_equal(recv(fd, back, *len, MSG_WAITALL), (ssize_t)*len);
	(void)close(fd);
	assert_int_equal(dr_dns_decode(back, *len, m, NULL), DR_OK);
}

static void look(const struct dr_address *at, const struct dr_dns_route *r, struct dr_dns_seen *seen)
{
	static struct dr_dns_out o;
	static struct dr_dns_msg m;
	static uint8_t back[65536];
	size_t len;
	memset(seen, 0, sizeof(*seen));
	for (unsigned i = 0; i < DR_DNS_ASKS; i++) {
		dr_dns_put_ask(&o, (uint16_t)i, r, (enum dr_dns_ask)i);
		exchange(at, &o, back, sizeof(back), &len, &m);
		assert_int_equal(dr_dns_seen_take(seen, r, (enum dr_dns_ask)i, &m, NULL), DR_OK);
	}
	assert_int_equal(dr_dns_seen_check(seen, r, NULL), DR_OK);
}

/* Send the update from `seen` to r, signed at now_s; the answer's rcode, its signature checked. */
static unsigned swap(const struct dr_address *at, const struct dr_dns_route *r,
		     const struct dr_dns_seen *seen, uint64_t now_s, uint16_t *tsig_error)
{
	static struct dr_dns_out o;
	static struct dr_dns_msg m;
	static uint8_t back[65536];
	struct dr_tsig_key k;
	struct dr_tsig_mac mac;
	struct dr_error e;
	size_t len;
	assert_int_equal(dr_tsig_key_parse(&k, DNS_KEY, DR_TSIG_HMAC_SHA256, DNS_SECRET, &e), DR_OK);
	dr_dns_put_update(&o, 4711, r, seen);
	dr_tsig_sign(&o, &k, now_s, NULL, &mac);
	exchange(at, &o, back, sizeof(back), &len, &m);
	*tsig_error = m.tsig.error;
	if (*tsig_error == 0) {
		if (dr_tsig_verify(back, &m, &k, &mac, dr_clock_wall_ms() / 1000, &e) != DR_OK)
			fail_msg("%s", e.msg);
		mac.bytes[3] ^= 1;
		assert_int_equal(dr_tsig_verify(back, &m, &k, &mac, dr_clock_wall_ms() / 1000, &e),
				 DR_E_AUTH);
	}
	return dr_dns_rcode(&m);
}

/* What the prerequisites are for, shown on the servers: an update made from what was read before somebody
 * else's change, and the packet of a deposed leader that comes late. */
static void servers_compare_before_they_swap(void **state)
{
	(void)state;
	uint64_t now_s = dr_clock_wall_ms() / 1000;
	struct dr_spec_route spec = { .record = "cas." DNS_ZONE, .zone = DNS_ZONE, .ttl_s = 5 };
	uint16_t te;
	for (int i = 0; i < 2; i++) {
		struct dr_address *at = &server[i].at;
		struct dr_dns_route mine = { 0 }, later = { 0 };
		struct dr_dns_seen none, seen;
		assert_int_equal(dr_dns_route_names(&mine, &spec, NULL), DR_OK);
		later = mine;
		assert_int_equal(dr_dns_route_want(&mine, "10.1.0.20", 5, 1, 1, NULL), DR_OK);
		assert_int_equal(dr_dns_route_want(&later, "10.2.0.20", 6, 2, 1, NULL), DR_OK);
		look(at, &mine, &none);
		assert_int_equal(swap(at, &mine, &none, now_s, &te), DR_DNS_NOERROR);
		/* the same packet again */
		assert_int_equal(swap(at, &mine, &none, now_s, &te), DR_DNS_YXRRSET);
		look(at, &mine, &seen);
		assert_true(dr_dns_seen_is_wanted(&seen, &mine, true));
		assert_int_equal(swap(at, &later, &seen, now_s, &te), DR_DNS_NOERROR);
		/* the deposed leader's, made from the same reading */
		assert_int_equal(swap(at, &mine, &seen, now_s, &te), DR_DNS_NXRRSET);
		shows(at, "cas." DNS_ZONE, "A", "10.2.0.20");
		/* an address more is another set; so is a marker changed alone */
		look(at, &later, &seen);
		assert_int_equal(dns_nsupdate(&dir, at, "add cas.demo.example. 60 A 10.9.9.9"), 0);
		assert_int_equal(swap(at, &mine, &seen, now_s, &te), DR_DNS_NXRRSET);
		assert_int_equal(dns_nsupdate(&dir, at,
					      "del cas.demo.example. A 10.9.9.9\n"
					      "add _drcoord.cas.demo.example. 60 TXT x"),
				 0);
		assert_int_equal(swap(at, &mine, &seen, now_s, &te), DR_DNS_NXRRSET);
		/* a clock an hour away */
		look(at, &later, &seen);
		assert_int_equal(swap(at, &later, &seen, now_s - 3600, &te), DR_DNS_NOTAUTH);
		assert_int_equal(te, DR_DNS_BADTIME);
		assert_int_equal(swap(at, &later, &seen, now_s, &te), DR_DNS_NOERROR);
		printf("             %s compares and swaps\n", server_name[i]);
	}
}

/* Two leaders at once: whatever the interleaving, the higher epoch stays. */
static void of_two_leaders_the_newer_stays(void **state)
{
	(void)state;
	struct dr_address both[2] = { server[0].at, server[1].at };
	struct dr_session s[2];
	struct dr_target t;
	struct rig_op o[2];
	unsigned stale = 0;
	dns_target(&t, &dir, "race." DNS_ZONE, both, 2);
	for (int k = 0; k < 2; k++)
		rig_session_open(&rig, &s[k], &dr_dns_rfc2136_adapter, &t);
	for (unsigned round = 0; round < 20; round++) {
		struct dr_op_args a[2] = { want("10.1.0.20", 10 + 2 * round),
					   want("10.2.0.20", 11 + 2 * round) };
		unsigned first = round % 2;
		rig_op_start(&o[first], &s[first], DR_OP_ROUTED, &a[first], 5000);
		rig_op_start(&o[1 - first], &s[1 - first], DR_OP_ROUTED, &a[1 - first], 5000);
		rig_until(&rig, &o[0].done);
		rig_until(&rig, &o[1].done);
		if (o[1].code != DR_OK)
			fail_msg("the newer lost: %s", o[1].e.msg);
		assert_true(o[0].code == DR_OK || o[0].code == DR_E_STALE);
		stale += o[0].code == DR_E_STALE;
		for (int i = 0; i < 2; i++)
			shows(&both[i], "race." DNS_ZONE, "A", "10.2.0.20");
	}
	printf("             20 races, the older heard STALE in %u\n", stale);
	for (int k = 0; k < 2; k++)
		rig_session_close(&rig, &s[k], NULL);
}

static void a_dead_server_is_named(void **state)
{
	(void)state;
	struct dr_address nobody = { .host = "127.0.0.1", .port = rig_free_port() };
	struct dr_address mixed[3] = { nobody, server[0].at, server[1].at };
	struct dr_target t;
	struct rig_op o;
	dns_target(&t, &dir, "dead." DNS_ZONE, mixed, 3);
	assert_int_equal(route(&t, "10.1.0.20", 3, &o), DR_E_UNREACHABLE);
	printf("             %llu ms: %s\n", (unsigned long long)o.took_ms, o.e.msg);
	assert_int_equal(o.op.evidence.route.all, 3);
	assert_int_equal(o.op.evidence.route.ok, 2);
	assert_int_equal(o.op.evidence.route.failed[0].port, nobody.port);
	assert_non_null(strstr(o.op.evidence.route.why[0], "refused"));
	assert_string_equal(o.op.evidence.route.why[1], "");
	assert_int_equal(o.op.evidence.route.epoch, 3);
	for (int i = 0; i < 2; i++)
		shows(&server[i].at, "dead." DNS_ZONE, "A", "10.1.0.20");
}

/* The healthy ones show the new address long before the mute one's time is over. */
static void a_mute_server_holds_up_nobody(void **state)
{
	(void)state;
	struct dr_session s, eye;
	struct rig_peer mute;
	struct rig_op o, seen;
	struct dr_op_args a = want("10.1.0.20", 3);
	struct dr_target t;
	rig_mute_start(&rig, &mute);
	struct dr_address mixed[3] = { mute.at, server[0].at, server[1].at };
	dns_target(&t, &dir, "mute." DNS_ZONE, mixed, 3);
	rig_session_open(&rig, &s, &dr_dns_rfc2136_adapter, &t);
	dns_target(&t, &dir, "mute." DNS_ZONE, &server[0].at, 1);
	t.route.servers = 2;
	t.route.server[1] = server[1].at;
	rig_session_open(&rig, &eye, &dr_dns_rfc2136_adapter, &t);
	rig_op_start(&o, &s, DR_OP_ROUTED, &a, 2000);
	uint64_t began = rig_now_ms();
	do {
		assert_int_equal(rig_op_run(&rig, &seen, &eye, DR_OP_OBSERVED, &a, 2000), DR_OK);
		assert_int_equal(o.done, 0);
	} while (seen.op.evidence.route.epoch != 3);
	uint64_t took = rig_now_ms() - began;
	printf("             seen on the healthy ones after %llu ms\n", (unsigned long long)took);
	assert_true(took < 1000);
	rig_until(&rig, &o.done);
	assert_int_equal(o.code, DR_E_UNREACHABLE);
	assert_true(o.took_ms < 2100);
	assert_int_equal(o.op.evidence.route.ok, 2);
	assert_int_equal(o.op.evidence.route.failed[0].port, mute.at.port);
	assert_non_null(strstr(o.op.evidence.route.why[0], "within"));
	printf("             %s\n", o.e.msg);
	rig_session_close(&rig, &s, NULL);
	rig_session_close(&rig, &eye, NULL);
	rig_peer_stop(&mute);
}

static void a_server_that_was_away_is_caught_up(void **state)
{
	(void)state;
	struct dr_address both[2] = { server[0].at, server[1].at };
	struct dr_session s;
	struct rig_op o;
	struct dr_op_args a = want("10.2.0.20", 4);
	struct dr_target t;
	dns_target(&t, &dir, "away." DNS_ZONE, both, 2);
	routes(&t, "10.1.0.20", 3);
	rig_session_open(&rig, &s, &dr_dns_rfc2136_adapter, &t);
	rig_freeze(server[0].pid);
	assert_int_equal(rig_op_run(&rig, &o, &s, DR_OP_ROUTED, &a, 600), DR_E_UNREACHABLE);
	assert_int_equal(o.op.evidence.route.ok, 1);
	assert_int_equal(kill(server[0].pid, SIGCONT), 0);
	if (rig_op_run(&rig, &o, &s, DR_OP_ROUTED, &a, 5000) != DR_OK)
		fail_msg("%s", o.e.msg);
	rig_session_close(&rig, &s, NULL);
	shows(&both[0], "away." DNS_ZONE, "A", "10.2.0.20");
}

static enum dr_err route_fake(enum dns_fake_mode mode, unsigned conflicts, struct rig_op *o,
			      struct dns_fake *f)
{
	struct dr_target t;
	dns_fake_start(&rig, f, mode, "fake." DNS_ZONE);
	f->conflicts = conflicts;
	dns_target(&t, &dir, "fake." DNS_ZONE, &f->at, 1);
	enum dr_err rv = route(&t, "10.1.0.20", 3, o);
	printf("             %s %u updates%s%s\n", dr_err_name(rv), f->updates, rv != DR_OK ? ": " : "",
	       rv != DR_OK ? o->e.msg : "");
	assert_int_equal(f->verified, f->updates);
	dns_fake_stop(f);
	return rv;
}

static void servers_that_misbehave(void **state)
{
	(void)state;
	struct dns_fake f;
	struct rig_op o;
	assert_int_equal(route_fake(FAKE_HONEST, 0, &o, &f), DR_OK);
	assert_int_equal(f.updates, 1);
	assert_int_equal(route_fake(FAKE_IGNORES, 0, &o, &f), DR_E_FAILED);
	assert_int_equal(f.updates, 1);
	assert_non_null(strstr(o.e.msg, "no address no marker"));
	/* an update that is not answered, or not rightly, is unknown: what the server shows decides */
	assert_int_equal(route_fake(FAKE_UNSIGNED, 0, &o, &f), DR_OK);
	assert_int_equal(f.updates, 1);
	assert_int_equal(route_fake(FAKE_SILENT, 0, &o, &f), DR_OK);
	assert_int_equal(f.updates, 1);
	assert_int_equal(route_fake(FAKE_FORGED, 0, &o, &f), DR_E_AUTH);
	assert_non_null(strstr(o.e.msg, "signature is wrong"));
	/* somebody else is faster three times, or always */
	assert_int_equal(route_fake(FAKE_CONTENDED, 3, &o, &f), DR_OK);
	assert_int_equal(f.updates, 4);
	assert_int_equal(route_fake(FAKE_CONTENDED, 1000, &o, &f), DR_E_BUSY);
	assert_true(f.updates < 20);
	assert_int_equal(route_fake(FAKE_GARBAGE, 0, &o, &f), DR_E_PROTOCOL);
}

/* Others sign as we check, and check what we sign: nsupdate exits with 0 only for a rightly signed answer. */
static void other_clients_agree_with_our_signatures(void **state)
{
	(void)state;
	static const char *const client[] = { "nsupdate", "knsupdate" };
	static const enum dns_fake_mode mode[] = { FAKE_HONEST, FAKE_FORGED };
	char program[128], script[128];
	(void)snprintf(script, sizeof(script), "%s/agree.in", dir.path);
	for (unsigned c = 0; c < 2; c++) {
		assert_true(rig_find(client[c], program, sizeof(program)));
		for (unsigned k = 0; k < 2; k++) {
			struct dns_fake f;
			int status = 0;
			dns_fake_start(&rig, &f, mode[k], "agree." DNS_ZONE);
			rig_file(&dir, "agree.in",
				 "server 127.0.0.1 %u\nzone " DNS_ZONE
				 "\nupdate add agree.demo.example. 60 A 10.9.0.1\nsend\n",
				 f.at.port);
			char *const argv[] = { program, "-v", "-t",
					       "5",     "-y", "hmac-sha256:" DNS_KEY ":" DNS_SECRET,
					       script,  NULL };
			pid_t pid = rig_spawn(&dir, "agree.log", NULL, argv);
			for (uint64_t end = rig_now_ms() + 10000; waitpid(pid, &status, WNOHANG) == 0;) {
				rig_for(&rig, 5);
				if (rig_now_ms() > end)
					fail_msg("%s does not end", client[c]);
			}
			assert_true(f.updates > 0);
			assert_int_equal(f.verified, f.updates);
			bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
			assert_int_equal(ok, mode[k] == FAKE_HONEST);
			if (ok)
				assert_int_equal(f.a.n, 1);
			dns_fake_stop(&f);
		}
		printf("             %s agrees\n", client[c]);
	}
}

static int set_up(void **state)
{
	(void)state;
	rig_dir_make(&dir, NULL);
	dns_write_secrets(&dir);
	return dns_named_start(&server[0]) && dns_knotd_start(&server[1]) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	dns_server_stop(&server[0]);
	dns_server_stop(&server[1]);
	rig_dir_remove(&dir);
	return 0;
}

static int loop_up(void **state)
{
	(void)state;
	rig_init(&rig);
	return 0;
}

static int loop_down(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, loop_up, loop_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_name_moves),
		TEST(the_whole_old_set_goes),
		TEST(a_stale_epoch_changes_nothing),
		TEST(sha512_a_key_clause_and_a_tight_policy),
		TEST(wrong_keys_are_told_apart),
		TEST(wrong_zones_and_aliases),
		TEST(bad_targets_are_refused_at_open),
		TEST(servers_compare_before_they_swap),
		TEST(of_two_leaders_the_newer_stays),
		TEST(a_dead_server_is_named),
		TEST(a_mute_server_holds_up_nobody),
		TEST(a_server_that_was_away_is_caught_up),
		TEST(servers_that_misbehave),
		TEST(other_clients_agree_with_our_signatures),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
