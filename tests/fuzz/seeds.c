/* seeds.c -- makes the corpora: `fuzz_seeds FOLDER` writes FOLDER/TARGET/NAME, by our own encoders.
 *
 * The same bytes each time, except for certificates.  The YAML files are copied by tests/fuzz/run,
 * which calls this. */
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/pem.h>

#include "adapters/dns_rfc2136/route.h"
#include "adapters/dns_rfc2136/tsig.h"
#include "agent/shell/journal_codec.h"
#include "base/mem.h"
#include "coord/shell/ledger.h"
#include "coord/shell/snapshot.h"
#include "net/frame.h"
#include "net/tls.h"
#include "raft/entry.h"
#include "raft/hello.h"
#include "raft/snap.h"
#include "seeds.h"
#include "sys/file.h"

static const char *corpora;

void seed(const char *target, const char *name, int first, const void *p, size_t n)
{
	char path[1024];
	(void)snprintf(path, sizeof(path), "%s/%s", corpora, target);
	(void)mkdir(path, 0755);
	(void)snprintf(path, sizeof(path), "%s/%s/%s", corpora, target, name);
	FILE *f = fopen(path, "wb");
	FUZZ_CHECK(f != NULL);
	if (first != NO_FIRST)
		(void)fputc(first, f);
	FUZZ_CHECK(n == 0 || fwrite(p, 1, n, f) == n);
	FUZZ_CHECK(fclose(f) == 0);
}

void seed_buf(const char *target, const char *name, int first, struct dr_buf *b)
{
	FUZZ_CHECK(dr_buf_ok(b));
	seed(target, name, first, b->data, b->len);
	dr_buf_clear(b);
}

void seed_text(const char *target, const char *name, int first, const char *text)
{
	seed(target, name, first, text, strlen(text));
}

static struct dr_buf b;

/* ---- state ---- */

static void fill_plan(struct dr_plan *p, uint64_t id)
{
	p->id = id;
	p->kind = (enum dr_plan_kind)1;
	p->steps = 3;
	p->at = 1;
	p->bar = 2;
	for (uint32_t i = 0; i < p->steps; i++)
		p->step[i] = (enum dr_step)(10 * (i + 1));
	p->wanted = p->member = p->source = DR_MEMBER_NONE;
	p->old = 0;
	p->candidate = 1;
	p->epoch_opened = 7;
	p->reason = DR_REASON_MAY_LOSE;
	p->actor = sample_name("anna");
}

static void snapshots(void)
{
	uint8_t head[32] = { 1, 2, 3 };
	struct dr_repl *r = dr_xcalloc(sizeof(*r));
	struct dr_spec *spec = seed_spec();
	dr_repl_init(r);
	dr_snapshot_encode(&b, r, head);
	seed_buf("snapshot", "empty", NO_FIRST, &b);
	r->applied = 40;
	r->cluster = sample_name("demo");
	r->spec_version = 2;
	r->sites = 2;
	r->site[0] = spec->site[0];
	r->site[1] = spec->site[1];
	r->coordinators = 1;
	r->coordinator[0] = (struct dr_coordinator){ sample_name("c-a"), sample_name("az-0"),
						     sample_address("10.1.0.10", 7400), 99, true };
	r->plan_last = 4;
	r->event_last = 2;
	seed_event(&r->event[1], 1);
	seed_event(&r->event[2], 2);
	r->requests_next = 1;
	r->request[0] = (struct dr_request_done){ sample_u64(), DR_REASON_MAY_LOSE, 3 };
	r->services = 2;
	struct dr_service *s = &r->service[1];
	s->used = s->managed = s->was_primary = true;
	s->spec = spec->service[0];
	s->epoch = s->primary_epoch = 7;
	s->holder = 0;
	s->last_holder = 0;
	s->sync = s->next = (struct dr_sync){ 3, 1 };
	fill_plan(&s->plan, 3);
	fill_plan(&s->rejoin[2], 4);
	for (unsigned i = 0; i < 3; i++) {
		s->member[i].order_last = 5 + i;
		sample_core(&s->member[i].done);
		sample_result(&s->member[i].result);
	}
	dr_snapshot_encode(&b, r, head);
	seed_buf("snapshot", "one-service", NO_FIRST, &b);
	dr_spec_free(spec);
	dr_free(r);
}

