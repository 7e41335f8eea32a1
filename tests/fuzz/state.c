/* state.c -- what the programs keep: snapshots, journal, storage guard, open segments of the log. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/shell/journal.h"
#include "agent/shell/journal_codec.h"
#include "base/mem.h"
#include "coord/shell/snapshot.h"
#include "fuzz.h"
#include "proto/codec.h"
#include "raft/guard.h"
#include "raft/scan.h"
#include "raft/snap.h"

/* ---- snapshots ---- */

/* Replicated state is large and mostly untouched: mapped once, emptied by giving its pages back. */
static struct dr_repl *fresh_state(struct dr_repl **kept)
{
	if (*kept == NULL) {
		void *m = mmap(NULL, sizeof(**kept), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		FUZZ_CHECK(m != MAP_FAILED);
		*kept = m;
	}
	FUZZ_CHECK(madvise(*kept, sizeof(**kept), MADV_DONTNEED) == 0);
	dr_repl_init(*kept);
	return *kept;
}

static void encode(struct dr_buf *b, const struct dr_repl *r, const uint8_t head[32])
{
	dr_buf_init(b, 256u << 20);
	dr_snapshot_encode(b, r, head);
	FUZZ_CHECK(dr_buf_ok(b));
}

static bool same_bytes(const struct dr_repl *a, const struct dr_repl *b, const uint8_t head[32])
{
	struct dr_buf x, y;
	encode(&x, a, head);
	encode(&y, b, head);
	bool same = x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
	dr_buf_close(&x);
	dr_buf_close(&y);
	return same;
}

/* Written and read, it is what it was. */
static void restore(struct dr_repl *to, const struct dr_repl *from, const uint8_t head[32])
{
	uint8_t again[32];
	struct dr_error e = { 0 };
	struct dr_buf b;
	encode(&b, from, head);
	FUZZ_CHECK(dr_snapshot_decode(to, again, b.data, b.len, &e) == DR_OK);
	FUZZ_CHECK(memcmp(head, again, sizeof(again)) == 0);
	dr_buf_close(&b);
	FUZZ_CHECK(same_bytes(from, to, head));
}

void fuzz_snapshot(const uint8_t *p, size_t n)
{
	static struct dr_repl *first, *second;
	uint8_t head[32];
	struct dr_error e = { 0 };
	enum dr_err rv = dr_snapshot_decode(fresh_state(&first), head, p, n, &e);
	if (rv == DR_OK)
		restore(fresh_state(&second), first, head);
	else
		fuzz_refused(rv, &e);
}

/* The next entry, behind its length in two bytes, on one that was there all along, and on one that was restored. */
static void apply(struct dr_view *v, uint64_t index, struct dr_repl *one, struct dr_repl *other)
{
	struct dr_cmd cmd;
	struct dr_error e = { 0 };
	size_t len = dr_view_u16be(v);
	len = len < dr_view_left(v) ? len : dr_view_left(v);
	if (dr_cmd_decode(&cmd, dr_view_bytes(v, len), len, &e) != DR_OK)
		return;
	dr_repl_apply(one, index, &cmd);
	if (other != NULL)
		dr_repl_apply(other, index, &cmd);
	dr_cmd_close(&cmd);
}

/* Entries as they stand in the log; after as many as the first byte says a snapshot is taken and restored elsewhere,
 * and from there on the two must stay the same. */
void fuzz_apply(const uint8_t *p, size_t n)
{
	static struct dr_repl *one, *other;
	static const uint8_t head[32] = { 7 };
	uint8_t until = fuzz_first(&p, &n);
	struct dr_view v = dr_view_of(p, n);
	uint64_t index = 1;
	(void)fresh_state(&one);
	for (; index <= until && dr_view_left(&v) >= 2; index++)
		apply(&v, index, one, NULL);
	restore(fresh_state(&other), one, head);
	for (; dr_view_left(&v) >= 2; index++)
		apply(&v, index, one, other);
	FUZZ_CHECK(same_bytes(one, other, head));
}

/* With an odd first byte the header is made for the data: past the checksum nothing would be reached else. */
void fuzz_sealed(const uint8_t *p, size_t n)
{
	uint8_t how = fuzz_first(&p, &n);
	uint8_t *all = dr_xcalloc(n);
	struct dr_error e = { 0 };
	const uint8_t *data = NULL;
	size_t len = 0;
	if (n > 0)
		memcpy(all, p, n);
	if (how % 2 == 1 && n >= DR_SNAP_HEADER) {
		size_t claimed = n - DR_SNAP_HEADER - (how / 2 < n - DR_SNAP_HEADER ? how / 2u : 0u);
		dr_snap_seal(all, all + DR_SNAP_HEADER, claimed);
	}
	enum dr_err rv = dr_snap_open(all, n, &data, &len, &e);
	FUZZ_CHECK(rv == DR_OK || how % 2 == 0 || n < DR_SNAP_HEADER);
	if (rv == DR_OK) {
		uint8_t head[DR_SNAP_HEADER];
		FUZZ_CHECK(data == all + DR_SNAP_HEADER && len <= n - DR_SNAP_HEADER);
		dr_snap_seal(head, data, len);
		FUZZ_CHECK(dr_snap_hash(head) == dr_snap_hash(all));
	} else {
		fuzz_refused(rv, &e);
	}
	dr_free(all);
}

/* ---- journal ---- */

static enum dr_err get_record(void *v, const uint8_t *p, size_t n, struct dr_error *e)
{
	return dr_agent_journal_decode(v, p, n, e);
}

static bool same_record(const void *a, const void *b)
{
	const struct dr_agent_journal *x = a, *y = b;
	size_t order = offsetof(struct dr_agent_journal, order),
	       from = offsetof(struct dr_agent_journal, done);
	return memcmp(x, y, order) == 0 && fuzz_same_order(&x->order, &y->order) &&
	       memcmp((const char *)x + from, (const char *)y + from, sizeof(*x) - from) == 0;
}

static void put_record(struct dr_buf *out, const void *v)
{
	dr_agent_journal_encode(out, v);
}

static void journal_file(const uint8_t *p, size_t n)
{
	struct dr_buf b;
	struct dr_error e = { 0 };
	dr_buf_init(&b, DR_JOURNAL_BYTES_MAX);
	fuzz_write("journal", p, n);
	enum dr_err rv = dr_journal_store_read(fuzz_path("journal"), &b, &e);
	if (rv != DR_OK)
		fuzz_refused(rv, &e);
	else
		FUZZ_CHECK(b.len < n && memcmp(b.data, p + n - b.len, b.len) == 0);
	dr_buf_close(&b);
}

void fuzz_journal(const uint8_t *p, size_t n)
{
	static const struct fuzz_codec codec = { .size = sizeof(struct dr_agent_journal),
						 .decode = get_record,
						 .encode = put_record,
						 .same = same_record };
	if (fuzz_first(&p, &n) % 8 == 7)
		journal_file(p, n);
	else
		fuzz_round_trip(&codec, p, n);
}

/* ---- storage guard ---- */

enum { RECORD = 128, SLOTS = 4096 }; /* as raft/guard.c has them */

static void put_be(uint8_t *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

/* A file of zeros but for what the present input put there. */
static uint8_t guard_file[RECORD * SLOTS];

/* The input: records with a byte in front that says how much of one is to be put right: bit 0 its checksum, bit 1
 * that it stands where its number wants it, else it stands in the slot of its place in the input; bit 2: it goes
 * on from the record before.  With `clear` the slots become zeros again. */
static void put_records(const uint8_t *p, size_t n, bool clear)
{
	uint64_t last = 0;
	for (size_t i = 0; n >= 1 + RECORD; i++, p += 1 + RECORD, n -= 1 + RECORD) {
		uint8_t record[RECORD];
		memcpy(record, p + 1, RECORD);
		if ((p[0] & 4) != 0)
			put_be(record + 8, last + 1, 8);
		if ((p[0] & 1) != 0) {
			put_be(record, UINT64_C(0x4452475541524431), 8);
			put_be(record + RECORD - 4, dr_crc32c(0, record, RECORD - 4), 4);
		}
		struct dr_view v = dr_view_of(record + 8, 8);
		last = dr_view_u64be(&v);
		uint8_t *slot = guard_file + ((p[0] & 2) != 0 ? last : i) % SLOTS * RECORD;
		if (clear)
			memset(slot, 0, RECORD);
		else
			memcpy(slot, record, RECORD);
	}
}

static void check_points(const struct dr_guard *g)
{
	FUZZ_CHECK(g->n_points > 0 && g->n_points <= SLOTS);
	for (uint32_t i = 1; i < g->n_points; i++)
		FUZZ_CHECK(g->points[i - 1].index < g->points[i].index);
	FUZZ_CHECK(g->points[g->n_points - 1].index == g->head.floor);
}

/* What it holds is written as the next record and read again, and that is written. */
static void next_record(struct dr_guard *g)
{
	enum { SEQ_END = 16, CRC_AT = RECORD - 4 };
	static int fd = -1;
	struct dr_guard second = { .fd = -1 };
	struct dr_error e;
	uint8_t before[RECORD], *slot = NULL;
	if (fd < 0)
		fd = memfd_create("guard", MFD_CLOEXEC);
	g->fd = fd;
	dr_buf_init(&g->record, RECORD);
	FUZZ_CHECK(dr_guard_write(g, &e) == DR_OK);
	slot = guard_file + g->seq % SLOTS * RECORD;
	memcpy(before, slot, RECORD);
	FUZZ_CHECK(pread(fd, slot, RECORD, (off_t)(g->seq % SLOTS * RECORD)) == RECORD);
	FUZZ_CHECK(dr_guard_decode(&second, guard_file, sizeof(guard_file), &e) == DR_OK);
	FUZZ_CHECK(second.seq == g->seq);
	check_points(&second);
	memcpy(slot, before, RECORD);
	second.fd = fd;
	dr_buf_init(&second.record, RECORD);
	FUZZ_CHECK(dr_guard_write(&second, &e) == DR_OK);
	FUZZ_CHECK(memcmp(g->record.data + SEQ_END, second.record.data + SEQ_END, CRC_AT - SEQ_END) == 0);
	second.fd = g->fd = -1;
	dr_guard_close(&second);
}

void fuzz_guard(const uint8_t *p, size_t n)
{
	struct dr_guard g = { .fd = -1 };
	struct dr_error e = { 0 };
	put_records(p, n, false);
	enum dr_err rv = dr_guard_decode(&g, guard_file, sizeof(guard_file), &e);
	if (rv == DR_OK) {
		check_points(&g);
		next_record(&g);
	} else {
		fuzz_refused(rv, &e);
	}
	dr_guard_close(&g);
	put_records(p, n, true);
}

/* ---- segments ---- */

/* libraft's checksum, as raft/scan.c describes it; slow, and the inputs are short. */
static uint32_t segment_crc(const uint8_t *p, size_t n)
{
	uint32_t crc = 0;
	for (size_t i = 0; i < n; i++) {
		crc ^= (uint32_t)p[i] << 24;
		for (unsigned bit = 0; bit < 8; bit++)
			crc = (crc & 0x80000000u) != 0 ? crc << 1 ^ 0x04c11db7u : crc << 1;
	}
	return crc;
}

static uint64_t le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static void put_le32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* Batches whose lengths fit get their checksums; how many bytes of the input those are. */
static size_t mend_batches(uint8_t *p, size_t n)
{
	size_t at = 8;
	while (n >= 16 && at <= n - 16) {
		uint64_t entries = le(p + at + 8, 8), data = 0;
		if (entries == 0 || entries > (n - at - 16) / 16)
			break;
		size_t head = 8 + 16 * (size_t)entries;
		for (uint64_t i = 0; i < entries; i++)
			data += le(p + at + 16 + 16 * i + 12, 4);
		if (data > n - at - 8 - head)
			break;
		put_le32(p + at, segment_crc(p + at + 8, head));
		put_le32(p + at + 4, segment_crc(p + at + 8 + head, (size_t)data));
		at += 8 + head + (size_t)data;
	}
	return at;
}

void fuzz_segment(const uint8_t *p, size_t n)
{
	static const uint8_t format[8] = { 1 };
	bool mend = fuzz_first(&p, &n) % 2 == 1;
	uint8_t *all = dr_xcalloc(n);
	struct dr_error e = { 0 };
	size_t whole = 0;
	if (n > 0)
		memcpy(all, p, n);
	if (mend && n >= sizeof(format)) {
		memcpy(all, format, sizeof(format));
		whole = mend_batches(all, n);
	}
	fuzz_write("log/open-1", all, n);
	enum dr_err rv = dr_scan_open_segments(fuzz_path("log"), &e);
	if (rv != DR_OK)
		fuzz_refused(rv, &e);
	/* Nothing but whole batches is fine, and with zeros behind them too. */
	FUZZ_CHECK(rv == DR_OK || whole < n || n < sizeof(format) || !mend);
	if (mend && whole >= sizeof(format)) {
		memset(all + whole, 0, n - whole);
		fuzz_write("log/open-1", all, n);
		FUZZ_CHECK(dr_scan_open_segments(fuzz_path("log"), &e) == DR_OK);
	}
	dr_free(all);
}