/* What the logs of tests/fuzz/corpus/apply lead to. */
static void snapshots_of_logs(void)
{
	char pattern[1024];
	glob_t found;
	(void)snprintf(pattern, sizeof(pattern), "%s/apply/kept-*", corpora);
	FUZZ_CHECK(glob(pattern, 0, NULL, &found) == 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const uint8_t head[32] = { 1 };
		struct dr_repl *r = dr_xcalloc(sizeof(*r));
		struct dr_buf log;
		struct dr_error e;
		dr_buf_init(&log, 1 << 16);
		dr_repl_init(r);
		FUZZ_CHECK(dr_file_read(found.gl_pathv[i], &log, &e) == DR_OK);
		struct dr_view v = dr_view_of(log.data + 1, log.len - 1); /* behind fuzz_apply's first byte */
		for (uint64_t index = 1; dr_view_left(&v) > 0; index++) {
			struct dr_cmd c;
			uint16_t len = dr_view_u16be(&v);
			if (dr_cmd_decode(&c, dr_view_bytes(&v, len), len, &e) != DR_OK)
				break; /* as far as this build understands it */
			dr_repl_apply(r, index, &c);
			dr_cmd_close(&c);
		}
		dr_snapshot_encode(&b, r, head);
		seed_buf("snapshot", strrchr(found.gl_pathv[i], '/') + strlen("/kept-"), NO_FIRST, &b);
		dr_buf_close(&log);
		dr_free(r);
	}
	globfree(&found);
}

static void sealed(void)
{
	uint8_t whole[DR_SNAP_HEADER + 16] = { 0 };
	memcpy(whole + DR_SNAP_HEADER, "hello, world", 12);
	dr_snap_seal(whole, whole + DR_SNAP_HEADER, 12);
	seed("sealed", "padded", 0, whole, sizeof(whole));
	seed("sealed", "mended", 9, whole, sizeof(whole));
}

static void journals(void)
{
	struct dr_agent_journal j;
	memset(&j, 0, sizeof(j));
	dr_agent_journal_encode(&b, &j);
	seed_buf("journal", "empty", 0, &b);
	j.managed = true;
	j.role = DR_ROLE_PRIMARY;
	j.epoch = 7;
	j.order_seen = 12;
	j.order.service = sample_name("orders");
	j.order.member = sample_name("pg-a");
	sample_core(&j.order.core);
	sample_result(&j.done);
	j.timing = *dr_timing_profile("metro");
	j.promise_ms = 3000;
	j.list.epoch = 7;
	j.list.version = 2;
	j.list.members = 2;
	sample_peer(&j.list.member[0], "pg-b", true);
	sample_peer(&j.list.member[1], "pg-c", true);
	dr_agent_journal_encode(&b, &j);
	struct dr_buf file;
	dr_buf_init(&file, 1 << 16);
	dr_buf_put_u32be(&file, 0x64726a6eu); /* agent/shell/journal.c */
	dr_buf_put_u32be(&file, 1);
	dr_buf_put_u32be(&file, (uint32_t)b.len);
	dr_buf_put_u32be(&file, dr_crc32c(dr_crc32c(0, file.data, file.len), b.data, b.len));
	dr_buf_put(&file, b.data, b.len);
	seed_buf("journal", "file", 7, &file);
	dr_buf_close(&file);
	seed_buf("journal", "primary", 0, &b);
}

/* Three records, one after the other; `how` is what fuzz_guard puts right. */
static void guards(uint8_t how)
{
	static const uint64_t floors[] = { 10, 12, 11 };
	char name[16];
	struct dr_buf file;
	dr_buf_init(&file, 1 << 16);
	for (uint64_t i = 0; i < 3; i++) {
		struct dr_buf r;
		dr_buf_init(&r, 128);
		dr_buf_put_u64be(&r, UINT64_C(0x4452475541524431));
		const uint64_t words[] = { i + 1, 99, 4, 99, 3, 0, floors[i], 4, 8, 3, sample_u64() };
		for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
			dr_buf_put_u64be(&r, words[k]);
		dr_buf_put_u32be(&r, sample_u32());
		dr_buf_put_u32be(&r, i == 1 ? 1 : 0);
		dr_buf_put_u64be(&r, 13);
		dr_buf_put_u64be(&r, 4);
		dr_buf_put_u32be(&r, sample_u32());
		dr_buf_put_u32be(&r, dr_crc32c(0, r.data, r.len));
		dr_buf_put_u8(&file, how);
		dr_buf_put(&file, r.data, r.len);
		dr_buf_close(&r);
	}
	(void)snprintf(name, sizeof(name), "how%u", how);
	seed_buf("guard", name, NO_FIRST, &file);
	dr_buf_close(&file);
}

static void put_le(struct dr_buf *to, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		dr_buf_put_u8(to, (uint8_t)(v >> (8 * i)));
}

/* Two batches as libraft writes them (raft/scan.c), whose checksums fuzz_segment makes. */
static void segments(void)
{
	put_le(&b, 1, 8);
	for (uint64_t entries = 1; entries <= 2; entries++) {
		put_le(&b, 0, 8);
		put_le(&b, entries, 8);
		for (uint64_t i = 0; i < entries; i++) {
			put_le(&b, 4, 8);
			put_le(&b, 1, 4);
			put_le(&b, 24, 4);
		}
		for (uint64_t i = 0; i < entries; i++) {
			uint8_t cmd[24];
			dr_entry_wrap(cmd, 4, &(struct dr_entry_cmd){ "\x81\x01tick", 6 }, 1);
			dr_buf_put(&b, cmd, sizeof(cmd));
		}
	}
	seed("segment", "two-batches", 1, b.data, b.len);
	seed("segment", "damaged", 0, b.data, b.len);
	for (unsigned i = 0; i < 600; i++)
		dr_buf_put_u8(&b, 0);
	seed_buf("segment", "zeros-behind", 1, &b);
}

/* ---- wire ---- */

static void put_frame(struct dr_buf *to, uint16_t type, const void *p, size_t n)
{
	uint8_t head[DR_FRAME_HEADER];
	dr_frame_header(head, type, p, n);
	dr_buf_put(to, head, sizeof(head));
	dr_buf_put(to, p, n);
}

static void streams(void)
{
	put_frame(&b, 40, "a request, say", 14);
	put_frame(&b, 31, "\0\0\0\0\0\0\0\7", 8);
	put_frame(&b, 23, NULL, 0);
	seed("frames", "three", 0, b.data, b.len);
	seed("frames", "three-in-pieces", 15, b.data, b.len);
	seed("frames", "cut", 6, b.data, b.len - 20);
	dr_buf_clear(&b);
}

static void raft_bytes(void)
{
	struct dr_raft_hello h = { .from = 7,
				   .to = UINT64_MAX,
				   .name = sample_name("c-a"),
				   .address = sample_address("fd00::1", 7400) };
	const struct dr_entry_cmd cmd[2] = { { "\x81\x01some command", 14 }, { "\x02another", 8 } };
	uint8_t entry[64];
	dr_raft_hello_encode(&h, &b);
	seed_buf("raft", "hello", 0, &b);
	seed_text("raft", "address4", 1, "c-a@10.1.0.10:7400");
	seed_text("raft", "address6", 1, "c-a@[fd00::1]:7400");
	dr_entry_wrap(entry, 4, cmd, 1);
	seed("raft", "entry", 2, entry, dr_entry_size(cmd, 1));
	dr_entry_wrap(entry, 4, cmd, 2);
	seed("raft", "entry-of-two", 2, entry, dr_entry_size(cmd, 2));
	seed_text("raft", "member-file", 3, "drcoord-raft 1 7 c-a\n");
}

static void ledgers(void)
{
	struct dr_ledger l = { 0 };
	uint8_t head[DR_LEDGER_HEAD] = { 0 };
	for (uint64_t i = 1; i <= 50; i++) {
		head[0] = (uint8_t)i;
		dr_ledger_note(&l, i, head);
	}
	FUZZ_CHECK(dr_ledger_encode(&l, &b));
	seed_buf("ledger", "four", NO_FIRST, &b);
}

/* ---- DNS ---- */

static void put_message(struct dr_buf *to, const struct dr_dns_out *o)
{
	dr_buf_put_u16be(to, (uint16_t)o->len);
	dr_buf_put(to, o->data, o->len);
}

/* The answers to the four questions of a reading, in their order; marker: the TXT record's bytes. */
static void reading(const char *name, const struct dr_dns_route *r, const char *address, const char *marker,
		    const struct dr_tsig_key *key)
{
	static struct dr_dns_out o;
	static struct dr_dns_msg asked;
	const char *const rdata[] = { "\2ns\4demo\7example\0\1a\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1",
				      address, NULL, marker };
	const size_t rdlen[] = { 39, 4, 0, strlen(marker) };
	static const uint16_t type[] = { DR_DNS_SOA, DR_DNS_A, DR_DNS_AAAA, DR_DNS_TXT };
	for (unsigned i = 0; i < DR_DNS_ASKS; i++) {
		struct dr_tsig_mac request = { .len = 32 }, mac;
		dr_dns_put_ask(&o, 1, r, (enum dr_dns_ask)i);
		FUZZ_CHECK(dr_dns_decode(o.data, o.len, &asked, NULL) == DR_OK);
		struct dr_dns_name about = asked.qname;
		dr_dns_begin(&o, 1, DR_DNS_QR | DR_DNS_AA);
		dr_dns_put_question(&o, &about, type[i]);
		if (rdata[i] != NULL)
			dr_dns_put_rr(&o, DR_DNS_ANSWER, &about, type[i], DR_DNS_IN, 5, rdata[i], rdlen[i]);
		if (key != NULL)
			dr_tsig_sign(&o, key, 1700000000, &request, &mac);
		put_message(&b, &o);
	}
	seed_buf("dns", name, NO_FIRST, &b);
}

static void dns(void)
{
	struct dr_dns_route r = { 0 };
	struct dr_tsig_key k;
	struct dr_spec_route spec = { .kind = DR_ROUTE_DNS_RFC2136,
				      .record = "orders.demo.example.",
				      .zone = "demo.example.",
				      .ttl_s = 5,
				      .tsig_key = "drcoord." };
	static const char file[] =
	    "# ours\nkey \"drcoord.\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0LXNlY3JldC1zZWNyZXQ=\";\n};\n";
	FUZZ_CHECK(dr_dns_route_names(&r, &spec, NULL) == DR_OK);
	FUZZ_CHECK(dr_dns_route_want(&r, "10.1.0.20", 7, 3, 60, NULL) == DR_OK);
	FUZZ_CHECK(dr_tsig_key_parse(&k, "drcoord.", DR_TSIG_HMAC_SHA256, file, NULL) == DR_OK);
	reading("as-wanted", &r, "\12\1\1\24", "\21e=7;plan=3;step=1", NULL);
	reading("elsewhere-signed", &r, "\12\1\1\25", "\21e=6;plan=2;step=1", &k);
	/* A name that points back, and a record of another kind. */
	static const char packed[] =
	    "\0\x52\0\1\x84\0\0\1\0\2\0\0\0\0\6orders\4demo\7example\0\0\1\0\1"
	    "\xc0\x0c\0\1\0\1\0\0\0\5\0\4\12\1\1\24\xc0\x13\0\5\0\1\0\0\0\5\0\2\xc0\x0c";
	seed("dns", "pointers", NO_FIRST, packed, sizeof(packed) - 1);
	seed_text("tsig", "bind", NO_FIRST, file);
	seed_text("tsig", "base64", NO_FIRST, "c2VjcmV0LXNlY3JldC1zZWNyZXQ=\n");
	seed_text("tsig", "two-keys", NO_FIRST,
		  "/* of another */ key x { algorithm hmac-sha512; secret AAAA; };\n"
		  "key drcoord { secret \"AAECAw==\"; algorithm hmac-sha256; } // end");
}

/* ---- certificates ---- */

static void certificate(const char *folder, enum dr_peer_kind kind, const char *name)
{
	char prefix[512], path[520];
	struct dr_identity who = { kind, sample_name(name) };
	struct dr_error e;
	unsigned char *der = NULL;
	(void)snprintf(prefix, sizeof(prefix), "%s/%s", folder, name);
	(void)snprintf(path, sizeof(path), "%s.crt", prefix);
	FUZZ_CHECK(dr_pki_issue(folder, &who, 30, prefix, &e) == DR_OK);
	FILE *f = fopen(path, "rb");
	FUZZ_CHECK(f != NULL);
	X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);
	(void)fclose(f);
	int n = i2d_X509(cert, &der);
	FUZZ_CHECK(n > 0);
	seed("certificate", name, NO_FIRST, der, (size_t)n);
	OPENSSL_free(der);
	X509_free(cert);
}

/* As fuzz_pem divides them. */
static void pem_files(const char *folder)
{
	static const char *const names[] = { "ca.crt", "c-a.crt", "c-a.key" };
	for (unsigned i = 0; i < 3; i++) {
		struct dr_buf file;
		struct dr_error e;
		char path[512];
		(void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		dr_buf_init(&file, 1 << 16);
		FUZZ_CHECK(dr_file_read(path, &file, &e) == DR_OK);
		dr_buf_put(&b, file.data, file.len);
		if (i < 2)
			dr_buf_put_u8(&b, 0xff);
		dr_buf_close(&file);
	}
	seed_buf("pem", "three", NO_FIRST, &b);
}

static void certificates(void)
{
	const char *folder = fuzz_path("pki");
	char kept[256];
	struct dr_error e;
	(void)snprintf(kept, sizeof(kept), "%s", folder);
	FUZZ_CHECK(mkdir(kept, 0700) == 0);
	FUZZ_CHECK(dr_pki_init(kept, "demo", 30, &e) == DR_OK);
	certificate(kept, DR_PEER_COORDINATOR, "c-a");
	certificate(kept, DR_PEER_OPERATOR, "anna");
	pem_files(kept);
}

/* ---- MySQL ---- */

static void gtid(void)
{
	static const char a[] = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
	char text[256];
	seed_text("gtid", "mariadb", 0, "0-1-100,1-2-7,0-2-120");
	seed_text("gtid", "domain", 1, "0-1-100, 1-2-7");
	(void)snprintf(text, sizeof(text), "%s:1-5:7-9,\nAAAAAAAA-71ca-11e1-9e33-c80aa9429562:1-77", a);
	seed_text("gtid", "mysql", 0, text);
	(void)snprintf(text, sizeof(text), "%s:1-3:nightly:1-9:12", a);
	seed_text("gtid", "tagged", 0, text);
}

static void binlog(void)
{
	struct dr_buf made;
	dr_buf_init(&made, 1024);
	put_le(&made, 0x6e6962fe, 4);
	for (unsigned i = 0; i < 2; i++) { /* one of MariaDB's, one of MySQL's, each without rows */
		put_le(&made, 0, 4);
		put_le(&made, i == 0 ? 162 : 33, 1);
		put_le(&made, 1, 4);
		put_le(&made, 19 + 32, 4);
		put_le(&made, 0, 6);
		for (unsigned k = 0; k < 4; k++)
			put_le(&made, 314, 8);
	}
	seed_buf("binlog", "two", NO_FIRST, &made);
	dr_buf_close(&made);
}

/* ---- PostgreSQL ---- */

static void postgres(void)
{
	static const char two_histories[] =
	    "1\t0/3000060\tno recovery target specified\n\n4\t0/5000060\treason\n\0"
	    "1\t0/3000060\tx\n4\t0/6000000\ty\n9\t1/0\tz\n";
	static const char failure[] =
	    "connection to server at \"10.1.0.20\", port 5432 failed: FATAL:  28P01: password "
	    "authentication failed for user \"drcoord\"\n\0drcoord";
	uint8_t control[64] = { 1, 2, 3, 4, 5, 6, 7, 8, 0x14, 0x05 };
	seed_text("postgres", "position", 0, "1/A00028");
	seed_text("postgres", "segment", 1, "000000010000000A000000FE.partial");
	seed("postgres", "histories", 2, two_histories, sizeof(two_histories) - 1);
	seed_text("postgres", "any", 3, "ANY 1 (\"pg-b\",\"pg-c\")");
	seed_text("postgres", "first", 3, "first 2 (pg-b, pg-c, *)");
	seed_text("postgres", "list", 3, "pg-b, \"pg-c\"");
	seed("postgres", "refused", 4, failure, sizeof(failure) - 1);
	seed_text("postgres", "nobody", 4,
		  "connection to server on socket \"/run/s\" failed: Connection refused\n\tIs it?");
	seed_text("postgres", "password", 5, "it's a \\ secret = 'x'\n");
	seed_text("postgres", "controldata", 6,
		  "Database system identifier:           7300000000000000001\n"
		  "Database cluster state:               shut down in recovery\n"
		  "Latest checkpoint location:           0/3000060\n"
		  "Latest checkpoint's REDO location:    0/3000028\n"
		  "Latest checkpoint's TimeLineID:       1\n"
		  "Latest checkpoint's full_page_writes: on\n"
		  "Minimum recovery ending location:     0/0\n"
		  "Min recovery ending loc's timeline:   0\n"
		  "wal_log_hints setting:                on\n"
		  "Bytes per WAL segment:                16777216\n"
		  "Data page checksum version:           1\n");
	seed("postgres", "control-file", 7, control, sizeof(control));
}

/* ---- command lines ---- */

static void command_lines(void)
{
	static const char *const lines[] = {
		"status\n-o\njson",
		"-e\n10.1.0.10:7400,10.2.0.10:7400\nfailover\norders\n--to=pg-b\n--force\n-r\nbecause",
		"service\nadopt\norders\n--reason\nbecause\n--timeout\n500ms",
		"diff\n--offline\na.yaml\nb.yaml",
		"validate\na\nb\nc\n-q\n--as=spec",
		"node\nadd\nc-d\n10.4.0.10:7400\n--site\naz-d\n--id\n77",
		"pki\nissue\n-d\npki\n--kind\nagent\n--name\nagent-a\n--out\na",
		"pause\norders\n--for\n1h",
		"help\nfailover\n-h",
		"--\nwatch",
		"pki",
		"statsu\n--endpoint\nx",
	};
	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "line%u", i);
		seed_text("arguments", name, NO_FIRST, lines[i]);
	}
}

/* The byte in front chooses the program. */
static void daemon_lines(void)
{
	static const struct {
		int program;
		const char *name, *text;
	} lines[] = {
		{ 0, "coordinator", "--config\n/etc/drcoord/coordinator.yaml" },
		{ 0, "bootstrap", "--config=c.yaml\n--bootstrap" },
		{ 0, "join", "-jcc.yaml" },
		{ 0, "both", "-c\nc.yaml\n-b\n-j" },
		{ 0, "recover", "--config\nc.yaml\n--recover\n--yes-a-majority-is-gone\n--offline" },
		{ 0, "yes-alone", "--config\nc.yaml\n--yes-a-majority-is-gone" },
		{ 0, "help", "-h" },
		{ 1, "agent", "--config\n/etc/drcoord/agent.yaml" },
		{ 1, "agent-more", "-c\na.yaml\n--\nmore" },
		{ 1, "agent-help", "--help" },
		{ 2, "guard", "--config\na.yaml\n--agent\n/usr/lib/drcoord/drcoord-agent\n--adopt\n4711" },
		{ 2, "guard-adopts-none", "--config\na.yaml\n--adopt\n0" },
		{ 2, "guard-odd", "--config\na.yaml\n--agent" },
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		seed_text("daemons", lines[i].name, lines[i].program, lines[i].text);
}

/* What leaders answer; the byte in front chooses the verb (answers.c). */
static void answers(void)
{
	seed_text("answers", "status", 0,
		  "{\"leader\":\"c-a\",\"term\":3,\"event_last\":41,\"coordinators\":[{\"name\":\"c-a\",\"s"
		  "ite\":\"az-a\",\"address\":\"10.1.0.10:7400\",\"role\":\"leader\",\"reachable\":true,\"l"
		  "edger\":\"differs\"}],\"services\":[{\"name\":\"orders\",\"mode\":\"managed\",\"epoch\":"
		  "7,\"primary\":\"pg-a\",\"durability\":\"sync\",\"paused\":true,\"held_fenced\":true,\"sy"
		  "nc\":{\"k\":1,\"set\":[\"pg-a\",\"pg-b\"]},\"plan\":{\"kind\":\"failover\",\"id\":3,\"st"
		  "ep\":\"promote\",\"at\":6,\"steps\":9,\"state\":\"asking\",\"why\":\"may lose\",\"overri"
		  "de\":\"approve 3\"},\"automatic_failover_blocked\":\"cooldown\",\"failsafe\":\"missing\""
		  ",\"members\":[{\"name\":\"pg-b\",\"site\":\"az-b\",\"role\":\"standby\",\"state\":\"heal"
		  "thy\\u001b[31m\",\"server\":\"standby\",\"in_sync_set\":true,\"lag_bytes\":0}],\"routes"
		  "\":[{\"name\":\"dns\",\"record\":\"orders.demo.\",\"servers\":[{\"address\":\"10.2.0.53:"
		  "53\",\"current\":false,\"why\":\"refused\"}]}]}]}");
	seed_text("answers", "explain", 1,
		  "{\"service\":\"orders\",\"automatic_failover\":{\"why\":\"paused\",\"override\":\"resume"
		  "\"},\"candidates\":[{\"member\":\"pg-b\",\"state\":\"healthy\",\"can_be_promoted\":true,"
		  "\"lag_bytes\":0,\"lease_left_ms\":0,\"why\":\"w\",\"override\":\"o\"}]}");
	seed_text("answers", "watch", 2,
		  "{\"index\":17,\"wall_ms\":1795234567890,\"event\":\"plan.step.done\",\"service\":\"order"
		  "s\",\"member\":\"pg-b\",\"plan\":3,\"step\":\"promote\",\"why\":\"w\",\"text\":\"t\"}\n{"
		  "\"index\":20,\"event\":\"incident.opened\"}");
	seed_text("answers", "nodes", 3,
		  "[{\"name\":\"c-a\",\"id\":7},{\"name\":\"c-b\",\"at\":{\"host\":\"x\"}}]");
	seed_text("answers", "plan", 4, "{\"plan\":3}");
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	corpora = argv[1];
	dr_buf_init(&b, 1 << 20);
	seed_messages();
	seed_peers();
	snapshots();
	snapshots_of_logs();
	sealed();
	journals();
	for (uint8_t how = 0; how < 8; how++)
		guards(how);
	segments();
	streams();
	raft_bytes();
	ledgers();
	dns();
	certificates();
	gtid();
	binlog();
	postgres();
	command_lines();
	daemon_lines();
	answers();
	dr_buf_close(&b);
	return 0;
}
